"""`elevator doctor`: checks what a node needs. It prints one line for each check, with ✓, or with ✗ and advice.

The checks use the settings of the node. They disturb no running program, except one that uses the I/O card without
locking its port, such as the lab's elevator server:

- They send the elevator server only read requests that every server supports.
- They use the I/O card only if no other program has locked its port, and stop its motor.
- They listen on the group's port and broadcast only probes, which nodes drop silently (see admission.py).
"""

import os
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from elevator.cli.doctor_network import (
    check_broadcast,
    check_floors,
    check_id,
    check_peers,
    listen,
)
from elevator.cli.finding import Finding
from elevator.net.admission import Admission
from elevator.net.broadcast import open_port
from elevator.runtime.config import Config
from elevator.storage.store import DiskError, StoreError, make_directory

CONNECT_S = 2.0
ANSWER_S = 1.0
REQUESTS = 20
SLOW_MS = 10.0
"""The longest acceptable median response time of an elevator server. With a slower server, a node can miss presses and
overshoot floors."""
CARD_S = 3.0
FOREIGN_S = 0.5
"""How long to watch for replies from the I/O card to another program's requests."""
HALTS_MAX = 2
"""If the card's client halts the motor more often than this during the check, another program seems to use the card. On
a busy machine, a single late reply causes a halt too."""


def main(config: Config, keys: Sequence[bytes], directory: Path | None, id_given: bool) -> int:
    """Run all checks for a node and print the results. Return the exit status: 1 if a check fails, else 0.

    *directory* holds the node's record; None if the node keeps no record. The id is checked only if *id_given*.
    """
    status = 0
    for finding in findings(config, keys, directory, id_given):
        print(f"{'✓' if finding.good else '✗'} {finding.text}", flush=True)
        status |= not finding.good
    return status


def findings(config: Config, keys: Sequence[bytes], directory: Path | None, id_given: bool) -> Iterator[Finding]:
    """Yield the result of each check as soon as it is known."""
    if config.serial is None:
        yield check_server(config.host, config.port, config.floors)
    else:
        yield check_card(str(config.serial), config.speed)
        yield from check_modem_manager(str(config.serial))
    try:
        group_socket = open_port(config.net_port)
    except OSError as error:
        yield Finding(False, f"{error.strerror}: stop the program using it, or change --net-port on all nodes")
    else:
        yield Finding(True, f"UDP port {config.net_port} is available")
        with group_socket:
            yield check_broadcast(group_socket, config.broadcast)
            traffic = listen(group_socket, Admission(config.group, keys))
        yield check_peers(traffic, config.group)
        yield check_floors(traffic, config.floors)
        if id_given:
            yield check_id(traffic, config.id)
    yield check_record(directory)


def check_server(host: str, port: int, floors: int) -> Finding:
    """Check that the server answers REQUESTS reads of the floor sensor, in a median time of at most SLOW_MS.

    If its car is at a floor, also check that the node, which has *floors* floors, has this floor.
    """
    where = f"elevator server on {host} port {port}"
    try:
        with socket.create_connection((host, port), timeout=CONNECT_S) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(ANSWER_S)
            took_ms, reply = [], b""
            for _ in range(REQUESTS):
                asked_s = time.monotonic()
                reply = request(connection, bytes((7, 0, 0, 0)))
                took_ms.append((time.monotonic() - asked_s) * 1000)
                if reply[0] != 7:
                    return Finding(False, f"no {where}: another program answers there; correct --host and --port")
    except TimeoutError:
        advice = "stop the program connected to it, restart the server, or correct --host"
        return Finding(False, f"{where} does not answer: {advice}")
    except OSError as error:
        why = error.strerror or str(error)
        return Finding(False, f"cannot connect to the {where} ({why}): start it, or correct --host and --port")
    at_floor, floor = bool(reply[1]), reply[2]
    if at_floor and floor >= floors:
        return Finding(
            False, f"{where} reports floor {floor}, but the node has {floors} floors, 0..{floors - 1}: correct --floors"
        )
    typical_ms = sorted(took_ms)[REQUESTS // 2]
    if typical_ms > SLOW_MS:
        return Finding(
            False,
            f"{where} takes {typical_ms:.0f} ms to answer (limit: {SLOW_MS:.0f} ms): run the server on this machine",
        )
    return Finding(True, f"{where} answers in {typical_ms:.2f} ms; its car is {position(floor if at_floor else None)}")


def position(floor: int | None) -> str:
    return "between floors" if floor is None else f"at floor {floor}"


def check_card(where: str, speed: int) -> Finding:
    """Check that the I/O card answers, and that its replies show no sign of another program that uses it.

    The check stops the motor and changes no other output.
    """
    from elevator.hardware.card_port import CardPort  # Only a card needs pyserial.

    port = CardPort(where, speed)
    until_s = time.monotonic() + CARD_S
    while time.monotonic() < until_s and not port.news:
        port.poll(time.monotonic_ns() // 1_000_000)
        time.sleep(0.001)
    inputs = port.inputs(time.monotonic_ns() // 1_000_000)
    until_s = time.monotonic() + FOREIGN_S
    while inputs is not None and time.monotonic() < until_s:
        port.poll(time.monotonic_ns() // 1_000_000)
        time.sleep(0.001)
    message = port.news[0] if port.news else f"I/O card {where} does not answer"
    port.release()
    if inputs is None:
        why = message.partition("(")[2].rpartition(")")[0] or "no answer"
        return Finding(
            False,
            f"cannot use the I/O card at {where} ({why}): plug it in, stop the program using it, or correct --serial",
        )
    if port.halts > HALTS_MAX:
        return Finding(False, f"{message}, but some replies are late or malformed: stop other programs on this port")
    return Finding(True, f"{message}; its car is {position(inputs.floor)}")


def check_modem_manager(
    where: str, processes: Path = Path("/proc"), udev: Path = Path("/run/udev/data")
) -> Iterator[Finding]:
    """If ModemManager runs, check that a udev rule keeps it from writing to the card's port."""
    from elevator.hardware.card_port import UDEV_MARK, UDEV_RULE, find_port

    names = []
    for entry in processes.glob("[0-9]*/comm"):
        with suppress(OSError):  # The process has exited.
            names.append(entry.read_text().strip())
    if "ModemManager" not in names:
        return
    marks: list[str] = []
    with suppress(OSError):
        number = Path(find_port(where)).stat().st_rdev
        marks = (udev / f"c{os.major(number)}:{os.minor(number)}").read_text().splitlines()
    if UDEV_MARK in marks:
        yield Finding(True, "ModemManager is running, but a udev rule keeps it away from the I/O card")
        return
    advice = f"put {UDEV_RULE} in /etc/udev/rules.d/78-elevator.rules and plug the card in again"
    yield Finding(False, f"ModemManager is running; its writes to the I/O card can move the car: {advice}")


def request(connection: socket.socket, message: bytes) -> bytes:
    """Send *message* and return the four-byte reply; raise OSError if none arrives."""
    connection.sendall(message)
    reply = b""
    while len(reply) < 4:
        chunk = connection.recv(4 - len(reply))
        if not chunk:
            raise ConnectionError("the server closed the connection")
        reply += chunk
    return reply


def check_record(directory: Path | None) -> Finding:
    """Check that a file can be written and synced in *directory*, which is created if it does not exist.

    None: the node keeps no record.
    """
    if directory is None:
        return Finding(True, "no record is kept, so a restart loses calls that only this node knows")
    try:
        make_directory(directory)
        with tempfile.TemporaryFile(dir=directory) as file:
            began_s = time.monotonic()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            took_ms = (time.monotonic() - began_s) * 1000
    except (StoreError, DiskError) as error:
        return Finding(False, f"{error}: choose another directory with --state-dir")
    except OSError as error:
        return Finding(
            False, f"cannot write to {directory} ({error.strerror}): make room or choose another --state-dir"
        )
    return Finding(True, f"the record can be written to {directory}; a write takes {took_ms:.1f} ms")
