"""The server of `elevator assign --serve`. It answers lines on a Unix socket, in one thread with a select loop."""

import os
import selectors
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from attrs import define, field

LINE_BYTES_MAX = 1 << 23
"""The maximum length of a request in bytes; the server disconnects a client that exceeds it. A request for the largest
building, with 500 cars and 1024 floors, takes 3 to 4 MB."""
UNREAD_BYTES_MAX = 1 << 24
"""If more bytes than this wait to be sent to a client, the server disconnects the client."""


@define(eq=False)
class Client:
    socket: socket.socket
    received: bytearray = field(factory=bytearray)
    unsent: bytearray = field(factory=bytearray)


def run(path: str, answer: Callable[[str], str]) -> None:
    """Answer lines on a new socket at *path* until SIGTERM or SIGINT arrives. Then remove the socket.

    Raise OSError if listening fails.
    """
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
    """Create a socket that listens at *path*. Replace a socket there if no program listens at it any more.

    Raise OSError if listening fails, or if anything else is at *path*.
    """
    listener = socket.socket(socket.AF_UNIX)
    try:
        try:
            listener.bind(path)
        except OSError:
            if not is_abandoned(path):
                raise
            Path(path).unlink()
            listener.bind(path)
        listener.listen(64)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen at {path}: {error.strerror or error}") from None
    return listener


def is_abandoned(path: str) -> bool:
    if not Path(path).is_socket():  # Connecting to an ordinary file also raises ConnectionRefusedError.
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
        return  # The client has closed the connection, or there are too many connections.
    connection.setblocking(False)
    selector.register(connection, selectors.EVENT_READ, Client(connection))


def serve_client(selector: selectors.BaseSelector, client: Client, events: int, answer: Callable[[str], str]) -> None:
    """Receive from *client*, answer each complete line, and send as much as the socket accepts.

    Disconnect the client if it exceeds a limit or has closed its end, even if answers have not been sent yet.
    """
    try:
        if events & selectors.EVENT_READ:
            received = client.socket.recv(1 << 16)
            client.received += received
            lines = []
            if b"\n" in received:  # Search only the new bytes, because a long line arrives in many pieces.
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
