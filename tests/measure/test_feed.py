"""pytest-benchmark holds our samples to the last bit."""

from __future__ import annotations

import json
import struct
import subprocess
import sys

import pytest

import torchgauge.measure.setup
from fakes import FakeRun
from torchgauge.measure.feed import replay

pytest_plugins = ["pytester"]
ODD = (1.1e-7, 2.2250738585072014e-308, 0.1 + 0.2, 3.0000000000000004e-9, 1 / 3, 7.0)


@pytest.fixture
def fake_run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    assert torchgauge.measure.setup
    made = FakeRun(pytester, monkeypatch)
    text = "import pytest\n\n@pytest.mark.parametrize('n', [1, 2])\ndef bench_it(gauge, n):\n    gauge(int)\n"
    pytester.path.joinpath("bench_a.py").write_text(text)
    made.samples = ODD
    return made


def bits(values) -> list[bytes]:
    return [struct.pack("<d", value) for value in values]


def test_a_replayed_clock_gives_back_each_sample_as_the_difference_of_two_readings() -> None:
    clock = replay(ODD)
    assert bits(-clock() + clock() for _ in ODD) == bits(ODD)


@pytest.mark.parametrize("rounds", [1, 2])
def test_benchmark_json_holds_the_samples_of_all_rounds_to_the_last_bit(
    fake_run: FakeRun, rounds: int
) -> None:
    out = fake_run.pytester.path / "out.json"
    assert fake_run(f"--benchmark-json={out}", rounds=rounds).ret == 0
    entries = {entry["extra_info"]["case"]: entry for entry in json.loads(out.read_text())["benchmarks"]}
    run = fake_run.run
    assert set(entries) == {line.case.id for line in run.measurements}
    for key, entry in entries.items():
        ours = [sample for line in run.measurements if line.case.id == key for sample in line.samples]
        assert len(ours) == rounds * len(ODD)
        assert bits(entry["stats"]["data"]) == bits(sorted(ours)) or bits(entry["stats"]["data"]) == bits(
            ours
        )
        assert entry["group"] == "a"
        assert entry["extra_info"]["method"] == "fake"


def test_pytest_benchmarks_own_command_reads_the_json(fake_run: FakeRun) -> None:
    out = fake_run.pytester.path / "out.json"
    fake_run(f"--benchmark-json={out}")
    done = subprocess.run(
        [sys.executable, "-c", "from pytest_benchmark.cli import main; main()", "compare", str(out)],
        cwd=out.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "bench_it" in done.stdout


def test_the_table_of_pytest_benchmark_shows_the_cases(fake_run: FakeRun) -> None:
    fake_run().stdout.fnmatch_lines(["*benchmark 'a': 2 tests*", "bench_it?1?*"])


@pytest.mark.parametrize("option", ["--benchmark-disable", "--benchmark-skip"])
def test_a_run_that_wants_no_pytest_benchmark_is_measured_all_the_same(
    fake_run: FakeRun, option: str
) -> None:
    assert fake_run(option).ret == 0
    assert len(fake_run.run.measurements) == 2
    assert fake_run.run.skips == []


def test_a_run_without_pytest_benchmarks_plugin_is_measured_all_the_same(fake_run: FakeRun) -> None:
    assert fake_run("-p", "no:benchmark").ret == 0
    assert len(fake_run.run.measurements) == 2
