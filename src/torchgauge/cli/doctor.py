"""`torchgauge doctor`: the machine's conditions, and what to mend."""

from __future__ import annotations

import os
import sys

from torchgauge.errors import TorchgaugeError

TYPE_CHECKING = False  # see torchgauge.cli
if TYPE_CHECKING:
    import argparse

    from torchgauge.cli.subcommands import Subcommands


def declare(subcommands: Subcommands) -> None:
    """Declare `doctor`."""
    made = subcommands.add("doctor", doctor, extra="run", example="torchgauge doctor --device cuda")
    made.add_argument(
        "--device", metavar="LIST", help="auto (the default), all, or a list such as cpu,cuda:1"
    )
    made.add_argument("--format", choices=("text", "json"), default="text", help="default: %(default)s")


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
