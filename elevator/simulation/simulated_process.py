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


class Died(Exception):
    """A program is killed at this very point."""


class Stopped(Exception):
    """A program is stopped in a turn before anything has left it."""


@define(eq=False)
class SimulatedProcess:
    """A program is killed and stopped at steps of a turn: before or after each thing that leaves it."""

    freeze: Callable[[InjectedFault], None]
    """Lets a fault begin that stops it."""
    state: Node | None = None
    """None: it is dead."""
    stands_still: bool = False
    stopped_ms: int = 0
    """When it last began to stand still."""
    backlog: list[Heartbeat] = field(factory=list)
    """What has come for it meanwhile."""
    doom: int | Point | None = None
    """After how many more steps it dies, or at which."""
    pause: InjectedFault | None = None
    """The fault that will stop it at some point of a turn."""
    under_way: Tick | None = None
    """The tick of the turn that it is taking, or was stopped in before anything left it."""
    put_off: list[Callable[[], None]] | None = None
    """What else leaves it, if it was stopped later in a turn."""
    wake_ms: int = NEVER_MS
    wakes: int = 0
    """How often it has woken by itself in the second that began at `waking_ms`."""
    waking_ms: int = 0
    spins: int = 0
    """Turns taken one after the other at one time."""

    def end(self) -> None:
        self.state = self.doom = self.under_way = self.put_off = None
        self.wake_ms = NEVER_MS

    def keep(self, heartbeats: tuple[Heartbeat, ...]) -> None:
        """Queue *heartbeats* until it resumes."""
        self.backlog += heartbeats[: BACKLOG_MAX - len(self.backlog)]

    def put_off_here(self, point: Point, act: Callable[[], None]) -> bool:
        """Come to a *point* of a turn; tell whether it stands still there, and will *act* when it goes on."""
        self.step_of_turn(point)
        if self.put_off is not None:
            self.put_off.append(act)
        return self.put_off is not None

    def step_of_turn(self, point: Point) -> None:
        """Come to a *point* of a turn: it may be stopped or killed there."""
        if self.is_stopped_at(point):
            self.put_off = []
        if self.doom is None or self.put_off is not None:
            return
        if self.doom in (0, point):
            raise Died(point)
        if isinstance(self.doom, int):
            self.doom -= 1

    def is_stopped_at(self, point: Point) -> bool:
        """Stand still from now on if it was to be stopped at this *point* of a turn."""
        if self.pause is None or self.pause.point is not point or self.under_way is None:
            return False
        fault, self.pause = self.pause, None
        self.freeze(fault)
        return True

    def go_on(self) -> None:
        """Write and send everything that was put off."""
        rest, self.put_off = self.put_off or [], None
        for act in rest:
            act()

    def count_wake(self, now_ms: int) -> str:
        """Count a wake-up without input; return a complaint if there are too many."""
        self.wakes = self.wakes + 1 if now_ms < self.waking_ms + 1000 else 0
        self.waking_ms = now_ms if self.wakes == 0 else self.waking_ms
        self.spins = self.spins + 1 if self.wake_ms <= now_ms else 0
        if self.wakes > WAKES_MAX:
            return f"wakes {self.wakes} times a second"
        return "turns and turns" if self.spins > SPINS_MAX else ""
