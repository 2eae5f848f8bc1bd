"""Whether the memory of whole programs stays as it is, measured from outside: run by `just bench memory MINUTES`.

Three nodes serve calls. The third is killed again and again, every second time with its record wiped, so that it comes
back as an author nobody knows. A stranger sends datagrams that no node takes, each from another address. After each
round comes a line with what the processes of the first node keep in memory, how many authors and calls its heartbeats
name, and how large its record is on the disk. Status 1: the worker keeps more in the last quarter than in the second.

With --world it is so many hours of the simulated world instead, with one fault or another every other minute: after
each quarter comes a line with the most that any node holds of what could grow.
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
from lab import Lab, comm, lab, processes_of

from elevator.hardware.panel_outputs import panel_buttons
from elevator.simulation.faults import Plan, Press
from elevator.simulation.plans import draw_fault, draw_process
from elevator.simulation.simulated_node import SimulatedNode
from elevator.simulation.world import World

FLOORS = 8
PRESS_S, DATAGRAM_S = 1.0, 0.02
GROWTH_MAX = 1.05
"""More than allocators do by themselves."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure whether the memory of nodes grows.")
    parser.add_argument("minutes", type=float, nargs="?", default=60, help="for how long (60)")
    parser.add_argument("--round", type=float, default=60, help="seconds between two lines (60)")
    parser.add_argument("--world", type=int, metavar="HOURS", help="simulate so many hours instead")
    arguments = parser.parse_args()
    if arguments.world:
        simulate(arguments.world)
        return 0
    rounds = max(4, round(arguments.minutes * 60 / arguments.round))
    worker_kb = []
    with tempfile.TemporaryDirectory() as directory, lab(Path(directory), floors=FLOORS) as group:
        for number in range(1, rounds + 1):
            restart(group, 2, wiped=number % 2 == 0)
            live(group, arguments.round, random.Random(number))
            kb = memory_kb(group.nodes[0].pid)
            worker_kb.append(kb["worker"])
            calls = group.heartbeat(0).calls
            size = sum(each.stat().st_size for each in (group.directory / "state-0").iterdir())
            kept = ", ".join(f"{name} {resident:,} kB" for name, resident in kb.items())
            told_of = f"{len(calls.seen)} authors, {len(calls.live)} live presses; record {size:,} bytes"
            print(f"{number * arguments.round / 60:g} min: {kept}; {told_of}", flush=True)
    quarter = rounds // 4
    before, after = (statistics.median(each) for each in (worker_kb[quarter : 2 * quarter], worker_kb[-quarter:]))
    print(
        f"the worker, median of the second quarter {before:,.0f} kB, of the last {after:,.0f} kB: {after / before:.3f}"
    )
    return int(after > before * GROWTH_MAX)


def simulate(hours: int) -> None:
    rng, cars, floors, calm_at_ms = random.Random(1), 3, 4, hours * 3_600_000
    minutes = hours * 60
    drawn = [draw_fault(rng, cars, calm_at_ms) for _ in range(minutes // 4)]
    drawn += [draw_process(rng, cars, calm_at_ms) for _ in range(minutes // 4)]
    presses = [
        Press(
            at_ms := rng.randrange(calm_at_ms), at_ms + 200, rng.randrange(cars), *rng.choice([*panel_buttons(floors)])
        )
        for _ in range(minutes * 2)
    ]
    presses.sort(key=lambda press: press.at_ms)
    faults = tuple(sorted(drawn, key=lambda fault: fault.at_ms))
    world = World(Plan(1, cars, floors, 2000, calm_at_ms, faults, tuple(presses)))
    for quarter in range(1, 5):
        world.run_until(calm_at_ms * quarter // 4)
        world.transcript.clear()
        most: dict[str, int] = {}
        for host in world.hosts:
            for what, n in sizes(host).items():
                most[what] = max(most.get(what, 0), n)
        resident = resident_kb(os.getpid())
        print(f"{hours * quarter / 4:g} h: {resident:,} kB with the world around them; {most}", flush=True)


def sizes(host: SimulatedNode) -> dict[str, int]:
    """Count what could grow in a node, and the bytes of its record."""
    found = {"remembered authors": len(host.admission._newest), "record bytes": len(host.disk.text or "")}
    node = host.node
    if node is not None:
        found |= {"seen": len(node.calls.seen), "live": len(node.calls.live)}
        for name in ("peers", "waiting", "unclaimed", "doors", "starved", "lit", "past", "rivals", "oddities"):
            found[name] = len(getattr(node, name))
    return found


def restart(group: Lab, id: int, wiped: bool) -> None:
    """Kill node *id* and start it anew, *wiped*: without its record."""
    group.kill(id)
    if wiped:
        shutil.rmtree(group.directory / f"state-{id}")
    group.start(id)


def live(group: Lab, seconds: float, rng: random.Random) -> None:
    """Press buttons and send what no node takes for so many *seconds*."""
    end = time.monotonic() + seconds
    press_at, number = 0.0, 0
    strange: deque[bytes] = deque()
    while (now := time.monotonic()) < end:
        if now >= press_at:
            press_at = now + PRESS_S
            button = rng.choice(("up", "down", "cab"))
            group.press(rng.randrange(3), button, rng.randrange(button == "down", FLOORS - (button == "up")))
        number += 1
        strange = strange or deque(malformed(rng.getrandbits(40)))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
            mouth.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            mouth.bind((f"127.{rng.randrange(1, 255)}.{rng.randrange(256)}.{rng.randrange(1, 255)}", 0))
            mouth.sendto(strange.popleft(), (EVERYBODY, group.net_port))
        time.sleep(DATAGRAM_S)


def memory_kb(session: int) -> dict[str, int]:
    """Return what each process of a node keeps in memory for itself and with others, by its name."""
    return {comm(pid).removeprefix("elevator:"): resident_kb(pid) for pid in sorted(processes_of(session))}


def resident_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


if __name__ == "__main__":
    sys.exit(main())
