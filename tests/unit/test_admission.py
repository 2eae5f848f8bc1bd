"""Who gets in from the network: whoever has the key, and each thing once."""

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from elevator.core.model import Author, Buttons, Calls, Car, Heartbeat
from elevator.net import admission
from elevator.net.admission import LATE_MAX, PROBE, PROBE_BYTES, Admission
from elevator.net.seal import HEAD_BYTES, NO_KEY, Unsealed, seal, unseal
from elevator.net.wire import Encoder

KEY, OTHER = bytes(range(32)), bytes(32)
SAID = Heartbeat(Author(3, 77), 100, 9, Car(), Buttons(1, 2), 0b1001, Calls({}, {Author(3, 77): 5}))
(DATAGRAM,) = Encoder("lab").encode(SAID)
keys = st.sampled_from((NO_KEY, KEY, OTHER))


def opened(*keys: bytes) -> Admission:
    return Admission("lab", keys or (NO_KEY,))


def said(counter: int = 100, incarnation: int = 77, part: int = 0, parts: int = 1) -> Heartbeat:
    return evolve(SAID, sender=Author(3, incarnation), counter=counter, part=part, parts=parts)


@pytest.mark.rule("S1")
@given(st.binary(max_size=2000), keys, keys)
def test_a_seal_opens_with_its_key_alone(content: bytes, key: bytes, another: bytes) -> None:
    sealed = seal(content, key)
    assert len(sealed) == len(content) + HEAD_BYTES
    assert unseal(sealed, [key]) == content
    assert unseal(sealed, [another, key]) == content
    if another != key:
        with pytest.raises(Unsealed):
            unseal(sealed, [another])


@given(keys, st.integers(0, 8 * (len(DATAGRAM) + HEAD_BYTES) - 1))
def test_no_flipped_bit_gets_in(key: bytes, bit: int) -> None:
    sealed = bytearray(seal(DATAGRAM, key))
    sealed[bit // 8] ^= 1 << bit % 8
    tried = opened(key)
    assert tried.admit(bytes(sealed)) is None
    assert sum(tried.refused.values()) == 1


@given(keys, st.integers(0, len(DATAGRAM) + HEAD_BYTES - 1), st.binary(max_size=3))
def test_nothing_cut_off_or_added_gets_in(key: bytes, length: int, more: bytes) -> None:
    sealed = seal(DATAGRAM, key)
    assert opened(key).admit(sealed[:length]) is None
    assert opened(key).admit(sealed[:length] + more) is None or sealed[:length] + more == sealed
    assert opened(key).admit(sealed + b"}") is None
    assert opened(key).admit(sealed) == SAID


@pytest.mark.parametrize("key", [NO_KEY, KEY])
def test_probes_of_the_port_are_dropped_without_being_counted(key: bytes) -> None:
    tried = opened(key)
    probe = PROBE + bytes(PROBE_BYTES - len(PROBE))
    assert tried.admit(probe) is None
    assert tried.refused == {}
    for other in (probe + b"0", probe[:-1], b"x" + probe[1:], b""):
        assert tried.admit(other) is None
    assert tried.refused == {"not from a node": 4}


def test_what_is_wrong_is_named() -> None:
    tried = opened(KEY)
    for datagram in (
        seal(DATAGRAM, NO_KEY),
        seal(DATAGRAM, OTHER),
        DATAGRAM,
        b"",
        seal(b"x", KEY),
        seal(DATAGRAM, KEY),
    ):
        tried.admit(datagram)
    assert tried.refused == {
        "without a key": 1,
        "with another key, or damaged": 1,
        "not from a node": 2,
        "not of this group": 1,
    }
    without = opened()
    assert without.admit(seal(DATAGRAM, KEY)) is None
    assert without.refused == {"with another key, or damaged": 1}


def test_two_keys_are_accepted_while_one_takes_the_place_of_the_other() -> None:
    for mine, theirs in (((KEY,), (KEY, OTHER)), ((KEY, OTHER), (OTHER, KEY)), ((OTHER, KEY), (OTHER,))):
        assert opened(*mine).admit(seal(DATAGRAM, theirs[0])) == SAID
        assert opened(*theirs).admit(seal(DATAGRAM, mine[0])) == SAID
    assert opened(OTHER).admit(seal(DATAGRAM, KEY)) is None


@pytest.mark.rule("S1")
def test_each_heartbeat_gets_in_once_and_none_after_a_newer_one() -> None:
    tried = opened()
    assert [tried.is_new(said(counter)) for counter in (5, 5, 7, 6, 7, 5, 8)] == [True, False, True, *[False] * 3, True]
    assert not tried.refused, "networks double and reorder: that is nothing to speak of"


def test_every_part_of_a_heartbeat_gets_in_once_in_any_order() -> None:
    tried = opened()
    order = [(5, 2), (5, 0), (5, 2), (5, 1), (6, 1), (5, 1), (6, 0), (6, 1)]
    expected = [True, True, False, True, True, False, True, False]
    assert [tried.is_new(said(counter, part=part, parts=3)) for counter, part in order] == expected


@pytest.mark.rule("S1")
def test_a_recording_is_noticed_whatever_runs_there_have_been_since() -> None:
    tried = opened()
    assert tried.is_new(said(200, incarnation=1))
    assert tried.is_new(said(1, incarnation=2))
    assert tried.is_new(said(1, incarnation=0)), "a run without a record draws its number anew"
    assert not tried.is_new(said(200, incarnation=1))
    assert not tried.is_new(said(200 - LATE_MAX, incarnation=1))
    assert not tried.refused
    assert not tried.is_new(said(200 - LATE_MAX - 1, incarnation=1))
    assert tried.refused == {"recorded before": 1}
    assert tried.is_new(said(201, incarnation=1))


def test_so_many_authors_are_remembered_and_the_longest_silent_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "AUTHORS_MAX", 10)
    tried = opened()
    for run in range(100):
        assert tried.is_new(said(2, incarnation=run))
        assert not tried.is_new(said(1, incarnation=run // 10 * 10)), "it is heard again and again"
    assert len(tried._newest) == 10
    assert tried.is_new(said(1, incarnation=1))
