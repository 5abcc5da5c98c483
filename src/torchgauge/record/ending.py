"""The last line of a run, worked out from the lines before it."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from torchgauge.record.schema import End, Measurement, Run

PRIMARY_METRICS = ("time", "device_time")
"""The metrics whose blocks are timed one after another; their sum is the timed part of a run."""


def ending(run: Run, wall_seconds: float, *, interrupted: bool) -> End:
    """Count what a run holds. `wall_seconds` is all the time spent on it, earlier parts included."""
    failed = {failure.case.id for failure in run.failures}
    measured = {line.case.id for line in run.measurements} - failed
    timed = math.fsum(
        math.fsum(line.samples) * line.loops
        for line in (*run.ceilings, *run.measurements)
        if line.metric in PRIMARY_METRICS
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


def seconds_before(run: Run) -> float:
    """Give the wall time that was spent on a run so far.

    That is what its last end line says and, for a part that was killed before it could write one, the
    time up to its last measurement.
    """
    if run.end is not None:
        return run.end.wall_seconds
    stamps = [time for line in run.measurements[run.resumed_at :] if (time := _time(line))]
    if run.before is None:
        known, begin = 0.0, datetime.fromisoformat(run.header.started)
    else:
        known, begin = run.before.wall_seconds, min(stamps, default=datetime.now(UTC))
    return known + max(0.0, (max(stamps, default=begin) - begin).total_seconds())


def _time(line: Measurement) -> datetime | None:
    """Give the time of day at which a line was measured, None where it does not say."""
    try:
        time = datetime.fromisoformat(str(line.conditions.get("at", "")))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
