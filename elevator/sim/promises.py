"""What passengers may rely on while a group, or a part of it, is in order; the second judge of a simulated run.

The oracle judges what must hold whatever fails. This one knows what is out of order at each moment, and holds the rest
to what is promised of it. It looks at buttons, lamps, doors and motors, and at what a node claims and knows; its times
and its notion of what is in order are its own, so a mistake in the core cannot move them.

At each sweep of a panel:
 1. A button found down that was up has been noted, whatever the node or its car is doing, and once only (L5).
 2. A car that comes to a floor stops there for its own cab call, and for a hall call going its way that it claims (C1).
At each door:
 3. It stays open a full period after the last hall call was served, after another direction was announced, and after an
    obstruction was seen to end (D2, C3). Up and down are not served within one period (C2).
 4. It opens for some call of that floor only (C1), shuts when its period is over (D1), and is not kept open for ever by
    somebody who keeps pressing while passengers wait to be carried (C6). One that is idle serves a press on the spot
    (C6), one that is out of service no hall call (C7).
At each departure:
 5. A car does not turn its back on a cab call that lies ahead, nor on passengers who boarded for the direction it
    announced (C1, C2), and does not leave a hall call behind that it could serve with its open door (C3, C6). One that
    does not know where it is looks below first, and above when it has found nothing for long (C4). None sets out before
    its program, if new or thawed, has listened.
Where programs run, disks write and datagrams arrive, in each part into which the group is cut:
 6. A noted press lights, and a served call darkens, on every panel it concerns, within LAMP_MS (L1, L3, L4).
 7. Every lit hall call is claimed by a car that can serve it, soon after the one before it has failed (G3, G4, A2), and
    not by two. A call that is the only one goes to a car that is nearest, if all are at rest (A1).
 8. Nodes that can hear each other do, and those that are gone are taken for gone (G3). Where datagrams are lost they
    mostly do (G2).
 9. A lamp comes on for a call that was not served, and goes dark for one that was, also on the panel of a node that has
    just started without its record or was frozen, as far as others have known it for long enough to tell it (G1, L4).
At any time:
10. A car that is in order does not take itself for unable. The floor indicator and the stop lamp show what is, and a
    car whose stop button is down stands (C7). A press lights in the end where it was made, in whatever network (L3).
    Nodes that cannot be in one group say so (A3).
"""

from collections import deque
from collections.abc import Callable, Sequence

from attrs import define

from elevator.calls import mask
from elevator.hardware.server import panel_buttons
from elevator.model import EVERY_CAR, Author, Button, Buttons, Call, Calls, Direction, Dot, Fault, Inputs, Motor
from elevator.node import Node
from elevator.sim import faults
from elevator.sim.faults import GHOSTS, KILLS, STRANGERS, Kind, Plan
from elevator.sim.machine import Machine
from elevator.sim.oracle import DOOR_MS, Host, Oracle, calls_lit, covers

HAMMERED_MS = 14_900
"""After so long an open door need not serve presses on the spot any more."""
KEPT_OPEN_MS = 45_000
"""Longer than that no door is open while its car has a cab call elsewhere."""
EARLIER_MS = 50
"""A call that old was known when something was decided."""
STEADY_MS = 1000
"""How long a car must have been in order before its conduct is judged."""
SETTLED_MS = 2500
"""How long after a change of the network or of programs all live nodes know what there is."""
LAMP_MS = 30
SHOWN_MS = 300
STOPPED_MS = 100
ABLE_MS = 5000
USUAL_TRAVEL_MS = 2000
"""A slower car is rightly taken for stuck until it is known."""
LISTEN_MS = 250
STALE_MS = 600
"""After so long a standstill a program knows that it has missed something."""
LOOK_MS = 100
DARK_MS, DARK_LOSSY_MS = 6000, 15_000
"""How long a press may stay dark at the most where it was made, also in the worst network."""
FLAPS = 4
"""Nodes may take each other for dead, wrongly, at one of so many looks at the most while datagrams are lost ..."""
FLAPS_LOOKS = 40
"""... of at least so many."""
FAST_MS = 50
"""Datagrams that take no longer hardly overtake each other."""
BACKLOG_FULL_MS = 3000
"""After so long what arrives for a frozen program may be lost."""
SEARCH_MS = 6000
"""How long a car may look for a floor below: it takes no longer, unless its motor stands."""
ORPHAN_MS = 700
"""How long a call may be without a car that can serve it, if nothing changes: 0.6 s, and a look."""
ORPHAN_AFTER_LOSS_MS = 2500
SHIRKED_MS = 4500
"""The same where a stranger ought to take it and does not: 2 s more."""
LOSS_FORGOTTEN_MS = 15_000
DISPUTE_MS = 150
DISPUTE_MAX_MS = 25_000
"""A call older than that may be taken by every car."""
NEVER = -(1 << 50)

ABSENT = frozenset((*KILLS, Kind.HANG, Kind.BLACKOUT, Kind.FREEZE))
UNSTEADY = ABSENT | {Kind.SERVER, Kind.STOP, Kind.MOTOR}
OF_A_CAR = frozenset((Kind.MOTOR, Kind.OBSTRUCT, Kind.STOP))


@define(eq=False)
class Seen:
    """What has been seen of one car."""

    machine: Machine
    steady_ms: int = 0
    """When something of its own was last out of order or put in order."""
    run_ms: int = 0
    """When its program last started, ended or went on."""
    run: Author | None = None
    """Its present program, or its last."""
    started_ms: int = NEVER
    """When that started."""
    listens_ms: int = NEVER
    """Since when its program must have listened before it acts."""
    searches_ms: int | None = None
    """Since when it has been looking for a floor below, as the first thing that its program did."""
    found_ms: int = NEVER
    """When its program was last told of a record that it could not read before."""
    sensed_ms: int = 0
    stop_ms: int = 0
    obstructed_ms: int = NEVER
    """When an obstruction last began or ended."""
    cleared_ms: int = NEVER
    """When its program last saw one end while the door was open."""
    stuck_ms: int | None = None
    """Since when its motor has been told to run without power."""
    opened_ms: int | None = None
    """When its door opened at the present stop."""
    opened_by: Author | None = None
    shut_ms: int = NEVER
    served: tuple[Button, int] | None = None
    """The last hall call served at the present stop, and when."""
    acted_ms: int = NEVER
    """When it last served anything, also what had been served before."""
    again_ms: int = NEVER
    """When it last served a hall call that had been served before, or only heard that it was: which way it has told
    passengers is not known then."""
    heading: Direction | None = None
    lit: frozenset[Call] = frozenset()
    pressed: frozenset[Call] = frozenset()
    """Buttons that its program has just found down."""
    pressed_ms: int = NEVER
    before: tuple[Node, Machine] | None = None
    """Its program and machine before the sweep under way."""


class Promises:
    """Follows one run. *hosts* are those of the world, *oracle* its other judge, *clock* its time in milliseconds."""

    def __init__(self, plan: Plan, hosts: Sequence[Host], oracle: Oracle, clock: Callable[[], int]) -> None:
        self.cars = plan.cars
        self.travel_ms = plan.travel_ms
        self.hosts = hosts
        self.oracle = oracle
        self.clock = clock
        self.seen: dict[Host, Seen] = {}
        self.active: list[faults.Fault] = []
        self.noise = self.shirkers = self.weathers = self.strangers = 0
        """How many faults last that keep nodes from hearing each other properly, or from writing; how many of these are
        strangers who take no calls, how many lose datagrams, and how many are nodes that should not be there."""
        self.cuts: list[faults.Fault] = []
        self.looks = self.flaps = 0
        """How often nodes were looked at while nothing changed but datagrams were lost, and some not heard."""
        self.changed_ms = 0
        """When the network or a program last changed."""
        self.links_changed_ms = 0
        self.cars_changed_ms = 0
        self.lossy_ms = NEVER
        self.stranger_ms = NEVER
        """When a node that should not be there last came or went."""
        self.due: deque[tuple[int, int, Call, Dot | None]] = deque()
        """When something happened to a call, at which car, and the press that was made; None: it was served."""
        self.look_ms = 0
        self.wanted_ms: dict[Call, int] = {}
        """When each call was made first since it was last served."""
        self.nearest: dict[Dot, frozenset[int]] = {}
        """Which cars stood nearest when a call was made while nobody else wanted anything."""
        self.orphan_ms: dict[tuple[tuple[int, ...], Call], int] = {}
        self.disputed_ms: dict[Call, int] = {}

    # What happens

    def note_trouble(self, trouble: faults.Fault, begins: bool) -> None:
        """Take notice of a fault that begins or ends."""
        if trouble.kind in (Kind.GLITCH, Kind.ATTACK):  # They must change nothing.
            return
        now_ms = self.clock()
        if begins:
            self.active.append(trouble)
        elif trouble.kind not in GHOSTS:  # They never leave.
            self.active.remove(trouble)
        if trouble.kind in OF_A_CAR:
            self.cars_changed_ms = now_ms
        else:
            self.changed_ms = now_ms
            if trouble.kind not in ABSENT:
                self.links_changed_ms = now_ms
        overflows = trouble.kind is Kind.FREEZE and trouble.until_ms - trouble.at_ms > BACKLOG_FULL_MS
        if trouble.kind in (Kind.WEATHER, Kind.DEAF) or overflows:
            self.lossy_ms = now_ms
        if trouble.kind in STRANGERS:
            self.stranger_ms = now_ms
        self.noise = sum(self.is_noise(each) for each in self.active)
        self.shirkers = sum(each.kind is Kind.SHIRKER for each in self.active)
        self.strangers = sum(each.kind in STRANGERS for each in self.active)
        self.cuts = [each for each in self.active if each.kind is Kind.CUT]
        self.weathers = sum(each.kind is Kind.WEATHER for each in self.active)
        self.orphan_ms.clear()
        self.disputed_ms.clear()
        if trouble.kind in UNSTEADY:
            for host in self.hosts:
                if host.id == trouble.who or trouble.kind is Kind.BLACKOUT:
                    self.of(host).steady_ms = now_ms

    @staticmethod
    def is_noise(trouble: faults.Fault) -> bool:
        """Tell whether nothing can be judged during *trouble* that depends on what nodes hear of each other."""
        return trouble.kind not in (*ABSENT, *OF_A_CAR, Kind.SERVER, Kind.CUT)

    def note_run(self, host: Host, listens: bool = False) -> None:
        """Take notice of a program that starts, ends or goes on; one that has missed something *listens* first."""
        seen = self.of(host)
        if listens:
            seen.listens_ms = self.clock()
        if host.node is not None and host.node.me != seen.run:
            seen.run, seen.started_ms = host.node.me, self.clock()
        self.changed_ms = seen.steady_ms = seen.run_ms = self.clock()
        seen.heading = seen.searches_ms = None
        self.orphan_ms.clear()
        self.disputed_ms.clear()

    def note_swept(self, host: Host, inputs: Inputs | None) -> None:
        """Take notice of what the program of *host* is going to be told by its panel."""
        seen, old, now_ms = self.of(host), host.inputs, self.clock()
        assert host.node is not None
        seen.before = (host.node, host.machine)
        seen.pressed, seen.pressed_ms = frozenset(), now_ms
        if inputs is None:
            return
        down, was = inputs.pressed, Buttons() if old is None else old.pressed
        if down != was:
            seen.pressed = frozenset(
                Call(button, floor, host.id if button is Button.CAB else EVERY_CAR)
                for button, floor in panel_buttons(host.machine.shaft.floors)
                if (mask(down, button) & ~mask(was, button)) >> floor & 1
            )
        if old is not None and old.obstructed and not inputs.obstructed and host.machine.door:
            seen.cleared_ms = now_ms

    def note_found(self, host: Host) -> None:
        """Take notice that the program of *host* is going to be told of a record that it could not read before."""
        self.of(host).found_ms = self.clock()

    def of(self, host: Host) -> Seen:
        seen = self.seen.get(host)
        if seen is None:
            seen = self.seen[host] = Seen(host.machine)
        return seen

    def is_stranger(self, host: Host) -> bool:
        """Tell whether *host* should not be there: nothing is promised of it."""
        return host.id >= self.cars

    # What is judged

    def judge(self, host: Host) -> None:
        """Judge what has just happened at *host*, and what is due."""
        if self.is_stranger(host):
            self.oracle.happened.clear()
            return
        seen = self.of(host)
        if self.oracle.happened:
            self.take_happened()
        if seen.pressed and seen.pressed_ms == self.clock() and host.node is not None and host.machine.door:
            self.take_spot(host, seen, host.node)
        if host.machine is not seen.machine:
            self.judge_machine(host, seen)
        now_ms = self.clock()
        while self.due and self.due[0][0] + LAMP_MS <= now_ms:
            self.judge_lamp(*self.due.popleft())
        if now_ms >= self.look_ms:
            # Where a stranger takes no calls, one that was taken but for a moment is left alone anew from then on.
            self.look_ms = now_ms + (0 if self.shirkers else LOOK_MS)
            self.look()

    def take_happened(self) -> None:
        now_ms = self.clock()
        for host, call, dot, first in self.oracle.happened:
            seen = self.of(host)
            if dot is not None:
                if seen.pressed_ms != now_ms or call not in seen.pressed:
                    self.oracle.fail(f"node {host.id} noted {call} without a new press")
                self.due.append((now_ms, host.id, call, dot))
                self.wanted_ms.setdefault(call, now_ms)
                if len(self.oracle.open) == 1 and call.button is not Button.CAB:
                    self.note_nearest(call, dot)
                continue
            if first:
                self.forget(call)
                self.due.append((now_ms, host.id, call, None))
                self.note_served(host, seen, call)
            elif call.button is not Button.CAB:
                seen.again_ms = now_ms
            seen.acted_ms = now_ms
        self.oracle.happened.clear()

    def forget(self, call: Call) -> None:
        """Begin anew with *call*, which has just been served."""
        self.wanted_ms.pop(call, None)
        self.disputed_ms.pop(call, None)
        self.orphan_ms = {key: ms for key, ms in self.orphan_ms.items() if key[1] != call}

    def note_nearest(self, call: Call, dot: Dot) -> None:
        """Note who is to serve the only call there is, if all cars are in order and at rest."""
        machines = [host.machine for host in self.hosts]
        at_rest = all(not machine.door and not machine.shaft.motor for machine in machines)
        steady = all(self.is_steady(host, self.of(host)) for host in self.hosts)
        if not at_rest or not steady or self.active or not self.is_settled(self.clock()):
            return
        ways = {
            host.id: abs(host.machine.sensed - call.floor) for host in self.hosts if host.machine.sensed is not None
        }
        self.nearest[dot] = frozenset(id for id, way in ways.items() if way == min(ways.values()))

    def take_spot(self, host: Host, seen: Seen, node: Node) -> None:
        """Take notice of presses that were served in the turn in which they were made: no node ever told of them."""
        # Who else uses its id may have pressed the same.
        for call in seen.pressed - {call for dot, call in node.calls.live.items() if dot.author == node.me}:
            if call.floor == host.machine.sensed:
                self.note_served(host, seen, call)
                seen.acted_ms = self.clock()

    def note_served(self, host: Host, seen: Seen, call: Call) -> None:
        if call.button is Button.CAB:
            return
        now_ms = self.clock()
        stopped = host.machine.stop and seen.machine.stop and now_ms - seen.stop_ms >= EARLIER_MS
        if stopped or (seen.machine.door and self.is_blocked(host, seen)):
            self.oracle.fail(f"car {host.id} serves {call} and is out of service")
        if seen.served and seen.machine.door and self.opened_itself(host, seen):
            button, ms = seen.served
            if button is not call.button and now_ms - ms < DOOR_MS:
                self.oracle.fail(f"car {host.id} served up and down within {now_ms - ms} ms")
        seen.served = (call.button, now_ms)

    def opened_itself(self, host: Host, seen: Seen) -> bool:
        return host.node is not None and host.node.me == seen.opened_by

    def judge_machine(self, host: Host, seen: Seen) -> None:
        now_ms, old, new = self.clock(), seen.machine, host.machine
        seen.machine = new
        if new.sensed != old.sensed:
            seen.sensed_ms = now_ms
        if new.stop != old.stop:
            seen.stop_ms = now_ms
        if new.obstructed != old.obstructed:
            seen.obstructed_ms = now_ms
        running = new.shaft.motor is not Motor.STOP
        if not running or new.sensed is not None:
            seen.searches_ms = None
        if not running or new.shaft.powered:
            seen.stuck_ms = None
        elif seen.stuck_ms is None:
            seen.stuck_ms = now_ms
        if new.lamps != old.lamps:
            lit = frozenset(calls_lit(host))
            self.judge_lit(host, sorted(lit - seen.lit), sorted(seen.lit - lit))
            seen.lit = lit
        if new.door and not old.door:
            self.judge_opening(host, seen)
        elif old.door and not new.door:
            self.judge_shutting(host, seen)
        if running and new.shaft.motor is not old.shaft.motor:
            self.judge_departure(host, seen, Direction(new.shaft.motor))

    def judge_opening(self, host: Host, seen: Seen) -> None:
        now_ms = self.clock()
        seen.opened_ms = now_ms
        seen.opened_by = None if host.node is None else host.node.me
        if seen.served and seen.served[1] != now_ms:
            seen.served = None
        if host.node is not None and seen.acted_ms != now_ms and now_ms - seen.run_ms >= STEADY_MS:
            self.oracle.fail(f"car {host.id} opened its door and served nothing")

    def judge_shutting(self, host: Host, seen: Seen) -> None:
        now_ms = seen.shut_ms = self.clock()
        if not self.opened_itself(host, seen):
            return
        if seen.served and now_ms - seen.served[1] < DOOR_MS:
            self.oracle.fail(f"the door of car {host.id} shut {now_ms - seen.served[1]} ms after it served a hall call")
        if now_ms - seen.cleared_ms < DOOR_MS:
            self.oracle.fail(f"the door of car {host.id} shut {now_ms - seen.cleared_ms} ms after an obstruction")

    def judge_departure(self, host: Host, seen: Seen, direction: Direction) -> None:
        heading, opened_ms, served = seen.heading, seen.opened_ms, seen.served
        by_itself = self.opened_itself(host, seen)
        if opened_ms is not None and seen.shut_ms != self.clock():  # It has rested since, and is free to go anywhere.
            heading, opened_ms, served = None, None, None
        seen.heading, seen.opened_ms, seen.served = direction, None, None
        floor, now_ms, node = host.machine.sensed, self.clock(), host.node
        if now_ms - seen.listens_ms < LISTEN_MS:
            self.oracle.fail(f"car {host.id} sets out before its program has listened")
        is_first = heading is None and seen.steady_ms == seen.listens_ms > seen.stop_ms
        seen.searches_ms = None
        if is_first and floor is None and node is not None and node.drive.floor is None:
            seen.searches_ms = now_ms if seen.steady_ms == seen.started_ms else None
            if direction is Direction.UP:
                self.oracle.fail(f"car {host.id} looks for a floor above first")
        if floor is None or node is None or not self.is_steady(host, seen):
            return
        decided_ms = now_ms if opened_ms is None else opened_ms  # An opening car may announce another direction,
        if opened_ms is not None and by_itself and served is not None:  # and is then bound to it.
            heading, decided_ms = (Direction.UP if served[0] is Button.UP else Direction.DOWN), now_ms
        could_serve = opened_ms is not None and by_itself and now_ms - opened_ms < HAMMERED_MS
        left = Call(Button.UP if direction is Direction.UP else Button.DOWN, floor, EVERY_CAR)
        rivals = self.oracle.has_rivals(node)  # Whose cab calls are not this car's.
        for dot, call in node.calls.live.items():
            born_ms = self.oracle.born[dot]
            behind = heading is not None and direction is not heading and (call.floor - floor) * heading > 0
            behind = behind and (opened_ms is None or seen.again_ms < opened_ms)
            mine = call.car == host.id and not (rivals and dot.author not in self.oracle.own_runs[host.id])
            if mine and behind and max(born_ms, seen.found_ms) <= decided_ms - EARLIER_MS:
                self.oracle.fail(f"car {host.id} turned away from {call}")
            known = born_ms <= now_ms - EARLIER_MS and (dot.author == node.me or self.is_settled(born_ms))
            if call == left and could_serve and known:
                self.oracle.fail(f"car {host.id} left {call} behind with its door just shut")

    def judge_swept(self, host: Host) -> None:
        """Judge the turn that a program has just taken after a sweep."""
        if self.is_stranger(host):
            return
        seen, node = self.of(host), host.node
        assert seen.before is not None
        (before, machine), seen.before = seen.before, None
        if node is None:
            return
        now_ms = self.clock()
        fresh = {
            call for dot, call in node.calls.live.items() if dot.author == node.me and self.oracle.born[dot] == now_ms
        }
        counted = node.calls.seen.get(node.me, 0) > before.calls.seen.get(node.me, 0)
        for call in sorted(seen.pressed - fresh):
            if not (counted and host.machine.door and host.machine.sensed == call.floor):
                self.oracle.fail(f"node {host.id} missed a press of {call}")
        self.judge_spot(host, seen, before, machine)
        floor, motor = machine.sensed, machine.shaft.motor
        told = None if host.inputs is None else host.inputs.floor
        comes = before.inputs is not None and before.inputs.floor is None and told is not None and told == floor
        if not comes or floor is None or not motor or host.machine.door:
            return
        if self.is_steady(host, seen) and before.drive.fault is Fault.NONE:
            if (node.share.up if motor is Motor.UP else node.share.down) >> floor & 1:
                self.oracle.fail(f"car {host.id} passes a hall call at floor {floor} that it claims")
            # It leaves them to another with its id; it may take a late datagram of its last run for one.
            is_its_own = Call(Button.CAB, floor, host.id) in node.calls.live.values()
            if is_its_own and not self.oracle.has_rivals(node):
                self.oracle.fail(f"car {host.id} passes its cab call to floor {floor}")

    def judge_spot(self, host: Host, seen: Seen, before: Node, machine: Machine) -> None:
        """Judge whether a car that stands with its door open, and has nothing else to do, serves who presses there."""
        idle = before.hall.cab | before.share.up | before.share.down == 0 and seen.served is None
        idle = idle and seen.again_ms < (seen.opened_ms or 0)
        fresh = seen.opened_ms is not None and self.clock() - seen.opened_ms < HAMMERED_MS
        if not machine.door or not idle or not fresh or machine.obstructed or not self.is_steady(host, seen):
            return
        here = [
            call
            for call in seen.pressed
            if call.floor == machine.sensed
            and call.button is not Button.CAB
            and not any(self.is_before(other, host, call) for other in self.hosts)
        ]
        left = set() if host.node is None else set(host.node.calls.live.values())
        if here and left.issuperset(here) and self.opened_itself(host, seen) and seen.served is None:
            self.oracle.fail(f"car {host.id} stands open and idle, and serves none of {here}")

    def is_before(self, other: Host, host: Host, call: Call) -> bool:
        """Tell whether a call where *host* stands is *other*'s: that is on its way, or stands there and comes first."""
        if other.node is None or other is host:
            return False
        stands = other.machine.door and other.machine.sensed == call.floor and other.id < host.id
        return stands or self.claims(other.node, call)

    def judge_lamp(self, at_ms: int, car: int, call: Call, dot: Dot | None) -> None:
        """Judge what has become of a press, or of a service, LAMP_MS later."""
        pressed = dot is not None
        nearest = self.nearest.pop(dot, None) if dot is not None else None
        if not self.is_settled(at_ms) or not self.is_present(self.hosts[car]):
            return
        if (dot not in self.oracle.open) if pressed else (call in self.oracle.open.values()):
            return
        if nearest is not None and len(self.oracle.open) == 1:
            takers = {host.id for host in self.hosts if host.node is not None and self.claims(host.node, call)}
            if not nearest & takers:
                self.oracle.fail(f"{call} is left to {sorted(takers)}, and {sorted(nearest)} are nearer")
        for host in self.hosts:
            concerned = self.shows(host) and self.part(host) == self.part(self.hosts[car])
            if call.button is Button.CAB:
                concerned = concerned and host.id == call.car
            if pressed and host.is_failing:  # What it was writing while its disk was slow is on its way still.
                continue
            if concerned and (call in self.of(host).lit) != pressed:
                state = "dark" if pressed else "lit"
                self.oracle.fail(f"{call} is still {state} at car {host.id}, {self.clock() - at_ms} ms later")

    def judge_lit(self, host: Host, lit: Sequence[Call], dark: Sequence[Call]) -> None:
        """Judge lamps that have come on or gone dark where others know better, and are there to tell."""
        others = self.neighbours(host)
        if host.node is None or not others:
            return
        now_ms, long_ago_ms = self.clock(), self.clock() - EARLIER_MS
        for call in dark:
            dots = [dot for other in others for dot, c in other.durable.live.items() if c == call]
            if any(dot in self.oracle.open and self.oracle.born[dot] < long_ago_ms for dot in dots):
                self.oracle.fail(f"{call} goes dark at car {host.id}, and others know that it was not served")
        for call in lit:
            dots = [dot for dot, c in host.node.calls.live.items() if c == call]
            told = all(any(is_served(other.durable, dot) for other in others) for dot in dots)
            if told and self.oracle.served_at_ms.get(call, 0) < long_ago_ms:
                self.oracle.fail(f"{call} is lit again at car {host.id}, and others know that it was served")
            for other in others if self.is_settled(now_ms) else ():
                if other.is_failing:  # It has been told so, and what it asked for may take longer than what ailed it.
                    continue
                if call not in other.durable.live.values() and not any(covers(other.durable.seen, dot) for dot in dots):
                    self.oracle.fail(f"{call} is lit at car {host.id} and not on the disk of node {other.id}")

    def neighbours(self, host: Host, in_noise: bool = False) -> list[Host]:
        """Return the other nodes of this one's part that have been in touch for long, if need be *in_noise*."""
        now_ms = self.clock()
        if (self.noise and not in_noise) or now_ms - self.links_changed_ms < SETTLED_MS:
            return []
        part = self.part(host)
        others = (other for other in self.hosts if other is not host and self.is_present(other))
        return [other for other in others if self.part(other) == part and now_ms - self.of(other).run_ms >= SETTLED_MS]

    def look(self) -> None:
        """Judge what takes no event to go wrong."""
        for host in self.hosts[: self.cars]:
            seen = self.of(host)
            if host.machine is not seen.machine:
                self.judge_machine(host, seen)
            if self.shows(host):
                self.judge_panel(host, seen)
        self.judge_dark()
        if len(self.hosts) > self.cars and self.noise == 1:
            self.judge_stranger(self.hosts[-1])
        if self.weathers and self.weathers == self.noise:
            self.judge_flapping()
        if self.noise > self.shirkers or self.clock() - self.stranger_ms < SETTLED_MS:
            return
        settled = self.is_settled(self.clock()) and self.clock() - self.lossy_ms > LOSS_FORGOTTEN_MS
        parts: dict[tuple[int, ...], list[Host]] = {}
        for host in self.hosts[: self.cars]:
            if self.is_present(host):
                parts.setdefault(self.part(host), []).append(host)
        for part, hosts in parts.items():
            self.judge_claims(part, hosts)
            if settled and not self.shirkers:
                self.judge_hearing(hosts)

    def judge_panel(self, host: Host, seen: Seen) -> None:
        machine, now_ms = host.machine, self.clock()
        if now_ms - max(seen.steady_ms, seen.stop_ms) >= STOPPED_MS:
            if machine.stop_lamp != machine.stop:
                self.oracle.fail(f"the stop lamp of car {host.id} is {'lit' if machine.stop_lamp else 'dark'}")
            if machine.stop and machine.shaft.motor:
                self.oracle.fail(f"car {host.id} runs while its stop button is down")
        if seen.searches_ms is not None and now_ms - seen.searches_ms > SEARCH_MS:
            self.oracle.fail(f"car {host.id} looks for a floor below for ever")
        if not self.is_steady(host, seen):
            return
        shown = machine.indicator == machine.sensed or machine.sensed is None
        if not shown and now_ms - seen.sensed_ms >= SHOWN_MS:
            self.oracle.fail(f"the indicator of car {host.id} shows {machine.indicator} at floor {machine.sensed}")
        assert host.node is not None
        fault, usual = host.node.drive.fault, self.travel_ms <= USUAL_TRAVEL_MS and not machine.obstructed
        for_long = now_ms - max(seen.steady_ms, seen.obstructed_ms) >= ABLE_MS
        if fault not in (Fault.NONE, Fault.POSITION) and usual and for_long:
            self.oracle.fail(f"car {host.id} is in order and takes itself for unable: {fault}")
        if not machine.door or seen.opened_ms is None or machine.obstructed:
            return
        since_ms = max(seen.opened_ms, seen.acted_ms, seen.obstructed_ms, seen.steady_ms)
        if now_ms - since_ms > DOOR_MS + SHOWN_MS:
            self.oracle.fail(f"the door of car {host.id} stays open for nothing")
        long_ago_ms = now_ms - KEPT_OPEN_MS
        if max(seen.opened_ms, seen.obstructed_ms, seen.steady_ms) < long_ago_ms:
            for dot, call in self.oracle.open.items():
                if call.car == host.id and call.floor != machine.sensed and self.oracle.born[dot] < long_ago_ms:
                    self.oracle.fail(f"car {host.id} is kept from {call} by an open door")

    def judge_dark(self) -> None:
        """Judge whether presses have lit in the end where they were made, whatever the network is like (L3)."""
        lossy = self.weathers or self.clock() - self.lossy_ms < LOSS_FORGOTTEN_MS
        long_ago_ms = self.clock() - (DARK_LOSSY_MS if lossy else DARK_MS)
        for dot, call in self.oracle.open.items():
            if self.oracle.born[dot] > long_ago_ms:
                return
            host = self.oracle.runs[dot.author]
            if host.node is None or host.node.me != dot.author or self.is_stranger(host) or not self.shows(host):
                continue
            if self.of(host).steady_ms > long_ago_ms:
                continue
            if not mask(host.machine.lamps, call.button) >> call.floor & 1 and not self.is_excused(host):
                self.oracle.fail(f"{call} is still dark at car {host.id} where it was made")

    def is_excused(self, host: Host) -> bool:
        """Tell whether a press at *host* may stay dark: its disk takes nothing, and nobody is there to hold it."""
        if not host.is_failing and not host.has(Kind.DISK):
            return False
        ghosts = any(trouble.kind in (*GHOSTS, *STRANGERS, Kind.DEAF) for trouble in self.active)
        return ghosts or not self.neighbours(host, in_noise=True)

    def judge_stranger(self, stranger: Host) -> None:
        """Judge whether nodes that cannot be in one group have said so (A3)."""
        now_ms = self.clock()
        if stranger.floors == self.hosts[0].floors:
            those = [host for host in self.hosts if host.node_id == stranger.node_id]
        else:
            those = list(self.hosts)
        those = [host for host in those if self.is_present(host) and self.part(host) == self.part(stranger)]
        if len(those) < 2 or now_ms - self.changed_ms < SETTLED_MS:
            return
        for host in those:
            if host.node is not None and not host.node.oddities:
                self.oracle.fail(f"node {host.id} has not said that node {stranger.node_id} should not be there")
            if stranger.floors == self.hosts[0].floors and not self.oracle.has_rivals(host.node):
                self.oracle.fail(f"node {host.id} has forgotten that another uses its id")

    def judge_flapping(self) -> None:
        """Judge whether nodes that hear each other badly, but for long, mostly know that they are there (G2)."""
        if self.clock() - self.changed_ms < 2 * SETTLED_MS or any(each.delay_ms > FAST_MS for each in self.active):
            self.looks = self.flaps = 0
            return
        present = [host for host in self.hosts[: self.cars] if self.is_present(host)]
        heard = [(host, 0 if host.node is None or host.node.said is None else host.node.said.hears) for host in present]
        self.looks += 1
        self.flaps += any(
            not hears >> other.id & 1
            for host, hears in heard
            for other in present
            if other is not host and self.part(other) == self.part(host)
        )
        if self.looks >= FLAPS_LOOKS and self.flaps * FLAPS > self.looks:
            self.oracle.fail(f"nodes do not hear each other at {self.flaps} of {self.looks} looks")

    def judge_claims(self, part: tuple[int, ...], hosts: Sequence[Host]) -> None:
        """Judge whether in one part of the group each lit hall call is taken, and by one car only."""
        now_ms = self.clock()
        serving = [host for host in hosts if self.can_serve(host)]
        nodes = [host.node for host in serving if host.node is not None]
        certain = not all(self.may_seem_lost(host) for host in serving)
        lit = {call for host in hosts if self.shows(host) for call in self.of(host).lit}
        lit &= set(self.oracle.open.values())  # What has been served may be news that a slow disk keeps back.
        allowed_ms = ORPHAN_MS if now_ms - self.lossy_ms > LOSS_FORGOTTEN_MS else ORPHAN_AFTER_LOSS_MS
        allowed_ms = SHIRKED_MS if self.shirkers else allowed_ms
        self.orphan_ms = {key: ms for key, ms in self.orphan_ms.items() if key[0] != part or key[1] in lit}
        for call in lit:
            if call.button is Button.CAB:
                continue
            if not certain or any(self.claims(node, call) for node in nodes):
                self.orphan_ms.pop((part, call), None)
            elif now_ms - self.orphan_ms.setdefault((part, call), now_ms) > allowed_ms:
                self.oracle.fail(f"no car that could serves {call}")
        if not self.shirkers:  # What nobody takes in time, every car takes.
            self.judge_disputes(serving)

    def judge_hearing(self, hosts: Sequence[Host]) -> None:
        """Judge whether the nodes of one part say that they hear each other, and nobody else."""
        everybody = sum(1 << host.id for host in hosts)
        for host in hosts:
            assert host.node is not None
            hears = 0 if host.node.said is None else host.node.said.hears
            if hears | 1 << host.id != everybody:
                self.oracle.fail(f"node {host.id} hears {hears:b} of {everybody:b}")

    @staticmethod
    def claims(node: Node, call: Call) -> bool:
        return bool((node.share.up if call.button is Button.UP else node.share.down) >> call.floor & 1)

    def judge_disputes(self, hosts: Sequence[Host]) -> None:
        now_ms = self.clock()
        since_ms = max(self.changed_ms, self.cars_changed_ms)
        able = [host.node for host in hosts if host.node is not None and host.node.drive.fault is Fault.NONE]
        for call, wanted_ms in self.wanted_ms.items():
            if call.button is Button.CAB or wanted_ms < since_ms or now_ms - wanted_ms > DISPUTE_MAX_MS:
                continue
            if sum(self.claims(node, call) for node in able) < 2:
                self.disputed_ms.pop(call, None)
            elif now_ms - self.disputed_ms.setdefault(call, now_ms) > DISPUTE_MS:
                self.oracle.fail(f"two cars keep claiming {call}")

    # What is in order

    def is_steady(self, host: Host, seen: Seen) -> bool:
        """Tell whether *host* and its car have been in order for a while."""
        if host.node is None or self.clock() - max(seen.steady_ms, self.stranger_ms) < STEADY_MS:
            return False
        return not self.strangers and not host.has_any(UNSTEADY)

    def knows_its_place(self, host: Host) -> bool:
        """Tell whether the program of *host* has been told truly where its car is, and can tell what is impossible."""
        seen, now_ms = self.of(host), self.clock()
        if not self.is_steady(host, seen) or host.machine is not seen.machine:
            return False
        if host.machine.sensed is None:
            return seen.sensed_ms - seen.steady_ms > EARLIER_MS
        return now_ms - seen.sensed_ms > EARLIER_MS

    def is_settled(self, at_ms: int) -> bool:
        """Tell whether nothing that matters to what nodes hear had changed for a while at *at_ms*, nor has since."""
        return not self.noise and at_ms - self.changed_ms >= SETTLED_MS

    @staticmethod
    def is_present(host: Host) -> bool:
        return host.node is not None and not host.has_any(ABSENT)

    def shows(self, host: Host) -> bool:
        """Tell whether the panel of *host* can show what its program wants."""
        return self.is_present(host) and not host.has(Kind.SERVER)

    def part(self, host: Host) -> tuple[int, ...]:
        """Name the part of the group to which a node can speak."""
        return tuple([cut.who >> host.id & 1 for cut in self.cuts])

    def can_serve(self, host: Host) -> bool:
        """Tell whether the car of *host* could serve a call, or cannot know yet that it could not."""
        seen, machine, now_ms = self.of(host), host.machine, self.clock()
        if host.has(Kind.SERVER) or machine.stop:
            return False
        if seen.stuck_ms is not None and now_ms - seen.stuck_ms > max(self.travel_ms, 2000) * 21 // 20 + 1200:
            return False
        return not self.is_blocked(host, seen)

    def may_seem_lost(self, host: Host) -> bool:
        """Tell whether a car has been between floors since it was in trouble, or for so long that it seems to stand."""
        seen = self.of(host)
        if host.machine.sensed is not None:
            return False
        slow = self.travel_ms > USUAL_TRAVEL_MS and self.clock() - seen.sensed_ms > USUAL_TRAVEL_MS
        return slow or seen.sensed_ms <= seen.steady_ms

    def is_blocked(self, host: Host, seen: Seen) -> bool:
        """Tell whether the door of *host* has been held open for longer than its period, and a second."""
        held_ms = max(seen.opened_ms or 0, seen.acted_ms, seen.obstructed_ms, seen.steady_ms)
        return host.machine.door and host.machine.obstructed and self.clock() - held_ms > DOOR_MS + 1000


def is_served(calls: Calls, dot: Dot) -> bool:
    """Tell whether *calls* know that a press has been served, or replaced."""
    return covers(calls.seen, dot) and dot not in calls.live
