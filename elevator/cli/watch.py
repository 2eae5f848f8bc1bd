"""`elevator watch`: who is in the group and what they do, in the terminal, as lines of JSON, or on a page.

Rules:
- It listens to the group's port as a node does, beside any node on the same machine, and sends nothing at all.
- Whom it takes for alive, and how many heartbeats it takes for lost, is what a node in its place would (peers.py).
- All that is shown is a pure function of what was heard, and of the time.
"""

import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import FrameType
from typing import Self

from attrs import evolve
from rich.console import Console
from rich.live import Live
from rich.text import Text

from elevator.building.building import listen
from elevator.cli.arguments import PAGE, Arguments, host_and_port, integer
from elevator.cli.watch_view import Group, draw, forget, hear, rows, scene
from elevator.net.admission import Admission
from elevator.net.wire import DATAGRAM_BYTES_MAX, GROUP_LENGTH_MAX
from elevator.runtime.config import Config, ConfigError, load, read_keys
from elevator.ui.screen import guarded
from elevator.ui.web import Web

DRAW_MS = 200
SHOW_MS = 50
LINE_MS = 1000
DATAGRAMS_A_TURN = 256


def main(argv: Sequence[str]) -> int:
    """Run `elevator watch` until it is told to end."""
    parser = Arguments(
        prog="elevator watch", description="Show the nodes of a group; send nothing.", allow_abbrev=False
    )
    parser.add_argument("--group", default="lab", help=f"name of the group, up to {GROUP_LENGTH_MAX} characters (lab)")
    parser.add_argument(
        "--net-port", type=integer(1, 65535), default=20145, metavar="PORT", help="UDP port of the group (20145)"
    )
    parser.add_argument("--key-file", metavar="FILE", help="the group's key (none)")
    parser.add_argument("--json", action="store_true", help="a line a second with all that is known, for scripts")
    parser.add_argument(
        "--web", type=host_and_port, nargs="?", const=PAGE, metavar="[HOST:]PORT", help="show a page as well"
    )
    arguments = parser.parse_args(argv)
    try:
        flags = {"id": 0, "group": arguments.group, "net_port": arguments.net_port}
        config = load(flags if arguments.key_file is None else flags | {"key_file": arguments.key_file}, None)
        keys = read_keys(config.key_file)
    except ConfigError as error:
        parser.error(str(error))
    ended = False

    def end(_signal: int, _frame: FrameType | None) -> None:
        nonlocal ended
        ended = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    try:
        with ExitStack() as stack:
            viewer = stack.enter_context(Viewer(config, keys))
            if arguments.web:
                print(f"page: {viewer.open_page(*arguments.web)}", file=sys.stderr, flush=True)
            if arguments.json or not sys.stdout.isatty():
                viewer.run(lambda: ended, LINE_MS, viewer.tell)
            else:
                console, parent = Console(), os.getppid()
                with guarded(), Live(console=console, screen=True, auto_refresh=False) as live:
                    viewer.run(
                        lambda: ended or os.getppid() != parent,  # nobody else can bring us to the foreground
                        DRAW_MS,
                        lambda: live.update(viewer.picture(*console.size), refresh=True),
                    )
    except BrokenPipeError:
        raise  # nobody reads any more
    except OSError as error:
        print(f"elevator watch: {error.strerror or error}", file=sys.stderr)
        return 2
    return 0


class Viewer:
    """Listens to the group and shows it."""

    def __init__(self, config: Config, keys: Sequence[bytes]) -> None:
        """Listen on the port of *config* to a group with *keys*; raise OSError if that cannot be."""
        self.group = Group()
        self._admission = Admission(config.group, keys)
        self._config = config
        self._web: Web | None = None
        self._selector = selectors.DefaultSelector()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            self._socket.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            self._socket.bind(("", config.net_port))
        except OSError as error:
            self._socket.close()
            raise OSError(error.errno, f"cannot use UDP port {config.net_port}: {error.strerror}") from None
        self._watch(self._socket, selectors.EVENT_READ, lambda _: self._hear())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._web is not None:
            self._web.close()
        self._socket.close()
        self._selector.close()

    def open_page(self, host: str, port: int) -> str:
        """Show the group on a page as well; return its address."""
        try:
            listener = listen(host, port)
        except OSError as error:
            raise OSError(error.errno, f"cannot listen on {host} port {port}: {error.strerror}") from None
        self._web = Web(listener, self._watch, lambda _: b'{"error":"this only watches"}', host)
        return self._web.address

    def run(self, is_ended: Callable[[], bool], every_ms: int, show: Callable[[], None]) -> None:
        """Listen until *is_ended*, and call *show* every so often."""
        shown_ms = showed_ms = 0
        while not is_ended():
            for key, ready in self._selector.select(SHOW_MS / 1000):
                if key.fileobj in self._selector.get_map():
                    key.data(ready)
            now_ms = clock_ms()
            if self._web is not None and now_ms >= showed_ms + SHOW_MS:
                showed_ms = now_ms
                self._web.show(scene(self.group, now_ms) if self._web.is_watched else {})
            if now_ms >= shown_ms + every_ms:
                shown_ms = now_ms
                self.group = forget(self.group, now_ms)
                show()

    def tell(self) -> None:
        """Print all that is known as a line of JSON."""
        nodes = rows(self.group, clock_ms())
        strangers = sum(self.group.refused.values())
        told = {"time": round(time.time(), 3), "group": self._config.group, "strangers": strangers}
        told["refused"] = self.group.refused
        print(json.dumps({**told, "nodes": nodes}), flush=True)

    def picture(self, width: int, height: int) -> Text:
        """Return the picture for now."""
        return draw(self.group, self._config.group, clock_ms(), width, height)

    def _hear(self) -> None:
        for _ in range(DATAGRAMS_A_TURN):
            try:
                datagram, (address, _port) = self._socket.recvfrom(DATAGRAM_BYTES_MAX + 1)
            except OSError:
                break
            heartbeat = self._admission.admit(datagram)
            if heartbeat is not None:
                self.group = hear(self.group, heartbeat, address, clock_ms())
        self.group = evolve(self.group, refused=dict(self._admission.refused))

    def _watch(self, sock: socket.socket, mask: int, then: Callable[[int], None]) -> None:
        known = sock in self._selector.get_map()
        if known and mask:
            self._selector.modify(sock, mask, then)
        elif known:
            self._selector.unregister(sock)
        elif mask:
            self._selector.register(sock, mask, then)


def clock_ms() -> int:
    """Return milliseconds that only count up."""
    return time.monotonic_ns() // 1_000_000
