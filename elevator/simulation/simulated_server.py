"""The elevator of a simulated node, and its server. The server answers at once, or late during a fault."""

import random
from collections.abc import Callable, Iterable

from attrs import define

from elevator.building import elevators, protocol
from elevator.building.elevators import Event, SimulatedElevator
from elevator.core.model import NEVER_MS


@define(eq=False)
class SimulatedServer:
    """An elevator server with its elevator. It executes requests in order. `lag_ms` may delay commands and replies."""

    elevator: SimulatedElevator
    rng: random.Random
    on_change: Callable[[SimulatedElevator, SimulatedElevator, Iterable[Event]], None]
    """Called with the old and the new elevator, which may be the same, and with the events of the change."""
    lag_ms: int = 0
    """The longest of the random delays of commands and replies; 0 without a fault."""
    requests: bytes = b""
    """Commands that have not been executed yet, and perhaps a sweep."""
    requests_at_ms: int = 0
    """When `requests` will be executed."""
    reply: bytes | None = None
    """A reply that has not been sent yet."""
    reply_at_ms: int = 0
    """When `reply` will be sent."""
    due_at_ms: int = NEVER_MS
    """When the elevator next changes by itself."""

    def replace(self, elevator: SimulatedElevator, events: Iterable[Event] = ()) -> None:
        before, self.elevator = self.elevator, elevator
        self.due_at_ms = elevators.wake_at_ms(elevator) or NEVER_MS
        self.on_change(before, elevator, events)

    def change(self, elevator: SimulatedElevator, now_ms: int) -> None:
        """Replace the elevator with *elevator*, and report the differences as events."""
        self.replace(elevator, elevators.changes(self.elevator, elevator, now_ms))

    def settle(self, now_ms: int) -> None:
        """Apply the changes that the elevator makes by itself until *now_ms*."""
        self.replace(*elevators.settle(self.elevator, now_ms))

    @property
    def due_to_client_at_ms(self) -> int:
        """When the server next executes requests or sends a reply; NEVER_MS if it has neither."""
        return min(
            self.requests_at_ms if self.requests else NEVER_MS, self.reply_at_ms if self.reply is not None else NEVER_MS
        )

    def after_lag_ms(self, now_ms: int) -> int:
        """Return *now_ms* plus a random delay of up to `lag_ms`."""
        return now_ms + (self.rng.randint(0, self.lag_ms) if self.lag_ms else 0)

    def receive_sweep(self, sweep: bytes, now_ms: int) -> None:
        """Receive a *sweep*. Read the inputs at once, or after the pending commands if there are any."""
        if self.requests:
            self.requests += sweep
        else:
            self.reply, self.reply_at_ms = self.exchange(sweep, now_ms), self.after_lag_ms(now_ms)

    def receive_commands(self, commands: bytes, now_ms: int) -> None:
        """Receive *commands*, which have no reply.

        Execute them after a random delay of up to `lag_ms`, but not before pending requests and a pending reply.
        """
        if not self.requests:
            self.requests_at_ms = max(self.after_lag_ms(now_ms), self.reply_at_ms if self.reply is not None else 0)
        self.requests += commands
        self.execute_due(now_ms)

    def execute_due(self, now_ms: int) -> None:
        """Execute the pending requests if they are due. Before that, put back a car that has left its shaft."""
        if self.requests and now_ms >= self.requests_at_ms:
            self.put_back(now_ms)
            requests, self.requests = self.requests, b""
            if replies := self.exchange(requests, now_ms):
                self.reply, self.reply_at_ms = replies, now_ms

    def execute_all(self, now_ms: int) -> None:
        """Execute the pending requests at once, because the connection begins or ends."""
        self.requests_at_ms = now_ms
        self.execute_due(now_ms)

    def put_back(self, now_ms: int) -> None:
        """If the car has left its shaft, move it to the nearest floor and stop its motor, as an operator would."""
        if self.elevator.out:
            self.change(elevators.put_back(self.elevator, now_ms), now_ms)

    def exchange(self, requests: bytes, now_ms: int) -> bytes:
        answer = protocol.answer(self.elevator, requests, now_ms)
        self.replace(answer.elevator, answer.events)
        return answer.replies
