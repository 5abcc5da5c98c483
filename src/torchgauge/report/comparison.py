"""A comparison for people and for machines: the terminal's table and JSON, both of one outcome."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from torchgauge.analysis.gate import Comparison, Verdict

if TYPE_CHECKING:
    from torchgauge.ab import Outcome

SCHEMA = 1
EXIT_CODES = {
    Verdict.REGRESSED: 1,
    Verdict.ERROR: 3,
    Verdict.MISSING: 3,
    Verdict.INVALID: 4,
    Verdict.INCONCLUSIVE: 0,
    Verdict.IMPROVED: 0,
    Verdict.EQUIVALENT: 0,
}


def as_text(found: Outcome) -> str:
    """Write the table, the worst first, and what the run as a whole says."""
    header = found.header
    lines = [
        f"base  {_side(header.base)}",
        f"head  {_side(header.head)}",
        f"ratio is head / base: over 1 is slower. {len(found.comparisons)} cases, {found.pairs} pairs, "
        f"{found.wall_seconds:.0f} s, {_percent(found.timed_seconds / found.wall_seconds)} of it timed.",
        "",
    ]
    rows = [
        ("verdict", "ratio", "95 % interval", "p", "floor", "pairs", "case"),
        *map(_row, found.comparisons),
    ]
    widths = [max(len(row[place]) for row in rows) for place in range(6)]
    for *cells, case in rows:
        aligned = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        lines.append("  ".join([*aligned, case]))
    unclear = [one.smallest_effect for one in found.comparisons if one.smallest_effect is not None]
    lines.append("")
    if unclear:
        lines.append(
            f"INCONCLUSIVE: pairs such as these show a change of {_percent(min(unclear))} to "
            f"{_percent(max(unclear))} in 8 of 10 runs; allow more --minutes for less."
        )
    lines += found.notes
    if found.disturbed is not None:
        lines.append(f"INVALID: {found.disturbed}; no verdict of this run counts. Run it again.")
    return "\n".join([*lines, f"{found.verdict}", f"file  {found.path}", ""])


def as_json(found: Outcome) -> str:
    """Write the contract's JSON: ratio = head / base, null where nothing is known."""
    document = {
        "schema": SCHEMA,
        "verdict": found.verdict,
        "disturbed": found.disturbed,
        "comparisons": [
            {
                "case": one.case,
                "metric": one.metric,
                "verdict": one.verdict,
                "ratio": one.ratio,
                "low": one.low,
                "high": one.high,
                "p": one.p,
                "floor": one.floor,
                "pairs": one.pairs,
                "smallest_effect": one.smallest_effect,
            }
            for one in found.comparisons
        ],
        "environment": {"base": found.header.base, "head": found.header.head},
        "config": found.header.config,
        "pairs": found.pairs,
        "wall_seconds": found.wall_seconds,
        "timed_seconds": found.timed_seconds,
        "file": str(found.path),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _row(one: Comparison) -> tuple[str, ...]:
    interval = "" if one.low is None or one.high is None else f"{one.low:.3f} – {one.high:.3f}"
    return (
        str(one.verdict),
        "" if one.ratio is None else f"{one.ratio:.3f}",
        interval,
        "" if one.p is None else f"{one.p:.2g}",
        "" if one.floor is None else _percent(one.floor),
        str(one.pairs or ""),
        one.case,
    )


def _side(side: object) -> str:
    spec, revision, dirty = (getattr(side, name) for name in ("spec", "revision", "dirty"))
    return " ".join([spec, *([revision[:10]] if revision else []), *(["with changes"] if dirty else [])])


def _percent(share: float) -> str:
    return f"{100 * share:.{0 if share >= 0.1 else 1}f} %" if math.isfinite(share) else "?"
