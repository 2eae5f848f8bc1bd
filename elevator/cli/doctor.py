"""`elevator doctor`: is everything there that a node needs? One line each: ✓, or ✗ and what to do.

Rules:
- It takes the settings of the node that is to run, and uses what that node would use.
- It disturbs nobody: the elevator server is only read from, and only what every server has; an I/O card that a program
  uses is left alone, and the motor of one that nobody uses is stopped. On the group's port it listens, and broadcasts
  probes, which nodes drop silently (see admission.py).
"""

import os
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from elevator.cli.doctor_network import broadcast, floors, id_free, listen, neighbours, open_port
from elevator.cli.finding import Finding
from elevator.net.admission import Admission
from elevator.runtime.config import Config
from elevator.storage.store import DiskError, StoreError, make

CONNECT_S = 2.0
ANSWER_S = 1.0
ASKS = 20
SLOW_MS = 10.0
"""A server that takes longer to answer misses the ends of its floors' sensors, and presses."""
CARD_S = 3.0
FOREIGN_S = 0.5
"""How long to look for bytes that another program causes the card to send."""
CLOCK_TOLERANCE = 0.05
OLDEST_YEAR = 2025
"""A clock that says less was never set."""


def main(config: Config, keys: Sequence[bytes], directory: Path | None, id_given: bool) -> int:
    """Look at everything; the group has *keys*, and *directory* is where the record would be.

    Return 0 if all is well, else 1.
    """
    worst = 0
    for finding in findings(config, keys, directory, id_given):
        print(f"{'✓' if finding.good else '✗'} {finding.text}", flush=True)
        worst |= not finding.good
    return worst


def findings(config: Config, keys: Sequence[bytes], directory: Path | None, id_given: bool) -> Iterator[Finding]:
    """Yield what is found, as it is found."""
    if config.serial is None:
        yield server(config.host, config.port, config.floors)
    else:
        yield card(str(config.serial), config.speed)
        yield from modem_manager(str(config.serial))
    began_s, began_wall_s = boot_s(), time.time()
    group_port = open_port(config.net_port)
    if isinstance(group_port, Finding):
        yield group_port
    else:
        yield Finding(True, f"UDP port {config.net_port} can be used")
        with group_port:
            yield broadcast(group_port, config.broadcast)
            ears = listen(group_port, Admission(config.group, keys))
        yield neighbours(ears, config.group)
        yield floors(ears, config.floors)
        if id_given:
            yield id_free(ears, config.id)
    yield record(directory)
    yield clock(boot_s() - began_s, time.time() - began_wall_s, time.gmtime().tm_year)


def server(host: str, port: int, floors: int) -> Finding:
    """Ask the elevator server where the car is, some times."""
    where = f"elevator server on {host} port {port}"
    try:
        with socket.create_connection((host, port), timeout=CONNECT_S) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(ANSWER_S)
            took_ms, reply = [], b""
            for _ in range(ASKS):
                asked_s = time.monotonic()
                reply = ask(connection, bytes((7, 0, 0, 0)))
                took_ms.append((time.monotonic() - asked_s) * 1000)
                if reply[0] != 7:
                    return Finding(False, f"{where} is another program: say with --port where the elevator server is")
    except TimeoutError:
        return Finding(False, f"{where} does not answer: end the program that is connected to it, or start it again")
    except OSError as error:
        why = error.strerror or str(error)
        return Finding(False, f"no {where} ({why}): start it, or say with --host and --port where it is")
    at_floor, floor = bool(reply[1]), reply[2]
    if at_floor and floor >= floors:
        return Finding(
            False, f"{where} is at floor {floor}, which does not exist: say with --floors how many there are"
        )
    typical_ms = sorted(took_ms)[ASKS // 2]
    if typical_ms > SLOW_MS:
        return Finding(False, f"{where} takes {typical_ms:.0f} ms to answer: use one that is nearer")
    place = f"at floor {floor}" if at_floor else "between floors"
    return Finding(True, f"{where} answers in {typical_ms:.2f} ms; its car is {place}")


def card(where: str, speed: int) -> Finding:
    """Read the I/O card for a moment, as a node would; its motor is stopped by that, and nothing is lit."""
    from elevator.hardware.card_port import CardPort  # only those who need it load pyserial

    port = CardPort(where, speed)
    until_s = time.monotonic() + CARD_S
    while time.monotonic() < until_s and not port.news:
        port.attend(time.monotonic_ns() // 1_000_000)
        time.sleep(0.001)
    inputs = port.inputs(time.monotonic_ns() // 1_000_000)
    until_s = time.monotonic() + FOREIGN_S
    while inputs is not None and time.monotonic() < until_s:
        port.attend(time.monotonic_ns() // 1_000_000)
        time.sleep(0.001)
    said = port.news[0] if port.news else f"I/O card {where} does not answer"
    port.release()
    if inputs is None:
        why = said.partition(" not there yet (")[2].rpartition(");")[0] or "no answer"
        return Finding(False, f"no I/O card at {where} ({why}): plug it in, end what uses it, or say --serial PATH")
    if port.halts:
        return Finding(False, f"{said}, but replies are late or disturbed: end other programs that use this port")
    place = "between floors" if inputs.floor is None else f"at floor {inputs.floor}"
    return Finding(True, f"{said}; its car is {place}")


def modem_manager(
    where: str, processes: Path = Path("/proc"), udev: Path = Path("/run/udev/data")
) -> Iterator[Finding]:
    """Tell whether ModemManager, if it runs, leaves the card's port alone."""
    from elevator.hardware.card_port import UDEV_MARK, UDEV_RULE, find

    names = []
    for entry in processes.glob("[0-9]*/comm"):
        with suppress(OSError):  # that process has ended
            names.append(entry.read_text().strip())
    if "ModemManager" not in names:
        return
    marks: list[str] = []
    with suppress(OSError):
        number = Path(find(where)).stat().st_rdev
        marks = (udev / f"c{os.major(number)}:{os.minor(number)}").read_text().splitlines()
    if UDEV_MARK in marks:
        yield Finding(True, "ModemManager runs, but a udev rule keeps it from the I/O card")
        return
    todo = f"put {UDEV_RULE} in /etc/udev/rules.d/78-elevator.rules and plug the card in again"
    yield Finding(False, f"ModemManager runs and may write to the I/O card, which can move the car: {todo}")


def ask(connection: socket.socket, request: bytes) -> bytes:
    """Send *request* and return the four bytes of its reply; raise OSError if none comes."""
    connection.sendall(request)
    reply = b""
    while len(reply) < 4:
        chunk = connection.recv(4 - len(reply))
        if not chunk:
            raise ConnectionError("it closes the connection")
        reply += chunk
    return reply


def record(directory: Path | None) -> Finding:
    """Write in the record's *directory* as a node would."""
    if directory is None:
        return Finding(True, "no record is kept: promises end with the program")
    try:
        make(directory)
        with tempfile.TemporaryFile(dir=directory) as file:
            began_s = time.monotonic()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            took_ms = (time.monotonic() - began_s) * 1000
    except (StoreError, DiskError) as error:
        return Finding(False, f"{error}: say with --state-dir where the record can be")
    except OSError as error:
        return Finding(False, f"{directory} cannot be written ({error.strerror}): free it, or say --state-dir")
    return Finding(True, f"the record can be written to {directory}, in {took_ms:.1f} ms")


def boot_s() -> float:
    """Return the clock that nodes use, in seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def clock(passed_s: float, passed_wall_s: float, year: int) -> Finding:
    """Tell whether the clock that nodes use goes as fast as the one on the wall, and whether that was ever set."""
    if abs(passed_s - passed_wall_s) > CLOCK_TOLERANCE * max(passed_s, passed_wall_s) + 0.01:
        return Finding(
            False, f"{passed_s:.2f} s on one clock are {passed_wall_s:.2f} s on the other: set the time and try again"
        )
    if year < OLDEST_YEAR:
        return Finding(False, f"the clock says {year}: set it, or the log's times mean nothing (nodes do not need it)")
    return Finding(True, "clocks go at the same speed")
