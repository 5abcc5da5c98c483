"""Conversion between dtypes: `.float()`, `.double()`, `.byte()`, `.half()`, `.long()` …, and `.to(dtype)`.

`dtype` is the source. A conversion reads n·s_in and writes n·s_out bytes; to the dtype it has already it
hands back the tensor itself and moves nothing.
"""

import pytest
import torch

STANDARD = pytest.mark.gauge(budget="standard")
THOROUGH = pytest.mark.gauge(budget="thorough")
LARGE = pytest.mark.gauge(devices=["accelerator"], budget="standard")
SOURCES = [
    *("float32", "float64", "uint8", "float16", "bfloat16", "int64"),
    *("int32", "int16", "int8", "bool"),
]
METHODS = ["float", "double", "byte", "half", "bfloat16", "long"]
TARGETS = {
    "float": torch.float32,
    "double": torch.float64,
    "byte": torch.uint8,
    "half": torch.float16,
    "bfloat16": torch.bfloat16,
    "long": torch.int64,
}


def numbers(n, device, dtype):
    # within what every dtype here can hold
    return (100 * torch.rand(n, device=device)).to(dtype)


def moved_bytes(n, source, target):
    return 0 if source == target else n * (source.itemsize + target.itemsize)


@pytest.mark.gauge(dtypes=SOURCES, quick=["float32", "uint8"])
@pytest.mark.parametrize("n", [pytest.param(2**10, marks=THOROUGH), 2**20, pytest.param(2**26, marks=LARGE)])
@pytest.mark.parametrize("method", METHODS)
def bench_method(gauge, device, dtype, method, n):
    tensor = numbers(n, device, dtype)
    gauge.work(flop=0, bytes=moved_bytes(n, dtype, TARGETS[method]), items=n)
    gauge(getattr(tensor, method))


@pytest.mark.gauge(dtypes=SOURCES)
@pytest.mark.parametrize("n", [2**10, pytest.param(2**20, marks=THOROUGH), pytest.param(2**26, marks=LARGE)])
@pytest.mark.parametrize(
    "target",
    [
        "float64",
        "bfloat16",
        *(pytest.param(name, marks=STANDARD) for name in ("float32", "uint8")),
        *(
            pytest.param(name, marks=THOROUGH)
            for name in ("float16", "int8", "int16", "int32", "int64", "bool")
        ),
    ],
)
def bench_to(gauge, device, dtype, target, n):
    wanted = getattr(torch, target)
    tensor = numbers(n, device, dtype)
    gauge.work(flop=0, bytes=moved_bytes(n, dtype, wanted), items=n)
    gauge(tensor.to, wanted)
