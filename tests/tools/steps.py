"""Runs a group of cars in the simulated world step by step. Helpers change and inspect the group.

The judges of the simulated world check every scenario while it runs. A scenario turns them off with `judged=False` if
it causes events that they would blame on the node, such as a misread floor during a stop. This also turns off the
world's own event handlers: after a crash, no worker starts.
"""

from collections.abc import Callable, Iterable, Mapping

from attrs import evolve

from elevator.building import elevators
from elevator.building.elevators import Event, EventKind, SimulatedElevator, misbehaviour
from elevator.core.call_set import mask, serve
from elevator.core.messages import Record
from elevator.core.model import (
    EVERY_CAR,
    NEVER_MS,
    Author,
    Behaviour,
    Button,
    Call,
    Calls,
    Dot,
    Entry,
    Fault,
    Motor,
    Park,
    Policy,
    bits,
)
from elevator.core.node import Node, record
from elevator.net.wire import decode, is_button
from elevator.runtime.event_log import EventLog
from elevator.simulation.events import DiskWiped, ElevatorChanged, ProgramStarted, TurnTaken
from elevator.simulation.faults import FaultKind, InjectedFault, Plan, Press
from elevator.simulation.links import GROUP
from elevator.simulation.simulated_node import SimulatedNode
from elevator.simulation.world import World
from elevator.storage.recorder_client import FOUND
from elevator.storage.records import write_record

UP, DOWN, CAB = Button.UP, Button.DOWN, Button.CAB
NO_PARKING, SPREAD, LOBBY = Policy(park=Park.NONE), Policy(park=Park.SPREAD), Policy(park=Park.LOBBY)
PRESS_MS = 200
LOG_MS = 100
"""`Group.run` adds the new events of each running node to the car's `log` at least this often."""


def make_calls(live: Mapping[Dot, Call], seen: Mapping[Author, int]) -> Calls:
    """Return the call set with the presses *live* and the version vector *seen*."""

    def live_of(author: Author) -> dict[int, Call]:
        return {dot.n: call for dot, call in live.items() if dot.author == author}

    return Calls({author: Entry(author, newest, live_of(author)) for author, newest in seen.items()})


def full_entry(author: Author, floors: int, newest: int) -> Entry:
    """Return an entry with a live press of every button on a panel. *newest* is the number of the newest press."""
    buttons = [(button, floor) for button in Button for floor in range(floors) if is_button(button, floor, floors)]
    calls = [Call(button, floor, author.id if button is CAB else EVERY_CAR) for button, floor in buttons]
    return Entry(author, newest, {newest - age: call for age, call in enumerate(calls)})


class ScriptedCar:
    """One car of a `Group`, with its node."""

    def __init__(self, world: World, id: int) -> None:
        self.world = world
        self.id = id
        """The number of the car and its panel. It is also the node's id, unless the node is misconfigured."""
        self.faults: dict[tuple[FaultKind, int], InjectedFault] = {}
        self.events: list[Event] = []
        self.log: list[str] = []
        self.event_log = EventLog()

    @property
    def simulated(self) -> SimulatedNode:
        return self.world.nodes[self.id]

    @property
    def is_running(self) -> bool:
        return self.simulated.state is not None

    @property
    def node(self) -> Node:
        """The state of the node, which must be running."""
        assert self.simulated.state is not None
        return self.simulated.state

    @property
    def elevator(self) -> SimulatedElevator:
        return self.simulated.elevator

    def inject(self, kind: FaultKind, on: bool, detail: int = 0, delay_ms: int = 0) -> None:
        """Begin the fault (*kind*, *detail*) of this car or its node if *on* is true; otherwise end it.

        Repeated calls do nothing. PACKET_LOSS affects all links, not only those of this node.
        """
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
        """Delete the record of the node, which must not be running."""
        self.world.emit(DiskWiped(self.id))
        self.simulated.disk.wipe()

    def freeze(self, on: bool) -> None:
        self.inject(FaultKind.FREEZE, on)

    def unplug_server(self, on: bool = True) -> None:
        self.inject(FaultKind.SERVER, on)

    def misread_floor(self, floor: int | None) -> None:
        """Make the floor sensor report *floor* from now on. If *floor* is None, repair the sensor."""
        panel = self.simulated.panel
        panel.misread = lambda reply: reply if floor is None else reply[:-11] + bytes((True, floor)) + reply[-9:]
        panel.sweep_soon(self.world.now_ms)

    def set_elevator(self, elevator: SimulatedElevator) -> None:
        self.simulated.server.change(elevator, self.world.now_ms)

    def recover_record(self, found: Record) -> None:
        """Let the recorder report the record *found*, as if the disk had been unreadable until now."""
        self.simulated.disk.inbox.append(FOUND + write_record(found).encode())
        self.simulated.disk.due_at_ms = self.world.now_ms

    def deliver(self, datagram: bytes, at_ms: int) -> None:
        heartbeat = decode(datagram, GROUP)
        assert heartbeat is not None
        self.world.links.deliver_at((self.id,), heartbeat, at_ms)


class Group:
    """A group that has run for 1 s: one car for each starting place in *at* (in floors), but at most *cars*."""

    def __init__(
        self,
        cars: int = 3,
        floors: int = 4,
        at: Iterable[float] = (0, 0, 0),
        travel_ms: int = 2000,
        policy: Policy = NO_PARKING,
        judged: bool = True,
    ) -> None:
        places = tuple(place for place, _ in zip(at, range(cars), strict=False))
        self.world = World(Plan(0, len(places), floors, travel_ms, NEVER_MS, (), (), at=places, policy=policy))
        if not judged:
            self.world.handlers.clear()
        self.world.subscribe(ElevatorChanged, self.note_elevator)
        self.world.subscribe(TurnTaken, self.note_turn)
        self.world.subscribe(ProgramStarted, self.note_start)
        self.cars = [ScriptedCar(self.world, simulated.number) for simulated in self.world.nodes]
        self.run(1000)

    def __getitem__(self, number: int) -> ScriptedCar:
        return self.cars[number]

    @property
    def now_ms(self) -> int:
        return self.world.now_ms

    def note_elevator(self, event: ElevatorChanged) -> None:
        self[event.node].events += elevators.changes(event.before, event.after, self.now_ms)

    def note_turn(self, event: TurnTaken) -> None:
        car = self[event.node]
        car.log += [each.text for each in car.event_log.events(event.before, event.after)]

    def note_start(self, event: ProgramStarted) -> None:
        self[event.node].event_log = EventLog()

    def run(self, ms: int) -> None:
        until_ms = self.now_ms + ms
        while self.now_ms < until_ms:
            self.world.run_until(min(self.now_ms + LOG_MS, until_ms))
            for car in self.cars:
                if car.is_running:  # Turns that read only unchanged heartbeats emit no event.
                    car.log += [each.text for each in car.event_log.events(car.node, car.node)]

    def run_until(self, condition: Callable[[], bool], within_ms: int) -> int:
        """Run until *condition* holds and return the elapsed ms. Fail after *within_ms*."""
        start_ms = self.now_ms
        while not condition():
            assert self.now_ms < start_ms + within_ms, f"the condition does not hold after {within_ms} ms"
            self.run(1)
        return self.now_ms - start_ms

    def press(self, panel: int, button: Button, floor: int) -> None:
        self.world.press(Press(self.now_ms, self.now_ms + PRESS_MS, panel, button, floor))

    def link(self, is_linked: Callable[[int, int], bool]) -> None:
        """Cut the links between cars for which is_linked(sender, receiver) is false, and restore the others."""
        for receiver in self.cars:
            for sender in self.cars:
                if sender is not receiver:
                    receiver.inject(FaultKind.ONE_WAY, not is_linked(sender.id, receiver.id), detail=sender.id)

    def join(self, kind: FaultKind, id: int, floors: int = 0) -> ScriptedCar:
        """Add a car at floor 0 and start its node, which is misconfigured as *kind* says.

        The node uses *id*. With OTHER_FLOORS, it has *floors* floors; otherwise *floors* has no effect.
        """
        self.cars.append(ScriptedCar(self.world, len(self.cars)))
        self.world.begin_or_end(InjectedFault(kind, self.now_ms, NEVER_MS, id, detail=floors), begins=True)
        return self.cars[-1]

    def lit(self, panel: int) -> set[tuple[str, int]]:
        """Return the button lamps that are lit on a panel, such as ("up", 2)."""
        lamps = self[panel].elevator.lamps
        return {(button.name.lower(), floor) for button in Button for floor in bits(mask(lamps, button))}


def group_with_duplicate() -> Group:
    """Return a group of three cars. The nodes of the first and the third car both use id 0."""
    group = Group(cars=2, at=(0, 3))
    group.join(FaultKind.DUPLICATE_ID, id=0)
    group.run(1500)
    return group


def partition(group: Group, *sides: set[int]) -> None:
    group.link(lambda sender, receiver: any(sender in side and receiver in side for side in sides))


def lose_server(group: Group, for_ms: int) -> None:
    """Disconnect the elevator server of car 0 for *for_ms*."""
    group[0].unplug_server()
    group.run(for_ms)
    group[0].unplug_server(on=False)


def serve_elsewhere(car: ScriptedCar, call: Call) -> None:
    """Let the node of *car* learn that another car has served *call*."""
    car.recover_record(evolve(record(car.node), calls=serve(car.node.calls, {call})))


def obstruct(car: ScriptedCar, on: bool) -> None:
    car.inject(FaultKind.OBSTRUCT, on)


def stop_button(car: ScriptedCar, on: bool) -> None:
    car.inject(FaultKind.STOP, on)


def motor_power(car: ScriptedCar, on: bool) -> None:
    car.inject(FaultKind.MOTOR, not on)


def floor_of(car: ScriptedCar) -> int | None:
    """Return the floor whose sensor detects the car; None between floors."""
    return car.elevator.sensed


def floors_of(group: Group) -> list[int | None]:
    return [floor_of(car) for car in group.cars]


def behaviour(car: ScriptedCar) -> Behaviour:
    return car.node.drive.behaviour


def fault(car: ScriptedCar) -> Fault:
    return car.node.drive.fault


def is_door_open(car: ScriptedCar) -> bool:
    return car.elevator.door


def is_idle(group: Group) -> bool:
    return all(behaviour(car) is Behaviour.IDLE for car in group.cars if car.is_running)


def is_dark(group: Group) -> bool:
    return not any(group.lit(car.id) for car in group.cars if car.is_running)


def doors(car: ScriptedCar) -> list[tuple[int, bool]]:
    """Return (time in ms, True) for each opening of the door and (time in ms, False) for each closing."""
    return [(event.at_ms, bool(event.value)) for event in car.events if event.kind is EventKind.DOOR]


def motors(car: ScriptedCar) -> list[tuple[int, Motor]]:
    """Return (time in ms, new command) for each change of the motor command."""
    return [(event.at_ms, Motor(int(event.value or 0))) for event in car.events if event.kind is EventKind.MOTOR]


def lamps(car: ScriptedCar, button: Button, floor: int) -> list[bool]:
    """Return the states to which a lamp has changed, in order; True means lit."""
    return [
        bool(event.value)
        for event in car.events
        if event.kind is EventKind.LAMP and (event.button, event.floor) == (button, floor)
    ]


def settle(group: Group, within_ms: int = 60_000) -> None:
    """Run until all lamps are dark and all cars are idle, except those of dead nodes.

    Check that no node gave an unsafe command, and that no car went out of bounds.
    """
    group.run(300)
    group.run_until(lambda: is_dark(group) and is_idle(group), within_ms)
    for car in group.cars:
        assert misbehaviour(car.elevator.counts) == 0


def assert_in_service_on_trips_to(group: Group, *floors: int) -> None:
    """Send car 0 to *floors* one by one. Check that the car reports no fault on the way."""
    for floor in floors:
        group.press(0, CAB, floor)
        group.run(50)
        while group.lit(0):
            assert fault(group[0]) is Fault.NONE
            group.run(10)
        settle(group)
