"""Traffic measurement: how many passengers arrive at each hall button, as estimated by one car. Pure.

Each car counts the passengers at the hall calls it serves and publishes the rates. The assigner adds up the rates of
all cars in service. It knows them from heartbeats, so nodes with the same heartbeats compute the same sums.

- No sensor counts the passengers who wait at a lit button. The estimate is one passenger for the press, plus those
  expected to have arrived since then at the known rate.
- When a car's total count exceeds PEOPLE, all its counts and their time span are halved. So rates adapt faster in heavy
  traffic.
- Rates are computed as if a time span of PRIOR_MS without passengers preceded the measurement. This keeps the first
  rates low.
- A rate is rounded down. In a tall building this makes most rates 0. The sum of the fractions is published as
  `down[0]`, because floor 0 has no down button. So rounding takes less than 1 from the sum of all rates.
- native/bench_traffic.c implements the same rules for the benchmark. A test compares both implementations.
"""

from elevator.core.evolve import frozen
from elevator.core.model import RATE_MAX, Direction, Rates

PEOPLE = 50
PRIOR_MS = 60_000
SIXTEENTHS = 16


@frozen
class Traffic:
    """The passengers that one car has counted, by floor, in sixteenths of a passenger.

    `up` and `down` are empty until the first passenger is counted.
    """

    since_ms: int
    """The start of the time span of the counts: at first the start of the node. Each halving moves it later."""
    up: tuple[int, ...] = ()
    down: tuple[int, ...] = ()
    rates: Rates = Rates()
    """The rates to publish, computed when passengers were last counted; empty before that."""


def count_passengers(
    traffic: Traffic, floors: int, floor: int, way: Direction, age_ms: int, rate: int, now_ms: int
) -> Traffic:
    """Add the estimated passengers of a hall call that was just served.

    The call was in direction *way* at *floor*, and was served *age_ms* after its `Wait.since_ms`. *rate* is the rate of
    the group at this button, in passengers per 2^20 ms.
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
    """Convert counts, in sixteenths of a passenger during *counted_ms*, to rates of at most RATE_MAX."""
    span_ms = counted_ms + PRIOR_MS

    def row(people: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(min((each << 16) // span_ms, RATE_MAX) for each in people)

    fractions = sum((each << 16) % span_ms for each in up + down)
    return Rates(row(up), (fractions // span_ms, *row(down)[1:]))
