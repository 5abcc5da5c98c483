"""The instructions of a call, counted by valgrind's callgrind on one thread of the CPU.

A count wanders by a fraction of a per cent where a time wanders by a fifth. It is blind to caches and
memory, and to what a processor does with more vector width than valgrind knows.
"""

from __future__ import annotations

from statistics import median_low
from typing import Any, Protocol

from torchgauge.measure.instruments import Observation, Visit
from torchgauge.measure.sampler import garbage_collection_off
from torchgauge.measure.subject import Loop, Subject, nothing
from torchgauge.measure.valgrind import Callgrind, Dump
from torchgauge.record.schema import Part, Scalar

METHOD = "callgrind"
WARM_UP = 2
MOST_LOOPS = 100
BLOCK_INSTRUCTIONS = 5_000_000
"""A block of about so many takes well under a second under callgrind, and its frame is no part of it."""
BLOCKS = 3
MOST_PARTS = 20
UNEQUAL = 0.01


class Counter(Protocol):
    """What counts: callgrind, or a fake."""

    def count(self, loop: Loop) -> Dump:
        """Run `loop` and count its instructions."""
        ...


class Instructions:
    """Counts instructions: blocks of calls as for times, a sample a block."""

    name = "instructions"

    def __init__(self, counter: Counter | None = None) -> None:
        self._counter = Callgrind() if counter is None else counter
        self._empty_loop: float | None = None

    def observe(self, subject: Subject, visit: Visit) -> tuple[Any, list[Observation]]:
        """Count a few blocks; one call alone where it is long."""
        if self._empty_loop is None:
            self._empty_loop = self._count_empty_loop()
        result = subject.call()()
        with garbage_collection_off():
            one = self._counter.count(subject.block(1))
            loops = max(1, min(MOST_LOOPS, BLOCK_INSTRUCTIONS // max(1, one.total)))
            dumps = [one]
            if one.total <= BLOCK_INSTRUCTIONS:
                subject.block(WARM_UP)()
                dumps = [self._counter.count(subject.block(loops)) for _ in range(BLOCKS)]
        samples = [dump.total / loops for dump in dumps]
        typical = next(dump for dump in dumps if dump.total / loops == median_low(samples))
        conditions: dict[str, Scalar] = {"empty_loop_instructions": self._empty_loop}
        warnings = []
        if max(samples) - min(samples) > UNEQUAL * min(samples):
            warnings.append("its blocks differ by more than 1 %: what it does is not the same each time")
        parts = [
            Part(name=name, value=cost / loops)
            for name, cost in sorted(typical.functions.items(), key=lambda item: (-item[1], item[0]))
        ][:MOST_PARTS]
        return result, [Observation("instructions", "1", METHOD, samples, loops, conditions, warnings, parts)]

    def _count_empty_loop(self) -> float:
        empty = Subject(nothing)
        self._counter.count(empty.block(1))
        return self._counter.count(empty.block(MOST_LOOPS)).total / MOST_LOOPS
