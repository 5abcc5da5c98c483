"""A comparison from its two sides to its verdicts: the conductor measures what the gate's rules ask for.

What joins the measuring side and the deciding one; neither knows of the other.
"""

from __future__ import annotations

import platform
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from torchgauge import __version__
from torchgauge.analysis import gate
from torchgauge.analysis.gate import Comparison, Cost, Design, State, Verdict
from torchgauge.measure.ab.channel import CANARY
from torchgauge.measure.ab.conductor import Cast, Conductor, Request
from torchgauge.measure.sides import Side
from torchgauge.record.ab import AB_SCHEMA, AbConfig, AbEnd, AbHeader, SideOf
from torchgauge.record.schema import Environment
from torchgauge.record.writer import RunWriter, run_file_name

COST = Cost(start=6.0, case=0.8)
"""What a pair takes, before one was measured."""


@dataclass(frozen=True)
class Outcome:
    """What came of a comparison. Times in seconds."""

    path: Path
    header: AbHeader
    verdict: Verdict
    comparisons: list[Comparison]
    """The worst verdicts first."""
    pairs: int
    wall_seconds: float
    timed_seconds: float
    disturbed: str | None
    """Why nothing can be said of the run; None if it is sound."""
    notes: list[str] = field(default_factory=list)


def compare(
    base: Side,
    head: Side,
    request: Request,
    *,
    minutes: float,
    results: Path,
    bench_from: str,
    say: Callable[[str], None],
    design: Design | None = None,
    floors: Mapping[str, float] | None = None,
) -> Outcome:
    """Compare two sides.

    Args:
        base: what head is compared with.
        head: what is judged.
        request: what both measure.
        minutes: the time for all of it, from now on.
        results: the folder of the A/B file.
        bench_from: whose benchmarks were taken, for the file.
        say: tells the user one line.
        design: the rules; None for the gate's own.
        floors: of cases, as shares, where they are known of this machine.

    Raises:
        TorchgaugeError: a side can't begin, nothing can be compared, the time is too short to find
            anything, or the file can't be written.

    """
    begin = time.monotonic()
    design = design or Design()
    conductor = Conductor(base, head, request, say)
    cast = conductor.introduce()
    gate.check(design, len(cast.cases), minutes * 60 - (time.monotonic() - begin), COST)
    run_id, name = run_file_name(datetime.now(UTC), platform.node())
    writer = RunWriter(results / name.replace(".jsonl", ".ab.jsonl"), "ab")
    header = _header(run_id, cast, base, head, request, minutes, bench_from)
    course = _Course(conductor, gate.begin(design, _floors(cast, design, floors)), begin + 60 * minutes, say)
    interrupted = True
    try:
        writer.append(header)
        conductor.begin(cast, writer.append)
        course.run()
        interrupted = False
    finally:
        if not writer.is_new:
            end = AbEnd(
                finished=datetime.now(UTC).isoformat(timespec="milliseconds"),
                pairs=course.pairs,
                wall_seconds=time.monotonic() - begin,
                timed_seconds=conductor.timed_seconds,
                interrupted=interrupted,
            )
            writer.append(end)
        writer.close()
    found = course.comparisons(cast)
    disturbed = _disturbed(course.canary, header)
    verdict = gate.overall((one.verdict for one in found), disturbed=disturbed is not None)
    notes = [*base.warnings, *head.warnings, *(f"{name}: {why}" for name, why in _broken(cast))]
    return Outcome(
        writer.path,
        header,
        verdict,
        found,
        course.pairs,
        end.wall_seconds,
        end.timed_seconds,
        disturbed,
        notes,
    )


class _Course:
    """The pairs of one comparison, one after another, and what the rules make of them."""

    def __init__(self, conductor: Conductor, state: State, until: float, say: Callable[[str], None]) -> None:
        self._conductor = conductor
        self._state = state
        self._until = until
        self._say = say
        self._cost = COST
        self._left_out: set[str] = set()
        self._spent: list[tuple[float, float]] = []
        self.pairs = 0
        self.canary: list[float] = []

    def run(self) -> None:
        """Measure what the rules ask for until they ask for nothing more."""
        while batch := gate.plan(self._state, self._until - time.monotonic(), self._cost):
            ratios: dict[str, list[float]] = defaultdict(list)
            cases = list(batch.cases)
            for turn in range(batch.pairs):
                left = max(0.0, self._until - time.monotonic())
                self._say(
                    f"pair {self.pairs + 1}: {len(cases)} cases ({turn + 1} of {batch.pairs}), "
                    f"at most {int(left) // 60}:{int(left) % 60:02d} left"
                )
                cases = self._one_pair(cases, ratios)
                if not cases:
                    break
            self._state = gate.take(self._state, ratios)

    def _one_pair(self, cases: list[str], ratios: dict[str, list[float]]) -> list[str]:
        """Measure one pair; give the cases that can go on."""
        seen = self._conductor.measure(cases)
        self.pairs += 1
        self._spent.append((seen.start_seconds, seen.case_seconds))
        starts, each = zip(*self._spent, strict=True)
        self._cost = Cost(sum(starts) / len(starts), max(1e-3, sum(each) / len(each)))
        for case, ratio in seen.ratios.items():
            (self.canary if case == CANARY.id else ratios[case]).append(ratio)
        for case in seen.failed:
            self._state = gate.fail(self._state, case, Verdict.ERROR)
        for case, side in seen.skipped.items():
            self._state = gate.fail(self._state, case, Verdict.MISSING)
            if side == "both":
                self._left_out.add(case)
        return [case for case in cases if case not in seen.failed and case not in seen.skipped]

    def comparisons(self, cast: Cast) -> list[Comparison]:
        """Say what was found, the worst first; a case that neither side measures here is left out."""
        found = [one for one in gate.comparisons(self._state) if one.case not in self._left_out]
        found += [Comparison(case, "time", Verdict.MISSING) for case in cast.only]
        ranks = list(Verdict)
        return sorted(found, key=lambda one: (ranks.index(one.verdict), -(one.ratio or 0.0), one.case))


def _floors(cast: Cast, design: Design, known: Mapping[str, float] | None) -> dict[str, float]:
    return {case: max(design.least_floor, (known or {}).get(case, 0.0)) for case in cast.cases}


def _header(
    run_id: str, cast: Cast, base: Side, head: Side, request: Request, minutes: float, bench_from: str
) -> AbHeader:
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
            paths=request.paths,
            device=request.device,
            dtype=request.dtype,
            keyword=request.keyword,
            budget=request.budget,
            threads=request.threads,
            seed=request.seed,
            minutes=minutes,
            isolation="paired",
            bench_from=bench_from,
            pytest_args=request.pytest_args,
        ),
    )


def _disturbed(canary: list[float], header: AbHeader) -> str | None:
    """Judge the machine by the work that both sides have in common."""
    one, other = header.base.environment, header.head.environment
    if one is None or other is None or one.torch != other.torch or one.machine.python != other.machine.python:
        return None  # another torch or Python: the canary may differ for that
    if gate.canary_alarms(canary):
        return (
            "the canary, which is the same on both sides, differs: the machine or its state favours one side"
        )
    return None


def _broken(cast: Cast) -> list[tuple[str, str]]:
    """Give the files that could not be imported, and why, side by side."""
    return [
        (f"{side}, {file}", why)
        for side, hello in (("base", cast.base), ("head", cast.head))
        for file, why in hello.broken
    ]
