"""What an argument's text means; text without a meaning is refused in one line."""

from __future__ import annotations

import argparse

from torchgauge.errors import TorchgaugeError

TYPE_CHECKING = False  # see torchgauge.cli
if TYPE_CHECKING:
    from collections.abc import Sequence


def positive(text: str) -> int:
    """Read a whole number of 1 or more."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return value


def threads(text: str) -> int:
    """Read a number of threads, or `all`."""
    from torchgauge.measure.threads import parse

    try:
        return parse(text)
    except TorchgaugeError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def instruments(text: str) -> list[str]:
    """Read a list of instruments; one named twice counts once."""
    from torchgauge.measure.schedule import INSTRUMENTS

    return _names(text, "instrument", INSTRUMENTS)


def metrics(text: str) -> list[str]:
    """Read a list of what a comparison is made by; one named twice counts once."""
    return _names(text, "metric", ("time", "instructions", "counts"))


def _names(text: str, noun: str, known: Sequence[str]) -> list[str]:
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown {noun} {unknown[0]!r}; choose from {', '.join(known)}")
    return names
