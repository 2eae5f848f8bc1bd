"""The traffic that one car has measured: how many passengers come to each hall button. Pure.

Every car counts the passengers whose calls it serves, and publishes the rates. Each rate has one writer, so nodes that
have heard the same add them up to the same sums. The assigner uses these.

- No sensor shows how many passengers wait behind a lit button. One pressed it, and others have come at the known rate.
- When the count exceeds PEOPLE, it is halved together with its time span, so heavy traffic forgets sooner. A span of
  PRIOR_MS without passengers at the beginning keeps the first rates low.
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
    """The rates to publish, as of the last passenger met."""


def count_passengers(
    traffic: Traffic, floors: int, floor: int, way: Direction, age_ms: int, rate: int, now_ms: int
) -> Traffic:
    """Count the passengers who waited at *floor* for *way*, when their call was served *age_ms* after it was made.

    *rate* is the group's rate of passengers there in 2^20 ms.
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
    """Return how many passengers came to each button in 2^20 ms, at most RATE_MAX."""

    def row(people: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(min((each << 16) // (counted_ms + PRIOR_MS), RATE_MAX) for each in people)

    return Rates(row(up), row(down))
