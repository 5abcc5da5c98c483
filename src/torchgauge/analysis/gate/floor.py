"""The floor of a case: below it a change is not worth a verdict, or can't have one on this machine."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from torchgauge.analysis.gate.design import Design
from torchgauge.analysis.randomization import bounds
from torchgauge.estimate import quantile

LEAST_STORED = 20
"""Fewer stored A/A pairs of a case don't raise its floor: too few to say how far noise reaches."""
FOUND_EQUIVALENT = 0.85
"""Share of unchanged runs in which the last look alone finds a case EQUIVALENT whose floor was raised."""
DRAWS = 400


def floor_from(stored: Sequence[float], design: Design) -> float:
    """Find the floor of a case, as a share, from the pairs in which the machine was compared with itself.

    It is the least floor inside which the last look of a run with all its pairs finds unchanged code
    EQUIVALENT in a share `FOUND_EQUIVALENT` of the runs, and never below the design's least. A case whose
    noise hides changes of 1 % can't be held to 1 %: it would be INCONCLUSIVE in almost every run. For
    normal noise of standard deviation s that is about 0.75·s with the default design; above 1 % from 1.3 %
    on.

    The stored pairs are drawn from at random, with random signs, since neither side of A/A is the slower
    one. So nothing is assumed of how noise scatters, and a difference between the sides that is always
    there widens the floor.

    Args:
        stored: log ratios of A/A, one a pair; fewer than `LEAST_STORED` raise nothing.
        design: of the runs that the floor is for.

    """
    if len(stored) < LEAST_STORED:
        return design.least_floor
    chance = random.Random(len(stored))  # a fixed seed: the same pairs give the same floor
    reaches = []
    for _ in range(DRAWS):
        drawn = [
            chance.choice(stored) * chance.choice((-1, 1)) for _ in range(design.screen + design.confirm)
        ]
        ends = bounds(drawn, design.alpha_of_look(-1))
        if ends is None:
            return design.least_floor
        reaches.append(max(-ends[0], ends[1]))
    return max(design.least_floor, math.expm1(quantile(reaches, FOUND_EQUIVALENT)))
