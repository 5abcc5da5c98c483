"""What the operating system tells of the machine: /proc, /sys and the control groups of Linux.

Everything is read below `root`, so that the tests can lay out any machine as a folder.
"""

from __future__ import annotations

import os
import platform
import re
import sysconfig
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

from torchgauge.measure.reasons import Reasons, Unknown, printable
from torchgauge.record.schema import Machine

# ARM's kernels give numbers, no names: implementer and part of cores met in servers and laptops
# (Linux, arch/arm64/include/asm/cputype.h).
_ARM = {
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd40"): "Neoverse-V1",
    ("0x41", "0xd49"): "Neoverse-N2",
    ("0x41", "0xd4f"): "Neoverse-V2",
    ("0x41", "0xd84"): "Neoverse-V3",
    ("0xc0", "0xac3"): "Ampere-1",
}
_SCALE = {"K": 2**10, "M": 2**20, "G": 2**30}
_CPU = Path("sys/devices/system/cpu")
_MEMORY_FILES = {
    2: ("memory.max", "memory.current"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes"),
}
"""What a control group may take and has taken, by its version."""


def read_machine(
    reasons: Reasons, root: Path = Path("/"), usable: Callable[[], Collection[int]] | None = None
) -> Machine:
    """Read what there is; a field that can't be read is None and its reason is put into `reasons`."""
    info = _cpuinfo(root)
    cores = reasons.find("affinity", lambda: sorted((usable or affinity)()))
    return Machine(
        host=printable(platform.node()) or "unknown",
        system=platform.platform(),
        python=_python(),
        cpu=reasons.find(
            "cpu", lambda: _model(info) or platform.processor() or None, "no name of it in /proc/cpuinfo"
        ),
        cores_logical=reasons.find("cores_logical", lambda: len(info) or os.cpu_count()),
        cores_physical=reasons.find("cores_physical", lambda: _physical(info, root)),
        affinity=cores,
        cpu_limit=reasons.find("cpu_limit", lambda: _quota(root), "no limit: no control group sets a quota"),
        governor=reasons.find("governor", lambda: _governor(root, cores)),
        frequency_hertz=reasons.find("frequency_hertz", lambda: _frequency(info, root)),
        cache_bytes=reasons.find("cache_bytes", lambda: _last_cache(root)),
        memory_bytes=reasons.find("memory_bytes", lambda: _memory(root, "MemTotal")),
        memory_available_bytes=reasons.find("memory_available_bytes", lambda: _memory(root, "MemAvailable")),
        load_1min=reasons.find("load_1min", lambda: float(_text(root / "proc/loadavg").split()[0])),
        virtualization=reasons.find("virtualization", lambda: _virtualization(info, root)),
    )


def _text(path: Path) -> str:
    return path.read_text("utf-8", errors="replace").strip()


def _python() -> str:
    threads = " free-threaded" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    return f"{platform.python_implementation()} {platform.python_version()}{threads}"


def affinity() -> Collection[int]:
    """Give the logical cores that this process may use.

    Raises:
        Unknown: the system does not tell.

    """
    if not hasattr(os, "sched_getaffinity"):
        raise Unknown(f"{platform.system()} does not tell which cores a process may use")
    return os.sched_getaffinity(0)


def _cpuinfo(root: Path) -> list[dict[str, str]]:
    """Give the blocks of /proc/cpuinfo that are a processor; none where there is no such file."""
    try:
        text = _text(root / "proc/cpuinfo")
    except OSError:
        return []
    blocks = (
        {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in block.splitlines())}
        for block in re.split(r"\n\s*\n", text)
    )
    return [block for block in blocks if "processor" in block]


def _model(info: list[dict[str, str]]) -> str | None:
    if not info:
        return None
    first = info[0]
    name = first.get("model name") or first.get("cpu")
    if name is None:
        numbers = (first.get("CPU implementer", "").lower(), first.get("CPU part", "").lower())
        return _ARM.get(numbers) or ("ARM implementer {}, part {}".format(*numbers) if all(numbers) else None)
    if not re.search(r"\d", name) and "cpu family" in first and "model" in first:
        # a hypervisor hid the number ("AMD EPYC"): two generations must not pass for one
        return f"{name} (family {first['cpu family']}, model {first['model']})"
    return name


def _physical(info: list[dict[str, str]], root: Path) -> int:
    siblings = set()
    for topology in (root / _CPU).glob("cpu[0-9]*/topology"):
        for name in ("core_cpus_list", "thread_siblings_list"):  # the new name, the old one
            if (topology / name).exists():
                siblings.add(_text(topology / name))
                break
    if siblings:
        return len(siblings)
    cores = {(block.get("physical id", "0"), block["core id"]) for block in info if "core id" in block}
    if not cores:
        raise Unknown("the kernel does not tell which threads share a core")
    return len(cores)


def all_caches(root: Path = Path("/")) -> int | None:
    """Add up the last-level caches of the machine in bytes; None where the kernel does not tell them."""
    sizes: dict[int, dict[str, int]] = {}
    for cache in (root / _CPU).glob("cpu[0-9]*/cache/index*"):
        try:
            found = re.fullmatch(r"(\d+)([KMG]?)", _text(cache / "size"))
            if found and _text(cache / "type") != "Instruction":
                sharing = _text(cache / "shared_cpu_list")
                level = sizes.setdefault(int(_text(cache / "level")), {})
                level[sharing] = int(found[1]) * _SCALE.get(found[2], 1)
        except (OSError, ValueError):
            continue
    return sum(sizes[max(sizes)].values()) if sizes else None


def memory_room(root: Path = Path("/")) -> int | None:
    """Give the bytes of memory that a process can still take: the machine's, or its control group's."""
    rooms = []
    with suppress(OSError, Unknown):
        rooms.append(_memory(root, "MemAvailable"))
    with suppress(OSError, ValueError):
        for version, group in control_groups(root, "memory"):
            names = _MEMORY_FILES[version]
            limit, used = (_text(group / name) if (group / name).exists() else "max" for name in names)
            if limit.isdecimal() and used.isdecimal():
                rooms.append(max(0, int(limit) - int(used)))
    return min(rooms, default=None)


def control_groups(root: Path, controller: str = "cpu") -> list[tuple[int, Path]]:
    """Give the version and folder of this process's control groups for a controller and of those above.

    Raises:
        OSError: there are no control groups.

    """
    found = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mounts, version = ["", "unified"], 2
        elif controller in controllers.split(","):
            mounts, version = [controllers, controller], 1
        else:
            continue
        for mount in dict.fromkeys(mounts):
            top = root / "sys/fs/cgroup" / mount
            # inside a container the path may be the host's: what is not there is passed over
            group = top / path.strip("/") if ".." not in path else top
            found += [(version, place) for place in (group, *group.parents) if place.is_relative_to(top)]
    return found


def _quota(root: Path) -> float | None:
    """Give the least CPU quota, in cores, among this process's control group and those above it."""
    read = {1: _quota_v1, 2: _quota_v2}
    limits = [read[version](group) for version, group in control_groups(root)]
    return min((limit for limit in limits if limit is not None), default=None)


def _quota_v2(group: Path) -> float | None:
    if not (group / "cpu.max").exists():
        return None
    quota, period = _text(group / "cpu.max").split()
    return None if quota == "max" else int(quota) / int(period)


def _quota_v1(group: Path) -> float | None:
    if not (group / "cpu.cfs_quota_us").exists():
        return None
    quota = int(_text(group / "cpu.cfs_quota_us"))
    return None if quota < 0 else quota / int(_text(group / "cpu.cfs_period_us"))


def _governor(root: Path, cores: Collection[int] | None) -> str:
    """Give the governors of the cores that this process may use: one name, or several with commas."""
    folders = [root / _CPU / f"cpu{core}" for core in cores] if cores else (root / _CPU).glob("cpu[0-9]*")
    files = [folder / "cpufreq/scaling_governor" for folder in folders]
    found = {_text(file) for file in files if file.exists()}
    if not found:
        raise Unknown("the kernel offers no control of the frequency (usual in a virtual machine)")
    return ", ".join(sorted(found))


def _frequency(info: list[dict[str, str]], root: Path) -> float:
    kilohertz = [
        int(_text(file)) for file in (root / _CPU).glob("cpu[0-9]*/cpufreq/scaling_cur_freq") if file.exists()
    ]
    if kilohertz:
        return max(kilohertz) * 1e3
    megahertz = [float(block["cpu MHz"]) for block in info if "cpu MHz" in block]
    if not megahertz:
        raise Unknown("the kernel does not tell the frequency")
    return max(megahertz) * 1e6


def _last_cache(root: Path) -> int:
    sizes: dict[int, int] = {}
    for cache in (root / _CPU / "cpu0/cache").glob("index*"):
        found = re.fullmatch(r"(\d+)([KMG]?)", _text(cache / "size"))
        if found and _text(cache / "type") != "Instruction":
            sizes[int(_text(cache / "level"))] = int(found[1]) * _SCALE.get(found[2], 1)
    if not sizes:
        raise Unknown("the kernel does not tell the caches")
    return sizes[max(sizes)]


def _memory(root: Path, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", _text(root / "proc/meminfo"), re.MULTILINE)
    if not found:
        raise Unknown(f"/proc/meminfo has no {field}")
    return int(found[1]) * 1024


def _virtualization(info: list[dict[str, str]], root: Path) -> str:
    try:
        vendor = _text(root / "sys/class/dmi/id/sys_vendor")
    except OSError:
        vendor = ""
    flags = info[0].get("flags") if info else None
    if flags is None and vendor != "QEMU":
        raise Unknown("only x86 processors tell whether a hypervisor runs them")
    if flags is not None and "hypervisor" not in flags.split():
        return "none"
    return f"virtual machine ({vendor})" if vendor else "virtual machine"
