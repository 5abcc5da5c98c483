"""Checks of what runs: torch, Python, their variables, and the tools that Instruments need."""

from __future__ import annotations

import re
import sys
import threading
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torchgauge.measure.doctor.findings import Finding, good, note, poor, unknown
from torchgauge.measure.doctor.kernel import Kernel
from torchgauge.record.schema import Torch

FLOOR = (2, 6)
"""The oldest torch that torchgauge is tested with."""
_SANITIZERS = re.compile(r"lib(asan|tsan|ubsan|msan|lsan)|libclang_rt\.\w*san")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Python:
    """What the interpreter is doing beside running the program."""

    dev_mode: bool
    debug_build: bool
    watchers: tuple[str, ...]
    """What is called back at each line, call or allocation."""


@dataclass(frozen=True)
class Software:
    """What the checks of the software look at."""

    torch: Torch
    unknown: Mapping[str, str]
    """The Environment's, by dotted name."""
    variables: Mapping[str, str]
    python: Python
    kernel: Kernel
    accelerators: tuple[str, ...]
    valgrind: str | None
    """Why instructions can't be counted; None where they can."""


def read_python() -> Python:
    """Look at this interpreter."""
    watchers = []
    if sys.gettrace() is not None or threading.gettrace() is not None:
        watchers.append("a tracer (sys.settrace)")
    if sys.getprofile() is not None or threading.getprofile() is not None:
        watchers.append("a profiler (sys.setprofile)")
    monitoring = getattr(sys, "monitoring", None)  # from Python 3.12 on
    if monitoring is not None:
        watchers += [name for number in range(6) if (name := monitoring.get_tool(number))]
    if tracemalloc.is_tracing():
        watchers.append("tracemalloc")
    return Python(sys.flags.dev_mode, hasattr(sys, "gettotalrefcount"), tuple(watchers))


def version(software: Software) -> Finding:
    """Whether this torch is one that torchgauge knows."""
    found = re.match(r"(\d+)\.(\d+)", software.torch.version)
    if found and (int(found[1]), int(found[2])) < FLOOR:
        floor = ".".join(map(str, FLOOR))
        return note("torch", f"{software.torch.version}, older than {floor}", f"pip install 'torch>={floor}'")
    return good("torch", software.torch.version)


def build(software: Software) -> Finding:
    """Whether torch was compiled to be quick."""
    if software.torch.debug is None:
        return unknown("build of torch", software.unknown.get("torch.debug", "torch does not tell"))
    if software.torch.debug:
        return poor(
            "build of torch", "a debug build: its times are those of no other", "install a release build"
        )
    return good("build of torch", "release")


def python(software: Software) -> Finding:
    """Whether Python checks or watches itself."""
    seen = software.python
    slow = ["development mode"] * seen.dev_mode + ["a debug build"] * seen.debug_build
    slow += seen.watchers
    allocator = software.variables.get("PYTHONMALLOC", "")
    if "debug" in allocator:
        slow.append(f"PYTHONMALLOC={allocator}")
    if slow:
        return note("Python", f"{', '.join(slow)}: calls take longer", "start it without")
    return good("Python", "nothing watches it")


def preload(software: Software) -> Finding:
    """Whether other libraries were put before all (LD_PRELOAD)."""
    names = [
        Path(word).name for word in re.split(r"[\s:]+", software.variables.get("LD_PRELOAD", "")) if word
    ]
    bad = [name for name in names if _SANITIZERS.search(name)]
    if bad:
        return poor("LD_PRELOAD", f"{', '.join(bad)}: a sanitizer checks each access", "unset LD_PRELOAD")
    return good("LD_PRELOAD", ", ".join(names) or "none")


def thread_variables(software: Software) -> Finding:
    """Whether the variables for threads agree."""
    set_to = {name: software.variables[name] for name in _THREADS if name in software.variables}
    text = ", ".join(f"{name}={value}" for name, value in set_to.items())
    if len(set(set_to.values())) > 1:
        cure = f"set one: unset {' '.join(list(set_to)[1:])}"
        return note("thread variables", f"{text}: they differ", cure)
    return good("thread variables", text or "none set")


def instructions(software: Software) -> Finding:
    """Whether `--instruments instructions` works here."""
    if software.valgrind is None:
        return good("instructions", "valgrind is there")
    reason, _, cure = software.valgrind.partition(": ")
    return note("instructions", reason, cure or None)


def energy(software: Software) -> Finding:
    """Whether the processor's energy can be read."""
    if software.kernel.cpu_energy is None:
        return unknown("CPU energy", software.kernel.unknown["kernel.cpu_energy"])
    if software.kernel.cpu_energy:
        return good("CPU energy", "readable")
    return note(
        "CPU energy",
        "this user may not read the processor's energy",
        "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj",
    )


def accelerator(software: Software) -> Finding:
    """Whether torch sees the accelerators that the machine has."""
    if software.accelerators:
        return good("accelerators", ", ".join(software.accelerators))
    if software.kernel.nvidia_driver and software.torch.cuda is None:
        return note(
            "accelerators",
            "NVIDIA's driver is there, this torch is built without CUDA",
            "install a build of torch with CUDA",
        )
    if software.kernel.nvidia_driver:
        return note(
            "accelerators",
            "NVIDIA's driver is there, torch finds no card it can use",
            "look at nvidia-smi, and at CUDA_VISIBLE_DEVICES",
        )
    return good("accelerators", "none: only the CPU is measured")


CHECKS: tuple[Callable[[Software], Finding], ...] = (
    version, build, python, preload, thread_variables, accelerator, instructions, energy,
)  # fmt: skip
