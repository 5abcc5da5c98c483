"""Losses: `nn.MSELoss`, `nn.CrossEntropyLoss`, and Softmax, log and `nn.NLLLoss` in its place.

Class against function, forward alone and forward with backward.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional

standard = pytest.mark.gauge(budget="standard")
thorough = pytest.mark.gauge(budget="thorough")


def softmax_log_nll():
    softmax, nll = nn.Softmax(dim=1), nn.NLLLoss()
    return lambda scores, gold: nll(torch.log(softmax(scores)), gold)


LOSSES = {
    "MSELoss": nn.MSELoss,
    "mse_loss": lambda: functional.mse_loss,
    "CrossEntropyLoss": nn.CrossEntropyLoss,
    "cross_entropy": lambda: functional.cross_entropy,
    "softmax-log-nll": softmax_log_nll,
}
SQUARED = ("MSELoss", "mse_loss")

losses = pytest.mark.parametrize("loss", LOSSES)


def shapes(largest):
    """Rows × columns; the largest from this budget on."""
    return pytest.mark.parametrize(
        "shape", ["1x2", pytest.param("32x10", marks=thorough), pytest.param("4096x1000", marks=largest)]
    )


def case(loss, shape, device, dtype):
    """The loss, scores of shape rows × columns, and what they should be: values, or classes as int64."""
    rows, columns = (int(size) for size in shape.split("x"))
    # Scores between -1 and 1: no probability underflows, whatever the dtype.
    scores = torch.empty(rows, columns, device=device).uniform_(-1, 1).to(dtype)
    if loss in SQUARED:
        gold = torch.empty(rows, columns, device=device).uniform_(-1, 1).to(dtype)
    else:
        gold = torch.randint(columns, (rows,), device=device)
    return LOSSES[loss](), scores, gold


@shapes(thorough)
@losses
def bench_forward(gauge, device, dtype, loss, shape):
    measure, scores, gold = case(loss, shape, device, dtype)
    n, rows = scores.numel(), len(scores)
    if loss in SQUARED:  # subtract, square, sum; both read
        gauge.work(flop=3 * n, bytes=2 * n * dtype.itemsize)
    else:  # a score: compare, subtract, exp, sum; scores and classes read
        gauge.work(flop=4 * n, bytes=n * dtype.itemsize + 8 * rows)
    gauge(measure, scores, gold)


@shapes(standard)
@losses
def bench_forward_backward(gauge, device, dtype, loss, shape):
    measure, scores, gold = case(loss, shape, device, dtype)
    scores.requires_grad_()
    n, rows = scores.numel(), len(scores)

    def forward_backward():
        scores.grad = None
        value = measure(scores, gold)
        value.backward()
        return value, scores.grad

    if loss in SQUARED:  # and back: subtract, scale; both read again, the gradient written
        gauge.work(flop=5 * n, bytes=5 * n * dtype.itemsize)
    else:  # and back: exp, subtract, scale; scores and classes read again, the gradient written
        gauge.work(flop=7 * n, bytes=3 * n * dtype.itemsize + 16 * rows)
    gauge(forward_backward)
