"""The catalogue: it is whole, its ids stay, and no benchmark drifts into infinities, NaN or denormals."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import exercise
import pytest
import torch

from torchgauge.record import Run, read

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/golden/case_ids.txt"
GROUPS = {
    "creation", "numpy_bridge", "indexing", "conversion", "operations", "matmul", "transfer",
    "inplace", "autograd", "modules", "losses", "optimizers", "sine_mlp", "reproducibility",
}  # fmt: skip


@pytest.fixture(scope="module")
def exercised(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Every benchmark at its smallest size in every dtype, called again and again."""
    results = tmp_path_factory.mktemp("results")
    words = ["-q", "-c", os.devnull, f"--rootdir={ROOT}", "-p", "exercise", "-p", "no:cacheprovider"]
    words += ["--gauge-measure", f"--gauge-results={results}", "--gauge-device=cpu", "--gauge-dtype=all"]
    words += ["--gauge-budget=thorough", "--gauge-rounds=1", "--benchmark-disable", "bench"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    files = list(results.glob("*.jsonl"))
    assert len(files) == 1, done.stdout[-3000:] + done.stderr[-3000:]
    return read(files[0])


def test_no_benchmark_leaves_an_infinity_a_nan_or_a_denormal(exercised: Run) -> None:
    found = [f"{line.case.id}: {line.stage}: {line.error}: {line.message}" for line in exercised.failures]
    assert not found, "\n".join(found)


def test_every_benchmark_of_the_catalogue_was_exercised_many_times(exercised: Run) -> None:
    assert not exercised.interrupted
    assert {line.case.group for line in exercised.measurements} == GROUPS
    assert min(line.loops for line in exercised.measurements) >= exercise.LEAST_CALLS
    assert sum(line.loops > 50 for line in exercised.measurements) > 0.8 * len(exercised.measurements)


def test_the_cpu_skips_only_what_another_device_is_for_or_torch_lacks(exercised: Run) -> None:
    words = ("only", "not implemented for", "tf32", "support", "CUDA", "compiler")
    words += ("has no fused form", "does not compute what", "could not infer output dtype")
    reasons = {skip.case.id: skip.reason for skip in exercised.skips}
    assert {key: reason for key, reason in reasons.items() if not any(word in reason for word in words)} == {}


def quick_ids() -> list[str]:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torchgauge", "run", "bench"),
            "--collect-only",
            "--budget=quick",
            "--device=cpu",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.split("\n")[:-1]


def test_case_ids_are_unique_and_stay_as_they_are() -> None:
    # An id keys history for ever. To take up new ones on purpose: python tests/bench/test_values.py
    ids = quick_ids()
    assert [key for key, count in Counter(ids).items() if count > 1] == []
    golden = GOLDEN.read_text("utf-8").splitlines()
    assert sorted(set(golden) - set(ids)) == [], "ids that are gone"
    assert sorted(set(ids) - set(golden)) == [], "ids that are new"
    assert {key.partition("/")[0] for key in ids} == GROUPS
    assert len(ids) >= 200


# The look itself


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_infinities_nan_and_denormals_are_seen_in_every_dtype(dtype: torch.dtype) -> None:
    tiny = torch.finfo(dtype).tiny
    assert exercise.wrong(torch.tensor([0.0, tiny, 1.0, -tiny], dtype=dtype)) is None
    assert exercise.wrong(torch.tensor([tiny / 2, 0.0], dtype=dtype)) == "holds 1 denormals"
    assert "not finite" in str(exercise.wrong(torch.tensor([float("nan"), float("-inf")], dtype=dtype)))


def test_tensors_are_found_in_closures_methods_modules_optimizers_and_gradients() -> None:
    net = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    net.weight.grad[0, 0] = float("nan")
    optimizer.state[net.bias]["exp_avg"][0] = float("inf")
    hidden = torch.tensor([1e-40])

    def closure() -> torch.Tensor:
        return hidden

    assert [tensor is hidden for tensor in exercise.tensors(closure)] == [True]
    assert any(exercise.wrong(tensor) for tensor in exercise.tensors(net.forward))
    assert sum(bool(exercise.wrong(tensor)) for tensor in exercise.tensors(optimizer.step)) == 2
    assert [tensor is hidden for tensor in exercise.tensors(hidden.add_)] == [True]


if __name__ == "__main__":
    GOLDEN.write_text("\n".join(sorted(quick_ids())) + "\n", "utf-8")
