"""The lab's I/O card on a serial port: the same to the loop as an elevator server.

1. A port that opens is no card yet. It is asked who it is, up to TRIES times: a card may miss the first request.
   Whatever else comes is thrown away. Only then is it read and written.
2. Everything is asked in one sweep, at most one is outstanding, and its reply is one snapshot. One that comes later
   than FRESH_MS is of the past, and thrown away.
3. If the reply takes longer than LATE_MS, or is not one, the port writes HALT at once: another program may have written
   to the card, or taken its replies. Then it resynchronises: it asks the card who it is until the card has answered
   that and nothing else for QUIET_MS, and writes HALT every SWEEP_MS meanwhile. Then it writes all outputs again, with
   the motor stopped. The first good reply after that ends the halt; until then snapshots say `halted` and commands are
   ignored. A reply that is whole but late shows that nothing was lost, so it is a snapshot and ends the halt. If a halt
   lasts for SILENCE_MS the card is lost.
4. No other program should use the port: two controllers would take each other's replies. TIOCEXCL keeps out all but
   root. ModemManager is root, so only a udev rule stops it (see `elevator doctor`). A lock (flock) keeps out a second
   controller of root. The lab's elevator server takes no lock: it must not run at the same time.
5. The card keeps its last command when this program dies, unlike a server. So while the port is open the supervisor
   holds a copy of its descriptor, to write HALT there.
6. Closing the port does not hang up (HUPCL): that would restart the card.
"""

import errno
import fcntl
import os
import termios
from collections.abc import Callable
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import Any

from attrs import evolve
from serial import Serial

from elevator.core.log_damping import Condition
from elevator.core.model import Inputs, Motor, Outputs
from elevator.hardware.io_card import BAUD, HALT, IDENTITY, READ_TACHOMETER, SWEEP, WHO, changes, snapshot, sweeps
from elevator.hardware.panel_client import BACKLOG_MAX, FRESH_MS, RETRY_MS, SILENCE_MS, SWEEP_MS, done
from elevator.hardware.panel_outputs import after

AUTO = "auto"
BY_ID = Path("/dev/serial/by-id")
CARD = "*NTNU_Arduino_IO_Card*"
UDEV_RULE = f'SUBSYSTEM=="tty", ENV{{ID_SERIAL}}=="{CARD}", ENV{{ID_MM_DEVICE_IGNORE}}="1"'
"""Keeps ModemManager from probing the card. ID_SERIAL is what udev makes the name in BY_ID of."""
UDEV_MARK = "E:ID_MM_DEVICE_IGNORE=1"
"""What udev's record of a port has when the rule, or another one like it, is in force."""
TRIES, ASK_MS = 10, 100
LATE_MS = 50
"""A reply that takes longer stops the motor. A sweep and its reply take about 1 ms on the line."""
LOST_MS = 250
"""If nothing at all of a reply has come by then, it is not waited for any longer."""
QUIET_MS = 20
"""After this long without a byte no reply is outstanding. USB adapters deliver every 16 ms or sooner."""
REPORT_MS = 60_000
"""The least time between two log lines about halts. Every halt is counted."""
LISTED_MAX = 8
"""Ports named in one message."""


def find(where: str) -> str:
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


def split(reply: bytes) -> tuple[bytes, bytes]:
    """Return the tachometer's byte, if it was read, and the rest of the *reply* to a sweep."""
    return reply[: -len(SWEEP)], reply[-len(SWEEP) :]


class CardPort:
    """The port: one card at a time, kept up for ever. Never blocks.

    *where* is a path, or AUTO. *hold* is called with the descriptor of a port that a card is on, and with None before
    it is closed. The card is read every *sweep_ms*, and with its tachometer if *has_tachometer*. A *sweep_ms* above
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
        self.speed = speed
        self.tachometer = 0
        """The tachometer's value in the newest snapshot."""
        self.news: list[str] = []
        self._absence = Condition(is_failing=None)
        self._hold = hold
        self._sweep_ms = min(sweep_ms, SWEEP_MS)
        self._asks = READ_TACHOMETER + SWEEP if has_tachometer else SWEEP
        """The reads of each sweep."""
        self._path = where
        self.halts = 0
        """How often late or senseless replies stopped the motor."""
        self._report_at_ms = 0
        """When the next halt may be logged."""
        self._port: Serial | None = None
        self._attributes: list[Any] = []
        """The port's terminal attributes. Another program may change them, even the bit rate."""
        self._is_card = False
        """Whether the card has identified itself since the port was opened."""
        self._in_step = False
        """Whether replies match requests. Otherwise the port asks the card who it is."""
        self._answered = False
        self._halted = False
        """Whether late or senseless replies stopped the motor, and no good reply has come since."""
        self._halt_at_ms = 0
        """When to write HALT again during a halt."""
        self._asked = 0
        """How many identity requests are outstanding."""
        self._ask_at_ms = 0
        """When to send the next identity request."""
        self._heard_at_ms = 0
        """When anything was last received."""
        self._strange = False
        """Whether something has come that a card does not say."""
        self._reply = b""
        self._snapshot_bytes = b""
        self._inputs: Inputs | None = None
        self._fresh_until_ms = 0
        self._outgoing = b""
        self._sent: Outputs | None = None
        self._sweeps = cycle(sweeps(None, speed, self._asks))
        self._asked_at_ms: int | None = None
        """When the sweep was written that has not been answered."""
        self._asked_after = done(None)
        """What the card had been told to do before it was asked."""
        self._next_at_ms = 0
        """When to open the port, to ask who it is, or to sweep."""
        self._give_up_at_ms = 0

    def sockets(self) -> tuple[list[int], list[int]]:
        """Return the descriptors to be watched for reading and for writing."""
        if self._port is None:
            return [], []
        return [self._port.fileno()], [self._port.fileno()] if self._outgoing else []

    def wake_at_ms(self) -> int:
        """Return when `attend` must be called if the port says nothing."""
        if self._asked_at_ms is None or not self._in_step:
            return self._next_at_ms
        return self._asked_at_ms + LATE_MS if self._answered else self._give_up_at_ms

    def inputs(self, now_ms: int) -> Inputs | None:
        """Return the newest snapshot; None if there is none that is still good."""
        return self._inputs if now_ms < self._fresh_until_ms else None

    def attend(self, now_ms: int, readable: bool = True) -> None:
        """Do what is due: open, take what came in if the port is *readable*, ask, sweep, give up."""
        try:
            if self._port is not None:
                self._exchange(self._port, now_ms, readable)
            elif now_ms >= self._next_at_ms:
                self._open(now_ms)
        except OSError as error:
            self._lose(now_ms, error.strerror or str(error))
        if self._answered:
            self._report(now_ms)

    def write(self, outputs: Outputs) -> None:
        """Send the differences from the outputs last sent, unless the motor is halted."""
        if not self._answered or self._halted or outputs == self._sent:
            return
        self._outgoing += changes(self._sent, outputs, self.speed)
        self._remember(after(self._sent, outputs))
        self._asked_after = done(self._sent, self._asked_after)
        try:
            self._flush()
        except OSError:
            pass  # the next receive says so too, and loses the card in one place

    def stop(self) -> None:
        """Stop the motor, put out the lamps and close the port."""
        if self._port is None:
            return
        if self._is_card:
            self._outgoing += HALT + changes(self._sent, Outputs(), self.speed)
        self._close(self._outgoing)

    def release(self) -> None:
        """Close the port and leave everything as it is."""
        if self._port is not None:
            self._close(b"")

    def _open(self, now_ms: int) -> None:
        self._path = self.where
        self._is_card = self._in_step = self._answered = self._halted = self._strange = False
        self._reply = self._outgoing = b""
        self._asked_at_ms = None
        self._remember(None)
        self._asked, self._ask_at_ms = 0, now_ms
        self._path = find(self.where)
        self._port, self._attributes = open_port(self._path)
        self._give_up_at_ms = now_ms + TRIES * ASK_MS
        self._identify(now_ms)
        self._flush()

    def _remember(self, sent: Outputs | None) -> None:
        """Keep the outputs last *sent*, and the sweeps that repeat them."""
        self._sent = sent
        self._sweeps = cycle(sweeps(sent, self.speed, self._asks))

    def _exchange(self, port: Serial, now_ms: int, readable: bool) -> None:
        asked_at_ms = self._asked_at_ms
        is_late = asked_at_ms is not None and now_ms >= asked_at_ms + LATE_MS
        if readable or is_late:  # This process may have stalled since it looked.
            self._receive(port, now_ms)
        if self._in_step:
            self._sweep(now_ms)
        if not self._in_step:
            self._identify(now_ms)
        self._flush()

    def _sweep(self, now_ms: int) -> None:
        """Ask for everything if it is time; find out that the reply is late."""
        if self._asked_at_ms is None:
            if now_ms < self._next_at_ms:
                return
            self._outgoing += next(self._sweeps)
            self._asked_at_ms = now_ms
            self._asked_after = done(self._sent)
            if not self._halted:
                self._give_up_at_ms = now_ms + SILENCE_MS
        elif self._answered and now_ms >= self._asked_at_ms + LATE_MS:
            if self._reply:
                self._reply, self._asked_at_ms = b"", None
                self._halt(now_ms, "a reply is cut short")
            else:
                self._halt(now_ms, f"no reply for {LATE_MS} ms", self._asked_at_ms + LOST_MS)
        elif now_ms >= self._give_up_at_ms:
            raise OSError(errno.ETIMEDOUT, "no answer")

    def _halt(self, now_ms: int, why: str, ask_at_ms: int = 0) -> None:
        """Stop the motor, and ask the card who it is at *ask_at_ms*."""
        assert self._port is not None
        with suppress(termios.error):
            termios.tcsetattr(self._port.fileno(), termios.TCSANOW, self._attributes)
        self._outgoing = HALT  # Whatever was left to write, this may come after the half of a command.
        if self._sent is not None:
            self._remember(evolve(self._sent, motor=Motor.STOP))
        if self._inputs is not None:
            self._inputs = evolve(self._inputs, halted=True)
        if not self._halted:
            self._give_up_at_ms = now_ms + SILENCE_MS - LATE_MS
        self._halted = True
        self._in_step = self._strange = False
        self._asked, self._ask_at_ms = 0, ask_at_ms
        self._halt_at_ms = now_ms + SWEEP_MS
        self.halts += 1
        if now_ms >= self._report_at_ms:
            self._report_at_ms = now_ms + REPORT_MS
            text = f"{why}; motor stopped until its replies are good again (halt {self.halts})"
            self.news.append(f"I/O card {self._path}: {text}; `elevator doctor` finds who else uses the port")

    def _identify(self, now_ms: int) -> None:
        """Ask who it is until it has said that it is a card, has answered all of that, and is quiet."""
        said = self._reply.count(IDENTITY)
        is_clean = said == len(self._reply)
        self._strange = self._strange or not is_clean
        quiet_at_ms = self._heard_at_ms + ASK_MS
        if said == self._asked:
            quiet_at_ms = self._heard_at_ms + QUIET_MS if self._halted else self._heard_at_ms
        is_answered = bool(self._asked and said and is_clean)
        if is_answered and now_ms >= quiet_at_ms:
            self._get_in_step(now_ms)
            return
        if now_ms >= self._give_up_at_ms:
            raise OSError(errno.EPROTO, "it is not this card" if self._strange else "no answer")
        if now_ms >= self._ask_at_ms and not is_answered:
            if not is_clean or not self._asked:
                self._reply, self._asked = b"", 0
            self._asked += 1
            self._outgoing += HALT + WHO
            self._ask_at_ms = now_ms + ASK_MS
        self._next_at_ms = min(quiet_at_ms if is_answered else self._ask_at_ms, self._give_up_at_ms)
        if self._halted:  # Another program may start the motor meanwhile.
            if now_ms >= self._halt_at_ms:
                self._outgoing = self._outgoing or HALT
                self._halt_at_ms = now_ms + SWEEP_MS
            self._next_at_ms = min(self._next_at_ms, self._halt_at_ms)

    def _get_in_step(self, now_ms: int) -> None:
        """Begin to sweep a card that owes no replies; if it was halted, its outputs may have been changed."""
        assert self._port is not None
        if not self._is_card:
            self._is_card = True
            self._hold(self._port.fileno())
        if self._sent is not None:
            self._outgoing += changes(None, self._sent, self.speed)
        self._in_step, self._reply, self._asked_at_ms = True, b"", None
        self._next_at_ms = now_ms
        self._sweep(now_ms)

    def _receive(self, port: Serial, now_ms: int) -> None:
        try:
            received = os.read(port.fileno(), 4096)
        except BlockingIOError:
            return
        if not received:
            raise OSError(errno.ENODEV, "it was unplugged")
        self._heard_at_ms = now_ms
        self._reply += received
        if not self._in_step:
            self._take_late_reply(now_ms)
        elif self._asked_at_ms is None or len(self._reply) > len(self._asks):
            self._misread(now_ms, "a reply to nothing that was asked")
        elif len(self._reply) == len(self._asks):
            self._take_reply(now_ms, self._asked_at_ms)

    def _take_late_reply(self, now_ms: int) -> None:
        """Take the whole reply to a sweep, if that comes first."""
        size, asked_at_ms = len(self._asks), self._asked_at_ms
        if asked_at_ms is None or len(self._reply) < size:
            return
        tachometer, reply = split(self._reply[:size])
        inputs = snapshot(reply, *self._asked_after)
        if inputs is None:
            return
        self._reply, self._asked_at_ms = self._reply[size:], None
        is_in_step = not self._asked and not self._reply
        if now_ms < asked_at_ms + FRESH_MS:
            self._halted = not is_in_step
            self.tachometer = int.from_bytes(tachometer)
            self._inputs, self._fresh_until_ms = evolve(inputs, halted=self._halted), now_ms + FRESH_MS
        if is_in_step:
            self._get_in_step(now_ms)

    def _take_reply(self, now_ms: int, asked_at_ms: int) -> None:
        (tachometer, reply), self._reply, self._asked_at_ms = split(self._reply), b"", None
        self._next_at_ms = max(now_ms, asked_at_ms + self._sweep_ms)
        if now_ms >= asked_at_ms + FRESH_MS:
            return
        old = self._inputs
        same = old is not None and not old.halted and (old.door, old.still) == self._asked_after
        if not same or reply != self._snapshot_bytes:
            inputs = snapshot(reply, *self._asked_after)
            if inputs is None:
                self._misread(now_ms, "a reply makes no sense")
                return
            self._inputs, self._snapshot_bytes = inputs, reply
        self.tachometer = int.from_bytes(tachometer)
        self._answered = True
        self._halted = False
        self._fresh_until_ms = now_ms + FRESH_MS

    def _report(self, now_ms: int, trouble: str = "") -> None:
        """Log whether there is *trouble*, if that is news."""
        report = self._absence.feed(now_ms, bool(trouble))
        if report is not None:
            self.news.append(f"I/O card {self._path} {report.line(trouble, 'answers')}")

    def _misread(self, now_ms: int, why: str) -> None:
        """Get back into step with a card that has answered before; raise OSError if it never has."""
        if not self._answered:
            raise OSError(errno.EPROTO, why)
        self._reply, self._asked_at_ms = b"", None
        self._halt(now_ms, why)

    def _flush(self) -> None:
        if not self._outgoing or self._port is None:
            return
        if len(self._outgoing) > BACKLOG_MAX:
            raise OSError(errno.ENOBUFS, "it does not read")
        try:
            self._outgoing = self._outgoing[os.write(self._port.fileno(), self._outgoing) :]
        except BlockingIOError:
            pass

    def _lose(self, now_ms: int, why: str) -> None:
        if self._port is not None:
            self._close(HALT if self._is_card else b"")
        self._inputs = None
        self._asked_at_ms = None
        self._fresh_until_ms = 0
        self._next_at_ms = now_ms + RETRY_MS
        self._report(now_ms, f"{'lost' if self._answered else 'not there yet'} ({why}); trying again")
        self._answered = self._halted = False

    def _close(self, last_words: bytes) -> None:
        assert self._port is not None
        with suppress(OSError):  # It is gone, or takes nothing.
            os.write(self._port.fileno(), last_words)
        with suppress(OSError):  # It is gone.
            share_port(self._port.fileno())
        self._hold(None)
        self._port.close()
        self._port = None
        self._outgoing = b""
