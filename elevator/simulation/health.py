"""What is in order at each moment of a simulated run, and since when.

The judges car_conduct.py and group_service.py judge only what is in order. They do not ask the core for that, so a
mistake in the core cannot hide itself.
"""

from collections.abc import Callable, Sequence

from attrs import define

from elevator.building.elevator import Machine
from elevator.core.model import NEVER_MS, Author, Button, Buttons, Call, Direction, Motor, OpenDoor
from elevator.core.node import Node
from elevator.simulation import faults
from elevator.simulation.faults import GHOSTS, KILLS, STRANGERS, FaultKind, Plan
from elevator.simulation.safety import DOOR_MS, Host

EARLIER_MS = 50
"""A call that old was known when something was decided."""
STEADY_MS = 1000
"""How long a car must have been in order before its conduct is judged."""
SETTLED_MS = 2500
"""How long after a change of the network or of programs all live nodes know what there is."""
USUAL_TRAVEL_MS = 2000
"""A slower car is rightly taken for stuck until it is known."""
STALE_MS = 600
"""After so long a standstill a program knows that it has missed something."""
RETOLD_MS = 1200
"""How long it takes at the most until a motor that has forgotten what it was told is told again."""
BACKLOG_FULL_MS = 3000
"""After so long what arrives for a frozen program may be lost."""

ABSENT = frozenset((*KILLS, FaultKind.HANG, FaultKind.BLACKOUT, FaultKind.FREEZE))
UNSTEADY = ABSENT | {FaultKind.SERVER, FaultKind.LAG, FaultKind.STOP, FaultKind.MOTOR, FaultKind.SENSOR}
OF_A_CAR = frozenset((FaultKind.MOTOR, FaultKind.SENSOR, FaultKind.OBSTRUCT, FaultKind.STOP))


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
    started_ms: int = -NEVER_MS
    """When that started."""
    listens_ms: int = -NEVER_MS
    """Since when its program must have listened before it acts."""
    searches_ms: int | None = None
    """Since when it has been looking for a floor below, as the first thing that its program did."""
    found_ms: int = -NEVER_MS
    """When its program was last told of a record that it could not read before."""
    sensed_ms: int = 0
    stop_ms: int = 0
    obstructed_ms: int = -NEVER_MS
    """When an obstruction last began or ended."""
    cleared_ms: int = -NEVER_MS
    """When its program last saw one end while the door was open."""
    was_slow: bool = False
    """Whether its server ever was: its program may have learned from that how long its floors take."""
    stuck_ms: int | None = None
    """Since when its motor has been told to run without power."""
    opened_ms: int | None = None
    """When its door opened at the present stop."""
    opened_by: Author | None = None
    kept_door: OpenDoor | None = None
    """The door that its program has from its record, until it has opened one."""
    shut_ms: int = -NEVER_MS
    served: tuple[Button, int] | None = None
    """The last hall call served at the present stop, and when."""
    acted_ms: int = -NEVER_MS
    """When it last served anything, also what had been served before."""
    again_ms: int = -NEVER_MS
    """When it last served a hall call that had been served before, or only heard that it was: which way it has told
    passengers is not known then."""
    heading: Direction | None = None
    lamps: Buttons | None = None
    """The lamps of its panel when that was last looked at."""
    lit: frozenset[Call] = frozenset()
    """The calls for which they are lit."""
    promised: frozenset[Call] = frozenset()
    """What its program had promised when it was last looked at."""
    pressed: frozenset[Call] = frozenset()
    """Buttons that its program has just found down."""
    pressed_ms: int = -NEVER_MS
    stood_ms: int = 0
    """For how long its program has stood still in the turn that it is taking."""
    before: tuple[Node, Machine] | None = None
    """Its program and machine before the sweep under way."""


class Health:
    """Follows one run. *hosts* are those of the world, *clock* its time in milliseconds."""

    def __init__(self, plan: Plan, hosts: Sequence[Host], clock: Callable[[], int]) -> None:
        self.cars = plan.cars
        self.travel_ms = plan.travel_ms
        self.late_ms = plan.late_ms
        self.hosts = hosts
        self.clock = clock
        self.seen: dict[Host, Seen] = {}
        self.active: list[faults.InjectedFault] = []
        self.noise = self.shirkers = self.weathers = self.strangers = 0
        """How many faults last that keep nodes from hearing each other properly, or from writing; how many of these are
        strangers who take no calls, how many lose datagrams, and how many are nodes that should not be there."""
        self.cuts: list[faults.InjectedFault] = []
        self.upset_ms = 0
        """When a fault last began or ended, or a program started, ended or went on."""
        self.changed_ms = 0
        """When the network or a program last changed."""
        self.links_changed_ms = 0
        self.cars_changed_ms = 0
        self.lossy_ms = -NEVER_MS
        self.stranger_ms = -NEVER_MS
        """When a node that should not be there last came or went."""

    def note_trouble(self, trouble: faults.InjectedFault, begins: bool) -> None:
        """Take notice of a fault that begins or ends."""
        if trouble.kind in (FaultKind.GLITCH, FaultKind.ATTACK):  # They must change nothing.
            return
        now_ms = self.upset_ms = self.clock()
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
        overflows = trouble.kind is FaultKind.FREEZE and trouble.until_ms - trouble.at_ms > BACKLOG_FULL_MS
        if trouble.kind in (FaultKind.WEATHER, FaultKind.DEAF) or overflows:
            self.lossy_ms = now_ms
        if trouble.kind in STRANGERS:
            self.stranger_ms = now_ms
        self.noise = sum(self.is_noise(each) for each in self.active)
        self.shirkers = sum(each.kind is FaultKind.SHIRKER for each in self.active)
        self.strangers = sum(each.kind in STRANGERS for each in self.active)
        self.cuts = [each for each in self.active if each.kind is FaultKind.CUT]
        self.weathers = sum(each.kind is FaultKind.WEATHER for each in self.active)
        if trouble.kind is FaultKind.LAG:
            self.of(self.hosts[trouble.who]).was_slow = True
        if trouble.kind in UNSTEADY:
            for host in self.hosts:
                if host.id == trouble.who or trouble.kind is FaultKind.BLACKOUT:
                    self.of(host).steady_ms = now_ms

    @staticmethod
    def is_noise(trouble: faults.InjectedFault) -> bool:
        """Tell whether nothing can be judged during *trouble* that depends on what nodes hear of each other."""
        return trouble.kind not in (*ABSENT, *OF_A_CAR, FaultKind.SERVER, FaultKind.LAG, FaultKind.CUT)

    def note_run(self, host: Host, listens: bool = False, door: OpenDoor | None = None) -> None:
        """Take notice of a program that starts, ends or goes on; one that has missed something *listens* first.

        One that starts knows from its record of an open *door*.
        """
        seen = self.of(host)
        seen.kept_door = door
        if listens:
            seen.listens_ms = self.clock()
        if host.node is not None and host.node.me != seen.run:
            seen.run, seen.started_ms, seen.promised = host.node.me, self.clock(), frozenset()
        self.upset_ms = self.changed_ms = seen.steady_ms = seen.run_ms = self.clock()
        seen.heading = seen.searches_ms = None

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
        return host.node is not None and not host.stands_still

    def shows(self, host: Host) -> bool:
        """Tell whether the panel of *host* can show what its program wants."""
        return self.is_present(host) and not host.has(FaultKind.SERVER) and not host.has(FaultKind.LAG)

    def part(self, host: Host) -> tuple[int, ...]:
        """Name the part of the group to which a node can speak."""
        return tuple([cut.who >> host.id & 1 for cut in self.cuts])

    def can_serve(self, host: Host) -> bool:
        """Tell whether the car of *host* could serve a call, or cannot know yet that it could not."""
        seen, machine, now_ms = self.of(host), host.machine, self.clock()
        if host.has(FaultKind.SERVER) or host.has(FaultKind.SENSOR) or machine.stop:
            return False
        if seen.stuck_ms is not None and now_ms - seen.stuck_ms > max(self.travel_ms, 2000) * 21 // 20 + 1200:
            return False
        return not self.is_blocked(host, seen)

    def may_seem_unable(self, host: Host) -> bool:
        """Tell whether a car stands without power, was in trouble a moment ago, or has been between floors for long.

        One in trouble shows that it is well by the next edge of a sensor.
        """
        seen, now_ms = self.of(host), self.clock()
        if seen.stuck_ms is not None or now_ms - seen.steady_ms < RETOLD_MS:
            return True
        is_between = host.machine.sensed is None
        if is_between and self.travel_ms > USUAL_TRAVEL_MS and now_ms - seen.sensed_ms > USUAL_TRAVEL_MS:
            return True
        runs = host.machine.shaft.motor is not Motor.STOP
        return (is_between or runs) and seen.sensed_ms <= seen.steady_ms

    def is_blocked(self, host: Host, seen: Seen) -> bool:
        """Tell whether the door of *host* has been held open for longer than its period, and a second.

        What is served meanwhile, a cab call at this floor, does not prolong the period.
        """
        acted_ms = seen.acted_ms if seen.acted_ms <= seen.obstructed_ms else -NEVER_MS
        held_ms = max(seen.opened_ms or 0, acted_ms, seen.obstructed_ms, seen.steady_ms)
        return host.machine.door and host.machine.obstructed and self.clock() - held_ms > DOOR_MS + 1000

    def neighbours(self, host: Host, in_noise: bool = False) -> list[Host]:
        """Return the other nodes of this one's part that have been in touch for long, if need be *in_noise*."""
        now_ms = self.clock()
        if (self.noise and not in_noise) or now_ms - self.links_changed_ms < SETTLED_MS:
            return []
        part = self.part(host)
        others = (other for other in self.hosts if other is not host and self.is_present(other))
        return [other for other in others if self.part(other) == part and now_ms - self.of(other).run_ms >= SETTLED_MS]
