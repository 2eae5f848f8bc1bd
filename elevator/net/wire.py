r"""The format of heartbeats on the network.

A datagram has these parts. Numbers are big-endian; the sizes are in bytes.

    format     10       b"elevator5 ": a new format gets a new number
    group      1 + n    the length of the group's name, and the name in UTF-8
    head       17       id, incarnation and sequence number of the sender
    state      41       floors; floor, direction, behaviour and fault of the car; flags, claims, hears, digest, and the
                        lengths of the version and the rates
    waited     0 or 32  the hall calls that have waited long, if there are any: up and down for each age
    version    0..16    the sender's program version, in ASCII
    rates      0..160   the traffic rates of each floor, up and down, 10 bits each
    entries             the entries of some authors, up to the end of the datagram:
      head     19       length of the presses, id, incarnation, number of the newest press
      presses  5 each   button and floor; age: the number of the newest press minus the number of this press

1. A cab call is always for the author's own car, so the format does not contain its car.
2. There are four flags: `obstructed` and `announced` of the car, whether rates are present (even if they are empty),
   and whether the datagram contains long waits.
3. On the network, a seal precedes the datagram (seal.py). A sealed datagram is at most DATAGRAM_BYTES long. The sender
   chooses entries that fit (outgoing.py). Even the entry of an author with every button pressed fits.
4. The decoder checks every length and bound, and returns None for anything invalid.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from struct import Struct

from elevator.core.messages import Heartbeat
from elevator.core.model import (
    AGES,
    EVERY_CAR,
    MAX_CARS,
    MAX_FLOORS,
    NONE_WAITED,
    RATE_MAX,
    Author,
    Behaviour,
    Button,
    Buttons,
    Call,
    Calls,
    Car,
    Direction,
    Entry,
    Fault,
    Rates,
    Waited,
)
from elevator.core.outgoing import ENTRY_BYTES, PRESS_BYTES

FORMAT = b"elevator5 "
ANY_FORMAT = re.compile(rb"elevator\d{1,4} ")
HEAD = Struct(">BQQ")
AUTHOR = Struct(">BQ")
SEQUENCE_BYTES = HEAD.size - AUTHOR.size
STATE = Struct(">BBbBBBQQQQBH")
MASKS = Struct(">QQ")
ENTRY = Struct(">HBQQ")
PRESS = Struct(">BI")
assert (ENTRY.size, PRESS.size) == (ENTRY_BYTES, PRESS_BYTES)
DATAGRAM_BYTES = 1400
"""The maximum size of a sealed datagram. It fits one Ethernet frame, with room for the headers of a tunnel."""
COUNT_MAX = 1 << 53
"""The highest valid incarnation, sequence number or press number. The limit for a record's incarnation is lower
(records.py)."""
AGE_MAX = (1 << 32) - 1
"""The highest valid age of a press. The age is a number of presses, not a time."""
GROUP_LENGTH_MAX = 32
"""The maximum length of a group's name, in bytes of UTF-8."""
VERSION = re.compile(r"[0-9A-Za-z.+-]{0,16}")

FAULTS = tuple(Fault)
OBSTRUCTED, ANNOUNCED, HAS_RATES, HAS_WAITED = 1, 2, 4, 8
RATE_BITS = 10
assert RATE_MAX < 1 << RATE_BITS

State = tuple[int, Car, Buttons, int, Calls, int, Rates | None, Waited, str]
"""What `decode_body` returns: the fields of a heartbeat from `floors` to `version`."""


def encode(heartbeat: Heartbeat, group: str) -> bytes:
    """Return the datagram of *heartbeat*, without a seal."""
    car, claims, rates, has_waited = heartbeat.car, heartbeat.claims, heartbeat.rates, any(heartbeat.waited)
    flags = OBSTRUCTED * car.obstructed | ANNOUNCED * car.announced
    flags |= HAS_RATES * (rates is not None) | HAS_WAITED * has_waited
    version = heartbeat.version.encode()
    packed_rates = b"".join(map(pack_rates, rates or ()))
    state = STATE.pack(
        heartbeat.floors,
        car.floor,
        car.direction,
        car.behaviour,
        FAULTS.index(car.fault),
        flags,
        claims.up,
        claims.down,
        heartbeat.hears,
        heartbeat.digest,
        len(version),
        len(packed_rates),
    )
    head = HEAD.pack(*heartbeat.sender, heartbeat.sequence)
    waited = b"".join(MASKS.pack(each.up, each.down) for each in heartbeat.waited) if has_waited else b""
    entries = map(pack_entry, heartbeat.calls.entries.values())
    return b"".join((prefix(group), head, state, waited, version, packed_rates, *entries))


@lru_cache(maxsize=4)
def prefix(group: str) -> bytes:
    """Return the first two parts of the datagrams of *group*."""
    name = group.encode()
    return FORMAT + bytes((len(name),)) + name


def own_head(group: str, author: Author) -> bytes:
    """Return the bytes with which every datagram of *author* in *group* begins, after its seal."""
    return prefix(group) + HEAD.pack(*author, 0)[:-SEQUENCE_BYTES]


def pack_rates(rates: tuple[int, ...]) -> bytes:
    bits = sum(rate << RATE_BITS * floor for floor, rate in enumerate(rates))
    return bits.to_bytes(rates_bytes(len(rates)), "big")


def rates_bytes(floors: int) -> int:
    return (RATE_BITS * floors + 7) // 8


def pack_entry(entry: Entry) -> bytes:
    newest = entry.newest
    presses = [
        PRESS.pack(button * MAX_FLOORS + floor, newest - n) for n, (button, floor, _) in sorted(entry.live.items())
    ]
    return ENTRY.pack(PRESS_BYTES * len(presses), *entry.author, newest) + b"".join(presses)


def decode(datagram: bytes, group: str) -> Heartbeat | None:
    """Return the heartbeat in *datagram*, given without its seal. None if it is invalid or of another group."""
    start = prefix(group)
    if not datagram.startswith(start) or not len(start) + HEAD.size + STATE.size <= len(datagram) <= DATAGRAM_BYTES:
        return None
    head_end = len(start) + HEAD.size
    sender = unpack_author(datagram[len(start) : head_end - SEQUENCE_BYTES])
    sequence = int.from_bytes(datagram[head_end - SEQUENCE_BYTES : head_end], "big")
    body = decode_body(datagram[head_end:])
    if body is None or sender is None or sequence > COUNT_MAX:
        return None
    return Heartbeat(sender, sequence, *body)


@lru_cache(maxsize=1024)
def unpack_author(packed: bytes) -> Author | None:
    """Return the author in the first part of a head; None if it is invalid."""
    author = Author(*AUTHOR.unpack(packed))
    return author if is_author(*author) else None


def refusal(datagram: bytes, group: str) -> str:
    """Return the reason why `decode` refuses *datagram*."""
    if datagram.startswith(FORMAT):
        return "malformed" if datagram.startswith(prefix(group)) else "from another group"
    is_other_format = ANY_FORMAT.match(datagram) is not None
    return "from another version of the program: update all nodes" if is_other_format else "malformed"


@lru_cache(maxsize=1024)
def decode_body(body: bytes) -> State | None:
    """Return the contents of *body*, the part of a datagram that follows its head; None if it is invalid.

    Successive datagrams of a node often differ only in their heads, so the results are cached.
    """
    floors, floor, direction, behaviour, fault, flags, up, down, hears, digest, version_size, rates_size = (
        STATE.unpack_from(body)
    )
    version_at = STATE.size + (AGES * MASKS.size if flags & HAS_WAITED else 0)
    rates_at = version_at + version_size
    entries_at = rates_at + rates_size
    outside = (up | down) >> floors
    if not 2 <= floors <= MAX_FLOORS or floor >= floors or outside or flags >= 16 or entries_at > len(body):
        return None
    is_obstructed, is_announced, has_rates = (bool(flags & flag) for flag in (OBSTRUCTED, ANNOUNCED, HAS_RATES))
    try:
        car = Car(floor, Direction(direction), Behaviour(behaviour), fault_of(fault), is_obstructed, is_announced)
        waited = unpack_waited(body[STATE.size : version_at], floors)
        version = unpack_version(body[version_at:rates_at])
        rates = unpack_rates(body[rates_at:entries_at], floors, has_rates)
        calls = unpack_calls(body[entries_at:], floors)
    except ValueError:
        return None
    return floors, car, Buttons(up, down), hears, calls, digest, rates, waited, version


# The functions below raise ValueError if their input is invalid, except `is_author` and `is_button`.


def fault_of(code: int) -> Fault:
    if code >= len(FAULTS):
        raise ValueError(f"invalid fault code: {code}")
    return FAULTS[code]


def unpack_waited(packed: bytes, floors: int) -> Waited:
    if not packed:
        return NONE_WAITED
    waited = tuple(Buttons(up, down) for up, down in MASKS.iter_unpack(packed))
    if any((each.up | each.down) >> floors for each in waited):
        raise ValueError(f"invalid floors of calls that have waited long: 0x{packed.hex()}")
    return waited


def unpack_version(packed: bytes) -> str:
    version = packed.decode("ascii")
    if not VERSION.fullmatch(version):
        raise ValueError(f"invalid version: {version}")
    return version


@lru_cache(maxsize=256)
def unpack_rates(packed: bytes, floors: int, is_present: bool) -> Rates | None:
    """Return the rates; None if the datagram contains none."""
    if not packed:
        return Rates() if is_present else None
    size = rates_bytes(floors)
    if not is_present or len(packed) != 2 * size:
        raise ValueError(f"invalid size of the traffic rates: {len(packed)} bytes")
    return Rates(unpack_row(packed[:size], floors), unpack_row(packed[size:], floors))


def unpack_row(packed: bytes, floors: int) -> tuple[int, ...]:
    bits = int.from_bytes(packed, "big")
    row = tuple(bits >> RATE_BITS * floor & (1 << RATE_BITS) - 1 for floor in range(floors))
    if bits >> RATE_BITS * floors or max(row) > RATE_MAX:
        raise ValueError(f"invalid traffic rates: 0x{packed.hex()}")
    return row


def unpack_calls(packed: bytes, floors: int) -> Calls:
    entries: dict[Author, Entry] = {}
    at = 0
    while at < len(packed):
        end = at + ENTRY.size + int.from_bytes(packed[at : at + 2], "big")
        entry = unpack_entry(packed[at:end], floors)
        if end > len(packed) or entry.author in entries:
            raise ValueError(f"entry of {entry.author} is truncated or repeated")
        entries[entry.author] = entry
        at = end
    return Calls(entries)


@lru_cache(maxsize=4096)
def unpack_entry(packed: bytes, floors: int) -> Entry:
    """Decode one entry. Heartbeats repeat entries, so the results are cached."""
    presses_size = len(packed) - ENTRY.size
    if presses_size < 0 or presses_size % PRESS.size:
        raise ValueError(f"invalid size of an entry: {len(packed)} bytes")
    _, id, incarnation, newest = ENTRY.unpack_from(packed)
    decoded = [(*divmod(code, MAX_FLOORS), age) for code, age in PRESS.iter_unpack(packed[ENTRY.size :])]
    return checked_entry(Author(id, incarnation), newest, decoded, floors)


def checked_entry(author: Author, newest: int, presses: Sequence[tuple[int, int, int]], floors: int) -> Entry:
    """Return the entry with these live *presses*, each as (button, floor, age); raise ValueError if it is invalid."""
    id, incarnation = author
    if not is_author(id, incarnation) or not 0 < newest <= COUNT_MAX:
        raise ValueError(f"invalid node {id}, incarnation {incarnation} or press number {newest}")
    live = {}
    for button, floor, age in presses:
        if not 0 <= age < newest or age > AGE_MAX or not is_button(button, floor, floors):
            raise ValueError(f"invalid press: button {button}, floor {floor}, age {age}")
        live[newest - age] = Call(Button(button), floor, id if button == Button.CAB else EVERY_CAR)
    if len({*live.values()}) != len(presses):
        raise ValueError(f"two live presses of one call by node {id}, incarnation {incarnation}")
    return Entry(author, newest, live)


def is_author(id: int, incarnation: int) -> bool:
    return 0 <= id < MAX_CARS and 0 <= incarnation <= COUNT_MAX


def is_button(button: int, floor: int, floors: int) -> bool:
    """Return whether a building of *floors* floors has this button."""
    lowest, highest = (1 if button == Button.DOWN else 0), (floors - 2 if button == Button.UP else floors - 1)
    return button in (Button.UP, Button.DOWN, Button.CAB) and lowest <= floor <= highest
