"""The cars that a fault affects, and the time when the group is calm again."""

import pytest

from elevator.simulation.events import FaultBegan, FaultEnded, Joined, Trial
from elevator.simulation.faults import FaultKind, InjectedFault, Plan
from elevator.simulation.health import CAR_MS, GROUP_MS, Health

LONG_MS = 60_000


class Run:
    """The health of two cars. The test sets the time."""

    def __init__(self) -> None:
        self.trial = Trial(Plan(1, 2, 4, 2000, LONG_MS, (), ()))
        self.health = Health(self.trial)
        for node in (0, 1):
            self.trial.emit(Joined(node))
        self.trial.now_ms = LONG_MS

    def fail(self, kind: FaultKind, lasts_ms: int | None) -> None:
        """Begin a fault of node 0 and end it after *lasts_ms*. If that is None, the fault does not end."""
        fault = InjectedFault(kind, self.trial.now_ms, self.trial.now_ms + (lasts_ms or LONG_MS), 0)
        self.trial.emit(FaultBegan(fault))
        self.trial.now_ms += lasts_ms or 0
        if lasts_ms is not None:
            self.trial.emit(FaultEnded(fault))


@pytest.mark.parametrize("kind", [FaultKind.KILL, FaultKind.FREEZE, FaultKind.SERVER, FaultKind.MOTOR, FaultKind.STOP])
def test_fault_affects_only_its_own_car_during_the_fault_and_for_a_while_afterwards(kind: FaultKind) -> None:
    run = Run()
    assert run.health.is_unaffected(0)
    run.fail(kind, lasts_ms=3000)
    run.trial.now_ms += CAR_MS - 1
    assert (run.health.is_unaffected(0), run.health.is_unaffected(1)) == (False, True)
    run.trial.now_ms += 1
    assert run.health.is_unaffected(0)


def test_group_is_calm_again_although_a_node_stays_dead() -> None:
    run = Run()
    run.fail(FaultKind.KILL, lasts_ms=None)
    run.trial.now_ms += GROUP_MS - 1
    assert not run.health.is_calm()
    run.trial.now_ms += 1
    assert run.health.is_calm()
    assert not run.health.is_unaffected(0)


@pytest.mark.parametrize(
    "kind", [FaultKind.PACKET_LOSS, FaultKind.CUT, FaultKind.GHOST, FaultKind.DISK, FaultKind.SLOW_SERVER]
)
def test_group_is_not_calm_while_its_network_or_a_disk_fails(kind: FaultKind) -> None:
    run = Run()
    run.fail(kind, lasts_ms=None)
    run.trial.now_ms += LONG_MS
    assert not run.health.is_calm()


@pytest.mark.parametrize("kind", [FaultKind.FALSE_FLOOR, FaultKind.ATTACK])
def test_harmless_fault_affects_no_car(kind: FaultKind) -> None:
    run = Run()
    run.fail(kind, lasts_ms=100)
    assert run.health.is_unaffected(0)
    assert run.health.is_calm()


def test_duplicate_node_affects_every_car() -> None:
    run = Run()
    run.fail(FaultKind.DUPLICATE_ID, lasts_ms=1000)
    assert not any(run.health.is_unaffected(node) for node in (0, 1))
    assert not run.health.is_calm()
