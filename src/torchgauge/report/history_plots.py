"""The history of many runs on a page: what changed since when, drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from torchgauge.analysis.history import Change, Key, Series, changes, changes_of, histories, points
from torchgauge.analysis.steps import LEAST
from torchgauge.record import Run
from torchgauge.report.history import CAUTION
from torchgauge.report.plots import rounded, ticks
from torchgauge.report.points import METRICS
from torchgauge.report.svg import FAINT, INK, SERIES, Panel, Plot, draw
from torchgauge.report.tables import Cell, Table
from torchgauge.report.text import count, plain
from torchgauge.units import format_quantity

WIDTH, HEIGHT = 340.0, 170.0
MOST_DRAWN = 12


@dataclass(frozen=True)
class History:
    """What many runs say together: sentences, a table of the steps, and a drawing of the largest."""

    sentences: tuple[str, ...]
    table: Table | None
    plot: Plot | None


def history(runs: Sequence[Run]) -> History | None:
    """Look for steps in the headlines of all cases; None where the runs are too few to have one."""
    series = [one for one in histories(map(points, runs)) if len(one.points) >= 2 * LEAST]
    if not series:
        return None
    found = changes(map(changes_of, series))
    told = f"{count(len(found), 'step')} in {count(len(series), 'series', 'series')}."
    named = _names([one.series for one in found])
    rows = [
        (
            (plain(one.since.started[:19].replace("T", " "), 30), plain((one.since.commit or "")[:10])),
            (
                Cell(plain(named[_key(one.series)], 160)),
                Cell(format_quantity(one.before, plain(one.series.unit, 12)), number=one.before),
                Cell(format_quantity(one.after, plain(one.series.unit, 12)), number=one.after),
                Cell(f"{one.ratio:.2f} ×", number=one.ratio),
            ),
        )
        for one in found
    ]
    table = Table("", "", "", "", "", ("since", "commit"), ("case", "before", "after", "ratio"), tuple(rows))
    largest = sorted(found, key=lambda one: -abs(math.log(one.ratio)))[:MOST_DRAWN]
    return History((told, CAUTION), table if rows else None, _plot(largest, len(found)) if rows else None)


def _plot(drawn: Sequence[Change], found: int) -> Plot:
    by_series: dict[Key, tuple[Series, list[Change]]] = {}
    for change in drawn:
        by_series.setdefault(_key(change.series), (change.series, []))[1].append(change)
    named = _names([series for series, _ in by_series.values()])
    panels = [Panel(plain(named[key], 90), _panel(*both)) for key, both in by_series.items()]
    what = f"; the largest {len(drawn)} of {found} are drawn" if len(drawn) < found else ""
    return Plot(
        "",
        f"Headlines run by run, in the order of time, and the levels before and after each step{what}.",
        tuple(panels),
    )


def _key(series: Series) -> Key:
    return series.fingerprint, series.case, series.metric, series.unit


def _names(series: Sequence[Series]) -> dict[Key, str]:
    """Name each by its case; by metric and fingerprint too, where the case has several."""
    keys = list(dict.fromkeys(map(_key, series)))

    def name(key: Key) -> str:
        fingerprint, case, metric, _ = key
        same = [other for other in keys if other[1] == case]
        words = [case]
        words += [METRICS.get(metric, metric)] if len({other[2] for other in same}) > 1 else []
        words += [f"fingerprint {fingerprint[:8]}"] if len({other[0] for other in same}) > 1 else []
        return ", ".join(words)

    return {key: name(key) for key in keys}


def _panel(series: Series, steps: Sequence[Change]) -> str:
    values = [point.value for point in series.points]
    low, high = min(values), max(values)
    if high < 1.3 * low:
        low, high = low / 1.15, high * 1.15
    places = {point.run: place for place, point in enumerate(series.points)}

    def paint(axes: Axes) -> None:
        axes.plot(
            range(len(values)),
            [math.log10(value) for value in values],
            color=SERIES[0],
            marker="o",
            markersize=3,
            linestyle="none",
        )
        for step in steps:
            at = places[step.since.run]
            axes.axvline(at - 0.5, color=INK, linewidth=1, linestyle=":")
            for level, ends in ((step.before, (0, at - 0.5)), (step.after, (at - 0.5, len(values) - 1))):
                axes.plot(ends, [math.log10(level)] * 2, color=SERIES[1], linewidth=1.6)
        marks = ticks(low, high)
        axes.set_yticks([math.log10(mark) for mark in marks], [rounded(mark, series.unit) for mark in marks])
        room = 0.05 * math.log10(high / low)
        axes.set_ylim(math.log10(low) - room, math.log10(high) + room)
        axes.set_xticks([0, len(values) - 1], [series.points[0].started[:10], series.points[-1].started[:10]])
        axes.grid(visible=True, axis="y", color=FAINT, linewidth=0.6, alpha=0.35)

    told = "; ".join(f"{step.ratio:.2f} times since {step.since.started[:10]}" for step in steps)
    alt = plain(f"History of {series.case}, {count(len(values), 'run')}: {told}", 1000)
    return draw(WIDTH, HEIGHT, paint, alt, left=70, right=36)
