"""The keys along which runs are laid out, and the value of each key for each summary of a case.

A key is a coordinate of a case (`group`, `name`, `device`, `dtype`, a parameter), of how it was measured
(`metric`, `method`, `instrument`), or of a run (`run`, `machine`, `torch`, `threads` …, and any fact that the
fingerprint covers, such as `torch.tf32_matmul`). `case` stands for all coordinates of a case that no other
key has taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torchgauge.analysis.ceilings import NO_SUCH_RATE
from torchgauge.analysis.frame import summaries
from torchgauge.analysis.ratio import Value
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
# what a short name says already
_SAME_AS = {
    "torch.version": "torch",
    "torch.threads": "threads",
    "machine.cpu": "cpu",
    "machine.python": "python",
}
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Point:
    """One summary: what it is of, and its value; None where the case failed."""

    of_case: Mapping[str, object]
    facts: Mapping[str, object]
    value: Value | None
    unit: str
    failed: bool = False
    """Whether it raised in any round."""
    impossible: bool = False
    """Whether it is too fast to be true."""

    def get(self, key: str) -> object:
        """Give the value of a key; None where it has none."""
        return self.of_case[key] if key in self.of_case else self.facts.get(key)


def points_of(runs: Iterable[Run]) -> list[Point]:
    """Give the summaries of the runs, case by case in the order in which they were measured."""
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
            value = Value(known["value"], known["low"], known["high"], known["between"] or 0.0)
        facts = of_run[row["run"]] | {key: known[key] for key in OF_MEASURING} | {ID: row["case"]}
        impossible = any(str(said).startswith(NO_SUCH_RATE) for said in row["warnings"])
        points.append(Point(of_case, facts, value, known["unit"] or "", bool(known["failed"]), impossible))
    return points


def _facts_of_run(run: Run) -> dict[str, object]:
    facts = {key: get(run) for key, get in OF_RUN.items()}
    more = speed_facts(run.header.environment)
    return facts | {key: _hashable(value) for key, value in more.items() if key not in _SAME_AS}


def _hashable(value: object) -> object:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def leading(points: Sequence[Point], where: Mapping[str, Sequence[str]]) -> list[Point]:
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


def is_held(point: Point, where: Mapping[str, Sequence[str]]) -> bool:
    """Tell whether it has one of the wanted values, as text, of each key."""
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


def place_of(point: Point, keys: Sequence[str], taken: frozenset[str]) -> Key:
    """Give its values of the keys; `taken` are those of both axes."""
    return tuple(name_of(point, taken) if key == CASE else point.get(key) for key in keys)


def name_of(point: Point, taken: frozenset[str]) -> str:
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


def rest_of(point: Point, taken: frozenset[str], *, cases_are_told: bool) -> Key:
    """Give the coordinates of a case that are on no axis: what may be compared has the same."""
    return () if cases_are_told else tuple((k, v) for k, v in point.of_case.items() if k not in taken)
