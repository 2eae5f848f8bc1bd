"""Turns: an idle step gives the same state as a full step, and decisions from stale inputs are not executed."""

import pytest
from attrs import evolve
from steps import Group

from elevator.core import node, turn
from elevator.core import step as stepping
from elevator.core.messages import Heartbeat, Record, Tick
from elevator.core.model import Button, Buttons, Call, Inputs, Motor, Outputs
from elevator.core.node import Node
from elevator.core.step import STALL_MS, step
from elevator.simulation.plans import plan
from elevator.simulation.world import World


@pytest.mark.parametrize(("seed", "cars"), [(2, None), (24, 3)])
def test_idle_step_gives_the_same_state_as_a_full_step_but_may_wake_the_node_earlier(
    seed: int, cars: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle_steps = 0

    def step_idle(before: Node, tick: Tick) -> Node | None:
        after = stepping.step_idle(before, tick)
        if after is not None:
            nonlocal idle_steps
            idle_steps += 1
            stepped = step(before, tick)
            assert after.quiet_until_ms <= stepped.quiet_until_ms, "the node would wake too late"
            assert after == evolve(stepped, quiet_until_ms=after.quiet_until_ms, resteps=after.resteps)
        return after

    monkeypatch.setattr(turn, "step_idle", step_idle)
    World(plan(seed, cars)).run()
    assert idle_steps > 1000


class Devices:
    """A panel that keeps the outputs written to it, and a disk and a network that ignore everything."""

    def __init__(self) -> None:
        self.written: list[Outputs] = []

    def write(self, outputs: Outputs) -> None:
        self.written.append(outputs)

    def save(self, record: Record) -> None: ...

    def send(self, heartbeat: Heartbeat) -> None: ...


def press(before: Node, pressed: Buttons) -> Inputs:
    """Return the last inputs of *before*, but with the buttons *pressed*."""
    assert before.inputs is not None
    return evolve(before.inputs, pressed=pressed)


@pytest.mark.parametrize("is_stalled", [False, True])
def test_decision_from_stale_inputs_is_not_executed(is_stalled: bool) -> None:
    before, devices = Group(cars=1, at=(0,))[0].node, Devices()
    inputs = press(before, Buttons(cab=0b1000))
    latest: tuple[int, Inputs | None] = (31_000, None) if is_stalled else (1400, inputs)
    after = turn.turn(before, Tick(1010, inputs), lambda: latest, devices, devices, devices)
    assert [outputs.motor for outputs in devices.written] == [Motor.STOP if is_stalled else Motor.UP]
    assert after.now_ms == (31_000 if is_stalled else 1010)


def test_node_without_a_panel_listens_after_a_stall_in_the_middle_of_a_turn() -> None:
    before = Group()[0].node
    after = turn.turn(before, Tick(1010, None), lambda: (1010 + STALL_MS, None), Devices(), Devices(), Devices())
    assert node.is_listening(after)


def test_press_read_before_a_stall_is_kept() -> None:
    before = Group(cars=1, at=(0,))[0].node
    tick = Tick(1010, press(before, Buttons(cab=0b1000)))
    after = turn.turn(before, tick, lambda: (1600, None), Devices(), Devices(), Devices())
    assert set(after.calls.live.values()) == {Call(Button.CAB, 3, 0)}


def test_inputs_that_become_stale_during_a_turn_do_not_time_out_a_peer() -> None:
    before = Group()[0].node
    tick = Tick(1010, press(before, Buttons(up=0b0010)))
    after = turn.turn(before, tick, lambda: (1450, None), Devices(), Devices(), Devices())
    assert node.in_reach(after).keys() == {1, 2}
