"""Parses the Ethernet frames that the switch receives, and builds damaged and injected ones.

A header of ten bytes precedes each frame (struct virtio_net_hdr; packet(7), PACKET_VNET_HDR). In this header, the
kernel marks a frame whose checksum is unfinished, or that is still to be split.
"""

import socket
import struct
from typing import NamedTuple

VIRTIO_HEADER = bytes(10)
"""The header of a frame that has its checksum and need not be split. If a frame is still to be split, the second byte
of its header is not 0."""
BROADCAST_MAC, BROADCAST = b"\xff" * 6, "255.255.255.255"
PAYLOAD_MAX = 65_507
"""The largest payload of a UDP datagram on IPv4, in bytes."""

_IPV4, _IPV6, _UDP = 0x0800, 0x86DD, 17
_OVERHEAD = frozenset({0, 2, 58})
"""Protocols of packets that kernels send on their own: IPv6 options (in multicast reports), IGMP and ICMPv6."""
_IP_AT = len(VIRTIO_HEADER) + 14
_FRAGMENT_BYTES = 1480
"""The largest payload of an IPv4 packet on Ethernet. It is a multiple of eight, as the offset of a fragment must be."""
_MORE_FRAGMENTS, _FRAGMENT_OFFSET = 0x2000, 0x1FFF


class Datagram(NamedTuple):
    """A UDP datagram, or its first fragment."""

    source_port: int
    port: int
    starts: int
    """The offset of the UDP header in `Frame.data`."""
    ends: int
    """The offset of the end of the payload in `Frame.data`. 0 if the frame is a fragment or is still to be split, or if
    the length in the UDP header is impossible."""


class Frame(NamedTuple):
    """A parsed Ethernet frame."""

    data: bytes
    """The virtio header and the frame."""
    target: bytes
    """The destination MAC address."""
    is_ip: bool
    is_udp: bool
    """Also true for each fragment of a UDP datagram on IPv4."""
    is_overhead: bool
    """True for an IP packet that the kernel probably sent on its own, such as a multicast report."""
    ip_bytes: int
    """The length of the IP packet; 0 if there is none."""
    address: str
    """The destination IPv4 address; empty if there is none."""
    udp: Datagram | None

    @property
    def payload(self) -> bytes | None:
        """The payload of the UDP datagram; None if there is no datagram or its `ends` is 0."""
        return self.data[self.udp.starts + 8 : self.udp.ends] if self.udp is not None and self.udp.ends else None


def parse(data: bytes) -> Frame | None:
    """Parse a frame with its virtio header. Return None if the frame is truncated or its IP header is invalid.

    If only the UDP header is invalid, `udp` or `payload` is None.
    """
    if len(data) < _IP_AT:
        return None
    target, kind = data[10:16], int.from_bytes(data[22:24])
    if kind == _IPV4:
        return _parse_ipv4(data, target)
    if kind == _IPV6:
        return _parse_ipv6(data, target)
    return Frame(data, target, False, False, False, 0, "", None)


def _parse_ipv4(data: bytes, target: bytes) -> Frame | None:
    if len(data) < _IP_AT + 20:
        return None
    first, length, fragment, protocol = struct.unpack_from("!BxH2xHxB", data, _IP_AT)
    header = (first & 15) * 4
    if first >> 4 != 4 or not 20 <= header <= length <= len(data) - _IP_AT:
        return None
    address = socket.inet_ntoa(data[_IP_AT + 16 : _IP_AT + 20])
    is_first, is_last = not fragment & _FRAGMENT_OFFSET, not fragment & _MORE_FRAGMENTS
    is_udp = protocol == _UDP
    udp = _parse_udp(data, _IP_AT + header, _IP_AT + length, is_last) if is_udp and is_first else None
    return Frame(data, target, True, is_udp, protocol in _OVERHEAD, length, address, udp)


def _parse_ipv6(data: bytes, target: bytes) -> Frame | None:
    if len(data) < _IP_AT + 40:
        return None
    first, length, protocol = struct.unpack_from("!B3xHB", data, _IP_AT)
    ends = _IP_AT + 40 + length
    if first >> 4 != 6 or ends > len(data):
        return None
    is_udp = protocol == _UDP
    udp = _parse_udp(data, _IP_AT + 40, ends, True) if is_udp else None
    return Frame(data, target, True, is_udp, protocol in _OVERHEAD, 40 + length, "", udp)


def _parse_udp(data: bytes, starts: int, packet_ends: int, is_last: bool) -> Datagram | None:
    if starts + 8 > packet_ends:
        return None
    source_port, port, length = struct.unpack_from("!HHH", data, starts)
    ends = starts + length
    is_whole = is_last and length >= 8 and ends <= packet_ends and data[1] == 0
    return Datagram(source_port, port, starts, ends if is_whole else 0)


def with_payload(frame: Frame, payload: bytes) -> bytes:
    """Return the data of *frame* with a new *payload* of the same length, and with a valid UDP checksum."""
    assert frame.udp is not None
    assert frame.payload is not None
    assert len(payload) == len(frame.payload)
    _, _, starts, ends = frame.udp
    header = frame.data[starts : starts + 6]
    addresses = frame.data[_IP_AT + 12 : _IP_AT + 20] if frame.address else frame.data[_IP_AT + 8 : _IP_AT + 40]
    segment = _with_checksum(header, payload, addresses)
    return VIRTIO_HEADER + frame.data[len(VIRTIO_HEADER) : starts] + segment + frame.data[ends:]


def udp_frames(
    macs: tuple[bytes, bytes],
    addresses: tuple[str, str],
    ports: tuple[int, int],
    payload: bytes,
    identification: int,
) -> list[bytes]:
    """Build the frames of a UDP datagram on IPv4: one, or several fragments with the same *identification*.

    In each pair, the source comes first. Raise ValueError if the payload is longer than PAYLOAD_MAX.
    """
    if len(payload) > PAYLOAD_MAX:
        raise ValueError(f"the payload of a UDP datagram has at most {PAYLOAD_MAX} bytes, not {len(payload)}")
    source, target = (socket.inet_aton(address) for address in addresses)
    segment = _with_checksum(struct.pack("!HHH", *ports, 8 + len(payload)), payload, source + target)
    ethernet = VIRTIO_HEADER + macs[1] + macs[0] + struct.pack("!H", _IPV4)
    frames = []
    for offset in range(0, len(segment), _FRAGMENT_BYTES):
        part = segment[offset : offset + _FRAGMENT_BYTES]
        fragment = offset // 8 | (_MORE_FRAGMENTS if offset + len(part) < len(segment) else 0)
        begins = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(part), identification, fragment, 64, _UDP)
        header_sum = struct.pack("!H", checksum(begins + source + target))
        frames.append(ethernet + begins + header_sum + source + target + part)
    return frames


def _with_checksum(header: bytes, payload: bytes, addresses: bytes) -> bytes:
    """Return a UDP datagram.

    *header* is its header without the checksum. *addresses* are the source and destination IP addresses, joined.
    """
    # The pseudo header of IPv6 has wider fields, but the same sum.
    pseudo_header = addresses + struct.pack("!HH", _UDP, 8 + len(payload))
    # 0 would mean that there is no checksum. 0xFFFF is equal to 0 in this arithmetic.
    value = checksum(pseudo_header + header + b"\0\0" + payload) or 0xFFFF
    return header + struct.pack("!H", value) + payload


def checksum(data: bytes) -> int:
    """Return the Internet checksum of *data* (RFC 1071)."""
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
