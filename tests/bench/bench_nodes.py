"""Benchmark: whole groups of real nodes with passengers. Run it with `just bench nodes`.

For a group of 3 and one of 16 nodes, all on this machine, it prints:

- the processor time of a worker and of a whole node, as means over the nodes, and their ratios to the group of 3;
- the longest time between two sweeps of node 0's panel, measured by a relay in front of its elevator server;
- how often the nodes logged that they dropped datagrams, or that a peer timed out, although all peers are alive;
- how many passengers were served, including those of the warm-up.

Times depend on the machine, so compare only figures of one run. The simulated elevators need processor time too.
"""

import argparse
import os
import select
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from lab import Lab, lab

from elevator.building.occupied_building import OccupiedBuilding
from elevator.building.passengers import PassengerFlow, tally
from elevator.hardware.elevator_server import SENSOR
from elevator.hardware.server_side import MESSAGE_BYTES

SIZES = {3: 4, 16: 32}
"""The number of floors for each number of cars."""
PER_MINUTE = 4
"""The arrival rate: passengers per minute for each car of the group."""
WARM_UP_S = 5.0


class Figures(NamedTuple):
    worker: float
    """Mean processor time of a worker, as a fraction of a core."""
    node: float
    """Mean processor time of all processes of a node, as a fraction of a core."""
    gap_ms: float
    """The longest time between two sweeps of node 0's panel."""
    dropped: int
    """The log lines about dropped datagrams. One line may report several."""
    timed_out: int
    served: int
    """The passengers served since the start of the warm-up."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Measure the processor time of real nodes with simulated passengers, and the longest time between "
        "two sweeps."
    )
    parser.add_argument(
        "--seconds", type=float, default=20, help="seconds to measure each group, after a warm-up; default: 20"
    )
    seconds = parser.parse_args().seconds
    first: Figures | None = None
    for cars, floors in SIZES.items():
        found = measure(cars, floors, seconds)
        first = first or found
        print(
            f"{cars} nodes, {floors} floors: a worker takes {found.worker:.1%} of a core"
            f" (ratio {found.worker / first.worker:.2f}), a whole node {found.node:.1%}"
            f" (ratio {found.node / first.node:.2f}); longest time between two sweeps {found.gap_ms:.0f} ms;"
            f" {found.dropped} log lines about dropped datagrams, {found.timed_out} about peers that timed out;"
            f" {found.served} passengers served, including the warm-up",
            flush=True,
        )
    return 0


def measure(cars: int, floors: int, seconds: float) -> Figures:
    with (
        tempfile.TemporaryDirectory() as directory,
        lab(Path(directory), cars, floors, start=False) as group,
        relay(group.building.ports[0]) as (port, gap),
    ):
        group.start(0, "--port", str(port))
        for id in range(1, cars):
            group.start(id)
        group.wait_until_ready()
        begin_ms = group.building.clock_us() // 1000
        flow = PassengerFlow(1, cars, floors, PER_MINUTE * cars, start_ms=begin_ms)
        occupied = OccupiedBuilding(group.building, flow)
        run(group, occupied, WARM_UP_S)
        logged = [len(group.log(id)) for id in range(cars)]
        workers_s, nodes_s, began_s = cpu_s(group, "worker"), cpu_s(group), time.monotonic()
        gap.send(b"reset")
        run(group, occupied, seconds)
        gap.send(b"report")
        took_s = time.monotonic() - began_s
        logs = [group.log(id)[logged[id] :] for id in range(cars)]
        return Figures(
            (cpu_s(group, "worker") - workers_s) / took_s / cars,
            (cpu_s(group) - nodes_s) / took_s / cars,
            float(gap.recv(100)),
            sum(log.count("dropped a datagram") for log in logs),
            sum(log.count("timed out") for log in logs),
            tally(occupied.crowd, 0).served,
        )


def run(group: Lab, occupied: OccupiedBuilding, seconds: float) -> None:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        group.building.run_once(0.01)
        occupied.step_passengers()


def cpu_s(group: Lab, name: str | None = None) -> float:
    """Return the processor time that all nodes' processes, or those called *name*, have used so far."""
    return sum(group.cpu_s(id, name) for id in range(group.cars))


@contextmanager
def relay(server_port: int) -> Iterator[tuple[int, socket.socket]]:
    """Relay one connection to *server_port* in a process of its own, so that this process does not delay the relay.

    Yield the port to connect to, and a socket for requests. "reset" begins a measurement. In reply to "report", the
    relay sends the longest time between two sweeps since the previous request, in ms, and begins another measurement.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, socket.create_server(("127.0.0.1", 0)) as listener:
        pid = os.fork()
        if pid == 0:
            try:
                ours.close()
                forward(listener, server_port, theirs)
            finally:
                os._exit(0)
        theirs.close()
        try:
            yield listener.getsockname()[1], ours
        finally:
            ours.close()
            os.waitpid(pid, 0)


def forward(listener: socket.socket, server_port: int, control: socket.socket) -> None:
    """Forward bytes in both directions, and answer the requests on *control* (see `relay`).

    Return when the client disconnects or the other end of *control* is closed.
    """
    client, _ = listener.accept()
    server = socket.create_connection(("127.0.0.1", server_port))
    for each in (client, server):
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    rest, swept_s, gap_s = b"", time.monotonic(), 0.0
    while True:
        ready = select.select([client, server, control], [], [])[0]
        if control in ready:
            request = control.recv(100)
            if not request:
                return
            if request == b"report":
                control.send(f"{1000 * gap_s:.3f}".encode())
            swept_s, gap_s = time.monotonic(), 0.0
        if server in ready:
            client.sendall(server.recv(1 << 16))
        if client in ready:
            received = client.recv(1 << 16)
            if not received:
                return
            server.sendall(received)
            rest += received
            whole = len(rest) // MESSAGE_BYTES * MESSAGE_BYTES
            if SENSOR in rest[:whole:MESSAGE_BYTES]:
                now_s = time.monotonic()
                swept_s, gap_s = now_s, max(gap_s, now_s - swept_s)
            rest = rest[whole:]


if __name__ == "__main__":
    sys.exit(main())
