"""Any runs laid out along any keys: cells of rows and columns, and the ratios between columns.

A key is a coordinate of a case (`group`, `name`, `device`, `dtype`, a parameter), of how it was measured
(`metric`, `method`, `instrument`), or of a run (`run`, `machine`, `torch`, `threads` …, and any fact that the
fingerprint covers, such as `torch.tf32_matmul`). `case` stands for all coordinates of a case that no other
key has taken.

Ratios are formed case by case, between measurements that differ in nothing of the case but what the columns
say. Their interval is found from the two intervals on the log scale, by the method of variance estimates
recovery (G. Y. Zou and A. Donner, Statistics in Medicine 27:1693, 2008). A mean of ratios is geometric, and
its interval the mean of theirs: as wide as when all of them err together, which ratios between two runs do,
each of which met the machine in one state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

from torchgauge.analysis.frame import summaries
from torchgauge.errors import TorchgaugeError
from torchgauge.estimate import estimate
from torchgauge.record import Run
from torchgauge.record.ending import PRIMARY_METRICS
from torchgauge.record.fingerprint import speed_facts

CASE = "case"
ID = "id"
OF_CASE = ("group", "name", "device", "dtype")
OF_MEASURING = ("metric", "method", "instrument", "unit", "quantile")
OF_RUN: dict[str, Callable[[Run], object]] = {
    "run": lambda run: run.id,
    "machine": lambda run: run.header.environment.machine.host,
    "cpu": lambda run: run.header.environment.machine.cpu,
    "torch": lambda run: run.header.environment.torch.version,
    "threads": lambda run: run.header.environment.torch.threads,
    "python": lambda run: run.header.environment.machine.python,
    "commit": lambda run: run.header.environment.git.commit,
    "started": lambda run: run.header.started,
    "fingerprint": lambda run: run.header.environment.fingerprint,
    "budget": lambda run: run.header.config.budget,
}
"""Keys of runs by short names; the facts of `torchgauge.record.fingerprint` go by their own."""

# differ between any two runs, and say nothing of why times do; the facts behind a fingerprint are named
_NO_REASON = frozenset({"run", "started", "fingerprint"})
# what a short name says already
_SAME_AS = {
    "torch.version": "torch",
    "torch.threads": "threads",
    "machine.cpu": "cpu",
    "machine.python": "python",
}

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Value:
    """A value and its 95 % interval, which may be unknown (None), in the metric's unit."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Ratio:
    """Over the baseline: the geometric mean over `cases`. `low` and `high` are its 95 % interval."""

    value: float
    low: float | None
    high: float | None
    cases: int
    without: int = 0
    """Cases that are not among them, since their ratio has no interval; only of a column's mean."""

    @property
    def differs(self) -> bool:
        """Whether the interval is known and leaves 1 out."""
        return self.low is not None and self.high is not None and not self.low <= 1 <= self.high


@dataclass(frozen=True)
class Cell:
    """What lies on one row and one column: the geometric mean over its cases, None where all failed."""

    value: Value | None
    unit: str
    cases: int
    repeats: int
    """The most measurements of one case; above 1, the value is their mean and the interval is from them."""
    ratio: Ratio | None = None
    matched: int = 0
    """Cases that the baseline has, too."""
    failed: int = 0


@dataclass(frozen=True)
class Projection:
    """Summaries laid out. Rows and columns are tuples of values, one for each of their keys."""

    row_keys: tuple[str, ...]
    column_keys: tuple[str, ...]
    rows: tuple[Key, ...]
    columns: tuple[Key, ...]
    cells: Mapping[tuple[Key, Key], Cell]
    baseline: int
    """Which of the columns the others are compared with."""
    means: tuple[Ratio | None, ...]
    """Of each column, over all its cases that the baseline has."""
    constant: Mapping[str, object]
    """Keys that have one value in all that is shown."""
    varying: Mapping[str, tuple[object, ...]]
    """Keys that differ between columns, or inside a cell, although nobody asked for them."""
    runs: tuple[tuple[str, ...], ...]
    """Ids of the runs behind each column."""
    fingerprints: tuple[tuple[str, ...], ...]
    mismatched: int = 0
    """Ratios that were left out, since one device was measured in two ways."""


@dataclass(frozen=True)
class _Point:
    """One summary: what it is of, and its value; None where the case failed."""

    of_case: Mapping[str, object]
    facts: Mapping[str, object]
    value: Value | None
    unit: str

    def get(self, key: str) -> object:
        return self.of_case[key] if key in self.of_case else self.facts.get(key)


@dataclass
class _Group:
    """The points of one cell, by what remains of their cases."""

    points: dict[Key, list[_Point]] = field(default_factory=dict)

    def add(self, rest: Key, point: _Point) -> None:
        self.points.setdefault(rest, []).append(point)


def project(
    runs: Sequence[Run],
    rows: Sequence[str] = (CASE,),
    columns: Sequence[str] = ("run",),
    where: Mapping[str, Sequence[str]] | None = None,
    baseline: Sequence[str] | None = None,
    order: Callable[[str, object], Any] | None = None,
) -> Projection:
    """Lay runs out along keys.

    Args:
        runs: any; several of one cell are joined, the interval of their mean is then from between them.
        rows: keys whose values are told apart by rows.
        columns: keys whose values are told apart by columns.
        where: keys and the values, as text, to which they are held. Without `metric` among them, what
            leads is shown: `device_time` where there is one, else the time.
        baseline: values of the column that the others are compared with, as text; without it the first that
            has a value.
        order: gives the sort key of a value of a case's key; without it numbers stand by size and texts by
            alphabet. Runs stand in the order given.

    Raises:
        TorchgaugeError: no such key, a key twice, nothing that `where` leaves, or no such column.

    """
    asked = [*rows, *columns]
    if len(set(asked)) < len(asked):
        twice = next(key for key in asked if asked.count(key) > 1)
        raise TorchgaugeError(f"{twice} stands on both rows and columns, or twice: name it once")
    where = where or {}
    every = _points(runs)
    known = dict.fromkeys(key for point in every for key in (*point.of_case, *point.facts))
    for key in (*asked, *where):
        if key != CASE and key not in known:
            there = ", ".join([CASE, *(name for name in known if name != ID)])
            raise TorchgaugeError(f"no key {key!r} in these runs: there are {there}")
    chosen = [point for point in _leading(every, where) if _held(point, where)]
    if not chosen:
        held = " ".join(f"{key}={','.join(values)}" for key, values in where.items())
        raise TorchgaugeError(
            f"--where {held} leaves nothing of these runs" if held else "these runs hold no measurement"
        )
    taken = frozenset(asked)
    grid: dict[tuple[Key, Key], _Group] = {}
    for point in chosen:
        place = (_place(point, rows, taken), _place(point, columns, taken))
        grid.setdefault(place, _Group()).add(_rest(point, taken, cases_are_told=CASE in taken), point)
    rank = _ranks(chosen, taken, order or _plainly)
    axes = [
        sorted(
            {place[axis] for place in grid},
            key=partial(_by_rank, rank, keys),
        )
        for axis, keys in enumerate((rows, columns))
    ]
    return _projection(rows, columns, baseline, chosen, grid, axes)


def _plainly(_: str, value: object) -> tuple[int, float, str]:
    if value is None:
        return 0, 0.0, ""
    return (1, float(value), "") if isinstance(value, int | float) else (2, 0.0, str(value))


def _by_rank(rank: Callable[[str, object], Any], keys: Sequence[str], values: Key) -> list[Any]:
    return [rank(key, value) for key, value in zip(keys, values, strict=True)]


def _ranks(
    chosen: Sequence[_Point], taken: frozenset[str], order: Callable[[str, object], Any]
) -> Callable[[str, object], Any]:
    """Give what sorts the values of a key: a case's by `order`, a run's as the runs were given."""
    of_case = dict.fromkeys(key for point in chosen for key in point.of_case)
    sorted_cases = sorted(chosen, key=lambda point: [order(key, point.get(key)) for key in of_case])
    seen: dict[str, dict[object, int]] = {
        CASE: {
            name: place
            for place, name in enumerate(dict.fromkeys(_name(point, taken) for point in sorted_cases))
        }
    }
    for key in taken - of_case.keys() - {CASE}:
        seen[key] = {
            value: place for place, value in enumerate(dict.fromkeys(point.get(key) for point in chosen))
        }
    return lambda key, value: seen[key][value] if key in seen else order(key, value)


def _projection(
    row_keys: Sequence[str],
    column_keys: Sequence[str],
    baseline: Sequence[str] | None,
    chosen: Sequence[_Point],
    grid: Mapping[tuple[Key, Key], _Group],
    axes: Sequence[Sequence[Key]],
) -> Projection:
    rows, columns = axes
    place = _baseline(columns, column_keys, baseline)
    cells: dict[tuple[Key, Key], Cell] = {}
    ratios: dict[Key, list[Ratio]] = {column: [] for column in columns}
    mismatched = 0
    for (row, column), group in grid.items():
        base = grid.get((row, columns[place])) if column != columns[place] else None
        found, odd = _ratios(group, base) if base else ([], 0)
        mismatched += odd
        ratios[column] += found
        cells[row, column] = _cell(group, found)
    behind = {
        column: [
            p
            for (_, other), group in grid.items()
            if other == column
            for s in group.points.values()
            for p in s
        ]
        for column in columns
    }
    constant, varying = _what_varies(chosen, grid, {*row_keys, *column_keys})
    return Projection(
        row_keys=tuple(row_keys),
        column_keys=tuple(column_keys),
        rows=tuple(rows),
        columns=tuple(columns),
        cells=cells,
        baseline=place,
        means=tuple(_mean(ratios[column], leave_out=True) for column in columns),
        constant=constant,
        varying=varying,
        runs=tuple(_distinct(behind[column], "run") for column in columns),
        fingerprints=tuple(_distinct(behind[column], "fingerprint") for column in columns),
        mismatched=mismatched,
    )


def _points(runs: Iterable[Run]) -> list[_Point]:
    runs = list(runs)
    of_run = {run.id: _facts_of_run(run) for run in runs}
    points = []
    for row in summaries(runs).to_dict("records"):
        known = {name: None if value != value else value for name, value in row.items() if name != "params"}
        of_case: dict[str, object] = {key: known[key] for key in OF_CASE}
        for name, value in row["params"].items():
            of_case[f"param_{name}" if name in (CASE, *OF_CASE, *OF_MEASURING, *OF_RUN) else name] = value
        value = None
        if known["value"] is not None:
            value = Value(known["value"], known["low"], known["high"])
        facts = of_run[row["run"]] | {key: known[key] for key in OF_MEASURING} | {ID: row["case"]}
        points.append(_Point(of_case, facts, value, known["unit"] or ""))
    return points


def _facts_of_run(run: Run) -> dict[str, object]:
    facts = {key: get(run) for key, get in OF_RUN.items()}
    more = speed_facts(run.header.environment)
    return facts | {key: _hashable(value) for key, value in more.items() if key not in _SAME_AS}


def _hashable(value: object) -> object:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def _leading(points: Sequence[_Point], where: Mapping[str, Sequence[str]]) -> list[_Point]:
    """Keep what leads of each case, unless a metric was asked for."""
    if "metric" in where or "instrument" in where:
        return [point for point in points if point.value is not None]
    on_device = {
        (point.facts["run"], point.facts[ID]) for point in points if point.facts["metric"] == "device_time"
    }
    return [
        point
        for point in points
        if point.facts["metric"] in (None, "device_time")
        or (
            point.facts["metric"] in PRIMARY_METRICS
            and (point.facts["run"], point.facts[ID]) not in on_device
        )
    ]


def _held(point: _Point, where: Mapping[str, Sequence[str]]) -> bool:
    return all(
        text_of(point.facts[ID] if key == CASE else point.get(key)) in values for key, values in where.items()
    )


def text_of(value: object) -> str:
    """Write a key's value as `where` and `baseline` take it: null is None, truth is true."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _place(point: _Point, keys: Sequence[str], taken: frozenset[str]) -> Key:
    return tuple(_name(point, taken) if key == CASE else point.get(key) for key in keys)


def _name(point: _Point, taken: frozenset[str]) -> str:
    """Name a case as its id does, without what other keys have taken."""
    of_case = point.of_case
    if not taken & of_case.keys():
        return str(point.facts[ID])
    words = [
        str(of_case[key]) for key in ("device", "dtype") if key not in taken and of_case[key] is not None
    ]
    words += [f"{key}={text_of(value)}" for key, value in of_case.items() if key not in (*OF_CASE, *taken)]
    name = "/".join(str(of_case[key]) for key in ("group", "name") if key not in taken)
    return name + (f"[{','.join(words)}]" if words else "")


def _rest(point: _Point, taken: frozenset[str], *, cases_are_told: bool) -> Key:
    """Give the coordinates of a case that are on no axis: what may be compared has the same."""
    return () if cases_are_told else tuple((k, v) for k, v in point.of_case.items() if k not in taken)


def _joined(points: Sequence[_Point]) -> Value | None:
    """Join measurements of one case; the interval of several is Student's t over their logarithms."""
    values = [point.value for point in points if point.value is not None]
    if len(values) < 2:
        return values[0] if values else None
    found = estimate([[value.value] for value in values], 0.5)
    return Value(found.value, found.low, found.high)


def _cell(group: _Group, found: Sequence[Ratio]) -> Cell:
    joined = [_joined(points) for points in group.points.values()]
    values = [value for value in joined if value is not None]
    return Cell(
        value=values[0] if len(values) == 1 else _middle(values),
        unit=next((point.unit for points in group.points.values() for point in points if point.unit), ""),
        cases=len(group.points),
        repeats=max(len(points) for points in group.points.values()),
        ratio=found[0] if len(found) == 1 else _mean(found, leave_out=False),
        matched=len(found),
        failed=len(joined) - len(values),
    )


def _middle(values: Sequence[Value]) -> Value | None:
    """Give the geometric mean of several cases; it has no interval, since they are no sample of anything."""
    if not values:
        return None
    if all(value.value > 0 for value in values):
        return Value(math.exp(math.fsum(math.log(value.value) for value in values) / len(values)))
    return Value(math.fsum(value.value for value in values) / len(values))


def _ratios(group: _Group, base: _Group) -> tuple[list[Ratio], int]:
    """Give the ratios of the cases that both have, and of how many the two were measured in unlike ways."""
    found, odd = [], 0
    for rest, points in group.points.items():
        others = base.points.get(rest)
        if others is None:
            continue
        one, other = _joined(others), _joined(points)
        if one is None or other is None or not (one.value > 0 and other.value > 0):
            continue
        if not _alike(others, points):
            odd += 1
            continue
        found.append(ratio_of(one, other))
    return found, odd


def _alike(one: Sequence[_Point], other: Sequence[_Point]) -> bool:
    """Tell whether two measurements may be compared: of one device, only those taken in the same way."""

    def ways(points: Sequence[_Point], keys: Sequence[str]) -> set[Key]:
        return {tuple(map(point.get, keys)) for point in points}

    same_device = ways(one, ["device"]) == ways(other, ["device"])
    keys = OF_MEASURING if same_device else ("unit",)
    return ways(one, keys) == ways(other, keys)


def ratio_of(base: Value, other: Value) -> Ratio:
    """Give other / base. The interval is unknown where one of theirs is, or reaches down to 0."""
    log = math.log(other.value / base.value)
    ends = (base.low, base.high, other.low, other.high)
    if any(end is None or end <= 0 for end in ends):
        return Ratio(math.exp(log), None, None, 1)
    base_low, base_high, low, high = (math.log(end) for end in ends if end is not None)
    one, two = math.log(base.value), math.log(other.value)
    down = math.hypot(two - low, base_high - one)
    up = math.hypot(high - two, one - base_low)
    return Ratio(math.exp(log), math.exp(log - down), math.exp(log + up), 1)


def _mean(ratios: Sequence[Ratio], *, leave_out: bool) -> Ratio | None:
    """Give the geometric mean; with `leave_out`, of those alone that have an interval, if any has."""
    known = [one for one in ratios if one.low is not None]
    used = known if leave_out and known else list(ratios)
    if not used:
        return None
    value, low, high = (
        None if None in ends else math.exp(math.fsum(map(math.log, ends)) / len(ends))
        for ends in zip(*((one.value, one.low, one.high) for one in used), strict=True)
    )
    assert value is not None
    return Ratio(value, low, high, len(used), len(ratios) - len(used))


def _baseline(columns: Sequence[Key], keys: Sequence[str], wanted: Sequence[str] | None) -> int:
    if wanted is None:  # cases without a dtype are no measure of those that have one
        return next((place for place, column in enumerate(columns) if None not in column), 0)
    names = [tuple(map(text_of, column)) for column in columns]
    if tuple(wanted) not in names:
        there = ", ".join(",".join(name) for name in names)
        raise TorchgaugeError(f"no column {','.join(wanted)} of {','.join(keys)}: there are {there}")
    return names.index(tuple(wanted))


def _distinct(points: Iterable[_Point], key: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(point.facts[key]) for point in points))


def _what_varies(
    chosen: Sequence[_Point], grid: Mapping[tuple[Key, Key], _Group], taken: set[str]
) -> tuple[dict[str, object], dict[str, tuple[object, ...]]]:
    """Find what is constant, and what differs between the columns of a row or inside a cell unasked.

    What a case is told apart by inside a cell does not count: it is matched case by case.
    """
    keys = dict.fromkeys(key for point in chosen for key in (*point.of_case, *point.facts) if key != ID)
    constant: dict[str, object] = {}
    varying: dict[str, tuple[object, ...]] = {}
    by_row: dict[Key, list[list[_Point]]] = {}
    for (row, _), group in grid.items():
        by_row.setdefault(row, []).extend(group.points.values())
    for key in keys:
        if key in taken:
            continue
        values = {point.get(key) for point in chosen if point.value is not None}
        if len(values) == 1:
            constant[key] = values.pop()
        elif key in _NO_REASON or any(key in point.of_case for point in chosen):
            continue
        else:
            sets = [
                [{point.get(key) for point in some if point.value} for some in row] for row in by_row.values()
            ]
            told = any(len(s) > 1 for row in sets for s in row) or any(
                a != b for row in sets for a, b in pairwise(row)
            )
            if told:
                varying[key] = tuple(sorted(values, key=text_of))
    return constant, varying
