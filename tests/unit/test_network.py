"""The demo's network: who gets what, by the rule and through real sockets."""

import random
import selectors
import socket
from collections.abc import Iterator

import pytest

from elevator.building.network import ADDRESS, SimulatedNetwork, receivers
from elevator.core.call_set import press
from elevator.core.model import EVERY_CAR, Author, Button, Buttons, Call, Calls, Car, Heartbeat
from elevator.net.seal import NO_KEY, seal
from elevator.net.wire import Encoder

NODES = range(3)


def test_everybody_gets_what_another_says() -> None:
    assert receivers(1, NODES, set(), 0.0, random.Random(1)) == [0, 2]


def test_who_is_unplugged_neither_reaches_nor_is_reached() -> None:
    assert receivers(1, NODES, {1}, 0.0, random.Random(1)) == []
    assert receivers(0, NODES, {1}, 0.0, random.Random(1)) == [2]


def test_loss_is_drawn_for_each_receiver() -> None:
    rng = random.Random(1)
    drawn = [receivers(0, NODES, set(), 0.3, rng) for _ in range(10_000)]
    for node in (1, 2):
        assert abs(sum(node in each for each in drawn) / 10_000 - 0.7) < 0.03
    assert abs(sum(len(each) == 2 for each in drawn) / 10_000 - 0.49) < 0.03
    assert receivers(0, NODES, set(), 1.0, rng) == []


class Nodes:
    """Three sockets that stand where nodes' would, and the network between them."""

    def __init__(self) -> None:
        self.network = SimulatedNetwork(3, "test", random.Random(1))
        self.now_ms = 77
        self.selector = selectors.DefaultSelector()
        self.network.register(self.selector.register, lambda: self.now_ms)  # type: ignore[arg-type]  # it returns a key
        self.sockets = []
        for port in self.network.ports:
            node = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
                node.setsockopt(socket.SOL_SOCKET, option, 1)
            node.bind(("", port))
            node.setblocking(False)
            self.sockets.append(node)

    def say(self, node: int, datagram: bytes) -> list[bytes | None]:
        """Let *node* say something; return what each hears."""
        self.sockets[node].sendto(datagram, (ADDRESS, self.network.ports[node]))
        for key, ready in self.selector.select(5):
            key.data(ready)
        return [self._hear(each) for each in self.sockets]

    @staticmethod
    def _hear(node: socket.socket) -> bytes | None:
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


def test_datagrams_go_to_all_but_their_sender(nodes: Nodes) -> None:
    assert nodes.say(0, b"hello") == [None, b"hello", b"hello"]
    assert nodes.say(2, b"there") == [b"there", b"there", None]


def test_a_cut_ends_when_it_is_mended(nodes: Nodes) -> None:
    nodes.network.unplugged.add(1)
    assert nodes.say(0, b"a") == [None, None, b"a"]
    assert nodes.say(1, b"b") == [None, None, None]
    nodes.network.unplugged.clear()
    assert nodes.say(1, b"c") == [b"c", None, b"c"]
    nodes.network.loss = 1.0
    assert nodes.say(0, b"d") == [None, None, None]


def test_what_nodes_say_is_known_also_of_those_that_are_cut_off(nodes: Nodes) -> None:
    author = Author(1, 5)
    heartbeat = Heartbeat(author, 3, 4, Car(), Buttons(up=2), 0, press(Calls(), author, Call(Button.UP, 1, EVERY_CAR)))
    nodes.network.unplugged.add(1)
    nodes.say(1, seal(Encoder("test").encode(heartbeat)[0], NO_KEY))
    nodes.say(0, b"rubbish")
    assert nodes.network.heard == {1: (77, heartbeat)}
