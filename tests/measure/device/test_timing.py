"""Which clock times a device, and whether a call waits for it by itself."""

from __future__ import annotations

import warnings

import pytest
import torch

from torchgauge.measure import device
from torchgauge.measure.clock import EventClock, HostClock


def test_cpu_work_is_timed_by_the_host_without_synchronization() -> None:
    clock = device.clock("cpu", events=True)
    assert isinstance(clock, HostClock)
    assert clock.method == "host-clock"


def test_cuda_work_is_timed_by_events_with_a_filled_queue() -> None:
    assert isinstance(device.clock("cuda:1", events=True), EventClock)


@pytest.mark.parametrize(("place", "events"), [("cuda:0", False), ("xpu:0", True), ("mps:0", True)])
def test_the_host_times_a_device_where_no_events_are_wished_for_or_it_has_no_sleep(
    place: str, events: bool
) -> None:
    clock = device.clock(place, events=events)
    assert isinstance(clock, HostClock)
    assert clock.method == "host-clock-synchronized"


def test_the_host_clock_on_a_device_synchronizes_that_device(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    device.clock("cuda:1", events=False).time(lambda: waited.append("call"))
    assert waited == ["cuda:1", "call", "cuda:1"]


def test_whether_a_call_synchronizes_is_told_from_torchs_own_warning(monkeypatch) -> None:
    modes = []
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    assert device.synchronizes(
        "cuda:0", lambda: warnings.warn("called a synchronizing CUDA operation", stacklevel=1)
    )
    assert not device.synchronizes("cuda:0", lambda: warnings.warn("something else", stacklevel=1))
    assert modes == ["warn", 0, "warn", 0]


def test_the_debug_mode_is_put_back_after_a_call_that_raises(monkeypatch) -> None:
    modes = []
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    with pytest.raises(ZeroDivisionError):
        device.synchronizes("cuda:0", lambda: 1 / 0)
    assert modes == ["warn", 1]


def test_a_call_on_the_cpu_never_synchronizes_and_is_not_made_to_find_out() -> None:
    made = []
    assert not device.synchronizes("cpu", lambda: made.append(1))
    assert made == []
