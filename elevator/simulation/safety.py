"""What is true in the world, and what must therefore hold; the judge of a simulated run.

What a group owes while it, or a part of it, is in order stands in group_service.py. Safety, after every event:
 1. No call from nowhere: each press in a node's set was made on its author's panel (G6).
 2. None is lost: a press leaves a set, or is passed over by it, only when it was served by a car with its door open
    there, or replaced by a newer one of the same button (G1, C9). Up and down are never served together (C2).
 3. No lamp without its guarantee: a node promises a call only when one of its presses is on its own disk and on the
    disk of every peer that it counts on, and lights nothing else (L2, L3). Its panel may show that only later. What a
    node tells is on its disk, unless that takes nothing.
 4. A lamp goes dark only when its call was served since the press for which it was lit (L4).
 5. Doors and motors do nothing dangerous; no car leaves its shaft (D1, C5).
 6. Without faults no two cars claim one call for long (A1).
 7. A door is open for its whole period, and does not shut while it is obstructed (D1, D2, D4).
Liveness, when the faults have ended: all panels agree (G5), everything promised is served, every car is able. What is
out of order for good is left out of that, and nothing else.

Excused, because no program can promise it:
 a. a press whose last disk was wiped, or that was only ever on disks that took nothing, or is at the end only on disks
    of machines that are gone for good; a cab call on a wiped disk of a node that will never hear of it again;
 b. a lamp that a former run lit, of which the present one has nothing on its disk, because that was wiped, took nothing
    or cannot be read, and has not heard from others either;
 c. a cab lamp that was lit, before another node with the same id was heard of, for a press that is not known to be the
    node's own: it was made at the other, or before its record was lost;
 d. a promise of a node whose disk fails that rests on a ghost's word;
 e. a car that runs out of its shaft while its program is frozen, or its server slow;
 f. panels that differ by a call whose service the others cannot have heard of yet.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NoReturn, Protocol

from elevator.building import elevator as machines
from elevator.building.elevator import Machine
from elevator.core.call_set import mask
from elevator.core.model import (
    EVERY_CAR,
    NEVER_MS,
    Author,
    Button,
    Buttons,
    Call,
    Calls,
    Dot,
    Fault,
    Heartbeat,
    Inputs,
    Record,
    Tick,
)
from elevator.core.node import Node
from elevator.simulation.faults import FaultKind, Plan

SPREAD_MS = 50
"""How long it may take until every lamp shows it."""
DOOR_MS = 3000
"""The period of an open door: what is specified, whatever the core takes it to be."""
NEWS_MS = 15
"""How long the news of a service may take in a healthy group: a heartbeat waits for the one before it, then travels."""


RUNS_KEPT = 12
"""More former runs than that of one node nobody remembers when all is done."""
START_MS = 1000
DISPUTE_MS = 100
"""How long two cars may claim one call in a healthy group: until they have heard of each other."""


class Violation(Exception):
    """Something that must never be."""


class Host(Protocol):
    """What is judged: a machine with its elevator, its program, if that is alive, and its disk."""

    id: int
    node_id: int
    is_failing: bool
    lamps_checked: object
    ordered_ms: int
    """When its elevator was last told anything."""
    informed_ms: int
    """Of what time its program then knew its panel."""

    @property
    def machine(self) -> Machine: ...

    @property
    def floors(self) -> int: ...

    @property
    def node(self) -> Node | None: ...

    @property
    def durable(self) -> Calls: ...

    @property
    def inputs(self) -> Inputs | None: ...

    @property
    def under_way(self) -> Tick | None:
        """What its program was told before the turn that it is taking, or in which it was stopped."""

    @property
    def orders(self) -> bytes:
        """What its elevator has yet to obey."""

    @property
    def stands_still(self) -> bool:
        """Whether its program does nothing at present."""

    def has(self, kind: FaultKind) -> bool:
        """Tell whether a fault of this kind holds it."""

    def has_any(self, kinds: AbstractSet[FaultKind]) -> bool:
        """Tell whether a fault of one of these kinds holds it."""

    def knows_ms(self) -> int:
        """Tell of what time its program knows its panel at present."""

    def due_lamps(self) -> Buttons:
        """Return the lamps of its panel when its server has done what it has been told to."""


class Oracle:
    """Keeps the truth of one run and compares. *hosts* are those of the world, *clock* its time in milliseconds."""

    def __init__(
        self, plan: Plan, hosts: Sequence[Host], clock: Callable[[], int], tell: Callable[[str], None]
    ) -> None:
        cars = plan.cars
        self.lost = plan.lost_cars()
        self.agree = not plan.loses_links()
        self.healthy = all(fault.kind is FaultKind.ATTACK for fault in plan.faults)  # Which must change nothing.
        self.floors = plan.floors
        self.hosts = hosts
        self.runs: dict[Author, Host] = {}
        """Whose program each run is, or was."""
        self.clock = clock
        self.tell = tell
        self.born: dict[Dot, int] = {}
        """When each press was made."""
        self.call_of: dict[Dot, Call] = {}
        self.open: dict[Dot, Call] = {}
        """Presses neither served nor replaced."""
        self.replaced: dict[Dot, Dot] = {}
        """Which press took the place of an older one."""
        self.served_at_ms: dict[Call, int] = {}
        self.excused: set[Dot] = set()
        self.promised: set[Dot] = set()
        places = cars + 1  # the last is a stranger's
        self.known: list[Calls] = [Calls()] * places
        """What each node was last seen to hold."""
        self.saved: list[dict[Author, int]] = [{} for _ in range(places)]
        """How far each node's disk has been since it was last wiped."""
        self.told: dict[Author, dict[Author, int]] = {}
        """How far each run has told what it knows, be it from its disk or because that took nothing."""
        self.told_checked: list[object] = [None] * places
        self.given: list[dict[Call, list[Dot]]] = [{} for _ in range(places)]
        """What the present run of each node has promised, and the presses for which it has."""
        self.given_checked: list[object] = [None] * places
        self.lit: list[dict[Call, list[Dot]]] = [{} for _ in range(places)]
        """Lamps that are lit, and the presses for which they are."""
        self.wiped: list[bool] = [False] * places
        """Whether a disk has been wiped, or cannot be read, since its program last started."""
        self.forgotten: list[set[Call]] = [set() for _ in range(places)]
        """Calls with a lit lamp that the present run cannot have from its record, and has not heard of yet."""
        self.saved_runs: list[set[Author]] = [set() for _ in range(places)]
        """Which runs have left a record on each node's disk since it was last wiped."""
        self.deaf: list[set[int]] = [set() for _ in range(places)]
        """Whom each node will never hear again."""
        for fault in plan.faults:
            if fault.kind is FaultKind.DEAF and fault.until_ms == NEVER_MS:
                self.deaf[fault.who].add(fault.detail)
        self.own_runs: list[set[Author]] = [set() for _ in range(places)]
        """Which runs a node can know for its own, from its record."""
        self.doors: list[bool] = [False] * places
        self.overruns = [0] * places
        """How often each car has run out of its shaft while its program stood still."""
        self.judged: dict[int, Machine] = {}
        """What each machine was when it was last found in order: most events change none."""
        self.opened: dict[int, tuple[int, Author | None]] = {}
        """When each door opened, and by which run of its program."""
        self.obstructed_at_ms: dict[int, int] = {}
        self.disputed_at_ms: int | None = None
        self.happened: list[tuple[Host, Call, Dot | None, bool]] = []
        """What group_service.py has yet to judge: at which car, to which call; the press, None if the call was
        served; and whether it was served for the first time."""

    def fail(self, why: str) -> NoReturn:
        self.tell(f"VIOLATION: {why}")
        raise Violation(f"{self.clock()} ms: {why}")

    def note_joined(self, host: Host) -> None:
        """Begin with a stranger, in the place of any former one."""
        id = host.id
        self.known[id], self.saved[id], self.lit[id], self.saved_runs[id] = Calls(), {}, {}, set()
        self.wiped[id] = self.doors[id] = False
        self.overruns[id] = 0
        self.opened.pop(id, None)

    def note_start(self, host: Host, node: Node) -> None:
        id, held, saved = host.id, set(node.calls.live.values()), self.saved[host.id]
        self.known[id], self.given[id], self.given_checked[id] = node.calls, {}, None
        self.told_checked[id] = None
        if self.wiped[id]:
            saved.clear()
            self.saved_runs[id].clear()
        self.forgotten[id] = {
            call
            for call, dots in self.lit[id].items()
            if call not in held and (call in self.forgotten[id] or not any(covers(saved, dot) for dot in dots))
        }
        self.own_runs[id] = {*self.saved_runs[id], node.me}
        self.wiped[id] = False
        self.runs[node.me] = host

    def note_inherited(self, host: Host, node: Node) -> None:
        """Note that a new run knows from its record that the door is open."""
        self.opened[host.id] = (self.clock(), node.me)

    def note_unread(self, host: Host) -> None:
        """Note that the run about to start cannot read its record, and so does not know yet what is lit."""
        self.wiped[host.id] = True

    def note_saved(self, host: Host, record: Record) -> None:
        extend(self.saved[host.id], record.calls.seen)
        self.saved_runs[host.id].add(Author(host.node_id, record.incarnation))

    def note_told(self, host: Host, heartbeat: Heartbeat) -> None:
        """Judge what a node tells."""
        calls = heartbeat.calls
        if calls is self.told_checked[host.id] or host.floors != self.floors:
            return
        self.told_checked[host.id] = calls
        saved = self.saved[host.id]
        if not host.is_failing and any(n > saved.get(author, 0) for author, n in calls.seen.items()):
            self.fail(f"node {host.id} tells what is not on its disk")
        extend(self.told.setdefault(heartbeat.sender, {}), calls.seen)

    def note_wiped(self, host: Host) -> None:
        """Excuse what was on this disk alone."""
        self.wiped[host.id] = True
        heard = self.heard_by(host)
        for dot, call in self.open.items():
            holders = [other for other in self.hosts if other is not host and dot in other.durable.live]
            if not holders or (call.car == host.node_id and not any(other.id in heard for other in holders)):
                self.excused.add(dot)

    def heard_by(self, host: Host) -> set[int]:
        """Name the nodes whose news come to *host* in the end, whoever passes them on."""
        heard, fresh = set[int](), {host.id}
        while fresh:
            heard |= fresh
            fresh = {other.id for other in self.hosts for id in fresh if other.id not in self.deaf[id]} - heard
        return heard

    def observe(self, host: Host, calls: Calls) -> None:
        """Compare what a node holds now with what it held, and both with the truth."""
        old = self.known[host.id]
        if calls is old or host.floors != self.floors:  # in another building: none of its calls may come in here
            return
        self.known[host.id] = calls
        for dot in calls.live.keys() - old.live.keys():
            if dot not in self.born:
                self.birth(host, dot, calls.live[dot])
            if dot in self.open:  # Others may not have heard yet that an older press was served.
                self.forgotten[host.id].discard(calls.live[dot])
        served = [dot for dot in self.open if covers(calls.seen, dot) and dot not in calls.live]
        for dot in served:
            self.service(host, dot, self.open[dot])
        if {Button.UP, Button.DOWN} <= {self.call_of[dot].button for dot in served}:
            self.fail(f"car {host.id} served up and down at once")
        if host.machine.door:
            passed = {
                Dot(author, n)
                for author, last in calls.seen.items()
                for n in range(old.seen.get(author, 0) + 1, last + 1)
            }
            for dot in sorted((old.live.keys() | passed & self.born.keys()) - calls.live.keys()):
                self.served_again(host, dot)

    def check_kept(self, host: Host, before: Calls, after: Calls) -> None:
        """Judge the calls that a program has dropped in a turn together with their author, as after a restart."""
        for dot in sorted(before.live.keys() - after.live.keys()) if before is not after else ():
            if dot in self.open and not covers(after.seen, dot):
                self.service(host, dot, before.live[dot])

    def birth(self, host: Host, dot: Dot, call: Call) -> None:
        node = host.node
        author = node.me if node is not None else dot.author
        read = None if host.under_way is None else host.under_way.inputs  # its panel may be gone meanwhile
        inputs = read or host.inputs
        masks = (inputs.pressed.up, inputs.pressed.down, inputs.pressed.cab) if inputs else (0, 0, 0)
        if dot.author != author or dot.author.id != host.node_id or not masks[call.button] >> call.floor & 1:
            self.fail(f"node {host.id} has a call that nobody made: {dot} {call}")
        for older in [d for d, c in self.open.items() if d.author == dot.author and c == call]:
            del self.open[older]
            self.replaced[older] = dot
        self.born[dot], self.call_of[dot], self.open[dot] = self.clock(), call, call
        self.happened.append((host, call, dot, True))

    def service(self, host: Host, dot: Dot, call: Call) -> None:
        there = host.machine.door and host.machine.sensed == call.floor
        if not there or (call.button is Button.CAB and call.car != host.node_id):
            self.fail(f"node {host.id} lost {dot} {call}")
        if call.button is Button.CAB and self.has_rivals(host.node) and self.runs.get(dot.author) is not host:
            self.fail(f"car {host.id} took {dot} {call} from another with its id")
        del self.open[dot]
        self.served_at_ms[call] = self.clock()
        self.happened.append((host, call, None, True))

    def served_again(self, host: Host, dot: Dot) -> None:
        """Note that a press that was served once before was served here as well, if it was."""
        call = self.call_of[dot]
        if host.machine.sensed == call.floor:
            self.served_at_ms[call] = self.clock()
            self.happened.append((host, call, None, False))

    def has_rivals(self, node: Node | None) -> bool:
        """Tell whether *node* knows that another uses its id."""
        if node is None:
            return False
        return any(rival.id == node.me.id and self.clock() < at_ms for rival, at_ms in node.peers.rivals.items())

    def check_lamps(self, host: Host, node: Node) -> None:
        """Judge what *node* promises and what its panel shows, after a turn in which it may have died."""
        if host.floors == self.floors and self.given_checked[host.id] is not node.lit:
            self.given_checked[host.id] = node.lit
            self.check_promises(host, node)
        self.check_machine(host)
        lamps = host.due_lamps()
        if host.lamps_checked is lamps:
            return
        host.lamps_checked = lamps
        if host.floors != self.floors:
            return
        lit, given = self.lit[host.id], self.given[host.id]
        shown = set(calls_lit(host, lamps))
        for call in sorted(shown - lit.keys()):
            if call not in given:
                self.fail(f"the lamp of {call} at car {host.id} is lit for nothing")
            lit[call] = given[call]
        for call in sorted(lit.keys() - shown):
            since_ms = min(self.born[dot] for dot in lit.pop(call))
            if host.node is None and host.machine.door and host.machine.sensed == call.floor:
                continue  # It died between opening its door and telling anybody; its successor will serve it again.
            if call in self.forgotten[host.id] or (call.button is Button.CAB and self.is_disowned(host, node, call)):
                continue
            if self.served_at_ms.get(call, -1) < since_ms:
                self.fail(f"the lamp of {call} at car {host.id} went dark unserved")

    def check_promises(self, host: Host, node: Node) -> None:
        """Judge what a node has promised since it was last looked at."""
        given = self.given[host.id]
        for call in given.keys() - node.lit:
            del given[call]
        for call in sorted(node.lit - given.keys()):
            # In the turn in which it died it may have noted a press that nobody will ever hear of.
            dots = [dot for dot, c in node.calls.live.items() if c == call and dot in self.born]
            if call.button is Button.CAB and self.has_rivals(node):
                dots = [dot for dot in dots if self.runs.get(dot.author) is host]
            if not any(self.is_guaranteed(host, node, dot) for dot in dots):
                self.fail(f"the lamp of {call} at car {host.id} is lit without its guarantee: {dots}")
            for dot in dots:
                self.promised.add(dot)
                if not any(dot in other.durable.live for other in self.hosts):
                    self.excused.add(dot)
            given[call] = dots

    def is_guaranteed(self, host: Host, node: Node, dot: Dot) -> bool:
        heard = [
            peer.said.sender
            for peer in node.peers.known.values()
            if node.now_ms < peer.silent_at_ms and peer.said.hears >> node.me.id & 1
        ]
        own = covers(host.durable.seen, dot) or (host.is_failing and bool(heard))
        return own and all(covers(self.told[run], dot) for run in heard if run in self.told)  # A ghost has no disk.

    def is_disowned(self, host: Host, node: Node, call: Call) -> bool:
        """Tell whether *node*, which knows that another uses its id, cannot know the cab call for its own."""
        dots = (dot for dot, c in node.calls.live.items() if c == call)
        return self.has_rivals(node) and any(dot.author not in self.own_runs[host.id] for dot in dots)

    def check_machine(self, host: Host) -> None:
        """Judge what a car has just done."""
        if self.healthy and self.clock() > START_MS:
            self.check_claims()
        machine = host.machine
        if machine is self.judged.get(host.id):
            return
        if machine.out and (host.stands_still or host.knows_ms() < self.clock()):
            self.overruns[host.id] = machine.counts.out_of_bounds
        if machines.misbehaviour(machine.counts) > self.overruns[host.id]:
            self.fail(f"car {host.id} misbehaved: {machine.counts}")
        if machine.counts.bad_requests:
            self.fail(f"car {host.id} was asked for what there is not: {machine.last_bad}")
        if machine.door != self.doors[host.id]:
            self.check_door(host)
        self.doors[host.id] = machine.door
        self.judged[host.id] = machine

    def check_door(self, host: Host) -> None:
        """Judge a door that has just opened or shut."""
        run = None if host.node is None else host.node.me
        if host.machine.door:
            self.opened[host.id] = (self.clock(), run)
            return
        opened_ms, opener = self.opened[host.id]
        if run is None or run != opener:
            return  # A new run does not know of a door that opened just before the old one ended.
        if self.clock() - opened_ms < DOOR_MS:
            self.fail(f"the door of car {host.id} was open for {self.clock() - opened_ms} ms only")
        since_ms = self.obstructed_at_ms.get(host.id)
        if since_ms is not None and host.informed_ms - since_ms > NEWS_MS:
            self.fail(f"the door of car {host.id} shut while it was obstructed")

    def note_obstructed(self, id: int, obstructed: bool) -> None:
        if obstructed:
            self.obstructed_at_ms[id] = self.clock()
        else:
            self.obstructed_at_ms.pop(id, None)

    def check_claims(self) -> None:
        """Judge, in a healthy group, whether two cars go on claiming one hall call (A1)."""
        up = down = both_up = both_down = 0
        for host in self.hosts:
            if host.node is not None and host.node.drive.fault is Fault.NONE:
                share = host.node.share
                both_up, both_down = both_up | up & share.up, both_down | down & share.down
                up, down = up | share.up, down | share.down
        if not both_up | both_down:
            self.disputed_at_ms = None
        elif self.disputed_at_ms is None:
            self.disputed_at_ms = self.clock()
        elif self.clock() - self.disputed_at_ms > DISPUTE_MS:
            self.fail("two cars keep claiming one hall call")

    def check_agreement(self) -> None:
        """Judge whether all panels show the same hall calls (G5)."""
        hosts = [host for host in self.hosts if host.id not in self.lost]
        recent = {call for call, at_ms in self.served_at_ms.items() if self.clock() - at_ms <= SPREAD_MS}
        panels = [
            {call for call in calls_lit(host, host.machine.lamps) if call.button is not Button.CAB} - recent
            for host in hosts
        ]
        if self.agree and any(panel != panels[0] for panel in panels):
            self.fail(f"the panels do not agree: {panels}")

    def check_end(self) -> None:
        """Judge a world in which nothing is left to do (G1, G7)."""
        for host in self.hosts:
            calls = Calls() if host.node is None else host.node.calls
            waited_for = {dot.author for dot in calls.live}
            runs = Counter(author.id for author in calls.seen if author not in waited_for)
            if max(runs.values(), default=0) > RUNS_KEPT:
                self.fail(f"node {host.id} forgets no former run: {runs}")
        self.check_knowledge()
        for dot in sorted(self.promised):
            last = dot
            while last in self.replaced:
                last = self.replaced[last]
            if {dot, last} & self.excused or self.call_of[dot].car in self.lost:
                continue
            holders = [host for host in self.hosts if last in host.durable.live]
            if holders and all(host.node is None for host in holders):
                continue
            if self.served_at_ms.get(self.call_of[dot], -1) < self.born[dot]:
                self.fail(f"{dot} {self.call_of[dot]} was promised and never served")

    def check_knowledge(self) -> None:
        """Judge whether nodes know of each other what they hold, no less and no more."""
        nodes = [host.node for host in self.hosts if host.node is not None and host.id not in self.lost]
        for node in nodes if self.agree else ():
            for other in nodes:
                peer = node.peers.known.get(other.me.id)
                if other is not node and (peer is None or peer.calls != other.calls):
                    self.fail(f"node {node.me.id} does not know what node {other.me.id} holds")


def covers(seen: Mapping[Author, int], dot: Dot) -> bool:
    """Tell whether *seen* acknowledges *dot*. The core has such a function too, which is to be judged here."""
    return dot.n <= seen.get(dot.author, 0)


def extend(known: dict[Author, int], seen: Mapping[Author, int]) -> None:
    """Let *known* reach as far as *seen*."""
    for author, n in seen.items():
        if n > known.get(author, 0):
            known[author] = n


def calls_lit(host: Host, lamps: Buttons) -> list[Call]:
    """Name the calls whose *lamps* are lit on the panel of *host*."""
    car = {Button.UP: EVERY_CAR, Button.DOWN: EVERY_CAR, Button.CAB: host.node_id}
    return [Call(button, floor, car[button]) for button in Button for floor in machines.floors_of(mask(lamps, button))]
