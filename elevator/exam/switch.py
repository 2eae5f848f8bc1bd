"""An Ethernet switch in user space, between the hosts of sandbox.py. It can impair the network.

- Loss, delay, duplication and damage apply to IP packets between hosts, and independently for each receiver of a
  broadcast. As with an iptables rule, they spare ARP. They also spare packets to and from the gateway.
- No frame, not even ARP, reaches an unplugged host, or a host that shares no group with the sender. The gateway belongs
  to every group.
- The switch knows the hosts' MAC addresses. A unicast frame reaches only the host that it is addressed to. If there is
  no such host, the frame is dropped.
- The counters count the IP packets that plugged-in hosts send, even if the switch drops them. A packet that the kernel
  has not split yet counts once. Packets that kernels send by themselves do not count: IGMP and ICMPv6.
"""

import heapq
import random
import selectors
import socket
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence

from attrs import frozen

from elevator.exam import frames
from elevator.exam.frames import Frame
from elevator.exam.sandbox import Gateway, Host

SERVICES = frozenset({53, 67, 68, 123, 137, 138, 547, 1900, 5353, 5355})
"""UDP ports of system services: names, addresses, time and discovery. Controllers do not use them for their group."""
CAPTURED_MAX = 2000
BUCKET_MS = 100
_BATCH = 64
"""The maximum number of frames to read from one host before serving other sockets."""
_FRAME_BYTES = 1 << 17
"""The size of the buffer for one frame. No frame is longer, not even one that a network card would have to split."""


@frozen
class Captured:
    """A UDP datagram, or a fragment of one, that `host` sent at `at_ms`."""

    host: int
    at_ms: int
    frame: Frame


class EthernetSwitch:
    """The switch. A host's number is its index in *hosts*, from 0."""

    def __init__(
        self, hosts: Sequence[Host], gateway: Gateway, rng: random.Random, clock_ms: Callable[[], int]
    ) -> None:
        self.loss = 0.0
        """Probability, 0 to 1, that a packet is lost."""
        self.delay_ms = (0, 0)
        """The shortest and the longest delay of a packet. Packets with different delays can overtake each other."""
        self.duplicate = 0.0
        """Probability, 0 to 1, that a packet arrives twice."""
        self.damage = 0.0
        """Probability, 0 to 1, that bytes of a UDP payload are changed. The checksum is made valid again. Fragments are
        spared."""
        self.groups: list[set[int]] | None = None
        """Only hosts with a common group reach each other; None: all do. A host may be in several groups."""
        self.unplugged: set[int] = set()
        """Hosts that neither send nor receive. Only `plug` changes this set."""
        self.is_counting = True
        """If true, the switch counts and captures packets, and learns addresses for `inject`. The counts take more and
        more memory."""
        self._hosts = hosts
        self._gateway = gateway
        self._ports: list[Host] = [*hosts, gateway]
        self._port_of = {host.mac: number for number, host in enumerate(self._ports)}
        self._rng = rng
        self._clock_ms = clock_ms
        self._delayed: list[tuple[int, int, int, bytes]] = []
        """A heap of delayed frames: when each is due, a sequence number, receiver, frame."""
        self._sequence = 0
        self._buffer = bytearray(_FRAME_BYTES)
        self._targets: dict[int, tuple[bytes, str]] = {}
        """For each UDP port, the broadcast or multicast address that a host last used with it: MAC and IPv4 address."""
        self.clear_counts()

    def clear_counts(self) -> None:
        """Set all counts to zero and forget the captured frames."""
        count = len(self._hosts)
        self.packets = [0] * count
        """For each host, the number of IP packets that it sent."""
        self.sent_bytes = [0] * count
        """For each host, the total length of the IP packets that it sent, in bytes."""
        self.sent_per_100ms: list[Counter[int]] = [Counter() for _ in range(count)]
        """For each host, the number of IP packets that it sent in each period. The key is the time in ms, divided by
        BUCKET_MS."""
        self.udp_ports: Counter[int] = Counter()
        """How many UDP datagrams were sent to each port, except SERVICES."""
        self.bad_frames = 0
        self.capture: deque[Captured] = deque(maxlen=CAPTURED_MAX)
        """The last CAPTURED_MAX frames of UDP datagrams, except to SERVICES."""

    @property
    def loses_packets(self) -> bool:
        """True if packets may be lost or damaged. Delay and duplication alone do not count."""
        return bool(self.loss or self.damage or self.groups is not None or self.unplugged)

    def heal(self) -> None:
        """Remove all impairments, and plug in all cables. Delayed frames still arrive late."""
        self.loss = self.duplicate = self.damage = 0.0
        self.delay_ms = (0, 0)
        self.groups = None
        for host in tuple(self.unplugged):
            self.plug(host, True)

    def plug(self, host: int, on: bool) -> None:
        """Plug in the cable of *host* or unplug it. Raise OSError if that fails."""
        self._hosts[host].plug(on)
        (self.unplugged.discard if on else self.unplugged.add)(host)

    def register(self, watch: Callable[[socket.socket, int, Callable[[int], None]], None]) -> None:
        """Register a callback for each socket with *watch* (see `Building.watch`)."""

        def forward_from(port: int) -> Callable[[int], None]:
            return lambda _: self._receive(port)

        for port, host in enumerate(self._ports):
            watch(host.frames, selectors.EVENT_READ, forward_from(port))
        watch(self._gateway.listener, selectors.EVENT_READ, lambda _: self._accept())

    def due_ms(self) -> int | None:
        """Return when `advance` must run next; None if no frame is delayed."""
        return self._delayed[0][0] if self._delayed else None

    def advance(self, now_ms: int) -> None:
        """Deliver the delayed frames that are due. Those for unplugged hosts are lost."""
        while self._delayed and self._delayed[0][0] <= now_ms:
            _, _, receiver, data = heapq.heappop(self._delayed)
            if receiver not in self.unplugged:
                self._send(receiver, data)

    def replay(self, captured: Iterable[Captured]) -> None:
        """Send captured frames again, as if from the hosts that sent them. Impair them, but do not count them."""
        for each in captured:
            self._forward(each.host, each.frame)

    def inject(
        self, host: int, payload: bytes, port: int, source_port: int | None = None, sender: int | None = None
    ) -> None:
        """Send *payload* to UDP *port* of *host*, as if from *sender*. Neither impair nor count it.

        The default of *sender* is the next host. If the sender is *host* itself, the source is the gateway instead. The
        default of *source_port* is *port*. Only *host* gets the datagram, but its destination address is the broadcast
        or multicast address that a host last used with *port*; 255.255.255.255 if there is none. Do nothing if *host*
        is unplugged. Otherwise, raise ValueError if *payload* is longer than frames.PAYLOAD_MAX.
        """
        if sender is None:
            sender = (host + 1) % len(self._hosts)
        source = self._gateway if sender == host else self._hosts[sender]
        mac, address = self._targets.get(port, (frames.BROADCAST_MAC, frames.BROADCAST))
        ports = (port if source_port is None else source_port, port)
        identification = self._rng.getrandbits(16)
        if host not in self.unplugged:
            for data in frames.udp_frames((source.mac, mac), (source.address, address), ports, payload, identification):
                self._send(host, data)

    def _accept(self) -> None:
        """Accept a connection to the gateway and close it. The client only wants to learn its own address."""
        try:
            self._gateway.listener.accept()[0].close()
        except OSError:
            pass  # The client has already disconnected.

    def _receive(self, port: int) -> None:
        for _ in range(_BATCH):
            try:
                size = self._ports[port].frames.recv_into(self._buffer)
            except OSError:
                return  # No more frames, or the cable was unplugged.
            frame = frames.parse(bytes(memoryview(self._buffer)[:size]))
            if frame is None:
                self.bad_frames += 1
            elif port not in self.unplugged:
                self._count(port, frame)
                self._forward(port, frame)

    def _count(self, port: int, frame: Frame) -> None:
        if not self.is_counting or port == len(self._hosts) or not frame.is_ip or frame.is_overhead:
            return
        now_ms = self._clock_ms()
        self.packets[port] += 1
        self.sent_bytes[port] += frame.ip_bytes
        self.sent_per_100ms[port][now_ms // BUCKET_MS] += 1
        if frame.udp is not None and frame.udp.port not in SERVICES:
            self.udp_ports[frame.udp.port] += 1
            if frame.target[0] & 1 and frame.address:
                self._targets[frame.udp.port] = (frame.target, frame.address)
        if frame.is_udp and (frame.udp is None or frame.udp.port not in SERVICES):
            self.capture.append(Captured(port, now_ms, frame))

    def _forward(self, sender: int, frame: Frame) -> None:
        if frame.target[0] & 1:  # Broadcast or multicast.
            receivers: Iterable[int] = range(len(self._ports))
        else:
            receivers = [self._port_of[frame.target]] if frame.target in self._port_of else []
        for receiver in receivers:
            if receiver == sender or not self._is_reachable(sender, receiver):
                continue
            if not frame.is_ip or len(self._hosts) in (sender, receiver):
                self._send(receiver, frame.data)
            elif not self._happens(self.loss):
                for _ in range(2 if self._happens(self.duplicate) else 1):
                    self._impair(receiver, frame)

    def _is_reachable(self, sender: int, receiver: int) -> bool:
        if sender in self.unplugged or receiver in self.unplugged:
            return False
        if self.groups is None or len(self._hosts) in (sender, receiver):
            return True
        return any(sender in group and receiver in group for group in self.groups)

    def _happens(self, probability: float) -> bool:
        return probability > 0 and self._rng.random() < probability

    def _impair(self, receiver: int, frame: Frame) -> None:
        """Deliver *frame*, possibly damaged or delayed."""
        data = frame.data
        if self._happens(self.damage) and (payload := frame.payload):
            data = frames.with_payload(frame, damaged(payload, self._rng))
        if delay_ms := self._rng.randint(*self.delay_ms) if self.delay_ms[1] else 0:
            self._sequence += 1
            heapq.heappush(self._delayed, (self._clock_ms() + delay_ms, self._sequence, receiver, data))
        else:
            self._send(receiver, data)

    def _send(self, receiver: int, data: bytes) -> None:
        try:
            self._ports[receiver].frames.send(data)
        except OSError:
            pass  # Lost: the host is unplugged, or its queue is full.


def damaged(payload: bytes, rng: random.Random) -> bytes:
    """Return *payload*, which is not empty, with one to four bytes changed."""
    changed = bytearray(payload)
    for place in rng.sample(range(len(payload)), min(len(payload), rng.randint(1, 4))):
        changed[place] ^= rng.randint(1, 255)
    return bytes(changed)
