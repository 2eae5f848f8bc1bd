"""The elevator of a simulated node and the server before it: bytes in, bytes out, at once or late."""

import random
from collections.abc import Callable, Iterable

from attrs import define, field

from elevator.building import elevator, protocol
from elevator.building.elevator import Event, Machine
from elevator.core.model import NEVER_MS
from elevator.simulation.faults import InjectedFault


@define(eq=False)
class SimulatedServer:
    """Obeys and answers in order; a slow one takes its time for each."""

    machine: Machine
    rng: random.Random
    on_change: Callable[[Machine, Machine, Iterable[Event]], None]
    """Is called with the elevator before and after each change."""
    lags: list[InjectedFault] = field(factory=list)
    requests: bytes = b""
    """Commands, and perhaps a sweep behind them, that it has not handled yet ..."""
    requests_at_ms: int = 0
    """... and when it will."""
    reply: bytes | None = None
    """The reply to a sweep that it has not sent yet ..."""
    reply_at_ms: int = 0
    """... and when it will."""
    due_at_ms: int = NEVER_MS
    """When the elevator changes by itself."""

    def replace(self, machine: Machine, events: Iterable[Event] = ()) -> None:
        before, self.machine = self.machine, machine
        self.due_at_ms = elevator.wake_at_ms(machine) or NEVER_MS
        self.on_change(before, machine, events)

    def change(self, machine: Machine, now_ms: int) -> None:
        """Let something happen to the elevator."""
        self.replace(machine, elevator.changes(self.machine, machine, now_ms))

    def settle(self, now_ms: int) -> None:
        """Bring the elevator up to date."""
        self.replace(*elevator.settle(self.machine, now_ms))

    @property
    def lag_ms(self) -> int:
        """How long it takes at most."""
        return max(fault.delay_ms for fault in self.lags) if self.lags else 0

    @property
    def due_to_client_at_ms(self) -> int:
        """When it next handles a request or sends a reply."""
        return min(
            self.requests_at_ms if self.requests else NEVER_MS, self.reply_at_ms if self.reply is not None else NEVER_MS
        )

    def handled_at_ms(self, now_ms: int) -> int:
        """Return when it will have handled a request that arrives now."""
        return now_ms + (self.rng.randint(0, self.lag_ms) if self.lags else 0)

    def ask(self, sweep: bytes, now_ms: int) -> None:
        """Let it handle a *sweep*, after all commands that are pending."""
        if self.requests:
            self.requests += sweep
        else:
            self.reply, self.reply_at_ms = self.exchange(sweep, now_ms), self.handled_at_ms(now_ms)

    def send_commands(self, commands: bytes, now_ms: int) -> None:
        """Let it handle commands, which have no reply, after what is pending."""
        if not self.requests:
            self.requests_at_ms = max(self.handled_at_ms(now_ms), self.reply_at_ms if self.reply is not None else 0)
        self.requests += commands
        self.handle(now_ms)

    def handle(self, now_ms: int) -> None:
        """Handle the pending requests if they are due."""
        if self.requests and now_ms >= self.requests_at_ms:
            self.put_back(now_ms)
            requests, self.requests = self.requests, b""
            if replies := self.exchange(requests, now_ms):
                self.reply, self.reply_at_ms = replies, now_ms

    def handle_all(self, now_ms: int) -> None:
        """Handle the pending requests at once: the connection ends."""
        self.requests_at_ms = now_ms
        self.handle(now_ms)

    def put_back(self, now_ms: int) -> None:
        """Let the operator of a car that is out of bounds put it back: he has seen it, too."""
        if self.machine.out:
            self.change(elevator.put_back(self.machine, now_ms), now_ms)

    def exchange(self, requests: bytes, now_ms: int) -> bytes:
        answer = protocol.answer(self.machine, requests, now_ms)
        self.replace(answer.machine, answer.events)
        return answer.replies
