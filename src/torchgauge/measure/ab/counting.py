"""What a side's calls are made of, counted: a run of the side by itself, since counts need no turns."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from torchgauge.errors import TorchgaugeError
from torchgauge.measure import janitor, launch, layout, threads, valgrind
from torchgauge.measure.ab.conductor import LEFT_OUT, Request
from torchgauge.measure.reasons import printable
from torchgauge.measure.sides import Side
from torchgauge.record import Measurement, Run, read
from torchgauge.record.ab import AbFailure, CountLine

INSTRUMENTS = {"counts": "profile", "instructions": "instructions"}
"""What looks, by what is asked for."""
PROCESSES = {"counts": 1, "instructions": 2}
"""Fresh processes of each side."""
SLOWER = {"counts": 1, "instructions": 10}
"""How many times as long a side may be silent: valgrind is some 50 times slower than the processor, and the
import of torch is half a minute."""
_MAIN = "import sys; from torchgauge.cli import main; sys.exit(main())"
_PROFILED = ("operators", "copies", "allocations", "kernels", "launches", "synchronizations")


def lacking(metric: str) -> str | None:
    """Give the reason, and the cure, why something can't be counted on this machine; None where it can."""
    return valgrind.missing() if metric == "instructions" else None


@dataclass(frozen=True)
class Counted:
    """What one process of a side counted."""

    lines: list[CountLine]
    failures: list[AbFailure]


def count(sides: Mapping[str, Side], request: Request, metric: str, process: int) -> dict[str, Counted]:
    """Count the cases of both sides once, in a process each, at the same time.

    Args:
        sides: by name, "base" and "head".
        request: what is to be counted.
        metric: "counts" or "instructions".
        process: which of their processes these are, from 0.

    Raises:
        TorchgaugeError: a side can't be measured; says why.

    """
    longest = max(len(side.pythonpath()) for side in sides.values())
    folders = {name: side.gauge.parent / f"{name}-{metric}-{process}" for name, side in sides.items()}
    ears = [
        _Ear(side.where, folders[name], request.patience * SLOWER[metric]) for name, side in sides.items()
    ]
    ended = janitor.run_together(
        [
            (
                _command(side, request, metric, folders[name]),
                side.root,
                _variables(side, request.threads, longest),
            )
            for name, side in sides.items()
        ],
        lambda place: ears[place].listen(),
    )
    return {
        name: _counted(sides[name], name, metric, process, folders[name], done)
        for name, done in zip(sides, ended, strict=True)
    }


class _Ear:
    """Notices when a side hangs: its run file has grown no longer for so many seconds.

    Args:
        where: names the side.
        folder: of its run file.
        patience: the seconds.

    """

    def __init__(self, where: str, folder: Path, patience: float) -> None:
        self._where, self._folder, self._patience = where, folder, patience
        self._size, self._heard = 0, time.monotonic()

    def listen(self) -> None:
        """Look once.

        Raises:
            TorchgaugeError: it hangs.

        """
        size, now = sum(file.stat().st_size for file in self._folder.glob("*.jsonl")), time.monotonic()
        if size != self._size:
            self._size, self._heard = size, now
        elif now - self._heard > self._patience:
            raise TorchgaugeError(
                f"{self._where}: counted nothing for {self._patience:.0f} s and was ended; "
                "--timeout says how long it may take"
            )


def _counted(
    side: Side,
    name: str,
    metric: str,
    process: int,
    folder: Path,
    done: subprocess.CompletedProcess[bytes],
) -> Counted:
    files = sorted(folder.glob("*.jsonl"))
    if done.returncode not in (0, 1) or not files:
        raise TorchgaugeError(f"{side.where}: {_last_line(done)}")
    run = read(files[0])
    failures = [
        AbFailure(case=one.case.id, side=name, stage=one.stage, error=one.error, message=one.message)
        for one in run.failures
    ]
    return Counted(lines(run, name, metric, process), failures)


def lines(run: Run, name: str, metric: str, process: int) -> list[CountLine]:
    """Take from a run what was counted of each case; of instructions, those that repeat."""
    wanted = ("instructions",) if metric == "instructions" else _PROFILED
    return [
        CountLine(
            side=name,
            process=process,
            case=line.case.id,
            metric=line.metric,
            values=_repeating(line) if metric == "instructions" else line.samples,
            parts={part.name: part.value for part in line.parts if not layout.hangs_on_it(part.name)},
        )
        for line in run.measurements
        if line.metric in wanted and line.samples
    ]


def _repeating(line: Measurement) -> list[float]:
    """Give the instructions of a call without those by which a process differs from the next."""
    return [median(line.samples) - float(line.conditions["layout_instructions"] or 0)]


def _command(side: Side, request: Request, metric: str, folder: Path) -> Sequence[str | Path]:
    words: list[str | Path] = [side.python, "-c", _MAIN, "run", *request.paths, "--results", folder]
    words += ["--instruments", INSTRUMENTS[metric], "--rounds", "1", "--seed", "0", "--no-ceilings"]
    words += ["--device", request.device, "--budget", request.budget]
    for option, value in (
        ("--dtype", request.dtype),
        ("--threads", None if request.threads is None else str(request.threads)),
        ("-k", request.keyword),
    ):
        words += [] if value is None else [option, value]
    return [*words, "--", *request.pytest_args] if request.pytest_args else words


def _variables(side: Side, count: int | None, longest: int) -> dict[str, str]:
    """Give a side's environment, which is as large as the other's: its size decides where the stack lies."""
    kept = {key: value for key, value in os.environ.items() if key not in LEFT_OUT}
    kept |= threads.variables(count)
    # the working directory is head's: its packages must not come before the side's own
    path = side.pythonpath()
    kept |= {"TORCHGAUGE_PAD": "." * (longest - len(path)), launch.IN_GROUP: str(side.gauge.parent)}
    return kept | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1", "PYTHONHASHSEED": "0"}


def _last_line(done: subprocess.CompletedProcess[bytes]) -> str:
    said = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    told = said[-1].removeprefix("torchgauge: error: ") if said else f"it ended with {done.returncode}"
    return printable(told)
