"""Heat maps: each dtype against float32 on each device, and each run against the first."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torchgauge.report import order
from torchgauge.report.points import Row
from torchgauge.report.text import label, plain, size_of
from torchgauge.units import format_quantity, significant

REFERENCE = "float32"


@dataclass(frozen=True)
class Warmth:
    """One field: the time, the speed against the reference on the same device, and a colour's weight."""

    time: str
    ratio: str
    """"1.5×", by which a page sorts, too."""
    weight: int
    """-100 … 100, in percent of the full colour: below 0 is slower than the reference, 0 the same."""


@dataclass(frozen=True)
class HeatMap:
    """Rows are benchmarks at their largest size, columns are devices × dtypes."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[Warmth | None, ...]], ...]
    """Benchmark, its parameters, its fields."""


def heat_map(
    benchmarks: Mapping[tuple[str, str, str], Sequence[Row]], run_labels: Mapping[str, str]
) -> HeatMap | None:
    """Lay out the dtypes of every benchmark that was measured in float32 and in another.

    Speeds are against float32 on the same device and in the same run, so that a clock is compared with
    itself alone.
    """
    kept: list[tuple[Row, dict[tuple[str, str, str], Row]]] = []
    for (_, _, metric), rows in benchmarks.items():
        if metric == "" and (best := _largest(rows)):
            kept.append(best)
    places = {place for _, found in kept for place in found}
    runs = list(run_labels)
    columns = sorted(
        places, key=lambda p: (runs.index(p[0]), order.key("device", p[1]), order.key("dtype", p[2]))
    )
    if not kept:
        return None
    several_runs = len({run for run, _, _ in columns}) > 1
    several_devices = len({device for _, device, _ in columns}) > 1
    heads = [
        " ".join(
            [run_labels[run]] * several_runs + [plain(device, 30)] * several_devices + [plain(dtype, 30)]
        )
        for run, device, dtype in columns
    ]
    return HeatMap(
        tuple(heads),
        tuple(
            (
                plain(f"{first['group']}/{first['name']}", 80),
                ", ".join(f"{plain(name, 30)} = {label(value)}" for name, value in first["params"].items()),
                tuple(_warmth(found, column) for column in columns),
            )
            for first, found in kept
        ),
    )


def run_map(
    benchmarks: Mapping[tuple[str, str, str], Sequence[Row]], run_labels: Mapping[str, str]
) -> HeatMap | None:
    """Lay out the benchmarks that several runs have: the speed of each run against the first of them.

    Each benchmark stands at the point (device, dtype, parameters) that most runs have, of those in float32
    where it can be, and of those at the largest.
    """
    runs = list(run_labels)
    rows = []
    for (group, name, metric), members in benchmarks.items():
        points: dict[str, dict[str, Row]] = {}
        for row in members:
            if metric == "" and (row["value"] or 0) > 0:
                key = json.dumps([row["device"], row["dtype"], row["params"]], sort_keys=True)
                points.setdefault(key, {})[row["run"]] = row
        if not points:
            continue
        best = max(points.values(), key=lambda found: (len(found), *_weight(next(iter(found.values())))))
        if len(best) < 2:
            continue
        first = next(best[run] for run in runs if run in best)
        where = [plain(first["device"], 30), *([plain(first["dtype"], 30)] if first["dtype"] else [])]
        where += [f"{plain(key, 30)} = {label(value)}" for key, value in first["params"].items()]
        fields = tuple(_against(best.get(run), first) for run in runs)
        rows.append((plain(f"{group}/{name}", 80), ", ".join(where), fields))
    return HeatMap(tuple(run_labels.values()), tuple(rows)) if rows else None


def _weight(row: Row) -> tuple[bool, float]:
    return row["dtype"] in (None, REFERENCE), math.prod(size_of(v) or 1.0 for v in row["params"].values())


def _largest(rows: Sequence[Row]) -> tuple[Row, dict[tuple[str, str, str], Row]] | None:
    """Choose the parameters with the most dtypes; of those the ones at which work is done in each of them
    (a conversion to the dtype that is there already is none), of those the largest, and of those the first.
    """
    points: dict[str, dict[tuple[str, str, str], Row]] = {}
    for row in rows:
        if (row["value"] or 0) > 0 and row["dtype"]:
            key = json.dumps(row["params"], sort_keys=True)
            points.setdefault(key, {})[row["run"], row["device"], row["dtype"]] = row
    usable = [
        found
        for found in points.values()
        if any((run, device, REFERENCE) in found and dtype != REFERENCE for run, device, dtype in found)
    ]
    if not usable:
        return None

    def rank(found: dict[tuple[str, str, str], Row]) -> tuple[int, int, float]:
        params = next(iter(found.values()))["params"]
        idle = sum(row["bytes"] == 0 and not row["flop"] for row in found.values())
        return len(found), -idle, math.prod(size_of(value) or 1.0 for value in params.values())

    def place(found: dict[tuple[str, str, str], Row]) -> list[order.Key]:
        return [order.key(name, value) for name, value in next(iter(found.values()))["params"].items()]

    best = max(sorted(usable, key=place), key=rank)
    return next(iter(best.values())), best


def _warmth(found: Mapping[tuple[str, str, str], Row], column: tuple[str, str, str]) -> Warmth | None:
    return _against(found.get(column), found.get((column[0], column[1], REFERENCE)))


def _against(row: Row | None, reference: Row | None) -> Warmth | None:
    if row is None:
        return None
    time = format_quantity(row["value"], plain(row["unit"], 12))
    if reference is None:
        return Warmth(time, "", 0)
    ratio = reference["value"] / row["value"]
    weight = max(-100, min(100, round(50 * math.log2(ratio))))  # full colour at 4 times
    return Warmth(time, f"{significant(ratio, 2)}×", weight)
