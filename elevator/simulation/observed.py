"""The nodes of a run, what the judges remember about each of them, and when faults affect them or the group.

Most rules of timing and behaviour are not judged while a fault affects a car or the group. A fault of a car, its server
or its program affects the car while it lasts, and for another CAR_MS.

A fault of the network affects the group while it lasts, and for another GROUP_MS. So does a failing or slow disk or a
slow server, because it delays lamps. A misconfigured node affects the group and every car in this way. A phantom node
affects the group until the end of the run. HARMLESS faults affect neither a car nor the group. Any other fault affects
the group only for GROUP_MS after it begins and after it ends, because the other nodes must notice the change. In
between, the group must work without the faulty node or car.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet

from attrs import define

from elevator.building.shaft import Shaft
from elevator.core.model import EVERY_CAR, NEVER_MS, Author, Button, Buttons, Call, Calls, Direction, Dot, Motor, bits
from elevator.core.node import Node
from elevator.simulation.events import ElevatorChanged, FaultChanged, ProgramStarted, Trial, TurnTaken
from elevator.simulation.faults import GHOSTS, MISCONFIGURED, PROGRAM_FAULTS, FaultKind, InjectedFault, Plan
from elevator.simulation.links import Links
from elevator.simulation.simulated_node import SimulatedNode

EMPTY = Calls()
STALE_MS = 600
"""A node must treat a pause of at least this long between two turns as a stall, and listen before it acts. The limit
of C10 is 500 ms; the rest is a margin."""
CAR_MS = 1000
"""How long a fault still affects a car after it has ended. A panel is declared lost after 0.5 s without a reply (C11),
a resumed program listens for 0.3 s (C10), and the motor command is repeated every second (C8)."""
GROUP_MS = 5000
"""How long a fault affects the group after it has begun or ended. Other cars take over within 2.5 s (G3). If a call
is still unclaimed 2 s later, every car claims it (A2)."""

DEAD_SENSOR = frozenset((FaultKind.DEAD_SENSOR,))
AFFECTING_CAR = PROGRAM_FAULTS | DEAD_SENSOR | {FaultKind.MOTOR, FaultKind.OBSTRUCT, FaultKind.STOP}
AFFECTING_NETWORK = frozenset((FaultKind.CUT, FaultKind.ONE_WAY, FaultKind.PACKET_LOSS, *GHOSTS, *MISCONFIGURED))
AFFECTING_GROUP = AFFECTING_NETWORK | {FaultKind.DISK, FaultKind.SLOW_DISK, FaultKind.SLOW_SERVER}
"""Faults that affect the group for as long as they last, and for GROUP_MS after that."""
HARMLESS = frozenset((FaultKind.FALSE_FLOOR, FaultKind.ATTACK))
"""Faults that must have no effect."""
HARMFUL = frozenset(FaultKind) - HARMLESS


@define(eq=False)
class FaultEffects:
    """Tracks when faults of the `kinds` affect a car, or the group."""

    kinds: AbstractSet[FaultKind]
    lasting: AbstractSet[FaultKind]
    """The kinds that have an effect while they last, and for `after_ms` after their end. Other kinds have an effect for
    `after_ms` after they begin and after they end."""
    after_ms: int
    end_ms: int = 0
    """When the last effect ends or has ended; NEVER_MS while a fault of a lasting kind is active."""
    active: int = 0
    """The number of active faults of lasting kinds."""

    def update(self, kind: FaultKind, begins: bool, now_ms: int) -> None:
        if kind in self.kinds:
            self.active += (1 if begins else -1) if kind in self.lasting else 0
            self.end_ms = NEVER_MS if self.active else now_ms + self.after_ms


@define(eq=False)
class Stint:
    """What the judges remember about a car since its program last started."""

    started_at_ms: int = 0
    listens_from_ms: int = -NEVER_MS
    """When the node last had to begin to listen: at a start, or after a long pause. It must listen before it acts."""
    is_disk_failing: bool = False
    """True if the node knows that its disk is failing or too slow."""
    stale_at_ms: int = -1
    """When the node last took a turn with a tick that was STALE_MS old or older; -1 if never."""
    has_seen_floor: bool = False
    has_searched: bool = False
    search_since_ms: int | None = None
    """When the car began its first search downwards for a floor; None if this search has not begun or is over."""
    dwell_from_ms: int = -NEVER_MS
    """When the dwell time last began."""
    announced: Direction | None = None
    """The direction of the last hall call served since the door last opened; None if none was."""
    announced_at_ms: int = 0
    is_repeated: bool = False
    """True if, since the door last opened, the car has served a hall call whose press had already been served or
    replaced. Then the judges do not know which direction the passengers expect."""
    served_at_ms: int = -NEVER_MS
    """When the car last served a call, even one that had already been served."""
    heading: Direction | None = None
    """The direction of the last departure. None if there was none, or if the door has opened more than once since. In
    these cases, the car may leave in either direction."""
    is_at_stop: bool = False
    """True if the door has opened since the last departure."""
    arrival: Node | None = None
    """The node's state when the moving car reached its current floor. None if `judge_passing` has nothing to check."""
    in_service_at_ms: int = 0
    """When a check last found that the car reported no fault, or was allowed to report one."""


class ObservedNode(SimulatedNode):
    """A node that remembers what has happened to it, for the judges."""

    def __init__(
        self, trial: Trial, links: Links, freeze: Callable[[InjectedFault], None], number: int, id: int, shaft: Shaft
    ) -> None:
        super().__init__(trial, links, freeze, number, id, shaft)
        self.program_effects = FaultEffects(PROGRAM_FAULTS, PROGRAM_FAULTS, CAR_MS, trial.now_ms + CAR_MS)
        """When faults affect the program or the server."""
        self.sensor_effects = FaultEffects(DEAD_SENSOR, DEAD_SENSOR, CAR_MS)
        self.car_effects = FaultEffects(AFFECTING_CAR, AFFECTING_CAR, CAR_MS, trial.now_ms + CAR_MS)
        """When faults affect the program, the server or the car."""
        self.stint = Stint()
        self.stop_changed_at_ms = 0
        self.obstructed_at_ms = -NEVER_MS
        """When the last obstruction began, whether the door was open or closed."""
        self.opened_at_ms = -NEVER_MS
        """When the door last opened, or when a program last started with the door open, as its record said. The later
        of the two times counts."""
        self.opener: Author | None = None
        """The incarnation that was running at `opened_at_ms`; None if none was."""
        self.stuck_since_ms: int | None = None
        """The time since which the motor should run but has no power; None if it has power or should stop."""
        self.confirmed: dict[Call, tuple[list[Dot], int]] = {}
        """Maps each call that the node has confirmed to the confirmed presses, and to the time until which the call was
        confirmed. The time is NEVER_MS while the call is confirmed."""
        self.lit: dict[Call, list[Dot]] = {}
        """Maps each call whose lamp is lit on the panel to the presses for which the lamp lit."""
        self.stored: set[int] = {EMPTY.digest}
        """The digests of the empty call set, and of all call sets stored on the disk since it was last wiped."""
        self.own_incarnations: set[Author] = set()
        """The incarnations that have stored a record since the disk was last wiped or the node last started without a
        record. The node must treat their cab calls as its own."""

    def calls_of(self, buttons: Buttons) -> frozenset[Call]:
        """Return the calls that belong to the buttons or lamps in *buttons*."""
        up, down = (Button.UP, EVERY_CAR, buttons.up), (Button.DOWN, EVERY_CAR, buttons.down)
        kinds = up, down, (Button.CAB, self.id, buttons.cab)
        return frozenset(Call(button, floor, car) for button, car, mask in kinds for floor in bits(mask))

    def knows_when_opened(self) -> bool:
        """Return whether the running incarnation knows when the door opened."""
        return self.state is not None and self.state.me == self.opener

    def is_open_at(self, floor: int) -> bool:
        return self.elevator.door and self.elevator.sensed == floor

    def is_program_unaffected(self, since_ms: int | None = None) -> bool:
        """Return whether the program and the server are unaffected, and have been since *since_ms* if given."""
        return self.program_effects.end_ms <= (self.trial.now_ms if since_ms is None else since_ms)


class ObservedTrial(Trial):
    """A run that keeps what the judges remember about its nodes, and tracks when faults affect a node or the group."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.nodes: list[ObservedNode] = []
        """All nodes, by number. A misconfigured node is the last; a phantom node is not included."""
        self.misconfigured_effects = FaultEffects(frozenset(MISCONFIGURED), frozenset(MISCONFIGURED), GROUP_MS)
        """When misconfigured nodes affect the cars. They still do for a while after they have left, because the other
        nodes remember a duplicate."""
        self.network_effects = FaultEffects(AFFECTING_NETWORK, AFFECTING_NETWORK, GROUP_MS)
        self.group_effects = FaultEffects(HARMFUL, AFFECTING_GROUP, GROUP_MS, GROUP_MS)
        self.effects_except_shirker = FaultEffects(HARMFUL, AFFECTING_GROUP - {FaultKind.SHIRKER}, GROUP_MS, GROUP_MS)
        """Like `group_effects`, but a shirker counts only for GROUP_MS after it joins."""
        self.effects_except_misconfigured = FaultEffects(
            HARMFUL, AFFECTING_GROUP - set(MISCONFIGURED), GROUP_MS, GROUP_MS
        )
        """Like `group_effects`, but a misconfigured node counts only for GROUP_MS after it joins and leaves."""
        self.subscribe(FaultChanged, self.on_fault)
        self.subscribe(ProgramStarted, self.on_program_started)
        self.subscribe(TurnTaken, self.on_turn)
        self.subscribe(ElevatorChanged, self.on_elevator_changed)

    def is_unaffected(self, node: ObservedNode) -> bool:
        """Return whether *node* belongs to the group and no fault affects its program, its server or its car."""
        end_ms = max(node.car_effects.end_ms, self.misconfigured_effects.end_ms)
        return node.number < self.plan.cars and end_ms <= self.now_ms

    def is_calm(self, at_ms: int | None = None) -> bool:
        """Return whether the group is unaffected by faults, and has been since *at_ms* if given."""
        return self.group_effects.end_ms <= (self.now_ms if at_ms is None else at_ms)

    def on_fault(self, event: FaultChanged) -> None:
        kind, target = event.fault.kind, event.fault.target
        effects = [self.misconfigured_effects, self.network_effects, self.group_effects]
        effects += [self.effects_except_shirker, self.effects_except_misconfigured]
        for node in self.nodes:
            if node.number == target or kind is FaultKind.BLACKOUT:
                effects += [node.program_effects, node.sensor_effects, node.car_effects]
        for each in effects:
            each.update(kind, event.begins, self.now_ms)

    def on_program_started(self, event: ProgramStarted) -> None:
        node, now_ms = self.nodes[event.node], self.now_ms
        node.stint = Stint(started_at_ms=now_ms, listens_from_ms=now_ms, dwell_from_ms=now_ms)
        reopened = event.found.door if event.found else None
        if reopened and node.is_open_at(reopened.floor):
            node.opened_at_ms, node.opener = now_ms, event.state.me

    def on_turn(self, event: TurnTaken) -> None:
        node, now_ms = self.nodes[event.node], self.now_ms
        if now_ms - event.before.now_ms >= STALE_MS:
            node.stint.listens_from_ms = now_ms
        if event.tick.disk_failed or event.tick.recorded is not None:
            node.stint.is_disk_failing = event.tick.disk_failed

    def on_elevator_changed(self, event: ElevatorChanged) -> None:
        node, before, after, now_ms = self.nodes[event.node], event.before, event.after, self.now_ms
        if after.stop != before.stop:
            node.stop_changed_at_ms = now_ms
        if after.obstructed and not before.obstructed:
            node.obstructed_at_ms = now_ms
        if after.door and not before.door:
            node.opened_at_ms, node.opener = now_ms, node.state.me if node.state else None
            node.stint.dwell_from_ms, node.stint.announced, node.stint.is_repeated = now_ms, None, False
        is_stuck = after.shaft.motor is not Motor.STOP and not after.shaft.powered
        node.stuck_since_ms = (now_ms if node.stuck_since_ms is None else node.stuck_since_ms) if is_stuck else None
