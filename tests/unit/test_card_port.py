"""The port of the I/O card against simulated cards on pseudo-terminals, and against what is none."""

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
from elevator.building.card_line import Line
from elevator.building.elevator import Machine
from elevator.building.shaft import Shaft, put
from elevator.core.model import Buttons, Inputs, Motor, Outputs
from elevator.hardware import card_client, card_port
from elevator.hardware.card_port import CardPort
from elevator.hardware.io_card import READ_IDENTITY, SWEEP


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class Bench:
    """A simulated card whose path stays the same, and the port to it."""

    def __init__(self, built: Building, path: Path) -> None:
        self.built = built
        self.line = Line(built, 0, path)
        self.port = CardPort(str(path), 99)

    @property
    def machine(self) -> Machine:
        return self.built.elevators[0].machine

    def pump(self, done: Callable[[], bool], patience_s: float = 20, clock: Callable[[], int] = now_ms) -> None:
        """Let both sides run until *done*."""
        end = time.monotonic() + patience_s
        while not done():
            assert time.monotonic() < end, "it never came"
            self.port.poll(clock())
            self.built.turn(0)
            time.sleep(0.0005)

    def pump_for(self, ms: int) -> None:
        until = now_ms() + ms
        self.pump(lambda: now_ms() > until)

    def answers(self) -> bool:
        return self.port.inputs(now_ms()) is not None


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(card_client, "LATE_MS", 400)  # A busy machine should not halt the motor here.
    built = open_building([put(Shaft(4), 2, 0)])
    made = Bench(built, tmp_path / "card")
    yield made
    made.port.stop()
    made.line.unplug()
    built.close()


def test_the_port_reads_and_writes(bench: Bench) -> None:
    bench.pump(lambda: bench.port.inputs(now_ms()) == Inputs(floor=2))
    bench.built.press(0, *(2, 3))  # type: ignore[arg-type]  # cab 3
    bench.pump(lambda: bench.port.inputs(now_ms()) == Inputs(Buttons(cab=0b1000), 2))
    bench.port.write(Outputs(door=True, lamps=Buttons(cab=0b1000), floor=2))
    bench.pump(lambda: bench.machine.door and bench.machine.indicator == 2)
    assert bench.machine.lamps == Buttons(cab=0b1000)
    assert bench.port.news == [f"I/O card {bench.port.where} answers"]


def what_is_sure(before: Inputs, wanted: Outputs) -> Inputs:
    """Return what an answer tells, asked for *before* a card was told what is *wanted*, that comes after that."""
    return evolve(before, door=before.door and bool(wanted.door), still=before.still and wanted.motor is Motor.STOP)


def test_a_command_is_obeyed_when_the_card_was_asked_since_and_has_answered(bench: Bench) -> None:
    bench.pump(bench.answers)
    before = Inputs(floor=2)
    for wanted in (Outputs(), Outputs(door=True), Outputs(motor=Motor.UP), Outputs(Motor.STOP)):
        bench.pump(lambda: bench.port.client.panel.asked_at_ms is None)
        while bench.port.client.panel.asked_at_ms is None:
            bench.port.poll(now_ms())
        asked_at_ms = bench.port.client.panel.asked_at_ms
        bench.port.write(wanted)
        # The port's clock stands still, so a late reply is not followed by the next sweep at once.
        bench.pump(lambda: bench.port.client.panel.asked_at_ms is None, clock=lambda ms=asked_at_ms: ms)  # type: ignore[misc]
        assert bench.port.inputs(now_ms()) == what_is_sure(before, wanted)
        before = Inputs(floor=2, door=bool(wanted.door), still=wanted.motor is Motor.STOP)
        bench.pump(lambda: bench.port.client.panel.asked_at_ms is not None)
        bench.pump(lambda: bench.port.client.panel.asked_at_ms is None)  # asked since
        assert bench.port.inputs(now_ms()) == before
        if wanted.motor is not Motor.STOP:  # No answer confirms a running motor, so its bytes may still be on the line.
            bench.pump(lambda: bench.machine.shaft.motor is not Motor.STOP)
        assert (bench.machine.door, bench.machine.shaft.motor) == (wanted.door, wanted.motor)


def test_the_same_answer_is_the_same_object(bench: Bench) -> None:
    bench.pump(bench.answers)
    first = bench.port.inputs(now_ms())
    bench.pump_for(100)
    assert bench.port.inputs(now_ms()) is first


def test_a_clean_end_stops_the_motor_and_leaves_all_dark(bench: Bench) -> None:
    bench.pump(bench.answers)
    bench.port.write(Outputs(motor=Motor.UP, lamps=Buttons(7, 2, 15), floor=2, stop_lamp=True))
    bench.pump(lambda: bench.machine.stop_lamp and bench.machine.shaft.motor is Motor.UP)
    bench.port.stop()
    bench.pump(lambda: not bench.machine.stop_lamp and bench.machine.shaft.motor is Motor.STOP)
    assert bench.machine.lamps == Buttons()


def test_unplugged_is_said_once_and_plugged_in_everything_is_written_again(bench: Bench) -> None:
    bench.pump(bench.answers)
    wanted = Outputs(lamps=Buttons(up=1), floor=2)
    bench.port.write(wanted)
    bench.pump(lambda: bench.machine.lamps == Buttons(up=1))
    bench.line.unplug()
    bench.pump(lambda: not bench.answers())
    bench.pump_for(500)
    assert [("lost" in news, "answers" in news) for news in bench.port.news] == [(False, True), (True, False)]
    bench.line.plug()
    bench.pump(bench.answers)
    assert len(bench.port.news) == 3
    bench.port.write(wanted)
    bench.pump(lambda: bench.machine.indicator == 2)


def test_a_card_with_a_loose_plug_does_not_fill_the_log(bench: Bench) -> None:
    for _ in range(8):
        bench.line.plug()
        bench.pump(bench.answers)
        bench.line.unplug()
        bench.pump(lambda: not bench.answers())
    assert len(bench.port.news) == 6
    assert "lost (" in bench.port.news[5]
    assert "recurring" in bench.port.news[5]


def test_a_card_that_is_not_there_is_waited_for_and_said_once(bench: Bench) -> None:
    bench.line.unplug()
    bench.pump_for(500)
    assert len(bench.port.news) == 1
    assert "not there yet (No such file or directory)" in bench.port.news[0]
    bench.line.plug()
    bench.pump(bench.answers)


def test_a_port_that_another_program_has_is_left_alone(bench: Bench) -> None:
    bench.pump(bench.answers)
    other = CardPort(bench.port.where, 99)
    for _ in range(5):
        other.poll(now_ms())
        bench.pump_for(120)
    assert other.inputs(now_ms()) is None
    assert len(other.news) == 1
    assert "another program has it" in other.news[0]
    bench.port.stop()
    bench.port = other
    bench.pump(bench.answers)


def test_a_copy_of_the_descriptor_does_not_keep_the_lock(bench: Bench) -> None:
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


def test_a_card_that_stops_answering_is_lost_and_found_again(bench: Bench) -> None:
    bench.pump(bench.answers)
    until = now_ms() + 1500
    while now_ms() < until:  # the card stands still
        bench.port.poll(now_ms())
        time.sleep(0.005)
    assert not bench.answers()
    assert "no reply for 400 ms; motor stopped" in bench.port.news[1]
    assert "lost (no answer)" in bench.port.news[2]
    bench.pump(bench.answers)
    assert len(bench.port.news) == 4


def test_an_answer_from_before_a_freeze_is_thrown_away(bench: Bench) -> None:
    bench.pump(bench.answers)
    bench.pump(lambda: bench.port.client.panel.asked_at_ms is not None)
    bench.built.turn(0.05)
    thawed_ms = now_ms() + 600
    bench.port.poll(thawed_ms)
    assert bench.port.inputs(thawed_ms) is None


class Impostor:
    """A serial device of another kind: to each request it says *answer* of it and of how many there have been."""

    def __init__(self, answer: Callable[[bytes, int], bytes]) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._answer = answer
        self._asked = 0

    def turn(self) -> None:
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


def identity_then(rubbish: bytes) -> Callable[[bytes, int], bytes]:
    return lambda request, asked: rubbish if is_sweep(request) else b"\xa2" * request.count(READ_IDENTITY)


IMPOSTORS = {
    "silent": lambda request, asked: b"",
    "echo": lambda request, asked: request,
    "talks by itself": lambda request, asked: b"$GPGGA,1,2,3*42\r\n",
    "zeros": lambda request, asked: bytes(len(request)),
    "two floors at once": identity_then(b"\xa2\x30\x00\xa2"),
    "one byte too many": identity_then(b"\xa2\x00\x00\x00\xa2"),
    "one byte too few": identity_then(b"\xa2\x00\xa2"),
    "shifted": identity_then(b"\x00\xa2\x00\x00"),
}


@pytest.mark.parametrize("kind", IMPOSTORS)
def test_what_is_not_this_card_is_never_obeyed_and_said_once(kind: str) -> None:
    device = Impostor(IMPOSTORS[kind])
    port = CardPort(device.path, 99)
    clock_ms = 0  # faster than the real one
    while clock_ms < 6000:
        clock_ms += 5
        port.poll(clock_ms)
        device.turn()
        assert port.inputs(clock_ms) is None
    assert len(port.news) == 1, port.news
    assert "not there yet" in port.news[0]
    port.stop()
    device.close()


def first_inputs(port: CardPort, device: Impostor) -> Inputs:
    """Return what *port* reads first from *device*, in time that is simulated."""
    for clock_ms in range(5, 5000, 5):
        port.poll(clock_ms)
        device.turn()
        inputs = port.inputs(clock_ms)
        if inputs is not None:
            return inputs
    raise AssertionError("it was never found")


def test_a_card_that_misses_the_first_requests_is_found() -> None:
    def late(request: bytes, asked: int) -> bytes:
        if asked <= 3:
            return b"\x00"
        return b"\xa2\x20\x00\xa2" if is_sweep(request) else b"\xa2"

    device = Impostor(late)
    port = CardPort(device.path, 99)
    assert first_inputs(port, device) == Inputs(floor=0)
    port.stop()
    device.close()


def test_answers_that_come_late_and_all_at_once_are_not_taken_for_a_sweep() -> None:
    device = Impostor(lambda request, asked: b"\xa2" * 4 if asked == 4 else b"\xa2\x20\x00\xa2" * is_sweep(request))
    port = CardPort(device.path, 99)
    assert first_inputs(port, device) == Inputs(floor=0)
    assert len(port.news) == 1
    port.stop()
    device.close()


def with_tachometer(request: bytes, asked: int) -> bytes:
    """Answer as a card with its car at floor 0, and a tachometer that shows how often it was asked."""
    if bytes((0xC0 + 62,)) + SWEEP in request:
        return bytes((asked, 0xA2, 0x20, 0x00, 0xA2))
    return b"\xa2" * request.count(READ_IDENTITY)


def test_tachometer_is_read_in_the_same_sweep_and_makes_no_new_inputs() -> None:
    device = Impostor(with_tachometer)
    port = CardPort(device.path, 99, has_tachometer=True)
    seen: list[tuple[Inputs, int]] = []
    for clock_ms in range(0, 500, 5):
        port.poll(clock_ms)
        device.turn()
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


def test_port_of_a_card_that_does_not_read_can_be_opened_again_while_a_copy_is_open() -> None:
    device = Impostor(identity_then(b"\xa2\x20\x00\xa2"))
    copies: list[int] = []
    port = CardPort(device.path, 99, lambda fd: None if fd is None else copies.append(os.dup(fd)))
    for clock_ms in range(0, 500, 5):
        port.poll(clock_ms)
        device.turn()
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
def test_card_is_swept_once_an_interval_and_at_least_every_10_ms(interval_ms: int, sweeps: int) -> None:
    asked_at_ms: list[int] = []

    def card(request: bytes, asked: int) -> bytes:
        asked_at_ms.append(clock_ms)
        return b"\xa2\x20\x00\xa2" if is_sweep(request) else b"\xa2" * request.count(READ_IDENTITY)

    device, clock_ms = Impostor(card), 0
    port = CardPort(device.path, 99, sweep_ms=interval_ms)
    for clock_ms in range(0, 2000, 5):
        port.poll(clock_ms)
        device.turn()
    assert len([each for each in asked_at_ms if 1000 <= each < 2000]) == sweeps
    assert len(port.news) == 1
    port.stop()
    device.close()


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "none in"),
        (("usb-FTDI_UART-if00",), "but usb-FTDI_UART-if00"),
        (
            ("usb-NTNU_Arduino_IO_Card_1", "usb-NTNU_Arduino_IO_Card_2"),
            "more than one: usb-NTNU_Arduino_IO_Card_1, usb",
        ),
    ],
)
def test_auto_says_what_it_saw(
    names: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(card_port, "BY_ID", tmp_path)
    for name in names:
        (tmp_path / name).touch()
    port = CardPort("auto", 99)
    port.poll(0)
    port.poll(1000)
    assert len(port.news) == 1
    assert said in port.news[0]


def test_auto_finds_the_only_card(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "by-id").mkdir()
    (tmp_path / "by-id" / "usb-NTNU_Arduino_IO_Card_75-if00").symlink_to(bench.line.path)
    (tmp_path / "by-id" / "usb-FTDI_UART-if00").touch()
    monkeypatch.setattr(card_port, "BY_ID", tmp_path / "by-id")
    bench.port = CardPort("auto", 99)
    bench.pump(bench.answers)


@pytest.mark.parametrize("path", ["/dev/null", "/etc/passwd", "/", "/nowhere/card"])
def test_what_is_no_card_port_is_said_once(path: str) -> None:
    port = CardPort(path, 99)
    for ms in range(0, 1000, 50):
        port.poll(ms)
    assert len(port.news) == 1
    assert "\n" not in port.news[0]
