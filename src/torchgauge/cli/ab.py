"""`torchgauge ab`, two sides measured in turns, and `torchgauge aa`, one side twice."""

from __future__ import annotations

import sys

from torchgauge.cli.arguments import metrics, positive, threads
from torchgauge.errors import TorchgaugeError

TYPE_CHECKING = False  # see torchgauge.cli
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

    from torchgauge.cli.subcommands import Subcommands
    from torchgauge.measure.ab.conductor import Request
    from torchgauge.record.ab import AbRun

FORMATS = ("text", "json", "markdown", "junit")
_NAMES = {"json": "JSON", "markdown": "Markdown", "junit": "JUnit XML", "page": "an HTML page"}
_SPEC = "git:REF, python:PATH or here"


def declare(subcommands: Subcommands) -> None:
    """Declare `ab` and `aa`."""
    made = subcommands.add(
        "ab", ab, extra="run,report", example="torchgauge ab bench --base git:main -k matmul", passes_on=True
    )
    add = made.add_argument
    add("paths", nargs="*", metavar="PATH", help="files, folders or file.py::function (default: bench)")
    add("--base", metavar="SPEC", required=True, help=f"what head is compared with: {_SPEC}")
    add("--head", metavar="SPEC", default="here", help=f"what is judged: {_SPEC} (default: here)")
    add("--bench-from", choices=("head", "each"), default="head", help="whose benchmarks both sides run")
    add(
        "--metric",
        type=metrics,
        default=["time"],
        metavar="LIST",
        help="time (the default), instructions, counts (operators, copies, allocations, kernels, launches)",
    )
    add("--accept", metavar="FILE", help="TOML file of accepted regressions, each with reason and expiry")
    add("--format", choices=FORMATS, default="text", help="what is printed (default: %(default)s)")
    for form in (*FORMATS[1:], "page"):
        add(f"--{form}", metavar="FILE", help=f"write {_NAMES[form]} to a file, too")
    add("--annotations", action="store_true", help="GitHub's annotations, on stderr")
    _declare_measuring(add)

    made = subcommands.add(
        "aa", aa, extra="run,report", example="torchgauge aa bench --runs 5", passes_on=True
    )
    add = made.add_argument
    add("paths", nargs="*", metavar="PATH", help="files, folders or file.py::function (default: bench)")
    add("--side", metavar="SPEC", default="here", help=f"what is measured twice: {_SPEC} (default: here)")
    add("--runs", type=positive, default=3, metavar="N", help="runs of the gate (default: %(default)s)")
    add("--add", nargs="+", default=[], metavar="FILE", help="A/A files measured before; they count, too")
    add("--format", choices=("text", "json"), default="text", help="what is printed (default: %(default)s)")
    add("--page", metavar="FILE", help="write an HTML page with the plots, too")
    _declare_measuring(add)


def _declare_measuring(add: Callable[..., object]) -> None:
    """Declare what both have: how a run of the gate measures."""
    add("--source", metavar="DIR", help="folder of the code under test (default: src, or the top)")
    add("--minutes", type=float, default=5.0, metavar="N", help="time for the pairs of a run (default: 5)")
    add(
        "--isolation",
        choices=("paired", "sequential"),
        default="paired",
        help="sides take turns (the default), or run one after the other, where two at once would disturb",
    )
    add("--device", default="auto", metavar="LIST", help="auto (the default), or a list such as cpu,cuda:1")
    add("--dtype", metavar="LIST", help="a list such as float32,bfloat16 (default: by budget)")
    add("-k", dest="keyword", metavar="EXPR", help="only benchmarks that match, as in pytest")
    add("--budget", choices=("quick", "standard", "thorough"), default="quick", help="default: %(default)s")
    add("--threads", type=threads, default=1, metavar="N", help="within an operator (default: 1)")
    add("--seed", type=int, metavar="N", help="of all that is drawn (default: drawn, and stored)")
    add("--timeout", type=positive, default=60, metavar="S", help="seconds of silence that are a hang")
    add("--results", default="results", metavar="DIR", help="folder of the A/B files (default: results)")


def ab(options: argparse.Namespace) -> int:
    """Compare two versions, taking turns: the regression gate."""
    from pathlib import Path

    from torchgauge.ab import Plan, compare
    from torchgauge.analysis.gate.acceptance import read_accepted
    from torchgauge.files import check_writable, replace
    from torchgauge.measure import sides
    from torchgauge.report.gate import annotations, words

    targets = {form: Path(name) for form in (*FORMATS[1:], "page") if (name := getattr(options, form))}
    for form, target in targets.items():
        check_writable(target, f"--{form}")
    _check_minutes(options)
    plan = Plan(
        minutes=options.minutes,
        metrics=options.metric,
        accepted=read_accepted(Path(options.accept)) if options.accept else [],
        bench_from=options.bench_from,
        source=options.source,
        accept=options.accept,
        folder=options.results,
    )
    base, head = sides.parse(options.base), sides.parse(options.head)
    request, results = _request(options), _results(options)
    with sides.prepared(
        base, head, repository=Path(), source=options.source, bench_from=options.bench_from
    ) as both:
        found = compare(*both, request, plan, results, _say)
    for form, target in targets.items():
        replace(target, _renderer(form)(found).encode(), f"--{form}")
    if options.annotations:
        sys.stderr.write(annotations.render(found, _folder()))
    sys.stdout.write(_renderer(options.format)(found))
    return words.exit_code(found)


def aa(options: argparse.Namespace) -> int:
    """Measure one version against itself: the noise of this machine, and the gate's false alarms."""
    from pathlib import Path

    from torchgauge.ab import Plan, compare, keep_noise
    from torchgauge.analysis.gate import Design
    from torchgauge.analysis.gate.noise import alike, machine_noise
    from torchgauge.files import check_writable, replace
    from torchgauge.measure import sides
    from torchgauge.record import read_ab
    from torchgauge.record.ab import Verdict
    from torchgauge.report.gate import noise, noise_page, words

    if options.page:
        check_writable(Path(options.page), "--page")
    _check_minutes(options)
    runs = [read_ab(name) for name in options.add]
    if runs:
        alike(runs)  # what can't be added is told before anything is measured
        if options.isolation not in {run.header.config.isolation for run in runs}:
            raise TorchgaugeError(f"--add: these runs are not {options.isolation}; name those that are")
        if len({run.header.id for run in runs}) < len(runs):
            raise TorchgaugeError("--add: a run is named twice; name it once")
    side = sides.parse(options.side)
    request, results = _request(options), _results(options)
    plan = Plan(minutes=options.minutes, source=options.source, folder=options.results)
    with sides.prepared(side, side, repository=Path(), source=options.source, bench_from="head") as both:
        for number in range(options.runs):
            _say(f"A/A run {number + 1} of {options.runs}")
            drawn = request if number == 0 else _request(options, more=number)
            runs.append(compare(*both, drawn, plan, results, _say))
            alike(runs)  # those added may be of another machine
    found = machine_noise(runs, Design())
    if options.page:
        replace(Path(options.page), noise_page.render(found).encode(), "--page")
    sys.stdout.write(noise.document(found) if options.format == "json" else noise.text(found))
    if not found.cases:
        _say("nothing is stored: no case was measured in a run that counts")
        return words.EXIT_CODES[Verdict.INVALID if found.invalid == found.runs else Verdict.ERROR]
    _say(f"stored for torchgauge ab on this machine: {keep_noise(found, results)}")
    return 0


def _renderer(form: str) -> Callable[[AbRun], str]:
    if form == "page":  # the one that needs matplotlib
        from torchgauge.report.gate import page

        return page.render
    from torchgauge.report.gate import document, junit, markdown, text

    renderers = {
        "text": text.render,
        "json": document.render,
        "markdown": markdown.render,
        "junit": junit.render,
    }
    return renderers[form]


def _request(options: argparse.Namespace, more: int = 0) -> Request:
    """Say what both sides measure; `more` is added to a seed that was given."""
    import secrets

    from torchgauge.measure.ab.conductor import Request

    return Request(
        paths=options.paths or ["bench"],
        device=options.device,
        dtype=options.dtype,
        keyword=options.keyword,
        budget=options.budget,
        threads=options.threads,
        seed=secrets.randbits(32) if options.seed is None else options.seed + more,
        patience=float(options.timeout),
        isolation=options.isolation,
        pytest_args=options.pytest_args,
    )


def _check_minutes(options: argparse.Namespace) -> None:
    if not 0 < options.minutes < 1e6:
        raise TorchgaugeError(f"--minutes {options.minutes:g}: say a number above 0")


def _results(options: argparse.Namespace) -> Path:
    from pathlib import Path

    results = Path(options.results).resolve()
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TorchgaugeError(
            f"{results}: can't be written: {error.strerror}; choose another folder with --results DIR"
        ) from None
    return results


def _folder() -> str:
    """Name the working directory from the top of a GitHub job's checkout; "" outside of one."""
    import os
    from pathlib import Path

    top, here = Path(os.environ.get("GITHUB_WORKSPACE") or Path()).resolve(), Path().resolve()
    return here.relative_to(top).as_posix() if here.is_relative_to(top) else ""


def _say(line: str) -> None:
    import contextlib

    with contextlib.suppress(OSError):  # a full disk behind 2>file costs the notes alone
        print(line, file=sys.stderr, flush=True)
