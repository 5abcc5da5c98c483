"""Which process does what, which case comes when, and for how long."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from torchgauge.measure.budget import Budget

INSTRUMENTS = ("time", "memory", "profile", "instructions", "energy")
"""What `--instruments` offers."""

PATIENCE = 3.0
"""A visit waits for the machine to be undisturbed for so many times its share …"""
MOST_PATIENCE = 2.0
"""… or, where a budget has more time than its visits may take, for all of it, so many at the most."""
RETRY_SHARE = 0.1
"""The most of a budget's time that goes into trying again where the machine was in a poor state."""

Key = TypeVar("Key")


def passes(instruments: Sequence[str], processes: int) -> list[str]:
    """Give the instrument of each process of a run: time in `processes` of them, the others in one each.

    An instrument slows down what it looks at, so that none shares a process with another.
    """
    return [name for name in instruments for _ in range(processes if name == "time" else 1)]


def order(keys: Sequence[Key], seed: int, process: int, round_: int) -> list[Key]:
    """Shuffle the cases of a round; the same seed, process and round give the same order."""
    shuffled = list(keys)
    random.Random(f"{seed}-{process}-{round_}").shuffle(shuffled)
    return shuffled


@dataclass(frozen=True)
class Share:
    """What one visit may take, in seconds.

    `patience` is for one that has hardly seen the machine undisturbed, `retry` for tries under poor
    conditions.
    """

    seconds: float
    patience: float
    retry: float


class Allowance:
    """Shares out what is left of a budget's time among the visits that are left.

    A visit costs more than it samples (set-up, first call, teardown): the cost of the visits so far
    says how much, so that a run ends near its budget however slow its set-up is.

    Args:
        budget: the run's.
        process: which process this is, counted from 0.
        processes: how many there are; each ends by its equal part of the budget's time.

    """

    def __init__(self, budget: Budget, process: int = 0, processes: int = 1) -> None:
        self._budget = budget
        self.until = None if budget.seconds is None else budget.seconds * (process + 1) / processes
        """Seconds after the run's begin at which this process should end; None without an aim."""
        self._visits = 0
        self._overhead = 0.0
        self.retry_seconds = math.inf if budget.seconds is None else RETRY_SHARE * budget.seconds / processes
        """What this process has left for visits that are tried again."""

    def seconds(self, spent: float, visits_left: int) -> float:
        """Give the next visit's share in seconds.

        Args:
            spent: seconds spent on the run, earlier processes and parts included.
            visits_left: visits to come in this process, this one included.

        """
        budget = self._budget
        if self.until is None:
            return budget.visit_most
        overhead = self._overhead / self._visits if self._visits else 0.0
        share = (self.until - spent) / max(1, visits_left) - overhead
        return min(budget.visit_most, max(budget.visit_least, share))

    def share(self, spent: float, visits_left: int) -> Share:
        """Give the next visit's share; see `seconds` for the arguments."""
        seconds = self.seconds(spent, visits_left)
        patience = PATIENCE * seconds
        if self.until is not None and seconds == self._budget.visit_most:  # there is time to spare
            patience = max(patience, min(MOST_PATIENCE, (self.until - spent) / max(1, visits_left)))
        return Share(seconds, patience, max(0.0, self.retry_seconds))

    def visited(self, share: float, took: float, retried: float = 0.0) -> None:
        """Note a visit that was given `share` and took `took` seconds; `retried` went into tries given up."""
        self._visits += 1
        self._overhead += max(0.0, took - retried - share)
        self.retry_seconds -= retried
