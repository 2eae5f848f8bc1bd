"""The elevator of a simulated node and the server before it: bytes in, bytes out, at once or late."""

import random
from collections.abc import Callable, Iterable

from attrs import define, field

from elevator.building import elevator as machines
from elevator.building import protocol
from elevator.building.elevator import Event, Machine
from elevator.core.model import NEVER_MS
from elevator.simulation.faults import InjectedFault


@define(eq=False)
class SimulatedServer:
    """Obeys and answers in order; a slow one takes its time for each."""

    machine: Machine
    rng: random.Random
    note: Callable[[Machine, Machine, Iterable[Event]], None]
    """Is called with the elevator before and after each change."""
    lags: list[InjectedFault] = field(factory=list)
    orders: bytes = b""
    """Commands that it has not obeyed yet ..."""
    orders_ms: int = 0
    """... and when it will."""
    reply: bytes | None = None
    """The reply that it has not sent yet ..."""
    reply_ms: int = 0
    """... and when it will."""
    due_ms: int = NEVER_MS
    """When the elevator changes by itself."""

    def take(self, machine: Machine, events: Iterable[Event] = ()) -> None:
        before, self.machine = self.machine, machine
        self.due_ms = machines.wake_at_ms(machine) or NEVER_MS
        self.note(before, machine, events)

    def change(self, machine: Machine, now_ms: int) -> None:
        """Let something happen to the elevator."""
        self.take(machine, machines.changes(self.machine, machine, now_ms))

    def settle(self, now_ms: int) -> None:
        """Bring the elevator up to date."""
        self.take(*machines.settle(self.machine, now_ms))

    def longest_ms(self) -> int:
        """Return how long it takes at most."""
        return max((fault.delay_ms for fault in self.lags), default=0)

    def late_ms(self, now_ms: int) -> int:
        """Return when it will have handled a request that arrives now."""
        longest_ms = self.longest_ms()
        return now_ms + (self.rng.randint(0, longest_ms) if longest_ms else 0)

    def ask(self, requests: bytes, now_ms: int) -> None:
        """Ask it what `reply` then says, when its time has come."""
        self.reply = self.exchange(requests, now_ms)
        self.reply_ms = self.late_ms(now_ms)

    def order(self, orders: bytes, now_ms: int) -> bool:
        """Give it *orders*; tell whether it has obeyed already."""
        if not self.orders:  # It obeys and answers in order.
            self.orders_ms = max(self.late_ms(now_ms), self.reply_ms if self.reply is not None else 0)
        self.orders += orders
        return self.obey(now_ms)

    def obey(self, now_ms: int) -> bool:
        """Obey pending commands if they are due; tell whether it did."""
        if now_ms < self.orders_ms:
            return False
        self.put_back(now_ms)
        orders, self.orders = self.orders, b""
        self.exchange(orders, now_ms)
        return True

    def obey_all(self, now_ms: int) -> None:
        """Obey pending commands at once: the connection ends."""
        if self.orders:
            self.orders_ms = now_ms
            self.obey(now_ms)

    def put_back(self, now_ms: int) -> None:
        """Let the operator of a car that is out of bounds put it back: he has seen it, too."""
        if self.machine.out:
            self.change(machines.put_back(self.machine, now_ms), now_ms)

    def exchange(self, requests: bytes, now_ms: int) -> bytes:
        answer = protocol.answer(self.machine, requests, now_ms)
        self.take(answer.machine, answer.events)
        return answer.replies
