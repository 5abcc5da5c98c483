"""What the runs answer, in words and numbers, before any table: each question that they have data for.

An answer counts what is shown, and says what is not: two times whose ratio's interval holds 1 are told apart
by nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torchgauge.record import Run
from torchgauge.report.answers.forms import in_place, optimizers
from torchgauge.report.answers.places import crossover, fastest
from torchgauge.report.answers.shares import copies, overhead, training_step
from torchgauge.report.answers.wording import Answer
from torchgauge.report.bars import Bench
from torchgauge.report.points import paced

__all__ = ["Answer", "answers"]


def answers(runs: Sequence[Run], benchmarks: Bench, run_labels: Mapping[str, str]) -> list[Answer]:
    """Answer what can be answered.

    Args:
        runs: what was read; the link's ceilings are in them alone.
        benchmarks: `points.benchmarks` of the times.
        run_labels: a short name for each run id; used where there are several.

    """
    several = run_labels if len(run_labels) > 1 else {}
    whole = paced(benchmarks)
    found = (
        fastest(whole, several),
        crossover(benchmarks, several),
        in_place(whole, several),
        optimizers(whole, several),
        copies(runs, benchmarks, several),
        overhead(benchmarks, several),
        training_step(benchmarks, several),
    )
    return [one for one in found if one is not None]
