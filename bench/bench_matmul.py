"""Matrix products: the tutorial's `A v`, `A v + b` and `x (A v)`, and their larger relatives.

Square `A B`, `A Bᵀ`, batches and int8; NumPy stands beside torch on the CPU.
"""

import numpy as np
import pytest
import torch

standard = pytest.mark.gauge(budget="standard")
thorough = pytest.mark.gauge(budget="thorough")
accelerator = pytest.mark.gauge(devices=["accelerator"], budget="standard")
cpu = pytest.mark.gauge(devices=["cpu"])

dtypes = pytest.mark.gauge(dtypes=["float32", "tf32", "float64", "bfloat16", "float16"])
GIANT = [pytest.param(n, marks=accelerator) for n in (2048, 4096, 8192, 8191)]


def normal(shape, device, dtype, library="torch"):
    """Values of the standard normal distribution: zeros would use less power and run faster."""
    t = torch.randn(shape, device=device).to(dtype)
    return t.numpy() if library == "numpy" else t


def bias(matmul, a, v, b):
    return matmul(a, v) + b


def bilinear(matmul, x, a, v):
    return matmul(x, matmul(a, v)).item()


@pytest.mark.gauge(dtypes=["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize(
    ("library", "n"),
    [
        ("torch", 3),
        *(pytest.param("torch", n, marks=thorough) for n in (32, 128, 512)),
        pytest.param("torch", 1024, marks=standard),
        *(pytest.param("torch", *giant.values, marks=giant.marks) for giant in GIANT),
        pytest.param("numpy", 3, marks=cpu),
        *(pytest.param("numpy", n, marks=(cpu, thorough)) for n in (32, 128, 512, 1024)),
    ],
)
@pytest.mark.parametrize("form", ["Av", "Av+b", "x(Av)"])
def bench_vector(gauge, device, dtype, form, library, n):
    a = normal((n, n), device, dtype, library)
    v, b = (normal((n, 1), device, dtype, library) for _ in range(2))
    x = normal((1, n), device, dtype, library)
    matmul = torch.matmul if library == "torch" else np.matmul
    s = dtype.itemsize
    if form == "Av":
        gauge.work(flop=2 * n * n, bytes=s * (n * n + 2 * n))
        gauge(matmul, a, v)
    elif form == "Av+b":
        gauge.work(flop=2 * n * n + n, bytes=s * (n * n + 3 * n))
        gauge(bias, matmul, a, v, b)
    else:
        gauge.work(flop=2 * n * n + 2 * n, bytes=s * (n * n + 2 * n + 1))
        gauge(bilinear, matmul, x, a, v)


# On a CPU without bfloat16 units one product of 512 takes 0.2 s, one of 1024 over 2 s.
@pytest.mark.gauge(quick=["float32", "float64", "bfloat16"])
@dtypes
@pytest.mark.parametrize(
    ("library", "n"),
    [
        ("torch", 32),
        ("torch", 128),
        pytest.param("torch", 512, marks=standard),
        pytest.param("torch", 1024, marks=thorough),
        *(pytest.param("torch", *giant.values, marks=giant.marks) for giant in GIANT),
        pytest.param("numpy", 32, marks=(cpu, thorough)),
        pytest.param("numpy", 128, marks=cpu),
        *(pytest.param("numpy", n, marks=(cpu, thorough)) for n in (512, 1024)),
    ],
)
def bench_square(gauge, device, dtype, library, n):
    a, b = (normal((n, n), device, dtype, library) for _ in range(2))
    gauge.work(flop=2 * n**3, bytes=3 * n * n * dtype.itemsize)
    gauge(torch.matmul if library == "torch" else np.matmul, a, b)


@dtypes
@pytest.mark.parametrize(
    "n",
    [
        pytest.param(32, marks=thorough),
        pytest.param(128, marks=thorough),
        512,
        pytest.param(1024, marks=standard),
        *GIANT,
    ],
)
def bench_transposed(gauge, device, dtype, n):
    a, b = (normal((n, n), device, dtype) for _ in range(2))
    gauge.work(flop=2 * n**3, bytes=3 * n * n * dtype.itemsize)
    gauge(torch.matmul, a, b.t())


@dtypes
@pytest.mark.parametrize(
    ("batch", "n"),
    [
        (64, 32),
        (8, 128),
        pytest.param(64, 128, marks=standard),
        pytest.param(8, 512, marks=thorough),
        pytest.param(64, 1024, marks=accelerator),
    ],
)
def bench_batched(gauge, device, dtype, batch, n):
    a, b = (normal((batch, n, n), device, dtype) for _ in range(2))
    gauge.work(flop=2 * batch * n**3, bytes=3 * batch * n * n * dtype.itemsize)
    gauge(torch.matmul, a, b)


# torch.matmul gives int8 for int8, which wraps, and CUDA refuses it. The product that quantized models
# use sums in int32, and torch has no public name for it.
@pytest.mark.gauge(dtypes=["int8"])
@pytest.mark.parametrize(
    "n",
    [
        32,
        128,
        pytest.param(512, marks=thorough),
        pytest.param(1024, marks=thorough),
        *GIANT[:-1],  # CUDA wants a multiple of 8
    ],
)
def bench_int8(gauge, device, dtype, n):
    a, b = (torch.randint(-128, 128, (n, n), device=device, dtype=dtype) for _ in range(2))
    # Two matrices of 1 byte an element are read, one of 4 is written.
    gauge.work(flop=2 * n**3, bytes=6 * n * n)
    product = gauge(torch._int_mm, a, b)
    assert product.dtype == torch.int32
