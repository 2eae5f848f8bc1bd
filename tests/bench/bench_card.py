"""Benchmark: compares a group on I/O cards with a group on elevator servers. Run it with `just bench card`.

It measures:

1. The time from a press to its lamp. The simulated cards are as slow as a real line: a byte takes 87 us, a sweep
   0.35 ms, a lamp command 0.09 ms. The rest is the wait for the next sweep, two disk writes and the network.
2. The time from the kill of a worker until the motor stops. On a card, the supervisor stops the motor. An elevator
   server stops the motor when the connection ends.
3. The CPU time of an idle node.

Times depend on the machine, so compare only figures of one run. The benchmark measures the two groups in turn.
"""

import argparse
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench_group import cpu_s, events_since, now_ms, report, settle, settle_and_choose, until
from lab import Lab, lab

IDLE_S = 10


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare nodes on I/O cards with nodes on elevator servers.")
    parser.add_argument("--rounds", type=int, default=30, help="number of measurements of each kind; default: 30")
    rounds = parser.parse_args().rounds
    with ExitStack() as stack:
        groups = {}
        for where, cards in (("card", True), ("server", False)):
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            groups[where] = stack.enter_context(lab(directory, travel_ms=2000, cards=cards))
        rng = random.Random(1)
        lamps: dict[str, list[float]] = {where: [] for where in groups}
        stops: dict[str, list[float]] = {where: [] for where in groups}
        for _ in range(rounds):
            for where, group in groups.items():
                lamps[where].append(press(group, rng))
        for where, group in groups.items():
            idle(where, group)
        for _ in range(rounds):
            for where, group in groups.items():
                stops[where].append(kill_on_the_way(group))
    for what, took_ms in (("press to lamp", lamps), ("worker killed until the motor stops", stops)):
        for where in groups:
            report(f"{what}, {where}", took_ms[where])
        ratio = statistics.median(took_ms["card"]) / statistics.median(took_ms["server"])
        print(f"{what}: card to server {ratio:.2f}")
    return 0


def press(group: Lab, rng: random.Random) -> float:
    """Press a hall button on a random panel. Return the ms until the lamp on that panel lights."""
    floor, button = settle_and_choose(group)
    time.sleep(rng.random() / 20)  # Press at a random phase of sweeps and heartbeats.
    car = rng.randrange(3)
    answer = group.ask("press", car=car, button=button, floor=floor)
    return first(group, answer, car, "lamp") - float(answer["ms"])


def kill_on_the_way(group: Lab) -> float:
    """Kill the worker of a moving car. Return the ms until its motor gets a stop command."""
    settle(group)
    (state,) = group.ask("state", car=0)["cars"]
    start = group.ask("press", car=0, button="cab", floor=0 if state["sensor"] else 3)
    first(group, start, 0, "motor")
    time.sleep(0.3)
    (worker,) = group.processes(0, "worker")
    before = group.ask("state")
    killed_ms = now_ms()
    os.kill(worker, signal.SIGKILL)
    stopped_ms = first(group, before, 0, "motor", 0)
    time.sleep(1)
    return stopped_ms - killed_ms


def first(group: Lab, answer: dict[str, Any], car: int, kind: str, value: int | None = None) -> float:
    """Wait for the first event of *car* with *kind* and *value*. Return its time in ms.

    Events before the control reply *answer* do not count. If *value* is None, any value but 0 matches.
    """
    found: list[float] = []

    def has_come() -> bool:
        for event in events_since(group, answer["next"]):
            as_wanted = bool(event["value"]) if value is None else event["value"] == value
            if event["car"] == car and event["kind"] == kind and as_wanted:
                found.append(event["ms"])
        return bool(found)

    until(has_come)
    return found[0]


def idle(where: str, group: Lab) -> None:
    settle(group)
    before, start = cpu_s(group.nodes[0].pid), time.monotonic()
    time.sleep(IDLE_S)
    share = (cpu_s(group.nodes[0].pid) - before) / (time.monotonic() - start)
    print(f"idle: a node takes {share:.2%} of a core, {where}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
