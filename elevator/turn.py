"""One turn of a node against its three ports: the order in which things leave the program.

 1. Motor and door first: they wait for nothing. And a door is open before anybody is told that its call was served, so
    whoever is killed in between leaves a call that is served once more, not one that is lost.
 2. Then the record, then the heartbeat: what is told is on the disk.
 3. Lamps need no place in this order: a lamp is lit by values that say it is promised (see node.py).

A tick that brings only signs of life changes nothing but the time of the next heartbeat, and goes a short way. The
lab's loop and the simulated world run this very function.
"""

from typing import Protocol

from elevator.model import Heartbeat, Outputs, Record, Tick
from elevator.node import Node, heartbeat, hum, outputs, record, speak_at_ms, spoken, step


class Disk(Protocol):
    """What survives a power cut."""

    def save(self, record: Record) -> bool:
        """Make *record* durable; return False if that failed. It will be asked again."""


class Network(Protocol):
    """The broadcast port."""

    def send(self, heartbeat: Heartbeat) -> None:
        """Broadcast *heartbeat*; nobody says whether it arrives."""


class Panel(Protocol):
    """The elevator: lamps, door and motor."""

    def write(self, outputs: Outputs) -> None:
        """Bring the hardware to *outputs*; it writes only differences."""


def turn(node: Node, tick: Tick, disk: Disk, network: Network, panel: Panel) -> Node:
    """Step *node* with *tick* and let out what follows from it."""
    heard = hum(node, tick)
    node = act(node, tick, disk, panel) if heard is None else heard
    if tick.now_ms >= speak_at_ms(node):
        network.send(heartbeat(node))
        node = spoken(node)
    return node


def act(node: Node, tick: Tick, disk: Disk, panel: Panel) -> Node:
    """Do what *tick* asks for: drive at once, make the record durable, light what has thereby been promised."""
    node = step(node, tick)
    panel.write(outputs(node))
    if node.calls is not node.recorded:
        saved = disk.save(record(node))
        durable = node.calls if saved else None
        node = step(node, Tick(tick.now_ms, tick.inputs, recorded=durable, disk_failed=not saved))
        panel.write(outputs(node))
    return node
