"""The last known state of each node, for all judges."""

from collections.abc import Callable
from typing import NoReturn

from attrs import define

from elevator.building.elevator import Machine
from elevator.core.call_set import mask
from elevator.core.model import EVERY_CAR, NEVER_MS, Author, Button, Buttons, Call, Calls, Motor
from elevator.core.node import Node
from elevator.hardware.panel_outputs import panel_buttons
from elevator.simulation.events import (
    DiskWiped,
    Joined,
    Left,
    MachineChanged,
    ProgramEnded,
    ProgramResumed,
    ProgramStarted,
    RecordStored,
    Stream,
    TurnTaken,
)


class Violation(Exception):
    """A judge has found that the run breaks a rule."""


@define(eq=False)
class ObservedNode:
    """The last known state of one node, its elevator and its disk."""

    id: int
    node_id: int
    machine: Machine
    durable: Calls = Calls()
    """The calls on the node's disk."""
    state: Node | None = None
    """The core's state after the last turn; kept when the program has ended."""
    is_alive: bool = False
    is_disk_failing: bool = False
    """Whether the node knows that its disk is failing or too slow."""
    started_at_ms: int = 0
    listens_from_ms: int = -NEVER_MS
    """When the node last began to listen. It must listen for a while before it acts."""
    sensed_at_ms: int = 0
    """When the floor sensor last changed."""
    stop_changed_at_ms: int = 0
    obstructed_at_ms: int = -NEVER_MS
    """When the obstruction switch last changed."""
    opened_at_ms: int = -NEVER_MS
    opener: Author | None = None
    """The incarnation that opened the door or read in its record that it was open; None if there is none."""
    stuck_since_ms: int | None = None
    """When the motor was first commanded to run without power; None if it has power or must stand still."""

    @property
    def floors(self) -> int:
        return self.machine.shaft.floors

    def calls_of(self, buttons: Buttons) -> frozenset[Call]:
        """Return the calls that belong to the buttons or lamps in *buttons*."""
        car = {Button.UP: EVERY_CAR, Button.DOWN: EVERY_CAR, Button.CAB: self.node_id}
        places = panel_buttons(self.floors)
        return frozenset(
            Call(button, floor, car[button]) for button, floor in places if mask(buttons, button) >> floor & 1
        )

    def knows_when_opened(self) -> bool:
        """Return whether the running incarnation knows when the door opened."""
        return self.is_alive and self.state is not None and self.state.me == self.opener

    def is_open_at(self, floor: int) -> bool:
        return self.machine.door and self.machine.sensed == floor


class Observed:
    """Tracks the last known states of all nodes in one run."""

    def __init__(self, stream: Stream, clock: Callable[[], int], log: Callable[[str], None]) -> None:
        self.nodes: dict[int, ObservedNode] = {}
        self.clock = clock
        self.log = log
        stream.subscribe(Joined, self.on_joined)
        stream.subscribe(Left, lambda event: self.nodes.pop(event.node))
        stream.subscribe(ProgramStarted, self.on_program_started)
        stream.subscribe(ProgramEnded, self.on_program_ended)
        stream.subscribe(ProgramResumed, self.on_program_resumed)
        stream.subscribe(TurnTaken, self.on_turn)
        stream.subscribe(MachineChanged, self.on_elevator_changed)
        stream.subscribe(RecordStored, self.on_record_stored)
        stream.subscribe(DiskWiped, self.on_disk_wiped)

    def fail(self, why: str) -> NoReturn:
        self.log(f"VIOLATION: {why}")
        raise Violation(f"{self.clock()} ms: {why}")

    def on_joined(self, event: Joined) -> None:
        self.nodes[event.node] = ObservedNode(event.node, event.node_id, event.machine)

    def on_program_started(self, event: ProgramStarted) -> None:
        node = self.nodes[event.node]
        node.state, node.is_alive, node.is_disk_failing = event.state, True, False
        node.started_at_ms = node.listens_from_ms = self.clock()
        reopened = event.found.door if event.found else None
        if reopened and node.is_open_at(reopened.floor):
            node.opened_at_ms, node.opener = self.clock(), event.state.me

    def on_program_ended(self, event: ProgramEnded) -> None:
        self.nodes[event.node].is_alive = False

    def on_program_resumed(self, event: ProgramResumed) -> None:
        node, now_ms = self.nodes[event.node], self.clock()
        if now_ms - max(event.frozen_at_ms, node.started_at_ms) >= STALE_MS:
            node.listens_from_ms = now_ms

    def on_turn(self, event: TurnTaken) -> None:
        node, tick = self.nodes[event.node], event.tick
        node.state = event.after
        if tick.disk_failed or tick.recorded is not None:
            node.is_disk_failing = tick.disk_failed

    def on_elevator_changed(self, event: MachineChanged) -> None:
        node, before, after, now_ms = self.nodes[event.node], event.before, event.after, self.clock()
        node.machine = after
        if after.sensed != before.sensed:
            node.sensed_at_ms = now_ms
        if after.stop != before.stop:
            node.stop_changed_at_ms = now_ms
        if after.obstructed != before.obstructed:
            node.obstructed_at_ms = now_ms
        if after.door and not before.door:
            node.opened_at_ms, node.opener = now_ms, node.state.me if node.is_alive and node.state else None
        is_stuck = after.shaft.motor is not Motor.STOP and not after.shaft.powered
        node.stuck_since_ms = (now_ms if node.stuck_since_ms is None else node.stuck_since_ms) if is_stuck else None

    def on_record_stored(self, event: RecordStored) -> None:
        self.nodes[event.node].durable = event.record.calls

    def on_disk_wiped(self, event: DiskWiped) -> None:
        self.nodes[event.node].durable = Calls()


STALE_MS = 600
"""A node that was frozen for at least this long must notice that it has missed messages."""
