"""The nodes of a run, with what the judges remember about each of them."""

from collections.abc import Callable

from elevator.building.shaft import Shaft
from elevator.core.call_set import mask
from elevator.core.model import EVERY_CAR, NEVER_MS, Author, Button, Buttons, Call, Motor
from elevator.hardware.panel_outputs import panel_buttons
from elevator.simulation.events import MachineChanged, ProgramResumed, ProgramStarted, Trial, TurnTaken
from elevator.simulation.faults import InjectedFault
from elevator.simulation.links import Links
from elevator.simulation.simulated_node import SimulatedNode

STALE_MS = 600
"""A node that was frozen for at least this long must notice that it has missed messages."""


class ObservedNode(SimulatedNode):
    """A node that remembers what has happened to it, for the judges."""

    def __init__(
        self, trial: Trial, links: Links, freeze: Callable[[InjectedFault], None], id: int, node_id: int, shaft: Shaft
    ) -> None:
        super().__init__(trial, links, freeze, id, node_id, shaft)
        self.is_disk_failing = False
        """Whether the node knows that its disk is failing or too slow."""
        self.started_at_ms = 0
        self.listens_from_ms = -NEVER_MS
        """When the node last began to listen. It must listen for a while before it acts."""
        self.stop_changed_at_ms = 0
        self.obstructed_at_ms = -NEVER_MS
        """When the obstruction switch last changed."""
        self.opened_at_ms = -NEVER_MS
        self.opener: Author | None = None
        """The incarnation that opened the door or read in its record that it was open; None if there is none."""
        self.stuck_since_ms: int | None = None
        """When the motor was first commanded to run without power; None if it has power or must stand still."""

    def calls_of(self, buttons: Buttons) -> frozenset[Call]:
        """Return the calls that belong to the buttons or lamps in *buttons*."""
        car = {Button.UP: EVERY_CAR, Button.DOWN: EVERY_CAR, Button.CAB: self.node_id}
        places = panel_buttons(self.floors)
        return frozenset(
            Call(button, floor, car[button]) for button, floor in places if mask(buttons, button) >> floor & 1
        )

    def knows_when_opened(self) -> bool:
        """Return whether the running incarnation knows when the door opened."""
        return self.state is not None and self.state.me == self.opener

    def is_open_at(self, floor: int) -> bool:
        return self.machine.door and self.machine.sensed == floor


class Observed:
    """The nodes of one run, by their numbers in the world."""

    def __init__(self, trial: Trial) -> None:
        self.nodes: list[ObservedNode] = []
        self.trial = trial
        trial.subscribe(ProgramStarted, self.on_program_started)
        trial.subscribe(ProgramResumed, self.on_program_resumed)
        trial.subscribe(TurnTaken, self.on_turn)
        trial.subscribe(MachineChanged, self.on_elevator_changed)

    def on_program_started(self, event: ProgramStarted) -> None:
        node, now_ms = self.nodes[event.node], self.trial.now_ms
        node.is_disk_failing = False
        node.started_at_ms = node.listens_from_ms = now_ms
        reopened = event.found.door if event.found else None
        if reopened and node.is_open_at(reopened.floor):
            node.opened_at_ms, node.opener = now_ms, event.state.me

    def on_program_resumed(self, event: ProgramResumed) -> None:
        node, now_ms = self.nodes[event.node], self.trial.now_ms
        if now_ms - max(event.frozen_at_ms, node.started_at_ms) >= STALE_MS:
            node.listens_from_ms = now_ms

    def on_turn(self, event: TurnTaken) -> None:
        if event.tick.disk_failed or event.tick.recorded is not None:
            self.nodes[event.node].is_disk_failing = event.tick.disk_failed

    def on_elevator_changed(self, event: MachineChanged) -> None:
        node, before, after, now_ms = self.nodes[event.node], event.before, event.after, self.trial.now_ms
        if after.stop != before.stop:
            node.stop_changed_at_ms = now_ms
        if after.obstructed != before.obstructed:
            node.obstructed_at_ms = now_ms
        if after.door and not before.door:
            node.opened_at_ms, node.opener = now_ms, node.state.me if node.state else None
        is_stuck = after.shaft.motor is not Motor.STOP and not after.shaft.powered
        node.stuck_since_ms = (now_ms if node.stuck_since_ms is None else node.stuck_since_ms) if is_stuck else None
