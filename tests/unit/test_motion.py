"""The motion rules of a car, for every set of calls, floor and direction in a building of four floors."""

from collections.abc import Iterator
from itertools import product

import pytest

from elevator.core.model import EVERY_CAR, Behaviour, Button, Buttons, Call, Direction
from elevator.core.motion import announced, cleared, decide, hall, has_work_beyond, is_at

FLOORS = 4
ME = 1


def domain() -> Iterator[tuple[int, Direction, Buttons]]:
    ups, downs, cabs = range(8), range(0, 16, 2), range(16)
    for floor, direction, up, down, cab in product(range(FLOORS), Direction, ups, downs, cabs):
        yield floor, direction, Buttons(up, down, cab)


def everything(work: Buttons) -> int:
    return work.up | work.down | work.cab


@pytest.mark.rule("C5")
def test_car_moves_only_towards_calls_and_never_past_an_end_floor() -> None:
    for (floor, direction, work), departing in product(domain(), (False, True)):
        behaviour, chosen = decide(floor, direction, work, departing)
        if behaviour is Behaviour.MOVING:
            assert has_work_beyond(floor, chosen, work)
            assert 0 <= floor + chosen < FLOORS


def test_car_is_idle_if_and_only_if_it_has_no_calls() -> None:
    for (floor, direction, work), departing in product(domain(), (False, True)):
        behaviour, _ = decide(floor, direction, work, departing)
        assert (behaviour is Behaviour.IDLE) == (everything(work) == 0)


@pytest.mark.rule("C1")
def test_car_opens_its_door_only_to_serve_a_call() -> None:
    for (floor, direction, work), departing in product(domain(), (False, True)):
        behaviour, chosen = decide(floor, direction, work, departing)
        if behaviour is Behaviour.DOOR_OPEN:
            assert cleared(floor, chosen, work, ME)


@pytest.mark.rule("C1")
def test_car_continues_in_its_direction_while_calls_are_ahead() -> None:
    for floor, direction, work in domain():
        behaviour, chosen = decide(floor, direction, work)
        if has_work_beyond(floor, direction, work):
            assert chosen is direction
            here = is_at(work.cab, floor) or is_at(hall(direction, work), floor)
            assert behaviour is (Behaviour.DOOR_OPEN if here else Behaviour.MOVING)


@pytest.mark.rule("C2")
def test_car_never_serves_up_and_down_calls_together() -> None:
    for floor, direction, work in domain():
        buttons = {call.button for call in cleared(floor, direction, work, ME)}
        assert buttons <= {Button.CAB, Button.UP if direction is Direction.UP else Button.DOWN}


def test_car_serves_the_cab_call_and_the_hall_call_in_its_direction() -> None:
    for floor, direction, work in domain():
        expected = set()
        if is_at(work.cab, floor):
            expected.add(Call(Button.CAB, floor, ME))
        if direction is Direction.UP and is_at(work.up, floor):
            expected.add(Call(Button.UP, floor, EVERY_CAR))
        if direction is Direction.DOWN and is_at(work.down, floor):
            expected.add(Call(Button.DOWN, floor, EVERY_CAR))
        assert cleared(floor, direction, work, ME) == expected


@pytest.mark.rule("C3")
def test_car_announces_the_other_direction_only_if_no_calls_are_ahead() -> None:
    for floor, direction, work in domain():
        behaviour, chosen = decide(floor, direction, work, departing=True)
        if behaviour is Behaviour.DOOR_OPEN and chosen is not direction:
            assert not has_work_beyond(floor, direction, work)
            assert is_at(hall(chosen, work), floor)


def test_car_announces_a_direction_with_calls_and_prefers_its_own() -> None:
    for floor, direction, work in domain():
        chosen = announced(floor, direction, work)
        reasons = {way: is_at(hall(way, work), floor) or has_work_beyond(floor, way, work) for way in Direction}
        assert reasons[chosen] or not any(reasons.values())
        assert chosen is direction or not reasons[direction]


def test_departing_car_prefers_calls_at_other_floors_to_a_repeated_call() -> None:
    for floor, direction, work in domain():
        elsewhere = has_work_beyond(floor, direction, work) or has_work_beyond(floor, direction.opposite, work)
        behaviour, chosen = decide(floor, direction, work, departing=True)
        if elsewhere and behaviour is Behaviour.DOOR_OPEN:
            assert chosen is direction.opposite


def test_single_car_serves_all_calls_within_a_round_trip() -> None:
    for floor, direction, work in domain():
        left, moves, stops = work, 0, 0
        behaviour = Behaviour.IDLE
        while everything(left):
            behaviour, direction = decide(floor, direction, left, departing=behaviour is Behaviour.DOOR_OPEN)
            if behaviour is Behaviour.MOVING:
                floor, moves = floor + direction, moves + 1
            else:
                stops += 1
            assert moves <= 2 * (FLOORS - 1)
            assert stops <= 3 * FLOORS
            for button, where, _ in cleared(floor, direction, left, ME) if behaviour is Behaviour.DOOR_OPEN else ():
                masks = [left.up, left.down, left.cab]
                masks[button] &= ~(1 << where)
                left = Buttons(*masks)
