"""The heartbeats of a node: deltas, anti-entropy, refreshes, sizes and the schedule."""

from collections.abc import Iterator, Sequence

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from steps import full_entry

from elevator.core import outgoing
from elevator.core.call_set import merge, press, serve
from elevator.core.messages import Heartbeat
from elevator.core.model import (
    EVERY_CAR,
    MAX_CARS,
    MAX_FLOORS,
    NONE_WAITED,
    RATE_MAX,
    Author,
    Button,
    Buttons,
    Call,
    Calls,
    Car,
    Entry,
    Rates,
)
from elevator.core.outgoing import (
    AWAITED_MS,
    COALESCE_MS,
    RECENT_MS,
    REFRESH,
    REPEAT_MS,
    REPEATS,
    ROOM_BYTES,
    Outgoing,
    compose,
    due_at_ms,
    entry_bytes,
    in_turn,
)
from elevator.core.peers import HEARTBEAT_MS
from elevator.net.seal import NO_KEY, seal
from elevator.net.wire import COUNT_MAX, DATAGRAM_BYTES, GROUP_LENGTH_MAX, decode, encode

ME = Author(2, 70)
GROUP = "g" * GROUP_LENGTH_MAX
UP = Call(Button.UP, 1, EVERY_CAR)
RATES = Rates((1, 2, 3, 4), (5, 6, 7, 8))
QUIET_MS = 10_000
"""A time at which a change made at time 0 is no longer recent."""


def calls_of(authors: int, live: int = 0) -> Calls:
    """Return a call set of *authors* authors with *live* presses each."""
    presses = {n + 1: Call(Button.CAB, n, 0) for n in range(live)}
    entries = [
        Entry(Author(id, 70), 100, {n: call._replace(car=id) for n, call in presses.items()}) for id in range(authors)
    ]
    return Calls({entry.author: entry for entry in entries})


def message(calls: Calls, rates: Rates = RATES, floors: int = 4) -> Heartbeat:
    return Heartbeat(ME, 0, floors, Car(), Buttons(), 0b11, calls, calls.digest, rates, NONE_WAITED, "1.2.3")


def settled(calls: Calls, sequence: int = 1) -> Outgoing:
    """Return the state after heartbeat number *sequence* of a node whose *calls* last changed at time 0."""
    return evolve(compose(Outgoing(), message(calls), 0), repeats=0, is_awaited=False, sequence=sequence)


def send(
    state: Outgoing, now_ms: int, count: int, every_ms: int = 0, others: int = 1, differs: bool = False
) -> Iterator[tuple[int, Heartbeat]]:
    """Send *count* heartbeats, one every *every_ms*. Yield the time and contents of each.

    The node has *others* live peers. If *differs* is true, a peer's call set has differed since time 0.
    """
    for _ in range(count):
        heartbeat = outgoing.heartbeat(state, now_ms, others, 0 if differs else None)
        yield now_ms, heartbeat
        state = outgoing.sent(state, heartbeat, now_ms)
        now_ms += every_ms


def is_refresh(heartbeat: Heartbeat) -> bool:
    return heartbeat.sequence % REFRESH == 1


def sizes(heartbeat: Heartbeat) -> list[int]:
    return [entry_bytes(entry) for entry in heartbeat.calls.entries.values()]


# Deltas


def test_changed_entry_is_sent_while_the_change_is_recent() -> None:
    calls = press(calls_of(3), ME, UP)
    state = compose(settled(calls_of(3)), message(calls), QUIET_MS)
    for now_ms, sent in send(state, QUIET_MS, 100, 10):
        if not is_refresh(sent):
            is_recent = now_ms < QUIET_MS + RECENT_MS
            assert sent.calls.entries == ({ME: calls.entries[ME]} if is_recent else {})


def test_each_changed_entry_is_sent_for_the_same_duration() -> None:
    one, two = Author(0, 70), Author(1, 70)
    first = press(calls_of(3), one, UP)
    second = press(first, two, UP)
    state = compose(settled(calls_of(3)), message(first), QUIET_MS)
    state = compose(state, message(second), QUIET_MS + 200)
    sent = [set(each.calls.entries) for _, each in send(state, QUIET_MS + 200, 4, 100)]
    assert sent == [{one, two}, {two}, {two}, set()]


def test_entry_that_changes_again_is_sent_for_longer() -> None:
    pressed = press(calls_of(3), ME, UP)
    state = compose(settled(calls_of(3)), message(pressed), QUIET_MS)
    served = serve(pressed, {UP})
    state = compose(state, message(served), QUIET_MS + 200)
    ((_, sent),) = send(state, QUIET_MS + 200 + RECENT_MS - 1, 1)
    assert sent.calls.entries == {ME: served.entries[ME]}


def test_entry_that_was_forgotten_is_not_sent() -> None:
    state = compose(settled(calls_of(2)), message(calls_of(3)), QUIET_MS)
    state = compose(state, message(calls_of(2)), QUIET_MS + 10)
    ((_, sent),) = send(state, QUIET_MS + 10, 1)
    assert sent.calls.entries == {}
    assert sent.digest == calls_of(2).digest


def test_change_of_the_cars_state_sends_no_entries_or_rates() -> None:
    moved = evolve(message(calls_of(3)), car=Car(floor=1))
    ((_, sent),) = send(compose(settled(calls_of(3)), moved, QUIET_MS), QUIET_MS, 1)
    assert sent == evolve(moved, sequence=2, calls=Calls(), rates=None, version="")


def test_changed_rates_are_sent_while_the_change_is_recent() -> None:
    rates = Rates((9,) * 4, (9,) * 4)
    state = compose(settled(calls_of(3)), message(calls_of(3), rates), QUIET_MS)
    for now_ms, sent in send(state, QUIET_MS, 100, 10):
        has_rates = is_refresh(sent) or now_ms < QUIET_MS + RECENT_MS
        assert sent.rates == (rates if has_rates else None)
        assert sent.calls.entries == {} or is_refresh(sent)


def test_changes_that_do_not_fit_into_one_heartbeat_are_sent_in_turn() -> None:
    calls = calls_of(30, live=20)
    state = compose(settled(Calls()), message(calls), QUIET_MS)
    joined, fewest = Calls(), 0
    for _, sent in send(state, QUIET_MS, 30):
        assert sum(sizes(sent)) <= ROOM_BYTES < sum(sizes(sent)) + entry_bytes(calls.entries[ME])
        joined = merge(joined, sent.calls)
        assert len(joined.entries) > fewest or joined == calls
        fewest = len(joined.entries)
    assert joined == calls


# Anti-entropy and refreshes


def test_group_with_equal_digests_sends_entries_rates_and_version_in_refreshes_only() -> None:
    refreshes = 0
    calls = calls_of(3)
    for _, sent in send(settled(calls), QUIET_MS, 10 * REFRESH, HEARTBEAT_MS):
        refreshes += is_refresh(sent)
        if is_refresh(sent):
            assert (sent.calls, sent.rates, sent.version) == (calls, RATES, "1.2.3")
        else:
            assert (sent.calls, sent.rates, sent.version) == (Calls(), None, "")
    assert refreshes == 10


@pytest.mark.parametrize("authors", [1, 15, 16, 17, 32, 64])
def test_successive_refreshes_carry_all_entries(authors: int) -> None:
    """Listeners such as `elevator watch` learn the calls from refreshes."""
    calls, joined = calls_of(authors, live=64), Calls()
    for _, sent in send(settled(calls), QUIET_MS, authors * REFRESH, HEARTBEAT_MS):
        joined = merge(joined, sent.calls)
    assert joined == calls


def test_first_heartbeat_of_a_node_is_complete() -> None:
    calls = calls_of(3)
    ((_, sent),) = send(compose(Outgoing(), message(calls), 0), QUIET_MS, 1)
    assert sent == evolve(message(calls), sequence=1)


def test_every_heartbeat_carries_the_digest_of_the_whole_set() -> None:
    calls = calls_of(64, live=3)
    for _, sent in send(settled(calls), QUIET_MS, 2 * REFRESH, differs=True):
        assert sent.digest == calls.digest
        assert sent.calls != calls


@pytest.mark.parametrize("others", [0, 1, 3, 63])
@pytest.mark.parametrize(("authors", "live"), [(1, 0), (3, 4), (64, 0), (64, 4), (64, 64)])
def test_while_a_peer_differs_successive_heartbeats_carry_all_entries(authors: int, live: int, others: int) -> None:
    calls, joined = calls_of(authors, live), Calls()
    for _, sent in send(settled(calls), QUIET_MS, authors, HEARTBEAT_MS, others, differs=True):
        joined = merge(joined, sent.calls)
    assert joined == calls


def test_all_entries_of_a_small_group_fit_into_each_heartbeat() -> None:
    calls = calls_of(8, live=9)
    for _, sent in send(settled(calls), QUIET_MS, REFRESH, HEARTBEAT_MS, others=1, differs=True):
        assert sent.calls == calls


def test_heartbeat_carries_changed_entries_first_and_then_others() -> None:
    calls = press(calls_of(8, live=9), ME, UP)
    state = compose(settled(calls_of(8, live=9)), message(calls), QUIET_MS)
    for _, sent in send(state, QUIET_MS, REFRESH, 1, others=1, differs=True):
        assert sent.calls == calls
        assert next(iter(sent.calls.entries)) == ME, "a change comes first"


def test_peer_that_differs_gets_only_what_has_changed_since_it_agreed() -> None:
    before = calls_of(64, live=4)
    after = press(before, ME, UP)
    state = evolve(compose(settled(before), message(after), 1000), sequence=1)
    sent = outgoing.heartbeat(state, 1000 + RECENT_MS, 63, since_ms=500)
    assert sent.calls.entries == {ME: after.entries[ME]}


@pytest.mark.parametrize("live", [0, 10, 64])
def test_each_of_many_nodes_sends_one_entry_at_a_time(live: int) -> None:
    """A node sends at least one entry, even if the entry is larger than the node's share of the room."""
    calls = calls_of(64, live)
    for _, sent in send(settled(calls), QUIET_MS, 100, HEARTBEAT_MS, others=63, differs=True):
        assert len(sent.calls.entries) == 1


def test_nodes_together_send_at_most_two_copies_of_a_large_set_in_a_round() -> None:
    cars = 32
    calls = calls_of(cars, live=6)
    joined, total = Calls(), 0
    for id in range(cars):
        state = settled(calls)
        assert state.message is not None
        state = evolve(state, message=evolve(state.message, sender=Author(id, 70)))
        ((_, sent),) = send(state, QUIET_MS, 1, others=cars - 1, differs=True)
        joined, total = merge(joined, sent.calls), total + sum(sizes(sent))
    assert joined == calls
    assert total <= 2 * sum(entry_bytes(entry) for entry in calls.entries.values())


# Size


@st.composite
def call_sets(draw: st.DrawFn) -> Calls:
    """Draw a call set of up to 64 authors, with entries of various sizes, up to the largest possible."""
    full = full_entry(Author(0, 0), MAX_FLOORS, COUNT_MAX)
    entries = {}
    for id in draw(st.sets(st.integers(0, MAX_CARS - 1))):
        author = Author(id, draw(st.integers(0, COUNT_MAX)))
        kept = draw(st.sampled_from([0, 1, 5, 50, len(full.live)]))
        presses = list(full.live.items())[:kept]
        own = {n: call._replace(car=id) if call.button is Button.CAB else call for n, call in presses}
        entries[author] = Entry(author, COUNT_MAX, own)
    return Calls(entries)


@given(call_sets(), call_sets(), st.integers(1, COUNT_MAX - 1), st.integers(0, 63), st.booleans())
def test_datagram_never_exceeds_its_limit(old: Calls, new: Calls, sequence: int, others: int, differs: bool) -> None:
    everything = (1 << MAX_FLOORS) - 1
    rates = Rates((RATE_MAX,) * MAX_FLOORS, (RATE_MAX,) * MAX_FLOORS)
    state = settled(old, sequence)
    large = evolve(message(new, rates, MAX_FLOORS), claims=Buttons(everything, everything), version="1.22.333rc4+dev5")
    state = compose(state, large, QUIET_MS)
    for sequence_at in (sequence, sequence // REFRESH * REFRESH):
        sent = outgoing.heartbeat(evolve(state, sequence=sequence_at), QUIET_MS, others, 0 if differs else None)
        assert sum(sizes(sent)) <= ROOM_BYTES
        assert sent.calls.entries.items() <= new.entries.items()
        datagram = encode(sent, GROUP)
        assert len(seal(datagram, NO_KEY)) <= DATAGRAM_BYTES
        assert decode(datagram, GROUP) == sent


def test_largest_entry_fits_into_a_heartbeat() -> None:
    assert entry_bytes(full_entry(ME, MAX_FLOORS, COUNT_MAX)) <= ROOM_BYTES


@given(st.lists(st.integers(0, 190), max_size=70), st.integers(0, 1 << 53), st.integers(0, 1100), st.integers(1, 1100))
def test_in_turn_chooses_consecutive_entries_that_fill_the_share(
    lives: Sequence[int], first: int, room: int, share: int
) -> None:
    entries = [Entry(Author(k % 64, k), 200, dict.fromkeys(range(1, live + 1), UP)) for k, live in enumerate(lives)]
    share = min(room, share)
    chosen = in_turn(entries, first, room, share)
    assert chosen == [entries[(first + k) % len(entries)] for k in range(len(chosen))]
    assert len(chosen) <= len(entries)
    used = sum(map(entry_bytes, chosen))
    assert used <= room
    assert used <= share or len(chosen) == 1
    if len(chosen) < len(entries):
        next_bytes = entry_bytes(entries[(first + len(chosen)) % len(entries)])
        assert used + next_bytes > (share if chosen else room)


# Schedule


def test_composing_an_unchanged_message_returns_the_same_state() -> None:
    state = settled(calls_of(3))
    assert compose(state, message(calls_of(3)), QUIET_MS) is state


@pytest.mark.parametrize("is_awaited", [False, True])
def test_change_is_sent_early_and_repeated(is_awaited: bool) -> None:
    state = evolve(settled(calls_of(3)), sent_at_ms=QUIET_MS)
    assert due_at_ms(state) == QUIET_MS + HEARTBEAT_MS
    calls = press(calls_of(3), ME, UP) if is_awaited else calls_of(3)
    state = compose(state, evolve(message(calls), car=Car(floor=1)), QUIET_MS)
    assert due_at_ms(state) == QUIET_MS + (AWAITED_MS if is_awaited else COALESCE_MS)
    gaps_ms = []
    for _ in range(5):
        at_ms = due_at_ms(state)
        state = outgoing.sent(state, outgoing.heartbeat(state, at_ms, 1, None), at_ms)
        gaps_ms.append(due_at_ms(state) - at_ms)
    assert gaps_ms == [REPEAT_MS] * (REPEATS - 1) + [HEARTBEAT_MS] * (6 - REPEATS)


def test_calls_stay_awaited_until_they_are_sent_even_if_the_cars_state_changes() -> None:
    state = compose(settled(calls_of(3)), message(press(calls_of(3), ME, UP)), QUIET_MS)
    assert state.message is not None
    state = compose(state, evolve(state.message, car=Car(floor=1)), QUIET_MS)
    assert state.is_awaited
    ((now_ms, heartbeat),) = send(state, QUIET_MS, 1)
    assert not outgoing.sent(state, heartbeat, now_ms).is_awaited
