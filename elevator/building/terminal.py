"""The simulator in a terminal: a picture of each elevator, and keys for its buttons.

Rules:
- The picture (terminal_picture.py) is painted when it differs from the last one.
- Whatever ends the program, the terminal is as it was before: see screen.py. So it is while Ctrl-Z stops it.
- When the parent goes (the shell, or a recipe that ran us), nobody can bring us back to the foreground: it is over.
- Who finds that another program has set the terminal up for itself meanwhile leaves it as it is.
- A terminal that takes no output stops no elevator: as long as it does not, nothing is painted.
"""

import os
import select
import selectors
import signal
import sys
import termios
from collections.abc import Sequence
from types import FrameType

from attrs import evolve
from rich.console import Console

from elevator.building import elevator as machines
from elevator.building import shaft as physics
from elevator.building.building import Building
from elevator.building.keyboard import Keys
from elevator.building.terminal_picture import Appearance, PanelPicture, draw
from elevator.core.call_set import mask
from elevator.core.model import Button, Motor
from elevator.ui.screen import ENTER, Guard, Modes, restore

_NEXT, _PREVIOUS = ("\t", "\x1b[C", "\x1b[B"), ("\x1b[Z", "\x1b[D", "\x1b[A")
"""Keys that choose an elevator: tabulator and arrows."""


# The keys


def obey(building: Building, car: int, key: str, keys: Keys) -> None:
    """Do to *car* all that *key* is for; nothing for any other key, and for buttons that the panel does not have."""
    if len(key) != 1:
        return  # An arrow or the like.
    now_us = building.settle()
    now_ms = now_us // 1000
    machine = building.elevators[car].machine
    until_ms = now_ms + building.press_ms
    lower = key.lower()
    is_held = key != lower and key not in f"{keys.up}{keys.down}{keys.cab}{keys.stop}"
    plain = lower if is_held else key
    for button, row, lowest in ((Button.UP, keys.up, 0), (Button.DOWN, keys.down, 1), (Button.CAB, keys.cab, 0)):
        floor = row.find(plain) + lowest
        if plain in row and mask(machines.buttons(machine.shaft.floors), button) >> floor & 1:
            if not is_held:
                machine = machines.press(machine, button, floor, until_ms)
            elif any(each == (button, floor, None) for each in machine.presses):
                machine = machines.release(machine, button, floor)
            else:
                machine = machines.press(machine, button, floor, None)
    if plain == keys.stop:
        held = machine.stop and machine.stop_until_ms is None
        machine = machines.hold_stop(machine, not held) if is_held else machines.press_stop(machine, until_ms)
    if plain == keys.obstruction:
        machine = evolve(machine, obstructed=not machine.obstructed)
    for each, motor in ((keys.motor_up, Motor.UP), (keys.motor_stop, Motor.STOP), (keys.motor_down, Motor.DOWN)):
        if plain == each:
            machine = evolve(machine, shaft=physics.command(machine.shaft, motor, now_ms))
    if plain == keys.inbounds:
        machine = machines.put_back(machine, now_ms)
    building.change(car, machine, now_us)


def split(typed: str) -> list[str]:
    """Split what was typed into keys: a character each, but for arrows and the like, which send several."""
    keys = []
    while typed:
        length = 1
        if typed.startswith("\x1b["):
            length = 2
            while length < len(typed) and not typed[length].isalpha() and typed[length] != "~":
                length += 1
            length += 1
        keys.append(typed[:length])
        typed = typed[length:]
    return keys


# The terminal


class Terminal:
    """Standard input and output as a screen of our own, from `enter` to `leave`."""

    def __init__(self, building: Building, look: Appearance) -> None:
        """Show *building*; its loop must call `paint`."""
        self.is_over = False
        """Whether there is nobody left to see it."""
        self._building = building
        self._look = look
        self._chosen = 0
        self._console = Console()
        self._painted = ""
        self._modes = Modes([], [])
        self._guard: Guard | None = None
        self._parent = os.getppid()

    def enter(self) -> None:
        """Take the terminal."""
        self._take(termios.tcgetattr(0))
        self._guard = Guard(self._modes)
        signal.signal(signal.SIGTSTP, self._suspend)
        self._building.watch(0, selectors.EVENT_READ, lambda _: self._read())

    def leave(self) -> None:
        """Give the terminal back as it was."""
        if self._guard is not None:
            self._building.watch(0, 0, lambda _: None)
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            restore(self._modes)
            self._guard.release()
            self._guard = None

    def paint(self, notes: Sequence[str]) -> None:
        """Paint if there is anything new to see."""
        if os.getppid() != self._parent:
            self.is_over = True
        if self.is_over:
            return
        building = self._building
        panels = [
            PanelPicture(each.machine, each.address[1], each.client is not None, each.changes)
            for each in building.elevators
        ]
        width, height = _size()
        now_ms = building.clock_us() // 1000
        picture = draw(panels, self._chosen, notes, self._look, now_ms, width, height)
        with self._console.capture() as captured:
            self._console.print(picture, end="", crop=False, soft_wrap=True)
        painted = "\x1b[H" + captured.get().replace("\n", "\x1b[K\r\n") + "\x1b[K\x1b[J"
        if painted != self._painted and select.select([], [1], [], 0)[1]:
            self._painted = painted
            self._write(painted)

    def _take(self, saved: list[object]) -> None:
        """Read keys one by one, unseen, and show a screen of our own; Ctrl-C and Ctrl-Z stay what they are."""
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
        """Stop as asked to with Ctrl-Z, without the terminal; take it again when told to go on."""
        restore(self._modes)
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._suspend)
        self._take(self._modes.saved)

    def _read(self) -> None:
        try:
            typed = os.read(0, 4096)
        except OSError:
            typed = b""
        if not typed:  # The terminal has gone.
            self.is_over = True
            self._building.watch(0, 0, lambda _: None)
            return
        for key in split(typed.decode(errors="replace")):
            if key in _NEXT or key in _PREVIOUS:
                self._chosen = (self._chosen + (1 if key in _NEXT else -1)) % len(self._building.elevators)
            else:
                obey(self._building, self._chosen, key, self._look.keys)


def _size() -> tuple[int, int]:
    """Return the columns and lines that the terminal has now; the usual ones if it does not say."""
    try:
        width, height = os.get_terminal_size(1)
    except OSError:
        width = height = 0
    return (width, height) if width and height else (80, 24)
