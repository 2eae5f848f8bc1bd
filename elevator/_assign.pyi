"""The assigners of hall calls, and parking, in C (native/)."""

from typing import Final, TypeAlias

MAX_FLOORS: Final[int]
MAX_CARS: Final[int]
TRAVEL_MS: Final[int]
"""The nominal time from one floor to the next.

Every node plans with the nominal durations, even if its own car is faster or slower, because nodes that plan with
different durations disagree.
"""
DOOR_MS: Final[int]
"""The nominal dwell time."""
AGES: Final[int]
"""The number of ages that `plan` distinguishes among calls that have waited long."""
AGE_MS: Final[int]
"""The lowest of these ages, and the difference between one and the next."""
OBSTRUCTED: Final[int]
"""The behaviour of a car whose open door is obstructed. Only `plan` and `park` accept it."""

_Car: TypeAlias = tuple[int, int, int, int]
"""behaviour (0 idle, 1 moving, 2 door open), floor, direction (-1 down, 0 stop, 1 up), bit mask of cab calls.

`plan` and `park` also accept the behaviour OBSTRUCTED.
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

    The result contains a pair (up, down) for each car, in the order of *cars*. Each hall call is in exactly one pair.
    All sets of floors are bit masks: bit f stands for floor f. The order of *cars* breaks ties, so all nodes must pass
    the same one. The original sorts them by their ids, as text byte by byte. *door_ms* is the dwell time, and
    *travel_ms* the time from one floor to the next. With *clear_all* a stop serves both hall calls of its floor,
    otherwise only the call in the announced direction. *has_empty_id* is true if the first car's id is empty. The
    original uses an empty id for "no owner", so this car gets only the calls that are unassigned at the end.

    The result depends only on the arguments. Limits: 1..1024 floors, 1..500 cars, signed 32-bit durations. Raises
    ValueError with a one-line message for any other input: a floor that does not exist, a car that is outside the
    building or moves out of it, a value of the wrong type. Also raises ValueError if the simulation exceeds 4,194,304
    moves. With up to 64 floors and 64 cars, only a car with an empty id can cause that.
    """

_Shares: TypeAlias = tuple[tuple[int, int], ...]
_Rates: TypeAlias = tuple[int, ...]
"""The rates at which people arrive to travel in one direction, by floor, in people per 2^20 ms, 0..65535.

() means 0 for all floors.

Floor 0 has no down button. Its rate down is that of people whose button is unknown. It belongs to no button, but `plan`
counts it as load."""

def plan(
    floors: int,
    up: int,
    down: int,
    cars: tuple[_Car, ...] | list[_Car],
    claims: _Shares,
    waited: _Shares,
    up_rates: _Rates,
    down_rates: _Rates,
    door_ms: int = ...,
    travel_ms: int = ...,
    /,
) -> _Shares:
    """Assign the hall calls *up* and *down* so that passengers wait as little as possible.

    *claims* contains a pair (up, down) for each car: the calls that the car last claimed. A call stays with the car
    that claims it unless another car is better by a clear margin. *waited* contains AGES pairs: pair k contains the
    calls that have waited for at least (k + 1) * AGE_MS. The older a call, the more it counts. The other arguments and
    the result are as in `reference`. The result depends only on the arguments, and the work is bounded. Limits:
    1..MAX_FLOORS floors, 1..MAX_CARS cars, durations of 0..3,600,000 ms. Raises ValueError as `reference` does, and
    also for rates out of range.
    """

def park(
    floors: int,
    cars: tuple[_Car, ...] | list[_Car],
    shares: _Shares,
    up_rates: _Rates,
    down_rates: _Rates,
    sparing: bool = False,
    door_ms: int = ...,
    travel_ms: int = ...,
    /,
) -> tuple[int, ...]:
    """Choose the floor where each free car waits for its next passenger.

    The result contains a floor for each car, in the order of *cars*, and -1 for a car that is not free. A car is free
    if it has no cab calls, no hall calls in *shares* and a closed door. If *sparing* is true, a free car moves only if
    the next passenger then waits a second less on average.
    """

def decide(floor: int, direction: int, up: int, down: int, cab: int, departing: bool, /) -> tuple[int, int]:
    """Decide what a car does next, by the rules that `plan` simulates; return (behaviour, direction).

    A test checks that elevator.core.motion.decide returns the same.
    """
