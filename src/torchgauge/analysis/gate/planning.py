"""What to measure next, within the time; the rules of the stages are in `torchgauge.analysis.gate.stages`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torchgauge.analysis.gate.design import Cost, Design
from torchgauge.analysis.gate.stages import State
from torchgauge.analysis.gate.verdict import p_equivalent
from torchgauge.analysis.randomization import pairs_needed


@dataclass(frozen=True)
class Batch:
    """What to measure next: so many further pairs of these cases."""

    cases: tuple[str, ...]
    pairs: int


def plan(state: State, seconds: float, cost: Cost) -> Batch | None:
    """Say what to measure next.

    Args:
        state: what was seen so far.
        seconds: the time left.
        cost: of a pair, as measured so far.

    Returns:
        The next batch, which fits into the time; None where all is decided, or nothing that would help fits.

    """
    undecided = [case for case in state.ratios if case not in state.settled]
    if not any(state.ratios[case] for case in undecided):
        return _screen(state.design, undecided, seconds, cost)
    return _confirm(state, seconds, cost) or _look(state, seconds, cost)


def _screen(design: Design, cases: Sequence[str], seconds: float, cost: Cost) -> Batch | None:
    # a candidate has to be confirmed in what is left
    most = min(seconds * design.screen_time, seconds - pairs_needed(design.alpha_of_test(0)) * cost.pair(1))
    pairs = min(design.screen, cost.fits(most, len(cases)))
    if pairs < design.least_screen:
        pairs = min(design.least_screen, cost.fits(seconds, len(cases)))
    return Batch(tuple(cases), pairs) if cases and pairs else None


def _confirm(state: State, seconds: float, cost: Cost) -> Batch | None:
    """Measure candidates until their next test, and the other cases with them if that leaves the time."""
    needs = {
        one.case: (state.due(place) - len(state.fresh(one)), place, one)
        for place, wave in enumerate(state.waves)
        for one in state.waiting(wave)
    }
    if not needs:
        return None
    need, place, first = next(iter(needs.values()))
    others = [case for case in _undecided(state) if case not in needs]
    cases = (*needs, *others)
    step = _wanted(state, seconds, cost, cases)
    step = step if others else min(step, need)
    if cost.pair(len(cases)) * step + cost.pair(len(needs)) * max(0, need - step) <= seconds:
        return Batch(cases, step)
    pairs = min(need, cost.fits(seconds, 1))
    level = state.design.alpha_of_test(place) / len(state.waves[place].candidates)
    if pairs < 1 or len(state.fresh(first)) + pairs < pairs_needed(level):
        return None
    return Batch(tuple(needs)[: cost.cases(seconds, pairs)], pairs)


def _look(state: State, seconds: float, cost: Cost) -> Batch | None:
    """Measure the undecided further; where time is short, those that are nearest to being EQUIVALENT."""
    cases = _undecided(state)
    if not cases:
        return None
    least = max(1, state.design.look // 2)
    pairs = min(_wanted(state, seconds, cost, cases), cost.fits(seconds, len(cases)))
    if pairs < least:
        pairs = least
        cases.sort(key=lambda case: p_equivalent(state.ratios[case], state.floors[case]))
        cases = cases[: cost.cases(seconds, pairs)]
    return Batch(tuple(cases), pairs) if cases else None


def _undecided(state: State) -> list[str]:
    """Give the cases that haven't settled and have a look left."""
    return [
        case
        for case in state.ratios
        if case not in state.settled and state.looks.get(case, 0) < len(state.design.looks)
    ]


def _wanted(state: State, seconds: float, cost: Cost, cases: Sequence[str]) -> int:
    """Give the pairs of a further batch: an equal part of the time for each look left, within bounds.

    At most twice as many as there are already, so that hours are not spent where minutes would do.
    """
    left = max(1, *(len(state.design.looks) - state.looks.get(case, 0) for case in cases))
    most = 2 * max(len(state.ratios[case]) for case in cases)
    return max(state.design.look, min(cost.fits(seconds, len(cases)) // left, most))
