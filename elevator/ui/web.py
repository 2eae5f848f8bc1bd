"""A page that shows something live and lets people act on it: HTTP and WebSocket within the caller's own select loop.

Rules:
- What there is to show is a scene: named JSON values. Each visitor is sent the values that differ from those he was
  sent last, and only when he has taken them all: a slow one sees fewer pictures, never older ones, and costs no memory.
- Only the page itself may speak: a WebSocket's origin must be the very host that it asks for, and that host must be an
  address, this machine's name or localhost. So no other page in somebody's browser can reach the scene, also not by a
  name of its own that it makes point here.
- The page is all there is. What visitors send goes to *obey*, which checks it and answers; nothing else in the program
  can be reached.
- Everything from outside is bounded: visitors, the size of what they send, the time that they may take for it.
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
"""Longest message that is taken from a visitor, in bytes."""
QUIET_S = 1.0
"""A visitor hears something at least this often, so that his page can tell when we are gone."""
PATIENCE_S = 15.0
"""How long a visitor may take to ask for something, or to take what he was sent."""
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
"""Has a socket watched for a mask of EVENT_READ and EVENT_WRITE, 0 for none any more, and says what to call with those
that came."""

log = logging.getLogger("elevator.ui.web")
log.addHandler(logging.NullHandler())


class _Visitor:
    """One connection."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.protocol = ServerProtocol(max_size=MESSAGE_MAX, logger=log)
        self.unsent = b""
        self.sent: dict[str, str] = {}
        """The scene as this visitor has it, value by value as JSON."""
        self.spoke_s = self.due_s = time.monotonic()
        """When he was last sent something; and by when he must have got on."""
        self.ending = False


class Web:
    """A page on a listening socket."""

    def __init__(self, listener: socket.socket, watch: Watch, obey: Callable[[bytes], bytes], host: str) -> None:
        """Own *listener*, which was asked for as *host*; give what visitors send to *obey*, which returns a reply."""
        self._listener = listener
        self._watch = watch
        self._obey = obey
        own = socket.gethostname().lower()
        self._names = {"localhost", host.lower(), own, f"{own}.local"}
        self._page = Path(__file__).with_name("page.html").read_bytes()
        self._visitors: list[_Visitor] = []
        watch(listener, EVENT_READ, self._accept)

    @property
    def address(self) -> str:
        """Where a browser finds the page."""
        host, port = self._listener.getsockname()
        return f"http://{socket.gethostname() if host == '0.0.0.0' else host}:{port}/"  # noqa: S104  # a comparison

    @property
    def is_watched(self) -> bool:
        """Whether anybody looks, so that a scene is worth making."""
        return any(visitor.protocol.state is State.OPEN for visitor in self._visitors)

    def show(self, scene: Mapping[str, object]) -> None:
        """Let everybody see *scene*; drop those who neither take what they are sent nor ask for anything."""
        now_s = time.monotonic()
        texts = {name: json.dumps(value, separators=(",", ":")) for name, value in scene.items()}
        for visitor in list(self._visitors):
            is_open = visitor.protocol.state is State.OPEN
            if now_s >= visitor.due_s + PATIENCE_S and (visitor.unsent or not is_open):
                self._leave(visitor)
            elif is_open and not visitor.unsent:
                visitor.due_s = now_s
                news = [name for name, text in texts.items() if visitor.sent.get(name) != text]
                if news or now_s >= visitor.spoke_s + QUIET_S:
                    visitor.spoke_s = now_s
                    visitor.sent = texts
                    values = ",".join(f"{json.dumps(name)}:{texts[name]}" for name in news)
                    self._say(visitor, f'{{"ms":{now_s * 1000:.0f},"scene":{{{values}}}}}'.encode())

    def close(self) -> None:
        """Close every connection and the listening socket."""
        for visitor in list(self._visitors):
            self._leave(visitor)
        self._watch(self._listener, 0, lambda _: None)
        self._listener.close()

    def _accept(self, _: int) -> None:
        try:
            client, _address = self._listener.accept()
        except OSError:
            return  # It left before its turn came.
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self._visitors) >= VISITORS_MAX:
            client.close()
            return
        visitor = _Visitor(client)
        self._visitors.append(visitor)
        self._attend(visitor)

    def _attend(self, visitor: _Visitor) -> None:
        """Have the visitor watched for what he is waited for."""
        wanted = EVENT_WRITE if visitor.unsent else EVENT_READ
        self._watch(visitor.client, wanted, lambda mask: self._converse(visitor, mask))

    def _converse(self, visitor: _Visitor, mask: int) -> None:
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
                        if protocol.eof_sent:  # More came with it, which no browser does; there is no answer any more.
                            self._leave(visitor)
                            return
                        protocol.send_response(self._respond(protocol, event))
                    elif isinstance(event, Frame):
                        self._take(visitor, event)
                if not chunk:
                    self._leave(visitor)
                    return
            self._flush(visitor)
        except BlockingIOError:
            self._attend(visitor)
        except (OSError, EOFError):
            self._leave(visitor)

    def _respond(self, protocol: ServerProtocol, request: Request) -> Response:
        """Answer what a browser asks for first."""
        hosts, origins = request.headers.get_all("Host"), request.headers.get_all("Origin")
        if len(hosts) != 1 or not is_own(hosts[0], self._names):
            return protocol.reject(403, "This page is reached by the address that was printed when it was opened.\n")
        if request.method != "GET":
            return protocol.reject(405, "There is only a page here.\n")
        if request.path == "/live":
            if origins != [f"http://{hosts[0]}"]:
                return protocol.reject(403, "Only the page itself may do this.\n")
            return protocol.accept(request)
        if request.path != "/":
            return protocol.reject(404, "There is only one page here.\n")
        headers = Headers({**HEADERS, "Content-Length": str(len(self._page))})
        return Response(200, "OK", headers, self._page)

    def _take(self, visitor: _Visitor, frame: Frame) -> None:
        """Obey a message; it must be one piece of text, which our page's all are."""
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return  # The protocol has answered it already.
        if frame.opcode is not Opcode.TEXT or not frame.fin:
            visitor.protocol.fail(1003, "one text message at a time")
            return
        reply = self._obey(bytes(frame.data))
        if visitor.protocol.state is State.OPEN:
            visitor.protocol.send_text(reply)

    def _say(self, visitor: _Visitor, message: bytes) -> None:
        visitor.protocol.send_text(message)
        try:
            self._flush(visitor)
        except BlockingIOError:
            self._attend(visitor)
        except OSError:
            self._leave(visitor)

    def _flush(self, visitor: _Visitor) -> None:
        """Send what there is to send; an empty piece is the end."""
        for piece in visitor.protocol.data_to_send():
            visitor.unsent += piece
            visitor.ending = visitor.ending or not piece
        if visitor.unsent:
            visitor.unsent = visitor.unsent[visitor.client.send(visitor.unsent) :]
        if visitor.ending and not visitor.unsent:
            # He is to hear all of it and then to close: closing first, with something unread, would cut it off.
            visitor.client.shutdown(socket.SHUT_WR)
            visitor.ending = False
        self._attend(visitor)

    def _leave(self, visitor: _Visitor) -> None:
        if visitor in self._visitors:
            self._visitors.remove(visitor)
            self._watch(visitor.client, 0, lambda _: None)
            visitor.client.close()


def is_own(host: str, names: set[str]) -> bool:
    """Tell whether *host*, of an HTTP request, is an address or one of *names*, with or without a port."""
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    name = name if colon else host
    if colon and not (port.isascii() and port.isdigit()):
        return False
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return name.lower() in names
    return True
