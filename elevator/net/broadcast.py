"""The broadcast socket: sends heartbeats to all nodes of the group and receives those of other nodes.

By default, heartbeats are broadcast on every network interface. They can also be sent to a single broadcast address, or
to a multicast group on every interface. The kernel's defaults suit multicast: a datagram has TTL 1, so routers do not
forward it, and other programs on the sending machine receive it too (ip(7)).
"""

import fcntl
import ipaddress
import logging
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from elevator.core.log_damping import Condition
from elevator.core.messages import Heartbeat
from elevator.core.model import NEVER_MS, Author
from elevator.net.admission import Admission
from elevator.net.fair_queue import CAPACITY, FairQueue
from elevator.net.seal import HEAD_BYTES, seal
from elevator.net.wire import DATAGRAM_BYTES, encode, own_head

log = logging.getLogger("elevator")


BROADCAST, LOOPBACK = "255.255.255.255", "127.255.255.255"
NO_INTERFACE = "no network interface"
REFRESH_MS, REFRESH_OFFLINE_MS = 1000, 100
"""How often to list the network interfaces: normally, and while there is none or all of them fail."""
SIOCGIFFLAGS, SIOCGIFADDR, IFF_UP, IFF_BROADCAST, IFF_MULTICAST, IP_PKTINFO = 0x8913, 0x8915, 1, 2, 0x1000, 8
"""Linux constants that Python's socket module lacks; see netdevice(7) and ip(7)."""
READ_NS = 3_000_000
"""The limit on CPU time for decoding datagrams in one `receive`, so that a flood does not delay the car. A limit on
elapsed time would leave too little CPU time on a busy machine."""
RATE_MS = 100
FREE, REST_MAX_MS = 10, 25
"""After `receive` has read datagrams, the socket *rests*: 1 ms for each datagram beyond FREE that arrived in about the
last RATE_MS, but at most REST_MAX_MS. A small group seldom sends more than FREE. During a rest, the node does not wait
for datagrams, because waking the process costs more than reading a datagram. If the process is awake for another
reason, `receive` reads after half of the rest. An idle node wakes for its panel about every REST_MAX_MS. So even in a
large group, it seldom wakes only for datagrams."""
SEND_FAILS_MS, SEND_WORKS_MS = 2000, 10_000
"""An interface is logged as failing once at least one broadcast in five has failed throughout SEND_FAILS_MS, and as
working again after SEND_WORKS_MS without a failure (log_damping.py). Single failures are normal."""
RECEIVE_BYTES = 1 << 20
"""The size of the receive buffer to request. The kernel may grant less."""


class Broadcast:
    """The broadcast socket of a node.

    Without a configured address, each heartbeat is sent on every interface that is up and has an address. A plain
    broadcast to 255.255.255.255 would need a default route, which a lab network without a router lacks. Nodes on the
    same machine receive the heartbeats too. If there is no interface, or all of them fail, heartbeats are also sent on
    the loopback interface, so that at least these nodes receive them.
    """

    def __init__(
        self,
        group: str,
        port: int,
        address: str | None,
        keys: Sequence[bytes],
        me: Author,
        clock_ms: Callable[[], int],
    ) -> None:
        """Open UDP *port*; raise OSError on failure.

        Heartbeats are sealed with the first of *keys*, and accepted with any of them. They are sent to *address*. If
        that is None or a multicast group, they are sent on every network interface. Received heartbeats of *me*, the
        node itself, are ignored.
        """
        self._clock_ms = clock_ms
        self._admission = Admission(group, keys)
        self._queue = FairQueue()
        self._received_at_ms = self._rest_ms = 0
        self._rate = 0.0
        self._key = keys[0]
        self._group = group
        self._own_head = own_head(group, me)
        self._port = port
        self._refresh_at_ms = 0
        self._is_offline = False
        self._sending: dict[str, Condition] = {}
        self.socket = open_port(port)
        self._interfaces = Interfaces(self.socket, address)

    def send(self, heartbeat: Heartbeat) -> None:
        """Update the routes if that is due, broadcast *heartbeat*, and log when a route begins or ceases to fail."""
        now_ms = self._clock_ms()
        if now_ms >= self._refresh_at_ms:
            self._refresh_at_ms = now_ms + (REFRESH_OFFLINE_MS if self._is_offline else REFRESH_MS)
            with suppress(OSError):  # The kernel lacks memory or descriptors. The next refresh tries again.
                self._interfaces.refresh()
        sealed = seal(encode(heartbeat, self._group), self._key)
        failures = {route.name: self._send_on(sealed, route) for route in self._interfaces.routes}
        failures |= self._interfaces.not_joined
        failures = failures or {NO_INTERFACE: NO_INTERFACE}
        self._is_offline = all(failures.values())
        if self._is_offline:
            self._send_on(sealed, Route(LOOPBACK, LOOPBACK))
        if not self._rest_ms:  # Read the node's own datagrams, one from each route. They would wake the process.
            self._fetch(len(self._interfaces.routes) + self._is_offline)
        self._log_failures(failures, now_ms)

    def _log_failures(self, failures: Mapping[str, str], now_ms: int) -> None:
        """Log when a route begins or ceases to fail. *failures* maps the name of each route to its error, or to ""."""
        begun = []
        for name in sorted({name for name, error in failures.items() if error} | self._sending.keys()):
            condition = self._sending.setdefault(name, Condition(False, SEND_FAILS_MS, SEND_WORKS_MS, False))
            report = condition.feed(now_ms, bool(failures.get(name)))
            if report is not None and report.begins:
                begun.append(name)
            elif report is not None and name == NO_INTERFACE:
                log.info("a network interface is available again")
            elif report is not None:
                is_gone = name not in failures
                log.info(
                    "interface %s is gone, down or without an address: this node no longer broadcasts on it"
                    if is_gone
                    else "broadcasts on %s work again",
                    name,
                )
            if condition.is_at_rest:
                del self._sending[name]
        if not begun:
            return
        if NO_INTERFACE in begun:
            log.warning(
                "no network interface is available: only nodes on this machine receive this node's heartbeats; "
                "retrying. Check the cable"
            )
            return
        not_joined = [name for name in begun if name in self._interfaces.not_joined]
        not_sent = [name for name in begun if name not in not_joined]
        if not_joined:
            log.warning(
                "cannot join the multicast group on %s (%s): this node may miss heartbeats from there; retrying. "
                "Raise the limit net.ipv4.igmp_max_memberships with sysctl",
                ", ".join(not_joined),
                ", ".join(sorted({failures[name] for name in not_joined})),
            )
        if not_sent:
            is_alone = failures.keys() <= {name for name, each in self._sending.items() if each.is_failing}
            log.warning(
                "broadcasts on %s fail (%s): %s; retrying. Check the cable, and allow UDP port %d in the firewall",
                ", ".join(not_sent),
                ", ".join(sorted({failures[name] for name in not_sent})),
                "only nodes on this machine receive all of this node's heartbeats"
                if is_alone
                else "nodes there may miss this node's heartbeats",
                self._port,
            )

    def _send_on(self, datagram: bytes, route: "Route") -> str:
        """Send *datagram* on *route*; return the error, or an empty string if there is none."""
        try:
            self.socket.sendmsg([datagram], route.ancillary, 0, (route.address, self._port))
        except OSError as error:
            return error.strerror or str(error)
        return ""

    @property
    def warnings(self) -> dict[str, int]:
        """How many datagrams were dropped for each reason. Each key is a log line that states the reason."""
        dropped = {f"dropped a datagram: {what}": times for what, times in self._admission.refused.items()}
        return {**dropped, "dropped a datagram: queue full": self._queue.dropped}

    def sockets(self, now_ms: int) -> list[socket.socket]:
        """Return the sockets to watch for reading; none during a rest."""
        return [] if now_ms < self._received_at_ms + self._rest_ms else [self.socket]

    def wake_at_ms(self) -> int:
        """Return when to call `receive`, unless the socket is readable earlier."""
        return self._received_at_ms + self._rest_ms if self._rest_ms or self._queue else NEVER_MS

    def receive(self, now_ms: int, readable: bool = True) -> tuple[Heartbeat, ...]:
        """Read and decode datagrams; return the new heartbeats of other nodes.

        Do nothing in the first half of a rest. Without a rest, do nothing unless the socket is *readable* or datagrams
        are already queued. Stop decoding after READ_NS; the remaining datagrams wait for the next call.
        """
        if self._rest_ms or self._queue:
            if now_ms < self._received_at_ms + self._rest_ms // 2:
                return ()
        elif not readable:
            return ()
        self._rest(self._fetch(), now_ms)
        until_ns = time.thread_time_ns() + READ_NS
        heartbeats = []
        while self._queue:
            address, datagram = self._queue.pop()
            heartbeat = self._admission.admit(datagram)
            if heartbeat is not None:
                self._queue.mark_known(address)
                heartbeats.append(heartbeat)
            if time.thread_time_ns() >= until_ns:
                break
        return tuple(heartbeats)

    def _fetch(self, limit: int = CAPACITY) -> int:
        """Read up to *limit* datagrams and queue all but this node's own.

        Return how many were read, including this node's own, plus the number of errors that the socket reported.
        """
        for count in range(limit):
            try:
                datagram, (address, _) = self.socket.recvfrom(DATAGRAM_BYTES + 1)
            except BlockingIOError:
                return count
            except OSError:
                continue  # The kernel reports the error of an earlier send.
            if not datagram.startswith(self._own_head, HEAD_BYTES):
                self._queue.put(address, datagram)
        return limit

    def _rest(self, count: int, now_ms: int) -> None:
        """Begin a rest after reading *count* datagrams. FREE explains its length, which may be 0."""
        self._rate = self._rate * max(0, 1 - (now_ms - self._received_at_ms) / RATE_MS) + count
        self._received_at_ms = now_ms
        self._rest_ms = min(max(int(self._rate) - FREE, 0), REST_MAX_MS)

    def close(self) -> None:
        self.socket.close()


class Route(NamedTuple):
    """A way to broadcast: a destination address, and the interface to send on.

    `name` and `interface` are the name and index of the interface. If the routing table selects the interface, they
    are the address and 0.
    """

    name: str
    address: str
    interface: int = 0

    @property
    def ancillary(self) -> Sequence[tuple[int, int, bytes]]:
        """The ancillary data that selects the interface; empty if the routing table selects it."""
        return [(socket.IPPROTO_IP, IP_PKTINFO, struct.pack("i8x", self.interface))] if self.interface else ()


class Interfaces:
    """The routes of a socket: one per network interface, or a single one if *address* is a broadcast address.

    If *address* is a multicast group, the socket joins it on every interface.
    """

    def __init__(self, opened: socket.socket, address: str | None) -> None:
        self.routes: list[Route] = []
        self.not_joined: dict[str, str] = {}
        """For each interface on which the socket could not join the multicast group, its name and the error."""
        self._socket = opened
        self._address = address
        self._joined: set[int] = set()
        """The indexes of the interfaces on which the socket is a member of the multicast group."""

    def refresh(self) -> None:
        """Update `routes` and `not_joined`. Raise OSError if the kernel's lists cannot be read.

        If the address is a multicast group, join it on each interface in `routes`, and leave it on the others.
        """
        self.routes = find_routes(self._socket, self._address)
        if self._address is None or not is_multicast(self._address):
            return
        kept = {route.interface for route in self.routes} & find_memberships(self._address)
        for index in self._joined - kept:
            # The kernel keeps the membership on an interface that is gone. That membership counts against the kernel's
            # limit, and prevents a membership on a new interface with the same index.
            with suppress(OSError):
                self._change_membership(socket.IP_DROP_MEMBERSHIP, index)
        self._joined &= kept
        self.not_joined = {}
        for name, _, index in self.routes:
            try:
                if index not in self._joined:
                    self._change_membership(socket.IP_ADD_MEMBERSHIP, index)
            except OSError as error:
                self.not_joined[name] = error.strerror or str(error)
            else:
                self._joined.add(index)

    def _change_membership(self, option: int, index: int) -> None:
        assert self._address is not None
        request = struct.pack("4s4xi", socket.inet_aton(self._address), index)
        self._socket.setsockopt(socket.IPPROTO_IP, option, request)


def is_multicast(address: str) -> bool:
    return ipaddress.IPv4Address(address).is_multicast


def find_routes(any_socket: socket.socket, address: str | None) -> list[Route]:
    """Return the routes to *address*; *any_socket* is used for the query.

    If *address* is None, there is a route for each interface that is up, has an address and supports broadcasts. If it
    is a multicast group, the interfaces must support multicast instead. Otherwise there is a single route.
    """
    if address is not None and not is_multicast(address):
        return [Route(address, address)]
    needed = IFF_UP | (IFF_BROADCAST if address is None else IFF_MULTICAST)
    routes: list[Route] = []
    for index, name in socket.if_nameindex():
        request = struct.pack("16s24x", name.encode())
        try:
            flags = struct.unpack_from("H", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request), 16)[0]
            fcntl.ioctl(any_socket, SIOCGIFADDR, request)
        except OSError:
            continue  # The interface has no address, or has just disappeared.
        if flags & needed == needed:
            routes.append(Route(name, address or BROADCAST, index))
    return routes


def find_memberships(group: str) -> set[int]:
    """Return the indexes of the interfaces on which this machine is in the multicast *group*.

    Raise OSError if the kernel's list cannot be read.
    """
    found, index = set(), 0
    group_number = f"{int.from_bytes(socket.inet_aton(group), sys.byteorder):08X}"
    for line in Path("/proc/thread-self/net/igmp").read_text().splitlines()[1:]:
        first = line.split()[0]
        if not line.startswith("\t"):  # This line names an interface. Its groups follow, one on each line.
            index = int(first)
        elif first == group_number:
            found.add(index)
    return found


def open_port(port: int) -> socket.socket:
    """Open the group's UDP *port*, which several programs on this machine may share; raise OSError on failure."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setblocking(False)
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT, socket.SO_BROADCAST):
        opened.setsockopt(socket.SOL_SOCKET, option, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    try:
        opened.bind(("", port))
    except OSError as error:
        opened.close()
        raise OSError(error.errno, f"cannot open UDP port {port} ({error.strerror})") from None
    return opened
