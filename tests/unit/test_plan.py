"""The assigner `plan` and parking.

The rules of motion in C are compared with motion.py, and the assignments with a model in Python.
"""

import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elevator import _assign
from elevator.core import motion
from elevator.core.model import Behaviour, Buttons, Direction

DOOR_MS, TRAVEL_MS = 3000, 2500
COST, PATIENCE, HYSTERESIS_MS, STANDING_MS, SCENARIOS = 64, 200, 2000, 4000, 2
OBSTRUCTED = 3
AGES, AGE_MS = 2, 15_000
NONE_WAITED = ((0, 0),) * AGES
Car = tuple[int, int, int, int]
Shares = tuple[tuple[int, int], ...]
EVERYWHERE = 2**64 - 1


@pytest.mark.parametrize("floors", [2, 3, 4])
def test_motion_rules_in_c_agree_with_python(floors: int) -> None:
    masks = range(1 << floors)
    for floor, direction, departing in product(range(floors), Direction, (False, True)):
        for up, down, cab in product(masks, masks, masks):
            expected = motion.decide(floor, direction, Buttons(up, down, cab), departing)
            assert _assign.decide(floor, direction, up, down, cab, departing) == expected


@given(st.integers(0, 63), st.sampled_from(Direction), st.tuples(*[st.integers(0, EVERYWHERE)] * 3), st.booleans())
def test_motion_rules_in_c_agree_with_python_for_large_buildings(
    floor: int, way: Direction, masks: tuple[int, int, int], departing: bool
) -> None:
    assert _assign.decide(floor, way, *masks, departing) == motion.decide(floor, way, Buttons(*masks), departing)


Rates = tuple[list[int], list[int]]


def destination(floor: int, way: int, floors: int, rates: Rates, scenario: int) -> int:
    """Return the destination, in *scenario*, of passengers who board at *floor* in direction *way*."""
    ahead = floors - 1 - floor if way == 1 else floor
    if ahead == 0:
        return floor - way
    permille = ((2 * scenario + 1) * 1000 // (2 * SCENARIOS) + 382 * floor) % 1000
    up, down = sum(rates[0][1:floors]), sum(rates[1][1:floors])
    lobby = (down - up) * 1000 // down if down > up else 0
    if way == 1 or lobby == 0:
        return floor + way * (1 + permille * ahead // 1000)
    return 0 if permille >= 1000 - lobby or floor == 1 else floor - 1 - permille * (ahead - 1) // (1000 - lobby)


def end_price(floors: int, cars: int, rates: Rates) -> int:
    """Return the price of each ms until a car is done, in units of 1 / COST."""
    trip_ms = 2 * DOOR_MS + TRAVEL_MS * floors * 2 // 3
    load = 16 * (sum(rates[0]) + sum(rates[1])) * trip_ms // cars >> 20
    return 8 + 40 * min(load, 64) // 16


def simulate(car: Car, up: int, down: int, floors: int, cars: int, rates: Rates, waited: Shares, scenario: int) -> int:
    """Let *car* serve its calls by the rules of motion.py, floor by floor. Return the cost."""
    behaviour, floor, way, cab = car
    direction = Direction.UP if way == 1 else Direction.DOWN
    departing = behaviour >= Behaviour.DOOR_OPEN
    t = cost = 0
    if departing:
        t = DOOR_MS if behaviour == OBSTRUCTED else DOOR_MS // 2
    elif behaviour == Behaviour.MOVING:
        floor, t = floor + way, TRAVEL_MS // 2
    while True:
        does, direction = motion.decide(floor, direction, Buttons(up, down, cab), departing)
        if does is Behaviour.IDLE:
            return cost + end_price(floors, cars, rates) * t
        if does is Behaviour.MOVING:
            floor, t, departing = floor + direction, t + TRAVEL_MS, False
            continue
        cab &= ~(1 << floor)
        if (up if direction is Direction.UP else down) >> floor & 1:
            rate = PATIENCE + rates[0 if direction is Direction.UP else 1][floor]
            age_ms = AGE_MS * sum(long[0 if direction is Direction.UP else 1] >> floor & 1 for long in waited)
            cost += COST * t + (rate * t + 2 * PATIENCE * age_ms >> 15) * t
            cab |= 1 << destination(floor, direction, floors, rates, scenario)
            up, down = (up & ~(1 << floor), down) if direction is Direction.UP else (up, down & ~(1 << floor))
        t += DOOR_MS
        departing = True


class Group:
    """A random input of the assigner."""

    def __init__(self, rng: random.Random, calls: int) -> None:
        self.floors = rng.randint(2, 7)
        buttons = [(0, f) for f in range(self.floors - 1)] + [(1, f) for f in range(1, self.floors)]
        self.calls = sorted(rng.sample(buttons, min(calls, len(buttons))))
        self.cars = [self.car(rng) for _ in range(rng.randint(1, 3))]
        self.owners: dict[tuple[int, int], int] = {}
        self.claims = [[0, 0] for _ in self.cars]
        for call in self.calls:
            if rng.random() < 0.6:
                owner = self.owners[call] = rng.randrange(len(self.cars))
                self.claims[owner][call[0]] |= 1 << call[1]
        long = [[0, 0] for _ in range(AGES)]
        for (way, floor), age in ((call, rng.randint(0, AGES)) for call in self.calls):
            for k in range(age):
                long[k][way] |= 1 << floor
        self.waited = tuple((up, down) for up, down in long)
        most = rng.choice((20, 700))
        self.rates = (
            [rng.randrange(most) for _ in range(self.floors)],
            [rng.randrange(most) for _ in range(self.floors)],
        )

    def car(self, rng: random.Random) -> Car:
        behaviour, floor, way = rng.choice([0, 1, 1, 2, OBSTRUCTED]), rng.randrange(self.floors), rng.choice([-1, 1])
        if not 0 <= floor + way < self.floors:
            way = -way
        return behaviour, floor, way, rng.randrange(1 << self.floors) if rng.random() < 0.6 else 0

    def answer(self) -> Shares:
        up, down = (sum(1 << f for way, f in self.calls if way == wanted) for wanted in (0, 1))
        claims = tuple((up, down) for up, down in self.claims)
        return _assign.plan(
            self.floors, up, down, self.cars, claims, self.waited, tuple(self.rates[0]), tuple(self.rates[1])
        )

    def cost(self, shares: Shares) -> int:
        """Return the cost of the assignment *shares*, as defined in plan_cost.h and plan.c."""
        total = 0
        for k, (car, (up, down)) in enumerate(zip(self.cars, shares, strict=True)):
            for scenario in range(SCENARIOS):
                total += simulate(car, up, down, self.floors, len(self.cars), self.rates, self.waited, scenario)
            for way, floor in self.calls:
                owner = self.owners.get((way, floor), k)
                if (up, down)[way] >> floor & 1 and owner != k and self.cars[owner][0] != OBSTRUCTED:
                    total += COST * SCENARIOS * HYSTERESIS_MS
                standing = [i for i, (does, at, _, _) in enumerate(self.cars) if (does, at) == (0, floor)]
                if (up, down)[way] >> floor & 1 and standing and standing[0] != k:
                    total += COST * SCENARIOS * STANDING_MS
        return total

    def every_assignment(self) -> list[Shares]:
        found = []
        for owners in product(range(len(self.cars)), repeat=len(self.calls)):
            rows = [[0, 0] for _ in self.cars]
            for (way, floor), owner in zip(self.calls, owners, strict=True):
                rows[owner][way] |= 1 << floor
            found.append(tuple((up, down) for up, down in rows))
        return found


@pytest.mark.parametrize("seed", range(60))
def test_up_to_six_calls_are_assigned_at_minimum_cost(seed: int) -> None:
    rng = random.Random(seed)
    group = Group(rng, rng.randint(0, 6))
    answer = group.answer()
    every = group.every_assignment()
    assert answer in every
    assert group.cost(answer) == min(map(group.cost, every))


@pytest.mark.parametrize("seed", range(20))
def test_many_calls_cost_no_more_than_if_each_stayed_with_the_car_that_claims_it(seed: int) -> None:
    rng = random.Random(seed)
    group = Group(rng, 10)
    for call in group.calls:
        if call not in group.owners:
            group.owners[call] = 0
            group.claims[0][call[0]] |= 1 << call[1]
    kept = tuple((up, down) for up, down in group.claims)
    assert group.cost(group.answer()) <= group.cost(kept)


@given(st.data(), st.integers(1, 64))
@settings(max_examples=60, deadline=None)
def test_every_call_is_assigned_to_one_car_and_exactly_the_free_cars_park(data: st.DataObject, floors: int) -> None:
    masks = st.integers(0, 2**floors - 1)
    up, down = data.draw(masks), data.draw(masks)
    behaviours = st.sampled_from([0, 2, OBSTRUCTED] if floors == 1 else [0, 1, 2, OBSTRUCTED])
    places = st.integers(1, floors - 2) if floors > 2 else st.just(0)
    ways = st.sampled_from([0, 1] if floors == 2 else [-1, 0, 1])
    fleet = data.draw(st.lists(st.tuples(behaviours, places, ways, masks), min_size=1, max_size=64))
    claims = tuple((data.draw(masks), data.draw(masks)) for _ in fleet)
    shares = _assign.plan(floors, up, down, fleet, claims, NONE_WAITED, (), ())
    for calls, parts in ((up, [share[0] for share in shares]), (down, [share[1] for share in shares])):
        assert sum(parts) == calls
        assert sum(part.bit_count() for part in parts) == calls.bit_count()
    targets = _assign.park(floors, fleet, shares, (), ())
    for (behaviour, floor, way, cab), share, target in zip(fleet, shares, targets, strict=True):
        free = behaviour < 2 and not cab and share == (0, 0)
        assert (0 <= target < floors) == free, (behaviour, floor, way)


IDLE: Car = (0, 0, -1, 0)


def test_call_stays_with_the_car_that_claims_it_unless_another_is_clearly_better() -> None:
    near, far = (0, 3, -1, 0), (0, 0, -1, 0)
    both = [(0, 1, -1, 0), (0, 3, -1, 0)]  # equally far from floor 2
    for owner in (0, 1):
        claims = tuple((4, 0) if k == owner else (0, 0) for k in range(2))
        assert _assign.plan(4, 4, 0, both, claims, NONE_WAITED, (), ())[owner] == (4, 0)
    assert _assign.plan(4, 8, 0, [far, near], ((8, 0), (0, 0)), NONE_WAITED, (), ()) == ((0, 0), (8, 0))


def test_call_that_two_cars_claim_stays_with_the_first() -> None:
    both = [(0, 1, -1, 0), (0, 3, -1, 0)]
    assert _assign.plan(4, 4, 0, both, ((4, 0), (4, 0)), NONE_WAITED, (), ())[0] == (4, 0)


def test_idle_cars_spread_out() -> None:
    targets = _assign.park(9, [IDLE] * 3, ((0, 0),) * 3, (), ())
    assert len(set(targets)) == 3
    assert max(targets) >= 5


def test_car_parks_at_the_busiest_floor() -> None:
    for busy in range(9):
        rates = tuple(60 if floor == busy else 0 for floor in range(9))
        assert busy in _assign.park(9, [(0, 4, -1, 0)] * 4, ((0, 0),) * 4, rates, rates)


def test_sparing_parking_starts_a_car_only_if_the_next_passenger_gains_a_second() -> None:
    """All passengers board at floor 3. The idle car is one floor below it."""
    rates = (0, 0, 0, 20)
    for travel_ms, sparing, target in ((2500, True, 3), (1500, True, 2), (1500, False, 3)):
        assert _assign.park(4, [(0, 2, -1, 0)], ((0, 0),), (), rates, sparing, 3000, travel_ms) == (target,)


def gathered(at_lobby: int, elsewhere: int, unknown: int = 0) -> int:
    """Return how many of eight free cars park at floor 0 in a building of 32 floors.

    *at_lobby* is the rate up from floor 0, and *elsewhere* the sum of the rates down from the other floors. *unknown*
    is the rate of passengers whose button is not known, because their rates were rounded down.
    """
    cars = [(0, floor, -1, 0) for floor in range(0, 32, 4)]
    downs = [unknown, *(elsewhere // 31 + (floor <= elsewhere % 31) for floor in range(1, 32))]
    return _assign.park(32, cars, ((0, 0),) * 8, (at_lobby, *[0] * 31), tuple(downs)).count(0)


def test_cars_gather_at_a_busy_button_with_more_than_twice_the_rate_of_all_others() -> None:
    assert gathered(40, 10) == 4
    assert gathered(40, 10, unknown=9) == 4
    assert gathered(40, 10, unknown=10) == 2
    assert gathered(4, 0) == 1  # A car is back before the next passenger comes.


def test_cars_soon_stop_moving_between_parking_floors() -> None:
    rng = random.Random(1)
    for _ in range(50):
        floors, n = rng.randint(2, 20), rng.randint(1, 8)
        cars = [(0, rng.randrange(floors), -1, 0) for _ in range(n)]
        main = rng.choice((0, 4000))
        rates = tuple(rng.randrange(100) for _ in range(floors)), tuple(rng.randrange(100) for _ in range(floors))
        rates = (rates[0][0] + main, *rates[0][1:]), rates[1]
        targets: tuple[int, ...] = ()
        for _ in range(4):  # New positions may lead to better targets, but only a few times.
            targets = _assign.park(floors, cars, ((0, 0),) * n, *rates)
            if targets == tuple(car[1] for car in cars):
                break
            cars = [(0, target, -1, 0) for target in targets]
        else:
            pytest.fail(f"the cars still moved in the fourth round, to {targets}")


BAD = [
    ("rates must be", (4, 0, 0, [IDLE], ((0, 0),), NONE_WAITED, (1, 2), ())),
    ("rates must be", (4, 0, 0, [IDLE], ((0, 0),), NONE_WAITED, (-1, 0, 0, 0), ())),
    ("rates must be", (4, 0, 0, [IDLE], ((0, 0),), NONE_WAITED, (), (65536, 0, 0, 0))),
    ("claims and shares", (4, 0, 0, [IDLE], (), NONE_WAITED, (), ())),
    ("claims and shares", (4, 0, 0, [IDLE], ((0, 0, 0),), NONE_WAITED, (), ())),
    ("claims and shares", (4, 0, 0, [IDLE], ((0, 0),), ((0, 0),), (), ())),
    ("up and down", (4, 0, 0, [IDLE], ((0, 0),), ((0, 0), (-1, 0)), (), ())),
    ("floors must be", (0, 0, 0, [IDLE], ((0, 0),), NONE_WAITED, (), ())),
    ("up and down", (4, 16, 0, [IDLE], ((0, 0),), NONE_WAITED, (), ())),
    ("there must be", (4, 0, 0, [], (), NONE_WAITED, (), ())),
]


@pytest.mark.parametrize(("message", "arguments"), BAD)
def test_bad_argument_of_plan_raises_value_error(message: str, arguments: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match=message):
        _assign.plan(*arguments)  # type: ignore[arg-type]
