"""The call set: the laws of merging, random histories compared with a model that keeps every press, and the digest."""

from collections.abc import Mapping
from random import Random

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from elevator.core.call_set import acknowledges, forget, merge, press, serve
from elevator.core.model import EVERY_CAR, INCARNATIONS_KEPT, Author, Button, Buttons, Call, Calls, Dot, Entry

CALLS = [Call(Button.UP, 0, EVERY_CAR), Call(Button.DOWN, 1, EVERY_CAR), Call(Button.CAB, 1, 0)]
NODES = 3


@define
class Replica:
    """The call set of a node, and its model: the presses that the node knows, and which were served or replaced.

    `saved` and `saved_model` are on the node's disk. A crash keeps them; a wipe deletes them.
    """

    author: Author
    calls: Calls = Calls()
    saved: Calls = Calls()
    received: set[Dot] = field(factory=set)
    served: set[Dot] = field(factory=set)
    saved_model: tuple[set[Dot], set[Dot]] = field(factory=lambda: (set(), set()))


History = list[tuple[str, int, int]]
histories = st.lists(
    st.tuples(
        st.sampled_from(["press", "serve", "send", "delay", "deliver delayed", "save", "crash", "wipe"]),
        st.integers(0, NODES - 1),
        st.integers(0, NODES - 1),
    ),
    max_size=60,
)


def play(history: History) -> tuple[list[Replica], dict[Dot, Call]]:
    """Run *history* on replicas. Return the replicas and the call of each press."""
    replicas = [Replica(Author(id, 1)) for id in range(NODES)]
    pressed: dict[Dot, Call] = {}
    delayed: list[tuple[Calls, set[Dot], set[Dot]]] = []
    incarnation = 1
    for action, a, b in history:
        replica, other = replicas[a], replicas[b]
        match action:
            case "press":
                replica.calls = press(replica.calls, replica.author, CALLS[b])
                dot = Dot(replica.author, replica.calls.seen[replica.author])
                # A new press replaces the author's older press of the same call.
                replica.served |= {
                    old for old in replica.received if old.author == replica.author and pressed[old] == CALLS[b]
                }
                replica.received.add(dot)
                pressed[dot] = CALLS[b]
            case "serve":
                replica.calls = serve(replica.calls, {CALLS[b]})
                replica.served |= {dot for dot in replica.received if pressed[dot] == CALLS[b]}
            case "send":
                receive(replica, other.calls, other.received, other.served)
            case "delay":
                delayed.append((replica.calls, set(replica.received), set(replica.served)))
            case "deliver delayed" if delayed:
                receive(replica, *delayed[b % len(delayed)])
            case "save":
                replica.saved = replica.calls
                replica.saved_model = (set(replica.received), set(replica.served))
            case "crash" | "wipe":
                incarnation += 1
                if action == "wipe":
                    replica.saved, replica.saved_model = Calls(), (set(), set())
                replica.author, replica.calls = Author(a, incarnation), replica.saved
                replica.received, replica.served = set(replica.saved_model[0]), set(replica.saved_model[1])
            case _:
                assert action == "deliver delayed", "no message is delayed yet"
    return replicas, pressed


def receive(replica: Replica, calls: Calls, received: set[Dot], served: set[Dot]) -> None:
    replica.calls = merge(replica.calls, calls)
    replica.received |= received
    replica.served |= served


@given(histories)
@settings(max_examples=200)
def test_call_set_equals_a_model_that_keeps_every_press(history: History) -> None:
    replicas, pressed = play(history)
    for replica in replicas:
        assert dict(replica.calls.live) == {dot: pressed[dot] for dot in replica.received - replica.served}
        assert all(acknowledges(replica.calls, dot) for dot in replica.received)
        check_invariants(replica.calls)


def check_invariants(calls: Calls) -> None:
    assert all(acknowledges(calls, dot) for dot in calls.live)
    pairs = [(dot.author, call) for dot, call in calls.live.items()]
    assert len(pairs) == len(set(pairs))


@given(histories)
def test_merge_is_commutative_associative_and_idempotent(history: History) -> None:
    a, b, c = (replica.calls for replica in play(history)[0])
    assert merge(a, b) == merge(b, a)
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
    assert merge(a, a) is a
    joined = merge(a, b)
    assert merge(joined, a) is joined
    assert merge(joined, b) is joined


@given(histories)
def test_merge_and_serve_return_the_same_object_if_nothing_changes(history: History) -> None:
    a, b, _ = (replica.calls for replica in play(history)[0])
    assert (merge(a, b) is a) == (merge(a, b) == a)
    for call in CALLS:
        assert (serve(a, {call}) is a) == (call not in a.live.values())


@given(histories, st.sampled_from(CALLS))
def test_press_survives_a_concurrent_serve(history: History, call: Call) -> None:
    a, b, _ = (replica for replica in play(history)[0])
    pressed = press(a.calls, a.author, call)
    joined = merge(serve(b.calls, {call}), pressed)
    assert Dot(a.author, pressed.seen[a.author]) in joined.live
    assert merge(pressed, serve(b.calls, {call})) == joined


@given(histories, st.sampled_from(CALLS))
def test_press_is_removed_by_a_later_serve(history: History, call: Call) -> None:
    a, b, _ = (replica for replica in play(history)[0])
    pressed = press(a.calls, a.author, call)
    served = serve(merge(b.calls, pressed), {call})
    assert call not in merge(pressed, served).live.values()


@given(histories)
def test_parts_of_a_call_set_can_be_merged_one_by_one(history: History) -> None:
    a, b, _ = (replica.calls for replica in play(history)[0])
    parts = [Calls({author: entry}) for author, entry in b.entries.items()]
    joined = a
    for part in reversed(parts):
        joined = merge(joined, part)
    assert joined == merge(a, b)


@given(histories)
def test_forgetting_authors_loses_no_live_call(history: History) -> None:
    a, b, _ = (replica.calls for replica in play(history)[0])
    forgotten = forget(a, a.seen.keys())
    assert forgotten.live == a.live
    check_invariants(forgotten)
    live_in_both = merge(a, b).live.items()
    merged: Mapping[Dot, Call] = merge(forgotten, b).live
    assert live_in_both <= merged.items(), "forgetting may revive a served call, but must lose no live one"


@given(histories, st.randoms(use_true_random=False))
def test_digest_does_not_depend_on_the_order_of_merges(history: History, rng: Random) -> None:
    replicas = [replica.calls for replica in play(history)[0]]
    parts = [Calls({author: entry}) for calls in replicas for author, entry in calls.entries.items()]
    joined = [Calls(), Calls()]
    for index in range(2):
        for part in rng.sample(parts, len(parts)):
            joined[index] = merge(joined[index], part)
    assert joined[0] == joined[1]
    assert joined[0].digest == joined[1].digest
    backwards = Calls(
        {
            author: Entry(author, entry.newest, dict(reversed(list(entry.live.items()))))
            for author, entry in reversed(list(joined[0].entries.items()))
        }
    )
    assert backwards.digest == joined[0].digest


@given(histories)
def test_sets_with_the_same_digest_are_equal(history: History) -> None:
    a, b, c = (replica.calls for replica in play(history)[0])
    sets = (a, b, c, merge(a, b), merge(b, c), serve(a, {CALLS[0]}), press(b, Author(0, 1), CALLS[1]))
    assert all((one.digest == two.digest) == (one == two) for one in sets for two in sets)


ONE, TWO = Author(0, 5), Author(1, 7)
EXAMPLE = Calls({ONE: Entry(ONE, 9, {6: CALLS[0], 9: CALLS[2]}), TWO: Entry(TWO, 2, {1: CALLS[1]})})


@pytest.mark.parametrize(
    "changed",
    [
        Entry(ONE, 10, {6: CALLS[0], 9: CALLS[2]}),
        Entry(ONE, 9, {6: CALLS[0]}),
        Entry(ONE, 9, {9: CALLS[2]}),
        Entry(ONE, 9, {}),
        Entry(ONE, 9, {6: CALLS[0], 8: CALLS[2]}),
        Entry(ONE, 9, {6: CALLS[0], 9: CALLS[1]}),
        Entry(ONE, 9, {6: CALLS[2], 9: CALLS[0]}),
        Entry(ONE, 9, {6: CALLS[0], 7: CALLS[1], 9: CALLS[2]}),
        Entry(ONE, 9, {6: CALLS[0], 9: CALLS[2]._replace(floor=2)}),
        Entry(ONE, 9, {6: CALLS[0]._replace(button=Button.DOWN), 9: CALLS[2]}),
        Entry(Author(0, 6), 9, {6: CALLS[0], 9: CALLS[2]}),
        Entry(Author(2, 5), 9, {6: CALLS[0], 9: CALLS[2]}),
        None,
    ],
)
def test_any_change_to_an_entry_changes_the_digest(changed: Entry | None) -> None:
    left = {TWO: EXAMPLE.entries[TWO]}
    assert Calls(left if changed is None else {**left, changed.author: changed}).digest != EXAMPLE.digest


def test_author_without_live_presses_counts_in_the_digest() -> None:
    added = Calls({**EXAMPLE.entries, Author(2, 1): Entry(Author(2, 1), 1)})
    assert added.digest != EXAMPLE.digest


def test_digest_of_no_calls_is_0() -> None:
    assert Calls().digest == 0


def test_expired_authors_do_not_count_in_the_digest() -> None:
    """Replicas forget expired authors at different times. Their digests must still be equal."""
    runs = [Author(0, run) for run in range(INCARNATIONS_KEPT + 3)]
    entries = {author: Entry(author, 1) for author in runs}
    kept = {author: entries[author] for author in runs[3:]}
    other = {TWO: EXAMPLE.entries[TWO]}
    calls = Calls({**other, **entries})
    assert calls.expired == {*runs[:3]}
    assert calls.digest == forget(calls, calls.expired).digest == Calls({**kept, **other}).digest
    assert calls.digest != forget(calls, {runs[3]}).digest


def test_old_author_with_a_live_press_counts_in_the_digest() -> None:
    runs = [Author(0, run) for run in range(INCARNATIONS_KEPT + 3)]
    entries = {author: Entry(author, 1, {1: CALLS[0]} if author == runs[1] else {}) for author in runs}
    calls = Calls(entries)
    assert calls.expired == {runs[0], runs[2]}
    assert calls.digest == forget(calls, calls.expired).digest
    assert calls.digest != serve(calls, {CALLS[0]}).digest


def test_hall_calls_form_a_mask_per_direction_and_cab_calls_a_mask_per_car() -> None:
    calls = press(Calls(), Author(3, 1), Call(Button.UP, 0, EVERY_CAR))
    calls = press(calls, Author(7, 1), Call(Button.DOWN, 3, EVERY_CAR))
    calls = press(calls, Author(7, 1), Call(Button.CAB, 2, 7))
    calls = press(calls, Author(7, 2), Call(Button.CAB, 0, 7))
    assert (calls.hall, calls.cabs) == (Buttons(up=0b1, down=0b1000), {7: 0b101})
    assert calls.panel(7) == Buttons(up=0b1, down=0b1000, cab=0b101)
