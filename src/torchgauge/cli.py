"""The command. One function a subcommand; each imports what it needs, so that `--help` imports nothing."""

from __future__ import annotations

import argparse
import io
import os
import sys

from torchgauge import __version__
from torchgauge.errors import TorchgaugeError

TYPE_CHECKING = False  # typing's own is not imported: `--help` is to be as quick as argparse
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torchgauge.record import Run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        The exit code: 0 fine, 1 a case failed, 2 usage or unreadable input, 4 conditions too poor to
        judge, 130 interrupted.

    """
    _open_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    passed: list[str] = []
    if "--" in words and words[:1] == ["run"]:
        passed = words[words.index("--") + 1 :]
        words = words[: words.index("--")]
    options = _parser().parse_args(words)
    options.pytest_args = passed
    act: Callable[[argparse.Namespace], int] = options.act
    try:
        code = act(options)
        sys.stdout.flush()
        return code
    except TorchgaugeError as error:
        print(f"torchgauge: error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        side = "run" if options.command in ("run", "doctor") else "report"
        print(f"torchgauge: error: {error.name} is missing; {_extra(side)}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `torchgauge show … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # files say it themselves; this is a full disk behind the output
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"torchgauge: error: standard output: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _open_streams() -> None:
    """Make all three standard streams usable: closed ones go nowhere, and a µ they don't know is a ?."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # `>&-`: else the next file to be opened would be taken for it
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def run(options: argparse.Namespace) -> int:
    """Measure benchmarks and write a run file."""
    from pathlib import Path

    from torchgauge.files import check_writable
    from torchgauge.measure import launch

    benchmark_json = Path(options.benchmark_json) if options.benchmark_json else None
    if benchmark_json is not None:
        check_writable(benchmark_json, "--benchmark-json")
    if options.resume is not None:
        named = [name for name in _RUN_ONLY if getattr(options, name) is not None]
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
            replace(target, html.render([loaded]).encode())
            print(f"page: {target}")
    except ModuleNotFoundError as error:  # a machine that only measures
        print(f"no tables: {error.name} is missing; {_extra('report')}", file=sys.stderr)
    print(path)


def show(options: argparse.Namespace) -> int:
    """Show runs as tables."""
    from torchgauge.report import terminal

    terminal.show(_read(options.runs))
    return 0


def report(options: argparse.Namespace) -> int:
    """Write a page or Markdown."""
    from pathlib import Path

    from torchgauge.files import replace

    runs = _read(options.runs)
    target = Path(options.output or "report.html")
    _spare(target, runs)
    if options.format == "markdown":
        from torchgauge.report import markdown

        text = markdown.render(runs)
    else:
        from torchgauge.report import html

        text = html.render(runs)
    if options.output is None and options.format == "markdown":
        sys.stdout.write(text)
        return 0
    replace(target, text.encode())
    print(target)
    return 0


def export(options: argparse.Namespace) -> int:
    """Write a run in another tool's format."""
    from pathlib import Path

    from torchgauge.analysis import export as exporting
    from torchgauge.record import read

    source = Path(options.run)
    endings = {"csv": ".csv", "parquet": ".parquet", "pytest-benchmark": ".json"}
    target = Path(options.output) if options.output else source.with_suffix(endings[options.format])
    run = read(source)
    _spare(target, [run])
    exporting.export(run, options.format, target)
    print(target)
    return 0


def doctor(options: argparse.Namespace) -> int:
    """Look at this machine: what disturbs it, what to mend, and how fine a difference it can tell."""
    import contextlib
    import shutil

    def say(line: str) -> None:
        with contextlib.suppress(OSError):  # a full disk behind 2>file costs the notes alone
            print(line, file=sys.stderr, flush=True)

    say("looking at the machine: about 12 s")
    try:
        from torchgauge.analysis.ceilings import published
        from torchgauge.measure import device
        from torchgauge.measure.doctor import as_json, examine, render
    except ModuleNotFoundError:
        raise
    except (ImportError, OSError) as error:
        raise TorchgaugeError(f"torch can't be imported: {error}; try: python -c 'import torch'") from None

    found = examine(device.resolve(options.device or "auto"), published, say)
    if options.format == "json":
        sys.stdout.write(as_json(found))
    else:
        terminal = sys.stdout.isatty()
        width = shutil.get_terminal_size((100, 40)).columns
        sys.stdout.write(render(found, width, colour=terminal and not os.environ.get("NO_COLOR")))
    return 4 if found.verdict == "poor" else 0


def _extra(side: str) -> str:
    return f"install torchgauge with its extra {side!r}, in a checkout: pip install '.[{side}]'"


def _spare(target: Path, runs: Sequence[Run]) -> None:
    """Refuse to write over a run that is read."""
    for run in runs:
        if target.exists() and target.samefile(run.path):
            raise TorchgaugeError(f"{target}: is the run itself; choose another file with -o")


def _read(names: Sequence[str]) -> list[Run]:
    from torchgauge.record import read

    runs = [read(name) for name in names]
    known: dict[str, Run] = {}
    for run in runs:
        if known.setdefault(run.id, run) is not run:
            raise TorchgaugeError(f"{run.path}: is run {run.id}, as {known[run.id].path} is; name it once")
    for warning in (warning for run in runs for warning in run.warnings):
        print(f"torchgauge: warning: {warning}", file=sys.stderr)
    return runs


_RUN_ONLY = (
    "device", "dtype", "keyword", "budget", "rounds", "processes", "seed", "collect_only",
    "results", "instruments", "threads", "no_ceilings",
)  # fmt: skip


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return value


def _threads(text: str) -> int:
    from torchgauge.measure.threads import parse

    try:
        return parse(text)
    except TorchgaugeError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _instruments(text: str) -> list[str]:
    from torchgauge.measure.schedule import INSTRUMENTS

    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    unknown = [name for name in names if name not in INSTRUMENTS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown instrument {unknown[0]!r}; choose from {', '.join(INSTRUMENTS)}"
        )
    return names


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(2, f"torchgauge: error: {message}; see: {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="torchgauge",
        description="Measures PyTorch code and says what the numbers are worth.",
        epilog="example: torchgauge run bench --budget quick",
    )
    parser.add_argument("--version", action="version", version=f"torchgauge {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    def command(name: str, act: Callable[[argparse.Namespace], int], example: str) -> argparse.ArgumentParser:
        summary = (act.__doc__ or "").strip()
        made = commands.add_parser(name, help=summary, description=summary, epilog=f"example: {example}")
        made.set_defaults(act=act)
        return made

    made = command("run", run, "torchgauge run bench -k matmul --dtype float32,bfloat16 --budget quick")
    add = made.add_argument
    add("paths", nargs="*", metavar="PATH", help="files, folders or file.py::function (default: bench)")
    add("--device", metavar="LIST", help="auto (the default), all, or a list such as cpu,cuda:1")
    add("--dtype", metavar="LIST", help="a list such as float32,bfloat16, or all (default: by budget)")
    add("-k", dest="keyword", metavar="EXPR", help="only benchmarks that match, as in pytest")
    add("--budget", choices=("quick", "standard", "thorough"), help="how much to measure (default: standard)")
    add(
        "--instruments",
        type=_instruments,
        metavar="LIST",
        help="time (the default), memory, profile, instructions, energy: a pass for each",
    )
    add("--rounds", type=_positive, metavar="N", help="passes over all cases (default: by budget)")
    add("--processes", type=_positive, metavar="N", help="fresh processes, each with all rounds (default: 1)")
    add(
        "--threads",
        type=_threads,
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

    made = command("show", show, "torchgauge show results/*.jsonl")
    made.add_argument("runs", nargs="+", metavar="RUN", help="run files")

    made = command("report", report, "torchgauge report results/*.jsonl -o report.html")
    made.add_argument("runs", nargs="+", metavar="RUN", help="run files")
    made.add_argument(
        "-o", "--output", metavar="FILE", help="file to write (default: report.html; stdout for Markdown)"
    )
    made.add_argument("--format", choices=("html", "markdown"), default="html", help="default: %(default)s")

    made = command("export", export, "torchgauge export run.jsonl --format parquet -o run.parquet")
    made.add_argument("run", metavar="RUN", help="a run file")
    made.add_argument(
        "--format", choices=("csv", "parquet", "pytest-benchmark"), required=True, help="what to write"
    )
    made.add_argument("-o", "--output", metavar="FILE", help="file to write (default: beside the run file)")

    made = command("doctor", doctor, "torchgauge doctor --device cuda")
    made.add_argument(
        "--device", metavar="LIST", help="auto (the default), all, or a list such as cpu,cuda:1"
    )
    made.add_argument("--format", choices=("text", "json"), default="text", help="default: %(default)s")
    return parser
