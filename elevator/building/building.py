"""Simulated elevators on TCP sockets.

Rules:
- Each elevator listens on its own port and serves one client at a time. A second client is connected, but gets no
  replies until the first disconnects. With `stop_on_disconnect`, the motor stops when a client disconnects.
- This module does the I/O; protocol.py computes the replies. Requests that arrive together are answered together.
  `hardware/server_side.py` explains what happens to incomplete messages.
- Whenever the state of a connection changes, `_update_watch` selects the socket events to wait for.
- Every event (see `Event`) is added to the history with its time.
"""

import random
import selectors
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Protocol

from attrs import evolve

from elevator.building import elevators, protocol
from elevator.building import shaft as physics
from elevator.building.control import Refused
from elevator.building.elevators import Event, EventKind, SimulatedElevator
from elevator.building.history import History
from elevator.building.shaft import Shaft
from elevator.core.model import Button
from elevator.hardware.server_side import MessageReader

_CHUNK = 65_536


class Server:
    """The server of one simulated elevator: the elevator, the listening socket and the client."""

    def __init__(self, elevator: SimulatedElevator, listener: socket.socket) -> None:
        self.elevator = elevator
        self.address: tuple[str, int] = listener.getsockname()
        self.listener: socket.socket | None = listener
        """None while the server is stopped."""
        self.client: socket.socket | None = None
        self.is_paused = False
        """True while the server does not serve its client, if it has one, and accepts no other."""
        self.reader = MessageReader()
        self.unsent = b""
        """Replies that did not fit in the send buffer. The server reads no more requests until they are sent."""
        self.event_count = 0
        """Number of events of the elevator so far."""


class SerialCard(Protocol):
    """The I/O card of an elevator, as `Building` uses it. `CardLine` implements it."""

    path: str
    """Path of the serial port; empty while the card is unplugged."""

    def plug(self) -> None:
        """Plug in the card if it is unplugged; raise OSError if that fails."""

    def unplug(self) -> None: ...

    def wake_at_us(self) -> float | None:
        """Return when `advance` must run next; None if nothing is scheduled."""

    def advance(self, now_us: int) -> None:
        """Process all bytes that have arrived by *now_us*, the time of the last `settle`."""


def _monotonic_us() -> int:
    return time.monotonic_ns() // 1000


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on *host* and *port* (0: any free port); raise Refused if that fails."""
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(8)
    except OSError as error:
        listener.close()
        raise Refused(f"cannot listen on {host} port {port}: {error.strerror}") from None
    listener.setblocking(False)
    return listener


class Building:
    """A set of simulated elevators. The caller's loop must call `run_once` repeatedly."""

    def __init__(
        self,
        shafts: Iterable[Shaft],
        listeners: Sequence[socket.socket],
        press_ms: int = 200,
        stop_on_disconnect: bool = True,
    ) -> None:
        """Take ownership of *listeners*, one for each of *shafts*."""
        self.clock_us: Callable[[], int] = _monotonic_us
        self._stop_on_disconnect = stop_on_disconnect
        self.press_ms = press_ms
        self.server_context: Callable[[int], AbstractContextManager[None]] = lambda _: nullcontext()
        """Returns the context in which `switch_server` reopens the server of a car, such as a network namespace."""
        now_ms = self.clock_us() // 1000
        self.servers = [
            Server(elevators.new_elevator(evolve(shaft, since_ms=now_ms)), listener)
            for shaft, listener in zip(shafts, listeners, strict=True)
        ]
        self.history = History()
        self.cards: dict[int, SerialCard] = {}
        """The I/O card of each car that has one."""
        self._selector = selectors.DefaultSelector()
        for car in range(len(self.servers)):
            self._update_watch(car)

    @property
    def ports(self) -> list[int]:
        return [server.address[1] for server in self.servers]

    def close(self) -> None:
        for server in self.servers:
            for each in (server.client, server.listener):
                if each is not None:
                    each.close()
        self._selector.close()

    def run_once(self, timeout_s: float) -> None:
        """Wait up to *timeout_s* for a watched socket or a scheduled change. Then handle everything that is due."""
        now_us = began_us = self.settle()
        wakes = [elevators.wake_at_ms(server.elevator) for server in self.servers]
        expiries = [self._expires_at_ms(car) for car in range(len(self.servers))]
        wakes += expiries
        wait_us = min((wake * 1000 - now_us for wake in wakes if wake is not None), default=timeout_s * 1e6)
        card_wakes = (card.wake_at_us() for card in self.cards.values())
        byte_us = min((wake - now_us for wake in card_wakes if wake is not None), default=timeout_s * 1e6)
        if 0 < byte_us < min(wait_us, 1000):  # The selector rounds up to whole milliseconds.
            time.sleep(byte_us / 1e6)
            byte_us = 0
        for key, ready in self._selector.select(max(0.0, min(timeout_s, wait_us / 1e6, byte_us / 1e6))):
            # A callback for an earlier socket in this list may have closed this one.
            if not isinstance(key.fileobj, socket.socket) or key.fileobj.fileno() >= 0:
                key.data(ready)
        now_us = self.settle()
        for car, expires_at_ms in enumerate(expiries):
            if expires_at_ms is not None:
                # Everything that arrived before *began_us* was read, so a message that expired by then is incomplete.
                self._expire(car, began_us // 1000, now_us)
        for card in self.cards.values():
            card.advance(now_us)

    def change(self, car: int, new: SimulatedElevator, now_us: int) -> None:
        """Set the state of *car* to *new* and record the differences as events."""
        old, self.servers[car].elevator = self.servers[car].elevator, new
        self._record(car, elevators.changes(old, new, now_us // 1000), now_us)

    def press(self, car: int, button: Button, floor: int, ms: int | None = None) -> None:
        """Press a button for *ms* milliseconds (default: `press_ms`)."""
        now_us = self.settle()
        until_ms = now_us // 1000 + (self.press_ms if ms is None else ms)
        self.change(car, elevators.press(self.servers[car].elevator, button, floor, until_ms), now_us)

    def settle(self) -> int:
        """Advance all elevators to the current time; return that time in microseconds."""
        now_us = self.clock_us()
        for car, server in enumerate(self.servers):
            server.elevator, events = elevators.settle(server.elevator, now_us // 1000)
            self._record(car, events, now_us)
        return now_us

    def _record(self, car: int, events: Iterable[Event], now_us: int) -> None:
        for event in events:
            # `settle` gives past changes their exact times. All other changes happen now.
            at_us = event.at_ms * 1000 if event.at_ms < now_us // 1000 else now_us
            self.history.append(car, event, at_us)
            self.servers[car].event_count += 1

    def watch(self, sock: socket.socket | int, mask: int, then: Callable[[int], None]) -> None:
        """Make `run_once` call *then* whenever *sock* is ready for an event in *mask*. If *mask* is 0, stop watching.

        If *sock* is already watched for *mask*, do nothing: the old *then* stays.
        """
        key = self._selector.get_map().get(sock)
        if key is None and mask:
            self._selector.register(sock, mask, then)
        elif key is not None and not mask:
            self._selector.unregister(sock)
        elif key is not None and key.events != mask:
            self._selector.modify(sock, mask, then)

    def close_socket(self, sock: socket.socket) -> None:
        """Stop watching *sock* and close it."""
        self.watch(sock, 0, lambda _: None)
        sock.close()

    # The connections of the clients

    def _update_watch(self, car: int) -> None:
        server = self.servers[car]
        if server.listener is not None:
            free = server.client is None and not server.is_paused
            self.watch(server.listener, free * selectors.EVENT_READ, lambda _: self._accept(car))
        if server.client is not None:
            wanted = selectors.EVENT_WRITE if server.unsent else selectors.EVENT_READ
            self.watch(server.client, 0 if server.is_paused else wanted, lambda mask: self._serve(car, mask))

    def _accept(self, car: int) -> None:
        server = self.servers[car]
        assert server.listener is not None
        try:
            client, _ = server.listener.accept()
        except OSError:
            return  # The client disconnected while it was queued.
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server.client = client
        now_us = self.clock_us()
        self._record(car, [Event(now_us // 1000, EventKind.CLIENT, True)], now_us)
        self._update_watch(car)
        self._serve(car, selectors.EVENT_READ)

    def _serve(self, car: int, mask: int) -> None:
        """If *mask* has EVENT_READ, read requests and answer them. Then send unsent replies.

        Disconnect the client if it has closed the connection or the connection fails.
        """
        server = self.servers[car]
        assert server.client is not None
        try:
            if mask & selectors.EVENT_READ:
                chunk = server.client.recv(_CHUNK)
                if not chunk:
                    self._drop(car)
                    return
                # A client without TCP_NODELAY sends its next message only once this one is acknowledged.
                server.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                self._answer(car, chunk)
            if server.unsent:
                server.unsent = server.unsent[server.client.send(server.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(car)
            return
        self._update_watch(car)

    def _answer(self, car: int, chunk: bytes) -> None:
        server = self.servers[car]
        now_us = self.clock_us()
        server.reader.receive(chunk, now_us // 1000)
        requests = server.reader.pop_all()
        server.elevator, replies, events = protocol.answer(server.elevator, requests, now_us // 1000)
        server.unsent += replies
        self._record(car, events, now_us)

    def _expires_at_ms(self, car: int) -> int | None:
        """Return when the client's incomplete message expires; None if there is none or the server is not reading."""
        server = self.servers[car]
        is_read = server.client is not None and not server.is_paused and not server.unsent
        return server.reader.expires_at_ms() if is_read else None

    def _expire(self, car: int, until_ms: int, now_us: int) -> None:
        """If the client's incomplete message had expired by *until_ms*, drop it and count it as a bad request.

        See `MessageReader.expire`.
        """
        server = self.servers[car]
        if dropped := server.reader.expire(until_ms):
            server.elevator, event = elevators.reject_incomplete(server.elevator, dropped, now_us // 1000)
            self._record(car, [event], now_us)

    def _drop(self, car: int) -> None:
        """If there is a client, disconnect it, and stop the motor if `stop_on_disconnect` is set."""
        server = self.servers[car]
        if server.client is not None:
            self.close_socket(server.client)
            server.client = None
            server.reader, server.unsent = MessageReader(), b""
            now_us = self.settle()
            self._record(car, [Event(now_us // 1000, EventKind.CLIENT, False)], now_us)
            if self._stop_on_disconnect:
                self.change(car, elevators.disconnect(server.elevator, now_us // 1000), now_us)
        self._update_watch(car)

    def switch_server(self, car: int, on: bool, now_us: int) -> None:
        """Start the server of *car*, or stop it and disconnect its client. Raise Refused if it cannot start."""
        server = self.servers[car]
        if on == (server.listener is not None):
            return
        if on:
            with self.server_context(car):
                server.listener = listen(*server.address)
        else:
            assert server.listener is not None
            self.close_socket(server.listener)
            server.listener = None
            self._drop(car)
        self._update_watch(car)
        self._record(car, [Event(now_us // 1000, EventKind.SERVER, on)], now_us)

    def set_paused(self, car: int, is_paused: bool) -> None:
        """Pause or resume the server of *car*.

        While paused, it keeps the connection to its client but does not serve it, and accepts no other client.
        """
        self.servers[car].is_paused = is_paused
        self._update_watch(car)

    def is_plugged(self, car: int) -> bool | None:
        """Return whether the I/O card of *car* is plugged in; None if the car has no card."""
        return bool(self.cards[car].path) if car in self.cards else None


def open_building(
    shafts: Sequence[Shaft],
    host: str = "127.0.0.1",
    port: int = 0,
    press_ms: int = 200,
    stop_on_disconnect: bool = True,
) -> Building:
    """Return a building whose elevators listen on consecutive ports from *port* (0: on any free ports).

    Raise Refused if that fails, for example because a port is in use.
    """
    with ExitStack() as stack:
        listeners = [stack.enter_context(listen(host, port and port + car)) for car in range(len(shafts))]
        stack.pop_all()
    return Building(shafts, listeners, press_ms, stop_on_disconnect)


def random_starts(shaft: Shaft, cars: int, rng: random.Random) -> list[Shaft]:
    """Return *cars* copies of *shaft*, each with its car at a random place, possibly between floors."""
    return [evolve(shaft, place=rng.randrange(physics.end(shaft))) for _ in range(cars)]
