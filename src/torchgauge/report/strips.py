"""Distribution strips: every block that a headline stands on, as a tick, a strip a place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from torchgauge.record import Run
from torchgauge.report import order
from torchgauge.report.plots import rounded, ticks
from torchgauge.report.points import Row
from torchgauge.report.svg import FAINT, INK, SERIES, Panel, Plot, draw
from torchgauge.report.text import count, label, plain, size_of
from torchgauge.units import format_quantity

WIDTH, STRIP = 620.0, 22.0
MOST_STRIPS = 6
MOST_TICKS = 80
"""A strip of more blocks shows as many of their quantiles."""

Blocks = Mapping[tuple[str, str, str, str], Sequence[float]]
"""The samples of all rounds, by run, case, metric and method."""


def blocks(runs: Sequence[Run]) -> Blocks:
    """Collect the samples of runs."""
    found: dict[tuple[str, str, str, str], list[float]] = {}
    for run in runs:
        for line in run.measurements:
            found.setdefault((run.id, line.case.id, line.metric, line.method), []).extend(line.samples)
    return found


def strips(rows: Sequence[Row], samples: Blocks, run_labels: Mapping[str, str]) -> Plot | None:
    """Draw the blocks of one benchmark, a strip a run, device and dtype, each at the largest parameters.

    Args:
        rows: one part of `points.benchmarks`.
        samples: `blocks` of the runs.
        run_labels: a short name for each run id.

    Returns:
        None where there is nothing above 0 to draw.

    """
    largest: dict[tuple[str, str, str | None], Row] = {}
    for row in sorted((row for row in rows if row["value"] and row["value"] > 0), key=_weight):
        largest[row["run"], row["device"], row["dtype"]] = row
    runs = list(run_labels)
    places = sorted(
        largest, key=lambda p: (runs.index(p[0]), order.key("device", p[1]), order.key("dtype", p[2]))
    )
    drawn = []
    for place in places:
        row = largest[place]
        taken = samples.get((row["run"], row["case"], row["metric"], row["method"]), ())
        values = sorted(value for value in taken if value > 0)
        if values:
            drawn.append((_name(row, run_labels), row, _thinned(values)))
    if not drawn:
        return None
    left_out, drawn = len(drawn) - MOST_STRIPS, drawn[:MOST_STRIPS]
    low, high = (end(value for _, _, values in drawn for value in values) for end in (min, max))
    if high < 1.5 * low:
        low, high = low / 1.2, high * 1.2
    unit = drawn[0][1]["unit"]

    def paint(axes: Axes) -> None:
        for place, (_, row, values) in enumerate(drawn):
            xs = [x for value in values for x in [math.log10(value)] * 2 + [math.nan]]
            ys = [y for _ in values for y in (place - 0.28, place + 0.28, math.nan)]
            axes.plot(xs, ys, color=SERIES[0], linewidth=0.8, alpha=0.55)
            if row["low"] is not None and row["high"] is not None and row["low"] > 0:
                ends = [math.log10(min(max(end, low), high)) for end in (row["low"], row["high"])]
                axes.plot(ends, [place, place], color=INK, linewidth=2)
            axes.plot([math.log10(row["value"])], [place], color=INK, marker="D", markersize=5)
        marks = ticks(low, high)
        axes.set_xticks([math.log10(mark) for mark in marks], [rounded(mark, unit) for mark in marks])
        room = 0.03 * math.log10(high / low)
        axes.set_xlim(math.log10(low) - room, math.log10(high) + room)
        axes.set_yticks(range(len(drawn)), [name for name, _, _ in drawn])
        axes.set_ylim(len(drawn) - 0.4, -0.6)
        axes.grid(visible=True, axis="x", color=FAINT, linewidth=0.6, alpha=0.35)

    told = "; ".join(
        f"{name}: {count(len(values), 'tick')} from {format_quantity(values[0], plain(unit, 12))} to "
        f"{format_quantity(values[-1], plain(unit, 12))}"
        for name, _, values in drawn
    )
    first = drawn[0][1]
    alt = plain(f"Blocks of {first['group']}/{first['name']}: {told}", 2000)
    room = 14 + 6.2 * max(len(name) for name, _, _ in drawn)
    what = f"; {left_out} more are in the table" if left_out > 0 else ""
    return Plot(
        "",
        f"Blocks, a tick each, on a logarithmic axis; the diamond is the value with its 95 % interval{what}.",
        (Panel("", draw(WIDTH, 50 + STRIP * len(drawn), paint, alt, left=room)),),
    )


def _weight(row: Row) -> float:
    return math.prod(size_of(value) or 1.0 for value in row["params"].values())


def _name(row: Row, run_labels: Mapping[str, str]) -> str:
    parts = [run_labels.get(row["run"], "")] if len(run_labels) > 1 else []
    parts += [plain(row["device"], 12), plain(row["dtype"] or "", 12)]
    parts += [label(value) for value in row["params"].values()]
    return plain(" ".join(part for part in parts if part), 40)


def _thinned(values: Sequence[float]) -> list[float]:
    if len(values) <= MOST_TICKS:
        return list(values)
    return [values[round(place * (len(values) - 1) / (MOST_TICKS - 1))] for place in range(MOST_TICKS)]
