"""A network for nodes on this machine that can be cut and made to lose datagrams, without touching the machine's own.

Each node has a UDP port of its own and is told to broadcast to ADDRESS. There, on the same port, sits a socket of this
relay: being bound to that address, it gets what is sent there, and the node, which is bound to none, gets what is sent
to any other. So the relay knows from the socket who sent a datagram, and hands it to every other node, or does not.
"""

import random
import selectors
import socket
from collections.abc import Callable, Collection

from elevator.core.model import Heartbeat
from elevator.net.admission import Admission
from elevator.net.wire import DATAGRAM_BYTES_MAX

ADDRESS = "127.0.0.1"
"""Where nodes broadcast to."""
_NODES = "127.0.0.2"
"""Any other address of the loopback network: where they are reached."""
_A_TURN = 8192
"""Datagrams sent before anything else has its turn, about. What comes faster is lost where the kernel keeps it."""


class SimulatedNetwork:
    """A relay among some nodes."""

    def __init__(self, nodes: int, group: str, rng: random.Random) -> None:
        """Find a port for each of so many *nodes* of *group*; raise OSError if there are none."""
        self.unplugged: set[int] = set()
        """Nodes that neither reach anybody nor are reached."""
        self.loss = 0.0
        """The part of all datagrams that is lost, drawn for each sender and receiver; 0 to 1."""
        self.heard: dict[int, tuple[int, Heartbeat]] = {}
        """When each node last said something, and what, whether or not it got anywhere."""
        self._a_turn = max(1, _A_TURN // nodes**2)
        """Datagrams taken from one node; each goes to all others."""
        self._admission = Admission(group)
        self._rng = rng
        self._sockets: list[socket.socket] = []
        for _ in range(nodes):
            relay = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._sockets.append(relay)
            relay.bind((ADDRESS, 0))
            # Only now, so that no other program's port was shared; the node does the same to its own socket.
            relay.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            relay.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            relay.setblocking(False)
        self.ports: list[int] = [relay.getsockname()[1] for relay in self._sockets]

    def register(
        self, watch: Callable[[socket.socket, int, Callable[[int], None]], None], clock_ms: Callable[[], int]
    ) -> None:
        """Have every socket watched by *watch*, as a selector would, and relay what comes."""

        def relay_from(node: int) -> Callable[[int], None]:
            return lambda _: self._relay(node, clock_ms())

        for node, relay in enumerate(self._sockets):
            watch(relay, selectors.EVENT_READ, relay_from(node))

    def _relay(self, node: int, now_ms: int) -> None:
        for _ in range(self._a_turn):
            try:
                datagram = self._sockets[node].recv(DATAGRAM_BYTES_MAX + 1)
            except OSError:
                return  # nothing more, or what the kernel says about a node that is gone
            heartbeat = self._admission.read(datagram)
            if heartbeat is not None:
                self.heard[node] = (now_ms, heartbeat)
            for receiver in receivers(node, range(len(self.ports)), self.unplugged, self.loss, self._rng):
                try:
                    self._sockets[node].sendto(datagram, (_NODES, self.ports[receiver]))
                except OSError:
                    pass  # lost, as datagrams may be

    def close(self) -> None:
        """Close every socket."""
        for relay in self._sockets:
            relay.close()


def receivers(
    sender: int, nodes: Collection[int], unplugged: Collection[int], loss: float, rng: random.Random
) -> list[int]:
    """Return the nodes that a datagram of *sender* gets to."""
    if sender in unplugged:
        return []
    return [node for node in nodes if node != sender and node not in unplugged and rng.random() >= loss]
