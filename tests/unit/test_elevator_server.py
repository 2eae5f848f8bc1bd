"""The codec for an elevator server, tested with a simulated elevator, and the connection to it over real sockets."""

import errno
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from elevator.building import elevators, protocol
from elevator.building.building import Building, open_building
from elevator.building.elevators import SimulatedElevator
from elevator.building.shaft import Shaft, put
from elevator.core.call_set import mask
from elevator.core.model import EVERY_BUTTON, Button, Buttons, Confirmed, Inputs, Motor, Outputs
from elevator.hardware.elevator_server import EARLY, IDLE_SWEEP_MS, ElevatorServer, changes, snapshot, sweep, sweep_ms
from elevator.hardware.panel_client import SWEEP_MS
from elevator.hardware.panel_outputs import outputs_after, panel_buttons

FLOORS = 4


def at(floor: float, floors: int = FLOORS) -> SimulatedElevator:
    return elevators.new_elevator(put(Shaft(floors), floor, 0))


@st.composite
def every_buttons(draw: st.DrawFn, floors: int = FLOORS) -> Buttons:
    masks = [0, 0, 0]
    for button, floor in panel_buttons(floors):
        masks[button] |= draw(st.booleans()) << floor
    return Buttons(*masks)


@given(every_buttons(), st.sampled_from([0, 1, 1.5, 3]), st.booleans(), st.booleans())
def test_sweep_reads_all_inputs(pressed: Buttons, floor: float, stop: bool, obstructed: bool) -> None:
    elevator = evolve(at(floor), stop=stop, obstructed=obstructed)
    for button, where in panel_buttons(FLOORS):
        if mask(pressed, button) >> where & 1:
            elevator = elevators.press(elevator, button, where, None)
    reply = protocol.answer(elevator, sweep(FLOORS), 0).replies
    assert snapshot(reply, FLOORS) == Inputs(pressed, None if floor == 1.5 else int(floor), stop, obstructed)


@pytest.mark.parametrize("spoil", [lambda r: r[:-1], lambda r: r + b"\0", lambda r: b"\x07" + r[1:], lambda r: b""])
def test_malformed_reply_is_refused(spoil: Callable[[bytes], bytes]) -> None:
    reply = protocol.answer(at(0), sweep(FLOORS), 0).replies
    assert snapshot(spoil(reply), FLOORS) is None


REST = Outputs(floor=2, lamps=Buttons(up=0b1011, cab=0b0001))


@pytest.mark.parametrize(
    ("sent", "ms"),
    [
        (REST, IDLE_SWEEP_MS),
        (None, SWEEP_MS),
        (evolve(REST, floor=None), SWEEP_MS),
        (evolve(REST, motor=Motor.UP), SWEEP_MS),
        (evolve(REST, door=True), SWEEP_MS),
        (evolve(REST, door=None), SWEEP_MS),
        (evolve(REST, lamps=Buttons(down=0b0100)), SWEEP_MS),
    ],
)
def test_panel_is_swept_less_often_while_its_car_rests(sent: Outputs | None, ms: int) -> None:
    """A car with a lit lamp for its floor does not rest, because its door is about to open."""
    assert sweep_ms(sent) == ms


every_outputs = st.builds(
    Outputs,
    motor=st.sampled_from(Motor),
    motor_try=st.integers(0, 2),
    door=st.booleans(),
    lamps=every_buttons(),
    floor=st.integers(0, FLOORS - 1),
    stop_lamp=st.booleans(),
)


def shown(elevator: SimulatedElevator) -> tuple[object, ...]:
    return (elevator.shaft.motor, elevator.door, elevator.lamps, elevator.indicator, elevator.stop_lamp)


def wanted_of(outputs: Outputs) -> tuple[object, ...]:
    return (outputs.motor, outputs.door, outputs.lamps, outputs.floor, outputs.stop_lamp)


@given(every_outputs, every_outputs)
def test_changes_bring_a_panel_to_the_wanted_outputs(first: Outputs, second: Outputs) -> None:
    elevator = protocol.answer(at(1), changes(None, first, FLOORS), 0).elevator
    assert shown(elevator) == wanted_of(first)
    elevator = protocol.answer(elevator, changes(first, second, FLOORS), 0).elevator
    assert shown(elevator) == wanted_of(second)
    assert elevator.counts.bad_requests == 0
    assert changes(second, second, FLOORS) == b""


@given(every_outputs)
def test_all_outputs_are_written_to_a_panel_in_an_unknown_state(outputs: Outputs) -> None:
    everything = changes(None, outputs, FLOORS)
    assert sorted(everything[::4]) == sorted([1, 3, 4, 5] + [2] * len(list(panel_buttons(FLOORS))))


def test_lamps_of_uncertain_state_are_left_unchanged() -> None:
    assert 2 not in changes(None, Outputs(unsure=EVERY_BUTTON), FLOORS)[::4]
    sent, unsure = Outputs(lamps=Buttons(1)), Outputs(lamps=Buttons(2), unsure=Buttons(1))
    assert changes(sent, unsure, FLOORS) == bytes((2, Button.UP, 1, 1))
    assert outputs_after(sent, unsure) == Outputs(lamps=Buttons(3))
    assert changes(outputs_after(sent, unsure), Outputs(lamps=Buttons(2)), FLOORS) == bytes((2, Button.UP, 0, 0))


def test_lamp_is_written_when_its_state_becomes_certain() -> None:
    unsure = outputs_after(None, Outputs(unsure=Buttons(cab=1)))
    assert unsure == Outputs(unsure=Buttons(cab=1))
    assert changes(unsure, Outputs(), FLOORS) == bytes((2, Button.CAB, 0, 0))
    assert changes(unsure, Outputs(lamps=Buttons(cab=1)), FLOORS) == bytes((2, Button.CAB, 0, 1))


def test_motor_command_is_repeated_when_the_controller_retries_it() -> None:
    sent = Outputs(motor=Motor.DOWN)
    assert changes(sent, evolve(sent, motor_try=1), FLOORS) == bytes((1, 255, 0, 0))


def test_door_closes_before_the_motor_starts_and_motor_stops_before_the_door_opens() -> None:
    door_open, moving = Outputs(door=True), Outputs(motor=Motor.UP)
    assert changes(door_open, moving, FLOORS)[::4] == bytes((4, 1))
    assert changes(moving, door_open, FLOORS)[::4] == bytes((1, 4))


def test_panel_buttons_lists_each_existing_button_once() -> None:
    for floors in (2, 4, 64):
        named = list(panel_buttons(floors))
        assert len(named) == len(set(named)) == 3 * floors - 2
        assert (Button.UP, floors - 1) not in named
        assert (Button.DOWN, 0) not in named


@contextmanager
def building(*floors: float) -> Iterator[Building]:
    built = open_building([put(Shaft(FLOORS), floor, 0) for floor in floors])
    try:
        yield built
    finally:
        built.close()


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def pump(
    connection: ElevatorServer,
    built: Building | None,
    done: Callable[[], bool],
    timeout_s: float = 10,
    clock: Callable[[], int] = now_ms,
) -> None:
    """Poll *connection*, and run *built* if given, until *done* returns true."""
    end = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < end, "timed out"
        connection.poll(clock())
        if built is not None:
            built.run_once(0)
        time.sleep(0.0005)


def test_connection_reads_inputs_and_writes_outputs() -> None:
    with building(2) as built:
        connection = ElevatorServer("127.0.0.1", built.ports[0], FLOORS)
        pump(connection, built, lambda: connection.inputs(now_ms()) == Inputs(floor=2))
        built.press(0, Button.CAB, 3)
        pump(connection, built, lambda: connection.inputs(now_ms()) == Inputs(Buttons(cab=0b1000), 2))
        connection.write(Outputs(door=True, lamps=Buttons(cab=0b1000), floor=2))
        pump(connection, built, lambda: built.servers[0].elevator.lamps == Buttons(cab=0b1000))
        assert built.servers[0].elevator.door
        connection.stop()
        assert connection.news == [f"elevator server 127.0.0.1:{built.ports[0]} answers"]


def test_equal_replies_give_the_same_snapshot_object() -> None:
    with building(2) as built:
        connection = ElevatorServer("127.0.0.1", built.ports[0], FLOORS)
        pump(connection, built, lambda: connection.inputs(now_ms()) is not None)
        first, until = connection.inputs(now_ms()), now_ms() + 100
        pump(connection, built, lambda: now_ms() > until)
        assert connection.inputs(now_ms()) is first
        connection.stop()


def test_sweep_is_sent_up_to_a_fifth_early_if_the_process_is_awake() -> None:
    clock_ms = 0
    with building(2) as built:
        connection = ElevatorServer("127.0.0.1", built.ports[0], FLOORS)
        pump(connection, built, lambda: connection.inputs(clock_ms) is not None, clock=lambda: clock_ms)
        due_ms = connection.wake_at_ms()
        connection.poll(due_ms - SWEEP_MS // EARLY - 1)
        assert connection.wake_at_ms() == due_ms
        connection.poll(due_ms - SWEEP_MS // EARLY)
        assert connection.panel.asked_at_ms == due_ms - SWEEP_MS // EARLY
        connection.stop()


def confirmed_inputs(before: Inputs, wanted: Outputs) -> Inputs:
    """Return the inputs that a sweep should give if *wanted* is written between the request and the reply.

    They equal *before*, the inputs from the previous sweep, but do not confirm what *wanted* contradicts.
    """
    door_open, motor_stopped = before.confirmed
    confirmed = Confirmed(door_open and bool(wanted.door), motor_stopped and wanted.motor is Motor.STOP)
    return evolve(before, confirmed=confirmed)


def test_reply_confirms_the_commands_before_its_sweep() -> None:
    with building(2) as built:
        connection = ElevatorServer("127.0.0.1", built.ports[0], FLOORS)
        pump(connection, built, lambda: connection.inputs(now_ms()) is not None)
        before = Inputs(floor=2)
        for wanted in (Outputs(), Outputs(door=True), Outputs(motor=Motor.UP), Outputs(Motor.STOP)):
            pump(connection, built, lambda: connection.panel.asked_at_ms is None)
            pump(connection, None, lambda: connection.panel.asked_at_ms is not None)
            asked_at_ms = connection.panel.asked_at_ms or 0
            connection.write(wanted)
            # The clock stands still, so that no sweep follows the reply.
            pump(connection, built, lambda: connection.panel.asked_at_ms is None, clock=lambda ms=asked_at_ms: ms)  # type: ignore[misc]
            elevator = built.servers[0].elevator
            assert (elevator.door, elevator.shaft.motor) == (wanted.door, wanted.motor)
            assert connection.inputs(now_ms()) == confirmed_inputs(before, wanted)
            before = Inputs(floor=2, confirmed=Confirmed(bool(wanted.door), wanted.motor is Motor.STOP))
            pump(connection, built, lambda before=before: connection.inputs(now_ms()) == before)  # type: ignore[misc]
        connection.stop()


def test_missing_server_is_logged_once_and_connected_later() -> None:
    with building(0) as built:
        number = built.ports[0]
    connection = ElevatorServer("127.0.0.1", number, FLOORS)
    until = now_ms() + 500
    pump(connection, None, lambda: now_ms() > until)
    assert len(connection.news) == 1
    assert connection.news[0].endswith("is unavailable (Connection refused); retrying")
    built = open_building([put(Shaft(FLOORS), 1, 0)], port=number)
    pump(connection, built, lambda: connection.inputs(now_ms()) == Inputs(floor=1))
    assert len(connection.news) == 2
    connection.stop()
    built.close()


def test_all_outputs_are_written_again_after_a_reconnect() -> None:
    with building(2) as built:
        number = built.ports[0]
        connection = ElevatorServer("127.0.0.1", number, FLOORS)
        pump(connection, built, lambda: connection.inputs(now_ms()) is not None)
        connection.write(Outputs(lamps=Buttons(up=1), floor=2))
    pump(connection, None, lambda: connection.inputs(now_ms()) is None)
    again = open_building([put(Shaft(FLOORS), 2, 0)], port=number)
    pump(connection, again, lambda: connection.inputs(now_ms()) is not None)
    connection.write(Outputs(lamps=Buttons(up=1), floor=2))
    pump(connection, again, lambda: again.servers[0].elevator.lamps == Buttons(up=1))
    assert ["lost" in news for news in connection.news] == [False, True, False]
    connection.stop()
    again.close()


@pytest.mark.parametrize("answer", [b"\x09" * 400, b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20, b""])
def test_server_with_another_protocol_gives_no_inputs_and_is_logged_once(answer: bytes) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    connection = ElevatorServer("127.0.0.1", listener.getsockname()[1], FLOORS)
    until = now_ms() + 600
    while now_ms() < until:
        connection.poll(now_ms())
        assert connection.inputs(now_ms()) is None
        try:
            client, _ = listener.accept()
            client.sendall(answer)
            client.close()
        except BlockingIOError:
            time.sleep(0.001)
    assert len(connection.news) == 1
    connection.stop()
    listener.close()


def test_server_that_keeps_disconnecting_is_logged_only_a_few_times() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(5)
    connection = ElevatorServer("127.0.0.1", listener.getsockname()[1], FLOORS)
    clock_ms = 0

    def poll() -> None:
        nonlocal clock_ms
        clock_ms += 10
        connection.poll(clock_ms)
        time.sleep(0.0005)

    for _ in range(60):
        while connection._socket is None:
            poll()
        client, _address = listener.accept()
        while connection.panel.asked_at_ms is None:
            poll()
        client.sendall(sweep(FLOORS))
        while not connection.panel.has_answered:
            poll()
        client.close()
        while connection.panel.has_answered:
            poll()
    assert [("answers" in news, "recurring" in news) for news in connection.news] == [
        (True, False),
        (False, False),
        (True, False),
        (False, False),
        (True, False),
        (False, True),
    ], connection.news
    connection.stop()
    listener.close()


def test_reply_from_before_a_stall_is_dropped() -> None:
    with building(2) as built:
        connection = ElevatorServer("127.0.0.1", built.ports[0], FLOORS)
        pump(connection, built, lambda: connection.inputs(now_ms()) is not None)
        pump(connection, built, lambda: connection.panel.asked_at_ms is not None)
        built.run_once(0.05)
        resumed_ms = now_ms() + 600  # The node stalls for 600 ms while the reply waits in the kernel.
        connection.poll(resumed_ms)
        assert connection.inputs(resumed_ms) is None
        connection.stop()


def test_failed_connection_attempt_is_logged_and_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    with building(0) as built:
        connection = ElevatorServer("127.0.0.1", built.ports[0], FLOORS)
        with monkeypatch.context() as patched:
            patched.setattr("elevator.hardware.elevator_server.socket.socket", refuse)
            connection.poll(now_ms())
            assert connection.inputs(now_ms()) is None
            assert "Too many open files" in connection.news.pop()
        pump(connection, built, lambda: connection.inputs(now_ms()) is not None)
        connection.stop()
