"""`elevator assign`: the command line of the course's hall_request_assigner, with our assigners behind it.

Made to take the place of the original: same options, same input, same output, and what it refuses is refused, with one
line on standard error and status 1. Like the original it reads one line from standard input if it is given no --input,
takes its options in any case of letters, and passes over options that it does not know; a field that is missing from a
car's state has the original's value for it (idle, floor 0, down, no cab calls).

- `--algorithm plan` is the assigner that nodes use. It serves the announced direction only and keeps no memory.
- `--jsonl` answers each line of standard input with a line. A line is an input, or {"input": ..., "args": {...}} with
  options of its own. A line that is refused is answered with {"error": ...}, and the status is 1 in the end.
- `--serve PATH` answers lines in the same way on a Unix socket, for any number of clients, until it is ended.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from elevator import _assign

USAGE = """\
usage: elevator assign [--input JSON] [options]

Share out hall calls as the course's hall_request_assigner does. Without --input one line is read from standard input.

  -i, --input JSON             hallRequests and states, as the original takes them
  --travelDuration MS          from one floor to the next (2500)
  --doorOpenDuration MS        how long a door stays open (3000)
  --clearRequestType TYPE      what a stop clears: inDirn, or all (inDirn)
  --includeCab                 put the cab requests into the output as a third column
  --algorithm NAME             reference, or plan: the one that people wait less for (reference)
  --jsonl                      answer every line of standard input with a line
  --serve PATH                 do that on a Unix socket"""
BEHAVIOURS = {"idle": 0, "moving": 1, "doorOpen": 2}
DIRECTIONS = {"down": -1, "stop": 0, "up": 1}
NUMBER_DIGITS_MAX = 9


class Refused(Exception):
    """There is no answer; the message is one line."""


class Options(NamedTuple):
    """What the options of the original say, and ours."""

    travel_ms: int = 2500
    door_ms: int = 3000
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


WITH_VALUE = {
    "input": "input",
    "i": "input",
    "travelduration": "travelDuration",
    "dooropenduration": "doorOpenDuration",
    "clearrequesttype": "clearRequestType",
    "algorithm": "algorithm",
    "serve": "serve",
}
SWITCHES = {"includecab": "includeCab", "jsonl": "jsonl", "help": "help", "h": "help"}


def read_arguments(argv: Sequence[str]) -> Asked:
    """Read the command line; raise Refused."""
    given: dict[str, Any] = {}
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            break
        name, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("-"):
            continue
        if (known := WITH_VALUE.get(name.lower())) is not None:
            if not equals and not rest:
                raise Refused(f"{word!r} needs a value")
            given[known] = value if equals else rest.pop(0)
        elif (known := SWITCHES.get(name.lower())) is not None:
            if equals and value not in {"true", "false"}:
                raise Refused(f"{word!r}: true or false?")
            given[known] = value != "false"
    ours = {key: given.pop(key) for key in ("input", "jsonl", "serve", "help") if key in given}
    numbers: dict[str, Any] = {
        key: number(key, given[key]) for key in ("travelDuration", "doorOpenDuration") if key in given
    }
    return Asked(change(Options(), {**given, **numbers}), **ours)


def number(option: str, text: str) -> int:
    digits = text[1:] if text.startswith(("-", "+")) else text
    if not digits.isascii() or not digits.isdigit() or len(digits) > NUMBER_DIGITS_MAX:
        raise Refused(f"--{option} must be a number of milliseconds, not {text!r}")
    return int(text)


def change(options: Options, given: Mapping[str, Any]) -> Options:
    """Change *options* as *given*, by the names of the original, says; raise Refused."""
    for name, value in given.items():
        match name, value:
            case "travelDuration", int() if type(value) is int:
                options = options._replace(travel_ms=value)
            case "doorOpenDuration", int() if type(value) is int:
                options = options._replace(door_ms=value)
            case "clearRequestType", "inDirn" | "all":
                options = options._replace(clear_all=value == "all")
            case "includeCab", bool():
                options = options._replace(include_cab=value)
            case "algorithm", "reference" | "plan":
                options = options._replace(algorithm=value)
            case _:
                raise Refused(f"{name} cannot be {value!r}")
    return options


def answer(text: str, options: Options) -> str:
    """Answer one input; raise Refused."""
    given = parse(text)
    if "input" in given:
        options = change(options, fields("args", given.get("args", {})))
        given = fields("input", given["input"])
    return json.dumps(share_out(given, options), separators=(",", ":"), ensure_ascii=False)


def parse(text: str) -> dict[str, Any]:
    try:
        return fields("the input", json.loads(text))
    except (ValueError, RecursionError) as error:
        raise Refused(f"the input is not JSON: {error}".partition("\n")[0]) from None


def fields(what: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refused(f"{what} must be an object")
    return value


def share_out(given: Mapping[str, Any], options: Options) -> dict[str, list[list[bool]]]:
    """Share out the hall requests of one input among its cars; raise Refused."""
    hall = [flags(row, "a row of hallRequests") for row in rows(given.get("hallRequests", []), "hallRequests")]
    if any(len(row) != 2 for row in hall):
        raise Refused("a row of hallRequests must be [up, down]")
    states = fields("states", given.get("states", {}))
    ids = sorted(states, key=utf8)
    cabs = {id: flags(fields("a state", states[id]).get("cabRequests", []), "cabRequests") for id in ids}
    if any(len(cab) != len(hall) for cab in cabs.values()):
        raise Refused("hallRequests and cabRequests must all have the same length")
    cars = [car(states[id], cabs[id]) for id in ids]
    up, down = (mask([row[way] for row in hall]) for way in (0, 1))
    try:
        shares = assign(len(hall), up, down, cars, options)
    except ValueError as error:
        raise Refused(str(error)) from None
    answers = {}
    for id, (ups, downs) in zip(ids, shares, strict=True):
        table = [[bool(ups >> floor & 1), bool(downs >> floor & 1)] for floor in range(len(hall))]
        answers[id] = [[*row, cab] for row, cab in zip(table, cabs[id], strict=True)] if options.include_cab else table
    return answers


def assign(
    floors: int, up: int, down: int, cars: list[tuple[int, int, int, int]], options: Options
) -> tuple[tuple[int, int], ...]:
    if options.algorithm == "reference":
        return _assign.reference(floors, up, down, cars, options.door_ms, options.travel_ms, options.clear_all)
    if options.clear_all:
        raise Refused("the algorithm plan clears inDirn only")
    unclaimed = ((0, 0),) * len(cars)
    return _assign.plan(floors, up, down, cars, unclaimed, (), (), options.door_ms, options.travel_ms)


def car(state: Mapping[str, Any], cab: list[bool]) -> tuple[int, int, int, int]:
    """Flatten the *state* of one car."""
    behaviour, direction = state.get("behaviour", "idle"), state.get("direction", "down")
    floor = state.get("floor", 0)
    if not isinstance(behaviour, str) or behaviour not in BEHAVIOURS:
        raise Refused(f"behaviour must be one of {', '.join(BEHAVIOURS)}, not {behaviour!r}")
    if not isinstance(direction, str) or direction not in DIRECTIONS:
        raise Refused(f"direction must be one of {', '.join(DIRECTIONS)}, not {direction!r}")
    if type(floor) is not int:
        raise Refused(f"floor must be an integer, not {floor!r}")
    return BEHAVIOURS[behaviour], floor, DIRECTIONS[direction], mask(cab)


def rows(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise Refused(f"{what} must be a list")
    return value


def flags(value: object, what: str) -> list[bool]:
    row = rows(value, what)
    if not all(type(each) is bool for each in row):
        raise Refused(f"{what} must be a list of true and false")
    return row


def mask(row: Iterable[bool]) -> int:
    return sum(1 << floor for floor, lit in enumerate(row) if lit)


def utf8(id: str) -> bytes:
    return id.encode(errors="surrogatepass")


def answer_line(text: str, options: Options) -> tuple[str, bool]:
    """Answer a line with a line; return also whether there was an answer."""
    try:
        return answer(text, options), True
    except Refused as refused:
        return json.dumps({"error": str(refused)}), False


def answer_lines(options: Options) -> int:
    """Answer standard input line by line; return the exit status."""
    status = 0
    for text in sys.stdin:
        if not text.strip():
            continue
        line, good = answer_line(text, options)
        if not good:
            status = 1
        sys.stdout.write(line + "\n")
    return status


def main(argv: list[str]) -> int:
    """Run the command."""
    sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    try:
        asked = read_arguments(argv)
        if asked.help:
            print(USAGE)
        elif asked.serve:
            from elevator import assign_server

            assign_server.run(asked.serve, lambda text: answer_line(text, asked.options)[0])
        elif asked.jsonl:
            return answer_lines(asked.options)
        else:
            print(answer(asked.input or sys.stdin.readline(), asked.options))
    except BrokenPipeError:
        raise  # nobody reads any more
    except (Refused, OSError) as error:
        print(f"elevator assign: {error}", file=sys.stderr)
        return 1
    return 0
