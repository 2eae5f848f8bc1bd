"""Child processes: how one is forked, named and asked to end."""

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


ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Notes that the program is asked to end; its socket wakes select."""

    def __init__(self) -> None:
        self.received: int | None = None
        self.socket, self._waker = socket.socketpair()
        self.socket.setblocking(False)
        self._waker.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for number in ENDINGS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a script's background job, wants it ignored
                signal.signal(number, self._note)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDINGS)

    def drain(self) -> None:
        """Have the socket call no more for signals that have come."""
        with suppress(BlockingIOError):
            self.socket.recv(64)

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        self.socket.close()
        self._waker.close()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number


def fork(name: str, keep: Collection[int]) -> int:
    """Fork; return the child's pid, or 0 in the child, which holds no descriptors but the standard ones and *keep*.

    So nothing that the parent opens or closes depends on the child. The child must end with os._exit. The signals that
    ask it to end are kept back until it says what becomes of them. Raise OSError in the parent if it cannot be.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # Nobody reads it, or its disk is full.
            stream.flush()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
    try:
        pid = os.fork()
    except OSError:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    else:
        become(name, keep)
    return pid


def become(name: str, keep: Collection[int]) -> None:
    """Make a process of its own of one that has just been forked."""
    try:
        signal.set_wakeup_fd(-1)
        for number in ENDINGS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        held = sorted(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
        for descriptor in held:
            if descriptor > 2 and descriptor not in keep:
                with suppress(OSError):
                    os.close(descriptor)
        rename(name)
    except OSError as error:
        log.critical("a process could not become %s: %s", name, error)
        os._exit(1)
    except BaseException:  # It must not go on as its parent.
        log.critical("a mistake in this program:", exc_info=True)
        os._exit(1)


def rename(name: str) -> None:
    """Show *name* in the list of processes, up to 15 characters."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(name)
