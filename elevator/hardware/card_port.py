"""The connection to the lab's I/O card, on a serial port. It has all methods of `ElevatorServer` that loop.py uses.

card_client.py decides what to send and decodes replies. This module handles what is peculiar to a serial line:

1. No other program should use the port: two controllers would read each other's replies. Once it is open, TIOCEXCL
   keeps others from opening it, except programs of root. ModemManager runs as root, so a udev rule must stop it (see
   `elevator doctor`). A lock (flock) excludes a second controller run by root. The lab's elevator server takes no lock,
   so the user must stop it first.
2. Unlike an elevator server, the card keeps executing its last command when this program dies. So while a card is
   connected, the supervisor (if any) holds a copy of the descriptor. It writes HALT to this copy when the worker is
   gone.
3. Another program may change the line's settings, even its bit rate. So `CardPort` sets them again at every halt.
4. HUPCL is cleared, because a hang-up when the port closes would restart the card.
"""

import errno
import fcntl
import os
import termios
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from serial import Serial

from elevator.core.log_damping import Condition
from elevator.core.model import Inputs, Outputs
from elevator.hardware.card_client import CardClient, CardLost, CardPhase
from elevator.hardware.io_card import BAUD, HALT, CardCodec
from elevator.hardware.panel_client import BACKLOG_MAX, RETRY_MS, SWEEP_MS

AUTO = "auto"
BY_ID = Path("/dev/serial/by-id")
CARD = "*NTNU_Arduino_IO_Card*"
"""A glob for the card's name in BY_ID, and also for its ID_SERIAL, because udev derives the name from ID_SERIAL."""
UDEV_RULE = f'SUBSYSTEM=="tty", ENV{{ID_SERIAL}}=="{CARD}", ENV{{ID_MM_DEVICE_IGNORE}}="1"'
"""The udev rule that stops ModemManager from probing the card."""
UDEV_MARK = "E:ID_MM_DEVICE_IGNORE=1"
"""If udev's record of a port contains this line, ModemManager ignores the port."""
REPORT_MS = 60_000
"""The minimum time between two log lines about halts."""
LISTED_MAX = 8
"""The maximum number of ports named in one message."""


def find_port(where: str) -> str:
    """Return *where* or, if it is AUTO, the path of the only card.

    With AUTO, raise OSError if there is no card or more than one.
    """
    if where != AUTO:
        return where
    cards = sorted(BY_ID.glob(CARD))
    if len(cards) == 1:
        return str(cards[0])
    if cards:
        raise OSError(errno.ENODEV, f"more than one card in {BY_ID}, so choose one with --serial PATH: {listed(cards)}")
    others = sorted(BY_ID.glob("*"))
    raise OSError(errno.ENODEV, f"no card in {BY_ID}" + (f", only {listed(others)}" if others else ""))


def listed(paths: list[Path]) -> str:
    names = [path.name for path in paths[:LISTED_MAX]]
    return ", ".join(names) + (f" and {len(paths) - LISTED_MAX} more" if len(paths) > LISTED_MAX else "")


def open_port(path: str) -> tuple[Serial, list[Any]]:
    """Open the serial port at *path* for exclusive, non-blocking use; raise OSError on failure.

    Return the port and the terminal attributes that were set.
    """
    try:
        port = Serial(path, BAUD, timeout=0, write_timeout=0, exclusive=True)
    except (ValueError, termios.error) as error:
        raise OSError(errno.EINVAL, str(error)) from None
    except OSError as error:  # pyserial's message repeats the path.
        if error.errno in (errno.EAGAIN, errno.EBUSY):
            raise OSError(errno.EBUSY, "another program is using the port") from None
        raise OSError(error.errno, os.strerror(error.errno) if error.errno else str(error)) from None
    try:
        fcntl.ioctl(port.fileno(), termios.TIOCEXCL)
        attributes = termios.tcgetattr(port.fileno())
        attributes[2] &= ~termios.HUPCL
        attributes[6][termios.VMIN] = 1  # A read then returns nothing only if the card is unplugged.
        termios.tcsetattr(port.fileno(), termios.TCSANOW, attributes)
    except (OSError, termios.error) as error:
        port.close()
        raise OSError(*error.args) from None
    return port, attributes


def share_port(descriptor: int) -> None:
    """Let other programs open the port, even if another process still has a copy of *descriptor*."""
    fcntl.ioctl(descriptor, termios.TIOCNXCL)
    fcntl.flock(descriptor, fcntl.LOCK_UN)


class CardPort:
    """The connection to one card. It reopens the serial port whenever the card is lost, and never blocks.

    *where* is the path of the serial port, or AUTO. *hold* gives the supervisor a copy of the descriptor, so that the
    supervisor can stop the motor: `CardPort` calls *hold* with the descriptor once a card has identified itself, and
    with None before it closes the descriptor. The card is swept every *sweep_ms*, or every SWEEP_MS if that is shorter,
    because a motor command from another program lasts until the next sweep. With *has_tachometer*, each sweep reads the
    tachometer.

    The caller logs the lines in `news`, oldest first, and removes them.
    """

    def __init__(
        self,
        where: str,
        speed: int,
        hold: Callable[[int | None], None] = lambda _: None,
        sweep_ms: int = SWEEP_MS,
        has_tachometer: bool = False,
    ) -> None:
        self.where = where
        self.client = CardClient(CardCodec(speed, has_tachometer), min(sweep_ms, SWEEP_MS))
        self.news: list[str] = []
        self._absence = Condition(is_failing=None)
        self._hold = hold
        self._path = where
        self._port: Serial | None = None
        self._attributes: list[Any] = []
        self._open_at_ms = 0
        """When to try again to open the port."""
        self._report_at_ms = 0
        """Halts before this time are not logged."""

    @property
    def speed(self) -> int:
        """The motor speed for later commands, 1..255."""
        return self.client.speed

    @speed.setter
    def speed(self, speed: int) -> None:
        self.client.speed = speed

    @property
    def tachometer(self) -> int:
        """The tachometer value in the newest valid reply, 0..255; 0 if there is none, or sweeps do not read it."""
        return self.client.tachometer

    @property
    def halts(self) -> int:
        return self.client.halts

    def sockets(self) -> tuple[list[int], list[int]]:
        """Return the descriptors to watch for reading and for writing."""
        if self._port is None:
            return [], []
        return [self._port.fileno()], [self._port.fileno()] if self.client.outgoing else []

    def wake_at_ms(self) -> int:
        """Return when to call `poll`, unless a descriptor is ready earlier."""
        return self._open_at_ms if self._port is None else self.client.wake_at_ms()

    def inputs(self, now_ms: int) -> Inputs | None:
        """Return the newest snapshot if it is fresh, else None."""
        return self.client.panel.inputs(now_ms)

    @property
    def asked_at_ms(self) -> int:
        """When the sweep of the newest valid and fresh reply was written, even if the reply changed nothing."""
        return self.client.panel.newest_asked_at_ms

    def poll(self, now_ms: int, readable: bool = True) -> None:
        """Receive if the port is *readable* or a reply is late. Then do what is due: open, identify, sweep, or close.

        If this call halts the motor, also restore the settings of the line.
        """
        try:
            if self._port is not None:
                self._exchange(self._port, now_ms, readable)
            elif now_ms >= self._open_at_ms:
                self._open(now_ms)
        except (OSError, CardLost) as error:
            self._disconnect(now_ms, getattr(error, "strerror", None) or str(error))
        if self.client.panel.has_answered:
            self._report(now_ms)

    def write(self, outputs: Outputs) -> None:
        """Send changed outputs. Before the first reply and during a halt, send nothing."""
        if self.client.write(outputs):
            with suppress(OSError):  # The next receive also fails, and `poll` then closes the port.
                self._flush()

    def stop(self) -> None:
        """Close the port. If it belongs to a card, first stop the motor, close the door and switch off the lamps."""
        if self._port is not None:
            self._close(self._port, self.client.last_message())

    def release(self) -> None:
        """Close the port without changing any output."""
        if self._port is not None:
            self._close(self._port, b"")

    def _open(self, now_ms: int) -> None:
        self._path = self.where
        self._path = find_port(self.where)
        self._port, self._attributes = open_port(self._path)
        self.client.begin(now_ms)
        self._flush()

    def _exchange(self, port: Serial, now_ms: int, readable: bool) -> None:
        client = self.client
        phase, halts = client.phase, client.halts
        if readable or client.is_late(now_ms):
            self._receive(port, now_ms)
        client.advance(now_ms)
        if phase is CardPhase.IDENTIFYING and client.is_card:
            self._hold(port.fileno())
        if client.halts != halts:
            self._handle_halt(port, now_ms)
        self._flush()

    def _receive(self, port: Serial, now_ms: int) -> None:
        try:
            received = os.read(port.fileno(), 4096)
        except BlockingIOError:
            return
        if not received:
            raise OSError(errno.ENODEV, "unplugged")
        self.client.receive(received, now_ms)

    def _handle_halt(self, port: Serial, now_ms: int) -> None:
        with suppress(termios.error):
            termios.tcsetattr(port.fileno(), termios.TCSANOW, self._attributes)
        if now_ms >= self._report_at_ms:
            self._report_at_ms = now_ms + REPORT_MS
            action = f"the motor is stopped until replies are valid again (halt number {self.halts})"
            advice = f"if this recurs, stop other programs that use the port (sudo fuser -v {self._path} lists them)"
            self.news.append(f"I/O card {self._path}: {self.client.why_halted}; {action}; {advice}")

    def _report(self, now_ms: int, problem: str = "") -> None:
        report = self._absence.feed(now_ms, bool(problem))
        if report is not None:
            self.news.append(f"I/O card {self._path} {report.line(problem, 'answers')}")

    def _flush(self) -> None:
        outgoing = self.client.outgoing
        if not outgoing or self._port is None:
            return
        if len(outgoing) > BACKLOG_MAX:
            raise OSError(errno.ENOBUFS, "the card has stopped reading commands")
        with suppress(BlockingIOError):
            self.client.outgoing = outgoing[os.write(self._port.fileno(), outgoing) :]

    def _disconnect(self, now_ms: int, why: str) -> None:
        state = "is lost" if self.client.panel.has_answered else "is unavailable"
        if self._port is not None:
            self._close(self._port, HALT if self.client.is_card else b"")
        self._open_at_ms = now_ms + RETRY_MS
        self._report(now_ms, f"{state} ({why}); retrying")

    def _close(self, port: Serial, last_message: bytes) -> None:
        with suppress(OSError):  # The device is gone or does not accept bytes.
            os.write(port.fileno(), last_message)
        with suppress(OSError):  # The device is gone.
            share_port(port.fileno())
        self._hold(None)
        port.close()
        self._port = None
        self.client.end()
