"""The phases of a door, and what changes them."""

import pytest

from elevator.core import door
from elevator.core.door import DOOR_OPEN_MS, Door, Phase
from elevator.core.drive import Drive, sense
from elevator.core.messages import OpenDoor
from elevator.core.model import Confirmed, Direction, Fault, Inputs
from elevator.core.position import Position

NOW_MS = 10_000


def confirmed(phase: Phase, is_standing: bool, is_open: bool) -> Phase:
    return door.confirm(Door(phase), NOW_MS, is_standing, is_open, obstructed=False).phase


@pytest.mark.rule("D1")
@pytest.mark.rule("C9")
def test_door_goes_through_its_phases_as_the_panel_confirms_commands() -> None:
    its = door.stop(Door(), NOW_MS, is_standing=False)
    assert (its.phase, door.command(its)) == (Phase.STOPPING, None)
    its = door.stop(its, NOW_MS + 500, is_standing=True)
    assert (its.phase, door.command(its)) == (Phase.OPENING, True)
    assert door.confirm(its, NOW_MS + 510, True, False, False) == its
    its = door.confirm(its, NOW_MS + 520, True, True, False)
    assert (its.phase, its.opened_at_ms, its.close_at_ms) == (Phase.OPEN, NOW_MS + 520, NOW_MS + 520 + DOOR_OPEN_MS)
    its = door.close(its)
    assert (its.phase, door.command(its)) == (Phase.CLOSING, False)
    assert door.confirm(its, NOW_MS + 4000, True, True, False).phase is Phase.CLOSING
    assert door.confirm(its, NOW_MS + 4010, True, False, False).phase is Phase.CLOSED


def test_stationary_car_opens_its_door_at_once() -> None:
    assert door.stop(Door(), NOW_MS, is_standing=True).phase is Phase.OPENING


@pytest.mark.rule("D1")
@pytest.mark.parametrize("phase", [Phase.CLOSED, Phase.CLOSING, Phase.STOPPING])
def test_door_gets_no_open_command_before_standstill_is_confirmed(phase: Phase) -> None:
    assert door.command(door.stop(Door(phase), NOW_MS, is_standing=False)) is None


@pytest.mark.rule("D1")
def test_overdue_confirmation_of_standstill_is_a_fault_until_it_arrives() -> None:
    stopping = Door(Phase.STOPPING, close_at_ms=NOW_MS + DOOR_OPEN_MS)
    where = Position(floor=2, at_floor=True, trusted=True)
    car = Drive(where, door=stopping, held=False, fault=Fault.NONE, due_at_ms=NOW_MS)
    waiting, standing = Inputs(floor=2), Inputs(floor=2, confirmed=Confirmed(motor_stopped=True))
    assert sense(car, NOW_MS + 1, waiting, floors=4, listening=False).car.fault is Fault.POSITION
    assert sense(car, NOW_MS + 1, standing, floors=4, listening=False).car.fault is Fault.NONE


def test_stop_that_ends_before_the_open_command_leaves_the_door_closed() -> None:
    assert door.close(Door(Phase.STOPPING)).phase is Phase.CLOSED


@pytest.mark.rule("D4")
@pytest.mark.parametrize(
    ("phase", "after"),
    [
        (Phase.CLOSED, Phase.CLOSED),
        (Phase.STOPPING, Phase.STOPPING),
        (Phase.OPENING, Phase.UNKNOWN),
        (Phase.OPEN, Phase.UNKNOWN),
        (Phase.CLOSING, Phase.UNKNOWN),
        (Phase.UNKNOWN, Phase.UNKNOWN),
    ],
)
def test_door_that_may_be_open_becomes_unknown_when_the_panel_is_lost(phase: Phase, after: Phase) -> None:
    lost = door.lose(Door(phase), NOW_MS, at_floor=True)
    assert lost.phase is after
    assert door.command(Door(Phase.UNKNOWN)) is None


@pytest.mark.rule("D4")
def test_unknown_door_stays_unknown_until_standstill_is_confirmed() -> None:
    assert confirmed(Phase.UNKNOWN, is_standing=False, is_open=False) is Phase.UNKNOWN
    assert confirmed(Phase.UNKNOWN, is_standing=False, is_open=True) is Phase.UNKNOWN
    assert confirmed(Phase.UNKNOWN, is_standing=True, is_open=False) is Phase.OPENING
    assert confirmed(Phase.UNKNOWN, is_standing=True, is_open=True) is Phase.OPEN


@pytest.mark.rule("D2")
def test_end_of_an_obstruction_restarts_the_dwell_time() -> None:
    its = door.obstruct(Door(Phase.OPEN, close_at_ms=NOW_MS + 100), NOW_MS, obstructed=True)
    its = door.obstruct(its, NOW_MS + 5000, obstructed=False)
    assert its.close_at_ms == NOW_MS + 5000 + DOOR_OPEN_MS


@pytest.mark.rule("D3")
@pytest.mark.parametrize("phase", [Phase.CLOSED, Phase.CLOSING])
def test_obstruction_has_no_effect_on_a_closed_door(phase: Phase) -> None:
    assert not door.confirm(Door(phase), NOW_MS, True, False, obstructed=True).obstructed


def test_record_lists_a_door_that_may_be_open_unless_it_was_told_to_close() -> None:
    here = OpenDoor(2, Direction.UP)
    recorded = {phase for phase in Phase if door.record(Door(phase), 2, Direction.UP) == here}
    assert recorded == {Phase.OPENING, Phase.OPEN, Phase.UNKNOWN}
    assert door.record(Door(Phase.UNKNOWN, inherited=here), None, Direction.DOWN) == here
