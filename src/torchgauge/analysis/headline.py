"""From the lines of one case and metric to its headline: which samples count, and how sure it is."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torchgauge.estimate import BETWEEN_PROCESSES, Estimate, estimate, quantile
from torchgauge.pace import Paces, calm_samples
from torchgauge.record import Measurement, Run

Undisturbed = Mapping[int, float | None]
"""For each process what the pace's loop took there when nothing disturbed it, in seconds."""


@dataclass(frozen=True)
class Headline:
    """Both quantiles of what counts. `calm_rounds` and `calm_samples` say how much nothing disturbed."""

    low_end: Estimate
    middle: Estimate
    calm_rounds: int
    calm_samples: int
    warnings: list[str]


def undisturbed(run: Run) -> Undisturbed:
    """Find, process by process, how fast the machine was when nothing disturbed it."""
    paces: defaultdict[int, list[float]] = defaultdict(list)
    for line in run.measurements:
        paces[line.process] += line.paces
    return {process: Paces(seen).undisturbed for process, seen in paces.items()}


def headline(pool: Sequence[Measurement], calm_pace: Undisturbed) -> Headline:
    """Estimate both quantiles from the calm samples, clustered by process or, within one, by round.

    Where no sample is calm all count, and the interval reaches down by as much as the pace's loop was
    slowed: undisturbed, the case may be as much faster. A time of one process on the CPU is widened by
    what differs between processes (`torchgauge.estimate.BETWEEN_PROCESSES`), which its rounds can't show.
    """
    calm = _clusters(pool, calm_pace)
    clusters = calm or _clusters(pool, {})
    processes = len({line.process for line in pool})
    first = pool[0]
    on_host = first.unit == "s" and first.metric == "time" and first.case.device == "cpu"
    spread = BETWEEN_PROCESSES if on_host and processes == 1 else 0.0
    slowed = 1.0 if calm else _slowed(pool, calm_pace)
    low_end, middle = (_estimate(clusters, q, spread, slowed) for q in (0.05, 0.5))
    warnings = []
    if clusters and not calm:
        warnings.append(f"disturbed: the machine was slower around every block, by {slowed - 1:.0%} or so")
    elif len(calm) == 1 and len({(line.process, line.round) for line in pool}) > 1:
        warnings.append("disturbed in all rounds but one: no interval")
    return Headline(low_end, middle, len(calm), sum(map(len, calm)), warnings)


def _estimate(clusters: list[list[float]], q: float, spread: float, slowed: float) -> Estimate:
    if not clusters:
        return Estimate(math.nan, None, None, 0)
    found = estimate(clusters, q).widened(spread)
    return found if found.low is None else replace(found, low=found.low / slowed)


def _clusters(pool: Sequence[Measurement], calm_pace: Undisturbed) -> list[list[float]]:
    """Join the calm samples of one process; of one round, where there is one process."""
    by_process = len({line.process for line in pool}) > 1
    clusters: dict[int, list[float]] = {}
    for line in pool:
        calm = calm_samples(line.samples, line.paces, calm_pace.get(line.process))
        clusters.setdefault(line.process if by_process else line.round, []).extend(calm)
    return [values for values in clusters.values() if values]


def _slowed(pool: Sequence[Measurement], calm_pace: Undisturbed) -> float:
    """Give how much slower the pace's loop was than undisturbed, in the median; 1 is not at all."""
    ratios = [pace / calm for line in pool for pace in line.paces if (calm := calm_pace.get(line.process))]
    return max(1.0, quantile(ratios, 0.5)) if ratios else 1.0
