"""The control socket of a simulated building: TCP on loopback, with one JSON object per line in each direction.

The reply to `{"do": "press", "car": 0, "button": "up", "floor": 1}` is `{"ok": true, "ms": 81542.114, "next": 17}`.
Here "ms" is the time in milliseconds on the monotonic clock, and "next" is the number that the next event will get. The
reply to an invalid or refused request is `{"error": "..."}`. control.py lists the requests. `History.since` explains
the reply to `events`.
"""

import selectors
import socket

from elevator.building.building import Building, listen
from elevator.building.control import LINE_LIMIT
from elevator.building.operations import answer

_CHUNK = 65_536


class ControlClient:
    def __init__(self, client: socket.socket) -> None:
        self.socket = client
        self.received = b""
        self.unsent = b""
        self.is_ending = False


class ControlSocket:
    """The listening socket and its clients, served by the building's `run_once`."""

    def __init__(self, building: Building, listener: socket.socket) -> None:
        """Take ownership of *listener*."""
        self._building = building
        self._listener = listener
        self._clients: list[ControlClient] = []
        building.watch(listener, selectors.EVENT_READ, lambda _: self._accept())

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def close(self) -> None:
        """Close all sockets. Do not call the building's `run_once` afterwards."""
        for client in self._clients:
            client.socket.close()
        self._listener.close()

    def _accept(self) -> None:
        try:
            accepted, _address = self._listener.accept()
        except OSError:
            return
        accepted.setblocking(False)
        client = ControlClient(accepted)
        self._clients.append(client)
        self._watch(client)

    def _watch(self, client: ControlClient) -> None:
        wanted = selectors.EVENT_WRITE if client.unsent else selectors.EVENT_READ
        self._building.watch(client.socket, wanted, lambda ready: self._serve(client, ready))

    def _serve(self, client: ControlClient, ready: int) -> None:
        try:
            if ready & selectors.EVENT_READ:
                chunk = client.socket.recv(_CHUNK)
                if not chunk:
                    self._drop(client)
                    return
                client.received += chunk
            while self._answer_lines(client):
                client.unsent = client.unsent[client.socket.send(client.unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)
            return
        if client.is_ending and not client.unsent:
            self._drop(client)
        else:
            self._watch(client)

    def _drop(self, client: ControlClient) -> None:
        self._building.close_socket(client.socket)
        self._clients.remove(client)

    def _answer_lines(self, client: ControlClient) -> bool:
        """Answer complete lines, but stop once _CHUNK bytes of replies are unsent.

        Return whether there are unsent replies.
        """
        while not client.is_ending and len(client.unsent) < _CHUNK:
            line, newline, rest = client.received.partition(b"\n")
            if len(line) > LINE_LIMIT:
                client.unsent += b'{"error": "the request is longer than 65536 bytes; disconnecting"}\n'
                client.is_ending = True
            elif not newline:
                break
            else:
                client.received = rest
                client.unsent += answer(self._building, line) + b"\n"
        return bool(client.unsent)


def open_control(building: Building, port: int = 0) -> ControlSocket:
    """Open the control socket of *building* on *port* (0: any free port); raise Refused if that fails."""
    return ControlSocket(building, listen("127.0.0.1", port))
