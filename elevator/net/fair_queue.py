"""A fair queue of received datagrams: source addresses take turns, so a busy sender cannot starve the others.

Decoding a datagram may take a hundred times as long as receiving it. So broadcast.py first receives what has arrived,
up to CAPACITY datagrams. Then it decodes one datagram of each address in turn, until its time is up. The rest stays in
the queue. Once an address has ADDRESS_CAPACITY datagrams in the queue, a new one replaces its oldest. A datagram from
any other address is dropped if the queue is full.

An address is *known* if a node was recently heard from there. An attacker can invent many addresses, so datagrams from
known addresses have a queue of their own. While that queue has datagrams, all unknown addresses together get one turn
in UNKNOWN_EVERY + 1.
"""

from collections import deque
from collections.abc import Iterable

from attrs import define, field

CAPACITY = 256
"""The maximum number of datagrams in each of the two queues. broadcast.py also reads at most this many at once."""
ADDRESS_CAPACITY = 128
"""The maximum number of queued datagrams from one address."""
KNOWN_MAX = 128
"""The maximum number of known addresses. Beyond it, the address heard from least recently is forgotten."""
UNKNOWN_EVERY = 8
"""After this many datagrams in a row from known addresses, one from an unknown address is decoded, if any waits. It may
be from a new node."""


@define(eq=False)
class Queue:
    """Datagrams grouped by source address. The address whose turn is next comes first."""

    count: int = 0
    _by_address: dict[str, deque[bytes]] = field(factory=dict)

    def put(self, address: str, datagram: bytes) -> bool:
        """Add *datagram*; return False if this datagram or an older one of *address* was dropped."""
        waiting = self._by_address.get(address)
        if waiting is not None and len(waiting) == ADDRESS_CAPACITY:
            waiting.popleft()
            waiting.append(datagram)
            return False
        if self.count == CAPACITY:
            return False
        if waiting is None:
            waiting = self._by_address[address] = deque()
        waiting.append(datagram)
        self.count += 1
        return True

    def pop(self) -> tuple[str, bytes]:
        """Remove the next datagram; return its address and the datagram.

        Addresses take turns. The datagrams of one address keep their order of arrival.
        """
        address, waiting = next(iter(self._by_address.items()))
        del self._by_address[address]
        datagram = waiting.popleft()
        if waiting:
            self._by_address[address] = waiting
        self.count -= 1
        return address, datagram

    def remove(self, address: str) -> deque[bytes]:
        """Remove and return all datagrams from *address*."""
        waiting = self._by_address.pop(address, deque[bytes]())
        self.count -= len(waiting)
        return waiting


@define(eq=False)
class FairQueue:
    """Two queues: one for known addresses and one for unknown ones."""

    dropped: int = 0
    """How many datagrams were dropped because a queue was full, or an address had ADDRESS_CAPACITY datagrams in it."""
    _known: dict[str, None] = field(factory=dict)
    """The known addresses, as an ordered set: the address heard from last comes last."""
    _of_known: Queue = field(factory=Queue)
    _of_unknown: Queue = field(factory=Queue)
    _known_in_a_row: int = 0

    def __len__(self) -> int:
        return self._of_known.count + self._of_unknown.count

    def put(self, address: str, datagram: bytes) -> None:
        queue = self._of_known if address in self._known else self._of_unknown
        self.dropped += not queue.put(address, datagram)

    def pop(self) -> tuple[str, bytes]:
        """Remove the next datagram; return its address and the datagram."""
        if self._of_known.count and (self._known_in_a_row < UNKNOWN_EVERY or not self._of_unknown.count):
            self._known_in_a_row += 1
            return self._of_known.pop()
        self._known_in_a_row = 0
        return self._of_unknown.pop()

    def mark_known(self, address: str) -> None:
        """Treat *address* as known, because a node was just heard from there.

        Its queued datagrams move to the queue of known addresses.
        """
        is_new = address not in self._known
        self._known.pop(address, None)
        self._known[address] = None
        if is_new:
            self._put_all(address, self._of_unknown.remove(address))
        if len(self._known) > KNOWN_MAX:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._put_all(oldest, self._of_known.remove(oldest))

    def _put_all(self, address: str, datagrams: Iterable[bytes]) -> None:
        for datagram in datagrams:
            self.put(address, datagram)
