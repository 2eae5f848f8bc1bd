"""The fast `evolve` gives the same results as attrs.evolve, but raises KeyError for an unknown field."""

from typing import Any

import attrs
import pytest

from elevator.core.evolve import evolve
from elevator.core.model import Author, Calls, Car, Entry, Fault, Policy
from elevator.core.node import boot

NODE = boot(1, 4, None, 5, 0, Policy())


def test_copy_contains_the_changes_and_keeps_the_other_fields() -> None:
    changed = evolve(NODE, now_ms=50, warnings={"a": 1})
    assert changed == attrs.evolve(NODE, now_ms=50, warnings={"a": 1})
    assert changed != NODE
    assert evolve(NODE) == NODE
    assert evolve(Car(), fault=Fault.DOOR, floor=2) == Car(floor=2, fault=Fault.DOOR)


def test_copy_computes_cached_properties_again() -> None:
    author = Author(1, 5)
    calls = Calls()
    assert calls.seen == {}
    assert evolve(calls, entries={author: Entry(author, 3)}).seen == {author: 3}


def test_unknown_field_raises_key_error() -> None:
    changes: dict[str, Any] = {"flor": 1}
    with pytest.raises(KeyError):
        evolve(Car(), **changes)
