"""The roofline: FLOP/s over FLOP per byte, under what memory and products were seen to do at the most.

S. Williams, A. Waterman and D. Patterson, "Roofline: an insightful visual performance model for multicore
architectures", Communications of the ACM 52(4):65, 2009. Its roofs are measured here, in the same run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from torchgauge.analysis.ceilings import STREAMS, Ceiling, Ceilings
from torchgauge.record import Run
from torchgauge.report import order
from torchgauge.report.bars import Bench
from torchgauge.report.plots import ticks
from torchgauge.report.points import Row
from torchgauge.report.svg import FAINT, INK, MARKERS, MOST_SERIES, SERIES, Legend, Panel, Plot, draw
from torchgauge.report.text import count, plain
from torchgauge.units import format_quantity, significant

WIDTH, HEIGHT = 620.0, 340.0


def rooflines(runs: Sequence[Run], benchmarks: Bench, run_labels: Mapping[str, str]) -> list[Plot]:
    """Draw a roofline a run and device, where the run has ceilings and cases that state FLOP and bytes."""
    rows = [
        row
        for (_, _, metric), members in benchmarks.items()
        for row in members
        if metric == "" and row["flop"] and row["bytes"] and row["flop_per_second"]
    ]
    plots = []
    for run in runs:
        measured = Ceilings(run).measured
        for device in sorted({row["device"] for row in rows}, key=lambda d: order.key("device", d)):
            mine = [row for row in rows if row["run"] == run.id and row["device"] == device]
            own = [one for one in measured if one.case.device == device]
            streams = [one for one in own if one.unit == "B/s" and one.case.name in STREAMS and one.size]
            products = {
                dtype: max(one.reached for one in own if one.unit == "FLOP/s" and one.case.dtype == dtype)
                for dtype in sorted(
                    {one.case.dtype for one in own if one.unit == "FLOP/s"},
                    key=lambda d: order.key("dtype", d),
                )
            }
            if mine and streams and products:
                name = run_labels.get(run.id, "") if len(run_labels) > 1 else ""
                where = ", ".join(part for part in (name, plain(device, 30)) if part)
                plots.append(_roofline(where, mine, streams, products))
    return plots


def _roofline(
    where: str, rows: Sequence[Row], streams: Sequence[Ceiling], products: Mapping[str | None, float]
) -> Plot:
    dtypes = sorted({row["dtype"] for row in rows}, key=lambda d: order.key("dtype", d))[:MOST_SERIES]
    sizes = [one.size for one in streams if one.size is not None]
    roofs = {
        size: max(one.reached for one in streams if one.size == size) for size in {min(sizes), max(sizes)}
    }
    points = [
        (row["flop"] / row["bytes"], row["flop_per_second"], dtypes.index(row["dtype"]))
        for row in rows
        if row["dtype"] in dtypes
    ]
    lefts, rights = min(x for x, _, _ in points), max(x for x, _, _ in points)
    left, right = 0.6 * lefts, 1.7 * max(rights, 4 * max(products.values()) / max(roofs.values()))
    low = 0.5 * min(y for _, y, _ in points)
    high = 2.0 * max(*products.values(), *(y for _, y, _ in points))

    def paint(axes: Axes) -> None:
        for size, bandwidth in sorted(roofs.items()):
            end = min(right, max(products.values()) / bandwidth)
            xs = [math.log10(left), math.log10(max(end, left))]
            axes.plot(xs, [x + math.log10(bandwidth) for x in xs], color=INK, linewidth=1.2)
            text = f"{format_quantity(bandwidth, 'B/s')} over {format_quantity(float(size), 'B')}"
            middle = xs[0] + 0.6 * (xs[1] - xs[0])
            axes.text(middle, middle + math.log10(bandwidth) + 0.1, text, fontsize=8, va="bottom", ha="right")
        for dtype, rate in products.items():
            index = dtypes.index(dtype) if dtype in dtypes else None
            colour = INK if index is None else SERIES[index]
            start = max(left, rate / max(roofs.values()))
            axes.plot(
                [math.log10(start), math.log10(right)], [math.log10(rate)] * 2, color=colour, linewidth=1.2
            )
            text = f"{plain(dtype, 20)} {format_quantity(rate, 'FLOP/s')}"
            axes.text(math.log10(right), math.log10(rate), text, fontsize=8, va="bottom", ha="right")
        for index in range(len(dtypes)):
            own = [(math.log10(x), math.log10(y)) for x, y, of in points if of == index]
            axes.plot(
                [x for x, _ in own],
                [y for _, y in own],
                color=SERIES[index],
                marker=MARKERS[index],
                markersize=4,
                linestyle="none",
                alpha=0.8,
            )
        marks = ticks(left, right)
        axes.set_xticks([math.log10(mark) for mark in marks], [significant(mark, 2) for mark in marks])
        rates = ticks(low, high)
        axes.set_yticks([math.log10(rate) for rate in rates], [format_quantity(r, "FLOP/s") for r in rates])
        axes.set_xlim(math.log10(left), math.log10(right))
        axes.set_ylim(math.log10(low), math.log10(high))
        axes.grid(visible=True, color=FAINT, linewidth=0.6, alpha=0.35)
        axes.set_xlabel("FLOP per byte that a call must move")

    roof = ", ".join(
        f"{plain(dtype, 20)} products {format_quantity(rate, 'FLOP/s')}" for dtype, rate in products.items()
    )
    slowest, fastest = (format_quantity(end([y for _, y, _ in points]), "FLOP/s") for end in (min, max))
    memory = ", ".join(format_quantity(bandwidth, "B/s") for bandwidth in roofs.values())
    alt = (
        f"Roofline of {where}: {count(len(points), 'case')} from {slowest} to {fastest}; roofs: {roof}, "
        f"memory {memory}"
    )
    return Plot(
        f"Roofline ({where})",
        "Each mark is a case, by the work that it states. Sloping lines are the memory's measured ceilings, "
        "over the smallest working set and over the largest, level ones those of matrix products. What lies "
        "far under both waits for something else: calls, above all.",
        (Panel("", draw(WIDTH, HEIGHT, paint, alt, left=92, right=18)),),
        tuple(Legend(plain(dtype or "no dtype", 20), index) for index, dtype in enumerate(dtypes)),
    )
