"""The picture of a simulated building in a terminal. Pure functions."""

from collections.abc import Sequence
from textwrap import wrap

from attrs import frozen
from rich.text import Text

from elevator.building import elevators
from elevator.building import shaft as physics
from elevator.building.elevators import SimulatedElevator
from elevator.building.keyboard import Keys
from elevator.core.call_set import mask
from elevator.core.model import Button, Motor

CELL = 4
"""Width of a floor's column, in characters."""
LABEL = 11
STATUS = 12
PANEL_LINES = 8
NOTE_LINES = 2
"""Lines kept free for notes if there is room for at least one elevator above them."""


@frozen
class Appearance:
    """The characters for lit and dark lamps, and the keys that operate the elevators."""

    on: str = "*"
    off: str = "-"
    keys: Keys = Keys()


@frozen
class PanelPicture:
    elevator: SimulatedElevator
    port: int
    client: bool
    event_count: int
    """Number of events of the elevator so far. If it grows while the elevator is idle, the controller keeps changing
    outputs or sending bad requests."""


def draw(
    panels: Sequence[PanelPicture],
    selected: int,
    notes: Sequence[str],
    appearance: Appearance,
    now_ms: int,
    width: int,
    height: int,
) -> Text:
    """Draw *panels* above *notes* for a terminal of *width* by *height* characters; leave its last row and column free.

    If not all panels fit, draw those around *selected*. If there are several panels, mark *selected*.
    """
    text = Text(no_wrap=True, overflow="crop", end="")
    legend = _legend(appearance.keys, len(panels))
    room = height - 1 - len(legend) - NOTE_LINES
    rows = max(1, room // PANEL_LINES)
    columns = max(1, width // (_width(panels[0].elevator.shaft.floors) + 2))
    if rows * columns < len(panels):
        rows = max(1, (room - 1) // PANEL_LINES)  # One more line says which elevators are visible.
    if len(panels) <= rows:
        columns = 1
    shown = _window(len(panels), selected, rows * columns)
    for row in range(0, len(shown), columns):
        numbers = shown[row : row + columns]
        several = len(panels) > 1
        pictures = [
            _panel(panels[number], number, several and number == selected, appearance, now_ms, width)
            for number in numbers
        ]
        for lines in zip(*pictures, strict=True):
            text.append_text(Text("  ").join(lines))
            text.append("\n")
    if len(shown) < len(panels):
        text.append(f"elevators {shown[0]} to {shown[-1]} of {len(panels)}\n", "dim")
    for line in legend:
        text.append(f"{line}\n", "dim")
    for note in notes:
        text.append("\n".join([*wrap(note, max(1, width - 1)), ""]))
    cropped = text.split("\n", allow_blank=True)[: max(1, height - 1)]
    for each in cropped:
        each.truncate(max(1, width - 1))
    return Text("\n", end="").join(cropped)


def _window(count: int, selected: int, room: int) -> list[int]:
    """Return up to *room* consecutive numbers below *count*, with *selected* as near the middle as possible."""
    first = min(max(0, selected - room // 2), max(0, count - room))
    return list(range(first, min(count, first + room)))


def _width(floors: int) -> int:
    return LABEL + CELL * floors + STATUS + 6


def _panel(
    panel: PanelPicture, number: int, is_selected: bool, appearance: Appearance, now_ms: int, width: int
) -> list[Text]:
    """Draw one elevator as PANEL_LINES lines. If not all floors fit in *width*, draw those around the car."""
    elevator = panel.elevator
    count = elevator.shaft.floors
    room = max(1, min(count, (width - _width(0) - 1) // CELL))
    position = physics.position(elevator.shaft, now_ms)
    floors = _window(count, round(position), room)
    middle = CELL * len(floors) + 2
    frame = "bold cyan" if is_selected else ""

    def line(left: str, content: Text, right: Text) -> Text:
        content.truncate(middle, pad=True)
        right.truncate(STATUS, pad=True)
        bar = Text("│", frame)
        return Text.assemble(bar, f" {left:<{LABEL - 1}}", bar, content, bar, right, bar)

    def border(left: str, cross: str, right: str, end: str = "") -> Text:
        rule = "─" * (STATUS - len(end)) + end
        return Text(f"{left}{'─' * LABEL}{cross}{'─' * middle}{cross}{rule}{right}", frame)

    def lamp(is_on: bool) -> Text:
        return Text(appearance.on, "bold yellow") if is_on else Text(appearance.off, "dim")

    def lamps(button: Button) -> Text:
        row = Text()
        for floor in floors:
            bit = 1 << floor
            is_down = mask(elevators.pressed(elevator), button) & bit
            exists = mask(elevators.buttons(count), button) & bit
            row.append(" ▸" if is_down else "  ", "bold")
            row.append_text(lamp(bool(mask(elevator.lamps, button) & bit)) if exists else Text(" "))
            row.append(" ")
        return row

    numbers = Text()
    for floor in floors:
        is_here = elevator.indicator == floor
        numbers.append(f"{floor:>{CELL - 1}}{'*' if is_here else ' '}", "bold yellow" if is_here else "")
    named = f"elevator {number}"
    connection = Text(" connected", "green") if panel.client else Text(" no client", "dim")
    door = Text.assemble(" door    ", lamp(elevator.door))
    stop = Text.assemble(" stop    ", lamp(elevator.stop_lamp), Text(" down" if elevator.stop else "", "bold red"))
    switch = Text("v", "bold red") if elevator.obstructed else Text("^", "dim")
    return [
        border("┌", "┬", "┐"),
        line(f"port {panel.port}", _car(elevator, position, floors, middle), connection),
        line(named, numbers, _fault(elevator)),
        line("hall up", lamps(Button.UP), door),
        line("hall down", lamps(Button.DOWN), stop),
        line("cab", lamps(Button.CAB), Text.assemble(" obstr.  ", switch)),
        border("└", "┴", "┘", f" {panel.event_count} "),
        Text(),
    ]


def _car(elevator: SimulatedElevator, position: float, floors: Sequence[int], width: int) -> Text:
    """Draw the row above the floor numbers. It shows the car at *position*, if that is among *floors*."""
    row = Text(" " * width)
    column = round((position - floors[0]) * CELL) + CELL - 2
    if 0 <= column < width:
        sign = {Motor.UP: "#>", Motor.DOWN: "<#", Motor.STOP: "#"}[elevator.shaft.motor]
        column = max(0, min(column - (sign == "<#"), width - len(sign)))
        style = "bold black on green" if elevator.door else "bold"
        row = Text.assemble(" " * column, (sign, style), " " * (width - column - len(sign)))
    return row


def _fault(elevator: SimulatedElevator) -> Text:
    if elevator.out:
        return Text(" OUT", "bold white on red")
    return Text(" no power", "bold red") if not elevator.shaft.powered else Text()


def _legend(keys: Keys, cars: int) -> list[str]:
    return [
        f"up {keys.up}   down {keys.down}   cab {keys.cab}   stop {keys.stop}   obstruction {keys.obstruction}",
        f"a capital letter holds its button down   {keys.inbounds} back in bounds",
        f"motor: {keys.motor_down} down {keys.motor_stop} stop {keys.motor_up} up",
        *(["Tab or arrows: another elevator"] if cars > 1 else []),
    ]
