"""One simulated node: a machine with its disk, its program, and its elevator behind a server.

The program takes the turns of turn.py, to which this is disk, network and panel. It may be killed or stopped at every
step of a turn: before and after each write to elevator, disk and network. One that is stopped in a turn goes on there,
with all that it has yet to do.
"""

import random
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Protocol

from attrs import define, evolve, field

from elevator.building import elevator as machines
from elevator.building.elevator import Event, Machine
from elevator.building.shaft import Shaft, position
from elevator.core.model import NEVER_MS, Buttons, Calls, Heartbeat, Inputs, Outputs, Record, Tick
from elevator.core.node import Node, boot, record, wake_at_ms
from elevator.core.step import step
from elevator.core.turn import turn
from elevator.hardware.panel_outputs import after
from elevator.net.admission import Admission
from elevator.runtime import event_log
from elevator.simulation.attacker import Attacker
from elevator.simulation.car_conduct import Conduct
from elevator.simulation.faults import FaultKind, InjectedFault, Plan, Point
from elevator.simulation.group_service import Promises
from elevator.simulation.health import Health
from elevator.simulation.safety import Oracle
from elevator.simulation.simulated_disk import SimulatedDisk
from elevator.simulation.simulated_panel import SimulatedPanel
from elevator.simulation.simulated_process import Died, SimulatedProcess, Stopped
from elevator.simulation.simulated_server import SimulatedServer

GROUP = "world"


class Outside(Protocol):
    """What a simulated node has around it."""

    plan: Plan
    now_ms: int
    rng: random.Random
    key: bytes
    attacker: Attacker | None
    look_ms: int
    """When people look at lamps and doors next."""
    oracle: Oracle
    health: Health
    conduct: Conduct
    promises: Promises

    def tell(self, line: str) -> None:
        """Write a line of the transcript."""

    def broadcast(self, sender: int, heartbeat: Heartbeat) -> None: ...

    def begin_or_end(self, fault: InjectedFault, begins: bool) -> None: ...

    def take_over(self, id: int) -> None:
        """Let the supervisor of a node start the next worker soon, if one has crashed."""


@define(eq=False)
class SimulatedNode:
    """To its program it is disk, network and panel."""

    world: Outside
    id: int
    """Its number in the world."""
    node_id: int
    """The id that its program is given; that of another if it is a stranger."""
    name: str
    """What the transcript calls it."""
    disk: SimulatedDisk
    process: SimulatedProcess
    server: SimulatedServer
    panel: SimulatedPanel
    admission: Admission
    """The way into its program."""
    off: dict[FaultKind, int] = field(factory=dict)
    """How many faults hold it at present, of each kind of which any does."""
    is_failing: bool = False
    """Whether its program was last told that the disk takes nothing, or too long."""
    ordered_ms: int = 0
    """When its elevator was last told anything ..."""
    informed_ms: int = 0
    """... and of what time its program then knew its panel, if it was to obey nothing else."""
    lamps_checked: object = None

    @classmethod
    def build(cls, world: Outside, id: int, node_id: int, shaft: Shaft) -> "SimulatedNode":
        """Return a node around *shaft*, with an empty disk and no program yet."""
        floors, name = shaft.floors, str(id) if id < world.plan.cars else f"{node_id}*"

        def note(before: Machine, after: Machine, events: Iterable[Event]) -> None:
            host.note(before, after, events)

        server = SimulatedServer(machines.machine(shaft), world.rng, note)
        process = SimulatedProcess(lambda fault: world.begin_or_end(fault, begins=True))
        panel = SimulatedPanel(server, floors, phase_ms=3 * id)
        disk = SimulatedDisk(floors, world.rng)
        host = cls(world, id, node_id, name, disk, process, server, panel, Admission(GROUP))
        return host

    @property
    def floors(self) -> int:
        return self.panel.floors

    @property
    def node(self) -> Node | None:
        return self.process.node

    @property
    def machine(self) -> Machine:
        return self.server.machine

    @property
    def durable(self) -> Calls:
        return self.disk.durable

    @property
    def inputs(self) -> Inputs | None:
        return self.panel.inputs

    @property
    def under_way(self) -> Tick | None:
        return self.process.under_way

    @property
    def orders(self) -> bytes:
        return self.server.orders

    @property
    def stands_still(self) -> bool:
        return self.process.stands_still

    def has(self, kind: FaultKind) -> bool:
        return kind in self.off

    def has_any(self, kinds: AbstractSet[FaultKind]) -> bool:
        return not kinds.isdisjoint(self.off)

    def note(self, before: Machine, after: Machine, events: Iterable[Event] = ()) -> None:
        """Take notice of a change of the elevator."""
        if before.door is not after.door or before.lamps is not after.lamps:
            self.world.look_ms = self.world.now_ms
        self.panel.sweep_soon(self.world.now_ms)
        for event in events:
            self.world.tell(f"car {self.name}: {machines.describe(event)}")

    def knows_ms(self) -> int:
        """Tell of what time its program knows its panel at present."""
        decided_ms = self.world.now_ms if self.process.under_way is None else self.process.under_way.now_ms
        return min(decided_ms, self.panel.unseen_ms)

    def due_lamps(self) -> Buttons:
        """Return the lamps of its panel when its server has done what it has been told to."""
        lamps, sent = self.machine.lamps, self.panel.sent
        return lamps if not self.orders or sent is None else after(Outputs(lamps=lamps), sent).lamps

    # The ports of a turn

    def look(self) -> tuple[int, Inputs | None]:
        """See turn.py."""
        if self.process.is_stopped_at(Point.BEFORE_HARDWARE):
            raise Stopped
        return self.world.now_ms, self.panel.inputs

    def save(self, record: Record) -> None:
        if record == self.disk.asked or self.process.put_off_here(Point.BEFORE_RECORD, lambda: self.save(record)):
            return
        self.world.oracle.observe(self, record.calls)
        self.disk.save(record, self.world.now_ms)
        self.process.step_of_turn(Point.WHILE_RECORDING)

    def send(self, heartbeat: Heartbeat) -> None:
        if self.process.put_off_here(Point.BEFORE_BROADCAST, lambda: self.send(heartbeat)):
            return
        self.world.oracle.observe(self, heartbeat.calls)
        self.world.oracle.note_told(self, heartbeat)
        self.world.broadcast(self.id, heartbeat)
        self.process.step_of_turn(Point.AFTER_BROADCAST)

    def write(self, outputs: Outputs) -> None:
        if not self.panel.can_write(outputs):
            return
        self.process.step_of_turn(Point.BEFORE_HARDWARE)
        if not self.orders:
            self.informed_ms = self.knows_ms()
        self.ordered_ms = self.world.now_ms
        self.panel.write(outputs, self.world.now_ms)
        self.process.step_of_turn(Point.AFTER_HARDWARE)

    # The program

    def start(self) -> None:
        """Start the program."""
        world, now_ms = self.world, self.world.now_ms
        kept = self.disk.start()
        node = boot(self.node_id, self.floors, kept, world.rng.randrange(1 << 32), now_ms, world.plan.policy)
        world.tell(f"node {self.name} starts {'with' if kept else 'without'} a record")
        self.process.doom = None
        self.panel.start()
        self.admission = Admission(GROUP, [world.key])
        if world.attacker is not None:
            world.attacker.note_start(self.id)
        self.process.backlog.clear()
        self.is_failing = False
        if self.disk.is_unread:
            world.oracle.note_unread(self)
        world.oracle.note_start(self, node)
        if kept:
            world.oracle.note_saved(self, kept)
        if kept and kept.door and self.machine.door and self.machine.sensed == kept.door.floor:
            world.oracle.note_inherited(self, node)
        self.process.node = node
        self.save(record(node))
        self.process.wake_ms = now_ms
        self.panel.sweep_soon(now_ms)
        world.health.note_run(self, listens=True, door=kept.door if kept else None)

    def die(self, is_worker: bool = False) -> None:
        """End the program: its connection breaks, and with it the motor stops.

        Where it *is_worker* alone that ends, the process that writes its record does not, and writes what it was given.
        """
        self.world.tell(f"node {self.name} dies")
        held = self.disk.close(2 if is_worker else self.world.rng.randrange(3))
        if held is not None:
            self.world.oracle.note_saved(self, held)
        self.obey_all()
        self.process.end()
        self.panel.sent = self.panel.inputs = None
        self.server.change(machines.disconnect(self.machine, self.world.now_ms), self.world.now_ms)
        self.world.health.note_run(self)

    def obey_all(self) -> None:
        if self.orders:
            self.server.obey_all(self.world.now_ms)
            self.world.oracle.check_machine(self)  # While it is known whose orders these were.

    def attend(self) -> None:
        """Do what is due."""
        now_ms = self.world.now_ms
        if self.server.due_ms <= now_ms:
            self.server.settle(now_ms)
            self.world.oracle.check_machine(self)
            self.world.promises.judge(self)
        elif self.disk.due_ms <= now_ms:
            self.turn(())
        elif self.panel.sweep_ms <= now_ms:
            self.panel.sweep_ms = NEVER_MS
            self.sweep(())
        else:
            self.process.wake_ms = NEVER_MS
            self.turn(())
            if wrong := self.process.count_wake(now_ms):
                self.world.oracle.fail(f"node {self.id} {wrong}")

    def hear(self, heartbeats: Iterable[Heartbeat]) -> None:
        """Take in what arrives now, and the panel too if that is due, before a turn."""
        node, is_new, attacker = self.node, self.admission.is_new, self.world.attacker
        if node is None:
            return
        me = node.me
        heard = tuple([each for each in heartbeats if each.sender != me and is_new(each)])
        if attacker is not None:
            for heartbeat in heard:
                attacker.note(self.id, heartbeat)
        if self.process.stands_still:
            self.process.keep(heard)
        elif self.panel.sweep_ms <= self.world.now_ms:
            self.sweep(heard)
        elif heard:
            self.turn(heard)

    def sweep(self, heartbeats: tuple[Heartbeat, ...]) -> None:
        """Look at the panel, and take a turn if that says anything new or *heartbeats* came."""
        now_ms, panel = self.world.now_ms, self.panel
        if self.orders:
            if self.server.obey(now_ms):
                self.world.oracle.check_machine(self)
                self.world.promises.judge(self)
            else:
                panel.sweep_ms = self.server.orders_ms
        if self.node is None or self.process.stands_still:
            return
        inputs = self.misread(panel.read(now_ms)) if panel.is_answered(now_ms) else panel.inputs
        if inputs != panel.inputs:
            self.world.conduct.note_swept(self, inputs)
            panel.inputs = inputs
            self.turn(heartbeats)
            if not self.process.stands_still:
                self.world.conduct.judge_swept(self)
        elif heartbeats:
            self.turn(heartbeats)

    def misread(self, inputs: Inputs | None) -> Inputs | None:
        """Return *inputs* as a floor sensor that is out of order has them."""
        if inputs is not None and self.panel.inputs is not None and self.has(FaultKind.GLITCH):
            is_certain = self.world.health.knows_its_place(self)
            floor = false_floor(self.machine.shaft, self.world.now_ms) if is_certain else self.floors
            inputs = evolve(inputs, floor=floor)
        if inputs is not None and self.has(FaultKind.SENSOR):
            inputs = evolve(inputs, floor=self.floors)
        return inputs

    def turn(self, heartbeats: tuple[Heartbeat, ...]) -> None:
        """Take a turn, after the rest of one in which the program was stopped, or die in it."""
        world, process, disk = self.world, self.process, self.disk
        try:
            if disk.due_ms <= world.now_ms:
                held = disk.work(world.now_ms)
                if held is not None:
                    world.oracle.note_saved(self, held)
                    process.step_of_turn(Point.AFTER_RECORD)
            if process.node is None or process.stands_still:
                return
            process.go_on()
            if process.under_way is not None:
                world.conduct.note_going_on(self)
                self.take_turn(process.node, process.under_way)
                world.conduct.judge_going_on(self)
            if disk.answer.found is not None:
                world.health.note_found(self)
            recorded, failed, found = disk.take_answer()
            self.is_failing = failed or (self.is_failing and recorded is None)
            self.take_turn(process.node, Tick(world.now_ms, self.panel.inputs, heartbeats, recorded, failed, found))
        except Stopped:
            pass
        except Died as died:
            before, begun = process.node, process.under_way
            at_last = begun and evolve(begun, now_ms=world.now_ms, inputs=self.panel.inputs)
            world.tell(f"node {self.name} is killed {died}")
            self.die(is_worker=self.has(FaultKind.CRASH))
            world.take_over(self.id)
            if before is not None and at_last is not None:
                world.oracle.check_lamps(self, step(before, at_last))  # what it was when it died
            world.promises.judge(self)

    def take_turn(self, before: Node, tick: Tick) -> None:
        world, process = self.world, self.process
        process.under_way = tick
        after = process.node = turn(before, tick, self.look, self, self, self)
        process.under_way = None
        process.wake_ms = wake_at_ms(after) + world.plan.late_ms
        if after.oddities is not before.oddities:
            for what in sorted(after.oddities.keys() - before.oddities.keys()):
                world.tell(f"node {self.name}: {what}")
        news = (
            after.outgoing.message is not before.outgoing.message
            or after.drive is not before.drive
            or after.lit is not before.lit
        )
        if news or after.calls is not before.calls:
            for line in event_log.news(before, after):
                world.tell(f"node {self.name}: {line}")
            world.oracle.observe(self, after.calls)
            world.oracle.check_kept(self, before.calls, after.calls)
            world.promises.judge_kept(self, before.calls.seen.keys() - after.calls.seen.keys())
        world.oracle.check_lamps(self, after)
        world.promises.judge(self)


def false_floor(shaft: Shaft, now_ms: int) -> int:
    """Name a floor where a car cannot be, nor come to next: a distant one, or one that there is not."""
    nearest = round(position(shaft, now_ms))
    return next((floor for floor in (nearest + 2, nearest - 2) if 0 <= floor < shaft.floors), shaft.floors)
