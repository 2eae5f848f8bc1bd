"""The vocabulary: enums and frozen values that every other module speaks in. No behaviour.

Floors count from 0 to floors - 1, node ids from 0 to 63. Times are milliseconds of the node's own monotonic clock;
names of deadlines end in `_at_ms`. A set of floors is a bit mask: bit f stands for floor f. A direction is always the
announced one, up or down; "stop" exists only as a motor command.
"""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import NamedTuple

from attrs import frozen

MAX_FLOORS = 64
MAX_CARS = 64
NEVER_MS = 1 << 62
"""Later than any time that a clock shows."""
RATE_MAX = 1000
"""Of one car at one button (see Rates): the sum of 64 stays below what the assigner takes."""
EVERY_CAR = -1
"""The `car` of a hall call: it is nobody's and everybody's."""


class Direction(IntEnum):
    """Where a car goes next, as announced to the passengers."""

    DOWN = -1
    UP = 1

    @property
    def opposite(self) -> "Direction":
        return Direction(-self)

    @property
    def button(self) -> "Button":
        """The hall button of those who go this way."""
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
    """Neither its server nor its I/O card, whichever it is on."""
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
    """One run of one node's program: whoever noted a press."""

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
    """The highest press heard of, for each author: all presses up to it are either live here or served."""


@frozen
class Buttons:
    """Three bit masks of floors, one for each kind of button: what is pressed, what is lit, or what a car has to do."""

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


@frozen
class Inputs:
    """One snapshot of a panel and a shaft, all of it read in one sweep."""

    pressed: Buttons = Buttons()
    floor: int | None = None
    """The floor whose sensor is active; None between floors."""
    stop: bool = False
    obstructed: bool = False
    door: bool = False
    """Whether the door is open: it had been told to be before the panel was asked, which does everything in order."""
    still: bool = False
    """Whether the motor stands: it had been told to."""
    halted: bool = False
    """Whether the port has stopped the motor by itself, because replies are late or make no sense. Otherwise the core
    would take the delay for a motor fault. The next good snapshot ends it."""


@frozen
class Outputs:
    """All that a node wants of its panel and its car."""

    motor: Motor = Motor.STOP
    motor_try: int = 0
    """Counts up when the motor command is to be sent again although it has not changed."""
    door: bool | None = False
    """None: it stays as it is."""
    lamps: Buttons = Buttons()
    floor: int | None = None
    """The floor indicator; None before the first floor is known."""
    stop_lamp: bool = False
    unsure: Buttons = Buttons()
    """Button lamps of which the node does not know yet whether they should be lit: they stay as they are."""


@frozen
class Car:
    """What the group knows of one car."""

    floor: int = 0
    """The last floor reached; a moving car is between it and the next one in its direction."""
    direction: Direction = Direction.DOWN
    behaviour: Behaviour = Behaviour.IDLE
    fault: Fault = Fault.POSITION
    obstructed: bool = False
    """Whether something holds its door open now. The others reckon with a full dwell time still ahead of it."""
    announced: bool = True
    """Whether those who wait at its open door were told its direction. Until then it may turn for them."""


class Assigner(StrEnum):
    """How hall calls are shared out."""

    PLAN = "plan"
    REFERENCE = "reference"


class Park(StrEnum):
    """Where cars with nothing to do wait."""

    SPREAD = "spread"
    LOBBY = "lobby"
    NONE = "none"


@frozen
class Policy:
    """How a group serves. It should be the same on all its nodes."""

    assigner: Assigner = Assigner.PLAN
    park: Park = Park.SPREAD


class Rates(NamedTuple):
    """How many people a car has met at each floor's hall buttons in 2^20 ms; empty if it has met nobody yet."""

    up: tuple[int, ...] = ()
    down: tuple[int, ...] = ()


@frozen
class Heartbeat:
    """One node's state as it tells the others: sign of life, calls and acknowledgement in one."""

    sender: Author
    counter: int
    """Counts the sender's heartbeats from 1; an older or repeated one is ignored."""
    floors: int
    car: Car
    claims: Buttons
    """The hall calls that the sender takes (cab is 0: everybody knows whose those are)."""
    hears: int
    """Bit mask of the ids whose heartbeats reach the sender."""
    calls: Calls
    """The calls on the sender's disk. What is in `calls.seen` is thereby acknowledged."""
    part: int = 0
    parts: int = 1
    """A state too large for one datagram goes in parts; each speaks of the authors in its own `calls.seen` only."""
    rates: Rates = Rates()
    """The traffic that the sender's car has met."""
    version: str = ""
    """Of the sender's program, for people to see: nothing depends on it."""


@frozen
class Tick:
    """What a node is told in one turn."""

    now_ms: int
    inputs: Inputs | None = None
    """The newest snapshot of the panel; None if no elevator answers."""
    heartbeats: tuple[Heartbeat, ...] = ()
    """What came in since the last turn, in the order heard."""
    recorded: Calls | None = None
    """Calls that the disk now holds for certain; None: nothing new."""
    disk_failed: bool = False
    """The disk has just refused a record, or has been asked too long ago."""
    found: "Record | None" = None
    """A record that could not be read when the node started and has just been; the disk still holds it."""


class OpenDoor(NamedTuple):
    """Where a car stands with its door open, and what it has announced there."""

    floor: int
    direction: Direction


@frozen
class Record:
    """What must survive a power cut."""

    incarnation: int
    """Of the program that wrote it: its successor takes a higher one."""
    calls: Calls
    door: OpenDoor | None = None
    """So that a successor does not shut it on somebody; None if it is shut."""
    past: frozenset[int] = frozenset()
    """Incarnations of the program's former runs: what they promised is the successor's to keep, even of presses that
    only others know. Who else has used the node's id is not among them."""
