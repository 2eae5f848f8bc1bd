"""The simulator in a terminal: its picture, its keys, and whole programs in a pseudo-terminal."""

import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from lab import free_port
from rich.cells import cell_len

from elevator.building import elevators
from elevator.building import shaft as physics
from elevator.building.building import Building, open_building
from elevator.building.elevators import SimulatedElevator
from elevator.building.keyboard import Keys
from elevator.building.shaft import Shaft
from elevator.building.terminal import handle_key, split_keys
from elevator.building.terminal_picture import Appearance, PanelPicture, draw
from elevator.core.call_set import mask
from elevator.core.model import Button, Buttons, Motor
from elevator.ui.screen import ENTER, LEAVE

PATIENCE_S = 30.0
KEYS = Keys()


def car(floors: int = 4, floor: float = 1, motor: Motor = Motor.STOP) -> SimulatedElevator:
    shaft = physics.command(physics.put(Shaft(floors), floor, 0), motor, 0)
    return evolve(elevators.new_elevator(shaft), lamps=Buttons(1, 2, 4))


def picture(elevator: SimulatedElevator, now_ms: int = 0) -> list[str]:
    return draw(
        [PanelPicture(elevator, 15657, client=True, event_count=43)], 0, ["a note"], Appearance(), now_ms, 100, 40
    ).plain.split("\n")


# The picture


def test_picture_shows_the_state_of_car_and_panel() -> None:
    elevator = evolve(car(), indicator=1, door=True, stop_lamp=True, obstructed=True)
    lines = picture(elevator)
    assert "port 15657" in lines[1]
    assert "connected" in lines[1]
    assert [line[13:].split("│")[0].rstrip() for line in lines[1:6]] == [
        "      #",
        "  0   1*  2   3",
        "  *   -   -",
        "      *   -   -",
        "  -   -   *   -",
    ]
    assert [line.split("│")[3].split() for line in lines[3:6]] == [["door", "*"], ["stop", "*"], ["obstr.", "v"]]
    assert "43" in lines[6]
    assert "a note" in lines


def test_picture_shows_motion_and_faults() -> None:
    up, down = car(motor=Motor.UP), car(motor=Motor.DOWN)
    assert picture(up)[1].index("#>") < picture(up, 1250)[1].index("#>") < picture(up, 2500)[1].index("#>")
    assert "<#" in picture(down)[1]
    out, _ = elevators.settle(down, 100_000)
    assert "OUT" in picture(out, 100_000)[2]
    assert "no power" in picture(elevators.power(car(), False, 0))[2]


@given(st.integers(2, 64), st.integers(1, 64), st.integers(0, 63), st.integers(1, 300), st.integers(1, 120))
def test_picture_fits_any_terminal(floors: int, cars: int, selected: int, width: int, height: int) -> None:
    selected %= cars
    panels = [
        PanelPicture(car(floors, floors - 1), 15657 + number, client=False, event_count=0) for number in range(cars)
    ]
    lines = draw(panels, selected, ["note"] * 5, Appearance(), 0, width, height).plain.split("\n")
    assert len(lines) <= max(1, height - 1)
    assert all(cell_len(line) <= max(1, width - 1) for line in lines)
    if width > 60 and height > 20:
        assert any(re.search(rf"elevator {selected}\b", line) for line in lines)
        assert any(re.search(rf"{floors - 1}\b", line) for line in lines)


def test_long_notes_are_wrapped_and_visible_below_any_number_of_panels() -> None:
    panels = [PanelPicture(car(), 15657 + number, client=False, event_count=0) for number in range(9)]
    note = "simulator.con: ignored --colour blue; --port: 'x' is not a whole number from 0 to 65535, --randomStart"
    for cars, height in product(range(1, 10), range(16, 70)):
        words = draw(panels[:cars], 0, [note], Appearance(), 0, 79, height).plain.split()
        assert " ".join(words).endswith(note), (cars, height)


# The keys


@pytest.fixture
def building() -> Iterator[Building]:
    opened = open_building([physics.put(Shaft(4), 1, 0)] * 2)
    yield opened
    opened.close()


def after(building: Building, keys: str) -> SimulatedElevator:
    for key in keys:
        handle_key(building, 0, key, KEYS)
    return building.servers[0].elevator


@pytest.mark.parametrize(
    ("key", "button", "floor"),
    [
        ("q", Button.UP, 0),
        ("e", Button.UP, 2),
        ("s", Button.DOWN, 1),
        ("f", Button.DOWN, 3),
        ("z", Button.CAB, 0),
        ("v", Button.CAB, 3),
    ],
)
def test_key_presses_its_button_and_capital_letter_holds_or_releases_it(
    building: Building, key: str, button: Button, floor: int
) -> None:
    (press,) = after(building, key).presses
    assert press[:2] == (button, floor)
    assert press.until_ms is not None
    (held,) = after(building, key.upper()).presses
    assert held == (button, floor, None)
    assert after(building, key.upper()).presses == ()


@pytest.mark.parametrize("key", ["r", "g", "b", "qw", "\x1b[A", "Ω", "\x00", "", "1"])
def test_keys_without_a_button_do_nothing(building: Building, key: str) -> None:
    before = building.servers[0].elevator.presses
    handle_key(building, 0, key, KEYS)
    assert building.servers[0].elevator.presses == before
    assert building.history.next_event == 0


def test_stop_key_presses_the_stop_button_and_its_capital_letter_holds_or_releases_it(building: Building) -> None:
    pressed = after(building, "p")
    assert pressed.stop
    later, _ = elevators.settle(pressed, (pressed.stop_until_ms or 0))
    assert not later.stop
    held = after(building, "P")
    assert (held.stop, held.stop_until_ms) == (True, None)
    assert not after(building, "P").stop


def test_obstruction_key_toggles_the_switch(building: Building) -> None:
    assert after(building, "-").obstructed
    assert not after(building, "-").obstructed


def test_motor_keys_give_motor_commands(building: Building) -> None:
    assert after(building, "9").shaft.motor == Motor.UP
    assert after(building, "8").shaft.motor == Motor.STOP
    assert after(building, "7").shaft.motor == Motor.DOWN


def test_inbounds_key_puts_back_a_car_that_left_its_shaft(building: Building) -> None:
    out = physics.at(evolve(building.servers[0].elevator.shaft, place=-1), 0)
    building.servers[0].elevator = evolve(elevators.new_elevator(out), out=True)
    back = after(building, "0")
    assert (back.sensed, back.shaft.motor) == (0, Motor.STOP)


def test_key_with_several_functions_executes_all(building: Building) -> None:
    handle_key(
        building, 0, "x", Keys(up="xx", cab="x", stop="x", obstruction="x", motor_up="x", motor_down="x", inbounds="x")
    )
    elevator = building.servers[0].elevator
    assert [press[:2] for press in elevator.presses] == [(Button.UP, 0), (Button.CAB, 0)]
    assert (elevator.stop, elevator.obstructed, elevator.shaft.motor) == (True, True, Motor.DOWN)


def test_configured_keys_are_used(building: Building) -> None:
    keys = Keys(up="abc", stop="Q", obstruction="å")
    handle_key(building, 1, "c", keys)
    handle_key(building, 1, "Q", keys)
    handle_key(building, 1, "å", keys)
    elevator = building.servers[1].elevator
    assert mask(elevators.pressed(elevator), Button.UP) == 4
    assert (elevator.stop, elevator.obstructed) == (True, True)


def test_capital_letter_can_be_the_key_of_every_function_without_a_floor(building: Building) -> None:
    keys = Keys(stop="Q", obstruction="W", motor_up="E", motor_stop="D", motor_down="S", inbounds="Z")
    motors = []
    for key in "QWESD":
        handle_key(building, 0, key, keys)
        motors.append(building.servers[0].elevator.shaft.motor)
    elevator = building.servers[0].elevator
    assert (elevator.stop, elevator.obstructed, elevator.presses) == (True, True, ())
    assert motors[2:] == [Motor.UP, Motor.DOWN, Motor.STOP]
    out = physics.at(evolve(elevator.shaft, place=-1), 0)
    building.servers[0].elevator = evolve(elevators.new_elevator(out), out=True)
    handle_key(building, 0, "Z", keys)
    assert building.servers[0].elevator.sensed == 0


@given(st.text())
def test_splitting_keys_keeps_all_characters(typed: str) -> None:
    assert "".join(split_keys(typed)) == typed


def test_escape_sequences_are_single_keys() -> None:
    assert split_keys("q\x1b[C\x1b[1;5Dz\t") == ["q", "\x1b[C", "\x1b[1;5D", "z", "\t"]


# In a pseudo-terminal


SHELL = """\
import os, signal, subprocess, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

def to_the_foreground():
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)

recipe = subprocess.Popen([sys.executable, "-c", sys.argv[1], *sys.argv[2:]], preexec_fn=to_the_foreground)
while True:
    _, status = os.waitpid(recipe.pid, os.WUNTRACED)
    os.tcsetpgrp(0, os.getpgrp())
    print("shell:", "stopped" if os.WIFSTOPPED(status) else "ended", flush=True)
    os.read(0, 1)
    if not os.WIFSTOPPED(status):
        break
    os.tcsetpgrp(0, recipe.pid)
    os.killpg(recipe.pid, signal.SIGCONT)
"""
"""A program that runs a command with job control, as a shell does."""
RECIPE = """\
import os, signal, subprocess, sys
signal.signal(signal.SIGINT, lambda *_: None)
process = subprocess.Popen([sys.executable, "-m", "elevator", *sys.argv[1:]])
print("pids", os.getpid(), process.pid, flush=True)
sys.exit(process.wait())
"""
"""A program that runs `elevator` as its child process, as recipes and scripts do."""


class Screen:
    """A pseudo-terminal. SHELL runs in it and starts RECIPE, which starts `elevator`."""

    def __init__(self, *arguments: str) -> None:
        self.output = b""
        self.shell, self.master = pty.fork()
        if not self.shell:
            os.environ |= {"TERM": "xterm-256color", "PYTHONPATH": str(Path(__file__).parents[2])}
            os.execv(sys.executable, [sys.executable, "-c", SHELL, RECIPE, *arguments])
        self.resize(100, 30)
        self.before = termios.tcgetattr(self.master)
        self.until(rb"pids \d+ \d+\r\n")
        found = re.search(rb"pids (\d+) (\d+)\r\n", self.output)
        assert found is not None
        self.recipe, self.pid = int(found[1]), int(found[2])

    def read(self, timeout_s: float) -> None:
        if select.select([self.master], [], [], timeout_s)[0]:
            try:
                self.output += os.read(self.master, 65536)
            except OSError:  # The other end is closed.
                time.sleep(timeout_s)

    def until(self, pattern: bytes | Callable[[], object], since: int = 0) -> None:
        """Read until the output after offset *since* matches *pattern*, or until a callable *pattern* returns true."""
        deadline = time.monotonic() + PATIENCE_S
        while not (pattern() if callable(pattern) else re.search(pattern, self.output[since:], re.DOTALL)):
            assert time.monotonic() < deadline, self.output[since:]
            self.read(0.05)

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", height, width, 0, 0))

    def text(self, since: int = 0) -> str:
        """Return the output after offset *since*, without escape sequences."""
        return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", self.output[since:].decode(errors="replace"))

    def is_restored(self) -> bool:
        """Return whether the program has restored the terminal's screen and settings."""
        return self.output.rfind(LEAVE.encode()) > self.output.rfind(ENTER.encode()) and self.has_original_settings()

    def has_original_settings(self) -> bool:
        return termios.tcgetattr(self.master) == self.before

    def close(self) -> None:
        for pid in (self.pid, self.recipe, self.shell):
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        os.close(self.master)
        os.waitpid(self.shell, 0)


def state(pid: int) -> str:
    """Return the state letter of a process, as in /proc/PID/stat; empty if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    return state(pid) not in ("", "Z")


@pytest.fixture
def screen() -> Iterator[Screen]:
    opened = Screen("sim", "--port", "0", "--cars", "2", "--at", "0")
    opened.until(rb"elevator 0.*elevator 1")
    assert ENTER.encode() in opened.output
    assert not opened.has_original_settings()
    yield opened
    opened.close()


def test_keys_act_on_the_selected_elevator(screen: Screen) -> None:
    screen.type("9")
    screen.until(rb"#>")

    def obstructions() -> list[str]:
        """Return the obstruction switches of both elevators in the last picture: "v" is on, "^" is off."""
        return re.findall(r"obstr\.\s+([v^])", screen.text().rpartition("elevator 0")[2])

    screen.type("8\t-")
    screen.until(lambda: obstructions() == ["^", "v"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_terminal_is_restored_after_a_signal(screen: Screen, number: signal.Signals) -> None:
    os.kill(screen.pid, number)
    screen.until(rb"shell: ended")
    screen.until(screen.is_restored)


def test_control_c_ends_the_program_and_restores_the_terminal(screen: Screen) -> None:
    screen.type("\x03")
    screen.until(rb"shell: ended")
    screen.until(screen.is_restored)


@pytest.mark.parametrize("parent", ["recipe", "shell"])
def test_program_ends_and_restores_the_terminal_when_its_parent_or_the_shell_is_killed(
    screen: Screen, parent: str
) -> None:
    os.kill(screen.recipe if parent == "recipe" else screen.shell, signal.SIGKILL)
    screen.until(lambda: not is_alive(screen.pid))
    screen.until(lambda: LEAVE.encode() in screen.output)
    if parent == "recipe":
        screen.until(screen.is_restored)


def test_control_z_restores_the_terminal_until_the_program_continues(screen: Screen) -> None:
    screen.type("\x1a")
    screen.until(rb"shell: stopped")
    screen.until(lambda: state(screen.pid) == "T")
    screen.until(screen.is_restored)
    before = len(screen.output)
    screen.type("\n")
    screen.until(rb"elevator 0", before)
    assert not screen.has_original_settings()
    os.kill(screen.pid, signal.SIGTERM)
    screen.until(rb"shell: ended")
    screen.until(screen.is_restored)


def test_settings_changed_by_another_program_are_kept(screen: Screen) -> None:
    """The shell may change the settings for its prompt before the program restores the terminal."""
    os.kill(screen.pid, signal.SIGSTOP)
    changed = termios.tcgetattr(screen.master)
    changed[3] ^= termios.ECHOK
    termios.tcsetattr(screen.master, termios.TCSANOW, changed)
    os.kill(screen.pid, signal.SIGTERM)
    os.kill(screen.pid, signal.SIGCONT)
    screen.until(lambda: LEAVE.encode() in screen.output and not is_alive(screen.pid))
    assert termios.tcgetattr(screen.master) == changed


def test_resizing_redraws_the_picture(screen: Screen) -> None:
    before = len(screen.output)
    screen.resize(60, 12)
    screen.until(rb"elevators 0 to 0 of 2", before)
    before = len(screen.output)
    screen.type("\t")
    screen.until(rb"elevators 1 to 1 of 2.*\x1b\[J", before)
    assert all(cell_len(line) < 60 for line in re.split(r"[\r\n]+", screen.text(before)))


def test_program_ends_when_the_terminal_closes(screen: Screen) -> None:
    os.close(screen.master)
    deadline = time.monotonic() + PATIENCE_S
    while is_alive(screen.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    screen.master = os.open(os.devnull, os.O_RDONLY)


@pytest.mark.parametrize("victim", ["program", "parent"])
@pytest.mark.parametrize("command", ["demo", "watch"])
def test_terminal_is_restored_when_demo_or_watch_or_its_parent_is_killed(command: str, victim: str) -> None:
    arguments = ["--cars", "1", "--no-web"] if command == "demo" else ["--net-port", str(free_port(socket.SOCK_DGRAM))]
    screen = Screen(command, *arguments)

    def is_back() -> bool:
        # Enter and leave the alternate screen; hide and show the cursor.
        pairs = ((b"\x1b[?1049h", b"\x1b[?1049l"), (b"\x1b[?25l", b"\x1b[?25h"))
        return all(screen.output.rfind(entered) < screen.output.rfind(left) for entered, left in pairs)

    try:
        screen.until(rb"\x1b\[\?25l.*Ctrl-C quits")
        assert not is_back()
        os.kill(screen.pid if victim == "program" else screen.recipe, signal.SIGKILL)
        screen.until(lambda: not is_alive(screen.pid) and is_back())
        assert screen.has_original_settings()
    finally:
        screen.close()


def test_ignored_arguments_are_shown_before_and_in_the_picture() -> None:
    screen = Screen("sim", "--port", "0", "--nonsense", "3")
    try:
        screen.until(rb"elevator 0.*ignored --nonsense 3.*simulating 1 elevator")
        assert screen.output.index(b"elevator sim: ignored --nonsense 3") < screen.output.index(ENTER.encode())
    finally:
        screen.close()


def test_headless_simulator_prints_lines_even_in_a_terminal() -> None:
    screen = Screen("sim", "--port", "0", "--headless", "--nonsense")
    try:
        ready = rb"simulating 1 elevator on port \d+, control socket on port \d+\r\n"
        screen.until(rb"elevator sim: ignored --nonsense\r\n" + ready)
        assert b"\x1b" not in screen.output
        assert screen.has_original_settings()
    finally:
        screen.close()
