"""Determines when faults affect a car or the whole group. Timing and behaviour are not judged then.

A fault affects its target while it lasts and for some time after it begins or ends: CAR_MS for a car, GROUP_MS for the
group. Faults of the network affect the group. A misconfigured node affects the group and every car. A fault of one node
affects the group only when it begins and ends, because the other nodes must notice it. In between, the group must work
without that node.
"""

from collections.abc import Set as AbstractSet

from attrs import define

from elevator.core.model import NEVER_MS
from elevator.simulation.events import FaultBegan, FaultEnded, Joined, Trial
from elevator.simulation.faults import GHOSTS, MISCONFIGURED, PROGRAM_FAULTS, FaultKind, InjectedFault

CAR_MS = 1000
"""How long a fault affects a car after it begins or ends. A panel is declared lost after 0.5 s without a reply (C11), a
resumed program listens for 0.3 s (C10), and a motor command is repeated after 1 s (C8)."""
GROUP_MS = 5000
"""How long a fault affects the group after it begins or ends. Other cars take over within 2.5 s (G3), and every car
claims a call that has been unclaimed for another 2 s (A2)."""

AFFECTING_CAR = frozenset((FaultKind.MOTOR, FaultKind.DEAD_SENSOR, FaultKind.OBSTRUCT, FaultKind.STOP))
AFFECTING_NETWORK = frozenset((FaultKind.CUT, FaultKind.ONE_WAY, FaultKind.PACKET_LOSS, *GHOSTS, *MISCONFIGURED))
AFFECTING_GROUP = AFFECTING_NETWORK | {FaultKind.DISK, FaultKind.SLOW_DISK, FaultKind.SLOW_SERVER}
"""Faults that affect the group for as long as they last."""
HARMLESS = frozenset((FaultKind.FALSE_FLOOR, FaultKind.ATTACK))
"""Faults that must have no effect."""
HARMFUL = frozenset(FaultKind) - HARMLESS


@define(eq=False)
class Unaffected:
    """Tracks faults of the kinds in *by*. From `from_ms` on, they no longer affect their target."""

    by: AbstractSet[FaultKind]
    lasting: AbstractSet[FaultKind]
    """The kinds that have an effect while they last. Other kinds have an effect only when they begin and end."""
    after_ms: int
    active: int = 0
    from_ms: int = 0

    def update(self, kind: FaultKind, begins: bool, now_ms: int) -> None:
        if kind in self.by:
            self.active += (1 if begins else -1) if kind in self.lasting else 0
            self.from_ms = NEVER_MS if self.active else now_ms + self.after_ms


class Health:
    """Tracks which nodes are affected by faults, and whether the group is."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.programs: dict[int, Unaffected] = {}
        self.sensors: dict[int, Unaffected] = {}
        """For each node, the time from which its floor sensor works."""
        self.nodes: dict[int, Unaffected] = {}
        """For each node, the time from which its program, server and car are unaffected."""
        self.ids = Unaffected(frozenset(MISCONFIGURED), frozenset(MISCONFIGURED), GROUP_MS)
        """The time from which no misconfigured node affects the cars. Nodes remember a duplicate for a while."""
        self.network = Unaffected(AFFECTING_NETWORK, AFFECTING_NETWORK, GROUP_MS)
        self.group = Unaffected(HARMFUL, AFFECTING_GROUP, GROUP_MS, from_ms=GROUP_MS)
        self.besides_shirker = Unaffected(HARMFUL, AFFECTING_GROUP - {FaultKind.SHIRKER}, GROUP_MS, from_ms=GROUP_MS)
        """Like `group`, but a shirker affects the group only when it begins, not while it lasts."""
        self.besides_misconfigured = Unaffected(
            HARMFUL, AFFECTING_GROUP - set(MISCONFIGURED), GROUP_MS, from_ms=GROUP_MS
        )
        """Like `group`, but a misconfigured node affects the group only when it joins and leaves."""
        self.active: list[InjectedFault] = []
        trial.subscribe(Joined, self.on_joined)
        trial.subscribe(FaultBegan, lambda event: self.on_fault(event.fault, begins=True))
        trial.subscribe(FaultEnded, lambda event: self.on_fault(event.fault, begins=False))

    def on_joined(self, event: Joined) -> None:
        from_ms = self.trial.now_ms + CAR_MS
        self.programs[event.node] = Unaffected(PROGRAM_FAULTS, PROGRAM_FAULTS, CAR_MS, from_ms=from_ms)
        dead = frozenset((FaultKind.DEAD_SENSOR,))
        self.sensors[event.node] = Unaffected(dead, dead, CAR_MS)
        self.nodes[event.node] = Unaffected(
            PROGRAM_FAULTS | AFFECTING_CAR, PROGRAM_FAULTS | AFFECTING_CAR, CAR_MS, from_ms=from_ms
        )

    def on_fault(self, fault: InjectedFault, begins: bool) -> None:
        kind, now_ms = fault.kind, self.trial.now_ms
        self.active = [*self.active, fault] if begins else [each for each in self.active if each is not fault]
        for node in self.nodes if kind is FaultKind.BLACKOUT else {fault.target} & self.nodes.keys():
            for affected in (self.programs, self.sensors, self.nodes):
                affected[node].update(kind, begins, now_ms)
        for group in (self.ids, self.network, self.group, self.besides_shirker, self.besides_misconfigured):
            group.update(kind, begins, now_ms)

    def has(self, node: int, kind: FaultKind) -> bool:
        return any(fault.kind is kind and fault.target == node for fault in self.active)

    def began_at_ms(self, node: int, kind: FaultKind) -> int:
        """Return when the active fault of this kind at *node* began; the current time if there is none."""
        began = (fault.at_ms for fault in self.active if fault.kind is kind and fault.target == node)
        return min(began, default=self.trial.now_ms)

    def is_program_unaffected(self, node: int, since_ms: int | None = None) -> bool:
        """Return whether the program and server of *node* are unaffected, and have been since *since_ms* if given."""
        return self.programs[node].from_ms <= (self.trial.now_ms if since_ms is None else since_ms)

    def is_unaffected(self, node: int) -> bool:
        """Return whether *node* belongs to the group and no fault affects its program or its car."""
        return node < self.trial.plan.cars and max(self.nodes[node].from_ms, self.ids.from_ms) <= self.trial.now_ms

    def is_calm(self, at_ms: int | None = None) -> bool:
        """Return whether the group is unaffected by faults, and has been since *at_ms* if given."""
        return self.group.from_ms <= (self.trial.now_ms if at_ms is None else at_ms)
