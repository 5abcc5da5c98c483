"""A wait whose length is known: it ends when the clock says so, at most one reading late."""

import time

import pytest


def busy(nanoseconds, now=time.perf_counter_ns):
    """Wait by the clock that measures."""
    end = now() + nanoseconds
    while now() < end:
        pass


@pytest.mark.gauge(dtypes=["float32"])
@pytest.mark.parametrize("microseconds", [20, 200, 2000])
def bench_busy(gauge, microseconds):
    gauge(busy, microseconds * 1000)
