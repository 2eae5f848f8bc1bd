"""Who takes which hall call: the assigners, in C (native/)."""

from typing import TypeAlias

_Car: TypeAlias = tuple[int, int, int, int]
"""behaviour (0 idle, 1 moving, 2 door open), floor, direction (-1 down, 0 stop, 1 up), bit mask of cab calls."""

def reference(
    floors: int,
    up: int,
    down: int,
    cars: tuple[_Car, ...] | list[_Car],
    door_ms: int = 3000,
    travel_ms: int = 2500,
    clear_all: bool = False,
) -> tuple[tuple[int, int], ...]:
    """Share out the hall calls *up* and *down* as the course's hall_request_assigner does.

    The result has one (up, down) for each of *cars*, in their order; every hall call is in exactly one of them. All
    sets of floors are bit masks: bit f stands for floor f. *cars* must come in ascending byte-wise order of their ids
    (as text): the order breaks ties, so all nodes must use the same. *door_ms* is how long a door stays open,
    *travel_ms* the time from one floor to the next. With *clear_all* a stop serves both directions of a floor,
    otherwise the announced one only.

    The result depends on nothing but the arguments. Limits: 1..64 floors, 1..64 cars, durations of 0..3,600,000 ms.
    Raises ValueError, with one line that says why, for everything else: a set with a floor that does not exist, a car
    outside the building or moving out of it, a value of the wrong kind.
    """
