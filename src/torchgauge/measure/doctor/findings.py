"""What a look at the machine gives: findings, each with its level, and the command that would mend it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Level = Literal["good", "note", "poor", "unknown"]


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that was looked at.

    `level` is "good"; "note" where times suffer and a judgement still can be made; "poor" where it can't;
    "unknown" where the machine does not tell, and `value` is then the reason. `cure` is what its owner
    can do about it, mostly a command: torchgauge changes no setting itself.
    """

    level: Level
    what: str
    value: str
    cure: str | None = None


def good(what: str, value: str) -> Finding:
    """Nothing to mend."""
    return Finding(level="good", what=what, value=value)


def note(what: str, value: str, cure: str | None = None) -> Finding:
    """Something that makes times weaker, or that some Instrument lacks."""
    return Finding(level="note", what=what, value=value, cure=cure)


def poor(what: str, value: str, cure: str | None = None) -> Finding:
    """Something that makes a judgement worthless."""
    return Finding(level="poor", what=what, value=value, cure=cure)


def unknown(what: str, why: str) -> Finding:
    """Something that could not be found out."""
    return Finding(level="unknown", what=what, value=why)


def share(part: float) -> str:
    """Write a share as a percentage: 0.3 %, 4.2 %, 37 %."""
    percent = 100 * part
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.1f} %"
