"""The cars that a fault affects, and the time when the group is calm again."""

import pytest

from elevator.simulation.events import FaultChanged
from elevator.simulation.faults import FaultKind, InjectedFault, Plan
from elevator.simulation.observed import CAR_MS, GROUP_MS
from elevator.simulation.world import World

LONG_MS = 60_000


class Run:
    """A simulated world with two cars, in which the test sets the time."""

    def __init__(self) -> None:
        self.world = World(Plan(1, 2, 4, 2000, LONG_MS, (), ()))
        self.world.now_ms = LONG_MS

    def is_unaffected(self, node: int) -> bool:
        return self.world.is_unaffected(self.world.nodes[node])

    def is_calm(self) -> bool:
        return self.world.is_calm()

    def fail(self, kind: FaultKind, lasts_ms: int | None) -> None:
        """Begin a fault of node 0, and end it after *lasts_ms*. If *lasts_ms* is None, the fault does not end."""
        fault = InjectedFault(kind, self.world.now_ms, self.world.now_ms + (lasts_ms or LONG_MS), 0)
        self.world.emit(FaultChanged(fault, begins=True))
        self.world.now_ms += lasts_ms or 0
        if lasts_ms is not None:
            self.world.emit(FaultChanged(fault, begins=False))


@pytest.mark.parametrize("kind", [FaultKind.KILL, FaultKind.FREEZE, FaultKind.SERVER, FaultKind.MOTOR, FaultKind.STOP])
def test_fault_affects_its_own_car_until_some_time_after_it_ends_but_no_other_car(kind: FaultKind) -> None:
    run = Run()
    assert run.is_unaffected(0)
    run.fail(kind, lasts_ms=3000)
    run.world.now_ms += CAR_MS - 1
    assert (run.is_unaffected(0), run.is_unaffected(1)) == (False, True)
    run.world.now_ms += 1
    assert run.is_unaffected(0)


def test_group_is_calm_again_although_a_node_stays_dead() -> None:
    run = Run()
    run.fail(FaultKind.KILL, lasts_ms=None)
    run.world.now_ms += GROUP_MS - 1
    assert not run.is_calm()
    run.world.now_ms += 1
    assert run.is_calm()
    assert not run.is_unaffected(0)


@pytest.mark.parametrize(
    "kind", [FaultKind.PACKET_LOSS, FaultKind.CUT, FaultKind.GHOST, FaultKind.DISK, FaultKind.SLOW_SERVER]
)
def test_group_is_not_calm_while_a_fault_that_affects_it_lasts(kind: FaultKind) -> None:
    run = Run()
    run.fail(kind, lasts_ms=None)
    run.world.now_ms += LONG_MS
    assert not run.is_calm()


@pytest.mark.parametrize("kind", [FaultKind.FALSE_FLOOR, FaultKind.ATTACK])
def test_harmless_fault_affects_neither_its_car_nor_the_group(kind: FaultKind) -> None:
    run = Run()
    run.fail(kind, lasts_ms=100)
    assert run.is_unaffected(0)
    assert run.is_calm()


def test_duplicate_node_still_affects_every_car_and_the_group_just_after_it_has_left() -> None:
    run = Run()
    run.fail(FaultKind.DUPLICATE_ID, lasts_ms=1000)
    assert not any(run.is_unaffected(node) for node in (0, 1))
    assert not run.is_calm()
