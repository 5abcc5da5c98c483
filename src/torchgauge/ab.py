"""A comparison from its two sides to its verdicts: the conductor measures what the gate's rules ask for.

What joins the measuring side and the deciding one; neither knows of the other.
"""

from __future__ import annotations

import platform
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from torchgauge import __version__
from torchgauge.analysis import gate
from torchgauge.analysis.gate import Comparison, Cost, Design, State, Verdict
from torchgauge.analysis.gate.acceptance import Accepted, accept
from torchgauge.errors import TorchgaugeError
from torchgauge.measure.ab.channel import CANARY
from torchgauge.measure.ab.conductor import Cast, Conductor, Request
from torchgauge.measure.sides import Side
from torchgauge.record import read_ab
from torchgauge.record.ab import AB_SCHEMA, AbConfig, AbEnd, AbHeader, AbRun, SideOf
from torchgauge.record.schema import Environment
from torchgauge.record.writer import RunWriter, run_file_name

COST = Cost(start=6.0, case=0.8)
"""What a pair takes, before one was measured."""


def compare(
    base: Side,
    head: Side,
    request: Request,
    *,
    minutes: float,
    results: Path,
    bench_from: str,
    source: str | None,
    say: Callable[[str], None],
    design: Design | None = None,
    floors: Mapping[str, float] | None = None,
    accepted: Sequence[Accepted] = (),
) -> AbRun:
    """Compare two sides.

    Args:
        base: what head is compared with.
        head: what is judged.
        request: what both measure.
        minutes: the time for all of it, from now on.
        results: the folder of the A/B file.
        bench_from: whose benchmarks were taken; for the file alone, as `source` is.
        source: the folder of the sources that was asked for.
        say: tells the user one line.
        design: the rules; None for the gate's own.
        floors: of cases, as shares, where they are known of this machine.
        accepted: regressions that are accepted.

    Raises:
        TorchgaugeError: a side can't begin, nothing can be compared, the time is too short to find
            anything, or the file can't be written.

    """
    begin = time.monotonic()
    design = design or Design()
    conductor = Conductor(base, head, request, say)
    cast = conductor.introduce()
    gate.check(design, len(cast.cases), minutes * 60, COST, spent=time.monotonic() - begin)
    run_id, name = run_file_name(datetime.now(UTC), platform.node())
    writer = RunWriter(results / name.replace(".jsonl", ".ab.jsonl"), "ab")
    course = _Course(conductor, gate.begin(design, _floors(cast, design, floors)), begin + 60 * minutes, say)
    end = AbEnd(finished="", pairs=0, wall_seconds=0.0, timed_seconds=0.0, interrupted=True)
    try:
        header = _header(run_id, cast, base, head, request, design, minutes)
        header = replace(header, config=replace(header.config, bench_from=bench_from, source=source))
        writer.append(header)
        conductor.begin(cast, writer.append)
        course.run()
        found, remarks = accept(course.comparisons(cast), accepted, datetime.now(UTC).date())
        for one in found:
            writer.append(one)
        disturbed = _disturbed(course.canary, header)
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
            )
            writer.append(end)
        writer.close()
    return read_ab(writer.path)


class _Course:
    """The pairs of one comparison, one after another, and what the rules make of them."""

    def __init__(self, conductor: Conductor, state: State, until: float, say: Callable[[str], None]) -> None:
        self._conductor = conductor
        self._state = state
        self._until = until
        self._say = say
        self._cost = COST
        self._left_out: set[str] = set()
        self._why: dict[str, str] = {}
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
                if left < self._cost.pair(len(cases)):
                    break  # the pairs took longer than those before: the time is up, whatever they showed
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

    def comparisons(self, cast: Cast) -> list[Comparison]:
        """Say what was found, the worst first; a case that neither side measures here is left out.

        Raises:
            TorchgaugeError: nothing is left.

        """
        found = [
            replace(one, notes=[self._why[one.case]]) if one.case in self._why else one
            for one in gate.comparisons(self._state)
            if one.case not in self._left_out
        ]
        found += [
            Comparison(case=case, metric="time", verdict=Verdict.MISSING, notes=[f"only {side} has it"])
            for case, side in cast.only.items()
        ]
        if not found:
            raise TorchgaugeError(f"nothing was compared: {next(iter(self._why.values()))}")
        ranks = list(Verdict)
        return sorted(found, key=lambda one: (ranks.index(one.verdict), -(one.ratio or 0.0), one.case))


def _floors(cast: Cast, design: Design, known: Mapping[str, float] | None) -> dict[str, float]:
    return {case: max(design.least_floor, (known or {}).get(case, 0.0)) for case in cast.cases}


def _header(
    run_id: str,
    cast: Cast,
    base: Side,
    head: Side,
    request: Request,
    design: Design,
    minutes: float,
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
            metrics=["time"],
            paths=request.paths,
            device=request.device,
            dtype=request.dtype,
            keyword=request.keyword,
            budget=request.budget,
            threads=request.threads,
            seed=request.seed,
            minutes=minutes,
            alpha=design.alpha,
            least_floor=design.least_floor,
            isolation="paired",
            pytest_args=request.pytest_args,
        ),
        places=cast.head.places,
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


def _broken(cast: Cast) -> list[str]:
    """Give the files that could not be imported, and why, side by side."""
    return [
        f"{side}, {file}: {why}"
        for side, hello in (("base", cast.base), ("head", cast.head))
        for file, why in hello.broken
    ]
