"""The port of the lab's I/O card: a serial line, kept open for ever. To the loop it is the same as an elevator server.

card_client.py decides what to write and what replies mean. The port adds what a serial line needs:

1. No other program should use it: two controllers would read each other's replies. TIOCEXCL keeps out all but root.
   ModemManager is root, so only a udev rule stops it (see `elevator doctor`). A lock (flock) keeps out a second
   controller of root. The lab's elevator server takes no lock: it must not run at the same time.
2. The card keeps its last command when this program dies, unlike a server. So while the port is open the supervisor
   holds a copy of its descriptor, to write HALT there.
3. Another program may change the line's settings, even its bit rate. So they are set again at every halt.
4. Closing the port does not hang up (HUPCL): that would restart the card.
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
UDEV_RULE = f'SUBSYSTEM=="tty", ENV{{ID_SERIAL}}=="{CARD}", ENV{{ID_MM_DEVICE_IGNORE}}="1"'
"""Keeps ModemManager from probing the card. ID_SERIAL is what udev makes the name in BY_ID of."""
UDEV_MARK = "E:ID_MM_DEVICE_IGNORE=1"
"""What udev's record of a port has when the rule, or another one like it, is in force."""
REPORT_MS = 60_000
"""The least time between two log lines about halts. Every halt is counted."""
LISTED_MAX = 8
"""Ports named in one message."""


def find_port(where: str) -> str:
    """Return the path of the port that *where* names; raise OSError if it is AUTO and there is not exactly one card."""
    if where != AUTO:
        return where
    cards = sorted(BY_ID.glob(CARD))
    if len(cards) == 1:
        return str(cards[0])
    if cards:
        raise OSError(errno.ENODEV, f"more than one: {listed(cards)}")
    others = sorted(BY_ID.glob("*"))
    raise OSError(errno.ENODEV, f"none in {BY_ID}" + (f", but {listed(others)}" if others else ""))


def listed(paths: list[Path]) -> str:
    names = [path.name for path in paths[:LISTED_MAX]]
    return ", ".join(names) + (f" and {len(paths) - LISTED_MAX} more" if len(paths) > LISTED_MAX else "")


def open_port(path: str) -> tuple[Serial, list[Any]]:
    """Open the serial port at *path* for this program alone, so that nothing ever waits for it; raise OSError.

    Return it with its terminal attributes.
    """
    try:
        port = Serial(path, BAUD, timeout=0, write_timeout=0, exclusive=True)
    except (ValueError, termios.error) as error:
        raise OSError(errno.EINVAL, str(error)) from None
    except OSError as error:  # pyserial puts the path and more in front of the reason
        if error.errno in (errno.EAGAIN, errno.EBUSY):
            raise OSError(errno.EBUSY, "another program has it") from None
        raise OSError(error.errno, os.strerror(error.errno) if error.errno else str(error)) from None
    try:
        fcntl.ioctl(port.fileno(), termios.TIOCEXCL)
        attributes = termios.tcgetattr(port.fileno())
        attributes[2] &= ~termios.HUPCL
        attributes[6][termios.VMIN] = 1  # so that nothing to read differs from a port that is gone
        termios.tcsetattr(port.fileno(), termios.TCSANOW, attributes)
    except (OSError, termios.error) as error:
        port.close()
        raise OSError(*error.args) from None
    return port, attributes


def share_port(descriptor: int) -> None:
    """Let others open the port of *descriptor*, also while a copy of that is open elsewhere; raise OSError."""
    fcntl.ioctl(descriptor, termios.TIOCNXCL)
    fcntl.flock(descriptor, fcntl.LOCK_UN)


class CardPort:
    """The port: one card at a time, kept open for ever. Never blocks.

    *where* is a path, or AUTO. *hold* is called with the descriptor of a port that a card is on, and with None before
    it is closed. The card is swept every *sweep_ms*, and with its tachometer if *has_tachometer*. A *sweep_ms* above
    SWEEP_MS counts as SWEEP_MS: a motor command by another program lasts until the next sweep.
    `news` has what should be logged, oldest first; the loop takes it away.
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
        """The port's terminal attributes."""
        self._open_at_ms = 0
        """When to open the port again."""
        self._report_at_ms = 0
        """When the next halt may be logged."""

    @property
    def speed(self) -> int:
        """Speed of the motor in the commands to come."""
        return self.client.speed

    @speed.setter
    def speed(self, speed: int) -> None:
        self.client.speed = speed

    @property
    def tachometer(self) -> int:
        """The tachometer's value in the newest snapshot."""
        return self.client.tachometer

    @property
    def halts(self) -> int:
        """How often late or malformed replies have stopped the motor."""
        return self.client.halts

    def sockets(self) -> tuple[list[int], list[int]]:
        """Return the descriptors to be watched for reading and for writing."""
        if self._port is None:
            return [], []
        return [self._port.fileno()], [self._port.fileno()] if self.client.outgoing else []

    def wake_at_ms(self) -> int:
        """Return when `poll` must be called if the port says nothing."""
        return self._open_at_ms if self._port is None else self.client.wake_at_ms()

    def inputs(self, now_ms: int) -> Inputs | None:
        """Return the newest snapshot if it is fresh, else None."""
        return self.client.panel.inputs(now_ms)

    @property
    def asked_at_ms(self) -> int:
        """When the sweep was written that the newest snapshot answers."""
        return self.client.panel.newest_asked_at_ms

    def poll(self, now_ms: int, readable: bool = True) -> None:
        """Do everything that is due: open, receive if the port is *readable*, identify, sweep, give up."""
        try:
            if self._port is not None:
                self._exchange(self._port, now_ms, readable)
            elif now_ms >= self._open_at_ms:
                self._open(now_ms)
        except (OSError, CardLost) as error:
            self._lose(now_ms, getattr(error, "strerror", None) or str(error))
        if self.client.panel.has_answered:
            self._report(now_ms)

    def write(self, outputs: Outputs) -> None:
        """Send the differences from the outputs last sent, unless the motor is halted."""
        if not self.client.write(outputs):
            return
        try:
            self._flush()
        except OSError:
            pass  # The next receive fails too, so the card is lost in one place.

    def stop(self) -> None:
        """Stop the motor, put out the lamps and close the port."""
        if self._port is not None:
            self._close(self._port, self.client.last_message())

    def release(self) -> None:
        """Close the port and leave everything as it is."""
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
            self._note_halt(port, now_ms)
        self._flush()

    def _receive(self, port: Serial, now_ms: int) -> None:
        try:
            received = os.read(port.fileno(), 4096)
        except BlockingIOError:
            return
        if not received:
            raise OSError(errno.ENODEV, "it was unplugged")
        self.client.receive(received, now_ms)

    def _note_halt(self, port: Serial, now_ms: int) -> None:
        with suppress(termios.error):
            termios.tcsetattr(port.fileno(), termios.TCSANOW, self._attributes)
        if now_ms >= self._report_at_ms:
            self._report_at_ms = now_ms + REPORT_MS
            text = f"{self.client.why_halted}; motor stopped until its replies are good again (halt {self.halts})"
            self.news.append(f"I/O card {self._path}: {text}; `elevator doctor` finds who else uses the port")

    def _report(self, now_ms: int, trouble: str = "") -> None:
        """Log whether there is *trouble*, if that is news."""
        report = self._absence.feed(now_ms, bool(trouble))
        if report is not None:
            self.news.append(f"I/O card {self._path} {report.line(trouble, 'answers')}")

    def _flush(self) -> None:
        outgoing = self.client.outgoing
        if not outgoing or self._port is None:
            return
        if len(outgoing) > BACKLOG_MAX:
            raise OSError(errno.ENOBUFS, "it does not read")
        try:
            self.client.outgoing = outgoing[os.write(self._port.fileno(), outgoing) :]
        except BlockingIOError:
            pass

    def _lose(self, now_ms: int, why: str) -> None:
        state = "lost" if self.client.panel.has_answered else "not there yet"
        if self._port is not None:
            self._close(self._port, HALT if self.client.is_card else b"")
        self._open_at_ms = now_ms + RETRY_MS
        self._report(now_ms, f"{state} ({why}); trying again")

    def _close(self, port: Serial, last_message: bytes) -> None:
        with suppress(OSError):  # It is gone, or takes nothing.
            os.write(port.fileno(), last_message)
        with suppress(OSError):  # It is gone.
            share_port(port.fileno())
        self._hold(None)
        port.close()
        self._port = None
        self.client.end()
