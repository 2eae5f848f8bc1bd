"""The simulated elevators: protocol, TCP server, control socket and the `sim` command."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from elevator.building import elevators, protocol
from elevator.building import shaft as physics
from elevator.building.building import Building, open_building
from elevator.building.control_socket import open_control
from elevator.building.elevators import EventKind, SimulatedElevator
from elevator.building.operations import answer
from elevator.building.shaft import Shaft
from elevator.cli.simulator import main
from elevator.core.model import Button, Buttons, Motor

FLOORS = 4
AT_FLOOR_1 = elevators.new_elevator(physics.put(Shaft(FLOORS), 1, 0))
BETWEEN = elevators.new_elevator(physics.put(Shaft(FLOORS), 1.5, 0))
GOING_UP = evolve(AT_FLOOR_1, shaft=physics.command(AT_FLOOR_1.shaft, Motor.UP, 0))
OPEN = evolve(AT_FLOOR_1, door=True)
HELD = elevators.press(elevators.press(AT_FLOOR_1, Button.DOWN, 3, None), Button.CAB, 0, 200)
LIT = evolve(AT_FLOOR_1, lamps=Buttons(cab=0b100))


@pytest.mark.parametrize(
    ("before", "request_", "reply"),
    [
        (AT_FLOOR_1, (6, 0, 0, 0), (6, 0, 0, 0)),
        (HELD, (6, 1, 3, 0), (6, 1, 0, 0)),
        (HELD, (6, 2, 0, 9), (6, 1, 0, 0)),
        (HELD, (6, 0, 3, 0), (6, 0, 0, 0)),
        (AT_FLOOR_1, (7, 0, 0, 0), (7, 1, 1, 0)),
        (BETWEEN, (7, 9, 9, 9), (7, 0, 0, 0)),
        (AT_FLOOR_1, (8, 0, 0, 0), (8, 0, 0, 0)),
        (evolve(AT_FLOOR_1, stop=True), (8, 0, 0, 0), (8, 1, 0, 0)),
        (AT_FLOOR_1, (9, 0, 0, 0), (9, 0, 0, 0)),
        (evolve(AT_FLOOR_1, obstructed=True), (9, 0, 0, 0), (9, 1, 0, 0)),
    ],
)
def test_reads_are_answered_and_change_nothing(
    before: SimulatedElevator, request_: tuple[int, ...], reply: tuple[int, ...]
) -> None:
    assert protocol.answer(before, bytes(request_), 1) == (before, bytes(reply), ())


@pytest.mark.parametrize(
    ("before", "request_", "after"),
    [
        (AT_FLOOR_1, (1, 1, 0, 0), GOING_UP),
        (AT_FLOOR_1, (1, 1, 1, 128), GOING_UP),
        (
            AT_FLOOR_1,
            (1, 255, 0, 0),
            evolve(AT_FLOOR_1, shaft=physics.command(AT_FLOOR_1.shaft, Motor.DOWN, 0)),
        ),
        (GOING_UP, (1, 1, 0, 0), GOING_UP),
        (GOING_UP, (1, 0, 0, 0), AT_FLOOR_1),
        (AT_FLOOR_1, (2, 0, 2, 1), evolve(AT_FLOOR_1, lamps=Buttons(up=0b100))),
        (AT_FLOOR_1, (2, 1, 3, 7), evolve(AT_FLOOR_1, lamps=Buttons(down=0b1000))),
        (LIT, (2, 2, 0, 1), evolve(AT_FLOOR_1, lamps=Buttons(cab=0b101))),
        (LIT, (2, 2, 2, 0), AT_FLOOR_1),
        (LIT, (2, 2, 2, 1), LIT),
        (AT_FLOOR_1, (3, 2, 0, 0), evolve(AT_FLOOR_1, indicator=2)),
        (AT_FLOOR_1, (4, 1, 0, 0), OPEN),
        (OPEN, (4, 0, 0, 0), AT_FLOOR_1),
        (AT_FLOOR_1, (5, 1, 0, 0), evolve(AT_FLOOR_1, stop_lamp=True)),
        # Many controllers turn off two lamps that do not exist: up at the top floor, and down at the bottom.
        (AT_FLOOR_1, (2, 0, 3, 0), AT_FLOOR_1),
        (AT_FLOOR_1, (2, 1, 0, 0), AT_FLOOR_1),
    ],
)
def test_writes_are_executed_without_a_reply(
    before: SimulatedElevator, request_: tuple[int, ...], after: SimulatedElevator
) -> None:
    answer = protocol.answer(before, bytes(request_), 0)
    assert (answer.elevator, answer.replies) == (after, b"")
    assert len(answer.events) == (before != after)


@pytest.mark.parametrize("custom_speed", [(0, 0), (1, 0), (1, 77), (9, 255)])
def test_direction_byte_of_a_motor_command_is_signed(custom_speed: tuple[int, int]) -> None:
    directions = [Motor.STOP] + [Motor.UP] * 127 + [Motor.DOWN] * 128
    for byte, direction in enumerate(directions):
        elevator = protocol.answer(AT_FLOOR_1, bytes((1, byte, *custom_speed)), 0).elevator
        assert (elevator.shaft.motor, elevator.counts) == (direction, elevators.Counters()), byte


@pytest.mark.parametrize("message", [(2, 2, 1), (4,), (5,)])
def test_any_value_except_0_lights_a_lamp_or_opens_the_door(message: tuple[int, ...]) -> None:
    on = protocol.answer(AT_FLOOR_1, bytes((*message, 1)).ljust(4, b"\0"), 0).elevator
    assert on != AT_FLOOR_1
    for value in range(1, 256):
        assert protocol.answer(AT_FLOOR_1, bytes((*message, value)).ljust(4, b"\0"), 0).elevator == on
    off = protocol.answer(on, bytes(message).ljust(4, b"\0"), 0).elevator
    assert off == AT_FLOOR_1


@pytest.mark.parametrize(
    "request_",
    [
        (2, 3, 0, 1),
        (2, 0, 4, 1),
        (2, 0, 3, 1),
        (2, 1, 0, 1),
        (3, 4, 0, 0),
        (6, 3, 0, 0),
        (6, 0, 4, 0),
        (6, 255, 255, 0),
        (10, 0, 0, 0),
        (255, 255, 255, 255),
    ],
)
def test_requests_with_unknown_floors_buttons_or_commands_are_counted_and_change_nothing(
    request_: tuple[int, ...],
) -> None:
    answer = protocol.answer(AT_FLOOR_1, bytes(request_), 0)
    assert answer.elevator.counts.bad_requests == 1
    assert evolve(answer.elevator, counts=AT_FLOOR_1.counts, last_bad="") == AT_FLOOR_1
    assert answer.replies == (b"\x06\0\0\0" if request_[0] == 6 else b"")
    assert [event.kind for event in answer.events] == [EventKind.BAD]


@pytest.mark.parametrize(
    ("before", "request_", "count"),
    [
        (OPEN, (1, 1, 0, 0), "motor_with_door_open"),
        (GOING_UP, (4, 1, 0, 0), "door_with_motor_on"),
        (evolve(GOING_UP, door=True), (4, 1, 0, 0), "door_with_motor_on"),
        (BETWEEN, (4, 1, 0, 0), "door_between_floors"),
        (AT_FLOOR_1, (0, 1, 2, 3), "reloads"),
    ],
)
def test_unsafe_commands_and_reloads_are_counted(
    before: SimulatedElevator, request_: tuple[int, ...], count: str
) -> None:
    answer = protocol.answer(before, bytes(request_), 0)
    assert getattr(answer.elevator.counts, count) == 1
    assert elevators.misbehaviour(answer.elevator.counts) == (count != "reloads")
    assert answer.events[-1].kind == (EventKind.RELOAD if count == "reloads" else EventKind.MISBEHAVIOUR)


@pytest.mark.parametrize("request_", [(1, 0, 0, 0), (4, 0, 0, 0), (4, 1, 0, 0)])
def test_stop_and_door_commands_with_the_door_open_do_not_count_as_unsafe(request_: tuple[int, ...]) -> None:
    assert elevators.misbehaviour(protocol.answer(OPEN, bytes(request_), 0).elevator.counts) == 0


def test_incomplete_messages_are_counted() -> None:
    elevator, event = elevators.reject_incomplete(AT_FLOOR_1, 3, 7)
    assert (event.at_ms, event.kind, event.value) == (7, EventKind.BAD, "incomplete message (3 of 4 bytes)")
    assert evolve(elevator, counts=AT_FLOOR_1.counts, last_bad="") == AT_FLOOR_1
    assert elevator.counts.bad_requests == 1


def test_leaving_the_shaft_is_counted_once_and_reported_with_its_exact_time() -> None:
    elevator, events = elevators.settle(GOING_UP, 100_000)
    assert elevator.out
    assert elevator.counts.out_of_bounds == 1
    assert [tuple(event)[:3] for event in events] == [
        (250, "sensor", None),
        (2250, "sensor", 2),
        (2750, "sensor", None),
        (4750, "sensor", 3),
        (5250, "sensor", None),
        (5250, "out of bounds", True),
        (5250, "misbehaviour", "out of bounds"),
    ]


def test_car_stays_out_of_bounds_until_it_is_put_back() -> None:
    elevator, _ = elevators.settle(GOING_UP, 100_000)
    stuck = protocol.answer(elevator, bytes((1, 255, 0, 0, 7, 0, 0, 0)), 100_001)
    assert stuck.replies == bytes((7, 0, 0, 0))
    assert stuck.elevator.out
    back = elevators.put_back(stuck.elevator, 100_002)
    assert (back.sensed, back.out, back.shaft.motor) == (3, False, Motor.STOP)


@pytest.mark.parametrize(
    "halt", [elevators.disconnect, lambda elevator, now_ms: elevators.power(elevator, False, now_ms)]
)
def test_car_that_stops_at_the_edge_of_a_sensor_is_between_floors(
    halt: Callable[[SimulatedElevator, int], SimulatedElevator],
) -> None:
    assert GOING_UP.sensed == 1
    halted = halt(GOING_UP, 250)
    assert halted.sensed is None
    assert protocol.answer(halted, bytes((7, 0, 0, 0)), 251).replies == bytes((7, 0, 0, 0))


def test_button_is_down_for_the_duration_of_the_press() -> None:
    pressed = elevators.press(AT_FLOOR_1, Button.UP, 0, 200)
    ask = bytes((6, 0, 0, 0))
    assert protocol.answer(pressed, ask, 199).replies[1] == 1
    assert protocol.answer(pressed, ask, 200).replies[1] == 0


def test_button_stays_down_until_the_last_of_its_presses_ends() -> None:
    pressed, ask = AT_FLOOR_1, bytes((6, 0, 0, 0))
    for until_ms in (200, 300, 250):
        pressed = elevators.press(pressed, Button.UP, 0, until_ms)
    assert protocol.answer(pressed, ask, 299).replies[1] == 1
    assert protocol.answer(pressed, ask, 300).replies[1] == 0
    assert protocol.answer(elevators.press(pressed, Button.UP, 0, None), ask, 10**6).replies[1] == 1


def test_release_ends_all_presses_of_a_button() -> None:
    pressed = elevators.press(elevators.press(AT_FLOOR_1, Button.UP, 0, 200), Button.UP, 0, 300)
    released = elevators.release(pressed, Button.UP, 0)
    assert protocol.answer(released, bytes((6, 0, 0, 0)), 10).replies[1] == 0


def test_stop_button_is_released_after_a_press_but_not_while_held() -> None:
    pressed = elevators.press_stop(AT_FLOOR_1, 200)
    assert protocol.answer(pressed, bytes((8, 0, 0, 0)), 199).replies[1] == 1
    released, events = elevators.settle(pressed, 200)
    assert (released.stop, released.stop_until_ms) == (False, None)
    assert [tuple(event)[:3] for event in events] == [(200, "stop", False)]
    held = elevators.hold_stop(pressed, True)
    assert elevators.settle(elevators.press_stop(held, 300), 10**6)[0].stop


@given(st.lists(st.tuples(*[st.integers(0, 12) | st.integers(0, 255)] * 4), max_size=30), st.data())
def test_result_does_not_depend_on_how_messages_are_grouped(
    messages: list[tuple[int, ...]], data: st.DataObject
) -> None:
    requests = bytes(sum(messages, ()))
    cut = data.draw(st.integers(0, len(messages))) * 4
    at_once = protocol.answer(OPEN, requests, 5)
    first = protocol.answer(OPEN, requests[:cut], 5)
    second = protocol.answer(first.elevator, requests[cut:], 5)
    assert second.elevator == at_once.elevator
    assert first.replies + second.replies == at_once.replies
    assert len(at_once.replies) == 4 * sum(message[0] in (6, 7, 8, 9) for message in messages)


# Real sockets


@contextmanager
def running(building: Building) -> Iterator[Building]:
    """Run *building* in a thread during the block, then close it. Fail if the thread raised an error."""
    ended = threading.Event()
    errors: list[BaseException] = []

    def drive() -> None:
        try:
            while not ended.is_set():
                building.run_once(0.01)
        except BaseException as error:  # noqa: BLE001  # raised below, in the test's own thread
            errors.append(error)

    thread = threading.Thread(target=drive)
    thread.start()
    try:
        yield building
    finally:
        ended.set()
        thread.join()
        building.close()
    assert not errors, errors


@contextmanager
def controlled(building: Building) -> Iterator[int]:
    """Run *building* with a control socket; yield the port of the socket."""
    control = open_control(building)
    try:
        with running(building):
            yield control.port
    finally:
        control.close()


@pytest.fixture
def opened() -> Building:
    return open_building([AT_FLOOR_1.shaft] * 2)


@pytest.fixture
def control_port(opened: Building) -> Iterator[int]:
    with controlled(opened) as port:
        yield port


@pytest.fixture
def building(opened: Building, control_port: int) -> Building:
    """Return the building that the fixture control_port runs."""
    return opened


class Client:
    """A client of an elevator server."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *messages: tuple[int, int, int, int]) -> None:
        self.socket.sendall(b"".join(map(bytes, messages)))

    def receive(self, messages: int = 1) -> bytes:
        received = b""
        while len(received) < 4 * messages:
            chunk = self.socket.recv(4 * messages - len(received))
            assert chunk, "the server closed the connection"
            received += chunk
        return received

    def ask(self, *messages: tuple[int, int, int, int]) -> bytes:
        self.send(*messages)
        return self.receive(len(messages))

    def is_silent(self) -> bool:
        return not select.select([self.socket], [], [], 0.05)[0]


class Operator:
    """A client of the control socket."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.lines = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.lines.close()
        self.socket.close()

    def request(self, line: bytes) -> dict[str, Any]:
        self.socket.sendall(line + b"\n")
        reply = json.loads(self.lines.readline())
        assert isinstance(reply, dict)
        return reply

    def do(self, name: str, **arguments: object) -> dict[str, Any]:
        return self.request(json.dumps({"do": name, **arguments}).encode())

    def state(self, car: int = 0) -> dict[str, Any]:
        state = self.do("state", car=car)["cars"][0]
        assert isinstance(state, dict)
        return state

    def until(self, condition: Callable[[dict[str, Any]], object], car: int = 0) -> dict[str, Any]:
        """Wait until the state of *car* fulfils *condition*. Return the state. Fail after 5 s."""
        deadline = time.monotonic() + 5
        while not condition(state := self.state(car)):
            assert time.monotonic() < deadline, state
        return state

    def kinds(self, since: int, car: int = 0) -> list[tuple[object, ...]]:
        events = self.do("events", since=since)["events"]
        return [(each["kind"], each["value"]) for each in events if each["car"] == car]


@pytest.fixture
def operator(control_port: int) -> Iterator[Operator]:
    with Operator(control_port) as operator:
        yield operator


def test_messages_sent_byte_by_byte_are_answered(building: Building) -> None:
    with Client(building.ports[0]) as client:
        for byte in bytes((2, 2, 3, 1, 7, 0, 0, 0, 3, 1, 0, 0, 6, 2, 1, 0)):
            client.socket.sendall(bytes((byte,)))
            time.sleep(0.002)
        assert client.receive(2) == bytes((7, 1, 1, 0, 6, 0, 0, 0))


def test_reads_sent_together_are_answered_in_order(building: Building, operator: Operator) -> None:
    operator.do("press", car=0, button="down", floor=2, held=True)
    operator.do("obstruct", car=0, on=True)
    with Client(building.ports[0]) as client:
        sweep = [(6, button, floor, 0) for button in range(3) for floor in range(FLOORS)]
        reply = client.ask((7, 0, 0, 0), *sweep, (8, 0, 0, 0), (9, 0, 0, 0))
    expected = [(7, 1, 1, 0)] + [(6, int(ask == (6, 1, 2, 0)), 0, 0) for ask in sweep] + [(8, 0, 0, 0), (9, 1, 0, 0)]
    assert reply == b"".join(map(bytes, expected))


def test_second_client_waits_until_the_first_disconnects(building: Building, operator: Operator) -> None:
    with Client(building.ports[0]) as first, Client(building.ports[0]) as second:
        assert first.ask((7, 0, 0, 0))
        second.send((9, 0, 0, 0))
        assert second.is_silent()
        assert first.ask((8, 0, 0, 0)) == bytes((8, 0, 0, 0))
        first.socket.close()
        assert second.receive() == bytes((9, 0, 0, 0))
    assert operator.until(lambda state: not state["client"])["motor"] != "up"


def test_clients_that_send_one_message_at_a_time_are_served(building: Building, operator: Operator) -> None:
    """The course's drivers for C, Rust and Python send each message separately, without TCP_NODELAY.

    They read each reply with a single `recv`. The C driver first requests a reload of the configuration.
    """
    for run in range(3):  # Controllers may reconnect immediately after a restart.
        with socket.create_connection(("127.0.0.1", building.ports[0]), timeout=5) as client:
            client.send(bytes(4))
            for floor in range(4):
                for button in range(3):
                    client.send(bytes((2, button, floor, run % 2)))
                    client.send(bytes((6, button, floor, 0)))
                    assert client.recv(4) == bytes((6, 0, 0, 0))
                client.send(bytes((3, floor, 0, 0)))
            client.send(bytes((7, 0, 0, 0)))
            assert client.recv(4) == bytes((7, 1, 1, 0))
    state = operator.until(lambda state: not state["client"])
    assert (state["lamps"]["cab"], state["indicator"], state["motor"]) == ([], 3, "stop")
    assert state["counts"]["reloads"] == 3


def test_motor_stops_and_lamps_stay_lit_when_the_client_disconnects(building: Building, operator: Operator) -> None:
    with Client(building.ports[0]) as client:
        client.send((2, 2, 3, 1), (1, 1, 0, 0))
        operator.until(lambda state: state["motor"] == "up")
    state = operator.until(lambda state: not state["client"])
    assert (state["motor"], state["lamps"]) == ("stop", {"up": [], "down": [], "cab": [3]})
    assert ("motor", 0) in operator.kinds(0)


def test_every_direction_byte_is_executed_over_tcp(building: Building, operator: Operator) -> None:
    with Client(building.ports[0]) as client:
        for byte in range(256):
            client.send((1, byte, 0, 0))
            assert client.ask((9, 0, 0, 0)) == bytes((9, 0, 0, 0))
            motor = "stop" if byte == 0 else "up" if byte < 128 else "down"
            assert operator.state()["motor"] == motor, byte
    assert operator.state()["counts"]["bad_requests"] == 0


def test_stray_byte_is_dropped_and_does_not_shift_later_messages(building: Building, operator: Operator) -> None:
    with Client(building.ports[0]) as client:
        client.socket.sendall(bytes((7, 0, 0, 0, 9, 0, 0, 0)) + b"\n")
        assert client.receive(2) == bytes((7, 1, 1, 0, 9, 0, 0, 0))
        state = operator.until(lambda state: state["counts"]["bad_requests"])
        assert state["last_bad"] == "incomplete message (1 of 4 bytes)"
        assert client.ask((8, 0, 0, 0)) == bytes((8, 0, 0, 0))
    assert operator.state()["counts"]["bad_requests"] == 1


class Stepped:
    """A building in virtual time and a client, in one thread."""

    def __init__(self) -> None:
        self.now_ms = 1_000
        self.building = open_building([AT_FLOOR_1.shaft])
        self.building.clock_us = lambda: self.now_ms * 1000
        self.server = self.building.servers[0]
        self.client = Client(self.building.ports[0])
        self.run_until(lambda: self.server.client is not None)

    def run_until(self, is_done: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not is_done():
            assert time.monotonic() < end, "timed out"
            self.building.run_once(0)

    def send(self, piece: bytes) -> None:
        """Send *piece*, which must leave its message incomplete. Wait until the server has read it."""
        before = self.server.reader.expires_at_ms()
        self.client.socket.sendall(piece)
        self.run_until(lambda: self.server.reader.expires_at_ms() not in (None, before))

    def close(self) -> None:
        self.client.socket.close()
        self.building.close()


@pytest.fixture
def stepped() -> Iterator[Stepped]:
    made = Stepped()
    yield made
    made.close()


def test_pieces_50_ms_apart_form_one_message(stepped: Stepped) -> None:
    for byte in (7, 0, 0):
        stepped.send(bytes((byte,)))
        stepped.now_ms += 50
    stepped.client.socket.sendall(bytes(1))
    stepped.run_until(lambda: bool(select.select([stepped.client.socket], [], [], 0)[0]))
    assert stepped.client.receive() == bytes((7, 1, 1, 0))


def test_pieces_150_ms_apart_are_dropped_and_counted(stepped: Stepped) -> None:
    for piece in (bytes((7,)), bytes(3)):
        stepped.send(piece)
        stepped.now_ms += 150
        stepped.run_until(lambda: stepped.server.reader.expires_at_ms() is None)
    assert stepped.server.elevator.counts.bad_requests == 2
    stepped.client.send((9, 0, 0, 0))
    stepped.run_until(lambda: bool(select.select([stepped.client.socket], [], [], 0)[0]))
    assert stepped.client.receive() == bytes((9, 0, 0, 0))


def test_server_wakes_when_an_incomplete_message_expires(stepped: Stepped, monkeypatch: pytest.MonkeyPatch) -> None:
    stepped.send(bytes(1))
    stepped.now_ms += 60
    waits_s: list[float] = []

    def wait(timeout_s: float) -> list[object]:
        waits_s.append(timeout_s)
        return []

    monkeypatch.setattr(stepped.building._selector, "select", wait)
    stepped.building.run_once(60)
    assert waits_s == [0.04]


@pytest.mark.parametrize("is_paused", [True, False])
def test_message_completed_while_the_server_does_not_read_is_kept(stepped: Stepped, is_paused: bool) -> None:
    stepped.send(bytes((7,)))
    operator = b'{"do": "deaf", "car": 0, "on": %s}'
    if is_paused:
        assert json.loads(answer(stepped.building, operator % b"true"))["ok"]
        stepped.now_ms += 1000
        stepped.building.run_once(0)
    stepped.client.socket.sendall(bytes(3))
    stepped.now_ms += 1000
    if is_paused:
        assert json.loads(answer(stepped.building, operator % b"false"))["ok"]
    stepped.run_until(lambda: bool(select.select([stepped.client.socket], [], [], 0)[0]))
    assert stepped.client.receive() == bytes((7, 1, 1, 0))
    assert stepped.server.elevator.counts.bad_requests == 0


def test_motor_keeps_running_after_a_disconnect_if_stop_on_disconnect_is_off() -> None:
    building = open_building([AT_FLOOR_1.shaft], stop_on_disconnect=False)
    with (
        controlled(building) as port,
        Operator(port) as operator,
    ):
        with Client(building.ports[0]) as client:
            client.send((1, 1, 0, 0))
            operator.until(lambda state: state["motor"] == "up")
        assert operator.until(lambda state: not state["client"])["motor"] == "up"


def test_command_or_press_affects_only_its_own_elevator(building: Building, operator: Operator) -> None:
    with Client(building.ports[0]) as left, Client(building.ports[1]) as right:
        left.send((4, 1, 0, 0))
        operator.do("press", car=1, button="cab", floor=0, held=True)
        assert left.ask((6, 2, 0, 0))[1] == 0
        assert right.ask((6, 2, 0, 0))[1] == 1
    assert operator.until(lambda state: state["door"])
    assert not operator.state(1)["door"]


def test_slow_client_receives_every_reply(building: Building) -> None:
    with Client(building.ports[0]) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        count = 1_500_000
        sender = threading.Thread(target=client.socket.sendall, args=(bytes((7, 0, 0, 0)) * count,))
        sender.start()
        while not building.servers[0].unsent:
            time.sleep(0.01)
        assert client.receive(count) == bytes((7, 1, 1, 0)) * count
        sender.join()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=8))
def test_server_answers_exactly_the_reads_among_random_bytes(chunks: list[bytes]) -> None:
    with running(open_building([AT_FLOOR_1.shaft])) as building, Client(building.ports[0]) as client:
        for chunk in chunks:
            client.socket.sendall(chunk)
        total = b"".join(chunks)
        client.socket.sendall(bytes(-len(total) % 4))
        total += bytes(-len(total) % 4)
        asked = [total[index] for index in range(0, len(total), 4) if total[index] in (6, 7, 8, 9)]
        replies = client.ask((9, 0, 0, 0)) if not asked else b""
        if asked:
            client.send((9, 0, 0, 0))
            replies = client.receive(len(asked) + 1)
        assert list(replies[::4]) == [*asked, 9]


# The control socket


def test_press_from_the_control_socket_lasts_the_requested_time(building: Building, operator: Operator) -> None:
    with Client(building.ports[0]) as client:
        start = operator.do("press", car=0, button="up", floor=2, ms=100)
        assert start["ok"]
        assert client.ask((6, 0, 2, 0))[1] == 1
        operator.until(lambda state: state["pressed"]["up"] == [])
        assert client.ask((6, 0, 2, 0))[1] == 0
    events = [
        each
        for each in operator.do("events", since=start["next"] - 1)["events"]
        if each["kind"] in ("press", "release")
    ]
    assert [each["kind"] for each in events] == ["press", "release"]
    assert 99 <= events[1]["ms"] - events[0]["ms"] <= 101
    assert all((each["button"], each["floor"]) == ("up", 2) for each in events)


def test_stop_obstruct_power_and_deaf_requests_set_their_switches(building: Building, operator: Operator) -> None:
    for name, key in (("stop", "stop"), ("obstruct", "obstructed"), ("power", "power"), ("deaf", "deaf")):
        for on in (True, False):
            assert operator.do(name, car=1, on=on)["ok"]
            assert operator.state(1)[key] is on


def test_car_stops_without_power_and_continues_when_power_returns(building: Building, operator: Operator) -> None:
    with Client(building.ports[0]) as client:
        client.send((1, 1, 0, 0))
        operator.until(lambda state: state["position"] > 1.01)
        operator.do("power", car=0, on=False)
        position = operator.state()["position"]
        time.sleep(0.05)
        state = operator.state()
        assert (state["position"], state["motor"]) == (position, "up")
        operator.do("power", car=0, on=True)
        operator.until(lambda state: state["position"] > position)


def test_car_can_be_placed_between_floors(operator: Operator) -> None:
    assert operator.do("put", car=0, floor=2.5)["ok"]
    assert (operator.state()["position"], operator.state()["sensor"]) == (2.5, None)


def test_car_that_left_its_shaft_can_be_put_back(building: Building, operator: Operator) -> None:
    operator.do("put", car=0, floor=3)
    with Client(building.ports[0]) as client:
        client.send((1, 1, 0, 0))
        state = operator.until(lambda state: state["out_of_bounds"])
        assert state["misbehaviour"] == state["counts"]["out_of_bounds"] == 1
        operator.do("put_back", car=0)
        state = operator.state()
        assert (state["sensor"], state["motor"], state["out_of_bounds"]) == (3, "stop", False)


def test_server_can_be_stopped_and_restarted_on_its_port(building: Building, operator: Operator) -> None:
    with Client(building.ports[0]) as client:
        assert client.ask((7, 0, 0, 0))
        assert operator.do("server", car=0, on=False)["ok"]
        assert client.socket.recv(4) == b""
    with pytest.raises(ConnectionRefusedError):
        Client(building.ports[0])
    assert not operator.state()["server"]
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", building.ports[0]))
        squatter.listen()
        assert "in use" in operator.do("server", car=0, on=True)["error"]
    assert operator.do("server", car=0, on=True)["ok"]
    with Client(building.ports[0]) as client:
        assert client.ask((7, 0, 0, 0))
    assert [value for kind, value in operator.kinds(0) if kind == "server"] == [False, True]


def test_paused_server_keeps_the_connection_and_answers_later(building: Building, operator: Operator) -> None:
    with Client(building.ports[0]) as client:
        assert client.ask((7, 0, 0, 0))
        operator.do("deaf", car=0, on=True)
        client.send((7, 0, 0, 0))
        assert client.is_silent()
        operator.do("deaf", car=0, on=False)
        assert client.receive() == bytes((7, 1, 1, 0))


def test_events_are_numbered_in_order_of_time(building: Building, operator: Operator) -> None:
    with Client(building.ports[0]) as client:
        client.send((3, 1, 0, 0), (2, 2, 3, 1), (5, 1, 0, 0), (4, 1, 0, 0), (4, 0, 0, 0), (10, 0, 0, 0))
        operator.until(lambda state: state["counts"]["bad_requests"])
    expected = [
        ("client", True),
        ("indicator", 1),
        ("lamp", True),
        ("stop lamp", True),
        ("door", True),
        ("door", False),
    ]
    assert operator.kinds(0)[:7] == [*expected, ("bad", "command 10")]
    history = operator.do("events", since=0)
    numbers, times = [each["n"] for each in history["events"]], [each["ms"] for each in history["events"]]
    assert numbers == list(range(history["next"]))
    assert times == sorted(times)


def test_events_request_returns_the_events_from_the_given_number_on(building: Building, operator: Operator) -> None:
    with Client(building.ports[0]) as client:
        client.send((4, 1, 0, 0), (4, 0, 0, 0), (10, 0, 0, 0))
        operator.until(lambda state: state["counts"]["bad_requests"])
    operator.until(lambda state: not state["client"])
    history = operator.do("events", since=0)
    assert operator.do("events", since=3)["events"] == history["events"][3:]
    assert operator.do("events", since=10**30)["events"] == []
    assert operator.do("events", since=-5)["lost"] == 0


def test_event_history_is_bounded_and_counts_dropped_events() -> None:
    building = open_building([AT_FLOOR_1.shaft])
    try:
        for number in range(60_000):
            building.change(0, evolve(building.servers[0].elevator, door=number % 2 == 0), 0)
            building.change(0, evolve(building.servers[0].elevator, stop=number % 2 == 0), 0)
        history = building.history.since(0)
        assert history["lost"] == 20_000
        assert [each["n"] for each in history["events"]] == list(range(20_000, 25_000))
        assert building.history.since(history["next"])["events"][0]["n"] == 25_000
    finally:
        building.close()


BAD_LINES = [
    b"",
    b"garbage",
    b"\xff\xfe",
    b"[" * 10_000,
    b"3",
    b"[]",
    b"{}",
    b'{"do": 1}',
    b'{"do": []}',
    b'{"do": "explode"}',
    b'{"do": "state", "car": 9}',
    b'{"do": "state", "car": -1}',
    b'{"do": "state", "car": true}',
    b'{"do": "state", "colour": "red"}',
    b'{"do": "stop", "car": 0}',
    b'{"do": "stop", "car": 0, "on": 1}',
    b'{"do": "stop", "car": "0", "on": true}',
    b'{"do": "press", "car": 0, "button": "up", "floor": 3}',
    b'{"do": "press", "car": 0, "button": "down", "floor": 0}',
    b'{"do": "press", "car": 0, "button": "cab", "floor": 4}',
    b'{"do": "press", "car": 0, "button": "cab", "floor": -1}',
    b'{"do": "press", "car": 0, "button": "cab", "floor": 1e300}',
    b'{"do": "press", "car": 0, "button": ["cab"], "floor": 1}',
    b'{"do": "press", "car": 0, "button": "cab", "floor": 1, "ms": 0}',
    b'{"do": "press", "car": 0, "button": "cab", "floor": 1, "ms": 5, "held": true}',
    b'{"do": "put", "car": 0, "floor": NaN}',
    b'{"do": "put", "car": 0, "floor": 3.01}',
    b'{"do": "put", "car": 0, "floor": ' + b"9" * 400 + b"}",
    b'{"do": "put", "car": 0, "floor": ' + b"9" * 5000 + b"}",
    b'{"do": "events", "since": "now"}',
    b'{"do": "events", "since": null}',
]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b'{"do": "stop", "car": "0", "on": 1}', "stop.car: must be a whole number; stop.on: must be true or false"),
        (b'{"do": "put", "car": 0, "floor": NaN}', "put.floor: must be a finite number"),
        (b'{"do": "press", "car": 0, "button": "x", "floor": 1}', "press.button: must be one of: up, down, cab"),
        (b'{"do": "press", "car": 0, "floor": 1}', "press.button: required field missing"),
        (b'{"do": "state", "colour": "red"}', "state: extra fields found (colour)"),
    ],
)
def test_error_for_an_invalid_control_request_names_the_field_and_the_reason(line: bytes, error: str) -> None:
    building = open_building([AT_FLOOR_1.shaft])
    try:
        assert json.loads(answer(building, line)) == {"error": error}
    finally:
        building.close()


@pytest.mark.parametrize("line", BAD_LINES, ids=lambda line: line[:50].decode(errors="replace"))
def test_invalid_control_requests_get_an_error_and_change_nothing(line: bytes) -> None:
    building = open_building([AT_FLOOR_1.shaft])
    try:
        before = building.servers[0].elevator
        reply = json.loads(answer(building, line))
        assert list(reply) == ["error"]
        assert building.servers[0].elevator == before
        assert building.history.next_event == 0
    finally:
        building.close()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 5) | st.integers() | st.floats() | st.text(max_size=5) | st.just("up"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_KEYS = st.sampled_from(["car", "on", "floor", "button", "ms", "held", "since"]) | st.text(max_size=3)
_NAMES = st.sampled_from(["press", "stop", "power", "put", "put_back", "state", "events", "deaf", "obstruct", "card"])


@settings(max_examples=75, deadline=None)
@given(st.lists(st.builds(lambda do, rest: {**rest, "do": do}, _NAMES, st.dictionaries(_KEYS, _JSON, max_size=4))))
def test_random_control_requests_get_either_ok_or_an_error(requests: list[dict[str, object]]) -> None:
    building = open_building([AT_FLOOR_1.shaft])
    try:
        for request in requests:
            reply = json.loads(answer(building, json.dumps(request).encode()))
            assert ("error" in reply) != ("ok" in reply)
        building.run_once(0)
    finally:
        building.close()


def test_overlong_control_line_disconnects_only_its_sender(control_port: int, operator: Operator) -> None:
    with Operator(control_port) as other:
        other.socket.sendall(b"x" * 200_000)
        assert json.loads(other.lines.readline()) == {"error": "the request is longer than 65536 bytes; disconnecting"}
        with suppress(ConnectionResetError):  # The server closes the connection without reading the rest of the line.
            assert other.lines.readline() == b""
    assert operator.request(b"x")["error"] == "the request is not valid JSON"
    with Operator(control_port) as other:
        other.do("stop", car=0, on=True)
    assert operator.state()["stop"]


def test_pipelined_and_split_control_lines_are_answered(control_port: int) -> None:
    with Operator(control_port) as operator:
        count = 300
        whole = b'{"do": "state"}\n' * count
        sender = threading.Thread(target=operator.socket.sendall, args=(whole[:-9],))
        sender.start()
        replies = [operator.lines.readline() for _ in range(count - 1)]
        sender.join()
        operator.socket.sendall(whole[-9:])
        replies.append(operator.lines.readline())
    assert all(json.loads(reply)["ok"] for reply in replies)


# The command


@pytest.mark.parametrize(
    "argv",
    [
        ["--cars", "0"],
        ["--cars", "65"],
        ["--floors", "1"],
        ["--numfloors", "65"],
        ["--port", "70000"],
        ["--port", "65535", "--cars", "2"],
        ["--port", "-1"],
        ["--at", "4"],
        ["--port", "٣"],
        ["--travelTimeBetweenFloors_ms", "-1"],
        ["--host", "no such host"],
    ],
)
def test_bad_arguments_print_one_line_and_exit_with_status_2(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status: object = main(argv)
    except SystemExit as exit_:
        status = exit_.code
    output = capsys.readouterr()
    assert status == 2
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert output.err.startswith("elevator sim: ")


def test_port_in_use_prints_one_line_and_exits_with_status_2(
    building: Building, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--port", str(building.ports[0])]) == 2
    output = capsys.readouterr()
    assert output.err == f"elevator sim: cannot listen on 127.0.0.1 port {building.ports[0]}: Address already in use\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sim_prints_its_ports_and_exits_with_status_0_after_a_signal(number: signal.Signals) -> None:
    program = "import sys; from elevator.cli.simulator import main; sys.exit(main(sys.argv[1:]))"
    options = ["--port", "0", "--CARS=2", "--numFloors", "9", "--at", "8", "--TRAVELtimepassingfloor_ms", "100"]
    with subprocess.Popen(
        [sys.executable, "-c", program, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        ready = process.stdout.readline().split()
        assert ready[:3] == ["simulating", "2", "elevators"]
        with Operator(int(ready[-1])) as operator, Client(int(ready[5].rstrip(","))) as client:
            assert client.ask((7, 0, 0, 0)) == bytes((7, 1, 8, 0))
            assert operator.state()["floors"] == 9
            client.send((0, 0, 0, 0))
            assert process.stdout.readline() == "elevator 0: reload ignored\n"
        os.kill(process.pid, number)
        assert process.communicate(timeout=10)[1] == ""
    assert process.returncode == 0
