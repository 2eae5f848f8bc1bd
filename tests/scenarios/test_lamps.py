"""Buttons and lamps."""

from group import Group
from steps import CAB, DOWN, UP, cut, floor_of, group_with_twin, lamps, settle

from elevator.core.node import heartbeat


def test_l1_l2_hall_lamps_on_all_panels_cab_lamps_on_their_own() -> None:
    group = Group(at=(0, 0, 0))
    group.press(1, UP, 2)
    group.press(2, CAB, 3)
    group.run(30)
    assert group.lit(0) == {("up", 2)}
    assert group.lit(1) == {("up", 2)}
    assert group.lit(2) == {("up", 2), ("cab", 3)}
    settle(group)


def test_l3_a_node_alone_lights_its_lamps() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, DOWN, 3)
    group.run(30)
    assert group.lit(0) == {("down", 3)}
    settle(group)


def test_l3_a_one_way_link_does_not_keep_a_lamp_dark() -> None:
    group = Group(cars=2, at=(0, 0))
    group.links = lambda sender, receiver: sender == 1  # 1 is heard by 0, 0 by nobody
    group.run(500)
    group.press(0, DOWN, 3)
    group.run(100)
    assert group.lit(0) == {("down", 3)}
    settle(group)


def test_l3_no_lamp_before_the_disk_or_with_a_failing_one_before_a_peer_has_it() -> None:
    group = Group(cars=2, at=(0, 0))
    group[0].disk.full = True
    group.press(0, DOWN, 3)
    group.run(100)
    assert group.lit(0) == {("down", 3)}, "the peer has it"
    group[1].kill()
    group.run(500)
    group.press(0, DOWN, 2)
    group.run(1000)
    assert group.lit(0) == {("down", 3)}, "nobody has the new one: no promise"
    group[0].disk.full = False
    group.run(1100)
    assert ("down", 2) in group.lit(0)
    settle(group)


def test_l4_a_late_datagram_of_its_predecessor_is_no_rival_of_a_node() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 3)
    group.run(230)
    assert group[0].node is not None
    late = group[0].encoder.encode(heartbeat(group[0].node))[0]
    group[0].kill()
    group.run(50)
    group[0].start()
    group[0].inbox.append((group.now_ms + 10, late))
    settle(group)
    assert lamps(group[0], CAB, 3) == [True, False]
    assert floor_of(group[0]) == 3


def test_l4_a_restart_leaves_lamps_lit_whose_calls_a_peer_has_not_heard_of() -> None:
    group = Group(at=(0, 0, 0))
    cut(group, {0}, {1, 2})
    group.run(500)
    group.press(1, CAB, 3)
    group.press(1, DOWN, 2)
    group.run(100)
    assert group.lit(1) == {("cab", 3), ("down", 2)}
    group[0].disk.takes_ms = 900
    cut(group, {0, 1, 2})
    group[1].kill()
    group.run(50)
    group[1].start()
    group.run(500)
    assert group[0].disk.record is not None
    assert not group[0].disk.record.calls.live
    group.press(1, UP, 0)
    group.run(200)
    assert group.lit(1) == {("cab", 3), ("down", 2)}, "lit before, and the new one is not promised yet"
    settle(group)
    assert lamps(group[1], CAB, 3) == lamps(group[1], DOWN, 2) == [True, False]


def test_l3_a_cab_lamp_does_not_light_for_the_press_of_another_with_the_same_id() -> None:
    group = group_with_twin()
    group.press(0, CAB, 2)
    group.run(100)
    group.links = lambda sender, receiver: sender != 0  # that is what both are called
    group.press(1, CAB, 2)
    group.run(100)
    assert group.lit(1) == set(), "nobody has heard of it, and the others seem to be there"
    group.run(500)
    assert group.lit(1) == {("cab", 2)}
    settle(group)


def test_l4_a_lamp_beside_a_twin_outlives_two_runs_after_that_whose_disk_took_nothing() -> None:
    group = group_with_twin()
    group[0].disk.full = True
    group.press(0, CAB, 3)
    group.run_until(lambda: group.lit(0) == {("cab", 3)}, 3000)
    group.run(250)  # until the button is up again
    for _ in range(2):
        group[0].kill()
        group[0].start()
    group.run(1000)
    assert group.lit(0) == {("cab", 3)}
    settle(group)
    assert floor_of(group[0]) == 3


def test_l5_a_button_that_is_down_when_the_program_starts_counts() -> None:
    group = Group(cars=1, at=(0,))
    group[0].kill()
    group.press(0, CAB, 2)
    group.run(150)
    group[0].start()
    settle(group)
    assert floor_of(group[0]) == 2
