"""Text that came out of a run file, made safe to show, and the small words of a table."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable

from torchgauge.analysis.frame import NUMBER
from torchgauge.units import parse_quantity, significant

LONGEST = 500
"""Characters of one text that are shown; a message can be as long as its writer likes."""

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_SHAPE = re.compile(r"[(\[]?\s*(\d{1,15}(?:\s*[x×,*]\s*\d{1,15})*)\s*,?\s*[)\]]?")


def plain(value: object, longest: int = LONGEST) -> str:
    """Write a value from a run file on one line, without anything that a terminal or page would obey.

    Escape sequences go; so do control, format (bidirectional overrides among them) and private
    characters; white space becomes one blank; what is longer than `longest` ends in "…".
    """
    text = _ANSI.sub("", str(value)[: 20 * longest])
    text = "".join(
        " " if sign.isspace() else sign
        for sign in text
        if sign.isspace() or unicodedata.category(sign)[0] != "C"
    )
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def size_of(value: object) -> float | None:
    """Give how large a parameter's value is, None if it is no size: 1024, "2x3", "(2, 3)", "4 KiB"."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return float(value) if abs(value) < 1e300 else None  # not so for NaN and integers beyond floats
    text = str(value)[:80]
    if shape := _SHAPE.fullmatch(text.strip()):
        return math.prod(float(part) for part in re.findall(r"\d+", shape[1]))
    try:
        return parse_quantity(text, "B")
    except ValueError:
        return None


def label(value: object) -> str:
    """Write a parameter's value for a table: large integers in groups of three, all else as it is."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return plain(value, 60)
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 10**15 else plain(value, 24)
    return f"{value:g}"


def percent(share: float) -> str:
    """Write a share for a ±: 0.0004 is <0.1%, 0.004 is 0.4%, 0.02 is 2%, 20 is 20×."""
    if share < 0.0005:
        return "<0.1%"
    if share < 0.01:
        return f"{100 * share:.1f}%"
    return f"{100 * share:.0f}%" if share < 10 else f"{significant(share, 2)}×"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Write "1 case", "2 cases"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def merge(sentences: Iterable[str]) -> str:
    """Join sentences that differ in their numbers alone: "is 12 % of" and "is 7 % of" give "is 7–12 % of".

    Raises:
        ValueError: there is none.

    """
    variants = [plain(sentence) for sentence in sentences]
    if not variants:
        raise ValueError("no sentence to merge")
    found = [NUMBER.findall(variant) for variant in variants]
    columns = [sorted(set(column), key=_number) for column in zip(*found, strict=True)]
    ranges = iter(column[0] if len(column) == 1 else f"{column[0]}–{column[-1]}" for column in columns)
    return NUMBER.sub(lambda _: next(ranges), variants[0])


def shape(sentence: str) -> str:
    """Give a sentence without its numbers: what `merge` may join has the same shape."""
    return NUMBER.sub("#", plain(sentence))


def _number(text: str) -> float:
    return float(text.replace(",", ""))
