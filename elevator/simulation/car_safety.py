"""Judges the safety of doors and motors, and what nodes do after a start or a stall.

1. No motor runs with the door open. No door opens between floors or while the motor runs (D1). At an end floor, no
   motor starts towards the end of the shaft, unless the server is slow or the program is frozen. No car leaves its
   shaft while its program and its server are unaffected by faults (C5). No server receives a bad request or a reload
   request.
2. A door stays open for the dwell time (D1). The dwell time begins when the door opens. It begins again when the car is
   the first to serve a call, when an obstruction ends (D2), and after a reconnect or a restart (D4). A door does not
   close while obstructed (D2). A car never serves an up call and a down call within one dwell time (C2, C3), unless
   another car has already served one of them. These rules apply only if the running incarnation knows when the door
   opened.
3. After a start or a stall, a node listens before its car moves or a lamp lights. It does not execute decisions from
   before the stall (C10).
4. A car that must search for a floor after a start searches downwards first, for a limited time (C4).
"""

from elevator.building.elevators import SimulatedElevator
from elevator.core.evolve import evolve
from elevator.core.model import Button, Direction, Motor
from elevator.simulation.call_safety import PANEL_DELAY_MAX_MS
from elevator.simulation.events import (
    CallServed,
    ElevatorChanged,
    FaultChanged,
    TimePassed,
    TurnTaken,
)
from elevator.simulation.faults import FaultKind
from elevator.simulation.observed import STALE_MS, ObservedNode, ObservedTrial

DOOR_MS = 3000
"""The dwell time as specified, independent of the core's constant."""
REACTION_MS = 50
"""A node reacts to an event at its panel within this time if its program and its server are unaffected."""
LISTEN_MS = 250
"""The shortest time for which a node must listen after a start or a stall: a little less than the 300 ms of C10."""
SEARCH_MS = 6000
"""How long a car may first search downwards for a floor: 4 s, plus up to PANEL_DELAY_MAX_MS for its node to react."""


class CarSafety:
    """Judges the safety of all cars in one run."""

    def __init__(self, trial: ObservedTrial) -> None:
        self.trial = trial
        self.fail = trial.fail
        trial.subscribe(FaultChanged, self.on_fault)
        trial.subscribe(TurnTaken, self.judge_turn)
        trial.subscribe(TimePassed, self.check)
        trial.subscribe(ElevatorChanged, self.judge_elevator)
        trial.subscribe(CallServed, self.judge_service)

    def reaction_ms(self, node: ObservedNode) -> int:
        """Return how long a node may take to react to an event at its panel."""
        return REACTION_MS if node.is_program_unaffected() else PANEL_DELAY_MAX_MS

    def on_fault(self, event: FaultChanged) -> None:
        if event.fault.kind is FaultKind.SERVER and not event.begins:
            self.trial.nodes[event.fault.target].stint.dwell_from_ms = self.trial.now_ms

    def judge_turn(self, event: TurnTaken) -> None:
        node, now_ms = self.trial.nodes[event.node], self.trial.now_ms
        stint = node.stint
        inputs = event.tick.inputs
        if inputs is not None and inputs.floor is not None and inputs.floor < node.floors:
            stint.has_seen_floor, stint.search_since_ms = True, None
        if stint.stale_at_ms == now_ms and node.elevator.shaft.motor and self.reacts_at_once(node):
            self.fail(f"car {node.name} executes a decision from before its program stalled")
        if now_ms - event.tick.now_ms >= STALE_MS:
            stint.stale_at_ms = now_ms
        fresh = event.after.lit - event.before.lit
        if fresh and now_ms - node.stint.listens_from_ms < LISTEN_MS:
            self.fail(f"node {node.name} confirms {sorted(fresh)} before it has listened long enough")

    def check(self, event: TimePassed) -> None:
        now_ms = self.trial.now_ms
        for node in self.trial.nodes:
            is_listening = node.state is not None and REACTION_MS <= now_ms - node.stint.listens_from_ms < LISTEN_MS
            if is_listening and node.elevator.shaft.motor and self.reacts_at_once(node):
                self.fail(f"car {node.name} moves before its program has listened long enough")
            search_since_ms = node.stint.search_since_ms
            if search_since_ms is not None and now_ms - search_since_ms > SEARCH_MS and self.reacts_at_once(node):
                self.fail(f"car {node.name} searches downwards for too long")

    def reacts_at_once(self, node: ObservedNode) -> bool:
        """Return whether the node controls its car without delay: its server is not slow and its program not frozen."""
        return not node.has(FaultKind.SLOW_SERVER, FaultKind.FREEZE)

    def judge_elevator(self, event: ElevatorChanged) -> None:
        node, old, new = self.trial.nodes[event.node], event.before, event.after
        if new.counts is not old.counts:
            self.judge_counts(node, old, new)
        if old.door and not new.door:
            self.judge_closing(node)
        if new.door and old.obstructed and not new.obstructed:
            self.note_end_of_obstruction(node)
        if new.shaft.motor is not old.shaft.motor:
            self.judge_motor(node, new)

    def judge_counts(self, node: ObservedNode, old: SimulatedElevator, new: SimulatedElevator) -> None:
        was, now = old.counts, new.counts
        has_only_left_shaft = now == evolve(was, out_of_bounds=now.out_of_bounds)
        if node.is_program_unaffected() or not has_only_left_shaft:
            self.fail(f"car {node.name} left its shaft, or its node sent an unsafe or bad command (counts: {now})")

    def judge_closing(self, node: ObservedNode) -> None:
        if not node.knows_when_opened():
            return  # After a restart, the node may not know when the door opened.
        open_ms = self.trial.now_ms - node.stint.dwell_from_ms
        if open_ms < DOOR_MS:
            self.fail(f"the door of car {node.name} closed only {open_ms} ms after its dwell time began")
        if node.elevator.obstructed and self.trial.now_ms - node.obstructed_at_ms > self.reaction_ms(node):
            self.fail(f"the door of car {node.name} closed while it was obstructed")

    def note_end_of_obstruction(self, node: ObservedNode) -> None:
        """Restart the dwell time if the open door was obstructed long enough for the node to notice."""
        since_ms = max(node.obstructed_at_ms, node.opened_at_ms, node.stint.started_at_ms)
        if self.trial.now_ms - since_ms > self.reaction_ms(node):
            node.stint.dwell_from_ms = self.trial.now_ms

    def judge_motor(self, node: ObservedNode, elevator: SimulatedElevator) -> None:
        stint, motor, now_ms = node.stint, elevator.shaft.motor, self.trial.now_ms
        end = {Motor.DOWN: 0, Motor.UP: node.floors - 1}.get(motor)
        if end is not None and elevator.sensed == end and self.reacts_at_once(node):
            self.fail(f"car {node.name} drives from an end floor towards the end of its shaft")
        if not motor or stint.has_seen_floor or node.state is None:
            stint.search_since_ms = None
            return
        if motor is Motor.UP and not stint.has_searched:
            self.fail(f"car {node.name} searches upwards before it has searched downwards")
        stint.search_since_ms = now_ms if motor is Motor.DOWN and not stint.has_searched else None
        stint.has_searched = True

    def judge_service(self, event: CallServed) -> None:
        node, button = self.trial.nodes[event.node], event.call.button
        stint = node.stint
        stint.served_at_ms = self.trial.now_ms
        if button is not Button.CAB:
            stint.is_repeated = stint.is_repeated or not event.is_first
            announced = Direction.UP if button is Button.UP else Direction.DOWN
            is_other = stint.announced not in (None, announced) and node.knows_when_opened() and not stint.is_repeated
            passed_ms = event.at_ms - stint.announced_at_ms
            if is_other and passed_ms < DOOR_MS:
                self.fail(f"car {node.name} served an up call and a down call within {passed_ms} ms")
            stint.announced, stint.announced_at_ms = announced, event.at_ms
        if event.is_first:
            stint.dwell_from_ms = max(stint.dwell_from_ms, event.at_ms)
