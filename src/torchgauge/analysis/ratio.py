"""Two values, each with its 95 % interval, and how many times the one is the other.

The interval of a ratio is found from the two intervals on the log scale, by the method of variance estimates
recovery (G. Y. Zou and A. Donner, Statistics in Medicine 27:1693, 2008). A mean of ratios is geometric, and
its interval the mean of theirs: as wide as when all of them err together, which ratios between two runs do,
each of which met the machine in one state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torchgauge.estimate import estimate


@dataclass(frozen=True)
class Value:
    """A value and its 95 % interval, which may be unknown (None), in the metric's unit."""

    value: float
    low: float | None = None
    high: float | None = None
    between: float = 0.0
    """As of `torchgauge.estimate.Estimate`."""


@dataclass(frozen=True)
class Ratio:
    """Over the baseline: the geometric mean over `cases`. `low` and `high` are its 95 % interval."""

    value: float
    low: float | None
    high: float | None
    cases: int
    without: int = 0
    """Cases that are not among them, since their ratio has no interval; only of a column's mean."""

    @property
    def differs(self) -> bool:
        """Whether the interval is known and leaves 1 out."""
        return self.low is not None and self.high is not None and not self.low <= 1 <= self.high


def ratio_of(base: Value, other: Value) -> Ratio:
    """Give other / base. The interval is unknown where one of theirs is, or reaches down to 0."""
    log = math.log(other.value / base.value)
    ends = (base.low, base.high, other.low, other.high)
    if any(end is None or end <= 0 for end in ends):
        return Ratio(math.exp(log), None, None, 1)
    base_low, base_high, low, high = (math.log(end) for end in ends if end is not None)
    one, two = math.log(base.value), math.log(other.value)
    down = math.hypot(two - low, base_high - one)
    up = math.hypot(high - two, one - base_low)
    return Ratio(math.exp(log), math.exp(log - down), math.exp(log + up), 1)


def mean_ratio(ratios: Sequence[Ratio], *, leave_out: bool) -> Ratio | None:
    """Give the geometric mean; with `leave_out`, of those alone that have an interval, if any has."""
    known = [one for one in ratios if one.low is not None]
    used = known if leave_out and known else list(ratios)
    if not used:
        return None
    value, low, high = (
        None if None in ends else math.exp(math.fsum(map(math.log, ends)) / len(ends))
        for ends in zip(*((one.value, one.low, one.high) for one in used), strict=True)
    )
    assert value is not None
    return Ratio(value, low, high, len(used), len(ratios) - len(used))


def joined(values: Sequence[Value]) -> Value | None:
    """Join values of one case; the interval of several is Student's t over their logarithms."""
    if len(values) < 2:
        return values[0] if values else None
    found = estimate([[value.value] for value in values], 0.5)
    return Value(found.value, found.low, found.high)


def middle(values: Sequence[Value]) -> Value | None:
    """Give the geometric mean of several cases; it has no interval, since they are no sample of anything."""
    if not values:
        return None
    if all(value.value > 0 for value in values):
        return Value(math.exp(math.fsum(math.log(value.value) for value in values) / len(values)))
    return Value(math.fsum(value.value for value in values) / len(values))
