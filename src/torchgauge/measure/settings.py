"""torch's settings that change speed or results: read, set for one case, and put back.

The one place that sets any. The functions of `torch.backends` work on a build without CUDA too.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy
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


def seed() -> None:
    """Begin all sequences of random numbers anew: Python's, NumPy's and torch's on all devices."""
    random.seed(0)
    numpy.random.seed(0)
    torch.manual_seed(0)


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Put back what the code inside changes for the whole process, so that no case is in the next one's way.

    Threads, default dtype and device, gradients, deterministic algorithms, the precision of float32
    products, cuDNN's and cuBLAS's choices, the kernels for attention. What is as it was is not touched.
    The allocator's settings can't be changed in a process that has begun: PYTORCH_CUDA_ALLOC_CONF and
    its like are in the Environment.
    """
    kept = [*_KEPT, *_attributes()]
    before = [read() for read, _ in kept]
    try:
        yield
    finally:
        for (read, write), value in zip(kept, before, strict=True):
            if read() != value:
                write(value)


def _default_device(value: torch.device) -> None:
    torch.set_default_device(None if value.type == "cpu" else value)  # None: no mode that looks at each call


def _deterministic(value: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(value[0], warn_only=value[1])


_Kept = tuple[Callable[[], Any], Callable[[Any], object]]

_KEPT: list[_Kept] = [
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
    # sets some of the switches behind `_attributes` too, which are put back after it
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    *(
        (
            getattr(torch.backends.cuda, f"{kernel}_sdp_enabled"),
            getattr(torch.backends.cuda, f"enable_{kernel}_sdp"),
        )
        for kernel in ("flash", "mem_efficient", "math", "cudnn")
    ),
]


@cache
def _attributes() -> list[_Kept]:
    """Give torch's switches that are attributes; those that this torch lacks are left out."""
    backends: Any = torch.backends
    places: list[tuple[Any, str]] = [(part, name) for part, name, _, _ in _tf32_switches()]
    places += [
        (backends.cudnn, name) for name in ("enabled", "benchmark", "benchmark_limit", "deterministic")
    ]
    places += [(backends.cuda.matmul, f"allow_{name}") for name in _REDUCED]
    places += [
        (getattr(backends.mkldnn, part), "fp32_precision")
        for part in ("matmul", "conv", "rnn")
        if hasattr(backends.mkldnn, part)
    ]
    return [
        (partial(getattr, part, name), partial(setattr, part, name))
        for part, name in places
        if hasattr(part, name)
    ]


_REDUCED = (
    "fp16_accumulation", "fp16_reduced_precision_reduction", "bf16_reduced_precision_reduction",
)  # fmt: skip


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
