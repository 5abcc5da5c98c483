"""A side's part in a pair: it warms a call, and times blocks of it whenever its turn comes.

Between two turns it waits for the conductor's word, idle, so that the other side has the machine.
"""

from __future__ import annotations

from typing import Any

from torchgauge.measure import clocks, device
from torchgauge.measure.ab.channel import Blocks, ByHost, Channel, Finish, Ready, Take
from torchgauge.measure.clock import Clock, HostClock
from torchgauge.measure.conditions import poor
from torchgauge.measure.instruments import Observation, Visit
from torchgauge.measure.sampler import calibrate, garbage_collection_off
from torchgauge.measure.subject import Subject, kept
from torchgauge.measure.telemetry import Telemetry

BLOCK_SECONDS = 2e-3
"""Long against what a turn costs, the change of process on the core; short against the machine's drift."""
WARM_UP = 3


class Turns:
    """An instrument that takes its orders from a conductor."""

    name = "time"

    def __init__(self, channel: Channel, host: Clock | None = None) -> None:
        self._channel = channel
        self._host: Clock = host or HostClock()
        self._telemetry = Telemetry()
        self._clocks: dict[str, Clock] = {}

    def observe(self, subject: Subject, visit: Visit) -> tuple[Any, list[Observation]]:
        """Make the first call, warm up, and time blocks until the conductor has enough."""
        result = kept(subject, subject.call()())
        clock = self._clock(visit, subject)
        taken: list[float] = []
        with garbage_collection_off():
            loops, took = self._warm(subject, clock)
            before = self._telemetry.snapshot(visit.device)
            while isinstance(order := self._channel.receive(Take, Finish, ByHost), Take | ByHost):
                if isinstance(order, ByHost):
                    clock = self._clocks[visit.case_id] = device.clock(visit.device, events=False)
                    loops, took = self._warm(subject, clock)
                    continue
                loops = order.loops
                seconds = [clock.time(subject.block(loops)).seconds / loops for _ in range(order.count)]
                taken += seconds
                self._channel.send(Blocks(seconds))
            after = self._telemetry.snapshot(visit.device)
        seen = Observation(clock.metric, "s", clock.method, taken or [took / loops], loops)
        seen.conditions["poor"] = poor(before, after, in_turns=True)
        return result(), [seen]

    def _warm(self, subject: Subject, clock: Clock) -> tuple[int, float]:
        """Find how many calls make a block, run a few, and tell the conductor; give that and the seconds."""
        loops = calibrate(subject, clock, target=BLOCK_SECONDS)
        took = min(clock.time(subject.block(loops)).seconds for _ in range(WARM_UP))
        self._channel.send(Ready(loops, took, clock.method))
        return loops, took

    def _clock(self, visit: Visit, subject: Subject) -> Clock:
        if visit.case_id not in self._clocks:
            self._clocks[visit.case_id] = clocks.choose(subject, visit.device, self._host).clock
        return self._clocks[visit.case_id]
