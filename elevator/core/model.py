"""The vocabulary: enums and frozen values that all modules use. No behaviour.

Floors count from 0 to floors - 1, node ids from 0 to 63. Times are milliseconds of the node's own monotonic clock;
names of deadlines end in `_at_ms`. A set of floors is a bit mask: bit f stands for floor f. A direction is always the
announced one, up or down; "stop" exists only as a motor command.
"""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import NamedTuple

from attrs import frozen

from elevator import _assign

MAX_FLOORS = _assign.MAX_FLOORS
MAX_CARS = _assign.MAX_CARS
NEVER_MS = 1 << 62
"""Later than any clock reading."""
RATE_MAX = 1000
"""The limit for one car at one button (see Rates). The sum of 64 cars stays within the limit of the assigner."""
EVERY_CAR = -1
"""The `car` of a hall call."""


class Direction(IntEnum):
    """The direction that a car announces to passengers."""

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
    """What a car is doing."""

    IDLE = 0
    MOVING = 1
    DOOR_OPEN = 2


class Fault(StrEnum):
    """Why a car cannot serve hall calls; NONE if it can."""

    NONE = "none"
    SERVER = "no elevator answers"
    """Its elevator server or I/O card does not answer."""
    STOP = "stop button"
    MOTOR = "motor"
    POSITION = "position unknown"
    DOOR = "door held open"


class Button(IntEnum):
    """The kinds of call button, numbered as the elevator server does."""

    UP = 0
    DOWN = 1
    CAB = 2


class Call(NamedTuple):
    """A request for service: hall up, hall down (car = EVERY_CAR), or a cab call of one *car*.

    Calls, authors and dots are tuples rather than attrs classes because they are dictionary keys on the hottest path:
    they hash and compare in C.
    """

    button: Button
    floor: int
    car: int


class Author(NamedTuple):
    """One run of one node: the author of presses. node.py has the rules for incarnations."""

    id: int
    incarnation: int


class Dot(NamedTuple):
    """One press: the *n*-th of its *author*, counted from 1."""

    author: Author
    n: int


@frozen
class Calls:
    """The replicated set of calls; call_set.py has its rules.

    Invariants: seen[dot.author] >= dot.n for every live dot; at most one live dot for an author and a call.
    """

    live: Mapping[Dot, Call] = {}
    """Presses not yet served."""
    seen: Mapping[Author, int] = {}
    """The version vector: all presses of an author up to this number are either live here or served."""


@frozen
class Buttons:
    """A bit mask of floors for each kind of button."""

    up: int = 0
    down: int = 0
    cab: int = 0

    def __or__(self, other: "Buttons") -> "Buttons":
        return Buttons(self.up | other.up, self.down | other.down, self.cab | other.cab)

    def __and__(self, other: "Buttons") -> "Buttons":
        return Buttons(self.up & other.up, self.down & other.down, self.cab & other.cab)

    def __sub__(self, other: "Buttons") -> "Buttons":
        return Buttons(self.up & ~other.up, self.down & ~other.down, self.cab & ~other.cab)


EVERY_BUTTON = Buttons(-1, -1, -1)


class Confirmed(NamedTuple):
    """What a panel has confirmed of its commands: it executes messages in order, so a reply confirms those before."""

    door_open: bool = False
    motor_stopped: bool = False


@frozen
class Inputs:
    """One snapshot of a panel and its shaft, read in one sweep."""

    pressed: Buttons = Buttons()
    floor: int | None = None
    """The floor whose sensor is active; None between floors."""
    stop: bool = False
    obstructed: bool = False
    confirmed: Confirmed = Confirmed()
    halted: bool = False
    """Whether the port has stopped the motor by itself, because replies are late or malformed. Without this the core
    would report a motor fault. The next good snapshot ends it."""


@frozen
class Outputs:
    """Everything that a node commands its panel and its car to do."""

    motor: Motor = Motor.STOP
    motor_try: int = 0
    """Counts up when an unchanged motor command is to be sent again."""
    door: bool | None = False
    """None: leave it as it is."""
    lamps: Buttons = Buttons()
    floor: int | None = None
    """The floor indicator; None before the first floor is known."""
    stop_lamp: bool = False
    unsure: Buttons = Buttons()
    """Button lamps to leave as they are, because the node does not know yet whether they should be lit."""


@frozen
class Car:
    """The state of a car as the group knows it."""

    floor: int = 0
    """The last floor reached; a moving car is between it and the next one in its direction."""
    direction: Direction = Direction.DOWN
    behaviour: Behaviour = Behaviour.IDLE
    fault: Fault = Fault.POSITION
    obstructed: bool = False
    """Whether its door is obstructed now. The plan assumes that a full dwell time still lies ahead of it."""
    announced: bool = True
    """Whether it has announced its direction at this stop. Until then it may turn round for a call at its floor."""


class Assigner(StrEnum):
    """The algorithm that assigns hall calls."""

    PLAN = "plan"
    REFERENCE = "reference"


class Park(StrEnum):
    """Where idle cars wait."""

    SPREAD = "spread"
    LOBBY = "lobby"
    NONE = "none"


@frozen
class Policy:
    """How a group serves. All its nodes should have the same policy."""

    assigner: Assigner = Assigner.PLAN
    park: Park = Park.SPREAD


class Rates(NamedTuple):
    """How many passengers a car has met at each hall button in 2^20 ms; empty if it has met none yet."""

    up: tuple[int, ...] = ()
    down: tuple[int, ...] = ()


@frozen
class Heartbeat:
    """What a node broadcasts: its state, its calls and its acknowledgements."""

    sender: Author
    sequence: int
    """The sequence number, from 1. Receivers ignore an older or repeated one."""
    floors: int
    car: Car
    claims: Buttons
    """The hall calls that the sender answers; `cab` is 0."""
    hears: int
    """Bit mask of the ids that the sender hears."""
    calls: Calls
    """The calls on the sender's disk; `calls.seen` acknowledges them."""
    part: int = 0
    parts: int = 1
    """A heartbeat too large for one datagram is sent in parts. Each covers only the authors in its `calls.seen`."""
    rates: Rates = Rates()
    """The traffic that the sender has measured."""
    version: str = ""
    """The sender's program version, for `elevator watch` only."""


@frozen
class Tick:
    """The input of one turn."""

    now_ms: int
    inputs: Inputs | None = None
    """The newest snapshot of the panel; None if no elevator answers."""
    heartbeats: tuple[Heartbeat, ...] = ()
    """Heartbeats since the last turn, in order of arrival."""
    recorded: Calls | None = None
    """Calls that are now durable; None: nothing new."""
    disk_failed: bool = False
    """The disk has just refused a record, or takes too long."""
    found: "Record | None" = None
    """A record that could not be read at the start and now has been; the disk still holds it."""
    asked_at_ms: int | None = None
    """When the panel was asked for `inputs`, or last for a snapshot equal to it; None: just now."""


class OpenDoor(NamedTuple):
    """The floor of an open door, and the direction announced there."""

    floor: int
    direction: Direction


@frozen
class Record:
    """What survives a power cut."""

    incarnation: int
    """The incarnation that wrote it. Its successor takes a higher one."""
    calls: Calls
    door: OpenDoor | None = None
    """The open door, so that a successor does not close it on a passenger; None if it is closed."""
