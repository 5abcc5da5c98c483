"""A comparison as workflow commands: GitHub shows them at the benchmark's line.

The form of a command and what has to be escaped in it: GitHub's documentation of workflow commands, and
`packages/core/src/command.ts` of its toolkit.
"""

from __future__ import annotations

import posixpath

from torchgauge.record.ab import AbRun, Comparison, Verdict
from torchgauge.report.gate import words
from torchgauge.report.gate.junit import sentence
from torchgauge.report.text import count

MOST = 10
"""As many as GitHub shows of one step."""
_LEVELS = {Verdict.REGRESSED: "error", Verdict.ERROR: "error", Verdict.MISSING: "warning"}


def render(run: AbRun, folder: str = "") -> str:
    """Write a command a line: of each case that regressed, failed or is missing, or of an INVALID run.

    `folder` is where the run was made, relative to the top of the checkout, from which GitHub counts.
    """
    if words.verdict(run) is Verdict.INVALID:
        return _command("warning", words.headline(run), title="torchgauge ab")
    told = [one for one in run.comparisons if one.verdict in _LEVELS and one.accepted is None]
    lines = [_annotation(run, one, folder) for one in (told if len(told) <= MOST else told[: MOST - 1])]
    if len(told) > MOST:
        rest = count(len(told) - MOST + 1, "more case", "more cases")
        lines.append(_command("warning", f"{rest}; see the table", title="torchgauge ab"))
    return "".join(lines)


def _annotation(run: AbRun, one: Comparison, folder: str) -> str:
    place = run.header.places.get(one.case)
    where = {}
    if place:
        where = {"file": posixpath.normpath(posixpath.join(folder, place[0])), "line": str(place[1])}
    return _command(_LEVELS[one.verdict], sentence(one), **where, title=words.cells(one)[-1])


def _command(level: str, message: str, **properties: str) -> str:
    said = ",".join(f"{name}={_escape(value, ':,')}" for name, value in properties.items())
    return f"::{level} {said}::{_escape(message)}\n"


def _escape(text: str, more: str = "") -> str:
    for sign in "%\r\n" + more:  # the percent sign first: the others become percent codes
        text = text.replace(sign, f"%{ord(sign):02X}")
    return text
