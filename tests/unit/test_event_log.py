"""A node's log in virtual time: events are logged at once, and what flaps does not fill it."""

import logging
import random
from collections.abc import Callable

import pytest
from attrs import evolve
from group import Computer, Group

from elevator.building.elevator import machine
from elevator.building.shaft import Shaft, put, sensor
from elevator.core.log_damping import FREE_RECURRENCES
from elevator.core.model import Button
from elevator.runtime.event_log import Complaints

MINUTE_MS = 60_000
LINES_MAX = 40
"""Per minute, while one input flaps: a dozen lines for each condition that comes and goes with it."""


def flap(group: Group, change: Callable[[bool], None], on_ms: int, off_ms: int, for_ms: int = MINUTE_MS) -> None:
    """Let *change* set something and reset it, over and over."""
    until_ms = group.now_ms + for_ms
    while group.now_ms < until_ms:
        change(True)
        group.run(on_ms)
        change(False)
        group.run(off_ms)


def sensor_without_floor(computer: Computer) -> Callable[[bool], None]:
    def change(on: bool) -> None:
        true = sensor(computer.machine.shaft, computer.now_ms)
        computer.machine = evolve(computer.machine, sensed=None if on else true)

    return change


def sensor_with_floor(floor: int) -> Callable[[Computer], Callable[[bool], None]]:
    def choose(computer: Computer) -> Callable[[bool], None]:
        return lambda on: setattr(computer, "lies", floor if on else None)

    return choose


def stop_button(computer: Computer) -> Callable[[bool], None]:
    return lambda on: setattr(computer, "machine", evolve(computer.machine, stop=on))


def server(computer: Computer) -> Callable[[bool], None]:
    def change(on: bool) -> None:
        computer.server = not on
        if on:
            computer.unplug_server()

    return change


@pytest.mark.parametrize(
    "what", [sensor_without_floor, sensor_with_floor(2), sensor_with_floor(9), stop_button, server]
)
@pytest.mark.parametrize("on_ms", [30, 150, 700])
def test_what_flickers_does_not_fill_the_log(what: Callable[[Computer], Callable[[bool], None]], on_ms: int) -> None:
    group = Group(cars=1, at=(1,))
    flap(group, what(group[0]), on_ms, on_ms)
    assert len(group[0].log) <= LINES_MAX, group[0].log[-10:]
    group[0].machine = machine(put(Shaft(4), 1, group.now_ms))  # It may have left its shaft, led by its sensor.
    group.run(2 * MINUTE_MS)
    assert [line for line in group[0].log if "service" in line][-1].startswith("in service"), (
        "the last line must be true"
    )
    group.press(0, Button.CAB, 2)
    group.run(10_000)
    assert "door open at floor 2" in group[0].log


@pytest.mark.parametrize(("cut_ms", "whole_ms"), [(300, 60), (400, 300), (2500, 200)])
def test_a_peer_that_comes_and_goes_does_not_fill_the_log(cut_ms: int, whole_ms: int) -> None:
    group = Group(cars=2, at=(0, 0))
    is_cut = False
    group.links = lambda sender, receiver: not is_cut

    def cut(on: bool) -> None:
        nonlocal is_cut
        is_cut = on

    flap(group, cut, cut_ms, whole_ms)
    lines = [line for line in group[0].log if line.startswith("node 1")]
    assert lines[:4] == ["node 1 is here", "node 1 is silent"] * 2
    assert len(lines) <= 14
    group.run(2 * MINUTE_MS)
    last = [line for line in group[0].log if line.startswith("node 1")][-1]
    assert last.startswith("node 1 is here (after "), "the last line must be true"


def test_a_lossy_network_does_not_fill_the_log() -> None:
    group, rng = Group(cars=3), random.Random(1)
    group.links = lambda sender, receiver: rng.random() > 0.7
    group.run(MINUTE_MS)
    assert all(len(computer.log) <= LINES_MAX for computer in group.computers)


def test_the_first_changes_are_logged_at_once() -> None:
    group = Group(cars=1, at=(0,))
    for _ in range(1 + FREE_RECURRENCES):
        group[0].log.clear()
        stop_button(group[0])(True)
        group.run(20)
        assert group[0].log == ["out of service: stop button"]
        stop_button(group[0])(False)
        group.run(20)
        assert group[0].log == ["out of service: stop button", "in service"]


def test_one_fault_after_another_is_logged_at_once() -> None:
    group = Group(cars=1, at=(0,))
    group[0].log.clear()
    stop_button(group[0])(True)
    group.run(20)
    server(group[0])(True)
    group.run(20)
    assert group[0].log == ["out of service: stop button", "out of service: no elevator answers"]


def test_what_keeps_going_wrong_is_said_ever_more_rarely_with_how_often(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints()
    for now_ms in range(0, 10 * MINUTE_MS, 50):
        complaints.say({"garbage": 1 + now_ms // 50, "quiet": 0}, now_ms)
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert messages[:4] == ["garbage", "garbage (20 times)", "garbage (40 times)", "garbage (80 times)"]
    assert messages[-1] == "garbage (1200 times)"
    assert len(messages) <= 6 + 10
    caplog.clear()
    complaints.say({"garbage": 10 * MINUTE_MS // 50}, 13 * MINUTE_MS)
    for now_ms in (0, 1000, 3000):
        complaints.say({"garbage": 20_000 + now_ms}, 15 * MINUTE_MS + now_ms)
    assert [record.getMessage() for record in caplog.records][-3:] == [
        "garbage (8000 times)",
        "garbage (1000 times)",
        "garbage (2000 times)",
    ]
