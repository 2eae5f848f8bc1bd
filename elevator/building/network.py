"""A datagram relay between the nodes of a demo. It can drop datagrams and disconnect nodes.

Each node broadcasts to ADDRESS, at a UDP port of its own. The relay opens a socket on each of these ports, so the
socket that receives a datagram identifies its sender. The relay forwards the datagram to the other nodes. These bind
their ports on all addresses, so datagrams to _NODES, another loopback address, reach them. The real network is not
affected.
"""

import random
import selectors
import socket
from collections.abc import Callable, Collection

from elevator.core.messages import Heartbeat
from elevator.net.admission import Admission
from elevator.net.wire import DATAGRAM_BYTES

ADDRESS = "127.0.0.1"
"""The broadcast address given to the nodes."""
_NODES = "127.0.0.2"
"""The address to which the relay forwards datagrams: any loopback address but ADDRESS."""
_BATCH = 8192
"""About how many datagrams to forward in one pass over the sockets of all nodes, so that other sockets do not have to
wait long. The kernel queues or drops the rest."""


class SimulatedNetwork:
    """A datagram relay between the nodes of one group."""

    def __init__(self, nodes: int, group: str, rng: random.Random) -> None:
        """Reserve one port per node; raise OSError if there are not enough free ports."""
        self.unplugged: set[int] = set()
        """Nodes that neither send nor receive."""
        self.loss = 0.0
        """Probability, 0 to 1, that a datagram is lost, independently for each receiver."""
        self.heard: dict[int, tuple[int, Heartbeat]] = {}
        """The arrival time (ms) and content of each node's last valid heartbeat, even if it was not forwarded."""
        self._batch = max(1, _BATCH // nodes**2)
        """How many datagrams of one node to read in one pass. Each is forwarded to up to `nodes - 1` others."""
        self._admission = Admission(group)
        self._rng = rng
        self._sockets: list[socket.socket] = []
        for _ in range(nodes):
            relay = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._sockets.append(relay)
            relay.bind((ADDRESS, 0))
            # The node binds this port too. Allow sharing only after `bind` has found a port that nothing else uses.
            relay.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            relay.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            relay.setblocking(False)
        self.ports: list[int] = [relay.getsockname()[1] for relay in self._sockets]

    def plug(self, node: int, on: bool) -> None:
        """Connect *node* to the network or disconnect it."""
        (self.unplugged.discard if on else self.unplugged.add)(node)

    def register(
        self, watch: Callable[[socket.socket, int, Callable[[int], None]], None], clock_ms: Callable[[], int]
    ) -> None:
        """Register a callback for each socket with *watch* (see `Building.watch`)."""

        def relay_from(node: int) -> Callable[[int], None]:
            return lambda _: self._relay(node, clock_ms())

        for node, relay in enumerate(self._sockets):
            watch(relay, selectors.EVENT_READ, relay_from(node))

    def _relay(self, node: int, now_ms: int) -> None:
        for _ in range(self._batch):
            try:
                datagram = self._sockets[node].recv(DATAGRAM_BYTES + 1)
            except OSError:
                return  # No more datagrams, or the kernel reports that a receiver's port is closed.
            heartbeat = self._admission.read(datagram)
            if heartbeat is not None:
                self.heard[node] = (now_ms, heartbeat)
            for receiver in receivers(node, range(len(self.ports)), self.unplugged, self.loss, self._rng):
                try:
                    self._sockets[node].sendto(datagram, (_NODES, self.ports[receiver]))
                except OSError:
                    pass  # Lost, as any datagram may be.

    def close(self) -> None:
        for relay in self._sockets:
            relay.close()


def receivers(
    sender: int, nodes: Collection[int], unplugged: Collection[int], loss: float, rng: random.Random
) -> list[int]:
    """Choose at random which *nodes* receive a datagram from *sender*; each misses it with probability *loss*.

    The *unplugged* nodes neither send nor receive.
    """
    if sender in unplugged:
        return []
    return [node for node in nodes if node != sender and node not in unplugged and rng.random() >= loss]
