"""Datagrams: what goes out comes back, whatever its size; nothing else gets in."""

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
    counter=st.integers(1, (1 << 53) - 1),
    floors=st.just(FLOORS),
    car=cars,
    claims=st.builds(Buttons, masks, masks),
    hears=st.integers(0, (1 << MAX_CARS) - 1),
    calls=every_calls(),
    rates=st.builds(Rates, rates, rates),
    version=st.from_regex(VERSION, fullmatch=True),
)


@given(heartbeats)
def test_what_is_said_is_heard(heartbeat: Heartbeat) -> None:
    (datagram,) = Encoder("lab").encode(heartbeat)
    heard = decode(datagram, "lab")
    assert heard == heartbeat
    assert heard is not None
    assert type(heard.car.fault) is Fault
    assert type(heard.car.behaviour) is Behaviour
    assert type(heard.car.direction) is Direction
    assert all(type(call.button) is Button for call in heard.calls.live.values())


@given(heartbeats, heartbeats)
def test_an_encoder_never_says_the_last_thing_again_instead_of_the_new(first: Heartbeat, second: Heartbeat) -> None:
    encoder = Encoder("lab")
    for heartbeat in (first, second, evolve(second, counter=second.counter + 1), first):
        assert decode(encoder.encode(heartbeat)[0], "lab") == heartbeat


def test_other_groups_are_not_heard() -> None:
    (datagram,) = Encoder("lab").encode(example())
    assert decode(datagram, "lab2") is None


NOTHING = Calls()


def example(calls: Calls = NOTHING, floors: int = FLOORS) -> Heartbeat:
    met = Rates(tuple(range(floors)), tuple(range(100, 100 + floors)))
    return Heartbeat(Author(3, 77), 12, floors, Car(fault=Fault.NONE), Buttons(1, 2), 0b1001, calls, rates=met)


def busy(cars: int, floors: int, lit: int) -> Calls:
    """Make the calls of a group in which *lit* buttons were pressed, round robin on its panels."""
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


def test_ordinary_traffic_of_16_cars_and_32_floors_fits_one_datagram() -> None:
    datagrams = Encoder("lab").encode(example(busy(16, 32, 40), 32))
    assert [len(datagram) <= DATAGRAM_BYTES for datagram in datagrams] == [True]


def test_a_large_state_goes_in_parts_that_can_be_merged_one_by_one() -> None:
    calls = busy(64, 64, 4000)
    datagrams = Encoder("lab").encode(example(calls, 64))
    assert len(datagrams) > 10
    assert max(map(len, datagrams)) <= DATAGRAM_BYTES
    joined = Calls()
    for part, datagram in enumerate(reversed(datagrams)):
        heard = decode(datagram, "lab")
        assert heard is not None
        assert (heard.parts, heard.part) == (len(datagrams), len(datagrams) - 1 - part)
        joined = merge(joined, heard.calls)
    assert joined == calls


def test_a_run_that_a_peer_has_forgotten_is_forgotten_of_it_also_where_it_speaks_in_parts() -> None:
    one, two, gone = Author(0, 1), Author(1, 1), Author(2, 1)
    former = Calls({Dot(gone, 1): Call(Button.UP, 0, EVERY_CAR)}, {gone: 1})
    peer = peers.hear(None, evolve(example(former), counter=1), 0)
    known = []
    for part, author in enumerate((one, two)):
        peer = peers.hear(peer, evolve(example(Calls({}, {author: 1})), counter=2, part=part, parts=2), 0)
        assert peer is not None
        known.append(peer.calls)
    assert gone in known[0].seen, "not all parts have come"
    assert known[1] == Calls({}, {one: 1, two: 1})


def test_the_fullest_panel_of_all_still_fits() -> None:
    calls = Calls()
    me = Author(3, 1 << 53)
    for button in Button:
        for floor in range(MAX_FLOORS):
            if is_button(button, floor, 3 if button is Button.CAB else EVERY_CAR, MAX_FLOORS):
                calls = press(calls, me, Call(button, floor, 3 if button is Button.CAB else EVERY_CAR))
    (datagram,) = Encoder("lab").encode(example(calls, MAX_FLOORS))
    assert len(datagram) <= DATAGRAM_BYTES_MAX
    assert decode(datagram, "lab") == example(calls, MAX_FLOORS)


GOOD = {
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


def test_the_good_example_is_good() -> None:
    assert decode(LINE + json.dumps(GOOD).encode(), "lab") is not None


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
def test_bad_lines_are_dropped(line: bytes) -> None:
    assert decode(line + b"\n" + json.dumps(GOOD).encode(), "lab") is None


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
def test_bad_bodies_are_dropped(change: dict[str, object]) -> None:
    assert decode(LINE + json.dumps(GOOD | change).encode(), "lab") is None


def test_this_programs_own_version_can_be_said() -> None:
    assert re.fullmatch(VERSION, __version__)


@pytest.mark.parametrize("missing", GOOD)
def test_missing_fields_are_noticed(missing: str) -> None:
    assert decode(LINE + json.dumps({k: v for k, v in GOOD.items() if k != missing}).encode(), "lab") is None


@pytest.mark.parametrize("body", [b"", b"[" * 7000, b"[]", b"null", b"\xff\xfe", b'{"group": NaN}', b"{}" * 9])
def test_bodies_that_are_no_bodies_are_dropped(body: bytes) -> None:
    assert decode(LINE + body, "lab") is None


@pytest.mark.rule("S2")
@given(st.binary(max_size=200))
def test_garbage_is_dropped(garbage: bytes) -> None:
    assert decode(garbage, "lab") is None


@pytest.mark.rule("S2")
@given(heartbeats, st.data())
def test_flipped_bytes_never_crash(heartbeat: Heartbeat, data: st.DataObject) -> None:
    datagram = bytearray(Encoder("lab").encode(heartbeat)[0])
    for _ in range(data.draw(st.integers(1, 3))):
        datagram[data.draw(st.integers(0, len(datagram) - 1))] = data.draw(st.integers(0, 255))
    heard = decode(bytes(datagram), "lab")
    assert heard is None or heard.sender.id < MAX_CARS
