"""`elevator assign`: the command line of the course's hall_request_assigner, with our assigners behind it.

It can replace the original: whatever the original answers, it answers alike. assign_help.py lists the exceptions, and
`--help` prints them. An input that it refuses gets one line on standard error and status 1.

- Options are read as the original's std.getopt (of the D language) reads them: see `extract`. Unknown options and other
  words are ignored.
- Without --input, or if its value is empty, the input is the first line of standard input.
- A field that is missing from a car's state has the original's value: idle, floor 0, down. cabRequests is required.
  Unknown fields are ignored. An integer may be text, and may have a plus sign and leading zeros.
- `--algorithm plan` is the assigner that nodes use, with the limits of nodes: 64 floors, 64 cars, durations of 0 to an
  hour. It serves the announced direction only and keeps no memory.
- `--jsonl` answers each line of standard input with a line. A line is an input, or {"input": ..., "args": {...}} with
  options of its own. A line that is refused is answered with {"error": ...}, and the status is 1 in the end.
- `--serve PATH` answers lines in the same way on a Unix socket, for any number of clients, until it is ended.
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


class InputError(Exception):
    """There is no answer; the message is one line."""


class Options(NamedTuple):
    """What the options of the original say, and ours."""

    travel_ms: int = _assign.TRAVEL_MS
    door_ms: int = _assign.DOOR_MS
    clear_all: bool = False
    include_cab: bool = False
    algorithm: str = "reference"


class Asked(NamedTuple):
    """A command line."""

    options: Options
    input: str = ""
    jsonl: bool = False
    serve: str = ""
    help: bool = False


ORDER = ("algorithm", "serve", "jsonl", "travelDuration", "doorOpenDuration", "clearRequestType", "includeCab", "input")
"""Options are extracted in this order. As in the original the input comes last, so other options may stand between -i
and its value. The order of the four before it is that of the original's documentation."""
SWITCHES = {"jsonl", "includeCab"}
SHORT = {"input": "i"}


def read_arguments(argv: Sequence[str]) -> Asked:
    """Read the command line; raise InputError."""
    words, asked = list(argv), Asked(Options())
    for name in ORDER:
        for value in extract(words, name):
            match name:
                case "input":
                    asked = asked._replace(input=value)
                case "serve":
                    asked = asked._replace(serve=value)
                case "jsonl":
                    asked = asked._replace(jsonl=read_switch(name, value))
                case "includeCab":
                    asked = asked._replace(options=change(asked.options, name, read_switch(name, value)))
                case _:
                    asked = asked._replace(options=change(asked.options, name, value))
    end = words.index("--") if "--" in words else len(words)
    return asked._replace(help=not {"-h", "--help"}.isdisjoint(words[:end]))


def extract(words: list[str], name: str) -> list[str]:
    """Remove the option *name*, wherever it is, and its values from *words*; return the values.

    This is how D's std.getopt works: it looks for one option at a time in all words up to "--". The value is joined to
    the option, or else it is the next word that is left, whatever that is. A short option has one dash and one letter,
    and everything after the letter is its value: so -includeCab means the input "ncludeCab". A switch has no value
    unless it is joined.
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
    """Split *word* into the name of an option, or "" if it is not one, and the value joined to it."""
    if word.startswith("--"):
        name, _, value = word[2:].partition("=")
        return name, value
    return (word[1:2], word[2:].removeprefix("=")) if word.startswith("-") else ("", "")


def read_switch(name: str, text: str) -> bool:
    if text.lower() not in {"", "true", "false"}:
        raise InputError(f"--{name} must be true or false, not {text!r:.40}")
    return text.lower() != "false"


INTEGER = re.compile(r"([+-]?)([0-9]+)")


def read_integer(what: str, value: object) -> int:
    """Read an integer of 32 bits from its text; raise InputError."""
    if isinstance(value, str) and (found := INTEGER.fullmatch(value)):
        number = int(found[1] + (found[2].lstrip("0")[:11] or "0"))  # 11 digits are too many already
        if INT_MIN <= number <= INT_MAX:
            return number
    raise InputError(f"{what} must be an integer from {INT_MIN} to {INT_MAX}, not {value!r:.40}")


def change(options: Options, name: str, value: object) -> Options:
    """Set the option of the original that is called *name*, or --algorithm; raise InputError."""
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
        case _:
            raise InputError(f"{name} cannot be {value!r:.40}")


def answer(text: str, options: Options) -> str:
    """Answer one input; raise InputError."""
    return to_json(share_out(parse(text), options))


def to_json(shares: Mapping[str, list[list[bool]]]) -> str:
    """Write *shares*. The original's reader takes no raw DEL, so a program that shares its reader may not either."""
    return json.dumps(shares, separators=(",", ":"), ensure_ascii=False).replace("\x7f", "\\u007f")


NUMBERS = re.compile(
    r'("(?:[^"\\]|\\.)*+"?)|(?<![\w.+-])(?:(-)|\+)?+(?:0+(?=[0-9]))?+([0-9]++)(?![\w.+-])', re.ASCII | re.DOTALL
)
"""A string of JSON, or an integer outside of strings: its minus sign, and its digits without leading zeros. The search
takes linear time, whatever the text."""


def parse(text: str) -> dict[str, Any]:
    """Read a JSON object; raise InputError. Integers stay text, of any length.

    Bytes of the input that are not UTF-8 are surrogates in *text*.
    """
    if "\x7f" in text:
        raise InputError("the input has a raw DEL character; write it as \\u007f")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError("the input is not UTF-8") from None
    try:
        with suppress(json.JSONDecodeError):
            return read_object("the input", json.loads(text, parse_int=str))
        # The original takes plus signs and leading zeros, too.
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


def share_out(given: Mapping[str, Any], options: Options) -> dict[str, list[list[bool]]]:
    """Share out the hall requests of one input among its cars; raise InputError."""
    rows = read_list("hallRequests", required(given, "hallRequests"))
    hall = [read_flags("a row of hallRequests", row) for row in rows]
    if any(len(row) != 2 for row in hall):
        raise InputError("a row of hallRequests must be [up, down]")
    states = read_object("states", required(given, "states"))
    if any("\ud800" <= letter <= "\udfff" for id in states for letter in id):
        raise InputError("an id has half of a surrogate pair")
    ids = sorted(states, key=str.encode)
    for state in states.values():
        read_object("a state", state)
    cabs = {id: read_flags("cabRequests", required(states[id], "cabRequests")) for id in ids}
    if any(len(cab) != len(hall) for cab in cabs.values()):
        raise InputError("hallRequests and cabRequests must all have the same length")
    cars = [read_car(states[id], cabs[id]) for id in ids]
    up, down = (mask([row[way] for row in hall]) for way in (0, 1))
    try:
        shares = assign(len(hall), up, down, cars, "" in states, options)
    except ValueError as error:
        raise InputError(str(error)) from None
    answers = {}
    for id, (ups, downs) in zip(ids, shares, strict=True):
        table = [[bool(ups >> floor & 1), bool(downs >> floor & 1)] for floor in range(len(hall))]
        answers[id] = [[*row, cab] for row, cab in zip(table, cabs[id], strict=True)] if options.include_cab else table
    return answers


def assign(
    floors: int, up: int, down: int, cars: list[tuple[int, int, int, int]], has_empty_id: bool, options: Options
) -> tuple[tuple[int, int], ...]:
    door_ms, travel_ms = options.door_ms, options.travel_ms
    if options.algorithm == "reference":
        return _assign.reference(floors, up, down, cars, door_ms, travel_ms, options.clear_all, has_empty_id)
    if options.clear_all:
        raise InputError("the algorithm plan clears inDirn only")
    unclaimed = ((0, 0),) * len(cars)
    return _assign.plan(floors, up, down, cars, unclaimed, (), (), door_ms, travel_ms)


def read_car(state: Mapping[str, Any], cab: list[bool]) -> tuple[int, int, int, int]:
    """Flatten the *state* of one car."""
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
    """Answer a line, which may have options of its own, with a line; return also whether there was an answer."""
    try:
        given = parse(text)
        if "input" in given and "states" not in given:
            for name, value in read_object("args", given.get("args", {})).items():
                options = change(options, name, value)
            given = read_object("input", given["input"])
        return to_json(share_out(given, options)), True
    except InputError as refused:
        return json.dumps({"error": str(refused)}), False


def answer_lines(options: Options) -> int:
    """Answer standard input line by line; return the exit status."""
    status = 0
    for text in sys.stdin or ():
        if not text.strip():
            continue
        line, good = answer_line(text, options)
        if not good:
            status = 1
        sys.stdout.write(line + "\n")
    return status


def answer_first_line(options: Options) -> str:
    """Answer the first line of standard input; raise InputError."""
    line = sys.stdin.readline() if sys.stdin else ""
    try:
        return answer(line, options)
    except InputError as refused:
        if not line.endswith("\n"):
            with suppress(InputError):  # The original drops the last character, newline or not.
                return answer(line[:-1], options)
        # A writer of several lines, or of none, would not find the mistake without this.
        raise InputError(f"{refused}; the input is the first line of standard input") from None


def main(argv: list[str]) -> int:
    """Run the command."""
    # Lines end at a newline only: a carriage return is white space in JSON.
    if sys.stdin:  # None if the program was started without one
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape", newline="\n")  # type: ignore[union-attr]
    if sys.stdout:
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    try:
        asked = read_arguments(argv)
        if asked.help:
            from elevator.cli import assign_help

            print(assign_help.USAGE)
        elif asked.serve:
            from elevator.cli import assign_server

            assign_server.run(asked.serve, lambda text: answer_line(text, asked.options)[0])
        elif asked.jsonl:
            return answer_lines(asked.options)
        elif asked.input:
            as_given = asked.input.encode(sys.getfilesystemencoding(), "surrogateescape")
            print(answer(as_given.decode(errors="surrogateescape"), asked.options))
        else:
            print(answer_first_line(asked.options))
    except BrokenPipeError:
        raise  # The reader is gone: __main__ ends the program quietly.
    except (InputError, OSError) as error:
        print(f"elevator assign: {error}", file=sys.stderr)
        return 1
    return 0
