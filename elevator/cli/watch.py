"""`elevator watch`: shows the nodes of a group in the terminal or as lines of JSON, and with `--web` also on a page.

It listens on the group's port and sends the nodes nothing. It can share the port with nodes on the same machine. It
uses the failure detector of the nodes (core/peers.py) to estimate packet loss and to notice timeouts. watch_view.py
computes what to show from the received heartbeats and the time.
"""

import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from types import FrameType
from typing import Self

from attrs import evolve
from rich.console import Console
from rich.live import Live
from rich.text import Text

from elevator.building.building import listen
from elevator.building.control import Refused
from elevator.cli.arguments import PAGE, Arguments, host_and_port, integer
from elevator.cli.watch_view import Group, draw, forget, receive, rows, scene
from elevator.core.peers import HEARTBEAT_MS
from elevator.net.admission import Admission
from elevator.net.broadcast import REFRESH_MS, Interfaces, open_port
from elevator.net.wire import DATAGRAM_BYTES, GROUP_LENGTH_MAX
from elevator.runtime.config import Config, ConfigError, load, read_keys
from elevator.ui.screen import guarded
from elevator.ui.web import Web

TERMINAL_MS, JSON_MS, PAGE_MS = 200, 1000, 50
"""Time between updates of the terminal, the JSON output and the page. A wait for datagrams also ends after PAGE_MS."""
FIRST_LINE_MS = 4 * HEARTBEAT_MS
"""How long to receive before the first line of JSON: a few heartbeats, so that the line normally lists all nodes."""
BATCH = 256
"""Maximum number of datagrams to read before the views are updated."""


def main(argv: list[str]) -> int:
    """Run `elevator watch` until a signal arrives or, in a terminal, the shell exits. Return the exit status."""
    parser = Arguments(
        prog="elevator watch",
        description="Show the nodes of a group. Send nothing to them. "
        "The packet loss is a moving average, which starts at 10 %.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--group", default="lab", help=f"name of the group, up to {GROUP_LENGTH_MAX} bytes; default: lab"
    )
    parser.add_argument(
        "--net-port",
        type=integer(1, 65535),
        default=20145,
        metavar="PORT",
        help="UDP port of the group; default: 20145",
    )
    parser.add_argument(
        "--broadcast",
        metavar="ADDRESS",
        help="the --broadcast of the nodes; needed only if it is a multicast group",
    )
    parser.add_argument(
        "--key-file", metavar="FILE", help="file with the group's key, if the group has one; elevator keygen creates it"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one line of JSON per second, for scripts; default if the output is not a terminal",
    )
    parser.add_argument(
        "--web",
        type=host_and_port,
        nargs="?",
        const=PAGE,
        metavar="[HOST:]PORT",
        help=f"also show a web page; default address: {PAGE[0]}:{PAGE[1]}",
    )
    arguments = parser.parse_args(argv)
    try:
        flags = {"id": 0, "group": arguments.group, "net_port": arguments.net_port}
        optional = {"broadcast": arguments.broadcast, "key_file": arguments.key_file}
        config = load(flags | {name: value for name, value in optional.items() if value is not None}, None)
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
                viewer.run(lambda: ended, JSON_MS, viewer.print_json, FIRST_LINE_MS)
            else:
                console, parent = Console(), os.getppid()
                with guarded(), Live(console=console, screen=True, auto_refresh=False) as live:
                    # Once the shell has exited, nothing can bring this program back to the foreground.
                    viewer.run(
                        lambda: ended or os.getppid() != parent,
                        TERMINAL_MS,
                        lambda: live.update(viewer.picture(*console.size), refresh=True),
                    )
    except BrokenPipeError:
        raise  # __main__.py turns it into an exit status.
    except (OSError, Refused) as error:
        message = getattr(error, "strerror", None) or error
        print(f"elevator watch: {message}", file=sys.stderr)
        return 2
    return 0


class Viewer:
    """Receives a group's heartbeats and updates the views."""

    def __init__(self, config: Config, keys: Sequence[bytes]) -> None:
        """Open the UDP port in *config*; raise OSError if that fails. *keys* are the group's keys."""
        self.group = Group()
        self._admission = Admission(config.group, keys)
        self._config = config
        self._web: Web | None = None
        self._socket = open_port(config.net_port)
        self._interfaces = Interfaces(self._socket, config.broadcast)
        self._selector = selectors.DefaultSelector()
        self._watch(self._socket, selectors.EVENT_READ, lambda _: self._receive())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._web is not None:
            self._web.close()
        self._socket.close()
        self._selector.close()

    def open_page(self, host: str, port: int) -> str:
        """Serve a web page that shows the group; return its URL. Raise Refused if listening there fails."""
        self._web = Web(listen(host, port), self._watch, lambda _: b'{"error":"this page is read-only"}', host)
        return self._web.address

    def run(self, is_ended: Callable[[], bool], interval_ms: int, show: Callable[[], None], first_ms: int = 0) -> None:
        """Receive heartbeats and update the page, if it is served, until *is_ended* returns true.

        Call *show* after *first_ms*, then every *interval_ms*.
        """
        show_at_ms, page_shown_at_ms, refresh_at_ms = clock_ms() + first_ms, 0, 0
        while not is_ended():
            if clock_ms() >= refresh_at_ms:
                refresh_at_ms = clock_ms() + REFRESH_MS
                with suppress(OSError):  # If the kernel lacks memory or descriptors, the next refresh may succeed.
                    self._interfaces.refresh()
            for key, ready in self._selector.select(PAGE_MS / 1000):
                if key.fileobj in self._selector.get_map():
                    key.data(ready)
            now_ms = clock_ms()
            if self._web is not None and now_ms >= page_shown_at_ms + PAGE_MS:
                page_shown_at_ms = now_ms
                self._web.show(scene(self.group, now_ms) if self._web.is_page_open else {})
            if now_ms >= show_at_ms:
                show_at_ms = now_ms + interval_ms
                self.group = forget(self.group, now_ms)
                show()

    def print_json(self) -> None:
        """Print one line of JSON: the state of each node, and how many datagrams were dropped."""
        line = {
            "time": round(time.time(), 3),
            "group": self._config.group,
            "strangers": sum(self.group.refused.values()),
            "refused": self.group.refused,
            "nodes": rows(self.group, clock_ms()),
        }
        print(json.dumps(line), flush=True)

    def picture(self, width: int, height: int) -> Text:
        return draw(self.group, self._config.group, clock_ms(), width, height)

    def _receive(self) -> None:
        for _ in range(BATCH):
            try:
                datagram, (address, _port) = self._socket.recvfrom(DATAGRAM_BYTES + 1)
            except OSError:
                break
            heartbeat = self._admission.admit(datagram)
            if heartbeat is not None:
                self.group = receive(self.group, heartbeat, address, clock_ms())
        self.group = evolve(self.group, refused=dict(self._admission.refused))

    def _watch(self, sock: socket.socket, mask: int, callback: Callable[[int], None]) -> None:
        """Make `run` call *callback* with the events of *mask* that occur on *sock*. If *mask* is 0, stop watching."""
        is_known = sock in self._selector.get_map()
        if is_known and mask:
            self._selector.modify(sock, mask, callback)
        elif is_known:
            self._selector.unregister(sock)
        elif mask:
            self._selector.register(sock, mask, callback)


def clock_ms() -> int:
    return time.monotonic_ns() // 1_000_000
