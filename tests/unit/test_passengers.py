"""Passengers: their reactions to elevators, and their arrivals."""

import statistics
from collections.abc import Iterable
from itertools import pairwise

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from elevator.building import elevators, passengers
from elevator.building import shaft as physics
from elevator.building.elevators import SimulatedElevator
from elevator.building.passengers import (
    BOARDING_MS,
    LAMP_DELAY_MS,
    PATIENCE_MS,
    RECENT,
    Crowd,
    PanelPress,
    Passenger,
    PassengerFlow,
    Profile,
    Stage,
    Totals,
    Trip,
)
from elevator.building.shaft import Shaft
from elevator.core.call_set import mask
from elevator.core.model import Button, Buttons

FLOORS = 4
FLOW = PassengerFlow(seed=1, cars=2, floors=FLOORS, per_minute=20)
UP_FROM_1 = Trip(number=0, at_ms=1000, panel=0, origin=1, destination=3)
CALL = PanelPress(0, Button.UP, 1)


def car(floor: float, door: bool = False, up: int = 0, down: int = 0, cab: int = 0) -> SimulatedElevator:
    """Return an elevator with its car at *floor*. *up*, *down* and *cab* are masks of lit lamps."""
    elevator = elevators.new_elevator(physics.put(Shaft(FLOORS), floor, 0))
    return evolve(elevator, door=door, lamps=Buttons(up, down, cab))


def one(trip: Trip = UP_FROM_1) -> Crowd:
    """Return a crowd with a single passenger, who will arrive and make *trip*."""
    return Crowd(evolve(FLOW, until_ms=0), trip)


def run(crowd: Crowd, moments: Iterable[tuple[int, list[SimulatedElevator]]]) -> tuple[Crowd, list[PanelPress]]:
    """Step *crowd* at each (time, elevators) of *moments*. Return the new crowd and all presses."""
    pressed: list[PanelPress] = []
    for now_ms, seen in moments:
        crowd, presses = passengers.step(crowd, seen, now_ms)
        pressed += presses
    return crowd, pressed


def after(crowd: Crowd, *moments: tuple[int, list[SimulatedElevator]]) -> tuple[Passenger, list[PanelPress]]:
    """Step *crowd* like `run`. Return its only passenger, who must still be present, and all presses."""
    crowd, pressed = run(crowd, moments)
    (passenger,) = crowd.present
    return passenger, pressed


AWAY = [car(3), car(3)]
LIT = [car(3, up=0b10), car(3)]
HERE = [car(3), car(1, door=True)]


@pytest.mark.parametrize(
    ("profile", "incoming", "outgoing"),
    [("up", 0.85, 0.05), ("down", 0.05, 0.85), ("inter", 0.0, 0.0), ("lunch", 0.4, 0.4)],
)
def test_profile_sets_the_shares_of_incoming_and_outgoing_trips(profile: str, incoming: float, outgoing: float) -> None:
    floors = 8
    flow = PassengerFlow(seed=1, cars=2, floors=floors, per_minute=20, profile=Profile(profile))
    trips = [trip for number in range(4000) if (trip := passengers.draw(flow, number, 0))]
    rest = (1 - incoming - outgoing) / floors  # share of interfloor trips that begin (or end) at floor 0
    from_entrance = sum(trip.origin == 0 for trip in trips) / len(trips)
    to_entrance = sum(trip.destination == 0 for trip in trips) / len(trips)
    assert abs(from_entrance - incoming - rest) < 0.02
    assert abs(to_entrance - outgoing - rest) < 0.02


def test_passenger_arrives_on_time_and_presses_the_hall_button() -> None:
    crowd, presses = passengers.step(one(), AWAY, 999)
    assert (crowd, presses) == (one(), ())
    passenger, pressed = after(crowd, (1000, AWAY))
    assert (passenger.stage, pressed) == (Stage.WAITING, [CALL])


def test_passenger_boards_an_open_car_and_rides_to_the_destination() -> None:
    riding_at = 5000 + BOARDING_MS
    story = [
        (1000, AWAY),
        (1100, LIT),
        (5000, HERE),
        (riding_at - 1, HERE),
        (riding_at, HERE),
        (riding_at + 100, [car(3), car(1, cab=0b1000)]),
        (8000, [car(3, door=True), car(2, cab=0b1000, door=True)]),
        (9000, [car(3), car(3, cab=0b1000)]),
        (9100, [car(3), car(3, door=True)]),
    ]
    stages = [after(one(), *story[: length + 1])[0].stage for length in range(len(story) - 1)]
    waiting, boarding, riding = Stage.WAITING, Stage.BOARDING, Stage.RIDING
    assert stages == [waiting, waiting, boarding, boarding, riding, riding, riding, riding]
    crowd, pressed = run(one(), story)
    assert pressed == [CALL, PanelPress(1, Button.CAB, 3)]
    waited_ms = riding_at - 1000
    assert (crowd.present, crowd.totals) == ((), Totals(1, 1, waited_ms, waited_ms, ((riding_at, waited_ms),)))


@pytest.mark.rule("C2")
def test_passenger_does_not_board_before_the_car_announces_their_direction() -> None:
    """A car announces a direction by switching off the hall lamp of this direction on its panel."""
    lit_there = [car(3), car(1, door=True, up=0b10)]
    assert after(one(), (1000, LIT), (5000, lit_there))[0].stage is Stage.WAITING
    other_lamps = [car(3, up=0b10), car(1, door=True, up=0b100, down=0b10, cab=0b10)]
    assert after(one(), (1000, LIT), (5000, other_lamps))[0].stage is Stage.BOARDING


def test_passenger_does_not_board_closed_distant_or_passing_cars() -> None:
    for seen in ([car(1), car(1)], [car(2, door=True), car(0, door=True)], [car(1.5, door=True), car(3)]):
        assert after(one(), (1000, LIT), (5000, seen))[0].stage is Stage.WAITING


def test_passenger_ignores_dark_lamps_right_after_the_press() -> None:
    story = [(1000, HERE), (1000 + LAMP_DELAY_MS - 1, HERE), (1000 + LAMP_DELAY_MS, HERE)]
    assert after(one(), *story[:2])[0].stage is Stage.WAITING
    assert after(one(), *story)[0].stage is Stage.BOARDING


def test_passenger_keeps_waiting_if_the_door_closes_while_boarding() -> None:
    passenger, pressed = after(one(), (1000, AWAY), (3000, HERE), (3000 + BOARDING_MS, AWAY))
    assert (passenger.stage, passenger.car, pressed) == (Stage.WAITING, None, [CALL])
    assert passenger.dark_since_ms == 3000 + BOARDING_MS


def test_passenger_presses_on_the_next_panel_if_the_lamp_stays_dark() -> None:
    due = 1000 + PATIENCE_MS
    passenger, pressed = after(one(), (1000, AWAY), (due - 1, AWAY), (due, AWAY), (due + 1, AWAY))
    assert pressed == [CALL, PanelPress(1, Button.UP, 1)]
    assert passenger.pressed_at_ms == due


def test_passenger_does_not_press_again_while_the_lamp_is_lit_or_a_door_is_open() -> None:
    wrong_way = [car(1, door=True, up=0b10), car(3)]
    story = [(1000, AWAY), (1100, LIT), (50_000, LIT), (60_000, wrong_way), (70_000, LIT), (80_000, AWAY)]
    assert after(one(), *story)[1] == [CALL]
    assert after(one(), *story, (80_000 + PATIENCE_MS, AWAY))[1] == [CALL, PanelPress(1, Button.UP, 1)]


def test_passenger_presses_the_cab_button_again_if_its_lamp_stays_dark() -> None:
    riding_at = 3000 + BOARDING_MS
    story = [(1000, AWAY), (3000, HERE), (riding_at, HERE), (riding_at + PATIENCE_MS, HERE)]
    assert after(one(), *story)[1] == [CALL, PanelPress(1, Button.CAB, 3), PanelPress(1, Button.CAB, 3)]


def test_crowd_wakes_at_the_time_of_its_next_action() -> None:
    crowd = one()
    assert passengers.wake_at_ms(crowd) == 1000
    crowd, _ = passengers.step(crowd, AWAY, 1000)
    assert passengers.wake_at_ms(crowd) == 1000 + LAMP_DELAY_MS
    crowd, _ = passengers.step(crowd, AWAY, 1000 + LAMP_DELAY_MS)
    assert passengers.wake_at_ms(crowd) == 1000 + PATIENCE_MS
    lit, _ = passengers.step(crowd, LIT, 1600)
    assert passengers.wake_at_ms(lit) is None
    boarding, _ = passengers.step(crowd, HERE, 1600)
    assert passengers.wake_at_ms(boarding) == 1600 + BOARDING_MS


def test_longest_wait_includes_passengers_who_still_wait() -> None:
    crowd, _ = passengers.step(one(), AWAY, 1000)
    assert passengers.tally(crowd, 31_000) == passengers.Tally(0, 1, 0.0, 30_000)
    done = evolve(crowd, present=(), totals=Totals(1, 1, 3000, 3000))
    assert passengers.tally(done, 31_000) == passengers.Tally(1, 0, 3000.0, 3000)


def test_statistics_include_waits_that_are_no_longer_stored_individually() -> None:
    crowd = passengers.crowd(evolve(FLOW, per_minute=600))
    waits: dict[int, int] = {}
    for now_ms in range(0, 100_000, 50):
        everywhere = [car((floor + now_ms // 1000) % FLOORS, door=True) for floor in range(FLOORS)]
        crowd, _ = passengers.step(crowd, everywhere, now_ms)
        for each in crowd.present:
            if each.stage is Stage.RIDING:
                waits.setdefault(each.trip.number, now_ms - each.trip.at_ms)
    tally = passengers.tally(crowd, 100_000)
    assert len(crowd.totals.recent) == RECENT < tally.served <= len(waits)
    assert (tally.mean_wait_ms, crowd.totals.longest_ms) == (statistics.mean(waits.values()), max(waits.values()))


# Arrivals


def test_arrivals_are_a_poisson_process_with_the_given_rate() -> None:
    flow = evolve(FLOW, until_ms=100 * 60_000)
    drawn = []
    trip = passengers.draw(flow, 0, 0)
    while trip is not None:
        drawn.append(trip)
        trip = passengers.draw(flow, trip.number + 1, trip.at_ms)
    assert 1800 < len(drawn) < 2200
    gaps = [after.at_ms - before.at_ms for before, after in pairwise(drawn)]
    assert 2700 < statistics.mean(gaps) < 3300
    assert 2700 < statistics.stdev(gaps) < 3300  # equal to the mean in a Poisson process
    up = sum(each.origin == 0 for each in drawn) / len(drawn)
    down = sum(each.destination == 0 for each in drawn) / len(drawn)
    assert 0.4 < up < 0.55
    assert 0.4 < down < 0.55
    assert {each.panel for each in drawn} == {0, 1}


def test_rate_0_stops_arrivals_until_the_rate_changes() -> None:
    crowd = passengers.change_flow(passengers.crowd(FLOW), 0, Profile.LUNCH, 500)
    assert crowd.next_trip is None
    crowd, presses = passengers.step(crowd, AWAY, 10**6)
    assert (crowd.present, presses, passengers.wake_at_ms(crowd)) == ((), (), None)
    crowd = passengers.change_flow(crowd, 60, Profile.UP, 10**6)
    assert crowd.next_trip is not None
    assert crowd.next_trip.at_ms > 10**6


def test_changing_the_rate_neither_repeats_nor_skips_a_passenger() -> None:
    crowd, seen = passengers.crowd(evolve(FLOW, per_minute=60)), []
    for now_ms in range(0, 60_000, 100):
        if now_ms % 1700 == 0:
            rate = (0, 30, 200)[now_ms // 1700 % 3]
            crowd = passengers.change_flow(crowd, rate, Profile.LUNCH, now_ms)
        crowd, _ = passengers.step(crowd, AWAY, now_ms)
        seen = [each.trip.number for each in crowd.present]
    assert seen == list(range(len(seen)))
    assert len(seen) > 10


@given(
    st.builds(
        PassengerFlow,
        st.integers(),
        st.integers(1, 64),
        st.integers(2, 64),
        st.floats(0.1, 1e4),
        profile=st.sampled_from(Profile),
    ),
    st.integers(0),
)
def test_every_trip_is_valid_and_reproducible(flow: PassengerFlow, number: int) -> None:
    trip = passengers.draw(flow, number, 77)
    assert trip is not None
    assert trip == passengers.draw(flow, number, 77)
    assert trip.at_ms >= 77
    assert trip.origin != trip.destination
    assert min(trip.origin, trip.destination) >= 0
    assert max(trip.origin, trip.destination) < flow.floors
    assert 0 <= trip.panel < flow.cars


@st.composite
def buildings(draw: st.DrawFn) -> list[SimulatedElevator]:
    """Draw the states of two elevators."""
    bits = st.integers(0, 2**FLOORS - 1)
    floor = st.sampled_from([0, 0.5, 1, 1.5, 2, 2.5, 3])
    return [car(draw(floor), draw(st.booleans()), draw(bits), draw(bits), draw(bits)) for _ in range(2)]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 3000), buildings()), max_size=40), st.integers())
def test_no_passenger_is_lost_and_only_existing_buttons_are_pressed(
    story: list[tuple[int, list[SimulatedElevator]]], seed: int
) -> None:
    crowd = passengers.crowd(evolve(FLOW, seed=seed))
    now_ms = 0
    for wait, seen in story:
        now_ms += wait
        crowd, presses = passengers.step(crowd, seen, now_ms)
        exist = elevators.buttons(FLOORS)
        assert all(mask(exist, press.button) >> press.floor & 1 for press in presses)
        assert crowd.next_trip is not None
        assert crowd.next_trip.at_ms > now_ms
        assert len(crowd.present) + crowd.totals.served == crowd.next_trip.number
        wake = passengers.wake_at_ms(crowd)
        assert wake is not None
        assert wake > now_ms
