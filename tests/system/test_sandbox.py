"""Hosts in real network namespaces, and the switch between them.

Tests that enter a namespace run in child processes, because a process cannot leave the namespaces that
`enter_namespace` creates.
"""

import ctypes
import fcntl
import os
import random
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, wraps
from pathlib import Path

import pytest

from elevator import _namespace
from elevator.exam.frames import PAYLOAD_MAX
from elevator.exam.sandbox import (
    CLONE_NEWUSER,
    INTERNET,
    INTERNET_PORT,
    Gateway,
    Host,
    enter_namespace,
    obstacle,
    open_gateway,
    open_hosts,
)
from elevator.exam.setup import joined_hosts, open_building
from elevator.exam.switch import EthernetSwitch

PATIENCE_S = 30.0
"""The timeout of every wait."""
REST_S = 1.5
"""How long to watch the switch at rest. The kernel waits less than this before it sends its first frames: RFC 4861,
MAX_RTR_SOLICITATION_DELAY."""
PORT = 20_789
NOBODY = 65_534
SKIPPED = "skipped: "
PR_SET_DUMPABLE = 4
"""See prctl(2)."""
SIOCGIFFLAGS, IFF_RUNNING = 0x8913, 0x40

pytestmark = pytest.mark.quick
obstacle_here = cache(obstacle)


def in_child(function: Callable[[], None], user: int | None = None) -> None:
    """Run *function* in a child process, as *user* if given. If *function* skips, skip the test.

    If *function* raises an error, or the child process is killed, fail the test.
    """
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(ours)
            if user is not None:
                become(user)
            function()
        except pytest.skip.Exception as skip:
            os.write(theirs, f"{SKIPPED}{skip}".encode())
        except BaseException:  # noqa: BLE001  # The parent reports every error.
            os.write(theirs, traceback.format_exc().encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        report = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if report.startswith(SKIPPED):
        pytest.skip(report.removeprefix(SKIPPED))
    assert not report, report
    assert code == 0, f"the child process was killed by signal {-code}"


def become(user: int) -> None:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    # The kernel protects the files in /proc of a process that changed its user, until it executes a program.
    assert ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0


def sandboxed(test: Callable[[], None]) -> Callable[[], None]:
    """Decorate *test*: run it in a child process, or skip it if this machine does not allow namespaces."""

    @wraps(test)
    def run() -> None:
        if reason := obstacle_here():
            pytest.skip(reason)
        in_child(test)

    return run


class Network:
    """Hosts on a switch, and the loop that runs the switch."""

    def __init__(self, hosts: list[Host], gateway: Gateway) -> None:
        self.hosts = hosts
        self.selector = selectors.DefaultSelector()
        self.switch = EthernetSwitch(hosts, gateway, random.Random(1), now_ms)
        self.switch.register(self.selector.register)  # type: ignore[arg-type]  # The returned key is ignored.

    def run_once(self, timeout_s: float) -> None:
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
            self.run_once(0.01)

    def open_socket(self, host: int) -> "HostSocket":
        with self.hosts[host].entered():
            return HostSocket(self, host)

    def open_sockets(self) -> list["HostSocket"]:
        return [self.open_socket(host) for host in range(len(self.hosts))]


class HostSocket:
    """A UDP socket on a host, like that of a controller."""

    def __init__(self, network: Network, host: int) -> None:
        self.network = network
        self.host = host
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.socket.bind(("", PORT))
        self.socket.setblocking(False)
        self.received: list[tuple[bytes, str]] = []

    def send(self, payload: bytes, address: str = "255.255.255.255") -> None:
        self.socket.sendto(payload, (address, PORT))

    def send_and_forward(self, payload: bytes) -> None:
        """Broadcast a datagram and wait until the switch has handled it."""
        sent = self.network.switch.packets[self.host]
        self.send(payload)
        self.network.wait(lambda: self.network.switch.packets[self.host] > sent)

    def read(self) -> list[bytes]:
        while True:
            try:
                payload, (address, _) = self.socket.recvfrom(100_000)
            except BlockingIOError:
                return [payload for payload, _ in self.received]
            self.received.append((payload, address))

    def expect(self, *payloads: bytes) -> None:
        self.network.wait(lambda: self.read() == [*payloads])


@contextmanager
def opened(count: int) -> Iterator[Network]:
    enter_namespace()
    yield Network(open_hosts(count), open_gateway())


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def has_carrier(host: Host) -> bool:
    with host.entered(), socket.socket() as any_socket:
        request = struct.pack("16s24x", b"eth0")
        flags: int = struct.unpack_from("H", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request), 16)[0]
    return bool(flags & IFF_RUNNING)


@sandboxed
def test_datagrams_reach_other_hosts_and_are_counted() -> None:
    with opened(3) as network:
        sockets = network.open_sockets()
        sockets[0].send(b"to all")
        for each in sockets:
            each.expect(b"to all")
        sockets[1].send(b"to one", network.hosts[2].address)
        sockets[2].expect(b"to all", b"to one")
        sockets[2].send(b"directed", "10.20.0.255")
        sockets[0].expect(b"to all", b"directed")
        sockets[1].expect(b"to all", b"directed")
        sockets[0].send(bytes(20_000))
        sockets[2].expect(b"to all", b"to one", b"directed", bytes(20_000))
        assert sockets[2].received[0] == (b"to all", network.hosts[0].address)
        assert network.switch.udp_ports == {PORT: 4}
        assert network.switch.packets == [1 + 14, 1, 1]
        assert network.switch.sent_bytes[1:] == [28 + 6, 28 + 8]
        assert network.switch.bad_frames == 0


@sandboxed
def test_programs_on_hosts_talk_by_udp_and_tcp() -> None:
    """The TCP stream is long enough to include frames that the kernel has left unsplit."""
    sender = """
import socket
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
server = socket.create_server(("", 20790))
udp.sendto(b"server", ("255.255.255.255", 20789))
client, _ = server.accept()
client.sendall(bytes(range(256)) * 20000)
client.close()
"""
    receiver = """
import socket
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("", 20789))
print("ready", flush=True)
text, (address, _) = udp.recvfrom(100)
with socket.create_connection((address, 20790)) as server, server.makefile("rb") as stream:
    assert stream.read() == bytes(range(256)) * 20000
print(text.decode(), address)
"""
    with opened(2) as network:
        receiving = start(network.hosts[1], receiver)
        assert receiving.stdout is not None
        assert receiving.stdout.readline() == "ready\n"
        sending = start(network.hosts[0], sender)
        network.wait(lambda: receiving.poll() is not None and sending.poll() is not None)
        assert (sending.returncode, receiving.returncode) == (0, 0)
        assert receiving.stdout.read() == f"server {network.hosts[0].address}\n"
        assert network.hosts[0].missed() == 0


def start(host: Host, source: str) -> subprocess.Popen[str]:
    with host.entered():
        return subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)


@sandboxed
def test_impairments_apply_to_datagrams_between_hosts() -> None:
    with opened(3) as network:
        sockets, switch = network.open_sockets(), network.switch
        switch.loss = 1.0
        sockets[0].send_and_forward(b"lost")
        switch.loss, switch.groups = 0.0, [{0, 1}, {2}]
        sockets[0].send_and_forward(b"cut")
        switch.groups, switch.duplicate = None, 1.0
        sockets[0].send_and_forward(b"twice")
        switch.duplicate, switch.delay_ms = 0.0, (100, 100)
        sockets[0].send_and_forward(b"late")
        assert b"late" not in sockets[1].read()
        sockets[1].expect(b"cut", b"twice", b"twice", b"late")
        sockets[2].expect(b"twice", b"twice", b"late")
        switch.heal()
        switch.damage = 1.0
        sockets[0].send(b"damage")
        network.wait(lambda: len(sockets[2].read()) == 4)
        assert sockets[2].received[-1][0] != b"damage"


@sandboxed
def test_unplugged_host_has_no_carrier_and_receives_nothing_until_it_is_plugged_in() -> None:
    with opened(2) as network:
        sockets = network.open_sockets()
        network.switch.plug(0, False)
        network.wait(lambda: not has_carrier(network.hosts[0]))
        assert has_carrier(network.hosts[1])
        sockets[1].send_and_forward(b"unplugged")
        network.switch.plug(0, True)
        network.wait(lambda: has_carrier(network.hosts[0]))
        # The kernel may drop the first frames after it has seen the carrier.
        repeated = iter(range(1000))

        def is_reached() -> bool:
            sockets[1].send(b"%d" % next(repeated))
            return bool(sockets[0].read())

        network.wait(is_reached)
        sockets[0].send(b"back")
        network.wait(lambda: b"back" in sockets[1].read())
        assert b"unplugged" not in sockets[0].read()


@sandboxed
def test_replayed_and_injected_datagrams_reach_a_host() -> None:
    with opened(2) as network:
        sockets = network.open_sockets()
        sockets[0].send(b"original")
        sockets[1].expect(b"original")
        network.switch.replay(network.switch.capture)
        sockets[1].expect(b"original", b"original")
        network.switch.inject(1, b"garbage", PORT)
        network.switch.inject(1, bytes(PAYLOAD_MAX), PORT, source_port=9)
        sockets[1].expect(b"original", b"original", b"garbage", bytes(PAYLOAD_MAX))
        assert {address for _, address in sockets[1].received} == {network.hosts[0].address}
        sockets[0].expect(b"original")


@sandboxed
def test_controller_can_connect_to_the_gateway_to_learn_its_own_address() -> None:
    with opened(1) as network:
        with network.hosts[0].entered():
            client = socket.socket()
        client.setblocking(False)
        client.connect_ex((INTERNET, INTERNET_PORT))
        network.wait(lambda: is_readable(client))
        assert client.recv(1) == b""
        assert client.getsockname()[0] == network.hosts[0].address
        assert network.switch.bad_frames == 0


def is_readable(client: socket.socket) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(client, selectors.EVENT_READ)
        return bool(selector.select(0))


@sandboxed
def test_switch_counts_no_frames_at_rest() -> None:
    """The kernel sends some frames by itself, which the switch does not count."""
    with opened(2) as network:
        end = time.monotonic() + REST_S
        network.wait(lambda: time.monotonic() > end)
        assert (network.switch.packets, network.switch.udp_ports) == ([0, 0], {})


@sandboxed
def test_sockets_opened_before_entering_a_namespace_keep_working() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.socket()
    before = Path("/proc/self/ns/net").readlink()
    enter_namespace()
    assert Path("/proc/self/ns/net").readlink() != before
    client.connect(server.getsockname())
    accepted, _ = server.accept()
    accepted.sendall(b"hello")
    assert client.recv(5) == b"hello"


@sandboxed
def test_each_host_has_its_own_loopback_interface() -> None:
    with opened(2) as network:
        for host in network.hosts:
            with host.entered():
                server = socket.create_server(("127.0.0.1", PORT))
                client = socket.create_connection(("127.0.0.1", PORT), timeout=PATIENCE_S)
            server.accept()[0].close()
            assert client.recv(1) == b""


def test_child_that_is_killed_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="killed"):
        in_child(lambda: os.kill(os.getpid(), signal.SIGKILL))


def descriptors_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@sandboxed
def test_closed_hosts_leave_no_interface_and_no_descriptor() -> None:
    enter_namespace()
    for _ in range(3):
        hosts, gateway = open_hosts(3), open_gateway()
        descriptors = descriptors_open()
        for host in (*hosts, gateway):
            host.close()
        assert [name for _, name in socket.if_nameindex()] == ["lo"]
        assert descriptors_open() == descriptors - 4 * 2 - 1


@sandboxed
def test_failure_to_open_one_host_closes_the_others() -> None:
    enter_namespace()
    descriptors = descriptors_open()
    third = Host(3)
    with pytest.raises(OSError, match="exists"):
        open_hosts(3)
    third.close()
    assert [name for _, name in socket.if_nameindex()] == ["lo"]
    assert descriptors_open() == descriptors


@sandboxed
def test_frames_that_the_switch_missed_are_counted() -> None:
    with opened(2) as network:
        flooding = network.open_socket(0)
        network.hosts[0].frames.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
        assert network.hosts[0].missed() == 0
        for _ in range(100):
            flooding.send(b"flood")
        assert network.hosts[0].missed() > 0
        assert network.hosts[0].missed() == 0


def test_obstacle_does_not_change_the_namespaces_of_its_caller() -> None:
    before = [Path(f"/proc/self/ns/{kind}").readlink() for kind in ("net", "user")]
    obstacle()
    assert [Path(f"/proc/self/ns/{kind}").readlink() for kind in ("net", "user")] == before


def test_limit_that_forbids_namespaces_is_reported() -> None:
    """The test sets the limit only for a new user namespace."""

    def run() -> None:
        try:
            _namespace.unshare(CLONE_NEWUSER)
            Path("/proc/sys/user/max_net_namespaces").write_text("0")
        except OSError as error:
            pytest.skip(f"cannot change the limits of a user namespace ({error})")
        assert "sudo sysctl user.max_net_namespaces=" in obstacle()

    in_child(run)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_user_without_root_can_open_hosts() -> None:
    def run() -> None:
        if reason := obstacle():
            pytest.skip(reason)
        with opened(2) as network:
            assert (os.getuid(), os.getgid()) == (NOBODY, NOBODY)
            sockets = network.open_sockets()
            sockets[0].send(b"hello")
            sockets[1].expect(b"hello")
            network.switch.plug(1, False)
            network.wait(lambda: not has_carrier(network.hosts[1]))
            with network.hosts[0].entered():
                shown = subprocess.check_output(["cat", "/proc/self/status"], text=True, cwd="/")
            assert "CapEff:\t0000000000000000" in shown, "programs must have no privileges"
            assert f"Uid:\t{NOBODY}" in shown

    in_child(run, NOBODY)


@sandboxed
def test_elevator_server_that_restarts_is_on_its_host_again() -> None:
    enter_namespace()
    with ExitStack() as stack:
        hosts, _ = stack.enter_context(joined_hosts(2, random.Random(1)))
        building = open_building(PORT, 2, 4, hosts, random.Random(1))
        stack.callback(building.close)
        for car, host in enumerate(hosts):
            building.switch_server(car, False, building.settle())
            with host.entered(), pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", PORT + car))
            building.switch_server(car, True, building.settle())
            with host.entered(), socket.create_connection(("127.0.0.1", PORT + car)):
                pass


@sandboxed
def test_killed_process_leaves_no_interfaces() -> None:
    """One end of each host's cable is in this process's namespace. That end must vanish with the host's namespace."""
    enter_namespace()
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        hosts = open_hosts(2)
        os.write(theirs, b"%d" % len(hosts))
        signal.pause()
    assert os.read(ours, 1) == b"2"
    assert len(socket.if_nameindex()) == 3
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    end = time.monotonic() + PATIENCE_S
    while len(socket.if_nameindex()) > 1:
        assert time.monotonic() < end, "the interfaces are still there"
        time.sleep(0.01)
