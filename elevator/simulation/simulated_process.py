"""The process of a simulated node. Faults can freeze or kill it at any point of a turn."""

from collections.abc import Callable

from attrs import define, field

from elevator.core.messages import Heartbeat, Record, Tick
from elevator.core.model import NEVER_MS, Outputs
from elevator.core.node import Node
from elevator.simulation.faults import InjectedFault, Point

BACKLOG_MAX = 300
"""The most heartbeats that can wait for a frozen program. A real socket buffer holds about as many."""
WAKES_MAX = 300
"""A run fails if a program wakes up more often than this in one second without input. Only a program with a lot to send
comes close."""


class Killed(Exception):
    """The program was killed during a turn. The exception's argument is the `Point` where it happened."""


class Frozen(Exception):
    """The program was frozen during a turn, before the first output."""


@define(eq=False)
class SimulatedProcess:
    """The process that runs a node's program: the core's state, the rest of an interrupted turn, and pending faults."""

    freeze: Callable[[InjectedFault], None]
    """Begins a fault that freezes the process."""
    state: Node | None = None
    """The core's state; None if the process is dead or has not started."""
    is_frozen: bool = False
    backlog: list[Heartbeat] = field(factory=list)
    """Heartbeats that arrived while the process was frozen."""
    kill_at: int | Point | None = None
    """Where to kill the process: a point of a turn, or how many points to pass first. None if no kill is pending."""
    pending_freeze: InjectedFault | None = None
    """The fault that will freeze the process when it reaches the fault's `point`; None if there is none."""
    unfinished: Tick | None = None
    """The tick of the current turn, or of a turn that `Frozen` has interrupted; None if there is neither."""
    outputs: list[Outputs | Record | Heartbeat] = field(factory=list)
    """Outputs of the newest turn that have not been performed yet. A frozen process performs them when it resumes."""
    wake_at_ms: int = NEVER_MS
    wakes: int = 0
    """How often the process has woken up without input since `second_began_at_ms`."""
    second_began_at_ms: int = 0

    def end(self) -> None:
        self.state = self.kill_at = self.unfinished = None
        self.outputs.clear()
        self.backlog.clear()
        self.wake_at_ms = NEVER_MS

    def interrupt_if_due(self, point: Point) -> bool:
        """Freeze or kill the process if that is due at *point* of the turn.

        Return True if it is frozen now. Raise Killed if it must die. Otherwise return False and, if
        `kill_at` counts points, decrement it.
        """
        if self.freeze_if_due(point):
            return True
        if self.kill_at in (0, point):
            raise Killed(point)
        if isinstance(self.kill_at, int):
            self.kill_at -= 1
        return False

    def freeze_if_due(self, point: Point) -> bool:
        """Freeze the process if a fault is pending for this *point*; return whether it froze.

        It never freezes between turns or while it performs the outputs of an earlier turn.
        """
        if self.pending_freeze is None or self.pending_freeze.point is not point or self.unfinished is None:
            return False
        fault, self.pending_freeze = self.pending_freeze, None
        self.freeze(fault)
        return True

    def count_wake(self, now_ms: int) -> bool:
        """Count a wake-up without input; return whether there have been too many in the current second."""
        if now_ms >= self.second_began_at_ms + 1000:
            self.wakes, self.second_began_at_ms = 0, now_ms
        self.wakes += 1
        return self.wakes > WAKES_MAX
