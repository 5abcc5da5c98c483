"""Which dtypes there are, what a device can do with them, and which errors say that it can't."""

from __future__ import annotations

import re

import torch

from torchgauge.errors import TorchgaugeError

DTYPES = (
    "float32", "float64", "bfloat16", "float16", "tf32",
    "int8", "uint8", "int16", "int32", "int64", "bool", "complex64", "complex128",
)  # fmt: skip

# What torch says when a kernel, a dtype or a feature is not there. Only the words tell: the same
# types of exception are raised for mistakes.
_UNSUPPORTED = re.compile(
    r"not implemented for '|Could not run 'aten::|not (yet |currently )?supported|"
    r"(does not|doesn't|do not) (currently )?support|no kernel image is available|"
    r"requires compute capability|could not infer output dtype|unsupported (dtype|scalar ?type|device)|"
    r"does not have a deterministic implementation|is not deterministic because|"
    r"size\(\d\) needs to be .* multiple of \d|requires all the params to be|"
    r"not compiled with|expected (m1|mat1|self) .* to have the same dtype .* but got",
    re.IGNORECASE,
)
# What Python says of a mistake in such words.
_MISTAKE = re.compile(r"object does not support|not supported between instances")
_OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory", re.IGNORECASE)


def torch_dtype(name: str) -> torch.dtype:
    """Give the torch dtype of a name; tf32 is float32 in memory.

    Raises:
        TorchgaugeError: no such dtype.

    """
    found = getattr(torch, "float32" if name == "tf32" else name, None)
    if not isinstance(found, torch.dtype):
        raise TorchgaugeError(f"unknown dtype {name!r}; choose from {', '.join(DTYPES)}, or all")
    return found


def why_not(device: str, dtype: str) -> str | None:
    """Try whether a device can hold and add this dtype; give the reason if it can't."""
    if dtype == "tf32" and not device.startswith("cuda"):
        return f"tf32 is a mode of CUDA's matrix units, {device} has none"
    try:
        ones = torch.ones(2, device=device).to(torch_dtype(dtype))
        (ones + ones).cpu()
        if dtype == "tf32" and torch.cuda.get_device_capability(device) < (8, 0):
            return f"{device} is older than tf32 (compute capability 8.0)"
    except (RuntimeError, TypeError) as error:
        return first_line(error)
    return None


def unsupported(error: BaseException) -> str | None:
    """Give the reason if the error says that the device or torch build lacks something; else None."""
    if isinstance(error, MemoryError):
        return f"out of memory: {first_line(error)}"
    if not isinstance(error, (RuntimeError, TypeError)):  # NotImplementedError is a RuntimeError
        return None
    text = first_line(error)
    if isinstance(error, torch.OutOfMemoryError) or _OUT_OF_MEMORY.search(text):
        return f"out of memory: {text}"
    return text if _UNSUPPORTED.search(text) and not _MISTAKE.search(text) else None


def first_line(error: BaseException) -> str:
    """Give the first line of an error's text in printable signs, or its type's name where it has none."""
    name = type(error).__name__
    try:
        text = str(error)
    except Exception:  # a broken __str__
        return name
    line = next((line.strip() for line in text.splitlines() if line.strip()), name)[:300]
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in line)
