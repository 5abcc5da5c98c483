"""Operations: reductions, views, joining, element by element; the same in NumPy beside torch on the CPU.

Bytes at the least: reductions read n·s, unary operations read and write 2n·s, binary ones 3n·s, views
nothing. The tutorial's 2×3 tensor is n=6; larger ones are square.
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


def shape_of(n):
    return (2, 3) if n == 6 else (math.isqrt(n), n // math.isqrt(n))


def values(n, device, dtype):
    # both signs, so that a sum stays small, and not near 0: finite and no denormal in every dtype
    x = torch.empty(shape_of(n), device=device).uniform_(-1, 1)
    return (x + 0.5 * x.sign()).to(dtype)


def sum_rows(x):
    return x.sum(dim=0)


@sizes
@pytest.mark.parametrize("operation", ["sum", "mean", "max", "argmax"])
def bench_reduce(gauge, device, dtype, operation, n):
    gauge.work(flop=n, bytes=n * dtype.itemsize, items=n)
    gauge(getattr(torch, operation), values(n, device, dtype))


@sizes
def bench_sum_dim(gauge, device, dtype, n):
    gauge.work(flop=n, bytes=n * dtype.itemsize, items=n)
    gauge(sum_rows, values(n, device, dtype))


@sizes
@pytest.mark.parametrize("operation", ["sin", "exp", "tanh", "relu"])
def bench_unary(gauge, device, dtype, operation, n):
    gauge.work(flop=n, bytes=2 * n * dtype.itemsize, items=n)
    gauge(getattr(torch, operation), values(n, device, dtype))


@sizes
@pytest.mark.parametrize("operation", ["add", "mul"])
def bench_binary(gauge, device, dtype, operation, n):
    gauge.work(flop=n, bytes=3 * n * dtype.itemsize, items=n)
    gauge(getattr(torch, operation), values(n, device, dtype), values(n, device, dtype))


@sizes
@pytest.mark.parametrize("operation", ["cat", "stack"])
def bench_join(gauge, device, dtype, operation, n):
    """Two tensors of n elements become one of 2n: all is read and written once."""
    gauge.work(flop=0, bytes=4 * n * dtype.itemsize, items=2 * n)
    gauge(getattr(torch, operation), (values(n, device, dtype), values(n, device, dtype)))


def view_flat(x):
    return x.view(-1)


@pytest.mark.gauge(dtypes=["float32"])
@pytest.mark.parametrize("operation", ["t", "view", "squeeze", "unsqueeze", "numel"])
def bench_view(gauge, device, dtype, operation):
    x = values(6, device, dtype)
    gauge.work(flop=0, bytes=0)
    if operation == "view":
        gauge(view_flat, x)
    elif operation == "unsqueeze":
        gauge(x.unsqueeze, 0)
    else:
        gauge(getattr(x, operation))


numpy_dtypes = pytest.mark.parametrize("numpy_dtype", ["float32", pytest.param("float64", marks=STANDARD)])
numpy_sizes = pytest.mark.parametrize(
    "n", [6, pytest.param(2**10, marks=THOROUGH), pytest.param(2**20, marks=STANDARD)]
)


def array(n, numpy_dtype):
    return (np.random.default_rng(0).random(shape_of(n)) + 0.5).astype(numpy_dtype)


@numpy_sizes
@numpy_dtypes
@pytest.mark.parametrize("operation", ["sum", pytest.param("mean", marks=STANDARD), "max", "argmax"])
def bench_numpy_reduce(gauge, operation, numpy_dtype, n):
    x = array(n, numpy_dtype)
    gauge.work(flop=n, bytes=x.nbytes, items=n)
    gauge(getattr(np, operation), x)


@numpy_sizes
@numpy_dtypes
@pytest.mark.parametrize("operation", ["sin", "exp", pytest.param("tanh", marks=STANDARD)])
def bench_numpy_unary(gauge, operation, numpy_dtype, n):
    x = array(n, numpy_dtype)
    gauge.work(flop=n, bytes=2 * x.nbytes, items=n)
    gauge(getattr(np, operation), x)


@numpy_sizes
@numpy_dtypes
@pytest.mark.parametrize("operation", ["add", "multiply"])
def bench_numpy_binary(gauge, operation, numpy_dtype, n):
    x, y = array(n, numpy_dtype), array(n, numpy_dtype)
    gauge.work(flop=n, bytes=3 * x.nbytes, items=n)
    gauge(getattr(np, operation), x, y)


@numpy_sizes
@numpy_dtypes
def bench_numpy_concatenate(gauge, numpy_dtype, n):
    x, y = array(n, numpy_dtype), array(n, numpy_dtype)
    gauge.work(flop=0, bytes=4 * x.nbytes, items=2 * n)
    gauge(np.concatenate, (x, y))


@numpy_sizes
@numpy_dtypes
def bench_numpy_relu(gauge, numpy_dtype, n):
    x = array(n, numpy_dtype)
    gauge.work(flop=n, bytes=2 * x.nbytes, items=n)
    gauge(np.maximum, x, 0)
