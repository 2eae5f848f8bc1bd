"""The processes of the controllers. They can be killed, frozen and restarted, and end when this process ends.

An environment variable marks all processes of a controller, including those that it starts itself. A keeper process
waits on a pipe from this process. If this process exits without stopping the controllers, the kernel closes the pipe,
and the keeper terminates them.
"""

import os
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from attrs import frozen

STOP_S = 3.0
"""How long `stop` waits at most for the controllers to exit after SIGTERM. Then it kills them."""
KEEPER_STOP_S = 1.5
"""This long after SIGTERM, the keeper kills the controllers that still run."""
LINES_KEPT = 200
LINE_LENGTH = 1000
"""The maximum length of a line in `Controllers.log`, in bytes. The rest of a longer line is dropped."""
LOG_BYTES = 10_000_000
"""The maximum size of a controller's log file, without DROPPED. A controller may print in a busy loop."""
DROPPED = b"\n[The file is full. What the controller printed from here on was dropped.]\n"
MARK = "ELEVATOR_CONTROLLER"
"""This environment variable identifies all processes of a controller, because child processes inherit it."""


@frozen
class Launch:
    """How to start one controller."""

    command: Sequence[str]
    environment: Mapping[str, str]
    directory: str | None = None
    """The working directory; None: the directory of this process."""
    context: Callable[[], AbstractContextManager[None]] = nullcontext
    """Returns the context in which the process is started, such as a network namespace."""


class Controllers:
    """The processes of all controllers and their output."""

    def __init__(
        self, launches: Sequence[Launch], scratch: str, noun: str, logs: Path | None = None, niceness: int = 0
    ) -> None:
        """Start the keeper, but no controller yet: `start` starts one of *launches*.

        If this process exits without `stop`, the keeper deletes the directory *scratch*, unless it is "". *noun* names
        a controller in `log` and in file names. If *logs* is given, each controller's output is appended to a file in
        this directory, up to LOG_BYTES. The niceness of controllers is that of this process plus *niceness*.
        """
        self.log: deque[str] = deque(maxlen=LINES_KEPT)
        """The last lines that the controllers printed, mixed with notes such as "node 1 was killed"."""
        self.ended: dict[int, int] = {}
        """By number, the last exit status of each controller that has exited by itself; -N for signal N. A restart does
        not remove it."""
        self.states = ["unstarted"] * len(launches)
        """For each controller: "unstarted", "running", "frozen", "killed" (by `kill`) or "ended" (by itself)."""
        self.launches = list(launches)
        """How to start each controller. A change of an entry takes effect at the next start of the controller."""
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        """For each controller that was started, the process that the last `start` created."""
        self._noun = noun
        self._niceness = niceness
        self._keeper, self._lifeline = _start_keeper(scratch)
        self._partial = [b""] * len(launches)
        self._files = None if logs is None else [(logs / f"{noun}-{n}.log").open("ab", 0) for n in range(len(launches))]

    def start(self, number: int) -> None:
        """Start or restart a controller unless it is running or frozen; raise OSError if that fails."""
        if self.states[number] in ("running", "frozen"):
            return
        launch = self.launches[number]
        with launch.context():
            process = subprocess.Popen(
                launch.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                process_group=self._keeper,
                env={**launch.environment, MARK: self._mark(number)},
                cwd=launch.directory,
                # After a fork, other threads could hold locks forever. This process has only one thread.
                preexec_fn=lambda: os.nice(self._niceness),  # noqa: PLW1509
            )
        if self.states[number] != "unstarted":
            self.log.append(f"{self._noun} {number} was restarted")
        self.states[number] = "running"
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        if (old := self.processes.get(number)) is not None:
            assert old.stdout is not None
            old.stdout.close()
        self.processes[number] = process
        self._partial[number] = b""

    def _mark(self, number: int) -> str:
        return _mark(self._keeper, number)

    def kill(self, number: int) -> None:
        """Kill all processes of a controller. First freeze all of them, so that none can restart another."""
        self.states[number] = "killed"
        _kill_all(self._mark(number))
        if number in self.processes:
            self.processes[number].wait()
        self.log.append(f"{self._noun} {number} was killed")

    def pids(self, number: int) -> list[int]:
        """Return the ids of all processes of a controller."""
        return _pids_with(self._mark(number))

    def freeze(self, number: int, on: bool) -> None:
        """Freeze a running controller with SIGSTOP if *on* is true; otherwise resume a frozen one."""
        if self.states[number] == ("running" if on else "frozen"):
            self.states[number] = "frozen" if on else "running"
            _send(signal.SIGSTOP if on else signal.SIGCONT, self.pids(number))
            self.log.append(f"{self._noun} {number} was {'frozen' if on else 'resumed'}")

    def poll(self) -> None:
        """Read the controllers' output and detect controllers that have exited."""
        for number, process in self.processes.items():
            assert process.stdout is not None
            chunk = process.stdout.read(65_536) or b""
            self._keep(number, chunk)
            *lines, self._partial[number] = (self._partial[number] + chunk).split(b"\n")
            self._partial[number] = self._partial[number][:LINE_LENGTH]
            self.log.extend(_printable(line[:LINE_LENGTH]) for line in lines[-LINES_KEPT:])
            if self.states[number] in ("killed", "ended") or (status := process.poll()) is None:
                continue
            if not self.pids(number):  # Other processes of the controller may outlive its first one.
                self.states[number] = "ended"
                self.ended[number] = status
                self.log.append(f"{self._noun} {number} exited by itself with status {status}")

    def _keep(self, number: int, chunk: bytes) -> None:
        """Append *chunk* to the log file of a controller, if there is one.

        If *chunk* does not fit, append the part that fits and DROPPED, and from then on nothing.
        """
        if chunk and self._files is not None and (room := LOG_BYTES - self._files[number].tell()) >= 0:
            self._files[number].write(chunk if len(chunk) <= room else chunk[:room] + DROPPED)

    @property
    def all_ended(self) -> bool:
        """True if every controller has exited by itself."""
        return all(state == "ended" for state in self.states)

    def stop(self, meanwhile: Callable[[], None]) -> None:
        """Send SIGTERM to all controllers, wait up to STOP_S, and kill what still runs.

        During the wait, call *meanwhile* in a loop. The keeper ends too, so no controller can be started afterwards.
        """
        for number, process in self.processes.items():
            self.freeze(number, on=False)
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + STOP_S
        while time.monotonic() < deadline and any(process.poll() is None for process in self.processes.values()):
            meanwhile()
        os.killpg(self._keeper, signal.SIGKILL)
        os.waitpid(self._keeper, 0)
        os.close(self._lifeline)
        _kill_all(_mark(self._keeper))
        for process in self.processes.values():
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        for file in self._files or ():
            file.close()


def _printable(line: bytes) -> str:
    """Return *line* as text, with a space for each unprintable character, which could garble the terminal."""
    text = line.decode(errors="replace")
    if text.isprintable():  # The usual case. It must be fast: a controller may print megabytes per second.
        return text
    return "".join(each if each.isprintable() else " " for each in text)


def _mark(keeper: int, number: int | None = None) -> str:
    """Return the value of MARK for controller *number*; without *number*, the prefix that all controllers share."""
    return f"{keeper}/" if number is None else f"{keeper}/{number}/"


def _pids_with(mark: str) -> list[int]:
    """Return the ids of the processes that have MARK in their environment, with a value that begins with *mark*."""
    wanted = f"\0{MARK}={mark}".encode()
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and wanted in b"\0" + _environment_of(entry)
    ]


def _kill_all(mark: str) -> None:
    while pids := _pids_with(mark):
        _send(signal.SIGSTOP, pids)
        _send(signal.SIGKILL, pids)
        time.sleep(0.002)  # Killed processes take a moment to disappear.


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
    """Fork the keeper. Return its process id, which is also the controllers' process group, and the pipe to it.

    When the pipe closes, the keeper terminates all controllers, deletes *directory* unless it is "", and exits.
    """
    listening, lifeline = os.pipe()
    keeper = os.fork()
    if keeper:
        os.close(listening)
        os.setpgid(keeper, keeper)  # Both processes do this, so the group exists before either uses it.
        return keeper, lifeline
    try:
        os.setpgid(0, 0)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        devnull = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(devnull, standard)
        # Otherwise, a socket would stay open after the other process has closed it.
        os.closerange(3, listening)
        os.closerange(listening + 1, os.sysconf("SC_OPEN_MAX"))
        os.read(listening, 1)
        os.killpg(0, signal.SIGTERM)
        time.sleep(KEEPER_STOP_S)
        _kill_all(_mark(os.getpid()))
        shutil.rmtree(directory, ignore_errors=True)
        os.killpg(0, signal.SIGKILL)
    finally:
        os._exit(0)
