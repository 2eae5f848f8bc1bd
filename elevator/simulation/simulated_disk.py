"""The disk of a simulated node: a record, a recorder process that writes it, and the worker's RecorderClient.

The recorder behaves like storage/recorder.py, but takes the time that its disk takes. Its messages wait for the worker,
which may stand still; it goes on writing meanwhile.
"""

import random
from typing import NamedTuple

from attrs import Factory, define, field

from elevator.core.model import NEVER_MS, Calls, Record
from elevator.simulation.faults import InjectedFault
from elevator.storage.recorder import RETRY_MS
from elevator.storage.recorder_client import FAILED, FOUND, WRITTEN, RecorderClient, Told
from elevator.storage.records import complete, read_record, write_record

SOUND_MS = 3
"""The longest that a sound disk takes to make a record durable."""
GONE = b""
"""The last message of a recorder that has died."""


class Received(NamedTuple):
    """A record that the recorder has received."""

    number: int
    record: Record
    text: str


@define(eq=False)
class SimulatedDisk:
    """Keeps one record, and outlives the program."""

    floors: int
    rng: random.Random
    text: str | None = None
    """What is on it ..."""
    durable: Calls = Calls()
    """... and the calls in that."""
    is_broken: bool = False
    """Whether it refuses to be read and written."""
    slowness: list[InjectedFault] = field(factory=list)
    client: RecorderClient = field(default=Factory(lambda self: RecorderClient(self.floors), takes_self=True))
    requested: Record | None = None
    """The newest record of the worker."""
    inbox: list[bytes] = field(factory=list)
    """Messages of the recorder that the worker has not received."""
    received_count: int = 0
    """How many records this recorder has received."""
    newest: Received | None = None
    """The last of them, until it is written."""
    writing: Received | None = None
    """What it writes at present."""
    is_open: bool = False
    """Whether it has read the record."""
    has_failed_to_read: bool = False
    """Whether it could not at first, so the worker began without."""
    found_late: Record | None = None
    """The record that it read then. The program may not have taken it in."""
    recorder_at_ms: int = NEVER_MS
    """When the recorder does something next."""
    due_at_ms: int = NEVER_MS
    """When the recorder or the worker does."""

    def read(self) -> Record | None:
        """Return the record, if there is one."""
        return None if self.text is None else read_record(self.text, self.floors)

    # The worker

    def start(self, now_ms: int) -> Record | None:
        """Start a worker with its recorder; return the record, unless it cannot be read."""
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
        """Send the newest record to the recorder, if the client has one to send."""
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

    def receive(self, now_ms: int) -> Told:
        """Let the worker receive its mail; return the news for its next turn."""
        inbox, self.inbox = self.inbox, []
        for message in inbox:
            if message == GONE:
                self.client.lose()
                self.start_recorder(now_ms)
            else:
                self.client.receive(message, now_ms)
        self.client.becomes_late(now_ms)
        self.send(now_ms)
        return self.client.take_news()

    # The recorder

    def start_recorder(self, now_ms: int) -> None:
        self.received_count, self.newest, self.writing, self.found_late = 0, None, None, None
        self.is_open = self.has_failed_to_read = False
        self.recorder_at_ms = now_ms

    def begin_write(self, now_ms: int) -> None:
        if self.newest is not None:
            longest_ms = max((fault.delay_ms for fault in self.slowness), default=SOUND_MS)
            self.writing = self.newest
            self.recorder_at_ms = now_ms + self.rng.randint(0, longest_ms)

    def finish_soon(self, now_ms: int) -> None:
        """Finish soon what is being written: the disk is quick again."""
        if self.writing is not None and not self.slowness and not self.is_broken:
            self.recorder_at_ms = min(self.recorder_at_ms, now_ms + SOUND_MS)
            self.due_at_ms = min(self.due_at_ms, self.recorder_at_ms)

    def work(self, now_ms: int) -> Record | None:
        """Do what the recorder has to do now; return the record that has become durable, if one has."""
        stored = None
        if self.recorder_at_ms <= now_ms:
            self.recorder_at_ms = NEVER_MS
            if self.is_broken:
                self.report_failure(now_ms)
            elif not self.is_open:
                self.open(now_ms)
            else:
                if (done := self.writing) is not None:
                    stored = self.finish(done)
                    self.inbox.append(WRITTEN + b"%d" % done.number)
                self.begin_write(now_ms)
        self.due_at_ms = self.recorder_at_ms
        return stored

    def report_failure(self, now_ms: int) -> None:
        self.has_failed_to_read = self.has_failed_to_read or not self.is_open
        self.writing = None
        self.inbox.append(FAILED + b"%d" % self.received_count)
        self.recorder_at_ms = now_ms + RETRY_MS

    def open(self, now_ms: int) -> None:
        """Read the record. If that was refused before, wait for what the worker makes of it."""
        found = self.read()
        self.is_open = True
        self.inbox.append(FOUND + (b"" if found is None else write_record(found).encode()))
        if self.has_failed_to_read:
            self.found_late, self.recorder_at_ms = found, now_ms + RETRY_MS
        else:
            self.begin_write(now_ms)

    def lose_recorder(self) -> Record | None:
        """Kill the recorder; return the record that it could just make durable, if any."""
        stored = self.end_recorder(self.writing if self.rng.randrange(2) else None)
        self.inbox.append(GONE)
        return stored

    def lose_worker(self, is_killed: bool) -> Record | None:
        """End the worker. The recorder first writes the newest record, unless it *is_killed* as well.

        It does not overwrite what it has not read. Return what has become durable, if anything.
        """
        choice = self.rng.randrange(3) if is_killed else 2
        stored = self.end_recorder((None, self.writing, self.newest)[choice])
        self.inbox.clear()
        return stored

    def end_recorder(self, last: Received | None) -> Record | None:
        stored = self.finish(last) if last is not None and self.is_open and not self.is_broken else None
        self.is_open, self.newest, self.writing = False, None, None
        self.recorder_at_ms = self.due_at_ms = NEVER_MS
        return stored

    def finish(self, done: Received) -> Record:
        """Make durable what was received; return it, completed by what the worker may not know."""
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
        return record

    def wipe(self) -> None:
        """Lose the record."""
        self.text, self.durable = None, Calls()
