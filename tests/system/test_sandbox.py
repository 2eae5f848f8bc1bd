"""Hosts in real network namespaces, and the switch between them. Each test runs in a child process, a sandbox."""

import ctypes
import fcntl
import os
import random
import selectors
import socket
import struct
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps

import pytest

from elevator.exam.sandbox import Gateway, Host, enter, obstacle, open_gateway, open_hosts
from elevator.exam.switch import EthernetSwitch

PATIENCE_S = 30.0
"""The timeout of every wait."""
SETTLE_S = 0.3
"""How long to wait for frames that must not arrive."""
PORT = 20_789
NOBODY = 65_534
PR_SET_DUMPABLE = 4
"""See prctl(2)."""
SIOCGIFFLAGS, IFF_RUNNING = 0x8913, 0x40

obstacle_here = cache(obstacle)


def in_child(function: Callable[[], None], user: int | None = None) -> None:
    """Run *function* in a child process, as *user*; fail with its traceback."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(ours)
            if user is not None:
                become(user)
            function()
        except BaseException:  # noqa: BLE001  # Whatever it is, the parent reports it.
            os.write(theirs, traceback.format_exc().encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        report = pipe.read()
    os.waitpid(pid, 0)
    assert not report, report


def become(user: int) -> None:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    # The kernel protects the files in /proc of a process that changed its user, until it executes a program.
    assert ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0


def sandboxed(test: Callable[[], None]) -> Callable[[], None]:
    """Run *test* in a child process, or skip it."""

    @wraps(test)
    def run() -> None:
        if reason := obstacle_here():
            pytest.skip(reason)
        in_child(test)

    return run


class Bench:
    """Hosts on a switch, and the loop that runs the switch."""

    def __init__(self, hosts: list[Host], gateway: Gateway) -> None:
        self.hosts = hosts
        self.selector = selectors.DefaultSelector()
        self.switch = EthernetSwitch(hosts, gateway, random.Random(1), now_ms)
        self.switch.register(self.selector.register)  # type: ignore[arg-type]  # The key it returns is ignored.

    def turn(self, timeout_s: float) -> None:
        due_ms = self.switch.due_ms()
        if due_ms is not None:
            timeout_s = min(timeout_s, max(0, due_ms - now_ms()) / 1000)
        for key, ready in self.selector.select(timeout_s):
            key.data(ready)
        self.switch.advance(now_ms())

    def wait(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, "timed out"
            self.turn(0.01)

    def settle(self) -> None:
        """Forward frames for SETTLE_S."""
        end = time.monotonic() + SETTLE_S
        while time.monotonic() < end:
            self.turn(0.01)

    def port(self, host: int) -> "Port":
        with self.hosts[host].entered():
            return Port(self)

    def ports(self) -> list["Port"]:
        return [self.port(host) for host in range(len(self.hosts))]


class Port:
    """A UDP socket on a host, as a controller has it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.socket.bind(("", PORT))
        self.socket.setblocking(False)
        self.received: list[tuple[bytes, str]] = []

    def send(self, payload: bytes, address: str = "255.255.255.255") -> None:
        self.socket.sendto(payload, (address, PORT))

    def read(self) -> list[bytes]:
        while True:
            try:
                payload, (address, _) = self.socket.recvfrom(100_000)
            except BlockingIOError:
                return [payload for payload, _ in self.received]
            self.received.append((payload, address))

    def expect(self, *payloads: bytes) -> None:
        self.bench.wait(lambda: self.read() == [*payloads])


@contextmanager
def opened(count: int) -> Iterator[Bench]:
    enter()
    yield Bench(open_hosts(count), open_gateway())


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def has_carrier(host: Host) -> bool:
    with host.entered(), socket.socket() as any_socket:
        request = struct.pack("16s24x", b"eth0")
        flags: int = struct.unpack_from("H", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request), 16)[0]
    return bool(flags & IFF_RUNNING)


@sandboxed
def test_datagrams_reach_other_hosts() -> None:
    with opened(3) as bench:
        ports = bench.ports()
        ports[0].send(b"to all")
        for port in ports:
            port.expect(b"to all")
        ports[1].send(b"to one", bench.hosts[2].address)
        ports[2].expect(b"to all", b"to one")
        ports[2].send(b"directed", "10.20.0.255")
        ports[0].expect(b"to all", b"directed")
        ports[1].expect(b"to all", b"directed")
        ports[0].send(bytes(20_000))
        ports[2].expect(b"to all", b"to one", b"directed", bytes(20_000))
        assert ports[2].received[0] == (b"to all", bench.hosts[0].address)
        assert bench.switch.ports == {PORT: 4}
        assert bench.switch.datagrams == [1 + 14, 1, 1]
        assert bench.switch.sent_bytes[1:] == [28 + 6, 28 + 8]
        assert bench.switch.bad_frames == 0
