"""Working on a device: make it the current one, give it work, wait for it, hand its memory back."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from collections.abc import Callable

import torch

_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None


def current(device: str) -> contextlib.AbstractContextManager[object]:
    """Make a device the current one: events, streams and graphs without a device of their own are its."""
    kind = torch.device(device).type
    if kind not in ("cuda", "xpu"):
        return contextlib.nullcontext()
    made: contextlib.AbstractContextManager[object] = getattr(torch, kind).device(device)
    return made


def occupy(device: str, seconds: float) -> None:
    """Give an accelerator work for about that long, for its link too, and return at once.

    Raises:
        RuntimeError: the device has no memory left for 2 × 64 MiB.

    """
    host = torch.empty(2**26, dtype=torch.uint8)
    if device.startswith("cuda"):
        host = host.pin_memory()
    there = torch.empty_like(host, device=device)
    # 64 MiB take some 1.2 ms over the widest link in use, and longer over others
    for _ in range(max(1, round(seconds / 1.2e-3))):
        there.copy_(host, non_blocking=True)


def empty_kernel(device: str) -> Callable[[], None] | None:
    """Give a call that launches a kernel without work on the current device; None where torch has none."""
    return functools.partial(torch.cuda._sleep, 0) if torch.device(device).type == "cuda" else None


def synchronizer(device: str) -> Callable[[], None] | None:
    """Give the function that waits for the device; None where there is nothing to wait for."""
    kind = torch.device(device).type
    if kind == "cpu":
        return None
    module = getattr(torch, kind)
    return module.synchronize if kind == "mps" else lambda: module.synchronize(device)


def pins(device: str) -> bool:
    """Whether copies to and from the device gain by pinned memory, and torch can pin it."""
    return torch.device(device).type in ("cuda", "xpu")


def release(device: str) -> None:
    """Hand freed memory back to the device, so that one case does not starve the next.

    On a CPU glibc keeps freed blocks of up to 32 MiB for itself, and scattered ones for ever.
    """
    kind = torch.device(device).type
    if kind != "cpu":
        getattr(torch, kind).empty_cache()
    elif _malloc_trim is not None:
        _malloc_trim(0)
