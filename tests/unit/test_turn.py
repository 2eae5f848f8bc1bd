"""A turn: its short way must come to the same as a whole step, and nothing is done by what was seen long ago."""

import pytest
from attrs import evolve
from steps import Group

from elevator.core import node, turn
from elevator.core import step as stepping
from elevator.core.model import Button, Buttons, Call, Inputs, Motor, Outputs, Tick
from elevator.core.node import Node
from elevator.core.step import step
from elevator.simulation.plans import plan
from elevator.simulation.simulated_node import Nowhere
from elevator.simulation.world import World


@pytest.mark.parametrize("seed", [2, 8, 13, 24])
def test_a_turn_that_goes_the_short_way_comes_to_the_same_as_a_step(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    short_ways = 0

    def step_idle(before: Node, tick: Tick) -> Node | None:
        after = stepping.step_idle(before, tick)
        if after is not None:
            nonlocal short_ways
            short_ways += 1
            stepped = step(before, tick)
            assert after.quiet_until_ms <= stepped.quiet_until_ms, "it would wake too late"
            assert after == evolve(stepped, quiet_until_ms=after.quiet_until_ms, resteps=after.resteps)
        return after

    monkeypatch.setattr(turn, "step_idle", step_idle)
    World(plan(seed)).run()
    assert short_ways > 1000


class Panel:
    """Remembers what was written to it."""

    def __init__(self) -> None:
        self.written: list[Outputs] = []

    def write(self, outputs: Outputs) -> None:
        self.written.append(outputs)


@pytest.mark.parametrize("stood_still", [False, True])
def test_what_was_decided_by_what_a_panel_showed_long_ago_is_not_done(stood_still: bool) -> None:
    car = Group(cars=1, at=(0,))[0]
    assert car.node.inputs is not None
    inputs, panel = evolve(car.node.inputs, pressed=Buttons(cab=0b1000)), Panel()
    seen: tuple[int, Inputs | None] = (31_000, None) if stood_still else (1400, inputs)
    after = turn.turn(car.node, Tick(1010, inputs), lambda: seen, Nowhere(), Nowhere(), panel)
    assert [each.motor for each in panel.written] == [Motor.STOP if stood_still else Motor.UP]
    assert after.now_ms == (31_000 if stood_still else 1010)


def test_a_press_is_kept_that_was_read_before_a_long_standstill() -> None:
    car = Group(cars=1, at=(0,))[0]
    assert car.node.inputs is not None
    inputs = evolve(car.node.inputs, pressed=Buttons(cab=0b1000))
    after = turn.turn(car.node, Tick(1010, inputs), lambda: (1600, None), Nowhere(), Nowhere(), Panel())
    assert set(after.calls.live.values()) == {Call(Button.CAB, 3, 0)}


def test_a_panel_that_gets_old_in_a_turn_makes_no_peer_silent() -> None:
    car = Group()[0]
    assert car.node.inputs is not None
    inputs = evolve(car.node.inputs, pressed=Buttons(up=0b0010))
    after = turn.turn(car.node, Tick(1010, inputs), lambda: (1450, None), Nowhere(), Nowhere(), Panel())
    assert node.in_reach(after).keys() == {1, 2}
