"""From the lines of one case and metric to its headline: which samples count, and how sure it is."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import variance

from torchgauge.estimate import BETWEEN_PROCESSES, Estimate, estimate, quantile
from torchgauge.pace import Paces, calm_samples
from torchgauge.record import Measurement, Run


@dataclass(frozen=True)
class Calm:
    """What all cases of a run say together of its calm moments.

    `pace` is, for each process, what the pace's loop took there when nothing disturbed it, in seconds.
    `spread` is the standard deviation of the log of a case's calm rounds, pooled over the cases that have
    two or more; None where there is none.
    """

    pace: Mapping[int, float | None]
    spread: float | None = None


@dataclass(frozen=True)
class Headline:
    """Both quantiles of what counts. `calm_rounds` and `calm_samples` say how much nothing disturbed.

    `slowed` is how many times longer the pace's loop took, where every sample was disturbed; else 1.
    """

    low_end: Estimate
    middle: Estimate
    calm_rounds: int
    calm_samples: int
    warnings: list[str]
    slowed: float = 1.0


def calm(run: Run) -> Calm:
    """Find out how fast the machine was when nothing disturbed it, and how far calm rounds lie apart."""
    paces: defaultdict[int, list[float]] = defaultdict(list)
    for line in (*run.ceilings, *run.measurements):
        paces[line.process] += line.paces
    pace = {process: Paces(seen).undisturbed for process, seen in paces.items()}
    values: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    for line in run.measurements:
        if line.paces and (samples := calm_samples(line.samples, line.paces, pace[line.process])):
            low = quantile(samples, 0.05)
            if low > 0:
                values[line.case.id, line.process].append(math.log(low))
    several = [rounds for rounds in values.values() if len(rounds) > 1]
    degrees = sum(len(rounds) - 1 for rounds in several)
    squares = math.fsum(variance(rounds) * (len(rounds) - 1) for rounds in several)
    return Calm(pace, math.sqrt(squares / degrees) if degrees else None)


def headline(pool: Sequence[Measurement], known: Calm) -> Headline:
    """Estimate both quantiles from the calm samples, clustered by process or, within one, by round.

    Where one round alone is calm, its interval is as wide as the pooled spread of the run's other cases
    says (`Calm.spread`). Where no sample is calm all count, and the interval reaches down by as much as
    the pace's loop was slowed: undisturbed, the case may be as much faster. A time of one process on the
    CPU is widened by what differs between processes (`torchgauge.estimate.BETWEEN_PROCESSES`), which its
    rounds can't show.
    """
    undisturbed = _clusters(pool, known.pace)
    clusters = undisturbed or _clusters(pool, {})
    processes = len({line.process for line in pool})
    first = pool[0]
    on_host = first.unit == "s" and first.metric == "time" and first.case.device == "cpu"
    between = BETWEEN_PROCESSES if on_host and processes == 1 else 0.0
    slowed = 1.0 if undisturbed else _slowed(pool, known.pace)
    alone = len(undisturbed) == 1 and len({(line.process, line.round) for line in pool}) > 1
    low_end, middle = (
        _estimate(clusters, q, between, slowed, known.spread if alone else None) for q in (0.05, 0.5)
    )
    warnings = []
    if clusters and not undisturbed:
        warnings.append(f"disturbed: the machine was slower around every block, by {slowed - 1:.0%} or so")
    elif alone:
        what = "no interval" if low_end.low is None else "the interval is as wide as other cases have it"
        warnings.append(f"disturbed in all rounds but one: {what}")
    return Headline(low_end, middle, len(undisturbed), sum(map(len, undisturbed)), warnings, slowed)


def level(pool: Sequence[Measurement], known: Calm, q: float) -> float:
    """Give the value of one quantile that `headline` gives, without interval; NaN where nothing counts."""
    clusters = _clusters(pool, known.pace) or _clusters(pool, {})
    return estimate(clusters, q).value if clusters else math.nan


def _estimate(
    clusters: list[list[float]], q: float, between: float, slowed: float, pooled: float | None
) -> Estimate:
    if not clusters:
        return Estimate(math.nan, None, None, 0)
    found = estimate(clusters, q)
    if found.low is None and pooled is not None and found.value > 0:
        found = replace(found, low=found.value, high=found.value).widened(pooled)
    wide = found.widened(between)
    if wide.low is None:
        return wide
    return replace(wide, low=wide.low / slowed, between=0.0 if wide is found else between)


def _clusters(pool: Sequence[Measurement], pace: Mapping[int, float | None]) -> list[list[float]]:
    """Join the calm samples of one process; of one round, where there is one process."""
    by_process = len({line.process for line in pool}) > 1
    clusters: dict[int, list[float]] = {}
    for line in pool:
        samples = calm_samples(line.samples, line.paces, pace.get(line.process))
        clusters.setdefault(line.process if by_process else line.round, []).extend(samples)
    return [values for values in clusters.values() if values]


def _slowed(pool: Sequence[Measurement], pace: Mapping[int, float | None]) -> float:
    """Give how much slower the pace's loop was than undisturbed, in the median; 1 is not at all."""
    ratios = [
        one / undisturbed for line in pool for one in line.paces if (undisturbed := pace.get(line.process))
    ]
    return max(1.0, quantile(ratios, 0.5)) if ratios else 1.0
