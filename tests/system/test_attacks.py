"""Complete nodes with and without keys, and attacks on their network: forgeries, replays, damage and floods."""

import itertools
import os
import random
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from bench_flood import large, open_sender
from lab import PATIENCE_S, PROGRAM, Lab, lab, watching

from elevator.cli.keygen import main as keygen
from elevator.core.call_set import press
from elevator.core.messages import Heartbeat
from elevator.core.model import EVERY_CAR, Author, Button, Buttons, Call, Calls, Car
from elevator.net.seal import HEAD_BYTES, NO_KEY, seal
from elevator.net.wire import decode, encode

BROADCAST = "127.255.255.255"


@contextmanager
def attacker_of(group: Lab) -> Iterator[socket.socket]:
    """Open a socket that receives the group's broadcasts and can send to the group."""
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


def test_group_changes_its_key_node_by_node_without_dropped_datagrams(tmp_path: Path) -> None:
    old, both = key_file(tmp_path / "old", OLD), key_file(tmp_path / "both", OLD, NEW)
    swapped, new = key_file(tmp_path / "swapped", NEW, OLD), key_file(tmp_path / "new", NEW)
    with lab(tmp_path, cars=2, start=False) as group:
        for id in range(2):
            group.start(id, *old)
        group.wait_until_ready()
        for times, (step, floor) in enumerate(((both, 3), (swapped, 1), (new, 2)), 2):
            for id in range(2):
                group.end(id)
                group.start(id, *step)
                group.wait_for(id, f"node {1 - id} is alive", times)
                group.wait_for(id, "in service", times)
                group.press(id, Button.CAB, floor)
                group.wait_for(1 - id, f"cab call of car {id} to floor {floor}: registered")
                group.wait_until_dark()
        for id in range(2):
            assert "dropped" not in group.log(id)
        assert group.misbehaviour() == 0


def forged(group: str, sequence: int, key: bytes) -> bytes:
    author = Author(5, 9)
    calls = press(Calls(), author, Call(Button.UP, 2, EVERY_CAR))
    heartbeat = Heartbeat(author, sequence, 4, Car(), Buttons(), 1, calls, calls.digest)
    return seal(encode(heartbeat, group), key)


@pytest.mark.rule("S1")
def test_calls_forged_without_the_key_light_no_lamp(tmp_path: Path) -> None:
    keygen([str(tmp_path / "key")])
    with lab(tmp_path, cars=1, more=("--key-file", str(tmp_path / "key"))) as group, attacker_of(group) as attacker:
        for sequence in range(1, 60):
            for key in (NO_KEY, OLD):
                attacker.sendto(forged("lab", sequence, key), (BROADCAST, group.net_port))
            group.run(0.02)
        group.wait_for(0, "dropped a datagram: sealed without a key")
        group.wait_for(0, "dropped a datagram: sealed with another key, or damaged")
        assert group.log(0).count("without a key") <= 4, "the node must log at most one such line a second"
        assert "node 5" not in group.log(0)
        assert group.lamps(0) == set()
        group.press(0, Button.CAB, 1)
        group.wait(lambda: group.elevator(0).sensed == 1, "the node kept serving")


@pytest.mark.rule("S1")
@pytest.mark.parametrize("keyed", [False, True])
def test_replay_does_not_revive_a_dead_node(tmp_path: Path, keyed: bool) -> None:
    more = key_file(tmp_path / "key", OLD) if keyed else ()
    with lab(tmp_path, cars=2, more=more) as group, attacker_of(group) as attacker:
        attacker.setblocking(False)
        recording: list[bytes] = []

        def record() -> bool:
            with suppress(BlockingIOError):
                while sealed := attacker.recv(10_000):
                    heartbeat = decode(sealed[HEAD_BYTES:], "lab")
                    recording.extend([sealed] if heartbeat is not None and heartbeat.sender.id == 1 else [])
            return len(recording) >= 100

        group.wait(record, "100 heartbeats of node 1 are recorded")
        group.kill(1)
        group.wait_for(0, "node 1 timed out")
        for sealed in recording:
            attacker.sendto(sealed, (BROADCAST, group.net_port))
            group.run(0.02)
        group.wait_for(0, "dropped a datagram: replayed")
        assert group.log(0).count("node 1 is alive") == 1
        group.start(1)
        group.wait_for(0, "node 1 is alive", times=2)


def small(number: int) -> list[bytes]:
    return [forged("another", number + sequence, NO_KEY) for sequence in range(1, 200)]


@contextmanager
def repeating(attack: Callable[[], None]) -> Iterator[None]:
    """Call *attack* repeatedly in another thread until the block ends, with a pause of 10 ms before each call."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(0.01):
            attack()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize(
    ("addresses", "datagrams", "reason"),
    [(1, small, "from another group"), (1, large, "malformed"), (100, large, "malformed")],
)
def test_group_keeps_serving_during_a_flood(
    tmp_path: Path, addresses: int, datagrams: Callable[[int], list[bytes]], reason: str
) -> None:
    with lab(tmp_path, cars=2) as group, ExitStack() as opened:
        attackers = [opened.enter_context(open_sender(number)) for number in range(addresses)]
        numbers = itertools.count()

        def attack() -> None:
            for attacker, datagram in zip(itertools.cycle(attackers), datagrams(next(numbers) * 64), strict=False):
                attacker.sendto(datagram, (BROADCAST, group.net_port))

        with repeating(attack):
            group.wait_for(0, f"dropped a datagram: {reason}", times=2)
            group.press(0, Button.DOWN, 3)
            group.wait(lambda: (Button.DOWN, 3) in group.lamps(0) & group.lamps(1), "the lamp lit on all panels")
            group.wait_until_dark()
        assert group.misbehaviour() == 0


def damage(sealed: bytes, rng: random.Random) -> bytes:
    """Return *sealed* unchanged, truncated or with flipped bits, at random."""
    match rng.randrange(4):
        case 0:
            return sealed[: 1 + rng.randrange(len(sealed))]
        case 1:
            return sealed
        case _:
            flipped = bytearray(sealed)
            for _ in range(rng.randrange(1, 9)):
                flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
            return bytes(flipped)


@pytest.mark.rule("G6")
@pytest.mark.parametrize("keyed", [False, True])
def test_damaged_and_replayed_datagrams_create_no_calls(tmp_path: Path, keyed: bool) -> None:
    more = key_file(tmp_path / "key", OLD) if keyed else ()
    rng = random.Random(1)
    pressed = [(Button.UP, 1), (Button.DOWN, 3), (Button.UP, 2), (Button.DOWN, 1)]
    with lab(tmp_path, cars=2, more=more) as group, attacker_of(group) as attacker:
        received: deque[bytes] = deque(maxlen=500)

        def attack() -> None:
            received.append(attacker.recv(10_000))
            for sealed in [*rng.choices(received, k=20), os.urandom(rng.randrange(1, 2000))]:
                attacker.sendto(damage(sealed, rng), (BROADCAST, group.net_port))

        with repeating(attack):
            for number, call in enumerate(pressed):
                group.press(number % 2, *call)
                group.wait(lambda call=call: call in group.lamps(0) & group.lamps(1), "the lamp lit on all panels")  # type: ignore[misc]
                group.wait_until_dark()
        lines = [line.partition(": ")[2] for id in range(2) for line in group.log(id).splitlines()]
        registered = {line for line in lines if line.endswith(": registered")}
        assert registered == {
            f"hall call {button.name.lower()} at floor {floor}: registered" for button, floor in pressed
        }
        assert any(line.startswith("dropped a datagram: sealed with another key, or damaged") for line in lines)
        assert not [line for line in lines if "id" in line.split() or "internal error" in line or "worker" in line]
        assert group.misbehaviour() == 0


def test_watch_and_doctor_need_the_key(tmp_path: Path) -> None:
    more = key_file(tmp_path / "key", OLD)
    with lab(tmp_path, cars=1, more=more) as group:
        for arguments, ids in ((more, [0]), ((), [])):
            with watching("--net-port", str(group.net_port), *arguments) as watch:
                group.wait(lambda watch=watch: len(watch.lines) > 1, "watch shows the group")  # type: ignore[misc]
                shown = watch.last
            assert [node["id"] for node in shown["nodes"]] == ids
            assert set(shown["refused"]) == (set() if ids else {"sealed with another key, or damaged"})
            assert (shown["strangers"] > 0) == (not ids)
        settings = [
            "--port",
            group.building.ports[0],
            "--net-port",
            group.net_port,
            "--broadcast",
            BROADCAST,
            "--no-record",
        ]
        for arguments, sign in ((more, "✓"), ((), "✗")):
            done = group.complete(*PROGRAM, "doctor", *map(str, settings), *arguments)
            line = next(line for line in done.stdout.splitlines() if " of group " in line)
            assert line.startswith(sign)
            assert ("--key-file" in line) == (sign == "✗")
