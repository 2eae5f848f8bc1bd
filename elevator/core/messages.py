"""The values that enter and leave a node: heartbeats, the inputs of a turn, and the record on the disk."""

from typing import NamedTuple

from elevator.core.evolve import frozen
from elevator.core.model import NONE_WAITED, Author, Buttons, Calls, Car, Direction, Inputs, Rates, Waited


@frozen
class Heartbeat:
    """The message that a node broadcasts periodically and whenever its content changes."""

    sender: Author
    sequence: int
    """The sequence number, from 1. Receivers ignore heartbeats with a repeated or lower number."""
    floors: int
    car: Car
    claims: Buttons
    """The hall calls assigned to the sender's car; `cab` is 0."""
    hears: int
    """The bit mask of the ids of the sender's live peers: the nodes whose heartbeats it receives."""
    calls: Calls
    """Some entries of the sender's published call set (outgoing.py). They acknowledge presses. The published set
    contains the calls on the sender's disk. While the disk fails, it contains every call that the sender knows."""
    digest: int = 0
    """The digest of the whole published call set."""
    rates: Rates | None = None
    """The traffic rates; None if this heartbeat does not carry them."""
    waited: Waited = NONE_WAITED
    """The hall calls that have waited long, as far as the sender knows."""
    version: str = ""
    """The sender's program version, for `elevator watch`; empty if this heartbeat does not carry it."""


@frozen
class Tick:
    """The inputs of one turn of a node."""

    now_ms: int
    inputs: Inputs | None = None
    """The newest snapshot of the panel; None if the elevator server or card does not answer."""
    heartbeats: tuple[Heartbeat, ...] = ()
    """The heartbeats received since the last turn, in order of arrival."""
    recorded: Calls | None = None
    """The calls on disk, if a write has just completed; else None."""
    disk_failed: bool = False
    """True if the disk has just failed: a read or write failed, a write takes too long, the record cannot be used, or
    the recorder died."""
    found: "Record | None" = None
    """The record on disk, if the recorder has just read it after startup; else None. The previous incarnation wrote it
    if the disk could not be read at startup. This one usually wrote it if the recorder was replaced."""
    asked_at_ms: int | None = None
    """When the node requested `inputs` from the panel; None means at `now_ms`."""


class OpenDoor(NamedTuple):
    """A door that is or may be open: its floor, and the direction of the car."""

    floor: int
    direction: Direction


@frozen
class Record:
    """The durable state of a node: what survives a restart."""

    incarnation: int
    """The incarnation that wrote the record. The next one has a higher number."""
    calls: Calls
    door: OpenDoor | None = None
    """The door if it may be open; None if it is closed or has been told to close. The next incarnation must not close
    the door on a passenger."""
