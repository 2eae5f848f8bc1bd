"""A screen of the terminal's that is given back, whatever ends the program.

What can be caught (signals, errors) the program undoes itself. For what cannot, kill -9, a guard waits on a pipe that
the kernel shuts when the program is gone.
"""

import os
import signal
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J"
"""Shows another screen, without a cursor and empty."""
LEAVE = "\x1b[?25h\x1b[?1049l"


class Modes(NamedTuple):
    """How the terminal on standard input was set up before, and is by us."""

    saved: list[object]
    ours: list[object]


def restore(modes: Modes | None) -> None:
    """Leave our screen; bring the terminal back to what was saved if it is still set up as ours.

    Also from the background. None: it was never set up otherwise.
    """
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        os.write(1, LEAVE.encode())
        if modes is not None and termios.tcgetattr(0) == modes.ours:
            termios.tcsetattr(0, termios.TCSADRAIN, modes.saved)  # type: ignore[arg-type]  # it is what tcgetattr gave
    except (OSError, termios.error):
        pass  # It has gone.
    signal.signal(signal.SIGTTOU, before)


class Guard:
    """A process that restores the terminal when this one is gone without having called `release`."""

    def __init__(self, modes: Modes | None) -> None:
        listening, self._lifeline = os.pipe()
        self._pid = os.fork()
        if self._pid:
            os.close(listening)
            return
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
                signal.signal(number, signal.SIG_IGN)
            os.close(self._lifeline)
            # All but the terminal and the pipe belongs to the program: its ports must not outlive it.
            os.closerange(3, listening)
            os.closerange(listening + 1, 4096)
            if not os.read(listening, 4):
                restore(modes)
        finally:
            os._exit(0)

    def release(self) -> None:
        """End the guard: the terminal has been restored."""
        os.write(self._lifeline, b"done")
        os.close(self._lifeline)
        os.waitpid(self._pid, 0)


@contextmanager
def guarded() -> Iterator[None]:
    """Have the terminal's own screen come back also if this process is gone before the block has ended."""
    guard = Guard(None)
    try:
        yield
    finally:
        guard.release()
