"""torch's settings that change speed or results: read, set for one case, and put back.

The one place that sets any. The functions of `torch.backends` work on a build without CUDA too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch


def flags() -> dict[str, str | bool | None]:
    """Tell how torch's switches that change speed or results are set."""
    cudnn = torch.backends.cudnn
    version = cudnn.version() if cudnn.is_available() else None
    tf32 = [getattr(part, name) == on for part, name, on, _ in _tf32_switches()]
    return {
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "tf32_matmul": tf32[0],
        "tf32_cudnn": any(tf32[1:]),
        "cudnn_benchmark": bool(cudnn.benchmark),
        "cuda": torch.version.cuda or torch.version.hip,
        "cudnn": None if version is None else str(version),
    }


def use_threads(count: int) -> None:
    """Let torch's operators use that many threads on the CPU, from now on."""
    torch.set_num_threads(count)


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Put back what the code inside changes for the whole process, so that no case is in the next one's way.

    Threads, default dtype and device, gradients, deterministic algorithms, cuDNN's choice of
    algorithms. What is as it was is not touched.
    """
    before = [read() for read, _ in _KEPT]
    try:
        yield
    finally:
        for (read, write), value in zip(_KEPT, before, strict=True):
            if read() != value:
                write(value)


def _default_device(value: torch.device) -> None:
    torch.set_default_device(None if value.type == "cpu" else value)  # None: no mode that looks at each call


def _deterministic(value: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(value[0], warn_only=value[1])


def _cudnn(value: tuple[bool, bool]) -> None:
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = value


_KEPT: list[tuple[Callable[[], Any], Callable[[Any], object]]] = [
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, _default_device),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (
        lambda: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        _deterministic,
    ),
    (lambda: (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic), _cudnn),
]


@contextlib.contextmanager
def precision(device: str, dtype: str | None) -> Iterator[None]:
    """Compute float32 products in TF32 for dtype "tf32", in IEEE float32 for "float32"; then restore.

    From torch 2.9 on by `fp32_precision`, before by `allow_tf32`; setting both raises.
    """
    if not device.startswith("cuda") or dtype not in ("float32", "tf32"):
        yield
        return
    switches = _tf32_switches()
    before = [getattr(part, name) for part, name, _, _ in switches]
    for part, name, on, off in switches:
        setattr(part, name, on if dtype == "tf32" else off)
    try:
        yield
    finally:
        for (part, name, _, _), value in zip(switches, before, strict=True):
            setattr(part, name, value)


def _tf32_switches() -> list[tuple[Any, str, Any, Any]]:
    """Give torch's switches of TF32 for matrix products, convolutions and recurrent layers.

    Each is an object, its attribute, and the attribute's value for on and off.
    """
    matmul: Any = torch.backends.cuda.matmul
    cudnn: Any = torch.backends.cudnn
    if hasattr(matmul, "fp32_precision"):
        return [(part, "fp32_precision", "tf32", "ieee") for part in (matmul, cudnn.conv, cudnn.rnn)]
    return [(part, "allow_tf32", True, False) for part in (matmul, cudnn)]
