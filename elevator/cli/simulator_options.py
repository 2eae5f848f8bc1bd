"""The settings of `elevator sim`: command-line arguments and the course simulator's file `simulator.con`.

Rules:
- Arguments override the file, and the file overrides the defaults. Arguments and file use the same option names, in
  upper or lower case. Only `--help` does not work in the file.
- The file consists of options such as `--name value` or `--name=value`, any number on a line. `//` starts a comment,
  which ends with the line. If the first line with text contains no word that starts with a dash, it is a title.
- The file is searched for in the working directory, then in the directory of the program.
- The course's simulator ignores most mistakes, and existing files rely on this. So the program ignores unknown words,
  bad values in the file, an unreadable file and durations of 0, and allows a key with several functions. It prints at
  most three lines: what it ignored on the command line, what it ignored in the file, and which keys have several
  functions.
- A bad value on the command line ends the program, as in the course's simulator. So do values that contradict each
  other, even if they are in the file.
"""

import argparse
import os
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from attrs import astuple

from elevator.building.keyboard import Keys
from elevator.cli.arguments import PAGE, Arguments, host_and_port, integer
from elevator.core.model import MAX_CARS, MAX_FLOORS
from elevator.hardware.io_card import FLOORS

FILE = "simulator.con"
FILE_MAX = 65_536
"""Maximum size of the file in bytes."""
STARTED = "ELEVATOR_FILE"
"""The environment variable with the path of the binary that the user started. build/bootstrap.c sets it, because that
binary unpacks the program and runs the copy."""
DURATIONS = ("travel_ms", "passing_ms", "press_ms")
"""The attributes of the parsed arguments that hold durations. A duration of 0 is ignored, on the command line too."""
KEY_OPTIONS = {
    "up": ("ordersUp", "hall up buttons, from floor 0"),
    "down": ("ordersDown", "hall down buttons, from floor 1"),
    "cab": ("ordersCab", "cab buttons, from floor 0"),
    "stop": ("stopButton", "stop button"),
    "obstruction": ("obstruction", "obstruction switch"),
    "motor_up": ("moveUp", "motor up"),
    "motor_stop": ("moveStop", "motor stop"),
    "motor_down": ("moveDown", "motor down"),
    "inbounds": ("moveInbounds", "move the car back into the shaft"),
}
"""For each field of `Keys`, in the same order: its option, as in the course's simulator but without `--key_`, and the
help text without the default."""
NAMED_MAX, NAME_MAX = 8, 80
"""A line about ignored settings lists at most NAMED_MAX of them, and at most NAME_MAX characters of each."""


class FileReader(Arguments):
    """An argument parser for the file. On an error it raises ValueError and does not exit."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message.removeprefix("argument "))


def characters(low: int, high: int) -> Callable[[str], str]:
    """Return an argparse type for strings of *low* to *high* visible characters."""

    def parse(text: str) -> str:
        # U+FFFD replaces bytes of the file that are not UTF-8.
        visible = text.isprintable() and not any(each.isspace() or each == "\N{REPLACEMENT CHARACTER}" for each in text)
        if not low <= len(text) <= high or not visible:
            how_many = f"{low} visible character" if low == high else f"{low} to {high} visible characters"
            raise argparse.ArgumentTypeError(f"{text!r} is not {how_many}")
        return text

    return parse


def truth(text: str) -> bool:
    """Parse a boolean: true, yes or 1; false, no or 0. Case is ignored."""
    match text.lower():
        case "true" | "1" | "yes":
            return True
        case "false" | "0" | "no":
            return False
        case _:
            raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")


def options(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return the settings from *argv* and the file, and at most three lines about mistakes in them.

    If *argv* contains a bad value, or values contradict each other, print one line and exit with status 2.
    """
    parser, known = _parser(Arguments)
    given, lines = _from_file()
    settings, ignored = _split(argv, known)
    arguments = parser.parse_args(settings, given)
    lines += _line("", ignored)
    if arguments.at is not None and arguments.at >= arguments.numfloors:
        parser.error(f"argument --at: {arguments.at} is above the top floor, {arguments.numfloors - 1}")
    if arguments.card is not None and arguments.numfloors != FLOORS:
        parser.error(f"argument --card: an I/O card has {FLOORS} floors, not {arguments.numfloors}")
    if (last := arguments.port + arguments.cars - 1) > 65535:
        parser.error(f"argument --port: {arguments.cars} elevators need ports up to {last}, but the highest is 65535")
    every_key = "".join(astuple(keys_of(arguments)))
    if repeated := sorted({key for key in every_key if every_key.count(key) > 1}):
        lines.append(f"keys with more than one function: {' '.join(repeated)}")
    return arguments, lines


def keys_of(arguments: argparse.Namespace) -> Keys:
    """Return the terminal keys that *arguments* configure."""
    return Keys(*(getattr(arguments, f"key_{name}") for name in KEY_OPTIONS))


Known = Mapping[str, tuple[str, argparse.Action]]
"""For each option name in lower case: the parser's spelling of the name, and the option's action."""


def _parser(kind: type[Arguments]) -> tuple[Arguments, Known]:
    parser = kind(
        prog="elevator sim",
        description="Simulate elevators that speak the elevator server's protocol, like the course's simulator. "
        f"Options are also read from the file {FILE} in the working directory or else in the program's directory. "
        "Unknown options are ignored with a message.",
        allow_abbrev=False,
        add_help=False,
    )
    key = characters(1, 1)
    add = parser.add_argument

    def duration(name: str, dest: str, default: int, help: str) -> argparse.Action:
        kind = integer(1, 3_600_000)
        return add(f"--{name}", type=kind, default=default, dest=dest, metavar="MS", help=f"{help}; default: {default}")

    actions = [
        add("-h", "--help", action="help", help="show this help message and exit"),
        add(
            "--port",
            type=integer(0, 65535),
            default=15657,
            help="port of the first elevator (0: any free port for each elevator); default: 15657",
        ),
        add(
            "--cars",
            type=integer(1, MAX_CARS),
            default=1,
            help="number of elevators, on consecutive ports unless --port is 0; default: 1",
        ),
        add("--numfloors", "--floors", type=integer(2, MAX_FLOORS), default=4, help="number of floors; default: 4"),
        add(
            "--headless",
            action="store_true",
            help="draw no picture in the terminal; print unsafe commands, bad requests and requests to reload the "
            "configuration, at most one of each kind per second and elevator; default if there is no terminal",
        ),
        add(
            "--web",
            type=host_and_port,
            nargs="?",
            const=PAGE,
            metavar="[HOST:]PORT",
            help=f"also show a page; 0.0.0.0:PORT shows it to other machines too; default address: {PAGE[0]}:{PAGE[1]}",
        ),
        add(
            "--card",
            nargs="?",
            const="",
            metavar="PREFIX",
            help=f"also simulate an I/O card for each elevator, which must have {FLOORS} floors; with PREFIX, create "
            "links PREFIX0, PREFIX1, ... to the serial ports",
        ),
        add("--rate", type=integer(0, 6000), default=0, help="simulated passengers per minute; default: 0"),
        add(
            "--control",
            type=integer(0, 65535),
            default=0,
            help="port of the control socket, through which tests press buttons and inject faults; "
            "default: any free port",
        ),
        add("--host", default="127.0.0.1", help="address on which the elevators listen; default: 127.0.0.1"),
        add("--seed", type=integer(0, 2**63), help="seed for start positions and passengers; default: random"),
        add(
            "--at",
            type=integer(0, MAX_FLOORS - 1),
            metavar="FLOOR",
            help="floor where all cars start; default: random positions",
        ),
        duration("travelTimeBetweenFloors_ms", "travel_ms", 2000, "travel time between two floor sensors"),
        duration("travelTimePassingFloor_ms", "passing_ms", 500, "travel time within the range of a floor sensor"),
        duration("btnDepressedTime_ms", "press_ms", 200, "how long a pressed button stays down"),
        add(
            "--stopMotorOnDisconnect",
            type=truth,
            nargs="?",
            const=True,
            default=True,
            metavar="BOOL",
            dest="stop_on_disconnect",
            help="stop the motor when the controller disconnects; default: true",
        ),
        add("--light_off", type=key, default="-", metavar="CHAR", help="character for a dark lamp; default: -"),
        add("--light_on", type=key, default="*", metavar="CHAR", help="character for a lit lamp; default: *"),
    ]
    for (name, (option, what)), keys in zip(KEY_OPTIONS.items(), astuple(Keys()), strict=True):
        value, metavar = (characters(1, MAX_FLOORS), "KEYS") if option.startswith("orders") else (key, "KEY")
        help = f"{what}; default: {keys}"
        actions.append(add(f"--key_{option}", type=value, default=keys, dest=f"key_{name}", metavar=metavar, help=help))
    return parser, {name.lower(): (name, action) for action in actions for name in action.option_strings}


def _split(words: Iterable[str], known: Known) -> tuple[list[str], list[str]]:
    """Split *words* into settings to parse, in the parser's spelling, and settings to ignore.

    Unknown settings and durations of 0 are ignored. Each setting includes its value.
    """
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
        # A required value may start with a dash, such as the key "-". An optional value may not.
        may_follow = rest and not equals and rest[0].partition("=")[0].lower() not in known
        if may_follow and (action.nargs is None or (action.nargs == "?" and not rest[0].startswith("-"))):
            equals, value = "=", rest.popleft()
        if action.dest in DURATIONS and value and not value.strip("0"):
            ignored.append(f"{spelled} {value}")
        else:
            settings.append(spelled + equals + value)
    return settings, ignored


def _from_file() -> tuple[argparse.Namespace, list[str]]:
    """Return the settings in the file, and a list of at most one line, which names the settings that were ignored.

    If the file does not exist, both are empty.
    """
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
    """Return the words in *file* without title and comments; raise OSError or ValueError if the file is unusable."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise ValueError("not a regular file")
    with file.open("rb") as stream:
        content = stream.read(FILE_MAX + 1)
    if len(content) > FILE_MAX:
        raise ValueError(f"longer than {FILE_MAX} bytes")
    if b"\0" in content:
        raise ValueError("contains null bytes; save it as UTF-8 text")
    text = content.decode("utf-8-sig", errors="replace")
    lines = [words for line in text.splitlines() if (words := line.partition("//")[0].split())]
    has_title = bool(lines) and not any(word.startswith("-") for word in lines[0])
    return [word for words in lines[has_title:] for word in words]


def _line(where: str, ignored: Sequence[str]) -> list[str]:
    """Return a list of one line: *where* and the *ignored* settings. If nothing is ignored, return an empty list."""
    if not ignored:
        return []
    cut = [each if len(each) <= NAME_MAX else f"{each[: NAME_MAX - 3]}..." for each in ignored[:NAMED_MAX]]
    named = [_printable(each) or "''" for each in cut]
    more = f"; and {len(ignored) - NAMED_MAX} more" if len(ignored) > NAMED_MAX else ""
    return [f"{where}ignored {'; '.join(named)}{more}"]


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)
