"""Any runs laid out along any keys (`torchgauge.analysis.keys`): cells of rows and columns, and the ratios
between columns.

Ratios are formed case by case, between measurements that differ in nothing of the case but what the columns
say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any

from torchgauge.analysis.keys import (
    CASE,
    ID,
    OF_CASE,
    OF_MEASURING,
    Key,
    Point,
    is_held,
    leading,
    name_of,
    place_of,
    points_of,
    rest_of,
    text_of,
)
from torchgauge.analysis.ratio import Ratio, Value, joined, mean_ratio, middle, ratio_of
from torchgauge.errors import TorchgaugeError
from torchgauge.record import Run

# differ between any two runs, and say nothing of why times do; the facts behind a fingerprint are named
_NO_REASON = frozenset({"run", "started", "fingerprint"})


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
    params: tuple[str, ...] = ()
    """Keys that are parameters of cases."""
    nowhere: tuple[tuple[str, str], ...] = ()
    """Keys and values that were asked for and that nothing has."""
    broken: tuple[str, ...] = ()
    """Cases that failed in a later round, and whose value is from the rounds before."""
    impossible: tuple[str, ...] = ()
    """Cases that are too fast to be true."""


@dataclass
class _Group:
    """The points of one cell, by what remains of their cases."""

    points: dict[Key, list[Point]] = field(default_factory=dict)

    def add(self, rest: Key, point: Point) -> None:
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
    every = points_of(runs)
    known = dict.fromkeys(key for point in every for key in (*point.of_case, *point.facts))
    for key in (*asked, *where):
        if key != CASE and key not in known:
            there = ", ".join([CASE, *(name for name in known if name != ID)])
            raise TorchgaugeError(f"no key {key!r} in these runs: there are {there}")
    chosen = [point for point in leading(every, where) if is_held(point, where)]
    if not chosen:
        held = " ".join(f"{key}={','.join(values)}" for key, values in where.items())
        raise TorchgaugeError(
            f"--where {held} leaves nothing of these runs" if held else "these runs hold no measurement"
        )
    several = _several_metrics(chosen) and "metric" not in columns
    if several and "metric" not in rows:
        rows = (*rows, "metric")
    taken = frozenset((*rows, *columns))
    grid: dict[tuple[Key, Key], _Group] = {}
    for point in chosen:
        place = (place_of(point, rows, taken), place_of(point, columns, taken))
        grid.setdefault(place, _Group()).add(rest_of(point, taken, cases_are_told=CASE in taken), point)
    rank = _ranks(chosen, taken, order or _plainly)
    axes = [
        sorted(
            {place[axis] for place in grid},
            key=partial(_by_rank, rank, keys),
        )
        for axis, keys in enumerate((rows, columns))
    ]
    nowhere = tuple(
        (key, value)
        for key, values in where.items()
        for value in values
        if not any(is_held(point, {key: [value]}) for point in every)
    )
    found = _projection(rows, columns, baseline, chosen, grid, axes)
    broken = dict.fromkeys(str(point.facts[ID]) for point in chosen if point.failed and point.value)
    impossible = dict.fromkeys(str(point.facts[ID]) for point in chosen if point.impossible)
    params = dict.fromkeys(key for point in chosen for key in point.of_case if key not in OF_CASE)
    if several:  # no mean of metrics means anything
        found = replace(found, means=(None,) * len(found.columns))
    return replace(
        found, params=tuple(params), nowhere=nowhere, broken=tuple(broken), impossible=tuple(impossible)
    )


def _several_metrics(points: Iterable[Point]) -> bool:
    """Tell whether a case of a run has several metrics among these."""
    seen: dict[tuple[object, object], object] = {}
    return any(
        seen.setdefault((point.facts["run"], point.facts[ID]), point.facts["metric"]) != point.facts["metric"]
        for point in points
        if point.value is not None
    )


def _plainly(_: str, value: object) -> tuple[int, float, str]:
    if value is None:
        return 0, 0.0, ""
    return (1, float(value), "") if isinstance(value, int | float) else (2, 0.0, str(value))


def _by_rank(rank: Callable[[str, object], Any], keys: Sequence[str], values: Key) -> list[Any]:
    return [rank(key, value) for key, value in zip(keys, values, strict=True)]


def _ranks(
    chosen: Sequence[Point], taken: frozenset[str], order: Callable[[str, object], Any]
) -> Callable[[str, object], Any]:
    """Give what sorts the values of a key: a case's by `order`, a run's as the runs were given."""
    of_case = dict.fromkeys(key for point in chosen for key in point.of_case)
    sorted_cases = sorted(chosen, key=lambda point: [order(key, point.get(key)) for key in of_case])
    seen: dict[str, dict[object, int]] = {
        CASE: {
            name: place
            for place, name in enumerate(dict.fromkeys(name_of(point, taken) for point in sorted_cases))
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
    chosen: Sequence[Point],
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
        means=tuple(mean_ratio(ratios[column], leave_out=True) for column in columns),
        constant=constant,
        varying=varying,
        runs=tuple(_distinct(behind[column], "run") for column in columns),
        fingerprints=tuple(_distinct(behind[column], "fingerprint") for column in columns),
        mismatched=mismatched,
    )


def _joined(points: Iterable[Point]) -> Value | None:
    return joined([point.value for point in points if point.value is not None])


def _cell(group: _Group, found: Sequence[Ratio]) -> Cell:
    joined = [_joined(points) for points in group.points.values()]
    values = [value for value in joined if value is not None]
    return Cell(
        value=values[0] if len(values) == 1 else middle(values),
        unit=next((point.unit for points in group.points.values() for point in points if point.unit), ""),
        cases=len(group.points),
        repeats=max(len(points) for points in group.points.values()),
        ratio=found[0] if len(found) == 1 else mean_ratio(found, leave_out=False),
        matched=len(found),
        failed=len(joined) - len(values),
    )


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


def _alike(one: Sequence[Point], other: Sequence[Point]) -> bool:
    """Tell whether two measurements may be compared: of one device, only those taken in the same way."""

    def ways(points: Sequence[Point], keys: Sequence[str]) -> set[Key]:
        return {tuple(map(point.get, keys)) for point in points}

    same_device = ways(one, ["device"]) == ways(other, ["device"])
    keys = OF_MEASURING if same_device else ("unit",)
    return ways(one, keys) == ways(other, keys)


def _baseline(columns: Sequence[Key], keys: Sequence[str], wanted: Sequence[str] | None) -> int:
    if wanted is None:  # cases without a dtype are no measure of those that have one
        return next((place for place, column in enumerate(columns) if None not in column), 0)
    names = [tuple(map(text_of, column)) for column in columns]
    if tuple(wanted) not in names:
        there = ", ".join(",".join(name) for name in names)
        raise TorchgaugeError(f"no column {','.join(wanted)} of {','.join(keys)}: there are {there}")
    return names.index(tuple(wanted))


def _distinct(points: Iterable[Point], key: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(point.facts[key]) for point in points))


def _what_varies(
    chosen: Sequence[Point], grid: Mapping[tuple[Key, Key], _Group], taken: set[str]
) -> tuple[dict[str, object], dict[str, tuple[object, ...]]]:
    """Find what is constant, and what differs between the columns of a row or inside a cell unasked.

    What a case is told apart by inside a cell does not count: it is matched case by case.
    """
    keys = dict.fromkeys(key for point in chosen for key in (*point.of_case, *point.facts) if key != ID)
    constant: dict[str, object] = {}
    varying: dict[str, tuple[object, ...]] = {}
    by_row: dict[Key, list[list[Point]]] = {}
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
