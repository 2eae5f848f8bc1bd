"""A running demo: the loop that steps elevators, controllers and passengers, and shows them.

Rules:
- The page can kill and freeze controllers. If the demo controls the network, the page can also unplug controllers and
  set the packet loss. The demo fails if a controller exits by itself, but not if the page kills it.
- A single loop serves the sockets. It steps the passengers and polls the controllers every STEP_MS. It updates the page
  every SHOW_MS and the terminal picture every DRAW_MS. Without a terminal, it prints a line every LINE_MS.
- Only this program's nodes report to the demo, in their heartbeats. Of other controllers, the demo shows only their
  processes, cables, and connections to the elevator servers.
"""

import os
import socket
from collections.abc import Callable

from attrs import frozen
from rich.console import Console
from rich.live import Live

from elevator.building import view
from elevator.building.building import Building
from elevator.building.control import Refused
from elevator.building.occupied_building import STEP_MS, OccupiedBuilding
from elevator.building.passengers import PassengerFlow
from elevator.building.shaft import Shaft
from elevator.cli.demo_group import DemoGroup, DemoNetwork
from elevator.cli.demo_picture import Scene, draw, line
from elevator.cli.demo_verdict import grace_ms
from elevator.ui.screen import guarded
from elevator.ui.web import Web

BOOT_MS = 1500
"""The passenger flow begins this long after the last controller was started."""
DRAW_MS = 125
SHOW_MS = 40
LINE_MS = 5000
LINES_ON_PAGE = 40
TIMEOUT_MS = 400
"""On the page, a node counts as timed out if no heartbeat from it has arrived for this long."""


@frozen
class NodeAction:
    """A request to kill or start the controller with the number `node`: a node, or another program's controller."""

    node: int


@frozen
class NodeSwitch:
    """A request to freeze or unplug the controller with the number `node`, or to undo that if `on` is false."""

    node: int
    on: bool


@frozen
class SetLoss:
    """A request to set the packet loss between controllers, 0..100 percent."""

    percent: int


REQUESTS = {"kill": NodeAction, "start": NodeAction, "freeze": NodeSwitch, "unplug": NodeSwitch, "lose": SetLoss}
"""The name and the class of each request to controllers or the network. Only the page of `elevator demo` sends them."""
OF_NETWORK = ("unplug", "lose")
"""The requests that change the network. A demo that does not control its network refuses them."""


class Demo:
    """A running demo: elevators, controllers, passengers and page, and the loop that steps and shows them."""

    def __init__(self, group: DemoGroup, seed: int, rate: int, seconds: int | None) -> None:
        """Prepare to run *group*, whose controllers `run_once` starts.

        *seed* and *rate* (passengers per minute) determine the passengers. The demo's time is up after *seconds*
        (None: never); see `is_over`. No passengers arrive in the last 30 s of this time, or in its second half if it is
        shorter than a minute.
        """
        self._group = group
        self._building = building = group.building
        self._controllers = group.controllers
        self._network = group.network
        self._requests = {
            name: kind for name, kind in REQUESTS.items() if group.network is not None or name not in OF_NETWORK
        }
        self._start_ms = now_ms = building.clock_us() // 1000
        self._end_ms = None if seconds is None else now_ms + seconds * 1000
        until_ms = None if seconds is None else now_ms + round(max(seconds - 30, seconds / 2) * 1000)
        cars = len(building.servers)
        self._start_gap_ms = round(group.start_gap_s * 1000)
        ready_ms = now_ms + (cars - 1) * self._start_gap_ms + BOOT_MS
        flow = PassengerFlow(seed, cars, _shaft(building).floors, rate, ready_ms, until_ms)
        self._occupied = OccupiedBuilding(building, flow)
        self._fixed = {"building": view.building(_shaft(building).floors, cars, group.noun, group.network is not None)}
        self._web: Web | None = None
        self._title = f"elevator demo    seed {seed}"
        self._polled_ms = self._showed_ms = now_ms

    def open_page(self, listener: socket.socket, host: str) -> Web:
        """Serve the page on *listener*, which is bound to *host*."""
        self._web = Web(listener, self._building.watch, self._handle, host)
        return self._web

    def _handle(self, line: bytes) -> bytes:
        return self._occupied.handle(line, self._requests, self._apply)

    def _apply(self, name: str, request: object) -> None:
        """Execute a request to a controller or the network; raise Refused if that fails or the request is invalid."""
        network = self._network
        if isinstance(request, SetLoss):
            assert network is not None
            if not 0 <= request.percent <= 100:
                raise Refused(f"percent must be from 0 to 100, not {request.percent}")
            network.loss = request.percent / 100
            return
        assert isinstance(request, NodeAction | NodeSwitch)
        if request.node not in range(len(self._building.servers)):
            raise Refused(f"there is no {self._group.noun} {request.node}")
        match name, request:
            case "kill", NodeAction(node):
                self._controllers.kill(node)
            case _, NodeAction(node):
                self._start(node)
            case "freeze", NodeSwitch(node, on):
                self._controllers.freeze(node, on)
            case _, NodeSwitch(node, on):
                assert network is not None
                self._plug(network, node, not on)

    def _start(self, number: int) -> None:
        try:
            self._controllers.start(number)
        except OSError as error:
            raise Refused(f"cannot start {error.filename}: {error.strerror}") from None

    def _plug(self, network: DemoNetwork, number: int, on: bool) -> None:
        try:
            network.plug(number, on)
        except OSError as error:
            what = "plug in" if on else "unplug"
            raise Refused(f"cannot {what} the cable of {self._group.noun} {number}: {error.strerror}") from None
        how = "plugged into" if on else "unplugged from"
        self._controllers.log.append(f"{self._group.noun} {number} was {how} the network")

    def _page_scene(self, now_ms: int) -> dict[str, object]:
        """Return the name and the value of everything that the page shows at *now_ms*."""
        shown: dict[str, object] = {**self._fixed, **self._occupied.scene()}
        if self._network is not None:
            shown["loss"] = round(self._network.loss * 100)
        for number, state in enumerate(self._controllers.states):
            plugged = None if self._network is None else number not in self._network.unplugged
            shown[f"node{number}"] = {**view.controller(state, plugged), **self._heartbeat(number, now_ms)}
        shown["said"] = list(self._controllers.log)[-LINES_ON_PAGE:]
        return shown

    def _heartbeat(self, number: int, now_ms: int) -> view.Json:
        """Return what node *number* last reported; an empty mapping if it is another program's controller."""
        if self._group.heard is None:
            return {}
        at_ms, heartbeat = self._group.heard.get(number, (0, None))
        return view.heartbeat(heartbeat is not None and now_ms < at_ms + TIMEOUT_MS, heartbeat)

    def scene(self) -> Scene:
        """Return what the terminal picture shows now. `judge` uses it too."""
        now_ms = self._building.clock_us() // 1000
        minutes, seconds = divmod((now_ms - self._start_ms) // 1000, 60)
        crowd = self._occupied.crowd
        where = f"    {self._web.address}" if self._web is not None else ""
        rate = f"{crowd.flow.per_minute:.0f} passengers/min"
        title = f"{self._title}    {rate}    {minutes}:{seconds:02}{where}    Ctrl-C quits"
        elevators = [server.elevator for server in self._building.servers]
        return Scene(title, elevators, crowd, tuple(self._controllers.log), now_ms)

    def is_over(self, now_ms: int) -> bool:
        """Return whether the demo must end.

        It must end if all controllers have exited by themselves. When its time is up, it must end as soon as no
        passenger is under way, and after `grace_ms` at the latest.
        """
        if self._controllers.all_ended:
            return True
        if self._end_ms is None or now_ms < self._end_ms:
            return False
        return not self._occupied.crowd.present or now_ms >= self._end_ms + grace_ms(_shaft(self._building))

    def run_once(self) -> int:
        """Step elevators and passengers, start and poll the controllers, and update the page; return the time in ms.

        Raise Refused if the first start of a controller fails.
        """
        self._building.run_once(STEP_MS / 1000)
        now_ms = self._occupied.step_passengers()
        if now_ms >= self._polled_ms + STEP_MS:
            self._polled_ms = now_ms
            self._start_due(now_ms)
            self._controllers.poll()
        if self._web is not None and now_ms >= self._showed_ms + SHOW_MS:
            self._showed_ms = now_ms
            self._web.show(self._page_scene(now_ms) if self._web.is_page_open else {})
        return now_ms

    def _start_due(self, now_ms: int) -> None:
        for number, state in enumerate(self._controllers.states):
            if state == "unstarted" and now_ms >= self._start_ms + number * self._start_gap_ms:
                self._start(number)

    def run_to_end(self, is_interrupted: Callable[[], bool]) -> None:
        """Run and show the demo until it is over or *is_interrupted* returns true.

        A demo that draws in a terminal also ends when the parent process has exited.
        """
        console = Console()
        if not console.is_terminal:
            self._loop(is_interrupted, LINE_MS, lambda: print(line(self.scene()), flush=True))
            return
        parent = os.getppid()

        def must_stop() -> bool:
            # Once the parent process (a shell or `just`) has exited, nothing can bring the demo back to the foreground.
            return is_interrupted() or os.getppid() != parent

        with guarded(), Live(console=console, screen=True, auto_refresh=False) as live:

            def picture() -> None:
                width, height = console.size
                live.update(draw(self.scene(), width, height), refresh=True)

            self._loop(must_stop, DRAW_MS, picture)

    def _loop(self, is_interrupted: Callable[[], bool], every_ms: int, show: Callable[[], None]) -> None:
        drawn_ms = now_ms = self._start_ms
        while not is_interrupted() and not self.is_over(now_ms):
            now_ms = self.run_once()
            if now_ms >= drawn_ms + every_ms:
                drawn_ms = now_ms
                show()


def _shaft(building: Building) -> Shaft:
    return building.servers[0].elevator.shaft
