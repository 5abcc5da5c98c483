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
NUMPY_DTYPES = ["float32", "float64"]


def sizes(quick, standard=()):
    """The catalogue's sizes: those in `quick` by any budget, all by thorough; from 2048 on accelerators.

    bfloat16 has no unit on many CPUs: 0.2 s a product at 512, 2 s at 1024.
    """
    small = [
        pytest.param(n, marks=() if n in quick else STANDARD if n in standard else THOROUGH)
        for n in (32, 128, 512, 1024)
    ]
    return pytest.mark.parametrize(
        "n", small + [pytest.param(n, marks=LARGE) for n in (2048, 4096, 8192, 8191)]
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
@sizes((32, 128), (512,))
def bench_square(gauge, device, dtype, n):
    a, b = normal(n, n, device=device, dtype=dtype), normal(n, n, device=device, dtype=dtype)
    gauge.work(flop=2 * n**3, bytes=3 * n * n * dtype.itemsize)
    gauge(torch.matmul, a, b)


@pytest.mark.gauge(dtypes=DTYPES)
@sizes((32, 128, 512), (1024,))
def bench_transposed(gauge, device, dtype, n):
    a, b = normal(n, n, device=device, dtype=dtype), normal(n, n, device=device, dtype=dtype)
    gauge.work(flop=2 * n**3, bytes=3 * n * n * dtype.itemsize)
    gauge(product_with_transposed, a, b)


@pytest.mark.gauge(dtypes=DTYPES)
@pytest.mark.parametrize("batch", [16])
@sizes((32, 128), (512,))
def bench_batched(gauge, device, dtype, batch, n):
    a, b = normal(batch, n, n, device=device, dtype=dtype), normal(batch, n, n, device=device, dtype=dtype)
    gauge.work(flop=batch * 2 * n**3, bytes=batch * 3 * n * n * dtype.itemsize)
    gauge(torch.bmm, a, b)


@pytest.mark.gauge(budget="standard")
@sizes((32, 128))
def bench_int8(gauge, device, n):
    """int8 inputs, int32 result. torch has no public name for it yet: `torch._int_mm` is what it offers."""
    a = torch.randint(-128, 128, (n, n), dtype=torch.int8, device=device)
    b = torch.randint(-128, 128, (n, n), dtype=torch.int8, device=device)
    gauge.work(flop=2 * n**3, bytes=n * n * (1 + 1 + 4))
    gauge(torch._int_mm, a, b)


def numpy_normal(*shape, dtype):
    return normal(*shape, device="cpu", dtype=dtype).numpy()


def numpy_affine(a, v, b):
    return np.matmul(a, v) + b


def numpy_bilinear(x, a, v):
    return np.matmul(x, np.matmul(a, v)).item()


@pytest.mark.gauge(dtypes=NUMPY_DTYPES)
def bench_numpy_vector(gauge, dtype):
    gauge.work(flop=2 * 3 * 3, bytes=(9 + 3 + 3) * dtype.itemsize)
    gauge(np.matmul, numpy_normal(3, 3, dtype=dtype), numpy_normal(3, dtype=dtype))


@pytest.mark.gauge(dtypes=NUMPY_DTYPES, budget="standard")
def bench_numpy_affine(gauge, dtype):
    a, v, b = (numpy_normal(*shape, dtype=dtype) for shape in ((3, 3), (3,), (3,)))
    gauge.work(flop=2 * 3 * 3 + 3, bytes=(9 + 3 + 3 + 3) * dtype.itemsize)
    gauge(numpy_affine, a, v, b)


@pytest.mark.gauge(dtypes=NUMPY_DTYPES, budget="standard")
def bench_numpy_bilinear(gauge, dtype):
    x, a, v = (numpy_normal(*shape, dtype=dtype) for shape in ((3,), (3, 3), (3,)))
    gauge.work(flop=2 * 3 * 3 + 2 * 3, bytes=(9 + 3 + 3 + 1) * dtype.itemsize)
    gauge(numpy_bilinear, x, a, v)


@pytest.mark.gauge(dtypes=NUMPY_DTYPES)
@pytest.mark.parametrize("n", [3, 32, 128, 512, pytest.param(1024, marks=STANDARD)])
def bench_numpy_square(gauge, dtype, n):
    a, b = numpy_normal(n, n, dtype=dtype), numpy_normal(n, n, dtype=dtype)
    gauge.work(flop=2 * n**3, bytes=3 * n * n * dtype.itemsize)
    gauge(np.matmul, a, b)
