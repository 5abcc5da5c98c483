"""Which clock times a device, and whether a call waits for the device by itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch

from torchgauge.measure.clock import Clock, EventClock, HostClock
from torchgauge.measure.device.cuda_queue import queue
from torchgauge.measure.device.work import synchronizer


def clock(device: str, *, events: bool) -> Clock:
    """Make a clock: the host's, or the device's events where they are wished for and there are any."""
    if events and device.startswith("cuda"):
        return EventClock(queue(device))
    return HostClock(synchronizer(device))


def synchronizes(device: str, call: Callable[[], object]) -> bool:
    """Whether the call makes the host wait for the device; found out by running it once."""
    if not device.startswith("cuda"):
        return False
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            call()
        finally:
            torch.cuda.set_sync_debug_mode(before)
    return any("synchronizing CUDA operation" in str(warning.message) for warning in caught)
