"""The worker's connection to its supervisor. The worker sends beats, and replaces a supervisor that dies or hangs."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Collection, Sequence
from contextlib import ExitStack, suppress

from elevator.core.log_damping import Condition
from elevator.core.model import NEVER_MS
from elevator.processes.child import TERMINATION_SIGNALS

BEAT_MS, EARLY_MS = 110, 20
"""The time between two beats. If the worker is awake for another reason, it sends a beat up to EARLY_MS early. A node
wakes for a heartbeat every 50 ms, so its beats hardly ever need a wake-up of their own."""
SUPERVISOR_TIMEOUT_MS = 3000
"""A supervisor that answers no beat for this long is stopped or hangs. The worker kills and replaces it."""
START_RETRY_MS = 1000
BEAT, ENDS, REFUSES, HOLD, DROP = b".", b"q", b"!", b"h", b"d"
"""The worker's messages. BEAT: it is alive. ENDS: it ends on request. REFUSES: it cannot start and has printed why.
HOLD: hold the descriptor sent with this message, instead of the previous one. DROP: hold none. The supervisor answers
with BEAT."""

PROGRAM_PATH = os.path.realpath("/proc/self/exe").removesuffix(" (deleted)")
"""The path of the program, read at import, because another start may replace the unpacked file later (bootstrap.c)."""

log = logging.getLogger("elevator")


class Link:
    """The worker's connection to its supervisor. Without a pair (`--no-pair`), its methods do nothing.

    *link* is the socket and *supervisor* the supervisor's pidfd. A new supervisor inherits the descriptors *inherited*
    and is started with the program's own arguments and *extra_arguments*.
    """

    def __init__(
        self,
        link: socket.socket | None = None,
        supervisor: int = -1,
        inherited: Collection[int] = (),
        extra_arguments: Sequence[str] = (),
    ) -> None:
        self.socket = link
        self._is_paired = link is not None
        self._supervisor = supervisor
        self._inherited = inherited
        self._extra_arguments = extra_arguments
        self._beat_at_ms = self._start_at_ms = 0
        self._answered_at_ms: int | None = None
        self._held: int | None = None
        self._loss, self._start_failure = Condition(), Condition()
        if link is not None:
            link.setblocking(False)

    def sockets(self) -> list[socket.socket]:
        """Return the sockets to watch for reading."""
        return [] if self.socket is None else [self.socket]

    def wake_at_ms(self) -> int:
        """Return when to call `poll` if nothing is received."""
        return self._beat_at_ms if self._is_paired else NEVER_MS

    def poll(self, now_ms: int, readable: bool = True) -> None:
        """Send a beat if one is due, and receive if the socket is *readable*. If neither is the case, do nothing.

        Replace a supervisor that is gone. Kill and replace one that has not answered for SUPERVISOR_TIMEOUT_MS.
        """
        if not self._is_paired or (now_ms < self._beat_at_ms - EARLY_MS and not readable):
            return
        if self._answered_at_ms is None or now_ms > self._beat_at_ms + 9 * BEAT_MS:
            self._answered_at_ms = now_ms  # Just started, or stalled: no answer was due.
        if now_ms >= self._beat_at_ms - EARLY_MS:
            self._beat_at_ms = now_ms + BEAT_MS
            self.send(BEAT)
        if self.socket is not None and (readable or now_ms >= self._answered_at_ms + SUPERVISOR_TIMEOUT_MS):
            self._receive(self.socket, now_ms)
        lost = self._loss.feed(now_ms, self.socket is None)
        if lost is not None and (lost.begins or lost.times > 1):
            level = logging.WARNING if lost.begins else logging.INFO
            log.log(level, "%s", lost.line("the supervisor is gone; starting another", "a supervisor is running again"))
        if self.socket is None and now_ms >= self._start_at_ms:
            self._start_supervisor(now_ms)

    def send(self, message: bytes) -> None:
        """Send *message* unless the supervisor is gone."""
        if self.socket is not None:
            with suppress(OSError):
                self.socket.send(message)

    def hold(self, descriptor: int | None) -> None:
        """Have the supervisor and its successors hold a copy of *descriptor*, or none if *descriptor* is None.

        Call `hold(None)` before you close a descriptor that they hold.
        """
        self._held = descriptor
        if self.socket is not None:
            with suppress(OSError):
                if descriptor is None:
                    self.socket.send(DROP)
                else:
                    socket.send_fds(self.socket, [HOLD], [descriptor])

    def _receive(self, link: socket.socket, now_ms: int) -> None:
        assert self._answered_at_ms is not None
        try:
            if link.recv(4096):
                self._answered_at_ms = now_ms
                return
        except BlockingIOError:
            if now_ms < self._answered_at_ms + SUPERVISOR_TIMEOUT_MS:
                return
        except OSError:
            pass
        with suppress(OSError):  # A stopped supervisor might resume and run beside its successor.
            signal.pidfd_send_signal(self._supervisor, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitid(os.P_PIDFD, self._supervisor, os.WEXITED)
        os.close(self._supervisor)
        link.close()
        self.socket = None

    def _start_supervisor(self, now_ms: int) -> None:
        """Start a new supervisor: the same program and arguments, with `--adopt` and the worker's descriptors.

        On failure, log it. `poll` starts another at the earliest after START_RETRY_MS, even if this one dies earlier.
        """
        self._start_at_ms = now_ms + START_RETRY_MS
        with ExitStack() as opened:
            try:
                ours, theirs = map(opened.enter_context, socket.socketpair())
                own_pidfd = os.pidfd_open(os.getpid())
                opened.callback(os.close, own_pidfd)
                passed = (own_pidfd, theirs.fileno(), *self._inherited)
                for descriptor in passed:
                    os.set_inheritable(descriptor, True)
                command = [*own_command(), "--adopt", ",".join(map(str, passed)), *self._extra_arguments]
                pid = os.posix_spawn(command[0], command, os.environ, setsigmask=TERMINATION_SIGNALS)
                self._supervisor = os.pidfd_open(pid)
            except OSError as error:
                if failure := self._start_failure.feed(now_ms, failed=True):
                    log.error("cannot start a supervisor (%s); retrying every second%s", error.strerror, failure.note)
                return
            self._start_failure.feed(now_ms, failed=False)
            self.socket, self._answered_at_ms = socket.socket(fileno=ours.detach()), now_ms
        self.socket.setblocking(False)
        if self._held is not None:
            self.hold(self._held)


def own_command() -> list[str]:
    """Return the command that starts this program again with its arguments, except `--adopt` and what follows."""
    if "__compiled__" in globals():
        command = [PROGRAM_PATH, *sys.argv[1:]]
    else:
        command = [sys.executable, *sys.orig_argv[1:]]
    return command[: command.index("--adopt")] if "--adopt" in command else command
