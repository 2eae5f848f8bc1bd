"""Draws the lane of one car in the timeline of a test, as SVG.

At the top is the height of the car. Below it are rows for the motor, the floor indicator, each button with its lamp,
each of SWITCHES, rejected requests, and the IP packets that the controller sent. Each mark has a class. report.html
gives the class a colour. LEGEND explains the class, unless the mark is part of the background or a text. Floor sensors
are not drawn, because the height shows the same.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple

from elevator.building.elevators import EventKind
from elevator.core.model import Button
from elevator.exam.results import CarEvent, Height, Timeline

EDGE = 14
"""Space left and right of the time axis, for the labels at its ends."""
GUTTER = 98
"""Width of the column with the labels of the rows. All lengths are in units of the picture, about a pixel each."""
ROW = 15
HISTOGRAM = 24
GAP = 12
"""Space between two lanes."""
TOLERANCE = 0.02
"""The largest error of a drawn height, in floors. Tolerating a small error saves points on the page."""

BUTTONS = {Button.UP: "hall up", Button.DOWN: "hall down", Button.CAB: "cab"}
SWITCHES = {
    EventKind.OBSTRUCTED: ("obstruction", True, "fault"),
    EventKind.POWER: ("no power", False, "fault"),
    EventKind.SERVER: ("server off", False, "fault"),
    EventKind.CLIENT: ("offline", False, "away"),
}
"""For each kind of event with a row of bars: the label of the row, the value that the bars show, and their class."""
UNSAFE = {EventKind.MISBEHAVIOUR, EventKind.OUT_OF_BOUNDS}
REJECTED = {EventKind.BAD, EventKind.RELOAD}

LEGEND = {
    "car": "height of the car",
    "door": "door open",
    "unsafe": "unsafe command, or car out of bounds",
    "motor": "motor up (above the line) or down (below it)",
    "press": "button pressed",
    "lamp": "lamp lit",
    "fault": "fault injected by the test",
    "away": "controller not connected",
    "rejected": "request that the server rejected",
    "sent": "IP packets that the controller sent",
}
"""What the mark of each class means."""


class Axis(NamedTuple):
    """The time axis, from 0 to `end_ms`, in a plot that is `width` units wide and has an EDGE on both sides."""

    end_ms: int
    width: int

    def x(self, at_ms: float) -> float:
        return round(EDGE + (self.width - 2 * EDGE) * min(max(at_ms, 0), self.end_ms) / self.end_ms, 1)


class Lane(NamedTuple):
    """A drawn lane: its labels and marks as SVG, and its height with the GAP below it."""

    labels: str
    marks: str
    height: int


class _Row(NamedTuple):
    """A row of a lane. The marks are SVG, with y = 0 in the middle of the row."""

    label: str
    marks: str
    height: int = ROW


def lane(timeline: Timeline, car: int, axis: Axis) -> Lane:
    seen = sorted((each for each in timeline.seen if each.car == car), key=lambda each: each.at_ms)
    track = _track([each for each in timeline.heights if each.car == car], axis.end_ms)
    step = min(max(100 // max(timeline.floors - 1, 1), 12), 24)
    bottom = 12 + step * (timeline.floors - 1)

    def y(floor: float) -> float:
        return round(bottom - step * min(max(floor, -0.4), timeline.floors - 0.6), 1)

    labels = [f'<text class="title" x="0" y="16">Car {car}</text>']
    marks = [f'<rect class="shaft" width="{axis.width}" height="{bottom + 10}" rx="3"/>']
    for floor in range(timeline.floors):
        labels.append(f'<text class="floor" x="{GUTTER - 8}" y="{y(floor) + 4}">{floor}</text>')
        marks.append(f'<path class="grid" d="M{EDGE} {y(floor)}H{axis.width - EDGE}"/>')
    for start, end in spans(seen, axis.end_ms, EventKind.DOOR, True):
        marks.append(f'<path class="door" d="{_line(_part(track, start, end), axis, y)}"/>')
    marks.append(f'<path class="car" d="{_line(track, axis, y)}"/>' if track else "")
    for event in seen:
        if event.kind in UNSAFE and event.value is not False:
            height = _height_at(track, event.at_ms)
            marks.append(f'<circle class="unsafe" cx="{axis.x(event.at_ms)}" cy="{y(height)}" r="6"/>')
    middle = bottom + 10.0
    for row in _rows(timeline, car, seen, axis):
        middle += row.height / 2
        labels.append(f'<text x="{GUTTER - 8}" y="{middle + 4:g}">{escape(row.label)}</text>')
        marks.append(f'<g transform="translate(0 {middle:g})">{row.marks}</g>')
        middle += row.height / 2
    return Lane("".join(labels), "".join(marks), round(middle) + GAP)


# The rows


def _rows(timeline: Timeline, car: int, seen: Sequence[CarEvent], axis: Axis) -> Iterator[_Row]:
    """Yield the rows of *car*. Omit rows without events. The row of packets is there if any controller sent packets."""
    kinds = {each.kind for each in seen}
    if EventKind.MOTOR in kinds:
        yield _Row("motor", _motor(seen, axis))
    if EventKind.INDICATOR in kinds:
        yield _Row("indicator", _indicator(seen, axis))
    for button, floor in sorted({(each.button, each.floor) for each in seen if each.button is not None}):
        own = [each for each in seen if (each.button, each.floor) == (button, floor)]
        down = spans(own, axis.end_ms, EventKind.PRESS, True, EventKind.RELEASE)
        lamp = spans(own, axis.end_ms, EventKind.LAMP, True)
        yield _Row(f"{BUTTONS[button]} {floor}", _bars("lamp", lamp, axis) + _presses(down, axis))
    if kinds & {EventKind.STOP, EventKind.STOP_LAMP}:
        lamp = spans(seen, axis.end_ms, EventKind.STOP_LAMP, True)
        down = spans(seen, axis.end_ms, EventKind.STOP, True)
        yield _Row("stop", _bars("lamp", lamp, axis) + _presses(down, axis))
    for kind, (label, value, mark) in SWITCHES.items():
        if bars := spans(seen, axis.end_ms, kind, value):
            yield _Row(label, _bars(mark, bars, axis))
    if kinds & REJECTED:
        places = sorted({axis.x(each.at_ms) for each in seen if each.kind in REJECTED})
        yield _Row("rejected", f'<path class="rejected" d="{"".join(f"M{x} -4V4" for x in places)}"/>')
    sent = [tenth[car] if car < len(tenth) else 0 for tenth in timeline.datagrams]
    if any(map(any, timeline.datagrams)):
        most = max(map(max, filter(None, timeline.datagrams)))
        yield _Row(f"sent, max {max(sent)}", _histogram(sent, most, axis), HISTOGRAM + 6)


def spans(
    seen: Sequence[CarEvent], end_ms: int, kind: EventKind, value: bool, off: EventKind | None = None
) -> list[tuple[int, int]]:
    """Return the start and end of each span in which *kind* had *value*.

    A span begins at an event of *kind* with *value*, or at 0 if the first event has another value. It ends at the next
    event of *kind* with another value or of the kind *off*; if there is none, at *end_ms*. A span that ends at 0 is
    omitted.
    """
    found = []
    changes = [(each.at_ms, each.kind is kind and each.value is value) for each in seen if each.kind in {kind, off}]
    since_ms = 0 if changes and not changes[0][1] else None
    for at_ms, is_on in changes:
        if is_on and since_ms is None:
            since_ms = at_ms
        elif not is_on and since_ms is not None:
            found.append((since_ms, at_ms))
            since_ms = None
    found += [] if since_ms is None else [(since_ms, end_ms)]
    return [(start, end) for start, end in found if end > 0]  # An event at time 0 reports the state at the start.


def _bars(kind: str, bars: Iterable[tuple[int, int]], axis: Axis) -> str:
    """Return *bars*, each with a start and an end in ms, as a path of class *kind*. Make each wide enough to see."""
    path = ""
    for start, end in bars:
        length = round(max(axis.x(end) - axis.x(start), 0.4), 1)
        path += f"M{axis.x(start)} 0h{length}"
    return f'<path class="{kind}" d="{path}"/>' if path else ""


def _presses(down: Iterable[tuple[int, int]], axis: Axis) -> str:
    """Return bars for presses, with an edge that separates them from the bar of the lamp."""
    bars = _bars("press", down, axis)
    return bars.replace("press", "press edge") + bars


def _motor(seen: Sequence[CarEvent], axis: Axis) -> str:
    """Return a line, and the bars of the motor: above the line while it runs up, below the line while it runs down."""
    events = [(each.at_ms, int(each.value or 0)) for each in seen if each.kind is EventKind.MOTOR]
    ends = [*(at_ms for at_ms, _ in events[1:]), axis.end_ms]
    path = ""
    for (start, direction), end in zip(events, ends, strict=True):
        if direction:
            path += f"M{axis.x(start)} {-2.5 * direction:g}h{round(axis.x(end) - axis.x(start), 1)}"
    return f'<path class="grid" d="M{EDGE} 0H{axis.width - EDGE}"/><path class="motor" d="{path}"/>'


def _indicator(seen: Sequence[CarEvent], axis: Axis) -> str:
    """Return the numbers that the floor indicator shows, each when it appears. Omit one that would overlap another."""
    texts, free = "", 0.0
    for each in seen:
        if each.kind is EventKind.INDICATOR and each.value is not None and (x := axis.x(each.at_ms)) >= free:
            texts += f'<text class="number" x="{x}" y="4">{each.value}</text>'
            free = x + 7 * len(str(each.value)) + 3
    return texts


def _histogram(sent: Sequence[int], most: int, axis: Axis) -> str:
    """Return a histogram with a bar per tenth of a second. A bar of full height stands for *most* packets."""
    base = height = HISTOGRAM / 2
    path = f"M{axis.x(0)} {base:g}"
    for n, number in enumerate(sent):
        now = round(base - HISTOGRAM * number / most, 1)
        if now != height:
            path += f"H{axis.x(100 * n)}V{now:g}"
            height = now
    return f'<path class="sent" d="{path}H{axis.x(100 * len(sent))}V{base:g}Z"/>'


# The height of the car


def _track(heights: Iterable[Height], end_ms: int) -> list[tuple[int, float]]:
    """Return the `simplified` line through *heights*, from 0 to *end_ms*; no points if there are no heights."""
    points = [(each.at_ms, each.floor) for each in sorted(heights, key=lambda each: each.at_ms)]
    if not points:
        return []
    return simplified([(min(0, points[0][0]), points[0][1]), *points, (max(end_ms, points[-1][0]), points[-1][1])])


def simplified(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return *points* without those that are within TOLERANCE of a straight line between the others."""
    kept = [points[0]]
    # With a slope between these limits, a line from the last point kept passes near all points dropped since.
    low, high = -math.inf, math.inf
    for previous, point in pairwise(points):
        if previous is not kept[-1] and not low <= _slope(kept[-1], point) <= high:
            kept.append(previous)
            low, high = -math.inf, math.inf
        start = kept[-1]
        if point[0] == start[0]:
            kept.append(point)
            low, high = -math.inf, math.inf
        else:
            low = max(low, _slope(start, (point[0], point[1] - TOLERANCE)))
            high = min(high, _slope(start, (point[0], point[1] + TOLERANCE)))
    return kept if kept[-1] is points[-1] else [*kept, points[-1]]


def _slope(start: tuple[int, float], end: tuple[int, float]) -> float:
    return (end[1] - start[1]) / (end[0] - start[0])


def _height_at(track: Sequence[tuple[int, float]], at_ms: int) -> float:
    """Return the height of the line *track* at *at_ms*; 0 if there is no line."""
    for start, end in pairwise(track):
        if start[0] <= at_ms < end[0]:
            return start[1] + _slope(start, end) * (at_ms - start[0])
    return track[-1][1] if track else 0.0


def _part(track: Sequence[tuple[int, float]], start_ms: int, end_ms: int) -> list[tuple[int, float]]:
    """Return the part of the line *track* from *start_ms* to *end_ms*."""
    inner = [point for point in track if start_ms < point[0] < end_ms]
    return [(start_ms, _height_at(track, start_ms)), *inner, (end_ms, _height_at(track, end_ms))]


def _line(points: Iterable[tuple[int, float]], axis: Axis, y: Callable[[float], float]) -> str:
    return "M" + "L".join(f"{axis.x(at_ms):g} {y(floor):g}" for at_ms, floor in points)
