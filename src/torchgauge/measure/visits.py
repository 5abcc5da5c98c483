"""One visit to a case: pytest's protocol around its measured line, and what came of it.

A pytest plugin beside torchgauge.measure.rounds, which plans when a visit is due and how long it may take.
Each visit goes through pytest's own protocol, so fixtures and marks work as ever; a benchmark is reported to
pytest once, when its last visit is over.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from _pytest.config import parse_warning_filter
from _pytest.runner import runtestprotocol

from torchgauge.measure import device, reports, settings
from torchgauge.measure.collect import CASE
from torchgauge.measure.feed import feed
from torchgauge.measure.gauge import Gauge
from torchgauge.measure.instruments import Instrument, Observation, Visit
from torchgauge.measure.journal import Journal
from torchgauge.measure.reports import Problem
from torchgauge.measure.schedule import Share
from torchgauge.record import Case, Work

SLOW_COLLECTION = 1e-3
"""Seconds; collecting that takes longer goes over much that has come to stay."""


@dataclass(frozen=True)
class Visited:
    """What the plan must know of a visit."""

    over: bool
    """The case failed, was skipped or is known well enough: no visit follows."""
    retried: float
    """Seconds that went into tries given up."""


@dataclass
class _UnderWay:
    """The visit under way, and what has been seen of it."""

    case: Case
    visit: Visit
    last: bool
    gauge: Gauge | None = None
    problem: Problem | None = None
    retried: float = 0.0


class Book(Protocol):
    """Where it goes what came of a visit: a run's journal, or whoever waits for an answer."""

    @property
    def undisturbed(self) -> float | None:
        """What the pace's loop takes here when nothing disturbs it, in seconds; None if not known."""
        ...

    def measured(
        self, case: Case, round_: int, instrument: str, work: Work, seen: list[Observation], /
    ) -> None:
        """Take up what was seen."""
        ...

    def failed(self, case: Case, stage: str, error: str, message: str, /) -> None:
        """Take up a failure."""
        ...

    def skipped(self, case: Case, reason: str, /) -> None:
        """Take up a skip."""
        ...


class Visits:
    """Makes the visits of one process, one after another.

    Args:
        instrument: the name of the one that looks.
        folder: where it may leave files of its own.
        half_width: the relative half-width of an interval that is narrow enough.
        feeds: whether this process ends a case's times: pytest-benchmark then gets them.
        say: tells the user one line.

    """

    def __init__(
        self, instrument: str, folder: Path, half_width: float, *, feeds: bool, say: Callable[[str], None]
    ) -> None:
        self._name = instrument
        self._times = instrument == "time"
        self._folder = folder
        self._half_width = half_width
        self._feeds = feeds
        self._say = say
        self._pid = os.getpid()
        self._book: Book | None = None
        self._instrument: Instrument | None = None
        self._under_way: _UnderWay | None = None
        self._visited: set[str] = set()
        self._modules = 0

    def begin(self, book: Book, instrument: Instrument | None) -> None:
        """Take up the run file and the instrument; comes before the first visit."""
        self._book = book
        self._instrument = instrument

    def visit(
        self, item: pytest.Item, following: pytest.Item | None, round_: int, share: Share, *, last: bool
    ) -> Visited:
        """Visit one case and write what came of it.

        Args:
            item: the case's.
            following: the one that comes next, whose fixtures are kept.
            round_: the round that the visit belongs to.
            share: what the visit may take.
            last: whether the plan has no other visit to the case.

        """
        book = self._open_book
        case = item.stash[CASE]
        under_way = self._under_way = _UnderWay(case, self._planned(case, share), last)
        self._tidy()
        if not self._times:  # counts that depend on values are to repeat
            settings.seed()
        with device.current(case.device), _warnings(item):
            seen = runtestprotocol(item, nextitem=following, log=False)
        if os.getpid() != self._pid:  # a benchmark forked, and this is the copy
            os._exit(0)
        self._under_way = None
        problem, skipped = under_way.problem, reports.skip_reason(seen)
        if problem is not None:
            book.failed(case, problem.stage, problem.error, problem.message)
            self._say(f"failed: {case.id}: {problem.stage}: {problem.error}: {problem.message}")
        elif skipped is not None:
            book.skipped(case, skipped)
        else:
            gauge = under_way.gauge
            assert gauge is not None
            book.measured(case, round_, self._name, gauge.stated, gauge.observations)
            if not under_way.last:
                return Visited(over=False, retried=under_way.retried)
        if case.device != "cpu" and (problem is not None or skipped is not None):
            device.release(case.device)
        reports.tell(item, seen)
        return Visited(over=True, retried=under_way.retried)

    def _planned(self, case: Case, share: Share) -> Visit:
        first = case.id not in self._visited
        self._visited.add(case.id)
        return Visit(
            case.id,
            case.device,
            first=first,
            seconds=share.seconds,
            patience=share.patience,
            undisturbed=self._open_book.undisturbed,
            retry_seconds=share.retry,
            folder=self._folder,
        )

    def _tidy(self) -> None:
        """Free the last visit's cycles. What has come to stay, a module or what it keeps, is left out from
        then on, so that collecting costs a millisecond and not the 70 of a whole torch."""
        begin = time.perf_counter()
        gc.collect()
        slow = time.perf_counter() - begin > SLOW_COLLECTION
        device.release("cpu")
        if slow or len(sys.modules) != self._modules:
            self._modules = len(sys.modules)
            gc.freeze()

    def gauge(self, request: pytest.FixtureRequest) -> Gauge:
        """Make the `gauge` of the visit under way."""
        under_way = self._under_way
        if under_way is None:  # an ordinary test that asks for it
            return Gauge()

        def measured(seen: list[Observation]) -> None:
            self._after_measuring(request, under_way, seen)

        under_way.gauge = Gauge(self._instrument, under_way.visit, measured)
        return under_way.gauge

    def _after_measuring(
        self, request: pytest.FixtureRequest, under_way: _UnderWay, seen: list[Observation]
    ) -> None:
        """Decide whether the case has been seen enough; if so hand all its samples to pytest-benchmark."""
        under_way.retried = float(seen[0].conditions.get("retry_seconds") or 0.0)
        if not self._times:
            return
        journal, case = self._open_book, under_way.case
        assert isinstance(journal, Journal)  # times go into a run file
        journal.note(case, seen[0].samples, seen[0].paces)
        width = journal.estimate(case, 0.05 if case.device == "cpu" else 0.5)
        half = width.relative_half_width
        if width.clusters >= 3 and half is not None and half <= self._half_width:
            seen[0].conditions["stop"] = "interval"
            under_way.last = True
        if under_way.last and self._feeds:
            feed(request, case, journal.samples(case), seen[0].method, seen[0].loops)

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
        """Turn what torch lacks into a skip, and put back what a benchmark changes in torch."""
        gauge = pyfuncitem.funcargs.get("gauge")
        if not isinstance(gauge, Gauge) or self._under_way is None:
            return (yield)
        case = self._under_way.case
        with settings.kept(), settings.precision(case.device, case.dtype):
            try:
                return (yield)
            except Exception as error:
                reason = device.unsupported(error)
                if reason is None or gauge.stage == "check":
                    raise
                pytest.skip(reason)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Remember where and why a visit failed."""
        report = yield
        under_way = self._under_way
        if under_way is not None and report.failed and under_way.problem is None:
            under_way.problem = reports.problem(item, call, report)
        return report

    @property
    def _open_book(self) -> Book:
        assert self._book is not None
        return self._book


@contextlib.contextmanager
def _warnings(item: pytest.Item) -> Iterator[None]:
    """Apply the item's `filterwarnings` marks, as pytest does; nothing is recorded, which would take time."""
    filters = [text for mark in item.iter_markers("filterwarnings") for text in mark.args]
    if not filters:
        yield
        return
    with warnings.catch_warnings():
        for text in filters:
            warnings.filterwarnings(*parse_warning_filter(text, escape=False))
        yield
