"""The UDP broadcast port: heartbeats out by every network interface, heartbeats of others in."""

import fcntl
import logging
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from elevator.core.log_damping import Condition
from elevator.core.model import NEVER_MS, Author, Heartbeat
from elevator.net.admission import Admission
from elevator.net.fair_queue import ROOM, FairQueue
from elevator.net.seal import HEAD_BYTES, seal
from elevator.net.wire import DATAGRAM_BYTES_MAX, FORMAT, Encoder

log = logging.getLogger("elevator")


EVERYBODY, LOOPBACK = "255.255.255.255", "127.255.255.255"
NOWHERE = "no network interface"
LOOK_MS, LOOK_CUT_MS = 1000, 100
"""How often to look which interfaces there are; and while none works."""
SIOCGIFFLAGS, SIOCGIFADDR, IFF_UP, IFF_BROADCAST, IP_PKTINFO = 0x8913, 0x8915, 1, 2, 8
"""Of Linux; see netdevice(7) and ip(7). Python's socket module does not name them."""
READ_NS = 3_000_000
"""For how long datagrams are read, at most, before the car is looked after again. It is the processor's time, so that a
busy machine does not make it less."""
UNWANTED_MS = 1
"""Of datagrams that were not taken, one in so long is normal on a network with others on it, ..."""
UNWANTED_LATE_MS = 20
"""... and so many of them at once. Above that the port is only looked at every REST_MS: each look is a turn."""
REST_MS = 2
SEND_FAILS_MS, SEND_WORKS_MS = 2000, 10_000
"""For how long broadcasts must fail, or work again, before the node logs it: single failures are normal."""
RECEIVE_BYTES = 1 << 20
"""What the kernel is asked to keep for us while we are busy; it may give less."""


class Broadcast:
    """The UDP broadcast port.

    Unless an address is configured, heartbeats leave by every interface that has one: a broadcast to 255.255.255.255
    alone takes the default route, which a lab's switch without a router does not have. A node hears its own machine's
    nodes by the same way, or over the loopback interface when there is no network.
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
        """Open *port* for *group*, which has *keys*. Raise OSError if that cannot be.

        Broadcasts go to *address*; None: out by every network interface.
        """
        self._clock_ms = clock_ms
        self._admission = Admission(group, keys)
        self._queue = FairQueue()
        self._wanted_again_ms = self._rest_until_ms = 0
        self._key = keys[0]
        self._encoder = Encoder(group)
        self._own = b"%s %d %d " % (FORMAT, *me)
        self._configured = address
        self._port = port
        self._ways: list[Way] = []
        self._look_at_ms = 0
        self._cut = False
        self._sending: dict[str, Condition] = {}
        self.socket = open_port(port)

    def send(self, heartbeat: Heartbeat) -> None:
        """Broadcast *heartbeat*. Without a network other nodes on this machine still hear it."""
        now_ms = self._clock_ms()
        if now_ms >= self._look_at_ms:
            self._look_at_ms = now_ms + (LOOK_CUT_MS if self._cut else LOOK_MS)
            with suppress(OSError):  # the kernel has no descriptor or memory for an answer: as it was, then
                self._ways = [Way(self._configured, self._configured)] if self._configured else interfaces(self.socket)
        for datagram in self._encoder.encode(heartbeat):
            sealed = seal(datagram, self._key)
            failures = {way.name: self._try(sealed, way) for way in self._ways} or {NOWHERE: NOWHERE}
            self._cut = all(failures.values())
            if self._cut:
                self._try(sealed, Way(LOOPBACK, LOOPBACK))
            self._log_failures(failures, now_ms)

    def _log_failures(self, failures: Mapping[str, str], now_ms: int) -> None:
        """Log which ways begin and cease to fail. *failures* says why each way failed just now, empty if it worked."""
        begun = []
        for name in sorted(failures.keys() | self._sending.keys()):
            condition = self._sending.setdefault(name, Condition(False, SEND_FAILS_MS, SEND_WORKS_MS, False))
            report = condition.feed(now_ms, bool(failures.get(name)))
            if report is not None and report.begins:
                begun.append(name)
            elif report is not None and name == NOWHERE:
                log.warning("there is a network interface again")
            elif report is not None:
                is_gone = name not in failures
                log.warning(
                    "%s is gone: nothing is broadcast there" if is_gone else "broadcasts on %s work again", name
                )
            if name not in failures and not condition.is_failing:
                del self._sending[name]
        if NOWHERE in begun:
            log.warning(
                "cannot broadcast without a network interface: only nodes on this machine hear this one; still trying. "
                "Check the cable"
            )
        elif begun:
            is_alone = all(self._sending[name].is_failing for name in failures)
            log.warning(
                "broadcasts on %s fail (%s): %s; still trying. Check the cable and let UDP port %d out of the firewall",
                ", ".join(begun),
                ", ".join(sorted({failures[name] for name in begun})),
                "only nodes on this machine hear all of them" if is_alone else "nodes there may not hear this one",
                self._port,
            )

    def _try(self, datagram: bytes, way: "Way") -> str:
        """Send *datagram* by *way*; return why it could not be sent, empty if it was."""
        try:
            self.socket.sendmsg([datagram], way.ancillary, 0, (way.address, self._port))
        except OSError as error:
            return error.strerror or str(error)
        return ""

    @property
    def oddities(self) -> dict[str, int]:
        """How often each thing came that should not be."""
        dropped = {f"dropped a datagram: {what}": times for what, times in self._admission.refused.items()}
        return {**dropped, "dropped a datagram: too many to read": self._queue.passed_over}

    def sockets(self, now_ms: int) -> list[socket.socket]:
        """Return what to wait for at *now_ms*."""
        return [] if now_ms < self._rest_until_ms else [self.socket]

    def wake_at_ms(self, now_ms: int) -> int:
        """Return when to receive although the socket does not call for it."""
        return self._rest_until_ms if self._queue or now_ms < self._rest_until_ms else NEVER_MS

    def receive(self, now_ms: int) -> tuple[Heartbeat, ...]:
        """Return what others have sent, as far as there is time to read it; there is always time for some."""
        if now_ms < self._rest_until_ms:
            return ()
        unwanted = self._fetch()
        until_ns = time.thread_time_ns() + READ_NS
        heartbeats = []
        while self._queue:
            address, datagram = self._queue.take()
            heartbeat = self._admission.admit(datagram)
            if heartbeat is None:
                unwanted += 1
            else:
                self._queue.trust(address)
                heartbeats.append(heartbeat)
            if time.thread_time_ns() >= until_ns:
                break
        self._bear(unwanted, now_ms)
        return tuple(heartbeats)

    def _fetch(self) -> int:
        """Receive what has come, but no more than so much; return how much of it was not worth keeping."""
        unwanted = -self._queue.passed_over
        for _ in range(ROOM):
            try:
                datagram, (address, _) = self.socket.recvfrom(DATAGRAM_BYTES_MAX + 1)
            except BlockingIOError:
                break
            except OSError:
                continue  # the kernel reports an earlier send's failure here; the send was counted
            if datagram.startswith(self._own, HEAD_BYTES):
                unwanted += 1
            else:
                self._queue.put(address, datagram)
        return unwanted + self._queue.passed_over

    def _bear(self, unwanted: int, now_ms: int) -> None:
        """Look at the port less often if more comes that is *unwanted* than is normal."""
        latest_ms = now_ms + UNWANTED_LATE_MS
        self._wanted_again_ms = max(self._wanted_again_ms, now_ms) + UNWANTED_MS * unwanted
        if self._wanted_again_ms > latest_ms:
            self._wanted_again_ms, self._rest_until_ms = latest_ms, now_ms + REST_MS

    def close(self) -> None:
        self.socket.close()


class Way(NamedTuple):
    """An address to send to, and what tells the kernel by which interface. Its name is that of the interface."""

    name: str
    address: str
    ancillary: Sequence[tuple[int, int, bytes]] = ()


def interfaces(any_socket: socket.socket) -> list[Way]:
    """Find a way for each interface that can broadcast and has an address. *any_socket* is for asking the kernel."""
    ways: list[Way] = []
    for index, name in socket.if_nameindex():
        request = struct.pack("16s24x", name.encode())
        try:
            flags = struct.unpack_from("H", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request), 16)[0]
            fcntl.ioctl(any_socket, SIOCGIFADDR, request)
        except OSError:
            continue  # it has no address, or has just gone
        if flags & IFF_UP and flags & IFF_BROADCAST:
            ways.append(Way(name, EVERYBODY, [(socket.IPPROTO_IP, IP_PKTINFO, struct.pack("i8x", index))]))
    return ways


def open_port(port: int) -> socket.socket:
    """Open the group's UDP *port*, which several programs on this machine may share; raise OSError."""
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
