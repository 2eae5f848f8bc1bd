"""Argument parsing shared by the commands."""

import argparse
from collections.abc import Callable
from typing import NoReturn

PAGE = ("127.0.0.1", 15780)
"""Default address of the web page: host and port. Only this machine can reach it."""


class Arguments(argparse.ArgumentParser):
    """An argument parser that prints each error on a single line."""

    def error(self, message: str) -> NoReturn:
        """Print *message* on one line, even if it contains line breaks, and exit with status 2."""
        self.exit(2, f"{self.prog}: {' '.join(message.split())}\n")


def integer(low: int, high: int) -> Callable[[str], int]:
    """Return an argparse type that accepts integers from *low*, at least 0, to *high*, inclusive."""

    def parse(text: str) -> int:
        value = int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return value

    return parse


def host_and_port(text: str) -> tuple[str, int]:
    """Parse [HOST:]PORT. HOST defaults to the loopback address, PAGE[0]."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not [HOST:]PORT")
    return host or PAGE[0], int(port)
