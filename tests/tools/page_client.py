"""A client of the WebSocket of the demo's page, for tests without a browser."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab import PATIENCE_S
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

CARS = range(3)
FLOORS = 9
"""The number of floors. There are more floors than cars, so that `Page.far_floor` always finds one at which no car is
parked."""
PARKED_S = 1.0
"""The cars count as parked once all of them have been stationary for this long."""


class Page:
    """A client of the demo's page. It keeps the newest scene, and the replies to the last request."""

    def __init__(self, address: str, connection: ClientConnection) -> None:
        self.address = address
        self.scene: dict[str, Any] = {}
        self.replies: list[dict[str, Any]] = []
        self._connection = connection

    def receive(self) -> None:
        message = json.loads(self._connection.recv(PATIENCE_S))
        if "scene" in message:
            self.scene |= message["scene"]
        else:
            self.replies.append(message)

    def ask(self, do: str, **what: object) -> dict[str, Any]:
        """Send the request *do* with the fields *what*. Wait for the reply and return it."""
        self.replies.clear()
        self._connection.send(json.dumps({"do": do, **what}))
        self.wait(lambda: self.replies, "the request was answered")
        return self.replies[0]

    def wait(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"timed out waiting until {what}: {self.scene}"
            self.receive()

    def car(self, number: int) -> dict[str, Any]:
        state: dict[str, Any] = self.scene[f"car{number}"]
        return state

    def node(self, number: int) -> dict[str, Any]:
        state: dict[str, Any] = self.scene[f"node{number}"]
        return state

    def is_lit(self, floor: int) -> bool:
        return any(floor in self.car(car)["lamps"]["up"] for car in CARS)

    def assigned_cars(self, floor: int) -> list[int]:
        return [car for car in CARS if floor in self.node(car).get("up", [])]

    def has_logged(self, words: str) -> bool:
        return any(words in line for line in self.scene["said"])

    def last_logged(self, *words: str) -> str:
        """Return which of *words* occurs last in the log lines that the page shows; empty if none does."""
        found = [each for line in self.scene["said"] for each in words if each in line]
        return found[-1] if found else ""

    def far_floor(self) -> int:
        """Wait until all cars are parked at different floors. Return the floor whose nearest car is farthest away.

        The top floor is excluded, because it has no up button.
        """

        def places() -> list[int]:
            return [self.car(car)["sensor"] for car in CARS if not self.car(car)["motor"]]

        since, old = time.monotonic(), [0]
        deadline = since + PATIENCE_S
        while time.monotonic() < since + PARKED_S:
            assert time.monotonic() < deadline, "the cars were never parked"
            self.receive()
            if places() != old or len(set(old)) < len(CARS):
                since, old = time.monotonic(), places()
        return max(range(FLOORS - 1), key=lambda floor: min(abs(floor - other) for other in old))

    def is_open_at(self, floor: int) -> list[int]:
        return [car for car in CARS if self.car(car)["door"] and self.car(car)["sensor"] == floor]


@contextmanager
def open_page(address: str) -> Iterator[Page]:
    """Connect to the page at *address* and wait for its first scene."""
    host = address.removeprefix("http://").rstrip("/")
    with connect(f"ws://{host}/live", origin=Origin(f"http://{host}")) as connection:
        page = Page(address, connection)
        page.wait(lambda: page.scene, "a scene arrived")
        yield page


def children_of(parent: int) -> list[int]:
    """Return the pids of the child processes of *parent*, except zombies."""
    children = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split() if entry.name.isdigit() else []
        except OSError:
            continue
        if fields and int(fields[1]) == parent and fields[0] != "Z":
            children.append(int(entry.name))
    return children
