"""`torchgauge run`: from the options to a run file, and what is shown of it at once."""

from __future__ import annotations

import sys

from torchgauge.cli.arguments import instruments, positive, threads
from torchgauge.cli.subcommands import cure
from torchgauge.errors import TorchgaugeError

TYPE_CHECKING = False  # see torchgauge.cli
if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from torchgauge.cli.subcommands import Subcommands

_OF_A_NEW_RUN = (
    "device", "dtype", "keyword", "budget", "rounds", "processes", "seed", "collect_only",
    "results", "instruments", "threads", "no_ceilings",
)  # fmt: skip


def declare(subcommands: Subcommands) -> None:
    """Declare `run`."""
    made = subcommands.add(
        "run",
        run,
        extra="run",
        example="torchgauge run bench -k matmul --dtype float32,bfloat16 --budget quick",
        passes_on=True,
    )
    add = made.add_argument
    add("paths", nargs="*", metavar="PATH", help="files, folders or file.py::function (default: bench)")
    add("--device", metavar="LIST", help="auto (the default), all, or a list such as cpu,cuda:1")
    add("--dtype", metavar="LIST", help="a list such as float32,bfloat16, or all (default: by budget)")
    add("-k", dest="keyword", metavar="EXPR", help="only benchmarks that match, as in pytest")
    add("--budget", choices=("quick", "standard", "thorough"), help="how much to measure (default: standard)")
    add(
        "--instruments",
        type=instruments,
        metavar="LIST",
        help="time (the default), memory, profile, instructions, energy: a pass for each",
    )
    add("--rounds", type=positive, metavar="N", help="passes over all cases (default: by budget)")
    add("--processes", type=positive, metavar="N", help="fresh processes, each with all rounds (default: 1)")
    add(
        "--threads",
        type=threads,
        metavar="N",
        help="threads on the CPU within an operator: a number, or all (default: torch's own choice)",
    )
    add(
        "--no-ceilings",
        action="store_true",
        default=None,
        help="don't measure what the devices can do at the most (rates have no share then)",
    )
    add("--seed", type=int, metavar="N", help="seed of the order of the cases (default: drawn, and stored)")
    add("--results", metavar="DIR", help="folder of the run file (default: results)")
    add("--resume", metavar="RUN", help="complete an interrupted run file")
    add("--report", action="store_true", help="also write the page, beside the run file")
    add("--benchmark-json", metavar="FILE", help="also write pytest-benchmark's JSON")
    add("--collect-only", action="store_true", default=None, help="list the cases and measure nothing")


def run(options: argparse.Namespace) -> int:
    """Measure benchmarks and write a run file."""
    from pathlib import Path

    from torchgauge.files import check_writable
    from torchgauge.measure import launch

    benchmark_json = Path(options.benchmark_json) if options.benchmark_json else None
    if benchmark_json is not None:
        check_writable(benchmark_json, "--benchmark-json")
    if options.resume is not None:
        named = [name for name in _OF_A_NEW_RUN if getattr(options, name) is not None]
        if options.paths or options.pytest_args or named:
            raise TorchgaugeError("--resume goes on with the run's own settings; leave the other options out")
        outcome = launch.resume(Path(options.resume))
    else:
        request = launch.Request(
            paths=options.paths or ["bench"],
            device=options.device or "auto",
            dtype=options.dtype,
            keyword=options.keyword,
            budget=options.budget or "standard",
            rounds=options.rounds,
            instruments=options.instruments or ["time"],
            processes=options.processes or 1,
            seed=options.seed,
            threads=options.threads,
            ceilings=not options.no_ceilings,
            collect_only=bool(options.collect_only),
            pytest_args=options.pytest_args,
        )
        for path in request.paths:
            if not Path(path.partition("::")[0]).exists():
                raise TorchgaugeError(f"{path}: no such file or folder; name the folder of your benchmarks")
        outcome = launch.new(request, Path(options.results or "results"))
    if outcome.path is not None:
        _after_run(outcome.path, benchmark_json, page=options.report and outcome.code in (0, 1))
    return outcome.code


def _after_run(path: Path, benchmark_json: Path | None, *, page: bool) -> None:
    """Write pytest-benchmark's JSON; show the tables and write the page, where pandas is installed."""
    from torchgauge.files import replace
    from torchgauge.record import read

    loaded = read(path)
    if benchmark_json is not None:
        from torchgauge.analysis.pytest_benchmark import pytest_benchmark

        replace(benchmark_json, pytest_benchmark(loaded), "--benchmark-json")
    try:
        from torchgauge.report import terminal

        terminal.show([loaded])
        if page:
            from torchgauge.report import html

            target = path.with_suffix(".html")
            replace(target, html.render([loaded], folder=target.parent).encode())
            print(f"page: {target}")
    except ModuleNotFoundError as error:  # a machine that only measures
        print(f"no tables: {error.name} is missing; {cure('report')}", file=sys.stderr)
    print(path)
