"""Summaries as points of a grid: which dimensions they vary along, and how a place on one is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from torchgauge.record.ending import PRIMARY_METRICS
from torchgauge.report import order
from torchgauge.report.text import label, plain, size_of

METRICS = {
    "time": "time",
    "device_time": "device time",
    "device_time_cold": "device time with a cold cache",
    "graph_time": "time of a graph's replay",
    "submit_time": "submission time",
    "first_call": "first call",
    "allocated_bytes": "allocated",
    "peak_bytes": "peak",
    "left_bytes": "left behind",
    "self_cpu_time": "CPU time in operators",
    "self_device_time": "device time in kernels",
    "gap": "gap",
    "operators": "operators",
    "kernels": "kernels",
    "launches": "launches",
    "copies": "copies",
    "synchronizations": "synchronizations",
    "allocations": "allocations",
    "instructions": "instructions",
}
"""Metrics in words, in the order in which they stand side by side; another keeps its name."""

DUMB = frozenset({"on", "off", "yes", "no", "true", "false", "none", "zero", *order.DTYPES})
"""Values that say nothing, or something else, without the name of their parameter."""

RATES = {"flop": "FLOP/s", "bytes": "B/s", "items": "item/s"}

Row = dict[str, Any]
Dimension = tuple[str, str]
"""("param", its name) or ("", the name of a column of the frame)."""


def benchmarks(frame: pd.DataFrame) -> dict[tuple[str, str, str], list[Row]]:
    """Part a frame by (group, name, metric), in the order in which they are shown.

    The metric is "" for what leads: `device_time` where there is one, else `time`. A case that failed
    without a measurement stands with the leading metric; where there is nothing else, it is left out.
    """
    rows: list[Row] = [
        {str(name): None if _missing(value) else value for name, value in row.items()}
        for row in frame.to_dict("records")
    ]
    on_device = {(row["run"], row["case"]) for row in rows if row["metric"] == "device_time"}
    parts: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        metric = row["metric"]
        leads = metric in (None, "device_time") or (
            metric in PRIMARY_METRICS and (row["run"], row["case"]) not in on_device
        )
        parts.setdefault((row["group"], row["name"], "" if leads else metric), []).append(row)
    shown = [part for part in parts if any(row["value"] is not None for row in parts[part])]
    shown.sort(key=lambda part: (order.key("group", part[0]), order.key("name", part[1]), part[2]))
    return {part: parts[part] for part in shown}


def paced(parts: Mapping[tuple[str, str, str], Sequence[Row]]) -> dict[tuple[str, str, str], list[Row]]:
    """Give `benchmarks` with what a call takes: a device's own time, or the submission's where it is longer.

    Then the host sets the pace, and calls follow each other no faster, whatever the device could do.
    """
    submitting = {
        (row["run"], row["case"]): row
        for (_, _, metric), rows in parts.items()
        if metric == "submit_time"
        for row in rows
        if row["value"] is not None
    }

    def whole(row: Row) -> Row:
        host = submitting.get((row["run"], row["case"]))
        if host is None or row["value"] is None or host["unit"] != row["unit"]:
            return row
        longer = host["value"] > row["value"]
        return row | {key: host[key] for key in ("value", "low", "high", "between")} if longer else row

    return {part: [row if part[2] else whole(row) for row in rows] for part, rows in parts.items()}


def get(row: Row, dimension: Dimension) -> Any:
    """Give a summary's value along a dimension; "" where it has no such parameter."""
    kind, name = dimension
    return row["params"].get(name, "") if kind else row[name]


def varying(rows: Sequence[Row]) -> list[Dimension]:
    """Give the dimensions along which the rows differ; enough of them to tell any two rows apart."""
    params = dict.fromkeys(name for row in rows for name in row["params"])
    dimensions: list[Dimension] = [
        ("", "run"),
        ("", "device"),
        ("", "dtype"),
        *(("param", p) for p in params),
    ]
    found = [d for d in dimensions if len({get(row, d) for row in rows}) > 1]
    ways = {(row["run"], row["device"], row["method"]) for row in rows if row["method"] is not None}
    if len(ways) > len({way[:2] for way in ways}):  # two methods on one device: never compared unawares
        found.append(("", "method"))
    for name in ("method", "instrument", "case"):
        if len({tuple(get(row, d) for d in found) for row in rows}) == len(rows):
            break
        if len({row[name] for row in rows}) > 1 and ("", name) not in found:
            found.append(("", name))
    return found


def is_size(rows: Sequence[Row], dimension: Dimension) -> bool:
    """Whether a dimension is a parameter whose values are all sizes (1024, "2x3", "4 KiB"), none below 0."""
    values = [get(row, dimension) for row in rows]
    sizes = [size_of(value) for value in values if value != ""]
    return bool(dimension[0] and sizes) and all(size is not None and size >= 0 for size in sizes)


def rate_of(rows: Sequence[Row]) -> str | None:
    """Choose the rate that a benchmark is about: FLOP where it does one a byte or more, else bytes."""
    stated = {kind: [row for row in rows if row[f"{kind}_per_second"] is not None] for kind in RATES}
    if stated["flop"] and stated["bytes"]:
        dense = any(row["flop"] >= row["bytes"] for row in stated["flop"] if row["bytes"])
        return "flop" if dense else "bytes"
    return next((kind for kind in RATES if stated[kind]), None)


def shown(dimension: Dimension, value: Any, run_labels: Mapping[str, str]) -> str:
    """Write one value of a dimension for a head or a label."""
    if dimension == ("", "metric"):
        return METRICS.get(value, plain(value, 40))
    return run_labels.get(value, plain(value, 40)) if dimension == ("", "run") else label(value)


def heads(
    rows: Sequence[Row], along: Sequence[Dimension], run_labels: Mapping[str, str]
) -> Callable[[tuple[Any, ...]], list[str]]:
    """Write values where they stand alone: "fused", but "to float16" and "width 64"."""
    unclear = {
        d
        for d in along
        for row in rows
        if d[0] and (str(get(row, d)).lower() in DUMB or size_of(get(row, d)) is not None)
    }

    def write(key: tuple[Any, ...]) -> list[str]:
        texts = [(d, shown(d, value, run_labels)) for d, value in zip(along, key, strict=True)]
        return [f"{plain(d[1], 30)} {text}" if d in unclear else text for d, text in texts if text]

    return write


def _missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and value != value)
