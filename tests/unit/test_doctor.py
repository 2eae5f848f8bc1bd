"""`elevator doctor`: each check by itself, and the whole command beside running nodes."""

import errno
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from lab import PROGRAM, free_port, lab

from elevator.building import shaft as physics
from elevator.building.building import open_building
from elevator.building.shaft import Shaft
from elevator.cli import doctor, doctor_network
from elevator.cli.doctor import check_record, check_server
from elevator.cli.doctor_network import (
    GroupTraffic,
    check_broadcast,
    check_floors,
    check_id,
    check_peers,
    listen,
)
from elevator.cli.finding import Finding
from elevator.core.messages import Heartbeat
from elevator.core.model import Author, Buttons, Calls, Car
from elevator.hardware import card_port
from elevator.hardware.card_port import UDEV_RULE
from elevator.net import broadcast
from elevator.net.admission import PROBE, Admission
from elevator.net.broadcast import Route, open_port
from elevator.net.seal import NO_KEY, OTHER_KEY, UNKEYED, seal
from elevator.net.wire import encode
from elevator.runtime.config import Config


def heartbeat(id: int, floors: int = 4) -> Heartbeat:
    return Heartbeat(Author(id, 1), 1, floors, Car(), Buttons(), 0, Calls())


def traffic(*nodes: tuple[int, str, int], others: int = 0) -> GroupTraffic:
    """Return traffic: heartbeats of *nodes* (id, address, floors), and *others* datagrams of another group."""
    by_id: dict[int, dict[str, Heartbeat]] = {}
    for id, address, floors in nodes:
        by_id.setdefault(id, {})[address] = heartbeat(id, floors)
    return GroupTraffic(by_id, {"from another group": others} if others else {})


@contextmanager
def elevator(floor: float) -> Iterator[int]:
    """Run a simulated elevator of six floors with its car at *floor*; yield its port."""
    building, ended = open_building([physics.put(Shaft(6), floor, 0)]), threading.Event()

    def drive() -> None:
        while not ended.is_set():
            building.run_once(0.01)

    thread = threading.Thread(target=drive)
    thread.start()
    try:
        yield building.ports[0]
    finally:
        ended.set()
        thread.join()
        building.close()


@contextmanager
def simulated_card(directory: Path, floor: float) -> Iterator[str]:
    """Run `elevator sim` with an I/O card and the car at *floor*; yield the path of the card."""
    prefix = directory / "card-"
    command = [*PROGRAM, "sim", "--headless", "--port", "0", "--card", str(prefix), "--at", str(floor)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sim:
        assert sim.stdout is not None
        sim.stdout.readline()
        sim.stdout.readline()
        try:
            yield f"{prefix}0"
        finally:
            sim.terminate()
            sim.communicate()


def test_card_that_answers_passes_the_check(tmp_path: Path) -> None:
    with simulated_card(tmp_path, 2) as path:
        for _ in range(2):
            found = doctor.check_card(path, 99)
            assert found.good, found
            assert "its car is at floor 2" in found.text


def test_card_that_another_program_uses_fails_the_check(tmp_path: Path) -> None:
    with simulated_card(tmp_path, 2) as path:
        user, _ = card_port.open_port(path)
        found = doctor.check_card(path, 99)
        user.close()
        assert not found.good
        assert "another program is using the port" in found.text


def test_running_modem_manager_fails_the_check_unless_a_udev_rule_blocks_it(tmp_path: Path) -> None:
    processes, udev, port = tmp_path / "proc", tmp_path / "udev", Path("/dev/null")
    for pid, name in ((1, "systemd"), (20, "ModemManager")):
        assert not list(doctor.check_modem_manager(str(port), processes, udev)), (
            "ModemManager was reported but is not running"
        )
        (processes / str(pid)).mkdir(parents=True)
        (processes / str(pid) / "comm").write_text(f"{name}\n")
    udev.mkdir()
    (found,) = doctor.check_modem_manager(str(port), processes, udev)
    assert not found.good
    assert UDEV_RULE in found.text
    assert UDEV_RULE in Path("build/78-elevator.rules").read_text().splitlines()
    (udev / "c1:3").write_text("I:1\nE:ID_MM_DEVICE_IGNORE=1\n")
    (found,) = doctor.check_modem_manager(str(port), processes, udev)
    assert found.good


DISTURB = """\
import os, sys, time
port = os.open(sys.argv[1], os.O_WRONLY | os.O_NOCTTY)
print("ready", flush=True)
while True:
    os.write(port, b"\\xffAT\\r")
    time.sleep(0.03)
"""
"""A program that writes to a port every 30 ms, as ModemManager does when it looks for a modem."""


def test_card_fails_the_check_while_another_program_writes_to_it(tmp_path: Path) -> None:
    """The card is checked up to five times, because one check on a busy machine may see too few of the bytes."""
    with (
        simulated_card(tmp_path, 2) as path,
        subprocess.Popen([sys.executable, "-c", DISTURB, path], stdout=subprocess.PIPE) as writer,
    ):
        assert writer.stdout is not None
        writer.stdout.readline()
        checks = (doctor.check_card(path, 99) for _ in range(5))
        found = next((each for each in checks if "stop other programs" in each.text), None)
        writer.kill()
    assert found is not None
    assert not found.good


def test_missing_or_silent_card_fails_the_check(tmp_path: Path) -> None:
    found = doctor.check_card(str(tmp_path / "card"), 99)
    assert not found.good
    assert "(No such file or directory): plug it in" in found.text
    master, slave = os.openpty()
    found = doctor.check_card(os.ttyname(slave), 99)
    assert not found.good
    assert "(no answer)" in found.text
    os.close(master)
    os.close(slave)


def test_server_that_answers_passes_the_check() -> None:
    with elevator(2) as port:
        found = check_server("127.0.0.1", port, 6)
    assert found.good, found
    assert "its car is at floor 2" in found.text
    with elevator(2.5) as port:
        assert "between floors" in check_server("127.0.0.1", port, 6).text


def test_car_above_the_top_floor_of_the_node_fails_the_check() -> None:
    with elevator(5) as port:
        found = check_server("127.0.0.1", port, 4)
    assert (found.good, "--floors" in found.text) == (False, True)


def test_server_with_another_client_fails_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ANSWER_S", 0.1)
    with elevator(2) as port, socket.create_connection(("127.0.0.1", port)) as first:
        first.sendall(bytes((7, 0, 0, 0)))
        assert first.recv(4)
        found = check_server("127.0.0.1", port, 6)
    assert not found.good
    assert "stop the program connected to it, restart the server" in found.text


def test_missing_server_or_another_program_on_its_port_fails_the_check() -> None:
    found = check_server("127.0.0.1", free_port(socket.SOCK_STREAM), 4)
    assert not found.good
    assert "Connection refused" in found.text
    with socket.create_server(("127.0.0.1", 0)) as other:

        def greet() -> None:
            client, _ = other.accept()
            client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20)
            client.recv(100)
            client.close()

        thread = threading.Thread(target=greet)
        thread.start()
        found = check_server("127.0.0.1", other.getsockname()[1], 4)
        thread.join()
    assert not found.good
    assert "another program answers there" in found.text


class Filtered(socket.socket):
    """A socket behind a simulated firewall, which blocks every `one_in`-th datagram if it goes to one of two addresses.

    Sending to `refused` then fails with the errno `code`. A datagram to `lost` disappears.
    """

    refused: str | None = None
    lost: str | None = None
    one_in = 1
    code = errno.EPERM
    sent = 0

    def sendmsg(self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None) -> int:
        self.sent += 1
        if self.sent % self.one_in == 0 and address[0] == self.refused:
            raise OSError(self.code, os.strerror(self.code))
        if self.sent % self.one_in == 0 and address[0] == self.lost:
            return 0
        return super().sendmsg(buffers, ancdata, flags, address)


@pytest.fixture
def filtered(monkeypatch: pytest.MonkeyPatch) -> Iterator[Filtered]:
    """Yield a Filtered socket on a simulated machine with two network interfaces."""
    monkeypatch.setattr(doctor_network, "PROBE_S", 0.05)
    routes = [Route("eth0", "127.255.255.255"), Route("eth1", "127.0.0.1")]
    monkeypatch.setattr(broadcast, "find_routes", lambda _, address: [Route(address, address)] if address else routes)
    with Filtered(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        opened.bind(("", 0))
        yield opened


def test_machine_without_network_interfaces_fails_the_check(
    filtered: Filtered, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(broadcast, "find_routes", lambda _, address: [])
        found = check_broadcast(filtered, None)
    assert not found.good
    assert "check the cable" in found.text
    assert check_broadcast(filtered, "127.255.255.255").good, "a configured address needs no interface"


def test_broadcasts_received_on_every_interface_pass_the_check(filtered: Filtered) -> None:
    port = filtered.getsockname()[1]
    assert check_broadcast(filtered, None) == Finding(
        True, f"broadcasts to UDP port {port} are sent and received (eth0, eth1)"
    )


@pytest.mark.parametrize("one_in", [1, 2, 5])
def test_outgoing_broadcasts_blocked_by_a_firewall_fail_the_check(filtered: Filtered, one_in: int) -> None:
    filtered.refused, filtered.one_in, port = "127.0.0.1", one_in, filtered.getsockname()[1]
    why = "eth1: Operation not permitted"
    assert check_broadcast(filtered, None) == Finding(
        False,
        f"cannot send broadcasts to UDP port {port} ({why}): "
        f"allow UDP to port {port} out through this machine's firewall",
    )


@pytest.mark.parametrize("one_in", [1, 2, 5])
def test_incoming_broadcasts_blocked_by_a_firewall_fail_the_check(filtered: Filtered, one_in: int) -> None:
    filtered.lost, filtered.one_in, port = "127.255.255.255", one_in, filtered.getsockname()[1]
    assert check_broadcast(filtered, None) == Finding(
        False,
        f"broadcasts to UDP port {port} are sent but not received (eth0): "
        f"allow UDP to port {port} in through this machine's firewall",
    )


def test_firewall_rules_in_both_directions_are_reported_on_one_line(filtered: Filtered) -> None:
    filtered.refused, filtered.lost = "127.0.0.1", "127.255.255.255"
    found = check_broadcast(filtered, None)
    assert not found.good
    assert "cannot send broadcasts to UDP port" in found.text
    assert "are sent but not received (eth0): " in found.text
    assert "\n" not in found.text


def test_network_that_is_down_is_not_reported_as_a_firewall(filtered: Filtered) -> None:
    filtered.refused, filtered.code = "127.0.0.1", errno.ENETDOWN
    assert "(eth1: Network is down): check the cable and the address" in check_broadcast(filtered, None).text


def test_probe_of_another_doctor_does_not_count_as_received(filtered: Filtered) -> None:
    done = threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not done.wait(0.001):
                sender.sendto(PROBE + b"0" * 16, ("127.0.0.1", filtered.getsockname()[1]))

    thread = threading.Thread(target=send)
    thread.start()
    filtered.lost = "127.0.0.1"
    found = check_broadcast(filtered, None)
    done.set()
    thread.join()
    assert "are sent but not received (eth1)" in found.text


FIREWALL = """
ip link set lo up && ip link add name va type veth peer name vb && ip addr add 10.99.0.1/24 dev va &&
ip link set va up && ip link set vb up && ip link add name vc type veth peer name vd &&
ip addr add 10.98.0.1/24 dev vc && ip link set vc up && ip link set vd up && iptables "$@" && exec "$PROBING" -c '
from elevator.cli.doctor_network import check_broadcast
from elevator.net.broadcast import open_port
with open_port(20145) as group_socket:
    print(check_broadcast(group_socket, None).text)'
"""
"""A shell script that runs `iptables` with its arguments and then the broadcast check of `elevator doctor`.

Before that, it creates two network interfaces with addresses, va and vc. It needs a network namespace of its own.
"""


def check_behind_firewall(*rule: str, probing: str = sys.executable) -> "subprocess.CompletedProcess[str]":
    command = ["unshare", "--net", "sh", "-c", FIREWALL, "sh", *rule]
    environment = {**os.environ, "PROBING": probing}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


if (
    os.geteuid() == 0
    and all(map(shutil.which, ("unshare", "ip", "iptables")))
    and check_behind_firewall("-L", probing="true").returncode == 0
):
    # The tests with a Filtered socket need neither root nor these programs.
    @pytest.mark.parametrize("verdict", ["DROP", "REJECT"])
    @pytest.mark.parametrize(
        ("rule", "message"),
        [
            (("OUTPUT", "-p", "udp", "--sport", "20145"), "(va: Operation not permitted; vc: "),
            (("OUTPUT", "-p", "udp", "--dport", "20145"), "(va: Operation not permitted; vc: "),
            (("INPUT", "-p", "udp", "--dport", "20145"), "are sent but not received (va, vc): "),
            (("OUTPUT", "-o", "vc", "-p", "udp", "--dport", "20145"), "(vc: Operation not permitted): "),
            (("INPUT", "-i", "vc", "-p", "udp", "--dport", "20145"), "are sent but not received (vc): "),
            (("INPUT", "-p", "udp", "--dport", "20146"), "are sent and received (va, vc)"),
        ],
    )
    def test_check_reports_which_broadcasts_iptables_blocks(rule: tuple[str, ...], verdict: str, message: str) -> None:
        done = check_behind_firewall("-A", *rule, "-j", verdict)
        assert (done.returncode, done.stderr) == (0, "")
        assert message in done.stdout


def test_listen_returns_the_nodes_of_the_group_and_counts_other_datagrams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_network, "LISTEN_S", 0.5)
    port, done = free_port(socket.SOCK_DGRAM), threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not done.wait(0.02):
                for datagram in (encode(heartbeat(3), "lab"), encode(heartbeat(4), "other")):
                    sender.sendto(seal(datagram, NO_KEY), ("127.0.0.1", port))
                sender.sendto(b"x", ("127.0.0.1", port))

    thread = threading.Thread(target=send)
    thread.start()
    with open_port(port) as group_socket:
        found = listen(group_socket, Admission("lab"))
    done.set()
    thread.join()
    assert {id: list(by_address) for id, by_address in found.nodes.items()} == {3: ["127.0.0.1"]}
    assert {reason: count > 0 for reason, count in found.refused.items()} == {
        "from another group": True,
        "without a seal, so not from a node": True,
    }


def test_udp_port_that_another_program_uses_fails_the_check() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", 0))
        port = other.getsockname()[1]
        found = list(doctor.findings(Config(id=0, net_port=port, port=free_port(socket.SOCK_STREAM)), (), None, True))
    advice = "stop the program using it, or change --net-port on all nodes"
    assert Finding(False, f"cannot open UDP port {port} (Address already in use): {advice}") in found


ALONE = traffic(others=2)
GROUP = traffic((1, "10.0.0.1", 4), (3, "10.0.0.3", 4), (3, "10.0.0.9", 6))
"""The traffic of nodes 1 and 3, and of a duplicate of node 3 with another number of floors."""


def test_peers_and_dropped_datagrams_are_listed() -> None:
    assert check_peers(GROUP, "lab").text == "other nodes of group lab: 1 at 10.0.0.1, 3 at 10.0.0.3 and 10.0.0.9"
    assert check_peers(ALONE, "lab").text == (
        "no heartbeats from other nodes of group lab yet (2 datagrams dropped: from another group)"
    )
    assert check_peers(evolve(ALONE, refused={"replayed": 1}), "lab").text.endswith(" (1 datagram dropped: replayed)")


@pytest.mark.parametrize("reason", [UNKEYED, OTHER_KEY])
def test_datagrams_with_another_key_or_none_fail_the_check_if_there_are_no_peers(reason: str) -> None:
    found = check_peers(evolve(ALONE, refused={reason: 2}), "lab")
    assert not found.good
    assert found.text.endswith(f"(2 datagrams dropped: {reason}): give all nodes the same --key-file")
    assert check_peers(evolve(GROUP, refused={reason: 2}), "lab").good


def test_peer_with_another_number_of_floors_fails_the_check() -> None:
    assert check_floors(ALONE, 4).good
    assert check_floors(traffic((1, "10.0.0.1", 4)), 4).good
    assert check_floors(GROUP, 4) == Finding(
        False, "node 3 has 6 floors, but this node has 4: give all nodes the same --floors"
    )


def test_id_in_use_fails_the_check() -> None:
    assert check_id(GROUP, 2).good
    assert check_id(GROUP, 1) == Finding(False, "id 1 is in use at 10.0.0.1: choose another --id")


def test_record_directory_that_cannot_be_created_fails_the_check(tmp_path: Path) -> None:
    assert check_record(tmp_path / "new").good
    assert os.listdir(tmp_path / "new") == []  # noqa: PTH208
    assert check_record(None).good
    (tmp_path / "file").write_text("")
    found = check_record(tmp_path / "file" / "below")
    assert not found.good
    assert "--state-dir" in found.text


def test_doctor_reports_running_nodes_and_any_conflict_with_them(tmp_path: Path) -> None:
    with lab(tmp_path, cars=3, start=False) as opened:
        for id in (0, 1):
            opened.start(id)
        opened.wait_until_ready()
        settings = ["--net-port", opened.net_port, "--broadcast", "127.255.255.255", "--state-dir", tmp_path / "2"]

        def run(*arguments: object) -> tuple[int, list[str]]:
            done = opened.complete(*PROGRAM, "doctor", *map(str, [*settings, *arguments]))
            assert done.stderr == ""
            return done.returncode, done.stdout.splitlines()

        status, lines = run("--id", 2, "--port", opened.building.ports[2])
        assert (status, [line[0] for line in lines]) == (0, ["✓"] * 7), lines
        assert "nodes of group lab: 0 at 127.0.0.1, 1 at 127.0.0.1" in lines[3]
        status, lines = run("--id", 1, "--port", opened.building.ports[2], "--floors", 5)
        assert (status, [line[0] for line in lines]) == (1, ["✓", "✓", "✓", "✓", "✗", "✗", "✓"]), lines
        assert not any("dropped" in opened.log(id) for id in (0, 1)), "the probes are dropped silently"
