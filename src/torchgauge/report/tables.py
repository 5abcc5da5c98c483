"""Summaries laid out as tables, one a hot path, for every renderer alike.

Rows are sizes, columns are what one wants side by side: runs, devices, forms, dtypes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from torchgauge.report import order
from torchgauge.report.points import (
    METRICS,
    RATES,
    Dimension,
    Row,
    benchmarks,
    get,
    heads,
    is_size,
    rate_of,
    shown,
    varying,
)
from torchgauge.report.quality import is_noisy
from torchgauge.report.text import label, merge, percent, plain, shape
from torchgauge.units import format_quantity

MOST_COLUMNS = 6

OTHERS = "other times, medians"
"""What a table with the times beside the leading one, a column each, says of its values."""

FORM_NAMES = ("form", "mode", "variant")
"""Parameters that go on the columns before any other."""


@dataclass(frozen=True)
class Cell:
    """One summary: "9.92 µs", "±2%", "216 GFLOP/s"; what is not known is empty."""

    value: str
    interval: str = ""
    rate: str = ""
    share: str = ""
    """The rate over the ceiling that was measured for it: "45%"."""
    notes: tuple[int, ...] = ()
    noisy: bool = False
    failed: bool = False
    number: float | None = None
    """What a page sorts it by."""


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
    columns: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...], tuple[Cell | None, ...]], ...]
    trace: str = ""
    """Path of the Chrome trace that it was read from, where there is one."""
    beside: Table | None = None
    """The benchmark's other times, a column each."""


class Notes:
    """Footnotes, numbered as they come; those that differ in their numbers alone share one."""

    def __init__(self) -> None:
        self._variants: dict[str, list[str]] = {}

    def number(self, sentence: str) -> int:
        """Give the number of a sentence, from 1."""
        variants = self._variants.setdefault(shape(sentence), [])
        variants.append(sentence)
        return list(self._variants).index(shape(sentence)) + 1

    def sentences(self) -> list[str]:
        """Give all sentences in the order of their numbers."""
        return [merge(variants) for variants in self._variants.values()]


def tables(frame: pd.DataFrame, run_labels: Mapping[str, str], notes: Notes) -> list[Table]:
    """Lay out all times but `first_call`: a table a benchmark of what leads, its other times beside it.

    Args:
        frame: `analysis.frame.summaries`.
        run_labels: a short name for each run id; used where there are several.
        notes: the footnotes of the whole report; those of the cells are added.

    """
    leading: dict[tuple[str, str], list[Row]] = {}
    others: dict[tuple[str, str], list[Row]] = {}
    for (group, name, metric), rows in benchmarks(timed(frame[frame["metric"] != "first_call"])).items():
        (others if metric else leading).setdefault((group, name), []).extend(rows)
    found = []
    for key in dict.fromkeys([*leading, *others]):
        table = _table(leading[key], run_labels, notes) if key in leading else None
        if key in others:
            other = _table(others[key], run_labels, notes, [("", "metric")])
            other = replace(other, measured=OTHERS)
            table = other if table is None else replace(table, beside=other)
        if table is not None:
            found.append(table)
    return found


def timed(frame: pd.DataFrame) -> pd.DataFrame:
    """Leave out what other instruments than the clock saw; a case that only failed stays."""
    return frame[frame["instrument"].isna() | (frame["instrument"] == "time")]


def metrics_table(frame: pd.DataFrame, run_labels: Mapping[str, str], notes: Notes) -> list[Table]:
    """Lay out the metrics of one instrument side by side, one table a benchmark."""
    names: dict[tuple[str, str], list[Row]] = {}
    for (group, name, _), rows in benchmarks(frame).items():
        names.setdefault((group, name), []).extend(rows)
    return [_table(rows, run_labels, notes, [("", "metric")]) for rows in names.values()]


def usually(laid_out: Sequence[Table]) -> str:
    """Give what the values of most tables are, so that it need not stand over each; "" without tables."""
    seen = Counter(table.measured for table in laid_out)
    return seen.most_common(1)[0][0] if seen else ""


def first_calls(frame: pd.DataFrame, run_labels: Mapping[str, str], notes: Notes) -> list[Table]:
    """Lay out the first calls, apart from all else."""
    chosen = benchmarks(frame[frame["metric"] == "first_call"])
    return [_table(rows, run_labels, notes) for rows in chosen.values()]


def _table(
    rows: list[Row], run_labels: Mapping[str, str], notes: Notes, columns: list[Dimension] | None = None
) -> Table:
    if columns is None:
        dimensions = varying(rows)
        columns = _choose_columns(rows, dimensions)
    else:  # rows of one metric are told apart by the rest
        by_metric: dict[Any, list[Row]] = {}
        for row in rows:
            by_metric.setdefault(row["metric"], []).append(row)
        rest = dict.fromkeys(d for some in by_metric.values() for d in varying(some))
        dimensions = [*columns, *rest]
    inner = [d for d in dimensions if d not in columns]
    inner.sort(key=lambda d: (is_size(rows, d), d == ("", "dtype"), len({get(row, d) for row in rows})))
    rate = rate_of(rows)
    placed = {(tuple(get(row, d) for d in inner), tuple(get(row, d) for d in columns)): row for row in rows}

    def sorted_keys(part: int, along: list[Dimension]) -> list[tuple[Any, ...]]:
        keys = dict.fromkeys(key[part] for key in placed)
        # runs as their labels, metrics as their names in words
        ranks = {("", "run"): list(run_labels), ("", "metric"): list(METRICS)}

        def place(dimension: Dimension, value: Any) -> order.Key:
            known = ranks.get(dimension, [])
            return (0, float(known.index(value)), "") if value in known else order.key(dimension[1], value)

        return sorted(keys, key=lambda key: [place(d, v) for d, v in zip(along, key, strict=True)])

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
    share = row.get(f"{rate}_share")
    return Cell(
        value=format_quantity(row["value"], plain(unit, 20)),
        interval="" if half is None else f"±{percent(half)}",
        rate="" if rate is None or per_second is None else format_quantity(per_second, RATES[rate]),
        share="" if per_second is None or share is None else percent(share),
        notes=tuple(sorted({number(sentence) for sentence in _sentences(row)})),
        noisy=half is not None and is_noisy(half, row["between"]),
        failed=bool(row["failed"]),
        number=row["value"],
    )


def _sentences(row: Row) -> Iterable[str]:
    yield from (str(warning) for warning in row["warnings"])
    if row["failed"]:
        yield "this case failed in a later round; the value is from the rounds before"
