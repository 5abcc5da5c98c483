"""What A/A runs say of a machine: how far noise reaches in each case, and how often the gate alarms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, stdev

from torchgauge.analysis.gate.design import USUAL_COST, Design
from torchgauge.analysis.gate.floor import Wanted
from torchgauge.analysis.randomization import clopper_pearson, p_above, p_uniform
from torchgauge.errors import TorchgaugeError
from torchgauge.record.ab import AbRun, Verdict

NAMED = (Verdict.REGRESSED, Verdict.IMPROVED)


@dataclass(frozen=True)
class CaseNoise:
    """One case. `spread` is the standard deviation of a pair's log ratio, None from fewer than two."""

    case: str
    pairs: int
    spread: float | None
    floor: float


@dataclass(frozen=True)
class MachineNoise:
    """What the runs of one machine said."""

    machine_key: str
    isolation: str
    runs: int
    pairs: int
    """Pairs of processes in all of them."""
    invalid: int
    """Runs that said of themselves that they don't count."""
    alarms: int
    alarms_at_most: float
    """The upper end of the 95 % interval of the share of runs that alarm (Clopper and Pearson)."""
    named: tuple[tuple[str, Verdict], ...]
    """What the alarms were."""
    unclear: float
    """Share of the verdicts that were INCONCLUSIVE."""
    cases: tuple[CaseNoise, ...]
    p_values: tuple[float, ...]
    """Of "head is not slower", of each case in each run, from all its pairs."""
    p_uniform: float
    """Of "small p-values are no more frequent than they ought to be"; as if they were independent."""
    log_ratios: Mapping[str, Sequence[float]]
    errors: tuple[str, ...] = ()
    """Cases that failed in a run."""
    disturbed: tuple[str, ...] = ()
    """Why runs were INVALID."""
    case_seconds: float | None = None
    """What a case took in a pair, in the mean; None where nobody knows."""


def machine_noise(runs: Sequence[AbRun], design: Design) -> MachineNoise:
    """Summarize A/A runs of one machine.

    Args:
        runs: complete ones. Of those that are INVALID no ratio counts.
        design: of the runs that floors are wanted for; they have the time and the cases of the last of these.

    Raises:
        TorchgaugeError: as `alike`.

    """
    machine_key, isolation = alike(runs)
    valid = [run for run in runs if run.end and run.end.verdict is not Verdict.INVALID]
    log_ratios: dict[str, list[float]] = defaultdict(list)
    p_values = []
    for run in valid:
        mine: dict[str, list[float]] = defaultdict(list)
        compared = {one.case for one in run.comparisons}  # the canary is no case
        for line in run.pairs:
            if line.case.id in compared:
                mine[line.case.id].append(line.log_ratio)
        for case, some in mine.items():
            log_ratios[case] += some
            p_values.append(p_above(some))
    case_seconds = _case_seconds(valid)
    wanted = Wanted(design, runs[-1].header.config.minutes * 60, len(log_ratios))
    named = [[(one.case, one.verdict) for one in run.comparisons if one.verdict in NAMED] for run in valid]
    alarms = sum(map(bool, named))
    verdicts = [one.verdict for run in valid for one in run.comparisons]
    return MachineNoise(
        machine_key=machine_key,
        isolation=isolation,
        runs=len(runs),
        pairs=sum(run.end.pairs for run in runs if run.end),
        invalid=len(runs) - len(valid),
        alarms=alarms,
        alarms_at_most=clopper_pearson(alarms, len(valid))[1] if valid else 1.0,
        named=tuple(one for some in named for one in some),
        unclear=verdicts.count(Verdict.INCONCLUSIVE) / max(1, len(verdicts)),
        cases=tuple(
            CaseNoise(
                case,
                len(some),
                stdev(some) if len(some) > 1 else None,
                wanted.floor(some, case_seconds),
            )
            for case, some in sorted(log_ratios.items())
        ),
        p_values=tuple(p_values),
        p_uniform=p_uniform(p_values),
        log_ratios=dict(log_ratios),
        errors=tuple(
            sorted({one.case for run in runs for one in run.comparisons if one.verdict is Verdict.ERROR})
        ),
        disturbed=tuple(
            dict.fromkeys(run.end.disturbed for run in runs if run.end and run.end.disturbed is not None)
        ),
        case_seconds=case_seconds,
    )


def alike(runs: Sequence[AbRun]) -> tuple[str, str]:
    """Give the machine's key and the isolation of A/A runs.

    Raises:
        TorchgaugeError: there is none, one compared two different things or holds a pair without a ratio,
            they are of several machines, or of both isolations.

    """
    if not runs:
        raise TorchgaugeError("there is no A/A run; measure some with: torchgauge aa")
    keys = {_machine_key(run) for run in runs}
    if len(keys) > 1:
        raise TorchgaugeError("these A/A runs are of several machines; name those of one")
    isolations = {run.header.config.isolation for run in runs}
    if len(isolations) > 1:
        raise TorchgaugeError(
            "some of these A/A runs are paired and others sequential: name those of one kind"
        )
    for run in runs:
        try:
            for line in run.pairs:
                _ = line.log_ratio
        except (ValueError, ArithmeticError):
            raise TorchgaugeError(f"{run.path}: holds a pair without a ratio; leave it out") from None
    return keys.pop(), isolations.pop()


def _case_seconds(runs: Sequence[AbRun]) -> float | None:
    """Find what a case takes in a pair, beyond the start of the processes."""
    found = [
        (run.end.wall_seconds / run.end.pairs - USUAL_COST.start) * run.end.pairs / len(run.pairs)
        for run in runs
        if run.end and run.end.pairs and run.pairs
    ]
    return max(1e-3, median(found)) if found else None


def _machine_key(run: AbRun) -> str:
    base, head = run.header.base, run.header.head
    if (base.spec, base.revision, base.dirty) != (head.spec, head.revision, head.dirty):
        raise TorchgaugeError(f"{run.path}: is no A/A run: base is {base.spec}, head {head.spec}")
    if run.end is None or run.end.interrupted:
        raise TorchgaugeError(f"{run.path}: was interrupted; leave it out")
    return head.environment.machine_key if head.environment else ""
