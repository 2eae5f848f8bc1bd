"""Forks and names processes, and receives termination signals."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from types import FrameType

log = logging.getLogger("elevator")

TERMINATION_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Unblocks termination signals and records the last one. `socket` becomes readable when one arrives.

    Termination signals that the process already ignores stay ignored.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        """The last termination signal that arrived; None if none has."""
        self.socket, self._waker = socket.socketpair()
        self.socket.setblocking(False)
        self._waker.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for number in TERMINATION_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup and background jobs ignore some signals
                signal.signal(number, self._note)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, TERMINATION_SIGNALS)

    def drain(self) -> None:
        """Empty the socket, so that it is not readable until the next signal."""
        with suppress(BlockingIOError):
            self.socket.recv(64)

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        self.socket.close()
        self._waker.close()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number


def fork(name: str, keep: Collection[int]) -> int:
    """Fork a process called *name*; return its pid, or 0 in the child. Raise OSError if the fork fails.

    The child closes all descriptors except the standard ones and *keep*. Termination signals are blocked in the child
    until it creates `Signals` or unblocks them. The child must end with os._exit.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # The reader of the stream is gone, or its disk is full.
            stream.flush()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TERMINATION_SIGNALS)
    try:
        pid = os.fork()
    except OSError:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    else:
        set_up_child(name, keep)
    return pid


def set_up_child(name: str, keep: Collection[int]) -> None:
    """Prepare a process that was just forked: reset its signal handlers, close descriptors and set its name.

    The standard descriptors and those in *keep* stay open. On failure, log it and end the process. But if only the name
    cannot be set, keep the old one.
    """
    try:
        signal.set_wakeup_fd(-1)
        for number in TERMINATION_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        descriptors = sorted(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
        for descriptor in descriptors:
            if descriptor > 2 and descriptor not in keep:
                with suppress(OSError):
                    os.close(descriptor)
        rename(name)
    except OSError as error:
        log.error("cannot set up process %s (%s): the process ends", name, error)
        os._exit(1)
    except BaseException:  # The child must not run the parent's code.
        log.exception("internal error")
        os._exit(1)


def rename(name: str) -> None:
    """Set the name of this process in `ps`, if possible. Linux keeps 15 characters."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(name)
