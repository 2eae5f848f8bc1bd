"""The shaft: its invariants, and a comparison with a model that simulates every millisecond."""

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from elevator.building import shaft as physics
from elevator.building.shaft import Shaft
from elevator.core.model import Motor


@st.composite
def shafts(draw: st.DrawFn) -> Shaft:
    """Draw a shaft so small that a car passes through all of it within 80 ms. The car may be out of bounds."""
    shaft = Shaft(
        floors=draw(st.integers(2, 4)),
        travel_ms=draw(st.integers(1, 9)),
        passing_ms=draw(st.integers(1, 5)),
        motor=draw(st.sampled_from(Motor)),
        powered=draw(st.booleans()),
        since_ms=draw(st.integers(-5, 1000)),
    )
    return evolve(shaft, place=draw(st.integers(-1, physics.end(shaft))))


def model_sensor(shaft: Shaft, place: int) -> int | None:
    """Return the floor whose sensor is active at *place*; None between floors and out of bounds."""
    zones: list[int | None] = []
    for floor in range(shaft.floors):
        zones += [floor] * shaft.passing_ms + [None] * shaft.travel_ms
    return zones[place] if 0 <= place < physics.end(shaft) else None


def model_places(shaft: Shaft, steps: int) -> list[int]:
    """Return the car's place after 0, 1, ... *steps* ms. A car that moves covers one unit per ms."""
    places = [shaft.place]
    for _ in range(steps):
        runs = shaft.powered and 0 <= places[-1] < physics.end(shaft)
        places.append(places[-1] + (int(shaft.motor) if runs else 0))
    return places


@given(shafts())
def test_shaft_agrees_with_the_millisecond_model(shaft: Shaft) -> None:
    places = model_places(shaft, 80)
    for step, place in enumerate(places):
        now = shaft.since_ms + step
        assert physics.place(shaft, now) == place
        assert physics.sensor(shaft, now) == model_sensor(shaft, place)
        assert physics.is_out(shaft, now) == (not 0 <= place < physics.end(shaft))
        if step:
            assert (place != places[step - 1]) == physics.is_moving(shaft, now - 1)


@given(shafts())
def test_next_change_is_the_first_sensor_change(shaft: Shaft) -> None:
    sensors = [model_sensor(shaft, place) for place in model_places(shaft, 80)]
    first = next((step for step, floor in enumerate(sensors) if floor != sensors[0]), None)
    expected = None if first is None else shaft.since_ms + first
    assert physics.next_change_ms(shaft) == expected


@given(shafts(), st.lists(st.integers(0, 20), max_size=6), st.integers(0, 40))
def test_advancing_in_steps_equals_advancing_at_once(shaft: Shaft, pieces: list[int], rest: int) -> None:
    pieced = shaft
    for piece in pieces:
        pieced = physics.at(pieced, pieced.since_ms + piece)
    now = pieced.since_ms + rest
    assert physics.at(pieced, now) == physics.at(shaft, now)


@given(shafts(), st.lists(st.tuples(st.sampled_from(Motor), st.booleans(), st.integers(0, 30)), max_size=8))
def test_car_out_of_bounds_goes_no_further_and_stays_there_until_put_back(
    shaft: Shaft, commands: list[tuple[Motor, bool, int]]
) -> None:
    now = shaft.since_ms
    for motor, powered, wait in commands:
        was_out, was = physics.is_out(shaft, now), physics.place(shaft, now)
        shaft = physics.power(physics.command(shaft, motor, now), powered, now)
        assert physics.place(shaft, now) == was
        now += wait
        assert -1 <= physics.place(shaft, now) <= physics.end(shaft)
        if was_out:
            assert physics.place(shaft, now) == was
    back = physics.put_back(shaft, now)
    assert not physics.is_out(back, now)
    if physics.is_out(shaft, now):
        assert back.motor == Motor.STOP
        assert physics.sensor(back, now) in (0, shaft.floors - 1)
    else:
        assert back == shaft


@given(shafts(), st.integers(0, 20), st.integers(0, 20))
def test_power_cut_pauses_the_motion(shaft: Shaft, before: int, cut: int) -> None:
    shaft = evolve(shaft, powered=True)
    dead_at = shaft.since_ms + before
    dead = physics.power(shaft, False, dead_at)
    assert physics.next_change_ms(dead) is None
    assert physics.place(dead, dead_at + cut) == physics.place(shaft, dead_at)
    alive = physics.power(dead, True, dead_at + cut)
    assert physics.place(alive, dead_at + cut + 7) == physics.place(shaft, dead_at + 7)


@given(shafts(), st.floats(0, 3))
def test_placed_car_is_at_the_requested_position(shaft: Shaft, floor: float) -> None:
    floor = min(floor, shaft.floors - 1)
    put = physics.put(shaft, floor, 1000)
    assert not physics.is_out(put, 1000)
    assert abs(physics.position(put, 1000) - floor) <= 1 / physics.spacing(put)


def test_sensor_times_match_the_course_simulator() -> None:
    """A car that starts in the middle of a sensor leaves it after 250 ms. It reaches the next sensor 2000 ms later."""
    shaft = physics.command(physics.put(Shaft(floors=4), 1, 0), Motor.UP, 0)
    seen = []
    while (change := physics.next_change_ms(shaft)) is not None:
        shaft = physics.at(shaft, change)
        seen.append((change, physics.sensor(shaft, change)))
    assert seen == [(250, None), (2250, 2), (2750, None), (4750, 3), (5250, None)]
    assert physics.is_out(shaft, 5250)
    assert physics.sensor(physics.put_back(shaft, 9000), 9000) == 3


def test_repeated_command_changes_nothing() -> None:
    shaft = physics.command(Shaft(floors=4), Motor.UP, 10)
    assert physics.command(shaft, Motor.UP, 500) is shaft
