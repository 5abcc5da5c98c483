"""`torchgauge show`, `report`, `history` and `export`: what can be made of runs."""

from __future__ import annotations

import sys

from torchgauge.cli.compare import conditions, declare_keys, words
from torchgauge.cli.inputs import AB, FOLDERS, against, beside, each, read_runs, run_paths, spare
from torchgauge.errors import TorchgaugeError

TYPE_CHECKING = False  # see torchgauge.cli
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from torchgauge.analysis.history import Key, Point
    from torchgauge.cli.subcommands import Subcommands
    from torchgauge.record import Run
    from torchgauge.report.projection import Laid


def declare(subcommands: Subcommands) -> None:
    """Declare `show`, `report`, `history` and `export`."""
    made = subcommands.add("show", show, extra="report", example="torchgauge show results/*.jsonl")
    made.add_argument("runs", nargs="+", metavar="RUN", help=f"run files, {FOLDERS}, or A/B files")

    made = subcommands.add(
        "report", report, extra="report", example="torchgauge report results/*.jsonl -o report.html"
    )
    made.add_argument("runs", nargs="+", metavar="RUN", help=f"run files, {FOLDERS}")
    made.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="file to write (default: report.html; stdout for other formats)",
    )
    made.add_argument(
        "--format", choices=("html", "markdown", "csv", "json"), default="html", help="default: %(default)s"
    )
    made.add_argument(
        "--against",
        metavar="WHAT",
        help="runs to put beside: a run file, a folder of them, or reference (those in results/reference)",
    )
    declare_keys(made.add_argument, default=None)

    made = subcommands.add("history", history, extra="report", example="torchgauge history results")
    made.add_argument("folder", metavar="DIR", help="folder of run files; subfolders are looked into")
    made.add_argument("-k", dest="keyword", metavar="TEXT", help="only Cases whose id holds the text")
    made.add_argument("--format", choices=("text", "json"), default="text", help="default: %(default)s")

    made = subcommands.add(
        "export",
        export,
        extra="report",
        example="torchgauge export run.jsonl --format parquet -o run.parquet",
    )
    made.add_argument("run", metavar="RUN", help="a run file, or a folder of them (Parquet alone)")
    made.add_argument(
        "--format", choices=("csv", "parquet", "pytest-benchmark"), required=True, help="what to write"
    )
    made.add_argument("-o", "--output", metavar="FILE", help="file to write (default: beside the run file)")


def show(options: argparse.Namespace) -> int:
    """Show runs as tables."""
    if all(name.endswith(AB) for name in options.runs):
        from torchgauge.record import read_ab
        from torchgauge.report.gate import text

        sys.stdout.write("\n".join(text.render(read_ab(name)) for name in options.runs))
        return 0
    from torchgauge.report import terminal

    terminal.show(read_runs(options.runs))
    return 0


def report(options: argparse.Namespace) -> int:
    """Write a page, Markdown, or the summaries as CSV or JSON."""
    from pathlib import Path

    from torchgauge.files import check_writable, replace

    target = Path(options.output or "report.html")
    to_file = options.output is not None or options.format == "html"
    if to_file:
        check_writable(target, "-o")  # a page of large runs takes its time
    runs = read_runs(beside(options.runs, against(options.against)))
    spare(target, runs)
    laid = None
    if options.rows or options.columns or options.where or options.baseline:
        from torchgauge.report.projection import laid_out

        laid = laid_out(
            runs,
            words(options.rows or "case", "--rows"),
            words(options.columns or "run", "--columns"),
            conditions(options.where),
            None if options.baseline is None else options.baseline.split(","),
        )
    written = _written(options.format, runs, laid, target.parent)
    if to_file:
        replace(target, written)
        print(target)
    else:
        sys.stdout.write(written.decode())
    return 0


def _written(form: str, runs: Sequence[Run], laid: Laid | None, folder: Path) -> bytes:
    if form == "html":
        from torchgauge.report import html

        return html.render(runs, laid, folder).encode()
    if form == "markdown":
        from torchgauge.report import markdown

        return markdown.render(runs, laid).encode()
    if laid:
        from torchgauge.report import projection

        return projection.RENDERERS[form](laid).encode()
    from torchgauge.analysis import export as exporting

    return (exporting.csv if form == "csv" else exporting.json_of)(*runs)


def history(options: argparse.Namespace) -> int:
    """Find when Cases changed their level, over many runs."""
    from torchgauge.analysis.history import changes, changes_of, histories
    from torchgauge.report import history as report

    read_all = each(_points, run_paths(options.folder), "runs")
    series = histories(_once(read_all))
    if options.keyword:
        series = [one for one in series if options.keyword in one.case]
    found = changes(each(changes_of, series, "series"))
    render = report.document if options.format == "json" else report.text
    sys.stdout.write(render(series, found))
    return 0


def _points(path: Path) -> tuple[str, dict[Key, Point] | None]:
    """Read the headlines of a run file: its run's id and them, or why it can't be read and None."""
    from torchgauge.analysis.history import points
    from torchgauge.record import RecordError, read

    try:
        run = read(path)
    except RecordError as error:
        return str(error), None
    return run.id, points(run)


def _once(runs: Iterable[tuple[str, dict[Key, Point] | None]]) -> Iterator[dict[Key, Point]]:
    """Pass on each run once; one that can't be read is told and left out."""
    known: set[str] = set()
    for name, found in runs:
        if found is None:
            print(f"torchgauge: warning: left out: {name}", file=sys.stderr)
        elif name not in known:
            known.add(name)
            yield found


def export(options: argparse.Namespace) -> int:
    """Write a run in another tool's format, or a folder of runs as partitioned Parquet."""
    from pathlib import Path

    from torchgauge.analysis import export as exporting
    from torchgauge.record import read

    source = Path(options.run)
    if source.is_dir():
        return _export_all(source, options.format, options.output)
    endings = {"csv": ".csv", "parquet": ".parquet", "pytest-benchmark": ".json"}
    target = Path(options.output) if options.output else source.with_suffix(endings[options.format])
    run = read(source)
    spare(target, [run])
    exporting.export(run, options.format, target)
    print(target)
    return 0


def _export_all(folder: Path, form: str, output: str | None) -> int:
    from functools import partial
    from pathlib import Path

    if form != "parquet":
        raise TorchgaugeError(f"{folder}: a folder of runs is exported as Parquet: --format parquet")
    target = Path(output) if output else folder.resolve().with_suffix(".parquet")
    written = False
    for done, left_out in each(partial(_export_one, target), _by_run(run_paths(str(folder))), "runs"):
        written |= done
        for told in left_out:
            print(f"torchgauge: warning: left out: {told}", file=sys.stderr)
    if not written:
        raise TorchgaugeError(f"{folder}: no run in it could be read")
    print(target)
    return 0


def _by_run(paths: Sequence[Path]) -> list[list[Path]]:
    """Group files by their run, the longest first: a copy may be from before the run was resumed."""
    from torchgauge.record import run_id

    found: dict[object, list[Path]] = {}
    for path in paths:
        found.setdefault(run_id(path) or path, []).append(path)
    for some in found.values():
        if len(some) > 1:
            some.sort(key=lambda path: -path.stat().st_size)
    return list(found.values())


def _export_one(target: Path, paths: Sequence[Path]) -> tuple[bool, list[str]]:
    """Write one run to its partition, from the first of its files that can be read.

    Gives whether there was one, and why each of the others was left out.
    """
    from torchgauge.analysis import export as exporting
    from torchgauge.files import replace
    from torchgauge.record import RecordError, read

    run, left_out = None, []
    for path in paths:
        if run is not None:
            left_out.append(f"{path}: is of the same run as {run.path}")
            continue
        try:
            run = read(path)
        except RecordError as error:
            left_out.append(str(error))
    if run is None:
        return False, left_out
    place = target / exporting.partition(run)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TorchgaugeError(
            f"{target}: can't be written: {error.strerror}; choose another with -o"
        ) from None
    replace(place, exporting.parquet(run))
    return True, left_out
