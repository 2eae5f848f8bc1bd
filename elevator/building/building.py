"""Simulated elevators behind real sockets.

Rules:
- Each elevator listens on a port of its own and has one client at a time. The next one's connect succeeds, because
  the kernel keeps it, and it is answered when the first has gone; the motor stops in between.
- All I/O is here, everything else in elevator.py: bytes in, replies and a new machine out. What arrived in one
  piece is answered in one piece. `hardware/server_side.py` says what happens to a message that arrives in part.
- What each socket is watched for is derived from the elevator's state after every event, never switched by hand.
- Everything that changes goes into the history with its time.
"""

import random
import selectors
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from attrs import evolve

from elevator.building import elevator as machines
from elevator.building import protocol
from elevator.building import shaft as physics
from elevator.building.control import Refused
from elevator.building.elevator import Event, EventKind, Machine
from elevator.building.history import History
from elevator.building.shaft import Shaft
from elevator.core.model import Button
from elevator.hardware.server_side import MessageReader

_CHUNK = 65_536


class SimulatedElevator:
    """One machine, its listening socket and its client."""

    def __init__(self, machine: Machine, listener: socket.socket) -> None:
        self.machine = machine
        self.address: tuple[str, int] = listener.getsockname()
        self.listener: socket.socket | None = listener
        self.client: socket.socket | None = None
        self.deaf = False
        self.reader = MessageReader()
        self.unsent = b""
        """Replies that the client was too slow to take. As long as there are any, nothing more is read."""
        self.changes = 0
        """How often anything has changed."""
        self.changed_us: dict[EventKind, int] = {}
        """When something of a kind last changed."""


class Attached(Protocol):
    """Another way than sockets into an elevator, with times of its own."""

    path: str
    """Where it is; empty while it is unplugged."""

    def plug(self) -> None:
        """Connect it, if it is not; raise OSError if that cannot be."""

    def unplug(self) -> None:
        """Take it off, if it is connected."""

    def wake_us(self) -> float | None:
        """Return when `attend` is due; None if it is not."""

    def attend(self, now_us: int) -> None:
        """Do what is due. The machines are settled."""


def _monotonic_us() -> int:
    return time.monotonic_ns() // 1000


def listen(host: str, port: int) -> socket.socket:
    """Return a socket listening on *port*, 0 for any free one; raise OSError if there is none."""
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(8)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


class Building:
    """Some elevators, to be driven by calling `turn` again and again."""

    def __init__(
        self,
        shafts: Iterable[Shaft],
        listeners: Sequence[socket.socket],
        press_ms: int = 200,
        clock_us: Callable[[], int] = _monotonic_us,
        stop_on_disconnect: bool = True,
    ) -> None:
        """Own *listeners*, one for each of *shafts*, from now on."""
        self.clock_us = clock_us
        self._stop_on_disconnect = stop_on_disconnect
        self.press_ms = press_ms
        now_ms = clock_us() // 1000
        self.elevators = [
            SimulatedElevator(machines.machine(evolve(shaft, since_ms=now_ms)), listener)
            for shaft, listener in zip(shafts, listeners, strict=True)
        ]
        self.history = History()
        self.attached: dict[int, Attached] = {}
        """By car."""
        self._selector = selectors.DefaultSelector()
        for car in range(len(self.elevators)):
            self._watch(car)

    @property
    def ports(self) -> list[int]:
        """The ports of the elevators, in order."""
        return [elevator.address[1] for elevator in self.elevators]

    def close(self) -> None:
        """Close the elevators' sockets."""
        for elevator in self.elevators:
            for each in (elevator.client, elevator.listener):
                if each is not None:
                    each.close()
        self._selector.close()

    def turn(self, timeout_s: float) -> None:
        """Wait for something to happen, *timeout_s* at the most, and do what is to be done."""
        now_us = began_us = self.settle()
        wakes = [machines.wake_at_ms(elevator.machine) for elevator in self.elevators]
        expiries = [self._expires_at_ms(car) for car in range(len(self.elevators))]
        wakes += expiries
        wait_us = min((wake * 1000 - now_us for wake in wakes if wake is not None), default=timeout_s * 1e6)
        due = (each.wake_us() for each in self.attached.values())
        bytes_us = min((wake - now_us for wake in due if wake is not None), default=timeout_s * 1e6)
        if 0 < bytes_us < min(wait_us, 1000):  # The selector waits for whole milliseconds.
            time.sleep(bytes_us / 1e6)
            bytes_us = 0
        for key, ready in self._selector.select(max(0.0, min(timeout_s, wait_us / 1e6, bytes_us / 1e6))):
            # A socket may have been closed by what came before it in this very list.
            if not isinstance(key.fileobj, socket.socket) or key.fileobj.fileno() >= 0:
                key.data(ready)
        now_us = self.settle()
        for car, expires_at_ms in enumerate(expiries):
            if expires_at_ms is not None:  # Its socket was watched, so nothing had arrived when the turn began.
                self._expire(car, began_us // 1000, now_us)
        for each in self.attached.values():
            each.attend(now_us)

    def change(self, car: int, new: Machine, now_us: int) -> None:
        """Make *new* the machine of *car* and log how it differs."""
        old, self.elevators[car].machine = self.elevators[car].machine, new
        self._note(car, machines.changes(old, new, now_us // 1000), now_us)

    def press(self, car: int, button: Button, floor: int, ms: int | None = None) -> None:
        """Press a button for *ms* milliseconds, as long as usual by default."""
        now_us = self.settle()
        until_ms = now_us // 1000 + (self.press_ms if ms is None else ms)
        self.change(car, machines.press(self.elevators[car].machine, button, floor, until_ms), now_us)

    def settle(self) -> int:
        """Bring all machines up to now; return now, in microseconds."""
        now_us = self.clock_us()
        for car, elevator in enumerate(self.elevators):
            elevator.machine, events = machines.settle(elevator.machine, now_us // 1000)
            self._note(car, events, now_us)
        return now_us

    def _note(self, car: int, events: Iterable[Event], now_us: int) -> None:
        for event in events:
            # What happened by itself has an exact time; what was done to the machine happened now.
            at_us = event.at_ms * 1000 if event.at_ms < now_us // 1000 else now_us
            self.history.append(car, event, at_us)
            self.elevators[car].changes += 1
            self.elevators[car].changed_us[event.kind] = at_us

    def watch_for(self, sock: socket.socket | int, mask: int, then: Callable[[int], None]) -> None:
        """Have `turn` call *then* with those events of *mask* that *sock* is ready for; 0 for no more."""
        key = self._selector.get_map().get(sock)
        if key is None and mask:
            self._selector.register(sock, mask, then)
        elif key is not None and not mask:
            self._selector.unregister(sock)
        elif key is not None and key.events != mask:
            self._selector.modify(sock, mask, then)

    def close_socket(self, sock: socket.socket) -> None:
        """Close *sock*, which `turn` watches."""
        self.watch_for(sock, 0, lambda _: None)
        sock.close()

    # The elevators' clients

    def _watch(self, car: int) -> None:
        elevator = self.elevators[car]
        if elevator.listener is not None:
            free = elevator.client is None and not elevator.deaf
            self.watch_for(elevator.listener, free * selectors.EVENT_READ, lambda _: self._accept(car))
        if elevator.client is not None:
            wanted = selectors.EVENT_WRITE if elevator.unsent else selectors.EVENT_READ
            self.watch_for(elevator.client, 0 if elevator.deaf else wanted, lambda mask: self._serve(car, mask))

    def _accept(self, car: int) -> None:
        elevator = self.elevators[car]
        assert elevator.listener is not None
        try:
            client, _ = elevator.listener.accept()
        except OSError:
            return  # It left before its turn came.
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        elevator.client = client
        now_us = self.clock_us()
        self._note(car, [Event(now_us // 1000, EventKind.CLIENT, True)], now_us)
        self._watch(car)
        self._serve(car, selectors.EVENT_READ)

    def _serve(self, car: int, mask: int) -> None:
        """Read requests or write what is left of replies, whichever the client is ready for."""
        elevator = self.elevators[car]
        assert elevator.client is not None
        try:
            if mask & selectors.EVENT_READ:
                chunk = elevator.client.recv(_CHUNK)
                if not chunk:
                    self._drop(car)
                    return
                # A client without TCP_NODELAY sends its next message only when this one is acknowledged.
                elevator.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                self._answer(car, chunk)
            if elevator.unsent:
                elevator.unsent = elevator.unsent[elevator.client.send(elevator.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(car)
            return
        self._watch(car)

    def _answer(self, car: int, chunk: bytes) -> None:
        elevator = self.elevators[car]
        now_us = self.clock_us()
        elevator.reader.receive(chunk, now_us // 1000)
        requests = elevator.reader.pop_all()
        elevator.machine, replies, events = protocol.answer(elevator.machine, requests, now_us // 1000)
        elevator.unsent += replies
        self._note(car, events, now_us)

    def _expires_at_ms(self, car: int) -> int | None:
        """Return when the client's incomplete message expires; None if there is none, or nothing is read from it."""
        elevator = self.elevators[car]
        is_read = elevator.client is not None and not elevator.deaf and not elevator.unsent
        return elevator.reader.expires_at_ms() if is_read else None

    def _expire(self, car: int, until_ms: int, now_us: int) -> None:
        """Drop the client's incomplete message if it had expired by *until_ms*; see `MessageReader.expire`."""
        elevator = self.elevators[car]
        if dropped := elevator.reader.expire(until_ms):
            elevator.machine, event = machines.drop_incomplete(elevator.machine, dropped, now_us // 1000)
            self._note(car, [event], now_us)

    def _drop(self, car: int) -> None:
        """Close the client's connection, if there is one, and stop the motor unless it is to go on."""
        elevator = self.elevators[car]
        if elevator.client is not None:
            self.close_socket(elevator.client)
            elevator.client = None
            elevator.reader, elevator.unsent = MessageReader(), b""
            now_us = self.settle()
            self._note(car, [Event(now_us // 1000, EventKind.CLIENT, False)], now_us)
            if self._stop_on_disconnect:
                self.change(car, machines.disconnect(elevator.machine, now_us // 1000), now_us)
        self._watch(car)

    def switch_server(self, car: int, on: bool, now_us: int) -> None:
        """Start (*on*) or stop the server of *car*; raise Refused if its port is taken."""
        elevator = self.elevators[car]
        if on == (elevator.listener is not None):
            return
        if on:
            try:
                elevator.listener = listen(*elevator.address)
            except OSError as error:
                raise Refused(f"port {elevator.address[1]}: {error.strerror}") from None
        else:
            assert elevator.listener is not None
            self.close_socket(elevator.listener)
            elevator.listener = None
            self._drop(car)
        self._watch(car)
        self._note(car, [Event(now_us // 1000, EventKind.SERVER, on)], now_us)

    def switch_deaf(self, car: int, on: bool) -> None:
        """Stop (*on*) or resume reading from the client of *car*. The connection stays open."""
        self.elevators[car].deaf = on
        self._watch(car)

    def is_plugged(self, car: int) -> bool | None:
        """Return whether the card of *car* is plugged in; None if it has none."""
        return bool(self.attached[car].path) if car in self.attached else None


# Opening one


def open_building(
    shafts: Sequence[Shaft],
    host: str = "127.0.0.1",
    port: int = 0,
    press_ms: int = 200,
    stop_on_disconnect: bool = True,
) -> Building:
    """Return a building on *port* and those after it (0: any free ones); raise Refused if one of them is taken."""
    opened: list[socket.socket] = []
    for car in range(len(shafts)):
        wanted = port and port + car
        try:
            opened.append(listen(host, wanted))
        except OSError as error:
            for listener in opened:
                listener.close()
            raise Refused(f"cannot listen on {host} port {wanted}: {error.strerror}") from None
    return Building(shafts, opened, press_ms, stop_on_disconnect=stop_on_disconnect)


def start_places(shaft: Shaft, cars: int, rng: random.Random) -> list[Shaft]:
    """Return *cars* shafts like *shaft* with the car anywhere, also between floors."""
    return [evolve(shaft, place=rng.randrange(physics.end(shaft))) for _ in range(cars)]
