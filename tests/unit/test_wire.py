"""The format of heartbeats: round trips for every number of floors, sizes, and rejection of invalid datagrams."""

import random
import struct

import pytest
from attrs import evolve
from hypothesis import example, given, settings
from hypothesis import strategies as st
from steps import full_entry

from elevator import __version__
from elevator.core.messages import Heartbeat
from elevator.core.model import (
    AGES,
    EVERY_CAR,
    MAX_CARS,
    MAX_FLOORS,
    NONE_WAITED,
    RATE_MAX,
    Author,
    Behaviour,
    Button,
    Buttons,
    Call,
    Calls,
    Car,
    Direction,
    Entry,
    Fault,
    Rates,
)
from elevator.core.outgoing import ROOM_BYTES, entry_bytes
from elevator.net.seal import NO_KEY, seal
from elevator.net.wire import (
    AGE_MAX,
    COUNT_MAX,
    DATAGRAM_BYTES,
    GROUP_LENGTH_MAX,
    VERSION,
    decode,
    encode,
    is_button,
    own_head,
    refusal,
)

FLOORS = 9
LONG_GROUP = "é" * (GROUP_LENGTH_MAX // 2)

counts = st.integers(0, COUNT_MAX)
authors = st.builds(Author, st.integers(0, MAX_CARS - 1), counts)


@st.composite
def entries(draw: st.DrawFn, floors: int) -> Entry:
    author, newest = draw(authors), draw(st.integers(1, COUNT_MAX))
    live: dict[int, Call] = {}
    for age in draw(st.lists(st.integers(0, min(newest - 1, AGE_MAX)), max_size=6, unique=True)):
        button = draw(st.sampled_from(Button))
        low, high = (1, floors - 1) if button is Button.DOWN else (0, floors - 1 - (button is Button.UP))
        call = Call(button, draw(st.integers(low, high)), author.id if button is Button.CAB else EVERY_CAR)
        if call not in live.values():
            live[newest - age] = call
    return Entry(author, newest, live)


@st.composite
def heartbeats(draw: st.DrawFn) -> Heartbeat:
    floors = draw(st.integers(2, MAX_FLOORS))
    masks = st.integers(0, (1 << floors) - 1)
    rows = st.lists(st.integers(0, RATE_MAX), min_size=floors, max_size=floors).map(tuple)
    parts = draw(st.lists(entries(floors), max_size=5))
    return Heartbeat(
        draw(authors),
        draw(counts),
        floors,
        Car(
            draw(st.integers(0, floors - 1)),
            draw(st.sampled_from(Direction)),
            draw(st.sampled_from(Behaviour)),
            draw(st.sampled_from(Fault)),
            draw(st.booleans()),
            draw(st.booleans()),
        ),
        Buttons(draw(masks), draw(masks)),
        draw(st.integers(0, (1 << MAX_CARS) - 1)),
        Calls({entry.author: entry for entry in parts}),
        draw(st.integers(0, (1 << 64) - 1)),
        draw(st.one_of(st.none(), st.just(Rates()), st.builds(Rates, rows, rows))),
        draw(st.tuples(*[st.builds(Buttons, masks, masks)] * AGES)),
        draw(st.from_regex(VERSION, fullmatch=True)),
    )


@given(heartbeats(), st.sampled_from(["lab", "", LONG_GROUP]))
def test_decode_inverts_encode(heartbeat: Heartbeat, group: str) -> None:
    decoded = decode(encode(heartbeat, group), group)
    assert decoded == heartbeat
    assert decoded is not None
    assert type(decoded.car.fault) is Fault
    assert type(decoded.car.behaviour) is Behaviour
    assert type(decoded.car.direction) is Direction
    assert all(type(call.button) is Button for call in decoded.calls.live.values())


@given(heartbeats(), heartbeats(), counts)
def test_decoder_caches_never_return_another_heartbeat(first: Heartbeat, second: Heartbeat, sequence: int) -> None:
    for heartbeat in (first, second, evolve(second, sequence=sequence), first):
        assert decode(encode(heartbeat, "lab"), "lab") == heartbeat


@pytest.mark.parametrize("floors", range(2, MAX_FLOORS + 1))
def test_every_button_and_the_highest_rates_survive_a_round_trip(floors: int) -> None:
    full = full_entry(Author(63, COUNT_MAX), floors, COUNT_MAX)
    rates = Rates((RATE_MAX,) * floors, (0,) * (floors - 1) + (RATE_MAX,))
    smallest = evolve(VALID, floors=floors, car=Car(), claims=Buttons(), waited=NONE_WAITED)
    heartbeat = evolve(smallest, calls=Calls({full.author: full}), rates=rates)
    assert decode(encode(heartbeat, "lab"), "lab") == heartbeat


def test_head_of_a_datagram_identifies_author_and_group() -> None:
    head = own_head("lab", VALID.sender)
    assert encode(VALID, "lab").startswith(head)
    assert encode(evolve(VALID, sequence=COUNT_MAX), "lab").startswith(head)
    assert not encode(evolve(VALID, sender=Author(2, 78)), "lab").startswith(head)
    assert not encode(VALID, "la").startswith(head)


# Sizes


def test_datagram_has_room_for_the_largest_entry_rates_version_and_group_name() -> None:
    heartbeat = largest([full_entry(Author(63, COUNT_MAX), MAX_FLOORS, COUNT_MAX)])
    sealed = seal(encode(heartbeat, LONG_GROUP), b"k" * 32)
    assert len(sealed) <= DATAGRAM_BYTES
    assert decode(encode(heartbeat, LONG_GROUP), LONG_GROUP) == heartbeat


def test_largest_choice_of_entries_fits_in_one_datagram() -> None:
    """The sender counts only the bytes of entries. The rest of a heartbeat must leave ROOM_BYTES for them."""
    full = full_entry(Author(63, COUNT_MAX), MAX_FLOORS, COUNT_MAX)
    more = [Entry(Author(id, COUNT_MAX), COUNT_MAX) for id in range((ROOM_BYTES - entry_bytes(full)) // 19)]
    heartbeat = largest([full, *more])
    assert ROOM_BYTES - 19 < sum(map(entry_bytes, heartbeat.calls.entries.values())) <= ROOM_BYTES
    assert len(seal(encode(heartbeat, LONG_GROUP), NO_KEY)) <= DATAGRAM_BYTES
    assert decode(encode(heartbeat, LONG_GROUP), LONG_GROUP) == heartbeat


def largest(entries: list[Entry]) -> Heartbeat:
    """Return a heartbeat with *entries*. All other parts of its datagram are as long as possible."""
    everything = (1 << MAX_FLOORS) - 1
    return Heartbeat(
        Author(63, COUNT_MAX),
        COUNT_MAX,
        MAX_FLOORS,
        Car(MAX_FLOORS - 1, obstructed=True),
        Buttons(everything, everything),
        (1 << MAX_CARS) - 1,
        Calls({entry.author: entry for entry in entries}),
        (1 << 64) - 1,
        Rates((RATE_MAX,) * MAX_FLOORS, (RATE_MAX,) * MAX_FLOORS),
        (Buttons(everything, everything),) * AGES,
        "1.22.333rc4+dev5",
    )


@given(heartbeats())
def test_entry_bytes_is_the_size_of_an_entry_in_the_datagram(heartbeat: Heartbeat) -> None:
    size = len(encode(evolve(heartbeat, calls=Calls()), "lab"))
    assert len(encode(heartbeat, "lab")) == size + sum(map(entry_bytes, heartbeat.calls.entries.values()))


def test_datagram_that_is_too_long_is_refused() -> None:
    entries = {Author(id, n): Entry(Author(id, n), 1) for id in range(MAX_CARS) for n in range(2)}
    assert len(encode(evolve(VALID, calls=Calls(entries)), "lab")) > DATAGRAM_BYTES
    assert decode(encode(evolve(VALID, calls=Calls(entries)), "lab"), "lab") is None


def test_own_version_matches_the_version_pattern() -> None:
    assert VERSION.fullmatch(__version__)


# Invalid datagrams

ONE, TWO = Author(1, 5), Author(6, 7)
VALID = Heartbeat(
    Author(2, 77),
    12,
    4,
    Car(1, Direction.UP, Behaviour.IDLE, Fault.NONE, obstructed=False, announced=True),
    Buttons(1, 2),
    3,
    Calls(
        {
            ONE: Entry(ONE, 9, {6: Call(Button.UP, 2, EVERY_CAR), 9: Call(Button.CAB, 3, 1)}),
            TWO: Entry(TWO, 2, {1: Call(Button.DOWN, 1, EVERY_CAR)}),
        }
    ),
    0xD1CE,
    Rates((10, 0, 1, RATE_MAX), (0, 0, 0, 1)),
    (Buttons(3, 6), Buttons(2, 4)),
    "1.22.333rc4+dev5",
)
DATAGRAM = encode(VALID, "lab")

# The offsets of the parts of DATAGRAM.
HEAD = 14
STATE = HEAD + 17
WAITED = STATE + 41
VERSION_AT = WAITED + 32
RATES_AT = VERSION_AT + 16
ENTRY = RATES_AT + 10
PRESS = ENTRY + 19
SECOND = PRESS + 10
END = SECOND + 24


def changed(at: int, layout: str, *values: int | bytes) -> bytes:
    """Return DATAGRAM with *values* at the offset *at*."""
    packed = struct.pack(f">{layout}", *values)
    assert len(DATAGRAM[at : at + len(packed)]) == len(packed)
    return DATAGRAM[:at] + packed + DATAGRAM[at + len(packed) :]


def test_example_of_a_heartbeat_is_valid() -> None:
    assert decode(DATAGRAM, "lab") == VALID
    assert len(DATAGRAM) == END


@pytest.mark.parametrize(
    ("at", "layout", "value", "expected"),
    [
        (HEAD, "B", 63, evolve(VALID, sender=Author(63, 77))),
        (HEAD + 1, "Q", COUNT_MAX, evolve(VALID, sender=Author(2, COUNT_MAX))),
        (HEAD + 9, "Q", COUNT_MAX, evolve(VALID, sequence=COUNT_MAX)),
        (STATE + 1, "B", 3, evolve(VALID, car=evolve(VALID.car, floor=3))),
        (STATE + 2, "b", -1, evolve(VALID, car=evolve(VALID.car, direction=Direction.DOWN))),
        (STATE + 3, "B", 2, evolve(VALID, car=evolve(VALID.car, behaviour=Behaviour.DOOR_OPEN))),
        (STATE + 4, "B", 5, evolve(VALID, car=evolve(VALID.car, fault=Fault.DOOR))),
        (STATE + 5, "B", 13, evolve(VALID, car=evolve(VALID.car, obstructed=True, announced=False))),
        (STATE + 5, "B", 12, evolve(VALID, car=evolve(VALID.car, announced=False))),
        (STATE + 6, "Q", 15, evolve(VALID, claims=Buttons(15, 2))),
        (STATE + 14, "Q", 15, evolve(VALID, claims=Buttons(1, 15))),
        (STATE + 22, "Q", (1 << 64) - 1, evolve(VALID, hears=(1 << 64) - 1)),
        (STATE + 30, "Q", (1 << 64) - 1, evolve(VALID, digest=(1 << 64) - 1)),
        (WAITED, "Q", 15, evolve(VALID, waited=(Buttons(15, 6), Buttons(2, 4)))),
        (WAITED + 24, "Q", 15, evolve(VALID, waited=(Buttons(3, 6), Buttons(2, 15)))),
    ],
)
def test_field_is_decoded_at_its_documented_offset_up_to_its_limit(
    at: int, layout: str, value: int, expected: Heartbeat
) -> None:
    assert decode(changed(at, layout, value), "lab") == expected


INVALID = {
    "format without a number": changed(0, "10s", b"elevator  "),
    "later format": changed(0, "10s", b"elevator6 "),
    "earlier format": changed(0, "10s", b"elevator3 "),
    "group too long": changed(10, "B", 4),
    "group too short": changed(10, "B", 2),
    "other group": changed(11, "3s", b"LAB"),
    "id 64": changed(HEAD, "B", 64),
    "id 255": changed(HEAD, "B", 255),
    "incarnation above the limit": changed(HEAD + 1, "Q", COUNT_MAX + 1),
    "sequence number above the limit": changed(HEAD + 9, "Q", COUNT_MAX + 1),
    "largest sequence number": changed(HEAD + 9, "Q", (1 << 64) - 1),
    "0 floors": changed(STATE, "B", 0),
    "1 floor": changed(STATE, "B", 1),
    "fewer floors than in the calls": changed(STATE, "B", 3),
    "more floors than in the rates": changed(STATE, "B", 5),
    "65 floors": changed(STATE, "B", 65),
    "255 floors": changed(STATE, "B", 255),
    "car above the top floor": changed(STATE + 1, "B", 4),
    "car at floor 255": changed(STATE + 1, "B", 255),
    "direction 0": changed(STATE + 2, "b", 0),
    "direction 2": changed(STATE + 2, "b", 2),
    "direction -2": changed(STATE + 2, "b", -2),
    "behaviour 3": changed(STATE + 3, "B", 3),
    "fault 6": changed(STATE + 4, "B", 6),
    "fault 255": changed(STATE + 4, "B", 255),
    "unknown flag": changed(STATE + 5, "B", 14 + 16),
    "highest flag": changed(STATE + 5, "B", 14 + 128),
    "rates without their flag": changed(STATE + 5, "B", 10),
    "long waits without their flag": changed(STATE + 5, "B", 6),
    "up claim above the top floor": changed(STATE + 6, "Q", 16),
    "up claim at floor 63": changed(STATE + 6, "Q", 1 << 63),
    "down claim above the top floor": changed(STATE + 14, "Q", 16),
    "version too short for its length": changed(STATE + 38, "B", 17),
    "version longer than its length": changed(STATE + 38, "B", 15),
    "version beyond the end": changed(STATE + 38, "B", 255),
    "rates shorter than their length": changed(STATE + 39, "H", 11),
    "rates longer than their length": changed(STATE + 39, "H", 9),
    "rates of one direction": changed(STATE + 39, "H", 5),
    "rates without a length": changed(STATE + 39, "H", 0),
    "rates beyond the end": changed(STATE + 39, "H", 65_535),
    "long wait above the top floor": changed(WAITED, "Q", 16),
    "longer wait above the top floor": changed(WAITED + 24, "Q", 16),
    "newline in the version": changed(VERSION_AT + 15, "s", b"\n"),
    "space in the version": changed(VERSION_AT + 3, "s", b" "),
    "NUL in the version": changed(VERSION_AT, "s", b"\0"),
    "version not in ASCII": changed(VERSION_AT, "2s", "\u0661".encode()),
    "rate above the limit": changed(RATES_AT, "5s", ((RATE_MAX + 1) << 30).to_bytes(5, "big")),
    "down rate above the limit": changed(RATES_AT + 5, "5s", ((1 << 10) - 1).to_bytes(5, "big")),
    "entry too long": changed(ENTRY, "H", 11),
    "entry without its second press": changed(ENTRY, "H", 5),
    "entry without presses": changed(ENTRY, "H", 0),
    "entry that ends within a press": changed(ENTRY, "H", 9),
    "entry that includes the next": changed(ENTRY, "H", 10 + 24),
    "entry beyond the end": changed(ENTRY, "H", 10 + 25),
    "longest entry": changed(ENTRY, "H", 65_535),
    "author 64": changed(ENTRY + 2, "B", 64),
    "author's incarnation above the limit": changed(ENTRY + 3, "Q", COUNT_MAX + 1),
    "newest press 0": changed(ENTRY + 11, "Q", 0),
    "newest press above the limit": changed(ENTRY + 11, "Q", COUNT_MAX + 1),
    "newest press older than a live one": changed(ENTRY + 11, "Q", 3),
    "age of a press with number 0": changed(PRESS + 6, "I", 9),
    "largest age": changed(PRESS + 6, "I", (1 << 32) - 1),
    "up at the top floor": changed(PRESS, "B", 3),
    "up above the top floor": changed(PRESS, "B", 4),
    "down at the bottom floor": changed(PRESS, "B", 64),
    "down above the top floor": changed(PRESS, "B", 64 + 4),
    "cab call above the top floor": changed(PRESS, "B", 128 + 4),
    "button 3": changed(PRESS, "B", 192),
    "second entry of an author": changed(SECOND + 2, "BQ", *ONE),
    "second press of a call": changed(PRESS, "BIBI", 2, 3, 2, 0),
    "two presses with one number": changed(PRESS, "BIBI", 2, 3, 1, 3),
    "same press twice": changed(PRESS, "BIBI", 2, 3, 2, 3),
    "last entry too long": changed(SECOND, "H", 6),
    "last entry too short": changed(SECOND, "H", 4),
}


@pytest.mark.parametrize("datagram", INVALID.values(), ids=INVALID)
def test_invalid_field_is_refused(datagram: bytes) -> None:
    assert decode(datagram, "lab") is None


@pytest.mark.rule("S2")
@pytest.mark.parametrize("length", range(END))
def test_truncated_datagram_is_refused_unless_it_ends_just_before_an_entry(length: int) -> None:
    """If it ends just before an entry, only the seal reveals that entries are missing."""
    decoded = decode(DATAGRAM[:length], "lab")
    if length == ENTRY:
        assert decoded == evolve(VALID, calls=Calls())
    elif length == SECOND:
        assert decoded == evolve(VALID, calls=Calls({ONE: VALID.calls.entries[ONE]}))
    else:
        assert decoded is None


@pytest.mark.parametrize("count", range(1, 60))
def test_trailing_bytes_are_refused(count: int) -> None:
    for byte in (b"\0", b"\1", b" ", b"\xff"):
        assert decode(DATAGRAM + count * byte, "lab") is None


@pytest.mark.parametrize("size", range(5, 10))
def test_rates_for_a_different_number_of_floors_are_refused(size: int) -> None:
    rates = Rates((1,) * size, (1,) * size)
    assert decode(encode(evolve(VALID, rates=rates), "lab"), "lab") is None


def test_rates_with_bits_beyond_the_top_floor_are_refused() -> None:
    five = evolve(VALID, floors=5, rates=Rates((0,) * 5, (0,) * 5))
    datagram = encode(five, "lab")
    at = RATES_AT
    assert decode(datagram, "lab") == five
    for bit in range(50, 56):
        bits = (1 << bit).to_bytes(7, "big")
        assert decode(datagram[:at] + bits + datagram[at + 7 :], "lab") is None
        assert decode(datagram[: at + 7] + bits + datagram[at + 14 :], "lab") is None


def test_refusal_names_the_reason() -> None:
    assert refusal(encode(VALID, "lab2"), "lab") == "from another group"
    assert refusal(encode(VALID, "la"), "lab") == "from another group"
    assert refusal(encode(VALID, "LAB"), "lab") == "from another group"
    assert refusal(DATAGRAM[:-1], "lab") == "malformed"
    update = "from another version of the program: update all nodes"
    for other in (b"elevator3 2 77 12 0 1\n{}", INVALID["later format"], b"elevator1234 "):
        assert refusal(other, "lab") == update
    for other in (b"", b"elevator", b"elevator5", b"elevator ", b"elevatorx ", b"elevator12345 ", b"elevator3\n", b"x"):
        assert refusal(other, "lab") == "malformed"


@pytest.mark.parametrize(
    ("button", "floor"),
    [(0, -1), (0, 3), (0, 4), (1, 0), (1, 4), (2, -1), (2, 4), (3, 1), (-1, 1)],
)
def test_button_that_no_panel_has_is_invalid(button: int, floor: int) -> None:
    assert not is_button(button, floor, 4)


def test_panel_has_every_button_except_up_at_the_top_and_down_at_the_bottom() -> None:
    buttons = {(button, floor) for button in range(-1, 5) for floor in range(-1, 6) if is_button(button, floor, 4)}
    assert buttons == {(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (1, 3), (2, 0), (2, 1), (2, 2), (2, 3)}


@pytest.mark.rule("S2")
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(garbage: bytes) -> None:
    assert decode(garbage, "lab") is None
    assert refusal(garbage, "lab")


@pytest.mark.rule("S2")
@given(st.binary(max_size=DATAGRAM_BYTES))
@example(bytes(17 + 41))
def test_random_contents_never_crash_decode(garbage: bytes) -> None:
    assert_plausible(decode(DATAGRAM[:HEAD] + garbage, "lab"))
    assert_plausible(decode(DATAGRAM[:ENTRY] + garbage, "lab"))


@pytest.mark.rule("S2")
@given(heartbeats(), st.data())
@settings(max_examples=150)
def test_damaged_datagram_never_crashes_decode(heartbeat: Heartbeat, data: st.DataObject) -> None:
    datagram = bytearray(encode(heartbeat, "lab"))
    for _ in range(data.draw(st.integers(1, 3))):
        datagram[data.draw(st.integers(0, len(datagram) - 1))] = data.draw(st.integers(0, 255))
    assert_plausible(decode(bytes(datagram), "lab"))


@pytest.mark.rule("S2")
def test_every_changed_byte_is_refused_or_yields_a_valid_heartbeat() -> None:
    rng = random.Random(1)
    for at in range(END):
        for value in {0, 1, 127, 128, 255, *rng.choices(range(256), k=20)}:
            assert_plausible(decode(changed(at, "B", value), "lab"))


def assert_plausible(decoded: Heartbeat | None) -> None:
    """Check the fields of a heartbeat, and that encoding and decoding do not change it. Accept None."""
    if decoded is None:
        return
    floors = decoded.floors
    assert 2 <= floors <= MAX_FLOORS
    assert decoded.sender.id < MAX_CARS
    assert decoded.car.floor < floors
    assert not (decoded.claims.up | decoded.claims.down) >> floors
    for author, entry in decoded.calls.entries.items():
        assert author == entry.author
        assert author.id < MAX_CARS
        assert all(0 < n <= entry.newest <= COUNT_MAX for n in entry.live)
        assert len({*entry.live.values()}) == len(entry.live)
        for button, floor, car in entry.live.values():
            assert is_button(button, floor, floors)
            assert car == (author.id if button is Button.CAB else EVERY_CAR)
    assert decode(encode(decoded, "lab"), "lab") == decoded


def test_oldest_live_press_survives_a_round_trip() -> None:
    entry = Entry(ONE, COUNT_MAX, {COUNT_MAX - AGE_MAX: Call(Button.UP, 0, EVERY_CAR)})
    heartbeat = evolve(VALID, calls=Calls({ONE: entry}))
    assert decode(encode(heartbeat, "lab"), "lab") == heartbeat
