"""A comparison as one self-contained page: the plot, the table, the machine, the command to repeat it."""

from __future__ import annotations

from markupsafe import Markup

from torchgauge import __version__
from torchgauge.record.ab import AbRun
from torchgauge.report.gate import words
from torchgauge.report.gate.forest import forest
from torchgauge.report.html import environment
from torchgauge.report.svg import Panel
from torchgauge.report.text import plain


def render(run: AbRun) -> str:
    """Write the page. It needs nothing but itself and says so in its Content-Security-Policy."""
    base, head = words.sides(run)
    verdict = str(words.verdict(run))
    return (
        environment()
        .get_template("gate.html.j2")
        .render(
            title=f"{verdict}: {head} against {base}",
            headline=words.headline(run),
            verdict=verdict,
            base=base,
            head=head,
            facts=_facts(run, base, head),
            heads=words.HEADS,
            rows=[(str(one.verdict), words.cells(one), words.remarks(one)) for one in run.comparisons],
            notes=words.notes(run),
            reproduce=words.reproduce(run),
            plot=forest(run),
            svg=drawing,
            version=__version__,
        )
    )


def drawing(panel: Panel) -> Markup:
    """Give a panel's markup; it is safe as it is (see `torchgauge.report.svg`)."""
    return Markup(panel.svg)


def _facts(run: AbRun, base: str, head: str) -> list[tuple[str, str]]:
    facts = [("base", base), ("head", head)]
    if environment := run.header.head.environment:
        machine = plain(environment.machine.cpu or environment.machine.host)
        facts.append(("machine", f"{machine}, torch {plain(environment.torch.version)}"))
    started = plain(run.header.started.partition(".")[0].replace("T", " "))
    return [*facts, ("when", f"{started} UTC"), ("effort", words.effort(run))]
