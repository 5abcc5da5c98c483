"""Worlds whose truth is known: the sampler and its interval on a fake clock that drifts, jumps and spikes."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean, median, stdev

from fakes import FakeCall, FakeClock, FakeNow
from torchgauge.estimate import estimate, quantile
from torchgauge.measure.pace import Pace
from torchgauge.measure.sampler import sample
from torchgauge.measure.subject import Subject
from torchgauge.pace import calm_samples

SECONDS = 20e-6
VISIT = 0.04
PACE = 16e-6


@dataclass(frozen=True)
class World:
    """How a machine disturbs a call that takes 20 µs. Spreads are standard deviations of the log."""

    name: str
    drift: float = 0.0
    """Of the level from round to round: what a machine does in seconds."""
    rho: float = 0.0
    """Of a block's noise with the block before: 0 is independent."""
    noise: float = 0.02
    spikes: float = 0.0
    """Share of the blocks that take three times as long."""
    slow: float = 0.0
    """Share of the time in which a neighbour slows the machine down, in stretches of about 30 blocks."""
    slowed: float = 1.7
    seen: bool = True
    """Whether the pace is taken. It then feels the neighbour as the call does."""


WORLDS = (
    World("quiet"),
    World("drift", drift=0.05),
    World("AR(1) 0.5", rho=0.5, noise=0.05),
    World("drift and AR(1) 0.5", drift=0.05, rho=0.5, noise=0.05),
    World("drift and AR(1) 0.9", drift=0.05, rho=0.9, noise=0.05),
    World("spikes", drift=0.02, spikes=0.05),
    World("two speeds, pace taken", drift=0.02, slow=0.5),
    World("two speeds, pace not taken", drift=0.02, slow=0.5, seen=False),
)


class _Machine:
    """The state that a world's blocks and probes share."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self._world = world
        self._chance = chance
        self._level = math.exp(chance.gauss(0, world.drift))
        self._noise = chance.gauss(0, world.noise)
        self._is_slow = chance.random() < world.slow

    def blocks(self) -> Iterator[float]:
        """Give the factor of each block in turn."""
        world, chance = self._world, self._chance
        while True:
            if chance.random() < 1 / 30:
                self._is_slow = chance.random() < world.slow
            fresh = chance.gauss(0, world.noise * math.sqrt(1 - world.rho**2))
            self._noise = world.rho * self._noise + fresh
            spike = 3.0 if chance.random() < world.spikes else 1.0
            yield self._level * math.exp(self._noise) * spike * self.speed

    @property
    def speed(self) -> float:
        return self._world.slowed if self._is_slow else 1.0


def visit(world: World, chance: random.Random) -> tuple[list[float], list[float]]:
    """Sample one visit with the real sampler; give the blocks that nothing disturbed, and all."""
    machine = _Machine(world, chance)
    now = FakeNow()
    clock = FakeClock(now, noise=machine.blocks())
    pace = Pace(lambda: PACE * machine.speed, PACE) if world.seen else None
    seen = sample(Subject(FakeCall(now, SECONDS)), clock, VISIT, loops=50, pace=pace, patience=3 * VISIT)
    return calm_samples(seen.blocks, seen.paces, PACE), seen.blocks


@dataclass(frozen=True)
class Coverage:
    """How often an interval held the truth, and how wide it was (half, relative, in the median)."""

    world: str
    rounds: int
    covered: float
    half_width: float
    naive: float
    """The same for a mean with twice the standard error of all blocks, as if they were independent."""


def coverage(world: World, *, rounds: int, trials: int, seed: int = 1) -> Coverage:
    """Find how often the 95 % interval of the headline holds what the headline is in the long run.

    The long run is the mean of the logs of the 5th percentiles of the calm blocks of 2,000 visits; for the
    mean, that of the means of all their blocks. A trial in which one visit alone was calm has no interval
    and does not count.
    """
    chance = random.Random(f"{seed}-{world}")
    many = [visit(world, chance) for _ in range(2000)]
    truth = fmean(math.log(quantile(calm, 0.05)) for calm, _ in many if calm)
    mean = fmean(fmean(blocks) for _, blocks in many)
    held, naive, told = 0, 0, 0
    widths = []
    for _ in range(trials):
        visits = [visit(world, chance) for _ in range(rounds)]
        found = estimate([calm for calm, _ in visits if calm] or [blocks for _, blocks in visits], 0.05)
        if found.low is not None and found.high is not None:
            told += 1
            held += found.low <= math.exp(truth) <= found.high
            widths.append((found.high - found.low) / 2 / found.value)
        blocks = [block for _, visited in visits for block in visited]
        naive += abs(fmean(blocks) - mean) <= 1.96 * stdev(blocks) / math.sqrt(len(blocks))
    return Coverage(world.name, rounds, held / told, median(widths), naive / trials)
