"""The simulated world: random runs without violations, reproducible runs, the effect of each fault, and `soak`."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
from attrs import evolve

from elevator.building.passengers import PassengerFlow, Profile, tally
from elevator.cli import soak
from elevator.core.model import NEVER_MS, Button, Park, Policy
from elevator.core.model import Fault as CarFault
from elevator.core.node import Node
from elevator.simulation import campaign
from elevator.simulation.events import CallServed, ElevatorChanged, ProgramEnded, TurnTaken
from elevator.simulation.faults import FaultKind, InjectedFault, Plan, Point, Press, describe
from elevator.simulation.plans import plan
from elevator.simulation.world import AGREE_MS, World

UP, DOWN = Button.UP, Button.DOWN

NO_PARKING = Policy(park=Park.NONE)
SMALL = ("--cars", "1", "--floors", "2", "--jobs", "2")
"""Arguments of `elevator soak` for short runs."""


@pytest.mark.rule("G5")
def test_panels_may_differ_while_a_call_is_being_served() -> None:
    run = Plan(1, 3, 4, 2000, 20_000, (), (Press(4000, 4200, 1, DOWN, 2),), at=(0, 3, 3), policy=NO_PARKING)
    _, transcript = campaign.run_plan(run)
    served = next(line for line in transcript if "lamp down 2 off" in line)
    done, transcript = campaign.run_plan(evolve(run, calm_at_ms=int(served.split()[0]) - AGREE_MS))
    assert served in transcript
    assert not done.violation


@pytest.mark.rule("L4")
def test_lamp_may_go_dark_just_after_its_button_was_pressed_again() -> None:
    for seed in range(1, 7):
        run = Plan(seed, 3, 4, 2000, 8000, (), (Press(4000, 4200, 1, DOWN, 2),), at=(0, 3, 3), policy=NO_PARKING)
        _, transcript = campaign.run_plan(run)
        served_ms = next(int(line.split()[0]) for line in transcript if "lamp down 2 off" in line)
        again = Press(served_ms - 6, served_ms + 194, 0, DOWN, 2)
        done, transcript = campaign.run_plan(evolve(run, presses=(*run.presses, again)))
        assert not done.violation, "\n".join(transcript[-40:])


FOUND = (63019, 64344, 65157)
"""Seeds that failed once, because a judge or the assignment was wrong."""
SEEDS = [pytest.param(seed, marks=() if 11 <= seed <= 14 else pytest.mark.slow) for seed in (*range(1, 41), *FOUND)]
"""The fast tests run four of these seeds, the slow tests the others. Seed 21 draws a large group of 42 cars. `just
soak` runs fresh seeds."""
PROFILES = [pytest.param(profile, marks=() if profile is Profile.INTER else pytest.mark.slow) for profile in Profile]


@pytest.mark.parametrize("seed", SEEDS)
def test_random_plan_passes(seed: int) -> None:
    done, transcript = campaign.run_plan(plan(seed))
    assert not done.violation, "\n".join(transcript[-40:])


def test_run_is_reproducible_in_another_process_with_another_hash_seed() -> None:
    digest = campaign.run_plan(plan(29))[0].digest
    assert campaign.run_plan(plan(29))[0].digest == digest
    command = [sys.executable, "-m", "elevator", "soak", "--seeds", "29"]
    for hash_seed in ("1", "2"):
        other = subprocess.run(
            command, env=os.environ | {"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True
        )
        assert digest in other.stdout


@pytest.mark.rule("A2")
@pytest.mark.parametrize("seed", [1, 4])
def test_no_call_starves_in_a_permanent_cycle_of_one_way_links(seed: int) -> None:
    """Each node reaches one of the two others and hears only the other one. So every node has different information."""
    drawn = plan(seed, cars=3)
    cycle = tuple(InjectedFault(FaultKind.ONE_WAY, 0, NEVER_MS, target=id, detail=(id + 1) % 3) for id in range(3))
    done, transcript = campaign.run_plan(evolve(drawn, faults=cycle))
    assert not done.violation, "\n".join(transcript[-40:])


@pytest.mark.slow
@pytest.mark.rule("A1")
def test_two_cars_rarely_claim_the_same_call_at_50_percent_packet_loss() -> None:
    """Sample every hall call every 20 ms. In at most 0.3 % of the samples, several cars in service claim the call."""
    samples = claimed_twice = 0
    for seed in range(1, 9):
        drawn = plan(seed, cars=3, floors=4)
        loss = InjectedFault(FaultKind.PACKET_LOSS, 0, drawn.calm_at_ms, target=0, detail=50, delay_ms=2)
        world = World(evolve(drawn, faults=(loss,), policy=Policy()))
        while world.now_ms < drawn.calm_at_ms:
            world.run_until(world.now_ms + 20)
            states = [node.state for node in world.nodes if node.state is not None]
            claims = [state.claims for state in states if state.drive.fault is CarFault.NONE]
            for call in {
                call for state in states for call in state.calls.live.values() if call.button is not Button.CAB
            }:
                masks = [claim.up if call.button is Button.UP else claim.down for claim in claims]
                samples += 1
                claimed_twice += sum(mask >> call.floor & 1 for mask in masks) > 1
    assert samples > 5000
    assert claimed_twice <= 0.003 * samples


def test_different_seeds_draw_different_plans() -> None:
    assert len({(each.calm_at_ms, each.faults, each.presses) for each in map(plan, range(50))}) == 50


def test_seeds_draw_every_kind_of_fault_every_profile_large_groups_and_runs_without_faults() -> None:
    drawn = [plan(seed) for seed in range(300)]
    assert {fault.kind for each in drawn for fault in each.faults} == set(FaultKind)
    sizes = {each.cars for each in drawn}
    assert sizes > set(range(1, 10)), "some groups must have more than 9 cars"
    assert any(not each.faults for each in drawn)
    assert {each.flow.profile for each in drawn if each.flow} == set(Profile)


def test_misconfigured_node_never_has_as_many_floors_as_the_group() -> None:
    faults = [fault for seed in range(100) for fault in plan(seed, floors=21).faults]
    floors = {fault.detail for fault in faults if fault.kind is FaultKind.OTHER_FLOORS}
    assert len(floors) == 2
    assert 21 not in floors


def test_shrinking_keeps_only_the_press_that_makes_the_run_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evolve(plan(4, 3, 4), flow=PassengerFlow(1, 3, 4, 20))
    culprit = whole.presses[5]

    def fails_with_culprit(smaller: Plan) -> tuple[campaign.Outcome, list[str]]:
        return campaign.Outcome(3, 0, 0, "", "violation" if culprit in smaller.presses else ""), []

    monkeypatch.setattr(campaign, "run_plan", fails_with_culprit)
    assert campaign.shrink(whole) == evolve(whole, faults=(), presses=(culprit,), flow=None)


def test_campaign_whose_seeds_pass_exits_with_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.main(["--seeds", "1..4", *SMALL]) == 0
    assert "4 passed, 0 failed" in capsys.readouterr().out


def test_campaign_fails_if_the_process_of_a_seed_dies(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_plan = campaign.run_plan
    monkeypatch.setattr(campaign, "run_plan", lambda plan: os._exit(0) if plan.seed == 3 else run_plan(plan))
    assert soak.main(["--seeds", "1..4", *SMALL]) == 1
    assert "3 passed, 0 failed, 1 without a result" in capsys.readouterr().out


def test_interrupt_is_blocked_while_a_process_is_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    fork, blocked = os.fork, list[bool]()

    def observed_fork() -> int:
        blocked.append(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))
        return fork()

    monkeypatch.setattr(os, "fork", observed_fork)
    assert soak.main(["--seeds", "1..3", *SMALL]) == 0
    assert blocked == [True] * 3
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_campaign_with_a_time_limit_fails_if_the_process_of_a_seed_dies(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_plan = campaign.run_plan
    monkeypatch.setattr(campaign, "run_plan", lambda plan: os._exit(0) if plan.seed == 2 else run_plan(plan))
    assert soak.main(["--seeds", "1..1000000", "--minutes", "0.01", *SMALL]) == 1
    assert "seed 2 has no result" in capsys.readouterr().out


def test_seed_fails_if_a_node_raises_an_exception_at_startup(monkeypatch: pytest.MonkeyPatch) -> None:
    def boot(*_: object) -> Node:
        raise ZeroDivisionError("startup failed")

    monkeypatch.setattr("elevator.simulation.simulated_node.boot", boot)
    assert "ZeroDivisionError: startup failed" in campaign.run_plan(plan(1))[0].violation


def test_campaign_ends_after_its_time_limit(capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.main(["--seeds", "1..1000000", "--minutes", "0.01", *SMALL]) == 0
    assert "0 failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--seeds", "x"],
        ["--seeds", "5..1"],
        ["--seeds", "1..2", "--faults", "1"],
        ["--cars", "0"],
        ["--floors", "99"],
        ["--faults", "a"],
        ["--seeds", "1", "--faults=-1"],
        ["--seeds", "1", "--faults", "999"],
        ["--seeds", "1", "--presses", "9999"],
        ["-q"],
    ],
)
def test_invalid_arguments_get_a_one_line_error_and_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        soak.main(arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("profile", PROFILES)
def test_group_without_faults_carries_every_passenger(profile: Profile) -> None:
    flow = PassengerFlow(1, 3, 4, per_minute=20, until_ms=60_000, profile=profile)
    world = World(evolve(plan(5, 3, 4), faults=(), presses=(), flow=flow, calm_at_ms=110_000))
    world.run_until(110_000)
    assert world.crowd is not None
    total = tally(world.crowd, world.now_ms)
    assert total.served > 12
    assert total.under_way == 0
    assert total.longest_wait_ms < 60_000
    world.run()


def test_judges_receive_the_inputs_of_the_turn_in_which_a_node_is_killed() -> None:
    kill = InjectedFault(FaultKind.KILL, 5000, 9000, target=1, point=Point.AFTER_HARDWARE)
    press = Press(5500, 5700, 1, UP, 0)
    world = World(evolve(plan(5, 3, 4), faults=(kill,), presses=(press,), calm_at_ms=20_000, flow=None))
    turns: list[TurnTaken] = []
    ended: list[TurnTaken] = []
    world.subscribe(TurnTaken, lambda event: turns.append(event) if event.node == 1 else None)
    world.subscribe(ProgramEnded, lambda event: ended.append(turns[-1]))
    world.run()
    (last,) = ended
    assert last.tick.inputs is not None
    assert last.tick.inputs.pressed.up == 1


def test_press_that_replaces_another_at_an_open_door_does_not_count_as_a_service() -> None:
    # The car goes up from floor 1, so it cannot serve the down call there before it returns.
    presses = [Press(2000, 2200, 0, UP, 1), Press(2000, 2200, 0, Button.CAB, 3)]
    presses += [Press(at_ms, at_ms + 200, 0, DOWN, 1) for at_ms in (3000, 4000)]
    drawn = evolve(plan(5, 1, 4), faults=(), presses=tuple(presses), at=(1,), policy=NO_PARKING, calm_at_ms=5000)
    world = World(evolve(drawn, flow=None, late_ms=0))
    services: list[CallServed] = []
    world.subscribe(CallServed, services.append)
    world.run()
    served = [(each.call.button, each.call.floor, each.is_first) for each in services]
    assert served == [(UP, 1, True), (Button.CAB, 3, True), (DOWN, 1, True)]


def test_service_counts_only_for_the_node_that_serves_the_call() -> None:
    # Both cars have opened their doors at floor 1. Car 0 has announced that it goes down, so car 1 serves the up call.
    presses = (Press(2000, 2200, 0, DOWN, 1), Press(2300, 2500, 1, Button.CAB, 1), Press(3000, 3200, 0, UP, 1))
    drawn = evolve(plan(5, 2, 4), faults=(), presses=presses, at=(1, 1), policy=NO_PARKING, calm_at_ms=4000)
    world = World(evolve(drawn, flow=None, late_ms=0))
    services: list[CallServed] = []
    world.subscribe(CallServed, services.append)
    world.run()
    served = [(each.node, each.call.button, each.is_first) for each in services]
    assert served == [(0, DOWN, True), (1, Button.CAB, True), (1, UP, True)]


def test_judges_receive_a_turn_before_the_lamp_changes_that_it_causes() -> None:
    world = World(evolve(plan(5, 3, 4), faults=(), calm_at_ms=20_000, flow=None))
    last_turn_ms = dict.fromkeys(range(3), -1)
    follows_turn = []
    world.subscribe(TurnTaken, lambda event: last_turn_ms.update({event.node: world.now_ms}))

    def note(event: ElevatorChanged) -> None:
        if event.before.lamps != event.after.lamps:
            follows_turn.append(last_turn_ms[event.node] == world.now_ms)

    world.subscribe(ElevatorChanged, note)
    world.run()
    assert len(follows_turn) > 5
    assert all(follows_turn)


EFFECTS: dict[FaultKind, tuple[int, str] | Callable[[World], object]] = {
    FaultKind.KILL: (1, "node 1 dies"),
    FaultKind.WIPE: (1, "node 1 starts without a record"),
    FaultKind.CRASH: (1, "node 1 dies"),
    FaultKind.BLACKOUT: (0, "node 2 dies"),
    FaultKind.FREEZE: (1, "node 0: node 1 timed out"),
    FaultKind.CUT: (1, "node 1: node 0 timed out"),
    FaultKind.ONE_WAY: (2, "node 1: node 2 timed out"),
    FaultKind.PACKET_LOSS: (100, "node 1: node 0 timed out"),
    FaultKind.MOTOR: (0, "car 1: power off"),
    FaultKind.OBSTRUCT: (0, "car 1: obstructed on"),
    FaultKind.STOP: (0, "node 1: out of service: stop button"),
    FaultKind.SLOW_SERVER: lambda world: world.nodes[1].server.reply_at_ms > world.nodes[1].panel.swept_at_ms,
    FaultKind.SERVER: (0, "node 1: out of service: no elevator answers"),
    FaultKind.GHOST: (0, "node 1: node 63 is alive"),
    FaultKind.SHIRKER: (0, "node 1: node 63 is alive"),
    FaultKind.DUPLICATE_ID: (0, "node 1: another node has the same id, 1"),
    FaultKind.OTHER_FLOORS: (3, "node 1: ignoring node 1: it has 3 floors, this node has 4"),
    FaultKind.DISK: lambda world: world.nodes[1].stint.is_disk_failing,
    FaultKind.SLOW_DISK: lambda world: world.nodes[1].stint.is_disk_failing,
    FaultKind.RECORDER: lambda world: world.nodes[1].disk.received_count,
    FaultKind.FALSE_FLOOR: lambda world: (node := world.nodes[1].state) and node.drive.position.rejections,
    FaultKind.DEAD_SENSOR: (0, "node 1: out of service: position unknown"),
    FaultKind.ATTACK: lambda world: world.attack_at_ms < 10_000,
}
"""Maps each kind of fault to its effect. A tuple contains the fault's `detail`, and a part of a transcript line that
the fault causes. A function returns a true value if the fault has had its effect."""

DELAYS = {FaultKind.SLOW_DISK: 1_000_000, FaultKind.SLOW_SERVER: 400}


@pytest.mark.parametrize("kind", FaultKind)
def test_every_kind_of_fault_has_an_effect(kind: FaultKind) -> None:
    effect = EFFECTS[kind]
    detail = 0 if callable(effect) else effect[0]
    end_ms = 5080 if kind is FaultKind.FALSE_FLOOR else 9000  # A node accepts a report that does not change.
    fault = InjectedFault(kind, 5000, end_ms, target=1, detail=detail, delay_ms=DELAYS.get(kind, 0))
    world = World(evolve(plan(5, 3, 4), faults=(fault,), presses=(Press(5500, 5700, 1, UP, 0),), calm_at_ms=20_000))
    world.run_until(8999)
    if callable(effect):
        assert effect(world)
    world.run_until(9001)
    start = world.transcript.index(f"{5000:>9} begins: {describe(fault, 3)}")
    assert callable(effect) or any(effect[1] in line for line in world.transcript[start:])
    world.run()
