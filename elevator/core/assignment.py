"""Who takes which hall call, and where idle cars wait: flattens the group's state to integers for native/.

Every node computes this from the same values and so gets the same answer; see native/assign.h and native/plan.c for the
algorithms. An answer depends on the arguments only, so the last ones are kept: most ticks change nothing of them.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from elevator import _assign
from elevator.core.model import Assigner, Behaviour, Buttons, Car, Park, Policy, Rates

TRAVEL_MS = 2500
DOOR_OPEN_MS = 3000
"""Durations that the assigner reckons with. They are the same on every node, whatever a car has measured of itself:
nodes that reckon with different ones would not agree."""
KEPT = 16

Row = tuple[int, int, int, int]
Shares = tuple[tuple[int, int], ...]


class Member(NamedTuple):
    """A car that can serve hall calls, as all nodes know it."""

    car: Car
    cab: int
    """Mask of its cab calls."""
    claims: Buttons
    """The hall calls that it said last to be its own."""
    rates: Rates
    """The traffic that it has met."""


def share(policy: Policy, me: int, floors: int, hall: Buttons, members: Mapping[int, Member]) -> Buttons:
    """Return the hall calls that car *me*, one of *members*, takes."""
    ids = sorted(members)
    up, down = shares(policy, floors, hall, [members[id] for id in ids])[ids.index(me)]
    return Buttons(up, down)


def park(policy: Policy, me: int, floors: int, hall: Buttons, members: Mapping[int, Member]) -> int | None:
    """Return the floor where car *me* should wait if it has nothing to do; None if it may stay where it is."""
    if policy.park is Park.NONE:
        return None
    ids = sorted(members)
    cars = [members[id] for id in ids]
    taken = shares(policy, floors, hall, cars)
    k = ids.index(me)
    if taken[k] != (0, 0) or members[me].cab or members[me].car.behaviour is Behaviour.DOOR_OPEN:
        return None
    if policy.park is Park.LOBBY:
        return 0
    rows = tuple(row(each.car, each.cab, floors) for each in cars)
    return targets(floors, rows, taken, *total(tuple(each.rates for each in cars), floors))[k]


def shares(policy: Policy, floors: int, hall: Buttons, members: list[Member]) -> Shares:
    """Share out *hall* among all *members*, which are in the order of their ids."""
    if not hall.up | hall.down:
        return ((0, 0),) * len(members)
    rows = tuple(row(each.car, each.cab, floors) for each in members)
    if policy.assigner is Assigner.REFERENCE:
        return reference(floors, hall.up, hall.down, tuple(map(resting, rows)))
    claims = tuple((each.claims.up, each.claims.down) for each in members)
    return plan(floors, hall.up, hall.down, rows, claims, *total(tuple(each.rates for each in members), floors))


@lru_cache(maxsize=KEPT)
def reference(floors: int, up: int, down: int, rows: tuple[Row, ...]) -> Shares:
    return _assign.reference(floors, up, down, rows, DOOR_OPEN_MS, TRAVEL_MS)


@lru_cache(maxsize=KEPT)
def plan(
    floors: int, up: int, down: int, rows: tuple[Row, ...], claims: Shares, ups: tuple[int, ...], downs: tuple[int, ...]
) -> Shares:
    return _assign.plan(floors, up, down, rows, claims, ups, downs, DOOR_OPEN_MS, TRAVEL_MS)


@lru_cache(maxsize=KEPT)
def targets(
    floors: int, rows: tuple[Row, ...], taken: Shares, ups: tuple[int, ...], downs: tuple[int, ...]
) -> tuple[int, ...]:
    return _assign.park(floors, rows, taken, ups, downs, DOOR_OPEN_MS, TRAVEL_MS)


@lru_cache(maxsize=KEPT)
def total(rates: tuple[Rates, ...], floors: int) -> Rates:
    """Add up what the cars have learned; who has not learned anything yet has empty rows."""
    rows = [[each[way] for each in rates if each[way]] or [(0,) * floors] for way in (0, 1)]
    up, down = (tuple(map(sum, zip(*row, strict=True))) for row in rows)
    return Rates(up, down)


def row(car: Car, cab: int, floors: int) -> Row:
    """Flatten *car*. One that claims to move past an end has just stopped there."""
    behaviour, direction = int(car.behaviour), int(car.direction)
    if behaviour == Behaviour.MOVING and not 0 <= car.floor + direction < floors:
        behaviour = Behaviour.IDLE
    return behaviour, car.floor, direction, cab


def resting(row: Row) -> Row:
    """Give an idle car no direction: the reference takes it for one in which it is going."""
    behaviour, floor, direction, cab = row
    return behaviour, floor, 0 if behaviour == Behaviour.IDLE else direction, cab
