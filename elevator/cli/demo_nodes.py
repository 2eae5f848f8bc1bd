"""The node processes of a demo. They can be killed, frozen and restarted, and never outlive the demo.

All nodes are in one process group. The group's leader is a keeper process, which waits on a pipe from the demo. When
the demo exits for any reason, the kernel closes the pipe, and the keeper terminates the whole group.
"""

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
"""Time for the nodes to start before the first passengers arrive."""
GRACE_S = 60
"""How long the demo waits for passengers who are still under way when its time is up."""
STOP_S = 3.0
"""How long the demo waits for the nodes to exit after SIGTERM. Then it kills them."""
KEEPER_STOP_S = 1.5
"""How long the keeper waits for the nodes to exit after SIGTERM."""
LINES_KEPT = 200
MARK = "ELEVATOR_DEMO_NODE"
"""The environment variable by which the demo finds all processes of a node. Child processes inherit it."""


class Nodes:
    """The processes of all nodes and their output."""

    def __init__(self, building: Building, network: SimulatedNetwork, floors: int, directory: str, group: str) -> None:
        """Start a node for each elevator of *building*. The nodes keep their records in *directory*."""
        self.log: deque[str] = deque(maxlen=LINES_KEPT)
        self.ended: dict[int, int] = {}
        """The number and the exit status of each node that exited by itself."""
        self.states = ["running"] * len(building.ports)
        """The state of each node: "running", "frozen", "killed" (by `kill`) or "ended" (by itself)."""
        self._keeper, self._lifeline = _start_keeper(directory)
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

    def kill(self, number: int) -> None:
        """Kill all processes of a node. Suspend them first, so that none can start a replacement for another."""
        self.states[number] = "killed"
        while pids := _pids_with(self._mark(number)):
            _send(signal.SIGSTOP, pids)
            _send(signal.SIGKILL, pids)
            time.sleep(0.002)  # Killed processes take a moment to disappear.
        self._processes[number].wait()
        self.log.append(f"node {number} was killed")

    def restart(self, number: int) -> None:
        """Start a node that was killed or has exited; do nothing if it runs."""
        if self.states[number] in ("killed", "ended"):
            self.states[number] = "running"
            old = self._processes[number].stdout
            assert old is not None
            old.close()
            self._processes[number] = self._start(number)
            self.log.append(f"node {number} was restarted")

    def freeze(self, number: int, on: bool) -> None:
        """Suspend a running node with SIGSTOP if *on* is true; otherwise resume a frozen node."""
        if self.states[number] == ("running" if on else "frozen"):
            self.states[number] = "frozen" if on else "running"
            _send(signal.SIGSTOP if on else signal.SIGCONT, _pids_with(self._mark(number)))
            self.log.append(f"node {number} was {'frozen' if on else 'resumed'}")

    def poll(self) -> None:
        """Read the nodes' output and detect nodes that have exited."""
        for number, process in enumerate(self._processes):
            assert process.stdout is not None
            chunk = process.stdout.read(65_536)
            *lines, self._partial[number] = (self._partial[number] + (chunk or b"")).split(b"\n")
            # Limit the length of an unfinished line. Replace control characters, which would spoil the picture.
            self._partial[number] = self._partial[number][:1000]
            for line in lines:
                text = line.decode(errors="replace")
                self.log.append("".join(each if each.isprintable() else " " for each in text))
            if self.states[number] in ("killed", "ended") or (status := process.poll()) is None:
                continue
            if not _pids_with(self._mark(number)):  # A worker can survive its supervisor.
                self.states[number] = "ended"
                self.ended[number] = status
                self.log.append(f"node {number} exited by itself with status {status}")

    @property
    def all_ended(self) -> bool:
        """True if every node has exited by itself."""
        return all(state == "ended" for state in self.states)

    def stop(self, meanwhile: Callable[[], None]) -> None:
        """Terminate all nodes; kill those that still run after STOP_S. Call *meanwhile* repeatedly while waiting."""
        for number, process in enumerate(self._processes):
            self.freeze(number, on=False)
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + STOP_S
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
    """Return the command that starts this program."""
    if "__compiled__" in globals():
        # In a Nuitka build, this is the absolute path of the unpacked program, so the nodes run the same build.
        return [sys.argv[0]]
    return [sys.executable, "-m", "elevator"]


def _environment() -> dict[str, str]:
    """Return an environment in which Python finds this package even if it is not installed."""
    package = str(Path(elevator.__file__).parent.parent)
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))}


def _pids_with(mark: str) -> list[int]:
    """Return the ids of the processes whose environment variable MARK has the value *mark*."""
    wanted = f"{MARK}={mark}".encode()
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and wanted in _environment_of(entry).split(b"\0")
    ]


def _environment_of(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:  # The process has exited or belongs to another user.
        return b""


def _send(number: int, pids: Sequence[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # The process has exited.
            os.kill(pid, number)


def _start_keeper(directory: str) -> tuple[int, int]:
    """Fork the keeper; return its process id and the pipe to it. The id is also the process group id of the nodes.

    When the pipe closes, the keeper terminates all processes in the group and deletes *directory*.
    """
    listening, lifeline = os.pipe()
    keeper = os.fork()
    if keeper:
        os.close(listening)
        os.setpgid(keeper, keeper)  # Both processes do this, so that the group exists before the first node joins it.
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
        time.sleep(KEEPER_STOP_S)
        shutil.rmtree(directory, ignore_errors=True)
        os.killpg(0, signal.SIGKILL)
    finally:
        os._exit(0)
