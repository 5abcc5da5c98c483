"""pytest's reports of a visit: what they say of a failure or a skip, and how pytest hears of them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from torchgauge.measure.device import first_line
from torchgauge.measure.gauge import Gauge, GaugeUseError


@dataclass(frozen=True)
class Problem:
    """Where and why a visit failed."""

    stage: str
    error: str
    message: str


def problem(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> Problem:
    """Read a report of a failure: fixtures, the benchmark's own stages, and a misuse of `gauge` are apart."""
    if call.excinfo is None:  # a strict xfail that passed
        return Problem("check", "XPASS", str(report.longrepr))
    gauge = getattr(item, "funcargs", {}).get("gauge")
    stage = {"setup": "fixture", "teardown": "teardown"}.get(call.when, "")
    if not stage:
        misused = isinstance(call.excinfo.value, GaugeUseError)
        stage = "gauge" if misused else gauge.stage if isinstance(gauge, Gauge) else "setup"
    return Problem(stage, call.excinfo.typename, first_line(call.excinfo.value))


def skip_reason(reports: list[pytest.TestReport]) -> str | None:
    """Give the reason of the first skip among a visit's reports; None where there is none."""
    skip = next((report for report in reports if report.skipped), None)
    if skip is None:
        return None
    where = skip.longrepr
    if isinstance(where, tuple):
        return str(where[2]).removeprefix("Skipped: ")
    return str(getattr(skip, "wasxfail", "") or "skipped")


def tell(item: pytest.Item, reports: list[pytest.TestReport]) -> None:
    """Let pytest and its plugins hear of a case as they hear of any test."""
    hook = item.ihook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in reports:
        hook.pytest_runtest_logreport(report=report)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
