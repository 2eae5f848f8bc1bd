"""Labs: simulated elevators in this process, and nodes in processes of their own. Also runs `demo` and `watch`.

A node connects to its elevator by TCP, or by a pseudo-terminal in place of an I/O card. Nodes exchange real UDP
datagrams. The elevators answer only in `run`, and in functions that call it, such as `wait` and `complete`. Every wait
has a generous timeout, because the machine may be slow.
"""

import json
import os
import secrets
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from subprocess import PIPE
from typing import Any

from attrs import frozen

from elevator.building import elevators
from elevator.building.building import Building, listen
from elevator.building.card_line import CardLine
from elevator.building.elevators import Event, EventKind
from elevator.building.shaft import Shaft, put
from elevator.core.call_set import mask
from elevator.core.messages import Heartbeat
from elevator.core.model import Button, Motor, bits
from elevator.exam.controllers import Controllers, Launch
from elevator.exam.group import ControllerGroup
from elevator.exam.sandbox import Namespace
from elevator.net.broadcast import LOOPBACK
from elevator.net.seal import HEAD_BYTES
from elevator.net.wire import decode

PROGRAM = shlex.split(os.environ.get("ELEVATOR_PROGRAM", "")) or [sys.executable, "-m", "elevator"]
"""The command that starts the program under test. The environment variable ELEVATOR_PROGRAM overrides it."""
PATIENCE_S = 40.0
"""The timeout of every wait."""
WITHOUT_NAMESPACES = (
    *("unshare", "--user", "--map-root-user", "sh", "-c"),
    'echo 0 >/proc/sys/user/max_net_namespaces && exec "$@"',
    "sh",
)
"""A prefix for a command, which then runs as if this machine allowed no network namespaces."""
POLL_S = 0.02
"""The pause between two checks of the condition of a wait, and between two polls of the nodes in `run`."""
PRESS_MS = 500
"""How long a press lasts by default. The elevators do not answer while this process searches /proc for a node's
processes. On a slow machine, a shorter press could begin and end in that time."""


def free_port(kind: int, count: int = 1) -> int:
    """Return the first of *count* consecutive free ports for sockets of a *kind*, such as SOCK_DGRAM.

    The ports are not ephemeral, so the kernel does not choose one of them for another socket.
    """
    while True:
        first = secrets.choice(range(15_000, 30_000))
        if all(is_free(kind, first + number) for number in range(count)):
            return first


def is_free(kind: int, port: int) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


class Lab(ControllerGroup):
    """Simulated elevators, and the nodes that drive them.

    In the methods, *id* is the number of a node's car. It is also the node's id, unless the test gives it another one.
    """

    def __init__(
        self,
        directory: Path,
        building: Building,
        net_port: int,
        options: Sequence[str],
        hosts: Sequence[Namespace | None],
    ) -> None:
        """Keep records and logs in *directory*. *options* are arguments of all nodes.

        *hosts* are the hosts of the nodes, in the order of the cars; None: this process's host.
        """
        self.directory = directory
        self.net_port = net_port
        self._options = options
        launches = [Launch((), {}, None, nullcontext if host is None else host.entered) for host in hosts]
        super().__init__(building, Controllers(launches, "", "node", directory), None)

    # Nodes

    def command(self, id: int, *more: str) -> list[str]:
        """Return the command that starts node *id*, with the additional arguments *more*.

        It disables parking: a car that is parked at the floor of a press could serve the call before its lamp lights.
        """
        has_card = id in self.building.cards
        at = ["--serial", self.directory / f"card-{id}"] if has_card else ["--port", self.building.ports[id]]
        arguments = ["--id", id, *at, "--floors", self.floors, "--net-port", self.net_port, "--park", "none"]
        arguments += ["--state-dir", self.directory / f"state-{id}"]
        return [*PROGRAM, *map(str, arguments), *self._options, *more]

    def start(self, id: int, *more: str) -> None:
        """Start node *id* with the additional arguments *more*."""
        self.launch(id, self.command(id, *more))

    def launch(self, id: int, command: Sequence[str]) -> None:
        """Start node *id* with *command*, and append its log to a file in the lab's directory."""
        self.controllers.poll()  # Read what the node has logged before.
        self.controllers.launches[id] = Launch(command, os.environ, None, self.controllers.launches[id].context)
        self.controllers.start(id)

    def first(self, id: int) -> subprocess.Popen[bytes]:
        """Return the process with which node *id* last started: its first supervisor, or without a pair the worker."""
        return self.controllers.processes[id]

    def processes(self, id: int, name: str) -> list[int]:
        """Return the pids of node *id*'s processes called *name*: "pair" (supervisor), "worker", "disk" (recorder)."""
        return [pid for pid in self.controllers.pids(id) if comm(pid) == f"elevator:{name}"]

    def end(self, id: int, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to the first process of node *id*, and `wait_for_end`."""
        self.first(id).send_signal(number)
        self.wait_for_end(id)

    def wait_for_end(self, id: int) -> None:
        """Wait until no process of node *id* runs; expect its first process to exit with status 0."""
        self.wait(lambda: self.has_ended(id), f"node {id} ended")
        assert self.controllers.ended[id] == 0

    @property
    def running(self) -> list[int]:
        return [id for id, state in enumerate(self.controllers.states) if state == "running"]

    def log(self, id: int) -> str:
        self.controllers.poll()
        return (self.directory / f"node-{id}.log").read_text()

    def heartbeat(self, id: int) -> Heartbeat:
        """Wait for the next heartbeat of node *id* and return it. The group must have the default name and no key."""
        found: list[Heartbeat] = []

        def receive(_: int) -> None:
            heartbeat = decode(receiver.recv(10_000)[HEAD_BYTES:], "lab")
            if heartbeat is not None and heartbeat.sender.id == id:
                found.append(heartbeat)

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
                receiver.setsockopt(socket.SOL_SOCKET, option, 1)
            receiver.bind(("", self.net_port))
            self.building.watch(receiver, selectors.EVENT_READ, receive)
            self.wait(lambda: found, f"node {id} sends a heartbeat")
            self.building.watch(receiver, 0, receive)
        return found[0]

    def cpu_s(self, id: int, name: str | None = None) -> float:
        """Return how much processor time the running processes of node *id* have used.

        If *name* is given, only the processes with this name count (see `processes`).
        """
        pids = self.controllers.pids(id) if name is None else self.processes(id, name)
        schedules = [Path(f"/proc/{pid}/schedstat").read_text() for pid in pids]
        return sum(int(each.split()[0]) for each in schedules) / 1e9

    # Elevators

    def lamps(self, car: int) -> set[tuple[Button, int]]:
        return {(button, floor) for button in Button for floor in bits(mask(self.elevator(car).lamps, button))}

    def motor(self, car: int) -> Motor:
        return Motor(self.elevator(car).shaft.motor)

    def was_open(self, car: int, floor: int) -> bool:
        """Return whether the door of *car* has ever opened at *floor*, except before the car first moved."""
        at = None
        for seen in self.seen:
            if seen.car == car and seen.kind is EventKind.SENSOR:
                at = seen.value
            if seen.car == car and seen.kind is EventKind.DOOR and seen.value and at == floor:
                return True
        return False

    def misbehaviour(self) -> int:
        """Return how often all nodes together did something unsafe or sent a bad request."""
        counts = [self.elevator(car).counts for car in range(self.cars)]
        return sum(elevators.misbehaviour(each) + each.bad_requests for each in counts)

    # Waiting

    def run(self, seconds: float) -> None:
        """Run the elevators for *seconds*, and read the output of the nodes."""
        end, poll_at = time.monotonic() + seconds, 0.0
        while (now := time.monotonic()) < end:
            self.building.run_once(min(end - now, POLL_S))
            if now >= poll_at:
                poll_at = now + POLL_S
                self.controllers.poll()

    def wait(self, condition: Callable[[], object], what: str = "the condition holds") -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, f"timed out waiting until {what}"
            self.run(POLL_S)

    def wait_for(self, id: int, text: str, times: int = 1) -> None:
        """Wait until the log of node *id* contains *text* at least *times* times."""
        self.wait(lambda: self.log(id).count(text) >= times, f"node {id} logs {text!r}")

    def wait_until_dark(self) -> None:
        self.wait(lambda: not any(self.lamps(id) for id in self.running), "all lamps are off")

    def wait_until_ready(self) -> None:
        """Wait until each running node has logged "in service", and "is alive" once for each other running node.

        Lines from before a restart count too.
        """
        for id in self.running:
            self.wait_for(id, "in service")
            self.wait_for(id, " is alive", len(self.running) - 1)

    def wait_for_event(self, matches: Callable[[int, Event], bool], what: str) -> float:
        """Wait for an event for which *matches*(car, event) is true; return its time in ms of the monotonic clock.

        Only events recorded from this call on count. The building records the effects of a killed process only while a
        test waits, so the caller may kill the process before this call.
        """
        found: list[float] = []

        def observe(car: int, event: Event, at_us: int) -> None:
            if matches(car, event):
                found.append(at_us / 1000)

        self.building.history.observers.append(observe)
        self.wait(lambda: found, what)
        self.building.history.observers.remove(observe)
        return found[0]

    def complete(self, *command: str, host: Namespace | None = None) -> subprocess.CompletedProcess[str]:
        """Run *command* on *host* (default: this process's host) until it exits; return its status and output.

        The output must fit in a pipe's buffer.
        """
        with nullcontext() if host is None else host.entered():
            process = subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True, encoding="utf-8")
        with process:
            self.wait(lambda: process.poll() is not None, f"{command[1:]} exits")
            return subprocess.CompletedProcess(command, process.returncode, *process.communicate())

    def close(self) -> None:
        self.controllers.stop(lambda: self.run(POLL_S))
        for card in self.building.cards.values():
            card.unplug()
        self.building.close()


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


@contextmanager
def demo(*arguments: str, prefix: Sequence[str] = ()) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `elevator demo` with *arguments*. Yield the process and the address of its page.

    *prefix* is a command that runs the command after it, such as `env`.
    """
    command = [*prefix, *PROGRAM, "demo", "--web", "0", *arguments]
    with subprocess.Popen(command, stdout=PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            while not (line := process.stdout.readline()).startswith("page: "):
                assert line, "the demo ended early"
            yield process, line.split()[1]
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE_S)


@frozen
class Watch:
    """A running `elevator watch --json`."""

    process: subprocess.Popen[str]
    output: Path

    @property
    def lines(self) -> list[dict[str, Any]]:
        """All lines printed so far, as parsed JSON."""
        return [json.loads(line) for line in self.output.read_text().splitlines(keepends=True) if line[-1] == "\n"]

    @property
    def last(self) -> dict[str, Any]:
        """The last line; if there is none yet, a group without nodes."""
        return self.lines[-1] if self.lines else {"nodes": [], "refused": {}}

    def alive(self) -> list[int]:
        """Return the ids of the nodes that are alive."""
        return [node["id"] for node in self.last["nodes"] if node["alive"]]


@contextmanager
def watching(*arguments: str, host: Namespace | None = None) -> Iterator[Watch]:
    """Run `elevator watch --json` with *arguments* on *host*; default: this process's host."""
    command = [*PROGRAM, "watch", "--json", *arguments]
    with tempfile.NamedTemporaryFile() as output, ExitStack() as stack:
        with nullcontext() if host is None else host.entered():
            process = subprocess.Popen(command, stdout=output, stderr=PIPE, text=True)
        stack.enter_context(process)
        stack.callback(process.terminate)
        yield Watch(process, Path(output.name))


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
    hosts: Sequence[Namespace] = (),
) -> Iterator[Lab]:
    """Open a lab with *cars* elevators that start at floor *at*.

    A car takes *travel_ms* from one floor sensor to the next, and a quarter of that to pass a sensor.

    If *start* is true, start a node for each elevator and wait until all nodes are ready. *more* are additional
    arguments of the nodes. If *cards* is true, nodes use simulated I/O cards instead of elevator servers. *net_port* is
    the UDP port of the group; default: a free port. *broadcast* is the nodes' --broadcast; None: no such option.
    *hosts* contains, for each car, the host of its server and its node. It replaces *cars*. Default: this process's
    host for all cars.
    """
    places: Sequence[Namespace | None] = hosts or [None] * cars
    cars = len(places)
    listeners = []
    for host in places:
        with nullcontext() if host is None else host.entered():
            listeners.append(listen("127.0.0.1", 0))
    building = Building([put(Shaft(floors, travel_ms, travel_ms // 4), at, 0)] * cars, listeners, PRESS_MS)
    for car in range(cars if cards else 0):
        CardLine(building, car, directory / f"card-{car}")
    options = (*(("--broadcast", broadcast) if broadcast else ()), *more)
    opened = Lab(directory, building, net_port or free_port(socket.SOCK_DGRAM), options, places)
    try:
        for id in range(cars if start else 0):
            opened.start(id)
        if start:
            opened.wait_until_ready()
        yield opened
    finally:
        opened.close()
