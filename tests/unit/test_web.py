"""The page's web server on real sockets: access control, updates, and robustness against bad input."""

import json
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from elevator.building.building import listen
from elevator.ui import web
from elevator.ui.web import VISITORS_MAX, Web, is_own_host

PATIENCE_S = 20.0


class Site:
    """A web server whose scene the tests change. It stores the messages of its visitors."""

    def __init__(self) -> None:
        self.scene: dict[str, object] = {"a": 1, "b": [1, 2]}
        self.handled: list[bytes] = []
        self.selector = selectors.DefaultSelector()
        self.web = Web(listen("127.0.0.1", 0), self.watch, self.handle, "127.0.0.1")
        self.port = int(self.web.address.rstrip("/").rpartition(":")[2])
        self.host = f"127.0.0.1:{self.port}"

    def watch(self, sock: socket.socket, mask: int, then: Callable[[int], None]) -> None:
        if sock in self.selector.get_map():
            self.selector.unregister(sock)
        if mask:
            self.selector.register(sock, mask, then)

    def handle(self, line: bytes) -> bytes:
        self.handled.append(line)
        return b'{"ok":true}'

    def run_once(self) -> None:
        for key, ready in self.selector.select(0.01):
            if key.fileobj in self.selector.get_map():
                key.data(ready)
        self.web.show(self.scene)

    def visit(self) -> ClientConnection:
        return connect(f"ws://{self.host}/live", origin=Origin(f"http://{self.host}"))

    def ask(self, *lines: str) -> bytes:
        """Send an HTTP request of *lines*; return the complete response."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as client:
            client.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
            answer = b""
            while chunk := client.recv(65536):
                answer += chunk
        return answer


@contextmanager
def open_site() -> Iterator[Site]:
    site, ended = Site(), threading.Event()
    errors: list[BaseException] = []

    def drive() -> None:
        try:
            while not ended.is_set():
                site.run_once()
        except BaseException as error:  # noqa: BLE001  # raised below, in the test's own thread
            errors.append(error)

    thread = threading.Thread(target=drive)
    thread.start()
    try:
        yield site
    finally:
        ended.set()
        thread.join()
        site.web.close()
        site.selector.close()
    assert not errors, errors


@pytest.fixture
def site() -> Iterator[Site]:
    with open_site() as site:
        yield site


def receive(visitor: ClientConnection) -> dict[str, Any]:
    message = json.loads(visitor.recv(PATIENCE_S))
    assert isinstance(message, dict)
    return message


def next_scene(visitor: ClientConnection) -> dict[str, Any]:
    """Receive messages until one contains a scene that is not empty; return the scene."""
    while not (news := receive(visitor).get("scene")):
        pass
    assert isinstance(news, dict)
    return news


def send_and_receive_until_closed(site: Site, message: Any) -> None:
    with site.visit() as visitor:
        visitor.send(message)
        while True:
            visitor.recv(PATIENCE_S)


# The page


def test_pipelined_http_requests_are_rejected(site: Site) -> None:
    assert not site.ask("GET / HTTP/1.1", f"Host: {site.host}", "", "GET / HTTP/1.1", f"Host: {site.host}")
    assert site.ask("GET / HTTP/1.1", f"Host: {site.host}").startswith(b"HTTP/1.1 200"), "the server still answers"


def test_page_is_served_with_security_headers(site: Site) -> None:
    head, _, body = site.ask("GET / HTTP/1.1", f"Host: {site.host}").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"default-src 'none'" in head
    assert b"no-store" in head
    assert body.startswith(b"<!doctype html>")
    assert f"Content-Length: {len(body)}".encode() in head


def test_page_loads_nothing_from_other_hosts(site: Site) -> None:
    _, _, body = site.ask("GET / HTTP/1.1", f"Host: {site.host}").partition(b"\r\n\r\n")
    outside = [part[:40] for part in body.split(b"//")[1:] if b"." in part[:20].split(b"/")[0] and part[:1].isalpha()]
    assert [part for part in outside if not part.startswith((b"www.w3.org", b"${location.host}"))] == []


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["GET / HTTP/1.1"], 403),
        (["GET / HTTP/1.1", "Host: evil.example"], 403),
        (["GET / HTTP/1.1", "Host: 127.0.0.1.evil.example"], 403),
        (["GET / HTTP/1.1", "Host: localhost", "Host: evil.example"], 403),
        (["GET /etc/passwd HTTP/1.1", "Host: localhost"], 404),
        (["GET /../page.html HTTP/1.1", "Host: localhost"], 404),
        (["POST / HTTP/1.1", "Host: localhost"], 405),
        (["GET /live HTTP/1.1", "Host: localhost", "Origin: http://localhost"], 426),
    ],
)
def test_request_is_refused_unless_host_path_method_and_upgrade_are_right(
    site: Site, lines: list[str], status: int
) -> None:
    assert site.ask(*lines).startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize(
    "request_",
    [b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x00\x00\r\n\r\n", b"GET / HTTP/3\r\n\r\n", b"GET " + b"/" * 20_000],
)
def test_malformed_request_gets_no_page_and_disturbs_no_visitor(site: Site, request_: bytes) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=PATIENCE_S) as client:
        client.sendall(request_)
        assert b"<!doctype" not in client.recv(100)
    with site.visit() as visitor:
        assert next_scene(visitor) == site.scene


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:80", "127.0.0.1:1", "[::1]", "[::1]:80", "192.168.1.7", "LAB"]
)
def test_addresses_and_own_names_are_accepted_as_host(host: str) -> None:
    assert is_own_host(host, {"localhost", "lab"})


@pytest.mark.parametrize("host", ["", "evil.example", "localhost:", "localhost:x", "127.0.0.1.evil", "lab:1:2", "[::1"])
def test_other_host_names_are_refused(host: str) -> None:
    assert not is_own_host(host, {"localhost", "lab"})


# The live connection


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "https://127.0.0.1", "http://127.0.0.1"])
def test_websockets_from_other_origins_are_refused(site: Site, origin: str | None) -> None:
    named = None if origin is None else Origin(origin)
    with pytest.raises(InvalidStatus) as refused, connect(f"ws://{site.host}/live", origin=named):
        pass
    assert refused.value.response.status_code == 403
    assert site.handled == []


def test_visitor_receives_the_scene_and_then_only_changes(site: Site) -> None:
    with site.visit() as visitor, site.visit() as other:
        assert next_scene(visitor) == next_scene(other) == {"a": 1, "b": [1, 2]}
        site.scene = {**site.scene, "a": 2, "c": None}
        assert next_scene(visitor) == next_scene(other) == {"a": 2, "c": None}
        quiet = receive(visitor)
        assert quiet["scene"] == {}
        assert quiet["ms"] > 0
    with site.visit() as again:
        assert next_scene(again) == site.scene


def test_message_is_passed_to_the_handler_and_its_reply_is_sent_back(site: Site) -> None:
    with site.visit() as visitor:
        visitor.send('{"do": "this"}')
        while receive(visitor) != {"ok": True}:
            pass
    assert site.handled == [b'{"do": "this"}']


@pytest.mark.parametrize("message", [b"bytes", "x" * 5000, ["in ", "parts"]], ids=["bytes", "long", "parts"])
def test_binary_long_and_fragmented_messages_end_the_connection(site: Site, message: Any) -> None:
    with pytest.raises(ConnectionClosed):
        send_and_receive_until_closed(site, message)
    assert site.handled == []


def test_slow_visitor_skips_updates_and_is_finally_disconnected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site()
    site.scene = {"big": "x" * 10_000_000}
    with socket.create_connection(("127.0.0.1", site.port)) as client:
        ask = [f"Host: {site.host}", f"Origin: http://{site.host}", "Upgrade: websocket", "Connection: Upgrade"]
        ask += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng=="]
        client.sendall("\r\n".join(["GET /live HTTP/1.1", *ask, "", ""]).encode())
        (visitor,) = until(site, lambda: [each for each in site.web._visitors if each.unsent])
        left = len(visitor.unsent)
        for number in range(20):
            site.scene = {"big": f"{number}" * 1_000_000}
            site.run_once()
        assert len(visitor.unsent) <= left
        monkeypatch.setattr(web, "PATIENCE_S", -1.0)
        until(site, lambda: not site.web._visitors)
    site.web.close()
    site.selector.close()


def until(site: Site, condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline
        site.run_once()
    return found


@pytest.mark.slow
def test_excess_visitors_do_not_disturb_connected_ones(site: Site) -> None:
    with site.visit() as visitor:
        assert next_scene(visitor)
        crowd = [socket.create_connection(("127.0.0.1", site.port)) for _ in range(2 * VISITORS_MAX)]
        site.scene = {"a": 3}
        assert next_scene(visitor) == {"a": 3}
        for each in crowd:
            each.close()
    deadline = time.monotonic() + PATIENCE_S
    while len(site.web._visitors):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_client_that_sends_no_request_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    with socket.create_connection(("127.0.0.1", site.port)):
        until(site, lambda: site.web._visitors)
        monkeypatch.setattr(web, "PATIENCE_S", -1.0)
        until(site, lambda: not site.web._visitors)
    site.web.close()
    site.selector.close()


@settings(max_examples=30)
@given(st.lists(st.binary(max_size=200), max_size=5), st.booleans())
def test_random_bytes_from_a_client_do_not_disturb_a_visitor(chunks: list[bytes], after_handshake: bool) -> None:
    with open_site() as site, site.visit() as visitor, socket.create_connection(("127.0.0.1", site.port)) as client:
        ask = [f"Host: {site.host}", f"Origin: http://{site.host}", "Upgrade: websocket", "Connection: Upgrade"]
        ask += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng=="]
        if after_handshake:
            client.sendall("\r\n".join(["GET /live HTTP/1.1", *ask, "", ""]).encode())
        try:
            for chunk in chunks:
                client.sendall(chunk)
        except OSError:
            pass  # The server has closed the connection.
        assert next_scene(visitor) == site.scene
