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
    asked: Record | None = None
    """The newest record of the worker."""
    mail: list[bytes] = field(factory=list)
    """Messages of the recorder that the worker has not received."""
    heard: int = 0
    """How many records this recorder has received."""
    newest: Received | None = None
    """The last of them, until it is written."""
    writing: Received | None = None
    """What it writes at present."""
    is_open: bool = False
    """Whether it has read the record."""
    was_refused: bool = False
    """Whether it could not at first, so the worker began without."""
    late: Record | None = None
    """The record that it read then. The program may not have taken it in."""
    recorder_ms: int = NEVER_MS
    """When the recorder does something next."""
    due_ms: int = NEVER_MS
    """When the recorder or the worker does."""

    def read(self) -> Record | None:
        """Return the record, if there is one."""
        return None if self.text is None else read_record(self.text, self.floors)

    # The worker

    def start(self, now_ms: int) -> Record | None:
        """Start a worker with its recorder; return the record, unless it cannot be read."""
        self.client, self.asked = RecorderClient(self.floors), None
        self.start_recorder(now_ms)
        self.work(now_ms)
        record = None if self.is_broken else self.read()
        self.mail.clear()
        return record

    def save(self, record: Record, now_ms: int) -> None:
        self.asked = record
        self.client.save(record)
        self.send(now_ms)

    def send(self, now_ms: int) -> None:
        """Send the newest record to the recorder, if the client has one to send."""
        message = None if GONE in self.mail else self.client.message()
        if message is not None and self.asked is not None:
            self.client.note_sent(now_ms)
            self.heard += 1
            self.newest = Received(self.heard, self.asked, message.decode())
            if not self.is_open:
                self.recorder_ms = now_ms
            elif self.writing is None:
                self.begin_write(now_ms)
        self.due_ms = min(self.recorder_ms, self.client.wake_at_ms())

    def receive(self, now_ms: int) -> Told:
        """Let the worker receive its mail; return the news for its next turn."""
        mail, self.mail = self.mail, []
        for message in mail:
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
        self.heard, self.newest, self.writing, self.late = 0, None, None, None
        self.is_open = self.was_refused = False
        self.recorder_ms = now_ms

    def begin_write(self, now_ms: int) -> None:
        if self.newest is not None:
            longest_ms = max((fault.delay_ms for fault in self.slowness), default=SOUND_MS)
            self.writing = self.newest
            self.recorder_ms = now_ms + self.rng.randint(0, longest_ms)

    def hasten(self, now_ms: int) -> None:
        """Finish soon what is being written: the disk is quick again."""
        if self.writing is not None and not self.slowness and not self.is_broken:
            self.recorder_ms = min(self.recorder_ms, now_ms + SOUND_MS)
            self.due_ms = min(self.due_ms, self.recorder_ms)

    def work(self, now_ms: int) -> Record | None:
        """Do what the recorder has to do now; return the record that has become durable, if one has."""
        held = None
        if self.recorder_ms <= now_ms:
            self.recorder_ms = NEVER_MS
            if self.is_broken:
                self.refuse(now_ms)
            elif not self.is_open:
                self.open(now_ms)
            else:
                if (done := self.writing) is not None:
                    held = self.finish(done)
                    self.mail.append(WRITTEN + b"%d" % done.number)
                self.begin_write(now_ms)
        self.due_ms = self.recorder_ms
        return held

    def refuse(self, now_ms: int) -> None:
        self.was_refused = self.was_refused or not self.is_open
        self.writing = None
        self.mail.append(FAILED + b"%d" % self.heard)
        self.recorder_ms = now_ms + RETRY_MS

    def open(self, now_ms: int) -> None:
        """Read the record. If that was refused before, wait for what the worker makes of it."""
        found = self.read()
        self.is_open = True
        self.mail.append(FOUND + (b"" if found is None else write_record(found).encode()))
        if self.was_refused:
            self.late, self.recorder_ms = found, now_ms + RETRY_MS
        else:
            self.begin_write(now_ms)

    def lose_recorder(self) -> Record | None:
        """Kill the recorder; return the record that it could just make durable, if any."""
        held = self.end_recorder(self.writing if self.rng.randrange(2) else None)
        self.mail.append(GONE)
        return held

    def lose_worker(self, is_killed: bool) -> Record | None:
        """End the worker. The recorder first writes the newest record, unless it *is_killed* as well.

        It does not overwrite what it has not read. Return what has become durable, if anything.
        """
        lot = self.rng.randrange(3) if is_killed else 2
        held = self.end_recorder((None, self.writing, self.newest)[lot])
        self.mail.clear()
        return held

    def end_recorder(self, last: Received | None) -> Record | None:
        held = self.finish(last) if last is not None and self.is_open and not self.is_broken else None
        self.is_open, self.newest, self.writing = False, None, None
        self.recorder_ms = self.due_ms = NEVER_MS
        return held

    def finish(self, done: Received) -> Record:
        """Make durable what was received; return it, completed by what the worker may not know."""
        record, text = done.record, done.text
        if self.late is not None:
            completed = complete(record, self.late)
            if completed is record:
                self.late = None
            else:
                record, text = completed, write_record(completed)
        if self.newest is done:
            self.newest = None
        self.text, self.durable, self.writing = text, record.calls, None
        return record

    def wipe(self) -> None:
        """Lose the record."""
        self.text, self.durable = None, Calls()
