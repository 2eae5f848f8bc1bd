"""Tests of the exam itself: the reference controller passes it, and each broken variant fails the tests in variants.py.

Each test here runs one test of the exam on one controller. It mostly waits, so several run at once: see
`just test-exam`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lab import PROGRAM
from variants import VARIANTS, Variant

from elevator.exam.catalogue import TESTS
from elevator.exam.sandbox import obstacle

CONTROLLER = Path(__file__).with_name("controller.py")
SEED = "1"
pytestmark = pytest.mark.exam


@pytest.fixture(autouse=True, scope="module")
def _network() -> None:
    """Without network namespaces, fail all tests. With EXAM_NO_NETWORK=1, skip them instead."""
    if why_not := obstacle():
        assert os.environ.get("EXAM_NO_NETWORK") == "1", why_not
        pytest.skip(why_not)


def examine(directory: Path, tests: list[str], *options: str) -> dict[str, Any]:
    """Examine the reference controller with *options*. Return the result of each of *tests*, by its name."""
    file = directory / "report.json"
    exam = [*PROGRAM, "exam", "--seed", SEED, "--only", ",".join(tests), "--json", str(file), "--keep", str(directory)]
    arguments = ["--id", "{id}", "--port", "{port}", "--cars", "{cars}", "--floors", "{floors}", "--dir", "{dir}"]
    done = subprocess.run(
        [*exam, "--", sys.executable, str(CONTROLLER), *arguments, *options],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stderr
    return {result["name"]: result for result in json.loads(file.read_text())["results"]}


def failures(result: dict[str, Any]) -> list[str]:
    return [
        f"{check['rule']} at {check['at_ms']} ms: {check['expected']}: {check['found']}"
        for check in result["checks"]
        if not check["passed"]
    ]


@pytest.mark.parametrize("test", TESTS)
def test_reference_controller_passes_each_test_of_the_exam(test: str, tmp_path: Path) -> None:
    result = examine(tmp_path, [test])[test]
    assert failures(result) == []
    assert result["verdict"] == "passed"


@pytest.mark.parametrize(
    ("variant", "test"),
    [pytest.param(each, test, id=f"{each.name}-{test}") for each in VARIANTS for test in sorted(each.must_fail)],
)
def test_broken_variant_fails_each_test_listed_for_it(variant: Variant, test: str, tmp_path: Path) -> None:
    result = examine(tmp_path, [test], "--broken", variant.name)[test]
    assert failures(result) != [], variant.mistake
