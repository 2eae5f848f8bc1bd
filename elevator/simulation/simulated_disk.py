"""The disk of a simulated node, with the process that writes to it: records in, answers out, in its own time."""

import random
from typing import NamedTuple

from attrs import define, field

from elevator.core.model import NEVER_MS, Calls, Record
from elevator.net.wire import BAD_INPUT
from elevator.simulation.faults import InjectedFault
from elevator.storage.records import complete, read_record, write_record

SOUND_MS = 3
"""The longest that a sound disk takes to make a record durable."""
PATIENCE_MS, RETRY_MS = 1000, 500


class DiskAnswer(NamedTuple):
    """What a disk has to tell its program: see core.model.Tick."""

    recorded: Calls | None = None
    failed: bool = False
    found: Record | None = None


@define(eq=False)
class SimulatedDisk:
    """Keeps the last record it was asked to save, and outlives the program."""

    floors: int
    rng: random.Random
    text: str | None = None
    """What is on it ..."""
    durable: Calls = Calls()
    """... and the calls in that."""
    is_broken: bool = False
    """Whether it takes nothing, and gives nothing to a program that starts."""
    slowness: list[InjectedFault] = field(factory=list)
    asked: Record | None = None
    """What the program wants it to hold."""
    writing: Record | None = None
    """What is on its way there."""
    answer: DiskAnswer = DiskAnswer()
    """What the program has yet to be told."""
    is_unread: bool = False
    """Whether the program started without the record because it could not be read."""
    read_late: Record | None = None
    """The record that was read after all. The program may not have taken it in."""
    due_ms: int = NEVER_MS
    """When it next says something."""
    written_ms: int = NEVER_MS
    """When `writing` is durable."""

    def read(self) -> Record | None:
        """Return its record; None if there is none, or it is damaged."""
        try:
            return None if self.text is None else read_record(self.text, self.floors)
        except BAD_INPUT:
            return None

    def start(self) -> Record | None:
        """Return what a program that starts is given."""
        self.is_unread = self.is_broken and self.text is not None
        return None if self.is_broken else self.read()

    def save(self, record: Record, now_ms: int) -> None:
        self.asked = record
        if self.writing is None:
            self.begin_write(now_ms)

    def begin_write(self, now_ms: int) -> None:
        longest_ms = max((fault.delay_ms for fault in self.slowness), default=SOUND_MS)
        self.writing = self.asked
        self.written_ms = now_ms + self.rng.randint(0, longest_ms)
        self.due_ms = min(self.written_ms, now_ms + PATIENCE_MS)

    def hasten(self, now_ms: int) -> None:
        """Finish soon what is being written: the disk is quick again."""
        if self.writing is not None and not self.slowness and not self.is_broken:
            self.written_ms = min(self.written_ms, now_ms + SOUND_MS)
            self.due_ms = min(self.due_ms, self.written_ms)

    def work(self, now_ms: int) -> Record | None:
        """Do what is due; return the record that has become durable, if one has."""
        self.answer = self.answer._replace(failed=self.is_broken or now_ms < self.written_ms)
        if self.is_broken:
            self.writing = self.asked
            self.due_ms = self.written_ms = now_ms + RETRY_MS
            return None
        if self.answer.failed:
            self.due_ms = self.written_ms
            return None
        if self.is_unread:
            self.is_unread, self.read_late = False, self.read()
            self.answer = self.answer._replace(found=self.read_late)
            self.begin_write(now_ms)
            return None
        assert self.writing is not None
        done, self.writing, self.due_ms = self.writing, None, NEVER_MS
        self.answer = self.answer._replace(recorded=done.calls)
        held = self.hold(done)
        if self.asked is not done:
            self.begin_write(now_ms)
        return held

    def close(self, lot: int) -> Record | None:
        """Lose the program, and by *lot* 0 all that is under way, 1 what waits, 2 nothing.

        What it could not read when it started is not overwritten unseen. Return what has become durable, if anything.
        """
        held = None
        if not self.is_broken and not self.is_unread and lot and self.writing and self.asked:
            held = self.hold(self.writing if lot == 1 else self.asked)
        self.asked = self.writing = self.read_late = None
        self.answer, self.is_unread = DiskAnswer(), False
        self.due_ms = self.written_ms = NEVER_MS
        return held

    def hold(self, record: Record) -> Record:
        if self.read_late is not None:
            completed = complete(record, self.read_late)
            if completed is record:
                self.read_late = None
            record = completed
        self.text, self.durable = write_record(record), record.calls
        return record

    def wipe(self, is_torn: bool) -> None:
        """Lose the record, or only its second half."""
        self.text = self.text[: len(self.text) // 2] if is_torn and self.text is not None else None
        self.durable = Calls()

    def take_answer(self) -> DiskAnswer:
        answer, self.answer = self.answer, DiskAnswer()
        return answer
