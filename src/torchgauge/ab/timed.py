"""The timed pairs of a comparison, one after another, and what the gate's rules make of them."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable

from msgspec.structs import replace

from torchgauge.analysis import gate
from torchgauge.analysis.gate import Comparison, Cost, State, Verdict
from torchgauge.measure.ab.channel import CANARY
from torchgauge.measure.ab.conductor import Cast, Conductor, Seen

MARGIN = 1.2
"""How much longer than the pairs before it a pair may take, and still end in time."""


def _whole(pairs: int, at_once: int, state: State) -> int:
    """Give as many pairs as are measured at once, times a whole number, where the time allows no more."""
    if pairs >= state.design.screen:
        return pairs
    return max(min(pairs, state.design.least_screen), pairs - pairs % at_once)


class Course:
    """The pairs of one comparison.

    Args:
        conductor: measures them.
        state: of the rules, at their beginning.
        cost: what a pair is guessed to take.
        say: tells the user one line.

    """

    def __init__(self, conductor: Conductor, state: State, cost: Cost, say: Callable[[str], None]) -> None:
        self._conductor = conductor
        self._state = state
        self._say = say
        self._cost = cost
        self._left_out: set[str] = set()
        self._why: dict[str, str] = {}
        self._spent: list[tuple[float, float]] = []
        self.pairs = 0
        self._no_time = False
        """Whether the end of screening left no time to confirm a candidate."""
        self.canary: list[float] = []

    def run(self, until: float) -> None:
        """Measure what the rules ask for until they ask for nothing more.

        Args:
            until: when the time is up, by `time.monotonic`.

        """
        while batch := gate.plan(self._state, seconds := self._seconds(until), self._cost):
            ratios: dict[str, list[float]] = defaultdict(list)
            cases, done = list(batch.cases), 0
            screening = not self._state.screened
            at_once = self._conductor.batch  # a last one alone would take as long
            while cases and done < (_whole(batch.pairs, at_once, self._state) if screening else batch.pairs):
                left = max(0.0, until - time.monotonic())
                if left / MARGIN < self._cost.pair(len(cases)) * at_once:
                    break  # the pairs took longer than those before: the time is up, whatever they showed
                self._say(
                    f"pair {self.pairs + 1}: {len(cases)} cases ({done + 1} of {batch.pairs}), "
                    f"at most {int(left) // 60}:{int(left) % 60:02d} left"
                )
                for seen in self._conductor.measure(cases, at_once):
                    cases = self._take(seen, cases, ratios)
                done += at_once
                if screening and (known := gate.plan(self._state, seconds, self._cost)):
                    batch = known  # as it would have been planned, had the cost been known
            if not done:
                break
            self._state = gate.take(self._state, ratios)
            if screening:
                whole = at_once * math.ceil(self._needed() / at_once)
                self._no_time = self._cost.fits(self._seconds(until), 1) < whole

    def _seconds(self, until: float) -> float:
        """Give the time that is left for planning."""
        return (until - time.monotonic()) / MARGIN

    def _needed(self) -> int:
        """Give the fresh pairs without which none of the first candidates can be confirmed."""
        candidates = len(self._state.waves[0].candidates) if self._state.waves else 1
        return gate.pairs_needed(self._state.design.alpha_of_test(0) / candidates)

    @property
    def too_slow(self) -> str | None:
        """Why no case could have been REGRESSED in the time, whatever the pairs showed, if it was so."""
        state = self._state
        found = {one.case: one.verdict for one in gate.comparisons(state)}
        open_ = [case for case, verdict in found.items() if verdict is Verdict.INCONCLUSIVE]
        if not open_ or {Verdict.REGRESSED, Verdict.IMPROVED} & set(found.values()):
            return None
        first = state.waves[0].candidates if state.waves else ()
        chosen = [one for one in first if one.since <= state.screened and one.case in open_]
        if chosen:  # by screening, and not confirmed: were there the pairs for it?
            slow = max(len(state.fresh(one)) for one in chosen) < self._needed()
        else:
            slow = self._no_time or not state.screened
        if not slow:
            return None
        took = f"{self._cost.pair(len(state.ratios)):.0f} s for {len(state.ratios)} cases"
        return (
            f"a pair takes {took}, which left no time to confirm a regression, whatever the pairs show: "
            "allow more --minutes, or choose fewer cases with -k"
        )

    def _take(self, seen: Seen, cases: list[str], ratios: dict[str, list[float]]) -> list[str]:
        """Take what one pair saw; give the cases that can go on."""
        self.pairs += 1
        lanes, batch = self._conductor.lanes, self._conductor.batch  # so many take the time of one
        self._spent.append((seen.start_seconds / batch, seen.case_seconds / lanes))
        starts, each = zip(*self._spent, strict=True)
        self._cost = Cost(sum(starts) / len(starts), max(1e-3, sum(each) / len(each)))
        for case, ratio in seen.ratios.items():
            (self.canary if case == CANARY.id else ratios[case]).append(ratio)
        for case, how in seen.failed.items():
            self._settle(case, Verdict.ERROR, how)
        for case, what in seen.skipped.items():
            self._settle(case, Verdict.MISSING, f"skipped by {what.side}: {what.reason}")
            if what.side == "both":
                self._left_out.add(case)
        return [case for case in cases if case not in seen.failed and case not in seen.skipped]

    def _settle(self, case: str, verdict: Verdict, why: str) -> None:
        self._why[case] = why
        if case in self._state.ratios:  # the canary is no case
            self._state = gate.fail(self._state, case, verdict)

    @property
    def left_out(self) -> dict[str, str]:
        """Cases that neither side measures here, and why."""
        return {case: self._why[case] for case in self._left_out}

    def comparisons(self, cast: Cast) -> list[Comparison]:
        """Say what was found; a case that neither side measures here is left out."""
        found = [
            replace(one, notes=[self._why[one.case]]) if one.case in self._why else one
            for one in gate.comparisons(self._state)
            if one.case not in self._left_out
        ]
        found += [
            Comparison(case=case, metric="time", verdict=Verdict.MISSING, notes=[f"only {side} has it"])
            for case, side in cast.only.items()
        ]
        return found
