"""Print how long the native assigners take, beside the official program's algorithm.

    python tests/bench_assign.py

Each number is the median over random inputs from a fixed seed, in microseconds for one call from Python; of each
input the fastest of several runs counts. The official medians were taken in process, optimised, on another machine and
with other inputs: the ratios tell orders of magnitude, not percents.
"""

import random
from statistics import median
from time import perf_counter_ns
from typing import NamedTuple

from elevator import _assign

INPUTS = 300
RUNS = 5


class Size(NamedTuple):
    """A building, and what the official algorithm takes for it."""

    cars: int
    floors: int
    official_us: float


SIZES = [Size(3, 4, 10.4), Size(3, 9, 57), Size(8, 16, 247), Size(8, 32, 1030), Size(32, 64, 5700)]
Arguments = tuple[int, int, int, list[tuple[int, int, int, int]]]


def busy(rng: random.Random, cars: int, floors: int) -> Arguments:
    """Draw a busy building: a third of the hall calls and a fifth of the cab calls are lit, half of the cars move."""

    def mask(share: float) -> int:
        return sum(1 << floor for floor in range(floors) if rng.random() < share)

    def car() -> tuple[int, int, int, int]:
        behaviour, floor = rng.choice([0, 1, 1, 2]), rng.randrange(floors)
        directions = [way for way in (-1, 1) if 0 <= floor + way < floors]
        return behaviour, floor, rng.choice(directions) if behaviour else 0, mask(0.2)

    up, down = mask(0.33) & ~(1 << floors - 1), mask(0.33) & ~1
    return floors, up, down, [car() for _ in range(cars)]


def full(behaviour: int, floor: int, direction: int) -> Arguments:
    """Light everything for 64 cars in the same state."""
    everything = 2**64 - 1
    return 64, everything, everything, [(behaviour, floor, direction, everything)] * 64


def plan_us(arguments: Arguments) -> float:
    """Time the plan-cost assigner on the same input, with claims that are not the best."""
    floors, up, down, cars = arguments
    rates = tuple(range(floors))
    cars = [(behaviour, floor, direction or 1, cab) for behaviour, floor, direction, cab in cars]
    claims = tuple((up if k == 0 else 0, down if k == len(cars) - 1 else 0) for k in range(len(cars)))

    def once() -> int:
        before = perf_counter_ns()
        _assign.plan(floors, up, down, cars, claims, rates, rates)
        return perf_counter_ns() - before

    return min(once() for _ in range(RUNS)) / 1000


def everything(rng: random.Random, cars: int, floors: int) -> Arguments:
    """Draw a building in which every hall and every cab call is lit."""
    _, _, _, fleet = busy(rng, cars, floors)
    every = (1 << floors) - 1
    rows = [(behaviour, floor, direction, every) for behaviour, floor, direction, _ in fleet]
    return floors, every >> 1, every & ~1, rows


def fastest_us(arguments: Arguments) -> float:
    def once() -> int:
        before = perf_counter_ns()
        _assign.reference(*arguments)
        return perf_counter_ns() - before

    return min(once() for _ in range(RUNS)) / 1000


def main() -> None:
    rng = random.Random(4145)
    print(f"{'cars x floors':<22}{'here, us':>10}{'official, us':>14}{'ratio':>8}")
    for cars, floors, official_us in SIZES:
        us = median(fastest_us(busy(rng, cars, floors)) for _ in range(INPUTS))
        print(f"{f'{cars} x {floors}':<22}{us:>10.2f}{official_us:>14.1f}{official_us / us:>7.0f}x")
    worst = max(fastest_us(full(*state)) for state in ((0, 0, 0), (0, 32, 0), (1, 0, 1), (1, 63, -1), (2, 32, 1)))
    print(f"{'64 x 64, all lit':<22}{worst:>10.2f}{'-':>14}{'-':>8}")
    print(f"\n{'plan, cars x floors':<22}{'busy, us':>10}{'every call lit, the slowest, us':>34}")
    for cars, floors in ((3, 4), (3, 9), (8, 32), (64, 64)):
        us = median(plan_us(busy(rng, cars, floors)) for _ in range(INPUTS // 3))
        most = max(plan_us(everything(rng, cars, floors)) for _ in range(INPUTS // 3))
        print(f"{f'{cars} x {floors}':<22}{us:>10.1f}{most:>34.1f}")


if __name__ == "__main__":
    main()
