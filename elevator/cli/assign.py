"""`elevator assign`: a replacement for TTK4145's hall_request_assigner, here called *the original*.

Except for the differences that `--help` lists (assign_help.py), the command gives the same answers as the original. If
the input or an option is invalid, it prints one line on standard error and exits with status 1.

- Options are parsed like D's std.getopt, which the original uses: see `extract`. Unknown options and other words are
  ignored.
- If --input is missing or empty, the input is the first line of standard input.
- A missing field of a car gets the original's default: idle, floor 0, down. cabRequests is required. Unknown fields are
  ignored. An integer may be a JSON string. It may have a plus sign and leading zeros.
- `--algorithm plan` selects the nodes' own assigner. It supports up to 64 floors and 64 cars, and durations of up
  to one hour. A stop serves only hall calls in the announced direction. Earlier answers do not affect later ones.
- `--jsonl` answers each line of standard input with one line, and skips blank lines. A line is an input, or
  {"input": ..., "args": {...}} with its own options. The answer to an invalid line is {"error": ...}. If any line is
  invalid, the exit status is 1.
- `--serve PATH` answers lines in the same way on a Unix socket, for any number of clients. There, a blank line is
  invalid.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from elevator import _assign

BEHAVIOURS = {"idle": 0, "moving": 1, "doorOpen": 2}
DIRECTIONS = {"down": -1, "stop": 0, "up": 1}
INT_MIN, INT_MAX = -(2**31), 2**31 - 1
INTEGER = re.compile(r"([+-]?)([0-9]+)")


class InputError(Exception):
    """The input or an option is invalid. The message is one line."""


class Options(NamedTuple):
    """The options that affect an answer."""

    travel_ms: int = _assign.TRAVEL_MS
    door_ms: int = _assign.DOOR_MS
    clear_all: bool = False
    include_cab: bool = False
    algorithm: str = "reference"


class CommandLine(NamedTuple):
    options: Options
    input: str = ""
    jsonl: bool = False
    serve: str = ""
    help: bool = False


ORDER = ("algorithm", "serve", "jsonl", "travelDuration", "doorOpenDuration", "clearRequestType", "includeCab", "input")
"""Options are extracted in this order. As in the original, the input is last, so that other options may stand between
-i and its value."""
SWITCHES = {"jsonl", "includeCab"}
SHORT = {"input": "i"}


def read_arguments(argv: Sequence[str]) -> CommandLine:
    """Parse the command line; raise InputError if it is invalid."""
    words, command = list(argv), CommandLine(Options())
    for name in ORDER:
        for value in extract(words, name):
            match name:
                case "input":
                    command = command._replace(input=value)
                case "serve":
                    command = command._replace(serve=value)
                case "jsonl":
                    command = command._replace(jsonl=read_switch(name, value))
                case "includeCab":
                    command = command._replace(options=change(command.options, name, read_switch(name, value)))
                case _:
                    command = command._replace(options=change(command.options, name, value))
    end = words.index("--") if "--" in words else len(words)
    return command._replace(help=not {"-h", "--help"}.isdisjoint(words[:end]))


def extract(words: list[str], name: str) -> list[str]:
    """Remove all occurrences of option *name* with their values from *words*; return the values.

    Like D's std.getopt, this function searches for one option at a time, in all words up to "--". An option without
    an attached value takes the next remaining word, even one that looks like an option. A switch never takes a word.
    A short option is a dash and one letter. The rest of the word is its value: -includeCab means the input "ncludeCab".
    """
    values, k = [], 0
    while k < len(words) and words[k] != "--":
        option, value = split(words[k])
        if option.lower() not in {name.lower(), SHORT.get(name)}:
            k += 1
            continue
        del words[k]
        if not value and name not in SWITCHES:
            if k == len(words):
                raise InputError(f"--{name} needs a value")
            value = words.pop(k)
        values.append(value)
    return values


def split(word: str) -> tuple[str, str]:
    """Split *word* into an option's name and the value attached to it. The name is "" if *word* is not an option."""
    if word.startswith("--"):
        name, _, value = word[2:].partition("=")
        return name, value
    return (word[1:2], word[2:].removeprefix("=")) if word.startswith("-") else ("", "")


def read_switch(name: str, text: str) -> bool:
    if text.lower() not in {"", "true", "false"}:
        raise InputError(f"--{name} must be true or false, not {text!r:.40}")
    return text.lower() != "false"


def read_integer(what: str, value: object) -> int:
    """Convert the string *value* to a signed 32-bit integer. If that fails, raise an InputError that names *what*."""
    if isinstance(value, str) and (found := INTEGER.fullmatch(value)):
        number = int(found[1] + (found[2].lstrip("0")[:11] or "0"))  # 11 digits are always out of range.
        if INT_MIN <= number <= INT_MAX:
            return number
    raise InputError(f"{what} must be an integer from {INT_MIN} to {INT_MAX}, not {value!r:.40}")


def change(options: Options, name: str, value: object) -> Options:
    """Return *options* with the option *name* set to *value*; raise InputError if *name* or *value* is invalid."""
    match name, value:
        case "travelDuration", _:
            return options._replace(travel_ms=read_integer(name, value))
        case "doorOpenDuration", _:
            return options._replace(door_ms=read_integer(name, value))
        case "clearRequestType", "inDirn" | "all":
            return options._replace(clear_all=value == "all")
        case "includeCab", bool():
            return options._replace(include_cab=value)
        case "algorithm", "reference" | "plan":
            return options._replace(algorithm=value)
        case "clearRequestType" | "includeCab" | "algorithm", _:
            raise InputError(f"invalid value of {name}: {value!r:.40}")
        case _:
            raise InputError(f"unknown option: {name!r:.40}")


def answer(text: str, options: Options) -> str:
    """Return the JSON answer to the JSON input *text*; raise InputError if the input is invalid."""
    return to_json(assign(parse(text), options))


def to_json(answers: Mapping[str, list[list[bool]]]) -> str:
    # D's JSON parser refuses a raw DEL, and programs written for the original may use that parser.
    return json.dumps(answers, separators=(",", ":"), ensure_ascii=False).replace("\x7f", "\\u007f")


NUMBERS = re.compile(
    r'("(?:[^"\\]|\\.)*+"?)|(?<![\w.+-])(?:(-)|\+)?+(?:0+(?=[0-9]))?+([0-9]++)(?![\w.+-])', re.ASCII | re.DOTALL
)
"""Matches a JSON string or an integer outside strings. Group 1 is the string, group 2 the minus sign of the integer,
and group 3 its digits without leading zeros. Matching takes linear time."""


def parse(text: str) -> dict[str, Any]:
    """Parse a JSON object; raise InputError if it is invalid. Integers become strings, so they may have any length.

    A surrogate in *text* stands for a byte that is not UTF-8. Such an input is invalid.
    """
    if "\x7f" in text:
        raise InputError("the input contains a raw DEL character: write it as \\u007f")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError("the input is not UTF-8") from None
    try:
        with suppress(json.JSONDecodeError):
            return read_object("the input", json.loads(text, parse_int=str))
        # The original accepts plus signs and leading zeros too.
        return read_object("the input", json.loads(NUMBERS.sub(r"\1\2\3", text), parse_int=str))
    except RecursionError:
        raise InputError("the input is nested too deeply") from None
    except ValueError as error:
        raise InputError(f"the input is not JSON: {error}".partition("\n")[0]) from None


def read_object(what: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{what} must be an object")
    return value


def required(given: Mapping[str, Any], name: str) -> Any:
    if name not in given:
        raise InputError(f"{name} is missing")
    return given[name]


def assign(given: Mapping[str, Any], options: Options) -> dict[str, list[list[bool]]]:
    """Assign the hall requests in the input *given*; raise InputError if it is invalid.

    For each car id, return a table with a row for each floor: [up, down], or [up, down, cab] with include_cab.
    """
    rows = read_list("hallRequests", required(given, "hallRequests"))
    hall = [read_flags(f"hallRequests[{floor}]", row) for floor, row in enumerate(rows)]
    if wrong := [floor for floor, row in enumerate(hall) if len(row) != 2]:
        raise InputError(f"hallRequests[{wrong[0]}] must be [up, down]")
    states = read_object("states", required(given, "states"))
    if any("\ud800" <= letter <= "\udfff" for id in states for letter in id):
        raise InputError("a car id contains an unpaired surrogate")
    ids = sorted(states, key=str.encode)
    cars, cabs = [], {}
    for id in ids:
        try:
            state = read_object("the state", states[id])
            cabs[id] = read_cab(state, len(hall))
            cars.append(read_car(state, cabs[id]))
        except InputError as error:
            raise InputError(f"car {id!r:.40}: {error}") from None
    up, down = (mask([row[kind] for row in hall]) for kind in (0, 1))
    try:
        assignments = run_algorithm(len(hall), up, down, cars, "" in states, options)
    except ValueError as error:
        raise InputError(str(error)) from None
    answers = {}
    for id, (ups, downs) in zip(ids, assignments, strict=True):
        table = [[bool(ups >> floor & 1), bool(downs >> floor & 1)] for floor in range(len(hall))]
        answers[id] = [[*row, cab] for row, cab in zip(table, cabs[id], strict=True)] if options.include_cab else table
    return answers


def run_algorithm(
    floors: int, up: int, down: int, cars: list[tuple[int, int, int, int]], has_empty_id: bool, options: Options
) -> tuple[tuple[int, int], ...]:
    door_ms, travel_ms = options.door_ms, options.travel_ms
    if options.algorithm == "reference":
        return _assign.reference(floors, up, down, cars, door_ms, travel_ms, options.clear_all, has_empty_id)
    if options.clear_all:
        raise InputError("--algorithm plan supports only --clearRequestType inDirn")
    unclaimed = ((0, 0),) * len(cars)
    none_waited = ((0, 0),) * _assign.AGES
    return _assign.plan(floors, up, down, cars, unclaimed, none_waited, (), (), door_ms, travel_ms)


def read_cab(state: Mapping[str, Any], floors: int) -> list[bool]:
    cab = read_flags("cabRequests", required(state, "cabRequests"))
    if len(cab) != floors:
        raise InputError("cabRequests and hallRequests must have the same length")
    return cab


def read_car(state: Mapping[str, Any], cab: list[bool]) -> tuple[int, int, int, int]:
    """Convert a car's *state* and *cab* requests to the tuple that the C assigners expect."""
    behaviour, direction = state.get("behaviour", "idle"), state.get("direction", "down")
    if not isinstance(behaviour, str) or behaviour not in BEHAVIOURS:
        raise InputError(f"behaviour must be one of {', '.join(BEHAVIOURS)}, not {behaviour!r:.40}")
    if not isinstance(direction, str) or direction not in DIRECTIONS:
        raise InputError(f"direction must be one of {', '.join(DIRECTIONS)}, not {direction!r:.40}")
    return BEHAVIOURS[behaviour], read_integer("floor", state.get("floor", "0")), DIRECTIONS[direction], mask(cab)


def read_list(what: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(f"{what} must be a list")
    return value


def read_flags(what: str, value: object) -> list[bool]:
    row = read_list(what, value)
    if not all(type(each) is bool for each in row):
        raise InputError(f"{what} must be a list of true and false")
    return row


def mask(row: Sequence[bool]) -> int:
    return int("".join("01"[lit] for lit in reversed(row)) or "0", 2)


def answer_line(text: str, options: Options) -> tuple[str, bool]:
    """Return the answer to a line of JSON, and whether the line is valid. The line may override *options*."""
    try:
        given = parse(text)
        if "input" in given and "states" not in given:
            for name, value in read_object("args", given.get("args", {})).items():
                options = change(options, name, value)
            given = read_object("input", given["input"])
        return to_json(assign(given, options)), True
    except InputError as refused:
        return json.dumps({"error": str(refused)}), False


def answer_lines(options: Options) -> int:
    """Answer each line of standard input, except blank ones. Return the exit status: 1 if any is invalid, else 0."""
    status = 0
    for text in sys.stdin or ():
        if not text.strip():
            continue
        line, is_valid = answer_line(text, options)
        if not is_valid:
            status = 1
        sys.stdout.write(line + "\n")
    return status


def answer_first_line(options: Options) -> str:
    """Return the answer to the first line of standard input; raise InputError if that line is invalid.

    If an invalid line does not end with a newline, try it without its last character.
    """
    line = sys.stdin.readline() if sys.stdin else ""
    try:
        return answer(line, options)
    except InputError as refused:
        if not line.endswith("\n"):
            with suppress(InputError):  # As in the original, which always drops the last character.
                return answer(line[:-1], options)
        # The hint explains the error if standard input has several lines, or none.
        raise InputError(f"{refused} (without --input, only the first line of standard input is read)") from None


def main(argv: list[str]) -> int:
    """Run `elevator assign`; return the exit status."""
    # Only a newline ends a line: a carriage return is white space in JSON.
    if sys.stdin:  # It is None if the caller has closed standard input.
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")  # type: ignore[union-attr]
    if sys.stdout:
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    try:
        command = read_arguments(argv)
        if command.help:
            from elevator.cli import assign_help

            print(assign_help.USAGE)
        elif command.serve:
            from elevator.cli import assign_server

            assign_server.run(command.serve, lambda text: answer_line(text, command.options)[0])
        elif command.jsonl:
            return answer_lines(command.options)
        elif command.input:
            encoded = command.input.encode(sys.getfilesystemencoding(), "surrogateescape")
            print(answer(encoded.decode(errors="surrogateescape"), command.options))
        else:
            print(answer_first_line(command.options))
    except BrokenPipeError:
        raise  # __main__.py turns it into an exit status.
    except (InputError, OSError) as error:
        print(f"elevator assign: {error}", file=sys.stderr)
        return 1
    return 0
