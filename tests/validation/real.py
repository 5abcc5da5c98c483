"""The quick suite again and again on a real machine: do the headlines lie inside each other's intervals?"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from statistics import median, stdev

from torchgauge.analysis.frame import summaries
from torchgauge.errors import TorchgaugeError
from torchgauge.estimate import quantile
from torchgauge.record import read

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@dataclass(frozen=True)
class Reading:
    """One headline and its interval; no interval is None."""

    value: float
    low: float | None
    high: float | None


Series = dict[str, list[Reading]]
"""For each case its readings, one a run."""


@dataclass(frozen=True)
class Agreement:
    """What a series of runs says of its intervals. Spread and widths are relative."""

    runs: int
    cases: int
    spread: list[float]
    """Standard deviation over mean of each case's headlines."""
    half_widths: list[float]
    inside: int
    pairs: int
    """Ordered pairs of runs of one case of which the second has an interval."""
    without: int
    """Readings without one."""

    @property
    def covered(self) -> float:
        return self.inside / self.pairs if self.pairs else float("nan")


def agreement(series: Series) -> Agreement:
    """Count how often a headline lies inside the interval of another run of the same case."""
    inside = pairs = 0
    for readings in series.values():
        for one, other in permutations(readings, 2):
            if other.low is None or other.high is None:
                continue
            pairs += 1
            inside += other.low <= one.value <= other.high
    everything = [reading for readings in series.values() for reading in readings]
    values = {case: [reading.value for reading in readings] for case, readings in series.items()}
    return Agreement(
        runs=max((len(readings) for readings in series.values()), default=0),
        cases=len(series),
        spread=[stdev(found) / (sum(found) / len(found)) for found in values.values() if len(found) > 1],
        half_widths=[
            (one.high - one.low) / 2 / one.value
            for one in everything
            if one.low is not None and one.high is not None
        ],
        inside=inside,
        pairs=pairs,
        without=sum(one.low is None for one in everything),
    )


def measure(folder: Path, paths: Sequence[str], options: Sequence[str]) -> Path:
    """Make one run with the command.

    Raises:
        TorchgaugeError: it failed.

    """
    command = [sys.executable, "-m", "torchgauge", "run", *paths, "--device", "cpu", "--results", str(folder)]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise TorchgaugeError(f"torchgauge run ended with {done.returncode}: {done.stderr[-300:]}")
    return Path(done.stdout.splitlines()[-1])


def torchgauge_series(paths: Sequence[Path]) -> Series:
    """Read the headlines of the times of some runs."""
    frame = summaries(read(path) for path in paths)
    times = frame[(frame["instrument"] == "time") & (frame["metric"] == "time")]
    series: Series = defaultdict(list)
    for row in times.to_dict("records"):
        known = row["low"] == row["low"]
        series[str(row["case"])].append(
            Reading(row["value"], row["low"] if known else None, row["high"] if known else None)
        )
    return series


def plain_run(target: Path, seconds: float) -> None:
    """Time the same cases once with pytest-benchmark alone, for at most `seconds` each.

    Raises:
        TorchgaugeError: it failed.

    """
    command = [
        sys.executable,
        "-m",
        "pytest",
        "bench",
        "-q",
        "-p",
        "validation.plain",
        "-p",
        "no:cacheprovider",
    ]
    command += [f"--benchmark-max-time={seconds}", "--benchmark-min-rounds=5", f"--benchmark-json={target}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if not target.exists() or not target.stat().st_size:
        raise TorchgaugeError(f"pytest-benchmark ended with {done.returncode}: {done.stdout[-300:]}")


def plain_series(targets: Sequence[Path]) -> tuple[Series, Series]:
    """Read pytest-benchmark's medians, with the interquartile range and with ± its standard deviation."""
    quartiles: Series = defaultdict(list)
    deviations: Series = defaultdict(list)
    for target in targets:
        for found in json.loads(target.read_text())["benchmarks"]:
            stats, case = found["stats"], found["extra_info"]["case"]
            middle, spread = stats["median"], stats["stddev"]
            quartiles[case].append(Reading(middle, stats["q1"], stats["q3"]))
            deviations[case].append(Reading(middle, middle - spread, middle + spread))
    return quartiles, deviations


def describe(name: str, found: Agreement) -> str:
    """Write one row of the table in docs/method.md."""
    without = found.without / max(1, found.without + len(found.half_widths))
    return (
        f"| {name} | {100 * median(found.spread):.1f} % | {100 * quantile(found.spread, 0.9):.1f} % "
        f"| {100 * median(found.half_widths):.1f} % | {100 * found.covered:.1f} % of {found.pairs:,} "
        f"| {100 * without:.1f} % |"
    )
