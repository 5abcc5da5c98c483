"""The instrument `memory`: exact to the byte where the answer is known."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchgauge.measure.instruments import Visit
from torchgauge.measure.instruments.memory import Memory, traffic
from torchgauge.measure.subject import Subject

VISIT = Visit("a/b[cpu]", "cpu", first=True, seconds=0.01)
N = 1000


def measured(fn, *args, **options) -> dict[str, float]:
    _, seen = Memory().observe(Subject(fn, args, **options), VISIT)
    assert [(one.unit, one.warnings) for one in seen] == [("B", [])] * 3
    assert all(len(set(one.samples)) == 1 for one in seen)
    return {one.metric.removesuffix("_bytes"): one.samples[0] for one in seen}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.int8])
def test_a_new_tensor_is_its_elements_and_nothing_more(dtype: torch.dtype) -> None:
    size = N * dtype.itemsize
    x = torch.ones(N, dtype=dtype)
    for fn, args in ((torch.empty, (N,)), (torch.zeros, (N,))):
        assert measured(fn, *args, kwargs={"dtype": dtype}) == {"allocated": size, "peak": size, "left": 0}
    for fn, args in ((torch.add, (x, x)), (torch.add, (x, 1)), (torch.clone, (x,)), (torch.neg, (x,))):
        assert measured(fn, *args) == {"allocated": size, "peak": size, "left": 0}


def test_work_in_place_and_views_allocate_nothing() -> None:
    x, y = torch.rand(N), torch.rand(N)
    nothing = {"allocated": 0, "peak": 0, "left": 0}
    assert measured(x.add_, 1) == nothing
    assert measured(x.mul_, y) == nothing
    assert measured(torch.add, x, 1, kwargs={"out": y}) == nothing
    assert measured(x.view, 10, -1) == nothing


def test_the_peak_is_what_is_there_at_once_and_not_all_that_was_allocated() -> None:
    x = torch.rand(N)

    def one_after_the_other() -> None:
        for _ in range(5):
            torch.empty(N)

    def chain() -> torch.Tensor:
        return (x + x) * x

    assert measured(one_after_the_other) == {"allocated": 5 * 4 * N, "peak": 4 * N, "left": 0}
    assert measured(chain) == {"allocated": 2 * 4 * N, "peak": 2 * 4 * N, "left": 0}


def test_what_a_call_keeps_is_left_behind() -> None:
    kept = []
    assert measured(lambda: kept.append(torch.empty(N)))["left"] == 4 * N


def test_gradients_that_replace_those_of_the_call_before_are_not_left_behind() -> None:
    w = torch.rand(N, requires_grad=True)

    def step() -> None:
        w.grad = None
        (w * w).sum().backward()

    assert measured(step)["left"] == 0


def test_calls_that_differ_are_told() -> None:
    sizes = iter(range(100, 200))
    _, seen = Memory().observe(Subject(lambda: torch.empty(next(sizes))), VISIT)
    assert seen[0].warnings == ["not every call allocates the same"]


def test_numbers_that_torch_wraps_are_counted_apart() -> None:
    _, seen = Memory().observe(Subject(torch.rand(N).add_, (1,)), VISIT)
    assert seen[0].conditions == {"scalar_bytes": 12, "blocks": 0}  # an int64, cast to float32


@given(st.lists(st.integers(min_value=17, max_value=10**6), max_size=20), st.randoms())
def test_whatever_the_order_of_releases_nothing_is_left_and_no_more_than_all_is_there_at_once(
    sizes: list[int], chance
) -> None:
    open_, changes = [], []
    for address, size in enumerate(sizes):
        changes.append((address, size))
        open_.append((address, -size))
        while open_ and chance.random() < 0.5:
            changes.append(open_.pop(chance.randrange(len(open_))))
    seen = traffic([*changes, *open_])
    assert (seen.allocated, seen.left, seen.blocks) == (sum(sizes), 0, len(sizes))
    assert max(sizes, default=0) <= seen.peak <= sum(sizes)
