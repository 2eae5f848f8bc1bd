"""A running demo with real nodes. The tests use the WebSocket of the page to control the demo.

test_demo_of_controllers.py tests demos of another program's controllers.
"""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import PATIENCE_S, demo
from page_client import CARS, FLOORS, Page, children_of, open_page


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with demo("--floors", str(FLOORS), "--rate", "0", "--seed", "4") as (_, address), open_page(address) as page:
        page.wait(
            lambda: all(page.node(car).get("fault") == "none" and page.node(car)["heard"] for car in CARS),
            "all nodes were in service",
        )
        yield page


@pytest.mark.quick
def test_hall_call_is_served(page: Page) -> None:
    assert page.ask("press", car=1, button="up", floor=2) == {"ok": True}
    page.wait(lambda: page.is_open_at(2), "a car came")
    page.wait(lambda: not page.is_lit(2), "the lamps went out")


def test_another_car_serves_the_call_of_a_killed_node(page: Page) -> None:
    floor = page.far_floor()
    page.ask("press", car=0, button="up", floor=floor)
    page.wait(lambda: page.is_lit(floor) and page.assigned_cars(floor), "the call was assigned")
    (victim, *_) = page.assigned_cars(floor)
    assert page.ask("kill", node=victim) == {"ok": True}
    page.wait(lambda: page.node(victim)["state"] == "killed" and not page.node(victim)["heard"], "the node was dead")
    page.wait(lambda: set(page.is_open_at(floor)) - {victim}, "another car came")
    assert page.ask("freeze", node=victim, on=True) == {"ok": True}
    assert page.ask("start", node=victim) == {"ok": True}
    page.wait(lambda: page.node(victim)["state"] == "running" and page.node(victim)["heard"], "the node was back")


def test_frozen_node_times_out_and_returns_when_resumed(page: Page) -> None:
    page.ask("freeze", node=2, on=True)
    page.wait(
        lambda: page.node(2)["state"] == "frozen" and not page.node(2)["heard"],
        "the node timed out",
    )
    page.ask("freeze", node=2, on=False)
    page.wait(lambda: page.node(2)["state"] == "running" and page.node(2)["heard"], "the node was back")


def test_unplugged_node_serves_cab_calls_and_rejoins_the_group_when_replugged(page: Page) -> None:
    page.ask("unplug", node=0, on=True)
    page.wait(lambda: not page.node(0)["plugged"], "the node was unplugged")
    page.wait(lambda: page.has_logged("node 1: node 0 timed out"), "node 1 noticed")
    page.wait(lambda: page.has_logged("node 2: node 0 timed out"), "node 2 noticed")
    page.ask("press", car=0, button="cab", floor=4)
    page.wait(lambda: page.car(0)["door"] and page.car(0)["sensor"] == 4, "the car served its cab call")
    page.ask("unplug", node=0, on=False)
    page.wait(lambda: page.has_logged("node 1: node 0 is alive"), "node 1 received heartbeats of node 0 again")


def test_node_logs_that_a_peer_timed_out_at_100_percent_packet_loss(page: Page) -> None:
    page.ask("lose", percent=100)
    page.wait(lambda: page.scene["loss"] == 100, "the loss was 100 %")
    page.wait(lambda: page.has_logged("node 1: node 2 timed out"), "node 1 noticed")
    page.ask("lose", percent=0)
    page.wait(lambda: page.scene["loss"] == 0, "the loss was 0 %")


def test_passengers_arrive_once_a_rate_is_set_and_their_waits_are_shown(page: Page) -> None:
    page.ask("traffic", rate=600, profile="up")
    page.wait(lambda: page.scene["traffic"] == {"rate": 600, "profile": "up"}, "the traffic was set")
    page.wait(lambda: page.scene["recent"], "a passenger boarded")
    page.ask("traffic", rate=0, profile="lunch")
    page.wait(lambda: page.scene["waits"]["mean_ms"] > 0, "waiting times were shown")


@pytest.mark.parametrize(
    "request_",
    [
        {"do": "kill", "node": 9},
        {"do": "kill", "node": -1},
        {"do": "kill", "node": "0"},
        {"do": "kill"},
        {"do": "freeze", "node": 0},
        {"do": "unplug", "node": 0, "on": 1},
        {"do": "lose", "percent": 101},
        {"do": "lose", "percent": -1},
        {"do": "traffic", "rate": -1, "profile": "lunch"},
        {"do": "traffic", "rate": 10**9, "profile": "lunch"},
        {"do": "traffic", "rate": 1, "profile": "none"},
        {"do": "press", "car": 0, "button": "up", "floor": FLOORS - 1},
        {"do": "state"},
        {"do": "events", "since": 0},
        {"do": "exit"},
    ],
    ids=str,
)
def test_invalid_request_gets_an_error(page: Page, request_: dict[str, object]) -> None:
    assert list(page.ask(**request_)) == ["error"]  # type: ignore[arg-type]  # invalid on purpose


def test_terminated_demo_ends_its_child_processes_even_if_a_node_is_frozen() -> None:
    with demo("--rate", "0") as (process, address):
        with open_page(address) as page:
            page.wait(lambda: page.scene and all(page.node(car)["heard"] for car in CARS), "all nodes sent heartbeats")
            page.ask("freeze", node=0, on=True)
            page.ask("kill", node=1)
        started = children_of(process.pid)
        assert len(started) == 3  # two nodes and the keeper process of exam/controllers.py
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, output
        assert not any(Path(f"/proc/{pid}").exists() for pid in started)
