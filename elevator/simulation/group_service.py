"""Judges how the group serves its passengers while no fault affects it.

 1. A press lights its lamp on every panel that has this lamp (L1, L3), and a service darkens the lamp (L4). Both happen
    within LAMP_MS plus the delay of LATE_TURNS late wake-ups.
 2. While any car is in service, no lit hall call stays unclaimed for long (A2), even if the car that claimed it has
    failed (G3). Two cars claim the same call only briefly. No car opens its door only for new calls that other open
    doors already serve (A1).
 3. Nodes with the same id or different numbers of floors log the conflict (A3).

Most faults of one node affect the group only for GROUP_MS after they begin and after they end (see observed.py). In
between, the rules apply: other cars must claim the hall calls that a dead node or a car out of service has claimed.
"""

from collections import deque

from elevator.core.model import EVERY_CAR, Button, Call, Dot, Fault
from elevator.core.node import hears_own_id
from elevator.simulation.call_safety import CallLedger
from elevator.simulation.car_safety import REACTION_MS
from elevator.simulation.car_service import CHECK_MS, EXTENSION_MS
from elevator.simulation.events import CallPressed, CallServed, ElevatorChanged, TimePassed, TurnTaken
from elevator.simulation.observed import ObservedNode, ObservedTrial

LAMP_MS = 30
"""The longest time until all lamps show a press or a service, if no program wakes up late."""
LATE_TURNS = 3
"""How many late wake-ups may delay a lamp: before the press is sent, before it is acknowledged, and one as a margin."""
ORPHAN_MS = 700
"""How long a lit hall call may stay unclaimed by cars in service: the 0.6 s of G3, plus CHECK_MS."""
UNCLAIMED_MS = 4500
"""Replaces ORPHAN_MS while a shirker is in the group. It is twice the 2 s of A2, because a brief claim restarts that
wait, plus 0.5 s until the other nodes receive the claims."""
SERVE_MS = 250
"""A car with an open door serves a new call at its floor within this time. After that, another car may open its door
for the call."""
DISPUTE_MS = 150
"""How long two cars may claim the same call: until each node has received the claim of the other."""
DISPUTE_MAX_MS = 25_000
"""How old a call may be to be checked for disputes. A2 lets every car claim a call that waits too long: for 40 s in a
building with two floors, and longer in a higher one."""


class GroupService:
    """Judges how the group serves its passengers in one run."""

    def __init__(self, trial: ObservedTrial, ledger: CallLedger) -> None:
        self.trial = trial
        self.ledger = ledger
        self.fail = trial.fail
        self.due: deque[tuple[int, int, Call, Dot | None]] = deque()
        """Lamps to check: the time of a press or service, the car, the call, and the press (None for a service)."""
        self.check_at_ms = 0
        self.lamp_ms = LAMP_MS + LATE_TURNS * trial.plan.late_ms
        self.wanted_since_ms: dict[Call, int] = {}
        """Maps each unserved call to the time of its first press."""
        self.orphaned_since_ms: dict[Call, int] = {}
        """Maps each lit hall call that no car in service claims to the time of the check that first found this."""
        self.disputed_since_ms: dict[Call, int] = {}
        trial.subscribe(CallPressed, self.on_pressed)
        trial.subscribe(CallServed, self.on_served)
        trial.subscribe(ElevatorChanged, self.judge_elevator)
        trial.subscribe(TurnTaken, self.judge_turn)
        trial.subscribe(TimePassed, self.on_time_passed)

    @property
    def members(self) -> list[ObservedNode]:
        """The running nodes of the group with unaffected programs and servers."""
        return [
            node
            for node in self.trial.nodes
            if node.state is not None and node.number < self.trial.plan.cars and node.is_program_unaffected()
        ]

    def on_pressed(self, event: CallPressed) -> None:
        self.wanted_since_ms.setdefault(event.call, self.trial.now_ms)
        if event.node < self.trial.plan.cars and self.trial.is_calm():
            self.due.append((self.trial.now_ms, event.node, event.call, event.dot))

    def on_served(self, event: CallServed) -> None:
        if event.is_first:
            self.wanted_since_ms.pop(event.call, None)
            if event.node < self.trial.plan.cars and self.trial.is_calm():
                self.due.append((self.trial.now_ms, event.node, event.call, None))

    def judge_elevator(self, event: ElevatorChanged) -> None:
        node, opens = self.trial.nodes[event.node], event.after.door and not event.before.door
        if opens and self.trial.is_calm() and self.trial.is_unaffected(node):
            self.judge_opening(node)

    def judge_opening(self, node: ObservedNode) -> None:
        """Fail if other open doors already serve all calls for which the door of *node* opens."""
        assert node.state is not None
        floor, calls = node.elevator.sensed, node.state.calls.live.values()
        here = {call for call in calls if call.floor == floor and call.car in (EVERY_CAR, node.id)}
        others = [other for other in self.members if other is not node and self.trial.is_unaffected(other)]
        if here and all(any(self.would_serve(other, call) for other in others) for call in here):
            self.fail(f"car {node.name} opens its door for {sorted(here)}, but other open doors serve these calls")

    def would_serve(self, node: ObservedNode, call: Call) -> bool:
        """Return whether the open door of *node* should still serve *call*.

        This is so for a hall call made less than SERVE_MS ago, if the door was already open at its floor then and the
        car has announced the direction of the call. The door must have been open for less than EXTENSION_MS.
        """
        made_ms, announced = self.wanted_since_ms.get(call, 0), node.stint.announced
        if call.button is Button.CAB or not node.is_open_at(call.floor) or announced is None:
            return False
        is_fresh = self.trial.now_ms - node.opened_at_ms < EXTENSION_MS and self.trial.now_ms - made_ms < SERVE_MS
        return is_fresh and node.opened_at_ms <= made_ms - REACTION_MS and announced.button is call.button

    def judge_turn(self, event: TurnTaken) -> None:
        # With a shirker in the group, even a brief claim restarts the wait of the other cars. So check every turn.
        if not self.trial.is_calm() and self.trial.effects_except_shirker.end_ms <= self.trial.now_ms:
            self.judge_claims(self.members, UNCLAIMED_MS)

    def on_time_passed(self, event: TimePassed) -> None:
        now_ms = self.trial.now_ms
        while self.due and self.due[0][0] + self.lamp_ms <= now_ms:
            self.judge_lamp(*self.due.popleft())
        if now_ms >= self.check_at_ms:
            self.check_at_ms = now_ms + CHECK_MS
            self.check()

    def judge_lamp(self, at_ms: int, car: int, call: Call, dot: Dot | None) -> None:
        """Check that all lamps of *call* show the press or service that node *car* registered at *at_ms*.

        Skip the check if a fault has begun since, the press is no longer open, or the served call has been made again.
        """
        pressed, still_open = dot is not None, dot in self.ledger.open
        node = self.trial.nodes[car]
        members = self.members if self.trial.is_calm(at_ms) and node.is_program_unaffected() else []
        if not members or (not still_open if pressed else call in self.ledger.open.values()):
            return
        for node in members:
            is_lit = call in node.elevator.lamps
            if is_lit != pressed and call.car in (EVERY_CAR, node.id):
                state, cause = ("dark", "press") if pressed else ("lit", "service")
                after_ms = self.trial.now_ms - at_ms
                self.fail(f"the lamp of {call} at car {node.name} is still {state} {after_ms} ms after the {cause}")

    # Periodic checks

    def check(self) -> None:
        members = self.members
        if self.trial.is_calm():
            self.judge_disputes(members)
            self.judge_claims(members, ORPHAN_MS)
        elif self.trial.effects_except_shirker.end_ms <= self.trial.now_ms:
            self.judge_claims(members, UNCLAIMED_MS)
        else:
            self.orphaned_since_ms.clear()
            self.disputed_since_ms.clear()
        if self.trial.effects_except_misconfigured.end_ms <= self.trial.now_ms:
            for misconfigured in self.trial.nodes[self.trial.plan.cars :]:
                self.judge_misconfigured(misconfigured)

    def judge_claims(self, members: list[ObservedNode], allowed_ms: int) -> None:
        """Check that no lit hall call stays unclaimed for longer than *allowed_ms* while a car is in service."""
        now_ms = self.trial.now_ms
        states = [node.state for node in members if node.state is not None and node.state.drive.fault is Fault.NONE]
        hall = sorted({call for call in self.ledger.open.values() if call.button is not Button.CAB})
        lit = [call for call in hall if any(call in node.elevator.lamps for node in members)]
        orphans = [call for call in lit if states and not any(call in state.claims for state in states)]
        self.orphaned_since_ms = {call: self.orphaned_since_ms.get(call, now_ms) for call in orphans}
        for call, since_ms in self.orphaned_since_ms.items():
            if now_ms - since_ms > allowed_ms:
                self.fail(f"no car in service has claimed {call} for {now_ms - since_ms} ms")

    def judge_disputes(self, members: list[ObservedNode]) -> None:
        now_ms = self.trial.now_ms
        in_service = [node.state for node in members if node.state is not None and node.state.drive.fault is Fault.NONE]
        # Claims made during a fault may be permanent, so skip calls that are older than the calm period.
        recent = [
            call
            for call, since_ms in self.wanted_since_ms.items()
            if call.button is not Button.CAB and now_ms - since_ms <= DISPUTE_MAX_MS and self.trial.is_calm(since_ms)
        ]
        disputed = [call for call in recent if sum(call in state.claims for state in in_service) > 1]
        self.disputed_since_ms = {call: self.disputed_since_ms.get(call, now_ms) for call in disputed}
        for call, since_ms in self.disputed_since_ms.items():
            if now_ms - since_ms > DISPUTE_MS:
                self.fail(f"more than one car keeps claiming {call}")

    def judge_misconfigured(self, misconfigured: ObservedNode) -> None:
        """Check that all nodes whose configurations conflict have logged a warning.

        Also check that two nodes with the same id still know of each other.
        """
        is_duplicate = misconfigured.floors == self.trial.plan.floors
        those = [node for node in self.members if not is_duplicate or node.id == misconfigured.id]
        for node in [*those, misconfigured] if those else []:
            assert node.state is not None
            if not node.state.warnings:
                self.fail(f"node {node.name} has not logged the conflict of node {misconfigured.name} with the group")
            if is_duplicate and not hears_own_id(node.state):
                self.fail(f"node {node.name} has forgotten the other node with its id")
