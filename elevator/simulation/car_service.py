"""Judges how a car serves its passengers while no fault affects it.

 1. The door opens only for a call at its floor (C1). It closes when the dwell time ends (D1). Repeated presses cannot
    hold it open for more than KEPT_OPEN_MS while the car has a cab call for another floor (C6).
 2. A car does not pass the floor of a cab call, nor that of a claimed hall call in its direction (C1). It does not
    reverse if a cab call lies ahead (C1) or in the direction that it has announced (C2).
 3. A healthy car reports a fault for no longer than the trip to the next floor takes (C8). This does not apply to
    `Fault.POSITION`, nor to `Fault.DOOR` once the door has been open for RELEASED_MS. The floor indicator shows the
    last floor reached (L6).

These rules apply during other faults too, as long as the program and the server are unaffected:

 4. The stop lamp shows the state of the stop button (L6). The motor is stopped while the button is down (C7) or the
    sensor is dead (C5). In both cases the car is out of service. So is a car whose motor should run but has no power
    (C8), or whose door is blocked (G3).
 5. Unless a press is served earlier, it lights the lamp on its own panel within DARK_MS, or within DARK_LOSSY_MS while
    faults affect the network (L3). If the disk of the node fails or is too slow, this applies only if no fault affects
    the network and another node runs.
"""

from elevator.core.model import EVERY_CAR, Button, Call, Direction, Dot, Fault, Motor
from elevator.core.node import Node, hears_own_id
from elevator.simulation.call_safety import CallLedger
from elevator.simulation.car_safety import DOOR_MS, REACTION_MS
from elevator.simulation.events import ElevatorChanged, TimePassed
from elevator.simulation.faults import FaultKind
from elevator.simulation.observed import ObservedNode, ObservedTrial

CHECK_MS = 100
SHOWN_MS = 300
"""How long the stop lamp, the floor indicator, the motor and the reported fault may lag behind their causes. The door
may lag this much behind the end of the dwell time."""
BLOCKED_MS = DOOR_MS + 1000
"""A car must report a fault once its door has been open and obstructed for longer than this (G3)."""
USUAL_TRAVEL_MS = 2000
"""The travel time that a node assumes before it has measured any."""
MOTOR_FAULT_MS = 1200
"""A car whose motor should run but has no power must report a fault within 105 % of the travel time plus this (C8). The
travel time counts as at least USUAL_TRAVEL_MS."""
EXTENSION_MS = 14_900
"""A car whose door has been open for this long need not serve new presses at its floor: 15 s (C6), less a margin."""
RELEASED_MS = 18_000
"""A car whose door has been open for longer than this may report a door fault, even if nothing obstructs the door any
more (C6)."""
KEPT_OPEN_MS = 45_000
"""The longest time that a door may stay open while its car has a cab call for another floor."""
DARK_MS, DARK_LOSSY_MS = 6000, 15_000
"""The longest time until a press lights its lamp on the same panel. DARK_LOSSY_MS applies during network faults and for
GROUP_MS after them (observed.py)."""


class CarService:
    """Judges how all cars serve their passengers in one run."""

    def __init__(self, trial: ObservedTrial, ledger: CallLedger) -> None:
        self.trial = trial
        self.ledger = ledger
        self.stuck_max_ms = max(trial.plan.travel_ms, USUAL_TRAVEL_MS) * 21 // 20 + MOTOR_FAULT_MS
        self.fail = trial.fail
        self.check_at_ms = 0
        trial.subscribe(ElevatorChanged, self.judge_elevator)
        trial.subscribe(TimePassed, self.check)

    def judge_elevator(self, event: ElevatorChanged) -> None:
        node, old, new = self.trial.nodes[event.node], event.before, event.after
        stint = node.stint
        if new.door and not old.door:
            self.judge_opening(node)
        if new.sensed != old.sensed:
            is_coming = new.sensed is not None and new.shaft.motor is not Motor.STOP
            stint.arrival = node.state if is_coming else None
        if new.shaft.motor is not old.shaft.motor:
            stint.arrival = None
            if new.shaft.motor is not Motor.STOP:
                self.judge_departure(node, Direction(new.shaft.motor), has_just_closed=old.door)

    def judge_opening(self, node: ObservedNode) -> None:
        stint = node.stint
        if stint.is_at_stop:  # The door opens again at this stop, so the car may leave in either direction.
            stint.heading = None
        stint.is_at_stop = True
        if self.trial.is_unaffected(node) and node.state is not None:
            floor, calls = node.elevator.sensed, node.state.calls.live.values()
            if not any(call.floor == floor and call.car in (EVERY_CAR, node.id) for call in calls):
                self.fail(f"car {node.name} opens its door at floor {floor} without a call there")

    def judge_passing(self, node: ObservedNode, arrival: Node) -> None:
        """Check that a car has no call to serve at the floor that it passes."""
        floor, state = node.elevator.sensed, node.state
        is_healthy = self.trial.is_unaffected(node) and arrival.drive.fault is Fault.NONE
        if floor is None or state is None or not is_healthy:
            return
        if state.inputs is None or state.inputs.floor != floor:  # A false report hides the floor from the node.
            return
        going = Call(Direction(node.elevator.shaft.motor).button, floor, EVERY_CAR)
        # A claim that began or ended while the car passed is not judged.
        if going in arrival.claims and going in state.claims:
            self.fail(f"car {node.name} passes floor {floor} although it claims the hall call there in its direction")
        if Call(Button.CAB, floor, node.id) in arrival.calls.live.values() and not hears_own_id(state):
            self.fail(f"car {node.name} passes floor {floor} although it has a cab call there")

    def judge_departure(self, node: ObservedNode, direction: Direction, has_just_closed: bool) -> None:
        stint, now_ms, floor, state = node.stint, self.trial.now_ms, node.elevator.sensed, node.state
        has_just_closed = has_just_closed and node.knows_when_opened()
        heading = stint.heading if not stint.is_at_stop or has_just_closed else None
        announced, is_repeated = (stint.announced, stint.is_repeated) if has_just_closed else (None, False)
        stint.heading, stint.is_at_stop = direction, False
        if floor is None or state is None or not self.trial.is_unaffected(node):
            return
        if state.inputs is None or state.inputs.floor != floor:  # The node has not received this floor yet.
            return
        decided_ms = node.opened_at_ms if has_just_closed and announced is None else now_ms
        heading = heading if announced is None else announced
        for dot, call in state.calls.live.items():
            made_at_ms = self.ledger.pressed_at_ms[dot]
            is_behind = heading is not None and direction is not heading and (call.floor - floor) * heading > 0
            # Judge only presses of this incarnation: the node may learn late of those of earlier ones.
            is_own = call.car == node.id and dot.author == state.me
            is_due = is_own and not is_repeated and made_at_ms <= decided_ms - REACTION_MS
            if is_behind and is_due:
                self.fail(f"car {node.name} reverses away from {call}")

    # Periodic checks

    def check(self, event: TimePassed) -> None:
        for node in self.trial.nodes:
            stint = node.stint
            if stint.arrival is not None and self.trial.now_ms - node.sensed_at_ms > REACTION_MS:
                self.judge_passing(node, stint.arrival)
                stint.arrival = None
        if self.trial.now_ms < self.check_at_ms:
            return
        self.check_at_ms = self.trial.now_ms + CHECK_MS
        for node in self.trial.nodes:
            if node.number < self.trial.plan.cars and node.state is not None and node.is_program_unaffected():
                self.judge_fault_reports(node)
            if node.state is not None and self.trial.is_unaffected(node):
                self.judge_unaffected(node)
            else:
                node.stint.in_service_at_ms = self.trial.now_ms
        for dot, call in self.ledger.open.items():
            if self.ledger.pressed_at_ms[dot] > self.trial.now_ms - DARK_MS:
                break
            self.judge_dark_lamp(dot, call)

    def judge_fault_reports(self, node: ObservedNode) -> None:
        """Check the stop lamp and the motor, and that a car reports a fault if it cannot serve calls.

        The stop button and a dead sensor must stop the motor.
        """
        elevator, now_ms = node.elevator, self.trial.now_ms
        is_stop_known = now_ms - node.stop_changed_at_ms >= SHOWN_MS
        if is_stop_known and elevator.stop_lamp != elevator.stop:
            self.fail(
                f"the stop lamp of car {node.name} is "
                f"{'lit while its button is up' if elevator.stop_lamp else 'dark while its button is down'}"
            )
        stopped_at_ms = node.stop_changed_at_ms if elevator.stop else now_ms
        dead = (fault.at_ms for fault in node.faults if fault.kind is FaultKind.DEAD_SENSOR)
        is_held = now_ms - min([stopped_at_ms, *dead]) > SHOWN_MS
        if is_held and elevator.shaft.motor:
            self.fail(
                f"car {node.name} does not stop its motor "
                f"{'while its stop button is down' if elevator.stop else 'while its floor sensor is dead'}"
            )
        is_stuck = node.stuck_since_ms is not None and now_ms - node.stuck_since_ms > self.stuck_max_ms
        settled_ms = max(node.program_effects.end_ms, node.sensor_effects.end_ms)
        held_open_ms = max(node.opened_at_ms, node.obstructed_at_ms, settled_ms)
        is_blocked = elevator.door and elevator.obstructed and now_ms - held_open_ms > BLOCKED_MS
        is_reported = node.state is None or node.state.drive.fault is not Fault.NONE
        if (is_held or is_stuck or is_blocked) and not is_reported:
            self.fail(f"car {node.name} cannot serve calls but does not report a fault")

    def judge_unaffected(self, node: ObservedNode) -> None:
        """Check the floor indicator, the reported fault and the open door of a car that no fault affects."""
        stint, elevator, now_ms = node.stint, node.elevator, self.trial.now_ms
        is_shown = elevator.indicator == elevator.sensed or elevator.sensed is None
        if not is_shown and now_ms - node.sensed_at_ms >= SHOWN_MS:
            self.fail(f"the floor indicator of car {node.name} shows {elevator.indicator} at floor {elevator.sensed}")
        assert node.state is not None
        fault = node.state.drive.fault
        is_kept_open = fault is Fault.DOOR and elevator.door and now_ms - node.opened_at_ms > RELEASED_MS
        if fault in (Fault.NONE, Fault.POSITION) or is_kept_open:
            stint.in_service_at_ms = now_ms
        elif now_ms - stint.in_service_at_ms > self.trial.plan.travel_ms + SHOWN_MS:
            self.fail(f"car {node.name} is healthy but reports a fault: {fault}")
        if not elevator.door:
            return
        dwell_from_ms = max(node.opened_at_ms, stint.served_at_ms, node.car_effects.end_ms)
        if now_ms - dwell_from_ms > DOOR_MS + SHOWN_MS:
            self.fail(f"the door of car {node.name} stays open after its dwell time")
        long_ago_ms = now_ms - KEPT_OPEN_MS
        if max(node.opened_at_ms, node.car_effects.end_ms) < long_ago_ms:
            for dot, call in self.ledger.open.items():
                if (
                    call.car == node.id
                    and call.floor != elevator.sensed
                    and self.ledger.pressed_at_ms[dot] < long_ago_ms
                ):
                    self.fail(f"car {node.name} keeps its door open instead of serving {call}")

    def judge_dark_lamp(self, dot: Dot, call: Call) -> None:
        """Check that an open press has lit its lamp on the same panel in time (DARK_MS, DARK_LOSSY_MS)."""
        members = self.trial.nodes[: self.trial.plan.cars]
        node = next((each for each in members if each.state is not None and each.state.me == dot.author), None)
        if node is None:
            return
        is_clear = self.trial.network_effects.end_ms <= self.trial.now_ms
        long_ago_ms = self.trial.now_ms - (DARK_MS if is_clear else DARK_LOSSY_MS)
        if self.ledger.pressed_at_ms[dot] > long_ago_ms:
            return
        if not node.is_program_unaffected(long_ago_ms) or call in node.elevator.lamps:
            return
        others = [each for each in self.trial.nodes if each is not node and each.is_program_unaffected(long_ago_ms)]
        is_held = not node.stint.is_disk_failing and not node.has(FaultKind.DISK)
        if is_held or (is_clear and others):
            self.fail(f"the lamp of {call} stays dark at car {node.name} after a press there")
