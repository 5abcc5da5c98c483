"""What all forms of a comparison have in common: the exit code, the sentences, the cells of a row."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Sequence

from torchgauge.record.ab import AbRun, Comparison, SideOf, Verdict
from torchgauge.report.text import count, plain

EXIT_CODES = {
    Verdict.REGRESSED: 1,
    Verdict.ERROR: 3,
    Verdict.MISSING: 3,
    Verdict.INVALID: 4,
    Verdict.INCONCLUSIVE: 0,
    Verdict.IMPROVED: 0,
    Verdict.EQUIVALENT: 0,
}
HEADS = ("verdict", "ratio", "95 % interval", "p", "floor", "pairs", "case")
TOLD = (Verdict.REGRESSED, Verdict.ERROR, Verdict.MISSING, Verdict.IMPROVED)
"""Verdicts that a reader has to see; of the others a number is enough."""
_PHRASES = {
    Verdict.REGRESSED: "slower",
    Verdict.ERROR: "failed",
    Verdict.MISSING: "missing on a side",
    Verdict.INCONCLUSIVE: "not told apart from a change",
    Verdict.IMPROVED: "faster",
    Verdict.EQUIVALENT: "unchanged within the floor",
}


def verdict(run: AbRun) -> Verdict:
    """Give the verdict of the run as a whole; a run that was stopped before it had one is INVALID."""
    return run.end.verdict or Verdict.INVALID if run.end else Verdict.INVALID


def exit_code(run: AbRun) -> int:
    """Give the code that `torchgauge ab` ends with."""
    return EXIT_CODES[verdict(run)]


def headline(run: AbRun) -> str:
    """Say in one sentence what was found: "REGRESSED: of 12 cases 2 slower, 10 unchanged …"."""
    said = verdict(run)
    if said is Verdict.INVALID:
        return f"{said}: {_why_invalid(run)}; no verdict of this run counts"
    counts = Counter(one.verdict for one in run.comparisons if one.accepted is None)
    parts = [f"{counts[kind]} {_PHRASES[kind]}" for kind in Verdict if counts[kind]]
    accepted = len(run.comparisons) - counts.total()
    parts += [f"{accepted} slower and accepted"] if accepted else []
    noun = "case" if len({one.metric for one in run.comparisons}) == 1 else "comparison"
    return f"{said}: of {count(len(run.comparisons), noun)} {', '.join(parts)}"


def _why_invalid(run: AbRun) -> str:
    if run.end is None or run.end.interrupted:
        return "it was stopped before its end: run it again"
    return plain(run.end.disturbed or "its conditions were too poor: run it again")


def sides(run: AbRun) -> tuple[str, str]:
    """Name both sides: "git:main 3f2a91c0de"."""
    return _side(run.header.base), _side(run.header.head)


def _side(side: SideOf) -> str:
    revision = [side.revision[:10]] if side.revision else []
    return plain(" ".join([side.spec, *revision, *(["with changes"] if side.dirty else [])]))


def effort(run: AbRun) -> str:
    """Say what was spent: "30 pairs of processes in 214 s, 48 % of it inside timed blocks"."""
    if run.end is None:
        return f"{count(len({line.pair for line in run.pairs}), 'pair')} of processes"
    wall = run.end.wall_seconds
    if not run.end.pairs:
        return f"counted in {wall:.0f} s"
    share = run.end.timed_seconds / (wall * max(1, run.end.lanes)) if wall else 0.0
    at_once = f", {run.end.lanes} at once," if run.end.lanes > 1 else ""
    pairs = count(run.end.pairs, "pair")
    return f"{pairs} of processes{at_once} in {wall:.0f} s, {share:.0%} of it inside timed blocks"


def notes(run: AbRun) -> list[str]:
    """Say what a reader has to know besides, a line each."""
    lines = []
    unclear = [one for one in run.comparisons if one.verdict is Verdict.INCONCLUSIVE]
    effects = [one.smallest_effect for one in unclear if one.smallest_effect is not None]
    if effects:
        least, most = percent(min(effects)), percent(max(effects))
        told = least if least == most else f"{least} to {most}"
        lines.append(
            f"INCONCLUSIVE: a change of {told} would have been found in 8 of 10 such runs; "
            "more --minutes find less, and torchgauge aa says what this machine can tell"
        )
    elif unclear:
        lines.append("INCONCLUSIVE: there were too few pairs to find anything; allow more --minutes")
    lines += disagreements(run)
    return [*lines, *map(plain, (*run.warnings, *(run.end.notes if run.end else ())))]


def disagreements(run: AbRun) -> list[str]:
    """Name the cases of which time and counts say different things."""
    by_case: dict[str, dict[str, Verdict]] = {}
    for one in run.comparisons:
        by_case.setdefault(one.case, {})[one.metric] = one.verdict
    clear = (Verdict.REGRESSED, Verdict.IMPROVED, Verdict.EQUIVALENT)
    lines = []
    for key, said in by_case.items():
        told = {metric: verdict for metric, verdict in said.items() if verdict in clear}
        if "time" in told and len(set(told.values())) > 1:
            words = ", ".join(f"{metric} {verdict}" for metric, verdict in told.items())
            lines.append(plain(f"{case('', key)}: its metrics disagree: {words}"))
    return lines


def remarks(one: Comparison) -> str:
    """Give what is to be said of one case beside its numbers."""
    said = [*one.notes, *([] if one.accepted is None else [f"accepted: {one.accepted}"])]
    return plain("; ".join(said))


def cells(one: Comparison) -> tuple[str, ...]:
    """Give the texts of one row, under `HEADS`."""
    interval = "" if one.low is None or one.high is None else f"{one.low:.3f} – {one.high:.3f}"
    return (
        str(one.verdict),
        "" if one.ratio is None else f"{one.ratio:.3f}",
        interval,
        "" if one.p is None else f"{one.p:.2g}",
        "" if one.floor is None else percent(one.floor),
        str(one.pairs or ""),
        case(run_metric(one), one.case),
    )


def run_metric(one: Comparison) -> str:
    """Give the metric where it is not the time, which needs no name."""
    return "" if one.metric == "time" else plain(one.metric, 60)


def case(metric: str, key: str) -> str:
    """Name a case, with its metric if that has to be named."""
    return plain(key, 200) + (f" ({metric})" if metric else "")


def percent(share: float) -> str:
    """Write a share: 0.0123 is 1.2 %."""
    return f"{100 * share:.{0 if share >= 0.1 else 1}f} %" if math.isfinite(share) else "?"


def reproduce(run: AbRun) -> str:
    """Give the command that measures the same again."""
    config = run.header.config
    words = ["torchgauge", "ab", *config.paths]
    for name, side in (("--base", run.header.base), ("--head", run.header.head)):
        spec = f"git:{side.revision}" if side.spec.startswith("git:") and side.revision else side.spec
        words += [name, spec]
    words += _options(
        ("-k", config.keyword, None),
        ("--device", config.device, "auto"),
        ("--dtype", config.dtype, None),
        ("--source", config.source, None),
        ("--bench-from", config.bench_from, "head"),
        ("--budget", config.budget, "quick"),
        ("--threads", str(config.threads), "1"),
        ("--metric", ",".join(config.metrics), "time"),
        ("--isolation", config.isolation, "paired"),
        ("--minutes", f"{config.minutes:g}", "5"),
        ("--accept", config.accept, None),
        ("--timeout", f"{config.timeout:.0f}", "60"),
        ("--results", config.results, "results"),
        ("--seed", str(config.seed), None),
    )
    words += ["--", *config.pytest_args] if config.pytest_args else []
    return plain(shlex.join(words), 2000)


def _options(*options: tuple[str, str | None, str | None]) -> Sequence[str]:
    return [
        word
        for name, value, usual in options
        if value is not None and value != usual
        for word in (name, value)
    ]
