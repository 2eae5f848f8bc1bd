"""One turn of a node against its three ports: the order in which things leave the program.

 1. Motor and door first: they wait for nothing. A call is served in a later tick, which says that the door is open; so
    whoever is killed or loses its elevator before leaves a call that is served once more, not one that is lost.
 2. The disk is only asked. When it holds the record, a later tick says so; what a heartbeat tells and what lamps
    promise rest on that tick (see replica.py). So nothing here waits for a disk, and lamps need no place in this order.
 3. A program may be stopped between its look at the panel and its command, and go on when much has changed. So the
    last thing before a command is a look at the clock: what was decided by an answer of the panel that is not good any
    more is not done; what was learned by it, as a press, is kept. A standstill that falls between that look and the
    command the program cannot know of, nor a shorter one: they are as a server that is slow to obey. The next turn, at
    once, makes good what such a command has done, and no door opens between floors by it (see door.py).

A tick that brings only signs of life changes nothing but the time of the next heartbeat, and goes a short way. The
lab's loop and the simulated world run this very function.
"""

from collections.abc import Callable
from typing import Protocol

from attrs import evolve

from elevator.core.model import Heartbeat, Inputs, Outputs, Record, Tick
from elevator.core.node import Node, heartbeat, outputs, record, send_at_ms
from elevator.core.step import sent, skip_stale, step, step_idle


class Disk(Protocol):
    """What survives a power cut."""

    def save(self, record: Record) -> None:
        """Begin to make *record* durable, if it is not the one asked for last; keep trying. A tick tells of success."""


class Network(Protocol):
    """The broadcast port."""

    def send(self, heartbeat: Heartbeat) -> None:
        """Broadcast *heartbeat*; nobody says whether it arrives."""


class Panel(Protocol):
    """The elevator: lamps, door and motor."""

    def write(self, outputs: Outputs) -> None:
        """Bring the hardware to *outputs*; it writes only differences."""


Look = Callable[[], tuple[int, Inputs | None]]
"""Returns the time in milliseconds, and what the panel has said; None if that is no longer good."""


def turn(node: Node, tick: Tick, look: Look, disk: Disk, network: Network, panel: Panel) -> Node:
    """Step *node* with *tick* and let out what follows from it."""
    heard = step_idle(node, tick)
    if heard is None:
        stepped, (now_ms, inputs) = step(node, tick), look()
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
