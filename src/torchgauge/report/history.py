"""The changes in a folder of runs, in a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from torchgauge.analysis.history import Change, Series, too_short
from torchgauge.analysis.steps import FALSE_STEPS
from torchgauge.report.text import count, plain
from torchgauge.units import format_quantity

SCHEMA = 1
HEADS = ("since", "commit", "run", "before", "after", "ratio", "case")
CAUTION = (
    "Runs of different times hold the machine's drift: a step says when to look, not what was at fault. "
    f"Where nothing changed, {100 * FALSE_STEPS:.0f} series of 100 has a step at the most."
)


def text(series: Sequence[Series], found: Sequence[Change]) -> str:
    """Write the table, the latest change first, and what was looked at."""
    rows = [HEADS, *map(_row, found)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEADS) - 1)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    ]
    runs = {point.run for one in series for point in one.points}
    prints = {one.fingerprint for one in series}
    short = too_short(series)
    told = (
        f"{count(len(found), 'step')} in {count(len(series), 'series', 'series')} of "
        f"{count(len(runs), 'run')} under {count(len(prints), 'fingerprint')}"
    )
    told += f"; {short:,} of the series are too short to have one" if short else ""
    return "\n".join([*(lines if found else []), *([""] if found else []), told, CAUTION, ""])


def document(series: Sequence[Series], found: Sequence[Change]) -> str:
    """Write the changes as JSON; values in the metric's unit."""
    made = {
        "schema": SCHEMA,
        "series": len(series),
        "too_short": too_short(series),
        "false_steps_at_most": FALSE_STEPS,
        "steps": [
            {
                "fingerprint": one.series.fingerprint,
                "case": one.series.case,
                "metric": one.series.metric,
                "unit": one.series.unit,
                "since": one.since.started,
                "run": one.since.run,
                "commit": one.since.commit,
                "before": one.before,
                "after": one.after,
                "ratio": one.ratio,
            }
            for one in found
        ],
    }
    return msgspec.json.format(msgspec.json.encode(made), indent=2).decode() + "\n"


def _row(one: Change) -> tuple[str, ...]:
    return (
        plain(one.since.started.partition(".")[0].replace("T", " "), 30),
        plain((one.since.commit or "")[:10], 10),
        plain(one.since.run, 20),
        format_quantity(one.before, plain(one.series.unit, 12)),
        format_quantity(one.after, plain(one.series.unit, 12)),
        f"{one.ratio:.3f}",
        plain(one.series.case, 200),
    )
