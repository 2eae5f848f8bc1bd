"""The recorder process, which waits for the disk in the worker's place, and the worker's connection to it.

A worker itself waits only at its start, for its record, and at its end, for the last write.

1. The recorder is a fork of the worker. Only it opens the record (store.py). First it sends the stored record, if
   any, to the worker.
2. Then the worker sends records and the recorder writes the newest. recorder_client.py describes the protocol.
3. If a read or write fails, the recorder retries RETRY_S later, or as soon as it receives another record.
4. When its worker is gone, a recorder tries once to write the newest record it has received, and ends. The worker
   replaces a recorder that is gone. If a recorder does not answer, the worker sends it SIGCONT, in case it is stopped.
   The worker never kills a recorder, because a process that waits for a hanging disk would not die.
5. If the file is deleted or replaced while it is open, the recorder starts over. It opens the file that it finds, or a
   new one, and sends the record in it, if any, to the worker. Then it writes its newest record again.
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
from elevator.core.messages import Record
from elevator.processes.child import TERMINATION_SIGNALS, fork
from elevator.storage.recorder_client import (
    ACK_TIMEOUT_MS,
    FAILED,
    FOUND,
    NOTHING,
    REFUSED,
    WRITTEN,
    DiskNews,
    RecorderClient,
)
from elevator.storage.records import complete, read_record, write_record
from elevator.storage.store import DiskError, NoStore, Store, StoreError

RETRY_S, RETRY_MS = 0.5, 500
CHECK_S = 2.0
"""How often an idle recorder checks whether the file was deleted or replaced. It also checks before each write."""
LOAD_S = 5.0
"""The longest time that a starting node waits for its record. After that, the node starts without the record, and
merges it once it can be read."""
POLL_S = 0.003
END_S = 1.0
MESSAGE_MAX = 1 << 20

log = logging.getLogger("elevator")


class Recorder:
    """The worker's connection to the recorder.

    Without a *directory*, nothing is stored, but each record is reported as durable. *clock* returns the time in
    milliseconds.
    """

    def __init__(self, directory: Path | None, floors: int, clock: Callable[[], int]) -> None:
        self._directory = directory
        self._floors = floors
        self._clock = clock
        self._client = RecorderClient(floors)
        self._lateness, self._loss = Condition(), Condition(calm_ms=2 * RETRY_MS)
        self._replace_at_ms = 0
        self._start()

    def load(self, meanwhile: Callable[[], None]) -> Record | None:
        """Wait up to LOAD_S for the record. Return None if there is none or it cannot be read yet.

        Raise StoreError if the record cannot be used. Call *meanwhile* about every POLL_S, so that the worker keeps
        sending beats and reading the panel.
        """
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
        log.warning("the record cannot be read yet; starting without it and merging it later")
        return None

    def save(self, record: Record) -> None:
        """Start making *record* durable, unless it equals the record of the previous `save`."""
        self._client.save(record)
        self._send(self._clock())

    def sockets(self) -> list[socket.socket]:
        """Return the sockets to watch for reading."""
        return [] if self._is_gone else [self._socket]

    def wake_at_ms(self) -> int:
        """Return when to call `poll` if nothing is received."""
        return self._replace_at_ms if self._is_gone else self._client.wake_at_ms()

    def poll(self, readable: bool = True) -> DiskNews:
        """Receive if the socket is *readable*. Send the newest record if it is unsent.

        Replace a lost recorder. Resume a recorder that is late, in case it is stopped. Return what the worker has
        learned about the disk since the last poll; NOTHING itself if it has learned nothing.
        """
        now_ms = self._clock()
        has_fault = self._lateness.is_failing or self._loss.is_failing  # Its end may have to be logged now.
        if not (readable or has_fault or self._client.message() or now_ms >= self.wake_at_ms()):
            return NOTHING
        while readable and not self._is_gone and (message := receive(self._socket)) is not None:
            if message:
                self._receive(message, now_ms)
            else:
                self._handle_loss(now_ms)
        if self._is_gone and now_ms >= self._replace_at_ms:
            self._replace_at_ms = now_ms + RETRY_MS
            self._start()
        self._send(now_ms)
        if self._client.detect_lateness(now_ms):
            self._resume()
        self._report(now_ms)
        return self._client.take_news()

    def close(self) -> None:
        """Let the recorder write the newest record it has received and end. Wait for that, but at most END_S."""
        self._socket.close()
        self._resume()
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
            run_recorder(theirs, self._directory, self._floors)
        theirs.close()
        self._is_gone = False

    def _resume(self) -> None:
        """Send SIGCONT to the recorder, in case it is stopped."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGCONT)

    def _send(self, now_ms: int) -> None:
        message = None if self._is_gone else self._client.message()
        if message is None:
            return
        try:
            self._socket.send(message)
        except OSError:
            return  # The buffer is full, so a later poll sends it, or the recorder is gone, which `receive` detects.
        self._client.note_sent(now_ms)

    def _receive(self, message: bytes, now_ms: int) -> None:
        refusal = self._client.refusal
        self._client.receive(message, now_ms)
        if self._client.refusal != refusal:
            log.error("%s", self._client.refusal)

    def _handle_loss(self, now_ms: int) -> None:
        """Clean up after a lost recorder. `poll` starts the next one, at most one every RETRY_MS."""
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
            consequence = "a lamp lights only once a peer has stored the call"
            begins = f"the disk has not answered for {ACK_TIMEOUT_MS} ms; until it does, {consequence}"
            log.log(logging.ERROR if late.begins else logging.INFO, "%s", late.line(begins, "the disk answers again"))
        lost = self._loss.feed(now_ms, self._is_gone)
        if lost is not None and (lost.begins or lost.times > 1):
            level = logging.WARNING if lost.begins else logging.INFO
            log.log(level, "%s", lost.line("the recorder is gone; starting another", "a recorder is running again"))


def receive(link: socket.socket) -> bytes | None:
    """Return the next message: None if there is none yet, empty at end of file and after an error."""
    while True:
        try:
            return link.recv(MESSAGE_MAX)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            continue  # The other end closed with messages unread. Linux reports that once, then delivers the rest.
        except OSError:
            return b""


def run_recorder(link: socket.socket, directory: Path | None, floors: int) -> NoReturn:
    """Serve the worker in the recorder process, and exit."""
    try:
        for number in TERMINATION_SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # The recorder ends when its worker does.
        serve(link, directory, floors)
    except Exception:
        log.exception("internal error")
    finally:
        os._exit(0)


def serve(link: socket.socket, directory: Path | None, floors: int) -> None:
    """Send the record in *directory* over *link*. Then write and acknowledge the newest of the records received.

    Return when the link is closed. If *directory* is None, acknowledge records without writing them. If the stored
    record cannot be used, send the reason and return.
    """
    store: NoStore | Store | None = None
    late: Record | None = None
    """A record that was read only after an earlier attempt had failed, so the node may have started without it. None if
    there is no such record, or if the node has merged it."""
    newest, received, written = "", 0, 0
    had_failed, failure, problem = False, Condition(), ""
    is_open = True

    def send(message: bytes) -> None:
        with suppress(OSError):  # If the worker is gone, its last record is still written.
            link.send(message)

    def report(failed: bool) -> None:
        change = failure.feed(time.monotonic_ns() // 1_000_000, failed)
        if change is not None:
            begins = f"{problem}; retrying. Until that succeeds, a lamp lights only once a peer has stored the call"
            log.log(logging.ERROR if change.begins else logging.INFO, "%s", change.line(begins, "the disk works again"))

    while is_open:
        if store is None:
            try:
                store = NoStore() if directory is None else Store(directory, floors)
                record = store.load()
            except StoreError as error:
                send(REFUSED + str(error).encode())
                return
            except DiskError as error:
                if store is not None:
                    store.close()  # An open store keeps the database locked.
                    store = None
                had_failed, problem = True, str(error)
                report(failed=True)
                send(FAILED + b"%d" % received)
            else:
                send(FOUND + (b"" if record is None else write_record(record).encode()))
                if had_failed:
                    late = record
                    select.select([link], [], [], RETRY_S)  # Let the node merge this record and send the result.
        timeout_s = CHECK_S if store is not None and written == received else RETRY_S
        if select.select([link], [], [], timeout_s)[0]:
            newest, received, is_open = receive_all(link, newest, received)
        if store is not None and received and store.is_replaced():
            store.close()
            store, written, problem = None, 0, "the record was deleted or replaced"
        elif store is not None and written != received:
            text = newest
            if late is not None:
                record = read_record(newest, floors)
                completed = complete(record, late)
                text, late = write_record(completed), None if completed is record else late
            done = store.save(text)
            written, problem = (received, problem) if done else (written, store.problem)
            send((WRITTEN if done else FAILED) + b"%d" % received)
        report(failed=store is None or written != received)


def receive_all(link: socket.socket, newest: str, received: int) -> tuple[str, int, bool]:
    """Receive all waiting records. Return the newest, the number received so far, and whether the link is open.

    *newest* and *received* are the previous results; the newest record stays the same if none is waiting.
    """
    while select.select([link], [], [], 0)[0]:
        message = receive(link)
        if not message:
            return newest, received, False
        newest, received = message.decode(), received + 1
    return newest, received, True
