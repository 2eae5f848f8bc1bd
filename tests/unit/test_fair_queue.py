"""Datagrams that wait to be read: who sends many does not keep others waiting, and nobody fills the memory."""

from hypothesis import given
from hypothesis import strategies as st

from elevator.net.fair_queue import KNOWN_MAX, ROOM, ROOM_OF_ONE, STRANGE_EVERY, FairQueue


def test_addresses_take_turns() -> None:
    queue = FairQueue()
    for address, datagram in (("a", b"1"), ("a", b"2"), ("a", b"3"), ("b", b"4"), ("c", b"5"), ("c", b"6")):
        queue.put(address, datagram)
    assert [queue.take()[1] for _ in range(6)] == [b"1", b"4", b"5", b"2", b"6", b"3"]
    assert not queue
    assert queue.passed_over == 0


def test_a_flood_does_not_keep_others_waiting() -> None:
    queue = FairQueue()
    for n in range(10_000):
        queue.put("flood", b"%d" % n)
    queue.put("node", b"heartbeat")
    assert ("node", b"heartbeat") in {queue.take(), queue.take()}
    assert (len(queue), queue.passed_over) == (ROOM_OF_ONE - 1, 10_000 - ROOM_OF_ONE)


def test_a_flood_from_invented_addresses_does_not_keep_known_ones_waiting_nor_new_ones_for_ever() -> None:
    queue = FairQueue()
    queue.trust("node")
    for n in range(10_000):
        queue.put(f"invented {n}", b"")
    for n in range(ROOM_OF_ONE):
        queue.put("node", b"%d" % n)
    assert (len(queue), queue.passed_over) == (ROOM + ROOM_OF_ONE, 10_000 - ROOM)
    read = [queue.take()[0] == "node" for _ in range(2 * (STRANGE_EVERY + 1))]
    assert read == 2 * [*[True] * STRANGE_EVERY, False]


def test_not_more_addresses_are_known_than_there_is_room_for() -> None:
    queue = FairQueue()
    for n in range(KNOWN_MAX + 1):
        queue.put(str(n), b"")
        queue.trust(str(n))
    assert [queue.take()[0] for _ in range(STRANGE_EVERY + 1)] == [*map(str, range(1, STRANGE_EVERY + 1)), "0"]
    assert len(queue._known) == KNOWN_MAX


@given(st.lists(st.none() | st.tuples(st.sampled_from("abcd"), st.integers(0, 200)), max_size=60))
def test_what_is_lost_is_counted_and_the_rest_is_read_in_order(acts: list[tuple[str, int] | None]) -> None:
    """None: read one; no datagrams of an address: a node was heard from there."""
    queue, came, read = FairQueue(), 0, 0
    newest = dict.fromkeys("abcd", 0)

    def take() -> None:
        address, datagram = queue.take()
        assert int(datagram) > newest[address]
        newest[address] = int(datagram)

    for act in acts:
        if act is None and queue:
            take()
            read += 1
        elif act is not None and not act[1]:
            queue.trust(act[0])
        elif act is not None:
            for _ in range(act[1]):
                came += 1
                queue.put(act[0], b"%d" % came)
        assert len(queue) == came - read - queue.passed_over <= 2 * ROOM
    while queue:
        take()
    assert not queue._of_known._by_address | queue._of_others._by_address, "no address is remembered for nothing"
