"""Operations: reductions, views, joining, element by element; the same in NumPy beside torch on the CPU.

Bytes at the least: reductions read n·s, unary operations read and write 2n·s, binary ones 3n·s, views
nothing. The tutorial's 2×3 tensor is n=6; larger ones are square. NumPy works on the same values.
"""

import math

import numpy as np
import pytest
import torch

STANDARD = pytest.mark.gauge(budget="standard")
THOROUGH = pytest.mark.gauge(budget="thorough")
LARGE = pytest.mark.gauge(devices=["accelerator"], budget="standard")
sizes = pytest.mark.parametrize(
    "n",
    [
        6,
        pytest.param(2**10, marks=THOROUGH),
        pytest.param(2**16, marks=THOROUGH),
        pytest.param(2**20, marks=STANDARD),
        pytest.param(2**26, marks=LARGE),
    ],
)


numbers = pytest.mark.gauge(dtypes=["float32", "float64", "bfloat16", "float16", "int64", "int32", "int8"])


def shape_of(n):
    return (2, 3) if n == 6 else (math.isqrt(n), n // math.isqrt(n))


def values(n, device, dtype):
    # both signs, so that a sum stays small, and not near 0: finite and no denormal in every dtype;
    # integers are -1, 0 and 1
    x = torch.empty(shape_of(n), device=device).uniform_(-1, 1)
    return (x + 0.5 * x.sign()).to(dtype)


def sum_rows(x):
    return x.sum(dim=0)


@numbers
@sizes
@pytest.mark.parametrize("operation", ["sum", "mean", "max", "argmax"])
def bench_reduce(gauge, device, dtype, operation, n):
    gauge.work(flop=n, bytes=n * dtype.itemsize, items=n)
    gauge(getattr(torch, operation), values(n, device, dtype))


@numbers
@sizes
def bench_sum_dim(gauge, device, dtype, n):
    gauge.work(flop=n, bytes=n * dtype.itemsize, items=n)
    gauge(sum_rows, values(n, device, dtype))


@sizes
@pytest.mark.parametrize("operation", ["sin", "exp", "tanh", "relu"])
def bench_unary(gauge, device, dtype, operation, n):
    gauge.work(flop=n, bytes=2 * n * dtype.itemsize, items=n)
    gauge(getattr(torch, operation), values(n, device, dtype))


@numbers
@sizes
@pytest.mark.parametrize("operation", ["add", "mul"])
def bench_binary(gauge, device, dtype, operation, n):
    gauge.work(flop=n, bytes=3 * n * dtype.itemsize, items=n)
    gauge(getattr(torch, operation), values(n, device, dtype), values(n, device, dtype))


@numbers
@sizes
@pytest.mark.parametrize("operation", ["cat", "stack"])
def bench_join(gauge, device, dtype, operation, n):
    """Two tensors of n elements become one of 2n: all is read and written once."""
    gauge.work(flop=0, bytes=4 * n * dtype.itemsize, items=2 * n)
    gauge(getattr(torch, operation), (values(n, device, dtype), values(n, device, dtype)))


@pytest.mark.gauge(dtypes=["float32"])
@pytest.mark.parametrize("operation", ["t", "view", "squeeze", "unsqueeze", "numel"])
def bench_view(gauge, device, dtype, operation):
    x = values(6, device, dtype)
    gauge.work(flop=0, bytes=0)
    arguments = {"view": (-1,), "unsqueeze": (0,)}
    gauge(getattr(x, operation), *arguments.get(operation, ()))


numpy_numbers = pytest.mark.gauge(dtypes=["float32", "float64", "float16", "int64", "int32", "int8"])
numpy_floats = pytest.mark.gauge(dtypes=["float32", "float64", "float16"])
numpy_sizes = pytest.mark.parametrize(
    "n",
    [
        6,
        pytest.param(2**10, marks=THOROUGH),
        pytest.param(2**16, marks=THOROUGH),
        pytest.param(2**20, marks=STANDARD),
    ],
)


def array(n, dtype):
    return values(n, "cpu", dtype).numpy()


@numpy_numbers
@numpy_sizes
@pytest.mark.parametrize("operation", ["sum", pytest.param("mean", marks=STANDARD), "max", "argmax"])
def bench_numpy_reduce(gauge, dtype, operation, n):
    gauge.work(flop=n, bytes=n * dtype.itemsize, items=n)
    gauge(getattr(np, operation), array(n, dtype))


@numpy_numbers
@numpy_sizes
def bench_numpy_sum_axis(gauge, dtype, n):
    gauge.work(flop=n, bytes=n * dtype.itemsize, items=n)
    gauge(np.sum, array(n, dtype), axis=0)


@numpy_floats
@numpy_sizes
@pytest.mark.parametrize("operation", ["sin", "exp", pytest.param("tanh", marks=STANDARD)])
def bench_numpy_unary(gauge, dtype, operation, n):
    gauge.work(flop=n, bytes=2 * n * dtype.itemsize, items=n)
    gauge(getattr(np, operation), array(n, dtype))


@numpy_floats
@numpy_sizes
def bench_numpy_relu(gauge, dtype, n):
    gauge.work(flop=n, bytes=2 * n * dtype.itemsize, items=n)
    gauge(np.maximum, array(n, dtype), 0)


@numpy_numbers
@numpy_sizes
@pytest.mark.parametrize("operation", ["add", "multiply"])
def bench_numpy_binary(gauge, dtype, operation, n):
    gauge.work(flop=n, bytes=3 * n * dtype.itemsize, items=n)
    gauge(getattr(np, operation), array(n, dtype), array(n, dtype))


@numpy_numbers
@numpy_sizes
@pytest.mark.parametrize("operation", ["concatenate", pytest.param("stack", marks=STANDARD)])
def bench_numpy_join(gauge, dtype, operation, n):
    gauge.work(flop=0, bytes=4 * n * dtype.itemsize, items=2 * n)
    gauge(getattr(np, operation), (array(n, dtype), array(n, dtype)))


NUMPY_VIEWS = {
    "transpose": (np.transpose, ()),
    "reshape": (np.reshape, (-1,)),
    "squeeze": (np.squeeze, ()),
    "expand_dims": (np.expand_dims, (0,)),
    "size": (np.size, ()),
}


@pytest.mark.gauge(dtypes=["float32"])
@pytest.mark.parametrize("operation", NUMPY_VIEWS)
def bench_numpy_view(gauge, dtype, operation):
    function, arguments = NUMPY_VIEWS[operation]
    gauge.work(flop=0, bytes=0)
    gauge(function, array(6, dtype), *arguments)
