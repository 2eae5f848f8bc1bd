"""The lab's I/O card on a serial port: the same to the loop as an elevator server.

1. A port that opens is no card yet. It is asked who it is, up to TRIES times: a card may miss the first request.
   Whatever else comes is thrown away. Only then is it read and written.
2. Everything is asked in one sweep, at most one is outstanding, and its reply is one snapshot. One that comes later
   than FRESH_MS is of the past, and thrown away. None at all, or anything that is not one, and the card is lost.
3. The port is locked: two controllers would share out the replies among themselves. The lab's elevator server neither
   takes such a lock nor heeds one: it must not run at the same time.
4. Nobody stops the motor when this program is gone, as a server would. So whoever is to outlive it is given a copy of
   the port's descriptor as long as the port is open, to write HALT there.
5. Closing the port does not hang up (HUPCL): that would restart the card.
"""

import errno
import fcntl
import os
import termios
from collections.abc import Callable
from pathlib import Path

from serial import Serial

from elevator.condition import Condition
from elevator.hardware.iocard import BAUD, HALT, IDENTITY, READ_TACHOMETER, SWEEP, WHO, changes, snapshot
from elevator.hardware.server import BACKLOG_MAX, FRESH_MS, RETRY_MS, SILENCE_MS, SWEEP_MS, after, done
from elevator.model import Inputs, Outputs

AUTO = "auto"
BY_ID = Path("/dev/serial/by-id")
CARD = "*NTNU_Arduino_IO_Card*"
TRIES, ASK_MS = 10, 100
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


def open_port(path: str) -> Serial:
    """Open and lock the serial port at *path* so that nothing ever waits for it; raise OSError."""
    try:
        port = Serial(path, BAUD, timeout=0, write_timeout=0, exclusive=True)
    except (ValueError, termios.error) as error:
        raise OSError(errno.EINVAL, str(error)) from None
    except OSError as error:  # pyserial puts the path and more in front of the reason
        if error.errno == errno.EAGAIN:
            raise OSError(errno.EBUSY, "another program has it") from None
        raise OSError(error.errno, os.strerror(error.errno) if error.errno else str(error)) from None
    try:
        attributes = termios.tcgetattr(port.fileno())
        attributes[2] &= ~termios.HUPCL
        attributes[6][termios.VMIN] = 1  # so that nothing to read differs from a port that is gone
        termios.tcsetattr(port.fileno(), termios.TCSANOW, attributes)
    except termios.error as error:
        port.close()
        raise OSError(*error.args) from None
    return port


class IoCard:
    """The port: one card at a time, kept up for ever. Never blocks.

    *where* is a path, or AUTO. *hold* is called with the descriptor of a port that a card is on, and with None before
    it is closed. The card is read every *sweep_ms*, less than FRESH_MS, and with its tachometer if *has_tachometer*.
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
        self._sweep_ms = sweep_ms
        self._sweep = READ_TACHOMETER + SWEEP if has_tachometer else SWEEP
        self._path = where
        self._port: Serial | None = None
        self._known = self._answered = False
        self._asked = 0
        """How often it was asked who it is."""
        self._strange = False
        """Whether something has come that a card does not say."""
        self._reply = b""
        self._snapshot_bytes = b""
        self._inputs: Inputs | None = None
        self._fresh_until_ms = 0
        self._outgoing = b""
        self._sent: Outputs | None = None
        self._asked_at_ms: int | None = None
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
        return self._next_at_ms if self._asked_at_ms is None else self._give_up_at_ms

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
        """Send what differs from what was sent to this card."""
        if not self._answered or outputs == self._sent:
            return
        self._outgoing += changes(self._sent, outputs, self.speed)
        self._sent = after(self._sent, outputs)
        self._asked_after = done(self._sent, self._asked_after)
        try:
            self._flush()
        except OSError:
            pass  # the next receive says so too, and loses the card in one place

    def stop(self) -> None:
        """Stop the motor, put out the lamps and close the port."""
        if self._port is None:
            return
        if self._known:
            self._outgoing += HALT + changes(self._sent, Outputs(), self.speed)
        self._close(self._outgoing)

    def release(self) -> None:
        """Close the port and leave everything as it is."""
        if self._port is not None:
            self._close(b"")

    def _open(self, now_ms: int) -> None:
        self._path = self.where
        self._known = self._answered = self._strange = False
        self._reply = self._outgoing = b""
        self._sent = self._asked_at_ms = None
        self._asked = 0
        self._path = find(self.where)
        self._port = open_port(self._path)
        self._next_at_ms = now_ms
        self._identify(now_ms)
        self._flush()

    def _exchange(self, port: Serial, now_ms: int, readable: bool) -> None:
        if readable:
            self._receive(port, now_ms)
        if not self._known:
            self._identify(now_ms)
        elif self._asked_at_ms is None and now_ms >= self._next_at_ms:
            self._outgoing += self._sweep
            self._asked_at_ms = now_ms
            self._asked_after = done(self._sent)
            self._give_up_at_ms = now_ms + SILENCE_MS
        elif self._asked_at_ms is not None and now_ms >= self._give_up_at_ms:
            raise OSError(errno.ETIMEDOUT, "no answer")
        self._flush()

    def _identify(self, now_ms: int) -> None:
        """Ask who it is until it has said that it is a card, and has answered all of that or is quiet."""
        said, self._reply = self._reply.count(IDENTITY), self._reply.replace(bytes((IDENTITY,)), b"")
        self._strange = self._strange or bool(self._reply)
        self._reply = b""
        if said:
            self._known = True
            assert self._port is not None
            self._hold(self._port.fileno())
            self._next_at_ms = now_ms if said == self._asked else now_ms + ASK_MS
        elif now_ms >= self._next_at_ms:
            if self._asked == TRIES:
                raise OSError(errno.EPROTO, "it is not this card" if self._strange else "no answer")
            self._asked += 1
            self._outgoing += HALT + WHO
            self._next_at_ms = now_ms + ASK_MS

    def _receive(self, port: Serial, now_ms: int) -> None:
        try:
            received = os.read(port.fileno(), 4096)
        except BlockingIOError:
            return
        if not received:
            raise OSError(errno.ENODEV, "it was unplugged")
        if self._known and not self._answered and self._asked_at_ms is None:
            return  # a late answer to who it is
        self._reply += received
        if not self._known or len(self._reply) < len(self._sweep):
            return
        if self._asked_at_ms is None or len(self._reply) > len(self._sweep):
            raise OSError(errno.EPROTO, "it answers what was not asked")
        self._take_reply(now_ms, self._asked_at_ms)

    def _take_reply(self, now_ms: int, asked_at_ms: int) -> None:
        reply, self._reply, self._asked_at_ms = self._reply, b"", None
        self._next_at_ms = max(now_ms, asked_at_ms + self._sweep_ms)
        tachometer, reply = reply[: -len(SWEEP)], reply[-len(SWEEP) :]
        if now_ms >= asked_at_ms + FRESH_MS:
            return
        old = self._inputs
        if reply != self._snapshot_bytes or old is None or (old.door, old.still) != self._asked_after:
            inputs = snapshot(reply, *self._asked_after)
            if inputs is None:
                raise OSError(errno.EPROTO, "its answer is not of this card")
            self._inputs, self._snapshot_bytes = inputs, reply
        self.tachometer = tachometer[0] if tachometer else 0
        self._answered = True
        self._fresh_until_ms = now_ms + FRESH_MS

    def _report(self, now_ms: int, trouble: str = "") -> None:
        """Log whether there is *trouble*, if that is news."""
        report = self._absence.feed(now_ms, bool(trouble))
        if report is not None:
            self.news.append(f"I/O card {self._path} {report.line(trouble, 'answers')}")

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
            self._close(HALT if self._known else b"")
        self._inputs = None
        self._asked_at_ms = None
        self._fresh_until_ms = 0
        self._next_at_ms = now_ms + RETRY_MS
        self._report(now_ms, f"{'lost' if self._answered else 'not there yet'} ({why}); trying again")
        self._answered = False

    def _close(self, last_words: bytes) -> None:
        assert self._port is not None
        try:
            os.write(self._port.fileno(), last_words)
            fcntl.flock(self._port.fileno(), fcntl.LOCK_UN)  # whoever holds a copy would keep the lock
        except OSError:
            pass  # it is gone
        self._hold(None)
        self._port.close()
        self._port = None
        self._outgoing = b""
