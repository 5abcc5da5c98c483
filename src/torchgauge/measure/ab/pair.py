"""One pair: two fresh processes, one a side, that take turns case by case.

In a round each side has two turns of one block, in the order A B B A or B A A B, so that a drift of the
machine falls on both alike. While one side measures the other waits for its turn, idle. On one thread both
take turns on one core: cores of a shared machine differ by tens of per cent, for seconds at a time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, cast

from torchgauge.measure.ab.channel import (
    Blocks,
    ByHost,
    Finish,
    Finished,
    Hello,
    Leave,
    Ready,
    Skipped,
    Take,
    Visit,
)
from torchgauge.measure.ab.process import SideProcess
from torchgauge.record.ab import Round

STARTING = 120.0
"""Seconds beyond a side's patience that it may take to import torch and collect its benchmarks."""
MOST_ROUNDS, FEW_ROUNDS, LEAST_ROUNDS = 24, 12, 2
CASE_SECONDS, LONG_CASE_SECONDS = 0.25, 1.0
"""What one pair gives a case, in timed blocks of both sides; and what it may take until it has had
`FEW_ROUNDS`, where calls are long."""
HOST = "host-clock"
"""How the methods of the host's clocks begin (`measure.clock`)."""
UNEVEN = 4
"""The most that the loops of one side may be of those that the other would choose."""


@dataclass(frozen=True)
class NotTaken:
    """A case that a side does not offer here, and which side: "base", "head" or "both"."""

    side: str
    reason: str


@dataclass(frozen=True)
class Solo:
    """What one side alone saw of a case: its blocks of `loops` calls, in seconds a call."""

    loops: int
    method: str
    blocks: list[float]
    poor: str | None = None
    late: tuple[str, ...] = ()


@dataclass(frozen=True)
class Taken:
    """What one pair saw of a case: rounds of blocks of `loops` calls."""

    loops: int
    method: str
    rounds: list[Round]
    poor: str | None = None
    """Why the conditions were too poor meanwhile, on either side."""
    late: tuple[str, ...] = ()
    """Modules that both sides imported late (`channel.LATE`)."""


class Pair:
    """Two processes that have said Hello."""

    def __init__(self, base: SideProcess, head: SideProcess, chance: random.Random) -> None:
        self._sides = base, head
        self._chance = chance
        self.hellos = base.receive(Hello, more=STARTING), head.receive(Hello, more=STARTING)

    def keep_to(self, core: int | None) -> None:
        """Keep both processes to one core; None for all that they may use."""
        for side in self._sides:
            if core is not None:
                side.keep_to(core)

    def measure(self, case: str, following: str | None, before: Taken | None = None) -> Taken | NotTaken:
        """Measure a case on both sides.

        Args:
            case: its id; both sides have it.
            following: the case that comes next in this pair.
            before: what an earlier visit of this pair saw of the case; its blocks are as long.

        Raises:
            SideError: a side failed. The pair can't be used any more.

        """
        base, head = self._sides
        ready: dict[SideProcess, Ready | Skipped] = {}
        for side in self._chance.sample(self._sides, 2):  # one after the other: warming disturbs, too
            side.send(Visit(case, following))
            ready[side] = cast(Ready | Skipped, side.receive(Ready, Skipped))
        one, other = ready[base], ready[head]
        if isinstance(one, Skipped) or isinstance(other, Skipped):
            for side, said in ready.items():
                if isinstance(said, Ready):
                    side.send(Finish())
                    side.receive(Finished, Skipped)
            return not_taken(*(said.reason if isinstance(said, Skipped) else None for said in (one, other)))
        one, other = _by_one_clock(base, one, other.method), _by_one_clock(head, other, one.method)
        loops = before.loops if before else shared_loops(one.loops, other.loops)
        longest = max(said.seconds / said.loops for said in (one, other)) * loops
        taken = [self._round(loops, longest) for _ in range(rounds(longest))]
        ends = []
        for side in self._sides:
            side.send(Finish())
            ends.append(side.receive(Finished))
        poor = next((end.poor for end in ends if end.poor), None)
        late = tuple(name for name in ends[0].late if name in ends[1].late)
        return Taken(loops, one.method, taken, poor, late)

    def _round(self, loops: int, longest: float) -> Round:
        base, head = self._sides
        order: Literal["ABBA", "BAAB"] = "ABBA" if self._chance.random() < 0.5 else "BAAB"
        seen: dict[str, list[float]] = {"A": [], "B": []}
        for turn in order:
            side = base if turn == "A" else head
            side.send(Take(loops, 1))
            seen[turn] += side.receive(Blocks, more=20 * longest).seconds
        return Round(order=order, base=seen["A"], head=seen["B"])

    def leave(self) -> None:
        """Let both processes end."""
        for side in self._sides:
            side.send(Leave())


@contextmanager
def pair(start: Callable[[str], SideProcess], chance: random.Random) -> Iterator[Pair]:
    """Start both processes of a pair; afterwards both are gone.

    Args:
        start: starts the process of a side, "base" or "head".
        chance: draws who is first, and each round's order.

    Raises:
        SideError: one of them could not begin.

    """
    started: dict[str, SideProcess] = {}
    at_once = True
    try:
        for name in chance.sample(("base", "head"), 2):
            started[name] = start(name)
        made = Pair(started["base"], started["head"], chance)
        yield made
        made.leave()
        at_once = False
    finally:
        for process in started.values():
            process.end(at_once=at_once)


def _by_one_clock(side: SideProcess, said: Ready, method: str) -> Ready:
    """Have a side timed by the host's clock where the other is: a device's time is no match for it."""
    if said.method == method or said.method.startswith(HOST):
        return said
    side.send(ByHost())
    return side.receive(Ready)


def shared_loops(base: int, head: int) -> int:
    """Choose the calls of a block, the same for both sides: what the loop costs then falls on both alike."""
    return max(1, min(max(base, head), UNEVEN * min(base, head)))


def rounds(block: float) -> int:
    """Choose how many rounds a case has, by what one of its blocks takes in seconds."""
    for_short, for_long = (int(seconds / (4 * block)) for seconds in (CASE_SECONDS, LONG_CASE_SECONDS))
    return max(LEAST_ROUNDS, min(MOST_ROUNDS, max(for_short, min(FEW_ROUNDS, for_long))))


def alone(process: SideProcess, case: str, following: str | None, like: Solo | None) -> Solo | NotTaken:
    """Measure a case on one side that has the machine to itself.

    Args:
        process: has said Hello.
        case: its id.
        following: the case that comes next in this process.
        like: what the other side took, which had its turn before; None where this is the first.

    Raises:
        SideError: the side failed. The process can't be used any more.

    """
    process.send(Visit(case, following))
    said = cast(Ready | Skipped, process.receive(Ready, Skipped))
    if isinstance(said, Skipped):
        return NotTaken("", said.reason)
    if like is not None and (said := _by_one_clock(process, said, like.method)).method != like.method:
        process.send(Finish())
        process.receive(Finished)
        return NotTaken("", "the host's clock times it, and the other side the device's events")
    loops = said.loops if like is None else min(like.loops, UNEVEN * said.loops)
    block = said.seconds / said.loops * loops
    count = 2 * rounds(block) if like is None else len(like.blocks)
    process.send(Take(loops, count))
    blocks = process.receive(Blocks, more=20 * block * count).seconds
    process.send(Finish())
    end = process.receive(Finished)
    return Solo(loops, said.method, blocks, end.poor, tuple(end.late))


def merged(visits: Sequence[Taken]) -> Taken:
    """Join what several visits of one pair saw of a case."""
    first = visits[0]
    poor = next((one.poor for one in visits if one.poor), None)
    rounds = [round_ for one in visits for round_ in one.rounds]
    return Taken(first.loops, first.method, rounds, poor, visits[-1].late)


def joined(base: Solo, head: Solo, first: str) -> Taken:
    """Make rounds of what two sides took one after the other; `first` is who began, "base" or "head"."""
    order: Literal["AABB", "BBAA"] = "AABB" if first == "base" else "BBAA"
    taken = [
        Round(order=order, base=base.blocks[place : place + 2], head=head.blocks[place : place + 2])
        for place in range(0, len(base.blocks), 2)
    ]
    late = tuple(name for name in base.late if name in head.late)
    return Taken(min(base.loops, head.loops), base.method, taken, base.poor or head.poor, late)


def not_taken(base: str | None, head: str | None) -> NotTaken:
    """Say which side skipped a case; each argument is its reason, or None where it did not skip."""
    if base is not None and head is not None:
        return NotTaken("both", head)
    return NotTaken("base", base) if base is not None else NotTaken("head", head or "")
