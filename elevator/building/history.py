"""The history of a simulated building: numbered events with their times.

Other programs read it through the control socket. `elevator sim` finds the controllers' errors in it. The exam observes
the events as they happen.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from elevator.building.elevators import Event

LENGTH = 100_000
"""Number of events stored. Older events are dropped."""
EVENTS_PER_REPLY = 5_000


class History:
    """The events of a building, numbered from 0. Only the last LENGTH are stored."""

    def __init__(self) -> None:
        self.next_event = 0
        self.observers: list[Callable[[int, Event, int], None]] = []
        """Functions to call for each event, with the car, the event and its time in microseconds."""
        self._events: deque[dict[str, object]] = deque(maxlen=LENGTH)

    def append(self, car: int, event: Event, at_us: int) -> None:
        entry: dict[str, object] = {"n": self.next_event, "ms": at_us / 1000, "car": car}
        entry |= {"kind": event.kind.value, "value": event.value}
        if event.button is not None:
            entry |= {"button": event.button.name.lower(), "floor": event.floor}
        self._events.append(entry)
        self.next_event += 1
        for observer in self.observers:
            observer(car, event, at_us)

    def since(self, number: int) -> dict[str, Any]:
        """Return up to EVENTS_PER_REPLY stored events, beginning with event *number* or the first one after it.

        "next" is the number of the event that follows them. "lost" is how many of the requested events were dropped.
        """
        first = self.next_event - len(self._events)
        begin = min(max(number, first), self.next_event)
        end = min(begin + EVENTS_PER_REPLY, self.next_event)
        # Indexing a deque is fast near its ends. Clients usually ask for recent events, so walk backwards.
        newest = [self._events[index - self.next_event] for index in range(end - 1, begin - 1, -1)]
        return {"events": newest[::-1], "next": end, "lost": max(0, first - max(number, 0))}
