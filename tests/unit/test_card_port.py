"""The port of the I/O card, against simulated cards and other devices on pseudo-terminals."""

import os
import pty
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from attrs import evolve

from elevator.building.building import Building, open_building
from elevator.building.card_line import CardLine
from elevator.building.elevators import SimulatedElevator
from elevator.building.shaft import Shaft, put
from elevator.core.model import Button, Buttons, Confirmed, Inputs, Motor, Outputs
from elevator.hardware import card_client, card_port
from elevator.hardware.card_port import CardPort
from elevator.hardware.io_card import READ_IDENTITY, SWEEP


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class Bench:
    """A simulated card at a fixed path, and a CardPort that uses it."""

    def __init__(self, built: Building, path: Path) -> None:
        self.built = built
        self.line = CardLine(built, 0, path)
        self.port = CardPort(str(path), 99)

    @property
    def elevator(self) -> SimulatedElevator:
        return self.built.servers[0].elevator

    def pump(self, done: Callable[[], bool], timeout_s: float = 20, clock: Callable[[], int] = now_ms) -> None:
        """Run the port and the card until *done* returns true. Fail after *timeout_s*.

        *clock* is the clock of the port. The card always uses the real time.
        """
        end = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < end, "timed out"
            self.port.poll(clock())
            self.built.run_once(0)
            time.sleep(0.0005)

    def pump_for(self, ms: int) -> None:
        until = now_ms() + ms
        self.pump(lambda: now_ms() > until)

    def answers(self) -> bool:
        return self.port.inputs(now_ms()) is not None


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(card_client, "LATE_MS", 400)  # A delay on a busy machine must not halt the motor.
    built = open_building([put(Shaft(4), 2, 0)])
    made = Bench(built, tmp_path / "card")
    yield made
    made.port.stop()
    made.line.unplug()
    built.close()


def test_port_reads_inputs_and_writes_outputs(bench: Bench) -> None:
    bench.pump(lambda: bench.port.inputs(now_ms()) == Inputs(floor=2))
    bench.built.press(0, Button.CAB, 3)
    bench.pump(lambda: bench.port.inputs(now_ms()) == Inputs(Buttons(cab=0b1000), 2))
    bench.port.write(Outputs(door=True, lamps=Buttons(cab=0b1000), floor=2))
    bench.pump(lambda: bench.elevator.door and bench.elevator.indicator == 2)
    assert bench.elevator.lamps == Buttons(cab=0b1000)
    assert bench.port.news == [f"I/O card {bench.port.where} answers"]


def confirmed_inputs(before: Inputs, wanted: Outputs) -> Inputs:
    """Return the inputs that a sweep should give if *wanted* is written between the request and the reply.

    They equal *before*, the inputs from the previous sweep, but do not confirm what *wanted* contradicts.
    """
    door_open, motor_stopped = before.confirmed
    confirmed = Confirmed(door_open and bool(wanted.door), motor_stopped and wanted.motor is Motor.STOP)
    return evolve(before, confirmed=confirmed)


def test_reply_confirms_the_commands_before_its_sweep(bench: Bench) -> None:
    bench.pump(bench.answers)
    before = Inputs(floor=2)
    for wanted in (Outputs(), Outputs(door=True), Outputs(motor=Motor.UP), Outputs(Motor.STOP)):
        bench.pump(lambda: bench.port.client.panel.asked_at_ms is None)
        while bench.port.client.panel.asked_at_ms is None:
            bench.port.poll(now_ms())
        asked_at_ms = bench.port.client.panel.asked_at_ms
        bench.port.write(wanted)
        # The port's clock stands still, so that the port sends no sweep after the reply.
        bench.pump(lambda: bench.port.client.panel.asked_at_ms is None, clock=lambda ms=asked_at_ms: ms)  # type: ignore[misc]
        assert bench.port.inputs(asked_at_ms) == confirmed_inputs(before, wanted)
        before = Inputs(floor=2, confirmed=Confirmed(bool(wanted.door), wanted.motor is Motor.STOP))
        bench.pump(lambda: bench.port.client.panel.asked_at_ms is not None)
        bench.pump(lambda: bench.port.client.panel.asked_at_ms is None)  # This sweep follows the command.
        assert bench.port.inputs(bench.port.asked_at_ms) == before
        if wanted.motor is not Motor.STOP:  # No reply confirms a running motor.
            bench.pump(lambda: bench.elevator.shaft.motor is not Motor.STOP)
        assert (bench.elevator.door, bench.elevator.shaft.motor) == (wanted.door, wanted.motor)


def test_equal_replies_give_the_same_snapshot_object(bench: Bench) -> None:
    bench.pump(bench.answers)
    first = bench.port.inputs(now_ms())
    bench.pump_for(100)
    assert bench.port.inputs(now_ms()) is first


def test_stopping_the_port_stops_the_motor_and_switches_off_the_lamps(bench: Bench) -> None:
    bench.pump(bench.answers)
    bench.port.write(Outputs(motor=Motor.UP, lamps=Buttons(7, 2, 15), floor=2, stop_lamp=True))
    bench.pump(lambda: bench.elevator.stop_lamp and bench.elevator.shaft.motor is Motor.UP)
    bench.port.stop()
    bench.pump(lambda: not bench.elevator.stop_lamp and bench.elevator.shaft.motor is Motor.STOP)
    assert bench.elevator.lamps == Buttons()


def test_unplugged_card_is_logged_once_and_gets_all_outputs_when_replugged(bench: Bench) -> None:
    bench.pump(bench.answers)
    wanted = Outputs(lamps=Buttons(up=1), floor=2)
    bench.port.write(wanted)
    bench.pump(lambda: bench.elevator.lamps == Buttons(up=1))
    bench.line.unplug()
    bench.pump(lambda: not bench.answers())
    bench.pump_for(500)
    assert [("lost" in news, "answers" in news) for news in bench.port.news] == [(False, True), (True, False)]
    bench.built.change(0, evolve(bench.elevator, lamps=Buttons(), indicator=0), bench.built.settle())
    bench.line.plug()
    bench.pump(bench.answers)
    assert len(bench.port.news) == 3
    bench.port.write(wanted)
    bench.pump(lambda: bench.elevator.lamps == Buttons(up=1) and bench.elevator.indicator == 2)


def test_card_with_a_loose_plug_is_logged_only_a_few_times(bench: Bench) -> None:
    for _ in range(8):
        bench.line.plug()
        bench.pump(bench.answers)
        bench.line.unplug()
        bench.pump(lambda: not bench.answers())
    assert len(bench.port.news) == 6
    assert "lost (" in bench.port.news[5]
    assert "recurring" in bench.port.news[5]


def test_missing_card_is_logged_once_and_opened_later(bench: Bench) -> None:
    bench.line.unplug()
    bench.pump_for(500)
    assert len(bench.port.news) == 1
    assert "is unavailable (No such file or directory)" in bench.port.news[0]
    bench.line.plug()
    bench.pump(bench.answers)


def test_port_in_use_by_another_program_is_opened_once_it_is_free(bench: Bench) -> None:
    bench.pump(bench.answers)
    other = CardPort(bench.port.where, 99)
    for _ in range(5):
        other.poll(now_ms())
        bench.pump_for(120)
    assert other.inputs(now_ms()) is None
    assert len(other.news) == 1
    assert "another program is using the port" in other.news[0]
    bench.port.stop()
    bench.port = other
    bench.pump(bench.answers)


def test_copy_of_the_descriptor_does_not_keep_the_port_locked(bench: Bench) -> None:
    held: list[int | None] = []

    def hold(descriptor: int | None) -> None:
        held.append(None if descriptor is None else os.dup(descriptor))

    bench.port = CardPort(bench.port.where, 99, hold)
    bench.pump(bench.answers)
    bench.port.stop()
    assert [each is None for each in held] == [False, True]
    bench.port = CardPort(bench.port.where, 99)
    bench.pump(bench.answers)
    assert held[0] is not None
    os.close(held[0])


def test_card_that_stops_answering_is_lost_and_found_again(bench: Bench) -> None:
    bench.pump(bench.answers)
    until = now_ms() + 1500
    while now_ms() < until:  # The card does not run, so it does not answer.
        bench.port.poll(now_ms())
        time.sleep(0.005)
    assert not bench.answers()
    assert "no reply for 400 ms; the motor is stopped" in bench.port.news[1]
    assert "lost (no answer)" in bench.port.news[2]
    bench.pump(bench.answers)
    assert len(bench.port.news) == 4


def test_reply_from_before_a_stall_is_dropped(bench: Bench) -> None:
    bench.pump(bench.answers)
    bench.pump(lambda: bench.port.client.panel.asked_at_ms is not None)
    bench.built.run_once(0.05)
    resumed_ms = now_ms() + 600
    bench.port.poll(resumed_ms)
    assert bench.port.inputs(resumed_ms) is None


class OtherDevice:
    """A serial device. Its reply to the n-th request is answer(request, n), starting with n = 1."""

    def __init__(self, answer: Callable[[bytes, int], bytes]) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._answer = answer
        self._asked = 0

    def run_once(self) -> None:
        try:
            request = os.read(self._master, 4096)
        except BlockingIOError:
            return
        self._asked += 1
        os.write(self._master, self._answer(request, self._asked))

    def close(self) -> None:
        os.close(self._master)
        os.close(self._slave)


def is_sweep(request: bytes) -> bool:
    return SWEEP in request


def identity_then(reply: bytes) -> Callable[[bytes, int], bytes]:
    return lambda request, asked: reply if is_sweep(request) else b"\xa2" * request.count(READ_IDENTITY)


OTHER_DEVICES = {
    "silent": lambda request, asked: b"",
    "echo": lambda request, asked: request,
    "talks by itself": lambda request, asked: b"$GPGGA,1,2,3*42\r\n",
    "zeros": lambda request, asked: bytes(len(request)),
    "two floors at once": identity_then(b"\xa2\x30\x00\xa2"),
    "one byte too many": identity_then(b"\xa2\x00\x00\x00\xa2"),
    "one byte too few": identity_then(b"\xa2\x00\xa2"),
    "shifted": identity_then(b"\x00\xa2\x00\x00"),
}


@pytest.mark.parametrize("kind", OTHER_DEVICES)
def test_other_device_gives_no_inputs_and_is_logged_once(kind: str) -> None:
    device = OtherDevice(OTHER_DEVICES[kind])
    port = CardPort(device.path, 99)
    clock_ms = 0  # simulated time, which passes faster than real time
    while clock_ms < 6000:
        clock_ms += 5
        port.poll(clock_ms)
        device.run_once()
        assert port.inputs(clock_ms) is None
    assert len(port.news) == 1, port.news
    assert "is unavailable" in port.news[0]
    port.stop()
    device.close()


def first_inputs(port: CardPort, device: OtherDevice) -> Inputs:
    """Return the first inputs that *port* reads from *device*, in simulated time."""
    for clock_ms in range(5, 5000, 5):
        port.poll(clock_ms)
        device.run_once()
        inputs = port.inputs(clock_ms)
        if inputs is not None:
            return inputs
    raise AssertionError("the port has read no inputs within 5 s of simulated time")


def test_card_whose_first_replies_are_garbage_is_found() -> None:
    def late(request: bytes, asked: int) -> bytes:
        if asked <= 3:
            return b"\x00"
        return b"\xa2\x20\x00\xa2" if is_sweep(request) else b"\xa2"

    device = OtherDevice(late)
    port = CardPort(device.path, 99)
    assert first_inputs(port, device) == Inputs(floor=0)
    port.stop()
    device.close()


def test_late_identity_replies_are_not_decoded_as_a_sweep_reply() -> None:
    device = OtherDevice(lambda request, asked: b"\xa2" * 4 if asked == 4 else b"\xa2\x20\x00\xa2" * is_sweep(request))
    port = CardPort(device.path, 99)
    assert first_inputs(port, device) == Inputs(floor=0)
    assert len(port.news) == 1
    port.stop()
    device.close()


def with_tachometer(request: bytes, asked: int) -> bytes:
    """Reply like a card with its car at floor 0. The tachometer shows *asked*, the number of requests so far."""
    if bytes((0xC0 + 62,)) + SWEEP in request:
        return bytes((asked, 0xA2, 0x20, 0x00, 0xA2))
    return b"\xa2" * request.count(READ_IDENTITY)


def test_tachometer_is_read_without_creating_new_snapshots() -> None:
    device = OtherDevice(with_tachometer)
    port = CardPort(device.path, 99, has_tachometer=True)
    seen: list[tuple[Inputs, int]] = []
    for clock_ms in range(0, 500, 5):
        port.poll(clock_ms)
        device.run_once()
        inputs = port.inputs(clock_ms)
        if inputs is not None:
            seen.append((inputs, port.tachometer))
    first, first_value = seen[0]
    assert first == Inputs(floor=0)
    assert all(inputs is first for inputs, _ in seen)
    assert 0 < first_value < seen[-1][1]
    assert len(port.news) == 1
    port.stop()
    device.close()


def test_port_with_a_full_output_buffer_can_be_reopened_while_a_copy_of_its_descriptor_is_open() -> None:
    device = OtherDevice(identity_then(b"\xa2\x20\x00\xa2"))
    copies: list[int] = []
    port = CardPort(device.path, 99, lambda fd: None if fd is None else copies.append(os.dup(fd)))
    for clock_ms in range(0, 500, 5):
        port.poll(clock_ms)
        device.run_once()
    for size in (1000, 1):
        with suppress(BlockingIOError):
            while True:
                os.write(copies[0], bytes(size))
    port.stop()
    again, _ = card_port.open_port(device.path)
    again.close()
    os.close(copies[0])
    device.close()


@pytest.mark.parametrize(("interval_ms", "sweeps"), [(0, 200), (10, 100), (250, 100)])
def test_card_is_swept_at_the_given_interval_or_every_10_ms_if_that_is_shorter(interval_ms: int, sweeps: int) -> None:
    asked_at_ms: list[int] = []

    def card(request: bytes, asked: int) -> bytes:
        asked_at_ms.append(clock_ms)
        return b"\xa2\x20\x00\xa2" if is_sweep(request) else b"\xa2" * request.count(READ_IDENTITY)

    device, clock_ms = OtherDevice(card), 0
    port = CardPort(device.path, 99, sweep_ms=interval_ms)
    for clock_ms in range(0, 2000, 5):
        port.poll(clock_ms)
        device.run_once()
    assert len([each for each in asked_at_ms if 1000 <= each < 2000]) == sweeps
    assert len(port.news) == 1
    port.stop()
    device.close()


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ((), "no card in"),
        (("usb-FTDI_UART-if00",), "only usb-FTDI_UART-if00"),
        (
            ("usb-NTNU_Arduino_IO_Card_1", "usb-NTNU_Arduino_IO_Card_2"),
            "choose one with --serial PATH: usb-NTNU_Arduino_IO_Card_1, usb",
        ),
    ],
)
def test_automatic_search_logs_the_ports_found_unless_exactly_one_is_a_card(
    names: tuple[str, ...], found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(card_port, "BY_ID", tmp_path)
    for name in names:
        (tmp_path / name).touch()
    port = CardPort("auto", 99)
    port.poll(0)
    port.poll(1000)
    assert len(port.news) == 1
    assert found in port.news[0]


def test_automatic_search_opens_the_only_card(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "by-id").mkdir()
    (tmp_path / "by-id" / "usb-NTNU_Arduino_IO_Card_75-if00").symlink_to(bench.line.path)
    (tmp_path / "by-id" / "usb-FTDI_UART-if00").touch()
    monkeypatch.setattr(card_port, "BY_ID", tmp_path / "by-id")
    bench.port = CardPort("auto", 99)
    bench.pump(bench.answers)


@pytest.mark.parametrize("path", ["/dev/null", "/etc/passwd", "/", "/nowhere/card"])
def test_path_without_a_serial_port_is_logged_once(path: str) -> None:
    port = CardPort(path, 99)
    for ms in range(0, 1000, 50):
        port.poll(ms)
    assert len(port.news) == 1
    assert "\n" not in port.news[0]
