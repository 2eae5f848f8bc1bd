"""The doctor: each finding by itself against real sockets and directories, and the command in a lab."""

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
from lab import PROGRAM, free_port, lab

from elevator.building import shaft as physics
from elevator.building.building import open_building
from elevator.building.shaft import Shaft
from elevator.cli import doctor, doctor_network
from elevator.cli.doctor import clock, record, server
from elevator.cli.doctor_network import Ears, broadcast, floors, id_free, listen, neighbours, open_port
from elevator.cli.finding import Finding
from elevator.core.model import Author, Buttons, Calls, Car, Heartbeat
from elevator.hardware import card_port
from elevator.hardware.card_port import UDEV_RULE
from elevator.net.admission import PROBE, Admission
from elevator.net.broadcast import Way
from elevator.net.seal import NO_KEY, seal
from elevator.net.wire import Encoder


def heartbeat(id: int, floors: int = 4) -> Heartbeat:
    return Heartbeat(Author(id, 1), 1, floors, Car(), Buttons(), 0, Calls())


def listening(port: int) -> socket.socket:
    opened = open_port(port)
    assert isinstance(opened, socket.socket)
    return opened


def ears(*heard: tuple[int, str, int], others: int = 0) -> Ears:
    by_id: dict[int, dict[str, Heartbeat]] = {}
    for id, address, count in heard:
        by_id.setdefault(id, {})[address] = heartbeat(id, count)
    return Ears(by_id, {"not of this group": others} if others else {})


@contextmanager
def elevator(floor: float) -> Iterator[int]:
    """Run a simulated elevator of six floors; give its port."""
    building, ended = open_building([physics.put(Shaft(6), floor, 0)]), threading.Event()

    def drive() -> None:
        while not ended.is_set():
            building.turn(0.01)

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
    """Run `elevator sim` with a card; give its path."""
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


def test_a_card_that_answers_is_good_and_one_in_use_is_left_alone(tmp_path: Path) -> None:
    with simulated_card(tmp_path, 2) as path:
        for _ in range(2):
            found = doctor.card(path, 99)
            assert found.good, found
            assert "its car is at floor 2" in found.text
        user, _ = card_port.open_port(path)
        found = doctor.card(path, 99)
        user.close()
        assert not found.good
        assert "another program has it" in found.text


def test_modem_manager_is_named_unless_a_udev_rule_keeps_it_from_the_card(tmp_path: Path) -> None:
    processes, udev, port = tmp_path / "proc", tmp_path / "udev", Path("/dev/null")
    for pid, name in ((1, "systemd"), (20, "ModemManager")):
        assert not list(doctor.modem_manager(str(port), processes, udev)), "it does not run"
        (processes / str(pid)).mkdir(parents=True)
        (processes / str(pid) / "comm").write_text(f"{name}\n")
    udev.mkdir()
    (found,) = doctor.modem_manager(str(port), processes, udev)
    assert not found.good
    assert UDEV_RULE in found.text
    assert UDEV_RULE in Path("build/78-elevator.rules").read_text().splitlines()
    (udev / "c1:3").write_text("I:1\nE:ID_MM_DEVICE_IGNORE=1\n")
    (found,) = doctor.modem_manager(str(port), processes, udev)
    assert found.good


def test_foreign_traffic_on_the_card_is_bad(tmp_path: Path) -> None:
    with simulated_card(tmp_path, 2) as path:
        writer = subprocess.Popen(["sh", "-c", f"while sleep 0.05; do printf '\\377AT\\r' >{path}; done"])
        found = doctor.card(path, 99)
        writer.kill()
        writer.wait()
    assert not found.good
    assert "end other programs" in found.text


def test_a_card_that_is_not_there_is_bad(tmp_path: Path) -> None:
    found = doctor.card(str(tmp_path / "card"), 99)
    assert not found.good
    assert "(No such file or directory): plug it in" in found.text
    master, slave = os.openpty()
    found = doctor.card(os.ttyname(slave), 99)
    assert not found.good
    assert "(no answer)" in found.text
    os.close(master)
    os.close(slave)


def test_a_server_that_answers_is_timed() -> None:
    with elevator(2) as port:
        found = server("127.0.0.1", port, 6)
    assert found.good, found
    assert "its car is at floor 2" in found.text
    with elevator(2.5) as port:
        assert "between floors" in server("127.0.0.1", port, 6).text


def test_a_server_with_more_floors_is_told() -> None:
    with elevator(5) as port:
        found = server("127.0.0.1", port, 4)
    assert (found.good, "--floors" in found.text) == (False, True)


def test_a_server_that_has_a_client_does_not_answer_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ANSWER_S", 0.1)
    with elevator(2) as port, socket.create_connection(("127.0.0.1", port)) as first:
        first.sendall(bytes((7, 0, 0, 0)))
        assert first.recv(4)
        found = server("127.0.0.1", port, 6)
    assert not found.good
    assert "end the program that is connected to it" in found.text


def test_no_server_and_another_program_are_told() -> None:
    found = server("127.0.0.1", free_port(socket.SOCK_STREAM), 4)
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
        found = server("127.0.0.1", other.getsockname()[1], 4)
        thread.join()
    assert not found.good
    assert "another program" in found.text


class Filtered(socket.socket):
    """A socket behind a firewall, which refuses or loses one in *one_in* of the datagrams to an address."""

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
    """Open a port on a machine with two interfaces."""
    monkeypatch.setattr(doctor_network, "PROBE_S", 0.05)
    ways = [Way("eth0", "127.255.255.255"), Way("eth1", "127.0.0.1")]
    monkeypatch.setattr(doctor_network, "interfaces", lambda _: ways)
    with Filtered(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        opened.bind(("", 0))
        yield opened


def test_without_a_network_that_is_told(filtered: Filtered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_network, "interfaces", lambda _: [])
    found = broadcast(filtered, None)
    assert not found.good
    assert "plug in the network" in found.text
    assert broadcast(filtered, "127.255.255.255").good, "an address was given"


def test_broadcasts_that_come_back_on_every_interface_are_good(filtered: Filtered) -> None:
    port = filtered.getsockname()[1]
    assert broadcast(filtered, None) == Finding(True, f"broadcasts to UDP port {port} come back (eth0, eth1)")


@pytest.mark.parametrize("one_in", [1, 2, 5])
def test_broadcasts_that_a_firewall_keeps_in_are_told(filtered: Filtered, one_in: int) -> None:
    filtered.refused, filtered.one_in, port = "127.0.0.1", one_in, filtered.getsockname()[1]
    why = "eth1: Operation not permitted"
    assert broadcast(filtered, None) == Finding(
        False,
        f"broadcasts to UDP port {port} cannot be sent ({why}): let UDP port {port} out of this machine's firewall",
    )


@pytest.mark.parametrize("one_in", [1, 2, 5])
def test_broadcasts_that_a_firewall_keeps_out_are_told(filtered: Filtered, one_in: int) -> None:
    filtered.lost, filtered.one_in, port = "127.255.255.255", one_in, filtered.getsockname()[1]
    assert broadcast(filtered, None) == Finding(
        False,
        f"broadcasts to UDP port {port} do not come back (eth0): "
        f"let UDP port {port} into this machine through its firewall",
    )


def test_a_rule_for_each_direction_is_told_in_one_line(filtered: Filtered) -> None:
    filtered.refused, filtered.lost = "127.0.0.1", "127.255.255.255"
    found = broadcast(filtered, None)
    assert not found.good
    assert "cannot be sent (eth1: " in found.text
    assert "do not come back (eth0): " in found.text
    assert "\n" not in found.text


def test_a_network_that_is_down_is_not_taken_for_a_firewall(filtered: Filtered) -> None:
    filtered.refused, filtered.code = "127.0.0.1", errno.ENETDOWN
    assert "(eth1: Network is down): check cable and address" in broadcast(filtered, None).text


def test_other_traffic_on_the_port_is_not_taken_for_a_probe(filtered: Filtered) -> None:
    done = threading.Event()

    def talk() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
            while not done.wait(0.001):
                mouth.sendto(PROBE + b"0" * 16, ("127.0.0.1", filtered.getsockname()[1]))

    thread = threading.Thread(target=talk)
    thread.start()
    filtered.lost = "127.0.0.1"
    found = broadcast(filtered, None)
    done.set()
    thread.join()
    assert "do not come back (eth1)" in found.text


FIREWALL = """
ip link set lo up && ip link add name va type veth peer name vb && ip addr add 10.99.0.1/24 dev va &&
ip link set va up && ip link set vb up && ip link add name vc type veth peer name vd &&
ip addr add 10.98.0.1/24 dev vc && ip link set vc up && ip link set vd up && iptables "$@" && exec "$PROBING" -c '
from elevator.cli.doctor_network import broadcast, open_port
with open_port(20145) as group_port:
    print(broadcast(group_port, None).text)'
"""
"""Runs the doctor in a network of its own, behind a rule."""


def behind(*rule: str, probing: str = sys.executable) -> "subprocess.CompletedProcess[str]":
    command = ["unshare", "--net", "sh", "-c", FIREWALL, "sh", *rule]
    environment = {**os.environ, "PROBING": probing}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


if (
    os.geteuid() == 0
    and all(map(shutil.which, ("unshare", "ip", "iptables")))
    and behind("-L", probing="true").returncode == 0
):
    # Elsewhere the tests with a filtered socket stand for it.
    @pytest.mark.parametrize("verdict", ["DROP", "REJECT"])
    @pytest.mark.parametrize(
        ("rule", "told"),
        [
            (("OUTPUT", "-p", "udp", "--sport", "20145"), "cannot be sent (va: Operation not permitted; vc: "),
            (("OUTPUT", "-p", "udp", "--dport", "20145"), "cannot be sent (va: Operation not permitted; vc: "),
            (("INPUT", "-p", "udp", "--dport", "20145"), "do not come back (va, vc): let UDP port 20145 into"),
            (("OUTPUT", "-o", "vc", "-p", "udp", "--dport", "20145"), "cannot be sent (vc: Operation not permitted): "),
            (("INPUT", "-i", "vc", "-p", "udp", "--dport", "20145"), "do not come back (vc): let UDP port 20145 into"),
            (("INPUT", "-p", "udp", "--dport", "20146"), "broadcasts to UDP port 20145 come back (va, vc)"),
        ],
    )
    def test_a_rule_of_iptables_is_told(rule: tuple[str, ...], verdict: str, told: str) -> None:
        done = behind("-A", *rule, "-j", verdict)
        assert (done.returncode, done.stderr) == (0, "")
        assert told in done.stdout


def test_listening_hears_nodes_and_counts_what_else_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_network, "LISTEN_S", 0.5)
    port, done = free_port(socket.SOCK_DGRAM), threading.Event()

    def talk() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
            while not done.wait(0.02):
                for datagram in (*Encoder("lab").encode(heartbeat(3)), *Encoder("other").encode(heartbeat(4))):
                    mouth.sendto(seal(datagram, NO_KEY), ("127.0.0.1", port))
                mouth.sendto(b"x", ("127.0.0.1", port))

    thread = threading.Thread(target=talk)
    thread.start()
    with listening(port) as group_port:
        found = listen(group_port, Admission("lab"))
    done.set()
    thread.join()
    assert {id: list(by_address) for id, by_address in found.heard.items()} == {3: ["127.0.0.1"]}
    assert {what: times > 0 for what, times in found.refused.items()} == {
        "not of this group": True,
        "not from a node": True,
    }


def test_a_port_that_somebody_keeps_for_himself_is_told() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as squatter:
        squatter.bind(("", 0))
        found = open_port(squatter.getsockname()[1])
    assert isinstance(found, Finding)
    assert not found.good
    assert "Address already in use" in found.text


def test_neighbours_floors_and_ids() -> None:
    nobody, some = ears(others=2), ears((1, "10.0.0.1", 4), (3, "10.0.0.3", 4), (3, "10.0.0.9", 6))
    assert (
        neighbours(nobody, "lab").text == "nobody else of group lab is here yet; 2 datagrams dropped: not of this group"
    )
    assert neighbours(some, "lab").text == "nodes of group lab: 1 at 10.0.0.1, 3 at 10.0.0.3 and 10.0.0.9"
    assert floors(nobody, 4).good
    assert floors(ears((1, "10.0.0.1", 4)), 4).good
    assert floors(some, 4) == Finding(False, "node 3 has 6 floors, this one 4: give all of them the same --floors")
    assert id_free(some, 2).good
    assert id_free(some, 1) == Finding(False, "id 1 is in use at 10.0.0.1: choose another --id")


def test_the_record_can_be_written_or_not(tmp_path: Path) -> None:
    assert record(tmp_path / "new").good
    assert os.listdir(tmp_path / "new") == []  # noqa: PTH208  # a list is what is compared
    assert record(None).good
    (tmp_path / "file").write_text("")
    found = record(tmp_path / "file" / "below")
    assert not found.good
    assert "--state-dir" in found.text


def test_clocks() -> None:
    assert clock(1.5, 1.501, 2026).good
    assert not clock(1.5, 1.9, 2026).good
    assert not clock(1.5, 1.5, 1970).good


def test_the_command_in_a_lab(tmp_path: Path) -> None:
    with lab(tmp_path, cars=3, start=False) as opened:
        for id in (0, 1):
            opened.start(id)
        opened.wait_until_ready()
        settings = ["--net-port", opened.net_port, "--broadcast", "127.255.255.255", "--state-dir", tmp_path / "2"]

        def run(*arguments: object) -> tuple[int, list[str]]:
            command = [*PROGRAM, "doctor", *map(str, [*settings, *arguments])]
            done = subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")
            assert done.stderr == ""
            return done.returncode, done.stdout.splitlines()

        status, said = run("--id", 2, "--port", opened.port + 2)
        assert (status, [line[0] for line in said]) == (0, ["✓"] * 8), said
        assert "nodes of group lab: 0 at 127.0.0.1, 1 at 127.0.0.1" in said[3]
        status, said = run("--id", 1, "--port", opened.port + 2, "--floors", 5)
        assert (status, [line[0] for line in said]) == (1, ["✓", "✓", "✓", "✓", "✗", "✗", "✓", "✓"]), said
        assert not any("dropped" in opened.log(id) for id in (0, 1)), "it disturbs nobody"
