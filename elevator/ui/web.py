"""A web server for one live page, over HTTP and WebSocket, inside the caller's select loop.

Rules:
- The page shows a scene: a set of named JSON values. An update contains only the values that have changed. A visitor
  gets the next update only once the previous one has been sent. So a slow visitor skips updates and does not fill
  memory.
- The Host header of each request must be an IP address, localhost, this machine's name or the host that the caller
  listens on. This prevents DNS rebinding. Only the page itself may open the WebSocket: the Origin header must match the
  Host header.
- Messages from visitors go to the caller's *handle* function, which must validate them.
- The number of visitors, the size of a message, and the time for a request or an update are limited.
"""

import ipaddress
import json
import logging
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE

from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

VISITORS_MAX = 64
MESSAGE_MAX = 4096
"""Maximum length of a visitor's message in bytes."""
QUIET_S = 1.0
"""If a visitor has got no update for this long, `show` sends an empty one. The page reconnects if it receives nothing
for SILENT_MS (page.html)."""
PATIENCE_S = 15.0
"""Maximum time to complete a request, counted from the connection, or to receive an update. `show` disconnects slower
visitors."""
_CHUNK = 65_536
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Connection": "close",
}

Watch = Callable[[socket.socket, int, Callable[[int], None]], None]
"""A function (socket, events, callback) that makes the select loop watch the socket for *events*: EVENT_READ,
EVENT_WRITE or both. The loop calls *callback* with those that occur. If *events* is 0, the loop stops watching."""

log = logging.getLogger("elevator.ui.web")
log.addHandler(logging.NullHandler())


class _Visitor:
    """The connection to one browser."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.protocol = ServerProtocol(max_size=MESSAGE_MAX, logger=log)
        self.unsent = b""
        self.sent: dict[str, str] = {}
        """The last scene sent, with each value as JSON."""
        self.sent_at_s = time.monotonic()
        self.progress_at_s = self.sent_at_s
        """When `show` last found the WebSocket open and all data sent; initially the time of the connection."""
        self.is_ending = False


class Web:
    """The server of the page on a listening socket."""

    def __init__(self, listener: socket.socket, watch: Watch, handle: Callable[[bytes], bytes], host: str) -> None:
        """Take ownership of *listener*, which is bound to *host*. *handle* returns the reply to a visitor's message."""
        self._listener = listener
        self._watch = watch
        self._handle = handle
        own = socket.gethostname().lower()
        self._names = {"localhost", host.lower(), own, f"{own}.local"}
        self._page = Path(__file__).with_name("page.html").read_bytes()
        self._visitors: list[_Visitor] = []
        watch(listener, EVENT_READ, self._accept)

    @property
    def address(self) -> str:
        """The URL of the page."""
        return address_of(self._listener)

    @property
    def is_page_open(self) -> bool:
        """True if a visitor's WebSocket is open. If none is, the caller may pass an empty scene to `show`."""
        return any(visitor.protocol.state is State.OPEN for visitor in self._visitors)

    def show(self, scene: Mapping[str, object]) -> None:
        """Send the changed values of *scene* to each visitor whose previous update has been sent.

        The page keeps values that *scene* lacks. Also disconnect visitors that are too slow (PATIENCE_S), so call
        `show` regularly even if no page is open.
        """
        now_s = time.monotonic()
        texts = {name: json.dumps(value, separators=(",", ":")) for name, value in scene.items()}
        for visitor in list(self._visitors):
            is_open = visitor.protocol.state is State.OPEN
            if now_s >= visitor.progress_at_s + PATIENCE_S and (visitor.unsent or not is_open):
                self._drop(visitor)
            elif is_open and not visitor.unsent:
                visitor.progress_at_s = now_s
                news = [name for name, text in texts.items() if visitor.sent.get(name) != text]
                if news or now_s >= visitor.sent_at_s + QUIET_S:
                    visitor.sent_at_s = now_s
                    visitor.sent = texts
                    values = ",".join(f"{json.dumps(name)}:{texts[name]}" for name in news)
                    visitor.protocol.send_text(f'{{"ms":{now_s * 1000:.0f},"scene":{{{values}}}}}'.encode())
                    self._serve(visitor, 0)

    def close(self) -> None:
        """Close all connections and the listening socket."""
        for visitor in list(self._visitors):
            self._drop(visitor)
        self._watch(self._listener, 0, lambda _: None)
        self._listener.close()

    def _accept(self, _: int) -> None:
        try:
            client, _address = self._listener.accept()
        except OSError:
            return  # The client disconnected while it was queued.
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self._visitors) >= VISITORS_MAX:
            client.close()
            return
        visitor = _Visitor(client)
        self._visitors.append(visitor)
        self._update_watch(visitor)

    def _update_watch(self, visitor: _Visitor) -> None:
        """Watch the visitor's socket: for writing if data is unsent, otherwise for reading."""
        wanted = EVENT_WRITE if visitor.unsent else EVENT_READ
        self._watch(visitor.client, wanted, lambda mask: self._serve(visitor, mask))

    def _serve(self, visitor: _Visitor, mask: int) -> None:
        """If *mask* has EVENT_READ, read and handle requests and messages. Then send pending data.

        Drop a visitor who has disconnected or sends a second HTTP request.
        """
        protocol = visitor.protocol
        try:
            if mask & EVENT_READ:
                chunk = visitor.client.recv(_CHUNK)
                if chunk:
                    protocol.receive_data(chunk)
                else:
                    protocol.receive_eof()
                for event in protocol.events_received():
                    if isinstance(event, Request):
                        if protocol.eof_sent:  # A second request in the same packet, which no browser sends.
                            self._drop(visitor)
                            return
                        protocol.send_response(self._respond(protocol, event))
                    elif isinstance(event, Frame):
                        self._handle_frame(visitor, event)
                if not chunk:
                    self._drop(visitor)
                    return
            self._flush(visitor)
        except BlockingIOError:
            self._update_watch(visitor)
        except (OSError, EOFError):
            self._drop(visitor)

    def _respond(self, protocol: ServerProtocol, request: Request) -> Response:
        """Return the response to an HTTP request: the page, the opening of the WebSocket, or an error."""
        hosts, origins = request.headers.get_all("Host"), request.headers.get_all("Origin")
        if len(hosts) != 1 or not is_own_host(hosts[0], self._names):
            return protocol.reject(403, "Open this page at the address that the program printed when it started.\n")
        if request.method != "GET":
            return protocol.reject(405, "Only GET is supported.\n")
        if request.path == "/live":
            if origins != [f"http://{hosts[0]}"]:
                return protocol.reject(403, "Only the page itself may connect.\n")
            return protocol.accept(request)
        if request.path != "/":
            return protocol.reject(404, "The only page is /.\n")
        headers = Headers({**HEADERS, "Content-Length": str(len(self._page))})
        return Response(200, "OK", headers, self._page)

    def _handle_frame(self, visitor: _Visitor, frame: Frame) -> None:
        """Handle a message and queue the reply.

        The page sends each message as a single text frame. Fail the connection after any other data frame.
        """
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return  # A control frame, which the protocol object has answered.
        if frame.opcode is not Opcode.TEXT or not frame.fin:
            visitor.protocol.fail(1003, "only single text frames are supported")
            return
        reply = self._handle(bytes(frame.data))
        if visitor.protocol.state is State.OPEN:
            visitor.protocol.send_text(reply)

    def _flush(self, visitor: _Visitor) -> None:
        """Send pending data. An empty piece from the protocol object means: half-close once all data is sent."""
        for piece in visitor.protocol.data_to_send():
            visitor.unsent += piece
            visitor.is_ending = visitor.is_ending or not piece
        if visitor.unsent:
            visitor.unsent = visitor.unsent[visitor.client.send(visitor.unsent) :]
        if visitor.is_ending and not visitor.unsent:
            # Half-close and let the browser close. Closing with unread input would reset the connection and lose data.
            visitor.client.shutdown(socket.SHUT_WR)
            visitor.is_ending = False
        self._update_watch(visitor)

    def _drop(self, visitor: _Visitor) -> None:
        if visitor in self._visitors:
            self._visitors.remove(visitor)
            self._watch(visitor.client, 0, lambda _: None)
            visitor.client.close()


def address_of(listener: socket.socket) -> str:
    """Return the URL of the page that is served on *listener*."""
    host, port = listener.getsockname()
    return f"http://{socket.gethostname() if host == '0.0.0.0' else host}:{port}/"  # noqa: S104  # a comparison


def is_own_host(host: str, names: set[str]) -> bool:
    """Return whether an HTTP Host header is an IP address or one of *names*, with an optional port."""
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    name = name if colon else host
    if colon and not (port.isascii() and port.isdigit()):
        return False
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return name.lower() in names
    return True
