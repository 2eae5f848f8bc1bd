"""The kinds of faults, and the plan of a run.

A `Plan` alone determines a run, so the run can be replayed exactly. A failing plan is shrunk by leaving out passengers,
faults and presses. Once all temporary faults have ended, every confirmed call must be served, apart from the exceptions
in call_safety.py. In some runs, one car or some links never recover, or a phantom node stays. The cab calls of a car
that never recovers are exempt too. plans.py draws plans.
"""

from enum import StrEnum

from attrs import frozen

from elevator.building.passengers import PassengerFlow
from elevator.core.model import NEVER_MS, Button, Policy
from elevator.core.outgoing import ROOM_BYTES


class FaultKind(StrEnum):
    """A kind of fault. Unless stated otherwise, it lasts until the fault's `until_ms`."""

    KILL = "kill"
    """All processes of a node are killed, at some point of a turn or between two turns, and start again later."""
    WIPE = "wipe"
    """Like KILL, but the disk is empty when the node starts again."""
    CRASH = "crash"
    """A worker dies, at some point of a turn or between two turns. The recorder still writes the newest record. The
    fault ends when the supervisor starts the next worker, `delay_ms` later or at `until_ms`, whichever comes first."""
    BLACKOUT = "blackout"
    """All nodes except a misconfigured one are killed at the same time, and later start again at the same time."""
    FREEZE = "freeze"
    """The worker and the supervisor of a node are frozen, but not the recorder. Incoming datagrams wait."""
    CUT = "cut"
    """The group is partitioned into two parts."""
    ONE_WAY = "one-way link"
    """One directed link loses every datagram."""
    PACKET_LOSS = "packet loss"
    """Every link loses, delays or duplicates some datagrams."""
    MOTOR = "motor"
    """A motor has no power. If `detail` is set, the motor forgets its command, so it stays off when the power
    returns."""
    OBSTRUCT = "obstruct"
    STOP = "stop button"
    SERVER = "server"
    """An elevator server closes its connection or stops answering, and refuses new connections. The motor stops. If
    `detail` is set and the door is closed, the server returns with the car at `detail` tenths of the shaft."""
    SLOW_SERVER = "slow server"
    """An elevator server takes up to `delay_ms` to execute a command and to answer."""
    DISK = "disk"
    """All reads and writes of a disk fail."""
    SLOW_DISK = "slow disk"
    """A disk needs up to `delay_ms` for each write."""
    RECORDER = "recorder"
    """The recorder process of a node is killed; the worker starts another."""
    GHOST = "ghost"
    """An additional node reports that it is in service and claims every hall call, but never moves its car."""
    SHIRKER = "shirker"
    """Like GHOST, but the node claims no hall call."""
    DUPLICATE_ID = "id twice"
    """An additional node, with an elevator of its own, uses the id of another node."""
    OTHER_FLOORS = "other floors"
    """An additional node, with an elevator of its own, has a different number of floors."""
    FALSE_FLOOR = "false floor"
    """A floor sensor reports an impossible floor, but too briefly for the node to accept it."""
    DEAD_SENSOR = "dead sensor"
    """A floor sensor always reports a floor that does not exist."""
    ATTACK = "attack"
    """An attacker forges, damages and replays datagrams; see attacker.py."""


class Point(StrEnum):
    """A point at which a program can be killed or frozen: before, during or after an output of a turn."""

    BEFORE_HARDWARE = "before a write to its elevator"
    AFTER_HARDWARE = "after a write to its elevator"
    BEFORE_RECORD = "before its record is written"
    WHILE_RECORDING = "while its record is written"
    AFTER_RECORD = "after its record was written"
    BEFORE_BROADCAST = "before a broadcast"
    AFTER_BROADCAST = "after a broadcast"


KILLS = (FaultKind.KILL, FaultKind.WIPE, FaultKind.CRASH)
"""Faults that kill one program, at some point of a turn or between two turns."""
PROGRAM_FAULTS = frozenset((*KILLS, FaultKind.BLACKOUT, FaultKind.FREEZE, FaultKind.SERVER, FaultKind.SLOW_SERVER))
"""Faults that interrupt or delay the exchange between a program and its panel."""
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
"""Faults of a car or its server, not of its program."""
MISCONFIGURED = (FaultKind.DUPLICATE_ID, FaultKind.OTHER_FLOORS)
"""Faults that add a misconfigured node, at most one at a time. The number of this node follows that of the last car."""
GHOSTS = (FaultKind.GHOST, FaultKind.SHIRKER)
"""Faults that add a phantom node. It stays until the end of the run."""


@frozen
class InjectedFault:
    """A fault from `at_ms` to `until_ms`. If `until_ms` is NEVER_MS, it is permanent."""

    kind: FaultKind
    at_ms: int
    until_ms: int
    target: int
    """The number of the node that has the fault, with these exceptions. CUT: the bit mask of the nodes on one side.
    ONE_WAY: the receiver. MISCONFIGURED: the id of the additional node. GHOSTS: the floor of the phantom car, modulo
    the number of floors. BLACKOUT, PACKET_LOSS and ATTACK have no target."""
    detail: int = 0
    """KILLS: the number of points to pass before the kill, or 0 to kill at once. ONE_WAY: the sender. PACKET_LOSS: the
    loss in percent. OTHER_FLOORS: the number of floors. ATTACK: 1 if the group has a key. MOTOR and SERVER: see
    FaultKind."""
    delay_ms: int = 0
    """The longest delay of a datagram (PACKET_LOSS), of a write (SLOW_DISK), or of a command or a reply (SLOW_SERVER).
    SERVER: the time until the client notices the fault, unless its inputs become stale earlier. CRASH: the time from
    the end of the worker to the first turn of the next, unless `until_ms` is earlier."""
    duplicated: int = 0
    """For PACKET_LOSS, the percentage of duplicated datagrams."""
    point: Point | None = None
    """The point of a turn at which a fault of KILLS or a FREEZE occurs. None: `detail` determines the point of a kill,
    and a freeze begins between two turns. If the program does not reach the point by `until_ms`, the fault does not
    occur, except that WIPE then kills the program. The fault does not wait for the point if the program is already
    frozen, and a freeze does not wait if the program is dead or another freeze waits. For FREEZE, BEFORE_HARDWARE is
    just before the turn reads the clock for the last time."""


@frozen
class Press:
    """A button held down from `at_ms` to `until_ms` on the panel of the node with the number `panel`.

    It is ignored unless that node exists at `at_ms`.
    """

    at_ms: int
    until_ms: int
    panel: int
    button: Button
    floor: int


@frozen
class Plan:
    """The plan of one run. Points in time are in milliseconds from the start of the run."""

    seed: int
    cars: int
    floors: int
    travel_ms: int
    """The travel time from one floor sensor to the next. Passing a sensor takes `passing_ms`."""
    calm_at_ms: int
    """All temporary faults have ended by this time, and no button is pressed later. A button may be held a little
    longer."""
    faults: tuple[InjectedFault, ...]
    presses: tuple[Press, ...]
    flow: PassengerFlow | None = None
    """Simulated passengers who wait, ride and react to lamps, in addition to the `presses`."""
    at: tuple[float, ...] = ()
    """The initial positions of the cars, in floors; random if empty."""
    policy: Policy = Policy()
    room_bytes: int = ROOM_BYTES
    """How many bytes the entries in a heartbeat may take."""
    passing_ms: int = 500
    """How long a passing car activates a floor sensor."""
    late_ms: int = 0
    """How late every program wakes up when its timer expires. Input wakes it on time."""

    def lost_cars(self) -> frozenset[int]:
        """Return the numbers of the cars with a permanent fault. Their cab calls need not be served."""
        without_car = (FaultKind.ONE_WAY, FaultKind.GHOST, FaultKind.SHIRKER)
        return frozenset(f.target for f in self.faults if f.until_ms == NEVER_MS and f.kind not in without_car)

    def loses_links(self) -> bool:
        return any(fault.until_ms == NEVER_MS and fault.kind is FaultKind.ONE_WAY for fault in self.faults)


def describe(fault: InjectedFault, cars: int) -> str:
    """Return a description of *fault* for the transcript."""
    where = f"{fault.kind} of {'car' if fault.kind in CAR_FAULTS else 'node'} {fault.target}"
    match fault.kind:
        case FaultKind.CUT:
            sides = [[id for id in range(cars) if (fault.target >> id & 1) == side] for side in (1, 0)]
            return f"{fault.kind} between nodes {' and '.join(' '.join(map(str, side)) or 'none' for side in sides)}"
        case FaultKind.ONE_WAY:
            return f"{fault.kind}: node {fault.target} does not hear node {fault.detail}"
        case FaultKind.PACKET_LOSS:
            return (
                f"{fault.kind}: {fault.detail} % lost, {fault.duplicated} % duplicated, up to {fault.delay_ms} ms late"
            )
        case FaultKind.DUPLICATE_ID | FaultKind.OTHER_FLOORS:
            floors = f", with {fault.detail} floors" if fault.detail else ""
            return f"{fault.kind}: another node {fault.target}, called {fault.target}*{floors}"
        case FaultKind.BLACKOUT | FaultKind.GHOST | FaultKind.SHIRKER | FaultKind.ATTACK:
            return fault.kind
        case FaultKind.SLOW_DISK | FaultKind.SLOW_SERVER:
            return f"{where}, up to {fault.delay_ms} ms"
        case FaultKind.MOTOR | FaultKind.SERVER:
            return where + (f" (detail {fault.detail})" if fault.detail else "")
        case _:
            return where + (f", {fault.point}" if fault.point else "")
