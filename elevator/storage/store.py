"""The record on disk: one row in a SQLite database.

1. Every save is a transaction with full synchronisation (fsync): once `save` returns True, the record is durable.
2. A file that is damaged or not a regular file is renamed. The node continues without it, and receives from its peers
   the calls that they know. A file of a newer version stays in place (StoreError).
3. If the disk fails, is full or is read-only, `save` returns False; `load` and the constructor raise DiskError. The
   disk may recover. Each retry opens the file again, because a file opened on a read-only disk stays read-only.
4. Only one process pair uses a record. A lock file excludes other nodes. The supervisor and the worker hold the lock,
   but the recorder does not. The database has its own lock, so a new recorder waits until its predecessor has ended.
"""

import errno
import fcntl
import logging
import os
import sqlite3
import time
from pathlib import Path

from elevator.core.log_damping import Condition
from elevator.core.messages import Record
from elevator.storage.records import read_record
from elevator.storage.strict import BAD_INPUT

VERSION = 1
DAMAGE = (sqlite3.Error, UnicodeDecodeError)
"""The errors that a damaged file causes. UnicodeDecodeError occurs if SQLite's message quotes invalid text. A failing
disk causes errors of these classes too, so `is_disk_error` tells the two causes apart."""
DISK_ERRORS = (
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
)
"""SQLite's primary result codes for errors after which a retry may succeed; `is_disk_error` makes two exceptions.
Python's OperationalError cannot replace them, because it also covers invalid files."""
TABLE = "CREATE TABLE record (one INTEGER PRIMARY KEY CHECK (one = 0), text TEXT)"
WRITE = "REPLACE INTO record VALUES (0, ?)"
BUSY_S = 5.0
"""How long to wait for a database that another process has locked."""
LOCK_S = 1.0
"""How long to wait for the lock. Killed processes take a moment to release it."""
NO_LOCK = "cannot lock the record (%s): do not start a second node with this id on this machine"
DAMAGE_CALM_MS = 10_000
"""Damage is logged again only if at least this much time has passed without damage (log_damping.py)."""
PERMANENT = (errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL)
"""The errors of mkdir after which a retry is useless."""

log = logging.getLogger("elevator")


class StoreError(Exception):
    """The record cannot be used, and only the user can change that. The message is for the user."""


class DiskError(Exception):
    """The disk cannot be read or written, perhaps only for a while."""


def lock(directory: Path) -> int | None:
    """Lock the record in *directory*. Return the descriptor of the lock.

    If the lock file cannot be opened or locked, log the reason and return None: the node runs without a lock. The lock
    lasts until every process with a copy of the descriptor has closed it or ended. Raise StoreError if another node
    still holds the lock after LOCK_S, or if the directory cannot be made and a retry is useless.
    """
    try:
        make_directory(directory)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except (DiskError, OSError) as error:
        log.error(NO_LOCK, error)
        return None
    until = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(descriptor)
                advice = "give each node its own --id and --state-dir"
                raise StoreError(f"{directory} is in use by another node on this machine: {advice}") from None
            time.sleep(0.02)
        except OSError as error:  # For example, a network file system without locks.
            os.close(descriptor)
            log.error(NO_LOCK, error)
            return None
        else:
            return descriptor


def make_directory(directory: Path) -> None:
    """Make *directory* and its parents if needed.

    If that fails, raise StoreError if a retry is useless, else DiskError.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        kind = StoreError if error.errno in PERMANENT else DiskError
        raise kind(f"cannot make the record's directory {directory}: {error.strerror}") from None


class NoStore:
    """Stands in for the store of a node that keeps no record. Each save succeeds, but the text is dropped."""

    problem = ""

    def load(self) -> Record | None:
        return None

    def save(self, text: str) -> bool:
        return True

    def is_replaced(self) -> bool:
        return False

    def close(self) -> None:
        pass


class Store:
    """The record in *directory*.

    The constructor makes the directory and the file if needed, and renames a damaged file. It raises StoreError or
    DiskError on failure.
    """

    def __init__(self, directory: Path, floors: int) -> None:
        self.path = directory / "record.sqlite"
        self._floors = floors
        self._damage = Condition(calm_ms=DAMAGE_CALM_MS)
        self.problem = ""
        """Why the last save failed; empty if it succeeded or there was none."""
        make_directory(directory)
        self._database = self._open()

    def load(self) -> Record | None:
        """Return the record, or None if it is missing or damaged.

        A damaged file is renamed and replaced by a new one without a record. Raise DiskError if the disk cannot be
        read, or if the damaged file cannot be replaced.
        """
        try:
            # Read bytes, not text: for invalid text, SQLite would report an error that looks like a disk error.
            row = self._database.execute("SELECT CAST(text AS BLOB) FROM record").fetchone()
            return None if row is None else read_record(row[0], self._floors)
        except (sqlite3.Error, *BAD_INPUT) as error:
            if is_disk_error(error, self.path):
                raise DiskError(f"cannot read the record {self.path}: {error}") from None
            self._replace_damaged(error)
            return None

    def save(self, text: str) -> bool:
        """Make a record's *text* (see records.py) durable. If that fails, set `problem` and return False."""
        try:
            if self.problem:
                self._database.close()
                self._database = self._open()
            self._write(text)
        except (*DAMAGE, DiskError, StoreError) as error:
            has_message = isinstance(error, DiskError | StoreError)
            self.problem = str(error) if has_message else f"cannot write the record {self.path}: {error}"
            return False
        self.problem = ""
        self._damage.feed(clock_ms(), failed=False)
        return True

    def is_replaced(self) -> bool:
        """Return whether the open file was deleted or replaced. Writes to it are then lost."""
        return self._identity != identity(self.path)

    def close(self) -> None:
        self._database.close()

    def _write(self, text: str) -> None:
        """Write *text*, to a new file if the open one is damaged; raise sqlite3.Error or DiskError on failure."""
        row = (text,)
        try:
            self._database.execute(WRITE, row)
        except DAMAGE as error:
            if is_disk_error(error, self.path):
                raise
            self._replace_damaged(error)
            self._database.execute(WRITE, row)

    def _open(self) -> sqlite3.Connection:
        if self.path.exists() and not self.path.is_file():
            self._move_aside("not a regular file")
        try:
            database = connect(self.path)
        except DAMAGE as error:
            if is_disk_error(error, self.path):
                raise DiskError(f"cannot open the record {self.path}: {error}") from None
            self._move_aside(error)
            return self._open()
        self._identity = identity(self.path)
        return database

    def _replace_damaged(self, why: Exception) -> None:
        self._database.close()
        self._move_aside(why)
        self._database = self._open()

    def _move_aside(self, why: object) -> None:
        spoiled = self.path.with_name(f"{self.path.name}.spoiled-{time.strftime('%Y%m%d-%H%M%S')}")
        try:
            for suffix in ("-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            self.path.rename(spoiled)
        except OSError as error:
            raise DiskError(f"the record {self.path} is damaged and cannot be renamed: {error.strerror}") from None
        report = self._damage.feed(clock_ms(), failed=True)
        if report is not None:
            log.error(
                "the record is damaged (%s): renamed to %s; the node continues without it%s",
                why,
                spoiled.name,
                report.note,
            )


def clock_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def identity(path: Path) -> tuple[int, int] | None:
    """Return the device and inode of the file at *path*; None if it does not exist or cannot be examined."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_disk_error(error: Exception, path: Path) -> bool:
    """Return whether *error* comes from the disk, not from a damaged file. A retry may then succeed."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if code == sqlite3.SQLITE_IOERR_SHORT_READ or (code == sqlite3.SQLITE_READONLY and is_format_read_only(path)):
        return False
    return code & 0xFF in DISK_ERRORS


def is_format_read_only(path: Path) -> bool:
    """Return whether byte 18 of the file at *path* makes SQLite treat the file as read-only.

    That byte is the "write version", at most 2 for a writable file: https://www.sqlite.org/fileformat2.html, 1.3.3.
    """
    try:
        with path.open("rb") as file:
            return file.read(19)[18:] > b"\x02"
    except OSError:
        return False


def connect(path: Path) -> sqlite3.Connection:
    """Open the database at *path*, locked and with full synchronisation, and make its table if needed.

    Raise StoreError if a newer version of the program wrote it, or one of DAMAGE on any other failure.
    """
    database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        database.close()
        raise StoreError(
            f"a newer version of this program wrote the record {path} (format {version}): run that version"
        )
    if version < VERSION:
        database.execute("BEGIN EXCLUSIVE")
        if not database.execute("SELECT 1 FROM sqlite_schema").fetchone():
            database.execute(TABLE)
        database.execute(f"PRAGMA user_version = {VERSION}")
        database.execute("COMMIT")
    if database.execute("SELECT sql FROM sqlite_schema").fetchall() != [(TABLE,)]:
        database.close()
        raise sqlite3.DatabaseError("its tables are not those of a record")
    return database
