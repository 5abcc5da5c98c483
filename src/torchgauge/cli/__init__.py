"""The command. One module a family of subcommands, each imports what it needs, so that `--help` is quick."""

from __future__ import annotations

import io
import os
import sys

from torchgauge.cli import ab, compare, doctor, reading, run
from torchgauge.cli.subcommands import Subcommands, cure
from torchgauge.errors import TorchgaugeError, one_line

TYPE_CHECKING = False  # typing's own is not imported: `--help` is to be as quick as argparse
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        The exit code: 0 fine, 1 a case failed or regressed, 2 usage or unreadable input, 3 a side of a
        comparison failed, 4 conditions too poor to judge, 130 interrupted.

    """
    _open_streams()
    options = declared().parse(list(sys.argv[1:] if arguments is None else arguments))
    act: Callable[[argparse.Namespace], int] = options.act
    try:
        code = act(options)
        sys.stdout.flush()
        return code
    except TorchgaugeError as error:
        print(f"torchgauge: error: {one_line(str(error))}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f"torchgauge: error: {error.name} is missing; {cure(options.extra)}", file=sys.stderr)
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


def declared() -> Subcommands:
    """Give all subcommands, in the order in which the help lists them."""
    made = Subcommands()
    run.declare(made)
    ab.declare(made)
    reading.declare(made)
    compare.declare(made)
    doctor.declare(made)
    return made


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
