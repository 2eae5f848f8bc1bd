"""A complete node on a simulated I/O card: calls, motor safety, foreign bytes and unplugging."""

import errno
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from lab import PATIENCE_S, PROGRAM, comm, free_port, lab, processes_of

from elevator.building.building import Building, open_building
from elevator.building.card_line import CardLine
from elevator.building.elevator import Machine, misbehaviour
from elevator.building.shaft import Shaft, put
from elevator.core.model import Button, Buttons, Motor


class Car:
    """A simulated card in this process, and a node that drives it in another process."""

    def __init__(self, built: Building, directory: Path) -> None:
        self.built = built
        self.line = CardLine(built, 0, directory / "card")
        self.directory = directory
        self.node: subprocess.Popen[bytes] | None = None
        self.pid = 0
        """The pid of the node's first process, and the session id of all its processes."""
        self.command = PROGRAM

    def start(self, *more: str) -> None:
        arguments = ["--id", "0", "--serial", str(self.directory / "card"), "--net-port", str(free_port(2))]
        arguments += ["--broadcast", "127.255.255.255", "--state-dir", str(self.directory / "state"), *more]
        with (self.directory / "log").open("ab") as log:
            self.node = subprocess.Popen([*self.command, *arguments], stderr=log, start_new_session=True)
        self.pid = self.node.pid
        starts = self.log().count("in service") + 1
        self.wait(lambda: self.log().count("in service") >= starts)

    @property
    def machine(self) -> Machine:
        return self.built.elevators[0].machine

    @property
    def motor(self) -> Motor:
        return self.machine.shaft.motor

    def motors(self, began: int) -> list[int]:
        """Return the motor commands since the event with number *began*."""
        return [event["value"] for event in self.built.history.since(began)["events"] if event["kind"] == "motor"]

    def log(self) -> str:
        return (self.directory / "log").read_text()

    def wait(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < end, f"timed out; the log: {self.log()}"
            self.built.turn(0.005)

    def run_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() >= end)

    def write_foreign(self, stream: bytes) -> None:
        """Write *stream* to the card's port, as another program could."""
        port = os.open(self.line.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        os.write(port, stream)
        os.close(port)

    def worker(self) -> int:
        (pid,) = [pid for pid in processes_of(self.pid) if comm(pid) == "elevator:worker"]
        return pid

    def drive_up(self) -> None:
        self.built.press(0, Button.CAB, 3)
        self.wait(lambda: self.motor is Motor.UP and self.machine.lamps.cab == 0b1000)

    def wait_until_served(self) -> None:
        self.wait(lambda: self.machine.lamps == Buttons() and self.machine.door)
        assert self.machine.sensed == 3
        assert misbehaviour(self.machine.counts) == 0


@contextmanager
def car_on_card(directory: Path) -> Iterator[Car]:
    built = open_building([put(Shaft(4, 800, 200), 0, 0)])
    car = Car(built, directory)
    try:
        yield car
    finally:
        if car.node is not None:
            for number in (signal.SIGCONT, signal.SIGTERM):
                for pid in processes_of(car.pid):
                    with suppress(ProcessLookupError):
                        os.kill(pid, number)
            car.wait(lambda: car.node is not None and car.node.poll() is not None and not processes_of(car.pid))
        car.line.unplug()
        built.close()


def test_call_is_served_and_termination_stops_the_motor_and_switches_off_the_lamps(tmp_path: Path) -> None:
    with car_on_card(tmp_path) as car:
        car.start()
        car.drive_up()
        car.wait_until_served()
        car.wait(lambda: not car.machine.door)
        car.built.press(0, Button.UP, 0)
        car.wait(lambda: car.motor is Motor.DOWN and car.machine.lamps.up == 1)
        assert car.node is not None
        car.node.terminate()
        car.wait(lambda: car.node is not None and car.node.poll() is not None)
        car.wait(lambda: car.motor is Motor.STOP and car.machine.lamps == Buttons())


@pytest.mark.rule("C12")
@pytest.mark.quick
def test_motor_stops_and_a_new_worker_serves_the_call_when_the_worker_is_killed(tmp_path: Path) -> None:
    with car_on_card(tmp_path) as car:
        car.start()
        car.drive_up()
        began = car.built.history.next_event
        os.kill(car.worker(), signal.SIGKILL)
        car.wait_until_served()
        assert car.motors(began)[0] == Motor.STOP
        assert car.log().count("answers") == 2


@pytest.mark.rule("C12")
def test_supervisor_stops_the_motor_without_a_new_worker(tmp_path: Path) -> None:
    """The supervisor is stopped while the worker is killed. It resumes with a termination signal."""
    with car_on_card(tmp_path) as car:
        car.start()
        car.drive_up()
        worker, supervisor = car.worker(), car.node
        assert supervisor is not None
        os.kill(supervisor.pid, signal.SIGSTOP)
        os.kill(worker, signal.SIGKILL)
        time.sleep(0.05)
        car.built.turn(0)
        assert car.motor is Motor.UP, "no process could stop the motor yet"
        supervisor.terminate()
        os.kill(supervisor.pid, signal.SIGCONT)
        car.wait(lambda: car.motor is Motor.STOP)
        car.wait(lambda: supervisor.poll() is not None)
        assert car.log().count("answers") == 1


def test_new_supervisor_stops_the_motor_when_the_worker_is_killed(tmp_path: Path) -> None:
    with car_on_card(tmp_path) as car:
        car.start()
        assert car.node is not None
        car.node.kill()
        first = car.node.pid
        car.node.wait()

        def successors() -> list[int]:
            return [pid for pid in processes_of(first) if comm(pid) == "elevator:pair"]

        car.wait(lambda: bool(successors()))
        (supervisor,) = successors()
        fds = Path(f"/proc/{supervisor}/fd")
        car.wait(lambda: any(str(fd.readlink()) == car.line.path for fd in fds.iterdir() if fd.is_symlink()))
        car.drive_up()
        began = car.built.history.next_event
        os.kill(car.worker(), signal.SIGKILL)
        car.wait_until_served()
        assert car.motors(began)[0] == Motor.STOP


@pytest.mark.rule("C12")
def test_motor_stops_when_the_worker_hangs(tmp_path: Path) -> None:
    with car_on_card(tmp_path) as car:
        car.start()
        car.drive_up()
        began = car.built.history.next_event
        os.kill(car.worker(), signal.SIGSTOP)
        car.wait_until_served()
        assert car.motors(began)[0] == Motor.STOP


@pytest.mark.rule("C11")
def test_call_is_served_after_the_card_is_unplugged_and_replugged(tmp_path: Path) -> None:
    with car_on_card(tmp_path) as car:
        car.start()
        car.drive_up()
        car.line.unplug()
        car.wait(lambda: "lost" in car.log() and "out of service" in car.log())
        car.line.plug()
        car.wait(lambda: car.log().count("answers") == 2)
        car.wait_until_served()
        assert car.log().count("lost") == 1


def test_simulated_card_can_be_unplugged_and_replugged(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1, cards=True) as user:
        user.press(0, "cab", 3)
        user.wait(lambda: user.states()[0]["motor"] == "up", "the car moved")
        user.ask("card", car=0, on=False)
        assert user.states()[0]["card"] is False
        user.ask("card", car=0, on=False)
        user.wait_for(0, "out of service: no elevator answers")
        assert "I/O card" in user.log(0), "the log names the card, not a server"
        assert "elevator server" not in user.log(0)
        user.ask("card", car=0, on=True)
        assert user.states()[0]["card"] is True
        user.wait(lambda: user.states()[0]["door"] and user.states()[0]["sensor"] == 3, "the call was served")


def test_car_without_a_card_cannot_be_unplugged(tmp_path: Path) -> None:
    with lab(tmp_path, cars=1, start=False) as user:
        assert user.states()[0]["card"] is None
        with pytest.raises(AssertionError, match="car 0 has no I/O card"):
            user.ask("card", car=0, on=False)


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
    with car_on_card(tmp_path) as car:
        car.start()
        car.drive_up()
        car.wait_until_served()
        began = car.built.history.next_event
        for _ in range(20):
            car.write_foreign(b"AT\r")
            car.run_for(0.013)
        car.run_for(0.3)
        assert Motor.UP not in car.motors(began)
        assert Motor.DOWN not in car.motors(began)
        assert car.machine.door
        assert misbehaviour(car.machine.counts) == 0


DIRECTIONS = b"\x24\x64"


@pytest.mark.parametrize("stream", [b"AT\r", DIRECTIONS, b"\r\xff", b"\xc0\r", bytes(range(256))])
def test_car_serves_both_ends_of_its_shaft_despite_foreign_bytes(tmp_path: Path, stream: bytes) -> None:
    rng = random.Random(1)
    with car_on_card(tmp_path) as car:
        car.start()
        for floor in (3, 0):
            car.built.press(0, Button.CAB, floor)
            car.wait(lambda: car.machine.lamps.cab != 0)
            until = time.monotonic() + 3.5
            while time.monotonic() < until:
                car.write_foreign(bytes(rng.choices(stream, k=1)) if stream == DIRECTIONS else stream)
                car.run_for(rng.uniform(0.03, 0.3))
            car.wait(lambda floor=floor: car.machine.sensed == floor and car.machine.lamps.cab == 0)  # type: ignore[misc]
            car.wait(lambda: not car.machine.door)
        assert car.machine.counts.out_of_bounds == 0


def test_short_stall_of_the_card_stops_the_motor_without_a_fault(tmp_path: Path) -> None:
    with car_on_card(tmp_path) as car:
        car.start()
        car.drive_up()
        began = car.built.history.next_event
        for _ in range(3):
            time.sleep(0.2)  # The card does not run during this time.
            car.wait(lambda: car.motor is Motor.STOP)
            car.wait(lambda: car.motor is Motor.UP)
            car.run_for(0.1)
        car.wait_until_served()
        assert car.motors(began).count(Motor.STOP) >= 2
        assert "out of service" not in car.log()
        assert car.log().count("the motor is stopped") == 1


NOBODY = 65534
UNPRIVILEGED = [] if os.geteuid() else ["setpriv", "--inh-caps=-sys_admin", "--bounding-set=-sys_admin"]
"""Starts a command without root's capability to open a port in exclusive use; empty for other users."""


def can_open(car: Car) -> bool:
    """Report whether an unprivileged user can open the card's port."""
    if os.geteuid() == 0:
        os.chown(car.line.path, NOBODY, NOBODY)
    pid = os.fork()
    if pid == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
            os.open(car.line.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            os._exit(error.errno or 1)
        finally:
            os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, errno.EBUSY)
    return code == 0


def test_only_a_new_worker_can_open_a_port_in_use(tmp_path: Path) -> None:
    with car_on_card(tmp_path) as car:
        car.command = [*UNPRIVILEGED, *PROGRAM]
        car.start()
        assert not can_open(car)
        assert car.node is not None
        os.kill(car.worker(), signal.SIGKILL)
        car.wait(lambda: car.log().count("card answers") == 2)
        assert not can_open(car)

        car.node.kill()  # the supervisor
        car.node.wait()
        car.wait(lambda: any(comm(pid) == "elevator:pair" for pid in processes_of(car.pid)))
        os.kill(car.worker(), signal.SIGKILL)
        car.wait(lambda: car.log().count("card answers") == 3)
        assert "another program uses the port" not in car.log()

        car.line.unplug()
        car.wait(lambda: "lost" in car.log())
        car.line.plug()
        car.wait(lambda: car.log().count("card answers") == 4)
        assert not can_open(car)

        while pids := processes_of(car.pid):  # The node may have replaced a killed process.
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        car.wait(lambda: can_open(car))
        car.start()
        car.wait(lambda: car.log().count("card answers") == 5)


def test_port_is_free_after_termination(tmp_path: Path) -> None:
    with car_on_card(tmp_path) as car:
        car.start()
        assert car.node is not None
        car.node.terminate()
        car.wait(lambda: car.node is not None and car.node.poll() is not None)
        assert can_open(car)
