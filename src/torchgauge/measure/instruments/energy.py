"""The energy of a call: a counter's difference over seconds of calls, the idle power taken off.

Counters step about every 100 ms on a card, so a window lasts seconds, begins and ends on a step, and
holds as many calls as fit. A call's own energy is what its window holds above the idle power that was
measured just before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from torchgauge.measure import device, joules
from torchgauge.measure.clock import HostClock
from torchgauge.measure.instruments import Observation, Visit
from torchgauge.measure.joules import Meter, Window
from torchgauge.measure.reasons import Unknown
from torchgauge.measure.sampler import calibrate, garbage_collection_off
from torchgauge.measure.subject import Subject, kept
from torchgauge.measure.telemetry import Telemetry
from torchgauge.measure.watch import open_cards, watched
from torchgauge.record.schema import Scalar

IDLE_SECONDS, WINDOW_SECONDS = 1.0, 3.0
LEAST_SHARE = 0.05
"""Calls that add less than this to the idle power can't be told from its wandering."""


def open_meter(place: str) -> Meter:
    """Open the counter of a device; raises Unknown with the reason where there is none."""
    return joules.meter(place, lambda name: device.describe(name).uuid)


class Energy:
    """Measures `energy`, in joules a call above idle, and `power`, in watts with idle."""

    name = "energy"

    def __init__(
        self,
        meters: Callable[[str], Meter] = open_meter,
        host: HostClock | None = None,
        sleep: Callable[[float], None] = time.sleep,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._open = meters
        self._host = host or HostClock()
        self._sleep = sleep
        self._telemetry = Telemetry() if telemetry is None else telemetry
        self._meters: dict[str, Meter] = {}

    def observe(self, subject: Subject, visit: Visit) -> tuple[Any, list[Observation]]:
        """Measure the idle power, then call for some seconds.

        Raises:
            Unknown: the counter can't be read.

        """
        result = kept(subject, subject.call()())
        wait = device.synchronizer(visit.device) or (lambda: None)
        if visit.device not in self._meters:
            self._meters[visit.device] = self._open(visit.device)
            self._telemetry.add(open_cards([visit.device], device.describe)[0])
        meter = self._meters[visit.device]
        clock = HostClock(device.synchronizer(visit.device), self._host.now)

        def block(loops: int) -> None:
            subject.block(loops)()
            wait()

        with garbage_collection_off():
            loops = calibrate(subject, clock)
            idle = self._window(meter, lambda: self._sleep(IDLE_SECONDS / 10), IDLE_SECONDS)
            seen = watched(
                lambda: self._window(meter, lambda: block(loops), WINDOW_SECONDS),
                lambda: self._telemetry.snapshot(visit.device),
                0.0,
            )
        window = seen.taken
        calls = window.runs * loops
        conditions: dict[str, Scalar] = seen.conditions | {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "idle_watts": idle.watts,
            "window_seconds": window.seconds,
            "calls": calls,
        }
        warnings = list(seen.warnings)
        if subject.prepare is not None:
            warnings.append("the energy of making its arguments is in it")
        above = window.joules - idle.watts * window.seconds
        found = [Observation("power", "W", meter.method, [window.watts], calls, conditions, warnings)]
        if above < LEAST_SHARE * window.joules:
            warnings.append("energy is left out: the calls add less than 5 % to the idle power")
        else:
            energy = Observation("energy", "J", meter.method, [above / calls], calls, conditions, warnings)
            found.insert(0, energy)
        return result(), found

    def _window(self, meter: Meter, run: Callable[[], object], seconds: float) -> Window:
        return joules.window(meter, run, seconds, lambda: self._host.now() * 1e-9, self._sleep)


def lacks(devices: Sequence[str], meters: Callable[[str], Meter] = open_meter) -> dict[str, str]:
    """Give the devices whose energy can't be counted, with the reasons."""
    found = {}
    for place in devices:
        try:
            meters(place)
        except Unknown as error:
            found[place] = str(error)
    return found
