"""The last line of a run, worked out from the lines before it."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from torchgauge.record.schema import End, Run

PRIMARY_METRICS = ("time", "device_time")
"""The metrics whose blocks are timed one after another; their sum is the timed part of a run."""


def ending(run: Run, wall_seconds: float, *, interrupted: bool) -> End:
    """Count what a run holds. `wall_seconds` is all the time spent on it, earlier parts included."""
    failed = {failure.case.id for failure in run.failures}
    measured = {line.case.id for line in run.measurements} - failed
    timed = math.fsum(
        math.fsum(line.samples) * line.loops for line in run.measurements if line.metric in PRIMARY_METRICS
    )
    return End(
        finished=datetime.now(UTC).isoformat(timespec="milliseconds"),
        measured=len(measured),
        failed=len(failed),
        skipped=len({skip.case.id for skip in run.skips}),
        wall_seconds=wall_seconds,
        timed_seconds=timed,
        interrupted=interrupted,
    )


def seconds_before(run: Run, last_end: End | None) -> float:
    """Give the wall time of a run's earlier part: what its end says, else up to its last measurement."""
    if last_end is not None:
        return last_end.wall_seconds
    last = max((str(line.conditions.get("at", "")) for line in run.measurements), default="")
    if not last:
        return 0.0
    return max(
        0.0, (datetime.fromisoformat(last) - datetime.fromisoformat(run.header.started)).total_seconds()
    )
