"""A group of whole nodes in one process and in virtual time, on a perfect or a cut network, for scenario tests.

Everything is the production code but for sockets and clocks: each node takes its turns against a simulated elevator
through the bytes of the elevator server's protocol, and hears the others through the bytes of their datagrams. Time
goes in steps of a millisecond; each panel is swept every 10 ms, each node at a phase of its own.
"""

from collections.abc import Callable, Iterable

from attrs import define, evolve, field

from elevator.building import elevator as machines
from elevator.building import protocol
from elevator.building.elevator import Event, Machine
from elevator.building.shaft import Shaft, put
from elevator.core.call_set import mask
from elevator.core.model import Button, Calls, Heartbeat, Inputs, Outputs, Park, Policy, Record, Tick
from elevator.core.node import Node, boot, record, wake_at_ms
from elevator.core.turn import turn
from elevator.hardware.elevator_server import ServerCodec
from elevator.hardware.panel_client import SWEEP_MS, PanelClient
from elevator.net.wire import Encoder, decode
from elevator.runtime.event_log import EventLog

STAY = Policy(park=Park.NONE)
"""Cars stay where they are: most scenarios say where each one is."""
RETRY_MS = 1000
DELAY_MS = 1


@define
class Disk:
    """A disk that takes its time: *takes_ms* for a record, RETRY_MS if it is full."""

    record: Record | None = None
    full: bool = False
    takes_ms: int = 1
    unread: Record | None = None
    """A record that could not be read when the node started, but can be now."""
    asked: Record | None = None
    due_ms: int | None = None
    """When it says what has become of `asked`."""
    now_ms: int = 0

    def save(self, record: Record) -> None:
        if record != self.asked:
            self.asked = record
            self.due_ms = self.due_ms or self.now_ms + self.takes_ms

    def news(self, now_ms: int) -> tuple[Calls | None, bool]:
        """Return what has just become durable, and whether the disk has just refused."""
        self.now_ms = now_ms
        if self.due_ms is None or now_ms < self.due_ms or self.asked is None:
            return None, False
        self.due_ms = now_ms + RETRY_MS if self.full else None
        if self.full:
            return None, True
        self.record = self.asked
        return self.record.calls, False


@define
class Computer:
    """One node with its elevator, its disk and its side of the network. It is the node's three ports in one."""

    id: int
    floors: int
    machine: Machine
    disk: Disk = field(factory=Disk)
    node: Node | None = None
    now_ms: int = 0
    server: bool = True
    inputs: Inputs | None = None
    panel: PanelClient = field(init=False)
    lot: int = 0
    policy: Policy = STAY
    frozen: bool = False
    lies: int | None = None
    """What its floor sensor says, if it lies."""
    inbox: list[tuple[int, bytes]] = field(factory=list)
    outbox: list[bytes] = field(factory=list)
    events: list[Event] = field(factory=list)
    encoder: Encoder = field(factory=lambda: Encoder("test"))
    event_log: EventLog = field(factory=EventLog)
    log: list[str] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.panel = PanelClient(ServerCodec(self.floors))

    def start(self) -> None:
        self.lot += 100
        self.node = boot(self.id, self.floors, self.disk.record, self.lot, self.now_ms, self.policy)
        self.disk.due_ms = None
        self.disk.asked = self.disk.record = record(self.node)
        self.panel.forget()
        self.inputs = None
        self.event_log = EventLog()

    def kill(self) -> None:
        self.node = None
        self.unplug_server()

    def unplug_server(self) -> None:
        self.panel.forget()
        self.inputs = None
        self.take(machines.disconnect(self.machine, self.now_ms))

    def take(self, machine: Machine) -> None:
        self.events += machines.changes(self.machine, machine, self.now_ms)
        self.machine = machine

    def exchange(self, requests: bytes) -> bytes:
        answer = protocol.answer(self.machine, requests, self.now_ms)
        self.machine = answer.machine
        self.events += answer.events
        return answer.replies

    def send(self, heartbeat: Heartbeat) -> None:
        self.outbox += self.encoder.encode(heartbeat)

    def write(self, outputs: Outputs) -> None:
        if self.server:
            self.exchange(self.panel.write(outputs))

    def sweep(self) -> Inputs | None:
        """Return the panel's snapshot; the object that the node has already if they are equal."""
        if self.server:
            self.panel.receive(self.exchange(self.panel.ask(self.now_ms)), self.now_ms)
        else:
            self.panel.forget()
        inputs = self.panel.inputs(self.now_ms)
        inputs = inputs if inputs is None or self.lies is None else evolve(inputs, floor=self.lies)
        return self.inputs if inputs == self.inputs else inputs

    def run(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.machine, events = machines.settle(self.machine, now_ms)
        self.events += events
        if self.node is None or self.frozen:
            self.inbox = [] if self.node is None else self.inbox
            return
        inputs = self.inputs
        if now_ms % SWEEP_MS == self.id * 3 % SWEEP_MS:
            inputs = self.sweep()
        due = [datagram for at_ms, datagram in self.inbox if at_ms <= now_ms]
        recorded, failed = self.disk.news(now_ms)
        found, self.disk.unread = self.disk.unread, None
        has_news = due or found or recorded is not None or failed or inputs is not self.inputs
        if not has_news and now_ms < wake_at_ms(self.node):
            return
        self.inbox = [mail for mail in self.inbox if mail[0] > now_ms]
        heartbeats = tuple(heartbeat for datagram in due if (heartbeat := decode(datagram, "test")))
        self.inputs = inputs
        tick = Tick(now_ms, inputs, heartbeats, recorded, failed, found, self.panel.newest_asked_at_ms)
        before, self.node = self.node, turn(self.node, tick, lambda: (now_ms, inputs), self.disk, self, self)
        self.log += [event.text for event in self.event_log.events(before, self.node)]


class Group:
    """*cars* computers, each with its car at rest at the floor that *at* names."""

    def __init__(
        self,
        cars: int = 3,
        floors: int = 4,
        at: Iterable[float] = (0, 0, 0),
        travel_ms: int = 2000,
        policy: Policy = STAY,
    ) -> None:
        self.now_ms = 0
        self.computers = [
            Computer(id, floors, machines.machine(put(Shaft(floors, travel_ms), place, 0)), policy=policy)
            for id, place in zip(range(cars), at, strict=False)
        ]
        self.links: Callable[[int, int], bool] = lambda sender, receiver: True
        for computer in self.computers:
            computer.start()
        self.run(1000)

    def __getitem__(self, id: int) -> Computer:
        return self.computers[id]

    def run(self, ms: int) -> None:
        for now_ms in range(self.now_ms + 1, self.now_ms + ms + 1):
            self.now_ms = now_ms
            for computer in self.computers:
                computer.run(self.now_ms)
            for sender in self.computers:
                for datagram in sender.outbox:
                    for receiver in self.computers:
                        if receiver is not sender and self.links(sender.id, receiver.id):
                            receiver.inbox.append((self.now_ms + DELAY_MS, datagram))
                sender.outbox.clear()

    def run_until(self, condition: Callable[[], bool], within_ms: int) -> int:
        """Run until *condition* holds; return how long that took."""
        start_ms = self.now_ms
        while not condition():
            assert self.now_ms < start_ms + within_ms, "it took too long"
            self.run(1)
        return self.now_ms - start_ms

    def press(self, panel: int, button: Button, floor: int) -> None:
        computer = self.computers[panel]
        computer.take(machines.press(computer.machine, button, floor, self.now_ms + 200))

    def lit(self, panel: int) -> set[tuple[str, int]]:
        """Return what is lit on a panel."""
        lamps = self.computers[panel].machine.lamps
        return {(button.name.lower(), floor) for button in Button for floor in machines.floors_of(mask(lamps, button))}
