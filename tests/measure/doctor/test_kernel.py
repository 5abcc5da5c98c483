"""What the kernel tells, from a machine that is laid out as a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from torchgauge.measure.doctor import cpu_peak
from torchgauge.measure.doctor.kernel import busiest, processes, read_kernel
from torchgauge.measure.reasons import Unknown

CPU = "sys/devices/system/cpu"
CLOCK = "sys/devices/system/clocksource/clocksource0"
ENERGY = "sys/class/powercap/intel-rapl:0/energy_uj"
MEMINFO = "MemTotal: 9 kB\nSwapTotal:  4096 kB\nSwapFree:  1024 kB"
ZEN3 = "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 33\nflags\t\t: avx2 fma"

Lay = Callable[[dict[str, str]], None]


@pytest.fixture
def lay(tmp_path: Path) -> Lay:
    def write(files: dict[str, str]) -> None:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")

    return write


def test_a_machine_that_tells_all_is_read_whole(tmp_path: Path, lay: Lay) -> None:
    lay({f"{CPU}/intel_pstate/no_turbo": "0", "proc/meminfo": MEMINFO, ENERGY: "1"})
    lay({f"{CLOCK}/current_clocksource": "hpet", f"{CLOCK}/available_clocksource": "tsc hpet"})
    lay({"proc/driver/nvidia/version": "570", "proc/driver/nvidia/params": "X: 1\nRmProfilingAdminOnly: 1"})
    found = read_kernel(tmp_path, lambda _: False)
    assert (found.turbo, found.turbo_off) == (True, f"echo 1 | sudo tee /{CPU}/intel_pstate/no_turbo")
    assert (found.clock_source, found.clock_sources) == ("hpet", ["tsc", "hpet"])
    assert found.swap_used_bytes == 3072 * 1024
    assert (found.cpu_energy, found.nvidia_driver, found.profiling_for_admins) == (False, True, True)
    assert found.unknown == {}


@pytest.mark.parametrize(("text", "on"), [("0", False), ("1", True)])
def test_boost_is_turbo_on_other_processors(tmp_path: Path, lay: Lay, text: str, on: bool) -> None:
    lay({f"{CPU}/cpufreq/boost": text})
    found = read_kernel(tmp_path)
    assert (found.turbo, found.turbo_off) == (on, f"echo 0 | sudo tee /{CPU}/cpufreq/boost")


def test_a_machine_that_tells_nothing_gives_reasons(tmp_path: Path) -> None:
    found = read_kernel(tmp_path)
    none = [name for name, value in vars(found).items() if value is None]
    assert none == [
        "turbo", "clock_source", "clock_sources", "swap_used_bytes", "cpu_energy", "profiling_for_admins",
    ]  # fmt: skip
    assert set(found.unknown) == {f"kernel.{name}" for name in none}
    assert found.nvidia_driver is False


def test_garbage_in_every_file_gives_reasons(tmp_path: Path, lay: Lay) -> None:
    lay({f"{CPU}/cpufreq/boost": "?", "proc/meminfo": "\0", "proc/driver/nvidia/params": "?"})
    found = read_kernel(tmp_path)
    assert (found.turbo, found.swap_used_bytes, found.profiling_for_admins) == (None, None, None)


def stat(name: str, user: int, system: int) -> str:
    return f"7 ({name}) S " + " ".join(["0"] * 10) + f" {user} {system} 0 0"


def test_processes_are_read_whatever_their_names(tmp_path: Path, lay: Lay) -> None:
    lay({"proc/7/stat": stat("a) (b", 100, 50), "proc/8/stat": stat("\x1b[31mx", 0, 0)})
    lay({"proc/9/stat": "cut", "proc/10/stat": stat("me", 1, 1), "proc/self/stat": stat("no", 1, 1)})
    found = processes(tmp_path, own=10)
    assert {number: name for number, (name, _) in found.items()} == {7: "a) (b", 8: "[31mx"}
    assert found[7][1] == pytest.approx(1.5)  # at 100 ticks a second, as Linux has it everywhere


def test_no_processes_where_there_is_no_proc(tmp_path: Path) -> None:
    assert processes(tmp_path) == {}


def test_processes_of_one_name_are_added_up() -> None:
    assert busiest({1: ("make", 1.0)}, {1: ("make", 2.0), 2: ("make", 1.0)}, 1.0) == [("make", 2.0)]


def test_the_busiest_come_first_and_a_number_given_away_again_is_left_out() -> None:
    before = {1: ("idle", 5.0), 2: ("make", 1.0), 3: ("old", 9.0), 5: ("gone", 1.0)}
    after = {1: ("idle", 5.0), 2: ("make", 3.0), 3: ("new", 9.5), 4: ("born", 1.0)}
    assert busiest(before, after, 2.0) == [("make", 1.0), ("born", 0.5)]


# The peak of a CPU


def test_a_peak_is_derived_where_units_and_frequency_are_known(tmp_path: Path, lay: Lay) -> None:
    lay({"proc/cpuinfo": f"processor\t: 0\n{ZEN3}\n\nprocessor\t: 1\n{ZEN3}"})
    lay({f"{CPU}/cpu{core}/cpufreq/cpuinfo_max_freq": "4000000" for core in range(2)})
    assert cpu_peak.derive("float32", 8, tmp_path) == 8 * 4e9 * 32
    assert cpu_peak.derive("float64", 8, tmp_path) == 8 * 4e9 * 16


@pytest.mark.parametrize(
    ("info", "frequency", "dtype", "cores", "why"),
    [
        (ZEN3, None, "float32", 8, "highest frequency"),
        (ZEN3, "?", "float32", 8, "highest frequency"),
        (ZEN3, "4000000", "bfloat16", 8, "bfloat16"),
        (ZEN3, "4000000", "float32", None, "physical cores"),
        (ZEN3.replace(": 25", ": 99"), "4000000", "float32", 8, "vector units"),
        (ZEN3.replace("avx2", ""), "4000000", "float32", 8, "vector units"),
        (ZEN3.replace("AuthenticAMD", "GenuineIntel"), "4000000", "float32", 8, "vector units"),
        ("", "4000000", "float32", 8, "vector units"),
    ],
)
def test_no_peak_is_guessed(
    tmp_path: Path, lay: Lay, info: str, frequency: str | None, dtype: str, cores: int | None, why: str
) -> None:
    lay({"proc/cpuinfo": info})
    if frequency:
        lay({f"{CPU}/cpu0/cpufreq/cpuinfo_max_freq": frequency})
    with pytest.raises(Unknown, match=why):
        cpu_peak.derive(dtype, cores, tmp_path)
