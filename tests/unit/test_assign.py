"""`elevator assign` answers like the original (the course's assigner), with the exceptions in DIFFERENCES."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from reference import Vector

from elevator.cli.assign import InputError, Options, answer, answer_line, main, read_arguments
from elevator.cli.assign_help import DIFFERENCES, USAGE

COMMAND = [sys.executable, "-m", "elevator", "assign"]
VECTORS = reference.vectors()
ORIGINALS = [json.loads(line) for line in (reference.DATA / "assigner_cli.jsonl").read_text().splitlines()]
"""Recorded runs of the original: arguments, standard input if any, exit status and, if this is 0, the first
OUTPUT_BYTES bytes of the output. If only the original rejects the input, "differences" lists the reasons: keys of
DIFFERENCES."""
OUTPUT_BYTES = 400
REJECTS = [json.loads(line) for line in (reference.DATA / "assigner_rejects.jsonl").read_text().splitlines()]


def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], input=text, capture_output=True, text=True, timeout=60, check=False)


def flags(vector: Vector) -> list[str]:
    """Return the command-line options of the original for *vector*."""
    found = []
    for name, value in vector["args"].items():
        found += ["--includeCab"] * bool(value) if name == "includeCab" else [f"--{name}", str(value)]
    return found


def test_jsonl_mode_answers_all_vectors_correctly() -> None:
    lines = [json.dumps({"input": vector["input"], "args": vector["args"]}) for vector in VECTORS]
    result = run("--jsonl", text="\n".join(lines) + "\n")
    assert (result.returncode, result.stderr) == (0, "")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [vector["output"] for vector in VECTORS]


def test_all_vectors_are_answered_correctly_with_the_options_of_the_original() -> None:
    for vector in VECTORS:
        command = read_arguments([*flags(vector), "--input", json.dumps(vector["input"])])
        assert json.loads(answer(command.input, command.options)) == vector["output"]


@pytest.mark.parametrize("source", ["--input", "-i", "stdin"])
def test_input_comes_from_an_option_or_standard_input(source: str) -> None:
    vector = VECTORS[0]
    text = json.dumps(vector["input"])
    result = run(*flags(vector), text=text + "\n") if source == "stdin" else run(*flags(vector), source, text)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout) == vector["output"]


@pytest.mark.parametrize("reject", [pytest.param(reject, id=reject["case"]) for reject in REJECTS])
def test_input_that_the_original_rejects_is_rejected(reject: dict[str, Any]) -> None:
    text = json.dumps(reject["input"]) if "input" in reject else reject["input_text"]
    given = [word for name, value in reject["args"].items() for word in (f"--{name}", str(value))]
    result = run(*given, "--input", text)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("elevator assign: ")
    assert result.stderr.count("\n") == 1


IDLE = {"behaviour": "idle", "floor": 0, "direction": "stop", "cabRequests": [False] * 4}
HALL = [[False, False], [True, False], [False, True], [False, True]]
GOOD = {"hallRequests": HALL, "states": {"a": IDLE, "b": {**IDLE, "floor": 3}}}


def ask(arguments: list[str], text: str = "") -> tuple[int, str, str]:
    """Run `elevator assign` in this process; return its exit status, standard output and standard error."""
    output, errors = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(errors):
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8"))
        status = main(arguments)
        output.seek(0)
        return status, output.read(), errors.getvalue()


def as_recorded(output: str) -> str:
    """Rewrite *output* as the original prints it: with its order of cars and its escape sequences."""
    answers = json.loads(output)
    ordered = {id: answers[id] for id in sorted(answers, key=str.encode)}
    text = json.dumps(ordered, separators=(",", ":"), ensure_ascii=False) + "\n"

    def escape(found: re.Match[str]) -> str:
        return "\\u" + found[0][2:].upper() if found[0][1] == "u" else found[0]

    return re.sub(r"\\(u[0-9a-f]{4}|.)", escape, text).replace("/", "\\/").replace("\x7f", "\\u007F")


@pytest.mark.parametrize("original", [pytest.param(each, id=str(number)) for number, each in enumerate(ORIGINALS)])
def test_recorded_command_gets_the_answer_of_the_original(original: dict[str, Any]) -> None:
    status, output, errors = ask(original["args"], original.get("stdin", ""))
    if "differences" in original:
        assert set(original["differences"]) <= set(DIFFERENCES)
        assert (status, original["status"]) == (0, 1), "this difference no longer exists"
    elif original["status"]:
        assert (status, output, errors.count("\n")) == (1, "", 1)
    else:
        recorded = original["output"].rstrip("\ufffd")  # The cut after OUTPUT_BYTES may split a character.
        ours = as_recorded(output)
        assert (status, errors) == (0, "")
        assert ours == recorded or (len(ours.encode()) > OUTPUT_BYTES and ours.startswith(recorded))


def test_each_difference_is_shown_by_a_recorded_command_or_by_another_test() -> None:
    shown = {name for original in ORIGINALS for name in original.get("differences", [])}
    assert shown == {"final newline", "white space", "surrogates"}
    shown_by_other_tests = {"size", "empty id", "output", "options"}
    assert set(DIFFERENCES) == shown | shown_by_other_tests


def test_help_explains_each_difference() -> None:
    assert all(sentence in USAGE for sentence in DIFFERENCES.values())


@pytest.mark.parametrize(("floors", "cars", "limit"), [(1025, 1, "1024"), (10**6, 1, "1024"), (2, 501, "500")])
def test_input_over_the_size_limit_gets_an_error_that_names_the_limit(floors: int, cars: int, limit: str) -> None:
    state = {"cabRequests": [False] * floors}
    states = {str(k): state for k in range(cars)}
    with pytest.raises(InputError, match=limit):
        answer(json.dumps({"hallRequests": [[True, False]] * floors, "states": states}), Options())


def test_every_hall_request_in_the_largest_building_is_assigned_to_one_car() -> None:
    states = {str(k): {"cabRequests": [True] * 1024} for k in range(500)}
    answers = json.loads(answer(json.dumps({"hallRequests": [[True, True]] * 1024, "states": states}), Options()))
    assert [[sum(rows[way] for rows in table) for way in (0, 1)] for table in zip(*answers.values(), strict=True)] == [
        [1, 1]
    ] * 1024


def test_assignment_that_does_not_end_is_stopped_with_an_error() -> None:
    endless = {"hallRequests": [[True, True]], "states": {"": {"cabRequests": [False]}}}
    with pytest.raises(InputError, match="4194304 moves"):
        answer(json.dumps(endless), Options())


def test_some_outputs_are_formatted_unlike_those_of_the_original() -> None:
    answered = [original for original in ORIGINALS if not original["status"]]
    outputs = [(ask(each["args"], each.get("stdin", ""))[1], each["output"]) for each in answered]
    assert any(ours[:50] != recorded[:50] for ours, recorded in outputs)


def test_help_lists_the_options_that_the_original_lacks() -> None:
    status, output, _ = ask(["--help"])
    assert (status, output) == (0, USAGE + "\n")
    assert all(option in output for option in ("--algorithm", "--jsonl", "--serve"))


def test_missing_fields_get_the_defaults_of_the_original() -> None:
    short = {"hallRequests": HALL, "states": {"a": {"cabRequests": [False] * 4}}, "comment": 1}
    whole = {"hallRequests": HALL, "states": {"a": {**IDLE, "direction": "down"}}}
    assert answer(json.dumps(short), Options()) == answer(json.dumps(whole), Options())


OPTIONS: list[tuple[list[str], Options, str]] = [
    (["-i", "{}"], Options(), "{}"),
    (["-i{}"], Options(), "{}"),
    (["-i={}"], Options(), "{}"),
    (["-I", "{}"], Options(), "{}"),
    (["--i={}"], Options(), "{}"),
    (["--INPUT", "{}"], Options(), "{}"),
    (["--input={=}"], Options(), "{=}"),
    (["--input=", "{}"], Options(), "{}"),
    (["-i", "[]", "-i", "{}"], Options(), "{}"),
    (["-i", "--includeCab", "{}"], Options(include_cab=True), "{}"),
    (["-i", "--travelDuration", "1000", "{}"], Options(travel_ms=1000), "{}"),
    (["--input", "--clearRequestType", "all", "{}"], Options(clear_all=True), "{}"),
    (["-i", "--doorOpenDuration=1", "--travelDuration", "2", "{}"], Options(door_ms=1, travel_ms=2), "{}"),
    (["-i", "--jsonl", "{}", "--algorithm", "plan"], Options(algorithm="plan"), "{}"),
    (["-i", "--unknown", "{}"], Options(), "--unknown"),
    (["-i", "--", "{}"], Options(), "--"),
    (["-includeCab"], Options(), "ncludeCab"),
    (["-includeCab", "--input", "{}"], Options(), "{}"),
    (
        ["--TravelDuration=1", "--doorOpenDuration", "2", "--unknown", "-x", "stray"],
        Options(travel_ms=1, door_ms=2),
        "",
    ),
    (["--travel", "1000", "-travelDuration", "5", "---travelDuration", "6", "-", ""], Options(), ""),
    (["--travelDuration", "-100", "--doorOpenDuration", "+0000000003000"], Options(travel_ms=-100), ""),
    (["--travelDuration", "1", "--travelDuration", "2"], Options(travel_ms=2), ""),
    (["--travelDuration=2147483647"], Options(travel_ms=2**31 - 1), ""),
    (["--includeCab=", "true"], Options(include_cab=True), ""),
    (["--includeCab", "false"], Options(include_cab=True), ""),
    (["--includeCab=False"], Options(), ""),
    (["--includeCab", "--includeCab=false"], Options(), ""),
    (["--", "--includeCab", "-i", "{}"], Options(), ""),
]


@pytest.mark.parametrize(("words", "options", "text"), OPTIONS)
def test_options_are_parsed_as_the_original_parses_them(words: list[str], options: Options, text: str) -> None:
    command = read_arguments(words)
    assert (command.options, command.input) == (options, text)


def test_help_after_a_double_dash_or_as_a_value_is_not_an_option() -> None:
    assert read_arguments(["-h"]).help
    assert not read_arguments(["--", "--help"]).help
    assert read_arguments(["-i", "--help"]) == (Options(), "--help", False, "", False)


@pytest.mark.parametrize(
    "words",
    [
        ["--travelDuration"],
        ["-i"],
        ["--input="],
        ["--travelDuration", "--doorOpenDuration", "1", "2"],
        ["--travelDuration", "fast", "--travelDuration", "5"],
        *(["--travelDuration", value] for value in ("", "fast", "1_000", "٣", " 5", "5 ", "1e3", "1.0", "0x10", "+")),
        *(["--travelDuration", value] for value in ("2147483648", "-2147483649", "9" * 5000)),
        ["--includeCab=maybe"],
        ["--includeCab=1"],
        ["--clearRequestType", "some"],
        ["--clearRequestType", "ALL"],
        ["--algorithm", "best"],
        ["--algorithm", "plan", "--clearRequestType", "all", "--input", json.dumps(GOOD)],
        ["--algorithm", "plan", "--travelDuration", "-1", "--input", json.dumps(GOOD)],
        ["--serve", "/proc/nowhere/socket"],
        ["--input", "\udcff"],
    ],
)
def test_invalid_options_are_reported_on_one_line(words: list[str]) -> None:
    status, output, errors = ask(words)
    assert (status, output, errors.count("\n")) == (1, "", 1)
    assert len(errors) < 200


def with_floor(floor: str, **more: str) -> str:
    """Return an input with two floors and one car. *floor* and *more* are fields of the car, in JSON."""
    fields = {"floor": floor, "cabRequests": "[false,false]", **more}
    state = ",".join(f'"{name}":{value}' for name, value in fields.items())
    return f'{{"hallRequests":[[false,false],[false,true]],"states":{{"a":{{{state}}}}}}}'


@pytest.mark.parametrize("floor", ["1", "01", "+1", "+0001", '"1"', '"+01"', "0" * 5000 + "1", ' "1" '])
def test_integer_formats_of_the_original_are_accepted(floor: str) -> None:
    assert answer(with_floor(floor, other='"+01, 02"'), Options()) == answer(with_floor("1"), Options())


@pytest.mark.parametrize("floor", ["-0", "-00", '"-0"'])
def test_negative_zero_is_zero(floor: str) -> None:
    assert answer(with_floor(floor), Options()) == answer(with_floor("0"), Options())


@pytest.mark.parametrize(
    "floor",
    [
        *["1.0", "1e0", "01.0", "+1.0", "+1e0", "1.", "0x1", "1_0", "--1", "+-1", "+", "- 1"],
        *["NaN", "Infinity", "null"],
        *["true", "[1]", "{}", "٣", '""', '"+"', '" 1"', '"1 "', '"1.0"', '"one"', '"0x1"', '"٣"', "9" * 5000],
        *["2147483648", '"99999999999999"', "2", "-1", '"-1"'],
    ],
)
def test_invalid_floor_is_rejected(floor: str) -> None:
    with pytest.raises(InputError, match=r"^[^\n]{1,200}$"):
        answer(with_floor(floor), Options())


def test_unknown_fields_are_ignored() -> None:
    for value in ("1.5", "null", '"x"', "[1, {}]", "01", "+2", "-2147483648", "4294967296", "9" * 5000):
        assert answer(with_floor("1", Floor=value), Options()) == answer(with_floor("1"), Options())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps({"hall_requests": [], "states": {}}), "hallRequests is missing"),
        (json.dumps({"hallRequests": [[True, False]]}), "states is missing"),
        (json.dumps({"hallRequests": [[True, False]], "states": {"a": {}}}), "car 'a': cabRequests is missing"),
        (json.dumps({"hallRequests": [[True, False]], "states": {"a": []}}), "car 'a': the state must be an object"),
        (json.dumps({"hallRequests": [[True, True], [True]], "states": {}}), r"hallRequests\[1\] must be \[up, down\]"),
        ("[" * 100_000, "the input is nested too deeply"),
    ],
)
def test_error_names_the_invalid_part_of_the_input(text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}$"):
        answer(text, Options())


@pytest.mark.parametrize("text", ["", "\n", "\n" + json.dumps({}), json.dumps({"states": {}}, indent=1)])
def test_error_explains_that_only_one_line_of_standard_input_is_read(text: str) -> None:
    status, output, errors = ask([], text)
    assert (status, output, errors.count("\n")) == (1, "", 1)
    assert "the first line of standard input" in errors


def test_last_of_two_equal_keys_wins() -> None:
    assert answer(with_floor('0,"floor":1'), Options()) == answer(with_floor("1"), Options())


@pytest.mark.parametrize(
    "text",
    [
        *["", "null", "[]", '"{}"', "{", "[" * 100_000, '{"a":' * 100_000, "\ufeff" + with_floor("1")],
        *[with_floor("1") + "x", with_floor("1") + ",", with_floor("1") * 2, with_floor("1")[:-1]],
        *[with_floor("1,"), with_floor("1").replace('"a"', '"\x7f"'), with_floor("1", other='"\x7f"')],
        *[with_floor("1").replace('"a"', f'"{half}"') for half in ("\\ud800", "\\udc80", "\\udc00\\ud800", "\udcff")],
        *[with_floor("1", behaviour=value) for value in ('"Idle"', "0", "idle", "null", '"idle "', '"\\ud800"')],
        *[with_floor("1", direction=value) for value in ('"UP"', "1", "null", '""')],
        *[with_floor("1", cabRequests=value) for value in ("[0,0]", '["true","false"]', "null", "[false,]", '"ff"')],
    ],
)
@pytest.mark.parametrize("algorithm", ["reference", "plan"])
def test_invalid_input_is_rejected(text: str, algorithm: str) -> None:
    with pytest.raises(InputError, match=r"^[^\n]{1,200}$"):
        answer(text, Options(algorithm=algorithm))
    line, good = answer_line(text, Options(algorithm=algorithm))
    assert (good, list(json.loads(line))) == (False, ["error"])


def test_del_character_in_an_id_is_escaped() -> None:
    text = with_floor("1").replace('"a"', '"\\u007f"')
    assert answer(text, Options()).startswith('{"\\u007f":')


def test_only_a_newline_ends_a_line_of_standard_input() -> None:
    text = with_floor("1")
    expected = ask(["--input", text])
    assert ask([], text.replace(",", ",\r") + "\r\nrest") == expected
    assert ask(["--jsonl"], text.replace(",", ",\r") + "\r\n" + text) == (0, expected[1] * 2, "")


def test_last_character_of_standard_input_is_dropped_if_only_the_rest_is_valid() -> None:
    # The original always drops the last character. `elevator assign` first tries the complete line.
    text = with_floor("1")
    assert ask([], text + ",") == ask([], text) == ask([], text + "\n")
    assert ask([], text + ",\n")[0] == 1


def test_line_for_jsonl_or_serve_may_contain_options_but_other_input_may_not() -> None:
    line = json.dumps({"input": GOOD, "args": {"travelDuration": "+1000", "includeCab": True}})
    assert ask(["--input", line])[0] == 1
    assert len(json.loads(answer_line(line, Options())[0])["a"][0]) == 3
    assert answer_line(json.dumps({**GOOD, "input": 1}), Options())[1]


def test_closed_standard_input_gets_a_one_line_error() -> None:
    closed = subprocess.run(["sh", "-c", '"$@" <&-', "sh", *COMMAND], capture_output=True, text=True, check=False)
    assert (closed.returncode, closed.stdout, closed.stderr.count("\n")) == (1, "", 1)


def test_input_and_output_are_utf_8_in_the_c_locale() -> None:
    text = with_floor("1").replace('"a"', '"å"')
    result = subprocess.run(
        [*COMMAND, "-i", "--includeCab", text],
        capture_output=True,
        env={**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        check=False,
    )
    assert (result.returncode, list(json.loads(result.stdout))) == (0, ["å"])


def test_plan_algorithm_assigns_every_hall_request_to_one_car() -> None:
    answers = json.loads(answer(json.dumps(GOOD), Options(algorithm="plan")))
    owners = [[sum(answers[id][floor][way] for id in answers) for way in (0, 1)] for floor in range(4)]
    assert owners == [[int(lit) for lit in row] for row in HALL]
    assert answers["a"][1] == [True, False]
    assert answers["b"][3] == [False, True]


def test_invalid_jsonl_line_gets_an_error_and_status_1() -> None:
    good = json.dumps(GOOD)
    result = run("--jsonl", text=f"{good}\nhello\n\n{good}\n")
    first, second, third = map(json.loads, result.stdout.splitlines())
    assert result.returncode == 1
    assert first == third
    assert list(second) == ["error"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)
KEYS = st.sampled_from(["hallRequests", "states", "input", "args", "behaviour", "floor", "direction", "cabRequests"])


@given(st.dictionaries(KEYS, JSON | st.dictionaries(KEYS, JSON | st.dictionaries(KEYS, JSON)), max_size=4))
def test_arbitrary_json_is_answered_on_one_line(garbage: dict[str, Any]) -> None:
    line, _ = answer_line(json.dumps(garbage), Options())
    assert "\n" not in line


@given(st.text())
def test_arbitrary_text_is_answered_on_one_line(text: str) -> None:
    line, good = answer_line(text, Options())
    assert good == ("error" not in line)
    assert "\n" not in line


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "socket"
    with subprocess.Popen([*COMMAND, "--serve", str(path)]) as program:
        deadline = time.monotonic() + 20
        while not path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield path
        program.send_signal(signal.SIGTERM)
        assert program.wait(20) == 0
        assert not path.exists()


def client(path: Path) -> socket.socket:
    deadline = time.monotonic() + 20
    while True:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        try:
            connection.connect(str(path))
        except (
            ConnectionRefusedError,
            FileNotFoundError,
        ):  # The program does not listen yet, or is replacing an abandoned socket.
            connection.close()
            assert time.monotonic() < deadline
        else:
            return connection


def test_server_answers_each_line(path: Path) -> None:
    with closing(client(path)) as first, closing(client(path)) as second:
        for vector in VECTORS[:50]:
            line = json.dumps({"input": vector["input"], "args": vector["args"]}).encode() + b"\n"
            for connection in (first, second):
                connection.sendall(line[:10])
                connection.sendall(line[10:] + line)
                answers = connection.makefile("rb")
                assert [json.loads(answers.readline()) for _ in range(2)] == [vector["output"]] * 2
        first.sendall(b"\xff\xfe{}\n")
        assert b"error" in first.recv(1000)


def test_server_answers_for_the_largest_building(path: Path) -> None:
    # Neither the request nor the answer fits into the socket buffer.
    states = {str(k): {"behaviour": "idle", "floor": k, "cabRequests": [False] * 1024} for k in range(500)}
    line = json.dumps({"hallRequests": [[True, True]] * 1024, "states": states}).encode() + b"\n"
    with closing(client(path)) as connection:
        connection.sendall(line)
        assert json.loads(connection.makefile("rb").readline()).keys() == states.keys()


def test_client_that_disconnects_or_sends_an_endless_line_does_not_affect_others(path: Path) -> None:
    with closing(client(path)) as incomplete:
        incomplete.sendall(b'{"hallRequests"')
    with closing(client(path)) as endless:
        try:
            for _ in range(140):
                endless.sendall(b"x" * (1 << 16))
            ended = endless.recv(1) == b""
        except (BrokenPipeError, ConnectionResetError):
            ended = True
        assert ended
    with closing(client(path)) as other:
        other.sendall(json.dumps(GOOD).encode() + b"\n")
        assert set(json.loads(other.makefile("rb").readline())) == {"a", "b"}


def test_server_replaces_an_abandoned_socket_but_not_one_in_use(path: Path, tmp_path: Path) -> None:
    assert run("--serve", str(path)).returncode == 1
    left = tmp_path / "left"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(left))
    with subprocess.Popen([*COMMAND, "--serve", str(left)]) as program:
        with closing(client(left)) as connection:
            connection.sendall(b"{}\n")
            assert b"error" in connection.recv(1000)
        left.unlink()  # The program must also end cleanly without its socket.
        os.kill(program.pid, signal.SIGINT)
        assert program.wait(20) == 0


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_server_never_replaces_a_file_or_directory(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "taken"
    path.mkdir() if kind == "directory" else path.write_text("homework")
    result = run("--serve", str(path))
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert path.is_dir() if kind == "directory" else path.read_text() == "homework"
