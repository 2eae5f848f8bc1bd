"""The command `elevator exam`: its arguments, exit status, summary and progress line."""

import errno
import io
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lab import PATIENCE_S, PROGRAM, free_port

from elevator.cli.exam import _where_to_look, main
from elevator.cli.exam_progress import PRIOR_S, REDRAW_S, Progress, time_left
from elevator.exam.controllers import Controllers
from elevator.exam.results import Level
from elevator.exam.rig import ExamTest, Rig

EXITS = ["--", "sh", "-c", "exit 3"]
"""The last arguments of `elevator exam`: the command of a controller that exits at once, with status 3."""


class NoSignals:
    """Replaces `Signals`, which would change how pytest handles signals."""

    received = None


WITHOUT_NAMESPACES = """
import os, sys
from pathlib import Path
from elevator import _namespace
try:
    _namespace.unshare(0x10000000)
    Path("/proc/sys/user/max_net_namespaces").write_text("0")
except OSError as error:
    sys.exit(f"cannot limit namespaces: {error}")
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""A program that forbids network namespaces and then executes the command in its arguments."""


def exam(*arguments: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*before, *PROGRAM, "exam", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE_S)


def exam_without_namespaces(*arguments: str) -> subprocess.CompletedProcess[str]:
    done = exam(*arguments, before=(sys.executable, "-c", WITHOUT_NAMESPACES))
    if done.stderr.startswith("cannot limit namespaces"):
        pytest.skip(done.stderr)
    return done


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the controller's command is missing: elevator exam [OPTIONS] -- COMMAND"),
        (["--only", "door", "--"], "the controller's command is missing: elevator exam [OPTIONS] -- COMMAND"),
        (["--only", "door,nosuch", *EXITS], "argument --only: there is no test 'nosuch'; --list lists the tests"),
        (["--only", ",", *EXITS], "argument --only: no test is named; --list lists the tests"),
        (["--cars", "0", *EXITS], "argument --cars: '0' is not a whole number from 1 to 64"),
        (["--per-car", "role", *EXITS], "argument --per-car: 'role' is not NAME=VALUE"),
        (["--per-car", "role=A,B", *EXITS], "--per-car role needs 3 values, one for each car"),
        (["--env", "=x", *EXITS], "argument --env: '=x' is not NAME=VALUE"),
        (["--start-gap", "-1", *EXITS], "argument --start-gap: '-1' is not a number from 0 to 600"),
        (["--ready-timeout", "soon", *EXITS], "argument --ready-timeout: 'soon' is not a number from 0 to 600"),
        (["--versus", "'a", *EXITS], 'argument --versus: "\'a" is not a command: No closing quotation'),
        (["--versus", "", *EXITS], "argument --versus: the command is empty"),
        (["--versus", "nosuchprogram x", *EXITS], "cannot start nosuchprogram: there is no such program"),
        (["--", "./nosuchprogram"], f"cannot start {Path.cwd()}/nosuchprogram: there is no such program"),
        (["--first", "exit 4", *EXITS], "the --first command failed with status 4"),
        (["--html", "nosuch/report.html", *EXITS], "cannot write nosuch/report.html: there is no directory nosuch"),
        (["--json", "/", *EXITS], "cannot write /: it is a directory"),
        (["--keep", "pyproject.toml", *EXITS], "cannot use the directory pyproject.toml of --keep: File exists"),
        (["--keep", "tests", *EXITS], "the directory tests of --keep is not empty: empty it or choose another one"),
        (["--port", "x", "--list"], "argument --port: 'x' is not a whole number from 1 to 65000"),
        (["./mycontroller"], "unrecognized arguments: ./mycontroller"),
    ],
)
def test_bad_argument_prints_one_line_and_exits_with_status_2(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("elevator.cli.exam.Signals", NoSignals)
    try:
        status = main(arguments)
    except SystemExit as end:
        status = int(end.code or 0)
    assert status == 2
    assert capfd.readouterr() == ("", f"elevator exam: {message}\n")


def test_port_in_use_prints_one_line_and_exits_with_status_2() -> None:
    """Without namespaces, all elevator servers use the loopback interface of this machine, where the port is taken."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = exam_without_namespaces("--port", str(port), "--only", "door", *EXITS)
    assert done.returncode == 2
    expected = f"elevator exam: cannot listen on 127.0.0.1 port {port}: Address already in use"
    assert done.stderr.splitlines()[-1] == expected
    assert done.stdout == ""


def start_once(self: Controllers, number: int) -> None:
    """Replace `Controllers.start`: a controller ends at once, with status 0. It cannot be started again.

    The second start fails as if the system could create no more processes.
    """
    if self.states[number] != "unstarted":
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    self.states[number] = "ended"
    self.ended[number] = 0


def fail(rig: Rig) -> None:
    raise ValueError("two\nlines")


def restart(rig: Rig) -> None:
    rig.controllers.start(0)
    rig.start([0])


@pytest.mark.parametrize(
    ("run", "line"),
    [
        (restart, "! rest         unjudged cannot start sh: Resource temporarily unavailable"),
        (fail, "! rest         unjudged internal error: ValueError: two lines"),
    ],
)
@pytest.mark.parametrize("passing", [True, False])
def test_exam_continues_after_a_test_that_cannot_run_to_its_end(
    run: Callable[[Rig], None],
    line: str,
    passing: bool,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def check(rig: Rig) -> None:
        rig.check(passing, "G1", Level.MUST, "it works", "it does not")

    monkeypatch.setattr("elevator.cli.exam.Signals", NoSignals)
    monkeypatch.setattr("elevator.cli.exam.obstacle", lambda: "no network")
    monkeypatch.setattr(Controllers, "start", start_once)
    tests = [ExamTest(name, "A test", run, 1) for name, run in (("door", check), ("rest", run), ("single", check))]
    monkeypatch.setattr("elevator.cli.exam.TESTS", {test.name: test for test in tests})
    status = main(["--port", str(free_port(socket.SOCK_STREAM, 3)), *EXITS])
    shown, errors = capfd.readouterr()
    verdict = "✓ {:<13}passed" if passing else "✗ {:<13}failed   G1 failed"
    begins = [verdict.format("door"), line, verdict.format("single")]
    assert [text.startswith(begin) for text, begin in zip(shown.splitlines(), begins, strict=False)] == 3 * [True], (
        shown
    )
    outcome = (
        "Incomplete: 2 of 3 tests passed, 1 unjudged"
        if passing
        else "Failed: 0 of 3 tests passed, 2 failed, 1 unjudged"
    )
    assert outcome in shown
    assert ("Traceback" in errors) == (run is fail)
    assert status == (2 if passing else 1)


def test_tests_that_need_a_network_are_skipped_without_namespaces() -> None:
    port = str(free_port(socket.SOCK_STREAM, 3))
    done = exam_without_namespaces("--port", port, "--only", "door,loss30,unplug", *EXITS)
    advice, consequence = done.stderr.splitlines()
    assert advice.startswith("cannot create network namespaces (")
    assert "sysctl user.max_net_namespaces=" in advice
    assert consequence == "The tests that need a network are skipped."
    door, loss, unplug = done.stdout.splitlines()[:3]
    assert door.startswith("✗ door         failed   C4 failed")
    assert [loss, unplug] == [f"- {name:<13}skipped  {advice}" for name in ("loss30", "unplug")]
    assert done.returncode == 1


def test_tests_that_need_a_network_are_skipped_with_a_single_car() -> None:
    done = exam("--cars", "1", "--only", "loss30", *EXITS)
    assert done.stdout.startswith("- loss30       skipped  it needs two cars\n")
    assert done.returncode == 1, "an exam passes only if a test has passed"


def test_summary_names_the_page_and_the_directory_of_a_failed_test(tmp_path: Path) -> None:
    page, kept, data = tmp_path / "report.html", tmp_path / "new" / "kept", tmp_path / "report.json"
    done = exam("--only", "door", "--html", str(page), "--keep", str(kept), "--json", str(data), *EXITS)
    assert done.stderr == "" or "skipped" in done.stderr
    assert f"  look at   {page}#door and {kept}/door" in done.stdout
    assert 'id="door"' in page.read_text()
    assert '"passed":false' in data.read_text()
    assert sorted(each.name for each in (kept / "door").iterdir()) == ["car-0", "controller-0.log"]


def test_summary_names_the_directory_of_the_repeated_test(tmp_path: Path) -> None:
    assert _where_to_look(None, tmp_path, "door") == f"{tmp_path}/door"
    (tmp_path / "door-repeated").mkdir()
    assert _where_to_look(None, tmp_path, "door") == f"{tmp_path}/door-repeated"
    assert "--html" in _where_to_look(None, None, "door")


def test_both_controllers_of_a_comparison_have_directories_of_their_own(tmp_path: Path) -> None:
    write = "--", "sh", "-c", "ls {dir} >&2; touch {dir}/mine; exit 1"
    done = exam("--only", "door", "--keep", str(tmp_path / "kept"), "--versus", shlex.join(write[1:]), *write)
    assert done.returncode == 1
    logs = [tmp_path / "kept" / each / "controller-0.log" for each in ("door", "versus/door")]
    assert [log.read_text() for log in logs] == ["", ""], "neither finds the file of the other"


def test_preparatory_command_runs_before_the_exam(tmp_path: Path) -> None:
    program = tmp_path / "built"
    build = f"printf '#!/bin/sh\\necho built >&2; exit 5' >{program}; chmod +x {program}"
    done = exam("--only", "door", "--first", build, "--", str(program))
    assert "controller 0 exited with status 5" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_preparatory_command(number: int) -> None:
    command = [*PROGRAM, "exam", "--first", "echo begun; exec sleep 600", *EXITS]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, start_new_session=True) as program:  # type: ignore[call-overload]
        assert program.stdout is not None
        program.stdout.readline()
        program.send_signal(number)
        assert program.communicate(timeout=PATIENCE_S) == ("", "interrupted\n")
        assert program.returncode == 130


# The time left


def test_time_left_starts_as_the_planned_time() -> None:
    assert time_left([30, 60, 10], [], 0) == 100
    assert time_left([30, 60, 10], [], 20) == 80


def test_time_left_follows_the_pace_of_finished_tests() -> None:
    planned_s = [PRIOR_S, PRIOR_S, 100]
    assert time_left(planned_s, [PRIOR_S], 10) == PRIOR_S + 100 - 10
    assert time_left(planned_s, [3 * PRIOR_S], 10) == 2 * (PRIOR_S + 100) - 10


def test_time_left_assumes_a_repetition_once_a_test_exceeds_its_planned_time() -> None:
    assert time_left([30, 60], [], 40) == 20 + 60


def test_time_left_of_skipped_tests_is_zero() -> None:
    assert time_left([0, 0], [], 1) == 0
    assert time_left([30, 0], [30], 1) == 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_line_is_redrawn_as_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    now_s = 0.0
    terminal = Terminal()
    progress = Progress([40, 45], terminal, lambda: now_s)
    progress.begin("First")
    for _ in range(10):
        progress.refresh()
    now_s = REDRAW_S
    progress.refresh()
    now_s = 40.0
    progress.end()
    progress.begin("A test with a long title")
    progress.end()
    drawn = re.split(r"\r", terminal.getvalue().replace("\x1b[K", "|"))
    assert drawn == [
        "",
        "test 1 of 2: First (about 85 s left)|",
        "test 1 of 2: First (about 84 s left)|",
        "|",
        "test 2 of 2: A test with a long title (about 45 s left)|",
        "|",
    ]


def test_progress_line_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    terminal = Terminal()
    Progress([40], terminal, lambda: 0.0).begin("A test with a long title")
    assert terminal.getvalue() == "\rtest 1 of 1: A test\x1b[K"


def test_progress_prints_nothing_without_a_terminal() -> None:
    stream = io.StringIO()
    progress = Progress([40], stream, lambda: 0.0)
    progress.begin("First")
    progress.refresh()
    progress.end()
    assert stream.getvalue() == ""
