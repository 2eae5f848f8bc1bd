"""Benchmark of the assigners in C, of parking, and of `elevator assign`.

    just bench assign [PROGRAM...]

It prints three tables:

1. The time of one call of the reference assigner from Python, compared with the official program, the course's
   hall_request_assigner. The times of that program exclude its start, and were measured on another machine with other
   inputs. So the ratios show only orders of magnitude.
2. The time of one call of the plan assigner, and of parking.
3. The time of one run of `elevator assign`, and of one request to its socket: for this checkout, and for each binary
   PROGRAM. The first row is the time of a run of Python that does nothing.

In the first two tables, each input is measured RUNS times, and the fastest run counts. A figure is the median over
random inputs from a fixed seed, or the maximum over them if the heading says "slowest". The row "64 x 64, all lit" is
the maximum over five inputs; in each, all cars are in the same state. The third table shows medians, and the 99th
percentile of a request.
"""

import json
import random
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter_ns, sleep
from typing import NamedTuple

from elevator import _assign

INPUTS = 300
STARTS = 30
REQUESTS = 2000
RUNS = 5


class Size(NamedTuple):
    """The size of a building, and the official program's median time for it."""

    cars: int
    floors: int
    official_us: float


SIZES = [Size(3, 4, 10.4), Size(3, 9, 57), Size(8, 16, 247), Size(8, 32, 1030), Size(32, 64, 5700)]
Arguments = tuple[int, int, int, list[tuple[int, int, int, int]]]


def busy(rng: random.Random, cars: int, floors: int) -> Arguments:
    """Draw a random state of a group.

    On average, 33 % of the hall calls and 20 % of the cab calls are lit, and half of the cars move.
    """

    def mask(share: float) -> int:
        return sum(1 << floor for floor in range(floors) if rng.random() < share)

    def car() -> tuple[int, int, int, int]:
        behaviour, floor = rng.choice([0, 1, 1, 2]), rng.randrange(floors)
        directions = [way for way in (-1, 1) if 0 <= floor + way < floors]
        return behaviour, floor, rng.choice(directions) if behaviour else 0, mask(0.2)

    up, down = mask(0.33) & ~(1 << floors - 1), mask(0.33) & ~1
    return floors, up, down, [car() for _ in range(cars)]


def full(behaviour: int, floor: int, direction: int) -> Arguments:
    """Return the largest input: 64 floors, and 64 cars in the same state, with every call lit."""
    everything = 2**64 - 1
    return 64, everything, everything, [(behaviour, floor, direction, everything)] * 64


def plan_us(arguments: Arguments) -> float:
    """Return how long `plan` takes, in microseconds. The first car claims all up calls, the last car all down calls."""
    floors, up, down, cars = arguments
    rates = tuple(range(floors))
    cars = [(behaviour, floor, direction or 1, cab) for behaviour, floor, direction, cab in cars]
    claims = tuple((up if k == 0 else 0, down if k == len(cars) - 1 else 0) for k in range(len(cars)))
    waited = ((up, down),) * _assign.AGES

    def once() -> int:
        before = perf_counter_ns()
        _assign.plan(floors, up, down, cars, claims, waited, rates, rates)
        return perf_counter_ns() - before

    return min(once() for _ in range(RUNS)) / 1000


def park_us(arguments: Arguments, busy: int) -> float:
    """Return how long parking takes, in microseconds. The first *busy* cars have calls; the others are idle."""
    floors, up, down, cars = arguments
    rates = tuple(range(floors))
    fleet = [(2, floor, 1, cab) if k < busy else (0, floor, 1, 0) for k, (_, floor, _, cab) in enumerate(cars)]
    assigned = tuple((up, down) if k < busy else (0, 0) for k in range(len(cars)))

    def once() -> int:
        before = perf_counter_ns()
        _assign.park(floors, fleet, assigned, rates, rates)
        return perf_counter_ns() - before

    return min(once() for _ in range(RUNS)) / 1000


def everything(rng: random.Random, cars: int, floors: int) -> Arguments:
    """Draw a random state of a group with every call lit."""
    _, _, _, fleet = busy(rng, cars, floors)
    every = (1 << floors) - 1
    rows = [(behaviour, floor, direction, every) for behaviour, floor, direction, _ in fleet]
    return floors, every >> 1, every & ~1, rows


def reference_us(arguments: Arguments) -> float:
    def once() -> int:
        before = perf_counter_ns()
        _assign.reference(*arguments)
        return perf_counter_ns() - before

    return min(once() for _ in range(RUNS)) / 1000


REQUEST = json.dumps(
    {
        "hallRequests": [[False, False], [True, False], [False, False], [False, True]],
        "states": {
            "one": {"behaviour": "moving", "floor": 2, "direction": "up", "cabRequests": [False, False, True, True]},
            "two": {"behaviour": "idle", "floor": 0, "direction": "stop", "cabRequests": [False, False, False, False]},
        },
    }
)


def run_ms(command: list[str]) -> float:
    """Return the median time from start to exit of *command*, in milliseconds."""

    def once() -> int:
        before = perf_counter_ns()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return perf_counter_ns() - before

    return median(once() for _ in range(STARTS)) / 1e6


def serve_us(command: list[str]) -> tuple[float, float]:
    """Run *command* as a server. Return the median and the 99th percentile of its response time, in microseconds."""
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as client:
        path = Path(directory) / "assigner"
        server = subprocess.Popen([*command, "--serve", str(path)])
        while not path.exists():
            sleep(0.01)
        client.connect(str(path))
        took = []
        for _ in range(REQUESTS):
            before = perf_counter_ns()
            client.sendall(REQUEST.encode() + b"\n")
            while not client.recv(1 << 16).endswith(b"\n"):
                pass
            took.append((perf_counter_ns() - before) / 1000)
        server.terminate()
        server.wait()
        return median(took), sorted(took)[len(took) * 99 // 100]


def main() -> None:
    rng = random.Random(4145)
    print(f"{'cars x floors':<22}{'here, us':>10}{'official, us':>14}{'ratio':>8}")
    for cars, floors, official_us in SIZES:
        us = median(reference_us(busy(rng, cars, floors)) for _ in range(INPUTS))
        print(f"{f'{cars} x {floors}':<22}{us:>10.2f}{official_us:>14.1f}{official_us / us:>7.0f}x")
    worst = max(reference_us(full(*state)) for state in ((0, 0, 0), (0, 32, 0), (1, 0, 1), (1, 63, -1), (2, 32, 1)))
    print(f"{'64 x 64, all lit':<22}{worst:>10.2f}{'-':>14}{'-':>8}")
    print(f"\n{'plan, us':<22}{'busy':>10}{'all lit, slowest':>34}{'parking, slowest':>24}")
    for cars, floors in ((3, 4), (3, 9), (8, 32), (64, 64)):
        us = median(plan_us(busy(rng, cars, floors)) for _ in range(INPUTS // 3))
        most = max(plan_us(everything(rng, cars, floors)) for _ in range(INPUTS // 3))
        parks = max(park_us(everything(rng, cars, floors), n * cars // 4) for n in range(4) for _ in range(INPUTS // 6))
        print(f"{f'{cars} x {floors}':<22}{us:>10.1f}{most:>34.1f}{parks:>24.1f}")
    print(f"\n{'elevator assign':<40}{'one run, ms':>12}{'request on the socket, us':>27}{'p99':>8}")
    print(f"{'(Python without a program)':<40}{run_ms([sys.executable, '-c', 'pass']):>12.1f}")
    for command in [[sys.executable, "-m", "elevator"], *([program] for program in sys.argv[1:])]:
        words = [*command, "assign"]
        once_ms = run_ms([*words, "--input", REQUEST])
        us, most = serve_us(words)
        print(f"{' '.join(Path(word).name for word in words):<40}{once_ms:>12.1f}{us:>27.0f}{most:>8.0f}")


if __name__ == "__main__":
    main()
