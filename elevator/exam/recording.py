"""Records what happens during a test, for the judge, the checks and the timeline."""

from collections import Counter
from collections.abc import Callable, Sequence

from elevator.building import shaft as physics
from elevator.building.building import Building
from elevator.building.elevators import Event, EventKind
from elevator.exam.results import CarEvent, Height, Intervention, Timeline

MOVES = (EventKind.MOTOR, EventKind.SENSOR, EventKind.POWER, EventKind.CLIENT)
"""Kinds of events at which a car may start or stop. At a sensor event, a car stops only if it leaves its shaft."""


class Recording:
    """The events, interventions and car heights in a building since this object was created."""

    def __init__(self, building: Building) -> None:
        self.seen: list[CarEvent] = []
        self.interventions: list[Intervention] = []
        self.observers: list[Callable[[CarEvent], None]] = []
        """Functions to call with each event."""
        self._building = building
        self._start_us = building.settle()
        self._heights: list[Height] = []
        building.history.observers.append(self._observe)
        for car in range(len(building.servers)):
            self._note_height(car, 0)

    @property
    def now_ms(self) -> int:
        """The time in milliseconds since the recording began."""
        return (self._building.clock_us() - self._start_us) // 1000

    def timeline(self, sent_per_100ms: Sequence[Counter[int]]) -> Timeline:
        """Return the recording up to now.

        *sent_per_100ms*: for each car, how many IP packets its controller sent in each tenth of a second of the
        monotonic clock; empty without a network.
        """
        self._building.settle()
        end_ms = self.now_ms
        for car in range(len(self._building.servers)):
            self._note_height(car, end_ms)
        first = self._start_us // 100_000
        packets = [tuple(sent[first + tenth] for sent in sent_per_100ms) for tenth in range(end_ms // 100 + 1)]
        return Timeline(
            len(self._building.servers),
            self._building.servers[0].elevator.shaft.floors,
            end_ms,
            tuple(self.seen),
            tuple(self._heights),
            tuple(self.interventions),
            tuple(packets) if sent_per_100ms else (),
        )

    def _observe(self, car: int, event: Event, at_us: int) -> None:
        at_ms = (at_us - self._start_us) // 1000
        seen = CarEvent(at_ms, car, event.kind, event.value, event.button, event.floor)
        self.seen.append(seen)
        if event.kind in MOVES:
            self._note_height(car, at_ms)
        for observer in self.observers:
            observer(seen)

    def _note_height(self, car: int, at_ms: int) -> None:
        shaft = self._building.servers[car].elevator.shaft
        at = max(shaft.since_ms, self._start_us // 1000 + at_ms)
        self._heights.append(Height(at_ms, car, round(physics.position(shaft, at), 3)))
