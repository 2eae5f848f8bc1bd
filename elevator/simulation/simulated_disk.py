"""The disk of a simulated node, the recorder process that writes to it, and the worker's RecorderClient.

The recorder behaves like storage/recorder.py, but in virtual time. It never refuses a record, and does not check
whether the record was deleted. While the worker is frozen, the recorder keeps writing, and its messages wait.
"""

import random
from collections.abc import Callable
from typing import NamedTuple

from attrs import Factory, define, field

from elevator.core.messages import Record
from elevator.core.model import NEVER_MS, Calls
from elevator.storage.recorder import RETRY_MS
from elevator.storage.recorder_client import FAILED, FOUND, WRITTEN, DiskNews, RecorderClient
from elevator.storage.records import complete, read_record, write_record

SOUND_MS = 3
"""The longest time that a healthy disk needs to make a record durable."""
GONE = b""
"""An inbox message: the recorder has died, so its connection has ended."""


class Received(NamedTuple):
    """A record that the recorder has received. Each recorder process numbers its records from 1."""

    number: int
    record: Record
    text: str


@define(eq=False)
class SimulatedDisk:
    """A disk with at most one record, its recorder process, and the worker's client."""

    floors: int
    rng: random.Random
    on_stored: Callable[[Record], None]
    """Called with each record that becomes durable."""
    text: str | None = None
    """The stored record as text; None if the disk is empty."""
    durable: Calls = Calls()
    """The calls in the stored record; empty if there is none."""
    is_broken: bool = False
    """True if reads and writes fail."""
    write_max_ms: int = SOUND_MS
    """The longest time that a write takes."""
    client: RecorderClient = field(default=Factory(lambda self: RecorderClient(self.floors), takes_self=True))
    requested: Record | None = None
    """The record of the worker's last `save`; None if there was none since the worker started."""
    inbox: list[bytes] = field(factory=list)
    """Messages from the recorder that the worker has not received yet."""
    received_count: int = 0
    """The number of records that the running recorder has received."""
    newest: Received | None = None
    """The newest record that the recorder has received; None once it is written."""
    writing: Received | None = None
    """The record that is being written; None if there is none."""
    is_open: bool = False
    """True if the running recorder has read the disk, even if the disk was empty."""
    has_failed_to_read: bool = False
    """True if the running recorder ever failed to read the disk, so that the worker may lack the stored record."""
    found_late: Record | None = None
    """The stored record, if the recorder could not read it at first, else None. The recorder adds the calls of this
    record to new records until the worker has merged them."""
    recorder_at_ms: int = NEVER_MS
    """When the recorder acts next; NEVER_MS if it has nothing to do."""
    due_at_ms: int = NEVER_MS
    """When the recorder or the worker's client acts next."""

    def read(self) -> Record | None:
        """Return the stored record; None if the disk is empty."""
        return None if self.text is None else read_record(self.text, self.floors)

    # The worker

    def start(self, now_ms: int) -> Record | None:
        """Start a worker and its recorder; return the record, or None if there is none or it cannot be read."""
        self.client, self.requested = RecorderClient(self.floors), None
        self.start_recorder(now_ms)
        self.work(now_ms)
        record = None if self.is_broken else self.read()
        self.inbox.clear()
        return record

    def save(self, record: Record, now_ms: int) -> None:
        self.requested = record
        self.client.save(record)
        self.send(now_ms)

    def send(self, now_ms: int) -> None:
        """If the recorder is alive, send it the client's message, if there is one. Update `due_at_ms`."""
        message = None if GONE in self.inbox else self.client.message()
        if message is not None and self.requested is not None:
            self.client.note_sent(now_ms)
            self.received_count += 1
            self.newest = Received(self.received_count, self.requested, message.decode())
            if not self.is_open:
                self.recorder_at_ms = now_ms
            elif self.writing is None:
                self.begin_write(now_ms)
        self.due_at_ms = min(self.recorder_at_ms, self.client.wake_at_ms())

    def receive(self, now_ms: int) -> DiskNews:
        """Deliver the recorder's messages to the worker. Replace a lost recorder, and send it the newest record.

        Return what the worker has learned about the disk, including that an acknowledgement is overdue.
        """
        inbox, self.inbox = self.inbox, []
        for message in inbox:
            if message == GONE:
                self.client.lose()
                self.start_recorder(now_ms)
            else:
                self.client.receive(message, now_ms)
        self.client.detect_lateness(now_ms)
        self.send(now_ms)
        return self.client.take_news()

    # The recorder

    def start_recorder(self, now_ms: int) -> None:
        self.received_count, self.newest, self.writing, self.found_late = 0, None, None, None
        self.is_open = self.has_failed_to_read = False
        self.recorder_at_ms = now_ms

    def begin_write(self, now_ms: int) -> None:
        if self.newest is not None:
            self.writing = self.newest
            self.recorder_at_ms = now_ms + self.rng.randint(0, self.write_max_ms)

    def finish_soon(self, now_ms: int) -> None:
        """Finish the current write within SOUND_MS if the disk is neither broken nor slow any more."""
        if self.writing is not None and self.write_max_ms == SOUND_MS and not self.is_broken:
            self.recorder_at_ms = min(self.recorder_at_ms, now_ms + SOUND_MS)
            self.due_at_ms = min(self.due_at_ms, self.recorder_at_ms)

    def work(self, now_ms: int) -> bool:
        """Let the recorder act if it is due; return whether a record became durable."""
        done = None
        if self.recorder_at_ms <= now_ms:
            self.recorder_at_ms = NEVER_MS
            if self.is_broken:
                self.report_failure(now_ms)
            elif not self.is_open:
                self.open(now_ms)
            else:
                done = self.writing
                if done is not None:
                    self.finish(done)
                    self.inbox.append(WRITTEN + b"%d" % done.number)
                self.begin_write(now_ms)
        self.due_at_ms = self.recorder_at_ms
        return done is not None

    def report_failure(self, now_ms: int) -> None:
        self.has_failed_to_read = self.has_failed_to_read or not self.is_open
        self.writing = None
        self.inbox.append(FAILED + b"%d" % self.received_count)
        self.recorder_at_ms = now_ms + RETRY_MS

    def open(self, now_ms: int) -> None:
        """Read the stored record and send it to the worker.

        If an earlier read failed, wait up to RETRY_MS for the worker to merge the record and save the result.
        """
        found = self.read()
        self.is_open = True
        self.inbox.append(FOUND + (b"" if found is None else write_record(found).encode()))
        if self.has_failed_to_read:
            self.found_late, self.recorder_at_ms = found, now_ms + RETRY_MS
        else:
            self.begin_write(now_ms)

    def lose_recorder(self) -> None:
        """Kill the recorder. By chance, it may still finish the current write."""
        self.end_recorder(self.writing if self.rng.randrange(2) else None)
        self.inbox.append(GONE)

    def lose_worker(self, is_killed: bool) -> None:
        """End the worker and its recorder.

        If *is_killed* is false, the recorder writes the newest record before it ends. If true, the recorder is killed
        too: by chance, it still writes the newest record, finishes only the current write, or writes nothing. In both
        cases, it writes nothing if the disk fails or the recorder has not read the disk yet.
        """
        choice = self.rng.randrange(3) if is_killed else 2
        self.end_recorder((None, self.writing, self.newest)[choice])
        self.inbox.clear()

    def end_recorder(self, last: Received | None) -> None:
        if last is not None and self.is_open and not self.is_broken:
            self.finish(last)
        self.is_open, self.newest, self.writing = False, None, None
        self.recorder_at_ms = self.due_at_ms = NEVER_MS

    def finish(self, done: Received) -> None:
        """Store the record in *done*, with the calls of `found_late` unless the worker has merged them."""
        record, text = done.record, done.text
        if self.found_late is not None:
            completed = complete(record, self.found_late)
            if completed is record:
                self.found_late = None
            else:
                record, text = completed, write_record(completed)
        if self.newest is done:
            self.newest = None
        self.text, self.durable, self.writing = text, record.calls, None
        self.on_stored(record)

    def wipe(self) -> None:
        """Delete the stored record."""
        self.text, self.durable = None, Calls()
