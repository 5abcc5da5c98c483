"""The instrument `profile`: exact counts, operators by their own time, a trace a case."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch

from torchgauge.measure.instruments import Visit, profile
from torchgauge.measure.instruments.profile import Profile, counts, trace_name
from torchgauge.measure.instruments.trace import Call, Span
from torchgauge.measure.subject import Subject


def visit(place: str = "cpu", folder: Path | None = None) -> Visit:
    return Visit("a/b[cpu]", place, first=True, seconds=0.01, folder=folder)


def observed(fn, *args) -> dict[str, object]:
    _, seen = Profile().observe(Subject(fn, args), visit())
    return {one.metric: one for one in seen}


def training_step() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(1, 5), torch.nn.ReLU(), torch.nn.Linear(5, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    torch.nn.functional.mse_loss(net(torch.ones(4, 1)), torch.ones(4, 1)).backward()
    optimizer.step()


def test_operators_are_named_and_counted_those_within_others_too() -> None:
    x = torch.rand(8, 8)
    seen = observed(lambda: torch.matmul(x, x) + x + x)
    made = {part.name: part.value for part in seen["operators"].parts}
    assert (made["aten::matmul"], made["aten::mm"], made["aten::add"]) == (1.0, 1.0, 2.0)
    assert seen["operators"].samples == [sum(made.values())] * 3
    assert seen["allocations"].samples == [3.0] * 3


def test_the_counts_of_two_looks_are_the_same() -> None:
    first, second = observed(training_step), observed(training_step)
    for metric in ("operators", "allocations", "copies"):
        assert first[metric].samples == second[metric].samples
        assert first[metric].parts == second[metric].parts
        assert first[metric].warnings == []
    assert "aten::addmm" in {part.name for part in first["operators"].parts}


def test_the_own_times_of_operators_make_up_the_whole_largest_first() -> None:
    seen = observed(training_step)["self_cpu_time"]
    values = [part.value for part in seen.parts]
    assert values == sorted(values, reverse=True)
    assert 0 < sum(values) <= sum(seen.samples) / len(seen.samples) * 1.0001
    assert all(part.calls >= 1 for part in seen.parts)


def test_a_cpu_case_says_nothing_of_kernels() -> None:
    assert set(observed(torch.empty, 3)) == {"self_cpu_time", "operators", "allocations", "copies"}


def test_a_trace_is_kept_under_a_name_of_its_own_that_a_viewer_opens(tmp_path: Path) -> None:
    _, seen = Profile().observe(Subject(torch.empty, (3,)), visit(folder=tmp_path / "run.profile"))
    path = tmp_path / str(seen[0].conditions["trace"])
    assert path == tmp_path / "run.profile" / trace_name("a/b[cpu]")
    assert json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]


@pytest.mark.parametrize("other", ["a/b[cuda]", "a-b[cpu]", "a/b[cpu]" + "x" * 200, "ä/µ[cpu,s=../..]"])
def test_names_of_traces_are_safe_and_differ_where_the_ids_do(other: str) -> None:
    assert trace_name(other) != trace_name("a/b[cpu]")
    assert "/" not in trace_name(other)
    assert len(trace_name(other).encode()) < 150


CUDA = Call(
    operators=[Span("aten::add", 0.0, 9e-6, 1, 9e-6)],
    kernels=[Span("add_kernel", 1e-6, 5e-6, 7)],
    copies=[Span("Memcpy HtoD", 7e-6, 2e-6, 7)],
    runtime=["cudaLaunchKernel", "cudaMemcpyAsync", "cudaStreamSynchronize", "cudaGraphLaunch"],
    memory=[(1, 512), (1, -512)],
)


def test_a_devices_kernels_launches_copies_and_synchronizations_are_counted() -> None:
    found = {metric: [one.total() for one in each] for metric, each in counts([CUDA], device=True).items()}
    assert found == {
        "operators": [1],
        "allocations": [1],
        "kernels": [1],
        "launches": [2],
        "copies": [1],
        "synchronizations": [1],
    }


def test_device_time_is_that_of_kernels_and_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "record", lambda *_: (0, [CUDA] * 3))
    _, seen = Profile().observe(Subject(int), visit("cuda:0"))
    on_device = next(one for one in seen if one.metric == "self_device_time")
    assert on_device.samples == pytest.approx([7e-6] * 3)
    assert [(part.name, part.calls) for part in on_device.parts] == [
        ("add_kernel", 1.0),
        ("Memcpy HtoD", 1.0),
    ]


def test_a_device_of_which_nothing_was_seen_gives_a_reason_and_no_zeros(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blind = Call(operators=CUDA.operators, runtime=CUDA.runtime)
    monkeypatch.setattr(profile, "record", lambda *_: (0, [blind] * 3))
    _, seen = Profile().observe(Subject(int), visit("cuda:0"))
    assert not {"self_device_time", "kernels", "launches", "synchronizations"} & {one.metric for one in seen}
    assert any("CUPTI" in warning for warning in seen[0].warnings)
