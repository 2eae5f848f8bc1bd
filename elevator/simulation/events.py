"""The events of a simulated run, and the `Trial` that passes them to the judges and other subscribers.

In each event, `node` is the number of the node in the world. The id of a misconfigured node may differ from its number.
The event of a turn precedes the events that its outputs cause. So a judge that sees an effect already knows the state
of the node that caused it.
"""

import random
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, NamedTuple, NoReturn, TypeVar

from elevator.building.elevators import SimulatedElevator
from elevator.core.messages import Heartbeat, Record, Tick
from elevator.core.model import Call, Dot
from elevator.core.node import Node
from elevator.simulation.faults import InjectedFault, Plan


class ProgramStarted(NamedTuple):
    node: int
    state: Node
    found: Record | None
    """The record that the program read from its disk; None if the disk had no record or could not be read."""


class ProgramEnded(NamedTuple):
    node: int


class TurnTaken(NamedTuple):
    """A node has computed its next state, and performs the outputs of the turn next.

    A fault may still kill or freeze the program before or after each output. A turn whose tick only extends the
    timeouts of peers emits no `TurnTaken`.
    """

    node: int
    before: Node
    after: Node
    tick: Tick
    """The tick with which the turn began. If the program was frozen before the first output, the turn may have repeated
    the step with a newer time and newer inputs (turn.py)."""


class ElevatorChanged(NamedTuple):
    node: int
    before: SimulatedElevator
    after: SimulatedElevator


class RecordStored(NamedTuple):
    """A record has become durable."""

    node: int
    record: Record


class DiskWiped(NamedTuple):
    """The disk of a node is about to be wiped, or removed with its node. The program is dead."""

    node: int


class HeartbeatSent(NamedTuple):
    node: int
    heartbeat: Heartbeat


class FaultChanged(NamedTuple):
    """A fault is about to begin or end. A ghost has no event at the end of its fault, because it stays."""

    fault: InjectedFault
    begins: bool


class TimePassed(NamedTuple):
    """Virtual time has advanced, by CHECK_MS (world.py) or more since the last event of this kind.

    Judges use this event to check what no other event triggers, for example whether an action is overdue.
    """


class CallPressed(NamedTuple):
    """A node has registered a press, and has not served it in the same turn. CallLedger emits this event."""

    node: int
    call: Call
    dot: Dot


class CallServed(NamedTuple):
    """A car has served a call. CallLedger emits this event.

    `is_first` is False if the press of this call had already been served, or replaced by a newer press.
    """

    node: int
    call: Call
    is_first: bool
    at_ms: int
    """The node's time in the turn that served the call. It may precede the event if the program was frozen in this
    turn."""


Event = TypeVar("Event")


class Violation(Exception):
    """The run breaks a rule."""


class Trial:
    """What all parts of a run share: the plan, the time, a random generator, the event handlers and the transcript."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.now_ms = 0
        self.rng = random.Random(f"world {plan.seed}")
        self.handlers: dict[type, list[Callable[[Any], object]]] = {}
        self.digest = blake2b(digest_size=16)
        self.transcript: list[str] = []

    def subscribe(self, kind: type[Event], handle: Callable[[Event], object]) -> None:
        """Call *handle* for each event of type *kind*, after the handlers that were subscribed earlier."""
        self.handlers.setdefault(kind, []).append(handle)

    def emit(self, event: object) -> None:
        for handle in self.handlers.get(type(event), ()):
            handle(event)

    def log(self, line: str) -> None:
        """Add *line*, preceded by the time, to the transcript and to its digest."""
        line = f"{self.now_ms:>9} {line}"
        self.digest.update(line.encode() + b"\n")
        self.transcript.append(line)

    def fail(self, why: str) -> NoReturn:
        """Log that the run breaks a rule, and raise Violation. *why* says what happened."""
        self.log(f"VIOLATION: {why}")
        raise Violation(f"{self.now_ms} ms: {why}")
