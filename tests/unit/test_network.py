"""The demo's network: the choice of receivers, and relaying through real sockets."""

import random
import selectors
import socket
from collections.abc import Iterator

import pytest

from elevator.building.network import ADDRESS, SimulatedNetwork, receivers
from elevator.core.call_set import press
from elevator.core.messages import Heartbeat
from elevator.core.model import EVERY_CAR, Author, Button, Buttons, Call, Calls, Car
from elevator.net.seal import NO_KEY, seal
from elevator.net.wire import encode

NODES = range(3)


def test_all_other_nodes_receive_a_datagram() -> None:
    assert receivers(1, NODES, set(), 0.0, random.Random(1)) == [0, 2]


def test_unplugged_node_neither_sends_nor_receives() -> None:
    assert receivers(1, NODES, {1}, 0.0, random.Random(1)) == []
    assert receivers(0, NODES, {1}, 0.0, random.Random(1)) == [2]


def test_loss_is_independent_for_each_receiver() -> None:
    rng = random.Random(1)
    drawn = [receivers(0, NODES, set(), 0.3, rng) for _ in range(10_000)]
    for node in (1, 2):
        assert abs(sum(node in each for each in drawn) / 10_000 - 0.7) < 0.03
    assert abs(sum(len(each) == 2 for each in drawn) / 10_000 - 0.49) < 0.03
    assert receivers(0, NODES, set(), 1.0, rng) == []


class Nodes:
    """Three sockets that replace the nodes, and the simulated network that relays between them."""

    def __init__(self) -> None:
        self.network = SimulatedNetwork(3, "test", random.Random(1))
        self.now_ms = 77
        self.selector = selectors.DefaultSelector()
        self.network.register(self.selector.register, lambda: self.now_ms)  # type: ignore[arg-type]  # the key it returns is ignored
        self.sockets = []
        for port in self.network.ports:
            node = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
                node.setsockopt(socket.SOL_SOCKET, option, 1)
            node.bind(("", port))
            node.setblocking(False)
            self.sockets.append(node)

    def broadcast(self, node: int, datagram: bytes) -> list[bytes | None]:
        """Broadcast *datagram* from *node*; return what each node receives (None: nothing)."""
        self.sockets[node].sendto(datagram, (ADDRESS, self.network.ports[node]))
        for key, ready in self.selector.select(5):
            key.data(ready)
        return [self._receive(each) for each in self.sockets]

    @staticmethod
    def _receive(node: socket.socket) -> bytes | None:
        try:
            return node.recv(10_000)
        except BlockingIOError:
            return None

    def close(self) -> None:
        self.selector.close()
        self.network.close()
        for each in self.sockets:
            each.close()


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    opened = Nodes()
    yield opened
    opened.close()


def test_relay_forwards_to_all_but_the_sender(nodes: Nodes) -> None:
    assert nodes.broadcast(0, b"hello") == [None, b"hello", b"hello"]
    assert nodes.broadcast(2, b"there") == [b"there", b"there", None]


def test_relay_applies_unplugging_and_loss(nodes: Nodes) -> None:
    nodes.network.unplugged.add(1)
    assert nodes.broadcast(0, b"a") == [None, None, b"a"]
    assert nodes.broadcast(1, b"b") == [None, None, None]
    nodes.network.unplugged.clear()
    assert nodes.broadcast(1, b"c") == [b"c", None, b"c"]
    nodes.network.loss = 1.0
    assert nodes.broadcast(0, b"d") == [None, None, None]


def test_network_reports_heartbeats_even_of_unplugged_nodes(nodes: Nodes) -> None:
    author = Author(1, 5)
    heartbeat = Heartbeat(author, 3, 4, Car(), Buttons(up=2), 0, press(Calls(), author, Call(Button.UP, 1, EVERY_CAR)))
    nodes.network.unplugged.add(1)
    nodes.broadcast(1, seal(encode(heartbeat, "test"), NO_KEY))
    nodes.broadcast(0, b"garbage")
    assert nodes.network.heard == {1: (77, heartbeat)}
