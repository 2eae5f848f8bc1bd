"""Who is there: what each peer said last, and for how long its silence is normal.

A peer counts as alive until it has been silent for as many heartbeats as make a false alarm rarer than one in a
million at the loss measured from the gaps in its counters (1 % loss: a few; 30 %: about 12; 70 %: about 36). A false
alarm costs a double visit, never a call. There is one threshold: a peer that may be alive is waited for before a lamp
lights, which keeps the lamp's promise strong in bad networks at the price of a slower lamp right after a death.

Ids and incarnations: a restarted program has a higher incarnation than the one before (or, without a record, a random
one). A higher one replaces its predecessor at once. A lower one does so when that is silent; until then it is a second
node with the same id: its calls are merged, what it says of its car is not believed.
"""

from bisect import bisect_left
from collections.abc import Mapping

from attrs import evolve, frozen

from elevator.core.model import NEVER_MS, Author, Calls, Fault, Heartbeat

HEARTBEAT_MS = 50
FALSE_ALARM = 1e-6
MISSED_MIN, MISSED_MAX = 5, 36
"""How many heartbeats a peer may at least, and at most, leave out before it is taken for dead."""
LOSSES = [FALSE_ALARM ** (1 / missed) for missed in range(MISSED_MIN, MISSED_MAX)]
"""The loss at which so many missed in a row are as rare as a false alarm may be; ascending."""
LOSS_PRIOR = 0.1
LOSS_MEMORY = 50
"""How many heartbeats the loss is averaged over, about."""
LOSS_MARGIN = 0.02
"""Added to the measured loss, which is noisy: no link is believed to be perfect."""
RIVAL_MS = 2000
"""For how long another node with our id is remembered after it was last heard."""
RIVALS_MAX = 8


@frozen
class Peer:
    """What another node has said of itself."""

    said: Heartbeat
    """The newest it has said."""
    parts: int
    """Bit mask of the parts heard of that heartbeat."""
    told: Calls
    """What those parts told."""
    calls: Calls
    """What it holds, as far as it has said; its `seen` is what it acknowledges."""
    loss: float
    """Estimated share of its heartbeats that do not arrive, 0..1."""
    silent_at_ms: int
    """It is taken for dead from then on, unless it speaks before."""


@frozen
class Peers:
    """The other nodes that this one hears."""

    known: Mapping[int, Peer] = {}
    miss_at_ms: int = NEVER_MS
    """Until when no peer that is alive can have fallen silent: when the first would have, had none spoken since."""
    past: frozenset[int] = frozenset()
    """Incarnations of this node's former runs, as far as its record knows."""
    rivals: Mapping[Author, int] = {}
    """Other nodes that use our id, or the id of a peer, and when each is taken to have gone."""


def alive(peers: Peers, now_ms: int) -> Mapping[int, Peer]:
    """Return the peers that are not taken for dead."""
    return {id: peer for id, peer in peers.known.items() if now_ms < peer.silent_at_ms}


def in_reach(peers: Peers, me: int, now_ms: int) -> Mapping[int, Peer]:
    """Return the peers that are alive and say that they hear node *me*: links may be one-way."""
    return {id: peer for id, peer in alive(peers, now_ms).items() if peer.said.hears >> me & 1}


def able(reached: Mapping[int, Peer]) -> Mapping[int, Peer]:
    """Return those of the peers *reached* whose cars are in service."""
    return {id: peer for id, peer in reached.items() if peer.said.car.fault is Fault.NONE}


def miss_at_ms(peers: Peers, now_ms: int) -> int:
    """Return when the first of the peers that are alive falls silent, if none speaks before."""
    return min((peer.silent_at_ms for peer in alive(peers, now_ms).values()), default=NEVER_MS)


def excuse(peers: Peers, gap_ms: int) -> Peers:
    """Forgive all peers a silence of *gap_ms* during which this node did not listen."""
    known = {id: evolve(peer, silent_at_ms=peer.silent_at_ms + gap_ms) for id, peer in peers.known.items()}
    return evolve(peers, known=known)


def with_rival(peers: Peers, rival: Author, now_ms: int) -> Peers:
    """Remember that *rival* was heard now. Only the last are kept, in case somebody makes them up."""
    others = [(author, at_ms) for author, at_ms in peers.rivals.items() if now_ms < at_ms]
    return evolve(peers, rivals={**dict(others[-RIVALS_MAX:]), rival: now_ms + RIVAL_MS})


def are_as_before(old: Mapping[int, Peer], new: Mapping[int, Peer]) -> bool:
    """Tell whether the same peers are there, and the car of each is what it was and claims what it did."""
    return old.keys() == new.keys() and all(stands_as_before(old[id], peer) for id, peer in new.items())


def hear(peer: Peer | None, heartbeat: Heartbeat, now_ms: int) -> Peer | None:
    """Return what is now known of the sender; None if the heartbeat is old news or a second node's with its id."""
    calls = heartbeat.calls
    parts = 1 << heartbeat.part
    if peer is None:
        return Peer(heartbeat, parts, calls, calls, LOSS_PRIOR, now_ms + silence_ms(LOSS_PRIOR))
    said, loss, told = peer.said, peer.loss, calls
    if said.sender == heartbeat.sender:
        ahead = heartbeat.counter - said.counter
        if ahead < 0 or (ahead == 0 and peer.parts & parts):
            return None
        if ahead == 0:
            parts, told = parts | peer.parts, patch(peer.told, calls)
        elif now_ms < peer.silent_at_ms:  # else it was away: that is no measure of the link
            loss = average(loss, missed=ahead - 1)
        # What it has forgotten it does not name, so that shows only in a heartbeat of which all parts have come.
        calls = told if parts == (1 << heartbeat.parts) - 1 else patch(peer.calls, calls)
    elif heartbeat.sender < said.sender and now_ms < peer.silent_at_ms:
        return None
    return Peer(heartbeat, parts, told, calls, loss, now_ms + silence_ms(loss))


def says_the_same(peer: Peer, heartbeat: Heartbeat) -> bool:
    """Tell whether *heartbeat* is nothing but a sign of life. A body heard before is the same object (see wire.py)."""
    said = peer.said
    # Tuples compare identities first.
    news = (heartbeat.sender, heartbeat.hears, heartbeat.car, heartbeat.claims, heartbeat.rates)
    return heartbeat.calls is peer.calls and news == (said.sender, said.hears, said.car, said.claims, said.rates)


def stands_as_before(old: Peer, new: Peer) -> bool:
    """Tell whether a peer's car is what it was, and claims what it did."""
    was, now = old.said, new.said
    return was is now or (was.car, was.claims, was.rates) == (now.car, now.claims, now.rates)


def patch(old: Calls, part: Calls) -> Calls:
    """Replace what *old* has of the authors that *part* speaks of."""
    live = {dot: call for dot, call in old.live.items() if dot.author not in part.seen}
    return Calls({**live, **part.live}, {**old.seen, **part.seen})


def average(loss: float, missed: int) -> float:
    """Update *loss* with *missed* heartbeats followed by one that came."""
    keep = 1 - 1 / LOSS_MEMORY
    return (1 - (1 - loss) * keep ** min(missed, 1000)) * keep


def silence_ms(loss: float) -> int:
    """Return the silence that calls for a peer to be taken for dead when heartbeats arrive with *loss*."""
    return HEARTBEAT_MS * (MISSED_MIN + bisect_left(LOSSES, loss + LOSS_MARGIN))
