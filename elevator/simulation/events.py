"""The events of a simulated run, and the stream that passes them to the judges.

The field *node* is the node's number in the world. It differs from the node's id if two nodes use the same id. The
event of a turn precedes the events that the turn causes, so a judge never sees a turn in progress.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from elevator.building.elevator import Machine
from elevator.core.messages import Heartbeat, Record, Tick
from elevator.core.model import Call, Dot
from elevator.core.node import Node
from elevator.simulation.faults import InjectedFault


class Joined(NamedTuple):
    """A node has joined the group, with an elevator and an empty disk. Its program has not started."""

    node: int
    node_id: int
    machine: Machine


class Left(NamedTuple):
    """A node has been removed, with its elevator and its disk."""

    node: int


class ProgramStarted(NamedTuple):
    node: int
    state: Node
    found: Record | None
    """The record that the program read from its disk; None if the disk had no record or reading failed."""


class ProgramEnded(NamedTuple):
    node: int


class ProgramResumed(NamedTuple):
    """A program that was frozen at *frozen_at_ms* has resumed."""

    node: int
    frozen_at_ms: int


class TurnTaken(NamedTuple):
    """A node has taken a turn. A turn that received only unchanged heartbeats has no event.

    If the program was killed during the turn, *after* is the state that it would have reached.
    """

    node: int
    before: Node
    after: Node
    tick: Tick


class MachineChanged(NamedTuple):
    node: int
    before: Machine
    after: Machine


class RecordStored(NamedTuple):
    """A record has become durable."""

    node: int
    record: Record


class DiskWiped(NamedTuple):
    """The disk of a node was wiped while its program was dead."""

    node: int


class HeartbeatSent(NamedTuple):
    node: int
    heartbeat: Heartbeat


class FaultBegan(NamedTuple):
    fault: InjectedFault


class FaultEnded(NamedTuple):
    fault: InjectedFault


class TimePassed(NamedTuple):
    """Virtual time has passed. Judges use this event to detect that something expected has not happened."""


class CallPressed(NamedTuple):
    """A node has registered a press. CallLedger emits this event."""

    node: int
    call: Call
    dot: Dot


class CallServed(NamedTuple):
    """A car has served a call. CallLedger emits this event.

    *is_first* is False if another car had already served this press.
    """

    node: int
    call: Call
    is_first: bool
    at_ms: int
    """The time of the turn that cleared the call."""


Event = TypeVar("Event")


class Stream:
    """Passes each event to the handlers of its type, in the order of their subscription."""

    def __init__(self) -> None:
        self.handlers: dict[type, list[Callable[[Any], object]]] = {}
        self.held: list[object] | None = None

    def subscribe(self, kind: type[Event], handle: Callable[[Event], object]) -> None:
        self.handlers.setdefault(kind, []).append(handle)

    def emit(self, event: object) -> None:
        if self.held is not None:
            self.held.append(event)
            return
        for handle in self.handlers.get(type(event), ()):
            handle(event)

    def hold(self) -> None:
        """Begin a turn: buffer its events until `release`."""
        self.held = []

    def release(self, turn: TurnTaken | None) -> None:
        """End a turn: emit *turn* if there is one, then the buffered events."""
        held, self.held = self.held or [], None
        if turn is not None:
            self.emit(turn)
        for event in held:
            self.emit(event)
