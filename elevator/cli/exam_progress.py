"""The progress line of an exam: which test is running, and how much time is left."""

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from typing import TextIO

from elevator.exam.report import progress

REDRAW_S = 0.5
PRIOR_S = 60
"""The pace in `time_left` includes an imaginary test that was planned to take this long and did. So the first tests
change the estimate less."""


def time_left(planned_s: Sequence[float], took_s: Sequence[float], running_s: float) -> float:
    """Estimate how many seconds the rest of an exam takes.

    *planned_s* lists the usual time of each test (0: skipped), *took_s* the time that each finished test took. The next
    test has been running for *running_s*. If that is longer than expected, assume that the exam is repeating the test.
    """
    done = len(took_s)
    pace = (sum(took_s) + PRIOR_S) / (sum(planned_s[:done]) + PRIOR_S)
    current_s = pace * sum(planned_s[done : done + 1])
    current_left_s = current_s - running_s % current_s if current_s else 0.0
    return current_left_s + pace * sum(planned_s[done + 1 :])


class Progress:
    """Draws the progress line of an exam; draws nothing if *stream* is not a terminal."""

    def __init__(
        self, planned_s: Sequence[float], stream: TextIO = sys.stderr, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """*planned_s* lists the usual time of each test in seconds; 0 for a test that is skipped."""
        self._planned_s = planned_s
        self._took_s: list[float] = []
        self._stream = stream
        self._clock = clock
        self._is_shown = stream.isatty()
        self._title = ""
        self._began_s = self._drawn_s = clock()

    @property
    def ended(self) -> int:
        """How many tests have ended or were skipped."""
        return len(self._took_s)

    def begin(self, title: str) -> None:
        """Show that the next test begins."""
        self._title, self._began_s = title, self._clock()
        self._draw()

    def refresh(self) -> None:
        """Redraw the line, unless it was drawn less than REDRAW_S ago."""
        if self._clock() >= self._drawn_s + REDRAW_S:
            self._draw()

    def end(self) -> None:
        """Record that the test has ended, and clear the progress line to make room for the result."""
        self._took_s.append(self._clock() - self._began_s)
        self.clear()

    def clear(self) -> None:
        if self._is_shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _draw(self) -> None:
        self._drawn_s = self._clock()
        if self._is_shown:
            left_s = time_left(self._planned_s, self._took_s, self._drawn_s - self._began_s)
            text = progress(len(self._took_s) + 1, len(self._planned_s), self._title, left_s)
            columns = shutil.get_terminal_size().columns
            self._stream.write(f"\r{text[: columns - 1]}\x1b[K")
            self._stream.flush()
