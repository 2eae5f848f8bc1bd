"""`elevator doctor`: is everything there that a node needs? One line each: ✓, or ✗ and what to do.

Rules:
- It takes the settings of the node that is to run, and uses what that node would use.
- It disturbs nobody: the elevator server is only read from, and only what every server has; an I/O card that a program
  uses is left alone, and the motor of one that nobody uses is stopped. On the group's port it listens, and broadcasts
  probes, which nodes drop silently (see admission.py).
"""

import errno
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from elevator.core.log_damping import ONE_IN
from elevator.core.model import Heartbeat
from elevator.net.admission import PROBE, Admission
from elevator.net.broadcast import RECEIVE_BYTES, Way, interfaces
from elevator.net.wire import DATAGRAM_BYTES_MAX
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
PROBES = 10
"""Broadcasts that are tried on each interface. A firewall may drop only some."""
PROBE_S, BROADCAST_S = 0.02, 0.5
"""How long to wait for one of them before the next is sent, and for all of them."""
LISTEN_S = 1.5
"""Time for some heartbeats, also where most are lost."""
CLOCK_TOLERANCE = 0.05
OLDEST_YEAR = 2025
"""A clock that says less was never set."""


@frozen
class Finding:
    """What was found; if it is not *good* it says what to do."""

    good: bool
    text: str


@frozen
class Ears:
    """What was heard on the group's port."""

    heard: dict[int, dict[str, Heartbeat]]
    """By node id and by address."""
    refused: Mapping[str, int]
    """How many datagrams came that are not of this group, by what they are."""


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


def open_port(port: int) -> socket.socket | Finding:
    """Open the group's *port* as a node does, beside the nodes that have it open on this machine."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT, socket.SO_BROADCAST):
        opened.setsockopt(socket.SOL_SOCKET, option, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    try:
        opened.bind(("", port))
    except OSError as error:
        opened.close()
        why = error.strerror or str(error)
        return Finding(False, f"UDP port {port} cannot be used ({why}): end what uses it, or say --net-port everywhere")
    return opened


def broadcast(group_port: socket.socket, address: str | None) -> Finding:
    """Broadcast to the group's port from that port, as a node does, and see whether it comes back.

    The kernel hands a broadcast to its sender's machine as if it came from the network, so the firewall's rules for
    both directions apply.
    """
    ways = [Way(f"to {address}", address)] if address else interfaces(group_port)
    if not ways:
        return Finding(
            False, "no network interface can broadcast: plug in the network; until then only nodes here meet"
        )
    return passage({way.name: probe(group_port, way) for way in ways}, group_port.getsockname()[1])


@frozen
class Passage:
    """What became of PROBES broadcasts."""

    refused: int = 0
    """How many the kernel did not send."""
    code: int = 0
    """The errno of the last of these."""
    lost: int = 0
    """How many were sent and did not come back."""


def probe(group_port: socket.socket, way: Way) -> Passage:
    """Broadcast probes by *way*."""
    awaited: set[bytes] = set()
    refused = code = 0
    for _ in range(PROBES):
        datagram = PROBE + os.urandom(8).hex().encode()
        try:
            group_port.sendmsg([datagram], way.ancillary, 0, (way.address, group_port.getsockname()[1]))
        except OSError as error:
            refused, code = refused + 1, error.errno or 0
        else:
            awaited.add(datagram)
        await_probes(group_port, awaited, PROBE_S)
    await_probes(group_port, awaited, BROADCAST_S)
    return Passage(refused, code, len(awaited))


def await_probes(group_port: socket.socket, awaited: set[bytes], within_s: float) -> None:
    """Take from *awaited* those that come back *within_s*."""
    until_s = time.monotonic() + within_s
    while awaited and (left_s := until_s - time.monotonic()) > 0:
        group_port.settimeout(left_s)
        with suppress(OSError):
            awaited.discard(group_port.recv(DATAGRAM_BYTES_MAX + 1))


def passage(tried: Mapping[str, Passage], port: int) -> Finding:
    """Tell what the firewall does to broadcasts, from what became of those on each interface."""
    refused = {name: each for name, each in tried.items() if each.refused * ONE_IN >= PROBES}
    lost = {name: each for name, each in tried.items() if each.lost * ONE_IN >= PROBES}
    if not refused and not lost:
        return Finding(True, f"broadcasts to UDP port {port} come back ({', '.join(tried)})")
    problems = []
    if refused:
        where = "; ".join(f"{name}: {os.strerror(each.code)}" for name, each in refused.items())
        is_firewall = any(each.code in (errno.EPERM, errno.EACCES) for each in refused.values())
        advice = f"let UDP port {port} out of this machine's firewall" if is_firewall else "check cable and address"
        problems.append(f"broadcasts to UDP port {port} cannot be sent ({where}): {advice}")
    if lost:
        advice = f"let UDP port {port} into this machine through its firewall"
        problems.append(f"broadcasts to UDP port {port} do not come back ({', '.join(lost)}): {advice}")
    return Finding(False, "; ".join(problems))


def listen(group_port: socket.socket, admission: Admission) -> Ears:
    """Listen on the group's port for a moment to what *admission* lets in."""
    heard: dict[int, dict[str, Heartbeat]] = {}
    until_s = time.monotonic() + LISTEN_S
    while (left_s := until_s - time.monotonic()) > 0:
        group_port.settimeout(left_s)
        try:
            datagram, (address, _) = group_port.recvfrom(DATAGRAM_BYTES_MAX + 1)
        except OSError:
            continue
        heartbeat = admission.read(datagram)
        if heartbeat is not None:
            heard.setdefault(heartbeat.sender.id, {})[address] = heartbeat
    return Ears(heard, admission.refused)


def neighbours(ears: Ears, group: str) -> Finding:
    """Tell who else is there."""
    strangers = "".join(f"; {times} datagrams dropped: {what}" for what, times in ears.refused.items())
    if any("key" in what for what in ears.refused) and not ears.heard:
        return Finding(False, f"nobody of group {group} has this node's key{strangers}: give all the same --key-file")
    if not ears.heard:
        return Finding(True, f"nobody else of group {group} is here yet{strangers}")
    names = ", ".join(f"{id} at {' and '.join(sorted(by_address))}" for id, by_address in sorted(ears.heard.items()))
    return Finding(True, f"nodes of group {group}: {names}{strangers}")


def floors(ears: Ears, own: int) -> Finding:
    """Tell whether all have the same number of floors."""
    odd = sorted((id, each.floors) for id, heard in ears.heard.items() for each in heard.values() if each.floors != own)
    if odd:
        id, count = odd[0]
        return Finding(False, f"node {id} has {count} floors, this one {own}: give all of them the same --floors")
    return Finding(True, f"{own} floors, as everybody has" if ears.heard else f"{own} floors; nobody says otherwise")


def id_free(ears: Ears, id: int) -> Finding:
    """Tell whether nobody else has our *id*."""
    if id in ears.heard:
        return Finding(False, f"id {id} is in use at {' and '.join(sorted(ears.heard[id]))}: choose another --id")
    return Finding(True, f"id {id} is free")


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
