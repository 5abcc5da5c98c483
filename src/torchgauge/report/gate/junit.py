"""A comparison as JUnit XML, in the form that Jenkins, GitLab and others read: a case is a test.

REGRESSED and MISSING are failures, ERROR is an error. What was not decided is skipped, with the reason, and
so is all of an INVALID run.
"""

from __future__ import annotations

from xml.etree import ElementTree as Xml

from torchgauge.record.ab import AbRun, Comparison, Verdict
from torchgauge.report.gate import words
from torchgauge.report.text import plain

_OUTCOMES = {
    Verdict.REGRESSED: "failure",
    Verdict.MISSING: "failure",
    Verdict.ERROR: "error",
    Verdict.INCONCLUSIVE: "skipped",
}


def render(run: AbRun) -> str:
    """Write one suite, a test a case."""
    outcomes = [_outcome(run, one) for one in run.comparisons]
    suite = Xml.Element(
        "testsuite",
        name="torchgauge ab",
        tests=str(len(outcomes)),
        failures=str(outcomes.count("failure")),
        errors=str(outcomes.count("error")),
        skipped=str(outcomes.count("skipped")),
        time=f"{run.end.wall_seconds if run.end else 0:.3f}",
        timestamp=run.header.started.partition("+")[0],
    )
    for one, outcome in zip(run.comparisons, outcomes, strict=True):
        suite.append(_test(run, one, outcome))
    Xml.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(suite, encoding="unicode") + "\n"


def _outcome(run: AbRun, one: Comparison) -> str | None:
    if words.verdict(run) is Verdict.INVALID:
        return "skipped"
    return None if one.accepted is not None else _OUTCOMES.get(one.verdict)


def _test(run: AbRun, one: Comparison, outcome: str | None) -> Xml.Element:
    group, _, _ = one.case.partition("/")
    test = Xml.Element("testcase", classname=plain(group, 200), name=words.cells(one)[-1])
    if place := run.header.places.get(one.case):
        test.attrib |= {"file": plain(place[0]), "line": str(place[1])}
    told = sentence(one)
    if outcome is None:
        Xml.SubElement(test, "system-out").text = told
    else:
        invalid = words.verdict(run) is Verdict.INVALID
        message = words.headline(run) if invalid else told
        Xml.SubElement(test, outcome, type=str(Verdict.INVALID if invalid else one.verdict), message=message)
    return test


def sentence(one: Comparison) -> str:
    """Say of one case what was found: "REGRESSED: ratio 1.052 (1.041 – 1.066), p 0.0012, floor 1.0 %"."""
    verdict, ratio, interval, p, floor, _, _ = words.cells(one)
    parts = [
        *([f"ratio {ratio}" + (f" ({interval})" if interval else "")] if ratio else []),
        *([f"p {p}"] if p else []),
        *([f"floor {floor}"] if floor and ratio else []),
        *([words.remarks(one)] if words.remarks(one) else []),
    ]
    return f"{verdict}: {', '.join(parts)}" if parts else verdict
