"""The format of heartbeats: round trips at every size, and rejection of invalid datagrams."""

import json
import re

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from elevator import __version__
from elevator.core import peers
from elevator.core.call_set import merge, press
from elevator.core.model import (
    EVERY_CAR,
    MAX_CARS,
    MAX_FLOORS,
    RATE_MAX,
    Author,
    Behaviour,
    Button,
    Buttons,
    Call,
    Calls,
    Car,
    Direction,
    Dot,
    Fault,
    Heartbeat,
    Rates,
)
from elevator.net.wire import DATAGRAM_BYTES, DATAGRAM_BYTES_MAX, VERSION, Encoder, decode, is_button

FLOORS = 9


@st.composite
def every_calls(draw: st.DrawFn, floors: int = FLOORS) -> Calls:
    calls = Calls()
    authors = st.builds(Author, st.integers(0, MAX_CARS - 1), st.integers(0, 1 << 53))
    for author in draw(st.lists(authors, max_size=4)):
        for _ in range(draw(st.integers(1, 6))):
            button = draw(st.sampled_from(Button))
            low, high = (1, floors - 1) if button is Button.DOWN else (0, floors - 1 - (button is Button.UP))
            car = draw(st.integers(0, MAX_CARS - 1)) if button is Button.CAB else EVERY_CAR
            calls = press(calls, author, Call(button, draw(st.integers(low, high)), car))
    return calls


masks = st.integers(0, (1 << FLOORS) - 1)
cars = st.builds(
    Car, st.integers(0, FLOORS - 1), st.sampled_from(Direction), st.sampled_from(Behaviour), st.sampled_from(Fault)
)
rates = st.one_of(st.just(()), st.tuples(*[st.integers(0, RATE_MAX)] * FLOORS))
heartbeats = st.builds(
    Heartbeat,
    sender=st.builds(Author, st.integers(0, MAX_CARS - 1), st.integers(0, 1 << 53)),
    sequence=st.integers(1, (1 << 53) - 1),
    floors=st.just(FLOORS),
    car=cars,
    claims=st.builds(Buttons, masks, masks),
    hears=st.integers(0, (1 << MAX_CARS) - 1),
    calls=every_calls(),
    rates=st.builds(Rates, rates, rates),
    version=st.from_regex(VERSION, fullmatch=True),
)


@given(heartbeats)
def test_decode_inverts_encode(heartbeat: Heartbeat) -> None:
    (datagram,) = Encoder("lab").encode(heartbeat)
    decoded = decode(datagram, "lab")
    assert decoded == heartbeat
    assert decoded is not None
    assert type(decoded.car.fault) is Fault
    assert type(decoded.car.behaviour) is Behaviour
    assert type(decoded.car.direction) is Direction
    assert all(type(call.button) is Button for call in decoded.calls.live.values())


@given(heartbeats, heartbeats)
def test_encoder_cache_never_returns_a_stale_body(first: Heartbeat, second: Heartbeat) -> None:
    encoder = Encoder("lab")
    for heartbeat in (first, second, evolve(second, sequence=second.sequence + 1), first):
        assert decode(encoder.encode(heartbeat)[0], "lab") == heartbeat


def test_datagram_of_another_group_is_refused() -> None:
    (datagram,) = Encoder("lab").encode(example())
    assert decode(datagram, "lab2") is None


NOTHING = Calls()


def example(calls: Calls = NOTHING, floors: int = FLOORS) -> Heartbeat:
    rates = Rates(tuple(range(floors)), tuple(range(100, 100 + floors)))
    return Heartbeat(Author(3, 77), 12, floors, Car(fault=Fault.NONE), Buttons(1, 2), 0b1001, calls, rates=rates)


def busy(cars: int, floors: int, lit: int) -> Calls:
    """Return the call set of a group after *lit* presses, made at its panels in turn."""
    calls = Calls()
    authors = [Author(id, (1 << 32) + 65_536 * id) for id in range(cars)]
    for author in authors:
        calls = Calls(calls.live, {**calls.seen, author: 1000})
    for n in range(lit):
        author = authors[n % cars]
        kind = Button(n // cars % 3)
        floor = n * 7 % (floors - 2) + 1
        calls = press(calls, author, Call(kind, floor, author.id if kind is Button.CAB else EVERY_CAR))
    return calls


def test_busy_group_of_16_cars_and_32_floors_fits_one_datagram() -> None:
    datagrams = Encoder("lab").encode(example(busy(16, 32, 40), 32))
    assert [len(datagram) <= DATAGRAM_BYTES for datagram in datagrams] == [True]


def test_large_state_is_split_into_parts_that_merge_in_any_order() -> None:
    calls = busy(64, 64, 4000)
    datagrams = Encoder("lab").encode(example(calls, 64))
    assert len(datagrams) > 10
    assert max(map(len, datagrams)) <= DATAGRAM_BYTES
    joined = Calls()
    for part, datagram in enumerate(reversed(datagrams)):
        decoded = decode(datagram, "lab")
        assert decoded is not None
        assert (decoded.parts, decoded.part) == (len(datagrams), len(datagrams) - 1 - part)
        joined = merge(joined, decoded.calls)
    assert joined == calls


def test_author_missing_from_all_parts_of_a_heartbeat_is_forgotten() -> None:
    one, two, gone = Author(0, 1), Author(1, 1), Author(2, 1)
    former = Calls({Dot(gone, 1): Call(Button.UP, 0, EVERY_CAR)}, {gone: 1})
    peer = peers.receive(None, evolve(example(former), sequence=1), 0)
    known = []
    for part, author in enumerate((one, two)):
        peer = peers.receive(peer, evolve(example(Calls({}, {author: 1})), sequence=2, part=part, parts=2), 0)
        assert peer is not None
        known.append(peer.calls)
    assert gone in known[0].seen, "the second part may still name this author"
    assert known[1] == Calls({}, {one: 1, two: 1})


def test_author_with_every_button_pressed_fits_one_datagram() -> None:
    calls = Calls()
    me = Author(3, 1 << 53)
    for button in Button:
        for floor in range(MAX_FLOORS):
            if is_button(button, floor, 3 if button is Button.CAB else EVERY_CAR, MAX_FLOORS):
                calls = press(calls, me, Call(button, floor, 3 if button is Button.CAB else EVERY_CAR))
    (datagram,) = Encoder("lab").encode(example(calls, MAX_FLOORS))
    assert len(datagram) <= DATAGRAM_BYTES_MAX
    assert decode(datagram, "lab") == example(calls, MAX_FLOORS)


VALID = {
    "group": "lab",
    "floors": 4,
    "car": [1, 1, 0, "none", False, True],
    "up": 1,
    "down": 2,
    "hears": 3,
    "rates": ["00a0000003e8", ""],
    "version": "1.22.333rc4+dev5",
    "calls": [[1, 5, 9, [[0, 2, -1, 3], [2, 3, 1, 0]]]],
}
LINE = b"elevator3 2 77 12 0 1\n"


def test_example_of_a_heartbeat_is_valid() -> None:
    assert decode(LINE + json.dumps(VALID).encode(), "lab") is not None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"elevator3",
        b"elevator2 2 77 12 0 1",
        b"elevator3 64 77 12 0 1",
        b"elevator3 -2 77 12 0 1",
        b"elevator3 2 77 12 0",
        b"elevator3 2 77 12 1 1",
        b"elevator3 2 77 12 0 65",
        b"elevator3 2 77 12 0 1 1",
        b"elevator3 2 99999999999999999999 12 0 1",
        b"elevator3 2 77 1e3 0 1",
        b"elevator3 2 77 " + b"9" * 5000 + b" 0 1",
        b"elevator3 2 77 \xc2\xb2 0 1",
    ],
)
def test_invalid_first_line_is_refused(line: bytes) -> None:
    assert decode(line + b"\n" + json.dumps(VALID).encode(), "lab") is None


@pytest.mark.parametrize(
    "change",
    [
        {"group": "other"},
        {"group": 3},
        {"floors": 1},
        {"floors": 65},
        {"floors": "4"},
        {"floors": 4.0},
        {"floors": True},
        {"floors": None},
        {"car": [4, 1, 0, "none", False, True]},
        {"car": [-1, 1, 0, "none", False, True]},
        {"car": [1, 0, 0, "none", False, True]},
        {"car": [1, 1, 3, "none", False, True]},
        {"car": [1, 1, 0, "tired", False, True]},
        {"car": [1, 1, 0]},
        {"car": [1, 1, 0, "none"]},
        {"up": 16},
        {"down": -1},
        {"hears": 1 << 64},
        {"rates": ["00a0000003e8"]},
        {"rates": ["00a0000003e", ""]},
        {"rates": ["00a0000003e9", ""]},
        {"rates": ["00a0000003E8", ""]},
        {"rates": ["00a000000-01", ""]},
        {"rates": ["00a0000003e8", "000"]},
        {"rates": ["", 3]},
        {"rates": [[1, 2, 3, 4], []]},
        {"version": "1.22.333rc4+dev56"},
        {"version": "1.2\n"},
        {"version": "1.2 3"},
        {"version": "\u0661.2"},
        {"version": 1},
        {"version": None},
        {"extra": 1},
        {"calls": None},
        {"calls": [[1, 5, 9]]},
        {"calls": [[1, 5, 9, [[0, 2, -1, 3]], 4]]},
        {"calls": [[64, 5, 9, []]]},
        {"calls": [[1, -5, 9, []]]},
        {"calls": [[1, 5, 0, []]]},
        {"calls": [[1, 5, 1 << 60, []]]},
        {"calls": [[1, 5, 9, []], [1, 5, 9, []]]},
        {"calls": [[1, 5, 9, [[0, 2, -1, 9]]]]},
        {"calls": [[1, 5, 9, [[0, 2, -1, -1]]]]},
        {"calls": [[1, 5, 9, [[0, 3, -1, 0]]]]},
        {"calls": [[1, 5, 9, [[1, 0, -1, 0]]]]},
        {"calls": [[1, 5, 9, [[0, 2, 1, 0]]]]},
        {"calls": [[1, 5, 9, [[2, 2, -1, 0]]]]},
        {"calls": [[1, 5, 9, [[2, 2, 64, 0]]]]},
        {"calls": [[1, 5, 9, [[3, 2, -1, 0]]]]},
        {"calls": [[1, 5, 9, [[0, 2, -1, 0], [0, 2, -1, 1]]]]},
        {"calls": [[1, 5, 9, [[0, 2, -1, 0], [0, 1, -1, 0]]]]},
    ],
)
def test_invalid_field_is_refused(change: dict[str, object]) -> None:
    assert decode(LINE + json.dumps(VALID | change).encode(), "lab") is None


def test_own_version_matches_the_version_pattern() -> None:
    assert re.fullmatch(VERSION, __version__)


@pytest.mark.parametrize("missing", VALID)
def test_missing_field_is_refused(missing: str) -> None:
    assert decode(LINE + json.dumps({k: v for k, v in VALID.items() if k != missing}).encode(), "lab") is None


@pytest.mark.parametrize("body", [b"", b"[" * 7000, b"[]", b"null", b"\xff\xfe", b'{"group": NaN}', b"{}" * 9])
def test_malformed_body_is_refused(body: bytes) -> None:
    assert decode(LINE + body, "lab") is None


@pytest.mark.rule("S2")
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(garbage: bytes) -> None:
    assert decode(garbage, "lab") is None


@pytest.mark.rule("S2")
@given(heartbeats, st.data())
def test_corrupted_datagram_never_crashes_decode(heartbeat: Heartbeat, data: st.DataObject) -> None:
    datagram = bytearray(Encoder("lab").encode(heartbeat)[0])
    for _ in range(data.draw(st.integers(1, 3))):
        datagram[data.draw(st.integers(0, len(datagram) - 1))] = data.draw(st.integers(0, 255))
    decoded = decode(bytes(datagram), "lab")
    assert decoded is None or decoded.sender.id < MAX_CARS
