"""A group in the simulated world that a test controls step by step, and what tests do to it and ask of it.

The judges of the world watch, unless a scenario does what no fault of the world does.
"""

from collections.abc import Callable, Iterable

from attrs import evolve

from elevator.building import elevator as machines
from elevator.building.elevator import Event, EventKind, Machine, misbehaviour
from elevator.core.call_set import mask, serve
from elevator.core.model import (
    NEVER_MS,
    Behaviour,
    Button,
    Call,
    Fault,
    Motor,
    Park,
    Policy,
    Record,
)
from elevator.core.node import Node, record
from elevator.net.wire import decode
from elevator.runtime.event_log import Journal
from elevator.simulation.events import DiskWiped, MachineChanged, ProgramStarted, TurnTaken
from elevator.simulation.faults import FaultKind, InjectedFault, Plan, Press
from elevator.simulation.simulated_node import GROUP, SimulatedNode
from elevator.simulation.world import World
from elevator.storage.recorder_client import FOUND
from elevator.storage.records import write_record

PRESS_MS = 200
LOG_MS = 100
"""How often a node's log is brought up to date at least."""
STAY = Policy(park=Park.NONE)
"""Cars stay where they are: most scenarios say where each one is."""


class ScriptedNode:
    """One node of a `Group`."""

    def __init__(self, world: World, id: int) -> None:
        self.world = world
        self.id = id
        """Its number in the world."""
        self.faults: dict[tuple[FaultKind, int], InjectedFault] = {}
        self.events: list[Event] = []
        self.log: list[str] = []
        self.journal = Journal()

    @property
    def host(self) -> SimulatedNode:
        return self.world.hosts[self.id]

    @property
    def node(self) -> Node | None:
        return self.host.node

    @property
    def machine(self) -> Machine:
        return self.host.machine

    def inject(self, kind: FaultKind, on: bool, detail: int = 0, delay_ms: int = 0) -> None:
        """Let a fault begin here, or end."""
        if on and (kind, detail) not in self.faults:
            fault = InjectedFault(kind, self.world.now_ms, NEVER_MS, self.id, detail=detail, delay_ms=delay_ms)
            self.faults[kind, detail] = fault
            self.world.begin_or_end(fault, begins=True)
        elif not on and (kind, detail) in self.faults:
            self.world.begin_or_end(self.faults.pop((kind, detail)), begins=False)

    def kill(self) -> None:
        self.inject(FaultKind.KILL, on=True)

    def start(self) -> None:
        self.inject(FaultKind.KILL, on=False)

    def wipe(self) -> None:
        """Delete its record; the program must be dead."""
        self.world.stream.emit(DiskWiped(self.id))
        self.host.disk.wipe()

    def freeze(self, on: bool) -> None:
        self.inject(FaultKind.FREEZE, on)

    def unplug_server(self, on: bool = True) -> None:
        self.inject(FaultKind.SERVER, on)

    def lie(self, floor: int | None) -> None:
        """Let the floor sensor name *floor*; None: what is true."""
        panel = self.host.panel
        panel.misread = lambda reply: reply if floor is None else reply[:-11] + bytes((True, floor)) + reply[-9:]
        panel.sweep_soon(self.world.now_ms)

    def take(self, machine: Machine) -> None:
        self.host.server.change(machine, self.world.now_ms)

    def find(self, found: Record) -> None:
        """Let the recorder find a record that it could not read before."""
        self.host.disk.mail.append(FOUND + write_record(found).encode())
        self.host.disk.due_ms = self.world.now_ms

    def hear(self, datagram: bytes, at_ms: int) -> None:
        """Let a *datagram* arrive here at *at_ms*."""
        heartbeat = decode(datagram, GROUP)
        assert heartbeat is not None
        self.world.links.put(self.id, heartbeat, at_ms)


class Group:
    """*cars* nodes, each with its car at rest at the floor that *at* names."""

    def __init__(
        self,
        cars: int = 3,
        floors: int = 4,
        at: Iterable[float] = (0, 0, 0),
        travel_ms: int = 2000,
        policy: Policy = STAY,
        judged: bool = True,
    ) -> None:
        places = tuple(place for place, _ in zip(at, range(cars), strict=False))
        self.world = World(Plan(0, len(places), floors, travel_ms, NEVER_MS, (), (), at=places, policy=policy))
        if not judged:
            self.world.stream.handlers.clear()
        self.world.stream.subscribe(MachineChanged, self.note_machine)
        self.world.stream.subscribe(TurnTaken, self.note_turn)
        self.world.stream.subscribe(ProgramStarted, self.note_start)
        self.computers = [ScriptedNode(self.world, host.id) for host in self.world.hosts]
        self.run(1000)

    def __getitem__(self, number: int) -> ScriptedNode:
        return self.computers[number]

    @property
    def now_ms(self) -> int:
        return self.world.now_ms

    def note_machine(self, event: MachineChanged) -> None:
        self[event.host].events += machines.changes(event.before, event.after, self.now_ms)

    def note_turn(self, event: TurnTaken) -> None:
        node = self[event.host]
        node.log += node.journal.news(event.before, event.after)

    def note_start(self, event: ProgramStarted) -> None:
        self[event.host].journal = Journal()

    def run(self, ms: int) -> None:
        until_ms = self.now_ms + ms
        while self.now_ms < until_ms:
            self.world.run_until(min(self.now_ms + LOG_MS, until_ms))
            for each in self.computers:
                if each.node is not None:  # The world reports no turn that brings only signs of life.
                    each.log += each.journal.news(each.node, each.node)

    def run_until(self, condition: Callable[[], bool], within_ms: int) -> int:
        """Run until *condition* holds; return how long that took."""
        start_ms = self.now_ms
        while not condition():
            assert self.now_ms < start_ms + within_ms, "it took too long"
            self.run(1)
        return self.now_ms - start_ms

    def press(self, panel: int, button: Button, floor: int) -> None:
        self.world.press(Press(self.now_ms, self.now_ms + PRESS_MS, panel, button, floor), begins=True)

    def link(self, is_linked: Callable[[int, int], bool]) -> None:
        """Let only those datagrams pass for whose sender and receiver *is_linked* holds."""
        for receiver in self.computers:
            for sender in self.computers:
                if sender is not receiver:
                    receiver.inject(FaultKind.DEAF, not is_linked(sender.id, receiver.id), detail=sender.id)

    def join(self, kind: FaultKind, id: int, floors: int = 0) -> ScriptedNode:
        """Let a node join that should not be there."""
        self.computers.append(ScriptedNode(self.world, len(self.computers)))
        self.world.begin_or_end(InjectedFault(kind, self.now_ms, NEVER_MS, id, detail=floors), begins=True)
        return self.computers[-1]

    def lit(self, panel: int) -> set[tuple[str, int]]:
        """Return what is lit on a panel."""
        lamps = self[panel].machine.lamps
        return {(button.name.lower(), floor) for button in Button for floor in machines.floors_of(mask(lamps, button))}


UP, DOWN, CAB = Button.UP, Button.DOWN, Button.CAB


SPREAD, LOBBY = Policy(park=Park.SPREAD), Policy(park=Park.LOBBY)


def doors(computer: ScriptedNode) -> list[tuple[int, bool]]:
    return [(event.at_ms, bool(event.value)) for event in computer.events if event.kind is EventKind.DOOR]


def lamps(computer: ScriptedNode, button: Button, floor: int) -> list[bool]:
    """Return the history of one lamp."""
    return [
        bool(event.value)
        for event in computer.events
        if event.kind is EventKind.LAMP and (event.button, event.floor) == (button, floor)
    ]


def floor_of(computer: ScriptedNode) -> int | None:
    return computer.machine.sensed


def behaviour(computer: ScriptedNode) -> Behaviour:
    assert computer.node is not None
    return computer.node.drive.behaviour


def fault(computer: ScriptedNode) -> Fault:
    assert computer.node is not None
    return computer.node.drive.fault


def is_idle(group: Group) -> bool:
    return all(computer.node is None or behaviour(computer) is Behaviour.IDLE for computer in group.computers)


def is_dark(group: Group) -> bool:
    return not any(group.lit(computer.id) for computer in group.computers if computer.node is not None)


def settle(group: Group, within_ms: int = 60_000) -> None:
    """Run until everything is served, and check that no car did what none may."""
    group.run(300)
    group.run_until(lambda: is_dark(group) and is_idle(group), within_ms)
    for computer in group.computers:
        assert misbehaviour(computer.machine.counts) == 0


def motors(computer: ScriptedNode) -> list[tuple[int, Motor]]:
    return [(event.at_ms, Motor(int(event.value or 0))) for event in computer.events if event.kind is EventKind.MOTOR]


def lose_server(group: Group, for_ms: int) -> None:
    group[0].unplug_server()
    group.run(for_ms)
    group[0].unplug_server(on=False)


def serve_elsewhere(computer: ScriptedNode, call: Call) -> None:
    """Let a node learn that another car has served *call*."""
    assert computer.node is not None
    computer.find(evolve(record(computer.node), calls=serve(computer.node.calls, {call})))


def obstruct(computer: ScriptedNode, on: bool) -> None:
    computer.inject(FaultKind.OBSTRUCT, on)


def stop_button(computer: ScriptedNode, on: bool) -> None:
    computer.inject(FaultKind.STOP, on)


def machine_door(computer: ScriptedNode) -> bool:
    return computer.machine.door


def power(computer: ScriptedNode, on: bool) -> None:
    computer.inject(FaultKind.MOTOR, not on)


def cut(group: Group, *islands: set[int]) -> None:
    group.link(lambda sender, receiver: any(sender in island and receiver in island for island in islands))


def assert_able_on_trips_to(group: Group, *floors: int) -> None:
    """Send car 0 to one floor after the other, and see that it never takes itself for unable."""
    for floor in floors:
        group.press(0, CAB, floor)
        group.run(50)
        while group.lit(0):
            assert fault(group[0]) is Fault.NONE
            group.run(10)
        settle(group)


def group_with_twin() -> Group:
    """Return a group of two cars in which node 2 uses the id of node 0."""
    group = Group(cars=2, at=(0, 3))
    group.join(FaultKind.TWIN, id=0)
    group.run(1500)
    return group


def places(group: Group) -> list[int | None]:
    return [computer.machine.sensed for computer in group.computers]
