"""The tutorial's worked example, as bench_sine_mlp.py and bench_reproducibility.py time it.

A 1-5-5-5-1 ReLU net, samples of y = sin(x + 1) on [0, 2π), and the steps of its training.
"""

import os
import shutil
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

SAMPLES, BATCH = 1000, 32


def make_net(width, device, dtype):
    """Four linear layers with ReLU between them; the same weights every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        linear = [nn.Linear(*ends) for ends in pairwise([1, width, width, width, 1])]
    net = nn.Sequential(*(layer for step in linear for layer in (step, nn.ReLU())))
    return net[:-1].to(device, dtype)


def make_data(samples, device, dtype, seed=0):
    """x and y, a column of samples each; the same ones every time."""
    x = torch.rand(samples, 1, generator=torch.Generator().manual_seed(seed)) * 2 * torch.pi
    return x.to(device, dtype), torch.sin(x + 1).to(device, dtype)


def standing(batch, width, device, dtype, **options):
    """A net, Adam and one batch, to be stepped a million times: with a learning rate of 0.

    The arithmetic is the same and the weights stay. A batch learned for ever would kill units, and
    Adam's averages of a gradient that has become 0 decay into denormals, which are slow on a CPU.
    """
    net = make_net(width, device, dtype)
    return net, torch.optim.Adam(net.parameters(), lr=0.0, **options), *make_data(batch, device, dtype)


def training_step(net, optimizer, x, y):
    optimizer.zero_grad()
    loss = mse_loss(net(x), y)
    loss.backward()
    optimizer.step()
    return loss


def epoch(net, optimizer, x, y, shuffling=None):
    for part in torch.randperm(len(x), generator=shuffling).to(x.device).split(BATCH):
        training_step(net, optimizer, x[part], y[part])


def evaluate(net, x, y):
    with torch.no_grad():
        return mse_loss(net(x), y)


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
