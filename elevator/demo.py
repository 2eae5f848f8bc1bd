"""`elevator demo`: simulated elevators, real nodes and passengers, on a page and in the terminal.

Rules:
- The elevators are simulated in this process; each node is a process of its own, as it would be in the lab, and speaks
  to its elevator over TCP and to the other nodes over UDP, all on loopback and through a relay that can lose and cut.
- On the page nodes can be killed, frozen and unplugged. Of what happens to a node only that which nobody asked for
  counts when the demo is judged in the end.
- Nothing outlives the demo, however it ends. All nodes are in one process group, led by a keeper that waits on a pipe
  from this process: the kernel shuts it when this process is gone, and the keeper ends the whole group.
- One loop: the elevators' select, every LOOK_MS a look at passengers and nodes, every SHOW_MS the page, every DRAW_MS a
  picture. Without a terminal there are plain lines instead of pictures.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType

from attrs import frozen
from rich.console import Console
from rich.live import Live
from rich.text import Text

import elevator
from elevator.model import MAX_CARS, MAX_FLOORS, Direction, Motor
from elevator.screen import guarded
from elevator.sim import machine as machines
from elevator.sim import passengers, view
from elevator.sim import shaft as physics
from elevator.sim.lobby import LOOK_MS, Lobby
from elevator.sim.machine import Machine
from elevator.sim.network import ADDRESS, Network
from elevator.sim.options import PAGE, Arguments, place, whole
from elevator.sim.passengers import Crowd, Stage, Traffic
from elevator.sim.server import Building, Refused, listen, open_building, start_places
from elevator.sim.shaft import Shaft
from elevator.web import Web

DRAW_MS = 125
SHOW_MS = 40
LINE_MS = 5000
"""Between two plain lines."""
BOOT_MS = 1500
"""Passengers come when the nodes have had this time to start."""
GRACE_S = 60
"""How much longer than asked for the demo runs if somebody is still under way."""
END_S = 3.0
"""How long nodes may take to end when they are asked to."""
KEEPER_END_S = 1.5
LINES_KEPT = 200
LINES_ON_PAGE = 40
HEARD_MS = 400
"""A node that has said nothing for so long is shown as silent."""
MARK = "ELEVATOR_DEMO_NODE"
"""A variable in the environment of a node: all its processes are found by it, also those that it has started itself."""
CELL = 13
"""Width of one car's column in the picture."""
MARGIN = 14


# Nodes


class Nodes:
    """The node processes and what they say."""

    def __init__(self, building: Building, network: Network, floors: int, directory: str, group: str) -> None:
        """Start a node for each elevator of *building*; their records go to *directory*, which ends with them."""
        self.said: deque[str] = deque(maxlen=LINES_KEPT)
        self.ended: dict[int, int] = {}
        """Exit status of each node that has ended by itself."""
        self._gone: set[int] = set()
        """Nodes none of whose processes is left, although nobody killed them here."""
        self._killed: set[int] = set()
        self._frozen: set[int] = set()
        self._keeper, self._lifeline = _keep(directory)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._partial = [b""] * len(building.ports)
        self._commands: list[list[str]] = []
        for number, (port, net_port) in enumerate(zip(building.ports, network.ports, strict=True)):
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
            self._commands.append([*_program(), *flags])
            self._processes.append(self._start(number))

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self._commands[number],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=self._keeper,
            env=_environment() | {MARK: self._mark(number)},
        )
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._partial[number] = b""
        return process

    def _mark(self, number: int) -> str:
        return f"{self._keeper}/{number}"

    def state(self, number: int) -> str:
        """Return how a node is: running, frozen, killed, or ended by itself."""
        if number in self._killed:
            return "killed"
        if number in self._gone:
            return "ended"
        return "frozen" if number in self._frozen else "running"

    def kill(self, number: int) -> None:
        """Kill a node with all its processes: stopped first, so that none can replace another meanwhile."""
        self._killed.add(number)
        self._frozen.discard(number)
        while pids := _marked(self._mark(number)):
            _send(signal.SIGSTOP, pids)
            _send(signal.SIGKILL, pids)
            time.sleep(0.002)  # They die in a moment.
        self._processes[number].wait()
        self.said.append(f"node {number} was killed")

    def restart(self, number: int) -> None:
        """Start a node that was killed or has ended; any other goes on."""
        if self.state(number) in ("killed", "ended"):
            self._killed.discard(number)
            self._gone.discard(number)
            self._frozen.discard(number)
            old = self._processes[number].stdout
            assert old is not None
            old.close()
            self._processes[number] = self._start(number)
            self.said.append(f"node {number} was started again")

    def freeze(self, number: int, on: bool) -> None:
        """Stop a running node in its tracks, or let it go on."""
        if self.state(number) == ("running" if on else "frozen"):
            (self._frozen.add if on else self._frozen.discard)(number)
            _send(signal.SIGSTOP if on else signal.SIGCONT, _marked(self._mark(number)))
            self.said.append(f"node {number} was {'frozen' if on else 'let go on'}")

    def look(self) -> None:
        """Take what the nodes have said and notice which have ended."""
        for number, process in enumerate(self._processes):
            assert process.stdout is not None
            chunk = process.stdout.read(65_536)
            *lines, self._partial[number] = (self._partial[number] + (chunk or b"")).split(b"\n")
            # A line without an end is cut short; one line is one line in the picture, so no control characters.
            self._partial[number] = self._partial[number][:1000]
            for line in lines:
                text = line.decode(errors="replace")
                self.said.append("".join(each if each.isprintable() else " " for each in text))
            if number in self._gone or number in self._killed or (status := process.poll()) is None:
                continue
            if not _marked(self._mark(number)):  # A worker without its supervisor lives on as a child of init.
                self._gone.add(number)
                self.ended[number] = status
                self.said.append(f"node {number} has ended with status {status}")

    @property
    def all_ended(self) -> bool:
        """Whether every node has ended by itself."""
        return all(self.state(number) == "ended" for number in range(len(self._processes)))

    def end(self, meanwhile: Callable[[], None]) -> None:
        """Ask all nodes to end, wait while calling *meanwhile*, then kill what is left of them."""
        for number, process in enumerate(self._processes):
            self.freeze(number, on=False)
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + END_S
        while time.monotonic() < deadline and any(process.poll() is None for process in self._processes):
            meanwhile()
        os.killpg(self._keeper, signal.SIGKILL)
        os.waitpid(self._keeper, 0)
        os.close(self._lifeline)
        for process in self._processes:
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _program() -> list[str]:
    """Return the command that starts this very program again."""
    if "__compiled__" in globals():
        # Nuitka makes this the absolute path of the program in the cache: the same build as this one.
        return [sys.argv[0]]
    return [sys.executable, "-m", "elevator"]


def _environment() -> dict[str, str]:
    """Return the environment of a node: it finds this package even if it is not installed."""
    package = str(Path(elevator.__file__).parent.parent)
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))}


def _marked(mark: str) -> list[int]:
    """List the processes that have *mark* in their environment."""
    wanted = f"{MARK}={mark}".encode()
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and wanted in _environment_of(entry).split(b"\0")
    ]


def _environment_of(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:  # It has just ended, or is not ours.
        return b""


def _send(number: int, pids: Sequence[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # It has just ended.
            os.kill(pid, number)


def _keep(directory: str) -> tuple[int, int]:
    """Fork the keeper; return its process id, which is the nodes' process group, and the pipe that holds it off."""
    listening, lifeline = os.pipe()
    keeper = os.fork()
    if keeper:
        os.close(listening)
        os.setpgid(keeper, keeper)  # The keeper does it too; whoever comes first, it is done before a node joins.
        return keeper, lifeline
    try:
        os.setpgid(0, 0)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(nothing, standard)
        os.close(lifeline)
        os.read(listening, 1)
        os.killpg(0, signal.SIGTERM)
        time.sleep(KEEPER_END_S)
        shutil.rmtree(directory, ignore_errors=True)
        os.killpg(0, signal.SIGKILL)
    finally:
        os._exit(0)


# The picture


@frozen
class Scene:
    """All that a picture shows."""

    title: str
    machines: Sequence[Machine]
    crowd: Crowd
    said: Sequence[str]
    """What the nodes say, oldest first."""
    now_ms: int


def draw(scene: Scene, width: int, height: int) -> Text:
    """Return the picture of *scene*, cut to *width* columns and *height* lines."""
    floors = scene.crowd.traffic.floors
    columns = (width - MARGIN) // CELL
    if columns < len(scene.machines):
        columns = (width - MARGIN - len(" and 64 more")) // CELL
    shown = list(enumerate(scene.machines))[: max(1, columns)]
    rows_a_floor = 2 if 2 * floors + 10 <= height else 1
    text = Text(no_wrap=True, overflow="crop")
    text.append(f"{scene.title}\n\n", "bold")
    heads = "".join(f"{f'car {car}':^{CELL}}" for car, _ in shown)
    missing = len(scene.machines) - len(shown)
    text.append(f"{'floor':<{MARGIN}}{heads}{f' and {missing} more' if missing else ''}\n", "dim")
    for row in range(rows_a_floor * (floors - 1), -1, -1):
        floor = row // rows_a_floor if row % rows_a_floor == 0 else None
        text.append_text(_margin(scene.crowd, floor))
        for car, machine in shown:
            text.append_text(_cell(machine, scene, car, row, rows_a_floor))
        text.append("\n")
    text.append(f"\n{line(scene)}\n\n")
    room = height - rows_a_floor * (floors - 1) - 8
    for said in list(scene.said)[-room:] if room > 0 else []:
        text.append(said[: width - 1] + "\n", "dim")
    return text


def line(scene: Scene) -> str:
    """Return in one line how things are."""
    tally = passengers.tally(scene.crowd, scene.now_ms)
    counted = sum(machines.misbehaviour(machine.counts) for machine in scene.machines)
    waits = f"mean wait {tally.mean_wait_ms / 1000:.1f} s, longest {tally.longest_wait_ms / 1000:.1f} s"
    return f"served {tally.served}, under way {tally.under_way}, {waits}, misbehaviour {counted}"


def _margin(crowd: Crowd, floor: int | None) -> Text:
    """Return the start of a row: the floor and who waits there."""
    if floor is None:
        return Text(" " * MARGIN)
    waiting = [each for each in crowd.here if each.stage is Stage.WAITING and each.trip.origin == floor]
    up = sum(passengers.direction(each.trip) is Direction.UP for each in waiting)
    down = len(waiting) - up
    text = Text(f"{floor:>3}  ")
    text.append(f"{f'{up}▲' if up else '':>4}{f'{down}▼' if down else '':>4} ", "yellow")
    return text


def _cell(machine: Machine, scene: Scene, car: int, row: int, rows_a_floor: int) -> Text:
    """Return one car's column in one row: its panel's lamps, its shaft, and the car if it is there."""
    text = Text()
    floor, between = divmod(row, rows_a_floor)
    lamps = machine.lamps
    for mask, sign, style in ((lamps.up, "▲", "green"), (lamps.down, "▼", "magenta"), (lamps.cab, "●", "cyan")):
        is_lit = bool(mask >> floor & 1)
        text.append(" " if between else sign if is_lit else "·", style if is_lit else "dim")
    text.append(" ")
    position = physics.position(machine.shaft, scene.now_ms)
    if round(position * rows_a_floor) == row:
        inside = sum(each.stage is Stage.RIDING and each.car == car for each in scene.crowd.here)
        number = f"{inside or ' ':^3}"
        style = "white on red" if machine.out else "black on green" if machine.door else "white on blue"
        text.append(f"]{number}[" if machine.door else f"[{number}]", style)
        arrow = {Motor.UP: "↑", Motor.DOWN: "↓", Motor.STOP: " "}[machine.shaft.motor]
        text.append(arrow if machine.shaft.powered else "!", "bold")
        text.append("S" if machine.stop else "O" if machine.obstructed else " ", "bold red")
    else:
        text.append("  │    ", "dim")
    return text + Text(" " * (CELL - 11))


# The command


@frozen
class Ending:
    """How a demo ended: its status, and what there is to say."""

    status: int
    lines: list[str]


def ending(scene: Scene, ended: dict[int, int], cut_short: bool) -> Ending:
    """Judge the demo. Who was under way when it was *cut_short* might have been served. *ended*: lost nodes."""
    tally = passengers.tally(scene.crowd, scene.now_ms)
    waits = f"mean wait {tally.mean_wait_ms / 1000:.1f} s, longest {tally.longest_wait_ms / 1000:.1f} s"
    lines = [f"{tally.served} passengers served, {waits}"]
    if tally.under_way:
        lines.append(f"{tally.under_way} {'still under way' if cut_short else 'never served'}")
    lines += [f"node {number} ended by itself with status {status}" for number, status in sorted(ended.items())]
    failed = bool(ended) or (tally.under_way > 0 and not cut_short)
    for car, machine in enumerate(scene.machines):
        counts = machine.counts
        if machines.misbehaviour(counts):
            failed = True
            lines.append(
                f"car {car}: motor with door open {counts.motor_with_door_open}, door with motor on "
                f"{counts.door_with_motor_on}, door between floors {counts.door_between_floors}, "
                f"out of bounds {counts.out_of_bounds}"
            )
    if failed:
        lines += list(scene.said)[-10:]
    return Ending(int(failed), lines)


def main(argv: list[str]) -> int:
    """Run `elevator demo` to its end."""
    parser = Arguments(
        prog="elevator demo",
        description="Run simulated elevators, a real node for each, and passengers, on a page and in this terminal.",
        allow_abbrev=False,
    )
    parser.add_argument("--cars", type=whole(1, MAX_CARS), default=3, help="number of elevators and nodes (3)")
    parser.add_argument("--floors", type=whole(2, MAX_FLOORS), default=4, help="number of floors (4)")
    parser.add_argument("--seed", type=whole(0, 2**63), help="of passengers and start positions (random)")
    parser.add_argument("--for", type=whole(1, 1_000_000), dest="seconds", help="seconds to run (until Ctrl-C)")
    parser.add_argument("--rate", type=whole(0, 6000), help="passengers a minute (4 for each elevator)")
    parser.add_argument(
        "--web",
        type=place,
        metavar="[HOST:]PORT",
        help=f"where the page is (for this machine only, on port {PAGE[1]} or another that is free, and it is opened)",
    )
    parser.add_argument("--no-web", action="store_true", help="no page")
    arguments = parser.parse_args(argv)
    seed = random.randrange(1_000_000) if arguments.seed is None else arguments.seed
    ended = False

    def note(_signal: int, _frame: FrameType | None) -> None:
        nonlocal ended
        ended = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, note)
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # it is a TextIOWrapper or pytest's child of one
    print(f"elevator demo: {arguments.cars} cars, {arguments.floors} floors, seed {seed}", flush=True)
    if is_too_much(arguments.cars, len(os.sched_getaffinity(0))):
        print(
            f"{arguments.cars} nodes may be more than this machine can run in time: fewer --cars move better",
            flush=True,
        )
    try:
        result = _run(arguments, seed, lambda: ended)
        print("\n".join(result.lines), flush=True)
    except Refused as refusal:
        print(f"elevator demo: {refusal}", file=sys.stderr)
        return 2
    return result.status


def is_too_much(cars: int, cores: int) -> bool:
    """Tell whether a node for each of so many *cars* asks for more than the *cores* there are.

    Each hears all others: it is work that grows with the square. 8 nodes took some 0.4 of a core, and the relay 0.15.
    """
    return cars * cars > 256 * cores


def _run(arguments: Namespace, seed: int, is_ended: Callable[[], bool]) -> Ending:
    """Run a demo until it is over or *is_ended*; raise Refused if it cannot be."""
    with ExitStack() as stack:
        rng = random.Random(seed)
        building = open_building(start_places(Shaft(arguments.floors), arguments.cars, rng))
        stack.callback(building.close)
        group = f"demo-{os.getpid()}"
        try:
            network = Network(arguments.cars, group, rng)
        except OSError as error:
            raise Refused(f"no ports for the nodes: {error.strerror}") from None
        stack.callback(network.close)
        network.attend(building.watch_for, lambda: building.clock_us() // 1000)
        page = None if arguments.no_web else _page(arguments.web)
        if page is not None:
            stack.callback(page.close)
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="elevator-demo-", ignore_cleanup_errors=True)
        )
        nodes = Nodes(building, network, arguments.floors, directory, group)
        stack.callback(nodes.end, lambda: building.turn(0.01))
        rate = 4 * arguments.cars if arguments.rate is None else arguments.rate
        run = Run(building, nodes, network, seed, rate, arguments.seconds)
        if page is not None:
            host = (arguments.web or PAGE)[0]
            web = run.open_page(page, host)
            stack.callback(web.close)
            print(f"page: {web.address}", flush=True)
            if arguments.web is None and sys.stdout.isatty():
                _browse(web.address)
        run.show(is_ended)
        return ending(run.scene(), nodes.ended, cut_short=is_ended())


def _page(wanted: tuple[str, int] | None) -> socket.socket:
    """Return a socket for the page; raise Refused if there is none where it is *wanted*."""
    host, port = wanted or PAGE
    try:
        try:
            return listen(host, port)
        except OSError:
            if wanted is not None:
                raise
            return listen(host, 0)
    except OSError as error:
        raise Refused(f"cannot listen on {host} port {port}: {error.strerror}") from None


def _browse(address: str) -> None:
    """Open *address* in the user's browser, if there is a screen to open it on."""
    opener = shutil.which("xdg-open")
    if opener and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        nowhere = subprocess.DEVNULL
        subprocess.Popen([opener, address], stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True)


@frozen
class OfNode:
    """Do something to *node*."""

    node: int


@frozen
class SwitchNode:
    """Turn something of *node* on or off."""

    node: int
    on: bool


@frozen
class Lose:
    """Let the network lose so many *percent* of all datagrams."""

    percent: int


REQUESTS = {"kill": OfNode, "start": OfNode, "freeze": SwitchNode, "unplug": SwitchNode, "lose": Lose}
"""What the page may ask for besides what it may ask of any building."""


class Run:
    """One demo while it runs."""

    def __init__(
        self, building: Building, nodes: Nodes, network: Network, seed: int, rate: int, seconds: int | None
    ) -> None:
        self._building = building
        self._nodes = nodes
        self._network = network
        self._start_ms = now_ms = building.clock_us() // 1000
        self._end_ms = None if seconds is None else now_ms + seconds * 1000
        until_ms = None if seconds is None else now_ms + round(max(seconds - 30, seconds / 2) * 1000)
        cars = len(building.elevators)
        traffic = Traffic(seed, cars, _floors(building), rate, now_ms + BOOT_MS, until_ms)
        self._lobby = Lobby(building, traffic)
        self._fixed = {"building": view.building(_floors(building), cars, nodes=True)}
        self._web: Web | None = None
        self._title = f"elevator demo    seed {seed}"
        self._looked_ms = self._showed_ms = now_ms

    def open_page(self, listener: socket.socket, host: str) -> Web:
        """Show everything on a page on *listener*, which was asked for as *host*."""
        self._web = Web(listener, self._building.watch_for, self._obey, host)
        return self._web

    def _obey(self, line: bytes) -> bytes:
        return self._lobby.obey(line, REQUESTS, self._hurt)

    def _hurt(self, name: str, request: object) -> None:
        """Do to a node, or to the network, what *request* asks for, or undo it."""
        if isinstance(request, Lose):
            if not 0 <= request.percent <= 100:
                raise Refused("percent is from 0 to 100")
            self._network.loss = request.percent / 100
            return
        assert isinstance(request, OfNode | SwitchNode)
        if request.node not in range(len(self._building.elevators)):
            raise Refused(f"no node {request.node}")
        match name, request:
            case "kill", OfNode(node):
                self._nodes.kill(node)
            case _, OfNode(node):
                self._nodes.restart(node)
            case "freeze", SwitchNode(node, on):
                self._nodes.freeze(node, on)
            case _, SwitchNode(node, on):
                (self._network.unplugged.add if on else self._network.unplugged.discard)(node)
                self._nodes.said.append(f"node {node} was {'unplugged from' if on else 'plugged into'} the network")

    def _page(self, now_ms: int) -> dict[str, object]:
        """Return what the page shows."""
        shown = {**self._fixed, **self._lobby.scene(), "loss": round(self._network.loss * 100)}
        for number in range(len(self._building.elevators)):
            at_ms, heartbeat = self._network.heard.get(number, (0, None))
            heard = heartbeat is not None and now_ms < at_ms + HEARD_MS
            plugged = number not in self._network.unplugged
            shown[f"node{number}"] = view.node(self._nodes.state(number), plugged, heard, heartbeat)
        shown["said"] = list(self._nodes.said)[-LINES_ON_PAGE:]
        return shown

    def scene(self) -> Scene:
        """Return what there is to see."""
        now_ms = self._building.clock_us() // 1000
        minutes, seconds = divmod((now_ms - self._start_ms) // 1000, 60)
        crowd = self._lobby.crowd
        where = f"    {self._web.address}" if self._web is not None else ""
        rate = f"{crowd.traffic.per_minute:.0f} passengers a minute"
        title = f"{self._title}    {rate}    {minutes}:{seconds:02}{where}    Ctrl-C ends it"
        seen = [elevator.machine for elevator in self._building.elevators]
        return Scene(title, seen, crowd, tuple(self._nodes.said), now_ms)

    def is_over(self, now_ms: int) -> bool:
        """Return whether time is up, or there is nothing left to see."""
        if self._nodes.all_ended:
            return True
        if self._end_ms is None or now_ms < self._end_ms:
            return False
        return not self._lobby.crowd.here or now_ms >= self._end_ms + GRACE_S * 1000

    def turn(self) -> int:
        """Let elevators, nodes and passengers act; return the time in milliseconds."""
        self._building.turn(LOOK_MS / 1000)
        now_ms = self._lobby.look()
        if now_ms >= self._looked_ms + LOOK_MS:
            self._looked_ms = now_ms
            self._nodes.look()
        if self._web is not None and now_ms >= self._showed_ms + SHOW_MS:
            self._showed_ms = now_ms
            self._web.show(self._page(now_ms) if self._web.is_watched else {})
        return now_ms

    def show(self, is_ended: Callable[[], bool]) -> None:
        """Run to the end, or until *is_ended*, and show it."""
        console = Console()
        if not console.is_terminal:
            self._loop(is_ended, LINE_MS, lambda: print(line(self.scene()), flush=True))
            return
        parent = os.getppid()

        def is_over() -> bool:
            """Whether there is nobody left to see it: without who ran us, nobody can bring us to the foreground."""
            return is_ended() or os.getppid() != parent

        with guarded(), Live(console=console, screen=True, auto_refresh=False) as live:

            def picture() -> None:
                width, height = console.size
                live.update(draw(self.scene(), width, height), refresh=True)

            self._loop(is_over, DRAW_MS, picture)

    def _loop(self, is_ended: Callable[[], bool], every_ms: int, show: Callable[[], None]) -> None:
        shown_ms = now_ms = self._start_ms
        while not is_ended() and not self.is_over(now_ms):
            now_ms = self.turn()
            if now_ms >= shown_ms + every_ms:
                shown_ms = now_ms
                show()


def _floors(building: Building) -> int:
    return building.elevators[0].machine.shaft.floors
