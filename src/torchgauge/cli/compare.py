"""`torchgauge compare`: runs side by side, along any keys."""

from __future__ import annotations

import sys

from torchgauge.cli.inputs import FOLDERS, read_runs
from torchgauge.errors import TorchgaugeError

TYPE_CHECKING = False  # see torchgauge.cli
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from torchgauge.cli.subcommands import Subcommands


def declare(subcommands: Subcommands) -> None:
    """Declare `compare`."""
    made = subcommands.add(
        "compare",
        compare,
        extra="report",
        example="torchgauge compare results/*.jsonl --rows case --columns dtype --where group=matmul",
    )
    made.add_argument("runs", nargs="+", metavar="RUN", help=f"run files, {FOLDERS}")
    declare_keys(made.add_argument)
    made.add_argument(
        "--format",
        choices=("text", "markdown", "csv", "json"),
        default="text",
        help="what is printed (default: %(default)s)",
    )


def declare_keys(add: Callable[..., object], default: str | None = "") -> None:
    """Declare what lays runs out; with a `default` of None nothing is laid out unasked."""
    rows, columns = (None, None) if default is None else ("case", "run")
    add(
        "--rows",
        default=rows,
        metavar="KEYS",
        help="what is told apart by rows: case (the default), group, name, device, dtype, metric, run, "
        "machine, torch, threads, commit, a parameter, a fact of the environment; several with commas",
    )
    add("--columns", default=columns, metavar="KEYS", help="what is told apart by columns (default: run)")
    add(
        "--where",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="only what has this value, or one of several with commas; may be given again",
    )
    add("--baseline", metavar="VALUE", help="the column that others are compared with (default: the first)")


def compare(options: argparse.Namespace) -> int:
    """Lay runs out on rows and columns, with the ratios between the columns."""
    from torchgauge.report import projection

    laid = projection.laid_out(
        read_runs(options.runs),
        words(options.rows, "--rows"),
        words(options.columns, "--columns"),
        conditions(options.where),
        None if options.baseline is None else options.baseline.split(","),
    )
    if options.format == "text":
        projection.show(laid)
    elif options.format == "markdown":
        from torchgauge.report import markdown

        sys.stdout.write(markdown.side_by_side(laid) + "\n")
    else:
        sys.stdout.write(projection.RENDERERS[options.format](laid))
    return 0


def words(text: str, option: str) -> list[str]:
    """Part a list of keys.

    Raises:
        TorchgaugeError: a key is empty.

    """
    found = [word.strip() for word in text.split(",")]
    if not all(found):
        raise TorchgaugeError(f"{option} {text!r}: name keys such as case or dtype, with commas between them")
    return found


def conditions(texts: Sequence[str]) -> dict[str, list[str]]:
    """Part what `--where` was given; of one key given twice, both are allowed.

    Raises:
        TorchgaugeError: one is not KEY=VALUE.

    """
    found: dict[str, list[str]] = {}
    for text in texts:
        key, sign, values = text.partition("=")
        if not (key.strip() and sign):
            raise TorchgaugeError(f"--where {text!r}: say KEY=VALUE, such as dtype=float32")
        found.setdefault(key.strip(), []).extend(value.strip() for value in values.split(","))
    return found
