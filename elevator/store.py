"""The record on disk: what a node must not forget in a power cut. One row in a SQLite database.

1. Every save is a transaction with full synchronisation: when it returns, the record is on the disk.
2. The database is held exclusively, which also keeps a second node with this id on this machine from starting.
3. A file that is damaged is set aside under another name and the node starts without: the others still have its calls.
   A file of a newer version is not touched: StoreError.
4. A disk that refuses is said loudly, and tried again once a second. The node serves on meanwhile.
"""

import logging
import sqlite3
import time
from pathlib import Path

from elevator.model import Record
from elevator.wire import BAD_INPUT, read_record, write_record

VERSION = 1
RETRY_S = 0.9
"""How long a disk that refused is left alone; a node tries again once a second."""

log = logging.getLogger(__name__)


class StoreError(Exception):
    """The record cannot be used; the message is for the user."""


class Memory:
    """A disk for those who do without (`--no-record`): promises then end with the process."""

    def load(self) -> Record | None:
        return None

    def save(self, record: Record) -> bool:
        return True

    def close(self) -> None:
        pass


class Store:
    """The record of one node in a *directory*, which is made if needed."""

    def __init__(self, directory: Path, floors: int) -> None:
        self.path = directory / "record.sqlite"
        self._floors = floors
        self._retry_at = 0.0
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make the record's directory {directory}: {error.strerror}") from None
        self._database = self._open()

    def load(self) -> Record | None:
        """Return the last record; None if there is none that can be read."""
        try:
            row = self._database.execute("SELECT text FROM record").fetchone()
            return None if row is None else read_record(row[0], self._floors)
        except (sqlite3.DatabaseError, *BAD_INPUT) as error:
            self._database = self._set_aside(error)
            return None

    def save(self, record: Record) -> bool:
        if time.monotonic() < self._retry_at:
            return False
        try:
            self._database.execute("REPLACE INTO record VALUES (0, ?)", (write_record(record),))
        except sqlite3.Error as error:
            log.error("the record cannot be written (%s); trying again every second", error)
            self._retry_at = time.monotonic() + RETRY_S
            return False
        if self._retry_at:
            log.warning("the record is written again")
            self._retry_at = 0.0
        return True

    def close(self) -> None:
        self._database.close()

    def _open(self) -> sqlite3.Connection:
        try:
            return connect(self.path)
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise StoreError(f"{self.path} is in use: another node with this id runs on this machine") from None
            raise StoreError(f"cannot open the record {self.path}: {error}") from None
        except sqlite3.DatabaseError as error:
            return self._set_aside(error)

    def _set_aside(self, why: Exception) -> sqlite3.Connection:
        database = getattr(self, "_database", None)
        if database is not None:
            database.close()
        spoiled = self.path.with_name(f"{self.path.name}.spoiled-{time.strftime('%Y%m%d-%H%M%S')}")
        try:
            for suffix in ("-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            self.path.rename(spoiled)
        except OSError as error:
            raise StoreError(f"the record {self.path} is damaged and cannot be moved: {error.strerror}") from None
        log.error("the record was damaged (%s); it is now %s and this node starts without it", why, spoiled.name)
        return connect(self.path)


def connect(path: Path) -> sqlite3.Connection:
    """Open the database at *path*, exclusively and with full synchronisation, and make its table."""
    database = sqlite3.connect(path, timeout=0.2, isolation_level=None)
    database.execute("PRAGMA locking_mode = EXCLUSIVE")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        database.close()
        raise StoreError(f"the record {path} was written by a newer version of this program (format {version})")
    database.execute("BEGIN EXCLUSIVE")
    database.execute("CREATE TABLE IF NOT EXISTS record (one INTEGER PRIMARY KEY CHECK (one = 0), text TEXT)")
    database.execute(f"PRAGMA user_version = {VERSION}")
    database.execute("COMMIT")
    return database
