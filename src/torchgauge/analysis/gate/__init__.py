"""The decision of the regression gate, pure and without I/O: from log ratios of pairs to verdicts.

    check(design, cases=12, seconds=300, cost=cost)
    wanted = Wanted(design, seconds=300, cases=12)
    state = begin(design, {case: wanted.floor(stored[case], case_seconds) for case in cases})
    while (batch := plan(state, seconds_left(), cost)) is not None:
        state = take(state, measure(batch))
    verdict = overall(one.verdict for one in comparisons(state))

`stages` says which test is made when and why errors stay rare; `planning` what is measured next; `verdict`
holds the tests of one case; `floor` what a machine can tell at all.
"""

from torchgauge.analysis.gate.design import USUAL_COST, Cost, Design, check, usual_cost
from torchgauge.analysis.gate.floor import Wanted, floor_from
from torchgauge.analysis.gate.planning import Batch, plan
from torchgauge.analysis.gate.stages import Candidate, State, Wave, begin, comparisons, fail, take
from torchgauge.analysis.gate.verdict import (
    canary_alarms,
    overall,
    p_beyond,
    p_equivalent,
    smallest_effect,
)
from torchgauge.analysis.randomization import pairs_needed
from torchgauge.record.ab import Comparison, Verdict

__all__ = [
    "USUAL_COST",
    "Batch",
    "Candidate",
    "Comparison",
    "Cost",
    "Design",
    "State",
    "Verdict",
    "Wanted",
    "Wave",
    "begin",
    "canary_alarms",
    "check",
    "comparisons",
    "fail",
    "floor_from",
    "overall",
    "p_beyond",
    "p_equivalent",
    "pairs_needed",
    "plan",
    "smallest_effect",
    "take",
    "usual_cost",
]
