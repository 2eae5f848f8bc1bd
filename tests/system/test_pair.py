"""The process pair: each half replaces the other, and there is never a second node."""

import errno
import os
import signal
import socket
import subprocess
import time
from collections.abc import Collection
from pathlib import Path

import pytest
from lab import PROGRAM, Lab, lab, processes_of

from elevator.processes import child, pair
from elevator.processes.worker_link import BEAT, ENDS, REFUSES, Link


def wait_until_whole(group: Lab, id: int, but: tuple[int, ...] = ()) -> None:
    """Wait until node *id* has one supervisor, one worker and one recorder, none of them among those *but*."""

    def is_whole() -> bool:
        found = [group.processes(id, name) for name in ("pair", "worker", "disk")]
        return all(len(pids) == 1 for pids in found) and not {pid for pids in found for pid in pids} & set(but)

    group.wait(is_whole, f"node {id} was whole again")


def only(pids: list[int]) -> int:
    (pid,) = pids
    return pid


@pytest.mark.quick
def test_a_killed_worker_has_a_successor_that_goes_on(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        group.press(0, "cab", 3)
        group.wait(lambda: group.lamps(0) == {("cab", 3)}, "the lamp lit")
        worker = only(group.processes(0, "worker"))
        os.kill(worker, signal.SIGKILL)
        wait_until_whole(group, 0, but=(worker,))
        group.wait_until_dark()
        assert group.misbehaviour() == 0
        assert "the worker was ended by SIGKILL" in group.log(0)
        assert group.nodes[0].poll() is None


def test_a_worker_that_is_killed_again_and_again_does_not_fill_the_supervisors_log(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        for _ in range(8):
            worker = only(group.processes(0, "worker"))
            os.kill(worker, signal.SIGKILL)
            wait_until_whole(group, 0, but=(worker,))
        lines = [line for line in group.log(0).splitlines() if "the worker was ended by SIGKILL" in line]
        assert 0 < len(lines) <= 3, lines
        assert "recurring" in lines[-1]


@pytest.mark.quick
def test_a_killed_supervisor_has_a_successor_that_keeps_the_worker(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        worker = only(group.processes(0, "worker"))
        group.nodes[0].kill()
        group.nodes[0].wait()
        wait_until_whole(group, 0, but=(group.nodes[0].pid,))
        assert group.processes(0, "worker") == [worker], "it went on"
        os.kill(worker, signal.SIGKILL)
        wait_until_whole(group, 0, but=(worker,))
        group.press(0, "cab", 2)
        group.wait(lambda: group.lamps(0) == {("cab", 2)}, "the lamp lit")
        group.wait_until_dark()
        os.kill(only(group.processes(0, "pair")), signal.SIGTERM)
        group.wait(lambda: not processes_of(group.nodes[0].pid), "all ended")


@pytest.mark.quick
def test_a_worker_that_hangs_is_replaced(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        group.press(0, "cab", 3)
        group.wait(lambda: group.states()[0]["motor"] == "up", "it was moving")
        worker = only(group.processes(0, "worker"))
        os.kill(worker, signal.SIGSTOP)
        wait_until_whole(group, 0, but=(worker,))
        group.wait_until_dark()
        assert "the worker hung" in group.log(0)


def test_a_supervisor_that_hangs_is_replaced(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        os.kill(group.nodes[0].pid, signal.SIGSTOP)
        wait_until_whole(group, 0, but=(group.nodes[0].pid,))
        assert group.nodes[0].wait() == -signal.SIGKILL


def test_a_killed_scribe_has_a_successor(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        recorder = only(group.processes(0, "disk"))
        os.kill(recorder, signal.SIGKILL)
        wait_until_whole(group, 0, but=(recorder,))
        group.press(0, "cab", 2)
        group.wait(lambda: group.lamps(0) == {("cab", 2)}, "the lamp lit")


def test_a_stopped_machine_goes_on_with_the_same_processes(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        before = sorted(processes_of(group.nodes[0].pid))
        group.signal(0, signal.SIGSTOP)
        time.sleep(1.5)
        group.signal(0, signal.SIGCONT)
        group.press(0, "cab", 2)
        group.wait(lambda: group.lamps(0) == {("cab", 2)}, "the lamp lit")
        assert sorted(processes_of(group.nodes[0].pid)) == before


@pytest.mark.rule("L5")
def test_a_press_while_a_successor_waits_for_its_record_is_not_missed(tmp_path: Path) -> None:
    """A recorder that is stopped holds the record, as one does whose disk takes its time."""
    with lab(tmp_path, cars=1) as group:
        recorder, worker = only(group.processes(0, "disk")), only(group.processes(0, "worker"))
        os.kill(recorder, signal.SIGSTOP)
        os.kill(worker, signal.SIGKILL)
        group.wait(
            lambda: worker not in group.processes(0, "worker") and group.processes(0, "worker"), "it had another"
        )
        group.ask("press", car=0, button="cab", floor=2, ms=1000)
        group.wait(lambda: len(group.events("release")) == 1, "the button was released")
        os.kill(recorder, signal.SIGCONT)
        group.wait(lambda: group.lamps(0) == {("cab", 2)}, "the lamp lit")


@pytest.mark.rule("D4")
def test_a_door_stays_open_when_the_worker_is_killed(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        group.press(0, "cab", 1)
        group.wait(lambda: group.states()[0]["door"], "the door opened")
        group.ask("obstruct", car=0, on=True)
        time.sleep(0.3)
        worker = only(group.processes(0, "worker"))
        os.kill(worker, signal.SIGKILL)
        group.wait_for(0, "in service", times=2)
        group.wait_for(0, "out of service: door held open")
        assert [event["value"] for event in group.events("door")] == [True]
        group.ask("obstruct", car=0, on=False)
        group.wait(lambda: not group.states()[0]["door"], "it shut")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_all_of_it_ends_all_of_it(tmp_path: Path, number: signal.Signals) -> None:
    with lab(tmp_path, cars=1) as group:
        group.press(0, "cab", 3)
        group.wait(lambda: group.states()[0]["motor"] == "up", "it was moving")
        group.signal(0, number)
        assert group.nodes[0].wait(30) == 0
        assert not processes_of(group.nodes[0].pid)
        group.wait(lambda: group.states()[0]["motor"] == "stop", "the motor stopped")
        assert "supervisor is gone" not in group.log(0)
        del group.nodes[0]


def test_a_signal_to_the_worker_ends_all_of_it(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        os.kill(only(group.processes(0, "worker")), signal.SIGTERM)
        assert group.nodes.pop(0).wait(30) == 0


def test_a_node_without_a_pair_runs_as_well(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1, more=("--no-pair",)) as group:
        assert not group.processes(0, "pair")
        group.press(0, "cab", 1)
        group.wait_for(0, "cab call of car 0 to floor 1: served")


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_node_without_standard_streams_is_as_hard_to_hurt(tmp_path: Path, closed: str) -> None:
    with lab(tmp_path, cars=1, start=False) as group:
        command = ["sh", "-c", f'exec "$@" {closed}', "sh", *group.command(0)]
        with (tmp_path / "node-0.log").open("wb") as log:
            group.nodes[0] = subprocess.Popen(command, stderr=log, start_new_session=True)
        wait_until_whole(group, 0)
        for name in ("worker", "pair", "worker"):
            killed = only(group.processes(0, name))
            os.kill(killed, signal.SIGKILL)
            wait_until_whole(group, 0, but=(killed,))
        group.press(0, "cab", 1)
        group.wait(lambda: group.lamps(0) == {("cab", 1)}, "the lamp lit")
        assert "Traceback" not in group.log(0)


def test_later_supervisors_are_told_the_address_and_no_more_than_the_first(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1, more=("--host", "localhost")) as group:
        for _ in range(2):
            killed = only(group.processes(0, "pair"))
            os.kill(killed, signal.SIGKILL)
            wait_until_whole(group, 0, but=(killed,))
        words = Path(f"/proc/{only(group.processes(0, 'pair'))}/cmdline").read_text().split("\0")
        assert words.count("--adopt") == 1
        assert words[words.index("--adopt") + 2 :] == ["--host", "127.0.0.1", ""]


def test_a_worker_killed_while_its_supervisor_is_replaced_has_a_successor(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        worker = only(group.processes(0, "worker"))
        group.nodes[0].kill()
        group.wait_for(0, "the supervisor is gone")
        os.kill(worker, signal.SIGKILL)
        wait_until_whole(group, 0, but=(worker,))


def test_a_worker_that_was_gone_and_forgotten_when_it_was_to_be_adopted_has_a_successor(tmp_path: Path) -> None:
    """Where init waits for orphans, nothing but its pidfd is left of it."""
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


def test_a_signal_to_a_supervisor_that_is_only_starting_ends_all_of_it(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1) as group:
        group.nodes[0].kill()
        group.wait(lambda: any(b"--adopt" in arguments(pid) for pid in processes_of(group.nodes[0].pid)), "it started")
        (starting,) = (pid for pid in processes_of(group.nodes[0].pid) if b"--adopt" in arguments(pid))
        os.kill(starting, signal.SIGTERM)
        group.wait(lambda: not processes_of(group.nodes[0].pid), "all ended")
        assert group.log(0).count("starting another") == 1


def arguments(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("text", ["", "x", "1", "1,99", "0,0", "4194304,0", "-1,3", "99999999999999999999,3"])
def test_nothing_to_adopt_is_one_line_and_status_2(text: str) -> None:
    command = [*PROGRAM, "--id", "0", "--no-record", "--adopt", text]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_the_last_word_of_a_worker_that_has_hung_up_is_heard() -> None:
    supervisor, worker = socket.socketpair()
    Link(worker).send(REFUSES)
    worker.close()
    assert pair.hear(supervisor, []) == REFUSES
    assert pair.hear(supervisor, []) == b""
    supervisor.close()


def test_a_supervisor_holds_the_newest_descriptor_it_was_given() -> None:
    supervisor, worker = socket.socketpair()
    supervisor.setblocking(False)
    link = Link(worker)
    first, second = os.pipe(), os.pipe()
    held: list[int] = []

    def hear_all() -> None:
        while pair.hear(supervisor, held) != BEAT:
            pass

    link.hold(first[1])
    link.hold(second[1])
    hear_all()
    assert len(held) == 1
    os.write(held[0], b"last words")
    assert os.read(second[0], 100) == b"last words"
    link.hold(None)
    link.hold(first[1])
    hear_all()
    os.write(held[0], b"others")
    assert os.read(first[0], 100) == b"others"
    link.hold(None)
    hear_all()
    assert not held
    for descriptor in (*first, *second):
        os.close(descriptor)
    supervisor.close()
    worker.close()


def test_the_supervisor_of_a_killed_worker_says_its_final_message() -> None:
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
    """Supervise *work* in a process of its own for so long; return how many workers there were."""
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
def test_a_crash_loop_backs_off(tmp_path: Path) -> None:
    def crash(link: Link) -> int:
        (tmp_path / str(os.getpid())).touch()
        raise ValueError("as it happens")

    assert 3 <= supervised(tmp_path, crash, 4.0) <= 15


def test_a_worker_that_was_told_to_end_by_others_may_take_its_time(tmp_path: Path) -> None:
    def end(link: Link) -> int:
        (tmp_path / str(os.getpid())).touch()
        link.send(ENDS)
        time.sleep(3 * pair.SILENCE_S)
        return 0

    assert supervised(tmp_path, end, 3.0) == 1


def test_a_signal_that_comes_before_a_worker_is_ready_is_not_lost(tmp_path: Path) -> None:
    def end(link: Link) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        signals = child.Signals()
        (tmp_path / f"{os.getpid()} {signals.received}").touch()
        return 0

    assert supervised(tmp_path, end, 1.5) == 1
    assert next(tmp_path.iterdir()).name.endswith(f" {signal.SIGTERM}")


def test_a_machine_that_cannot_make_a_process_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fork = child.fork
    (tmp_path / "asked").mkdir()

    def refuse(name: str, keep: Collection[int]) -> int:
        times = len(list((tmp_path / "asked").iterdir()))
        (tmp_path / "asked" / str(times)).touch()
        if times < 3:
            raise OSError(errno.EAGAIN, "no room for a process")
        return fork(name, keep)

    def end(link: Link) -> int:
        (tmp_path / "ran").touch()
        return 0

    monkeypatch.setattr(pair, "fork", refuse)
    assert supervised(tmp_path, end, 2.0) == 2, "it ran"


@pytest.mark.parametrize("trouble", [OSError(errno.ENFILE, "too many open files"), MemoryError()])
def test_a_machine_that_lacks_something_for_a_moment_ends_no_node(tmp_path: Path, trouble: BaseException) -> None:
    def lack(link: Link) -> int:
        link.send(BEAT)
        (tmp_path / str(os.getpid())).touch()
        if len(list(tmp_path.iterdir())) < 3:
            raise trouble
        return 0

    assert supervised(tmp_path, lack, 2.0) == 3
