"""The results of an exam as lines for the terminal and as JSON. report_page.py makes the page.

The output of a controller may contain any characters, and so may its command. `printable` makes them safe to print.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest

import cattrs

from elevator.exam.results import Check, ExamReport, Figure, Grade, Level, Result

MARKS = {Grade.PASSED: "✓", Grade.FAILED: "✗", Grade.SKIPPED: "-", Grade.UNJUDGED: "!"}
COLOURS = {Grade.PASSED: "32", Grade.FAILED: "1;31", Grade.SKIPPED: "2", Grade.UNJUDGED: "1;33"}
"""The terminal attributes of each verdict: green, bold red, faint, bold yellow."""
KEY_FIGURES = 3
"""The line of a test shows at most this many figures: the first ones."""
COLUMN = 46
"""Width of the column of a controller in `versus`, in characters, with the space that separates it from the next."""

_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
"""Terminal control sequences, such as those that change colours, move the cursor or set the title."""


def printable(text: str) -> str:
    """Return *text* without terminal escape sequences.

    Tabs become spaces. Other unprintable characters, even line breaks, become U+FFFD.
    """
    plain = _ESCAPE_SEQUENCE.sub("", text).expandtabs(4)
    return "".join(character if character.isprintable() else "\ufffd" for character in plain)


def seconds(ms: int) -> str:
    return f"{ms / 1000:.1f} s"


def duration(whole_s: float) -> str:
    """Return a duration in whole seconds, or in whole minutes from 90 s on."""
    return f"{whole_s:.0f} s" if whole_s < 90 else f"{whole_s / 60:.0f} min"


def value_of(figure: Figure) -> str:
    """Return the value of *figure* with its unit. Non-integers have two decimals below 10, one below 100."""
    size = abs(float(figure.value))
    digits = 0 if size >= 100 or size.is_integer() else 1 if size >= 10 else 2
    return f"{figure.value:.{digits}f} {figure.unit}".rstrip()


def failures(result: Result, level: Level) -> list[Check]:
    """Return the failed checks of *level*, earliest first."""
    failed = [check for check in result.checks if not check.passed and check.level is level]
    return sorted(failed, key=lambda check: check.at_ms)


def counts(report: ExamReport) -> str:
    """Return how many tests have each verdict, such as "27 of 29 tests passed, 1 failed, 1 skipped"."""
    number = Counter(result.verdict for result in report.results)
    words = f"{number[Grade.PASSED]} of {len(report.results)} tests passed"
    for verdict in (Grade.FAILED, Grade.SKIPPED, Grade.UNJUDGED):
        words += f", {number[verdict]} {verdict}" if number[verdict] else ""
    return words


def outcome(report: ExamReport) -> str:
    """Return the verdict of the whole exam as a word."""
    return "Passed" if report.passed else "Incomplete" if report.is_incomplete else "Failed"


def names(reports: Sequence[ExamReport]) -> list[str]:
    """Return the name of each test in *reports* once, in the order in which the names first appear."""
    return list(dict.fromkeys(result.name for report in reports for result in report.results))


def result_of(report: ExamReport, name: str) -> Result | None:
    return next((result for result in report.results if result.name == name), None)


# The terminal


def progress(number: int, total: int, title: str, left_s: float) -> str:
    """Return the line to show during a test, the *number*-th of *total*. The exam takes about *left_s* seconds more."""
    return f"test {number} of {total}: {title} (about {duration(left_s)} left)"


def line(result: Result, colour: bool = False) -> str:
    """Return one line about a test: its verdict, `why`, the first figures, failed checks in brief, and `notes`."""
    parts = [result.why] if result.why else []
    parts += [f"{figure.name} {value_of(figure)}" for figure in result.figures[:KEY_FIGURES]]
    parts += _in_brief(failures(result, Level.MUST), "")
    parts += _in_brief(failures(result, Level.BEYOND), "beyond: ")
    parts += result.notes
    verdict = f"{MARKS[result.verdict]} {result.name:<13}{result.verdict:<9}"
    if colour:
        verdict = f"\x1b[{COLOURS[result.verdict]}m{verdict}\x1b[0m"
    return f"{verdict}{printable('; '.join(parts))}".rstrip()


def _in_brief(failed: list[Check], before: str) -> Iterator[str]:
    """Yield the first of the *failed* checks, and how many others failed. Yield nothing if none failed."""
    if failed:
        yield f"{before}{failed[0].rule} failed at {seconds(failed[0].at_ms)}: {failed[0].found}"
    if len(failed) > 1:
        yield f"and {len(failed) - 1} more"


def summary(report: ExamReport, place_of: Callable[[str], str] | None = None) -> str:
    """Return the verdict of the exam, and each failed check in full.

    *place_of* takes the name of a test with failed checks. It returns where to find more about the test, such as a
    directory or a part of the page. None: leave this out.
    """
    lines = [f"{outcome(report)}: {counts(report)}, in {duration(report.seconds)}."]
    for level, heading in (
        (Level.MUST, ""),
        (Level.BEYOND, "These checks failed, but go beyond the course and fail no test:"),
    ):
        failed = [(result, failures(result, level)) for result in report.results]
        if heading and any(checks for _, checks in failed):
            lines += ["", heading]
        for result, checks in failed:
            if checks:
                lines += ["", f"{result.name}: {result.title}"]
                lines += [text for check in checks for text in _in_full(check)]
                lines += [] if place_of is None else [f"  look at   {place_of(result.name)}"]
    return "\n".join(map(printable, lines))


def _in_full(check: Check) -> list[str]:
    car = "" if check.car is None else f", car {check.car}"
    return [
        f"  {check.rule} ({check.level}) at {seconds(check.at_ms)}{car}",
        f"  expected  {check.expected}",
        f"  found     {check.found}",
    ]


def versus(first: ExamReport, second: ExamReport) -> str:
    """Return a table of two exams. Each controller has a column with its verdicts, figures and failed *must* checks."""
    reports = (first, second)
    rows = [("", [report.command for report in reports])]
    for name in names(reports):
        cells = [_cells(result_of(report, name)) for report in reports]
        table = zip_longest(*cells, fillvalue="")
        rows += [("" if at else name, list(each)) for at, each in enumerate(table)]
    rows.append(("", [f"{outcome(report)}: {counts(report)}" for report in reports]))
    return "\n".join(_row(name, [printable(cell) for cell in cells]) for name, cells in rows)


def _cells(result: Result | None) -> list[str]:
    """Return the lines of the table that show one test of one controller."""
    if result is None:
        return ["not run"]
    return [
        f"{MARKS[result.verdict]} {result.verdict}",
        *(f"  {figure.name} {value_of(figure)}" for figure in result.figures),
        *(f"  {check.rule} failed at {seconds(check.at_ms)}" for check in failures(result, Level.MUST)),
    ]


def _row(name: str, cells: list[str]) -> str:
    cut = [cell if len(cell) < COLUMN else cell[: COLUMN - 2] + "…" for cell in cells]
    return f"{name:<15}{''.join(f'{cell:<{COLUMN}}' for cell in cut)}".rstrip()


# JSON


def _value_of_event(value: object, _: object) -> bool | int | str | None:
    """Return *value* if its type is allowed for the value of an event; raise TypeError otherwise."""
    if value is None or type(value) in {bool, int, str}:
        return value  # type: ignore[return-value]  # mypy does not narrow by type().
    raise TypeError(f"the value of an event is a bool, int, str or None, not {value!r}")


CONVERTER = cattrs.Converter(forbid_extra_keys=True)
CONVERTER.register_structure_hook_func(lambda kind: kind == bool | int | str | None, _value_of_event)


def as_json(report: ExamReport, versus: ExamReport | None = None) -> str:
    """Return *report* as JSON: an object with the fields of `ExamReport`. Results, checks and so on are objects too.

    - Two keys are added: "passed" is true if the controller passed. "versus" is a similar object for the other
      controller, or null.
    - An enum is its value: a level "must" or "beyond", a verdict "passed", "failed", "skipped" or "unjudged", a kind of
      event as in `EventKind`, a button 0 (hall up), 1 (hall down) or 2 (cab).
    - Keys that end in "_ms" are times in milliseconds since the start of the test; only "late_ms" is a duration.
    - "seconds" is how long the exam took.
    - Cars and floors are numbered from 0. If "car" is null, the check or intervention concerns the whole group.
    - "timeline" is null for a test that was skipped or not judged. Its "datagrams" has a list for each tenth of a
      second: the number of IP packets that each controller sent.

    Keys are not renamed; new ones may be added.
    """
    whole = {"passed": report.passed, **CONVERTER.unstructure(report)}
    whole["versus"] = None if versus is None else {"passed": versus.passed, **CONVERTER.unstructure(versus)}
    return json.dumps(whole, separators=(",", ":"))


def load(text: str) -> tuple[ExamReport, ...]:
    """Return the reports in the output of `as_json`: one, or two if it compares two controllers."""
    whole = json.loads(text)
    parts = [whole, whole.pop("versus")]
    return tuple(
        CONVERTER.structure({key: value for key, value in part.items() if key != "passed"}, ExamReport)
        for part in parts
        if part is not None
    )
