"""The history of a folder of runs: each case's headline over time, and where its level changed.

Runs are joined only where their fingerprint is the same: times of another machine, another torch or other
flags are another series.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torchgauge.analysis.frame import summaries
from torchgauge.analysis.steps import LEAST, steps
from torchgauge.record import Run
from torchgauge.record.ending import PRIMARY_METRICS


@dataclass(frozen=True)
class Point:
    """One run's headline of a case."""

    started: str
    run: str
    commit: str | None
    value: float


@dataclass(frozen=True)
class Series:
    """The headlines of one case under one fingerprint, in the order of time."""

    fingerprint: str
    case: str
    metric: str
    unit: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Change:
    """A step in a series: since which run, from what to what (in the series' unit)."""

    series: Series
    since: Point
    before: float
    after: float

    @property
    def ratio(self) -> float:
        """The new level over the old one."""
        return self.after / self.before


def histories(runs: Iterable[Run]) -> list[Series]:
    """Gather the series of all cases; a failed case has no point, nor has what is no primary metric.

    Args:
        runs: in any order; each is let go of once it was read.

    """
    points: dict[tuple[str, str, str, str], list[Point]] = defaultdict(list)
    for run in runs:
        frame = summaries([run])
        primary = frame[frame["metric"].isin(PRIMARY_METRICS) & ~frame["failed"]]
        for case, metric, unit, value in zip(
            primary["case"], primary["metric"], primary["unit"], primary["value"], strict=True
        ):
            if value > 0 and math.isfinite(value):
                key = (run.header.environment.fingerprint, str(case), str(metric), str(unit))
                commit = run.header.environment.git.commit
                points[key].append(Point(run.header.started, run.id, commit, float(value)))
    return [
        Series(*key, tuple(sorted(some, key=lambda one: (one.started, one.run))))
        for key, some in sorted(points.items())
    ]


def changes(series: Sequence[Series]) -> list[Change]:
    """Find the steps of all series, the latest first; levels are medians."""
    found = [
        Change(one, one.points[step.at], math.exp(step.before), math.exp(step.after))
        for one in series
        for step in steps([math.log(point.value) for point in one.points])
    ]
    return sorted(found, key=lambda one: (one.since.started, abs(math.log(one.ratio))), reverse=True)


def too_short(series: Sequence[Series]) -> int:
    """Count the series in which no step can be found, because they have too few points."""
    return sum(len(one.points) < 2 * LEAST for one in series)
