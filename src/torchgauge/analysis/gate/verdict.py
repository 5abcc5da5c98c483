"""What is said of a case, and of a run as a whole; the tests that a verdict rests on.

Everything here is of log ratios, log(head / base), one a pair. A floor of 1 % reaches from a ratio of
1 / 1.01 to one of 1.01, so that it is as far down as up on the log scale: swap the sides, and every
verdict is its mirror image.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from torchgauge.analysis.randomization import bounds, centre, p_above, p_below, pairs_needed
from torchgauge.record.ab import Verdict


def p_equivalent(log_ratios: Sequence[float], floor: float) -> float:
    """Give the p of "the ratio is not inside the floor": the larger of two one-sided tests.

    D. J. Schuirmann, J. Pharmacokinet. Biopharm. 15:657, 1987. Testing two sides needs no correction,
    because the ratio can't be beyond both.
    """
    limit = math.log1p(floor)
    return max(p_below(log_ratios, limit), p_above(log_ratios, -limit))


def p_beyond(log_ratios: Sequence[float], floor: float, direction: int) -> float:
    """Give the p of "the ratio is not beyond the floor", above it for direction 1, below it for -1."""
    return p_above([direction * value for value in log_ratios], math.log1p(floor))


def is_beyond(log_ratios: Sequence[float], floor: float, direction: int) -> bool:
    """Say whether the estimate lies beyond the floor."""
    return bool(log_ratios) and direction * centre(log_ratios) > math.log1p(floor)


def smallest_effect(
    log_ratios: Sequence[float], floor: float, alpha: float, screened: int = 0
) -> float | None:
    """Give the smallest change, as a share, that pairs such as these show in 8 of 10 runs.

    For normal noise of standard deviation s, k pairs tested at `alpha` against the floor find

        log(1 + floor) + (t(1 - alpha, k-1) + t(0.80, k-1)) · s / √k

    with a power of 80 % (the sample size of a paired comparison solved for the difference: S. A. Julious,
    Statistics in Medicine 23:1921, 2004). Here both terms are read from the pairs instead of from s: they
    are half of what lies between the two one-sided bounds, at `alpha` and at 0.20.

    Args:
        log_ratios: of all pairs.
        floor: of the case, as a share.
        alpha: of the test that has to find it.
        screened: so many of the pairs only choose what is tested, and are not tested themselves.

    Returns:
        0.03 for 3 %; None where so few pairs can show nothing at `alpha`.

    """
    strict, loose = bounds(log_ratios, alpha), bounds(log_ratios, 0.2)
    fresh = len(log_ratios) - screened
    if strict is None or loose is None or fresh < pairs_needed(alpha):
        return None
    reach = (strict[1] - strict[0] + loose[1] - loose[0]) / 2 * math.sqrt(len(log_ratios) / fresh)
    return math.expm1(math.log1p(floor) + reach)


def canary_alarms(log_ratios: Sequence[float], floor: float = 0.01, alpha: float = 0.01) -> bool:
    """Say whether base against base, measured as all other cases are, looks different beyond the floor.

    Nothing changed there, so the machine or the measuring did. On a machine that is fair it alarms in
    `alpha` of the runs at most.
    """
    return any(
        2 * p_beyond(log_ratios, floor, direction) <= alpha and is_beyond(log_ratios, floor, direction)
        for direction in (1, -1)
    )


def overall(verdicts: Iterable[Verdict], *, disturbed: bool = False) -> Verdict:
    """Give the verdict of a run: the worst of its cases; INVALID, whatever they say, if it was disturbed.

    Raises:
        ValueError: there is no case.

    """
    found = set(verdicts)
    if not found:
        raise ValueError("a run without a case has no verdict")
    return Verdict.INVALID if disturbed else next(worst for worst in Verdict if worst in found)
