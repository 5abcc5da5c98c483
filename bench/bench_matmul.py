"""Matrix products: the tutorial's 3×3 `A v`, `A v + b`, `x (A v)`; then square, transposed and batched ones.

A product of m×k and k×n takes 2mnk FLOP and moves at least s(mk + kn + mn) bytes.
"""

import numpy as np
import pytest
import torch

STANDARD = pytest.mark.gauge(budget="standard")
THOROUGH = pytest.mark.gauge(budget="thorough")
LARGE = pytest.mark.gauge(devices=["accelerator"], budget="standard")
DTYPES = ["float32", "float64", "bfloat16", "float16", "tf32"]
sizes = pytest.mark.parametrize(
    "n",
    [
        32,
        128,
        # bfloat16 has no unit on many CPUs: 0.2 s a product at 512, 2 s at 1024
        pytest.param(512, marks=STANDARD),
        pytest.param(1024, marks=THOROUGH),
        pytest.param(2048, marks=LARGE),
        pytest.param(4096, marks=LARGE),
        pytest.param(8192, marks=LARGE),
        pytest.param(8191, marks=LARGE),
    ],
)


def normal(*shape, device, dtype):
    return torch.randn(*shape, device=device).to(dtype)


def affine(a, v, b):
    return a @ v + b


def bilinear(x, a, v):
    return torch.matmul(x, torch.matmul(a, v)).item()


def product_with_transposed(a, b):
    return a @ b.T


@pytest.mark.gauge(dtypes=DTYPES)
def bench_vector(gauge, device, dtype):
    a, v = normal(3, 3, device=device, dtype=dtype), normal(3, device=device, dtype=dtype)
    gauge.work(flop=2 * 3 * 3, bytes=(9 + 3 + 3) * dtype.itemsize)
    gauge(torch.matmul, a, v)


@pytest.mark.gauge(dtypes=DTYPES)
def bench_affine(gauge, device, dtype):
    a, v = normal(3, 3, device=device, dtype=dtype), normal(3, device=device, dtype=dtype)
    gauge.work(flop=2 * 3 * 3 + 3, bytes=(9 + 3 + 3 + 3) * dtype.itemsize)
    gauge(affine, a, v, normal(3, device=device, dtype=dtype))


@pytest.mark.gauge(dtypes=DTYPES)
def bench_bilinear(gauge, device, dtype):
    """`x (A v)` with `.item()`: the host waits for the device."""
    a, v = normal(3, 3, device=device, dtype=dtype), normal(3, device=device, dtype=dtype)
    gauge.work(flop=2 * 3 * 3 + 2 * 3, bytes=(9 + 3 + 3 + 1) * dtype.itemsize)
    gauge(bilinear, normal(3, device=device, dtype=dtype), a, v)


@pytest.mark.gauge(dtypes=DTYPES, quick=["float32", "float64", "bfloat16", "tf32"])
@sizes
def bench_square(gauge, device, dtype, n):
    a, b = normal(n, n, device=device, dtype=dtype), normal(n, n, device=device, dtype=dtype)
    gauge.work(flop=2 * n**3, bytes=3 * n * n * dtype.itemsize)
    gauge(torch.matmul, a, b)


@pytest.mark.gauge(dtypes=DTYPES)
@pytest.mark.parametrize(
    "n",
    [
        32,
        128,
        512,
        pytest.param(1024, marks=STANDARD),
        pytest.param(2048, marks=LARGE),
        pytest.param(4096, marks=LARGE),
        pytest.param(8192, marks=LARGE),
        pytest.param(8191, marks=LARGE),
    ],
)
def bench_transposed(gauge, device, dtype, n):
    a, b = normal(n, n, device=device, dtype=dtype), normal(n, n, device=device, dtype=dtype)
    gauge.work(flop=2 * n**3, bytes=3 * n * n * dtype.itemsize)
    gauge(product_with_transposed, a, b)


@pytest.mark.gauge(dtypes=DTYPES)
@pytest.mark.parametrize("batch", [16])
@pytest.mark.parametrize("n", [32, 128, pytest.param(512, marks=STANDARD), pytest.param(2048, marks=LARGE)])
def bench_batched(gauge, device, dtype, batch, n):
    a, b = normal(batch, n, n, device=device, dtype=dtype), normal(batch, n, n, device=device, dtype=dtype)
    gauge.work(flop=batch * 2 * n**3, bytes=batch * 3 * n * n * dtype.itemsize)
    gauge(torch.bmm, a, b)


@pytest.mark.gauge(budget="standard")
@pytest.mark.parametrize(
    "n",
    [
        32,
        128,
        pytest.param(512, marks=THOROUGH),
        pytest.param(1024, marks=THOROUGH),
        pytest.param(2048, marks=LARGE),
        pytest.param(4096, marks=LARGE),
        pytest.param(8192, marks=LARGE),
    ],
)
def bench_int8(gauge, device, n):
    """int8 inputs, int32 result. torch has no public name for it yet: `torch._int_mm` is what it offers."""
    a = torch.randint(-128, 128, (n, n), dtype=torch.int8, device=device)
    b = torch.randint(-128, 128, (n, n), dtype=torch.int8, device=device)
    gauge.work(flop=2 * n**3, bytes=n * n * (1 + 1 + 4))
    gauge(torch._int_mm, a, b)


@pytest.mark.parametrize("numpy_dtype", ["float32", pytest.param("float64", marks=STANDARD)])
def bench_numpy_vector(gauge, numpy_dtype):
    random = np.random.default_rng(0)
    a, v = random.standard_normal((3, 3)).astype(numpy_dtype), random.standard_normal(3).astype(numpy_dtype)
    gauge.work(flop=2 * 3 * 3, bytes=a.nbytes + 2 * v.nbytes)
    gauge(np.matmul, a, v)


@pytest.mark.parametrize("numpy_dtype", ["float32", pytest.param("float64", marks=STANDARD)])
@pytest.mark.parametrize("n", [3, 32, 128, 512, pytest.param(1024, marks=STANDARD)])
def bench_numpy_square(gauge, numpy_dtype, n):
    random = np.random.default_rng(0)
    a = random.standard_normal((n, n)).astype(numpy_dtype)
    b = random.standard_normal((n, n)).astype(numpy_dtype)
    gauge.work(flop=2 * n**3, bytes=3 * a.nbytes)
    gauge(np.matmul, a, b)
