"""Regression tests: bugs that random runs once found, each with a small run that reproduces it.

Each run is an explicit plan of faults and presses, because a seed draws a different plan whenever plans.py changes.
Every plan runs twice. First it must pass. Then the bug is put back, and the plan must fail. This shows that the plan
still reaches the faulty code, and that the judges still detect the bug.

To add a regression, shrink the plan of the failing seed with campaign.shrink. Copy its faults and presses here, and
adapt them to the group of `Regression.plan`. Add the function that was fixed, the words that the fix wrote, and the
faulty words that they replaced.
"""

from collections.abc import Callable

import pytest
from attrs import frozen
from reword import reword

from elevator.core import act, node, position, replica, turn
from elevator.core.model import Button
from elevator.simulation import campaign
from elevator.simulation.faults import FaultKind, InjectedFault, Plan, Point, Press

UP, CAB = Button.UP, Button.CAB
DUPLICATE = 3
"""The number of the duplicate node's panel."""


@frozen
class Regression:
    """A run of faults and presses that fails only if `faulty` replaces `correct` in the source of `function`."""

    rule: pytest.MarkDecorator
    function: Callable[..., object]
    correct: str
    faulty: str
    run: tuple[InjectedFault | Press, ...]

    def plan(self) -> Plan:
        """Return a plan for 3 cars and 4 floors, with the faults and presses of `run`."""
        faults = tuple(each for each in self.run if isinstance(each, InjectedFault))
        presses = tuple(each for each in self.run if isinstance(each, Press))
        return Plan(1, 3, 4, 2000, 20_000, faults, presses, at=(0, 3, 3))


UNSURE_LAMPS_GO_DARK = (node.outputs, "known.panel(node.me.id) - lit", "Buttons()")

REGRESSIONS = {
    # Node 1 restarts and cannot read its record before 6500 ms. The record contains a call of the duplicate.
    "cab_call_of_a_duplicate_is_not_adopted_from_a_record_read_late": Regression(
        pytest.mark.rule("L2"),
        node.shown,
        "if not hears_own_id(node):",
        "if not hears_own_id(node) or node.predecessor is not None:",
        (
            InjectedFault(FaultKind.DUPLICATE_ID, 2000, 20_000, 1),
            Press(4000, 4200, DUPLICATE, CAB, 2),
            InjectedFault(FaultKind.DISK, 5000, 6500, 1),
            InjectedFault(FaultKind.KILL, 5100, 5300, 1),
        ),
    ),
    # The second incarnation of node 1 registers no call. The third must recognize the call of the first as its own.
    "cab_lamp_stays_lit_over_two_restarts_beside_a_duplicate": Regression(
        pytest.mark.rule("L4"),
        node.is_foreign,
        "not last - INCARNATIONS_OWN < author.incarnation <= last",
        "author.incarnation != last",
        (
            InjectedFault(FaultKind.DUPLICATE_ID, 2000, 20_000, 1),
            Press(4000, 4200, 1, CAB, 0),
            InjectedFault(FaultKind.KILL, 5000, 5050, 1),
            InjectedFault(FaultKind.KILL, 5500, 5550, 1),
        ),
    ),
    # A new press makes the recorder read the record just before the node stops listening. The slow disk has not
    # acknowledged the call by then.
    "lamp_stays_lit_until_a_call_from_a_record_read_late_is_guaranteed_again": Regression(
        pytest.mark.rule("L4"),
        *UNSURE_LAMPS_GO_DARK,
        (
            InjectedFault(FaultKind.CUT, 2000, 9000, 1 << 0),
            Press(3000, 3200, 0, CAB, 3),
            InjectedFault(FaultKind.SLOW_DISK, 4900, 9000, 0, delay_ms=400),
            InjectedFault(FaultKind.DISK, 4900, 5150, 0),
            InjectedFault(FaultKind.KILL, 5000, 5100, 0),
            Press(5380, 5580, 0, CAB, 2),
        ),
    ),
    # The node has lost its record. Its peers send it the call, and its slow disk delays the acknowledgement.
    "lamp_stays_lit_until_a_call_that_only_peers_have_stored_is_guaranteed_again": Regression(
        pytest.mark.rule("L4"),
        *UNSURE_LAMPS_GO_DARK,
        (
            Press(3000, 3200, 0, CAB, 3),
            InjectedFault(FaultKind.SLOW_DISK, 3500, 9000, 0, delay_ms=4000),
            InjectedFault(FaultKind.WIPE, 5000, 5100, 0),
        ),
    ),
    # Node 1 is killed with the lamp lit and no call on its disk, so only its peers can restore the call.
    "lamp_of_a_node_with_a_failing_disk_lights_only_when_its_peers_have_stored_the_call": Regression(
        pytest.mark.rule("L3"),
        replica.is_guaranteed,
        "on_disk and all(",
        "replica.disk_failed or on_disk and all(",
        (
            InjectedFault(FaultKind.DISK, 2000, 20_000, 1),
            Press(4000, 4200, 1, CAB, 0),
            InjectedFault(FaultKind.KILL, 4500, 6000, 1),
        ),
    ),
    # A passenger in car 0 keeps pressing the button of the floor where the car stands. Another wants to reach floor 2.
    "repeated_presses_do_not_hold_the_door_forever": Regression(
        pytest.mark.rule("C6"),
        act.serve,
        "now_ms >= car.door.opened_at_ms + DOOR_EXTENSION_MS",
        "False",
        (
            *(Press(at_ms, at_ms + 200, 0, CAB, 0) for at_ms in range(3000, 60_000, 1000)),
            Press(4500, 4700, 0, CAB, 2),
        ),
    ),
    # Node 1 has no panel, so no snapshot shows that its turn has become stale.
    "node_without_a_panel_lights_no_lamp_after_a_stall_in_the_middle_of_a_turn": Regression(
        pytest.mark.rule("C10"),
        turn.turn,
        " or now_ms >= tick.now_ms + STALL_MS",
        "",
        (
            InjectedFault(FaultKind.SERVER, 2500, 20_000, 1, delay_ms=500),
            InjectedFault(FaultKind.KILL, 4000, 4100, 1),
            Press(4050, 4250, 0, UP, 0),
            InjectedFault(FaultKind.FREEZE, 4350, 5600, 1, point=Point.BEFORE_HARDWARE),
        ),
    ),
    # The wrong reading ends soon. But the server is slow, and its next reply arrives more than 100 ms later.
    "one_old_reply_does_not_make_the_node_accept_an_impossible_floor": Regression(
        pytest.mark.rule("C5"),
        position.judge,
        "asked_at_ms < old.accept_at_ms",
        "now_ms < old.accept_at_ms",
        (
            Press(3000, 3200, 0, UP, 0),
            Press(3500, 3700, 0, CAB, 2),
            InjectedFault(FaultKind.FALSE_FLOOR, 5300, 5373, 0),
            InjectedFault(FaultKind.SLOW_SERVER, 5308, 9308, 0, delay_ms=400),
        ),
    ),
}


def parameters() -> list[object]:
    return [pytest.param(each, id=name, marks=each.rule) for name, each in REGRESSIONS.items()]


@pytest.mark.parametrize("regression", parameters())
def test_plan_that_once_failed_passes(regression: Regression) -> None:
    done, transcript = campaign.run_plan(regression.plan())
    assert not done.violation, "\n".join(transcript[-40:])


@pytest.mark.parametrize("regression", parameters())
def test_plan_fails_when_its_bug_is_put_back(regression: Regression, monkeypatch: pytest.MonkeyPatch) -> None:
    reword(monkeypatch, regression.function, regression.correct, regression.faulty)
    assert campaign.run_plan(regression.plan())[0].violation
