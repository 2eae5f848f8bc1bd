"""The log on standard error, which never blocks the node."""

import logging
import select
from typing import TextIO


class LogHandler(logging.StreamHandler[TextIO]):
    """Writes the log to standard error, but never waits for whoever reads it.

    A terminal that was stopped with Ctrl-S, or a pipe that nobody empties, must not stop a car's controller. Lines that
    do not fit are dropped.
    """

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _, writable, _ = select.select([], [self.stream], [], 0)
        except (OSError, ValueError):
            return  # standard error is closed
        if writable:
            super().emit(record)
