"""Complete nodes on separate hosts: network namespaces on a simulated Ethernet switch."""

import json
import select
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from lab import PATIENCE_S, PROGRAM, Lab, lab
from namespaces import Host, Network, obstacle

from elevator.net.broadcast import Interfaces, open_port
from elevator.net.seal import NO_KEY, seal

NET_PORT = 20145
DIRECTED, MULTICAST = "10.9.1.255", "239.9.1.1"
ADDRESSES = [None, DIRECTED, MULTICAST]
OTHER_FORMAT = "from another version of the program: update all nodes"


@pytest.fixture
def network() -> Iterator[Network]:
    if reason := obstacle():
        pytest.skip(reason)
    with Network() as network:
        yield network


class HostLab:
    """A lab on a host, with a simulated elevator for each node in *ids*."""

    def __init__(self, host: Host, opened: Lab, ids: Sequence[int]) -> None:
        self.host = host
        self.lab = opened
        self._ids = ids

    def start(self, car: int, *more: str) -> None:
        with self.host.entered():
            self.lab.start(car, "--id", str(self._ids[car]), *more)

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until the log of each node contains *text* at least *times* times."""
        for car in self.lab.nodes:
            self.lab.wait_for(car, text, times)

    def wait_for_peers(self, *ids: int, times: int = 1) -> None:
        """Wait until each node has logged *times* times that each other node in *ids* is alive."""
        for car in self.lab.nodes:
            for id in ids:
                if id != self._ids[car]:
                    self.lab.wait_for(car, f"node {id} is alive", times)


class Labs:
    """Opens labs on hosts, and closes all of them."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._stack = stack

    def open(self, host: Host, *ids: int, broadcast: str | None = None, start: bool = True) -> HostLab:
        """Open a lab on *host* with the nodes *ids*. *broadcast* is their option --broadcast."""
        directory = self._directory / "-".join(map(str, ids))
        directory.mkdir()
        with host.entered():
            opened = self._stack.enter_context(
                lab(directory, cars=len(ids), start=False, net_port=NET_PORT, broadcast=broadcast)
            )
        host_lab = HostLab(host, opened, ids)
        for car in range(len(ids) if start else 0):
            host_lab.start(car)
        return host_lab


@pytest.fixture
def labs(tmp_path: Path, network: Network) -> Iterator[Labs]:
    with ExitStack() as stack:
        yield Labs(tmp_path, stack)


def wait_for_lamp(opened: Lab, car: int, call: tuple[str, int]) -> None:
    opened.wait(lambda: call in opened.lamps(car), f"the lamp of {call} is lit on panel {car}")


def broadcast_option(address: str | None) -> list[str]:
    return ["--broadcast", address] if address else []


def doctor(host: Host, *arguments: str) -> list[str]:
    return host.run(*PROGRAM, "doctor", "--no-record", *arguments).splitlines()


@contextmanager
def watching(host: Host, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [*PROGRAM, "watch", "--json", *arguments]
    with host.entered():
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE_S)


def next_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line: dict[str, Any] = json.loads(process.stdout.readline())
    return line


def alive(process: subprocess.Popen[str]) -> list[int]:
    """Read the next line of `watch --json`. Return the ids of the nodes that are alive."""
    return [node["id"] for node in next_line(process)["nodes"] if node["alive"]]


def test_groups_on_one_port_ignore_each_other(labs: Labs, network: Network) -> None:
    """Each host runs a node of group red and one of group blue, with the same id."""
    hosts = []
    for id in (0, 1):
        opened = labs.open(network.host(f"10.9.1.{id + 1}/24"), 10 + id, 20 + id, start=False)
        for car, group in enumerate(("red", "blue")):
            opened.start(car, "--group", group, "--id", str(id))
        hosts.append(opened.lab)
    for id in (0, 1):
        for car in (0, 1):
            hosts[id].wait_for(car, f"node {1 - id} is alive")
            hosts[id].wait_for(car, "in service")
    for car, call in enumerate((("up", 1), ("down", 3))):
        hosts[0].press(car, *call)
        wait_for_lamp(hosts[1], car, call)
        assert all(call not in each.lamps(1 - car) for each in hosts), "the other group must not light its lamp"
        for each in hosts:
            each.wait_until_dark()
    for each in hosts:
        assert each.misbehaviour() == 0
        assert not any("same id" in each.log(car) for car in (0, 1))


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("is_connected", [True, False])
def test_nodes_on_one_machine_hear_each_other(
    labs: Labs, network: Network, is_connected: bool, address: str | None
) -> None:
    host = network.host("10.9.1.1/24" if is_connected else None)
    opened = labs.open(host, 0, 1, 2, broadcast=address)
    opened.wait_for_peers(0, 1, 2)
    opened.wait_for("in service")
    opened.lab.press(0, "down", 3)
    opened.lab.wait(lambda: all(("down", 3) in opened.lab.lamps(car) for car in range(3)), "all lamps are lit")
    opened.lab.wait_until_dark()
    failure = "no network interface" if address != DIRECTED else "(Network is unreachable)"
    if is_connected:
        assert not any(failure in opened.lab.log(car) for car in range(3))
    else:
        opened.wait_for(failure)
    assert opened.lab.misbehaviour() == 0


@pytest.mark.parametrize("address", ADDRESSES)
def test_nodes_and_tools_on_different_hosts_hear_each_other(labs: Labs, network: Network, address: str | None) -> None:
    hosts = [
        labs.open(network.host("10.9.1.1/24"), 0, 1, broadcast=address),
        labs.open(network.host("10.9.1.2/24"), 2, broadcast=address),
    ]
    observer = network.host("10.9.1.3/24")
    for each in hosts:
        each.wait_for_peers(0, 1, 2)
        each.wait_for("in service")
    hosts[1].lab.press(0, "down", 3)
    wait_for_lamp(hosts[0].lab, 1, ("down", 3))
    with watching(observer, *broadcast_option(address)) as process:
        hosts[0].lab.wait(lambda: alive(process) == [0, 1, 2], "watch shows all nodes")
    lines = doctor(observer, "--id", "3", *broadcast_option(address))
    assert "✓ other nodes of group lab: 0 at 10.9.1.1, 1 at 10.9.1.1, 2 at 10.9.1.2" in lines, lines
    name = DIRECTED if address == DIRECTED else "eth0"
    assert f"✓ broadcasts to UDP port {NET_PORT} are sent and received ({name})" in lines, lines


@pytest.mark.parametrize("address", ADDRESSES)
def test_node_is_heard_when_its_interface_appears_late_or_reappears(
    labs: Labs, network: Network, address: str | None
) -> None:
    near = labs.open(network.host(), 0, broadcast=address)
    far = labs.open(network.host("10.9.1.2/24"), 1, broadcast=address)
    failure = "no network interface" if address != DIRECTED else f"broadcasts on {address} fail (Network is unreachable"
    near.wait_for(failure)

    def connect() -> None:
        network.connect(near.host, "10.9.1.1/24")

    def remove() -> None:
        network.remove(near.host)

    def switch(state: str) -> None:
        near.host.run("ip", "link", "set", "eth0", state)

    steps = [(connect, remove), (connect, lambda: switch("down")), (lambda: switch("up"), remove)]
    for times, (appear, disappear) in enumerate(steps, 1):
        appear()
        near.wait_for_peers(1, times=times)
        far.wait_for_peers(0, times=times)
        disappear()
        near.wait_for("node 1 timed out", times)
        far.wait_for("node 0 timed out", times)
    near.lab.press(0, "cab", 2)
    near.lab.wait_until_dark()
    connect()
    near.wait_for("is available again" if address != DIRECTED else f"broadcasts on {address} work again")


@pytest.mark.parametrize("address", [None, MULTICAST])
def test_second_interface_that_appears_late_or_reappears_is_used(
    labs: Labs, network: Network, address: str | None
) -> None:
    near = labs.open(network.host("10.9.1.1/24"), 0, broadcast=address)
    near.wait_for("in service")
    with Network() as other, watching(near.host, *broadcast_option(address)) as process:
        far = labs.open(other.host("10.9.2.2/24"), 1, broadcast=address)
        for times in (1, 2):
            other.connect(near.host, "10.9.2.1/24", "eth1")
            near.wait_for_peers(1, times=times)
            far.wait_for_peers(0, times=times)
            near.lab.wait(lambda: alive(process) == [0, 1], "watch shows both")
            other.remove(near.host, "eth1")
            near.wait_for("node 1 timed out", times)
            near.lab.wait(lambda: alive(process) == [0], "watch shows that node 1 timed out")
    assert "no network interface" not in near.lab.log(0)


@pytest.mark.quick
def test_multicast_group_is_left_on_interfaces_that_disappear(network: Network) -> None:
    """The kernel limits a socket to 20 memberships: see igmp_max_memberships in ip(7)."""
    host = network.host()
    with host.entered():
        opened = open_port(NET_PORT)
    interfaces = Interfaces(opened, MULTICAST)
    with opened:
        for _ in range(25):
            network.connect(host, "10.9.1.1/24")
            with host.entered():
                interfaces.refresh()
            assert [route.name for route in interfaces.routes] == ["eth0"]
            assert interfaces.not_joined == {}
            network.remove(host)
            with host.entered():
                interfaces.refresh()
            assert interfaces.routes == []


@pytest.mark.quick
def test_multicast_group_is_joined_again_on_an_interface_that_returns_with_its_old_index(network: Network) -> None:
    near, far = network.host(), network.host("10.9.1.2/24")
    with near.entered():
        opened = open_port(NET_PORT)
    with far.entered():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    interfaces = Interfaces(opened, MULTICAST)
    with opened, sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.9.1.2"))
        for _ in range(3):
            network.connect(near, "10.9.1.1/24", index=77)
            with near.entered():
                interfaces.refresh()
            assert interfaces.routes[0].interface == 77
            end_s = time.monotonic() + PATIENCE_S
            while not select.select([opened], [], [], 0.1)[0]:
                assert time.monotonic() < end_s, "the host receives no multicast"
                sender.sendto(b"datagram", (MULTICAST, NET_PORT))
            network.remove(near)
            while select.select([opened], [], [], 0)[0]:
                opened.recv(100)


def test_node_and_doctor_report_an_interface_that_cannot_join(labs: Labs, network: Network) -> None:
    host = network.host("10.9.1.1/24")
    with host.entered():
        Path("/proc/sys/net/ipv4/igmp_max_memberships").write_text("0")
    opened = labs.open(host, 0, broadcast=MULTICAST)
    opened.wait_for("broadcasts on eth0 fail (cannot join the multicast group: No buffer space available)")
    (line,) = (line for line in doctor(host, "--broadcast", MULTICAST) if "multicast" in line)
    assert line.startswith(f"✗ cannot join the multicast group {MULTICAST} (eth0: No buffer space available)")


def test_watch_joins_the_multicast_group_on_an_interface_that_appears_late(labs: Labs, network: Network) -> None:
    labs.open(network.host("10.9.1.1/24"), 0, broadcast=MULTICAST).wait_for("in service")
    observer = network.host()
    with watching(observer, "--broadcast", MULTICAST) as process:
        assert next_line(process)["nodes"] == []
        network.connect(observer, "10.9.1.3/24")
        lines = (next_line(process) for _ in range(int(PATIENCE_S)))
        assert any(node["id"] == 0 for line in lines for node in line["nodes"])


def test_node_watch_and_doctor_report_datagrams_of_another_format_on_one_line(labs: Labs, network: Network) -> None:
    opened = labs.open(network.host("10.9.1.1/24"), 0)
    opened.wait_for("in service")
    with network.host("10.9.1.2/24").entered():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    done = threading.Event()

    def send() -> None:
        sender.sendto(seal(b"elevator3 \x03lab and more", NO_KEY), (DIRECTED, NET_PORT))

    def keep_sending() -> None:
        while not done.wait(0.1):
            send()

    with sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        send()
        opened.wait_for(OTHER_FORMAT)
        assert opened.lab.log(0).count("dropped a datagram") == 1
        thread = threading.Thread(target=keep_sending)
        thread.start()
        try:
            with watching(opened.host) as process:
                opened.lab.wait(lambda: next_line(process)["refused"].get(OTHER_FORMAT, 0) > 1, "watch counts them")
            found = [line for line in doctor(opened.host) if OTHER_FORMAT in line]
        finally:
            done.set()
            thread.join()
    assert len(found) == 1
    assert "other nodes of group lab: 0 at 10.9.1.1" in found[0]
