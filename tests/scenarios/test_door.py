"""The door: dwell time, obstruction, and recovery after a lost server or a restart."""

import pytest
from attrs import evolve
from steps import (
    CAB,
    UP,
    Group,
    behaviour,
    doors,
    fault,
    floor_of,
    is_door_open,
    lose_server,
    motors,
    obstruct,
    serve_elsewhere,
    settle,
)

from elevator.building import elevators
from elevator.building.elevators import misbehaviour
from elevator.core.door import DOOR_EXTENSION_MS
from elevator.core.messages import OpenDoor
from elevator.core.model import EVERY_CAR, Behaviour, Call, Direction, Fault, Motor
from elevator.core.node import record


@pytest.mark.rule("D1")
def test_door_stays_open_for_three_seconds() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 1)
    settle(group)
    (opened_ms, _), (closed_ms, _) = doors(group[0])
    assert 3000 <= closed_ms - opened_ms <= 3020


@pytest.mark.rule("D1")
def test_car_that_overruns_its_floor_returns_before_it_opens_its_door() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 2)
    group.run_until(lambda: floor_of(group[0]) == 2 and motors(group[0])[-1][1] is Motor.STOP, 10_000)
    group[0].set_elevator(elevators.put(group[0].elevator, 2.3, group.now_ms))
    group.run(500)
    assert doors(group[0]) == []
    settle(group)
    assert len(doors(group[0])) == 2
    assert floor_of(group[0]) == 2
    assert misbehaviour(group[0].elevator.counts) == 0


@pytest.mark.rule("D1")
def test_door_stays_open_for_three_seconds_even_if_another_car_serves_the_call() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, UP, 1)
    group.run_until(lambda: bool(doors(group[0])), 10_000)
    serve_elsewhere(group[0], Call(UP, 1, EVERY_CAR))
    settle(group)
    (opened_ms, _), (closed_ms, _) = doors(group[0])
    assert 3000 <= closed_ms - opened_ms <= 3020


@pytest.mark.rule("D1")
def test_door_of_a_stationary_car_opens_at_once() -> None:
    group = Group(cars=1, at=(2,))
    group.press(0, CAB, 2)
    group.run(25)
    assert [on for _, on in doors(group[0])] == [True]


@pytest.mark.rule("D2")
def test_door_stays_open_while_obstructed_and_for_a_dwell_time_afterwards() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 0)
    group.run(1000)
    obstruct(group[0], True)
    group.run(5000)
    obstruct(group[0], False)
    cleared_ms = group.now_ms
    settle(group)
    (_, _), (closed_ms, _) = doors(group[0])
    assert 3000 <= closed_ms - cleared_ms <= 3030


@pytest.mark.rule("D2", "D4")
def test_car_with_a_blocked_door_stays_out_of_service_when_its_server_reconnects() -> None:
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


@pytest.mark.rule("D1", "D4")
def test_door_that_opened_just_before_the_server_was_lost_stays_open_for_a_dwell_time() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, UP, 1)
    group.run_until(lambda: bool(doors(group[0])), 10_000)
    lose_server(group, 1000)
    serve_elsewhere(group[0], Call(UP, 1, EVERY_CAR))
    group.run(10)
    reconnected_ms = group.now_ms
    settle(group)
    (_, _), (closed_ms, _) = doors(group[0])
    assert closed_ms - reconnected_ms >= 3000


@pytest.mark.rule("D2", "D4")
def test_obstructed_door_stays_open_if_its_close_command_was_lost_with_the_server() -> None:
    group = Group(cars=2, at=(0, 3))
    group.press(0, CAB, 0)
    group.run(1000)
    # This call arrives between two replies of the panel. The dwell time also ends between two replies.
    group.press(1, UP, 0)
    group.run(20)
    group.run(group[0].node.drive.door.close_at_ms - group.now_ms - 1)
    group[0].unplug_server()
    group.run(1)
    assert behaviour(group[0]) is Behaviour.IDLE
    lose_server(group, 100)
    obstruct(group[0], True)
    group.run(1000)
    assert [on for _, on in doors(group[0])] == [True]
    obstruct(group[0], False)
    settle(group)
    assert [on for _, on in doors(group[0])] == [True, False]


@pytest.mark.rule("D4")
def test_door_stays_open_for_another_dwell_time_after_the_server_reconnects() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 0)
    group.run(1000)
    lose_server(group, 5000)
    reconnected_ms = group.now_ms
    settle(group)
    (_, _), (closed_ms, _) = doors(group[0])
    assert 3000 <= closed_ms - reconnected_ms <= 3030


@pytest.mark.rule("D1", "D4")
def test_closed_door_that_the_record_lists_as_open_reopens_for_a_dwell_time() -> None:
    group = Group(cars=1, at=(1,))
    group.press(0, CAB, 1)
    group.run(500)
    group[0].kill()
    group[0].set_elevator(evolve(group[0].elevator, door=False))
    group[0].start()
    group.run(10_000)
    (opened_ms, _), (closed_ms, _) = doors(group[0])[-2:]
    assert 3000 <= closed_ms - opened_ms <= 3020


@pytest.mark.rule("D4")
def test_record_lists_the_door_as_open_only_after_the_open_command() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 1)
    car = group[0]
    group.run_until(lambda: behaviour(car) is Behaviour.DOOR_OPEN, 10_000)
    assert doors(car) == []
    assert record(car.node).door is None
    group.run_until(lambda: bool(doors(car)), 1000)
    assert record(car.node).door == OpenDoor(1, Direction.UP)
    group.run(20)
    lose_server(group, 200)
    assert record(car.node).door == OpenDoor(1, Direction.UP)


@pytest.mark.rule("D2")
def test_dwell_time_restarts_when_an_obstruction_clears() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 0)
    group.run(2000)
    obstruct(group[0], True)
    group.run(500)
    obstruct(group[0], False)
    cleared_ms = group.now_ms
    settle(group)
    assert doors(group[0])[-1][0] - cleared_ms >= 3000


@pytest.mark.rule("D3")
def test_obstruction_switch_has_no_effect_while_the_door_is_closed() -> None:
    group = Group(cars=1, at=(0,))
    obstruct(group[0], True)
    group.press(0, CAB, 1)
    group.run(1000)
    assert behaviour(group[0]) is Behaviour.MOVING
    assert fault(group[0]) is Fault.NONE
    obstruct(group[0], False)
    settle(group)


@pytest.mark.rule("D2", "D3")
def test_door_that_opens_with_the_obstruction_switch_on_stays_open() -> None:
    group = Group(cars=1, at=(0,))
    obstruct(group[0], True)
    group.press(0, CAB, 1)
    group.run_until(lambda: is_door_open(group[0]), 10_000)
    group.run(1000)
    obstruct(group[0], False)
    cleared_ms = group.now_ms
    settle(group)
    assert doors(group[0])[-1][0] - cleared_ms >= 3000


@pytest.mark.rule("C6", "G3")
def test_another_car_serves_a_call_at_a_door_held_open_by_a_flickering_obstruction() -> None:
    group = Group(cars=2, at=(0, 1))
    group.press(0, CAB, 0)
    group.run_until(lambda: is_door_open(group[0]), 1000)
    pressed_ms = group.now_ms + DOOR_EXTENSION_MS + 1000
    while group.now_ms < pressed_ms + 10_000:
        obstruct(group[0], True)
        group.run(2000)
        obstruct(group[0], False)
        group.run(500)
        if pressed_ms <= group.now_ms < pressed_ms + 2500:
            group.press(1, UP, 0)
    assert is_door_open(group[0])
    assert floor_of(group[1]) == 0
    assert group.lit(0) == group.lit(1) == set()
    settle(group)
