"""The data types that the core's modules share: enums and immutable values.

Floors are numbered from 0, and node ids range from 0 to 63. All times are in milliseconds. Points in time, such as
`now_ms`, `_at_ms` and `since_ms`, are on the node's own monotonic clock. A set of floors is a bit mask: bit f stands
for floor f.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from enum import IntEnum, StrEnum
from functools import cached_property, reduce
from hashlib import blake2b
from operator import xor
from typing import NamedTuple

from elevator import _assign
from elevator.core.evolve import frozen

MAX_FLOORS = _assign.MAX_FLOORS
MAX_CARS = _assign.MAX_CARS
AGES, AGE_MS = _assign.AGES, _assign.AGE_MS
NEVER_MS = 1 << 62
"""A time later than any clock reading."""
RATE_MAX = 1000
"""The highest passenger rate that one car publishes for one button, in the unit of Rates. The sum of MAX_CARS such
rates is within the native assigner's limit."""
INCARNATIONS_KEPT = 8
"""A call set keeps this many of each node's newest incarnations. Older ones expire once they have no live press."""
EVERY_CAR = -1
"""The value of `Call.car` for a hall call, which any car may answer."""


class Direction(IntEnum):
    """A direction of travel: of a car, or of the passenger who makes a hall call."""

    DOWN = -1
    UP = 1

    @property
    def opposite(self) -> "Direction":
        return Direction(-self)

    @property
    def button(self) -> "Button":
        """The hall button for this direction."""
        return Button.UP if self is Direction.UP else Button.DOWN


class Motor(IntEnum):
    """A motor command."""

    DOWN = -1
    STOP = 0
    UP = 1


class Behaviour(IntEnum):
    """What a car is doing, or does next."""

    IDLE = 0
    MOVING = 1
    DOOR_OPEN = 2
    """The car is making a stop: its door is open or about to open."""


class Fault(StrEnum):
    """The reason why a car is out of service; NONE if it is in service."""

    NONE = "none"
    SERVER = "no elevator answers"
    """The elevator server or I/O card does not answer."""
    STOP = "stop button"
    MOTOR = "motor"
    POSITION = "position unknown"
    DOOR = "door held open"


class Button(IntEnum):
    """The kinds of call button. The values are those of the elevator server's protocol."""

    UP = 0
    DOWN = 1
    CAB = 2


class Call(NamedTuple):
    """A hall call, up or down, or a cab call of one `car`. For a hall call, `car` is EVERY_CAR.

    Calls, authors and dots are dictionary keys on the hottest path. They are named tuples, not attrs classes, because
    tuples hash and compare in C.
    """

    button: Button
    floor: int
    car: int


class Author(NamedTuple):
    """The author of presses and heartbeats: one incarnation of one node. node.py explains incarnations."""

    id: int
    incarnation: int


class Dot(NamedTuple):
    """The unique identity of one press: its `author` and its number `n`. An author numbers its presses from 1."""

    author: Author
    n: int


@frozen
class Buttons:
    """A set of buttons, as a bit mask of floors for each kind."""

    up: int = 0
    down: int = 0
    cab: int = 0

    def __or__(self, other: "Buttons") -> "Buttons":
        return Buttons(self.up | other.up, self.down | other.down, self.cab | other.cab)

    def __and__(self, other: "Buttons") -> "Buttons":
        return Buttons(self.up & other.up, self.down & other.down, self.cab & other.cab)

    def __sub__(self, other: "Buttons") -> "Buttons":
        return Buttons(self.up & ~other.up, self.down & ~other.down, self.cab & ~other.cab)

    def __bool__(self) -> bool:
        return bool(self.up | self.down | self.cab)

    def __contains__(self, call: Call) -> bool:
        """Return whether the button of *call* is in the set. The car of a cab call is ignored."""
        masks = self.up, self.down, self.cab
        return bool(masks[call.button] >> call.floor & 1)


def bits(mask: int) -> list[int]:
    """Return the floors or node ids whose bits are set in *mask*, in ascending order."""
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]


def buttons_of(calls: Iterable[Call]) -> Buttons:
    """Return the buttons of *calls*. All cab calls among them must belong to the same car."""
    masks = [0, 0, 0]
    for button, floor, _ in calls:
        masks[button] |= 1 << floor
    return Buttons(*masks)


@frozen(slots=False)
class Entry:
    """The presses of one author, as far as a replica of the call set knows them.

    A press is *live* until it is served, or replaced by a later press of the same call by the same author.
    Invariants: no number in `live` exceeds `newest`; at most one live press per call.
    """

    author: Author
    newest: int
    """The number of the author's newest known press."""
    live: Mapping[int, Call] = {}
    """The live presses, by number. All others up to `newest` were served or replaced."""

    @cached_property
    def buttons(self) -> Buttons:
        """The buttons of the live presses. The cab calls are those of the author's car."""
        return buttons_of(self.live.values())

    @cached_property
    def digest(self) -> int:
        """A 64-bit hash. Two entries with the same digest are equal, except with negligible probability."""
        presses = sorted((n, *call) for n, call in self.live.items())
        text = f"{self.author.id} {self.author.incarnation} {self.newest} {[tuple(map(int, each)) for each in presses]}"
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


@frozen(slots=False)
class Calls:
    """A replica of the call set, or a part of one: an entry for each author. call_set.py defines the operations."""

    entries: Mapping[Author, Entry] = {}

    @cached_property
    def live(self) -> Mapping[Dot, Call]:
        """The live presses, each with its call."""
        return {Dot(author, n): call for author, entry in self.entries.items() for n, call in entry.live.items()}

    @cached_property
    def hall(self) -> Buttons:
        """The hall calls, as buttons; `cab` is 0."""
        up = down = 0
        for entry in self.entries.values():
            up |= entry.buttons.up
            down |= entry.buttons.down
        return Buttons(up, down)

    @cached_property
    def cabs(self) -> Mapping[int, int]:
        """The cab calls of each car that has any, as a bit mask of floors. The keys are car ids."""
        cabs: dict[int, int] = {}
        for author, entry in self.entries.items():
            if entry.buttons.cab:
                cabs[author.id] = cabs.get(author.id, 0) | entry.buttons.cab
        return cabs

    def panel(self, car: int) -> Buttons:
        """Return the buttons of these calls on the panel of *car*."""
        return Buttons(self.hall.up, self.hall.down, self.cabs.get(car, 0))

    @cached_property
    def seen(self) -> Mapping[Author, int]:
        """The version vector: the number of the newest known press of each author."""
        return {author: entry.newest for author, entry in self.entries.items()}

    @cached_property
    def current(self) -> "Calls":
        """The replica without the entries of expired authors, which other replicas may have forgotten."""
        expired = self.expired
        return Calls({a: entry for a, entry in self.entries.items() if a not in expired}) if expired else self

    @cached_property
    def digest(self) -> int:
        """A 64-bit hash of the entries in `current`."""
        return reduce(xor, (entry.digest for entry in self.current.entries.values()), 0)

    @cached_property
    def expired(self) -> AbstractSet[Author]:
        """The old incarnations without live presses. The newest INCARNATIONS_KEPT of each node do not count as old."""
        if len(self.entries) <= INCARNATIONS_KEPT:
            return frozenset()
        authors_of: dict[int, list[Author]] = {}
        for author in sorted(self.entries):
            authors_of.setdefault(author.id, []).append(author)
        old = (author for authors in authors_of.values() for author in authors[:-INCARNATIONS_KEPT])
        return {author for author in old if not self.entries[author].live}


EVERY_BUTTON = Buttons(-1, -1, -1)


class Confirmed(NamedTuple):
    """Which commands a snapshot confirms: to open the door, and to stop the motor.

    The panel executes messages in order. So a snapshot confirms a command that was sent before the snapshot was
    requested, unless the node has reversed the command since.
    """

    door_open: bool = False
    motor_stopped: bool = False


@frozen
class Inputs:
    """A snapshot: the inputs of a panel, read in one sweep (panel_client.py)."""

    pressed: Buttons = Buttons()
    floor: int | None = None
    """The floor whose sensor is active; None between floors. A faulty sensor may report a floor outside the shaft."""
    stop: bool = False
    """True while the stop button is down."""
    obstructed: bool = False
    confirmed: Confirmed = Confirmed()
    halted: bool = False
    """True while the client of an I/O card halts the motor, because another program may be using the card
    (card_client.py). Meanwhile the core holds the car (drive.py), so that it does not diagnose a motor fault."""


@frozen
class Outputs:
    """The commands for a panel, or those already sent to it (panel_client.py)."""

    motor: Motor = Motor.STOP
    motor_try: int = 0
    """A counter. Whenever it changes, the motor command is sent, even if that is unchanged."""
    door: bool | None = False
    """True opens the door, False closes it, None leaves it as it is."""
    lamps: Buttons = Buttons()
    floor: int | None = None
    """The floor to show on the floor indicator. None leaves the indicator as it is, because the position is unknown."""
    stop_lamp: bool = False
    unsure: Buttons = Buttons()
    """The button lamps to leave unchanged, because the node does not know yet whether they must be lit."""


@frozen
class Car:
    """The part of a car's state that its node publishes in heartbeats."""

    floor: int = 0
    """The last floor reached; 0 if the position is unknown. A moving car is at this floor, or between it and the next
    one in its direction."""
    direction: Direction = Direction.DOWN
    behaviour: Behaviour = Behaviour.IDLE
    fault: Fault = Fault.POSITION
    obstructed: bool = False
    """True while the door is obstructed. The plan then assumes that the door stays open for a full dwell time, and
    ignores the car's claims."""
    announced: bool = True
    """False during a stop at which the car has not announced a direction yet. The car then serves the hall call in its
    direction or, if no calls lie ahead, possibly the other one instead."""


class Assigner(StrEnum):
    """The algorithm that assigns hall calls."""

    PLAN = "plan"
    REFERENCE = "reference"


class Park(StrEnum):
    """Where idle cars wait.

    SPREAD: where the next passengers are likely. SPARING: the same, but a car moves only if the next passenger then
    waits a second less on average. LOBBY: at floor 0. NONE: where they stop.
    """

    SPREAD = "spread"
    SPARING = "sparing"
    LOBBY = "lobby"
    NONE = "none"


@frozen
class Policy:
    """How a group assigns calls and parks cars. All nodes of a group should use the same policy."""

    assigner: Assigner = Assigner.PLAN
    park: Park = Park.SPREAD


Waited = tuple[Buttons, ...]
"""The hall calls that have waited long: AGES sets. Set k contains those that have waited at least (k + 1) * AGE_MS."""
NONE_WAITED: Waited = (Buttons(),) * AGES


class Rates(NamedTuple):
    """Passenger arrival rates by floor, in passengers per 2^20 ms: those that one car has measured, or sums over cars.

    `up` and `down` are empty until the car has counted its first passenger. `down[0]` is the sum of the fractions that
    rounding removed.
    """

    up: tuple[int, ...] = ()
    down: tuple[int, ...] = ()
