"""One car: floor sensor, search for a floor, calls at an open door, stop button, and travel times."""

import pytest
from attrs import evolve
from steps import (
    CAB,
    DOWN,
    UP,
    Group,
    doors,
    fault,
    floor_of,
    is_door_open,
    lamps,
    lose_server,
    motor_power,
    motors,
    serve_elsewhere,
    settle,
    stop_button,
)

from elevator.building import elevators
from elevator.building.shaft import Shaft, position, put
from elevator.core import act, drive
from elevator.core.messages import Tick
from elevator.core.model import EVERY_CAR, NEVER_MS, Behaviour, Call, Direction, Fault, Motor
from elevator.core.node import outputs
from elevator.core.position import Position
from elevator.core.step import step


@pytest.mark.rule("C1")
def test_stopping_car_keeps_its_door_closed_if_another_car_serves_the_call() -> None:
    group = Group(cars=1, at=(0,), judged=False)
    group.press(0, UP, 1)
    group.run_until(lambda: floor_of(group[0]) == 1 and motors(group[0])[-1][1] is Motor.STOP, 10_000)
    serve_elsewhere(group[0], Call(UP, 1, EVERY_CAR))
    settle(group)
    assert doors(group[0]) == []


@pytest.mark.rule("C5")
def test_sensor_that_reports_changing_floors_outside_the_shaft_counts_as_dead() -> None:
    group = Group(cars=1, at=(1,))
    for reading in range(4, 104):
        group[0].misread_floor(reading)
        group.run(20)
        assert fault(group[0]) is Fault.POSITION or reading < 10
    assert fault(group[0]) is Fault.POSITION


@pytest.mark.rule("C5")
def test_another_car_serves_the_call_if_a_sensor_fails_before_the_door_opens() -> None:
    group = Group(cars=2, at=(1, 3))
    group[0].misread_floor(9)
    group.press(0, UP, 1)
    group.press(0, CAB, 1)
    group.run_until(lambda: floor_of(group[1]) == 1 and bool(doors(group[1])), 10_000)
    assert fault(group[0]) is Fault.POSITION
    assert doors(group[0]) == []
    group[0].misread_floor(None)
    settle(group)
    assert len(doors(group[0])) == 2


@pytest.mark.rule("C5")
def test_another_car_serves_the_call_if_a_sensor_alternates_between_wrong_floors() -> None:
    group = Group(cars=2, at=(1, 3))
    group.press(0, UP, 1)
    for reading in [3, 9] * 300:
        group[0].misread_floor(reading)
        group.run(10)
    assert doors(group[0]) == []
    assert doors(group[1])
    group[0].misread_floor(None)
    settle(group)


@pytest.mark.rule("G2", "C5")
def test_moving_car_stops_while_its_sensor_is_dead() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 2)
    group.run_until(lambda: floor_of(group[0]) == 1, 5000)
    group.run_until(lambda: floor_of(group[0]) is None, 5000)
    group[0].misread_floor(9)
    group.run(20_000)
    assert position(group[0].elevator.shaft, group.now_ms) < 1.4
    assert fault(group[0]) is Fault.POSITION
    group[0].misread_floor(None)
    group.run(20)
    assert fault(group[0]) is Fault.NONE
    settle(group)
    assert len(doors(group[0])) == 2


@pytest.mark.rule("C5")
def test_car_that_missed_a_floor_before_its_sensor_failed_does_not_pass_the_end_floor() -> None:
    group = Group(cars=1, at=(0,), judged=False)
    group[0].set_elevator(elevators.new_elevator(put(Shaft(4, passing_ms=200), 0, group.now_ms)))
    group.press(0, CAB, 3)
    group.run_until(lambda: position(group[0].elevator.shaft, group.now_ms) >= 1.9, 10_000)
    group[0].freeze(True)
    group.run(450)
    group[0].freeze(False)  # The node has missed floor 2.
    assert floor_of(group[0]) is None
    group.run_until(lambda: floor_of(group[0]) == 3, 5000)
    group.run(20)
    # The sensor fails before the node has read the top floor for long enough to accept it.
    group[0].misread_floor(9)
    group.run(130)
    group[0].misread_floor(None)
    settle(group)
    assert len(doors(group[0])) == 2


@pytest.mark.rule("C5", "C11")
def test_dead_sensor_still_counts_as_dead_after_a_lost_server_or_a_restart() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 2)
    group.run_until(lambda: position(group[0].elevator.shaft, group.now_ms) >= 0.5, 10_000)
    group[0].misread_floor(9)
    group.run(150)
    car, commands = group[0], len(motors(group[0]))
    for _ in range(5):
        lose_server(group, 100)
        group.run(20)
        assert fault(car) is Fault.POSITION
        group.run(500)
    car.kill()
    car.unplug_server()
    car.start()
    group.run(400)
    car.unplug_server(on=False)
    group.run(500)
    assert len(motors(car)) == commands
    car.misread_floor(None)
    settle(group)


@pytest.mark.rule("C5")
def test_door_stays_open_when_the_sensor_fails() -> None:
    group = Group(cars=1, at=(0,), judged=False)
    group.press(0, CAB, 0)
    group.press(0, CAB, 2)
    group.run(1000)
    group[0].misread_floor(9)
    group.run(10_000)
    assert [on for _, on in doors(group[0])] == [True]
    assert motors(group[0]) == []
    group[0].misread_floor(None)
    settle(group)
    assert len(doors(group[0])) == 4


@pytest.mark.rule("C6", "D4")
def test_press_at_an_open_door_is_served_after_a_long_server_outage() -> None:
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


@pytest.mark.rule("C2", "C3")
def test_up_and_down_calls_at_one_floor_are_cleared_one_after_the_other() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, UP, 1)
    group.press(0, DOWN, 1)
    group.run_until(lambda: is_door_open(group[0]), 10_000)
    group.run(20)
    assert group.lit(0) == {("down", 1)}
    first_ms = group.now_ms
    group.run_until(lambda: not group.lit(0), 10_000)
    assert 2900 <= group.now_ms - first_ms <= 3100
    assert is_door_open(group[0])
    group.run(2900)
    assert is_door_open(group[0]), "the door must stay open for another dwell time"
    settle(group)
    assert len(doors(group[0])) == 2


@pytest.mark.rule("C4")
def test_car_between_floors_searches_downwards_first() -> None:
    group = Group(cars=1, at=(1.5,))
    group.run_until(lambda: floor_of(group[0]) == 1, 5000)
    settle(group)
    assert motors(group[0])[0][1] is Motor.DOWN


@pytest.mark.rule("C4")
def test_car_between_floors_searches_upwards_if_it_finds_no_floor_below() -> None:
    group = Group(cars=1, at=(1.5,))
    motor_power(group[0], False)
    group.run(4500)
    motor_power(group[0], True)
    group.run_until(lambda: fault(group[0]) is Fault.NONE, 5000)
    assert Motor.UP in [motor for _, motor in motors(group[0])]
    settle(group)


@pytest.mark.rule("C6")
def test_press_at_an_open_door_is_served_without_another_stop() -> None:
    group = Group(cars=1, at=(1,))
    group.press(0, CAB, 1)
    group.run(1500)
    assert is_door_open(group[0])
    group.press(0, DOWN, 1)
    group.run(100)
    assert group.lit(0) == set()
    settle(group)
    (opened_ms, _), (closed_ms, _) = doors(group[0])
    assert closed_ms - opened_ms >= 1500 + 3000 - 100, "the passenger must have a full dwell time to enter"


@pytest.mark.rule("C2", "C6")
def test_press_at_an_open_door_waits_if_the_car_has_announced_the_other_direction() -> None:
    group = Group(cars=1, at=(1,))
    group.press(0, UP, 1)
    group.run(1000)
    group.press(0, DOWN, 1)
    group.run(100)
    assert group.lit(0) == {("down", 1)}
    settle(group)


@pytest.mark.rule("C6")
def test_repeated_presses_at_an_open_door_do_not_hold_the_car_forever() -> None:
    group = Group(cars=1, at=(1,))
    group.press(0, UP, 1)
    group.run(100)
    group.press(0, CAB, 3)
    for _ in range(60):
        group.press(0, UP, 1)
        group.run(500)
    assert lamps(group[0], CAB, 3) == [True, False]


@pytest.mark.rule("C7", "L6")
def test_stop_button_stops_the_car_and_another_car_serves_its_hall_calls() -> None:
    group = Group(cars=2, at=(0, 3))
    group.press(0, UP, 1)
    group.press(0, CAB, 3)
    group.run(1000)
    stop_button(group[0], True)
    group.run(50)
    assert motors(group[0])[-1][1] is Motor.STOP
    assert group[0].elevator.stop_lamp
    group.run_until(lambda: ("up", 1) not in group.lit(0), 15_000)
    assert floor_of(group[1]) == 1
    assert group.lit(0) == {("cab", 3)}
    stop_button(group[0], False)
    settle(group)
    assert floor_of(group[0]) == 3
    assert not group[0].elevator.stop_lamp


@pytest.mark.rule("C5")
@pytest.mark.parametrize("report", [3, 9])
def test_impossible_floor_reading_is_counted_and_ignored(report: int) -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 1)
    group.run(1000)
    car = group[0]
    assert car.node.inputs is not None
    wrong = evolve(car.node.inputs, floor=report)
    for _ in range(5):
        group.run(9)
        after = step(car.node, Tick(group.now_ms, wrong)).drive
        assert after.position.floor == 0
        assert after.behaviour is Behaviour.MOVING
        assert after.position.rejections == 1
    settle(group)


@pytest.mark.rule("C5", "C7")
@pytest.mark.parametrize(("end", "inwards"), [(0, Motor.UP), (3, Motor.DOWN)])
def test_car_that_was_stopped_beyond_an_end_floor_drives_back(end: int, inwards: Motor) -> None:
    """A car can roll off its floor if a slow server stops the motor late."""
    group = Group(cars=1, at=(end + inwards,))
    group.press(0, CAB, end)
    group.run_until(lambda: floor_of(group[0]) is None, 5000)
    group.run(20)
    node, now_ms = group[0].node, group.now_ms
    inputs = node.inputs
    assert inputs is not None
    for floor, stop in (None, True), (end, True), (None, True), (None, False):
        now_ms += 20
        node = step(node, Tick(now_ms, evolve(inputs, floor=floor, stop=stop)))
    assert outputs(node).motor is inwards
    node = step(node, Tick(now_ms + 20, evolve(inputs, floor=end)))
    assert node.drive.position.floor == end
    assert outputs(node).motor is Motor.STOP


@pytest.mark.rule("C4", "C5")
def test_car_that_has_rolled_off_the_lowest_floor_searches_upwards() -> None:
    """A car can roll off its floor if a slow server stops the motor late."""
    group = Group(cars=1, at=(1,))
    group.press(0, CAB, 0)
    group.run_until(lambda: floor_of(group[0]) is None, 5000)
    group.run(20)
    node, now_ms = group[0].node, group.now_ms
    inputs = node.inputs
    assert inputs is not None
    for floor in 0, *[None] * 10:
        now_ms += 20
        node = step(node, Tick(now_ms, evolve(inputs, floor=floor)))
    assert outputs(node).motor is Motor.UP


@pytest.mark.rule("C5")
def test_persistent_floor_reading_is_accepted_even_if_every_turn_is_late() -> None:
    group = Group(cars=1, at=(0,))
    node, now_ms = group[0].node, group.now_ms
    assert node.inputs is not None
    moved = evolve(node.inputs, floor=2)
    for _ in range(5):
        now_ms += 70
        node = step(node, Tick(now_ms, moved))
    assert node.drive.position.floor == 2


@pytest.mark.rule("C7", "C9")
def test_call_at_an_opening_door_is_served_once_the_stop_button_is_released() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, UP, 0)
    group.press(0, CAB, 3)
    group.run_until(lambda: group[0].elevator.door, 100)
    stop_button(group[0], True)
    group.run(5000)
    assert ("up", 0) in group.lit(0)
    stop_button(group[0], False)
    group.run_until(lambda: ("up", 0) not in group.lit(0), 30)
    assert floor_of(group[0]) == 0
    assert group[0].elevator.door
    group.run(2900)
    assert group[0].elevator.door
    settle(group)


@pytest.mark.rule("C11")
def test_rejected_floor_reading_does_not_wake_the_node_while_its_server_is_lost() -> None:
    group = Group(cars=1, at=(0,))
    group[0].set_elevator(elevators.put(group[0].elevator, 2, group.now_ms))
    group.run(30)
    group[0].unplug_server()
    group.run(1000)
    assert group[0].node.quiet_until_ms == NEVER_MS


@pytest.mark.rule("C4")
def test_slow_car_between_floors_finds_a_floor() -> None:
    group = Group(cars=1, at=(1.5,), travel_ms=10_000)
    group.run_until(lambda: fault(group[0]) is Fault.NONE, 60_000)
    settle(group)


@pytest.mark.rule("C1", "C4")
def test_searching_car_serves_a_call_in_its_direction_at_the_floor_it_finds() -> None:
    group = Group(cars=2, at=(2.6, 0))
    group.press(0, CAB, 0)
    group.press(0, DOWN, 2)
    settle(group)
    assert len(doors(group[0])) == 4, "the door must open at floor 2 and at floor 0"


@pytest.mark.rule("C8")
def test_slow_car_is_out_of_service_on_its_first_two_trips_only() -> None:
    group = Group(cars=1, at=(0,), travel_ms=3500)
    trips_with_fault = []
    for floor in (1, 2, 3, 0, 3):
        group.press(0, CAB, floor)
        group.run(50)
        while group.lit(0):
            trips_with_fault += [floor] if fault(group[0]) is Fault.MOTOR else []
            group.run(10)
        settle(group)
    assert set(trips_with_fault) == {1, 2}


@pytest.mark.rule("C8")
def test_deadline_for_a_sensor_edge_allows_for_crossing_a_sensor_for_the_first_time() -> None:
    where = Position(floor=1, at_floor=True, trusted=True)
    car, now_ms, floor = drive.Drive(where, held=False), 0, 1
    # The car has only reversed at sensors, which takes 5 ms. Crossing a sensor takes 500 ms.
    for _ in range(10):
        direction = Direction.DOWN if floor else Direction.UP
        floor = 1 - floor
        car = drive.leave_sensor(act.start(car, now_ms, direction), now_ms + 5, is_exact=True, floors=4)
        car = drive.reach(car, now_ms + 2005, floor, is_exact=True)
        now_ms += 2005
    assert car.due_at_ms > now_ms + 500
