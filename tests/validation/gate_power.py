"""How often the gate's decision errs, and what it finds, on noise whose truth is known.

`python tests/validation/gate_power.py [--runs N]`: no process is started; a pair costs what it costs on two
shared cores, and each run has five minutes.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torchgauge.analysis import gate
from torchgauge.analysis.gate import Cost, Design, Verdict
from torchgauge.analysis.randomization import clopper_pearson

COST = Cost(start=2.5, case=0.5)
SECONDS = 285.0
Noise = Callable[[random.Random], float]


def normal(spread: float) -> Noise:
    """Give noise of this standard deviation."""
    return lambda chance: chance.gauss(0, spread)


def spiked(spread: float) -> Noise:
    """Give the same, but one pair of ten strays four times as far."""
    return lambda chance: chance.gauss(0, spread * (4 if chance.random() < 0.1 else 1))


@dataclass
class Tally:
    """What came of some runs."""

    runs: int = 0
    false: int = 0
    """Runs that named a case that did not change, or one that did in the wrong direction."""
    unchanged: int = 0
    """Cases of all runs that did not change."""
    unclear: int = 0
    """How many of those were INCONCLUSIVE."""
    found: int = 0
    """Cases that changed and were named."""
    seconds: float = 0.0


def simulate(
    noise: Noise, effects: dict[str, float], *, runs: int, cases: int = 12, seconds: float = SECONDS
) -> Tally:
    """Run the gate so many times.

    Args:
        noise: of one pair.
        effects: cases that changed, and by what share.
        runs: how often.
        cases: how many there are.
        seconds: that a run has.

    """
    tally = Tally()
    names = [f"c{number}" for number in range(cases)]
    for seed in range(runs):
        said, took = _one_run(noise, effects, random.Random(seed), names, seconds)
        tally.runs += 1
        tally.seconds += took
        wrong = False
        for case, verdict in said.items():
            wanted = _wanted(effects.get(case, 0.0))
            wrong |= verdict in (Verdict.REGRESSED, Verdict.IMPROVED) and verdict is not wanted
            if case in effects:
                tally.found += verdict is wanted
            else:
                tally.unchanged += 1
                tally.unclear += verdict is Verdict.INCONCLUSIVE
        tally.false += wrong
    return tally


def _one_run(
    noise: Noise, effects: dict[str, float], chance: random.Random, names: list[str], seconds: float
) -> tuple[dict[str, Verdict], float]:
    """Give the verdicts of one run, and the seconds that it took."""
    left = seconds
    state = gate.begin(Design(), dict.fromkeys(names, Design().least_floor))
    while (batch := gate.plan(state, left, COST)) is not None:
        left -= batch.pairs * COST.pair(len(batch.cases))
        seen = {
            case: [math.log1p(effects.get(case, 0.0)) + noise(chance) for _ in range(batch.pairs)]
            for case in batch.cases
        }
        state = gate.take(state, seen)
    return {one.case: one.verdict for one in gate.comparisons(state)}, seconds - left


def _wanted(effect: float) -> Verdict:
    if not effect:
        return Verdict.EQUIVALENT
    return Verdict.REGRESSED if effect > 0 else Verdict.IMPROVED


def main(arguments: Sequence[str]) -> int:
    """Print a row for each kind of noise and change; 1 where unchanged code alarms more often than stated."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=400, help="default: %(default)s")
    runs = parser.parse_args(arguments).runs
    short = False
    print("| noise of a pair | change | cases | false alarms, runs | found | INCONCLUSIVE | minutes |")
    print("|---|---|---|---|---|---|---|")
    for name, noise in (
        ("normal 1 %", normal(0.01)),
        ("normal 1.5 %", normal(0.015)),
        ("normal 2.2 %", normal(0.022)),
        ("normal 4 %", normal(0.04)),
        ("1.5 %, 1 of 10 × 4", spiked(0.015)),
    ):
        for effect, cases, seconds in (
            (0.0, 12, SECONDS),
            (0.05, 12, SECONDS),
            (0.03, 12, SECONDS),
            (-0.10, 12, SECONDS),
            (0.0, 240, 1200.0),
            (0.05, 240, 1200.0),
        ):
            effects = {"c3": effect, "c7": effect} if effect else {}
            count = runs if cases < 100 else runs // 10
            some = simulate(noise, effects, runs=count, cases=cases, seconds=seconds)
            low, high = clopper_pearson(some.false, some.runs)
            short |= low > Design().alpha
            cells = [
                name,
                f"{effect:+.0%}",
                f"{cases}",
                f"{some.false} of {some.runs} (at most {high:.1%})",
                f"{some.found / (2 * some.runs):.0%}" if effects else "",
                f"{some.unclear / some.unchanged:.0%}",
                f"{some.seconds / some.runs / 60:.1f}",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)
    return int(short)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
