"""What instruments other than the clock saw: a section each, its tables, and what its values are made of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from torchgauge.analysis import gap
from torchgauge.record import CEILING, Measurement, Part, Run
from torchgauge.report.ceilings import TITLE, about, ceiling_tables
from torchgauge.report.tables import Cell, Notes, Table, metrics_table
from torchgauge.report.text import label, plain
from torchgauge.units import format_quantity, significant

ABOUT = {
    "memory": (
        "Memory",
        "Bytes per call on the case's device: allocated in all, the peak above what was there before, and "
        "left behind after the call. Blocks of at most 16 bytes that are given back within "
        "the call are not counted: they can't be told from numbers that torch wraps as a tensor.",
    ),
    "profile": (
        "Profile",
        "What a call does, under torch's profiler, which slows it down: its times say how the call's time is "
        "shared out, and not how long it takes. Counts are per call, and exact.",
    ),
    "instructions": (
        "Instructions",
        "Instructions per call on one thread, counted by valgrind's callgrind. They hardly change from "
        "run to run, and are blind to memory: a cache that misses costs time and no instruction.",
    ),
    "energy": (
        "Energy",
        "Joules a call above the idle power that was measured just before, and the power with it; of the "
        "whole card, or of all packages of the CPU.",
    ),
    gap.INSTRUMENT: (
        "Host, device, gap",
        "What the host takes to hand a call over, what the device takes to run it, and what of that its "
        "kernels take under the profiler. The gap, derived, is the difference of the last two: a comparison "
        "across methods, which says where to look and not how long anything takes.",
    ),
}
MOST_PARTS = 10
LEAST_SHARE = 0.01
"""A part with less of the whole is one of "all others"."""
_TRACE = re.compile(r"\w[\w.-]*/\w[\w.,=-]*\.json\.gz", re.ASCII)
"""A file in a folder beside the run file; a stranger's run file links to nothing else."""
_LED_BY = {
    "self_device_time": ("kernel", "own time"),
    "self_cpu_time": ("operator", "own time"),
    "instructions": ("function", "own instructions"),
}
"""The metric whose parts are shown, the first that a case has, and what these are."""


@dataclass(frozen=True)
class Section:
    """One instrument: a table a benchmark with its metrics side by side, and a table of parts a case."""

    instrument: str
    title: str
    about: str
    tables: tuple[Table, ...]
    parts: tuple[Table, ...]


def sections(
    runs: Sequence[Run], frame: pd.DataFrame, run_labels: Mapping[str, str], notes: Notes
) -> list[Section]:
    """Lay out the ceilings, and all instruments but `time`, in the order in which they were first used.

    Args:
        runs: what was read; the parts are in them alone.
        frame: `analysis.frame.summaries` of them.
        run_labels: a short name for each run id; used where there are several.
        notes: the footnotes of the whole report.

    """
    found = []
    if any(run.ceilings for run in runs):
        found.append(Section(CEILING, TITLE, about(runs), ceiling_tables(runs, run_labels), ()))
    beside = gap.gaps(frame)
    frame = pd.concat([frame, beside], ignore_index=True) if len(beside) else frame
    for instrument in frame["instrument"].dropna().unique():
        if instrument == "time":
            continue
        title, text = ABOUT.get(instrument, (plain(instrument, 40), ""))
        rows = frame[frame["instrument"] == instrument]
        lines = [
            (run_labels[run.id] if len(runs) > 1 else "", line, _trace(run, line))
            for run in runs
            for line in _leading(run, instrument)
        ]
        parts = tuple(replace(_parts(line, name), trace=trace) for name, line, trace in lines)
        found.append(Section(instrument, title, text, tuple(metrics_table(rows, run_labels, notes)), parts))
    return found


def _leading(run: Run, instrument: str) -> list[Measurement]:
    """Choose for each case the last line of its leading metric that has parts."""
    chosen: dict[str, Measurement] = {}
    for metric in reversed(_LED_BY):
        for line in run.measurements:
            if line.instrument == instrument and line.metric == metric and line.parts:
                chosen[line.case.id] = line
    return [chosen[case] for case in sorted(chosen)]


def _trace(run: Run, line: Measurement) -> str:
    """Give the path of a case's trace; "" where there is none, or a name that torchgauge would not give."""
    named = str(line.conditions.get("trace") or "")
    return str(run.path.parent / named) if _TRACE.fullmatch(named) else ""


def _parts(line: Measurement, run: str) -> Table:
    case = line.case
    whole = sum(line.samples) / len(line.samples) if line.samples else 0.0
    shown = [part for part in line.parts[:MOST_PARTS] if part.value >= LEAST_SHARE * whole]
    rest = whole - sum(part.value for part in shown)
    if rest > 0.005 * whole and len(line.parts) > len(shown):
        shown.append(Part(name="all others", value=rest))
    width = 3 if any(part.calls is not None for part in shown) else 2
    what, own = _LED_BY[line.metric]
    where = [run, case.device, *([case.dtype] if case.dtype else [])]
    where += [f"{name} = {label(value)}" for name, value in case.params.items()]
    return Table(
        group=plain(case.group, 60),
        name=plain(case.name, 80),
        metric=line.metric,
        constants=" · ".join(plain(part, 60) for part in where if part),
        measured="",
        row_heads=(what,),
        columns=(own, "share", "calls")[:width],
        rows=tuple(((plain(part.name, 80),), _part(part, line.unit, whole)[:width]) for part in shown),
    )


def _part(part: Part, unit: str, whole: float) -> tuple[Cell, ...]:
    share = f"{100 * part.value / whole:.0f} %" if whole > 0 else ""
    calls = "" if part.calls is None else significant(part.calls) if part.calls % 1 else f"{part.calls:.0f}"
    return (
        Cell(format_quantity(part.value, plain(unit, 12)), number=part.value),
        Cell(share, number=part.value if share else None),
        Cell(calls, number=part.calls),
    )
