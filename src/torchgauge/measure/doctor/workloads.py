"""The fixed pieces of work that the probe times: a busy loop in Python, a product, a copy."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from torchgauge.measure import device
from torchgauge.measure.clock import HostClock
from torchgauge.measure.doctor.probe import Workload
from torchgauge.measure.subject import Subject

SIDES = {"cpu": 128, "other": 1024}
"""Of the matrices: a product takes some 0.1 ms."""
COPIED = {"cpu": 2**20, "other": 2**26}
"""Bytes that are copied: out of the nearest caches, quick enough for many in a Block."""


def workloads(devices: Sequence[str]) -> list[Workload]:
    """Make the work for a list of devices: the loop, and a product and a copy on each; all run once.

    Raises:
        RuntimeError: a device has no memory left.

    """
    made = [Workload("python", Subject(loop), HostClock())]
    for name in devices:
        size = "cpu" if name == "cpu" else "other"
        clock = device.clock(name, events=True)
        label = "" if len(devices) == 1 else f" {name}"
        a, b = (torch.rand(SIDES[size], SIDES[size], device=name) for _ in range(2))
        source = torch.rand(COPIED[size] // 4, device=name)
        made += [
            Workload(f"matmul{label}", Subject(torch.matmul, (a, b)), clock),
            Workload(f"copy{label}", Subject(torch.empty_like(source).copy_, (source,)), clock),
        ]
    for workload in made:
        workload.subject.call()()
    return made


def loop() -> int:
    """Keep the interpreter busy for some microseconds, and nothing else."""
    total = 0
    for number in range(100):
        total += number
    return total
