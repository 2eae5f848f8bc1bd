"""Draws the terminal picture of a demo. All functions are pure."""

from collections.abc import Sequence

from attrs import frozen
from rich.text import Text

from elevator.building import elevators, passengers
from elevator.building import shaft as physics
from elevator.building.elevators import SimulatedElevator
from elevator.building.passengers import Crowd, Stage
from elevator.core.model import Direction, Motor

CELL = 13
"""Width of a car's column in characters."""
MARGIN = 14


@frozen
class Scene:
    """Everything that a picture shows."""

    title: str
    elevators: Sequence[SimulatedElevator]
    crowd: Crowd
    log: Sequence[str]
    """The last lines that nodes or controllers printed, mixed with notes such as "node 1 was killed"; oldest first."""
    now_ms: int


def draw(scene: Scene, width: int, height: int) -> Text:
    """Draw *scene* for a terminal of *width* columns and *height* lines.

    Cars and log lines that do not fit are left out. Car 0 and all floors are always drawn.
    """
    floors = scene.crowd.flow.floors
    columns = (width - MARGIN) // CELL
    if columns < len(scene.elevators):
        columns = (width - MARGIN - len(" and 64 more")) // CELL
    shown = list(enumerate(scene.elevators))[: max(1, columns)]
    rows_per_floor = 2 if 2 * floors + 10 <= height else 1
    text = Text(no_wrap=True, overflow="crop")
    text.append(f"{scene.title}\n\n", "bold")
    heads = "".join(f"{f'car {car}':^{CELL}}" for car, _ in shown)
    missing = len(scene.elevators) - len(shown)
    text.append(f"{'floor':<{MARGIN}}{heads}{f' and {missing} more' if missing else ''}\n", "dim")
    for row in range(rows_per_floor * (floors - 1), -1, -1):
        floor = row // rows_per_floor if row % rows_per_floor == 0 else None
        text.append_text(_margin(scene.crowd, floor))
        for car, elevator in shown:
            text.append_text(_cell(elevator, scene, car, row, rows_per_floor))
        text.append("\n")
    text.append(f"\n{line(scene)}\n\n")
    room = height - rows_per_floor * (floors - 1) - 8
    for entry in list(scene.log)[-room:] if room > 0 else []:
        text.append(entry[: width - 1] + "\n", "dim")
    return text


def line(scene: Scene) -> str:
    """Return a one-line summary of *scene*."""
    tally = passengers.tally(scene.crowd, scene.now_ms)
    unsafe = sum(elevators.misbehaviour(elevator.counts) for elevator in scene.elevators)
    waits = f"mean wait {tally.mean_wait_ms / 1000:.1f} s, longest {tally.longest_wait_ms / 1000:.1f} s"
    return f"served {tally.served}, under way {tally.under_way}, {waits}, unsafe commands {unsafe}"


def _margin(crowd: Crowd, floor: int | None) -> Text:
    """Draw the left margin of a row: *floor*, and how many passengers wait there to go up and to go down.

    *floor* is None in a row between two floors. The margin is then empty.
    """
    if floor is None:
        return Text(" " * MARGIN)
    waiting = [each for each in crowd.present if each.stage is Stage.WAITING and each.trip.origin == floor]
    up = sum(passengers.direction(each.trip) is Direction.UP for each in waiting)
    down = len(waiting) - up
    text = Text(f"{floor:>3}  ")
    text.append(f"{f'{up}▲' if up else '':>4}{f'{down}▼' if down else '':>4} ", "yellow")
    return text


def _cell(elevator: SimulatedElevator, scene: Scene, car: int, row: int, rows_per_floor: int) -> Text:
    """Draw the cell of *car* in *row*: the car or the empty shaft, and in the row of a floor, the lamps of that floor.

    Rows are numbered from the bottom. Floor f is in row f * *rows_per_floor*.
    """
    text = Text()
    floor, between = divmod(row, rows_per_floor)
    lamps = elevator.lamps
    for mask, sign, style in ((lamps.up, "▲", "green"), (lamps.down, "▼", "magenta"), (lamps.cab, "●", "cyan")):
        is_lit = bool(mask >> floor & 1)
        text.append(" " if between else sign if is_lit else "·", style if is_lit else "dim")
    text.append(" ")
    position = physics.position(elevator.shaft, scene.now_ms)
    if round(position * rows_per_floor) == row:
        inside = sum(each.stage is Stage.RIDING and each.car == car for each in scene.crowd.present)
        number = f"{inside or ' ':^3}"
        style = "white on red" if elevator.out else "black on green" if elevator.door else "white on blue"
        text.append(f"]{number}[" if elevator.door else f"[{number}]", style)
        arrow = {Motor.UP: "↑", Motor.DOWN: "↓", Motor.STOP: " "}[elevator.shaft.motor]
        text.append(arrow if elevator.shaft.powered else "!", "bold")
        text.append("S" if elevator.stop else "O" if elevator.obstructed else " ", "bold red")
    else:
        text.append("  │    ", "dim")
    return text + Text(" " * (CELL - 11))
