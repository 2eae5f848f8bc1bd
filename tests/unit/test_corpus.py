"""Regression tests: run every input in tests/unit/corpus/ through its fuzz target."""

from pathlib import Path

import pytest
from fuzz import CORPUS, TARGETS, Bytes

INPUTS = sorted(file for file in CORPUS.rglob("*") if file.is_file())


@pytest.mark.parametrize("file", INPUTS, ids=lambda file: "/".join(file.parts[-2:]))
def test_input_passes_its_fuzz_target(file: Path) -> None:
    TARGETS[file.parent.name](file.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_corpus_of_each_fuzz_target_contains_accepted_and_refused_inputs(name: str) -> None:
    """After a change of format, a parser may refuse all old inputs at its first check. Then nothing else is tested."""
    accepted = {TARGETS[name](file.read_bytes()) for file in (CORPUS / name).iterdir()}
    assert accepted == {True, False}, "if a format has changed, convert the inputs in its corpus"


def test_each_piece_of_an_input_begins_with_a_control_byte_and_a_length() -> None:
    assert list(Bytes(b"\x07\x02ab\x01\x00\x05\x09c").pieces()) == [(7, b"ab"), (1, b""), (5, b"c")]
