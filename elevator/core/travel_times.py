"""What one car has learned of its travel times, and how long its next sensor edge may take. Pure.

A car learns from each stretch between two sensor edges if it knows their times exactly. It follows a longer
time at once and a shorter one slowly: what matters is the longest that is normal. After a motor fault it learns only
from a stretch that took as long as the one before: a car can be slow, but power does not fail twice for the same time.
"""

from collections.abc import Mapping

from attrs import evolve, frozen

from elevator.core.model import NEVER_MS, Direction
from elevator.core.position import Position

VAGUE_MS = 50
"""A pause of at least this long spoils a measurement; the panel may report what happened in it this much later."""
SEARCH_MS = 4000
"""How long a car looks for a floor in one direction at first; each time it turns, twice as long."""
SEARCH_MAX_MS = 64_000
TRAVEL_PRIOR_MS = 2000
CLEAR_PRIOR_MS = 800
"""Times between and on floor sensors to expect before the first measurement. A slower car goes out of service for a
moment on its first two stretches. That costs a double visit at most."""

Leg = tuple[int, Direction]
"""The floor that a car leaves, and its direction."""


@frozen
class TravelTimes:
    """What a car has learned, and the measurement under way."""

    legs: Mapping[Leg, int] = {}
    """How long it takes from leaving a floor's sensor in a direction to reaching the next."""
    clear_ms: int = CLEAR_PRIOR_MS
    """How long it takes to cross a floor's sensor."""
    since_ms: int | None = None
    """When the present stretch on or off a sensor began. None if that is not known exactly or the car was held."""
    vague_until_ms: int = -NEVER_MS
    """Until when an edge that the panel reports may have happened while the program paused."""
    crosses: bool = False
    """Whether the car came to its sensor from outside and did not turn. One that starts there leaves it sooner."""
    late_ms: int = 0
    """How long the last stretch with a motor fault took."""
    search_ms: int = SEARCH_MS
    """How long the present search for a floor lasts in one direction."""


def begin(old: TravelTimes, now_ms: int) -> TravelTimes:
    """Begin a stretch where the car starts."""
    return evolve(old, since_ms=now_ms, crosses=False)


def interrupt(old: TravelTimes) -> TravelTimes:
    """Learn nothing from the present stretch."""
    return old if old.since_ms is None else evolve(old, since_ms=None)


def pause(old: TravelTimes, now_ms: int, late_ms: int) -> TravelTimes:
    """Note that the program paused for *late_ms* until *now_ms*."""
    return evolve(old, since_ms=None, vague_until_ms=now_ms + VAGUE_MS) if late_ms >= VAGUE_MS else old


def cleared(old: TravelTimes, now_ms: int, is_exact: bool, motor_fault: bool) -> TravelTimes:
    """Learn from an edge at which a moving car left its sensor."""
    clear_ms, late_ms = old.clear_ms, old.late_ms
    if old.since_ms is not None:
        took_ms = now_ms - old.since_ms
        if is_usual(old, took_ms, motor_fault):
            clear_ms = update_estimate(clear_ms, took_ms) if old.crosses else max(clear_ms, took_ms)
        late_ms = took_ms if motor_fault else late_ms
    return evolve(old, clear_ms=clear_ms, late_ms=late_ms, since_ms=edge_ms(old, now_ms, is_exact))


def reached(old: TravelTimes, now_ms: int, is_exact: bool, motor_fault: bool, leg: Leg | None) -> TravelTimes:
    """Learn from an edge at which a car reached a sensor, by a *leg* if it came from the floor before."""
    legs, late_ms = old.legs, old.late_ms
    if old.since_ms is not None and leg is not None:
        took_ms = now_ms - old.since_ms
        if is_usual(old, took_ms, motor_fault):
            legs = {**legs, leg: update_estimate(legs.get(leg, took_ms), took_ms)}
        late_ms = took_ms if motor_fault else late_ms
    since_ms = edge_ms(old, now_ms, is_exact)
    return evolve(old, legs=legs, late_ms=late_ms, since_ms=since_ms, crosses=True, search_ms=SEARCH_MS)


def edge_ms(old: TravelTimes, now_ms: int, is_exact: bool) -> int | None:
    return now_ms if is_exact and now_ms >= old.vague_until_ms else None


def is_usual(old: TravelTimes, took_ms: int, motor_fault: bool) -> bool:
    """Tell whether a stretch that *took_ms* is one to learn from."""
    return not motor_fault or abs(took_ms - old.late_ms) <= took_ms // 20


def update_estimate(learned_ms: int, took_ms: int) -> int:
    return max(took_ms, (7 * learned_ms + took_ms) // 8)


def search_longer(old: TravelTimes) -> TravelTimes:
    return evolve(old, search_ms=min(2 * old.search_ms, SEARCH_MAX_MS))


def patience_ms(times: TravelTimes, position: Position, direction: Direction) -> int:
    """Return how long the next sensor edge of a moving car may take: 5 % and 60 ms longer than usual (C8)."""
    if position.floor is None:
        return times.search_ms
    if position.at_floor:
        usual_ms = times.clear_ms
    else:
        usual_ms = times.legs.get((position.floor, direction)) or max(times.legs.values(), default=TRAVEL_PRIOR_MS)
    return usual_ms * 21 // 20 + 60
