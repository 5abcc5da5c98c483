"""The process that measures: one pytest session, told by `torchgauge run` what to do.

`python -m torchgauge.measure.worker CRUMB PARENT COUNT PYTEST-ARGUMENTS`: the last COUNT arguments are the
user's own. Its exit code is 0, 1 (a benchmark failed), 2 (refused: one line on stderr says why) or 130
(interrupted). CRUMB is a file in which it leaves the file or case it is at, so that the parent, whose
process id is PARENT, can name the one that killed it.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import signal
import sys
from importlib.metadata import entry_points
from pathlib import Path

import msgspec
import pytest

from torchgauge.measure.crumb import IMPORTING, INTERRUPTED, NOTHING, REFUSED
from torchgauge.measure.progress import RunProgress
from torchgauge.record import Case

NAME = "torchgauge-worker"
_ALONE = "PYTEST_DISABLE_PLUGIN_AUTOLOAD"


class Worker:
    """What a measuring session may say to the outside while pytest holds stdout and stderr."""

    def __init__(self, crumb: Path, parent: int, pytest_args: list[str]) -> None:
        # pytest redirects the descriptors 1 and 2 while tests run: keep copies of the real ones
        self.stdout = os.fdopen(os.dup(1), "w", encoding="utf-8")
        self.stderr = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace")
        self.progress = RunProgress(self.stderr)
        self.refusal: str | None = None
        self.fault: str | None = None
        """What pytest's internal error was about."""
        self.pytest_args = pytest_args
        self._crumb = crumb
        self._parent = parent

    def note(self, case: Case) -> None:
        """Leave the case that comes next; end if the parent is gone, since nobody closes the run then."""
        if self._parent not in (os.getppid(), os.getpid()):
            shutil.rmtree(self._crumb.parent, ignore_errors=True)
            os._exit(1)
        self._crumb.write_bytes(msgspec.json.encode(case))

    def note_file(self, name: str) -> None:
        """Leave the file that is imported next."""
        self._crumb.write_bytes(IMPORTING + name.encode("utf-8", "replace"))

    def print(self, text: str) -> None:
        """Print on standard output."""
        try:
            print(text, file=self.stdout, flush=True)
        except BrokenPipeError:  # `torchgauge run --collect-only | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stdout.fileno())

    @property
    def imports(self) -> bool:
        """Whether the import of a file is the last that was noted."""
        return self._crumb.read_bytes().startswith(IMPORTING)

    def leave(self, word: bytes) -> None:
        """Leave how the session ended: one of the words of `torchgauge.measure.crumb`."""
        self._crumb.write_bytes(word)


def main(arguments: list[str]) -> int:
    """Run the session; see the module for the arguments and the exit code."""
    # a shell's background job ignores SIGINT, and hands that on
    signal.signal(signal.SIGINT, signal.default_int_handler)
    crumb, parent, count, *rest = arguments
    worker = Worker(Path(crumb), int(parent), rest[len(rest) - int(count) :])
    quiet = [] if worker.pytest_args else [Quiet()]
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = pytest.main([*loader(), *rest], plugins=[_Named(worker), *quiet])
    worker.progress.stop()
    refusal = worker.refusal
    if refusal is None and code == pytest.ExitCode.USAGE_ERROR:
        refusal = _usage(said.getvalue())
    if refusal is None and code == pytest.ExitCode.INTERNAL_ERROR:
        refusal = worker.fault or "pytest ended with an internal error; run it alone: pytest --gauge-measure"
    if refusal is not None:
        worker.leave(REFUSED)
        print(f"torchgauge: error: {refusal}", file=worker.stderr, flush=True)
        return 2
    print(said.getvalue(), end="", file=worker.stderr, flush=True)
    if code == pytest.ExitCode.INTERRUPTED:
        worker.leave(INTERRUPTED)
        return 130
    if worker.imports:  # all were imported, and nothing was to be measured
        worker.leave(NOTHING)
    return int(code)


def loader() -> list[str]:
    """Give the options by which pytest loads our plugin: none where the installed package's entry point does,
    and those it takes for a checkout on PYTHONPATH."""
    found = entry_points(group="pytest11", name="torchgauge")
    return ["-p", "torchgauge.plugin"] if not found or _ALONE in os.environ else []


class _Named:
    """Registers the worker under its name before any other hook of torchgauge runs."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.pluginmanager.register(self._worker, NAME)


class Quiet:
    """Keeps pytest's own report off the terminal; the options of its reporter stay known."""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Take the reporter away, before anybody asks it for a summary."""
        config.pluginmanager.unregister(name="terminalreporter")


def _usage(text: str) -> str:
    """Find pytest's own word in what it said: the text behind its last "error:"."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    conftest = [line for line in lines if "while loading conftest" in line]
    if conftest:
        cause = next((line[1:].strip() for line in reversed(lines) if line.startswith("E ")), "")
        return f"{conftest[0].rstrip('.')}: {cause}"
    told = [line for line in lines if "error: " in line.lower()]
    return re.sub(
        r"^.*error: ", "", (told or lines or ["pytest refused its arguments"])[-1 if told else 0], flags=re.I
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
