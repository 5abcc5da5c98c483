"""What a run of the gate fixes before its first pair, and what a pair costs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torchgauge.analysis.randomization import pairs_needed
from torchgauge.errors import TorchgaugeError


@dataclass(frozen=True)
class Design:
    """What is fixed before the first pair. Shares and alphas are fractions of 1."""

    screen: int = 7
    """Pairs of all cases at the start; down to `least_screen` where time is short."""
    least_screen: int = 4
    screen_time: float = 0.6
    """Share of the time that screening may take with more than `least_screen` pairs."""
    confirm: int = 14
    """Fresh pairs at a candidate's first test; more where so many candidates need more to pass."""
    tests: int = 2
    """Of a wave. Between two there are `look` pairs."""
    waves: tuple[float, ...] = (0.75, 0.25)
    """Share of alpha that each wave of candidates gets."""
    look: int = 7
    """Least pairs of a further batch while there is time for them."""
    looks: tuple[float, ...] = (0.16, 0.42, 0.42)
    """Share of the equivalence alpha that each look at a case gets; the first is at the screening's end."""
    alpha: float = 0.02
    """Probability that a run names any case falsely as REGRESSED or IMPROVED, at most."""
    equivalence_alpha: float = 0.05
    """Probability that a case as far off as its floor is called EQUIVALENT, at most."""
    least_floor: float = 0.01

    def __post_init__(self) -> None:
        for alpha in (self.alpha, self.equivalence_alpha):
            if not 0 < alpha < 1:
                raise TorchgaugeError(f"an alpha is a probability such as 0.02, not {alpha:g}")
        if not self.waves or not self.looks or max(sum(self.waves), sum(self.looks)) > 1 + 1e-9:
            raise ValueError("the shares of waves, and those of looks, add up to 1 at most")

    def alpha_of_look(self, look: int) -> float:
        """Give the level of one test for equivalence; looks count from 0."""
        return self.equivalence_alpha * self.looks[look]

    def alpha_of_test(self, wave: int) -> float:
        """Give the level of one test of a wave; waves count from 0."""
        return self.alpha * self.waves[wave] / self.tests

    def confirm_pairs(self, wave: int, candidates: int) -> int:
        """Give how many fresh pairs the first test of a wave waits for."""
        return max(self.confirm, pairs_needed(self.alpha_of_test(wave) / candidates))


@dataclass(frozen=True)
class Cost:
    """What a pair of processes takes, in seconds."""

    start: float
    case: float

    def __post_init__(self) -> None:
        if not (self.start >= 0 and self.case > 0):
            raise ValueError(f"a pair can't cost {self.start} s and {self.case} s a case")

    def pair(self, cases: int) -> float:
        """Give the seconds of one pair that measures so many cases."""
        return self.start + self.case * cases

    def fits(self, seconds: float, cases: int) -> int:
        """Give how many pairs of so many cases fit into the time."""
        return max(0, math.floor(seconds / self.pair(cases) + 1e-9))

    def cases(self, seconds: float, pairs: int) -> int:
        """Give how many cases so many pairs can measure in the time."""
        return max(0, math.floor((seconds / pairs - self.start) / self.case + 1e-9))


USUAL_COST = Cost(start=3.0, case=0.6)
"""What a pair takes that visits each case twice, one pair at a time."""


def usual_cost(visits: int, lanes: int) -> Cost:
    """Guess what a pair takes, before one was measured.

    Args:
        visits: of a case in one pair.
        lanes: pairs that are measured at once, so that they take the time of one.

    """
    return Cost(USUAL_COST.start, USUAL_COST.case * visits / (2 * lanes))


def check(
    design: Design,
    cases: int,
    seconds: float | None = None,
    cost: Cost | None = None,
    spent: float = 0.0,
    at_once: int = 1,
) -> None:
    """Refuse a design that can never turn red.

    P pairs reach a p of 2^-P at the best. That has to be within what the first wave's test is allowed for
    one candidate; where there are more, `Design.confirm_pairs` waits for as many pairs as they need.

    Args:
        design: the design.
        cases: how many there are.
        seconds: the time for all of it; with `cost`, whether screening and confirming fit is checked too.
        cost: what a pair takes, guessed or measured.
        spent: how much of the time went by before the first pair.
        at_once: pairs that are started together.

    Raises:
        TorchgaugeError: no data could ever make a case REGRESSED; says what would have to change.

    """
    needed = pairs_needed(design.alpha_of_test(0))
    if design.confirm < needed:
        raise TorchgaugeError(
            f"{design.confirm} pairs can never confirm a regression at an alpha of {design.alpha:g}, "
            f"whatever they show: confirm with {needed} or more, or take a larger alpha"
        )
    if seconds is None or cost is None:
        return
    screening, confirming = (at_once * math.ceil(some / at_once) for some in (design.least_screen, needed))
    least = spent + screening * cost.pair(cases) + confirming * cost.pair(1)
    if seconds < least:
        raise TorchgaugeError(
            f"no regression can be confirmed among {cases} cases in {seconds / 60:.1f} minutes, whatever the "
            f"pairs show: allow {math.ceil(least / 6) / 10:.1f} or more, or choose fewer cases with -k"
        )
