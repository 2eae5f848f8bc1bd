"""The broadcast socket: what it logs if it cannot send, and how long it rests after reading many datagrams.

The time is virtual.
"""

import errno
import logging
import os
import random
import socket
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from lab import free_port

from elevator.core.messages import Heartbeat
from elevator.core.model import NEVER_MS, Author, Buttons, Calls, Car
from elevator.net import broadcast
from elevator.net.broadcast import LOOPBACK, Broadcast, Route
from elevator.net.seal import NO_KEY

HEARTBEAT_MS = 50
MINUTE_MS = 60_000
ME = Author(1, 7)

Refuses = Callable[[int, str], bool]
"""Takes the time in ms and the name of an interface; returns whether the kernel refuses a datagram there."""


class Kernel:
    """A fake kernel and its socket. Like a firewall, it may refuse a datagram with EPERM; it records the others.

    It refuses none on the loopback interface.
    """

    def __init__(self) -> None:
        self.now_ms = 0
        self.interfaces = ["eth0"]
        self.refuses: Refuses = lambda now_ms, name: False
        self.sent: list[str] = []
        self.delivered: list[bytes] = []

    def routes(self, _: object, address: str | None) -> list[Route]:
        return [Route(name, name) for name in self.interfaces]

    def sendmsg(self, datagrams: list[bytes], _ancillary: object, _flags: int, address: tuple[str, int]) -> None:
        if address[0] != LOOPBACK and self.refuses(self.now_ms, address[0]):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        self.sent.append(address[0])
        self.delivered += datagrams  # A broadcast comes back to its sender.

    def recvfrom(self, _: int) -> tuple[bytes, tuple[str, int]]:
        if not self.delivered:
            raise BlockingIOError
        return self.delivered.pop(0), ("10.0.0.1", 20145)

    def close(self) -> None:
        pass


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(broadcast, "find_routes", kernel.routes)
    return kernel


@pytest.fixture
def group_socket(kernel: Kernel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Broadcast:
    caplog.set_level(logging.INFO)
    group_socket = Broadcast("lab", free_port(socket.SOCK_DGRAM), None, [NO_KEY], ME, lambda: kernel.now_ms)
    group_socket.close()
    monkeypatch.setattr(group_socket, "socket", kernel)
    return group_socket


def test_multicast_stays_on_the_local_network_and_reaches_this_machine() -> None:
    with broadcast.open_port(free_port(socket.SOCK_DGRAM)) as opened:
        assert opened.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL) == 1
        assert opened.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP) == 1


def send_heartbeats(group_socket: Broadcast, kernel: Kernel, for_ms: int) -> None:
    for now_ms in range(kernel.now_ms, kernel.now_ms + for_ms, HEARTBEAT_MS):
        kernel.now_ms = now_ms
        group_socket.send(Heartbeat(ME, now_ms, 4, Car(), Buttons(), 0, Calls()))
    kernel.now_ms += HEARTBEAT_MS


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("share", [0.3, 0.5, 1.0])
def test_failing_broadcasts_are_logged_once(
    group_socket: Broadcast, kernel: Kernel, caplog: pytest.LogCaptureFixture, seed: int, share: float
) -> None:
    rng = random.Random(seed)
    kernel.refuses = lambda now_ms, name: rng.random() < share
    send_heartbeats(group_socket, kernel, MINUTE_MS)
    (line,) = caplog.messages
    assert line.startswith("broadcasts on eth0 fail (Operation not permitted): only nodes on this machine receive all")
    assert f"allow UDP port {group_socket._port} in the firewall" in line
    assert kernel.sent.count(LOOPBACK) > 0, "nodes on this machine still receive the heartbeats"
    kernel.refuses = lambda now_ms, name: False
    send_heartbeats(group_socket, kernel, MINUTE_MS)
    assert caplog.messages[1:] == ["broadcasts on eth0 work again"]


@pytest.mark.parametrize("fails", [lambda ms: ms // HEARTBEAT_MS % 6 == 0, lambda ms: ms % 10_000 < 900])
def test_occasional_failures_are_not_logged(
    group_socket: Broadcast, kernel: Kernel, caplog: pytest.LogCaptureFixture, fails: Callable[[int], bool]
) -> None:
    kernel.refuses = lambda now_ms, name: fails(now_ms)
    send_heartbeats(group_socket, kernel, MINUTE_MS)
    assert caplog.messages == []


def test_failing_interface_among_several_is_named(
    group_socket: Broadcast, kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    kernel.interfaces = ["eth0", "eth1", "wlan0"]
    kernel.refuses = lambda now_ms, name: name == "eth1"
    send_heartbeats(group_socket, kernel, MINUTE_MS)
    (line,) = caplog.messages
    assert line.startswith(
        "broadcasts on eth1 fail (Operation not permitted): nodes there may miss this node's heartbeats"
    )
    assert LOOPBACK not in kernel.sent
    kernel.refuses = lambda now_ms, name: name != "wlan0"
    send_heartbeats(group_socket, kernel, MINUTE_MS)
    assert "broadcasts on eth0 fail" in caplog.messages[1]
    assert "nodes there may miss this node's heartbeats" in caplog.messages[1]
    kernel.refuses = lambda now_ms, name: True
    send_heartbeats(group_socket, kernel, MINUTE_MS)
    assert "broadcasts on wlan0 fail (Operation not permitted): only nodes on this machine" in caplog.messages[2]
    assert len(caplog.messages) == 3


def test_interfaces_that_fail_together_share_a_log_line(
    group_socket: Broadcast, kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    kernel.interfaces = ["eth0", "eth1"]
    kernel.refuses = lambda now_ms, name: True
    send_heartbeats(group_socket, kernel, MINUTE_MS)
    (line,) = caplog.messages
    assert line.startswith("broadcasts on eth0, eth1 fail (Operation not permitted): only nodes on this machine")


def test_missing_network_is_logged_once_while_the_cable_flaps(
    group_socket: Broadcast, kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    kernel.interfaces = []
    send_heartbeats(group_socket, kernel, 10_000)
    for _ in range(10):
        kernel.interfaces = ["eth0"]
        send_heartbeats(group_socket, kernel, 3000)
        kernel.interfaces = []
        send_heartbeats(group_socket, kernel, 3000)
    (line,) = caplog.messages
    assert line.startswith(
        "no network interface is available: only nodes on this machine receive this node's heartbeats"
    )
    kernel.interfaces = ["eth0"]
    send_heartbeats(group_socket, kernel, MINUTE_MS)
    assert caplog.messages[1:] == ["a network interface is available again"]


def test_new_interface_that_fails_is_not_logged_as_working(
    group_socket: Broadcast, kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    kernel.interfaces = []
    send_heartbeats(group_socket, kernel, 10_000)
    kernel.interfaces, kernel.refuses = ["eth0"], lambda now_ms, name: True
    send_heartbeats(group_socket, kernel, MINUTE_MS)
    assert caplog.messages[1].startswith("broadcasts on eth0 fail (Operation not permitted)")
    assert not any("work again" in line for line in caplog.messages)


def test_failing_interface_that_disappears_is_logged_as_gone_and_forgotten(
    group_socket: Broadcast, kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    kernel.interfaces = ["eth0", "usb0"]
    kernel.refuses = lambda now_ms, name: name == "usb0"
    send_heartbeats(group_socket, kernel, 10_000)
    kernel.interfaces = ["eth0"]
    send_heartbeats(group_socket, kernel, MINUTE_MS)
    assert caplog.messages[1:] == [
        "interface usb0 is gone, down or without an address: this node no longer broadcasts on it"
    ]
    assert not group_socket._sending


@pytest.fixture
def real_socket() -> Iterator[Broadcast]:
    with closing(Broadcast("lab", free_port(socket.SOCK_DGRAM), LOOPBACK, [NO_KEY], ME, lambda: 0)) as opened:
        yield opened


def send_to(group_socket: Broadcast, datagrams: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(datagrams):
            sender.sendto(b"?", ("127.0.0.1", group_socket.socket.getsockname()[1]))


def refused(group_socket: Broadcast) -> int:
    """Return how many of the datagrams of `send_to` have been read. Each of them is refused and counted."""
    return sum(group_socket.warnings.values())


@pytest.mark.parametrize(("datagrams", "rest_ms"), [(10, 0), (16, 6), (40, 25)])
def test_socket_rests_after_more_than_ten_datagrams(real_socket: Broadcast, datagrams: int, rest_ms: int) -> None:
    send_to(real_socket, datagrams)
    real_socket.receive(1000)
    assert refused(real_socket) == datagrams
    assert real_socket.wake_at_ms() == (1000 + rest_ms if rest_ms else NEVER_MS)
    assert real_socket.sockets(1000) == ([] if rest_ms else [real_socket.socket])
    assert real_socket.sockets(1000 + rest_ms) == [real_socket.socket]


def test_wake_for_another_reason_reads_datagrams_after_half_of_the_rest(real_socket: Broadcast) -> None:
    send_to(real_socket, 20)
    real_socket.receive(1000)
    send_to(real_socket, 1)
    real_socket.receive(1004, readable=False)
    assert refused(real_socket) == 20
    real_socket.receive(1005, readable=False)
    assert refused(real_socket) == 21


def test_own_heartbeat_is_read_at_once_and_ignored(group_socket: Broadcast, kernel: Kernel) -> None:
    group_socket.send(Heartbeat(ME, 1, 4, Car(), Buttons(), 0, Calls()))
    assert kernel.sent
    assert not kernel.delivered
    assert group_socket.receive(1000) == ()


def test_sending_does_not_prolong_a_rest(real_socket: Broadcast) -> None:
    send_to(real_socket, 20)
    real_socket.receive(1000)
    wake_at_ms = real_socket.wake_at_ms()
    real_socket.send(Heartbeat(ME, 1, 4, Car(), Buttons(), 0, Calls()))
    assert real_socket.wake_at_ms() == wake_at_ms
