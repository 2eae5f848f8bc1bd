"""Answers lines on a Unix socket: what `elevator assign --serve` does. One thread, one `select`."""

import os
import selectors
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from attrs import define, field

LINE_BYTES_MAX = 1 << 23
"""The longest request. The largest building, 500 cars and 1024 floors, takes some 4 MB."""
UNREAD_BYTES_MAX = 1 << 24
"""A client that leaves more of its answers unread is disconnected."""


@define(eq=False)
class Client:
    """One connection."""

    socket: socket.socket
    received: bytearray = field(factory=bytearray)
    unsent: bytearray = field(factory=bytearray)


def run(path: str, answer: Callable[[str], str]) -> None:
    """Listen at *path* until SIGTERM or SIGINT and answer each line; raise OSError if that is not possible."""
    reading, writing = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.write(writing, b"."))
    with selectors.DefaultSelector() as selector, listen(path) as listener:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(reading, selectors.EVENT_READ)
        try:
            while True:
                for key, events in selector.select():
                    if key.fileobj == reading:
                        return
                    if key.fileobj is listener:
                        accept(selector, listener)
                    else:
                        serve_client(selector, key.data, events, answer)
        finally:
            Path(path).unlink(missing_ok=True)


def listen(path: str) -> socket.socket:
    """Make the socket; replace one that no program listens on. A file of another kind stays: that is an OSError."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        try:
            listener.bind(path)
        except OSError:
            if not is_left_behind(path):
                raise
            Path(path).unlink()
            listener.bind(path)
        listener.listen(64)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen at {path}: {error.strerror or error}") from None
    return listener


def is_left_behind(path: str) -> bool:
    if not Path(path).is_socket():  # To connect to an ordinary file is refused, too.
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            pass
        return False


def accept(selector: selectors.BaseSelector, listener: socket.socket) -> None:
    try:
        connection, _ = listener.accept()
    except OSError:
        return  # The client closed again, or there are too many. Others are served all the same.
    connection.setblocking(False)
    selector.register(connection, selectors.EVENT_READ, Client(connection))


def serve_client(selector: selectors.BaseSelector, client: Client, events: int, answer: Callable[[str], str]) -> None:
    """Read from *client*, answer each line, and send as much as the socket accepts."""
    try:
        if events & selectors.EVENT_READ:
            received = client.socket.recv(1 << 16)
            client.received += received
            lines = []
            if b"\n" in received:  # A long line comes in many pieces: only the last of them is searched again.
                *lines, client.received = client.received.split(b"\n")
            for line in lines:
                client.unsent += answer(line.decode(errors="surrogateescape")).encode() + b"\n"
            too_much = len(client.received) > LINE_BYTES_MAX or len(client.unsent) > UNREAD_BYTES_MAX
            if not received or too_much:
                raise ConnectionError
        if client.unsent:
            del client.unsent[: client.socket.send(client.unsent)]
    except BlockingIOError:
        pass
    except OSError:
        selector.unregister(client.socket)
        client.socket.close()
        return
    wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.unsent else 0)
    if selector.get_key(client.socket).events != wanted:
        selector.modify(client.socket, wanted, client)
