"""What can go wrong in one simulated run: kinds of faults, and plans made of them.

A plan is a value: a run is replayed from it exactly, and a failing one is made smaller by leaving faults out. Faults
come and go while passengers press buttons; then all of them end, and what was promised must come true. In some runs one
car or some links stay out of order for good, and the promise holds for the rest. plans.py draws them.
"""

from enum import StrEnum

from attrs import frozen

from elevator.building.passengers import PassengerFlow
from elevator.core.model import NEVER_MS, Button, Policy


class FaultKind(StrEnum):
    """What can go wrong. Unless said otherwise it ends by itself at the fault's `until_ms`."""

    KILL = "kill"
    """A node's program ends with all its processes at some point of a turn, and is started again."""
    WIPE = "wipe"
    """The same, and its disk is empty when it starts again."""
    CRASH = "crash"
    """A worker ends at some point of a turn. Its record is still written, and its supervisor starts the next, after
    `delay_ms`: that ends it."""
    BLACKOUT = "blackout"
    """All programs end at once, and are started again at once."""
    FREEZE = "freeze"
    """A program stands still, with its supervisor, wherever it is. What is sent to it waits."""
    CUT = "cut"
    """The group falls into two parts."""
    ONE_WAY = "one way"
    """One directed link carries nothing."""
    PACKET_LOSS = "weather"
    """Datagrams are lost, late and doubled on every link."""
    MOTOR = "motor"
    """A motor has no power. With a `detail` it has forgotten what it was told when that comes back."""
    OBSTRUCT = "obstruct"
    STOP = "stop button"
    SERVER = "server"
    """An elevator server hangs up, or just falls silent, and cannot be reached; its motor stops. With a `detail`
    somebody moves the car then, if its door is shut, to so many tenths of the height of the shaft."""
    SLOW_SERVER = "slow server"
    """An elevator server takes its time, `delay_ms` at most, to obey and to answer."""
    DISK = "disk"
    """A disk takes nothing, and gives nothing to a program that starts."""
    SLOW_DISK = "slow disk"
    """A disk takes its time."""
    RECORDER = "recorder"
    """The process that writes a node's record is killed; the worker starts another."""
    GHOST = "ghost"
    """One more node is in the group, which says that it is able and takes every hall call, and never moves its car."""
    SHIRKER = "shirker"
    """The same, but it takes no hall call."""
    DUPLICATE_ID = "id twice"
    """One more node, with an elevator of its own, is started with the id of another."""
    OTHER_FLOORS = "other floors"
    """One more node, with an elevator of its own, is started in the group with another number of floors."""
    FALSE_FLOOR = "false floor"
    """A floor sensor says what cannot be true, for a shorter time than any such report is believed."""
    DEAD_SENSOR = "dead sensor"
    """A floor sensor names a floor that there is not, for as long as it lasts."""
    ATTACK = "attack"
    """Somebody on the network forges, damages and repeats datagrams; see attacker.py."""


class Point(StrEnum):
    """Where in a turn a program can be killed or stopped: before or after each thing that leaves it."""

    BEFORE_HARDWARE = "before a write to its elevator"
    AFTER_HARDWARE = "after a write to its elevator"
    BEFORE_RECORD = "before its record is written"
    WHILE_RECORDING = "while its record is written"
    AFTER_RECORD = "after its record was written"
    BEFORE_BROADCAST = "before a broadcast"
    AFTER_BROADCAST = "after a broadcast"


KILLS = (FaultKind.KILL, FaultKind.WIPE, FaultKind.CRASH)
"""What ends one program at some point of a turn."""
PROGRAM_FAULTS = frozenset((*KILLS, FaultKind.BLACKOUT, FaultKind.FREEZE, FaultKind.SERVER, FaultKind.SLOW_SERVER))
"""What keeps a program from knowing its panel, or its panel from doing what it is told."""
CAR_FAULTS = frozenset(
    (
        FaultKind.SLOW_SERVER,
        FaultKind.MOTOR,
        FaultKind.SERVER,
        FaultKind.OBSTRUCT,
        FaultKind.STOP,
        FaultKind.FALSE_FLOOR,
        FaultKind.DEAD_SENSOR,
    )
)
"""What happens to a car or its server, not to its program."""
MISCONFIGURED = (FaultKind.DUPLICATE_ID, FaultKind.OTHER_FLOORS)
"""Nodes that should not be there. One at a time; its panel is the one after the last car's."""
GHOSTS = (FaultKind.GHOST, FaultKind.SHIRKER)
"""Nodes that never leave once they have come."""


@frozen
class InjectedFault:
    """One thing that goes wrong from *at_ms* to *until_ms*."""

    kind: FaultKind
    at_ms: int
    until_ms: int
    who: int
    """The node it happens to; of a CUT, a bit mask of the nodes on one side; of a stranger, its id."""
    detail: int = 0
    """Of one of KILLS: at which step of a turn; of DEAF: the sender not heard; of WEATHER: loss in percent; of a
    MISFIT: its number of floors; of an ATTACK: whether the group has a key."""
    delay_ms: int = 0
    """Of WEATHER: the longest delay; of SLOW: the longest that a record takes; of LAG: the same of a command; of a
    SERVER: how late it is noticed; of a CRASH: from the end of a worker to the first turn of the next."""
    duplicated: int = 0
    """Of WEATHER: datagrams doubled, in percent."""
    point: Point | None = None
    """Of one of KILLS: at which point, the next time the program comes there, instead of `detail`. Of a FREEZE: the
    same, instead of between two turns; before a write is before the last look at the clock, of which turn.py tells."""


@frozen
class Press:
    """A button held down on the panel of a car from *at_ms* to *until_ms*; on a stranger's if there is one then."""

    at_ms: int
    until_ms: int
    panel: int
    button: Button
    floor: int


@frozen
class Plan:
    """One run. Times are milliseconds from its start."""

    seed: int
    cars: int
    floors: int
    travel_ms: int
    """From one floor sensor to the next."""
    calm_at_ms: int
    """All faults have ended and nobody presses any more."""
    faults: tuple[InjectedFault, ...]
    presses: tuple[Press, ...]
    traffic: PassengerFlow | None = None
    """People who come, wait and ride, besides those who merely press."""
    at: tuple[float, ...] = ()
    """Heights in floors at which the cars stand at first; empty: drawn."""
    policy: Policy = Policy()
    datagram_bytes: int | None = None
    """What a datagram should not exceed, if that is less than usual."""
    passing_ms: int = 500
    """For how long a car that passes a floor is on its sensor."""
    late_ms: int = 0
    """How late every program wakes: one that looks at its panel every 10 ms hardly does so at other times."""

    def lost_cars(self) -> frozenset[int]:
        """Name the cars that stay out of order: their cab calls have to wait."""
        whole = (FaultKind.ONE_WAY, FaultKind.GHOST, FaultKind.SHIRKER)
        return frozenset(f.who for f in self.faults if f.until_ms == NEVER_MS and f.kind not in whole)

    def loses_links(self) -> bool:
        return any(fault.until_ms == NEVER_MS and fault.kind is FaultKind.ONE_WAY for fault in self.faults)


def describe(fault: InjectedFault, cars: int) -> str:
    """Say what *fault* is and whom it hits."""
    where = f"{fault.kind} of {'car' if fault.kind in CAR_FAULTS else 'node'} {fault.who}"
    match fault.kind:
        case FaultKind.CUT:
            sides = [[id for id in range(cars) if (fault.who >> id & 1) == side] for side in (1, 0)]
            return f"{fault.kind} between nodes {' and '.join(' '.join(map(str, side)) or 'none' for side in sides)}"
        case FaultKind.ONE_WAY:
            return f"{fault.kind}: node {fault.who} does not hear node {fault.detail}"
        case FaultKind.PACKET_LOSS:
            return f"{fault.kind}: {fault.detail} % lost, {fault.duplicated} % doubled, up to {fault.delay_ms} ms late"
        case FaultKind.DUPLICATE_ID | FaultKind.OTHER_FLOORS:
            floors = f", with {fault.detail} floors" if fault.detail else ""
            return f"{fault.kind}: one more node {fault.who}, here {fault.who}*{floors}"
        case FaultKind.BLACKOUT | FaultKind.GHOST | FaultKind.SHIRKER | FaultKind.ATTACK:
            return fault.kind
        case FaultKind.SLOW_DISK | FaultKind.SLOW_SERVER:
            return f"{where}, up to {fault.delay_ms} ms"
        case FaultKind.MOTOR | FaultKind.SERVER:
            return where + (" (worse)" if fault.detail else "")
        case _:
            return where + (f", {fault.point}" if fault.point else "")
