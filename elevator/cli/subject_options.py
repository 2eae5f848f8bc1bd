"""The arguments of `exam` and `demo` that say how to start another program's controllers."""

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence

from elevator.cli.arguments import integer
from elevator.exam.setup import BadCommand, Subject

PLACEHOLDERS = """\
placeholders in the command and in --env: {id} {port} {cars} {floors} {dir}, and those of --per-car.
{dir} is the controller's own directory. It survives kills and restarts of the controller.
"""


def split(argv: list[str]) -> tuple[list[str], list[str]]:
    """Split the arguments at the first `--` into options and the controllers' command."""
    at = argv.index("--") if "--" in argv else len(argv)
    return argv[:at], argv[at + 1 :]


def add_options(parser: ArgumentParser) -> list[str]:
    """Add the options that `subject` reads, except --cars; return their names in the parsed arguments."""
    add = parser.add_argument_group("options for the controllers of COMMAND").add_argument
    options = [
        add(
            "--first-id",
            type=integer(0, 10_000),
            default=0,
            help="{id} of the first controller; the others follow; default: 0",
        ),
        add(
            "--port",
            type=integer(1, 65_000),
            default=15657,
            help="{port} of the first elevator server; the others follow; default: 15657",
        ),
        add(
            "--per-car",
            type=_per_car,
            action="append",
            default=[],
            metavar="NAME=A,B,C",
            help="values of the placeholder {NAME}, one for each car; may be repeated for other names",
        ),
        add(
            "--env",
            type=_assignment,
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="environment variable to set for each controller; may be repeated",
        ),
        add(
            "--own-dir",
            action="store_true",
            help="start each controller in its {dir}; default: in the current directory",
        ),
        add(
            "--start-gap",
            type=seconds,
            default=0.0,
            metavar="SECONDS",
            help="time from the start of each controller to that of the next; default: 0",
        ),
    ]
    return [option.dest for option in options]


def subject(arguments: Namespace, command: Sequence[str]) -> Subject:
    """Return how to start the controllers of *command*; raise BadCommand if --per-car has too few values."""
    for name, values in arguments.per_car:
        if len(values) < arguments.cars:
            raise BadCommand(f"--per-car {name} needs {arguments.cars} values, one for each car")
    return Subject(
        command,
        {**os.environ, **dict(arguments.env)},
        arguments.first_id,
        arguments.port,
        dict(arguments.per_car),
        arguments.own_dir,
        arguments.start_gap,
    )


def _per_car(text: str) -> tuple[str, list[str]]:
    name, values = _assignment(text)
    return name, values.split(",")


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def seconds(text: str) -> float:
    """Parse a number of seconds, 0 to 600."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 600:
        raise ArgumentTypeError(f"{text!r} is not a number from 0 to 600")
    return value
