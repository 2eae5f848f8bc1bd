"""The results of one or two exams as a self-contained HTML page, which needs no script and loads nothing.

report.html contains the styles. Every text of a report is made printable and escaped, here by `_text`, because the
examined controller may have printed it.
"""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

from elevator.exam.report import (
    MARKS,
    counts,
    duration,
    failures,
    names,
    outcome,
    printable,
    result_of,
    seconds,
    value_of,
)
from elevator.exam.report_timeline import LEGEND, draw
from elevator.exam.results import Check, ExamReport, Grade, Level, Result

FAILURES = 3
"""The list of failed tests shows at most this many failed checks of each test."""
LATE_MS = 25
"""If the rig was late by more than this during a test, the page says so."""
SAMPLES = {
    "car": '<path class="car" d="M1 9L9 5H23"/>',
    "door": '<path class="door" d="M2 7H22"/><path class="car" d="M0 7H24"/>',
    "unsafe": '<circle class="unsafe" cx="12" cy="7" r="5"/>',
    "motor": '<path class="grid" d="M0 7H24"/><path class="motor" d="M2 4.5h9M13 9.5h9"/>',
    "press": '<path class="press" d="M10 7h4"/>',
    "lamp": '<path class="lamp" d="M1 7H23"/>',
    "fault": '<path class="fault" d="M1 7H23"/>',
    "away": '<path class="away" d="M1 7H23"/>',
    "rejected": '<path class="rejected" d="M9 3V11M15 3V11"/>',
    "sent": '<path class="sent" d="M2 13V6h5V2h5v7h5V4h5V13Z"/>',
    "done": '<path class="done here" d="M12 0V14"/>',
    "must": '<path class="must here" d="M12 0V14"/>',
    "beyond": '<path class="beyond here" d="M12 0V14"/>',
}
"""A sample of each class of marks for the legend, 24 by 14 units."""


def page(report: ExamReport, versus: ExamReport | None = None) -> str:
    """Return the page about *report*, or the page that compares it with *versus*."""
    reports = (report,) if versus is None else (report, versus)
    sections = "".join(_section(name, reports) for name in names(reports))
    commands = " and ".join(each.command for each in reports)
    template = Template(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))
    body = f"{_head(reports)}{_failures(reports)}{_overview(reports)}{sections}"
    return template.substitute(title=_text(f"Elevator exam of {commands}"), body=body)


def _text(text: str) -> str:
    return escape(printable(text))


# The first page: verdicts, failures and the table of all tests


def _head(reports: Sequence[ExamReport]) -> str:
    cards = []
    for report in reports:
        kind = "passed" if report.passed else "failed"
        cards.append(
            f'<div class="outcome {kind}"><code>{_text(report.command)}</code>'
            f"<p><strong>{outcome(report)}</strong> {counts(report)}</p>"
            f'<p class="faint">{_text(report.started)}, {report.cars} cars, {report.floors} floors, seed {report.seed},'
            f" {duration(report.seconds)}</p></div>"
        )
    return f'<header><h1>Elevator exam</h1><div class="outcomes">{"".join(cards)}</div></header>'


def _failures(reports: Sequence[ExamReport]) -> str:
    """Return a list of the tests that failed, with their first failed *must* checks; empty if none failed."""
    lists = []
    for report in reports:
        rows = []
        for result in report.results:
            if result.verdict is Grade.FAILED:
                failed = failures(result, Level.MUST)
                lines = [f"{check.rule} at {seconds(check.at_ms)}: {check.found}" for check in failed[:FAILURES]]
                lines += [f"and {len(failed) - FAILURES} more"] if len(failed) > FAILURES else []
                rows.append(f"<li>{_link(result.name)} {'<br>'.join([_text(result.title), *map(_text, lines)])}</li>")
        if rows:
            of = f" of <code>{_text(report.command)}</code>" if len(reports) > 1 else ""
            lists.append(f"<h2>Failed tests{of}</h2><ul>{''.join(rows)}</ul>")
    return f'<section class="failures">{"".join(lists)}</section>' if lists else ""


def _link(name: str) -> str:
    return f'<a href="#{_text(name)}">{_text(name)}</a>'


def _overview(reports: Sequence[ExamReport]) -> str:
    """Return the table of all tests, with the verdict and figures of each controller."""
    rows = []
    for name in names(reports):
        results = [result_of(report, name) for report in reports]
        title = next(result.title for result in results if result is not None)
        cells = "".join(
            f'<td data-head="{_text(report.command)}">{_badge(result)}</td><td>{_figures_brief(result)}</td>'
            for report, result in zip(reports, results, strict=True)
        )
        rows.append(f"<tr><th scope=row>{_link(name)}<span>{_text(title)}</span></th>{cells}</tr>")
    if len(reports) > 1:
        heads = "".join(f"<th scope=col colspan=2><code>{_text(report.command)}</code></th>" for report in reports)
    else:
        heads = "<th scope=col>Verdict</th><th scope=col>Figures</th>"
    kind = "overview of-two" if len(reports) > 1 else "overview"
    return (
        f'<section><h2>All tests</h2><table class="{kind}"><thead><tr><th scope=col>Test</th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>{EXPLANATION}</section>"
    )


EXPLANATION = (
    '<p class="faint">Each check names its rule in the specification. '
    "<em>must</em>: the course demands it, and a failed check fails the exam. "
    "<em>beyond</em>: only the specification demands it, and a failed check fails nothing. "
    "Times count from the start of a test.</p>"
)


def _badge(result: Result | None) -> str:
    if result is None:
        return '<span class="badge skipped">not run</span>'
    return f'<span class="badge {result.verdict}">{MARKS[result.verdict]} {result.verdict}</span>'


def _figures_brief(result: Result | None) -> str:
    figures = () if result is None else result.figures
    items = [f"{_text(each.name)} <b>{_text(value_of(each))}</b>" for each in figures]
    return "<br>".join(items) or ("" if result is None else _text(result.why))


# A section for each test


def _section(name: str, reports: Sequence[ExamReport]) -> str:
    """Return the section about one test, with its results in all *reports*."""
    results = [(report, result_of(report, name)) for report in reports]
    title = next(result.title for _, result in results if result is not None)
    parts = []
    for report, result in results:
        head = f"<h3><code>{_text(report.command)}</code> {_badge(result)}</h3>" if len(reports) > 1 else ""
        parts.append(head + ("" if result is None else _result(result)))
    badge = _badge(results[0][1]) if len(reports) == 1 else ""
    kind = "test" if any(result is not None and result.timeline for _, result in results) else "test brief"
    return (
        f'<section class="{kind}" id="{_text(name)}">'
        f'<h2><span class="id">{_text(name)}</span> {_text(title)} {badge}</h2>'
        f"{''.join(parts)}</section>"
    )


def _result(result: Result) -> str:
    notes = list(result.notes)
    if result.late_ms > LATE_MS:
        notes.append(f"The exam was up to {result.late_ms} ms late. Times may be wrong by that much.")
    what = "Skipped" if result.verdict is Grade.SKIPPED else "Not judged"
    parts = [f"<p>{what}: {_text(result.why)}</p>"] if result.why else []
    parts += [f'<p class="note">{_text(note)}</p>' for note in notes]
    parts += [_checks(result.checks)] if result.checks else []
    if result.figures:
        figures = (f"<div><dt>{_text(each.name)}</dt><dd>{_text(value_of(each))}</dd></div>" for each in result.figures)
        parts.append(f"<dl>{''.join(figures)}</dl>")
    parts += [_timeline(result)]
    if result.log:
        is_open = " open" if result.verdict is Grade.FAILED else ""
        lines = "\n".join(map(_text, result.log))
        parts.append(
            f"<details{is_open}><summary>Last lines that the controllers printed</summary><pre>{lines}</pre></details>"
        )
    return "".join(parts)


def _checks(checks: Iterable[Check]) -> str:
    """Return the table of checks: first the failed ones, then the others, both in order of time."""
    rows = []
    for check in sorted(checks, key=lambda check: (check.passed, check.at_ms)):
        kind = "passed" if check.passed else "failed" if check.level is Level.MUST else "beyond"
        verdict = Grade.PASSED if check.passed else Grade.FAILED
        cells = (
            ("", f'<span class="mark" title="{verdict}">{MARKS[verdict]}</span>'),
            ("Rule", f"{_text(check.rule)} <em>{check.level}</em>"),
            ("Expected", _text(check.expected)),
            ("Found", _text(check.found)),
            ("Time", f"{seconds(check.at_ms)}"),
            ("Car", "all" if check.car is None else str(check.car)),
        )
        columns = "".join(f'<td data-head="{head}"><span>{cell}</span></td>' for head, cell in cells)
        rows.append(f'<tr class="{kind}">{columns}</tr>')
    heads = "".join(f"<th scope=col>{head}</th>" for head in ("", "Rule", "Expected", "Found", "Time", "Car"))
    return f'<table class="checks"><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _timeline(result: Result) -> str:
    if result.timeline is None:
        return ""
    drawing = draw(result.timeline, result.checks)
    samples = "".join(
        f'<li><svg viewBox="0 0 24 14" aria-hidden="true">{SAMPLES[kind]}</svg>{LEGEND[kind]}</li>'
        for kind in drawing.legend
    )
    numbered = "".join(f"<li>{_text(text)}</li>" for text in drawing.numbered)
    interventions = f'<ol class="numbered">{numbered}</ol>' if numbered else ""
    return (
        f'<figure><div class="scroll" tabindex="0" role="group" aria-label="Timeline">{drawing.pictures}</div>'
        f'<figcaption><ul class="legend">{samples}</ul>{interventions}</figcaption></figure>'
    )
