"""The vocabulary of the core: enums and frozen values.

Floors are numbered from 0, node ids from 0 to 63. Times are in milliseconds on the node's own monotonic clock; names of
points in time end in `_at_ms`. A set of floors is a bit mask: bit f stands for floor f.
"""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import NamedTuple

from attrs import frozen

from elevator import _assign

MAX_FLOORS = _assign.MAX_FLOORS
MAX_CARS = _assign.MAX_CARS
NEVER_MS = 1 << 62
"""A time later than any clock reading."""
RATE_MAX = 1000
"""The highest rate of one car at one button (see Rates). The sum over 64 cars is within the assigner's limit."""
EVERY_CAR = -1
"""The `car` of a hall call."""


class Direction(IntEnum):
    """The direction of travel of a car, as announced to passengers."""

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
    """The reason why a car is out of service; NONE if it is in service."""

    NONE = "none"
    SERVER = "no elevator answers"
    """The elevator server or I/O card does not answer."""
    STOP = "stop button"
    MOTOR = "motor"
    POSITION = "position unknown"
    DOOR = "door held open"


class Button(IntEnum):
    """The kinds of call button, with the numbers of the elevator server's protocol."""

    UP = 0
    DOWN = 1
    CAB = 2


class Call(NamedTuple):
    """A hall call, up or down, or a cab call of one *car*. The car of a hall call is EVERY_CAR.

    Calls, authors and dots are dictionary keys on the hottest path. They are named tuples, not attrs classes, because
    tuples hash and compare in C.
    """

    button: Button
    floor: int
    car: int


class Author(NamedTuple):
    """One run of one node. node.py explains incarnations."""

    id: int
    incarnation: int


class Dot(NamedTuple):
    """The identity of one press: its *author*, and its number *n* among the author's presses, from 1."""

    author: Author
    n: int


@frozen
class Calls:
    """A call set, with the operations in call_set.py.

    Invariants: seen[dot.author] >= dot.n for every live dot; at most one live dot per author and call.
    """

    live: Mapping[Dot, Call] = {}
    """Presses not yet served."""
    seen: Mapping[Author, int] = {}
    """The version vector: each press of an author up to this number is either in `live` or served."""


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


EVERY_BUTTON = Buttons(-1, -1, -1)


class Confirmed(NamedTuple):
    """The commands that the panel has confirmed.

    The panel executes messages in order, so a reply confirms every command sent before the request.
    """

    door_open: bool = False
    motor_stopped: bool = False


@frozen
class Inputs:
    """The state of the panel and the floor sensor, read in one sweep."""

    pressed: Buttons = Buttons()
    floor: int | None = None
    """The floor whose sensor is active; None between floors."""
    stop: bool = False
    """True while the stop button is down."""
    obstructed: bool = False
    confirmed: Confirmed = Confirmed()
    halted: bool = False
    """True if the port has halted the motor because replies are late or malformed. The core then reports no motor
    fault. The next valid snapshot ends the halt."""


@frozen
class Outputs:
    """The commands for the panel and the car."""

    motor: Motor = Motor.STOP
    motor_try: int = 0
    """Increases when the same motor command must be sent again."""
    door: bool | None = False
    """True opens the door, False closes it, None leaves it as it is."""
    lamps: Buttons = Buttons()
    floor: int | None = None
    """The floor shown by the floor indicator; None until the first floor is known."""
    stop_lamp: bool = False
    unsure: Buttons = Buttons()
    """Button lamps to leave as they are, because the node does not know yet whether they must be lit."""


@frozen
class Car:
    """The state of a car that its heartbeats publish."""

    floor: int = 0
    """The last floor reached. A moving car is between this floor and the next one in its direction."""
    direction: Direction = Direction.DOWN
    behaviour: Behaviour = Behaviour.IDLE
    fault: Fault = Fault.POSITION
    obstructed: bool = False
    """True while the door is obstructed. The plan assumes that a full dwell time follows."""
    announced: bool = True
    """True if the car has announced its direction at this stop. Until then it may reverse for a call at its floor."""


class Assigner(StrEnum):
    """The algorithm that assigns hall calls."""

    PLAN = "plan"
    REFERENCE = "reference"


class Park(StrEnum):
    """Where idle cars wait: where the next passengers are likely, at floor 0, or where they are."""

    SPREAD = "spread"
    LOBBY = "lobby"
    NONE = "none"


@frozen
class Policy:
    """How a group assigns calls and parks cars. All nodes of a group should use the same policy."""

    assigner: Assigner = Assigner.PLAN
    park: Park = Park.SPREAD


class Rates(NamedTuple):
    """Passengers per 2^20 ms at each hall button, as one car has measured them; empty before the first passenger."""

    up: tuple[int, ...] = ()
    down: tuple[int, ...] = ()


@frozen
class Heartbeat:
    """The message that a node broadcasts periodically and after each change."""

    sender: Author
    sequence: int
    """The sequence number, from 1. Receivers ignore a heartbeat with an old or repeated number."""
    floors: int
    car: Car
    claims: Buttons
    """The hall calls assigned to the sender; `cab` is 0."""
    hears: int
    """Bit mask of the ids of the nodes that the sender hears."""
    calls: Calls
    """The calls on the sender's disk; `calls.seen` acknowledges them."""
    part: int = 0
    parts: int = 1
    """The number of datagrams of this heartbeat. Each part covers only the authors in its own `calls.seen`."""
    rates: Rates = Rates()
    version: str = ""
    """The program version of the sender. Only `elevator watch` uses it."""


@frozen
class Tick:
    """The input of one turn."""

    now_ms: int
    inputs: Inputs | None = None
    """The newest snapshot of the panel; None if the elevator server or card does not answer."""
    heartbeats: tuple[Heartbeat, ...] = ()
    """The heartbeats received since the last turn, in order of arrival."""
    recorded: Calls | None = None
    """The calls on disk, if a write has just completed."""
    disk_failed: bool = False
    """True if a write has just failed or is taking too long."""
    found: "Record | None" = None
    """The record of the previous run, if it was unreadable at startup and has been read now."""
    asked_at_ms: int | None = None
    """When the newest sweep that returned `inputs` began; None means now."""


class OpenDoor(NamedTuple):
    """The floor where the door is open, and the direction of the car there."""

    floor: int
    direction: Direction


@frozen
class Record:
    """The durable state of a node."""

    incarnation: int
    """The incarnation that wrote the record. The next run uses a higher one."""
    calls: Calls
    door: OpenDoor | None = None
    """The open door, which the next run must not close on a passenger; None if the door is closed."""
