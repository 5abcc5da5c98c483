"""The course of a gate's run: what to measure next, and what may be said, by rules fixed beforehand.

**Screen.** All cases get a few pairs. These pairs choose, and never convict: a case whose estimate is
beyond its floor becomes a candidate.

**Confirm.** Candidates get fresh pairs, and those alone are tested. Screening many cases and testing the
worst on the same pairs would find something in every run; on pairs measured after the choice, a p-value
means what it says. Candidates chosen at the same moment are a wave. Within a wave Holm's adjustment is
over all its candidates, whatever became of them: one that was settled before a test counts as p = 1.

**Look.** Cases that are neither get further pairs while time is left, together with the candidates (most
of a pair's cost is the start of its two processes). After each batch all pairs of a case are tested for
being inside the floor. Cases whose estimate is now beyond the floor are the next wave, if one is left; their
fresh pairs begin there.

Why errors stay rare, whatever the data do:

- REGRESSED or IMPROVED. The k-th wave has a share of alpha that was fixed beforehand, and each of its few
  tests has an equal part of that. When a wave is chosen, its fresh pairs have not been measured; so each of
  its tests names a case falsely with at most the probability of its part. The parts add up to alpha: that
  is the probability that a run names any case falsely, be there many waves or few.
- EQUIVALENT. There is a fixed number of looks at a case, and each has a part of the equivalence alpha that
  was fixed beforehand; so a case that is as far off as its floor is called EQUIVALENT with that probability
  at most. This is said of each case by itself.
- Both need the number of pairs at the n-th test not to depend on that case's own ratios. It depends on
  the time left, on how many other cases are undecided, and on the numbers of the design. A test that does
  not take place only costs its part. Stopping a batch early because the time is up is fine; stopping it
  because of what was seen is not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from torchgauge.analysis.gate.design import Design
from torchgauge.analysis.gate.verdict import is_beyond, p_beyond, p_equivalent, smallest_effect
from torchgauge.analysis.randomization import centre, holm, interval, p_above
from torchgauge.record.ab import Comparison, Verdict


@dataclass(frozen=True)
class Candidate:
    """A case whose estimate was beyond its floor."""

    case: str
    direction: int
    """1 for slower, -1 for faster."""
    since: int
    """How many of its pairs came before."""


@dataclass(frozen=True)
class Wave:
    """Candidates chosen at the same moment, those least like chance first; how often they were tested."""

    candidates: tuple[Candidate, ...]
    tests: int = 0
    tested: int = 0
    """Fresh pairs at the last test."""


@dataclass(frozen=True)
class State:
    """All that was seen of a run and all that was said. `take` and `fail` give the next one."""

    design: Design
    floors: Mapping[str, float]
    ratios: Mapping[str, tuple[float, ...]]
    looks: Mapping[str, int] = field(default_factory=dict)
    screened: int = 0
    """Pairs of the first batch, which choose and are never tested."""
    waves: tuple[Wave, ...] = ()
    settled: Mapping[str, Verdict] = field(default_factory=dict)
    p: Mapping[str, float] = field(default_factory=dict)
    """The smallest adjusted p of each case that was tested as a candidate."""

    def fresh(self, candidate: Candidate) -> tuple[float, ...]:
        """Give the log ratios of the pairs after the case became a candidate."""
        return self.ratios[candidate.case][candidate.since :]

    def waiting(self, wave: Wave) -> list[Candidate]:
        """Give the candidates of a wave that are undecided; none where the wave has no test left."""
        left = wave.tests < self.design.tests
        return [one for one in wave.candidates if left and one.case not in self.settled]

    def due(self, place: int) -> int:
        """Give the fresh pairs at which a wave has its next test."""
        wave = self.waves[place]
        if wave.tests:
            return wave.tested + self.design.look
        return self.design.confirm_pairs(place, len(wave.candidates))


def begin(design: Design, floors: Mapping[str, float]) -> State:
    """Begin a run. `floors` has the floor of each case, as a share (`torchgauge.analysis.gate.floor`)."""
    return State(design, dict(floors), dict.fromkeys(floors, ()))


def take(state: State, ratios: Mapping[str, Sequence[float]]) -> State:
    """Add the log ratios of a batch, one a pair of a case, and judge what may be judged.

    One call a batch: each spends a look. A case that has settled, or is not known, is passed over.
    """
    new = {case: tuple(some) for case, some in ratios.items() if some and case in state.ratios}
    new = {case: some for case, some in new.items() if case not in state.settled}
    joined = {case: state.ratios[case] + some for case, some in new.items()}
    screened = state.screened or max(map(len, new.values()), default=0)
    state = replace(state, ratios={**state.ratios, **joined}, screened=screened)
    for place, wave in enumerate(state.waves):
        fresh = max((len(state.fresh(one)) for one in state.waiting(wave)), default=0)
        if fresh >= state.due(place):
            state = _test(state, place)
    return _choose(_look_at(state, [case for case in new if case not in state.settled]), list(new))


def fail(state: State, case: str, verdict: Verdict) -> State:
    """Settle a case that can't be measured.

    Raises:
        ValueError: the verdict is not MISSING or ERROR, which alone don't need pairs.

    """
    if verdict not in (Verdict.MISSING, Verdict.ERROR):
        raise ValueError(f"{verdict} is for pairs to say")
    return replace(state, settled={**state.settled, case: verdict})


def comparisons(state: State, metric: str = "time") -> list[Comparison]:
    """Say what was found of each case, in the order in which they were given.

    A wave that was still waiting for pairs when the time was up has its test now, with those that it has.
    """
    for place, wave in enumerate(state.waves):
        if any(len(state.fresh(one)) > wave.tested for one in state.waiting(wave)):
            state = _test(state, place)
    return [_comparison(state, case, metric) for case in state.ratios]


def _test(state: State, place: int) -> State:
    """Test a wave on its fresh pairs, and settle what passes."""
    design, wave = state.design, state.waves[place]
    waiting = state.waiting(wave)
    p_values = [p_beyond(state.fresh(one), state.floors[one.case], one.direction) for one in waiting]
    part = design.alpha_of_test(place) / design.alpha
    p, settled = dict(state.p), dict(state.settled)
    for one, adjusted in zip(waiting, holm(p_values, len(wave.candidates)), strict=True):
        p[one.case] = min(p.get(one.case, 1.0), adjusted / part)
        if adjusted <= design.alpha_of_test(place) and is_beyond(
            state.fresh(one), state.floors[one.case], one.direction
        ):
            settled[one.case] = Verdict.REGRESSED if one.direction > 0 else Verdict.IMPROVED
    tested = replace(wave, tests=wave.tests + 1, tested=max(len(state.fresh(one)) for one in waiting))
    waves = (*state.waves[:place], tested, *state.waves[place + 1 :])
    return replace(state, waves=waves, settled=settled, p=p)


def _look_at(state: State, cases: Sequence[str]) -> State:
    """Test cases for being inside their floors; each spends a look."""
    design = state.design
    looks, settled = dict(state.looks), dict(state.settled)
    for case in cases:
        spent = looks.get(case, 0)
        looks[case] = spent + 1
        if spent < len(design.looks) and (
            p_equivalent(state.ratios[case], state.floors[case]) <= design.alpha_of_look(spent)
        ):
            settled[case] = Verdict.EQUIVALENT
    return replace(state, looks=looks, settled=settled)


def _choose(state: State, cases: Sequence[str]) -> State:
    """Make a wave of the cases whose estimate is beyond their floor, if there is a wave left."""
    if len(state.waves) >= len(state.design.waves):
        return state
    taken = {one.case for wave in state.waves for one in state.waiting(wave)}
    found = []
    for case in cases:
        ratios = state.ratios[case]
        middle = centre(ratios)
        direction = 1 if middle > 0 else -1
        limit = math.log1p(state.floors[case])
        if case not in taken and case not in state.settled and abs(middle) > limit:
            p = p_above([direction * ratio for ratio in ratios])
            found.append((p, limit / abs(middle), Candidate(case, direction, len(ratios))))
    if not found:
        return state
    found.sort(key=lambda one: one[:2])
    return replace(state, waves=(*state.waves, Wave(tuple(candidate for *_, candidate in found))))


def _level(state: State, case: str) -> float:
    """Give the level that a change of this case is held to in a run whose other cases look as in this one."""
    first = [one.case for one in state.waves[0].candidates] if state.waves else []
    return state.design.alpha_of_test(0) / len({*first, case})


def _comparison(state: State, case: str, metric: str) -> Comparison:
    verdict = state.settled.get(case, Verdict.INCONCLUSIVE)
    ratios: Sequence[float] = state.ratios[case]
    floor = state.floors[case]
    if verdict in (Verdict.REGRESSED, Verdict.IMPROVED):
        ratios = next(
            state.fresh(one) for wave in reversed(state.waves) for one in wave.candidates if one.case == case
        )
    ends = interval(ratios)
    effect = None
    if verdict is Verdict.INCONCLUSIVE:
        effect = smallest_effect(ratios, floor, _level(state, case), state.screened)
    return Comparison(
        case=case,
        metric=metric,
        verdict=verdict,
        ratio=math.exp(centre(ratios)) if ratios else None,
        low=math.exp(ends[0]) if ends else None,
        high=math.exp(ends[1]) if ends else None,
        p=min(1.0, state.p[case]) if case in state.p else None,
        floor=floor,
        pairs=len(ratios),
        smallest_effect=effect,
    )
