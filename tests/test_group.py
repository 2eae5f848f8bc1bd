"""Scenarios of one to four whole nodes in virtual time, named by the rules of the specification they show."""

import pytest
from attrs import evolve
from group import Computer, Group

from elevator.building import elevator as machines
from elevator.building.elevator import EventKind, misbehaviour
from elevator.building.shaft import Shaft, command, position, put
from elevator.core import assignment, drive
from elevator.core.assignment import Member
from elevator.core.call_set import serve
from elevator.core.model import (
    EVERY_CAR,
    Behaviour,
    Button,
    Buttons,
    Call,
    Car,
    Direction,
    Fault,
    Motor,
    OpenDoor,
    Park,
    Policy,
    Rates,
    Tick,
)
from elevator.core.node import give_way, heartbeat, record, step, wake_at_ms
from elevator.net.wire import decode
from elevator.runtime.event_log import news

UP, DOWN, CAB = Button.UP, Button.DOWN, Button.CAB


def doors(computer: Computer) -> list[tuple[int, bool]]:
    return [(event.at_ms, bool(event.value)) for event in computer.events if event.kind is EventKind.DOOR]


def lamps(computer: Computer, button: Button, floor: int) -> list[bool]:
    """Return the history of one lamp."""
    return [
        bool(event.value)
        for event in computer.events
        if event.kind is EventKind.LAMP and (event.button, event.floor) == (button, floor)
    ]


def floor_of(computer: Computer) -> int | None:
    return computer.machine.sensed


def behaviour(computer: Computer) -> Behaviour:
    assert computer.node is not None
    return computer.node.drive.behaviour


def fault(computer: Computer) -> Fault:
    assert computer.node is not None
    return computer.node.drive.fault


def is_idle(group: Group) -> bool:
    return all(computer.node is None or behaviour(computer) is Behaviour.IDLE for computer in group.computers)


def is_dark(group: Group) -> bool:
    return not any(group.lit(computer.id) for computer in group.computers if computer.node is not None)


def settle(group: Group, within_ms: int = 60_000) -> None:
    """Run until everything is served, and check that no car did what none may."""
    group.run(300)
    group.run_until(lambda: is_dark(group) and is_idle(group), within_ms)
    for computer in group.computers:
        assert misbehaviour(computer.machine.counts) == 0


def motors(computer: Computer) -> list[tuple[int, Motor]]:
    return [(event.at_ms, Motor(int(event.value or 0))) for event in computer.events if event.kind is EventKind.MOTOR]


def test_l1_l2_hall_lamps_on_all_panels_cab_lamps_on_their_own() -> None:
    group = Group(at=(0, 0, 0))
    group.press(1, UP, 2)
    group.press(2, CAB, 3)
    group.run(30)
    assert group.lit(0) == {("up", 2)}
    assert group.lit(1) == {("up", 2)}
    assert group.lit(2) == {("up", 2), ("cab", 3)}
    settle(group)


def test_a1_one_car_takes_a_hall_call_and_the_others_stay() -> None:
    group = Group(at=(0, 3, 3))
    group.press(0, UP, 1)
    settle(group)
    assert floor_of(group[0]) == 1
    assert motors(group[1]) == motors(group[2]) == []


def test_d1_the_door_is_open_for_three_seconds() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 1)
    settle(group)
    (opened, _), (closed, _) = doors(group[0])
    assert 3000 <= closed - opened <= 3020


def test_d1_a_car_that_was_stopped_too_late_opens_no_door_and_comes_back() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 2)
    group.run_until(lambda: floor_of(group[0]) == 2 and motors(group[0])[-1][1] is Motor.STOP, 10_000)
    group[0].take(machines.put(group[0].machine, 2.3, group.now_ms))
    group.run(500)
    assert doors(group[0]) == []
    settle(group)
    assert len(doors(group[0])) == 2
    assert floor_of(group[0]) == 2
    assert misbehaviour(group[0].machine.counts) == 0


def test_d1_the_door_is_open_for_three_seconds_also_if_another_car_serves_the_call_meanwhile() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, UP, 1)
    group.run_until(lambda: bool(doors(group[0])), 10_000)
    serve_elsewhere(group[0], Call(UP, 1, EVERY_CAR))
    settle(group)
    (opened, _), (closed, _) = doors(group[0])
    assert 3000 <= closed - opened <= 3020


def test_c1_a_car_opens_no_door_for_a_call_that_is_served_as_it_comes_to_stand() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, UP, 1)
    group.run_until(lambda: floor_of(group[0]) == 1 and motors(group[0])[-1][1] is Motor.STOP, 10_000)
    serve_elsewhere(group[0], Call(UP, 1, EVERY_CAR))
    settle(group)
    assert doors(group[0]) == []


def test_d1_a_door_opens_at_once_where_the_car_has_stood() -> None:
    group = Group(cars=1, at=(2,))
    group.press(0, CAB, 2)
    group.run(25)
    assert [on for _, on in doors(group[0])] == [True]


def test_c5_a_sensor_that_names_one_floor_after_the_other_that_there_is_not_is_dead() -> None:
    group = Group(cars=1, at=(1,))
    seen = set()
    for lie in range(4, 104):
        group[0].lies = lie
        group.run(20)
        seen.add(fault(group[0]))
    assert seen == {Fault.NONE, Fault.POSITION}
    assert fault(group[0]) is Fault.POSITION


def test_c5_a_car_whose_sensor_lies_as_it_is_to_open_its_door_leaves_the_call_to_others() -> None:
    group = Group(cars=2, at=(1, 3))
    group[0].lies = 9
    group.press(0, UP, 1)
    group.press(0, CAB, 1)
    group.run_until(lambda: floor_of(group[1]) == 1 and bool(doors(group[1])), 10_000)
    assert fault(group[0]) is Fault.POSITION
    assert doors(group[0]) == []
    group[0].lies = None
    settle(group)
    assert len(doors(group[0])) == 2


def test_c5_nor_does_it_keep_a_call_whose_sensor_says_two_things_by_turns() -> None:
    group = Group(cars=2, at=(1, 3))
    group.press(0, UP, 1)
    for lie in [3, 9] * 300:
        group[0].lies = lie
        group.run(10)
    assert doors(group[0]) == []
    assert doors(group[1])
    group[0].lies = None
    settle(group)


def test_c5_a_car_whose_sensor_dies_as_it_runs_stops_and_goes_on_when_it_is_mended() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 2)
    group.run_until(lambda: floor_of(group[0]) == 1, 5000)
    group.run_until(lambda: floor_of(group[0]) is None, 5000)
    group[0].lies = 9
    group.run(20_000)
    assert position(group[0].machine.shaft, group.now_ms) < 1.4
    assert fault(group[0]) is Fault.POSITION
    group[0].lies = None
    group.run(20)
    assert fault(group[0]) is Fault.NONE
    settle(group)
    assert len(doors(group[0])) == 2


def test_c5_a_car_that_missed_a_floor_before_its_sensor_died_is_not_sent_past_the_end() -> None:
    group = Group(cars=1, at=(0,))
    group[0].take(machines.machine(put(Shaft(4, passing_ms=200), 0, group.now_ms)))
    group.press(0, CAB, 3)
    group.run_until(lambda: position(group[0].machine.shaft, group.now_ms) >= 1.9, 10_000)
    group[0].frozen = True
    group.run(450)
    group[0].frozen = False  # It has not been told of floor 2, ...
    assert floor_of(group[0]) is None
    group.run_until(lambda: floor_of(group[0]) == 3, 5000)
    group.run(20)
    group[0].lies = 9  # ... nor of the top floor for long enough to believe it.
    group.run(130)
    group[0].lies = None
    settle(group)
    assert len(doors(group[0])) == 2


def test_c5_a_dead_sensor_is_not_forgotten_with_a_lost_server_or_a_restart() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 2)
    group.run_until(lambda: position(group[0].machine.shaft, group.now_ms) >= 0.5, 10_000)
    group[0].lies = 9
    group.run(150)
    computer, told = group[0], len(motors(group[0]))
    for _ in range(5):
        lose_server(group, 100)
        group.run(20)
        assert fault(computer) is Fault.POSITION
        group.run(500)
    computer.kill()
    computer.server = False
    computer.start()
    group.run(400)
    computer.server = True
    group.run(500)
    assert len(motors(computer)) == told
    computer.lies = None
    settle(group)


def test_c5_a_car_whose_sensor_dies_as_its_door_is_open_leaves_it_open() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 0)
    group.press(0, CAB, 2)
    group.run(1000)
    group[0].lies = 9
    group.run(10_000)
    assert [on for _, on in doors(group[0])] == [True]
    assert motors(group[0]) == []
    group[0].lies = None
    settle(group)
    assert len(doors(group[0])) == 4


def test_d2_an_obstructed_door_stays_open_and_then_another_full_period() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 0)
    group.run(1000)
    obstruct(group[0], True)
    group.run(5000)
    obstruct(group[0], False)
    cleared_ms = group.now_ms
    settle(group)
    (_, _), (closed, _) = doors(group[0])
    assert 3000 <= closed - cleared_ms <= 3030


def test_d2_a_blocked_door_is_not_forgotten_with_each_lost_server() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 0)
    group.run(1000)
    obstruct(group[0], True)
    group.run(5000)
    assert fault(group[0]) is Fault.DOOR
    lose_server(group, 100)
    group.run(20)
    assert fault(group[0]) is Fault.DOOR
    assert [on for _, on in doors(group[0])] == [True]


def test_d1_a_door_that_was_told_to_open_as_its_server_went_stays_open_for_a_full_period() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, UP, 1)
    group.run_until(lambda: bool(doors(group[0])), 10_000)
    lose_server(group, 1000)
    serve_elsewhere(group[0], Call(UP, 1, EVERY_CAR))
    group.run(10)
    back_ms = group.now_ms
    settle(group)
    (_, _), (closed, _) = doors(group[0])
    assert closed - back_ms >= 3000


def test_d2_a_door_that_was_told_to_shut_as_its_server_went_is_not_shut_on_an_obstruction() -> None:
    group = Group(cars=2, at=(0, 3))
    group.press(0, CAB, 0)
    group.run(1000)
    group.press(1, UP, 0)  # Its news comes between two answers of the panel, and so does the end of the period.
    group.run(20)
    assert group[0].node is not None
    group.run(group[0].node.drive.close_at_ms - group.now_ms - 1)
    group[0].server = False
    group.run(1)
    assert behaviour(group[0]) is Behaviour.IDLE
    lose_server(group, 100)
    obstruct(group[0], True)
    group.run(1000)
    assert [on for _, on in doors(group[0])] == [True]
    obstruct(group[0], False)
    settle(group)
    assert [on for _, on in doors(group[0])] == [True, False]


def test_c6_a_door_whose_server_was_away_for_long_serves_who_presses_there() -> None:
    group = Group(cars=1, at=(1,))
    group.press(0, UP, 1)
    group.press(0, CAB, 3)
    group.run(500)
    lose_server(group, 16_000)
    group.run(100)
    group.press(0, UP, 1)
    group.run(50)
    assert ("up", 1) not in group.lit(0)
    settle(group)
    assert len(doors(group[0])) == 4


def test_d1_a_door_stays_open_for_another_period_after_a_lost_server() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 0)
    group.run(1000)
    lose_server(group, 5000)
    back_ms = group.now_ms
    settle(group)
    (_, _), (closed, _) = doors(group[0])
    assert 3000 <= closed - back_ms <= 3030


def test_d1_a_door_that_only_its_record_took_for_open_is_open_for_a_full_period() -> None:
    group = Group(cars=1, at=(1,))
    group.press(0, CAB, 1)
    group.run(500)
    group[0].kill()
    group[0].take(evolve(group[0].machine, door=False))
    group[0].start()
    group.run(10_000)
    (opened, _), (closed, _) = doors(group[0])[-2:]
    assert 3000 <= closed - opened <= 3020


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


def test_d1_the_record_names_no_door_before_it_is_told_to_open() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 1)
    computer = group[0]
    group.run_until(lambda: behaviour(computer) is Behaviour.DOOR_OPEN, 10_000)
    assert doors(computer) == []
    assert computer.node is not None
    assert record(computer.node).door is None
    group.run_until(lambda: bool(doors(computer)), 1000)
    assert record(computer.node).door == OpenDoor(1, Direction.UP)
    group.run(20)
    lose_server(group, 200)
    assert record(computer.node).door == OpenDoor(1, Direction.UP)


def lose_server(group: Group, for_ms: int) -> None:
    group[0].server = False
    group[0].unplug_server()
    group.run(for_ms)
    group[0].server = True


def serve_elsewhere(computer: Computer, call: Call) -> None:
    """Let a node learn that another car has served *call*."""
    assert computer.node is not None
    computer.disk.unread = evolve(record(computer.node), calls=serve(computer.node.calls, {call}))


def obstruct(computer: Computer, on: bool) -> None:
    computer.take(evolve(computer.machine, obstructed=on))


def stop_button(computer: Computer, on: bool) -> None:
    computer.take(evolve(computer.machine, stop=on))


def test_d2_obstruction_that_comes_and_goes_within_the_period_prolongs_it() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 0)
    group.run(2000)
    obstruct(group[0], True)
    group.run(500)
    obstruct(group[0], False)
    cleared_ms = group.now_ms
    settle(group)
    assert doors(group[0])[-1][0] - cleared_ms >= 3000


def test_d3_the_switch_means_nothing_while_the_door_is_shut() -> None:
    group = Group(cars=1, at=(0,))
    obstruct(group[0], True)
    group.press(0, CAB, 1)
    group.run(1000)
    assert behaviour(group[0]) is Behaviour.MOVING
    assert fault(group[0]) is Fault.NONE
    obstruct(group[0], False)
    settle(group)


def test_c2_c3_up_and_down_at_one_floor_are_cleared_one_after_the_other() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, UP, 1)
    group.press(0, DOWN, 1)
    group.run_until(lambda: machine_door(group[0]), 10_000)
    group.run(20)
    assert group.lit(0) == {("down", 1)}
    first_ms = group.now_ms
    group.run_until(lambda: not group.lit(0), 10_000)
    assert 2900 <= group.now_ms - first_ms <= 3100
    assert machine_door(group[0]), "the door stays open while the announcement changes"
    group.run(2900)
    assert machine_door(group[0]), "for another full period"
    settle(group)
    assert len(doors(group[0])) == 2


def machine_door(computer: Computer) -> bool:
    return computer.machine.door


def test_c4_starts_between_floors_by_looking_for_one_downwards() -> None:
    group = Group(cars=1, at=(1.5,))
    group.run_until(lambda: floor_of(group[0]) == 1, 5000)
    settle(group)
    assert motors(group[0])[0][1] is Motor.DOWN


def test_c4_looks_upwards_when_no_floor_comes_below() -> None:
    group = Group(cars=1, at=(1.5,))
    power(group[0], False)
    group.run(4500)
    power(group[0], True)
    group.run_until(lambda: fault(group[0]) is Fault.NONE, 5000)
    assert Motor.UP in [motor for _, motor in motors(group[0])]
    settle(group)


def power(computer: Computer, on: bool) -> None:
    computer.take(machines.power(computer.machine, on, computer.now_ms))


def test_c6_a_press_at_the_open_door_is_served_on_the_spot() -> None:
    group = Group(cars=1, at=(1,))
    group.press(0, CAB, 1)
    group.run(1500)
    assert machine_door(group[0])
    group.press(0, DOWN, 1)
    group.run(100)
    assert group.lit(0) == set()
    settle(group)
    (opened, _), (closed, _) = doors(group[0])
    assert closed - opened >= 4500 - 100, "whoever pressed gets a full period to enter"


def test_c6_not_when_the_car_goes_the_other_way() -> None:
    group = Group(cars=1, at=(1,))
    group.press(0, UP, 1)
    group.run(1000)
    group.press(0, DOWN, 1)
    group.run(100)
    assert group.lit(0) == {("down", 1)}
    settle(group)


def test_c6_a_hammered_button_does_not_hold_the_car_for_ever() -> None:
    group = Group(cars=1, at=(1,))
    group.press(0, UP, 1)
    group.run(100)
    group.press(0, CAB, 3)
    for _ in range(60):
        group.press(0, UP, 1)
        group.run(500)
    assert lamps(group[0], CAB, 3) == [True, False]


def test_c7_stop_button_stops_the_car_and_others_take_its_hall_calls() -> None:
    group = Group(cars=2, at=(0, 3))
    group.press(0, UP, 1)
    group.press(0, CAB, 3)
    group.run(1000)
    stop_button(group[0], True)
    group.run(50)
    assert motors(group[0])[-1][1] is Motor.STOP
    assert group[0].machine.stop_lamp
    group.run_until(lambda: ("up", 1) not in group.lit(0), 15_000)
    assert floor_of(group[1]) == 1
    assert group.lit(0) == {("cab", 3)}, "it keeps its cab calls"
    stop_button(group[0], False)
    settle(group)
    assert floor_of(group[0]) == 3
    assert not group[0].machine.stop_lamp


@pytest.mark.parametrize("report", [3, 9])
def test_c5_a_floor_report_that_cannot_be_true_is_counted_and_not_obeyed(report: int) -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 1)
    group.run(1000)
    computer = group[0]
    truth = computer.machine
    assert computer.inputs is not None
    original = computer.inputs
    for _ in range(5):
        group.run(9)
        assert computer.node is not None
        lied = step(computer.node, Tick(group.now_ms, evolve(original, floor=report)))
        assert lied.drive.floor == 0
        assert lied.drive.behaviour is Behaviour.MOVING
        assert lied.drive.doubts == 1
    assert truth.out is False
    settle(group)


def test_c5_a_report_that_persists_is_believed_also_by_a_node_whose_timer_is_always_late() -> None:
    group = Group(cars=1, at=(0,))
    node, now_ms = group[0].node, group.now_ms
    assert node is not None
    assert node.inputs is not None
    moved = evolve(node.inputs, floor=2)
    for _ in range(5):
        now_ms += 70
        node = step(node, Tick(now_ms, moved))
    assert node.drive.floor == 2


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


def cut(group: Group, *islands: set[int]) -> None:
    group.links = lambda sender, receiver: any(sender in island and receiver in island for island in islands)


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


def test_a2_a_cycle_of_one_way_links_leaves_no_call_without_a_car() -> None:
    group = Group(at=(0, 1, 2))
    group.links = lambda sender, receiver: (sender + 1) % 3 == receiver
    group.run(1000)
    for panel, floor in enumerate((3, 1, 2)):
        group.press(panel, DOWN, floor)
    settle(group)


def test_a2_a_call_that_no_car_claims_is_taken() -> None:
    group = Group(at=(0, 1, 3))
    group.links = lambda sender, receiver: {sender, receiver} != {0, 2}  # 0 and 2 hear each other through 1 only
    group.run(1000)
    for panel, floor in enumerate((2, 2, 1)):
        group.press(panel, UP, floor)
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


def test_c7_a_call_whose_door_had_just_opened_is_served_when_the_stop_button_is_up_again() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, UP, 0)
    group.press(0, CAB, 3)
    group.run_until(lambda: group[0].machine.door, 100)
    group[0].take(machines.hold_stop(group[0].machine, True))
    group.run(5000)
    assert ("up", 0) in group.lit(0)
    group[0].take(machines.hold_stop(group[0].machine, False))
    group.run_until(lambda: ("up", 0) not in group.lit(0), 30)
    assert floor_of(group[0]) == 0
    assert group[0].machine.door
    group.run(2900)
    assert group[0].machine.door
    settle(group)


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


def test_a3_two_nodes_with_one_id_do_no_harm() -> None:
    group = Group(at=(0, 0, 3))
    twin = group[1]
    twin.id = 0
    twin.kill()
    twin.disk.record = None
    twin.lot = 50_000
    twin.start()
    group.run(1500)
    for computer in (group[0], twin):
        assert computer.node is not None
        assert any("another node uses this one's id" in what for what in computer.node.oddities)
    assert group[2].node is not None
    assert any("two nodes use the id 0" in what for what in group[2].node.oddities)
    group.press(0, CAB, 2)
    group.press(1, DOWN, 1)
    group.run(100)
    assert group.lit(0) == {("down", 1), ("cab", 2)}
    assert group.lit(1) == {("down", 1)}, "a cab call of the other panel is not shown"
    settle(group)


def test_a3_nodes_with_other_floor_counts_are_ignored_and_said() -> None:
    group = Group(cars=2, at=(0, 0))
    group[1].floors = 9
    group[1].kill()
    group[1].start()
    group.run(1000)
    assert group[0].node is not None
    assert [what for what in group[0].node.oddities if "9 floors" in what]
    group.press(0, UP, 2)
    group.run(50)
    assert group.lit(1) == set()
    group.run_until(lambda: not group.lit(0), 20_000)


def test_s2_a_forged_acknowledgement_of_our_own_presses_is_not_believed() -> None:
    group = Group(cars=2, at=(0, 0))
    victim = group[0].node
    assert victim is not None
    entry = f"[[0,{victim.me.incarnation},{1 << 53},[]]]"
    car = '{"floor":0,"direction":1,"behaviour":0,"fault":"none"}'
    rest = f'"up":0,"down":0,"hears":0,"rates":["",""],"version":"","calls":{entry}'
    body = f'{{"group":"test","floors":4,"car":{car},{rest}}}'
    datagram = f"elevator2 63 5 1 0 1\n{body}".encode()
    assert decode(datagram, "test") is not None, "it is well formed"
    group[0].inbox.append((group.now_ms + 1, datagram))
    group.run(500)
    group.press(0, UP, 2)
    group.run(100)
    assert group.lit(1) == {("up", 2)}
    settle(group)


def test_a_doubtful_report_when_the_server_goes_leaves_nothing_due_for_ever() -> None:
    group = Group(cars=1, at=(0,))
    group[0].take(machines.put(group[0].machine, 2, group.now_ms))
    group.run(30)
    group[0].unplug_server()
    group[0].server = False
    group.run(1000)
    assert group[0].node is not None
    assert wake_at_ms(group[0].node) > group.now_ms - 1


def test_c4_a_slow_car_far_from_any_floor_finds_one() -> None:
    group = Group(cars=1, at=(1.5,), travel_ms=10_000)
    group.run_until(lambda: fault(group[0]) is Fault.NONE, 60_000)
    settle(group)


def test_c4_a_car_that_finds_its_floor_sees_the_call_that_waits_there() -> None:
    group = Group(cars=2, at=(2.6, 0))
    group.press(0, CAB, 0)
    group.press(0, DOWN, 2)
    settle(group)
    assert len(doors(group[0])) == 4, "it opens at floor 2 on its way to floor 0"


def test_a_slow_car_is_taken_for_stuck_on_its_first_trips_only() -> None:
    group = Group(cars=1, at=(0,), travel_ms=3500)
    stuck = []
    for floor in (1, 2, 3, 0, 3):
        group.press(0, CAB, floor)
        group.run(50)
        while group.lit(0):
            stuck += [floor] if fault(group[0]) is Fault.MOTOR else []
            group.run(10)
        settle(group)
    assert set(stuck) == {1, 2}


def test_a_car_that_often_turned_on_a_sensor_is_not_taken_for_stuck_when_it_crosses_one() -> None:
    car, now_ms, floor = drive.Drive(floor=1, at_floor=True, certain=True, held=False), 0, 1
    for _ in range(10):  # to and fro between two floors, with 500 ms wide sensors that it leaves after 5 ms
        direction = Direction.DOWN if floor else Direction.UP
        floor = 1 - floor
        car = drive.leave_sensor(drive.start(car, now_ms, direction), now_ms + 5)
        car = drive.reach(car, now_ms + 2005, floor)
        now_ms += 2005
    assert car.due_at_ms > now_ms + 500


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


def assert_able_on_trips_to(group: Group, *floors: int) -> None:
    """Send car 0 to one floor after the other, and see that it never takes itself for unable."""
    for floor in floors:
        group.press(0, CAB, floor)
        group.run(50)
        while group.lit(0):
            assert fault(group[0]) is Fault.NONE
            group.run(10)
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


def test_a3_a_twin_does_not_show_cab_calls_of_its_rivals_former_runs() -> None:
    group = Group(at=(0, 0, 3))
    group.press(0, CAB, 3)
    group.run(50)
    group[0].kill()
    group.run(100)
    group[0].start()
    twin = group[1]
    twin.id = 0
    twin.kill()
    twin.disk.record = None
    twin.lot = 50_000
    twin.start()
    group.run(1500)
    assert group.lit(1) == set()
    settle(group)
    assert floor_of(group[0]) == 3


def test_a3_a_car_does_not_take_the_cab_calls_of_another_with_its_id() -> None:
    group = group_with_twin()
    group.press(1, CAB, 2)
    group.run(100)
    group.press(0, CAB, 2)
    group.run_until(lambda: ("cab", 2) not in group.lit(0), 10_000)
    assert lamps(group[1], CAB, 2) == [True] or floor_of(group[1]) == 2
    settle(group)
    assert floor_of(group[0]) == floor_of(group[1]) == 2


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


def test_a3_a_cab_call_left_to_another_with_the_same_id_is_not_said_to_be_served() -> None:
    group = group_with_twin()
    group.press(0, CAB, 2)
    group.run(100)
    group[0].kill()
    group.run_until(lambda: group.lit(1) == {("cab", 2)}, 5000)
    before = group[1].node
    group[0].start()
    group.run_until(lambda: group.lit(1) == set(), 100)
    assert before is not None
    assert group[1].node is not None
    lines = list(news(before, group[1].node))
    assert "cab call of car 0 to floor 2 left to another node" in lines
    settle(group)
    assert floor_of(group[0]) == 2


def test_a3_a_node_that_starts_again_knows_its_twin_for_a_stranger() -> None:
    group = group_with_twin()
    group.press(1, CAB, 2)
    group.run(100)
    group[0].kill()
    group.run(50)
    group[0].start()
    group.run(1000)
    assert group[0].node is not None
    assert any("another node uses this one's id" in what for what in group[0].node.oddities)
    assert group.lit(0) == set()
    settle(group)
    assert floor_of(group[0]) == 0


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


def test_a3_a_node_that_reads_its_record_late_knows_its_twin_for_a_stranger() -> None:
    group = group_with_twin()
    group.press(0, CAB, 1)
    group.press(1, CAB, 2)
    group.run(100)
    kept = group[0].disk.record
    group[0].kill()
    group[0].disk.record = None
    group[0].lot = 1 << 20
    group[0].start()
    group.run(200)
    group[0].disk.unread = kept
    group.run(500)
    assert group.lit(0) == {("cab", 1)}
    settle(group)
    assert floor_of(group[0]) == 1


def test_a3_a_twin_hears_that_its_press_was_served_however_many_runs_its_id_has_had() -> None:
    group = group_with_twin()
    group[0].lot = 1 << 31
    for _ in range(10):
        group[0].kill()
        group[0].disk.record = None
        group[0].start()
        group.press(0, UP, 2)
        group.run(400)
    group.press(1, CAB, 0)
    settle(group)
    assert floor_of(group[2]) == 2
    opened = len(doors(group[2]))
    group.links = lambda sender, receiver: {sender, receiver} != {0}  # the twins do not hear each other
    group.press(1, UP, 2)
    group.run(500)
    assert group[1].node is not None
    assert len(doors(group[2])) == opened + 1
    assert not group[1].node.calls.live


def group_with_twin() -> Group:
    """Return a group in which computer 1 uses the id of computer 0."""
    group = Group(at=(0, 3, 3))
    twin = group[1]
    twin.id = 0
    twin.kill()
    twin.disk.record = None
    twin.lot = 1 << 30
    twin.start()
    group.run(1500)
    return group


def test_a2_time_in_which_no_car_could_serve_does_not_starve_a_call() -> None:
    group = Group(at=(0, 0, 0))
    for computer in group.computers:
        stop_button(computer, True)
    group.press(0, UP, 2)
    group.run(90_000)
    for computer in group.computers:
        stop_button(computer, False)
    settle(group)
    assert sum(floor_of(computer) == 2 for computer in group.computers) == 1


def test_d2_a_switch_that_is_on_already_when_the_door_opens_counts() -> None:
    group = Group(cars=1, at=(0,))
    obstruct(group[0], True)
    group.press(0, CAB, 1)
    group.run_until(lambda: machine_door(group[0]), 10_000)
    group.run(1000)
    obstruct(group[0], False)
    cleared_ms = group.now_ms
    settle(group)
    assert doors(group[0])[-1][0] - cleared_ms >= 3000


def test_l5_a_button_that_is_down_when_the_program_starts_counts() -> None:
    group = Group(cars=1, at=(0,))
    group[0].kill()
    group.press(0, CAB, 2)
    group.run(150)
    group[0].start()
    settle(group)
    assert floor_of(group[0]) == 2


SPREAD, LOBBY = Policy(park=Park.SPREAD), Policy(park=Park.LOBBY)


def places(group: Group) -> list[int | None]:
    return [computer.machine.sensed for computer in group.computers]


def test_idle_cars_spread_with_their_doors_shut() -> None:
    group = Group(floors=9, at=(0, 0, 0), policy=SPREAD)
    group.run(30_000)
    assert len({*places(group)}) == 3
    assert None not in places(group)
    assert not any(doors(computer) for computer in group.computers)
    resting = places(group)
    group.run(30_000)
    assert places(group) == resting


def test_idle_cars_go_to_the_lobby() -> None:
    group = Group(floors=5, at=(4, 2, 0), policy=LOBBY)
    group.run(20_000)
    assert places(group) == [0, 0, 0]
    assert not any(doors(computer) for computer in group.computers)


def test_a_call_turns_a_car_that_goes_to_wait_at_the_next_floor() -> None:
    group = Group(cars=1, floors=9, at=(8,), policy=LOBBY)
    group.run_until(lambda: group[0].machine.sensed == 5, 20_000)
    group.press(0, DOWN, 8)
    group.run_until(lambda: machine_door(group[0]), 4 * 2500 + 600)
    assert floor_of(group[0]) == 8


def test_a_car_waits_for_a_moment_before_it_goes_elsewhere() -> None:
    group = Group(cars=1, floors=4, at=(0,), policy=LOBBY)
    group.press(0, CAB, 2)
    group.run_until(lambda: machine_door(group[0]), 8000)
    group.run_until(lambda: not machine_door(group[0]), 4000)
    shut_ms = group.now_ms
    group.run_until(lambda: group[0].machine.sensed is None, 3000)
    assert group.now_ms - shut_ms >= drive.PARK_AFTER_MS


def test_whoever_stands_before_an_idle_car_is_served_by_it_at_once() -> None:
    """Also if another car comes by soon, whose stop would cost less."""
    group = Group(floors=4, at=(0, 1, 3))
    group.press(0, CAB, 3)
    group.run(400)
    group.press(1, UP, 1)
    assert group.run_until(lambda: machine_door(group[1]), 300) < 50
    group.run(6000)
    assert len(doors(group[0])) == 0


def test_one_car_opens_for_a_call_while_another_rests_there() -> None:
    """The news that an opening door has served a call may come after the news that the door is open."""
    group = Group(floors=4, at=(1, 1, 3))
    group.press(2, UP, 1)
    settle(group)
    assert sum(len(doors(computer)) for computer in group.computers) == 2  # one opens once: open and shut


def test_a_call_that_is_left_to_an_open_door_is_claimed_by_its_car() -> None:
    """It goes the other way, so it does not serve it on the spot; but nobody else takes it for a moment."""
    group = Group(floors=4, at=(1, 2, 3))
    group.press(0, DOWN, 1)
    group.run(300)
    group.press(0, CAB, 0)
    group.run(500)
    assert machine_door(group[0])
    group.press(2, UP, 1)
    group.run(20)
    claims = []
    for _ in range(500):
        group.run(1)
        claims.append(sum(node.share.up >> 1 & 1 for node in (each.node for each in group.computers) if node))
    assert set(claims) == {0, 1}
    assert claims.count(0) < 15, "it is let go by the one before it is taken by the other"


def test_a_demand_that_is_shared_out_otherwise_each_time_does_not_keep_a_node_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group = Group(cars=1, at=(0,), travel_ms=10_000)
    monkeypatch.setattr(assignment, "share", lambda _, me, floors, hall, cars: Buttons(hall.up & ~cars[me].claims.up))
    group.press(0, UP, 2)
    group.run(100)
    assert group[0].node is not None
    before = group[0].node.counter
    group.run(1000)
    assert group[0].node.counter - before < 40


def test_a_call_that_changes_hands_is_let_go_before_it_is_taken() -> None:
    """Car 1, next to the call, becomes able again while car 0 is on its way. At no time do both go for it."""
    group = Group(floors=8, at=(0, 6))
    stop_button(group[1], True)
    group.run(100)
    group.press(0, UP, 5)
    group.run(500)
    assert behaviour(group[0]) is Behaviour.MOVING
    stop_button(group[1], False)
    while behaviour(group[1]) is not Behaviour.DOOR_OPEN:
        nodes = [computer.node for computer in group.computers]
        assert sum(node.share.up >> 5 & 1 for node in nodes if node) <= 1
        group.run(1)
    assert doors(group[0]) == []


@pytest.mark.parametrize("behaviour", Behaviour)
def test_what_another_claims_is_taken_on_the_spot_where_a_car_stands_and_left_where_it_passes(
    behaviour: Behaviour,
) -> None:
    """A car that took a call at the floor that it has just left behind would turn round for it."""
    everything = Buttons(up=0b1111, down=0b1111)
    claimed = Buttons(up=0b0110)
    cars = {
        0: Member(Car(3), 0, claimed, Rates()),
        1: Member(Car(2, Direction.DOWN, behaviour), 0, Buttons(), Rates()),
    }
    passing = behaviour is Behaviour.MOVING
    assert give_way(1, everything, cars) == Buttons(up=0b1001 if passing else 0b1101, down=0b1111)
