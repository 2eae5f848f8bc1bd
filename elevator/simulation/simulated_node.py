"""One simulated node with its program, its disk and its elevator behind a server.

The program takes turns by calling `turn`. The node collects the outputs of each turn and then performs them one by one.
A fault can kill or freeze the program before or after each output. A program that was frozen in mid-turn completes that
turn when it resumes.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping

from elevator.building import elevators
from elevator.building.elevators import Event, SimulatedElevator
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
from elevator.simulation.events import (
    ElevatorChanged,
    HeartbeatSent,
    ProgramEnded,
    ProgramStarted,
    RecordStored,
    Trial,
    TurnTaken,
)
from elevator.simulation.faults import PROGRAM_FAULTS, FaultKind, InjectedFault, Point
from elevator.simulation.links import GROUP, Links
from elevator.simulation.simulated_disk import SimulatedDisk
from elevator.simulation.simulated_panel import SimulatedPanel
from elevator.simulation.simulated_process import BACKLOG_MAX, WAKES_MAX, Frozen, Killed, SimulatedProcess
from elevator.simulation.simulated_server import SimulatedServer

REMEMBERED_MAX = 2000
SETTLED_MS, SENSOR_LEAD_MS = 1000, 50
DISTURBING = PROGRAM_FAULTS | {FaultKind.STOP, FaultKind.MOTOR, FaultKind.DEAD_SENSOR}
"""Faults that may hide from a program where its car is, while they last and for SETTLED_MS after their end."""
POINTS: Mapping[type, tuple[Point, Point]] = {
    Outputs: (Point.BEFORE_HARDWARE, Point.AFTER_HARDWARE),
    Record: (Point.BEFORE_RECORD, Point.WHILE_RECORDING),
    Heartbeat: (Point.BEFORE_BROADCAST, Point.AFTER_BROADCAST),
}
"""The points before and after each kind of output."""


class SimulatedNode:
    """A node with its process, disk, panel and server."""

    def __init__(
        self, trial: Trial, links: Links, freeze: Callable[[InjectedFault], None], number: int, id: int, shaft: Shaft
    ) -> None:
        """Create a node for *trial*, with its car in *shaft* and an empty disk. Its program runs only after `start`.

        *freeze* begins a fault that freezes the program in mid-turn.
        """
        self.trial = trial
        self.links = links
        self.number = number
        """The node's number in the world, which is unique."""
        self.id = id
        """The id in the program's configuration. A misconfigured node may have the id of another node."""
        self.name = str(number) if number < trial.plan.cars else f"{id}*"
        """The node's name in the transcript: the number, or the id and an asterisk for a misconfigured node."""
        self.floors = shaft.floors
        self.faults: list[InjectedFault] = []
        """The active faults of this node."""
        self.disturbed_at_ms = 0
        """When a DISTURBING fault last began or ended, or the program started, ended or resumed."""
        self.sensed_at_ms = 0
        """When the floor sensor last changed."""
        self.is_full_turn = False
        """True if the last or current turn runs a full step. A turn that only extends peers' timeouts needs none."""
        self.disk = SimulatedDisk(shaft.floors, trial.rng, self.on_stored)
        self.process = SimulatedProcess(freeze)
        self.server = SimulatedServer(elevators.new_elevator(shaft), trial.rng, self.on_elevator_changed)
        client = PanelClient(ServerCodec(shaft.floors), first_reply_ms=NEVER_MS)
        self.panel = SimulatedPanel(self.server, client, self.misread, phase_ms=3 * number)
        self.admission = Admission(GROUP)
        self.accepted: deque[Heartbeat] = deque(maxlen=REMEMBERED_MAX)
        """The heartbeats that the program has accepted since it started, at most the newest REMEMBERED_MAX. An attacker
        can replay them."""
        self.server.replace(self.elevator)

    @property
    def state(self) -> Node | None:
        return self.process.state

    @property
    def elevator(self) -> SimulatedElevator:
        return self.server.elevator

    @property
    def due_at_ms(self) -> int:
        """When to call `handle_due`."""
        return min(self.process.wake_at_ms, self.panel.sweep_at_ms, self.server.due_at_ms, self.disk.due_at_ms)

    def has(self, *kinds: FaultKind) -> bool:
        """Return whether a fault of one of the *kinds* is active."""
        return any(fault.kind in kinds for fault in self.faults)

    def on_elevator_changed(
        self, before: SimulatedElevator, after: SimulatedElevator, events: Iterable[Event] = ()
    ) -> None:
        """Emit the change of the elevator unless *before* is *after*. Log the *events*, and schedule a sweep."""
        now_ms = self.trial.now_ms
        if before is not after:
            if before.sensed != after.sensed:
                self.sensed_at_ms = now_ms
            self.trial.emit(ElevatorChanged(self.number, before, after))
        self.panel.sweep_soon(now_ms)
        for event in events:
            self.trial.log(f"car {self.name}: {elevators.describe(event)}")

    def on_stored(self, record: Record) -> None:
        self.trial.emit(RecordStored(self.number, record))

    def is_position_certain(self) -> bool:
        """Return whether the program certainly knows where its car is. Only then can it detect an impossible floor."""
        now_ms = self.trial.now_ms
        if self.has(*DISTURBING) or now_ms - self.disturbed_at_ms < SETTLED_MS:
            return False
        return (
            self.sensed_at_ms - self.disturbed_at_ms if self.elevator.sensed is None else now_ms - self.sensed_at_ms
        ) > SENSOR_LEAD_MS

    # The program

    def start(self) -> None:
        """Start the program, with the record if the disk holds one that can be read."""
        trial, links, now_ms = self.trial, self.links, self.trial.now_ms
        kept = self.disk.start(now_ms)
        state = boot(self.id, self.floors, kept, trial.rng.randrange(1 << 32), now_ms, trial.plan.policy)
        state = evolve(state, outgoing=evolve(state.outgoing, room_bytes=trial.plan.room_bytes))
        trial.log(f"node {self.name} starts {'with' if kept else 'without'} a record")
        self.panel.connect()
        self.admission = Admission(GROUP, [links.key])
        self.accepted.clear()
        self.process.state = state
        trial.emit(ProgramStarted(self.number, state, kept))
        self.disk.save(record(state), now_ms)
        self.process.wake_at_ms = self.disturbed_at_ms = now_ms
        self.panel.sweep_soon(now_ms)

    def end_program(self, is_worker: bool = False) -> None:
        """Kill the program. Its connection to the server breaks, so the motor stops.

        If *is_worker* is true, only the worker is killed, and the recorder process still tries to write the newest
        record.
        """
        now_ms = self.disturbed_at_ms = self.trial.now_ms
        self.trial.log(f"node {self.name} dies")
        self.disk.lose_worker(is_killed=not is_worker)
        self.server.execute_all(now_ms)
        self.process.end()
        self.panel.client.forget()
        self.trial.emit(ProgramEnded(self.number))
        self.server.change(elevators.disconnect(self.elevator, now_ms), now_ms)

    def handle_due(self) -> None:
        """Process one due event of the elevator, the disk, the panel or the program."""
        now_ms = self.trial.now_ms
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
            if self.process.count_wake(now_ms):
                self.trial.fail(f"node {self.name} wakes up more than {WAKES_MAX} times a second without input")

    def receive(self, heartbeats: Iterable[Heartbeat]) -> None:
        """Receive *heartbeats*, sweep the panel if a sweep is due, and take a turn if there is new input.

        A frozen program receives them when it resumes. A dead program ignores them.
        """
        state, is_new = self.process.state, self.admission.note_new
        if state is None:
            return
        me = state.me
        accepted = tuple([each for each in heartbeats if each.sender != me and is_new(each)])
        self.accepted += accepted
        if self.process.is_frozen:
            self.process.backlog += accepted[: BACKLOG_MAX - len(self.process.backlog)]
        elif self.panel.sweep_at_ms <= self.trial.now_ms:
            self.sweep(accepted)
        elif accepted:
            self.panel.catch_up(self.trial.now_ms)
            self.turn(accepted)

    def sweep(self, heartbeats: tuple[Heartbeat, ...]) -> None:
        """Do the next step of the sweep. Take a turn if the inputs of the panel changed or *heartbeats* arrived.

        While the program is dead or frozen, the server only executes the requests that it has already received.
        """
        now_ms, panel = self.trial.now_ms, self.panel
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
            floor = false_floor(self.elevator.shaft, self.trial.now_ms) if is_certain else self.floors
        if self.has(FaultKind.DEAD_SENSOR):
            floor = self.floors
        return reply if floor is None else reply[:-11] + bytes((True, floor)) + reply[-9:]

    def turn(self, heartbeats: tuple[Heartbeat, ...]) -> None:
        """Let the recorder act if it is due. Then complete an interrupted turn, if any, and take a new one.

        A dead or frozen program takes no turn. A fault may kill or freeze the program in mid-turn.
        """
        trial, process, disk = self.trial, self.process, self.disk
        try:
            if disk.due_at_ms <= trial.now_ms and disk.work(trial.now_ms):
                process.interrupt_if_due(Point.AFTER_RECORD)
            if process.state is None or process.is_frozen:
                return
            self.perform_outputs()
            if process.unfinished is not None:
                self.run_turn(process.state, process.unfinished)
            now_ms, inputs = self.read_inputs()
            asked_at_ms = self.panel.client.newest_asked_at_ms
            self.run_turn(process.state, Tick(now_ms, inputs, heartbeats, *disk.receive(now_ms), asked_at_ms))
        except Frozen:
            pass
        except Killed as killed:
            trial.log(f"node {self.name} is killed {killed}")
            self.end_program(is_worker=self.has(FaultKind.CRASH))

    def run_turn(self, before: Node, tick: Tick) -> None:
        trial, process = self.trial, self.process
        process.unfinished, self.is_full_turn = tick, False
        after = process.state = turn(before, tick, self.read_inputs_again, self, self, self)
        if self.is_full_turn or tick.inputs is not before.inputs:
            trial.emit(TurnTaken(self.number, before, after, tick))
        self.perform_outputs()
        process.unfinished = None
        process.wake_at_ms = wake_at_ms(after) + trial.plan.late_ms
        if self.is_full_turn:
            for what in sorted(after.warnings.keys() - before.warnings.keys()):
                trial.log(f"node {self.name}: {what}")
            for logged in event_log.events(before, after):
                trial.log(f"node {self.name}: {logged.text}")

    def perform_outputs(self) -> None:
        """Perform the remaining outputs of the newest turn.

        A fault may kill or freeze the program before or after each output.
        """
        process, now_ms = self.process, self.trial.now_ms
        while process.outputs:
            output = process.outputs[0]
            before, after = POINTS[type(output)]
            if process.interrupt_if_due(before):
                return
            process.outputs.pop(0)
            match output:
                case Outputs():
                    self.panel.write(output, now_ms)
                case Record():
                    self.disk.save(output, now_ms)
                case Heartbeat():
                    self.trial.emit(HeartbeatSent(self.number, output))
                    self.links.send(self.number, output, now_ms)
            if process.interrupt_if_due(after):
                return

    # What `turn` calls: these functions read the inputs and collect the outputs.

    def read_inputs(self) -> tuple[int, Inputs | None]:
        """Return the current time and the newest inputs of the panel (None if there are none or they are stale)."""
        return self.trial.now_ms, self.panel.client.inputs(self.trial.now_ms)

    def read_inputs_again(self) -> tuple[int, Inputs | None]:
        """Return `read_inputs()`, and note that the turn runs a full step.

        Raise Frozen if a fault freezes the program here, just before its first output.
        """
        self.is_full_turn = True
        if self.process.freeze_if_due(Point.BEFORE_HARDWARE):
            raise Frozen
        return self.read_inputs()

    def write(self, outputs: Outputs) -> None:
        if self.panel.client.has_answered and outputs != self.panel.client.sent:
            self.process.outputs.append(outputs)

    def save(self, record: Record) -> None:
        if record != self.disk.requested:
            self.process.outputs.append(record)

    def send(self, heartbeat: Heartbeat) -> None:
        self.process.outputs.append(heartbeat)


def false_floor(shaft: Shaft, now_ms: int) -> int:
    """Return a floor that the car cannot have reached, or one that does not exist."""
    nearest = round(position(shaft, now_ms))
    return next((floor for floor in (nearest + 2, nearest - 2) if 0 <= floor < shaft.floors), shaft.floors)
