"""The record on disk: saving and loading, locking, recovery from damaged files, and the text of a record."""

import errno
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from elevator.core.call_set import press
from elevator.core.messages import OpenDoor, Record
from elevator.core.model import EVERY_CAR, Author, Button, Call, Calls, Direction, Entry
from elevator.net.wire import AGE_MAX, COUNT_MAX
from elevator.storage.records import read_record, write_record
from elevator.storage.store import NoStore, Store, StoreError, lock
from elevator.storage.strict import BAD_INPUT

ME = Author(2, 70)
CALLS = press(press(Calls(), ME, Call(Button.UP, 2, EVERY_CAR)), ME, Call(Button.CAB, 3, 2))


def reopened(directory: Path, floors: int = 4) -> Record | None:
    store = Store(directory, floors)
    try:
        return store.load()
    finally:
        store.close()


def save(directory: Path, record: Record) -> None:
    store = Store(directory, 4)
    assert store.save(write_record(record))
    store.close()


def test_saved_record_is_loaded(tmp_path: Path) -> None:
    directory = tmp_path / "deep" / "down"
    assert reopened(directory) is None
    save(directory, Record(70, Calls()))
    save(directory, Record(71, CALLS))
    assert reopened(directory) == Record(71, CALLS)


def test_second_lock_on_a_record_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = lock(tmp_path / "deep")
    assert first is not None
    monkeypatch.setattr("elevator.storage.store.LOCK_S", 0.1)
    with pytest.raises(StoreError, match="in use by another node"):
        lock(tmp_path / "deep")
    os.close(first)
    second = lock(tmp_path / "deep")
    assert second is not None
    os.close(second)


def test_disk_without_locks_is_logged_and_the_record_stays_unlocked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", fail)
    assert lock(tmp_path) is None
    assert "cannot lock the record ([Errno 37] No locks available)" in caplog.text


@pytest.mark.parametrize("damage", [b"", b"not a database at all", b"SQLite format 3\0" + b"\xff" * 4000])
def test_damaged_file_is_renamed_unless_it_is_empty(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "record.sqlite").write_bytes(damage)
    assert reopened(tmp_path) is None
    assert len(list(tmp_path.glob("*.spoiled-*"))) == (1 if damage else 0)
    save(tmp_path, Record(71, CALLS))
    assert reopened(tmp_path) == Record(71, CALLS)


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "[1,null,[[2,70,1,[[0,99,-1,0]]]],[]]",
        '{"a": 1}',
        '["x",null,[],[]]',
        "[null,null,[],[]]",
        "[-1,null,[],[]]",
        "[1,null,[],[],[]]",
        "[1,null]",
        None,
        7,
        "[" * 5000,
    ],
)
def test_file_with_a_damaged_row_is_renamed(tmp_path: Path, text: object) -> None:
    save(tmp_path, Record(71, CALLS))
    database = sqlite3.connect(tmp_path / "record.sqlite")
    database.execute("UPDATE record SET text = ?", (text,))
    database.commit()
    database.close()
    assert reopened(tmp_path) is None
    assert len(list(tmp_path.glob("*.spoiled-*"))) == 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE record SET text = CAST(x'ff' AS TEXT)",
        "CREATE TRIGGER no BEFORE INSERT ON record BEGIN SELECT RAISE(ABORT, 'no'); END",
        "DROP TABLE record",
        "ALTER TABLE record ADD COLUMN more",
    ],
)
def test_file_with_invalid_text_or_another_schema_is_renamed(tmp_path: Path, change: str) -> None:
    """If such a file counted as a disk error, the recorder would retry forever."""
    save(tmp_path, Record(71, CALLS))
    database = sqlite3.connect(tmp_path / "record.sqlite")
    database.execute(change)
    database.commit()
    database.close()
    assert reopened(tmp_path) is None
    assert len(list(tmp_path.glob("*.spoiled-*"))) == 1
    save(tmp_path, Record(72, CALLS))
    assert reopened(tmp_path) == Record(72, CALLS)


def test_file_found_damaged_while_writing_is_renamed(tmp_path: Path) -> None:
    store = Store(tmp_path, 4)
    store._database.execute("CREATE TRIGGER no BEFORE INSERT ON record BEGIN SELECT RAISE(ABORT, 'no'); END")
    assert store.save(write_record(Record(71, CALLS)))
    assert len(list(tmp_path.glob("*.spoiled-*"))) == 1
    assert store.load() == Record(71, CALLS)
    store.close()


@pytest.mark.parametrize("version", [0, 1], ids=["intact", "no table yet"])
def test_file_with_a_read_only_format_is_renamed_when_it_must_be_written(tmp_path: Path, version: int) -> None:
    save(tmp_path, Record(71, CALLS))
    whole = bytearray((tmp_path / "record.sqlite").read_bytes())
    whole[18] = 3  # the "write version" of https://www.sqlite.org/fileformat2.html, section 1.3.3
    whole[63] ^= version  # the last byte of the "user version"
    (tmp_path / "record.sqlite").write_bytes(whole)
    assert reopened(tmp_path) == (None if version else Record(71, CALLS))
    save(tmp_path, Record(72, CALLS))
    assert reopened(tmp_path) == Record(72, CALLS)
    assert len(list(tmp_path.glob("*.spoiled-*"))) == 1


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_path_that_is_not_a_regular_file_is_renamed(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "record.sqlite")
    save(tmp_path, Record(71, CALLS))
    assert reopened(tmp_path) == Record(71, CALLS)
    assert len(list(tmp_path.glob("*.spoiled-*"))) == 1


def test_damaged_file_is_read_or_renamed_or_refused(tmp_path: Path) -> None:
    """A damaged file may seem to be of a newer version. Then the store must leave it in place."""
    rng = random.Random(5)
    save(tmp_path, Record(71, CALLS))
    whole = (tmp_path / "record.sqlite").read_bytes()
    for _ in range(150):
        (tmp_path / "record.sqlite").unlink(missing_ok=True)
        at = rng.randrange(len(whole))
        cut, noise = rng.random() < 0.2, rng.randbytes(rng.choice((1, 8, 512, 4096)))
        (tmp_path / "record.sqlite").write_bytes(whole[:at] if cut else (whole[:at] + noise + whole)[: len(whole)])
        try:
            record = reopened(tmp_path)
        except StoreError:
            assert (tmp_path / "record.sqlite").exists()
            assert not list(tmp_path.glob("*.spoiled-*"))
            continue
        assert record is None or record.calls.seen.keys() <= {ME}
        save(tmp_path, Record(72, CALLS))
        assert reopened(tmp_path) == Record(72, CALLS)
        for spoiled in tmp_path.glob("*.spoiled-*"):
            spoiled.unlink()


def test_deleted_or_replaced_file_is_detected(tmp_path: Path) -> None:
    store = Store(tmp_path / "record", 4)
    assert store.save(write_record(Record(70, Calls())))
    assert not store.is_replaced()
    shutil.rmtree(tmp_path / "record")
    assert store.is_replaced()
    save(tmp_path / "record", Record(71, CALLS))
    assert store.is_replaced()
    store.close()


def test_file_of_a_newer_version_is_refused_and_kept(tmp_path: Path) -> None:
    save(tmp_path, Record(71, CALLS))
    database = sqlite3.connect(tmp_path / "record.sqlite")
    database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(StoreError, match="newer version"):
        Store(tmp_path, 4)
    assert not list(tmp_path.glob("*.spoiled-*"))


def test_directory_that_cannot_be_made_raises_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot make"):
        Store(tmp_path / "file" / "record", 4)


def test_loaded_record_omits_calls_whose_buttons_the_building_lacks(tmp_path: Path) -> None:
    save(tmp_path, Record(71, CALLS))
    loaded = reopened(tmp_path, floors=3)
    assert loaded is not None
    assert (loaded.calls.live, loaded.calls.seen) == ({}, CALLS.seen)


def test_save_succeeds_after_the_disk_recovers(tmp_path: Path) -> None:
    store = Store(tmp_path, 4)
    store.save(write_record(Record(70, Calls())))
    # The setting belongs to this connection. After a failure, the store opens a new one, which can write.
    store._database.execute("PRAGMA query_only = ON")
    assert not store.save(write_record(Record(71, CALLS)))
    assert store.save(write_record(Record(71, CALLS)))
    assert store.load() == Record(71, CALLS)
    store.close()


def test_absent_store_accepts_records_and_loads_none() -> None:
    nothing = NoStore()
    assert nothing.save(write_record(Record(1, CALLS)))
    assert nothing.load() is None


# The text of a record

THREE_FIELDS = "[71,null,[[2,70,9,[[0,2,-1,3],[1,3,-1,1],[2,1,2,0]]],[0,5,1,[]]]]"
FOUR_FIELDS = "[71,[2,-1],[[2,70,9,[[0,2,-1,3],[1,3,-1,1],[2,1,2,0]]],[0,5,1,[]]],[69,70]]"
"""Records that earlier versions wrote."""
EARLIER = Calls(
    {
        ME: Entry(
            ME, 9, {6: Call(Button.UP, 2, EVERY_CAR), 8: Call(Button.DOWN, 3, EVERY_CAR), 9: Call(Button.CAB, 1, 2)}
        ),
        Author(0, 5): Entry(Author(0, 5), 1),
    }
)


@pytest.mark.parametrize(("text", "door"), [(THREE_FIELDS, None), (FOUR_FIELDS, OpenDoor(2, Direction.DOWN))])
def test_record_of_an_earlier_version_is_loaded(tmp_path: Path, text: str, door: OpenDoor | None) -> None:
    store = Store(tmp_path, 4)
    assert store.save(text)
    store.close()
    record = Record(71, EARLIER, door)
    assert reopened(tmp_path) == record
    assert read_record(write_record(record), 4) == record


@pytest.mark.parametrize(
    "entries",
    [
        "[[2,70,9,[[2,1,3,0]]]]",
        "[[2,70,9,[[2,1,-1,0]]]]",
        "[[2,70,9,[[0,2,-1,3],[2,1,0,0]]]]",
        "[[2,70,9,[[0,2,2,0]]]]",
        "[[2,70,9,[[1,2,0,0]]]]",
        "[[2,70,9,[[1,2,-2,0]]]]",
        "[[2,70,9,[[3,2,-1,0]]]]",
        "[[2,70,9,[[0,63,-1,0]]]]",
        "[[2,70,9,[[0,-1,-1,0]]]]",
        "[[2,70,9,[[1,0,-1,0]]]]",
        "[[2,70,9,[[2,64,2,0]]]]",
        "[[2,70,9,[[0,2,-1,9]]]]",
        "[[2,70,9,[[0,2,-1,-1]]]]",
        "[[2,70,9,[[0,2,-1,0],[0,2,-1,1]]]]",
        "[[2,70,9,[[0,2,-1,1],[0,1,-1,1]]]]",
        "[[2,70,9007199254740992,[[0,2,-1,4294967296]]]]",
        "[[2,70,0,[]]]",
        "[[2,70,9007199254740993,[]]]",
        "[[64,70,9,[]]]",
        "[[-1,70,9,[]]]",
        "[[2,-1,9,[]]]",
        "[[2,9007199254740993,9,[]]]",
        "[[2,70,9,[]],[2,70,9,[]]]",
        "[[2,70,9]]",
        "[[2,70,9,[],0]]",
        "[[2,70,9,[[0,2,-1]]]]",
        "[[2,70,9,[[0,2,-1,true]]]]",
        "[[2,70.0,9,[]]]",
        "[null]",
        "null",
    ],
)
def test_record_with_an_invalid_entry_is_refused(entries: str) -> None:
    """Some entries contain a cab call of a car that is not the author's, or a hall call that belongs to a car."""
    assert read_record("[71,null,[]]", 4) == Record(71, Calls())
    with pytest.raises(BAD_INPUT):
        read_record(f"[71,null,{entries}]", 4)


def test_record_keeps_the_oldest_live_press_that_a_heartbeat_can_express() -> None:
    calls = Calls({ME: Entry(ME, COUNT_MAX, {COUNT_MAX - AGE_MAX: Call(Button.UP, 2, EVERY_CAR)})})
    assert read_record(write_record(Record(71, calls)), 4).calls == calls


def test_calls_whose_buttons_the_building_no_longer_has_are_dropped() -> None:
    kept = {6: Call(Button.UP, 2, EVERY_CAR), 8: Call(Button.DOWN, 3, EVERY_CAR), 9: Call(Button.CAB, 1, 2)}
    for floors, numbers in ((4, {6, 8, 9}), (3, {9}), (2, {9})):
        found = read_record(THREE_FIELDS, floors).calls.entries[ME]
        assert found == Entry(ME, 9, {n: call for n, call in kept.items() if n in numbers})
