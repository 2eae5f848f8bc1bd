"""The guarantee: what a lit lamp promises whatever fails."""

import pytest
from attrs import evolve
from group import Group
from steps import (
    CAB,
    DOWN,
    UP,
    assert_able_on_trips_to,
    cut,
    doors,
    fault,
    floor_of,
    is_dark,
    lamps,
    lose_server,
    machine_door,
    motors,
    obstruct,
    power,
    settle,
)

from elevator.building import elevator as machines
from elevator.building.shaft import command
from elevator.core.model import (
    Fault,
    Motor,
)
from elevator.core.node import heartbeat


def test_g2_a_car_that_others_moved_while_its_server_was_away_opens_its_door_only_where_it_stands() -> None:
    group = Group(cars=1, at=(1,))
    group.press(0, CAB, 1)
    group.run(500)
    lose_server(group, 300)
    computer = group[0]
    # It still runs when the server is back, and just passes the floor that it was at.
    machine = machines.put(evolve(computer.machine, door=False), 1, group.now_ms)
    computer.take(evolve(machine, shaft=command(machine.shaft, Motor.DOWN, group.now_ms)))
    settle(group)
    stopped_ms, told = motors(computer)[-1]
    assert told is Motor.STOP
    assert [(on, at_ms > stopped_ms) for at_ms, on in doors(computer)[-2:]] == [(True, True), (False, True)]


def test_g3_a_killed_nodes_hall_call_is_under_way_within_600_ms() -> None:
    group = Group(at=(0, 3, 3))
    group.press(0, UP, 1)
    group.run(200)
    assert motors(group[0])[-1][1] is Motor.UP
    group[0].kill()
    took_ms = group.run_until(lambda: bool(motors(group[1]) + motors(group[2])), 600)
    assert took_ms <= 400
    settle(group)


def test_g3_a_motor_stop_hands_the_call_over_within_2_s() -> None:
    group = Group(at=(0, 3, 3))
    group.press(0, UP, 2)
    settle(group)
    group.press(0, DOWN, 1)
    group.run_until(lambda: floor_of(group[0]) is None, 2000)
    group.run(300)
    assert group[0].node is not None
    power(group[0], False)
    before = len(motors(group[1])) + len(motors(group[2]))
    group.run_until(lambda: len(motors(group[1])) + len(motors(group[2])) > before, 2000)
    power(group[0], True)
    settle(group)


def test_g3_a_blocked_door_hands_calls_over_within_1_s_of_its_period() -> None:
    group = Group(at=(0, 3, 3))
    group.press(0, CAB, 0)
    group.run(500)
    obstruct(group[0], True)
    group.press(0, UP, 1)
    group.run(50)
    opened_ms = doors(group[0])[0][0]
    group.run_until(lambda: bool(motors(group[1]) + motors(group[2])), 5000)
    assert group.now_ms - (opened_ms + 3000) <= 1000
    obstruct(group[0], False)
    settle(group)


def test_g1_cab_calls_survive_a_crash_of_their_node() -> None:
    group = Group(at=(0, 0, 0))
    group.press(0, CAB, 3)
    group.run(100)
    group[0].kill()
    group.run(2000)
    group[0].start()
    group.run_until(lambda: floor_of(group[0]) == 3 and machine_door(group[0]), 20_000)
    settle(group)
    assert lamps(group[0], CAB, 3) == [True, False], "the lamp never flickered"


def test_g2_cab_calls_survive_a_wiped_disk_if_a_peer_lives() -> None:
    group = Group(at=(0, 0, 0))
    group.press(0, CAB, 3)
    group.run(100)
    group[0].kill()
    group[0].disk.record = None
    group.run(5000)
    group[0].start()
    group.run_until(lambda: floor_of(group[0]) == 3 and machine_door(group[0]), 20_000)
    settle(group)


def test_g2_blackout_everything_lit_is_served_without_any_press() -> None:
    group = Group(at=(0, 0, 2))
    group.press(0, CAB, 3)
    group.press(1, DOWN, 3)
    group.press(2, UP, 1)
    group.run(100)
    wanted = group.lit(0) | group.lit(1) | group.lit(2)
    assert wanted == {("cab", 3), ("down", 3), ("up", 1)}
    for computer in group.computers:
        computer.kill()
    group.run(10_000)
    for computer in group.computers:
        computer.start()
    settle(group)
    assert lamps(group[0], CAB, 3) == [True, False]
    assert floor_of(group[0]) == 3


def test_g4_both_sides_of_a_split_serve_what_they_show() -> None:
    group = Group(cars=4, at=(0, 0, 3, 3))
    cut(group, {0, 1}, {2, 3})
    group.run(500)
    group.press(0, DOWN, 2)
    group.press(2, DOWN, 2)
    group.press(3, UP, 1)
    group.run(50)
    assert group.lit(1) == {("down", 2)}
    assert group.lit(3) == {("down", 2), ("up", 1)}
    settle(group)
    cut(group, {0, 1, 2, 3})
    group.run(1000)
    assert is_dark(group)


def test_g4_calls_of_both_sides_merge_when_the_network_heals() -> None:
    group = Group(cars=2, at=(0, 0))
    cut(group, {0}, {1})
    group.run(500)
    group.press(0, DOWN, 3)
    group.press(1, DOWN, 2)
    group.run(500)
    assert (group.lit(0), group.lit(1)) == ({("down", 3)}, {("down", 2)})
    cut(group, {0, 1})
    group.run(1000)
    assert group.lit(0) == group.lit(1), "G5"
    settle(group)


@pytest.mark.parametrize("has_just_shut", [False, True])
def test_g1_no_call_is_served_by_a_door_that_was_only_told_to_open(has_just_shut: bool) -> None:
    group = Group(cars=2, at=(0, 3))
    if has_just_shut:  # What is known of the opening before says nothing of the next.
        group.press(0, UP, 0)
        group.run_until(lambda: group[0].machine.door, 100)
        group.run_until(lambda: not group[0].machine.door, 10_000)
    group.run_until(lambda: group.now_ms % 10 == 2, 10)
    group.press(1, UP, 0)
    group.run(1)
    # The server of the car that stands there hangs up between two sweeps; before the second comes the news of the call.
    group[0].server = False
    group[0].take(machines.disconnect(group[0].machine, group.now_ms))
    group.run(100)
    assert not group[0].machine.door
    assert ("up", 0) in group.lit(1)
    group.run_until(lambda: group[1].machine.door, 15_000)
    assert floor_of(group[1]) == 0
    group.run_until(lambda: ("up", 0) not in group.lit(1), 30)


def test_g2_a_lost_server_connection_is_recovered_without_losing_a_call() -> None:
    group = Group(cars=2, at=(0, 0))
    group.press(0, CAB, 3)
    group.run(1000)
    group[0].unplug_server()
    group[0].server = False
    group.press(1, DOWN, 1)
    group.run(3000)
    assert fault(group[0]) is Fault.SERVER
    group[0].server = True
    settle(group)
    assert floor_of(group[0]) == 3


def test_g2_a_frozen_process_merges_before_it_acts() -> None:
    group = Group(cars=2, at=(0, 3))
    group.press(0, UP, 1)
    group.run(500)
    group[0].frozen = True
    group.run_until(lambda: not group.lit(1), 20_000)
    group[0].frozen = False
    started = len(motors(group[0]))
    group.run(250)
    assert motors(group[0])[started:] == [(motors(group[0])[-1][0], Motor.STOP)], "it stops and listens"
    settle(group)


def test_g3_a_motor_that_stood_once_is_not_expected_to_stand_again() -> None:
    group = Group(cars=1, at=(0,))
    for floor in (3, 0, 3):
        group.press(0, CAB, floor)
        group.run(2900)
        power(group[0], False)
        within_ms = group.run_until(lambda: fault(group[0]) is Fault.MOTOR, 2300)
        assert within_ms <= 2300
        group.run(700 * (floor + 3))
        power(group[0], True)
        settle(group)


def test_g3_a_stretch_during_which_the_program_paused_is_not_taken_for_a_short_one() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 1)
    group.run_until(lambda: group[0].machine.shaft.motor is Motor.UP, 100)
    group.run(230)
    group[0].frozen = True
    group.run(420)
    assert group[0].machine.sensed is None
    group[0].frozen = False
    settle(group)
    assert_able_on_trips_to(group, 0, 1)


def test_g3_a_car_that_is_moved_while_its_server_is_away_does_not_seem_to_have_gone_fast() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 1)
    group.run_until(lambda: group[0].machine.shaft.motor is Motor.UP, 100)
    group[0].server = False
    group[0].unplug_server()
    group.run(300)
    group[0].take(machines.put(group[0].machine, 0.6, group.now_ms))
    group[0].server = True
    settle(group)
    assert_able_on_trips_to(group, 0, 1)


def test_g3_a_crash_soon_after_a_cut_is_noticed_as_fast_as_any() -> None:
    group = Group(at=(0, 3, 3))
    cut(group, {0}, {1, 2})
    group.run(60_000)
    cut(group, {0, 1, 2})
    group.run(1000)
    group.press(0, UP, 1)
    group.run(200)
    group[0].kill()
    group.run_until(lambda: bool(motors(group[1]) + motors(group[2])), 600)


def test_g2_a_wiped_node_finds_its_cab_calls_also_after_a_late_datagram_of_its_predecessor() -> None:
    group = Group(cars=2, at=(0, 0))
    group.press(0, CAB, 3)
    group.run(230)
    assert group[0].node is not None
    late = group[0].encoder.encode(heartbeat(group[0].node))[0]
    group[0].kill()
    group[0].disk.record = None
    group.run(50)
    group[0].start()
    group[0].inbox.append((group.now_ms + 10, late))
    group.run(500)
    group[1].kill()
    group.run_until(lambda: floor_of(group[0]) == 3 and machine_door(group[0]), 20_000)
