"""The reference assigner in C, compared with recorded answers of the official program and with a model in Python.

`ELEVATOR_VECTORS=file` runs the tests on another file of recorded answers.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import reference
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference import Args, Input, Shares, State, Vector

from elevator import _assign, _bench

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
def test_answers_equal_those_of_the_official_program(assign: Assigner, vectors: list[Vector]) -> None:
    for number, vector in enumerate(vectors, start=1):
        answer = assign(vector["input"], vector["args"])
        if vector["args"].get("includeCab", False):
            answer = reference.with_cab(vector["input"], answer)
        assert answer == vector["output"], f"line {number} of the recorded answers differs"


def test_recorded_answers_cover_all_modes(vectors: list[Vector]) -> None:
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
"""Rejected cases whose error does not show in the integers that C gets. Only cli/assign.py can reject them."""


@pytest.mark.parametrize(
    "reject", [pytest.param(reject, id=reject["case"]) for reject in REJECTS if reject["case"] not in NOT_INTEGERS]
)
def test_inputs_that_the_official_program_rejects_raise_value_error(reject: dict[str, Any]) -> None:
    given = reject["input"] if "input" in reject else json.loads(reject["input_text"])
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        _assign.reference(*reference.flatten(given, reject["args"]))


def test_cases_that_c_cannot_reject_are_recorded() -> None:
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
    ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=3)
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


@settings(max_examples=150, deadline=None)
@given(inputs(), ARGS)
def test_assigner_agrees_with_the_model(given: Input, args: Args) -> None:
    assert native(given, args) == reference.assign(given, args)


@settings(max_examples=50, deadline=None)
@given(inputs(), st.data(), ARGS)
def test_assigner_agrees_with_the_model_if_an_id_is_empty(given: Input, data: st.DataObject, args: Args) -> None:
    given["states"][""] = data.draw(states(len(given["hallRequests"])))
    try:
        expected = reference.assign(given, args, 2000)
    except reference.EndlessError:
        assume(False)
    assert native(given, args) == expected


def test_car_with_an_empty_id_is_assigned_a_call_only_if_it_is_alone() -> None:
    """Another car gets the call, although the car with the empty id is idle at the call's floor.

    If the car with the empty id is the only one, it gets the call, but two calls raise ValueError.
    """
    state: State = {"behaviour": "idle", "floor": 1, "direction": "stop", "cabRequests": [False] * 3}
    hall = [[False, False], [True, False], [False, False]]
    other: State = {**state, "floor": 0, "cabRequests": [False, False, True]}
    answer = native({"hallRequests": hall, "states": {"": state, "a": other}}, {})
    assert answer == {"": [[False, False]] * 3, "a": hall}
    assert native({"hallRequests": hall, "states": {"": state}}, {}) == {"": hall}
    with pytest.raises(ValueError, match=r"^the simulation did not end within 4194304 moves$"):
        native({"hallRequests": [[False, False], [True, True], [False, False]], "states": {"": state}}, {})


@pytest.mark.parametrize("floors", [65, 100, 128, 300])
def test_assigner_agrees_with_the_model_for_large_buildings(floors: int) -> None:
    rng = random.Random(floors)
    for clear_type in ("all", "inDirn"):
        given: Input = {
            "hallRequests": [[rng.random() < 0.02, rng.random() < 0.02] for _ in range(floors)],
            "states": {str(k): large_state(rng, floors) for k in range(6)},
        }
        args = Args(clearRequestType=clear_type, travelDuration=rng.randrange(3000))
        assert native(given, args) == reference.assign(given, args)


def large_state(rng: random.Random, floors: int) -> State:
    return {
        "behaviour": rng.choice(list(reference.BEHAVIOURS)),
        "floor": rng.randrange(1, floors - 1),
        "direction": rng.choice(list(reference.DIRECTIONS)),
        "cabRequests": [rng.random() < 0.02 for _ in range(floors)],
    }


@pytest.mark.parametrize("cars", [65, 500])
def test_assigner_agrees_with_the_model_for_many_cars(cars: int) -> None:
    rng = random.Random(cars)
    given: Input = {
        "hallRequests": [[rng.random() < 0.5, rng.random() < 0.5] for _ in range(20)],
        "states": {str(k): large_state(rng, 20) for k in range(cars)},
    }
    assert native(given, {}) == reference.assign(given, {})


def test_calls_in_the_largest_building_are_assigned() -> None:
    """The simulation is long, because every car passes almost every floor, but it stays within ASSIGN_MAX_MOVES."""
    everything = 2**1024 - 1
    shares = _assign.reference(1024, everything, everything, [(1, 1, -1, 0)] * 500)
    assert_assigned_once(everything, everything, shares)


@pytest.mark.parametrize(("door_ms", "travel_ms"), [(-1000, 2500), (3000, -100), (-5, -5), (-(2**31), 2**31 - 1)])
def test_assigner_agrees_with_the_model_for_negative_and_huge_durations(door_ms: int, travel_ms: int) -> None:
    rng = random.Random(door_ms)
    args = Args(doorOpenDuration=door_ms, travelDuration=travel_ms)
    for _ in range(20):
        given: Input = {
            "hallRequests": [[rng.random() < 0.3, rng.random() < 0.3] for _ in range(12)],
            "states": {str(k): large_state(rng, 12) for k in range(5)},
        }
        assert native(given, args) == reference.assign(given, args)


def test_each_call_is_assigned_to_one_car_although_clocks_overflow() -> None:
    """The clocks of the simulated cars have 64 bits and count in units of 100 ns. They wrap around."""
    everything = 2**1024 - 1
    for durations in ((2**31 - 1, 2**31 - 1), (-(2**31), 2**31 - 1)):
        shares = _assign.reference(1024, everything, everything, [(0, 0, 0, everything)] * 2, *durations)
        assert_assigned_once(everything, everything, shares)


def test_first_id_in_byte_order_wins_a_tie() -> None:
    """Ids are compared as UTF-8, byte by byte: digits precede letters, and 10 precedes 2."""
    hall = [[False, False], [False, False], [True, False]]
    state: State = {"behaviour": "idle", "floor": 0, "direction": "stop", "cabRequests": [False] * 3}
    for ids in (["10", "2", "a"], ["Z", "a", "é", "\uffff", "\U00010000"]):
        answer = native({"hallRequests": hall, "states": dict.fromkeys(reversed(ids), state)}, {})
        assert [id for id in ids if answer[id][2][0]] == ids[:1]


def assert_assigned_once(up: int, down: int, shares: tuple[tuple[int, int], ...]) -> None:
    """Assert that each call of the masks *up* and *down* is assigned to exactly one car."""
    for calls, parts in ((up, [share[0] for share in shares]), (down, [share[1] for share in shares])):
        assert sum(parts) == calls
        assert sum(part.bit_count() for part in parts) == calls.bit_count()


@pytest.mark.parametrize("clear_all", [False, True])
@pytest.mark.parametrize(("door_ms", "travel_ms"), [(3000, 2500), (0, 0), (3_600_000, 0), (0, 3_600_000)])
def test_calls_are_assigned_in_buildings_of_64_floors_and_64_cars(
    clear_all: bool, door_ms: int, travel_ms: int
) -> None:
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
        assert_assigned_once(EVERYWHERE, EVERYWHERE, shares)


@given(st.data(), st.integers(1, 64), st.booleans())
def test_every_call_is_assigned_to_one_car(data: st.DataObject, floors: int, clear_all: bool) -> None:
    up, down = data.draw(masks(floors)), data.draw(masks(floors))
    fleet = data.draw(st.lists(cars(floors), min_size=1, max_size=64))
    times = data.draw(DURATIONS_MS), data.draw(DURATIONS_MS)
    assert_assigned_once(up, down, _assign.reference(floors, up, down, fleet, *times, clear_all))


HUGE = 2**100
IDLE: Car = (0, 0, 0, 0)
GOOD: dict[str, Any] = {"floors": 4, "up": 1, "down": 2, "cars": (IDLE,), "door_ms": 3000, "travel_ms": 2500}
BAD: dict[str, list[Any]] = {
    "floors": [0, -1, 1025, HUGE, -HUGE, 4.0, "4", None],
    "up": [16, -1, 2**64, HUGE, -HUGE, 1.0, None],
    "down": [16, -1, 2**64, HUGE, -HUGE, 1.0, None],
    "door_ms": [-(2**31) - 1, 2**31, HUGE, -HUGE, 0.5, None],
    "travel_ms": [-(2**31) - 1, 2**31, HUGE, -HUGE, 0.5, None],
    "cars": [
        *[(), [], [IDLE] * 501, None, 7, "abcd", {IDLE: 1}, iter([IDLE])],
        *[[None], [7], [[0, 0, 0, 0]], [IDLE, "abcd"], [(0, 0, 0)], [(0, 0, 0, 0, 0)]],
        *[[(3, 0, 0, 0)], [(-1, 0, 0, 0)], [(HUGE, 0, 0, 0)], [("idle", 0, 0, 0)]],
        *[[(0, 4, 0, 0)], [(0, -1, 0, 0)], [(0, HUGE, 0, 0)], [(0, 2**32, 0, 0)], [(0, 0.0, 0, 0)]],
        *[[(0, 0, 2, 0)], [(0, 0, -2, 0)], [(0, 0, -HUGE, 0)], [(0, 0, None, 0)]],
        *[[(0, 0, 0, 16)], [(0, 0, 0, -1)], [(0, 0, 0, HUGE)], [(0, 0, 0, None)]],
        *[[(1, 3, 1, 0)], [(1, 0, -1, 0)]],
    ],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_bad_value_raises_value_error_with_a_one_line_message(name: str, value: object) -> None:
    assert _assign.reference(**GOOD) == ((1, 2),)
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        _assign.reference(**{**GOOD, name: value})


LARGE: dict[str, Any] = {**GOOD, "floors": 65}
BAD_LARGE: dict[str, list[Any]] = {
    "up": [2**65, -1, 2**1024, 2**2000, -HUGE, 1.0, None],
    "down": [2**65, -1, 2**1024, 2**2000, -HUGE, 1.0, None],
    "door_ms": [2**31],
    "travel_ms": [2**31],
    "cars": [
        *[(), [], [IDLE] * 501, None, [None], [7], [[0, 0, 0, 0]], [(0, 0, 0)], [IDLE, (0, 0, 0, 0, 0)]],
        *[[(3, 0, 0, 0)], [(-1, 0, 0, 0)], [(HUGE, 0, 0, 0)], [("idle", 0, 0, 0)]],
        *[[(0, 65, 0, 0)], [(0, -1, 0, 0)], [(0, HUGE, 0, 0)], [(0, 0.0, 0, 0)]],
        *[[(0, 0, 2, 0)], [(0, 0, -2, 0)], [(0, 0, None, 0)]],
        *[[(0, 0, 0, 2**65)], [(0, 0, 0, -1)], [(0, 0, 0, 2**1024)], [(0, 0, 0, None)]],
        *[[(1, 64, 1, 0)], [(1, 0, -1, 0)]],
    ],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD_LARGE.items() for value in values])
def test_bad_value_for_a_large_building_raises_value_error_with_a_one_line_message(name: str, value: object) -> None:
    assert _assign.reference(**LARGE) == ((1, 2),)
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        _assign.reference(**{**LARGE, name: value})


@pytest.mark.parametrize("extension", [_assign, _bench])
def test_assertions_are_compiled_in(extension: ModuleType) -> None:
    """Python's default compiler flags include -DNDEBUG, which disables assertions."""
    assert extension.__file__ is not None
    assert b"__assert_fail" in Path(extension.__file__).read_bytes()


def test_wrong_arguments_raise_type_error() -> None:
    for keywords in ({"floors": 4}, {**GOOD, "up_calls": 1}):
        with pytest.raises(TypeError):
            _assign.reference(**keywords)


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 70), st.integers(), st.floats(), st.text(max_size=2)),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.tuples(inner, inner, inner, inner)),
)


@given(st.fixed_dictionaries({name: st.just(good) | ANYTHING for name, good in GOOD.items()}))
def test_any_argument_is_accepted_or_raises_value_error(arguments: dict[str, Any]) -> None:
    try:
        shares = _assign.reference(**arguments)
    except ValueError:
        return
    assert_assigned_once(arguments["up"], arguments["down"], shares)


class ForbiddingInt(int):
    """An int whose `__index__` and `to_bytes` raise."""

    def __index__(self) -> int:
        raise AssertionError

    def to_bytes(self, *_: object, **__: object) -> bytes:
        raise AssertionError


@pytest.mark.parametrize("floors", [4, 65])
def test_integers_are_read_without_calling_python_methods(floors: int) -> None:
    zero, number = ForbiddingInt(0), ForbiddingInt
    assert _assign.reference(number(floors), number(1), number(2), [(zero, zero, zero, zero)]) == ((1, 2),)
