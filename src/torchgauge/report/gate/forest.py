"""The plot of a comparison: a row a case, with its interval, its floor and each of its pairs."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from matplotlib.axes import Axes

from torchgauge.record.ab import AbRun, Comparison, Verdict
from torchgauge.report.gate import words
from torchgauge.report.svg import FAINT, INK, SERIES, Panel, Plot, draw

ROW = 24.0
WIDTH = 900.0
LABELS = 330.0
"""Room for the cases' names, in CSS pixels."""
LONGEST = 52
_COLOURS = {Verdict.REGRESSED: SERIES[1], Verdict.IMPROVED: SERIES[0]}
_MARKS = {Verdict.REGRESSED: ">", Verdict.IMPROVED: "<", Verdict.INCONCLUSIVE: "D"}


def forest(run: AbRun) -> Plot | None:
    """Draw the cases that have a ratio; None where there is none.

    A grey band is the floor, a faint dot a pair of processes, a line the 95 % interval. What lies outside
    the frame stands on its edge.
    """
    shown = [one for one in run.comparisons if one.ratio is not None]
    if not shown:
        return None
    ratios: dict[str, list[float]] = defaultdict(list)
    for line in run.pairs:
        ratios[line.case.id].append(100 * math.expm1(line.log_ratio))
    most = _reach(shown)
    panel = draw(
        WIDTH,
        60 + ROW * len(shown),
        lambda axes: _paint(axes, shown, ratios, most),
        alt=f"Ratio of head to base with its interval, {len(shown)} cases. {words.headline(run)}",
        left=LABELS,
        right=20,
    )
    return Plot(
        "Head against base",
        "Change in %, over 0 is slower. Line: 95 % interval. Dots: pairs of processes, on the frame's edge "
        "where they lie outside. Grey: the floor. A triangle to the right regressed, to the left improved; "
        "a diamond is inconclusive.",
        (Panel("", panel),),
    )


def _reach(shown: Sequence[Comparison]) -> float:
    """Choose how many % the frame reaches to either side."""
    ends = [
        abs(100 * (value - 1))
        for one in shown
        for value in (one.ratio, one.low, one.high)
        if value is not None
    ]
    floors = [300 * one.floor for one in shown if one.floor is not None]
    return min(400.0, max(1.2 * max(ends), max(floors, default=3.0)))


def _paint(axes: Axes, shown: Sequence[Comparison], ratios: dict[str, list[float]], most: float) -> None:
    def inside(value: float) -> float:
        return max(-most, min(most, value))

    axes.axvline(0, color=FAINT, linewidth=1)
    for row, one in enumerate(shown):
        at = len(shown) - 1 - row
        colour = _COLOURS.get(one.verdict, INK)
        if one.floor is not None:
            low, high = 100 * (1 / (1 + one.floor) - 1), 100 * one.floor
            axes.fill_betweenx([at - 0.42, at + 0.42], low, high, color=FAINT, alpha=0.18, linewidth=0)
        points = [inside(value) for value in ratios[one.case]] if one.metric == "time" else []
        axes.plot(points, [at - 0.22] * len(points), ".", color=FAINT, markersize=4, alpha=0.55)
        if one.low is not None and one.high is not None:
            ends = [inside(100 * (one.low - 1)), inside(100 * (one.high - 1))]
            axes.plot(ends, [at + 0.12] * 2, color=colour, linewidth=2)
        middle = inside(100 * ((one.ratio or 1.0) - 1))
        axes.plot([middle], [at + 0.12], _MARKS.get(one.verdict, "o"), color=colour, markersize=6)
    axes.set_xlim(-most * 1.02, most * 1.02)
    axes.set_ylim(-0.7, len(shown) - 0.3)
    axes.set_yticks(range(len(shown)), [_label(one) for one in reversed(shown)])
    axes.set_xlabel("change of head against base, %")


def _label(one: Comparison) -> str:
    name = words.cells(one)[-1]
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
