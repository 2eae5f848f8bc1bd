"""Argument parsing that all commands share."""

import argparse
from collections.abc import Callable
from typing import NoReturn

PAGE = ("127.0.0.1", 15780)
"""Where the page is unless it is told otherwise: for this machine only."""


class Arguments(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, whatever was given, and exit with status 2."""
        self.exit(2, f"{self.prog}: {' '.join(message.split())}\n")


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return a type of argument: a whole number from *low* to *high*."""

    def number(text: str) -> int:
        value = int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return value

    return number


def place(text: str) -> tuple[str, int]:
    """Read an argument [HOST:]PORT."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not [HOST:]PORT")
    return host or PAGE[0], int(port)
