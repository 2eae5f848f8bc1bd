"""Tests of a healthy group: its lamps, the waiting times of passengers, and the resources that it uses while idle."""

import os
from functools import partial
from pathlib import Path

from elevator.building.elevators import EventKind, buttons
from elevator.building.passengers import Profile
from elevator.core.call_set import mask
from elevator.core.model import Button, bits
from elevator.exam.results import Level
from elevator.exam.rig import ExamTest, Rig
from elevator.exam.tests_single import FINGER_S, LAMP_S

REST_S = 10
PASSENGERS_S = 60
PASSENGERS_PER_MINUTE = 4
"""How many passengers arrive per minute for each car of the group."""


def lamps(rig: Rig) -> None:
    """Make every possible hall call once, on alternating panels. After every third call, wait until all are served."""
    rig.start()
    exist = buttons(rig.floors)
    calls = [(button, floor) for button in (Button.UP, Button.DOWN) for floor in bits(mask(exist, button))]
    rig.rng.shuffle(calls)
    panels = list(range(rig.cars))
    for begin in range(0, len(calls), 3):
        for number, (button, floor) in enumerate(calls[begin : begin + 3]):
            rig.expect_lit(rig.press((begin + number) % rig.cars, button, floor), panels, LAMP_S)
            rig.run(FINGER_S)
        if not rig.expect_all_served():
            return


def cab(rig: Rig) -> None:
    """Press two cab buttons in each car. Meanwhile, the judge checks that their lamps light on no other panel."""
    rig.start()
    for car in range(rig.cars):
        for floor in rig.rng.sample(rig.vacant_floors([car]), 2):
            rig.expect_lit(rig.press(car, Button.CAB, floor), [car], LAMP_S)
    rig.expect_all_served()


def passengers(profile: Profile, rig: Rig) -> None:
    """Let passengers arrive for a minute. Measure how long they wait, and how often motors start."""
    rig.start()
    began_ms = rig.now_ms
    tally = rig.carry(profile, PASSENGERS_PER_MINUTE * rig.cars, PASSENGERS_S)
    rig.add_figure("passengers served", tally.served, "")
    rig.add_figure("mean wait", round(tally.mean_wait_ms / 1000, 1), "s")
    rig.add_figure("longest wait", round(tally.longest_wait_ms / 1000, 1), "s")
    rig.add_figure("motor starts", sum(1 for event in rig.since(began_ms, EventKind.MOTOR) if event.value), "")
    rig.expect_all_served()


def rest(rig: Rig) -> None:
    """Measure the resources that an idle group uses, and check that no lamp and no door changes."""
    rig.start()
    rig.run(5)
    began_ms, ticks = rig.now_ms, _ticks(rig)
    sent = [] if rig.switch is None else list(rig.switch.sent_bytes)
    rig.run(REST_S)
    seconds = (rig.now_ms - began_ms) / 1000
    used = (_ticks(rig) - ticks) / os.sysconf("SC_CLK_TCK") / seconds / rig.cars
    rig.add_figure("processor of each controller", round(100 * used, 1), "% of a core")
    rig.add_figure("memory of each controller", round(_resident_bytes(rig) / rig.cars / 1e6), "MB")
    if rig.switch is not None:
        total = sum(rig.switch.sent_bytes) - sum(sent)
        rig.add_figure("network use of each controller", round(total / seconds / rig.cars / 1000, 1), "kB/s")
    moved = rig.since(began_ms, EventKind.LAMP) + rig.since(began_ms, EventKind.DOOR)
    rig.check(
        not moved,
        "G6",
        Level.MUST,
        "without a call, no lamp and no door changes",
        f"lamps and doors changed {len(moved)} times" if moved else "nothing changed",
    )


def _ticks(rig: Rig) -> int:
    """Return the processor time that the running processes of all controllers have used, in clock ticks."""
    total = 0
    for pid in _pids(rig):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # The process has ended.
            continue
        total += int(fields[11]) + int(fields[12])
    return total


def _resident_bytes(rig: Rig) -> int:
    total = 0
    for pid in _pids(rig):
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:  # The process has ended.
            continue
    return total


def _pids(rig: Rig) -> list[int]:
    return [pid for car in range(rig.cars) for pid in rig.controllers.pids(car)]


TESTS = (
    ExamTest("lamps", "Hall lamps light on all panels and go dark when served", lamps, seconds=45),
    ExamTest("cab", "Cab lamps light only on their own panel", cab, seconds=30),
    ExamTest("uppeak", "Passengers: up-peak", partial(passengers, Profile.UP), seconds=110),
    ExamTest("downpeak", "Passengers: down-peak", partial(passengers, Profile.DOWN), seconds=110),
    ExamTest("interfloor", "Passengers: between floors", partial(passengers, Profile.INTER), seconds=110),
    ExamTest("lunch", "Passengers: lunch", partial(passengers, Profile.LUNCH), seconds=110),
    ExamTest("rest", "Processor, memory and network at rest", rest, seconds=25),
)
