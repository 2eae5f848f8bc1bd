"""The worker's side of the recorder's protocol, without I/O: messages and times in, messages out.

1. The worker sends complete records, and only the newest. At most WINDOW records may be unacknowledged. Both sides
   number the records of each recorder process from 1, in the order in which they are sent.
2. The recorder writes the newest record received and acknowledges its number, which covers all earlier records.
3. The disk counts as failed if the recorder cannot read or write the record, if an acknowledgement is overdue
   (ACK_TIMEOUT_MS), or if the recorder is gone. The recorder retries on its own. Until it reports a record as
   durable, only the peers that have acknowledged a new call guarantee this call.
4. A new recorder process has received nothing, so the client sends it the newest record again.
"""

from collections import deque
from typing import NamedTuple

from attrs import define, field

from elevator.core.messages import Record
from elevator.core.model import NEVER_MS, Calls
from elevator.storage.records import read_record, write_record

ACK_TIMEOUT_MS = 1000
"""How long the recorder may be silent while a record is unacknowledged. After that, the disk counts as failed."""
WINDOW = 8
FOUND, REFUSED, WRITTEN, FAILED = b"=", b"!", b"+", b"-"
"""The first byte of a recorder's message. The rest depends on it:

FOUND: the record on the disk, or nothing if there is none.
REFUSED: why that record cannot be used, for the user.
WRITTEN: the number of the newest record received, which is now durable.
FAILED: the number of the newest record received, or 0 before the first. The disk could not be read, or did not store
that record.
"""


class DiskNews(NamedTuple):
    """What the worker has learned about the disk since the last `take_news`: the fields of a Tick about the disk."""

    recorded: Calls | None = None
    failed: bool = False
    found: Record | None = None


NOTHING = DiskNews()
"""The result of `take_news` if there is no news. Callers test for it with `is`."""


class Pending(NamedTuple):
    """A record that was sent but is not acknowledged yet."""

    number: int
    sent_at_ms: int
    calls: Calls


@define(eq=False)
class RecorderClient:
    """The client of a node's successive recorder processes. The building has `floors` floors."""

    floors: int
    is_late: bool = field(default=False, init=False)
    """True from when an acknowledgement is overdue until the next one arrives, even from another recorder process."""
    refusal: str = field(default="", init=False)
    """The last reason why a recorder could not use the record on the disk, for the user; empty if there was none."""
    _newest: Record | None = field(default=None, init=False)
    _unsent: Record | None = field(default=None, init=False)
    """The newest record if it has not been sent to the current recorder process yet, else None."""
    _sent_count: int = field(default=0, init=False)
    _pending: deque[Pending] = field(factory=deque, init=False)
    _received_at_ms: int = field(default=0, init=False)
    """When the last message arrived; 0 before the first."""
    _recorded: Calls | None = field(default=None, init=False)
    """The calls in the last record that the current recorder process has written; None before the first."""
    _news: DiskNews = field(default=NOTHING, init=False)

    def save(self, record: Record) -> None:
        """Make *record* the next one to send, unless it equals the record of the previous `save`."""
        if record != self._newest:
            self._newest = self._unsent = record

    def message(self) -> bytes | None:
        """Return the message to send now; None if there is none or the window is full.

        Once the message is sent, call `note_sent`.
        """
        if self._unsent is None or len(self._pending) >= WINDOW:
            return None
        return write_record(self._unsent).encode()

    def note_sent(self, now_ms: int) -> None:
        assert self._unsent is not None
        self._sent_count += 1
        self._pending.append(Pending(self._sent_count, now_ms, self._unsent.calls))
        self._unsent = None

    def receive(self, message: bytes, now_ms: int) -> None:
        kind, text = message[:1], message[1:].decode()
        self._received_at_ms = now_ms
        if kind == FOUND:
            if text:
                self._news = self._news._replace(found=read_record(text, self.floors))
        elif kind == REFUSED:
            self.refusal = text
            self._news = self._news._replace(failed=True)
        else:
            self._acknowledge(int(text), is_durable=kind == WRITTEN)

    def lose(self) -> None:
        """Count the disk as failed because the recorder is gone, and prepare for a new recorder."""
        self._news = self._news._replace(failed=True)
        self._pending.clear()
        self._recorded, self._sent_count, self._unsent = None, 0, self._newest

    def wake_at_ms(self) -> int:
        """Return when an acknowledgement becomes overdue; NEVER_MS if none is expected or `is_late` is already true."""
        if not self._pending or self.is_late:
            return NEVER_MS
        return max(self._pending[0].sent_at_ms, self._received_at_ms) + ACK_TIMEOUT_MS

    def detect_lateness(self, now_ms: int) -> bool:
        """If an acknowledgement is newly overdue, count the disk as failed and return True; otherwise return False."""
        if now_ms < self.wake_at_ms():
            return False
        self.is_late = True
        self._news = self._news._replace(failed=True)
        return True

    def take_news(self) -> DiskNews:
        """Return the news since this method was last called; NOTHING itself if there is none."""
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
