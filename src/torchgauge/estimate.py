"""From block samples to a headline with an honest interval.

Blocks of one round share the machine's state of that moment, so their spread says little about the
next round. Each round therefore gives one value (a quantile of its blocks), and the interval is
Student's t over the rounds' values, on the log scale: the summary-measure analysis of clustered data
(Galbraith, Daniel & Vissel, J. Neurosci. 30:10601, 2010). One round has no interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

# Upper 97.5 % points of Student's t for 1 … 30 degrees of freedom.
_T975 = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
    2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
)  # fmt: skip
Z_975 = 1.959964
"""The same of the normal distribution."""

BETWEEN_PROCESSES = 0.03
"""Standard deviation of the log of an undisturbed time from one fresh process to the next, which the rounds
of one process can't show: where memory lies, above all. docs/method.md says how it was found."""


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval, in the unit of the samples; no interval (None) from one cluster."""

    value: float
    low: float | None
    high: float | None
    clusters: int
    between: float = 0.0
    """What the interval was widened by for other processes: a standard deviation of the log, 0 for not."""

    def widened(self, spread: float) -> Estimate:
        """Add a spread that the clusters can't show, as a standard deviation on the log scale.

        Combined in quadrature, as a type B uncertainty is (JCGM 100:2008, 5.1.2).
        """
        if self.low is None or self.high is None or not self.low > 0:
            return self
        low, high = (math.hypot(math.log(end / self.value), Z_975 * spread) for end in (self.low, self.high))
        return replace(self, low=self.value * math.exp(-low), high=self.value * math.exp(high))

    @property
    def relative_half_width(self) -> float | None:
        """Half the interval over the value: 0.02 is ±2 %."""
        if self.low is None or self.high is None or self.value == 0:
            return None
        return (self.high - self.low) / (2 * self.value)

    def rate(self, amount: float) -> Estimate:
        """Give an amount per value: the work of a call over its time. The interval turns round."""
        low = None if self.high is None else amount / self.high
        high = None if self.low is None else amount / self.low
        return replace(self, value=amount / self.value, low=low, high=high)


def headline_quantile(device: str, unit: str) -> float:
    """Give the quantile that leads: 0.05 for seconds on the CPU, where noise only adds, else 0.5."""
    return 0.05 if unit == "s" and device.partition(":")[0] == "cpu" else 0.5


def quantile(samples: Sequence[float], q: float) -> float:
    """Give the q-quantile by linear interpolation between order statistics (Hyndman & Fan's type 7).

    Raises:
        ValueError: there is no sample.

    """
    if not samples:
        raise ValueError("a quantile needs at least one sample")
    ordered = sorted(samples)
    position = q * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def estimate(clusters: Sequence[Sequence[float]], q: float) -> Estimate:
    """Estimate the q-quantile from clusters (rounds, or processes) of block samples.

    Args:
        clusters: one sequence of samples a cluster, none of them empty.
        q: 0.05 for the headline on a CPU, 0.5 for the median.

    Returns:
        The geometric mean of the clusters' quantiles with its 95 % interval; the arithmetic mean where
        a quantile is 0 or below (a value that is no time).

    Raises:
        ValueError: there is no cluster, or one without a sample.

    """
    if not clusters:
        raise ValueError("an estimate needs at least one cluster of samples")
    values = [quantile(samples, q) for samples in clusters]
    positive = all(value > 0 for value in values)
    scaled = [math.log(value) for value in values] if positive else values
    back = math.exp if positive else float
    count = len(scaled)
    mean = math.fsum(scaled) / count
    if count < 2:
        return Estimate(values[0], None, None, count)
    variance = math.fsum((value - mean) ** 2 for value in scaled) / (count - 1)
    half = t_975(count - 1) * math.sqrt(variance / count)
    return Estimate(back(mean), back(mean - half), back(mean + half), count)


def t_975(degrees: int) -> float:
    """Give the upper 97.5 % point of Student's t; beyond 30 degrees by Cornish and Fisher's expansion.

    Raises:
        ValueError: there is no degree of freedom.

    """
    if degrees < 1:
        raise ValueError("Student's t needs at least one degree of freedom")
    if degrees <= len(_T975):
        return _T975[degrees - 1]
    z = Z_975
    return z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
