"""Ceilings: what is measured for a device, when, and what the run file gets of it. No GPU: fakes."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeInstrument
from torchgauge.measure import ceilings, device, machine, trials
from torchgauge.measure.clock import HostClock
from torchgauge.measure.instruments import Observation, Visit
from torchgauge.measure.instruments.time import Time
from torchgauge.measure.journal import Journal
from torchgauge.measure.subject import Subject
from torchgauge.record import Case, Config, Work, read

MEBI = 2**20


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a last cache of 1 MiB and 8 MiB of memory left: its streams take microseconds."""
    monkeypatch.setattr(machine, "all_caches", lambda root: MEBI)
    monkeypatch.setattr(machine, "memory_room", lambda root: 8 * MEBI)
    monkeypatch.setattr(trials, "CPU_SIDES", (8, 16, 32))


def names(found: list[trials.Trial]) -> list[str]:
    return [trial.case.id for trial in found]


# What is measured


def test_the_largest_working_set_is_several_last_caches() -> None:
    assert trials.working_sets(32 * MEBI, None) == [size * MEBI for size in (1, 4, 16, 64, 128)]
    assert trials.working_sets(None, None) == trials.working_sets(trials.CACHE, None)


@given(
    cache=st.none() | st.integers(1, 4 * 2**30),
    room=st.none() | st.integers(4 * MEBI, 2**40),
)
def test_working_sets_rise_and_stay_under_2_gib_and_an_eighth_of_what_is_left(cache, room) -> None:
    sizes = trials.working_sets(cache, room)
    assert sizes == sorted(set(sizes))
    assert all(size >= 64 * 1024 and size % 16 == 0 for size in sizes)
    assert 2 * sizes[-1] < 2 * 2**30
    assert room is None or sizes[-1] <= room / 8


def test_a_little_more_memory_left_does_not_give_the_ceilings_other_ids() -> None:
    assert trials.working_sets(MEBI, 100 * MEBI) == trials.working_sets(MEBI, 101 * MEBI)
    assert trials.working_sets(None, 100 * MEBI)[-1] == 8 * MEBI


def test_a_working_set_that_a_cache_may_hold_says_so(tiny: None, monkeypatch: pytest.MonkeyPatch) -> None:
    largest = [trial for trial in trials.trials("cpu", []) if trial.case.params.get("size") == MEBI]
    assert [trial.warnings for trial in largest] == [(trials.CACHED,)] * 4
    monkeypatch.setattr(machine, "memory_room", lambda root: None)
    assert not any(trial.warnings for trial in trials.trials("cpu", []))


def test_each_stream_states_the_bytes_that_it_moves_and_moves_them(tiny: None) -> None:
    found = {trial.case.name: trial for trial in trials.trials("cpu", []) if trial.case.params.get("size")}
    assert set(found) == {"copy", "read", "write", "update"}
    for name, trial in found.items():
        size, passes = trial.case.params["size"], 2 if name == "update" else 1
        assert trial.work == Work(flop=0.0, bytes=float(passes * size))
        subject = trial.make()
        tensors = [subject.fn.__self__, *(part for part in subject.args if isinstance(part, torch.Tensor))]
        assert sum(tensor.nbytes for tensor in tensors) == size


def test_streams_do_what_they_are_named_after(tiny: None) -> None:
    found = {trial.case.name: trial.make() for trial in trials.trials("cpu", []) if trial.work.bytes}
    copy = found["copy"]
    assert torch.equal(copy.call()(), copy.args[0])
    update = found["update"]
    before = update.fn.__self__.clone()
    assert torch.equal(update.call()(), -before)
    assert found["read"].call()().item() == pytest.approx(found["read"].fn.__self__.sum().item())
    assert bool((found["write"].call()() == 0.7).all())


def test_products_are_measured_in_the_runs_dtypes_alone(tiny: None) -> None:
    found = trials.trials("cpu", ["float64", "float32", "int64", "tf32", "bool"])
    products = [trial for trial in found if trial.case.name == "matmul"]
    assert {trial.case.dtype for trial in products} == {"float64", "float32"}  # no tf32 on a CPU
    for trial in products:
        n = trial.case.params["n"]
        assert trial.work == Work(flop=2.0 * n**3)
        assert [tuple(part.shape) for part in trial.make().args] == [(n, n)] * 2
        assert {part.dtype for part in trial.make().args} == {device.torch_dtype(trial.case.dtype)}


def test_a_product_that_would_take_too_long_is_left_out(tiny: None) -> None:
    readings = itertools.count()

    def slow() -> int:  # each call takes 20 ms: twice the side would take 160
        return next(readings) * 20_000_000

    found = trials.trials("cpu", ["float32"], now=slow)
    assert [trial.case.params["n"] for trial in found if trial.case.name == "matmul"] == [8]


@pytest.mark.parametrize(("faster", "transposed"), [(1.4, False), (1.6, True)])
def test_a_product_is_measured_transposed_where_that_is_much_faster(
    tiny: None, monkeypatch: pytest.MonkeyPatch, faster: float, transposed: bool
) -> None:
    def seconds(make: Any, *_: Any) -> float:
        return 1e-6 * (1.0 if not make().args[1].is_contiguous() else faster)

    monkeypatch.setattr(trials, "_seconds", seconds)
    products = [trial for trial in trials.trials("cpu", ["float16"]) if trial.case.name == "matmul"]
    assert len(products) > 1
    assert {trial.make().args[1].is_contiguous() for trial in products} == {not transposed}


def test_int8_is_multiplied_by_torchs_own_product_of_it(tiny: None) -> None:
    (trial, *_) = (trial for trial in trials.trials("cpu", ["int8"]) if trial.case.name == "matmul")
    subject = trial.make()
    expected = subject.args[0].to(torch.int32) @ subject.args[1].to(torch.int32)
    assert torch.equal(subject.call()(), expected)


def test_the_empty_operator_has_no_work_and_is_timed_by_the_host(tiny: None) -> None:
    (trial,) = (trial for trial in trials.trials("cpu", []) if trial.case.name == "operator")
    assert trial.case.id == "ceiling/operator[cpu]"
    assert (trial.work, trial.queued) == (Work(flop=0.0, bytes=0.0), False)
    assert trial.make().call()().numel() == 1


# An accelerator, which is not there: tensors stay on the CPU, what `measure.device` tells is made up


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make "cuda:0" look like a card of 4 GiB with 1 MiB of cache; gives what was launched and pinned."""
    log: list[str] = []
    real = torch.randn

    def randn(*size: Any, device: Any = None, **options: Any) -> torch.Tensor:
        return real(*size, **options)

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        log.append("pin")
        return tensor

    empty = torch.empty
    monkeypatch.setattr(torch, "randn", randn)
    monkeypatch.setattr(torch, "empty", lambda *size, device=None, **options: empty(*size, **options))
    monkeypatch.setattr(torch, "zeros", lambda *size, device=None: real(*size))
    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(device, "cache_bytes", lambda name: MEBI)
    monkeypatch.setattr(device, "memory_room", lambda name: 4 * 2**30)
    monkeypatch.setattr(device, "synchronizer", lambda name: None)
    monkeypatch.setattr(device, "current", lambda name: contextlib.nullcontext())
    monkeypatch.setattr(device, "why_not", lambda name, dtype: None)
    monkeypatch.setattr(device, "empty_kernel", lambda name: lambda: log.append("launch"))
    monkeypatch.setattr(trials, "OTHER_SIDES", (8, 16))
    monkeypatch.setattr(trials, "LINK", 4096)
    monkeypatch.setattr(trials, "LEAST_MAIN", MEBI)
    return log


def test_an_accelerator_adds_an_empty_launch_and_the_link_in_both_directions(cuda: list[str]) -> None:
    found = {trial.case.id: trial for trial in trials.trials("cuda:0", ["float32"])}
    links = [
        f"ceiling/{way}[cuda:0,memory={memory},size=4096]"
        for memory in ("pinned", "pageable")
        for way in ("to_device", "from_device")
    ]
    assert {"ceiling/launch[cuda:0]", "ceiling/operator[cuda:0]", *links} <= set(found)
    found["ceiling/launch[cuda:0]"].make().call()()
    assert cuda == ["launch"]
    for name in links:
        subject = found[name].make()
        assert found[name].work == Work(flop=0.0, bytes=4096.0)
        assert subject.kwargs == {"non_blocking": "pinned" in name}
        assert torch.equal(subject.call()(), subject.args[0])
    assert cuda == ["launch", "pin", "pin"]


def test_a_device_for_which_torch_pins_no_memory_has_one_link_each_way(
    cuda: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "empty_kernel", lambda name: None)
    found = names(trials.trials("mps:0", []))
    assert [name for name in found if "memory=" in name] == [
        "ceiling/to_device[mps:0,memory=pageable,size=4096]",
        "ceiling/from_device[mps:0,memory=pageable,size=4096]",
    ]
    assert not any("launch" in name for name in found)


def test_tf32_is_a_product_of_its_own_on_an_accelerator(cuda: list[str]) -> None:
    found = trials.trials("cuda:0", ["float32", "tf32"])
    products = [trial.case.id for trial in found if trial.case.name == "matmul"]
    assert products == [
        f"ceiling/matmul[cuda:0,{dtype},n={n}]" for dtype in ("float32", "tf32") for n in (8, 16)
    ]


def test_an_accelerators_operator_is_visited_as_one_of_the_host(cuda: list[str]) -> None:
    watching = FakeInstrument(1e-6)
    ceilings.measure("cuda:0", [], rounds=1, instrument=watching)
    hosted = {visit.case_id for visit in watching.visits if visit.device == "cpu"}
    assert hosted == {"ceiling/operator[cuda:0]"}


# How it is measured


class Rate:
    """An instrument that sees 1 µs more in each round; `broken` raises in the visits to that name."""

    name = "time"

    def __init__(self, broken: str = "", error: Exception | None = None) -> None:
        self.visits: list[Visit] = []
        self._broken, self._error = broken, error

    def observe(self, subject: Subject, visit: Visit) -> tuple[Any, list[Observation]]:
        if self._error is not None and self._broken in visit.case_id:
            raise self._error
        self.visits.append(visit)
        turn = sum(before.case_id == visit.case_id for before in self.visits)
        seconds = 10e-6 + turn * 1e-6
        return None, [
            Observation("time", "s", "fake", [seconds] * 3, 1, {}, ["shaky"]),
            Observation("first_call", "s", "fake", [1.0], 1),
        ]


def test_each_ceiling_is_a_rate_with_an_interval_from_its_rounds(tiny: None) -> None:
    found = ceilings.measure("cpu", ["float32"], rounds=2, instrument=Rate())
    largest = next(one for one in found if one.name == "update" and one.params["size"] == MEBI)
    assert (largest.unit, largest.dtype, largest.device, largest.metric) == ("B/s", None, "cpu", "time")
    mean = (11e-6 * 12e-6) ** 0.5
    assert largest.value == pytest.approx(2 * MEBI / mean)
    assert largest.low < 2 * MEBI / 12e-6 < 2 * MEBI / 11e-6 < largest.high
    assert largest.reached == pytest.approx(2 * MEBI / 11e-6)
    assert largest.warnings == ["shaky", trials.CACHED]
    product = next(one for one in found if one.name == "matmul")
    assert (product.unit, product.dtype) == ("FLOP/s", "float32")
    operator = next(one for one in found if one.name == "operator")
    assert (operator.unit, operator.value) == ("s", pytest.approx(mean))
    assert operator.low < operator.value < operator.high


def test_one_round_has_no_interval(tiny: None) -> None:
    found = ceilings.measure("cpu", [], rounds=1, instrument=Rate())
    assert {(one.low, one.high) for one in found} == {(None, None)}


def test_all_ceilings_are_visited_once_a_round_in_orders_of_their_own(tiny: None) -> None:
    watching = Rate()
    ceilings.measure("cpu", ["float32"], 6.0, rounds=3, seed=4, instrument=watching)
    seen = [visit.case_id for visit in watching.visits]
    count = len(set(seen))
    turns = [seen[start : start + count] for start in range(0, len(seen), count)]
    assert all(len(set(turn)) == count for turn in turns)
    assert len(turns) == 3
    assert turns[0] != turns[1] != turns[2]
    assert {visit.seconds for visit in watching.visits} == {6.0 / (3 * count)}
    assert [visit.first for visit in watching.visits] == [True] * count + [False] * (2 * count)


def test_a_busy_machine_gets_fewer_rounds_but_an_interval_all_the_same(tiny: None) -> None:
    found = trials.trials("cpu", [])
    ticks = itertools.count()  # a second at each look
    visited = list(ceilings.visits(found, 0.5, 5, 1, Rate(), now=lambda: float(next(ticks))))
    assert Counter(one.round for one in visited) == dict.fromkeys(range(ceilings.LEAST_ROUNDS), len(found))
    ticks = itertools.count()
    visited = list(ceilings.visits(found, 4.0, 5, 1, Rate(), now=lambda: float(next(ticks))))
    assert {one.round for one in visited} == {0, 1, 2, 3, 4}


class Wandering(Rate):
    """Sees the machine slow in the first `slow` visits to each copy, and never elsewhere."""

    def __init__(self, slow: int) -> None:
        super().__init__()
        self._slow = slow

    def observe(self, subject: Subject, visit: Visit) -> tuple[Any, list[Observation]]:
        result, (seen, first_call) = super().observe(subject, visit)
        turn = sum(before.case_id == visit.case_id for before in self.visits)
        slow = "/copy[" in visit.case_id and turn <= self._slow
        seen.paces.extend([25e-6 if slow else 16e-6] * len(seen.samples))
        return result, [seen, first_call]

    def count(self) -> dict[str, set[int]]:
        """How many visits each kind of ceiling had."""
        found: dict[str, set[int]] = {}
        for name, number in Counter(visit.case_id for visit in self.visits).items():
            found.setdefault(name.partition("[")[0].removeprefix("ceiling/"), set()).add(number)
        return found


def test_a_ceiling_that_was_disturbed_in_all_rounds_is_visited_until_it_is_not(tiny: None) -> None:
    watching = Wandering(slow=5)
    ceilings.measure("cpu", [], 60.0, rounds=3, instrument=watching)
    assert watching.count() == {"copy": {6}, "read": {3}, "write": {3}, "update": {3}, "operator": {3}}
    more = [visit for visit in watching.visits if visit.patience == ceilings.MORE_PATIENCE]
    assert len(more) == 3 * len({visit.case_id for visit in more})
    assert {visit.undisturbed for visit in more} == {16e-6}


def test_one_that_calm_never_comes_to_is_given_up(tiny: None) -> None:
    watching = Wandering(slow=1000)
    ceilings.measure("cpu", [], 60.0, rounds=3, instrument=watching)
    assert watching.count()["copy"] == {3 + ceilings.MORE_ROUNDS}
    found = trials.trials("cpu", [])
    ticks = itertools.count()
    visited = list(ceilings.visits(found, 4.0, 3, 1, Wandering(1000), now=lambda: float(next(ticks))))
    assert max(one.round for one in visited) == 3 + 3  # the time was up: a second at each look


def test_what_the_device_can_not_do_is_tried_once_and_left_out(tiny: None) -> None:
    watching = Rate("matmul", RuntimeError("\"addmm\" not implemented for 'Half'"))
    found = ceilings.measure("cpu", ["float32"], instrument=watching)
    assert {one.name for one in found} == {"copy", "read", "write", "update", "operator"}


def test_a_mistake_is_not_taken_for_what_a_device_can_not_do(tiny: None) -> None:
    with pytest.raises(ZeroDivisionError):
        ceilings.measure("cpu", [], instrument=Rate("copy", ZeroDivisionError()))


def test_the_real_sampler_gives_rates_above_nothing(tiny: None) -> None:
    found = ceilings.measure("cpu", ["float32"], 0.05, rounds=2, instrument=Time(HostClock()))
    assert Counter(one.unit for one in found)["B/s"] >= 8
    assert all(one.value > 0 and one.low <= one.value <= one.high for one in found)


# Into the run file


@pytest.fixture
def journal(tmp_path: Path) -> Callable[[], Journal]:
    from fakes import _surroundings

    def make() -> Journal:
        config = Config(
            torchgauge="0", paths=[], devices=["cpu"], dtypes=None, keyword=None, budget="quick",
            instruments=["time"], rounds=1, processes=1, seed=1,
        )  # fmt: skip
        return Journal(tmp_path / "run.jsonl", "5eed", config, _surroundings(), 0)

    return make


CASES = [
    Case(id="a/b[cpu,float32]", group="a", name="b", device="cpu", dtype="float32"),
    Case(id="a/c[cpu]", group="a", name="c", device="cpu", dtype=None),
]


def test_ceilings_are_lines_of_their_own_instrument_and_no_cases(tiny: None, journal, tmp_path: Path) -> None:
    writing = journal()
    noted: list[str] = []
    ceilings.into(writing, CASES, 1.0, 1, Rate(), lambda case: noted.append(case.id))
    writing.end(1.0, interrupted=False)
    writing.close()
    run = read(tmp_path / "run.jsonl")
    assert run.measurements == []
    assert run.end is not None
    assert run.end.measured == 0
    assert {(line.instrument, line.metric) for line in run.ceilings} == {("ceiling", "time")}
    rounds = Counter(line.case.id for line in run.ceilings)
    assert set(rounds.values()) == {ceilings.ROUNDS}
    assert {"ceiling/matmul[cpu,float32,n=8]", f"ceiling/copy[cpu,size={MEBI}]"} <= set(rounds)
    assert noted == [line.case.id for line in run.ceilings]
    assert all(line.work.flop is not None for line in run.ceilings)


def test_what_a_run_file_holds_is_not_measured_again(tiny: None, journal, tmp_path: Path) -> None:
    first = journal()
    stopping = Rate("update", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        ceilings.into(first, CASES, 1.0, 1, stopping, lambda _: None)
    first.close()
    second = journal()
    rest = Rate()
    ceilings.into(second, CASES, 1.0, 1, rest, lambda _: None)
    second.close()
    run = read(tmp_path / "run.jsonl")
    seen = Counter((line.case.id, line.round) for line in run.ceilings)
    assert set(seen.values()) == {1}
    assert len(seen) == len(stopping.visits) + len(rest.visits)
    third, idle = journal(), Rate()
    ceilings.into(third, CASES, 1.0, 1, idle, lambda _: None)
    third.close()
    assert idle.visits == []


def test_what_can_not_be_measured_is_skipped_with_its_reason_and_stays_so(
    tiny: None, journal, tmp_path: Path
) -> None:
    error = RuntimeError("\"addmm\" not implemented for 'Half'")
    for _ in range(2):
        writing = journal()
        ceilings.into(writing, CASES, 1.0, 1, Rate("matmul", error), lambda _: None)
        writing.close()
    skips = Counter((skip.case.name, skip.reason) for skip in read(tmp_path / "run.jsonl").skips)
    assert skips == {("matmul", str(error)): 3}


def test_a_ceiling_that_raises_is_a_failure_and_the_run_goes_on(tiny: None, journal, tmp_path: Path) -> None:
    writing = journal()
    ceilings.into(writing, CASES, 1.0, 1, Rate("copy", ZeroDivisionError("no")), lambda _: None)
    writing.close()
    run = read(tmp_path / "run.jsonl")
    assert {(line.case.name, line.stage, line.error) for line in run.failures} == {
        ("copy", "measure", "ZeroDivisionError")
    }
    assert {line.case.name for line in run.ceilings} == {"read", "write", "update", "matmul", "operator"}
