"""The network checks of `elevator doctor`: broadcasts, firewalls and the other nodes."""

import errno
import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

from attrs import frozen

from elevator.cli.finding import Finding
from elevator.cli.wording import counted
from elevator.core.log_damping import ONE_IN
from elevator.core.messages import Heartbeat
from elevator.net.admission import PROBE, Admission
from elevator.net.broadcast import Interfaces, Route
from elevator.net.seal import OTHER_KEY, UNKEYED
from elevator.net.wire import DATAGRAM_BYTES

PROBES = 10
"""Number of broadcasts sent on each interface: several, because a firewall may drop only some."""
PROBE_S, BROADCAST_S = 0.02, 0.5
"""How long to wait, at most, for probes to arrive: PROBE_S after sending each one, then BROADCAST_S for any that are
still missing."""
LISTEN_S = 1.5
"""How long to listen for heartbeats. Even at high packet loss, some from each node arrive within this time."""


@frozen
class GroupTraffic:
    """What was received on the group's port within LISTEN_S."""

    nodes: dict[int, dict[str, Heartbeat]]
    """For each node id, the last heartbeat received from each IP address."""
    refused: Mapping[str, int]
    """How many datagrams were dropped for each reason."""


def check_broadcast(group_socket: socket.socket, address: str | None) -> Finding:
    """Broadcast probes as a node does, and check that this machine receives most of them.

    The kernel delivers a broadcast to the sending machine as if it came from the network. So the firewall's rules for
    both directions apply. If *address* is None or a multicast group, send the probes on every network interface. If it
    is a multicast group, *group_socket* also joins it on each.
    """
    interfaces = Interfaces(group_socket, address)
    interfaces.refresh()
    if not interfaces.routes:
        return Finding(
            False,
            "no network interface can broadcast, so only nodes on this machine receive this node's heartbeats: "
            "check the cable",
        )
    if interfaces.not_joined:
        where = "; ".join(f"{name}: {error}" for name, error in interfaces.not_joined.items())
        advice = "raise the limit net.ipv4.igmp_max_memberships with sysctl"
        return Finding(False, f"cannot join the multicast group {address} ({where}): {advice}")
    return assess(
        {route.name: probe(group_socket, route) for route in interfaces.routes}, group_socket.getsockname()[1]
    )


@frozen
class ProbeResult:
    """What happened to the PROBES broadcasts on one interface."""

    refused: int = 0
    """How many broadcasts the kernel refused to send."""
    code: int = 0
    """The errno of the last refusal; 0 if there was none."""
    lost: int = 0
    """How many broadcasts were sent but not received."""


def probe(group_socket: socket.socket, route: Route) -> ProbeResult:
    awaited: set[bytes] = set()
    refused = code = 0
    for _ in range(PROBES):
        datagram = PROBE + os.urandom(8).hex().encode()
        try:
            group_socket.sendmsg([datagram], route.ancillary, 0, (route.address, group_socket.getsockname()[1]))
        except OSError as error:
            refused, code = refused + 1, error.errno or 0
        else:
            awaited.add(datagram)
        await_probes(group_socket, awaited, PROBE_S)
    await_probes(group_socket, awaited, BROADCAST_S)
    return ProbeResult(refused, code, len(awaited))


def await_probes(group_socket: socket.socket, awaited: set[bytes], within_s: float) -> None:
    """Receive probes and remove them from *awaited*, until it is empty or *within_s* seconds have passed."""
    until_s = time.monotonic() + within_s
    while awaited and (left_s := until_s - time.monotonic()) > 0:
        group_socket.settimeout(left_s)
        with suppress(OSError):
            awaited.discard(group_socket.recv(DATAGRAM_BYTES + 1))


def assess(probes: Mapping[str, ProbeResult], port: int) -> Finding:
    """Judge from the probes on each interface whether broadcasts to *port* are sent and received.

    The check fails if, on any interface, the kernel refused at least one in ONE_IN probes, or at least one in ONE_IN
    was lost.
    """
    refused = {name: each for name, each in probes.items() if each.refused * ONE_IN >= PROBES}
    lost = {name: each for name, each in probes.items() if each.lost * ONE_IN >= PROBES}
    if not refused and not lost:
        return Finding(True, f"broadcasts to UDP port {port} are sent and received ({', '.join(probes)})")
    problems = []
    if refused:
        where = "; ".join(f"{name}: {os.strerror(each.code)}" for name, each in refused.items())
        is_firewall = any(each.code in (errno.EPERM, errno.EACCES) for each in refused.values())
        advice = (
            f"allow UDP to port {port} out through this machine's firewall"
            if is_firewall
            else "check the cable and the address"
        )
        problems.append(f"cannot send broadcasts to UDP port {port} ({where}): {advice}")
    if lost:
        advice = f"allow UDP to port {port} in through this machine's firewall"
        problems.append(f"broadcasts to UDP port {port} are sent but not received ({', '.join(lost)}): {advice}")
    return Finding(False, "; ".join(problems))


def listen(group_socket: socket.socket, admission: Admission) -> GroupTraffic:
    """Listen for LISTEN_S, decode the datagrams with *admission*, and return what was received."""
    nodes: dict[int, dict[str, Heartbeat]] = {}
    until_s = time.monotonic() + LISTEN_S
    while (left_s := until_s - time.monotonic()) > 0:
        group_socket.settimeout(left_s)
        try:
            datagram, (address, _) = group_socket.recvfrom(DATAGRAM_BYTES + 1)
        except OSError:
            continue
        heartbeat = admission.read(datagram)
        if heartbeat is not None:
            nodes.setdefault(heartbeat.sender.id, {})[address] = heartbeat
    return GroupTraffic(nodes, admission.refused)


def check_peers(traffic: GroupTraffic, group: str) -> Finding:
    refused = [f"{counted(count, 'datagram')} dropped: {reason}" for reason, count in traffic.refused.items()]
    dropped = f" ({'; '.join(refused)})" if refused else ""
    if not traffic.nodes and not traffic.refused.keys().isdisjoint((UNKEYED, OTHER_KEY)):
        return Finding(
            False, f"no other node of group {group} has the same key{dropped}: give all nodes the same --key-file"
        )
    if not traffic.nodes:
        return Finding(True, f"no heartbeats from other nodes of group {group} yet{dropped}")
    peers = ", ".join(f"{id} at {' and '.join(sorted(at))}" for id, at in sorted(traffic.nodes.items()))
    return Finding(True, f"other nodes of group {group}: {peers}{dropped}")


def check_floors(traffic: GroupTraffic, own: int) -> Finding:
    for id, by_address in sorted(traffic.nodes.items()):
        for peer in by_address.values():
            if peer.floors != own:
                return Finding(
                    False,
                    f"node {id} has {peer.floors} floors, but this node has {own}: give all nodes the same --floors",
                )
    if not traffic.nodes:
        return Finding(True, f"{own} floors; no other node to compare with")
    return Finding(True, f"{own} floors, like the other nodes")


def check_id(traffic: GroupTraffic, id: int) -> Finding:
    if id in traffic.nodes:
        return Finding(False, f"id {id} is in use at {' and '.join(sorted(traffic.nodes[id]))}: choose another --id")
    return Finding(True, f"id {id} is not in use")
