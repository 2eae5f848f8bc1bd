"""A simulated group of cars with passengers for `elevator bench`, in C (native/bench.h)."""

from array import array
from typing import Final, TypeAlias

REFERENCE: Final[int]
PLAN: Final[int]
ETA: Final[int]
NEAREST: Final[int]
LQF: Final[int]
PARK_NONE: Final[int]
PARK_SPREAD: Final[int]
PARK_SPARING: Final[int]
PARK_LOBBY: Final[int]

_Service: TypeAlias = tuple[int, int, int, int, int]
"""A served hall call: (now_ms, floor, direction, age_ms, rate), as in traffic.py."""

def learn(
    floors: int, services: tuple[_Service, ...], people_max: int, prior_ms: int, rate_max: int, /
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the rates, up and down, that a simulated car learns from *services*, by the rules of traffic.py."""

def simulate(
    trips: array[int],
    waits: array[int],
    journeys: array[int],
    *,
    cars: int,
    floors: int,
    assigner: int,
    park: int,
    park_after_ms: int,
    door_extension_ms: int,
    ages_every_ms: int,
    unclaimed_ms: int,
    starved_ms: int,
    capacity: int,
    loss: int,
    seed: int,
    people_max: int,
    prior_ms: int,
    rate_max: int,
    times: tuple[int, int, int, int, int, int, int],
) -> tuple[int, int, int, int, int, int, int, int, int, int]:
    """Simulate passengers in virtual time, and return the fields of struct bench_counts.

    *trips* contains the fields of `struct bench_trip` for each passenger, *times* those of `struct bench_times`. The
    simulation writes the waiting time and the journey time of each passenger, in ms, into *waits* and *journeys*. The
    arrays have type "q". Raises ValueError for an invalid group or trip, and RuntimeError if the simulation does not
    end or memory runs out.
    """
