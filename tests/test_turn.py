"""The short way of a turn: whatever it spares itself, it must come to the same as a whole step."""

import pytest
from attrs import evolve

from elevator import node, turn
from elevator.model import Tick
from elevator.node import Node, step
from elevator.sim.faults import plan
from elevator.sim.world import World


@pytest.mark.parametrize("seed", [2, 8, 13, 24])
def test_a_turn_that_goes_the_short_way_comes_to_the_same_as_a_step(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    short_ways = 0

    def hum(before: Node, tick: Tick) -> Node | None:
        after = node.hum(before, tick)
        if after is not None:
            nonlocal short_ways
            short_ways += 1
            stepped = step(before, tick)
            assert after.quiet_until_ms <= stepped.quiet_until_ms, "it would wake too late"
            assert after.miss_at_ms <= stepped.miss_at_ms, "it would miss a peer too late"
            assert after == evolve(stepped, quiet_until_ms=after.quiet_until_ms, miss_at_ms=after.miss_at_ms)
        return after

    monkeypatch.setattr(turn, "hum", hum)
    World(plan(seed)).run()
    assert short_ways > 1000
