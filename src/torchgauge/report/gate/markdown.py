"""A comparison as Markdown: for a job's summary, or a comment on a pull request."""

from __future__ import annotations

from collections.abc import Sequence

from torchgauge.record.ab import AbRun, Comparison, Verdict
from torchgauge.report.gate import words
from torchgauge.report.markdown import escape
from torchgauge.report.text import count

_MARKS = {
    Verdict.INVALID: "⚪",
    Verdict.REGRESSED: "🔴",
    Verdict.ERROR: "🔴",
    Verdict.MISSING: "🟠",
    Verdict.INCONCLUSIVE: "⚪",
    Verdict.IMPROVED: "🟢",
    Verdict.EQUIVALENT: "🟢",
}


def render(run: AbRun) -> str:
    """Write the headline, a table of what has to be seen, and all else folded away."""
    base, head = map(escape, words.sides(run))
    told = [one for one in run.comparisons if one.verdict in words.TOLD]
    rest = [one for one in run.comparisons if one.verdict not in words.TOLD]
    blocks = [
        f"### {_MARKS[words.verdict(run)]} {escape(words.headline(run))}",
        f"base {base}, head {head}; ratio is head / base: over 1 is slower. {escape(words.effort(run))}.",
    ]
    blocks += [_table(told)] if told else []
    if rest:
        summary = f"<summary>{count(len(rest), 'case')} without a change that was shown</summary>"
        blocks += [f"<details>{summary}", _table(rest), "</details>"]
    if said := words.notes(run):
        blocks.append("\n".join(f"- {escape(note)}" for note in said))
    blocks.append(f"Again: {_code(words.reproduce(run))}")
    return "\n\n".join(blocks) + "\n"


def _table(some: Sequence[Comparison]) -> str:
    lines = [f"| {' | '.join(words.HEADS)} | |", "|---|---:|---|---:|---:|---:|---|---|"]
    for one in some:
        cells = [*words.cells(one), words.remarks(one)]
        lines.append(f"| {' | '.join(map(escape, cells))} |")
    return "\n".join(lines)


def _code(text: str) -> str:
    """Write a code span of any text: its fence is longer than any run of backticks inside."""
    fence = "`"
    while fence in text:
        fence += "`"
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"
