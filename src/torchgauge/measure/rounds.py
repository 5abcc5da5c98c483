"""The pytest plugin that measures: all cases in shuffled order, again and again, round by round.

Registered by torchgauge.plugin only when measuring is asked for. It replaces pytest's run loop for
benchmarks: here is the plan over the rounds, torchgauge.measure.visits makes the visits. The user's own tests
run as ever, and `-x` works.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from torchgauge.errors import TorchgaugeError
from torchgauge.measure import ceilings, choice, environment
from torchgauge.measure.collect import CASE, Collection
from torchgauge.measure.crumb import DONE, STOPPED
from torchgauge.measure.instruments import Instrument
from torchgauge.measure.journal import Journal
from torchgauge.measure.schedule import Allowance, order, passes
from torchgauge.measure.visits import Visits
from torchgauge.measure.worker import Worker
from torchgauge.record import Case, Config


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
        self._begin = time.monotonic()
        self._journal: Journal | None = None
        self._instrument: Instrument | None = None
        self._silent: dict[str, str] = {}
        plan = passes(config.instruments, config.processes)
        self._name = plan[process]
        self._times = self._name == "time"
        self._first_of_times = self._times and "time" not in plan[:process]
        self._rounds = config.rounds if self._times else 1
        folder, feeds = path.with_suffix(f".{self._name}"), self._name not in plan[process + 1 :]
        self.visits = Visits(self._name, folder, self._budget.half_width, feeds=feeds, say=self._say)
        """A plugin too: its hooks stand around each benchmark."""

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
        self._silent = choice.lacking(self._name, self._config.devices)
        if len(self._silent) < len(self._config.devices):
            self._instrument = choice.by_name(self._name)()
        # after the instrument's imports: what the machine is doing shifts where later ones lie in memory
        checkout = Path(self._config.paths[0].partition("::")[0]) if self._config.paths else Path()
        surroundings = environment.collect(self._collection.selection.devices, checkout)
        self._journal = Journal(
            self._path, self._run_id, self._config, surroundings, self._process, times=self._times
        )
        self.visits.begin(self._journal, self._instrument)
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
        """Have the cases visited, round by round, each for its share of the time that is left."""
        journal = self._open_journal
        budget = self._budget if self._times else replace(self._budget, seconds=None)
        allowance = Allowance(budget, self._process, self._config.processes)
        active = {
            key
            for key, item in items.items()
            if key not in journal.closed_cases and item.stash[CASE].device not in self._silent
        }
        if self._worker is not None:
            planned = len(active) * self._rounds
            self._worker.progress.start(len(active), planned, "" if self._times else self._name)
        done, round_, took = 0, 0, list[float]()
        while round_ < self._rounds:
            due, later, begun = self._due(items, active, round_), self._rounds - round_ - 1, self._spent
            for index, (item, following) in enumerate(zip(due, [*due[1:], None], strict=False)):
                case, left = item.stash[CASE], len(due) - index + later * len(active)
                share = allowance.share(self._spent, left)
                if self._worker is not None:
                    self._worker.note(case)
                    self._worker.progress.update(done, left, case.id)
                begin = time.monotonic()
                visited = self.visits.visit(item, following, round_, share, last=later == 0)
                allowance.visited(share.seconds, time.monotonic() - begin, visited.retried)
                done += 1
                if visited.over:
                    active.discard(case.id)
                _stop_if_wanted(session)
            round_ += 1
            if due:
                took.append(self._spent - begun)
            if took and allowance.until is not None:
                self._give_up_rounds(round_, (1.2 * allowance.until - self._spent) / fmean(took))

    def _due(self, items: dict[str, pytest.Item], active: set[str], round_: int) -> list[pytest.Item]:
        """Give a round's items in their order, without those whose visit the file holds already."""
        # what does not change with the moment comes in the same order in each run
        seed = self._config.seed if self._times else 0
        holds = self._open_journal.holds
        whole = [items[key] for key in order(list(items), seed, self._process, round_) if key in active]
        return [item for item in whole if not holds(item.stash[CASE], round_)]

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

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Close the run file; without a parent process this session also writes its end."""
        if self._journal is None:
            return
        if self._worker is None:
            wished = bool(session.shouldstop or session.shouldfail)
            stopped = wished or exitstatus == pytest.ExitCode.INTERRUPTED
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
