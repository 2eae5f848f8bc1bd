"""The worker's end of the process pair: it sends beats to its supervisor, and replaces a supervisor that is gone."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Collection, Sequence
from contextlib import ExitStack, suppress

from elevator.core.log_damping import Condition
from elevator.processes.child import ENDINGS

BEAT_MS = 50
SUPERVISOR_SILENCE_MS = 3000
"""A supervisor that has not answered a beat for this long is stopped or hangs."""
RENEW_MS = 1000
"""Between two attempts to start a supervisor."""
BEAT, ENDS, REFUSES, HOLD, DROP = b".", b"q", b"!", b"h", b"d"
"""The worker's messages: it is alive; it ends on request; it cannot start and has told the user why; hold the
descriptor sent with this message instead of the previous one; hold none."""

ITSELF = os.path.realpath("/proc/self/exe").removesuffix(" (deleted)")
"""The path of the program, read at the start, because a later start may repair the unpacked binary: see bootstrap.c."""

log = logging.getLogger("elevator")


class Link:
    """The worker's end: sends beats and replaces a lost supervisor. Without a pair (`--no-pair`) it does nothing.

    *supervisor* is its pidfd. *inherited* are the descriptors that a new supervisor needs, *extra_arguments* what
    it is given besides those that the program was started with.
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
        self._beat_at_ms = self._beaten_at_ms = self._renew_at_ms = 0
        self._answered_at_ms: int | None = None
        self._held: int | None = None
        self._loss, self._refusal = Condition(), Condition()
        if link is not None:
            link.setblocking(False)

    def sockets(self) -> list[socket.socket]:
        """Return the sockets to be watched for reading."""
        return [] if self.socket is None else [self.socket]

    def wake_at_ms(self) -> int:
        """Return when `poll` must be called at the latest."""
        return self._beat_at_ms if self._is_paired else 1 << 62

    def poll(self, now_ms: int, readable: bool = True) -> None:
        """Beat if it is time; replace the supervisor if it is gone or silent. Receive if the socket is *readable*."""
        if not self._is_paired:
            return
        if self._answered_at_ms is None or now_ms > self._beaten_at_ms + 10 * BEAT_MS:
            self._answered_at_ms = now_ms  # just started, or stood still: its answers may have been lost on us
        if now_ms >= self._beat_at_ms:
            self._beat_at_ms = now_ms + BEAT_MS
            self._beaten_at_ms = now_ms
            self.send(BEAT)
        if self.socket is not None and (readable or now_ms >= self._answered_at_ms + SUPERVISOR_SILENCE_MS):
            self._listen(self.socket, now_ms)
        lost = self._loss.feed(now_ms, self.socket is None)
        if lost is not None and (lost.begins or lost.times > 1):
            log.warning("%s", lost.line("the supervisor is gone; starting another", "the supervisor runs again"))
        if self.socket is None and now_ms >= self._renew_at_ms:
            self._renew(now_ms)

    def send(self, word: bytes) -> None:
        """Tell the supervisor, if it is there."""
        if self.socket is not None:
            with suppress(OSError):
                self.socket.send(word)

    def hold(self, descriptor: int | None) -> None:
        """Have the supervisor, and any that comes after it, hold a copy of *descriptor*; None: no more.

        It must not be closed before that is taken back.
        """
        self._held = descriptor
        if self.socket is not None:
            with suppress(OSError):
                if descriptor is None:
                    self.socket.send(DROP)
                else:
                    socket.send_fds(self.socket, [HOLD], [descriptor])

    def _listen(self, link: socket.socket, now_ms: int) -> None:
        assert self._answered_at_ms is not None
        try:
            if link.recv(4096):
                self._answered_at_ms = now_ms
                return
        except BlockingIOError:
            if now_ms < self._answered_at_ms + SUPERVISOR_SILENCE_MS:
                return
        except OSError:
            pass
        with suppress(OSError):
            signal.pidfd_send_signal(self._supervisor, signal.SIGKILL)  # It is gone, or stopped: never two of them.
        with suppress(ChildProcessError):
            os.waitid(os.P_PIDFD, self._supervisor, os.WEXITED)
        os.close(self._supervisor)
        link.close()
        self.socket = None

    def _renew(self, now_ms: int) -> None:
        """Start a new supervisor: the same program and arguments, and `--adopt` with the worker's descriptors."""
        self._renew_at_ms = now_ms + RENEW_MS
        with ExitStack() as opened:
            try:
                ours, theirs = map(opened.enter_context, socket.socketpair())
                itself = os.pidfd_open(os.getpid())
                opened.callback(os.close, itself)
                handed = (itself, theirs.fileno(), *self._inherited)
                for descriptor in handed:
                    os.set_inheritable(descriptor, True)
                command = [*own_command(), "--adopt", ",".join(map(str, handed)), *self._extra_arguments]
                pid = os.posix_spawn(command[0], command, os.environ, setsigmask=ENDINGS)
                self._supervisor = os.pidfd_open(pid)
            except OSError as error:
                if refused := self._refusal.feed(now_ms, failed=True):
                    log.error(
                        "cannot start a supervisor (%s); trying again every second%s", error.strerror, refused.note
                    )
                return
            self._refusal.feed(now_ms, failed=False)
            self.socket, self._answered_at_ms = socket.socket(fileno=ours.detach()), now_ms
        self.socket.setblocking(False)
        if self._held is not None:
            self.hold(self._held)


def own_command() -> list[str]:
    """Return how this program was started by its user."""
    if "__compiled__" in globals():
        command = [ITSELF, *sys.argv[1:]]
    else:
        command = [sys.executable, *sys.orig_argv[1:]]
    return command[: command.index("--adopt")] if "--adopt" in command else command
