"""One visit to a case: its fixtures, device and seeds, and how it ends: measured, failed or skipped."""

from __future__ import annotations

import pytest
import torch

import torchgauge.measure.setup
from fakes import FakeRun
from torchgauge.measure import device
from torchgauge.measure.device import inventory
from torchgauge.record import Run

pytest_plugins = ["pytester"]


@pytest.fixture
def fake_run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    assert torchgauge.measure.setup  # imported before pytester notes which modules there are
    return FakeRun(pytester, monkeypatch)


def names(lines) -> list[str]:
    return sorted({line.case.name for line in lines})


TWELVE = "@pytest.mark.parametrize('n', range(12))\ndef bench_each(gauge, n):\n    gauge(int)\n"


def bench_sound(gauge):
    gauge(int)


def test_the_first_visit_to_a_case_is_told_apart(fake_run: FakeRun) -> None:
    fake_run.bench(head=TWELVE)
    fake_run(rounds=2)
    assert [visit.first for visit in fake_run.visits] == [True] * 12 + [False] * 12


def test_pytest_hears_of_a_case_once_however_many_rounds_there_are(fake_run: FakeRun) -> None:
    fake_run.bench(head=TWELVE)
    fake_run(rounds=3).assert_outcomes(passed=12)


def test_fixtures_are_set_up_anew_for_each_visit(fake_run: FakeRun) -> None:
    head = "made = []\n\n@pytest.fixture\ndef state():\n    made.append(1)\n"
    head += "    yield len(made)\n    made.append(0)\n"

    def bench_fresh(gauge, state):
        assert gauge(lambda: state) == state == len(made)  # noqa: F821

    fake_run.bench(bench_fresh, head=head)
    fake_run(rounds=2).assert_outcomes(passed=1)
    assert len(fake_run.run.measurements) == 2


def test_the_stated_work_is_in_the_line(fake_run: FakeRun) -> None:
    def bench_stated(gauge):
        gauge.work(flop=8, bytes=16)
        gauge(int)

    fake_run.bench(bench_stated)
    fake_run()
    (line,) = fake_run.run.measurements
    assert (line.work.flop, line.work.bytes, line.work.items) == (8.0, 16.0, None)
    assert line.samples == list(fake_run.samples)
    assert line.summary.median == 2e-6


def test_a_case_that_is_known_well_enough_after_three_rounds_is_left_alone(fake_run: FakeRun) -> None:
    fake_run.bench(head=TWELVE)
    fake_run(rounds=5)
    run = fake_run.run
    assert max(line.round for line in run.measurements) == 2  # the same samples in each round
    assert {line.conditions.get("stop") for line in run.measurements if line.round == 2} == {"interval"}


def test_the_warning_filters_that_a_benchmark_is_marked_with_apply_to_it_alone(fake_run: FakeRun) -> None:
    head = "import warnings\n\ndef warn():\n    warnings.warn('the old way', UserWarning)\n"

    def bench_strict(gauge):  # here a warning is an error
        gauge(warn)  # noqa: F821

    @pytest.mark.filterwarnings("ignore:the old way")
    def bench_lenient(gauge):
        gauge(warn)  # noqa: F821

    fake_run.bench(bench_strict, bench_lenient, head=head)
    fake_run(rounds=2)
    assert [(line.case.name, line.message) for line in fake_run.run.failures] == [("strict", "the old way")]
    assert [line.case.name for line in fake_run.run.measurements] == ["lenient"] * 2


def test_each_visit_has_its_device_as_the_current_one(
    fake_run: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "available", lambda: ["cpu", "cuda:0", "cuda:1"])
    fake_run.bench(head="def bench_it(gauge, device):\n    gauge(int)\n")
    fake_run("--gauge-seed=1", device="cuda:1,cpu")
    assert sorted(fake_run.current) == ["cpu", "cuda:1"]
    assert [visit.device for visit in fake_run.visits] == fake_run.current


def test_random_numbers_begin_anew_for_each_visit_that_counts_and_go_on_where_time_is_measured(
    fake_run: FakeRun,
) -> None:
    drawing = (
        "import random, numpy\n"
        "SEEN = []\n"
        "@pytest.mark.parametrize('n', range(3))\n"
        "def bench_it(gauge, n):\n"
        "    SEEN.append((random.random(), numpy.random.rand(), torch.rand(()).item()))\n"
        "    gauge(int)\n"
        "    print('different', len(set(SEEN)))\n"
    )
    fake_run.bench(head=drawing)
    counted = fake_run("--gauge-instruments=memory", "-s")
    assert counted.stdout.str().count("different 1") == 3
    timed = fake_run("-s")
    timed.stdout.fnmatch_lines(["*different 3*"])


# Failures: recorded with their stage, the others run on


def failing(fake_run: FakeRun, *functions, rounds: int = 2, head: str = "") -> Run:
    fake_run.bench(bench_sound, *functions, head=head)
    result = fake_run(rounds=rounds)
    assert result.ret == 1
    run = fake_run.run
    assert names(run.measurements) == ["sound"]
    assert len(run.measurements) == rounds
    assert not run.interrupted
    assert (run.end.measured, run.end.failed) == (1, len(functions))
    return run


def only(run: Run):
    (failure,) = run.failures
    return failure.stage, failure.error, failure.message


def test_a_benchmark_that_raises_in_its_measured_call_is_a_failure(fake_run: FakeRun) -> None:
    def bench_raises(gauge):
        gauge(lambda: 1 / 0)

    assert only(failing(fake_run, bench_raises)) == ("measure", "ZeroDivisionError", "division by zero")


def test_a_benchmark_that_raises_before_it_is_a_failure(fake_run: FakeRun) -> None:
    def bench_raises(gauge):
        raise RuntimeError("first line\nsecond line")

    assert only(failing(fake_run, bench_raises)) == ("setup", "RuntimeError", "first line")


def test_a_benchmark_that_fails_its_own_check_is_a_failure_and_leaves_no_numbers(fake_run: FakeRun) -> None:
    def bench_checks(gauge):
        assert gauge(lambda: 2) == 3, "two is not three"

    stage, error, message = only(failing(fake_run, bench_checks))
    assert (stage, error) == ("check", "AssertionError")
    assert message.startswith("two is not three")


def test_a_benchmark_that_measures_twice_is_a_failure(fake_run: FakeRun) -> None:
    def bench_twice(gauge):
        gauge(int)
        gauge(int)

    stage, error, message = only(failing(fake_run, bench_twice))
    assert (stage, error) == ("gauge", "GaugeUseError")
    assert "called twice" in message


def test_a_benchmark_that_never_measures_is_a_failure(fake_run: FakeRun) -> None:
    def bench_never(gauge):
        pass

    stage, _, message = only(failing(fake_run, bench_never))
    assert stage == "gauge"
    assert "never called" in message


def test_a_fixture_that_raises_is_a_failure(fake_run: FakeRun) -> None:
    def bench_fixture(gauge, broken):
        gauge(int)

    head = "@pytest.fixture\ndef broken():\n    raise OSError('no such data')\n"
    assert only(failing(fake_run, bench_fixture, head=head)) == ("fixture", "OSError", "no such data")


def test_a_fixture_that_raises_at_its_end_is_a_failure(fake_run: FakeRun) -> None:
    def bench_fixture(gauge, broken):
        gauge(int)

    head = "@pytest.fixture\ndef broken():\n    yield\n    raise OSError('not closed')\n"
    assert only(failing(fake_run, bench_fixture, head=head)) == ("teardown", "OSError", "not closed")


def test_several_failures_are_each_recorded_once(fake_run: FakeRun) -> None:
    def bench_one(gauge):
        gauge(lambda: 1 / 0)

    def bench_two(gauge):
        gauge(lambda: [][0])

    run = failing(fake_run, bench_one, bench_two, rounds=3)
    assert sorted(failure.error for failure in run.failures) == ["IndexError", "ZeroDivisionError"]


def test_a_benchmark_that_swallows_the_error_of_its_measured_call_is_a_failure(fake_run: FakeRun) -> None:
    def bench_swallows(gauge):
        with pytest.raises(ZeroDivisionError):
            gauge(lambda: 1 / 0)

    run = failing(fake_run, bench_swallows)
    (failure,) = run.failures
    assert failure.stage == "gauge"
    assert "went on" in failure.message


@pytest.mark.parametrize("work", ["flop=float('inf')", "bytes=-1", "items=float('nan')"])
def test_work_that_is_no_amount_is_a_failure(fake_run: FakeRun, work: str) -> None:
    fake_run.bench(head=f"def bench_it(gauge):\n    gauge.work({work})\n    gauge(int)\n")
    fake_run()
    (failure,) = fake_run.run.failures
    assert (failure.stage, failure.error) == ("gauge", "GaugeUseError")
    assert "say a number from 0 to 1e+30" in failure.message


def test_an_expected_failure_that_passes_is_a_failure_where_it_is_strict(fake_run: FakeRun) -> None:
    fake_run.bench(head="@pytest.mark.xfail(strict=True)\ndef bench_it(gauge):\n    gauge(int)\n")
    assert fake_run().ret == 1
    (failure,) = fake_run.run.failures
    assert (failure.stage, failure.error) == ("check", "XPASS")


def test_what_a_benchmark_changes_in_torch_is_not_in_the_next_ones_way(fake_run: FakeRun) -> None:
    head = (
        "before = torch.get_num_threads(), torch.get_default_dtype()\n"
        "@pytest.mark.parametrize('n', range(2))\ndef bench_it(gauge, n):\n"
        "    assert (torch.get_num_threads(), torch.get_default_dtype()) == before\n"
        "    torch.set_num_threads(before[0] + 1)\n    torch.set_default_dtype(torch.float64)\n"
        "    gauge(int)\n"
    )
    fake_run.bench(head=head)
    fake_run(rounds=2)
    assert fake_run.run.failures == []
    assert len(fake_run.run.measurements) == 4


def test_an_error_that_can_not_be_printed_is_named_by_its_type(fake_run: FakeRun) -> None:
    head = (
        "class Mute(Exception):\n    def __str__(self):\n        raise ValueError\n\n"
        "def bench_it(gauge):\n    raise Mute\n"
    )
    fake_run.bench(head=head)
    fake_run()
    (failure,) = fake_run.run.failures
    assert (failure.error, failure.message) == ("Mute", "Mute")


# Skips: recorded with their reason


def test_what_torch_lacks_for_a_dtype_is_a_skip_with_torchs_reason(fake_run: FakeRun) -> None:
    def bench_bool_product(gauge):
        a = torch.ones(2, 2, dtype=torch.bool)
        gauge(torch.matmul, a, a)

    fake_run.bench(bench_bool_product, bench_sound)
    assert fake_run().ret == 0
    run = fake_run.run
    (skip,) = run.skips
    assert "not implemented for 'Bool'" in skip.reason
    assert names(run.measurements) == ["sound"]
    assert run.end.skipped == 1


def test_the_words_of_a_missing_kernel_in_a_check_are_still_a_failure(fake_run: FakeRun) -> None:
    def bench_checked(gauge):
        gauge(int)
        raise RuntimeError("not implemented for 'Bool'")

    fake_run.bench(bench_checked)
    assert fake_run().ret == 1
    assert fake_run.run.failures[0].stage == "check"


@pytest.mark.parametrize("stage", ["mark", "function"])
def test_a_benchmarks_own_skip_is_recorded_with_its_reason(fake_run: FakeRun, stage: str) -> None:
    if stage == "mark":
        fake_run.bench(head="@pytest.mark.skip(reason='no data')\ndef bench_none(gauge):\n    gauge(int)\n")
    else:
        fake_run.bench(head="def bench_none(gauge):\n    pytest.skip('no data')\n")
    assert fake_run(rounds=3).ret == 0
    (skip,) = fake_run.run.skips
    assert skip.reason == "no data"
    assert fake_run.run.measurements == []


def test_a_device_that_runs_out_of_memory_skips_the_case_and_gives_its_cache_back(
    fake_run: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = []
    monkeypatch.setattr(inventory, "available", lambda: ["cpu", "cuda:0"])
    monkeypatch.setattr(device, "release", released.append)

    def bench_large(gauge, device):
        def call():
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80.00 GiB.")

        gauge(call)

    def bench_small(gauge, device):
        gauge(int)

    fake_run.bench(bench_large, bench_small)
    assert fake_run(device="cuda").ret == 0
    run = fake_run.run
    (skip,) = run.skips
    assert skip.reason == "out of memory: CUDA out of memory. Tried to allocate 80.00 GiB."
    assert skip.case.device == "cuda:0"
    assert names(run.measurements) == ["small"]
    assert [place for place in released if place != "cpu"] == ["cuda:0"]
