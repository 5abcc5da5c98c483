"""What the lines of an A/B file hold: every pair's raw blocks, case by case, as they were taken.

The file of a Comparison is a kind of its own beside run files: `<UTC start>_<host slug>_<id>.ab.jsonl`. Times
are seconds per call; ratios are head / base.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Literal

from msgspec import Struct

from torchgauge.record.schema import Case, Environment, Scalar

AB_SCHEMA = 1


class SideOf(Struct, frozen=True, kw_only=True):
    """One side: what the user called it, and what it was."""

    spec: str
    revision: str | None
    dirty: bool
    environment: Environment | None = None


class AbConfig(Struct, frozen=True, kw_only=True):
    """What was asked for."""

    torchgauge: str
    paths: list[str]
    device: str
    dtype: str | None
    keyword: str | None
    budget: str
    threads: int | None
    seed: int
    minutes: float
    isolation: str
    bench_from: str
    pytest_args: list[str] = []


class AbHeader(Struct, frozen=True, kw_only=True, tag="ab", tag_field="kind"):
    """The first line."""

    schema: int
    id: str
    started: str
    base: SideOf
    head: SideOf
    config: AbConfig


class Round(Struct, frozen=True, kw_only=True):
    """One round's blocks, in seconds a call, in the order in which each side took them."""

    order: Literal["ABBA", "BAAB", "sequential"]
    """A is base, B is head."""
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


class AbEnd(Struct, frozen=True, kw_only=True, tag="end", tag_field="kind"):
    """The last line."""

    finished: str
    pairs: int
    wall_seconds: float
    timed_seconds: float
    interrupted: bool = False


@dataclass(frozen=True)
class AbRun:
    """An A/B file, read."""

    path: Path
    header: AbHeader
    pairs: list[PairLine] = field(default_factory=list)
    failures: list[AbFailure] = field(default_factory=list)
    skips: list[AbSkip] = field(default_factory=list)
    end: AbEnd | None = None
