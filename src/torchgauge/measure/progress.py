"""How far the run is: a bar with the time left on a terminal, a plain line now and then elsewhere.

Drawn between visits only, never by a thread: nothing may run beside a timed block.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

PLAIN_EVERY = 10.0


class RunProgress:
    """Shows visits done of visits planned on one stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty() and not os.environ.get("CI")
        self._begin = time.monotonic()
        self._plain_at = self._begin
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def start(self, cases: int, visits: int, instrument: str = "") -> None:
        """Say how much there is to do, and how where it is not by the clock."""
        self.say(f"{instrument or 'measuring'}{':' * bool(instrument)} {cases} cases in {visits} visits")
        if self._live:
            self._bar = Progress(
                TextColumn("{task.percentage:>3.0f} %"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[left]}"),
                TextColumn("{task.fields[case]}", markup=False, style="dim"),
                console=Console(file=self._stream),
                auto_refresh=False,
                transient=True,
            )
            self._task = self._bar.add_task("", total=visits, left="", case="")
            self._bar.start()

    def update(self, done: int, left: int, case: str) -> None:
        """Show a visit's begin. `left` is the number of visits to come, this one included."""
        now = time.monotonic()
        remaining = (now - self._begin) / done * left if done else 0.0
        text = f"{_clock(remaining)} left" if done else ""
        if self._bar is not None:
            self._bar.update(
                self._task, completed=done, total=done + left, left=text, case=case, refresh=True
            )
        elif now - self._plain_at >= PLAIN_EVERY:
            self._plain_at = now
            self.say(f"{100 * done // (done + left)} %, {text}")

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            with contextlib.suppress(OSError):  # a full disk behind 2>file costs the notes, not the run
                print(line, file=self._stream, flush=True)

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
