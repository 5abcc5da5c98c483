"""Between NumPy and torch: `torch.tensor` copies; `from_numpy`, `as_tensor`, `.numpy()`, `np.asarray` share.

A tensor shares memory with an array on the host alone: `as_tensor` to an accelerator copies. Copies move
2ns bytes, views none.
"""

import numpy as np
import pytest
import torch

STANDARD = pytest.mark.gauge(budget="standard")
sizes = pytest.mark.parametrize("n", [3, pytest.param(10**3, marks=STANDARD), 10**6])
dtypes = pytest.mark.gauge(dtypes=["float64", "float32"])


def crossing(array, device):
    """Bytes that move: a tensor on the host shares the array's memory, one elsewhere is a copy."""
    return 0 if device.type == "cpu" else 2 * array.nbytes


def array_of(n, dtype):
    return torch.rand(n, dtype=dtype).numpy()


@dtypes
@sizes
def bench_tensor(gauge, device, dtype, n):
    array = array_of(n, dtype)
    gauge.work(flop=0, bytes=2 * array.nbytes, items=n)
    gauge(torch.tensor, array, device=device)


@dtypes
@sizes
def bench_from_numpy(gauge, dtype, n):
    gauge.work(flop=0, bytes=0)
    gauge(torch.from_numpy, array_of(n, dtype))


@dtypes
@sizes
def bench_as_tensor(gauge, device, dtype, n):
    array = array_of(n, dtype)
    gauge.work(flop=0, bytes=crossing(array, device))
    gauge(torch.as_tensor, array, device=device)


@dtypes
@sizes
def bench_numpy(gauge, dtype, n):
    tensor = torch.from_numpy(array_of(n, dtype))
    gauge.work(flop=0, bytes=0)
    gauge(tensor.numpy)


@dtypes
@sizes
def bench_asarray(gauge, dtype, n):
    tensor = torch.from_numpy(array_of(n, dtype))
    gauge.work(flop=0, bytes=0)
    gauge(np.asarray, tensor)


def to_host_array(tensor):
    return tensor.cpu().numpy()


@dtypes
@sizes
def bench_cpu_numpy(gauge, device, dtype, n):
    """What `.numpy()` takes from wherever the tensor is; on the CPU a view."""
    array = array_of(n, dtype)
    tensor = torch.from_numpy(array).to(device)
    gauge.work(flop=0, bytes=crossing(array, device))
    gauge(to_host_array, tensor)
