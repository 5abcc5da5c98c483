"""The gate on real processes: does it find what was changed, and nothing else?

    python tests/validation/gate.py effects --runs 10
    python tests/validation/gate.py unchanged --runs 40
    python tests/validation/gate.py instructions --runs 10
    python tests/validation/gate.py instructions-unchanged --runs 10

A small package of twelve hot paths is put into a repository of its own, in a temporary folder, and
committed; its working tree then has more work, or less, in some of them: 5 % more in two, 3 % more in two
others, 10 % less in one.
Each run changes others. `instructions` counts, with 1 % more work in one. `…unchanged` changes nothing.
Prints a row a run; the A/B files are kept.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent / "package"
TIME = {"+5 %": (2, 1.05), "+3 %": (2, 1.03), "-10 %": (1, 0.90)}
NAMED = ("REGRESSED", "IMPROVED")
WANTED: dict[str, dict[str, tuple[int, float]]] = {
    "effects": TIME,
    "unchanged": {},
    "instructions": {"+1 %": (1, 1.01)},
    "instructions-unchanged": {},
}


def git(folder: Path, *words: str) -> None:
    """Run git as nobody in particular."""
    names = ["-c", "user.name=n", "-c", "user.email=n@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True)


def repository(folder: Path) -> Path:
    """Make the package's repository, with one commit."""
    made = folder / "package"
    shutil.copytree(PACKAGE, made, ignore=shutil.ignore_patterns("__pycache__"))
    git(made, "init", "-q")
    git(made, "add", "-A")
    git(made, "commit", "-qm", "base")
    return made


def change(folder: Path, wanted: dict[str, tuple[int, float]], seed: int) -> dict[str, str]:
    """Change the working tree; give what was done to which case."""
    git(folder, "checkout", "-q", "--", ".")
    source = folder / "src" / "hotpaths" / "__init__.py"
    text = source.read_text()
    work = {name: int(count) for name, count in re.findall(r'^    "(\w+)": (\d+),$', text, re.MULTILINE)}
    chance = random.Random(seed)
    done: dict[str, str] = {}
    for label, (cases, factor) in wanted.items():
        # only where the work is a whole number of repetitions
        able = [n for n, count in work.items() if n not in done and (count * factor).is_integer()]
        for name in chance.sample(sorted(able), cases):
            done[name] = label
            text = text.replace(f'"{name}": {work[name]},', f'"{name}": {round(work[name] * factor)},')
    source.write_text(text)
    return done


def run(folder: Path, results: Path, *options: str) -> dict[str, object]:
    """Run the gate; give its JSON."""
    command = [sys.executable, "-m", "torchgauge", "ab", "bench", "--base", "git:HEAD", "--format", "json"]
    done = subprocess.run(
        [*command, "--results", str(results), *options], cwd=folder, capture_output=True, text=True
    )
    if done.returncode not in (0, 1, 4):
        raise SystemExit(done.stderr)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def main(arguments: Sequence[str]) -> int:
    """Print a row a run and what was found of all; 1 where anything was missed or named falsely."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=WANTED)
    parser.add_argument("--runs", type=int, default=10, help="default: %(default)s")
    parser.add_argument("--first", type=int, default=0, help="number of the first run (default: 0)")
    parser.add_argument("--minutes", default="5", help="default: %(default)s")
    parser.add_argument("--results", default="results/validation/gate", help="default: %(default)s")
    options = parser.parse_args(arguments)
    results = Path(options.results).resolve()
    results.mkdir(parents=True, exist_ok=True)
    wanted = WANTED[options.what]
    more = ["--metric", "instructions"] if options.what.startswith("instructions") else []
    found: dict[str, list[bool]] = {label: [] for label in wanted}
    false, unclear, cases = 0, 0, 0
    with tempfile.TemporaryDirectory() as place:
        folder = repository(Path(place))
        for number in range(options.first, options.first + options.runs):
            done = change(folder, wanted, number)
            said = run(folder, results, "--minutes", options.minutes, "--seed", str(number), *more)
            rows = [
                {**one, "case": str(one["case"]).removeprefix("hotpaths/").partition("[")[0]}
                for one in said["comparisons"]  # type: ignore[attr-defined]
            ]
            named = {row["case"]: row["verdict"] for row in rows if row["verdict"] in NAMED}
            for case, label in done.items():
                found[label].append(named.pop(case, None) == ("IMPROVED" if label[0] == "-" else "REGRESSED"))
            unchanged = [row["verdict"] for row in rows if row["case"] not in done]
            cases += len(unchanged)
            unclear += unchanged.count("INCONCLUSIVE")
            false += bool(named)
            told = ", ".join(
                f"{row['case']} {done[row['case']]}: {row['verdict']} {row['ratio']:.3f}"
                for row in rows
                if row["case"] in done
            )
            wall, timed = float(str(said["wall_seconds"])), float(str(said["timed_seconds"]))
            share = timed / wall / int(str(said["lanes"]))
            print(
                f"{number}: {said['verdict']}; {said['pairs']} pairs, {wall:.0f} s, {share:.0%} timed; "
                f"falsely named {named or 'none'}; INCONCLUSIVE {unchanged.count('INCONCLUSIVE')} of "
                f"{len(unchanged)} unchanged; {told}",
                flush=True,
            )
    for label, hits in found.items():
        print(f"{label}: found {sum(hits)} of {len(hits)}")
    print(f"runs that named an unchanged case: {false} of {options.runs}; INCONCLUSIVE {unclear} of {cases}")
    return int(bool(false) or not all(all(hits) for hits in found.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
