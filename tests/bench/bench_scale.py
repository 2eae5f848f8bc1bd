"""Benchmark: how the cost of a node grows with its group. Run it with `just bench scale`.

For each size of the group it prints one column:

1. *Datagrams.* Their sizes and rates in an idle group, and the size of a heartbeat with a press. These figures are
   computed, not measured.
2. *One heartbeat.* The time from a received datagram to the end of the turn that reads it. The assignment has a row of
   its own, because a node in a large group computes it at most every 100 ms.
3. *A cab press in the simulated world,* without packet loss and with LOSS percent. The virtual time until the lamp is
   lit, and the heartbeats per node during this time. A cell is empty if its run takes longer than WORLD_S.
4. *A real node.* Node 0 runs with its supervisor, its recorder and a simulated elevator. The fleet
   (tests/tools/fleet.py) plays all other nodes. Under load, the fleet's cars move, and each second about ten buttons
   are pressed and about ten calls are served.

Every hall button but "up" at floor 0 is lit, and each car has up to eight cab calls, with these exceptions:

- In the simulated world, all lamps are dark at first. Later, cab lamps of earlier presses may be lit.
- The car of the real node has no cab calls. Under load, some hall buttons are dark (`fleet.reserved`), and only the
  benchmark presses these, on the panel of the real node. A lamp there waits until the fleet has acknowledged the press,
  after 2 to 8 ms that stand for disk writes.

Times depend on the machine and its load, so compare only figures of one run. A late fleet means that the processors
were too busy. A real group would have sent its datagrams more evenly.
"""

import argparse
import json
import math
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import fleet
import lab
from attrs import define, evolve, field
from fleet import GROUP
from lab import Lab

from elevator import __version__
from elevator.building.elevators import EventKind
from elevator.core import assignment, call_set, node, outgoing
from elevator.core.messages import Heartbeat, Record, Tick
from elevator.core.model import (
    AGES,
    EVERY_CAR,
    NEVER_MS,
    Author,
    Behaviour,
    Button,
    Call,
    Calls,
    Confirmed,
    Entry,
    Inputs,
    Outputs,
    Park,
    Policy,
)
from elevator.core.node import Node
from elevator.core.outgoing import REFRESH, Outgoing
from elevator.core.peers import HEARTBEAT_MS
from elevator.core.turn import turn
from elevator.net.admission import Admission
from elevator.net.seal import NO_KEY, seal
from elevator.net.wire import encode
from elevator.simulation.events import HeartbeatSent
from elevator.simulation.faults import Plan, Press
from elevator.simulation.world import World

SIZES = {3: 4, 8: 9, 16: 32, 32: 32, 64: 64}
"""The number of floors for each number of cars."""
ROUNDS = 400
"""How many heartbeats of each kind are measured."""
WORLD_PRESSES = 15
WORLD_S = 14.0
"""The limit on the real time of one run of the simulated world."""
LOSS = 30
"""The packet loss in the second run of the simulated world, in percent."""
PRESS_EVERY_MS = 250
LAMP_S = 2.0
"""How long to wait for a lamp. If the lamp stays dark, the car has probably served the call at once, and the press does
not count."""
SETTLE_S = 2.0
BINARY = Path(__file__).parents[2] / "dist" / "elevator"
UP = Button.UP

LAMP, LAMP_RATIO = "real: press to lamp, 95th percentile ms", "real: 95th percentile, ratio to the smallest group"

Figures = dict[str, float | None]
"""The measurements for one group size, by their names in ROWS. None: an empty cell."""
ROWS: Sequence[tuple[str, str]] = (
    ("bytes of an idle heartbeat", "{:.0f}"),
    ("bytes of the largest heartbeat (refresh)", "{:.0f}"),
    ("bytes of a heartbeat with one press", "{:.0f}"),
    ("idle group: datagrams/s", "{:.0f}"),
    ("idle group: kB/s", "{:.1f}"),
    ("read an unchanged heartbeat, µs", "{:.0f}"),
    ("read a heartbeat with a changed car, µs", "{:.0f}"),
    ("read a heartbeat with a press, µs", "{:.0f}"),
    ("read a press and assign the calls, µs", "{:.0f}"),
    ("world: heartbeats per node until lit", "{:.1f}"),
    ("world: press to lamp, ms", "{:.0f}"),
    ("world, 30 % loss: heartbeats per node", "{:.1f}"),
    ("world, 30 % loss: press to lamp, ms", "{:.0f}"),
    ("real, idle: worker, % of a core", "{:.1f}"),
    ("real, idle: supervisor, % of a core", "{:.1f}"),
    ("real, idle: whole node, % of a core", "{:.1f}"),
    ("real, load: worker, % of a core", "{:.1f}"),
    ("real, load: supervisor, % of a core", "{:.1f}"),
    ("real, load: recorder, % of a core", "{:.1f}"),
    ("real, load: whole node, % of a core", "{:.1f}"),
    ("real, load: received datagrams/s", "{:.0f}"),
    ("real, load: received kB/s", "{:.0f}"),
    ("real: dropped datagrams", "{:.0f}"),
    ("real: peers that timed out", "{:.0f}"),
    ("real: press to lamp, median ms", "{:.0f}"),
    (LAMP, "{:.0f}"),
    (LAMP_RATIO, "{:.1f}"),
    ("real: number of presses", "{:.0f}"),
    ("fleet: heartbeats over 20 ms late, %", "{:.1f}"),
    ("fleet: worst delay, ms", "{:.0f}"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how the cost of a node grows with the number of cars.")
    parser.add_argument(
        "--only", type=int, nargs="+", choices=SIZES, default=[*SIZES], help="numbers of cars; default: all"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=10,
        help="seconds for each measurement of the real node, idle and under load; default: 10",
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="also write a plot to FILE, as SVG")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    if "ELEVATOR_PROGRAM" not in os.environ and BINARY.exists():
        lab.PROGRAM[:] = [str(BINARY)]
    table: dict[int, Figures] = {}
    for cars in arguments.only:
        floors, started_s = SIZES[cars], time.monotonic()
        world, lossy = world_figures(cars, floors, 0), world_figures(cars, floors, LOSS)
        figures = {**size_figures(cars, floors), **reading_figures(cars, floors)}
        figures |= {**world, **lossy, **real_figures(cars, floors, arguments.seconds)}
        table[cars] = figures
        print(f"{cars} cars: measured in {time.monotonic() - started_s:.0f} s", file=sys.stderr, flush=True)
    smallest = table[min(table)][LAMP]
    for figures in table.values():
        lamp_ms = figures[LAMP]
        figures[LAMP_RATIO] = lamp_ms / smallest if lamp_ms and smallest else None
    print(f"real node: {' '.join(lab.PROGRAM)}")
    print_table(table)
    if arguments.svg is not None:
        arguments.svg.write_text(plot(table))
    return 0


def end(number: int, _: object) -> NoReturn:
    """Exit on Ctrl-C or SIGTERM. The context managers then end the processes."""
    sys.exit(128 + number)


def print_table(table: Mapping[int, Figures]) -> None:
    width = max(len(name) for name, _ in ROWS)
    print(f"{'cars':{width}}", *[f"{cars:>8}" for cars in table])
    print(f"{'floors':{width}}", *[f"{SIZES[cars]:>8}" for cars in table])
    for name, form in ROWS:
        cells = [figures[name] for figures in table.values()]
        print(f"{name:{width}}", *[f"{'' if cell is None else form.format(cell):>8}" for cell in cells], flush=True)


# Sizes and rates


def message(author: Author, cars: int, floors: int, calls: Calls) -> Heartbeat:
    """Return a heartbeat of *author* in an idle group with the call set *calls*."""
    car, hears = fleet.standing_car(author.id, cars, floors), (1 << cars) - 1 & ~(1 << author.id)
    claims, rates = calls.hall & fleet.share(author.id, cars, floors), fleet.rates(floors)
    return Heartbeat(
        author, 0, floors, car, claims, hears, calls, calls.digest, rates, (calls.hall,) * AGES, __version__
    )


def datagram(heartbeat: Heartbeat) -> bytes:
    return seal(encode(heartbeat, GROUP), NO_KEY)


def size_figures(cars: int, floors: int) -> Figures:
    authors = fleet.authors(cars)
    calls, me = fleet.lit(authors, floors), authors[-1]
    state = evolve(outgoing.compose(Outgoing(), message(me, cars, floors, calls), 0), repeats=0)
    now_ms, sizes = 1 << 20, []
    for _ in range(REFRESH * cars):  # After that, the sequence of entries in heartbeats repeats.
        heartbeat = outgoing.heartbeat(state, now_ms, cars - 1, since_ms=None)
        sizes.append(len(datagram(heartbeat)))
        state = outgoing.sent(state, heartbeat, now_ms)
    pressed = call_set.press(calls, me, Call(UP, 0, EVERY_CAR))
    changed = outgoing.compose(evolve(state, sequence=1), message(me, cars, floors, pressed), now_ms)
    per_s = cars * 1000 / HEARTBEAT_MS
    return {
        "bytes of an idle heartbeat": min(sizes),
        "bytes of the largest heartbeat (refresh)": max(sizes),
        "bytes of a heartbeat with one press": len(
            datagram(outgoing.heartbeat(changed, now_ms, cars - 1, since_ms=None))
        ),
        "idle group: datagrams/s": per_s,
        "idle group: kB/s": per_s * statistics.mean(sizes) / 1000,
    }


# The time to process one heartbeat


@define
class Devices:
    """A fake disk, network and panel for node 0. It keeps the last record and ignores heartbeats and outputs."""

    record: Record | None = None

    def save(self, record: Record) -> None:
        self.record = record

    def send(self, heartbeat: Heartbeat) -> None: ...

    def write(self, outputs: Outputs) -> None: ...


@define
class Reader:
    """Node 0 and the datagrams of its peers. All peers are alive, and the lamps of all calls are lit."""

    cars: int
    floors: int
    authors: list[Author]
    node: Node
    admission: Admission = field(factory=lambda: Admission(GROUP))
    devices: Devices = field(factory=Devices)
    inputs: Inputs = Inputs(floor=0, confirmed=Confirmed(door_open=False, motor_stopped=True))
    now_ms: int = 0
    sequence: int = 1

    def seal_next(self, author: Author, **changes: Any) -> bytes:
        """Return the next datagram of *author*: an idle heartbeat with the fields in *changes*.

        The heartbeat contains entries and rates only if *changes* does.
        """
        self.sequence += 1
        idle = message(author, self.cars, self.floors, self.node.calls)
        return datagram(evolve(idle, **{"sequence": self.sequence, "calls": Calls(), "rates": None, **changes}))

    def read(self, node: Node, *datagrams: bytes, recorded: Calls | None = None) -> Node:
        """Admit *datagrams*; return *node* after the turn that reads them. *recorded* is passed on in the `Tick`."""
        admitted = [self.admission.admit(each) for each in datagrams]
        heartbeats = tuple([each for each in admitted if each is not None])
        tick = Tick(self.now_ms, self.inputs, heartbeats, recorded)
        devices = self.devices
        return turn(node, tick, lambda: (self.now_ms, self.inputs), devices, devices, devices)

    def median_us(self, node: Node, make: Callable[[int], bytes], prepare: Callable[[], None] | None = None) -> float:
        """Return the median time in which *node* reads one datagram from *make*.

        Each measurement starts from the same *node*. *prepare* is called before each one.
        """
        took_ns = []
        for number in range(ROUNDS):
            sealed = make(number)
            if prepare is not None:
                prepare()
            before_ns = time.perf_counter_ns()
            self.read(node, sealed)
            took_ns.append(time.perf_counter_ns() - before_ns)
        return statistics.median(took_ns) / 1000


def reading_node(cars: int, floors: int) -> Reader:
    authors = fleet.authors(cars)
    record = Record(authors[0].incarnation - 1, fleet.lit(authors, floors))
    booted = node.boot(0, floors, record, 0, 0, Policy(park=Park.NONE))
    reader = Reader(cars, floors, authors, booted)
    recorded: Calls | None = record.calls
    while reader.now_ms < 1000:
        reader.now_ms += HEARTBEAT_MS // 2
        datagrams = [reader.seal_next(author, rates=fleet.rates(floors)) for author in authors[1:]]
        reader.node = reader.read(reader.node, *datagrams, recorded=recorded)
        recorded = None if reader.devices.record is None else reader.devices.record.calls
    reader.now_ms += 1
    assert reader.node.drive.behaviour is Behaviour.MOVING, "node 0 must drive to its first call"
    return reader


def reading_figures(cars: int, floors: int) -> Figures:
    reader = reading_node(cars, floors)
    peers, rng = reader.authors[1:], random.Random(1)
    quiet = evolve(reader.node, quiet_until_ms=NEVER_MS)
    kept = evolve(quiet, assignment=evolve(quiet.assignment, next_at_ms=NEVER_MS))
    due = evolve(quiet, assignment=evolve(quiet.assignment, next_at_ms=0))

    def unchanged(number: int) -> bytes:
        return reader.seal_next(peers[number % len(peers)])

    def changed_car(number: int) -> bytes:
        author = peers[number % len(peers)]
        floor = (fleet.standing_car(author.id, cars, floors).floor + rng.randrange(1, floors)) % floors
        return reader.seal_next(author, car=evolve(fleet.standing_car(author.id, cars, floors), floor=floor))

    def pressed(number: int) -> bytes:
        """Return a datagram with a new press of the only dark hall button."""
        author, calls = peers[number % len(peers)], reader.node.calls
        old = calls.entries.get(author) or Entry(author, 0)
        newest = old.newest + reader.sequence
        entry = Entry(author, newest, {**old.live, newest: Call(UP, 0, EVERY_CAR)})
        digest = Calls({**calls.entries, author: entry}).digest
        return reader.seal_next(author, calls=Calls({author: entry}), digest=digest)

    return {
        "read an unchanged heartbeat, µs": reader.median_us(quiet, unchanged),
        "read a heartbeat with a changed car, µs": reader.median_us(kept, changed_car),
        "read a heartbeat with a press, µs": reader.median_us(kept, pressed),
        "read a press and assign the calls, µs": reader.median_us(due, pressed, assignment.plan.cache_clear),
    }


# A press in the simulated world


class TooSlow(Exception):
    """A run of the simulated world takes longer than WORLD_S."""


def world_figures(cars: int, floors: int, loss: int) -> Figures:
    where = f"world, {loss} % loss" if loss else "world"
    names = (f"{where}: heartbeats per node" + ("" if loss else " until lit"), f"{where}: press to lamp, ms")
    try:
        rounds, took_ms = world_presses(cars, floors, loss)
    except TooSlow:
        return dict.fromkeys(names)
    return {names[0]: statistics.median(rounds) / cars, names[1]: statistics.median(took_ms)}


def world_presses(cars: int, floors: int, loss: int) -> tuple[list[int], list[int]]:
    """Press cab buttons one by one, and wait for each lamp.

    Return two lists with an item for each press: how many heartbeats all nodes together sent before the lamp was lit,
    and how many ms that took. Raise TooSlow if the run takes longer than WORLD_S.
    """
    deadline_s = time.monotonic() + WORLD_S
    at = tuple(float(id % floors) for id in range(cars))
    world = World(Plan(0, cars, floors, 2000, NEVER_MS, (), (), at=at, policy=Policy(park=Park.NONE)))
    world.handlers.clear()  # The judges would take most of the time.
    world.links.loss = loss
    sent = 0

    def count(_: HeartbeatSent) -> None:
        nonlocal sent
        sent += 1

    def run(ms: int) -> None:
        until_ms = world.now_ms + ms
        while world.now_ms < until_ms:
            world.run_until(world.now_ms + 1)
            if time.monotonic() > deadline_s:
                raise TooSlow

    world.subscribe(HeartbeatSent, count)
    run(1000)
    rng = random.Random(1)
    rounds, took_ms = [], []
    for number in range(WORLD_PRESSES):
        panel = number % cars
        run(rng.randrange(100, 100 + HEARTBEAT_MS))
        elevator = world.nodes[panel].elevator
        dark = [floor for floor in range(floors) if not elevator.lamps.cab >> floor & 1 and floor != elevator.sensed]
        if not dark:
            continue
        floor, before, pressed_ms = rng.choice(dark), sent, world.now_ms
        world.press(Press(pressed_ms, pressed_ms + 200, panel, Button.CAB, floor))
        while not world.nodes[panel].elevator.lamps.cab >> floor & 1:
            run(1)
        rounds.append(sent - before)
        took_ms.append(world.now_ms - pressed_ms)
    return rounds, took_ms


# A real node


class Used(NamedTuple):
    """The CPU time that node 0's processes have used until `at_ns`, by process name."""

    at_ns: int
    of_ns: dict[str, int]


class FleetProcess:
    """The fleet's process and the pipes to it."""

    def __init__(self, cars: int, floors: int, port: int) -> None:
        command = [sys.executable, fleet.__file__, *map(str, (cars, floors, port))]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def order(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def report(self) -> dict[str, Any]:
        self.order("report")
        assert self.process.stdout is not None
        report: dict[str, Any] = json.loads(self.process.stdout.readline())
        return report

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


@contextmanager
def running(cars: int, floors: int) -> Iterator[tuple[Lab, FleetProcess]]:
    """Run node 0, its elevator and the fleet. Yield the lab and the fleet once all nodes have the same call set."""
    with tempfile.TemporaryDirectory() as directory, lab.lab(Path(directory), 1, floors, start=False) as group:
        others = FleetProcess(cars, floors, group.net_port)
        try:
            group.start(0)
            group.wait_for(0, "in service")
            group.wait(lambda: others.report()["agrees"], "the nodes agree")
            yield group, others
        finally:
            others.close()


def real_figures(cars: int, floors: int, seconds: float) -> Figures:
    with running(cars, floors) as (group, others):
        group.run(SETTLE_S)
        others.report()
        before = used(group)
        group.run(seconds)
        idle, idle_report = percent(before, used(group)), others.report()
        others.order("load")
        group.run(SETTLE_S)
        others.report()
        before = used(group)
        lamps_ms = press_repeatedly(group, others, floors, seconds)
        after = used(group)
        load, report = percent(before, after), others.report()
        lost, silent = dropped(group), group.log(0).count(" timed out: ")
    took_s = (after.at_ns - before.at_ns) / 1e9
    sent, late = (idle_report[name] + report[name] for name in ("sent", "late"))
    return {
        "real, idle: worker, % of a core": idle["worker"],
        "real, idle: supervisor, % of a core": idle["pair"],
        "real, idle: whole node, % of a core": sum(idle.values()),
        "real, load: worker, % of a core": load["worker"],
        "real, load: supervisor, % of a core": load["pair"],
        "real, load: recorder, % of a core": load["disk"],
        "real, load: whole node, % of a core": sum(load.values()),
        "real, load: received datagrams/s": report["sent"] / took_s,
        "real, load: received kB/s": report["bytes"] / 1000 / took_s,
        "real: dropped datagrams": lost,
        "real: peers that timed out": silent,
        "real: press to lamp, median ms": statistics.median(lamps_ms) if lamps_ms else None,
        LAMP: percentile(lamps_ms, 95) if lamps_ms else None,
        "real: number of presses": len(lamps_ms),
        "fleet: heartbeats over 20 ms late, %": 100 * late / sent,
        "fleet: worst delay, ms": max(idle_report["worst_ms"], report["worst_ms"]),
    }


def used(group: Lab) -> Used:
    of_ns = {}
    for name in ("worker", "pair", "disk"):
        texts = [Path(f"/proc/{pid}/schedstat").read_text() for pid in group.processes(0, name)]
        of_ns[name] = sum(int(text.split()[0]) for text in texts)
    return Used(time.monotonic_ns(), of_ns)


def percent(before: Used, after: Used) -> dict[str, float]:
    took_ns = after.at_ns - before.at_ns
    return {name: 100 * (after.of_ns[name] - before.of_ns[name]) / took_ns for name in after.of_ns}


def press_repeatedly(group: Lab, others: FleetProcess, floors: int, seconds: float) -> list[float]:
    """Press dark hall buttons on node 0's panel one by one. Return the ms that each lamp took to light.

    Presses whose lamp stays dark are left out. The presses are PRESS_EVERY_MS plus up to HEARTBEAT_MS apart, so that
    they come at all phases of the heartbeats. If a lamp takes longer, the next press waits.
    """
    rng, lamps_ms = random.Random(1), list[float]()
    begin_s = time.monotonic()
    while time.monotonic() < begin_s + seconds:
        next_s = time.monotonic() + PRESS_EVERY_MS / 1000 + rng.random() * HEARTBEAT_MS / 1000
        lit, at = group.lamps(0), group.elevator(0).sensed
        buttons = [(call.button, call.floor) for call in fleet.reserved(floors)]
        dark = [each for each in buttons if each not in lit and each[1] != at]
        if dark:
            took_ms = press(group, *rng.choice(dark))
            lamps_ms += [] if took_ms is None else [took_ms]
            others.order("serve")
        group.run(next_s - time.monotonic())
    return lamps_ms


def press(group: Lab, button: Button, floor: int) -> float | None:
    """Press a hall button on node 0's panel. Return the ms until its lamp lights; None if it stays dark for LAMP_S."""
    call = group.press(0, button, floor, ms=200)  # The fleet may serve the call before a longer press ends.
    end_s = time.monotonic() + LAMP_S
    while time.monotonic() < end_s:
        group.run(0.01)
        for seen in group.since(call.pressed_ms, EventKind.LAMP):
            if (seen.button, seen.floor, seen.value) == (button, floor, True):
                return seen.at_ms - call.pressed_ms
    return None


def percentile(values: Sequence[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def dropped(group: Lab) -> int:
    """Return how many datagrams node 0 (see its log) and the kernel (see /proc/net/udp) have dropped."""
    lines = re.findall(r"dropped a datagram: [^(\n]*(?:\((\d+) times\))?", group.log(0))
    sockets = [line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:]]
    by_kernel = [int(each[-1]) for each in sockets if each[1] == f"00000000:{group.net_port:04X}"]
    return sum(int(times or 1) for times in lines) + sum(by_kernel)


# The plot

PANEL_W, PANEL_H, LEFT, TOP, GAP = 380, 260, 70, 70, 110
"""The size of a diagram, the left and the top margin of the picture, and the gap between diagrams, in pixels."""
COLOURS = ("#0b6fa4", "#c2410c", "#4d7c0f")
STYLE = 'font-family="sans-serif" font-size="13" fill="#222"'
MIDDLE = 'text-anchor="middle"'
DIAGRAMS: Sequence[tuple[str, str, Mapping[str, str]]] = (
    (
        "Processor time of one node",
        "% of a core",
        {
            "idle: worker": "real, idle: worker, % of a core",
            "10 presses and 10 services per second: worker": "real, load: worker, % of a core",
            "10 presses and 10 services per second: supervisor": "real, load: supervisor, % of a core",
        },
    ),
    (
        "Size of a heartbeat",
        "bytes",
        {
            "idle": "bytes of an idle heartbeat",
            "with one press": "bytes of a heartbeat with one press",
        },
    ),
    (
        "Traffic",
        "kB/s",
        {
            "idle: all nodes": "idle group: kB/s",
            "10 presses and 10 services per second: all but one": "real, load: received kB/s",
        },
    ),
)


def plot(table: Mapping[int, Figures]) -> str:
    """Return an SVG picture with one diagram for each of DIAGRAMS. The horizontal axes are logarithmic."""
    width, height = LEFT + len(DIAGRAMS) * (PANEL_W + GAP) - GAP + 30, TOP + PANEL_H + 120
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {STYLE}>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        text(width / 2, 26, "How the cost of a node grows with its group", 'font-size="18" text-anchor="middle"'),
    ]
    for number, (title, unit, lines) in enumerate(DIAGRAMS):
        parts += diagram(LEFT + number * (PANEL_W + GAP), title, unit, lines, table)
    return "\n".join([*parts, "</svg>\n"])


def diagram(left: float, title: str, unit: str, lines: Mapping[str, str], table: Mapping[int, Figures]) -> list[str]:
    """Return the SVG elements of one diagram: axes, a curve for each of *lines*, and a legend.

    *lines* maps each label to the name of a figure in *table*.
    """
    cells = {label: [(cars, table[cars][name]) for cars in sorted(table)] for label, name in lines.items()}
    points = {label: [(cars, y) for cars, y in each if y is not None] for label, each in cells.items()}
    step = tick_step(max(y for each in points.values() for _, y in each))
    top = step * (max(y for each in points.values() for _, y in each) // step + 1)
    bottom = TOP + PANEL_H

    def x_of(cars: float) -> float:
        return left + PANEL_W * (0.04 + 0.92 * math.log(cars / min(SIZES)) / math.log(max(SIZES) / min(SIZES)))

    def y_of(value: float) -> float:
        return bottom - PANEL_H * value / top

    parts = [text(left + PANEL_W / 2, TOP - 16, title, 'font-size="15" text-anchor="middle"')]
    for tick in range(round(top / step) + 1):
        y = y_of(tick * step)
        parts.append(f'<path d="M{left} {y:.1f}h{PANEL_W}" stroke="#ddd"/>')
        parts.append(text(left - 8, y + 4, f"{tick * step:g}", 'text-anchor="end"'))
    parts += [text(x_of(cars), bottom + 18, str(cars), 'text-anchor="middle"') for cars in SIZES]
    parts.append(f'<path d="M{left} {TOP}V{bottom}H{left + PANEL_W}" fill="none" stroke="#222"/>')
    parts.append(text(left + PANEL_W / 2, bottom + 38, "number of cars (logarithmic)", 'text-anchor="middle"'))
    parts.append(text(left - 48, TOP + PANEL_H / 2, unit, f'{MIDDLE} transform="{quarter_turn(left)}"'))
    for number, (label, each) in enumerate(points.items()):
        colour, y = COLOURS[number], bottom + 62 + 18 * number
        path = " ".join(f"{x_of(cars):.1f},{y_of(value):.1f}" for cars, value in each)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x_of(c):.1f}" cy="{y_of(v):.1f}" r="3.5" fill="{colour}"/>' for c, v in each]
        parts.append(f'<path d="M{left} {y - 4}h24" stroke="{colour}" stroke-width="2"/>' + text(left + 32, y, label))
    return parts


def quarter_turn(left: float) -> str:
    return f"rotate(-90 {left - 48} {TOP + PANEL_H / 2})"


def text(x: float, y: float, words: str, style: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{words}</text>'


def tick_step(most: float) -> float:
    """Return a round distance between ticks. With it, three to six ticks lie from 0 to *most*, including 0."""
    power: float = 10 ** math.floor(math.log10(most))
    return next(step * power for step in (0.2, 0.5, 1, 2) if most < 6 * step * power)


if __name__ == "__main__":
    sys.exit(main())
