"""One look at the machine: findings, how fine a difference it can tell, ceilings, and a verdict."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from torchgauge import __version__
from torchgauge.measure import conditions, device, environment, nvml, telemetry, valgrind
from torchgauge.measure.clock import resolution
from torchgauge.measure.doctor import card, cards, host, kernel, probe, reach, software
from torchgauge.measure.doctor.findings import Finding, good, note, poor, share
from torchgauge.measure.doctor.workloads import workloads
from torchgauge.measure.reasons import reason
from torchgauge.record.schema import Environment, Scalar

SCHEMA = 1
PROBE_SECONDS, CEILING_SECONDS = 4.0, 2.5
COARSE = 0.10
"""A comparison in turns that can't tell a tenth is too poor for a judgement."""


class Examination(Struct, frozen=True, kw_only=True):
    """What `torchgauge doctor` found, and what it prints as JSON. Shares: 0.01 is 1 %."""

    schema: int
    torchgauge: str
    taken: str
    verdict: str
    """"fine", or "poor": a judgement on this machine would be worthless now."""
    devices: list[str]
    findings: list[Finding]
    paired_difference: float | None
    """What a comparison in turns can tell, of the workload for which that is coarsest."""
    moment_spread: float | None
    """How far times wander from moment to moment, of the workload for which that is widest."""
    precision: list[probe.Precision]
    ceilings: list[reach.Reach]
    environment: Environment


@dataclass(frozen=True)
class Surroundings:
    """Where facts come from; the tests put others in their place."""

    root: Path = Path("/")
    variables: Mapping[str, str] = field(default_factory=lambda: os.environ)
    library: Callable[[], nvml.Library] = nvml.load
    probe_seconds: float = PROBE_SECONDS
    ceiling_seconds: float = CEILING_SECONDS


def examine(
    devices: Sequence[str],
    published: reach.Published,
    say: Callable[[str], None],
    surroundings: Surroundings | None = None,
) -> Examination:
    """Look at the machine and at the devices. What can't be found out or done is a finding, never an error.

    Args:
        devices: torch device strings.
        published: gives the published peaks of an accelerator.
        say: takes a line of progress.
        surroundings: where facts come from.

    """
    where = surroundings or Surroundings()
    known = environment.collect(
        devices, Path(), root=where.root, variables=where.variables, library=where.library
    )
    facts = kernel.read_kernel(where.root)
    opened, refused = cards.open_cards(devices, where.library)
    say(f"how fine a difference it can tell: about {math.ceil(where.probe_seconds)} s")
    watch = _Watch(where.root, opened)
    precision, findings = _probe(devices, where.probe_seconds)
    seen = watch.end()
    findings += [check(_host(known, facts, seen)) for check in host.CHECKS]
    findings += [check(_software(known, facts, where.variables)) for check in software.CHECKS]
    for one in known.accelerators:
        if one.device.startswith("cuda"):
            asked = cards.read(
                one, known, opened.get(one.device), refused.get(one.device), facts, is_admin=_is_admin()
            )
            findings += [check(asked) for check in card.CHECKS]
    say(f"ceilings: about {math.ceil(where.ceiling_seconds)} s")
    found: list[reach.Reach] = []
    for name in devices:
        try:
            found += reach.reaches(name, where.ceiling_seconds / len(devices), known, published, where.root)
        except Exception as error:
            findings.append(note(f"{name} ceilings", f"can't be measured: {reason(error)}", _cure(error)))
    return Examination(
        schema=SCHEMA,
        torchgauge=__version__,
        taken=datetime.now(UTC).isoformat(timespec="seconds"),
        verdict=verdict(findings),
        devices=list(devices),
        findings=findings,
        paired_difference=probe.worst(precision, lambda one: one.paired_difference),
        moment_spread=probe.worst(precision, lambda one: one.moment_spread),
        precision=precision,
        ceilings=found,
        environment=known,
    )


def verdict(findings: Sequence[Finding]) -> str:
    """Give "poor" where one finding makes a judgement worthless, else "fine"."""
    return "poor" if any(one.level == "poor" for one in findings) else "fine"


def precise(difference: float | None) -> Finding:
    """Whether a comparison in turns could tell a difference that matters."""
    cure = "end what disturbs the machine, or measure on a quieter one"
    if difference is None:  # the work is cut to last half of the time that it gets
        return poor("precision", "not known: work took many times as long as it should", cure)
    text = f"a comparison in turns tells {share(difference)}"
    if difference > COARSE:
        return poor("precision", text, cure)
    return good("precision", text)


def _probe(devices: Sequence[str], seconds: float) -> tuple[list[probe.Precision], list[Finding]]:
    try:
        found = probe.probe(workloads(devices), seconds, time.perf_counter_ns)
    except Exception as error:
        return [], [poor("precision", f"the probe failed: {reason(error)}", _cure(error))]
    return found, [precise(probe.worst(found, lambda one: one.paired_difference))]


@dataclass(frozen=True)
class _Seen:
    conditions: Mapping[str, Scalar]
    lacks: Mapping[str, str]
    others: float | None
    busiest: Sequence[tuple[str, float]]


class _Watch:
    """Looks at what goes on beside this process, from its making to `end`."""

    def __init__(self, root: Path, opened: Mapping[str, nvml.Card]) -> None:
        self._root = root
        self._telemetry = telemetry.Telemetry(opened, root=root)
        self._processes = kernel.processes(root)
        self._own = time.process_time()
        self._before = self._telemetry.snapshot()

    def end(self) -> _Seen:
        before, after = self._before, self._telemetry.snapshot()
        own = time.process_time() - self._own
        seconds = after.at - before.at
        others = None
        if before.busy_seconds is not None and after.busy_seconds is not None:
            others = max(0.0, (after.busy_seconds - before.busy_seconds - own) / seconds)  # ticks are coarse
        return _Seen(
            conditions.conditions(before, after),
            self._telemetry.lacks,
            others,
            kernel.busiest(self._processes, kernel.processes(self._root), seconds),
        )


def _host(known: Environment, facts: kernel.Kernel, seen: _Seen) -> host.Host:
    return host.Host(
        machine=known.machine,
        torch=known.torch,
        kernel=facts,
        unknown=known.unknown,
        conditions=seen.conditions,
        lacks=seen.lacks,
        others=seen.others,
        busiest=seen.busiest,
        clock_resolution=resolution(time.perf_counter_ns),
    )


def _software(known: Environment, facts: kernel.Kernel, variables: Mapping[str, str]) -> software.Software:
    return software.Software(
        torch=known.torch,
        unknown=known.unknown,
        variables=variables,
        python=software.read_python(),
        kernel=facts,
        accelerators=tuple(name for name in device.available() if name != "cpu"),
        valgrind=valgrind.lacking("cpu"),
    )


def _is_admin() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _cure(error: Exception) -> str | None:
    full = (device.unsupported(error) or "").startswith("out of memory")
    return "end what holds the memory, or choose another device with --device" if full else None
