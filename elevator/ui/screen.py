"""Restores the terminal from the alternate screen, however the program ends.

After errors and most signals, the program restores the terminal itself. SIGKILL cannot be caught, so there is also a
guard process. If the program dies, the kernel closes its end of a pipe, and the guard restores the terminal.
"""

import os
import signal
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J"
"""Control sequences that switch to the alternate screen, hide the cursor and clear the screen."""
LEAVE = "\x1b[?25h\x1b[?1049l"


class Modes(NamedTuple):
    """The settings of the terminal on standard input: `saved` before the program changed them, `ours` afterwards."""

    saved: list[object]
    ours: list[object]


def restore(modes: Modes | None) -> None:
    """Leave the alternate screen. Restore the saved settings if the current settings are still this program's own.

    *modes* is None if this program has not changed the settings. Ignore errors, because the terminal may be gone. A
    background process may call this function too, because the function ignores SIGTTOU.
    """
    before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        os.write(1, LEAVE.encode())
        if modes is not None and termios.tcgetattr(0) == modes.ours:
            termios.tcsetattr(0, termios.TCSADRAIN, modes.saved)  # type: ignore[arg-type]  # from tcgetattr
    except (OSError, termios.error):
        pass  # The terminal is gone.
    signal.signal(signal.SIGTTOU, before)


class Guard:
    """A child process that restores the terminal if this process dies before it calls `release`."""

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
            # Keep only the terminal and the pipe. Inherited sockets would keep the program's ports in use.
            os.closerange(3, listening)
            os.closerange(listening + 1, 4096)
            if not os.read(listening, 4):
                restore(modes)
        finally:
            os._exit(0)

    def release(self) -> None:
        """End the guard process. The caller must restore the terminal itself."""
        os.write(self._lifeline, b"done")
        os.close(self._lifeline)
        os.waitpid(self._pid, 0)


@contextmanager
def guarded() -> Iterator[None]:
    """Have a guard process leave the alternate screen if this process is killed inside the block.

    Otherwise the caller must leave the alternate screen itself.
    """
    guard = Guard(None)
    try:
        yield
    finally:
        guard.release()
