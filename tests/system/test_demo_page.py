"""The demo as a whole, through its page's connection: real nodes are pressed for, killed, frozen and unplugged."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import PATIENCE_S, demo
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

CARS = range(3)
FLOORS = 9
"""So many that a parked car has a way to go to some of them."""
PARKED_S = 1.0
"""A car that stands for so long has been parked."""


class Page:
    """What the page knows, and what it may ask for."""

    def __init__(self, address: str, connection: ClientConnection) -> None:
        self.address = address
        self.scene: dict[str, Any] = {}
        self.replies: list[dict[str, Any]] = []
        self._connection = connection

    def hear(self) -> None:
        message = json.loads(self._connection.recv(PATIENCE_S))
        if "scene" in message:
            self.scene |= message["scene"]
        else:
            self.replies.append(message)

    def ask(self, do: str, **what: object) -> dict[str, Any]:
        """Send a request and return the reply."""
        self.replies.clear()
        self._connection.send(json.dumps({"do": do, **what}))
        self.wait(lambda: self.replies, "it was answered")
        return self.replies[0]

    def wait(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"it never came about that {what}: {self.scene}"
            self.hear()

    def car(self, number: int) -> dict[str, Any]:
        state: dict[str, Any] = self.scene[f"car{number}"]
        return state

    def node(self, number: int) -> dict[str, Any]:
        state: dict[str, Any] = self.scene[f"node{number}"]
        return state

    def is_lit(self, floor: int) -> bool:
        return any(floor in self.car(car)["lamps"]["up"] for car in CARS)

    def takers(self, floor: int) -> list[int]:
        return [car for car in CARS if floor in self.node(car).get("up", [])]

    def has_said(self, words: str) -> bool:
        return any(words in line for line in self.scene["said"])

    def far_floor(self) -> int:
        """Wait until the cars are parked, apart from each other; return the floor that is farthest from all of them."""

        def places() -> list[int]:
            return [self.car(car)["sensor"] for car in CARS if not self.car(car)["motor"]]

        since, old = time.monotonic(), [0]
        deadline = since + PATIENCE_S
        while time.monotonic() < since + PARKED_S:
            assert time.monotonic() < deadline, "the cars were never parked"
            self.hear()
            if places() != old or len(set(old)) < len(CARS):
                since, old = time.monotonic(), places()
        return max(range(FLOORS - 1), key=lambda floor: min(abs(floor - other) for other in old))

    def is_open_at(self, floor: int) -> list[int]:
        return [car for car in CARS if self.car(car)["door"] and self.car(car)["sensor"] == floor]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with demo("--floors", str(FLOORS), "--rate", "0", "--seed", "4") as (_, address):
        host = address.removeprefix("http://").rstrip("/")
        with connect(f"ws://{host}/live", origin=Origin(f"http://{host}")) as connection:
            page = Page(address, connection)
            page.wait(lambda: page.scene, "there was anything to see")
            page.wait(
                lambda: all(page.node(car).get("fault") == "none" and page.node(car)["heard"] for car in CARS),
                "all nodes were in service",
            )
            yield page


@pytest.mark.quick
def test_a_call_is_lit_taken_and_served(page: Page) -> None:
    assert page.ask("press", car=1, button="up", floor=2) == {"ok": True}
    page.wait(lambda: page.is_open_at(2), "a car came")
    page.wait(lambda: not page.is_lit(2), "the lamps went out")


def test_a_killed_node_is_replaced_and_comes_back(page: Page) -> None:
    floor = page.far_floor()
    page.ask("press", car=0, button="up", floor=floor)
    page.wait(lambda: page.is_lit(floor) and page.takers(floor), "somebody took the call")
    (victim, *_) = page.takers(floor)
    assert page.ask("kill", node=victim) == {"ok": True}
    page.wait(lambda: page.node(victim)["state"] == "killed" and not page.node(victim)["heard"], "it was dead")
    page.wait(lambda: set(page.is_open_at(floor)) - {victim}, "another car came")
    assert page.ask("freeze", node=victim, on=True) == {"ok": True}
    assert page.ask("start", node=victim) == {"ok": True}
    page.wait(lambda: page.node(victim)["state"] == "running" and page.node(victim)["heard"], "it was back")


def test_a_frozen_node_is_silent_until_it_goes_on(page: Page) -> None:
    page.ask("freeze", node=2, on=True)
    page.wait(lambda: page.node(2)["state"] == "frozen" and not page.node(2)["heard"], "it was silent")
    page.ask("freeze", node=2, on=False)
    page.wait(lambda: page.node(2)["state"] == "running" and page.node(2)["heard"], "it was back")


def test_an_unplugged_node_is_alone_until_it_is_plugged_in(page: Page) -> None:
    page.ask("unplug", node=0, on=True)
    page.wait(lambda: not page.node(0)["plugged"], "it was unplugged")
    page.wait(lambda: page.has_said("node 1: node 0 is silent"), "one missed it")
    page.wait(lambda: page.has_said("node 2: node 0 is silent"), "the other missed it")
    page.ask("press", car=0, button="cab", floor=4)
    page.wait(lambda: page.car(0)["door"] and page.car(0)["sensor"] == 4, "it served its passengers")
    page.ask("unplug", node=0, on=False)
    page.wait(lambda: page.has_said("node 1: node 0 is alive"), "it was heard again")


def test_packets_are_lost_as_asked_for(page: Page) -> None:
    page.ask("lose", percent=100)
    page.wait(lambda: page.scene["loss"] == 100, "all was lost")
    page.wait(lambda: page.has_said("node 1: node 2 is silent"), "they missed each other")
    page.ask("lose", percent=0)
    page.wait(lambda: page.scene["loss"] == 0, "nothing was lost")


def test_people_come_as_asked_for_and_their_waits_are_told(page: Page) -> None:
    page.ask("traffic", rate=600, profile="up")
    page.wait(lambda: page.scene["traffic"] == {"rate": 600, "profile": "up"}, "people came")
    page.wait(lambda: page.scene["recent"], "somebody was in a car")
    page.ask("traffic", rate=0, profile="lunch")
    page.wait(lambda: page.scene["waits"]["mean_ms"] > 0 and sum(page.scene["people"]["up"]) >= 0, "waits were told")


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
def test_other_requests_get_an_error(page: Page, request_: dict[str, object]) -> None:
    assert list(page.ask(**request_)) == ["error"]  # type: ignore[arg-type]  # what is wrong is the point


def test_the_demo_ends_cleanly_also_with_nodes_frozen_and_killed() -> None:
    with demo("--rate", "0") as (process, address):
        host = address.removeprefix("http://").rstrip("/")
        with connect(f"ws://{host}/live", origin=Origin(f"http://{host}")) as connection:
            page = Page(address, connection)
            page.wait(lambda: page.scene and all(page.node(car)["heard"] for car in CARS), "all nodes were there")
            page.ask("freeze", node=0, on=True)
            page.ask("kill", node=1)
        started = nodes_of(process.pid)
        assert len(started) == 3  # with the keeper
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, said
        assert not any(Path(f"/proc/{pid}").exists() for pid in started)


def nodes_of(parent: int) -> list[int]:
    """List the living children of *parent*."""
    children = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split() if entry.name.isdigit() else []
        except OSError:
            continue
        if fields and int(fields[1]) == parent and fields[0] != "Z":
            children.append(int(entry.name))
    return children
