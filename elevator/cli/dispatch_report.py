"""The results of `elevator bench dispatch` as text, JSON and SVG."""

import json
import math
from collections.abc import Sequence
from typing import NamedTuple

from elevator.cli.wording import counted


class Results(NamedTuple):
    """Statistics of one assigner in one cell, over all seeds.

    `floors_moved`, `reassigned` and `turns` are per passenger. `unclaimed` and `claimed_twice` are fractions of the lit
    hall calls; they are 0 without packet loss.
    """

    wait_s: float
    p95_s: float
    max_s: float
    journey_s: float
    floors_moved: float
    reassigned: float
    turns: float
    decision_us: float
    decision_us_most: float
    unclaimed: float
    claimed_twice: float


class Cell(NamedTuple):
    """The results of the reference algorithm and of another assigner (`run`) in one building, profile and load."""

    config: str
    profile: str
    load: str
    reference: Results
    run: Results

    @property
    def wait_ratio(self) -> float:
        return self.run.wait_s / self.reference.wait_s

    @property
    def p95_ratio(self) -> float:
        return self.run.p95_s / self.reference.p95_s

    @property
    def journey_ratio(self) -> float:
        return self.run.journey_s / self.reference.journey_s


class Setting(NamedTuple):
    """The settings that all cells share."""

    assigner: str
    park: str
    seeds: Sequence[int]
    passengers: int
    capacity: int
    loss: int
    """Packet loss in percent. -1: all nodes share one view of the group."""


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)  # `statistics` would add all of `decimal` to the binary.


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(mean([math.log(value) for value in values]))


HEAD = (
    f"{'building':<9}{'traffic':<8}{'load':<8}{'wait s':>8}{'ref':>8}{'ratio':>7}{'p95':>7}{'journey':>9}"
    f"{'moved':>8}{'ref':>7}{'reassigned':>12}{'ref':>7}{'turns':>7}{'ref':>7}{'us':>7}{'max us':>7}"
)


def title(setting: Setting) -> str:
    words = f"{setting.assigner}, parking {setting.park}, seeds {setting.seeds[0]}..{setting.seeds[-1]}"
    words += f", at most {counted(setting.capacity, 'passenger')} per car" if setting.capacity else ""
    return words + (f", {setting.loss} % of broadcasts lost" if setting.loss >= 0 else "")


def line(cell: Cell) -> str:
    """Return *cell* as a line of the table. Reassignments and turns are per hundred passengers."""
    run, was = cell.run, cell.reference
    return (
        f"{cell.config:<9}{cell.profile:<8}{cell.load:<8}{run.wait_s:>8.2f}{was.wait_s:>8.2f}{cell.wait_ratio:>7.3f}"
        f"{cell.p95_ratio:>7.3f}{cell.journey_ratio:>9.3f}{run.floors_moved:>8.2f}{was.floors_moved:>7.2f}"
        f"{100 * run.reassigned:>12.1f}{100 * was.reassigned:>7.1f}{100 * run.turns:>7.1f}{100 * was.turns:>7.1f}"
        f"{run.decision_us:>7.1f}{run.decision_us_most:>7.0f}"
    )


def summary(found: Sequence[Cell], loss: int) -> str:
    worst = max(found, key=lambda cell: cell.wait_ratio)
    worst_p95 = max(found, key=lambda cell: cell.p95_ratio)
    lines = [
        f"waiting time, geometric mean of the ratios   {geometric_mean([cell.wait_ratio for cell in found]):.3f}",
        f"    worst cell                               {worst.wait_ratio:.3f}  {name(worst)}",
        f"95th percentile of the waits, geometric mean {geometric_mean([cell.p95_ratio for cell in found]):.3f}",
        f"    worst cell                               {worst_p95.p95_ratio:.3f}  {name(worst_p95)}",
        f"journey time, geometric mean                 {geometric_mean([cell.journey_ratio for cell in found]):.3f}",
    ]
    for what in ("reassigned", "turns"):
        more = [name(cell) for cell in found if getattr(cell.run, what) > getattr(cell.reference, what)]
        lines.append(f"cells with more {what:<12} than the reference {len(more):>5}  {', '.join(more)}".rstrip())
    if loss >= 0:
        for what in ("unclaimed", "claimed_twice"):
            most = 100 * max(getattr(cell.run, what) for cell in found)
            was = 100 * max(getattr(cell.reference, what) for cell in found)
            lines.append(
                f"calls {what.replace('_', ' ')}, % of samples in the worst cell: {most:.2f} (reference {was:.2f})"
            )
    return "\n".join(lines)


def name(cell: Cell) -> str:
    return f"{cell.config} {cell.profile} {cell.load}"


def as_json(setting: Setting, found: Sequence[Cell]) -> str:
    rows = [
        {
            "config": cell.config,
            "profile": cell.profile,
            "load": cell.load,
            "wait_ratio": cell.wait_ratio,
            "p95_ratio": cell.p95_ratio,
            "journey_ratio": cell.journey_ratio,
            "reference": cell.reference._asdict(),
            setting.assigner: cell.run._asdict(),
        }
        for cell in found
    ]
    whole = {
        "setting": setting._asdict(),
        "wait_ratio": geometric_mean([cell.wait_ratio for cell in found]),
        "p95_ratio": geometric_mean([cell.p95_ratio for cell in found]),
        "journey_ratio": geometric_mean([cell.journey_ratio for cell in found]),
    }
    return json.dumps({"cells": rows, **whole}, indent=1, default=list)


COLOURS = {"light": "#9ecae1", "medium": "#4292c6", "heavy": "#084594"}
BAR, GAP, LEFT, HEIGHT = 12, 10, 60, 300


def as_svg(found: Sequence[Cell], caption: str) -> str:
    """Return an SVG bar chart of mean waiting times relative to the reference, with a line at 1."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in found:
        groups.setdefault((cell.config, cell.profile), []).append(cell)
    top = max(1.1, *(cell.wait_ratio for cell in found))
    width = LEFT + sum(len(group) * BAR + GAP for group in groups.values()) + 20

    def y(ratio: float) -> float:
        return 40 + HEIGHT * (1 - ratio / top)

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
            at, colour = y(cell.wait_ratio), COLOURS[cell.load]
            parts.append(
                f'<rect x="{x:.0f}" y="{at:.1f}" width="{BAR - 2}" height="{y(0) - at:.1f}" fill="{colour}">'
                f"<title>{name(cell)}: {cell.wait_ratio:.3f}</title></rect>"
            )
            x += BAR
        x += GAP
    for n, (load, colour) in enumerate(COLOURS.items()):
        parts.append(f'<rect x="{LEFT + 80 * n}" y="{HEIGHT + 86}" width="10" height="10" fill="{colour}"/>')
        parts.append(text(LEFT + 80 * n + 16, HEIGHT + 95, load, "start"))
    return "\n".join([*parts, "</g></svg>"]) + "\n"
