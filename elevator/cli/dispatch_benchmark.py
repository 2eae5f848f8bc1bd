"""`elevator bench dispatch`: compares an algorithm that assigns hall calls with others, the *baselines*.

 1. A cell is a combination of building, traffic profile and load; there are 4 * 4 * 3 = 48. Load 1 (medium) is the
    highest arrival rate that the cars could handle if each carried one passenger at a time, and then drove to the next
    one empty.
 2. Passengers arrive as a Poisson process. Some travel up from the lobby (floor 0), some down to it, others between
    two random floors. splitmix64 generates all random numbers from the seed.
 3. C code (native/bench.h) simulates cars, doors and passengers, and calls the assigners that the nodes use. All cars
    start at floor 0. The possible baselines are the reference algorithm and two textbook rules (native/bench_rules.c).
    Each baseline serves the same passengers twice: without parking (*plain*), and with the same parking (*equal*).
 4. With --loss, each node has its own view of the group. Nodes broadcast their states every 100 ms, and each receiver
    misses the given percentage of the broadcasts. Without --loss, all nodes share one view.

The waiting time is from a passenger's arrival until the passenger enters a car. The journey time is from arrival until
the passenger leaves the car.
"""

import argparse
import math
import os
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from elevator import _assign
from elevator.cli.arguments import Arguments, integer
from elevator.cli.dispatch_report import (
    HEAD,
    Cell,
    Results,
    Setting,
    as_json,
    as_svg,
    line,
    mean,
    percentile_95,
    summary,
    title,
)
from elevator.cli.simulated_group import ASSIGNERS, PARKS, TRIP_SIZE, Counts, run, uniform

WARM_UP = 100
"""The waiting and journey times exclude this many passengers at the start of each simulation."""
BUILDINGS = {"3x4": (3, 4), "3x9": (3, 9), "6x16": (6, 16), "8x32": (8, 32)}
"""For each building: the number of cars and the number of floors."""
PROFILES = {"up": (0.85, 0.05), "down": (0.05, 0.85), "inter": (0.0, 0.0), "lunch": (0.4, 0.4)}
"""For each profile: the fraction of trips up from the lobby, and of trips down to it. The other trips connect two
random floors, one of which may be the lobby."""
LOADS = {"light": 0.25, "medium": 1.0, "heavy": 3.0}
BASELINES = ("reference", "eta", "nearest")

COLUMNS = """\
algorithms:
  plan       this project's algorithm
  reference  the algorithm of the course's hall_request_assigner
  eta        assigns one call after another, always the one that adds least to the sum of the estimated arrival times
  nearest    a call goes to the nearest car that is idle or approaches. A car that approaches in the other direction
             counts as one floor farther away.
  lqf        longest queue first, the yardstick of `bench crites-barto`
All of them assign all calls again at every event.

columns:
  own, plain, equal  the algorithm of --assigner; the baseline without parking; the baseline with the same parking
  wait s     mean waiting time in seconds
  ratio      mean waiting time of the algorithm divided by that of the baseline: the geometric mean over the seeds.
             +- is half the width of the 95 % interval of the ratio to `equal`; it needs at least two seeds.
  p95        the same for the 95th percentile of the waiting time. In both, a time below 0.1 s counts as 0.1 s.
  journey    ratio of the mean journey times, from arrival until the passenger leaves the car
  floors     distance that the cars travel per passenger, in floors
  starts     motor starts per passenger. A reversal between two stops is a start.
  reassigned calls that move to another car, per hundred passengers
  turns      cars that turn or stop on their way because the assignment has changed, per hundred passengers
  us, max us         time to compute one assignment, in microseconds: mean and maximum
"""


def trips(seed: int, count: int, floors: int, profile: tuple[float, float], per_ms: float) -> "array[int]":
    """Draw *count* passengers. On average, *per_ms* of them arrive per ms.

    Return an array for `run`. The passengers need no time to enter or leave.
    """
    up, down = profile
    numbers = uniform(seed)
    rows = array("q")
    at_ms = 0.0
    for _ in range(count):
        at_ms -= math.log(1 - next(numbers)) / per_ms
        kind, first, second = next(numbers), next(numbers), next(numbers)
        upper, other = 1 + int(first * (floors - 1)), int(second * (floors - 1))
        if kind < up:
            origin, destination = 0, upper
        elif kind < up + down:
            origin, destination = upper, 0
        else:
            origin = int(first * floors)
            destination = other + (other >= origin)
        rows.extend((int(at_ms), origin, destination, 0, 0))
    return rows


def trip_probabilities(floors: int, profile: tuple[float, float]) -> dict[tuple[int, int], float]:
    """Return the probability of each pair of origin and destination."""
    up, down = profile
    found = {
        (origin, destination): (1 - up - down) / floors / (floors - 1)
        for origin in range(floors)
        for destination in range(floors)
        if origin != destination
    }
    for upper in range(1, floors):
        found[0, upper] += up / (floors - 1)
        found[upper, 0] += down / (floors - 1)
    return found


def passengers_per_ms(cars: int, floors: int, profile: tuple[float, float], load: float) -> float:
    """Return the arrival rate at *load*, in passengers per ms."""
    probabilities = trip_probabilities(floors, profile)
    origins, destinations = [0.0] * floors, [0.0] * floors
    ridden = 0.0
    for (origin, destination), chance in probabilities.items():
        origins[origin] += chance
        destinations[destination] += chance
        ridden += chance * abs(destination - origin)
    empty = sum(destinations[a] * origins[b] * abs(a - b) for a in range(floors) for b in range(floors))
    return load * cars / (2 * _assign.DOOR_MS + _assign.TRAVEL_MS * (ridden + empty))


def simulate(setting: Setting, cars: int, floors: int, streams: Sequence["array[int]"]) -> Results:
    """Simulate one building with the passengers in *streams*, one stream for each seed. Combine the results."""
    waits: list[list[int]] = []
    journeys: list[int] = []
    counted: list[Counts] = []
    for seed, stream in zip(setting.seeds, streams, strict=True):
        done = run(setting, cars, floors, seed, stream)
        counted.append(done.counts)
        waits.append(sorted(done.waits_ms[WARM_UP:]))
        journeys += done.journeys_ms[WARM_UP:]
    every = sorted(chain.from_iterable(waits))
    total = Counts(*map(sum, zip(*counted, strict=True)))
    passengers = sum(len(stream) // TRIP_SIZE for stream in streams)
    return Results(
        wait_s=mean(every) / 1000,
        p95_s=percentile_95(every) / 1000,
        max_s=every[-1] / 1000,
        journey_s=mean(journeys) / 1000,
        waits_s=[mean(each) / 1000 for each in waits],
        p95s_s=[percentile_95(each) / 1000 for each in waits],
        floors_moved=total.floors_moved / passengers,
        starts=total.starts / passengers,
        reassigned=total.reassigned / passengers,
        turns=total.turns / passengers,
        decision_us=total.decision_ns / max(total.decisions, 1) / 1000,
        decision_us_most=max(counts.decision_ns_most for counts in counted) / 1000,
        unclaimed=total.unclaimed / max(total.samples, 1),
        claimed_twice=total.claimed_twice / max(total.samples, 1),
    )


def cells(
    setting: Setting, baselines: Sequence[str], configs: Sequence[str], profiles: Sequence[str], loads: Sequence[str]
) -> Iterator[Cell]:
    """Yield the results for each building, profile, load and baseline."""
    for config in configs:
        cars, floors = BUILDINGS[config]
        for profile in profiles:
            for load in loads:
                per_ms = passengers_per_ms(cars, floors, PROFILES[profile], LOADS[load])
                streams = [trips(seed, setting.passengers, floors, PROFILES[profile], per_ms) for seed in setting.seeds]
                run = simulate(setting, cars, floors, streams)
                for baseline in baselines:
                    same = setting._replace(assigner=baseline)
                    plain = simulate(same._replace(park="none"), cars, floors, streams)
                    equal = plain if setting.park == "none" else simulate(same, cars, floors, streams)
                    yield Cell(config, profile, load, baseline, run, plain, equal)


def names_of(known: Sequence[str]) -> Callable[[str], list[str]]:
    """Return an argparse type that accepts a comma-separated list of names in *known*."""

    def names(text: str) -> list[str]:
        found = text.split(",")
        if unknown := [each for each in found if each not in known]:
            raise argparse.ArgumentTypeError(f"unknown name {unknown[0]!r}: use one of {', '.join(known)}")
        return found

    return names


def main(argv: list[str]) -> int:
    """Run `elevator bench dispatch`; return the exit status."""
    parser = Arguments(
        prog="elevator bench dispatch",
        description="Compare the waiting times of passengers under different algorithms that assign hall calls.",
        epilog=COLUMNS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "what",
        choices=["dispatch"],
        help="the benchmark to run. For the other benchmark, see `elevator bench crites-barto --help`",
    )
    parser.add_argument("--seed", type=integer(0, 1 << 62), metavar="N", help="first seed; default: random")
    parser.add_argument(
        "--seeds", type=integer(1, 1000), default=2, metavar="N", help="number of consecutive seeds; default: 2"
    )
    parser.add_argument(
        "--passengers",
        type=integer(2 * WARM_UP, 1_000_000),
        default=2500,
        metavar="N",
        help=f"number of passengers in each simulation; the times of the first {WARM_UP} do not count; default: 2500",
    )
    parser.add_argument(
        "--assigner", choices=ASSIGNERS, default="plan", help="algorithm to compare with the baselines; default: plan"
    )
    parser.add_argument(
        "--baselines",
        type=names_of([*BASELINES]),
        default=["reference"],
        metavar="NAME,NAME",
        help="algorithms to compare with: reference, eta, nearest; default: reference",
    )
    parser.add_argument(
        "--park",
        choices=PARKS,
        default="spread",
        help="where idle cars park, except in the `plain` results; default: spread",
    )
    parser.add_argument(
        "--capacity",
        type=integer(0, 1000),
        default=0,
        metavar="N",
        help="maximum number of passengers in a car; default: 0 (unlimited)",
    )
    parser.add_argument(
        "--loss",
        type=integer(0, 99),
        default=-1,
        metavar="PERCENT",
        help="give each node a view of its own, and lose this percentage of broadcasts; default: one shared view",
    )
    parser.add_argument(
        "--configs",
        type=names_of([*BUILDINGS]),
        default=[*BUILDINGS],
        metavar="NAME,NAME",
        help="buildings, CARSxFLOORS: 3x4, 3x9, 6x16, 8x32; default: all",
    )
    parser.add_argument(
        "--profiles",
        type=names_of([*PROFILES]),
        default=[*PROFILES],
        metavar="NAME,NAME",
        help="traffic profiles: up, down, inter, lunch; default: all",
    )
    parser.add_argument(
        "--loads",
        type=names_of([*LOADS]),
        default=[*LOADS],
        metavar="NAME,NAME",
        help="loads: light, medium, heavy; default: all",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table and the summary")
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="write an SVG chart of the waiting times, relative to those of the first baseline",
    )
    arguments = parser.parse_args(argv)
    seed = int.from_bytes(os.urandom(4), "big") if arguments.seed is None else arguments.seed
    seeds = range(seed, seed + arguments.seeds)
    setting = Setting(
        arguments.assigner, arguments.park, seeds, arguments.passengers, arguments.capacity, arguments.loss
    )
    if not arguments.json:
        print(f"{title(setting)}\n{HEAD}", flush=True)
    found: list[Cell] = []
    for cell in cells(setting, arguments.baselines, arguments.configs, arguments.profiles, arguments.loads):
        found.append(cell)
        if not arguments.json:
            print(line(cell), flush=True)
    print(as_json(setting, found) if arguments.json else summary(found, setting.loss))
    if arguments.plot is not None:
        first = arguments.baselines[0]
        caption = f"Mean waiting time relative to {first} without parking (bar) and with equal parking (line)"
        try:
            arguments.plot.write_text(as_svg([cell for cell in found if cell.baseline == first], caption))
        except OSError as error:
            print(f"elevator bench dispatch: cannot write {arguments.plot}: {error.strerror}", file=sys.stderr)
            return 2
    return 0
