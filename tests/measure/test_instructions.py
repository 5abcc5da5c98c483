"""Counting instructions with a counter that is told what a call costs."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from itertools import chain, repeat

import pytest

from fakes import AliveLosses
from torchgauge.measure import layout
from torchgauge.measure.instruments import Visit
from torchgauge.measure.instruments.instructions import (
    BLOCK_INSTRUCTIONS,
    BLOCKS,
    MOST_LOOPS,
    STATES,
    Instructions,
)
from torchgauge.measure.subject import Loop, Subject
from torchgauge.measure.valgrind import Dump

VISIT = Visit("a/b[cpu]", "cpu", first=True, seconds=0.01)
LOOP = 40


class FakeCounter:
    """Counts `LOOP` and what the subject says for each call; `extra` is added block by block."""

    def __init__(self, *extra: int) -> None:
        self.cost = 0
        self.blocks: list[int] = []
        self.collecting: list[bool] = []
        self._extra: Iterator[int] = chain(extra, repeat(0))

    def call(self) -> str:
        self.cost += self.each
        return "result"

    each = 1000

    def count(self, loops: Iterable[Loop]) -> Dump:
        work = 0
        self.collecting.append(gc.isenabled())
        for loop in loops:  # what is called between them is not counted
            before = self.cost
            loop()
            work += self.cost - before
        total = work + LOOP + next(self._extra)
        self.blocks.append(total)
        return Dump(f"fn=(1) work\n0 {work}\nfn=(2) loop\n0 {total - work}\n\ntotals: {total}\n")


def observe(counter: FakeCounter, each: int):
    counter.each = each
    result, (seen,) = Instructions(counter).observe(Subject(counter.call), VISIT)
    assert result == "result"
    return seen


def test_a_short_call_is_counted_in_blocks_of_many_calls() -> None:
    counter = FakeCounter()
    seen = observe(counter, 1000)
    assert (seen.metric, seen.unit, seen.method, seen.loops) == ("instructions", "1", "callgrind", MOST_LOOPS)
    assert seen.samples == [1000 + LOOP / MOST_LOOPS] * BLOCKS
    assert seen.warnings == []
    assert not any(counter.collecting[2:])  # the first two are the empty loop's


def test_blocks_of_longer_calls_are_shorter() -> None:
    assert observe(FakeCounter(), 1_000_000).loops == BLOCK_INSTRUCTIONS // 1_000_040


def test_a_call_longer_than_a_block_is_counted_once() -> None:
    counter = FakeCounter()
    seen = observe(counter, 2 * BLOCK_INSTRUCTIONS)
    assert (seen.loops, seen.samples) == (1, [2 * BLOCK_INSTRUCTIONS + LOOP])


def test_the_empty_loop_is_counted_once_a_process_and_stored_and_not_subtracted() -> None:
    counter = FakeCounter()
    instrument = Instructions(counter)
    (first,) = instrument.observe(Subject(counter.call), VISIT)[1]
    blocks = len(counter.blocks)
    (second,) = instrument.observe(Subject(counter.call), VISIT)[1]
    assert first.conditions["empty_loop_instructions"] == LOOP / MOST_LOOPS
    assert second.conditions["empty_loop_instructions"] == LOOP / MOST_LOOPS
    assert len(counter.blocks) - blocks == blocks - 2


def test_the_parts_are_the_functions_of_the_middle_block_a_call_largest_first() -> None:
    seen = observe(FakeCounter(), 10)
    assert [(part.name, part.value) for part in seen.parts] == [("work", 10.0), ("loop", LOOP / MOST_LOOPS)]


@pytest.mark.parametrize(("extra", "warned"), [(900, False), (1200, True)])
def test_blocks_that_differ_by_more_than_a_hundredth_are_flagged(extra: int, warned: bool) -> None:
    seen = observe(FakeCounter(0, 0, 0, 0, extra), 1000)
    assert bool(seen.warnings) is warned


def test_each_block_meets_several_states_of_the_heap_and_shuffling_is_not_counted() -> None:
    class Noted(FakeCounter):
        def __init__(self) -> None:
            super().__init__()
            self.lengths: list[int] = []

        def count(self, loops: Iterable[Loop]) -> Dump:
            kept = list(loops)
            self.lengths.append(len(kept))
            return super().count(kept)

    counter = Noted()
    seen = observe(counter, 1000)
    assert counter.lengths[-BLOCKS:] == [STATES] * BLOCKS
    assert seen.samples == [1000 + LOOP / MOST_LOOPS] * BLOCKS
    few = Noted()
    observe(few, BLOCK_INSTRUCTIONS // 3)
    assert few.lengths[-BLOCKS:] == [2] * BLOCKS  # LOOP more a call than a third


def test_a_first_result_that_holds_a_graph_is_not_alive_while_calls_are_counted() -> None:
    alive = AliveLosses()
    Instructions(FakeCounter()).observe(Subject(alive.call), VISIT)
    assert set(alive.others_at_each_call) == {0}


class Wandering(FakeCounter):
    """Spends instructions in an allocator's slow path, more in each block, and in a look-up of attributes."""

    def count(self, loops: Iterable[Loop]) -> Dump:
        dump = super().count(loops)
        wandering = f"fn=(3) _int_malloc\n0 {100 * len(self.blocks)}\nfn=(4) malloc\n0 7\n"
        called = "fn=(5) getattr\n0 3\ncfn=(6) _PyType_Lookup\ncalls=2 0\n0 5000\nfn=(6)\n0 900\n"
        called += "cfn=(7) _Py_dict_lookup\ncalls=1 0\n0 4100\nfn=(7)\n0 4100\n"
        return Dump(dump.text.replace("\n\ntotals: ", f"\n{wandering}{called}\ntotals: "))


def test_what_hangs_on_where_things_lie_is_stored_beside_the_count_and_in_it() -> None:
    counter = Wandering()
    seen = observe(counter, 1000)
    middle = len(counter.blocks) - BLOCKS + 1  # all totals are the same: the first is the middle one
    assert seen.conditions["layout_instructions"] == (100 * middle + 5000) / MOST_LOOPS
    assert seen.samples == [1000 + LOOP / MOST_LOOPS] * BLOCKS
    assert observe(FakeCounter(), 1000).conditions["layout_instructions"] == 0


@pytest.mark.parametrize(
    ("function", "hangs"),
    [
        ("_int_malloc", True),
        ("_int_free_merge_chunk", True),
        ("_int_malloc'2", True),
        ("unlink_chunk.constprop.0", True),
        ("tcache_init.part.0", True),
        ("_PyObject_Free", True),
        ("PyObject_Malloc", True),
        ("_PyType_Lookup", True),
        ("_PyType_LookupRef", True),
        ("malloc", False),
        ("free", False),
        ("_Py_dict_lookup", False),
        ("operator new(unsigned long)", False),
        ("c10::alloc_cpu(unsigned long)", False),
        ("at::native::add(at::Tensor const&)", False),
        ("PyObject_Malloc_of_mine", False),
    ],
)
def test_only_allocators_and_the_cache_of_attributes_hang_on_where_things_lie(
    function: str, hangs: bool
) -> None:
    assert layout.hangs_on_it(function) is hangs
