"""Admission: only datagrams sealed with a key of the group pass, and each heartbeat passes at most once."""

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from steps import make_calls

from elevator.core.messages import Heartbeat
from elevator.core.model import Author, Buttons, Car
from elevator.net import admission
from elevator.net.admission import PROBE, PROBE_BYTES, REORDER_MAX, Admission
from elevator.net.seal import HEAD_BYTES, NO_KEY, SealError, seal, unseal
from elevator.net.wire import encode

KEY, OTHER = bytes(range(32)), bytes(32)
HEARTBEAT = Heartbeat(Author(3, 77), 100, 9, Car(), Buttons(1, 2), 0b1001, make_calls({}, {Author(3, 77): 5}))
DATAGRAM = encode(HEARTBEAT, "lab")
keys = st.sampled_from((NO_KEY, KEY, OTHER))


def admission_of(*keys: bytes) -> Admission:
    return Admission("lab", keys or (NO_KEY,))


def heartbeat(sequence: int = 100, incarnation: int = 77) -> Heartbeat:
    return evolve(HEARTBEAT, sender=Author(3, incarnation), sequence=sequence)


@pytest.mark.rule("S1")
@given(st.binary(max_size=2000), keys, keys)
def test_datagram_is_unsealed_only_with_the_key_that_sealed_it(content: bytes, key: bytes, another: bytes) -> None:
    sealed = seal(content, key)
    assert len(sealed) == len(content) + HEAD_BYTES
    assert unseal(sealed, [key]) == content
    assert unseal(sealed, [another, key]) == content
    if another != key:
        with pytest.raises(SealError):
            unseal(sealed, [another])


@given(keys, st.integers(0, 8 * (len(DATAGRAM) + HEAD_BYTES) - 1))
def test_datagram_with_a_flipped_bit_is_refused(key: bytes, bit: int) -> None:
    sealed = bytearray(seal(DATAGRAM, key))
    sealed[bit // 8] ^= 1 << bit % 8
    gate = admission_of(key)
    assert gate.admit(bytes(sealed)) is None
    assert sum(gate.refused.values()) == 1


@given(keys, st.integers(0, len(DATAGRAM) + HEAD_BYTES - 1), st.binary(max_size=3))
def test_truncated_or_extended_datagram_is_refused(key: bytes, length: int, more: bytes) -> None:
    sealed = seal(DATAGRAM, key)
    assert admission_of(key).admit(sealed[:length]) is None
    assert admission_of(key).admit(sealed[:length] + more) is None or sealed[:length] + more == sealed
    assert admission_of(key).admit(sealed + b"\0") is None
    assert admission_of(key).admit(sealed) == HEARTBEAT


@pytest.mark.parametrize("key", [NO_KEY, KEY])
def test_doctor_probes_are_dropped_but_not_counted(key: bytes) -> None:
    gate = admission_of(key)
    probe = PROBE + bytes(PROBE_BYTES - len(PROBE))
    assert gate.admit(probe) is None
    assert gate.refused == {}
    for other in (probe + b"0", probe[:-1], b"x" + probe[1:], b""):
        assert gate.admit(other) is None
    assert gate.refused == {"without a seal, so not from a node": 4}


def test_refused_datagrams_are_counted_by_reason() -> None:
    gate = admission_of(KEY)
    for datagram in (
        seal(DATAGRAM, NO_KEY),
        seal(DATAGRAM, OTHER),
        DATAGRAM,
        b"",
        seal(b"x", KEY),
        seal(DATAGRAM[:-1], KEY),
        seal(encode(HEARTBEAT, "lab2"), KEY),
        seal(DATAGRAM.replace(b"elevator5 ", b"elevator4 "), KEY),
        seal(DATAGRAM, KEY),
    ):
        gate.admit(datagram)
    assert gate.refused == {
        "sealed without a key": 1,
        "sealed with another key, or damaged": 1,
        "without a seal, so not from a node": 2,
        "malformed": 2,
        "from another group": 1,
        "from another version of the program: update all nodes": 1,
    }
    without = admission_of()
    assert without.admit(seal(DATAGRAM, KEY)) is None
    assert without.refused == {"sealed with another key, or damaged": 1}


def test_nodes_understand_each_other_at_every_step_of_a_key_change() -> None:
    for mine, theirs in (((KEY,), (KEY, OTHER)), ((KEY, OTHER), (OTHER, KEY)), ((OTHER, KEY), (OTHER,))):
        assert admission_of(*mine).admit(seal(DATAGRAM, theirs[0])) == HEARTBEAT
        assert admission_of(*theirs).admit(seal(DATAGRAM, mine[0])) == HEARTBEAT
    assert admission_of(OTHER).admit(seal(DATAGRAM, KEY)) is None


@pytest.mark.rule("S1")
def test_heartbeat_passes_once_and_never_after_a_newer_one() -> None:
    gate = admission_of()
    order = (5, 5, 7, 6, 7, 5, 8)
    assert [gate.note_new(heartbeat(sequence)) for sequence in order] == [True, False, True, False, False, False, True]
    assert not gate.refused, "networks duplicate and reorder datagrams, so this is not an attack"


@pytest.mark.rule("S1")
def test_replay_is_detected_after_heartbeats_of_other_incarnations() -> None:
    gate = admission_of()
    assert gate.note_new(heartbeat(200, incarnation=1))
    assert gate.note_new(heartbeat(1, incarnation=2))
    assert gate.note_new(heartbeat(1, incarnation=0)), (
        "a node without a record draws a random incarnation, which may be lower"
    )
    assert not gate.note_new(heartbeat(200, incarnation=1))
    assert not gate.note_new(heartbeat(200 - REORDER_MAX, incarnation=1))
    assert not gate.refused
    assert not gate.note_new(heartbeat(200 - REORDER_MAX - 1, incarnation=1))
    assert gate.refused == {"replayed": 1}
    assert gate.note_new(heartbeat(201, incarnation=1))


def test_least_recently_heard_author_is_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "AUTHORS_MAX", 10)
    gate = admission_of()
    for run in range(100):
        assert gate.note_new(heartbeat(2, incarnation=run))
        assert not gate.note_new(heartbeat(1, incarnation=run // 10 * 10)), (
            "an author that the gate hears often must not be forgotten"
        )
    assert len(gate._newest) == 10
    assert gate.note_new(heartbeat(1, incarnation=1))
