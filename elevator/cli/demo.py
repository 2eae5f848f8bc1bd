"""`elevator demo`: real nodes with simulated elevators and passengers, shown on a page and in the terminal.

Rules:
- This process simulates the elevators. Each node is a separate process, which connects to its elevator over TCP. The
  nodes exchange UDP datagrams through a relay that can lose them (network.py).
- The page can kill, freeze and unplug nodes. A node that exits by itself makes the demo fail; a killed node does not.
- No process outlives the demo, however it ends: see exam/controllers.py.
- A single loop serves the sockets. It steps the passengers and polls the nodes every STEP_MS. It updates the page every
  SHOW_MS and the terminal picture every DRAW_MS. Without a terminal, it prints a line every LINE_MS.
"""

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from attrs import frozen
from rich.console import Console
from rich.live import Live

import elevator
from elevator.building import view
from elevator.building.building import Building, listen, open_building, random_starts
from elevator.building.control import Refused
from elevator.building.network import ADDRESS, SimulatedNetwork
from elevator.building.occupied_building import STEP_MS, OccupiedBuilding
from elevator.building.passengers import PassengerFlow
from elevator.building.shaft import Shaft
from elevator.cli.arguments import PAGE, Arguments, host_and_port, integer
from elevator.cli.demo_picture import Scene, draw, line
from elevator.cli.demo_verdict import Verdict, grace_ms, judge
from elevator.cli.wording import counted
from elevator.core.model import MAX_CARS, MAX_FLOORS
from elevator.exam.controllers import Controllers, Launch
from elevator.processes.child import Signals
from elevator.ui.screen import guarded
from elevator.ui.web import Web

BOOT_MS = 1500
"""Time for the nodes to start before the first passengers arrive."""
DRAW_MS = 125
SHOW_MS = 40
LINE_MS = 5000
LINES_ON_PAGE = 40
TIMEOUT_MS = 400
"""The page shows that a node has timed out if its last heartbeat is older than this."""


def main(argv: list[str]) -> int:
    """Run `elevator demo`; return the exit status."""
    parser = Arguments(
        prog="elevator demo",
        description="Simulate elevators with passengers and real nodes. Show them on a page and in this terminal.",
        allow_abbrev=False,
    )
    parser.add_argument("--cars", type=integer(1, MAX_CARS), default=3, help="number of cars and nodes; default: 3")
    parser.add_argument("--floors", type=integer(2, MAX_FLOORS), default=4, help="number of floors; default: 4")
    parser.add_argument(
        "--seed", type=integer(0, 2**63), help="seed for passengers and start positions; default: random"
    )
    parser.add_argument(
        "--for", type=integer(1, 1_000_000), dest="seconds", help="duration in seconds; default: until Ctrl-C"
    )
    parser.add_argument("--rate", type=integer(0, 6000), help="passengers per minute; default: 4 for each elevator")
    parser.add_argument(
        "--web",
        type=host_and_port,
        metavar="[HOST:]PORT",
        help=f"address of the page; default: {PAGE[0]}:{PAGE[1]} or a free port, opened in the browser",
    )
    parser.add_argument("--no-web", action="store_true", help="do not serve a page")
    arguments = parser.parse_args(argv)
    seed = random.randrange(1_000_000) if arguments.seed is None else arguments.seed
    signals = Signals()
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a TextIOWrapper, or pytest's subclass
    print(f"elevator demo: {counted(arguments.cars, 'car')}, {arguments.floors} floors, seed {seed}", flush=True)
    if may_overload(arguments.cars, len(os.sched_getaffinity(0))):
        print(f"{arguments.cars} nodes may overload this machine; if they react late, use a smaller --cars", flush=True)
    try:
        verdict = _run(arguments, seed, lambda: signals.received is not None)
        print("\n".join(verdict.lines), flush=True)
    except Refused as refusal:
        print(f"elevator demo: {refusal}", file=sys.stderr)
        return 2
    return verdict.status


def may_overload(cars: int, cores: int) -> bool:
    """Report whether the nodes of *cars* cars may overload a machine with *cores* cores.

    Each node receives the heartbeats of all others. So the load grows with the square of the number of cars. In
    measurements, 8 nodes used 0.4 of a core, and the relay used 0.15.
    """
    return cars * cars > 256 * cores


def _run(arguments: Namespace, seed: int, is_ended: Callable[[], bool]) -> Verdict:
    """Run a demo until it is over or *is_ended* returns true; raise Refused if it cannot start."""
    with ExitStack() as stack:
        rng = random.Random(seed)
        building = open_building(random_starts(Shaft(arguments.floors), arguments.cars, rng))
        stack.callback(building.close)
        group = f"demo-{os.getpid()}"
        try:
            network = SimulatedNetwork(arguments.cars, group, rng)
        except OSError as error:
            raise Refused(f"cannot reserve UDP ports for the nodes: {error.strerror}") from None
        stack.callback(network.close)
        network.register(building.watch, lambda: building.clock_us() // 1000)
        page = None if arguments.no_web else _listen_for_page(arguments.web)
        if page is not None:
            stack.callback(page.close)
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="elevator-demo-", ignore_cleanup_errors=True)
        )
        launches = [
            _launch(number, port, net_port, arguments.floors, group, directory)
            for number, (port, net_port) in enumerate(zip(building.ports, network.ports, strict=True))
        ]
        nodes = Controllers(launches, directory, "node")
        stack.callback(nodes.stop, lambda: building.turn(0.01))
        for number in range(arguments.cars):
            nodes.start(number)
        rate = 4 * arguments.cars if arguments.rate is None else arguments.rate
        run = Demo(building, nodes, network, seed, rate, arguments.seconds)
        if page is not None:
            host = (arguments.web or PAGE)[0]
            web = run.open_page(page, host)
            stack.callback(web.close)
            print(f"page: {web.address}", flush=True)
            if arguments.web is None and sys.stdout.isatty():
                _browse(web.address)
        run.run_to_end(is_ended)
        return judge(run.scene(), nodes.ended, cut_short=is_ended())


def _launch(number: int, port: int, net_port: int, floors: int, group: str, directory: str) -> Launch:
    """Return how to start node *number*, which keeps its record in *directory*."""
    options = {
        "id": number,
        "port": port,
        "floors": floors,
        "net-port": net_port,
        "broadcast": ADDRESS,
        "group": group,
        "state-dir": Path(directory) / str(number),
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    # Python must find this package even if it is not installed.
    package = str(Path(elevator.__file__).parent.parent)
    search_path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    return Launch([*_program(), *flags], {**os.environ, "PYTHONPATH": search_path})


def _program() -> list[str]:
    """Return the command that starts this program."""
    if "__compiled__" in globals():
        # In a Nuitka build, this is the absolute path of the unpacked program, so the nodes run the same build.
        return [sys.argv[0]]
    return [sys.executable, "-m", "elevator"]


def _listen_for_page(wanted: tuple[str, int] | None) -> socket.socket:
    """Return a socket that listens at *wanted*; raise Refused if that fails.

    If *wanted* is None, the socket listens at PAGE, or at a free port if PAGE is in use.
    """
    if wanted is not None:
        return listen(*wanted)
    try:
        return listen(*PAGE)
    except Refused:
        return listen(PAGE[0], 0)


def _browse(address: str) -> None:
    """Open *address* in the user's browser if there is a graphical session."""
    opener = shutil.which("xdg-open")
    if opener and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        null = subprocess.DEVNULL
        subprocess.Popen([opener, address], stdin=null, stdout=null, stderr=null, start_new_session=True)


@frozen
class NodeAction:
    """A request to kill or start *node*."""

    node: int


@frozen
class NodeSwitch:
    """A request to freeze or unplug *node*, or to undo that if *on* is false."""

    node: int
    on: bool


@frozen
class SetLoss:
    """A request to set the packet loss between nodes, 0..100 percent."""

    percent: int


REQUESTS = {"kill": NodeAction, "start": NodeAction, "freeze": NodeSwitch, "unplug": NodeSwitch, "lose": SetLoss}
"""The name and the class of each request to nodes or the network. Only the page of `elevator demo` sends them."""


class Demo:
    """A running demo: elevators, nodes, passengers and page, and the loop that steps and shows them."""

    def __init__(
        self,
        building: Building,
        nodes: Controllers,
        network: SimulatedNetwork,
        seed: int,
        rate: int,
        seconds: int | None,
    ) -> None:
        self._building = building
        self._nodes = nodes
        self._network = network
        self._start_ms = now_ms = building.clock_us() // 1000
        self._end_ms = None if seconds is None else now_ms + seconds * 1000
        until_ms = None if seconds is None else now_ms + round(max(seconds - 30, seconds / 2) * 1000)
        cars = len(building.elevators)
        traffic = PassengerFlow(seed, cars, _shaft(building).floors, rate, now_ms + BOOT_MS, until_ms)
        self._occupied = OccupiedBuilding(building, traffic)
        self._fixed = {"building": view.building(_shaft(building).floors, cars, nodes=True)}
        self._web: Web | None = None
        self._title = f"elevator demo    seed {seed}"
        self._polled_ms = self._showed_ms = now_ms

    def open_page(self, listener: socket.socket, host: str) -> Web:
        """Serve the page on *listener*, which is bound to *host*."""
        self._web = Web(listener, self._building.watch, self._handle, host)
        return self._web

    def _handle(self, line: bytes) -> bytes:
        return self._occupied.handle(line, REQUESTS, self._apply)

    def _apply(self, name: str, request: object) -> None:
        """Execute a request to a node or the network; raise Refused if it is invalid."""
        if isinstance(request, SetLoss):
            if not 0 <= request.percent <= 100:
                raise Refused(f"percent must be from 0 to 100, not {request.percent}")
            self._network.loss = request.percent / 100
            return
        assert isinstance(request, NodeAction | NodeSwitch)
        if request.node not in range(len(self._building.elevators)):
            raise Refused(f"no node {request.node}")
        match name, request:
            case "kill", NodeAction(node):
                self._nodes.kill(node)
            case _, NodeAction(node):
                self._nodes.start(node)
            case "freeze", NodeSwitch(node, on):
                self._nodes.freeze(node, on)
            case _, NodeSwitch(node, on):
                (self._network.unplugged.add if on else self._network.unplugged.discard)(node)
                self._nodes.log.append(f"node {node} was {'unplugged from' if on else 'plugged into'} the network")

    def _page_scene(self, now_ms: int) -> dict[str, object]:
        """Return the name and the value of everything that the page shows at *now_ms*."""
        shown = {**self._fixed, **self._occupied.scene(), "loss": round(self._network.loss * 100)}
        for number in range(len(self._building.elevators)):
            at_ms, heartbeat = self._network.heard.get(number, (0, None))
            heard = heartbeat is not None and now_ms < at_ms + TIMEOUT_MS
            plugged = number not in self._network.unplugged
            shown[f"node{number}"] = view.node(self._nodes.states[number], plugged, heard, heartbeat)
        shown["said"] = list(self._nodes.log)[-LINES_ON_PAGE:]
        return shown

    def scene(self) -> Scene:
        """Return the content of the terminal picture."""
        now_ms = self._building.clock_us() // 1000
        minutes, seconds = divmod((now_ms - self._start_ms) // 1000, 60)
        crowd = self._occupied.crowd
        where = f"    {self._web.address}" if self._web is not None else ""
        rate = f"{crowd.traffic.per_minute:.0f} passengers/min"
        title = f"{self._title}    {rate}    {minutes}:{seconds:02}{where}    Ctrl-C quits"
        machines = [elevator.machine for elevator in self._building.elevators]
        return Scene(title, machines, crowd, tuple(self._nodes.log), now_ms)

    def is_over(self, now_ms: int) -> bool:
        """Report whether the time is up, or all nodes have exited by themselves.

        After the end time, the demo waits for passengers who are still under way, but not longer than `grace_ms`.
        """
        if self._nodes.all_ended:
            return True
        if self._end_ms is None or now_ms < self._end_ms:
            return False
        return not self._occupied.crowd.present or now_ms >= self._end_ms + grace_ms(_shaft(self._building))

    def turn(self) -> int:
        """Step elevators and passengers, poll the nodes and update the page; return the time in milliseconds."""
        self._building.turn(STEP_MS / 1000)
        now_ms = self._occupied.step_passengers()
        if now_ms >= self._polled_ms + STEP_MS:
            self._polled_ms = now_ms
            self._nodes.poll()
        if self._web is not None and now_ms >= self._showed_ms + SHOW_MS:
            self._showed_ms = now_ms
            self._web.show(self._page_scene(now_ms) if self._web.is_watched else {})
        return now_ms

    def run_to_end(self, is_ended: Callable[[], bool]) -> None:
        """Run and show the demo until it is over or *is_ended* returns true."""
        console = Console()
        if not console.is_terminal:
            self._loop(is_ended, LINE_MS, lambda: print(line(self.scene()), flush=True))
            return
        parent = os.getppid()

        def is_over() -> bool:
            # Once its parent (a shell or a recipe) has exited, nothing can bring the demo back to the foreground.
            return is_ended() or os.getppid() != parent

        with guarded(), Live(console=console, screen=True, auto_refresh=False) as live:

            def picture() -> None:
                width, height = console.size
                live.update(draw(self.scene(), width, height), refresh=True)

            self._loop(is_over, DRAW_MS, picture)

    def _loop(self, is_ended: Callable[[], bool], every_ms: int, show: Callable[[], None]) -> None:
        drawn_ms = now_ms = self._start_ms
        while not is_ended() and not self.is_over(now_ms):
            now_ms = self.turn()
            if now_ms >= drawn_ms + every_ms:
                drawn_ms = now_ms
                show()


def _shaft(building: Building) -> Shaft:
    return building.elevators[0].machine.shaft
