"""Who takes which hall call: flattens the group's state to integers for native/assign.c and takes one car's row.

Every node computes this from the same values and so gets the same answer; see native/assign.h for the algorithm.
"""

from collections.abc import Mapping

from elevator import _assign
from elevator.model import Behaviour, Buttons, Car

TRAVEL_MS = 2500
DOOR_OPEN_MS = 3000
"""Durations that the assigner reckons with. They are the same on every node, whatever a car has measured of itself:
nodes that reckon with different ones would not agree."""


def share(me: int, floors: int, hall: Buttons, cars: Mapping[int, tuple[Car, int]]) -> Buttons:
    """Return the hall calls that car *me* takes; *cars* has every able car and the mask of its cab calls."""
    ids = sorted(cars)
    rows = [row(car, cab, floors) for car, cab in (cars[id] for id in ids)]
    shares = _assign.reference(floors, hall.up, hall.down, rows, DOOR_OPEN_MS, TRAVEL_MS)
    up, down = shares[ids.index(me)]
    return Buttons(up, down)


def row(car: Car, cab: int, floors: int) -> tuple[int, int, int, int]:
    """Flatten *car*. One that claims to move past an end has just stopped there."""
    behaviour, direction = int(car.behaviour), int(car.direction)
    if behaviour == Behaviour.MOVING and not 0 <= car.floor + direction < floors:
        behaviour = Behaviour.IDLE
    return behaviour, car.floor, 0 if behaviour == Behaviour.IDLE else direction, cab
