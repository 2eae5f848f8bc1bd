"""Draws a plan from a seed: the group, its building, its faults and its passengers.

Each family of faults has its own random generator, seeded by the family's name and the seed. So a new family does not
change the other faults of a seed. chains.py draws sequences of faults that would hardly ever occur by chance.
"""

import random
from collections.abc import Iterable

from elevator.building.passengers import PassengerFlow, Profile
from elevator.core.evolve import evolve
from elevator.core.model import NEVER_MS, Assigner, Button, Park, Policy
from elevator.core.outgoing import ENTRY_BYTES, PRESS_BYTES, ROOM_BYTES
from elevator.hardware.panel_client import FRESH_MS
from elevator.hardware.panel_outputs import panel_buttons
from elevator.simulation.chains import draw_long, draw_rare, draw_storm
from elevator.simulation.faults import GHOSTS, FaultKind, InjectedFault, Plan, Point, Press

LATE_MS = 9
PAUSES = (*[Point.BEFORE_HARDWARE] * 4, *(point for point in Point if point is not Point.AFTER_RECORD))
"""The points of a turn at which a program can be frozen. BEFORE_HARDWARE is drawn most often: a program that
resumes there is about to act on stale inputs. AFTER_RECORD is excluded, because no fault freezes the recorder."""
SHORT_MS = 200
"""How long a passing car activates a floor sensor with a short zone."""
CRASH_MS = 1000
"""The duration of a CRASH fault, long enough for the worker to reach the point at which it crashes."""
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

    By default, *cars* is 1 to 9 and *floors* is 2 to 20, mostly small. About 1 group in 50 is larger. About 1 run in 18
    has no faults.
    """
    rng = random.Random(seed)
    drawn_cars = rng.choice((1, 2, 3, 3, 3, 3, 4, 4, 5, rng.randint(6, 9)))
    drawn_floors = rng.choice((2, 3, 4, 4, 4, 4, 6, 9, rng.randint(10, 20)))
    large = random.Random(f"large {seed}")
    is_large = cars is None and floors is None and large.random() < 1 / 50
    cars, floors = cars or drawn_cars, floors or drawn_floors
    calm_at_ms = rng.choice((20, 40, 60, 120)) * 1000
    if is_large:
        cars, floors, calm_at_ms = round(10 * 6 ** large.random()), large.randint(9, 32), 20_000
    every_ms = rng.choice((3000, 6000, 12_000, 25_000))
    count = 0 if rng.random() < 0.1 else calm_at_ms // every_ms + 1
    lasting = draw_lasting(random.Random(f"lasting {seed}"), cars, calm_at_ms)
    faults = sorted((draw_fault(rng, cars, calm_at_ms) for _ in range(count)), key=lambda fault: fault.at_ms)
    presses = sorted(draw_presses(rng, cars, floors, calm_at_ms), key=lambda press: press.at_ms)
    travel_ms = rng.choice((2000, 2000, 2000, 2000, 1000, 3000, 6000))
    travel_ms = 1000 if is_large else travel_ms
    misconfigured = draw_misconfigured(rng := random.Random(f"stranger {seed}"), cars, floors, calm_at_ms)
    on_misconfigured = [
        press for fault in misconfigured for press in draw_presses_on_misconfigured(rng, cars, floors, fault)
    ]
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
    recorders = draw_recorders(random.Random(f"recorder {seed}"), cars, calm_at_ms) if faults else []
    whole = (*faults, *lasting, *misconfigured, *processes, *rare, *attacks, *glitches, *long, *lags, *sensors, *storm)
    whole = (*whole, *recorders)
    rng = random.Random(f"policy {seed}")
    policy = Policy(rng.choice((*[Assigner.PLAN] * 4, *Assigner)), rng.choice((*[Park.SPREAD] * 2, *Park)))
    traffic = draw_traffic(random.Random(f"traffic {seed}"), seed, cars, floors, calm_at_ms)
    ghosts = [fault for fault in whole if fault.kind in GHOSTS]
    at_ghosts = [press for ghost in ghosts for press in draw_presses_at_ghost(ghost, cars, floors, calm_at_ms)]
    pressed = (*presses, *on_misconfigured, *rare_presses, *long_presses, *storm_presses, *at_ghosts)
    is_cramped = random.Random(f"datagrams {seed}").random() < 1 / 10
    room_bytes = 2 * (ENTRY_BYTES + 3 * floors * PRESS_BYTES) if is_cramped else ROOM_BYTES
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
    # A server that takes longer than a car needs to pass a sensor would miss floors.
    longest_ms = passing_ms - 50
    whole = tuple(
        evolve(f, delay_ms=min(f.delay_ms, longest_ms)) if f.kind is FaultKind.SLOW_SERVER else f for f in whole
    )
    run = Plan(seed, cars, floors, travel_ms, calm_at_ms, whole, pressed, traffic, (), policy, room_bytes)
    return evolve(run, passing_ms=passing_ms, late_ms=late_ms)


def draw_detail(rng: random.Random, fault: InjectedFault) -> int:
    """Draw `detail` for a MOTOR or SERVER fault (0 in 2 of 3 cases). Keep the `detail` of other faults."""
    match fault.kind:
        case FaultKind.MOTOR:
            return rng.choice((0, 0, 1))
        case FaultKind.SERVER:
            return rng.choice((0, 0, rng.randint(1, 10)))
        case _:
            return fault.detail


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
            return evolve(fault, target=side if side not in (0, (1 << cars) - 1) else 1 << at_ms % cars)
        case FaultKind.ONE_WAY:
            return evolve(fault, detail=another(fault.target, rng.randrange(cars), cars))
        case FaultKind.PACKET_LOSS:
            delay_ms = rng.choice((2, 10, 50, 500))
            return evolve(fault, detail=rng.randint(1, 70), delay_ms=delay_ms, duplicated=rng.choice((0, 10, 50)))
        case _:
            return fault


def draw_processes(rng: random.Random, cars: int, calm_at_ms: int) -> list[InjectedFault]:
    """Draw faults of processes and disks, about two per minute."""
    return [each for _ in range(rng.randint(0, calm_at_ms // 15_000)) for each in draw_process(rng, cars, calm_at_ms)]


def draw_process(rng: random.Random, cars: int, calm_at_ms: int) -> list[InjectedFault]:
    kind = rng.choice((*[FaultKind.CRASH] * 3, FaultKind.FREEZE, FaultKind.SLOW_DISK, FaultKind.WIPE))
    at_ms, who, take_over_ms = rng.randrange(calm_at_ms), rng.randrange(cars), rng.randint(*TAKE_OVER_MS)
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


def draw_lasting(rng: random.Random, cars: int, calm_at_ms: int) -> list[InjectedFault]:
    """In 3 of 10 runs with several cars, draw permanent faults: one faulty node, one ghost or 1 to 3 one-way links."""
    if cars == 1 or rng.random() > 0.3:
        return []
    kind = rng.choice(LASTING)
    times = rng.randint(1, 3) if kind is FaultKind.ONE_WAY else 1
    at_ms = rng.randrange(calm_at_ms)
    pairs = [(rng.randrange(cars), rng.randrange(cars)) for _ in range(times)]
    return [InjectedFault(kind, at_ms, NEVER_MS, who, detail=another(who, whom, cars)) for who, whom in pairs]


def another(node: int, drawn: int, cars: int) -> int:
    """Return *drawn*, or the next node if *drawn* equals *node*."""
    return drawn if drawn != node else (drawn + 1) % cars


def draw_misconfigured(rng: random.Random, cars: int, floors: int, calm_at_ms: int) -> list[InjectedFault]:
    """In 1 of 6 runs, draw a misconfigured node. Its disk is empty when it joins, and is removed with it."""
    if rng.random() > 1 / 6:
        return []
    at_ms, until_ms = sorted(rng.sample(range(calm_at_ms + 1), 2))
    if rng.random() < 0.7:
        return [InjectedFault(FaultKind.DUPLICATE_ID, at_ms, until_ms, rng.randrange(cars))]
    return [
        InjectedFault(
            FaultKind.OTHER_FLOORS,
            at_ms,
            until_ms,
            rng.randrange(cars + 1),
            detail=rng.choice((floors - 1 if floors > 2 else 3, 21)),
        )
    ]


def draw_presses_on_misconfigured(rng: random.Random, cars: int, floors: int, node: InjectedFault) -> Iterable[Press]:
    """Draw the presses on the panel of a misconfigured node."""
    buttons = list(panel_buttons(node.detail or floors))
    at_ms = node.at_ms
    while (at_ms := at_ms + 1 + int(rng.expovariate(1 / 4000))) < node.until_ms:
        yield Press(at_ms, at_ms + 200, cars, *rng.choice(buttons))


def draw_traffic(rng: random.Random, seed: int, cars: int, floors: int, calm_at_ms: int) -> PassengerFlow | None:
    """In 1 of 3 runs, draw simulated passengers (see passengers.py)."""
    if rng.random() > 1 / 3:
        return None
    profile, per_minute = rng.choice(list(Profile)), rng.choice((5, 20, 60))
    return PassengerFlow(seed, cars, floors, per_minute, until_ms=calm_at_ms, profile=profile)


def draw_attacks(rng: random.Random, calm_at_ms: int) -> list[InjectedFault]:
    """In 1 of 4 runs, draw one ATTACK fault."""
    if rng.random() > 1 / 4:
        return []
    at_ms, until_ms = sorted(rng.sample(range(calm_at_ms + 1), 2))
    return [InjectedFault(FaultKind.ATTACK, at_ms, until_ms, 0, detail=rng.randrange(2))]


def draw_glitches(rng: random.Random, cars: int, calm_at_ms: int) -> list[InjectedFault]:
    """In 1 of 4 runs, draw impossible floor reports, about one every 4 s."""
    if rng.random() > 1 / 4:
        return []
    starts = (
        every_ms + rng.randrange(3800) for every_ms in range(0, calm_at_ms, 4000)
    )  # Each report ends before the next begins.
    return [
        InjectedFault(FaultKind.FALSE_FLOOR, at_ms, at_ms + rng.randint(*GLITCH_MS), rng.randrange(cars))
        for at_ms in starts
    ]


def draw_sensors(rng: random.Random, cars: int, calm_at_ms: int) -> list[InjectedFault]:
    """In 1 of 8 runs, draw 1 to 3 dead floor sensors."""
    if rng.random() > 1 / 8:
        return []
    starts = [rng.randrange(calm_at_ms) for _ in range(rng.randint(1, 3))]
    ends = [min(at_ms + rng.randint(200, 12_000), calm_at_ms) for at_ms in starts]
    return [InjectedFault(FaultKind.DEAD_SENSOR, *each, rng.randrange(cars)) for each in zip(starts, ends, strict=True)]


def draw_recorders(rng: random.Random, cars: int, calm_at_ms: int) -> list[InjectedFault]:
    """In 1 of 3 runs, draw 1 to 6 kills of recorder processes."""
    if rng.random() > 1 / 3:
        return []
    times = [rng.randrange(calm_at_ms) for _ in range(rng.randint(1, 6))]
    return [InjectedFault(FaultKind.RECORDER, at_ms, at_ms + 1, rng.randrange(cars)) for at_ms in times]


def draw_lags(rng: random.Random, cars: int, calm_at_ms: int) -> list[InjectedFault]:
    """In 1 of 3 runs, draw 1 to 3 slow elevator servers. Each answers before its client declares it lost."""
    if rng.random() > 1 / 3:
        return []
    starts = [rng.randrange(calm_at_ms) for _ in range(rng.randint(1, 3))]
    ends = [min(at_ms + rng.randint(2000, 20_000), calm_at_ms) for at_ms in starts]
    times = zip(starts, ends, strict=True)
    return [
        InjectedFault(FaultKind.SLOW_SERVER, *each, rng.randrange(cars), delay_ms=rng.choice((50, 400, 400)))
        for each in times
    ]


def draw_presses_at_ghost(ghost: InjectedFault, cars: int, floors: int, calm_at_ms: int) -> Iterable[Press]:
    """Draw hall calls at the floor of *ghost*. No other car comes, because the ghost's car seems to be there."""
    here = ghost.target % floors
    buttons = [button for button, floor in panel_buttons(floors) if floor == here and button is not Button.CAB]
    for n, at_ms in enumerate(range(ghost.at_ms + 2000, calm_at_ms - 1, 15_000)):
        for button in buttons:
            yield Press(at_ms, min(at_ms + 200, calm_at_ms), n % cars, button, here)


def draw_presses(rng: random.Random, cars: int, floors: int, calm_at_ms: int) -> Iterable[Press]:
    """Draw random presses. Some passengers press the same button many times."""
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
