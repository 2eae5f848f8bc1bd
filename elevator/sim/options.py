"""What `elevator sim` is told: by its arguments, and by the well-known simulator's file `simulator.con`.

Rules:
- Arguments come before the file, the file before the defaults. Names are the same in both and in any case.
- The file has a line `--name value` for each setting; `//` begins a comment, and lines without `--` are headings.
- It is looked for in the working directory and then beside the program, as the well-known simulator's users keep it.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from attrs import frozen

from elevator.hardware.iocard import FLOORS
from elevator.model import MAX_CARS, MAX_FLOORS

PAGE = ("127.0.0.1", 15780)
"""Where the page is unless it is told otherwise: for this machine only."""
FILE = "simulator.con"
FILE_MAX = 65_536
"""Longest file that is read, in bytes."""


@frozen
class Keys:
    """The keys of the terminal: a character for each floor, lowest first, or a single one.

    The keys for hall down begin with floor 1, the lowest that has such a button.
    """

    up: str = "qwertyui"
    down: str = "sdfghjkl"
    cab: str = "zxcvbnm,."
    stop: str = "p"
    obstruction: str = "-"
    motor_up: str = "9"
    motor_stop: str = "8"
    motor_down: str = "7"
    inbounds: str = "0"


class Arguments(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, whatever was given, and exit with status 2."""
        self.exit(2, f"{self.prog}: {' '.join(message.split())}\n")


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return a type of argument: a whole number from *low* to *high*."""

    def number(text: str) -> int:
        value = int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return value

    return number


def place(text: str) -> tuple[str, int]:
    """Read an argument [HOST:]PORT."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not [HOST:]PORT")
    return host or PAGE[0], int(port)


def characters(low: int, high: int) -> Callable[[str], str]:
    """Return a type of argument: *low* to *high* different visible characters."""

    def those(text: str) -> str:
        visible = text.isprintable() and not any(each.isspace() for each in text)
        if not low <= len(text) <= high or not visible or len(set(text)) < len(text):
            how_many = f"{low} character" if low == high else f"{low} to {high} characters"
            raise argparse.ArgumentTypeError(f"{text!r} is not {how_many}, each different")
        return text

    return those


def truth(text: str) -> bool:
    """Read an argument true or false."""
    match text.lower():
        case "true" | "1" | "yes":
            return True
        case "false" | "0" | "no":
            return False
        case _:
            raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")


def options(argv: Sequence[str]) -> argparse.Namespace:
    """Read *argv* and the file; exit with status 2 and one line if anything is wrong."""
    parser, spelled = _parser("elevator sim")
    file = _file()
    given = argparse.Namespace()
    if file is not None:
        reader, _ = _parser(f"elevator sim: {file}")
        try:
            given = reader.parse_args(_spelled(_words(file), spelled))
        except OSError as error:
            reader.error(f"cannot read it: {error.strerror}")
        except ValueError as error:
            reader.error(str(error))
    arguments = parser.parse_args(_spelled(argv, spelled), given)
    if arguments.at is not None and arguments.at >= arguments.numfloors:
        parser.error(f"no floor {arguments.at} in {arguments.numfloors} floors")
    if arguments.card is not None and arguments.numfloors != FLOORS:
        parser.error(f"an I/O card has {FLOORS} floors, not {arguments.numfloors}")
    if arguments.port + arguments.cars - 1 > 65535:
        parser.error(f"no {arguments.cars} ports from {arguments.port} on")
    keys = keys_of(arguments)
    used = [keys.up, keys.down, keys.cab, keys.stop, keys.obstruction]
    used += [keys.motor_up, keys.motor_stop, keys.motor_down, keys.inbounds]
    every = "".join(used)
    if twice := sorted({key for key in every if every.count(key) > 1}):
        parser.error(f"key {twice[0]!r} has two meanings")
    return arguments


def keys_of(arguments: argparse.Namespace) -> Keys:
    """Return the keys among *arguments*."""
    return Keys(
        arguments.keys_up,
        arguments.keys_down,
        arguments.keys_cab,
        arguments.key_stop,
        arguments.key_obstruction,
        arguments.key_motor_up,
        arguments.key_motor_stop,
        arguments.key_motor_down,
        arguments.key_inbounds,
    )


def _parser(prog: str) -> tuple[Arguments, dict[str, str]]:
    """Return the parser, and how each of its options is spelled, by its name in lower case."""
    parser = Arguments(
        prog=prog,
        description="Simulate elevators, each with a panel, as elevator servers: a drop-in for the course's simulator. "
        f"Settings may also stand in a file {FILE}, a line '--name value' each.",
        allow_abbrev=False,
    )
    duration, keys, key = whole(1, 3_600_000), characters(1, MAX_FLOORS), characters(1, 1)
    default = Keys()
    add = parser.add_argument
    actions = [
        add("--port", type=whole(0, 65535), default=15657, help="of the first elevator (15657; 0: any free)"),
        add("--cars", type=whole(1, MAX_CARS), default=1, help="number of elevators, on ports in a row (1)"),
        add("--numfloors", "--floors", type=whole(2, MAX_FLOORS), default=4, help="number of floors (4)"),
        add("--headless", action="store_true", help="print lines only, also in a terminal"),
        add(
            "--web",
            type=place,
            nargs="?",
            const=PAGE,
            metavar="[HOST:]PORT",
            help=f"show the elevators on a page as well ({PAGE[0]}:{PAGE[1]}; for other machines 0.0.0.0:PORT)",
        ),
        add(
            "--card",
            nargs="?",
            const="",
            metavar="PREFIX",
            help="each elevator as an I/O card on a pseudo-terminal as well, linked at PREFIX and its number if given",
        ),
        add("--rate", type=whole(0, 6000), default=0, help="simulated passengers a minute (0)"),
        add("--control", type=whole(0, 65535), default=0, help="port of the control socket (0: any free)"),
        add("--host", default="127.0.0.1", help="address to listen on (127.0.0.1); the control socket stays local"),
        add("--seed", type=whole(0, 2**63), help="of start positions and passengers"),
        add("--at", type=whole(0, MAX_FLOORS - 1), help="start at this floor, not at a random position"),
        add("--travelTimeBetweenFloors_ms", type=duration, default=2000, dest="travel_ms", help="(2000)"),
        add("--travelTimePassingFloor_ms", type=duration, default=500, dest="passing_ms", help="(500)"),
        add("--btnDepressedTime_ms", type=duration, default=200, dest="press_ms", help="(200)"),
        add(
            "--stopMotorOnDisconnect",
            type=truth,
            nargs="?",
            const=True,
            default=True,
            dest="stop_on_disconnect",
            help="whether the motor stops when the controller goes (true)",
        ),
        add("--light_off", type=key, default="-", help="how a dark lamp looks (-)"),
        add("--light_on", type=key, default="*", help="how a lit lamp looks (*)"),
        add("--key_ordersUp", type=keys, default=default.up, dest="keys_up", help=f"({default.up})"),
        add("--key_ordersDown", type=keys, default=default.down, dest="keys_down", help=f"({default.down})"),
        add("--key_ordersCab", type=keys, default=default.cab, dest="keys_cab", help=f"({default.cab})"),
        add("--key_stopButton", type=key, default=default.stop, dest="key_stop", help=f"({default.stop})"),
        add("--key_obstruction", type=key, default=default.obstruction, help=f"({default.obstruction})"),
        add("--key_moveUp", type=key, default=default.motor_up, dest="key_motor_up", help=f"({default.motor_up})"),
        add("--key_moveStop", type=key, default=default.motor_stop, dest="key_motor_stop", help="(8)"),
        add("--key_moveDown", type=key, default=default.motor_down, dest="key_motor_down", help="(7)"),
        add("--key_moveInbounds", type=key, default=default.inbounds, dest="key_inbounds", help="(0)"),
    ]
    return parser, {name.lower(): name for action in actions for name in action.option_strings}


def _spelled(words: Sequence[str], spelled: dict[str, str]) -> list[str]:
    """Spell the options among *words* as the parser does: the well-known simulator takes them in any case."""
    split = (word.partition("=") for word in words)
    return [spelled.get(name.lower(), name) + equals + value for name, equals, value in split]


def _file() -> Path | None:
    """Return where the file is, None if there is none."""
    places = [Path(FILE), Path(sys.argv[0]).parent / FILE]
    return next((path for path in places if path.is_file()), None)


def _words(file: Path) -> list[str]:
    """Return the settings in *file* as words of a command line."""
    with file.open("rb") as stream:
        content = stream.read(FILE_MAX + 1)
    if len(content) > FILE_MAX:
        raise ValueError("too long for what it should be")
    words: list[str] = []
    for number, line in enumerate(content.decode("utf-8", errors="replace").splitlines(), 1):
        setting = line.partition("//")[0].split()
        if not setting or not setting[0].startswith("--"):
            continue
        if len(setting) > 2:
            raise ValueError(f"line {number}: {' '.join(setting)!r} is not '--name value'")
        # With "=" also a value that begins with a dash is a value.
        words.append("=".join(setting))
    return words
