from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path

import pytest

from torchgauge.measure.machine import all_caches, memory_room, read_machine
from torchgauge.measure.reasons import Reasons
from torchgauge.record import Machine

X86 = """\
processor\t: {n}
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 1
model name\t: {name}
cpu MHz\t\t: 24{n}5.5
physical id\t: 0
core id\t\t: {core}
flags\t\t: fpu vme {flags} avx2
power management:

"""
ARM = """\
processor\t: {n}
BogoMIPS\t: 2000.00
Features\t: fp asimd sve2
CPU implementer\t: {implementer}
CPU part\t: {part}

"""
CPU = "sys/devices/system/cpu"

Lay = Callable[[dict[str, str]], None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def lay(root: Path) -> Lay:
    """Lay out files below the root of a machine."""

    def write(files: dict[str, str]) -> None:
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")

    return write


def seen(root: Path, affinity: tuple[int, ...] = (0, 1)) -> tuple[Machine, dict[str, str]]:
    unknown: dict[str, str] = {}
    machine = read_machine(Reasons("machine", unknown), root, lambda: set(affinity))
    missing = {f"machine.{name}" for name in machine.__struct_fields__ if getattr(machine, name) is None}
    assert missing == set(unknown)
    assert all(text.isprintable() and text for text in unknown.values())
    return machine, unknown


def x86(count: int = 4, name: str = "AMD EPYC 7763 64-Core Processor", flags: str = "") -> str:
    return "".join(X86.format(n=n, core=n // 2, name=name, flags=flags) for n in range(count))


def test_a_server_on_bare_metal_is_read_whole(root: Path, lay: Lay) -> None:
    lay({"proc/cpuinfo": x86()})
    lay({"proc/meminfo": "MemTotal:       1000 kB\nMemFree:   1 kB\nMemAvailable:    900 kB"})
    lay({"proc/loadavg": "1.25 0.50 0.10 2/300 4711", "proc/self/cgroup": "0::/"})
    for core in range(4):
        lay({f"{CPU}/cpu{core}/cpufreq/scaling_governor": "performance"})
        lay({f"{CPU}/cpu{core}/cpufreq/scaling_cur_freq": str(3_000_000 + core)})
        lay({f"{CPU}/cpu{core}/topology/core_cpus_list": f"{core // 2 * 2}-{core // 2 * 2 + 1}"})
    for index, (level, kind, size) in enumerate(
        [(1, "Data", "32K"), (1, "Instruction", "32K"), (2, "Unified", "512K"), (3, "Unified", "32M")]
    ):
        cache = f"{CPU}/cpu0/cache/index{index}"
        lay({f"{cache}/level": str(level), f"{cache}/type": kind, f"{cache}/size": size})
    machine, unknown = seen(root, (0, 1, 3))
    assert machine == Machine(
        host=platform.node(),
        system=platform.platform(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        cpu="AMD EPYC 7763 64-Core Processor",
        cores_logical=4,
        cores_physical=2,
        affinity=[0, 1, 3],
        cpu_limit=None,
        governor="performance",
        frequency_hertz=3_000_003_000.0,
        cache_bytes=32 * 2**20,
        memory_bytes=1_024_000,
        memory_available_bytes=921_600,
        load_1min=1.25,
        virtualization="none",
    )
    assert unknown == {"machine.cpu_limit": "no limit: no control group sets a quota"}


def test_a_machine_that_tells_nothing_gives_reasons_and_no_crash(root: Path) -> None:
    machine, unknown = seen(root)
    assert (machine.governor, machine.cache_bytes, machine.memory_bytes) == (None, None, None)
    assert unknown["machine.governor"].startswith("the kernel offers no control of the frequency")
    assert unknown["machine.load_1min"] == f"{root}/proc/loadavg is not there"
    assert machine.cores_logical == os.cpu_count()


def test_garbage_in_every_file_gives_reasons_and_no_crash(root: Path, lay: Lay) -> None:
    names = ["cpuinfo", "meminfo", "loadavg", "self/cgroup"]
    lay({f"proc/{name}": "\0\xff: x" for name in names})
    for name in ("scaling_governor", "scaling_cur_freq"):
        lay({f"{CPU}/cpu0/cpufreq/{name}": "?"})
    for name in ("level", "type", "size"):
        lay({f"{CPU}/cpu0/cache/index0/{name}": "?"})
    (root / "proc/meminfo").write_bytes(b"\xff\xfe\x00")
    machine, unknown = seen(root)
    assert machine.governor == "?"
    for field in ("frequency_hertz", "cache_bytes", "memory_bytes", "load_1min", "cpu_limit"):
        assert f"machine.{field}" in unknown


def test_cores_that_the_system_does_not_tell_are_unknown(root: Path) -> None:
    def fail() -> set[int]:
        raise PermissionError(1, "Operation not permitted")

    unknown: dict[str, str] = {}
    assert read_machine(Reasons("machine", unknown), root, fail).affinity is None
    assert unknown["machine.affinity"] == "PermissionError: Operation not permitted"


def test_the_cores_of_this_process_are_those_that_the_system_grants() -> None:
    machine = read_machine(Reasons("machine", {}))
    if hasattr(os, "sched_getaffinity"):
        assert machine.affinity == sorted(os.sched_getaffinity(0))


# --- processor ---


def test_a_name_that_a_hypervisor_robbed_of_its_number_is_told_apart_by_family_and_model(
    root: Path, lay: Lay
) -> None:
    lay({"proc/cpuinfo": x86(name="AMD EPYC")})
    assert seen(root)[0].cpu == "AMD EPYC (family 25, model 1)"


@pytest.mark.parametrize(
    ("implementer", "part", "name"),
    [
        ("0x41", "0xd4f", "Neoverse-V2"),
        ("0x41", "0xD0C", "Neoverse-N1"),
        ("0x48", "0xd01", "ARM implementer 0x48, part 0xd01"),
    ],
)
def test_an_arm_processor_is_named_by_its_numbers(
    root: Path, lay: Lay, implementer: str, part: str, name: str
) -> None:
    lay({"proc/cpuinfo": "".join(ARM.format(n=n, implementer=implementer, part=part) for n in range(8))})
    machine, unknown = seen(root)
    assert (machine.cpu, machine.cores_logical) == (name, 8)
    assert unknown["machine.cores_physical"] == "the kernel does not tell which threads share a core"
    assert unknown["machine.frequency_hertz"] == "the kernel does not tell the frequency"
    assert unknown["machine.virtualization"].startswith("only x86 processors tell")


def test_a_system_without_proc_names_its_processor_by_pythons_platform(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert seen(root)[0].cpu == "arm"
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert seen(root)[0].cpu is None


def test_without_topology_cores_are_counted_by_their_ids(root: Path, lay: Lay) -> None:
    lay({"proc/cpuinfo": x86(8)})
    machine, _ = seen(root)
    assert (machine.cores_logical, machine.cores_physical) == (8, 4)
    assert machine.frequency_hertz == 2475.5e6  # the fastest core


def test_the_old_name_of_the_siblings_serves_too(root: Path, lay: Lay) -> None:
    for core in range(4):
        lay({f"{CPU}/cpu{core}/topology/thread_siblings_list": f"{core % 2},{core % 2 + 2}"})
    assert seen(root)[0].cores_physical == 2


def test_only_the_governors_of_the_cores_in_use_count(root: Path, lay: Lay) -> None:
    for core, governor in enumerate(["performance", "powersave", "performance"]):
        lay({f"{CPU}/cpu{core}/cpufreq/scaling_governor": governor})
    assert seen(root, (0, 2))[0].governor == "performance"
    assert seen(root, (0, 1))[0].governor == "performance, powersave"


def test_the_last_cache_that_holds_data_counts(root: Path, lay: Lay) -> None:
    for index, (level, kind, size) in enumerate([("1", "Instruction", "64K"), ("1", "Data", "48K")]):
        cache = f"{CPU}/cpu0/cache/index{index}"
        lay({f"{cache}/level": level, f"{cache}/type": kind, f"{cache}/size": size})
    assert seen(root)[0].cache_bytes == 48 * 1024


# --- virtual machines ---


@pytest.mark.parametrize(
    ("flags", "vendor", "text"),
    [
        ("", None, "none"),
        ("", "Dell Inc.", "none"),
        ("hypervisor", None, "virtual machine"),
        ("hypervisor", "QEMU", "virtual machine (QEMU)"),
        ("hypervisor", "Amazon EC2", "virtual machine (Amazon EC2)"),
    ],
)
def test_a_hypervisor_is_told_by_the_processors_flag(
    root: Path, lay: Lay, flags: str, vendor: str | None, text: str
) -> None:
    lay({"proc/cpuinfo": x86(flags=flags)})
    if vendor:
        lay({"sys/class/dmi/id/sys_vendor": vendor})
    assert seen(root)[0].virtualization == text


def test_an_emulator_names_itself_where_the_processor_has_no_such_flag(root: Path, lay: Lay) -> None:
    lay({"proc/cpuinfo": ARM.format(n=0, implementer="0x41", part="0xd4f")})
    lay({"sys/class/dmi/id/sys_vendor": "QEMU"})
    assert seen(root)[0].virtualization == "virtual machine (QEMU)"


# --- a container's quota ---

GROUPS = "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, None),
        ({}, None),
        ({"pod/cpu.max": "max 100000", "cpu.max": "max 100000"}, None),
        ({"pod/box/cpu.max": "200000 100000"}, 2.0),
        ({"pod/box/cpu.max": "max 100000", "pod/cpu.max": "50000 100000"}, 0.5),
        ({"pod/box/cpu.max": "400000 100000", "pod/cpu.max": "300000 100000"}, 3.0),
        ({"unified/pod/box/cpu.max": "100000 50000"}, 2.0),
    ],
)
def test_the_least_quota_of_a_group_and_those_above_it_counts(
    root: Path, lay: Lay, files: dict[str, str], limit: float | None
) -> None:
    lay({"proc/self/cgroup": "0::/pod/box", **{f"{GROUPS}/{name}": text for name, text in files.items()}})
    assert seen(root)[0].cpu_limit == limit


@pytest.mark.parametrize(
    ("folder", "quota", "limit"),
    [
        ("cpu,cpuacct/docker/abc", "250000", 2.5),
        ("cpu,cpuacct", "100000", 1.0),  # seen from inside: the path is the host's
        ("cpu", "50000", 0.5),
        ("cpu,cpuacct/docker/abc", "-1", None),
    ],
)
def test_the_first_version_of_control_groups_is_read_too(
    root: Path, lay: Lay, folder: str, quota: str, limit: float | None
) -> None:
    lay({"proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n3:cpuset:/\n0::/"})
    lay({f"{GROUPS}/{folder}/cpu.cfs_quota_us": quota, f"{GROUPS}/{folder}/cpu.cfs_period_us": "100000"})
    assert seen(root)[0].cpu_limit == limit


def test_a_group_above_the_containers_root_is_looked_for_at_the_root(root: Path, lay: Lay) -> None:
    lay({"proc/self/cgroup": "0::/../../system.slice", f"{GROUPS}/cpu.max": "100000 100000"})
    assert seen(root)[0].cpu_limit == 1.0


def test_a_quota_that_makes_no_sense_is_unknown(root: Path, lay: Lay) -> None:
    lay({"proc/self/cgroup": "0::/", f"{GROUPS}/cpu.max": "some more than this"})
    machine, unknown = seen(root)
    assert machine.cpu_limit is None
    assert unknown["machine.cpu_limit"].startswith("ValueError")


# --- for the ceilings ---


def cache(cpu: int, index: int, level: str, size: str, shared: str, kind: str = "Unified") -> dict[str, str]:
    folder = f"{CPU}/cpu{cpu}/cache/index{index}"
    return {
        f"{folder}/level": level,
        f"{folder}/type": kind,
        f"{folder}/size": size,
        f"{folder}/shared_cpu_list": shared,
    }


def test_all_last_caches_are_added_up_each_once(root: Path, lay: Lay) -> None:
    for cpu, shared in enumerate(["0-1", "0-1", "2-3", "2-3"]):
        lay(cache(cpu, 3, "3", "32768K", shared) | cache(cpu, 2, "2", "512K", str(cpu)))
    assert all_caches(root) == 64 * 2**20


def test_caches_that_the_kernel_does_not_tell_are_unknown(root: Path, lay: Lay) -> None:
    assert all_caches(root) is None
    lay(cache(0, 0, "1", "64K", "0", "Instruction") | cache(0, 1, "one", "64K", "0"))
    lay({f"{CPU}/cpu1/cache/index0/size": "32K"})
    assert all_caches(root) is None


@pytest.mark.parametrize(
    ("files", "room"),
    [
        ({}, 1000 * 1024),
        ({"pod/memory.max": "max", "pod/memory.current": "5"}, 1000 * 1024),
        ({"pod/memory.max": "9000", "pod/memory.current": "4000"}, 5000),
        ({"pod/box/memory.max": "9000", "pod/box/memory.current": "2000", "pod/memory.max": "max"}, 7000),
        ({"pod/memory.max": "4000", "pod/memory.current": "9000"}, 0),
        (
            {"memory/pod/box/memory.limit_in_bytes": "800", "memory/pod/box/memory.usage_in_bytes": "1"},
            1000 * 1024,
        ),
    ],
)
def test_the_room_in_memory_is_the_least_of_the_machines_and_its_groups(
    root: Path, lay: Lay, files: dict[str, str], room: int
) -> None:
    lay({"proc/meminfo": "MemTotal: 2000 kB\nMemAvailable: 1000 kB", "proc/self/cgroup": "0::/pod/box"})
    lay({f"{GROUPS}/{name}": text for name, text in files.items()})
    assert memory_room(root) == room


def test_the_first_version_of_control_groups_limits_memory_too(root: Path, lay: Lay) -> None:
    folder = f"{GROUPS}/memory/docker"
    lay({"proc/self/cgroup": "5:memory:/docker\n4:cpu,cpuacct:/docker"})
    lay({f"{folder}/memory.limit_in_bytes": "800", f"{folder}/memory.usage_in_bytes": "300"})
    assert memory_room(root) == 500


def test_a_machine_that_tells_nothing_of_its_memory_has_no_known_room(root: Path) -> None:
    assert memory_room(root) is None
