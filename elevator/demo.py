"""`elevator demo`: simulated elevators, real nodes and passengers, in one terminal.

Rules:
- The elevators are simulated in this process; each node is a process of its own, as it would be in the lab, and speaks
  to its elevator over TCP and to the other nodes over UDP broadcast, all on loopback.
- Nothing outlives the demo, however it ends. All nodes are in one process group, led by a keeper that waits on a pipe
  from this process: the kernel shuts it when this process is gone, and the keeper ends the whole group.
- One loop: the elevators' select, every LOOK_MS a look at passengers and nodes, every DRAW_MS a picture.
- Without a terminal there are plain lines instead of pictures.
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
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from attrs import frozen
from rich.console import Console
from rich.live import Live
from rich.text import Text

import elevator
from elevator.model import MAX_CARS, MAX_FLOORS, Direction, Motor
from elevator.sim import machine as machines
from elevator.sim import passengers
from elevator.sim import shaft as physics
from elevator.sim.machine import Machine
from elevator.sim.passengers import Crowd, Stage, Traffic
from elevator.sim.server import Arguments, Building, Refused, open_building, start_places, whole
from elevator.sim.shaft import Shaft

LOOK_MS = 10
DRAW_MS = 125
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
CELL = 13
"""Width of one car's column in the picture."""
MARGIN = 14


# Nodes


class Nodes:
    """The node processes and what they say."""

    def __init__(self, building: Building, floors: int, directory: str) -> None:
        """Start a node for each elevator of *building*; their records go to *directory*, which ends with them."""
        self.said: deque[str] = deque(maxlen=LINES_KEPT)
        self.ended: dict[int, int] = {}
        """Exit status of each node that has ended by itself."""
        self._keeper, self._lifeline = _keep(directory)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._partial: list[bytes] = []
        net_port = _free_udp_port()
        for number, port in enumerate(building.ports):
            options = {
                "id": number,
                "port": port,
                "floors": floors,
                "net-port": net_port,
                "broadcast": "127.255.255.255",
                "group": f"demo-{os.getpid()}",
                "state-dir": Path(directory) / str(number),
            }
            flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
            self._start([*_program(), *flags])

    def _start(self, command: list[str]) -> None:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=self._keeper,
            env=_environment(),
        )
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._processes.append(process)
        self._partial.append(b"")

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
            if number not in self.ended and (status := process.poll()) is not None:
                self.ended[number] = status
                self.said.append(f"node {number} has ended with status {status}")

    @property
    def all_ended(self) -> bool:
        """Whether no node is left."""
        return len(self.ended) == len(self._processes)

    def end(self, meanwhile: Callable[[], None]) -> None:
        """Ask all nodes to end, wait while calling *meanwhile*, then kill what is left of them."""
        for process in self._processes:
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
        # Nuitka makes this the absolute path of the binary that was started, also for one that unpacks itself.
        return [sys.argv[0]]
    return [sys.executable, "-m", "elevator"]


def _environment() -> dict[str, str]:
    """Return the environment of a node: it finds this package even if it is not installed."""
    package = str(Path(elevator.__file__).parent.parent)
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))}


def _free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


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
        description="Run simulated elevators, a real node for each, and passengers, in this terminal.",
        allow_abbrev=False,
    )
    parser.add_argument("--cars", type=whole(1, MAX_CARS), default=3, help="number of elevators and nodes (3)")
    parser.add_argument("--floors", type=whole(2, MAX_FLOORS), default=4, help="number of floors (4)")
    parser.add_argument("--seed", type=whole(0, 2**63), help="of passengers and start positions (random)")
    parser.add_argument("--for", type=whole(1, 1_000_000), dest="seconds", help="seconds to run (until Ctrl-C)")
    parser.add_argument("--rate", type=whole(1, 6000), help="passengers a minute (4 for each elevator)")
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
    try:
        shafts = start_places(Shaft(arguments.floors), arguments.cars, random.Random(seed))
        building = open_building(shafts)
    except Refused as refusal:
        print(f"elevator demo: {refusal}", file=sys.stderr)
        return 2
    try:
        result = _run(arguments, building, seed, lambda: ended)
        print("\n".join(result.lines), flush=True)
    except BrokenPipeError:
        # Nobody reads any more. What is left in the buffer must not raise again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return result.status


def _run(arguments: Namespace, building: Building, seed: int, is_ended: Callable[[], bool]) -> Ending:
    """Run a demo in *building* until it is over or *is_ended*; end its nodes and close it."""
    with ExitStack() as stack:
        stack.callback(building.close)
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="elevator-demo-", ignore_cleanup_errors=True)
        )
        nodes = Nodes(building, arguments.floors, directory)
        stack.callback(nodes.end, lambda: building.turn(0.01))
        run = Run(building, nodes, seed, arguments.rate or 4 * arguments.cars, arguments.seconds)
        run.show(is_ended)
        return ending(run.scene(), nodes.ended, cut_short=is_ended())


class Run:
    """One demo while it runs."""

    def __init__(self, building: Building, nodes: Nodes, seed: int, rate: int, seconds: int | None) -> None:
        self._building = building
        self._nodes = nodes
        self._start_ms = now_ms = building.clock_us() // 1000
        self._end_ms = None if seconds is None else now_ms + seconds * 1000
        until_ms = None if seconds is None else now_ms + round(max(seconds - 30, seconds / 2) * 1000)
        traffic = Traffic(seed, len(building.elevators), _floors(building), rate, now_ms + BOOT_MS, until_ms)
        self._crowd = passengers.crowd(traffic)
        self._title = f"elevator demo    seed {seed}    {rate} passengers a minute"
        self._looked_ms = now_ms

    def scene(self) -> Scene:
        """Return what there is to see."""
        now_ms = self._building.clock_us() // 1000
        minutes, seconds = divmod((now_ms - self._start_ms) // 1000, 60)
        title = f"{self._title}    {minutes}:{seconds:02}    Ctrl-C ends it"
        seen = [elevator.machine for elevator in self._building.elevators]
        return Scene(title, seen, self._crowd, tuple(self._nodes.said), now_ms)

    def is_over(self, now_ms: int) -> bool:
        """Return whether time is up, or there is nothing left to see."""
        if self._nodes.all_ended:
            return True
        if self._end_ms is None or now_ms < self._end_ms:
            return False
        return not self._crowd.here or now_ms >= self._end_ms + GRACE_S * 1000

    def turn(self) -> int:
        """Let elevators, nodes and passengers act; return the time in milliseconds."""
        self._building.turn(LOOK_MS / 1000)
        now_ms = self._building.clock_us() // 1000
        if now_ms >= self._looked_ms + LOOK_MS:
            self._looked_ms = now_ms
            self._nodes.look()
            seen = [elevator.machine for elevator in self._building.elevators]
            self._crowd, presses = passengers.step(self._crowd, seen, now_ms)
            for press in presses:
                self._building.press(*press)
        return now_ms

    def show(self, is_ended: Callable[[], bool]) -> None:
        """Run to the end, or until *is_ended*, and show it."""
        console = Console()
        if not console.is_terminal:
            self._loop(is_ended, LINE_MS, lambda: print(line(self.scene()), flush=True))
            return
        with Live(console=console, screen=True, auto_refresh=False) as live:

            def picture() -> None:
                width, height = console.size
                live.update(draw(self.scene(), width, height), refresh=True)

            self._loop(is_ended, DRAW_MS, picture)

    def _loop(self, is_ended: Callable[[], bool], every_ms: int, show: Callable[[], None]) -> None:
        shown_ms = now_ms = self._start_ms
        while not is_ended() and not self.is_over(now_ms):
            now_ms = self.turn()
            if now_ms >= shown_ms + every_ms:
                shown_ms = now_ms
                show()


def _floors(building: Building) -> int:
    return building.elevators[0].machine.shaft.floors
