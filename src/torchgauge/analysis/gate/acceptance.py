"""Regressions that are accepted: a TOML file says which, why, and until when.

[[accept]]
case = "sine_mlp/training[cpu,float32]"
reason = "the new check is worth it"
expires = 2027-01-31
most = 1.10   # accepted up to this ratio; left out: whatever it is
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec
from msgspec import Struct

from torchgauge.errors import TorchgaugeError
from torchgauge.record.ab import Comparison, Verdict


class Accepted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry. `case` is an id in which `*` stands for anything; `expires` is the last day."""

    case: str
    reason: str
    expires: date
    most: float | None = None


class _File(Struct, forbid_unknown_fields=True):
    accept: list[Accepted]


def read_accepted(path: Path) -> list[Accepted]:
    """Read such a file.

    Raises:
        TorchgaugeError: it can't be read; says which entry and field.

    """
    try:
        found = msgspec.toml.decode(path.read_bytes(), type=_File).accept
    except OSError as error:
        raise TorchgaugeError(f"{path}: can't be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TorchgaugeError(f"{path}: {error}") from None
    for one in found:
        if not one.reason.strip():
            raise TorchgaugeError(f"{path}: {one.case}: say the reason for which it is accepted")
        if one.most is not None and not one.most > 1:
            raise TorchgaugeError(
                f"{path}: {one.case}: most = {one.most:g}: say a ratio above 1, such as 1.1"
            )
    return found


def accept(
    comparisons: Sequence[Comparison], accepted: Sequence[Accepted], today: date
) -> tuple[list[Comparison], list[str]]:
    """Mark what is accepted.

    Args:
        comparisons: what was found.
        accepted: entries; the first that matches counts.
        today: the day, in UTC.

    Returns:
        The comparisons, and a line for each entry that has expired or that no case of these matches.

    """
    notes = [
        f"accepted regression of {one.case} expired on {one.expires}: {one.reason}"
        for one in accepted
        if one.expires < today
    ]
    notes += [
        f"accepted regression of {one.case}: there is no such case; remove the entry"
        for one in accepted
        if not any(_matches(one, comparison) for comparison in comparisons)
    ]
    valid = [one for one in accepted if one.expires >= today]
    return [_marked(comparison, valid) for comparison in comparisons], notes


def _marked(comparison: Comparison, valid: Sequence[Accepted]) -> Comparison:
    if comparison.verdict is not Verdict.REGRESSED:
        return comparison
    for one in valid:
        if _matches(one, comparison) and _within(comparison.ratio, one.most):
            return msgspec.structs.replace(comparison, accepted=f"{one.reason} (until {one.expires})")
    return comparison


def _within(ratio: float | None, most: float | None) -> bool:
    """Tell whether a regression is no larger than what is accepted; one from nothing has no ratio."""
    return most is None or (ratio is not None and ratio <= most)


def _matches(one: Accepted, comparison: Comparison) -> bool:
    # an id holds brackets, which a pattern would take for a set of characters
    pattern = one.case.replace("[", "[[]")
    return one.case == comparison.case or fnmatchcase(comparison.case, pattern)
