"""One turn of a node: the order in which its outputs leave the program.

 1. Motor and door come first, because they wait for nothing. A call is served only in a later tick, once the panel has
    confirmed that the door is open. So a node that crashes or loses its elevator in between leaves a call that is
    served twice, not one that is lost.
 2. The disk is only asked to store the record. A later tick says when it has. Heartbeats and lamps rest on that tick
    (replica.py), so nothing here waits for a disk, and lamps need no place in this order.
 3. The process may be stopped between its look at the panel and its command, and resume much later. So it checks the
    clock once more before the command. If the panel's answer has gone stale, the node drops what it decided and keeps
    the presses that it read. A shorter stop, or one between the clock check and the command, is undetectable; it has
    the effect of a slow server. The next turn corrects such a command, and no door opens between floors because of it
    (door.py).

A tick that brings only signs of life changes nothing but the time of the next heartbeat, and takes a short cut. The
lab's loop and the simulated world both run this function.
"""

from collections.abc import Callable
from typing import Protocol

from attrs import evolve

from elevator.core.model import Heartbeat, Inputs, Outputs, Record, Tick
from elevator.core.node import Node, heartbeat, outputs, record, send_at_ms
from elevator.core.step import sent, skip_stale, step, step_idle


class Disk(Protocol):
    """The record, which survives a power cut."""

    def save(self, record: Record) -> None:
        """Begin to make *record* durable unless it equals the last one; keep trying. A later tick reports success."""


class Network(Protocol):
    """The broadcast port."""

    def send(self, heartbeat: Heartbeat) -> None:
        """Broadcast *heartbeat*. It may get lost."""


class Panel(Protocol):
    """The elevator: lamps, door and motor."""

    def write(self, outputs: Outputs) -> None:
        """Bring the hardware to *outputs*; write only differences."""


ReadPanel = Callable[[], tuple[int, Inputs | None]]
"""Returns the time in milliseconds and the newest panel snapshot; None if that has gone stale."""


def turn(node: Node, tick: Tick, read_panel: ReadPanel, disk: Disk, network: Network, panel: Panel) -> Node:
    """Step *node* with *tick*, then write, save and send the results."""
    heard = step_idle(node, tick)
    if heard is None:
        stepped, (now_ms, inputs) = step(node, tick), read_panel()
        if inputs is not tick.inputs:
            node, tick = skip_stale(node, tick, now_ms), evolve(tick, now_ms=now_ms, inputs=inputs)
            stepped = step(node, tick)
        node = stepped
        panel.write(outputs(node))
        disk.save(record(node))
    else:
        node = heard
    if tick.now_ms >= send_at_ms(node):
        network.send(heartbeat(node))
        node = sent(node)
    return node
