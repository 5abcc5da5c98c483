"""Operations on tensors: `t.sum(dim=0)`, `t.t()`, `t.view(-1, 2)`, `torch.cat((t, t))`, `u + b`, …

Reductions, elementwise functions of one and of two tensors, joins and views; NumPy stands beside torch on
the CPU. n elements are the tutorial's 2×3, or a square matrix.
"""

import numpy as np
import pytest
import torch

standard = pytest.mark.gauge(budget="standard")
thorough = pytest.mark.gauge(budget="thorough")
accelerator = pytest.mark.gauge(devices=["accelerator"], budget="standard")

SHAPES = {6: (2, 3), 2**10: (32, 32), 2**16: (256, 256), 2**20: (1024, 1024), 2**26: (8192, 8192)}
LARGE = 2**20
LIBRARIES = ("torch", "numpy")


def numpy_relu(a):
    return np.maximum(a, 0)


REDUCTIONS = {
    "sum": (torch.sum, np.sum),
    "sum-dim0": (torch.sum, np.sum),
    "mean": (torch.mean, np.mean),
    "max": (torch.max, np.max),
    "argmax": (torch.argmax, np.argmax),
}
UNARY = {
    "sin": (torch.sin, np.sin),
    "exp": (torch.exp, np.exp),
    "tanh": (torch.tanh, np.tanh),
    "relu": (torch.relu, numpy_relu),
}
BINARY = {"add": (torch.add, np.add), "mul": (torch.mul, np.multiply)}
JOINS = {"cat": (torch.cat, np.concatenate), "stack": (torch.stack, np.stack)}
VIEWS = {
    "t": (torch.t, np.transpose),
    "view": (torch.Tensor.view, np.reshape),
    "squeeze": (torch.squeeze, np.squeeze),
    "unsqueeze": (torch.unsqueeze, np.expand_dims),
    "numel": (torch.numel, np.size),
}
# What follows the tensor in the call.
REST = {"sum-dim0": (0,), "view": ((-1, 2),), "unsqueeze": (0,)}

integers_too = pytest.mark.gauge(dtypes=["float32", "float64", "bfloat16", "float16", "int64", "int32"])


def cases(table, quick, also_standard=()):
    """Every operation of the table, library and size, from the budget on that the lists name, else thorough.

    Args:
        table: the operations.
        quick: "operation library n" that every budget measures.
        also_standard: those that standard adds.

    """

    def marks(op, library, n):
        name = f"{op} {library} {n}"
        if library == "numpy":
            yield pytest.mark.gauge(devices=["cpu"])
        if n == 2**26:
            yield accelerator
        elif name in also_standard:
            yield standard
        elif name not in quick:
            yield thorough

    return pytest.mark.parametrize(
        ("op", "library", "n"),
        [
            pytest.param(op, library, n, marks=tuple(marks(op, library, n)))
            for op in table
            for library in LIBRARIES
            for n in SHAPES
            if not (library == "numpy" and n == 2**26)
        ],
    )


def values(shape, library, device, dtype):
    """Random values of magnitude 0.5 to 1.5 and both signs (whole numbers for integers): no sum overflows."""
    t = torch.empty(shape, device=device).uniform_(-1, 1)
    t = t.add_(t.sign(), alpha=0.5) if dtype.is_floating_point else t.mul_(100)
    t = t.to(dtype)
    return t.numpy() if library == "numpy" else t


@integers_too
@cases(
    REDUCTIONS,
    quick=[*(f"{op} torch 6" for op in REDUCTIONS), *(f"{op} torch {LARGE}" for op in ("sum", "argmax"))]
    + [f"sum numpy {LARGE}"],
    also_standard=["sum numpy 6"],
)
def bench_reduction(gauge, device, dtype, op, library, n):
    if op == "mean" and not dtype.is_floating_point:
        pytest.skip("the mean of whole numbers is no whole number")
    t = values(SHAPES[n], library, device, dtype)
    gauge.work(flop=n, bytes=n * dtype.itemsize)
    gauge(REDUCTIONS[op][LIBRARIES.index(library)], t, *REST.get(op, ()))


@cases(
    UNARY,
    quick=["sin torch 6", "relu torch 6", "sin numpy 6"]
    + [*(f"{op} torch {LARGE}" for op in UNARY), f"sin numpy {LARGE}"],
)
def bench_unary(gauge, device, dtype, op, library, n):
    t = values(SHAPES[n], library, device, dtype)
    gauge.work(flop=n, bytes=2 * n * dtype.itemsize)
    gauge(UNARY[op][LIBRARIES.index(library)], t)


@integers_too
@cases(
    BINARY,
    quick=["add torch 6", "mul torch 6", "add numpy 6", f"add torch {LARGE}", f"add numpy {LARGE}"],
)
def bench_binary(gauge, device, dtype, op, library, n):
    t, u = (values(SHAPES[n], library, device, dtype) for _ in range(2))
    gauge.work(flop=n, bytes=3 * n * dtype.itemsize)
    gauge(BINARY[op][LIBRARIES.index(library)], t, u)


# As in the tutorial the result has the n elements, twice the tensor that is joined to itself.
@integers_too
@cases(JOINS, quick=["cat torch 6", "stack torch 6"])
def bench_join(gauge, device, dtype, op, library, n):
    t = values((n // 2,), library, device, dtype)
    gauge.work(flop=0, bytes=2 * n * dtype.itemsize)
    joined = gauge(JOINS[op][LIBRARIES.index(library)], (t, t))
    assert joined.size == n if library == "numpy" else joined.numel() == n


@cases(
    VIEWS,
    quick=[f"{op} torch 6" for op in VIEWS],
    also_standard=[f"{op} numpy 6" for op in VIEWS],
)
def bench_view(gauge, device, op, library, n):
    t = values(SHAPES[n], library, device, torch.float32)
    gauge.work(flop=0, bytes=0)
    gauge(VIEWS[op][LIBRARIES.index(library)], t, *REST.get(op, ()))
