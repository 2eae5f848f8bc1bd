"""The recorder process reports which records are durable, and a failing disk never blocks the worker."""

import errno
import itertools
import logging
import os
import random
import select
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from steps import make_calls

from elevator.core.call_set import press
from elevator.core.messages import OpenDoor, Record
from elevator.core.model import EVERY_CAR, Author, Button, Call, Calls, Direction
from elevator.runtime.loop import clock_ms
from elevator.storage.recorder import RETRY_MS, Recorder, receive, serve
from elevator.storage.recorder_client import DiskNews
from elevator.storage.records import read_record, write_record
from elevator.storage.store import DiskError, Store, StoreError

ME = Author(2, 70)
CALLS = press(press(Calls(), ME, Call(Button.UP, 2, EVERY_CAR)), ME, Call(Button.CAB, 3, 2))
RECORD = Record(70, CALLS, OpenDoor(2, Direction.UP))
TIMEOUT_S = 20


@contextmanager
def recorder(directory: Path | None) -> Iterator[Recorder]:
    opened = Recorder(directory, 4, clock_ms)
    try:
        yield opened
    finally:
        opened.close()


def poll(disk: Recorder) -> DiskNews:
    return disk.poll(readable=bool(select.select(disk.sockets(), [], [], 0)[0]))


def poll_until(disk: Recorder, condition: Callable[[DiskNews], object]) -> list[DiskNews]:
    """Poll *disk* until a result fulfils *condition*. Return all results."""
    end = time.monotonic() + TIMEOUT_S
    all_news: list[DiskNews] = []
    while not all_news or not condition(all_news[-1]):
        assert time.monotonic() < end, all_news
        all_news.append(poll(disk))
        time.sleep(0.005)
    return all_news


class FullSocket:
    """A socket whose first `send` fails, because the kernel lacks memory."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self.is_full = True

    def __getattr__(self, name: str) -> object:
        return getattr(self.link, name)

    def send(self, message: bytes) -> int:
        if self.is_full:
            self.is_full = False
            raise OSError(errno.ENOBUFS, "no buffer space")
        return self.link.send(message)


def test_record_that_could_not_be_sent_is_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with recorder(tmp_path) as disk:
        disk.load(lambda: None)
        monkeypatch.setattr(disk, "_socket", FullSocket(disk._socket))
        disk.save(RECORD)
        poll_until(disk, lambda news: news.recorded)


def stored(directory: Path) -> Record | None:
    with recorder(directory) as disk:
        return disk.load(lambda: None)


def test_saved_record_is_reported_durable_and_loaded_again(tmp_path: Path) -> None:
    with recorder(tmp_path) as disk:
        assert disk.load(lambda: None) is None
        disk.save(RECORD)
        assert poll_until(disk, lambda news: news.recorded)[-1].recorded is CALLS
        assert disk.wake_at_ms() > 1 << 60, "nothing is outstanding"
    assert stored(tmp_path) == RECORD


def test_equal_record_is_not_written_again(tmp_path: Path) -> None:
    with recorder(tmp_path) as disk:
        disk.load(lambda: None)
        disk.save(RECORD)
        poll_until(disk, lambda news: news.recorded)
        disk.save(Record(70, CALLS, OpenDoor(2, Direction.UP)))
        assert disk.wake_at_ms() > 1 << 60


def test_close_writes_the_newest_record(tmp_path: Path) -> None:
    with recorder(tmp_path) as disk:
        disk.load(lambda: None)
        for n in range(5):
            disk.save(Record(n, CALLS))
    assert stored(tmp_path) == Record(4, CALLS)


def test_without_a_directory_every_record_counts_as_durable() -> None:
    with recorder(None) as disk:
        assert disk.load(lambda: None) is None
        disk.save(RECORD)
        poll_until(disk, lambda news: news.recorded)


def test_new_recorder_replaces_a_killed_one_and_gets_the_newest_record(tmp_path: Path) -> None:
    with recorder(tmp_path) as disk:
        disk.load(lambda: None)
        os.kill(disk._pid, signal.SIGKILL)
        disk.save(RECORD)
        all_news = poll_until(disk, lambda news: news.recorded)
        assert any(news.failed for news in all_news)
    assert stored(tmp_path) == RECORD


def test_failed_write_is_retried_with_the_newest_record(
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
                poll_until(disk, lambda news: news.failed)
        assert "not answered" not in caplog.text, "the disk answered with a failure"
        (tmp_path / "full").unlink()
        poll_until(disk, lambda news: news.recorded)
    assert stored(tmp_path) == Record(14, CALLS)


def test_disk_that_refuses_every_second_write_is_logged_only_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    execute, writes = Store._write, itertools.count()

    def fail(store: Store, text: str) -> None:
        if next(writes) % 2:
            raise DiskError("no space left")
        execute(store, text)

    monkeypatch.setattr(Store, "_write", fail)
    monkeypatch.setattr("elevator.storage.recorder.RETRY_S", 0.01)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    writer = threading.Thread(target=serve, args=(theirs, tmp_path, 4))
    writer.start()
    assert ours.recv(100) == b"="
    failures = []
    for n in range(1, 31):
        ours.send(write_record(Record(n, CALLS)).encode())
        while ours.recv(100) != b"+%d" % n:
            failures.append(n)
    ours.close()
    writer.join()
    theirs.close()
    assert len(failures) >= 29, "every second write failed"
    assert 0 < caplog.text.count("no space left") <= 3
    assert 0 < caplog.text.count("the disk works again") <= 3
    assert (
        "no space left; retrying. Until that succeeds, a lamp lights only once a peer has stored the call"
        in caplog.text
    )


def test_slow_disk_counts_as_failed_until_it_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = Store.save

    def slow(store: Store, text: str) -> bool:
        time.sleep(1.2)
        return save(store, text)

    monkeypatch.setattr(Store, "save", slow)
    with recorder(tmp_path) as disk:
        disk.load(lambda: None)
        disk.save(RECORD)
        all_news = poll_until(disk, lambda news: news.recorded)
    assert any(news.failed for news in all_news)


def test_record_that_becomes_readable_later_is_reported_and_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recorder(tmp_path) as disk:
        disk.load(lambda: None)
        disk.save(RECORD)
    (tmp_path / "gone").touch()
    opened = Store.__init__

    def fail(store: Store, directory: Path, floors: int) -> None:
        if (tmp_path / "gone").exists():
            raise DiskError("no disk")
        opened(store, directory, floors)

    monkeypatch.setattr(Store, "__init__", fail)
    with recorder(tmp_path) as disk:
        assert disk.load(lambda: None) is None
        disk.save(Record(71, Calls()))
        poll_until(disk, lambda news: news.failed)
        (tmp_path / "gone").unlink()
        all_news = poll_until(disk, lambda news: news.recorded is not None)
        assert [news.found for news in all_news if news.found] == [RECORD]
    completed = Record(71, CALLS)
    assert stored(tmp_path) == completed, (
        "the recorder merges the records itself, because the node could be killed first"
    )


def test_call_found_late_and_then_served_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures_left = ["no disk"]
    load = Store.load

    def fail(store: Store) -> Record | None:
        if failures_left:
            raise DiskError(failures_left.pop())
        return load(store)

    with recorder(tmp_path) as disk:
        disk.load(lambda: None)
        disk.save(RECORD)
    monkeypatch.setattr(Store, "load", fail)
    with recorder(tmp_path) as disk:
        disk.load(lambda: None)
        disk.save(Record(71, Calls()))
        poll_until(disk, lambda news: news.found)
        disk.save(Record(71, make_calls({}, CALLS.seen)))
        poll_until(disk, lambda news: news.recorded == make_calls({}, CALLS.seen))
        disk.save(Record(71, Calls()))  # This record also has an empty version vector. It must not bring the call back.
    monkeypatch.undo()
    assert stored(tmp_path) == Record(71, Calls())


def test_record_may_have_the_fourth_field_of_earlier_versions_but_no_fifth() -> None:
    text = write_record(RECORD)
    assert read_record(f"{text[:-1]},[69,70]]", 4) == RECORD
    with pytest.raises(ValueError):
        read_record(f"{text[:-1]},[69,70],[]]", 4)


def test_stopped_recorder_is_resumed(tmp_path: Path) -> None:
    with recorder(tmp_path) as disk:
        disk.load(lambda: None)
        os.kill(disk._pid, signal.SIGSTOP)
        disk.save(RECORD)
        assert any(news.failed for news in poll_until(disk, lambda news: news.recorded))
        os.kill(disk._pid, signal.SIGSTOP)
    assert stored(tmp_path) == RECORD


def test_deleted_record_is_written_again(tmp_path: Path) -> None:
    with recorder(tmp_path / "record") as disk:
        disk.load(lambda: None)
        disk.save(RECORD)
        poll_until(disk, lambda news: news.recorded)
        shutil.rmtree(tmp_path / "record")
        poll_until(disk, lambda news: news.recorded)
    assert stored(tmp_path / "record") == RECORD


def test_crashing_recorders_are_replaced_at_intervals_and_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "started").mkdir()

    def die(link: object, directory: Path, floors: int) -> None:
        (tmp_path / "started" / str(os.getpid())).touch()

    with recorder(tmp_path) as disk:
        disk.load(lambda: None)
        monkeypatch.setattr("elevator.storage.recorder.serve", die)
        os.kill(disk._pid, signal.SIGKILL)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            poll(disk)
        assert len(list((tmp_path / "started").iterdir())) <= 2 + 2000 // RETRY_MS
        assert caplog.text.count("is gone") == 1
        monkeypatch.undo()
        disk.save(RECORD)
        poll_until(disk, lambda news: news.recorded)


def test_last_message_is_received_from_a_connection_closed_with_unread_data() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.send(b"last")
    ours.send(b"unread")
    theirs.close()
    assert receive(ours) == b"last"
    assert receive(ours) == b""
    ours.close()


def test_unusable_directory_raises_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with recorder(tmp_path / "file" / "deeper") as disk, pytest.raises(StoreError, match="cannot make"):
        disk.load(lambda: None)


@pytest.mark.slow
def test_writer_killed_at_a_random_moment_leaves_a_complete_record(tmp_path: Path) -> None:
    """The next reader finds the last acknowledged record, or the one written after it.

    ELEVATOR_KILLS sets the number of kills.
    """
    rng = random.Random(7)
    last = 0
    for _ in range(int(os.environ.get("ELEVATOR_KILLS", "150"))):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            store = Store(tmp_path, 4)
            for n in range(last + 1, last + 100):
                store.save(write_record(Record(n, CALLS)))
                os.write(writing, n.to_bytes(8, "big"))
            os._exit(0)
        os.close(writing)
        acknowledged = os.read(reading, 8)
        time.sleep(rng.uniform(0, 0.003))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        while more := os.read(reading, 4096):
            acknowledged = more
        os.close(reading)
        store = Store(tmp_path, 4)
        record = store.load()
        store.close()
        durable = int.from_bytes(acknowledged[-8:], "big")
        assert record is not None
        assert durable <= record.incarnation <= durable + 1
        assert record.calls.live == CALLS.live
        last = record.incarnation
    assert not list(tmp_path.glob("*.spoiled-*"))
