"""Steps in a series of values: where it changed its level, and where it only wandered.

The series is cut into stretches of one level each, so that the squared distances from the levels, in units
of the noise, plus a penalty for each cut, are least: optimal partitioning (B. Jackson et al., IEEE Signal
Processing Letters 12:105, 2005). The noise is read from neighbours' differences, which a step leaves alone;
single values that stray are pulled in before, since one slow run is no step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST = 3
"""Values of a stretch; fewer can't be told from a few that stray."""
FALSE_STEPS = 0.01
"""Of series of pure noise, be it normal, heavy-tailed or to one side alone, at most this share has a step
(`tests/analysis/test_steps.py`)."""
WINDOW = 7
STRAY = 2.5
"""Spreads beyond the median of its neighbours at which a value is pulled in."""


@dataclass(frozen=True)
class Step:
    """A change of level. `at` is the place of the first value of the new level; levels are medians."""

    at: int
    before: float
    after: float


def steps(values: Sequence[float], penalty: float | None = None) -> list[Step]:
    """Find the steps of a series.

    Args:
        values: in the order of time; for times of benchmarks their logarithms.
        penalty: what a cut costs, in squared spreads; None for one that keeps `FALSE_STEPS`.

    Returns:
        The steps in their order; none for fewer than 6 values.

    """
    known = np.asarray(values, dtype=np.float64)
    if len(known) < 2 * LEAST:
        return []
    calm = _pulled_in(known)
    spread = noise(calm)
    if spread == 0.0:
        spread = max(1e-12, 1e-9 * float(np.max(np.abs(calm))))
    cost = penalty if penalty is not None else 18.0 + 2.5 * math.log(len(known)) + 60.0 / len(known)
    cuts = _cuts((calm - calm.mean()) / spread, cost)
    edges = [0, *cuts, len(known)]
    levels = [float(np.median(known[a:b])) for a, b in pairwise(edges)]
    return [Step(at, levels[place], levels[place + 1]) for place, at in enumerate(cuts)]


def noise(values: Floats) -> float:
    """Estimate the spread of a series around its levels, as a standard deviation.

    From the mean absolute difference of neighbours: of normal noise that is 2/√π standard deviations.
    """
    return float(np.mean(np.abs(np.diff(values)))) * math.sqrt(math.pi) / 2


def _pulled_in(values: Floats) -> Floats:
    """Pull each value towards the median of its neighbours until it is `STRAY` spreads away at the most."""
    half = WINDOW // 2
    padded = np.concatenate([values[:half][::-1], values, values[-half:][::-1]])
    middle = np.median(np.lib.stride_tricks.sliding_window_view(padded, WINDOW), axis=1)
    reach = STRAY * float(np.median(np.abs(np.diff(values)))) / 0.9539  # of normal noise a standard deviation
    pulled: Floats = np.clip(values, middle - reach, middle + reach)
    return pulled


def _cuts(values: Floats, penalty: float) -> list[int]:
    count = len(values)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    squares = np.concatenate([[0.0], np.cumsum(values**2)])
    best = np.full(count + 1, np.inf)
    best[0] = -penalty
    last = np.zeros(count + 1, dtype=np.intp)
    for end in range(LEAST, count + 1):
        begins = np.arange(0, end - LEAST + 1)
        lengths = end - begins
        within = squares[end] - squares[begins] - (sums[end] - sums[begins]) ** 2 / lengths
        totals = best[begins] + within + penalty
        place = int(np.argmin(totals))
        best[end], last[end] = totals[place], begins[place]
    found = []
    end = count
    while end > 0:
        end = int(last[end])
        found.append(end)
    return sorted(cut for cut in found if cut)
