"""A simulated group of cars with passengers for `elevator bench dispatch`, in C (native/bench.h)."""

from array import array
from typing import TypeAlias

_Service: TypeAlias = tuple[int, int, int, int, int]
"""When a car served a hall call: now_ms, floor, direction, age_ms, rate, as the arguments of `met` in traffic.py."""

def learn(floors: int, services: tuple[_Service, ...], /) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the rates, up and down, that a simulated car learns from *services*, by the rules of traffic.py."""

def simulate(
    trips: array[int],
    waits: array[int],
    journeys: array[int],
    cars: int,
    floors: int,
    assigner: int,
    park: int,
    park_after_ms: int,
    capacity: int,
    loss: int,
    seed: int,
    /,
) -> tuple[int, int, int, int, int, int, int, int, int]:
    """Let passengers come and go in virtual time (native/bench.h), and return the counts of struct bench_counts.

    *trips* has (at_ms, from, to) of each passenger, one after the other; *waits* and *journeys* are filled with what
    each took in ms. All three are arrays of type "q". Raises ValueError for a group or a trip that cannot be.
    """
