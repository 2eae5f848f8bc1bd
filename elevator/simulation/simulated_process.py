"""The program of a simulated node as its operating system sees it: runs, stands still, is killed in mid-turn."""

from collections.abc import Callable

from attrs import define, field

from elevator.core.model import NEVER_MS, Heartbeat, Tick
from elevator.core.node import Node
from elevator.simulation.faults import InjectedFault, Point

BACKLOG_MAX = 300
"""Datagrams that wait for a program that stands still; a real socket's buffer holds about as many."""
SPINS_MAX = 10
WAKES_MAX = 300
"""How often a program may wake by itself in a second: to speak, in a hurry where there is much news."""


class Killed(Exception):
    """A program is killed at this very point."""


class Frozen(Exception):
    """A program is stopped in a turn before anything has left it."""


@define(eq=False)
class SimulatedProcess:
    """A program is killed and stopped at steps of a turn: before or after each thing that leaves it."""

    freeze: Callable[[InjectedFault], None]
    """Lets a fault begin that stops it."""
    state: Node | None = None
    """None: it is dead."""
    is_frozen: bool = False
    stopped_at_ms: int = 0
    """When it last began to stand still."""
    backlog: list[Heartbeat] = field(factory=list)
    """What has come for it meanwhile."""
    kill_at: int | Point | None = None
    """After how many more steps it dies, or at which."""
    pending_freeze: InjectedFault | None = None
    """The fault that will stop it at some point of a turn."""
    unfinished: Tick | None = None
    """The tick of the turn that it is taking, or was stopped in before anything left it."""
    deferred: list[Callable[[], None]] | None = None
    """What else leaves it, if it was stopped later in a turn."""
    wake_at_ms: int = NEVER_MS
    wakes: int = 0
    """How often it has woken by itself in the second that began at `waking_ms`."""
    second_began_at_ms: int = 0
    spins: int = 0
    """Turns taken one after the other at one time."""

    def end(self) -> None:
        self.state = self.kill_at = self.unfinished = self.deferred = None
        self.wake_at_ms = NEVER_MS

    def queue(self, heartbeats: tuple[Heartbeat, ...]) -> None:
        """Queue *heartbeats* until it resumes."""
        self.backlog += heartbeats[: BACKLOG_MAX - len(self.backlog)]

    def defers_at(self, point: Point, act: Callable[[], None]) -> bool:
        """Come to a *point* of a turn; tell whether it stands still there, and will *act* when it goes on."""
        self.reach(point)
        if self.deferred is not None:
            self.deferred.append(act)
        return self.deferred is not None

    def reach(self, point: Point) -> None:
        """Come to a *point* of a turn: it may be stopped or killed there."""
        if self.freezes_at(point):
            self.deferred = []
        if self.kill_at is None or self.deferred is not None:
            return
        if self.kill_at in (0, point):
            raise Killed(point)
        if isinstance(self.kill_at, int):
            self.kill_at -= 1

    def freezes_at(self, point: Point) -> bool:
        """Stand still from now on if it was to be stopped at this *point* of a turn."""
        if self.pending_freeze is None or self.pending_freeze.point is not point or self.unfinished is None:
            return False
        fault, self.pending_freeze = self.pending_freeze, None
        self.freeze(fault)
        return True

    def run_deferred(self) -> None:
        """Write and send everything that was put off."""
        rest, self.deferred = self.deferred or [], None
        for act in rest:
            act()

    def count_wake(self, now_ms: int) -> str:
        """Count a wake-up without input; return a complaint if there are too many."""
        self.wakes = self.wakes + 1 if now_ms < self.second_began_at_ms + 1000 else 0
        self.second_began_at_ms = now_ms if self.wakes == 0 else self.second_began_at_ms
        self.spins = self.spins + 1 if self.wake_at_ms <= now_ms else 0
        if self.wakes > WAKES_MAX:
            return f"wakes {self.wakes} times a second"
        return "turns and turns" if self.spins > SPINS_MAX else ""
