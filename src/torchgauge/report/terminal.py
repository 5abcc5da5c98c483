"""Runs as tables in a terminal."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from itertools import groupby

import pandas as pd
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from torchgauge.analysis.frame import summaries
from torchgauge.record import Run
from torchgauge.report.overview import Overview, overviews
from torchgauge.report.sections import Section, sections
from torchgauge.report.tables import Cell, Notes, Table, tables, usually
from torchgauge.report.text import count, plain
from torchgauge.units import format_quantity

MOST_LISTED = 12
"""Failures and reasons of skips that are listed one by one."""

NARROWEST = 20
"""Columns; a terminal that says it has less is not believed."""

GAP = 3
"""Blanks between two columns of rich's SIMPLE_HEAD."""

_RAISED = str.maketrans("0123456789,", "⁰¹²³⁴⁵⁶⁷⁸⁹˒")


class _Console(Console):
    """rich's own ends the process with 1 when a reader has seen enough (`torchgauge show … | head`)."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def show(runs: Sequence[Run], console: Console | None = None) -> None:
    """Print runs: what they ran on, a table a hot path, footnotes, failures, and what to do next.

    Args:
        runs: several runs stand side by side as columns A, B, C …
        console: where to; standard output without it. A pipe gets 100 columns and no colours.

    """
    if console is None:
        console = _Console(highlight=False)
        if console.width < NARROWEST:
            console.width = NARROWEST
        if not console.is_terminal and "COLUMNS" not in os.environ:
            console.width = 100
    frame = summaries(runs)
    found = overviews(runs, frame)
    for overview in found:
        _header(console, overview, several=len(found) > 1)
    shown = frame[frame["metric"] != "submit_time"]
    names = {overview.run: overview.label for overview in found}
    notes = Notes()
    laid_out = tables(shown, names, notes)
    parts = sections(runs, frame, names, notes)
    usual = usually(laid_out)
    if usual:
        console.print(Text.assemble(("values are ", "dim"), usual, (", where no other is named", "dim")))
    for group, members in groupby(laid_out, key=lambda table: table.group):
        console.print()
        console.rule(Text(group, style="bold"), style="dim", align="left")
        for table in members:
            _table(console, table, "" if table.measured == usual else table.measured)
    for section in parts:
        _section(console, section)
    _notes(console, laid_out, notes.sentences())
    _first_calls(console, frame)
    for overview in found:
        _left_out(console, overview, f"{overview.label}: " if len(found) > 1 else "")
    _next(console, runs)


def _header(console: Console, overview: Overview, *, several: bool) -> None:
    line = Text()
    if several:
        line.append(f"{overview.label}  ", style="bold magenta")
    line.append(overview.machine, style="bold")
    line.append(f"  {overview.started}", style="dim")
    line.append(f"  {overview.counts}")
    if overview.interrupted:
        line.append("  interrupted", style="bold red")
    console.print(line)
    width = max((cell_len(name) for name, _ in overview.facts), default=0)
    for name, fact in overview.facts:
        _hanging(console, Text(f"{name:<{width}}  ", style="dim"), Text(fact))
    for caution in overview.cautions:
        _hanging(console, Text("! ", style="bold yellow"), Text(caution))


def _hanging(console: Console, lead: Text, body: Text) -> None:
    """Print a text whose further lines stand under its first."""
    room = max(20, console.width - cell_len(lead.plain))
    for index, line in enumerate(body.wrap(console, room)):
        line.rstrip()
        console.print(Text.assemble(lead if index == 0 else " " * cell_len(lead.plain), line))


def _table(console: Console, table: Table, measured: str) -> None:
    title = Text(f"{table.group}/", style="dim")
    title.append(table.name, style="bold cyan")
    if table.constants:
        title.append(f"  {table.constants}")
    if measured:
        title.append(f"  {measured}", style="dim")
    console.print()
    console.print(title)
    cells = [_column([cells[index] for _, cells in table.rows]) for index in range(len(table.columns))]
    labels = [
        max(cell_len(head), *(cell_len(names[index]) for names, _ in table.rows))
        for index, head in enumerate(table.row_heads)
    ]
    widths = [
        max(cell_len(name), *(text.cell_len for text in column))
        for name, column in zip(table.columns, cells, strict=True)
    ]
    sizes = [all(names[index][:1].isdigit() for names, _ in table.rows) for index in range(len(labels))]
    parts = _pack(widths, console.width + 2 - sum(width + GAP for width in labels))
    for first, last in parts:
        grid = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
        for head, size in zip(table.row_heads, sizes, strict=True):
            grid.add_column(Text(head), justify="right" if size else "left", overflow="fold")
        for name in table.columns[first:last]:
            grid.add_column(Text(name), overflow="fold")
        for index, (names, _) in enumerate(table.rows):
            row = [column[index] for column in cells[first:last]]
            if any(text.plain.strip() for text in row):
                grid.add_row(*(Text(name) for name in names), *row)
        console.print(grid)
        if last < parts[-1][1]:
            console.print()


def _pack(widths: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Part columns so that each part fits into `room`; a part has at least one column."""
    parts: list[tuple[int, int]] = []
    first, used = 0, 0
    for index, width in enumerate(widths):
        if index > first and used + width + GAP > room:
            parts.append((first, index))
            first, used = index, 0
        used += width + GAP
    return [*parts, (first, len(widths))]


def _column(cells: Sequence[Cell | None]) -> list[Text]:
    """Write the cells of one column with value, interval and rate each under its like."""
    marks = ["" if cell is None else ",".join(map(str, cell.notes)).translate(_RAISED) for cell in cells]
    value = max((cell_len(cell.value) for cell in cells if cell), default=0)
    interval = max((cell_len(cell.interval) for cell in cells if cell), default=0)
    rate = max((cell_len(cell.rate) for cell in cells if cell), default=0)
    share = max((cell_len(cell.share) for cell in cells if cell), default=0)
    texts = []
    for cell, mark in zip(cells, marks, strict=True):
        text = Text(no_wrap=True)
        if cell is not None:
            text.append(cell.value.rjust(value), style="red" if cell.failed else "")
            if interval:
                width = interval if rate else 0
                text.append(f" {cell.interval:<{width}}", style="yellow" if cell.noisy else "dim")
            if rate:
                text.append(f"  {cell.rate:>{rate}}", style="green")
            if share:
                text.append(f" {cell.share:>{share}}", style="dim green")
            text.append(mark, style="yellow")
        texts.append(text)
    return texts


def _notes(console: Console, laid_out: Sequence[Table], notes: Sequence[str]) -> None:
    if notes:
        console.print()
    for number, note in enumerate(notes, start=1):
        _hanging(console, Text(f"{str(number).translate(_RAISED)} ", style="yellow"), Text(note))
    if any(cell and cell.interval for table in laid_out for _, cells in table.rows for cell in cells):
        console.print()
        note = "± is half the 95 % interval, from the spread between rounds or processes."
        console.print(Text(note, style="dim"))
    if any(cell and cell.share for table in laid_out for _, cells in table.rows for cell in cells):
        note = "The % after a rate is its share of the ceiling that was measured for it."
        console.print(Text(note, style="dim"))


def _first_calls(console: Console, frame: pd.DataFrame) -> None:
    """Say in one line what the first calls took; the page has them all, and the submissions."""
    rows = frame[frame["metric"] == "first_call"]
    if rows.empty:
        return
    slowest = rows.sort_values("value").iloc[-1]
    lead = Text("first calls are apart: ", style="dim")
    text = Text(
        f"median {format_quantity(float(rows['value'].median()), 's')}, slowest "
        f"{format_quantity(float(slowest['value']), 's')} ({plain(slowest['case'], 100)})"
    )
    _hanging(console, lead, text)
    if (frame["metric"] == "submit_time").any():
        console.print(Text("submission times are on the page", style="dim"))


def _section(console: Console, section: Section) -> None:
    console.print()
    console.rule(Text(section.title, style="bold"), style="dim", align="left")
    _hanging(console, Text(), Text(section.about, style="dim"))
    for table in section.tables:
        _table(console, table, "")
    for table in section.parts[:MOST_LISTED]:
        _table(console, table, "")
    if len(section.parts) > MOST_LISTED:
        rest = count(len(section.parts) - MOST_LISTED, "case")
        console.print(Text(f"what {rest} more are made of is on the page", style="dim"))


def _left_out(console: Console, overview: Overview, run: str) -> None:
    if overview.failures:
        console.print()
        console.print(Text(f"{run}{count(len(overview.failures), 'case')} failed", style="bold red"))
    for case, message in overview.failures[:MOST_LISTED]:
        _hanging(console, Text("  "), Text.assemble((case, "bold"), f"  {message}"))
    if len(overview.failures) > MOST_LISTED:
        console.print(Text(f"  and {len(overview.failures) - MOST_LISTED} more", style="dim"))
    if overview.skips:
        console.print()
        total = sum(number for _, number in overview.skips)
        console.print(Text(f"{run}{count(total, 'case')} skipped", style="bold"))
    for reason, number in overview.skips[:MOST_LISTED]:
        _hanging(console, Text(f"{number:>6,}  "), Text(reason))
    if len(overview.skips) > MOST_LISTED:
        console.print(
            Text(f"        and {count(len(overview.skips) - MOST_LISTED, 'reason')} more", style="dim")
        )


def _next(console: Console, runs: Sequence[Run]) -> None:
    files = [shlex.quote(plain(run.path, 4096)) for run in runs]
    console.print()
    for run, file in zip(runs, files, strict=True):
        console.print(Text(f"file  {plain(run.path, 4096)}"), soft_wrap=True)
        if run.interrupted:
            console.print(Text(f"next  torchgauge run --resume {file}"), soft_wrap=True)
    if files:
        console.print(Text(f"next  torchgauge report {' '.join(files)} -o page.html"), soft_wrap=True)
