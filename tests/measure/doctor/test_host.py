"""The checks of the machine, each both ways."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import synthetic
from torchgauge.measure.doctor import host
from torchgauge.measure.doctor.host import Host
from torchgauge.measure.doctor.kernel import Kernel

ENVIRONMENT = synthetic.header().environment
KERNEL = Kernel(
    turbo=False,
    turbo_off="echo 1 | sudo tee /no_turbo",
    clock_source="tsc",
    clock_sources=["tsc", "hpet"],
    swap_used_bytes=0,
    cpu_energy=True,
    nvidia_driver=False,
    profiling_for_admins=None,
    unknown={"kernel.profiling_for_admins": "no driver"},
)
MACHINE = {"governor": "performance", "cores_physical": 2, "load_1min": 0.1, "cpu_limit": None}
SEEN: dict[str, Any] = {
    "watched_seconds": 4.0,
    "steal_share": 0.0,
    "throttled_seconds": 0.0,
    "throttled_periods": 0,
    "memory_stalled_seconds": 0.0,
}
NO_LIMIT = {"machine.cpu_limit": "no limit: no control group sets a quota"}


def quiet(
    machine: dict[str, Any] | None = None,
    kernel: dict[str, Any] | None = None,
    seen: dict[str, Any] | None = None,
    **others: Any,
) -> Host:
    """A quiet machine of two cores with what a test changes of it."""
    facts: dict[str, Any] = {
        "machine": msgspec.structs.replace(ENVIRONMENT.machine, **(MACHINE | (machine or {}))),
        "torch": ENVIRONMENT.torch,
        "kernel": Kernel(**(vars(KERNEL) | (kernel or {}))),
        "unknown": NO_LIMIT,
        "conditions": SEEN | (seen or {}),
        "others": 0.0,
        "clock_resolution": 4e-8,
    }
    return Host(**(facts | others))


def test_a_quiet_machine_has_nothing_to_mend() -> None:
    found = [check(quiet()) for check in host.CHECKS]
    assert {one.level for one in found} == {"good"}
    assert [one.cure for one in found if one.cure] == []
    assert len({one.what for one in found}) == len(host.CHECKS)


@pytest.mark.parametrize(
    ("check", "facts", "level", "told"),
    [
        (host.governor, {"machine": {"governor": "powersave"}}, "note", "cpupower"),
        (host.governor, {"machine": {"governor": "performance, powersave"}}, "note", "cpupower"),
        (host.turbo, {"kernel": {"turbo": True}}, "note", "/no_turbo"),
        (host.load, {"machine": {"load_1min": 1.2}}, "note", "1.20 on 2 cores"),
        (host.load, {"machine": {"load_1min": 3.0}, "others": 1.5}, "poor", "3.00 on 2 cores"),
        (host.load, {"machine": {"load_1min": 3.0}, "others": None}, "poor", "waited for"),
        # it was so a minute ago, and is over
        (host.load, {"machine": {"load_1min": 3.0}, "others": 0.1}, "note", "3.00"),
        (host.others, {"others": 0.5, "busiest": [("make", 0.4), ("x", 0.01)]}, "note", "(make 0.40)"),
        (host.stolen, {"seen": {"steal_share": 0.2}}, "note", "20 %"),
        (host.quota, {"machine": {"cpu_limit": 0.5}}, "note", "0.50 cores for 2 threads"),
        (host.quota, {"machine": {"cpu_limit": 1.5}}, "note", "OMP_NUM_THREADS=1"),
        (host.quota, {"machine": {"cpu_limit": 2.0}}, "good", "2.0 cores"),
        (host.throttled, {"seen": {"throttled_seconds": 0.1}}, "note", "2.5 %"),
        (host.throttled, {"seen": {"throttled_seconds": 2.0}}, "poor", "50 %"),
        # some kernels count the periods alone
        (host.throttled, {"seen": {"throttled_periods": 3}}, "note", "used up 3 times"),
        (host.throttled, {"seen": {"throttled_seconds": 9.0}}, "poor", "100 %"),
        (host.affinity, {"machine": {"affinity": [3]}}, "note", "OMP_NUM_THREADS=1"),
        (host.threads, {"machine": {"cores_physical": 1}}, "note", "share units"),
        (host.memory, {"machine": {"memory_available_bytes": 2**30}}, "note", "1 GiB of 8 GiB"),
        (host.memory, {"machine": {"memory_available_bytes": 2**28}}, "poor", "256 MiB of 8 GiB"),
        (host.pressure, {"seen": {"memory_stalled_seconds": 0.2}}, "note", "5.0 %"),
        (host.pressure, {"seen": {"memory_stalled_seconds": 2.0}}, "poor", "50 %"),
        (host.swap, {"kernel": {"swap_used_bytes": 2**30}}, "note", "1 GiB"),
        (host.clock, {"kernel": {"clock_source": "hpet"}}, "note", "echo tsc"),
        (host.clock, {"kernel": {"clock_source": "hpet", "clock_sources": ["hpet"]}}, "note", "clocksource="),
        (host.clock, {"clock_resolution": 1e-5}, "note", "steps of 10.0 µs"),
    ],
)
def test_what_is_wrong_is_told_with_its_level(
    check: Any, facts: dict[str, Any], level: str, told: str
) -> None:
    found = check(quiet(**facts))
    assert found.level == level
    assert told in f"{found.value} {found.cure}"


@pytest.mark.parametrize(
    ("check", "facts"),
    [
        (host.governor, {"machine": {"governor": None}}),
        (host.turbo, {"kernel": {"turbo": None, "unknown": {"kernel.turbo": "not told"}}}),
        (host.load, {"machine": {"load_1min": None}}),
        (host.load, {"machine": {"cores_logical": None}}),
        (host.others, {"others": None}),
        (host.stolen, {"seen": {"steal_share": None}}),
        (host.quota, {"unknown": {"machine.cpu_limit": "OSError"}}),
        (host.throttled, {"seen": {"throttled_seconds": None}}),
        (host.affinity, {"machine": {"affinity": None}}),
        (host.threads, {"machine": {"cores_physical": None}}),
        (host.memory, {"machine": {"memory_available_bytes": None}}),
        (host.pressure, {"seen": {"memory_stalled_seconds": None}}),
        (host.swap, {"kernel": {"swap_used_bytes": None, "unknown": {"kernel.swap_used_bytes": "x"}}}),
        (host.clock, {"kernel": {"clock_source": None, "unknown": {"kernel.clock_source": "x"}}}),
    ],
)
def test_what_the_machine_does_not_tell_is_unknown_with_a_reason(check: Any, facts: dict[str, Any]) -> None:
    found = check(quiet(**facts))
    assert found.level == "unknown"
    assert found.value
    assert found.cure is None


def test_one_thread_can_not_be_made_fewer() -> None:
    torch = msgspec.structs.replace(ENVIRONMENT.torch, threads=1)
    found = host.quota(quiet(machine={"cpu_limit": 0.5}, torch=torch))
    assert (found.value, found.cure) == ("0.50 cores for 1 thread", "raise the quota")


def test_no_quota_is_no_throttling() -> None:
    facts = quiet(seen={"throttled_seconds": None}, lacks={"throttled_seconds": "no limit: no quota"})
    assert host.throttled(facts).level == "good"
