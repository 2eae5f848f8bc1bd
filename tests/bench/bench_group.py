"""Benchmark: reaction times of a group, and of the simulated elevator. Run it with `just bench group`.

It runs tests of the exam on this program, each with several seeds, and prints their figures: how long a lamp takes to
light, how soon another car takes over, how much load an idle group causes, and others. It also measures how soon the
elevator server of `elevator sim` answers. Times depend on the machine, so compare only figures of one run.
"""

import argparse
import os
import select
import socket
import statistics
import subprocess
import sys
import time

from lab import PROGRAM, free_port

from elevator.exam.catalogue import TESTS
from elevator.exam.examiner import ExamSetting, examine
from elevator.exam.sandbox import enter_namespace, obstacle
from elevator.exam.setup import Subject
from elevator.hardware.elevator_server import ElevatorServer

FLOORS = 4
NAMES = ("lamps", "kill", "motor", "freeze", "rest", "loss30", "loss50", "loss70")


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how fast a group of three nodes and the simulator react.")
    parser.add_argument("--rounds", type=int, default=3, help="number of runs of each exam test; default: 3")
    rounds = parser.parse_args().rounds
    port = free_port(socket.SOCK_STREAM, 3)
    sim = [*PROGRAM, "sim", "--headless", "--port", str(port), "--floors", str(FLOORS)]
    with subprocess.Popen(sim, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # The simulator listens once it has printed this line.
        measure_sweeps(port, 200)
        measure_replies(port, 50)
        process.terminate()
    if why_not := obstacle():
        print(f"{why_not}\nSkipping the tests that need a network.", file=sys.stderr)
    else:
        enter_namespace()
    options = ["--id", "{id}", "--port", "{port}", "--floors", "{floors}", "--state-dir", "{dir}", "--park", "none"]
    subject = Subject([*PROGRAM, *options], os.environ)
    for name in NAMES:
        if not why_not or not TESTS[name].needs_network:
            print_figures(name, subject, rounds, not why_not)
    return 0


def report(what: str, values: list[float], unit: str) -> None:
    print(
        f"{what}: median {statistics.median(values):.1f} {unit}, worst {max(values):.1f} {unit} (n = {len(values)})",
        flush=True,
    )


def print_figures(name: str, subject: Subject, rounds: int, has_network: bool) -> None:
    """Run the test *name* of the exam with *rounds* seeds. Print its figures, even of runs that failed."""
    found: dict[tuple[str, str], list[float]] = {}
    for seed in range(rounds):
        result = examine(TESTS[name], subject, ExamSetting(3, FLOORS, seed, has_network), lambda: None)
        for figure in result.figures:
            found.setdefault((figure.name, figure.unit), []).append(figure.value)
    for (what, unit), values in found.items():
        report(f"{name}: {what}", values, unit)


def now_ms() -> float:
    return time.monotonic_ns() / 1e6


def measure_sweeps(port: int, rounds: int) -> None:
    """Measure how long a sweep of a panel with 4 floors takes with ElevatorServer, the client in the nodes."""
    server = ElevatorServer("127.0.0.1", port, FLOORS)
    took: list[float] = []
    asked = 0.0
    while len(took) < rounds:
        before = server.panel.asked_at_ms
        server.poll(int(now_ms()))
        if before is None and server.panel.asked_at_ms is not None:
            asked = now_ms()
        elif before is not None and server.panel.asked_at_ms is None:
            took.append(now_ms() - asked)
        reading, writing = server.sockets()
        select.select(reading, writing, [], max(0.0, server.wake_at_ms() - now_ms()) / 1000)
    server.stop()
    report("request to reply of a sweep, 4 floors", took, "ms")


def measure_replies(port: int, rounds: int) -> None:
    """Measure how long the server takes to answer a request that follows a command, with and without TCP_NODELAY."""
    for how, no_delay in (("with TCP_NODELAY", 1), ("without TCP_NODELAY", 0)):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, no_delay)
            took: list[float] = []
            for _ in range(rounds):
                asked = now_ms()
                client.send(bytes((5, 0, 0, 0)))
                client.send(bytes((7, 0, 0, 0)))
                client.recv(4)
                took.append(now_ms() - asked)
                time.sleep(0.02)
        report(f"time to answer a request sent right after a command, client {how}", took, "ms")


if __name__ == "__main__":
    sys.exit(main())
