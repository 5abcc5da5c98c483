"""Which place is the fastest: devices and dtypes, and where an accelerator starts to win."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

from torchgauge.analysis.ratio import ratio_of
from torchgauge.report.answers.wording import (
    Answer,
    Place,
    cell,
    counted,
    host_told,
    params_of,
    place_of,
    ratio_cell,
    size,
    table,
    value_of,
)
from torchgauge.report.bars import Bench
from torchgauge.report.crossover import crossings
from torchgauge.report.plots import short
from torchgauge.report.points import Row
from torchgauge.report.tables import Cell
from torchgauge.report.text import count, plain

MOST_NAMED = 6
"""Places that are named as the fastest of some hot path."""


def fastest(benchmarks: Bench, names: Mapping[str, str]) -> Answer | None:
    """Say which device and dtype each hot path is fastest on, at the largest size that most places have."""
    rows = []
    compared: list[Row] = []
    wins: Counter[str] = Counter()
    for (group, name, metric), members in benchmarks.items():
        points: dict[str, dict[Place, Row]] = {}
        for row in members:
            idle = row["bytes"] == 0 and not row["flop"]  # a conversion to what is there already
            if metric == "" and (row["value"] or 0) > 0 and not idle:
                key = json.dumps(row["params"], sort_keys=True)
                points.setdefault(key, {})[row["run"], row["device"], row["dtype"]] = row
        if not points:
            continue
        point = max(points.values(), key=lambda point: (len(point), size(next(iter(point.values())))))
        if len(point) < 2:
            continue
        (place, best), (other, second) = sorted(point.items(), key=lambda one: one[1]["value"])[:2]
        ratio = ratio_of(value_of(best), value_of(second))
        wins[place_of(place, names) if ratio.differs else ""] += 1
        compared += point.values()
        cells = (cell(best), Cell(place_of(place, names)), Cell(place_of(other, names)), ratio_cell(ratio))
        rows.append(((plain(f"{group}/{name}", 80), params_of(best)), cells))
    if not rows:
        return None
    none = wins.pop("", 0)
    told = counted(wins)[:MOST_NAMED]
    sentence = f"Of {count(len(rows), 'hot path')} measured in several places, the fastest is "
    sentence += f"{', '.join(told)}" if told else "shown in none"
    sentence += f"; in {none:,} the two fastest are not told apart." if none else "."
    return Answer(
        "Which device and dtype is fastest?",
        (sentence, *host_told(compared)),
        table("hot path", "at", columns=("time", "fastest", "next", "next / fastest"), rows=rows),
    )


def crossover(benchmarks: Bench, names: Mapping[str, str]) -> Answer | None:
    """Say from which size on an accelerator beats the CPU, its host's share of the work included."""
    found = crossings(benchmarks)
    if not found:
        return None
    rows = []
    for one in found:
        at = " ".join(part for part in (names.get(one.run, ""), plain(one.dtype or ""), one.rest) if part)
        size = one.wins_from
        cells = (Cell("never"), Cell(""))
        if size is not None:
            cells = (Cell(f"{plain(one.size, 30)} {short(size)}", number=size), ratio_cell(one.ratios[size]))
        rows.append(((plain(one.path, 80), plain(one.device, 30), at), cells))
    won = sum(one.wins_from is not None for one in found)
    never = len(found) - won
    series = count(len(found), "series", "series")
    sentence = f"Of {series} over a size, the accelerator beats the CPU in {won:,}"
    sentence += f", in {never:,} at no size that was measured" if never else ""
    return Answer(
        "Where does the GPU start to win?",
        (f"{sentence}. Its time is that of the device, or of the submission where that takes longer.",),
        table("hot path", "device", "with", columns=("from", "CPU / device"), rows=rows),
    )
