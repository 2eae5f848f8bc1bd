"""The group: who answers a hall call, duplicate ids, idle cars."""

import itertools

import pytest
from steps import (
    CAB,
    DOWN,
    LOBBY,
    SPREAD,
    UP,
    Group,
    behaviour,
    doors,
    floor_of,
    group_with_twin,
    lamps,
    machine_door,
    motors,
    obstruct,
    places,
    settle,
    stop_button,
)

from elevator.core import act, assignment
from elevator.core.assignment import Member
from elevator.core.model import EVERY_CAR, Behaviour, Button, Buttons, Call, Car, Policy, Rates
from elevator.core.step import RESTEPS_MAX
from elevator.runtime.event_log import events
from elevator.simulation.faults import FaultKind


@pytest.mark.rule("A1")
def test_one_car_takes_a_hall_call_and_the_others_stay() -> None:
    group = Group(at=(0, 3, 3))
    group.press(0, UP, 1)
    settle(group)
    assert floor_of(group[0]) == 1
    assert motors(group[1]) == motors(group[2]) == []


@pytest.mark.rule("A2")
def test_cycle_of_one_way_links_leaves_no_call_without_a_car() -> None:
    group = Group(at=(0, 1, 2))
    group.link(lambda sender, receiver: (sender + 1) % 3 == receiver)
    group.run(1000)
    for panel, floor in enumerate((3, 1, 2)):
        group.press(panel, DOWN, floor)
    settle(group)


@pytest.mark.rule("A2")
def test_call_that_no_car_claims_is_taken() -> None:
    group = Group(at=(0, 1, 3))
    group.link(lambda sender, receiver: {sender, receiver} != {0, 2})  # 0 and 2 hear each other through 1 only
    group.run(1000)
    for panel, floor in enumerate((2, 2, 1)):
        group.press(panel, UP, floor)
    settle(group)


@pytest.mark.rule("A3", "L2")
def test_two_nodes_with_one_id_do_no_harm() -> None:
    group = group_with_twin()
    for computer in (group[0], group[2]):
        assert computer.node is not None
        assert any("another node uses this one's id" in what for what in computer.node.oddities)
    assert group[1].node is not None
    assert any("two nodes use the id 0" in what for what in group[1].node.oddities)
    group.press(0, CAB, 2)
    group.press(2, DOWN, 1)
    group.run(100)
    assert group.lit(0) == {("down", 1), ("cab", 2)}
    assert group.lit(2) == {("down", 1)}, "a cab call of the other panel is not shown"
    settle(group)


@pytest.mark.rule("A3")
def test_node_with_another_number_of_floors_is_logged_and_ignored() -> None:
    group = Group(cars=1)
    group.join(FaultKind.MISFIT, id=1, floors=9)
    group.run(1000)
    assert group[0].node is not None
    assert [what for what in group[0].node.oddities if "9 floors" in what]
    group.press(0, UP, 2)
    group.run(50)
    assert group.lit(1) == set()
    group.run_until(lambda: not group.lit(0), 20_000)


@pytest.mark.rule("A3", "L2")
def test_node_does_not_show_cab_calls_of_former_runs_of_another_with_its_id() -> None:
    group = Group(cars=2, at=(0, 3))
    group.press(0, CAB, 3)
    group.run(50)
    group[0].kill()
    group.run(100)
    group[0].start()
    group.join(FaultKind.TWIN, id=0)
    group.run(1500)
    assert group.lit(2) == set()
    settle(group)
    assert floor_of(group[0]) == 3


@pytest.mark.rule("A3")
def test_car_does_not_serve_cab_calls_of_another_with_its_id() -> None:
    group = group_with_twin()
    group.press(2, CAB, 2)
    group.run(100)
    group.press(0, CAB, 2)
    group.run_until(lambda: ("cab", 2) not in group.lit(0), 10_000)
    assert lamps(group[2], CAB, 2) == [True] or floor_of(group[2]) == 2
    settle(group)
    assert floor_of(group[0]) == floor_of(group[2]) == 2


@pytest.mark.rule("A3")
def test_cab_call_of_another_node_with_the_same_id_is_not_logged_as_served() -> None:
    group = group_with_twin()
    group.press(0, CAB, 2)
    group.run(100)
    group[0].kill()
    group.run_until(lambda: group.lit(2) == {("cab", 2)}, 5000)
    before = group[2].node
    group[0].start()
    group.run_until(lambda: group.lit(2) == set(), 500)
    assert before is not None
    assert group[2].node is not None
    lines = [event.text for event in events(before, group[2].node)]
    assert "cab call of car 0 to floor 2: lamp off, not served yet" in lines
    settle(group)
    assert floor_of(group[0]) == 2


@pytest.mark.rule("A3")
def test_restarted_node_tells_another_with_its_id_from_its_former_runs() -> None:
    group = group_with_twin()
    group.press(2, CAB, 2)
    group.run(100)
    group[0].kill()
    group.run(50)
    group[0].start()
    group.run(1000)
    assert group[0].node is not None
    assert any("another node uses this one's id" in what for what in group[0].node.oddities)
    assert group.lit(0) == set()
    settle(group)
    assert floor_of(group[0]) == 0


@pytest.mark.rule("A3")
def test_node_that_reads_its_record_late_tells_another_with_its_id_from_its_former_runs() -> None:
    group = group_with_twin()
    group.press(0, CAB, 1)
    group.press(2, CAB, 2)
    group.run(100)
    group[0].inject(FaultKind.DISK, on=True)
    group[0].kill()
    group[0].start()
    group.run(200)
    group[0].inject(FaultKind.DISK, on=False)
    group.run(500)
    assert group.lit(0) == {("cab", 1)}
    settle(group)
    assert floor_of(group[0]) == 1


@pytest.mark.rule("A3", "G7")
def test_press_of_a_second_node_with_one_id_is_served_after_many_restarts_of_the_first() -> None:
    group = group_with_twin()
    for _ in range(10):
        group[0].kill()
        group[0].wipe()
        group[0].start()
        group.press(0, UP, 2)
        group.run(400)
    group.press(2, CAB, 0)
    settle(group)
    assert floor_of(group[1]) == 2
    opened = len(doors(group[1]))
    group.link(lambda sender, receiver: {sender, receiver} != {0, 2})  # the twins do not hear each other
    group.press(2, UP, 2)
    group.run(500)
    assert group[2].node is not None
    assert len(doors(group[1])) == opened + 1
    assert not group[2].node.calls.live


@pytest.mark.rule("A1", "A2")
def test_time_in_which_no_car_could_serve_does_not_starve_a_call() -> None:
    group = Group(at=(0, 0, 0))
    for computer in group.computers:
        stop_button(computer, True)
    group.press(0, UP, 2)
    group.run(90_000)
    for computer in group.computers:
        stop_button(computer, False)
    settle(group)
    assert sum(floor_of(computer) == 2 for computer in group.computers) == 1


@pytest.mark.rule("A4")
def test_idle_cars_spread_with_their_doors_closed() -> None:
    group = Group(floors=9, at=(0, 0, 0), policy=SPREAD)
    group.run(30_000)
    assert len({*places(group)}) == 3
    assert None not in places(group)
    assert not any(doors(computer) for computer in group.computers)
    resting = places(group)
    group.run(30_000)
    assert places(group) == resting


@pytest.mark.rule("A4")
def test_idle_cars_go_to_the_lobby() -> None:
    group = Group(floors=5, at=(4, 2, 0), policy=LOBBY)
    group.run(20_000)
    assert places(group) == [0, 0, 0]
    assert not any(doors(computer) for computer in group.computers)


@pytest.mark.rule("A4")
def test_call_turns_a_parking_car_at_the_next_floor() -> None:
    group = Group(cars=1, floors=9, at=(8,), policy=LOBBY)
    group.run_until(lambda: group[0].machine.sensed == 5, 20_000)
    group.press(0, DOWN, 8)
    group.run_until(lambda: machine_door(group[0]), 4 * 2500 + 600)
    assert floor_of(group[0]) == 8


@pytest.mark.rule("A4")
def test_car_stands_for_a_moment_before_it_parks() -> None:
    group = Group(cars=1, floors=4, at=(0,), policy=LOBBY)
    group.press(0, CAB, 2)
    group.run_until(lambda: machine_door(group[0]), 8000)
    group.run_until(lambda: not machine_door(group[0]), 4000)
    shut_ms = group.now_ms
    group.run_until(lambda: group[0].machine.sensed is None, 3000)
    assert group.now_ms - shut_ms >= act.PARK_AFTER_MS


@pytest.mark.rule("C6")
def test_press_at_an_idle_car_is_served_at_once() -> None:
    """Also if another car comes by soon, whose stop would cost less."""
    group = Group(floors=4, at=(0, 1, 3))
    group.press(0, CAB, 3)
    group.run(400)
    group.press(1, UP, 1)
    assert group.run_until(lambda: machine_door(group[1]), 300) < 50
    group.run(6000)
    assert len(doors(group[0])) == 0


@pytest.mark.rule("A1", "C1")
def test_one_of_two_idle_cars_at_a_floor_opens_for_a_call() -> None:
    """The news that an opening door has served a call may come after the news that the door is open."""
    group = Group(floors=4, at=(1, 1, 3))
    group.press(2, UP, 1)
    settle(group)
    assert sum(len(doors(computer)) for computer in group.computers) == 2  # one opens once: open and shut


@pytest.mark.rule("A1", "A2")
def test_call_at_the_open_door_of_a_car_that_goes_the_other_way_is_claimed_by_one_car() -> None:
    group = Group(floors=4, at=(1, 2, 3))
    group.press(0, DOWN, 1)
    group.run(300)
    group.press(0, CAB, 0)
    group.run(500)
    assert machine_door(group[0])
    group.press(2, UP, 1)
    group.run(20)
    claims = []
    for _ in range(500):
        group.run(1)
        claims.append(sum(node.share.up >> 1 & 1 for node in (each.node for each in group.computers) if node))
    assert set(claims) == {1}


@pytest.mark.rule("A1")
def test_assignment_that_changes_each_time_does_not_keep_a_node_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group = Group(cars=1, at=(0,), travel_ms=10_000)
    monkeypatch.setattr(assignment, "planned", lambda _, me, floors, hall, cars: Buttons(hall.up & ~cars[me].claims.up))
    group.press(0, UP, 2)
    group.run(100)
    assert group[0].node is not None
    before = group[0].node.outgoing.counter
    group.run(1000)
    assert group[0].node.outgoing.counter - before < 40


@pytest.mark.rule("A1")
def test_assignment_that_changes_a_few_times_is_repeated_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    group = Group(cars=1, at=(0,), travel_ms=10_000)
    monkeypatch.setattr(assignment, "planned", lambda *_: Buttons())
    group.press(0, CAB, 3)
    group.run_until(lambda: floor_of(group[0]) is None, 5000)
    group.press(0, UP, 2)
    group.run(500)
    answers = itertools.chain([Buttons(up=0b100), Buttons()] * (RESTEPS_MAX // 2), itertools.repeat(Buttons(up=0b100)))
    monkeypatch.setattr(assignment, "planned", lambda _, me, floors, hall, cars: next(answers) & hall)
    obstruct(group[0], True)  # This changes nothing, but the node takes a step.
    group.run(50)
    assert group[0].node is not None
    assert not group[0].node.share.up
    group.run_until(lambda: bool(group[0].node and group[0].node.share.up), 600)
    obstruct(group[0], False)
    settle(group)


@pytest.mark.rule("A2")
def test_call_that_a_car_claims_for_a_moment_again_and_again_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    call, cars = Call(Button.UP, 2, EVERY_CAR), {0: Member(Car(0), 0, Buttons(), Rates())}
    taken = itertools.cycle((Buttons(), Buttons(), Buttons(up=0b100)))
    monkeypatch.setattr(assignment, "planned", lambda *_: next(taken))
    now = assignment.Assignment()
    for now_ms in range(0, assignment.UNCLAIMED_MS + 1, 100):
        cars[0] = cars[0]._replace(claims=now.share)
        now = assignment.assign(now, now_ms, Policy(), 0, 4, {call}, cars)
    assert now.waits[call].is_starved


@pytest.mark.rule("A1")
def test_car_releases_a_call_before_another_takes_it() -> None:
    """Car 1, next to the call, becomes able again while car 0 is on its way. At no time do both go for it."""
    group = Group(floors=8, at=(0, 6))
    stop_button(group[1], True)
    group.run(100)
    group.press(0, UP, 5)
    group.run(500)
    assert behaviour(group[0]) is Behaviour.MOVING
    stop_button(group[1], False)
    while behaviour(group[1]) is not Behaviour.DOOR_OPEN:
        nodes = [computer.node for computer in group.computers]
        assert sum(node.share.up >> 5 & 1 for node in nodes if node) <= 1
        group.run(1)
    assert doors(group[0]) == []


@pytest.mark.rule("A1")
def test_car_takes_no_call_that_another_claims_until_it_is_released() -> None:
    """If both claim a call, the one with the lower id keeps it."""
    claimed = Buttons(up=0b0110)
    cars = {0: Member(Car(3), 0, claimed, Rates()), 1: Member(Car(0), 0, Buttons(up=0b0010), Rates())}
    assert assignment.claimed_before(1, cars) == claimed
    assert assignment.claimed_before(0, cars) == Buttons()
    cars[0] = Member(Car(3), 0, Buttons(up=0b0100), Rates())
    assert assignment.claimed_before(1, cars) == Buttons(up=0b0100)


@pytest.mark.rule("C6")
@pytest.mark.parametrize("behaviour", Behaviour)
def test_car_takes_a_claimed_call_where_it_stands_but_not_where_it_passes(behaviour: Behaviour) -> None:
    """A car that took a call at the floor that it has just left behind would turn round for it."""
    claimed = Buttons(up=0b0110)
    cars = {0: Member(Car(3), 0, claimed, Rates()), 1: Member(Car(2, behaviour=behaviour), 0, Buttons(), Rates())}
    left = claimed if behaviour is Behaviour.MOVING else Buttons(up=0b0010)
    assert assignment.claimed_before(1, cars) == left
