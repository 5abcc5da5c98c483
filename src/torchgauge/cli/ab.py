"""`torchgauge ab`: two sides measured in turns, and what is said of each case."""

from __future__ import annotations

import sys

from torchgauge.cli.arguments import positive, threads
from torchgauge.errors import TorchgaugeError

TYPE_CHECKING = False  # see torchgauge.cli
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from torchgauge.cli.subcommands import Subcommands
    from torchgauge.record.ab import AbRun

FORMATS = ("text", "json", "markdown", "junit")
_NAMES = {"json": "JSON", "markdown": "Markdown", "junit": "JUnit XML", "page": "an HTML page"}
_SPEC = "git:REF, python:PATH or here"


def declare(subcommands: Subcommands) -> None:
    """Declare `ab`."""
    made = subcommands.add(
        "ab", ab, extra="run", example="torchgauge ab bench --base git:main -k matmul", passes_on=True
    )
    add = made.add_argument
    add("paths", nargs="*", metavar="PATH", help="files, folders or file.py::function (default: bench)")
    add("--base", metavar="SPEC", required=True, help=f"what head is compared with: {_SPEC}")
    add("--head", metavar="SPEC", default="here", help=f"what is judged: {_SPEC} (default: here)")
    add("--source", metavar="DIR", help="folder of the code under test, in both (default: src, or the top)")
    add("--bench-from", choices=("head", "each"), default="head", help="whose benchmarks both sides run")
    add("--minutes", type=float, default=5.0, metavar="N", help="time for all pairs (default: 5)")
    add("--device", default="auto", metavar="LIST", help="auto (the default), or a list such as cpu,cuda:1")
    add("--dtype", metavar="LIST", help="a list such as float32,bfloat16 (default: by budget)")
    add("-k", dest="keyword", metavar="EXPR", help="only benchmarks that match, as in pytest")
    add("--budget", choices=("quick", "standard", "thorough"), default="quick", help="default: %(default)s")
    add("--threads", type=threads, default=1, metavar="N", help="within an operator (default: 1)")
    add("--seed", type=int, metavar="N", help="of all that is drawn (default: drawn, and stored)")
    add("--timeout", type=positive, default=60, metavar="S", help="seconds of silence that are a hang")
    add("--results", default="results", metavar="DIR", help="folder of the A/B file (default: results)")
    add("--format", choices=FORMATS, default="text", help="what is printed (default: %(default)s)")
    for form in (*FORMATS[1:], "page"):
        add(f"--{form}", metavar="FILE", help=f"write {_NAMES[form]} to a file, too")
    add("--accept", metavar="FILE", help="TOML file of accepted regressions, each with reason and expiry")
    add("--annotations", action="store_true", help="GitHub's annotations, on stderr")


def ab(options: argparse.Namespace) -> int:
    """Compare two versions, taking turns: the regression gate."""
    import contextlib
    import secrets
    from pathlib import Path

    from torchgauge.ab import compare
    from torchgauge.analysis.gate.acceptance import read_accepted
    from torchgauge.files import replace
    from torchgauge.measure import sides
    from torchgauge.measure.ab.conductor import Request
    from torchgauge.report.gate import annotations, words

    def say(line: str) -> None:
        with contextlib.suppress(OSError):  # a full disk behind 2>file costs the notes alone
            print(line, file=sys.stderr, flush=True)

    if not 0 < options.minutes < 1e6:
        raise TorchgaugeError(f"--minutes {options.minutes:g}: say a number above 0")
    accepted = read_accepted(Path(options.accept)) if options.accept else []
    base, head = sides.parse(options.base), sides.parse(options.head)
    request = Request(
        paths=options.paths or ["bench"],
        device=options.device,
        dtype=options.dtype,
        keyword=options.keyword,
        budget=options.budget,
        threads=options.threads,
        seed=secrets.randbits(32) if options.seed is None else options.seed,
        patience=float(options.timeout),
        pytest_args=options.pytest_args,
    )
    results = Path(options.results).resolve()
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TorchgaugeError(
            f"{results}: can't be written: {error.strerror}; choose another folder with --results DIR"
        ) from None
    with sides.prepared(
        base, head, repository=Path(), source=options.source, bench_from=options.bench_from
    ) as both:
        found = compare(
            *both,
            request,
            minutes=options.minutes,
            results=results,
            bench_from=options.bench_from,
            source=options.source,
            say=say,
            accepted=accepted,
        )
    for form in (*FORMATS[1:], "page"):
        if target := getattr(options, form):
            replace(Path(target), _renderer(form)(found).encode())
    if options.annotations:
        sys.stderr.write(annotations.render(found))
    sys.stdout.write(_renderer(options.format)(found))
    return words.exit_code(found)


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
