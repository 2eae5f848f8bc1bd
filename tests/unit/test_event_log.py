"""A node's log, in virtual time: events are logged at once, but flapping inputs do not flood the log."""

import logging
from collections.abc import Callable

import pytest
from attrs import evolve
from steps import Group, ScriptedCar, partition

from elevator.building.elevators import new_elevator
from elevator.building.shaft import Shaft, put, sensor
from elevator.core.log_damping import FREE_RECURRENCES
from elevator.core.model import Button
from elevator.runtime.event_log import RepeatedWarnings, events
from elevator.simulation.faults import FaultKind

MINUTE_MS = 60_000
LINES_MAX = 40
"""The limit on log lines per minute while one input flaps, or packets are lost: about a dozen for each affected
condition."""


def flap(group: Group, change: Callable[[bool], None], on_ms: int, off_ms: int, for_ms: int = MINUTE_MS) -> None:
    """Repeat for *for_ms*: call change(True), run for *on_ms*, call change(False), run for *off_ms*."""
    until_ms = group.now_ms + for_ms
    while group.now_ms < until_ms:
        change(True)
        group.run(on_ms)
        change(False)
        group.run(off_ms)


def sensor_without_floor(node: ScriptedCar) -> Callable[[bool], None]:
    def change(on: bool) -> None:
        true = sensor(node.elevator.shaft, node.world.now_ms)
        node.set_elevator(evolve(node.elevator, sensed=None if on else true))

    return change


def sensor_with_floor(floor: int) -> Callable[[ScriptedCar], Callable[[bool], None]]:
    return lambda node: lambda on: node.misread_floor(floor if on else None)


def stop_button(node: ScriptedCar) -> Callable[[bool], None]:
    return lambda on: node.inject(FaultKind.STOP, on)


def server(node: ScriptedCar) -> Callable[[bool], None]:
    return node.unplug_server


@pytest.mark.parametrize(
    "make_change", [sensor_without_floor, sensor_with_floor(2), sensor_with_floor(9), stop_button, server]
)
@pytest.mark.parametrize("on_ms", [150, *(pytest.param(each, marks=pytest.mark.slow) for each in (30, 700))])
def test_flapping_input_does_not_flood_the_log(
    make_change: Callable[[ScriptedCar], Callable[[bool], None]], on_ms: int
) -> None:
    group = Group(cars=1, at=(1,), judged=False)
    flap(group, make_change(group[0]), on_ms, on_ms)
    assert len(group[0].log) <= LINES_MAX, group[0].log[-10:]
    # The wrong readings may have led the car out of its shaft, so put it back.
    group[0].set_elevator(new_elevator(put(Shaft(4), 1, group.now_ms)))
    group.run(2 * MINUTE_MS)
    assert [line for line in group[0].log if "service" in line][-1].startswith("in service"), (
        "the last line must say that the car is in service"
    )
    group.press(0, Button.CAB, 2)
    group.run(10_000)
    assert "door open at floor 2" in group[0].log


@pytest.mark.parametrize(("cut_ms", "connected_ms"), [(300, 60), (400, 300), (2500, 200)])
def test_flapping_link_to_a_peer_does_not_flood_the_log(cut_ms: int, connected_ms: int) -> None:
    group = Group(cars=2, at=(0, 0))
    flap(group, lambda on: partition(group, {0}, {1}) if on else partition(group, {0, 1}), cut_ms, connected_ms)
    lines = [line for line in group[0].log if line.startswith("node 1")]
    assert lines[:4] == ["node 1 is alive", "node 1 timed out: its hall calls are reassigned"] * 2
    assert len(lines) <= 14
    group.run(2 * MINUTE_MS)
    last = [line for line in group[0].log if line.startswith("node 1")][-1]
    assert last.startswith("node 1 is alive (after "), "the last line must say that node 1 is alive"


def test_silence_of_a_peer_without_a_panel_is_not_logged_as_a_timeout() -> None:
    group = Group(cars=2, at=(0, 0))
    server(group[1])(True)
    group.run(3000)
    group[1].kill()
    group.run(3000)
    assert group[0].log[-1] == "node 1 is gone: its hall calls were already reassigned"
    group[1].start()
    group.run(3000)
    assert group[0].log[-1] == "node 1 is alive"


def test_packet_loss_does_not_flood_the_log() -> None:
    group = Group(cars=3)
    group[0].inject(FaultKind.PACKET_LOSS, on=True, detail=70)
    group.run(MINUTE_MS)
    assert all(len(car.log) <= LINES_MAX for car in group.cars)


def test_first_occurrences_of_a_fault_are_logged_at_once() -> None:
    group = Group(cars=1, at=(0,))
    for _ in range(1 + FREE_RECURRENCES):
        group[0].log.clear()
        stop_button(group[0])(True)
        group.run(20)
        assert group[0].log == ["out of service: stop button"]
        stop_button(group[0])(False)
        group.run(20)
        assert group[0].log == ["out of service: stop button", "in service"]


def test_second_fault_of_a_car_is_logged_at_once() -> None:
    group = Group(cars=1, at=(0,))
    group[0].log.clear()
    stop_button(group[0])(True)
    group.run(20)
    server(group[0])(True)
    group.run(20)
    assert group[0].log == ["out of service: stop button", "out of service: no elevator answers"]


def test_repeated_warnings_are_logged_at_growing_intervals_with_a_count(caplog: pytest.LogCaptureFixture) -> None:
    warnings = RepeatedWarnings()
    for now_ms in range(0, 10 * MINUTE_MS, 50):
        warnings.log({"garbage": 1 + now_ms // 50, "quiet": 0}, now_ms)
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert messages[:4] == ["garbage", "garbage (20 times)", "garbage (40 times)", "garbage (80 times)"]
    assert messages[-1] == "garbage (1200 times)"
    assert len(messages) <= 6 + 10
    caplog.clear()
    warnings.log({"garbage": 10 * MINUTE_MS // 50}, 13 * MINUTE_MS)
    for now_ms in (0, 1000, 3000):
        warnings.log({"garbage": 20_000 + now_ms}, 15 * MINUTE_MS + now_ms)
    assert [record.getMessage() for record in caplog.records][-3:] == [
        "garbage (8000 times)",
        "garbage (1000 times)",
        "garbage (2000 times)",
    ]


def test_node_without_faults_logs_only_calls_at_level_info() -> None:
    group = Group(cars=2, at=(0, 0))
    group.run(1000)
    group.press(0, Button.CAB, 2)
    logged: list[str] = []
    until_ms = group.now_ms + 10_000
    while group.now_ms < until_ms:
        before = group[0].node
        group.run(10)
        assert before is not None
        assert group[0].node is not None
        logged += [event.text for event in events(before, group[0].node) if event.level >= logging.INFO]
    assert logged == [f"cab call of car 0 to floor 2: {change}" for change in ("registered", "lamp on", "served")]
