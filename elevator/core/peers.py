"""The failure detector: the newest heartbeat of each peer, and how long its silence is normal.

A peer is alive until it has missed so many heartbeats that a false alarm is rarer than one in a million. That number
depends on the packet loss, which is measured from the gaps in the peer's sequence numbers: a few at 1 % loss, about 12
at 30 %, about 36 at 70 %. A false alarm costs a double visit, never a call. There is one threshold: a lamp waits for
every peer that may be alive and hears this node. This keeps its promise strong in bad networks, and delays a lamp right
after a crash.

A restarted node has a higher incarnation than before, or a random one if it has lost its record. A higher incarnation
replaces its predecessor at once, a lower one only when the predecessor is silent. Until then the lower one is a second
node with the same id: its calls are merged, but the state of its car is ignored.

A node that hears its own id from another incarnation cannot tell at once whether that is a late or replayed datagram of
a former run or a second node. It is a second node if its sequence numbers still rise after DOUBT_MS.
"""

from bisect import bisect_left
from collections.abc import Mapping

from attrs import evolve, frozen

from elevator.core.model import NEVER_MS, Author, Calls, Fault, Heartbeat

HEARTBEAT_MS = 50
FALSE_ALARM = 1e-6
MISSED_MIN, MISSED_MAX = 5, 36
"""The least and the greatest number of missed heartbeats after which a peer is dead."""
LOSSES = [FALSE_ALARM ** (1 / missed) for missed in range(MISSED_MIN, MISSED_MAX)]
"""For each number of missed heartbeats, the loss at which that is as rare as a false alarm may be; ascending."""
LOSS_PRIOR = 0.1
LOSS_MEMORY = 50
"""The loss is averaged over about this many heartbeats."""
LOSS_MARGIN = 0.02
"""Added to the measured loss, which is noisy: no link is perfect."""
DOUBT_MS = 300
"""Datagrams are not delayed for so long that a former run seems to send for this time."""
DUPLICATE_MS = 2000
"""For how long a second node with our id is remembered after it was last heard."""


@frozen
class Peer:
    """What this node knows of another one."""

    heartbeat: Heartbeat
    """Its newest heartbeat."""
    parts: int
    """Bit mask of the parts of that heartbeat that have arrived."""
    received: Calls
    """The calls in those parts."""
    calls: Calls
    """The calls on its disk, as far as known. It acknowledges `calls.seen`."""
    loss: float
    """Estimated share of its heartbeats that are lost, 0..1."""
    timeout_at_ms: int
    """When it is dead unless a heartbeat arrives before."""


@frozen
class Duplicate:
    """Another incarnation with our id."""

    author: Author
    sequence: int
    """Its highest sequence number."""
    since_ms: int
    heard_at_ms: int
    """When that sequence number arrived."""

    @property
    def is_certain(self) -> bool:
        """Whether it is a second node and not a former run."""
        return self.heard_at_ms - self.since_ms >= DOUBT_MS

    @property
    def forget_at_ms(self) -> int:
        return self.heard_at_ms + (DUPLICATE_MS if self.is_certain else DOUBT_MS)


@frozen
class Peers:
    """The other nodes that this one hears."""

    known: Mapping[int, Peer] = {}
    duplicate: Duplicate | None = None
    """A second node with our id, or what may turn out to be one; see `duplicate`."""


def alive(peers: Peers, now_ms: int) -> Mapping[int, Peer]:
    """Return the peers that have not timed out."""
    return {id: peer for id, peer in peers.known.items() if now_ms < peer.timeout_at_ms}


def in_reach(peers: Peers, me: int, now_ms: int) -> Mapping[int, Peer]:
    """Return the live peers that hear node *me*: links may be one-way."""
    return {id: peer for id, peer in alive(peers, now_ms).items() if peer.heartbeat.hears >> me & 1}


def able(reached: Mapping[int, Peer]) -> Mapping[int, Peer]:
    """Return those of the peers *reached* whose cars are in service."""
    return {id: peer for id, peer in reached.items() if peer.heartbeat.car.fault is Fault.NONE}


def next_timeout_at_ms(peers: Peers, now_ms: int) -> int:
    """Return when the first peer that was alive at *now_ms* times out if no heartbeat arrives before."""
    timeouts = [peer.timeout_at_ms for peer in peers.known.values()]
    return min([at_ms for at_ms in timeouts if now_ms < at_ms], default=NEVER_MS)


def extend_timeouts(peers: Peers, gap_ms: int) -> Peers:
    """Extend all timeouts by *gap_ms*, for which this node did not listen."""
    known = {id: evolve(peer, timeout_at_ms=peer.timeout_at_ms + gap_ms) for id, peer in peers.known.items()}
    return evolve(peers, known=known)


def duplicate(peers: Peers, now_ms: int) -> Duplicate | None:
    """Return the other incarnation with our id that was heard lately."""
    other = peers.duplicate
    return other if other is not None and now_ms < other.forget_at_ms else None


def receive_duplicate(old: Duplicate | None, heartbeat: Heartbeat, now_ms: int) -> Duplicate:
    """Note a heartbeat with our id. *old* is the other incarnation heard lately.

    A third incarnation is ignored at first. Later it prolongs the warning: the second node may have restarted.
    """
    sender, sequence = heartbeat.sender, heartbeat.sequence
    if old is None:
        return Duplicate(sender, sequence, now_ms, now_ms)
    if sequence <= old.sequence if sender == old.author else not old.is_certain:
        return old
    return evolve(old, author=sender, sequence=sequence, heard_at_ms=now_ms)


def have_same_states(old: Mapping[int, Peer], new: Mapping[int, Peer]) -> bool:
    """Tell whether the same peers are there with the same state of their cars and the same claims."""
    return old.keys() == new.keys() and all(has_same_state(old[id], peer) for id, peer in new.items())


def receive(peer: Peer | None, heartbeat: Heartbeat, now_ms: int) -> Peer | None:
    """Return the updated sender; None if the heartbeat is old, or comes from a second node with its id."""
    calls = heartbeat.calls
    parts = 1 << heartbeat.part
    if peer is None:
        return Peer(heartbeat, parts, calls, calls, LOSS_PRIOR, now_ms + timeout_ms(LOSS_PRIOR))
    last, loss, received = peer.heartbeat, peer.loss, calls
    if last.sender == heartbeat.sender:
        ahead = heartbeat.sequence - last.sequence
        if ahead < 0 or (ahead == 0 and peer.parts & parts):
            return None
        if ahead == 0:
            parts, received = parts | peer.parts, patch(peer.received, calls)
        elif now_ms < peer.timeout_at_ms:  # else it was away: that is no measure of the link
            loss = average(loss, missed=ahead - 1)
        # What it has forgotten it does not name, so that shows only in a heartbeat of which all parts have come.
        calls = received if parts == (1 << heartbeat.parts) - 1 else patch(peer.calls, calls)
    elif heartbeat.sender < last.sender and now_ms < peer.timeout_at_ms:
        return None
    return Peer(heartbeat, parts, received, calls, loss, now_ms + timeout_ms(loss))


def has_same_content(peer: Peer, heartbeat: Heartbeat) -> bool:
    """Tell whether *heartbeat* is only a sign of life. A body that was decoded before is the same object (wire.py)."""
    last = peer.heartbeat
    # Tuples compare identities first.
    news = (heartbeat.sender, heartbeat.hears, heartbeat.car, heartbeat.claims, heartbeat.rates)
    return heartbeat.calls is peer.calls and news == (last.sender, last.hears, last.car, last.claims, last.rates)


def has_same_state(old: Peer, new: Peer) -> bool:
    """Tell whether a peer's car has the same state and the same claims."""
    was, now = old.heartbeat, new.heartbeat
    return was is now or (was.car, was.claims, was.rates) == (now.car, now.claims, now.rates)


def patch(old: Calls, part: Calls) -> Calls:
    """Replace the entries of *old* for the authors in *part*."""
    live = {dot: call for dot, call in old.live.items() if dot.author not in part.seen}
    return Calls({**live, **part.live}, {**old.seen, **part.seen})


def average(loss: float, missed: int) -> float:
    """Update *loss* with *missed* heartbeats followed by one that arrived."""
    keep = 1 - 1 / LOSS_MEMORY
    return (1 - (1 - loss) * keep ** min(missed, 1000)) * keep


def timeout_ms(loss: float) -> int:
    """Return the timeout of a peer whose heartbeats arrive with *loss*."""
    return HEARTBEAT_MS * (MISSED_MIN + bisect_left(LOSSES, loss + LOSS_MARGIN))
