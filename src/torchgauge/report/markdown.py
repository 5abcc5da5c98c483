"""Runs as Markdown (GitHub's dialect): for a pull request, a README, a summary of a CI job."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from torchgauge.analysis.frame import summaries
from torchgauge.record import Run
from torchgauge.report.answers import answers
from torchgauge.report.overview import Overview, overviews
from torchgauge.report.points import benchmarks
from torchgauge.report.projection import Laid
from torchgauge.report.sections import sections
from torchgauge.report.tables import Cell, Notes, Table, tables, timed, usually
from torchgauge.report.text import count

SHARES = " A % after a rate is its share of the ceiling that was measured for it."
_ACTIVE = re.compile(r"[\\`*{}\[\]|#~$^&<>@]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}


def render(runs: Sequence[Run], laid: Laid | None = None) -> str:
    """Write runs as Markdown: header, answers, a table a hot path, footnotes, failures and skips.

    Args:
        runs: at least one.
        laid: the runs along keys of one's own, shown before all other tables.

    Several runs stand side by side as columns A, B, C …
    """
    frame = summaries(runs)
    found = overviews(runs, frame)
    names = {overview.run: overview.label for overview in found}
    notes = Notes()
    laid_out = tables(frame, names, notes)
    usual = usually(laid_out)
    blocks = ["# Benchmarks"]
    for overview in found:
        blocks += _header(overview, several=len(found) > 1)
    if usual:
        blocks.append(
            f"Values are {escape(usual)}, where no other is named; ± is half the 95 % interval, from the "
            "spread between rounds or processes and what one process can't show."
            + SHARES
            * any(cell and cell.share for table in laid_out for _, cells in table.rows for cell in cells)
        )
    parts = benchmarks(timed(frame[frame["metric"] != "first_call"]))
    if found_answers := answers(runs, parts, names):
        blocks.append("## Answers")
        blocks += [f"**{escape(one.question)}** {escape(' '.join(one.sentences))}" for one in found_answers]
    if laid is not None:
        blocks += ["## Side by side", side_by_side(laid)]
    for group, members in groupby(laid_out, key=lambda table: table.group):
        blocks.append(f"## {escape(group)}")
        for table in members:
            blocks += _table(table, usual)
    for section in sections(runs, frame, names, notes):
        blocks += [f"## {escape(section.title)}", escape(section.about)]
        for table in (*section.tables, *section.parts):
            blocks += _table(table, table.measured, f"{table.group}/{table.name}")
    if sentences := notes.sentences():
        lines = [f"{number}. {escape(note)}" for number, note in enumerate(sentences, start=1)]
        blocks += ["## Notes", "\n".join(lines)]
    for overview in found:
        blocks += _left_out(overview, f"{overview.label}: " if len(found) > 1 else "")
    return "\n\n".join(blocks) + "\n"


def side_by_side(laid: Laid) -> str:
    """Write runs along keys of one's own: what is common, the table, what to beware of."""
    blocks = [
        "\n".join(f"- {escape(line)}" for line in laid.legend),
        escape(f"All: {laid.common}") if laid.common else "",
        grid(laid.table),
        "\n>\n".join(f"> {escape(note)}" for note in laid.notes),
        escape(laid.key),
    ]
    return "\n\n".join(block for block in blocks if block)


def escape(text: str) -> str:
    """Escape plain text, so that it shows as it is: no markup, no HTML, no link, no mention."""
    text = _ACTIVE.sub(lambda found: _ENTITIES.get(found[0], "\\" + found[0]), text)
    text = text.replace("://", "&#58;//").replace("www.", "www&#46;")
    # what would begin a list, a heading or a rule at the start of a line
    return re.sub(r"^(\d*)([-+=.)])(?=\s|$|[-=])", r"\1\\\2", text)


def _header(overview: Overview, *, several: bool) -> list[str]:
    name = f"{overview.label}: " if several else ""
    mark = "".join(f" **{stamp}**" for stamp in overview.stamps)
    first = (
        f"**{escape(name + overview.machine)}**, {escape(overview.started)}: {escape(overview.counts)}{mark}"
    )
    facts = "\n".join(f"- {escape(key)}: {escape(fact)}" for key, fact in overview.facts)
    cautions = "\n>\n".join(f"> {escape(caution)}" for caution in overview.cautions)
    return [block for block in (first, facts, cautions) if block]


def _table(table: Table, usual: str, name: str | None = None) -> list[str]:
    title = escape(" · ".join(part for part in (table.constants, table.measured) if part and part != usual))
    beside = [] if table.beside is None else _table(table.beside, usual)[1:]
    return [f"### {escape(name or table.name)}", *([title] if title else []), grid(table), *beside]


def grid(table: Table) -> str:
    """Write the rows of a table under its heads."""
    heads = [*map(escape, table.row_heads), *map(escape, table.columns)]
    lines = [
        f"| {' | '.join(heads)} |",
        "|" + "---|" * len(table.row_heads) + "---:|" * len(table.columns),
    ]
    lines += [f"| {' | '.join([*map(escape, names), *map(_cell, cells)])} |" for names, cells in table.rows]
    return "\n".join(lines)


def _cell(cell: Cell | None) -> str:
    if cell is None:
        return ""
    marks = f"<sup>{','.join(map(str, cell.notes))}</sup>" if cell.notes else ""
    return (
        escape(
            "  ".join(
                part
                for part in (f"{cell.value} {cell.interval}".strip(), f"{cell.rate} {cell.share}".strip())
                if part
            )
        )
        + marks
    )


def _left_out(overview: Overview, run: str) -> list[str]:
    blocks = []
    if overview.failures:
        lines = [f"- {escape(case)}: {escape(message)}" for case, message in overview.failures]
        blocks.append(f"**{run}{count(len(lines), 'case')} failed**\n\n" + "\n".join(lines))
    if overview.skips:
        lines = [f"- {number:,}: {escape(reason)}" for reason, number in overview.skips]
        blocks.append(
            f"**{run}{count(sum(number for _, number in overview.skips), 'case')} skipped**\n\n"
            + "\n".join(lines)
        )
    return blocks
