"""A small package under the gate: twelve hot paths, each of which repeats its work `WORK` times.

A commit that changes a number here is a change of that much real work, and of nothing else.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WORK = {
    "product": 100,
    "activate": 100,
    "total": 100,
    "forward": 40,
    "train": 20,
    "allocate": 100,
    "accumulate": 100,
    "copy": 100,
    "gather": 100,
    "softmax": 100,
    "count": 100,
    "convert": 100,
}


def product(a: Tensor, b: Tensor) -> Tensor:
    """Multiply small matrices."""
    for _ in range(WORK["product"]):
        out = a @ b
    return out


def activate(x: Tensor) -> Tensor:
    """Apply an elementwise function."""
    for _ in range(WORK["activate"]):
        out = torch.tanh(x)
    return out


def total(x: Tensor) -> Tensor:
    """Sum."""
    for _ in range(WORK["total"]):
        out = x.sum()
    return out


@torch.no_grad()
def forward(model: nn.Module, x: Tensor) -> Tensor:
    """Predict."""
    for _ in range(WORK["forward"]):
        out: Tensor = model(x)
    return out


def train(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    """Take optimizer steps."""
    for _ in range(WORK["train"]):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()


def allocate(count: int) -> Tensor:
    """Make tensors."""
    for _ in range(WORK["allocate"]):
        out = torch.zeros(count)
    return out


def accumulate(into: Tensor, x: Tensor) -> Tensor:
    """Add in place."""
    for _ in range(WORK["accumulate"]):
        into += x
    return into


def copy(x: Tensor) -> Tensor:
    """Copy to a fresh tensor."""
    for _ in range(WORK["copy"]):
        out = x.clone()
    return out


def gather(x: Tensor, index: Tensor) -> Tensor:
    """Pick rows."""
    for _ in range(WORK["gather"]):
        out = x[index]
    return out


def softmax(x: Tensor) -> Tensor:
    """Normalize rows."""
    for _ in range(WORK["softmax"]):
        out = torch.softmax(x, dim=1)
    return out


def count(words: list[str]) -> dict[str, int]:
    """Count words, without torch."""
    for _ in range(WORK["count"]):
        found: dict[str, int] = {}
        for word in words:
            found[word] = found.get(word, 0) + 1
    return found


def convert(x: Tensor) -> Tensor:
    """Change the dtype."""
    for _ in range(WORK["convert"]):
        out = x.to(torch.bfloat16)
    return out
