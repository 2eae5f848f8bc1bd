"""What is true in the world, and what must therefore hold; the judge of a simulated run.

Safety, after every event:
 1. No call from nowhere: each press in a node's set was made on its author's panel (G6).
 2. None is lost: a press leaves a set, or is passed over by it, only when it was served by a car with its door open
    there, or replaced by a newer one of the same button (G1). Up and down are never served together (C2).
 3. No lamp without its guarantee: a call lights only when one of its presses is on the node's own disk and on the disk
    of every peer that it counts on (L3).
 4. A lamp goes dark only when its call was served since the press for which it was lit (L4).
 5. Doors and motors do nothing dangerous; no car leaves its shaft (D1, C5).
 6. Without faults no two cars claim one call for long, and no door opens for nothing (A1, C1).
 7. A door is open for its whole period, and does not shut while it is obstructed (D1, D2).
Liveness, when the faults have ended: all panels agree (G5), everything promised is served, every car is able. What is
out of order for good is left out of that, and nothing else.

Excused, because no program can promise it: a press whose last disk was wiped, or that was only ever on disks that took
nothing, or is at the end only on disks of machines that are gone for good; a dark lamp on the panel of a node whose disk was wiped or could not be read; a car that runs out of
its shaft while its program is frozen; a cab lamp that was lit for a press of another node with the same id, before that
one was heard of; and panels that differ by a call whose service the others cannot have heard of yet.
"""

from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol

from attrs import evolve

from elevator.calls import covers, mask
from elevator.drive import DOOR_OPEN_MS
from elevator.model import EVERY_CAR, Author, Button, Call, Calls, Dot, Fault, Inputs
from elevator.node import Node, alive_rivals, in_reach
from elevator.sim import machine as machines
from elevator.sim.faults import Kind, Plan
from elevator.sim.machine import Machine

NEWS_MS = 15
"""How long the news of a service may take in a healthy group: a heartbeat waits for the one before it, then travels."""


START_MS = 1000
DISPUTE_MS = 100
"""How long two cars may claim one call in a healthy group: until they have heard of each other."""


class Violation(Exception):
    """Something that must never be."""


class Host(Protocol):
    """What is judged: a machine with its elevator, its program, if that is alive, and its disk."""

    id: int
    machine: Machine
    node_id: int
    floors: int
    node: Node | None
    durable: Calls
    inputs: Inputs | None
    lamps_checked: object

    @property
    def stands_still(self) -> bool:
        """Whether its program does nothing at present."""

    def has(self, kind: Kind) -> bool:
        """Tell whether a fault of this kind holds it."""


class Oracle:
    """Keeps the truth of one run and compares. *hosts* are those of the world, *clock* its time in milliseconds."""

    def __init__(
        self, plan: Plan, hosts: Sequence[Host], clock: Callable[[], int], tell: Callable[[str], None]
    ) -> None:
        cars = plan.cars
        self.lost = plan.lost_cars()
        self.agree = not plan.loses_links()
        self.healthy = not plan.faults
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
        """How far each node's disk has ever been."""
        self.lit: list[dict[Call, int]] = [{} for _ in range(places)]
        """Lamps that are lit, and the time of the oldest press for which they are."""
        self.wiped: list[bool] = [False] * places
        self.doors: list[bool] = [False] * places
        self.opened: dict[int, tuple[int, Author | None]] = {}
        """When each door opened, and by which run of its program."""
        self.obstructed_at_ms: dict[int, int] = {}
        self.disputed_at_ms: int | None = None
        self.reason_ms: list[int] = [-1] * places
        """When each car last served a press that nobody had served yet."""

    def fail(self, why: str) -> NoReturn:
        self.tell(f"VIOLATION: {why}")
        raise Violation(f"{self.clock()} ms: {why}")

    def note_joined(self, host: Host) -> None:
        """Begin with a stranger, in the place of any former one."""
        id = host.id
        self.known[id], self.saved[id], self.lit[id] = Calls(), {}, {}
        self.wiped[id] = self.doors[id] = False
        self.opened.pop(id, None)

    def note_start(self, host: Host, node: Node) -> None:
        self.known[host.id] = node.calls
        self.runs[node.me] = host

    def note_inherited(self, host: Host, node: Node) -> None:
        """Note that a new run knows from its record that the door is open."""
        self.opened[host.id] = (self.clock(), node.me)

    def note_unread(self, host: Host) -> None:
        """Note that a new run cannot read its record, and so does not know yet what is lit."""
        self.wiped[host.id] = True

    def note_saved(self, id: int, calls: Calls) -> None:
        saved = self.saved[id]
        for author, n in calls.seen.items():
            if n > saved.get(author, 0):
                saved[author] = n

    def note_wiped(self, host: Host) -> None:
        """Excuse what was on this disk alone."""
        self.wiped[host.id] = True
        others = [other for other in self.hosts if other is not host]
        for dot in self.open:
            if not any(dot in other.durable.live for other in others):
                self.excused.add(dot)

    def observe(self, host: Host, calls: Calls) -> None:
        """Compare what a node holds now with what it held, and both with the truth."""
        old = self.known[host.id]
        if calls is old or host.floors != self.floors:  # in another building: none of its calls may come in here
            return
        self.known[host.id] = calls
        for dot in calls.live.keys() - old.live.keys():
            if dot not in self.born:
                self.birth(host, dot, calls.live[dot])
        served = [dot for dot in self.open if covers(calls.seen, dot) and dot not in calls.live]
        for dot in served:
            self.service(host, dot, self.open[dot])
        author = None if host.node is None else host.node.me
        pressed = author is not None and calls.seen.get(author, 0) > old.seen.get(author, 0)
        if served or pressed:  # A press at the car's own floor is served before anybody else hears of it.
            self.reason_ms[host.id] = self.clock()
        if {Button.UP, Button.DOWN} <= {self.call_of[dot].button for dot in served}:
            self.fail(f"car {host.id} served up and down at once")
        if host.machine.door:
            for dot in old.live.keys() - calls.live.keys():
                self.served_again(host, dot)

    def birth(self, host: Host, dot: Dot, call: Call) -> None:
        node = host.node
        author = node.me if node is not None else dot.author
        inputs = host.inputs
        masks = (inputs.pressed.up, inputs.pressed.down, inputs.pressed.cab) if inputs else (0, 0, 0)
        if dot.author != author or dot.author.id != host.node_id or not masks[call.button] >> call.floor & 1:
            self.fail(f"node {host.id} has a call that nobody made: {dot} {call}")
        for older in [d for d, c in self.open.items() if d.author == dot.author and c == call]:
            del self.open[older]
            self.replaced[older] = dot
        self.born[dot], self.call_of[dot], self.open[dot] = self.clock(), call, call

    def service(self, host: Host, dot: Dot, call: Call) -> None:
        there = host.machine.door and host.machine.sensed == call.floor
        if not there or (call.button is Button.CAB and call.car != host.node_id):
            self.fail(f"node {host.id} lost {dot} {call}")
        if call.button is Button.CAB and host.node and dot.author.incarnation in alive_rivals(host.node):
            self.fail(f"car {host.id} took {dot} {call} from another with its id")
        del self.open[dot]
        self.served_at_ms[call] = self.clock()

    def served_again(self, host: Host, dot: Dot) -> None:
        """Note that a press that was served once before was served here as well, if it was."""
        call = self.call_of[dot]
        if host.machine.sensed == call.floor:
            self.served_at_ms[call] = self.clock()

    def check_lamps(self, host: Host) -> None:
        """Judge the lamps of a panel that have just changed."""
        if host.lamps_checked is host.machine.lamps:
            self.check_machine(host)
            return
        host.lamps_checked = host.machine.lamps
        self.check_machine(host)
        if host.floors != self.floors:
            return
        lit = self.lit[host.id]
        shown = set(calls_lit(host))
        calls = host.durable if host.node is None else host.node.calls
        for call in sorted(shown - lit.keys()):
            rivals = alive_rivals(host.node) if host.node and call.button is Button.CAB else {}
            dots = [dot for dot, c in calls.live.items() if c == call and dot.author.incarnation not in rivals]
            lit[call] = self.light(host, call, dots)
        for call in sorted(lit.keys() - shown):
            since_ms = lit.pop(call)
            if host.node is None and host.machine.door and host.machine.sensed == call.floor:
                continue  # It died between opening its door and telling anybody; its successor will serve it again.
            if call.button is Button.CAB and is_of_another(host, call):
                continue  # It was lit for a press of one with the same id, before that one was heard of.
            if self.served_at_ms.get(call, -1) < since_ms and not self.wiped[host.id]:
                self.fail(f"the lamp of {call} at car {host.id} went dark unserved")

    def light(self, host: Host, call: Call, dots: list[Dot]) -> int:
        """Judge a lamp that has come on; return the time of the oldest press behind it."""
        if not dots:
            self.fail(f"the lamp of {call} at car {host.id} is lit for nothing")
        if not any(self.is_guaranteed(host, dot) for dot in dots):
            self.fail(f"the lamp of {call} at car {host.id} is lit without its guarantee: {dots}")
        for dot in dots:
            self.promised.add(dot)
            if not any(dot in other.durable.live for other in self.hosts):
                self.excused.add(dot)
        return min(self.born[dot] for dot in dots)

    def is_guaranteed(self, host: Host, dot: Dot) -> bool:
        heard = [] if host.node is None else [peer.said.sender for peer in in_reach(host.node).values()]
        peers = [self.runs[run] for run in heard if run in self.runs]  # A ghost has no disk.
        # Some may hold an older press of the same button instead, which this one replaced a moment ago.
        call = self.call_of[dot]
        own = covers(host.durable.seen, dot) or has_older(host, dot, call) or (has_failing_disk(host) and bool(peers))
        return own and all(
            covers(self.saved[peer.id], dot) or has_older(peer, dot, call) or has_failing_disk(peer) for peer in peers
        )

    def check_machine(self, host: Host) -> None:
        """Judge what a car has just done."""
        if self.healthy and self.clock() > START_MS:
            self.check_claims()
        machine = host.machine
        if machine.out and host.stands_still:
            host.machine = machine = evolve(machine, counts=evolve(machine.counts, out_of_bounds=0))
        if machines.misbehaviour(machine.counts):
            self.fail(f"car {host.id} misbehaved: {machine.counts}")
        if machine.counts.bad_requests:
            self.fail(f"car {host.id} was asked for what there is not: {machine.last_bad}")
        if self.healthy and machine.door and not self.doors[host.id] and self.reason_ms[host.id] != self.clock():
            here = [ms for call, ms in self.served_at_ms.items() if call.floor == machine.sensed]
            if self.clock() - max(here, default=0) > NEWS_MS:
                self.fail(f"car {host.id} opened its door for nothing")
        if machine.door != self.doors[host.id]:
            self.check_door(host)
        self.doors[host.id] = machine.door

    def check_door(self, host: Host) -> None:
        """Judge a door that has just opened or shut."""
        run = None if host.node is None else host.node.me
        if host.machine.door:
            self.opened[host.id] = (self.clock(), run)
            return
        opened_ms, opener = self.opened[host.id]
        if run is None or run != opener:
            return  # A new run does not know of a door that opened just before the old one ended.
        if self.clock() - opened_ms < DOOR_OPEN_MS:
            self.fail(f"the door of car {host.id} was open for {self.clock() - opened_ms} ms only")
        since_ms = self.obstructed_at_ms.get(host.id)
        if since_ms is not None and self.clock() - since_ms > NEWS_MS:
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
        news = {call for call, at_ms in self.served_at_ms.items() if self.clock() - at_ms <= NEWS_MS}
        panels = [{call for call in calls_lit(host) if call.button is not Button.CAB} - news for host in hosts]
        if self.agree and any(panel != panels[0] for panel in panels):
            self.fail(f"the panels do not agree: {panels}")

    def check_end(self) -> None:
        """Judge a world in which nothing is left to do."""
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


def has_older(host: Host, dot: Dot, call: Call) -> bool:
    """Tell whether a disk holds another press of the same button by the same author."""
    return any(other.author == dot.author and held == call for other, held in host.durable.live.items())


def has_failing_disk(host: Host) -> bool:
    """Tell whether a node has nothing but its memory to promise with. Others then take its word all the same."""
    return host.has(Kind.DISK) or (host.node is not None and host.node.disk_failed)


def is_of_another(host: Host, call: Call) -> bool:
    """Tell whether a cab call is one of a node that is known to use this one's id."""
    rivals = {} if host.node is None else alive_rivals(host.node)
    live = {} if host.node is None else host.node.calls.live
    return any(c == call and dot.author.incarnation in rivals for dot, c in live.items())


def calls_lit(host: Host) -> list[Call]:
    """Name the calls whose lamps are lit on a panel."""
    lamps = host.machine.lamps
    car = {Button.UP: EVERY_CAR, Button.DOWN: EVERY_CAR, Button.CAB: host.node_id}
    return [Call(button, floor, car[button]) for button in Button for floor in machines.floors_of(mask(lamps, button))]
