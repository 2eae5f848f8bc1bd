"""The doctor: each finding by itself against real sockets and directories, and the command in a lab."""

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab import PROGRAM, free_port, lab

from elevator import doctor
from elevator.doctor import Ears, Finding, clock, floors, id_free, listen, neighbours, record, server
from elevator.gate import Gate
from elevator.hardware.serialport import open_port
from elevator.model import Author, Buttons, Calls, Car, Heartbeat
from elevator.seal import NO_KEY, seal
from elevator.sim import shaft as physics
from elevator.sim.server import open_building
from elevator.sim.shaft import Shaft
from elevator.wire import Encoder


def heartbeat(id: int, floors: int = 4) -> Heartbeat:
    return Heartbeat(Author(id, 1), 1, floors, Car(), Buttons(), 0, Calls())


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
        user = open_port(path)
        found = doctor.card(path, 99)
        user.close()
        assert not found.good
        assert "another program has it" in found.text


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


def test_without_a_network_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.broadcast("127.255.255.255") == Finding(True, "a broadcast to 127.255.255.255 comes back")
    monkeypatch.setattr(doctor, "interfaces", lambda _: [])
    assert not doctor.broadcast(None).good


def test_listening_hears_nodes_and_counts_what_else_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LISTEN_S", 0.5)
    port, done = free_port(socket.SOCK_DGRAM), threading.Event()

    def talk() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
            while not done.wait(0.02):
                for datagram in (*Encoder("lab").encode(heartbeat(3)), *Encoder("other").encode(heartbeat(4))):
                    mouth.sendto(seal(datagram, NO_KEY), ("127.0.0.1", port))
                mouth.sendto(b"x", ("127.0.0.1", port))

    thread = threading.Thread(target=talk)
    thread.start()
    found = listen(port, Gate("lab"))
    done.set()
    thread.join()
    assert isinstance(found, Ears)
    assert {id: list(by_address) for id, by_address in found.heard.items()} == {3: ["127.0.0.1"]}
    assert {what: times > 0 for what, times in found.refused.items()} == {
        "not of this group": True,
        "not from a node": True,
    }


def test_a_port_that_somebody_keeps_for_himself_is_told() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as squatter:
        squatter.bind(("", 0))
        found = listen(squatter.getsockname()[1], Gate("lab"))
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
