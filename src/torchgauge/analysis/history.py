"""The history of a folder of runs: each case's headline over time, and where its level changed.

Runs are joined only where their fingerprint is the same: times of another machine, another torch or other
flags are another series.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torchgauge.analysis.frame import pools
from torchgauge.analysis.headline import calm, level
from torchgauge.analysis.steps import LEAST, steps
from torchgauge.estimate import headline_quantile
from torchgauge.record import Run
from torchgauge.record.ending import PRIMARY_METRICS

Key = tuple[str, str, str, str]
"""Fingerprint, case id, metric, unit."""


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


def points(run: Run) -> dict[Key, Point]:
    """Give the headlines of a run; a failed case has none, nor has what is no primary metric."""
    failed = {failure.case.id for failure in run.failures}
    known = calm(run)
    found: dict[Key, Point] = {}
    primary = (line for line in run.measurements if line.metric in PRIMARY_METRICS)
    for (case, _, metric, _, unit), pool in pools(primary).items():
        value = (
            math.nan if case in failed else level(pool, known, headline_quantile(pool[0].case.device, unit))
        )
        if value > 0 and math.isfinite(value):
            key = (run.header.environment.fingerprint, case, metric, unit)
            found[key] = Point(run.header.started, run.id, run.header.environment.git.commit, value)
    return found


def histories(runs: Iterable[Mapping[Key, Point]]) -> list[Series]:
    """Gather the series of all cases from the `points` of runs, in any order."""
    gathered: dict[Key, list[Point]] = defaultdict(list)
    for run in runs:
        for key, point in run.items():
            gathered[key].append(point)
    return [
        Series(*key, tuple(sorted(some, key=lambda one: (one.started, one.run))))
        for key, some in sorted(gathered.items())
    ]


def changes(found: Iterable[Sequence[Change]]) -> list[Change]:
    """Join the changes of all series, the latest first."""
    every = [one for some in found for one in some]
    return sorted(every, key=lambda one: (one.since.started, abs(math.log(one.ratio))), reverse=True)


def changes_of(series: Series) -> list[Change]:
    """Find the steps of one series; levels are medians."""
    return [
        Change(series, series.points[step.at], math.exp(step.before), math.exp(step.after))
        for step in steps([math.log(point.value) for point in series.points])
    ]


def too_short(series: Sequence[Series]) -> int:
    """Count the series in which no step can be found, because they have too few points."""
    return sum(len(one.points) < 2 * LEAST for one in series)
