"""The assigners of hall calls, in C (native/)."""

from typing import Final, TypeAlias

MAX_FLOORS: Final[int]
MAX_CARS: Final[int]
TRAVEL_MS: Final[int]
"""The nominal time from one floor to the next.

Every node plans with the nominal durations, whatever its car has measured: the nodes would not agree otherwise.
"""
DOOR_MS: Final[int]
"""The nominal dwell time."""
OBSTRUCTED: Final[int]
"""The behaviour of a car with an obstructed open door, for `plan` and `park`."""

_Car: TypeAlias = tuple[int, int, int, int]
"""behaviour (0 idle, 1 moving, 2 door open), floor, direction (-1 down, 0 stop, 1 up), bit mask of cab calls.

`plan` and `park` also know OBSTRUCTED.
"""

def reference(
    floors: int,
    up: int,
    down: int,
    cars: tuple[_Car, ...] | list[_Car],
    door_ms: int = ...,
    travel_ms: int = ...,
    clear_all: bool = False,
    has_empty_id: bool = False,
) -> tuple[tuple[int, int], ...]:
    """Assign the hall calls *up* and *down* as the course's hall_request_assigner does.

    The result has one (up, down) for each of *cars*, in their order; every hall call is in exactly one of them. All
    sets of floors are bit masks: bit f stands for floor f. *cars* must come in ascending byte-wise order of their ids
    (as text): the order breaks ties, so all nodes must use the same. *door_ms* is how long a door stays open,
    *travel_ms* the time from one floor to the next. With *clear_all* a stop serves both directions of a floor,
    otherwise the announced one only. *has_empty_id* is true if the first car's id is empty. The original reads that as
    "no owner", so the car gets only the calls that are unassigned at the end.

    The result depends only on the arguments. Limits: 1..1024 floors, 1..500 cars, durations of 32 bits (negative ones
    too). Raises ValueError with a message of one line for any other input: a floor that does not exist, a car that is
    outside the building or moves out of it, a value of the wrong type. Raises ValueError too if the simulation exceeds
    4,194,304 moves, which only a car with an empty id can cause.
    """

_Shares: TypeAlias = tuple[tuple[int, int], ...]
_Rates: TypeAlias = tuple[int, ...]
"""People in 2^20 ms at each floor, 0..65535; () if nothing is known."""

def plan(
    floors: int,
    up: int,
    down: int,
    cars: tuple[_Car, ...] | list[_Car],
    claims: _Shares,
    up_rates: _Rates,
    down_rates: _Rates,
    door_ms: int = ...,
    travel_ms: int = ...,
    /,
) -> _Shares:
    """Assign the hall calls *up* and *down* so that passengers wait as little as possible.

    *claims* has, for each car, the (up, down) that it last published as its own. A call stays with the car that claims
    it unless another car is better by a clear margin. The other arguments and the result are as with `reference`. The
    result depends only on the arguments, and the work is bounded. Limits: 1..MAX_FLOORS floors, 1..MAX_CARS cars,
    durations of 0..3,600,000 ms. Raises ValueError as `reference` does, and for rates out of range.
    """

def park(
    floors: int,
    cars: tuple[_Car, ...] | list[_Car],
    shares: _Shares,
    up_rates: _Rates,
    down_rates: _Rates,
    door_ms: int = ...,
    travel_ms: int = ...,
    /,
) -> tuple[int, ...]:
    """Choose a floor for each free car to wait at, and -1 for each other car.

    A car is free if it has no cab calls, no hall calls in *shares* and a closed door.
    """

def decide(floor: int, direction: int, up: int, down: int, cab: int, departing: bool, /) -> tuple[int, int]:
    """Return (behaviour, direction) as elevator.core.motion.decide does, by the rules that the assigner simulates."""
