"""The replicated set of calls: press, serve, merge.

An observed-remove set without tombstones (Bieniusa et al. 2012, "An optimized conflict-free replicated set").
Each press is a dot, (author, n). `live` holds the dots not yet served. `seen` is the version vector: the highest n
heard of each author.

 1. press adds a new dot and drops the author's own older dot for that call.
 2. serve drops the live dots of the calls served. Dots that the server had not heard of are not among them.
 3. merge keeps a dot if both sides have it live, or if one has it and the other has not seen that far.
 4. So merge is commutative, associative and idempotent. Loss, duplication, reordering and partitions need no code. A
    press made on one side of a partition survives the service of an older press on the other side.
 5. seen[author] >= n is the acknowledgement of the dot (author, n).

Every function returns its argument itself when nothing changes, so that `is` tells whether anything did.
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
    """Remove every known press of the calls *served*, except those *spared*."""
    live = {dot: call for dot, call in calls.live.items() if call not in served or dot in spared}
    return calls if len(live) == len(calls.live) else Calls(live, calls.seen)


def merge(ours: Calls, theirs: Calls) -> Calls:
    """Join two replicas. *theirs* may be partial: authors missing in its `seen` stay as they are."""
    if ours is theirs:
        return ours
    live = {dot: call for dot, call in ours.live.items() if dot in theirs.live or not covers(theirs.seen, dot)}
    fresh = {dot: call for dot, call in theirs.live.items() if dot not in ours.live and not covers(ours.seen, dot)}
    further = {author: n for author, n in theirs.seen.items() if n > ours.seen.get(author, 0)}
    if not fresh and not further and len(live) == len(ours.live):
        return ours
    return Calls({**live, **fresh}, {**ours.seen, **further} if further else ours.seen)


def forget(calls: Calls, authors: AbstractSet[Author]) -> Calls:
    """Drop *authors* without live dots from `seen`.

    This is always safe. If an old replica comes back with a dot of such an author, its call is served again. None is
    lost, because an author with a live dot stays.
    """
    gone = authors - {dot.author for dot in calls.live}
    if not gone & calls.seen.keys():
        return calls
    return Calls(calls.live, {author: n for author, n in calls.seen.items() if author not in gone})


def covers(seen: Mapping[Author, int], dot: Dot) -> bool:
    """Tell whether *seen* acknowledges *dot*."""
    return dot.n <= seen.get(dot.author, 0)


def demand(calls: Iterable[Call]) -> tuple[Buttons, Mapping[int, int]]:
    """Return *calls* as masks: the hall calls (`cab` is 0), and the cab calls by car."""
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
    """Return the floors of one kind of button."""
    match button:
        case Button.UP:
            return of.up
        case Button.DOWN:
            return of.down
        case Button.CAB:
            return of.cab
        case _:
            assert_never(button)
