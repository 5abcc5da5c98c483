"""The process that measures: one pytest session, told by `torchgauge run` what to do.

`python -m torchgauge.measure.worker CRUMB COUNT PYTEST-ARGUMENTS`: the last COUNT arguments are the user's
own. Its exit code is 0, 1 (a benchmark failed), 2 (refused: one line on stderr says why) or 130
(interrupted). CRUMB is a file in which it leaves the case it is at, so that the parent can name the one
that killed it.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import sys
from importlib.metadata import entry_points
from pathlib import Path

import msgspec
import pytest

from torchgauge.measure.launch import INTERRUPTED, REFUSED
from torchgauge.measure.progress import RunProgress
from torchgauge.record import Case

NAME = "torchgauge-worker"


class Worker:
    """What a measuring session may say to the outside while pytest holds stdout and stderr."""

    def __init__(self, crumb: Path, pytest_args: list[str]) -> None:
        # pytest redirects the descriptors 1 and 2 while tests run: keep copies of the real ones
        self.stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self.stderr = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace")
        self.progress = RunProgress(self.stderr)
        self.refusal: str | None = None
        self.pytest_args = pytest_args
        self._crumb = crumb
        self._parent = os.getppid()

    def note(self, case: Case) -> None:
        """Leave the case that comes next; end if the parent is gone, since nobody closes the run then."""
        if os.getppid() != self._parent:
            os._exit(1)
        self._crumb.write_bytes(msgspec.json.encode(case))

    def leave(self, word: bytes) -> None:
        """Leave how the session ended: one of the words of `torchgauge.measure.launch`."""
        self._crumb.write_bytes(word)


def main(arguments: list[str]) -> int:
    """Run the session; see the module for the arguments and the exit code."""
    # a shell's background job ignores SIGINT, and hands that on
    signal.signal(signal.SIGINT, signal.default_int_handler)
    crumb, count, *rest = arguments
    worker = Worker(Path(crumb), rest[len(rest) - int(count) :])
    # an installed package is loaded by its entry point; a checkout on PYTHONPATH is not
    loader = [] if entry_points(group="pytest11", name="torchgauge") else ["-p", "torchgauge.plugin"]
    quiet = [] if worker.pytest_args else [_Quiet()]
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = pytest.main([*loader, *rest], plugins=[_Named(worker), *quiet])
    worker.progress.stop()
    refusal = worker.refusal
    if refusal is None and code == pytest.ExitCode.USAGE_ERROR:
        refusal = _usage(said.getvalue())
    if refusal is not None:
        worker.leave(REFUSED)
        print(f"torchgauge: error: {refusal}", file=worker.stderr, flush=True)
        return 2
    print(said.getvalue(), end="", file=worker.stderr, flush=True)
    if code == pytest.ExitCode.INTERRUPTED:
        worker.leave(INTERRUPTED)
        return 130
    return int(code)


class _Named:
    """Registers the worker under its name before any other hook of torchgauge runs."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.pluginmanager.register(self._worker, NAME)


class _Quiet:
    """Keeps pytest's own report off the terminal; the options of its reporter stay known."""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.pluginmanager.unregister(name="terminalreporter")


def _usage(text: str) -> str:
    """Find pytest's own word in what it said: the text behind its last "error:"."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if "error: " in line.lower()]
    return re.sub(
        r"^.*error: ", "", (told or lines or ["pytest refused its arguments"])[-1 if told else 0], flags=re.I
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
