"""The conductor of a comparison: starts pair after pair, and writes down all that they saw.

What is to be measured next is not decided here, and no verdict is given.
"""

from __future__ import annotations

import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from torchgauge.errors import TorchgaugeError
from torchgauge.measure import threads
from torchgauge.measure.ab.channel import CANARY, Hello
from torchgauge.measure.ab.isolation import ISOLATIONS, Batch, Outcome
from torchgauge.measure.ab.pair import HOST, NotTaken, Taken, merged, pair
from torchgauge.measure.ab.process import SideError, SideProcess
from torchgauge.measure.sides import Side
from torchgauge.record.ab import AbFailure, AbSkip, PairLine
from torchgauge.record.schema import Case

# what these add to pytest would be measured, too
LEFT_OUT = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTHONHASHSEED")


MOST_LANES = 2
"""Pairs at once. Two did not scatter more than one here; many cores share one memory."""
MOST_STARTED, CORES_EACH = 4, 4
"""Pairs with an accelerator that are started at once, and cores for each; they are measured one by one."""
MOST_VISITS, FULL = 2, 48
"""Visits of a case in one pair at most, and those of all cases together up to which there is a second."""


@dataclass(frozen=True)
class Request:
    """What both sides are asked for; None where the plugin is to choose."""

    paths: list[str]
    device: str = "auto"
    dtype: str | None = None
    keyword: str | None = None
    budget: str = "quick"
    threads: int | None = 1
    seed: int = 0
    patience: float = 60.0
    """Seconds after which a side that says nothing is taken to hang."""
    isolation: str = "paired"
    """How the sides share the machine (`torchgauge.measure.ab.isolation`)."""
    pytest_args: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Cast:
    """The cases that can be compared, and the others."""

    cases: dict[str, Case]
    only: dict[str, str]
    """Id of a case that one side alone has, and which: "base" or "head"."""
    base: Hello
    head: Hello


@dataclass
class Seen:
    """What one pair gave: log(head / base) of each case, and what it cost."""

    ratios: dict[str, float]
    failed: dict[str, str]
    """Cases in which a side failed, and how."""
    skipped: dict[str, NotTaken]
    """Cases that are not for this machine."""
    start_seconds: float = 0.0
    case_seconds: float = 0.0
    """A case, in the mean."""


class Conductor:
    """Measures pairs of processes of two sides.

    Args:
        base: what head is compared with.
        head: what is judged.
        request: what both measure.
        say: tells the user one line.

    """

    def __init__(self, base: Side, head: Side, request: Request, say: Callable[[str], None]) -> None:
        self._sides = {"base": base, "head": head}
        self._request = request
        self._say = say
        self._write: Callable[[PairLine | AbFailure | AbSkip], None] = lambda _: None
        self._cases: dict[str, Case] = {CANARY.id: CANARY}
        self._pairs = 0
        # what both sides import late is imported as they start, where they do so at the same time
        self._early: set[str] = set()
        self._lock = threading.Lock()
        self._live: weakref.WeakSet[SideProcess] = weakref.WeakSet()
        self._stopping = False
        self._told: set[str] = set()
        self.timed_seconds = 0.0
        self.visits = 0
        """Cases measured in all pairs, the canary among them."""
        self.poor: list[str] = []
        """Of these, why the conditions were too poor, where they were."""

    def introduce(self) -> Cast:
        """Start both sides once, to see what they have.

        Raises:
            TorchgaugeError: a side can't begin, or there is nothing that both have.

        """
        try:
            with pair(lambda name: self._start(name, describe=True), random.Random(0)) as met:
                base, head = met.hellos
        except SideError as error:
            raise TorchgaugeError(f"{error.side.where}: {error.failure.message}") from None
        first, second = ({case.id: case for case in hello.cases} for hello in (base, head))
        both = {key: case for key, case in second.items() if key in first}
        if not both:
            where = " ".join(self._request.paths)
            raise TorchgaugeError(
                "base and head have no benchmark in common; "
                f"list those of head with: torchgauge run {where} --collect-only"
            )
        only = dict.fromkeys(first.keys() - second.keys(), "base")
        only |= dict.fromkeys(second.keys() - first.keys(), "head")
        self._cases |= both
        return Cast(both, dict(sorted(only.items())), base, head)

    def begin(self, cast: Cast, write: Callable[[PairLine | AbFailure | AbSkip], None]) -> None:
        """Take up the cases, and where each line goes; comes before the first pair."""
        self._cases |= cast.cases
        self._write = write

    @property
    def lanes(self) -> int:
        """How many pairs are measured at once, each on a core of its own."""
        on_cpu = all(case.device == "cpu" for case in self._cases.values())
        alone = self._request.threads != 1 or self._request.isolation != "paired" or not on_cpu
        return 1 if alone else min(MOST_LANES, len(_cores()) or 1)

    @property
    def batch(self) -> int:
        """How many pairs are started at once: those that are measured so, or more that take turns."""
        on_cpu = all(case.device == "cpu" for case in self._cases.values())
        if on_cpu or self._request.isolation != "paired":
            return self.lanes
        return max(1, min(MOST_STARTED, len(_cores()) // CORES_EACH))

    def measure(self, cases: Sequence[str], pairs: int = 1) -> list[Seen]:
        """Measure pairs at once: the canary and these cases, each in an order of its own.

        A case in which a side fails is written down as that; the others go on in fresh processes.

        Args:
            cases: their ids.
            pairs: how many, `batch` at the most.

        Raises:
            TorchgaugeError: a side can't begin any more, or the file can't be written.

        """
        first, self._pairs = self._pairs, self._pairs + pairs
        cores: list[int | None] = [None] * pairs
        if self._request.threads == 1 and _cores():
            cores = list(random.Random(f"{self._request.seed}-{first}-cores").sample(_cores(), pairs))
        if pairs == 1:
            return [self._measure(first, 0, cores[0], cases)]
        batch = Batch(pairs, at_once=self.lanes > 1)
        with ThreadPoolExecutor(pairs) as pool:
            going = [
                pool.submit(self._measure, first + place, place, core, cases, batch)
                for place, core in enumerate(cores)
            ]
            try:
                return [one.result() for one in going]
            except BaseException:
                self._stop()  # the threads end once their processes are gone
                raise

    def _measure(
        self,
        number: int,
        lane: int,
        core: int | None,
        cases: Sequence[str],
        batch: Batch | None = None,
    ) -> Seen:
        chance = random.Random(f"{self._request.seed}-{number}")
        hash_seed = chance.randrange(2**32)  # the same on both sides, another in each pair
        isolation = ISOLATIONS[self._request.isolation](
            lambda name: self._start(name, hash_seed, lane), chance, core, batch
        )
        seen = Seen({}, {}, {})
        taken: dict[str, list[Taken]] = {}
        begin = time.monotonic()
        order = [CANARY.id]
        for _ in range(visits(len(cases))):
            order += chance.sample(list(cases), len(cases))

        def take(case: str, outcome: Outcome) -> None:
            if isinstance(outcome, Taken):
                taken.setdefault(case, []).append(outcome)
            else:
                taken.pop(case, None)
                with self._lock:
                    self._lost(case, outcome, seen)

        isolation.visit(order, take)
        with self._lock:
            for case, some in taken.items():
                self._seen(number, case, merged(some), seen)
        seen.start_seconds = time.monotonic() - begin - isolation.measuring - isolation.waiting
        seen.case_seconds = isolation.measuring / max(1, len(seen.ratios))
        return seen

    def _stop(self) -> None:
        """Kill all processes, and start no more."""
        self._stopping = True
        for process in list(self._live):
            process.kill()

    def _lost(self, key: str, outcome: NotTaken | SideError, seen: Seen) -> None:
        """Write down a case that was not measured; not for the reason that all was stopped."""
        if self._stopping:
            return
        if isinstance(outcome, SideError):
            seen.failed[key] = self._failed(key, outcome)
            return
        self._write(AbSkip(case=key, side=outcome.side, reason=outcome.reason))
        seen.skipped[key] = outcome

    def _seen(self, number: int, key: str, taken: Taken, seen: Seen) -> None:
        """Write down a case that was measured."""
        line = PairLine(
            pair=number,
            case=self._cases[key],
            metric="time" if taken.method.startswith(HOST) else "device_time",
            method=taken.method,
            loops=taken.loops,
            rounds=taken.rounds,
            conditions={} if taken.poor is None else {"poor": taken.poor},
        )
        self.visits += 1
        self._early.update(taken.late)
        self.poor += [taken.poor] if taken.poor else []
        self._write(line)
        self.timed_seconds += line.timed_seconds
        seen.ratios[key] = line.log_ratio

    def _failed(self, key: str, error: SideError) -> str:
        side = next(name for name, one in self._sides.items() if one is error.side)
        said = error.failure
        self._write(AbFailure(case=key, side=side, stage=said.stage, error=said.error, message=said.message))
        how = f"{error.side.where}: {said.stage}: {said.error}: {said.message}"
        if key not in self._told:  # pairs that are measured at once fail at once
            self._told.add(key)
            self._say(f"failed: {key}: {how}")
        return how

    def _start(self, name: str, hash_seed: int = 0, lane: int = 0, *, describe: bool = False) -> SideProcess:
        kept = {key: value for key, value in os.environ.items() if key not in LEFT_OUT}
        variables = {**kept, **threads.variables(self._request.threads), "PYTHONHASHSEED": str(hash_seed)}
        side = self._sides[name]
        with self._lock:
            early = ",".join(sorted(self._early))
        if self._stopping:
            raise TorchgaugeError("stopped")
        process = SideProcess(
            side,
            [
                "1" if describe else "0",
                early,
                *_options(self._request),
                f"--basetemp={side.gauge.parent / name}-tmp-{lane}",
            ],
            variables,
            self._request.patience,
        )
        self._live.add(process)
        return process


def visits(cases: int) -> int:
    """Choose how often a pair visits each case: where they are few, most of its time is its start."""
    return max(1, min(MOST_VISITS, FULL // max(1, cases)))


def _cores() -> list[int]:
    """Give the cores that this process may use; none where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _options(request: Request) -> list[str]:
    words = ["--gauge-device", request.device, "--gauge-budget", request.budget]
    for option, value in (
        ("--gauge-dtype", request.dtype),
        ("--gauge-threads", request.threads),
        ("-k", request.keyword),
    ):
        if value is not None:
            words += [option, str(value)]
    words += ["-o", "addopts=", "--continue-on-collection-errors", "-p", "no:cacheprovider"]
    return [*words, *request.paths, *request.pytest_args]
