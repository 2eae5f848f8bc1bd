"""Benchmark: measures reaction times of a group of real processes. Run it with `just bench group`.

It prints medians and worst cases in milliseconds, from the events of the simulator. Times depend on the machine, so
compare only figures of one run.
"""

import argparse
import os
import random
import select
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab import Lab, free_port, lab

from elevator.hardware.elevator_server import ElevatorServer


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure a group of three nodes.")
    parser.add_argument("--rounds", type=int, default=10, help="number of measurements of each kind; default: 10")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as directory, lab(Path(directory), travel_ms=2000) as group:
        sweeps(group, rounds * 20)
        single(group, rounds * 5)
        presses(group, rounds * 3, "healthy group")
        idle(group)
    with tempfile.TemporaryDirectory() as directory, lab(Path(directory), travel_ms=2000) as group:
        for what, inject, repair in (
            ("node killed", kill, restart),
            ("motor without power", disconnect_motor, reconnect_motor),
            ("node frozen", freeze, thaw),
        ):
            report(
                f"{what}: another car departs for its hall call",
                [reassignment(group, inject, repair) for _ in range(rounds)],
            )
        report(
            "door obstructed: another car departs for its hall call after the dwell time",
            [obstruction(group) for _ in range(rounds)],
        )
    for loss in (0.3, 0.5, 0.7):
        with (
            tempfile.TemporaryDirectory() as directory,
            lossy(loss) as network,
            lab(Path(directory), more=network, travel_ms=2000) as group,
        ):
            presses(group, rounds * 3, f"{loss:.0%} packet loss")
    return 0


def report(what: str, took_ms: list[float]) -> None:
    print(
        f"{what}: median {statistics.median(took_ms):.1f} ms, worst {max(took_ms):.1f} ms of {len(took_ms)}", flush=True
    )


def now_ms() -> float:
    return time.monotonic_ns() / 1e6


def until(condition: Callable[[], Any], patience_s: float = 60) -> None:
    end = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"timeout after {patience_s:.0f} s")
        time.sleep(0.01)


def events_since(group: Lab, number: int) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = group.ask("events", since=number)["events"]
    return events


def is_quiet(group: Lab) -> bool:
    states = group.states()
    return all(s["motor"] == "stop" and not s["door"] and not any(s["lamps"].values()) for s in states)


def settle(group: Lab) -> None:
    until(lambda: is_quiet(group))
    time.sleep(0.3)


def settle_and_choose(group: Lab) -> tuple[int, str]:
    """Wait until all cars are idle and all lamps dark. Return a hall button at a floor without a car."""
    settle(group)
    taken = {state["sensor"] for state in group.states()}
    floor = next(floor for floor in (1, 2, 3, 0) if floor not in taken)
    return floor, "down" if floor == 3 else "up"


def sweeps(group: Lab, rounds: int) -> None:
    """Measure the time of a sweep of 4 floors with ElevatorServer, the client in the nodes."""
    group.kill(2)
    port = ElevatorServer("127.0.0.1", group.port + 2, 4)
    took: list[float] = []
    asked = 0.0
    while len(took) < rounds:
        before = port.panel.asked_at_ms
        port.poll(int(now_ms()))
        if before is None and port.panel.asked_at_ms is not None:
            asked = now_ms()
        elif before is not None and port.panel.asked_at_ms is None:
            took.append(now_ms() - asked)
        reading, writing = port.sockets()
        select.select(reading, writing, [], max(0.0, port.wake_at_ms() - now_ms()) / 1000)
    port.stop()
    report("sweep of 4 floors answered", took)
    group.start(2)
    group.wait_for(2, "in service", times=2)
    time.sleep(1)


def single(group: Lab, rounds: int) -> None:
    """Send a write and a read; measure the time to the reply, with and without TCP_NODELAY."""
    group.kill(2)
    for how, no_delay in (("with TCP_NODELAY", 1), ("without TCP_NODELAY", 0)):
        with socket.create_connection(("127.0.0.1", group.port + 2)) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, no_delay)
            took: list[float] = []
            for _ in range(rounds):
                asked = now_ms()
                client.send(bytes((5, 0, 0, 0)))
                client.send(bytes((7, 0, 0, 0)))
                client.recv(4)
                took.append(now_ms() - asked)
                time.sleep(0.02)
        report(f"write and read of a client {how}", took)
    group.start(2)
    group.wait_for(2, "in service", times=3)
    time.sleep(1)


def presses(group: Lab, rounds: int, title: str) -> None:
    """Print the time from a press to its lamp, on the pressed panel and on the others, with the title *title*."""
    here: list[float] = []
    others: list[float] = []
    rng = random.Random(1)
    for _ in range(rounds):
        floor, button = settle_and_choose(group)
        time.sleep(rng.random() / 20)
        car = rng.randrange(3)
        answer = group.ask("press", car=car, button=button, floor=floor)
        lit: dict[int, float] = {}

        def all_lit(lit: dict[int, float] = lit, answer: dict[str, Any] = answer) -> bool:
            for event in events_since(group, answer["next"]):
                if event["kind"] == "lamp" and event["value"]:
                    lit.setdefault(event["car"], event["ms"] - answer["ms"])
            return len(lit) == 3

        until(all_lit)
        here.append(lit.pop(car))
        others += lit.values()
    report(f"{title}: press to lamp on the pressed panel", here)
    report(f"{title}: press to lamp on the other panels", others)


def idle(group: Lab) -> None:
    settle(group)
    before, start = [cpu_s(process.pid) for process in group.nodes.values()], time.monotonic()
    time.sleep(10)
    took = time.monotonic() - start
    for (id, process), used in zip(group.nodes.items(), before, strict=True):
        share = (cpu_s(process.pid) - used) / took
        print(f"idle: node {id} takes {share:.2%} of a core and {memory_mb(process.pid):.0f} MB", flush=True)


def family(pid: int) -> list[int]:
    """Return *pid* and its descendants."""
    pids = [pid]
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        pids += family(int(child))
    return pids


def cpu_s(pid: int) -> float:
    ticks = 0
    for each in family(pid):
        stat = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(stat[11]) + int(stat[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Return the memory of *pid* and its descendants in MB. Shared pages count once."""
    kb = 0
    for each in family(pid):
        rollup = Path(f"/proc/{each}/smaps_rollup").read_text()
        kb += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return kb / 1000


def reassignment(group: Lab, inject: Callable[[Lab, int], None], repair: Callable[[Lab, int], None]) -> float:
    """Inject a fault into a car on its way to a hall call. Return the ms until another car departs."""
    floor, button = settle_and_choose(group)
    start = group.ask("press", car=0, button=button, floor=floor)["next"]

    def going() -> list[int]:
        return [event["car"] for event in events_since(group, start) if event["kind"] == "motor" and event["value"]]

    until(going)
    time.sleep(0.8)
    (car, *_) = going()
    from_event, injected_ms = group.ask("state")["next"], now_ms()
    inject(group, car)
    moved: list[float] = []

    def others_move() -> bool:
        happened = [event for event in events_since(group, from_event) if event["kind"] == "motor" and event["value"]]
        moved.extend(event["ms"] for event in happened if event["car"] != car)
        return bool(moved)

    until(others_move)
    repair(group, car)
    return min(moved) - injected_ms


def kill(group: Lab, car: int) -> None:
    group.kill(car)


def restart(group: Lab, car: int) -> None:
    group.start(car)
    time.sleep(1)


def freeze(group: Lab, car: int) -> None:
    group.signal(car, signal.SIGSTOP)


def thaw(group: Lab, car: int) -> None:
    group.signal(car, signal.SIGCONT)
    time.sleep(1)


def disconnect_motor(group: Lab, car: int) -> None:
    group.ask("power", car=car, on=False)


def reconnect_motor(group: Lab, car: int) -> None:
    group.ask("power", car=car, on=True)


def obstruction(group: Lab) -> float:
    """Obstruct an open door and press a hall button there. Return when another car departs for the call.

    The result is in ms after the normal dwell time of the door.
    """
    settle(group)
    car, floor = 0, 1
    for other in (state["car"] for state in group.states() if state["car"] != car and state["sensor"] == floor):
        group.press(other, "cab", 3)
    settle(group)
    group.press(car, "cab", floor)
    until(lambda: group.states()[car]["door"])
    opened: float = max(e["ms"] for e in group.events("door") if e["car"] == car and e["value"])
    group.ask("obstruct", car=car, on=True)
    group.press(car, "up", floor)  # The open door serves this call and announces up.
    time.sleep(0.3)
    start = group.ask("press", car=car, button="down", floor=floor)["next"]  # This call waits for another car.
    moved: list[float] = []

    def another_moves() -> bool:
        moved.extend(e["ms"] for e in events_since(group, start) if e["kind"] == "motor" and e["value"])
        return bool(moved)

    until(another_moves)
    group.ask("obstruct", car=car, on=False)
    return min(moved) - opened - 3000


@contextmanager
def lossy(loss: float) -> Iterator[tuple[str, ...]]:
    """Run a relay that drops a fraction *loss* of all datagrams and broadcasts the rest.

    Yield the command-line arguments for a node that uses the relay.
    """
    net_port, address = free_port(socket.SOCK_DGRAM), "127.0.0.99"
    relay = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT, socket.SO_BROADCAST):
        relay.setsockopt(socket.SOL_SOCKET, option, 1)
    relay.bind((address, net_port))
    relay.settimeout(0.2)
    ended = threading.Event()
    rng = random.Random(1)

    def run() -> None:
        while not ended.is_set():
            try:
                datagram = relay.recv(65536)
            except TimeoutError:
                continue
            if rng.random() >= loss:
                relay.sendto(datagram, ("127.255.255.255", net_port))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield "--broadcast", address, "--net-port", str(net_port)
    finally:
        ended.set()
        thread.join()
        relay.close()


if __name__ == "__main__":
    sys.exit(main())
