"""One turn of a node: a step, followed by its outputs in a fixed order.

 1. The panel is written first. One turn opens the door. A later turn serves the call, once the panel has confirmed that
    the door is open. If the node crashes or loses the panel in between, the call may be served twice, but is never
    lost.
 2. The turn only starts a write of the record, so it never waits for the disk. A later tick reports that the record is
    on disk. The calls in heartbeats, and the lamps, depend on that report (replica.py).
 3. The process may stall between reading the panel and writing a command. So the turn checks the clock again after the
    step. If the snapshot is stale by then, or there is none and STALL_MS have passed, the turn discards the new state
    except for the presses, and repeats the step with the current inputs. A stall between the clock check and the
    command cannot be detected. It has the same effect as a slow server: the next turn corrects the command, and no door
    opens between floors (door.py).

A tick that at most extends the timeouts of peers takes a fast path. The main loop and the simulated world both run
`turn`.
"""

from collections.abc import Callable
from typing import Protocol

from elevator.core.evolve import evolve
from elevator.core.messages import Heartbeat, Record, Tick
from elevator.core.model import Inputs, Outputs
from elevator.core.node import Node, heartbeat, outputs, record, send_at_ms
from elevator.core.step import STALL_MS, sent, skip_stale, step, step_idle


class Disk(Protocol):
    """The storage of the record."""

    def save(self, record: Record) -> None:
        """Start to write *record* unless it equals the last one; retry on failure. A later tick reports the result."""


class Network(Protocol):
    """The broadcast network."""

    def send(self, heartbeat: Heartbeat) -> None:
        """Broadcast *heartbeat*, without a guarantee of delivery."""


class Panel(Protocol):
    """The outputs of a car's panel: lamps, floor indicator, door and motor."""

    def write(self, outputs: Outputs) -> None:
        """Send the panel the commands for the *outputs* that differ from those last written."""


ReadPanel = Callable[[], tuple[int, Inputs | None]]
"""Returns the current time and the newest snapshot of the panel. The snapshot is None if none is fresh."""


def turn(node: Node, tick: Tick, read_panel: ReadPanel, disk: Disk, network: Network, panel: Panel) -> Node:
    """Step *node* with *tick*, and send its heartbeat if one is due.

    Before sending, write its outputs and save its record, unless the tick at most extends timeouts.
    """
    heard = step_idle(node, tick)
    if heard is None:
        stepped, (now_ms, inputs) = step(node, tick), read_panel()
        if inputs is not tick.inputs or now_ms >= tick.now_ms + STALL_MS:
            node, tick = skip_stale(node, tick, now_ms), evolve(tick, now_ms=now_ms, inputs=inputs)
            stepped = step(node, tick)
        node = stepped
        panel.write(outputs(node))
        disk.save(record(node))
    else:
        node = heard
    if tick.now_ms >= send_at_ms(node):
        message = heartbeat(node)
        network.send(message)
        node = sent(node, message)
    return node
