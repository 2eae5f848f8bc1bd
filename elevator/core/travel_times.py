"""The travel times that a car learns, and the timeout for its next sensor edge. Pure.

The car measures the time from when it starts to move, or from a sensor edge, to the next edge. A measurement begins
only at a time that is known exactly. Events that would falsify it, such as a delayed step or a press of the stop
button, discard it. The estimate should be the longest normal time. So a longer measurement raises it immediately, and a
shorter one lowers it slowly. During a motor fault, the car learns from a measurement only if it agrees with the last
measurement during a motor fault. Two such measurements show that the car is slow, because two power failures are
unlikely to last equally long.
"""

from collections.abc import Mapping

from elevator.core.evolve import evolve, frozen
from elevator.core.model import NEVER_MS, Direction
from elevator.core.position import Position

VAGUE_MS = 50
"""A step that is delayed by at least this much invalidates the measurement in progress. An edge that is reported up to
this long after the step may have occurred during the delay, so its time is not known exactly."""
SEARCH_MS = 4000
"""How long a car searches for a floor before it first reverses. This doubles at each reversal, up to SEARCH_MAX_MS."""
SEARCH_MAX_MS = 64_000
TRAVEL_PRIOR_MS = 2000
CLEAR_PRIOR_MS = 800
"""The times assumed before the first measurement: between two floor sensors (TRAVEL), and across one (CLEAR). A slower
car is out of service for a moment on its first trips, until two measurements agree. At worst, two cars then answer one
call."""

Leg = tuple[int, Direction]
"""The way from a floor to the next one: the floor that the car leaves, and its direction."""


@frozen
class TravelTimes:
    """The learned times and the measurement in progress."""

    legs: Mapping[Leg, int] = {}
    """For each leg measured so far, the learned time from leaving one floor's sensor to reaching the next one's."""
    clear_ms: int = CLEAR_PRIOR_MS
    """The learned time to cross a floor's sensor."""
    since_ms: int | None = None
    """When the measurement began: at the last sensor edge, or when the car started to move. None if this time is not
    known exactly, or if the measurement was discarded."""
    vague_until_ms: int = -NEVER_MS
    """An edge that is reported before this time may have occurred during a delay (VAGUE_MS)."""
    crosses: bool = False
    """True if the car crosses the floor's sensor from one side to the other. False if it started on the sensor, so that
    it leaves the sensor sooner."""
    faulty_ms: int = 0
    """The duration last measured during a motor fault; 0 if none was."""
    search_ms: int = SEARCH_MS
    """How long the car searches for a floor in its current direction before it reverses."""


def begin(old: TravelTimes, now_ms: int) -> TravelTimes:
    """Begin a measurement when the car starts to move."""
    return evolve(old, since_ms=now_ms, crosses=False)


def interrupt(old: TravelTimes) -> TravelTimes:
    """Discard the measurement in progress."""
    return old if old.since_ms is None else evolve(old, since_ms=None)


def delay(old: TravelTimes, now_ms: int) -> TravelTimes:
    """Discard the measurement in progress, because the step at *now_ms* is delayed."""
    return evolve(old, since_ms=None, vague_until_ms=now_ms + VAGUE_MS)


def cleared(old: TravelTimes, now_ms: int, is_exact: bool, motor_fault: bool) -> TravelTimes:
    """Complete the measurement, and begin the next, when a moving car leaves a sensor.

    *is_exact* is true if the car left at *now_ms* exactly. If it is false, no measurement begins.
    """
    clear_ms, faulty_ms = old.clear_ms, old.faulty_ms
    if old.since_ms is not None:
        took_ms = now_ms - old.since_ms
        if is_usual(old, took_ms, motor_fault):
            clear_ms = update_estimate(clear_ms, took_ms) if old.crosses else max(clear_ms, took_ms)
        faulty_ms = took_ms if motor_fault else faulty_ms
    return evolve(old, clear_ms=clear_ms, faulty_ms=faulty_ms, since_ms=edge_ms(old, now_ms, is_exact))


def reached(old: TravelTimes, now_ms: int, is_exact: bool, motor_fault: bool, leg: Leg | None) -> TravelTimes:
    """Complete the measurement, and begin the next, when a car reaches a sensor. *is_exact* is as for `cleared`.

    *leg* is the completed leg. If it is not known (None), nothing is learned.
    """
    legs, faulty_ms = old.legs, old.faulty_ms
    if old.since_ms is not None and leg is not None:
        took_ms = now_ms - old.since_ms
        if is_usual(old, took_ms, motor_fault):
            legs = {**legs, leg: update_estimate(legs.get(leg, took_ms), took_ms)}
        faulty_ms = took_ms if motor_fault else faulty_ms
    since_ms = edge_ms(old, now_ms, is_exact)
    return evolve(old, legs=legs, faulty_ms=faulty_ms, since_ms=since_ms, crosses=True, search_ms=SEARCH_MS)


def edge_ms(old: TravelTimes, now_ms: int, is_exact: bool) -> int | None:
    return now_ms if is_exact and now_ms >= old.vague_until_ms else None


def is_usual(old: TravelTimes, took_ms: int, motor_fault: bool) -> bool:
    """Return whether to learn *took_ms*. During a motor fault, `faulty_ms` must be within 5 % of it."""
    return not motor_fault or abs(took_ms - old.faulty_ms) <= took_ms // 20


def update_estimate(learned_ms: int, took_ms: int) -> int:
    return max(took_ms, (7 * learned_ms + took_ms) // 8)


def search_longer(old: TravelTimes) -> TravelTimes:
    return evolve(old, search_ms=min(2 * old.search_ms, SEARCH_MAX_MS))


def edge_timeout_ms(times: TravelTimes, position: Position, direction: Direction) -> int:
    """Return the timeout for the next sensor edge of a moving car: the usual time plus 5 % and 60 ms (C8).

    The usual time is the learned one. For a leg without one, it is the longest learned time of any leg, or else
    TRAVEL_PRIOR_MS. If the position is unknown, return how long to search for a floor in this direction.
    """
    if position.floor is None:
        return times.search_ms
    if position.at_floor:
        usual_ms = times.clear_ms
    else:
        usual_ms = times.legs.get((position.floor, direction)) or max(times.legs.values(), default=TRAVEL_PRIOR_MS)
    return usual_ms * 21 // 20 + 60
