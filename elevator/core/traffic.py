"""What one car has learned of the traffic: how many people come to which hall button. Pure.

Every car counts those whose calls it serves and tells the others at what rate they came; each rate has one writer, so
their sum is the same on all nodes that hear the same, and can be part of what the assigner decides by.

- Nobody sees how many people wait behind a lit button. One pressed it; since then others have come at the known rate.
- What was counted is halved when it exceeds PEOPLE, with the time that it took, so older traffic is forgotten the
  sooner the more of it there is. A first while of PRIOR_MS without anybody keeps the first rates low.
- native/bench.c has the same rules, for the benchmark; a test compares them.
"""

from attrs import frozen

from elevator.core.model import RATE_MAX, Direction, Rates

PEOPLE = 50
PRIOR_MS = 60_000
SIXTEENTHS = 16


@frozen
class Traffic:
    """What one car has counted since *since_ms*, in sixteenths of a person at each floor."""

    since_ms: int
    up: tuple[int, ...] = ()
    down: tuple[int, ...] = ()
    rates: Rates = Rates()
    """At what rates they came, when the last was met: what the group is told."""


def met(traffic: Traffic, floors: int, floor: int, way: Direction, age_ms: int, rate: int, now_ms: int) -> Traffic:
    """Count those who stood at *floor* for *way* when their call was served, *age_ms* after it was made.

    *rate* is how many people come there in 2^20 ms, as far as the group knows.
    """
    counted = {
        Direction.UP: list(traffic.up) or [0] * floors,
        Direction.DOWN: list(traffic.down) or [0] * floors,
    }
    counted[way][floor] += SIXTEENTHS + (SIXTEENTHS * rate * age_ms >> 20)
    since_ms = traffic.since_ms
    if sum(map(sum, counted.values())) > PEOPLE * SIXTEENTHS:
        since_ms = now_ms - (now_ms - since_ms) // 2
        counted = {way: [people // 2 for people in row] for way, row in counted.items()}
    up, down = tuple(counted[Direction.UP]), tuple(counted[Direction.DOWN])
    return Traffic(since_ms, up, down, rates(up, down, now_ms - since_ms))


def rates(up: tuple[int, ...], down: tuple[int, ...], counted_ms: int) -> Rates:
    """Return how many people came in 2^20 ms to each button, at most RATE_MAX."""

    def row(people: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(min((each << 16) // (counted_ms + PRIOR_MS), RATE_MAX) for each in people)

    return Rates(row(up), row(down))
