"""What share of something larger: of the link, of a ceiling, of a training step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from torchgauge.analysis.ceilings import Ceilings
from torchgauge.record import Run
from torchgauge.report import order
from torchgauge.report.answers.wording import (
    Answer,
    cell,
    counted,
    leading,
    name_at,
    table,
)
from torchgauge.report.bars import PARTS, WHOLE, Bench, steps
from torchgauge.report.copies import FROM, TO, WAYS
from torchgauge.report.points import Row
from torchgauge.report.tables import Cell
from torchgauge.report.text import count, label, percent, plain
from torchgauge.units import format_quantity

WORK, CALLS = 0.5, 0.05
"""Shares of a ceiling: from the first on a case is work, under the second it is the cost of calls."""


def copies(runs: Sequence[Run], benchmarks: Bench, names: Mapping[str, str]) -> Answer | None:
    """Say how near copies between host and device come to the fastest that crossed the link."""
    links: dict[tuple[str, str, str], float] = {}
    for run in runs:
        for one in Ceilings(run).measured:
            if one.unit == "B/s" and one.case.name in (TO, FROM):
                way = (run.id, one.case.device, one.case.name)
                links[way] = max(links.get(way, 0.0), one.reached)
    best: dict[tuple[Any, ...], tuple[float, Row]] = {}
    for row in leading(benchmarks, "transfer"):
        link = links.get((row["run"], row["device"], WAYS.get(row["name"], "")))
        if link and row["bytes"]:
            share = row["bytes"] / row["value"] / link
            key = (row["name"], row["run"], row["device"], str(row["params"].get("memory", "")))
            if key not in best or share > best[key][0]:
                best[key] = share, row
    chosen = sorted(best.values(), key=lambda one: -one[0])
    if not chosen:
        return None
    (most, top), (least, low) = chosen[0], chosen[-1]
    return Answer(
        "How near do copies come to the link's ceiling?",
        (
            f"Each kind at its best size: the best reaches {percent(most)} of the fastest that crossed the "
            f"link that way ({plain(top['name'], 60)}, {name_at(top, names)}), the slowest {percent(least)} "
            f"({plain(low['name'], 60)}, {name_at(low, names)}).",
        ),
        table(
            "copy",
            "at",
            columns=("time", "rate", "share of the link"),
            rows=[
                (
                    (plain(row["name"], 60), name_at(row, names)),
                    (
                        cell(row),
                        Cell(format_quantity(row["bytes"] / row["value"], "B/s")),
                        Cell(percent(share)),
                    ),
                )
                for share, row in chosen
            ],
        ),
    )


def overhead(benchmarks: Bench, names: Mapping[str, str]) -> Answer | None:
    """Say which cases are work, near a ceiling, and which are the cost of calls."""
    shares: dict[tuple[str, str, str], list[float]] = {}
    for (group, _, metric), members in benchmarks.items():
        for row in members:
            known = [row[key] for key in ("flop_share", "bytes_share") if row.get(key) is not None]
            if metric == "" and known:
                key = (names.get(row["run"], ""), row["device"], group)
                shares.setdefault(key, []).append(max(known))
    every = [share for some in shares.values() for share in some]
    if not every:
        return None
    work, calls = sum(share >= WORK for share in every), sum(share < CALLS for share in every)
    keys = sorted(shares, key=lambda key: (key[0], order.key("device", key[1]), order.key("group", key[2])))
    rows = [
        (
            (plain(key[2], 60), " ".join(part for part in (key[0], plain(key[1], 30)) if part)),
            (
                Cell(f"{len(shares[key]):,}"),
                Cell(percent(median(shares[key]))),
                Cell(f"{sum(share >= WORK for share in shares[key]):,}"),
                Cell(f"{sum(share < CALLS for share in shares[key]):,}"),
            ),
        )
        for key in keys
    ]
    return Answer(
        "What is work, and what is overhead?",
        (
            f"Of {count(len(every), 'case')} whose work is stated {work:,} reach half of a measured ceiling "
            f"or more: that is work. {calls:,} stay under {percent(CALLS)} of it: that is the cost of calls, "
            "and larger inputs or fewer calls help where a faster device does not.",
        ),
        table(
            "group",
            "on",
            columns=("cases", "share, median", "half or more", f"under {percent(CALLS)}"),
            rows=rows,
        ),
    )


def training_step(benchmarks: Bench, names: Mapping[str, str]) -> Answer | None:
    """Say what takes the most of a training step."""
    found = steps(benchmarks)
    if not found:
        return None
    rows = []
    largest: Counter[str] = Counter()
    for (run, device, dtype, batch, width), parts in sorted(
        found.items(), key=lambda one: [order.key("", value) for value in one[0]]
    ):
        whole = parts[WHOLE]["value"]
        shares = {name: parts[name]["value"] / whole for name in PARTS if name in parts}
        largest[max(shares, key=lambda name: shares[name])] += 1
        at = [names.get(run, ""), plain(device, 30), plain(dtype or "", 30)]
        at += [f"batch {label(batch)}"] * (batch != "") + [f"width {label(width)}"] * (width != "")
        cells = [Cell(percent(shares[name])) if name in shares else None for name in PARTS]
        rows.append(((", ".join(part for part in at if part),), (cell(parts[WHOLE]), *cells)))
    told = ", ".join(counted(Counter({name.replace("_", " "): n for name, n in largest.items()})))
    if len(rows) == 1:
        told = next(iter(largest)).replace("_", " ")
    return Answer(
        "What takes the time of a training step?",
        (
            ("The" if len(rows) == 1 else f"Of {len(rows):,} steps the")
            + f" largest part is {told}. Each part "
            "was measured by itself, so they need not add up.",
        ),
        table("step", columns=("whole", *(name.replace("_", " ") for name in PARTS)), rows=rows),
    )
