r"""Heartbeats as datagrams.

1. A datagram is one line of text and a JSON body: `elevator3 <id> <incarnation> <counter> <part> <parts>\n{...}`.
   What counts up is in the line, so that a body that has not changed is neither built nor parsed again.
2. The presses of one author stand together: `[id, incarnation, n, [[button, floor, car, age], ...]]`, where the dot
   is n - age and car -1 is a hall call.
3. The car is `[floor, direction, behaviour, fault, obstructed, announced]`. Rates of traffic, up and down, are three
   hexadecimal digits a floor, or nothing.
4. A state too large for one datagram is split by author. Each part says all there is to say of its authors, so each
   can be merged without the others.
5. On the network it has a seal before it (seal.py), and what comes from there goes through admission.py first.
6. What comes in is structured by cattrs with every type and bound checked; anything else is None. Unknown fields are
   an error: a new format gets a new first word.
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
"""The first line; COUNT_MAX has 16 digits."""
DATAGRAM_BYTES = 1400
"""What a datagram should not exceed, with its seal, to fit one Ethernet frame; a single author's presses may, on a very
full panel."""
DATAGRAM_BYTES_MAX = 8192
COUNT_MAX = 1 << 53
"""More than any number that counts presses, heartbeats or runs will ever reach."""
PARTS_MAX = 64
HEX = frozenset("0123456789abcdef")
AUTHORS_MAX = 1024
GROUP_LENGTH_MAX = 32
VERSION = r"[0-9A-Za-z.+-]{0,16}"
"""What the version of a program may look like."""


Entry = tuple[int, int, int, list[tuple[int, int, int, int]]]


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


def strict(*primitives: type, detailed: bool = False) -> cattrs.Converter:
    """Make a converter that takes *primitives* as they are: cattrs would turn "3", 3.7 and true into integers."""
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=detailed)

    def exactly(primitive: type) -> Callable[[object, type], object]:
        def check(value: object, kind: type) -> object:
            if type(value) is not primitive:
                raise TypeError(f"{value!r} is not of type {primitive.__name__}")
            return kind(value)  # the primitive itself, or an enumeration of it

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
"""What json, cattrs and the checks here raise when bytes from outside are not what they should be."""

converter = strict(int, str, bool)
dump = json.JSONEncoder(separators=(",", ":")).encode


class Encoder:
    """Turns heartbeats into datagrams, building the body anew only when something but the counter changed."""

    def __init__(self, group: str, datagram_bytes: int = DATAGRAM_BYTES) -> None:
        self.group = group
        self.datagram_bytes = datagram_bytes
        self._last: Heartbeat | None = None
        self._bodies: Sequence[bytes] = ()

    def encode(self, heartbeat: Heartbeat) -> list[bytes]:
        """Return the datagrams of *heartbeat*, one in all but the largest groups."""
        if self._last is None or not tells_the_same(self._last, heartbeat):
            self._bodies = bodies(self.group, heartbeat, self.datagram_bytes)
        self._last = heartbeat
        id, incarnation = heartbeat.sender
        parts = len(self._bodies)
        return [
            b"%s %d %d %d %d %d\n%s" % (FORMAT, id, incarnation, heartbeat.counter, part, parts, body)
            for part, body in enumerate(self._bodies)
        ]


def tells_the_same(old: Heartbeat, new: Heartbeat) -> bool:
    """Tell whether two heartbeats of one node have the same body."""
    body = (new.floors, new.car, new.claims, new.hears, new.rates, new.version)  # Tuples compare identities first.
    return new.calls is old.calls and body == (old.floors, old.car, old.claims, old.hears, old.rates, old.version)


def bodies(group: str, heartbeat: Heartbeat, datagram_bytes: int) -> list[bytes]:
    """Build the JSON of *heartbeat*, in as many parts as its size asks for."""
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
    room = datagram_bytes - len(head) - 120  # for the lines before it: the seal's and ours
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
    """Write *calls* as JSON, an entry an author: nothing but numbers, which json would take longer to write."""
    seen = calls.seen
    dots: dict[Author, list[str]] = {author: [] for author in seen}
    for (author, n), (button, floor, car) in calls.live.items():
        dots[author].append(f"[{button:d},{floor},{car},{seen[author] - n}]")
    return [
        f"[{author.id},{author.incarnation},{seen[author]},[{','.join(entries)}]]" for author, entries in dots.items()
    ]


def decode(datagram: bytes, group: str) -> Heartbeat | None:
    """Read a datagram of *group*; None if it is not one, for whatever reason."""
    head = HEAD.match(datagram)
    if head is None or len(datagram) > DATAGRAM_BYTES_MAX:
        return None
    id, incarnation, counter, part, parts = map(int, head.groups())
    if id >= MAX_CARS or max(incarnation, counter) > COUNT_MAX or not part < parts <= PARTS_MAX:
        return None
    body = structure(datagram[head.end() :], group)
    if body is None:
        return None
    floors, car, claims, hears, rates, version, calls = body
    sender = Author(id, incarnation)
    return Heartbeat(sender, counter, floors, car, claims, hears, calls, part, parts, rates, version)


@lru_cache(maxsize=256)
def structure(body: bytes, group: str) -> tuple[int, Car, Buttons, int, Rates, str, Calls] | None:
    """Read a body of *group*: floors, car, claims, whom the sender hears, rates, version, calls."""
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
    """Read what `pack` wrote; raise ValueError if anything in it could not have been pressed."""
    live: dict[Dot, Call] = {}
    seen: dict[Author, int] = {}
    for id, incarnation, n, dots in entries:
        author = Author(id, incarnation)
        if not (0 <= id < MAX_CARS and 0 <= incarnation <= COUNT_MAX and 0 < n <= COUNT_MAX) or author in seen:
            raise ValueError(f"no author: {author} {n}")
        seen[author] = n
        for button, floor, car, age in dots:
            if not 0 <= age < n or not is_button(button, floor, car, floors):
                raise ValueError(f"no press: {button} {floor} {car} {age}")
            live[Dot(author, n - age)] = Call(Button(button), floor, car)
        if len({tuple(call) for *call, _ in dots}) != len(dots) or len({age for *_, age in dots}) != len(dots):
            raise ValueError(f"twice the same press: {author}")
    return Calls(live, seen)


def unpack_rates(row: str, floors: int) -> tuple[int, ...]:
    """Read the rates of one direction; raise ValueError if they are none."""
    if len(row) not in (0, 3 * floors) or not set(row) <= HEX:
        raise ValueError(f"no rates: {row}")
    rates = tuple(int(row[at : at + 3], 16) for at in range(0, len(row), 3))
    if max(rates, default=0) > RATE_MAX:
        raise ValueError(f"too many people: {row}")
    return rates


def is_button(button: int, floor: int, car: int, floors: int) -> bool:
    """Tell whether a building of *floors* floors has such a button."""
    if button == Button.CAB:
        return 0 <= floor < floors and 0 <= car < MAX_CARS
    lowest = 0 if button == Button.UP else 1
    return button in (Button.UP, Button.DOWN) and lowest <= floor < floors - 1 + lowest and car == EVERY_CAR
