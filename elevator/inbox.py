"""Datagrams that were received and not read yet: who sends many does not keep those waiting who send few.

Reading a datagram may take a hundred times as long as receiving it. So all that has come is received at once and sorted
by the address that it came from; then one of each address is read in turn, for as long as there is time. What was not
read waits for the next turn. An address has room for so many; then its newest take the place of its oldest.
"""

from collections import deque

from attrs import define, field

ROOM = 256
"""So many datagrams wait at most."""
ROOM_OF_ONE = 128
"""So many of one address."""


@define(eq=False)
class Inbox:
    """Datagrams by address, the address whose turn it is first."""

    passed_over: int = 0
    """How many were thrown away unread."""
    _by_address: dict[str, deque[bytes]] = field(factory=dict)
    _count: int = 0

    def __len__(self) -> int:
        return self._count

    @property
    def is_full(self) -> bool:
        return self._count >= ROOM

    def put(self, address: str, datagram: bytes) -> None:
        """Let *datagram* wait."""
        waiting = self._by_address.get(address)
        if waiting is None:
            waiting = self._by_address[address] = deque()
        if len(waiting) == ROOM_OF_ONE:
            waiting.popleft()
            self.passed_over += 1
            self._count -= 1
        waiting.append(datagram)
        self._count += 1

    def take(self) -> bytes:
        """Return the datagram whose turn it is: of one address in the order in which they came."""
        address, waiting = next(iter(self._by_address.items()))
        del self._by_address[address]
        datagram = waiting.popleft()
        if waiting:
            self._by_address[address] = waiting
        self._count -= 1
        return datagram
