"""Working on a device: the current one, waiting for it, its freed memory."""

from __future__ import annotations

import contextlib

import pytest
import torch

from torchgauge.measure import device
from torchgauge.measure.device import work


def test_nothing_waits_for_the_cpu_and_its_freed_memory_goes_back_to_the_system(monkeypatch) -> None:
    trimmed = []
    monkeypatch.setattr(work, "_malloc_trim", trimmed.append)
    assert device.synchronizer("cpu") is None
    device.release("cpu")
    assert trimmed == [0]


def test_a_cuda_device_is_the_current_one_meanwhile_and_the_cpu_needs_nothing(monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(torch.cuda, "device", lambda place: asked.append(place) or contextlib.nullcontext())
    with device.current("cuda:1"), device.current("cpu"):
        pass
    assert asked == ["cuda:1"]


def test_cached_memory_goes_back_to_the_device_it_is_of(monkeypatch: pytest.MonkeyPatch) -> None:
    released = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: released.append("cuda"))
    device.release("cuda:0")
    assert released == ["cuda"]
