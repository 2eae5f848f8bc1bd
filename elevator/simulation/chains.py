"""Draws sequences of faults and presses that would hardly ever occur by chance."""

import random
from collections.abc import Iterable

from elevator.core.evolve import evolve
from elevator.core.model import NEVER_MS, Button
from elevator.hardware.panel_outputs import panel_buttons
from elevator.simulation.faults import FaultKind, InjectedFault, Point, Press

STORM = (
    *[FaultKind.FREEZE] * 3,
    *[FaultKind.SERVER] * 2,
    *[FaultKind.OBSTRUCT] * 2,
    FaultKind.KILL,
    FaultKind.CRASH,
    FaultKind.SLOW_SERVER,
    FaultKind.SLOW_DISK,
    FaultKind.DISK,
    FaultKind.DEAD_SENSOR,
    FaultKind.STOP,
    FaultKind.MOTOR,
)
"""The kinds of faults in a storm. A kind that is listed more often is drawn more often."""


def draw_storm(rng: random.Random, cars: int, floors: int, calm_at_ms: int) -> tuple[list[InjectedFault], list[Press]]:
    """In 1 of 8 runs, draw a storm: many overlapping faults of one car within seconds. In the others, draw nothing."""
    if rng.random() > 1 / 8:
        return [], []
    who, buttons, start_ms = rng.randrange(cars), list(panel_buttons(floors)), rng.randint(2000, calm_at_ms - 15_000)
    faults = []
    for _ in range(rng.randint(4, 12)):
        kind, at_ms = rng.choice(STORM), start_ms + rng.randrange(12_000)
        lasts_ms = rng.choice((150, 400, 700, 1500, 4000))
        fault = InjectedFault(kind, at_ms, min(at_ms + lasts_ms, calm_at_ms), who)
        match kind:
            case FaultKind.KILL | FaultKind.CRASH:
                fault = evolve(fault, point=rng.choice((None, *Point)), delay_ms=30)
            case FaultKind.SLOW_SERVER | FaultKind.SLOW_DISK:
                fault = evolve(fault, delay_ms=rng.choice((50, 400)))
            case _:
                pass
        faults.append(fault)
    times = (start_ms + rng.randrange(12_000) for _ in range(rng.randint(4, 15)))
    return faults, [Press(at_ms, at_ms + 200, rng.randrange(cars), *rng.choice(buttons)) for at_ms in times]


def draw_rare(rng: random.Random, cars: int, floors: int, calm_at_ms: int) -> tuple[list[InjectedFault], list[Press]]:
    """In 1 of 6 runs, draw faults and presses that do harm only after a long time or many events."""
    buttons, who = list(panel_buttons(floors)), rng.randrange(cars)
    rare = rng.choices(("crash loop", "hammer", "shirker", ""), (5, 5, 6, 84))[0]
    if rare == "crash loop":  # More incarnations than a node remembers, with calls that cannot be served meanwhile.
        starts = [4000 + n * rng.randint(700, 800) for n in range(rng.randint(12, 18))]
        faults = [InjectedFault(FaultKind.KILL, at_ms, at_ms + rng.randint(20, 300), who) for at_ms in starts]
        if rng.random() < 0.6:  # The node is cut off, so no other node learns of these calls.
            faults.append(InjectedFault(FaultKind.CUT, 3000, starts[-1] + 2000, 1 << who))
        times = (at_ms + rng.randint(310, 400) for at_ms in starts)
        return faults, [Press(at_ms, at_ms + 200, who, *rng.choice(buttons)) for at_ms in times]
    if rare == "hammer" and floors > 2 and calm_at_ms >= 60_000:  # Repeated presses keep a car at a floor.
        button, floor = rng.choice(((Button.UP, 0), (Button.DOWN, floors - 1)))
        held = [Press(at_ms, at_ms + 200, who, button, floor) for at_ms in range(1000, calm_at_ms - 1000, 400)]
        boarded_ms = range(1500, calm_at_ms - 10_000, 7000)
        waiting = [Press(at_ms, at_ms + 200, car, Button.CAB, 1) for at_ms in boarded_ms for car in range(cars)]
        return [], [*held, *waiting]
    if rare == "shirker" and cars > 1:
        return [InjectedFault(FaultKind.SHIRKER, rng.randrange(calm_at_ms // 2), NEVER_MS, rng.randrange(floors))], []
    return [], []


def draw_long(rng: random.Random, cars: int, floors: int, calm_at_ms: int) -> tuple[list[InjectedFault], list[Press]]:
    """In 3 of 10 runs, draw a sequence of related faults of one node."""
    who, at_ms, buttons = rng.randrange(cars), rng.randint(4000, calm_at_ms - 15_000), list(panel_buttons(floors))
    chain = rng.choices(("slow disk", "unread", "wiped", "frozen", "mute", "lossy", ""), (5, 5, 5, 5, 5, 5, 70))[0]

    def presses(times: Iterable[int]) -> list[Press]:
        return [Press(at_ms, at_ms + 200, who, *rng.choice(buttons)) for at_ms in times]

    if chain == "slow disk":  # The program is killed repeatedly before its disk has stored anything.
        ends = [at_ms + n * rng.randint(2200, 2600) for n in range(1, 5)]
        deaths = [InjectedFault(FaultKind.KILL, end_ms, end_ms + 50, who) for end_ms in ends]
        slow = InjectedFault(FaultKind.SLOW_DISK, at_ms, ends[-1] + 2000, who, delay_ms=4000)
        return [slow, *deaths], presses(end_ms + late_ms for end_ms in ends for late_ms in (1400, 1700))
    if chain == "unread":  # The only copy of some calls is on a disk that cannot be read at startup.
        cut = InjectedFault(FaultKind.CUT, at_ms, at_ms + 9000, 1 << who)
        disk = InjectedFault(FaultKind.DISK, at_ms + 3500, at_ms + 5500, who)
        kill = InjectedFault(FaultKind.KILL, at_ms + 3600, at_ms + 4000, who)
        # In 1 of 4 cases the program is killed again before it processes the record that was read late.
        stops = [
            InjectedFault(FaultKind.FREEZE, at_ms + 5200, at_ms + 9000, who),
            InjectedFault(FaultKind.KILL, at_ms + 7000, at_ms + 9100, who),
        ]
        stops = stops if rng.random() > 0.75 else []
        return [cut, disk, kill, *stops], presses([at_ms + 3000, at_ms + 3010])
    if chain == "wiped":  # More incarnations than the peers remember, each unaware of its predecessor.
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
        # A press at the start of the freeze sets the car in motion in the very turn that is frozen.
        return stops, presses(start_ms + rng.choice((-500, 5)) for start_ms in starts)
    if chain == "mute":  # A node hears the others but they do not hear it, or vice versa.
        links = [(other, who) for other in range(cars) if other != who]
        links = links if rng.random() < 0.7 else [(hearer, speaker) for speaker, hearer in links]
        until_ms = min(at_ms + 30_000, calm_at_ms)
        cuts = [InjectedFault(FaultKind.ONE_WAY, at_ms, until_ms, hearer, detail=speaker) for hearer, speaker in links]
        return cuts, presses(range(at_ms + 1000, until_ms, 2000))
    if chain == "lossy":
        return [
            InjectedFault(FaultKind.PACKET_LOSS, at_ms, at_ms + 15_000, 0, detail=rng.randint(55, 70), delay_ms=10)
        ], []
    return [], []
