"""The process that writes the record: what is durable is told, and no trouble with a disk stops whoever asks."""

import itertools
import os
import random
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from elevator.core.call_set import press
from elevator.core.model import EVERY_CAR, Author, Button, Call, Calls, Direction, OpenDoor, Record
from elevator.runtime.loop import clock_ms
from elevator.storage.recorder import RETRY_MS, Recorder, receive, serve
from elevator.storage.recorder_client import Told
from elevator.storage.records import complete, write_record
from elevator.storage.store import DiskError, Store, StoreError

ME = Author(2, 70)
CALLS = press(press(Calls(), ME, Call(Button.UP, 2, EVERY_CAR)), ME, Call(Button.CAB, 3, 2))
RECORD = Record(70, CALLS, OpenDoor(2, Direction.UP))
PATIENCE_S = 20


@contextmanager
def recorder(directory: Path | None) -> Iterator[Recorder]:
    opened = Recorder(directory, 4, clock_ms)
    try:
        yield opened
    finally:
        opened.close()


def until(disk: Recorder, condition: Callable[[Told], object]) -> list[Told]:
    """Attend to *disk* until it says what is waited for; return all that it said."""
    end = time.monotonic() + PATIENCE_S
    said: list[Told] = []
    while not said or not condition(said[-1]):
        assert time.monotonic() < end, said
        said.append(disk.poll())
        time.sleep(0.005)
    return said


def kept(directory: Path) -> Record | None:
    with recorder(directory) as disk:
        return disk.load(lambda: None)


def test_what_is_saved_is_told_and_found_again(tmp_path: Path) -> None:
    with recorder(tmp_path) as disk:
        assert disk.load(lambda: None) is None
        disk.save(RECORD)
        assert until(disk, lambda told: told.recorded)[-1].recorded is CALLS
        assert disk.wake_at_ms() > 1 << 60, "nothing is waited for"
    assert kept(tmp_path) == RECORD


def test_the_same_record_is_not_written_twice(tmp_path: Path) -> None:
    with recorder(tmp_path) as disk:
        disk.load(lambda: None)
        disk.save(RECORD)
        until(disk, lambda told: told.recorded)
        disk.save(Record(70, CALLS, OpenDoor(2, Direction.UP)))
        assert disk.wake_at_ms() > 1 << 60


def test_what_was_asked_for_last_is_written_after_the_end(tmp_path: Path) -> None:
    with recorder(tmp_path) as disk:
        disk.load(lambda: None)
        for n in range(5):
            disk.save(Record(n, CALLS))
    assert kept(tmp_path) == Record(4, CALLS)


def test_without_a_disk_all_is_durable_at_once() -> None:
    with recorder(None) as disk:
        assert disk.load(lambda: None) is None
        disk.save(RECORD)
        until(disk, lambda told: told.recorded)


def test_a_killed_scribe_is_replaced_and_told_again(tmp_path: Path) -> None:
    with recorder(tmp_path) as disk:
        disk.load(lambda: None)
        os.kill(disk._pid, signal.SIGKILL)
        disk.save(RECORD)
        said = until(disk, lambda told: told.recorded)
        assert any(told.failed for told in said)
    assert kept(tmp_path) == RECORD


def test_a_disk_that_refuses_is_asked_until_it_takes_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "full").touch()
    save = Store.save
    monkeypatch.setattr(Store, "save", lambda store, text: not (tmp_path / "full").exists() and save(store, text))
    with recorder(tmp_path) as disk:
        disk.load(lambda: None)
        for n in range(15):
            disk.save(Record(n, CALLS))
            if n % 7 == 0:
                until(disk, lambda told: told.failed)
        assert "not answered" not in caplog.text, "it has answered"
        (tmp_path / "full").unlink()
        until(disk, lambda told: told.recorded)
    assert kept(tmp_path) == Record(14, CALLS)


def test_a_disk_that_refuses_every_second_record_does_not_fill_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    execute, writes = Store._write, itertools.count()

    def refuse(store: Store, text: str) -> None:
        if next(writes) % 2:
            raise DiskError("no space left")
        execute(store, text)

    monkeypatch.setattr(Store, "_write", refuse)
    monkeypatch.setattr("elevator.storage.recorder.RETRY_S", 0.01)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    writer = threading.Thread(target=serve, args=(theirs, tmp_path, 4))
    writer.start()
    assert ours.recv(100) == b"="
    told = []
    for n in range(1, 31):
        ours.send(write_record(Record(n, CALLS)).encode())
        while ours.recv(100) != b"+%d" % n:
            told.append(n)
    ours.close()
    writer.join()
    theirs.close()
    assert len(told) >= 29, "it was refused every second time"
    assert caplog.text.count("no space left") <= 3
    assert caplog.text.count("written again") <= 3
    assert "no space left; trying again. Until then a lamp lights only once a peer has stored the call" in caplog.text


def test_a_disk_that_takes_long_counts_as_failing_until_it_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Store.save

    def late(store: Store, text: str) -> bool:
        time.sleep(1.2)
        return save(store, text)

    monkeypatch.setattr(Store, "save", late)
    with recorder(tmp_path) as disk:
        disk.load(lambda: None)
        disk.save(RECORD)
        said = until(disk, lambda told: told.recorded)
    assert any(told.failed for told in said)


def test_a_record_that_can_be_read_only_later_is_found_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with recorder(tmp_path) as disk:
        disk.load(lambda: None)
        disk.save(RECORD)
    (tmp_path / "gone").touch()
    opened = Store.__init__

    def refuse(store: Store, directory: Path, floors: int) -> None:
        if (tmp_path / "gone").exists():
            raise DiskError("no disk")
        opened(store, directory, floors)

    monkeypatch.setattr(Store, "__init__", refuse)
    with recorder(tmp_path) as disk:
        assert disk.load(lambda: None) is None
        disk.save(Record(71, Calls()))
        until(disk, lambda told: told.failed)
        (tmp_path / "gone").unlink()
        said = until(disk, lambda told: told.recorded is not None)
        assert [told.found for told in said if told.found] == [RECORD]
    found = Record(71, CALLS, past=frozenset({70}))
    assert kept(tmp_path) == found, "the node may have stood still, and been ended, before it took in what was found"


def test_a_call_that_was_found_later_and_has_been_served_is_written_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = ["no disk"]
    load = Store.load

    def refuse(store: Store) -> Record | None:
        if refusals:
            raise DiskError(refusals.pop())
        return load(store)

    with recorder(tmp_path) as disk:
        disk.load(lambda: None)
        disk.save(RECORD)
    monkeypatch.setattr(Store, "load", refuse)
    with recorder(tmp_path) as disk:
        disk.load(lambda: None)
        disk.save(Record(71, Calls()))
        until(disk, lambda told: told.found)
        disk.save(Record(71, Calls({}, CALLS.seen), past=frozenset({70})))
        until(disk, lambda told: told.recorded == Calls({}, CALLS.seen))
    monkeypatch.undo()
    assert kept(tmp_path) == Record(71, Calls({}, CALLS.seen), past=frozenset({70}))


def test_record_found_late_is_not_merged_again_after_the_node_has_forgotten_its_run() -> None:
    later = Record(71, Calls(), past=frozenset({RECORD.incarnation}))
    assert complete(later, RECORD) == later


def test_a_stopped_scribe_goes_on(tmp_path: Path) -> None:
    with recorder(tmp_path) as disk:
        disk.load(lambda: None)
        os.kill(disk._pid, signal.SIGSTOP)
        disk.save(RECORD)
        assert any(told.failed for told in until(disk, lambda told: told.recorded))
        os.kill(disk._pid, signal.SIGSTOP)
    assert kept(tmp_path) == RECORD


def test_a_record_that_is_taken_away_is_made_anew(tmp_path: Path) -> None:
    with recorder(tmp_path / "record") as disk:
        disk.load(lambda: None)
        disk.save(RECORD)
        until(disk, lambda told: told.recorded)
        shutil.rmtree(tmp_path / "record")
        until(disk, lambda told: told.recorded)
    assert kept(tmp_path / "record") == RECORD


def test_scribes_that_cannot_live_are_replaced_only_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "born").mkdir()

    def die(link: object, directory: Path, floors: int) -> None:
        (tmp_path / "born" / str(os.getpid())).touch()

    with recorder(tmp_path) as disk:
        disk.load(lambda: None)
        monkeypatch.setattr("elevator.storage.recorder.serve", die)
        os.kill(disk._pid, signal.SIGKILL)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            disk.poll()
        assert len(list((tmp_path / "born").iterdir())) <= 2 + 2000 // RETRY_MS
        assert caplog.text.count("is gone") == 1
        monkeypatch.undo()
        disk.save(RECORD)
        until(disk, lambda told: told.recorded)


def test_what_was_sent_is_heard_although_the_other_end_has_not_read_all() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.send(b"last")
    ours.send(b"unread")
    theirs.close()
    assert receive(ours) == b"last"
    assert receive(ours) == b""
    ours.close()


def test_a_record_that_must_not_be_used_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with recorder(tmp_path / "file" / "deeper") as disk, pytest.raises(StoreError, match="cannot make"):
        disk.load(lambda: None)


def test_a_writer_killed_at_any_instruction_leaves_a_whole_record(tmp_path: Path) -> None:
    """What is read next is what was told durable last, or what was under way. ELEVATOR_KILLS asks for more writers."""
    rng = random.Random(7)
    last = 0
    for _ in range(int(os.environ.get("ELEVATOR_KILLS", "500"))):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            store = Store(tmp_path, 4)
            for n in range(last + 1, last + 100):
                store.save(write_record(Record(n, CALLS)))
                os.write(writing, n.to_bytes(8, "big"))
            os._exit(0)
        os.close(writing)
        told = os.read(reading, 8)
        time.sleep(rng.uniform(0, 0.003))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        while more := os.read(reading, 4096):
            told = more
        os.close(reading)
        store = Store(tmp_path, 4)
        record = store.load()
        store.close()
        durable = int.from_bytes(told[-8:], "big")
        assert record is not None
        assert durable <= record.incarnation <= durable + 1
        assert record.calls.live == CALLS.live
        last = record.incarnation
    assert not list(tmp_path.glob("*.spoiled-*"))
