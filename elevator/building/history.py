"""What happened in a simulated building: numbered events with their times, from which tests measure."""

from collections import deque
from typing import Any

from elevator.building.elevator import Event

LENGTH = 100_000
"""Events kept. Older ones are forgotten."""
EVENTS_A_REPLY = 5_000


class History:
    """The latest events of a building. Event 0 is the first."""

    def __init__(self) -> None:
        self.next_event = 0
        """The number that the next event will have."""
        self._events: deque[dict[str, object]] = deque(maxlen=LENGTH)

    def append(self, car: int, event: Event, at_us: int) -> None:
        """Append *event*, which happened to *car* at *at_us*."""
        entry: dict[str, object] = {"n": self.next_event, "ms": at_us / 1000, "car": car}
        entry |= {"kind": event.kind.value, "value": event.value}
        if event.button is not None:
            entry |= {"button": event.button.name.lower(), "floor": event.floor}
        self._events.append(entry)
        self.next_event += 1

    def since(self, number: int) -> dict[str, Any]:
        """Return up to EVENTS_A_REPLY events from *number* on, the number of the next, and how many were forgotten."""
        first = self.next_event - len(self._events)
        begin = min(max(number, first), self.next_event)
        end = min(begin + EVENTS_A_REPLY, self.next_event)
        # Indexing the middle of a deque is slow, its right end is where the reader usually is: walk back from there.
        newest = [self._events[index - self.next_event] for index in range(end - 1, begin - 1, -1)]
        return {"events": newest[::-1], "next": end, "lost": max(0, first - max(number, 0))}
