"""The exam's switch. Socket pairs replace the cables of the hosts."""

import random
import selectors
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from elevator.exam.frames import BROADCAST_MAC, VIRTIO_HEADER, parse, udp_frames
from elevator.exam.sandbox import Gateway
from elevator.exam.switch import CAPTURED_MAX, EthernetSwitch, damaged

PORT = 20_789
GATEWAY = 3
"""The number of the gateway: it follows those of the three hosts."""
IPV6_GROUP = bytes([51, 51, 0, 0, 0, 1])


class Cable(Gateway):
    """A host or the gateway, reduced to a cable and a listener. `far` is the end of the cable away from the switch."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.address = f"10.20.0.{number + 1}"
        self.mac = bytes([2, 0, 10, 20, 0, number + 1])
        self.frames, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.listener = socket.create_server(("127.0.0.1", 0))
        for each in (self.frames, self.far, self.listener):
            each.setblocking(False)
        self.is_plugged = True

    def plug(self, on: bool) -> None:
        self.is_plugged = on

    def close(self) -> None:
        for each in (self.frames, self.far, self.listener):
            each.close()

    def received(self) -> list[bytes]:
        found = []
        while True:
            try:
                found.append(self.far.recv(100_000))
            except BlockingIOError:
                return found


class Network:
    """A switch with three hosts and a gateway."""

    def __init__(self, seed: int = 1) -> None:
        self.now_ms = 12_345
        self.cables = [Cable(number) for number in range(4)]
        self.selector = selectors.DefaultSelector()
        self.switch = EthernetSwitch(
            self.cables[:GATEWAY], self.cables[GATEWAY], random.Random(seed), lambda: self.now_ms
        )
        self.switch.register(self.selector.register)  # type: ignore[arg-type]  # The switch ignores the key that it returns.

    def close(self) -> None:
        self.selector.close()
        for cable in self.cables:
            cable.close()

    def send(self, sender: int, *frames: bytes) -> list[list[bytes]]:
        """Let *sender* send *frames*; return what each host and the gateway receive."""
        for frame in frames:
            self.cables[sender].far.send(frame)
        return self.run()

    def run(self) -> list[list[bytes]]:
        """Let the switch forward all frames; return what each host and the gateway receive."""
        while ready := self.selector.select(0):
            for key, mask in ready:
                key.data(mask)
        return [cable.received() for cable in self.cables]

    def after(self, ms: int) -> list[list[bytes]]:
        """Let *ms* pass; return what each host and the gateway receive."""
        self.now_ms += ms
        self.switch.advance(self.now_ms)
        return [cable.received() for cable in self.cables]

    def datagram(self, sender: int, payload: bytes = b"payload", to: int | None = None, port: int = PORT) -> bytes:
        """Build the frame of a datagram from *sender* to the host or gateway *to* (None: to all)."""
        source = self.cables[sender]
        mac, address = (BROADCAST_MAC, "255.255.255.255")
        if to is not None:
            mac, address = self.cables[to].mac, self.cables[to].address
        (frame,) = udp_frames((source.mac, mac), (source.address, address), (40_000, port), payload, 0)
        return frame


@contextmanager
def opened(seed: int = 1) -> Iterator[Network]:
    network = Network(seed)
    try:
        yield network
    finally:
        network.close()


@pytest.fixture
def network() -> Iterator[Network]:
    with opened() as network:
        yield network


def arp(network: Network, sender: int) -> bytes:
    return VIRTIO_HEADER + BROADCAST_MAC + network.cables[sender].mac + b"\x08\x06" + bytes(28)


def payloads(received: list[bytes]) -> list[bytes | None]:
    frames = [parse(data) for data in received]
    return [frame.payload for frame in frames if frame is not None]


def test_broadcast_reaches_all_others(network: Network) -> None:
    frame = network.datagram(1)
    assert network.send(1, frame) == [[frame], [], [frame], [frame]]


def test_unicast_frame_reaches_only_its_destination(network: Network) -> None:
    frame = network.datagram(1, to=2)
    assert network.send(1, frame) == [[], [], [frame], []]
    frame = network.datagram(1, to=GATEWAY)
    assert network.send(1, frame) == [[], [], [], [frame]]
    frame = network.datagram(GATEWAY, to=0)
    assert network.send(GATEWAY, frame) == [[frame], [], [], []]


def test_frame_to_its_sender_or_to_an_unknown_host_is_dropped(network: Network) -> None:
    unknown = VIRTIO_HEADER + bytes([2, 9, 9, 9, 9, 9]) + network.datagram(0)[16:]
    assert network.send(0, network.datagram(0, to=0), unknown) == [[], [], [], []]


def test_frame_with_an_unfinished_checksum_is_forwarded_unchanged(network: Network) -> None:
    frame = b"\x01\x00\x00\x00\x00\x00\x22\x00\x06\x00" + network.datagram(0)[10:]
    assert network.send(0, frame)[2] == [frame]


def test_loss_drops_only_ip_packets_between_hosts(network: Network) -> None:
    network.switch.loss = 1.0
    ipv6 = VIRTIO_HEADER + IPV6_GROUP + network.cables[0].mac + b"\x86\xdd" + b"\x60" + bytes(39)
    request = arp(network, 0)
    frame = network.datagram(0)
    assert network.send(0, frame, ipv6, request) == [[], [request], [request], [frame, ipv6, request]]
    frame = network.datagram(GATEWAY)
    assert network.send(GATEWAY, frame)[:GATEWAY] == [[frame]] * GATEWAY


def test_loss_is_independent_for_each_receiver(network: Network) -> None:
    network.switch.loss = 0.3
    outcomes = Counter(tuple(map(len, network.send(0, network.datagram(0))[1:GATEWAY])) for _ in range(4000))
    expected = {(1, 1): 0.49, (1, 0): 0.21, (0, 1): 0.21, (0, 0): 0.09}
    assert outcomes.keys() == expected.keys()
    assert all(abs(outcomes[each] / 4000 - share) < 0.03 for each, share in expected.items())


def test_delayed_frames_arrive_when_they_are_due(network: Network) -> None:
    network.switch.delay_ms = (20, 20)
    frame = network.datagram(0)
    assert network.switch.due_ms() is None
    assert network.send(0, frame)[:GATEWAY] == [[], [], []]
    assert network.switch.due_ms() == network.now_ms + 20
    assert network.after(19) == [[], [], [], []]
    assert network.after(1) == [[], [frame], [frame], []]
    assert network.switch.due_ms() is None


def test_delays_reorder_frames_and_stay_within_their_limits(network: Network) -> None:
    network.switch.delay_ms = (5, 50)
    sent = [bytes([number]) for number in range(100)]
    for payload in sent:
        network.send(0, network.datagram(0, payload))
    arrived: list[tuple[int, bytes | None]] = []
    for ms in range(1, 51):
        arrived += [(ms, payload) for payload in payloads(network.after(1)[1])]
    assert sorted(payload for _, payload in arrived if payload is not None) == sent
    assert [payload for _, payload in arrived] != sent
    assert (min(arrived)[0], max(arrived)[0]) == (5, 50)


def test_frames_with_equal_delays_keep_their_order(network: Network) -> None:
    network.switch.delay_ms = (10, 10)
    sent = [network.datagram(0, bytes([255 - number])) for number in range(50)]
    for frame in sent:
        network.send(0, frame)
    assert network.after(10)[1] == sent


def test_delayed_frame_to_a_host_that_is_unplugged_meanwhile_is_lost(network: Network) -> None:
    network.switch.delay_ms = (10, 10)
    frame = network.datagram(0)
    network.send(0, frame)
    network.switch.plug(1, False)
    assert network.after(10) == [[], [], [frame], []]


def test_duplicated_frame_arrives_twice(network: Network) -> None:
    network.switch.duplicate = 1.0
    frame = network.datagram(0)
    assert network.send(0, frame) == [[], [frame] * 2, [frame] * 2, [frame]]
    network.switch.duplicate = 0.5
    numbers = Counter(len(network.send(0, frame)[1]) for _ in range(1000))
    assert numbers.keys() == {1, 2}
    assert abs(numbers[2] - 500) < 60


def test_damage_changes_the_payload_differently_for_each_host_and_not_for_the_gateway(network: Network) -> None:
    network.switch.damage = 1.0
    original = b"a payload that is long enough"
    received = network.send(0, network.datagram(0, original))
    for host in (1, 2):
        (payload,) = payloads(received[host])
        assert payload is not None
        assert len(payload) == len(original)
        assert 1 <= sum(a != b for a, b in zip(payload, original, strict=True)) <= 4
    assert payloads(received[1]) != payloads(received[2])
    assert payloads(received[GATEWAY]) == [original]


def test_packets_without_a_udp_payload_are_not_damaged(network: Network) -> None:
    network.switch.damage = 1.0
    tcp = bytearray(network.datagram(0))
    tcp[33] = 6
    for frame in (bytes(tcp), network.datagram(0, b""), arp(network, 0)):
        assert network.send(0, frame)[1] == [frame]


def test_damaged_payload_always_differs() -> None:
    rng = random.Random(1)
    for size in (1, 2, 100):
        for _ in range(100):
            assert damaged(bytes(size), rng) != bytes(size)


def test_groups_do_not_reach_each_other_but_all_reach_the_gateway(network: Network) -> None:
    network.switch.groups = [{0, 1}, {2}]
    frame = network.datagram(0)
    assert network.send(0, frame) == [[], [frame], [], [frame]]
    request = arp(network, 2)
    assert network.send(2, request) == [[], [], [], [request]]
    assert network.send(2, network.datagram(2, to=0)) == [[], [], [], []]
    network.switch.groups = [{0, 1}, {1, 2}]
    assert network.send(0, frame) == [[], [frame], [], [frame]]
    frame = network.datagram(1)
    assert network.send(1, frame) == [[frame], [], [frame], [frame]]


def test_host_without_a_group_reaches_only_the_gateway(network: Network) -> None:
    network.switch.groups = [{0, 1}]
    frame = network.datagram(2)
    assert network.send(2, frame) == [[], [], [], [frame]]


def test_unplugged_host_neither_sends_nor_receives(network: Network) -> None:
    network.switch.plug(0, False)
    assert (network.switch.unplugged, network.cables[0].is_plugged) == ({0}, False)
    assert network.send(0, network.datagram(0)) == [[], [], [], []]
    assert network.switch.packets == [0, 0, 0]
    frame = network.datagram(1)
    assert network.send(1, frame) == [[], [], [frame], [frame]]
    assert network.send(GATEWAY, network.datagram(GATEWAY, to=0)) == [[], [], [], []]
    network.switch.plug(0, True)
    assert network.cables[0].is_plugged
    assert network.send(1, frame)[0] == [frame]


def test_heal_ends_all_impairments(network: Network) -> None:
    switch = network.switch
    switch.loss = switch.damage = switch.duplicate = 1.0
    switch.delay_ms, switch.groups = (10, 20), [{0}]
    switch.plug(2, False)
    switch.heal()
    frame = network.datagram(0)
    assert network.send(0, frame) == [[], [frame], [frame], [frame]]
    assert network.cables[2].is_plugged


@pytest.mark.parametrize(
    ("impairment", "value", "loses"),
    [
        ("delay_ms", (1, 9), False),
        ("duplicate", 0.5, False),
        ("loss", 0.1, True),
        ("damage", 0.1, True),
        ("groups", [{0, 1}], True),
        ("unplugged", {2}, True),
    ],
)
def test_switch_reports_whether_it_may_lose_packets(
    network: Network, impairment: str, value: object, loses: bool
) -> None:
    assert not network.switch.loses_packets
    setattr(network.switch, impairment, value)
    assert network.switch.loses_packets == loses


def test_counters_count_what_hosts_send_even_if_it_is_lost_and_can_be_cleared_and_turned_off(network: Network) -> None:
    switch = network.switch
    switch.loss = 1.0
    network.send(0, network.datagram(0, b"12"), network.datagram(0, b"1234", to=1))
    network.now_ms += 100
    network.send(0, network.datagram(0, b""), arp(network, 0))
    network.send(1, network.datagram(1, port=53))
    network.send(GATEWAY, network.datagram(GATEWAY))
    assert switch.packets == [3, 1, 0]
    assert switch.sent_bytes == [3 * 28 + 6, 28 + 7, 0]
    assert switch.sent_per_100ms == [Counter({123: 2, 124: 1}), Counter({124: 1}), Counter()]
    assert switch.udp_ports == {PORT: 3}
    assert [(each.host, each.at_ms, each.frame.payload) for each in switch.capture] == [
        (0, 12_345, b"12"),
        (0, 12_345, b"1234"),
        (0, 12_445, b""),
    ]
    switch.clear_counts()
    assert (switch.packets, switch.udp_ports, len(switch.capture)) == ([0, 0, 0], {}, 0)
    switch.is_counting = False
    network.send(0, network.datagram(0, b"12"))
    assert (switch.packets, switch.udp_ports, len(switch.capture)) == ([0, 0, 0], {}, 0)
    assert not any(switch.sent_per_100ms)


def test_capture_keeps_the_last_frames(network: Network) -> None:
    for number in range(CAPTURED_MAX + 5):
        network.send(0, network.datagram(0, number.to_bytes(2)))
    kept = [each.frame.payload for each in network.switch.capture]
    assert kept == [number.to_bytes(2) for number in range(5, CAPTURED_MAX + 5)]


def test_bad_frames_are_counted_and_dropped(network: Network) -> None:
    assert network.send(0, b"short", network.datagram(0)[:40]) == [[], [], [], []]
    assert network.switch.bad_frames == 2
    frame = network.datagram(0)
    assert network.send(0, frame)[1] == [frame]


def test_replay_repeats_frames_in_the_name_of_their_senders(network: Network) -> None:
    frames = [network.datagram(0, b"first"), network.datagram(0, b"second", to=2)]
    network.send(0, *frames)
    captured = list(network.switch.capture)
    network.switch.replay(captured)
    assert network.run() == [[], frames[:1], frames, frames[:1]]
    assert network.switch.packets == [2, 0, 0]
    assert list(network.switch.capture) == captured
    network.switch.groups = [{0, 1}, {2}]
    network.switch.replay(captured)
    assert network.run()[2] == []


def test_injected_datagram_comes_from_the_next_host_and_is_neither_lost_nor_counted(network: Network) -> None:
    network.switch.loss = 1.0
    network.switch.inject(1, b"garbage", PORT)
    received = network.run()
    assert [len(each) for each in received] == [0, 1, 0, 0]
    frame = parse(received[1][0])
    assert frame is not None
    assert frame.udp is not None
    assert (frame.target, frame.address, frame.payload) == (BROADCAST_MAC, "255.255.255.255", b"garbage")
    assert (frame.udp.source_port, frame.udp.port) == (PORT, PORT)
    assert frame.data[16:22] == network.cables[2].mac
    assert frame.data[36:40] == socket.inet_aton(network.cables[2].address)
    assert network.switch.packets == [0, 0, 0]


def test_injected_datagram_can_have_another_source(network: Network) -> None:
    network.switch.inject(1, b"", PORT, source_port=9, sender=0)
    frame = parse(network.run()[1][0])
    assert frame is not None
    assert frame.udp is not None
    assert frame.udp.source_port == 9
    assert frame.data[36:40] == socket.inet_aton(network.cables[0].address)


def test_injected_datagram_goes_to_the_multicast_group_last_used_with_its_port(network: Network) -> None:
    group = bytes([1, 0, 0x5E, 1, 1, 1])
    (multicast,) = udp_frames(
        (network.cables[0].mac, group), (network.cables[0].address, "239.1.1.1"), (9, PORT), b"", 0
    )
    network.send(0, multicast, network.datagram(0, to=2))
    network.switch.inject(1, b"garbage", PORT)
    frame = parse(network.run()[1][0])
    assert frame is not None
    assert (frame.target, frame.address) == (group, "239.1.1.1")


def test_long_datagram_is_injected_in_fragments(network: Network) -> None:
    network.switch.inject(0, bytes(4000), PORT)
    assert [len(frame) - 24 for frame in network.run()[0]] == [1500, 1500, 20 + 8 + 4000 - 2960]


def test_nothing_is_injected_into_an_unplugged_host(network: Network) -> None:
    network.switch.plug(1, False)
    network.switch.inject(1, b"garbage", PORT)
    assert network.run()[1] == []


def test_connection_to_the_gateway_is_accepted_and_closed(network: Network) -> None:
    with socket.create_connection(network.cables[GATEWAY].listener.getsockname(), timeout=10) as client:
        network.run()
        assert client.recv(1) == b""


def test_same_seed_gives_the_same_impairments() -> None:
    def deliveries(seed: int) -> list[list[list[bytes]]]:
        with opened(seed) as network:
            switch = network.switch
            switch.loss, switch.duplicate, switch.damage, switch.delay_ms = 0.3, 0.3, 0.3, (0, 30)
            return [network.send(0, network.datagram(0, bytes(20))) for _ in range(50)] + [network.after(30)]

    assert deliveries(1) == deliveries(1)
    assert deliveries(1) != deliveries(2)
