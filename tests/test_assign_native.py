"""The native assigner answers as the official program does, and as its twin in Python does.

`ELEVATOR_VECTORS=file` runs the tests on another file of vectors than the sample kept here.
"""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Args, Input, Shares, State, Vector

from elevator import _assign

Assigner = Callable[[Input, Args], Shares]
Car = tuple[int, int, int, int]
EVERYWHERE = 2**64 - 1
BEHAVIOURS = {number: name for name, number in reference.BEHAVIOURS.items()}
DIRECTIONS = {number: name for name, number in reference.DIRECTIONS.items()}


def native(given: Input, args: Args) -> Shares:
    return reference.unflatten(given, _assign.reference(*reference.flatten(given, args)))


@pytest.fixture(scope="module")
def vectors() -> list[Vector]:
    return reference.vectors()


@pytest.mark.parametrize("assign", [native, reference.assign])
def test_official_vectors(assign: Assigner, vectors: list[Vector]) -> None:
    for number, vector in enumerate(vectors, start=1):
        answer = assign(vector["input"], vector["args"])
        if vector["args"].get("includeCab", False):
            answer = reference.with_cab(vector["input"], answer)
        assert answer == vector["output"], f"line {number}"


def test_vectors_cover_all_modes(vectors: list[Vector]) -> None:
    modes = {(vector["args"]["clearRequestType"], vector["args"].get("includeCab", False)) for vector in vectors}
    assert modes == {("all", True), ("all", False), ("inDirn", True), ("inDirn", False)}


REJECTS = [json.loads(line) for line in (reference.DATA / "assigner_rejects.jsonl").read_text().splitlines()]
NOT_INTEGERS = {
    "cab length shorter",
    "cab length longer",
    "missing cabRequests",
    "hall row of 3",
    "bad clearRequestType",
    "raw: empty string",
    "raw: not json",
    "raw: trailing text",
    "raw: bool as 0/1",
}
"""What is wrong with these is lost when the input becomes integers: whoever reads the JSON has to refuse them."""


@pytest.mark.parametrize(
    "reject", [pytest.param(reject, id=reject["case"]) for reject in REJECTS if reject["case"] not in NOT_INTEGERS]
)
def test_official_rejects(reject: dict[str, Any]) -> None:
    given = reject["input"] if "input" in reject else json.loads(reject["input_text"])
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        _assign.reference(*reference.flatten(given, reject["args"]))


def test_each_reject_is_known() -> None:
    assert {reject["case"] for reject in REJECTS} > NOT_INTEGERS


@st.composite
def masks(draw: st.DrawFn, floors: int) -> int:
    few = st.sets(st.integers(0, floors - 1), max_size=3).map(lambda lit: sum(1 << floor for floor in lit))
    return draw(st.one_of(few, st.integers(0, 2**floors - 1)))


@st.composite
def cars(draw: st.DrawFn, floors: int) -> Car:
    behaviour = draw(st.integers(0, 2))
    floor = draw(st.integers(0, floors - 1))
    directions = [way for way in (-1, 0, 1) if behaviour != 1 or 0 <= floor + way < floors]
    return behaviour, floor, draw(st.sampled_from(directions)), draw(masks(floors))


def row(floors: int, mask: int) -> list[bool]:
    return [bool(mask >> floor & 1) for floor in range(floors)]


@st.composite
def states(draw: st.DrawFn, floors: int) -> State:
    behaviour, floor, direction, cab = draw(cars(floors))
    return {
        "behaviour": BEHAVIOURS[behaviour],
        "floor": floor,
        "direction": DIRECTIONS[direction],
        "cabRequests": row(floors, cab),
    }


@st.composite
def inputs(draw: st.DrawFn) -> Input:
    floors = draw(st.integers(1, 32))
    up, down = row(floors, draw(masks(floors))), row(floors, draw(masks(floors)))
    ids = st.text(st.characters(codec="utf-8"), max_size=3)
    return {
        "hallRequests": [list(pair) for pair in zip(up, down, strict=True)],
        "states": draw(st.dictionaries(ids, states(floors), min_size=1, max_size=11)),
    }


DURATIONS_MS = st.one_of(st.sampled_from([0, 1, 500, 2999, 3001]), st.integers(0, 20_000))
ARGS = st.builds(
    Args,
    clearRequestType=st.sampled_from(["all", "inDirn"]),
    doorOpenDuration=DURATIONS_MS,
    travelDuration=DURATIONS_MS,
)


@settings(max_examples=300, deadline=None)
@given(inputs(), ARGS)
def test_twins_agree(given: Input, args: Args) -> None:
    assert native(given, args) == reference.assign(given, args)


def test_ties_are_broken_by_the_bytes_of_the_ids() -> None:
    """Of two cars equally near, the first in byte order gets the call; digits come before letters, 10 before 2."""
    hall = [[False, False], [False, False], [True, False]]
    state: State = {"behaviour": "idle", "floor": 0, "direction": "stop", "cabRequests": [False] * 3}
    for ids in (["10", "2", "a"], ["Z", "a", "é", "\uffff", "\U00010000"]):
        answer = native({"hallRequests": hall, "states": dict.fromkeys(reversed(ids), state)}, {})
        assert [id for id in ids if answer[id][2][0]] == ids[:1]


def assert_shared_out(up: int, down: int, shares: tuple[tuple[int, int], ...]) -> None:
    """Every call is in exactly one share: the shares add up to the calls without a carry and cover no bit twice."""
    for calls, parts in ((up, [share[0] for share in shares]), (down, [share[1] for share in shares])):
        assert sum(parts) == calls
        assert sum(part.bit_count() for part in parts) == calls.bit_count()


@pytest.mark.parametrize("clear_all", [False, True])
@pytest.mark.parametrize(("door_ms", "travel_ms"), [(3000, 2500), (0, 0), (3_600_000, 0), (0, 3_600_000)])
def test_limits(clear_all: bool, door_ms: int, travel_ms: int) -> None:
    rng = random.Random(1)
    fleets: list[list[Car]] = [
        [(0, 0, 0, EVERYWHERE)] * 64,
        [(0, floor, 0, EVERYWHERE) for floor in range(64)],
        [(1, 0, 1, EVERYWHERE)] * 64,
        [(1, 63, -1, 0)] * 64,
        [(rng.randrange(3), rng.randrange(1, 63), rng.randrange(-1, 2), rng.getrandbits(64)) for _ in range(64)],
    ]
    for fleet in fleets:
        shares = _assign.reference(64, EVERYWHERE, EVERYWHERE, fleet, door_ms, travel_ms, clear_all)
        assert_shared_out(EVERYWHERE, EVERYWHERE, shares)


@given(st.data(), st.integers(1, 64), st.booleans())
def test_every_call_has_one_owner(data: st.DataObject, floors: int, clear_all: bool) -> None:
    up, down = data.draw(masks(floors)), data.draw(masks(floors))
    fleet = data.draw(st.lists(cars(floors), min_size=1, max_size=64))
    times = data.draw(DURATIONS_MS), data.draw(DURATIONS_MS)
    assert_shared_out(up, down, _assign.reference(floors, up, down, fleet, *times, clear_all))


HUGE = 2**100
IDLE: Car = (0, 0, 0, 0)
GOOD: dict[str, Any] = {"floors": 4, "up": 1, "down": 2, "cars": (IDLE,), "door_ms": 3000, "travel_ms": 2500}
BAD: dict[str, list[Any]] = {
    "floors": [0, -1, 65, HUGE, -HUGE, 4.0, "4", None],
    "up": [16, -1, 2**64, HUGE, -HUGE, 1.0, None],
    "down": [16, -1, 2**64, HUGE, -HUGE, 1.0, None],
    "door_ms": [-1, 3_600_001, HUGE, -HUGE, 0.5, None],
    "travel_ms": [-1, 3_600_001, HUGE, -HUGE, 0.5, None],
    "cars": [
        *[(), [], [IDLE] * 65, None, 7, "abcd", {IDLE: 1}, iter([IDLE])],
        *[[None], [7], [[0, 0, 0, 0]], [IDLE, "abcd"], [(0, 0, 0)], [(0, 0, 0, 0, 0)]],
        *[[(3, 0, 0, 0)], [(-1, 0, 0, 0)], [(HUGE, 0, 0, 0)], [("idle", 0, 0, 0)]],
        *[[(0, 4, 0, 0)], [(0, -1, 0, 0)], [(0, HUGE, 0, 0)], [(0, 2**32, 0, 0)], [(0, 0.0, 0, 0)]],
        *[[(0, 0, 2, 0)], [(0, 0, -2, 0)], [(0, 0, -HUGE, 0)], [(0, 0, None, 0)]],
        *[[(0, 0, 0, 16)], [(0, 0, 0, -1)], [(0, 0, 0, HUGE)], [(0, 0, 0, None)]],
        *[[(1, 3, 1, 0)], [(1, 0, -1, 0)]],
    ],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_bad_value_is_one_clear_line(name: str, value: object) -> None:
    assert _assign.reference(**GOOD) == ((1, 2),)
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        _assign.reference(**{**GOOD, name: value})


def test_a_call_that_does_not_fit_the_signature_is_a_type_error() -> None:
    for keywords in ({"floors": 4}, {**GOOD, "up_calls": 1}):
        with pytest.raises(TypeError):
            _assign.reference(**keywords)


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 70), st.integers(), st.floats(), st.text(max_size=2)),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.tuples(inner, inner, inner, inner)),
)


@given(st.fixed_dictionaries({name: st.just(good) | ANYTHING for name, good in GOOD.items()}))
def test_anything_is_answered_or_refused(arguments: dict[str, Any]) -> None:
    try:
        shares = _assign.reference(**arguments)
    except ValueError:
        return
    assert_shared_out(arguments["up"], arguments["down"], shares)


class Loud(int):
    """An integer that objects to being asked for its value: it is an int already."""

    def __index__(self) -> int:
        raise AssertionError


def test_reading_integers_runs_no_python() -> None:
    nought = Loud(0)
    assert _assign.reference(Loud(4), Loud(1), Loud(2), [(nought, nought, nought, nought)]) == ((1, 2),)
