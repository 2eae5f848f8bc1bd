"""Draws a plan from a seed: the group, its building, its faults and its passengers.

Each family of faults has its own random generator, seeded by the family's name and the seed. So a new family at the end
of FAMILIES does not change the other faults of a seed. Elsewhere in FAMILIES, it could: `draw_details` uses the same
generators for the faults of all families. chains.py draws combinations of faults that independent draws would hardly
ever produce.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from elevator.building.passengers import PassengerFlow, Profile
from elevator.core.evolve import evolve
from elevator.core.model import NEVER_MS, Assigner, Button, Park, Policy
from elevator.core.outgoing import ENTRY_BYTES, PRESS_BYTES, ROOM_BYTES
from elevator.hardware.panel_client import FRESH_MS
from elevator.hardware.panel_outputs import panel_buttons
from elevator.simulation.chains import Size, draw_long, draw_rare, draw_storm
from elevator.simulation.faults import GHOSTS, FaultKind, InjectedFault, Plan, Point, Press

LATE_MS = 9
FREEZE_POINTS = (*[Point.BEFORE_HARDWARE] * 4, *(point for point in Point if point is not Point.AFTER_RECORD))
"""The points of a turn at which a program can be frozen. BEFORE_HARDWARE is drawn most often: a program that
resumes there is about to act on stale inputs. AFTER_RECORD is excluded, because no fault freezes the recorder."""
SHORT_MS = 200
"""How long a passing car activates a floor sensor in about one run of four; in the others, 500 ms."""
CRASH_MS = 1000
"""The longest duration of a CRASH fault from `draw_process`. It usually ends earlier, when the next worker starts."""
HUNG_MS = 500
"""A supervisor kills a worker that has been silent for this long."""
TAKE_OVER_MS = (5, 60)
"""The shortest and the longest time from the end of a worker to the first turn of the next."""
GLITCH_MS = (10, 80)
"""The shortest and the longest duration of an impossible floor report."""
LASTING = (
    FaultKind.ONE_WAY,
    FaultKind.MOTOR,
    FaultKind.DEAD_SENSOR,
    FaultKind.OBSTRUCT,
    FaultKind.STOP,
    FaultKind.SERVER,
    FaultKind.KILL,
    *[FaultKind.GHOST] * 2,
)
SHARES = {
    FaultKind.KILL: 6,
    FaultKind.WIPE: 2,
    FaultKind.BLACKOUT: 1,
    FaultKind.FREEZE: 3,
    FaultKind.CUT: 3,
    FaultKind.ONE_WAY: 2,
    FaultKind.PACKET_LOSS: 4,
    FaultKind.MOTOR: 3,
    FaultKind.OBSTRUCT: 4,
    FaultKind.STOP: 2,
    FaultKind.SERVER: 3,
    FaultKind.DISK: 1,
}


def plan(seed: int, cars: int | None = None, floors: int | None = None) -> Plan:
    """Draw the plan for *seed*.

    By default, *cars* is 1 to 9 and *floors* is 2 to 20, and most groups are small. If neither is given, about one
    group in 50 is larger than that. About one run in 24 has no faults.
    """
    rng = random.Random(seed)
    drawn_cars = rng.choice((1, 2, 3, 3, 3, 3, 4, 4, 5, rng.randint(6, 9)))
    drawn_floors = rng.choice((2, 3, 4, 4, 4, 4, 6, 9, rng.randint(10, 20)))
    size = Size(cars or drawn_cars, floors or drawn_floors, rng.choice((20, 40, 60, 120)) * 1000)
    large = random.Random(f"large {seed}")
    is_large = cars is None and floors is None and large.random() < 1 / 50
    if is_large:
        size = Size(round(10 * 6 ** large.random()), large.randint(9, 32), 20_000)
    every_ms = rng.choice((3000, 6000, 12_000, 25_000))
    count = 0 if rng.random() < 0.1 else size.calm_at_ms // every_ms + 1
    faults = sorted((draw_fault(rng, size) for _ in range(count)), key=lambda fault: fault.at_ms)
    presses = sorted(draw_presses(rng, size), key=lambda press: press.at_ms)
    travel_ms = rng.choice((2000, 2000, 2000, 2000, 1000, 3000, 6000))
    drawn = [each for family in FAMILIES for each in family.draw_from(seed, size, has_faults=count > 0)]
    faults += [each for each in drawn if isinstance(each, InjectedFault)]
    if any(fault.kind is FaultKind.GHOST for fault in faults):  # There is at most one phantom node.
        faults = [fault for fault in faults if fault.kind is not FaultKind.SHIRKER]
    presses += [each for each in drawn if isinstance(each, Press)]
    presses += [press for fault in faults if fault.kind in GHOSTS for press in draw_presses_at_ghost(fault, size)]
    rng = random.Random(f"policy {seed}")
    policy = Policy(rng.choice((*[Assigner.PLAN] * 4, *Assigner)), rng.choice((*[Park.SPREAD] * 2, *Park)))
    is_cramped = random.Random(f"datagrams {seed}").random() < 1 / 10
    passing_ms = random.Random(f"passing {seed}").choice((500, 500, 500, SHORT_MS))
    return Plan(
        seed,
        size.cars,
        size.floors,
        1000 if is_large else travel_ms,
        size.calm_at_ms,
        tuple(draw_details(seed, faults, passing_ms)),
        tuple(presses),
        draw_flow(random.Random(f"traffic {seed}"), seed, size),
        policy=policy,
        room_bytes=2 * (ENTRY_BYTES + 3 * size.floors * PRESS_BYTES) if is_cramped else ROOM_BYTES,
        passing_ms=passing_ms,
        late_ms=random.Random(f"late {seed}").choice((0, 0, 0, LATE_MS)) if count else 0,
    )


def draw_details(seed: int, faults: Iterable[InjectedFault], passing_ms: int) -> Iterator[InjectedFault]:
    """Yield *faults* after drawing details of motor and server faults, and perhaps a point for a freeze without one.

    Also limit the delays of slow servers, so that their cars pass no floor unnoticed.
    """
    details, silences, freezes = (random.Random(f"{name} {seed}") for name in ("details", "silence", "pauses"))
    for fault in faults:
        match fault.kind:
            case FaultKind.MOTOR:
                yield evolve(fault, detail=details.choice((0, 0, 1)))
            case FaultKind.SERVER:
                detail = details.choice((0, 0, details.randint(1, 10)))
                yield evolve(fault, detail=detail, delay_ms=silences.choice((0, FRESH_MS)))
            case FaultKind.FREEZE:
                point = freezes.choice((None, *FREEZE_POINTS))
                yield evolve(fault, point=fault.point or point)
            case FaultKind.SLOW_SERVER:  # A server that takes longer than a car needs to pass a sensor misses floors.
                yield evolve(fault, delay_ms=min(fault.delay_ms, passing_ms - 50))
            case _:
                yield fault


def draw_fault(rng: random.Random, size: Size) -> InjectedFault:
    kind = rng.choices(list(SHARES), list(SHARES.values()))[0]
    at_ms = rng.randint(0, size.calm_at_ms - 1)
    lasts_ms = int(min(100 * 2 ** rng.uniform(0, 8.5), 40_000))
    fault = InjectedFault(kind, at_ms, min(at_ms + lasts_ms, size.calm_at_ms), rng.randrange(size.cars))
    match kind:
        case FaultKind.KILL | FaultKind.WIPE:
            return evolve(fault, detail=rng.randrange(12))
        case FaultKind.CUT:
            side = rng.randrange(1 << size.cars)
            return evolve(fault, target=side if side not in (0, (1 << size.cars) - 1) else 1 << at_ms % size.cars)
        case FaultKind.ONE_WAY:
            return evolve(fault, detail=another(fault.target, rng.randrange(size.cars), size.cars))
        case FaultKind.PACKET_LOSS:
            delay_ms = rng.choice((2, 10, 50, 500))
            return evolve(fault, detail=rng.randint(1, 70), delay_ms=delay_ms, duplicated=rng.choice((0, 10, 50)))
        case _:
            return fault


def draw_presses(rng: random.Random, size: Size) -> Iterable[Press]:
    """Draw random presses. Some passengers press the same button many times."""
    buttons = list(panel_buttons(size.floors))
    gap_ms = rng.choice((700, 2000, 6000, 15_000))
    at_ms = 0
    while (at_ms := at_ms + 1 + int(rng.expovariate(1 / gap_ms))) < size.calm_at_ms:
        panel, (button, floor) = rng.randrange(size.cars), rng.choice(buttons)
        times = rng.randint(5, 40) if rng.random() < 0.03 else 1
        starts = [at_ms + n * rng.randint(210, 600) for n in range(times)]
        yield from (Press(ms, ms + 200, panel, button, floor) for ms in starts if ms < size.calm_at_ms)


def draw_flow(rng: random.Random, seed: int, size: Size) -> PassengerFlow | None:
    """In one run in three, draw simulated passengers (see passengers.py)."""
    if rng.random() > 1 / 3:
        return None
    profile, per_minute = rng.choice(list(Profile)), rng.choice((5, 20, 60))
    return PassengerFlow(seed, size.cars, size.floors, per_minute, until_ms=size.calm_at_ms, profile=profile)


def draw_presses_at_ghost(ghost: InjectedFault, size: Size) -> Iterable[Press]:
    """Draw hall calls at the floor of *ghost*. Other cars leave them to the phantom car there until A2 applies."""
    here = ghost.target % size.floors
    buttons = [button for button, floor in panel_buttons(size.floors) if floor == here and button is not Button.CAB]
    for n, at_ms in enumerate(range(ghost.at_ms + 2000, size.calm_at_ms - 1, 15_000)):
        for button in buttons:
            yield Press(at_ms, min(at_ms + 200, size.calm_at_ms), n % size.cars, button, here)


# Families of faults


def draw_lasting(rng: random.Random, size: Size) -> Iterable[InjectedFault]:
    """Draw a permanent fault of one car or node, a ghost, or 1 to 3 permanent one-way links. A single car gets none."""
    if size.cars == 1:
        return []
    kind = rng.choice(LASTING)
    times = rng.randint(1, 3) if kind is FaultKind.ONE_WAY else 1
    at_ms = rng.randrange(size.calm_at_ms)
    pairs = [(rng.randrange(size.cars), rng.randrange(size.cars)) for _ in range(times)]
    return [InjectedFault(kind, at_ms, NEVER_MS, who, detail=another(who, whom, size.cars)) for who, whom in pairs]


def another(node: int, drawn: int, cars: int) -> int:
    """Return *drawn*, or the next node (modulo *cars*) if *drawn* equals *node*."""
    return drawn if drawn != node else (drawn + 1) % cars


def draw_misconfigured(rng: random.Random, size: Size) -> Iterable[InjectedFault | Press]:
    """Draw a misconfigured node and presses on its panel. The node joins with an empty disk."""
    at_ms, until_ms = sorted(rng.sample(range(size.calm_at_ms + 1), 2))
    floors = size.floors
    if rng.random() < 0.7:
        yield InjectedFault(FaultKind.DUPLICATE_ID, at_ms, until_ms, rng.randrange(size.cars))
    else:
        many = 21 if floors != 21 else 22
        node_id, floors = rng.randrange(size.cars + 1), rng.choice((floors - 1 if floors > 2 else 3, many))
        yield InjectedFault(FaultKind.OTHER_FLOORS, at_ms, until_ms, node_id, detail=floors)
    buttons = list(panel_buttons(floors))
    while (at_ms := at_ms + 1 + int(rng.expovariate(1 / 4000))) < until_ms:
        yield Press(at_ms, at_ms + 200, size.cars, *rng.choice(buttons))


def draw_processes(rng: random.Random, size: Size) -> Iterable[InjectedFault]:
    """Draw faults of processes and disks, about two per minute."""
    return [each for _ in range(rng.randint(0, size.calm_at_ms // 15_000)) for each in draw_process(rng, size)]


def draw_process(rng: random.Random, size: Size) -> Iterable[InjectedFault]:
    kind = rng.choice((*[FaultKind.CRASH] * 3, FaultKind.FREEZE, FaultKind.SLOW_DISK, FaultKind.WIPE))
    calm_at_ms = size.calm_at_ms
    at_ms, who, take_over_ms = rng.randrange(calm_at_ms), rng.randrange(size.cars), rng.randint(*TAKE_OVER_MS)
    fault = InjectedFault(kind, at_ms, min(at_ms + CRASH_MS, calm_at_ms), who)
    match kind:
        case FaultKind.CRASH:
            return [evolve(fault, detail=rng.randrange(6), delay_ms=take_over_ms)]
        case FaultKind.FREEZE:  # A worker hangs until its supervisor kills it.
            killed_ms = min(at_ms + HUNG_MS, calm_at_ms - 2)
            crash = evolve(fault, kind=FaultKind.CRASH, at_ms=killed_ms, delay_ms=take_over_ms)
            return [evolve(fault, until_ms=killed_ms + 1), crash] if at_ms < killed_ms else []
        case FaultKind.SLOW_DISK:
            until_ms = min(at_ms + rng.randint(1000, 30_000), calm_at_ms)
            return [evolve(fault, until_ms=until_ms, delay_ms=rng.choice((100, 300, 1000, 4000)))]
        case _:
            until_ms = min(at_ms + rng.randint(100, 20_000), calm_at_ms)
            return [evolve(fault, until_ms=until_ms, detail=rng.randrange(12))]


def draw_attack(rng: random.Random, size: Size) -> Iterable[InjectedFault]:
    at_ms, until_ms = sorted(rng.sample(range(size.calm_at_ms + 1), 2))
    return [InjectedFault(FaultKind.ATTACK, at_ms, until_ms, 0, detail=rng.randrange(2))]


def draw_glitches(rng: random.Random, size: Size) -> Iterable[InjectedFault]:
    """Draw impossible floor reports, about one every 4 s. Each ends before the next begins."""
    for every_ms in range(0, size.calm_at_ms, 4000):
        at_ms = every_ms + rng.randrange(3800)
        yield InjectedFault(FaultKind.FALSE_FLOOR, at_ms, at_ms + rng.randint(*GLITCH_MS), rng.randrange(size.cars))


def draw_times(rng: random.Random, size: Size, shortest_ms: int, longest_ms: int) -> list[tuple[int, int]]:
    """Draw the times of 1 to 3 faults: when each begins and ends. They may overlap."""
    starts = [rng.randrange(size.calm_at_ms) for _ in range(rng.randint(1, 3))]
    return [(at_ms, min(at_ms + rng.randint(shortest_ms, longest_ms), size.calm_at_ms)) for at_ms in starts]


def draw_lags(rng: random.Random, size: Size) -> Iterable[InjectedFault]:
    """Draw 1 to 3 slow elevator servers. Each answers before its client declares it lost."""
    for times in draw_times(rng, size, 2000, 20_000):
        who, delay_ms = rng.randrange(size.cars), rng.choice((50, 400, 400))
        yield InjectedFault(FaultKind.SLOW_SERVER, *times, who, delay_ms=delay_ms)


def draw_sensors(rng: random.Random, size: Size) -> Iterable[InjectedFault]:
    """Draw 1 to 3 dead floor sensors."""
    times = draw_times(rng, size, 200, 12_000)
    return [InjectedFault(FaultKind.DEAD_SENSOR, *each, rng.randrange(size.cars)) for each in times]


def draw_recorders(rng: random.Random, size: Size) -> Iterable[InjectedFault]:
    """Draw 1 to 6 kills of recorder processes."""
    times = [rng.randrange(size.calm_at_ms) for _ in range(rng.randint(1, 6))]
    return [InjectedFault(FaultKind.RECORDER, at_ms, at_ms + 1, rng.randrange(size.cars)) for at_ms in times]


class Family(NamedTuple):
    """A family of faults. Some families draw presses too."""

    name: str
    draw: Callable[[random.Random, Size], Iterable[InjectedFault | Press]]
    chance: float | None = None
    """The probability that the family occurs in a run where it may occur; None if `draw` decides."""
    is_independent: bool = False
    """True if the family may also occur in runs without faults from `draw_fault`."""

    def draw_from(self, seed: int, size: Size, has_faults: bool) -> Iterable[InjectedFault | Press]:
        """Draw the family's faults and presses for *seed*. *has_faults* is true if `draw_fault` has drawn any."""
        rng = random.Random(f"{self.name} {seed}")
        if not (has_faults or self.is_independent) or (self.chance is not None and rng.random() > self.chance):
            return ()
        return self.draw(rng, size)


FAMILIES = (
    Family("lasting", draw_lasting, 0.3, is_independent=True),
    Family("stranger", draw_misconfigured, 1 / 6, is_independent=True),
    Family("processes", draw_processes),
    Family("rare", draw_rare, is_independent=True),
    Family("attack", draw_attack, 1 / 4, is_independent=True),
    Family("glitch", draw_glitches, 1 / 4),
    Family("long", draw_long),
    Family("lag", draw_lags, 1 / 3),
    Family("sensor", draw_sensors, 1 / 8),
    Family("storm", draw_storm, 1 / 8),
    Family("recorder", draw_recorders, 1 / 3),
)
