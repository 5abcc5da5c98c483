"""Which form of one thing is the faster: in-place against functional, and of an optimizer's step."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from torchgauge.analysis.ratio import Ratio, ratio_of
from torchgauge.report import order
from torchgauge.report.answers.wording import (
    Answer,
    cell,
    counted,
    from_to,
    host_told,
    leading,
    name_at,
    ratio_cell,
    table,
    value_of,
)
from torchgauge.report.bars import Bench
from torchgauge.report.points import Row
from torchgauge.report.tables import Cell
from torchgauge.report.text import count, plain


def in_place(benchmarks: Bench, names: Mapping[str, str]) -> Answer | None:
    """Say where an in-place form is faster than the functional one, and where it is not."""
    pairs = _forms(benchmarks, "inplace", names, ("functional", "in-place"))
    if not pairs:
        return None
    rows = [
        ((path, at), (cell(one), cell(other), ratio_cell(ratio))) for path, at, one, other, ratio in pairs
    ]
    gains = [ratio.value for *_, ratio in pairs if ratio.differs and ratio.value > 1]
    losses = [ratio.value for *_, ratio in pairs if ratio.differs and ratio.value < 1]
    sentence = f"Of {count(len(pairs), 'operation')} in place is faster in {len(gains):,}{from_to(gains)}"
    sentence += f", slower in {len(losses):,}" if losses else ""
    rest = len(pairs) - len(gains) - len(losses)
    sentence += f"; in {rest:,} no difference is shown." if rest else "."
    return Answer(
        "Where does in-place pay?",
        (sentence, *host_told(one for _, _, one, _, _ in pairs)),
        table("operation", "at", columns=("functional", "in-place", "functional / in-place"), rows=rows),
    )


def optimizers(benchmarks: Bench, names: Mapping[str, str]) -> Answer | None:
    """Say which implementation of each optimizer is fastest."""
    found: dict[str, dict[str, Row]] = {}
    for row in leading(benchmarks, "optimizers"):
        if isinstance(row["params"].get("form"), str):
            rest = {key: value for key, value in row["params"].items() if key != "form"}
            key = json.dumps([row["name"], row["run"], row["device"], row["dtype"], rest], sort_keys=True)
            found.setdefault(key, {})[row["params"]["form"]] = row
    rows = []
    compared: list[Row] = []
    wins: Counter[str] = Counter()
    for forms in _sorted(found.values()):
        if len(forms) < 2:
            continue
        (form, best), (_, second) = sorted(forms.items(), key=lambda one: one[1]["value"])[:2]
        ratio = ratio_of(value_of(best), value_of(second))
        wins[plain(form, 30) if ratio.differs else ""] += 1
        compared.append(best)
        plainest = forms.get("for-loop")
        gain = (
            ratio_cell(ratio_of(value_of(best), value_of(plainest)))
            if plainest and plainest is not best
            else Cell("")
        )
        rows.append(
            (
                (
                    plain(best["params"].get("optimizer", best["name"]), 40),
                    name_at(best, names, "form", "optimizer"),
                ),
                (cell(best), Cell(plain(form, 30)), ratio_cell(ratio), gain),
            )
        )
    if not rows:
        return None
    none = wins.pop("", 0)
    told = counted(wins)
    sentence = f"Of {count(len(rows), 'step')} the fastest form is {', '.join(told) or 'shown in none'}"
    sentence += f"; in {none:,} the two fastest are not told apart." if none else "."
    return Answer(
        "Which form of an optimizer is fastest?",
        (sentence, *host_told(compared)),
        table(
            "optimizer", "at", columns=("time", "fastest", "next / fastest", "for-loop / fastest"), rows=rows
        ),
    )


def _forms(
    benchmarks: Bench, group: str, names: Mapping[str, str], forms: tuple[str, str]
) -> list[tuple[str, str, Row, Row, Ratio]]:
    """Pair rows of two forms that differ in nothing else, and give how many times faster the second is."""
    found: dict[str, dict[str, Row]] = {}
    for row in leading(benchmarks, group):
        if row["params"].get("form") in forms:
            rest = {key: value for key, value in row["params"].items() if key != "form"}
            key = json.dumps([row["name"], row["run"], row["device"], row["dtype"], rest], sort_keys=True)
            found.setdefault(key, {})[row["params"]["form"]] = row
    pairs = []
    for both in _sorted(found.values()):
        if len(both) == len(forms):
            one, other = (both[form] for form in forms)
            at = name_at(one, names, "form")
            pairs.append((plain(one["name"], 60), at, one, other, ratio_of(value_of(other), value_of(one))))
    return pairs


def _sorted(found: Iterable[dict[str, Row]]) -> list[dict[str, Row]]:
    """Sort groups of rows by what the rows of each have in common."""

    def key(rows: dict[str, Row]) -> list[Any]:
        row = next(iter(rows.values()))
        own = [(name, value) for name, value in row["params"].items() if name != "form"]
        keys = [("name", row["name"]), ("device", row["device"]), ("dtype", row["dtype"]), *own]
        return [row["run"], *(order.key(name, value) for name, value in keys)]

    return sorted(found, key=key)
