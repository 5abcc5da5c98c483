"""A comparison in a terminal."""

from __future__ import annotations

from torchgauge.record.ab import AbRun
from torchgauge.report.gate import words


def render(run: AbRun) -> str:
    """Write the table, the worst first, and what the run as a whole says; plain text."""
    base, head = words.sides(run)
    lines = [
        f"base  {base}",
        f"head  {head}",
        f"ratio is head / base: over 1 is slower; {words.effort(run)}",
        "",
    ]
    lines += table(run)
    lines += ["", *words.notes(run), words.headline(run)]
    lines += [f"again: {words.reproduce(run)}", f"file:  {run.path}"]
    return "\n".join(lines) + "\n"


def table(run: AbRun) -> list[str]:
    """Lay out the rows; a remark stands below its row."""
    rows = [words.HEADS, *map(words.cells, run.comparisons)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(words.HEADS) - 1)]
    lines = []
    for row, one in zip(rows, [None, *run.comparisons], strict=True):
        aligned = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*aligned, row[-1]]))
        if one is not None and (remark := words.remarks(one)):
            lines.append(f"    {remark}")
    return lines
