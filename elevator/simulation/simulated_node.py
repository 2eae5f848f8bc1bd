"""One simulated node: a machine with its disk, its program, and its elevator behind a server.

The program takes the turns of turn.py, to which this is disk, network and panel. It may be killed or stopped at every
step of a turn: before and after each write to elevator, disk and network. One that is stopped in a turn goes on there,
with all that it has yet to do.
"""

import random
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import NoReturn, Protocol

from attrs import define, evolve, field

from elevator.building import elevator as machines
from elevator.building.elevator import Event, Machine
from elevator.building.shaft import Shaft, position
from elevator.core.model import NEVER_MS, Heartbeat, Inputs, Outputs, Record, Tick
from elevator.core.node import Node, boot, record, wake_at_ms
from elevator.core.turn import turn
from elevator.net.admission import Admission
from elevator.runtime import event_log
from elevator.simulation.attacker import Attacker
from elevator.simulation.events import (
    HeartbeatSent,
    Joined,
    MachineChanged,
    ProgramEnded,
    ProgramStarted,
    RecordStored,
    Stream,
    TurnTaken,
)
from elevator.simulation.faults import PROGRAM, FaultKind, InjectedFault, Plan, Point
from elevator.simulation.simulated_disk import SimulatedDisk
from elevator.simulation.simulated_panel import SimulatedPanel
from elevator.simulation.simulated_process import Died, SimulatedProcess, Stopped
from elevator.simulation.simulated_server import SimulatedServer

GROUP = "world"
STEADY_MS, EARLIER_MS = 1000, 50
UNSTEADY = PROGRAM | {FaultKind.STOP, FaultKind.MOTOR, FaultKind.SENSOR}
"""What may keep a program from knowing for STEADY_MS where its car is."""


class Outside(Protocol):
    """What a simulated node has around it."""

    plan: Plan
    now_ms: int
    rng: random.Random
    key: bytes
    attacker: Attacker | None
    stream: Stream
    look_ms: int
    """When people look at lamps and doors next."""

    def tell(self, line: str) -> None:
        """Write a line of the transcript."""

    def fail(self, why: str) -> NoReturn: ...

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
    upset_ms: int = 0
    """When a fault last began or ended, or its program started, ended or went on."""
    sensed_ms: int = 0
    """When its floor sensor last changed."""
    has_looked: bool = False
    """Whether the turn that it is taking is more than a sign of life: see turn.py."""

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
        world.stream.emit(Joined(id, node_id, server.machine))
        server.take(server.machine)
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

    def has(self, kind: FaultKind) -> bool:
        return kind in self.off

    def has_any(self, kinds: AbstractSet[FaultKind]) -> bool:
        return not kinds.isdisjoint(self.off)

    def note(self, before: Machine, after: Machine, events: Iterable[Event] = ()) -> None:
        """Take notice of a change of the elevator."""
        now_ms = self.world.now_ms
        if before is not after:
            if before.door is not after.door or before.lamps is not after.lamps:
                self.world.look_ms = now_ms
            if before.sensed != after.sensed:
                self.sensed_ms = now_ms
            self.world.stream.emit(MachineChanged(self.id, before, after))
        self.panel.sweep_soon(now_ms)
        for event in events:
            self.world.tell(f"car {self.name}: {machines.describe(event)}")

    def knows_its_place(self) -> bool:
        """Tell whether its program has been told truly where its car is, and can tell what is impossible."""
        now_ms = self.world.now_ms
        if self.has_any(UNSTEADY) or now_ms - self.upset_ms < STEADY_MS:
            return False
        return (self.sensed_ms - self.upset_ms if self.machine.sensed is None else now_ms - self.sensed_ms) > EARLIER_MS

    # The ports of a turn

    def look(self) -> tuple[int, Inputs | None]:
        """See turn.py."""
        self.has_looked = True
        if self.process.is_stopped_at(Point.BEFORE_HARDWARE):
            raise Stopped
        return self.world.now_ms, self.panel.inputs

    def save(self, record: Record) -> None:
        if record == self.disk.asked or self.process.put_off_here(Point.BEFORE_RECORD, lambda: self.save(record)):
            return
        self.disk.save(record, self.world.now_ms)
        self.process.step_of_turn(Point.WHILE_RECORDING)

    def send(self, heartbeat: Heartbeat) -> None:
        if self.process.put_off_here(Point.BEFORE_BROADCAST, lambda: self.send(heartbeat)):
            return
        self.world.stream.emit(HeartbeatSent(self.id, heartbeat))
        self.world.broadcast(self.id, heartbeat)
        self.process.step_of_turn(Point.AFTER_BROADCAST)

    def write(self, outputs: Outputs) -> None:
        if not self.panel.can_write(outputs):
            return
        self.process.step_of_turn(Point.BEFORE_HARDWARE)
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
        self.process.node = node
        world.stream.emit(ProgramStarted(self.id, node, kept))
        self.save(record(node))
        self.process.wake_ms = self.upset_ms = now_ms
        self.panel.sweep_soon(now_ms)

    def die(self, is_worker: bool = False) -> None:
        """End the program: its connection breaks, and with it the motor stops.

        Where it *is_worker* alone that ends, the process that writes its record does not, and writes what it was given.
        """
        now_ms = self.upset_ms = self.world.now_ms
        self.world.tell(f"node {self.name} dies")
        held = self.disk.close(2 if is_worker else self.world.rng.randrange(3))
        if held is not None:
            self.world.stream.emit(RecordStored(self.id, held))
        self.server.obey_all(now_ms)
        self.process.end()
        self.panel.sent = self.panel.inputs = None
        self.world.stream.emit(ProgramEnded(self.id))
        self.server.change(machines.disconnect(self.machine, now_ms), now_ms)

    def attend(self) -> None:
        """Handle the event that is due."""
        now_ms = self.world.now_ms
        if self.server.due_ms <= now_ms:
            self.server.settle(now_ms)
        elif self.disk.due_ms <= now_ms:
            self.turn(())
        elif self.panel.sweep_ms <= now_ms:
            self.panel.sweep_ms = NEVER_MS
            self.sweep(())
        else:
            self.process.wake_ms = NEVER_MS
            self.turn(())
            if wrong := self.process.count_wake(now_ms):
                self.world.fail(f"node {self.id} {wrong}")

    def hear(self, heartbeats: Iterable[Heartbeat]) -> None:
        """Take in what arrives now, and the panel too if that is due, before a turn."""
        node, is_new, attacker = self.process.node, self.admission.note_new, self.world.attacker
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
        if self.server.orders and not self.server.obey(now_ms):
            panel.sweep_ms = self.server.orders_ms
        if self.node is None or self.process.stands_still:
            return
        inputs = self.misread(panel.read(now_ms)) if panel.is_answered(now_ms) else panel.inputs
        if inputs != panel.inputs:
            panel.inputs = inputs
            self.turn(heartbeats)
        elif heartbeats:
            self.turn(heartbeats)

    def misread(self, inputs: Inputs | None) -> Inputs | None:
        """Return *inputs* as a floor sensor that is out of order has them."""
        if inputs is not None and self.panel.inputs is not None and self.has(FaultKind.GLITCH):
            is_certain = self.knows_its_place()
            floor = false_floor(self.machine.shaft, self.world.now_ms) if is_certain else self.floors
            inputs = evolve(inputs, floor=floor)
        if inputs is not None and self.has(FaultKind.SENSOR):
            inputs = evolve(inputs, floor=self.floors)
        return inputs

    def turn(self, heartbeats: tuple[Heartbeat, ...]) -> None:
        """Take a turn, after the rest of an interrupted one. The program may die in it."""
        world, process, disk = self.world, self.process, self.disk
        try:
            if disk.due_ms <= world.now_ms:
                held = disk.work(world.now_ms)
                if held is not None:
                    world.stream.emit(RecordStored(self.id, held))
                    process.step_of_turn(Point.AFTER_RECORD)
            if process.node is None or process.stands_still:
                return
            process.go_on()
            if process.under_way is not None:
                self.take_turn(process.node, process.under_way)
            recorded, failed, found = disk.take_answer()
            asked_at_ms, told = self.panel.asked_at_ms(world.now_ms), (recorded, failed, found)
            self.take_turn(process.node, Tick(world.now_ms, self.panel.inputs, heartbeats, *told, asked_at_ms))
        except Stopped:
            pass
        except Died as died:
            world.tell(f"node {self.name} is killed {died}")
            self.die(is_worker=self.has(FaultKind.CRASH))
            world.take_over(self.id)

    def take_turn(self, before: Node, tick: Tick) -> None:
        world, process, taken = self.world, self.process, None
        process.under_way, self.has_looked = tick, False
        world.stream.hold()
        try:
            after = process.node = turn(before, tick, self.look, self, self, self)
            if self.has_looked or tick.inputs is not before.inputs:
                taken = TurnTaken(self.id, before, after, tick)
        except Died:  # It has become what it would have been, as far as others can tell.
            nowhere = Nowhere()
            after = turn(before, tick, lambda: (world.now_ms, self.panel.inputs), nowhere, nowhere, nowhere)
            taken = TurnTaken(self.id, before, after, tick)
            raise
        finally:
            world.stream.release(taken)
        process.under_way = None
        process.wake_ms = wake_at_ms(after) + world.plan.late_ms
        if self.has_looked:
            for what in sorted(after.oddities.keys() - before.oddities.keys()):
                world.tell(f"node {self.name}: {what}")
            if is_news(before, after):
                for event in event_log.events(before, after):
                    world.tell(f"node {self.name}: {event.text}")


def is_news(before: Node, after: Node) -> bool:
    """Tell whether a turn has changed what a node does, holds, promises or says."""
    is_same = after.drive is before.drive and after.calls is before.calls and after.lit is before.lit
    return not is_same or after.outgoing.message is not before.outgoing.message


class Nowhere:
    """Disk, network and panel of a program that is dead."""

    def save(self, record: Record) -> None: ...

    def send(self, heartbeat: Heartbeat) -> None: ...

    def write(self, outputs: Outputs) -> None: ...


def false_floor(shaft: Shaft, now_ms: int) -> int:
    """Name a floor where a car cannot be, nor come to next: a distant one, or one that there is not."""
    nearest = round(position(shaft, now_ms))
    return next((floor for floor in (nearest + 2, nearest - 2) if 0 <= floor < shaft.floors), shaft.floors)
