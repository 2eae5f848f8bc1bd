"""Datagrams that were received and not read yet: who sends many does not keep those waiting who send few.

Reading a datagram may take a hundred times as long as receiving it. So all that has come is received at once and sorted
by the address that it came from; then one of each address is read in turn, for as long as there is time. What was not
read waits for the next turn. An address has room for so many; then its newest take the place of its oldest.

Addresses can be invented. So those that nodes have lately been heard from have room and turns of their own, and all
others together get one turn in so many while these have anything waiting.
"""

from collections import deque
from collections.abc import Iterable

from attrs import define, field

ROOM = 256
"""So many datagrams wait at most of known addresses, and so many of others."""
ROOM_OF_ONE = 128
"""So many of one address."""
KNOWN_MAX = 128
"""So many addresses are known, those heard from last."""
STRANGE_EVERY = 8
"""A datagram of an address that is not known is read after so many others, if there are any: it may be a new node's."""


@define(eq=False)
class Queue:
    """Datagrams by address, the address whose turn it is first."""

    count: int = 0
    _by_address: dict[str, deque[bytes]] = field(factory=dict)

    def put(self, address: str, datagram: bytes) -> bool:
        """Let *datagram* wait; return whether there was room without throwing one away."""
        waiting = self._by_address.get(address)
        if waiting is not None and len(waiting) == ROOM_OF_ONE:
            waiting.popleft()
            waiting.append(datagram)
            return False
        if self.count == ROOM:
            return False
        if waiting is None:
            waiting = self._by_address[address] = deque()
        waiting.append(datagram)
        self.count += 1
        return True

    def take(self) -> tuple[str, bytes]:
        """Return the datagram whose turn it is, and its address: of one address in the order in which they came."""
        address, waiting = next(iter(self._by_address.items()))
        del self._by_address[address]
        datagram = waiting.popleft()
        if waiting:
            self._by_address[address] = waiting
        self.count -= 1
        return address, datagram

    def leave(self, address: str) -> deque[bytes]:
        """Return all that waits of *address*, which then waits here no more."""
        waiting = self._by_address.pop(address, deque[bytes]())
        self.count -= len(waiting)
        return waiting


@define(eq=False)
class FairQueue:
    """What waits of addresses that nodes were heard from, and what waits of others."""

    passed_over: int = 0
    """How many were thrown away unread."""
    _known: dict[str, None] = field(factory=dict)
    """The address heard from last is last."""
    _of_known: Queue = field(factory=Queue)
    _of_others: Queue = field(factory=Queue)
    _taken: int = 0
    """How many of known addresses were read since one of another was."""

    def __len__(self) -> int:
        return self._of_known.count + self._of_others.count

    def put(self, address: str, datagram: bytes) -> None:
        """Let *datagram* wait."""
        queue = self._of_known if address in self._known else self._of_others
        self.passed_over += not queue.put(address, datagram)

    def take(self) -> tuple[str, bytes]:
        """Return the datagram whose turn it is, and its address."""
        if self._of_known.count and (self._taken < STRANGE_EVERY or not self._of_others.count):
            self._taken += 1
            return self._of_known.take()
        self._taken = 0
        return self._of_others.take()

    def trust(self, address: str) -> None:
        """Know *address* from now on: a node was heard from there."""
        is_new = address not in self._known
        self._known.pop(address, None)
        self._known[address] = None
        if is_new:
            self._put_all(address, self._of_others.leave(address))
        if len(self._known) > KNOWN_MAX:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._put_all(oldest, self._of_known.leave(oldest))

    def _put_all(self, address: str, datagrams: Iterable[bytes]) -> None:
        for datagram in datagrams:
            self.put(address, datagram)
