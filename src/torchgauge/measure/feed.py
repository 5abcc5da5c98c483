"""Give pytest-benchmark our samples, through its public API alone.

Its `timer` may be any callable: a clock that answers 0 and then a sample, again and again, makes
`benchmark.pedantic` take our seconds per call as its own, to the last bit (x − 0.0 is x).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from torchgauge.measure.subject import nothing
from torchgauge.record.schema import Case


def replay(samples: Sequence[float]) -> Callable[[], float]:
    """Make a clock under which the n-th timed call takes `samples[n]` seconds."""
    readings = (reading for sample in samples for reading in (0.0, sample))

    def torchgauge_samples() -> float:
        return next(readings)

    return torchgauge_samples


def feed(
    request: pytest.FixtureRequest, case: Case, samples: Sequence[float], method: str, loops: int
) -> None:
    """Enter a case in pytest-benchmark's table and JSON, if its plugin is there and enabled."""
    if not request.config.pluginmanager.hasplugin("benchmark"):
        return
    request.node.add_marker(
        pytest.mark.benchmark(group=case.group, timer=replay(samples), disable_gc=False, warmup=False)
    )
    try:
        benchmark = request.getfixturevalue("benchmark")
    except pytest.skip.Exception:  # --benchmark-skip
        return
    benchmark.extra_info.update(case=case.id, method=method, loops=loops)
    benchmark.pedantic(nothing, rounds=len(samples), iterations=1, warmup_rounds=0)
