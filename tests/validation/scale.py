"""Thousands of run files: how long do their readers take, and how much memory?

    python tests/validation/scale.py --files 2000 --cases 200

Writes synthetic run files, of as many rounds and blocks as a quick run has, and times `torchgauge history`,
`compare` of two of them, and `export --format parquet` of a folder, each in a process of its own. The memory
is the most that it and all its processes had resident at one time, together. Every tenth case becomes 8 %
slower half-way. Needs as much room on the disk as the files take, which it prints.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))
import synthetic
from torchgauge.record import Run

ROUNDS, BLOCKS = 3, 12
STEP = 1.08
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def template(cases: int) -> Run:
    """Make a run of so many cases."""
    of = [
        (synthetic.case("grid", f"case{number:03}", n=2 ** (number % 20)), 1e-6 * (1 + number), {})
        for number in range(cases)
    ]
    return synthetic.run(cases=of, rounds=ROUNDS, failures=[], skips=[])


def write(folder: Path, files: int, cases: int) -> int:
    """Write the files; give their bytes."""
    made = template(cases)
    encode = msgspec.json.Encoder().encode
    chance = random.Random(0)
    written = 0
    for number in range(files):
        at = (BEGIN + timedelta(hours=number)).isoformat(timespec="milliseconds")
        lines = [encode(msgspec.structs.replace(made.header, id=f"{number:08x}", started=at))]
        for place, line in enumerate(made.measurements):
            slow = STEP if number >= files // 2 and (place // ROUNDS) % 10 == 0 else 1.0
            level = slow * chance.gauss(1.0, 0.01) * line.samples[0]
            samples = [level * (1 + chance.expovariate(100)) for _ in range(BLOCKS)]
            paces = [16e-6 * (1 + chance.expovariate(50)) for _ in range(BLOCKS)]
            lines.append(encode(msgspec.structs.replace(line, samples=samples, paces=paces)))
        assert made.end is not None
        text = b"\n".join([*lines, encode(made.end), b""])
        (folder / f"{number:05}.jsonl").write_bytes(text)
        written += len(text)
    return written


def resident(of: int) -> int:
    """Give the bytes that a process and all below it have resident, what they share counted once each."""
    total, waiting = 0, [of]
    while waiting:
        pid = waiting.pop()
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (OSError, ValueError):
            continue  # it ended meanwhile
    return total * 1024


def timed(*words: str | Path) -> tuple[float, int, str]:
    """Run torchgauge; give its seconds, the most memory, and what it said."""
    begin, most = time.monotonic(), 0
    with tempfile.TemporaryFile("w+") as out:
        running = subprocess.Popen([sys.executable, "-m", "torchgauge", *words], stdout=out)
        while running.poll() is None:
            most = max(most, resident(running.pid))
            time.sleep(0.05)
        took = time.monotonic() - begin
        out.seek(0)
        said = out.read()
    if running.returncode:
        raise SystemExit(f"{' '.join(map(str, words))} ended with {running.returncode}")
    return took, most, said


def main(arguments: Sequence[str]) -> int:
    """Print a row a command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=2000, help="default: %(default)s")
    parser.add_argument("--cases", type=int, default=200, help="default: %(default)s")
    options = parser.parse_args(arguments)
    place = Path(tempfile.mkdtemp())
    try:
        folder = place / "runs"
        folder.mkdir()
        written = write(folder, options.files, options.cases)
        print(f"{options.files:,} files of {options.cases:,} cases, {written / 1e9:.2f} GB", flush=True)
        first, last = folder / "00000.jsonl", folder / f"{options.files - 1:05}.jsonl"
        for words in (
            ["history", folder],
            ["compare", first, last],
            ["export", folder, "--format", "parquet", "-o", place / "out"],
        ):
            took, most, said = timed(*words)
            told = said.strip().splitlines()
            print(
                f"{words[0]}: {took:.1f} s, {most / 2**20:.0f} MiB; {len(told)} lines, first: {told[0][:90]}"
            )
    finally:
        shutil.rmtree(place)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
