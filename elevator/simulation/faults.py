"""What goes wrong in one simulated run, all of it drawn from the seed before the run begins.

A plan is a value: a run is replayed from it exactly, and a failing one is made smaller by leaving faults out. Faults
come and go while passengers press buttons; then all of them end, and what was promised must come true. In some runs one
car or some links stay out of order for good, and the promise holds for the rest.
"""

import random
from collections.abc import Iterable
from enum import StrEnum
from typing import assert_never

from attrs import evolve, frozen

from elevator.building.passengers import PassengerFlow, Profile
from elevator.core.model import NEVER_MS, Assigner, Button, Park, Policy
from elevator.hardware.panel_client import FRESH_MS
from elevator.hardware.panel_outputs import panel_buttons


class FaultKind(StrEnum):
    """What can go wrong. Unless said otherwise it ends by itself at the fault's `until_ms`."""

    KILL = "kill"
    """A node's program ends with all its processes at some point of a turn, and is started again."""
    WIPE = "wipe"
    """The same, and its disk is empty when it starts again."""
    TORN = "torn record"
    """The same, and of its record only the first half is left."""
    CRASH = "crash"
    """A worker ends at some point of a turn. Its record is still written, and its supervisor starts the next, after
    `delay_ms`: that ends it."""
    HANG = "hang"
    """A worker stands still until its supervisor kills it and starts the next."""
    BLACKOUT = "blackout"
    """All programs end at once, and are started again at once."""
    FREEZE = "freeze"
    """A program stands still, with its supervisor, wherever it is. What is sent to it waits."""
    CUT = "cut"
    """The group falls into two parts."""
    DEAF = "one way"
    """One directed link carries nothing."""
    WEATHER = "weather"
    """Datagrams are lost, late and doubled on every link."""
    MOTOR = "motor"
    """A motor has no power. With a `detail` it has forgotten what it was told when that comes back."""
    OBSTRUCT = "obstruct"
    STOP = "stop button"
    SERVER = "server"
    """An elevator server hangs up, or just falls silent, and cannot be reached; its motor stops. With a `detail`
    somebody moves the car then, if its door is shut, to so many tenths of the height of the shaft."""
    LAG = "slow server"
    """An elevator server takes its time, `delay_ms` at most, to obey and to answer."""
    DISK = "disk"
    """A disk takes nothing, and gives nothing to a program that starts."""
    SLOW = "slow disk"
    """A disk takes its time."""
    GHOST = "ghost"
    """One more node is in the group, which says that it is able and takes every hall call, and never moves its car."""
    SHIRKER = "shirker"
    """The same, but it takes no hall call."""
    TWIN = "id twice"
    """One more node, with an elevator of its own, is started with the id of another."""
    MISFIT = "other floors"
    """One more node, with an elevator of its own, is started in the group with another number of floors."""
    GLITCH = "false floor"
    """A floor sensor says what cannot be true, for a shorter time than any such report is believed."""
    SENSOR = "dead sensor"
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


LATE_MS = 9
PAUSES = (*[Point.BEFORE_HARDWARE] * 4, *(point for point in Point if point is not Point.AFTER_RECORD))
"""Where in a turn a program can be stopped: mostly where it would do something by what it has seen long ago. Another
process writes the record."""
SHORT_MS = 200
"""The reach of a short floor sensor."""
KILLS = (FaultKind.KILL, FaultKind.WIPE, FaultKind.TORN, FaultKind.CRASH)
"""What ends one program at some point of a turn."""
HUNG_MS = 500
"""After what silence a supervisor kills its worker."""
CRASH_MS = 1000
"""Within that a worker comes to the point where it ends."""
TAKE_OVER_MS = (5, 60)
"""The least and the longest time from the end of a worker to the first turn of the next."""
SMALL_BYTES = 400
"""Datagrams no larger than that have even a small group say what it knows in parts."""
GLITCH_MS = (10, 80)
"""The least and the longest time for which a floor sensor says what cannot be true."""
STRANGERS = (FaultKind.TWIN, FaultKind.MISFIT)
"""Nodes that should not be there. One at a time; its panel is the one after the last car's."""
GHOSTS = (FaultKind.GHOST, FaultKind.SHIRKER)
"""Nodes that never leave once they have come."""
LASTING = (
    FaultKind.DEAF,
    FaultKind.MOTOR,
    FaultKind.SENSOR,
    FaultKind.OBSTRUCT,
    FaultKind.STOP,
    FaultKind.SERVER,
    FaultKind.KILL,
    *[FaultKind.GHOST] * 2,
)

STORM = (
    *[FaultKind.FREEZE] * 3,
    *[FaultKind.SERVER] * 2,
    *[FaultKind.OBSTRUCT] * 2,
    FaultKind.HANG,
    FaultKind.KILL,
    FaultKind.CRASH,
    FaultKind.LAG,
    FaultKind.SLOW,
    FaultKind.DISK,
    FaultKind.SENSOR,
    FaultKind.STOP,
    FaultKind.MOTOR,
)
"""What happens to one car in a storm."""

SHARES = {
    FaultKind.KILL: 6,
    FaultKind.WIPE: 2,
    FaultKind.BLACKOUT: 1,
    FaultKind.FREEZE: 3,
    FaultKind.CUT: 3,
    FaultKind.DEAF: 2,
    FaultKind.WEATHER: 4,
    FaultKind.MOTOR: 3,
    FaultKind.OBSTRUCT: 4,
    FaultKind.STOP: 2,
    FaultKind.SERVER: 3,
    FaultKind.DISK: 1,
}


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
    doubled: int = 0
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
        whole = (FaultKind.DEAF, FaultKind.GHOST, FaultKind.SHIRKER)
        return frozenset(f.who for f in self.faults if f.until_ms == NEVER_MS and f.kind not in whole)

    def loses_links(self) -> bool:
        return any(fault.until_ms == NEVER_MS and fault.kind is FaultKind.DEAF for fault in self.faults)


def plan(seed: int, cars: int | None = None, floors: int | None = None) -> Plan:
    """Draw a run of 1 to 9 *cars* and 2 to 20 *floors*, mostly few; about one in eighteen has no faults at all."""
    rng = random.Random(seed)
    drawn_cars = rng.choice((1, 2, 3, 3, 3, 3, 4, 4, 5, rng.randint(6, 9)))
    drawn_floors = rng.choice((2, 3, 4, 4, 4, 4, 6, 9, rng.randint(10, 20)))
    cars, floors = cars or drawn_cars, floors or drawn_floors
    calm_at_ms = rng.choice((20, 40, 60, 120)) * 1000
    every_ms = rng.choice((3000, 6000, 12_000, 25_000))
    count = 0 if rng.random() < 0.1 else calm_at_ms // every_ms + 1
    lasting = draw_lasting(random.Random(f"lasting {seed}"), cars, calm_at_ms)
    faults = sorted((draw_fault(rng, cars, calm_at_ms) for _ in range(count)), key=lambda fault: fault.at_ms)
    presses = sorted(draw_presses(rng, cars, floors, calm_at_ms), key=lambda press: press.at_ms)
    travel_ms = rng.choice((2000, 2000, 2000, 2000, 1000, 3000, 6000))
    strangers = draw_stranger(rng := random.Random(f"stranger {seed}"), cars, floors, calm_at_ms)
    on_its_panel = [press for fault in strangers for press in draw_presses_on_stranger(rng, cars, floors, fault)]
    processes = draw_processes(random.Random(f"processes {seed}"), cars, calm_at_ms) if faults else []
    rare, rare_presses = draw_rare(random.Random(f"rare {seed}"), cars, floors, calm_at_ms)
    if any(fault.kind is FaultKind.GHOST for fault in lasting):
        rare = [fault for fault in rare if fault.kind is not FaultKind.SHIRKER]
    attacks = draw_attacks(random.Random(f"attack {seed}"), calm_at_ms)
    glitches = draw_glitches(random.Random(f"glitch {seed}"), cars, calm_at_ms) if faults else []
    long, long_presses = draw_long(random.Random(f"long {seed}"), cars, floors, calm_at_ms) if faults else ([], [])
    lags = draw_lags(random.Random(f"lag {seed}"), cars, calm_at_ms) if faults else []
    sensors = draw_sensors(random.Random(f"sensor {seed}"), cars, calm_at_ms) if faults else []
    storm, storm_presses = draw_storm(random.Random(f"storm {seed}"), cars, floors, calm_at_ms) if faults else ([], [])
    whole = (*faults, *lasting, *strangers, *processes, *rare, *attacks, *glitches, *long, *lags, *sensors, *storm)
    rng = random.Random(f"policy {seed}")
    policy = Policy(rng.choice((*[Assigner.PLAN] * 4, *Assigner)), rng.choice((*[Park.SPREAD] * 3, *Park)))
    traffic = draw_traffic(random.Random(f"traffic {seed}"), seed, cars, floors, calm_at_ms)
    ghosts = [fault for fault in whole if fault.kind in GHOSTS]
    at_ghosts = [press for ghost in ghosts for press in draw_presses_at_ghost(ghost, cars, floors, calm_at_ms)]
    pressed = (*presses, *on_its_panel, *rare_presses, *long_presses, *storm_presses, *at_ghosts)
    datagram_bytes = SMALL_BYTES if random.Random(f"datagrams {seed}").random() < 1 / 10 else None
    rng = random.Random(f"details {seed}")
    whole = tuple(evolve(fault, detail=draw_detail(rng, fault)) for fault in whole)
    rng = random.Random(f"silence {seed}")
    silences = {fault: rng.choice((0, FRESH_MS)) for fault in whole if fault.kind is FaultKind.SERVER}
    whole = tuple(evolve(fault, delay_ms=silences.get(fault, fault.delay_ms)) for fault in whole)
    rng = random.Random(f"pauses {seed}")
    pauses = {fault: rng.choice((None, *PAUSES)) for fault in whole if fault.kind is FaultKind.FREEZE}
    whole = tuple(evolve(fault, point=fault.point or pauses.get(fault)) for fault in whole)
    late_ms = random.Random(f"late {seed}").choice((0, 0, 0, LATE_MS)) if faults else 0
    passing_ms = random.Random(f"passing {seed}").choice((500, 500, 500, SHORT_MS))
    # A server that takes longer than a car is on a sensor does not tell of every floor.
    longest_ms = passing_ms - 50
    whole = tuple(evolve(f, delay_ms=min(f.delay_ms, longest_ms)) if f.kind is FaultKind.LAG else f for f in whole)
    run = Plan(seed, cars, floors, travel_ms, calm_at_ms, whole, pressed, traffic, (), policy, datagram_bytes)
    return evolve(run, passing_ms=passing_ms, late_ms=late_ms)


def draw_detail(rng: random.Random, fault: InjectedFault) -> int:
    """Draw how bad a *fault* of a motor or a server is: one in three is worse. Others are as bad as they are."""
    match fault.kind:
        case FaultKind.MOTOR:
            return rng.choice((0, 0, 1))
        case FaultKind.SERVER:
            return rng.choice((0, 0, rng.randint(1, 10)))
        case _:
            return fault.detail


def describe(fault: InjectedFault, cars: int) -> str:
    """Say what *fault* is and whom it hits."""
    node = f"node {fault.who}"
    match fault.kind:
        case FaultKind.KILL | FaultKind.WIPE | FaultKind.TORN | FaultKind.CRASH | FaultKind.FREEZE:
            return f"{fault.kind} of {node}" + (f", {fault.point}" if fault.point else "")
        case FaultKind.HANG | FaultKind.DISK:
            return f"{fault.kind} of {node}"
        case FaultKind.SLOW:
            return f"{fault.kind} of {node}, up to {fault.delay_ms} ms"
        case FaultKind.LAG:
            return f"{fault.kind} of car {fault.who}, up to {fault.delay_ms} ms"
        case FaultKind.CUT:
            sides = [[id for id in range(cars) if (fault.who >> id & 1) == side] for side in (1, 0)]
            return f"{fault.kind} between nodes {' and '.join(' '.join(map(str, side)) or 'none' for side in sides)}"
        case FaultKind.DEAF:
            return f"{fault.kind}: {node} does not hear node {fault.detail}"
        case FaultKind.WEATHER:
            return f"{fault.kind}: {fault.detail} % lost, {fault.doubled} % doubled, up to {fault.delay_ms} ms late"
        case FaultKind.MOTOR:
            return f"{fault.kind} of car {fault.who}" + (", which forgets what it was told" if fault.detail else "")
        case FaultKind.SERVER:
            noticed = ", noticed late" if fault.delay_ms else ""
            return f"{fault.kind} of car {fault.who}{noticed}" + (", which somebody moves" if fault.detail else "")
        case FaultKind.OBSTRUCT | FaultKind.STOP | FaultKind.GLITCH | FaultKind.SENSOR:
            return f"{fault.kind} of car {fault.who}"
        case FaultKind.TWIN:
            return f"{fault.kind}: one more {node}, here {fault.who}*"
        case FaultKind.MISFIT:
            return f"{fault.kind}: one more {node}, here {fault.who}*, with {fault.detail} floors"
        case FaultKind.BLACKOUT | FaultKind.GHOST | FaultKind.SHIRKER:
            return str(fault.kind)
        case FaultKind.ATTACK:
            return f"{fault.kind} on a group {'with' if fault.detail else 'without'} a key"
        case _:
            assert_never(fault.kind)


def draw_fault(rng: random.Random, cars: int, calm_at_ms: int) -> InjectedFault:
    kind = rng.choices(list(SHARES), list(SHARES.values()))[0]
    at_ms = rng.randint(0, calm_at_ms - 1)
    lasts_ms = int(min(100 * 2 ** rng.uniform(0, 8.5), 40_000))
    fault = InjectedFault(kind, at_ms, min(at_ms + lasts_ms, calm_at_ms), rng.randrange(cars))
    match kind:
        case FaultKind.KILL | FaultKind.WIPE:
            return evolve(fault, detail=rng.randrange(12))
        case FaultKind.CUT:
            side = rng.randrange(1 << cars)
            return evolve(fault, who=side if side not in (0, (1 << cars) - 1) else 1 << at_ms % cars)
        case FaultKind.DEAF:
            return evolve(fault, detail=another(fault.who, rng.randrange(cars), cars))
        case FaultKind.WEATHER:
            delay_ms = rng.choice((2, 10, 50, 500))
            return evolve(fault, detail=rng.randint(1, 70), delay_ms=delay_ms, doubled=rng.choice((0, 10, 50)))
        case _:
            return fault


def draw_processes(rng: random.Random, cars: int, calm_at_ms: int) -> list[InjectedFault]:
    """Draw what happens to a node's processes and its disk, about twice a minute."""
    return [draw_process(rng, cars, calm_at_ms) for _ in range(rng.randint(0, calm_at_ms // 15_000))]


def draw_process(rng: random.Random, cars: int, calm_at_ms: int) -> InjectedFault:
    kind = rng.choice(
        (FaultKind.CRASH, FaultKind.CRASH, FaultKind.CRASH, FaultKind.HANG, FaultKind.SLOW, FaultKind.TORN)
    )
    at_ms, who, take_over_ms = rng.randrange(calm_at_ms), rng.randrange(cars), rng.randint(*TAKE_OVER_MS)
    match kind:
        case FaultKind.CRASH:
            until_ms = min(at_ms + CRASH_MS, calm_at_ms)
            return InjectedFault(kind, at_ms, until_ms, who, detail=rng.randrange(6), delay_ms=take_over_ms)
        case FaultKind.HANG:
            return InjectedFault(kind, at_ms, min(at_ms + HUNG_MS + take_over_ms, calm_at_ms), who)
        case FaultKind.SLOW:
            until_ms = min(at_ms + rng.randint(1000, 30_000), calm_at_ms)
            return InjectedFault(kind, at_ms, until_ms, who, delay_ms=rng.choice((100, 300, 1000, 4000)))
        case _:
            return InjectedFault(
                kind, at_ms, min(at_ms + rng.randint(100, 20_000), calm_at_ms), who, detail=rng.randrange(12)
            )


def draw_lasting(rng: random.Random, cars: int, calm_at_ms: int) -> list[InjectedFault]:
    """Draw what stays out of order, in three of ten runs with more than one car: one car, or a few directed links."""
    if cars == 1 or rng.random() > 0.3:
        return []
    kind = rng.choice(LASTING)
    times = rng.randint(1, 3) if kind is FaultKind.DEAF else 1
    at_ms = rng.randrange(calm_at_ms)
    pairs = [(rng.randrange(cars), rng.randrange(cars)) for _ in range(times)]
    return [InjectedFault(kind, at_ms, NEVER_MS, who, detail=another(who, whom, cars)) for who, whom in pairs]


def another(node: int, drawn: int, cars: int) -> int:
    """Return a node other than *node* if there is one: the one that was *drawn*, or the next."""
    return drawn if drawn != node else (drawn + 1) % cars


def draw_stranger(rng: random.Random, cars: int, floors: int, calm_at_ms: int) -> list[InjectedFault]:
    """Draw a node that should not be there, in one of six runs. It comes without a record and leaves none."""
    if rng.random() > 1 / 6:
        return []
    at_ms, until_ms = sorted(rng.sample(range(calm_at_ms + 1), 2))
    if rng.random() < 0.7:
        return [InjectedFault(FaultKind.TWIN, at_ms, until_ms, rng.randrange(cars))]
    return [
        InjectedFault(
            FaultKind.MISFIT,
            at_ms,
            until_ms,
            rng.randrange(cars + 1),
            detail=rng.choice((floors - 1 if floors > 2 else 3, 21)),
        )
    ]


def draw_presses_on_stranger(rng: random.Random, cars: int, floors: int, stranger: InjectedFault) -> Iterable[Press]:
    """Draw who presses what on the panel of a node that should not be there."""
    buttons = list(panel_buttons(stranger.detail or floors))
    at_ms = stranger.at_ms
    while (at_ms := at_ms + 1 + int(rng.expovariate(1 / 4000))) < stranger.until_ms:
        yield Press(at_ms, at_ms + 200, cars, *rng.choice(buttons))


def draw_traffic(rng: random.Random, seed: int, cars: int, floors: int, calm_at_ms: int) -> PassengerFlow | None:
    """Draw the people who use the elevators as one does, in one of three runs."""
    if rng.random() > 1 / 3:
        return None
    profile, per_minute = rng.choice(list(Profile)), rng.choice((5, 20, 60))
    return PassengerFlow(seed, cars, floors, per_minute, until_ms=calm_at_ms, profile=profile)


def draw_attacks(rng: random.Random, calm_at_ms: int) -> list[InjectedFault]:
    """Draw somebody on the network who means ill, in one of four runs."""
    if rng.random() > 1 / 4:
        return []
    at_ms, until_ms = sorted(rng.sample(range(calm_at_ms + 1), 2))
    return [InjectedFault(FaultKind.ATTACK, at_ms, until_ms, 0, detail=rng.randrange(2))]


def draw_glitches(rng: random.Random, cars: int, calm_at_ms: int) -> list[InjectedFault]:
    """Draw floor sensors that say what cannot be true, in one of four runs, about every 4 s."""
    if rng.random() > 1 / 4:
        return []
    starts = (every_ms + rng.randrange(3800) for every_ms in range(0, calm_at_ms, 4000))  # One ends before the next.
    return [
        InjectedFault(FaultKind.GLITCH, at_ms, at_ms + rng.randint(*GLITCH_MS), rng.randrange(cars)) for at_ms in starts
    ]


def draw_sensors(rng: random.Random, cars: int, calm_at_ms: int) -> list[InjectedFault]:
    """Draw floor sensors that are dead for a while, in one of eight runs."""
    if rng.random() > 1 / 8:
        return []
    starts = [rng.randrange(calm_at_ms) for _ in range(rng.randint(1, 3))]
    ends = [min(at_ms + rng.randint(200, 12_000), calm_at_ms) for at_ms in starts]
    return [InjectedFault(FaultKind.SENSOR, *each, rng.randrange(cars)) for each in zip(starts, ends, strict=True)]


def draw_lags(rng: random.Random, cars: int, calm_at_ms: int) -> list[InjectedFault]:
    """Draw elevator servers that are slow for a while, in one of three runs. One that took longer would be given up."""
    if rng.random() > 1 / 3:
        return []
    starts = [rng.randrange(calm_at_ms) for _ in range(rng.randint(1, 3))]
    ends = [min(at_ms + rng.randint(2000, 20_000), calm_at_ms) for at_ms in starts]
    times = zip(starts, ends, strict=True)
    return [
        InjectedFault(FaultKind.LAG, *each, rng.randrange(cars), delay_ms=rng.choice((50, 400, 400))) for each in times
    ]


def draw_storm(rng: random.Random, cars: int, floors: int, calm_at_ms: int) -> tuple[list[InjectedFault], list[Press]]:
    """Draw, in one of eight runs, much that happens to one car within seconds, one thing in the middle of another."""
    if rng.random() > 1 / 8:
        return [], []
    who, buttons, start_ms = rng.randrange(cars), list(panel_buttons(floors)), rng.randint(2000, calm_at_ms - 15_000)
    faults = []
    for _ in range(rng.randint(4, 12)):
        kind, at_ms = rng.choice(STORM), start_ms + rng.randrange(12_000)
        lasts_ms = HUNG_MS + 30 if kind is FaultKind.HANG else rng.choice((150, 400, 700, 1500, 4000))
        fault = InjectedFault(kind, at_ms, min(at_ms + lasts_ms, calm_at_ms), who)
        match kind:
            case FaultKind.KILL | FaultKind.CRASH:
                fault = evolve(fault, point=rng.choice((None, *Point)), delay_ms=30)
            case FaultKind.LAG | FaultKind.SLOW:
                fault = evolve(fault, delay_ms=rng.choice((50, 400)))
            case _:
                pass
        faults.append(fault)
    times = (start_ms + rng.randrange(12_000) for _ in range(rng.randint(4, 15)))
    return faults, [Press(at_ms, at_ms + 200, rng.randrange(cars), *rng.choice(buttons)) for at_ms in times]


def draw_rare(rng: random.Random, cars: int, floors: int, calm_at_ms: int) -> tuple[list[InjectedFault], list[Press]]:
    """Draw, in one of six runs, what takes long or many to do harm, and so would hardly ever come up by chance."""
    buttons, who = list(panel_buttons(floors)), rng.randrange(cars)
    rare = rng.choices(("crash loop", "hammer", "shirker", ""), (5, 5, 6, 84))[0]
    if rare == "crash loop":  # More runs than a node remembers, with calls in them that nobody can serve meanwhile.
        starts = [4000 + n * rng.randint(700, 800) for n in range(rng.randint(12, 18))]
        faults = [InjectedFault(FaultKind.KILL, at_ms, at_ms + rng.randint(20, 300), who) for at_ms in starts]
        if rng.random() < 0.6:  # And nobody else knows of them.
            faults.append(InjectedFault(FaultKind.CUT, 3000, starts[-1] + 2000, 1 << who))
        times = (at_ms + rng.randint(310, 400) for at_ms in starts)
        return faults, [Press(at_ms, at_ms + 200, who, *rng.choice(buttons)) for at_ms in times]
    if rare == "hammer" and floors > 2 and calm_at_ms >= 60_000:  # Somebody who does not let a car go.
        button, floor = rng.choice(((Button.UP, 0), (Button.DOWN, floors - 1)))
        held = [Press(at_ms, at_ms + 200, who, button, floor) for at_ms in range(1000, calm_at_ms - 1000, 400)]
        boarded_ms = range(1500, calm_at_ms - 10_000, 7000)
        waiting = [Press(at_ms, at_ms + 200, car, Button.CAB, 1) for at_ms in boarded_ms for car in range(cars)]
        return [], [*held, *waiting]
    if rare == "shirker" and cars > 1:
        return [InjectedFault(FaultKind.SHIRKER, rng.randrange(calm_at_ms // 2), NEVER_MS, rng.randrange(floors))], []
    return [], []


def draw_long(rng: random.Random, cars: int, floors: int, calm_at_ms: int) -> tuple[list[InjectedFault], list[Press]]:
    """Draw, in three of ten runs, a chain of faults that single ones would hardly ever come to by chance."""
    who, at_ms, buttons = rng.randrange(cars), rng.randint(4000, calm_at_ms - 15_000), list(panel_buttons(floors))
    chain = rng.choices(("slow disk", "unread", "wiped", "frozen", "mute", "lossy", ""), (5, 5, 5, 5, 5, 5, 70))[0]

    def presses(times: Iterable[int]) -> list[Press]:
        return [Press(at_ms, at_ms + 200, who, *rng.choice(buttons)) for at_ms in times]

    if chain == "slow disk":  # Again and again a program ends before its disk has taken anything of it.
        ends = [at_ms + n * rng.randint(2200, 2600) for n in range(1, 5)]
        deaths = [InjectedFault(FaultKind.KILL, end_ms, end_ms + 50, who) for end_ms in ends]
        slow = InjectedFault(FaultKind.SLOW, at_ms, ends[-1] + 2000, who, delay_ms=4000)
        return [slow, *deaths], presses(end_ms + late_ms for end_ms in ends for late_ms in (1400, 1700))
    if chain == "unread":  # What one disk alone holds cannot be read when the program starts.
        cut = InjectedFault(FaultKind.CUT, at_ms, at_ms + 9000, 1 << who)
        disk = InjectedFault(FaultKind.DISK, at_ms + 3500, at_ms + 5500, who)
        kill = InjectedFault(FaultKind.KILL, at_ms + 3600, at_ms + 4000, who)
        # In a quarter of the runs it ends once more before it could take in what was then read after all.
        stops = [
            InjectedFault(FaultKind.FREEZE, at_ms + 5200, at_ms + 9000, who),
            InjectedFault(FaultKind.KILL, at_ms + 7000, at_ms + 9100, who),
        ]
        stops = stops if rng.random() > 0.75 else []
        return [cut, disk, kill, *stops], presses([at_ms + 3000, at_ms + 3010])
    if chain == "wiped":  # More runs than others remember, none of which knows of the one before.
        starts = [at_ms + n * rng.randint(650, 700) for n in range(rng.randint(11, 14))]
        wipes = [InjectedFault(FaultKind.WIPE, start_ms, start_ms + 20, who) for start_ms in starts]
        return wipes, presses(start_ms + 400 for start_ms in (*starts, starts[-1] + 3000))
    if chain == "frozen":
        starts = [at_ms + n * rng.randint(2000, 2500) for n in range(5)]
        points = (None, Point.BEFORE_HARDWARE)
        ends = [start_ms + rng.randint(100, 1500) for start_ms in starts]
        stops = [
            InjectedFault(FaultKind.FREEZE, *times, who, point=rng.choice(points))
            for times in zip(starts, ends, strict=True)
        ]
        # What is pressed as it begins sets a car in motion in the very turn in which its program is stopped.
        return stops, presses(start_ms + rng.choice((-500, 5)) for start_ms in starts)
    if chain == "mute":  # It hears all others, and none hears it; or the other way round.
        links = [(other, who) for other in range(cars) if other != who]
        links = links if rng.random() < 0.7 else [(hearer, speaker) for speaker, hearer in links]
        until_ms = min(at_ms + 30_000, calm_at_ms)
        deaf = [InjectedFault(FaultKind.DEAF, at_ms, until_ms, hearer, detail=speaker) for hearer, speaker in links]
        return deaf, presses(range(at_ms + 1000, until_ms, 2000))
    if chain == "lossy":
        return [InjectedFault(FaultKind.WEATHER, at_ms, at_ms + 15_000, 0, detail=rng.randint(55, 70), delay_ms=10)], []
    return [], []


def draw_presses_at_ghost(ghost: InjectedFault, cars: int, floors: int, calm_at_ms: int) -> Iterable[Press]:
    """Name those who come where a ghost stands: a car that is always there, so that nobody else would come for them."""
    here = ghost.who % floors
    buttons = [button for button, floor in panel_buttons(floors) if floor == here and button is not Button.CAB]
    for n, at_ms in enumerate(range(ghost.at_ms + 2000, calm_at_ms - 1, 15_000)):
        for button in buttons:
            yield Press(at_ms, min(at_ms + 200, calm_at_ms), n % cars, button, here)


def draw_presses(rng: random.Random, cars: int, floors: int, calm_at_ms: int) -> Iterable[Press]:
    """Draw who presses what: people at random, and now and then somebody who hammers one button."""
    buttons = list(panel_buttons(floors))
    gap_ms = rng.choice((700, 2000, 6000, 15_000))
    at_ms = 0
    while (at_ms := at_ms + 1 + int(rng.expovariate(1 / gap_ms))) < calm_at_ms:
        panel, (button, floor) = rng.randrange(cars), rng.choice(buttons)
        times = rng.randint(5, 40) if rng.random() < 0.03 else 1
        for n in range(times):
            start_ms = at_ms + n * rng.randint(210, 600)
            if start_ms < calm_at_ms:
                yield Press(start_ms, start_ms + 200, panel, button, floor)
