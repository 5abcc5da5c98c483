"""How one case is sampled in one visit: calibrate, warm up, time blocks, stop.

Noise on a machine only adds and wanders, so a visit is short: many visits spread over the run (its
rounds) say more than one long one. Everything here takes its time from a `Clock`; with a fake one no
real time passes.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from torchgauge.estimate import quantile
from torchgauge.measure.clock import Block, Clock
from torchgauge.measure.pace import Pace
from torchgauge.measure.subject import Subject, nothing

BLOCK_SECONDS = 1e-3
BLOCK_RESOLUTIONS = 1000
"""A block lasts at least this many steps of its clock: 0.1 % of rounding."""
MOST_PREPARED = 64
"""States prepared at once where each call gets its own: memory is bounded, the block may be shorter."""
MOST_QUEUED = 256
"""Calls a block on a device's queue: past about 1,000 launches the queue is full and the host waits."""
MOST_BLOCKS = 2000
LEAST_BLOCKS = 3


@dataclass
class Samples:
    """What a visit saw. `blocks` are in seconds per call; `submits` likewise, empty without a queue;
    `paces` in seconds around each block, empty where the pace was not taken."""

    loops: int
    blocks: list[float] = field(default_factory=list)
    paces: list[float] = field(default_factory=list)
    submits: list[float] = field(default_factory=list)
    starved: int = 0
    stop: str = "time"
    warmup: str = "settled"
    warmup_seconds: float = 0.0

    def add(self, block: Block, pace: float | None) -> None:
        """Keep one block."""
        self.blocks.append(block.seconds / self.loops)
        if block.submit is not None:
            self.submits.append(block.submit / self.loops)
        self.starved += block.starved
        if pace is not None:
            self.paces.append(pace)


def sample(
    subject: Subject,
    clock: Clock,
    seconds: float,
    loops: int = 1,
    pace: Pace | None = None,
    patience: float = 0.0,
) -> Samples:
    """Sample a subject for about `seconds`.

    Args:
        subject: the call; it has been called before, so nothing is lazy any more.
        clock: times the blocks.
        seconds: the visit's share of time, warm-up included. At least one block is timed, however
            long it takes, and three where they fit into four times the share.
        loops: where calibration begins; give the last visit's loops to save time.
        pace: taken around each block.
        patience: seconds for which a visit goes on that has seen fewer than three undisturbed blocks.

    """
    with garbage_collection_off():
        begin = clock.now()
        loops = calibrate(subject, clock, loops)
        samples = Samples(loops)
        samples.warmup, settled = _warm_up(subject, clock, loops, begin + round(0.25 * seconds * 1e9), pace)
        samples.warmup_seconds = (clock.now() - begin) * 1e-9
        for block, around in settled:
            samples.add(block, around)
        while True:
            block = clock.time(subject.block(loops))
            samples.add(block, None if pace is None else pace.after_block())
            spent = (clock.now() - begin) * 1e-9
            stop = _stop(samples.blocks, spent, seconds)
            if stop and pace and pace.calm(samples.paces) < LEAST_BLOCKS:
                stop = "disturbed" if spent >= patience else None
            if stop:
                samples.stop = stop
                return samples


def calibrate(subject: Subject, clock: Clock, loops: int = 1, target: float = BLOCK_SECONDS) -> int:
    """Find how many calls make a block of about `target` seconds and of at least 1,000 clock resolutions."""
    target = max(target, BLOCK_RESOLUTIONS * clock.resolution)
    most = MOST_PREPARED if subject.prepare is not None and subject.each == "call" else 10**7
    if clock.metric == "device_time":
        most = min(most, MOST_QUEUED)
    loops = min(loops, most)
    while True:
        took = clock.time(subject.block(loops)).seconds
        if loops > 1 and took > 2 * target:  # it may have been disturbed: a second block tells
            took = min(took, clock.time(subject.block(loops)).seconds)
        if took >= 0.75 * target and (loops == 1 or took <= 2 * target):
            return loops
        wanted = math.ceil(loops * target / took) if took > 0 else loops * 10
        wanted = max(1, min(wanted, loops * 10, most))
        if wanted == loops:
            return loops
        if took > target:  # it began too long: one step down, and stay
            return wanted
        loops = wanted


def empty_loop(clock: Clock) -> float:
    """Measure what the loop costs at the most: seconds per call of a Python function that does nothing."""
    return quantile(sample(Subject(nothing), clock, 0.05).blocks, 0.05)


def _warm_up(
    subject: Subject, clock: Clock, loops: int, until: int, pace: Pace | None
) -> tuple[str, list[tuple[Block, float | None]]]:
    """Run blocks until three in a row are like the three before, or the time is up.

    Returns:
        "settled" and the last three blocks with their paces, which count as samples; "time" if they
        still changed; "short" if fewer than six fit into the time.

    """
    recent: list[tuple[Block, float | None]] = []
    while clock.now() < until:
        block = clock.time(subject.block(loops))
        recent.append((block, None if pace is None else pace.after_block()))
        if len(recent) >= 6:
            before = median(block.seconds for block, _ in recent[-6:-3])
            after = median(block.seconds for block, _ in recent[-3:])
            if abs(after - before) <= 0.05 * before:
                return "settled", recent[-3:]
    return "time" if len(recent) >= 6 else "short", []


def _stop(blocks: list[float], spent: float, seconds: float) -> str | None:
    count = len(blocks)
    if spent >= seconds and (count >= LEAST_BLOCKS or spent >= 4 * seconds):
        return "time"
    if count >= MOST_BLOCKS:
        return "blocks"
    if count >= 200 and count % 50 == 0:
        half, whole = quantile(blocks[: count // 2], 0.05), quantile(blocks, 0.05)
        if abs(half - whole) <= 0.001 * whole:
            return "plateau"
    return None


@contextmanager
def garbage_collection_off() -> Iterator[None]:
    """Keep Python's garbage collector from running meanwhile."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
