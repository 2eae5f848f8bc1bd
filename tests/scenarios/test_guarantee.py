"""Failures: a call whose lamp is lit is served nevertheless, and other cars take over soon."""

import pytest
from attrs import evolve
from steps import (
    CAB,
    DOWN,
    UP,
    Group,
    assert_in_service_on_trips_to,
    doors,
    fault,
    floor_of,
    is_dark,
    is_door_open,
    lamps,
    lose_server,
    motor_power,
    motors,
    obstruct,
    partition,
    settle,
)

from elevator.building import elevators
from elevator.building.shaft import command
from elevator.core.model import (
    INCARNATIONS_KEPT,
    Fault,
    Motor,
)
from elevator.core.node import heartbeat
from elevator.net.wire import encode
from elevator.simulation.links import GROUP


@pytest.mark.rule("D1", "C11")
def test_car_that_moves_when_its_server_returns_opens_its_door_only_at_standstill() -> None:
    group = Group(cars=1, at=(1,), judged=False)
    group.press(0, CAB, 1)
    group.run(500)
    lose_server(group, 300)
    car = group[0]
    # The server returns while the car passes the floor where it stood before.
    elevator = elevators.put(evolve(car.elevator, door=False), 1, group.now_ms)
    car.set_elevator(evolve(elevator, shaft=command(elevator.shaft, Motor.DOWN, group.now_ms)))
    settle(group)
    stopped_ms, motor = motors(car)[-1]
    assert motor is Motor.STOP
    assert [(on, at_ms > stopped_ms) for at_ms, on in doors(car)[-2:]] == [(True, True), (False, True)]


@pytest.mark.rule("G2", "G3")
def test_another_car_starts_for_a_killed_nodes_hall_call_within_400_ms() -> None:
    group = Group(at=(0, 3, 3))
    group.press(0, UP, 1)
    group.run(200)
    assert motors(group[0])[-1][1] is Motor.UP
    group[0].kill()
    group.run_until(lambda: bool(motors(group[1]) + motors(group[2])), 400)
    settle(group)


@pytest.mark.rule("G2", "G3")
def test_another_car_starts_for_a_hall_call_within_2_s_of_a_motor_power_failure() -> None:
    group = Group(at=(0, 3, 3))
    group.press(0, UP, 2)
    settle(group)
    group.press(0, DOWN, 1)
    group.run_until(lambda: floor_of(group[0]) is None, 2000)
    group.run(300)
    motor_power(group[0], False)
    before = len(motors(group[1])) + len(motors(group[2]))
    group.run_until(lambda: len(motors(group[1])) + len(motors(group[2])) > before, 2000)
    motor_power(group[0], True)
    settle(group)


@pytest.mark.rule("G2", "G3")
def test_another_car_starts_within_1_s_after_the_dwell_time_of_a_blocked_door() -> None:
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


@pytest.mark.rule("G1", "L4")
def test_cab_calls_survive_a_crash_of_their_node() -> None:
    group = Group(at=(0, 0, 0))
    group.press(0, CAB, 3)
    group.run(100)
    group[0].kill()
    group.run(2000)
    group[0].start()
    group.run_until(lambda: floor_of(group[0]) == 3 and is_door_open(group[0]), 20_000)
    settle(group)
    assert lamps(group[0], CAB, 3) == [True, False]


@pytest.mark.rule("G1", "G2")
def test_cab_calls_survive_a_wiped_disk_if_a_peer_is_alive() -> None:
    group = Group(at=(0, 0, 0))
    group.press(0, CAB, 3)
    group.run(100)
    group[0].kill()
    group[0].wipe()
    group.run(5000)
    group[0].start()
    group.run_until(lambda: floor_of(group[0]) == 3 and is_door_open(group[0]), 20_000)
    settle(group)


@pytest.mark.rule("G1", "G2")
def test_all_lit_calls_are_served_after_a_blackout() -> None:
    group = Group(at=(0, 0, 2))
    group.press(0, CAB, 3)
    group.press(1, DOWN, 3)
    group.press(2, UP, 1)
    group.run(100)
    assert group.lit(0) | group.lit(1) | group.lit(2) == {("cab", 3), ("down", 3), ("up", 1)}
    for car in group.cars:
        car.kill()
    group.run(10_000)
    for car in group.cars:
        car.start()
    settle(group)
    assert lamps(group[0], CAB, 3) == [True, False]
    assert floor_of(group[0]) == 3


@pytest.mark.rule("G4")
def test_both_sides_of_a_partition_serve_their_calls() -> None:
    group = Group(cars=4, at=(0, 0, 3, 3))
    partition(group, {0, 1}, {2, 3})
    group.run(500)
    group.press(0, DOWN, 2)
    group.press(2, DOWN, 2)
    group.press(3, UP, 1)
    group.run(50)
    assert group.lit(1) == {("down", 2)}
    assert group.lit(3) == {("down", 2), ("up", 1)}
    settle(group)
    partition(group, {0, 1, 2, 3})
    group.run(1000)
    assert is_dark(group)


@pytest.mark.rule("G4", "G5")
def test_calls_of_both_sides_merge_when_the_network_heals() -> None:
    group = Group(cars=2, at=(0, 0))
    partition(group, {0}, {1})
    group.run(500)
    group.press(0, DOWN, 3)
    group.press(1, DOWN, 2)
    group.run(500)
    assert (group.lit(0), group.lit(1)) == ({("down", 3)}, {("down", 2)})
    partition(group, {0, 1})
    group.run(1000)
    assert group.lit(0) == group.lit(1) == {("down", 2), ("down", 3)}
    settle(group)


@pytest.mark.rule("G1", "C9")
@pytest.mark.parametrize("has_just_closed", [False, True])
def test_no_call_is_served_before_the_panel_confirms_an_open_door(has_just_closed: bool) -> None:
    group = Group(cars=2, at=(0, 3))
    if has_just_closed:  # An earlier confirmation does not count for the next opening.
        group.press(0, UP, 0)
        group.run_until(lambda: group[0].elevator.door, 100)
        group.run_until(lambda: not group[0].elevator.door, 10_000)
    group.run_until(lambda: group.now_ms % 10 == 2, 10)
    group.press(1, UP, 0)
    group.run(1)
    # The call arrives between two sweeps of car 0. The server of car 0 disconnects before the second sweep.
    group[0].unplug_server()
    group.run(100)
    assert not group[0].elevator.door
    assert ("up", 0) in group.lit(1)
    group.run_until(lambda: group[1].elevator.door, 15_000)
    assert floor_of(group[1]) == 0
    group.run_until(lambda: ("up", 0) not in group.lit(1), 30)


@pytest.mark.rule("G2", "C11")
def test_no_call_is_lost_when_the_server_disconnects() -> None:
    group = Group(cars=2, at=(0, 0))
    group.press(0, CAB, 3)
    group.run(1000)
    group[0].unplug_server()
    group.press(1, DOWN, 1)
    group.run(3000)
    assert fault(group[0]) is Fault.SERVER
    group[0].unplug_server(on=False)
    settle(group)
    assert floor_of(group[0]) == 3


@pytest.mark.rule("G2", "C10")
def test_node_stops_its_motor_and_listens_after_a_stall_before_it_acts() -> None:
    group = Group(cars=2, at=(0, 3))
    group.press(0, UP, 1)
    group.run(500)
    group[0].freeze(True)
    group.run_until(lambda: not group.lit(1), 20_000)
    started = len(motors(group[0]))
    group[0].freeze(False)
    group.run(250)
    assert [motor for _, motor in motors(group[0])[started:]] == [Motor.STOP]
    settle(group)


@pytest.mark.rule("G3", "C8")
def test_car_learns_no_travel_time_from_a_motor_power_failure() -> None:
    group = Group(cars=1, at=(0,))
    for floor in (3, 0, 3):
        group.press(0, CAB, floor)
        group.run(2900)
        motor_power(group[0], False)
        group.run_until(lambda: fault(group[0]) is Fault.MOTOR, 2300)
        group.run(700 * (floor + 3))
        motor_power(group[0], True)
        settle(group)


@pytest.mark.rule("C8")
def test_car_learns_no_travel_time_if_its_node_is_frozen_while_the_car_leaves_a_floor() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 1)
    group.run_until(lambda: group[0].elevator.shaft.motor is Motor.UP, 100)
    group.run(230)
    group[0].freeze(True)
    group.run(420)
    assert group[0].elevator.sensed is None
    group[0].freeze(False)
    settle(group)
    assert_in_service_on_trips_to(group, 0, 1)


@pytest.mark.rule("C8", "C11")
def test_car_learns_no_travel_time_while_its_server_is_lost() -> None:
    group = Group(cars=1, at=(0,))
    group.press(0, CAB, 1)
    group.run_until(lambda: group[0].elevator.shaft.motor is Motor.UP, 100)
    group[0].unplug_server()
    group.run(300)
    group[0].set_elevator(elevators.put(group[0].elevator, 0.6, group.now_ms))
    group[0].unplug_server(on=False)
    settle(group)
    assert_in_service_on_trips_to(group, 0, 1)


@pytest.mark.rule("G3")
def test_another_car_starts_within_600_ms_of_a_crash_soon_after_a_partition() -> None:
    group = Group(at=(0, 3, 3))
    partition(group, {0}, {1, 2})
    group.run(60_000)
    partition(group, {0, 1, 2})
    group.run(1000)
    group.press(0, UP, 1)
    group.run(200)
    group[0].kill()
    group.run_until(lambda: bool(motors(group[1]) + motors(group[2])), 600)


@pytest.mark.rule("G1", "G2")
def test_late_datagram_does_not_keep_a_wiped_node_from_recovering_its_cab_calls() -> None:
    group = Group(cars=2, at=(0, 0))
    group.press(0, CAB, 3)
    group.run(230)
    late = encode(heartbeat(group[0].node), GROUP)
    group[0].kill()
    group[0].wipe()
    group.run(50)
    group[0].start()
    group[0].deliver(late, group.now_ms + 10)
    group.run(500)
    group[1].kill()
    group.run_until(lambda: floor_of(group[0]) == 3 and is_door_open(group[0]), 20_000)


@pytest.mark.rule("G7")
def test_nodes_forget_old_incarnations_of_a_node_that_often_restarts() -> None:
    group = Group(cars=2, at=(0, 3))
    for _ in range(2 * INCARNATIONS_KEPT):
        group[1].kill()
        group[1].start()
        group.run(400)
        group.press(1, CAB, 3)
        group.run(400)
    settle(group)
    for car in group.cars:
        known = [author for author in car.node.calls.seen if author.id == 1]
        assert 0 < len(known) <= INCARNATIONS_KEPT + 1


@pytest.mark.rule("G3")
def test_car_that_will_arrive_sooner_takes_over_the_hall_call_of_an_obstructed_car_within_300_ms() -> None:
    group = Group(cars=2, floors=9, at=(1, 8))
    group.press(0, CAB, 1)
    group.run(1000)
    group.press(1, UP, 4)
    group.run(100)
    assert [car.node.claims.up for car in group.cars] == [0b10000, 0]
    obstruct(group[0], True)
    group.run(300)
    assert [car.node.claims.up for car in group.cars] == [0, 0b10000]
    assert fault(group[0]) is Fault.NONE
    obstruct(group[0], False)
    settle(group)
    assert floor_of(group[1]) == 4
