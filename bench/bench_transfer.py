"""Copies: `.to(device)`, `copy_` into a buffer that exists, `.cpu()`; to the device, back, within it.

A copy between host and device moves n·s bytes over the link; one within a memory reads and writes, 2n·s.
On a CPU `.to` copies from host to host where it is told to, and else hands back the tensor itself.
Sizes are in bytes; the elements are float32.
"""

import pytest
import torch

STANDARD = pytest.mark.gauge(budget="standard")
THOROUGH = pytest.mark.gauge(budget="thorough")
accelerator = pytest.mark.gauge(devices=["accelerator"])
sizes = pytest.mark.parametrize(
    "size",
    [
        4,
        4 * 2**10,
        pytest.param(64 * 2**10, marks=STANDARD),
        2**20,
        pytest.param(16 * 2**20, marks=STANDARD),
        pytest.param(256 * 2**20, marks=THOROUGH),
        pytest.param(2**30, marks=[pytest.mark.gauge(devices=["accelerator"], budget="standard")]),
    ],
)
memories = pytest.mark.parametrize("memory", ["pageable", "pinned"])
blocking = pytest.mark.parametrize("non_blocking", [False, True])


def buffer(size, device):
    """Random bytes of that size, drawn once for at most 1 MiB and repeated: drawing 1 GiB takes seconds."""
    drawn = min(size, 2**20) // 4
    return torch.rand(drawn, device=device).repeat(size // (4 * drawn))


def host_buffer(size, memory):
    tensor = buffer(size, "cpu")
    return tensor.pin_memory() if memory == "pinned" else tensor


def to_copy(tensor, device):
    return tensor.to(device, copy=True)


def pin_then_copy(tensor, device, non_blocking):
    return tensor.pin_memory().to(device, non_blocking=non_blocking)


@sizes
def bench_within(gauge, device, size):
    """`.to(device, copy=True)`: a new tensor in the same memory (on a CPU: host to host)."""
    gauge.work(flop=0, bytes=2 * size)
    gauge(to_copy, buffer(size, device), device)


@sizes
def bench_within_copy_(gauge, device, size):
    source, target = buffer(size, device), buffer(size, device)
    gauge.work(flop=0, bytes=2 * size)
    gauge(target.copy_, source)


def bench_noop_to(gauge, device):
    tensor = buffer(4096, device)
    gauge.work(flop=0, bytes=0)
    gauge(tensor.to, device)


def bench_noop_cpu(gauge):
    tensor = buffer(4096, "cpu")
    gauge.work(flop=0, bytes=0)
    gauge(tensor.cpu)


@accelerator
@blocking
@memories
@sizes
def bench_to_device(gauge, device, memory, non_blocking, size):
    gauge.work(flop=0, bytes=size)
    gauge(host_buffer(size, memory).to, device, non_blocking=non_blocking)


@accelerator
@blocking
@sizes
def bench_pin_then_copy(gauge, device, non_blocking, size):
    gauge.work(flop=0, bytes=size)
    gauge(pin_then_copy, host_buffer(size, "pageable"), device, non_blocking)


@accelerator
@blocking
@memories
@sizes
def bench_copy_to_device(gauge, device, memory, non_blocking, size):
    """`copy_` into a buffer that exists on the device."""
    target = buffer(size, device)
    gauge.work(flop=0, bytes=size)
    gauge(target.copy_, host_buffer(size, memory), non_blocking=non_blocking)


@accelerator
@sizes
def bench_cpu(gauge, device, size):
    gauge.work(flop=0, bytes=size)
    gauge(buffer(size, device).cpu)


@accelerator
@blocking
@memories
@sizes
def bench_copy_from_device(gauge, device, memory, non_blocking, size):
    """`copy_` into a buffer that exists on the host."""
    target = host_buffer(size, memory)
    gauge.work(flop=0, bytes=size)
    gauge(target.copy_, buffer(size, device), non_blocking=non_blocking)


@accelerator
@sizes
def bench_both_directions(gauge, device, size):
    """A copy to the device and one back at once, on two streams; pinned, so that they can overlap."""
    up, down = torch.Stream(device=device), torch.Stream(device=device)
    host_in, host_out = host_buffer(size, "pinned"), host_buffer(size, "pinned")
    device_in, device_out = buffer(size, device), buffer(size, device)

    def both():
        here = torch.accelerator.current_stream(device)
        up.wait_stream(here)
        down.wait_stream(here)
        torch.accelerator.set_stream(up)  # `with up` needs torch 2.7
        device_in.copy_(host_in, non_blocking=True)
        torch.accelerator.set_stream(down)
        host_out.copy_(device_out, non_blocking=True)
        torch.accelerator.set_stream(here)
        here.wait_stream(up)
        here.wait_stream(down)

    gauge.work(flop=0, bytes=2 * size)
    gauge(both)
