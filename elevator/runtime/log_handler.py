"""A log handler that drops lines rather than block the node."""

import logging
import select
from typing import TextIO


class LogHandler(logging.StreamHandler[TextIO]):
    """Writes the log to standard error. Drops lines while standard error is not writable.

    A terminal paused with Ctrl-S, or a full pipe, must not stop a car's controller.
    """

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _, writable, _ = select.select([], [self.stream], [], 0)
        except (OSError, ValueError):
            return  # Standard error is closed.
        if writable:
            super().emit(record)
