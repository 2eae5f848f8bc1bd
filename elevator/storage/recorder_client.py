"""The worker's side of the recorder's protocol, without I/O: messages and times in, messages out.

1. The worker sends whole records, only the newest that it has, and at most WINDOW that are unacknowledged. They are
   numbered from 1 for each recorder process.
2. The recorder writes the newest record that has arrived, and acknowledges its number. That covers the records before.
3. A record that is refused, or not acknowledged PATIENCE_MS after it was sent, is a failure: promises then rest on the
   peers. The recorder keeps trying by itself, and its first acknowledgement ends the failure.
4. A new recorder process has received nothing, so the newest record is sent again.
"""

from collections import deque
from typing import NamedTuple

from attrs import define, field

from elevator.core.model import NEVER_MS, Calls, Record
from elevator.storage.records import read_record, write_record

PATIENCE_MS = 1000
WINDOW = 8
FOUND, REFUSED, WRITTEN, FAILED = b"=", b"!", b"+", b"-"
"""First bytes of the recorder's messages. FOUND precedes the record that was on the disk, if there was one. REFUSED
precedes the reason, for the user, why that record must not be used. WRITTEN precedes the number of the newest record
received, which is now durable; FAILED the same number if the disk refuses it."""


class Told(NamedTuple):
    """What the disk says in one turn; see model.Tick."""

    recorded: Calls | None = None
    failed: bool = False
    found: Record | None = None


NOTHING = Told()


class Pending(NamedTuple):
    """A record that was sent and is not acknowledged."""

    number: int
    sent_at_ms: int
    calls: Calls


@define(eq=False)
class RecorderClient:
    """The client of one recorder process after the other, for a building of *floors* floors."""

    floors: int
    is_late: bool = field(default=False, init=False)
    """Whether an acknowledgement is overdue."""
    refusal: str = field(default="", init=False)
    """Why the record on the disk must not be used, if the recorder has said so."""
    _wanted: Record | None = field(default=None, init=False)
    """The newest record."""
    _unsent: Record | None = field(default=None, init=False)
    """The same until it is sent."""
    _sent: int = field(default=0, init=False)
    """How many records this recorder process was sent."""
    _pending: deque[Pending] = field(factory=deque, init=False)
    _heard_at_ms: int = field(default=0, init=False)
    """When the recorder last said anything."""
    _recorded: Calls | None = field(default=None, init=False)
    """The calls that this recorder process last acknowledged."""
    _news: Told = field(default=NOTHING, init=False)

    def save(self, record: Record) -> None:
        """Begin to make *record* durable if it is not the newest already."""
        if record != self._wanted:
            self._wanted = self._unsent = record

    def message(self) -> bytes | None:
        """Return the message to be sent now, if any. Call `note_sent` when it is sent."""
        if self._unsent is None or len(self._pending) >= WINDOW:
            return None
        return write_record(self._unsent).encode()

    def note_sent(self, now_ms: int) -> None:
        """Note that the `message` was sent."""
        assert self._unsent is not None
        self._sent += 1
        self._pending.append(Pending(self._sent, now_ms, self._unsent.calls))
        self._unsent = None

    def receive(self, message: bytes, now_ms: int) -> None:
        """Take a message from the recorder."""
        kind, text = message[:1], message[1:].decode()
        self._heard_at_ms = now_ms
        if kind == FOUND:
            if text:
                self._news = self._news._replace(found=read_record(text, self.floors))
        elif kind == REFUSED:
            self.refusal = text
            self._news = self._news._replace(failed=True)
        else:
            self._acknowledge(int(text), is_durable=kind == WRITTEN)

    def lose(self) -> None:
        """Note that the recorder process is gone. The next one has received nothing."""
        self._news = self._news._replace(failed=True)
        self._pending.clear()
        self._recorded, self._sent, self._unsent = None, 0, self._wanted

    def wake_at_ms(self) -> int:
        """Return when an acknowledgement becomes overdue."""
        if not self._pending or self.is_late:
            return NEVER_MS
        return max(self._pending[0].sent_at_ms, self._heard_at_ms) + PATIENCE_MS

    def becomes_late(self, now_ms: int) -> bool:
        """Return whether an acknowledgement has just become overdue; if so, that is a failure."""
        if now_ms < self.wake_at_ms():
            return False
        self.is_late = True
        self._news = self._news._replace(failed=True)
        return True

    def take_news(self) -> Told:
        """Return what has become known since the last call."""
        news, self._news = self._news, NOTHING
        return news

    def _acknowledge(self, number: int, is_durable: bool) -> None:
        self.is_late = False
        while self._pending and self._pending[0].number < number:
            self._pending.popleft()
        if not is_durable:
            self._news = self._news._replace(failed=True)
            return
        if self._pending and self._pending[0].number == number:
            self._recorded = self._pending.popleft().calls
        if self._recorded is not None:
            self._news = self._news._replace(recorded=self._recorded, failed=False)
