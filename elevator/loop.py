"""The only place with I/O on a node's path: one select over the elevator's socket, the broadcast port and the clock.

Drain everything that is readable, take one turn, sleep until something is readable or the nearest deadline. An answer
of the panel that is the same as before, with no deadline reached, costs a comparison.
"""

import fcntl
import logging
import random
import select
import signal
import socket
import struct
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TextIO

from elevator import journal
from elevator.config import Config, ConfigError
from elevator.hardware.server import ElevatorServer
from elevator.model import Assigner, Author, Heartbeat, Park, Policy, Tick
from elevator.node import Node, boot, heartbeat, record, spoken, step, wake_at_ms
from elevator.pair import Link, Signals
from elevator.scribe import NOTHING, Scribe
from elevator.turn import turn
from elevator.wire import DATAGRAM_BYTES_MAX, FORMAT, Encoder, decode

EVERYBODY, LOOPBACK = "255.255.255.255", "127.255.255.255"
LOOK_MS, LOOK_CUT_MS = 1000, 100
"""How often to look which interfaces there are; and while none works."""
SIOCGIFFLAGS, SIOCGIFADDR, IFF_UP, IFF_BROADCAST, IP_PKTINFO = 0x8913, 0x8915, 1, 2, 8
"""Of Linux; see netdevice(7) and ip(7). Python's socket module does not name them."""
DATAGRAMS_A_TURN = 256
"""Drained at most before the car is looked after again."""

log = logging.getLogger("elevator")


class LogHandler(logging.StreamHandler[TextIO]):
    """Writes the log to standard error, but never waits for whoever reads it.

    A terminal that was stopped with Ctrl-S, or a pipe that nobody empties, must not stop a car's controller. Lines that
    do not fit are dropped.
    """

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _, writable, _ = select.select([], [self.stream], [], 0)
        except (OSError, ValueError):
            return  # standard error is closed
        if writable:
            super().emit(record)


class Broadcast:
    """The UDP broadcast port.

    Unless an address is configured, heartbeats leave by every interface that has one: a broadcast to 255.255.255.255
    alone takes the default route, which a lab's switch without a router does not have. A node hears its own machine's
    nodes by the same way, or over the loopback interface when there is no network.
    """

    def __init__(self, config: Config, me: Author) -> None:
        self.group = config.group
        self.oddities: dict[str, int] = {}
        self._encoder = Encoder(config.group)
        self._own = b"%s %d %d " % (FORMAT, *me)
        self._configured = config.broadcast
        self._port = config.net_port
        self._ways: list[Way] = []
        self._look_at_ms = 0
        self._cut = False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT, socket.SO_BROADCAST):
            self.socket.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            self.socket.bind(("", config.net_port))
        except OSError:
            self.socket.close()
            raise

    def send(self, heartbeat: Heartbeat) -> None:
        """Broadcast *heartbeat*. Without a network other nodes on this machine still hear it."""
        now_ms = clock_ms()
        if now_ms >= self._look_at_ms:
            self._look_at_ms = now_ms + (LOOK_CUT_MS if self._cut else LOOK_MS)
            self._ways = [(self._configured, [])] if self._configured else interfaces(self.socket)
        for datagram in self._encoder.encode(heartbeat):
            failures = [self._try(datagram, way) for way in self._ways]
            cut = "" not in failures
            if cut:
                self._try(datagram, (LOOPBACK, []))
            if cut != self._cut:
                self._cut = cut
                why = failures[0] if failures else "no network interface"
                gone = f"cannot broadcast ({why}): only nodes on this machine hear this one"
                log.warning(gone if cut else "broadcasting works again")

    def _try(self, datagram: bytes, way: "Way") -> str:
        """Send *datagram* by *way*; return why it could not be sent, empty if it was."""
        address, ancillary = way
        try:
            self.socket.sendmsg([datagram], ancillary, 0, (address, self._port))
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def receive(self) -> tuple[Heartbeat, ...]:
        """Return what others have sent."""
        heartbeats = []
        for _ in range(DATAGRAMS_A_TURN):
            try:
                datagram = self.socket.recv(DATAGRAM_BYTES_MAX + 1)
            except BlockingIOError:
                break
            except OSError:
                continue  # the kernel reports an earlier send's failure here; the send was counted
            if datagram.startswith(self._own):
                continue
            heartbeat = decode(datagram, self.group)
            if heartbeat is None:
                self._count("dropped a datagram that is not of this group")
            else:
                heartbeats.append(heartbeat)
        return tuple(heartbeats)

    def close(self) -> None:
        self.socket.close()

    def _count(self, what: str) -> None:
        self.oddities[what] = self.oddities.get(what, 0) + 1


Way = tuple[str, list[tuple[int, int, bytes]]]
"""An address, and what tells the kernel by which interface to go there."""


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
            ways.append((EVERYBODY, [(socket.IPPROTO_IP, IP_PKTINFO, struct.pack("i8x", index))]))
    return ways


def run(config: Config, directory: Path | None, link: Link) -> None:
    """Run a node until it is told to end. Raise StoreError or OSError if it cannot start.

    The host is an address: looking up a name may take longer than a loop may stand still.
    """
    with ExitStack() as opened:
        signals = opened.enter_context(closing(Signals()))
        elevator = ElevatorServer(config.host, config.port, config.floors)
        opened.callback(elevator.stop)
        disk = opened.enter_context(closing(Scribe(directory, config.floors, clock_ms)))

        def meanwhile() -> None:
            link.attend(clock_ms())
            elevator.attend(clock_ms())

        kept = disk.load(meanwhile)
        policy = Policy(Assigner(config.assigner), Park(config.park))
        node = boot(config.id, config.floors, kept, random.SystemRandom().randrange(1 << 32), clock_ms(), policy)
        disk.save(record(node))
        network = opened.enter_context(closing(Broadcast(config, node.me)))
        log.info("node %d of group %s: elevator server %s:%d", config.id, config.group, config.host, config.port)
        serve(signals, link, disk, network, elevator, node)


def serve(signals: Signals, link: Link, disk: Scribe, network: Broadcast, elevator: ElevatorServer, node: Node) -> None:
    """Turn for as long as no signal comes."""
    complaints = journal.Complaints()
    wake_ms = node.now_ms
    while signals.received is None:
        reading, writing = elevator.sockets()
        now_ms = clock_ms()
        timeout_ms = min(wake_ms, elevator.wake_at_ms(), disk.wake_at_ms(), link.wake_at_ms()) - now_ms
        waiting = [signals.socket, network.socket, disk.socket, *link.sockets(), *reading]
        readable, _, _ = select.select(waiting, writing, [], max(timeout_ms, 0) / 1000)
        now_ms = clock_ms()
        link.attend(now_ms)
        elevator.attend(now_ms, readable=any(each in readable for each in reading))
        while elevator.news:
            log.warning(elevator.news.pop(0))
        heartbeats = network.receive() if network.socket in readable else ()
        told = disk.attend()
        inputs = elevator.inputs(now_ms)
        if heartbeats or told is not NOTHING or inputs is not node.inputs or now_ms >= wake_ms:
            before = node
            tick = Tick(now_ms, inputs, heartbeats, told.recorded, told.failed, told.found)
            node = turn(node, tick, disk, network, elevator)
            wake_ms = wake_at_ms(node)
            for line in journal.news(before, node):
                log.info(line)
            doubts = {"the floor sensor said what cannot be: ignored": node.drive.doubts}
            complaints.say({**node.oddities, **network.oddities, **doubts}, now_ms)
    log.info("ends: %s", signal.Signals(signals.received).name)
    elevator.stop()
    farewell(node, network)


def farewell(node: Node, network: Broadcast) -> None:
    """Tell the others that this car is out of service, so that they need not wait for its silence."""
    node = step(node, Tick(clock_ms(), inputs=None))
    for _ in range(3):
        network.send(heartbeat(node))
        node = spoken(node)


def resolve(host: str) -> str:
    """Return the address of *host*; raise ConfigError if it has none."""
    try:
        return socket.gethostbyname(host)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"host {host}: {getattr(error, 'strerror', None) or error}") from None


def clock_ms() -> int:
    """Return milliseconds that only count up, also while the machine sleeps: a node must notice that it did."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
