"""A node's replica of the call set, the part of it that is on disk, and the lit lamps. Pure.

A lamp lights when the *guarantee* of its call holds: a press of the call is on this node's disk, and each live peer
that hears this node has acknowledged it (L3). Without such a peer the disk suffices. While the disk fails, the
acknowledgements suffice. A lit lamp stays lit until its call is served (L4). While the disk works, a heartbeat carries
only calls that are on disk, so an acknowledged call is durable.
"""

from collections.abc import Collection, Mapping

from attrs import evolve, frozen

from elevator.core.call_set import covers
from elevator.core.model import Author, Call, Calls, Dot


@frozen
class Replica:
    """The call set of one node, and the state of its lamps."""

    calls: Calls
    recorded: Calls
    """The calls that are on disk."""
    disk_failed: bool = False
    """True if the last write failed or is taking too long. Meanwhile lamps depend on the peers only."""
    lit: frozenset[Call] = frozenset()
    """The calls of this panel whose lamps are lit: confirmed, and not yet served."""


def durable(replica: Replica) -> Calls:
    """Return the calls for the heartbeat: those on disk, or all calls while the disk fails."""
    return replica.calls if replica.disk_failed else replica.recorded


def darken(replica: Replica, shown: Mapping[Dot, Call]) -> Replica:
    """Turn off the lamps of calls that are no longer in *shown*."""
    lit = replica.lit.intersection(shown.values())
    return replica if len(lit) == len(replica.lit) else evolve(replica, lit=lit)


def light(replica: Replica, shown: Mapping[Dot, Call], acknowledgements: Collection[Mapping[Author, int]]) -> Replica:
    """Light the lamps of calls whose guarantee holds. *acknowledgements* are the peers' version vectors."""
    dark = {dot: call for dot, call in shown.items() if call not in replica.lit}
    fresh = {call for dot, call in dark.items() if is_promised(replica, dot, acknowledgements)}
    return evolve(replica, lit=replica.lit | fresh) if fresh else replica


def is_promised(replica: Replica, dot: Dot, acknowledgements: Collection[Mapping[Author, int]]) -> bool:
    """Report whether the guarantee holds for *dot*: it is on this node's disk and acknowledged by each peer.

    While the disk fails, the acknowledgements suffice if there is at least one.
    """
    on_disk = covers(replica.recorded.seen, dot) or (replica.disk_failed and bool(acknowledgements))
    return on_disk and all(covers(seen, dot) for seen in acknowledgements)
