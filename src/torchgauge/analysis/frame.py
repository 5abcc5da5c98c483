"""Runs as tidy pandas frames: one row a summary, or one row a block sample.

The parameters of a case stay together, as a dict, in the one column `params`: benchmarks differ in
what they are parametrized by, and a column for each would be mostly empty and could clash with the
fixed ones. `with_params` spreads them over columns of their own where that is wanted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from torchgauge.analysis.ceilings import Ceilings
from torchgauge.analysis.headline import Calm, calm, headline
from torchgauge.estimate import headline_quantile
from torchgauge.record import Case, Failure, Measurement, Run

SUMMARY_COLUMNS: dict[str, str] = {
    "run": "str",
    "machine": "str",
    "started": "str",
    "device": "str",
    "dtype": "str",
    "group": "str",
    "name": "str",
    "case": "str",
    "params": "object",
    "instrument": "str",
    "metric": "str",
    "method": "str",
    "unit": "str",
    "quantile": "float64",
    "value": "float64",
    "low": "float64",
    "high": "float64",
    "between": "float64",
    "p05": "float64",
    "p05_low": "float64",
    "p05_high": "float64",
    "median": "float64",
    "median_low": "float64",
    "median_high": "float64",
    "min": "float64",
    "rounds": "int64",
    "calm_rounds": "int64",
    "processes": "int64",
    "samples": "int64",
    "calm_samples": "int64",
    "flop": "float64",
    "bytes": "float64",
    "items": "float64",
    "flop_per_second": "float64",
    "bytes_per_second": "float64",
    "items_per_second": "float64",
    "ceiling": "str",
    "flop_share": "float64",
    "bytes_share": "float64",
    "peak_share": "float64",
    "warnings": "object",
    "stop": "str",
    "failed": "bool",
}
"""Columns of `summaries` and their pandas dtypes."""

SAMPLE_COLUMNS: dict[str, str] = {
    "run": "str",
    "case": "str",
    "instrument": "str",
    "metric": "str",
    "method": "str",
    "unit": "str",
    "round": "int64",
    "process": "int64",
    "block": "int64",
    "loops": "int64",
    "value": "float64",
}
"""Columns of `samples` and their pandas dtypes."""

# Times that say nothing of how fast the work was done: a first call compiles and allocates, a
# submission only hands the work over.
_NO_RATE = frozenset({"first_call", "submit_time"})
SHORTEST = 1e-15
"""Seconds. No call takes less than a femtosecond, and what claims to has no rate."""

# A number that stands alone: not the 32 of float32, not the 0 of cuda:0, not a part of a version.
NUMBER = re.compile(r"(?<![\w.:])\d++(?:,\d{3})*+(?:\.\d++)?+(?:e[-+]?\d++)?+(?![\w.]*\w)")


def summaries(runs: Iterable[Run]) -> pd.DataFrame:
    """Give one row per run × case × metric (× instrument × method), its rounds pooled.

    `value` is the headline, `quantile` says which: 0.05 for times on the CPU, where noise only adds,
    0.5 for everything else. `low` and `high` are its 95 % interval, clustered by process where there
    are several, by round otherwise (`torchgauge.estimate`); they are missing where there is one
    cluster only. `between` is the standard deviation of the log by which they were widened for what one
    process can't show, 0 where they were not. `p05` and `median` come with intervals of their own. Values
    are in `unit`, rates per second of the headline; a rate is missing where no work is stated and for
    metrics that are not the time of the work (`first_call`, `submit_time`, a profiler's times).

    `flop_share` and `bytes_share` are the rates over the measured ceilings of the run, and `ceiling` names
    the one that the case comes nearest to; `peak_share` is the greater share of the chip's published
    peaks (`torchgauge.analysis.ceilings`). The ceilings themselves are no cases and have no row.

    `params` holds a dict, `warnings` a list of sentences. `failed` marks a case that raised in any
    round; one that left no measurement has a row with the metric missing, its failure among the
    warnings. Skipped cases have no row.
    """
    rows: list[dict[str, Any]] = []
    for run in runs:
        raised = {failure.case.id for failure in run.failures}
        pooled = pools(run.measurements)
        known = calm(run)
        held = Ceilings(run)
        rows += [
            _summary_row(run, pool, known, held, failed=pool[0].case.id in raised) for pool in pooled.values()
        ]
        measured = {case for case, *_ in pooled}
        rows += [
            _failure_row(run, failure)
            for failure in {f.case.id: f for f in reversed(run.failures)}.values()
            if failure.case.id not in measured
        ]
    return _frame(rows, SUMMARY_COLUMNS)


def samples(runs: Iterable[Run]) -> pd.DataFrame:
    """Give one row per block sample: `value` is per call, in `unit`; the block was `loops` calls."""
    rows = [
        {
            "run": run.id,
            "case": line.case.id,
            "instrument": line.instrument,
            "metric": line.metric,
            "method": line.method,
            "unit": line.unit,
            "round": line.round,
            "process": line.process,
            "block": block,
            "loops": line.loops,
            "value": value,
        }
        for run in runs
        for line in run.measurements
        for block, value in enumerate(line.samples)
    ]
    return _frame(rows, SAMPLE_COLUMNS)


def with_params(frame: pd.DataFrame) -> pd.DataFrame:
    """Spread the column `params` over one column a parameter.

    A parameter that has the name of a fixed column is prefixed with `param_`; a case without the
    parameter has None.
    """
    names = sorted({name for params in frame["params"] for name in params})
    spread = frame.drop(columns="params")
    for name in names:
        column = f"param_{name}" if name in frame.columns else name
        spread[column] = pd.Series(
            [params.get(name) for params in frame["params"]], index=frame.index, dtype="object"
        )
    return spread


def distinct(sentences: Iterable[str]) -> list[str]:
    """Leave out sentences that differ from an earlier one in their numbers alone."""
    seen: dict[str, str] = {}
    for sentence in sentences:
        seen.setdefault(NUMBER.sub("#", sentence), sentence)
    return list(seen.values())


def pools(lines: Iterable[Measurement]) -> dict[tuple[str, str, str, str, str], list[Measurement]]:
    """Join the lines of all rounds by case id, instrument, metric, method and unit."""
    found: dict[tuple[str, str, str, str, str], list[Measurement]] = {}
    for line in lines:
        key = (line.case.id, line.instrument, line.metric, line.method, line.unit)
        found.setdefault(key, []).append(line)
    return found


def _identity(run: Run, case: Case) -> dict[str, Any]:
    return {
        "run": run.id,
        "machine": run.header.environment.machine.host,
        "started": run.header.started,
        "device": case.device,
        "dtype": case.dtype,
        "group": case.group,
        "name": case.name,
        "case": case.id,
        "params": dict(case.params),
    }


def _summary_row(
    run: Run,
    pool: Sequence[Measurement],
    known: Calm,
    held: Ceilings,
    *,
    failed: bool,
) -> dict[str, Any]:
    first = pool[0]
    found = headline(pool, known)
    values = [value for line in pool for value in line.samples]
    low_end, middle = found.low_end, found.middle
    quantile = headline_quantile(first.case.device, first.unit)
    leading = low_end if quantile < 0.5 else middle
    work = pool[-1].work
    row = _identity(run, first.case) | {
        "instrument": first.instrument,
        "metric": first.metric,
        "method": first.method,
        "unit": first.unit,
        "quantile": quantile,
        "value": leading.value,
        "low": leading.low,
        "high": leading.high,
        "between": leading.between,
        "p05": low_end.value,
        "p05_low": low_end.low,
        "p05_high": low_end.high,
        "median": middle.value,
        "median_low": middle.low,
        "median_high": middle.high,
        "min": min(values, default=None),
        "rounds": len({line.round for line in pool}),
        "calm_rounds": found.calm_rounds,
        "processes": len({line.process for line in pool}),
        "samples": len(values),
        "calm_samples": found.calm_samples,
        "flop": work.flop,
        "bytes": work.bytes,
        "items": work.items,
        "warnings": distinct([*found.warnings, *(w for line in pool for w in line.warnings)]),
        "stop": " ".join(sorted({str(line.conditions["stop"]) for line in pool if "stop" in line.conditions}))
        or None,
        "failed": failed,
    }
    timed = first.instrument == "time" and first.unit == "s" and first.metric not in _NO_RATE
    timed = timed and leading.value > SHORTEST
    for amount in ("flop", "bytes", "items"):
        row[f"{amount}_per_second"] = row[amount] / leading.value if timed and row[amount] else None
    if timed:
        shares = held.hold(first.case, work, leading.value)
        row |= {
            "ceiling": shares.ceiling,
            "flop_share": shares.flop,
            "bytes_share": shares.bytes,
            "peak_share": shares.peak,
            "warnings": distinct([*shares.warnings, *row["warnings"]]),
        }
    return row


def _failure_row(run: Run, failure: Failure) -> dict[str, Any]:
    return _identity(run, failure.case) | {
        "rounds": 0,
        "calm_rounds": 0,
        "processes": 0,
        "samples": 0,
        "calm_samples": 0,
        "warnings": [f"failed in {failure.stage}: {failure.error}: {failure.message}"],
        "failed": True,
    }


def _frame(rows: list[dict[str, Any]], columns: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame(
        {name: pd.Series([row.get(name) for row in rows], dtype=kind) for name, kind in columns.items()}
    )
