"""The tutorial's worked example: a 1-5-5-5-1 ReLU net learns y = sin(x + 1) on [0, 2π) with MSE and Adam.

Each part of the training step alone, the whole step, an epoch of 1,000 samples in shuffled batches of 32
(through the `DataLoader` and by slicing), evaluation, and the training itself, which must learn.
"""

import copy
import os
import shutil

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, TensorDataset

standard = pytest.mark.gauge(budget="standard")
thorough = pytest.mark.gauge(budget="thorough")
cuda = pytest.mark.gauge(devices=["cuda"])
float32 = pytest.mark.gauge(dtypes=["float32"])
floats = pytest.mark.gauge(dtypes=["float32", "float64", "bfloat16"])

SAMPLES, BATCH, EPOCHS = 1000, 32, 8
PLATEAU = 0.19
"""Test loss of the best straight line, at which a net that does not learn the wave stays."""
GRID = [(batch, width) for width in (5, 64, 1024) for batch in (BATCH, 1, 1024, 65536)]


def budget(batch, width, *also):
    if (batch, width) == (65536, 1024):  # 3 GiB of activations, half a TFLOP a step
        return pytest.mark.gauge(devices=["accelerator"], budget="standard")
    if (batch, width) == (BATCH, 5):
        return ()
    return standard if (batch, width) in also else thorough


phases = pytest.mark.parametrize(
    ("batch", "width"), [pytest.param(*point, marks=budget(*point, (1024, 64))) for point in GRID]
)
modes = pytest.mark.parametrize(
    ("mode", "batch", "width"),
    [
        *(
            pytest.param("eager", *point, marks=budget(*point, (1, 5), (1024, 5), (BATCH, 1024)))
            for point in GRID
        ),
        *(pytest.param("compile", *point, marks=thorough) for point in [(BATCH, 5), (1024, 64)]),
        *(pytest.param("cuda-graph", *point, marks=[cuda, budget(*point)]) for point in GRID),
    ],
)


def make_net(width, device, dtype):
    """Four linear layers: 2·width² + 5·width + 1 parameters, 76 at width 5; the same ones every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        net = nn.Sequential(
            nn.Linear(1, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, 1),
        )
    return net.to(device, dtype)


def make_data(samples, device, dtype, seed=0):
    x = torch.rand(samples, 1, generator=torch.Generator().manual_seed(seed)) * 2 * torch.pi
    return x.to(device, dtype), torch.sin(x + 1).to(device, dtype)


def make_adam(net, lr=0.01, **options):
    return torch.optim.Adam(net.parameters(), lr=lr, **options)


def standing(net, **options):
    """Adam at a learning rate of 0: the same arithmetic, and the weights stay where they are.

    A step that is repeated a million times would kill units; Adam's averages of a gradient that has
    become 0 decay into denormals, which are slow on a CPU.
    """
    return make_adam(net, lr=0.0, **options)


def parameters(width):
    return 2 * width**2 + 5 * width + 1


def activations(batch, width):
    """Elements of the input, three hidden layers and the output."""
    return batch * (3 * width + 2)


def forward_work(batch, width, dtype):
    p, a = parameters(width), activations(batch, width)
    return {"flop": 2 * batch * p, "bytes": (p + a) * dtype.itemsize, "items": batch}


def step_work(batch, width, dtype):
    """Forward p + a, back 2p + a (weights and activations read, gradients written), Adam 7p."""
    p, a = parameters(width), activations(batch, width)
    return {"flop": 6 * batch * p, "bytes": (10 * p + 2 * a) * dtype.itemsize, "items": batch}


def compiled(net):
    names = [os.environ.get("CXX") or "g++", "clang++", "cl"]
    if not any(shutil.which(name) for name in names):
        pytest.skip(f"torch.compile needs a C++ compiler; none of {', '.join(names)} is on the PATH")
    torch.compiler.reset()  # else nets of earlier rounds count against the limit of recompilations
    return torch.compile(net)


def captured(fn, *args):
    """Record one call as a CUDA graph; the function returned replays it."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            fn(*args)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        fn(*args)
    return graph.replay


def training_step(net, optimizer, x, y):
    optimizer.zero_grad()
    loss = mse_loss(net(x), y)
    loss.backward()
    optimizer.step()
    return loss


def epoch_by_slicing(net, optimizer, x, y, generator=None):
    order = torch.randperm(len(x), generator=generator).to(x.device)
    for part in order.split(BATCH):
        loss = training_step(net, optimizer, x[part], y[part])
    return loss


def evaluate(net, x, y):
    with torch.no_grad():
        return mse_loss(net(x), y)


@floats
@modes
def bench_forward(gauge, device, dtype, mode, batch, width):
    net = make_net(width, device, dtype)
    x, _ = make_data(batch, device, dtype)
    gauge.work(**forward_work(batch, width, dtype))
    if mode == "cuda-graph":
        gauge(captured(net, x))
    else:
        gauge(compiled(net) if mode == "compile" else net, x)


@float32
@phases
def bench_loss(gauge, device, dtype, batch, width):
    net = make_net(width, device, dtype)
    x, y = make_data(batch, device, dtype)
    gauge.work(flop=3 * batch, bytes=2 * batch * dtype.itemsize, items=batch)
    gauge(mse_loss, net(x), y)


@float32
@phases
def bench_backward(gauge, device, dtype, batch, width):
    net = make_net(width, device, dtype)
    x, y = make_data(batch, device, dtype)
    loss = mse_loss(net(x), y)
    weights = list(net.parameters())

    def backward():
        for weight in weights:
            weight.grad = None  # as zero_grad leaves them: gradients are stored, not added
        loss.backward(retain_graph=True)
        return [weight.grad for weight in weights]

    p, a = parameters(width), activations(batch, width)
    gauge.work(flop=4 * batch * p, bytes=(2 * p + a) * dtype.itemsize, items=batch)
    gauge(backward)


@float32
@phases
def bench_zero_grad(gauge, device, dtype, batch, width):
    net = make_net(width, device, dtype)
    optimizer = make_adam(net)
    training_step(net, optimizer, *make_data(batch, device, dtype))
    gradients = [(weight, weight.grad) for weight in net.parameters()]

    def zero_grad():
        for weight, gradient in gradients:
            weight.grad = gradient  # given back, so that there is something to clear
        optimizer.zero_grad()

    gauge.work(flop=0, bytes=0)
    gauge(zero_grad)


@float32
@phases
def bench_optimizer_step(gauge, device, dtype, batch, width):
    net = make_net(width, device, dtype)
    optimizer = standing(net)
    training_step(net, optimizer, *make_data(batch, device, dtype))
    gauge.work(flop=12 * parameters(width), bytes=7 * parameters(width) * dtype.itemsize)
    gauge(optimizer.step)


@floats
@modes
def bench_training_step(gauge, device, dtype, mode, batch, width):
    net = make_net(width, device, dtype)
    optimizer = standing(net, capturable=mode == "cuda-graph")
    x, y = make_data(batch, device, dtype)
    gauge.work(**step_work(batch, width, dtype))
    if mode == "cuda-graph":
        gauge(captured(training_step, net, optimizer, x, y))
    else:
        gauge(training_step, compiled(net) if mode == "compile" else net, optimizer, x, y)


@float32
@pytest.mark.parametrize("loader", ["DataLoader", "slicing"])
def bench_epoch(gauge, device, dtype, loader):
    data = make_data(SAMPLES, device, dtype)
    batches = DataLoader(TensorDataset(*make_data(SAMPLES, "cpu", dtype)), batch_size=BATCH, shuffle=True)

    def fresh():
        net = make_net(5, device, dtype)
        return net, make_adam(net)

    def through_loader(net, optimizer):
        for x, y in batches:
            loss = training_step(net, optimizer, x.to(device), y.to(device))
        return loss

    def by_slicing(net, optimizer):
        return epoch_by_slicing(net, optimizer, *data)

    gauge.work(**step_work(SAMPLES, 5, dtype))
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
    data = make_data(SAMPLES, device, dtype)
    test_data = make_data(SAMPLES, device, dtype, seed=1)

    def train():
        net = copy.deepcopy(untrained)
        optimizer = make_adam(net)
        shuffling = torch.Generator().manual_seed(0)
        for _ in range(EPOCHS):
            epoch_by_slicing(net, optimizer, *data, generator=shuffling)
        return evaluate(net, *test_data)

    gauge.work(flop=6 * EPOCHS * SAMPLES * parameters(5), items=EPOCHS * SAMPLES)
    test_loss = gauge(train).item()
    assert test_loss < PLATEAU / 4, f"the net has not learned: test loss {test_loss:.3g}"
