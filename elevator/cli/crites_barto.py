"""`elevator bench crites-barto`: compares dispatching algorithms in the elevator system of Crites and Barto.

The system is that of R. H. Crites and A. G. Barto, "Elevator Group Control Using Multiple Reinforcement Learning
Agents", Machine Learning 33, pp. 235-262, 1998. Sections 3.3 and 5.1 give its parameters and the published results.
Four cars, each for up to 20 people, serve ten floors during the down-peak hour of an office building.

 1. A car passes a floor in 1.45 s. A stop takes 7.19 s longer: the car brakes, opens and closes its door, and
    accelerates. Reversing takes 1 s more. The paper does not say whether the 7.19 s include half a floor of braking and
    half a floor of accelerating. Here they do not, because the mean wait of LQF in the mix "down only" is then closer
    to the published one: 3.5 % less instead of 13 % less. The door opens as fast as it closes.
 2. Passengers enter and leave one after another. Each needs a random time, from an Erlang distribution of order 20 with
    a mean of 1 s, truncated to the range from 0.6 to 6 s. A wait ends when the passenger has entered.
 3. Passengers arrive as a Poisson process. For each five minutes of the hour, DOWN_PEAK gives the mean number of people
    at each upper floor who go down to the lobby. In the other two traffic mixes (MIXES), people also go up from the
    lobby to random floors, and between upper floors. The paper gives 0 to 10 % for the trips between upper floors,
    relative to the trips down to the lobby; here it is 5 %.
 4. LQF, longest queue first, sends empty cars, and cars on their way up, to the queues that have waited longest. A car
    also takes a call that it encounters in its direction, unless another car is sent to that call
    (native/bench_rules.c). Like a real controller, LQF knows how long a button has been lit, but not how many people
    wait.
 5. Each seed gives one hour, which begins with all cars at the lobby and nothing learned. The algorithms know the
    nominal time of a stop. Only `plan` parks cars.
"""

import argparse
import json
import math
import os
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from elevator.cli.arguments import Arguments, integer
from elevator.cli.dispatch_report import Ratio, Setting, mean, ratio_of
from elevator.cli.simulated_group import PARKS, Times, run, uniform

CARS, FLOORS, CAPACITY = 4, 10, 20
PASS_MS, STOP_MS, TURN_MS = 1450, 7190, 1000
DOOR_MS = (STOP_MS - PASS_MS) // 2
"""How long the door takes to open, and to close. A car brakes within half a floor, and accelerates within half a floor.
At constant acceleration, each takes as long as a whole floor at full speed, PASS_MS. So both together take PASS_MS
longer than passing the floor. The door takes the rest of STOP_MS."""
TRANSFER_MS, TRANSFER_LEAST_MS, TRANSFER_MOST_MS, ERLANG_ORDER = 1000, 600, 6000, 20
TIMES = Times(PASS_MS, PASS_MS, PASS_MS, TURN_MS, DOOR_MS, DOOR_MS, STOP_MS + TRANSFER_MS)
DOWN_PEAK = (1, 2, 4, 4, 18, 12, 8, 7, 18, 5, 3, 2)
INTERVAL_MS = 300_000
MIXES = {"down only": (0.0, 0.0), "+2 up": (2.0, 0.05), "+4 up": (4.0, 0.05)}
"""For each traffic mix, how many people per minute go up from the lobby, and how many travel between upper floors for
each one who goes down to the lobby."""
YARDSTICK = "lqf"
ALGORITHMS = ("plan", YARDSTICK, "nearest", "eta", "reference")

COLUMNS = """\
algorithms:
  plan            this project's algorithm, the only one here that parks idle cars
  lqf             longest queue first, the yardstick: empty cars and cars on their way up go to the queues that have
                  waited longest
  nearest, eta, reference  the baselines of `bench dispatch`
  LQF, FIM, ESA, RLd       results that Crites and Barto (1998) published for their own simulator. RLd is their
                           reinforcement learning.

columns:
  mix             traffic: all passengers go down to the lobby; or in addition, 2 or 4 per minute go up from it, and
                  a few travel between upper floors
  wait s, wait2   mean waiting time; mean squared waiting time, in seconds squared
  system s        mean time from arrival until the passenger leaves the car
  >60 s           percentage of passengers who wait longer than 60 s
  ratios, +-      relative to lqf with the same passengers: geometric mean over the hours, and half the width of its
                  95 % interval. Published results are relative to the published LQF.
"""


class Score(NamedTuple):
    """The measures that the paper reports: three means, and the percentage of waits over 60 s.

    `system_s` is the mean time from a passenger's arrival until they leave the car.
    """

    wait_s: float
    squared_wait_s2: float
    system_s: float
    above_60_s_percent: float


PUBLISHED = {
    "down only": {
        "LQF": Score(19.1, 534, 46.6, 0.89),
        "FIM": Score(16.0, 359, 47.9, 0.11),
        "ESA": Score(15.1, 338, 47.1, 0.25),
        "RLd": Score(14.7, 313, 41.7, 0.07),
    },
    "+2 up": {
        "LQF": Score(21.9, 732, 50.7, 2.87),
        "FIM": Score(17.9, 476, 48.9, 0.50),
        "ESA": Score(18.0, 524, 50.0, 1.56),
        "RLd": Score(16.9, 468, 42.7, 1.40),
    },
    "+4 up": {
        "LQF": Score(23.5, 877, 53.5, 4.92),
        "FIM": Score(20.8, 685, 53.4, 3.10),
        "ESA": Score(20.1, 667, 52.3, 3.12),
        "RLd": Score(18.8, 593, 45.4, 2.40),
    },
}
"""The results in tables 2, 3 and 4 of the paper, by traffic mix and algorithm."""


class AlgorithmResult(NamedTuple):
    """The results of one algorithm in one traffic mix, simulated here or published.

    The ratios compare the mean wait and the mean squared wait with those of LQF. For a simulation, they are geometric
    means over hours with the same passengers. Published results are compared with the published LQF, and their
    intervals are unknown.
    """

    score: Score
    wait_ratio: Ratio
    squared_wait_ratio: Ratio


def transfer_ms(numbers: Iterator[float]) -> int:
    """Draw the time that a passenger needs to enter or leave a car."""
    while True:
        product = math.prod(1 - next(numbers) for _ in range(ERLANG_ORDER))
        ms = -math.log(product) * TRANSFER_MS / ERLANG_ORDER
        if TRANSFER_LEAST_MS <= ms <= TRANSFER_MOST_MS:
            return int(ms)


def down_peak(seed: int, up_per_minute: float, between: float) -> "array[int]":
    """Draw the passengers of one hour, as an array for `run`. *up_per_minute* and *between* are as in MIXES."""
    numbers, rows = uniform(seed), array("q")
    for interval, people in enumerate(DOWN_PEAK):
        down, up = people * (FLOORS - 1) / INTERVAL_MS, up_per_minute / 60_000
        all_per_ms = down + up + between * down
        at_ms = 0.0
        while (at_ms := at_ms - math.log(1 - next(numbers)) / all_per_ms) < INTERVAL_MS:
            kind = next(numbers) * all_per_ms
            upper, other = 1 + int(next(numbers) * (FLOORS - 1)), 1 + int(next(numbers) * (FLOORS - 2))
            if kind < up:
                trip = (0, upper)
            elif kind < up + down:
                trip = (upper, 0)
            else:
                trip = (upper, other + (other >= upper))
            rows.extend((interval * INTERVAL_MS + int(at_ms), *trip, transfer_ms(numbers), transfer_ms(numbers)))
    return rows


def score(waits_ms: Sequence[int], journeys_ms: Sequence[int]) -> Score:
    return Score(
        wait_s=mean(waits_ms) / 1000,
        squared_wait_s2=mean([ms * ms for ms in waits_ms]) / 1_000_000,
        system_s=mean(journeys_ms) / 1000,
        above_60_s_percent=100 * mean([ms > 60_000 for ms in waits_ms]),
    )


def measure(seeds: Sequence[int], park: str, up_per_minute: float, between: float) -> dict[str, AlgorithmResult]:
    """Simulate one hour per seed with each algorithm. All algorithms get the same passengers.

    Return the results by algorithm. Only `plan` uses *park*.
    """
    hours = [down_peak(seed, up_per_minute, between) for seed in seeds]
    scores: dict[str, list[Score]] = {}
    whole: dict[str, Score] = {}
    for name in ALGORITHMS:
        setting = Setting(name, park if name == "plan" else "none", seeds, 0, CAPACITY, -1)
        done = [run(setting, CARS, FLOORS, seed, hour, TIMES) for seed, hour in zip(seeds, hours, strict=True)]
        scores[name] = [score(each.waits_ms, each.journeys_ms) for each in done]
        waits_ms, journeys_ms = zip(*[(each.waits_ms, each.journeys_ms) for each in done], strict=True)
        whole[name] = score([*chain(*waits_ms)], [*chain(*journeys_ms)])

    def ratio(name: str, field: int) -> Ratio:
        pairs = zip(scores[name], scores[YARDSTICK], strict=True)
        return ratio_of([math.log(own[field] / other[field]) for own, other in pairs])

    return {name: AlgorithmResult(whole[name], ratio(name, 0), ratio(name, 1)) for name in ALGORITHMS}


HEAD = (
    f"{'mix':<11}{'algorithm':<11}{'wait s':>8}{'wait2':>8}{'system s':>10}{'>60 s':>8}"
    f"{'ratio':>10}{'+-':>7}{'wait2 ratio':>13}{'+-':>7}"
)


def line(mix: str, name: str, row: Score, wait_ratio: Ratio, squared_wait_ratio: Ratio) -> str:
    """Return the line of the table for the algorithm *name* in the traffic mix *mix*."""
    return (
        f"{mix:<11}{name:<11}{row.wait_s:>8.1f}{row.squared_wait_s2:>8.0f}{row.system_s:>10.1f}"
        f"{row.above_60_s_percent:>8.2f}{wait_ratio.value:>10.3f}{wait_ratio.margin:>7}"
        f"{squared_wait_ratio.value:>13.3f}{squared_wait_ratio.margin:>7}"
    )


def published(mix: str) -> dict[str, AlgorithmResult]:
    """Return the published results for the traffic mix *mix* by algorithm, with their ratios to the published LQF."""
    rows = PUBLISHED[mix]

    def ratio(row: Score, field: int) -> Ratio:
        return Ratio(row[field] / rows["LQF"][field], math.nan, math.nan)

    return {name: AlgorithmResult(row, ratio(row, 0), ratio(row, 1)) for name, row in rows.items()}


def as_json(results: dict[str, AlgorithmResult]) -> dict[str, object]:
    def as_list(ratio: Ratio) -> list[float | None]:
        return [None if math.isnan(each) else each for each in ratio]

    return {
        name: {**row._asdict(), "wait_ratio": as_list(wait), "squared_wait_ratio": as_list(squared)}
        for name, (row, wait, squared) in results.items()
    }


def main(argv: list[str]) -> int:
    """Run `elevator bench crites-barto`; return the exit status."""
    parser = Arguments(
        prog="elevator bench crites-barto",
        description="Compare the waiting times of passengers under different algorithms, in the elevator system of "
        "Crites and Barto (1998).",
        epilog=COLUMNS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=integer(0, 1 << 62), metavar="N", help="first seed; default: random")
    parser.add_argument(
        "--seeds",
        type=integer(1, 1000),
        default=30,
        metavar="N",
        help="number of seeds, one simulated hour each; default: 30",
    )
    parser.add_argument(
        "--park", choices=PARKS, default="spread", help="where idle cars park with `plan`; default: spread"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    arguments = parser.parse_args(argv)
    seed = int.from_bytes(os.urandom(4), "big") if arguments.seed is None else arguments.seed
    seeds = range(seed, seed + arguments.seeds)
    if not arguments.json:
        print(f"parking {arguments.park}, seeds {seeds[0]}..{seeds[-1]}\n{HEAD}", flush=True)
    found = {}
    for mix, (up_per_minute, between) in MIXES.items():
        measured = measure(seeds, arguments.park, up_per_minute, between)
        found[mix] = {"measured": as_json(measured), "published": as_json(published(mix))}
        if not arguments.json:
            rows = [line(mix, name, *each) for name, each in {**measured, **published(mix)}.items()]
            print("\n".join(rows), flush=True)
    if arguments.json:
        print(json.dumps({"park": arguments.park, "seeds": [*seeds], "mixes": found}, indent=1))
    return 0
