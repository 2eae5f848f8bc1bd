"""The connection to the elevator server of the lab or of a simulator: 4-byte messages over TCP.

panel_client.py contains the rules for all panels. This module adds the codec and what is peculiar to the lab's servers:

1. They treat a short read as a complete message, so messages are sent whole, unless the kernel's buffer is full.
2. They delay small segments and acknowledgements, as TCP does by default. So this client sets TCP_NODELAY on each new
   connection, and TCP_QUICKACK after every receive. A sweep then takes a fraction of a millisecond instead of 44 ms.
3. They serve one client at a time. So this client waits up to FIRST_REPLY_TIMEOUT_MS for the first reply on a
   connection.
"""

import errno
import os
import socket
from contextlib import suppress
from typing import assert_never

from attrs import Factory, field, frozen

from elevator.core.log_damping import Condition
from elevator.core.model import EVERY_BUTTON, NEVER_MS, Buttons, Inputs, Motor, Outputs
from elevator.hardware.panel_client import (
    BACKLOG_MAX,
    RETRY_MS,
    SWEEP_MS,
    TIMEOUT_MS,
    PanelClient,
    Receipt,
)
from elevator.hardware.panel_outputs import lamp_changes, needs_door_command, panel_buttons

FIRST_REPLY_TIMEOUT_MS = 5000
"""How long a connection may take to be established, and then how long its first reply may take. The server may still be
serving another client."""

IDLE_SWEEP_MS = 26
"""Replaces SWEEP_MS while a car rests with its door closed and no button lamp of its floor is lit, to save CPU time. A
press lasts 200 ms, so none is missed (L5). Two of these intervals are slightly longer than one between heartbeats, so
that every second sweep shares the wake-up of a heartbeat (EARLY)."""
EARLY = 5
"""If the process wakes for another reason, it sends the next sweep up to 1 / EARLY of the interval early, because
waking the process costs more than a sweep."""

MOTOR, LAMP, INDICATOR, DOOR, STOP_LAMP, PRESSED, SENSOR, STOP, OBSTRUCTION, TACHOMETER = range(1, 11)


def sweep(floors: int) -> bytes:
    """Return the requests for all inputs of a panel."""
    buttons = b"".join(bytes((PRESSED, button, floor, 0)) for button, floor in panel_buttons(floors))
    return buttons + bytes((SENSOR, 0, 0, 0, STOP, 0, 0, 0, OBSTRUCTION, 0, 0, 0))


def sweep_ms(sent: Outputs | None) -> int:
    """Return the time between two sweeps of a panel with the outputs *sent* (None if unknown)."""
    if sent is None or sent.floor is None or sent.motor is not Motor.STOP or sent.door is not False:
        return SWEEP_MS
    here = 1 << sent.floor
    return SWEEP_MS if sent.lamps & Buttons(here, here, here) else IDLE_SWEEP_MS


def snapshot(reply: bytes, floors: int) -> Inputs | None:
    """Decode the *reply* to a sweep; return None if the reply is malformed."""
    asked = sweep(floors)
    if len(reply) != len(asked) or reply[::4] != asked[::4]:
        return None
    masks = [0, 0, 0]
    for (button, floor), pressed in zip(panel_buttons(floors), reply[1::4], strict=False):
        masks[button] |= bool(pressed) << floor
    at_floor, floor = reply[-11], reply[-10]
    return Inputs(Buttons(*masks), floor if at_floor else None, bool(reply[-7]), bool(reply[-3]))


def changes(sent: Outputs | None, wanted: Outputs, floors: int) -> bytes:
    """Return the messages that change a panel from *sent* (None if unknown) to *wanted*; empty if nothing must change.

    The door closes before the motor starts, and the motor stops before the door opens.
    """
    old = sent or Outputs(motor_try=wanted.motor_try, unsure=EVERY_BUTTON)
    door = bytes((DOOR, bool(wanted.door), 0, 0)) if needs_door_command(sent, wanted) else b""
    is_same = sent and (old.motor, old.motor_try) == (wanted.motor, wanted.motor_try)
    motor = b"" if is_same else bytes((MOTOR, wanted.motor & 0xFF, 0, 0))
    messages = [motor, door] if wanted.motor is Motor.STOP else [door, motor]
    messages += [bytes((LAMP, button, floor, on)) for button, floor, on in lamp_changes(old, wanted, floors)]
    if wanted.floor is not None and wanted.floor != old.floor:
        messages.append(bytes((INDICATOR, wanted.floor, 0, 0)))
    if not sent or old.stop_lamp != wanted.stop_lamp:
        messages.append(bytes((STOP_LAMP, wanted.stop_lamp, 0, 0)))
    return b"".join(messages)


@frozen
class ServerCodec:
    """The codec of the elevator server for panel_client.py."""

    floors: int
    _sweep: bytes = field(init=False, default=Factory(lambda self: sweep(self.floors), takes_self=True))

    @property
    def reply_size(self) -> int:
        return len(self._sweep)

    def sweeps(self, sent: Outputs | None) -> tuple[bytes]:
        return (self._sweep,)

    def snapshot(self, reply: bytes) -> Inputs | None:
        return snapshot(reply, self.floors)

    def changes(self, sent: Outputs | None, wanted: Outputs) -> bytes:
        return changes(sent, wanted, self.floors)


class ElevatorServer:
    """A client of one elevator server. It reconnects whenever the connection is lost.

    It never blocks if *host* is an address; if *host* is a name, each lookup may block. The caller logs the lines in
    `news`, oldest first, and removes them.
    """

    def __init__(self, host: str, port: int, floors: int) -> None:
        self.address = (host, port)
        self.panel = PanelClient(ServerCodec(floors), first_reply_ms=NEVER_MS)
        self.news: list[str] = []
        self._absence = Condition(is_failing=None)
        self._socket: socket.socket | None = None
        self._is_connected = False
        self._outgoing = b""
        self._next_at_ms = 0
        """When to connect or, once connected, to send the next sweep."""
        self._early_at_ms = 0
        """The earliest time of the next sweep if the process is awake for another reason."""
        self._give_up_at_ms = 0

    def sockets(self) -> tuple[list[socket.socket], list[socket.socket]]:
        """Return the sockets to watch for reading and for writing."""
        if self._socket is None:
            return [], []
        return [self._socket], [self._socket] if self._outgoing or not self._is_connected else []

    def wake_at_ms(self) -> int:
        """Return when to call `poll`, unless a socket is ready earlier."""
        if self._socket is None or (self._is_connected and self.panel.asked_at_ms is None):
            return self._next_at_ms
        return self._give_up_at_ms

    def inputs(self, now_ms: int) -> Inputs | None:
        """Return the newest snapshot if it is fresh, else None."""
        return self.panel.inputs(now_ms)

    @property
    def asked_at_ms(self) -> int:
        """When the sweep of the newest valid and fresh reply was written, even if the reply changed nothing."""
        return self.panel.newest_asked_at_ms

    def poll(self, now_ms: int, readable: bool = True) -> None:
        """Receive if the socket is *readable*, do what is due (connect, sweep or disconnect), and send what waits."""
        try:
            if self._socket is not None:
                self._exchange(now_ms, readable)
            elif now_ms >= self._next_at_ms:
                self._connect(now_ms)
        except OSError as error:
            self._disconnect(now_ms, error.strerror or str(error))
        if self.panel.has_answered and self._absence.is_failing is not False:
            self._report(now_ms)

    def write(self, outputs: Outputs) -> None:
        """Send the outputs that differ from those last sent on this connection. Send nothing before the first reply."""
        message = self.panel.write(outputs)
        if message:
            self._outgoing += message
            with suppress(OSError):  # The next `poll` also fails, and then disconnects.
                self._flush()

    def stop(self) -> None:
        """Stop the motor and disconnect. Most servers also stop the motor when a client disconnects.

        A server that has not answered on this connection gets no command.
        """
        if self._socket is None:
            return
        if self.panel.has_answered:
            self._outgoing += bytes((MOTOR, 0, 0, 0))
            with suppress(OSError):
                self._flush()
        self._socket.close()
        self._socket = None

    def _connect(self, now_ms: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._is_connected = False
        self._outgoing = b""
        self.panel.forget()
        self._give_up_at_ms = now_ms + FIRST_REPLY_TIMEOUT_MS
        code = self._socket.connect_ex(self.address)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))

    def _exchange(self, now_ms: int, readable: bool) -> None:
        assert self._socket is not None
        if not self._is_connected:
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
            if now_ms >= self._give_up_at_ms:
                raise OSError(errno.ETIMEDOUT, "connection timed out")
            try:
                self._socket.getpeername()
            except OSError:
                return  # The socket is still connecting.
            self._is_connected = True
            self._next_at_ms = self._early_at_ms = now_ms
        if readable:
            self._receive(now_ms)
        if self.panel.asked_at_ms is None:
            if now_ms >= self._early_at_ms:
                self._outgoing += self.panel.ask(now_ms)
                interval_ms = sweep_ms(self.panel.sent)
                self._next_at_ms = now_ms + interval_ms
                self._early_at_ms = self._next_at_ms - interval_ms // EARLY
                self._give_up_at_ms = now_ms + (TIMEOUT_MS if self.panel.has_answered else FIRST_REPLY_TIMEOUT_MS)
        elif now_ms >= self._give_up_at_ms:
            raise OSError(errno.ETIMEDOUT, "no answer")
        self._flush()

    def _receive(self, now_ms: int) -> None:
        assert self._socket is not None
        try:
            received = self._socket.recv(4096)
        except BlockingIOError:
            return
        if not received:
            raise OSError(errno.ECONNRESET, "the server closed the connection")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        receipt = self.panel.receive(received, now_ms)
        match receipt:
            case Receipt.PARTIAL | Receipt.ANSWERED | Receipt.STALE:
                pass
            case Receipt.UNASKED:
                raise OSError(errno.EPROTO, "unexpected reply")
            case Receipt.MALFORMED:
                raise OSError(errno.EPROTO, "malformed reply")
            case _:
                assert_never(receipt)

    def _report(self, now_ms: int, problem: str = "") -> None:
        report = self._absence.feed(now_ms, bool(problem))
        if report is not None:
            host, port = self.address
            self.news.append(f"elevator server {host}:{port} {report.line(problem, 'answers')}")

    def _flush(self) -> None:
        if not self._outgoing or self._socket is None or not self._is_connected:
            return
        if len(self._outgoing) > BACKLOG_MAX:
            raise OSError(errno.ENOBUFS, "the server has stopped reading commands")
        with suppress(BlockingIOError):
            self._outgoing = self._outgoing[self._socket.send(self._outgoing) :]

    def _disconnect(self, now_ms: int, why: str) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._next_at_ms = now_ms + RETRY_MS
        state = "is lost" if self.panel.has_answered else "is unavailable"
        self._report(now_ms, f"{state} ({why}); retrying")
        self.panel.forget()
