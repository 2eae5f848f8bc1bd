"""The disk, in a process of its own: whoever waits for it, it is not the car.

1. The recorder is a fork of the worker and alone opens the record (store.py). First it sends what it has found there.
2. The worker sends records. The recorder writes the newest it has, and answers which that was when it is durable.
3. A disk that refuses is asked again twice a second. While it refuses, or has not answered for PATIENCE_MS, the node is
   told that it fails: promises then rest on the peers. The first answer ends that.
4. A recorder ends when its worker does, but first writes the newest record it has. The worker replaces a recorder that
   is gone. It sends SIGCONT to one that does not answer, in case it was stopped, but never kills it: the disk may hang.
5. A record that is taken away while it is held, with its directory or its disk, is made anew.
"""

import logging
import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, NoReturn

from elevator.core.log_damping import Condition
from elevator.core.model import NEVER_MS, Calls, Record
from elevator.processes.child import ENDINGS, fork
from elevator.storage.records import complete, read_record, write_record
from elevator.storage.store import DiskError, Memory, Store, StoreError

PATIENCE_MS = 1000
RETRY_S, RETRY_MS = 0.5, 500
LOOK_S = 2.0
"""How often to look whether the record is still there."""
WINDOW = 8
"""Records that may be under way at once."""
LOAD_S = 5.0
"""How long a starting node waits for its record. Then it goes on without, and merges it when it comes."""
POLL_S = 0.003
END_S = 1.0
MESSAGE_MAX = 1 << 20
FOUND, REFUSED, WRITTEN, FAILED = b"=", b"!", b"+", b"-"
"""First bytes of the recorder's messages: the record, if any; why it must not be used, for the user; how many records
have come, the newest of which is now durable; or is not, because the disk refuses."""

log = logging.getLogger("elevator")


class Told(NamedTuple):
    """What the disk says in one turn; see model.Tick."""

    recorded: Calls | None = None
    failed: bool = False
    found: Record | None = None


NOTHING = Told()


class Recorder:
    """The worker's end. *directory* None: there is no disk, and nothing to wait for. *clock* counts milliseconds."""

    def __init__(self, directory: Path | None, floors: int, clock: Callable[[], int]) -> None:
        self._directory = directory
        self._floors = floors
        self._clock = clock
        self._asked: Record | None = None
        self._unsent: Record | None = None
        self._sent = 0
        self._pending: deque[tuple[int, int, Calls]] = deque()
        """What was sent and may yet be written: its number, when it was sent or the recorder last spoke, the calls."""
        self._written: Calls | None = None
        """What this recorder has last written."""
        self._is_late = False
        self._lateness, self._loss = Condition(), Condition(calm_ms=2 * RETRY_MS)
        self._refusal = b""
        self._replace_at_ms = 0
        self._start()

    def load(self, meanwhile: Callable[[], None]) -> Record | None:
        """Wait for the record, calling *meanwhile* every POLL_S; raise StoreError if it must not be used."""
        until = time.monotonic() + LOAD_S
        while time.monotonic() < until:
            meanwhile()
            select.select([self._socket], [], [], POLL_S)
            message = receive(self._socket)
            if message is None:
                continue
            if message[:1] == REFUSED:
                raise StoreError(message[1:].decode())
            if message[:1] == FOUND:
                return read_record(message[1:].decode(), self._floors) if len(message) > 1 else None
            break
        log.error("starting without the record")
        return None

    def save(self, record: Record) -> None:
        """Begin to make *record* durable, if it is not the one asked for last."""
        if record != self._asked:
            self._asked = self._unsent = record
            self._send()

    def sockets(self) -> list[socket.socket]:
        """Return the sockets to be watched for reading."""
        return [] if self._is_gone else [self._socket]

    def wake_at_ms(self) -> int:
        """Return when `attend` must be called if the recorder says nothing."""
        if self._is_gone:
            return self._replace_at_ms
        if self._pending and not self._is_late:
            return self._pending[0][1] + PATIENCE_MS
        return NEVER_MS

    def attend(self) -> Told:
        """Take what the recorder says; notice that it says nothing, or is gone."""
        told = NOTHING
        while not self._is_gone and (message := receive(self._socket)) is not None:
            told = self._take(message, told) if message else self._lose(told)
        if self._is_gone and self._clock() >= self._replace_at_ms:
            self._replace()
        self._send()
        if self._clock() >= self.wake_at_ms():
            self._is_late = True
            self._wake()
            told = told._replace(failed=True)
        self._report()
        return told

    def close(self) -> None:
        """Let the recorder write what it has, and end."""
        self._socket.close()
        self._wake()
        until = time.monotonic() + END_S
        with suppress(ChildProcessError):
            while time.monotonic() < until and os.waitpid(self._pid, os.WNOHANG)[0] == 0:
                time.sleep(0.002)

    def _start(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MESSAGE_MAX)
        self._pid = fork("elevator:disk", {theirs.fileno()})
        if self._pid == 0:
            write(theirs, self._directory, self._floors)
        theirs.close()
        self._is_gone = False

    def _wake(self) -> None:
        """Have the recorder go on if it was stopped."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGCONT)

    def _send(self) -> None:
        """Send what has not been sent yet; no more than the recorder may have unread."""
        if self._unsent is None or self._is_gone or len(self._pending) >= WINDOW:
            return
        try:
            self._socket.send(write_record(self._unsent).encode())
        except OSError:
            return  # It is gone, which its socket will say.
        self._sent += 1
        self._pending.append((self._sent, self._clock(), self._unsent.calls))
        self._unsent = None

    def _take(self, message: bytes, told: Told) -> Told:
        kind, text = message[:1], message[1:].decode()
        self._pending = deque((number, self._clock(), calls) for number, _, calls in self._pending)
        if kind == FOUND:
            return told._replace(found=read_record(text, self._floors)) if text else told
        if kind == REFUSED:
            if message != self._refusal:
                log.error("%s", text)
            self._refusal = message
            return told._replace(failed=True)
        self._is_late = False
        number = int(text)
        while self._pending and self._pending[0][0] < number:
            self._pending.popleft()
        if kind == FAILED:
            return told._replace(failed=True)
        if self._pending:
            _, _, self._written = self._pending.popleft()
        return told if self._written is None else told._replace(recorded=self._written, failed=False)

    def _lose(self, told: Told) -> Told:
        """Start the next recorder when this one is gone: at once, but with a pause if it did not live long."""
        self._replace_at_ms = max(self._replace_at_ms, self._clock())
        self._is_gone = True
        self._report()
        self._socket.close()
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        return told._replace(failed=True)

    def _report(self) -> None:
        now_ms = self._clock()
        late = self._lateness.feed(now_ms, self._is_late)
        if late is not None:
            begins = (
                f"the disk has not answered for {PATIENCE_MS} ms: a lamp lights only once a peer has stored the call"
            )
            log.error("%s", late.line(begins, "the disk answers again"))
        lost = self._loss.feed(now_ms, self._is_gone)
        if lost is not None and (lost.begins or lost.times > 1):
            begins = "the process that writes the record is gone; starting another"
            log.error("%s", lost.line(begins, "the process that writes the record runs again"))

    def _replace(self) -> None:
        self._replace_at_ms = self._clock() + RETRY_MS
        self._start()
        self._pending.clear()
        self._written = None
        self._sent = 0
        self._unsent = self._asked


def receive(link: socket.socket) -> bytes | None:
    """Return the next message from the other end, empty if there will be none any more; None if there is none now."""
    while True:
        try:
            return link.recv(MESSAGE_MAX)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            continue  # It went without having read all. That is said once, and in front of what it sent before.
        except OSError:
            return b""


def write(link: socket.socket, directory: Path | None, floors: int) -> NoReturn:
    """Be the recorder."""
    try:
        for number in ENDINGS:
            signal.signal(number, signal.SIG_IGN)  # It ends with its worker.
        serve(link, directory, floors)
    except Exception:
        log.critical("a mistake in this program:", exc_info=True)
    finally:
        os._exit(0)


def serve(link: socket.socket, directory: Path | None, floors: int) -> None:
    """Write what comes over *link* until it ends."""
    store: Memory | Store | None = None
    late: Record | None = None
    """What was found only after the node had begun without it. That may stand still, and not have taken it in yet."""
    newest, heard, written = "", 0, 0
    was_refused, failure, trouble = False, Condition(), ""
    is_open = True

    def tell(message: bytes) -> None:
        with suppress(OSError):  # The worker is gone. What it has sent counts all the same.
            link.send(message)

    def report(failed: bool) -> None:
        told = failure.feed(time.monotonic_ns() // 1_000_000, failed)
        if told is not None:
            begins = f"{trouble}; trying again. Until then a lamp lights only once a peer has stored the call"
            log.error("%s", told.line(begins, "the record is written again"))

    while is_open:
        if store is None:
            try:
                store = Memory() if directory is None else Store(directory, floors)
                record = store.load()
            except StoreError as error:
                tell(REFUSED + str(error).encode())
                return
            except DiskError as error:
                if store is not None:
                    store.close()  # It holds the record, and would keep it from the next.
                    store = None
                was_refused, trouble = True, str(error)
                report(failed=True)
                tell(FAILED + b"%d" % heard)
            else:
                tell(FOUND + (b"" if record is None else write_record(record).encode()))
                if was_refused:
                    late = record
                    select.select([link], [], [], RETRY_S)  # The node may have more to say, after what was found.
        patience_s = LOOK_S if store is not None and written == heard else RETRY_S
        if select.select([link], [], [], patience_s)[0]:
            newest, heard, is_open = take_all(link, newest, heard)
        if store is not None and heard and store.is_lost():
            store.close()
            store, written, trouble = None, 0, "the record was taken away or replaced"
        elif store is not None and written != heard:
            text = newest if late is None else write_record(complete(read_record(newest, floors), late))
            done = store.save(text)
            written, trouble = (heard, trouble) if done else (written, store.trouble)
            tell((WRITTEN if done else FAILED) + b"%d" % heard)
        report(failed=store is None or written != heard)


def take_all(link: socket.socket, newest: str, heard: int) -> tuple[str, int, bool]:
    """Return the newest record that has come, how many have in all, and whether more may come."""
    while select.select([link], [], [], 0)[0]:
        message = receive(link)
        if not message:
            return newest, heard, False
        newest, heard = message.decode(), heard + 1
    return newest, heard, True
