"""Datagrams that wait to be read: who sends many does not keep others waiting, and nobody fills the memory."""

from hypothesis import given
from hypothesis import strategies as st

from elevator.inbox import ROOM, ROOM_OF_ONE, Inbox


def test_addresses_take_turns() -> None:
    inbox = Inbox()
    for address, datagram in (("a", b"1"), ("a", b"2"), ("a", b"3"), ("b", b"4"), ("c", b"5"), ("c", b"6")):
        inbox.put(address, datagram)
    assert [inbox.take() for _ in range(6)] == [b"1", b"4", b"5", b"2", b"6", b"3"]
    assert not inbox
    assert inbox.passed_over == 0


def test_a_flood_does_not_keep_others_waiting() -> None:
    inbox = Inbox()
    for n in range(10_000):
        inbox.put("flood", b"%d" % n)
    inbox.put("node", b"heartbeat")
    assert b"heartbeat" in {inbox.take(), inbox.take()}
    assert (len(inbox), inbox.passed_over) == (ROOM_OF_ONE - 1, 10_000 - ROOM_OF_ONE)


@given(st.lists(st.none() | st.tuples(st.sampled_from("abcd"), st.integers(1, 200)), max_size=60))
def test_nothing_is_lost_but_the_oldest_of_whoever_has_no_room(acts: list[tuple[str, int] | None]) -> None:
    inbox, number = Inbox(), 0
    kept: dict[str, list[bytes]] = {address: [] for address in "abcd"}
    for act in acts:
        if act is None and inbox:
            datagram = inbox.take()
            assert kept[datagram.decode()[0]].pop(0) == datagram
        elif act is not None:
            for _ in range(act[1]):
                if not inbox.is_full:
                    number += 1
                    datagram = b"%s%d" % (act[0].encode(), number)
                    inbox.put(act[0], datagram)
                    kept[act[0]] = [*kept[act[0]], datagram][-ROOM_OF_ONE:]
        assert len(inbox) == sum(map(len, kept.values())) <= ROOM
        assert len(inbox._by_address) <= len(kept), "an address of which nothing waits is not remembered"
    while inbox:
        datagram = inbox.take()
        assert kept[datagram.decode()[0]].pop(0) == datagram
    assert not any(kept.values())
    assert not inbox._by_address
