"""A complete node on a simulated I/O card: calls, motor safety, unplugging, foreign bytes and who can open the port."""

import errno
import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from lab import PROGRAM, Lab, lab

from elevator.building.building import SerialCard
from elevator.building.elevators import EventKind
from elevator.core.model import Button, Motor


def motors(car: Lab, began: int) -> list[object]:
    """Return the motor commands among the events in `car.seen` from index *began* on."""
    return [seen.value for seen in car.seen[began:] if seen.kind is EventKind.MOTOR]


def card(car: Lab) -> SerialCard:
    return car.building.cards[0]


def write_foreign(car: Lab, stream: bytes) -> None:
    """Write *stream* to the card's port, as another program could."""
    port = os.open(card(car).path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    rest = stream
    while rest:
        with suppress(BlockingIOError):  # The terminal is full until the card reads it.
            rest = rest[os.write(port, rest) :]
        if rest:
            car.run(0.001)
    os.close(port)


def worker(car: Lab) -> int:
    (pid,) = car.processes(0, "worker")
    return pid


def drive_up(car: Lab) -> None:
    car.press(0, Button.CAB, 3)
    car.wait(lambda: car.motor(0) is Motor.UP and car.lamps(0) == {(Button.CAB, 3)}, "the car moves up")


def wait_until_served(car: Lab) -> None:
    car.wait(lambda: not car.lamps(0) and car.is_open(0), "the call is served")
    assert car.elevator(0).sensed == 3
    assert car.misbehaviour() == 0


def test_node_on_a_card_serves_a_call(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1, cards=True) as car:
        drive_up(car)
        wait_until_served(car)


def test_termination_stops_the_motor_and_switches_off_the_lamps(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1, cards=True) as car:
        drive_up(car)
        car.end(0)
        car.wait(lambda: car.motor(0) is Motor.STOP and not car.lamps(0))


@pytest.mark.rule("C12")
@pytest.mark.quick
def test_motor_stops_and_a_new_worker_serves_the_call_when_the_worker_is_killed(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1, cards=True) as car:
        drive_up(car)
        began = len(car.seen)
        os.kill(worker(car), signal.SIGKILL)
        wait_until_served(car)
        assert motors(car, began)[0] == Motor.STOP
        assert car.log(0).count("answers") == 2


@pytest.mark.rule("C12")
def test_supervisor_stops_the_motor_without_a_new_worker(tmp_path: Path) -> None:
    """The supervisor is suspended while the worker is killed, and then resumed with a termination signal."""
    with lab(tmp_path, cars=1, cards=True) as car:
        drive_up(car)
        supervisor = car.first(0)
        os.kill(supervisor.pid, signal.SIGSTOP)
        os.kill(worker(car), signal.SIGKILL)
        car.run(0.05)
        assert car.motor(0) is Motor.UP, "the motor must still run, because no process could stop it yet"
        supervisor.terminate()
        os.kill(supervisor.pid, signal.SIGCONT)
        car.wait(lambda: car.motor(0) is Motor.STOP)
        car.wait(lambda: car.has_ended(0))
        assert car.log(0).count("answers") == 1


def test_new_supervisor_stops_the_motor_when_the_worker_is_killed(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1, cards=True) as car:
        car.first(0).kill()
        car.first(0).wait()
        car.wait(lambda: car.processes(0, "pair"))
        (supervisor,) = car.processes(0, "pair")
        fds = Path(f"/proc/{supervisor}/fd")
        car.wait(lambda: any(str(fd.readlink()) == card(car).path for fd in fds.iterdir() if fd.is_symlink()))
        drive_up(car)
        began = len(car.seen)
        os.kill(worker(car), signal.SIGKILL)
        wait_until_served(car)
        assert motors(car, began)[0] == Motor.STOP


@pytest.mark.rule("C12")
def test_motor_stops_when_the_worker_hangs(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1, cards=True) as car:
        drive_up(car)
        began = len(car.seen)
        os.kill(worker(car), signal.SIGSTOP)
        wait_until_served(car)
        assert motors(car, began)[0] == Motor.STOP


@pytest.mark.rule("C11")
def test_call_is_served_after_the_card_is_unplugged_and_replugged(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1, cards=True) as car:
        drive_up(car)
        card(car).unplug()
        car.wait(lambda: "lost" in car.log(0) and "out of service" in car.log(0))
        card(car).plug()
        car.wait(lambda: car.log(0).count("answers") == 2)
        wait_until_served(car)
        assert car.log(0).count("lost") == 1


def test_node_log_names_the_card_and_no_elevator_server_when_the_card_is_unplugged(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1, cards=True) as car:
        card(car).unplug()
        car.wait_for(0, "out of service: no elevator answers")
        assert "I/O card" in car.log(0)
        assert "elevator server" not in car.log(0)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--serial", "auto", "--floors", "9"], "floors must be 4"),
        (["--serial", "auto", "--speed", "0"], "speed must be 1..255"),
        (["--serial", "auto", "--speed", "256"], "speed must be 1..255"),
    ],
)
def test_invalid_setting_prints_one_line_and_exits_with_2(arguments: list[str], expected: str) -> None:
    done = subprocess.run(
        [*PROGRAM, "--id", "0", "--no-record", *arguments], check=False, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert expected in done.stderr


@pytest.mark.rule("S3")
def test_foreign_bytes_do_not_move_a_car_with_an_open_door(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1, cards=True) as car:
        drive_up(car)
        wait_until_served(car)
        began = len(car.seen)
        for _ in range(20):
            write_foreign(car, b"AT\r")
            car.run(0.013)
        car.run(0.3)
        assert Motor.UP not in motors(car, began)
        assert Motor.DOWN not in motors(car, began)
        assert car.elevator(0).door
        assert car.misbehaviour() == 0


DIRECTIONS = b"\x24\x64"


@pytest.mark.parametrize("stream", [b"AT\r", DIRECTIONS, b"\r\xff", b"\xc0\r", bytes(range(256))])
def test_car_serves_calls_at_both_end_floors_despite_foreign_bytes(tmp_path: Path, stream: bytes) -> None:
    rng = random.Random(1)
    with lab(tmp_path, cars=1, cards=True) as car:
        for floor in (3, 0):
            car.press(0, Button.CAB, floor)
            car.wait(lambda: car.elevator(0).lamps.cab != 0)
            until = time.monotonic() + 3.5
            while time.monotonic() < until:
                write_foreign(car, bytes(rng.choices(stream, k=1)) if stream == DIRECTIONS else stream)
                car.run(rng.uniform(0.03, 0.3))
            car.wait(lambda floor=floor: car.elevator(0).sensed == floor and car.elevator(0).lamps.cab == 0)  # type: ignore[misc]
            car.wait(lambda: not car.elevator(0).door)
        assert car.elevator(0).counts.out_of_bounds == 0


def test_short_stall_of_the_card_stops_the_motor_without_a_fault(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1, cards=True) as car:
        drive_up(car)
        began = len(car.seen)
        for _ in range(3):
            stalled = len(car.seen)
            time.sleep(0.2)  # The card does not run during this time.
            car.wait(lambda stalled=stalled: motors(car, stalled)[-2:] == [Motor.STOP, Motor.UP])  # type: ignore[misc]
            car.run(0.1)
        wait_until_served(car)
        assert motors(car, began).count(Motor.STOP) >= 2
        assert "out of service" not in car.log(0)
        assert car.log(0).count("the motor is stopped") == 1


NOBODY = 65534
UNPRIVILEGED = [] if os.geteuid() else ["setpriv", "--inh-caps=-sys_admin", "--bounding-set=-sys_admin"]
"""A command prefix that removes root's capability to open a port in exclusive use; empty if the user is not root."""


def can_open(car: Lab) -> bool:
    """Return whether an unprivileged user, who owns the card's port, can open it."""
    if os.geteuid() == 0:
        os.chown(card(car).path, NOBODY, NOBODY)
    pid = os.fork()
    if pid == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
            os.open(card(car).path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            os._exit(error.errno or 1)
        finally:
            os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, errno.EBUSY)
    return code == 0


def test_only_a_new_worker_can_open_a_port_in_use(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1, cards=True, start=False) as car:
        car.launch(0, [*UNPRIVILEGED, *car.command(0)])
        car.wait_until_ready()
        assert not can_open(car)
        os.kill(worker(car), signal.SIGKILL)
        car.wait(lambda: car.log(0).count("card-0 answers") == 2)
        assert not can_open(car)

        car.first(0).kill()  # the supervisor
        car.first(0).wait()
        car.wait(lambda: car.processes(0, "pair"))
        os.kill(worker(car), signal.SIGKILL)
        car.wait(lambda: car.log(0).count("card-0 answers") == 3)
        assert "another program is using the port" not in car.log(0)

        card(car).unplug()
        car.wait(lambda: "lost" in car.log(0))
        card(car).plug()
        car.wait(lambda: car.log(0).count("card-0 answers") == 4)
        assert not can_open(car)

        car.kill(0)
        car.wait(lambda: can_open(car))
        car.launch(0, [*UNPRIVILEGED, *car.command(0)])
        car.wait(lambda: car.log(0).count("card-0 answers") == 5)


def test_port_is_free_after_termination(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1, cards=True) as car:
        car.end(0)
        assert can_open(car)
