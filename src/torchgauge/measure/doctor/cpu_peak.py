"""What a CPU's multiply-add units can do at the most, where the kernel tells enough to derive it.

    cores × highest frequency × FLOP per cycle

The kernel tells neither how many such units a core has nor how its clock falls under vector load. So the
figure is an upper bound, and is given only for families whose units are documented: two of 256 bits a
core, 32 float32 FLOP per cycle (AMD, Software Optimization Guides of families 17h models 30h and up, and
19h, which runs AVX-512 in two halves; Intel 64 and IA-32 Optimization Reference Manual, Haswell to
Skylake client). A hypervisor hides the frequency, and the figure is None.
"""

from __future__ import annotations

import re
from pathlib import Path

from torchgauge.measure.reasons import Unknown

_FLOP_PER_CYCLE = {"float32": 32, "float64": 16}
_INTEL = (0x3C, 0x45, 0x46, 0x3D, 0x47, 0x4E, 0x5E, 0x8E, 0x9E, 0xA5, 0xA6)
"""Models of family 6, Haswell to Comet Lake, clients all: no AVX-512, cores of one kind."""


def derive(dtype: str | None, cores: int | None, root: Path = Path("/")) -> float:
    """Derive the peak of products in a dtype, in FLOP/s.

    Args:
        dtype: torch's name.
        cores: physical cores that work, None where they are not known.
        root: where /proc and /sys are.

    Raises:
        Unknown: there is no honest figure; says why.

    """
    if dtype not in _FLOP_PER_CYCLE:
        raise Unknown(f"none is derived for a CPU's {dtype}")
    if cores is None:
        raise Unknown("the number of physical cores is not known")
    _check_units(root)
    return cores * _highest_frequency(root) * _FLOP_PER_CYCLE[dtype]


def _check_units(root: Path) -> None:
    try:
        text = (root / "proc/cpuinfo").read_text("utf-8", errors="replace")
    except OSError:
        text = ""
    found = dict(re.findall(r"^([\w ]+?)\s*: (.*)$", text.split("\n\n")[0], re.MULTILINE))
    flags = found.get("flags", "").split()
    try:
        family, model = int(found.get("cpu family", "")), int(found.get("model", ""))
    except ValueError:
        raise Unknown("the vector units of this CPU are not known") from None
    amd = found.get("vendor_id") == "AuthenticAMD" and (family == 25 or (family == 23 and model >= 0x30))
    intel = found.get("vendor_id") == "GenuineIntel" and family == 6 and model in _INTEL
    if not (amd or intel) or not {"avx2", "fma"} <= set(flags):
        raise Unknown("the vector units of this CPU are not known")


def _highest_frequency(root: Path) -> float:
    files = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/cpuinfo_max_freq")
    try:
        frequencies = {int(file.read_text("ascii")) for file in files}
    except (OSError, ValueError):
        frequencies = set()
    if not frequencies:
        raise Unknown("the kernel does not tell the highest frequency (usual in a virtual machine)")
    return max(frequencies) * 1e3
