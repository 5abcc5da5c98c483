"""A whole examination on machines that are laid out as folders; no real probe, no real ceilings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakes import FakeCall, FakeClock, FakeNow
from torchgauge.measure import ceilings
from torchgauge.measure.doctor import examination as module
from torchgauge.measure.doctor.examination import Examination, Surroundings, examine, precise
from torchgauge.measure.doctor.findings import Finding
from torchgauge.measure.doctor.probe import Workload
from torchgauge.measure.machine import affinity
from torchgauge.measure.subject import Subject

CALM = "nr_periods 0\nnr_throttled 0\nthrottled_usec 0"


def busy(ticks: int) -> str:
    """/proc/stat of cores that have worked as long as that, all those that this process may use."""
    return "\n".join(f"cpu{core} {ticks} 0 1 9 0 0 0 0 0 0" for core in affinity())


class FakeMachine:
    """A folder with a control group; `during` is done while the probe runs."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.during: Any = lambda: None
        self.said: list[str] = []
        self.put("proc/self/cgroup", "0::/box")
        self.put("proc/loadavg", "0.10 0.10 0.10 1/100 1")
        self.put("proc/stat", busy(0))
        monkeypatch.setattr(module, "workloads", self._workloads)
        monkeypatch.setattr(ceilings, "measure", lambda *_, **__: [])

    def put(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")

    def _workloads(self, _devices: object) -> list[Workload]:
        self.during()
        now = FakeNow()
        return [Workload("fake", Subject(FakeCall(now, 1e-3)), FakeClock(now))]

    def examine(self, **where: Any) -> Examination:
        facts = Surroundings(**({"root": self.root, "variables": {}} | where))
        return examine(["cpu"], lambda _: "none known", self.said.append, facts)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMachine:
    return FakeMachine(tmp_path, monkeypatch)


def named(found: Examination, what: str) -> Finding:
    (one,) = (one for one in found.findings if one.what == what)
    return one


def test_a_machine_that_tells_little_is_examined_all_the_same(machine: FakeMachine) -> None:
    found = machine.examine()
    assert found.verdict == "fine"
    assert named(found, "precision").level == "good"
    assert {named(found, name).level for name in ("governor", "turbo", "swap", "memory")} == {"unknown"}
    assert (found.paired_difference, found.moment_spread) == (0.0, 0.0)
    assert [line.partition(":")[0] for line in machine.said] == [
        "how fine a difference it can tell", "ceilings",
    ]  # fmt: skip


def test_half_a_core_that_is_used_up_is_poor_and_says_what_to_do(machine: FakeMachine) -> None:
    machine.put("sys/fs/cgroup/box/cpu.max", "50000 100000")
    machine.put("sys/fs/cgroup/box/cpu.stat", CALM)
    stopped = "nr_periods 40\nnr_throttled 40\nthrottled_usec 900000000"
    machine.during = lambda: machine.put("sys/fs/cgroup/box/cpu.stat", stopped)
    found = machine.examine()
    quota, throttling = named(found, "CPU quota"), named(found, "throttling")
    assert quota.value.startswith("0.50 cores for ")
    assert "OMP_NUM_THREADS=1" in (quota.cure or "")
    assert (throttling.level, found.verdict) == ("poor", "poor")
    assert "used up 40 times" in throttling.value


def test_half_a_core_that_is_enough_is_a_note(machine: FakeMachine) -> None:
    machine.put("sys/fs/cgroup/box/cpu.max", "50000 100000")
    machine.put("sys/fs/cgroup/box/cpu.stat", CALM)
    found = machine.examine()
    assert (named(found, "CPU quota").level, named(found, "throttling").level) == ("note", "good")
    assert found.verdict == "fine"


def test_who_takes_processor_time_while_the_probe_runs_is_named(machine: FakeMachine) -> None:
    def work() -> None:
        machine.put("proc/stat", busy(9_999_999))
        machine.put("proc/77/stat", "77 (greedy) S " + " ".join(["0"] * 10) + " 999999 0 0")

    machine.put("proc/77/stat", "77 (greedy) S " + " ".join(["0"] * 13))
    machine.during = work
    found = named(machine.examine(), "other work")
    assert found.level == "note"
    assert "(greedy " in found.value


def test_without_valgrind_it_says_what_is_lacking(
    machine: FakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(machine.root))
    found = named(machine.examine(), "instructions")
    assert (found.level, found.value) == ("note", "valgrind is missing")
    assert found.cure


def test_a_device_without_memory_is_poor_and_all_else_is_still_told(machine: FakeMachine) -> None:
    def full() -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate")

    machine.during = full
    found = machine.examine()
    assert found.verdict == "poor"
    assert "out of memory" in named(found, "precision").value
    assert "--device" in (named(found, "precision").cure or "")
    assert (found.paired_difference, found.precision) == (None, [])
    assert named(found, "load").level == "good"


def test_ceilings_that_fail_are_a_note(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(ceilings, "measure", fail)
    found = machine.examine()
    assert "no such kernel" in named(found, "cpu ceilings").value
    assert (found.verdict, found.ceilings) == ("fine", [])


@pytest.mark.parametrize(
    ("difference", "level"), [(0.0, "good"), (0.1, "good"), (0.11, "poor"), (None, "poor")]
)
def test_what_can_tell_no_tenth_is_poor(difference: float | None, level: str) -> None:
    assert precise(difference).level == level
