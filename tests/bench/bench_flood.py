"""Benchmark: the effect of a flood of datagrams on a node. Run it with `just bench flood`.

Two nodes run first without a flood, then with one. The benchmark prints:

- for node 0, the longest time between two sweeps of its panel, its rate of heartbeats, and its CPU time;
- the time from a press on node 1's panel to the lamp there. The lamp waits for an acknowledgement from node 0;
- the rate that the flood has reached, and node 0's last log lines about dropped datagrams, timeouts and its worker.

The flood consists of four kinds of invalid datagrams: random bytes, wrong seals, malformed heartbeats with a valid
seal, and heartbeats of another group. With --large, it consists instead of datagrams with a valid seal that take as
long as possible to parse. With --keyed, the group has a key that the sender of the flood does not know, so no seal is
valid.

Times depend on the machine, so compare only figures of one run.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench_pair import Panel, now_ms, serving
from lab import Lab, lab
from steps import full_entry

from elevator.building.elevators import EventKind
from elevator.cli.keygen import main as keygen
from elevator.core.messages import Heartbeat
from elevator.core.model import MAX_FLOORS, Author, Button, Buttons, Calls, Car
from elevator.core.node import LISTEN_MS
from elevator.net.seal import NO_KEY, seal
from elevator.net.wire import COUNT_MAX, encode

EVERYBODY = "127.255.255.255"
STEP_S = 0.002
FLOORS = 4
GROUP = "lab"
AUTHOR = Author(1, 1)
NEWEST = COUNT_MAX // 2
CALLS = Calls({AUTHOR: full_entry(AUTHOR, MAX_FLOORS, NEWEST)})
LARGE = encode(Heartbeat(AUTHOR, 1, MAX_FLOORS, Car(), Buttons(), 0, CALLS), GROUP) + b"\0"


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the effect of a flood of datagrams on a node.")
    parser.add_argument("--per-second", type=int, default=20_000, help="datagrams per second to send; default: 20000")
    parser.add_argument(
        "--seconds",
        type=float,
        default=20,
        help="seconds for each measurement, without and with the flood; default: 20",
    )
    parser.add_argument("--addresses", type=int, default=1, help="number of addresses to send from; default: 1")
    parser.add_argument("--large", action="store_true", help="send only datagrams that take long to parse")
    parser.add_argument("--keyed", action="store_true", help="give the group a key that the flood's sender lacks")
    parser.add_argument("--flood", type=int, metavar="PORT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.flood is not None:
        kind = large if arguments.large else malformed
        flood(arguments.flood, arguments.per_second, arguments.addresses, kind)
        return 0
    with nodes(arguments.keyed) as (group, panel):
        measure("without flood", group, panel, arguments.seconds)
        command = [sys.executable, __file__, *sys.argv[1:], "--flood", str(group.net_port)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as flooding:
            group.run(1)
            measure("with flood", group, panel, arguments.seconds)
            print(flooding.communicate("")[0], end="")
        print("from the log of node 0:")
        log = group.log(0).splitlines()
        for words in (("dropped",), ("timed out", "worker")):
            for line in [line for line in log if any(word in line for word in words)][-4:]:
                print(f"  {line}")
    return 0


@contextmanager
def nodes(keyed: bool) -> Iterator[tuple[Lab, Panel]]:
    """Run node 0 on a `Panel` and node 1 on a simulated elevator. Yield the lab with both nodes, and the panel."""
    with ExitStack() as opened:
        directory = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        panel = opened.enter_context(serving())
        if keyed:
            keygen([str(directory / "key")])
        more = ("--key-file", str(directory / "key")) if keyed else ()
        group = opened.enter_context(lab(directory, cars=2, floors=FLOORS, start=False, more=more))
        group.start(0, "--port", str(panel.port))
        group.start(1)
        group.wait_until_ready()
        group.run(LISTEN_MS / 1000)  # Until then, a node that has just started lights no lamp.
        yield group, panel


def measure(what: str, group: Lab, panel: Panel, seconds: float) -> None:
    """Press one cab button of car 1 after the other for at least *seconds*. Print the figures with the title *what*."""
    first, began_s, used_s = group.heartbeat(0).sequence, time.monotonic(), group.cpu_s(0)
    lamps_ms: list[float] = []
    worst_ms = 0.0
    n = 0
    while time.monotonic() < began_s + seconds:
        n += 1
        panel.gap_ms = 0
        floor = 1 + n % 3
        lamps_ms.append(press(group, floor))
        worst_ms = max(worst_ms, panel.gap_ms)
        group.wait(lambda: not group.lamps(1), "the call is served")
        worst_ms = max(worst_ms, panel.gap_ms)
    took_s = time.monotonic() - began_s
    share = (group.cpu_s(0) - used_s) / took_s
    beats = (group.heartbeat(0).sequence - first) / took_s
    print(
        f"{what}, {took_s:.0f} s: node 0: longest time between two sweeps {worst_ms:.1f} ms,"
        f" {beats:.1f} heartbeats per second",
        end="",
    )
    print(f", {share:.1%} of a core; node 1: press to lamp {statistics.median(lamps_ms):.1f} ms median", end="")
    print(f", worst of {n}: {max(lamps_ms):.1f} ms", flush=True)


def press(group: Lab, floor: int) -> float:
    """Press the cab button for *floor* in car 1. Return the milliseconds until the button's lamp lights.

    The car must be at another floor, and its lamps must be dark.
    """
    pressed_ms = now_ms()
    group.press(1, Button.CAB, floor)
    return group.wait_for_event(lambda car, event: car == 1 and event.kind is EventKind.LAMP, "a lamp lit") - pressed_ms


def flood(port: int, per_second: int, addresses: int, kind: Callable[[int], list[bytes]]) -> None:
    """Until standard input ends, broadcast the datagrams that *kind* makes. Then print the rate reached."""
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait).start()
    with ExitStack() as opened:
        senders = [opened.enter_context(open_sender(number)) for number in range(addresses)]
        began_ms, sent = now_ms(), 0
        kinds = kind(0)
        while not ended.wait(STEP_S):
            for _ in range(min(int((now_ms() - began_ms) * per_second / 1000) - sent, per_second // 20)):
                senders[sent % addresses].sendto(kinds[sent % len(kinds)], (EVERYBODY, port))
                sent += 1
                if sent % 64 == 0:
                    kinds = kind(sent)
        print(f"the flood reached {sent * 1000 / (now_ms() - began_ms):.0f} datagrams per second", flush=True)


def open_sender(number: int) -> socket.socket:
    """Return a socket that can broadcast. Each *number* has a loopback address of its own."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    opened.bind((f"127.0.{1 + number // 250}.{1 + number % 250}", 0))
    return opened


def large(number: int) -> list[bytes]:
    """Make 64 datagrams with a valid seal. Each contains every call that one author can make, then an invalid byte."""
    head, _, rest = LARGE.partition(NEWEST.to_bytes(8, "big"))
    return [seal(head + (NEWEST + number + each).to_bytes(8, "big") + rest, NO_KEY) for each in range(64)]


def malformed(number: int) -> list[bytes]:
    heartbeat = Heartbeat(Author(1, 1), number + 1, FLOORS, Car(), Buttons(), number, Calls())
    other = encode(heartbeat, "another")
    broken = seal(encode(heartbeat, GROUP) + os.urandom(300), NO_KEY)
    return [os.urandom(300), seal(other, b"%d" % number), broken, seal(other, NO_KEY)]


if __name__ == "__main__":
    sys.exit(main())
