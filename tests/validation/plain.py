"""A pytest plugin: the quick cases of the catalogue, timed by pytest-benchmark alone."""

from __future__ import annotations

from typing import Any

import pytest

from torchgauge.measure import cases
from torchgauge.measure.budget import BUDGETS
from torchgauge.measure.collect import is_benchmark
from torchgauge.measure.gauge import Gauge


def pytest_configure(config: pytest.Config) -> None:
    """Collect what torchgauge collects."""
    config.addinivalue_line("python_files", "bench_*.py")
    config.addinivalue_line("python_functions", "bench_*")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the cases of the quick budget that can run."""
    items[:] = [
        item
        for item in items
        if isinstance(item, pytest.Function)
        and is_benchmark(item)
        and not cases.outside_budget(item, BUDGETS["quick"])
        and cases.skip_reason(item, cases.case_of(item)) is None
    ]


@pytest.fixture(autouse=True)
def _timed_by_pytest_benchmark(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark: Any = request.getfixturevalue("benchmark")
    benchmark.extra_info["case"] = cases.case_of(request.node).id

    def time(self: Gauge, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.stage = "check"
        make = self._prepare
        if make is None:
            return benchmark(fn, *args, **kwargs)
        if self._each == "block":
            return benchmark(fn, *make(), **kwargs)
        return benchmark.pedantic(fn, kwargs=kwargs, setup=lambda: (make(), kwargs), rounds=20)

    monkeypatch.setattr(Gauge, "__call__", time)
