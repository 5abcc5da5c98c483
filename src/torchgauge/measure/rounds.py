"""The pytest plugin that measures: all cases in shuffled order, again and again, round by round.

Registered by torchgauge.plugin only when measuring is asked for. It replaces pytest's run loop for
benchmarks, with pytest's own protocol for each visit, so fixtures, marks and `-x` work as ever; a
benchmark is reported to pytest once, when its last visit is over.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from torchgauge.errors import TorchgaugeError
from torchgauge.measure import ceilings, device, environment, instruments, settings
from torchgauge.measure.collect import CASE, Collection
from torchgauge.measure.crumb import DONE, STOPPED
from torchgauge.measure.feed import feed
from torchgauge.measure.gauge import Gauge, GaugeUseError
from torchgauge.measure.instruments import Instrument, Observation, Visit
from torchgauge.measure.journal import Journal
from torchgauge.measure.schedule import Allowance, Share, order, passes
from torchgauge.measure.worker import Worker
from torchgauge.record import Case, Config

SLOW_COLLECTION = 1e-3
"""Seconds; collecting that takes longer goes over much that has come to stay."""


class Rounds:
    """Measures the benchmarks of one pytest session and writes them to a run file."""

    def __init__(
        self,
        *,
        path: Path,
        run_id: str,
        config: Config,
        collection: Collection,
        process: int,
        worker: Worker | None,
        refuse: Any,
    ) -> None:
        self._path = path
        self._run_id = run_id
        self._config = config
        self._collection = collection
        self._budget = collection.selection.budget
        self._process = process
        self._worker = worker
        self._refuse = refuse
        self._pid = os.getpid()
        self._begin = time.monotonic()
        self._journal: Journal | None = None
        self._instrument: Instrument | None = None
        self._visit: tuple[Case, Visit] | None = None
        self._problem: tuple[str, str, str] | None = None
        self._last: bool = False
        self._retried = 0.0
        self._silent: dict[str, str] = {}
        plan = passes(config.instruments, config.processes)
        self._name = plan[process]
        self._times = self._name == "time"
        self._first_of_times = self._times and "time" not in plan[:process]
        self._last_of_times = self._name not in plan[process + 1 :]
        self._rounds = config.rounds if self._times else 1
        self._folder = path.with_suffix(f".{self._name}")
        self._modules = 0
        self._visited: set[str] = set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Visit every case once a round, in an order of its own, until each has been seen enough."""
        if session.config.option.collectonly:
            return None
        if session.testsfailed and not session.config.option.continue_on_collection_errors:
            return None
        items = {item.stash[CASE].id: item for item in session.items if CASE in item.stash}
        try:
            self._open()
        except TorchgaugeError as error:
            self._refuse(str(error))
        try:
            self._run_others(session, [item for item in session.items if CASE not in item.stash])
            if self._config.ceilings and self._first_of_times and items:
                self._measure_ceilings([item.stash[CASE] for item in items.values()])
            self._run(session, items)
        except TorchgaugeError as error:
            self._refuse(str(error))
        except (session.Failed, session.Interrupted):  # -x, --maxfail
            if self._worker is not None:
                self._worker.leave(STOPPED)
            raise
        finally:
            if self._worker is not None:
                self._worker.progress.stop()
        if self._worker is not None:
            self._worker.leave(DONE)
        return True

    def _open(self) -> None:
        checkout = Path(self._config.paths[0].partition("::")[0]) if self._config.paths else Path()
        surroundings = environment.collect(self._collection.selection.devices, checkout)
        self._journal = Journal(
            self._path, self._run_id, self._config, surroundings, self._process, times=self._times
        )
        self._silent = instruments.lacking(self._name, self._config.devices)
        if len(self._silent) < len(self._config.devices):
            self._instrument = instruments.by_name(self._name)()
        for place, why in self._silent.items():
            self._say(f"{self._name} is left out on {place}: {why}")
        for nodeid, message in self._collection.broken_files:
            group = Path(nodeid).stem.removeprefix("bench_")
            broken = Case(id=f"{group}/", group=group, name="", device="", dtype=None)
            if broken.id not in self._journal.closed_cases:
                self._journal.failed(broken, "collection", "CollectError", message)
            self._say(f"failed: {nodeid}: {message}")

    def _run_others(self, session: pytest.Session, others: list[pytest.Item]) -> None:
        """Run the user's ordinary tests as pytest does."""
        for item, following in zip(others, [*others[1:], None], strict=False):
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            _stop_if_wanted(session)

    def _measure_ceilings(self, cases: list[Case]) -> None:
        """Find out what the devices can do at the most."""
        assert self._instrument is not None
        note = self._worker.note if self._worker is not None else lambda _: None
        seconds, seed = self._budget.ceilings, self._config.seed
        ceilings.into(self._open_journal, cases, seconds, seed, self._instrument, note)

    def _run(self, session: pytest.Session, items: dict[str, pytest.Item]) -> None:
        journal = self._open_journal
        budget = self._budget if self._times else replace(self._budget, seconds=None)
        allowance = Allowance(budget, self._process, self._config.processes)
        active = {
            key
            for key, item in items.items()
            if key not in journal.closed_cases and item.stash[CASE].device not in self._silent
        }
        planned = len(active) * self._rounds
        if self._worker is not None:
            self._worker.progress.start(len(active), planned, "" if self._times else self._name)
        done, took = 0, list[float]()
        for round_ in range(self._rounds):
            if round_ >= self._rounds:
                break
            # what does not change with the moment comes in the same order in each run
            seed = self._config.seed if self._times else 0
            whole = order(list(items), seed, self._process, round_)
            turn = [
                key for key in whole if key in active and not journal.holds(items[key].stash[CASE], round_)
            ]
            later = self._rounds - round_ - 1
            begun = self._spent
            for index, key in enumerate(turn):
                item, left = items[key], len(turn) - index + later * len(active)
                case = item.stash[CASE]
                share = allowance.share(self._spent, left)
                if self._worker is not None:
                    self._worker.note(case)
                    self._worker.progress.update(done, left, case.id)
                self._retried = 0.0
                begin = time.monotonic()
                following = items[turn[index + 1]] if index + 1 < len(turn) else None
                over = self._visit_item(item, following, round_, share)
                allowance.visited(share.seconds, time.monotonic() - begin, self._retried)
                done += 1
                if over:
                    active.discard(key)
                _stop_if_wanted(session)
            if turn:
                took.append(self._spent - begun)
            if took and allowance.until is not None:
                self._give_up_rounds(round_ + 1, (1.2 * allowance.until - self._spent) / fmean(took))

    @property
    def _spent(self) -> float:
        """Seconds spent on the run so far, by other processes and before an interruption too."""
        return self._open_journal.seconds_before + time.monotonic() - self._begin

    def _give_up_rounds(self, done: int, left: float) -> None:
        """Plan fewer rounds where so many can't end near the budget: a machine busy with other things.

        One more round always follows, so that each case knows its last visit when it comes.

        Args:
            done: rounds that are over.
            left: rounds that the time left is enough for.

        """
        possible = done + int(max(0.0, left))
        if possible < self._rounds:
            self._rounds = min(self._rounds, max(done + 1, possible))
            self._say(f"time is short: {self._rounds} of {self._config.rounds} rounds")

    def _visit_item(
        self, item: pytest.Item, following: pytest.Item | None, round_: int, share: Share
    ) -> bool:
        """Visit one case; tell whether it is over, by its failure, its skip or its precision."""
        journal = self._open_journal
        case = item.stash[CASE]
        self._problem = None
        self._last = round_ == self._rounds - 1
        first = case.id not in self._visited
        visit = Visit(
            case.id,
            case.device,
            first=first,
            seconds=share.seconds,
            patience=share.patience,
            undisturbed=journal.undisturbed,
            retry_seconds=share.retry,
            folder=self._folder,
        )
        self._visited.add(case.id)
        self._visit = (case, visit)
        self._tidy()
        if not self._times:  # counts that depend on values are to repeat
            settings.seed()
        with device.current(case.device):
            reports = runtestprotocol(item, nextitem=following, log=False)
        if os.getpid() != self._pid:  # a benchmark forked, and this is the copy
            os._exit(0)
        self._visit = None
        skip = next((report for report in reports if report.skipped), None)
        if self._problem is not None:
            stage, error, message = self._problem
            journal.failed(case, stage, error, message)
            self._say(f"failed: {case.id}: {stage}: {error}: {message}")
        elif skip is not None:
            journal.skipped(case, _skip_reason(skip))
        else:
            gauge = self._seen
            journal.measured(case, round_, self._name, gauge.stated, gauge.observations)
            if not self._last:
                return False
        if case.device != "cpu" and (self._problem is not None or skip is not None):
            device.release(case.device)
        hook = item.ihook
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in reports:
            hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

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
        if self._visit is None:  # an ordinary test that asks for it
            return Gauge()
        case, visit = self._visit

        def measured(seen: list[Observation]) -> None:
            self._after_measuring(request, case, seen)

        self._seen = Gauge(self._instrument, visit, measured)
        return self._seen

    def _after_measuring(self, request: pytest.FixtureRequest, case: Case, seen: list[Observation]) -> None:
        """Decide whether the case has been seen enough; if so hand all its samples to pytest-benchmark."""
        self._retried = float(seen[0].conditions.get("retry_seconds") or 0.0)
        if not self._times:
            return
        journal = self._open_journal
        journal.note(case, seen[0].samples, seen[0].paces)
        width = journal.estimate(case, 0.05 if case.device == "cpu" else 0.5)
        half = width.relative_half_width
        if width.clusters >= 3 and half is not None and half <= self._budget.half_width:
            seen[0].conditions["stop"] = "interval"
            self._last = True
        if self._last and self._last_of_times:
            feed(request, case, journal.samples(case), seen[0].method, seen[0].loops)

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
        """Turn what torch lacks into a skip, and a benchmark that never measured into a failure."""
        gauge = pyfuncitem.funcargs.get("gauge")
        if not isinstance(gauge, Gauge) or self._visit is None:
            return (yield)
        case = self._visit[0]
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
        if self._visit is None or not report.failed or self._problem is not None:
            return report
        if call.excinfo is None:  # a strict xfail that passed
            self._problem = "check", "XPASS", str(report.longrepr)
        else:
            gauge = getattr(item, "funcargs", {}).get("gauge")
            stage = {"setup": "fixture", "teardown": "teardown"}.get(call.when, "")
            if not stage:
                misused = isinstance(call.excinfo.value, GaugeUseError)
                stage = "gauge" if misused else gauge.stage if isinstance(gauge, Gauge) else "setup"
            self._problem = stage, call.excinfo.typename, device.first_line(call.excinfo.value)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Close the run file; without a parent process this session also writes its end."""
        if self._journal is None:
            return
        if self._worker is None:
            stopped = exitstatus == pytest.ExitCode.INTERRUPTED or bool(
                session.shouldstop or session.shouldfail
            )
            self._journal.end(time.monotonic() - self._begin, interrupted=stopped)
        self._journal.close()
        self._journal = None

    @property
    def _open_journal(self) -> Journal:
        assert self._journal is not None
        return self._journal

    def _say(self, line: str) -> None:
        if self._worker is not None:
            self._worker.progress.say(line)


def _stop_if_wanted(session: pytest.Session) -> None:
    """End the loop after `-x`, `--maxfail` or another plugin's wish."""
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)


def _skip_reason(report: pytest.TestReport) -> str:
    where = report.longrepr
    if isinstance(where, tuple):
        return str(where[2]).removeprefix("Skipped: ")
    return str(getattr(report, "wasxfail", "") or "skipped")
