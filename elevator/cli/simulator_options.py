"""The settings of `elevator sim`: its arguments, and the course simulator's file `simulator.con`.

Rules:
- Arguments come before the file, the file before the defaults. Names are the same in both and in any case.
- The file holds words, `--name value` on any lines. `//` begins a comment, and the first line may be a title.
- It is looked for in the working directory and then beside the file that the user started.
- The course's simulator continues after most mistakes, and its users have files that rely on this. So unknown words,
  bad values in the file and durations of 0 are ignored, and a key may have several meanings. A line names them.
- A bad value among the arguments ends the program, as it does there.
"""

import argparse
import os
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from elevator.building.keyboard import Keys
from elevator.cli.arguments import PAGE, Arguments, host_and_port, integer
from elevator.core.model import MAX_CARS, MAX_FLOORS
from elevator.hardware.io_card import FLOORS

FILE = "simulator.con"
FILE_MAX = 65_536
"""Longest file that is read, in bytes."""
STARTED = "ELEVATOR_FILE"
"""The environment variable with the path of the file that the user started. build/bootstrap.c sets it, because the
program itself runs from a cache."""
DURATIONS = ("travel_ms", "passing_ms", "press_ms")
"""Settings where 0 means the default."""
NAMED_MAX, NAME_MAX = 8, 80
"""How many ignored settings one line names, and how many characters of each."""


class FileReader(Arguments):
    """An argument parser for the file. It raises ValueError."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message.removeprefix("argument "))


def characters(low: int, high: int) -> Callable[[str], str]:
    """Return a type of argument: *low* to *high* visible characters."""

    def those(text: str) -> str:
        # The file's reader puts U+FFFD where the file is not UTF-8.
        visible = text.isprintable() and not any(each.isspace() or each == "\N{REPLACEMENT CHARACTER}" for each in text)
        if not low <= len(text) <= high or not visible:
            how_many = f"{low} visible character" if low == high else f"{low} to {high} visible characters"
            raise argparse.ArgumentTypeError(f"{text!r} is not {how_many}")
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


def options(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Read *argv* and the file; return the settings, and lines that name the ignored ones.

    Exit with status 2 and one line if an argument has a bad value.
    """
    parser, known = _parser(Arguments)
    given, lines = _from_file()
    settings, ignored = _split(argv, known)
    arguments = parser.parse_args(settings, given)
    lines += _line("", ignored)
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
        lines.append(f"keys with more than one meaning: {' '.join(twice)}")
    return arguments, lines


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


Known = Mapping[str, tuple[str, argparse.Action]]
"""Each option by its name in lower case: the parser's spelling, and its action."""


def _parser(kind: type[Arguments]) -> tuple[Arguments, Known]:
    parser = kind(
        prog="elevator sim",
        description="Simulate elevators, each with a panel, as elevator servers: a drop-in for the course's simulator. "
        f"A file {FILE} may hold the same options. Unknown options are ignored, and a line names them.",
        allow_abbrev=False,
        add_help=False,
    )
    duration, keys, key = integer(1, 3_600_000), characters(1, MAX_FLOORS), characters(1, 1)
    default = Keys()
    add = parser.add_argument
    actions = [
        add("-h", "--help", action="help", help="show this help message and exit"),
        add("--port", type=integer(0, 65535), default=15657, help="of the first elevator (15657; 0: any free)"),
        add("--cars", type=integer(1, MAX_CARS), default=1, help="number of elevators, on ports in a row (1)"),
        add("--numfloors", "--floors", type=integer(2, MAX_FLOORS), default=4, help="number of floors (4)"),
        add("--headless", action="store_true", help="print lines only, also in a terminal"),
        add(
            "--web",
            type=host_and_port,
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
        add("--rate", type=integer(0, 6000), default=0, help="simulated passengers a minute (0)"),
        add("--control", type=integer(0, 65535), default=0, help="port of the control socket (0: any free)"),
        add("--host", default="127.0.0.1", help="address to listen on (127.0.0.1); the control socket stays local"),
        add("--seed", type=integer(0, 2**63), help="of start positions and passengers"),
        add("--at", type=integer(0, MAX_FLOORS - 1), help="start at this floor, not at a random position"),
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
    return parser, {name.lower(): (name, action) for action in actions for name in action.option_strings}


def _split(words: Iterable[str], known: Known) -> tuple[list[str], list[str]]:
    """Split *words* into settings, in the parser's spelling, and unknown words, neighbours joined."""
    settings: list[str] = []
    ignored: list[str] = []
    rest, after_ignored = deque(words), False
    while rest:
        word = rest.popleft()
        name, equals, value = word.partition("=")
        if name.lower() not in known:
            if after_ignored and not word.startswith("-"):
                ignored[-1] += f" {word}"
            else:
                ignored.append(word)
            after_ignored = True
            continue
        after_ignored = False
        spelled, action = known[name.lower()]
        # A value may begin with a dash, as the key "-" does, except where none is needed.
        may_follow = rest and not equals and rest[0].partition("=")[0].lower() not in known
        if may_follow and (action.nargs is None or (action.nargs == "?" and not rest[0].startswith("-"))):
            equals, value = "=", rest.popleft()
        if action.dest in DURATIONS and value and not value.strip("0"):
            ignored.append(f"{spelled} {value}")
        else:
            settings.append(spelled + equals + value)
    return settings, ignored


def _from_file() -> tuple[argparse.Namespace, list[str]]:
    """Return the file's settings, and a line that names the ignored ones, if there are any."""
    given = argparse.Namespace()
    file = Path(FILE)
    try:
        if not file.exists():
            file = Path(os.environ.get(STARTED) or sys.argv[0]).resolve().parent / FILE
        words = _words(file)
    except FileNotFoundError:
        return given, []
    except (OSError, ValueError) as error:
        return given, _line(f"{_printable(str(file))}: ", [f"all of it ({getattr(error, 'strerror', None) or error})"])
    reader, known = _parser(FileReader)
    settings, ignored = _split(words, {name: each for name, each in known.items() if each[1].dest != "help"})
    bad: list[str] = []
    for setting in settings:
        try:
            reader.parse_args([setting], given)
        except ValueError as error:
            bad.append(str(error))
    return given, _line(f"{_printable(str(file))}: ", bad + ignored)


def _words(file: Path) -> list[str]:
    """Return the words in *file* without title and comments; raise OSError or ValueError."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise ValueError("not a regular file")
    with file.open("rb") as stream:
        content = stream.read(FILE_MAX + 1)
    if len(content) > FILE_MAX:
        raise ValueError(f"longer than {FILE_MAX} bytes")
    if b"\0" in content:
        raise ValueError("not UTF-8 text")
    text = content.decode("utf-8-sig", errors="replace")
    lines = [words for line in text.splitlines() if (words := line.partition("//")[0].split())]
    has_title = bool(lines) and not any(word.startswith("-") for word in lines[0])
    return [word for words in lines[has_title:] for word in words]


def _line(where: str, ignored: Sequence[str]) -> list[str]:
    """Return one line that names the *ignored* settings, or none."""
    if not ignored:
        return []
    cut = [each if len(each) <= NAME_MAX else f"{each[: NAME_MAX - 3]}..." for each in ignored[:NAMED_MAX]]
    named = [_printable(each) or "''" for each in cut]
    more = f"; and {len(ignored) - NAMED_MAX} more" if len(ignored) > NAMED_MAX else ""
    return [f"{where}ignored {'; '.join(named)}{more}"]


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)
