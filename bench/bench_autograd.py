"""Automatic differentiation of `y = w * x + b`: recording the graph, going back through it, clearing up.

Forward with and without a graph; `y.backward()`, `torch.autograd.grad`, adding to gradients that exist;
`zero_grad` to None or to zero. w, x and b have n elements each.
"""

import pytest
import torch

thorough = pytest.mark.gauge(budget="thorough")
sizes = pytest.mark.parametrize("n", [1, pytest.param(1000, marks=thorough), 1_000_000])


def leaves(n, device, dtype, requires_grad=True):
    """w, x, b and the gradient of y, between 0.5 and 1.5: products and sums stay far from denormals.

    At most 1,000 values of each are drawn and then repeated, which is quick.
    """
    drawn = min(n, 1000)
    values = torch.empty(4, drawn, device=device).uniform_(0.5, 1.5).to(dtype)
    w, x, b, gradient = (row.repeat(n // drawn) for row in values)
    return w.requires_grad_(requires_grad), x, b.requires_grad_(requires_grad), gradient


@sizes
@pytest.mark.parametrize("mode", ["with-grad", "without-grad", "no_grad", "inference_mode"])
def bench_forward(gauge, device, dtype, mode, n):
    w, x, b, _ = leaves(n, device, dtype, requires_grad=mode != "without-grad")

    def forward():
        return w * x + b

    def forward_no_grad():
        with torch.no_grad():
            return w * x + b

    def forward_inference_mode():
        with torch.inference_mode():
            return w * x + b

    # One product and one sum an element; w, x, b read once, y written once.
    gauge.work(flop=2 * n, bytes=4 * n * dtype.itemsize)
    gauge({"no_grad": forward_no_grad, "inference_mode": forward_inference_mode}.get(mode, forward))


@sizes
def bench_backward(gauge, device, dtype, n):
    w, x, b, gradient = leaves(n, device, dtype)
    y = w * x + b

    def backward():
        w.grad = b.grad = None
        y.backward(gradient, retain_graph=True)
        return w.grad, b.grad

    # dw = gradient · x, db = gradient: two tensors read, two written.
    gauge.work(flop=n, bytes=4 * n * dtype.itemsize)
    gauge(backward)


@sizes
def bench_grad(gauge, device, dtype, n):
    w, x, b, gradient = leaves(n, device, dtype)
    y = w * x + b
    # dw is computed; db is the gradient itself, which need not be copied: two read, one written.
    gauge.work(flop=n, bytes=3 * n * dtype.itemsize)
    gauge(torch.autograd.grad, y, (w, b), gradient, retain_graph=True)


@sizes
def bench_accumulate(gauge, device, dtype, n):
    # The sums grow until the gradient is below half a unit in their last place, and then stand still.
    w, x, b, gradient = leaves(n, device, dtype)
    y = w * x + b
    y.backward(gradient, retain_graph=True)

    def accumulate():
        y.backward(gradient, retain_graph=True)
        return w.grad, b.grad

    # dw += gradient · x, db += gradient: four tensors read, two written.
    gauge.work(flop=3 * n, bytes=6 * n * dtype.itemsize)
    gauge(accumulate)


@pytest.mark.gauge(dtypes=["float32"])
@sizes
@pytest.mark.parametrize("to", ["None", "zero"])
def bench_zero_grad(gauge, device, dtype, to, n):
    w, x, b, gradient = leaves(n, device, dtype)
    (w * x + b).backward(gradient)
    w_grad, b_grad = w.grad, b.grad
    optimizer = torch.optim.SGD([w, b])

    def to_none():
        w.grad, b.grad = w_grad, b_grad  # given back each time, so that there is something to clear
        optimizer.zero_grad(set_to_none=True)

    def to_zero():
        optimizer.zero_grad(set_to_none=False)

    gauge.work(flop=0, bytes=2 * n * dtype.itemsize if to == "zero" else 0)
    gauge(to_zero if to == "zero" else to_none)
