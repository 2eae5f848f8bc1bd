"""The state of one node as a frozen value, and what is derived from it: outputs, heartbeat, record, and when to wake.

step.py folds what a node learns into it.
"""

from collections.abc import Iterable, Mapping

from attrs import frozen

from elevator import __version__
from elevator.core import door, drive, outgoing, peers
from elevator.core.assignment import Assignment
from elevator.core.call_set import demand
from elevator.core.drive import Drive
from elevator.core.model import (
    EVERY_BUTTON,
    Author,
    Button,
    Buttons,
    Call,
    Calls,
    Dot,
    Heartbeat,
    Inputs,
    Outputs,
    Policy,
    Record,
)
from elevator.core.outgoing import Outgoing
from elevator.core.peers import Peer, Peers
from elevator.core.replica import Replica
from elevator.core.traffic import Traffic

LISTEN_MS = 300
INCARNATIONS_KEPT = 8
NEXT_INCARNATIONS = 1 << 16


@frozen
class Node:
    """The whole controller of one car."""

    me: Author
    floors: int
    policy: Policy
    now_ms: int
    """When it was last stepped."""
    listen_until_ms: int
    replica: Replica
    traffic: Traffic
    outgoing: Outgoing
    peers: Peers = Peers()
    drive: Drive = Drive()
    assignment: Assignment = Assignment()
    inputs: Inputs | None = None
    quiet_until_ms: int = 0
    """No decision can change before this time unless new input arrives or a peer times out."""
    resteps: int = 0
    """How many steps in a row have followed at once."""
    oddities: Mapping[str, int] = {}
    """How often each kind of wrong heartbeat arrived; the log reports it."""

    @property
    def calls(self) -> Calls:
        return self.replica.calls

    @property
    def lit(self) -> frozenset[Call]:
        return self.replica.lit

    @property
    def share(self) -> Buttons:
        return self.assignment.share


def boot(id: int, floors: int, record: Record | None, lot: int, now_ms: int, policy: Policy) -> Node:
    """Return a node that starts at *now_ms* with its *record*, with a *lot* drawn from 0 .. 2**32 - 1.

    Its incarnation is one that no run of this node has had: above its predecessor's, or drawn from many. Save its
    record before it does anything.
    """
    incarnation = lot + 1 if record is None else record.incarnation + 1 + lot % NEXT_INCARNATIONS
    calls = Calls() if record is None else record.calls
    return Node(
        Author(id, incarnation),
        floors,
        policy,
        now_ms,
        now_ms + LISTEN_MS,
        Replica(calls, calls),
        Traffic(now_ms),
        Outgoing(sent_at_ms=now_ms),
        Peers(past=frozenset() if record is None else runs_of(record, id)),
        drive.boot(None if record is None else record.door),
    )


def runs_of(record: Record, id: int) -> frozenset[int]:
    """Return the incarnations of our former runs in *record*: the latest, and those with a press not yet served."""
    runs = record.past | {record.incarnation}
    waited_for = {dot.author.incarnation for dot in record.calls.live if dot.author.id == id}
    return frozenset(sorted(runs)[-INCARNATIONS_KEPT:]) | runs & waited_for


def send_at_ms(node: Node) -> int:
    return outgoing.due_at_ms(node.outgoing)


def heartbeat(node: Node) -> Heartbeat:
    """Return the next heartbeat."""
    message = node.outgoing.message
    assert message is not None, "a node sends only after its first step"
    return Heartbeat(
        node.me,
        node.outgoing.counter + 1,
        node.floors,
        message.car,
        message.claims,
        message.hears,
        message.calls,
        rates=message.rates,
        version=__version__,
    )


def outputs(node: Node) -> Outputs:
    """Return the commands for the panel and the car.

    The lamp of a call that is known but not confirmed yet stays as it is: a former run may have lit it.
    """
    car, lit = node.drive, node.lit
    unsure = EVERY_BUTTON if is_listening(node) else lamps({*shown(node).values()} - lit, node.me.id)
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
    """Return the lamps of *calls* on the panel of *car*."""
    hall, cabs = demand(calls)
    return Buttons(hall.up, hall.down, cabs.get(car, 0))


def record(node: Node) -> Record:
    """Return the record to keep on the disk."""
    return Record(node.me.incarnation, node.calls, drive.open_door(node.drive), node.peers.past)


def wake_at_ms(node: Node) -> int:
    """Return when the next turn is due if nothing arrives."""
    return min(send_at_ms(node), max(node.quiet_until_ms, node.now_ms + 1), node.peers.miss_at_ms)


def in_reach(node: Node) -> Mapping[int, Peer]:
    return peers.in_reach(node.peers, node.me.id, node.now_ms)


def alive(node: Node) -> Mapping[int, Peer]:
    return peers.alive(node.peers, node.now_ms)


def shown(node: Node) -> Mapping[Dot, Call]:
    """Return the presses whose lamps this panel shows: hall calls and own cab calls."""
    others, me = others_cab_calls(node), node.me.id
    return {
        dot: call
        for dot, call in node.calls.live.items()
        if call.button is not Button.CAB or (call.car == me and dot not in others)
    }


def others_cab_calls(node: Node) -> frozenset[Dot]:
    """Return the cab calls of a second node with our id: those that no run of ours made.

    Without a live second node such a call is ours, made by a run of which the record is lost.
    """
    rivals = node.peers.rivals
    if not any(rival.id == node.me.id and node.now_ms < at_ms for rival, at_ms in rivals.items()):
        return frozenset()
    ours = {Author(node.me.id, incarnation) for incarnation in (node.me.incarnation, *node.peers.past)}
    cabs = (dot for dot, call in node.calls.live.items() if call.button is Button.CAB and call.car == node.me.id)
    return frozenset(dot for dot in cabs if dot.author not in ours)


def is_listening(node: Node) -> bool:
    return node.now_ms < node.listen_until_ms
