"""Transfer: `t.to(device)`, `buffer.copy_(t)`, `t.cpu()`, to a device, back and within it.

On the CPU the copy within the device is the one from host to host. Memory of the host is pageable, pinned,
or pinned for each copy. Both directions at once use a stream each.
"""

import pytest
import torch

standard = pytest.mark.gauge(budget="standard")
thorough = pytest.mark.gauge(budget="thorough")
accelerator = pytest.mark.gauge(devices=["accelerator"], budget="standard")
accelerators = pytest.mark.gauge(devices=["accelerator"])

KIB, MIB, GIB = 2**10, 2**20, 2**30

sizes = pytest.mark.parametrize(
    "nbytes",
    [
        4,
        4 * KIB,
        64 * KIB,
        MIB,
        pytest.param(16 * MIB, marks=standard),
        pytest.param(256 * MIB, marks=thorough),
        pytest.param(GIB, marks=accelerator),
    ],
)
directions = pytest.mark.parametrize("direction", ["to-device", "from-device"])
blocking = pytest.mark.parametrize("non_blocking", [False, True])


def values(nbytes, device, *, pin=False):
    """Random float32 of so many bytes; a large one repeats its first MiB, since drawing all is slow."""
    drawn = min(nbytes, MIB)
    t = torch.rand(drawn // 4, device=device).repeat(nbytes // drawn)
    return t.pin_memory() if pin else t


def pin_then_to(t, device, non_blocking):
    return t.pin_memory().to(device, non_blocking=non_blocking)


@sizes
def bench_within(gauge, device, nbytes):
    t = values(nbytes, device)
    buffer = torch.empty_like(t)
    gauge.work(flop=0, bytes=2 * nbytes)
    gauge(buffer.copy_, t)


@sizes
def bench_within_new(gauge, device, nbytes):
    t = values(nbytes, device)
    gauge.work(flop=0, bytes=2 * nbytes)
    gauge(t.to, device, copy=True)


@pytest.mark.parametrize("nbytes", [4, pytest.param(MIB, marks=thorough)])
def bench_noop(gauge, device, nbytes):
    t = values(nbytes, device)
    gauge.work(flop=0, bytes=0)
    same = gauge(t.to, t.device)
    assert same is t


@accelerators
@sizes
@blocking
@pytest.mark.parametrize("memory", ["pageable", "pinned", "pin-then-copy"])
def bench_to(gauge, device, memory, non_blocking, nbytes):
    t = values(nbytes, "cpu", pin=memory == "pinned")
    gauge.work(flop=0, bytes=nbytes)
    if memory == "pin-then-copy":
        gauge(pin_then_to, t, device, non_blocking)
    else:
        gauge(t.to, device, non_blocking=non_blocking)


@accelerators
@sizes
def bench_cpu(gauge, device, nbytes):
    t = values(nbytes, device)
    gauge.work(flop=0, bytes=nbytes)
    gauge(t.cpu)


@accelerators
@sizes
@blocking
@pytest.mark.parametrize("memory", ["pageable", "pinned"])
@directions
def bench_copy(gauge, device, direction, memory, non_blocking, nbytes):
    on_host = values(nbytes, "cpu", pin=memory == "pinned")
    on_device = values(nbytes, device)
    source, buffer = (on_host, on_device) if direction == "to-device" else (on_device, on_host)
    gauge.work(flop=0, bytes=nbytes)
    gauge(buffer.copy_, source, non_blocking=non_blocking)


def both_ways(sources, buffers, streams):
    """Copy each source into its buffer, each on its stream; the current stream waits for all."""
    current = torch.accelerator.current_stream()
    for source, buffer, stream in zip(sources, buffers, streams, strict=True):
        stream.wait_stream(current)
        torch.accelerator.set_stream(stream)
        buffer.copy_(source, non_blocking=True)
    torch.accelerator.set_stream(current)
    for stream in streams:
        current.wait_stream(stream)


@accelerators
@sizes
@pytest.mark.parametrize("streams", [1, 2])
def bench_both_ways(gauge, device, streams, nbytes):
    sources = values(nbytes, "cpu", pin=True), values(nbytes, device)
    buffers = values(nbytes, device), values(nbytes, "cpu", pin=True)
    made = [torch.Stream(device) for _ in range(streams)]
    gauge.work(flop=0, bytes=2 * nbytes)
    gauge(both_ways, sources, buffers, [made[0], made[-1]])
