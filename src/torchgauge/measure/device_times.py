"""Two more times of a CUDA case beside the hot one: with a cold cache, and replayed as a graph.

Each is a metric of its own with a method of its own, never compared with the other: hot calls find
their data in the cache and their launches hidden, cold calls find no data, a graph has no launches.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from torchgauge.measure.clock import Block, EventClock, NowNs, Queue
from torchgauge.measure.instruments import Observation
from torchgauge.measure.reasons import Unknown
from torchgauge.measure.sampler import MOST_QUEUED, garbage_collection_off
from torchgauge.measure.subject import Loop, Subject

SHARE = 0.25
"""Of a visit's time, for each of the two, on top of it."""
LEAST_BLOCKS, MOST_BLOCKS = 3, 200
WARM_UP = 2
OVERHEAD_SHARE = 0.05


def cold(subject: Subject, queue: Queue, now: NowNs, seconds: float) -> Observation:
    """Time calls one by one, the cache flushed before each.

    Raises:
        Unknown: the cache can't be flushed.

    """
    clock = EventClock(queue, now, cold=True)
    blocks = _several(clock, lambda: subject.block(1), seconds)
    samples = [block.seconds for block in blocks]
    warnings = _starved(blocks)
    if clock.overhead > OVERHEAD_SHARE * median(samples):
        warnings.append(
            f"two events with nothing between them are {clock.overhead * 1e6:.1f} µs apart: "
            "over 5 % of this time, and in it"
        )
    return _observation(clock.metric, clock, samples, 1, warnings)


def graph(subject: Subject, queue: Queue, now: NowNs, seconds: float, loops: int) -> Observation:
    """Time replays of a graph of `loops` calls, in seconds per call.

    Raises:
        Unknown: the calls can't be captured, or must not be: a graph would use the same arguments again.

    """
    if subject.prepare is not None:
        raise Unknown("its arguments are made anew for each block, and a graph would take the same again")
    loops = min(loops, MOST_QUEUED)
    with garbage_collection_off():
        replay = queue.capture(lambda: subject.block(loops)())  # a block runs once: capturing takes two
    clock = EventClock(queue, now)
    blocks = _several(clock, lambda: replay, seconds)
    samples = [block.seconds / loops for block in blocks]
    return _observation("graph_time", clock, samples, loops, _starved(blocks), "cuda-graph-replay")


def _several(clock: EventClock, block: Callable[[], Loop], seconds: float) -> list[Block]:
    with garbage_collection_off():
        for _ in range(WARM_UP):
            clock.time(block())
        until = clock.now() + round(seconds * 1e9)
        blocks: list[Block] = []
        while len(blocks) < LEAST_BLOCKS or (clock.now() < until and len(blocks) < MOST_BLOCKS):
            blocks.append(clock.time(block()))
        return blocks


def _starved(blocks: list[Block]) -> list[str]:
    if sum(block.starved for block in blocks) > len(blocks) // 2:
        return ["launch-bound: the device waited for the host, the time holds gaps between launches"]
    return []


def _observation(
    metric: str,
    clock: EventClock,
    samples: list[float],
    loops: int,
    warnings: list[str],
    method: str | None = None,
) -> Observation:
    conditions = {"clock_resolution_seconds": clock.resolution, "garbage_collection": False}
    return Observation(metric, "s", method or clock.method, samples, loops, dict(conditions), warnings)
