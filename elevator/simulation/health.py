"""Which cars, and when the whole group, no fault has touched for a while: of these alone more is judged than safety.

A fault touches what it happens to while it lasts, and for CAR_MS or GROUP_MS after it began or ended. What happens to
the network touches the group; a node that should not be there touches every car as well. What happens to one node
touches the group when it begins and ends, since the others have to notice. Then they must do without it.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet

from attrs import define

from elevator.core.model import NEVER_MS
from elevator.simulation.events import FaultBegan, FaultEnded, Joined, Stream
from elevator.simulation.faults import GHOSTS, MISCONFIGURED, PROGRAM_FAULTS, FaultKind, InjectedFault

CAR_MS = 1000
"""A panel may be silent for 0.5 s before it is given up (C11), a program that was stopped then listens for 0.3 s (C10),
and a motor is told again after a second (C8)."""
GROUP_MS = 5000
"""Others take over within 2.5 s (G3), and what nobody has claimed for another 2 s is taken by all (A2)."""

CAR_FAULTS = frozenset((FaultKind.MOTOR, FaultKind.DEAD_SENSOR, FaultKind.OBSTRUCT, FaultKind.STOP))
NETWORK_FAULTS = frozenset((FaultKind.CUT, FaultKind.ONE_WAY, FaultKind.PACKET_LOSS, *GHOSTS, *MISCONFIGURED))
GROUP_FAULTS = NETWORK_FAULTS | {FaultKind.DISK, FaultKind.SLOW_DISK, FaultKind.SLOW_SERVER}
"""What the group cannot do without while it lasts."""
HARMLESS = frozenset((FaultKind.FALSE_FLOOR, FaultKind.ATTACK))
"""They must change nothing."""
HARMFUL = frozenset(FaultKind) - HARMLESS


@define(eq=False)
class Unaffected:
    """From when on something is untouched by faults of some kinds, if no more come."""

    by: AbstractSet[FaultKind]
    lasting: AbstractSet[FaultKind]
    """Those of them that touch it for as long as they last."""
    after_ms: int
    active: int = 0
    from_ms: int = 0

    def update(self, kind: FaultKind, begins: bool, now_ms: int) -> None:
        if kind in self.by:
            self.active += (1 if begins else -1) if kind in self.lasting else 0
            self.from_ms = NEVER_MS if self.active else now_ms + self.after_ms


class Health:
    """Follows one run."""

    def __init__(self, stream: Stream, clock: Callable[[], int], cars: int) -> None:
        self.clock = clock
        self.cars = cars
        self.programs: dict[int, Unaffected] = {}
        self.nodes: dict[int, Unaffected] = {}
        """Of each node with its car."""
        self.ids = Unaffected(frozenset(MISCONFIGURED), frozenset(MISCONFIGURED), GROUP_MS)
        """All nodes: who has used one's id is remembered for a while."""
        self.network = Unaffected(NETWORK_FAULTS, NETWORK_FAULTS, GROUP_MS)
        self.group = Unaffected(HARMFUL, GROUP_FAULTS, GROUP_MS, from_ms=GROUP_MS)
        self.besides_shirker = Unaffected(HARMFUL, GROUP_FAULTS - {FaultKind.SHIRKER}, GROUP_MS, from_ms=GROUP_MS)
        """The group, but for a stranger who takes no calls."""
        self.besides_misconfigured = Unaffected(HARMFUL, GROUP_FAULTS - set(MISCONFIGURED), GROUP_MS, from_ms=GROUP_MS)
        """The group, but for a node that should not be there."""
        self.active: list[InjectedFault] = []
        stream.subscribe(Joined, self.on_joined)
        stream.subscribe(FaultBegan, lambda event: self.on_fault(event.fault, begins=True))
        stream.subscribe(FaultEnded, lambda event: self.on_fault(event.fault, begins=False))

    def on_joined(self, event: Joined) -> None:
        from_ms = self.clock() + CAR_MS
        self.programs[event.node] = Unaffected(PROGRAM_FAULTS, PROGRAM_FAULTS, CAR_MS, from_ms=from_ms)
        self.nodes[event.node] = Unaffected(
            PROGRAM_FAULTS | CAR_FAULTS, PROGRAM_FAULTS | CAR_FAULTS, CAR_MS, from_ms=from_ms
        )

    def on_fault(self, fault: InjectedFault, begins: bool) -> None:
        kind, now_ms = fault.kind, self.clock()
        self.active = [*self.active, fault] if begins else [each for each in self.active if each is not fault]
        for node in self.nodes if kind is FaultKind.BLACKOUT else {fault.who} & self.nodes.keys():
            self.programs[node].update(kind, begins, now_ms)
            self.nodes[node].update(kind, begins, now_ms)
        for group in (self.ids, self.network, self.group, self.besides_shirker, self.besides_misconfigured):
            group.update(kind, begins, now_ms)

    def has(self, node: int, kind: FaultKind) -> bool:
        return any(fault.kind is kind and fault.who == node for fault in self.active)

    def began_at_ms(self, node: int, kind: FaultKind) -> int:
        """Return since when *host* has had a fault; now, if it has none."""
        return min(
            (fault.at_ms for fault in self.active if fault.kind is kind and fault.who == node), default=self.clock()
        )

    def is_program_unaffected(self, node: int, since_ms: int | None = None) -> bool:
        """Tell whether no fault has touched the program of *host* and its server, at *since_ms* or now."""
        return self.programs[node].from_ms <= (self.clock() if since_ms is None else since_ms)

    def is_unaffected(self, node: int) -> bool:
        """Tell whether no fault has touched *host*, which belongs to the group, or its car."""
        return node < self.cars and max(self.nodes[node].from_ms, self.ids.from_ms) <= self.clock()

    def is_calm(self, at_ms: int | None = None) -> bool:
        """Tell whether no fault has touched the group, at *at_ms* and since, or now."""
        return self.group.from_ms <= (self.clock() if at_ms is None else at_ms)
