"""The native assigners under the address and undefined-behaviour sanitizers, by way of native/check.c.

There is no skip: a C compiler is needed to build the project at all.
"""

import json
import subprocess
from pathlib import Path

import pytest
import reference
from reference import Integers

NATIVE = Path(__file__).parents[2] / "native"
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
SANITIZED = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("native") / "check"
    sources = [str(path) for part in ("assign", "plan", "check") for path in NATIVE.glob(f"{part}*.c")]
    subprocess.run(["cc", *STRICT, *SANITIZED, *sources, "-o", str(program)], check=True)
    return program


def run(check: Path, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(check), *arguments], input=text, capture_output=True, text=True, timeout=300, check=False
    )


def line(integers: Integers, answer: list[tuple[int, int]] | None) -> str:
    """Write one vector as check.c reads it; without an *answer* it is to be refused."""
    floors, up, down, cars, door_ms, travel_ms, clear_all, _ = integers
    fields = [
        floors,
        up,
        down,
        door_ms,
        travel_ms,
        int(clear_all),
        len(cars),
        *(value for car in cars for value in car),
    ]
    fields += [1] if answer is None else [0, *(calls for share in answer for calls in share)]
    return " ".join(map(str, fields)) + "\n"


def official() -> list[str]:
    def answer(shares: reference.Shares) -> list[tuple[int, int]]:
        rows = [shares[id] for id in sorted(shares, key=lambda id: id.encode())]
        return [(reference.mask(row[0] for row in share), reference.mask(row[1] for row in share)) for share in rows]

    return [
        line(reference.flatten(vector["input"], vector["args"]), answer(vector["output"]))
        for vector in reference.vectors()
    ]


def test_vectors_and_rejects(check: Path) -> None:
    rejects = map(json.loads, (reference.DATA / "assigner_rejects.jsonl").read_text().splitlines())
    named = {
        "moving up at top floor",
        "moving down at floor 0",
        "no states",
        "no floors",
        "floor out of range",
        "floor -1",
    }
    lines = official() + [
        line(reference.flatten(reject["input"], reject["args"]), None) for reject in rejects if reject["case"] in named
    ]
    result = run(check, text="".join(lines))
    assert (result.returncode, result.stdout) == (0, f"{len(lines)} agree\n"), result.stderr


def test_a_wrong_answer_is_noticed(check: Path) -> None:
    """The check can fail: it does so for an answer with one call too many."""
    good = official()[0].split()
    result = run(check, text=" ".join([*good[:-1], str(int(good[-1]) ^ 1)]))
    assert (result.returncode, result.stderr) == (1, "input 1: a different answer\n")


def test_random_inputs(check: Path) -> None:
    count = 200_000
    result = run(check, "random", str(count), "1")
    assert result.returncode == 0, result.stderr
    accepted = int(result.stdout.split()[0])
    assert count // 4 < accepted < count * 9 // 10, "the inputs are too tame or too wild to show much"


def test_random_inputs_of_large_buildings(check: Path) -> None:
    """Both sizes of the reference answer alike, and nothing overruns where only the large one answers."""
    count = 10_000
    result = run(check, "large", str(count), "1")
    assert result.returncode == 0, result.stderr
    accepted = int(result.stdout.split()[0])
    assert count // 10 * 3 // 4 < accepted < count // 10, "the inputs are too tame or too wild to show much"


def test_random_inputs_of_the_plan_cost_assigner(check: Path) -> None:
    """Nothing overruns, whatever the integers; and the work stays within its bound."""
    count = 4000
    result = run(check, "plan", str(count), "1")
    assert result.returncode == 0, result.stderr
    accepted = int(result.stdout.splitlines()[-1].split()[0])
    assert count // 4 < accepted < count * 9 // 10, "the inputs are too tame or too wild to show much"
