"""Summaries laid out as tables, one a hot path, for every renderer alike.

Rows are sizes, columns are what one wants side by side: runs, devices, forms, dtypes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from torchgauge.record.ending import PRIMARY_METRICS
from torchgauge.report import order
from torchgauge.report.overview import NOISY
from torchgauge.report.text import label, merge, percent, plain, shape, size_of
from torchgauge.units import format_quantity

MOST_COLUMNS = 6

METRICS = {
    "time": "time",
    "device_time": "device time",
    "submit_time": "submission time",
    "first_call": "first call",
}
"""Metrics in words; another keeps its name."""

FORM_NAMES = ("form", "mode", "variant")
"""Parameters that go on the columns before any other."""

DUMB = frozenset({"on", "off", "yes", "no", "true", "false", "none", "zero", *order.DTYPES})
"""Values that say nothing, or something else, without the name of their parameter."""

RATES = {"flop": "FLOP/s", "bytes": "B/s", "items": "item/s"}

Row = dict[str, Any]
Dimension = tuple[str, str]
"""("param", its name) or ("", the name of a column of the frame)."""


@dataclass(frozen=True)
class Cell:
    """One summary: "9.92 µs", "±2%", "216 GFLOP/s"; what is not known is empty."""

    value: str
    interval: str = ""
    rate: str = ""
    notes: tuple[int, ...] = ()
    noisy: bool = False
    failed: bool = False


@dataclass(frozen=True)
class Table:
    """One metric of one benchmark. Text is plain, but not escaped for any format."""

    group: str
    name: str
    metric: str
    constants: str
    """What all cells have in common: "cpu · float32"."""
    measured: str
    """What the value is: "time, 5th percentile, host-clock"."""
    row_heads: tuple[str, ...]
    column_head: str
    columns: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...], tuple[Cell | None, ...]], ...]


def tables(frame: pd.DataFrame, run_labels: Mapping[str, str]) -> tuple[list[Table], list[str]]:
    """Lay out all metrics but `first_call`, and give the footnotes that the cells number from 1.

    Args:
        frame: `analysis.frame.summaries`.
        run_labels: a short name for each run id; used where there are several.

    """
    notes = _Notes()
    found = [
        _table(rows, run_labels, notes)
        for rows in benchmarks(frame[frame["metric"] != "first_call"]).values()
    ]
    return found, notes.sentences()


def usually(laid_out: Sequence[Table]) -> str:
    """Give what the values of most tables are, so that it need not stand over each; "" without tables."""
    seen = Counter(table.measured for table in laid_out)
    return seen.most_common(1)[0][0] if seen else ""


def first_calls(frame: pd.DataFrame, run_labels: Mapping[str, str]) -> list[Table]:
    """Lay out the first calls, apart from all else."""
    chosen = benchmarks(frame[frame["metric"] == "first_call"])
    return [_table(rows, run_labels, _Notes()) for rows in chosen.values()]


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
    for name in ("method", "instrument", "case"):
        if len({tuple(get(row, d) for d in found) for row in rows}) == len(rows):
            break
        if len({row[name] for row in rows}) > 1:
            found.append(("", name))
    return found


def is_size(rows: Sequence[Row], dimension: Dimension) -> bool:
    """Whether a dimension is a parameter, all of whose values are sizes (1024, "2x3", "4 KiB")."""
    values = [get(row, dimension) for row in rows]
    present = [value for value in values if value != ""]
    return bool(dimension[0] and present) and all(size_of(value) is not None for value in present)


def rate_of(rows: Sequence[Row]) -> str | None:
    """Choose the rate that a benchmark is about: FLOP where it does one a byte or more, else bytes."""
    stated = {kind: [row for row in rows if row[f"{kind}_per_second"] is not None] for kind in RATES}
    if stated["flop"] and stated["bytes"]:
        dense = any(row["flop"] >= row["bytes"] for row in stated["flop"] if row["bytes"])
        return "flop" if dense else "bytes"
    return next((kind for kind in RATES if stated[kind]), None)


def shown(dimension: Dimension, value: Any, run_labels: Mapping[str, str]) -> str:
    """Write one value of a dimension for a head or a label."""
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


class _Notes:
    """Footnotes, numbered as they come; those that differ in their numbers alone share one."""

    def __init__(self) -> None:
        self._variants: dict[str, list[str]] = {}

    def number(self, sentence: str) -> int:
        variants = self._variants.setdefault(shape(sentence), [])
        variants.append(sentence)
        return list(self._variants).index(shape(sentence)) + 1

    def sentences(self) -> list[str]:
        return [merge(variants) for variants in self._variants.values()]


def _table(rows: list[Row], run_labels: Mapping[str, str], notes: _Notes) -> Table:
    dimensions = varying(rows)
    columns = _choose_columns(rows, dimensions)
    inner = [d for d in dimensions if d not in columns]
    inner.sort(key=lambda d: (is_size(rows, d), d == ("", "dtype"), len({get(row, d) for row in rows})))
    rate = rate_of(rows)
    placed = {(tuple(get(row, d) for d in inner), tuple(get(row, d) for d in columns)): row for row in rows}

    def sorted_keys(part: int, along: list[Dimension]) -> list[tuple[Any, ...]]:
        keys = dict.fromkeys(key[part] for key in placed)
        rank = {run: index for index, run in enumerate(run_labels)}
        return sorted(
            keys,
            key=lambda key: [
                (0, float(rank.get(value, 0)), "") if d == ("", "run") else order.key(d[1], value)
                for d, value in zip(along, key, strict=True)
            ],
        )

    def text(along: list[Dimension], key: tuple[Any, ...]) -> tuple[str, ...]:
        return tuple(shown(d, value, run_labels) for d, value in zip(along, key, strict=True))

    column_keys = sorted_keys(1, columns)
    column_text = heads(rows, columns, run_labels)
    first = next(row for row in rows if row["metric"] is not None)
    return Table(
        group=plain(first["group"], 60),
        name=plain(first["name"], 80),
        metric=first["metric"],
        constants=_constants(rows, dimensions),
        measured=_measured(rows),
        row_heads=tuple(plain(d[1], 30) for d in inner),
        column_head=" × ".join(plain(d[1], 30) for d in columns),
        columns=tuple(
            " ".join(column_text(key)) or METRICS.get(first["metric"], plain(first["metric"], 40))
            for key in column_keys
        ),
        rows=tuple(
            (
                text(inner, key),
                tuple(_cell(placed.get((key, column)), rate, notes.number) for column in column_keys),
            )
            for key in sorted_keys(0, inner)
        ),
    )


def _choose_columns(rows: list[Row], dimensions: list[Dimension]) -> list[Dimension]:
    forms = [d for d in dimensions if d[0] and not is_size(rows, d)]
    forms.sort(key=lambda d: (d[1] not in FORM_NAMES, len({get(row, d) for row in rows})))
    wanted: list[Dimension] = [("", "run"), ("", "device"), *forms[:1], ("", "dtype")]
    columns: list[Dimension] = []
    for dimension in wanted:
        trial = [*columns, dimension]
        if dimension in dimensions and len({tuple(get(r, d) for d in trial) for r in rows}) <= MOST_COLUMNS:
            columns = trial
    # one row of many columns reads worse than one column of many rows
    return columns[:-1] if len(columns) == len(dimensions) and columns else columns


def _constants(rows: list[Row], dimensions: list[Dimension]) -> str:
    first = rows[0]
    fixed: list[Dimension] = [("", "device"), ("", "dtype")]
    parts = [plain(get(first, d), 40) for d in fixed if d not in dimensions and get(first, d) is not None]
    parts += [
        f"{plain(name, 30)} = {label(value)}"
        for name, value in first["params"].items()
        if ("param", name) not in dimensions
    ]
    return " · ".join(parts)


def _measured(rows: list[Row]) -> str:
    """Say what the values are; by device, where devices are measured in different ways."""
    ways: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: order.key("device", row["device"])):
        if row["metric"] is not None:
            quantile = {0.05: "5th percentile", 0.5: "median"}.get(
                row["quantile"], f"quantile {row['quantile']}"
            )
            metric = METRICS.get(row["metric"], row["metric"])
            way = plain(f"{metric}, {quantile}, {row['method']}", 120)
            devices = ways.setdefault(way, [])
            if row["device"] not in devices:
                devices.append(row["device"])
    if len(ways) == 1:
        return next(iter(ways))
    return "; ".join(f"{', '.join(plain(d, 40) for d in devices)}: {way}" for way, devices in ways.items())


def _cell(row: Row | None, rate: str | None, number: Callable[[str], int]) -> Cell | None:
    if row is None:
        return None
    if row["value"] is None:
        return Cell("failed", failed=True)
    unit = row["unit"]
    half = None
    if row["low"] is not None and row["high"] is not None and row["value"]:
        half = (row["high"] - row["low"]) / (2 * abs(row["value"]))
    per_second = row[f"{rate}_per_second"] if rate else None
    return Cell(
        value=format_quantity(row["value"], plain(unit, 20)),
        interval="" if half is None else f"±{percent(half)}",
        rate="" if rate is None or per_second is None else format_quantity(per_second, RATES[rate]),
        notes=tuple(sorted({number(sentence) for sentence in _sentences(row)})),
        noisy=half is not None and half > NOISY,
        failed=bool(row["failed"]),
    )


def _sentences(row: Row) -> Iterable[str]:
    yield from (str(warning) for warning in row["warnings"])
    if row["failed"]:
        yield "this case failed in a later round; the value is from the rounds before"


def _missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and value != value)
