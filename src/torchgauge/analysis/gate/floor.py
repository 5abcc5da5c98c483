"""The floor of a case: below it a change is not worth a verdict, or can't have one on this machine."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from torchgauge.analysis.gate.design import USUAL_COST, Cost, Design
from torchgauge.analysis.randomization import bounds
from torchgauge.estimate import quantile

LEAST_STORED = 20
"""Fewer stored A/A pairs of a case don't raise its floor: too few to say how far noise reaches."""
FOUND_EQUIVALENT = 0.8
"""Share of unchanged runs in which the last look alone finds a case EQUIVALENT whose floor was raised."""
DRAWS = 400
MOST_PAIRS = 100
FOR_ALL = 0.9
"""Share of the time that goes to pairs of all cases that are undecided."""


@dataclass(frozen=True)
class Wanted:
    """The run that floors are wanted for: its design, its time in seconds, and how many cases it has."""

    design: Design
    seconds: float
    cases: int

    def floor(self, stored: Sequence[float], case_seconds: float | None) -> float:
        """Find a case's floor (`floor_from`), where a pair takes `case_seconds` a case as far as is known."""
        cost = Cost(USUAL_COST.start, case_seconds) if case_seconds else USUAL_COST
        pairs = min(MOST_PAIRS, cost.fits(FOR_ALL * self.seconds, self.cases))
        return floor_from(stored, self.design, max(self.design.screen, pairs))


def floor_from(stored: Sequence[float], design: Design, pairs: int) -> float:
    """Find the floor of a case, as a share, from the pairs in which the machine was compared with itself.

    It is the least floor inside which the last look of a run with so many pairs finds unchanged code
    EQUIVALENT in a share `FOUND_EQUIVALENT` of the runs, and never below the design's least. A case whose
    noise hides changes of 1 % can't be held to 1 %: it would be INCONCLUSIVE in almost every run. For
    normal noise of standard deviation s and P pairs that is about 3.3·s/√P with the default design; with 30
    pairs it is above 1 % from an s of 1.7 % on.

    The stored pairs are drawn from at random, with random signs, since neither side of A/A is the slower
    one. So nothing is assumed of how noise scatters, and a difference between the sides that is always
    there widens the floor.

    Args:
        stored: log ratios of A/A, one a pair; fewer than `LEAST_STORED` raise nothing.
        design: of the runs that the floor is for.
        pairs: that the case has at its last look in such a run (`Wanted.floor`).

    """
    if len(stored) < LEAST_STORED:
        return design.least_floor
    chance = random.Random(len(stored))  # a fixed seed: the same pairs give the same floor
    reaches = []
    for _ in range(DRAWS):
        drawn = [chance.choice(stored) * chance.choice((-1, 1)) for _ in range(pairs)]
        ends = bounds(drawn, design.alpha_of_look(-1))
        if ends is None:
            return design.least_floor
        reaches.append(max(-ends[0], ends[1]))
    return max(design.least_floor, math.expm1(quantile(reaches, FOUND_EQUIVALENT)))
