"""Values that enter or leave a node: heartbeats, the inputs of a turn, and the record on the disk."""

from typing import NamedTuple

from elevator.core.evolve import frozen
from elevator.core.model import NONE_WAITED, Author, Buttons, Calls, Car, Direction, Inputs, Rates, Waited


@frozen
class Heartbeat:
    """The message that a node broadcasts periodically and whenever its content changes."""

    sender: Author
    sequence: int
    """The sequence number, from 1 in each incarnation; 0 in `Outgoing.message`. Receivers ignore repeated and lower
    numbers of the same incarnation."""
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
    """The digest of the whole published call set (`Calls.digest`), not only of `calls`."""
    rates: Rates | None = None
    """The traffic rates that the sender's car has measured; None if this heartbeat does not carry them."""
    waited: Waited = NONE_WAITED
    """The hall calls that have waited long, as far as the sender knows."""
    version: str = ""
    """The sender's program version, for `elevator watch`; empty if this heartbeat does not carry it."""


@frozen
class Tick:
    """The inputs of one turn of a node."""

    now_ms: int
    inputs: Inputs | None = None
    """The newest snapshot of the panel; None while the panel is lost. A snapshot that equals the last one is the same
    object, so the core tests with `is` whether it is new."""
    heartbeats: tuple[Heartbeat, ...] = ()
    """The new heartbeats (admission.py). Those of one sender are in the order of their sequence numbers."""
    recorded: Calls | None = None
    """The calls on disk, if a write has just completed; else None."""
    disk_failed: bool = False
    """True if the disk has just failed: a read or write failed, a write takes too long, the record cannot be used, or
    the recorder died."""
    found: "Record | None" = None
    """The record on disk, if the recorder has just read one; else None. If the disk could not be read at startup, this
    happens late, and an earlier incarnation wrote the record. It also happens after the recorder was replaced. Then
    this incarnation usually wrote the record."""
    asked_at_ms: int | None = None
    """When the node sent the newest request that the panel has answered with `inputs`; None means at `now_ms`. It
    increases even while the answers are equal and `inputs` remains the same object."""


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
