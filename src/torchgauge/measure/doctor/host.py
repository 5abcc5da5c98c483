"""Checks of the machine: each is a function of facts that gives a Finding."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torchgauge.measure.doctor.findings import Finding, good, note, poor, share, unknown
from torchgauge.measure.doctor.kernel import Kernel
from torchgauge.record.schema import Machine, Scalar, Torch
from torchgauge.units import format_quantity, significant

BUSY_CORES = 0.05
"""Work of others that is worth a note: a twentieth of a core."""
STOLEN_SHARE = 0.01
THROTTLED_SHARE = 0.05
"""Poor above: a twentieth of the time in which this process could not run is a twentieth of its times."""
MEMORY_SHARES = (0.05, 0.15)
"""Available memory of all there is: poor below the first, a note below the second."""
STALLED_SHARES = (0.01, 0.10)
"""Time in which some task waited for memory: a note above the first, poor above the second."""
RESOLUTION = 1e-6
_FAST_CLOCKS = ("tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "riscv_clocksource")


@dataclass(frozen=True)
class Host:
    """What the checks of the machine look at."""

    machine: Machine
    torch: Torch
    kernel: Kernel
    unknown: Mapping[str, str]
    """The Environment's, by dotted name."""
    conditions: Mapping[str, Scalar]
    """What telemetry saw while the probe ran."""
    lacks: Mapping[str, str] = field(default_factory=dict)
    """Why telemetry saw nothing of a field."""
    others: float | None = None
    """Processor time of other processes while the probe ran, in cores."""
    busiest: Sequence[tuple[str, float]] = ()
    clock_resolution: float = 1e-9


def governor(host: Host) -> Finding:
    """Whether the frequency is left to save power."""
    name = host.machine.governor
    if name is None:
        return _unknown("governor", host)
    if name == "performance":
        return good("governor", name)
    return note(
        "governor", f"{name}: the clock follows the load", "sudo cpupower frequency-set -g performance"
    )


def turbo(host: Host) -> Finding:
    """Whether cores run faster as long as heat allows."""
    on = host.kernel.turbo
    if on is None:
        return unknown("turbo", host.kernel.unknown["kernel.turbo"])
    if not on:
        return good("turbo", "off")
    return note("turbo", "on: the clock follows heat and the other cores", host.kernel.turbo_off)


def load(host: Host) -> Finding:
    """Whether more wants to run than there are cores; poor only if that goes on while the probe runs."""
    load, cores = host.machine.load_1min, host.machine.cores_logical
    if load is None or cores is None:
        return _unknown("load", host, "load_1min" if load is None else "cores_logical")
    text = f"{load:.2f} on {cores} cores"
    cure = "wait, or end what runs beside"
    if load > cores and (host.others is None or host.others > cores / 2):
        return poor("load", f"{text}: cores are waited for", cure)
    if load > cores / 2:
        return note("load", text, cure)
    return good("load", text)


def others(host: Host) -> Finding:
    """Who else took processor time while the probe ran."""
    if host.others is None:
        return unknown("other work", host.lacks.get("busy_seconds", "the kernel does not tell"))
    if host.others < BUSY_CORES:
        return good("other work", f"{host.others:.2f} cores")
    names = ", ".join(f"{name} {cores:.2f}" for name, cores in host.busiest[:3] if cores >= BUSY_CORES / 2)
    return note(
        "other work",
        f"{host.others:.2f} cores" + f" ({names})" * bool(names),
        "end it, or keep it off: taskset -c CORES torchgauge run",
    )


def stolen(host: Host) -> Finding:
    """Whether the hypervisor gave the cores to another machine."""
    part = _seen(host, "steal_share")
    if part is None:
        return unknown("stolen time", host.lacks.get("stolen_seconds", "too little ran to tell"))
    text = f"{share(part)} of the busy cores' time"
    if part <= STOLEN_SHARE:
        return good("stolen time", text)
    return note("stolen time", text, "the host is shared: measure in turns, or on a machine of your own")


def quota(host: Host) -> Finding:
    """Whether a container may use as many cores as torch has threads."""
    limit, threads = host.machine.cpu_limit, host.torch.threads
    if limit is None:
        why = host.unknown.get("machine.cpu_limit", "")
        return good("CPU quota", "none") if why.startswith("no limit") else unknown("CPU quota", why)
    text = f"{significant(limit, 2)} cores for {_count(threads)}"
    if limit >= threads:
        return good("CPU quota", text)
    fewer = max(1, math.floor(limit))
    return note("CPU quota", text, "raise the quota" + f", or {_threads(fewer)}" * (fewer < threads))


def throttled(host: Host) -> Finding:
    """Whether that quota stopped this process while the probe ran."""
    seconds, watched = _seen(host, "throttled_seconds"), _seen(host, "watched_seconds")
    if seconds is None or not watched:
        why = host.lacks.get("throttled_seconds", "the kernel does not tell")
        return good("throttling", "no quota") if why.startswith("no limit") else unknown("throttling", why)
    periods = _seen(host, "throttled_periods") or 0
    if seconds == 0 and periods == 0:
        return good("throttling", "none")
    part = min(1.0, seconds / watched)  # the kernel adds up cores
    text = f"the CPU quota was used up {periods:.0f} times and stopped it for {share(part)} of the time"
    cure = "raise the quota (docker run --cpus, resources.limits.cpu)"
    return poor("throttling", text, cure) if part > THROTTLED_SHARE else note("throttling", text, cure)


def affinity(host: Host) -> Finding:
    """Whether each thread has a core that it may use."""
    cores, threads = host.machine.affinity, host.torch.threads
    if cores is None:
        return _unknown("affinity", host)
    text = f"{len(cores)} of {host.machine.cores_logical or '?'} cores"
    if len(cores) < threads:
        return note("affinity", f"{text} for {_count(threads)}", _threads(len(cores)))
    return good("affinity", text)


def threads(host: Host) -> Finding:
    """Whether two of torch's threads must share a core."""
    count, cores = host.torch.threads, host.machine.cores_physical
    if cores is None:
        return _unknown("threads", host, "cores_physical")
    text = f"{count} on {cores} physical cores"
    if count > cores:
        return note("threads", f"{text}: they share units", _threads(cores))
    return good("threads", text)


def memory(host: Host) -> Finding:
    """Whether there is memory left."""
    free, total = host.machine.memory_available_bytes, host.machine.memory_bytes
    if free is None or not total:
        return _unknown("memory", host, "memory_available_bytes" if free is None else "memory_bytes")
    text = f"{format_quantity(free, 'B')} of {format_quantity(total, 'B')} available"
    cure = "end what holds it"
    if free < MEMORY_SHARES[0] * total:
        return poor("memory", text, cure)
    return note("memory", text, cure) if free < MEMORY_SHARES[1] * total else good("memory", text)


def pressure(host: Host) -> Finding:
    """Whether tasks waited for memory while the probe ran."""
    seconds, watched = _seen(host, "memory_stalled_seconds"), _seen(host, "watched_seconds")
    if seconds is None or not watched:
        why = host.lacks.get("memory_stalled_seconds", "the kernel does not tell")
        return unknown("memory pressure", why)
    part = seconds / watched
    text = "none" if part == 0 else f"tasks waited for memory {share(part)} of the time"
    if part > STALLED_SHARES[0]:
        make = poor if part > STALLED_SHARES[1] else note
        return make("memory pressure", text, "end what holds memory, or raise the limit of the container")
    return good("memory pressure", text)


def swap(host: Host) -> Finding:
    """Whether memory was written to disk."""
    used = host.kernel.swap_used_bytes
    if used is None:
        return unknown("swap", host.kernel.unknown["kernel.swap_used_bytes"])
    if used == 0:
        return good("swap", "none used")
    return note("swap", f"{format_quantity(used, 'B')} used", "with memory to spare: sudo swapoff -a")


def clock(host: Host) -> Finding:
    """Whether reading the time is quick and fine."""
    source, step = host.kernel.clock_source, host.clock_resolution
    told = f"steps of {format_quantity(step, 's')}"
    if source is not None and source not in _FAST_CLOCKS:
        better = next((name for name in _FAST_CLOCKS if name in (host.kernel.clock_sources or [])), None)
        file = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
        cure = f"echo {better} | sudo tee {file}" if better else "boot with the kernel option clocksource=tsc"
        return note("clock", f"{source}: slow to read, {told}", cure)
    if step > RESOLUTION:
        return note("clock", f"{source or 'source unknown'}, {told}: Blocks are made longer for it")
    if source is None:
        return unknown("clock", f"{told}; source: {host.kernel.unknown['kernel.clock_source']}")
    return good("clock", f"{source}, {told}")


CHECKS: tuple[Callable[[Host], Finding], ...] = (
    load, others, stolen, governor, turbo, quota, throttled, affinity, threads, memory, pressure, swap, clock,
)  # fmt: skip


def _count(threads: int) -> str:
    return f"{threads} thread{'s' * (threads != 1)}"


def _threads(count: int) -> str:
    return f"OMP_NUM_THREADS={count}"


def _seen(host: Host, name: str) -> float | None:
    value = host.conditions.get(name)
    return float(value) if isinstance(value, (int, float)) else None


def _unknown(what: str, host: Host, field: str | None = None) -> Finding:
    return unknown(what, host.unknown.get(f"machine.{field or what}", "the system does not tell"))
