"""The process of a side: one pytest session that stands by for its conductor's word.

`python -m torchgauge.measure.ab.standby FD DESCRIBE EARLY PYTEST-ARGUMENTS`: FD is the socket to the
conductor, DESCRIBE is 1 where Hello is to tell of the machine, EARLY names modules to import at once, with
commas. It has its torch imported and its benchmarks collected when it says Hello; nothing is measured before
it is told to.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from torchgauge.errors import TorchgaugeError
from torchgauge.measure import cases, device, environment, settings, threads
from torchgauge.measure.ab.channel import (
    CANARY,
    LATE,
    Channel,
    Failed,
    Finished,
    GoneError,
    Hello,
    Leave,
    Skipped,
    Visit,
)
from torchgauge.measure.ab.turns import Turns
from torchgauge.measure.budget import BUDGETS
from torchgauge.measure.collect import CASE, Collection
from torchgauge.measure.instruments import Observation
from torchgauge.measure.instruments import Visit as Look
from torchgauge.measure.schedule import Share
from torchgauge.measure.subject import Subject
from torchgauge.measure.visits import Visits
from torchgauge.measure.worker import Quiet, loader
from torchgauge.plugin import COLLECTION, VISITS
from torchgauge.record import Case, Work

NOTHING = Share(0.0, 0.0, 0.0)


class Answers:
    """Tells the conductor what came of a visit, where a run's journal would write it down."""

    undisturbed: float | None = None

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def measured(
        self, _case: Case, _round: int, _instrument: str, _work: Work, seen: list[Observation], /
    ) -> None:
        """The benchmark came to its end."""
        self.finished(seen)

    def finished(self, seen: list[Observation]) -> None:
        """Say so, and under which conditions."""
        poor = next((str(one.conditions["poor"]) for one in seen if one.conditions.get("poor")), None)
        self._channel.send(Finished(poor, [name for name in LATE if name in sys.modules]))

    def failed(self, _case: Case, stage: str, error: str, message: str, /) -> None:
        """The benchmark raised."""
        self._channel.send(Failed(stage, error, message))

    def skipped(self, _case: Case, reason: str, /) -> None:
        """The benchmark is not for this machine."""
        self._channel.send(Skipped(reason))


class Standby:
    """The pytest plugin of a side's process."""

    fault: str | None = None

    def __init__(self, channel: Channel, *, describe: bool) -> None:
        self._channel = channel
        self._describe = describe
        self._root = Path.cwd()

    def note_file(self, name: str) -> None:
        """Print the file that is imported next: where it ends the process, this is what was said last."""
        os.write(1, f"importing {name}\n".encode("utf-8", "replace"))

    def print(self, text: str) -> None:
        """Print on the side's own output, which the conductor reads the last line of."""
        os.write(1, text.encode("utf-8", "replace") + b"\n")

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        """Take the place of what measures in a run."""
        config.addinivalue_line("python_files", "bench_*.py")
        config.addinivalue_line("python_functions", "bench_*")
        option = config.getoption
        try:
            devices = device.resolve(option("gauge_device"))
            dtypes = cases.choose_dtypes(option("gauge_dtype"), devices)
            if option("gauge_threads") is not None:
                settings.use_threads(threads.parse(option("gauge_threads")))
        except TorchgaugeError as error:
            self.refuse(str(error))
        selection = cases.Selection(devices, dtypes, BUDGETS[option("gauge_budget")])
        self._collection = Collection([str(word) for word in config.args], selection, self, self.refuse)
        self._visits = Visits("turns", self._root, 0.0, feeds=False, say=self.print)
        config.pluginmanager.register(self._collection, COLLECTION)
        config.pluginmanager.register(self._visits, VISITS)

    def refuse(self, message: str) -> NoReturn:
        """Say why nothing can be measured here, and end."""
        self._channel.send(Failed("collection", "Refused", message))
        os._exit(2)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Do what the conductor says until it says no more."""
        items = {item.stash[CASE].id: item for item in session.items if CASE in item.stash}
        devices = self._collection.selection.devices
        described = environment.collect(devices, self._root) if self._describe else None
        found = [item.stash[CASE] for item in items.values()]
        places = {key: self._place(item) for key, item in items.items()} if self._describe else {}
        self._channel.send(Hello(found, self._collection.broken_files, described, places))
        turns = Turns(self._channel)
        answers = Answers(self._channel)
        self._visits.begin(answers, turns)
        while isinstance(order := self._channel.receive(Visit, Leave), Visit):
            if order.case == CANARY.id:
                _, seen = turns.observe(canary(), Look(CANARY.id, CANARY.device, first=False, seconds=0.0))
                answers.finished(seen)
                continue
            following = items.get(order.following or "")
            self._visits.visit(items[order.case], following, 0, NOTHING, last=True)
            os.chdir(self._root)  # wherever the benchmark went
        return True

    def _place(self, item: pytest.Item) -> tuple[str, int]:
        line = item.location[1]
        return os.path.relpath(item.path, self._root), 1 if line is None else line + 1

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Hang up."""
        self._channel.close()


def canary() -> Subject:
    """Make the canary's work, a little of everything: Python, the dispatcher, memory, arithmetic."""
    x = torch.ones(64, 64)

    def work() -> float:
        return sum(float((x @ x)[0, 0]) for _ in range(3))

    return Subject(work)


def main(arguments: list[str]) -> NoReturn:
    """Run the session; see the module for the arguments."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the conductor's to handle
    number, describe, early, *rest = arguments
    for name in filter(None, early.split(",")):
        importlib.import_module(name)
    channel = Channel(socket.socket(fileno=int(number)))
    standby = Standby(channel, describe=describe == "1")
    code = 1
    with contextlib.suppress(GoneError):
        code = int(pytest.main([*loader(), *rest], plugins=[standby, Quiet()]))
    sys.stdout.flush()
    # the session and its fixtures are at their end; taking a whole torch apart would cost a second
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
