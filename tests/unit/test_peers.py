"""What a node knows about its peers: their calls and their incarnations."""

import pytest
from attrs import evolve

from elevator.core import peers
from elevator.core.call_set import press, serve
from elevator.core.messages import Heartbeat, Record, Tick
from elevator.core.model import (
    EVERY_CAR,
    INCARNATIONS_KEPT,
    NEVER_MS,
    Author,
    Button,
    Buttons,
    Call,
    Calls,
    Car,
    Inputs,
    Policy,
)
from elevator.core.node import boot
from elevator.core.step import step

UP = Call(Button.UP, 0, EVERY_CAR)
PEER = Author(1, 5)


def heartbeat(sender: Author, sequence: int, calls: Calls, digest: int) -> Heartbeat:
    return Heartbeat(sender, sequence, 4, Car(), Buttons(), 0b1, calls, digest)


def served(authors: int) -> Calls:
    """Return a call set with a served press by each of the first *authors* incarnations of node 2."""
    calls = Calls()
    for incarnation in range(authors):
        calls = press(calls, Author(2, incarnation), UP)
    return serve(calls, {UP})


@pytest.mark.rule("L3")
def test_restarted_peer_acknowledges_only_what_it_sends() -> None:
    calls = press(Calls(), PEER, UP)
    peer = peers.receive(None, heartbeat(PEER, 1, calls, calls.digest), 0)
    assert peer is not None
    agreed = evolve(peer, agreed_at_ms=0)
    restarted = peers.receive(agreed, heartbeat(Author(1, 6), 1, Calls(), 0), 10)
    assert restarted is not None
    assert restarted.calls == Calls()
    assert restarted.agreed_at_ms == -NEVER_MS, "the restarted peer may have lost every call"


@pytest.mark.rule("A3")
def test_earlier_incarnation_counts_as_a_duplicate_only_if_it_keeps_sending() -> None:
    node = boot(0, 4, None, 0, 1000, Policy())
    late, restarted = heartbeat(PEER, 2, Calls(), 0), Author(1, 6)
    for now_ms, received in ((1001, heartbeat(PEER, 1, Calls(), 0)), (1100, heartbeat(restarted, 1, Calls(), 0))):
        node = step(node, Tick(now_ms, Inputs(), (received,)))
    node = step(node, Tick(1110, Inputs(), (late,)))
    assert node.warnings == {}
    for now_ms in range(1150, 1451, 50):
        news = heartbeat(restarted, now_ms, Calls(), 0), evolve(late, sequence=now_ms)
        node = step(node, Tick(now_ms, Inputs(), news))
    assert [*node.warnings] == ["two nodes have the same id, 1: give each node its own --id"]


@pytest.mark.rule("L3")
def test_equal_digest_acknowledges_no_expired_incarnation() -> None:
    calls = served(INCARNATIONS_KEPT + 1)
    node = boot(0, 4, Record(1, calls), 0, 1000, Policy())
    node = step(node, Tick(1001, Inputs(), (heartbeat(PEER, 1, Calls(), calls.digest),)))
    known = node.peers.known[1].calls
    assert known.digest == calls.digest
    assert calls.expired == {Author(2, 0)}
    assert known.entries.keys() == calls.entries.keys() - calls.expired
