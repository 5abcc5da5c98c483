"""One look at the machine: findings, how fine a difference it can tell, ceilings, and a verdict."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from msgspec import Struct

from torchgauge import __version__
from torchgauge.measure import ceilings, device, environment, nvml, telemetry, valgrind
from torchgauge.measure.clock import HostClock, resolution
from torchgauge.measure.doctor import card, host, kernel, peak, probe, software
from torchgauge.measure.doctor.findings import Finding, good, poor, share, unknown
from torchgauge.measure.reasons import Unknown, reason
from torchgauge.measure.subject import Subject
from torchgauge.record.schema import Environment, Scalar

SCHEMA = 1
PROBE_SECONDS = 4.0
CEILING_SECONDS = 2.5
COARSE = 0.10
"""A paired comparison that can't tell a tenth is too poor for a judgement."""
DTYPES = {"cpu": ("float32", "bfloat16"), "cuda": ("float32", "tf32", "bfloat16", "float16")}

Say = Callable[[str], None]
Peak = Callable[[str, str | None, str], tuple[float | None, str]]
"""From an accelerator's name, a dtype and a unit to its published peak and where that stands, or to None
and the reason."""


class Ceiling(Struct, frozen=True, kw_only=True):
    """A measured ceiling beside what such hardware should reach. Rates and seconds in `unit`."""

    name: str
    device: str
    dtype: str | None
    params: dict[str, Scalar]
    unit: str
    value: float
    low: float | None
    high: float | None
    peak: float | None
    peak_source: str
    """Where the peak comes from; why there is none where it is None."""
    warnings: list[str]


class Examination(Struct, frozen=True, kw_only=True):
    """What `torchgauge doctor` found; what it prints as JSON."""

    schema: int
    torchgauge: str
    taken: str
    verdict: str
    """"fine", or "poor": then a judgement on this machine would be worthless now."""
    devices: list[str]
    findings: list[Finding]
    paired_difference: float | None
    """The coarsest of the workloads': what a comparison in turns can tell, as a share."""
    moment_spread: float | None
    """The widest of the workloads': how far times wander from moment to moment, as a share."""
    precision: list[probe.Precision]
    ceilings: list[Ceiling]
    environment: Environment


@dataclass(frozen=True)
class Seconds:
    """How long to look."""

    probe: float = PROBE_SECONDS
    ceilings: float = CEILING_SECONDS


def examine(
    devices: Sequence[str],
    published: Peak,
    *,
    say: Say = lambda _: None,
    seconds: Seconds = Seconds(),  # noqa: B008  (frozen)
    root: Path = Path("/"),
    variables: Mapping[str, str] = os.environ,
    library: Callable[[], nvml.Library] = nvml.load,
) -> Examination:
    """Look at the machine and at the devices. What can't be found out or done is a finding, no error.

    Args:
        devices: torch device strings.
        published: gives the published peak of an accelerator.
        say: takes a line of progress.
        seconds: for what takes long.
        root: where /proc and /sys are.
        variables: the process's environment variables.
        library: gives NVIDIA's management library.

    """
    surroundings = environment.collect(devices, Path(), root=root, variables=variables, library=library)
    facts = kernel.read_kernel(root)
    cards, refused = _cards(devices, library)
    findings: list[Finding] = []
    say(f"how fine a difference can be told: about {seconds.probe:.0f} s")
    watched = telemetry.Telemetry(cards, root=root)
    before, busy_before, own_before = watched.snapshot(), kernel.processes(root), time.process_time()
    try:
        precision = probe.probe(_workloads(devices), seconds.probe, time.perf_counter_ns)
    except Exception as error:
        precision = []
        findings.append(poor("precision", f"the probe failed: {reason(error)}", _cure(error)))
    own = time.process_time() - own_before
    after, busy_after = watched.snapshot(), kernel.processes(root)
    span = after.at - before.at
    conditions = telemetry.conditions(before, after)
    others = None
    if before.busy_seconds is not None and after.busy_seconds is not None and span > 0:
        others = max(0.0, (after.busy_seconds - before.busy_seconds - own) / span)  # ticks are coarse
    findings += _check(
        host.CHECKS,
        host.Host(
            machine=surroundings.machine,
            torch=surroundings.torch,
            kernel=facts,
            unknown=surroundings.unknown,
            conditions=conditions,
            lacks=watched.lacks,
            others=others,
            busiest=kernel.busiest(busy_before, busy_after, span) if span > 0 else [],
            clock_resolution=resolution(time.perf_counter_ns),
        ),
    )
    findings += _check(
        software.CHECKS,
        software.Software(
            torch=surroundings.torch,
            unknown=surroundings.unknown,
            variables=variables,
            python=software.read_python(),
            kernel=facts,
            accelerators=tuple(name for name in device.available() if name != "cpu"),
            valgrind=valgrind.lacking(lambda: torch._C._valgrind_supported_platform()),  # type: ignore[attr-defined]
        ),
    )
    for accelerator in surroundings.accelerators:
        if accelerator.device.startswith("cuda"):
            asked = _card_facts(accelerator, surroundings, cards, refused, facts)
            findings += _check(card.CHECKS, asked)
    say(f"ceilings: about {seconds.ceilings:.0f} s")
    measured: list[Ceiling] = []
    for name in devices:
        try:
            measured += _ceilings(name, seconds.ceilings / len(devices), surroundings, published, root)
        except Exception as error:
            findings.append(unknown(f"{name} ceilings", f"could not be measured: {reason(error)}"))
    difference = probe.worst(precision, lambda one: one.paired_difference)
    if precision:
        findings.insert(0, precise(difference))
    return Examination(
        schema=SCHEMA,
        torchgauge=__version__,
        taken=datetime.now(UTC).isoformat(timespec="seconds"),
        verdict=verdict(findings),
        devices=list(devices),
        findings=findings,
        paired_difference=difference,
        moment_spread=probe.worst(precision, lambda one: one.moment_spread),
        precision=precision,
        ceilings=measured,
        environment=surroundings,
    )


def precise(difference: float | None) -> Finding:
    """Whether a comparison in turns could tell a difference that matters."""
    if difference is None:
        return unknown("precision", "the work took too long for enough rounds")
    text = f"in turns, {share(difference)} can be told"
    if difference > COARSE:
        return poor("precision", text, "find out below what disturbs it, or use a quieter machine")
    return good("precision", text)


def verdict(findings: Sequence[Finding]) -> str:
    """Give "poor" where one finding makes a judgement worthless, else "fine"."""
    return "poor" if any(one.level == "poor" for one in findings) else "fine"


def _check[F](checks: Sequence[Callable[[F], Finding]], facts: F) -> list[Finding]:
    return [check(facts) for check in checks]
