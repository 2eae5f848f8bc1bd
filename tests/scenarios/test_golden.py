"""Scenarios that people argue about, each a short script for the simulated world with a transcript to argue over.

`just golden` rewrites the transcripts in golden/. Review their differences as changes of what the program promises.
While a scenario runs, the judges of the simulated world watch it, and at the end that everything was served.

A transcript tells what a bystander sees: buttons, lamps, doors, motors; and, of each node's log, who is there and who
is out of service. Times are seconds. A panel is swept every 10 ms, and a datagram takes 1 ms. The start, which is the
same everywhere, is left out.
"""

import difflib
import sys
import textwrap
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pytest

from elevator.core.model import Button, Park, Policy
from elevator.simulation.faults import FaultKind, InjectedFault, Plan, Point, Press
from elevator.simulation.world import World

GOLDEN = Path(__file__).parent / "golden"
UP, DOWN, CAB = Button.UP, Button.DOWN, Button.CAB
PRESS_MS = 200
STARTED_MS = 500
TOLD = {
    "car": ("press", "lamp", "door", "motor", "at floor", "misbehaviour"),
    "node": ("starts", "is killed", "dies", "node", "in service", "out of service", "door open", "another", "two"),
}
"""How the lines of cars and nodes begin that are shown; all others are."""


class Scenario(NamedTuple):
    """What happens, and what it is to show. The script ends at *ends_ms*."""

    about: str
    rules: pytest.MarkDecorator
    at: tuple[float, ...]
    ends_ms: int
    presses: tuple[Press, ...]
    faults: tuple[InjectedFault, ...] = ()
    floors: int = 4


def press(at_ms: int, panel: int, button: Button, floor: int) -> Press:
    return Press(at_ms, at_ms + PRESS_MS, panel, button, floor)


SCENARIOS = {
    "cut_and_rejoin": Scenario(
        "Node 0 is cut off while its car is on its way to a hall call. The others hear nothing from it and send another"
        " car; car 0 goes on, because its own panel shows the lamp. Cut off, it takes new calls. When it returns, what"
        " was served by it goes dark on the other panels, and what is lit on either side lights on the other.",
        rules=pytest.mark.rule("G4"),
        at=(0, 3, 3),
        ends_ms=12_000,
        presses=(press(1000, 0, UP, 1), press(4000, 0, CAB, 3), press(5000, 0, DOWN, 1), press(5500, 1, UP, 0)),
        faults=(InjectedFault(FaultKind.CUT, 1500, 6000, who=0b001),),
    ),
    "split_two_and_two": Scenario(
        "The group is split into 0 1 and 2 3, and the same button is pressed on both sides. Each side has a lamp and"
        " a car on its way. They meet again when one side has served its press and its car has left, and the other has"
        " not: the other press is one that nobody has answered, so its lamp stays lit and lights everywhere.",
        rules=pytest.mark.rule("G4", "G5"),
        at=(0, 5, 5, 5),
        ends_ms=12_000,
        presses=(press(2000, 0, UP, 1), press(2000, 2, UP, 1), press(5000, 0, CAB, 3)),
        faults=(InjectedFault(FaultKind.CUT, 1000, 8500, who=0b0011),),
        floors=6,
    ),
    "obstruction": Scenario(
        "The door of car 0 is blocked, with a cab call and a hall call still before it. 0.3 s after the door's period"
        " the car says that it is out of service, and another takes the hall call. So it does with a call from the"
        " very floor where the blocked car stands. The cab call waits for its own car, which holds its door for a full"
        " period after the obstruction has gone.",
        rules=pytest.mark.rule("G3", "D2"),
        at=(0, 3, 3),
        ends_ms=20_000,
        presses=(press(1000, 0, UP, 0), press(2000, 0, CAB, 2), press(2500, 1, UP, 1), press(9500, 2, UP, 0)),
        faults=(InjectedFault(FaultKind.OBSTRUCT, 2200, 16_000, who=0),),
    ),
    "blackout": Scenario(
        "All three programs die at once, with two hall lamps and two cab lamps lit and cars between floors. They start"
        " again one second later with nothing but their records. No lamp changes, and every call is served.",
        rules=pytest.mark.rule("G1", "G2", "L4"),
        at=(0, 0, 3),
        ends_ms=12_000,
        presses=(press(1000, 0, CAB, 2), press(1100, 2, CAB, 0), press(1200, 1, DOWN, 2), press(1300, 1, UP, 1)),
        faults=(InjectedFault(FaultKind.BLACKOUT, 3000, 4000, who=0),),
    ),
    "kill_between_record_and_broadcast": Scenario(
        "Node 0 is killed when it has written a press to its disk and not yet told anybody. No lamp was lit, so nothing"
        " was promised. When it starts again the press is in its record: the others hear of it and the lamp lights.",
        rules=pytest.mark.rule("L3"),
        at=(0, 3, 3),
        ends_ms=10_000,
        presses=(press(1000, 0, UP, 2),),
        faults=(InjectedFault(FaultKind.KILL, 900, 3000, who=0, point=Point.AFTER_RECORD),),
    ),
    "both_directions": Scenario(
        "Up and down are called at floor 1. The car announces up, and clears up alone. Nobody presses a cab button, so"
        " it announces down and holds its door for another 3 s. The second time the passenger does go up: the car goes"
        " there first and then comes back for down.",
        rules=pytest.mark.rule("C2", "C3"),
        at=(0,),
        ends_ms=22_000,
        presses=(
            press(1000, 0, UP, 1),
            press(1100, 0, DOWN, 1),
            press(12_000, 0, CAB, 0),
            press(18_000, 0, UP, 1),
            press(18_100, 0, DOWN, 1),
            press(21_500, 0, CAB, 3),
        ),
    ),
    "id_twice": Scenario(
        "Somebody starts one more node with the id 1; it is written 1* here, has an elevator of its own and shows as"
        " panel 1*. Both say so, and so do the others. The same cab button is pressed in both cars: each goes there for"
        " itself, and neither takes the other's call. A hall call from the panel of 1* is shown and served like any."
        " Then 1* is taken away while a hall call from its panel is lit: that call lives on with the others.",
        rules=pytest.mark.rule("A3", "L2"),
        at=(0, 3, 0),
        ends_ms=17_000,
        presses=(
            press(2000, 1, CAB, 2),
            press(2000, 3, CAB, 2),
            press(9500, 3, DOWN, 1),
            press(15_800, 3, DOWN, 3),
        ),
        faults=(InjectedFault(FaultKind.TWIN, 1000, 16_000, who=1),),
    ),
    "freeze": Scenario(
        "The program of node 0 stands still while its car moves up with a hall call and a cab call before it; the motor"
        " runs on, as it was told. The others take the hall call. When the program goes on it stops its car, listens"
        " for 0.3 s, looks for a floor, and serves its cab call.",
        rules=pytest.mark.rule("G2", "C10"),
        at=(0, 3, 3),
        ends_ms=8000,
        presses=(press(1000, 0, UP, 1), press(1000, 0, CAB, 2)),
        faults=(InjectedFault(FaultKind.FREEZE, 1500, 5500, who=0),),
    ),
}


def run(scenario: Scenario) -> list[str]:
    """Run *scenario* under the eyes of the judges; return the world's whole transcript."""
    plan = Plan(
        seed=0,
        cars=len(scenario.at),
        floors=scenario.floors,
        travel_ms=2000,
        calm_at_ms=scenario.ends_ms,
        faults=scenario.faults,
        presses=scenario.presses,
        at=scenario.at,
        policy=Policy(park=Park.NONE),
    )
    world = World(plan)
    world.run()
    return world.transcript


def shown(lines: Iterable[str]) -> Iterator[tuple[int, str, str, str]]:
    """Pick from a world's transcript what a bystander sees: time, kind of subject, its name, what it does."""
    for line in lines:
        time, _, rest = line.strip().partition(" ")
        subject, _, what = rest.partition(": ") if rest.startswith("car") else split(rest)
        kind, _, name = subject.partition(" ")
        if int(time) >= STARTED_MS and (kind not in TOLD or what.startswith(TOLD[kind])):
            yield int(time), kind, name, what


def split(line: str) -> tuple[str, str, str]:
    """Split a line into subject and what it does; one that is about no node has no subject."""
    words = line.split(" ", 2)
    if words[0] != "node":
        return "", "", line
    return f"node {words[1].removesuffix(':')}", " ", words[2]


def render(scenario: Scenario, lines: Iterable[str]) -> str:
    """Make a transcript of few lines: what several cars or nodes do alike at one time is one of them."""
    text = [textwrap.fill(scenario.about, 100), ""]
    for (time, kind), group in groupby(shown(lines), key=lambda event: event[:2]):
        names: dict[str, list[str]] = {}
        for _, _, name, what in group:
            names.setdefault(what, []).append(name)
        for what, those in names.items():
            text.append(f"{time / 1000:7.3f}  {' '.join((kind, *sorted(those))).strip():<12} {what}")
    return "\n".join(text) + "\n"


@pytest.mark.parametrize("name", [pytest.param(name, marks=each.rules) for name, each in SCENARIOS.items()])
def test_transcripts_are_as_agreed(name: str) -> None:
    agreed = (GOLDEN / f"{name}.txt").read_text()
    now = render(SCENARIOS[name], run(SCENARIOS[name]))
    changes = difflib.unified_diff(agreed.splitlines(), now.splitlines(), "agreed", "now", lineterm="")
    if now != agreed:
        pytest.fail("`just golden` would accept this:\n" + "\n".join(changes), pytrace=False)


def test_every_transcript_has_its_scenario() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == SCENARIOS.keys()


if __name__ == "__main__":
    for name in sys.argv[1:] or SCENARIOS:
        (GOLDEN / f"{name}.txt").write_text(render(SCENARIOS[name], run(SCENARIOS[name])))
