"""How far a run's numbers can be believed: the stamps on its name, and what a reader must know of it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from torchgauge.analysis.ceilings import NO_SUCH_RATE, UNSURE, Ceiling, Ceilings
from torchgauge.estimate import Z_975
from torchgauge.record import Environment, Run
from torchgauge.report.text import count, plain

MOST_NAMED = 3
NOISY = 0.05
"""What was measured leaves more than 5 % of its value open, to either side: it is called noisy."""

MOSTLY = 0.5
"""A run more than half of whose times were taken in poor conditions, or are `LOOSE`, is stamped so."""
LOOSE = 0.2
"""A half interval of more than 20 % of its value; quick runs have some 14 % on a shared machine."""
POOR = {
    "throttled": "throttled by a CPU quota",
    "stolen": "with cores taken by the hypervisor",
    "crowded": "with other work on the cores",
    "short of memory": "with memory waited for",
    "the card was slowed down": "with the card slowed down by heat or power",
    "the card was shared": "with other work on the card",
}
"""How `measure.conditions.poor` begins, and what it means."""
TOO_FAST = {
    NO_SUCH_RATE: "impossible, above the chip's published peak",
    "above the measured ceiling:": "above the measured ceiling",
}
"""How a warning begins, and what it means."""
_POOR = re.compile(rf"poor conditions[^:]*: ({'|'.join(POOR)})\b")
_BRAKED = ("throttled", "the card was slowed down")


@dataclass(frozen=True)
class Quality:
    """What stands beside a run's name: "interrupted", "throttled", "impossible", "noisy"; and sentences, the
    gravest first."""

    stamps: list[str]
    cautions: list[str]


def quality(run: Run, rows: pd.DataFrame) -> Quality:
    """Judge a run; `rows` are its `analysis.frame.summaries`."""
    timed = rows[rows["metric"].isin(["time", "device_time"])]
    width = (timed["high"] - timed["low"]) / (2 * timed["value"])
    noisy = sum(is_noisy(*pair) for pair in zip(width, timed["between"], strict=True))
    without = int(width.isna().sum())
    poor = _poor(timed)
    ceilings = Ceilings(run).measured
    too_fast = _too_fast(rows, ceilings)
    stamps = {
        "interrupted": run.interrupted,
        "throttled": any(poor[kind] for kind in _BRAKED),
        "impossible": bool(too_fast[NO_SUCH_RATE]),
        "poor conditions": sum(poor.values()) > MOSTLY * len(timed),
        "noisy": int((width > LOOSE).sum()) > MOSTLY * len(timed),
    }
    cautions = [*_completeness(run), *_poor_sentence(poor, len(timed))]
    if noisy:
        are, half = "is" if noisy == 1 else "are", 100 * float(width.median())
        cautions.append(
            f"{noisy:,} of {count(len(timed), 'time')} {are} noisy: what was measured leaves more than "
            f"±{100 * NOISY:.0f} % open; half of all intervals are wider than ±{half:.0f} %."
        )
    if without:
        cautions.append(
            f"{without:,} of {count(len(timed), 'time')} {'has' if without == 1 else 'have'} no "
            "interval: it takes two rounds or more."
        )
    if not run.measurements:
        cautions.append("Nothing was measured.")
    cautions += [*_plausibility(too_fast, ceilings), *_conditions(run.header.environment)]
    return Quality([name for name, on in stamps.items() if on], cautions)


def is_noisy(half: float, between: float) -> bool:
    """Tell whether half an interval, over its value, is wide by what was measured.

    What stands for other processes in it, `between` (`torchgauge.estimate.Estimate`), is left out: it is as
    wide in every time of one process, however well that was measured.
    """
    return half > math.hypot(NOISY, Z_975 * between)


def _poor(timed: pd.DataFrame) -> dict[str, int]:
    """Count the times that were taken in each kind of poor conditions, the first kind that each names."""
    found = dict.fromkeys(POOR, 0)
    for warnings in timed["warnings"]:
        kinds = (match[1] for warning in warnings if (match := _POOR.match(str(warning))))
        if (kind := next(kinds, None)) is not None:
            found[kind] += 1
    return found


def _poor_sentence(poor: dict[str, int], of: int) -> list[str]:
    every = sum(poor.values())
    if not every:
        return []
    kinds = ", ".join(f"{number:,} {POOR[kind]}" for kind, number in poor.items() if number)
    were = "was" if every == 1 else "were"
    return [f"{every:,} of {count(of, 'time')} {were} taken in poor conditions: {kinds}."]


def _completeness(run: Run) -> list[str]:
    cautions = [plain(warning) for warning in run.warnings]
    if run.end is None:
        cautions.insert(
            0,
            "The run was interrupted: it has no end line, cases are missing or have fewer rounds than asked.",
        )
    elif run.end.interrupted:
        cautions.insert(
            0, "The run was stopped by its user: cases are missing or have fewer rounds than asked."
        )
    failed = len({failure.case.id for failure in run.failures})
    if failed:
        cautions.append(f"{count(failed, 'case')} failed; see below.")
    left_out = run.header.config.left_out
    cautions += [plain(f"{name} was asked for and left out: {why}") for name, why in left_out.items()]
    return cautions


def _too_fast(rows: pd.DataFrame, ceilings: Sequence[Ceiling]) -> dict[str, list[str]]:
    """Name the cases and ceilings that are too fast to be true, by the key of `TOO_FAST`."""
    marked = [(str(case), list(said)) for case, said in zip(rows["case"], rows["warnings"], strict=True)]
    marked += [(one.case.id, list(one.warnings)) for one in ceilings]
    return {
        mark: list(dict.fromkeys(name for name, said in marked if any(s.startswith(mark) for s in said)))
        for mark in TOO_FAST
    }


def _plausibility(too_fast: Mapping[str, list[str]], ceilings: Sequence[Ceiling]) -> Iterator[str]:
    """Name what is too fast to be true, and say how well ceilings are known."""
    for mark, names in too_fast.items():
        if names:
            more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
            listed = ", ".join(plain(name, 100) for name in names[:MOST_NAMED])
            yield f"{count(len(names), 'rate is', 'rates are')} {TOO_FAST[mark]}: {listed}{more}."
    unsure = sum(one.unsure for one in ceilings)
    if unsure:
        yield (
            f"{unsure:,} of {count(len(ceilings), 'ceiling')} {'is' if unsure == 1 else 'are'} badly known, "
            f"worse than ±{100 * UNSURE:.0f} %: the machine was busy, and shares may be too high."
        )


def _conditions(environment: Environment) -> list[str]:
    machine, cautions = environment.machine, []
    cores = len(machine.affinity) if machine.affinity else machine.cores_logical
    if machine.load_1min is not None and cores and machine.load_1min > 0.5 * cores:
        cautions.append(
            f"The machine was busy when the run began: a load of {machine.load_1min:.1f} on {cores} cores."
        )
    if machine.governor not in (None, "performance"):
        cautions.append(
            f"The CPU governor is {plain(machine.governor, 40)}: the clock moves while it is measured."
        )
    if environment.torch.debug:
        cautions.append("torch is a debug build: its times say nothing of a release.")
    return cautions
