"""The fair queue: a busy sender cannot starve the others or fill the memory."""

from hypothesis import given
from hypothesis import strategies as st

from elevator.net.fair_queue import ADDRESS_CAPACITY, CAPACITY, KNOWN_MAX, UNKNOWN_EVERY, FairQueue


def test_addresses_take_turns() -> None:
    queue = FairQueue()
    for address, datagram in (("a", b"1"), ("a", b"2"), ("a", b"3"), ("b", b"4"), ("c", b"5"), ("c", b"6")):
        queue.put(address, datagram)
    assert [queue.pop()[1] for _ in range(6)] == [b"1", b"4", b"5", b"2", b"6", b"3"]
    assert not queue
    assert queue.dropped == 0


def test_flood_from_one_address_does_not_starve_another() -> None:
    queue = FairQueue()
    for n in range(10_000):
        queue.put("flood", b"%d" % n)
    queue.put("node", b"heartbeat")
    assert ("node", b"heartbeat") in {queue.pop(), queue.pop()}
    assert (len(queue), queue.dropped) == (ADDRESS_CAPACITY - 1, 10_000 - ADDRESS_CAPACITY)


def test_flood_from_forged_addresses_does_not_starve_a_known_address() -> None:
    queue = FairQueue()
    queue.mark_known("node")
    for n in range(10_000):
        queue.put(f"forged {n}", b"")
    for n in range(ADDRESS_CAPACITY):
        queue.put("node", b"%d" % n)
    assert (len(queue), queue.dropped) == (CAPACITY + ADDRESS_CAPACITY, 10_000 - CAPACITY)
    read = [queue.pop()[0] == "node" for _ in range(2 * (UNKNOWN_EVERY + 1))]
    assert read == 2 * [*[True] * UNKNOWN_EVERY, False]


def test_number_of_known_addresses_is_limited() -> None:
    queue = FairQueue()
    for n in range(KNOWN_MAX + 1):
        queue.put(str(n), b"")
        queue.mark_known(str(n))
    assert [queue.pop()[0] for _ in range(UNKNOWN_EVERY + 1)] == [*map(str, range(1, UNKNOWN_EVERY + 1)), "0"]
    assert len(queue._known) == KNOWN_MAX


@given(st.lists(st.none() | st.tuples(st.sampled_from("abcd"), st.integers(0, 200)), max_size=60))
def test_dropped_datagrams_are_counted_and_the_rest_keep_their_order(acts: list[tuple[str, int] | None]) -> None:
    """In *acts*, None pops a datagram, (address, 0) marks the address as known, and (address, n) puts n datagrams."""
    queue, put, popped = FairQueue(), 0, 0
    newest = dict.fromkeys("abcd", 0)

    def pop() -> None:
        address, datagram = queue.pop()
        assert int(datagram) > newest[address]
        newest[address] = int(datagram)

    for act in acts:
        if act is None and queue:
            pop()
            popped += 1
        elif act is not None and not act[1]:
            queue.mark_known(act[0])
        elif act is not None:
            for _ in range(act[1]):
                put += 1
                queue.put(act[0], b"%d" % put)
        assert len(queue) == put - popped - queue.dropped <= 2 * CAPACITY
    while queue:
        pop()
    assert not queue._of_known._by_address | queue._of_unknown._by_address, (
        "an address without datagrams takes no memory"
    )
