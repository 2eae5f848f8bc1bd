"""Tests of a healthy group: lamps on all panels, passengers, and the resources that an idle group uses."""

import os
from functools import partial
from pathlib import Path

from elevator.building.elevators import EventKind, buttons
from elevator.building.passengers import Profile
from elevator.core.call_set import mask
from elevator.core.model import Button, bits
from elevator.exam.bench import Bench, ExamTest
from elevator.exam.results import Level
from elevator.exam.tests_single import FINGER_S, LAMP_S

REST_S = 10
PASSENGERS_S = 60
PASSENGERS_PER_MINUTE = 4
"""How many passengers arrive per minute for each car of the group."""


def lamps(bench: Bench) -> None:
    """Press every hall button once, on alternating panels. After every third press, wait until all calls are served."""
    bench.start()
    exist = buttons(bench.floors)
    calls = [(button, floor) for button in (Button.UP, Button.DOWN) for floor in bits(mask(exist, button))]
    bench.rng.shuffle(calls)
    panels = list(range(bench.cars))
    for begin in range(0, len(calls), 3):
        for number, (button, floor) in enumerate(calls[begin : begin + 3]):
            bench.expect_lit(bench.press((begin + number) % bench.cars, button, floor), panels, LAMP_S)
            bench.run(FINGER_S)
        if not bench.expect_all_served():
            return


def cab(bench: Bench) -> None:
    """Press cab buttons in each car. Meanwhile, the judge checks that no other panel shows them."""
    bench.start()
    for car in range(bench.cars):
        for floor in bench.rng.sample(bench.vacant_floors([car]), 2):
            bench.expect_lit(bench.press(car, Button.CAB, floor), [car], LAMP_S)
    bench.expect_all_served()


def passengers(profile: Profile, bench: Bench) -> None:
    """Let passengers arrive for a minute, and measure how long they wait."""
    bench.start()
    began_ms = bench.now_ms
    tally = bench.carry(profile, PASSENGERS_PER_MINUTE * bench.cars, PASSENGERS_S)
    bench.add_figure("passengers served", tally.served, "")
    bench.add_figure("mean wait", round(tally.mean_wait_ms / 1000, 1), "s")
    bench.add_figure("longest wait", round(tally.longest_wait_ms / 1000, 1), "s")
    bench.add_figure("motor starts", sum(1 for event in bench.since(began_ms, EventKind.MOTOR) if event.value), "")
    bench.expect_all_served()


def rest(bench: Bench) -> None:
    """Measure what an idle group uses, and check that no lamp lights and no door opens."""
    bench.start()
    bench.run(5)
    began_ms, ticks = bench.now_ms, _ticks(bench)
    sent = [] if bench.switch is None else list(bench.switch.sent_bytes)
    bench.run(REST_S)
    seconds = (bench.now_ms - began_ms) / 1000
    used = (_ticks(bench) - ticks) / os.sysconf("SC_CLK_TCK") / seconds / bench.cars
    bench.add_figure("processor of each controller", round(100 * used, 1), "% of a core")
    bench.add_figure("memory of each controller", round(_resident_bytes(bench) / bench.cars / 1e6), "MB")
    if bench.switch is not None:
        total = sum(bench.switch.sent_bytes) - sum(sent)
        bench.add_figure("network use of each controller", round(total / seconds / bench.cars / 1000, 1), "kB/s")
    moved = bench.since(began_ms, EventKind.LAMP) + bench.since(began_ms, EventKind.DOOR)
    bench.check(
        not moved,
        "G6",
        Level.MUST,
        "without a call, no lamp lights and no door opens",
        f"{len(moved)} lamps and doors changed" if moved else "nothing changed",
    )


def _ticks(bench: Bench) -> int:
    """Return the processor time of all controllers so far, in clock ticks."""
    total = 0
    for pid in _pids(bench):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # The process has ended.
            continue
        total += int(fields[11]) + int(fields[12])
    return total


def _resident_bytes(bench: Bench) -> int:
    total = 0
    for pid in _pids(bench):
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:  # The process has ended.
            continue
    return total


def _pids(bench: Bench) -> list[int]:
    return [pid for car in range(bench.cars) for pid in bench.controllers.pids(car)]


TESTS = (
    ExamTest("lamps", "Hall lamps light on all panels and go dark when served", lamps, seconds=45),
    ExamTest("cab", "Cab lamps light only on their own panel", cab, seconds=30),
    ExamTest("uppeak", "Passengers: up-peak", partial(passengers, Profile.UP), seconds=110),
    ExamTest("downpeak", "Passengers: down-peak", partial(passengers, Profile.DOWN), seconds=110),
    ExamTest("interfloor", "Passengers: between floors", partial(passengers, Profile.INTER), seconds=110),
    ExamTest("lunch", "Passengers: lunch", partial(passengers, Profile.LUNCH), seconds=110),
    ExamTest("rest", "Processor, memory and network at rest", rest, seconds=25),
)
