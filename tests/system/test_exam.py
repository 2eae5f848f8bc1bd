"""Whole exams of this program's node, and of controllers that start slowly, print a lot or ignore SIGTERM.

No exam may leave a process, a file, a network interface or a namespace behind.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from lab import PATIENCE_S, PROGRAM, free_port

from elevator.exam.report import load
from elevator.exam.results import Grade

NODE = ["--", *PROGRAM, "--id", "{id}", "--port", "{port}", "--floors", "{floors}", "--state-dir", "{dir}"]
EXAM_S = 400.0
"""The timeout of an exam of one or two tests. The exam repeats a test if the machine was overloaded."""
NOBODY = 65_534
EXAM_PROCESSES, NODE_PROCESSES = 2, 3
"""An exam is two processes: itself and its keeper (controllers.py). A node is three: supervisor, worker, recorder."""


class Traces:
    """Finds the processes of an exam, and the namespaces, interfaces and files that it leaves on this machine.

    All processes of the exam inherit a label in their environment.
    """

    def __init__(self, directory: Path) -> None:
        self.temporary = directory / "temporary"
        self.temporary.mkdir()
        self.environment = {**os.environ, "EXAM_UNDER_TEST": str(directory), "TMPDIR": str(self.temporary)}
        self._label = f"EXAM_UNDER_TEST={directory}\0".encode()
        self._interfaces = socket.if_nameindex()
        self._namespaces: set[str] = set()
        """The network namespaces of the exam's processes found so far, except the namespace of this process."""

    def processes(self) -> list[Path]:
        found = [each for each in all_processes() if self._label in environment_of(each)]
        self._namespaces |= {namespace_of(each) for each in found} - {namespace_of(Path("/proc/self")), ""}
        return found

    def expect_none(self, within_s: float = PATIENCE_S) -> None:
        """Wait until the exam has no process, and then until it has no file, each for up to *within_s*.

        Then check that it has left no namespace and no interface.
        """
        wait(lambda: not self.processes(), within_s)
        wait(lambda: not list(self.temporary.iterdir()), within_s)
        left = [each for each in all_processes() if namespace_of(each) in self._namespaces]
        assert all(is_of_another_worker(each) or has_ended(each) for each in left)
        assert socket.if_nameindex() == self._interfaces


def all_processes() -> list[Path]:
    return [each for each in Path("/proc").iterdir() if each.name.isdigit()]


def environment_of(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:  # The process has ended.
        return b""


def has_ended(process: Path) -> bool:
    return not namespace_of(process)


def is_of_another_worker(process: Path) -> bool:
    """Return whether a test in another xdist process started *process*.

    The kernel may give the number of a deleted namespace to a namespace of that test.
    """
    found = re.search(rb"PYTEST_XDIST_WORKER=(\w+)", environment_of(process))
    return found is not None and found[1].decode() != os.environ.get("PYTEST_XDIST_WORKER")


def namespace_of(process: Path) -> str:
    try:
        return str((process / "ns" / "net").readlink())
    except OSError:  # The process has ended.
        return ""


def wait(condition: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)


def arguments(*more: str) -> list[str]:
    return [*PROGRAM, "exam", "--seed", "1", "--port", str(free_port(socket.SOCK_STREAM, 3)), *more]


def python(source: str, *more: str) -> list[str]:
    return ["--", sys.executable, "-c", source, *more]


@contextmanager
def started(traces: Traces, *more: str) -> Iterator[subprocess.Popen[str]]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(arguments(*more), **pipes, text=True, env=traces.environment) as exam:  # type: ignore[call-overload]
        try:
            yield exam
        finally:
            exam.kill()


def run(*more: str, traces: Traces) -> subprocess.CompletedProcess[str]:
    command = arguments(*more)
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=EXAM_S, env=traces.environment)


@pytest.fixture
def traces(tmp_path: Path) -> Traces:
    return Traces(tmp_path)


def test_node_of_this_program_passes_and_all_reports_are_written(tmp_path: Path, traces: Traces) -> None:
    page, data, kept = tmp_path / "report.html", tmp_path / "report.json", tmp_path / "kept"
    reports = ["--html", str(page), "--json", str(data), "--keep", str(kept)]
    done = run("--only", "door,rest", *reports, *NODE, traces=traces)
    traces.expect_none()
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^✓ door +passed +door open \(median\) [34]\d\d\d ms", done.stdout, re.MULTILINE)
    assert "\nPassed: 2 of 2 tests passed, in " in done.stdout
    (report,) = load(data.read_text())
    assert json.loads(data.read_text())["passed"] is True
    assert [(each.name, each.verdict) for each in report.results] == [("door", Grade.PASSED), ("rest", Grade.PASSED)]
    door = report.results[0]
    assert door.timeline is not None
    assert sum(1 for seen in door.timeline.seen if seen.kind == "door" and seen.value) >= 4
    assert {check.rule for check in door.checks} >= {"C4", "C9", "D1", "G1", "L2", "L4"}
    text = page.read_text()
    assert 'id="door"' in text
    assert "<svg" in text
    assert any("in service" in log.read_text() for log in kept.glob("door*/controller-0.log"))
    assert list(kept.glob("door*/car-0/*")), "the record must be kept"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_exam_exits_with_130_and_leaves_nothing_behind(number: int, traces: Traces) -> None:
    with started(traces, "--only", "lamps", *NODE) as exam:
        wait(lambda: len(traces.processes()) >= EXAM_PROCESSES + 3 * NODE_PROCESSES)
        exam.send_signal(number)
        assert exam.communicate(timeout=PATIENCE_S) == ("", "interrupted\n")
        assert exam.returncode == 130
        assert not traces.processes()
    traces.expect_none()


SESSIONS = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
        time.sleep(600)
time.sleep(600)
"""
"""A controller of seven processes that ignore SIGTERM. Most of them have a session of their own."""


def test_killed_exam_leaves_nothing_behind(traces: Traces) -> None:
    with started(traces, "--only", "lamps", *python(SESSIONS)) as exam:
        wait(lambda: len(traces.processes()) >= EXAM_PROCESSES + 3 * 7)
        exam.kill()
        exam.wait()
    traces.expect_none()


def test_controllers_that_ignore_sigterm_are_killed(traces: Traces) -> None:
    done = run("--only", "lamps", "--ready-timeout", "3", *python(SESSIONS), traces=traces)
    assert not traces.processes()
    traces.expect_none()
    assert done.returncode == 1
    assert "controller 0 connects and brings its car to a floor within 3 s" in done.stdout
    assert "controller 0 is not connected to its elevator server" in done.stdout


SLOW = """
import os, sys, time
time.sleep(4)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""A controller that waits 4 s, as if it were compiled first. Then it executes the command in its arguments."""


def test_controller_that_starts_slowly_is_examined(traces: Traces) -> None:
    done = run("--only", "rest", "--cars", "1", *python(SLOW, *NODE[1:]), traces=traces)
    assert done.returncode == 0, done.stdout + done.stderr


CHATTY = """
import subprocess, sys, time
node = subprocess.Popen(sys.argv[1:])
lines, began, number = ("x" * 99 + "\\n") * 1000, time.monotonic(), 0
while node.poll() is None:
    sys.stdout.write(lines)
    sys.stdout.flush()
    number += 1
    time.sleep(max(0.0, began + number * 0.01 - time.monotonic()))
"""
"""A controller that runs the command in its arguments and meanwhile prints 10 MB a second."""


def test_controller_that_prints_a_lot_is_examined(traces: Traces) -> None:
    done = run("--only", "door", *python(CHATTY, *NODE[1:]), traces=traces)
    assert done.returncode == 0, done.stdout + done.stderr
    traces.expect_none()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_tests_that_need_a_network_run_without_root(traces: Traces) -> None:
    for directory in (traces.temporary, *traces.temporary.parents[:3]):
        directory.chmod(0o777)
    traces.environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    program = program_of_nobody(traces.environment)
    node = ["--", *program, *NODE[1 + len(PROGRAM) :]]
    command = [*program, *arguments("--only", "lamps,loss30", *node)[len(PROGRAM) :]]
    done = run_as_nobody(command, traces.environment)
    if "cannot create network namespaces" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nPassed: 2 of 2 tests passed" in done.stdout
    traces.expect_none()


def program_of_nobody(environment: dict[str, str]) -> list[str]:
    """Return a command with which NOBODY can start the program; skip the test if there is none.

    NOBODY may be unable to read the directory of this Python.
    """
    pythons = [sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"]
    for program in (PROGRAM, *([python, "-m", "elevator"] for python in pythons)):
        with suppress(OSError):
            if run_as_nobody([*program, "exam", "--list"], environment).returncode == 0:
                return program
    pytest.skip("a user without root cannot start the program")


def run_as_nobody(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=EXAM_S,
        env=environment,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
    )
