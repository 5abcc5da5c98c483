"""The pytest plugin that collects: which of the items found are benchmarks of this run, and what is odd.

Registered beside `Rounds`, which measures what is left here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import pytest

from torchgauge.errors import TorchgaugeError
from torchgauge.measure import cases, device
from torchgauge.record import Case

CASE = pytest.StashKey[Case]()


class Listener(Protocol):
    """Who hears of the collection: a measuring process."""

    fault: str | None
    """What pytest's internal error was about."""

    def note_file(self, name: str) -> None:
        """Take note of the file that is imported next, in case it ends the process."""
        ...

    def print(self, text: str) -> None:
        """Show the user a result."""
        ...


class Collection:
    """Gives each benchmark of one pytest session its Case, and refuses a run without any.

    Args:
        paths: where benchmarks were looked for, as the user wrote it.
        selection: the devices, dtypes and budget asked for.
        worker: the process's means to speak; None in a pytest session of the user's own.
        refuse: ends the session with one line.

    """

    def __init__(
        self, paths: Sequence[str], selection: cases.Selection, worker: Listener | None, refuse: Any
    ) -> None:
        self.selection = selection
        self.broken_files: list[tuple[str, str]] = []
        """Node id of each file that could not be imported, and why."""
        self.wrong_mark: str | None = None
        """What a mark says wrongly, where it showed while its file was collected; refused after that."""
        self._where = " ".join(paths)
        self._worker = worker
        self._refuse = refuse
        self._found = 0
        self._outside = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep the benchmarks of this budget, give each its Case, skip what its marks rule out."""
        if self.wrong_mark is not None:
            self._refuse(self.wrong_mark)
        kept: list[pytest.Item] = []
        for item in items:
            if not (isinstance(item, pytest.Function) and is_benchmark(item)):
                if self._worker is None:
                    kept.append(item)
                continue
            self._found += 1
            try:
                if cases.outside_budget(item, self.selection.budget):
                    self._outside += 1
                    continue
                case = cases.case_of(item)
                reason = cases.skip_reason(item, case)
            except TorchgaugeError as error:
                self._refuse(str(error))
            item.stash[CASE] = case
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))
            kept.append(item)
        self._refuse_twins(kept)
        dropped = [item for item in items if item not in set(kept)]
        if dropped:
            config.hook.pytest_deselected(items=dropped)
        items[:] = kept

    def _refuse_twins(self, items: list[pytest.Item]) -> None:
        seen: dict[str, str] = {}
        for item in items:
            case = item.stash.get(CASE, None)
            if case is not None and case.id in seen:
                self._refuse(
                    f"{seen[case.id]} and {item.nodeid} share the case id {case.id}; rename one of them"
                )
            elif case is not None:
                seen[case.id] = item.nodeid

    def pytest_make_collect_report(self, collector: pytest.Collector) -> None:
        """Leave the name of the file that is imported next, in case it ends the process."""
        if self._worker is not None and isinstance(collector, pytest.Module):
            self._worker.note_file(collector.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember a file that could not be imported."""
        if report.failed:
            self.broken_files.append((report.nodeid, _cause(report.longreprtext)))

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Keep what went wrong for the worker's one line."""
        if self._worker is not None:
            self._worker.fault = f"{excinfo.typename}: {device.first_line(excinfo.value)}"

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """List the cases if that was asked for; refuse a run without any."""
        chosen = [item.stash[CASE] for item in session.items if CASE in item.stash]
        if self._worker is not None and session.config.option.collectonly:
            self._worker.print("\n".join(case.id for case in chosen))
        if chosen or self.broken_files or self._worker is None:
            return
        where = self._where
        if not self._found:
            self._refuse(
                f"no benchmarks in {where}: looked for functions bench_* that take `gauge`, in bench_*.py"
            )
        if self._outside == self._found:
            self._refuse(f"all {self._found} benchmarks belong to a larger budget; say --budget thorough")
        expression = session.config.option.keyword
        cause = f"-k {expression!r} matches none" if expression else "the arguments after -- leave none"
        self._refuse(
            f"{cause} of {self._found} benchmarks; list them with: torchgauge run {where} --collect-only"
        )


def is_benchmark(item: pytest.Item) -> bool:
    """Whether the item asks for torchgauge's own `gauge` fixture."""
    info = getattr(item, "_fixtureinfo", None)
    found: Sequence[Any] = info.name2fixturedefs.get("gauge", ()) if info is not None else ()
    return bool(found) and getattr(found[-1].func, "__module__", "") == "torchgauge.plugin"


def _cause(text: str) -> str:
    """Find the cause of a failed import in what pytest says."""
    if "import file mismatch" in text:
        return "another file of this run has the same name; rename one of them"
    lines = [line for line in text.splitlines() if line.startswith("E ")] or text.splitlines() or [""]
    return lines[-1].removeprefix("E").strip()[:300]
