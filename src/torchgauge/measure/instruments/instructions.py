"""The instructions of a call, counted by valgrind's callgrind on one thread of the CPU.

A count wanders by a fraction of a per cent where a time wanders by a fifth. It is blind to caches and
memory, and to what a processor does with more vector width than valgrind knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from statistics import median_low
from typing import Any, Protocol

from torchgauge.measure import layout
from torchgauge.measure.heap import Heap
from torchgauge.measure.instruments import Observation, Visit
from torchgauge.measure.sampler import garbage_collection_off
from torchgauge.measure.subject import Loop, Subject, kept, nothing
from torchgauge.measure.valgrind import Callgrind, Dump
from torchgauge.record.schema import Part, Scalar

METHOD = "callgrind"
WARM_UP = 12
"""Calls before those that count, in each state of the heap: the first ones still put it in order."""
MOST_LOOPS = 96
BLOCK_INSTRUCTIONS = 2_000_000
"""A block of about so many takes a tenth of a second under callgrind, and its frame is no part of it."""
BLOCKS = 5
STATES = 4
"""A block meets so many states of the heap (`torchgauge.measure.heap`). Often a call costs one of two
numbers, by the state; the mean of several is steadier from process to process than any one of them."""
MOST_PARTS = 20
UNEQUAL = 0.01


class Counter(Protocol):
    """What counts: callgrind, or a fake."""

    def count(self, loops: Iterable[Loop]) -> Dump:
        """Run the loops and count their instructions, and none between them."""
        ...


class Instructions:
    """Counts instructions: blocks of calls as for times, a sample a block."""

    name = "instructions"

    def __init__(self, counter: Counter | None = None) -> None:
        self._counter = Callgrind() if counter is None else counter
        self._heap = Heap()
        self._empty_loop: float | None = None

    def observe(self, subject: Subject, _visit: Visit) -> tuple[Any, list[Observation]]:
        """Count a few blocks; one call alone where it is long."""
        if self._empty_loop is None:
            self._empty_loop = self._count_empty_loop()
        result = kept(subject, subject.call()())
        with garbage_collection_off():
            one = self._counter.count([subject.block(1)])
            most = max(1, min(MOST_LOOPS, BLOCK_INSTRUCTIONS // max(1, one.total)))
            states = min(STATES, most)
            each = most // states
            loops = states * each
            dumps = [one]
            if one.total <= BLOCK_INSTRUCTIONS:
                dumps = [self._counter.count(self._loops(subject, states, each)) for _ in range(BLOCKS)]
        samples = [dump.total / loops for dump in dumps]
        typical = next(dump for dump in dumps if dump.total / loops == median_low(samples))
        conditions: dict[str, Scalar] = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "empty_loop_instructions": self._empty_loop,
            "layout_instructions": layout.instructions(typical) / loops,
        }
        warnings = []
        if max(samples) - min(samples) > UNEQUAL * min(samples):
            warnings.append(
                "its blocks differ by more than 1 %: it does not do the same each time, or hangs on what "
                "lies free in memory"
            )
        parts = [
            Part(name=name, value=cost / loops)
            for name, cost in sorted(typical.functions.items(), key=lambda item: (-item[1], item[0]))
        ][:MOST_PARTS]
        return result(), [
            Observation("instructions", "1", METHOD, samples, loops, conditions, warnings, parts)
        ]

    def _loops(self, subject: Subject, states: int, each: int) -> Iterator[Loop]:
        """Give loops of `each` calls, and a state of the heap to each of them."""
        for _ in range(states):
            with self._heap.shuffled():
                subject.block(WARM_UP)()
                yield subject.block(each)

    def _count_empty_loop(self) -> float:
        empty = Subject(nothing)
        self._counter.count([empty.block(1)])
        return self._counter.count(self._loops(empty, STATES, MOST_LOOPS // STATES)).total / MOST_LOOPS
