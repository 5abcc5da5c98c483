"""Verdicts of what is counted rather than timed: operators, copies, allocations, instructions.

Counts do not wander as times do, so nothing is tested here: what both sides counted, in fresh processes
each, is held against each other as it is. Operators and their like are the same every time, and a
difference of one is a difference. Instructions wander by a tenth of a per cent, even without those that hang
on where things lie in memory (`torchgauge.measure.layout`), which are left out. So their difference has to be
beyond a floor, and all of one side's counts on one side of all of the other's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median

from torchgauge.record.ab import Comparison, CountLine, Verdict

COUNTS = ("operators", "copies", "allocations", "kernels", "launches", "synchronizations")
INSTRUCTIONS_FLOOR = 0.0075
"""Over some 80 processes of unchanged code the worst of twelve cases differed by 0.11 %."""
MOST_NAMED = 4
LONGEST_NAME = 60
"""Characters of a function's name; those of C++ templates fill screens."""


def compare_counts(
    base: Sequence[CountLine], head: Sequence[CountLine], floors: Mapping[str, float]
) -> list[Comparison]:
    """Compare what both sides counted.

    Args:
        base: all its counts.
        head: those of head.
        floors: by metric, as a share; 0 for one in which any difference counts.

    Returns:
        One for each case and metric that either side has, MISSING where one has it alone.

    """
    found: dict[tuple[str, str], tuple[list[CountLine], list[CountLine]]] = {}
    for place, lines in enumerate((base, head)):
        for line in lines:
            found.setdefault((line.case, line.metric), ([], []))[place].append(line)
    return [_compare(case, metric, *both, floors[metric]) for (case, metric), both in found.items()]


def _compare(
    case: str, metric: str, base: Sequence[CountLine], head: Sequence[CountLine], floor: float
) -> Comparison:
    if not base or not head:
        only = "base" if base else "head"
        return Comparison(
            case=case, metric=metric, verdict=Verdict.MISSING, notes=[f"only {only} counted {metric}"]
        )
    one, other = ([value for line in lines for value in line.values] for lines in (base, head))
    before, after = median(one), median(other)
    verdict = judge(one, other, floor)
    changed = verdict is not Verdict.EQUIVALENT or not floor
    named = _difference(base[-1], head[-1]) if changed else ""
    numbers = [f"{before:,.0f} → {after:,.0f}"] if verdict is not Verdict.EQUIVALENT else []
    return Comparison(
        case=case,
        metric=metric,
        verdict=verdict,
        ratio=after / before if before else None,
        low=min(other) / max(one) if max(one) else None,
        high=max(other) / min(one) if min(one) else None,
        floor=floor,
        pairs=min(len(base), len(head)),
        notes=[": ".join([*numbers, *([named] if named else [])])] if numbers or named else [],
    )


def judge(base: Sequence[float], head: Sequence[float], floor: float) -> Verdict:
    """Say what became of a count.

    It REGRESSED where all of head's counts are beyond all of base's by more than the floor, and IMPROVED
    where that holds with the sides swapped. It is EQUIVALENT where the medians differ by no more than the
    floor. What is neither is INCONCLUSIVE: the medians differ, and the counts overlap.
    """
    factor = 1 + floor
    if min(head) > max(base) * factor:
        return Verdict.REGRESSED
    if min(base) > max(head) * factor:
        return Verdict.IMPROVED
    before, after = median(base), median(head)
    if before == after or (before > 0 and after > 0 and abs(math.log(after / before)) <= math.log(factor)):
        return Verdict.EQUIVALENT
    return Verdict.INCONCLUSIVE


def _difference(base: CountLine, head: CountLine) -> str:
    """Name what head has more or less of: "+1 aten::copy_, -2 aten::add". Empty where nothing is known."""
    before, after = Counter(base.parts), Counter(head.parts)
    changes = {name: after[name] - before[name] for name in before.keys() | after.keys()}
    told = sorted(((-abs(by), name, by) for name, by in changes.items() if by), key=lambda one: one[:2])
    words = [f"{by:+,.0f} {_short(name)}" for _, name, by in told[:MOST_NAMED]]
    more = len(told) - MOST_NAMED
    return ", ".join(words) + (f" and {more} more" if more > 0 else "")


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
