"""The real nodes of a demo: start, kill, freeze, and end them whatever ends the demo."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import elevator
from elevator.building.building import Building
from elevator.building.network import ADDRESS, SimulatedNetwork

BOOT_MS = 1500
"""Passengers come when the nodes have had this time to start."""
GRACE_S = 60
"""How much longer than asked for the demo runs if somebody is still under way."""
END_S = 3.0
"""How long nodes may take to end when they are asked to."""
KEEPER_END_S = 1.5
LINES_KEPT = 200
MARK = "ELEVATOR_DEMO_NODE"
"""A variable in the environment of a node: all its processes are found by it, also those that it has started itself."""


class Nodes:
    """The node processes and what they say."""

    def __init__(self, building: Building, network: SimulatedNetwork, floors: int, directory: str, group: str) -> None:
        """Start a node for each elevator of *building*; their records go to *directory*, which ends with them."""
        self.said: deque[str] = deque(maxlen=LINES_KEPT)
        self.ended: dict[int, int] = {}
        """Exit status of each node that has ended by itself."""
        self._gone: set[int] = set()
        """Nodes none of whose processes is left, although nobody killed them here."""
        self._killed: set[int] = set()
        self._frozen: set[int] = set()
        self._keeper, self._lifeline = _keep(directory)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._partial = [b""] * len(building.ports)
        self._commands: list[list[str]] = []
        for number, (port, net_port) in enumerate(zip(building.ports, network.ports, strict=True)):
            options = {
                "id": number,
                "port": port,
                "floors": floors,
                "net-port": net_port,
                "broadcast": ADDRESS,
                "group": group,
                "state-dir": Path(directory) / str(number),
            }
            flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
            self._commands.append([*_program(), *flags])
            self._processes.append(self._start(number))

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self._commands[number],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=self._keeper,
            env=_environment() | {MARK: self._mark(number)},
        )
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._partial[number] = b""
        return process

    def _mark(self, number: int) -> str:
        return f"{self._keeper}/{number}"

    def state(self, number: int) -> str:
        """Return how a node is: running, frozen, killed, or ended by itself."""
        if number in self._killed:
            return "killed"
        if number in self._gone:
            return "ended"
        return "frozen" if number in self._frozen else "running"

    def kill(self, number: int) -> None:
        """Kill a node with all its processes: stopped first, so that none can replace another meanwhile."""
        self._killed.add(number)
        self._frozen.discard(number)
        while pids := _marked(self._mark(number)):
            _send(signal.SIGSTOP, pids)
            _send(signal.SIGKILL, pids)
            time.sleep(0.002)  # They die in a moment.
        self._processes[number].wait()
        self.said.append(f"node {number} was killed")

    def restart(self, number: int) -> None:
        """Start a node that was killed or has ended; any other goes on."""
        if self.state(number) in ("killed", "ended"):
            self._killed.discard(number)
            self._gone.discard(number)
            self._frozen.discard(number)
            old = self._processes[number].stdout
            assert old is not None
            old.close()
            self._processes[number] = self._start(number)
            self.said.append(f"node {number} was started again")

    def freeze(self, number: int, on: bool) -> None:
        """Stop a running node in its tracks, or let it go on."""
        if self.state(number) == ("running" if on else "frozen"):
            (self._frozen.add if on else self._frozen.discard)(number)
            _send(signal.SIGSTOP if on else signal.SIGCONT, _marked(self._mark(number)))
            self.said.append(f"node {number} was {'frozen' if on else 'let go on'}")

    def look(self) -> None:
        """Take what the nodes have said and notice which have ended."""
        for number, process in enumerate(self._processes):
            assert process.stdout is not None
            chunk = process.stdout.read(65_536)
            *lines, self._partial[number] = (self._partial[number] + (chunk or b"")).split(b"\n")
            # A line without an end is cut short; one line is one line in the picture, so no control characters.
            self._partial[number] = self._partial[number][:1000]
            for line in lines:
                text = line.decode(errors="replace")
                self.said.append("".join(each if each.isprintable() else " " for each in text))
            if number in self._gone or number in self._killed or (status := process.poll()) is None:
                continue
            if not _marked(self._mark(number)):  # A worker without its supervisor lives on as a child of init.
                self._gone.add(number)
                self.ended[number] = status
                self.said.append(f"node {number} has ended with status {status}")

    @property
    def all_ended(self) -> bool:
        """Whether every node has ended by itself."""
        return all(self.state(number) == "ended" for number in range(len(self._processes)))

    def end(self, meanwhile: Callable[[], None]) -> None:
        """Ask all nodes to end, wait while calling *meanwhile*, then kill what is left of them."""
        for number, process in enumerate(self._processes):
            self.freeze(number, on=False)
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + END_S
        while time.monotonic() < deadline and any(process.poll() is None for process in self._processes):
            meanwhile()
        os.killpg(self._keeper, signal.SIGKILL)
        os.waitpid(self._keeper, 0)
        os.close(self._lifeline)
        for process in self._processes:
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _program() -> list[str]:
    """Return the command that starts this very program again."""
    if "__compiled__" in globals():
        # Nuitka makes this the absolute path of the program in the cache: the same build as this one.
        return [sys.argv[0]]
    return [sys.executable, "-m", "elevator"]


def _environment() -> dict[str, str]:
    """Return the environment of a node: it finds this package even if it is not installed."""
    package = str(Path(elevator.__file__).parent.parent)
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))}


def _marked(mark: str) -> list[int]:
    """List the processes that have *mark* in their environment."""
    wanted = f"{MARK}={mark}".encode()
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and wanted in _environment_of(entry).split(b"\0")
    ]


def _environment_of(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:  # It has just ended, or is not ours.
        return b""


def _send(number: int, pids: Sequence[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # It has just ended.
            os.kill(pid, number)


def _keep(directory: str) -> tuple[int, int]:
    """Fork the keeper; return its process id, which is the nodes' process group, and the pipe that holds it off."""
    listening, lifeline = os.pipe()
    keeper = os.fork()
    if keeper:
        os.close(listening)
        os.setpgid(keeper, keeper)  # The keeper does it too; whoever comes first, it is done before a node joins.
        return keeper, lifeline
    try:
        os.setpgid(0, 0)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(nothing, standard)
        os.close(lifeline)
        os.read(listening, 1)
        os.killpg(0, signal.SIGTERM)
        time.sleep(KEEPER_END_S)
        shutil.rmtree(directory, ignore_errors=True)
        os.killpg(0, signal.SIGKILL)
    finally:
        os._exit(0)
