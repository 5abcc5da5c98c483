"""Creation: typed constructors, `torch.tensor` from lists, the factories, `fill_`, `clone`.

The tutorial's 2×3 tensor is n=6; larger ones are flat. What has to be written counts as bytes once.
"""

import pytest
import torch

STANDARD = pytest.mark.gauge(budget="standard")
THOROUGH = pytest.mark.gauge(budget="thorough")
LARGE = pytest.mark.gauge(devices=["accelerator"], budget="standard")
SIZES = [6, pytest.param(2**10, marks=THOROUGH), 2**20, pytest.param(2**26, marks=LARGE)]
# what torch says of these constructors on CUDA, which are measured because the tutorial has them
no_longer_recommended = pytest.mark.filterwarnings("ignore:The torch.cuda:UserWarning")
LIST_SIZES = [6, pytest.param(2**10, marks=STANDARD), pytest.param(2**20, marks=THOROUGH)]


def shape_of(n):
    return (2, 3) if n == 6 else (n,)


def typed_constructor(kind, device):
    """`torch.FloatTensor`, on CUDA `torch.cuda.FloatTensor`; other devices have none."""
    module = torch if device.type == "cpu" else getattr(torch, device.type)
    if not hasattr(module, kind):
        pytest.skip(f"{module.__name__} does not support {kind}")
    return getattr(module, kind)


def rows_of(kind, n):
    numbers = [kind(number % 100) for number in range(1, n + 1)]
    return [numbers[:3], numbers[3:]] if n == 6 else numbers


@no_longer_recommended
@pytest.mark.parametrize("n", SIZES)
def bench_typed_constructor(gauge, device, n):
    # it writes nothing, as `empty`
    gauge.work(flop=0, bytes=0)
    gauge(typed_constructor("FloatTensor", device), *shape_of(n))


@no_longer_recommended
@pytest.mark.parametrize("kind", ["FloatTensor", "LongTensor", "ByteTensor"])
@pytest.mark.parametrize("n", LIST_SIZES)
def bench_typed_constructor_from_list(gauge, device, kind, n):
    constructor = typed_constructor(kind, device)
    gauge.work(flop=0, bytes=n * constructor.dtype.itemsize, items=n)
    gauge(constructor, rows_of(int, n))


@pytest.mark.parametrize("values", ["int", "float"])
@pytest.mark.parametrize("n", LIST_SIZES)
def bench_tensor_from_list(gauge, device, values, n):
    gauge.work(flop=0, bytes=n * (8 if values == "int" else 4), items=n)
    gauge(torch.tensor, rows_of(int if values == "int" else float, n), device=device)


@pytest.mark.gauge(dtypes=["float32", "float64", "bfloat16", "float16", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("factory", ["empty", "zeros", "ones", "rand", "randn"])
def bench_factory(gauge, device, dtype, factory, n):
    if factory == "empty":  # it writes nothing: n·s bytes would make a rate that no memory has
        gauge.work(flop=0, bytes=0)
    else:
        gauge.work(flop=0, bytes=n * dtype.itemsize, items=n)
    gauge(getattr(torch, factory), shape_of(n), dtype=dtype, device=device)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("factory", ["zeros_like", "ones_like"])
def bench_like(gauge, device, dtype, factory, n):
    pattern = torch.rand(shape_of(n), device=device).to(dtype)
    gauge.work(flop=0, bytes=n * dtype.itemsize, items=n)
    gauge(getattr(torch, factory), pattern)


@pytest.mark.gauge(dtypes=["float32", "int64", "float64", "bfloat16", "int32"])  # float16 ends at 65504
@pytest.mark.parametrize("n", SIZES)
def bench_arange(gauge, device, dtype, n):
    gauge.work(flop=0, bytes=n * dtype.itemsize, items=n)
    gauge(torch.arange, n, dtype=dtype, device=device)


@pytest.mark.parametrize(
    "side",
    [
        3,
        pytest.param(32, marks=STANDARD),
        pytest.param(1024, marks=STANDARD),
        pytest.param(8192, marks=LARGE),
    ],
)
def bench_eye(gauge, device, dtype, side):
    gauge.work(flop=0, bytes=side * side * dtype.itemsize, items=side * side)
    gauge(torch.eye, side, dtype=dtype, device=device)


def empty_then_fill(shape, dtype, device):
    return torch.empty(shape, dtype=dtype, device=device).fill_(5)


def full(shape, dtype, device):
    return torch.full(shape, 5, dtype=dtype, device=device)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("form", [full, empty_then_fill])
def bench_filled(gauge, device, dtype, form, n):
    gauge.work(flop=0, bytes=n * dtype.itemsize, items=n)
    gauge(form, shape_of(n), dtype, device)


def clone(tensor):
    return tensor.clone()


def clone_detach(tensor):
    return tensor.clone().detach()


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("form", [clone, clone_detach])
def bench_copy(gauge, device, dtype, form, n):
    tensor = torch.rand(shape_of(n), device=device).to(dtype).requires_grad_()
    gauge.work(flop=0, bytes=2 * n * dtype.itemsize, items=n)
    gauge(form, tensor)


def on_device(n, dtype, device):
    return torch.rand(n, dtype=dtype, device=device)


def moved(n, dtype, device):
    return torch.rand(n, dtype=dtype).to(device)


@pytest.mark.parametrize("n", [2**10, pytest.param(2**20, marks=STANDARD), pytest.param(2**26, marks=LARGE)])
@pytest.mark.parametrize("place", [on_device, moved])
def bench_place(gauge, device, dtype, place, n):
    gauge.work(flop=0, bytes=n * dtype.itemsize, items=n)
    gauge(place, n, dtype, device)
