"""Snapshots of a machine that is laid out as a folder: what is read, and what is None with a reason."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from torchgauge.measure.reasons import Unknown
from torchgauge.measure.telemetry import Switches, Telemetry

STAT = """\
cpu  900 0 300 9000 10 0 20 60 0 0
cpu0 500 0 100 4000 5 0 10 10 0 0
cpu1 300 40 100 3000 5 6 10 30 0 0
cpu2 100 0 100 2000 0 0 0 20 0 0
intr 12345 0 0
"""
FIELDS_OF_A_THREAD = "4242 (py (3) thon) R " + " ".join(str(number) for number in range(4, 53))


class FakeMachine:
    """A folder with the files of /proc and /sys that a snapshot reads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.put("proc/stat", STAT)
        self.put("proc/loadavg", "1.25 0.80 0.50 3/217 9999\n")
        self.put("proc/pressure/cpu", "some avg10=1.00 avg60=0.00 avg300=0.00 total=2500000\n")
        self.put(
            "proc/pressure/memory",
            "some avg10=0.00 avg60=0.00 avg300=0.00 total=300000\nfull avg10=0.00 total=7\n",
        )
        self.put("proc/self/cgroup", "0::/box/task\n")
        self.put("sys/fs/cgroup/box/task/cpu.stat", "usage_usec 9\nnr_throttled 0\nthrottled_usec 0\n")
        self.put("sys/fs/cgroup/box/cpu.stat", "usage_usec 9\nnr_throttled 4\nthrottled_usec 250000\n")
        self.put("sys/fs/cgroup/cpu.stat", "usage_usec 9\n")
        # the 39th field of a thread's stat is its core; here fields hold their own numbers
        self.put("proc/thread-self/stat", FIELDS_OF_A_THREAD)
        self.put("proc/thread-self/schedstat", "7000000 1500000 42\n")
        self.put("sys/devices/system/cpu/cpu39/cpufreq/scaling_cur_freq", "3400000\n")

    def put(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def remove(self, path: str) -> None:
        (self.root / path).unlink()

    def telemetry(self, **arguments: Any) -> Telemetry:
        given = {"cores": lambda: [0, 1], "switches": lambda: Switches(5, 2)} | arguments
        return Telemetry(root=self.root, **given)


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    return FakeMachine(tmp_path)


def test_a_snapshot_reads_all_that_the_machine_tells(machine: FakeMachine) -> None:
    telemetry = machine.telemetry()
    seen = telemetry.snapshot()
    assert telemetry.lacks == {}
    assert (seen.voluntary_switches, seen.involuntary_switches) == (5, 2)
    assert seen.waited_seconds == pytest.approx(1.5e-3)
    assert seen.throttled_periods == 4
    assert seen.throttled_seconds == pytest.approx(0.25)
    assert seen.cpu_stalled_seconds == pytest.approx(2.5)
    assert seen.memory_stalled_seconds == pytest.approx(0.3)
    assert (seen.load_1min, seen.runnable_tasks) == (1.25, 3)
    assert seen.frequency_hertz == 3.4e9
    assert seen.card == {}


def test_stolen_and_busy_time_are_those_of_the_cores_that_the_process_may_use(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchgauge.measure.telemetry._TICKS_PER_SECOND", 100)
    seen = machine.telemetry().snapshot()
    assert seen.stolen_seconds == pytest.approx(0.40)
    assert seen.busy_seconds == pytest.approx(6.10 + 4.56)
    alone = machine.telemetry(cores=lambda: [2]).snapshot()
    assert (alone.stolen_seconds, alone.busy_seconds) == pytest.approx((0.2, 2.0))


def test_where_the_cores_are_not_told_all_of_them_count(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchgauge.measure.telemetry._TICKS_PER_SECOND", 100)

    def cores() -> list[int]:
        raise Unknown("not told here")

    assert machine.telemetry(cores=cores).snapshot().stolen_seconds == pytest.approx(0.6)


def test_the_first_kind_of_control_groups_counts_in_nanoseconds(machine: FakeMachine) -> None:
    machine.put("proc/self/cgroup", "3:cpu,cpuacct:/job\n")
    machine.put(
        "sys/fs/cgroup/cpu,cpuacct/job/cpu.stat", "nr_periods 9\nnr_throttled 3\nthrottled_time 1500000\n"
    )
    seen = machine.telemetry().snapshot()
    assert seen.throttled_periods == 3
    assert seen.throttled_seconds == pytest.approx(1.5e-3)


@pytest.mark.parametrize(
    ("missing", "names"),
    [
        ("proc/stat", {"stolen_seconds", "busy_seconds"}),
        ("proc/thread-self/schedstat", {"waited_seconds"}),
        ("proc/loadavg", {"load_1min", "runnable_tasks"}),
        ("proc/pressure/cpu", {"cpu_stalled_seconds"}),
        ("proc/pressure/memory", {"memory_stalled_seconds"}),
        ("proc/self/cgroup", {"throttled_periods", "throttled_seconds"}),
        ("proc/thread-self/stat", {"frequency_hertz"}),
        ("sys/devices/system/cpu/cpu39/cpufreq/scaling_cur_freq", {"frequency_hertz"}),
    ],
)
def test_what_is_not_there_is_none_with_a_reason_and_the_rest_is_read(
    machine: FakeMachine, missing: str, names: set[str]
) -> None:
    machine.remove(missing)
    telemetry = machine.telemetry()
    seen = telemetry.snapshot()
    assert {field.name for field in fields(seen) if getattr(seen, field.name) is None} == names
    assert set(telemetry.lacks) == names
    assert all(telemetry.lacks.values())


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("proc/stat", "cpu0 1 2 3\n"),
        ("proc/stat", ""),
        ("proc/loadavg", "high\n"),
        ("proc/thread-self/schedstat", "0\n"),
        ("proc/pressure/cpu", "some\n"),
        ("sys/fs/cgroup/box/task/cpu.stat", "nr_throttled many\n"),
    ],
)
def test_a_file_that_says_something_else_is_a_reason_and_no_crash(
    machine: FakeMachine, path: str, text: str
) -> None:
    machine.put(path, text)
    telemetry = machine.telemetry()
    telemetry.snapshot()
    assert telemetry.lacks


def test_an_empty_machine_still_gives_a_snapshot(tmp_path: Path) -> None:
    def switches() -> Switches:
        raise Unknown("this system does not count context switches")

    seen = Telemetry(root=tmp_path, switches=switches).snapshot("cuda:0")
    told = {field.name for field in fields(seen) if getattr(seen, field.name) is not None}
    assert told == {"at", "thread_seconds", "card"}


def test_what_disappears_later_is_none_from_then_on(machine: FakeMachine) -> None:
    telemetry = machine.telemetry()
    machine.remove("proc/loadavg")
    assert telemetry.snapshot().load_1min is None


def test_the_card_of_the_device_is_asked_and_no_other(machine: FakeMachine) -> None:
    class OneCard:
        def __init__(self, watts: float) -> None:
            self.watts = watts

        def state(self) -> dict[str, Any]:
            return {"power_watts": self.watts}

    telemetry = machine.telemetry(cards={"cuda:0": OneCard(70.0), "cuda:1": OneCard(300.0)})
    assert telemetry.snapshot("cuda:1").card == {"power_watts": 300.0}
    assert telemetry.snapshot("cpu").card == {}


def test_the_machine_at_hand_can_be_read() -> None:
    telemetry = Telemetry()
    first, second = telemetry.snapshot(), telemetry.snapshot()
    assert second.at > first.at
    assert second.thread_seconds >= first.thread_seconds
