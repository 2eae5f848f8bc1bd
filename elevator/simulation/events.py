"""The events of a simulated run, and the `Trial` that passes them to the judges.

The field *node* is the node's number in the world, which may differ from the id of a misconfigured node. The event of a
turn precedes the events that the turn causes, so a judge never sees a turn in progress.
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
    """The record that the program read from its disk; None if the disk had no record or reading failed."""


class ProgramEnded(NamedTuple):
    node: int


class TurnTaken(NamedTuple):
    """A node has taken a turn. A turn that only extends the timeouts of peers has no event.

    If the program was killed during the turn, `after` is the state that it would have reached.
    """

    node: int
    before: Node
    after: Node
    tick: Tick


class ElevatorChanged(NamedTuple):
    node: int
    before: SimulatedElevator
    after: SimulatedElevator


class RecordStored(NamedTuple):
    """A record has become durable."""

    node: int
    record: Record


class DiskWiped(NamedTuple):
    """The disk of a node was wiped while its program was dead, or removed with its node."""

    node: int


class HeartbeatSent(NamedTuple):
    node: int
    heartbeat: Heartbeat


class FaultChanged(NamedTuple):
    """A fault has begun or ended."""

    fault: InjectedFault
    begins: bool


class TimePassed(NamedTuple):
    """Virtual time has passed. Judges use this event to detect that something expected has not happened."""


class CallPressed(NamedTuple):
    """A node has registered a press. CallLedger emits this event."""

    node: int
    call: Call
    dot: Dot


class CallServed(NamedTuple):
    """A car has served a call. CallLedger emits this event.

    `is_first` is False if another car had already served this press.
    """

    node: int
    call: Call
    is_first: bool
    at_ms: int
    """The time of the turn that cleared the call."""


Event = TypeVar("Event")


class Violation(Exception):
    """A judge has found that the run breaks a rule."""


class Trial:
    """What all parts of a run share: the plan, the time, the random numbers, the events and the transcript."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.now_ms = 0
        self.rng = random.Random(f"world {plan.seed}")
        self.handlers: dict[type, list[Callable[[Any], object]]] = {}
        self.digest = blake2b(digest_size=16)
        self.transcript: list[str] = []

    def subscribe(self, kind: type[Event], handle: Callable[[Event], object]) -> None:
        """Pass each event of this *kind* to *handle*, after the handlers that have subscribed earlier."""
        self.handlers.setdefault(kind, []).append(handle)

    def emit(self, event: object) -> None:
        for handle in self.handlers.get(type(event), ()):
            handle(event)

    def log(self, line: str) -> None:
        """Add a line to the transcript, with the time."""
        line = f"{self.now_ms:>9} {line}"
        self.digest.update(line.encode() + b"\n")
        self.transcript.append(line)

    def fail(self, why: str) -> NoReturn:
        """End the run, because it breaks a rule."""
        self.log(f"VIOLATION: {why}")
        raise Violation(f"{self.now_ms} ms: {why}")
