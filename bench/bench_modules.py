"""Modules: `MyCustomModule(3, 4, 2)` written in several ways, its construction, and what a call costs.

The tutorial writes the same net, y = U(relu(W x)), with layers as attributes and as a `Sequential`, and
then a deeper `Sequential` with Dropout and Softmax. Here also with functions on bare parameters.
"""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional

standard = pytest.mark.gauge(budget="standard")
thorough = pytest.mark.gauge(budget="thorough")


class Attributes(nn.Module):
    """Layers as attributes."""

    def __init__(self, n_inputs, n_hidden, n_classes):
        super().__init__()
        self.W = nn.Linear(n_inputs, n_hidden)
        self.f = nn.ReLU()
        self.U = nn.Linear(n_hidden, n_classes)

    def forward(self, x):
        """Give U(relu(W x))."""
        return self.U(self.f(self.W(x)))


class Functions(nn.Module):
    """Bare parameters and functions."""

    def __init__(self, n_inputs, n_hidden, n_classes):
        super().__init__()
        layers = nn.Linear(n_inputs, n_hidden), nn.Linear(n_hidden, n_classes)
        self.W, self.b = layers[0].weight, layers[0].bias
        self.U, self.c = layers[1].weight, layers[1].bias

    def forward(self, x):
        """Give U(relu(W x))."""
        return functional.linear(functional.relu(functional.linear(x, self.W, self.b)), self.U, self.c)


class Sequential(nn.Module):
    """The same as a Sequential."""

    def __init__(self, n_inputs, n_hidden, n_classes):
        super().__init__()
        self.network = nn.Sequential(nn.Linear(n_inputs, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_classes))

    def forward(self, x):
        """Apply the layers in order."""
        return self.network(x)


class Deep(nn.Module):
    """The tutorial's deeper Sequential. It stays in training mode: Dropout drops."""

    def __init__(self, n_inputs, n_hidden, n_classes):
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(n_inputs, n_hidden),
            nn.ReLU(),
            nn.Linear(n_hidden, 2 * n_hidden),
            nn.ReLU(),
            nn.Linear(2 * n_hidden, n_classes),
            nn.Dropout(0.3),
            nn.Softmax(dim=1),
        )

    def forward(self, x):
        """Apply the layers in order."""
        return self.network(x)


FORMS = {"attributes": Attributes, "Sequential": Sequential, "functions": Functions, "deep": Deep}
forms = pytest.mark.parametrize("form", FORMS)


def inputs(batch, device, dtype):
    return torch.empty(batch, 3, device=device).uniform_(-1, 1).to(dtype)


def build(form, hidden, device, dtype):
    with torch.device(device):
        return FORMS[form](3, hidden, 2).to(dtype)


def state_the_work(gauge, form, batch, hidden, dtype):
    """Σ 2·B·in·out FLOP over the linear layers; weights, biases and each layer's activations once."""
    widths = [3, hidden, 2 * hidden, 2] if form == "deep" else [3, hidden, 2]
    weights = sum(a * b for a, b in pairwise(widths))
    elements = weights + sum(widths[1:]) + batch * sum(widths)
    gauge.work(flop=2 * batch * weights, bytes=elements * dtype.itemsize, items=batch)


@pytest.mark.parametrize(
    ("batch", "hidden"),
    [
        (1, 4),
        pytest.param(32, 4, marks=thorough),
        pytest.param(1024, 4, marks=thorough),
        pytest.param(1, 1024, marks=thorough),
        pytest.param(32, 1024, marks=standard),
        pytest.param(1024, 1024, marks=thorough),
    ],
)
@forms
def bench_forward(gauge, device, dtype, form, batch, hidden):
    module = build(form, hidden, device, dtype)
    x = inputs(batch, device, dtype)
    state_the_work(gauge, form, batch, hidden, dtype)
    gauge(module, x)


@pytest.mark.gauge(dtypes=["float32"])
@pytest.mark.parametrize("how", ["call", "forward"])
def bench_call(gauge, device, dtype, how):
    # `module(x)` looks for hooks and then calls `module.forward(x)`.
    module = build("attributes", 4, device, dtype)
    x = inputs(1, device, dtype)
    state_the_work(gauge, "attributes", 1, 4, dtype)
    gauge(module if how == "call" else module.forward, x)


@pytest.mark.parametrize("hidden", [4, pytest.param(1024, marks=standard)])
@forms
def bench_construction(gauge, form, hidden):
    gauge.work(flop=0)
    gauge(FORMS[form], 3, hidden, 2)


@pytest.mark.parametrize("hidden", [4, pytest.param(1024, marks=thorough)])
@pytest.mark.parametrize("form", ["attributes", "deep"])
def bench_to(gauge, device, form, hidden):
    # A module moves only once: each call gets a new one from the host. On the CPU nothing has to move.
    gauge.work(flop=0)
    gauge.prepare(lambda: (FORMS[form](3, hidden, 2), device), each="call")
    gauge(nn.Module.to)
