"""Copies over their size, under the fastest that crossed the same way: the ceiling of link or memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from torchgauge.analysis.ceilings import Ceiling, Ceilings
from torchgauge.record import Run
from torchgauge.report import order
from torchgauge.report.bars import Bench
from torchgauge.report.plots import short, ticks
from torchgauge.report.points import Row
from torchgauge.report.svg import FAINT, INK, MARKERS, MOST_SERIES, SERIES, Legend, Panel, Plot, draw
from torchgauge.report.text import count, label, plain, size_of
from torchgauge.units import format_quantity

GROUP = "transfer"
TO, FROM, WITHIN = "to_device", "from_device", "copy"
WAYS = {
    "to_device": TO,
    "copy_to_device": TO,
    "pin_then_copy": TO,
    "copy_from_device": FROM,
    "cpu": FROM,
    "within": WITHIN,
    "within_copy_": WITHIN,
}
"""Benchmarks of copies, and the ceiling of the way they go."""
_TITLES = {TO: "To the device", FROM: "Back to the host", WITHIN: "Within one memory"}
WIDTH, HEIGHT = 620.0, 280.0


def copies(runs: Sequence[Run], benchmarks: Bench, run_labels: Mapping[str, str]) -> list[Plot]:
    """Draw a plot a run, device and way: bytes a second over the size of the copy, a series a form."""
    rows = [
        row
        for (group, name, metric), members in benchmarks.items()
        if (group, metric) == (GROUP, "") and name in WAYS
        for row in members
        if (row["bytes_per_second"] or 0) > 0 and (size_of(row["params"].get("size")) or 0) > 0
    ]
    plots = []
    for run in runs:
        measured = Ceilings(run).measured
        mine = [row for row in rows if row["run"] == run.id]
        for device in sorted({row["device"] for row in mine}, key=lambda d: order.key("device", d)):
            for way, title in _TITLES.items():
                own = [row for row in mine if row["device"] == device and WAYS[row["name"]] == way]
                roofs = [one for one in measured if one.case.device == device and one.case.name == way]
                if len({row["params"]["size"] for row in own}) > 1:
                    name = run_labels.get(run.id, "") if len(run_labels) > 1 else ""
                    where = ", ".join(part for part in (name, plain(device, 30)) if part)
                    plots.append(_plot(f"{title} ({where})", own, _lines(roofs)))
    return plots


def _lines(roofs: Sequence[Ceiling]) -> dict[str, float]:
    """Give the fastest of a way; of a memory over its smallest working set and over its largest."""
    by_size: dict[float, float] = {}
    for one in roofs:
        size = size_of(one.case.params.get("size")) or 0.0
        by_size[size] = max(by_size.get(size, 0.0), one.reached)
    if not by_size:
        return {}
    if {one.case.name for one in roofs} != {WITHIN}:
        return {"the link's ceiling": max(by_size.values())}
    return {f"ceiling over {format_quantity(s, 'B')}": by_size[s] for s in {min(by_size), max(by_size)}}


def _plot(title: str, rows: Sequence[Row], roofs: Mapping[str, float]) -> Plot:
    series: dict[str, list[tuple[float, float, float, float]]] = {}
    for row in rows:
        more = [f"{plain(k, 20)}={label(v)}" for k, v in row["params"].items() if k != "size"]
        ends = [row["bytes"] / (end or row["value"]) for end in (row["high"], row["low"])]
        series.setdefault(" ".join([plain(row["name"], 40), *more]), []).append(
            (size_of(row["params"]["size"]) or 1.0, row["bytes_per_second"], *ends)
        )
    names = list(series)[:MOST_SERIES]
    points = [point for name in names for point in series[name]]
    low = 0.7 * min(rate for _, rate, _, _ in points)
    high = 1.6 * max([rate for _, rate, _, _ in points] + list(roofs.values()))
    sizes = sorted({size for size, *_ in points})

    def paint(axes: Axes) -> None:
        for text, rate in roofs.items():
            axes.axhline(math.log10(rate), color=INK, linewidth=1.2)
            axes.text(
                math.log10(sizes[0]), math.log10(rate), f"{text}: {format_quantity(rate, 'B/s')}",
                fontsize=8, va="bottom", ha="left",
            )  # fmt: skip
        for index, name in enumerate(names):
            own = sorted(series[name])
            xs = [math.log10(size) for size, *_ in own]
            ys = [math.log10(rate) for _, rate, _, _ in own]
            axes.plot(xs, ys, color=SERIES[index], marker=MARKERS[index], markersize=5, linewidth=1.6)
            for x, (_, _, least, most) in zip(xs, own, strict=True):
                ends = [math.log10(max(least, low)), math.log10(min(most, high))]
                axes.plot([x, x], ends, color=SERIES[index], linewidth=1.2)
        axes.set_xticks([math.log10(size) for size in sizes], [short(size) for size in sizes])
        marks = ticks(low, high)
        axes.set_yticks([math.log10(mark) for mark in marks], [format_quantity(m, "B/s") for m in marks])
        axes.set_ylim(math.log10(low), math.log10(high))
        axes.grid(visible=True, color=FAINT, linewidth=0.6, alpha=0.35)
        axes.set_xlabel("bytes that are copied")

    best = "; ".join(
        f"{name} up to {format_quantity(max(rate for _, rate, _, _ in series[name]), 'B/s')}"
        for name in names
    )
    against = "".join(f"; {text} {format_quantity(rate, 'B/s')}" for text, rate in roofs.items())
    left_out = f" {count(len(names), 'form')} of {len(series)} are drawn." if len(names) < len(series) else ""
    return Plot(
        title,
        "Bytes moved in a second over the size of the copy, logarithmic axes; a copy within one memory reads "
        f"and writes. The level line is the fastest that was measured that way in the same run.{left_out}",
        (Panel("", draw(WIDTH, HEIGHT, paint, plain(f"{title}: {best}{against}", 2000), left=84)),),
        tuple(Legend(name, index) for index, name in enumerate(names)),
    )
