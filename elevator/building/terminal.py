"""The simulator in a terminal: it draws the elevators and reads the keys that operate them.

Rules:
- The picture (terminal_picture.py) is written only when it has changed, or when the program resumes after Ctrl-Z.
- The terminal is restored however the program ends (see screen.py), and while Ctrl-Z suspends the program.
- If another program has changed the terminal's settings since this program set them, they stay as they are.
- The program ends when its parent (a shell or `just`) ends, because nothing could bring it back to the foreground.
- If the terminal does not accept output, nothing is drawn, and the elevators keep running.
"""

import os
import re
import select
import selectors
import signal
import sys
import termios
from collections.abc import Sequence
from types import FrameType

from attrs import astuple, evolve
from rich.console import Console

from elevator.building import elevators
from elevator.building import shaft as physics
from elevator.building.building import Building
from elevator.building.keyboard import Keys
from elevator.building.terminal_picture import Appearance, PanelPicture, draw
from elevator.core.call_set import mask
from elevator.core.model import Button, Motor
from elevator.ui.screen import ENTER, Guard, Modes, restore

_NEXT, _PREVIOUS = ("\t", "\x1b[C", "\x1b[B"), ("\x1b[Z", "\x1b[D", "\x1b[A")
"""The keys that select the next elevator (Tab, Right, Down) and the previous one (Shift-Tab, Left, Up)."""


def handle_key(building: Building, car: int, key: str, keys: Keys) -> None:
    """Perform on *car* all functions that *keys* assigns to *key*. Ignore unknown keys and missing buttons.

    A capital letter without a function of its own acts like the lower-case letter, except for buttons: it holds the
    button down, or releases a held button.
    """
    if len(key) != 1:
        return  # An escape sequence.
    now_us = building.settle()
    now_ms = now_us // 1000
    elevator = building.servers[car].elevator
    until_ms = now_ms + building.press_ms
    lower = key.lower()
    is_held = key != lower and key not in "".join(astuple(keys))
    plain = lower if is_held else key
    for button, row, lowest in ((Button.UP, keys.up, 0), (Button.DOWN, keys.down, 1), (Button.CAB, keys.cab, 0)):
        floor = row.find(plain) + lowest
        if plain in row and mask(elevators.buttons(elevator.shaft.floors), button) >> floor & 1:
            if not is_held:
                elevator = elevators.press(elevator, button, floor, until_ms)
            elif any(each == (button, floor, None) for each in elevator.presses):
                elevator = elevators.release(elevator, button, floor)
            else:
                elevator = elevators.press(elevator, button, floor, None)
    if plain == keys.stop:
        held = elevator.stop and elevator.stop_until_ms is None
        elevator = elevators.hold_stop(elevator, not held) if is_held else elevators.press_stop(elevator, until_ms)
    if plain == keys.obstruction:
        elevator = evolve(elevator, obstructed=not elevator.obstructed)
    for each, motor in ((keys.motor_up, Motor.UP), (keys.motor_stop, Motor.STOP), (keys.motor_down, Motor.DOWN)):
        if plain == each:
            elevator = evolve(elevator, shaft=physics.command(elevator.shaft, motor, now_ms))
    if plain == keys.inbounds:
        elevator = elevators.put_back(elevator, now_ms)
    building.change(car, elevator, now_us)


def split_keys(typed: str) -> list[str]:
    """Split terminal input into keys: single characters and escape sequences, such as those of the arrow keys."""
    return re.findall(r"\x1b\[[^A-Za-z~]*[A-Za-z~]?|.", typed, re.DOTALL)


class Terminal:
    """The terminal on standard input and output. Between `enter` and `leave` it shows the elevators."""

    def __init__(self, building: Building, appearance: Appearance) -> None:
        """Prepare to show *building*. The caller's loop must call `paint` repeatedly."""
        self.is_over = False
        """True if the terminal or the parent process is gone."""
        self._building = building
        self._appearance = appearance
        self._selected = 0
        self._console = Console()
        self._painted = ""
        self._modes = Modes([], [])
        self._guard: Guard | None = None
        self._parent = os.getppid()

    def enter(self) -> None:
        """Save the terminal's settings, switch to the alternate screen and start to read keys."""
        self._set_up(termios.tcgetattr(0))
        self._guard = Guard(self._modes)
        signal.signal(signal.SIGTSTP, self._suspend)
        self._building.watch(0, selectors.EVENT_READ, lambda _: self._read())

    def leave(self) -> None:
        """Stop reading keys and restore the terminal."""
        if self._guard is not None:
            self._building.watch(0, 0, lambda _: None)
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            restore(self._modes)
            self._guard.release()
            self._guard = None

    def paint(self, notes: Sequence[str]) -> None:
        """Draw the elevators and *notes* if the picture has changed.

        If the parent process is gone, set `is_over` instead.
        """
        if os.getppid() != self._parent:
            self.is_over = True
        if self.is_over:
            return
        building = self._building
        panels = [
            PanelPicture(each.elevator, each.address[1], each.client is not None, each.event_count)
            for each in building.servers
        ]
        width, height = _size()
        now_ms = building.clock_us() // 1000
        picture = draw(panels, self._selected, notes, self._appearance, now_ms, width, height)
        with self._console.capture() as captured:
            self._console.print(picture, end="", crop=False, soft_wrap=True)
        painted = "\x1b[H" + captured.get().replace("\n", "\x1b[K\r\n") + "\x1b[K\x1b[J"
        if painted != self._painted and select.select([], [1], [], 0)[1]:
            self._painted = painted
            self._write(painted)

    def _set_up(self, saved: list[object]) -> None:
        """Switch to the alternate screen and to unbuffered input without echo. Ctrl-C and Ctrl-Z keep their effect.

        `restore` will bring back the settings in *saved*.
        """
        mode = termios.tcgetattr(0)
        mode[0] &= ~(termios.IXON | termios.ICRNL)
        mode[3] &= ~(termios.ICANON | termios.ECHO)
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        termios.tcsetattr(0, termios.TCSADRAIN, mode)
        self._modes = Modes(saved, termios.tcgetattr(0))
        self._painted = ""
        self._write(ENTER)

    def _write(self, text: str) -> None:
        try:
            os.write(1, text.encode(sys.stdout.encoding, errors="replace"))
        except OSError:
            self.is_over = True

    def _suspend(self, _signal: int, _frame: FrameType | None) -> None:
        """Handle SIGTSTP (Ctrl-Z): restore the terminal and stop. When resumed, set up the terminal again."""
        restore(self._modes)
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._suspend)
        self._set_up(self._modes.saved)

    def _read(self) -> None:
        try:
            typed = os.read(0, 4096)
        except OSError:
            typed = b""
        if not typed:  # The terminal is gone.
            self.is_over = True
            self._building.watch(0, 0, lambda _: None)
            return
        for key in split_keys(typed.decode(errors="replace")):
            if key in _NEXT or key in _PREVIOUS:
                self._selected = (self._selected + (1 if key in _NEXT else -1)) % len(self._building.servers)
            else:
                handle_key(self._building, self._selected, key, self._appearance.keys)


def _size() -> tuple[int, int]:
    """Return the terminal's current width and height, or 80 by 24 if they are unknown."""
    try:
        width, height = os.get_terminal_size(1)
    except OSError:
        width = height = 0
    return (width, height) if width and height else (80, 24)
