"""Where a time comes from: the host's clock, or events in a device's queue.

Both clocks answer one question: how long does this block of calls take? Neither knows torch; a device's
queue is behind the `Queue` protocol (measure/device/ has the real ones, the tests have fakes).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

NowNs = Callable[[], int]


@dataclass(frozen=True)
class Block:
    """One timed block, in seconds for the whole block.

    `submit` is the host's share of it, None where host and device are one. `starved` says that the
    device ran dry before the host had submitted all: the time then holds gaps between launches.
    """

    seconds: float
    submit: float | None = None
    starved: bool = False


class Clock(Protocol):
    """Times a block of calls."""

    waits: bool
    """Whether the clock has found that the blocks wait for the device by themselves."""

    metric: str
    method: str

    @property
    def resolution(self) -> float:
        """The smallest step it can tell, in seconds."""
        ...

    now: NowNs
    """The host's clock, for budgets; in nanoseconds."""

    def time(self, block: Callable[[], None]) -> Block:
        """Run the block once and time it."""
        ...


class HostClock:
    """`perf_counter_ns` around the block; on a device, with a synchronization before and after it."""

    metric = "time"
    waits = False

    def __init__(
        self, synchronize: Callable[[], None] | None = None, now: NowNs = time.perf_counter_ns
    ) -> None:
        self.now = now
        self.method = "host-clock" if synchronize is None else "host-clock-synchronized"
        self._synchronize = synchronize
        self.resolution = resolution(now)

    def time(self, block: Callable[[], None]) -> Block:
        """Time the block from the call to its end (on a device: to the end of all that it queued)."""
        now, synchronize = self.now, self._synchronize
        if synchronize is None:
            start = now()
            block()
            return Block((now() - start) * 1e-9)
        synchronize()
        start = now()
        block()
        submitted = now()
        synchronize()
        return Block((now() - start) * 1e-9, submit=(submitted - start) * 1e-9)


class Event(Protocol):
    """A mark in a device's queue."""

    def record(self) -> None:
        """Put the mark at the end of the queue."""
        ...

    def query(self) -> bool:
        """Whether the device has passed the mark."""
        ...

    def synchronize(self) -> None:
        """Wait until the device has passed the mark."""
        ...

    def elapsed_time(self, end_event: Any, /) -> float:
        """Milliseconds between two marks that the device has passed."""
        ...


class Queue(Protocol):
    """What the event clock needs of a device."""

    @property
    def event_resolution(self) -> float:
        """The smallest step between the times of two events, in seconds."""
        ...

    @property
    def event_overhead(self) -> float:
        """What two events are apart with nothing between them, in seconds."""
        ...

    def event(self) -> Event:
        """Make an event that can be timed."""
        ...

    def sleep(self, seconds: float) -> None:
        """Queue a kernel that does nothing for about that long; it ends by itself."""
        ...

    def synchronize(self) -> None:
        """Wait until the queue is empty."""
        ...

    def flush(self) -> None:
        """Queue a write over twice the size of the device's last cache: nothing of before is left in it.

        Raises:
            Unknown: the size of the cache is not known.

        """
        ...

    def capture(self, block: Callable[[], None]) -> Callable[[], None]:
        """Capture what a block queues as a graph, after a run to warm up; give what replays it.

        Args:
            block: it is run twice.

        Raises:
            Unknown: it can't be captured; the queue is as usable as before.

        """
        ...


class EventClock:
    """Device events around the block, with the queue filled first.

    A sleep kernel holds the device while the host submits the block, so that the device then runs it
    without gaps. The sleep is bounded: a block that waits for the device waits for its end, nothing
    more. It is twice as long as the last block's submission took; if the device woke before all was
    submitted it was too short: the block is marked starved, and the factor grows for the next ones.
    Blocks that outlast the sleep again and again, however long it is, wait for the device by
    themselves (a copy from pageable memory does, and torch does not tell): they get no sleep any more.

    The order (synchronize, sleep, event, block, event, look whether the device still slept,
    synchronize) follows nvbench's cold measurement, with a bounded sleep for its blocking kernel.

    With `cold` the last cache is flushed before the sleep, so that the block finds nothing in it. The
    flush lies before the first event and is no part of the time; nor does it hide the submission, since
    the sleep comes after it.
    """

    waits = False
    shortest_sleep, longest_sleep = 200e-6, 20e-3

    def __init__(self, queue: Queue, now: NowNs = time.perf_counter_ns, *, cold: bool = False) -> None:
        self.metric = "device_time_cold" if cold else "device_time"
        self.method = "device-events-cache-flushed" if cold else "device-events"
        self._cold = cold
        self.now = now
        self._queue = queue
        self._sleep = self.shortest_sleep
        self._factor = 2
        self._outlasted = 0
        self._submit: float | None = None

    @property
    def resolution(self) -> float:
        """See `Clock`."""
        return self._queue.event_resolution

    @property
    def overhead(self) -> float:
        """What a block without any work takes, in seconds."""
        return self._queue.event_overhead

    def time(self, block: Callable[[], None]) -> Block:
        """Time the block on the device; `submit` is how long the host took to hand it over."""
        queue = self._queue
        begin, end = queue.event(), queue.event()
        queue.synchronize()
        if self._cold:
            queue.flush()
        if not self.waits:
            queue.sleep(self._sleep)
        begin.record()
        start = self.now()
        block()
        submit = (self.now() - start) * 1e-9
        end.record()
        starved = begin.query()
        end.synchronize()
        expected = self._submit is not None and 1.5 * self._submit < self._sleep
        self._outlasted = self._outlasted + 1 if expected and submit > 0.9 * self._sleep else 0
        self.waits = self.waits or self._outlasted >= 3
        self._submit = submit
        if starved:
            self._factor = min(2 * self._factor, 64)
        self._sleep = min(self.longest_sleep, max(self.shortest_sleep, self._factor * submit))
        return Block(begin.elapsed_time(end) * 1e-3, submit=submit, starved=starved)


def resolution(now: NowNs, tries: int = 100) -> float:
    """Measure the smallest step of a clock in seconds, as the least difference of two readings."""
    least = None
    for _ in range(tries):
        first = now()
        second = now()
        while second == first:
            second = now()
        least = second - first if least is None else min(least, second - first)
    return (least or 1) * 1e-9
