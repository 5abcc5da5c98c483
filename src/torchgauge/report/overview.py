"""What stands above and below the tables: where a run took place, how complete and how good it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from torchgauge.record import Accelerator, Environment, Run
from torchgauge.report.quality import quality
from torchgauge.report.text import count, plain
from torchgauge.units import format_quantity


@dataclass(frozen=True)
class Overview:
    """One run in words. All text is plain (`text.plain`), but not escaped for any format."""

    run: str
    label: str
    """A short name, unlike that of any other run shown beside it."""
    machine: str
    started: str
    facts: list[tuple[str, str]]
    counts: str
    stamps: list[str]
    """What stands beside its name: "interrupted", "throttled", "impossible", "noisy"."""
    cautions: list[str]
    """What a reader must know before believing a number, the gravest first."""
    failures: list[tuple[str, str]]
    """Case id and what went wrong, once a case."""
    skips: list[tuple[str, int]]
    """Reasons and how many cases have each, the commonest first."""
    path: str


def overviews(runs: Iterable[Run], frame: pd.DataFrame) -> list[Overview]:
    """Describe each run; `frame` is `analysis.frame.summaries` of the same runs."""
    runs = list(runs)
    return [
        _overview(run, label, frame[frame["run"] == run.id])
        for run, label in zip(runs, labels(runs), strict=True)
    ]


def labels(runs: Iterable[Run]) -> list[str]:
    """Name runs for the head of a column: A, B, C … in the order given."""
    return [chr(ord("A") + index) if index < 26 else f"R{index + 1}" for index, _ in enumerate(runs)]


def _overview(run: Run, name: str, rows: pd.DataFrame) -> Overview:
    failures: dict[str, str] = {}
    for failure in run.failures:
        failures.setdefault(
            plain(failure.case.id), plain(f"{failure.stage}: {failure.error}: {failure.message}", 200)
        )
    reasons = pd.Series(
        {skip.case.id: plain(skip.reason, 200) for skip in run.skips}, dtype="str"
    ).value_counts()
    skips = sorted(((str(r), int(n)) for r, n in reasons.items()), key=lambda item: (-item[1], item[0]))
    judged = quality(run, rows)
    return Overview(
        run=run.id,
        label=name,
        machine=plain(run.header.environment.machine.host, 60),
        started=_time_of_day(run.header.started),
        facts=_facts(run),
        counts=_counts(run),
        stamps=judged.stamps,
        cautions=judged.cautions,
        failures=sorted(failures.items()),
        skips=skips,
        path=plain(run.path),
    )


def _time_of_day(text: str) -> str:
    date, _, time = plain(text, 40).partition("T")
    return f"{date} {time[:8]} UTC" if time else date


def _counts(run: Run) -> str:
    failed = {failure.case.id for failure in run.failures}
    measured = {line.case.id for line in run.measurements} - failed
    parts = [f"{count(len(measured), 'case')} measured"]
    if failed:
        parts.append(f"{len(failed):,} failed")
    if run.skips:
        parts.append(f"{len({skip.case.id for skip in run.skips}):,} skipped")
    if run.end is not None:
        share = run.end.timed_seconds / run.end.wall_seconds if run.end.wall_seconds > 0 else 0.0
        parts.append(f"{run.end.wall_seconds:.0f} s, {100 * share:.0f} % of it timed")
    return ", ".join(parts)


def _facts(run: Run) -> list[tuple[str, str]]:
    environment, config = run.header.environment, run.header.config
    machine, torch = environment.machine, environment.torch
    cores = "cores unknown"
    if machine.cores_logical is not None:
        cores = count(machine.cores_logical, "thread")
        if machine.cores_physical is not None:
            cores = f"{count(machine.cores_physical, 'core')}, {cores}"
    if machine.affinity is not None and len(machine.affinity) != machine.cores_logical:
        cores += f", bound to {len(machine.affinity)}"
    if machine.cpu_limit is not None:
        cores += f", limited to {machine.cpu_limit:g} cores"
    memory = None if machine.memory_bytes is None else format_quantity(float(machine.memory_bytes), "B")
    facts = [
        ("cpu", f"{machine.cpu or 'unknown CPU'} ({cores})" + (f", {memory}" if memory else "")),
        *((accelerator.device, _accelerator(accelerator)) for accelerator in environment.accelerators),
        (
            "torch",
            f"{torch.version}, {count(torch.threads, 'thread')}"
            + (f", {torch.cpu_capability}" if torch.cpu_capability else "")
            + (f", CUDA {torch.cuda}" if torch.cuda and environment.accelerators else ""),
        ),
        ("flags", _flags(environment)),
        ("system", f"{machine.system}, Python {machine.python}"),
        (
            "run",
            f"{plain(run.id, 40)}, budget {config.budget}, {count(config.rounds, 'round')}, "
            f"{count(config.processes, 'process', 'processes')}, seed {config.seed}",
        ),
    ]
    if environment.git.commit:
        changed = ", with changes" if environment.git.dirty else ""
        facts.append(("commit", environment.git.commit[:12] + changed))
    return [(plain(name, 20), plain(text)) for name, text in facts]


def _accelerator(card: Accelerator) -> str:
    parts = [card.name]
    if card.memory_bytes is not None:
        parts.append(format_quantity(float(card.memory_bytes), "B"))
    if card.driver:
        parts.append(f"driver {card.driver}")
    if card.power_limit_watts is not None:
        parts.append(f"limit {card.power_limit_watts:.0f} W")
    if card.mig:
        parts.append("MIG")
    return ", ".join(parts)


def _flags(environment: Environment) -> str:
    torch = environment.torch
    precision = torch.float32_matmul_precision
    flags = [f"float32 matmul {precision}"] if precision else []
    switches = {
        "TF32 matmul": torch.tf32_matmul,
        "deterministic": torch.deterministic,
        "cuDNN benchmark": torch.cudnn_benchmark,
        "debug build": torch.debug,
    }
    flags += [name for name, on in switches.items() if on]
    flags += [f"{name}={value}" for name, value in sorted(environment.variables.items())]
    return ", ".join(flags) or "defaults"
