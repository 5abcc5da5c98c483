"""What A/A runs said of a machine: in a terminal, as JSON, and as a page with its plots."""

from __future__ import annotations

import msgspec

from torchgauge.analysis.gate.noise import CaseNoise, MachineNoise
from torchgauge.report.gate.words import percent
from torchgauge.report.text import count, plain


def sentences(noise: MachineNoise) -> list[str]:
    """Say what was found, a line each."""
    small = "too many small ones" if noise.p_uniform < 0.01 else "as they should be"
    lines = [
        f"{count(noise.runs - noise.invalid, 'A/A run')} of {count(len(noise.cases), 'case')}, "
        f"{count(noise.pairs, 'pair')} of processes in all: {count(noise.alarms, 'alarm')}; "
        f"at most {noise.alarms_at_most:.1%} of such runs alarm (95 %, Clopper and Pearson)",
        f"INCONCLUSIVE: {noise.unclear:.1%} of the verdicts",
        f"p-values against uniform: {small} "
        f"(p {noise.p_uniform:.2g}, {count(len(noise.p_values), 'p-value')})",
    ]
    if noise.errors:
        lines.append(f"ERROR: {plain(', '.join(noise.errors), 200)}: not measured; see the run files")
    lines += [f"alarm: {verdict} {plain(case, 200)}" for case, verdict in noise.named]
    if noise.invalid:
        why = f": {plain('; '.join(noise.disturbed), 400)}" if noise.disturbed else ""
        lines.append(f"{count(noise.invalid, 'run')} INVALID, not counted{why}")
    return lines


def text(noise: MachineNoise) -> str:
    """Write the table for a terminal, the noisiest case first, and what was found."""
    heads = ("spread", "floor", "pairs", "case")
    rows = [
        (
            _spread(one),
            percent(one.floor),
            str(one.pairs),
            plain(one.case, 200),
        )
        for one in sorted(noise.cases, key=lambda one: -(one.spread or 0.0))
    ]
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(3)]
    lines = [
        "spread: standard deviation of a pair's log ratio; floor: what torchgauge ab will use here",
        "",
    ]
    for *cells, case in (heads, *rows):
        lines.append(
            "  ".join([*(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)), case])
        )
    return "\n".join([*lines, "", *sentences(noise), ""])


def _spread(one: CaseNoise) -> str:
    return "" if one.spread is None else percent(one.spread)


def document(noise: MachineNoise) -> str:
    """Write it as JSON."""
    return msgspec.json.format(msgspec.json.encode(noise), indent=2).decode() + "\n"
