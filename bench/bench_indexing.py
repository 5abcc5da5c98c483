"""Indexing: slices are views; long tensors gather, masks select, assignment scatters, `.item()` reads back.

The tutorial's 5×6 tensor and one of 4096×4096 with 4,096 indices. `k` elements are selected from n:
a gather reads indices (8 bytes each) and moves k elements; a mask is read whole, a byte an element.
"""

import pytest
import torch

# rows, columns, indices
SHAPES = {"5x6": (5, 6, 3), "4096x4096": (4096, 4096, 4096)}
shapes = pytest.mark.parametrize("shape", list(SHAPES))
large_at_standard = pytest.mark.parametrize(
    "shape", ["5x6", pytest.param("4096x4096", marks=pytest.mark.gauge(budget="standard"))]
)
large_at_thorough = pytest.mark.parametrize(
    "shape", ["5x6", pytest.param("4096x4096", marks=pytest.mark.gauge(budget="thorough"))]
)
dtypes = pytest.mark.gauge(dtypes=["float32", "float64", "bfloat16", "float16", "int64"])


def matrix(shape, device, dtype):
    rows, columns, k = SHAPES[shape]
    # a block repeated: 16 M random numbers would cost 0.1 s in every round
    block = (100 * torch.rand(min(rows, 64), columns, device=device)).to(dtype)
    return block.repeat(-(-rows // 64), 1)[:rows].contiguous(), k


def positions(limit, k, device):
    return torch.randint(limit, (k,), device=device)


def column(tensor):
    return tensor[:, 0]


def pick(tensor, index):
    return tensor[index]


def pick_pairs(tensor, row, column):
    return tensor[row, column]


def assign_row(tensor, value):
    tensor[0] = value


def assign_pairs(tensor, row, column, value):
    tensor[row, column] = value


def assign_masked(tensor, mask, value):
    tensor[mask] = value


@dtypes
@large_at_standard
def bench_column(gauge, device, dtype, shape):
    tensor, _ = matrix(shape, device, dtype)
    gauge.work(flop=0, bytes=0)
    gauge(column, tensor)


@dtypes
@large_at_standard
def bench_rows(gauge, device, dtype, shape):
    """`t[i]` with a long tensor: k whole rows."""
    tensor, k = matrix(shape, device, dtype)
    elements = k * tensor.shape[1]
    gauge.work(flop=0, bytes=8 * k + 2 * elements * dtype.itemsize, items=elements)
    gauge(pick, tensor, positions(tensor.shape[0], k, device))


@dtypes
@shapes
def bench_pairs(gauge, device, dtype, shape):
    """`t[i, j]` with two long tensors: k elements."""
    tensor, k = matrix(shape, device, dtype)
    gauge.work(flop=0, bytes=k * (2 * 8 + 2 * dtype.itemsize), items=k)
    rows, columns = positions(tensor.shape[0], k, device), positions(tensor.shape[1], k, device)
    gauge(pick_pairs, tensor, rows, columns)


@dtypes
@large_at_thorough
def bench_mask(gauge, device, dtype, shape):
    tensor, _ = matrix(shape, device, dtype)
    mask = tensor > tensor.float().mean().to(dtype)
    n, k = tensor.numel(), int(mask.sum())
    gauge.work(flop=0, bytes=n + n * dtype.itemsize + k * dtype.itemsize, items=n)
    gauge(pick, tensor, mask)


@dtypes
@large_at_thorough
def bench_nonzero(gauge, device, dtype, shape):
    tensor, _ = matrix(shape, device, dtype)
    tensor = tensor * (tensor > tensor.float().mean().to(dtype))
    n, k = tensor.numel(), int(tensor.count_nonzero())
    gauge.work(flop=0, bytes=n * dtype.itemsize + 2 * 8 * k, items=n)
    gauge(torch.nonzero, tensor)


@dtypes
@large_at_standard
def bench_assign_row(gauge, device, dtype, shape):
    tensor, _ = matrix(shape, device, dtype)
    gauge.work(flop=0, bytes=tensor.shape[1] * dtype.itemsize, items=tensor.shape[1])
    gauge(assign_row, tensor, 1)


@dtypes
@shapes
def bench_assign_pairs(gauge, device, dtype, shape):
    """`t[i, j] = values` with two long tensors: k elements scattered."""
    tensor, k = matrix(shape, device, dtype)
    rows, columns = positions(tensor.shape[0], k, device), positions(tensor.shape[1], k, device)
    gauge.work(flop=0, bytes=k * (2 * 8 + 2 * dtype.itemsize), items=k)
    gauge(assign_pairs, tensor, rows, columns, torch.rand(k, device=device).to(dtype))


@dtypes
@large_at_thorough
def bench_assign_masked(gauge, device, dtype, shape):
    """`t[mask] = 0`: the mask is read whole, k elements are written."""
    tensor, _ = matrix(shape, device, dtype)
    mask = tensor > tensor.float().mean().to(dtype)
    n, k = tensor.numel(), int(mask.sum())
    gauge.work(flop=0, bytes=n + k * dtype.itemsize, items=n)
    gauge(assign_masked, tensor, mask, 0)


@dtypes
def bench_item(gauge, device, dtype):
    gauge.work(flop=0, bytes=dtype.itemsize, items=1)
    gauge(torch.rand(1, device=device).to(dtype).item)
