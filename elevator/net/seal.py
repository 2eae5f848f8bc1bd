r"""The seal on a datagram: it was written by somebody who has the group's key, and not changed since.

1. A sealed datagram is that of wire.py with a line before it: `sealed1 <tag>\n`. The tag is BLAKE2b (RFC 7693) over all
   that follows, 16 bytes in hexadecimal, keyed by the group's key.
2. A group without a key uses NO_KEY, which everybody knows: then the tag is a checksum, which tells of flipped bits and
   of nothing else.
3. A node may have two keys. It seals with the first and opens what either has sealed, so that a group gets another key
   node by node: first the new one is added everywhere, then it is put first, then the old one is taken away.
"""

from collections.abc import Sequence
from hashlib import blake2b
from hmac import compare_digest

KEY_BYTES = 32
KEYS_MAX = 2
NO_KEY = b""
WORD = b"sealed1 "
TAG_BYTES = 16
HEAD_BYTES = len(WORD) + 2 * TAG_BYTES + 1
"""Length of the line before the datagram."""


class Unsealed(Exception):
    """A datagram is not taken; the message says what it is."""


def seal(datagram: bytes, key: bytes) -> bytes:
    """Return *datagram* with the seal of *key*."""
    return b"%s%s\n%s" % (WORD, tag(datagram, key), datagram)


def unseal(sealed: bytes, keys: Sequence[bytes]) -> bytes:
    """Return the datagram in *sealed*; raise Unsealed if none of *keys*, of which there is at least one, sealed it."""
    if not sealed.startswith(WORD) or sealed[HEAD_BYTES - 1 : HEAD_BYTES] != b"\n":
        raise Unsealed("not from a node")
    datagram, told = sealed[HEAD_BYTES:], sealed[len(WORD) : HEAD_BYTES - 1]
    if any(compare_digest(told, tag(datagram, key)) for key in keys):
        return datagram
    if NO_KEY not in keys and compare_digest(told, tag(datagram, NO_KEY)):
        raise Unsealed("without a key")
    raise Unsealed("with another key, or damaged")


def tag(datagram: bytes, key: bytes) -> bytes:
    return blake2b(datagram, digest_size=TAG_BYTES, key=key).hexdigest().encode()
