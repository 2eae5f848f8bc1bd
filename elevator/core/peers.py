"""The failure detector: it keeps the newest heartbeat of each peer and decides which peers are alive.

The timeout of a peer adapts to the packet loss. Gaps in the peer's sequence numbers show the loss. A peer counts as
dead after several missed heartbeats in a row: 5 at 1 % loss, 13 at 30 %, 36 (the maximum) at 70 %. At up to 68 % loss,
the network loses that many in a row with a probability below one in a million; at 70 %, with three in a million. A
false alarm may send two cars to one call, but never loses a call.

Lamps use the same timeout: a lamp waits for each live peer that receives this node's heartbeats. So the guarantee stays
strong in bad networks. The price is a delay after a peer has crashed.

A restarted node has a higher incarnation than before, or a random one if its record is lost. A higher incarnation
replaces the known one at once. A lower one replaces it only after the known one has timed out. Until then the calls of
the lower one are merged, but the state of its car is ignored. The lower one may be an earlier incarnation whose
datagrams are late, so it counts as a duplicate only from DOUBT_MS after the first heartbeat of the higher one.

A heartbeat with this node's own id may come from a duplicate. It may also be a late or replayed datagram of an earlier
incarnation. If such heartbeats keep arriving with rising sequence numbers for DOUBT_MS, they count as a duplicate's.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from elevator.core.evolve import evolve, frozen
from elevator.core.messages import Heartbeat
from elevator.core.model import NEVER_MS, Author, Calls, Fault, Rates

HEARTBEAT_MS = 50
FALSE_ALARM = 1e-6
MISSED_MIN, MISSED_MAX = 5, 36
"""The lowest and the highest number of missed heartbeats in a row after which a peer counts as dead."""
LOSSES = [FALSE_ALARM ** (1 / missed) for missed in range(MISSED_MIN, MISSED_MAX)]
"""At a loss rate of LOSSES[k], MISSED_MIN + k heartbeats in a row are lost with probability FALSE_ALARM."""
LOSS_PRIOR = 0.1
LOSS_MEMORY = 50
"""The measured loss is an average over about this many heartbeats."""
LOSS_KEPT = 1 - 1 / LOSS_MEMORY
LOSS_MARGIN = 0.02
"""A margin added to the measured loss, because the measurement is noisy."""
DOUBT_MS = 300
"""After an incarnation has ended, its last datagrams are expected to arrive within this time."""
DUPLICATE_MS = 2000
"""A duplicate of this node is forgotten this long after its last heartbeat."""


@frozen
class Peer:
    """Another node, as known from its heartbeats."""

    heartbeat: Heartbeat
    """The newest heartbeat."""
    calls: Calls
    """The peer's published call set, as far as this node knows it from entries or an equal digest. It acknowledges
    presses."""
    rates: Rates
    """The traffic rates that the peer last published; empty if not known yet."""
    version: str
    """The version of the peer's program; empty if not known yet."""
    loss: float
    """The estimated fraction of the peer's heartbeats that are lost on the way to this node, 0..1."""
    timeout_at_ms: int
    """The peer counts as dead from this time on, unless a heartbeat arrives earlier."""
    since_ms: int
    """When this node began to accept the heartbeats of this incarnation."""
    agreed_at_ms: int = -NEVER_MS
    """When the peer's digest last became equal to one of this node's two digests (`step.match_digests`); -NEVER_MS if
    never in this incarnation."""


@frozen
class OtherIncarnation:
    """Another incarnation with this node's id: that of a duplicate, or an earlier one of this node."""

    author: Author
    sequence: int
    """The highest sequence number received from `author`."""
    since_ms: int
    """When the current series of heartbeats from such incarnations began. A new `author` continues the series. It ends
    at `forget_at_ms`."""
    heard_at_ms: int
    """When the heartbeat with the number `sequence` arrived."""

    @property
    def is_certain(self) -> bool:
        """True if this counts as a duplicate, not as an earlier incarnation of this node."""
        return self.heard_at_ms - self.since_ms >= DOUBT_MS

    @property
    def forget_at_ms(self) -> int:
        return self.heard_at_ms + (DUPLICATE_MS if self.is_certain else DOUBT_MS)


@frozen
class Peers:
    """The other nodes from which this node has received heartbeats, alive or dead."""

    known: Mapping[int, Peer] = {}
    other: OtherIncarnation | None = None
    """The other incarnation with this node's id that `receive_other` remembers; None if there was none. `recent_other`
    ignores it after a while."""


def alive(peers: Peers, now_ms: int) -> Mapping[int, Peer]:
    """Return the peers that have not timed out."""
    return {id: peer for id, peer in peers.known.items() if now_ms < peer.timeout_at_ms}


def in_reach(peers: Peers, me: int, now_ms: int) -> Mapping[int, Peer]:
    """Return the live peers that also receive the heartbeats of node *me*. Links may be one-way."""
    return {id: peer for id, peer in alive(peers, now_ms).items() if peer.heartbeat.hears >> me & 1}


def in_service(known: Mapping[int, Peer]) -> Mapping[int, Peer]:
    """Return the peers in *known* whose car is in service."""
    return {id: peer for id, peer in known.items() if peer.heartbeat.car.fault is Fault.NONE}


def next_timeout_at_ms(peers: Peers, now_ms: int) -> int:
    """Return when the first of the live peers times out if no heartbeat arrives; NEVER_MS if no peer is alive."""
    next_ms = NEVER_MS
    for peer in peers.known.values():
        if now_ms < peer.timeout_at_ms < next_ms:
            next_ms = peer.timeout_at_ms
    return next_ms


def extend_timeouts(peers: Peers, gap_ms: int) -> Peers:
    """Extend all timeouts by *gap_ms*, because this node read no heartbeats for that long. Dead peers stay dead."""
    known = {id: evolve(peer, timeout_at_ms=peer.timeout_at_ms + gap_ms) for id, peer in peers.known.items()}
    return evolve(peers, known=known)


def recent_other(peers: Peers, now_ms: int) -> OtherIncarnation | None:
    """Return the other incarnation with this node's id if it was heard from recently, else None."""
    other = peers.other
    return other if other is not None and now_ms < other.forget_at_ms else None


def receive_other(old: OtherIncarnation | None, heartbeat: Heartbeat, now_ms: int) -> OtherIncarnation:
    """Process a *heartbeat* from another incarnation with this node's id; return the incarnation to remember.

    *old* is the incarnation remembered so far; None if there is none. A heartbeat of *old* is ignored if its sequence
    number is not new. A third incarnation is ignored until *old* counts as a duplicate. Then it replaces *old*, because
    the duplicate may have restarted.
    """
    sender, sequence = heartbeat.sender, heartbeat.sequence
    if old is None:
        return OtherIncarnation(sender, sequence, now_ms, now_ms)
    if sequence <= old.sequence if sender == old.author else not old.is_certain:
        return old
    return evolve(old, author=sender, sequence=sequence, heard_at_ms=now_ms)


def have_changed(old: Peers, old_ms: int, new: Peers, new_ms: int, me: int) -> bool:
    """Return whether a peer has appeared, timed out or changed from *old* at *old_ms* to *new* at *new_ms*.

    A peer counts as changed only if an input of the assignment has changed: its car, claims, long waits or rates, or
    whether it hears node *me*. A timeout in *old* that has passed counts even if a heartbeat has just arrived.
    """
    if new_ms >= next_timeout_at_ms(old, old_ms):
        return True
    changed = [(old.known.get(id), peer) for id, peer in new.known.items() if old.known.get(id) is not peer]
    return any(was is None or old_ms >= was.timeout_at_ms or not has_same_state(was, now, me) for was, now in changed)


def receive(peer: Peer | None, heartbeat: Heartbeat, now_ms: int) -> Peer | None:
    """Return *peer* after *heartbeat*; None if the heartbeat has no effect on *peer*.

    A heartbeat has no effect if its sequence number is not new, or if it comes from a lower incarnation while the known
    one has not timed out. *peer* is None if no heartbeat with the sender's id was received before.
    """
    calls, rates, version = heartbeat.calls, heartbeat.rates, heartbeat.version
    if peer is None:
        return Peer(heartbeat, calls, rates or Rates(), version, LOSS_PRIOR, now_ms + timeout_ms(LOSS_PRIOR), now_ms)
    last, loss = peer.heartbeat, peer.loss
    if last.sender == heartbeat.sender:
        missed = heartbeat.sequence - last.sequence - 1
        if missed < 0:
            return None
        if now_ms < peer.timeout_at_ms:  # After a timeout, the gap does not measure the loss of the link.
            loss = average(loss, missed)
        calls = patch(peer.calls, calls)
    elif heartbeat.sender < last.sender and now_ms < peer.timeout_at_ms:
        return None
    return Peer(
        heartbeat,
        calls,
        peer.rates if rates is None else rates,
        version or peer.version,
        loss,
        now_ms + timeout_ms(loss),
        peer.since_ms if last.sender == heartbeat.sender else now_ms,
        peer.agreed_at_ms if last.sender == heartbeat.sender else -NEVER_MS,
    )


def is_duplicate(peer: Peer, heartbeat: Heartbeat, now_ms: int) -> bool:
    """Return whether *heartbeat*, which has no effect on *peer* (`receive`), counts as a duplicate's.

    Otherwise it is a repeated or late heartbeat of the known incarnation or of an earlier one.
    """
    return heartbeat.sender != peer.heartbeat.sender and now_ms >= peer.since_ms + DOUBT_MS


def note_unchanged(peers: Peers, heartbeats: Sequence[Heartbeat], now_ms: int) -> tuple[Peers, list[Heartbeat]]:
    """Process the *heartbeats* that only show that a live peer is still alive.

    Return the updated peers and the other heartbeats, in their order. Once a heartbeat of a peer is among the others,
    all later ones of that peer are too. This is a fast path for most heartbeats, because copying `Peers` for each of
    them would make a node in a large group slow.
    """
    if not heartbeats:
        return peers, []
    known, news, changed = dict(peers.known), [], 0
    for heartbeat in heartbeats:
        id = heartbeat.sender.id
        old = known.get(id)
        if changed >> id & 1 or old is None or now_ms >= old.timeout_at_ms or not has_same_content(old, heartbeat):
            news.append(heartbeat)
            changed |= 1 << id
        elif (new := receive(old, heartbeat, now_ms)) is not None:
            known[id] = new
    return Peers(known, peers.other), news


def has_same_content(peer: Peer, heartbeat: Heartbeat) -> bool:
    """Return whether *heartbeat* brings no news of *peer*, except that the peer is alive and perhaps its version.

    The comparison is fast, because the decoder returns the same objects for the same bytes (wire.py), and tuples
    compare identities first.
    """
    last = peer.heartbeat
    new = (heartbeat.sender, heartbeat.digest, heartbeat.hears, heartbeat.car, heartbeat.claims, heartbeat.waited)
    is_same = new == (last.sender, last.digest, last.hears, last.car, last.claims, last.waited)
    return is_same and heartbeat.rates in (None, peer.rates) and patch(peer.calls, heartbeat.calls) is peer.calls


def has_same_state(old: Peer, new: Peer, me: int) -> bool:
    """Return whether *old* and *new* have the same car, claims, long waits and rates, and both or neither hear *me*."""
    was, now = old.heartbeat, new.heartbeat
    if was is now:
        return True
    is_same = (was.car, was.claims, was.waited, old.rates) == (now.car, now.claims, now.waited, new.rates)
    return is_same and not (was.hears ^ now.hears) >> me & 1


def patch(old: Calls, part: Calls) -> Calls:
    """Return *old* with the entries of *part* added. They replace entries of the same authors.

    Return *old* itself if nothing changes. Callers test this with `is`.
    """
    return old if part.entries.items() <= old.entries.items() else Calls({**old.entries, **part.entries})


def average(loss: float, missed: int) -> float:
    """Return the moving average *loss*, updated for *missed* lost heartbeats and then one that arrived."""
    return (1 - (1 - loss) * LOSS_KEPT ** min(missed, 1000)) * LOSS_KEPT


def timeout_ms(loss: float) -> int:
    """Return how long a peer may be silent before it counts as dead. *loss* is the lost fraction of its heartbeats."""
    return HEARTBEAT_MS * (MISSED_MIN + bisect_left(LOSSES, loss + LOSS_MARGIN))
