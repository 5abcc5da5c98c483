"""How the two sides of a pair share the machine: in turns, or each alone, one after the other.

Turns cancel the machine's drift, and need both processes resident at once. Where that disturbs the code
itself (it fills the device's memory, its threads spin while they wait), the sides are measured one after
the other instead, in an order drawn anew for each pair: the drift is then in the ratio, and falls on either
side alike.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol

from torchgauge.errors import TorchgaugeError
from torchgauge.measure.ab.channel import Hello, Leave
from torchgauge.measure.ab.pair import (
    STARTING,
    NotTaken,
    Solo,
    Taken,
    alone,
    joined,
    not_taken,
    pair,
)
from torchgauge.measure.ab.process import SideError, SideProcess

Outcome = Taken | NotTaken | SideError
Start = Callable[[str], SideProcess]
"""Starts a process of a side, "base" or "head"."""


class Batch:
    """Pairs that start at the same time.

    Without `at_once` they are measured one after another, once all have started. A start takes seconds of a
    core for each process, and what pairs would do to each other while they are measured they don't do then.

    Args:
        pairs: how many there are.
        at_once: whether they are measured at once too, each on a core of its own.

    """

    def __init__(self, pairs: int = 1, *, at_once: bool = False) -> None:
        self.at_once = at_once
        self._starting = pairs
        self._changed = threading.Condition()
        self._turn = threading.Lock()

    def started(self) -> None:
        """Count a pair that has started, or can't."""
        with self._changed:
            self._starting -= 1
            self._changed.notify_all()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until all have started, and for those that are measured before; then be the only one."""
        if self.at_once:
            yield
            return
        with self._changed:
            self._changed.wait_for(lambda: self._starting <= 0)
        with self._turn:
            yield


class Isolation(Protocol):
    """Measures one pair."""

    measuring: float
    """Seconds spent so far with processes that had started."""
    waiting: float
    """Seconds spent so far until it was their turn."""

    def visit(self, cases: Sequence[str], take: Callable[[str, Outcome], None]) -> None:
        """Measure the cases in this order, and hand on what became of each visit.

        After a case in which a side fails, the others go on in fresh processes. A case may be there several
        times; once it failed or was skipped it is passed over.

        Raises:
            TorchgaugeError: a side can't begin.

        """
        ...


class Paired:
    """Both sides at once: they take turns within each case.

    Args:
        start: of a side's process.
        chance: draws who is first, and each round's order.
        core: that both, and this thread meanwhile, are kept to; None for all that they may use.
        batch: that the pair is of; None where it is alone. Where others are measured at once, its processes
            start on their core, too.

    """

    def __init__(
        self, start: Start, chance: random.Random, core: int | None, batch: Batch | None = None
    ) -> None:
        self._start, self._chance, self._core = start, chance, core
        self._batch = batch or Batch()
        self.measuring = self.waiting = 0.0

    def visit(self, cases: Sequence[str], take: Callable[[str, Outcome], None]) -> None:
        """See `Isolation`."""
        left = list(cases)
        seen: dict[str, Taken] = {}
        tell = self._batch.started  # once
        while left:
            started = None
            try:
                with ExitStack() as stack:
                    stack.enter_context(_on(self._core if self._batch.at_once else None))
                    try:
                        met = stack.enter_context(pair(self._start, self._chance))
                    finally:
                        tell()
                        tell = _nothing
                    began = time.monotonic()
                    stack.enter_context(self._batch.turn())
                    stack.enter_context(_on(self._core))
                    started = time.monotonic()
                    self.waiting += started - began
                    met.keep_to(self._core)
                    while left:
                        taken = met.measure(left[0], _following(left), seen.get(left[0]))
                        if isinstance(taken, Taken):
                            seen[left[0]] = taken
                        take(left[0], taken)
                        left = left[1:] if isinstance(taken, Taken) else _without(left[0], left)
            except SideError as error:
                if started is None:
                    raise _cannot_begin(error) from None
                take(left[0], error)
                left = _without(left[0], left)
            finally:
                self.measuring += 0.0 if started is None else time.monotonic() - started


class Sequential:
    """One side after the other, alone, each with all the cases once. Arguments as of `Paired`."""

    def __init__(
        self, start: Start, chance: random.Random, core: int | None, batch: Batch | None = None
    ) -> None:
        if batch is not None:
            raise ValueError("a side that is to be alone can't share the machine with other pairs")
        self._start, self._chance, self._core = start, chance, core
        self.measuring = self.waiting = 0.0

    def visit(self, cases: Sequence[str], take: Callable[[str, Outcome], None]) -> None:
        """See `Isolation`."""
        cases = list(dict.fromkeys(cases))
        first, second = self._chance.sample(("base", "head"), 2)
        one = self._measure(first, cases, {})
        going_on = [case for case in cases if not isinstance(one[case], SideError)]
        other = self._measure(second, going_on, one)
        for case in cases:
            seen = {first: one[case], second: other.get(case, one[case])}
            take(case, _joined(seen["base"], seen["head"], first))

    def _measure(
        self, name: str, cases: Sequence[str], before: Mapping[str, Solo | NotTaken | SideError]
    ) -> dict[str, Solo | NotTaken | SideError]:
        found: dict[str, Solo | NotTaken | SideError] = {}
        left = list(cases)
        while left:
            started = None
            process = self._start(name)
            try:
                process.receive(Hello, more=STARTING)
                started = time.monotonic()
                with _on(self._core):
                    if self._core is not None:
                        process.keep_to(self._core)
                    while left:
                        other = before.get(left[0])
                        like = other if isinstance(other, Solo) else None
                        found[left[0]] = alone(process, left[0], _following(left), like)
                        left.pop(0)
                process.send(Leave())
                process.end()
            except SideError as error:
                if started is None:
                    raise _cannot_begin(error) from None
                found[left.pop(0)] = error
            finally:
                process.end(at_once=True)
                self.measuring += 0.0 if started is None else time.monotonic() - started
        return found


ISOLATIONS: dict[str, type[Paired] | type[Sequential]] = {
    "paired": Paired,
    "sequential": Sequential,
}


def _nothing() -> None:
    """Tell nobody."""


def _joined(base: Solo | NotTaken | SideError, head: Solo | NotTaken | SideError, first: str) -> Outcome:
    for one in (base, head):
        if isinstance(one, SideError):
            return one
    if isinstance(base, Solo) and isinstance(head, Solo):
        return joined(base, head, first)
    return not_taken(
        base.reason if isinstance(base, NotTaken) else None,
        head.reason if isinstance(head, NotTaken) else None,
    )


def _without(case: str, left: Sequence[str]) -> list[str]:
    return [one for one in left if one != case]


def _following(left: Sequence[str]) -> str | None:
    # of a case that comes again at once nothing is kept: it is set up anew
    return left[1] if len(left) > 1 and left[1] != left[0] else None


def _cannot_begin(error: SideError) -> TorchgaugeError:
    return TorchgaugeError(f"{error.side.where}: {error.failure.message}")


@contextmanager
def _on(core: int | None) -> Iterator[None]:
    """Be on a core for a while, too: to wake a process on another takes as long as its turn."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
