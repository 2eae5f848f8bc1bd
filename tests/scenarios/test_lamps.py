"""Buttons, lamps and the floor indicator."""

import pytest
from steps import CAB, DOWN, UP, Group, floor_of, group_with_duplicate, lamps, partition, settle

from elevator.core.node import heartbeat
from elevator.net.wire import encode
from elevator.simulation.faults import FaultKind
from elevator.simulation.links import GROUP


@pytest.mark.rule("L1", "L2")
def test_hall_lamps_light_on_all_panels_and_cab_lamps_only_on_their_own_panel() -> None:
    group = Group(at=(0, 0, 0))
    group.press(1, UP, 2)
    group.press(2, CAB, 3)
    group.run(30)
    assert group.lit(0) == {("up", 2)}
    assert group.lit(1) == {("up", 2)}
    assert group.lit(2) == {("up", 2), ("cab", 3)}
    settle(group)


@pytest.mark.rule("L3")
def test_node_without_peers_lights_its_lamps() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, DOWN, 3)
    group.run(30)
    assert group.lit(0) == {("down", 3)}
    settle(group)


@pytest.mark.rule("L3")
def test_lamp_lights_although_a_one_way_link_prevents_acknowledgements() -> None:
    group = Group(cars=2, at=(0, 0))
    group.link(lambda sender, receiver: sender == 1)
    group.run(500)
    group.press(0, DOWN, 3)
    group.run(100)
    assert group.lit(0) == {("down", 3)}
    settle(group)


@pytest.mark.rule("L3")
def test_lamp_of_a_node_with_a_failing_disk_lights_once_a_peer_has_stored_the_call() -> None:
    group = Group(cars=2, at=(0, 0))
    group[0].inject(FaultKind.DISK, on=True)
    group.press(0, DOWN, 3)
    group.run(100)
    assert group.lit(0) == {("down", 3)}, "the lamp must light once a peer has stored the call"
    group[1].kill()
    group.run(500)
    group.press(0, DOWN, 2)
    group.run(1000)
    assert group.lit(0) == {("down", 3)}, "the new lamp must stay dark while no disk has stored its call"
    group[0].inject(FaultKind.DISK, on=False)
    group.run(1100)
    assert ("down", 2) in group.lit(0)
    settle(group)


@pytest.mark.rule("L4")
def test_late_datagram_of_the_previous_incarnation_does_not_darken_a_lamp() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 3)
    group.run(230)
    late = encode(heartbeat(group[0].node), GROUP)
    group[0].kill()
    group.run(50)
    group[0].start()
    group[0].deliver(late, group.now_ms + 10)
    settle(group)
    assert lamps(group[0], CAB, 3) == [True, False]
    assert floor_of(group[0]) == 3


@pytest.mark.rule("L3", "L4")
def test_lamps_stay_lit_when_their_node_restarts_before_all_peers_have_stored_the_calls() -> None:
    group = Group(at=(0, 0, 0))
    partition(group, {0}, {1, 2})
    group.run(500)
    group.press(1, CAB, 3)
    group.press(1, DOWN, 2)
    group.run(100)
    assert group.lit(1) == {("cab", 3), ("down", 2)}
    group[0].inject(FaultKind.SLOW_DISK, on=True, delay_ms=4000)
    partition(group, {0, 1, 2})
    group[1].kill()
    group.run(50)
    group[1].start()
    group.run(500)
    assert not group[0].simulated.disk.durable.live
    group.press(1, UP, 0)
    group.run(200)
    assert group.lit(1) == {("cab", 3), ("down", 2)}, "the new lamp must stay dark until all disks have its call"
    settle(group)
    assert lamps(group[1], CAB, 3) == lamps(group[1], DOWN, 2) == [True, False]


@pytest.mark.rule("L2", "L3")
def test_cab_lamp_of_a_duplicate_lights_once_no_live_peer_hears_the_shared_id() -> None:
    group = group_with_duplicate()
    group.press(0, CAB, 2)
    group.run(100)
    group.link(lambda sender, receiver: sender not in (0, 2))
    group.press(2, CAB, 2)
    group.run(100)
    assert group.lit(2) == set(), "the lamp must stay dark while a live peer seems to hear the duplicate"
    group.run(500)
    assert group.lit(2) == {("cab", 2)}
    settle(group)


@pytest.mark.rule("L4", "A3")
def test_lamp_stays_lit_over_two_restarts_with_a_failing_disk_and_a_duplicate_node() -> None:
    group = group_with_duplicate()
    group[0].inject(FaultKind.DISK, on=True)
    group.press(0, CAB, 3)
    group.run_until(lambda: group.lit(0) == {("cab", 3)}, 3000)
    group.run(250)  # Meanwhile the button is released.
    for _ in range(2):
        group[0].kill()
        group[0].inject(FaultKind.DISK, on=False)
        group[0].start()
        group[0].inject(FaultKind.DISK, on=True)
    group.run(1000)
    assert group.lit(0) == {("cab", 3)}
    settle(group)
    assert floor_of(group[0]) == 3


@pytest.mark.rule("L5")
def test_button_that_is_already_down_at_startup_registers_a_call() -> None:
    group = Group(cars=1, at=(0,))
    group[0].kill()
    group.press(0, CAB, 2)
    group.run(150)
    group[0].start()
    settle(group)
    assert floor_of(group[0]) == 2


@pytest.mark.rule("L6")
def test_floor_indicator_shows_the_last_floor_reached() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 2)
    for floor in (1, 2):
        group.run_until(lambda: floor_of(group[0]) is None, 5000)
        assert group[0].elevator.indicator == floor - 1
        group.run_until(lambda: floor_of(group[0]) is not None, 5000)
        group.run(15)
        assert group[0].elevator.indicator == floor
    settle(group)
