"""A comparison from its two sides to its verdicts: what is measured, and what the gate's rules make of it.

What joins the measuring side and the deciding one; neither knows of the other.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from torchgauge import __version__
from torchgauge.ab.counted import counted
from torchgauge.ab.floors import known_floors
from torchgauge.ab.timed import MARGIN, Course
from torchgauge.analysis import gate
from torchgauge.analysis.gate import Comparison, Design, Verdict
from torchgauge.analysis.gate.acceptance import Accepted, accept
from torchgauge.errors import TorchgaugeError
from torchgauge.measure.ab import counting
from torchgauge.measure.ab.conductor import Cast, Conductor, Request, visits
from torchgauge.measure.sides import Side
from torchgauge.record import read_ab
from torchgauge.record.ab import AB_SCHEMA, AbConfig, AbEnd, AbHeader, AbRun, SideOf
from torchgauge.record.schema import Environment
from torchgauge.record.writer import RunWriter, run_file_name

RED = (Verdict.REGRESSED, Verdict.ERROR, Verdict.MISSING)
"""What makes a run fail."""


@dataclass(frozen=True)
class Plan:
    """How a comparison is to be made.

    `bench_from` and `source` say how the sides were prepared, `accept` and `folder` which files were named;
    all four are for the file alone.
    """

    minutes: float = 5.0
    """The time for all of it but the counting."""
    metrics: Sequence[str] = ("time",)
    """Of "time", "counts" and "instructions"."""
    design: Design = field(default_factory=Design)
    accepted: Sequence[Accepted] = ()
    bench_from: str = "head"
    source: str | None = None
    accept: str | None = None
    folder: str = "results"


def compare(
    base: Side, head: Side, request: Request, plan: Plan, results: Path, say: Callable[[str], None]
) -> AbRun:
    """Compare two sides.

    Args:
        base: what head is compared with.
        head: what is judged.
        request: what both measure.
        plan: how.
        results: the folder of the A/B file.
        say: tells the user one line.

    Raises:
        TorchgaugeError: a side can't begin, nothing can be compared, the time is too short to find
            anything, or the file can't be written.

    """
    begin = time.monotonic()
    for why in filter(None, map(counting.lacking, plan.metrics)):
        raise TorchgaugeError(why)
    conductor = Conductor(base, head, request, say)
    cast = conductor.introduce()
    timed = "time" in plan.metrics
    cost = gate.usual_cost(visits(len(cast.cases)), conductor.lanes)
    if timed:
        slower = gate.Cost(MARGIN * cost.start, MARGIN * cost.case)  # as pairs are planned, too
        spent = time.monotonic() - begin
        gate.check(plan.design, len(cast.cases), plan.minutes * 60, slower, spent, conductor.batch)
    wanted = gate.Wanted(plan.design, plan.minutes * 60, len(cast.cases))
    floors = known_floors(results, cast.head.environment, request.isolation, wanted)
    course = Course(conductor, gate.begin(plan.design, _floors(cast, plan.design, floors)), cost, say)
    run_id, name = run_file_name(datetime.now(UTC), platform.node())
    writer = RunWriter(results / name.replace(".jsonl", ".ab.jsonl"), "ab")
    end = AbEnd(finished="", pairs=0, wall_seconds=0.0, timed_seconds=0.0, interrupted=True)
    try:
        header = _header(run_id, cast, base, head, request, plan)
        writer.append(header)
        found: list[Comparison] = []
        if timed:
            conductor.begin(cast, writer.append)
            course.run(begin + 60 * plan.minutes)
            found += course.comparisons(cast)
        for metric in plan.metrics:
            if metric != "time":
                found += counted(base, head, request, metric, list(cast.cases), writer.append, say)
        if not found:
            why = next(iter(course.left_out.values()), "no case counts anything")
            raise TorchgaugeError(f"nothing was compared: {why}")
        found, remarks = accept(_sorted(found), plan.accepted, datetime.now(UTC).date())
        for one in found:
            writer.append(one)
        slow = course.too_slow if timed else None
        if slow and any(one.verdict in RED and not one.accepted for one in found):
            remarks, slow = [*remarks, slow], None  # what failed, and what was counted, is so all the same
        disturbed = _poor(conductor) or _disturbed(course.canary, header) or slow
        end = replace(
            end,
            verdict=gate.overall(
                (Verdict.EQUIVALENT if one.accepted else one.verdict for one in found),
                disturbed=disturbed is not None,
            ),
            disturbed=disturbed,
            notes=[*base.warnings, *head.warnings, *_broken(cast), *remarks],
            interrupted=False,
        )
    finally:
        if not writer.is_new:
            end = replace(
                end,
                finished=datetime.now(UTC).isoformat(timespec="milliseconds"),
                pairs=course.pairs,
                wall_seconds=time.monotonic() - begin,
                timed_seconds=conductor.timed_seconds,
                lanes=conductor.lanes,
            )
            writer.append(end)
        writer.close()
    return read_ab(writer.path)


def _sorted(found: Sequence[Comparison]) -> list[Comparison]:
    """Put the worst verdicts first."""
    ranks = {verdict: rank for rank, verdict in enumerate(Verdict)}
    return sorted(found, key=lambda one: (ranks[one.verdict], -(one.ratio or 0.0), one.case, one.metric))


def _floors(cast: Cast, design: Design, known: Mapping[str, float]) -> dict[str, float]:
    return {case: max(design.least_floor, known.get(case, 0.0)) for case in cast.cases}


def _header(run_id: str, cast: Cast, base: Side, head: Side, request: Request, plan: Plan) -> AbHeader:
    def side(one: Side, environment: Environment | None) -> SideOf:
        return SideOf(spec=str(one.spec), revision=one.revision, dirty=one.dirty, environment=environment)

    return AbHeader(
        schema=AB_SCHEMA,
        id=run_id,
        started=datetime.now(UTC).isoformat(timespec="milliseconds"),
        base=side(base, cast.base.environment),
        head=side(head, cast.head.environment),
        config=AbConfig(
            torchgauge=__version__,
            metrics=list(plan.metrics),
            paths=request.paths,
            device=request.device,
            dtype=request.dtype,
            keyword=request.keyword,
            budget=request.budget,
            threads=request.threads,
            seed=request.seed,
            minutes=plan.minutes,
            alpha=plan.design.alpha,
            least_floor=plan.design.least_floor,
            isolation=request.isolation,
            bench_from=plan.bench_from,
            source=plan.source,
            accept=plan.accept,
            timeout=request.patience,
            results=plan.folder,
            pytest_args=request.pytest_args,
        ),
        places=cast.head.places,
    )


def _poor(conductor: Conductor) -> str | None:
    """Judge the conditions of all pairs."""
    if 2 * len(conductor.poor) <= conductor.visits:
        return None
    share = len(conductor.poor) / conductor.visits
    return f"conditions were too poor in {share:.0%} of what was measured: {conductor.poor[-1]}; run it again"


def _disturbed(canary: list[float], header: AbHeader) -> str | None:
    """Judge the machine by the work that both sides have in common."""
    one, other = header.base.environment, header.head.environment
    if one is None or other is None or one.torch != other.torch or one.machine.python != other.machine.python:
        return None  # another torch or Python: the canary may differ for that
    if gate.canary_alarms(canary):
        return (
            "the canary, which is the same on both sides, differs: the machine or its state favours one of "
            "them; run it again"
        )
    return None


def _broken(cast: Cast) -> list[str]:
    """Give the files that could not be imported, and why, side by side."""
    return [
        f"{side}, {file}: {why}"
        for side, hello in (("base", cast.base), ("head", cast.head))
        for file, why in hello.broken
    ]
