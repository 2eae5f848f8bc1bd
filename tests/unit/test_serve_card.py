"""`elevator serve-card`: how it decodes and answers messages, how it serves a simulated card, and its arguments."""

import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from lab import PATIENCE_S, PROGRAM, comm, free_port, processes_of

from elevator.building.building import Building, open_building
from elevator.building.card_line import CardLine
from elevator.building.elevators import SimulatedElevator
from elevator.building.shaft import Shaft, put
from elevator.cli.serve_card import Wanted, answer, apply
from elevator.core.model import Button, Buttons, Inputs, Motor, Outputs
from elevator.hardware.elevator_server import ElevatorServer, changes, sweep
from elevator.hardware.io_card import READ_IDENTITY


def test_write_messages_set_the_outputs() -> None:
    outputs = Outputs(Motor.DOWN, 0, True, Buttons(0b101, 0b1010, 0b1100), 3, stop_lamp=True)
    wanted = Wanted(speed=50)
    stream = changes(None, outputs, 4)
    for start in range(0, len(stream), 4):
        wanted = apply(wanted, stream[start : start + 4], 50)
    assert wanted == Wanted(outputs, 50)


def test_motor_command_may_contain_a_speed() -> None:
    first = apply(Wanted(speed=50), bytes((1, 1, 1, 200)), 50)
    assert (first.outputs.motor, first.speed) == (Motor.UP, 200)
    second = apply(first, bytes((1, 1, 0, 0)), 50)
    assert second.speed == 50
    assert second.outputs != first.outputs, "the command must be sent again, because the speed is new"
    assert apply(second, bytes((1, 1, 0, 0)), 50) == second, "an equal command changes nothing"
    assert apply(second, bytes((1, 1, 9, 7)), 50).speed == 7, "any value except 0 announces a speed"


@pytest.mark.parametrize(
    ("byte", "motor"), [(0, Motor.STOP), (1, Motor.UP), (127, Motor.UP), (128, Motor.DOWN), (255, Motor.DOWN)]
)
def test_direction_byte_is_signed_as_in_the_labs_server(byte: int, motor: Motor) -> None:
    assert apply(Wanted(speed=50), bytes((1, byte, 0, 0)), 50) == Wanted(Outputs(motor, lamps=Buttons()), 50)


@pytest.mark.parametrize("rest", [(3, 0, 1), (0, 9, 1), (0, 3, 1), (1, 0, 1), (255, 255, 255), (7, 0, 0)])
def test_lamps_that_do_not_exist_are_ignored_and_every_read_is_answered(rest: tuple[int, int, int]) -> None:
    for operation in range(256):
        message = bytes((operation, *rest))
        assert apply(Wanted(), message, 50).outputs.lamps == Buttons()
        assert len(answer(Inputs(), 0, message)) == (4 if 6 <= operation <= 10 else 0)


def test_reads_are_answered_from_the_inputs() -> None:
    inputs = Inputs(Buttons(0b001, 0b100, 0b1000), 2, stop=True, obstructed=True)
    request = sweep(4)
    replies = b"".join(answer(inputs, 0, request[start : start + 4]) for start in range(0, len(request), 4))
    assert list(replies[1::4]) == [1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 1, 1]
    assert replies[-10] == 2


def test_tachometer_request_ignores_its_other_bytes() -> None:
    for rest in (bytes(3), b"\xff\xff\xff"):
        assert answer(Inputs(), 200, b"\x0a" + rest) == bytes((10, 200, 0, 0))


class Served:
    """A simulated card in this process, and a process pair that runs `serve-card`."""

    def __init__(self, built: Building, directory: Path) -> None:
        self.built = built
        self.line = CardLine(built, 0, directory / "card")
        self.port = free_port(socket.SOCK_STREAM)
        self._log = directory / "log"
        command = [*PROGRAM, "serve-card", "-s", str(directory / "card"), f"-p{self.port}", "-i", "5"]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stderr=log, start_new_session=True)
        self.wait(lambda: "answers" in self.log())

    @property
    def elevator(self) -> SimulatedElevator:
        return self.built.servers[0].elevator

    def log(self) -> str:
        return self._log.read_text()

    def wait(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < end, f"timed out; the log: {self.log()}"
            self.built.run_once(0.002)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port))

    def ask(self, client: socket.socket, request: bytes, length: int) -> bytes:
        client.sendall(request)
        reply = b""
        with selectors.DefaultSelector() as waiting:
            waiting.register(client, selectors.EVENT_READ)

            def receive() -> bool:
                nonlocal reply
                if waiting.select(0):
                    reply += client.recv(1000)
                return len(reply) >= length

            self.wait(receive)
        return reply


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    built = open_building([put(Shaft(4), 2, 0)])
    made = Served(built, tmp_path)
    yield made
    for pid in processes_of(made.process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    made.wait(lambda: made.process.poll() is not None)
    made.line.unplug()
    built.close()


def test_client_reads_inputs_and_writes_outputs(served: Served) -> None:
    with served.connect() as client:
        served.built.press(0, Button.CAB, 3, 60_000)
        served.wait(lambda: served.ask(client, bytes((6, 2, 3, 0)), 4) == bytes((6, 1, 0, 0)))
        assert served.ask(client, bytes((7, 0, 0, 0)), 4) == bytes((7, 1, 2, 0))
        assert served.ask(client, bytes((10, 0, 0, 0)), 4) == bytes((10, 0, 0, 0))
        client.sendall(bytes((2, 2)))  # one message in two pieces
        client.sendall(bytes((3, 1)))
        served.wait(lambda: served.elevator.lamps == Buttons(cab=0b1000))
        client.sendall(bytes((1, 255, 1, 77)))
        served.wait(lambda: served.elevator.shaft.motor is Motor.DOWN)
        assert served.line.card.speed == 77


def test_stray_byte_is_logged_and_does_not_shift_later_messages(served: Served) -> None:
    logged = "(1 of 4 bytes); logged once for each client"
    for clients in (1, 2):
        with served.connect() as client:
            address = ":".join(map(str, client.getsockname()))
            assert served.ask(client, bytes((7, 0, 0, 0)) + b"\n", 4) == bytes((7, 1, 2, 0))
            served.wait(lambda clients=clients: served.log().count(logged) == clients)  # type: ignore[misc]
            assert f"dropped an incomplete message from {address} {logged}" in served.log()
            assert served.ask(client, bytes((9, 0, 0, 0)), 4) == bytes((9, 0, 0, 0))


def test_read_after_a_door_command_waits_until_the_door_has_changed(served: Served) -> None:
    with served.connect() as client:
        for door in (1, 0):
            assert served.ask(client, bytes((4, door, 0, 0, 7, 0, 0, 0)), 4) == bytes((7, 1, 2, 0))
            assert served.elevator.door == door
            client.sendall(bytes((4, 1 - door, 0, 0, 7, 0, 0, 0)))
            # The simulated card does not run, so no reply can arrive.
            with selectors.DefaultSelector() as waiting:
                waiting.register(client, selectors.EVENT_READ)
                assert not waiting.select(0.1)
            served.wait(lambda door=door: served.elevator.door != door)  # type: ignore[misc]
            assert served.ask(client, b"", 4) == bytes((7, 1, 2, 0))


def test_read_after_a_stop_command_waits_until_the_motor_has_stopped(served: Served) -> None:
    with served.connect() as client:
        for motor in (Motor.STOP, Motor.UP):
            assert served.ask(client, bytes((1, motor, 0, 0, 9, 0, 0, 0)), 4) == bytes((9, 0, 0, 0))
            assert served.elevator.shaft.motor is motor
        client.sendall(bytes((1, 0, 0, 0, 9, 0, 0, 0)))
        with selectors.DefaultSelector() as waiting:
            waiting.register(client, selectors.EVENT_READ)
            assert not waiting.select(0.1)
        served.wait(lambda: served.elevator.shaft.motor is Motor.STOP)
        assert served.ask(client, b"", 4) == bytes((9, 0, 0, 0))


def test_motor_stops_and_the_next_client_is_served_when_a_client_disconnects(served: Served) -> None:
    with served.connect() as first, served.connect() as second:
        first.sendall(bytes((1, 1, 0, 0, 2, 2, 0, 1)))
        served.wait(lambda: served.elevator.shaft.motor is Motor.UP and served.elevator.lamps.cab == 1)
        first.close()
        served.wait(lambda: served.elevator.shaft.motor is Motor.STOP)
        assert served.ask(second, bytes((8, 0, 0, 0)), 4) == bytes((8, 0, 0, 0))
        assert served.elevator.lamps.cab == 1


@pytest.mark.rule("C12")
def test_motor_stops_when_the_worker_is_killed_and_a_new_worker_serves_clients(served: Served) -> None:
    with served.connect() as client:
        client.sendall(bytes((1, 1, 0, 0)))
        served.wait(lambda: served.elevator.shaft.motor is Motor.UP)
        (worker,) = [pid for pid in processes_of(served.process.pid) if comm(pid) == "elevator:worker"]
        os.kill(worker, signal.SIGKILL)
        served.wait(lambda: served.elevator.shaft.motor is Motor.STOP)
    served.wait(lambda: served.log().count("answers") == 2)
    with served.connect() as client:
        assert served.ask(client, bytes((9, 0, 0, 0)), 4) == bytes((9, 0, 0, 0))


def test_unrequested_reply_halts_the_motor_until_replies_are_valid_again(served: Served) -> None:
    with served.connect() as client:
        client.sendall(bytes((1, 1, 0, 0)))
        served.wait(lambda: served.elevator.shaft.motor is Motor.UP)
        port = os.open(served.line.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        os.write(port, READ_IDENTITY)
        os.close(port)
        served.wait(lambda: served.elevator.shaft.motor is Motor.STOP)
        served.wait(lambda: served.elevator.shaft.motor is Motor.UP)
        assert served.ask(client, bytes((9, 0, 0, 0)), 4) == bytes((9, 0, 0, 0))
        assert "client disconnected" not in served.log()


def test_client_is_disconnected_when_the_card_is_lost(served: Served) -> None:
    with served.connect() as client:
        served.ask(client, bytes((9, 0, 0, 0)), 4)
        served.line.unplug()
        served.wait(lambda: "client disconnected: the card is lost" in served.log())
        assert client.recv(1) == b""


def test_motor_stops_when_a_lost_card_returns(served: Served) -> None:
    with served.connect() as client:
        client.sendall(bytes((1, 1, 0, 0)))
        served.wait(lambda: served.elevator.shaft.motor is Motor.UP)
        served.line.unplug()
        served.wait(lambda: "client disconnected: the card is lost" in served.log())
    served.line.plug()
    served.wait(lambda: served.elevator.shaft.motor is Motor.STOP)


def test_frequent_reconnects_do_not_flood_the_log(served: Served) -> None:
    for _ in range(30):
        with served.connect() as client:
            assert served.ask(client, bytes((8, 0, 0, 0)), 4) == bytes((8, 0, 0, 0))
    with served.connect() as client:
        served.wait(
            lambda: served.log().count(f"client connected from 127.0.0.1:{client.getsockname()[1]} (after ") == 1
        )
    assert served.log().count("client disconnected: it closed the connection") <= 4


def test_node_can_use_serve_card_as_its_elevator_server(served: Served) -> None:
    connection = ElevatorServer("127.0.0.1", served.port, 4)

    def read() -> Inputs | None:
        now_ms = time.monotonic_ns() // 1_000_000
        connection.poll(now_ms)
        return connection.inputs(now_ms)

    served.wait(lambda: read() == Inputs(floor=2))
    connection.write(Outputs(door=True, lamps=Buttons(down=0b1000), floor=2))
    served.wait(lambda: read() is not None and served.elevator.door and served.elevator.indicator == 2)
    assert served.elevator.lamps == Buttons(down=0b1000)
    connection.stop()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--speed", "256"],
        ["--port", "0"],
        ["-p", "x"],
        ["--interval", "-1"],
        ["--interval", "5 ms"],
        ["--adopt", "1"],
        ["--nix"],
    ],
)
def test_bad_arguments_print_one_line_and_exit_with_status_2(arguments: list[str]) -> None:
    command = [*PROGRAM, "serve-card", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value", "limits"),
    [("--speed", "0", "1 to 255"), ("--port", "0", "1 to 65535"), ("--interval", "-1", "0 to 3600000")],
)
def test_number_out_of_range_is_reported_with_its_option(option: str, value: str, limits: str) -> None:
    command = [*PROGRAM, "serve-card", f"{option}={value}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert f"{option}: '{value}' is not a whole number from {limits}" in done.stderr


def test_port_in_use_prints_a_one_line_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [*PROGRAM, "serve-card", "--port", str(taken.getsockname()[1])]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "cannot listen" in done.stderr
    assert done.stderr.count("\n") == 1
