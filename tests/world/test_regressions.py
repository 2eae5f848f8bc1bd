"""Regressions: mistakes that random runs once found, each with a small run that finds it again.

Each run is an explicit plan of faults and presses, because a seed may draw another plan when plans.py changes. Every
plan runs twice: it must pass, and it must fail with the mistake put back. This shows that the plan still reaches the
code in question, and that the judges still see the harm.

To add a regression, shrink the plan of the failing seed with campaign.shrink. Copy it here with the words of the
function that are right, and those that were wrong.
"""

from collections.abc import Callable

import pytest
from attrs import frozen
from reword import reword

from elevator.core import node, position, replica
from elevator.core.model import Button
from elevator.simulation import campaign
from elevator.simulation.faults import FaultKind, InjectedFault, Plan, Press

UP, CAB = Button.UP, Button.CAB
STRANGER = 3
"""The panel of a second node with an id that is in use."""


@frozen
class Regression:
    """A *run* that passes with the *right* words of a *function*, and fails with the *wrong* ones."""

    rule: pytest.MarkDecorator
    function: Callable[..., object]
    right: str
    wrong: str
    run: tuple[InjectedFault | Press, ...]

    def plan(self) -> Plan:
        faults = tuple(each for each in self.run if isinstance(each, InjectedFault))
        presses = tuple(each for each in self.run if isinstance(each, Press))
        return Plan(1, 3, 4, 2000, 20_000, faults, presses, at=(0, 3, 3))


UNCONFIRMED_LAMPS_GO_DARK = (node.outputs, "buttons({*known.values()} - lit, node.me.id)", "Buttons()")

REGRESSIONS = {
    # Node 1 restarts and cannot read its record before 6500. The record holds a call of the other node 1.
    "cab_call_of_another_node_with_the_same_id_is_not_adopted_from_a_record_read_late": Regression(
        pytest.mark.rule("L2"),
        node.shown,
        "is_contested and ",
        "is_contested and node.predecessor is None and ",
        (
            InjectedFault(FaultKind.TWIN, 2000, 20_000, 1),
            Press(4000, 4200, STRANGER, CAB, 2),
            InjectedFault(FaultKind.DISK, 5000, 6500, 1),
            InjectedFault(FaultKind.KILL, 5100, 5300, 1),
        ),
    ),
    # The third run of node 1 must know the call of the first as its own, although the second pressed nothing.
    "cab_lamp_stays_lit_over_two_restarts_beside_another_node_with_the_same_id": Regression(
        pytest.mark.rule("L4"),
        node.is_foreign,
        "not last - INCARNATIONS_OWN < author.incarnation <= last",
        "author.incarnation != last",
        (
            InjectedFault(FaultKind.TWIN, 2000, 20_000, 1),
            Press(4000, 4200, 1, CAB, 0),
            InjectedFault(FaultKind.KILL, 5000, 5050, 1),
            InjectedFault(FaultKind.KILL, 5500, 5550, 1),
        ),
    ),
    # Because of a new press, the recorder reads the record just before the new run stops listening. The slow disk has
    # not confirmed the call by then.
    "lamp_stays_lit_until_a_call_from_a_record_read_late_is_confirmed_again": Regression(
        pytest.mark.rule("L4"),
        *UNCONFIRMED_LAMPS_GO_DARK,
        (
            InjectedFault(FaultKind.CUT, 2000, 9000, 1 << 0),
            Press(3000, 3200, 0, CAB, 3),
            InjectedFault(FaultKind.SLOW, 4900, 9000, 0, delay_ms=400),
            InjectedFault(FaultKind.DISK, 4900, 5150, 0),
            InjectedFault(FaultKind.KILL, 5000, 5100, 0),
            Press(5380, 5580, 0, CAB, 2),
        ),
    ),
    # The new run has lost its record. It hears of the call from its peers, and its slow disk delays the confirmation.
    "lamp_stays_lit_until_a_call_that_only_peers_still_hold_is_confirmed_again": Regression(
        pytest.mark.rule("L4"),
        *UNCONFIRMED_LAMPS_GO_DARK,
        (
            Press(3000, 3200, 0, CAB, 3),
            InjectedFault(FaultKind.SLOW, 3500, 9000, 0, delay_ms=4000),
            InjectedFault(FaultKind.WIPE, 5000, 5100, 0),
        ),
    ),
    # Node 1 is killed with the lamp lit and nothing on its disk: only its peers can give the call back.
    "lamp_of_a_node_with_a_failing_disk_lights_only_when_its_peers_hold_the_call": Regression(
        pytest.mark.rule("L3"),
        replica.is_promised,
        "on_disk and all(",
        "replica.disk_failed or on_disk and all(",
        (
            InjectedFault(FaultKind.DISK, 2000, 20_000, 1),
            Press(4000, 4200, 1, CAB, 0),
            InjectedFault(FaultKind.KILL, 4500, 6000, 1),
        ),
    ),
    # The answer with the false reading is 100 ms old when the next one comes: the reading is over, the server slow.
    "impossible_floor_is_not_believed_by_the_age_of_one_answer": Regression(
        pytest.mark.rule("C5"),
        position.judge,
        "asked_at_ms < old.believe_at_ms",
        "now_ms < old.believe_at_ms",
        (
            Press(3000, 3200, 0, UP, 0),
            Press(3500, 3700, 0, CAB, 2),
            InjectedFault(FaultKind.GLITCH, 5300, 5373, 0),
            InjectedFault(FaultKind.LAG, 5308, 9308, 0, delay_ms=400),
        ),
    ),
}


def parameters() -> list[object]:
    return [pytest.param(each, id=name, marks=each.rule) for name, each in REGRESSIONS.items()]


@pytest.mark.parametrize("regression", parameters())
def test_run_passes(regression: Regression) -> None:
    done, transcript = campaign.outcome(regression.plan())
    assert not done.violation, "\n".join(transcript[-40:])


@pytest.mark.parametrize("regression", parameters())
def test_run_fails_with_the_mistake_put_back(regression: Regression, monkeypatch: pytest.MonkeyPatch) -> None:
    reword(monkeypatch, regression.function, regression.right, regression.wrong)
    assert campaign.outcome(regression.plan())[0].violation
