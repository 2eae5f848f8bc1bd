"""One node: a pure function folds ticks into a frozen value, and everything that leaves the program is derived from it.

1. step folds what a node learns into its state: hear (merge what peers said), press (take what the panel said), share
   out the hall calls, drive the car, light lamps. It never reads a clock, a socket or a disk. Besides it, `hum` takes a
   tick that brings nothing new, `stay` one that is too old, and `spoken` counts a heartbeat.
2. outputs, heartbeat, record and wake_at_ms are derived; nothing is stored that could be.
3. A lamp lights when a press of its call is on this node's disk and acknowledged by every peer that is alive and
   hears us; with no such peer the disk alone is enough, with a failing disk the peers alone. A lit lamp stays lit
   until its call has been served. A heartbeat tells only what is on the disk, so to be heard is to be promised.
   This holds in whatever order turn.py does its I/O: it is in the values.
4. A hall call belongs to the car that the assigner names, among those that are able and in touch with us both ways.
   A call that no car claims, or that has waited too long, is taken by every car that can (starvation guard).
5. A node that has just started, or was frozen, first listens: it merges and acknowledges, but its car stands and its
   lamps stay as they are. The lamp of a call stays so until that is promised anew, or served: whether a former run lit
   it, nobody knows.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from attrs import frozen

from elevator import __version__
from elevator.core import assignment, door, drive, peers, traffic
from elevator.core.assignment import Member
from elevator.core.call_set import covers, demand, forget, merge, press, serve
from elevator.core.drive import Drive, Surroundings
from elevator.core.model import (
    EVERY_BUTTON,
    EVERY_CAR,
    MAX_CARS,
    NEVER_MS,
    Author,
    Behaviour,
    Button,
    Buttons,
    Call,
    Calls,
    Car,
    Direction,
    Dot,
    Fault,
    Heartbeat,
    Inputs,
    Outputs,
    Policy,
    Rates,
    Record,
    Tick,
)
from elevator.core.peers import HEARTBEAT_MS, Peer
from elevator.core.traffic import Traffic

LISTEN_MS = 300
FROZEN_MS = 500
"""A gap between two steps that means that the program was not running. It speaks, so it steps, every HEARTBEAT_MS."""
COALESCE_MS = 5
"""The least time between two heartbeats, ..."""
AWAITED_MS = 1
"""... unless the second one tells of calls: others keep their lamps dark until they have heard it. A press is usually
preceded by news of the car that it sets in motion, and acknowledged by somebody who has just had such news."""
REPEAT_MS = 10
REPEATS = 3
"""A change is said at once and again so often, so that one lost datagram costs REPEAT_MS and not HEARTBEAT_MS."""
DECISIONS_MAX = 4
"""How often, in one step, a car may change what it does because it is given other calls, and the other way round."""
YIELD_MS = 300
UNCLAIMED_MS = 2000
STARVED_MS = 30_000
RIVAL_MS = 2000
"""For how long another node with our id is remembered after it was last heard."""
RIVALS_MAX = 8
INCARNATIONS_KEPT = 8
NEXT_INCARNATIONS = 1 << 16


@frozen
class Said:
    """What a heartbeat tells besides being one."""

    calls: Calls
    car: Car
    claims: Buttons
    hears: int
    rates: Rates


class Doorway(NamedTuple):
    """An open door, the direction that its car last said, and since when that is known."""

    floor: int
    direction: Direction
    since_ms: int


@frozen(slots=False)  # for `replaced`
class Node:
    """The whole controller of one car."""

    me: Author
    floors: int
    now_ms: int
    """When it was last stepped."""
    quiet_until_ms: int
    """Until when nothing is to be done unless something is said that is new, or somebody falls silent. Most ticks bring
    nothing new, and must cost next to nothing."""
    listen_until_ms: int
    calls: Calls
    recorded: Calls
    """Calls as they are on the disk, as far as it has said."""
    policy: Policy = Policy()
    traffic: Traffic = Traffic(0)
    """The people whom this car has met."""
    rates: Rates = Rates()
    """At what rate they came."""
    disk_failed: bool = False
    """Whether the disk last took nothing, or takes too long: promises rest on the peers meanwhile."""
    inputs: Inputs | None = None
    drive: Drive = Drive()
    hall: Buttons = Buttons()
    """All hall calls, and this car's cab calls."""
    share: Buttons = Buttons()
    """The hall calls that this car takes."""
    is_unsettled: bool = False
    """Whether it has just changed what it takes, and looks once more at that."""
    target: int | None = None
    """The floor where this car should wait if it has nothing to do; None: anywhere."""
    doors: Mapping[int, Doorway] = {}
    """The doors of others that stand open."""
    starved: frozenset[Call] = frozenset()
    """Hall calls that it took because nobody served them. They stay its own until they are served."""
    waiting: Mapping[Call, int] = {}
    """Since when each hall call has been known here, and some car could have served it."""
    unclaimed: Mapping[Call, int] = {}
    """Since when each hall call has been without any car that takes it."""
    lit: frozenset[Call] = frozenset()
    """Calls that were promised on this panel and not yet served."""
    peers: Mapping[int, Peer] = {}
    miss_at_ms: int = 0
    """Until when no peer that is alive can have fallen silent: when the first would have, had none spoken since."""
    past: frozenset[int] = frozenset()
    """Incarnations of this node's former runs, as far as its record knows."""
    rivals: Mapping[Author, int] = {}
    """Other nodes that use our id, or the id of a peer, and when each is taken to have gone."""
    oddities: Mapping[str, int] = {}
    """How often each thing was heard that should not be; the edge logs their growth."""
    said: Said | None = None
    """What the next heartbeat will tell."""
    repeats: int = 0
    """How many more times it is to be said in a hurry; REPEATS: it has not been said yet."""
    is_awaited: bool = False
    """Whether it tells of calls that have not been told yet."""
    counter: int = 0
    """Heartbeats sent."""
    spoke_at_ms: int = 0


if TYPE_CHECKING:
    from attrs import evolve as replaced  # mypy knows what fields it may be given
else:

    def replaced(node: Node, **fields: object) -> Node:
        """Do what evolve does in a sixth of its time: a node has many fields, and is replaced at each heartbeat."""
        new = object.__new__(Node)
        object.__setattr__(new, "__dict__", node.__dict__ | fields)
        return new


def boot(id: int, floors: int, record: Record | None, lot: int, now_ms: int, policy: Policy) -> Node:
    """Return a node that starts at *now_ms* with its *record*, with a *lot* drawn from 0 .. 2**32 - 1.

    Its incarnation is one that no run of this node has had: above its predecessor's, or drawn from many. Save its
    record before it does anything.
    """
    incarnation = lot + 1 if record is None else record.incarnation + 1 + lot % NEXT_INCARNATIONS
    me, calls = Author(id, incarnation), Calls() if record is None else record.calls
    past = frozenset[int]() if record is None else runs_of(record, id)
    listen_until_ms = now_ms + LISTEN_MS
    node = Node(
        me,
        floors,
        now_ms,
        now_ms,
        listen_until_ms,
        calls,
        calls,
        policy,
        Traffic(now_ms),
        past=past,
        spoke_at_ms=now_ms,
    )
    return node if record is None else replaced(node, drive=drive.boot(record.door))


def runs_of(record: Record, id: int) -> frozenset[int]:
    """Name the incarnations of the runs that kept *record*: the latest, and those of which a press is not yet served.

    Whoever else uses the *id* is none of them.
    """
    runs = record.past | {record.incarnation}
    waited_for = {dot.author.incarnation for dot in record.calls.live if dot.author.id == id}
    return frozenset(sorted(runs)[-INCARNATIONS_KEPT:]) | runs & waited_for


def step(node: Node, tick: Tick) -> Node:
    """Fold *tick* into *node*."""
    before, node = node, wake(node, tick)
    for heartbeat in tick.heartbeats:
        node = hear(node, heartbeat)
    node = prune(take_presses(node, tick.inputs))  # What is served now is told at least once before it is forgotten.
    if must_decide(before, node):
        node = decide(node)
    node = light(node)
    told_claims = None if node.said is None else node.said.claims
    node = plan_to_speak(node)
    # Calls are shared out by what each car claims, this one, too: what it claims anew may change that. But it looks at
    # that only once: there are demands that are shared out in one of two ways by turns.
    is_unsettled = (node.said is None or node.said.claims != told_claims) and not before.is_unsettled
    quiet_until_ms = node.now_ms if is_unsettled else act_at_ms(node)
    return replaced(node, is_unsettled=is_unsettled, quiet_until_ms=quiet_until_ms, miss_at_ms=miss_at_ms(node))


def decide(node: Node) -> Node:
    """Share out the calls, and drive the car."""
    unclaimed = node.unclaimed  # What this car takes for a moment only, until it has decided, stays unclaimed.
    for _ in range(DECISIONS_MAX):
        seen = drive.public(node.drive)
        node = move(share_out(node, unclaimed), unclaimed)
        if drive.public(node.drive) == seen:
            break  # Otherwise the others will share out by what the car is now, and so must we.
    return node


def must_decide(before: Node, node: Node) -> bool:
    """Tell whether *node* has come to know anything by which calls are shared out and the car is driven.

    Most of what a step brings is not: that presses are on a disk, here or elsewhere. Before `quiet_until_ms` time alone
    changes nothing.
    """
    same = (
        node.calls is before.calls
        and node.inputs is before.inputs
        and node.drive is before.drive
        and node.rivals is before.rivals
        and node.past is before.past
    )
    if not same or node.now_ms >= before.quiet_until_ms:
        return True
    was, now = in_reach(before), in_reach(node)
    return was.keys() != now.keys() or any(not peers.stands_as_before(was[id], peer) for id, peer in now.items())


def hum(node: Node, tick: Tick) -> Node | None:
    """Return *node* after a tick that brings nothing but signs of life; None if it brings anything else.

    This is the way of nearly every tick, so it does little; `step` would come to the same.
    """
    now_ms = tick.now_ms
    expected = tick.inputs is node.inputs and tick.recorded is None and tick.found is None and not tick.disk_failed
    if not expected or now_ms >= node.quiet_until_ms or now_ms - node.now_ms > HEARTBEAT_MS:
        return None
    soonest_ms = node.miss_at_ms
    if now_ms >= soonest_ms:
        soonest_ms = miss_at_ms(node)
        if now_ms >= soonest_ms:
            return None
    known = dict(node.peers)
    for heartbeat in tick.heartbeats:
        old = known.get(heartbeat.sender.id)
        if old is None or now_ms >= old.silent_at_ms or not peers.says_the_same(old, heartbeat):
            return None
        new = peers.hear(old, heartbeat, now_ms)
        if new is not None:
            known[heartbeat.sender.id] = new
            soonest_ms = min(soonest_ms, new.silent_at_ms)
    return replaced(node, now_ms=now_ms, peers=known, miss_at_ms=soonest_ms)


def wake(node: Node, tick: Tick) -> Node:
    """Take the time and what the disk says; notice a gap in time."""
    now_ms = tick.now_ms
    gap_ms = now_ms - node.now_ms
    if gap_ms >= FROZEN_MS:
        stalled = drive.stall(node.drive, now_ms)
        node = replaced(excuse_peers(node, gap_ms), drive=stalled, listen_until_ms=now_ms + LISTEN_MS)
    elif gap_ms > HEARTBEAT_MS:
        node = replaced(node, drive=drive.pause(node.drive, now_ms, gap_ms - HEARTBEAT_MS))
    recorded = node.recorded if tick.recorded is None else tick.recorded
    disk_failed = tick.disk_failed or (node.disk_failed and tick.recorded is None)
    if tick.found is not None:
        past = node.past | runs_of(tick.found, node.me.id) | {tick.found.incarnation}
        node = replaced(node, calls=merge(node.calls, tick.found.calls), past=past)
    return replaced(node, now_ms=now_ms, recorded=recorded, disk_failed=disk_failed)


def stay(node: Node, tick: Tick, now_ms: int) -> Node:
    """Return *node*, which is to take a turn at *now_ms* in the place of one with *tick* that it had begun long before.

    It has the presses that it was told of, and no peer was silent meanwhile: what they said it has yet to hear.
    """
    node = take_presses(node, tick.inputs)
    return node if now_ms >= node.now_ms + FROZEN_MS else excuse_peers(node, now_ms - tick.now_ms)


def excuse_peers(node: Node, gap_ms: int) -> Node:
    """Forgive all peers a silence of *gap_ms* during which nobody listened."""
    return replaced(node, peers={id: peers.excuse(peer, gap_ms) for id, peer in node.peers.items()})


def hear(node: Node, heartbeat: Heartbeat) -> Node:
    """Merge what another node says."""
    sender = heartbeat.sender
    if sender == node.me:
        return node
    if heartbeat.floors != node.floors:
        return odd(node, f"node {sender.id} has {heartbeat.floors} floors, this one {node.floors}: ignored")
    if heartbeat.calls.seen.get(node.me, 0) > node.calls.seen.get(node.me, 0):
        # This run has not pressed so much yet, and no other run has its incarnation: whoever says so made it up.
        return odd(node, f"node {sender.id} claims presses that were never made here: ignored")
    if sender.id == node.me.id:
        if sender.incarnation in node.past:
            return node  # what a former run of this node said has come late
        node = odd(node, f"another node uses this one's id, {sender.id}")
        return replaced(node, calls=merge(node.calls, heartbeat.calls), rivals=with_rival(node, sender))
    old = node.peers.get(sender.id)
    peer = peers.hear(old, heartbeat, node.now_ms)
    if peer is None:
        if old is None or old.said.sender == sender:
            return node
        node = odd(node, f"two nodes use the id {sender.id}")
        return replaced(node, calls=merge(node.calls, heartbeat.calls), rivals=with_rival(node, sender))
    known = {**node.peers, sender.id: peer}
    return replaced(node, peers=known, calls=merge(node.calls, heartbeat.calls))


def with_rival(node: Node, rival: Author) -> Mapping[Author, int]:
    """Return the rivals of *node* after *rival* was heard: not all, if somebody makes them up."""
    others = [(author, at_ms) for author, at_ms in node.rivals.items() if node.now_ms < at_ms]
    return {**dict(others[-RIVALS_MAX:]), rival: node.now_ms + RIVAL_MS}


def prune(node: Node) -> Node:
    """Forget the oldest incarnations of nodes that have had many, where nobody alive has such a one or a call of it."""
    if len(node.calls.seen) <= INCARNATIONS_KEPT:
        return node
    crowds: dict[int, list[Author]] = {}
    for author in sorted(node.calls.seen):
        crowds.setdefault(author.id, []).append(author)
    excess = {author for crowd in crowds.values() for author in crowd[:-INCARNATIONS_KEPT]}
    if not excess:
        return node
    neighbours = alive(node).values()
    needed = {node.me} | {peer.said.sender for peer in neighbours}
    needed |= {rival for rival, at_ms in node.rivals.items() if node.now_ms < at_ms}
    needed |= {dot.author for peer in neighbours for dot in peer.calls.live}
    return replaced(node, calls=forget(node.calls, excess - needed))


def take_presses(node: Node, inputs: Inputs | None) -> Node:
    """Turn each button that went down into a press. After a reconnect any button that is down did."""
    if inputs is node.inputs:
        return node
    before = node.inputs.pressed if node.inputs is not None else Buttons()
    if inputs is not None and inputs.pressed != before:
        node = press_all(node, before, inputs.pressed)
    return replaced(node, inputs=inputs)


def press_all(node: Node, before: Buttons, now: Buttons) -> Node:
    """Press each button that is down *now* and was not *before*."""
    calls = node.calls
    for call in sorted(newly_pressed(before, now, node.me.id)):
        calls = press(calls, node.me, call)
    return replaced(node, calls=calls)


def newly_pressed(before: Buttons, now: Buttons, car: int) -> Iterable[Call]:
    kinds = (
        (Button.UP, now.up & ~before.up, EVERY_CAR),
        (Button.DOWN, now.down & ~before.down, EVERY_CAR),
        (Button.CAB, now.cab & ~before.cab, car),
    )
    for button, mask, owner in kinds:
        for floor in range(mask.bit_length()):
            if mask >> floor & 1:
                yield Call(button, floor, owner)


def share_out(node: Node, unclaimed: Mapping[Call, int]) -> Node:
    """Work out which hall calls this car takes; those that were *unclaimed* before, since the times given."""
    hall, cabs = demand(node.calls.live.values())
    own_cab = sum(1 << call.floor for call in visible(node) if call.button is Button.CAB)
    able = {id: peer for id, peer in in_reach(node).items() if peer.said.car.fault is Fault.NONE}
    cars = {id: Member(peer.said.car, cabs.get(id, 0), peer.said.claims, peer.said.rates) for id, peer in able.items()}
    mine = drive.public(node.drive)
    target = None
    if mine.fault is Fault.NONE and not is_listening(node):
        claims = Buttons() if node.said is None else node.said.claims
        cars[node.me.id] = Member(mine, own_cab, claims, node.rates)
    if not cars:
        share = hall
    elif node.me.id in cars:
        share = assignment.share(node.policy, node.me.id, node.floors, hall, cars)
        share = give_way(node.me.id, share, cars)
        target = assignment.park(node.policy, node.me.id, node.floors, hall, cars)
    else:
        share = Buttons()
    waiting, unclaimed, starved = starve(node, unclaimed, share, able.values()) if cars else ({}, {}, frozenset[Call]())
    doors = open_doors(node.doors, able, node.now_ms)
    if node.me.id in cars:
        share = yield_to_open_doors(node, share, doors, waiting)
    if node.me.id in cars and starved:
        taken, _ = demand(starved)
        share = Buttons(share.up | taken.up, share.down | taken.down)
    return replaced(
        node,
        hall=Buttons(hall.up, hall.down, own_cab),
        share=share,
        target=target,
        doors=doors,
        waiting=waiting,
        unclaimed=unclaimed,
        starved=starved,
    )


def give_way(me: int, share: Buttons, cars: Mapping[int, Member]) -> Buttons:
    """Leave to other cars what they claim, but for a call from where this car stands.

    What this car does not claim it takes when the other has let go of it, which it does by what it hears, or serves it.
    Of two that claim a call the one with the lower id goes on. Otherwise both would go for a call that changes hands
    until the one has heard of the other: for long where packets are lost.
    """
    car, _, claimed, _ = cars[me]
    elsewhere = -1 if car.behaviour is Behaviour.MOVING else ~(1 << car.floor)
    up, down = share.up, share.down
    for id, (_, _, claims, _) in cars.items():
        if id != me:
            up &= ~(claims.up & elsewhere & (~claimed.up if me < id else -1))
            down &= ~(claims.down & elsewhere & (~claimed.down if me < id else -1))
    return Buttons(up, down)


def open_doors(known: Mapping[int, Doorway], able: Mapping[int, Peer], now_ms: int) -> Mapping[int, Doorway]:
    """List the doors of others that stand open."""
    doors = {}
    for id, peer in able.items():
        car = peer.said.car
        if car.behaviour is Behaviour.DOOR_OPEN:
            old = known.get(id)
            seen = old is not None and (old.floor, old.direction) == (car.floor, car.direction)
            doors[id] = old if old is not None and seen else Doorway(car.floor, car.direction, now_ms)
    return doors


def yield_to_open_doors(
    node: Node, share: Buttons, doors: Mapping[int, Doorway], waiting: Mapping[Call, int]
) -> Buttons:
    """Leave a call to a car whose door is just opening there for it, or was open there when it was made.

    The first serves it, and it is only the news of that which is not here yet. The second does so on the spot, unless
    it goes the other way; of several it is the first, and it claims the call meanwhile. What it does not serve belongs
    to whom the assigner names after YIELD_MS.
    """
    up, down = share.up, share.down
    own = node.drive.position.floor if node.drive.behaviour is Behaviour.DOOR_OPEN else None
    for call, since_ms in waiting.items():
        here = 1 << call.floor
        there = {id: door for id, door in doors.items() if door.floor == call.floor}
        takes = call.floor == own and node.now_ms < since_ms + YIELD_MS and node.me.id < min(there, default=MAX_CARS)
        way = Direction.UP if call.button is Button.UP else Direction.DOWN
        seen_ms = [max(since_ms, door.since_ms if door.direction is way else 0) for door in there.values()]
        leaves = node.now_ms < max(seen_ms, default=-YIELD_MS) + YIELD_MS
        if takes:
            up, down = (up | here, down) if way is Direction.UP else (up, down | here)
        elif leaves:
            up, down = (up & ~here, down) if way is Direction.UP else (up, down & ~here)
    return Buttons(up, down)


def starve(
    node: Node, before: Mapping[Call, int], share: Buttons, able: Iterable[Peer]
) -> tuple[Mapping[Call, int], Mapping[Call, int], frozenset[Call]]:
    """Keep account of how long hall calls wait, and wait unclaimed; name those that this car must take on its own.

    *before* says since when those were unclaimed that were so until now.
    """
    hall = {call for call in node.calls.live.values() if call.button is not Button.CAB}
    if not hall:
        return {}, {}, frozenset()
    now_ms = node.now_ms
    claims = [share, *(peer.said.claims for peer in able)]
    up = down = 0
    for claim in claims:
        up, down = up | claim.up, down | claim.down
    waiting = {call: node.waiting.get(call, now_ms) for call in hall}
    unclaimed = {
        call: before.get(call, now_ms)
        for call in hall
        if not (up if call.button is Button.UP else down) >> call.floor & 1
    }
    starved_ms = starvation_ms(node.floors)
    starved = {call for call in hall if call in node.starved or now_ms >= waiting[call] + starved_ms}
    starved |= {call for call, since_ms in unclaimed.items() if now_ms >= since_ms + UNCLAIMED_MS}
    return waiting, unclaimed, frozenset(starved)


def starvation_ms(floors: int) -> int:
    """Return after what time a hall call must have been served in any group that works: some full rounds of a car."""
    return STARVED_MS + 4 * (floors - 1) * assignment.TRAVEL_MS


def move(node: Node, unclaimed: Mapping[Call, int]) -> Node:
    """Drive the car, and take away the calls that it serves; *unclaimed* as for `share_out`."""
    mine = Buttons(node.share.up, node.share.down, node.hall.cab)
    around = Surroundings(node.me.id, node.floors, mine, node.hall, node.target, is_listening(node))
    car, served = drive.drive(node.drive, node.now_ms, node.inputs, around)
    if car is not node.drive:
        node = replaced(node, drive=car)
    if served:
        calls = serve(node.calls, served, others_cab_calls(node))
        node = share_out(replaced(meet(node, served), calls=calls), unclaimed)
    return node


def meet(node: Node, served: Iterable[Call]) -> Node:
    """Learn from the calls that are just being served."""
    for button, floor, _ in served:
        if button is Button.CAB:
            continue
        way = Direction.UP if button is Button.UP else Direction.DOWN
        known = assignment.total((node.rates, *(peer.said.rates for peer in in_reach(node).values())), node.floors)
        rate = (known.up if way is Direction.UP else known.down)[floor]
        age_ms = node.now_ms - node.waiting.get(Call(button, floor, EVERY_CAR), node.now_ms)
        met = traffic.met(node.traffic, node.floors, floor, way, age_ms, rate, node.now_ms)
        node = replaced(node, traffic=met, rates=traffic.rates(met, node.now_ms))
    return node


def light(node: Node) -> Node:
    """Light the lamps whose promise now holds; put out those whose calls have been served."""
    live = visible(node)
    lit = node.lit & live
    if not is_listening(node) and len(lit) < len(live):
        witnesses = [peer.calls.seen for peer in in_reach(node).values()]
        others = others_cab_calls(node)
        waiting = [(dot, call) for dot, call in node.calls.live.items() if call in live and dot not in others]
        lit |= {call for dot, call in waiting if is_promised(node, dot, witnesses)}
    return node if lit == node.lit else replaced(node, lit=lit)


def is_promised(node: Node, dot: Dot, witnesses: list[Mapping[Author, int]]) -> bool:
    """Tell whether enough disks hold *dot*."""
    on_disk = covers(node.recorded.seen, dot) or (node.disk_failed and bool(witnesses))
    return on_disk and all(covers(seen, dot) for seen in witnesses)


def plan_to_speak(node: Node) -> Node:
    """Notice news for the others."""
    heard = sum(1 << id for id in alive(node))
    said = Said(told(node), drive.public(node.drive), node.share, heard, node.rates)
    if said == node.said:
        return node
    is_awaited = node.is_awaited or node.said is None or said.calls != node.said.calls
    return replaced(node, said=said, repeats=REPEATS, is_awaited=is_awaited)


def spoken(node: Node) -> Node:
    """Return *node* after its heartbeat was sent."""
    counter, repeats = node.counter + 1, max(node.repeats - 1, 0)
    return replaced(node, counter=counter, repeats=repeats, is_awaited=False, spoke_at_ms=node.now_ms)


def speak_at_ms(node: Node) -> int:
    """Return when the next heartbeat is due: news in a hurry, else in its period."""
    if node.repeats == REPEATS:
        return node.spoke_at_ms + (AWAITED_MS if node.is_awaited else COALESCE_MS)
    return node.spoke_at_ms + (REPEAT_MS if node.repeats else HEARTBEAT_MS)


def heartbeat(node: Node) -> Heartbeat:
    """Say what the others should know; its counter is the one after the last that was sent."""
    said = node.said
    assert said is not None, "a node speaks only after its first step"
    return Heartbeat(
        node.me,
        node.counter + 1,
        node.floors,
        said.car,
        said.claims,
        said.hears,
        said.calls,
        rates=said.rates,
        version=__version__,
    )


def outputs(node: Node) -> Outputs:
    """Say what the panel and the car should do.

    The lamp of a call that is known and not promised yet stays as it is: a former run may have lit it.
    """
    car = node.drive
    lit = node.lit
    unsure = EVERY_BUTTON if is_listening(node) else lamps(visible(node) - lit, node.me.id)
    return Outputs(
        motor=drive.motor(car, node.floors),
        motor_try=car.motor_try,
        door=door.command(car.door),
        lamps=lamps(lit, node.me.id),
        unsure=unsure,
        floor=car.position.floor,
        stop_lamp=node.inputs is not None and node.inputs.stop,
    )


def lamps(calls: Iterable[Call], car: int) -> Buttons:
    """Name the lamps of *calls* on the panel of *car*."""
    hall, cabs = demand(calls)
    return Buttons(hall.up, hall.down, cabs.get(car, 0))


def record(node: Node) -> Record:
    """Say what must survive a power cut."""
    return Record(node.me.incarnation, node.calls, drive.open_door(node.drive), node.past)


def wake_at_ms(node: Node) -> int:
    """Return when a turn must be taken if nothing happens."""
    return min(speak_at_ms(node), max(node.quiet_until_ms, node.now_ms + 1), node.miss_at_ms)


def act_at_ms(node: Node) -> int:
    """Return when there is something to do if peers go on as they do, for what `quiet_until_ms` remembers."""
    times = [at_ms for at_ms in node.rivals.values() if at_ms > node.now_ms]
    if is_listening(node):
        times.append(node.listen_until_ms)
    car_ms = drive.wake_at_ms(node.drive)
    if car_ms is not None:
        times.append(car_ms)
    if node.target is not None and node.drive.behaviour is Behaviour.IDLE:
        times += [node.drive.due_at_ms] if node.drive.due_at_ms > node.now_ms else []
    guards = [since_ms + UNCLAIMED_MS for since_ms in node.unclaimed.values()]
    guards += [door.since_ms + YIELD_MS for door in node.doors.values()]
    for since_ms in node.waiting.values():
        guards += [since_ms + YIELD_MS, since_ms + starvation_ms(node.floors)]
    times += [at_ms for at_ms in guards if at_ms > node.now_ms]
    return min(times, default=NEVER_MS)


def miss_at_ms(node: Node) -> int:
    """Return when the first of the peers that are alive falls silent, if none speaks before."""
    return min((peer.silent_at_ms for peer in alive(node).values()), default=NEVER_MS)


def told(node: Node) -> Calls:
    """Return the calls that a heartbeat tells: those on the disk, or all while the disk fails."""
    return node.calls if node.disk_failed else node.recorded


def alive(node: Node) -> Mapping[int, Peer]:
    """Return the peers that are not taken for dead."""
    return {id: peer for id, peer in node.peers.items() if node.now_ms < peer.silent_at_ms}


def in_reach(node: Node) -> Mapping[int, Peer]:
    """Return the peers that are alive and say that they hear this node: links may be one-way."""
    return {id: peer for id, peer in alive(node).items() if peer.said.hears >> node.me.id & 1}


def alive_rivals(node: Node) -> Mapping[Author, int]:
    """Return the others that use the id of *node* itself, and when each is taken to have gone."""
    return {rival: at_ms for rival, at_ms in node.rivals.items() if rival.id == node.me.id and node.now_ms < at_ms}


def visible(node: Node) -> frozenset[Call]:
    """Return the calls that this panel shows: hall calls and own cab calls."""
    others = others_cab_calls(node)
    return frozenset(
        call
        for dot, call in node.calls.live.items()
        if call.button is not Button.CAB or (call.car == node.me.id and dot not in others)
    )


def others_cab_calls(node: Node) -> frozenset[Dot]:
    """Return the cab calls under our id that are not ours: neither this run nor a former one of ours made them.

    There are none but while another node uses our id. Otherwise they were made by a run of which we have no record.
    """
    if not node.rivals or not alive_rivals(node):
        return frozenset()
    ours = {Author(node.me.id, incarnation) for incarnation in (node.me.incarnation, *node.past)}
    cabs = (dot for dot, call in node.calls.live.items() if call.button is Button.CAB and call.car == node.me.id)
    return frozenset(dot for dot in cabs if dot.author not in ours)


def is_listening(node: Node) -> bool:
    return node.now_ms < node.listen_until_ms


def odd(node: Node, what: str) -> Node:
    """Count *what* should not be."""
    return replaced(node, oddities={**node.oddities, what: node.oddities.get(what, 0) + 1})
