"""The heartbeats of a node: their content, and when they are due. Pure.

*Schedule.* A heartbeat is due every HEARTBEAT_MS. A change is sent as soon as COALESCE_MS have passed since the last
heartbeat, or AWAITED_MS if the calls have changed. It is repeated REPEATS - 1 times at intervals of REPEAT_MS, so one
lost datagram delays it by only REPEAT_MS.

*Content.* The call sets of all nodes must become equal. A call set has one entry for each author, that is, for each
incarnation of a node (call_set.py). It may be large, so a heartbeat carries a digest of the whole set, but only some
entries:

1. *Changes.* An entry that has changed is in every heartbeat of the next RECENT_MS. If not all changed entries fit into
   a heartbeat, they take turns.
2. *Anti-entropy.* If the digest of a live peer differs from the node's own, one of the two lacks something. So the
   node's heartbeats also carry other entries, in turn: those that have changed since the two digests were last equal.
   The room for them is only ROOM_BYTES divided by the number of live peers, or one entry if that is larger. So in a
   large group, a heartbeat carries only a few of them. But the nodes begin at different entries, so together they send
   the whole set within about one round of heartbeats. A node that joins receives about one copy of the set, not one
   from each node.
3. *Refresh.* Every REFRESH-th heartbeat carries entries in turn even if all digests are equal. It also carries the
   version, and the traffic rates even if they have not changed. `elevator watch` needs this, because it sends no
   heartbeats, so the nodes do not know its digest. A node that joins needs the rates.

*Merging.* A receiver merges the entries into its own set (call_set.py). Each entry merges independently of the others,
so any of them may be missing (Almeida, Shoker and Baquero 2018, "Delta state replicated data types"). Loss, duplicates,
reordering and partitions may delay a call, but never lose it.

*Acknowledgements.* Lamps wait for them (replica.py), but they are not separate messages. An entry acknowledges the
presses of its author. A digest that equals the digest of all the receiver's calls acknowledges all of them. A digest
that equals the digest of the receiver's published calls acknowledges those (step.py).
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from elevator.core.evolve import evolve, frozen
from elevator.core.messages import Heartbeat
from elevator.core.model import NEVER_MS, Author, Calls, Entry
from elevator.core.peers import HEARTBEAT_MS

COALESCE_MS = 5
"""A change is sent at least this long after the last heartbeat, so that changes in quick succession share one."""
AWAITED_MS = 1
"""Replaces COALESCE_MS for a change of the calls. It is shorter, because lamps wait for such a change. Often a
heartbeat has just been sent, because the press set a car in motion before the press was on disk."""
REPEAT_MS = 10
"""The interval at which a change is sent again, until it has been sent REPEATS times."""
REPEATS = 3
"""How many heartbeats are sent early after a change. Afterwards they are due every HEARTBEAT_MS again."""
RECENT_MS = 300
"""How long every heartbeat carries a changed entry or changed traffic rates. At least six are sent in this time, so at
30 % packet loss, a peer misses all of them with a probability below 0.1 %."""
REFRESH = 16
ENTRY_BYTES, PRESS_BYTES = 19, 5
"""The size of an entry on the network is ENTRY_BYTES, plus PRESS_BYTES for each live press (wire.py)."""
ROOM_BYTES = 1048
"""The room for entries in a heartbeat. The entry of an author with every button pressed fits."""

NOTHING = Calls()


@frozen
class Outgoing:
    """The next heartbeat, and its schedule."""

    message: Heartbeat | None = None
    """The state to publish; None before the first step. Unlike a heartbeat that is sent, it contains the whole
    published call set and has no sequence number yet."""
    repeats: int = 0
    """How many more times to send the message early. REPEATS means that it has not been sent yet."""
    is_awaited: bool = False
    """True if the message contains a change of the calls that has not been sent yet."""
    sequence: int = 0
    """The sequence number of the last heartbeat sent; 0 if none was."""
    sent_at_ms: int = 0
    changed_at_ms: Mapping[Author, int] = {}
    """When each published entry last changed."""
    cursor: Author | None = None
    """The author of the last entry that anti-entropy or a refresh has sent; None if there is none yet."""
    rates_at_ms: int = 0
    """When the traffic rates last changed."""
    room_bytes: int = ROOM_BYTES


def compose(old: Outgoing, message: Heartbeat, now_ms: int) -> Outgoing:
    """Make *message* the state to publish. If it differs from the last one, it is sent early."""
    last = old.message
    if message == last:
        return old
    entries = {} if last is None else last.calls.entries
    changed = [each.author for each in message.calls.entries.values() if each != entries.get(each.author)]
    kept = {author: at_ms for author, at_ms in old.changed_at_ms.items() if author in message.calls.entries}
    is_same_rates = last is not None and message.rates == last.rates
    return evolve(
        old,
        message=message,
        repeats=REPEATS,
        is_awaited=old.is_awaited or last is None or message.digest != last.digest,
        changed_at_ms={**kept, **dict.fromkeys(changed, now_ms)},
        rates_at_ms=old.rates_at_ms if is_same_rates else now_ms,
    )


def recent(outgoing: Outgoing, now_ms: int) -> AbstractSet[Author]:
    """Return the authors whose entries have changed within the last RECENT_MS."""
    return {author for author, at_ms in outgoing.changed_at_ms.items() if now_ms < at_ms + RECENT_MS}


def heartbeat(outgoing: Outgoing, now_ms: int, live_peers: int, since_ms: int | None) -> Heartbeat:
    """Return the next heartbeat of a node that has *live_peers* live peers.

    *since_ms* is None if all live peers have published the same digest as this node. Otherwise they can lack only
    entries that have changed at *since_ms* or later.
    """
    message, sequence = outgoing.message, outgoing.sequence + 1
    assert message is not None, "a node sends only after its first step"
    is_refresh = sequence % REFRESH == 1
    has_rates = is_refresh or now_ms < outgoing.rates_at_ms + RECENT_MS
    return Heartbeat(
        message.sender,
        sequence,
        message.floors,
        message.car,
        message.claims,
        message.hears,
        choose(outgoing, recent(outgoing, now_ms), live_peers, -NEVER_MS if is_refresh else since_ms),
        message.digest,
        message.rates if has_rates else None,
        message.waited,
        message.version if is_refresh else "",
    )


def choose(outgoing: Outgoing, changed: AbstractSet[Author], live_peers: int, since_ms: int | None) -> Calls:
    """Return the entries for the next heartbeat: those of the authors *changed*, then others in turn, if they fit.

    The others are the entries that have changed at *since_ms* or later. If *since_ms* is None, there are none. The
    nodes share the work of sending them, so each fills only 1 / *live_peers* of the room with them, or sends one entry
    if that is larger.
    """
    assert outgoing.message is not None
    if not changed and since_ms is None:
        return NOTHING
    entries, room_bytes = outgoing.message.calls.entries, outgoing.room_bytes
    chosen = in_turn([entries[author] for author in sorted(changed)], outgoing.sequence, room_bytes, room_bytes)
    if since_ms is not None:
        others_changed = (author for author, at_ms in outgoing.changed_at_ms.items() if at_ms >= since_ms)
        authors = sorted(author for author in others_changed if author not in changed)
        first = bisect_right(authors, outgoing.cursor or outgoing.message.sender)
        share_bytes, room_bytes = room_bytes // max(live_peers, 1), room_bytes - sum(map(entry_bytes, chosen))
        chosen += in_turn([entries[author] for author in authors], first, room_bytes, share_bytes)
    return Calls({entry.author: entry for entry in chosen})


def in_turn(entries: Sequence[Entry], first: int, room_bytes: int, share_bytes: int) -> list[Entry]:
    """Return *entries* in turn, starting at index *first* (modulo their number), until one does not fit.

    After the last entry, continue with the first one. The total size of the result is at most *room_bytes*. If the
    result contains more than one entry, its size is also at most *share_bytes*.
    """
    chosen: list[Entry] = []
    used_bytes = 0
    for k in range(len(entries)):
        entry = entries[(first + k) % len(entries)]
        used_bytes += entry_bytes(entry)
        if used_bytes > room_bytes or (chosen and used_bytes > share_bytes):
            break
        chosen.append(entry)
    return chosen


def entry_bytes(entry: Entry) -> int:
    return ENTRY_BYTES + PRESS_BYTES * len(entry.live)


def sent(old: Outgoing, heartbeat: Heartbeat, now_ms: int) -> Outgoing:
    """Record that *heartbeat* was sent at *now_ms*. This determines when the next one is due, and its content."""
    others = [author for author in heartbeat.calls.entries if now_ms >= old.changed_at_ms[author] + RECENT_MS]
    return evolve(
        old,
        sequence=heartbeat.sequence,
        repeats=max(old.repeats - 1, 0),
        is_awaited=False,
        sent_at_ms=now_ms,
        cursor=others[-1] if others else old.cursor,
    )


def due_at_ms(outgoing: Outgoing) -> int:
    if outgoing.repeats == REPEATS:
        return outgoing.sent_at_ms + (AWAITED_MS if outgoing.is_awaited else COALESCE_MS)
    return outgoing.sent_at_ms + (REPEAT_MS if outgoing.repeats else HEARTBEAT_MS)
