"""The simulated attacker: nodes reject all its datagrams. If a node accepts one, the run fails."""

from collections import Counter
from collections.abc import Sequence

import pytest
from attrs import evolve

from elevator.core.messages import Heartbeat
from elevator.net import admission
from elevator.net.admission import Admission
from elevator.net.seal import HEAD_BYTES, NO_KEY
from elevator.simulation.attacker import KEY, Attacker
from elevator.simulation.events import Violation
from elevator.simulation.faults import FaultKind, InjectedFault, Plan
from elevator.simulation.plans import plan
from elevator.simulation.world import World

SEED = 3
AT_MS, UNTIL_MS = 500, 19_000


def attacked(keyed: bool) -> Plan:
    """Return a plan with many restarts and a continuous attack. The group has a key if *keyed* is true."""
    kills = [
        InjectedFault(FaultKind.KILL, at_ms, at_ms + 300, at_ms // 1000 % 2) for at_ms in range(3000, 15_000, 1000)
    ]
    drawn = plan(SEED, cars=3, floors=4)
    faults = (InjectedFault(FaultKind.ATTACK, AT_MS, UNTIL_MS, 0, detail=int(keyed)), *kills)
    return evolve(drawn, faults=faults, calm_at_ms=20_000, presses=tuple(p for p in drawn.presses if p.at_ms < 19_000))


@pytest.mark.parametrize("keyed", [False, True])
def test_nodes_reject_every_kind_of_attack(keyed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    attacks: Counter[str] = Counter()
    draw = Attacker.draw

    def count(attacker: Attacker, known: Sequence[Heartbeat]) -> tuple[str, bytes]:
        kind, datagram = draw(attacker, known)
        attacks[kind] += 1
        return kind, datagram

    monkeypatch.setattr(Attacker, "draw", count)
    world = World(attacked(keyed))
    world.run()
    assert world.links.key == (KEY if keyed else NO_KEY)
    assert attacks.keys() == {"flipped", "truncated", "replayed", "stale", "forged", "noise"}
    assert min(attacks.values()) > 100
    refused = {reason for node in world.nodes for reason in node.admission.refused}
    always = {"without a seal, so not from a node", "sealed with another key, or damaged", "replayed"}
    assert refused == always | ({"sealed without a key"} if keyed else {"from another group"})


def test_admission_that_accepts_replays_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Admission, "note_new", lambda *_: True)
    with pytest.raises(Violation, match=r"replayed|stale"):
        World(attacked(keyed=True)).run()


@pytest.mark.parametrize("keyed", [False, True])
def test_admission_without_a_check_of_seals_is_caught(keyed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "unseal", lambda sealed, _: sealed[HEAD_BYTES:])
    with pytest.raises(Violation, match=r"flipped|forged"):
        World(attacked(keyed)).run()


def test_attack_does_not_change_the_run() -> None:
    def transcript(plan: Plan) -> list[str]:
        world = World(plan)
        world.run()
        return [line for line in world.transcript if "attack" not in line]

    with_attack = attacked(keyed=True)
    assert transcript(with_attack) == transcript(evolve(with_attack, faults=with_attack.faults[1:]))
