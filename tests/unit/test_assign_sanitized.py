"""The assigners in C under the address and undefined-behaviour sanitizers, run by native/check.c."""

import json
import subprocess
from pathlib import Path

import pytest
import reference
from reference import Integers

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sanitized")]  # Compile check.c once.

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
    """Format a vector for check.c. If *answer* is None, the assigner must reject the input."""
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


def test_reference_reproduces_official_answers_and_some_rejections(check: Path) -> None:
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


def test_check_program_detects_a_wrong_answer(check: Path) -> None:
    good = official()[0].split()
    result = run(check, text=" ".join([*good[:-1], str(int(good[-1]) ^ 1)]))
    assert (result.returncode, result.stderr) == (1, "input 1: a different answer\n")


def test_reference_answers_or_refuses_every_random_input(check: Path) -> None:
    count = 100_000
    result = run(check, "random", str(count), "1")
    assert result.returncode == 0, result.stderr
    accepted = int(result.stdout.split()[0])
    assert count // 4 < accepted < count * 9 // 10, "too many or too few valid inputs"


def test_reference_assigners_for_small_and_large_buildings_agree_on_random_inputs(check: Path) -> None:
    count = 10_000
    result = run(check, "large", str(count), "1")
    assert result.returncode == 0, result.stderr
    accepted = int(result.stdout.split()[0])
    assert count // 10 * 3 // 4 < accepted < count // 10, "too many or too few valid inputs"


def test_plan_and_parking_answer_or_refuse_every_random_input(check: Path) -> None:
    count = 4000
    result = run(check, "plan", str(count), "1")
    assert result.returncode == 0, result.stderr
    accepted = int(result.stdout.splitlines()[-1].split()[0])
    assert count // 4 < accepted < count * 9 // 10, "too many or too few valid inputs"
