"""Benchmark: failover of a node's process pair, measured at its elevator server. Run it with `just bench pair`.

It measures:

1. The time from the kill of a worker to the first message of the next worker. A second measurement kills the
   supervisor 0.3 s before the worker.
2. How many presses are lost while the worker is killed repeatedly: those whose lamp is dark 3 s after the last press.
   Each button is pressed once. A press lasts 200 ms, and a new press begins every 100 ms. The buttons of floor 0, where
   the car stays, do not count.
3. The longest time between two sweeps while the node stores presses: on this disk, and on a simulated slow disk. The
   slow disk needs 200 ms for every fsync.

Times depend on the machine, so compare only figures of one run.
"""

import argparse
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from attrs import define, field
from lab import Lab, lab

from elevator.core.model import Button
from elevator.hardware.elevator_server import LAMP, PRESSED, SENSOR
from elevator.hardware.panel_outputs import panel_buttons
from elevator.hardware.server_side import MESSAGE_BYTES

FLOORS = 64
PRESS_MS, EVERY_MS = 200, 100
SYNC_MS = 200
"""The time that the slow disk needs for an fsync."""
SLOW_SYNC = f"""
#include <time.h>
static int slow(void) {{ struct timespec t = {{0, {SYNC_MS}000000}}; return nanosleep(&t, 0); }}
int fsync(int descriptor) {{ return (void)descriptor, slow(); }}
int fdatasync(int descriptor) {{ return (void)descriptor, slow(); }}
"""


@define
class Panel:
    """An elevator server whose car stays at floor 0. From `begin_ms` on, a new button is pressed every EVERY_MS."""

    listener: socket.socket
    begin_ms: float = float("inf")
    """When the first button is pressed; infinite if none is to be pressed."""
    first_messages_ms: list[float] = field(factory=list)
    """Time of the first message on each connection."""
    gap_ms: float = 0
    """The longest time between two sweeps on one connection, since a measurement last reset it to 0."""
    lit: set[tuple[int, int]] = field(factory=set)
    buttons: list[tuple[Button, int]] = field(factory=lambda: list(panel_buttons(FLOORS)))

    @property
    def port(self) -> int:
        port: int = self.listener.getsockname()[1]
        return port

    def pressed(self) -> set[tuple[int, int]]:
        ago_ms = now_ms() - self.begin_ms
        return {button for n, button in enumerate(self.buttons) if 0 <= ago_ms - n * EVERY_MS < PRESS_MS}

    def serve(self) -> None:
        """Serve one client after the other until the listener is closed."""
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client:
                try:
                    self.serve_client(client)
                except ConnectionResetError:
                    pass

    def serve_client(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        rest, swept_ms, is_first = b"", None, True
        while received := client.recv(1 << 16):
            if is_first:
                self.first_messages_ms.append(now_ms())
                is_first = False
            rest += received
            whole = len(rest) // MESSAGE_BYTES * MESSAGE_BYTES
            pressed = self.pressed()
            replies = b""
            for at in range(0, whole, MESSAGE_BYTES):
                kind, first, second, value = rest[at : at + MESSAGE_BYTES]
                if kind == LAMP:
                    (self.lit.add if value else self.lit.discard)((first, second))
                elif kind == PRESSED:
                    replies += bytes((kind, (first, second) in pressed, 0, 0))
                elif kind >= SENSOR:
                    replies += bytes((kind, kind == SENSOR, 0, 0))
                if kind == SENSOR:
                    self.gap_ms = max(self.gap_ms, now_ms() - (swept_ms or now_ms()))
                    swept_ms = now_ms()
            rest = rest[whole:]
            client.sendall(replies)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the failover of a process pair.")
    parser.add_argument(
        "--rounds", type=int, default=30, help="number of kills of the worker in each failover measurement; default: 30"
    )
    rounds = parser.parse_args().rounds
    for victims in ("worker", "supervisor and then worker"):
        took = measure_failovers(rounds, victims)
        median, worst = statistics.median(took), max(took)
        print(
            f"{victims} killed: first message of the next worker after a median of {median:.1f} ms,"
            f" worst of {rounds}: {worst:.1f} ms",
            end="",
        )
        print(f"; ratio to a press of {PRESS_MS} ms: median {median / PRESS_MS:.2f}, worst {worst / PRESS_MS:.2f}")
    kills, missed = count_missed_presses()
    presses = sum(floor != 0 for _, floor in panel_buttons(FLOORS))
    print(f"worker killed up to {kills} times during {presses} presses: {missed} presses missed")
    fast_ms, slow_ms = longest_gap(), longest_gap_on_slow_disk()
    print(f"longest time between two sweeps in 20 s of presses: {fast_ms:.1f} ms", end="")
    print(f"; with {SYNC_MS} ms for each fsync: {slow_ms:.1f} ms; ratio {slow_ms / fast_ms:.1f}")
    return 0


def now_ms() -> float:
    return time.monotonic_ns() / 1e6


@contextmanager
def serving() -> Iterator[Panel]:
    """Serve a panel in a thread; yield the panel."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        panel = Panel(listener)
        threading.Thread(target=panel.serve, daemon=True).start()
        try:
            yield panel
        finally:
            listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def node(floors: int = FLOORS) -> Iterator[tuple[Lab, Panel]]:
    """Run a node on a `Panel`. Yield the lab with the node, and the panel."""
    with ExitStack() as opened:
        directory = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        panel = opened.enter_context(serving())
        group = opened.enter_context(lab(directory, cars=1, floors=floors, start=False))
        group.start(0, "--port", str(panel.port))
        group.wait_for(0, "in service")
        yield group, panel


def kill(group: Lab, name: str) -> float:
    """Kill the node's processes that are called *name*; return the time of the kill, in ms."""
    pids, killed_ms = group.processes(0, name), now_ms()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return killed_ms


def measure_failovers(rounds: int, victims: str) -> list[float]:
    """Kill the worker *rounds* times, each time 0.3 s after the supervisor if *victims* names the supervisor.

    Return the ms from each kill of the worker to the first message of the next worker.
    """
    took = []
    with node(floors=4) as (group, panel):
        for number in range(1, rounds + 1):
            group.run(random.uniform(0.6, 1.2))
            if "supervisor" in victims:
                kill(group, "pair")
                group.run(0.3)  # The worker needs this time to start a new supervisor.
            killed_ms = kill(group, "worker")
            while len(panel.first_messages_ms) <= number:
                group.run(0.002)
            took.append(panel.first_messages_ms[number] - killed_ms)
    return took


def count_missed_presses() -> tuple[int, int]:
    """Press each button once, and kill the worker at random times.

    Return the number of kills, some of which may have found no worker. Also return how many lamps are dark 3 s after
    the last press, without those of floor 0.
    """
    kills = 0
    with node() as (group, panel):
        panel.begin_ms = now_ms() + 200
        end_ms = panel.begin_ms + len(panel.buttons) * EVERY_MS
        while now_ms() < end_ms:
            group.run(random.uniform(0.02, 0.35))
            kill(group, "worker")
            kills += 1
        group.run(3)
        # The car stays at floor 0. It may serve calls there at once, without lighting their lamps.
        missed = [button for button in panel.buttons if button not in panel.lit and button[1] != 0]
        return kills, len(missed)


def longest_gap() -> float:
    """Press buttons for 20 s. Return the longest time between two sweeps, in ms."""
    with node() as (group, panel):
        panel.begin_ms = now_ms() + 200
        panel.gap_ms = 0
        group.run(20)
        return panel.gap_ms


def longest_gap_on_slow_disk() -> float:
    """Return the `longest_gap` of a node whose calls of fsync take SYNC_MS."""
    with tempfile.TemporaryDirectory() as directory:
        library = f"{directory}/slow.so"
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library], input=SLOW_SYNC, text=True, check=True
        )
        os.environ["LD_PRELOAD"] = library
        try:
            return longest_gap()
        finally:
            del os.environ["LD_PRELOAD"]


if __name__ == "__main__":
    sys.exit(main())
