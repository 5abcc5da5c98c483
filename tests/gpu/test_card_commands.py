"""The commands on a real card, in processes of their own, as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from torchgauge.record import read

BENCH = """
import pytest
import torch
import work

@pytest.mark.gauge(dtypes=["float32", "tf32", "bfloat16"])
def bench_product(gauge, device, dtype):
    a, b = (torch.randn(2048, 2048, device=device).to(dtype) for _ in range(2))
    gauge.work(flop=2 * 2048**3, bytes=3 * 2048**2 * dtype.itemsize)
    gauge(work.product, a, b)

def bench_scaled(gauge, device):
    gauge(work.scaled, torch.randn(2**16, device=device))

def bench_loss(gauge, device):
    x = torch.randn(2**16, device=device)
    gauge(lambda: x.sum().item())

def bench_too_large(gauge, device):
    gauge(torch.empty, 2**45, device=device)
"""
WORK = """
import torch

def product(a, b):
    return a @ b

def scaled(x):
    for _ in range({times}):
        x = x * 1.0001
    return x{more}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with one commit and a benchmark of each kind."""
    for name in ("bench", "src"):
        (tmp_path / name).mkdir()
    (tmp_path / "bench/bench_a.py").write_text(BENCH)
    (tmp_path / "src/work.py").write_text(WORK.format(times=20, more=""))
    names = ["-c", "user.name=n", "-c", "user.email=n@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*names, "commit", "-qm", "base"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


@pytest.fixture
def command(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run torchgauge in the project."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "torchgauge", *words], cwd=project, capture_output=True, text=True
        )

    monkeypatch.setenv("PYTHONPATH", str(project / "src"), prepend=":")
    return run


def test_a_run_measures_the_card_in_the_dtypes_asked_for_and_nothing_is_beyond_belief(
    command, project: Path
) -> None:
    dtypes = "float32,tf32,bfloat16"
    done = command("run", "bench", "--device", "cuda", "--dtype", dtypes, "--budget", "quick")
    assert done.returncode == 0, done.stderr
    (file,) = project.glob("results/*.jsonl")
    run = read(file)
    assert run.failures == []
    assert [one.case.name for one in run.skips] == ["too_large"]
    assert "out of memory" in run.skips[0].reason
    (card,) = run.header.environment.accelerators
    assert card.driver
    assert card.uuid_hash
    seconds = {
        one.case.dtype: median(one.samples)
        for one in run.measurements
        if (one.case.name, one.metric) == ("product", "device_time")
    }
    assert seconds["bfloat16"] < seconds["tf32"] < 0.7 * seconds["float32"]
    losses = {one.metric for one in run.measurements if one.case.name == "loss"}
    assert losses == {"time", "submit_time", "first_call"}


def test_the_gate_names_the_copy_and_the_kernel_that_a_change_added(command, project: Path) -> None:
    (project / "src/work.py").write_text(WORK.format(times=21, more=".clone()"))
    done = command(
        "ab", "bench", "--base", "git:HEAD", "--device", "cuda", "--metric", "counts", "-k", "scaled",
        "--format", "json",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    found = {one["metric"]: one for one in json.loads(done.stdout)["comparisons"]}
    changed = {metric for metric, one in found.items() if one["verdict"] == "REGRESSED"}
    assert {"operators", "kernels", "launches", "copies"} <= changed
    assert "synchronizations" not in changed
    assert "+1 Memcpy DtoD" in json.dumps(found["copies"])
    assert "+1 " in json.dumps(found["kernels"])


def test_the_gate_finds_more_work_on_the_card_and_does_not_name_what_is_as_it_was(
    command, project: Path
) -> None:
    (project / "src/work.py").write_text(WORK.format(times=22, more=""))
    done = command(
        "ab", "bench", "--base", "git:HEAD", "--device", "cuda", "--dtype", "float32", "-k", "not too_large",
        "--minutes", "3", "--format", "json",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    verdicts = {one["case"].partition("[")[0]: one["verdict"] for one in said["comparisons"]}
    assert verdicts.pop("a/scaled") == "REGRESSED"
    assert not set(verdicts.values()) & {"REGRESSED", "IMPROVED", "ERROR", "MISSING"}


def test_the_doctor_knows_the_card(command) -> None:
    done = command("doctor")
    assert done.returncode in (0, 4), done.stderr
    assert "NVIDIA" in done.stdout
