"""Bars from zero, with intervals: in-place against functional, optimizers, the training step's parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from torchgauge.report import order
from torchgauge.report.points import Row
from torchgauge.report.svg import FAINT, INK, MOST_SERIES, SERIES, Legend, Panel, Plot, draw
from torchgauge.report.text import label, plain
from torchgauge.units import format_quantity

WIDTH = 340.0
BAR = 13.0
"""Height of one bar in CSS pixels."""

PARTS = ("zero_grad", "forward", "loss", "backward", "optimizer_step")
WHOLE = "training_step"

Bench = Mapping[tuple[str, str, str], Sequence[Row]]
"""What `points.benchmarks` gives."""


def in_place(benchmarks: Bench, run_labels: Mapping[str, str]) -> list[Plot]:
    """Compare the forms of each operation of the group `inplace`, a panel a size: in time, and in memory."""
    plots = []
    for metric, title, description in (
        ("", "In place against functional", "Time of a call, from zero, by form"),
        ("allocated_bytes", "In place against functional, memory", "Bytes that a call allocates, by form"),
    ):
        rows = _with_param(_of(benchmarks, "inplace", metric), "form")
        plots += _in_place(rows, title, description, run_labels)
    return plots


def _in_place(rows: Sequence[Row], title: str, description: str, run_labels: Mapping[str, str]) -> list[Plot]:
    return _compare(
        rows,
        title,
        description,
        panel=lambda row: row["params"].get("n", ""),
        panel_name=lambda value: f"n = {label(value)}" if value != "" else "all",
        category=lambda row: _category(row, row["name"], "form", "n"),
        run_labels=run_labels,
    )


def optimizers(benchmarks: Bench, run_labels: Mapping[str, str]) -> list[Plot]:
    """Compare the implementations of each optimizer, a panel a set of tensors."""
    rows = _with_param(_of(benchmarks, "optimizers"), "form", "optimizer")
    return _compare(
        rows,
        "Optimizers",
        "Time of one step, from zero, by implementation",
        panel=lambda row: row["params"].get("tensors", ""),
        panel_name=lambda value: label(value) if value != "" else "all",
        category=lambda row: _category(row, row["params"]["optimizer"], "form", "tensors", "optimizer"),
        run_labels=run_labels,
    )


def breakdown(benchmarks: Bench, run_labels: Mapping[str, str]) -> list[Plot]:
    """Stack the parts of the training step, each measured by itself, as shares of the whole step."""
    complete = steps(benchmarks)
    if not complete:
        return []
    keys = sorted(complete, key=lambda key: [order.key("", value) for value in key])
    several = [len({key[index] for key in keys}) > 1 for index in range(5)]
    names = []
    for key in keys:
        words = [run_labels.get(key[0], "")] * several[0] + [plain(key[1])] * several[1]
        words += [plain(key[2])] * several[2]
        words += [f"batch {label(key[3])}"] * (key[3] != "") + [f"width {label(key[4])}"] * several[4]
        names.append(" ".join(words))

    def paint(axes: Axes) -> None:
        for position, key in enumerate(keys):
            whole, left = complete[key][WHOLE]["value"], 0.0
            for index, part in enumerate(PARTS):
                if part in complete[key]:
                    share = 100 * complete[key][part]["value"] / whole
                    axes.barh(position, share, left=left, height=0.7, color=SERIES[index])
                    left += share
            text = format_quantity(whole, "s")
            axes.text(max(left, 100) + 2, position, text, va="center", fontsize=9)
        longest = max(
            sum(found[part]["value"] for part in PARTS if part in found) / found[WHOLE]["value"]
            for found in complete.values()
        )
        axes.axvline(100, color=INK, linewidth=1)
        axes.set_xlim(0, 100 * max(1.0, longest) * 1.22)
        axes.set_xticks([0, 25, 50, 75, 100], ["0", "25 %", "50 %", "75 %", "100 %"])
        _categories(axes, names)
        axes.set_xlabel("share of the whole step")

    alt = "Parts of the training step: " + "; ".join(
        f"{name}: whole step {format_quantity(complete[key][WHOLE]['value'], 's')}, "
        + ", ".join(
            f"{part} {100 * complete[key][part]['value'] / complete[key][WHOLE]['value']:.0f} %"
            for part in PARTS
            if part in complete[key]
        )
        for name, key in zip(names, keys, strict=True)
    )
    svg = draw(1.6 * WIDTH, 56 + 24 * len(keys), paint, plain(alt, 2000), left=_left(names), right=10)
    return [
        Plot(
            "Breakdown of the training step",
            "Each part was measured by itself, so the parts need not add up to the whole step (the line at "
            "100 %, its time at the right).",
            (Panel("", svg),),
            tuple(Legend(part.replace("_", " "), index) for index, part in enumerate(PARTS)),
            bars=True,
        )
    ]


def steps(benchmarks: Bench) -> dict[tuple[Any, ...], dict[str, Row]]:
    """Give the whole training step and its parts, by run, device, dtype, batch and width."""
    parts: dict[tuple[Any, ...], dict[str, Row]] = {}
    for (group, name, metric), rows in benchmarks.items():
        if group == "sine_mlp" and metric == "" and name in (*PARTS, WHOLE):
            for row in rows:
                eager = row["params"].get("mode", "eager") == "eager"
                if (row["value"] or 0) > 0 and eager and row["params"].get("form", "eager") == "eager":
                    where = tuple(row["params"].get(key, "") for key in ("batch", "width"))
                    parts.setdefault((row["run"], row["device"], row["dtype"], *where), {})[name] = row
    return {key: found for key, found in parts.items() if WHOLE in found and len(found) > 2}


def _of(benchmarks: Bench, group: str, wanted: str = "") -> list[Row]:
    return [
        row
        for (of, _, metric), rows in benchmarks.items()
        for row in rows
        if of == group and metric == wanted and row["value"] is not None
    ]


def _with_param(rows: Sequence[Row], *names: str) -> list[Row]:
    return [row for row in rows if all(isinstance(row["params"].get(name), str) for name in names)]


def _category(row: Row, name: str, *known: str) -> str:
    """Name a bar's category; parameters beyond the known ones are part of it, so that no bar hides one."""
    more = [f"{key}={label(value)}" for key, value in row["params"].items() if key not in known]
    return plain(" ".join([name, *more]), 200)


def _compare(
    rows: Sequence[Row],
    title: str,
    description: str,
    *,
    panel: Callable[[Row], Any],
    panel_name: Callable[[Any], str],
    category: Callable[[Row], str],
    run_labels: Mapping[str, str],
) -> list[Plot]:
    """Make a plot for each run, device and dtype: its forms side by side in each category."""
    places: dict[tuple[str, str, str | None], list[Row]] = {}
    for row in rows:
        places.setdefault((row["run"], row["device"], row["dtype"]), []).append(row)
    plots = []
    for (run, device, dtype), members in places.items():
        forms = sorted({row["params"]["form"] for row in members}, key=lambda v: order.key("form", v))
        if len(forms) < 2 or (dtype not in (None, "float32") and (run, device, "float32") in places):
            continue
        forms = forms[:MOST_SERIES]
        where = [plain(part, 40) for part in (device, dtype) if part]
        if len(run_labels) > 1:
            where.insert(0, run_labels.get(run, ""))
        panels = []
        for value in sorted({panel(row) for row in members}, key=lambda v: order.key("", v)):
            chosen = [row for row in members if panel(row) == value]
            name = panel_name(value)
            panels.append(Panel(name, _bars(chosen, forms, category, f"{title}, {name}")))
        plots.append(
            Plot(
                f"{title} ({', '.join(where)})",
                f"{description}.",
                tuple(panels),
                tuple(Legend(plain(form, 40), index) for index, form in enumerate(forms)),
                bars=True,
            )
        )
    return plots


def _bars(rows: Sequence[Row], forms: Sequence[str], category: Callable[[Row], str], alt: str) -> str:
    categories = sorted({category(row) for row in rows}, key=lambda v: order.key("", v))
    found = {(category(row), row["params"]["form"]): row for row in rows}
    # a wide interval may take half as much room again as the bars; beyond that it is cut
    unit = plain(rows[0]["unit"], 12)
    most = max(row["value"] for row in rows) or 1.0
    longest = min(1.5 * most, max(row["high"] or row["value"] for row in rows) or most)
    thick = 0.8 / len(forms)
    words = []

    def paint(axes: Axes) -> None:
        for position, name in enumerate(categories):
            for index, form in enumerate(forms):
                row = found.get((name, form))
                if row is None:
                    continue
                y = position + (index - (len(forms) - 1) / 2) * thick
                axes.barh(y, row["value"], height=thick * 0.92, color=SERIES[index])
                if row["low"] is not None and row["high"] is not None:
                    axes.plot(
                        [max(row["low"], 0.0), min(row["high"], longest)], [y, y], color=INK, linewidth=1.1
                    )
                end = max(row["value"], min(row["high"] or 0.0, longest)) + 0.015 * longest
                axes.text(end, y, format_quantity(row["value"], unit), va="center", fontsize=8)
        axes.set_xlim(0, 1.24 * longest)
        axes.set_xticks([0], ["0"])
        _categories(axes, [plain(name, 24) for name in categories])

    for name in categories:
        values = [
            f"{plain(form, 40)} {format_quantity(found[name, form]['value'], unit)}"
            for form in forms
            if (name, form) in found
        ]
        words.append(f"{plain(name, 24)}: {', '.join(values)}")
    height = 48 + BAR * len(forms) * len(categories) * 1.25
    text = plain(f"{alt}: {'; '.join(words)}", 2000)
    return draw(WIDTH, height, paint, text, left=_left([plain(name, 24) for name in categories]))


def _left(names: Sequence[str]) -> float:
    return 14 + 6.2 * max(len(name) for name in names)


def _categories(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.spines["left"].set_color(FAINT)
