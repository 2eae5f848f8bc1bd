"""A node's replica of the call set, the part of it that is on disk, and the lit lamps. Pure.

A lamp lights when the *guarantee* of its call holds (L3). This node must have a press of the call on disk, and each
live peer that hears this node must have acknowledged the press. Without such a peer the disk suffices. While the disk
fails, the acknowledgements suffice, if there is at least one. A lit lamp stays lit until its call is served (L4), or
hidden because the call may belong to another node with the same id (node.py).

While a node's disk works, its heartbeats carry only the calls on that disk. So its acknowledgement of a call means that
the call is durable there. With `--no-record`, every call counts as on disk.
"""

from collections.abc import Collection
from functools import lru_cache

from elevator.core.call_set import acknowledges
from elevator.core.evolve import evolve, frozen
from elevator.core.model import EVERY_CAR, Buttons, Call, Calls, Dot, buttons_of


@frozen
class Replica:
    """The call set of one node, and the state of its lamps."""

    calls: Calls
    recorded: Calls
    """The calls that are known to be on disk."""
    disk_failed: bool = False
    """True from a failure of the disk until its next successful write. Meanwhile a lamp needs only acknowledgements."""
    lit: frozenset[Call] = frozenset()
    """The calls whose lamps this incarnation has lit and not turned off. Other lamps may still be lit from before a
    restart."""


def published(replica: Replica) -> Calls:
    """Return the calls for the heartbeats: those on disk, or all calls while the disk fails."""
    return replica.calls if replica.disk_failed else replica.recorded


def darken(replica: Replica, panel: Buttons) -> Replica:
    """Turn off the lamps that are not in *panel*: those of calls that are served or hidden."""
    if not buttons(replica.lit) - panel:
        return replica
    return evolve(replica, lit=frozenset(call for call in replica.lit if call in panel))


def light(replica: Replica, shown: Calls, car: int, acknowledgements: Collection[Calls]) -> Replica:
    """Light the lamps of calls whose guarantee holds.

    *shown* are the calls that the panel of *car* may show. Cab calls of other cars among them are ignored.
    *acknowledgements* are the published call sets of the live peers that hear this node.
    """
    dark, fresh = shown.panel(car) - buttons(replica.lit), set()
    for author, entry in shown.entries.items():
        if entry.buttons & dark:
            for n, call in entry.live.items():
                is_dark = call in dark and call.car in (EVERY_CAR, car)
                if is_dark and is_guaranteed(replica, Dot(author, n), acknowledgements):
                    fresh.add(call)
    return evolve(replica, lit=replica.lit | fresh) if fresh else replica


@lru_cache(maxsize=16)
def buttons(lit: frozenset[Call]) -> Buttons:
    """Return the buttons of the *lit* calls of one panel. They rarely change, so the results are cached."""
    return buttons_of(lit)


def is_guaranteed(replica: Replica, dot: Dot, acknowledgements: Collection[Calls]) -> bool:
    """Return whether the guarantee holds for the press *dot*: this node's disk and all *acknowledgements* cover it.

    While the disk fails, the acknowledgements suffice, but there must be at least one.
    """
    on_disk = acknowledges(replica.recorded, dot) or (replica.disk_failed and bool(acknowledgements))
    return on_disk and all(acknowledges(calls, dot) for calls in acknowledgements)
