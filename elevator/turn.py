"""One turn of a node against its three ports: the order in which things leave the program.

The motor and the door wait for nothing. Then: record before broadcast, broadcast before lamp. The lab's loop and the
simulated world run this very function.
"""

from typing import Protocol

from elevator.model import Heartbeat, Outputs, Record, Tick
from elevator.node import Node, heartbeat, outputs, record, speak_at_ms, spoken, step


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
    """Step *node* once with *tick* and let out what follows from it."""
    node = step(node, tick)
    panel.write(outputs(node))
    before = node
    if node.calls is not node.recorded:
        saved = disk.save(record(node))
        durable = node.calls if saved else None
        node = step(node, Tick(tick.now_ms, tick.inputs, recorded=durable, disk_failed=not saved))
    if tick.now_ms >= speak_at_ms(node):
        network.send(heartbeat(node))
        node = spoken(node)
    if node.lit is not before.lit or node.drive is not before.drive:
        panel.write(outputs(node))
    return node
