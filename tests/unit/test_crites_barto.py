"""`elevator bench crites-barto`: its passengers, its cars, and the command."""

import json
import subprocess
import sys
from array import array
from itertools import pairwise

import pytest

from elevator.cli.crites_barto import (
    ALGORITHMS,
    DOOR_MS,
    DOWN_PEAK,
    FLOORS,
    INTERVAL_MS,
    MIXES,
    PASS_MS,
    PUBLISHED,
    STOP_MS,
    TIMES,
    TURN_MS,
    down_peak,
    published,
    score,
    transfer_ms,
)
from elevator.cli.dispatch_report import Setting
from elevator.cli.simulated_group import TRIP_SIZE, run, uniform

COMMAND = [sys.executable, "-m", "elevator", "bench", "crites-barto"]
ENTER_MS, LEAVE_MS = 900, 1300


def ride(people: list[tuple[int, int, int]], assigner: str = "lqf", capacity: int = 0) -> list[tuple[int, int]]:
    """Simulate *people* with one car; return (waiting time, journey time) of each, in ms.

    Each of *people* is (time of arrival in ms, origin, destination).
    """
    stream = array("q", [value for each in people for value in (*each, ENTER_MS, LEAVE_MS)])
    done = run(Setting(assigner, "none", [1], len(people), capacity, -1), 1, FLOORS, 1, stream, TIMES)
    return list(zip(done.waits_ms, done.journeys_ms, strict=True))


def test_each_stop_and_each_transfer_adds_its_time_to_the_journey() -> None:
    up_ms = TURN_MS + 4 * PASS_MS + PASS_MS + DOOR_MS
    down_ms = TURN_MS + DOOR_MS + 4 * PASS_MS + PASS_MS + DOOR_MS
    assert ride([(0, 4, 0)]) == [(up_ms + ENTER_MS, up_ms + ENTER_MS + down_ms + LEAVE_MS)]
    (_, direct), *_ = ride([(0, 9, 0)])
    (_, stopping), *_ = ride([(0, 9, 0), (0, 4, 0)], assigner="nearest")
    assert stopping - direct == STOP_MS + ENTER_MS + LEAVE_MS  # The last to enter is the first to leave.


def test_passengers_enter_and_leave_one_after_another() -> None:
    (first, arrived), (second, arrived_next) = ride([(0, 5, 0), (0, 5, 0)])
    assert second - first == ENTER_MS
    assert abs(arrived_next - arrived) == LEAVE_MS


def test_passenger_who_arrives_while_the_door_opens_enters_after_those_who_waited() -> None:
    opens_ms = PASS_MS + DOOR_MS + 4 * PASS_MS + TURN_MS
    (first, _), (second, _) = ride([(0, 4, 0), (opens_ms - 1, 4, 0)])
    assert (first, second) == (opens_ms + ENTER_MS, 1 + 2 * ENTER_MS)


def test_full_car_returns_for_those_whom_it_left_behind() -> None:
    waits = [wait for wait, _ in ride([(0, 5, 0)] * 5, capacity=2)]
    assert [later - earlier == ENTER_MS for earlier, later in pairwise(waits)] == [True, False, True, False]
    assert waits[2] - waits[1] == waits[4] - waits[3] > 2 * 5 * PASS_MS


def test_lqf_goes_to_the_queue_that_has_waited_longest() -> None:
    """The car leaves for floor 2. Then passengers come to floors 8, 9 and 1. The car serves floor 1 on its way down."""
    people = [(0, 2, 0), (10, 8, 0), (20, 9, 0), (30, 1, 0)]
    waits = dict(zip((2, 8, 9, 1), (wait for wait, _ in ride(people)), strict=True))
    assert sorted(waits, key=lambda floor: waits[floor]) == [2, 1, 8, 9]
    assert [wait for wait, _ in ride(people, assigner="plan")] != list(waits.values())


def test_lqf_does_not_stop_for_a_call_that_another_car_was_sent_to() -> None:
    """Each car is sent to one of two queues. The car from the upper queue passes the lower queue on its way down."""
    stream = array("q", [value for each in ((0, 9, 0), (0, 1, 0)) for value in (*each, ENTER_MS, LEAVE_MS)])
    done = run(Setting("lqf", "none", [1], 2, 0, -1), 2, FLOORS, 1, stream, TIMES)
    alone = ride([(0, 9, 0)])
    assert (done.waits_ms[0], done.journeys_ms[0]) == alone[0]


def test_transfer_times_follow_a_truncated_erlang_distribution() -> None:
    numbers = uniform(3)
    drawn = [transfer_ms(numbers) for _ in range(3000)]
    assert min(drawn) >= 600
    assert max(drawn) <= 6000
    assert sum(drawn) / len(drawn) == pytest.approx(1000, rel=0.02)
    deviation = (sum((each - 1000) ** 2 for each in drawn) / len(drawn)) ** 0.5
    assert deviation == pytest.approx(1000 / 20**0.5, rel=0.05)


@pytest.mark.parametrize("mix", MIXES)
def test_arrivals_and_trips_follow_the_traffic_mix(mix: str) -> None:
    up_per_minute, between = MIXES[mix]
    count = [0] * len(DOWN_PEAK)
    trips = {"up": 0, "down": 0, "between": 0}
    hours = 20
    for seed in range(hours):
        rows = down_peak(seed, up_per_minute, between)
        starts, origins, destinations = (rows[field::TRIP_SIZE] for field in range(3))
        assert list(starts) == sorted(starts)
        for at_ms, origin, destination in zip(starts, origins, destinations, strict=True):
            trips["up" if origin == 0 else "down" if destination == 0 else "between"] += 1
            count[at_ms // INTERVAL_MS] += 1
    down = hours * sum(DOWN_PEAK) * (FLOORS - 1)
    assert trips["down"] == pytest.approx(down, rel=0.03)
    assert trips["up"] == pytest.approx(hours * 60 * up_per_minute, rel=0.07)
    assert trips["between"] == pytest.approx(between * down, rel=0.15)
    for interval, people in enumerate(DOWN_PEAK):
        expected = hours * ((1 + between) * people * (FLOORS - 1) + 5 * up_per_minute)
        assert count[interval] == pytest.approx(expected, abs=4 * expected**0.5)


def test_score_averages_the_squared_waits() -> None:
    """The example of the paper: waits of 2 and 8 s have the same mean as waits of 4 and 6 s."""
    assert score([2000, 8000], [10_000, 20_000]) == (5, 34, 15, 0)
    assert score([4000, 6000], [10_000, 20_000]) == (5, 26, 15, 0)
    assert score([60_000, 60_001], [1, 1]).above_60_s_percent == 50


def test_published_results_are_relative_to_the_published_lqf() -> None:
    for mix in MIXES:
        rows = published(mix)
        assert rows["LQF"].wait_ratio.value == rows["LQF"].squared_wait_ratio.value == 1
    assert published("down only")["RLd"].squared_wait_ratio.value == pytest.approx(313 / 534)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=300, check=False)


def test_json_output_is_reproducible_from_the_seed() -> None:
    first, second, other = (command("--seeds", "1", "--json", "--seed", seed).stdout for seed in ("7", "7", "8"))
    assert first == second != other
    for mix, results in json.loads(first)["mixes"].items():
        assert results["measured"].keys() == {*ALGORITHMS}
        assert results["published"].keys() == PUBLISHED[mix].keys()
        assert results["measured"]["lqf"]["wait_ratio"] == [1, None, None]
        assert results["measured"]["plan"]["squared_wait_ratio"][0] < 1


def test_command_prints_a_row_for_each_algorithm_and_mix() -> None:
    done = command("--seed", "7", "--seeds", "2")
    assert (done.returncode, done.stderr) == (0, "")
    rows = done.stdout.splitlines()[2:]
    assert len(rows) == sum(len(ALGORITHMS) + len(PUBLISHED[mix]) for mix in MIXES)
    assert "nan" not in done.stdout


@pytest.mark.parametrize("words", [["--seeds", "0"], ["--park", "x"], ["more"]])
def test_bad_arguments_print_one_line_and_exit_with_status_2(words: list[str]) -> None:
    done = command(*words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
