"""The parent of the processes that measure: starts them one after another and closes the run.

It imports no torch. A worker that a benchmark kills (a segmentation fault, `os._exit`) costs that case
alone: the case becomes a failure line and a new worker goes on with the rest.
"""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from torchgauge.errors import TorchgaugeError
from torchgauge.measure import threads, valgrind
from torchgauge.measure.crumb import DONE, ENDED, IMPORTING, INTERRUPTED, NOTHING, REFUSED, STOPPED
from torchgauge.measure.schedule import passes
from torchgauge.record import Case, Failure, Run, RunWriter, read, run_file_name
from torchgauge.record.ending import ending, seconds_before

IN_GROUP = "TORCHGAUGE_IN_GROUP"
"""Variable that is set where who started this process ends its whole group: the workers then stay in it. It
names the folder for what a process makes for itself, which nobody removes who is killed."""


@dataclass(frozen=True)
class Request:
    """What `torchgauge run` was asked for; None where the plugin is to choose."""

    paths: list[str]
    device: str = "auto"
    dtype: str | None = None
    keyword: str | None = None
    budget: str = "standard"
    rounds: int | None = None
    instruments: list[str] = field(default_factory=lambda: ["time"])
    processes: int = 1
    seed: int | None = None
    threads: int | None = None
    ceilings: bool = True
    collect_only: bool = False
    pytest_args: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """The run file, if one was begun, and the exit code of the command."""

    path: Path | None
    code: int


def new(request: Request, results: Path) -> Outcome:
    """Measure into a new run file in the folder `results`.

    Raises:
        TorchgaugeError: the folder can't be written.

    """
    if request.collect_only:
        with _crumb() as crumb:
            return Outcome(None, _worker(request, crumb, 0, results / "none.jsonl", ["--collect-only"]))
    try:
        results.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=results):
            pass
    except OSError as error:
        raise TorchgaugeError(
            f"{results}: can't be written: {error.strerror}; choose another folder with --results DIR"
        ) from None
    _, name = run_file_name(datetime.now(UTC), platform.node())
    return _measure(request, results / name, 0.0)


def resume(path: Path) -> Outcome:
    """Complete an interrupted run with the settings it was begun with.

    Raises:
        TorchgaugeError: the file can't be read, or the run is complete.

    """
    run = read(path)
    if not run.interrupted:
        raise TorchgaugeError(
            f"{path}: is complete, nothing is left to measure; show it with: torchgauge show {path}"
        )
    request = _request_of(run)
    for name in request.paths:
        if not Path(name.partition("::")[0]).exists():
            raise TorchgaugeError(f"{name}: not here; resume from the folder in which the run was begun")
    return _measure(request, path, seconds_before(run))


def _request_of(run: Run) -> Request:
    config = run.header.config
    return Request(
        paths=config.paths,
        device=",".join(config.devices),
        dtype=None if config.dtypes is None else ",".join(config.dtypes),
        keyword=config.keyword,
        budget=config.budget,
        rounds=config.rounds,
        instruments=config.instruments,
        processes=config.processes,
        seed=config.seed,
        threads=config.threads,
        ceilings=config.ceilings,
        pytest_args=config.pytest_args,
    )


def _measure(request: Request, path: Path, before: float) -> Outcome:
    begin = time.monotonic()
    code = 0
    stopped = False
    with _crumb() as crumb:
        process, count = 0, len(passes(request.instruments, request.processes))
        while process < count and code in (0, 1) and not stopped:
            crumb.write_bytes(NOTHING)
            code = _worker(request, crumb, process, path, [])
            left = crumb.read_bytes()
            stopped = left == STOPPED
            if left in ENDED:
                process += 1
                if left == DONE:  # whatever the process did at its exit
                    code = 0
            elif left == NOTHING and code == 0:  # -- --help and the like
                return Outcome(None, 0)
            else:
                _note_death(path, left, code)
                code = 1
    if path.exists() and b"\n" not in path.read_bytes():  # stopped before its first line was whole
        path.unlink()
    if left == REFUSED:
        return Outcome(None, 2)
    if not path.exists():
        if code == 130:
            return Outcome(None, code)
        raise TorchgaugeError(f"{path}: is gone, and what was measured with it; did a benchmark remove it?")
    interrupted = stopped or code == 130
    run = read(path)
    end = ending(run, before + time.monotonic() - begin, interrupted=interrupted)
    writer = RunWriter(path)
    try:
        writer.append(end)
    finally:
        writer.close()
    return Outcome(path, 130 if code == 130 else int(stopped or end.failed > 0))


def _note_death(path: Path, crumb: bytes, code: int) -> None:
    """Write the failure of the case that killed its worker."""
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    if crumb.startswith(IMPORTING):
        file = crumb.removeprefix(IMPORTING).decode("utf-8", "replace")
        raise TorchgaugeError(
            f"{file} ends the process ({name}) when it is imported; mend it, or leave it out"
        )
    if not crumb or not path.exists():
        raise TorchgaugeError(
            f"the measuring process ended ({name}) before its first case; try: python -c 'import torch'"
        )
    case = msgspec.json.decode(crumb, type=Case)
    writer = RunWriter(path)
    writer.append(
        Failure(case=case, stage="process", error=name, message=f"the benchmark ended its process ({name})")
    )
    writer.close()
    print(f"failed: {case.id}: process: it ended its process ({name})", file=sys.stderr, flush=True)


def _worker(request: Request, crumb: Path, process: int, path: Path, extra: list[str]) -> int:
    """Run one worker to its end. SIGINT and SIGTERM are handed to it: it closes, then we do."""
    counts = passes(request.instruments, request.processes)[process] == "instructions"
    if counts and request.seed is None:  # the order is always the same, and drawing one shifts the heap
        request = replace(request, seed=0)
    command = [sys.executable, "-m", "torchgauge.measure.worker"]
    command += [str(crumb), str(os.getpid()), str(len(request.pytest_args))]
    command += ["--gauge-file", str(path), "--gauge-process", str(process), *_options(request), *extra]
    # The options of a project's own pytest runs (coverage, xdist) would be measured too
    command += ["-o", "addopts=", "--continue-on-collection-errors", "-p", "no:cacheprovider"]
    command += [*request.paths, *request.pytest_args]
    variables = _environment(request.threads)
    if counts and not extra and valgrind.missing() is None:
        command = [*valgrind.command(crumb.parent), *command]
        variables = valgrind.environment(variables, crumb.parent)
    # its own process group: a Ctrl-C reaches it once, from here, and not twice
    child = subprocess.Popen(command, start_new_session=IN_GROUP not in os.environ, env=variables)
    stopped = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopped
        left = crumb.read_bytes()
        # one that still imports would answer with a traceback, and has nothing to lose; the second
        # time it did not listen
        kill = stopped or not left or left.startswith(IMPORTING)
        if not kill:
            print("stopping; again: at once", file=sys.stderr, flush=True)
        stopped = True
        child.send_signal(signal.SIGKILL if kill else signal.SIGINT)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if stopped:
        crumb.write_bytes(INTERRUPTED)
    return 130 if stopped else code


def _options(request: Request) -> list[str]:
    words = ["--gauge-device", request.device, "--gauge-budget", request.budget]
    words += ["--gauge-processes", str(request.processes)]
    words += ["--gauge-instruments", ",".join(request.instruments)]
    words += [] if request.ceilings else ["--gauge-no-ceilings"]
    for option, value in (
        ("--gauge-dtype", request.dtype),
        ("--gauge-rounds", request.rounds),
        ("--gauge-seed", request.seed),
        ("--gauge-threads", request.threads),
        ("-k", request.keyword),
    ):
        if value is not None:
            words += [option, str(value)]
    return words


def _environment(count: int | None) -> dict[str, str]:
    """Give the worker our environment; a checkout that is not installed must be found from it too."""
    here = str(Path(__file__).resolve().parents[2])
    path = (
        [here, *filter(None, [os.environ.get("PYTHONPATH")])]
        if here in sys.path
        else [os.environ.get("PYTHONPATH", "")]
    )
    # what PYTEST_ADDOPTS adds (coverage, xdist) would be measured too
    kept = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    return {**kept, **threads.variables(count), "PYTHONPATH": os.pathsep.join(filter(None, path))}


@contextmanager
def _crumb() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="torchgauge-", dir=os.environ.get(IN_GROUP)) as folder:
        crumb = Path(folder) / "crumb"
        crumb.write_bytes(NOTHING)
        yield crumb
