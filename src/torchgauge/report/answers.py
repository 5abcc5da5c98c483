"""What the runs answer, in words and numbers, before any table: each question that they have data for.

An answer counts what is shown, and says what is not: two times whose ratio's interval holds 1 are told apart
by nobody.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from torchgauge.analysis.ceilings import Ceilings
from torchgauge.analysis.projection import Ratio, Value, ratio_of
from torchgauge.record import Run
from torchgauge.report import order
from torchgauge.report.bars import PARTS, WHOLE, Bench, steps
from torchgauge.report.crossover import crossings
from torchgauge.report.plots import short
from torchgauge.report.points import Row
from torchgauge.report.tables import Cell, Table
from torchgauge.report.text import count, label, percent, plain, size_of
from torchgauge.units import format_quantity, significant

WORK, CALLS = 0.5, 0.05
"""Shares of a ceiling: from the first on a case is work, under the second it is the cost of calls."""
LINKS = {
    "to_device": "to_device",
    "copy_to_device": "to_device",
    "pin_then_copy": "to_device",
    "copy_from_device": "from_device",
    "cpu": "from_device",
}
"""Benchmarks of copies between host and device, and the ceiling of the way they go."""
MOST_NAMED = 6
"""Places that are named as the fastest of some hot path."""

Place = tuple[str, str, str | None]
"""Run, device, dtype."""


@dataclass(frozen=True)
class Answer:
    """A question, what the runs say, and the table behind it."""

    question: str
    sentences: tuple[str, ...]
    table: Table


def answers(runs: Sequence[Run], benchmarks: Bench, run_labels: Mapping[str, str]) -> list[Answer]:
    """Answer what can be answered.

    Args:
        runs: what was read; the link's ceilings are in them alone.
        benchmarks: `points.benchmarks` of the times.
        run_labels: a short name for each run id; used where there are several.

    """
    several = run_labels if len(run_labels) > 1 else {}
    found = (
        _fastest(benchmarks, several),
        _crossover(benchmarks, several),
        _in_place(benchmarks, several),
        _optimizers(benchmarks, several),
        _copies(runs, benchmarks, several),
        _overhead(benchmarks, several),
        _training_step(benchmarks, several),
    )
    return [one for one in found if one is not None]


def _fastest(benchmarks: Bench, names: Mapping[str, str]) -> Answer | None:
    """Say which device and dtype each hot path is fastest on, at the largest size that most places have."""
    rows = []
    wins: Counter[str] = Counter()
    for (group, name, metric), members in benchmarks.items():
        points: dict[str, dict[Place, Row]] = {}
        for row in members:
            idle = row["bytes"] == 0 and not row["flop"]  # a conversion to what is there already
            if metric == "" and row["value"] and not idle:
                key = json.dumps(row["params"], sort_keys=True)
                points.setdefault(key, {})[row["run"], row["device"], row["dtype"]] = row
        if not points:
            continue
        point = max(points.values(), key=lambda point: (len(point), _size(next(iter(point.values())))))
        if len(point) < 2:
            continue
        (place, best), (other, second) = sorted(point.items(), key=lambda one: one[1]["value"])[:2]
        ratio = ratio_of(_value(best), _value(second))
        wins[_place(place, names) if ratio.differs else ""] += 1
        cells = (_cell(best), Cell(_place(place, names)), Cell(_place(other, names)), _ratio(ratio))
        rows.append(((plain(f"{group}/{name}", 80), _params(best)), cells))
    if not rows:
        return None
    none = wins.pop("", 0)
    told = _counted(wins)[:MOST_NAMED]
    sentence = f"Of {count(len(rows), 'hot path')} measured in several places, the fastest is "
    sentence += f"{', '.join(told)}" if told else "shown in none"
    sentence += f"; in {none:,} the two fastest are not told apart." if none else "."
    return Answer(
        "Which device and dtype is fastest?",
        (sentence,),
        _table("hot path", "at", columns=("time", "fastest", "next", "next / fastest"), rows=rows),
    )


def _crossover(benchmarks: Bench, names: Mapping[str, str]) -> Answer | None:
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
            cells = (Cell(f"{plain(one.size, 30)} {short(size)}", number=size), _ratio(one.ratios[size]))
        rows.append(((plain(one.path, 80), plain(one.device, 30), at), cells))
    won = sum(one.wins_from is not None for one in found)
    never = len(found) - won
    series = count(len(found), "series", "series")
    sentence = f"Of {series} over a size, the accelerator beats the CPU in {won:,}"
    sentence += f", in {never:,} at no size that was measured" if never else ""
    return Answer(
        "Where does the GPU start to win?",
        (f"{sentence}. Its time is that of the device, or of the submission where that takes longer.",),
        _table("hot path", "device", "with", columns=("from", "CPU / device"), rows=rows),
    )


def _in_place(benchmarks: Bench, names: Mapping[str, str]) -> Answer | None:
    """Say where an in-place form is faster than the functional one, and where it is not."""
    pairs = _forms(benchmarks, "inplace", names, ("functional", "in-place"))
    if not pairs:
        return None
    rows = [((path, at), (_cell(one), _cell(other), _ratio(ratio))) for path, at, one, other, ratio in pairs]
    gains = [ratio.value for *_, ratio in pairs if ratio.differs and ratio.value > 1]
    losses = [ratio.value for *_, ratio in pairs if ratio.differs and ratio.value < 1]
    sentence = f"Of {count(len(pairs), 'operation')} in place is faster in {len(gains):,}{_range(gains)}"
    sentence += f", slower in {len(losses):,}" if losses else ""
    rest = len(pairs) - len(gains) - len(losses)
    sentence += f"; in {rest:,} no difference is shown." if rest else "."
    return Answer(
        "Where does in-place pay?",
        (sentence,),
        _table("operation", "at", columns=("functional", "in-place", "functional / in-place"), rows=rows),
    )


def _forms(
    benchmarks: Bench, group: str, names: Mapping[str, str], forms: tuple[str, str]
) -> list[tuple[str, str, Row, Row, Ratio]]:
    """Pair rows of two forms that differ in nothing else, and give how many times faster the second is."""
    found: dict[str, dict[str, Row]] = {}
    for row in _leading(benchmarks, group):
        if row["params"].get("form") in forms:
            rest = {key: value for key, value in row["params"].items() if key != "form"}
            key = json.dumps([row["name"], row["run"], row["device"], row["dtype"], rest], sort_keys=True)
            found.setdefault(key, {})[row["params"]["form"]] = row
    pairs = []
    for both in _sorted(found.values()):
        if len(both) == len(forms):
            one, other = (both[form] for form in forms)
            at = _at(one, names, "form")
            pairs.append((plain(one["name"], 60), at, one, other, ratio_of(_value(other), _value(one))))
    return pairs


def _sorted(found: Iterable[dict[str, Row]]) -> list[dict[str, Row]]:
    """Sort groups of rows by what the rows of each have in common."""

    def key(rows: dict[str, Row]) -> list[Any]:
        row = next(iter(rows.values()))
        own = [(name, value) for name, value in row["params"].items() if name != "form"]
        keys = [("name", row["name"]), ("device", row["device"]), ("dtype", row["dtype"]), *own]
        return [row["run"], *(order.key(name, value) for name, value in keys)]

    return sorted(found, key=key)


def _optimizers(benchmarks: Bench, names: Mapping[str, str]) -> Answer | None:
    """Say which implementation of each optimizer is fastest."""
    found: dict[str, dict[str, Row]] = {}
    for row in _leading(benchmarks, "optimizers"):
        if isinstance(row["params"].get("form"), str):
            rest = {key: value for key, value in row["params"].items() if key != "form"}
            key = json.dumps([row["name"], row["run"], row["device"], row["dtype"], rest], sort_keys=True)
            found.setdefault(key, {})[row["params"]["form"]] = row
    rows = []
    wins: Counter[str] = Counter()
    for forms in _sorted(found.values()):
        if len(forms) < 2:
            continue
        (form, best), (_, second) = sorted(forms.items(), key=lambda one: one[1]["value"])[:2]
        ratio = ratio_of(_value(best), _value(second))
        wins[plain(form, 30) if ratio.differs else ""] += 1
        plainest = forms.get("for-loop")
        gain = (
            _ratio(ratio_of(_value(best), _value(plainest)))
            if plainest and plainest is not best
            else Cell("")
        )
        rows.append(
            (
                (
                    plain(best["params"].get("optimizer", best["name"]), 40),
                    _at(best, names, "form", "optimizer"),
                ),
                (_cell(best), Cell(plain(form, 30)), _ratio(ratio), gain),
            )
        )
    if not rows:
        return None
    none = wins.pop("", 0)
    told = _counted(wins)
    sentence = f"Of {count(len(rows), 'step')} the fastest form is {', '.join(told) or 'shown in none'}"
    sentence += f"; in {none:,} the two fastest are not told apart." if none else "."
    return Answer(
        "Which form of an optimizer is fastest?",
        (sentence,),
        _table(
            "optimizer", "at", columns=("time", "fastest", "next / fastest", "for-loop / fastest"), rows=rows
        ),
    )


def _copies(runs: Sequence[Run], benchmarks: Bench, names: Mapping[str, str]) -> Answer | None:
    """Say how near copies between host and device come to the fastest that crossed the link."""
    links: dict[tuple[str, str, str], float] = {}
    for run in runs:
        for one in Ceilings(run).measured:
            if one.unit == "B/s" and one.case.name in LINKS.values():
                way = (run.id, one.case.device, one.case.name)
                links[way] = max(links.get(way, 0.0), one.reached)
    best: dict[tuple[Any, ...], tuple[float, Row]] = {}
    for row in _leading(benchmarks, "transfer"):
        link = links.get((row["run"], row["device"], LINKS.get(row["name"], "")))
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
            f"link that way ({plain(top['name'], 60)}, {_at(top, names)}), the slowest {percent(least)} "
            f"({plain(low['name'], 60)}, {_at(low, names)}).",
        ),
        _table(
            "copy",
            "at",
            columns=("time", "rate", "share of the link"),
            rows=[
                (
                    (plain(row["name"], 60), _at(row, names)),
                    (
                        _cell(row),
                        Cell(format_quantity(row["bytes"] / row["value"], "B/s")),
                        Cell(percent(share)),
                    ),
                )
                for share, row in chosen
            ],
        ),
    )


def _overhead(benchmarks: Bench, names: Mapping[str, str]) -> Answer | None:
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
        _table(
            "group",
            "on",
            columns=("cases", "share, median", "half or more", f"under {percent(CALLS)}"),
            rows=rows,
        ),
    )


def _training_step(benchmarks: Bench, names: Mapping[str, str]) -> Answer | None:
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
        rows.append(((", ".join(part for part in at if part),), (_cell(parts[WHOLE]), *cells)))
    told = _counted(Counter({name.replace("_", " "): number for name, number in largest.items()}))
    return Answer(
        "What takes the time of a training step?",
        (
            f"Of {count(len(rows), 'step')} the largest part is {', '.join(told)}. Each part was measured by "
            "itself, so they need not add up.",
        ),
        _table("step", columns=("whole", *(name.replace("_", " ") for name in PARTS)), rows=rows),
    )


def _counted(wins: Counter[str]) -> list[str]:
    """Write "fused in 6", the most frequent first."""
    return [
        f"{name} in {number:,}" for name, number in sorted(wins.items(), key=lambda one: (-one[1], one[0]))
    ]


def _leading(benchmarks: Bench, group: str) -> list[Row]:
    return [
        row
        for (of, _, metric), members in benchmarks.items()
        for row in members
        if of == group and metric == "" and row["value"]
    ]


def _value(row: Row) -> Value:
    return Value(row["value"], row["low"], row["high"])


def _size(row: Row) -> float:
    return math.prod(size_of(value) or 1.0 for value in row["params"].values())


def _place(place: Place, names: Mapping[str, str]) -> str:
    run, device, dtype = place
    return " ".join(part for part in (names.get(run, ""), plain(device, 30), plain(dtype or "", 30)) if part)


def _params(row: Row, *but: str) -> str:
    return ", ".join(f"{plain(k, 30)} {label(v)}" for k, v in row["params"].items() if k not in but)


def _at(row: Row, names: Mapping[str, str], *but: str) -> str:
    parts = (_place((row["run"], row["device"], row["dtype"]), names), _params(row, *but))
    return ", ".join(part for part in parts if part)


def _cell(row: Row) -> Cell:
    half = None
    if row["low"] is not None and row["high"] is not None:
        half = (row["high"] - row["low"]) / (2 * row["value"])
    interval = "" if half is None else f"±{percent(half)}"
    return Cell(format_quantity(row["value"], plain(row["unit"], 12)), interval, number=row["value"])


def _ratio(ratio: Ratio) -> Cell:
    ends = "" if ratio.low is None or ratio.high is None else f"{ratio.low:.2f} – {ratio.high:.2f}"
    return Cell(f"{significant(ratio.value, 3)} ×" if ratio.differs else "~", ends, number=ratio.value)


def _range(values: Sequence[float]) -> str:
    if not values:
        return ""
    low, high = (significant(end, 2) for end in (min(values), max(values)))
    return f" ({low} ×)" if low == high else f" ({low} to {high} ×)"


def _table(*heads: str, columns: Sequence[str], rows: Iterable[Any]) -> Table:
    return Table("", "", "", "", "", tuple(heads), tuple(columns), tuple(rows))
