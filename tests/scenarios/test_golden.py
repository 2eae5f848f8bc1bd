"""Golden transcripts of short scripts for the simulated world. They show behaviour that a person must judge.

`just golden` rewrites the transcripts in golden/. Review each difference as a change of the program's behaviour. The
judges of the simulated world check each scenario while it runs. At the end, they check that every call was served.

A transcript lists the faults, and what a bystander sees: buttons, lamps, doors, motors and floors. From each node's
log, it adds which nodes are alive, which cars are out of service, which direction an open door announces, and which
nodes have the same id. Times are in seconds. A panel is swept every 10 ms, and a datagram takes 1 ms. The first 500 ms,
in which the nodes start, are left out.
"""

import difflib
import re
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
LINE = r" *(\d+) (?:(car|node) (\d+\*?):? )?(.*)"
SHOWN = {
    "car": ("press", "lamp", "door", "motor", "at floor", "misbehaviour"),
    "node": ("starts", "is killed", "dies", "node", "in service", "out of service", "door open", "another", "two"),
}
"""Golden transcripts show a line about a car or a node only if its text begins with one of these phrases. They also
show when each fault begins and ends."""


class Scenario(NamedTuple):
    """A script of presses and faults, all over by `ends_ms`, and an introduction to its transcript.

    The run continues after `ends_ms` until every call is served.
    """

    introduction: str
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
        "Node 0 is cut off while its car is on its way to a hall call. The other nodes send another car, because they"
        " no longer hear node 0. Car 0 keeps going, because its own panel still shows the lamp. While it is cut off, "
        "node 0 accepts new calls. When it reconnects, the calls that it has served go dark on the other panels, and "
        "the calls that are still lit on one side light up on the other.",
        rules=pytest.mark.rule("G4"),
        at=(0, 3, 3),
        ends_ms=12_000,
        presses=(press(1000, 0, UP, 1), press(4000, 0, CAB, 3), press(5000, 0, DOWN, 1), press(5500, 1, UP, 0)),
        faults=(InjectedFault(FaultKind.CUT, 1500, 6000, target=0b001),),
    ),
    "split_two_and_two": Scenario(
        "A partition separates nodes 0 and 1 from nodes 2 and 3. The same hall button is pressed on both sides. "
        "Each side lights its lamp and sends a car. When the partition heals, one side has served its call and its "
        "car has left; the car of the other side is still on its way. The press on that side has not been served, so "
        "its lamp stays lit and lights up on all panels.",
        rules=pytest.mark.rule("G4", "G5"),
        at=(0, 5, 5, 5),
        ends_ms=12_000,
        presses=(press(2000, 0, UP, 1), press(2000, 2, UP, 1), press(5000, 0, CAB, 3)),
        faults=(InjectedFault(FaultKind.CUT, 1000, 8500, target=0b0011),),
        floors=6,
    ),
    "obstruction": Scenario(
        "The door of car 0 is blocked. The car still has a cab call to serve, and a hall call arrives. 0.3 s after the "
        "dwell time the car goes out of service, and another car takes the hall call. The same happens to a later call "
        "from the floor where the blocked car stands. The cab call waits for its own car, which keeps its door open "
        "for another full dwell time after the obstruction clears.",
        rules=pytest.mark.rule("G3", "D2"),
        at=(0, 3, 3),
        ends_ms=20_000,
        presses=(press(1000, 0, UP, 0), press(2000, 0, CAB, 2), press(2500, 1, UP, 1), press(9500, 2, UP, 0)),
        faults=(InjectedFault(FaultKind.OBSTRUCT, 2200, 16_000, target=0),),
    ),
    "blackout": Scenario(
        "All three nodes die at once. Two hall calls and two cab calls are lit, and two cars are between floors. One "
        "second later the nodes start again from their records. Every lamp stays lit until its call is served.",
        rules=pytest.mark.rule("G1", "G2", "L4"),
        at=(0, 0, 3),
        ends_ms=12_000,
        presses=(press(1000, 0, CAB, 2), press(1100, 2, CAB, 0), press(1200, 1, DOWN, 2), press(1300, 1, UP, 1)),
        faults=(InjectedFault(FaultKind.BLACKOUT, 3000, 4000, target=0),),
    ),
    "kill_between_record_and_broadcast": Scenario(
        "Node 0 is killed after writing a press to its disk and before sending the press to its peers. The lamp was "
        "not lit yet, so the call was not confirmed. When the node starts again, it finds the press in its record and "
        "sends it to its peers, and the lamp lights.",
        rules=pytest.mark.rule("L3"),
        at=(0, 3, 3),
        ends_ms=10_000,
        presses=(press(1000, 0, UP, 2),),
        faults=(InjectedFault(FaultKind.KILL, 900, 3000, target=0, point=Point.AFTER_RECORD),),
    ),
    "both_directions": Scenario(
        "The up and down buttons at floor 1 are both pressed. The car announces up and clears only the up call. The "
        "passenger presses no cab button, so the car announces down and keeps its door open for another 3 s. The "
        "second time, the passenger presses the cab button for floor 3. The car goes there first and then returns for "
        "the down call.",
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
    "duplicate_id": Scenario(
        "A duplicate of node 1 is started. The transcript calls the duplicate, its car and its panel 1*. Both nodes "
        "with the id 1 and all other nodes log the conflict. The same cab button is pressed in both cars: each car "
        "serves its own call and ignores the other's. A hall call from the panel of 1* lights and is served like any "
        "other. Then 1* is removed while a hall call from its panel is lit: the other nodes keep that call.",
        rules=pytest.mark.rule("A3", "L2"),
        at=(0, 3, 0),
        ends_ms=17_000,
        presses=(
            press(2000, 1, CAB, 2),
            press(2000, 3, CAB, 2),
            press(9500, 3, DOWN, 1),
            press(15_800, 3, DOWN, 3),
        ),
        faults=(InjectedFault(FaultKind.DUPLICATE_ID, 1000, 16_000, target=1),),
    ),
    "freeze": Scenario(
        "Node 0 is frozen while its car moves up to serve a hall call and a cab call. The motor keeps running. Another "
        "car takes the hall call. When node 0 continues, it stops its car, listens for 0.3 s, searches for a floor, "
        "and serves its cab call.",
        rules=pytest.mark.rule("G2", "C10"),
        at=(0, 3, 3),
        ends_ms=8000,
        presses=(press(1000, 0, UP, 1), press(1000, 0, CAB, 2)),
        faults=(InjectedFault(FaultKind.FREEZE, 1500, 5500, target=0),),
    ),
}


def run(scenario: Scenario) -> list[str]:
    """Run *scenario* while the judges check it; return the world's full transcript."""
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


def visible_events(lines: Iterable[str]) -> Iterator[tuple[int, str, str, str]]:
    """Yield each event that a golden transcript shows: time in ms, kind ("car", "node" or ""), name, and text."""
    for line in lines:
        match = re.fullmatch(LINE, line)
        assert match is not None
        at_ms, kind, name, event = match.groups("")
        if int(at_ms) >= STARTED_MS and (not kind or event.startswith(SHOWN[kind])):
            yield int(at_ms), kind, name, event


def render(scenario: Scenario, lines: Iterable[str]) -> str:
    """Format a golden transcript.

    Cars with the same event at the same time share a line, and so do nodes, unless another kind of event comes between.
    """
    text = [textwrap.fill(scenario.introduction, 100), ""]
    for (at_ms, kind), group in groupby(visible_events(lines), key=lambda event: event[:2]):
        names: dict[str, list[str]] = {}
        for _, _, name, event in group:
            names.setdefault(event, []).append(name)
        for event, those in names.items():
            text.append(f"{at_ms / 1000:7.3f}  {' '.join((kind, *sorted(those))).strip():<12} {event}")
    return "\n".join(text) + "\n"


@pytest.mark.parametrize("name", [pytest.param(name, marks=each.rules) for name, each in SCENARIOS.items()])
def test_transcript_matches_the_golden_file(name: str) -> None:
    golden = (GOLDEN / f"{name}.txt").read_text()
    actual = render(SCENARIOS[name], run(SCENARIOS[name]))
    changes = difflib.unified_diff(golden.splitlines(), actual.splitlines(), "golden", "actual", lineterm="")
    if actual != golden:
        intro = "the transcript differs from the golden file; if the change is right, run `just golden`:\n"
        pytest.fail(intro + "\n".join(changes), pytrace=False)


def test_each_scenario_has_a_golden_file_and_vice_versa() -> None:
    assert {file.stem for file in GOLDEN.iterdir()} == SCENARIOS.keys()


if __name__ == "__main__":
    for name in sys.argv[1:] or SCENARIOS:
        (GOLDEN / f"{name}.txt").write_text(render(SCENARIOS[name], run(SCENARIOS[name])))
