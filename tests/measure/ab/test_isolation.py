"""Pairs that start at once take turns at being measured."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from torchgauge.errors import TorchgaugeError
from torchgauge.measure.ab import isolation
from torchgauge.measure.ab.channel import Failed
from torchgauge.measure.ab.conductor import CORES_EACH, MOST_STARTED, Conductor, Request
from torchgauge.measure.ab.isolation import Batch, Paired, Sequential
from torchgauge.measure.ab.pair import Solo, Taken
from torchgauge.measure.ab.process import SideError
from torchgauge.record import Case


class Machine:
    """Pairs that only note what they do, each `begin` and `end` with its number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cannot_start: tuple[int, ...] = ()) -> None:
        self.log: list[tuple[str, int]] = []
        self._cannot_start = cannot_start
        monkeypatch.setattr(isolation, "pair", self._pair)

    @contextmanager
    def _pair(self, start, _chance: random.Random) -> Iterator[SimpleNamespace]:
        number = start("base")
        time.sleep(0.01 * number)  # they take unlike long to start
        if number in self._cannot_start:
            side = SimpleNamespace(where=f"side {number}")
            raise SideError(side, Failed("process", "Exit", "ended"))
        self.log.append(("started", number))
        yield SimpleNamespace(keep_to=lambda core: None, measure=lambda *_: self._measure(number))

    def _measure(self, number: int) -> Taken:
        self.log.append(("begin", number))
        time.sleep(0.005)
        self.log.append(("end", number))
        return Taken(1, "fake", [])

    def run(self, pairs: int) -> list[Paired | TorchgaugeError]:
        batch = Batch(pairs)

        def one(number: int) -> Paired | TorchgaugeError:
            paired = Paired(lambda _: number, random.Random(0), None, batch)
            try:
                paired.visit(["a", "b"], lambda case, outcome: None)
            except TorchgaugeError as error:
                return error
            return paired

        with ThreadPoolExecutor(pairs) as pool:
            return list(pool.map(one, range(pairs)))


def test_all_have_started_before_the_first_is_measured_and_no_two_are_at_once(monkeypatch) -> None:
    machine = Machine(monkeypatch)
    done = machine.run(4)
    kinds = [kind for kind, _ in machine.log]
    assert kinds == ["started"] * 4 + ["begin", "end"] * 8
    measured = [number for kind, number in machine.log if kind == "begin"]
    assert [measured[place] == measured[place + 1] for place in range(0, 8, 2)] == [True] * 4
    assert sorted(measured) == sorted([*range(4)] * 2)
    assert all(one.waiting >= 0 and one.measuring >= 0.01 for one in done)


def test_a_pair_that_can_not_start_keeps_no_other_waiting(monkeypatch) -> None:
    machine = Machine(monkeypatch, cannot_start=(0, 2))
    done = machine.run(3)
    assert [isinstance(one, TorchgaugeError) for one in done] == [True, False, True]
    assert machine.log[-1] == ("end", 1)


def test_a_pair_by_itself_waits_for_nobody(monkeypatch) -> None:
    Machine(monkeypatch)
    paired = Paired(lambda _: 1, random.Random(0), None)
    thread = threading.Thread(target=paired.visit, args=(["a"], lambda *_: None), daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()


def test_sides_that_are_to_be_alone_are_of_no_batch() -> None:
    with pytest.raises(ValueError, match="alone"):
        Sequential(lambda _: None, random.Random(0), None, Batch(2))


@pytest.mark.parametrize(
    ("device", "isolated", "threads", "cores", "lanes", "batch"),
    [
        ("cpu", "paired", 1, 2, 2, 2),
        ("cpu", "paired", 2, 16, 1, 1),
        ("cuda:0", "paired", 1, 2, 1, 1),
        ("cuda:0", "paired", 1, 2 * CORES_EACH, 1, 2),
        ("cuda:0", "paired", None, 64, 1, MOST_STARTED),
        ("cuda:0", "sequential", 1, 64, 1, 1),
    ],
)
def test_pairs_with_an_accelerator_start_together_where_there_are_cores_for_it(
    device: str, isolated: str, threads: int | None, cores: int, lanes: int, batch: int, monkeypatch
) -> None:
    case = Case(id="a", group="a", name="a", device=device, dtype=None)
    monkeypatch.setattr("torchgauge.measure.ab.conductor._cores", lambda: list(range(cores)))
    made = Conductor(None, None, Request(["bench"], threads=threads, isolation=isolated), print)
    made.begin(SimpleNamespace(cases={"a": case}), lambda line: None)
    assert (made.lanes, made.batch) == (lanes, batch)


def drawn(monkeypatch: pytest.MonkeyPatch, seed: int) -> list[tuple[object, ...]]:
    """Give what is drawn for three pairs: the order of cases, the hash seed, the core, and more."""
    noted: list[tuple[object, ...]] = []

    class Noting:
        measuring = waiting = 0.0

        def __init__(self, start, chance, core, batch=None) -> None:
            self.start, self.chance, self.core = start, chance, core

        def visit(self, cases, take) -> None:
            noted.append((tuple(cases), self.start("base"), self.core, self.chance.random()))

    monkeypatch.setitem(isolation.ISOLATIONS, "paired", Noting)
    monkeypatch.setattr(Conductor, "_start", lambda self, name, hash_seed=0, lane=0: hash_seed)
    monkeypatch.setattr("torchgauge.measure.ab.conductor._cores", lambda: list(range(8)))
    made = Conductor(None, None, Request(["bench"], seed=seed), print)
    for _ in range(3):
        made.measure(list("abcdef"))
    return noted


def test_a_seed_repeats_orders_hash_seeds_and_cores(monkeypatch) -> None:
    one = drawn(monkeypatch, 1)
    assert one == drawn(monkeypatch, 1)
    assert one != drawn(monkeypatch, 2)
    assert len({order for order, *_ in one}) == len({seed for _, seed, *_ in one}) == 3


def test_who_is_first_is_drawn_where_sides_follow_each_other(monkeypatch) -> None:
    first: list[str] = []
    orders: list[str] = []

    def measure(self, name, cases, before):
        first.extend([] if before else [name])
        return {case: Solo(1, "host-clock", [1.0, 1.0]) for case in cases}

    monkeypatch.setattr(Sequential, "_measure", measure)
    chance = random.Random(1)
    for _ in range(20):
        Sequential(lambda _: None, chance, None).visit(
            ["a"], lambda _, taken: orders.append(taken.rounds[0].order)
        )
    assert set(first) == {"base", "head"}
    assert orders == ["AABB" if name == "base" else "BBAA" for name in first]
