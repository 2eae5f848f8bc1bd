"""The network of a simulated group: it loses, delays, reorders and duplicates datagrams, and blocks links."""

import random
from collections.abc import Iterable, Sized
from heapq import heappop, heappush

from elevator.core.messages import Heartbeat
from elevator.core.model import NEVER_MS
from elevator.net.wire import decode, encode
from elevator.simulation.faults import FaultKind, InjectedFault

GROUP = "world"
ECHO_MS = 50
"""While faults can delay datagrams by at least this long, a datagram also returns to its sender, because it may reach
the next incarnation of the sender. With shorter delays, it would nearly always reach the same incarnation, which
ignores it."""


class Links:
    """The links between all *nodes*, which are numbered from 0. The last node may join or leave during the run."""

    def __init__(self, rng: random.Random, key: bytes, nodes: Sized) -> None:
        self.rng = rng
        self.key = key
        """The key of the group, for the attacker and the nodes. `send` does not seal datagrams."""
        self.nodes = nodes
        self.queue: list[tuple[int, int, Iterable[int], Heartbeat]] = []
        """A heap of (arrival time, serial number, receivers, heartbeat). Serial numbers follow the order of sending."""
        self.number = 0
        self.faults: list[InjectedFault] = []
        self.cuts: list[InjectedFault] = []
        """The active partitions and one-way links."""
        self.loss = self.delay_ms = self.duplicated = 0
        """The maxima over all active PACKET_LOSS faults; 0 without any. `loss` and `duplicated` are percentages."""

    @property
    def due_at_ms(self) -> int:
        return self.queue[0][0] if self.queue else NEVER_MS

    def change(self, fault: InjectedFault, begins: bool) -> None:
        """Begin or end *fault*, which is packet loss, a partition or a one-way link."""
        self.faults = with_or_without(self.faults, fault, begins)
        losses = [each for each in self.faults if each.kind is FaultKind.PACKET_LOSS]
        self.cuts = [each for each in self.faults if each.kind is not FaultKind.PACKET_LOSS]
        self.loss = max((each.detail for each in losses), default=0)
        self.delay_ms = max((each.delay_ms for each in losses), default=0)
        self.duplicated = max((each.duplicated for each in losses), default=0)

    def send(self, sender: int, heartbeat: Heartbeat, now_ms: int) -> None:
        """Send *heartbeat* as a datagram to each other node, and to the sender itself if delays are long (ECHO_MS).

        The active faults may lose, delay or duplicate each datagram.
        """
        rng, loss, delay_ms, duplicated = self.rng, self.loss, self.delay_ms, self.duplicated
        datagram = encode(heartbeat, GROUP)
        decoded = decode(datagram, GROUP)
        assert decoded is not None, datagram
        receivers = range(len(self.nodes))
        if not (loss or delay_ms or duplicated or self.cuts):
            self.deliver_at([receiver for receiver in receivers if receiver != sender], decoded, now_ms + 1)
            return
        for receiver in receivers:
            if (receiver == sender and delay_ms < ECHO_MS) or (self.cuts and not self.is_linked(sender, receiver)):
                continue
            if loss and rng.randrange(100) < loss:
                continue
            for _ in range(2 if duplicated and rng.randrange(100) < duplicated else 1):
                self.deliver_at((receiver,), decoded, now_ms + (rng.randint(1, delay_ms) if delay_ms else 1))

    def deliver_at(self, receivers: Iterable[int], heartbeat: Heartbeat, at_ms: int) -> None:
        self.number += 1
        heappush(self.queue, (at_ms, self.number, receivers, heartbeat))

    def is_linked(self, sender: int, receiver: int) -> bool:
        for cut in self.cuts:
            if cut.kind is FaultKind.ONE_WAY:
                if (cut.detail, cut.target) == (sender, receiver):
                    return False
            elif (cut.target >> sender ^ cut.target >> receiver) & 1:
                return False
        return True

    def pop_due(self, now_ms: int) -> dict[int, list[Heartbeat]]:
        """Remove the heartbeats that are due; return a list of them for each receiver."""
        due: dict[int, list[Heartbeat]] = {}
        while self.queue and self.queue[0][0] <= now_ms:
            _, _, receivers, heartbeat = heappop(self.queue)
            for receiver in receivers:
                due.setdefault(receiver, []).append(heartbeat)
        return due


def with_or_without(faults: list[InjectedFault], fault: InjectedFault, begins: bool) -> list[InjectedFault]:
    """Return *faults* with *fault* if it *begins*, otherwise without *fault*."""
    return [*faults, fault] if begins else [each for each in faults if each is not fault]
