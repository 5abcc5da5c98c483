"""Runs as one self-contained HTML page: no script, no font, no picture from anywhere else."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Sequence
from functools import partial
from itertools import count as numbers
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import pandas as pd
from markupsafe import Markup

from torchgauge import __version__
from torchgauge.analysis.frame import summaries
from torchgauge.record import Run
from torchgauge.report import bars
from torchgauge.report.answers import answers
from torchgauge.report.copies import copies
from torchgauge.report.crossover import crossings, crossover
from torchgauge.report.heat import heat_map, run_map
from torchgauge.report.history_plots import history
from torchgauge.report.overview import overviews
from torchgauge.report.plots import over_size
from torchgauge.report.points import benchmarks
from torchgauge.report.projection import Laid
from torchgauge.report.roofline import rooflines
from torchgauge.report.sections import sections
from torchgauge.report.strips import blocks, strips
from torchgauge.report.svg import IDENT, Panel
from torchgauge.report.tables import Notes, first_calls, tables, timed, usually
from torchgauge.report.text import plain


def render(runs: Sequence[Run], laid: Laid | None = None, folder: Path | None = None) -> str:
    """Write runs as a page: answers, cautions, a table and plots a hot path, comparisons, glossary.

    Args:
        runs: at least one.
        laid: the runs along keys of one's own, shown before all other tables.
        folder: where the page will be, for its links to traces; the working directory without it.

    Several runs stand side by side as columns A, B, C … Sections appear where there are data for
    them. The page needs nothing but itself and says so in its Content-Security-Policy.
    """
    frame = summaries(runs)
    found = overviews(runs, frame)
    names = {overview.run: overview.label for overview in found}
    notes = Notes()
    laid_out = tables(frame, names, notes)
    instruments = sections(runs, frame, names, notes)
    firsts = first_calls(frame, names, notes)
    # the page is drawn from the same parts that the tables are laid out from
    parts = benchmarks(timed(frame[frame["metric"] != "first_call"]))
    samples = blocks(runs)
    drawn = {
        (plain(group, 60), plain(name, 80)): [
            plot for plot in (over_size(rows, names), strips(rows, samples, names)) if plot
        ]
        for (group, name, of), rows in parts.items()
        if not of
    }
    memory = benchmarks(frame[frame["instrument"] == "memory"])
    comparisons = {
        "inplace": bars.in_place(parts | memory, names),
        "optimizers": bars.optimizers(parts, names),
        "sine_mlp": bars.breakdown(parts, names),
        "transfer": copies(runs, parts, names),
    }
    groups = [
        {
            "name": group,
            "comparisons": comparisons.get(group, []),
            "tables": [(table, drawn.get((table.group, table.name), [])) for table in members],
        }
        for group, members in groupby(laid_out, key=lambda table: table.group)
    ]
    made = environment()
    script = made.get_template("page.js").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return made.get_template("page.html.j2").render(
        title=_title([overview.machine for overview in found]),
        overviews=found,
        several=len(found) > 1,
        usual=usually(laid_out),
        answers=answers(runs, parts, names),
        laid=laid,
        history=history(runs),
        groups=groups,
        crossover=crossover(crossings(parts), names),
        rooflines=rooflines(runs, parts, names),
        heat=heat_map(parts, names),
        run_heat=run_map(parts, names) if len(found) > 1 else None,
        sections=instruments,
        first_calls=firsts,
        notes=notes.sentences(),
        methods=_methods(frame),
        version=__version__,
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        link=partial(_link, folder or Path()),
        svg=partial(_numbered, numbers(1)),
    )


def environment() -> jinja2.Environment:
    """Give the templates of pages: all that is put into one is escaped."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("torchgauge.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


# what an id stands in: a text may hold the same word
_IDS = re.compile(rf'(\s(?:id="|(?:xlink:)?href="#)|url\(#){IDENT}')


def _link(folder: Path, path: str) -> str:
    """Give the way from the page to a file, as a relative URL."""
    return quote(os.path.relpath(path, folder).replace(os.sep, "/"))


def _numbered(following: Any, panel: Panel) -> Markup:
    """Give a panel's markup with ids that no other panel of the page has."""
    return Markup(_IDS.sub(rf"\g<1>p{next(following)}-", panel.svg))


def _title(machines: Sequence[str]) -> str:
    return f"Benchmarks on {', '.join(dict.fromkeys(machines))}" if machines else "Benchmarks"


def _methods(frame: pd.DataFrame) -> set[str]:
    """Give the metrics and methods that the glossary has to explain."""
    return {str(value) for column in ("metric", "method") for value in frame[column].dropna().unique()}
