"""Shuffling the heap: what is taken is given back, and the same seed takes the same."""

from __future__ import annotations

import pytest

from torchgauge.measure.heap import CHUNKS, Heap


class Spied(Heap):
    """Notes what is taken from the library and given back to it."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.sizes: list[int] = []
        self.out: list[int] = []
        take, give = self._take, self._give

        def taking(size: int) -> int:
            self.sizes.append(size)
            self.out.append(take(size))
            return self.out[-1]

        def giving(chunk: int) -> None:
            self.out.remove(chunk)
            give(chunk)

        self._take, self._give = taking, giving


def test_half_of_the_chunks_are_held_meanwhile_and_none_afterwards() -> None:
    heap = Spied()
    with heap.shuffled():
        assert len(heap.out) == CHUNKS // 2
        assert all(heap.out)
    assert heap.out == []


def test_they_are_given_back_when_the_block_fails() -> None:
    heap = Spied()
    with pytest.raises(ValueError, match="benchmark"), heap.shuffled():
        raise ValueError("benchmark")
    assert heap.out == []


def test_the_same_seed_takes_the_same_sizes_and_each_shuffle_others() -> None:
    one, other = Spied(7), Spied(7)
    for heap in (one, other):
        for _ in range(2):
            with heap.shuffled():
                pass
    assert one.sizes == other.sizes
    assert one.sizes[:CHUNKS] != one.sizes[CHUNKS:]
