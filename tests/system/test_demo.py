"""Parts of the demo: its terminal picture, overload estimate, verdict, time limit and arguments.

test_demo_page.py tests a running demo.
"""

import random
from contextlib import closing
from types import SimpleNamespace
from typing import cast

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from elevator.building import elevators, passengers
from elevator.building import shaft as physics
from elevator.building.building import open_building, random_starts
from elevator.building.elevators import Counters, SimulatedElevator
from elevator.building.passengers import Passenger, PassengerFlow, Trip
from elevator.building.shaft import Shaft
from elevator.cli.demo import main, may_overload
from elevator.cli.demo_group import DemoGroup
from elevator.cli.demo_picture import Scene, draw
from elevator.cli.demo_verdict import judge
from elevator.cli.running_demo import Demo
from elevator.core.model import Buttons, Motor
from elevator.exam.controllers import Controllers


def car(floors: int, floor: float, motor: Motor = Motor.STOP) -> SimulatedElevator:
    shaft = physics.command(physics.put(Shaft(floors), floor, 0), motor, 0)
    return evolve(elevators.new_elevator(shaft), door=motor is Motor.STOP, lamps=Buttons(1, 2, 3))


def scene(floors: int = 4, cars: int = 2, waiting: int = 0, now_ms: int = 0) -> Scene:
    crowd = passengers.crowd(PassengerFlow(1, cars, floors, 10))
    here = tuple(Passenger(Trip(n, 0, 0, 0, 1), 0, 0, 0) for n in range(waiting))
    seen = [car(floors, index % floors, list(Motor)[index % 3]) for index in range(cars)]
    return Scene("title", seen, evolve(crowd, present=here), ("a node says this", "and that"), now_ms)


def test_picture_shows_cars_passengers_statistics_log_and_the_number_of_hidden_cars() -> None:
    picture = draw(scene(waiting=3), 100, 40).plain
    assert "car 0" in picture
    assert "3▲" in picture
    assert "served 0, under way 3" in picture
    assert "and that" in picture
    assert "more" not in picture
    assert "and 62 more" in draw(scene(cars=64), 53, 40).plain


@given(st.integers(2, 64), st.integers(1, 64), st.integers(1, 200), st.integers(1, 100), st.integers(0, 200_000))
def test_picture_rows_fit_the_terminal_if_it_has_room_for_one_car_and_all_floors(
    floors: int, cars: int, width: int, height: int, now_ms: int
) -> None:
    lines = draw(scene(floors, cars, now_ms=now_ms), width, height).plain.splitlines()
    assert len(lines) <= max(height, floors + 8)
    assert all(cell_len(line) <= max(width, 40) for line in lines[2:5])


@pytest.mark.parametrize(("cars", "cores"), [(3, 1), (16, 1), (22, 2), (64, 16)])
def test_nodes_may_overload_the_machine_above_a_limit_that_grows_with_its_cores(cars: int, cores: int) -> None:
    assert not may_overload(cars, cores)
    assert may_overload(cars + 1, cores) or cars == 3


def counted(counts: Counters) -> Scene:
    """Return a scene with one elevator, which has *counts*."""
    good = scene()
    return evolve(good, elevators=[evolve(good.elevators[0], counts=counts)])


@pytest.mark.parametrize("cut_short", [False, True])
def test_demo_in_which_nothing_failed_exits_with_0(cut_short: bool) -> None:
    assert judge(scene(), {}, cut_short).status == 0


def test_demo_exits_with_1_if_a_passenger_is_never_served() -> None:
    one, two = judge(scene(waiting=1), {}, cut_short=False), judge(scene(waiting=2), {}, cut_short=False)
    assert (one.status, one.lines[1]) == (1, "1 passenger never served")
    assert (two.status, two.lines[1]) == (1, "2 passengers never served")


def test_demo_that_is_cut_short_need_not_serve_all_passengers() -> None:
    assert judge(scene(waiting=1), {}, cut_short=True).status == 0


def test_demo_exits_with_1_after_an_unsafe_command() -> None:
    assert judge(counted(Counters(door_between_floors=1)), {}, cut_short=True).status == 1


def test_demo_with_bad_requests_and_reloads_exits_with_0() -> None:
    assert judge(counted(Counters(bad_requests=1, reloads=1)), {}, cut_short=False).status == 0


def test_demo_exits_with_1_if_a_node_exits_by_itself() -> None:
    verdict = judge(scene(), {1: -9}, cut_short=False)
    assert verdict.status == 1
    assert "node 1 exited by itself with status -9" in verdict.lines
    assert "controller 1 exited by itself with status 2" in judge(scene(), {1: 2}, False, "controller").lines


@pytest.mark.parametrize(("floors", "needed_s", "enough_s"), [(4, 59, 60), (32, 250, 600)])
def test_demo_waits_longer_for_passengers_in_a_taller_building(floors: int, needed_s: float, enough_s: float) -> None:
    """With 32 floors, a car needs 155 s for a round trip, plus 3.5 s for each stop. So 250 s may be too short."""
    with closing(open_building(random_starts(Shaft(floors), 1, random.Random(1)))) as building:
        nodes = cast(Controllers, SimpleNamespace(all_ended=False))
        demo = Demo(DemoGroup(building, nodes, None), seed=1, rate=0, seconds=1)
        end_ms = building.clock_us() // 1000 + 1000
        assert demo.is_over(end_ms)
        demo._occupied.crowd = evolve(demo._occupied.crowd, present=scene(waiting=1).crowd.present)
        assert not demo.is_over(end_ms + round(needed_s * 1000))
        assert demo.is_over(end_ms + round(enough_s * 1000))


@pytest.mark.parametrize(
    "argv",
    [
        ["--cars", "0"],
        ["--floors", "65"],
        ["--for", "0"],
        ["--rate", "x"],
        ["now"],
        ["--"],
        ["--first-id", "1"],
        ["--own-dir"],
        ["--per-car", "role", "--", "true"],
        ["--start-gap", "-1", "--", "true"],
    ],
)
def test_bad_arguments_print_one_line_and_exit_with_status_2(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(argv)
    assert exit_.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
