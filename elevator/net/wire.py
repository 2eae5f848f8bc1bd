r"""The format of heartbeats on the network.

1. A datagram is a line of text and a JSON body: `elevator3 <id> <incarnation> <sequence> <part> <parts>\n{...}`. The
   sequence number is in the line, so an unchanged body is neither encoded nor parsed again.
2. The presses of one author form an entry: `[id, incarnation, n, [[button, floor, car, age], ...]]`. Here n is the
   number of the author's newest press, and n - age the number of the press in question. Hall calls have car -1.
3. The car is `[floor, direction, behaviour, fault, obstructed, announced]`. The traffic rates, up and down, are three
   hexadecimal digits for each floor, or an empty string.
4. A state too large for one datagram is split by author. Each part is complete for its authors, so receivers can merge
   each part on its own.
5. On the network, a seal precedes the datagram (seal.py).
6. The decoder checks every type and bound, with cattrs, and returns None for anything invalid. Unknown fields are
   errors: a new format gets a new first word.
"""

import json
import re
from collections.abc import Callable, Sequence
from functools import lru_cache

import cattrs
from attrs import field, frozen
from attrs.validators import ge, le, matches_re, max_len

from elevator.core.model import (
    EVERY_CAR,
    MAX_CARS,
    MAX_FLOORS,
    RATE_MAX,
    Author,
    Behaviour,
    Button,
    Buttons,
    Call,
    Calls,
    Car,
    Direction,
    Dot,
    Fault,
    Heartbeat,
    Rates,
)

FORMAT = b"elevator3"
HEAD = re.compile(FORMAT + rb" (\d{1,16})" * 5 + rb"\n")
"""Matches the first line of a datagram. COUNT_MAX has 16 digits."""
DATAGRAM_BYTES = 1400
"""The target size of a datagram with its seal, so that it fits one Ethernet frame. A single author with very many
presses may exceed it."""
DATAGRAM_BYTES_MAX = 8192
COUNT_MAX = 1 << 53
"""The limit on incarnations, sequence numbers and press numbers."""
PARTS_MAX = 64
HEX = frozenset("0123456789abcdef")
AUTHORS_MAX = 1024
GROUP_LENGTH_MAX = 32
VERSION = r"[0-9A-Za-z.+-]{0,16}"
"""The regular expression for a program version."""

Entry = tuple[int, int, int, list[tuple[int, int, int, int]]]
"""The presses of one author: id, incarnation, n, and a list of (button, floor, car, age)."""


@frozen
class Body:
    """The JSON part of a datagram."""

    group: str = field(validator=max_len(GROUP_LENGTH_MAX))
    floors: int = field(validator=[ge(2), le(MAX_FLOORS)])
    car: tuple[int, Direction, Behaviour, Fault, bool, bool]
    up: int = field(validator=[ge(0), le((1 << MAX_FLOORS) - 1)])
    down: int = field(validator=[ge(0), le((1 << MAX_FLOORS) - 1)])
    hears: int = field(validator=[ge(0), le((1 << MAX_CARS) - 1)])
    rates: tuple[str, str]
    version: str = field(validator=matches_re(VERSION))
    calls: list[Entry] = field(validator=max_len(AUTHORS_MAX))


def strict_converter(*primitives: type, detailed: bool = False) -> cattrs.Converter:
    """Return a converter that accepts *primitives* only with their exact type: cattrs alone reads "3" as 3."""
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=detailed)

    def exactly(primitive: type) -> Callable[[object, type], object]:
        def check(value: object, kind: type) -> object:
            if type(value) is not primitive:
                raise TypeError(f"{value!r} is not of type {primitive.__name__}")
            return kind(value)  # *kind* is the primitive itself, or an enum derived from it.

        return check

    for primitive in primitives:
        converter.register_structure_hook(primitive, exactly(primitive))
    return converter


BAD_INPUT = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RecursionError,
    cattrs.BaseValidationError,
    cattrs.ForbiddenExtraKeysError,
)
"""The exceptions that json, cattrs and this module raise for invalid input."""

converter = strict_converter(int, str, bool)
dump = json.JSONEncoder(separators=(",", ":")).encode


class Encoder:
    """Encodes heartbeats as datagrams. The body is encoded again only if it changed."""

    def __init__(self, group: str, datagram_bytes: int = DATAGRAM_BYTES) -> None:
        self.group = group
        self.datagram_bytes = datagram_bytes
        self._last: Heartbeat | None = None
        self._bodies: Sequence[bytes] = ()

    def encode(self, heartbeat: Heartbeat) -> list[bytes]:
        """Return the datagrams of *heartbeat*: more than one only if its calls do not fit."""
        if self._last is None or not has_same_body(self._last, heartbeat):
            self._bodies = encode_bodies(self.group, heartbeat, self.datagram_bytes)
        self._last = heartbeat
        id, incarnation = heartbeat.sender
        parts = len(self._bodies)
        return [
            b"%s %d %d %d %d %d\n%s" % (FORMAT, id, incarnation, heartbeat.sequence, part, parts, body)
            for part, body in enumerate(self._bodies)
        ]


def has_same_body(old: Heartbeat, new: Heartbeat) -> bool:
    body = (
        new.floors,
        new.car,
        new.claims,
        new.hears,
        new.rates,
        new.version,
    )  # Fast for unchanged fields: tuple comparison tests identity first.
    return new.calls is old.calls and body == (old.floors, old.car, old.claims, old.hears, old.rates, old.version)


def encode_bodies(group: str, heartbeat: Heartbeat, datagram_bytes: int) -> list[bytes]:
    """Return the JSON bodies of *heartbeat*, one for each part."""
    entries = pack(heartbeat.calls)
    car, claims = heartbeat.car, heartbeat.claims
    head = dump(
        {
            "group": group,
            "floors": heartbeat.floors,
            "car": [car.floor, car.direction, car.behaviour, car.fault, car.obstructed, car.announced],
            "up": claims.up,
            "down": claims.down,
            "hears": heartbeat.hears,
            "rates": ["".join(f"{rate:03x}" for rate in row) for row in heartbeat.rates],
            "version": heartbeat.version,
        }
    )[:-1]
    room = datagram_bytes - len(head) - 120  # 120 bytes for the two lines before the body
    parts: list[list[str]] = [[]]
    used = 0
    for entry in entries:
        if parts[-1] and used + len(entry) > room:
            parts.append([])
            used = 0
        parts[-1].append(entry)
        used += len(entry) + 1
    return [f'{head},"calls":[{",".join(part)}]}}'.encode() for part in parts]


def pack(calls: Calls) -> list[str]:
    """Return *calls* as JSON, one entry for each author. Formatting numbers by hand is faster than json."""
    seen = calls.seen
    dots: dict[Author, list[str]] = {author: [] for author in seen}
    for (author, n), (button, floor, car) in calls.live.items():
        dots[author].append(f"[{button:d},{floor},{car},{seen[author] - n}]")
    return [
        f"[{author.id},{author.incarnation},{seen[author]},[{','.join(entries)}]]" for author, entries in dots.items()
    ]


def decode(datagram: bytes, group: str) -> Heartbeat | None:
    """Return the heartbeat in *datagram*; None if it is invalid or of another group."""
    head = HEAD.match(datagram)
    if head is None or len(datagram) > DATAGRAM_BYTES_MAX:
        return None
    id, incarnation, sequence, part, parts = map(int, head.groups())
    if id >= MAX_CARS or max(incarnation, sequence) > COUNT_MAX or not part < parts <= PARTS_MAX:
        return None
    body = decode_body(datagram[head.end() :], group)
    if body is None:
        return None
    floors, car, claims, hears, rates, version, calls = body
    sender = Author(id, incarnation)
    return Heartbeat(sender, sequence, floors, car, claims, hears, calls, part, parts, rates, version)


@lru_cache(maxsize=256)
def decode_body(body: bytes, group: str) -> tuple[int, Car, Buttons, int, Rates, str, Calls] | None:
    """Return floors, car, claims, hears, rates, version and calls; None if *body* is invalid or of another group."""
    try:
        parsed = converter.structure(json.loads(body), Body)
        calls = unpack(parsed.calls, parsed.floors)
        up, down = (unpack_rates(row, parsed.floors) for row in parsed.rates)
    except BAD_INPUT:
        return None
    floors = (1 << parsed.floors) - 1
    car = Car(*parsed.car)
    if parsed.group != group or not 0 <= car.floor < parsed.floors or (parsed.up | parsed.down) & ~floors:
        return None
    claims = Buttons(parsed.up, parsed.down)
    return parsed.floors, car, claims, parsed.hears, Rates(up, down), parsed.version, calls


def unpack(entries: list[Entry], floors: int) -> Calls:
    """Return the calls in *entries*, the inverse of `pack`; raise ValueError if any entry is invalid."""
    live: dict[Dot, Call] = {}
    seen: dict[Author, int] = {}
    for id, incarnation, n, dots in entries:
        author = Author(id, incarnation)
        if not (0 <= id < MAX_CARS and 0 <= incarnation <= COUNT_MAX and 0 < n <= COUNT_MAX) or author in seen:
            raise ValueError(f"invalid author or press number: {author} {n}")
        seen[author] = n
        for button, floor, car, age in dots:
            if not 0 <= age < n or not is_button(button, floor, car, floors):
                raise ValueError(f"invalid press: {button} {floor} {car} {age}")
            live[Dot(author, n - age)] = Call(Button(button), floor, car)
        if len({tuple(call) for *call, _ in dots}) != len(dots) or len({age for *_, age in dots}) != len(dots):
            raise ValueError(f"duplicate press of {author}")
    return Calls(live, seen)


def unpack_rates(row: str, floors: int) -> tuple[int, ...]:
    """Decode the traffic rates of one direction; raise ValueError if they are invalid."""
    if len(row) not in (0, 3 * floors) or not set(row) <= HEX:
        raise ValueError(f"invalid rates: {row}")
    rates = tuple(int(row[at : at + 3], 16) for at in range(0, len(row), 3))
    if max(rates, default=0) > RATE_MAX:
        raise ValueError(f"rate above the limit: {row}")
    return rates


def is_button(button: int, floor: int, car: int, floors: int) -> bool:
    """Report whether a building of *floors* floors has this button."""
    if button == Button.CAB:
        return 0 <= floor < floors and 0 <= car < MAX_CARS
    lowest = 0 if button == Button.UP else 1
    return button in (Button.UP, Button.DOWN) and lowest <= floor < floors - 1 + lowest and car == EVERY_CAR
