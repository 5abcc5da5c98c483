"""What reproducible results cost: `manual_seed`, deterministic algorithms, cuDNN's flags.

Each benchmark leaves the seeds and the flags as it found them. What has no deterministic form is skipped;
on CUDA so is the matrix product, unless the run is started with CUBLAS_WORKSPACE_CONFIG=:4096:8: cuBLAS
reads that once, with the first product of the process.
"""

import random

import numpy as np
import pytest
import torch
from sine_net import BATCH, standing, training_step
from torch.nn import functional

standard = pytest.mark.gauge(budget="standard")
dtypes = pytest.mark.gauge(dtypes=["float32", "bfloat16"])
switch = pytest.mark.parametrize("deterministic", ["off", "on"], indirect=True)
sizes = pytest.mark.parametrize("n", [2**10, pytest.param(2**20, marks=standard)])


@pytest.fixture(autouse=True)
def restored():
    """Put random states and cuDNN's flags back."""
    cudnn = torch.backends.cudnn
    flags = cudnn.deterministic, cudnn.benchmark
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield
    random.setstate(states[0])
    np.random.set_state(states[1])
    cudnn.deterministic, cudnn.benchmark = flags


@pytest.fixture
def deterministic(request):
    """Deterministic algorithms off or on, and afterwards as before."""
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    torch.use_deterministic_algorithms(request.param == "on")
    yield request.param
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def values(*shape, device, dtype):
    """Values of both signs, of magnitude 0.5 to 1: sums of them come no nearer to 0 than their last place."""
    x = torch.empty(*shape, device=device).uniform_(-0.5, 0.5)
    x += x.sign() / 2
    return x.to(dtype)


def measure(gauge, deterministic, fn, *args):
    first = gauge(fn, *args)
    assert deterministic == "off" or torch.equal(first, fn(*args)), "twice the same call, two results"


def enforce_reproducibility(seed=42):
    """As the tutorial does it: every seed, and cuDNN's flags."""
    torch.manual_seed(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    random.seed(seed)
    np.random.seed(seed)


def bench_manual_seed(gauge):
    gauge(torch.manual_seed, 42)


def bench_cudnn_flags(gauge):
    cudnn = torch.backends.cudnn

    def set_flags():
        cudnn.deterministic = True
        cudnn.benchmark = False

    gauge(set_flags)


def bench_enforce_reproducibility(gauge):
    gauge(enforce_reproducibility)


@pytest.mark.gauge(dtypes=["float32"])
@sizes
@switch
def bench_matmul(gauge, device, dtype, deterministic, n):
    side = round(n**0.5)
    a, b = values(2, side, side, device=device, dtype=dtype)
    measure(gauge, deterministic, torch.matmul, a, b)


@dtypes
@sizes
@switch
def bench_index_add(gauge, device, dtype, deterministic, n):
    x, source = values(2, n, device=device, dtype=dtype)
    index = torch.randint(n, (n,), device=device)
    measure(gauge, deterministic, torch.index_add, x, 0, index, source)


@dtypes
@sizes
@switch
def bench_scatter_add(gauge, device, dtype, deterministic, n):
    x, source = values(2, n, device=device, dtype=dtype)
    index = torch.randint(n, (n,), device=device)
    measure(gauge, deterministic, torch.scatter_add, x, 0, index, source)


@dtypes
@sizes
@switch
def bench_cumsum(gauge, device, dtype, deterministic, n):
    x = values(n, device=device, dtype=dtype)
    measure(gauge, deterministic, torch.cumsum, x, 0)


@pytest.mark.gauge(devices=["cuda"], dtypes=["float32", "bfloat16", "float16"], budget="standard")
@pytest.mark.parametrize("flags", ["default", "benchmark", "deterministic"])
def bench_convolution(gauge, device, dtype, flags):
    # cuDNN chooses among several convolutions: by rule of thumb, by trying, or only reproducible ones.
    torch.backends.cudnn.benchmark = flags == "benchmark"
    torch.backends.cudnn.deterministic = flags == "deterministic"
    images = values(32, 64, 32, 32, device=device, dtype=dtype)
    filters = values(64, 64, 3, 3, device=device, dtype=dtype)
    gauge(functional.conv2d, images, filters, padding=1)


@pytest.mark.gauge(dtypes=["float32"])
@pytest.mark.parametrize("enforced", ["no", "yes"])
def bench_training_step(gauge, device, dtype, enforced):
    setting = standing(BATCH, 5, device, dtype)

    def enforced_step(*setting):
        enforce_reproducibility()
        return training_step(*setting)

    gauge(enforced_step if enforced == "yes" else training_step, *setting)
