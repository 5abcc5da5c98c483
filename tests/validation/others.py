"""The gates of pytest-benchmark and pyperf on unchanged code: how often do they alarm?

    python tests/validation/others.py --pairs 40

Each run times the twelve hot paths of the package under validation, one tool after the other, and each tool
compares the run with its run before it. As `torchgauge ab` does, as many runs as there are cores are made at
a time, two at the most, each on a core of its own and compared with runs of that core alone.
pytest-benchmark runs with its default settings and `--benchmark-compare-fail=median:10%`. pyperf runs with
three processes a case instead of its 20, so that a pair of runs takes about the five minutes that
`torchgauge ab` has by default, and is said to alarm where `pyperf compare_to` calls any case slower. Needs
the package pyperf. Both run on one thread.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from torchgauge.analysis.randomization import clopper_pearson

HERE = Path(__file__).resolve().parent
PACKAGE = HERE / "package"
SLOWER = re.compile(r"^(\w+): Mean .*: ([\d.]+)x slower$", re.MULTILINE)
FAILED = re.compile(r"^\t\S*test_hot_path\[(\w+)\] ", re.MULTILINE)
"""The cases that pytest-benchmark names where performance has regressed."""
ON_CORE = (
    "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); os.execv(sys.executable, sys.argv[2:])"
)


@dataclass(frozen=True)
class Place:
    """Where runs are made: on a core, with their results in a folder."""

    core: int
    folder: Path

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command of Python's on the package."""
        variables = os.environ | {
            "PYTHONPATH": os.pathsep.join(map(str, (PACKAGE / "src", PACKAGE / "bench", HERE / "others"))),
            "OMP_NUM_THREADS": "1",
        }
        words = [sys.executable, "-c", ON_CORE, str(self.core), sys.executable, *command]
        return subprocess.run(words, env=variables, cwd=HERE / "others", capture_output=True, text=True)


def pytest_benchmark(place: Place, number: int) -> set[str] | None:
    """Run it; give the cases for which it failed against the run before, None at the first run."""
    options = ["--benchmark-only", "--benchmark-storage", f"file://{place.folder}", "--benchmark-save", "run"]
    compare = ["--benchmark-compare", "--benchmark-compare-fail=median:10%"] if number else []
    done = place.run(
        "-m", "pytest", "-q", "-p", "no:torchgauge", "-p", "no:cacheprovider", "-c", os.devnull,
        "timed_by_pytest_benchmark.py", *options, *compare,
    )  # fmt: skip
    named = set(FAILED.findall(done.stdout + done.stderr))
    if bool(done.returncode) != bool(named):
        raise SystemExit(f"pytest-benchmark ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return named if number else None


def pyperf(place: Place, number: int) -> set[str] | None:
    """Run it; give the cases that it calls slower than in the run before, None at the first run."""
    this = place.folder / f"pyperf-{number}.json"
    done = place.run("timed_by_pyperf.py", "-q", "-p", "3", "--copy-env", "-o", this)
    if done.returncode:
        raise SystemExit(f"pyperf ended with {done.returncode}:\n{done.stderr}")
    if not number:
        return None
    compared = place.run("-m", "pyperf", "compare_to", place.folder / f"pyperf-{number - 1}.json", this)
    if compared.returncode:
        raise SystemExit(f"pyperf compare_to ended with {compared.returncode}:\n{compared.stderr}")
    return {case for case, _ in SLOWER.findall(compared.stdout)}


TOOLS: dict[str, Callable[[Place, int], set[str] | None]] = {
    "pytest-benchmark": pytest_benchmark,
    "pyperf": pyperf,
}


def chain(place: Place, tools: Sequence[str], pairs: int) -> list[tuple[str, set[str]]]:
    """Make one run more than pairs; give what each tool named in each pair."""
    found = []
    for number in range(pairs + 1):
        for tool in tools:
            begin = time.monotonic()
            named = TOOLS[tool](place, number)
            told = "first run" if named is None else f"alarms for {', '.join(sorted(named)) or 'none'}"
            took = time.monotonic() - begin
            print(f"core {place.core}, run {number}: {tool}: {told}; {took:.0f} s", flush=True)
            if named is not None:
                found.append((tool, named))
    return found


def main(arguments: Sequence[str]) -> int:
    """Print a row a pair and the count of alarms of each tool."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=40, help="default: %(default)s")
    parser.add_argument("--tools", nargs="+", choices=TOOLS, default=list(TOOLS), help="default: both")
    parser.add_argument("--results", default="results/validation/others", help="default: %(default)s")
    options = parser.parse_args(arguments)
    folder = Path(options.results).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise SystemExit(f"{folder} has results already: name another folder with --results")
    cores = sorted(os.sched_getaffinity(0))[:2]
    places = [Place(core, folder / f"core-{core}") for core in cores]
    for place in places:
        place.folder.mkdir()
    shares = [len(range(index, options.pairs, len(places))) for index in range(len(places))]
    with ThreadPoolExecutor(len(places)) as pool:
        chains = list(pool.map(chain, places, [options.tools] * len(places), shares))
    for tool in options.tools:
        pairs = [named for found in chains for of, named in found if of == tool]
        alarms, cases = sum(map(bool, pairs)), sum(map(len, pairs))
        low, high = clopper_pearson(alarms, len(pairs)) if pairs else (0.0, 1.0)
        print(f"{tool}: {alarms} of {len(pairs)} pairs alarm", end="")
        print(f" (95 %: {low:.0%} to {high:.0%}); {cases} cases named")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
