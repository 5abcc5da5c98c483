"""The counted part of a comparison: each side by itself, and its counts held against the other's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from torchgauge.analysis.gate.exact import COUNTS, INSTRUCTIONS_FLOOR, compare_counts
from torchgauge.errors import TorchgaugeError
from torchgauge.measure.ab import counting
from torchgauge.measure.ab.conductor import Request
from torchgauge.measure.sides import Side
from torchgauge.record.ab import AbFailure, Comparison, CountLine, Verdict

FLOORS = dict.fromkeys(COUNTS, 0.0) | {"instructions": INSTRUCTIONS_FLOOR}


def counted(
    base: Side,
    head: Side,
    request: Request,
    metric: str,
    cases: Sequence[str],
    write: Callable[[CountLine | AbFailure], None],
    say: Callable[[str], None],
) -> list[Comparison]:
    """Count both sides and compare.

    Args:
        base: what head is compared with.
        head: what is judged.
        request: what both count.
        metric: "counts" or "instructions".
        cases: ids of what both sides have: all are an ERROR where a side can't be counted at all.
        write: takes each line of the file.
        say: tells the user one line.

    Raises:
        TorchgaugeError: the file can't be written.

    """
    sides = {"base": base, "head": head}
    seen: dict[str, list[CountLine]] = {"base": [], "head": []}
    failed: dict[str, str] = {}
    for process in range(counting.PROCESSES[metric]):
        say(f"counting {metric} of both sides, {process + 1} of {counting.PROCESSES[metric]}")
        try:
            both = counting.count(sides, request, metric, process)
        except TorchgaugeError as error:
            return list(_errors(dict.fromkeys(cases, str(error)), metric))
        for name, one in both.items():
            for line in one.lines:
                write(line)
            for failure in one.failures:
                write(failure)
            seen[name] += one.lines
            failed |= {
                f.case: f"{sides[name].where}: {f.stage}: {f.error}: {f.message}" for f in one.failures
            }
    found = compare_counts(seen["base"], seen["head"], FLOORS)
    return [*(one for one in found if one.case not in failed), *_errors(failed, metric)]


def _errors(failed: dict[str, str], metric: str) -> Iterator[Comparison]:
    for case, why in failed.items():
        yield Comparison(case=case, metric=metric, verdict=Verdict.ERROR, notes=[why])
