"""Host, device and the gap: what a call costs to hand over, to run, and to run beside its kernels.

A derived view, and the only one across methods: the device's events time calls without a profiler, the
profiler times their kernels and slows them down a little. The gap says where to look, not how long
anything takes; below zero it says that the profiler's kernels were slower than the calls.
"""

from __future__ import annotations

import math

import pandas as pd

INSTRUMENT = "gap"
METHOD = "device-events minus torch-profiler"
_INTERVALS = (
    *("low", "high", "between", "p05", "p05_low", "p05_high"),
    *("median", "median_low", "median_high", "min"),
)
_RATES = ("flop_per_second", "bytes_per_second", "items_per_second")


def gaps(frame: pd.DataFrame) -> pd.DataFrame:
    """Give, for each case that both `time` and `profile` saw on a device, its times side by side.

    Args:
        frame: `analysis.frame.summaries`.

    Returns:
        Rows like those of `frame`, of the instrument "gap": `submit_time`, `device_time` and
        `self_device_time` as they are, and `gap`, the difference of the headlines of the last two, in
        seconds a call; it has no interval. Without such cases, no rows.

    """
    keys = ["run", "case"]
    device = frame[(frame["instrument"] == "time") & (frame["metric"] == "device_time")]
    kernels = frame[(frame["instrument"] == "profile") & (frame["metric"] == "self_device_time")]
    both = device.merge(kernels[[*keys, "value"]], on=keys, suffixes=("", "_kernels"))
    seen = frame.merge(both[keys].drop_duplicates(), on=keys)
    asked = (seen["instrument"] == "time") & seen["metric"].isin(["submit_time", "device_time"])
    beside = seen[asked | ((seen["instrument"] == "profile") & (seen["metric"] == "self_device_time"))]
    derived = both.assign(value=both["value"] - both["value_kernels"], metric="gap", method=METHOD)
    derived = derived.assign(**dict.fromkeys((*_INTERVALS, *_RATES), math.nan)).drop(columns="value_kernels")
    parts = [part for part in (beside, derived) if len(part)]
    rows = pd.concat(parts, ignore_index=True) if parts else frame.iloc[:0]
    return rows.assign(instrument=INSTRUMENT, **dict.fromkeys(_RATES, math.nan))
