"""What an argument's text means; text without a meaning is refused in one line."""

from __future__ import annotations

import argparse

from torchgauge.errors import TorchgaugeError


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

    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    unknown = [name for name in names if name not in INSTRUMENTS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"unknown instrument {unknown[0]!r}; choose from {', '.join(INSTRUMENTS)}"
        )
    return names
