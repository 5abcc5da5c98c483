"""The calls of twenty.py, measured by torchgauge."""

from __future__ import annotations

import pytest
import torch

from validation.twenty import CALLS


@pytest.mark.parametrize("call", list(CALLS))
@pytest.mark.gauge(dtypes=["float32"])
def bench_call(gauge, device, dtype, call):
    made = {"torch": torch}
    exec(CALLS[call], made)
    gauge(made["fn"], *made["args"])
