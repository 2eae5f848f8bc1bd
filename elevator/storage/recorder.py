"""The recorder: a process that waits for the disk, so that the worker never does. And the worker's end of it.

1. The recorder is a fork of the worker and alone opens the record (store.py). First it sends the record found there.
2. Then the worker sends records, and the recorder writes the newest: recorder_client.py has the protocol.
3. The recorder retries twice a second if the disk refuses a record.
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
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from elevator.core.log_damping import Condition
from elevator.core.model import Record
from elevator.processes.child import TERMINATION_SIGNALS, fork
from elevator.storage.recorder_client import FAILED, FOUND, PATIENCE_MS, REFUSED, WRITTEN, RecorderClient, Told
from elevator.storage.records import complete, read_record, write_record
from elevator.storage.store import DiskError, Memory, Store, StoreError

RETRY_S, RETRY_MS = 0.5, 500
LOOK_S = 2.0
"""How often to look whether the record is still there."""
LOAD_S = 5.0
"""How long a starting node waits for its record. Then it goes on without, and merges it when it comes."""
POLL_S = 0.003
END_S = 1.0
MESSAGE_MAX = 1 << 20

log = logging.getLogger("elevator")


class Recorder:
    """The worker's end. *directory* None: the record is kept in memory. *clock* counts milliseconds."""

    def __init__(self, directory: Path | None, floors: int, clock: Callable[[], int]) -> None:
        self._directory = directory
        self._floors = floors
        self._clock = clock
        self._client = RecorderClient(floors)
        self._lateness, self._loss = Condition(), Condition(calm_ms=2 * RETRY_MS)
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
        """Begin to make *record* durable, if it is not the newest already."""
        self._client.save(record)
        self._send(self._clock())

    def sockets(self) -> list[socket.socket]:
        """Return the sockets to be watched for reading."""
        return [] if self._is_gone else [self._socket]

    def wake_at_ms(self) -> int:
        """Return when `poll` must be called if the recorder says nothing."""
        return self._replace_at_ms if self._is_gone else self._client.wake_at_ms()

    def poll(self, readable: bool = True) -> Told:
        """Receive if the socket is *readable*; replace the recorder if it is gone, wake it if it is late."""
        now_ms = self._clock()
        while readable and not self._is_gone and (message := receive(self._socket)) is not None:
            if message:
                self._take(message, now_ms)
            else:
                self._lose(now_ms)
        if self._is_gone and now_ms >= self._replace_at_ms:
            self._replace_at_ms = now_ms + RETRY_MS
            self._start()
        self._send(now_ms)
        if self._client.becomes_late(now_ms):
            self._wake()
        self._report(now_ms)
        return self._client.take_news()

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

    def _send(self, now_ms: int) -> None:
        message = None if self._is_gone else self._client.message()
        if message is None:
            return
        try:
            self._socket.send(message)
        except OSError:
            return  # It is gone, which its socket will say.
        self._client.note_sent(now_ms)

    def _take(self, message: bytes, now_ms: int) -> None:
        refusal = self._client.refusal
        self._client.receive(message, now_ms)
        if self._client.refusal != refusal:
            log.error("%s", self._client.refusal)

    def _lose(self, now_ms: int) -> None:
        """Start the next recorder when this one is gone: at once, but with a pause if it did not live long."""
        self._replace_at_ms = max(self._replace_at_ms, now_ms)
        self._is_gone = True
        self._report(now_ms)
        self._socket.close()
        self._client.lose()
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    def _report(self, now_ms: int) -> None:
        late = self._lateness.feed(now_ms, self._client.is_late)
        if late is not None:
            begins = (
                f"the disk has not answered for {PATIENCE_MS} ms: a lamp lights only once a peer has stored the call"
            )
            log.error("%s", late.line(begins, "the disk answers again"))
        lost = self._loss.feed(now_ms, self._is_gone)
        if lost is not None and (lost.begins or lost.times > 1):
            begins = "the process that writes the record is gone; starting another"
            log.error("%s", lost.line(begins, "the process that writes the record runs again"))


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
        for number in TERMINATION_SIGNALS:
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
        if store is not None and heard and store.is_replaced():
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
