"""How the exam starts controllers and runs its tests."""

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
from attrs import evolve
from lab import free_port

from elevator.building.control import Refused
from elevator.core.model import Button
from elevator.exam.controllers import DROPPED, MARK
from elevator.exam.examiner import LATE_MS, NICENESS, ExamSetting, examine, skipped
from elevator.exam.judge import CLEARED_BEFORE_OPEN_MS, Judge
from elevator.exam.results import Check, Grade, Level, Result
from elevator.exam.rig import ExamTest, Rig
from elevator.exam.setup import BadCommand, Subject, check_program, fill, prepare_launch
from elevator.exam.switch import EthernetSwitch
from elevator.exam.tests_single import check_stops

IDLE = "import time; time.sleep(60)"
SEED_AT_A_FLOOR = 2
"""With this seed, the car of the test "short" starts at a floor."""


def subject(*command: str, **more: object) -> Subject:
    return Subject(command, {**os.environ}, port=free_port(socket.SOCK_STREAM, 3), **more)  # type: ignore[arg-type]


def setting(keep: Path | None = None, ready_s: float = 0.1) -> ExamSetting:
    return ExamSetting(cars=2, floors=4, seed=1, has_network=False, keep=keep, ready_s=ready_s)


def run(test: Callable[[Rig], None], examined: Subject, used: ExamSetting, cars: int = 1) -> Result:
    return examine(ExamTest("short", "A short test", test, cars), examined, used, lambda: None)


def test_placeholders_are_filled_and_other_braces_are_left_alone() -> None:
    values = {"id": 2, "port": 15659, "dir": "here"}
    assert fill("--id={id} ${HOME} {} {other} {id}{port}", values) == "--id=2 ${HOME} {} {other} 215659"
    assert fill("awk '{print $1}' {idx}", values) == "awk '{print $1}' {idx}"


def test_value_of_a_placeholder_is_not_filled_again() -> None:
    assert fill("{role} {id}", {"role": "{id}", "id": 3}) == "{id} 3"


def test_each_controller_has_its_own_values(tmp_path: Path) -> None:
    examined = Subject(
        ["run", "{id}", "{port}", "{cars}/{floors}", "{role}", "{dir}"],
        {"ROLE": "{role}", "LITERAL": "{x}"},
        first_id=1,
        port=16000,
        per_car={"role": ["Master", "Backup", "Regular"]},
    )
    first, third = (prepare_launch(examined, car, 3, 9, tmp_path, None) for car in (0, 2))
    assert first.command == ["run", "1", "16000", "3/9", "Master", str(tmp_path / "car-0")]
    assert third.command == ["run", "3", "16002", "3/9", "Regular", str(tmp_path / "car-2")]
    assert third.environment == {"ROLE": "Regular", "LITERAL": "{x}"}
    assert third.directory is None
    assert (tmp_path / "car-2").is_dir()


def test_values_per_car_may_replace_the_id(tmp_path: Path) -> None:
    examined = Subject(["run", "{id}"], {}, per_car={"id": ["7", "9"]})
    assert prepare_launch(examined, 1, 2, 4, tmp_path, None).command == ["run", "9"]


def test_path_of_the_program_is_relative_to_the_directory_of_the_exam(tmp_path: Path) -> None:
    examined = Subject(["./mine/{id}"], {}, in_own_directory=True)
    started = prepare_launch(examined, 0, 1, 4, tmp_path, None)
    assert started.command == [str(Path.cwd() / "mine/0")]
    assert started.directory == str(tmp_path / "car-0")


def test_program_that_cannot_be_executed_is_refused_before_the_exam(tmp_path: Path) -> None:
    file = tmp_path / "1"
    file.write_text("")
    with pytest.raises(BadCommand, match="cannot start nosuchprogram: there is no such program"):
        check_program(Subject(["nosuchprogram"], {**os.environ}), 2, 4)
    with pytest.raises(BadCommand, match=f"cannot start {tmp_path}/0: there is no such program"):
        check_program(Subject([f"{tmp_path}/{{id}}"], {}), 2, 4)
    with pytest.raises(BadCommand, match=f"cannot start {tmp_path}/1: it is not executable"):
        check_program(Subject([f"{tmp_path}/{{id}}"], {}, first_id=1), 2, 4)
    file.chmod(0o755)
    check_program(Subject(["1"], {"PATH": str(tmp_path)}), 2, 4)
    check_program(Subject(["{dir}/built-later"], {}), 2, 4)


def test_skipped_test_says_why() -> None:
    result = skipped(ExamTest("short", "A short test", lambda rig: None), "no network")
    assert (result.verdict, result.why, result.checks) == (Grade.SKIPPED, "no network", ())


def test_controller_starts_in_its_directory_with_its_environment() -> None:
    def is_started(rig: Rig) -> None:
        rig.controllers.start(0)
        rig.wait(lambda: rig.has_ended(0), 30)

    print_all = "import os; print(os.environ['ROLE'], os.path.basename(os.getcwd()), sorted(os.listdir()))"
    examined = subject(sys.executable, "-c", print_all, in_own_directory=True)
    result = run(
        is_started, evolve(examined, environment={**os.environ, "ROLE": "{role}"}, per_car={"role": "M"}), setting()
    )
    assert result.log == ("M car-0 []", "controller 0 exited by itself with status 0")
    (check,) = result.checks
    assert (check.passed, check.expected) == (False, "no controller exits by itself")
    assert check.found == "controller 0 exited with status 0"


def test_log_keeps_the_beginning_and_says_that_the_rest_was_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start_twice(rig: Rig) -> None:
        for _ in range(2):
            rig.controllers.start(0)
            rig.wait(lambda: rig.has_ended(0), 30)
        rig.late_ms = 0

    monkeypatch.setattr("elevator.exam.controllers.LOG_BYTES", 4000)
    print_much = "print('begin'); print(99 * 'x\\n')" + "\nfor number in range(3000): print(number, flush=True)"
    run(start_twice, subject(sys.executable, "-c", print_much), setting(tmp_path))
    log = (tmp_path / "short" / "controller-0.log").read_bytes()
    assert log[:10] == b"begin\nx\nx\n"
    assert log[4000:] == DROPPED


def test_controller_and_its_children_have_a_lower_priority_than_the_rig() -> None:
    def is_started(rig: Rig) -> None:
        rig.controllers.start(0)
        rig.wait(lambda: rig.has_ended(0), 30)

    result = run(is_started, subject("sh", "-c", "nice; nice"), setting())
    assert result.log[:2] == 2 * (str(min(19, os.nice(0) + NICENESS)),)


def test_door_may_open_for_a_call_at_the_floor_where_the_car_starts() -> None:
    def serve_at_the_start(rig: Rig) -> None:
        floor = rig.elevator(0).sensed
        assert floor is not None, "choose another seed"
        rig.run(CLEARED_BEFORE_OPEN_MS / 1000)
        rig.press(0, Button.CAB, floor)
        rig.building.change(0, evolve(rig.elevator(0), door=True), rig.building.settle())
        check_stops(rig, 0)

    result = run(serve_at_the_start, subject("true"), evolve(setting(), seed=SEED_AT_A_FLOOR))
    assert [(check.passed, check.found) for check in result.checks if check.rule == "C1"] == [(True, "it did")]


@pytest.mark.parametrize(("level", "verdict"), [(Level.MUST, Grade.FAILED), (Level.BEYOND, Grade.PASSED)])
def test_failed_checks_do_not_fail_a_test_beyond_the_course(level: Level, verdict: Grade) -> None:
    def break_rules(rig: Rig) -> None:
        rig.building.change(
            0, evolve(rig.elevator(0), out=True), rig.building.settle()
        )  # The judge observes this event.
        rig.check(False, "G1", Level.MUST, "a call is served", "it is not")

    test = ExamTest("short", "A short test", break_rules, cars=1, level=level)
    result = examine(test, subject("true"), setting(), lambda: None)
    failed = {check.rule: check.level for check in result.checks if not check.passed}
    assert failed == {"G1": level, "C5": level}
    assert result.verdict is verdict


def test_late_test_is_repeated_in_another_directory(tmp_path: Path) -> None:
    lateness = iter([LATE_MS + 1, LATE_MS])

    def be_late(rig: Rig) -> None:
        rig.late_ms = next(lateness)

    result = run(be_late, subject("true"), setting(tmp_path))
    assert result.notes == ("repeated, because the machine was overloaded",)
    assert result.late_ms == LATE_MS
    assert sorted(each.name for each in tmp_path.iterdir()) == ["short", "short-repeated"]
    assert sorted(each.name for each in (tmp_path / "short").iterdir()) == ["car-0", "controller-0.log"]


def test_result_of_a_test_that_is_late_twice_is_marked() -> None:
    def be_late(rig: Rig) -> None:
        rig.late_ms = LATE_MS + 1

    result = run(be_late, subject("true"), setting())
    assert result.notes[-1] == f"the machine was overloaded: the exam was up to {LATE_MS + 1} ms late"


def test_rig_is_late_if_a_test_blocks_it() -> None:
    """A blocked rig does not move cars or answer controllers."""
    late = []

    def block(rig: Rig) -> None:
        rig.run_once(0.0)
        rig._ended_ms -= 70_000
        rig.run_once(0.0)
        late.append(rig.late_ms)

    run(block, subject("true"), setting())
    assert all(each >= 70_000 for each in late)
    assert len(late) == 2, "the late test is repeated"


@pytest.mark.parametrize(
    ("state", "loses", "is_disturbed"),
    [("running", False, False), ("frozen", False, True), ("running", True, True)],
)
def test_judge_is_notified_of_lost_packets_and_frozen_controllers(
    state: str, loses: bool, is_disturbed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: set[int] = set()
    monkeypatch.setattr(Judge, "note_disturbance", lambda _, now_ms: noted.add(now_ms))

    def run_once(rig: Rig) -> None:
        rig.controllers.states[0] = state
        rig.switch = Mock(EthernetSwitch, loses_packets=loses, sent_per_100ms=[])
        rig.switch.due_ms.return_value = None
        rig.run_once(0.0)
        rig.controllers.states[0] = "unstarted"

    run(run_once, subject("true"), setting())
    assert bool(noted) == is_disturbed


def test_seed_determines_the_start_position_and_the_random_choices() -> None:
    places = []

    def note(rig: Rig) -> None:
        rig.late_ms = 0
        places.append((rig.elevator(0).shaft.place, rig.rng.random()))

    examined = subject("true")
    for seed in (1, 1, 2):
        run(note, examined, evolve(setting(), seed=seed))
    assert places[0] == places[1] != places[2]


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (["-c", "raise SystemExit(3)"], "controller 0 exited with status 3"),
        (["-c", IDLE], "controller 0 is not connected to its elevator server"),
    ],
)
def test_controller_that_does_not_get_ready_fails_the_test(command: list[str], found: str) -> None:
    def never(rig: Rig) -> None:
        rig.start()
        raise AssertionError("the controller is not ready, so `start` must end the test")

    ready_s = 0.1 if IDLE in command else 60
    result = run(never, subject(sys.executable, *command), setting(ready_s=ready_s))
    limit = f"controller 0 connects and brings its car to a floor within {ready_s:g} s"
    (check,) = result.checks
    assert check == Check("C4", Level.MUST, False, limit, found, check.at_ms, 0)
    assert result.verdict is Grade.FAILED


def test_program_that_cannot_be_executed_during_the_exam_raises_bad_command() -> None:
    with pytest.raises(BadCommand, match="cannot start /nosuchprogram: No such file or directory"):
        run(lambda rig: rig.start(), subject("/nosuchprogram"), setting())


def test_port_in_use_is_refused_and_the_other_ports_are_released() -> None:
    examined = subject("true")
    with socket.create_server(("127.0.0.1", examined.port + 1)), pytest.raises(Refused, match="Address already in use"):
        run(lambda rig: None, examined, setting(), cars=2)
    socket.create_server(("127.0.0.1", examined.port)).close()


def test_result_contains_checks_figures_remarks_and_timeline() -> None:
    def act(rig: Rig) -> None:
        rig.press(0, Button.UP, 1)
        rig.add_figure("answer", 42, "")
        rig.add_remark("a remark")
        rig.check(True, "L1", Level.MUST, "it works", "it did", 0)

    result = run(act, subject("true"), setting())
    assert (result.name, result.title, result.verdict, result.notes) == (
        "short",
        "A short test",
        Grade.PASSED,
        ("a remark",),
    )
    assert result.timeline is not None
    assert [seen.button for seen in result.timeline.seen] == [Button.UP]
    assert [figure.value for figure in result.figures] == [42]
    assert [check.found for check in result.checks] == ["it did"]


def test_interrupted_test_leaves_no_process_and_no_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    marks: list[bytes] = []

    def start(rig: Rig) -> None:
        rig.controllers.start(0)
        rig.wait(lambda: rig.controllers.log, 30)
        (pid,) = rig.controllers.pids(0)
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        marks.extend(each for each in environment if each.startswith(MARK.encode()))
        raise KeyboardInterrupt

    ignoring = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); {IDLE}"
    with pytest.raises(KeyboardInterrupt):
        run(start, subject(sys.executable, "-c", ignoring), setting())
    assert list(tmp_path.iterdir()) == []
    (mark,) = marks
    left = [each for each in Path("/proc").iterdir() if each.name.isdigit() and mark in environment_of(each)]
    assert left == []


def environment_of(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""
