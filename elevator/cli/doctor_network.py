"""The doctor's checks of the network: the group's port, the firewall, and the nodes that are heard."""

import errno
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

from attrs import frozen

from elevator.cli.finding import Finding
from elevator.core.log_damping import ONE_IN
from elevator.core.model import Heartbeat
from elevator.net.admission import PROBE, Admission
from elevator.net.broadcast import RECEIVE_BYTES, Way, interfaces
from elevator.net.wire import DATAGRAM_BYTES_MAX

PROBES = 10
"""Broadcasts that are tried on each interface. A firewall may drop only some."""
PROBE_S, BROADCAST_S = 0.02, 0.5
"""How long to wait for one of them before the next is sent, and for all of them."""
LISTEN_S = 1.5
"""Time for some heartbeats, also where most are lost."""


@frozen
class Ears:
    """The datagrams heard on the group's port."""

    heard: dict[int, dict[str, Heartbeat]]
    """By node id and by address."""
    refused: Mapping[str, int]
    """How many datagrams came that are not of this group, by what they are."""


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
    """Check that no other node has our *id*."""
    if id in ears.heard:
        return Finding(False, f"id {id} is in use at {' and '.join(sorted(ears.heard[id]))}: choose another --id")
    return Finding(True, f"id {id} is free")
