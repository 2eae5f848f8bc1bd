"""The process pair: supervisor and worker replace each other, but never run two copies of the node."""

import errno
import os
import signal
import socket
import subprocess
import time
from collections.abc import Collection
from pathlib import Path

import pytest
from lab import PROGRAM, Lab, comm, lab

from elevator.building.elevators import EventKind
from elevator.core.model import Button, Motor
from elevator.processes import child, pair
from elevator.processes.worker_link import BEAT, ENDS, REFUSES, Link


def wait_until_complete(group: Lab, id: int, without: tuple[int, ...] = ()) -> None:
    """Wait until node *id* has one supervisor, one worker and one recorder. No process may have a pid in *without*."""

    def is_complete() -> bool:
        pids = group.controllers.pids(id)
        names = sorted(comm(pid) for pid in pids)
        return names == ["elevator:disk", "elevator:pair", "elevator:worker"] and not set(pids) & set(without)

    group.wait(is_complete, f"node {id} was complete")


def only(pids: list[int]) -> int:
    (pid,) = pids
    return pid


@pytest.mark.quick
def test_new_worker_replaces_a_killed_one_and_serves_the_call(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        group.press(0, Button.CAB, 3)
        group.wait(lambda: group.lamps(0) == {(Button.CAB, 3)}, "the lamp lit")
        worker = only(group.processes(0, "worker"))
        os.kill(worker, signal.SIGKILL)
        wait_until_complete(group, 0, without=(worker,))
        group.wait_until_dark()
        assert group.misbehaviour() == 0
        assert "the worker was killed by SIGKILL" in group.log(0)
        assert group.first(0).poll() is None


def test_repeated_kills_of_the_worker_are_logged_only_a_few_times(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        for _ in range(8):
            worker = only(group.processes(0, "worker"))
            os.kill(worker, signal.SIGKILL)
            wait_until_complete(group, 0, without=(worker,))
        lines = [line for line in group.log(0).splitlines() if "the worker was killed by SIGKILL" in line]
        assert 0 < len(lines) <= 3, lines
        assert "recurring" in lines[-1]


@pytest.mark.quick
def test_new_supervisor_replaces_a_killed_one_and_adopts_the_worker(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        worker = only(group.processes(0, "worker"))
        group.first(0).kill()
        group.first(0).wait()
        wait_until_complete(group, 0, without=(group.first(0).pid,))
        assert group.processes(0, "worker") == [worker], "the worker must not be replaced"
        os.kill(worker, signal.SIGKILL)
        wait_until_complete(group, 0, without=(worker,))
        group.press(0, Button.CAB, 2)
        group.wait(lambda: group.lamps(0) == {(Button.CAB, 2)}, "the lamp lit")
        group.wait_until_dark()
        os.kill(only(group.processes(0, "pair")), signal.SIGTERM)
        group.wait(lambda: not group.controllers.pids(0), "all processes ended")


@pytest.mark.quick
def test_hanging_worker_is_replaced(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        group.press(0, Button.CAB, 3)
        group.wait(lambda: group.motor(0) is Motor.UP, "the car moved")
        worker = only(group.processes(0, "worker"))
        os.kill(worker, signal.SIGSTOP)
        wait_until_complete(group, 0, without=(worker,))
        group.wait_until_dark()
        assert "the worker hung" in group.log(0)


def test_hanging_supervisor_is_replaced(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        os.kill(group.first(0).pid, signal.SIGSTOP)
        wait_until_complete(group, 0, without=(group.first(0).pid,))
        assert group.first(0).wait() == -signal.SIGKILL


def test_killed_recorder_is_replaced(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        recorder = only(group.processes(0, "disk"))
        os.kill(recorder, signal.SIGKILL)
        wait_until_complete(group, 0, without=(recorder,))
        group.press(0, Button.CAB, 2)
        group.wait(lambda: group.lamps(0) == {(Button.CAB, 2)}, "the lamp lit")


def test_node_keeps_its_processes_after_all_of_them_were_frozen(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        before = sorted(group.controllers.pids(0))
        group.controllers.freeze(0, on=True)
        group.run(1.5)
        group.controllers.freeze(0, on=False)
        group.press(0, Button.CAB, 2)
        group.wait(lambda: group.lamps(0) == {(Button.CAB, 2)}, "the lamp lit")
        assert sorted(group.controllers.pids(0)) == before


@pytest.mark.rule("L5")
def test_press_is_not_missed_while_a_new_worker_waits_for_its_record(tmp_path: Path) -> None:
    """The test delays the record by stopping the recorder."""
    with lab(tmp_path, cars=1) as group:
        recorder, worker = only(group.processes(0, "disk")), only(group.processes(0, "worker"))
        os.kill(recorder, signal.SIGSTOP)
        os.kill(worker, signal.SIGKILL)
        group.wait(
            lambda: worker not in group.processes(0, "worker") and group.processes(0, "worker"), "another worker ran"
        )
        group.press(0, Button.CAB, 2, ms=1000)
        group.wait(lambda: group.since(0, EventKind.RELEASE), "the button was released")
        os.kill(recorder, signal.SIGCONT)
        group.wait(lambda: group.lamps(0) == {(Button.CAB, 2)}, "the lamp lit")


@pytest.mark.rule("D4")
def test_obstructed_door_stays_open_when_the_worker_is_killed(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        group.press(0, Button.CAB, 1)
        group.wait(lambda: group.is_open(0), "the door opened")
        group.obstruct(0, True)
        group.run(0.3)
        worker = only(group.processes(0, "worker"))
        os.kill(worker, signal.SIGKILL)
        group.wait_for(0, "in service", times=2)
        group.wait_for(0, "out of service: door held open")
        assert [seen.value for seen in group.since(0, EventKind.DOOR)] == [True]
        group.obstruct(0, False)
        group.wait(lambda: not group.is_open(0), "the door closed")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_termination_signal_to_the_process_group_ends_the_node(tmp_path: Path, number: signal.Signals) -> None:
    with lab(tmp_path, cars=1) as group:
        group.press(0, Button.CAB, 3)
        group.wait(lambda: group.motor(0) is Motor.UP, "the car moved")
        os.killpg(os.getpgid(group.first(0).pid), number)
        group.wait_for_end(0)
        group.wait(lambda: group.motor(0) is Motor.STOP, "the motor stopped")
        assert "supervisor is gone" not in group.log(0)


def test_termination_signal_to_the_worker_ends_the_node(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        os.kill(only(group.processes(0, "worker")), signal.SIGTERM)
        group.wait_for_end(0)


def test_node_runs_without_a_pair(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1, more=("--no-pair",)) as group:
        assert not group.processes(0, "pair")
        group.press(0, Button.CAB, 1)
        group.wait_for(0, "cab call of car 0 to floor 1: served")


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_pair_without_standard_streams_survives_kills(tmp_path: Path, closed: str) -> None:
    with lab(tmp_path, cars=1, start=False) as group:
        group.launch(0, ["sh", "-c", f'exec "$@" {closed}', "sh", *group.command(0)])
        wait_until_complete(group, 0)
        for name in ("worker", "pair", "worker"):
            killed = only(group.processes(0, name))
            os.kill(killed, signal.SIGKILL)
            wait_until_complete(group, 0, without=(killed,))
        group.press(0, Button.CAB, 1)
        group.wait(lambda: group.lamps(0) == {(Button.CAB, 1)}, "the lamp lit")
        assert "Traceback" not in group.log(0)


def test_each_new_supervisor_gets_the_resolved_address_exactly_once(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1, more=("--host", "localhost")) as group:
        for _ in range(2):
            killed = only(group.processes(0, "pair"))
            os.kill(killed, signal.SIGKILL)
            wait_until_complete(group, 0, without=(killed,))
        words = Path(f"/proc/{only(group.processes(0, 'pair'))}/cmdline").read_text().split("\0")
        assert words.count("--adopt") == 1
        assert words[words.index("--adopt") + 2 :] == ["--host", "127.0.0.1", ""]


def test_worker_killed_while_a_new_supervisor_starts_is_replaced(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        worker = only(group.processes(0, "worker"))
        group.first(0).kill()
        group.wait_for(0, "the supervisor is gone")
        os.kill(worker, signal.SIGKILL)
        wait_until_complete(group, 0, without=(worker,))


def test_worker_reaped_before_its_adoption_is_replaced(tmp_path: Path) -> None:
    """Init has reaped the orphaned worker, but the supervisor still has the worker's pidfd."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    pidfd = os.pidfd_open(pid)
    os.waitpid(pid, 0)
    supervisor, worker = socket.socketpair()
    worker.close()
    adopted, inherited = pair.adopt(f"{pidfd},{supervisor.detach()}")
    assert not inherited

    def end(link: Link) -> int:
        (tmp_path / "successor").touch()
        return 0

    pid = os.fork()
    if pid == 0:
        os._exit(pair.supervise(end, adopted))
    assert os.waitpid(pid, 0)[1] == 0
    assert (tmp_path / "successor").exists()
    os.close(pidfd)
    adopted.link.close()


def test_termination_signal_to_a_starting_supervisor_ends_the_node(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        group.first(0).kill()
        group.wait(
            lambda: any(b"--adopt" in arguments(pid) for pid in group.controllers.pids(0)),
            "the new supervisor started",
        )
        (starting,) = (pid for pid in group.controllers.pids(0) if b"--adopt" in arguments(pid))
        os.kill(starting, signal.SIGTERM)
        group.wait(lambda: not group.controllers.pids(0), "all processes ended")
        assert group.log(0).count("starting another") == 1


def arguments(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("text", ["", "x", "1", "1,99", "0,0", "4194304,0", "-1,3", "99999999999999999999,3"])
def test_invalid_adopt_argument_prints_one_line_and_exits_with_2(text: str) -> None:
    command = [*PROGRAM, "--id", "0", "--no-record", "--adopt", text]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_last_message_of_a_closed_connection_is_received() -> None:
    supervisor, worker = socket.socketpair()
    Link(worker).send(REFUSES)
    worker.close()
    assert pair.receive(supervisor, []) == REFUSES
    assert pair.receive(supervisor, []) == b""
    supervisor.close()


def test_supervisor_keeps_only_the_newest_port_descriptor() -> None:
    supervisor, worker = socket.socketpair()
    supervisor.setblocking(False)
    link = Link(worker)
    first, second = os.pipe(), os.pipe()
    held: list[int] = []

    def receive_all() -> None:
        while pair.receive(supervisor, held) != BEAT:
            pass

    link.hold(first[1])
    link.hold(second[1])
    receive_all()
    assert len(held) == 1
    os.write(held[0], b"final")
    assert os.read(second[0], 100) == b"final"
    link.hold(None)
    link.hold(first[1])
    receive_all()
    os.write(held[0], b"other")
    assert os.read(first[0], 100) == b"other"
    link.hold(None)
    receive_all()
    assert not held
    for descriptor in (*first, *second):
        os.close(descriptor)
    supervisor.close()
    worker.close()


def test_supervisor_writes_the_final_message_of_a_killed_worker() -> None:
    end, held = os.pipe()

    def die(link: Link) -> int:
        link.hold(held)
        link.send(BEAT)
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    pid = os.fork()
    if pid == 0:
        os.setsid()
        pair.supervise(die, inherited=[held], final_message=b"stop")
        os._exit(0)
    assert os.read(end, 4) == b"stop"
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(end)
    os.close(held)


def supervised(directory: Path, work: pair.Work, seconds: float) -> int:
    """Supervise *work* in another process, and kill that process and its worker after *seconds*.

    Return the number of entries in *directory*, where *work* leaves files.
    """
    pid = os.fork()
    if pid == 0:
        os.setsid()
        pair.supervise(work)
        os._exit(0)
    time.sleep(seconds)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return len(list(directory.iterdir()))


@pytest.mark.quick
def test_restarts_of_a_worker_that_crashes_at_startup_are_delayed(tmp_path: Path) -> None:
    def crash(link: Link) -> int:
        (tmp_path / str(os.getpid())).touch()
        raise ValueError("a bug")

    assert 3 <= supervised(tmp_path, crash, 4.0) <= 15


def test_worker_that_announces_its_end_is_not_replaced_while_it_finishes(tmp_path: Path) -> None:
    def end(link: Link) -> int:
        (tmp_path / str(os.getpid())).touch()
        link.send(ENDS)
        time.sleep(3 * pair.WORKER_TIMEOUT_S)
        return 0

    assert supervised(tmp_path, end, 3.0) == 1


def test_signal_before_the_worker_is_ready_is_not_lost(tmp_path: Path) -> None:
    def end(link: Link) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        signals = child.Signals()
        (tmp_path / f"{os.getpid()} {signals.received}").touch()
        return 0

    assert supervised(tmp_path, end, 1.5) == 1
    assert next(tmp_path.iterdir()).name.endswith(f" {signal.SIGTERM}")


def test_failing_fork_is_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fork = child.fork
    (tmp_path / "asked").mkdir()

    def failing_fork(name: str, keep: Collection[int]) -> int:
        times = len(list((tmp_path / "asked").iterdir()))
        (tmp_path / "asked" / str(times)).touch()
        if times < 3:
            raise OSError(errno.EAGAIN, "cannot fork")
        return fork(name, keep)

    def end(link: Link) -> int:
        (tmp_path / "ran").touch()
        return 0

    monkeypatch.setattr(pair, "fork", failing_fork)
    assert supervised(tmp_path, end, 2.0) == 2, "the fourth fork must succeed"


@pytest.mark.parametrize("error", [OSError(errno.ENFILE, "too many open files"), MemoryError()])
def test_worker_that_runs_out_of_resources_is_replaced(tmp_path: Path, error: BaseException) -> None:
    def lack(link: Link) -> int:
        link.send(BEAT)
        (tmp_path / str(os.getpid())).touch()
        if len(list(tmp_path.iterdir())) < 3:
            raise error
        return 0

    assert supervised(tmp_path, lack, 2.0) == 3
