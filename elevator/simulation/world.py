"""A whole group in virtual time: production nodes, simulated everything else, from one seed.

 1. Nodes take the turns of turn.py. Their datagrams, records and hardware messages go through the production codecs;
    the network, the disks, the clock, the processes, the shafts and the people are simulated here.
 2. Time is an integer of milliseconds and jumps from event to event. A sweep of a panel on which nothing has changed
    tells a node nothing, so it is left out: panels are swept, on the grid of every 10 ms, when they have changed.
 3. A program may be killed or stopped at every step of a turn: before and after each write to hardware, disk and
    network. One that is stopped in a turn goes on there, with all that it has yet to do.
 4. After every event safety.py compares what the nodes believe with what was truly pressed, saved and served.
 5. When all faults have ended, everything that was promised must be served in time, and all panels agree.

Everything random comes from the plan and from generators seeded by it, so a run repeats itself to the byte: the digest
of its transcript shows it.
"""

import random
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from hashlib import blake2b
from heapq import heappop, heappush

from attrs import define, evolve, field

from elevator.building import elevator as machines
from elevator.building import passengers, protocol
from elevator.building.elevator import Event, Machine
from elevator.building.passengers import Crowd
from elevator.building.shaft import Shaft, end, position, put
from elevator.core.call_set import demand, merge
from elevator.core.model import (
    EVERY_CAR,
    MAX_CARS,
    NEVER_MS,
    Author,
    Behaviour,
    Buttons,
    Calls,
    Car,
    Direction,
    Fault,
    Heartbeat,
    Inputs,
    Outputs,
    Record,
    Tick,
)
from elevator.core.node import Node, boot, record, wake_at_ms
from elevator.core.peers import HEARTBEAT_MS
from elevator.core.step import step
from elevator.core.turn import turn
from elevator.hardware.elevator_server import changes, snapshot, sweep
from elevator.hardware.panel_client import FRESH_MS, SWEEP_MS, done
from elevator.hardware.panel_outputs import after
from elevator.net.admission import Admission
from elevator.net.seal import NO_KEY, seal
from elevator.net.wire import BAD_INPUT, DATAGRAM_BYTES, Encoder, decode
from elevator.runtime import event_log
from elevator.simulation.attacker import EVERY_MS, KEY, Attacker
from elevator.simulation.car_conduct import Conduct
from elevator.simulation.faults import KILLS, FaultKind, Plan, Point, Press, describe
from elevator.simulation.faults import InjectedFault as Trouble
from elevator.simulation.group_service import Promises
from elevator.simulation.health import STALE_MS, Health
from elevator.simulation.safety import Oracle
from elevator.storage.records import complete, read_record, write_record

GROUP = "world"
GHOST = Author(MAX_CARS - 1, 1)
DISK_MS = 3
"""The longest that a sound disk takes to make a record durable."""
DISK_PATIENCE_MS, DISK_RETRY_MS = 1000, 500
PRESS_MS = 200
"""For how long people hold a button."""
BACKLOG_MAX = 300
"""Datagrams that wait for a frozen program; a real socket's buffer holds about as many."""
AGREE_MS = 1000
"""How long after the last fault all panels must agree."""
NEWS_MS = 300
"""By then everybody has heard what the others hold at the end."""
DOWN = frozenset((*KILLS, FaultKind.BLACKOUT))
SPINS_MAX = 10
WAKES_MAX = 300
"""How often a program may wake by itself in a second: to speak, in a hurry where there is much news."""
FOREVER = 1 << 60


class Died(Exception):
    """A program is killed at this very point."""


class Stopped(Exception):
    """A program is stopped in a turn of which nothing has left it yet."""


@define(eq=False)
class SimulatedNode:
    """One machine with its disk, its program and its elevator. To the program it is disk, network and panel."""

    world: "World"
    id: int
    """Its number in the world."""
    machine: Machine
    node_id: int
    """The id that its program is given; that of another if it is a stranger."""
    floors: int
    admission: Admission = field(factory=lambda: Admission(GROUP))
    """The way into its program."""
    node: Node | None = None
    disk: str | None = None
    durable: Calls = Calls()
    """What `disk` holds."""
    asked: Record | None = None
    """What the program wants it to hold."""
    writing: Record | None = None
    """What is on its way there."""
    told: Calls | None = None
    """What the disk holds since the program was last told, if that is something new."""
    refused: bool = False
    """Whether the disk has refused since, or taken too long."""
    found: Record | None = None
    """What was on the disk all the time, if the program could not read it when it started and now has."""
    late: Record | None = None
    """The same, for as long as the program lives: it may not take it in."""
    is_unread: bool = False
    is_failing: bool = False
    """Whether the program was last told that the disk takes nothing, or too long."""
    inputs: Inputs | None = None
    sent: Outputs | None = None
    orders: bytes = b""
    """What a slow server has yet to obey ..."""
    orders_ms: int = 0
    """... and when it does."""
    ordered_ms: int = 0
    """When it was last told anything ..."""
    informed_ms: int = 0
    """... and of what time its program then knew its panel, if it was to obey nothing else."""
    unseen_ms: int = FOREVER
    """Since when its program does not know its panel, because it stood still then, or because its server is slow."""
    lags: list[Trouble] = field(factory=list)
    asked_after: tuple[bool, bool] = done(None)
    """What its panel had done when it was last asked, as far as the program relies on that."""
    answer: bytes | None = None
    """What a slow server has yet to say to that ..."""
    answer_ms: int = 0
    """... and when it does."""
    backlog: list[Heartbeat] = field(factory=list)
    slowness: list[Trouble] = field(factory=list)
    off: dict[FaultKind, int] = field(factory=dict)
    """How many faults hold it at present, of each kind of which any does."""
    stands_still: bool = False
    """Whether its program does nothing at present."""
    doom: int | Point | None = None
    """After how many more steps its program dies, or at which."""
    pause: Trouble | None = None
    """What is going to stop its program, at some point of a turn."""
    under_way: Tick | None = None
    """Of the turn that it is taking, or in which it was stopped before anything left it."""
    put_off: list[Callable[[], None]] | None = None
    """What else leaves it, if it was stopped later in a turn."""
    frozen_at_ms: int = 0
    wake_ms: int = FOREVER
    sweep_ms: int = FOREVER
    swept_ms: int = -1
    """When its panel was last swept."""
    hung_up: bool = False
    """Whether its server has gone, be it that it is back, and its program does not know."""
    silent_until_ms: int = 0
    """Until when nothing tells it, unless the server is back."""
    disk_ms: int = FOREVER
    """When the disk next says something."""
    written_ms: int = FOREVER
    """When `writing` is on the disk."""
    machine_ms: int = FOREVER
    lamps_checked: object = None
    wakes: int = 0
    """How often it has woken by itself in the second that began at `waking_ms`."""
    waking_ms: int = 0
    spins: int = 0
    """Turns taken one after the other at one time."""

    @property
    def name(self) -> str:
        """What the transcript calls it."""
        return str(self.id) if self.id < self.world.plan.cars else f"{self.node_id}*"

    def has(self, kind: FaultKind) -> bool:
        return kind in self.off

    def has_any(self, kinds: AbstractSet[FaultKind]) -> bool:
        return not kinds.isdisjoint(self.off)

    # The three ports of a turn

    def look(self) -> tuple[int, Inputs | None]:
        """See turn.py."""
        if self.is_stopped_at(Point.BEFORE_HARDWARE):
            raise Stopped
        return self.world.now_ms, self.inputs

    def save(self, record: Record) -> None:
        if record == self.asked:
            return
        self.step_of_turn(Point.BEFORE_RECORD)
        if self.put_off is not None:
            self.put_off.append(lambda: self.save(record))
            return
        self.world.oracle.observe(self, record.calls)
        self.asked = record
        if self.writing is None:
            self.begin_write()
        self.step_of_turn(Point.WHILE_RECORDING)

    def send(self, heartbeat: Heartbeat) -> None:
        self.step_of_turn(Point.BEFORE_BROADCAST)
        if self.put_off is not None:
            self.put_off.append(lambda: self.send(heartbeat))
            return
        self.world.oracle.observe(self, heartbeat.calls)
        self.world.oracle.note_told(self, heartbeat)
        self.world.broadcast(self.id, heartbeat)
        self.step_of_turn(Point.AFTER_BROADCAST)

    def write(self, outputs: Outputs) -> None:
        has_answered = self.sent is not None or self.inputs is not None
        if self.has(FaultKind.SERVER) or self.hung_up or not has_answered or outputs == self.sent:
            return
        self.step_of_turn(Point.BEFORE_HARDWARE)
        if not self.orders:  # All is done in the order in which it was asked for.
            self.orders_ms = max(self.late_ms(), self.answer_ms if self.answer is not None else 0)
            self.informed_ms = self.knows_ms()
        self.ordered_ms = self.world.now_ms
        self.orders += changes(self.sent, outputs, self.floors)
        self.sent = after(self.sent, outputs)
        self.asked_after = done(self.sent, self.asked_after)
        if not self.obey():
            self.sweep_ms = min(self.sweep_ms, self.orders_ms)
        self.step_of_turn(Point.AFTER_HARDWARE)

    def step_of_turn(self, point: Point) -> None:
        if self.is_stopped_at(point):
            self.put_off = []
        if self.doom is None or self.put_off is not None:
            return
        if self.doom in (0, point):
            raise Died(point)
        if isinstance(self.doom, int):
            self.doom -= 1

    def is_stopped_at(self, point: Point) -> bool:
        """Let its program stand still from now on if it was to be stopped at this *point* of a turn."""
        if self.pause is None or self.pause.point is not point or self.under_way is None:
            return False
        trouble, self.pause = self.pause, None
        self.world.begin_or_end(trouble, begins=True)
        return True

    def go_on(self) -> None:
        """Let what was put off leave its program."""
        rest, self.put_off = self.put_off or [], None
        for act in rest:
            act()

    # The disk

    def begin_write(self) -> None:
        longest_ms = max((trouble.delay_ms for trouble in self.slowness), default=DISK_MS)
        self.writing = self.asked
        self.written_ms = self.world.now_ms + self.world.rng.randint(0, longest_ms)
        self.disk_ms = min(self.written_ms, self.world.now_ms + DISK_PATIENCE_MS)

    def hasten_write(self) -> None:
        """Let a disk that is quick again finish what it is writing."""
        self.written_ms = min(self.written_ms, self.world.now_ms + DISK_MS)
        self.disk_ms = min(self.disk_ms, self.written_ms)

    def end_write(self) -> None:
        """Have on the disk what was on its way there, or refuse it."""
        self.refused = self.has(FaultKind.DISK) or self.world.now_ms < self.written_ms
        if self.has(FaultKind.DISK):
            self.writing = self.asked
            self.disk_ms = self.written_ms = self.world.now_ms + DISK_RETRY_MS
            return
        if self.refused:
            self.disk_ms = self.written_ms
            return
        if self.is_unread:
            self.is_unread = False
            self.found = self.late = None if self.disk is None else recall(self.disk, self.floors)
            self.begin_write()
            return
        assert self.writing is not None
        self.hold(self.writing)
        self.told = self.writing.calls
        self.disk_ms, done = FOREVER, self.writing
        self.writing = None
        if self.asked is not done:
            self.begin_write()
        self.step_of_turn(Point.AFTER_RECORD)

    def end_writing(self, lot: int) -> None:
        """Let the program lose its disk, and by *lot* 0 all that is under way, 1 what waits, 2 nothing.

        What it could not read when it started is not overwritten unseen.
        """
        if not self.has(FaultKind.DISK) and not self.is_unread and lot and self.writing and self.asked:
            self.hold(self.writing if lot == 1 else self.asked)
        self.asked = self.writing = self.told = self.found = self.late = None
        self.refused = self.is_unread = False
        self.disk_ms = self.written_ms = FOREVER

    def hold(self, record: Record) -> None:
        if self.late is not None:
            record = complete(record, self.late)
        self.disk, self.durable = write_record(record), record.calls
        self.world.oracle.note_saved(self, record)

    # The elevator

    def exchange(self, requests: bytes) -> bytes:
        answer = protocol.answer(self.machine, requests, self.world.now_ms)
        self.take(answer.machine, answer.events)
        return answer.replies

    def knows_ms(self) -> int:
        """Tell of what time its program knows its panel at present."""
        decided_ms = self.world.now_ms if self.under_way is None else self.under_way.now_ms
        return min(decided_ms, self.unseen_ms)

    def late_ms(self) -> int:
        """Return when its server does what it is asked for now."""
        longest_ms = max((trouble.delay_ms for trouble in self.lags), default=0)
        return self.world.now_ms + (self.world.rng.randint(0, longest_ms) if longest_ms else 0)

    def ask(self) -> None:
        """Ask its panel everything."""
        self.swept_ms = self.world.now_ms
        self.asked_after = done(self.sent)
        self.answer = self.exchange(sweep(self.floors))
        self.answer_ms = self.late_ms()
        if self.answer_ms > self.swept_ms:  # It is asked when something has changed since the last time.
            self.unseen_ms = min(self.unseen_ms, self.swept_ms - SWEEP_MS)

    def put_back(self) -> None:
        """Let the operator of a car that is out of bounds put it back: he has seen it, too."""
        if self.machine.out:
            self.change(machines.put_back(self.machine, self.world.now_ms))

    def obey(self) -> bool:
        """Let its server do what it has been told to, if it is time."""
        if self.world.now_ms < self.orders_ms:
            return False
        self.put_back()
        orders, self.orders = self.orders, b""
        self.exchange(orders)
        return True

    def obey_all(self) -> None:
        """Let its server do at once what it has been told to: its connection ends."""
        if self.orders:
            self.orders_ms = self.world.now_ms
            self.obey()
            self.world.oracle.check_machine(self)  # While it is known whose orders these were.

    def due_lamps(self) -> Buttons:
        """Return the lamps of its panel when its server has done what it has been told to."""
        lamps = self.machine.lamps
        return lamps if not self.orders or self.sent is None else after(Outputs(lamps=lamps), self.sent).lamps

    def take(self, machine: Machine, events: Iterable[Event] = ()) -> None:
        """Put *machine* in the place of the old one, and sweep it if its panel looks different."""
        if self.machine.door is not machine.door or self.machine.lamps is not machine.lamps:
            self.world.look_ms = self.world.now_ms
        self.machine = machine
        self.machine_ms = machines.wake_at_ms(machine) or FOREVER
        now_ms = self.world.now_ms
        next_ms = now_ms + (self.id * 3 - now_ms) % SWEEP_MS
        self.sweep_ms = min(self.sweep_ms, next_ms if next_ms > self.swept_ms else next_ms + SWEEP_MS)
        for event in events:
            self.world.tell(f"car {self.name}: {machines.describe(event)}")

    def change(self, machine: Machine) -> None:
        self.take(machine, machines.changes(self.machine, machine, self.world.now_ms))


class World:
    """One run of one plan. `run` raises Violation if anything is not as it must be."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.now_ms = 0
        self.rng = random.Random(f"world {plan.seed}")
        self.hosts: list[SimulatedNode] = []
        self.oracle = Oracle(plan, self.hosts, lambda: self.now_ms, self.tell)
        self.health = Health(plan, self.hosts, lambda: self.now_ms)
        self.conduct = Conduct(self.health, self.oracle)
        self.promises = Promises(self.health, self.oracle, self.conduct)
        self.queue: list[tuple[int, int, int, Heartbeat]] = []
        self.number = 0
        self.ghost_floor: int | None = None
        self.ghost_at_ms = FOREVER
        self.ghost_counter = 0
        self.ghost_claims = False
        self.ghost_known = Calls()
        attacks = [fault for fault in plan.faults if fault.kind is FaultKind.ATTACK]
        self.key = KEY if any(fault.detail for fault in attacks) else NO_KEY
        self.attacker: Attacker | None = None
        if attacks:
            self.attacker = Attacker(GROUP, self.key, plan.floors, random.Random(f"attacker {plan.seed}"))
        self.attack_at_ms = FOREVER
        self.crowd = None if plan.traffic is None else passengers.crowd(plan.traffic)
        self.look_ms = FOREVER if self.crowd is None else 0
        """When people look at lamps and doors next."""
        self.script = script(plan)
        self.weather: list[Trouble] = []
        self.loss = self.delay_ms = self.doubled = 0
        """The worst of the `weather`."""
        self.cuts: list[Trouble] = []
        self.digest = blake2b(digest_size=16)
        self.transcript: list[str] = []
        self.encoders = [Encoder(GROUP, plan.datagram_bytes or DATAGRAM_BYTES) for _ in range(plan.cars + 1)]
        shaft = Shaft(plan.floors, plan.travel_ms, plan.passing_ms)
        for id in range(plan.cars):
            drawn = evolve(shaft, place=min(self.rng.randint(0, end(shaft)), end(shaft) - 1))
            machine = machines.machine(put(shaft, plan.at[id], 0) if plan.at else drawn)
            self.hosts.append(SimulatedNode(self, id, machine, id, plan.floors))
        for host in self.hosts:
            host.take(host.machine)
            self.start(host)

    def tell(self, line: str) -> None:
        """Write a line of the transcript."""
        line = f"{self.now_ms:>9} {line}"
        self.digest.update(line.encode() + b"\n")
        self.transcript.append(line)

    def run(self) -> None:
        """Run the whole plan."""
        calm_at_ms = self.plan.calm_at_ms
        self.run_until(calm_at_ms)
        self.crowd = None  # Nobody presses any more.
        self.run_until(calm_at_ms + AGREE_MS)
        self.oracle.check_agreement()
        deadline_ms = calm_at_ms + patience_ms(self.plan)
        while not self.is_quiet():
            if self.now_ms > deadline_ms:
                self.oracle.fail("not everything was served in time")
            self.run_until(self.now_ms + 1000)
        self.run_until(self.now_ms + NEWS_MS)
        self.oracle.check_end()

    def is_quiet(self) -> bool:
        """Tell whether nothing is left to do for the cars that are in order, and they could do it."""
        lost = self.plan.lost_cars()
        return all(self.is_idle(host) for host in self.hosts if host.id not in lost)

    @staticmethod
    def is_idle(host: SimulatedNode) -> bool:
        node = host.node
        machine = host.machine
        if node is None or node.drive.fault is not Fault.NONE or machine.lamps != Buttons():
            return False
        if machine.door or machine.shaft.motor:
            return False
        return not any(call.car in (EVERY_CAR, host.id) for call in node.calls.live.values())

    def run_until(self, end_ms: int) -> None:
        while True:
            if self.ghost_at_ms <= self.now_ms:
                self.haunt()
            if self.attack_at_ms <= self.now_ms:
                self.attack()
            at_ms = min(self.queue[0][0], self.ghost_at_ms) if self.queue else self.ghost_at_ms
            at_ms = min(at_ms, self.attack_at_ms)
            if self.crowd is not None and self.look_ms < at_ms:
                at_ms = self.look_ms
            if self.script and self.script[-1][0] <= at_ms:
                at_ms = self.script[-1][0]
            soonest = None
            for host in self.hosts:  # This is done for every event, and min() would take three times as long.
                if host.wake_ms < at_ms:
                    at_ms, soonest = host.wake_ms, host
                if host.sweep_ms < at_ms:
                    at_ms, soonest = host.sweep_ms, host
                if host.machine_ms < at_ms:
                    at_ms, soonest = host.machine_ms, host
                if host.disk_ms < at_ms:
                    at_ms, soonest = host.disk_ms, host
            if at_ms > end_ms:
                self.now_ms = end_ms
                return
            self.now_ms = at_ms
            if soonest is not None:
                self.attend(soonest)
            elif self.script and self.script[-1][0] == at_ms:
                _, begins, what = self.script.pop()
                if isinstance(what, Press):
                    self.press(what, begins)
                else:
                    self.trouble(what, begins)
            elif self.look_ms == at_ms and self.crowd is not None:
                self.crowd = self.look(self.crowd)
            elif self.queue and self.queue[0][0] == at_ms:
                self.deliver()

    def look(self, crowd: Crowd) -> Crowd:
        """Let people look at lamps and doors, and press buttons."""
        machines = [host.machine for host in self.hosts[: self.plan.cars]]
        crowd, pressed = passengers.step(crowd, machines, self.now_ms)
        self.look_ms = max(passengers.wake_at_ms(crowd) or FOREVER, self.now_ms + 1)
        for car, button, floor in pressed:
            self.press(Press(self.now_ms, self.now_ms + PRESS_MS, car, button, floor), begins=True)
        return crowd

    def attend(self, host: SimulatedNode) -> None:
        """Do what is due at *host*."""
        if host.machine_ms <= self.now_ms:
            host.take(*machines.settle(host.machine, self.now_ms))
            self.oracle.check_machine(host)
            self.promises.judge(host)
        elif host.disk_ms <= self.now_ms:
            self.turn(host, ())
        elif host.sweep_ms <= self.now_ms:
            host.sweep_ms = FOREVER
            self.sweep(host)
        else:
            host.wake_ms = FOREVER
            self.turn(host, ())
            host.wakes = host.wakes + 1 if self.now_ms < host.waking_ms + 1000 else 0
            host.waking_ms = self.now_ms if host.wakes == 0 else host.waking_ms
            if host.wakes > WAKES_MAX:
                self.oracle.fail(f"node {host.id} wakes {host.wakes} times a second")
            host.spins = host.spins + 1 if host.wake_ms <= self.now_ms else 0
            if host.spins > SPINS_MAX:
                self.oracle.fail(f"node {host.id} turns and turns")

    def sweep(self, host: SimulatedNode, heartbeats: tuple[Heartbeat, ...] = ()) -> None:
        """Let a program look at its panel, and take a turn if that says anything new or *heartbeats* came."""
        if host.orders:
            if host.obey():
                self.oracle.check_machine(host)
                self.promises.judge(host)
            else:
                host.sweep_ms = host.orders_ms
        if host.node is None or host.stands_still:
            return
        if not self.is_answered(host):
            if heartbeats:
                self.turn(host, heartbeats)
            return
        floors, reply, host.answer = host.floors, host.answer, None
        is_back = host.hung_up and not host.has(FaultKind.SERVER)
        host.hung_up = False
        inputs = None if reply is None else snapshot(reply, floors, *host.asked_after)
        if inputs is not None and host.inputs is not None and host.has(FaultKind.GLITCH):
            is_certain = self.health.knows_its_place(host)
            inputs = evolve(inputs, floor=false_floor(host.machine.shaft, self.now_ms) if is_certain else floors)
        if inputs is not None and host.has(FaultKind.SENSOR):
            inputs = evolve(inputs, floor=floors)
        is_old = reply is not None and host.swept_ms < self.now_ms
        host.unseen_ms = host.swept_ms if is_old else FOREVER
        host.sweep_ms = self.now_ms + SWEEP_MS if is_back or is_old else FOREVER
        if host.orders:
            host.sweep_ms = min(host.sweep_ms, host.orders_ms)
        if inputs != host.inputs:
            self.conduct.note_swept(host, inputs)
            host.inputs = inputs
            self.turn(host, heartbeats)
            if not host.stands_still:
                self.conduct.judge_swept(host)
        elif heartbeats:
            self.turn(host, heartbeats)

    def is_answered(self, host: SimulatedNode) -> bool:
        """Ask the panel of *host*, if it was not; tell whether it now says something, be it that it is gone.

        What comes too late to be believed is thrown away.
        """
        if host.has(FaultKind.SERVER) and self.now_ms < host.silent_until_ms and host.inputs is not None:
            host.sweep_ms = host.silent_until_ms
            return False
        if host.answer is not None and self.now_ms >= host.swept_ms + FRESH_MS:
            host.answer = None
        if host.hung_up or host.has(FaultKind.SERVER):
            host.answer = None
            return True
        if host.answer is None:
            if host.orders:  # It obeys first.
                host.unseen_ms = min(host.unseen_ms, self.now_ms - SWEEP_MS)
                return False
            host.ask()
        if self.now_ms < host.answer_ms:
            host.sweep_ms = min(host.answer_ms, host.orders_ms if host.orders else FOREVER)
            return False
        return True

    def deliver(self) -> None:
        """Let everybody hear what arrives now. A program takes in all that there is, its panel too, before a turn."""
        arrived: dict[int, list[Heartbeat]] = {}
        while self.queue and self.queue[0][0] <= self.now_ms:
            _, _, receiver, heartbeat = heappop(self.queue)
            arrived.setdefault(receiver, []).append(heartbeat)
        for receiver, heartbeats in arrived.items():
            host = self.hosts[receiver] if receiver < len(self.hosts) else None
            if host is None or host.node is None:
                continue
            me, admission = host.node.me, host.admission
            heard = tuple([each for each in heartbeats if each.sender != me and admission.is_new(each)])
            if self.attacker is not None:
                for heartbeat in heard:
                    self.attacker.note(receiver, heartbeat)
            if host.stands_still:
                host.backlog += heard[: BACKLOG_MAX - len(host.backlog)]
            elif host.sweep_ms <= self.now_ms:
                self.sweep(host, heard)
            elif heard:
                self.turn(host, heard)

    def turn(self, host: SimulatedNode, heartbeats: tuple[Heartbeat, ...]) -> None:
        """Let the program of *host* take a turn, after the rest of one in which it was stopped, or die in it."""
        try:
            if host.disk_ms <= self.now_ms:
                host.end_write()
            if host.node is None or host.stands_still:
                return
            host.go_on()
            if host.under_way is not None:
                self.conduct.note_going_on(host)
                self.take_turn(host, host.node, host.under_way)
                self.conduct.judge_going_on(host)
            tick = Tick(self.now_ms, host.inputs, heartbeats, host.told, host.refused, host.found)
            host.is_failing = host.refused or (host.is_failing and host.told is None)
            if host.found is not None:
                self.health.note_found(host)
            host.told, host.found, host.refused = None, None, False
            self.take_turn(host, host.node, tick)
        except Stopped:
            pass
        except Died as died:
            before, begun = host.node, host.under_way
            at_last = begun and evolve(begun, now_ms=self.now_ms, inputs=host.inputs)
            self.tell(f"node {host.name} is killed {died}")
            self.die(host, is_worker=host.has(FaultKind.CRASH))
            self.take_over(host)
            if before is not None and at_last is not None:
                self.oracle.check_lamps(host, step(before, at_last))  # what it was when it died
            self.promises.judge(host)

    def take_turn(self, host: SimulatedNode, before: Node, tick: Tick) -> None:
        host.under_way = tick
        after = host.node = turn(before, tick, host.look, host, host, host)
        host.under_way = None
        host.wake_ms = wake_at_ms(after) + self.plan.late_ms
        if after.oddities is not before.oddities:
            for what in sorted(after.oddities.keys() - before.oddities.keys()):
                self.tell(f"node {host.name}: {what}")
        news = (
            after.outgoing.message is not before.outgoing.message
            or after.drive is not before.drive
            or after.lit is not before.lit
        )
        if news or after.calls is not before.calls:
            for line in event_log.news(before, after):
                self.tell(f"node {host.name}: {line}")
            self.oracle.observe(host, after.calls)
            self.oracle.check_kept(host, before.calls, after.calls)
            self.promises.judge_kept(host, before.calls.seen.keys() - after.calls.seen.keys())
        self.oracle.check_lamps(host, after)
        self.promises.judge(host)

    def haunt(self) -> None:
        """Let the ghost speak: it acknowledges all that is on a disk in use, and claims every hall call, or none."""
        assert self.ghost_floor is not None
        self.ghost_at_ms = self.now_ms + HEARTBEAT_MS
        self.ghost_counter += 1
        known = Calls()
        for host in self.hosts:
            if host.node is not None and host.floors == self.plan.floors:
                known = merge(known, host.durable)
        if known == self.ghost_known:
            known = self.ghost_known  # So that its heartbeats say visibly the same, as those that are decoded do.
        self.ghost_known = known
        hall = demand(known.live.values())[0] if self.ghost_claims else Buttons()
        car = Car(self.ghost_floor, Direction.UP, Behaviour.IDLE, Fault.NONE)
        everybody = (1 << len(self.hosts)) - 1
        heartbeat = Heartbeat(GHOST, self.ghost_counter, self.plan.floors, car, hall, everybody, known)
        for host in self.hosts:
            self.number += 1
            heappush(self.queue, (self.now_ms + 1, self.number, host.id, heartbeat))

    def attack(self) -> None:
        """Let somebody send something to each program that no program must take in."""
        assert self.attacker is not None
        self.attack_at_ms = self.now_ms + self.attacker.rng.randint(1, EVERY_MS)
        for host in self.hosts:
            if host.node is not None:
                what, datagram = self.attacker.draw(host.id)
                if host.admission.admit(datagram) is not None:
                    self.oracle.fail(f"node {host.name} has taken in a datagram that was {what}")

    def broadcast(self, sender: int, heartbeat: Heartbeat) -> None:
        loss, delay_ms, doubled = self.loss, self.delay_ms, self.doubled
        for datagram in self.encoders[sender].encode(heartbeat):
            heard = decode(datagram, GROUP)
            assert heard is not None, datagram
            if self.attacker is not None:
                self.attacker.overhear(heard, seal(datagram, self.key))
            for receiver in range(len(self.hosts)):
                # A node's own datagrams come back to it, which matters only if it was started again in the meantime.
                if (receiver == sender and delay_ms < 50) or (self.cuts and not self.is_linked(sender, receiver)):
                    continue
                if loss and self.rng.randrange(100) < loss:
                    continue
                for _ in range(2 if doubled and self.rng.randrange(100) < doubled else 1):
                    self.number += 1
                    late_ms = self.rng.randint(1, delay_ms) if delay_ms else 1
                    heappush(self.queue, (self.now_ms + late_ms, self.number, receiver, heard))

    def is_linked(self, sender: int, receiver: int) -> bool:
        for cut in self.cuts:
            if cut.kind is FaultKind.DEAF:
                if (cut.detail, cut.who) == (sender, receiver):
                    return False
            elif (cut.who >> sender ^ cut.who >> receiver) & 1:
                return False
        return True

    def start(self, host: SimulatedNode) -> None:
        """Start the program of *host*."""
        floors = host.floors
        kept = None if host.disk is None or host.has(FaultKind.DISK) else recall(host.disk, floors)
        node = boot(host.node_id, floors, kept, self.rng.randrange(1 << 32), self.now_ms, self.plan.policy)
        self.tell(f"node {host.name} starts {'with' if kept else 'without'} a record")
        host.doom = host.inputs = host.sent = host.answer = None
        host.unseen_ms = FOREVER
        host.hung_up = False
        host.admission = Admission(GROUP, [self.key])
        if self.attacker is not None:
            self.attacker.note_start(host.id)
        host.backlog.clear()
        host.is_failing = False
        host.is_unread = host.has(FaultKind.DISK) and host.disk is not None
        if host.is_unread:
            self.oracle.note_unread(host)
        self.oracle.note_start(host, node)
        if kept:
            self.oracle.note_saved(host, kept)
        if kept and kept.door and host.machine.door and host.machine.sensed == kept.door.floor:
            self.oracle.note_inherited(host, node)
        host.node = node
        host.save(record(node))
        host.wake_ms = self.now_ms
        host.take(host.machine)
        self.health.note_run(host, listens=True, door=kept.door if kept else None)

    def die(self, host: SimulatedNode, is_worker: bool = False) -> None:
        """End the program of *host*: its connection breaks, and with it the motor stops.

        Where it *is_worker* alone that ends, the process that writes its record does not, and writes what it was given.
        """
        self.tell(f"node {host.name} dies")
        host.end_writing(2 if is_worker else self.rng.randrange(3))
        host.obey_all()
        host.node = host.doom = host.sent = host.inputs = host.under_way = host.put_off = None
        host.wake_ms = FOREVER
        host.change(machines.disconnect(host.machine, self.now_ms))
        self.health.note_run(host)

    def press(self, press: Press, begins: bool) -> None:
        if begins and press.panel < len(self.hosts):
            host = self.hosts[press.panel]
            machine = machines.press(host.machine, press.button, press.floor, press.until_ms)
            host.change(machines.settle(machine, self.now_ms)[0])

    def trouble(self, trouble: Trouble, begins: bool) -> None:
        """Let a fault begin or end, unless it waits for the program to come to some point of a turn."""
        host = self.hosts[trouble.who] if trouble.kind is FaultKind.FREEZE and trouble.point is not None else None
        if host is not None and begins and host.pause is None and host.node is not None and not host.stands_still:
            host.pause = trouble
        elif host is not None and host.pause is trouble:
            host.pause = None
        else:
            self.begin_or_end(trouble, begins)

    def begin_or_end(self, trouble: Trouble, begins: bool) -> None:
        self.tell(f"{'begins' if begins else 'ends'}: {describe(trouble, self.plan.cars)}")
        self.health.note_trouble(trouble, begins)
        match trouble.kind:
            case FaultKind.WEATHER:
                self.weather = [*self.weather, trouble] if begins else [t for t in self.weather if t is not trouble]
                self.loss = max((each.detail for each in self.weather), default=0)
                self.delay_ms = max((each.delay_ms for each in self.weather), default=0)
                self.doubled = max((each.doubled for each in self.weather), default=0)
            case FaultKind.GHOST | FaultKind.SHIRKER:
                if begins:
                    self.ghost_claims = trouble.kind is FaultKind.GHOST
                    self.ghost_floor = trouble.who % self.plan.floors
                    self.haunt()
            case FaultKind.ATTACK:
                self.attack_at_ms = self.now_ms if begins else FOREVER
            case FaultKind.CUT | FaultKind.DEAF:
                self.cuts = [*self.cuts, trouble] if begins else [t for t in self.cuts if t is not trouble]
            case FaultKind.BLACKOUT:
                for host in self.hosts[: self.plan.cars]:
                    self.hold(host, trouble, begins)
            case FaultKind.TWIN | FaultKind.MISFIT:
                self.join(trouble) if begins else self.leave()
            case _:
                self.hold(self.hosts[trouble.who], trouble, begins)

    def join(self, stranger: Trouble) -> None:
        """Start one more node, which should not be there, with an elevator of its own."""
        assert len(self.hosts) == self.plan.cars, "one stranger at a time"
        floors = stranger.detail if stranger.kind is FaultKind.MISFIT else self.plan.floors
        shaft = put(Shaft(floors, self.plan.travel_ms, self.plan.passing_ms), 0, self.now_ms)
        host = SimulatedNode(self, self.plan.cars, machines.machine(shaft), stranger.who, floors)
        self.hosts.append(host)
        self.oracle.note_joined(host)
        self.start(host)

    def leave(self) -> None:
        """Take away the stranger with all that it has."""
        host = self.hosts[-1]
        self.die(host)
        self.oracle.note_wiped(host)
        self.hosts.pop()

    def hold(self, host: SimulatedNode, trouble: Trouble, begins: bool) -> None:
        """Let a fault of one host begin or end; faults of one kind may overlap."""
        kind = trouble.kind
        count = host.off.pop(kind, 0) + (1 if begins else -1)
        if count:
            host.off[kind] = count
        changed = count == (1 if begins else 0)
        if host.stands_still:  # What its car has done up to this moment it has done alone.
            host.take(*machines.settle(host.machine, self.now_ms))
            self.oracle.check_machine(host)
        host.stands_still = host.has(FaultKind.FREEZE) or host.has(FaultKind.HANG)
        match kind:
            case FaultKind.KILL | FaultKind.WIPE | FaultKind.TORN | FaultKind.CRASH | FaultKind.BLACKOUT:
                self.kill_or_start(host, trouble, begins)
            case FaultKind.HANG if changed:
                if begins:
                    host.frozen_at_ms = self.now_ms
                else:
                    self.replace(host)
            case FaultKind.SLOW:
                host.slowness = [*host.slowness, trouble] if begins else [t for t in host.slowness if t is not trouble]
                if host.writing is not None and not host.slowness and not host.has(FaultKind.DISK):
                    host.hasten_write()
            case FaultKind.FREEZE if changed:
                if begins:
                    host.frozen_at_ms = self.now_ms
                else:
                    self.thaw(host)
            case FaultKind.MOTOR if changed:
                host.change(machines.power(host.machine, not begins, self.now_ms))
                if trouble.detail and not begins:
                    host.change(machines.disconnect(host.machine, self.now_ms))
            case FaultKind.OBSTRUCT if changed:
                self.oracle.note_obstructed(host.id, begins)
                host.change(evolve(host.machine, obstructed=begins))
            case FaultKind.GLITCH if changed:
                host.take(host.machine)
            case FaultKind.SENSOR if changed:
                host.put_back()
                host.take(host.machine)
            case FaultKind.STOP if changed:
                host.change(evolve(host.machine, stop=begins))
            case FaultKind.LAG:
                host.lags = [*host.lags, trouble] if begins else [each for each in host.lags if each is not trouble]
                if not host.lags:
                    host.orders_ms = host.answer_ms = host.sweep_ms = self.now_ms
            case FaultKind.SERVER if changed:
                host.obey_all()
                host.sent = None
                if begins:
                    host.hung_up, host.silent_until_ms = True, self.now_ms + trouble.delay_ms
                    host.change(machines.disconnect(host.machine, self.now_ms))
                elif trouble.detail and not host.machine.door:
                    place = (self.plan.floors - 1) * trouble.detail / 10
                    host.change(machines.put(host.machine, place, self.now_ms))
                host.take(host.machine)
            case _:
                pass

    def take_over(self, host: SimulatedNode) -> None:
        """Let the supervisor of *host* start the next worker soon, if one has crashed: that is the end of the fault."""

        def soon(act: Act) -> Act:
            at_ms, begins, what = act
            if begins or not isinstance(what, Trouble) or (what.kind, what.who) != (FaultKind.CRASH, host.id):
                return act
            is_under_way = what.at_ms <= self.now_ms
            return (min(at_ms, self.now_ms + what.delay_ms), begins, what) if is_under_way else act

        self.script = in_order(map(soon, self.script))

    def kill_or_start(self, host: SimulatedNode, trouble: Trouble, begins: bool) -> None:
        if begins and host.node is not None:
            doom = trouble.point or trouble.detail
            if doom and not host.stands_still and not host.has(FaultKind.BLACKOUT):
                host.doom = doom
            else:
                self.die(host, is_worker=trouble.kind is FaultKind.CRASH)
                self.take_over(host)
        if begins or self.is_down(host):
            return
        host.doom = None
        if trouble.kind in (FaultKind.WIPE, FaultKind.TORN):
            if host.node is not None:
                self.die(host)
            self.oracle.note_wiped(host)
            is_torn = trouble.kind is FaultKind.TORN and host.disk is not None
            host.disk, host.durable = (host.disk or "")[: len(host.disk or "") // 2] if is_torn else None, Calls()
        if host.node is None:
            self.start(host)

    @staticmethod
    def is_down(host: SimulatedNode) -> bool:
        return host.has_any(DOWN)

    def replace(self, host: SimulatedNode) -> None:
        """Let a supervisor put another worker in the place of one that hung."""
        host.put_back()
        host.backlog.clear()
        if host.node is not None:
            self.die(host, is_worker=True)
        if not self.is_down(host):
            self.start(host)

    def thaw(self, host: SimulatedNode) -> None:
        """Let a frozen program go on: it finds everything that came meanwhile, and its panel's old answer."""
        if host.stands_still:  # Its worker hangs, too.
            return
        heartbeats, host.backlog = tuple(host.backlog), []
        host.put_back()
        if self.now_ms - host.frozen_at_ms >= FRESH_MS:
            host.inputs = None
        host.unseen_ms = min(host.unseen_ms, host.frozen_at_ms)
        is_stale = self.now_ms - max(host.frozen_at_ms, self.health.of(host).run_ms) >= STALE_MS
        self.health.note_run(host, listens=is_stale)
        self.turn(host, heartbeats)
        acts = self.health.is_present(host) and host.machine.shaft.motor and not host.orders
        if is_stale and acts:
            self.oracle.fail(f"car {host.id} goes on though its program stood still")
        host.take(host.machine)


def recall(text: str, floors: int) -> Record | None:
    """Read the record on a disk; None if it is damaged."""
    try:
        return read_record(text, floors)
    except BAD_INPUT:
        return None


def false_floor(shaft: Shaft, now_ms: int) -> int:
    """Name a floor where a car cannot be, nor come to next: a distant one, or one that there is not."""
    nearest = round(position(shaft, now_ms))
    return next((floor for floor in (nearest + 2, nearest - 2) if 0 <= floor < shaft.floors), shaft.floors)


Act = tuple[int, bool, Trouble | Press]
"""When something is to happen, whether it begins or ends then, and what it is."""


def script(plan: Plan) -> list[Act]:
    """Put what the plan does in order, the last thing first."""
    acts: list[Act] = [(press.at_ms, True, press) for press in plan.presses]
    for trouble in plan.faults:
        acts += [(trouble.at_ms, True, trouble), (trouble.until_ms, False, trouble)]
    return in_order(acts)


def in_order(acts: Iterable[Act]) -> list[Act]:
    return sorted(acts, key=lambda act: (act[0], act[1]), reverse=True)


def patience_ms(plan: Plan) -> int:
    """Return how long a group may take after the last fault to serve everything that can be lit at once.

    Enough for one car to go up, down and up again and open its door everywhere, with time to find a floor and to try a
    motor that was dead; and if a ghost has taken the calls, with the time until others take them from it.
    """
    ghost = any(fault.kind is FaultKind.GHOST and fault.until_ms == NEVER_MS for fault in plan.faults)
    guard_ms = 30_000 + 10_000 * plan.floors if ghost else 0
    return 15_000 + 3 * plan.floors * (plan.travel_ms + 1500) + guard_ms
