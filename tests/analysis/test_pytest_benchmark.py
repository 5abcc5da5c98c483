"""The format of pytest-benchmark; that its own command reads it is in test_export.py."""

from __future__ import annotations

import sys

import pytest

import synthetic
from torchgauge.analysis import pytest_benchmark as format


@pytest.fixture(scope="module")
def run():
    return synthetic.run(rounds=2)


def test_without_pytest_benchmark_the_statistics_are_the_same(run):
    data = [value for line in run.measurements if line.metric == "time" for value in line.samples][:101]
    theirs, ours = format._stats(data), format._own_stats(data)
    assert set(theirs) - {"data", "iterations"} == set(ours)
    for name in ("min", "max", "mean", "stddev", "median", "total", "ops", "rounds", "stddev_outliers"):
        assert ours[name] == pytest.approx(theirs[name]), name


def test_a_machine_without_pandas_writes_it(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert format.pytest_benchmark(run).startswith(b"{")
