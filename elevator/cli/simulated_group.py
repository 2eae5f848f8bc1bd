"""Runs the simulated group of native/bench.h. All `elevator bench` commands use it."""

from array import array
from collections.abc import Iterator
from typing import NamedTuple

from elevator import _assign, _bench
from elevator.cli.dispatch_report import Setting
from elevator.core.act import PARK_AFTER_MS
from elevator.core.assignment import AGES_EVERY_MS, STARVED_MS, UNCLAIMED_MS
from elevator.core.door import DOOR_EXTENSION_MS
from elevator.core.model import RATE_MAX
from elevator.core.traffic import PEOPLE, PRIOR_MS

ASSIGNERS = {
    "plan": _bench.PLAN,
    "reference": _bench.REFERENCE,
    "eta": _bench.ETA,
    "nearest": _bench.NEAREST,
    "lqf": _bench.LQF,
}
PARKS = {
    "none": _bench.PARK_NONE,
    "spread": _bench.PARK_SPREAD,
    "sparing": _bench.PARK_SPARING,
    "lobby": _bench.PARK_LOBBY,
}
TRIP_SIZE = 5


class Times(NamedTuple):
    """The fields of `struct bench_times`; native/bench.h explains them."""

    pass_ms: int
    start_ms: int
    brake_ms: int
    turn_ms: int
    open_ms: int
    dwell_ms: int
    stop_ms: int


LAB = Times(_assign.TRAVEL_MS, _assign.TRAVEL_MS, 0, 0, 0, _assign.DOOR_MS, _assign.DOOR_MS)
"""The nominal times of the lab's cars. In the simulation, they need no time to brake, to turn, or to move the door."""


class Counts(NamedTuple):
    """The fields of `struct bench_counts` in native/bench.h."""

    floors_moved: int
    reassigned: int
    starts: int
    turns: int
    decisions: int
    decision_ns: int
    decision_ns_most: int
    samples: int
    unclaimed: int
    claimed_twice: int


def uniform(seed: int) -> Iterator[float]:
    """Yield uniform random numbers in [0, 1), which splitmix64 generates from *seed*."""
    mask = (1 << 64) - 1
    while True:
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        z = ((seed ^ seed >> 30) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
        yield ((z ^ z >> 31) >> 11) * 2.0**-53


class Run(NamedTuple):
    """The result of one simulation. The times are in the order in which the passengers arrive."""

    waits_ms: "array[int]"
    journeys_ms: "array[int]"
    counts: Counts


def run(setting: Setting, cars: int, floors: int, seed: int, stream: "array[int]", times: Times = LAB) -> Run:
    """Simulate the passengers in *stream*, which holds TRIP_SIZE numbers for each of them, in the order of arrival.

    The numbers are the time of arrival in ms, origin, destination, and the times in ms to enter and to leave a car.
    *seed* decides which broadcasts are lost.
    """
    people = len(stream) // TRIP_SIZE
    waits_ms, journeys_ms = array("q", bytes(8 * people)), array("q", bytes(8 * people))
    counts = _bench.simulate(
        stream,
        waits_ms,
        journeys_ms,
        cars=cars,
        floors=floors,
        assigner=ASSIGNERS[setting.assigner],
        park=PARKS[setting.park],
        park_after_ms=PARK_AFTER_MS,
        door_extension_ms=DOOR_EXTENSION_MS,
        ages_every_ms=AGES_EVERY_MS,
        unclaimed_ms=UNCLAIMED_MS,
        starved_ms=STARVED_MS,
        capacity=setting.capacity,
        loss=setting.loss,
        seed=seed,
        people_max=PEOPLE,
        prior_ms=PRIOR_MS,
        rate_max=RATE_MAX,
        times=times,
    )
    return Run(waits_ms, journeys_ms, Counts(*counts))
