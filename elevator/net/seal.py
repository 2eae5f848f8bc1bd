r"""The seal on a datagram: a message authentication code that only holders of the group's key can make.

1. A sealed datagram is a line `sealed1 <tag>\n` followed by a datagram of wire.py. The tag is 16 bytes in hexadecimal.
   It is the BLAKE2b hash (RFC 7693) of everything after the line, keyed with the group's key.
2. A group without a key uses the public NO_KEY. Its tag is only a checksum: it detects flipped bits, not forgeries.
3. A node may have two keys. It seals with the first and accepts both. So a group can change its key node by node: add
   the new key everywhere, move it to the front everywhere, then remove the old one.
"""

from collections.abc import Sequence
from hashlib import blake2b
from hmac import compare_digest

KEY_BYTES = 32
KEYS_MAX = 2
NO_KEY = b""
PREFIX = b"sealed1 "
TAG_BYTES = 16
HEAD_BYTES = len(PREFIX) + 2 * TAG_BYTES + 1
"""Length of the line `sealed1 <tag>`, with its newline."""
NO_SEAL = "without a seal, so not from a node"
UNKEYED = "sealed without a key"
OTHER_KEY = "sealed with another key, or damaged"
"""The reasons why `unseal` refuses a datagram."""


class SealError(Exception):
    """The datagram has no valid seal. The message is the reason."""


def seal(datagram: bytes, key: bytes) -> bytes:
    return b"%s%s\n%s" % (PREFIX, tag(datagram, key), datagram)


def unseal(sealed: bytes, keys: Sequence[bytes]) -> bytes:
    """Return the datagram in *sealed*; raise SealError unless its seal was made with one of *keys*."""
    if not sealed.startswith(PREFIX) or sealed[HEAD_BYTES - 1 : HEAD_BYTES] != b"\n":
        raise SealError(NO_SEAL)
    datagram, received_tag = sealed[HEAD_BYTES:], sealed[len(PREFIX) : HEAD_BYTES - 1]
    for key in keys:
        if compare_digest(received_tag, tag(datagram, key)):
            return datagram
    if NO_KEY not in keys and compare_digest(received_tag, tag(datagram, NO_KEY)):
        raise SealError(UNKEYED)
    raise SealError(OTHER_KEY)


def tag(datagram: bytes, key: bytes) -> bytes:
    return blake2b(datagram, digest_size=TAG_BYTES, key=key).hexdigest().encode()
