"""Runs as tables in a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import groupby

import pandas as pd
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from torchgauge.analysis.frame import summaries
from torchgauge.record import Run
from torchgauge.report.grid import RAISED, grid, hanging, standard_output
from torchgauge.report.overview import Overview, overviews
from torchgauge.report.sections import Section, sections
from torchgauge.report.tables import Notes, Table, tables, usually
from torchgauge.report.text import count, plain
from torchgauge.units import format_quantity

MOST_LISTED = 12
"""Failures and reasons of skips that are listed one by one."""


def show(runs: Sequence[Run], console: Console | None = None) -> None:
    """Print runs: what they ran on, a table a hot path, footnotes, failures, and what to do next.

    Args:
        runs: several runs stand side by side as columns A, B, C …
        console: where to; standard output without it. A pipe gets 100 columns and no colours.

    """
    console = console or standard_output()
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
    for stamp in overview.stamps:
        line.append(f"  {stamp}", style="bold red")
    console.print(line)
    width = max((cell_len(name) for name, _ in overview.facts), default=0)
    for name, fact in overview.facts:
        hanging(console, Text(f"{name:<{width}}  ", style="dim"), Text(fact))
    for caution in overview.cautions:
        hanging(console, Text("! ", style="bold yellow"), Text(caution))


def _table(console: Console, table: Table, measured: str) -> None:
    title = Text(f"{table.group}/", style="dim")
    title.append(table.name, style="bold cyan")
    if table.constants:
        title.append(f"  {table.constants}")
    if measured:
        title.append(f"  {measured}", style="dim")
    console.print()
    console.print(title)
    grid(console, table)
    if table.beside is not None:
        console.print(
            Text(" · ".join(filter(None, (table.beside.constants, table.beside.measured))), style="dim")
        )
        grid(console, table.beside)


def _notes(console: Console, laid_out: Sequence[Table], notes: Sequence[str]) -> None:
    if notes:
        console.print()
    for number, note in enumerate(notes, start=1):
        hanging(console, Text(f"{str(number).translate(RAISED)} ", style="yellow"), Text(note))
    if any(cell and cell.interval for table in laid_out for _, cells in table.rows for cell in cells):
        console.print()
        note = (
            "± is half the 95 % interval, from the spread between rounds or processes and what one process "
            "can't show."
        )
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
    hanging(console, lead, text)
    if (frame["metric"] == "submit_time").any():
        console.print(Text("submission times are on the page", style="dim"))


def _section(console: Console, section: Section) -> None:
    console.print()
    console.rule(Text(section.title, style="bold"), style="dim", align="left")
    hanging(console, Text(), Text(section.about, style="dim"))
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
        hanging(console, Text("  "), Text.assemble((case, "bold"), f"  {message}"))
    if len(overview.failures) > MOST_LISTED:
        console.print(Text(f"  and {len(overview.failures) - MOST_LISTED} more", style="dim"))
    if overview.skips:
        console.print()
        total = sum(number for _, number in overview.skips)
        console.print(Text(f"{run}{count(total, 'case')} skipped", style="bold"))
    for reason, number in overview.skips[:MOST_LISTED]:
        hanging(console, Text(f"{number:>6,}  "), Text(reason))
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
