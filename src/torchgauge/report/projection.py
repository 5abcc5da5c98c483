"""A projection for readers: its table with ratios, what all of it has in common, and what to beware of."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from torchgauge.analysis.export import harmless
from torchgauge.analysis.keys import Key, text_of
from torchgauge.analysis.projection import Cell, Projection, project
from torchgauge.analysis.ratio import Ratio, Value
from torchgauge.errors import TorchgaugeError
from torchgauge.record import Run
from torchgauge.report import order
from torchgauge.report.grid import grid, hanging, standard_output
from torchgauge.report.overview import labels
from torchgauge.report.points import METRICS
from torchgauge.report.quality import is_noisy
from torchgauge.report.tables import Cell as TableCell
from torchgauge.report.tables import Table
from torchgauge.report.text import count, label, percent, plain
from torchgauge.units import format_quantity

SCHEMA = 1
HEADER = ("machine", "cpu", "device", "dtype", "threads", "torch", "metric", "method", "quantile", "commit")
"""What is told of all cells where it is the same in all, in this order."""
MOST_VALUES = 4
MOST_FACTS = 8
SAME = "~"
NONE = "–"


@dataclass(frozen=True)
class Laid:
    """A projection in words. `notes` are what its reader has to know, the gravest first."""

    projection: Projection
    table: Table
    common: str
    legend: tuple[str, ...]
    notes: tuple[str, ...]
    key: str
    """What the signs in the table mean."""


def laid_out(
    runs: Sequence[Run],
    rows: Sequence[str],
    columns: Sequence[str],
    where: Mapping[str, Sequence[str]] | None = None,
    baseline: Sequence[str] | None = None,
) -> Laid:
    """Lay runs out along keys (`torchgauge.analysis.projection.project`), and say what is to be said.

    A column of runs may be called by its letter: `baseline` A is the first run.

    Raises:
        TorchgaugeError: as `project` does, or no such run.

    """
    names = dict(zip((run.id for run in runs), labels(runs), strict=True))
    if baseline is not None:
        baseline = [
            _run(value, names) if columns[place : place + 1] == ["run"] else value
            for place, value in enumerate(baseline)
        ]
    found = project(runs, rows, columns, where, baseline, order.key)
    legend = [
        f"{names[run.id]}: {run.header.environment.machine.host}, "
        f"{run.header.started[:19].replace('T', ' ')} UTC, "
        f"commit {(run.header.environment.git.commit or 'unknown')[:10]}, {run.path}"
        for run in runs
    ]
    table = _table(found, names)
    return Laid(
        projection=found,
        table=table,
        common=_common(found),
        legend=tuple(map(plain, legend)) if "run" in (*rows, *columns) else (),
        notes=tuple(_notes(found, names)),
        key=_key(found, table),
    )


def _run(value: str, names: Mapping[str, str]) -> str:
    """Give the id of a run that is called by its letter, or by its id."""
    ids = {name: key for key, name in names.items()} | {key: key for key in names}
    if value not in ids:
        raise TorchgaugeError(f"no run {value}: there are {', '.join(names.values())}")
    return ids[value]


def show(laid: Laid, console: Console | None = None) -> None:
    """Print it; without a console to standard output."""
    console = console or standard_output()
    for line in laid.legend:
        hanging(console, Text(), Text(line))
    if laid.common:
        hanging(console, Text("all  ", style="dim"), Text(laid.common))
    console.print()
    grid(console, laid.table)
    console.print()
    for note in (*laid.notes, laid.key):
        hanging(console, Text("! ", style="bold yellow") if note in laid.notes else Text(), Text(note))


def render_csv(laid: Laid) -> str:
    """Write a row a cell, values in the metric's unit; empty is unknown."""
    found = laid.projection
    out = io.StringIO()
    writer = csv.writer(out)
    numbers = (
        "value",
        "low",
        "high",
        "unit",
        "cases",
        "failed",
        "ratio",
        "ratio_low",
        "ratio_high",
        "ratio_cases",
    )
    writer.writerow([harmless(text) for text in (*found.row_keys, *found.column_keys, *numbers)])
    for row in found.rows:
        for column in found.columns:
            cell = found.cells.get((row, column))
            if cell is None:
                continue
            value, ratio = cell.value or Value(float("nan")), cell.ratio
            cells: list[object] = [harmless(text_of(one)) for one in (*row, *column)]
            cells += [
                cell.value and value.value,
                value.low,
                value.high,
                harmless(cell.unit),
                cell.cases,
                cell.failed,
            ]
            cells += [ratio.value, ratio.low, ratio.high, ratio.cases] if ratio else [None] * 4
            writer.writerow(["" if one is None else one for one in cells])
    return out.getvalue()


def render_json(laid: Laid) -> str:
    """Write it as JSON."""
    found = laid.projection
    made: dict[str, Any] = {
        "schema": SCHEMA,
        "rows": list(found.row_keys),
        "columns": list(found.column_keys),
        "baseline": list(found.columns[found.baseline]),
        "cells": [
            {"row": list(row), "column": list(column), **asdict(cell)}
            for (row, column), cell in _ordered(found)
        ],
        "means": [
            {"column": list(column), "ratio": None if mean is None else asdict(mean)}
            for column, mean in zip(found.columns, found.means, strict=True)
        ],
        "constant": dict(found.constant),
        "varying": {key: list(values) for key, values in found.varying.items()},
        "notes": list(laid.notes),
    }
    return msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"


RENDERERS = {"json": render_json, "csv": render_csv}


def _ordered(found: Projection) -> list[tuple[tuple[Key, Key], Cell]]:
    places = [(row, column) for row in found.rows for column in found.columns]
    return [(place, found.cells[place]) for place in places if place in found.cells]


def _table(found: Projection, names: Mapping[str, str]) -> Table:
    several = len(found.columns) > 1
    rows = [
        (
            tuple(_shown(key, value, names) for key, value in zip(found.row_keys, row, strict=True)),
            tuple(_cell(found.cells.get((row, column))) for column in found.columns),
        )
        for row in found.rows
    ]
    if several and len(rows) > 1 and any(found.means):
        blank = [""] * (len(found.row_keys) - 1)
        rows.append((("geometric mean", *blank), tuple(_mean(mean) for mean in found.means)))
    return Table(
        group="",
        name="",
        metric="",
        constants="",
        measured="",
        row_heads=tuple(plain(key, 40) for key in found.row_keys),
        columns=tuple(_head(found, column, names) for column in found.columns),
        rows=tuple(rows),
    )


def _head(found: Projection, column: Key, names: Mapping[str, str]) -> str:
    words = []
    for key, value in zip(found.column_keys, column, strict=True):
        if value is None:
            words.append(f"no {plain(key, 30)}")
            continue
        text = _shown(key, value, names)
        words.append(
            f"{plain(key, 30)} {text}" if text[:1].isdigit() and key not in ("torch", "python") else text
        )
    return " ".join(words)


def _shown(key: str, value: object, names: Mapping[str, str]) -> str:
    if key == "run":
        return names.get(str(value), plain(value, 40))
    if key == "metric":
        return METRICS.get(str(value), plain(value, 40))
    if value is None:
        return NONE
    if key == "case":
        return plain(value, 120)
    return plain(str(value)[:10]) if key == "commit" else label(value)


def _cell(cell: Cell | None) -> TableCell:
    if cell is None:
        return TableCell(NONE)
    if cell.value is None:
        return TableCell("failed", failed=True)
    half = None
    value = cell.value
    if value.low is not None and value.high is not None and value.value:
        half = (value.high - value.low) / (2 * abs(value.value))
    more = f" of {cell.cases - cell.failed:,}" if cell.cases > 1 else ""
    return TableCell(
        value=format_quantity(value.value, plain(cell.unit, 20)) + more,
        interval="" if half is None else f"±{percent(half)}",
        rate="" if cell.ratio is None else _ratio(cell.ratio),
        share="" if cell.ratio is None else _interval(cell.ratio),
        noisy=half is not None and is_noisy(half, value.between),
        number=value.value,
    )


def _mean(mean: Ratio | None) -> TableCell:
    if mean is None:
        return TableCell("")
    return TableCell(f"of {mean.cases:,}", rate=_ratio(mean), share=_interval(mean))


def _ratio(ratio: Ratio) -> str:
    return f"{_number(ratio.value)} ×" if ratio.differs else SAME


def _interval(ratio: Ratio) -> str:
    if ratio.low is None or ratio.high is None:
        return "?"
    return f"{_number(ratio.low)} – {_number(ratio.high)}"


def _number(ratio: float) -> str:
    return f"{ratio:.2f}" if 0.1 <= ratio < 100 else f"{ratio:.2g}"


def _key(found: Projection, table: Table) -> str:
    words = ["± is half the 95 % interval"]
    if len(found.columns) > 1:
        base = table.columns[found.baseline]
        words.append(f"× is the ratio to {base}, then its 95 % interval; {SAME}: no difference is shown")
    if any(cell.cases > 1 for cell in found.cells.values()):
        words.append("'of N' after a value: the geometric mean of N cases; ratios are formed case by case")
    return "; ".join(words) + f"; {NONE}: not measured."


def _common(found: Projection) -> str:
    told = [_named(found)] if _named(found) else []
    for key in HEADER:
        value = found.constant.get(key)
        if value is None:
            continue
        if key == "quantile":
            told.append({0.05: "5th percentile", 0.5: "median"}.get(float(str(value)), f"quantile {value}"))
        elif key == "threads":
            told.append(count(int(str(value)), "thread"))
        elif key in ("torch", "commit"):
            told.append(f"{key} {_shown(key, value, {})}")
        else:
            told.append(_shown(key, value, {}))
    return " · ".join(told)


def _named(found: Projection) -> str:
    """Name what all cells are of, as far as it is the same: "matmul/square, n = 1,024"."""
    path = "/".join(plain(found.constant[key], 60) for key in ("group", "name") if found.constant.get(key))
    params = [
        f"{plain(key, 30)} = {label(found.constant[key])}"
        for key in found.params
        if found.constant.get(key) is not None
    ]
    return ", ".join(part for part in (path, *params) if part)


def _notes(found: Projection, names: Mapping[str, str]) -> list[str]:
    notes = []
    apart = any(set(one) != set(other) for one, other in pairwise(found.runs))
    foreign = any(set(one) != set(other) for one, other in pairwise(found.fingerprints))
    if apart:
        notes.append(
            "The columns are of different runs: the machine's drift between them, 10 % and more on a shared "
            "machine, is inside every ratio and in no interval. Ask torchgauge ab whether code became slower."
        )
    if foreign:
        notes.append(
            "The runs' fingerprints differ: these are ratios between environments. No regression of code "
            "can be read from them."
        )
    if found.varying:
        facts = [f"{plain(key, 60)} ({_listed(key, values, names)})" for key, values in found.varying.items()]
        more = f" and {len(facts) - MOST_FACTS} more" if len(facts) > MOST_FACTS else ""
        asked = plain(", ".join((*found.row_keys, *found.column_keys)))
        notes.append(f"Besides {asked} also vary: {', '.join(facts[:MOST_FACTS])}{more}.")
    if found.nowhere:
        told = ", ".join(f"{key}={value}" for key, value in found.nowhere)
        notes.append(plain(f"Nothing has {told}."))
    for what, names_of in (
        ("Impossible, above the chip's published peak", found.impossible),
        ("Failed in a later round, the values are from those before", found.broken),
    ):
        if names_of:
            listed = ", ".join(plain(name, 100) for name in names_of[:MOST_VALUES])
            more = f" and {len(names_of) - MOST_VALUES} more" if len(names_of) > MOST_VALUES else ""
            notes.append(f"{what}: {listed}{more}.")
    if found.mismatched:
        number = count(found.mismatched, "case")
        notes.append(
            f"{number} without a ratio: the device was measured in two ways, which can't be compared."
        )
    notes += _incomplete(found, names)
    return notes


def _incomplete(found: Projection, names: Mapping[str, str]) -> list[str]:
    notes = []
    without = sum(mean.without for mean in found.means if mean)
    if without:
        notes.append(
            f"{count(without, 'ratio')} without an interval {_are(without)} not in the geometric mean."
        )
    repeats = max((cell.repeats for cell in found.cells.values()), default=1)
    if repeats > 1:
        notes.append(
            f"Up to {repeats} measurements of a case stand in one cell: their geometric mean, with the "
            "interval from between them."
        )
    missing = len(found.rows) * len(found.columns) - len(found.cells)
    if missing:
        notes.append(f"{count(missing, 'cell')} {_are(missing)} empty: nothing was measured there.")
    base = found.columns[found.baseline]
    others = [cell for (_, column), cell in found.cells.items() if column != base]
    known = sum(cell.cases - cell.failed for cell in others)
    alone = known - sum(cell.matched for cell in others)
    if alone:
        notes.append(
            f"{alone:,} of {count(known, 'case')} in the other columns {'has' if alone == 1 else 'have'} "
            f"no partner in {_head(found, base, names)}."
        )
    failed = sum(cell.failed for cell in found.cells.values())
    if failed:
        notes.append(f"{count(failed, 'case')} failed.")
    return notes


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _listed(key: str, values: Sequence[object], names: Mapping[str, str]) -> str:
    told = [_shown(key, value, names) for value in values[:MOST_VALUES]]
    return ", ".join(told) + (f" and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else "")
