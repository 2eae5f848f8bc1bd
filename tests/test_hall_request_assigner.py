"""`elevator assign` answers as the course's program does, and refuses what it refuses, in every way of asking."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from reference import Vector

from elevator.hall_request_assigner import Options, answer, answer_line, read_arguments

COMMAND = [sys.executable, "-m", "elevator", "assign"]
VECTORS = reference.vectors()
REJECTS = [json.loads(line) for line in (reference.DATA / "assigner_rejects.jsonl").read_text().splitlines()]


def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], input=text, capture_output=True, text=True, timeout=60, check=False)


def flags(vector: Vector) -> list[str]:
    """Write the args of *vector* as the command line of the original."""
    found = []
    for name, value in vector["args"].items():
        found += ["--includeCab"] * bool(value) if name == "includeCab" else [f"--{name}", str(value)]
    return found


def test_all_vectors_as_a_batch() -> None:
    lines = [json.dumps({"input": vector["input"], "args": vector["args"]}) for vector in VECTORS]
    result = run("--jsonl", text="\n".join(lines) + "\n")
    assert (result.returncode, result.stderr) == (0, "")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [vector["output"] for vector in VECTORS]


def test_vectors_with_the_command_line_of_the_original() -> None:
    for vector in VECTORS:
        asked = read_arguments([*flags(vector), "--input", json.dumps(vector["input"])])
        assert json.loads(answer(asked.input, asked.options)) == vector["output"]


@pytest.mark.parametrize("way", ["--input", "-i", "stdin"])
def test_one_answer(way: str) -> None:
    vector = VECTORS[0]
    text = json.dumps(vector["input"])
    result = run(*flags(vector), text=text + "\n") if way == "stdin" else run(*flags(vector), way, text)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout) == vector["output"]


@pytest.mark.parametrize("reject", [pytest.param(reject, id=reject["case"]) for reject in REJECTS])
def test_what_the_original_refuses_is_refused(reject: dict[str, Any]) -> None:
    text = json.dumps(reject["input"]) if "input" in reject else reject["input_text"]
    given = [word for name, value in reject["args"].items() for word in (f"--{name}", str(value))]
    result = run(*given, "--input", text)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("elevator assign: ")
    assert result.stderr.count("\n") == 1


IDLE = {"behaviour": "idle", "floor": 0, "direction": "stop", "cabRequests": [False] * 4}
HALL = [[False, False], [True, False], [False, True], [False, True]]
GOOD = {"hallRequests": HALL, "states": {"a": IDLE, "b": {**IDLE, "floor": 3}}}


def test_what_is_missing_has_the_value_of_the_original() -> None:
    short = {"hallRequests": HALL, "states": {"a": {"cabRequests": [False] * 4}}, "comment": 1}
    whole = {"hallRequests": HALL, "states": {"a": {**IDLE, "direction": "down"}}}
    assert answer(json.dumps(short), Options()) == answer(json.dumps(whole), Options())


def test_options_in_the_ways_of_the_original() -> None:
    words = ["--TravelDuration=1", "--doorOpenDuration", "2", "--unknown", "-x", "--includeCab=false", "stray"]
    assert read_arguments(words).options == Options(travel_ms=1, door_ms=2)


@pytest.mark.parametrize(
    "words",
    [
        ["--travelDuration"],
        ["--travelDuration", "fast"],
        ["--travelDuration", "9" * 5000],
        ["--includeCab=maybe"],
        ["--clearRequestType", "some"],
        ["--algorithm", "best"],
        ["--algorithm", "plan", "--clearRequestType", "all", "--input", json.dumps(GOOD)],
        ["--serve", "/proc/nowhere/socket"],
    ],
)
def test_bad_options_get_one_line(words: list[str]) -> None:
    result = run(*words)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)


def test_the_plan_shares_out_every_request() -> None:
    shares = json.loads(answer(json.dumps(GOOD), Options(algorithm="plan")))
    owners = [[sum(shares[id][floor][way] for id in shares) for way in (0, 1)] for floor in range(4)]
    assert owners == [[int(lit) for lit in row] for row in HALL]
    assert shares["a"][1] == [True, False]
    assert shares["b"][3] == [False, True]


def test_a_bad_line_of_a_batch_is_answered_and_told_by_the_status() -> None:
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
def test_garbage_is_refused_in_one_line(garbage: dict[str, Any]) -> None:
    line, _ = answer_line(json.dumps(garbage), Options())
    assert "\n" not in line


@given(st.text())
def test_text_that_is_no_json_is_refused(text: str) -> None:
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
        except (ConnectionRefusedError, FileNotFoundError):  # It does not listen yet, or has just taken another away.
            connection.close()
            assert time.monotonic() < deadline
        else:
            return connection


def test_answers_on_a_socket(path: Path) -> None:
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


def test_a_client_that_goes_or_sends_without_end_harms_nobody(path: Path) -> None:
    with closing(client(path)) as rude:
        rude.sendall(b'{"hallRequests"')
    with closing(client(path)) as endless:
        try:
            for _ in range(40):
                endless.sendall(b"x" * (1 << 16))
            ended = endless.recv(1) == b""
        except (BrokenPipeError, ConnectionResetError):
            ended = True
        assert ended
    with closing(client(path)) as polite:
        polite.sendall(json.dumps(GOOD).encode() + b"\n")
        assert set(json.loads(polite.makefile("rb").readline())) == {"a", "b"}


def test_a_socket_that_was_left_behind_is_taken_away_and_one_in_use_is_not(path: Path, tmp_path: Path) -> None:
    assert run("--serve", str(path)).returncode == 1
    left = tmp_path / "left"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(left))
    with subprocess.Popen([*COMMAND, "--serve", str(left)]) as program:
        with closing(client(left)) as connection:
            connection.sendall(b"{}\n")
            assert b"error" in connection.recv(1000)
        os.kill(program.pid, signal.SIGINT)
        assert program.wait(20) == 0
