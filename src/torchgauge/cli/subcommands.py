"""How a subcommand is declared, and how the command's words are read."""

from __future__ import annotations

import argparse

from torchgauge import __version__

TYPE_CHECKING = False  # see torchgauge.cli
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal


class Subcommands:
    """The subcommands that were declared, and their parser."""

    def __init__(self) -> None:
        self.parser = _Parser(
            prog="torchgauge",
            description="Measures PyTorch code and says what the numbers are worth.",
            epilog="example: torchgauge run bench --budget quick",
        )
        self.parser.add_argument("--version", action="version", version=f"torchgauge {__version__}")
        self._parsers = self.parser.add_subparsers(
            dest="command", required=True, metavar="COMMAND", parser_class=_Parser
        )
        self._passing_on: set[str] = set()

    def add(
        self,
        name: str,
        act: Callable[[argparse.Namespace], int],
        *,
        extra: Literal["run", "report", "run,report"],
        example: str,
        passes_on: bool = False,
    ) -> argparse.ArgumentParser:
        """Declare a subcommand.

        Args:
            name: the word that calls it.
            act: what it does; takes the options and gives the exit code. Its docstring is the help's summary.
            extra: the extras of the package that have all it imports.
            example: a command line for the end of its help.
            passes_on: what follows `--` is pytest's, and `act` finds it as `pytest_args`.

        Returns:
            The parser that takes its arguments.

        """
        summary = (act.__doc__ or "").strip()
        made = self._parsers.add_parser(name, help=summary, description=summary, epilog=f"example: {example}")
        made.set_defaults(act=act, extra=extra)
        if passes_on:
            self._passing_on.add(name)
        return made

    def parse(self, words: list[str]) -> argparse.Namespace:
        """Read the command's words; wrong ones end the process with one line and exit code 2."""
        passed: list[str] = []
        if "--" in words and words[0] in self._passing_on:
            passed = words[words.index("--") + 1 :]
            words = words[: words.index("--")]
        options = self.parser.parse_args(words)
        options.pytest_args = passed
        return options


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(2, f"torchgauge: error: {message}; see: {self.prog} --help\n")


def cure(extra: str) -> str:
    """Say how to install what an extra has, or several with commas between them."""
    noun = "extras" if "," in extra else "extra"
    return f"install torchgauge with its {noun} {extra!r}, in a checkout: pip install '.[{extra}]'"
