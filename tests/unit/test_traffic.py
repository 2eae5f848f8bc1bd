"""Measured passenger traffic: accuracy, bounds, and equality with the benchmark's implementation."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elevator import _bench
from elevator.core.model import MAX_CARS, RATE_MAX, Direction
from elevator.core.traffic import PEOPLE, PRIOR_MS, SIXTEENTHS, Traffic, count_passengers

FLOORS = 5
SERVICES = st.lists(
    st.tuples(
        st.integers(1, 100_000),
        st.integers(0, FLOORS - 1),
        st.sampled_from(Direction),
        st.integers(0, 500_000),
        st.integers(0, 65_535),
    ),
    min_size=1,
    max_size=100,
)


@given(SERVICES)
def test_benchmark_measures_the_same_rates_as_the_node(services: list[tuple[int, int, Direction, int, int]]) -> None:
    traffic, now_ms = Traffic(0), 0
    history = []
    for after_ms, floor, way, age_ms, rate in services:
        now_ms += after_ms
        traffic = count_passengers(traffic, FLOORS, floor, way, age_ms, rate, now_ms)
        history.append((now_ms, floor, int(way), age_ms, rate))
    assert _bench.learn(FLOORS, tuple(history), PEOPLE, PRIOR_MS, RATE_MAX) == traffic.rates
    assert max(map(max, traffic.rates)) <= RATE_MAX


@pytest.mark.parametrize("limits", [(-1, 1, 1), (1, 0, 1), (1, 1, -1), (1, 1, 65_535 // MAX_CARS + 1)])
def test_benchmark_rejects_limits_out_of_range(limits: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="out of range"):
        _bench.learn(FLOORS, (), *limits)


def test_measured_rates_converge_and_follow_a_change() -> None:
    """First, passengers arrive at floor 2 every 20 s on average; after about an hour, at floor 0 every 10 s."""
    traffic, now_ms = Traffic(0), 0
    rng = random.Random(1)
    for floor, mean_ms in ((2, 20_000), (0, 10_000)):
        for _ in range(200):
            now_ms += round(rng.expovariate(1 / mean_ms))
            traffic = count_passengers(traffic, FLOORS, floor, Direction.UP, 0, 0, now_ms)
        rates = traffic.rates.up
        assert 0.6 < rates[floor] * mean_ms / (1 << 20) < 1.5
        assert sum(rates) - rates[floor] <= 5


def test_rates_add_up_although_each_is_rounded_down() -> None:
    traffic, floors, hour_ms = Traffic(0), 32, 3_600_000
    for n in range(1, 31):
        traffic = count_passengers(traffic, floors, n, Direction.DOWN, 0, 0, hour_ms)
    assert traffic.rates.down[1:] == (0,) * 31
    assert sum(map(sum, traffic.rates)) == (30 << 20) // (hour_ms + PRIOR_MS)


def test_long_wait_counts_for_several_passengers_if_the_rate_is_known() -> None:
    one = count_passengers(Traffic(0), FLOORS, 1, Direction.DOWN, 60_000, 0, 1000)
    many = count_passengers(Traffic(0), FLOORS, 1, Direction.DOWN, 60_000, 1 << 6, 1000)
    assert one.down[1] == SIXTEENTHS
    assert many.down[1] == SIXTEENTHS + (SIXTEENTHS * (1 << 6) * 60_000 >> 20)


def test_passenger_count_is_bounded() -> None:
    traffic = Traffic(0)
    for n in range(10 * PEOPLE):
        traffic = count_passengers(traffic, FLOORS, n % FLOORS, Direction.UP, 0, 0, n)
        assert sum(traffic.up) <= PEOPLE * SIXTEENTHS
