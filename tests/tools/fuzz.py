"""Fuzz targets for every parser of external input, run by `just fuzz`.

1. A target passes bytes to a parser as an outsider would. It returns true if the parser accepts any of them. It fails
   if it raises an exception.
2. Targets also apply accepted input to a node, a simulated car or a page, and check what these do with it.
3. `just fuzz` runs each target under atheris (libFuzzer, guided by the coverage of our modules). It stores inputs that
   fail in tests/unit/corpus/TARGET/, and test_corpus.py replays them.
4. The C code also runs with the sanitizers, on pseudo-random inputs from the target `extension` and from
   native/check.c.
"""

import argparse
import io
import json
import os
import random
import select
import selectors
import shutil
import socket
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import cache
from pathlib import Path
from typing import Any

from attrs import evolve

from elevator import _assign
from elevator.building import card_line, elevators, operations
from elevator.building import shaft as physics
from elevator.building.building import Building, listen, open_building
from elevator.building.control import Refused
from elevator.building.occupied_building import OccupiedBuilding
from elevator.building.passengers import PassengerFlow
from elevator.building.shaft import Shaft
from elevator.cli import assign, running_demo, serve_card, simulator_options, watch_view
from elevator.cli.assign_server import Client, serve_client
from elevator.cli.run_node import fail, node_parser
from elevator.core.messages import Heartbeat, Record, Tick
from elevator.core.model import Behaviour, Call, Calls, Inputs, Motor, Policy
from elevator.core.node import Node, boot, heartbeat, outputs, record, wake_at_ms
from elevator.core.step import sent, step
from elevator.hardware import elevator_server as server
from elevator.hardware import panel_outputs
from elevator.hardware.card_port import CardPort
from elevator.hardware.elevator_server import ElevatorServer
from elevator.hardware.io_card import FLOORS as CARD_FLOORS
from elevator.hardware.io_card import IDENTITY, SWEEP, changes
from elevator.hardware.server_side import MESSAGE_BYTES
from elevator.net.admission import Admission, is_probe
from elevator.net.fair_queue import ADDRESS_CAPACITY, CAPACITY, FairQueue
from elevator.net.seal import NO_KEY, seal
from elevator.net.wire import DATAGRAM_BYTES, decode, encode
from elevator.runtime import config
from elevator.storage.records import read_record, write_record
from elevator.storage.store import Store, StoreError
from elevator.storage.strict import BAD_INPUT
from elevator.ui.web import Web, _Visitor

CORPUS = Path(__file__).parents[1] / "unit" / "corpus"
ROOT = Path(__file__).parents[2]
WORK = ROOT / ".cache" / "fuzz"
GROUP = "lab"
FLOORS = 4
KEY = b"k" * 32
SANITIZED = ["cc", "-std=c11", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
SLOW_S = 10
"""The time limit for one input. A target that exceeds it fails."""


class Bytes:
    """Reads an input from start to end. If too little is left, `byte` returns 0 and `take` returns what is left."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def take(self, n: int) -> bytes:
        taken, self.rest = self.rest[:n], self.rest[n:]
        return taken

    def byte(self) -> int:
        return (self.take(1) or b"\0")[0]

    def pieces(self, length_bytes: int = 1) -> Iterator[tuple[int, bytes]]:
        """Yield the control byte and the data of each remaining piece.

        Between the two, the input contains the length of the data, as a big-endian number of *length_bytes* bytes.
        """
        while self.rest:
            control = self.byte()
            yield control, self.take(int.from_bytes(self.take(length_bytes), "big"))


# The effect on a node


class Running:
    """A node in a building of four floors. Its disk stores every record at once."""

    def __init__(self, record: Record | None = None) -> None:
        self.node: Node = boot(0, FLOORS, record, 1, 0, Policy())
        self.known: set[Call] = set(self.node.calls.live.values())
        """All calls that were in the record, pressed on this node's panel or reported by peers."""
        self.run(0, None)

    def run(self, now_ms: int, inputs: Inputs | None, heard: tuple[Heartbeat, ...] = ()) -> None:
        """Take one step of the node with *inputs* and the heartbeats *heard*. Check its outputs and heartbeat."""
        for each in heard:
            self.known |= set(each.calls.live.values())
        old, recorded = self.node, record(self.node).calls
        if inputs is not None and old.inputs is not None and inputs == old.inputs:
            inputs = old.inputs
        self.node = node = step(old, Tick(max(now_ms, old.now_ms), inputs, heard, recorded))
        self.known |= {call for dot, call in node.calls.live.items() if dot.author == node.me}
        assert node.lit <= self.known, "the lamp of an unknown call is lit"
        shown = outputs(node)
        assert not (shown.door and shown.motor is not Motor.STOP), "the motor runs with the door open"
        assert node.drive.behaviour in Behaviour
        check_messages(server.changes(None, shown, FLOORS), FLOORS)
        changes(None, shown, 174)
        assert wake_at_ms(node) > 0
        original = heartbeat(node)
        datagram = encode(original, GROUP)
        assert len(seal(datagram, NO_KEY)) <= DATAGRAM_BYTES
        assert decode(datagram, GROUP) == original
        self.node = sent(node, original)

    def check_round_trip(self) -> None:
        """Check that encoding and decoding the record does not change the version vector of its calls."""
        kept = read_record(write_record(record(self.node)), FLOORS)
        assert kept.calls.seen == self.node.calls.seen


def check_messages(messages: bytes, floors: int) -> None:
    """Check that *messages* are valid for a panel of *floors* floors."""
    for operation, first, second, third in struct.iter_unpack("4B", messages):
        match operation:
            case server.MOTOR:
                assert first in (0, 1, 255)
                assert second == third == 0
            case server.LAMP:
                assert (first, second) in set(panel_outputs.panel_buttons(floors))
                assert third < 2
            case server.INDICATOR:
                assert first < floors
            case _:
                assert operation in (server.DOOR, server.STOP_LAMP)
                assert first < 2


# The network


def datagrams(data: bytes) -> bool:
    """Send datagrams to a node. Some get a valid seal, so that the node parses their contents."""
    admission, running, now_ms, taken = Admission(GROUP), Running(), 0, False
    still = Inputs(floor=0)
    for how, datagram in Bytes(data).pieces(length_bytes=2):
        heard = admission.admit(seal(datagram, NO_KEY) if how & 1 else datagram)
        now_ms += how >> 1
        running.run(now_ms, still if how & 2 else None, () if heard is None else (heard,))
        taken = taken or heard is not None
    running.check_round_trip()
    return taken


def seals(data: bytes) -> bool:
    """Check that an admission with keys accepts only datagrams sealed with one of the keys."""
    admission = Admission(GROUP, (KEY, b"o" * 32))
    assert admission.admit(data) is None
    assert sum(admission.refused.values()) == (not is_probe(data))
    assert admission.admit(seal(data, NO_KEY)) is None
    return admission.admit(seal(data, KEY)) is not None


def fair_queue(data: bytes) -> bool:
    """Put datagrams into a fair queue and pop them. Check its bounds, and the order of each address's datagrams."""
    queue, came, read = FairQueue(), [0] * 256, [-1] * 256
    for each in data:
        if each == 255:
            for _ in range(min(len(queue), 16)):
                address, datagram = queue.pop()
                assert int(datagram) > read[int(address)]
                read[int(address)] = int(datagram)
        elif each >= 240:
            queue.mark_known(str(each - 240))
        else:
            queue.put(str(each), b"%d" % came[each])
            came[each] += 1
        assert len(queue) <= 2 * CAPACITY
    left = [queue.pop()[0] for _ in range(len(queue))]
    assert all(left.count(address) <= ADDRESS_CAPACITY for address in set(left))
    return sum(came) > 0


def watch_views(data: bytes) -> bool:
    """Send datagrams to `elevator watch`, and check that every view can show the result."""
    admission, group, now_ms = Admission(GROUP), watch_view.Group(), 0
    for how, datagram in Bytes(data).pieces(length_bytes=2):
        now_ms += how >> 1
        heard = admission.admit(seal(datagram, NO_KEY) if how & 1 else datagram)
        if heard is not None:
            group = watch_view.receive(group, heard, "10.0.0.1", now_ms)
    json.dumps([watch_view.rows(group, now_ms), watch_view.scene(group, now_ms)])
    watch_view.draw(evolve(group, refused=admission.refused), GROUP, now_ms, 80, 24)
    return bool(group.nodes)


# Files and arguments


def record_text(data: bytes) -> bool:
    """Read a record from text or bytes. If the record is valid, a node must be able to start from it."""
    text: Any = data[1:] if data[:1] == b"\0" else data.decode(errors="replace")
    try:
        kept = read_record(text, FLOORS)
    except BAD_INPUT:
        return False
    running = Running(kept)
    running.run(500, Inputs(floor=1))
    running.run(900, Inputs(floor=1))
    running.check_round_trip()
    return True


def record_file(data: bytes) -> bool:
    """Open the input as the file of a record. The store must read it, rename it or refuse its version."""
    with scratch() as directory:
        (directory / "record.sqlite").write_bytes(data)
        try:
            store = Store(directory, FLOORS)
        except StoreError:
            return False
        kept = store.load()
        assert store.save("[1,null,[],[]]")
        assert store.load() == Record(1, Calls())
        store.close()
    return kept is not None


def configuration(data: bytes) -> bool:
    """Read a configuration file. An invalid file must get a one-line error message."""
    with scratch() as directory:
        (directory / "file").write_bytes(data)
        try:
            settings = config.load({"id": 3}, directory / "file")
        except config.ConfigError as error:
            assert_prints_one_line(error)
            return False
    assert 2 <= settings.floors <= 64
    return True


def key_file(data: bytes) -> bool:
    with scratch() as directory:
        file = directory / "file"
        file.write_bytes(data)
        file.chmod(0o600)
        try:
            keys = config.read_keys(file)
        except config.ConfigError as error:
            assert_prints_one_line(error)
            return False
    assert all(len(key) == 32 for key in keys)
    return True


def arguments(data: bytes) -> bool:
    """Parse the arguments of a node, or the file `simulator.con` and perhaps the arguments of `elevator sim`.

    An error message must be one line.
    """
    rest = Bytes(data)
    how = rest.byte()
    words = [os.fsdecode(word) for word in rest.rest.split(b"\n")]
    errors, here = io.StringIO(), Path.cwd()
    with scratch() as directory, redirect_stderr(errors), redirect_stdout(io.StringIO()):
        try:
            os.chdir(directory)
            if how & 1:
                (directory / simulator_options.FILE).write_bytes(rest.rest)
                _, ignored = simulator_options.options(words if how & 2 else [])
                assert all(line.isprintable() for line in ignored)
            else:
                config.load({k: v for k, v in vars(node_parser().parse_args(words)).items() if k != "config"}, None)
            status: object = 0
        except SystemExit as ended:
            status = ended.code
        except config.ConfigError as error:
            status = fail(str(error))
        finally:
            os.chdir(here)
    if status:
        assert_one_line(errors.getvalue().removesuffix("\n"))
    assert status in (0, None, 2)
    return not status


def assert_prints_one_line(error: config.ConfigError) -> None:
    with redirect_stderr(io.StringIO()) as errors:
        assert fail(str(error)) == 2
    assert_one_line(errors.getvalue().removesuffix("\n"))


def assert_one_line(text: object) -> None:
    assert len(str(text).splitlines()) == 1, f"not one line: {str(text)!r}"


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:  # noqa: S108
        yield Path(directory)


# Elevators


def elevator_server(data: bytes) -> bool:
    """Answer a node in place of an elevator server, in pieces of up to 255 bytes. Some pieces are valid replies."""
    near, far = tcp_pair()
    port, running, now_ms, taken = ElevatorServer("127.0.0.1", 1, FLOORS), Running(), 1000, False
    port._socket, port._give_up_at_ms = near, 1 << 40
    asked = server.sweep(FLOORS)
    with far:
        port.poll(now_ms)
        for how, piece in Bytes(data).pieces():
            now_ms += how >> 1
            with suppress(OSError):
                far.send(reply(asked, piece) if how & 1 else piece)
                while far in select.select([far], [], [], 0)[0] and far.recv(65536):
                    pass
            if port.sockets() == ([], []):
                break
            port.poll(now_ms)
            inputs = port.inputs(now_ms)
            taken = taken or inputs is not None
            running.run(now_ms, inputs)
            port.write(outputs(running.node))
        running.check_round_trip()
        port.stop()
    return taken


def reply(asked: bytes, piece: bytes) -> bytes:
    """Reply to the messages *asked*. Each reply contains two bytes of *piece*."""
    values = piece.ljust(len(asked) // 2, b"\0")
    return b"".join(bytes((asked[4 * n], values[2 * n], values[2 * n + 1], 0)) for n in range(len(asked) // 4))


def io_card(data: bytes) -> bool:
    """Answer a node in place of an I/O card, in pieces of up to 255 bytes. Some pieces are valid replies."""
    near, far = socket.socketpair()
    port, running, now_ms, taken = CardPort("card", 174), Running(), 1000, False
    near.setblocking(False)
    far.setblocking(False)
    port._port = near  # type: ignore[assignment]  # CardPort uses only the file descriptor.
    port._attributes = [0, 0, 0, 0, 0, 0, [b"\0"] * 32]
    port.client.begin(now_ms)
    with far:
        port.poll(now_ms, readable=False)
        for how, piece in Bytes(data).pieces():
            now_ms += how >> 1
            with suppress(OSError):
                asked = far.recv(65536).count(SWEEP[-1])
                whole = bytes((IDENTITY, *piece.ljust(2, b"\0")[:2], IDENTITY))
                far.send(bytes((IDENTITY,)) * asked if how & 3 == 1 else whole if how & 3 == 3 else piece)
            if port.sockets() == ([], []):
                break
            port.poll(now_ms)
            inputs = port.inputs(now_ms)
            taken = taken or inputs is not None
            running.run(now_ms, inputs)
            port.write(outputs(running.node))
        running.check_round_trip()
        port.release()
    return taken


@cache
def listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Return both ends of a TCP connection that closes without TIME_WAIT."""
    near = socket.create_connection(listener().getsockname())
    far, _ = listener().accept()
    for each in (near, far):
        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        each.setblocking(False)
    return near, far


# The simulator


@contextmanager
def building() -> Iterator[Building]:
    opened = open_building([physics.put(Shaft(FLOORS, 2000, 500), 0, 0)] * 2)
    opened.clock_us = lambda: 1_000_000
    try:
        yield opened
    finally:
        opened.close()


def simulator(data: bytes) -> bool:
    """Send bytes to the server of a simulated elevator, in place of a controller."""
    with building() as opened:
        opened.clock_us = clock = Clock(1000)
        for how, piece in Bytes(data).pieces():
            clock.now_us += how * 10_000
            opened._expire(0, opened.settle() // 1000, clock.now_us)
            opened._answer(0, piece)
        served = opened.servers[0]
        json.dumps([operations.state(opened, 0), opened.history.since(0)])
        replies = served.unsent
        assert len(replies) % MESSAGE_BYTES == 0
        assert not served.reader.peek()
        assert server.snapshot(replies, FLOORS) is None or len(replies) == len(server.sweep(FLOORS))
    return bool(replies)


class Clock:
    """A clock with a settable time."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us


def control(data: bytes) -> bool:
    """Send lines to the control socket of a simulator."""
    taken = False
    with building() as opened:
        opened.clock_us = clock = Clock(1000)
        for line in data.split(b"\n"):
            clock.now_us += 100_000
            taken = json.loads(operations.answer(opened, line)).get("ok", False) or taken
            opened.settle()
        json.dumps([operations.state(opened, 0), operations.state(opened, 1), opened.history.since(0)])
    return taken


def page_messages(data: bytes) -> bool:
    """Send lines to a demo in place of its page. Requests to nodes and the network are parsed but not executed."""
    taken = False
    with building() as opened:
        opened.clock_us = clock = Clock(1000)
        occupied = OccupiedBuilding(opened, PassengerFlow(1, 2, FLOORS, 60, 0))

        def apply(name: str, request: object) -> None:
            if isinstance(request, running_demo.SetLoss) and not 0 <= request.percent <= 100:
                raise Refused("percent is from 0 to 100")

        for line in data.split(b"\n"):
            clock.now_us += 100_000
            opened.settle()
            taken = json.loads(occupied.handle(line, running_demo.REQUESTS, apply)).get("ok", False) or taken
            occupied.step_passengers()
            json.dumps(occupied.scene())
    return taken


@cache
def site() -> tuple[Web, list[bytes]]:
    requests: list[bytes] = []

    def answer(line: bytes) -> bytes:
        requests.append(line)
        return b'{"ok":true}'

    return Web(listen("127.0.0.1", 0), lambda sock, mask, then: None, answer, "127.0.0.1"), requests


VISIT = (
    b"GET /live HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def visitor(data: bytes) -> bool:
    """Send bytes to the page's port: HTTP, or WebSocket frames after a valid handshake."""
    web, requests = site()
    requests.clear()
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    rest = Bytes(data)
    visiting = _Visitor(near)
    web._visitors.append(visiting)
    with far:
        pieces = [VISIT] if rest.byte() & 1 else []
        for piece in [*pieces, rest.take(500), rest.rest]:
            if not piece or visiting not in web._visitors:
                continue
            far.send(piece)
            web._serve(visiting, selectors.EVENT_READ)
            web.show({"a": 1})
            with suppress(OSError):
                while far.recv(65536):
                    pass
        assert len(visiting.unsent) < 1 << 20
        far.shutdown(socket.SHUT_WR)
        for _ in range(3):
            if visiting in web._visitors:
                web._serve(visiting, selectors.EVENT_READ)
    assert visiting not in web._visitors
    return bool(requests)


def card_server(data: bytes) -> bool:
    """Send messages to `elevator serve-card`."""
    inputs = Inputs(floor=2)
    wanted, replies = serve_card.Wanted(), b""
    for message in (data[at : at + 4] for at in range(0, len(data) - 3, 4)):
        replies += serve_card.answer(inputs, 200, message)
        wanted = serve_card.apply(wanted, message, 174)
        changes(None, wanted.outputs, wanted.speed)
    assert len(replies) % 4 == 0
    return bool(replies)


def simulated_card(data: bytes) -> bool:
    """Send bytes to a simulated I/O card."""
    card, moved, replied = (
        card_line.Card(),
        elevators.new_elevator(physics.put(Shaft(CARD_FLOORS, 2000, 500), 0, 0)),
        b"",
    )
    for number, byte in enumerate(data):
        moved, _ = elevators.settle(moved, number)
        card, moved, reply = card_line.apply_byte(card, moved, byte, number)
        replied += reply
    return bool(replied)


# The assigner


def assigner(data: bytes) -> bool:
    """Run `elevator assign` with any arguments and input lines."""
    line, _, rest = data.partition(b"\0")
    try:
        asked = assign.read_arguments([os.fsdecode(word) for word in line.split(b"\n")])
    except assign.InputError as error:
        assert_one_line(error)
        return False
    taken = False
    for text in (rest.decode(errors="surrogateescape") or asked.input).split("\n"):
        answer, good = assign.answer_line(text, asked.options)
        assert "\n" not in answer
        answer.encode()
        shares = json.loads(answer)
        if good:
            building = assign.parse(text)
            hall = (building if "states" in building else building["input"]).get("hallRequests", [])
            owners = [[sum(row[way] for row in rows) for way in (0, 1)] for rows in zip(*shares.values(), strict=True)]
            assert owners == [[int(up), int(down)] for up, down in hall], "a call has no owner, or two"
        taken = taken or good
    return taken


def assigner_socket(data: bytes) -> bool:
    """Send bytes to `elevator assign --serve`, in pieces of up to 255 bytes."""
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    client, answers = Client(near), b""
    with selectors.DefaultSelector() as selector, near, far:
        selector.register(near, selectors.EVENT_READ, client)
        for _, piece in Bytes(data).pieces():
            if piece and near.fileno() >= 0:
                far.send(piece)
                serve_client(selector, client, selectors.EVENT_READ, answer_line)
                with suppress(BlockingIOError):
                    answers += far.recv(1 << 20)
    for line in answers.decode().split("\n")[:-1]:
        assert isinstance(json.loads(line), dict)
    return bool(answers)


def answer_line(text: str) -> str:
    return assign.answer_line(text, assign.Options())[0]


def extension(data: bytes) -> bool:
    """Call the C extension with any arguments. It must answer, or raise ValueError or TypeError."""
    rest = Bytes(data)
    taken = False
    calls: list[Callable[..., object]] = [_assign.reference, _assign.plan, _assign.park]
    while rest.rest:
        call = calls[rest.byte() % len(calls)]
        try:
            call(*fitting(call.__name__, rest))
            taken = True
        except (ValueError, TypeError):
            pass
    return taken


def integer(rest: Bytes) -> int:
    """Read an integer, usually a small one."""
    how = rest.byte()
    if how < 160:
        return how % 8
    if how < 230:
        return int.from_bytes(rest.take(how % 9), "little")
    if how < 240:
        return int.from_bytes(rest.take(how % 10 + 8), "little", signed=True)
    return -(how % 8)


def anything(rest: Bytes) -> Any:
    """Return an object that may have an unexpected type or value."""
    return (None, 1.5, "text", [1], (1, 2), {}, 1 << 70, -1)[rest.byte() % 8]


def fitting(name: str, rest: Bytes) -> list[Any]:
    """Read arguments that usually fit the signature of function *name*."""
    n = max(0, min(integer(rest), 70))

    def rows(width: int) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(integer(rest) for _ in range(width)) for _ in range(n))

    def numbers() -> tuple[int, ...]:
        how_many = integer(rest)
        return tuple(integer(rest) for _ in range(min(how_many, 70)))

    match name:
        case "reference":
            given: list[Any] = [integer(rest), integer(rest), integer(rest), list(rows(4))]
            flags = rest.byte()
            given += [integer(rest), integer(rest), bool(flags & 1), flags >= 252]
        case "plan":
            ages = ((integer(rest), integer(rest)), (integer(rest), integer(rest)))
            given = [integer(rest), integer(rest), integer(rest), rows(4), rows(2), ages, numbers(), numbers()]
        case _:
            given = [integer(rest), rows(4), rows(2), numbers(), numbers(), integer(rest), integer(rest)]
    if rest.byte() % 4 == 0:
        given[rest.byte() % len(given)] = anything(rest)
    return given[: len(given) - (rest.byte() == 7)]


TARGETS: dict[str, Callable[[bytes], bool]] = {
    target.__name__: target
    for target in (
        datagrams,
        seals,
        fair_queue,
        watch_views,
        record_text,
        record_file,
        configuration,
        key_file,
        arguments,
        elevator_server,
        io_card,
        simulator,
        control,
        page_messages,
        visitor,
        card_server,
        simulated_card,
        assigner,
        assigner_socket,
        extension,
    )
}


# The command


def fuzz(name: str, seconds: float) -> bool:
    """Run a target under atheris for *seconds*. Return whether all inputs passed."""
    found, seeds = WORK / name, CORPUS / name
    found.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_total_time={seconds:.0f}", f"-timeout={SLOW_S}", f"-artifact_prefix={seeds}/"]
    command = [sys.executable, __file__, "--target", name, *limits, "-print_final_stats=1", "-verbosity=0"]
    done = subprocess.run([*command, str(found), str(seeds)], capture_output=True, text=True, check=False)
    runs = [line.split()[-1] for line in done.stderr.splitlines() if "number_of_executed_units" in line]
    print(f"{name}: {runs[0] if runs else 'no'} inputs, exit status {done.returncode}", flush=True)
    if done.returncode:
        lines = (done.stdout + done.stderr).splitlines()
        print("\n".join(line for line in lines if not line.startswith(("INFO:", "WARNING:", "#"))), flush=True)
    return done.returncode == 0


def run_atheris(name: str, options: list[str]) -> None:
    """Run atheris on one target in this process. Atheris instruments the project's modules and ends the process."""
    import atheris

    for module in [module for module in sys.modules if module.split(".")[0] == "elevator"]:
        if module != "elevator._assign":
            del sys.modules[module]
    with atheris.instrument_imports(include=["elevator"]):
        import fuzz
    target = fuzz.TARGETS[name]
    atheris.Setup([sys.argv[0], *options], target)
    atheris.Fuzz()


def sanitize(seconds: float) -> bool:
    """Build the extension `_assign` and native/check.c with the sanitizers, and run both on pseudo-random inputs.

    Repeat the runs with other inputs until *seconds* have passed or one fails. Return whether all passed.
    """
    native, package = ROOT / "native", WORK / "sanitized" / "elevator"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(ROOT / "elevator", package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    sources = [str(path) for part in ("assign", "plan") for path in native.glob(f"{part}*.c")]
    check, module = WORK / "check", package / f"_assign{sysconfig.get_config_var('EXT_SUFFIX')}"
    subprocess.run([*SANITIZED, *sources, *map(str, native.glob("check*.c")), "-o", str(check)], check=True)
    sources += [str(native / name) for name in ("module.c", "values.c")]
    include = ["-isystem", sysconfig.get_path("include")]
    subprocess.run([*SANITIZED, "-shared", "-fPIC", *include, *sources, "-o", str(module)], check=True)
    within = {
        "LD_PRELOAD": " ".join(library(each) for each in ("libasan.so", "libubsan.so")),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python does not free everything at exit.
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(package.parent),
    }
    good, end = True, time.monotonic() + seconds
    while good and time.monotonic() < end:
        seed = str(random.randrange(1 << 32))
        good = succeeds([str(check), "random", "100000", seed])
        good = succeeds([str(check), "plan", "2000", seed]) and good
        good = succeeds([sys.executable, __file__, "--random", "extension", "20000", seed], **within) and good
    return good


def library(name: str) -> str:
    """Return the path of a library that the C compiler provides."""
    command = ["cc", f"-print-file-name={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def run_random(name: str, count: int, seed: int) -> int:
    """Run a target on *count* pseudo-random mutations of its known inputs. Return 0, the exit status."""
    rng = random.Random(seed)
    known = [file.read_bytes() for folder in (CORPUS / name, WORK / name) for file in sorted(folder.glob("*"))]
    taken = 0
    for _ in range(count):
        data = bytearray(rng.choice(known)) + rng.randbytes(rng.choice((0, 0, 100)))
        for _ in range(rng.randrange(5)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        taken += TARGETS[name](bytes(data))
    print(f"{taken} of {count} inputs accepted by {Path(str(_assign.__file__)).parent}")
    return 0


def succeeds(command: list[str], **environment: str) -> bool:
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    print(f"{' '.join(command)}: {done.stdout.splitlines()[-1:]}, exit status {done.returncode}", flush=True)
    if done.returncode:
        print(done.stderr[-4000:], flush=True)
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the parsers of external input, and the C code.")
    parser.add_argument("seconds", type=float, nargs="?", default=20, help="seconds for each target; default: 20")
    parser.add_argument("targets", nargs="*", help=f"targets to run: {', '.join(TARGETS)}, sanitizers; default: all")
    arguments = parser.parse_args()
    names = arguments.targets or [*TARGETS, "sanitizers"]
    if unknown := set(names) - TARGETS.keys() - {"sanitizers"}:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    results = [sanitize(arguments.seconds) if name == "sanitizers" else fuzz(name, arguments.seconds) for name in names]
    return int(not all(results))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--target"]:
        run_atheris(sys.argv[2], sys.argv[3:])
    if sys.argv[1:2] == ["--random"]:
        sys.exit(run_random(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
    sys.exit(main())
