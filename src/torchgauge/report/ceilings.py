"""What the devices of a run can do at the most, as tables: memory by working set, products, calls, peaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torchgauge.analysis.ceilings import STREAMS, Ceiling, Ceilings, Peaks
from torchgauge.record import Run
from torchgauge.report import order
from torchgauge.report.quality import is_noisy
from torchgauge.report.tables import Cell, Table
from torchgauge.report.text import label, percent, plain
from torchgauge.units import format_quantity

TITLE = "Ceilings"
ABOUT = (
    "What each device was seen to do at the most, measured before the cases of the same run. Memory: bytes "
    "read and written per second over working sets of several sizes; an update reads and writes each element "
    "in its place. The share after a rate in the tables above is of the fastest that fits the case."
)

Rows = list[tuple[tuple[str, ...], tuple[Cell | None, ...]]]


def about(runs: Sequence[Run]) -> str:
    """Say what the tables are, and of which accelerators no published peak is known."""
    missing = dict.fromkeys(
        f"{device}: {reason}." for run in runs for device, reason in Ceilings(run).unknown_peaks.items()
    )
    return plain(" ".join([ABOUT, *missing]), 2000)


def ceiling_tables(runs: Sequence[Run], run_labels: Mapping[str, str]) -> tuple[Table, ...]:
    """Lay out the ceilings of each run, device by device; runs without any are left out."""
    found: list[Table] = []
    for run in runs:
        held = Ceilings(run)
        measured = held.measured
        where = run_labels[run.id] if len(runs) > 1 else ""
        for device in sorted({one.case.device for one in measured}, key=lambda d: order.key("device", d)):
            own = [one for one in measured if one.case.device == device]
            place = " · ".join(part for part in (where, plain(device, 40)) if part)
            found += _memory(own, place) + _products(own, place) + _calls(own, place)
            if device in held.peaks:
                found.append(_published(held.peaks[device], place))
    return tuple(found)


def _memory(own: list[Ceiling], place: str) -> list[Table]:
    streams = {(one.size, one.case.name): one for one in own if one.case.name in STREAMS and one.size}
    sizes = sorted({size for size, _ in streams if isinstance(size, int)})
    names = [name for name in STREAMS if any(name == of for _, of in streams)]
    rows: Rows = [
        ((format_quantity(float(size), "B"),), tuple(_cell(streams.get((size, name))) for name in names))
        for size in sizes
    ]
    return [_table("memory", place, ("working set",), tuple(names), rows)] if rows else []


def _products(own: list[Ceiling], place: str) -> list[Table]:
    products = [one for one in own if one.case.name == "matmul"]
    products.sort(
        key=lambda one: (order.key("dtype", one.case.dtype), order.key("n", one.case.params.get("n")))
    )
    rows: Rows = [
        ((plain(one.case.dtype, 20), label(one.case.params.get("n"))), (_cell(one),)) for one in products
    ]
    return [_table("matmul", place, ("dtype", "n"), ("rate",), rows)] if rows else []


def _calls(own: list[Ceiling], place: str) -> list[Table]:
    """Lay out what is neither memory nor product: calls without work, and the link to the host."""
    others = [one for one in own if one.case.name not in (*STREAMS, "matmul")]
    others.sort(key=lambda one: (one.unit != "s", one.name, one.metric))
    twice = {one.name for one in others if sum(other.name == one.name for other in others) > 1}
    rows: Rows = []
    for one in others:
        words = {"submit_time": ", submission", "device_time": " on the device"}
        name = one.name + (words.get(one.metric, "") if one.name in twice else "")
        rows.append(((plain(name, 60),), (_cell(one),)))
    return [_table("calls", place, ("what",), ("value",), rows)] if rows else []


def _published(peaks: Peaks, place: str) -> Table:
    rows: Rows = [((name,), (Cell(format_quantity(value, "FLOP/s")),)) for name, value in peaks.flop.items()]
    rows.append((("memory",), (Cell(format_quantity(peaks.memory, "B/s")),)))
    return _table("published", f"{place} · {plain(peaks.chip, 60)}", ("what",), ("peak",), rows)


def _table(name: str, place: str, heads: tuple[str, ...], columns: tuple[str, ...], rows: Rows) -> Table:
    return Table("ceiling", name, "ceiling", place, "", heads, columns, tuple(rows))


def _cell(one: Ceiling | None) -> Cell | None:
    if one is None:
        return None
    half = one.found.relative_half_width
    return Cell(
        value=format_quantity(one.found.value, plain(one.unit, 12)),
        interval="" if half is None else f"±{percent(half)}",
        noisy=half is not None and is_noisy(half, one.found.between),
    )
