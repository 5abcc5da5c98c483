"""What the lines of an A/B file hold: every pair's raw blocks, case by case, as they were taken.

The file of a Comparison is a kind of its own beside run files: `<UTC start>_<host slug>_<id>.ab.jsonl`. Times
are seconds per call; ratios are head / base.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from statistics import median
from typing import Literal

from msgspec import Struct

from torchgauge.record.schema import Case, Environment, Scalar

AB_SCHEMA = 1


class Verdict(StrEnum):
    """What is said of a case, or of a run as a whole; the worst comes first.

    INVALID is said of a run alone. IMPROVED comes before EQUIVALENT because a run in which one case
    improved is not one in which nothing changed.
    """

    INVALID = "INVALID"
    REGRESSED = "REGRESSED"
    ERROR = "ERROR"
    MISSING = "MISSING"
    INCONCLUSIVE = "INCONCLUSIVE"
    IMPROVED = "IMPROVED"
    EQUIVALENT = "EQUIVALENT"


class SideOf(Struct, frozen=True, kw_only=True):
    """One side: what the user called it, and what it was."""

    spec: str
    revision: str | None
    dirty: bool
    environment: Environment | None = None


class AbConfig(Struct, frozen=True, kw_only=True):
    """What was asked for."""

    torchgauge: str
    metrics: list[str]
    paths: list[str]
    device: str
    dtype: str | None
    keyword: str | None
    budget: str
    threads: int | None
    seed: int
    minutes: float
    alpha: float
    least_floor: float
    isolation: str
    bench_from: str = "head"
    source: str | None = None
    accept: str | None = None
    """The file of accepted regressions; like `results`, as the user named it."""
    timeout: float = 60.0
    """Seconds of silence that are a hang."""
    results: str = "results"
    """The folder of this file, and of the floors that were used."""
    pytest_args: list[str] = []


class AbHeader(Struct, frozen=True, kw_only=True, tag="ab", tag_field="kind"):
    """The first line."""

    schema: int
    id: str
    started: str
    base: SideOf
    head: SideOf
    config: AbConfig
    places: dict[str, tuple[str, int]] = {}
    """Where head's benchmarks stand: of a case's id the file, relative to the working directory, and the
    line, from 1."""


class Round(Struct, frozen=True, kw_only=True):
    """One round's blocks, in seconds a call, in the order in which each side took them."""

    order: Literal["ABBA", "BAAB", "AABB", "BBAA"]
    """A is base, B is head. In the last two, which isolation "sequential" has, one side took all its blocks
    of a pair before the other took any: a round is then the n-th blocks of either."""
    base: list[float]
    head: list[float]


class PairLine(Struct, frozen=True, kw_only=True, tag="pair", tag_field="kind"):
    """One case in one pair of processes. A block is `loops` calls, on both sides."""

    pair: int
    case: Case
    metric: str
    method: str
    loops: int
    rounds: list[Round]
    conditions: dict[str, Scalar] = {}

    @property
    def log_ratio(self) -> float:
        """log(head / base): the median over the rounds of the ratio of the sides' fastest blocks.

        Noise only adds, so the fastest of a round's blocks are the least disturbed; of minimum, quantiles,
        median and paired median this was the steadiest from pair to pair.
        """
        return median(math.log(min(one.head) / min(one.base)) for one in self.rounds)

    @property
    def timed_seconds(self) -> float:
        """The time inside timed blocks."""
        return self.loops * math.fsum(
            second for one in self.rounds for side in (one.base, one.head) for second in side
        )


class CountLine(Struct, frozen=True, kw_only=True, tag="count", tag_field="kind"):
    """What one process of a side counted of a case. `side` is "base" or "head".

    `values` is a value a call or, for instructions, the median of the process's blocks. `parts` says what a
    call's count is made of.
    """

    side: str
    process: int
    case: str
    metric: str
    values: list[float]
    parts: dict[str, float] = {}


class AbFailure(Struct, frozen=True, kw_only=True, tag="failure", tag_field="kind"):
    """A case that a side could not measure. `side` is "base", "head" or "both"."""

    case: str
    side: str
    stage: str
    error: str
    message: str


class AbSkip(Struct, frozen=True, kw_only=True, tag="skip", tag_field="kind"):
    """A case that a side has not, or skips. `side` is "base", "head" or "both"."""

    case: str
    side: str
    reason: str


class Comparison(Struct, frozen=True, kw_only=True, tag="comparison", tag_field="kind"):
    """What was found of one case; ratio is head / base.

    `low` and `high` are the 95 % interval of the ratio, None from fewer than 6 pairs. `p` is that of the
    test that a verdict REGRESSED or IMPROVED rests on, adjusted so that it may be held against the run's
    alpha; None where a case was never tested as a candidate. Where that is the verdict, ratio and interval
    are those of the pairs after the case became a candidate, since those before were chosen for looking
    bad; else they are those of all pairs. `pairs` says how many. `smallest_effect` is 0.03 where a change
    of 3 % would have been seen in 8 of 10 runs; it is there where the verdict is INCONCLUSIVE, and None
    also where no change, however large, could have been seen. `notes` are for the reader: why a case is
    missing or failed, what changed in its counts. `accepted` is the reason for which a regression is
    accepted; it then has no part in the verdict of the run.
    """

    case: str
    metric: str
    verdict: Verdict
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    floor: float | None = None
    pairs: int = 0
    smallest_effect: float | None = None
    notes: list[str] = []
    accepted: str | None = None


class AbEnd(Struct, frozen=True, kw_only=True, tag="end", tag_field="kind"):
    """The last line. `verdict` is that of the run as a whole; None where it was interrupted.

    `timed_seconds` are those inside timed blocks of all pairs, of which `lanes` were measured at once.

    `disturbed` says why nothing can be concluded from an INVALID run. `notes` are what its reader has to
    know besides, one line each.
    """

    finished: str
    pairs: int
    wall_seconds: float
    timed_seconds: float
    lanes: int = 1
    verdict: Verdict | None = None
    disturbed: str | None = None
    notes: list[str] = []
    interrupted: bool = False


@dataclass(frozen=True)
class AbRun:
    """An A/B file, read."""

    path: Path
    header: AbHeader
    pairs: list[PairLine] = field(default_factory=list)
    failures: list[AbFailure] = field(default_factory=list)
    skips: list[AbSkip] = field(default_factory=list)
    counts: list[CountLine] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    """The worst verdicts first."""
    warnings: list[str] = field(default_factory=list)
    end: AbEnd | None = None
