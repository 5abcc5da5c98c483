"""The hot paths of the package under validation, as plain calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bench_hotpaths

Call = tuple[Callable[..., object], tuple[Any, ...]]


def calls() -> dict[str, Call]:
    """Make the inputs of each benchmark of the package; give its function with them, by its name."""
    found: dict[str, Call] = {}
    for name, benchmark in vars(bench_hotpaths).items():
        if name.startswith("bench_"):
            # stands in for the fixture: it keeps the call instead of timing it
            benchmark(lambda fn, *args, name=name: found.setdefault(name.removeprefix("bench_"), (fn, args)))
    return found
