"""Who answers a hall call, and where idle cars wait.

1. *Plan.* Every node shares out all hall calls among the cars that are in service and in touch both ways. The answer
   depends only on what the cars publish, so nodes that have heard the same agree. native/plan.c minimises the waiting
   time of passengers, plus a price for restlessness: for taking a call from the car that claims it, or from a car that
   stands at its floor.
2. *Claims.* A car publishes the calls that it answers. It does not take a call that another car claims before that car
   has released it, unless it is at the floor of the call. If both claim it, the one with the lower id keeps it. So a
   call has one car, except for a moment after datagrams were lost.
3. *Starvation.* A call that no car has claimed for UNCLAIMED_MS (a claim for a single step does not count), or that has
   waited for longer than any working group takes, is taken by every car that can serve it (A2).
4. *On the spot.* An open door serves the hall call of its floor that agrees with its direction, or either of them if it
   has announced none and has nothing to do. So these calls are not shared out: they belong to that car.

The result depends on the arguments only, so the last ones are kept: most ticks change nothing of them.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache, reduce
from typing import NamedTuple

from attrs import frozen

from elevator import _assign
from elevator.core import motion
from elevator.core.call_set import demand
from elevator.core.model import (
    NEVER_MS,
    Assigner,
    Behaviour,
    Button,
    Buttons,
    Call,
    Car,
    Direction,
    Park,
    Policy,
    Rates,
)

KEPT = 16
UNCLAIMED_MS = 2000
STARVED_MS = 30_000

Row = tuple[int, int, int, int]
CallMasks = tuple[tuple[int, int], ...]


class Member(NamedTuple):
    """A car that can serve hall calls, with the state that it publishes."""

    car: Car
    cab: int
    """Mask of its cab calls."""
    claims: Buttons
    """The hall calls that it answers, as it last published."""
    rates: Rates
    """The traffic that it has measured."""


class Wait(NamedTuple):
    """How long a hall call has waited, as far as this node knows."""

    since_ms: int
    """When this node first knew of it while some car could serve it."""
    unclaimed_since_ms: int
    """Since when no car claims it. NEVER_MS: one does."""
    is_starved: bool = False
    """Whether every car takes it, until it is served."""


@frozen
class Assignment:
    """The work of one car."""

    claims: Buttons = Buttons()
    """The hall calls that this car answers. It publishes them as its claims."""
    target: int | None = None
    """The floor where this car should wait if it has nothing to do; None: anywhere."""
    waits: Mapping[Call, Wait] = {}
    due_at_ms: int = NEVER_MS
    """When time alone changes it."""


def assign(
    old: Assignment,
    now_ms: int,
    policy: Policy,
    me: int,
    floors: int,
    calls: AbstractSet[Call],
    members: Mapping[int, Member],
) -> Assignment:
    """Assign hall *calls* to car *me*: none if it is not one of the *members*."""
    hall, _ = demand(calls)
    claims, target, claimed = Buttons(), None, Buttons()
    if me in members:
        served = on_the_spot(members)
        left = hall - reduce(Buttons.__or__, served.values(), Buttons())
        claims = planned(policy, me, floors, left, members) - claimed_before(me, members) | served[me] & hall
        target = park(policy, me, floors, hall, members)
    for id, member in members.items():
        claimed |= claims & member.claims if id == me else member.claims
    # Time during which no car could have served it does not starve a call.
    waits = {call: wait(old.waits.get(call), call, now_ms, claimed, floors) for call in calls if members}
    if me in members:
        starved, _ = demand([call for call, each in waits.items() if each.is_starved])
        claims |= starved
    due_at_ms = min([starves_at_ms(each, floors) for each in waits.values() if not each.is_starved], default=NEVER_MS)
    return Assignment(claims, target, waits, due_at_ms)


def on_the_spot(members: Mapping[int, Member]) -> Mapping[int, Buttons]:
    """Return the hall calls that each open door serves. Of two doors at one floor, the lower id serves them."""
    served, reserved = {}, Buttons()
    for id, (car, cab, claims, _) in sorted(members.items()):
        here = 1 << car.floor if car.behaviour is Behaviour.DOOR_OPEN else 0
        work = Buttons(claims.up, claims.down, cab)
        may_turn = not car.announced and not motion.has_work_beyond(car.floor, car.direction, work)
        up = here if may_turn or car.direction is Direction.UP else 0
        down = here if may_turn or car.direction is Direction.DOWN else 0
        served[id] = Buttons(up, down) - reserved
        reserved |= served[id]
    return served


def claimed_before(me: int, members: Mapping[int, Member]) -> Buttons:
    """Return the calls that car *me* leaves to others because they claim them; none at the floor where it is."""
    reserved, (car, _, mine, _) = Buttons(), members[me]
    for id, member in members.items():
        if id != me:
            reserved |= member.claims - mine if me < id else member.claims
    here = 0 if car.behaviour is Behaviour.MOVING else 1 << car.floor
    return reserved - Buttons(here, here)


def wait(old: Wait | None, call: Call, now_ms: int, claimed: Buttons, floors: int) -> Wait:
    """Update how long *call* has waited, and has waited unclaimed."""
    is_claimed = (claimed.up if call.button is Button.UP else claimed.down) >> call.floor & 1
    since_ms, unclaimed_since_ms, is_starved = old or Wait(now_ms, NEVER_MS)
    unclaimed_since_ms = NEVER_MS if is_claimed else min(unclaimed_since_ms, now_ms)
    new = Wait(since_ms, unclaimed_since_ms, is_starved)
    return new if is_starved or now_ms < starves_at_ms(new, floors) else new._replace(is_starved=True)


def starves_at_ms(wait: Wait, floors: int) -> int:
    """Return when every car takes a call, unless one claims or serves it before.

    A working group serves it within a few full rounds of a car.
    """
    rounds_ms = STARVED_MS + 4 * (floors - 1) * _assign.TRAVEL_MS
    return min(wait.since_ms + rounds_ms, wait.unclaimed_since_ms + UNCLAIMED_MS)


def planned(policy: Policy, me: int, floors: int, hall: Buttons, members: Mapping[int, Member]) -> Buttons:
    """Return the hall calls that the plan assigns to car *me*, one of *members*."""
    ids = sorted(members)
    up, down = assign_all(policy, floors, hall, [members[id] for id in ids])[ids.index(me)]
    return Buttons(up, down)


def park(policy: Policy, me: int, floors: int, hall: Buttons, members: Mapping[int, Member]) -> int | None:
    """Return the floor where idle car *me* should wait; None: where it is."""
    if policy.park is Park.NONE:
        return None
    ids = sorted(members)
    cars = [members[id] for id in ids]
    assigned = assign_all(policy, floors, hall, cars)
    k = ids.index(me)
    if assigned[k] != (0, 0) or members[me].cab or members[me].car.behaviour is Behaviour.DOOR_OPEN:
        return None
    if policy.park is Park.LOBBY:
        return 0
    rows = tuple(row(each.car, each.cab, floors) for each in cars)
    return targets(floors, rows, assigned, *total(tuple(each.rates for each in cars), floors))[k]


def assign_all(policy: Policy, floors: int, hall: Buttons, members: list[Member]) -> CallMasks:
    """Assign all calls of *hall* to *members*, which are in the order of their ids."""
    if not hall.up | hall.down:
        return ((0, 0),) * len(members)
    rows = tuple(row(each.car, each.cab, floors) for each in members)
    if policy.assigner is Assigner.REFERENCE:
        return reference(floors, hall.up, hall.down, tuple(map(resting, rows)))
    claims = tuple((each.claims.up, each.claims.down) for each in members)
    return plan(floors, hall.up, hall.down, rows, claims, *total(tuple(each.rates for each in members), floors))


@lru_cache(maxsize=KEPT)
def reference(floors: int, up: int, down: int, rows: tuple[Row, ...]) -> CallMasks:
    return _assign.reference(floors, up, down, rows)


@lru_cache(maxsize=KEPT)
def plan(
    floors: int,
    up: int,
    down: int,
    rows: tuple[Row, ...],
    claims: CallMasks,
    ups: tuple[int, ...],
    downs: tuple[int, ...],
) -> CallMasks:
    return _assign.plan(floors, up, down, rows, claims, ups, downs)


@lru_cache(maxsize=KEPT)
def targets(
    floors: int, rows: tuple[Row, ...], assigned: CallMasks, ups: tuple[int, ...], downs: tuple[int, ...]
) -> tuple[int, ...]:
    return _assign.park(floors, rows, assigned, ups, downs)


@lru_cache(maxsize=KEPT)
def total(rates: tuple[Rates, ...], floors: int) -> Rates:
    """Add up the rates of all cars. A car without measurements has empty rows."""
    rows = [[each[way] for each in rates if each[way]] or [(0,) * floors] for way in (0, 1)]
    up, down = (tuple(map(sum, zip(*row, strict=True))) for row in rows)
    return Rates(up, down)


def row(car: Car, cab: int, floors: int) -> Row:
    """Flatten *car*. If it claims to move past an end floor, it has just stopped there."""
    behaviour, direction = _assign.OBSTRUCTED if car.obstructed else int(car.behaviour), int(car.direction)
    if behaviour == Behaviour.MOVING and not 0 <= car.floor + direction < floors:
        behaviour = Behaviour.IDLE
    return behaviour, car.floor, direction, cab


def resting(row: Row) -> Row:
    """Adapt a row to the reference: an idle car has no direction there, and a door is never obstructed."""
    behaviour, floor, direction, cab = row
    return min(behaviour, Behaviour.DOOR_OPEN), floor, 0 if behaviour == Behaviour.IDLE else direction, cab
