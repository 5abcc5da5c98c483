"""Three full runs on one page: how large is it, and how long does it take?

    python tests/validation/page.py

Measures the catalogue three times by time, memory and profile: on one thread, on all, and in float16 and
float64; some seven minutes each. Then `torchgauge report` makes one page of them, which may have 5 MB and
take 30 s. Runs and page are kept. Ends with 1 where one of the two is too much.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

RUNS = (("--threads", "1"), ("--threads", "all"), ("--threads", "all", "--dtype", "float16,float64"))
MOST_BYTES, MOST_SECONDS = 5_000_000, 30.0


def torchgauge(*words: str | Path) -> float:
    """Run the command; give its seconds."""
    begin = time.monotonic()
    subprocess.run([sys.executable, "-m", "torchgauge", *words], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begin


def main(arguments: Sequence[str]) -> int:
    """Print a row a run, and one of the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--budget", default="standard", help="of the runs (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=Path("results/validation/page"), help="%(default)s")
    options = parser.parse_args(arguments)
    runs: list[Path] = []
    for words in RUNS:
        before = set(options.results.glob("*.jsonl"))
        took = torchgauge(
            *("run", "bench", "--budget", options.budget, "--instruments", "time,memory,profile", *words),
            *("--results", options.results),
        )
        (made,) = set(options.results.glob("*.jsonl")) - before
        runs.append(made)
        print(f"{' '.join(words)}: {took:.0f} s, {made.stat().st_size / 1e6:.1f} MB, {made}", flush=True)
    page = options.results / "page.html"
    took = torchgauge("report", *runs, "-o", page)
    size = page.stat().st_size
    allowed = f"{MOST_BYTES / 1e6:.0f} MB and {MOST_SECONDS:.0f} s"
    print(f"{page}: {size / 1e6:.2f} MB in {took:.1f} s; allowed are {allowed}")
    return int(size > MOST_BYTES or took > MOST_SECONDS)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
