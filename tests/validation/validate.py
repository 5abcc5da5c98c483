"""`nox -s validate`: is the sampler right? Waits of known length, worlds of known truth, runs that repeat.

Takes about 14 minutes, most of them for ten runs of the quick suite on a machine that does nothing else.
Writes results/validation/: the runs, the plot, and a table.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from torchgauge.analysis.frame import summaries
from torchgauge.record import read
from validation import real, simulated
from validation.bench_busy import busy

BUSY = (20, 200, 2000)


def busy_waits(folder: Path) -> list[str]:
    """Hold the headline of known waits against their length, and against a plain loop around them."""
    path = real.measure(folder / "busy", [str(real.HERE / "bench_busy.py")], ["--budget", "quick"])
    run = read(path)
    frame = summaries([run])
    lines = []
    for row in frame[(frame["instrument"] == "time") & (frame["metric"] == "time")].to_dict("records"):
        wanted = row["params"]["microseconds"] * 1e-6
        empty = next(
            float(line.conditions["empty_loop_seconds"] or 0)
            for line in run.measurements
            if line.case.id == row["case"] and line.metric == "time"
        )
        off, allowed = row["value"] / wanted - 1, 0.01 + empty / wanted
        verdict = "holds" if abs(off) <= allowed else "FALLS SHORT"
        lines.append(
            f"| {wanted * 1e6:.0f} µs | {100 * off:+.2f} % | ±{100 * allowed:.2f} % | "
            f"{100 * (plain_loop(wanted) / wanted - 1):+.2f} % | {verdict} |"
        )
    return lines


def plain_loop(seconds: float) -> float:
    """Time the same wait in a plain loop of about a millisecond; the fastest of 200 loops, a call."""
    calls = max(1, round(1e-3 / seconds))
    fastest = float("inf")
    for _ in range(200):
        begin = time.perf_counter_ns()
        for _ in range(calls):
            busy(round(seconds * 1e9))
        fastest = min(fastest, (time.perf_counter_ns() - begin) / calls)
    return fastest * 1e-9


def draw(series: dict[str, real.Agreement], target: Path) -> None:
    """Draw how far headlines of fresh runs lie apart, and how wide the intervals are that say so."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    for axis, of, title in (
        (axes[0], "spread", "standard deviation of a case's headlines, run to run"),
        (axes[1], "half_widths", "half the stated interval"),
    ):
        for name, found in series.items():
            values = sorted(100 * value for value in getattr(found, of))
            axis.plot(values, [(place + 1) / len(values) for place in range(len(values))], label=name)
        axis.set_xscale("log")
        axis.set_xlabel(f"{title}, %")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("share of the cases")
    axes[1].set_ylabel("share of the readings")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))  # where no curve is
    figure.savefig(target)
    plt.close(figure)


def main(arguments: list[str]) -> int:
    """Run all of it, or with --runs 0 only what needs no ten runs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=10, help="of the quick suite (default: %(default)s)")
    parser.add_argument("--trials", type=int, default=400, help="a simulated world (default: %(default)s)")
    parser.add_argument("--results", default="results/validation", help="folder (default: %(default)s)")
    parser.add_argument("--reuse", action="store_true", help="read the runs that the folder holds already")
    chosen = parser.parse_args(arguments)
    folder = Path(chosen.results).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    print("| wait | headline off by | allowed | a plain loop is off by | |\n|---|---|---|---|---|")
    waits = busy_waits(folder)
    print("\n".join(waits), flush=True)
    print(
        "\n| world | rounds | covered | half interval | all blocks as if independent |\n|---|---|---|---|---|"
    )
    for world in simulated.WORLDS:
        for rounds in (3, 5):
            found = simulated.coverage(world, rounds=rounds, trials=chosen.trials)
            print(
                f"| {found.world} | {rounds} | {100 * found.covered:.1f} % | "
                f"{100 * found.half_width:.1f} % | {100 * found.naive:.1f} % |",
                flush=True,
            )
    if chosen.runs >= 2:
        repeat(folder, chosen.runs, reuse=chosen.reuse)
    return int(any("FALLS" in line for line in waits))


def repeat(folder: Path, runs: int, *, reuse: bool) -> None:
    """Run the quick suite again and again, and pytest-benchmark alone in turns with it."""
    for number in () if reuse else range(runs):
        print(f"run {number + 1} of {runs}", file=sys.stderr, flush=True)
        real.measure(folder / "runs", ["bench"], ["--budget", "quick"])
        real.plain_run(folder / f"plain-{number}.json", 0.02)
    ours = real.agreement(real.torchgauge_series(sorted((folder / "runs").glob("*.jsonl"))))
    quartiles, deviations = (
        real.agreement(series) for series in real.plain_series(sorted(folder.glob("plain-*.json")))
    )
    series = {
        "torchgauge": ours,
        "pytest-benchmark, median and quartiles": quartiles,
        "pytest-benchmark, median ± StdDev": deviations,
    }
    print("\n| | spread, median | spread, 90 % | half interval | inside each other's | without interval |")
    print("|---|---|---|---|---|---|")
    for name, found in series.items():
        print(real.describe(name, found))
    target = folder / "agreement.svg"
    draw(series, target)
    print(f"\n{target}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
