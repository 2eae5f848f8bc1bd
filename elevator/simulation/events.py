"""What happens in a simulated world, and the one stream on which its judges learn of it.

A node is named by its number in the world. What a node does in a turn is told after the turn itself, whose outcome it
follows from; so no judge looks into a turn that is not over.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from elevator.building.elevator import Machine
from elevator.core.model import Call, Dot, Heartbeat, Record, Tick
from elevator.core.node import Node
from elevator.simulation.faults import InjectedFault


class Joined(NamedTuple):
    """A node is there, with its elevator and an empty disk."""

    node: int
    node_id: int
    machine: Machine


class Left(NamedTuple):
    """A node is gone, with its elevator and its disk."""

    node: int


class ProgramStarted(NamedTuple):
    node: int
    state: Node
    found: Record | None
    """What was on its disk, if that could be read."""


class ProgramEnded(NamedTuple):
    node: int


class ProgramResumed(NamedTuple):
    """A program goes on that has stood still since *stopped_ms*."""

    node: int
    stopped_at_ms: int


class TurnTaken(NamedTuple):
    """A program has taken a turn that brought more than signs of life, or died in it.

    Then *after* is what it would have been.
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
    """The disk of a dead program has lost its record."""

    node: int


class HeartbeatSent(NamedTuple):
    node: int
    heartbeat: Heartbeat


class FaultBegan(NamedTuple):
    fault: InjectedFault


class FaultEnded(NamedTuple):
    fault: InjectedFault


class TimePassed(NamedTuple):
    """Some time has passed: what takes no event to go wrong can be looked at."""


class CallPressed(NamedTuple):
    """A node has noted a press. Told by the judge of calls."""

    node: int
    call: Call
    dot: Dot


class CallServed(NamedTuple):
    """A car has served a call, for the first time since it was pressed or once more. Told by the judge of calls."""

    node: int
    call: Call
    is_first: bool
    at_ms: int
    """When its program decided that."""


Event = TypeVar("Event")


class Stream:
    """Tells each event to those who have subscribed to its kind, in the order in which they did."""

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
        """Hold back what happens in a turn."""
        self.held = []

    def release(self, turn: TurnTaken | None) -> None:
        """Tell of a *turn*, if it came to an end, and then what happened in it."""
        held, self.held = self.held or [], None
        if turn is not None:
            self.emit(turn)
        for event in held:
            self.emit(event)
