"""One car."""

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
    lamps,
    lose_server,
    machine_door,
    motors,
    power,
    serve_elsewhere,
    settle,
    stop_button,
)

from elevator.building import elevator as machines
from elevator.building.shaft import Shaft, position, put
from elevator.core import act, drive
from elevator.core.model import (
    EVERY_CAR,
    Behaviour,
    Call,
    Direction,
    Fault,
    Motor,
    Tick,
)
from elevator.core.node import wake_at_ms
from elevator.core.position import Position
from elevator.core.step import step


@pytest.mark.rule("C1")
def test_car_opens_no_door_for_a_call_that_another_car_serves_as_it_stops() -> None:
    group = Group(cars=1, at=(0,), judged=False)
    group.press(0, UP, 1)
    group.run_until(lambda: floor_of(group[0]) == 1 and motors(group[0])[-1][1] is Motor.STOP, 10_000)
    serve_elsewhere(group[0], Call(UP, 1, EVERY_CAR))
    settle(group)
    assert doors(group[0]) == []


@pytest.mark.rule("C5")
def test_sensor_that_names_changing_floors_outside_the_shaft_is_dead() -> None:
    group = Group(cars=1, at=(1,))
    seen = set()
    for lie in range(4, 104):
        group[0].lie(lie)
        group.run(20)
        seen.add(fault(group[0]))
    assert seen == {Fault.NONE, Fault.POSITION}
    assert fault(group[0]) is Fault.POSITION


@pytest.mark.rule("C5")
def test_another_car_takes_the_call_if_a_sensor_dies_before_the_door_opens() -> None:
    group = Group(cars=2, at=(1, 3))
    group[0].lie(9)
    group.press(0, UP, 1)
    group.press(0, CAB, 1)
    group.run_until(lambda: floor_of(group[1]) == 1 and bool(doors(group[1])), 10_000)
    assert fault(group[0]) is Fault.POSITION
    assert doors(group[0]) == []
    group[0].lie(None)
    settle(group)
    assert len(doors(group[0])) == 2


@pytest.mark.rule("C5")
def test_another_car_takes_the_call_if_a_sensor_alternates_between_wrong_floors() -> None:
    group = Group(cars=2, at=(1, 3))
    group.press(0, UP, 1)
    for lie in [3, 9] * 300:
        group[0].lie(lie)
        group.run(10)
    assert doors(group[0]) == []
    assert doors(group[1])
    group[0].lie(None)
    settle(group)


@pytest.mark.rule("G2", "C5")
def test_moving_car_stops_when_its_sensor_dies_and_continues_when_it_works_again() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 2)
    group.run_until(lambda: floor_of(group[0]) == 1, 5000)
    group.run_until(lambda: floor_of(group[0]) is None, 5000)
    group[0].lie(9)
    group.run(20_000)
    assert position(group[0].machine.shaft, group.now_ms) < 1.4
    assert fault(group[0]) is Fault.POSITION
    group[0].lie(None)
    group.run(20)
    assert fault(group[0]) is Fault.NONE
    settle(group)
    assert len(doors(group[0])) == 2


@pytest.mark.rule("C5")
def test_car_that_missed_a_floor_before_its_sensor_died_does_not_drive_past_the_end() -> None:
    group = Group(cars=1, at=(0,), judged=False)
    group[0].take(machines.machine(put(Shaft(4, passing_ms=200), 0, group.now_ms)))
    group.press(0, CAB, 3)
    group.run_until(lambda: position(group[0].machine.shaft, group.now_ms) >= 1.9, 10_000)
    group[0].freeze(True)
    group.run(450)
    group[0].freeze(False)  # It has not been told of floor 2, ...
    assert floor_of(group[0]) is None
    group.run_until(lambda: floor_of(group[0]) == 3, 5000)
    group.run(20)
    group[0].lie(9)  # ... nor of the top floor for long enough to believe it.
    group.run(130)
    group[0].lie(None)
    settle(group)
    assert len(doors(group[0])) == 2


@pytest.mark.rule("C5", "C11")
def test_dead_sensor_stays_dead_after_a_lost_server_or_a_restart() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 2)
    group.run_until(lambda: position(group[0].machine.shaft, group.now_ms) >= 0.5, 10_000)
    group[0].lie(9)
    group.run(150)
    computer, told = group[0], len(motors(group[0]))
    for _ in range(5):
        lose_server(group, 100)
        group.run(20)
        assert fault(computer) is Fault.POSITION
        group.run(500)
    computer.kill()
    computer.unplug_server()
    computer.start()
    group.run(400)
    computer.unplug_server(on=False)
    group.run(500)
    assert len(motors(computer)) == told
    computer.lie(None)
    settle(group)


@pytest.mark.rule("C5")
def test_door_stays_open_when_the_sensor_dies() -> None:
    group = Group(cars=1, at=(0,), judged=False)
    group.press(0, CAB, 0)
    group.press(0, CAB, 2)
    group.run(1000)
    group[0].lie(9)
    group.run(10_000)
    assert [on for _, on in doors(group[0])] == [True]
    assert motors(group[0]) == []
    group[0].lie(None)
    settle(group)
    assert len(doors(group[0])) == 4


@pytest.mark.rule("C6", "D4")
def test_press_at_an_open_door_is_served_after_a_long_loss_of_the_server() -> None:
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
def test_up_and_down_at_one_floor_are_cleared_one_after_the_other() -> None:
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


@pytest.mark.rule("C4")
def test_car_between_floors_looks_down_first() -> None:
    group = Group(cars=1, at=(1.5,))
    group.run_until(lambda: floor_of(group[0]) == 1, 5000)
    settle(group)
    assert motors(group[0])[0][1] is Motor.DOWN


@pytest.mark.rule("C4")
def test_car_between_floors_looks_up_when_it_finds_no_floor_below() -> None:
    group = Group(cars=1, at=(1.5,))
    power(group[0], False)
    group.run(4500)
    power(group[0], True)
    group.run_until(lambda: fault(group[0]) is Fault.NONE, 5000)
    assert Motor.UP in [motor for _, motor in motors(group[0])]
    settle(group)


@pytest.mark.rule("C6")
def test_press_at_an_open_door_is_served_on_the_spot() -> None:
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


@pytest.mark.rule("C2", "C6")
def test_press_at_an_open_door_waits_if_the_car_goes_the_other_way() -> None:
    group = Group(cars=1, at=(1,))
    group.press(0, UP, 1)
    group.run(1000)
    group.press(0, DOWN, 1)
    group.run(100)
    assert group.lit(0) == {("down", 1)}
    settle(group)


@pytest.mark.rule("C6")
def test_pressing_again_and_again_does_not_hold_the_car() -> None:
    group = Group(cars=1, at=(1,))
    group.press(0, UP, 1)
    group.run(100)
    group.press(0, CAB, 3)
    for _ in range(60):
        group.press(0, UP, 1)
        group.run(500)
    assert lamps(group[0], CAB, 3) == [True, False]


@pytest.mark.rule("C7", "L6")
def test_stop_button_stops_the_car_and_others_take_its_hall_calls() -> None:
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


@pytest.mark.rule("C5")
@pytest.mark.parametrize("report", [3, 9])
def test_impossible_floor_reading_is_counted_and_ignored(report: int) -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 1)
    group.run(1000)
    computer = group[0]
    truth = computer.machine
    assert computer.node is not None
    assert computer.node.inputs is not None
    original = computer.node.inputs
    for _ in range(5):
        group.run(9)
        assert computer.node is not None
        lied = step(computer.node, Tick(group.now_ms, evolve(original, floor=report)))
        assert lied.drive.position.floor == 0
        assert lied.drive.behaviour is Behaviour.MOVING
        assert lied.drive.position.rejections == 1
    assert truth.out is False
    settle(group)


@pytest.mark.rule("C5")
def test_persistent_reading_is_accepted_even_if_every_turn_is_late() -> None:
    group = Group(cars=1, at=(0,))
    node, now_ms = group[0].node, group.now_ms
    assert node is not None
    assert node.inputs is not None
    moved = evolve(node.inputs, floor=2)
    for _ in range(5):
        now_ms += 70
        node = step(node, Tick(now_ms, moved))
    assert node.drive.position.floor == 2


@pytest.mark.rule("C7", "C9")
def test_call_at_a_door_that_has_just_opened_is_served_after_the_stop_button_is_released() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, UP, 0)
    group.press(0, CAB, 3)
    group.run_until(lambda: group[0].machine.door, 100)
    stop_button(group[0], True)
    group.run(5000)
    assert ("up", 0) in group.lit(0)
    stop_button(group[0], False)
    group.run_until(lambda: ("up", 0) not in group.lit(0), 30)
    assert floor_of(group[0]) == 0
    assert group[0].machine.door
    group.run(2900)
    assert group[0].machine.door
    settle(group)


@pytest.mark.rule("C11")
def test_doubtful_reading_before_a_lost_server_does_not_keep_the_node_busy() -> None:
    group = Group(cars=1, at=(0,))
    group[0].take(machines.put(group[0].machine, 2, group.now_ms))
    group.run(30)
    group[0].unplug_server()
    group.run(1000)
    assert group[0].node is not None
    assert wake_at_ms(group[0].node) > group.now_ms - 1


@pytest.mark.rule("C4")
def test_slow_car_far_from_any_floor_finds_one() -> None:
    group = Group(cars=1, at=(1.5,), travel_ms=10_000)
    group.run_until(lambda: fault(group[0]) is Fault.NONE, 60_000)
    settle(group)


@pytest.mark.rule("C1", "C4")
def test_car_that_finds_a_floor_serves_the_call_there() -> None:
    group = Group(cars=2, at=(2.6, 0))
    group.press(0, CAB, 0)
    group.press(0, DOWN, 2)
    settle(group)
    assert len(doors(group[0])) == 4, "it opens at floor 2 on its way to floor 0"


@pytest.mark.rule("C8")
def test_slow_car_is_out_of_service_on_its_first_trips_only() -> None:
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


@pytest.mark.rule("C8")
def test_car_that_often_turned_on_a_sensor_stays_in_service_when_it_crosses_one() -> None:
    where = Position(floor=1, at_floor=True, trusted=True)
    car, now_ms, floor = drive.Drive(where, held=False), 0, 1
    for _ in range(10):  # to and fro between two floors, with 500 ms wide sensors that it leaves after 5 ms
        direction = Direction.DOWN if floor else Direction.UP
        floor = 1 - floor
        car = drive.leave_sensor(act.start(car, now_ms, direction), now_ms + 5, is_exact=True)
        car = drive.reach(car, now_ms + 2005, floor, is_exact=True)
        now_ms += 2005
    assert car.due_at_ms > now_ms + 500
