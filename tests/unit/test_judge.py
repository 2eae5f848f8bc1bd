"""The judge of the exam reports each broken rule once for each car, and blames only controllers at fault."""

import pytest

from elevator.building.elevators import EventKind
from elevator.core.model import Button
from elevator.exam.judge import (
    CLEARED_BEFORE_OPEN_MS,
    COMMAND_GAP_MS,
    DARK_IF_SERVED,
    DOOR_BLOCKED,
    DOOR_CLOSES,
    DOOR_STANDS,
    DOOR_STAYS,
    DOOR_STAYS_AFTER,
    IN_SHAFT,
    MAX_OPEN_MS,
    MIN_OPEN_MS,
    NOT_INVENTED,
    PRIVATE,
    REACTION_MS,
    RELIT_MS,
    RULES,
    SETTLE_MS,
    STEADY,
    TOLERANCE_MS,
    Judge,
)
from elevator.exam.results import CarEvent, Check, Level

DWELL_MS = 3000
EVER = 1_000_000
UP, DOWN, CAB = Button.UP, Button.DOWN, Button.CAB

Broken = tuple[str, int, int | None]
"""A failed check: the broken rule as a sentence, the time, and the car."""


class Trace:
    """A sequence of events at some cars, and the judge that observes them."""

    def __init__(self, *floors: int | None, connected: bool = True) -> None:
        """Put a car at each of *floors*, or two cars at floor 0 if no floors are given.

        If *connected*, all controllers connected long before time 0. Otherwise none is connected.
        """
        self.judge = Judge(floors or (0, 0))
        self.failed: list[Check] = []
        self.at_ms = -10 * SETTLE_MS
        for car in range(len(floors or (0, 0)) * connected):
            self.see(EventKind.CLIENT, True, car)
        self.at_ms = 0

    def see(
        self,
        kind: EventKind,
        value: bool | int | None,
        car: int = 0,
        button: Button | None = None,
        floor: int | None = None,
    ) -> "Trace":
        self.failed += self.judge.observe(CarEvent(self.at_ms, car, kind, value, button, floor))
        return self

    def after(self, ms: int) -> "Trace":
        self.at_ms += ms
        return self

    def press(self, button: Button, floor: int, car: int = 0) -> "Trace":
        return self.see(EventKind.PRESS, True, car, button, floor)

    def release(self, button: Button, floor: int, car: int = 0) -> "Trace":
        return self.see(EventKind.RELEASE, False, car, button, floor)

    def lamp(self, on: bool, button: Button, floor: int, car: int = 0) -> "Trace":
        return self.see(EventKind.LAMP, on, car, button, floor)

    def door(self, is_open: bool, car: int = 0) -> "Trace":
        return self.see(EventKind.DOOR, is_open, car)

    def motor(self, direction: int, car: int = 0) -> "Trace":
        return self.see(EventKind.MOTOR, direction, car)

    def sensor(self, floor: int | None, car: int = 0) -> "Trace":
        return self.see(EventKind.SENSOR, floor, car)

    def obstruct(self, on: bool, car: int = 0) -> "Trace":
        return self.see(EventKind.OBSTRUCTED, on, car)

    def stop(self, on: bool, car: int = 0) -> "Trace":
        return self.see(EventKind.STOP, on, car)

    def client(self, on: bool, car: int = 0) -> "Trace":
        return self.see(EventKind.CLIENT, on, car)

    def freeze(self, on: bool, car: int = 0) -> "Trace":
        self.failed += self.judge.resolve_due(self.at_ms)
        self.judge.note_freeze(car, on, self.at_ms)
        return self

    def disturb(self) -> "Trace":
        self.judge.note_disturbance(self.at_ms)
        return self

    def visit(self, floor: int, car: int = 0) -> "Trace":
        """Drive a car to *floor* in two seconds, open its door, and close it after the dwell time."""
        self.motor(1, car).after(100).sensor(None, car).after(1900).sensor(floor, car).motor(0, car)
        return self.door(True, car).after(DWELL_MS).door(False, car)

    def broken(self) -> list[Broken]:
        """Return the failed checks so far, and those that fail later if no other event follows."""
        failed = self.failed + self.judge.resolve_due(self.at_ms + EVER)
        self.failed = failed
        for check in failed:
            assert (check.rule, check.level) == RULES[check.expected]
            assert not check.passed
        return [(check.expected, check.at_ms, check.car) for check in failed]

    def held(self) -> dict[str, str]:
        """Map each rule that was judged but never broken to a text that says how often it was judged."""
        self.broken()
        return {check.expected: check.found for check in self.judge.passed(self.at_ms)}


# The door and the motor


@pytest.mark.rule("D1")
def test_usual_stop_breaks_no_door_rule_and_is_counted() -> None:
    trace = Trace().visit(1).after(5000).visit(2)
    assert trace.broken() == []
    twice = "it held 2 times"
    assert trace.held() == {DOOR_STANDS: twice, DOOR_STAYS: twice, DOOR_CLOSES: twice}


@pytest.mark.rule("D1")
def test_door_open_in_motion_is_reported_when_the_motor_starts() -> None:
    trace = Trace().door(True).after(1000).motor(1).after(1500).sensor(None).after(500).door(False)
    assert (DOOR_STANDS, 1000, 0) in trace.broken()
    (check,) = (check for check in trace.failed if check.expected == DOOR_STANDS)
    assert check.found == "the motor runs while the door is open"


@pytest.mark.rule("D1")
@pytest.mark.parametrize("is_late", [False, True])
def test_motor_may_start_shortly_before_the_door_closes_but_not_earlier(is_late: bool) -> None:
    """A controller may send both commands at once, the motor command first."""
    trace = Trace(1, 0).press(UP, 1).door(True).after(DWELL_MS).motor(1).after(COMMAND_GAP_MS - 1 + is_late).door(False)
    assert trace.broken() == ([(DOOR_STANDS, DWELL_MS, 0)] if is_late else [])


@pytest.mark.rule("D1")
def test_motor_that_starts_just_after_the_door_opened_breaks_a_rule() -> None:
    trace = Trace().door(True).after(10).motor(1)
    assert trace.broken()[0] == (DOOR_STANDS, 10, 0)
    assert trace.failed[0].found == "the motor runs while the door is open"


@pytest.mark.rule("D1")
def test_door_open_between_floors_is_reported_once_for_each_car() -> None:
    trace = Trace(None, None)
    for car in (0, 1, 0):
        trace.door(True, car).after(DWELL_MS).door(False, car)
    assert trace.broken() == [(DOOR_STANDS, 0, 0), (DOOR_STANDS, DWELL_MS, 1)]
    assert trace.failed[0].found == "the car is between floors while the door is open"
    assert DOOR_STANDS not in trace.held()


@pytest.mark.rule("D1")
def test_motor_may_still_run_just_after_the_door_opens_and_start_just_before_it_closes() -> None:
    trace = Trace(1).motor(1).after(2000).door(True).after(TOLERANCE_MS - 1).motor(0)
    assert trace.after(DWELL_MS).motor(-1).after(TOLERANCE_MS - 1).door(False).broken() == []


@pytest.mark.rule("D1")
@pytest.mark.parametrize(("open_ms", "rule"), [(1000, DOOR_STAYS), (MIN_OPEN_MS - TOLERANCE_MS - 1, DOOR_STAYS)])
def test_door_that_closes_early_breaks_a_rule(open_ms: int, rule: str) -> None:
    assert Trace().door(True).after(open_ms).door(False).broken() == [(rule, open_ms, 0)]


@pytest.mark.rule("D1")
@pytest.mark.parametrize("open_ms", [MIN_OPEN_MS - TOLERANCE_MS, MAX_OPEN_MS, MAX_OPEN_MS + TOLERANCE_MS])
def test_door_that_closes_in_time_breaks_no_rule(open_ms: int) -> None:
    assert Trace().door(True).after(open_ms).door(False).broken() == []


@pytest.mark.rule("D1")
def test_door_that_stays_open_is_reported_once() -> None:
    trace = Trace().door(True).after(60_000).door(False).after(5000).door(True)
    assert trace.broken() == [(DOOR_CLOSES, MAX_OPEN_MS + TOLERANCE_MS, 0)]
    assert trace.failed[0].found == "it was still open 4.0 s after it opened"
    assert DOOR_CLOSES not in trace.held()


@pytest.mark.rule("D1")
def test_door_that_stays_open_is_reported_without_another_event() -> None:
    trace = Trace().door(True)
    assert trace.judge.resolve_due(MAX_OPEN_MS + TOLERANCE_MS) == []
    (check,) = trace.judge.resolve_due(MAX_OPEN_MS + TOLERANCE_MS + 1)
    assert check.expected == DOOR_CLOSES
    assert trace.judge.resolve_due(EVER) == []


@pytest.mark.rule("D1", "C3")
def test_lamp_change_at_its_floor_lets_the_door_stay_open_longer() -> None:
    trace = Trace(2, 0).press(DOWN, 2).lamp(True, DOWN, 2).door(True).after(DWELL_MS).lamp(False, DOWN, 2)
    assert trace.after(MAX_OPEN_MS).door(False).broken() == []


@pytest.mark.rule("D1")
def test_press_or_lamp_change_at_another_floor_does_not_let_the_door_stay_open_longer() -> None:
    trace = Trace(2, 0).press(DOWN, 1).lamp(True, DOWN, 1).door(True).after(2000).press(UP, 0).after(1000)
    assert trace.lamp(True, UP, 0).broken() == [(DOOR_CLOSES, MAX_OPEN_MS + TOLERANCE_MS, 0)]


@pytest.mark.rule("D1", "C6")
def test_presses_at_its_floor_let_the_door_stay_open_longer() -> None:
    """The controller may take a second to act on the last press. The door must close within MAX_OPEN_MS after that."""
    trace = Trace(2, 0).press(UP, 2).door(True)
    for _ in range(5):
        trace.after(2900).press(CAB, 2)
    assert trace.after(1000 + MAX_OPEN_MS).door(False).broken() == []


@pytest.mark.rule("D1")
def test_cab_press_in_another_car_does_not_let_the_door_stay_open_longer() -> None:
    trace = Trace(2, 2).door(True).after(2000).press(CAB, 2, car=1)
    assert trace.broken() == [(DOOR_CLOSES, MAX_OPEN_MS + TOLERANCE_MS, 0)]


@pytest.mark.rule("D1")
def test_press_on_another_panel_lets_the_door_stay_open_longer() -> None:
    """The controller learns of the press from datagrams, which may be late."""
    trace = Trace(2, 0).door(True).after(100).press(UP, 2, car=1)
    assert trace.after(DWELL_MS - 100 + DWELL_MS).door(False).broken() == []
    trace = Trace(2, 0).press(UP, 2, car=1).after(100).door(True)
    assert trace.after(DWELL_MS - 100 + DWELL_MS).door(False).broken() == []


@pytest.mark.rule("D1", "C7")
def test_door_may_stay_open_or_close_while_the_stop_button_is_held() -> None:
    trace = Trace().door(True).after(500).stop(True).after(60_000).stop(False).after(DWELL_MS).door(False)
    assert trace.broken() == []
    assert Trace().door(True).after(500).stop(True).after(100).door(False).broken() == []
    assert Trace().stop(True).after(500).door(True).after(100).door(False).broken() == []


@pytest.mark.rule("D1", "D4")
def test_door_that_was_open_when_its_controller_connected_may_close_early_or_late() -> None:
    trace = Trace().door(True).after(1000).client(False).after(60_000).client(True)
    assert trace.after(100).door(False).broken() == []
    trace = Trace().door(True).after(1000).client(False).after(60_000).client(True)
    assert trace.after(SETTLE_MS + MAX_OPEN_MS).door(False).broken() == []


@pytest.mark.rule("D1", "D4")
def test_door_that_a_restarted_controller_never_closes_breaks_a_rule() -> None:
    trace = Trace().door(True).after(1000).client(False).after(60_000).client(True)
    assert trace.broken() == [(DOOR_CLOSES, 61_000 + SETTLE_MS + MAX_OPEN_MS + TOLERANCE_MS, 0)]


@pytest.mark.rule("D1")
def test_door_without_a_controller_may_stay_open() -> None:
    assert Trace().door(True).after(1000).client(False).broken() == []


@pytest.mark.rule("D1")
def test_door_may_open_for_a_moment_while_its_controller_starts_unless_a_button_was_pressed() -> None:
    trace = Trace(1, connected=False).client(True).after(100).door(True).after(300).door(False)
    assert trace.broken() == []
    trace = Trace(1, connected=False).client(True).press(UP, 1).after(100).door(True).after(300).door(False)
    assert trace.broken() == [(DOOR_STAYS, 400, 0)], "after a press, a passenger may enter"


@pytest.mark.rule("D1")
def test_frozen_controller_is_not_blamed() -> None:
    trace = Trace().door(True).after(1000).freeze(True).after(60_000).freeze(False)
    assert trace.after(MAX_OPEN_MS).door(False).broken() == []
    trace = Trace(1).motor(1).freeze(True).after(3000).see(EventKind.OUT_OF_BOUNDS, True).sensor(None)
    assert trace.after(5000).freeze(False).motor(0).broken() == []
    trace = Trace(1).motor(1).door(True).freeze(True).after(3000).freeze(False)
    assert trace.motor(0).after(1000).door(False).broken() == []


@pytest.mark.rule("D1")
def test_resumed_controller_is_judged_again() -> None:
    trace = Trace().freeze(True).after(3000).freeze(False).after(2000).door(True).after(500).door(False)
    assert trace.broken() == [(DOOR_STAYS, 5500, 0)]


@pytest.mark.rule("C5")
def test_car_that_leaves_its_shaft_is_reported_once() -> None:
    trace = Trace(3, 0).motor(1).after(250).see(EventKind.OUT_OF_BOUNDS, True).sensor(None)
    trace.after(100).see(EventKind.OUT_OF_BOUNDS, False).after(100).see(EventKind.OUT_OF_BOUNDS, True)
    assert trace.broken() == [(IN_SHAFT, 250, 0)]


# Obstruction


@pytest.mark.rule("D2")
def test_door_that_closes_on_an_obstruction_breaks_a_rule() -> None:
    trace = Trace().door(True).after(1000).obstruct(True).after(2000).door(False)
    assert trace.broken() == [(DOOR_BLOCKED, DWELL_MS, 0)]


@pytest.mark.rule("D2")
def test_door_may_close_on_an_obstruction_that_has_just_begun() -> None:
    trace = Trace().door(True).after(DWELL_MS).obstruct(True).after(REACTION_MS).door(False).after(2000)
    assert trace.obstruct(False).broken() == []


@pytest.mark.rule("D2")
def test_obstructed_door_may_stay_open_forever() -> None:
    trace = Trace().door(True).after(1000).obstruct(True).after(600_000).obstruct(False).after(DWELL_MS).door(False)
    assert trace.broken() == []
    once = "it held once"
    assert trace.held() == dict.fromkeys([DOOR_STANDS, DOOR_BLOCKED, DOOR_STAYS, DOOR_STAYS_AFTER, DOOR_CLOSES], once)


@pytest.mark.rule("D2")
def test_door_that_closes_soon_after_an_obstruction_fails_a_check_beyond_the_course() -> None:
    trace = Trace().door(True).after(2000).obstruct(True).after(5000).obstruct(False).after(1000).door(False)
    assert trace.broken() == [(DOOR_STAYS_AFTER, 8000, 0)]
    assert trace.failed[0].level is Level.BEYOND


@pytest.mark.rule("D2")
def test_door_must_close_after_an_obstruction() -> None:
    trace = Trace().door(True).after(2000).obstruct(True).after(5000).obstruct(False)
    assert trace.broken() == [(DOOR_CLOSES, 7000 + MAX_OPEN_MS + TOLERANCE_MS, 0)]


@pytest.mark.rule("D2", "D3")
def test_obstruction_too_short_to_notice_does_not_prolong_the_stop() -> None:
    trace = Trace().door(True).after(2000).obstruct(True).after(REACTION_MS - 1).obstruct(False)
    assert trace.after(801).door(False).broken() == []


@pytest.mark.rule("D3")
def test_obstruction_that_ends_before_or_just_after_the_door_opens_has_no_effect() -> None:
    trace = Trace().obstruct(True).after(5000).obstruct(False).after(10).door(True).after(DWELL_MS).door(False)
    assert trace.broken() == []
    assert DOOR_BLOCKED not in trace.held()
    trace = Trace().obstruct(True).after(5000).door(True).after(REACTION_MS - 1).obstruct(False)
    assert trace.after(DWELL_MS - REACTION_MS + 1).door(False).broken() == []


@pytest.mark.rule("D2")
def test_resumed_controller_has_only_a_moment_to_notice_an_obstruction() -> None:
    trace = Trace().door(True).freeze(True).after(1000).obstruct(True).after(5000).freeze(False)
    assert trace.after(10).door(False).broken() == []
    trace = Trace().door(True).freeze(True).after(1000).obstruct(True).after(5000).freeze(False)
    assert trace.after(1000).door(False).broken() == [(DOOR_BLOCKED, 7000, 0)]


# Lamps


@pytest.mark.rule("L4")
def test_call_that_is_lit_and_served_breaks_no_rule() -> None:
    trace = Trace().press(UP, 1).after(100)
    for car in (0, 1):
        trace.lamp(True, UP, 1, car)
    trace.visit(1)
    for car in (0, 1):
        trace.lamp(False, UP, 1, car)
    assert trace.broken() == []
    assert trace.judge.unserved([0, 1]) == []
    assert trace.held().keys() >= {NOT_INVENTED, DARK_IF_SERVED}


@pytest.mark.rule("L4")
@pytest.mark.parametrize("button", [UP, CAB])
def test_lamp_may_go_dark_just_before_the_door_opens(button: Button) -> None:
    trace = Trace().press(button, 1).lamp(True, button, 1).after(2000).lamp(False, button, 1)
    trace.after(CLEARED_BEFORE_OPEN_MS).sensor(1).door(True).after(DWELL_MS).door(False)
    assert trace.broken() == []


@pytest.mark.rule("L4")
@pytest.mark.parametrize("button", [UP, CAB])
def test_lamp_that_goes_dark_too_long_before_the_door_opens_breaks_a_rule(button: Button) -> None:
    trace = Trace().press(button, 1).lamp(True, button, 1).after(2000).lamp(False, button, 1)
    trace.after(CLEARED_BEFORE_OPEN_MS + TOLERANCE_MS + 1).sensor(1).door(True)
    assert trace.broken()[0] == (DARK_IF_SERVED, 2000, 0)


@pytest.mark.rule("L4")
@pytest.mark.parametrize("button", [UP, CAB])
def test_lamp_that_goes_dark_for_a_moment_counts_as_flickering(button: Button) -> None:
    """A controller may switch a lamp off for a moment while it reassigns the call."""
    trace = Trace().press(button, 1).lamp(True, button, 1).after(2000).lamp(False, button, 1)
    trace.after(CLEARED_BEFORE_OPEN_MS).lamp(True, button, 1).after(1000).visit(1).lamp(False, button, 1)
    assert trace.broken() == [(STEADY, 2000, 0)]


@pytest.mark.rule("L4")
def test_door_of_another_car_does_not_serve_a_cab_call() -> None:
    trace = Trace(0, 0).press(CAB, 1).lamp(True, CAB, 1).visit(1, car=1)
    trace.lamp(False, CAB, 1)
    assert trace.broken() == [(DARK_IF_SERVED, 5000, 0)]
    found = "the lamp of the cab call for floor 1 went dark, but the door of car 0 had not been open there"
    assert trace.failed[0].found == found


@pytest.mark.rule("L4")
def test_door_at_another_floor_does_not_serve_a_call() -> None:
    trace = Trace().press(UP, 2).lamp(True, UP, 2).visit(1).lamp(False, UP, 2)
    assert trace.broken() == [(DARK_IF_SERVED, 5000, 0)]


@pytest.mark.rule("C6")
def test_door_that_is_already_open_may_serve_a_call() -> None:
    trace = Trace(1, 0).door(True).after(500).press(UP, 1).after(20).lamp(True, UP, 1).after(20).lamp(False, UP, 1)
    assert trace.after(DWELL_MS).door(False).broken() == []
    assert trace.judge.unserved([0, 1]) == []


@pytest.mark.rule("G1")
def test_lamp_that_lights_late_on_another_panel_may_go_dark_at_once() -> None:
    """The network loses packets, so the call was served before the other panel received it."""
    trace = Trace().press(UP, 1).lamp(True, UP, 1).visit(1).lamp(False, UP, 1).after(2000).disturb()
    trace.lamp(True, UP, 1, car=1).after(300).lamp(False, UP, 1, car=1)
    assert trace.broken() == []
    assert trace.judge.unserved([0, 1]) == []


@pytest.mark.rule("G1")
def test_lamp_that_stayed_lit_too_long_may_go_dark_after_a_new_press() -> None:
    trace = Trace().press(UP, 1).lamp(True, UP, 1).lamp(True, UP, 1, car=1).visit(1).lamp(False, UP, 1).after(1000)
    trace.press(UP, 1).lamp(True, UP, 1).after(100).lamp(False, UP, 1, car=1).after(2000)
    assert trace.broken() == []
    assert trace.judge.unserved([0, 1]) == ["up call at floor 1"]


@pytest.mark.rule("G1")
def test_call_must_be_served_once_any_of_its_lamps_has_lit() -> None:
    trace = Trace().press(UP, 1)
    assert trace.judge.unserved([0, 1]) == []
    trace.after(100).lamp(True, UP, 1, car=1)
    assert trace.judge.unserved([0, 1]) == ["up call at floor 1"]
    trace.lamp(False, UP, 1, car=1)
    assert trace.judge.unserved([0]) == ["up call at floor 1"]
    trace.visit(1)
    assert trace.judge.unserved([0]) == []


@pytest.mark.rule("G1")
def test_second_press_must_be_served_too() -> None:
    trace = Trace().press(UP, 1).lamp(True, UP, 1).visit(1).lamp(False, UP, 1).visit(0).after(500)
    trace.press(UP, 1).lamp(True, UP, 1).after(100).lamp(False, UP, 1)
    assert trace.judge.unserved([0, 1]) == ["up call at floor 1"]
    assert (DARK_IF_SERVED, trace.at_ms, 0) in trace.broken()


@pytest.mark.rule("G1")
def test_call_is_unserved_while_the_panel_of_a_healthy_car_shows_it() -> None:
    trace = Trace().press(UP, 1).lamp(True, UP, 1).lamp(True, UP, 1, car=1).visit(1).lamp(False, UP, 1)
    assert trace.judge.unserved([0, 1]) == ["up call at floor 1"]
    assert trace.judge.unserved([0]) == [], "a lamp may stay lit on the panel of a dead controller"


@pytest.mark.rule("G1")
def test_cab_call_need_not_be_served_if_its_car_is_not_healthy_or_only_hall_calls_count() -> None:
    trace = Trace().press(CAB, 1, car=1).lamp(True, CAB, 1, car=1)
    assert trace.judge.unserved([0]) == []
    assert trace.judge.unserved([0, 1]) == ["cab call for floor 1 in car 1"]
    assert trace.judge.unserved([0, 1], (UP, DOWN)) == []


@pytest.mark.rule("L4")
def test_restarted_controller_may_set_its_lamps_again() -> None:
    trace = Trace().press(UP, 1).lamp(True, UP, 1).lamp(True, UP, 1, car=1).after(1000).client(False).after(3000)
    trace.client(True).after(300).lamp(False, UP, 1).after(2000).lamp(True, UP, 1)
    assert trace.judge.unserved([0, 1]) == ["up call at floor 1"]
    trace.visit(1, car=1).lamp(False, UP, 1).lamp(False, UP, 1, car=1)
    assert trace.broken() == []
    assert trace.judge.unserved([0, 1]) == []


@pytest.mark.rule("G6")
def test_controller_may_test_its_lamps_when_it_starts() -> None:
    trace = Trace(0, 0, connected=False).client(True).after(100)
    for floor in range(3):
        trace.lamp(True, UP, floor).lamp(True, CAB, floor)
    trace.after(1000)
    for floor in range(3):
        trace.lamp(False, UP, floor).lamp(False, CAB, floor)
    assert trace.broken() == []


@pytest.mark.rule("G6")
def test_controller_may_test_its_lamps_when_it_restarts() -> None:
    """A lamp test makes no call, not even at a button whose earlier call was lit and served."""
    trace = Trace().press(UP, 1).press(CAB, 1).lamp(True, UP, 1).lamp(True, CAB, 1).visit(1)
    trace.lamp(False, UP, 1).lamp(False, CAB, 1).after(1000).client(False).after(3000).client(True).after(100)
    trace.lamp(True, UP, 1).lamp(True, CAB, 1).lamp(True, DOWN, 2).after(1000)
    trace.lamp(False, UP, 1).lamp(False, CAB, 1).lamp(False, DOWN, 2)
    assert trace.broken() == []
    assert trace.judge.unserved([0, 1]) == []


@pytest.mark.rule("G6")
def test_lamp_of_a_button_pressed_during_a_lamp_test_may_stay_lit() -> None:
    trace = Trace(0, 0, connected=False).client(True).after(100).lamp(True, UP, 1).after(1000).press(UP, 1)
    assert trace.visit(1).lamp(False, UP, 1).broken() == []


@pytest.mark.rule("G6")
def test_lamp_without_a_press_is_reported_once_for_each_car() -> None:
    trace = Trace().lamp(True, UP, 1).lamp(True, UP, 2).after(100).lamp(True, UP, 1, car=1)
    assert trace.broken() == [(NOT_INVENTED, 0, 0), (NOT_INVENTED, 100, 1)]
    assert trace.failed[0].found == "the lamp of the up call at floor 1 lit, but its button had not been pressed"


@pytest.mark.rule("G6")
def test_lamp_that_stays_lit_after_a_start_without_a_press_breaks_a_rule() -> None:
    trace = Trace(0, 0, connected=False).client(True).after(100).lamp(True, UP, 1)
    assert trace.after(SETTLE_MS - 101).broken() == [(NOT_INVENTED, 100, 0)]
    assert "--own-dir" in trace.failed[0].found


def served(button: Button) -> Trace:
    """Return the trace of a call at floor 1, from its press until it is served and its lamp is dark."""
    return (
        Trace(0, 0).press(button, 1).after(200).release(button, 1).lamp(True, button, 1).visit(1).lamp(False, button, 1)
    )


@pytest.mark.rule("G6")
@pytest.mark.parametrize("button", [UP, CAB])
@pytest.mark.parametrize("is_late", [False, True])
def test_lamp_may_light_again_only_shortly_after_its_call_was_served(button: Button, is_late: bool) -> None:
    trace = served(button).after(RELIT_MS + TOLERANCE_MS + is_late).lamp(True, button, 1)
    assert trace.after(2000).lamp(False, button, 1).broken() == (
        [(NOT_INVENTED, trace.at_ms - 2000, 0)] if is_late else []
    )
    assert all("lit again, but its button had not been pressed since" in check.found for check in trace.failed)


@pytest.mark.rule("G6")
def test_lamp_may_light_again_for_a_new_press_of_its_own_button_only() -> None:
    assert served(UP).after(9000).press(UP, 1, car=1).after(900).lamp(True, UP, 1).visit(1).broken() == []
    assert served(UP).after(9000).press(DOWN, 1).lamp(True, UP, 1).broken() == [(NOT_INVENTED, 14_200, 0)]


@pytest.mark.rule("G6")
def test_lamp_of_a_button_that_was_held_down_may_light_again_just_after_its_release() -> None:
    trace = Trace(1, 1).press(UP, 1).door(True).after(DWELL_MS).door(False).after(5000).release(UP, 1)
    assert trace.after(RELIT_MS).lamp(True, UP, 1).broken() == []


@pytest.mark.rule("G6")
def test_call_is_pending_while_a_connected_panel_shows_it_or_a_door_is_open_at_its_floor() -> None:
    """If the door opened only for another call, the controllers know that this call is not served yet."""
    trace = served(UP).press(UP, 1).lamp(True, UP, 1).visit(1).after(9000)
    assert trace.lamp(True, UP, 1, car=1).visit(1).broken() == []
    trace = served(UP).obstruct(True).press(UP, 1).door(True).after(9000)
    assert (
        trace.lamp(True, UP, 1).after(100).lamp(False, UP, 1).obstruct(False).after(DWELL_MS).door(False).broken() == []
    )


@pytest.mark.rule("G6")
def test_lamp_on_the_panel_of_a_dead_controller_does_not_keep_a_call_pending() -> None:
    trace = Trace(0, 0).press(UP, 1).lamp(True, UP, 1, car=1).client(False, car=1).after(5000)
    trace.press(UP, 1).lamp(True, UP, 1).visit(1).lamp(False, UP, 1).after(9000).lamp(True, UP, 1)
    assert trace.broken() == [(NOT_INVENTED, trace.at_ms, 0)]


@pytest.mark.rule("G6")
def test_only_a_call_made_before_a_failure_may_be_served_twice() -> None:
    for trace in (served(UP).disturb(), served(UP).client(False, car=1), served(UP).client(False).client(True)):
        assert trace.after(9000).lamp(True, UP, 1).visit(1).lamp(False, UP, 1).broken() == []
    trace = Trace(0, 0).disturb().after(1).press(UP, 1).lamp(True, UP, 1).visit(1).lamp(False, UP, 1)
    assert trace.after(9000).lamp(True, UP, 1).broken() == [(NOT_INVENTED, trace.at_ms, 0)]


@pytest.mark.rule("L2")
def test_cab_lamp_for_a_call_of_another_car_breaks_a_rule_even_after_a_call_of_its_own_car() -> None:
    trace = served(CAB).after(9000).press(CAB, 1, car=1).lamp(True, CAB, 1, car=1).lamp(True, CAB, 1)
    assert trace.broken() == [(PRIVATE, trace.at_ms, 0)]


@pytest.mark.rule("L2")
def test_cab_lamp_on_the_panel_of_another_car_or_of_another_floor_breaks_a_rule() -> None:
    trace = Trace().press(CAB, 1).lamp(True, CAB, 1).lamp(True, CAB, 1, car=1)
    assert trace.broken() == [(PRIVATE, 0, 1)]
    assert Trace().press(CAB, 1).lamp(True, CAB, 2).broken() == [(NOT_INVENTED, 0, 0)]


@pytest.mark.rule("G1")
def test_door_serves_its_floor_until_it_closes() -> None:
    trace = Trace(2, 0).after(1000).door(True).after(DWELL_MS).door(False)
    assert trace.judge.was_open(2, 1000 + DWELL_MS, [0])
    assert not trace.judge.was_open(2, 1001 + DWELL_MS, [0])
    assert not trace.judge.was_open(2, 0, [1])
    assert not trace.judge.was_open(1, 0, [0])
