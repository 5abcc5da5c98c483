"""What torch's profiler sees of a device, and the number that the device has in its traces."""

from __future__ import annotations

import torch
from torch.profiler import ProfilerActivity, supported_activities


def activities(device: str) -> list[ProfilerActivity]:
    """Choose what torch's profiler looks at: the host, and the device where the profiler knows it."""
    wanted = {"cuda": "CUDA", "xpu": "XPU"}.get(torch.device(device).type)
    chosen = [ProfilerActivity.CPU]
    if wanted is not None and getattr(ProfilerActivity, wanted) in supported_activities():
        chosen.append(getattr(ProfilerActivity, wanted))
    return chosen


def profiler_type(device: str) -> int:
    """Give the number of a kind of device in the profiler's traces (c10::DeviceType)."""
    return {"cpu": 0, "cuda": 1, "xpu": 12, "mps": 13}[torch.device(device).type]
