"""The call set: a replicated set of calls with the operations press, serve and merge.

It is an observed-remove set without tombstones (Bieniusa et al. 2012, "An optimized conflict-free replicated set").
A *dot*, (author, n), identifies a press. An *entry* describes the presses of one author: the dots that are *live*,
neither served nor replaced, and the highest n known. The highest n of each entry, taken together, form the version
vector.

 1. `press` adds a new dot and removes the author's older dot for the same call.
 2. `serve` removes the live dots of the calls served. It does not affect dots that this replica has not seen yet.
 3. `merge` keeps a dot that is live in both replicas. It also keeps a dot that is live in one replica and not yet seen
    by the other.
 4. So `merge` is commutative, associative and idempotent, and packet loss, duplicates, reordering and partitions need
    no special handling. If a call is served on one side of a partition and pressed again on the other, the new press
    survives the merge.
 5. An entry acknowledges the dots of its author up to the highest n.

`serve`, `merge` and `forget` return their first argument itself if nothing changes. Callers test this with `is`.
"""

from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from typing import assert_never

from elevator.core.model import EVERY_CAR, Author, Button, Buttons, Call, Calls, Dot, Entry, bits


def press(calls: Calls, author: Author, call: Call) -> Calls:
    """Add a press of *call* by *author*."""
    old = calls.entries.get(author) or Entry(author, 0)
    n = old.newest + 1
    live = {k: each for k, each in old.live.items() if each != call}
    return Calls({**calls.entries, author: Entry(author, n, {**live, n: call})})


def serve(calls: Calls, served: Collection[Call], spared: Collection[Dot] = ()) -> Calls:
    """Remove every known press of the calls *served*, except the dots *spared*."""
    changed = {}
    for author, newest, live in ((each.author, each.newest, each.live) for each in calls.entries.values()):
        left = {n: call for n, call in live.items() if call not in served or Dot(author, n) in spared}
        if len(left) < len(live):
            changed[author] = Entry(author, newest, left)
    return Calls({**calls.entries, **changed}) if changed else calls


def merge(ours: Calls, theirs: Calls) -> Calls:
    """Merge two replicas. *theirs* may be partial: entries that it lacks stay as they are in *ours*."""
    if ours is theirs:
        return ours
    changed = {}
    for author, entry in theirs.entries.items():
        old = ours.entries.get(author)
        merged = entry if old is None else join(old, entry)
        if merged is not old:
            changed[author] = merged
    return Calls({**ours.entries, **changed}) if changed else ours


def join(ours: Entry, theirs: Entry) -> Entry:
    """Merge two entries of one author."""
    if ours == theirs:
        return ours
    live = {n: call for n, call in ours.live.items() if n in theirs.live or n > theirs.newest}
    live |= {n: call for n, call in theirs.live.items() if n > ours.newest}
    if len(live) == len(ours.live) and theirs.newest <= ours.newest:
        return ours
    return Entry(ours.author, max(ours.newest, theirs.newest), live)


def forget(calls: Calls, authors: AbstractSet[Author]) -> Calls:
    """Remove the entries of *authors* that have no live dots.

    No call is lost, because authors with live dots are kept. But a node may return with an old replica, in which a dot
    of a removed author is still live. That call is then served again.
    """
    gone = {author for author in authors & calls.entries.keys() if not has_live(calls, author)}
    return Calls({author: entry for author, entry in calls.entries.items() if author not in gone}) if gone else calls


def has_live(calls: Calls, author: Author) -> bool:
    """Return whether *calls* contains a live press of *author*."""
    entry = calls.entries.get(author)
    return entry is not None and bool(entry.live)


def acknowledges(calls: Calls, dot: Dot) -> bool:
    entry = calls.entries.get(dot.author)
    return entry is not None and dot.n <= entry.newest


def calls_of(buttons: Buttons, car: int) -> Iterable[Call]:
    """Yield the call of each of the *buttons* on the panel of *car*."""
    for button, mask, owner in (
        (Button.UP, buttons.up, EVERY_CAR),
        (Button.DOWN, buttons.down, EVERY_CAR),
        (Button.CAB, buttons.cab, car),
    ):
        for floor in bits(mask):
            yield Call(button, floor, owner)


def mask(of: Buttons, button: Button) -> int:
    """Return the mask of the floors for one kind of button."""
    match button:
        case Button.UP:
            return of.up
        case Button.DOWN:
            return of.down
        case Button.CAB:
            return of.cab
        case _:
            assert_never(button)
