"""Draws combinations of faults and presses that independent draws would hardly ever produce."""

import random
from collections.abc import Iterable
from typing import NamedTuple

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


class Size(NamedTuple):
    """The size of a run: its numbers of cars and floors, and the time by which its temporary faults have ended."""

    cars: int
    floors: int
    calm_at_ms: int


def draw_presses_at(rng: random.Random, size: Size, who: int | None, times: Iterable[int]) -> list[Press]:
    """Draw a press at each of *times* on the panel of car *who*. If *who* is None, draw a car for each press."""
    buttons = list(panel_buttons(size.floors))
    return [
        Press(at_ms, at_ms + 200, rng.randrange(size.cars) if who is None else who, *rng.choice(buttons))
        for at_ms in times
    ]


def draw_storm(rng: random.Random, size: Size) -> Iterable[InjectedFault | Press]:
    """Draw a storm: 4 to 12 faults of one node that begin within 12 s and may overlap, and presses on random panels."""
    who, start_ms = rng.randrange(size.cars), rng.randint(2000, size.calm_at_ms - 15_000)
    for _ in range(rng.randint(4, 12)):
        kind, at_ms = rng.choice(STORM), start_ms + rng.randrange(12_000)
        lasts_ms = rng.choice((150, 400, 700, 1500, 4000))
        fault = InjectedFault(kind, at_ms, min(at_ms + lasts_ms, size.calm_at_ms), who)
        match kind:
            case FaultKind.KILL | FaultKind.CRASH:
                yield evolve(fault, point=rng.choice((None, *Point)), delay_ms=30)
            case FaultKind.SLOW_SERVER | FaultKind.SLOW_DISK:
                yield evolve(fault, delay_ms=rng.choice((50, 400)))
            case _:
                yield fault
    times = (start_ms + rng.randrange(12_000) for _ in range(rng.randint(4, 15)))
    yield from draw_presses_at(rng, size, None, times)


def draw_rare(rng: random.Random, size: Size) -> Iterable[InjectedFault | Press]:
    """In about one run in eight, draw faults or presses that do harm only after a long time or many events."""
    cars, floors, calm_at_ms = size
    who = rng.randrange(cars)
    match rng.choices(("crash loop", "hammer", "shirker", ""), (5, 5, 6, 84))[0]:
        case "crash loop":  # More incarnations than a node remembers, with calls that this car has no time to serve.
            starts = [4000 + n * rng.randint(700, 800) for n in range(rng.randint(12, 18))]
            yield from [InjectedFault(FaultKind.KILL, at_ms, at_ms + rng.randint(20, 300), who) for at_ms in starts]
            if rng.random() < 0.6:  # The node is cut off, so no other node learns of these calls.
                yield InjectedFault(FaultKind.CUT, 3000, starts[-1] + 2000, 1 << who)
            yield from draw_presses_at(rng, size, who, (at_ms + rng.randint(310, 400) for at_ms in starts))
        case "hammer" if floors > 2 and calm_at_ms >= 60_000:  # Repeated presses keep a car at a floor.
            button, floor = rng.choice(((Button.UP, 0), (Button.DOWN, floors - 1)))
            yield from [Press(at_ms, at_ms + 200, who, button, floor) for at_ms in range(1000, calm_at_ms - 1000, 400)]
            boarded_ms = range(1500, calm_at_ms - 10_000, 7000)
            yield from [Press(at_ms, at_ms + 200, car, Button.CAB, 1) for at_ms in boarded_ms for car in range(cars)]
        case "shirker" if cars > 1:
            yield InjectedFault(FaultKind.SHIRKER, rng.randrange(calm_at_ms // 2), NEVER_MS, rng.randrange(floors))


def draw_long(rng: random.Random, size: Size) -> Iterable[InjectedFault | Press]:
    """In three of ten cases, draw heavy packet loss, or related faults of one node and presses on its panel.

    plans.py calls this function only for runs with faults from `draw_fault`.
    """
    who, at_ms = rng.randrange(size.cars), rng.randint(4000, size.calm_at_ms - 15_000)
    times: Iterable[int] = ()
    match rng.choices(("slow disk", "unread", "wiped", "frozen", "mute", "lossy", ""), (5, 5, 5, 5, 5, 5, 70))[0]:
        case "slow disk":  # The program is killed repeatedly, often before its disk has stored anything.
            ends = [at_ms + n * rng.randint(2200, 2600) for n in range(1, 5)]
            yield InjectedFault(FaultKind.SLOW_DISK, at_ms, ends[-1] + 2000, who, delay_ms=4000)
            yield from [InjectedFault(FaultKind.KILL, end_ms, end_ms + 50, who) for end_ms in ends]
            times = [end_ms + late_ms for end_ms in ends for late_ms in (1400, 1700)]
        case "unread":  # The only copy of some calls is on a disk that cannot be read at startup.
            yield InjectedFault(FaultKind.CUT, at_ms, at_ms + 9000, 1 << who)
            yield InjectedFault(FaultKind.DISK, at_ms + 3500, at_ms + 5500, who)
            yield InjectedFault(FaultKind.KILL, at_ms + 3600, at_ms + 4000, who)
            if rng.random() > 0.75:  # The program is killed again before it processes the record that was read late.
                yield InjectedFault(FaultKind.FREEZE, at_ms + 5200, at_ms + 9000, who)
                yield InjectedFault(FaultKind.KILL, at_ms + 7000, at_ms + 9100, who)
            times = [at_ms + 3000, at_ms + 3010]
        case "wiped":  # More incarnations than the peers remember, each started without a record.
            starts = [at_ms + n * rng.randint(650, 700) for n in range(rng.randint(11, 14))]
            yield from [InjectedFault(FaultKind.WIPE, start_ms, start_ms + 20, who) for start_ms in starts]
            times = [start_ms + 400 for start_ms in (*starts, starts[-1] + 3000)]
        case "frozen":
            starts = [at_ms + n * rng.randint(2000, 2500) for n in range(5)]
            points = (None, Point.BEFORE_HARDWARE)
            ends = [start_ms + rng.randint(100, 1500) for start_ms in starts]
            for both in zip(starts, ends, strict=True):
                yield InjectedFault(FaultKind.FREEZE, *both, who, point=rng.choice(points))
            # A press at the start of the freeze sets the car in motion in the very turn that is frozen.
            times = (start_ms + rng.choice((-500, 5)) for start_ms in starts)
        case "mute":  # A node hears the others but they do not hear it, or vice versa.
            is_unheard = rng.random() < 0.7
            until_ms = min(at_ms + 30_000, size.calm_at_ms)
            for other in range(size.cars):
                if other != who:
                    hearer, speaker = (other, who) if is_unheard else (who, other)
                    yield InjectedFault(FaultKind.ONE_WAY, at_ms, until_ms, hearer, detail=speaker)
            times = range(at_ms + 1000, until_ms, 2000)
        case "lossy":
            loss = rng.randint(55, 70)
            yield InjectedFault(FaultKind.PACKET_LOSS, at_ms, at_ms + 15_000, 0, detail=loss, delay_ms=10)
        case _:
            pass
    yield from draw_presses_at(rng, size, who, times)
