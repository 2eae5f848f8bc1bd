"""The simulated I/O card: its byte protocol, its pseudo-terminal, and `elevator sim --card`."""

import json
import os
import selectors
import socket
import subprocess
import termios
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from lab import PROGRAM

from elevator.building import elevators
from elevator.building.building import Building, open_building
from elevator.building.card_line import BYTE_US, Card, CardLine, apply_byte
from elevator.building.elevators import SimulatedElevator
from elevator.building.shaft import Shaft, put
from elevator.core.model import Button, Buttons, Inputs, Motor, Outputs
from elevator.hardware import io_card
from elevator.hardware.panel_outputs import panel_buttons


def feed(card: Card, elevator: SimulatedElevator, stream: bytes) -> tuple[Card, SimulatedElevator, bytes]:
    """Send *stream* to the card. Return the new card, the new elevator and the replies."""
    replies = b""
    for byte in stream:
        card, elevator, reply = apply_byte(card, elevator, byte, 0)
        replies += reply
    return card, elevator, replies


def at(floor: float) -> SimulatedElevator:
    return elevators.new_elevator(put(Shaft(4), floor, 0))


@pytest.mark.parametrize("floor", [0, 1, 2, 3, 1.5])
@pytest.mark.parametrize(("button", "where"), list(panel_buttons(4)))
def test_sweep_reads_all_inputs(floor: float, button: Button, where: int) -> None:
    for stop, obstructed in ((False, True), (True, False)):
        elevator = evolve(at(floor), stop=stop, obstructed=obstructed)
        elevator = elevators.press(elevator, button, where, None)
        _, same, reply = feed(Card(), elevator, io_card.SWEEP)
        sensed = None if floor == 1.5 else int(floor)
        assert io_card.snapshot(reply) == Inputs(elevators.pressed(elevator), sensed, stop, obstructed)
        assert same == elevator


def test_single_pin_reads_agree_with_wide_reads() -> None:
    elevator = elevators.press(evolve(at(2), obstructed=True), Button.CAB, 3, None)
    _, _, singles = feed(Card(), elevator, bytes(0x80 + pin for pin in range(38, 54)))
    _, _, wide = feed(Card(), elevator, bytes((0xC0 + 38, 0xC0 + 46)))
    assert sum(bit << number for number, bit in enumerate(singles)) == int.from_bytes(wide, "little")


@pytest.mark.parametrize("motor", Motor)
@pytest.mark.parametrize("floor", range(4))
def test_writes_set_all_outputs(motor: Motor, floor: int) -> None:
    for button, where in panel_buttons(4):
        lamps = Buttons(**{button.name.lower(): 1 << where})
        wanted = Outputs(motor, 0, not motor, lamps, floor, stop_lamp=bool(floor & 1))
        card, elevator, _ = feed(Card(), at(1), io_card.changes(None, wanted, 99))
        assert (elevator.shaft.motor, elevator.door, elevator.lamps) == (motor, not motor, lamps)
        assert (elevator.indicator, elevator.stop_lamp) == (floor, bool(floor & 1))
        assert card.speed == (99 if motor else 0)
        card, elevator, _ = feed(card, elevator, io_card.changes(wanted, Outputs(lamps=Buttons(), floor=0), 99))
        assert (elevator.shaft.motor, elevator.door, elevator.lamps) == (Motor.STOP, False, Buttons())
        assert elevators.misbehaviour(elevator.counts) == elevator.counts.bad_requests == 0


def test_every_byte_value_gets_at_most_one_reply_byte() -> None:
    card, elevator = Card(), at(1)
    for byte in (*range(256), *reversed(range(256))):
        card, elevator, reply = apply_byte(card, elevator, byte, 0)
        assert len(reply) <= 1


def test_high_pwm_pin_runs_the_motor_at_full_speed() -> None:
    card, elevator, _ = feed(Card(), at(1), bytes((0x40 + 36, 0x40 + 13)))
    assert (card.speed, card.awaits_speed, elevator.shaft.motor) == (255, False, Motor.DOWN)


@pytest.fixture
def building() -> Iterator[Building]:
    built = open_building([put(Shaft(4), 2, 0)])
    yield built
    built.close()


def exchange(built: Building, port: int, request: bytes, replies: int) -> bytes:
    os.write(port, request)
    reply = b""
    end = time.monotonic() + 10
    with selectors.DefaultSelector() as waiting:
        waiting.register(port, selectors.EVENT_READ)
        while len(reply) < replies:
            assert time.monotonic() < end, "timed out"
            built.run_once(0.001)
            if waiting.select(0):
                reply += os.read(port, 100)
    return reply


def opened(path: str) -> int:
    port = os.open(path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(port)
    return port


def test_bytes_arrive_no_faster_than_on_a_real_serial_line(building: Building) -> None:
    line = CardLine(building, 0)
    port = opened(line.path)
    began = time.monotonic()
    reply = exchange(building, port, io_card.SWEEP * 100, 400)
    assert time.monotonic() - began >= 401 * BYTE_US / 1e6
    assert reply == b"\xa2\x80\x00\xa2" * 100
    os.close(port)
    line.unplug()


def test_writes_reach_the_panel(building: Building) -> None:
    line = CardLine(building, 0)
    port = opened(line.path)
    wanted = Outputs(lamps=Buttons(cab=0b1010), floor=2, door=True)
    exchange(building, port, io_card.changes(None, wanted, 99) + io_card.READ_IDENTITY, 1)
    assert building.servers[0].elevator.lamps == Buttons(cab=0b1010)
    assert building.servers[0].elevator.door
    os.close(port)
    line.unplug()


def test_motor_keeps_running_when_the_controller_closes_the_port(building: Building) -> None:
    line = CardLine(building, 0)
    port = opened(line.path)
    exchange(building, port, io_card.changes(None, Outputs(motor=Motor.UP), 99) + io_card.READ_IDENTITY, 1)
    os.close(port)
    for _ in range(5):
        building.run_once(0.001)
    assert building.servers[0].elevator.shaft.motor is Motor.UP
    line.unplug()


def test_card_can_be_unplugged_and_replugged(building: Building, tmp_path: Path) -> None:
    line = CardLine(building, 0, tmp_path / "card")
    for _ in range(3):
        port = opened(str(tmp_path / "card"))
        assert exchange(building, port, io_card.READ_IDENTITY, 1) == b"\xa2"
        line.unplug()
        assert not (tmp_path / "card").is_symlink()
        with pytest.raises(OSError, match="Input/output"):
            os.write(port, io_card.READ_IDENTITY)
        os.close(port)
        line.plug()
    line.unplug()


def test_card_stays_unplugged_if_its_link_cannot_be_created(building: Building, tmp_path: Path) -> None:
    line = CardLine(building, 0, tmp_path / "card")
    line.unplug()
    (tmp_path / "card.new").mkdir()
    with pytest.raises(FileExistsError):
        line.plug()
    assert building.is_plugged(0) is False


def run(*arguments: str) -> subprocess.Popen[str]:
    command = [*PROGRAM, "sim", "--headless", "--port", "0", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_sim_prints_the_path_of_each_card(tmp_path: Path) -> None:
    with run("--cars", "2", "--card", str(tmp_path / "card-"), "--at", "3") as sim:
        assert sim.stdout is not None
        sim.stdout.readline()
        paths = [sim.stdout.readline().split(": ")[1].strip() for _ in range(2)]
        for car, path in enumerate(paths):
            assert str((tmp_path / f"card-{car}").readlink()) == path
            port = opened(path)
            os.write(port, io_card.SWEEP)
            reply = b""
            while len(reply) < 4:
                reply += os.read(port, 10)
            assert reply == b"\xa2\x40\x00\xa2"
            os.close(port)
        sim.terminate()
        sim.communicate()
        assert sim.returncode == 0
    assert not list(tmp_path.iterdir())


class LabServer:
    """A client that uses the card like the lab's elevator server (TTK4145/elevator-server).

    It writes single bytes. After a read command it waits up to a second for the reply.
    """

    def __init__(self, path: str) -> None:
        self.port = os.open(path, os.O_RDWR | os.O_NOCTTY)
        _, _, _, _, input_speed, output_speed, control = termios.tcgetattr(self.port)
        control[termios.VMIN], control[termios.VTIME] = 0, 10
        modes = termios.B115200 | termios.CLOCAL | termios.CREAD | termios.CS8
        termios.tcflush(self.port, termios.TCIFLUSH)
        termios.tcsetattr(self.port, termios.TCSANOW, [0, 0, modes, 0, input_speed, output_speed, control])

    def write(self, *stream: int) -> None:
        for byte in stream:
            assert os.write(self.port, bytes((byte,))) == 1

    def wide(self, pin: int) -> int:
        self.write(0xC0 + pin)
        (reply,) = os.read(self.port, 1)  # This fails if no reply arrives within a second.
        return reply


def test_client_that_waits_for_every_reply_is_served(tmp_path: Path) -> None:
    with run("--card", str(tmp_path / "card-"), "--at", "1", "--travelTimeBetweenFloors_ms", "400") as sim:
        assert sim.stdout is not None
        address = ("127.0.0.1", int(sim.stdout.readline().rsplit(" ", 1)[1]))
        path = sim.stdout.readline().split(": ")[1].strip()
        with socket.create_connection(address) as control, control.makefile("rw") as lines:

            def ask(**what: object) -> dict[str, Any]:
                lines.write(json.dumps(what) + "\n")
                lines.flush()
                (state,) = json.loads(lines.readline()).get("cars", [{}])
                return dict(state)

            for _ in range(2):  # The second client finds the card as the first left it.
                server = LabServer(path)
                assert server.wide(63) == 0xA2
                assert [server.wide(pin) for pin in (38, 46, 62)] == [0x10, 0, 0]
                server.write(13, 0)
                server.write(0x40 + 30, 0x40 + 0, 0)  # The lab's server uses pin 0 for lamps that do not exist.
                server.write(0x40 + 24, 24)  # Open the door and close it.
                server.write(36, 13, 255)
                server.wide(63)
                assert (ask(do="state")["motor"], ask(do="state")["lamps"]["up"]) == ("up", [0])
                server.write(0x40 + 36, 13, 255)
                server.wide(63)
                assert ask(do="state")["motor"] == "down"
                while server.wide(38) != 0x20:
                    time.sleep(0.01)
                server.write(36, 13, 255)
                while server.wide(38) != 0x10:
                    time.sleep(0.01)
                server.write(13, 0, 23, 0x40 + 22, 30)
                ask(do="press", car=0, button="cab", floor=3)
                assert server.wide(46) == 0x10
                while server.wide(46):
                    time.sleep(0.01)
                state = ask(do="state")
                assert (state["motor"], state["indicator"], state["sensor"]) == ("stop", 1, 1)
                assert state["misbehaviour"] == state["counts"]["bad_requests"] == 0
                os.close(server.port)
        sim.terminate()
        sim.communicate()


def run_refused(*arguments: str) -> str:
    with run(*arguments) as sim:
        _, errors = sim.communicate(timeout=30)
        assert sim.returncode == 2
        assert errors.count("\n") == 1
        return errors


def test_impossible_card_options_print_a_one_line_error(tmp_path: Path) -> None:
    assert "4 floors" in run_refused("--card", "--numfloors", "9")
    assert "cannot create a card" in run_refused("--card", str(tmp_path / "nowhere" / "card"))
