"""The reports of `elevator exam`: lines for the terminal, JSON and the page with its timelines."""

import json
import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from attrs import evolve

from elevator.building.elevators import EventKind
from elevator.core.model import Button
from elevator.exam import report as reports
from elevator.exam.report import as_json, line, load, printable, progress, summary, value_of, versus
from elevator.exam.report_lane import GUTTER, TOLERANCE, Axis, lane, simplified, spans
from elevator.exam.report_page import SAMPLES, page
from elevator.exam.report_timeline import LEGEND, WIDTH, draw
from elevator.exam.results import (
    CarEvent,
    Check,
    ExamReport,
    Figure,
    Grade,
    Height,
    Intervention,
    Level,
    Result,
    Timeline,
)

HOSTILE = '\x1b[2J<script>alert("1")</script>&amp;\x07\udcff\u202e'
SHOWN = '<script>alert("1")</script>&amp;\ufffd\ufffd\ufffd'
"""HOSTILE as the reports print it."""

TIMELINE = Timeline(
    cars=2,
    floors=4,
    end_ms=20_000,
    seen=(
        CarEvent(1000, 0, EventKind.PRESS, True, Button.UP, 2),
        CarEvent(1100, 0, EventKind.LAMP, True, Button.UP, 2),
        CarEvent(1150, 1, EventKind.LAMP, True, Button.UP, 2),
        CarEvent(1200, 0, EventKind.RELEASE, False, Button.UP, 2),
        CarEvent(1200, 0, EventKind.MOTOR, 1),
        CarEvent(5200, 0, EventKind.MOTOR, 0),
        CarEvent(5200, 0, EventKind.INDICATOR, 2),
        CarEvent(5250, 0, EventKind.DOOR, True),
        CarEvent(5300, 0, EventKind.LAMP, False, Button.UP, 2),
        CarEvent(8250, 0, EventKind.DOOR, False),
    ),
    heights=(Height(0, 0, 0.0), Height(1200, 0, 0.0), Height(5200, 0, 2.0), Height(0, 1, 3.0)),
    interventions=(Intervention(9000, "controller 1 killed", 1),),
    datagrams=tuple((2, 0 if tenth > 90 else 3) for tenth in range(200)),
)
MISSED = Check("G3", Level.MUST, False, "another car serves the call", "no car stopped at floor 2", 12_300, 1)
BEYOND = Check("A4", Level.BEYOND, False, "the door of an idle car is closed", "it stayed open", 15_000)
MET = Check("L5", Level.MUST, True, "the lamp lights within 1 s", "after 100 ms", 1100)
LAMPS = Result("lamps", "Lamps agree", Grade.PASSED, checks=(MET,), figures=(Figure("press to lamp", 0.1, "s"),))
KILL = Result(
    "kill",
    "A controller dies",
    Grade.FAILED,
    checks=(MET, BEYOND, MISSED),
    figures=(Figure("take-over", 12.345, "s"),),
    timeline=TIMELINE,
    late_ms=31,
    notes=("The test was repeated.",),
    log=("[1] bye",),
)
SPLIT = Result("split", "Two and two", Grade.SKIPPED, why="needs a network")
REST = Result("rest", "At rest", Grade.UNJUDGED, why="cannot start ./mine")
REPORT = ExamReport("./mine --id {id}", 2, 4, 7, "2026-05-17 14:30", 95, (LAMPS, KILL, SPLIT))
OTHER = evolve(REPORT, command="go run .", results=(LAMPS, evolve(KILL, verdict=Grade.PASSED, checks=(MET,))))


def text_of(html: str) -> str:
    """Return the text of a page without its tags, as a browser shows it."""
    body = re.sub(r"<br>|<[^>]*>", " ", html.partition("<body>")[2])
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#x27;", "'"), ("&amp;", "&")):
        body = body.replace(entity, character)
    return body


def drawn(*seen: CarEvent, heights: tuple[Height, ...] = ()) -> tuple[list[str], ET.Element]:
    """Draw the lane of car 0 over 10 s. Return the labels and the marks."""
    timeline = Timeline(1, 4, 10_000, seen, heights)
    picture = lane(timeline, 0, Axis(10_000, WIDTH))
    return [str(each.text) for each in parse(picture.labels)], parse(picture.marks)


def parse(svg: str) -> ET.Element:
    return ET.fromstring(f"<g>{svg}</g>")  # noqa: S314  # This program made the text.


def paths(marks: ET.Element, kind: str) -> list[str]:
    return [each.attrib["d"] for each in marks.iter("path") if each.attrib.get("class") == kind]


class TestTerminal:
    def test_line_of_a_passed_test_shows_verdict_and_figures(self) -> None:
        assert line(LAMPS) == "✓ lamps        passed   press to lamp 0.10 s"

    def test_line_of_a_failed_test_names_the_failed_checks_and_their_times(self) -> None:
        assert line(KILL) == (
            "✗ kill         failed   take-over 12.3 s; G3 failed at 12.3 s: no car stopped at floor 2;"
            " beyond: A4 failed at 15.0 s: it stayed open; The test was repeated."
        )

    def test_line_of_a_failed_test_counts_further_failures(self) -> None:
        later = evolve(MISSED, at_ms=14_000, found="again")
        assert line(evolve(KILL, figures=(), notes=(), checks=(later, MISSED))).endswith(
            "no car stopped at floor 2; and 1 more"
        )

    def test_line_of_a_skipped_test_gives_the_reason(self) -> None:
        assert line(SPLIT) == "- split        skipped  needs a network"

    def test_line_of_an_unjudged_test_gives_the_reason(self) -> None:
        assert line(REST) == "! rest         unjudged cannot start ./mine"

    @pytest.mark.parametrize(
        ("results", "head"),
        [
            ((LAMPS, REST), "Incomplete: 1 of 2 tests passed, 1 unjudged, in 2 min."),
            ((LAMPS, KILL, REST), "Failed: 1 of 3 tests passed, 1 failed, 1 unjudged, in 2 min."),
        ],
    )
    def test_exam_with_an_unjudged_test_has_not_passed(self, results: tuple[Result, ...], head: str) -> None:
        report = evolve(REPORT, results=results)
        assert not report.passed
        assert summary(report).splitlines()[0] == head
        assert "Not judged: cannot start ./mine" in text_of(page(report))

    def test_colours_appear_only_on_request(self) -> None:
        assert "\x1b" not in line(KILL)
        assert line(KILL, colour=True).startswith("\x1b[1;31m✗ kill")
        assert re.sub(r"\x1b\[[0-9;]*m", "", line(KILL, colour=True)) == line(KILL)

    def test_progress_shows_position_name_and_time_left(self) -> None:
        assert progress(3, 29, "door", 700) == "test 3 of 29: door (about 12 min left)"
        assert progress(29, 29, "rest", 20) == "test 29 of 29: rest (about 20 s left)"

    def test_summary_lists_each_failed_check_and_where_to_look(self) -> None:
        assert summary(REPORT, lambda name: f"report.html#{name}").splitlines() == [
            "Failed: 1 of 3 tests passed, 1 failed, 1 skipped, in 2 min.",
            "",
            "kill: A controller dies",
            "  G3 (must) at 12.3 s, car 1",
            "  expected  another car serves the call",
            "  found     no car stopped at floor 2",
            "  look at   report.html#kill",
            "",
            "These checks failed, but go beyond the course and fail no test:",
            "",
            "kill: A controller dies",
            "  A4 (beyond) at 15.0 s",
            "  expected  the door of an idle car is closed",
            "  found     it stayed open",
            "  look at   report.html#kill",
        ]

    def test_summary_of_a_passed_exam_is_one_line(self) -> None:
        assert summary(OTHER) == "Passed: 2 of 2 tests passed, in 2 min."

    def test_versus_has_a_row_for_each_test_and_a_column_for_each_controller(self) -> None:
        rows = versus(REPORT, OTHER).splitlines()
        assert [row.split() for row in rows if row.startswith(("lamps", "kill", "split"))] == [
            ["lamps", "✓", "passed", "✓", "passed"],
            ["kill", "✗", "failed", "✓", "passed"],
            ["split", "-", "skipped", "not", "run"],
        ]
        assert "./mine --id {id}" in rows[0]
        assert rows[0].index("go run .") == rows[-1].index("Passed")
        assert any("take-over 12.3 s" in row for row in rows)
        assert any("G3 failed at 12.3 s" in row for row in rows)

    @pytest.mark.parametrize(
        ("value", "shown"),
        [(0, "0 s"), (0.094, "0.09 s"), (3, "3 s"), (12.345, "12.3 s"), (1234.5, "1234 s"), (-0.5, "-0.50 s")],
    )
    def test_larger_values_have_fewer_decimals(self, value: float, shown: str) -> None:
        assert value_of(Figure("x", value, "s")) == shown

    def test_escape_sequences_and_control_characters_are_not_printed(self) -> None:
        assert printable(HOSTILE) == SHOWN
        assert printable("\x1b]0;title\x07\x1b[1;31mred\x1b[0m\ttab") == "red tab"
        hostile = evolve(KILL, checks=(evolve(MISSED, found=HOSTILE),))
        for text in (line(hostile), summary(evolve(REPORT, command=HOSTILE, results=(hostile,)))):
            assert "\x1b" not in text
            assert SHOWN in text


class TestJson:
    def test_reports_loaded_from_their_json_are_equal(self) -> None:
        every = tuple(
            CarEvent(n, 0, kind, value)
            for n, (kind, value) in enumerate((kind, value) for kind in EventKind for value in (True, -1, "x", None))
        )
        report = evolve(REPORT, results=(evolve(KILL, log=(HOSTILE,), timeline=evolve(TIMELINE, seen=every)),))
        assert load(as_json(report)) == (report,)
        assert load(as_json(REPORT, OTHER)) == (REPORT, OTHER)

    def test_enums_are_written_as_their_values(self) -> None:
        whole = json.loads(as_json(REPORT))
        assert whole["passed"] is False
        assert whole["versus"] is None
        kill = whole["results"][1]
        assert kill["verdict"] == "failed"
        assert kill["checks"][2]["level"] == "must"
        assert kill["timeline"]["seen"][0] == {
            "at_ms": 1000,
            "car": 0,
            "kind": "press",
            "value": True,
            "button": 0,
            "floor": 2,
        }


class TestPage:
    def test_everything_in_a_report_is_on_the_page(self) -> None:
        text = " ".join(text_of(page(REPORT)).split())
        for part in (
            "./mine --id {id} Failed 1 of 3 tests passed, 1 failed, 1 skipped",
            "2026-05-17 14:30, 2 cars, 4 floors, seed 7, 2 min",
            "✗ G3 must another car serves the call no car stopped at floor 2 12.3 s 1",
            "✗ A4 beyond the door of an idle car is closed it stayed open 15.0 s all",
            "✓ L5 must the lamp lights within 1 s after 100 ms 1.1 s all",
            "take-over 12.3 s",
            "The test was repeated.",
            "up to 31 ms late",
            "[1] bye",
            "Skipped: needs a network",
            "controller 1 killed",
        ):
            assert part in text

    def test_page_escapes_everything(self) -> None:
        hostile = Result(
            name="name" + HOSTILE,
            title=HOSTILE,
            verdict=Grade.FAILED,
            why=HOSTILE,
            checks=(evolve(MISSED, rule=HOSTILE, expected=HOSTILE, found=HOSTILE),),
            figures=(Figure(HOSTILE, 1, HOSTILE),),
            timeline=evolve(TIMELINE, interventions=(Intervention(5, HOSTILE),)),
            notes=(HOSTILE,),
            log=(HOSTILE,),
        )
        report = evolve(REPORT, command=HOSTILE, started=HOSTILE, results=(hostile,))
        for html in (page(report), page(report, report)):
            assert "<script" not in html
            assert 'alert("' not in html
            assert text_of(html).count(SHOWN) > 12
            html.encode()

    def test_dollar_signs_in_a_command_are_not_placeholders(self) -> None:
        assert "run $body $$ ${title}" in page(evolve(REPORT, command="run $body $$ ${title}"))

    def test_page_loads_nothing_and_has_no_script(self) -> None:
        html = page(REPORT, OTHER)
        assert not re.search(r"<(script|link|img|iframe|object)|\b(src|srcset)=|url\(|@import|https?:", html)
        assert set(re.findall(r'href="([^"]*)"', html)) == {"#lamps", "#kill", "#split"}

    def test_comparison_shows_both_verdicts_and_both_timelines(self) -> None:
        html = page(REPORT, OTHER)
        assert html.count('<div class="timeline"') == 2
        row = next(row for row in re.findall(r"<tr>.*?</tr>", html) if 'href="#kill"' in row)
        assert re.findall(r"✗ failed|✓ passed", row) == ["✗ failed", "✓ passed"]

    def test_each_mark_of_the_legend_has_a_sample(self) -> None:
        assert SAMPLES.keys() == LEGEND.keys()
        for kind, sample in SAMPLES.items():
            assert f'class="{kind}' in sample

    def test_page_of_a_whole_exam_is_below_3_mb(self) -> None:
        seen, heights = [], []
        for at_ms in range(0, 60_000, 500):
            for car in range(3):
                on = at_ms % 1000 == 0
                heights.append(Height(at_ms, car, at_ms // 500 % 4))
                seen += [CarEvent(at_ms, car, EventKind.MOTOR, int(on)), CarEvent(at_ms, car, EventKind.DOOR, on)]
                seen += [CarEvent(at_ms, car, EventKind.LAMP, on, Button.CAB, floor) for floor in range(4)]
        datagrams = tuple((n % 7, n % 5, n % 3) for n in range(600))
        timeline = Timeline(3, 4, 60_000, tuple(seen), tuple(heights), (), datagrams)
        results = tuple(evolve(KILL, name=f"t{n}", timeline=timeline) for n in range(29))
        assert len(page(evolve(REPORT, results=results)).encode()) < 3_000_000


class TestTimeline:
    def test_pictures_are_well_formed(self) -> None:
        root = parse(draw(TIMELINE, KILL.checks).pictures)
        assert [each.attrib["class"] for each in root.iter("svg")] == ["labels", "plot"]

    def test_failed_checks_are_marked_at_their_time_in_the_lane_of_their_car(self) -> None:
        pictures = draw(TIMELINE, KILL.checks).pictures
        x = Axis(20_000, WIDTH).x(12_300)
        assert re.search(r'<text class="must"[^>]*>✗ G3 at 12.3 s</text>', pictures)
        assert len(re.findall(rf'<path class="must" d="M{x} ', pictures)) == 1
        assert len(re.findall(rf'<path class="must here" d="M{x} ', pictures)) == 1
        assert re.search(r'<text class="beyond[^>]*>✗ A4 at 15.0 s</text>', pictures)
        assert pictures.count('class="beyond here"') == 2  # The check concerns both cars.
        assert "L5" not in pictures

    def test_legend_lists_only_the_marks_that_occur(self) -> None:
        used = draw(TIMELINE, KILL.checks).legend
        assert used == ("car", "door", "motor", "press", "lamp", "sent", "done", "must", "beyond")
        assert draw(Timeline(1, 4, 1000), ()).legend == ()

    def test_labels_never_overlap(self) -> None:
        interventions = tuple(Intervention(at_ms, "controller killed") for at_ms in range(0, 20_000, 1500))
        for count in range(1, len(interventions) + 1):
            drawing = draw(evolve(TIMELINE, interventions=interventions[-count:]), [MISSED])
            boxes = []
            for kind, x, y, text in re.findall(
                r'<text class="((?:done|must)[^"]*)" x="([^"]*)" y="([^"]*)">([^<]*)', drawing.pictures
            ):
                start = float(x) - ("left" in kind) * 6 * len(text)
                assert start >= 0
                assert start + 6 * len(text) <= WIDTH
                boxes.append((int(y), start, start + 6 * len(text)))
            for row, start, end in boxes:
                assert sum(r == row and s < end and start < e for r, s, e in boxes) == 1

    def test_many_interventions_are_numbered_and_listed(self) -> None:
        done = tuple(Intervention(100 * n, f"{n} datagrams of random bytes") for n in range(30))
        drawing = draw(evolve(TIMELINE, interventions=done), ())
        assert drawing.numbered[29] == "2.9 s: 29 datagrams of random bytes"
        assert ">30</text>" in drawing.pictures
        assert "random" not in drawing.pictures
        assert not draw(TIMELINE, ()).numbered

    def test_failures_of_one_rule_at_almost_the_same_time_share_a_label(self) -> None:
        many = [evolve(MISSED, at_ms=12_300 + n) for n in range(30)]
        assert draw(TIMELINE, many).pictures.count("✗ G3") == 1
        assert draw(TIMELINE, [MISSED, evolve(MISSED, rule="D1")]).pictures.count("✗") == 2

    @pytest.mark.parametrize("end_ms", [0, 300, 5000, 60_000, 400_000])
    def test_time_axis_has_between_2_and_28_ticks_unless_its_length_is_0(self, end_ms: int) -> None:
        pictures = draw(evolve(TIMELINE, end_ms=end_ms), ()).pictures
        ticks = [float(text) for text in re.findall(r'class="tick"[^>]*>([^<]*)<', pictures)]
        assert ticks[0] == 0
        assert ticks[-1] <= end_ms / 1000
        assert end_ms == 0 or 2 <= len(set(ticks)) <= 28


class TestLane:
    AXIS = Axis(10_000, WIDTH)

    def test_lamp_bar_lasts_from_on_to_off(self) -> None:
        on, off = (CarEvent(at_ms, 0, EventKind.LAMP, at_ms == 1000, Button.DOWN, 3) for at_ms in (1000, 4000))
        labels, marks = drawn(on, off)
        assert "hall down 3" in labels
        start, end = self.AXIS.x(1000), self.AXIS.x(4000)
        assert paths(marks, "lamp") == [f"M{start} 0h{round(end - start, 1)}"]

    def test_press_bar_lasts_until_release(self) -> None:
        labels, marks = drawn(
            CarEvent(1000, 0, EventKind.PRESS, True, Button.CAB, 1),
            CarEvent(3000, 0, EventKind.RELEASE, False, Button.CAB, 1),
        )
        assert "cab 1" in labels
        start, end = self.AXIS.x(1000), self.AXIS.x(3000)
        assert paths(marks, "press") == [f"M{start} 0h{round(end - start, 1)}"]

    @pytest.mark.parametrize(
        ("kind", "value", "label", "mark"),
        [
            (EventKind.OBSTRUCTED, True, "obstruction", "fault"),
            (EventKind.POWER, False, "no power", "fault"),
            (EventKind.SERVER, False, "server off", "fault"),
            (EventKind.CLIENT, False, "offline", "away"),
            (EventKind.STOP, True, "stop", "press"),
            (EventKind.STOP_LAMP, True, "stop", "lamp"),
        ],
    )
    def test_switch_has_a_bar_until_it_changes_back(self, kind: EventKind, value: bool, label: str, mark: str) -> None:
        labels, marks = drawn(CarEvent(2000, 0, kind, value), CarEvent(5000, 0, kind, not value))
        assert label in labels
        start, end = self.AXIS.x(2000), self.AXIS.x(5000)
        assert paths(marks, mark) == [f"M{start} 0h{round(end - start, 1)}"]

    def test_controller_is_drawn_as_offline_until_it_connects(self) -> None:
        _, marks = drawn(CarEvent(2000, 0, EventKind.CLIENT, True))
        assert paths(marks, "away") == [f"M{self.AXIS.x(0)} 0h{round(self.AXIS.x(2000) - self.AXIS.x(0), 1)}"]
        assert "offline" not in drawn(CarEvent(0, 0, EventKind.CLIENT, True))[0]

    def test_motor_up_is_drawn_above_the_line_and_motor_down_below_it(self) -> None:
        labels, marks = drawn(
            CarEvent(1000, 0, EventKind.MOTOR, 1),
            CarEvent(2000, 0, EventKind.MOTOR, 0),
            CarEvent(3000, 0, EventKind.MOTOR, -1),
        )
        assert "motor" in labels
        assert re.fullmatch(r"M\S+ -2.5h\S+M\S+ 2.5h\S+", paths(marks, "motor")[0])

    def test_indicator_shows_its_number_at_each_change(self) -> None:
        labels, marks = drawn(CarEvent(1000, 0, EventKind.INDICATOR, 1), CarEvent(3000, 0, EventKind.INDICATOR, 2))
        assert "indicator" in labels
        numbers = [(each.attrib["x"], each.text) for each in marks.iter("text")]
        assert numbers == [(str(self.AXIS.x(1000)), "1"), (str(self.AXIS.x(3000)), "2")]

    def test_door_is_drawn_along_the_height_of_the_car(self) -> None:
        heights = (Height(0, 0, 0.0), Height(10_000, 0, 2.0))
        _, marks = drawn(
            CarEvent(2500, 0, EventKind.DOOR, True), CarEvent(5000, 0, EventKind.DOOR, False), heights=heights
        )
        door = [tuple(map(float, point.split())) for point in paths(marks, "door")[0][1:].split("L")]
        assert [x for x, _ in door] == [self.AXIS.x(2500), self.AXIS.x(5000)]
        assert door[0][1] - door[1][1] == pytest.approx(12)  # Half a floor.

    @pytest.mark.parametrize("kind", [EventKind.MISBEHAVIOUR, EventKind.OUT_OF_BOUNDS])
    def test_unsafe_event_is_marked_with_a_ring_at_the_height_of_the_car(self, kind: EventKind) -> None:
        _, marks = drawn(CarEvent(5000, 0, kind, True), heights=(Height(0, 0, 0.0), Height(10_000, 0, 3.0)))
        (ring,) = marks.iter("circle")
        assert float(ring.attrib["cx"]) == self.AXIS.x(5000)
        assert float(ring.attrib["cy"]) == pytest.approx(12 + 24 * 1.5)
        assert not list(drawn(CarEvent(5000, 0, EventKind.OUT_OF_BOUNDS, False))[1].iter("circle"))

    @pytest.mark.parametrize("kind", [EventKind.BAD, EventKind.RELOAD])
    def test_rejected_request_is_marked_with_a_tick(self, kind: EventKind) -> None:
        labels, marks = drawn(CarEvent(5000, 0, kind, "command 9"))
        assert "rejected" in labels
        assert paths(marks, "rejected") == [f"M{self.AXIS.x(5000)} -4V4"]

    def test_every_kind_of_event_except_the_sensor_is_drawn(self) -> None:
        heights = (Height(0, 0, 1.0),)
        _, empty = drawn(heights=heights)
        for kind in EventKind:
            button = (Button.UP, 1) if kind in {EventKind.PRESS, EventKind.RELEASE, EventKind.LAMP} else (None, None)
            shown = {
                ET.tostring(drawn(CarEvent(5000, 0, kind, value, *button), heights=heights)[1]) for value in (0, 1)
            }
            shown |= {
                ET.tostring(drawn(CarEvent(5000, 0, kind, value, *button), heights=heights)[1])
                for value in (False, True)
            }
            assert (shown == {ET.tostring(empty)}) == (kind is EventKind.SENSOR), kind

    def test_histograms_of_all_cars_share_a_scale(self) -> None:
        timeline = Timeline(2, 4, 200, datagrams=((10, 0), (0, 5)))
        first, second = (lane(timeline, car, Axis(200, WIDTH)) for car in range(2))
        assert "sent, max 10" in first.labels
        assert "sent, max 5" in second.labels
        assert "V-12H" in first.marks
        assert "V0H" in second.marks
        assert "sent" not in lane(Timeline(1, 4, 200), 0, Axis(200, WIDTH)).labels

    def test_labels_fit_beside_the_plot(self) -> None:
        labels, _ = drawn(
            CarEvent(1, 0, EventKind.LAMP, True, Button.DOWN, 3), *(CarEvent(1, 0, kind, True) for kind in EventKind)
        )
        assert max(map(len, labels)) * 6.5 < GUTTER - 8

    def test_spans_of_different_kinds_are_independent(self) -> None:
        seen = [
            CarEvent(1, 0, EventKind.DOOR, True),
            CarEvent(2, 0, EventKind.STOP, True),
            CarEvent(3, 0, EventKind.STOP, False),
        ]
        assert spans(seen, 9, EventKind.DOOR, True) == [(1, 9)]
        assert spans(seen, 9, EventKind.STOP, True) == [(2, 3)]

    def test_simplified_line_stays_within_the_tolerance(self) -> None:
        points = [(ms, min(ms / 2000, 3.0) + 0.009 * (ms // 20 % 3 - 1)) for ms in range(0, 10_000, 20)]
        kept = simplified(points)
        assert len(kept) < 20
        assert kept[0] == points[0]
        assert kept[-1] == points[-1]
        for (start, low), (end, high) in pairwise(kept):
            for at_ms, floor in points:
                if start <= at_ms <= end:
                    assert abs(low + (high - low) * (at_ms - start) / (end - start) - floor) <= TOLERANCE + 1e-9

    def test_sudden_jump_of_a_car_is_not_smoothed(self) -> None:
        points = [(0, 0.0), (1000, 0.0), (1000, 3.0), (2000, 3.0)]
        assert simplified(points) == points


def test_comparison_includes_tests_that_only_one_report_contains() -> None:
    assert reports.names([OTHER, REPORT]) == ["lamps", "kill", "split"]
    assert reports.result_of(OTHER, "split") is None
