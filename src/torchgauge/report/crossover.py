"""An accelerator against the CPU over a size: from which size on it is faster, and how much."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from torchgauge.analysis.ratio import Ratio, Value, ratio_of
from torchgauge.report.bars import Bench
from torchgauge.report.plots import short, size_axis, ticks
from torchgauge.report.points import Row, get, paced, varying
from torchgauge.report.svg import FAINT, INK, MARKERS, MOST_SERIES, SERIES, Legend, Panel, Plot, draw
from torchgauge.report.text import plain, size_of
from torchgauge.units import significant

WIDTH, HEIGHT = 620.0, 300.0


@dataclass(frozen=True)
class Crossing:
    """One benchmark with one dtype on one accelerator: CPU time over its time, by size."""

    path: str
    device: str
    dtype: str | None
    run: str
    size: str
    """Name of the parameter that is the size."""
    rest: str
    """The other parameters."""
    ratios: Mapping[float, Ratio]

    @property
    def wins_from(self) -> float | None:
        """The smallest size from which on, at all that were measured, it is shown to be faster."""
        best = None
        for size in sorted(self.ratios, reverse=True):
            if not (self.ratios[size].differs and self.ratios[size].value > 1):
                break
            best = size
        return best


def crossings(benchmarks: Bench) -> list[Crossing]:
    """Find all series that were measured on the CPU and on an accelerator at one size or more.

    The accelerator's time is that of the device, or of the submission where that takes longer: then the
    host sets the pace.
    """
    found = []
    for (group, name, metric), members in paced(benchmarks).items():
        timed = [row for row in members if metric == "" and (row["value"] or 0) > 0]
        axis = size_axis(timed, varying(timed)) if timed else None
        if axis is None:
            continue
        series: dict[tuple[str, str | None, str], dict[str, dict[float, Row]]] = {}
        for row in timed:
            rest = {key: value for key, value in row["params"].items() if ("param", key) != axis}
            if size := size_of(get(row, axis)):
                key = (row["run"], row["dtype"], json.dumps(rest, sort_keys=True))
                series.setdefault(key, {}).setdefault(row["device"], {})[size] = row
        for (run, dtype, _), by_device in series.items():
            slow = by_device.get("cpu", {})
            for device, fast in by_device.items():
                common = slow.keys() & fast.keys()
                if device != "cpu" and common:
                    params = next(iter(fast.values()))["params"]
                    rest_told = " ".join(plain(v, 30) for k, v in params.items() if ("param", k) != axis)
                    ratios = {size: _ratio(slow[size], fast[size]) for size in sorted(common)}
                    path = f"{group}/{name}"
                    found.append(Crossing(path, device, dtype, run, axis[1], rest_told, ratios))
    return found


def _ratio(slow: Row, fast: Row) -> Ratio:
    one, other = (Value(row["value"], row["low"], row["high"]) for row in (fast, slow))
    return ratio_of(one, other)


def crossover(found: Sequence[Crossing], run_labels: Mapping[str, str]) -> Plot | None:
    """Draw CPU time over accelerator time, both axes logarithmic; float32 alone where there is enough of it.

    Of more series than have colours of their own, one of each benchmark is drawn before a second of any.
    """
    several = [one for one in found if len(one.ratios) > 1]
    plainest = [one for one in several if one.dtype in (None, "float32")] or several
    paths = [one.path for one in plainest]
    # a series of each benchmark before a second one of any
    turns = {id(one): paths[:place].count(one.path) for place, one in enumerate(plainest)}
    chosen = sorted(plainest, key=lambda one: (turns[id(one)], -len(one.ratios)))[:MOST_SERIES]
    if not chosen:
        return None
    values = [ratio.value for one in chosen for ratio in one.ratios.values()]
    low, high = 0.7 * min(0.5, *values), 1.4 * max(2.0, *values)
    sizes = sorted({size for one in chosen for size in one.ratios})
    names = [_name(one, chosen, run_labels) for one in chosen]

    def paint(axes: Axes) -> None:
        axes.axhline(0.0, color=INK, linewidth=1)
        for index, one in enumerate(chosen):
            xs = [math.log10(size) for size in one.ratios]
            ys = [math.log10(ratio.value) for ratio in one.ratios.values()]
            axes.plot(xs, ys, color=SERIES[index], marker=MARKERS[index], markersize=5, linewidth=1.6)
            for x, ratio in zip(xs, one.ratios.values(), strict=True):
                if ratio.low is not None and ratio.high is not None:
                    ends = [math.log10(max(ratio.low, low)), math.log10(min(ratio.high, high))]
                    axes.plot([x, x], ends, color=SERIES[index], linewidth=1.2)
        xs = ticks(sizes[0], sizes[-1]) if len(sizes) > 1 else sizes
        axes.set_xticks([math.log10(x) for x in xs], [short(x) for x in xs])
        marks = ticks(low, high)
        axes.set_yticks([math.log10(mark) for mark in marks], [f"{significant(m, 2)}×" for m in marks])
        axes.set_ylim(math.log10(low), math.log10(high))
        axes.grid(visible=True, color=FAINT, linewidth=0.6, alpha=0.35)
        axes.set_xlabel("size, as each benchmark counts it")

    told = "; ".join(
        f"{name} {'never' if one.wins_from is None else f'from {short(one.wins_from)}'}"
        for name, one in zip(names, chosen, strict=True)
    )
    what = f"; {len(chosen)} of {len(found)} series are drawn" if len(chosen) < len(found) else ""
    return Plot(
        "Where the accelerator starts to win",
        f"CPU time over the accelerator's, logarithmic axes: above the line it is faster{what}.",
        (Panel("", draw(WIDTH, HEIGHT, paint, plain(f"Accelerator wins: {told}", 2000), left=60)),),
        tuple(Legend(name, index) for index, name in enumerate(names)),
    )


def _name(one: Crossing, chosen: Sequence[Crossing], run_labels: Mapping[str, str]) -> str:
    parts = [plain(one.path, 60)]
    parts += [plain(one.rest, 60)] if sum(other.path == one.path for other in chosen) > 1 else []
    parts += [plain(one.device, 30)] if len({other.device for other in chosen}) > 1 else []
    parts += [plain(one.dtype, 30)] if one.dtype and len({other.dtype for other in chosen}) > 1 else []
    parts += [run_labels.get(one.run, "")] if len({other.run for other in chosen}) > 1 else []
    return " ".join(part for part in parts if part)
