"""What the kernel tells that is not stored with a Run: turbo, clock source, swap, who else is busy.

Everything is read below `root`, as in `measure/machine.py`; what is not there is None, with a reason.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torchgauge.measure.reasons import Reasons, Unknown

_NO_TURBO = Path("sys/devices/system/cpu/intel_pstate/no_turbo")
_BOOST = Path("sys/devices/system/cpu/cpufreq/boost")
_CLOCK = Path("sys/devices/system/clocksource/clocksource0")
_ENERGY = Path("sys/class/powercap/intel-rapl:0/energy_uj")
_NVIDIA = Path("proc/driver/nvidia")


@dataclass(frozen=True)
class Kernel:
    """The kernel's facts of this moment. `unknown` holds the reason of each None."""

    turbo: bool | None
    turbo_off: str | None
    """The command that switches it off."""
    clock_source: str | None
    clock_sources: list[str] | None
    swap_used_bytes: int | None
    cpu_energy: bool | None
    """Whether this user may read the processor's energy counters."""
    nvidia_driver: bool
    profiling_for_admins: bool | None
    """Whether NVIDIA's driver keeps profiling to administrators."""
    unknown: dict[str, str]


def read_kernel(root: Path = Path("/"), readable: Callable[[Path], bool] | None = None) -> Kernel:
    """Read what there is.

    Args:
        root: where /proc and /sys are.
        readable: whether this user may read a file; asked of the system without it.

    """
    unknown: dict[str, str] = {}
    find = Reasons("kernel", unknown).find
    can_read = readable or (lambda path: os.access(path, os.R_OK))
    energy = root / _ENERGY
    return Kernel(
        turbo=find("turbo", lambda: _turbo(root)),
        turbo_off=f"echo {int((root / _NO_TURBO).exists())} | sudo tee "
        + (f"/{_NO_TURBO}" if (root / _NO_TURBO).exists() else f"/{_BOOST}"),
        clock_source=find("clock_source", lambda: _text(root / _CLOCK / "current_clocksource")),
        clock_sources=find("clock_sources", lambda: _text(root / _CLOCK / "available_clocksource").split()),
        swap_used_bytes=find("swap_used_bytes", lambda: _swap(root)),
        cpu_energy=find(
            "cpu_energy",
            lambda: can_read(energy) if energy.exists() else None,
            "the kernel offers no energy counters of the processor (usual in a virtual machine)",
        ),
        nvidia_driver=(root / _NVIDIA / "version").exists(),
        profiling_for_admins=find("profiling_for_admins", lambda: _profiling(root)),
        unknown=unknown,
    )


Times = Mapping[int, tuple[str, float]]
"""Name and processor time, in seconds since its start, by a process's number."""


def processes(root: Path = Path("/"), own: int | None = None) -> Times:
    """Give all processes that can be seen but this one; in a container these are the container's.

    Args:
        root: where /proc is.
        own: this process's number; asked of the system without it.

    """
    per_second = os.sysconf("SC_CLK_TCK")
    found: dict[int, tuple[str, float]] = {}
    try:
        folders = [entry for entry in (root / "proc").iterdir() if entry.name.isdigit()]
    except OSError:
        return found
    for folder in folders:
        try:
            # the name stands in brackets, and may hold brackets and blanks itself (proc_pid_stat(5))
            head, _, rest = _text(folder / "stat").rpartition(")")
            fields = rest.split()
            used = (int(fields[11]) + int(fields[12])) / per_second
        except (OSError, ValueError, IndexError):  # it has ended
            continue
        name = "".join(sign for sign in head.partition("(")[2] if sign.isprintable())
        found[int(folder.name)] = (name or "?", used)
    found.pop(os.getpid() if own is None else own, None)
    return found


def busiest(before: Times, after: Times, seconds: float) -> list[tuple[str, float]]:
    """Give the processes that took processor time between two looks, in cores, the largest first.

    Those of one name are added up.

    Args:
        before: the first look.
        after: the second.
        seconds: between them; more than 0.

    """
    took: dict[str, float] = {}
    for number, (name, used) in after.items():
        was, began = before.get(number, (name, 0.0))
        if was == name and used > began:  # another name: its number was given away again
            took[name] = took.get(name, 0.0) + (used - began) / seconds
    return sorted(took.items(), key=lambda one: (-one[1], one[0]))


def _text(path: Path) -> str:
    return path.read_text("utf-8", errors="replace").strip()


def _turbo(root: Path) -> bool:
    for file, on in ((_NO_TURBO, "0"), (_BOOST, "1")):
        if (root / file).exists() and (text := _text(root / file)) in ("0", "1"):
            return text == on
    raise Unknown("the kernel does not tell of it (usual in a virtual machine)")


def _swap(root: Path) -> int:
    text = _text(root / "proc/meminfo")
    total, free = (
        re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE) for name in ("SwapTotal", "SwapFree")
    )
    if not total or not free:
        raise Unknown("/proc/meminfo does not tell of swap")
    return (int(total[1]) - int(free[1])) * 1024


def _profiling(root: Path) -> bool:
    found = re.search(r"^RmProfilingAdminOnly:\s*(\d+)", _text(root / _NVIDIA / "params"), re.MULTILINE)
    if not found:
        raise Unknown("NVIDIA's driver does not tell who may profile")
    return found[1] != "0"
