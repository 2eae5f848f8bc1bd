"""Benchmark: compares a group on I/O cards with a group on elevator servers. Run it with `just bench card`.

It measures:

1. The time from a press of a hall button to its lamp. The simulated cards are as slow as a real line: a byte takes
   87 us, so a sweep takes 0.8 ms and a lamp command 0.17 ms. The rest of the time passes while the press waits
   for the next sweep, in two disk writes, and in the network.
2. The time from the kill of a worker until the motor stops. On a card, the supervisor stops the motor. An elevator
   server stops the motor when the connection ends.
3. The CPU time of an idle node, with its supervisor and recorder.

Times depend on the machine, so compare only figures of one run. The benchmark measures the two groups alternately,
each twice.
"""

import argparse
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bench_group import now_ms, report
from lab import Lab, lab

from elevator.building.elevators import Event, EventKind
from elevator.core.model import Button, Motor

IDLE_S = 10


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare nodes on I/O cards with nodes on elevator servers.")
    parser.add_argument(
        "--rounds",
        type=int,
        default=30,
        help="number of presses, and of kills, for each group, rounded down to an even number; default: 30",
    )
    rounds = parser.parse_args().rounds
    rng = random.Random(1)
    lamps: dict[str, list[float]] = {"card": [], "server": []}
    stops: dict[str, list[float]] = {"card": [], "server": []}
    for where in ("card", "server") * 2:
        with (
            tempfile.TemporaryDirectory() as directory,
            lab(Path(directory), travel_ms=2000, cards=where == "card") as group,
        ):
            lamps[where] += [press(group, rng) for _ in range(rounds // 2)]
            measure_idle(where, group)
            stops[where] += [kill_on_the_way(group) for _ in range(rounds // 2)]
    for what, took_ms in (("press to lamp", lamps), ("worker killed until the motor stops", stops)):
        for where in took_ms:
            report(f"{what}, {where}", took_ms[where], "ms")
        ratio = statistics.median(took_ms["card"]) / statistics.median(took_ms["server"])
        print(f"{what}: ratio of the medians, card to server: {ratio:.2f}")
    return 0


def settle(group: Lab) -> None:
    """Wait until all cars are idle and all lamps dark."""
    group.wait(lambda: not any(group.motor(car) or group.is_open(car) or group.lamps(car) for car in range(3)))
    group.run(0.3)


def press(group: Lab, rng: random.Random) -> float:
    """Press a hall button on a random panel. Return the milliseconds until the lamp on that panel lights."""
    settle(group)
    floor = group.far_floor(range(3))
    group.run(rng.random() / 20)  # Press at a random phase of sweeps and heartbeats.
    car, began_ms = rng.randrange(3), now_ms()
    group.press(car, group.hall_button(floor), floor)
    return group.wait_for_event(lambda at, event: at == car and event.kind is EventKind.LAMP, "a lamp lit") - began_ms


def kill_on_the_way(group: Lab) -> float:
    """Kill the worker of a moving car. Return the milliseconds until its motor is stopped."""
    settle(group)
    (worker,) = group.processes(0, "worker")  # Search before the press, because the search delays the cards.
    group.press(0, Button.CAB, 0 if group.elevator(0).sensed else 3)
    group.wait(lambda: group.motor(0), "the car moves")
    group.run(0.3)
    killed_ms = now_ms()
    os.kill(worker, signal.SIGKILL)

    def stops(car: int, event: Event) -> bool:
        return car == 0 and event.kind is EventKind.MOTOR and event.value == Motor.STOP

    stopped_ms = group.wait_for_event(stops, "the motor stops")
    group.run(1)
    return stopped_ms - killed_ms


def measure_idle(where: str, group: Lab) -> None:
    settle(group)
    before, start = group.cpu_s(0), time.monotonic()
    group.run(IDLE_S)
    share = (group.cpu_s(0) - before) / (time.monotonic() - start)
    print(f"idle, {where}: node 0 takes {share:.2%} of a core", flush=True)


if __name__ == "__main__":
    sys.exit(main())
