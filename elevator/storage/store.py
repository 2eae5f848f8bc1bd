"""The record on disk: what a node must not forget in a power cut. One row in a SQLite database.

1. Every save is a transaction with full synchronisation: when it returns, the record is on the disk.
2. A file that is damaged, or is no file, is set aside under another name and the node goes on without: the others still
   have its calls. A file of a newer version is not touched: StoreError.
3. A disk that refuses, is full or read-only is reported: DiskError, or False from `save`. It may come back; the file
   is opened anew for each further try, because what was opened on a read-only disk stays so.
4. One pair of processes holds a record: a lock beside it, which they inherit from each other, keeps others out. The
   database is held exclusively as well, so that a successor waits for what its predecessor's recorder still writes.
"""

import errno
import fcntl
import logging
import os
import sqlite3
import time
from pathlib import Path

from elevator.core.log_damping import Condition
from elevator.core.model import Record
from elevator.net.wire import BAD_INPUT
from elevator.storage.records import read_record

VERSION = 1
DAMAGE = (sqlite3.Error, UnicodeDecodeError)
"""What comes of a file that cannot be used; the latter where SQLite names something in it that is no text."""
OF_THE_DISK = (
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
"""Results that tell of the disk. Python's OperationalError is also for a file of another format, or another table."""
TABLE = "CREATE TABLE record (one INTEGER PRIMARY KEY CHECK (one = 0), text TEXT)"
WRITE = "REPLACE INTO record VALUES (0, ?)"
BUSY_S = 5.0
"""How long to wait for whoever holds the database."""
LOCK_S = 1.0
"""How long to wait for the lock: processes that were killed need a moment to go."""
DAMAGE_CALM_MS = 10_000
"""A record that is damaged again within this time is set aside without another line in the log."""
MISTAKES = (errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL)
"""What the system says of a directory that can never be made. All else may get better by itself."""

log = logging.getLogger("elevator")


class StoreError(Exception):
    """The record cannot be used; the message is for the user."""


class DiskError(Exception):
    """The disk does not take or give anything now; it may later."""


def lock(directory: Path) -> int | None:
    """Claim the record in *directory*; return the descriptor of the lock, None if the disk has no room even for that.

    It holds until the last process that has the descriptor ends. Raise StoreError if somebody else holds it.
    """
    try:
        make_directory(directory)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except (DiskError, OSError) as error:
        log.error("cannot lock the record (%s): start no second node with this id here", error)
        return None
    until = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(descriptor)
                raise StoreError(f"{directory} is in use: another node with this id runs on this machine") from None
            time.sleep(0.02)
        else:
            return descriptor


def make_directory(directory: Path) -> None:
    """Make the record's *directory*, if it is not there."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        kind = StoreError if error.errno in MISTAKES else DiskError
        raise kind(f"cannot make the record's directory {directory}: {error.strerror}") from None


class Memory:
    """A disk for those who do without (`--no-record`): promises then end with the process."""

    trouble = ""

    def load(self) -> Record | None:
        return None

    def save(self, text: str) -> bool:
        return True

    def is_replaced(self) -> bool:
        return False

    def close(self) -> None:
        pass


class Store:
    """The record of one node in a *directory*, which is made if needed. Opening it raises StoreError or DiskError."""

    def __init__(self, directory: Path, floors: int) -> None:
        self.path = directory / "record.sqlite"
        self._floors = floors
        self._damage = Condition(calm_ms=DAMAGE_CALM_MS)
        self.trouble = ""
        """Why the disk took nothing last; empty if it did."""
        make_directory(directory)
        self._database = self._open()

    def load(self) -> Record | None:
        """Return the last record; None if there is none that can be read."""
        try:
            # As bytes: text that is none must not look like a disk that gives nothing.
            row = self._database.execute("SELECT CAST(text AS BLOB) FROM record").fetchone()
            return None if row is None else read_record(row[0], self._floors)
        except (sqlite3.Error, *BAD_INPUT) as error:
            if is_of_the_disk(error, self.path):
                raise DiskError(f"cannot read the record {self.path}: {error}") from None
            self._start_over(error)
            return None

    def save(self, text: str) -> bool:
        """Make a record's *text* (see records.py) durable; return False if the disk refuses."""
        try:
            if self.trouble:
                self._database.close()
                self._database = self._open()
            self._write(text)
        except (*DAMAGE, DiskError, StoreError) as error:
            is_told = isinstance(error, DiskError | StoreError)
            self.trouble = str(error) if is_told else f"cannot write the record {self.path}: {error}"
            return False
        self.trouble = ""
        self._damage.feed(clock_ms(), failed=False)
        return True

    def is_replaced(self) -> bool:
        """Tell whether what is held is no longer what stands in the directory: what is written to it is gone."""
        return self._identity != identity(self.path)

    def close(self) -> None:
        self._database.close()

    def _write(self, text: str) -> None:
        """Write *text*, if it must be to a new file; raise sqlite3.Error or DiskError."""
        row = (text,)
        try:
            self._database.execute(WRITE, row)
        except DAMAGE as error:
            if is_of_the_disk(error, self.path):
                raise
            self._start_over(error)
            self._database.execute(WRITE, row)

    def _open(self) -> sqlite3.Connection:
        if self.path.exists() and not self.path.is_file():
            self._set_aside("it is no file")
        try:
            database = connect(self.path)
        except DAMAGE as error:
            if is_of_the_disk(error, self.path):
                raise DiskError(f"cannot open the record {self.path}: {error}") from None
            self._set_aside(error)
            return self._open()
        self._identity = identity(self.path)
        return database

    def _start_over(self, why: Exception) -> None:
        self._database.close()
        self._set_aside(why)
        self._database = self._open()

    def _set_aside(self, why: object) -> None:
        spoiled = self.path.with_name(f"{self.path.name}.spoiled-{time.strftime('%Y%m%d-%H%M%S')}")
        try:
            for suffix in ("-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            self.path.rename(spoiled)
        except OSError as error:
            raise DiskError(f"the record {self.path} is damaged and cannot be moved: {error.strerror}") from None
        report = self._damage.feed(clock_ms(), failed=True)
        if report is not None:
            moved = f"it is now {spoiled.name} and this node goes on without it"
            log.error("the record was damaged (%s); %s%s", why, moved, report.note)


def clock_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def identity(path: Path) -> tuple[int, int] | None:
    """Name the file at *path*, whatever its name; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def is_of_the_disk(error: Exception, path: Path) -> bool:
    """Tell whether the disk is to blame, which may get better, and not what is in the file at *path*."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if code == sqlite3.SQLITE_IOERR_SHORT_READ or (code == sqlite3.SQLITE_READONLY and is_only_for_reading(path)):
        return False
    return code & 0xFF in OF_THE_DISK


def is_only_for_reading(path: Path) -> bool:
    """Tell whether SQLite does not write to the file at *path* for its format's "write version".

    See https://www.sqlite.org/fileformat2.html, 1.3.3: that is in byte 18, and files of more than 2 are not written.
    """
    try:
        with path.open("rb") as file:
            return file.read(19)[18:] > b"\x02"
    except OSError:
        return False


def connect(path: Path) -> sqlite3.Connection:
    """Open the database at *path*, exclusively and with full synchronisation, and make its table."""
    database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        database.close()
        raise StoreError(f"the record {path} was written by a newer version of this program (format {version})")
    if version < VERSION:
        database.execute("BEGIN EXCLUSIVE")
        if not database.execute("SELECT 1 FROM sqlite_schema").fetchone():
            database.execute(TABLE)
        database.execute(f"PRAGMA user_version = {VERSION}")
        database.execute("COMMIT")
    if database.execute("SELECT sql FROM sqlite_schema").fetchall() != [(TABLE,)]:
        database.close()
        raise sqlite3.DatabaseError("its table is another")
    return database
