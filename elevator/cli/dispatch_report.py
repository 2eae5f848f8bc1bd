"""The results of `elevator bench dispatch`, their statistics, and their output as text, JSON and SVG."""

import json
import math
from collections.abc import Sequence
from typing import NamedTuple

from elevator.cli.wording import counted


class Results(NamedTuple):
    """Statistics of one algorithm in one cell, over all seeds.

    `waits_s` and `p95s_s` hold a value for each seed. `floors_moved`, `starts`, `reassigned` and `turns` are counts
    per passenger (native/bench.h). `decision_us` is the mean time to compute an assignment. `unclaimed` is the fraction
    of lit hall calls that no car claims, and `claimed_twice` the fraction that several cars claim. The calls are
    sampled at each broadcast. Both fractions are 0 if all nodes share one view.
    """

    wait_s: float
    p95_s: float
    max_s: float
    journey_s: float
    waits_s: list[float]
    p95s_s: list[float]
    floors_moved: float
    starts: float
    reassigned: float
    turns: float
    decision_us: float
    decision_us_most: float
    unclaimed: float
    claimed_twice: float


class Cell(NamedTuple):
    """The results of one algorithm (`run`) and of one baseline in one building, profile and load."""

    config: str
    profile: str
    load: str
    baseline: str
    run: Results
    plain: Results
    """The baseline without parking."""
    equal: Results
    """The baseline with the same parking as `run`."""


class Setting(NamedTuple):
    """The settings of one algorithm's simulations."""

    assigner: str
    park: str
    seeds: Sequence[int]
    passengers: int
    """The number of passengers in each simulation. Only `elevator bench dispatch` uses it."""
    capacity: int
    """The maximum number of passengers in a car; 0: unlimited."""
    loss: int
    """Packet loss in percent. -1: all nodes share one view of the group."""


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)  # `statistics` would add all of `decimal` to the binary.


def percentile_95(ascending: Sequence[float]) -> float:
    return ascending[len(ascending) * 95 // 100]


class Ratio(NamedTuple):
    """A ratio measured with one or more seeds: the geometric mean over the seeds, and a 95 % interval around it.

    With a single seed the interval is unknown; `low` and `high` are then NaN.
    """

    value: float
    low: float
    high: float

    @property
    def margin(self) -> str:
        """Half the width of the interval as text; "-" if it is unknown."""
        return "-" if math.isnan(self.low) else f"{(self.high - self.low) / 2:.3f}"


LEAST_S = 0.1
"""In `logs_of`, shorter times count as this long, because the ratio of two tiny times means nothing."""
STUDENT_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""The 97.5th percentile of Student's t-distribution with 1, 2, ... degrees of freedom."""


def student_95(freedom: int) -> float:
    """Return Student's t for a two-sided 95 % interval with *freedom* degrees of freedom.

    The value is from the table. Beyond its end, it is computed from the first terms of a series in 1/*freedom*.
    """
    if freedom <= len(STUDENT_95):
        return STUDENT_95[freedom - 1]
    return 1.95996 + 2.3723 / freedom + 2.8225 / freedom**2


def ratio_of(logs: Sequence[float]) -> Ratio:
    """Return the geometric mean of ratios, with its 95 % interval. *logs* are the logarithms of the ratios."""
    middle, count = mean(logs), len(logs)
    margin = math.nan
    if count > 1:
        variance = math.fsum((each - middle) ** 2 for each in logs) / (count - 1)
        margin = student_95(count - 1) * math.sqrt(variance / count)
    return Ratio(math.exp(middle), math.exp(middle - margin), math.exp(middle + margin))


def logs_of(found: Sequence[Cell], what: str, base: str) -> list[float]:
    """Return a value for each seed: the logarithm of the ratio between the algorithm's *what* and the baseline's.

    If *found* has several cells, the value is the mean over them. *what* is "waits_s" or "p95s_s". *base* selects the
    baseline's results: "plain" or "equal".
    """
    rows = [
        [
            math.log(max(own, LEAST_S) / max(other, LEAST_S))
            for own, other in zip(getattr(cell.run, what), getattr(getattr(cell, base), what), strict=True)
        ]
        for cell in found
    ]
    return [mean(column) for column in zip(*rows, strict=True)]


def ratio(found: Sequence[Cell], what: str, base: str) -> Ratio:
    return ratio_of(logs_of(found, what, base))


def total_ratio(found: Sequence[Cell], what: str, base: str) -> float:
    """Return the ratio between the algorithm's *what* and the baseline's: the geometric mean over the cells *found*.

    *what* is a field of `Results` with a single number. *base* selects the baseline's results: "plain" or "equal".
    """
    return math.exp(mean([math.log(getattr(cell.run, what) / getattr(getattr(cell, base), what)) for cell in found]))


GROUPS = (
    f"{'':36}{'wait s':^21}{'ratio':^21}{'p95':^21}{'journey':^14}{'floors':^21}{'starts':^21}{'reassigned':^14}"
    f"{'turns':^14}"
)
HEAD = (
    f"{GROUPS.rstrip()}\n{'building':<9}{'profile':<8}{'load':<8}{'baseline':<11}"
    f"{'own':>7}{'plain':>7}{'equal':>7}{'plain':>7}{'equal':>7}{'+-':>7}{'plain':>7}{'equal':>7}{'+-':>7}"
    f"{'plain':>7}{'equal':>7}{'own':>7}{'plain':>7}{'equal':>7}{'own':>7}{'plain':>7}{'equal':>7}"
    f"{'own':>7}{'equal':>7}{'own':>7}{'equal':>7}{'us':>7}{'max us':>8}"
)


def title(setting: Setting) -> str:
    words = f"{setting.assigner}, parking {setting.park}, seeds {setting.seeds[0]}..{setting.seeds[-1]}"
    words += f", at most {counted(setting.capacity, 'passenger')} per car" if setting.capacity else ""
    return words + (f", {setting.loss} % of broadcasts lost" if setting.loss >= 0 else "")


def line(cell: Cell) -> str:
    """Return *cell* as a line of the table."""
    run, plain, equal = cell.run, cell.plain, cell.equal
    waits, p95s = ratio([cell], "waits_s", "equal"), ratio([cell], "p95s_s", "equal")
    values = [
        f"{run.wait_s:.2f}",
        f"{plain.wait_s:.2f}",
        f"{equal.wait_s:.2f}",
        f"{ratio([cell], 'waits_s', 'plain').value:.3f}",
        f"{waits.value:.3f}",
        waits.margin,
        f"{ratio([cell], 'p95s_s', 'plain').value:.3f}",
        f"{p95s.value:.3f}",
        p95s.margin,
        f"{run.journey_s / plain.journey_s:.3f}",
        f"{run.journey_s / equal.journey_s:.3f}",
        *(f"{each.floors_moved:.2f}" for each in (run, plain, equal)),
        *(f"{each.starts:.2f}" for each in (run, plain, equal)),
        *(f"{100 * each.reassigned:.1f}" for each in (run, equal)),
        *(f"{100 * each.turns:.1f}" for each in (run, equal)),
        f"{run.decision_us:.1f}",
    ]
    words = f"{cell.config:<9}{cell.profile:<8}{cell.load:<8}{cell.baseline:<11}"
    return words + "".join(f"{value:>7}" for value in values) + f"{run.decision_us_most:>8.0f}"


def summary(found: Sequence[Cell], loss: int) -> str:
    """Return the text below the table: for each baseline, the means over all cells, and the worst cells.

    *loss* is that of `Setting`. If it is negative, unclaimed calls and calls claimed twice were not measured, so the
    lines about them are left out.
    """
    lines = [""]
    for baseline in dict.fromkeys(cell.baseline for cell in found):
        chosen = [cell for cell in found if cell.baseline == baseline]
        lines += summary_of(chosen, baseline)
        if loss >= 0:
            lines += [
                f"calls {what.replace('_', ' ')}, % of samples in the worst cell: "
                f"{100 * max(getattr(cell.run, what) for cell in chosen):.2f} "
                f"({baseline} {100 * max(getattr(cell.equal, what) for cell in chosen):.2f})"
                for what in ("unclaimed", "claimed_twice")
            ]
    return "\n".join(lines)


def summary_of(found: Sequence[Cell], baseline: str) -> list[str]:
    """Return the lines of the summary for *baseline*. *found* are the cells with that baseline."""
    lines = [f"{'relative to ' + baseline:<33}{'without parking':^24}{'with equal parking':^24}"]
    for what, words in (("waits_s", "waiting time, geometric mean"), ("p95s_s", "95th percentile of the waits")):
        means = [ratio(found, what, base) for base in ("plain", "equal")]
        lines.append(f"{words:<33}" + "".join(f"{each.value:>10.3f} +- {each.margin:<10}" for each in means))
        worst = [max(found, key=lambda cell: ratio([cell], what, base).value) for base in ("plain", "equal")]
        values = [ratio([cell], what, base).value for cell, base in zip(worst, ("plain", "equal"), strict=True)]
        cells = [f"{value:.3f} {name(cell)}" for value, cell in zip(values, worst, strict=True)]
        lines.append(f"    {'worst cell':<29}" + "".join(f"{each:^24}" for each in cells))
    for what, words in (("journey_s", "journey time"), ("floors_moved", "floors moved"), ("starts", "motor starts")):
        ratios = [total_ratio(found, what, base) for base in ("plain", "equal")]
        lines.append(f"{words:<33}" + "".join(f"{each:>10.3f}{'':14}" for each in ratios))
    for what, words in (("waits_s", "waiting time"), ("p95s_s", "95th percentile")):
        above = [name(cell) for cell in found if ratio([cell], what, "equal").low > 1]
        lines.append(
            f"cells whose {words} is significantly (95 %) longer than the baseline's with equal parking: "
            f"{', '.join(above) or 'none'}"
        )
    for what, words in (("reassigned", "reassigned calls"), ("turns", "turns")):
        more = [name(cell) for cell in found if getattr(cell.run, what) > getattr(cell.equal, what)]
        lines.append(f"cells with more {words} than the baseline with equal parking: {', '.join(more) or 'none'}")
    return lines


def name(cell: Cell) -> str:
    return f"{cell.config} {cell.profile} {cell.load}"


def as_json(setting: Setting, found: Sequence[Cell]) -> str:
    """Return as JSON the setting, the cells with their ratios, and for each baseline the ratios over all its cells.

    A ratio is [value, low, high]: the geometric mean and its 95 % interval. NaN becomes null.
    """

    def ratios(cells: Sequence[Cell]) -> dict[str, object]:
        return {
            f"{label}_ratio_{base}": [None if math.isnan(each) else each for each in ratio(cells, what, base)]
            for what, label in (("waits_s", "wait"), ("p95s_s", "p95"))
            for base in ("plain", "equal")
        }

    rows = [
        {
            "config": cell.config,
            "profile": cell.profile,
            "load": cell.load,
            "baseline": cell.baseline,
            **ratios([cell]),
            "own": cell.run._asdict(),
            "plain": cell.plain._asdict(),
            "equal": cell.equal._asdict(),
        }
        for cell in found
    ]
    whole = {
        baseline: ratios([cell for cell in found if cell.baseline == baseline])
        for baseline in dict.fromkeys(cell.baseline for cell in found)
    }
    return json.dumps({"cells": rows, "setting": setting._asdict(), "ratios": whole}, indent=1, default=list)


COLOURS = {"light": "#9ecae1", "medium": "#4292c6", "heavy": "#084594"}
BAR, GAP, LEFT, HEIGHT = 12, 10, 60, 300


def as_svg(found: Sequence[Cell], caption: str) -> str:
    """Return an SVG bar chart of the mean waiting times relative to those of the baseline, with a red line at 1.

    All cells in *found* must have the same baseline. A bar is the ratio to the baseline without parking. The black
    line across the bar is the ratio to the baseline with equal parking.
    """
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in found:
        groups.setdefault((cell.config, cell.profile), []).append(cell)
    top = max(1.1, *(ratio([cell], "waits_s", base).value for cell in found for base in ("plain", "equal")))
    width = LEFT + sum(len(group) * BAR + GAP for group in groups.values()) + 20

    def y(value: float) -> float:
        return 40 + HEIGHT * (1 - value / top)

    def text(x: float, at: float, words: str, anchor: str = "middle") -> str:
        return f'<text x="{x:.0f}" y="{at:.0f}" text-anchor="{anchor}">{words}</text>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT + 110}">',
        '<g font-family="sans-serif" font-size="10"><rect width="100%" height="100%" fill="white"/>',
        text(width / 2, 20, caption),
    ]
    for tenth in range(0, int(top * 10) + 1, 2):
        at = y(tenth / 10)
        colour = "#cb181d" if tenth == 10 else "#dddddd"
        parts.append(f'<line x1="{LEFT}" x2="{width - 10}" y1="{at:.1f}" y2="{at:.1f}" stroke="{colour}"/>')
        parts.append(text(LEFT - 6, at + 3, f"{tenth / 10:.1f}", "end"))
    x = LEFT + GAP / 2
    for (config, profile), group in groups.items():
        middle = x + len(group) * BAR / 2
        parts += [text(middle, HEIGHT + 55, profile), text(middle, HEIGHT + 68, config)]
        for cell in group:
            plain, equal = (ratio([cell], "waits_s", base).value for base in ("plain", "equal"))
            at, colour = y(plain), COLOURS[cell.load]
            parts.append(
                f'<rect x="{x:.0f}" y="{at:.1f}" width="{BAR - 2}" height="{y(0) - at:.1f}" fill="{colour}">'
                f"<title>{name(cell)}: {plain:.3f}, with equal parking {equal:.3f}</title></rect>"
                f'<line x1="{x:.0f}" x2="{x + BAR - 2:.0f}" y1="{y(equal):.1f}" y2="{y(equal):.1f}" stroke="black"/>'
            )
            x += BAR
        x += GAP
    for n, (load, colour) in enumerate(COLOURS.items()):
        parts.append(f'<rect x="{LEFT + 80 * n}" y="{HEIGHT + 86}" width="10" height="10" fill="{colour}"/>')
        parts.append(text(LEFT + 80 * n + 16, HEIGHT + 95, load, "start"))
    return "\n".join([*parts, "</g></svg>"]) + "\n"
