"""`elevator serve-card`: an elevator server for the lab's I/O card, for controllers that speak the server's protocol.

1. The server serves one client at a time. A second client can connect but gets replies only after the first
   disconnects. The motor stops in between; the door and the lamps keep their state.
2. Reads are answered from the last sweep of the card's pins. `--interval` is the time between sweeps, at most 10 ms.
   Each sweep also repeats the motor command, because another program may have overwritten it. A write that changes an
   output goes to the card at once, unless an earlier read is still waiting (3). Reads of buttons that do not exist
   return 0. Writes to lamps and floors that do not exist, and unknown messages, are ignored.
3. A read waits for a sweep that began after the client's last door and motor commands. So the reply reflects them.
4. While the card's replies are late or malformed, the server halts the motor, and reads wait. When the replies are
   valid again, the server sends the client's latest outputs, including the motor command.
5. If the card is lost or sends no valid reply for 500 ms, the server disconnects the client, because the state of the
   motor is unknown. New clients wait until the card sends valid replies again.
6. Like a node, the server is a process pair. The supervisor stops the motor when the worker dies.
"""

import argparse
import logging
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

from attrs import evolve

from elevator.cli.arguments import Arguments, integer
from elevator.core.call_set import mask
from elevator.core.log_damping import Condition
from elevator.core.model import Button, Buttons, Inputs, Motor, Outputs
from elevator.hardware.card_port import AUTO, CardPort
from elevator.hardware.elevator_server import (
    DOOR,
    INDICATOR,
    LAMP,
    MOTOR,
    OBSTRUCTION,
    PRESSED,
    SENSOR,
    STOP,
    STOP_LAMP,
    TACHOMETER,
)
from elevator.hardware.io_card import FLOORS, HALT, LAMP_PINS, SPEED
from elevator.hardware.panel_client import SWEEP_MS, confirmation
from elevator.hardware.server_side import MessageReader, motor_direction
from elevator.processes import child, pair
from elevator.processes.worker_link import Link

CHUNK = 4096

log = logging.getLogger("elevator")


class Wanted(NamedTuple):
    """The outputs and the motor speed (0..255) that clients have set.

    When a client disconnects, the motor stops; the other values stay for the next client.
    """

    outputs: Outputs = Outputs()
    speed: int = SPEED


def apply(wanted: Wanted, message: bytes, default_speed: int) -> Wanted:
    """Return *wanted* after the client's *message*. A motor message without a speed selects *default_speed*."""
    operation, first, second, third = message
    outputs, speed = wanted
    match operation:
        case _ if operation == MOTOR:
            motor = motor_direction(first)
            speed = third if second else default_speed
            # A higher `motor_try` makes the codec repeat the motor command. Only a new speed requires that.
            motor_try = outputs.motor_try + (speed != wanted.speed)
            return Wanted(evolve(outputs, motor=motor, motor_try=motor_try), speed)
        case _ if operation == LAMP and first <= Button.CAB and (Button(first), second) in LAMP_PINS:
            assert outputs.lamps is not None
            masks = [mask(outputs.lamps, button) for button in Button]
            masks[first] = masks[first] | 1 << second if third else masks[first] & ~(1 << second)
            return Wanted(evolve(outputs, lamps=Buttons(*masks)), speed)
        case _ if operation == INDICATOR and first < FLOORS:
            return Wanted(evolve(outputs, floor=first), speed)
        case _ if operation == DOOR:
            return Wanted(evolve(outputs, door=bool(first)), speed)
        case _ if operation == STOP_LAMP:
            return Wanted(evolve(outputs, stop_lamp=bool(first)), speed)
        case _:
            return wanted


def answer(inputs: Inputs, tachometer: int, message: bytes) -> bytes:
    """Return the reply if *message* is a read; otherwise return no bytes."""
    operation, first, second, _ = message
    match operation:
        case _ if operation == PRESSED:
            down = first <= Button.CAB and mask(inputs.pressed, Button(first)) >> second & 1
            return bytes((PRESSED, down, 0, 0))
        case _ if operation == SENSOR:
            return bytes((SENSOR, inputs.floor is not None, inputs.floor or 0, 0))
        case _ if operation == STOP:
            return bytes((STOP, inputs.stop, 0, 0))
        case _ if operation == OBSTRUCTION:
            return bytes((OBSTRUCTION, inputs.obstructed, 0, 0))
        case _ if operation == TACHOMETER:
            return bytes((TACHOMETER, tachometer, 0, 0))
        case _:
            return b""


class Bridge:
    """Serves the card to the clients of *listener*, one at a time."""

    def __init__(self, listener: socket.socket, card: CardPort) -> None:
        self.card = card
        self._listener = listener
        self._client: socket.socket | None = None
        self._absence = Condition(is_failing=True)
        self._address, self._why_gone = "", ""
        self._speed = card.speed
        self._wanted = Wanted(speed=card.speed)
        self._reader = MessageReader()
        self._has_warned = False
        """True if an incomplete message of the current client has been logged."""
        self._unsent = b""

    def run_once(self, more: Sequence[socket.socket], wake_at_ms: int) -> None:
        """Wait until a client, the card or a socket in *more* is ready, at most until *wake_at_ms*.

        Then serve the client and the card.
        """
        reading, writing = self.card.sockets()
        sockets: list[socket.socket] = []
        unsent: list[socket.socket] = []
        if self.card.inputs(clock_ms()) is not None:
            is_busy = self._unsent or self._reader.peek()
            sockets = [self._listener] if self._client is None else [] if is_busy else [self._client]
            unsent = [self._client] if self._client is not None and self._unsent else []
        expires_at_ms = self._reader.expires_at_ms() if self._client in sockets else None
        wakes = [self.card.wake_at_ms(), wake_at_ms] + ([] if expires_at_ms is None else [expires_at_ms])
        began_ms = clock_ms()
        timeout_ms = min(wakes) - began_ms
        watched: list[socket.socket | int] = [*more, *reading, *sockets]
        to_write: list[socket.socket | int] = [*writing, *unsent]
        ready = select.select(watched, to_write, [], max(timeout_ms, 0) / 1000)
        now_ms = clock_ms()
        self.card.poll(now_ms, readable=any(each in ready[0] for each in reading))
        inputs = self.card.inputs(now_ms)
        if inputs is None:
            self._disconnect("the card is lost")
        elif self._listener in ready[0]:
            self._accept()
        elif self._client is not None:
            if expires_at_ms is not None and self._client not in ready[0]:
                self._expire(began_ms)
            self._serve(self._client, inputs, readable=self._client in ready[0])
        self._write()
        report = self._absence.feed(now_ms, self._client is None)
        if report is not None:
            log.info("client %s", report.line(f"disconnected: {self._why_gone}", f"connected from {self._address}"))
        while self.card.news:
            log.warning(self.card.news.pop(0))

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._listener.close()
        self.card.stop()

    def _accept(self) -> None:
        try:
            client, address = self._listener.accept()
        except OSError:
            return  # The client disconnected before it was accepted.
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client, self._address = client, f"{address[0]}:{address[1]}"

    def _serve(self, client: socket.socket, inputs: Inputs, readable: bool) -> None:
        try:
            if readable:
                chunk = client.recv(CHUNK)
                if not chunk:
                    self._disconnect("it closed the connection")
                    return
                # A client without TCP_NODELAY sends its next message only once this one is acknowledged.
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                self._reader.receive(chunk, clock_ms())
            self._handle_messages(inputs)
            if self._unsent:
                self._unsent = self._unsent[client.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError as error:
            self._disconnect(error.strerror or str(error))

    def _handle_messages(self, inputs: Inputs) -> None:
        while message := self._reader.peek():
            reply = answer(inputs, self.card.tachometer, message)
            if reply and not self._is_current(inputs):
                return
            self._reader.pop()
            self._unsent += reply
            self._wanted = apply(self._wanted, message, self._speed)
            self._write()

    def _is_current(self, inputs: Inputs) -> bool:
        """Return whether *inputs* were read after the client's last door and motor commands took effect."""
        # After a halt the inputs are current, but the client's motor command is not restored yet.
        is_as_wanted = inputs.confirmed == confirmation(self._wanted.outputs)
        return is_as_wanted and not inputs.halted and self.card.client.panel.is_current

    def _expire(self, until_ms: int) -> None:
        """If the client's incomplete message had expired by *until_ms*, drop it. Log the first one of each client."""
        dropped = self._reader.expire(until_ms)
        if dropped and not self._has_warned:
            log.warning(
                "dropped an incomplete message from %s (%d of 4 bytes); logged once for each client",
                self._address,
                dropped,
            )
            self._has_warned = True

    def _write(self) -> None:
        self.card.speed = self._wanted.speed
        self.card.write(self._wanted.outputs)

    def _disconnect(self, why: str) -> None:
        """Disconnect the client, if any, and stop the motor."""
        self._wanted = self._wanted._replace(outputs=evolve(self._wanted.outputs, motor=Motor.STOP))
        if self._client is not None:
            self._client.close()
            self._client = None
            self._reader, self._has_warned, self._unsent = MessageReader(), False, b""
            self._why_gone = why


def clock_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def main(argv: list[str]) -> int:
    """Run `elevator serve-card` until a signal arrives; return the exit status."""
    parser = Arguments(
        prog="elevator serve-card",
        description="Serve the lab's I/O card to any controller that speaks the elevator server's protocol.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "-s",
        "--serial",
        default=AUTO,
        metavar="PATH",
        help="serial port of the card; default: auto, which finds the only card",
    )
    add("-p", "--port", type=integer(1, 65535), default=15657, help="TCP port to listen on; default: 15657")
    interval_help = f"time between reads of the pins in ms, at most {SWEEP_MS}; default: {SWEEP_MS}"
    add("-i", "--interval", type=integer(0, 3_600_000), default=SWEEP_MS, metavar="MS", help=interval_help)
    add("--host", default="127.0.0.1", help="address to listen on; default: 127.0.0.1")
    add(
        "--speed",
        type=integer(1, 255),
        default=SPEED,
        help=f"motor speed, 1..255, unless the client sets another; default: {SPEED}",
    )
    add("--adopt", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    line = "%(asctime)s.%(msecs)03d serve-card: %(message)s"
    logging.basicConfig(level=logging.INFO, format=line, datefmt="%H:%M:%S")

    def work(link: Link) -> int:
        return serve(arguments, link)

    try:
        worker, inherited = (None, []) if arguments.adopt is None else pair.adopt(arguments.adopt)
    except ValueError as error:
        parser.error(f"argument --adopt: {error}")
    return pair.supervise(work, worker, inherited, HALT)


def serve(arguments: argparse.Namespace, link: Link) -> int:
    """Serve clients until a signal arrives; return the exit status: 2 if the TCP port cannot be opened, else 0."""
    signals = child.Signals()
    try:
        listener = socket.create_server((arguments.host, arguments.port), backlog=8)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        print(f"elevator serve-card: cannot listen on {arguments.host} port {arguments.port}: {why}", file=sys.stderr)
        return 2
    listener.setblocking(False)
    log.info(
        "listening on %s port %d for clients of the I/O card (--serial %s)",
        arguments.host,
        arguments.port,
        arguments.serial,
    )
    if arguments.interval > SWEEP_MS:
        why = "because each read also repeats the motor command"
        log.info("reading the pins every %d ms instead of %d ms, %s", SWEEP_MS, arguments.interval, why)
    card = CardPort(arguments.serial, arguments.speed, link.hold, arguments.interval, has_tachometer=True)
    bridge = Bridge(listener, card)
    while signals.received is None:
        bridge.run_once([signals.socket, *link.sockets()], link.wake_at_ms())
        link.poll(clock_ms())
    bridge.close()
    log.info("stopping: received %s", signal.Signals(signals.received).name)
    return 0
