"""A pytest plugin that exercises benchmarks and takes no times: many calls, then a look at what is left.

Loaded with `-p exercise` beside `--gauge-measure`. A case whose arguments, results or state hold an infinity,
a NaN or a denormal fails with stage `measure` and says where.
"""

from __future__ import annotations

import functools
import math
import time
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from torchgauge.measure import rounds
from torchgauge.measure.collect import CASE
from torchgauge.measure.instruments import Observation, Visit
from torchgauge.measure.subject import Subject

MOST_CALLS = 2000
MOST_SECONDS = 0.02
LEAST_CALLS = 3

UNINITIALIZED = ("factory=empty", "creation/typed_constructor[")
"""Results that hold what memory held before: not to be looked at."""
BY_CHANCE = 1e-3
"""Share of a tensor's values that may be denormals: in float16 a few sums of random values are."""
EXTENTS = {"sine-MLP": 76.0}
"""Sizes that have a name."""
TOO_SLOW = ("mode=compile",)
"""A compiler's minutes; the same step is exercised in its eager mode."""


class Exercise:
    """An instrument that takes no times."""

    name = "time"

    def observe(self, subject: Subject, visit: Visit) -> tuple[Any, list[Observation]]:
        args = subject.args if subject.prepare is None else subject.prepare()
        first = result = subject.fn(*args, **subject.kwargs)
        if not any(word in visit.case_id for word in UNINITIALIZED):
            check("the first call", first, args)
        begin, calls = time.perf_counter(), 1
        while calls < LEAST_CALLS or (calls < MOST_CALLS and time.perf_counter() - begin < MOST_SECONDS):
            if subject.prepare is not None and subject.each == "call":
                args = subject.prepare()
            result = subject.fn(*args, **subject.kwargs)
            calls += 1
        if not any(word in visit.case_id for word in UNINITIALIZED):
            check(f"{calls} calls", result, args, subject.kwargs, subject.fn)
        return first, [Observation("time", "s", "exercise", [1.0], calls)]


def check(when: str, *things: Any) -> None:
    """Raise an AssertionError that names what is wrong with any tensor that can be reached."""
    for tensor in tensors(*things):
        problem = wrong(tensor)
        if problem:
            raise AssertionError(f"after {when} a {tensor.dtype} tensor of {tuple(tensor.shape)} {problem}")


def wrong(tensor: torch.Tensor) -> str | None:
    """Say what is wrong with a tensor's values, None where all are normal numbers or 0."""
    if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.numel() == 0:
        return None
    values = torch.view_as_real(tensor.detach()) if tensor.is_complex() else tensor.detach()
    wide = values.double()
    if not wide.isfinite().all():
        return f"holds {int((~wide.isfinite()).sum())} values that are not finite"
    small = (wide != 0) & (wide.abs() < torch.finfo(values.dtype).tiny)
    many = int(small.sum()) > BY_CHANCE * small.numel()
    return f"holds {int(small.sum())} denormals" if many else None


def tensors(*things: Any) -> Iterator[torch.Tensor]:
    """Give all tensors that can be reached through containers, closures, methods, modules and optimizers."""
    waiting, seen = list(things), {}
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen[id(thing)] = thing  # kept, so that its id stays its own
        if isinstance(thing, torch.Tensor):
            yield thing
            if thing.is_leaf and thing.grad is not None:
                waiting.append(thing.grad)
        elif isinstance(thing, np.ndarray):
            if thing.dtype.kind in "fc":
                yield torch.from_numpy(thing)
        else:
            waiting += within(thing)


def within(thing: Any) -> list[Any]:
    """Give what a thing holds; of other people's objects nothing."""
    if isinstance(thing, dict):
        return list(thing.values())
    if isinstance(thing, (list, tuple, set, frozenset)):
        return list(thing)
    if isinstance(thing, functools.partial):
        return [thing.func, thing.args, thing.keywords]
    if isinstance(thing, types.MethodType):
        return [thing.__self__, thing.__func__]
    if isinstance(thing, types.BuiltinMethodType):
        return [thing.__self__]
    if isinstance(thing, types.FunctionType):
        cells = [cell.cell_contents for cell in thing.__closure__ or () if cell_is_full(cell)]
        return [*cells, thing.__defaults__, thing.__kwdefaults__]
    if isinstance(thing, torch.nn.Module):
        return [*thing.parameters(), *thing.buffers(), vars(thing)]
    if isinstance(thing, torch.optim.Optimizer):
        return [dict(thing.state), [group["params"] for group in thing.param_groups]]
    if isinstance(thing, (torch.utils.data.DataLoader, torch.utils.data.Dataset)):
        return [vars(thing)]
    if type(thing).__module__.startswith(("bench_", "sine_net")) and hasattr(thing, "__dict__"):
        return [vars(thing)]
    return []


def cell_is_full(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def extent(value: Any) -> float | None:
    """Give a parameter's size: a number, or the product of one such as "32x10"; None for what is no size."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value)
    if value in EXTENTS:
        return EXTENTS[str(value)]
    words = str(value).split("x")
    return math.prod(map(float, words)) if all(word.isdigit() for word in words) else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the smallest size of each benchmark in each of its dtypes and variants."""
    if config.getoption("--every-size"):
        return
    smallest: dict[Any, tuple[float, pytest.Item]] = {}
    for item in items:
        case = item.stash[CASE]
        if any(word in case.id for word in TOO_SLOW):
            continue
        sizes = {key: extent(value) for key, value in case.params.items()}
        variant = tuple((key, case.params[key]) for key, size in sizes.items() if size is None)
        total = math.prod(size for size in sizes.values() if size is not None)
        key = case.group, case.name, case.dtype, variant
        if key not in smallest or total < smallest[key][0]:
            smallest[key] = total, item
    items[:] = [item for _, item in smallest.values()]


def pytest_runtest_setup() -> None:
    torch.manual_seed(0)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-size", action="store_true", help="exercise all sizes, not the smallest alone")


def pytest_configure() -> None:
    rounds.choice.by_name = lambda _: Exercise  # type: ignore[assignment]
    rounds.ceilings.into = lambda *_: None  # type: ignore[assignment]
