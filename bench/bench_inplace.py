"""In-place work against its other forms: `x.add_(1)`, `torch.add(x, 1)` and `torch.add(x, 1, out=y)`.

The functional form pays for a new tensor, the in-place form and `out=` do not. In-place calls are
repeated a million times on the same tensor, so each operation is one whose values stay bounded for ever.
"""

import pytest
import torch

standard = pytest.mark.gauge(budget="standard")
thorough = pytest.mark.gauge(budget="thorough")
accelerator = pytest.mark.gauge(devices=["accelerator"], budget="standard")

dtypes = pytest.mark.gauge(
    dtypes=["float32", "bfloat16", "float64", "float16", "int32", "int64", "int16", "int8"]
)
forms = pytest.mark.parametrize("form", ["functional", "in-place", "out"])


def sizes(*common):
    """Sizes of the catalogue; those in `common` are measured by any budget, 2**28 on accelerators only."""
    return pytest.mark.parametrize(
        "n",
        [
            *(pytest.param(n, marks=() if n in common else thorough) for n in (2**10, 2**16, 2**20, 2**24)),
            pytest.param(2**28, marks=accelerator),
        ],
    )


def values(n, device, dtype):
    """n values of both signs, of magnitude 1 to 100: none is 0, none can become a denormal.

    At most 2¹⁶ of them are drawn and then repeated: drawing 2²⁸ takes seconds on a CPU.
    """
    drawn = min(n, 2**16)
    x = torch.empty(drawn, device=device).uniform_(-99, 99)
    x += x.sign()
    return x.to(dtype).repeat(n // drawn)


def measure(gauge, form, functional, in_place, x, *operands):
    if form == "functional":
        return gauge(functional, x, *operands)
    if form == "in-place":
        return gauge(in_place, x, *operands)
    return gauge(functional, x, *operands, out=torch.empty_like(x))


@dtypes
@sizes(2**10, 2**20)
@forms
def bench_add(gauge, device, dtype, form, n):
    # In place the sum grows until 1 is below half a unit in its last place (2²⁴ in float32, 2¹¹ in
    # float16) and then stands still; integers wrap.
    x = values(n, device, dtype)
    gauge.work(flop=n, bytes=2 * n * dtype.itemsize)
    measure(gauge, form, torch.add, torch.Tensor.add_, x, 1)


@dtypes
@sizes(2**10)
@forms
def bench_mul(gauge, device, dtype, form, n):
    # Times -1: a real product, and in place its values only change sign.
    x = values(n, device, dtype)
    gauge.work(flop=n, bytes=2 * n * dtype.itemsize)
    measure(gauge, form, torch.mul, torch.Tensor.mul_, x, -1)


@dtypes
@sizes(2**10)
@forms
def bench_relu(gauge, device, dtype, form, n):
    # All forms start from what relu leaves, as the in-place form does from its second call on.
    # torch.relu takes no out=; clamp_min does the same into a tensor that exists.
    x = torch.relu(values(n, device, dtype))
    gauge.work(flop=n, bytes=2 * n * dtype.itemsize)
    if form == "out":
        gauge(torch.clamp_min, x, 0, out=torch.empty_like(x))
    else:
        measure(gauge, form, torch.relu, torch.relu_, x)


@dtypes
@sizes(2**10)
@forms
def bench_clamp(gauge, device, dtype, form, n):
    # All forms start from values that are clamped already, as in bench_relu.
    x = values(n, device, dtype).clamp(-50, 50)
    gauge.work(flop=n, bytes=2 * n * dtype.itemsize)
    measure(gauge, form, torch.clamp, torch.Tensor.clamp_, x, -50, 50)


@dtypes
@sizes(2**10, 2**20)
@forms
def bench_zero(gauge, device, dtype, form, n):
    # Zeros are the point here. Nothing has to be read: n·s bytes at the least.
    x = values(n, device, dtype)
    gauge.work(flop=0, bytes=n * dtype.itemsize)
    if form == "out":
        gauge(torch.zeros, n, out=x)
    else:
        measure(gauge, form, torch.zeros_like, torch.Tensor.zero_, x)
