"""Tables in a terminal: as wide as it is, in parts where they don't fit."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from torchgauge.report.tables import Cell, Table

NARROWEST = 20
"""Columns; a terminal that says it has less is not believed."""

GAP = 3
"""Blanks between two columns of rich's SIMPLE_HEAD."""

RAISED = str.maketrans("0123456789,", "⁰¹²³⁴⁵⁶⁷⁸⁹˒")
"""Digits of a footnote."""


class _Console(Console):
    """rich's own ends the process with 1 when a reader has seen enough (`torchgauge show … | head`)."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def standard_output() -> Console:
    """Give the console of standard output. A pipe gets 100 columns and no colours."""
    console = _Console(highlight=False)
    if console.width < NARROWEST:
        console.width = NARROWEST
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 100
    return console


def hanging(console: Console, lead: Text, body: Text) -> None:
    """Print a text whose further lines stand under its first."""
    room = max(20, console.width - cell_len(lead.plain))
    for index, line in enumerate(body.wrap(console, room)):
        line.rstrip()
        console.print(Text.assemble(lead if index == 0 else " " * cell_len(lead.plain), line))


def grid(console: Console, table: Table) -> None:
    """Print the rows of a table under its heads."""
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
    marks = ["" if cell is None else ",".join(map(str, cell.notes)).translate(RAISED) for cell in cells]
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
