"""Instructions of twenty calls: by torchgauge, all in one process, and by torch's Timer, a process each.

Half of the Timer's come before ours and half after, so that both meet the same hours of the machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from torch.utils.benchmark import Timer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from torchgauge.analysis.frame import summaries
from torchgauge.record import read
from validation import real
from validation.twenty import CALLS

NAMED = ("zeros", "add", "matmul", "sine forward", "sine optimizer step")
NUMBER = 100  # the Timer's own default


def by_torchgauge(folder: Path) -> tuple[dict[str, float], float]:
    """Count all; give the instructions of each call, and the seconds that the command took."""
    begin = time.monotonic()
    path = real.measure(
        folder, [str(real.HERE / "bench_twenty.py")], ["--budget", "quick", "--instruments", "instructions"]
    )
    took = time.monotonic() - begin
    frame = summaries([read(path)])
    return {row["params"]["call"]: row["value"] for row in frame.to_dict("records")}, took


def by_timer(call: str) -> tuple[float, float]:
    """Count one; give its instructions a call, and the seconds that it took."""
    begin = time.monotonic()
    counted = Timer("fn(*args)", f"import torch\n{CALLS[call]}", num_threads=1).collect_callgrind(
        number=NUMBER, collect_baseline=False
    )
    return counted.counts() / NUMBER, time.monotonic() - begin


def main(arguments: Sequence[str]) -> int:
    """Print a row a call, and how much longer the Timer took for all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--results", default="results/validation/counts", help="default: %(default)s")
    folder = Path(parser.parse_args(arguments).results).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # the Timer starts "python", and means this one
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    names, half = list(CALLS), len(CALLS) // 2
    theirs = {call: by_timer(call) for call in names[:half]}
    ours, took = by_torchgauge(folder)
    theirs |= {call: by_timer(call) for call in names[half:]}
    print("| call | torchgauge | Timer | difference | seconds of the Timer |\n|---|---|---|---|---|")
    short = False
    for call in names:
        count, seconds = theirs[call]
        off = ours[call] / count - 1
        short |= call in NAMED and abs(off) > 0.03
        print(f"| {call} | {ours[call]:,.0f} | {count:,.0f} | {100 * off:+.1f} % | {seconds:.0f} |")
    whole = sum(seconds for _, seconds in theirs.values())
    print(
        f"\nall {len(names)}: torchgauge {took:.0f} s, Timer {whole:.0f} s, {whole / took:.1f} times as long"
    )
    return int(short or whole < 15 * took)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
