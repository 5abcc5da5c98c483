"""The machine's pace: what a fixed piece of Python takes, moment by moment, and what it says of samples.

A shared machine changes its speed many times a second: a neighbour on the same core costs a half and more,
and what is measured meanwhile says nothing of the code. So a short, fixed loop is timed between blocks.
Its time, over what it takes when nothing disturbs it, is the pace. Samples are chosen by it and never by
their own value: choosing by value would make any code look fast.
"""

from __future__ import annotations

from collections.abc import Sequence

from torchgauge.estimate import quantile

DISTURBED = 1.15
"""A block is disturbed where the loop around it took so many times what it takes undisturbed. On a shared
machine paces fall into two heaps, about 1.0 and about 1.7; this lies in the gap."""
LEAST_PACES = 20


class Paces:
    """All paces of one process, and what the loop takes there when nothing disturbs it."""

    def __init__(self, paces: Sequence[float] = ()) -> None:
        self._sorted = sorted(paces)

    def add(self, paces: Sequence[float]) -> None:
        """Take up the paces of a visit."""
        self._sorted.extend(paces)
        self._sorted.sort()

    @property
    def undisturbed(self) -> float | None:
        """The loop's undisturbed seconds: the 5th percentile so far; None before there are 20."""
        return quantile(self._sorted, 0.05) if len(self._sorted) >= LEAST_PACES else None


def is_disturbed(pace: float, undisturbed: float | None) -> bool:
    """Whether the machine was slow; never where it is not known how fast it can be."""
    return undisturbed is not None and pace > DISTURBED * undisturbed


def calm_samples(samples: Sequence[float], paces: Sequence[float], undisturbed: float | None) -> list[float]:
    """Choose the samples that nothing disturbed; all of them where their paces were not taken."""
    if len(paces) != len(samples) or undisturbed is None:
        return list(samples)
    slow = DISTURBED * undisturbed  # `is_disturbed` at its every call would take half of a history's time
    return [sample for sample, pace in zip(samples, paces, strict=True) if pace <= slow]
