"""The call set: a replicated set of calls with the operations press, serve and merge.

It is an observed-remove set without tombstones (Bieniusa et al. 2012, "An optimized conflict-free replicated set").
Each press has a *dot*, (author, n), as its identity. `live` holds the dots that are not yet served. The version vector
`seen` holds the highest known n of each author.

 1. `press` adds a new dot and removes the author's older dot for the same call.
 2. `serve` removes the live dots of the calls served. It does not affect dots that this replica has not seen yet.
 3. `merge` keeps a dot if it is live in both replicas, or if it is live in one and not yet seen by the other.
 4. So `merge` is commutative, associative and idempotent. Packet loss, duplicates, reordering and partitions need no
    special handling. If a call is served on one side of a partition and pressed again on the other, the new press
    survives the merge.
 5. A replica with seen[author] >= n acknowledges the dot (author, n).

`serve`, `merge` and `forget` return their first argument itself if nothing changes. Callers test this with `is`.
"""

from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import assert_never

from elevator.core.model import Author, Button, Buttons, Call, Calls, Dot


def press(calls: Calls, author: Author, call: Call) -> Calls:
    """Add a press of *call* by *author*."""
    n = calls.seen.get(author, 0) + 1
    live = {dot: c for dot, c in calls.live.items() if dot.author != author or c != call}
    live[Dot(author, n)] = call
    return Calls(live, {**calls.seen, author: n})


def serve(calls: Calls, served: Collection[Call], spared: Collection[Dot] = ()) -> Calls:
    """Remove every known press of the calls *served*, except the dots *spared*."""
    live = {dot: call for dot, call in calls.live.items() if call not in served or dot in spared}
    return calls if len(live) == len(calls.live) else Calls(live, calls.seen)


def merge(ours: Calls, theirs: Calls) -> Calls:
    """Merge two replicas. *theirs* may be partial: authors missing from its `seen` keep their state in *ours*."""
    if ours is theirs:
        return ours
    live = {dot: call for dot, call in ours.live.items() if dot in theirs.live or not covers(theirs.seen, dot)}
    fresh = {dot: call for dot, call in theirs.live.items() if dot not in ours.live and not covers(ours.seen, dot)}
    further = {author: n for author, n in theirs.seen.items() if n > ours.seen.get(author, 0)}
    if not fresh and not further and len(live) == len(ours.live):
        return ours
    return Calls({**live, **fresh}, {**ours.seen, **further} if further else ours.seen)


def forget(calls: Calls, authors: AbstractSet[Author]) -> Calls:
    """Remove *authors* without live dots from `seen`.

    This loses no call, because an author with a live dot is kept. If a node returns with an old replica that holds a
    dot of a removed author, the call of that dot is served again.
    """
    gone = authors - {dot.author for dot in calls.live}
    if not gone & calls.seen.keys():
        return calls
    return Calls(calls.live, {author: n for author, n in calls.seen.items() if author not in gone})


def covers(seen: Mapping[Author, int], dot: Dot) -> bool:
    """Report whether *seen* acknowledges *dot*."""
    return dot.n <= seen.get(dot.author, 0)


def demand(calls: Iterable[Call]) -> tuple[Buttons, Mapping[int, int]]:
    """Return *calls* as bit masks: the hall calls (`cab` is 0), and the cab calls by car id."""
    up = down = 0
    cabs: dict[int, int] = {}
    for button, floor, car in calls:
        if button is Button.UP:
            up |= 1 << floor
        elif button is Button.DOWN:
            down |= 1 << floor
        else:
            cabs[car] = cabs.get(car, 0) | 1 << floor
    return Buttons(up, down), cabs


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
