"""Traces cut into calls: what belongs to which, and what a span took by itself."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchgauge.measure.instruments.trace import (
    CALL,
    CALLS,
    LONG,
    WAIT,
    WARM,
    Span,
    parted,
    record,
    with_self_time,
)
from torchgauge.measure.subject import Subject


def event(
    name: str, category: str, begin: float, seconds: float = 1.0, thread: int = 1, **args: object
) -> dict:
    return {"name": name, "cat": category, "ts": begin, "dur": seconds, "tid": thread}


def memory(at: float, address: int, size: int, kind: int = 0) -> dict:
    args = {"Addr": address, "Bytes": size, "Device Type": kind}
    return {"name": "[memory]", "cat": "cpu_instant_event", "ts": at, "args": args}


def test_events_belong_to_the_call_in_whose_time_they_lie_and_others_to_none() -> None:
    events = [
        event("aten::early", "cpu_op", 5),
        event(CALL, "user_annotation", 10, 10),
        event("aten::one", "cpu_op", 12),
        memory(13, 7, 64),
        event(CALL, "user_annotation", 30, 10),
        event("aten::two", "cpu_op", 31),
        event("aten::three", "cpu_op", 35),
        {"name": "process_name", "ph": "M", "args": {}},
    ]
    first, second = parted(events, "cpu")
    assert [span.name for span in first.operators] == ["aten::one"]
    assert first.memory == [(7, 64)]
    assert [span.name for span in second.operators] == ["aten::two", "aten::three"]
    assert second.memory == []


def test_work_of_a_device_is_told_apart_and_our_own_waiting_is_not_the_calls() -> None:
    events = [
        event(CALL, "user_annotation", 10, 100),
        event(CALL, "gpu_user_annotation", 12, 90),
        event("cudaLaunchKernel", "cuda_runtime", 12),
        event("cudaStreamSynchronize", "cuda_runtime", 15),
        event("gemm", "kernel", 20, 50, thread=7),
        event("Memcpy HtoD", "gpu_memcpy", 75, 5, thread=7),
        event(WAIT, "user_annotation", 90, 10),
        event("cudaDeviceSynchronize", "cuda_runtime", 91),
        memory(30, 1, 512, kind=1),
        memory(31, 2, 64, kind=0),
    ]
    (call,) = parted(events, "cuda:0")
    assert [span.name for span in call.kernels] == ["gemm"]
    assert call.kernels[0].seconds == pytest.approx(50e-6)
    assert [span.name for span in call.copies] == ["Memcpy HtoD"]
    assert call.runtime == ["cudaLaunchKernel", "cudaStreamSynchronize"]
    assert call.memory == [(1, 512)]


def test_what_lies_in_a_span_is_not_its_own_time_and_threads_do_not_mix() -> None:
    spans = [
        Span("outer", 0.0, 10.0, 1),
        Span("inner", 1.0, 4.0, 1),
        Span("innermost", 2.0, 1.0, 1),
        Span("after", 6.0, 2.0, 1),
        Span("elsewhere", 1.0, 8.0, 2),
    ]
    own = {span.name: span.self_seconds for span in with_self_time(spans)}
    assert own == {"outer": 4.0, "inner": 3.0, "innermost": 1.0, "after": 2.0, "elsewhere": 8.0}


@given(st.recursive(st.just([]), lambda inner: st.lists(inner, max_size=3), max_leaves=20), st.randoms())
def test_own_times_sum_up_to_the_outermost_spans(tree: list, chance) -> None:
    def lay_out(children: list, begin: float) -> tuple[list[Span], float]:
        spans, at = [], begin + 1
        for child in children:
            inner, end = lay_out(child, at)
            spans += inner
            at = end + 1
        return [Span("x", begin, at - begin, 1), *spans], at

    spans, _ = lay_out(tree, 0.0)
    whole = spans[0].seconds
    chance.shuffle(spans)
    assert sum(span.self_seconds for span in with_self_time(spans)) == pytest.approx(whole)


def test_calls_of_torch_are_recorded_and_their_trace_can_be_kept(tmp_path: Path) -> None:
    keep = tmp_path / "traces/case.json.gz"
    x = torch.rand(10)
    result, calls = record(Subject(torch.add, (x, x)), "cpu", keep)
    assert torch.equal(result, x + x)
    assert [[span.name for span in call.operators] for call in calls] == [["aten::add"]] * CALLS
    assert [[size for _, size in call.memory] for call in calls] == [[40, -40]] * CALLS
    trace = json.loads(gzip.decompress(keep.read_bytes()))
    shapes = [e["args"]["Input Dims"] for e in trace["traceEvents"] if e["name"] == "aten::add"]
    assert shapes[0][:2] == [[10], [10]]


def test_each_call_has_its_own_prepared_state() -> None:
    made = []

    def prepare() -> tuple[torch.Tensor]:
        made.append(torch.zeros(4))
        return (made[-1],)

    record(Subject(torch.Tensor.add_, kwargs={"other": torch.ones(4)}, prepare=prepare, each="call"), "cpu")
    assert [tensor.tolist() for tensor in made] == [[1.0] * 4] * (1 + WARM + CALLS)


@pytest.mark.parametrize(("seconds", "made"), [(LONG, 1 + WARM + CALLS), (1.1 * LONG, 1 + 1 + 1)])
def test_of_a_long_call_one_is_looked_at_after_one_other(seconds: float, made: int) -> None:
    calls: list[int] = []
    clock = iter([0.0, seconds])
    _, seen = record(Subject(calls.append, (1,)), "cpu", now=lambda: next(clock))
    assert len(calls) == made
    assert len(seen) == (CALLS if made > 3 else 1)
