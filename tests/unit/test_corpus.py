"""Every input in tests/unit/corpus/, thrown at its target: what fuzzing once found stays found."""

from pathlib import Path

import pytest
from fuzz import CORPUS, TARGETS, Bytes

INPUTS = sorted(file for file in CORPUS.rglob("*") if file.is_file())


@pytest.mark.parametrize("file", INPUTS, ids=lambda file: "/".join(file.parts[-2:]))
def test_an_input_breaks_nothing(file: Path) -> None:
    TARGETS[file.parent.name](file.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_gets_behind_what_reads_and_can_be_refused(name: str) -> None:
    """Targets that refused everything, or took everything, would show nothing."""
    taken = {TARGETS[name](file.read_bytes()) for file in (CORPUS / name).iterdir()}
    assert taken == {True, False}, "if a format has changed, its inputs are to be written in the new one"


def test_an_input_is_taken_piece_by_piece() -> None:
    assert list(Bytes(b"\x07\x02ab\x01\x00\x05\x09c").pieces()) == [(7, b"ab"), (1, b""), (5, b"c")]
