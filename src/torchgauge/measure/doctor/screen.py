"""An examination as text for a terminal, or as JSON."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from torchgauge.measure.doctor.examination import Examination
from torchgauge.measure.doctor.findings import Finding, Level, share
from torchgauge.measure.doctor.probe import SHOWN_ROUNDS
from torchgauge.measure.doctor.reach import Reach
from torchgauge.units import format_quantity, significant

WIDEST, NARROWEST = 100, 40
_STYLES: dict[Level, str] = {"poor": "bold red", "note": "yellow", "good": "green", "unknown": "dim"}


def as_json(found: Examination) -> str:
    """Write it as JSON, indented; keys are those of the Struct, and stay."""
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"


def render(found: Examination, width: int, *, colour: bool) -> str:
    """Write it as text.

    Args:
        found: what was found.
        width: columns of the terminal.
        colour: whether it shows colours; NO_COLOR says no whatever it does.

    """
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=min(WIDEST, max(NARROWEST, width)),
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        legacy_windows=False,
    )
    console.print(_head(found))
    bad = [one for level in ("poor", "note") for one in found.findings if one.level == level]
    if bad:
        console.print(_listed(bad))
    heads: dict[Level, str] = {"good": "fine", "unknown": "not known"}
    for level, head in heads.items():
        rest = [one for one in found.findings if one.level == level and one.what != "precision"]
        if rest:
            console.print(_rows([(Text(head, style=_STYLES[level]), _joined(rest))]))
    console.print()
    console.print(_rows(_differences(found)))
    console.print()
    console.print(_ceilings(found.ceilings))
    console.print(_verdict(found))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


LABEL = 10
"""Columns of what stands at the left of each row."""


def _rows(rows: Iterable[tuple[Text, Text]]) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=LABEL)
    grid.add_column(overflow="fold")
    for label, text in rows:
        grid.add_row(label, text)
    return grid


def _head(found: Examination) -> Table:
    machine, torch = found.environment.machine, found.environment.torch
    cores = f"{machine.cores_logical} cores" if machine.cores_logical else None
    facts = [machine.cpu, cores, format_quantity(machine.memory_bytes, "B"), machine.virtualization]
    cards = [f"{card.device} {card.name}" for card in found.environment.accelerators]
    software = [
        f"torch {torch.version}",
        f"{torch.threads} thread{'s' * (torch.threads != 1)}",
        machine.python,
    ]
    rows = [(Text("machine", style="dim"), Text(_line(facts)))]
    rows += [(Text("device", style="dim"), Text(_line([card]))) for card in cards]
    rows.append((Text("software", style="dim"), Text(_line(software))))
    return _rows(rows)


def _listed(findings: Sequence[Finding]) -> Table:
    rows = []
    for one in findings:
        text = Text(_line([f"{one.what}: {one.value}"]))
        if one.cure:
            text.append(f"\n→ {_line([one.cure])}", style="cyan")
        rows.append((Text(one.level, style=_STYLES[one.level]), text))
    return _rows(rows)


def _joined(findings: Sequence[Finding]) -> Text:
    """Put many into few lines; of the unknown, those of one reason together."""
    if findings[0].level == "good":
        return Text(" · ".join(_line([f"{one.what} {one.value}"]) for one in findings), style="dim")
    reasons = _by_text((one.value, one.what) for one in findings)
    return Text("; ".join(f"{names}: {why}" for why, names in reasons.items()), style="dim")


def _differences(found: Examination) -> list[tuple[Text, Text]]:
    if found.paired_difference is None or found.moment_spread is None:
        return [(Text("precision", style="bold"), Text("not known: too few rounds, or none"))]
    shown = (
        ("in turns", found.paired_difference, f"is the least difference that {SHOWN_ROUNDS} rounds tell"),
        ("one by one", found.moment_spread, "is how far times wander from moment to moment"),
    )
    each = (
        {one.workload: one.paired_difference for one in found.precision},
        {one.workload: one.moment_spread for one in found.precision},
    )
    return [
        (Text(label, style="bold"), Text.assemble((share(value), "bold"), f" {text} ({_list(parts)})"))
        for (label, value, text), parts in zip(shown, each, strict=True)
    ]


def _list(parts: Mapping[str, float | None]) -> str:
    return ", ".join(
        f"{name} {'–' if value is None else share(value).removesuffix(' %')}" for name, value in parts.items()
    )


def _ceilings(found: Sequence[Reach]) -> Group:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(overflow="fold")
    grid.add_column(justify="right", overflow="fold")
    grid.add_column(overflow="fold")
    grid.add_column(overflow="fold")
    several = len({one.device for one in found}) > 1
    for one in found:
        grid.add_row(
            Text(_name(one, several=several)),
            Text(format_quantity(one.value, one.unit), style="bold"),
            Text(_interval(one), style="dim"),
            Text(_peak(one), style="green"),
        )
    lacking = [one for one in found if one.peak is None and one.unit != "s" and "memory" not in one.params]
    reasons = _by_text((one.peak_source, _kind(one)) for one in lacking)
    first: dict[str, str] = {}  # of those that differ in their numbers alone
    warnings = _by_text(
        (first.setdefault(re.sub(r"\d+", "#", warning), warning), _kind(one))
        for one in found
        for warning in one.warnings
    )
    below = [Text(f"no peak for {names}: {why}", style="dim") for why, names in reasons.items()]
    below += [Text(f"{names}: {warning}", style="dim") for warning, names in warnings.items()]
    return Group(grid, *below)


def _by_text(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Put together what is said of several: from the text to the names, joined."""
    found: dict[str, list[str]] = {}
    for text, name in pairs:
        names = found.setdefault(_line([text]), [])
        if name not in names:
            names.append(name)
    return {text: ", ".join(names) for text, names in found.items()}


def _kind(one: Reach) -> str:
    return " ".join(filter(None, (one.name, one.dtype)))


def _name(one: Reach, *, several: bool) -> str:
    size, memory = one.params.get("size"), one.params.get("memory")
    parts = [one.device if several else "", _kind(one), str(memory or "")]
    if isinstance(size, int):
        parts.append(format_quantity(size, "B"))
    if "n" in one.params:
        parts.append(f"n={one.params['n']}")
    return " ".join(filter(None, parts))


def _interval(one: Reach) -> str:
    if one.low is None or one.high is None:
        return "no interval"
    return f"± {share((one.high - one.low) / (2 * one.value))}"


def _peak(one: Reach) -> str:
    if one.peak is None:
        return ""
    return f"{significant(100 * one.value / one.peak, 2)} % of {format_quantity(one.peak, one.unit)}"


def _verdict(found: Examination) -> Padding:
    counts = {level: sum(one.level == level for one in found.findings) for level in _STYLES}
    if found.verdict == "poor":
        names = ", ".join(one.what for one in found.findings if one.level == "poor")
        text = Text(f"Too poor to judge: {names}.", style="bold red")
    else:
        text = Text(f"Fit to judge, {_count(counts['note'])}.", style="bold green")
    return Padding(text, (1, 0, 0, 0))


def _count(notes: int) -> str:
    return f"with {notes} note{'s' * (notes != 1)}" if notes else "nothing to mend"


def _line(parts: Iterable[str | None]) -> str:
    """Join what is known; signs that a terminal would obey are shown as ?."""
    text = ", ".join(part for part in parts if part)
    return "".join(sign if sign.isprintable() else "?" for sign in text)
