"""Between NumPy and torch: `torch.tensor` copies; `from_numpy`, `as_tensor`, `.numpy()`, `np.asarray` share.

A tensor shares memory with an array on the host alone: `as_tensor` to an accelerator copies. Copies move
2ns bytes, views none.
"""

import numpy as np
import pytest
import torch

STANDARD = pytest.mark.gauge(budget="standard")
SIZES = [3, pytest.param(10**3, marks=STANDARD), 10**6]
TYPES = ["float64", pytest.param("float32", marks=STANDARD)]


def array_of(n, numpy_dtype):
    return np.random.default_rng(0).random(n, dtype=numpy_dtype)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("numpy_dtype", TYPES)
def bench_tensor(gauge, device, numpy_dtype, n):
    array = array_of(n, numpy_dtype)
    gauge.work(flop=0, bytes=2 * array.nbytes, items=n)
    gauge(torch.tensor, array, device=device)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("numpy_dtype", TYPES)
def bench_from_numpy(gauge, numpy_dtype, n):
    gauge.work(flop=0, bytes=0, items=n)
    gauge(torch.from_numpy, array_of(n, numpy_dtype))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("numpy_dtype", TYPES)
def bench_as_tensor(gauge, device, numpy_dtype, n):
    gauge.work(flop=0, bytes=0, items=n)
    gauge(torch.as_tensor, array_of(n, numpy_dtype), device=device)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("numpy_dtype", TYPES)
def bench_numpy(gauge, numpy_dtype, n):
    tensor = torch.from_numpy(array_of(n, numpy_dtype))
    gauge.work(flop=0, bytes=0, items=n)
    gauge(tensor.numpy)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("numpy_dtype", TYPES)
def bench_asarray(gauge, numpy_dtype, n):
    tensor = torch.from_numpy(array_of(n, numpy_dtype))
    gauge.work(flop=0, bytes=0, items=n)
    gauge(np.asarray, tensor)


def to_host_array(tensor):
    return tensor.cpu().numpy()


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("numpy_dtype", TYPES)
def bench_cpu_numpy(gauge, device, numpy_dtype, n):
    """What `.numpy()` takes from wherever the tensor is; on the CPU a view."""
    tensor = torch.from_numpy(array_of(n, numpy_dtype)).to(device)
    gauge.work(flop=0, bytes=0, items=n)
    gauge(to_host_array, tensor)
