"""The only place that knows cpu, cuda, mps and xpu: what there is, what it can do, how it is timed."""

from __future__ import annotations

from torchgauge.measure.device.cuda_queue import queue
from torchgauge.measure.device.inventory import (
    DeviceFacts,
    available,
    cache_bytes,
    describe,
    memory_room,
    resolve,
)
from torchgauge.measure.device.profiling import activities, profiler_type
from torchgauge.measure.device.support import DTYPES, first_line, torch_dtype, unsupported, why_not
from torchgauge.measure.device.timing import clock, synchronizes
from torchgauge.measure.device.work import current, empty_kernel, occupy, pins, release, synchronizer

__all__ = [
    "DTYPES",
    "DeviceFacts",
    "activities",
    "available",
    "cache_bytes",
    "clock",
    "current",
    "describe",
    "empty_kernel",
    "first_line",
    "memory_room",
    "occupy",
    "pins",
    "profiler_type",
    "queue",
    "release",
    "resolve",
    "synchronizer",
    "synchronizes",
    "torch_dtype",
    "unsupported",
    "why_not",
]
