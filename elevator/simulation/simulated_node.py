"""One simulated node with its program, its disk and its elevator behind a server.

The program takes turns by calling `turn`, with this node as its disk, network and panel. A fault can kill or freeze the
program before or after each write to the elevator, the disk or the network. A program that was frozen in mid-turn
completes that turn when it resumes.
"""

import random
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import NoReturn, Protocol

from elevator.building import elevator
from elevator.building.elevator import Event, Machine
from elevator.building.shaft import Shaft, position
from elevator.core.evolve import evolve
from elevator.core.messages import Heartbeat, Record, Tick
from elevator.core.model import NEVER_MS, Inputs, Outputs
from elevator.core.node import Node, boot, record, wake_at_ms
from elevator.core.turn import turn
from elevator.hardware.elevator_server import ServerCodec
from elevator.hardware.panel_client import PanelClient
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
from elevator.simulation.faults import PROGRAM_FAULTS, FaultKind, InjectedFault, Plan, Point
from elevator.simulation.simulated_disk import SimulatedDisk
from elevator.simulation.simulated_panel import SimulatedPanel
from elevator.simulation.simulated_process import Frozen, Killed, SimulatedProcess
from elevator.simulation.simulated_server import SimulatedServer

GROUP = "world"
SETTLED_MS, SENSOR_LEAD_MS = 1000, 50
DISTURBING = PROGRAM_FAULTS | {FaultKind.STOP, FaultKind.MOTOR, FaultKind.DEAD_SENSOR}
"""Faults after which a program may need SETTLED_MS to learn where its car is."""


class Environment(Protocol):
    """The part of World that a node uses."""

    plan: Plan
    now_ms: int
    rng: random.Random
    key: bytes
    attacker: Attacker | None
    stream: Stream
    crowd_at_ms: int

    def log(self, line: str) -> None: ...

    def fail(self, why: str) -> NoReturn: ...

    def broadcast(self, sender: int, heartbeat: Heartbeat) -> None: ...

    def begin_or_end(self, fault: InjectedFault, begins: bool) -> None: ...

    def start_next_worker_soon(self, id: int) -> None: ...


class SimulatedNode:
    """A node with its process, disk, panel and server. It is also the disk, network and panel that `turn` writes to."""

    def __init__(self, world: Environment, id: int, node_id: int, shaft: Shaft) -> None:
        """Join *world* with a car in *shaft* and an empty disk. Call `start` to start the program."""
        self.world = world
        self.id = id
        """The node's number in the world."""
        self.node_id = node_id
        """The id in the program's configuration. A duplicate node has the id of another node."""
        self.name = str(id) if id < world.plan.cars else f"{node_id}*"
        """The node's name in the transcript."""
        self.floors = shaft.floors
        self.active_faults: dict[FaultKind, int] = {}
        """The number of active faults of each kind."""
        self.disturbed_at_ms = 0
        """When a DISTURBING fault last began or ended, or the program started, ended or resumed."""
        self.sensed_at_ms = 0
        """When the floor sensor last changed."""
        self.is_full_turn = False
        """Whether the current turn runs a full step. Unchanged heartbeats do not need one."""
        self.disk = SimulatedDisk(shaft.floors, world.rng)
        self.process = SimulatedProcess(lambda fault: world.begin_or_end(fault, begins=True))
        self.server = SimulatedServer(elevator.machine(shaft), world.rng, self.on_elevator_changed)
        client = PanelClient(ServerCodec(shaft.floors), first_reply_ms=NEVER_MS)
        self.panel = SimulatedPanel(self.server, client, self.misread, phase_ms=3 * id)
        self.admission = Admission(GROUP)
        world.stream.emit(Joined(id, node_id, self.machine))
        self.server.replace(self.machine)

    @property
    def state(self) -> Node | None:
        return self.process.state

    @property
    def machine(self) -> Machine:
        return self.server.machine

    def has(self, kind: FaultKind) -> bool:
        return kind in self.active_faults

    def has_any(self, kinds: AbstractSet[FaultKind]) -> bool:
        return not kinds.isdisjoint(self.active_faults)

    def on_elevator_changed(self, before: Machine, after: Machine, events: Iterable[Event] = ()) -> None:
        """Emit a change of the elevator, log its *events*, and schedule a sweep."""
        now_ms = self.world.now_ms
        if before is not after:
            if before.door is not after.door or before.lamps is not after.lamps:
                self.world.crowd_at_ms = now_ms
            if before.sensed != after.sensed:
                self.sensed_at_ms = now_ms
            self.world.stream.emit(MachineChanged(self.id, before, after))
        self.panel.sweep_soon(now_ms)
        for event in events:
            self.world.log(f"car {self.name}: {elevator.describe(event)}")

    def is_position_certain(self) -> bool:
        """Return whether the program knows where its car is. Only then can it recognize an impossible floor."""
        now_ms = self.world.now_ms
        if self.has_any(DISTURBING) or now_ms - self.disturbed_at_ms < SETTLED_MS:
            return False
        return (
            self.sensed_at_ms - self.disturbed_at_ms if self.machine.sensed is None else now_ms - self.sensed_at_ms
        ) > SENSOR_LEAD_MS

    # The ports of a turn

    def read_inputs_again(self) -> tuple[int, Inputs | None]:
        """Return `read_inputs()`, or raise Frozen if a fault freezes the program here, just before its first output."""
        self.is_full_turn = True
        if self.process.freezes_at(Point.BEFORE_HARDWARE):
            raise Frozen
        return self.read_inputs()

    def read_inputs(self) -> tuple[int, Inputs | None]:
        """Return the current time and the newest inputs of the panel (None if they are stale)."""
        return self.world.now_ms, self.panel.client.inputs(self.world.now_ms)

    def save(self, record: Record) -> None:
        if record == self.disk.requested or self.process.defers_at(Point.BEFORE_RECORD, lambda: self.save(record)):
            return
        self.disk.save(record, self.world.now_ms)
        self.process.reach(Point.WHILE_RECORDING)

    def send(self, heartbeat: Heartbeat) -> None:
        if self.process.defers_at(Point.BEFORE_BROADCAST, lambda: self.send(heartbeat)):
            return
        self.world.stream.emit(HeartbeatSent(self.id, heartbeat))
        self.world.broadcast(self.id, heartbeat)
        self.process.reach(Point.AFTER_BROADCAST)

    def write(self, outputs: Outputs) -> None:
        client = self.panel.client
        if client.has_answered and outputs != client.sent:
            self.process.reach(Point.BEFORE_HARDWARE)
            self.panel.write(outputs, self.world.now_ms)
            self.process.reach(Point.AFTER_HARDWARE)

    # The program

    def start(self) -> None:
        """Start the program with the record on the disk."""
        world, now_ms = self.world, self.world.now_ms
        kept = self.disk.start(now_ms)
        state = boot(self.node_id, self.floors, kept, world.rng.randrange(1 << 32), now_ms, world.plan.policy)
        state = evolve(state, outgoing=evolve(state.outgoing, room_bytes=world.plan.room_bytes))
        world.log(f"node {self.name} starts {'with' if kept else 'without'} a record")
        self.process.kill_at = None
        self.panel.connect()
        self.admission = Admission(GROUP, [world.key])
        if world.attacker is not None:
            world.attacker.forget_accepted(self.id)
        self.process.backlog.clear()
        self.process.state = state
        world.stream.emit(ProgramStarted(self.id, state, kept))
        self.save(record(state))
        self.process.wake_at_ms = self.disturbed_at_ms = now_ms
        self.panel.sweep_soon(now_ms)

    def publish_stored(self, record: Record | None) -> bool:
        """Emit RecordStored for *record* and return True. If it is None, return False."""
        if record is not None:
            self.world.stream.emit(RecordStored(self.id, record))
        return record is not None

    def end_program(self, is_worker: bool = False) -> None:
        """Kill the program. Its connection to the server breaks, so the motor stops.

        If *is_worker* is true, only the worker dies. The recorder process still writes the newest record.
        """
        now_ms = self.disturbed_at_ms = self.world.now_ms
        self.world.log(f"node {self.name} dies")
        self.publish_stored(self.disk.lose_worker(is_killed=not is_worker))
        self.server.execute_all(now_ms)
        self.process.end()
        self.panel.client.forget()
        self.world.stream.emit(ProgramEnded(self.id))
        self.server.change(elevator.disconnect(self.machine, now_ms), now_ms)

    def handle_due(self) -> None:
        """Process one due event of the elevator, the disk, the panel or the program."""
        now_ms = self.world.now_ms
        if self.server.due_at_ms <= now_ms:
            self.server.settle(now_ms)
        elif self.disk.due_at_ms <= now_ms:
            if not self.process.is_frozen:
                self.panel.catch_up(now_ms)
            self.turn(())
        elif self.panel.sweep_at_ms <= now_ms:
            self.sweep(())
        else:
            self.process.wake_at_ms = NEVER_MS
            self.panel.catch_up(now_ms)
            self.turn(())
            if complaint := self.process.count_wake(now_ms):
                self.world.fail(f"node {self.id} {complaint}")

    def receive(self, heartbeats: Iterable[Heartbeat]) -> None:
        """Receive *heartbeats*, sweep the panel if a sweep is due, and take a turn if there is new input."""
        state, is_new, attacker = self.process.state, self.admission.note_new, self.world.attacker
        if state is None:
            return
        me = state.me
        accepted = tuple([each for each in heartbeats if each.sender != me and is_new(each)])
        if attacker is not None:
            for heartbeat in accepted:
                attacker.add_accepted(self.id, heartbeat)
        if self.process.is_frozen:
            self.process.queue(accepted)
        elif self.panel.sweep_at_ms <= self.world.now_ms:
            self.sweep(accepted)
        elif accepted:
            self.panel.catch_up(self.world.now_ms)
            self.turn(accepted)

    def sweep(self, heartbeats: tuple[Heartbeat, ...]) -> None:
        """Sweep the panel. Take a turn if its inputs changed or *heartbeats* arrived."""
        now_ms, panel = self.world.now_ms, self.panel
        self.server.execute_due(now_ms)
        if self.state is None or self.process.is_frozen:
            panel.sweep_at_ms = self.server.requests_at_ms if self.server.requests else NEVER_MS
            return
        panel.sweep(now_ms)
        if heartbeats or panel.client.inputs(now_ms) is not self.state.inputs:
            self.turn(heartbeats)

    def misread(self, reply: bytes) -> bytes:
        """Return the *reply* to a sweep, with a wrong floor if the floor sensor has a fault."""
        floor = None
        if self.has(FaultKind.FALSE_FLOOR) and self.panel.client.newest is not None:
            is_certain = self.is_position_certain()
            floor = false_floor(self.machine.shaft, self.world.now_ms) if is_certain else self.floors
        if self.has(FaultKind.DEAD_SENSOR):
            floor = self.floors
        return reply if floor is None else reply[:-11] + bytes((True, floor)) + reply[-9:]

    def turn(self, heartbeats: tuple[Heartbeat, ...]) -> None:
        """Complete an interrupted turn, if any, and take another. A fault may kill the program in mid-turn."""
        world, process, disk = self.world, self.process, self.disk
        try:
            if disk.due_at_ms <= world.now_ms and self.publish_stored(disk.work(world.now_ms)):
                process.reach(Point.AFTER_RECORD)
            if process.state is None or process.is_frozen:
                return
            process.run_deferred()
            if process.unfinished is not None:
                self.run_turn(process.state, process.unfinished)
            now_ms, inputs = self.read_inputs()
            asked_at_ms = self.panel.client.newest_asked_at_ms
            self.run_turn(process.state, Tick(now_ms, inputs, heartbeats, *disk.receive(now_ms), asked_at_ms))
        except Frozen:
            pass
        except Killed as killed:
            world.log(f"node {self.name} is killed {killed}")
            self.end_program(is_worker=self.has(FaultKind.CRASH))
            world.start_next_worker_soon(self.id)

    def run_turn(self, before: Node, tick: Tick) -> None:
        world, process, event = self.world, self.process, None
        process.unfinished, self.is_full_turn = tick, False
        world.stream.hold()
        try:
            after = process.state = turn(before, tick, self.read_inputs_again, self, self, self)
            if self.is_full_turn or tick.inputs is not before.inputs:
                event = TurnTaken(self.id, before, after, tick)
        except Killed:  # The outputs written before the kill are consistent with this state.
            ports = NullPorts()
            after = turn(before, tick, self.read_inputs, ports, ports, ports)
            event = TurnTaken(self.id, before, after, tick)
            raise
        finally:
            world.stream.release(event)
        process.unfinished = None
        process.wake_at_ms = wake_at_ms(after) + world.plan.late_ms
        if self.is_full_turn:
            for what in sorted(after.warnings.keys() - before.warnings.keys()):
                world.log(f"node {self.name}: {what}")
            if has_changes(before, after):
                for logged in event_log.events(before, after):
                    world.log(f"node {self.name}: {logged.text}")


def has_changes(before: Node, after: Node) -> bool:
    """Return whether a turn has changed the car, the calls, the lamps or the heartbeat."""
    is_same = after.drive is before.drive and after.calls is before.calls and after.lit is before.lit
    return not is_same or after.outgoing.message is not before.outgoing.message


class NullPorts:
    """A disk, a network and a panel that ignore everything."""

    def save(self, record: Record) -> None: ...

    def send(self, heartbeat: Heartbeat) -> None: ...

    def write(self, outputs: Outputs) -> None: ...


def false_floor(shaft: Shaft, now_ms: int) -> int:
    """Return a floor that the car cannot have reached, or one that does not exist."""
    nearest = round(position(shaft, now_ms))
    return next((floor for floor in (nearest + 2, nearest - 2) if 0 <= floor < shaft.floors), shaft.floors)
