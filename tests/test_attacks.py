"""Whole nodes on a network with somebody on it who means ill: keys, forgeries, recordings, floods."""

import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab import PATIENCE_S, PROGRAM, Lab, lab

from elevator.calls import press
from elevator.keygen import main as keygen
from elevator.model import EVERY_CAR, Author, Button, Buttons, Call, Calls, Car, Heartbeat
from elevator.seal import HEAD_BYTES, NO_KEY, seal
from elevator.wire import Encoder, decode

EVERYBODY = "127.255.255.255"


@contextmanager
def port_of(group: Lab) -> Iterator[socket.socket]:
    """Open a socket that hears the group as a node would, and can speak to it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT, socket.SO_BROADCAST):
            opened.setsockopt(socket.SOL_SOCKET, option, 1)
        opened.bind(("", group.net_port))
        opened.settimeout(PATIENCE_S)
        yield opened


def key_file(file: Path, *keys: bytes) -> tuple[str, str]:
    file.write_text("\n".join(key.hex() for key in keys))
    file.chmod(0o600)
    return "--key-file", str(file)


OLD, NEW = b"o" * 32, b"n" * 32


def test_a_group_gets_another_key_node_by_node(tmp_path: Path) -> None:
    old, both = key_file(tmp_path / "old", OLD), key_file(tmp_path / "both", OLD, NEW)
    turned, new = key_file(tmp_path / "turned", NEW, OLD), key_file(tmp_path / "new", NEW)
    with lab(tmp_path, cars=2, start=False) as group:
        for id in range(2):
            group.start(id, *old)
        group.wait_until_ready()
        for times, (step, floor) in enumerate(((both, 3), (turned, 1), (new, 2)), 2):
            for id in range(2):
                group.nodes[id].terminate()
                assert group.nodes.pop(id).wait(PATIENCE_S) == 0
                group.start(id, *step)
                group.wait_for(id, f"node {1 - id} is here", times)
                group.wait_for(id, "in service", times)
                group.press(id, "cab", floor)
                group.wait_for(1 - id, f"cab call of car {id} to floor {floor} called")
                group.wait_until_dark()
        for id in range(2):
            assert "dropped" not in group.log(id)
        assert group.misbehaviour() == 0


def forged(group: str, counter: int, key: bytes) -> bytes:
    author = Author(5, 9)
    calls = press(Calls(), author, Call(Button.UP, 2, EVERY_CAR))
    (datagram,) = Encoder(group).encode(Heartbeat(author, counter, 4, Car(), Buttons(), 1, calls))
    return seal(datagram, key)


def test_who_has_no_key_or_another_lights_no_lamp(tmp_path: Path) -> None:
    keygen([str(tmp_path / "key")])
    with lab(tmp_path, cars=1, more=("--key-file", str(tmp_path / "key"))) as group, port_of(group) as stranger:
        for counter in range(1, 60):
            for key in (NO_KEY, OLD):
                stranger.sendto(forged("lab", counter, key), (EVERYBODY, group.net_port))
            time.sleep(0.02)
        group.wait_for(0, "dropped a datagram: without a key")
        group.wait_for(0, "dropped a datagram: with another key, or damaged")
        assert group.log(0).count("without a key") <= 4, "once a second at the most"
        assert "node 5" not in group.log(0)
        assert group.lamps(0) == set()
        group.press(0, "cab", 1)
        group.wait(lambda: group.states()[0]["sensor"] == 1, "it served on")


@pytest.mark.parametrize("keyed", [False, True])
def test_a_recording_does_not_bring_a_dead_node_back(tmp_path: Path, keyed: bool) -> None:
    more = key_file(tmp_path / "key", OLD) if keyed else ()
    with lab(tmp_path, cars=2, more=more) as group, port_of(group) as stranger:
        recording: list[bytes] = []
        while len(recording) < 100:
            sealed = stranger.recv(10_000)
            said = decode(sealed[HEAD_BYTES:], "lab")
            recording += [sealed] if said is not None and said.sender.id == 1 else []
        group.kill(1)
        group.wait_for(0, "node 1 is silent")
        for sealed in recording:
            stranger.sendto(sealed, (EVERYBODY, group.net_port))
            time.sleep(0.02)
        group.wait_for(0, "dropped a datagram: recorded before")
        assert group.log(0).count("node 1 is here") == 1
        group.start(1)
        group.wait_for(0, "node 1 is here", times=2)


def test_a_flood_of_one_address_does_not_keep_the_others_from_being_heard(tmp_path: Path) -> None:
    with lab(tmp_path, cars=2) as group, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        stranger.bind(("127.0.0.2", 0))
        ended = threading.Event()

        def flood() -> None:
            datagrams = [forged("another", counter, NO_KEY) for counter in range(1, 200)]
            while not ended.wait(0.01):
                for datagram in datagrams:
                    stranger.sendto(datagram, (EVERYBODY, group.net_port))

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            group.wait_for(0, "dropped a datagram: not of this group", times=2)
            group.press(0, "down", 3)
            group.wait(lambda: ("down", 3) in group.lamps(0) & group.lamps(1), "it lit everywhere")
            group.wait_until_dark()
        finally:
            ended.set()
            thread.join()


def test_it_is_watched_by_who_has_its_key(tmp_path: Path) -> None:
    more = key_file(tmp_path / "key", OLD)
    with lab(tmp_path, cars=1, more=more) as group:
        for arguments, seen in ((more, [0]), ((), [])):
            command = [*PROGRAM, "watch", "--json", "--net-port", str(group.net_port), *arguments]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                process.stdout.readline()
                told = json.loads(process.stdout.readline())
                process.terminate()
            assert [node["id"] for node in told["nodes"]] == seen
            assert set(told["refused"]) == (set() if seen else {"with another key, or damaged"})
            assert (told["strangers"] > 0) == (not seen)
        settings = ["--port", group.port, "--net-port", group.net_port, "--broadcast", EVERYBODY, "--no-record"]
        for arguments, sign in ((more, "✓"), ((), "✗")):
            command = [*PROGRAM, "doctor", *map(str, settings), *arguments]
            done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
            line = next(line for line in done.stdout.splitlines() if " of group " in line)
            assert line.startswith(sign)
            assert ("--key-file" in line) == (sign == "✗")
