"""The package's hot paths."""

import hotpaths
import torch
from torch import nn


def model():
    return nn.Sequential(nn.Linear(1, 25), nn.Tanh(), nn.Linear(25, 1))


def bench_product(gauge):
    gauge(hotpaths.product, torch.randn(48, 48), torch.randn(48, 48))


def bench_activate(gauge):
    gauge(hotpaths.activate, torch.randn(1024))


def bench_total(gauge):
    gauge(hotpaths.total, torch.randn(4096))


def bench_forward(gauge):
    gauge(hotpaths.forward, model(), torch.rand(32, 1))


def bench_train(gauge):
    x = torch.rand(32, 1)
    trained = model()
    gauge(hotpaths.train, trained, torch.optim.SGD(trained.parameters(), lr=1e-3), x, torch.sin(x))


def bench_allocate(gauge):
    gauge(hotpaths.allocate, 16384)


def bench_accumulate(gauge):
    gauge(hotpaths.accumulate, torch.zeros(4096), torch.randn(4096) * 1e-6)


def bench_copy(gauge):
    gauge(hotpaths.copy, torch.randn(16384))


def bench_gather(gauge):
    gauge(hotpaths.gather, torch.randn(256, 16), torch.randperm(256))


def bench_softmax(gauge):
    gauge(hotpaths.softmax, torch.randn(64, 64))


def bench_count(gauge):
    gauge(hotpaths.count, ["the", "cat", "sat", "on", "the", "mat"] * 5)


def bench_convert(gauge):
    gauge(hotpaths.convert, torch.randn(16384))
