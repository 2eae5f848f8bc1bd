"""The door."""

from attrs import evolve
from group import Group
from steps import (
    CAB,
    UP,
    behaviour,
    doors,
    fault,
    floor_of,
    lose_server,
    machine_door,
    motors,
    obstruct,
    serve_elsewhere,
    settle,
)

from elevator.building import elevator as machines
from elevator.building.elevator import misbehaviour
from elevator.core.model import (
    EVERY_CAR,
    Behaviour,
    Call,
    Direction,
    Fault,
    Motor,
    OpenDoor,
)
from elevator.core.node import record


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


def test_d1_a_door_opens_at_once_where_the_car_has_stood() -> None:
    group = Group(cars=1, at=(2,))
    group.press(0, CAB, 2)
    group.run(25)
    assert [on for _, on in doors(group[0])] == [True]


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
