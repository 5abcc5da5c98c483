"""Between NumPy and torch: `torch.tensor` copies; `from_numpy`, `as_tensor`, `.numpy()`, `np.asarray` share.

All on the host: a tensor shares memory with an array only there. Copies move 2ns bytes, views none.
"""

import numpy as np
import pytest
import torch

STANDARD = pytest.mark.gauge(budget="standard")
SIZES = [3, pytest.param(10**3, marks=STANDARD), 10**6]
TYPES = ["float64", pytest.param("float32", marks=STANDARD)]


def array_of(n, numpy_dtype):
    return np.random.default_rng(0).standard_normal(n).astype(numpy_dtype)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("numpy_dtype", TYPES)
def bench_tensor(gauge, numpy_dtype, n):
    array = array_of(n, numpy_dtype)
    gauge.work(flop=0, bytes=2 * array.nbytes, items=n)
    gauge(torch.tensor, array)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("numpy_dtype", TYPES)
def bench_from_numpy(gauge, numpy_dtype, n):
    gauge.work(flop=0, bytes=0, items=n)
    gauge(torch.from_numpy, array_of(n, numpy_dtype))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("numpy_dtype", TYPES)
def bench_as_tensor(gauge, numpy_dtype, n):
    gauge.work(flop=0, bytes=0, items=n)
    gauge(torch.as_tensor, array_of(n, numpy_dtype))


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
