"""The assignment of hall calls to cars, and of waiting floors to idle cars. Pure.

1. *Plan.* Each node assigns all hall calls to the cars that are in service and have a two-way connection with it. The
   plan depends only on published values, so nodes with the same heartbeats compute the same plan. native/plan.c
   minimises the waiting time of passengers. It adds a penalty if a call is taken from a car that claims the call or
   stands idle at the call's floor. A call counts more the longer it has waited. Nodes learn of a call at different
   times, so each node publishes which calls have waited long. The plan uses the highest age that any car in service has
   published. With `Assigner.REFERENCE`, the reference assigner replaces the plan. It uses neither claims nor ages.
2. *Claims.* Each car publishes the calls assigned to it as its claims. Other cars leave these calls to it. A stationary
   car may still claim the calls at its floor. If two cars claim the same call, the car with the lower id keeps it. So
   normally only one car claims each call. Exceptions are starved calls, and moments after a change or packet loss.
3. *Starvation.* A call starves if no car claims it for UNCLAIMED_MS. It also starves if it has waited longer than any
   call waits in a working group (A2). Every car in service then claims it. A claim by the node's own car counts only
   from the next step on, because the car may drop it at once.
4. *Open doors.* A car with an open door serves the hall call at its floor in its direction. If it has announced no
   direction and has no calls ahead, it may serve the other hall call instead. The plan excludes these calls, and the
   car claims them.

The results of native functions are cached, because most turns do not change the arguments.
"""

from collections.abc import Collection, Mapping
from functools import lru_cache, reduce
from typing import NamedTuple

from elevator import _assign
from elevator.core import motion
from elevator.core.call_set import calls_of
from elevator.core.evolve import evolve, frozen
from elevator.core.model import (
    AGE_MS,
    AGES,
    NEVER_MS,
    NONE_WAITED,
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
    Waited,
    buttons_of,
)

CACHE_SIZE = 16
AGES_EVERY_MS = 5000
"""How often a node updates which calls have waited long. Whenever one node publishes a change, all nodes decide again.
So in a large group, an immediate update for each call would keep all nodes busy."""
UNCLAIMED_MS = 2000
STARVED_MS = 30_000
INTERVAL_MS, INTERVAL_SIZE = 10, 400
"""The minimum time between two computations of the assignment is INTERVAL_MS * (cars * floors // INTERVAL_SIZE), where
only cars in service count. It is 0 in a small group. It is 100 ms with 64 cars and 64 floors, because such an
assignment takes long to compute."""

Row = tuple[int, int, int, int]
CallMasks = tuple[tuple[int, int], ...]


class Member(NamedTuple):
    """The published values of a car that can serve hall calls."""

    car: Car
    cab: int
    """The bit mask of the floors of the car's cab calls."""
    claims: Buttons
    """The hall calls that the car last claimed."""
    waited: Waited
    rates: Rates


class Wait(NamedTuple):
    """How long a hall call has waited, as far as this node knows."""

    since_ms: int
    """When this node learned of the call. If it then sees no car in service for a while, the wait begins again once it
    sees one. If a call is served and made again, and the node learns of both in one step, the old wait continues."""
    unclaimed_since_ms: int
    """When the call became unclaimed; NEVER_MS while a car claims it."""
    is_starved: bool = False
    """True once the call has starved, until it is served or this node sees no car in service. Meanwhile the call is
    assigned to the node's car, whatever the plan says, unless that car is out of service."""


@frozen
class Assignment:
    """The hall calls assigned to the node's car, where the car waits, and how long each call has waited."""

    claims: Buttons = Buttons()
    """The hall calls assigned to the car. Heartbeats publish them."""
    target: int | None = None
    """The floor where the car waits when it is idle; None if it should stay where it is."""
    waits: Mapping[Call, Wait] = {}
    waited: Waited = NONE_WAITED
    """The calls in `waits` that had waited long at `waited_at_ms`. Heartbeats publish them."""
    waited_at_ms: int = -NEVER_MS
    """When this node last checked which calls have waited long; -NEVER_MS before the first check."""
    due_at_ms: int = NEVER_MS
    """When the assignment may change even if no input changes."""
    next_at_ms: int = 0
    """The earliest time at which the assignment may be computed again."""


def keep(old: Assignment, hall: Buttons) -> Assignment:
    """Return *old* without calls that no longer exist. *hall* are all hall calls of the group.

    New calls are not assigned until `next_at_ms`, when the assignment is computed again.
    """
    waits = {call: each for call, each in old.waits.items() if call in hall}
    waited = waited_at(old.waited_at_ms, waits)
    return evolve(old, claims=old.claims & hall, waits=waits, waited=waited, due_at_ms=old.next_at_ms)


def assign(
    old: Assignment,
    now_ms: int,
    policy: Policy,
    me: int,
    floors: int,
    hall: Buttons,
    members: Mapping[int, Member],
    is_unstable: bool = False,
) -> Assignment:
    """Return the assignment of car *me*: its hall calls, and the floor where it waits.

    *hall* are all hall calls of the group, and *old* is the previous assignment. If car *me* is not in *members*, it
    gets neither calls nor a floor. *is_unstable* is true if the assignment may keep alternating (step.py). The car then
    also keeps its calls in *old*, so that they stay claimed while the node waits.
    """
    claims, target, claimed = Buttons(), None, Buttons()
    if me in members:
        served = served_by_open_doors(members)
        left = hall - reduce(Buttons.__or__, served.values(), Buttons())
        wanted = planned(policy, me, floors, left, members)
        if is_unstable:
            wanted |= old.claims & left
        claims = wanted - claimed_by_others(me, members) | served[me] & hall
        target = park(policy, me, floors, hall, members)
    for id, member in members.items():
        claimed |= claims & member.claims if id == me else member.claims
    # While no car is in service, no call starves.
    waits = {call: wait(old.waits.get(call), call, now_ms, claimed, floors) for call in calls_of(hall, me) if members}
    if me in members:
        claims |= buttons_of(call for call, each in waits.items() if each.is_starved)
    starve_at_ms = min(
        [starves_at_ms(each, floors) for each in waits.values() if not each.is_starved], default=NEVER_MS
    )
    interval_ms = INTERVAL_MS * (len(members) * floors // INTERVAL_SIZE)
    waited_at_ms = now_ms if now_ms >= old.waited_at_ms + AGES_EVERY_MS else old.waited_at_ms
    waited = waited_at(waited_at_ms, waits)
    due_at_ms = min(starve_at_ms, waited_at_ms + AGES_EVERY_MS) if waits else NEVER_MS
    return Assignment(claims, target, waits, waited, waited_at_ms, due_at_ms, now_ms + interval_ms)


def served_by_open_doors(members: Mapping[int, Member]) -> Mapping[int, Buttons]:
    """Return, by car id, the hall calls that each car may serve through its open door, including calls not made yet.

    If two cars can serve the same call, the car with the lower id gets it.
    """
    served, reserved = {}, Buttons()
    for id, (car, cab, claims, *_) in sorted(members.items()):
        here = 1 << car.floor if car.behaviour is Behaviour.DOOR_OPEN else 0
        work = Buttons(claims.up, claims.down, cab)
        may_reverse = not car.announced and not motion.has_work_beyond(car.floor, car.direction, work)
        up = here if may_reverse or car.direction is Direction.UP else 0
        down = here if may_reverse or car.direction is Direction.DOWN else 0
        served[id] = Buttons(up, down) - reserved
        reserved |= served[id]
    return served


def claimed_by_others(me: int, members: Mapping[int, Member]) -> Buttons:
    """Return the hall calls that car *me* must not claim, because other cars claim them.

    If several cars claim a call, the car with the lowest id keeps it. A car that is stationary or has just reached a
    floor may always claim the calls there.
    """
    reserved, (car, _, mine, *_) = Buttons(), members[me]
    for id, member in members.items():
        if id != me:
            reserved |= member.claims - mine if me < id else member.claims
    here = 0 if car.behaviour is Behaviour.MOVING else 1 << car.floor
    return reserved - Buttons(here, here)


def wait(old: Wait | None, call: Call, now_ms: int, claimed: Buttons, floors: int) -> Wait:
    """Return the updated wait of *call*. *old* is None for a new call; *claimed* are the hall calls that cars claim."""
    is_claimed = (claimed.up if call.button is Button.UP else claimed.down) >> call.floor & 1
    since_ms, unclaimed_since_ms, is_starved = old or Wait(now_ms, NEVER_MS)
    unclaimed_since_ms = NEVER_MS if is_claimed else min(unclaimed_since_ms, now_ms)
    new = Wait(since_ms, unclaimed_since_ms, is_starved)
    return new if is_starved or now_ms < starves_at_ms(new, floors) else new._replace(is_starved=True)


def starves_at_ms(wait: Wait, floors: int) -> int:
    """Return when a call starves if its claims do not change.

    A call starves after UNCLAIMED_MS without a claim, or after waiting for STARVED_MS plus the time of two round trips
    through the shaft without stops, whichever comes first.
    """
    rounds_ms = STARVED_MS + 4 * (floors - 1) * _assign.TRAVEL_MS
    return min(wait.since_ms + rounds_ms, wait.unclaimed_since_ms + UNCLAIMED_MS)


def waited_at(at_ms: int, waits: Mapping[Call, Wait]) -> Waited:
    """Return the calls in *waits* that had waited long at *at_ms*."""
    return tuple(
        buttons_of(call for call, wait in waits.items() if at_ms >= wait.since_ms + (k + 1) * AGE_MS)
        for k in range(AGES)
    )


def waited_by_all(hall: Buttons, members: Collection[Member]) -> CallMasks:
    """Return the *hall* calls that any of *members* has published as waiting long: masks (up, down) for each age."""
    every = [hall & reduce(Buttons.__or__, (member.waited[k] for member in members)) for k in range(AGES)]
    return tuple((each.up, each.down) for each in every)


def planned(policy: Policy, me: int, floors: int, hall: Buttons, members: Mapping[int, Member]) -> Buttons:
    """Return the hall calls that the plan assigns to car *me*."""
    ids = sorted(members)
    up, down = assign_all(policy, floors, hall, [members[id] for id in ids])[ids.index(me)]
    return Buttons(up, down)


def park(policy: Policy, me: int, floors: int, hall: Buttons, members: Mapping[int, Member]) -> int | None:
    """Return the floor where car *me* should wait; None if it has calls or an open door, or for Park.NONE."""
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
    known = total(tuple(each.rates for each in cars), floors)
    return targets(floors, rows, assigned, *known, policy.park is Park.SPARING)[k]


def assign_all(policy: Policy, floors: int, hall: Buttons, members: list[Member]) -> CallMasks:
    """Return the hall calls of each member, as masks (up, down). *members* must be in the order of their ids."""
    if not hall.up | hall.down:
        return ((0, 0),) * len(members)
    rows = tuple(row(each.car, each.cab, floors) for each in members)
    if policy.assigner is Assigner.REFERENCE:
        return reference(floors, hall.up, hall.down, tuple(map(reference_row, rows)))
    claims = tuple((each.claims.up, each.claims.down) for each in members)
    known = total(tuple(each.rates for each in members), floors)
    return plan(floors, hall.up, hall.down, rows, claims, waited_by_all(hall, members), *known)


@lru_cache(maxsize=CACHE_SIZE)
def reference(floors: int, up: int, down: int, rows: tuple[Row, ...]) -> CallMasks:
    return _assign.reference(floors, up, down, rows)


@lru_cache(maxsize=CACHE_SIZE)
def plan(
    floors: int,
    up: int,
    down: int,
    rows: tuple[Row, ...],
    claims: CallMasks,
    waited: CallMasks,
    ups: tuple[int, ...],
    downs: tuple[int, ...],
) -> CallMasks:
    return _assign.plan(floors, up, down, rows, claims, waited, ups, downs)


@lru_cache(maxsize=CACHE_SIZE)
def targets(
    floors: int,
    rows: tuple[Row, ...],
    assigned: CallMasks,
    ups: tuple[int, ...],
    downs: tuple[int, ...],
    sparing: bool,
) -> tuple[int, ...]:
    return _assign.park(floors, rows, assigned, ups, downs, sparing)


@lru_cache(maxsize=CACHE_SIZE)
def total(rates: tuple[Rates, ...], floors: int) -> Rates:
    """Add up the rates of all cars. A car that has counted no passengers adds nothing."""
    known = [each for each in rates if each.up] or [Rates((0,) * floors, (0,) * floors)]
    up, down = (tuple(map(sum, zip(*rows, strict=True))) for rows in zip(*known, strict=True))
    return Rates(up, down)


def row(car: Car, cab: int, floors: int) -> Row:
    """Convert *car* and the mask of its *cab* calls to the row that the native functions expect.

    A car that is reported as moving past an end floor counts as idle, because the native functions reject such a car.
    """
    behaviour, direction = _assign.OBSTRUCTED if car.obstructed else int(car.behaviour), int(car.direction)
    if behaviour == Behaviour.MOVING and not 0 <= car.floor + direction < floors:
        behaviour = Behaviour.IDLE
    return behaviour, car.floor, direction, cab


def reference_row(row: Row) -> Row:
    """Adapt *row* to the reference assigner: an idle car has no direction, and an obstructed door is simply open."""
    behaviour, floor, direction, cab = row
    return min(behaviour, Behaviour.DOOR_OPEN), floor, 0 if behaviour == Behaviour.IDLE else direction, cab
