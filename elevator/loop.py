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
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from elevator import journal
from elevator.condition import Condition
from elevator.config import Config, ConfigError
from elevator.gate import Gate
from elevator.hardware.server import ElevatorServer
from elevator.inbox import ROOM, Inbox
from elevator.model import Assigner, Author, Buttons, Heartbeat, Inputs, Park, Policy, Tick
from elevator.node import Node, boot, heartbeat, press_all, record, spoken, step, wake_at_ms
from elevator.pair import ENDS, Link, Signals
from elevator.scribe import NOTHING, Scribe
from elevator.seal import HEAD_BYTES, NO_KEY, seal
from elevator.turn import turn
from elevator.wire import DATAGRAM_BYTES_MAX, FORMAT, Encoder

if TYPE_CHECKING:
    from elevator.hardware.serialport import IoCard

    Elevator = ElevatorServer | IoCard

EVERYBODY, LOOPBACK = "255.255.255.255", "127.255.255.255"
NOWHERE = "no network interface"
LOOK_MS, LOOK_CUT_MS = 1000, 100
"""How often to look which interfaces there are; and while none works."""
NEVER_MS = 1 << 60
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

    def __init__(self, config: Config, keys: Sequence[bytes], me: Author) -> None:
        """Open the port of *config*; the group has *keys*. Raise OSError if that cannot be."""
        self._gate = Gate(config.group, keys)
        self._inbox = Inbox()
        self._wanted_again_ms = self._rest_until_ms = 0
        self._key = keys[0]
        self._encoder = Encoder(config.group)
        self._own = b"%s %d %d " % (FORMAT, *me)
        self._configured = config.broadcast
        self._port = config.net_port
        self._ways: list[Way] = []
        self._look_at_ms = 0
        self._cut = False
        self._sending: dict[str, Condition] = {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT, socket.SO_BROADCAST):
            self.socket.setsockopt(socket.SOL_SOCKET, option, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
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
        dropped = {f"dropped a datagram: {what}": times for what, times in self._gate.refused.items()}
        return {**dropped, "dropped a datagram: too many to read": self._inbox.passed_over}

    def sockets(self, now_ms: int) -> list[socket.socket]:
        """Return what to wait for at *now_ms*."""
        return [] if now_ms < self._rest_until_ms else [self.socket]

    def wake_at_ms(self, now_ms: int) -> int:
        """Return when to receive although the socket does not call for it."""
        return self._rest_until_ms if self._inbox or now_ms < self._rest_until_ms else NEVER_MS

    def receive(self, now_ms: int) -> tuple[Heartbeat, ...]:
        """Return what others have sent, as far as there is time to read it; there is always time for some."""
        if now_ms < self._rest_until_ms:
            return ()
        unwanted = self._fetch()
        until_ns = time.thread_time_ns() + READ_NS
        heartbeats = []
        while self._inbox:
            address, datagram = self._inbox.take()
            heartbeat = self._gate.admit(datagram)
            if heartbeat is None:
                unwanted += 1
            else:
                self._inbox.trust(address)
                heartbeats.append(heartbeat)
            if time.thread_time_ns() >= until_ns:
                break
        self._bear(unwanted, now_ms)
        return tuple(heartbeats)

    def _fetch(self) -> int:
        """Receive what has come, but no more than so much; return how much of it was not worth keeping."""
        unwanted = -self._inbox.passed_over
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
                self._inbox.put(address, datagram)
        return unwanted + self._inbox.passed_over

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


def run(config: Config, keys: Sequence[bytes], directory: Path | None, link: Link) -> None:
    """Run a node of a group with *keys* until it is told to end. Raise StoreError or ConfigError if it cannot start.

    The host is an address: looking up a name may take longer than a loop may stand still.
    """
    with ExitStack() as opened:
        signals = opened.enter_context(closing(Signals()))
        elevator = hardware(config, link)
        opened.callback(elevator.stop)
        disk = opened.enter_context(closing(Scribe(directory, config.floors, clock_ms)))

        pressed = Buttons()

        def meanwhile() -> None:
            nonlocal pressed
            link.attend(clock_ms())
            elevator.attend(clock_ms())
            inputs = elevator.inputs(clock_ms())
            if inputs is not None:  # A slow disk takes longer than a finger.
                new = inputs.pressed
                pressed = Buttons(pressed.up | new.up, pressed.down | new.down, pressed.cab | new.cab)

        kept = disk.load(meanwhile)
        policy = Policy(Assigner(config.assigner), Park(config.park))
        node = boot(config.id, config.floors, kept, random.SystemRandom().randrange(1 << 32), clock_ms(), policy)
        node = press_all(node, Buttons(), pressed)
        disk.save(record(node))
        try:
            network = opened.enter_context(closing(Broadcast(config, keys, node.me)))
        except OSError as error:
            raise ConfigError(f"cannot use the broadcast port: {error.strerror or error}") from None
        at = f"I/O card {config.serial}" if config.serial else f"elevator server {config.host}:{config.port}"
        sealed = "" if keys[0] == NO_KEY else ", with a key"
        log.info("node %d of group %s%s: %s", config.id, config.group, sealed, at)
        serve(signals, link, disk, network, elevator, node)


def hardware(config: Config, link: Link) -> "Elevator":
    """Return the elevator that is configured."""
    if config.serial is None:
        return ElevatorServer(config.host, config.port, config.floors)
    from elevator.hardware.serialport import IoCard  # only those who need it load pyserial

    return IoCard(str(config.serial), config.speed, link.hold)


def serve(signals: Signals, link: Link, disk: Scribe, network: Broadcast, elevator: "Elevator", node: Node) -> None:
    """Turn for as long as no signal comes."""
    diary, complaints = journal.Journal(), journal.Complaints()
    wake_ms = node.now_ms

    def look() -> tuple[int, Inputs | None]:
        now_ms = clock_ms()
        return now_ms, elevator.inputs(now_ms)

    while signals.received is None:
        reading, writing = elevator.sockets()
        now_ms = clock_ms()
        due_network_ms = network.wake_at_ms(now_ms)
        due_ms = min(wake_ms, elevator.wake_at_ms(), disk.wake_at_ms(), link.wake_at_ms(), due_network_ms)
        waiting = [signals.socket, *network.sockets(now_ms), *disk.sockets(), *link.sockets(), *reading]
        readable, _, _ = select.select(waiting, writing, [], max(due_ms - now_ms, 0) / 1000)
        now_ms = clock_ms()
        link.attend(now_ms)
        elevator.attend(now_ms, readable=any(each in readable for each in reading))
        while elevator.news:
            log.warning(elevator.news.pop(0))
        has_mail = due_network_ms <= now_ms or network.socket in readable
        heartbeats = network.receive(now_ms) if has_mail else ()
        told = disk.attend()
        inputs = elevator.inputs(now_ms)
        if heartbeats or told is not NOTHING or inputs is not node.inputs or now_ms >= wake_ms:
            before = node
            tick = Tick(now_ms, inputs, heartbeats, told.recorded, told.failed, told.found)
            node = turn(node, tick, look, disk, network, elevator)
            wake_ms = wake_at_ms(node)
            for line in diary.news(before, node):
                log.info(line)
            doubts = {"the floor sensor said what cannot be: ignored": node.drive.doubts}
            complaints.say({**node.oddities, **network.oddities, **doubts}, now_ms)
    log.info("ends: %s", signal.Signals(signals.received).name)
    link.say(ENDS)
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
