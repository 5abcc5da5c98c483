"""How an answer is worded: names of places and points, values, ratios and counts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torchgauge.analysis.ratio import Ratio, Value
from torchgauge.report.bars import Bench
from torchgauge.report.points import Row
from torchgauge.report.tables import Cell, Table
from torchgauge.report.text import label, percent, plain, size_of
from torchgauge.units import format_quantity, significant

Place = tuple[str, str, str | None]
"""Run, device, dtype."""


@dataclass(frozen=True)
class Answer:
    """A question, what the runs say, and the table behind it."""

    question: str
    sentences: tuple[str, ...]
    table: Table


def counted(wins: Counter[str]) -> list[str]:
    """Write "fused in 6", the most frequent first."""
    return [
        f"{name} in {number:,}" for name, number in sorted(wins.items(), key=lambda one: (-one[1], one[0]))
    ]


def leading(benchmarks: Bench, group: str) -> list[Row]:
    """Give the rows of a group whose value leads and is above 0."""
    return [
        row
        for (of, _, metric), members in benchmarks.items()
        for row in members
        if of == group and metric == "" and (row["value"] or 0) > 0
    ]


def value_of(row: Row) -> Value:
    """Give a row's value and interval."""
    return Value(row["value"], row["low"], row["high"], row["between"])


def host_told(rows: Iterable[Row]) -> tuple[str, ...]:
    """Say which time counts of an accelerator; nothing where there is none."""
    if all(row["device"] == "cpu" for row in rows):
        return ()
    return ("The time of an accelerator is its own, or that of the submission where it is longer.",)


def size(row: Row) -> float:
    """Give the product of all numbers among a case's parameters."""
    return math.prod(size_of(value) or 1.0 for value in row["params"].values())


def place_of(place: Place, names: Mapping[str, str]) -> str:
    """Name a run, device and dtype; the run only where `names` has it."""
    run, device, dtype = place
    return " ".join(part for part in (names.get(run, ""), plain(device, 30), plain(dtype or "", 30)) if part)


def params_of(row: Row, *but: str) -> str:
    """Name a case's parameters: "form in-place, n 2²⁰"."""
    return ", ".join(f"{plain(k, 30)} {label(v)}" for k, v in row["params"].items() if k not in but)


def name_at(row: Row, names: Mapping[str, str], *but: str) -> str:
    """Name place and parameters."""
    parts = (place_of((row["run"], row["device"], row["dtype"]), names), params_of(row, *but))
    return ", ".join(part for part in parts if part)


def cell(row: Row) -> Cell:
    """Write a value and half its interval."""
    half = None
    if row["low"] is not None and row["high"] is not None:
        half = (row["high"] - row["low"]) / (2 * row["value"])
    interval = "" if half is None else f"±{percent(half)}"
    return Cell(format_quantity(row["value"], plain(row["unit"], 12)), interval, number=row["value"])


def ratio_cell(ratio: Ratio) -> Cell:
    """Write "1.3 ×" and the interval; "~" where no difference is shown."""
    ends = "" if ratio.low is None or ratio.high is None else f"{ratio.low:.2f} – {ratio.high:.2f}"
    return Cell(f"{significant(ratio.value, 3)} ×" if ratio.differs else "~", ends, number=ratio.value)


def from_to(values: Sequence[float]) -> str:
    """Write " (1.2 to 3 ×)"; "" without values."""
    if not values:
        return ""
    low, high = (significant(end, 2) for end in (min(values), max(values)))
    return f" ({low} ×)" if low == high else f" ({low} to {high} ×)"


def table(*heads: str, columns: Sequence[str], rows: Iterable[Any]) -> Table:
    """Make a table that stands by its question alone."""
    return Table("", "", "", "", "", tuple(heads), tuple(columns), tuple(rows))
