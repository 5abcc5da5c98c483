"""The tutorial's worked example: a 1-5-5-5-1 ReLU net learns y = sin(x + 1) on [0, 2π) with MSE and Adam.

Each part of the training step alone, the whole step, an epoch of 1,000 samples in shuffled batches of 32
(through the `DataLoader` and by slicing), evaluation, and the training itself, which must learn.
"""

import copy

import pytest
import torch
from sine_net import (
    BATCH,
    SAMPLES,
    captured,
    compiled,
    epoch,
    evaluate,
    make_data,
    make_net,
    standing,
    training_step,
)
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset

EPOCHS = 8
LINE_LOSS = 0.19  # test loss of the best straight line: a net that stays there has not learned the wave
GRID = [(batch, width) for width in (5, 64, 1024) for batch in (BATCH, 1, 1024, 65536)]


def points(mode, *standard):
    """The grid: the tutorial's point by any budget, those in `standard` from there on, all by thorough."""
    for point in GRID:
        marks = {"devices": ["cuda"]} if mode == ("cuda-graph",) else {}
        if point == (65536, 1024):  # 3 GiB of activations, half a TFLOP a step
            marks = {"devices": ["accelerator"], "budget": "standard"} | marks
        elif point != (BATCH, 5):
            marks["budget"] = "standard" if point in standard else "thorough"
        if mode == ("compile",):  # a compiler's seconds to minutes, in every round
            marks["budget"] = "thorough"
        yield pytest.param(*mode, *point, marks=pytest.mark.gauge(**marks))


parts = pytest.mark.parametrize(("batch", "width"), [*points((), (1024, 64))])
modes = pytest.mark.parametrize(
    ("mode", "batch", "width"),
    [
        *points(("eager",), (1, 5), (1024, 5), (BATCH, 1024)),
        *points(("compile",)),
        *points(("cuda-graph",), *GRID),
    ],
)
floats = pytest.mark.gauge(dtypes=["float32", "float64", "bfloat16"])
float32 = pytest.mark.gauge(dtypes=["float32"])


def elements(batch, width):
    """Parameters (76 at width 5); activations: input, three hidden layers, output."""
    return 2 * width**2 + 5 * width + 1, batch * (3 * width + 2)


def forward_work(batch, width, dtype):
    p, a = elements(batch, width)
    return {"flop": 2 * batch * p, "bytes": (p + a) * dtype.itemsize, "items": batch}


def step_work(batch, width, dtype, steps=1):
    """Forward p + a; back 2p + a (weights and activations read, gradients written); Adam 7p."""
    p, a = elements(batch, width)
    return {
        "flop": 6 * batch * p * steps,
        "bytes": (10 * p + 2 * a) * dtype.itemsize * steps,
        "items": batch * steps,
    }


@floats
@modes
def bench_forward(gauge, device, dtype, mode, batch, width):
    net, _, x, _ = standing(batch, width, device, dtype)
    gauge.work(**forward_work(batch, width, dtype))
    if mode == "cuda-graph":
        gauge(captured(net, x))
    else:
        gauge(compiled(net) if mode == "compile" else net, x)


@float32
@parts
def bench_loss(gauge, device, dtype, batch, width):
    net, _, x, y = standing(batch, width, device, dtype)
    gauge.work(flop=3 * batch, bytes=2 * batch * dtype.itemsize, items=batch)
    gauge(mse_loss, net(x), y)


@float32
@parts
def bench_backward(gauge, device, dtype, batch, width):
    net, _, x, y = standing(batch, width, device, dtype)
    weights = list(net.parameters())
    loss = mse_loss(net(x), y)

    def backward():
        for weight in weights:
            weight.grad = None  # as zero_grad leaves them: gradients are stored, not added
        loss.backward(retain_graph=True)
        return [weight.grad for weight in weights]

    p, a = elements(batch, width)
    gauge.work(flop=4 * batch * p, bytes=(2 * p + a) * dtype.itemsize, items=batch)
    gauge(backward)


@float32
@parts
def bench_zero_grad(gauge, device, dtype, batch, width):
    net, optimizer, x, y = standing(batch, width, device, dtype)
    training_step(net, optimizer, x, y)
    gradients = [(weight, weight.grad) for weight in net.parameters()]

    def zero_grad():
        for weight, gradient in gradients:
            weight.grad = gradient  # given back, so that there is something to clear
        optimizer.zero_grad()

    gauge.work(flop=0, bytes=0)
    gauge(zero_grad)


@float32
@parts
def bench_optimizer_step(gauge, device, dtype, batch, width):
    net, optimizer, x, y = standing(batch, width, device, dtype)
    training_step(net, optimizer, x, y)
    p, _ = elements(batch, width)
    gauge.work(flop=12 * p, bytes=7 * p * dtype.itemsize)
    gauge(optimizer.step)


@floats
@modes
def bench_training_step(gauge, device, dtype, mode, batch, width):
    net, *rest = standing(batch, width, device, dtype, capturable=mode == "cuda-graph")
    gauge.work(**step_work(batch, width, dtype))
    if mode == "cuda-graph":
        gauge(captured(training_step, net, *rest))
    else:
        gauge(training_step, compiled(net) if mode == "compile" else net, *rest)


@float32
@pytest.mark.parametrize("loader", ["DataLoader", "slicing"])
def bench_epoch(gauge, device, dtype, loader):
    data = make_data(SAMPLES, device, dtype)
    batches = DataLoader(TensorDataset(*make_data(SAMPLES, "cpu", dtype)), batch_size=BATCH, shuffle=True)

    def fresh():
        net = make_net(5, device, dtype)
        return net, torch.optim.Adam(net.parameters(), lr=0.01)

    def through_loader(net, optimizer):
        for x, y in batches:
            training_step(net, optimizer, x.to(device), y.to(device))

    def by_slicing(net, optimizer):
        epoch(net, optimizer, *data)

    gauge.work(**step_work(BATCH, 5, dtype, steps=SAMPLES / BATCH))
    gauge.prepare(fresh, each="block")
    gauge(through_loader if loader == "DataLoader" else by_slicing)


@floats
def bench_evaluation(gauge, device, dtype):
    net = make_net(5, device, dtype).eval()
    gauge.work(**forward_work(SAMPLES, 5, dtype))
    gauge(evaluate, net, *make_data(SAMPLES, device, dtype, seed=1))


@pytest.mark.gauge(dtypes=["float32", "float64"])
def bench_training(gauge, device, dtype):
    untrained = make_net(5, device, dtype)
    data, test_data = (make_data(SAMPLES, device, dtype, seed) for seed in (0, 1))

    def train():
        net = copy.deepcopy(untrained)
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        shuffling = torch.Generator().manual_seed(0)
        for _ in range(EPOCHS):
            epoch(net, optimizer, *data, shuffling)
        return evaluate(net, *test_data)

    gauge.work(**step_work(BATCH, 5, dtype, steps=EPOCHS * SAMPLES / BATCH))
    test_loss = gauge(train).item()
    assert test_loss < LINE_LOSS / 4, f"the net has not learned: test loss {test_loss:.3g}"
