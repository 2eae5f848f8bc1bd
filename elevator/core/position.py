"""Where a car is, from a floor sensor that may be wrong. Pure.

A report that cannot follow from the last one is rejected and counted. It is believed once an answer that was asked
DOUBT_MS later repeats it; then the position starts anew. The age of an answer does not count: the server may be slow,
and the report over since. A floor outside the shaft is never believed: a sensor that persists in one is dead.
While the position is not trusted (after a start, a lost panel or a stall) any report inside the shaft is believed.
"""

from attrs import evolve, frozen

from elevator.core.model import NEVER_MS, Direction

DOUBT_MS = 100
"""How long an impossible report must last to be believed: longer than a glitch, shorter than a sensor's reach."""


@frozen
class Position:
    """What is believed of a car's position."""

    floor: int | None = None
    """The last floor reached; None while unknown."""
    at_floor: bool = False
    """Whether the sensor of `floor` is active."""
    trusted: bool = False
    """Whether the next report must follow from the last one."""
    rejected: int | None = None
    """The impossible report that was last ignored; any floor outside the shaft counts as the number of floors."""
    believe_at_ms: int | None = None
    """When `rejected` is believed if it persists. None: nothing is being rejected. NEVER_MS: the sensor is dead."""
    rejections: int = 0
    """How many impossible reports there have been, for the log."""

    @property
    def is_dead(self) -> bool:
        """Whether the sensor persists in naming a floor outside the shaft."""
        return self.believe_at_ms is not None and self.believe_at_ms >= NEVER_MS


def judge(
    old: Position, now_ms: int, asked_at_ms: int, report: int | None, floors: int, heading: Direction | None
) -> Position:
    """Return *old* with `believe_at_ms` None if the floor sensor's *report*, asked at *asked_at_ms*, is to be believed.

    *heading* is the direction of a car that moves, None for one that stands.
    """
    in_shaft = is_in_shaft(report, floors)
    if in_shaft and (not old.trusted or follows(old, report, heading)):
        return old if old.believe_at_ms is None else evolve(old, believe_at_ms=None)
    rejected = report if in_shaft else floors
    if old.believe_at_ms is None or old.rejected != rejected:
        believe_at_ms = now_ms + DOUBT_MS if old.trusted else NEVER_MS
        return evolve(old, rejected=rejected, believe_at_ms=believe_at_ms, rejections=old.rejections + 1)
    if asked_at_ms < old.believe_at_ms:
        return old
    return evolve(old, believe_at_ms=None if in_shaft else NEVER_MS, trusted=False)


def follows(old: Position, report: int | None, heading: Direction | None) -> bool:
    """Tell whether *report* can follow from what is believed of the car."""
    if old.floor is None or report == old.floor:
        return True
    if heading is None:
        return False
    return report is None or (not old.at_floor and report == old.floor + heading)


def is_in_shaft(report: int | None, floors: int) -> bool:
    return report is None or 0 <= report < floors


def mistrust(old: Position) -> Position:
    """Believe the next report inside the shaft, whatever it is. A dead sensor stays dead."""
    return evolve(old, trusted=False, believe_at_ms=old.believe_at_ms if old.is_dead else None)


def delay(old: Position, late_ms: int) -> Position:
    """Leave a pause of *late_ms*, in which the program did not look, out of the age of a rejected report."""
    return old if old.believe_at_ms is None else evolve(old, believe_at_ms=old.believe_at_ms + late_ms)
