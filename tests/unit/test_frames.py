"""The frames of the exam's switch: how it parses, builds and changes them."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elevator.exam import frames
from elevator.exam.frames import BROADCAST_MAC, PAYLOAD_MAX, VIRTIO_HEADER, checksum, parse, udp_frames, with_payload

MACS = (bytes([2, 0, 10, 20, 0, 1]), BROADCAST_MAC)
ADDRESSES = ("10.20.0.1", "255.255.255.255")
RECORDED = bytes.fromhex(
    "01000000000022000600ffffffffffff02000a140001080045000022413440004011ef820a140001ffffffff51355135000e0a34"
    "746f20616c6c"
)
"""The datagram "to all" in a frame from Linux. The UDP checksum is unfinished: it covers only the pseudo header."""


def datagram(payload: bytes) -> bytes:
    (frame,) = udp_frames(MACS, ADDRESSES, (20_789, 20_789), payload, 0x4134)
    return frame


def ipv6(payload: bytes, protocol: int = 17) -> bytes:
    source, target = (socket.inet_pton(socket.AF_INET6, address) for address in ("fe80::1", "ff02::1"))
    udp = struct.pack("!HHHH", 7, 20_789, 8 + len(payload), 0) + payload
    header = struct.pack("!IHBB", 6 << 28, len(udp), protocol, 1)
    return VIRTIO_HEADER + bytes([51, 51, 0, 0, 0, 1]) + MACS[0] + b"\x86\xdd" + header + source + target + udp


def is_udp_checksum_right(data: bytes) -> bool:
    """Return whether the frame has a UDP checksum that is right by RFC 768 (IPv4) or RFC 8200 (IPv6)."""
    packet = data[24:]
    if packet[0] >> 4 == 4:
        segment = packet[20:]
        pseudo = packet[12:20] + struct.pack("!BBH", 0, 17, len(segment))
    else:
        segment = packet[40:]
        pseudo = packet[8:40] + struct.pack("!I3xB", len(segment), 17)
    return segment[6:8] != b"\0\0" and checksum(pseudo + segment) == 0


def test_frame_recorded_from_linux_is_parsed() -> None:
    frame = parse(RECORDED)
    assert frame is not None
    assert (frame.target, frame.is_ip, frame.is_udp, frame.is_overhead) == (BROADCAST_MAC, True, True, False)
    assert (frame.ip_bytes, frame.address, frame.payload) == (34, "255.255.255.255", b"to all")
    assert frame.udp is not None
    assert (frame.udp.source_port, frame.udp.port) == (20_789, 20_789)


def test_built_frame_equals_the_recorded_one_except_for_checksums_and_the_fragmentation_flag() -> None:
    made = bytearray(datagram(b"to all"))
    assert is_udp_checksum_right(bytes(made))
    made[30:32] = RECORDED[30:32]  # This field contains the flag "don't fragment".
    made[34:36] = RECORDED[34:36]  # The header checksum covers the flag.
    assert bytes(made[10:50] + made[52:]) == RECORDED[10:50] + RECORDED[52:]


def test_ip_header_checksum_is_right_in_the_recorded_and_in_a_built_frame() -> None:
    assert checksum(RECORDED[24:44]) == 0
    assert checksum(datagram(b"x")[24:44]) == 0


def test_checksum_agrees_with_the_example_in_rfc_1071_and_pads_an_odd_byte() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2
    assert checksum(b"\x12") == checksum(b"\x12\0")


@given(st.binary(max_size=3000))
def test_built_frames_fit_ethernet_and_an_unfragmented_payload_is_parsed_back(payload: bytes) -> None:
    made = udp_frames(MACS, ADDRESSES, (1, 65_535), payload, 7)
    assert all(len(frame) <= len(VIRTIO_HEADER) + 14 + 1500 for frame in made)
    first = parse(made[0])
    assert first is not None
    assert first.udp is not None
    assert (first.udp.source_port, first.udp.port) == (1, 65_535)
    if len(made) == 1:
        assert first.payload == payload
        assert is_udp_checksum_right(made[0])
    else:
        assert first.payload is None


def test_fragments_contain_the_whole_datagram() -> None:
    payload = bytes(range(256)) * 20
    made = udp_frames(MACS, ADDRESSES, (1, 2), payload, 77)
    joined = bytearray()
    for place, frame in enumerate(made):
        length, identification, fragment = struct.unpack_from("!HHH", frame, 26)
        assert (length, identification) == (len(frame) - 24, 77)
        assert (fragment & 0x1FFF) * 8 == len(joined)
        assert bool(fragment & 0x2000) == (place < len(made) - 1)
        joined += frame[44:]
        read = parse(frame)
        assert read is not None
        assert read.is_udp
        assert (read.udp is None) == (place > 0)
    assert joined[8:] == payload


def test_datagram_that_is_too_long_is_refused() -> None:
    assert len(udp_frames(MACS, ADDRESSES, (1, 2), bytes(PAYLOAD_MAX), 0)) == 45
    with pytest.raises(ValueError, match="at most"):
        udp_frames(MACS, ADDRESSES, (1, 2), bytes(PAYLOAD_MAX + 1), 0)


@pytest.mark.parametrize("original", [RECORDED, datagram(b"to all"), ipv6(b"to all")])
def test_frame_with_a_replaced_payload_has_a_valid_checksum_and_the_same_other_fields(original: bytes) -> None:
    frame = parse(original)
    assert frame is not None
    changed = with_payload(frame, b"TO ALL")
    assert is_udp_checksum_right(changed)
    assert changed[:10] == VIRTIO_HEADER
    again = parse(changed)
    assert again is not None
    assert again.payload == b"TO ALL"
    assert again._replace(data=b"") == frame._replace(data=b"")


def test_checksum_of_zero_is_sent_as_ones() -> None:
    """A checksum field of 0 means that the datagram has no checksum."""
    for last in range(0x10000):
        data = datagram(struct.pack("!H", last))
        if data[50:52] == b"\xff\xff":
            assert is_udp_checksum_right(data)
            return
    raise AssertionError("one of these datagrams must have the checksum 0")


def test_padding_of_a_short_frame_is_not_counted() -> None:
    frame = parse(datagram(b"abc") + bytes(15))
    assert frame is not None
    assert (frame.ip_bytes, frame.payload) == (31, b"abc")


def test_packets_that_kernels_send_on_their_own_are_overhead() -> None:
    igmp = bytearray(datagram(bytes(8)))
    igmp[33] = 2
    for data in (bytes(igmp), ipv6(bytes(8), 58), ipv6(bytes(8), 0)):
        frame = parse(data)
        assert frame is not None
        assert (frame.is_ip, frame.is_overhead, frame.udp) == (True, True, None)


def test_arp_frame_is_not_an_ip_packet() -> None:
    arp = parse(VIRTIO_HEADER + BROADCAST_MAC + MACS[0] + b"\x08\x06" + bytes(28))
    assert arp is not None
    assert (arp.is_ip, arp.ip_bytes) == (False, 0)


def test_frame_that_the_kernel_will_split_later_has_no_payload() -> None:
    frame = parse(b"\x01\x05" + RECORDED[2:])
    assert frame is not None
    assert frame.udp is not None
    assert frame.payload is None


@pytest.mark.parametrize("whole", [RECORDED, ipv6(b"to all")])
def test_truncated_frame_is_refused(whole: bytes) -> None:
    for length in range(len(whole)):
        assert parse(whole[:length]) is None


@pytest.mark.parametrize(("place", "value"), [(24, 0x55), (24, 0x44), (24, 0x4F), (26, 0xFF), (27, 19)])
def test_frame_with_an_invalid_ip_header_is_refused(place: int, value: int) -> None:
    data = bytearray(RECORDED)
    data[place] = value
    assert parse(bytes(data)) is None


@pytest.mark.parametrize("length", [0, 7, 15, 0xFFFF])
def test_datagram_with_an_impossible_length_has_no_payload(length: int) -> None:
    frame = parse(RECORDED[:48] + struct.pack("!H", length) + RECORDED[50:])
    assert frame is not None
    assert frame.udp is not None
    assert frame.payload is None


@given(st.sampled_from([RECORDED, ipv6(b"to all"), b""]), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255))))
def test_rewriting_the_payload_of_a_damaged_frame_keeps_its_length(
    whole: bytes, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(whole)
    for place, value in changes:
        data[place : place + 1] = bytes([value])
    frame = parse(bytes(data))
    if frame is not None and frame.payload is not None:
        assert len(frames.with_payload(frame, frame.payload)) == len(data)
