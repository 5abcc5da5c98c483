"""The time of a call: the host's clock on a CPU, device events with a filled queue on CUDA."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from torchgauge.measure import clocks, device, device_times
from torchgauge.measure.clock import Clock, EventClock, HostClock
from torchgauge.measure.instruments import Observation, Visit
from torchgauge.measure.pace import Pace, probe
from torchgauge.measure.reasons import Unknown
from torchgauge.measure.sampler import (
    BLOCK_RESOLUTIONS,
    Samples,
    empty_loop,
    garbage_collection_off,
    sample,
)
from torchgauge.measure.subject import Subject, kept
from torchgauge.measure.telemetry import Telemetry
from torchgauge.measure.watch import open_cards, watched
from torchgauge.record.schema import Scalar

EMPTY_LOOP_SHARE = 0.05


@dataclass
class _Known:
    """What the visits to a case have in common."""

    choice: clocks.Choice
    loops: int = 1
    left_out: dict[str, str] = field(default_factory=dict)
    """Further metrics that can't be taken, with a sentence each that says why."""


class Time:
    """Measures `time` (host clock) or `device_time` and `submit_time` (events), and the first call apart."""

    name = "time"

    def __init__(self, host: HostClock | None = None, telemetry: Telemetry | None = None) -> None:
        self._host = host or HostClock()
        self._telemetry = Telemetry() if telemetry is None else telemetry
        self._devices: set[str] = set()
        self._empty_loop = empty_loop(self._host)
        self._known: dict[str, _Known] = {}

    def observe(self, subject: Subject, visit: Visit) -> tuple[Any, list[Observation]]:
        """Time the subject for about `visit.seconds`; the result is the first call's."""
        result, first_call = self._first_call(subject, visit)
        known = self._know(subject, visit)
        clock = known.choice.clock
        seen = watched(
            lambda: sample(subject, clock, visit.seconds, known.loops, _pace(clock, visit), visit.patience),
            lambda: self._telemetry.snapshot(visit.device),
            visit.retry_seconds,
        )
        samples = seen.taken
        known.loops = samples.loops
        conditions: dict[str, Scalar] = seen.conditions | {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "stop": samples.stop,
            "warmup": samples.warmup,
            "warmup_seconds": samples.warmup_seconds,
            "empty_loop_seconds": self._empty_loop,
            "clock_resolution_seconds": clock.resolution,
            "garbage_collection": False,
            "synchronizes": known.choice.synchronizes or clock.waits,
        }
        observations = [
            Observation(
                clock.metric,
                "s",
                clock.method,
                samples.blocks,
                samples.loops,
                conditions,
                self._warnings(samples, known.choice) + seen.warnings,
                paces=samples.paces,
            )
        ]
        if samples.submits:
            observations.append(
                Observation("submit_time", "s", "host-clock", samples.submits, samples.loops, conditions)
            )
        if isinstance(clock, EventClock) and not clock.waits:
            further, left_out = self._further(subject, visit, known)
            observations += further
            observations[0].warnings.extend(left_out)
        if visit.first:
            observations.append(Observation("first_call", "s", "host-clock", [first_call], 1, conditions))
        return result(), observations

    def _first_call(self, subject: Subject, visit: Visit) -> tuple[Callable[[], Any], float]:
        """Call once with the device idle before and after; lazy loading and compiling show here."""
        wait = device.synchronizer(visit.device) or (lambda: None)
        call = subject.call()
        with garbage_collection_off():
            wait()
            start = self._host.now()
            result = call()
            wait()
            seconds = (self._host.now() - start) * 1e-9
            return kept(subject, result), seconds

    def _know(self, subject: Subject, visit: Visit) -> _Known:
        """Find out once how a case is to be timed. Its clock is its own: it learns from block to block."""
        if visit.device not in self._devices:
            self._devices.add(visit.device)
            self._telemetry.add(open_cards([visit.device], device.describe)[0])
        if visit.case_id not in self._known:
            self._known[visit.case_id] = _Known(clocks.choose(subject, visit.device, self._host))
        return self._known[visit.case_id]

    def _further(self, subject: Subject, visit: Visit, known: _Known) -> tuple[list[Observation], list[str]]:
        """Take the other times of a CUDA case; what can't be taken is tried once in a process, and named."""
        queue, seconds = device.queue(visit.device), device_times.SHARE * visit.seconds
        takes: dict[str, Callable[[], Observation]] = {
            "device_time_cold": lambda: device_times.cold(subject, queue, self._host.now, seconds),
            "graph_time": lambda: device_times.graph(subject, queue, self._host.now, seconds, known.loops),
        }
        found = []
        for metric, take in takes.items():
            if metric not in known.left_out:
                try:
                    found.append(take())
                except Unknown as error:
                    known.left_out[metric] = f"{metric} is left out: {error}"
        return found, list(known.left_out.values())

    def _warnings(self, samples: Samples, choice: clocks.Choice) -> list[str]:
        clock = choice.clock
        found = ["the device has nothing to do for it: this is the host's time"] if choice.idle else []
        fastest = min(samples.blocks)
        if clock.metric == "time" and self._empty_loop > EMPTY_LOOP_SHARE * fastest:
            found.append(f"the empty loop ({self._empty_loop * 1e9:.0f} ns a call) is over 5 % of this time")
        if fastest * samples.loops < 0.5 * BLOCK_RESOLUTIONS * clock.resolution:
            found.append("blocks are shorter than 500 steps of the clock")
        if clock.waits:
            found.append("it waits for the device by itself: the queue could not be filled")
        elif samples.starved > len(samples.blocks) // 2:
            found.append("launch-bound: the device waited for the host, the time holds gaps between launches")
        if samples.warmup == "time":
            found.append("still changing when the warm-up's time was up")
        return found


def _pace(clock: Clock, visit: Visit) -> Pace | None:
    """Take the machine's pace where host and device are one; a device's time does not feel it."""
    return Pace(probe(clock.now), visit.undisturbed) if visit.device == "cpu" else None
