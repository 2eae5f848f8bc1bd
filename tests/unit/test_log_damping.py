"""Log damping in virtual time: when the beginning and end of a new fault or of a flapping one are reported."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elevator.core.log_damping import DAMPED_MAX_MS, DAMPED_MS, FORGET_MS, Condition, Report

MINUTE_MS = 60_000
STEP_MS = 50


def send_failures() -> Condition:
    return Condition(begin_ms=2000, calm_ms=10_000, is_dampable=False)


def reports(
    condition: Condition, fails: Callable[[int], bool], until_ms: int = MINUTE_MS, step_ms: int = STEP_MS
) -> list[tuple[int, Report]]:
    """Feed fails(now_ms) to *condition* every *step_ms*, from 0 to *until_ms*. Return its reports with their times."""
    fed = ((now_ms, condition.feed(now_ms, fails(now_ms))) for now_ms in range(0, until_ms, step_ms))
    return [(now_ms, report) for now_ms, report in fed if report is not None]


def changes(timed: list[tuple[int, Report]]) -> list[tuple[int, bool]]:
    return [(now_ms, report.begins) for now_ms, report in timed]


def test_start_and_end_of_a_fault_are_reported_at_once_if_there_are_no_thresholds() -> None:
    reported = reports(Condition(), lambda now_ms: 1000 <= now_ms < 3000)
    assert reported == [(1000, Report(True, 1)), (3000, Report(False, 1))]


@pytest.mark.parametrize("failed", [False, True])
def test_first_sample_is_reported_if_the_state_was_unknown(failed: bool) -> None:
    assert reports(Condition(None), lambda _: failed) == [(0, Report(failed, int(failed)))]


def test_end_of_an_initial_fault_is_reported() -> None:
    assert reports(Condition(is_failing=True), lambda now_ms: now_ms < 1000) == [(1000, Report(False, 1))]


def test_fault_with_thresholds_is_reported_when_it_exceeds_them() -> None:
    """The fault begins after 2 s with at least one failure in five, and ends after 10 s without a failure."""
    reported = changes(reports(send_failures(), lambda now_ms: now_ms < 5000 and now_ms // STEP_MS % 5 == 0))
    assert reported == [(2000, True), (4750 + STEP_MS + 10_000, False)]


@pytest.mark.parametrize("fails", [lambda now_ms: now_ms // STEP_MS % 6 == 0, lambda now_ms: now_ms % 10_000 < 900])
def test_failures_below_the_thresholds_are_not_reported(fails: Callable[[int], bool]) -> None:
    assert reports(send_failures(), fails) == []


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 1.0])
def test_frequent_random_failures_are_reported_once(seed: int, share: float) -> None:
    rng = random.Random(seed)
    reported = changes(reports(send_failures(), lambda _: rng.random() < share))
    assert [begins for _, begins in reported] == [True]
    assert reported[0][0] >= 2000


@given(st.integers(10, 4000), st.integers(10, 4000), st.integers(0, 1 << 32))
def test_reports_of_a_flapping_fault_are_limited_in_each_minute(good_ms: int, bad_ms: int, seed: int) -> None:
    rng = random.Random(seed)
    edges = [0]
    while edges[-1] < 10 * MINUTE_MS:
        edges.append(edges[-1] + 1 + rng.randrange((good_ms, bad_ms)[len(edges) % 2]))
    condition, reported = Condition(), []
    for number, at_ms in enumerate(edges):
        report = condition.feed(at_ms, number % 2 == 1)
        reported += [] if report is None else [at_ms]
    assert sum(at_ms < MINUTE_MS for at_ms in reported) <= 12
    for minute in range(1, 10):
        assert sum(minute * MINUTE_MS <= at_ms < (minute + 1) * MINUTE_MS for at_ms in reported) <= 4


def test_worst_case_flapping_is_damped() -> None:
    """The fault recurs whenever its end has just been reported."""
    condition, reported, fails = Condition(), list[int](), True
    for now_ms in range(0, 10 * MINUTE_MS, 10):
        report = condition.feed(now_ms, fails)
        reported += [] if report is None else [now_ms]
        fails = report is not None and not report.begins
    by_minute = [sum(at_ms // MINUTE_MS == minute for at_ms in reported) for minute in range(10)]
    assert by_minute[0] <= 12
    assert max(by_minute[1:]) <= 2


def test_end_of_a_recurring_fault_is_delayed_and_reports_the_number_of_interruptions() -> None:
    condition = Condition()
    for at_ms in (0, 100):
        assert condition.feed(at_ms, True) == Report(True, 1)
        assert condition.feed(at_ms + 50, False) == Report(False, 1)
    began = condition.feed(200, True)
    assert began == Report(True, 1, DAMPED_MS)
    assert began.line("lost", "found") == "lost (recurring: logged again only after 5 s without a recurrence)"
    for at_ms in range(300, 1000, 100):
        assert condition.feed(at_ms, False) is None
        assert condition.feed(at_ms + 50, True) is None
    assert condition.feed(1000, False) is None
    assert condition.feed(1000 + DAMPED_MS - 1, False) is None
    ended = condition.feed(1000 + DAMPED_MS, False)
    assert ended == Report(False, 8)
    assert ended.line("lost", "found") == "found (after 8 interruptions)"
    again = condition.feed(7000, True)
    assert again == Report(True, 1, 2 * DAMPED_MS)


def test_fault_long_after_the_last_sample_counts_as_new() -> None:
    condition = Condition(calm_ms=10_000)
    assert condition.feed(0, True) == Report(True, 1)
    assert condition.feed(100, False) is None
    assert condition.feed(10 * MINUTE_MS, True) == Report(True, 1)


def test_end_of_a_fault_between_two_samples_is_reported_before_the_next_fault() -> None:
    condition = send_failures()
    assert changes(reports(condition, lambda _: True, 3000)) == [(2000, True)]
    assert condition.feed(3000, False) is None
    assert condition.feed(MINUTE_MS, True) == Report(False, 1)
    assert condition.feed(MINUTE_MS + 2000, True) == Report(True, 1)


def test_damping_lasts_at_most_a_minute_and_is_reset_after_a_minute_without_a_fault() -> None:
    condition, now_ms, longest_ms = Condition(), 0, 0
    for _ in range(100):
        began = condition.feed(now_ms, True)
        assert began is not None
        longest_ms = max(longest_ms, began.damped_ms)
        now_ms += began.damped_ms + 1
        condition.feed(now_ms - began.damped_ms, False)
        assert condition.feed(now_ms, False) is not None or began.damped_ms == 0
    assert longest_ms == DAMPED_MAX_MS
    assert condition.feed(now_ms + FORGET_MS, True) == Report(True, 1)
