"""Benchmark: checks whether the memory of a node grows. Run it with `just bench memory [MINUTES]`.

Three nodes serve calls, and an outsider sends invalid datagrams from random addresses. At the start of each round, the
benchmark kills and restarts the third node, which thereby becomes a new author of calls. In every second round it also
deletes that node's record. After each round the benchmark prints figures of the first node: the resident memory of its
processes, the number of authors and of live presses in its next heartbeat (often only a part of its call set), and the
size of its record.

The exit status is 1 if the median of the worker's memory grows by more than 5 % from the second to the last quarter.

With --world HOURS the benchmark instead simulates a group for HOURS of virtual time, with about one fault every two
minutes. After each quarter of the time, it prints the memory of this process, and the size of each collection that can
grow, in the node where it is largest.
"""

import argparse
import os
import random
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

from bench_flood import EVERYBODY, malformed
from lab import Lab, comm, lab

from elevator.hardware.panel_outputs import panel_buttons
from elevator.simulation.chains import Size, draw_presses_at
from elevator.simulation.faults import Plan
from elevator.simulation.plans import draw_fault, draw_process
from elevator.simulation.simulated_node import SimulatedNode
from elevator.simulation.world import World

FLOORS = 8
PRESS_S, DATAGRAM_S = 1.0, 0.02
GROWTH_MAX = 1.05
"""The largest factor that does not count as growth, because allocators keep some freed memory."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure whether the memory of a node grows.")
    parser.add_argument(
        "minutes", type=float, nargs="?", default=60, help="duration in minutes, but at least four rounds; default: 60"
    )
    parser.add_argument("--round", type=float, default=60, help="length of a round in seconds; default: 60")
    parser.add_argument("--world", type=int, metavar="HOURS", help="simulate HOURS of virtual time instead")
    arguments = parser.parse_args()
    if arguments.world:
        simulate(arguments.world)
        return 0
    rounds = max(4, round(arguments.minutes * 60 / arguments.round))
    worker_kb = []
    with tempfile.TemporaryDirectory() as directory, lab(Path(directory), floors=FLOORS) as group:
        for number in range(1, rounds + 1):
            restart(group, 2, wiped=number % 2 == 0)
            load(group, arguments.round, random.Random(number))
            kb = memory_kb(group, 0)
            worker_kb.append(kb["worker"])
            calls = group.heartbeat(0).calls
            size = sum(each.stat().st_size for each in (group.directory / "state-0").iterdir())
            kept = ", ".join(f"{name} {resident:,} kB" for name, resident in kb.items())
            sent = f"heartbeat with {len(calls.seen)} authors, {len(calls.live)} live presses"
            print(f"{number * arguments.round / 60:g} min: {kept}; {sent}; record {size:,} bytes", flush=True)
    quarter = rounds // 4
    before, after = (statistics.median(each) for each in (worker_kb[quarter : 2 * quarter], worker_kb[-quarter:]))
    print(f"worker of node 0: median {before:,.0f} kB in the second quarter, {after:,.0f} kB in the last", end="")
    print(f" (ratio {after / before:.3f})")
    return int(after > before * GROWTH_MAX)


def simulate(hours: int) -> None:
    rng, size = random.Random(1), Size(cars=3, floors=4, calm_at_ms=hours * 3_600_000)
    minutes = hours * 60
    drawn = [draw_fault(rng, size) for _ in range(minutes // 4)]
    drawn += [each for _ in range(minutes // 4) for each in draw_process(rng, size)]
    times = sorted(rng.randrange(size.calm_at_ms) for _ in range(minutes * 2))
    presses = draw_presses_at(rng, size, None, times)
    faults = tuple(sorted(drawn, key=lambda fault: fault.at_ms))
    world = World(Plan(1, size.cars, size.floors, 2000, size.calm_at_ms, faults, tuple(presses)))
    for quarter in range(1, 5):
        world.run_until(size.calm_at_ms * quarter // 4)
        world.transcript.clear()
        most: dict[str, int] = {}
        for node in world.nodes:
            for what, n in sizes(node).items():
                most[what] = max(most.get(what, 0), n)
        resident = resident_kb(os.getpid())
        print(f"{hours * quarter / 4:g} h: {resident:,} kB for this process; maxima over the nodes: {most}", flush=True)


def sizes(node: SimulatedNode) -> dict[str, int]:
    """Return the sizes, by name, of the node's record and of each collection in *node* that can grow.

    While the node is not running, these are only the record and the remembered authors.
    """
    found = {"remembered authors": len(node.admission._newest), "record bytes": len(node.disk.text or "")}
    state = node.state
    if state is None:
        return found
    return found | {
        "seen": len(state.calls.seen),
        "live": len(state.calls.live),
        "lit": len(state.lit),
        "waits": len(state.assignment.waits),
        "peers": len(state.peers.known),
        "warnings": len(state.warnings),
    }


def restart(group: Lab, id: int, wiped: bool) -> None:
    """Kill node *id*, delete its record if *wiped*, and start it again."""
    group.kill(id)
    if wiped:
        shutil.rmtree(group.directory / f"state-{id}")
    group.start(id)


def load(group: Lab, seconds: float, rng: random.Random) -> None:
    """Press buttons and send invalid datagrams for *seconds*."""
    end = time.monotonic() + seconds
    press_at, number = 0.0, 0
    datagrams: deque[bytes] = deque()
    while (now := time.monotonic()) < end:
        if now >= press_at:
            press_at = now + PRESS_S
            group.press(rng.randrange(3), *rng.choice([*panel_buttons(FLOORS)]))
        number += 1
        datagrams = datagrams or deque(malformed(rng.getrandbits(40)))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sender.bind((f"127.{rng.randrange(1, 255)}.{rng.randrange(256)}.{rng.randrange(1, 255)}", 0))
            sender.sendto(datagrams.popleft(), (EVERYBODY, group.net_port))
        group.run(DATAGRAM_S)


def memory_kb(group: Lab, id: int) -> dict[str, int]:
    """Return the resident memory of each process of node *id*, by the name of the process."""
    pids = sorted(group.controllers.pids(id))
    return {comm(pid).removeprefix("elevator:"): resident_kb(pid) for pid in pids}


def resident_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


if __name__ == "__main__":
    sys.exit(main())
