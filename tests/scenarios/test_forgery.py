"""A node that receives a forged heartbeat."""

import pytest
from steps import UP, Group, make_calls, settle

from elevator.core.messages import Heartbeat
from elevator.core.model import Author, Buttons, Car, Fault
from elevator.net.wire import COUNT_MAX, encode
from elevator.simulation.links import GROUP


@pytest.mark.rule("G6", "S2")
def test_node_ignores_a_forged_acknowledgement_of_presses_that_it_has_not_registered() -> None:
    group = Group(cars=2, at=(0, 0))
    victim = group[0].node
    calls = make_calls({}, {victim.me: COUNT_MAX})
    forged = Heartbeat(Author(63, 5), 1, victim.floors, Car(fault=Fault.NONE), Buttons(), 0, calls, calls.digest)
    group[0].deliver(encode(forged, GROUP), group.now_ms + 1)
    group.run(500)
    group.press(0, UP, 2)
    group.run(100)
    assert group.lit(1) == {("up", 2)}
    settle(group)
