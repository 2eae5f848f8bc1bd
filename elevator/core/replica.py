"""A node's replica of the call set, what its disk holds of it, and which lamps that lights. Pure.

A lamp lights when a press of its call is on this node's disk and acknowledged by every peer that is alive and hears us
(L3). With no such peer the disk alone is enough, with a failing disk the peers alone. A lit lamp stays lit until its
call has been served (L4). A heartbeat carries only what is on the disk, so what others have heard from us is durable.
"""

from collections.abc import Collection, Mapping

from attrs import evolve, frozen

from elevator.core.call_set import covers
from elevator.core.model import Author, Call, Calls, Dot


@frozen
class Replica:
    """The call set of one node."""

    calls: Calls
    recorded: Calls
    """Calls that are on the disk for certain."""
    disk_failed: bool = False
    """Whether the disk last took nothing, or takes too long. Lamps rest on the peers meanwhile."""
    lit: frozenset[Call] = frozenset()
    """Calls that were promised on this panel and not yet served."""


def durable(replica: Replica) -> Calls:
    """Return the calls that a heartbeat carries: those on the disk, or all while the disk fails."""
    return replica.calls if replica.disk_failed else replica.recorded


def darken(replica: Replica, shown: Mapping[Dot, Call]) -> Replica:
    """Keep only the lamps of calls that are *shown* on this panel and not served yet."""
    lit = replica.lit.intersection(shown.values())
    return replica if len(lit) == len(replica.lit) else evolve(replica, lit=lit)


def light(replica: Replica, shown: Mapping[Dot, Call], acknowledgements: Collection[Mapping[Author, int]]) -> Replica:
    """Light the lamps of calls *shown* whose guarantee holds. Each peer has a version vector in *acknowledgements*."""
    dark = {dot: call for dot, call in shown.items() if call not in replica.lit}
    fresh = {call for dot, call in dark.items() if is_promised(replica, dot, acknowledgements)}
    return evolve(replica, lit=replica.lit | fresh) if fresh else replica


def is_promised(replica: Replica, dot: Dot, acknowledgements: Collection[Mapping[Author, int]]) -> bool:
    """Tell whether enough disks hold *dot*."""
    on_disk = covers(replica.recorded.seen, dot) or (replica.disk_failed and bool(acknowledgements))
    return on_disk and all(covers(seen, dot) for seen in acknowledgements)
