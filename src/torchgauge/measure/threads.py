"""How many threads an operator may use on the CPU: what `--threads` means. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping

from torchgauge.errors import TorchgaugeError

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Read by OpenMP, MKL and OpenBLAS when they are loaded: NumPy's products follow them too."""


def parse(text: str, present: int | None = None) -> int:
    """Read a number of threads; `all` is as many as there are logical cores to run on.

    Args:
        text: what was asked for.
        present: those cores; None to ask the system.

    Raises:
        TorchgaugeError: it is no number of 1 or more and not `all`, or more than there are cores.

    """
    cores = _cores() if present is None else present
    if text == "all":
        return cores
    count = int(text) if text.isascii() and text.isdecimal() else 0
    if count < 1:
        raise TorchgaugeError(f"{text!r} is no number of threads; say 1 or more, or all")
    if count > cores:
        raise TorchgaugeError(f"{count} threads on {cores} logical cores would wait for each other; say all")
    return count


def variables(count: int | None) -> Mapping[str, str]:
    """Give the environment variables that a measuring process with so many threads is started with."""
    return {} if count is None else dict.fromkeys(VARIABLES, str(count))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
