"""A clock that moves only when it is told to, and a device's queue that writes down what is asked of it.

Times are seconds; readings of `FakeNow` are whole nanoseconds, as those of `time.perf_counter_ns`.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import inspect
import math
import weakref
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from torchgauge.measure.clock import Block
from torchgauge.measure.instruments import Observation, Visit
from torchgauge.measure.reasons import Unknown
from torchgauge.measure.subject import Subject
from torchgauge.measure.telemetry import Snapshot
from torchgauge.record import Environment, Run, read
from torchgauge.record.schema import Scalar


class FakeNow:
    """A host clock. It stands still but for `advance`, and for `tick` seconds at each reading."""

    def __init__(self, tick: float = 0.0) -> None:
        self.ns = 0.0
        self.tick = tick
        self.readings = 0

    def __call__(self) -> int:
        self.readings += 1
        self.ns += self.tick * 1e9
        return int(self.ns)

    @property
    def seconds(self) -> float:
        return self.ns * 1e-9

    def advance(self, seconds: float) -> None:
        self.ns += seconds * 1e9


class FakeCall:
    """A function that takes time on a `FakeNow`: `costs` call by call, the last of them for ever."""

    def __init__(self, now: FakeNow, *costs: float) -> None:
        self.now = now
        self.calls = 0
        self._costs = chain(costs, repeat(costs[-1]))

    def __call__(self, *args: Any, **kwargs: Any) -> int:
        self.calls += 1
        self.now.advance(next(self._costs))
        return self.calls


class FakeClock:
    """A `Clock` over a `FakeNow`, with the resolution and the metric that a test wants.

    `noise` gives the factor of each block's time in turn; it lengthens what is reported only.
    """

    method = "fake"
    waits = False

    def __init__(
        self,
        now: FakeNow,
        *,
        resolution: float = 50e-9,
        metric: str = "time",
        noise: Iterable[float] = repeat(1.0),
        starved: bool = False,
    ) -> None:
        self.now = now
        self.resolution = resolution
        self.metric = metric
        self.blocks: list[float] = []
        """What each block took, in seconds, as it was reported."""
        self._noise = iter(noise)
        self._starved = starved

    def time(self, block: Callable[[], None]) -> Block:
        begin = self.now.ns
        block()
        took = (self.now.ns - begin) * 1e-9 * next(self._noise)
        self.blocks.append(took)
        if self.metric == "device_time":
            return Block(took, submit=took / 2, starved=self._starved)
        return Block(took)


class FakeQueue:
    """A device's queue. `log` holds, in their order, all that was asked of it.

    The device works through its queue while the host's clock goes on: work that is submitted begins when
    the work before it has ended, and not before it was submitted.
    """

    event_resolution = 0.5e-6
    event_overhead = 0.0

    def __init__(self, now: FakeNow) -> None:
        self.now = now
        self.log: list[str] = []
        self.sleeps: list[float] = []
        self.busy_until = 0.0
        self.flush_seconds: float | None = 30e-6
        """How long a flush takes; None where the size of the cache is not known."""
        self.uncapturable: str | None = None
        """Why no graph can be captured."""
        self._captured: list[float] | None = None

    def submit(self, seconds: float) -> None:
        """Queue a kernel of that length; while a graph is captured it becomes part of the graph."""
        if self._captured is not None:
            self._captured.append(seconds)
            return
        self.busy_until = max(self.busy_until, self.now.seconds) + seconds

    def kernel(self, *, host: float, device: float) -> Callable[[], None]:
        """Make a call that costs the host `host` seconds to submit and the device `device` seconds."""

        def call() -> None:
            self.log.append("call")
            self.now.advance(host)
            self.submit(device)

        return call

    def event(self) -> FakeEvent:
        return FakeEvent(self)

    def sleep(self, seconds: float) -> None:
        self.log.append("sleep")
        self.sleeps.append(seconds)
        self.submit(seconds)

    def synchronize(self) -> None:
        assert self._captured is None, "synchronized while a graph was captured"
        self.log.append("synchronize")
        self.wait(self.busy_until)

    def flush(self) -> None:
        if self.flush_seconds is None:
            raise Unknown("the size of the cache is not known")
        self.log.append("flush")
        self.submit(self.flush_seconds)

    def capture(self, block: Callable[[], None]) -> Callable[[], None]:
        block()
        self.log.append("capture")
        self._captured = graph = list[float]()
        try:
            block()
            if self.uncapturable is not None:
                raise Unknown(self.uncapturable)
        finally:
            self._captured = None
        self.log.append("captured")

        def replay() -> None:
            self.log.append("replay")
            self.now.advance(3e-6)
            for seconds in graph:
                self.submit(seconds)

        return replay

    def wait(self, until: float) -> None:
        self.now.advance(max(0.0, until - self.now.seconds))


class FakeEvent:
    """A mark in a `FakeQueue`."""

    def __init__(self, queue: FakeQueue) -> None:
        self._queue = queue
        self.passed_at: float | None = None

    def record(self) -> None:
        self._queue.log.append("record")
        self.passed_at = max(self._queue.busy_until, self._queue.now.seconds)

    def query(self) -> bool:
        self._queue.log.append("query")
        assert self.passed_at is not None, "queried before it was recorded"
        return self._queue.now.seconds >= self.passed_at

    def synchronize(self) -> None:
        self._queue.log.append("wait")
        assert self.passed_at is not None, "waited for before it was recorded"
        self._queue.wait(self.passed_at)

    def elapsed_time(self, end_event: FakeEvent, /) -> float:
        assert self.passed_at is not None, "read before it was recorded"
        assert end_event.passed_at is not None, "read before it was recorded"
        assert self._queue.now.seconds >= end_event.passed_at - 1e-12, "read before the device passed it"
        return (end_event.passed_at - self.passed_at) * 1e3


class FakeTelemetry:
    """A machine in a state that a test wants: it is `calm`, but for the visits named in `crowded`.

    A visit takes two snapshots; visits (tries counted) are numbered from 0.
    """

    def __init__(self, now: FakeNow | None = None, *, crowded: Iterable[int] = ()) -> None:
        self.looks: list[str] = []
        self.cards: dict[str, Any] = {}
        self._now = now or FakeNow()
        self._crowded = set(crowded)
        self._waited = self._begin = 0.0

    def add(self, cards: dict[str, Any]) -> None:
        self.cards.update(cards)

    def snapshot(self, place: str = "cpu") -> Snapshot:
        visit, after = divmod(len(self.looks), 2)
        self.looks.append(place)
        if after and visit in self._crowded:
            self._waited += 0.9 * (self._now.seconds - self._begin)
        self._begin = self._now.seconds
        return Snapshot(
            at=self._now.seconds,
            thread_seconds=self._now.seconds,
            waited_seconds=self._waited,
        )


class FakeMeter:
    """A counter of energy that steps every `step` seconds: a device with idle power, and calls on it."""

    method = "fake-counter"

    def __init__(self, now: FakeNow, *, idle_watts: float, step: float = 0.1) -> None:
        self._now = now
        self._idle_watts = idle_watts
        self._step = step
        self._of_calls: list[tuple[float, float]] = []

    def call(self, *, seconds: float, joules: float) -> Callable[[], None]:
        """Make a call that lasts so long and takes so much above idle."""

        def run() -> None:
            self._now.advance(seconds)
            self._of_calls.append((self._now.seconds, joules))

        return run

    def joules(self) -> float:
        shown = math.floor(self._now.seconds / self._step + 1e-6) * self._step
        return self._idle_watts * shown + sum(joules for at, joules in self._of_calls if at <= shown + 1e-9)


class Loss:
    """A result that holds an autograd graph, as far as `torchgauge.measure.subject.kept` can see."""

    grad_fn = "a node"


class AliveLosses:
    """A call that gives a `Loss`, and notes at each call how many of those before are still alive."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self._meanwhile = meanwhile
        self._made: list[weakref.ref[Loss]] = []
        self.others_at_each_call: list[int] = []

    def call(self) -> Loss:
        self._meanwhile()
        self.others_at_each_call.append(sum(made() is not None for made in self._made[-3:] + self._made[:1]))
        loss = Loss()
        self._made.append(weakref.ref(loss))
        return loss


class FakeInstrument:
    """Calls the subject once and gives the samples that it was made with, as `time` on a host clock."""

    name = "time"

    def __init__(self, *samples: float) -> None:
        self._samples = list(samples)
        self.visits: list[Visit] = []
        self.conditions: dict[str, Scalar] = {}

    def observe(self, subject: Subject, visit: Visit) -> tuple[Any, list[Observation]]:
        self.visits.append(visit)
        seen = Observation("time", "s", "fake", list(self._samples), 1, dict(self.conditions))
        return subject.call()(), [seen]


class FakeRun:
    """Measures bench files in this process, on a `FakeInstrument`: no real time passes.

    Made by the fixture `fake_run` of the modules that use it.
    """

    def __init__(self, pytester: Any, monkeypatch: Any) -> None:
        from torchgauge.measure import ceilings, choice, device, environment

        self.pytester = pytester
        self.visits: list[Visit] = []
        self.samples: tuple[float, ...] = (1e-6, 2e-6, 3e-6)
        surroundings = _surroundings()
        self.conditions: dict[str, Scalar] = {}
        self.current: list[str] = []
        """The device that was the current one in each visit."""
        gc.freeze()  # each run ends with several collections: leave torch out of them
        monkeypatch.setattr(environment, "collect", lambda *_: surroundings)
        monkeypatch.setattr(choice, "by_name", lambda _: self._instrument)
        monkeypatch.setattr(device, "current", self._make_current)
        monkeypatch.setattr(ceilings, "into", lambda *_: None)

    def __call__(self, *arguments: str, rounds: int = 1, device: str = "cpu", budget: str = "quick") -> Any:
        """Run pytest with `--gauge-measure`."""
        words = ["--gauge-measure", f"--gauge-rounds={rounds}", f"--gauge-device={device}"]
        words += [
            "-p",
            "no:unraisableexception",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:hypothesispytest",
        ]
        return self.pytester.runpytest_inprocess(*words, f"--gauge-budget={budget}", *arguments)

    def bench(self, *functions: Callable[..., None], name: str = "bench_a", head: str = "") -> None:
        """Write a bench file from functions defined in a test."""
        sources = [inspect.cleandoc("\n" + inspect.getsource(function)) for function in functions]
        text = "\n\n\n".join(["import pytest\nimport torch\n" + head, *sources])
        self.pytester.path.joinpath(f"{name}.py").write_text(text, "utf-8")

    @contextlib.contextmanager
    def _make_current(self, place: str) -> Iterator[None]:
        self.current.append(place)
        yield

    @property
    def files(self) -> list[Path]:
        return sorted(self.pytester.path.glob("results/*.jsonl"))

    @property
    def run(self) -> Run:
        """The one run file there is."""
        (path,) = self.files
        return read(path)

    def _instrument(self) -> FakeInstrument:
        made = FakeInstrument(*self.samples)
        made.visits = self.visits
        made.conditions = self.conditions
        return made


@functools.cache
def _surroundings() -> Environment:
    from torchgauge.measure import environment

    return environment.collect(["cpu"], Path())
