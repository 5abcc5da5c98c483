"""Comparisons that never took place: every verdict of a case in one A/B file."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path

import synthetic
from torchgauge.record import Case
from torchgauge.record.ab import (
    AB_SCHEMA,
    AbConfig,
    AbEnd,
    AbFailure,
    AbHeader,
    AbRun,
    Comparison,
    PairLine,
    Round,
    SideOf,
    Verdict,
)

BASE = "3f2a91c0de3f2a91c0de3f2a91c0de3f2a91c0de"


def header(**fields) -> AbHeader:
    environment = synthetic.header(("cpu",)).environment
    made = {
        "schema": AB_SCHEMA,
        "id": "5eed00ab",
        "started": "2026-11-20T10:00:00.000+00:00",
        "base": SideOf(spec="git:main", revision=BASE, dirty=False, environment=environment),
        "head": SideOf(spec="here", revision="b" * 40, dirty=True, environment=environment),
        "config": AbConfig(
            torchgauge="0.1.0",
            metrics=["time"],
            paths=["bench"],
            device="auto",
            dtype=None,
            keyword="matmul or 'add'",
            budget="quick",
            threads=1,
            seed=7,
            minutes=5,
            alpha=0.02,
            least_floor=0.01,
            isolation="paired",
        ),
        "places": {
            "inplace/add[cpu,float32]": ("bench/bench_inplace.py", 12),
            "matmul/square[cpu,float32,n=32]": ("bench/bench_matmul.py", 40),
            "matmul/square[cpu,float32,n=1024]": ("bench/bench_matmul.py", 40),
        },
    }
    return AbHeader(**(made | fields))


def pairs(case: str, ratio: float, count: int) -> list[PairLine]:
    chance = random.Random(case)
    group, _, name = case.partition("/")
    at = Case(id=case, group=group, name=name, device="cpu", dtype=None)
    lines = []
    for number in range(count):
        head = 1e-5 * ratio * (1 + chance.gauss(0, 0.01))
        rounds = [Round(order="ABBA", base=[1e-5, 1.1e-5], head=[head, 1.2 * head])] * 3
        lines.append(
            PairLine(pair=number, case=at, metric="time", method="host-clock", loops=400, rounds=rounds)
        )
    return lines


COMPARISONS = [
    Comparison(
        case="inplace/add[cpu,float32]",
        metric="time",
        verdict=Verdict.REGRESSED,
        ratio=1.0523,
        low=1.0411,
        high=1.0662,
        p=0.00061,
        floor=0.01,
        pairs=14,
    ),
    Comparison(
        case="optimizers/step[cpu,optimizer=SGD]",
        metric="time",
        verdict=Verdict.REGRESSED,
        ratio=1.031,
        low=1.02,
        high=1.042,
        p=0.011,
        floor=0.01,
        pairs=14,
        accepted="the new check is worth it (until 2027-01-31)",
    ),
    Comparison(
        case="matmul/square[cpu,float32,n=32]",
        metric="time",
        verdict=Verdict.ERROR,
        floor=0.01,
        notes=["head (here): check: AssertionError: result is wrong"],
    ),
    Comparison(case="creation/old[cpu]", metric="time", verdict=Verdict.MISSING, notes=["only base has it"]),
    Comparison(
        case="copies/to[cpu]",
        metric="time",
        verdict=Verdict.INCONCLUSIVE,
        ratio=1.004,
        low=0.981,
        high=1.026,
        p=0.4,
        floor=0.01,
        pairs=28,
        smallest_effect=0.034,
    ),
    Comparison(
        case="sine_mlp/forward[cpu]",
        metric="time",
        verdict=Verdict.IMPROVED,
        ratio=0.9,
        low=0.89,
        high=0.91,
        p=0.0002,
        floor=0.01,
        pairs=14,
    ),
    Comparison(
        case="matmul/square[cpu,float32,n=1024]",
        metric="time",
        verdict=Verdict.EQUIVALENT,
        ratio=1.0004,
        low=0.998,
        high=1.0021,
        floor=0.0163,
        pairs=7,
    ),
]


def made(comparisons=COMPARISONS, **end) -> AbRun:
    ending = {
        "finished": "2026-11-20T10:05:00.000+00:00",
        "pairs": 28,
        "wall_seconds": 290.0,
        "timed_seconds": 131.0,
        "verdict": Verdict.REGRESSED,
        "notes": ["base, bench/bench_x.py: ImportError: no module named x"],
    }
    return AbRun(
        path=Path("results/20261120T100000Z_box_5eed00ab.ab.jsonl"),
        header=header(),
        pairs=[line for one in comparisons if one.pairs for line in pairs(one.case, one.ratio, one.pairs)],
        failures=[
            AbFailure(
                case="matmul/square[cpu,float32,n=32]",
                side="head",
                stage="check",
                error="AssertionError",
                message="result is wrong",
            )
        ],
        comparisons=list(comparisons),
        end=AbEnd(**(ending | end)),
    )


SIDE = SideOf(spec="here", revision="a" * 40, dirty=False, environment=header().head.environment)


def unchanged(
    seed: int, spread: float = 0.01, bias: float = 0.0, verdict: Verdict = Verdict.EQUIVALENT
) -> AbRun:
    """Make an A/A run of two cases and 20 pairs; "b" is twice as noisy as "a"."""
    chance = random.Random(seed)
    lines = []
    for number in range(20):
        for name, factor in (("a", 1), ("b", 2)):
            ratio = math.exp(bias + factor * chance.gauss(0, spread))
            rounds = [Round(order="ABBA", base=[1e-5], head=[1e-5 * ratio])]
            at = Case(id=name, group="g", name=name, device="cpu", dtype=None)
            lines.append(
                PairLine(pair=number, case=at, metric="time", method="host-clock", loops=1, rounds=rounds)
            )
    said = [Comparison(case=name, metric="time", verdict=verdict) for name in ("a", "b")]
    return replace(
        made(said, verdict=verdict, notes=[], pairs=20), header=header(base=SIDE, head=SIDE), pairs=lines
    )
