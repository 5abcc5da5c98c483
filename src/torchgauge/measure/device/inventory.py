"""Which devices this machine has, and what torch tells of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from torchgauge.errors import TorchgaugeError

KINDS = ("cpu", "cuda", "xpu", "mps")


@dataclass(frozen=True)
class DeviceFacts:
    """What torch knows of an accelerator."""

    name: str
    uuid: str | None
    memory_bytes: int | None
    multiprocessors: int | None
    capability: str | None


def available() -> list[str]:
    """List the devices of this machine as torch names them, the CPU first."""
    found = ["cpu"]
    if torch.cuda.is_available():
        found += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        found += [f"xpu:{index}" for index in range(torch.xpu.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps:0")
    return found


def resolve(spec: str, present: list[str] | None = None) -> list[str]:
    """Turn `auto`, `all`, `cpu`, `cuda`, `cuda:1` or a comma-separated list of them into devices.

    Raises:
        TorchgaugeError: a name that is no device, or a device that is not there.

    """
    present = available() if present is None else present
    chosen: list[str] = []
    for word in (part.strip() for part in spec.split(",")):
        if word == "auto":
            found = [present[1] if len(present) > 1 else "cpu"]
        elif word == "all":
            found = present
        else:
            found = [_one(word, present)]
        chosen += [name for name in found if name not in chosen]
    return chosen


def _one(word: str, present: list[str]) -> str:
    there = ", ".join(present)
    if not re.fullmatch(rf"({'|'.join(KINDS)})(:\d+)?", word):
        raise TorchgaugeError(f"unknown device {word!r}; this machine has {there} (or say auto, all)")
    name = word if word == "cpu" or ":" in word else f"{word}:0"
    if name in present:
        return name
    kind = word.partition(":")[0]
    cause = f"torch {torch.__version__} sees no such device"
    if kind == "cuda" and torch.version.cuda is None and torch.version.hip is None:
        cause = f"torch {torch.__version__} is a build without CUDA: install one with it"
    raise TorchgaugeError(f"device {word!r} is not there: {cause}; this machine has {there}")


def describe(name: str) -> DeviceFacts:
    """Tell what torch knows of an accelerator; fields that it does not offer are None."""
    device = torch.device(name)
    if device.type not in ("cuda", "xpu"):
        return DeviceFacts(device.type, None, None, None, None)
    properties = getattr(torch, device.type).get_device_properties(device)
    uuid = getattr(properties, "uuid", None)
    major, minor = getattr(properties, "major", None), getattr(properties, "minor", None)
    return DeviceFacts(
        name=properties.name,
        uuid=None if uuid is None else str(uuid),
        memory_bytes=properties.total_memory,
        multiprocessors=getattr(properties, "multi_processor_count", None),
        capability=None if major is None else f"{major}.{minor}",
    )


def cache_bytes(device: str) -> int | None:
    """Tell the size of an accelerator's last cache; None where torch does not."""
    if torch.device(device).type != "cuda":
        return None
    size = getattr(torch.cuda.get_device_properties(device), "L2_cache_size", None)
    return int(size) if size else None


def memory_room(device: str) -> int | None:
    """Tell how many bytes an accelerator has left; None where torch does not."""
    return int(torch.cuda.mem_get_info(device)[0]) if torch.device(device).type == "cuda" else None
