"""A laboratory of real processes: a simulator with several elevators, and nodes, over real TCP and UDP.

Tests press buttons and read events through the simulator's control socket. They measure no times, and every wait has a
generous timeout, because the machine may be slow.
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from elevator.core.messages import Heartbeat
from elevator.net.broadcast import LOOPBACK
from elevator.net.seal import HEAD_BYTES
from elevator.net.wire import decode

PROGRAM = shlex.split(os.environ.get("ELEVATOR_PROGRAM", "")) or [sys.executable, "-m", "elevator"]
"""The command that starts the program under test. The environment variable ELEVATOR_PROGRAM overrides it."""
PATIENCE_S = 40.0
"""The timeout of every wait."""
FORBIDDEN = (
    *("unshare", "--user", "--map-root-user", "sh", "-c"),
    'echo 0 >/proc/sys/user/max_net_namespaces && exec "$@"',
    "sh",
)
"""Runs the command after it where the system allows no network namespace."""


def free_port(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def free_ports(count: int) -> int:
    """Return the first of *count* consecutive TCP ports that are free."""
    while True:
        first = free_port(socket.SOCK_STREAM)
        if first + count < 65536 and all(is_free(first + number) for number in range(count)):
            return first


class Lab:
    """A simulator of several elevators, and the nodes that drive them."""

    def __init__(
        self,
        directory: Path,
        cars: int,
        floors: int,
        at: int,
        more: tuple[str, ...],
        travel_ms: int,
        cards: bool,
        net_port: int | None,
        broadcast: str | None,
    ) -> None:
        self.more = more
        self.directory = directory
        self.floors = floors
        self.net_port = net_port or free_port(socket.SOCK_DGRAM)
        self.broadcast = broadcast
        self.nodes: dict[int, subprocess.Popen[bytes]] = {}
        self.cards = cards
        self.port = free_ports(cars)
        arguments = ["--cars", cars, "--port", self.port, "--floors", floors, "--control", 0, "--at", at]
        arguments += ["--travelTimeBetweenFloors_ms", travel_ms, "--travelTimePassingFloor_ms", travel_ms // 4]
        arguments += ["--card", directory / "card-"] if cards else []
        self.sim = subprocess.Popen([*PROGRAM, "sim", *map(str, arguments)], stdout=subprocess.PIPE, text=True)
        assert self.sim.stdout is not None
        control = int(self.sim.stdout.readline().rsplit(" ", 1)[1])
        self._socket = socket.create_connection(("127.0.0.1", control))
        self._lines = self._socket.makefile("rw", encoding="utf-8")

    def command(self, id: int, *more: str) -> list[str]:
        """Return the command that starts node *id*.

        The command disables parking. Otherwise, a car parked at the floor of a press serves the call without a lamp.
        """
        at = ["--serial", self.directory / f"card-{id}"] if self.cards else ["--port", self.port + id]
        arguments = ["--id", id, *at, "--floors", self.floors, "--net-port", self.net_port, "--park", "none"]
        arguments += ["--state-dir", self.directory / f"state-{id}"]
        arguments += ["--broadcast", self.broadcast] if self.broadcast else []
        return [*PROGRAM, *map(str, arguments), *self.more, *more]

    def start(self, id: int, *more: str) -> None:
        """Start node *id*, and append its log to a file in the lab's directory."""
        with (self.directory / f"node-{id}.log").open("ab") as log:
            self.nodes[id] = subprocess.Popen(self.command(id, *more), stderr=log, start_new_session=True)

    def signal(self, id: int, number: signal.Signals) -> None:
        """Send a signal to all processes of node *id*."""
        os.killpg(self.nodes[id].pid, number)

    def kill(self, id: int) -> None:
        """Kill all processes of node *id* at once, as a power cut does."""
        self.signal(id, signal.SIGKILL)
        self.nodes.pop(id).wait()

    def processes(self, id: int, name: str) -> list[int]:
        """Return the ids of node *id*'s processes that are called *name*: "pair", "worker" or "disk"."""
        return [pid for pid in processes_of(self.nodes[id].pid) if comm(pid) == f"elevator:{name}"]

    def heartbeat(self, id: int) -> Heartbeat:
        """Wait for the next heartbeat of node *id*. The group has the default name and no key."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
                receiver.setsockopt(socket.SOL_SOCKET, option, 1)
            receiver.bind(("", self.net_port))
            while True:
                heartbeat = decode(receiver.recv(10_000)[HEAD_BYTES:], "lab")
                if heartbeat is not None and heartbeat.sender.id == id:
                    return heartbeat

    def ask(self, do: str, **what: object) -> dict[str, Any]:
        self._lines.write(json.dumps({"do": do, **what}) + "\n")
        self._lines.flush()
        answer: dict[str, Any] = json.loads(self._lines.readline())
        assert answer.get("ok"), answer
        return answer

    def press(self, car: int, button: str, floor: int) -> None:
        self.ask("press", car=car, button=button, floor=floor)

    def states(self) -> list[dict[str, Any]]:
        states: list[dict[str, Any]] = self.ask("state")["cars"]
        return states

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.ask("events", since=0)["events"] if event["kind"] == kind]

    def lamps(self, car: int) -> set[tuple[str, int]]:
        return {(kind, floor) for kind, floors in self.states()[car]["lamps"].items() for floor in floors}

    def log(self, id: int) -> str:
        return (self.directory / f"node-{id}.log").read_text()

    def wait(self, condition: Callable[[], object], what: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, f"timed out waiting until {what}"
            time.sleep(0.02)

    def wait_for(self, id: int, text: str, times: int = 1) -> None:
        """Wait until the log of node *id* contains *text* at least *times* times."""
        self.wait(lambda: self.log(id).count(text) >= times, f"node {id} logs {text!r}")

    def wait_until_dark(self) -> None:
        self.wait(lambda: not any(self.lamps(id) for id in self.nodes), "all lamps are off")

    def wait_until_ready(self) -> None:
        """Wait until every node is in service and has heard from all others."""
        others = len(self.nodes) - 1
        for id in self.nodes:
            self.wait_for(id, "in service")
            self.wait_for(id, " is alive", others)

    def misbehaviour(self) -> int:
        return sum(state["misbehaviour"] + state["counts"]["bad_requests"] for state in self.states())

    def close(self) -> None:
        processes: list[subprocess.Popen[Any]] = [*self.nodes.values(), self.sim]
        for process in processes:
            if process is not self.sim:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGCONT)
            process.terminate()
        for process in processes:
            process.wait(PATIENCE_S)
        for process in self.nodes.values():
            if processes_of(process.pid):  # The first supervisor has ended, and a later one still runs.
                os.killpg(process.pid, signal.SIGKILL)
        self._lines.close()
        self._socket.close()
        assert self.sim.stdout is not None
        self.sim.stdout.close()


def processes_of(session: int) -> list[int]:
    """Return the ids of all processes of *session*, except zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, _, of = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(of) == session and state != "Z":
                found.append(int(entry.name))
    return found


def comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@contextmanager
def demo(*arguments: str, prefix: Sequence[str] = ()) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `elevator demo` with *arguments*. Yield the process and the address of its page.

    *prefix* is a command that runs the command after it, such as `env`.
    """
    command = [*prefix, *PROGRAM, "demo", "--web", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            while not (line := process.stdout.readline()).startswith("page: "):
                assert line, "the demo ended early"
            yield process, line.split()[1]
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE_S)


@contextmanager
def lab(
    directory: Path,
    cars: int = 3,
    floors: int = 4,
    at: int = 0,
    start: bool = True,
    more: tuple[str, ...] = (),
    travel_ms: int = 800,
    cards: bool = False,
    net_port: int | None = None,
    broadcast: str | None = LOOPBACK,
) -> Iterator[Lab]:
    """Open a lab with *cars* elevators that start at floor *at* and take *travel_ms* from floor to floor.

    If *start* is true, start a node for each elevator and wait until all nodes are ready. *more* are additional
    arguments of the nodes. If *cards* is true, nodes use simulated I/O cards instead of elevator servers. *net_port* is
    the UDP port of the group; default: a free port. *broadcast* is the nodes' --broadcast; default: no such option.
    """
    opened = Lab(directory, cars, floors, at, more, travel_ms, cards, net_port, broadcast)
    try:
        for id in range(cars if start else 0):
            opened.start(id)
        if start:
            opened.wait_until_ready()
        yield opened
    finally:
        opened.close()
