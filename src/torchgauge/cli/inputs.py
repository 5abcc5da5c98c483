"""The run files that a subcommand reads."""

from __future__ import annotations

import sys

from torchgauge.errors import TorchgaugeError

AB = ".ab.jsonl"
"""How the names of A/B files end."""

REFERENCE = "reference"
"""The word for the runs of results/reference, and the name of their folder."""
FOLDERS = "or folders of them (subfolders too, but reference)"
"""What a command takes beside run files, in its help."""
MANY = 40
"""So many are worth the start of other processes, and a line on how far it got."""
MOST_RUNS = 100
"""More columns than so many are no table that anybody reads."""

TYPE_CHECKING = False  # see torchgauge.cli
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import TypeVar

    from torchgauge.record import Run

    Given = TypeVar("Given")
    Made = TypeVar("Made")


def read_runs(names: Sequence[str]) -> list[Run]:
    """Read runs; what their readers must know of them goes to stderr.

    Args:
        names: run files, and folders of them. Of a folder what can't be read, or is there already, is left
            out.

    Raises:
        TorchgaugeError: a file that can't be read, a run that is named twice, or too many runs.

    """
    from pathlib import Path

    left_out = [name for name in names if name.endswith(AB)]
    if left_out and len(left_out) < len(names):  # results/*.jsonl names them, too
        files = "1 A/B file" if len(left_out) == 1 else f"{len(left_out)} A/B files"
        print(f"torchgauge: {files} left out", file=sys.stderr)
        names = [name for name in names if not name.endswith(AB)]
    paths = [
        (path, inside)
        for name, inside in ((name, Path(name).is_dir()) for name in names)
        for path in (run_paths(name) if inside else [Path(name)])
    ]
    if len(paths) > MOST_RUNS:
        raise TorchgaugeError(
            f"{len(paths):,} runs are more than a table has columns for ({MOST_RUNS}): name some of them, or "
            "see what changed over all with: torchgauge history DIR"
        )
    runs = _distinct(paths)
    for warning in (warning for run in runs for warning in run.warnings):
        print(f"torchgauge: warning: {warning}", file=sys.stderr)
    return runs


def _distinct(paths: Sequence[tuple[Path, bool]]) -> list[Run]:
    """Read files, each with whether it was found in a folder or named."""
    from torchgauge.record import RecordError, read

    known: dict[str, Run] = {}
    for path, inside in progress(iter(paths), len(paths), "runs"):
        try:
            run = read(path)
        except RecordError as error:
            if not inside:
                raise
            print(f"torchgauge: warning: left out: {error}", file=sys.stderr)
            continue
        if known.setdefault(run.id, run) is not run and not inside:
            raise TorchgaugeError(f"{run.path}: is run {run.id}, as {known[run.id].path} is; name it once")
    if not known:
        raise TorchgaugeError(f"{paths[0][0].parent}: no run in it could be read")
    return list(known.values())


def progress(made: Iterator[Made], of: int, noun: str) -> Iterator[Made]:
    """Pass things on; where there are many, and somebody looks, say how far it got."""
    telling = of > MANY and sys.stderr.isatty()
    for number, one in enumerate(made, start=1):
        if telling:
            print(f"\r{number:,} of {of:,} {noun}", end="", file=sys.stderr, flush=True)
        yield one
    if telling:
        print(file=sys.stderr)


def against(what: str | None) -> list[str]:
    """Give the run files that others are put beside: those of a folder, one by its name, or the reference.

    Raises:
        TorchgaugeError: there are none.

    """
    from pathlib import Path

    if what is None:
        return []
    places = [Path(what)]
    if what == REFERENCE:  # of the folder one is in, or of the checkout that torchgauge runs from
        places += [Path("results/reference"), Path(__file__).parents[3] / "results" / "reference"]
    for place in places:
        if place.is_file():
            return [str(place)]
        found = sorted(str(path) for path in place.glob("*.jsonl") if not path.name.endswith(AB))
        if found:
            return found
    looked = ", ".join(map(str, places))
    raise TorchgaugeError(
        f"--against {what}: no run file there (looked in {looked}); name a file or a folder"
    )


def beside(names: Sequence[str], others: Sequence[str]) -> list[str]:
    """Join run files and folders with files to put beside them, but for those that are among them already."""
    from pathlib import Path

    here = [path for name in names for path in (_below(name)[0] if Path(name).is_dir() else [Path(name)])]
    known = {path.resolve() for path in here}
    return [*names, *(other for other in others if Path(other).resolve() not in known)]


def run_paths(folder: str) -> list[Path]:
    """Give the run files below a folder, but for those in a folder `reference` in it: they are of others.

    Raises:
        TorchgaugeError: there is no such folder, or no run file in it.

    """
    from pathlib import Path

    if not Path(folder).is_dir():
        raise TorchgaugeError(f"{folder}: is no folder; name the one of your run files, such as results")
    paths, left_out = _below(folder)
    others = f"{len(left_out):,} in a folder {REFERENCE}" if left_out else ""
    if not paths:
        cure = f"but {others}: name that" if left_out else "measure with: torchgauge run"
        raise TorchgaugeError(f"{folder}: holds no run file (*.jsonl); {cure}")
    if left_out:
        print(f"torchgauge: {folder}: left out {others}", file=sys.stderr)
    return paths


def _below(folder: str) -> tuple[list[Path], list[Path]]:
    """Give the run files below a folder, and those of its folders `reference`."""
    from pathlib import Path

    found = sorted(path for path in Path(folder).rglob("*.jsonl") if not path.name.endswith(AB))
    parts: tuple[list[Path], list[Path]] = [], []
    for path in found:
        parts[REFERENCE in path.relative_to(folder).parts[:-1]].append(path)
    return parts


def each(work: Callable[[Given], Made], of: Sequence[Given], noun: str) -> Iterator[Made]:
    """Do the same with each of many things, on all cores where there are many; in their order."""
    import os

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    if len(of) <= MANY or cores < 2:
        yield from progress(map(work, of), len(of), noun)
        return
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(cores) as pool:
        yield from progress(pool.map(work, of, chunksize=8), len(of), noun)


def spare(target: Path, runs: Sequence[Run]) -> None:
    """Refuse to write over a run that is read.

    Raises:
        TorchgaugeError: the target is one of the runs.

    """
    for run in runs:
        if target.exists() and target.samefile(run.path):
            raise TorchgaugeError(f"{target}: is the run itself; choose another file with -o")
