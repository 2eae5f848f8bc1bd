"""Somebody on the simulated network who means ill: nothing that he says is taken in, and the world would notice."""

from collections import Counter

import pytest
from attrs import evolve

from elevator.net import admission
from elevator.net.admission import Admission
from elevator.net.seal import HEAD_BYTES, NO_KEY
from elevator.simulation.attacker import KEY, Attacker
from elevator.simulation.faults import FaultKind, InjectedFault, Plan
from elevator.simulation.observed import Violation
from elevator.simulation.plans import plan
from elevator.simulation.world import World

SEED = 3
AT_MS, UNTIL_MS = 500, 19_000


def attacked(keyed: bool) -> Plan:
    """Plan a run with many restarts, and an attack all the time."""
    kills = [
        InjectedFault(FaultKind.KILL, at_ms, at_ms + 300, at_ms // 1000 % 2) for at_ms in range(3000, 15_000, 1000)
    ]
    drawn = plan(SEED, cars=3, floors=4)
    faults = (InjectedFault(FaultKind.ATTACK, AT_MS, UNTIL_MS, 0, detail=int(keyed)), *kills)
    return evolve(drawn, faults=faults, calm_at_ms=20_000, presses=tuple(p for p in drawn.presses if p.at_ms < 19_000))


@pytest.mark.parametrize("keyed", [False, True])
def test_nothing_is_taken_in_and_everything_is_tried(keyed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: Counter[str] = Counter()
    draw = Attacker.draw

    def note(attacker: Attacker, receiver: int) -> tuple[str, bytes]:
        what, datagram = draw(attacker, receiver)
        tried[what] += 1
        return what, datagram

    monkeypatch.setattr(Attacker, "draw", note)
    world = World(attacked(keyed))
    world.run()
    assert world.key == (KEY if keyed else NO_KEY)
    assert tried.keys() == {"flipped", "truncated", "replayed", "stale", "forged", "noise"}
    assert min(tried.values()) > 100
    refused = {what for host in world.hosts for what in host.admission.refused}
    named = {"not from a node", "with another key, or damaged", "replayed"}
    assert refused == named | ({"without a key"} if keyed else {"not of this group"})


def test_a_gate_that_lets_in_what_it_has_heard_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Admission, "note_new", lambda *_: True)
    with pytest.raises(Violation, match=r"replayed|stale"):
        World(attacked(keyed=True)).run()


@pytest.mark.parametrize("keyed", [False, True])
def test_a_gate_that_breaks_every_seal_is_caught(keyed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "unseal", lambda sealed, _: sealed[HEAD_BYTES:])
    with pytest.raises(Violation, match=r"flipped|forged"):
        World(attacked(keyed)).run()


def test_an_attack_changes_nothing() -> None:
    def transcript(plan: Plan) -> list[str]:
        world = World(plan)
        world.run()
        return [line for line in world.transcript if "attack" not in line]

    whole = attacked(keyed=True)
    assert transcript(whole) == transcript(evolve(whole, faults=whole.faults[1:]))
