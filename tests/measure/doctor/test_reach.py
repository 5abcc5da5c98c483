"""Ceilings beside peaks: which are shown, and what is said where no peak is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import synthetic
from torchgauge.analysis.ceilings import published
from torchgauge.measure import ceilings
from torchgauge.measure.ceilings import Ceiling
from torchgauge.measure.doctor import reach

ENVIRONMENT = synthetic.header(["cpu", "cuda:0"]).environment


class Chip:
    chip = "Example"
    memory = 4e12

    def of(self, dtype: str | None) -> float | None:
        return {"bfloat16": 1e15}.get(dtype or "")


def ceiling(name: str, device: str, dtype: str | None, unit: str, value: float, **params: Any) -> Ceiling:
    metric = params.pop("metric", "time")
    return Ceiling(name, device, dtype, params, metric, unit, value, 0.9 * value, 1.1 * value, 1.1 * value)


FOUND = [
    ceiling("copy", "cuda:0", None, "B/s", 9e12, size=2**20),
    ceiling("copy", "cuda:0", None, "B/s", 3e12, size=2**28),
    ceiling("matmul", "cuda:0", "bfloat16", "FLOP/s", 5e14, n=2048),
    ceiling("matmul", "cuda:0", "bfloat16", "FLOP/s", 8e14, n=4096),
    ceiling("matmul", "cuda:0", "float64", "FLOP/s", 6e13, n=4096),
    ceiling("to_device", "cuda:0", None, "B/s", 5e10, size=2**26, memory="pinned"),
    ceiling("to_device", "cuda:0", None, "B/s", 2e10, size=2**26, memory="pageable"),
    ceiling("launch", "cuda:0", None, "s", 2e-6),
    ceiling("launch", "cuda:0", None, "s", 1e-6, metric="submit_time"),
]


def look(monkeypatch: pytest.MonkeyPatch, found: list[Ceiling], device: str, peaks: Any) -> list[reach.Reach]:
    monkeypatch.setattr(ceilings, "measure", lambda *_, **__: found)
    return reach.reaches(device, 1.0, ENVIRONMENT, lambda _: peaks, Path("/nowhere"))


def test_the_largest_stream_and_the_fastest_product_are_shown() -> None:
    chosen = reach.best(FOUND)
    assert [(one.name, one.value) for one in chosen] == [
        ("copy", 3e12), ("to_device", 2e10), ("to_device", 5e10), ("matmul", 6e13), ("matmul", 8e14),
        ("launch", 2e-6),
    ]  # fmt: skip


def test_published_peaks_stand_beside_rates_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    copy, _, pinned, float64, bfloat16, launch = look(monkeypatch, FOUND, "cuda:0", Chip())
    assert (copy.peak, bfloat16.peak) == (4e12, 1e15)
    assert (float64.peak, float64.peak_source) == (None, "none is published of Example in float64")
    assert (pinned.peak, launch.peak) == (None, None)


def test_an_unknown_chip_has_no_peak_and_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    found = look(monkeypatch, FOUND, "cuda:0", published(ENVIRONMENT.accelerators[0]))
    assert {one.peak for one in found} == {None}
    assert "Example GPU" in found[0].peak_source


def test_a_cpu_that_hides_its_frequency_has_no_peak_and_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = [
        ceiling("copy", "cpu", None, "B/s", 1e10, size=2**28),
        ceiling("matmul", "cpu", "float32", "FLOP/s", 1e11, n=512),
    ]
    found = look(monkeypatch, cpu, "cpu", Chip())
    assert [one.peak for one in found] == [None, None]
    assert "channels" in found[0].peak_source
    assert "units" in found[1].peak_source
