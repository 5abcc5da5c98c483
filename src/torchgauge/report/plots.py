"""Time and rate over size, for every benchmark that has a size.

Axes are logarithmic: the data are put on as logarithms and the ticks named by hand, which is five
times as fast as matplotlib's own logarithmic axes and gives ticks in the units of the tables.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes

from torchgauge.report import order
from torchgauge.report.points import METRICS, RATES, Dimension, Row, get, heads, is_size, rate_of, varying
from torchgauge.report.svg import FAINT, MARKERS, MOST_SERIES, SERIES, Legend, Panel, Plot, draw
from torchgauge.report.text import label, plain, size_of
from torchgauge.units import format_quantity

WIDTH, HEIGHT = 340.0, 220.0

_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Point:
    """A value at a size, with its interval (the value twice, where there is none)."""

    size: float
    value: float
    low: float
    high: float


def over_size(rows: Sequence[Row], run_labels: Mapping[str, str]) -> Plot | None:
    """Draw the time of one benchmark over its size, and its rate where work is stated.

    Args:
        rows: one part of `points.benchmarks`.
        run_labels: a short name for each run id.

    Returns:
        None where the benchmark has no parameter that is a size and takes two values or more.

    """
    rows = [row for row in rows if row["value"] is not None and row["value"] > 0]
    dimensions = varying(rows) if rows else []
    axis = size_axis(rows, dimensions)
    if axis is None:
        return None
    rows = [row for row in rows if (size_of(get(row, axis)) or 0) > 0]
    others = [d for d in dimensions if d != axis]
    series, left_out = _series(rows, others, list(run_labels))
    write = heads(rows, others, run_labels)
    names = {key: ", ".join(write(key)) for key in series}
    first = rows[0]
    title = plain(f"{first['group']}/{first['name']}", 120)
    metric = METRICS.get(first["metric"], plain(first["metric"], 40))
    panels = [
        _panel(metric, first["unit"], title, axis, rows, {k: _times(v, axis) for k, v in series.items()})
    ]
    rate = rate_of(rows)
    if rate is not None:
        rates = {key: _rates(members, axis, rate) for key, members in series.items()}
        if any(rates.values()):  # those with a rate may be among the series left out
            panels.append(_panel("rate", RATES[rate], title, axis, rows, rates))
    what = f"{' and '.join(panel.title for panel in panels)} over {plain(axis[1], 30)}, logarithmic axes"
    if left_out:
        what += f"; {len(series)} of {len(series) + left_out} series are drawn, the table has all"
    legend = tuple(Legend(names[key], index) for index, key in enumerate(series) if names[key])
    return Plot(title, f"{what[0].upper()}{what[1:]}.", tuple(panels), legend)


def ticks(low: float, high: float) -> list[float]:
    """Choose about four round values within a range above 0: 1, 2, 5 × 10ⁿ, over more decades 10ⁿ."""
    decades = math.log10(high / low)
    step = max(1, math.ceil(decades / 5))
    steps = (1.0,) if decades > 2.2 else (1.0, 3.0) if decades > 1.2 else (1.0, 2.0, 5.0)
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    found = [m * 10.0**e for e in range(first, last + 1, step) for m in steps]
    inside = [value for value in found if low * 0.97 <= value <= high * 1.03]
    return inside if len(inside) >= 2 else [low, high]


def short(value: Any) -> str:
    """Write a size for a tick: 2¹⁰, 500, 20k, 1M, or the text that it is."""
    if not isinstance(value, (int, float)):
        return plain(value, 12)
    whole = int(value)
    if whole == value and whole >= 1024 and whole & (whole - 1) == 0:
        return "2" + str(whole.bit_length() - 1).translate(_RAISED)
    for scale, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= max(scale, 1e4):
            return f"{value / scale:g}{prefix}"
    return label(value)


def rounded(value: float, unit: str) -> str:
    """Write a tick without zeros that say nothing: 10 µs, not 10.0 µs."""
    number, _, rest = format_quantity(value, plain(unit, 12)).partition(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {rest}"


def size_axis(rows: Sequence[Row], dimensions: Sequence[Dimension]) -> Dimension | None:
    """Choose the size that a benchmark is drawn over: the one with the most values, two or more."""
    sizes = [
        (
            len({size_of(get(row, d)) for row in rows} - {0.0, None}),
            d[1] in ("n", "size", "shape", "batch"),
            d,
        )
        for d in dimensions
        if is_size(rows, d)
    ]
    best = max(sizes, default=None)
    return best[2] if best and best[0] >= 2 else None


def _series(
    rows: Sequence[Row], others: Sequence[Dimension], runs: Sequence[str]
) -> tuple[dict[tuple[Any, ...], list[Row]], int]:
    """Part rows by all that is not the size; at most `MOST_SERIES`, float32 before all else."""
    places = {run: (0, float(place), "") for place, run in enumerate(runs)}
    series: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        series.setdefault(tuple(get(row, d) for d in others), []).append(row)

    def rank(key: tuple[Any, ...]) -> list[order.Key]:
        return [
            places[value] if d == ("", "run") and value in places else order.key(d[1], value)
            for d, value in zip(others, key, strict=True)
        ]

    keys = sorted(series, key=rank)
    if len(keys) > MOST_SERIES:
        common = [key for key in keys if series[key][0]["dtype"] in (None, "float32")]
        keys = (common if len(common) > 1 else keys)[:MOST_SERIES]
    return {key: series[key] for key in keys}, len(series) - len(keys)


def _times(rows: Sequence[Row], axis: Dimension) -> list[Point]:
    return _points(rows, axis, lambda _, seconds: seconds)


def _rates(rows: Sequence[Row], axis: Dimension, rate: str) -> list[Point]:
    rows = [row for row in rows if row[f"{rate}_per_second"] is not None]
    return _points(rows, axis, lambda row, seconds: row[rate] / seconds)


def _points(rows: Sequence[Row], axis: Dimension, of: Any) -> list[Point]:
    points = []
    for row in rows:
        value = of(row, row["value"])
        ends = [of(row, end) if end else value for end in (row["low"], row["high"])]
        points.append(Point(float(size_of(get(row, axis)) or 1), value, min(ends), max(ends)))
    return sorted(points, key=lambda point: point.size)


def _panel(
    title: str,
    unit: str,
    benchmark: str,
    axis: Dimension,
    rows: Sequence[Row],
    series: Mapping[tuple[Any, ...], Sequence[Point]],
) -> Panel:
    points = [point for members in series.values() for point in members]
    lowest, highest = min(p.value for p in points), max(p.value for p in points)
    if highest / lowest < 10:  # a decade at the least: what is flat shall look flat
        widen = math.sqrt(10 * lowest / highest)
        lowest, highest = lowest / widen, highest * widen
    # a wide interval may widen the axis by a decade at each end; beyond that it is cut
    lowest = min(lowest, max(lowest / 10, min(p.low for p in points)))
    highest = max(highest, min(highest * 10, max(p.high for p in points)))
    names = {size_of(get(row, axis)): short(get(row, axis)) for row in rows}

    def paint(axes: Axes) -> None:
        for index, members in enumerate(series.values()):
            colour = SERIES[index]
            xs = [math.log10(point.size) for point in members]
            ys = [math.log10(point.value) for point in members]
            axes.plot(xs, ys, color=colour, marker=MARKERS[index], markersize=5, linewidth=1.6)
            for x, point in zip(xs, members, strict=True):
                if point.high > 1.04 * point.low:  # a narrower one is hidden by its mark
                    ends = [math.log10(max(point.low, lowest)), math.log10(min(point.high, highest))]
                    axes.plot([x, x], ends, color=colour, linewidth=1.4)
        chosen = _apart(sorted({point.size for point in points}))
        axes.set_xticks([math.log10(size) for size in chosen], [names[size] for size in chosen])
        marks = ticks(lowest, highest)
        axes.set_yticks([math.log10(mark) for mark in marks], [rounded(m, unit) for m in marks])
        room = 0.06 * math.log10(highest / lowest)
        axes.set_ylim(math.log10(lowest) - room, math.log10(highest) + room)
        axes.grid(visible=True, color=FAINT, linewidth=0.6, alpha=0.35)
        axes.set_xlabel(plain(axis[1], 30))

    alt = (
        f"{title} of {benchmark} over {plain(axis[1], 30)}, {len(series)} series, "
        f"from {format_quantity(min(p.value for p in points), plain(unit, 12))} "
        f"to {format_quantity(max(p.value for p in points), plain(unit, 12))}"
    )
    return Panel(title, draw(WIDTH, HEIGHT, paint, alt, left=70))


def _apart(sizes: Sequence[float]) -> list[float]:
    """Leave out sizes whose ticks would touch: each is a seventh of the axis from the one before."""
    least = math.log10(sizes[-1] / sizes[0]) / 7
    chosen = [sizes[-1]]
    for size in reversed(sizes[:-1]):
        if math.log10(chosen[-1] / size) >= least:
            chosen.append(size)
    return chosen[::-1]
