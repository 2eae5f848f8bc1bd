"""Runs one plan: a whole group in virtual time.

Time is an integer number of milliseconds and jumps from event to event. The nodes run `turn`, and their datagrams,
records and hardware messages pass through the production codecs. The network, the disks, the clock, the processes, the
elevators and the passengers are simulated.

AGREE_MS after all temporary faults have ended, all panels must show the same hall lamps, unless a link has failed
permanently. Then the cars must serve all calls and come to rest. Cars with permanent faults are exempt from both.

All randomness comes from the plan and from generators seeded by it, so a run can be repeated exactly. Two runs with the
same digest have the same transcript.
"""

import random
from collections.abc import Iterable

from elevator.building import elevators, passengers
from elevator.building.passengers import Crowd
from elevator.building.shaft import Shaft, end, put
from elevator.core.call_set import merge
from elevator.core.evolve import evolve
from elevator.core.model import EVERY_CAR, NEVER_MS, Buttons, Calls, Fault
from elevator.core.peers import HEARTBEAT_MS
from elevator.net.seal import NO_KEY
from elevator.simulation.attacker import EVERY_MS, KEY, Attacker
from elevator.simulation.call_safety import CallLedger
from elevator.simulation.car_safety import CarSafety
from elevator.simulation.car_service import CarService
from elevator.simulation.events import (
    DiskWiped,
    ElevatorChanged,
    FaultChanged,
    ProgramEnded,
    TimePassed,
)
from elevator.simulation.faults import GHOSTS, FaultKind, InjectedFault, Plan, Press, describe
from elevator.simulation.ghost import Ghost
from elevator.simulation.group_service import GroupService
from elevator.simulation.injection import apply
from elevator.simulation.links import GROUP, Links
from elevator.simulation.observed import ObservedNode, ObservedTrial
from elevator.simulation.simulated_node import SimulatedNode

PRESS_MS = 200
"""How long a passenger of `Plan.flow` holds a button."""
CHECK_MS = 10
"""The shortest time between two `TimePassed` events."""
AGREE_MS = 1000
"""How long after `Plan.calm_at_ms` all panels must show the same hall lamps."""
EXCHANGE_MS = 300
"""The extra time at the end of a run, in which every node receives the final heartbeats of all others."""


class World(ObservedTrial):
    """One run of a plan. `run` raises Violation if a judge finds a broken rule."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.ledger = CallLedger(self)
        CarSafety(self)
        CarService(self, self.ledger)
        GroupService(self, self.ledger)
        is_keyed = any(fault.kind is FaultKind.ATTACK and fault.detail for fault in plan.faults)
        self.links = Links(self.rng, KEY if is_keyed else NO_KEY, self.nodes)
        self.attacker = Attacker(GROUP, self.links.key, plan.floors, random.Random(f"attacker {plan.seed}"))
        self.attack_at_ms = NEVER_MS
        self.ghost = Ghost()
        self.crowd = None if plan.flow is None else passengers.crowd(plan.flow)
        self.crowd_at_ms = NEVER_MS if self.crowd is None else 0
        self.script = script(plan)
        self.check_at_ms = 0
        self.subscribe(ElevatorChanged, self.wake_passengers)
        self.subscribe(ProgramEnded, self.start_next_worker_soon)
        shaft = Shaft(plan.floors, plan.travel_ms, plan.passing_ms)
        for id in range(plan.cars):
            drawn = evolve(shaft, place=min(self.rng.randint(0, end(shaft)), end(shaft) - 1))
            self.join(id, put(shaft, plan.at[id], 0) if plan.at else drawn)
        for node in self.nodes:
            node.start()

    def join(self, id: int, shaft: Shaft) -> ObservedNode:
        """Add a node with a car in *shaft*. Its program does not start yet."""
        node = ObservedNode(self, self.links, self.freeze, len(self.nodes), id, shaft)
        self.nodes.append(node)
        return node

    def wake_passengers(self, event: ElevatorChanged) -> None:
        """Schedule a step of the passengers if a lamp or the door has changed."""
        is_seen = event.before.door is not event.after.door or event.before.lamps is not event.after.lamps
        if self.crowd is not None and is_seen:
            self.crowd_at_ms = self.now_ms

    def run(self) -> None:
        """Run the whole plan, including the checks at its end."""
        calm_at_ms = self.plan.calm_at_ms
        self.run_until(calm_at_ms)
        self.crowd, self.crowd_at_ms = None, NEVER_MS  # No passenger presses a button after calm_at_ms.
        self.run_until(calm_at_ms + AGREE_MS)
        self.ledger.judge_agreement()
        deadline_ms = calm_at_ms + drain_time_ms(self.plan)
        while busy := self.busy_cars():
            if self.now_ms > deadline_ms:
                self.fail(f"long after the last fault, these cars are still busy or out of service: {' '.join(busy)}")
            self.run_until(self.now_ms + 1000)
        self.run_until(self.now_ms + EXCHANGE_MS)
        self.ledger.judge_end()

    def busy_cars(self) -> list[str]:
        """Return the names of the cars that have calls, a lit lamp, an open door, a running motor or a fault.

        A car whose program does not run counts as busy. Cars with a permanent fault do not count.
        """
        lost = self.plan.lost_cars()
        return [node.name for node in self.nodes if node.number not in lost and not self.is_idle(node)]

    @staticmethod
    def is_idle(node: SimulatedNode) -> bool:
        state, elevator = node.state, node.elevator
        if state is None or state.drive.fault is not Fault.NONE:
            return False
        is_called = any(call.car in (EVERY_CAR, node.id) for call in state.calls.live.values())
        return not (is_called or elevator.door or elevator.shaft.motor or elevator.lamps != Buttons())

    def run_until(self, end_ms: int) -> None:
        links, ghost = self.links, self.ghost
        while True:
            if ghost.due_at_ms <= self.now_ms:
                self.send_ghost_heartbeat()
            if self.attack_at_ms <= self.now_ms:
                self.attack()
            at_ms = min(links.due_at_ms, ghost.due_at_ms, self.attack_at_ms, self.crowd_at_ms)
            if self.script and self.script[-1][0] <= at_ms:
                at_ms = self.script[-1][0]
            soonest = None
            for node in self.nodes:
                if (node_at_ms := node.due_at_ms) < at_ms:
                    at_ms, soonest = node_at_ms, node
            if at_ms > end_ms:
                self.now_ms = end_ms
                return
            self.now_ms = at_ms
            if at_ms >= self.check_at_ms:
                self.check_at_ms = at_ms + CHECK_MS
                self.emit(TimePassed())
            if soonest is not None:
                soonest.handle_due()
            elif self.script and self.script[-1][0] == at_ms:
                _, begins, what = self.script.pop()
                if isinstance(what, Press):
                    self.press(what)
                else:
                    self.trigger(what, begins)
            elif self.crowd_at_ms == at_ms and self.crowd is not None:
                self.crowd = self.step_crowd(self.crowd)
            elif links.due_at_ms == at_ms:
                self.deliver()

    def step_crowd(self, crowd: Crowd) -> Crowd:
        """Let the passengers react to lamps and doors, and press their buttons. Return the next state of the crowd."""
        cars = [node.elevator for node in self.nodes[: self.plan.cars]]
        crowd, pressed = passengers.step(crowd, cars, self.now_ms)
        self.crowd_at_ms = max(passengers.wake_at_ms(crowd) or NEVER_MS, self.now_ms + 1)
        for car, button, floor in pressed:
            self.press(Press(self.now_ms, self.now_ms + PRESS_MS, car, button, floor))
        return crowd

    def press(self, press: Press) -> None:
        if press.panel < len(self.nodes):
            server = self.nodes[press.panel].server
            elevator = elevators.press(server.elevator, press.button, press.floor, press.until_ms)
            server.change(elevators.settle(elevator, self.now_ms)[0], self.now_ms)

    # The network

    def deliver(self) -> None:
        """Deliver the datagrams that are due."""
        for receiver, heartbeats in self.links.pop_due(self.now_ms).items():
            if receiver < len(self.nodes):
                self.nodes[receiver].receive(heartbeats)

    def send_ghost_heartbeat(self) -> None:
        """Send a heartbeat of the ghost to all nodes, and schedule the next. Network faults do not affect it."""
        self.ghost.due_at_ms = self.now_ms + HEARTBEAT_MS
        known = Calls()
        for node in self.nodes:
            if node.state is not None and node.floors == self.plan.floors:
                known = merge(known, node.disk.durable)
        heartbeat = self.ghost.heartbeat(self.plan.floors, (1 << len(self.nodes)) - 1, known)
        self.links.deliver_at([node.number for node in self.nodes], heartbeat, self.now_ms + 1)

    def attack(self) -> None:
        """Send every running node a datagram that it must reject, and schedule the next. Fail if a node accepts one."""
        self.attack_at_ms = self.now_ms + self.attacker.rng.randint(1, EVERY_MS)
        for node in self.nodes:
            if node.state is not None:
                what, datagram = self.attacker.draw(node.accepted)
                if node.admission.admit(datagram) is not None:
                    self.fail(f"node {node.name} accepted a datagram of the attacker: {what}")

    # Faults

    def trigger(self, fault: InjectedFault, begins: bool) -> None:
        """Begin or end a fault, but do not end a crash that has ended already.

        A freeze at a point of a turn waits until the program reaches that point. If its end comes first, it never
        begins. It begins at once if the program is dead or frozen, or if another freeze is waiting.
        """
        at_point = fault.kind is FaultKind.FREEZE and fault.point is not None
        process = self.nodes[fault.target].process if at_point else None
        can_wait = process is not None and process.state is not None and not process.is_frozen
        if process is not None and begins and process.pending_freeze is None and can_wait:
            process.pending_freeze = fault
        elif process is not None and process.pending_freeze is fault:
            process.pending_freeze = None
        elif begins or fault.kind is not FaultKind.CRASH or fault in self.nodes[fault.target].faults:
            self.begin_or_end(fault, begins)

    def begin_or_end(self, fault: InjectedFault, begins: bool) -> None:
        self.log(f"{'begins' if begins else 'ends'}: {describe(fault, self.plan.cars)}")
        if begins or fault.kind not in GHOSTS:  # Ghosts stay until the end of the run.
            self.emit(FaultChanged(fault, begins))
        match fault.kind:
            case FaultKind.PACKET_LOSS | FaultKind.CUT | FaultKind.ONE_WAY:
                self.links.change(fault, begins)
            case FaultKind.GHOST | FaultKind.SHIRKER:
                if begins:
                    self.ghost.claims = fault.kind is FaultKind.GHOST
                    self.ghost.floor = fault.target % self.plan.floors
                    self.send_ghost_heartbeat()
            case FaultKind.ATTACK:
                self.attack_at_ms = self.now_ms if begins else NEVER_MS
            case FaultKind.BLACKOUT:
                for node in self.nodes[: self.plan.cars]:
                    apply(node, fault, begins)
            case FaultKind.DUPLICATE_ID | FaultKind.OTHER_FLOORS:
                self.join_misconfigured(fault) if begins else self.leave()
            case _:
                apply(self.nodes[fault.target], fault, begins)

    def freeze(self, fault: InjectedFault) -> None:
        self.begin_or_end(fault, begins=True)

    def join_misconfigured(self, fault: InjectedFault) -> None:
        """Add the misconfigured node of *fault*, with an elevator of its own, and start it."""
        assert len(self.nodes) == self.plan.cars, "only one misconfigured node at a time"
        floors = fault.detail if fault.kind is FaultKind.OTHER_FLOORS else self.plan.floors
        shaft = put(Shaft(floors, self.plan.travel_ms, self.plan.passing_ms), 0, self.now_ms)
        self.join(fault.target, shaft).start()

    def leave(self) -> None:
        """Remove the misconfigured node, its elevator and its disk."""
        self.nodes[-1].end_program()
        self.emit(DiskWiped(self.nodes[-1].number))
        self.nodes.pop()

    def start_next_worker_soon(self, event: ProgramEnded) -> None:
        """After a program has ended, schedule the end of each CRASH fault of its node, the fault's `delay_ms` later.

        The fault may end earlier, at its `until_ms`. The next worker starts once no fault stops the program any more.
        """
        crashes = [fault for fault in self.nodes[event.node].faults if fault.kind is FaultKind.CRASH]
        ends: list[Act] = [(self.now_ms + fault.delay_ms, False, fault) for fault in crashes]
        self.script = latest_first([*self.script, *ends])


Act = tuple[int, bool, InjectedFault | Press]
"""A press, or the beginning or end of a fault: the time, False for an end, and the press or fault."""


def script(plan: Plan) -> list[Act]:
    """Return the acts of the plan, the next act last. At equal times, faults end before other faults begin."""
    acts: list[Act] = [(press.at_ms, True, press) for press in plan.presses]
    for fault in plan.faults:
        acts += [(fault.at_ms, True, fault), (fault.until_ms, False, fault)]
    return latest_first(acts)


def latest_first(acts: Iterable[Act]) -> list[Act]:
    return sorted(acts, key=lambda act: (act[0], act[1]), reverse=True)


def drain_time_ms(plan: Plan) -> int:
    """Return how long after `calm_at_ms` a group may take to serve every possible call.

    In that time, one car can go up, down and up again and open its door once at every floor. There is time to search
    for a floor and to restart the motor. If a ghost claims the calls, the other cars must first wait until A2 lets them
    claim the same calls.
    """
    ghost = any(fault.kind is FaultKind.GHOST and fault.until_ms == NEVER_MS for fault in plan.faults)
    starvation_ms = 30_000 + 10_000 * plan.floors if ghost else 0
    return 15_000 + 3 * plan.floors * (plan.travel_ms + 1500) + starvation_ms
