"""The position of a car, from a floor sensor that may be wrong. Pure.

A report that cannot follow from the last accepted one is *impossible*. It is rejected and counted. If it persists until
a sweep of the panel that starts at least DOUBT_MS later, it is accepted. Only the start of that sweep counts, because a
slow server may delay the reply. A floor outside the shaft is never accepted. If such a report persists for that long,
the sensor is dead until it reports a floor inside the shaft, or "between floors".

After a start, a lost panel or a stall, the position is not trusted until the car is at a floor. Until then, any report
inside the shaft is accepted, and a report of a floor outside it makes the sensor dead at once.
"""

from elevator.core.evolve import evolve, frozen
from elevator.core.model import NEVER_MS, Direction

DOUBT_MS = 100
"""How long an impossible report must persist to be accepted. This is longer than a glitch, but shorter than the time to
cross a sensor."""


@frozen
class Position:
    """The last accepted position, and the report that is being rejected, if any."""

    floor: int | None = None
    """The last floor reached; None if unknown."""
    at_floor: bool = False
    """True if the sensor of `floor` was active in the last accepted report."""
    trusted: bool = False
    """True if impossible reports are rejected; False if any report inside the shaft is accepted."""
    rejected: int | None = None
    """The floor in the last rejected report; None if that report was "between floors", or if there was none yet. Every
    floor outside the shaft is stored as the number of floors."""
    accept_at_ms: int | None = None
    """If a sweep that starts at this time or later repeats `rejected`, the report is accepted or, if it is outside the
    shaft, the sensor is dead. None if no report is being rejected; NEVER_MS if the sensor is dead already."""
    rejections: int = 0
    """The number of impossible reports since startup, for the log. A report that persists counts once."""

    @property
    def is_dead(self) -> bool:
        """True while the sensor counts as dead, because it reports a floor outside the shaft."""
        return self.accept_at_ms is not None and self.accept_at_ms >= NEVER_MS


def judge(
    old: Position, now_ms: int, asked_at_ms: int, report: int | None, floors: int, heading: Direction | None
) -> Position:
    """Decide whether to accept the floor sensor's *report* from the sweep that began at *asked_at_ms*.

    In the result, `accept_at_ms` is None if the report is accepted. The caller then updates `floor` and `at_floor`.
    *heading* is the direction of a moving car; None if the car is stationary.
    """
    in_shaft = is_in_shaft(report, floors)
    if in_shaft and (not old.trusted or follows(old, report, heading)):
        return old if old.accept_at_ms is None else evolve(old, accept_at_ms=None)
    rejected = report if in_shaft else floors
    if old.accept_at_ms is None or old.rejected != rejected:
        accept_at_ms = now_ms + DOUBT_MS if old.trusted else NEVER_MS
        return evolve(old, rejected=rejected, accept_at_ms=accept_at_ms, rejections=old.rejections + 1)
    if asked_at_ms < old.accept_at_ms:
        return old
    return evolve(old, accept_at_ms=None if in_shaft else NEVER_MS, trusted=False)


def follows(old: Position, report: int | None, heading: Direction | None) -> bool:
    """Return whether *report* can follow from the last accepted position."""
    if old.floor is None or report == old.floor:
        return True
    if heading is None:
        return False
    return report is None or (not old.at_floor and report == old.floor + heading)


def is_in_shaft(report: int | None, floors: int) -> bool:
    return report is None or 0 <= report < floors


def distrust(old: Position) -> Position:
    """Stop trusting the position: accept the next report inside the shaft. Until then, a dead sensor stays dead."""
    return evolve(old, trusted=False, accept_at_ms=old.accept_at_ms if old.is_dead else None)
