"""The group: assignment and ages of hall calls, misconfigured nodes, and parking of idle cars."""

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
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
    floors_of,
    group_with_duplicate,
    is_door_open,
    lamps,
    motors,
    obstruct,
    settle,
    stop_button,
)

from elevator.core import act, assignment
from elevator.core.assignment import Member
from elevator.core.model import (
    AGE_MS,
    AGES,
    EVERY_CAR,
    NONE_WAITED,
    Behaviour,
    Button,
    Buttons,
    Call,
    Car,
    Direction,
    Fault,
    Policy,
    Rates,
)
from elevator.runtime.event_log import events
from elevator.simulation.faults import FaultKind


@pytest.mark.rule("A1")
def test_only_one_car_moves_to_answer_a_hall_call() -> None:
    group = Group(at=(0, 3, 3))
    group.press(0, UP, 1)
    settle(group)
    assert floor_of(group[0]) == 1
    assert motors(group[1]) == motors(group[2]) == []


@pytest.mark.rule("A2")
def test_hall_calls_are_served_although_the_links_form_a_one_way_cycle() -> None:
    group = Group(at=(0, 1, 2))
    group.link(lambda sender, receiver: (sender + 1) % 3 == receiver)
    group.run(1000)
    for panel, floor in enumerate((3, 1, 2)):
        group.press(panel, DOWN, floor)
    settle(group)


@pytest.mark.rule("A2")
def test_hall_calls_are_served_although_two_nodes_cannot_reach_each_other() -> None:
    group = Group(at=(0, 1, 3))
    group.link(lambda sender, receiver: {sender, receiver} != {0, 2})
    group.run(1000)
    for panel, floor in enumerate((2, 2, 1)):
        group.press(panel, UP, floor)
    settle(group)


@pytest.mark.rule("A3", "L2")
def test_all_nodes_warn_of_a_duplicate_id_and_all_calls_are_served() -> None:
    group = group_with_duplicate()
    for car in (group[0], group[2]):
        assert any("another node has the same id" in what for what in car.node.warnings)
    assert any("two nodes have the same id, 0" in what for what in group[1].node.warnings)
    group.press(0, CAB, 2)
    group.press(2, DOWN, 1)
    group.run(100)
    assert group.lit(0) == {("down", 1), ("cab", 2)}
    assert group.lit(2) == {("down", 1)}
    settle(group)


@pytest.mark.rule("A3")
def test_node_with_a_different_number_of_floors_is_logged_and_ignored() -> None:
    group = Group(cars=1)
    group.join(FaultKind.OTHER_FLOORS, id=1, floors=9)
    group.run(1000)
    assert [what for what in group[0].node.warnings if "9 floors" in what]
    group.press(0, UP, 2)
    group.run(50)
    assert group.lit(1) == set()
    group.run_until(lambda: not group.lit(0), 20_000)


@pytest.mark.rule("A3", "L2")
def test_duplicate_does_not_show_cab_calls_from_earlier_incarnations_of_the_original() -> None:
    group = Group(cars=2, at=(0, 3))
    group.press(0, CAB, 3)
    group.run(50)
    group[0].kill()
    group.run(100)
    group[0].start()
    group.join(FaultKind.DUPLICATE_ID, id=0)
    group.run(1500)
    assert group.lit(2) == set()
    settle(group)
    assert floor_of(group[0]) == 3


@pytest.mark.rule("A3")
def test_car_does_not_serve_cab_calls_of_its_duplicate() -> None:
    group = group_with_duplicate()
    group.press(2, CAB, 2)
    group.run(100)
    group.press(0, CAB, 2)
    group.run_until(lambda: ("cab", 2) not in group.lit(0), 10_000)
    assert lamps(group[2], CAB, 2) == [True] or floor_of(group[2]) == 2
    settle(group)
    assert floor_of(group[0]) == floor_of(group[2]) == 2


@pytest.mark.rule("A3")
def test_duplicate_does_not_log_a_cab_call_as_served_when_the_original_takes_it_back() -> None:
    group = group_with_duplicate()
    group.press(0, CAB, 2)
    group.run(100)
    group[0].kill()
    group.run_until(lambda: group.lit(2) == {("cab", 2)}, 5000)
    before = group[2].node
    group[0].start()
    group.run_until(lambda: group.lit(2) == set(), 500)
    assert before is not None
    lines = [event.text for event in events(before, group[2].node)]
    assert "cab call of car 0 to floor 2: lamp off, not served yet" in lines
    settle(group)
    assert floor_of(group[0]) == 2


@pytest.mark.rule("A3")
def test_restarted_node_does_not_adopt_the_cab_calls_of_its_duplicate() -> None:
    group = group_with_duplicate()
    group.press(2, CAB, 2)
    group.run(100)
    group[0].kill()
    group.run(50)
    group[0].start()
    group.run(1000)
    assert any("another node has the same id" in what for what in group[0].node.warnings)
    assert group.lit(0) == set()
    settle(group)
    assert floor_of(group[0]) == 0


@pytest.mark.rule("A3")
def test_node_that_reads_its_record_late_shows_only_its_own_cab_calls() -> None:
    group = group_with_duplicate()
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
def test_press_at_a_duplicate_is_served_after_many_restarts_of_the_original() -> None:
    group = group_with_duplicate()
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
    group.link(lambda sender, receiver: {sender, receiver} != {0, 2})
    group.press(2, UP, 2)
    group.run(500)
    assert len(doors(group[1])) == opened + 1
    assert not group[2].node.calls.live


@pytest.mark.rule("A1", "A2")
def test_only_one_car_serves_a_call_that_waited_while_all_cars_were_out_of_service() -> None:
    group = Group(at=(0, 0, 0))
    for car in group.cars:
        stop_button(car, True)
    group.press(0, UP, 2)
    group.run(90_000)
    for car in group.cars:
        stop_button(car, False)
    settle(group)
    assert sum(floor_of(car) == 2 for car in group.cars) == 1


@pytest.mark.rule("A4")
def test_idle_cars_park_at_different_floors_with_their_doors_closed() -> None:
    group = Group(floors=9, at=(0, 0, 0), policy=SPREAD)
    group.run(30_000)
    assert len({*floors_of(group)}) == 3
    assert None not in floors_of(group)
    assert not any(doors(car) for car in group.cars)
    parked = floors_of(group)
    group.run(30_000)
    assert floors_of(group) == parked


@pytest.mark.rule("A4")
def test_idle_cars_park_in_the_lobby_under_the_lobby_policy() -> None:
    group = Group(floors=5, at=(4, 2, 0), policy=LOBBY)
    group.run(20_000)
    assert floors_of(group) == [0, 0, 0]
    assert not any(doors(car) for car in group.cars)


@pytest.mark.rule("A4")
def test_call_reverses_a_parking_car_that_has_just_reached_a_floor() -> None:
    group = Group(cars=1, floors=9, at=(8,), policy=LOBBY)
    group.run_until(lambda: group[0].elevator.sensed == 5, 20_000)
    group.press(0, DOWN, 8)
    group.run_until(lambda: is_door_open(group[0]), 4 * 2500 + 600)
    assert floor_of(group[0]) == 8


@pytest.mark.rule("A4")
def test_idle_car_waits_before_it_leaves_to_park() -> None:
    group = Group(cars=1, floors=4, at=(0,), policy=LOBBY)
    group.press(0, CAB, 2)
    group.run_until(lambda: is_door_open(group[0]), 8000)
    group.run_until(lambda: not is_door_open(group[0]), 4000)
    closed_ms = group.now_ms
    group.run_until(lambda: group[0].elevator.sensed is None, 3000)
    assert group.now_ms - closed_ms >= act.PARK_AFTER_MS


@pytest.mark.rule("C6")
def test_press_at_an_idle_car_is_served_at_once() -> None:
    """The idle car opens its door, although a car that will soon pass could serve the call at a lower cost."""
    group = Group(floors=4, at=(0, 1, 3))
    group.press(0, CAB, 3)
    group.run(400)
    group.press(1, UP, 1)
    assert group.run_until(lambda: is_door_open(group[1]), 300) < 50
    group.run(6000)
    assert len(doors(group[0])) == 0


@pytest.mark.rule("A1", "C1")
def test_only_one_of_two_idle_cars_at_a_floor_opens_its_door() -> None:
    """The other car keeps its door closed even before a heartbeat reports that the call was served."""
    group = Group(floors=4, at=(1, 1, 3))
    group.press(2, UP, 1)
    settle(group)
    assert sum(len(doors(car)) for car in group.cars) == 2  # One door opened and closed.


@pytest.mark.rule("A1", "A2")
def test_exactly_one_car_claims_a_call_in_the_other_direction_at_an_open_door() -> None:
    group = Group(floors=4, at=(1, 2, 3))
    group.press(0, DOWN, 1)
    group.run(300)
    group.press(0, CAB, 0)
    group.run(500)
    assert is_door_open(group[0])
    group.press(2, UP, 1)
    group.run(20)
    claims = []
    for _ in range(500):
        group.run(1)
        claims.append(sum(car.node.claims.up >> 1 & 1 for car in group.cars))
    assert set(claims) == {1}


@pytest.mark.rule("A1")
def test_node_whose_assignment_never_settles_sends_few_heartbeats(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group = Group(cars=1, at=(0,), travel_ms=10_000)
    monkeypatch.setattr(assignment, "planned", lambda _, me, floors, hall, cars: Buttons(hall.up & ~cars[me].claims.up))
    group.press(0, UP, 2)
    group.run(100)
    before = group[0].node.outgoing.sequence
    group.run(1000)
    assert group[0].node.outgoing.sequence - before < 40


@pytest.mark.rule("A1", "C2")
@pytest.mark.parametrize(
    ("announced", "cab", "served"),
    [
        (False, 0, Buttons(up=0b10, down=0b10)),
        (False, 0b1000, Buttons(up=0b10)),
        (True, 0, Buttons(up=0b10)),
        (True, 0b1000, Buttons(up=0b10)),
    ],
)
def test_open_door_serves_the_other_hall_call_only_if_nothing_is_announced_or_ahead(
    announced: bool, cab: int, served: Buttons
) -> None:
    car = Car(1, Direction.UP, Behaviour.DOOR_OPEN, Fault.NONE, announced=announced)
    member = Member(car, cab, Buttons(), NONE_WAITED, Rates())
    assert assignment.served_by_open_doors({0: member}) == {0: served}


def plan_for_a_moving_car(monkeypatch: pytest.MonkeyPatch, answers: Iterator[Buttons]) -> Group:
    """Return a car between floors 0 and 1, whose plan for the up call at floor 2 takes each of *answers* in turn."""
    group = Group(cars=1, at=(0,), travel_ms=10_000)
    monkeypatch.setattr(assignment, "planned", lambda *_: Buttons())
    group.press(0, CAB, 3)
    group.run_until(lambda: floor_of(group[0]) is None, 5000)
    group.press(0, UP, 2)
    group.run(500)
    assert not group[0].node.claims.up
    monkeypatch.setattr(assignment, "planned", lambda _, me, floors, hall, cars: next(answers) & hall)
    return group


@pytest.mark.rule("A1")
def test_node_keeps_a_call_although_its_assignment_alternates(monkeypatch: pytest.MonkeyPatch) -> None:
    group = plan_for_a_moving_car(monkeypatch, itertools.cycle([Buttons(up=0b100), Buttons()]))
    for is_obstructed in [True, False] * 10:
        obstruct(group[0], is_obstructed)  # The door is closed, so this only triggers a step of the node.
        group.run(50)
        assert group[0].node.claims.up
    monkeypatch.undo()
    settle(group)


@pytest.mark.rule("A1")
def test_node_gives_up_a_kept_call_within_600_ms_if_its_assignment_settles(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [Buttons(up=0b100), Buttons(), Buttons(up=0b100)]
    group = plan_for_a_moving_car(monkeypatch, itertools.chain(answers, itertools.repeat(Buttons())))
    obstruct(group[0], True)  # The door is closed, so this only triggers a step of the node.
    group.run(50)
    assert group[0].node.claims.up
    group.run_until(lambda: not group[0].node.claims.up, 550)
    monkeypatch.undo()
    obstruct(group[0], False)
    settle(group)


@pytest.mark.rule("A2")
def test_call_counts_as_starved_even_if_it_is_often_claimed_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    call, cars = Call(Button.UP, 2, EVERY_CAR), {0: Member(Car(0), 0, Buttons(), NONE_WAITED, Rates())}
    taken = itertools.cycle((Buttons(), Buttons(), Buttons(up=0b100)))
    monkeypatch.setattr(assignment, "planned", lambda *_: next(taken))
    now = assignment.Assignment()
    for now_ms in range(0, assignment.UNCLAIMED_MS + 1, 100):
        cars[0] = cars[0]._replace(claims=now.claims)
        now = assignment.assign(now, now_ms, Policy(), 0, 4, Buttons(up=0b100), cars)
    assert now.waits[call].is_starved


@pytest.mark.rule("A1")
def test_assignment_counts_the_age_of_a_waiting_call() -> None:
    hall = Buttons(up=0b100)
    cars = {0: Member(Car(0), 0, hall, NONE_WAITED, Rates())}  # A claimed call does not starve.
    now, at_ms = assignment.Assignment(), 1000
    while at_ms < 1000 + 2 * AGES * AGE_MS:
        now = assignment.assign(now, at_ms, Policy(), 0, 4, hall, cars)
        ages = min((at_ms - 1000) // AGE_MS, AGES)
        assert now.waited == (hall,) * ages + NONE_WAITED[ages:]
        at_ms = now.due_at_ms
    assert assignment.assign(now, at_ms - 1, Policy(), 0, 4, Buttons(), cars).waited == NONE_WAITED


@pytest.mark.rule("A1")
def test_ages_of_calls_are_updated_at_intervals_even_if_calls_grow_old_one_after_the_other() -> None:
    cars = {0: Member(Car(0), 0, Buttons(), NONE_WAITED, Rates())}
    now, changes = assignment.Assignment(), 0
    for second in range(40):
        old, hall = now.waited, Buttons(up=(1 << second // 2) - 1)  # A new call every two seconds.
        now = assignment.assign(now, 1000 * second, Policy(), 0, 64, hall, cars)
        changes += now.waited != old
    assert 2 <= changes <= 40_000 // assignment.AGES_EVERY_MS


@pytest.mark.rule("A1")
@given(st.data())
def test_each_call_is_assigned_to_exactly_one_car_whatever_ages_the_nodes_publish(data: st.DataObject) -> None:
    floors = 6
    masks = st.integers(0, (1 << floors) - 1)
    buttons = st.builds(Buttons, masks, masks)
    cars = st.builds(Car, st.integers(1, floors - 2), st.sampled_from(Direction), st.sampled_from(Behaviour))
    waited = st.tuples(*[buttons] * AGES)
    one = st.builds(Member, cars, masks, st.just(Buttons()), waited, st.just(Rates()))
    members = dict(enumerate(data.draw(st.lists(one, min_size=2, max_size=4))))
    hall, assigned = data.draw(buttons), Buttons()
    for id in members:
        calls = assignment.planned(Policy(), id, floors, hall, members)
        assert not assigned & calls
        assigned |= calls
    assert assigned == hall


@pytest.mark.rule("A1")
def test_highest_published_age_of_a_call_counts() -> None:
    old, older = (Buttons(up=0b100), Buttons()), (Buttons(down=0b010), Buttons(up=0b100))
    cars = [Member(Car(0), 0, Buttons(), waited, Rates()) for waited in (NONE_WAITED, old, older)]
    assert assignment.waited_by_all(Buttons(0b110, 0b111), cars) == ((0b100, 0b010), (0b100, 0))


@pytest.mark.rule("A1")
def test_wait_ends_with_its_call_even_if_no_new_assignment_is_computed() -> None:
    call, hall, cars = Call(Button.UP, 2, EVERY_CAR), Buttons(up=0b100), {}
    cars[0] = Member(Car(0), 0, hall, NONE_WAITED, Rates())
    old = assignment.assign(assignment.Assignment(), 1000, Policy(), 0, 4, hall, cars)
    old = assignment.assign(old, 1000 + 2 * AGE_MS, Policy(), 0, 4, hall, cars)
    assert old.waited == (hall, hall)
    kept = assignment.keep(old, Buttons())
    assert call in old.waits
    assert not kept.waits
    assert kept.waited == NONE_WAITED


@pytest.mark.rule("A1")
def test_car_releases_a_call_before_another_car_claims_it() -> None:
    """Car 0 is on its way to the call when car 1 returns to service one floor above the call."""
    group = Group(floors=8, at=(0, 6))
    stop_button(group[1], True)
    group.run(100)
    group.press(0, UP, 5)
    group.run(500)
    assert behaviour(group[0]) is Behaviour.MOVING
    stop_button(group[1], False)
    while behaviour(group[1]) is not Behaviour.DOOR_OPEN:
        assert sum(car.node.claims.up >> 5 & 1 for car in group.cars) <= 1
        group.run(1)
    assert doors(group[0]) == []


@pytest.mark.rule("A1")
def test_lower_id_wins_if_two_cars_claim_the_same_call() -> None:
    claimed = Buttons(up=0b0110)
    cars = {
        0: Member(Car(3), 0, claimed, NONE_WAITED, Rates()),
        1: Member(Car(0), 0, Buttons(up=0b0010), NONE_WAITED, Rates()),
    }
    assert assignment.claimed_by_others(1, cars) == claimed
    assert assignment.claimed_by_others(0, cars) == Buttons()
    cars[0] = Member(Car(3), 0, Buttons(up=0b0100), NONE_WAITED, Rates())
    assert assignment.claimed_by_others(1, cars) == Buttons(up=0b0100)


@pytest.mark.rule("C6")
@pytest.mark.parametrize("behaviour", Behaviour)
def test_only_a_moving_car_respects_another_cars_claim_at_its_own_floor(behaviour: Behaviour) -> None:
    """A moving car may have passed the floor already and would have to reverse."""
    claimed = Buttons(up=0b0110)
    cars = {
        0: Member(Car(3), 0, claimed, NONE_WAITED, Rates()),
        1: Member(Car(2, behaviour=behaviour), 0, Buttons(), NONE_WAITED, Rates()),
    }
    left_to_other = claimed if behaviour is Behaviour.MOVING else Buttons(up=0b0010)
    assert assignment.claimed_by_others(1, cars) == left_to_other
