"""Nodes, `elevator watch` and `elevator doctor` on one or several hosts, and the routes that broadcasts take.

Each host is a network namespace, which can be connected to a virtual Ethernet switch.
"""

import itertools
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import PATIENCE_S, PROGRAM, Lab, lab, watching
from namespaces import Host, Network, obstacle

from elevator.core.model import Button
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


def wait_for_peers(group: Lab, *ids: int, times: int = 1) -> None:
    """Wait until each node in *ids* has logged at least *times* times that each other node in *ids* is alive."""
    for id, other in itertools.permutations(ids, 2):
        group.wait_for(id, f"node {other} is alive", times)


def broadcast_option(address: str | None) -> list[str]:
    return ["--broadcast", address] if address else []


def doctor(group: Lab, host: Host, *arguments: str) -> list[str]:
    return group.complete(*PROGRAM, "doctor", "--no-record", *arguments, host=host).stdout.splitlines()


def test_groups_on_one_port_ignore_each_other(tmp_path: Path, network: Network) -> None:
    """Each host runs a node of group red and a node of group blue. These two nodes have the same id."""
    near, far = network.host("10.9.1.1/24"), network.host("10.9.1.2/24")
    with lab(tmp_path, hosts=[near, near, far, far], net_port=NET_PORT, broadcast=None, start=False) as group:
        for car, name in enumerate(("red", "blue") * 2):
            group.start(car, "--group", name, "--id", str(car // 2))
        for car in range(4):
            group.wait_for(car, f"node {1 - car // 2} is alive")
            group.wait_for(car, "in service")
        for car, call in enumerate(((Button.UP, 1), (Button.DOWN, 3))):
            group.press(car, *call)
            group.wait(lambda call=call, other=car + 2: call in group.lamps(other), "the lamp lit on the other host")  # type: ignore[misc]
            assert all(call not in group.lamps(other) for other in (1 - car, 3 - car)), "a lamp of the other group lit"
            group.wait_until_dark()
        assert group.misbehaviour() == 0
        assert not any("same id" in group.log(car) for car in range(4))


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("is_connected", [True, False])
def test_nodes_on_one_machine_hear_each_other_and_log_a_missing_network(
    tmp_path: Path, network: Network, is_connected: bool, address: str | None
) -> None:
    host = network.host("10.9.1.1/24" if is_connected else None)
    with lab(tmp_path, hosts=[host] * 3, net_port=NET_PORT, broadcast=address) as group:
        group.press(0, Button.DOWN, 3)
        group.wait(lambda: all((Button.DOWN, 3) in group.lamps(car) for car in range(3)), "all lamps are lit")
        group.wait_until_dark()
        failure = "no network interface" if address != DIRECTED else "(Network is unreachable)"
        for car in range(3):
            if is_connected:
                assert failure not in group.log(car)
            else:
                group.wait_for(car, failure)
        assert group.misbehaviour() == 0


@pytest.mark.parametrize("address", ADDRESSES)
def test_nodes_on_other_hosts_are_heard_by_node_watch_and_doctor(
    tmp_path: Path, network: Network, address: str | None
) -> None:
    near, far, observer = (network.host(f"10.9.1.{number}/24") for number in (1, 2, 3))
    with (
        lab(tmp_path, hosts=[near, near, far], net_port=NET_PORT, broadcast=address) as group,
        watching(*broadcast_option(address), host=observer) as watch,
    ):
        group.press(2, Button.DOWN, 3)
        group.wait(lambda: (Button.DOWN, 3) in group.lamps(1), "the lamp lit on the other host")
        group.wait(lambda: watch.alive() == [0, 1, 2], "watch shows all nodes")
        lines = doctor(group, observer, "--id", "3", *broadcast_option(address))
    assert "✓ other nodes of group lab: 0 at 10.9.1.1, 1 at 10.9.1.1, 2 at 10.9.1.2" in lines, lines
    name = DIRECTED if address == DIRECTED else "eth0"
    assert f"✓ broadcasts to UDP port {NET_PORT} are sent and received ({name})" in lines, lines


@pytest.mark.parametrize("address", ADDRESSES)
def test_node_hears_and_is_heard_when_its_interface_appears_late_or_reappears(
    tmp_path: Path, network: Network, address: str | None
) -> None:
    near, far = network.host(), network.host("10.9.1.2/24")
    failure = "no network interface" if address != DIRECTED else f"broadcasts on {address} fail (Network is unreachable"

    def connect() -> None:
        network.connect(near, "10.9.1.1/24")

    def remove() -> None:
        network.remove(near)

    def switch(state: str) -> None:
        near.run("ip", "link", "set", "eth0", state)

    with lab(tmp_path, hosts=[near, far], net_port=NET_PORT, broadcast=address, start=False) as group:
        group.start(0)
        group.start(1)
        group.wait_for(0, failure)
        steps = [(connect, remove), (connect, lambda: switch("down")), (lambda: switch("up"), remove)]
        for times, (appear, disappear) in enumerate(steps, 1):
            appear()
            wait_for_peers(group, 0, 1, times=times)
            disappear()
            group.wait_for(0, "node 1 timed out", times)
            group.wait_for(1, "node 0 timed out", times)
        group.press(0, Button.CAB, 2)
        group.wait_until_dark()
        connect()
        group.wait_for(0, "is available again" if address != DIRECTED else f"broadcasts on {address} work again")


@pytest.mark.parametrize("address", [None, MULTICAST])
def test_second_interface_that_appears_late_or_reappears_is_used(
    tmp_path: Path, network: Network, address: str | None
) -> None:
    near = network.host("10.9.1.1/24")
    with (
        Network() as other,
        lab(
            tmp_path, hosts=[near, other.host("10.9.2.2/24")], net_port=NET_PORT, broadcast=address, start=False
        ) as group,
        watching(*broadcast_option(address), host=near) as watch,
    ):
        group.start(0)
        group.start(1)
        for times in (1, 2):
            other.connect(near, "10.9.2.1/24", "eth1")
            wait_for_peers(group, 0, 1, times=times)
            group.wait(lambda: watch.alive() == [0, 1], "watch shows both")
            other.remove(near, "eth1")
            group.wait_for(0, "node 1 timed out", times)
            group.wait(lambda: watch.alive() == [0], "watch shows that node 1 timed out")
        assert "no network interface" not in group.log(0)


@pytest.mark.quick
def test_multicast_membership_ends_when_its_interface_disappears(network: Network) -> None:
    """The interface reappears more often than the kernel's limit, which is 20 memberships of a socket by default.

    See igmp_max_memberships in ip(7).
    """
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


def test_node_and_doctor_report_a_multicast_group_that_cannot_be_joined(tmp_path: Path, network: Network) -> None:
    host = network.host("10.9.1.1/24")
    with host.entered():
        Path("/proc/sys/net/ipv4/igmp_max_memberships").write_text("0")
    with lab(tmp_path, hosts=[host], net_port=NET_PORT, broadcast=MULTICAST) as group:
        group.wait_for(0, "cannot join the multicast group on eth0 (No buffer space available)")
        (line,) = (line for line in doctor(group, host, "--broadcast", MULTICAST) if "multicast" in line)
    assert line.startswith(f"✗ cannot join the multicast group {MULTICAST} (eth0: No buffer space available)")


def test_watch_joins_the_multicast_group_on_an_interface_that_appears_late(tmp_path: Path, network: Network) -> None:
    observer = network.host()
    with (
        lab(tmp_path, hosts=[network.host("10.9.1.1/24")], net_port=NET_PORT, broadcast=MULTICAST) as group,
        watching("--broadcast", MULTICAST, host=observer) as watch,
    ):
        group.wait(lambda: watch.lines, "watch runs")
        assert watch.last["nodes"] == []
        network.connect(observer, "10.9.1.3/24")
        group.wait(lambda: watch.alive() == [0], "watch shows the node")


def test_datagrams_of_another_format_are_reported_by_node_watch_and_doctor(tmp_path: Path, network: Network) -> None:
    host = network.host("10.9.1.1/24")
    with network.host("10.9.1.2/24").entered():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    done = threading.Event()

    def send() -> None:
        sender.sendto(seal(b"elevator3 \x03lab and more", NO_KEY), (DIRECTED, NET_PORT))

    def keep_sending() -> None:
        while not done.wait(0.1):
            send()

    with sender, lab(tmp_path, hosts=[host], net_port=NET_PORT, broadcast=None) as group:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        send()
        group.wait_for(0, OTHER_FORMAT)
        assert group.log(0).count("dropped a datagram") == 1
        thread = threading.Thread(target=keep_sending)
        thread.start()
        try:
            with watching(host=host) as watch:
                group.wait(lambda: watch.last["refused"].get(OTHER_FORMAT, 0) > 1, "watch counts them")
            found = [line for line in doctor(group, host) if OTHER_FORMAT in line]
        finally:
            done.set()
            thread.join()
    assert len(found) == 1
    assert "other nodes of group lab: 0 at 10.9.1.1" in found[0]
