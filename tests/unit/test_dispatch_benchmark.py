"""`elevator bench dispatch`: its passengers, its simulation, and the command."""

import json
import math
import subprocess
import sys
from array import array
from itertools import islice
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from elevator.cli.dispatch_benchmark import BASELINES, PROFILES, WARM_UP, passengers_per_ms, trip_probabilities, trips
from elevator.cli.dispatch_report import STUDENT_95, Setting, ratio_of, student_95
from elevator.cli.simulated_group import ASSIGNERS, TRIP_SIZE, run, uniform

COMMAND = [sys.executable, "-m", "elevator", "bench", "dispatch"]
ONE_VIEW = -1


def ride(
    people: list[tuple[int, int, int]],
    cars: int = 1,
    assigner: str = "plan",
    park: str = "none",
    capacity: int = 0,
    loss: int = ONE_VIEW,
) -> list[tuple[int, int]]:
    """Simulate *people* in a building of four floors; return (waiting time, journey time) of each, in ms.

    Each of *people* is (time of arrival in ms, origin, destination).
    """
    stream = array("q", [value for each in people for value in (*each, 0, 0)])
    done = run(Setting(assigner, park, [1], len(people), capacity, loss), cars, 4, 1, stream)
    return list(zip(done.waits_ms, done.journeys_ms, strict=True))


@pytest.mark.parametrize("assigner", ASSIGNERS)
def test_single_passenger_is_served(assigner: str) -> None:
    assert ride([(1000, 2, 0)], assigner=assigner) == [(5000, 5000 + 3000 + 5000)]
    assert ride([(1000, 0, 3)], assigner=assigner) == [(0, 3000 + 7500)]


def test_passenger_at_an_open_door_enters_at_once_and_extends_the_dwell_time() -> None:
    assert ride([(1000, 0, 3), (3000, 0, 3)]) == [(0, 2000 + 3000 + 7500), (0, 3000 + 7500)]


def test_passenger_waits_for_a_car_in_the_right_direction() -> None:
    """The car has announced down at floor 1. The passenger to floor 2 waits until the car returns."""
    (_, first), (wait, _) = ride([(1000, 1, 0), (3600, 1, 2)])
    assert first == 2500 + 3000 + 2500
    down_again_ms = 1000 + first
    assert 3600 + wait == down_again_ms + 3000 + 2500


def test_full_car_leaves_passengers_behind() -> None:
    (first, _), (second, _) = ride([(1000, 0, 1), (1000, 0, 1)], capacity=1)
    assert first == 0
    assert second == 3000 + 2500 + 3000 + 2500


def test_parking_shortens_waits() -> None:
    assert ride([(60_000, 3, 0)], cars=4, park="spread")[0][0] < ride([(60_000, 3, 0)], cars=4, park="none")[0][0]
    assert ride([(1000, 0, 3), (60_000, 0, 3)], park="lobby")[1][0] == 0


def test_sparing_parking_causes_fewer_motor_starts_than_spread_parking() -> None:
    stream = trips(1, 500, 4, PROFILES["inter"], 0.0001)
    starts = {
        park: run(Setting("plan", park, [1], 500, 0, ONE_VIEW), 4, 4, 1, stream).counts.starts
        for park in ("none", "sparing", "spread")
    }
    assert starts["none"] < starts["sparing"] < starts["spread"]


@pytest.mark.parametrize(("assigner", "wait_ms"), [("nearest", 9500), ("eta", 5000)])
def test_textbook_rules_differ_for_a_car_that_approaches_in_the_other_direction(assigner: str, wait_ms: int) -> None:
    """Car 0 goes up to floor 3. Meanwhile a passenger at floor 2 wants to go down, and car 1 is idle at floor 0.

    `nearest` assigns the call to car 0 until that car has passed floor 2, at 8000 ms. Only then does car 1 leave. `eta`
    assigns the call to car 1 at once, because car 1 can be there first.
    """
    assert ride([(0, 0, 3), (3500, 2, 0)], cars=2, assigner=assigner)[1][0] == wait_ms


def test_motor_starts_count_departures_but_not_floors_passed() -> None:
    stream = array("q", [1000, 2, 0, 0, 0])
    counts = run(Setting("plan", "none", [1], 1, 0, ONE_VIEW), 1, 4, 1, stream).counts
    assert (counts.starts, counts.floors_moved) == (2, 4)


@pytest.mark.parametrize("loss", [0, 50, 90])
def test_every_passenger_arrives_despite_packet_loss(loss: int) -> None:
    people = [(500 * n, n % 4, (n + 1 + n // 7 % 3) % 4) for n in range(300)]
    for assigner in ASSIGNERS:
        for wait, journey in ride(people, cars=3, assigner=assigner, park="spread", loss=loss):
            assert 0 <= wait < journey


BAD = [[], [(0, 0, 0)], [(0, 0, 4)], [(0, -1, 2)], [(5, 0, 1), (4, 0, 1)], [(-1, 0, 1)]]


@pytest.mark.parametrize("people", BAD)
def test_invalid_passengers_are_rejected(people: list[tuple[int, int, int]]) -> None:
    with pytest.raises(ValueError, match="invalid group or trips"):
        ride(people)


def test_random_numbers_match_splitmix64() -> None:
    outputs = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert list(islice(uniform(0), 3)) == [(output >> 11) * 2.0**-53 for output in outputs]


@pytest.mark.parametrize(
    ("cars", "floors", "profile", "load", "per_five_minutes"),
    [(3, 4, "inter", 1, 67.712), (3, 4, "up", 1, 59.113), (6, 16, "lunch", 3, 139.367), (8, 32, "down", 0.25, 7.413)],
)
def test_arrival_rates_match_the_definition_of_a_load(
    cars: int, floors: int, profile: str, load: float, per_five_minutes: float
) -> None:
    """The expected rates come from random trips in an independent implementation."""
    people = passengers_per_ms(cars, floors, PROFILES[profile], load) * 300_000
    assert people == pytest.approx(per_five_minutes, rel=0.01)


@pytest.mark.parametrize("profile", PROFILES)
def test_trips_follow_the_profile(profile: str) -> None:
    count, floors = 20_000, 5
    rows = trips(7, count, floors, PROFILES[profile], 0.001)
    drawn = list(zip(rows[1::TRIP_SIZE], rows[2::TRIP_SIZE], strict=True))
    for trip, chance in trip_probabilities(floors, PROFILES[profile]).items():
        assert drawn.count(trip) / count == pytest.approx(chance, abs=0.01)
    assert rows[-TRIP_SIZE] / count == pytest.approx(1000, rel=0.05)


def test_interval_of_a_ratio_widens_with_the_spread_of_the_seeds() -> None:
    middle, low, high = ratio_of([math.log(0.5), math.log(0.5 * 4)])
    assert middle == pytest.approx(1)
    # Two seeds: the standard error of the logarithm is ln(4) / 2.
    assert low == pytest.approx(4 ** (-12.706 / 2))
    assert high == pytest.approx(4 ** (12.706 / 2))
    assert ratio_of([math.log(0.5)] * 3) == pytest.approx((0.5, 0.5, 0.5))
    assert ratio_of([0.0]).margin == "-"


def test_student_95_decreases_and_is_accurate_beyond_its_table() -> None:
    factors = [student_95(freedom) for freedom in range(1, 1000)]
    assert factors == sorted(factors, reverse=True)
    assert factors[len(STUDENT_95)] == pytest.approx(2.228, abs=0.003)
    assert factors[119] == pytest.approx(1.980, abs=0.001)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=300, check=False)


SMALL = ["--seed", "5", "--configs", "3x4", "--loads", "light,heavy", "--passengers", str(3 * WARM_UP)]


def test_command_prints_a_table_and_draws_a_chart(tmp_path: Path) -> None:
    chart = tmp_path / "waits.svg"
    done = command(*SMALL, "--plot", str(chart))
    assert (done.returncode, done.stderr) == (0, "")
    assert len([line for line in done.stdout.splitlines() if line.startswith("3x4")]) == 8
    assert "cells with more turns" in done.stdout
    assert "with equal parking" in done.stdout
    drawn = ET.fromstring(chart.read_text())  # noqa: S314
    assert len(drawn.findall(".//{*}title")) == 8


def test_json_output_is_reproducible_from_the_seed() -> None:
    first, second = (json.loads(command(*SMALL, "--json").stdout) for _ in range(2))
    for key in ("wait_ratio_plain", "wait_ratio_equal", "p95_ratio_equal"):
        assert [cell[key] for cell in first["cells"]] == [cell[key] for cell in second["cells"]]
    assert {(cell["config"], cell["profile"], cell["load"]) for cell in first["cells"]} == {
        ("3x4", profile, load) for profile in PROFILES for load in ("light", "heavy")
    }
    (plain, low, high), (equal, _, _) = (
        first["ratios"]["reference"][f"wait_ratio_{base}"] for base in ("plain", "equal")
    )
    assert low < plain < high
    assert plain < equal < 1


def test_every_baseline_has_its_own_rows_and_summary() -> None:
    done = command(
        *SMALL, "--baselines", ",".join(BASELINES), "--profiles", "inter", "--loads", "heavy", "--seeds", "1"
    )
    assert done.returncode == 0
    for baseline in BASELINES:
        assert f"relative to {baseline}" in done.stdout
    assert len([line for line in done.stdout.splitlines() if line.startswith("3x4")]) == len(BASELINES)
    assert "nan" not in done.stdout  # One seed gives no interval.


def test_plain_and_equal_results_are_the_same_without_parking() -> None:
    done = json.loads(command(*SMALL, "--park", "none", "--profiles", "inter", "--json").stdout)
    for cell in done["cells"]:
        assert cell["plain"] == cell["equal"]


def test_help_explains_the_columns() -> None:
    done = command("--help")
    assert done.returncode == 0
    for word in ("own, plain, equal", "ratio ", "+-", "starts ", "floors ", "journey "):
        assert word in done.stdout


@pytest.mark.parametrize(
    "words", [["--configs", "9x9"], ["--loss", "100"], ["--seed", "x"], ["--passengers", "1"], ["--plot", "/proc/x"]]
)
def test_bad_arguments_print_one_line_and_exit_with_status_2(words: list[str]) -> None:
    done = command(*SMALL, *words) if words[0] == "--plot" else command(*words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
