"""The state of a node, and the values derived from it: outputs, heartbeat, record, and the time of the next turn.

Each start of a node begins a new *incarnation*, identified by a number. A node without a record draws the number at
random. A node with a record adds a small random step to the number in the record. So the incarnations of one node are
close together. A *duplicate* is another node with the same id. Its incarnations are almost certainly far from those of
this node, because it drew its first one at random.

While a node hears from another incarnation with its id, it hides the cab calls that a duplicate may have registered: of
the cab calls for its car, it shows and serves only those of its own incarnations. At other times it shows and serves
every cab call for its car, because a call that seems to be a duplicate's may come from an earlier incarnation of this
node whose record was lost.
"""

from collections.abc import Mapping

from elevator.core import door, drive, outgoing, peers, replica
from elevator.core.assignment import Assignment
from elevator.core.drive import Drive
from elevator.core.evolve import evolve, frozen
from elevator.core.messages import Heartbeat, Record
from elevator.core.model import (
    EVERY_BUTTON,
    Author,
    Button,
    Buttons,
    Call,
    Calls,
    Entry,
    Inputs,
    Outputs,
    Policy,
)
from elevator.core.outgoing import Outgoing
from elevator.core.peers import Peer, Peers
from elevator.core.replica import Replica
from elevator.core.traffic import Traffic

LISTEN_MS = 300
INCARNATIONS_APART = 1 << 19
"""A node without a record draws a random multiple of this number as its incarnation. So the incarnations of two nodes
with the same id are almost certainly far apart."""
INCARNATION_STEP = 1 << 16
"""The largest step from one incarnation to the next. The step is random, because a node that could not store its
incarnation starts from the same record again. It then reuses the incarnation only with probability 2^-16."""
INCARNATIONS_OWN = 1 << 28
"""The size of the range of incarnations that count as earlier ones of this node. The range ends at the incarnation in
the record and covers at least 2^12 restarts. It contains a duplicate's first incarnation, which is random and below
2^51, with probability 2^-23."""


@frozen
class Node:
    """The state of a node, which controls one car."""

    me: Author
    floors: int
    policy: Policy
    now_ms: int
    """The time of the last turn; before the first, the time of the start."""
    listen_until_ms: int
    replica: Replica
    traffic: Traffic
    outgoing: Outgoing
    predecessor: int | None = None
    """The incarnation that wrote the record that was read last; None if no record has been read."""
    peers: Peers = Peers()
    drive: Drive = Drive()
    assignment: Assignment = Assignment()
    inputs: Inputs | None = None
    quiet_until_ms: int = 0
    """No decision can change before this time unless new input arrives or a peer times out."""
    resteps: int = 0
    """How many decisions in a row have asked for an immediate next step; always below RESTEPS_MAX (step.py)."""
    warnings: Mapping[str, int] = {}
    """How often each warning has occurred since the start. The keys are the log lines."""

    @property
    def calls(self) -> Calls:
        return self.replica.calls

    @property
    def lit(self) -> frozenset[Call]:
        return self.replica.lit

    @property
    def claims(self) -> Buttons:
        return self.assignment.claims


def boot(id: int, floors: int, record: Record | None, random_bits: int, now_ms: int, policy: Policy) -> Node:
    """Return a node that starts at *now_ms* from *record*, or without a record if it is None.

    *random_bits* is a random number below 2**32. The caller must save the node's new record before the first turn.
    """
    incarnation = (
        random_bits * INCARNATIONS_APART if record is None else record.incarnation + 1 + random_bits % INCARNATION_STEP
    )
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
        None if record is None else record.incarnation,
        drive=drive.boot(None if record is None else record.door),
    )


def send_at_ms(node: Node) -> int:
    return outgoing.due_at_ms(node.outgoing)


def heartbeat(node: Node) -> Heartbeat:
    """Return the heartbeat to send next."""
    digest, now_ms = replica.published(node.replica).digest, node.now_ms
    live = [peer for peer in node.peers.known.values() if now_ms < peer.timeout_at_ms]
    since_ms = min((peer.agreed_at_ms for peer in live if peer.heartbeat.digest != digest), default=None)
    return outgoing.heartbeat(node.outgoing, now_ms, len(live), since_ms)


def outputs(node: Node) -> Outputs:
    """Return the commands for the panel.

    The lamp of a call that this node has not lit stays as it is, because an earlier incarnation may have lit it. So
    does the lamp of a call that `shown` excludes, until the other incarnation is certain to be a duplicate. While the
    node listens, all button lamps stay as they are.
    """
    car, lit, other = node.drive, replica.buttons(node.lit), peers.recent_other(node.peers, node.now_ms)
    known = shown(node) if other is not None and other.is_certain else node.calls
    return Outputs(
        motor=drive.motor(car, node.floors),
        motor_try=car.motor_try,
        door=door.command(car.door),
        lamps=lit,
        unsure=EVERY_BUTTON if is_listening(node) else known.panel(node.me.id) - lit,
        floor=car.position.floor,
        stop_lamp=node.inputs is not None and node.inputs.stop,
    )


def record(node: Node) -> Record:
    """Return the state of *node* that must survive a restart."""
    return Record(node.me.incarnation, node.calls, drive.door_record(node.drive))


def wake_at_ms(node: Node) -> int:
    """Return when the next turn is due if no input arrives."""
    next_timeout_at_ms = peers.next_timeout_at_ms(node.peers, node.now_ms)
    return min(send_at_ms(node), max(node.quiet_until_ms, node.now_ms + 1), next_timeout_at_ms)


def in_reach(node: Node) -> Mapping[int, Peer]:
    return peers.in_reach(node.peers, node.me.id, node.now_ms)


def hears(node: Node) -> int:
    """Return the published bit mask of the live peers; 0 before the first step."""
    message = node.outgoing.message
    return 0 if message is None else message.hears


def shown(node: Node) -> Calls:
    """Return the calls that this node shows on its panel and serves. Callers ignore the cab calls of other cars.

    While this node hears from another incarnation with its id, the cab calls of foreign incarnations (`is_foreign`) are
    excluded. Do not merge the result into a call set: excluded calls would count as served.
    """
    if not hears_own_id(node):
        return node.calls
    entries = node.calls.entries
    foreign = {author: without_cab(e) for author, e in entries.items() if e.buttons.cab and is_foreign(node, author)}
    return Calls({**entries, **foreign}) if foreign else node.calls


def without_cab(entry: Entry) -> Entry:
    return evolve(entry, live={n: call for n, call in entry.live.items() if call.button is not Button.CAB})


def hears_own_id(node: Node) -> bool:
    """Return whether this node has recently heard from another incarnation with its id.

    That incarnation may belong to a duplicate, or be an earlier one of this node.
    """
    return peers.recent_other(node.peers, node.now_ms) is not None


def is_foreign(node: Node, author: Author) -> bool:
    """Return whether *author* counts as an incarnation of a duplicate of *node* (INCARNATIONS_OWN).

    If no record has been read, every other incarnation with the id of *node* counts as one.
    """
    if author.id != node.me.id or author == node.me:
        return False
    last = node.predecessor
    return last is None or not last - INCARNATIONS_OWN < author.incarnation <= last


def is_listening(node: Node) -> bool:
    return node.now_ms < node.listen_until_ms
