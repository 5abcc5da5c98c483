"""Shuffles what lies free in the C library's heap, so that a count does not hang on one state of it.

An allocation takes the allocator a few per cent more or fewer instructions of a short call, by which
blocks happen to lie free: a state that a process keeps for its life and that the next one has not. Where
each block of calls meets another state, the blocks show how far that goes.
"""

from __future__ import annotations

import ctypes
import random
from collections.abc import Iterator
from contextlib import contextmanager

CHUNKS = 300
"""Taken at each shuffle; half of them are given back before the block and half after it."""
SMALL, LARGE = (16, 1100), (1000, 20_000)
"""Bounds in bytes of two kinds, as likely as each other: those that glibc keeps for the thread, and those
that it splits and joins."""


class Heap:
    """The C library's heap. The same seed gives the same shuffles."""

    def __init__(self, seed: int = 0) -> None:
        self._drawn = random.Random(seed)
        library = ctypes.CDLL(None)
        self._take, self._give = library.malloc, library.free
        self._take.restype, self._take.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
        self._give.restype, self._give.argtypes = None, [ctypes.c_void_p]

    @contextmanager
    def shuffled(self) -> Iterator[None]:
        """Hold a number of chunks of random sizes, with gaps of such sizes between them."""
        sizes = [self._drawn.randrange(*self._drawn.choice((SMALL, LARGE))) for _ in range(CHUNKS)]
        taken = [self._take(size) for size in sizes]
        self._drawn.shuffle(taken)
        gaps, held = taken[: CHUNKS // 2], taken[CHUNKS // 2 :]
        for chunk in gaps:
            self._give(chunk)
        try:
            yield
        finally:
            for chunk in held:
                self._give(chunk)
