"""Network interfaces, configured with rtnetlink(7) in the network namespace of the calling thread.

Every function that sends a request raises OSError if the kernel refuses it, except `mute`.
"""

import errno
import os
import socket
import struct
import time
from contextlib import suppress

NEWLINK, DELLINK, GETLINK, NEWADDR, NEWROUTE = 16, 17, 18, 20, 24
"""Types of messages: RTM_*."""
REQUEST, ACK, EXCLUSIVE, CREATE = 0x1, 0x4, 0x200, 0x400
"""Flags of messages: NLM_F_*."""
LINK_ADDRESS, LINK_NAME, LINK_STATE, LINK_INFO, LINK_FAMILIES, LINK_NAMESPACE = 1, 3, 16, 18, 26, 28
"""Attributes of a link: IFLA_ADDRESS, _IFNAME, _OPERSTATE, _LINKINFO, _AF_SPEC and _NET_NS_FD."""
STATE_UP = 6
"""IF_OPER_UP: both ends of the cable are on, and the kernel no longer drops frames."""
INFO_KIND, INFO_DATA, VETH_PEER, GENERATE_MODE = 1, 2, 1, 8
"""Nested attributes of a link: IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER, IFLA_INET6_ADDR_GEN_MODE."""
ADDRESS, LOCAL, BROADCAST = 1, 2, 4
"""Attributes of an address: IFA_*."""
GATEWAY = 5
"""Attribute of a route: RTA_GATEWAY."""
IFF_UP = 1
TABLE_MAIN, BY_ADMINISTRATOR, UNIVERSE, UNICAST = 254, 4, 0, 1
"""Values in a route: RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_UNIVERSE, RTN_UNICAST. An address has UNIVERSE too."""
ERROR = 2
"""NLMSG_ERROR: the type of an answer with an error number. The number 0 means that the request succeeded."""
PATIENCE_S = 5.0
"""How long an interface may take to come up. It normally takes a few milliseconds."""

HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence number, port."""
LINK = struct.Struct("=BxHiII")
"""struct ifinfomsg: family, type, index, flags, mask of the flags to change."""


def attribute(kind: int, *values: bytes) -> bytes:
    """Encode an attribute, padded to a multiple of four bytes. *values* are joined; they may be nested attributes."""
    value = b"".join(values)
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(data: bytes) -> dict[int, bytes]:
    """Return the value of each attribute in *data*, by its type."""
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        assert length >= 4
        found[kind] = data[4:length]
        data = data[length + -length % 4 :]
    return found


def request(kind: int, flags: int, *parts: bytes) -> bytes:
    """Send a message to the kernel. Return the body of its answer; raise OSError if the answer holds an error."""
    body = b"".join(parts)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as kernel:
        kernel.bind((0, 0))
        kernel.send(HEADER.pack(HEADER.size + len(body), kind, REQUEST | flags, 1, 0) + body)
        answer = kernel.recv(65_536)
    length, kind, *_ = HEADER.unpack_from(answer)
    if kind == ERROR:
        (code,) = struct.unpack_from("=i", answer, HEADER.size)
        if code:
            raise OSError(-code, os.strerror(-code))
    return answer[HEADER.size : length]


def change(kind: int, flags: int, *parts: bytes) -> None:
    """Send a message that changes the configuration, and wait until the kernel has confirmed the change."""
    request(kind, ACK | flags, *parts)


def create_cable(name: str, peer_name: str, peer_address: bytes, peer_namespace: int) -> int:
    """Create two connected interfaces (veth(4)) and return the index of the first, *name*.

    The other, *peer_name*, is created in the namespace with file descriptor *peer_namespace* and gets the MAC address
    *peer_address*.
    """
    peer = (
        LINK.pack(0, 0, 0, 0, 0),
        attribute(LINK_NAME, peer_name.encode() + b"\0"),
        attribute(LINK_ADDRESS, peer_address),
        attribute(LINK_NAMESPACE, struct.pack("=i", peer_namespace)),
    )
    info = (attribute(INFO_KIND, b"veth\0"), attribute(INFO_DATA, attribute(VETH_PEER, *peer)))
    first = (LINK.pack(0, 0, 0, 0, 0), attribute(LINK_NAME, name.encode() + b"\0"))
    change(NEWLINK, CREATE | EXCLUSIVE, *first, attribute(LINK_INFO, *info))
    return socket.if_nametoindex(name)


def delete(index: int) -> None:
    """Delete the interface. The other end of its cable is deleted with it."""
    change(DELLINK, 0, LINK.pack(0, 0, index, 0, 0))


def switch(index: int, on: bool) -> None:
    """Switch the interface on or off."""
    change(NEWLINK, 0, LINK.pack(0, 0, index, IFF_UP if on else 0, IFF_UP))


def wait_until_up(index: int) -> None:
    """Wait until the interface is up; raise TimeoutError after PATIENCE_S.

    An interface that has just been switched on drops frames until the kernel has noticed the other end of its cable.
    """
    end = time.monotonic() + PATIENCE_S
    while True:
        link = request(GETLINK, 0, LINK.pack(0, 0, index, 0, 0))
        if attributes(link[LINK.size :])[LINK_STATE] == bytes([STATE_UP]):
            return
        if time.monotonic() > end:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        time.sleep(0.001)


def mute(index: int) -> None:
    """Keep the interface from getting an IPv6 address, so that the kernel sends no frames of its own on it."""
    families = attribute(LINK_FAMILIES, attribute(socket.AF_INET6, attribute(GENERATE_MODE, b"\x01")))
    with suppress(OSError):  # A kernel without IPv6 sends no frames anyway.
        change(NEWLINK, 0, LINK.pack(0, 0, index, 0, 0), families)


def add_address(index: int, address: str, prefix: int) -> None:
    """Add an IPv4 address with a network prefix of *prefix* bits. If it is below 32, set the broadcast address too."""
    packed = socket.inet_aton(address)
    hosts = (1 << 32 - prefix) - 1
    broadcast = (int.from_bytes(packed) | hosts).to_bytes(4)
    fields = (attribute(LOCAL, packed), attribute(ADDRESS, packed), attribute(BROADCAST, broadcast) if hosts else b"")
    change(NEWADDR, CREATE | EXCLUSIVE, struct.pack("=BBBBi", socket.AF_INET, prefix, 0, UNIVERSE, index), *fields)


def add_default_route(gateway: str) -> None:
    route = struct.pack("=8BI", socket.AF_INET, 0, 0, 0, TABLE_MAIN, BY_ADMINISTRATOR, UNIVERSE, UNICAST, 0)
    change(NEWROUTE, CREATE | EXCLUSIVE, route, attribute(GATEWAY, socket.inet_aton(gateway)))
