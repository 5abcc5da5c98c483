"""A comparison as one self-contained page: the plot, the table, the machine, the command to repeat it."""

from __future__ import annotations

from markupsafe import Markup

from torchgauge import __version__
from torchgauge.record.ab import AbRun
from torchgauge.report.gate import words
from torchgauge.report.gate.forest import forest
from torchgauge.report.html import environment
from torchgauge.report.text import plain


def render(run: AbRun) -> str:
    """Write the page. It needs nothing but itself and says so in its Content-Security-Policy."""
    plot = forest(run)
    base, head = words.sides(run)
    machine = run.header.head.environment
    return (
        environment()
        .get_template("gate.html.j2")
        .render(
            headline=words.headline(run),
            verdict=str(words.verdict(run)),
            base=base,
            head=head,
            machine=plain(machine.machine.cpu or machine.machine.host) if machine else "",
            torch=plain(machine.torch.version) if machine else "",
            started=plain(run.header.started.partition(".")[0].replace("T", " ")),
            effort=words.effort(run),
            heads=words.HEADS,
            rows=[(str(one.verdict), words.cells(one), words.remarks(one)) for one in run.comparisons],
            notes=words.notes(run),
            reproduce=words.reproduce(run),
            plot=plot,
            drawing=Markup(plot.panels[0].svg) if plot else None,
            version=__version__,
        )
    )
