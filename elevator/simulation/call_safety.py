"""Judges the safety of calls. It tracks every press and checks these rules, whatever fails.

 1. A node registers each press on its own panel exactly once, and no other press (G6, L5).
 2. No call is lost (G1). A press leaves a node's call set only if a car with an open door has served it at the floor of
    the call (C9), or if a newer press of the same button has replaced it. A node that has never had the press in its
    call set may count it as served or replaced only for the same reasons. A starting node restores all calls of its
    record.
 3. No lamp lights without its guarantee. A node *confirms* a call by deciding to light its lamp. It may do so only if a
    press of that call is on the node's disk and every live peer that hears the node has acknowledged the press. While
    the node's disk fails, the acknowledgements suffice, but there must be at least one. Only the lamps of confirmed
    calls light (L2, L3). A slow panel may light the lamp of a call that is no longer confirmed, for up to
    PANEL_DELAY_MAX_MS. While a node's disk works, its heartbeats publish only call sets that this disk has stored.
 4. A lamp stays lit until its call is served (L4). It may go dark earlier if the node of its panel has restarted and
    does not know the press. The lamp of a cab call may also go dark if a duplicate may have registered the press. A
    node that has lost its record cannot tell its own earlier cab calls from those of a duplicate.
 5. AGREE_MS (world.py) after the last temporary fault, the hall lamps of all panels agree (G5). At the end, every node
    knows the calls of all others. Both rules exclude cars with permanent faults, and do not apply if a link has failed
    permanently. At the end, every confirmed call was served (G1), except the cab calls of cars with permanent faults.
    Each node then remembers few old incarnations (G7).

The judge excuses the loss of a press in three cases: the wiped disk of a node held the last copy within reach of that
node; no disk had stored the press when the call was confirmed; or, at the end, all nodes that store the press have
failed permanently.

Nodes whose number of floors differs from that of the group are not judged.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from elevator.core.model import NEVER_MS, Author, Button, Buttons, Call, Calls, Dot, Inputs
from elevator.core.node import Node, hears_own_id
from elevator.simulation.events import (
    CallPressed,
    CallServed,
    DiskWiped,
    ElevatorChanged,
    HeartbeatSent,
    ProgramStarted,
    RecordStored,
    TurnTaken,
)
from elevator.simulation.observed import EMPTY, ObservedNode, ObservedTrial

PANEL_DELAY_MAX_MS = 2000
"""The longest time from an event at a panel to the node's reaction, or from a decision of the node to its effect at the
panel, even during faults. It allows for a stalled program (C10) and a silent server (C11) at the same time."""
SPREAD_MS = 50
"""How long lamps may differ between panels after a call is served."""
OLD_INCARNATIONS_MAX = 12
"""How many incarnations without live presses a node may remember for each id at the end of a run."""


class CallLedger:
    """Tracks every press of a run, and judges what the nodes do with it."""

    def __init__(self, trial: ObservedTrial) -> None:
        self.trial = trial
        self.fail, self.emit = trial.fail, trial.emit
        self.node_of: dict[Author, int] = {}
        """Maps each incarnation to its node's number in the world."""
        self.pressed_at_ms: dict[Dot, int] = {}
        """When each press was registered."""
        self.call_of: dict[Dot, Call] = {}
        self.open: dict[Dot, Call] = {}
        """Presses that are neither served nor replaced."""
        self.replaced: dict[Dot, Dot] = {}
        """Maps each replaced press to the newer press of the same button."""
        self.served_at_ms: dict[Call, int] = {}
        self.excused: set[Dot] = set()
        """The presses whose loss the judge excuses."""
        self.ever_confirmed: set[Dot] = set()
        self.vectors: dict[int, Mapping[Author, int]] = {}
        """Maps the digest of each call set to its version vector."""
        self.published: dict[Author, set[int]] = {}
        """Maps each incarnation to the digests of all call sets that it has published."""
        trial.subscribe(DiskWiped, self.on_disk_wiped)
        trial.subscribe(RecordStored, self.on_record_stored)
        trial.subscribe(ProgramStarted, self.on_program_started)
        trial.subscribe(TurnTaken, self.judge_turn)
        trial.subscribe(HeartbeatSent, self.judge_heartbeat)
        trial.subscribe(ElevatorChanged, self.judge_lamps)

    # Presses and services

    def on_disk_wiped(self, event: DiskWiped) -> None:
        """Forget the contents of the disk. Excuse the open presses that its node cannot recover from peers."""
        node = self.trial.nodes[event.node]
        node.stored, node.own_incarnations = {EMPTY.digest}, set()
        others = [each for each in self.trial.nodes if each is not node]
        for dot, call in self.open.items():
            is_cut_off = call.car == node.id and self.trial.plan.loses_links()
            if is_cut_off or not any(dot in each.disk.durable.live for each in others):
                self.excused.add(dot)

    def on_record_stored(self, event: RecordStored) -> None:
        node, calls = self.trial.nodes[event.node], event.record.calls
        node.stored.add(calls.digest)
        node.own_incarnations.add(Author(node.id, event.record.incarnation))
        self.vectors[calls.digest] = calls.current.seen

    def on_program_started(self, event: ProgramStarted) -> None:
        node, state, now_ms = self.trial.nodes[event.node], event.state, self.trial.now_ms
        self.node_of[state.me] = node.number
        self.vectors[state.calls.digest] = state.calls.current.seen
        node.confirmed = {call: (dots, min(until_ms, now_ms)) for call, (dots, until_ms) in node.confirmed.items()}
        if event.found is None:
            node.own_incarnations.clear()
        elif lost := event.found.calls.live.items() - state.calls.live.items():
            self.fail(f"node {node.name} started without these calls of its record: {lost}")

    def judge_turn(self, event: TurnTaken) -> None:
        before, after, tick = event.before, event.after, event.tick
        node = self.trial.nodes[event.node]
        if node.floors != self.trial.plan.floors:  # The group must ignore the calls of such a node.
            return
        if tick.inputs is not before.inputs and tick.inputs is not None:
            self.judge_presses(node, before, after, tick.inputs)
        if after.calls is not before.calls:
            self.vectors[after.calls.digest] = after.calls.current.seen
            learned = [heartbeat.calls for heartbeat in tick.heartbeats]
            self.judge_calls(node, before.calls, after, learned if tick.found is None else [*learned, tick.found.calls])
        if after.lit is not before.lit:
            self.judge_confirmations(node, before, after)

    def judge_presses(self, node: ObservedNode, before: Node, after: Node, inputs: Inputs) -> None:
        me = after.me
        was = before.inputs.pressed if before.inputs is not None else Buttons()
        fresh = node.calls_of(inputs.pressed) - node.calls_of(was)
        last = before.calls.seen.get(me, 0)
        counted = after.calls.seen.get(me, 0) - last
        if counted != len(fresh):
            self.fail(f"node {node.name} registered {counted} presses, but its panel reported these: {sorted(fresh)}")
        registered = {dot: call for dot, call in after.calls.live.items() if dot.author == me and dot.n > last}
        for dot, call in sorted(registered.items()):
            if call in fresh:
                self.add_press(node, dot, call)
        for call in sorted(fresh - {*registered.values()}):  # The node served these at once.
            self.judge_place(node, call)
            self.add_service(node, call, after.now_ms, is_first=True)

    def add_press(self, node: ObservedNode, dot: Dot, call: Call) -> None:
        for older in [d for d, c in self.open.items() if d.author == dot.author and c == call]:
            del self.open[older]
            self.replaced[older] = dot
        self.pressed_at_ms[dot], self.call_of[dot], self.open[dot] = self.trial.now_ms, call, call
        self.emit(CallPressed(node.number, call, dot))

    def judge_calls(self, node: ObservedNode, before: Calls, state: Node, learned: Iterable[Calls]) -> None:
        """Check the presses that a turn has added to the node's call set or removed from it.

        Emit a CallServed for each call that the turn has served. *learned* are the call sets that the turn has merged.
        """
        after = state.calls
        for dot in after.live.keys() - before.live.keys():
            if dot not in self.pressed_at_ms:
                self.fail(f"node {node.name} has a call that was never pressed: {dot} {after.live[dot]}")
        dropped = before.live.keys() - after.live.keys()
        passed = newly_covered(before, after) if node.elevator.door else set[Dot]()
        again = [dot for dot in sorted(dropped | passed) if dot not in self.open and dot in self.pressed_at_ms]
        gone = [d for d in self.open if d not in after.live and (d in dropped or covers(after.seen, d))]
        for dot in gone:
            call = self.open[dot]
            self.judge_place(node, call)
            if call.button is Button.CAB and hears_own_id(state) and self.node_of.get(dot.author) != node.number:
                self.fail(f"car {node.name} served a cab call of another node with the same id: {dot} {call}")
            del self.open[dot]
            self.add_service(node, call, state.now_ms, is_first=True)
        for dot in again:
            is_served = self.last_press(dot) not in after.live
            is_own = not any(covers(calls.seen, dot) and dot not in calls.live for calls in learned)
            if is_served and is_own and node.is_open_at(self.call_of[dot].floor):
                self.add_service(node, self.call_of[dot], state.now_ms, is_first=False)

    def last_press(self, dot: Dot) -> Dot:
        """Return the newest press that has replaced *dot*, directly or indirectly; *dot* itself if none has."""
        while dot in self.replaced:
            dot = self.replaced[dot]
        return dot

    def judge_place(self, node: ObservedNode, call: Call) -> None:
        if not node.is_open_at(call.floor) or (call.button is Button.CAB and call.car != node.id):
            self.fail(f"node {node.name} removed {call} without serving it")

    def add_service(self, node: ObservedNode, call: Call, at_ms: int, is_first: bool) -> None:
        self.served_at_ms[call] = self.trial.now_ms
        self.emit(CallServed(node.number, call, is_first, at_ms))

    # Confirmations and lamps

    def judge_confirmations(self, node: ObservedNode, before: Node, state: Node) -> None:
        """Check and record the calls that a turn has confirmed. Record the calls that are no longer confirmed."""
        for call in before.lit - state.lit:
            node.confirmed[call] = node.confirmed[call][0], self.trial.now_ms
        for call in sorted(state.lit - before.lit):
            dots = [dot for dot, each in state.calls.live.items() if each == call]
            if call.button is Button.CAB and hears_own_id(state):
                dots = [dot for dot in dots if self.node_of.get(dot.author) == node.number]
            if not any(self.is_guaranteed(node, state, dot) for dot in dots):
                self.fail(f"node {node.name} confirmed {call} without its guarantee (presses: {dots})")
            self.ever_confirmed.update(dots)
            holders = self.trial.nodes
            self.excused.update(dot for dot in dots if not any(dot in each.disk.durable.live for each in holders))
            node.confirmed[call] = dots, NEVER_MS

    def is_guaranteed(self, node: ObservedNode, state: Node, dot: Dot) -> bool:
        counted_on = [
            peer.heartbeat.sender
            for peer in state.peers.known.values()
            if state.now_ms < peer.timeout_at_ms and peer.heartbeat.hears >> state.me.id & 1
        ]
        own = covers(node.disk.durable.seen, dot) or (node.stint.is_disk_failing and bool(counted_on))
        digests = [self.published[run] for run in counted_on if run in self.published]  # Ghosts are not tracked.
        return own and all(any(covers(self.vectors.get(digest, {}), dot) for digest in each) for each in digests)

    def judge_heartbeat(self, event: HeartbeatSent) -> None:
        node, heartbeat = self.trial.nodes[event.node], event.heartbeat
        if node.floors != self.trial.plan.floors:
            return
        vector = self.vectors.get(heartbeat.digest, {})
        if not node.stint.is_disk_failing and heartbeat.digest not in node.stored:
            self.fail(f"node {node.name} published calls that are not on its disk")
        if any(entry.newest > vector.get(author, entry.newest) for author, entry in heartbeat.calls.entries.items()):
            self.fail(f"node {node.name} sent a heartbeat whose entries are newer than the call set of its digest")
        self.published.setdefault(heartbeat.sender, set()).add(heartbeat.digest)

    def judge_lamps(self, event: ElevatorChanged) -> None:
        node, was, now = self.trial.nodes[event.node], event.before.lamps, event.after.lamps
        if was is now or node.floors != self.trial.plan.floors:
            return
        old, new, lit = node.calls_of(was), node.calls_of(now), node.lit
        for call in sorted(new - old):
            dots, until_ms = node.confirmed.get(call, ([], -NEVER_MS))
            if self.trial.now_ms - until_ms > PANEL_DELAY_MAX_MS:
                self.fail(f"car {node.name} lights the lamp of {call}, but the call is not confirmed")
            lit[call] = dots
        for call in sorted(old - new):
            dots = lit.pop(call)
            since_ms = min(self.pressed_at_ms[dot] for dot in dots)
            if self.served_at_ms.get(call, -1) < since_ms and not self.may_darken(node, call, dots):
                self.fail(f"the lamp of {call} at car {node.name} went dark before the call was served")

    def may_darken(self, node: ObservedNode, call: Call, dots: Iterable[Dot]) -> bool:
        """Return whether *node* may darken the lamp of an unserved *call*. The lamp was lit for the presses *dots*.

        A node may do so if it knows none of the presses. But while it hears from another incarnation with its id, it
        may darken the lamp of a cab call only if a duplicate may have registered one of the presses.
        """
        assert node.state is not None
        if call.button is Button.CAB and hears_own_id(node.state):
            return not all(dot.author in {node.state.me} | node.own_incarnations for dot in dots)
        return not any(covers(node.state.calls.seen, dot) for dot in dots)

    # The end

    def judge_agreement(self) -> None:
        """Check that all panels show the same hall lamps (G5)."""
        lost = self.trial.plan.lost_cars()
        recent = {call for call, at_ms in self.served_at_ms.items() if self.trial.now_ms - at_ms <= SPREAD_MS}
        panels = [
            {call for call in node.calls_of(node.elevator.lamps) if call.button is not Button.CAB} - recent
            for node in self.trial.nodes
            if node.number not in lost
        ]
        if not self.trial.plan.loses_links() and any(panel != panels[0] for panel in panels):
            self.fail(f"the hall lamps differ between panels: {panels}")

    def judge_end(self) -> None:
        """Check rule 5 of this module, except for the hall lamps."""
        lost, nodes = self.trial.plan.lost_cars(), [node for node in self.trial.nodes if node.state is not None]
        states = [(node, node.state) for node in nodes if node.state is not None]
        for node, state in states:
            needed = {dot.author for dot in state.calls.live}
            old = Counter(author.id for author in state.calls.seen if author not in needed)
            if max(old.values(), default=0) > OLD_INCARNATIONS_MAX:
                self.fail(f"node {node.name} remembers too many old incarnations (number for each id: {old})")
            for other_node, other in states if not self.trial.plan.loses_links() and node.number not in lost else ():
                peer = state.peers.known.get(other.me.id)
                if (
                    other is not state
                    and other_node.number not in lost
                    and (peer is None or peer.calls.current != other.calls.current)
                ):
                    self.fail(f"node {node.name} does not know the calls of node {other_node.name}")
        for dot in sorted(self.ever_confirmed):
            last, call = self.last_press(dot), self.call_of[dot]
            holders = [node for node in self.trial.nodes if last in node.disk.durable.live]
            is_gone = bool(holders) and not any(node.state is not None for node in holders)
            if is_gone or {dot, last} & self.excused or call.car in lost:
                continue
            if self.served_at_ms.get(call, -1) < self.pressed_at_ms[dot]:
                self.fail(f"{call} was confirmed but not served afterwards (press: {dot})")


def covers(seen: Mapping[Author, int], dot: Dot) -> bool:
    """Return whether the version vector *seen* covers *dot*.

    The core has the same function, `acknowledges`. The judge does not use it, because the core is under test.
    """
    return dot.n <= seen.get(dot.author, 0)


def newly_covered(before: Calls, after: Calls) -> set[Dot]:
    """Return the presses that are unknown in *before*, and served or replaced in *after*."""
    firsts = {author: before.seen.get(author, 0) + 1 for author in after.seen}
    covered = {Dot(author, n) for author, last in after.seen.items() for n in range(firsts[author], last + 1)}
    return covered - after.live.keys()
