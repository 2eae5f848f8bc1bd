"""What the tests of the exam press and expect. There are no controllers, and no time passes."""

import os
import random
import socket
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from attrs import evolve
from lab import free_port

from elevator.building.shaft import put
from elevator.core.model import Button, Buttons
from elevator.exam.catalogue import TESTS
from elevator.exam.examiner import ExamSetting, examine
from elevator.exam.group import PressedCall
from elevator.exam.results import Result
from elevator.exam.rig import ExamTest, Rig
from elevator.exam.setup import Subject
from elevator.exam.tests_network import _record

CARS = 3


@pytest.fixture(autouse=True)
def _no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduce the rig to presses and checks. All cars stand at floors, and all count as healthy."""

    def start(rig: Rig, cars: object = None) -> None:
        if rig.switch is None:
            rig.switch = SimpleNamespace(groups=None, loss=0.0, sent_per_100ms=[])  # type: ignore[assignment]
            floors = random.Random(rig.rng.random())
            for car in range(CARS):
                place(rig, car, floors.randrange(rig.floors))

    nothing = {name: lambda *_: None for name in ("run", "kill", "plug", "unplug", "switch_server")}
    given = {
        "start": start,
        "wait": lambda _, condition, __: bool(condition()),
        "healthy": property(lambda _: [*range(CARS)]),
        "expect_all_served": lambda *_, **__: True,
    }
    for name, attribute in (nothing | given).items():
        monkeypatch.setattr(Rig, name, attribute)


def place(rig: Rig, car: int, floor: int) -> None:
    now_us = rig.building.settle()
    elevator = rig.elevator(car)
    rig.building.change(car, evolve(elevator, shaft=put(elevator.shaft, floor, now_us // 1000), sensed=floor), now_us)


def light(rig: Rig, car: int, button: Button, floor: int) -> None:
    elevator = rig.elevator(car)
    lamps = elevator.lamps | evolve(Buttons(), **{button.name.lower(): 1 << floor})
    rig.building.change(car, evolve(elevator, lamps=lamps), rig.building.settle())


def rehearse(test: Callable[[Rig], None], seed: int = 1) -> Result:
    examined = Subject(["true"], {**os.environ}, port=free_port(socket.SOCK_STREAM, CARS))
    setting = ExamSetting(CARS, 4, seed, has_network=False)
    return examine(ExamTest("short", "A short test", test), examined, setting, lambda: None)


def failed_rules(result: Result) -> set[str]:
    return {check.rule for check in result.checks if not check.passed}


@pytest.mark.parametrize("name", ["kill-pressed", "cutoff", "split", "loss30"])
def test_no_car_stands_at_the_floor_of_a_press_that_it_could_serve(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a car would serve the call at once, and the exam would test nothing."""
    could_serve: list[int] = []
    pressed: set[int] = set()
    press = Rig.press

    def press_and_note(rig: Rig, panel: int, button: Button, floor: int, ms: int | None = None) -> PressedCall:
        groups = rig.network.groups or [set(range(CARS))]
        (group,) = (group for group in groups if panel in group)
        servers = [panel] if button is Button.CAB else group
        pressed.add(floor)
        could_serve.extend(car for car in servers if rig.elevator(car).sensed == floor)
        return press(rig, panel, button, floor, ms)

    monkeypatch.setattr(Rig, "press", press_and_note)
    for seed in range(10):
        rehearse(TESTS[name].run, seed)
    assert could_serve == []
    assert pressed == {0, 1, 2, 3}


@pytest.mark.parametrize(("lit", "chosen"), [([], 0), ([0], 3), ([0, 3], 0)])
def test_far_floor_prefers_floors_with_a_dark_button_and_no_car(lit: list[int], chosen: int) -> None:
    """At a floor with a lit lamp, a second press would test nothing. The cars stand at floors 1 and 2."""
    found: list[int] = []

    def choose(rig: Rig) -> None:
        rig.start()
        for car in range(CARS):
            place(rig, car, 1 + car % 2)
        for floor in lit:
            light(rig, 0, rig.hall_button(floor), floor)
        found.append(rig.far_floor(range(CARS)))

    rehearse(choose)
    assert found == [chosen]


def test_datagrams_for_a_replay_include_those_sent_at_each_press(monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch keeps only the last datagrams. Before a call is served, it drops those sent at the press."""
    press = Rig.press
    recorded: list[object] = []

    def press_and_send(rig: Rig, *call: int) -> PressedCall:
        rig.network.capture.append(f"press {len(rig.network.capture)}")  # type: ignore[arg-type]
        return press(rig, *call)  # type: ignore[arg-type]

    def record(rig: Rig) -> None:
        rig.start()
        rig.network.capture = deque(["start"], maxlen=4)  # type: ignore[list-item]
        recorded.extend(_record(rig))

    monkeypatch.setattr(Rig, "press", press_and_send)
    monkeypatch.setattr(Rig, "expect_all_served", lambda rig: rig.network.capture.extend("abcde"))
    rehearse(record)
    assert recorded == ["start", "press 1", *"bcde", "press 0", *"bcde", "press 0", *"bcde"]


@pytest.mark.parametrize(("servers", "failed"), [(None, {"L1"}), ([0, 1], {"L1"}), (range(CARS), set())])
def test_call_may_stay_dark_only_if_one_of_the_given_cars_serves_it(
    servers: list[int] | None, failed: set[str]
) -> None:
    def open_elsewhere(rig: Rig) -> None:
        rig.start()
        place(rig, 2, 1)
        rig.building.change(2, evolve(rig.elevator(2), door=True), rig.building.settle())
        rig.expect_lit(rig.press(0, Button.UP, 1), [0, 1], 1.0, servers=servers)

    assert failed_rules(rehearse(open_elsewhere)) == failed


@pytest.mark.parametrize(("is_lit", "failed"), [(False, {"L3"}), (True, {"G1"})])
@pytest.mark.parametrize("name", ["restart", "server"])
def test_cab_call_that_never_lit_need_not_be_served(
    name: str, is_lit: bool, failed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    press = Rig.press

    def press_and_light(rig: Rig, car: int, button: Button, floor: int, ms: int | None = None) -> PressedCall:
        call = press(rig, car, button, floor, ms)
        if is_lit:
            light(rig, car, button, floor)
        return call

    monkeypatch.setattr(Rig, "press", press_and_light)
    monkeypatch.setattr(Rig, "has_client", lambda *_: True)
    assert failed_rules(rehearse(TESTS[name].run)) == failed
