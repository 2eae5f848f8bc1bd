"""Draws what happened during a test as SVG: lanes of all cars on one time axis, with interventions and failures.

The drawing is two pictures side by side: the labels, and the plot. On a narrow screen, only the plot scrolls.
"""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import count
from typing import NamedTuple

from elevator.exam import report_lane
from elevator.exam.report import printable, seconds
from elevator.exam.report_lane import EDGE, GUTTER, Axis, lane
from elevator.exam.results import Check, Level, Timeline

WIDTH = 882
"""Width of the plot of a test that takes up to WIDTH / PER_S seconds. For a longer test it grows, up to WIDTH_MAX."""
WIDTH_MAX = 1300
PER_S = 9
LETTER = 6.8
"""The assumed width of a letter above the plot: above average, so that labels do not overlap in any font."""
LEVEL = 16
"""Height of a line of labels above the plot."""
LEVELS_MAX = 5
"""If the labels need more lines than this, or the label of an intervention is at least half as wide as the plot,
numbers replace the texts of the interventions. A list below the plot then explains the numbers."""
NEAR = 3.0
"""Failures with the same rule, level and car share a label if they are drawn closer than this."""

LEGEND = report_lane.LEGEND | {
    "done": "intervention of the test",
    "must": "failed check",
    "beyond": "failed check beyond the course",
}


class Drawing(NamedTuple):
    """A drawn timeline, as parts of a page."""

    pictures: str
    legend: tuple[str, ...]
    """The classes of the marks that occur. LEGEND explains them."""
    numbered: tuple[str, ...]
    """The interventions that the numbers 1, 2, ... above the plot stand for; empty if the plot shows their texts."""


class _Label(NamedTuple):
    """A vertical line with a text above the plot. `car` is None if the label concerns all cars."""

    x: float
    text: str
    kind: str
    car: int | None

    @property
    def width(self) -> float:
        return LETTER * len(self.text) + 10


class _Placed(NamedTuple):
    label: _Label
    level: int
    """The row of the label above the plot; 0 is the lowest."""
    start: float
    end: float
    """Where the text starts and ends. The text is left of its line if there is room only there."""


def draw(timeline: Timeline, checks: Iterable[Check]) -> Drawing:
    """Draw *timeline*, and mark those of *checks* that failed."""
    end_ms = max(timeline.end_ms, 1)
    axis = Axis(end_ms, min(max(WIDTH, PER_S * end_ms // 1000), WIDTH_MAX))
    placed, numbered = _labels(timeline, checks, axis)
    top = LEVEL * (max((each.level for each in placed), default=-1) + 1) + 26
    lanes = [lane(timeline, car, axis) for car in range(timeline.cars)]
    tops = [top]
    for each in lanes:
        tops.append(tops[-1] + each.height)
    bottom = tops[-1] - report_lane.GAP
    labels = [f'<text x="{GUTTER - 8}" y="{y}">seconds</text>' for y in (top - 9, bottom + 18)]
    marks = list(_grid(axis, top, bottom))
    for y, each in zip(tops, lanes, strict=False):
        labels.append(f'<g transform="translate(0 {y})">{each.labels}</g>')
        marks.append(f'<g transform="translate(0 {y})">{each.marks}</g>')
    marks += [*_lines(placed, tops), *_times(axis, top, bottom), *_texts(placed, top)]
    body = "".join(marks)
    used = tuple(kind for kind in LEGEND if f'class="{kind}' in body)
    return Drawing(_pictures(timeline, axis, "".join(labels), body, bottom + 24), used, numbered)


def _pictures(timeline: Timeline, axis: Axis, labels: str, marks: str, height: int) -> str:
    """Return both pictures. The page scales them together: see .timeline in report.html."""
    whole = GUTTER + axis.width
    title = f"Timeline of {timeline.cars} cars over {seconds(timeline.end_ms)}"
    return (
        f'<div class="timeline" style="--width:{whole};--height:{height};--gutter:{GUTTER}">'
        f'<svg class="labels" viewBox="0 0 {GUTTER} {height}" aria-hidden="true">{labels}</svg>'
        f'<svg class="plot" viewBox="0 0 {axis.width} {height}" role="img" aria-label="{title}">{marks}</svg></div>'
    )


def _ticks(axis: Axis) -> Iterator[float]:
    """Yield round times in seconds, at least 45 units apart in a test of up to 56 minutes."""
    per_s = (axis.width - 2 * EDGE) / axis.end_ms * 1000
    step_s = next((step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60) if step * per_s >= 45), 120)
    yield from (n * step_s for n in range(int(axis.end_ms / 1000 / step_s + 1e-9) + 1))


def _grid(axis: Axis, top: int, bottom: int) -> Iterator[str]:
    for at_s in _ticks(axis):
        yield f'<path class="grid" d="M{axis.x(1000 * at_s)} {top - 5}V{bottom + 5}"/>'


def _times(axis: Axis, top: int, bottom: int) -> Iterator[str]:
    for at_s in _ticks(axis):
        for y in (top - 9, bottom + 18):
            yield f'<text class="tick" x="{axis.x(1000 * at_s)}" y="{y}">{at_s:g}</text>'


# Interventions and failures


def _labels(timeline: Timeline, checks: Iterable[Check], axis: Axis) -> tuple[list[_Placed], tuple[str, ...]]:
    """Place the labels above the plot. Return them, and the texts of interventions whose labels are only numbers."""
    failed = _failed(checks, axis)
    done = sorted(timeline.interventions, key=lambda each: each.at_ms)
    named = [_Label(axis.x(each.at_ms), printable(each.text), "done", each.car) for each in done]
    placed = _place([*failed, *named], axis.width)
    if all(each.level < LEVELS_MAX for each in placed) and all(label.width < axis.width / 2 for label in named):
        return placed, ()
    numbers = [label._replace(text=str(n)) for n, label in enumerate(named, 1)]
    texts = tuple(f"{seconds(each.at_ms)}: {label.text}" for each, label in zip(done, named, strict=True))
    return _place([*failed, *numbers], axis.width), texts


def _failed(checks: Iterable[Check], axis: Axis) -> list[_Label]:
    """Return a label for each failed check, unless it is NEAR the previous label of the same rule, level and car."""
    last: dict[tuple[str, Level, int | None], float] = {}
    labels = []
    for check in sorted((check for check in checks if not check.passed), key=lambda check: check.at_ms):
        x, key = axis.x(check.at_ms), (check.rule, check.level, check.car)
        if x - last.get(key, -NEAR) >= NEAR:
            last[key] = x
            labels.append(
                _Label(x, printable(f"✗ {check.rule} at {seconds(check.at_ms)}"), check.level.value, check.car)
            )
    return labels


def _place(labels: Iterable[_Label], width: int) -> list[_Placed]:
    """Place *labels* so that no two overlap, and so that no label's line crosses the text of a label to its left.

    Labels are placed from right to left. The rightmost is next to the plot.
    """
    placed: list[_Placed] = []
    for label in sorted(labels, key=lambda each: each.x, reverse=True):
        is_left = label.x + label.width > width and label.x >= label.width
        start = label.x - label.width if is_left else label.x
        end = start + label.width
        crossed = max((each.level for each in placed if start < each.label.x < end), default=0)
        taken = {each.level for each in placed if start < each.end and each.start < end}
        level = next(level for level in count(crossed) if level not in taken)
        placed.append(_Placed(label, level, start, end))
    return placed


def _lines(placed: Sequence[_Placed], tops: Sequence[int]) -> Iterator[str]:
    """Yield a vertical line for each label. The line is thick in the lane of its car, if it has one.

    A failure without a car has a thick line in all lanes, an intervention without a car in none.
    """
    cars = range(len(tops) - 1)
    for label, level, _, _ in placed:
        y = _baseline(tops[0], level) - 11
        yield f'<path class="{label.kind}" d="M{label.x} {y}V{tops[-1] - report_lane.GAP}"/>'
        concerned = () if label.car is None and label.kind == "done" else cars if label.car is None else [label.car]
        for car in concerned:
            if car in cars:
                line = f"M{label.x} {tops[car]}V{tops[car + 1] - report_lane.GAP}"
                yield f'<path class="{label.kind} here" d="{line}"/>'


def _texts(placed: Iterable[_Placed], top: int) -> Iterator[str]:
    for label, level, start, _ in placed:
        x, side = (label.x - 4, " left") if start < label.x else (label.x + 4, "")
        text = escape(label.text)
        yield f'<text class="{label.kind}{side}" x="{x:g}" y="{_baseline(top, level)}">{text}</text>'


def _baseline(top: int, level: int) -> int:
    return top - 29 - LEVEL * level
