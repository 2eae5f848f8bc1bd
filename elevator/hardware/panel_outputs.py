"""What the panels of all protocols share: which buttons exist, and which outputs the next message must change."""

from collections.abc import Iterator

from elevator.core.call_set import mask
from elevator.core.evolve import evolve
from elevator.core.model import EVERY_BUTTON, Button, Buttons, Outputs


def panel_buttons(floors: int) -> Iterator[tuple[Button, int]]:
    """Yield each button of a panel and its floor. The top floor has no up button, and the lowest has no down button."""
    yield from ((Button.UP, floor) for floor in range(floors - 1))
    yield from ((Button.DOWN, floor) for floor in range(1, floors))
    yield from ((Button.CAB, floor) for floor in range(floors))


def needs_door_command(sent: Outputs | None, wanted: Outputs) -> bool:
    """Return whether changing a panel from *sent* (None if unknown) to *wanted* requires a door command."""
    return wanted.door is not None and (sent is None or sent.door != wanted.door)


def outputs_after(sent: Outputs | None, wanted: Outputs) -> Outputs:
    """Return the outputs of a panel after the message that changes it from *sent* to *wanted*.

    That message leaves the lamps in *wanted.unsure* unchanged. *sent* is None if the previous outputs are unknown. In
    the result, `unsure` is the set of lamps whose state is unknown, and `door` is None if the door's state is unknown.
    `floor` is that of *wanted*, so it is None if the message leaves the floor indicator as it was.
    """
    if wanted.door is not None and wanted.unsure == Buttons():
        return wanted
    old = sent or Outputs(door=None, unsure=EVERY_BUTTON)
    lamps, unsure = [], []
    for button in Button:
        kept = mask(wanted.unsure, button)
        lamps.append(mask(wanted.lamps, button) & ~kept | mask(old.lamps, button) & kept)
        unsure.append(mask(old.unsure, button) & kept)
    door = old.door if wanted.door is None else wanted.door
    return evolve(wanted, door=door, lamps=Buttons(*lamps), unsure=Buttons(*unsure))


def lamp_changes(old: Outputs, wanted: Outputs, floors: int) -> Iterator[tuple[Button, int, bool]]:
    """Yield the button, the floor and the wanted state of each lamp that must change or is in *old.unsure*.

    Skip the lamps in *wanted.unsure*.
    """
    if (old.lamps, old.unsure) == (wanted.lamps, wanted.unsure):
        return
    for button, floor in panel_buttons(floors):
        on, was = mask(wanted.lamps, button) >> floor & 1, mask(old.lamps, button) >> floor & 1
        differs = on != was or mask(old.unsure, button) >> floor & 1
        if differs and not mask(wanted.unsure, button) >> floor & 1:
            yield button, floor, bool(on)
