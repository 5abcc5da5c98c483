"""The run loop: every case visited round by round, failures and skips recorded, the others run on."""

from __future__ import annotations

import inspect

import pytest
import torch

import torchgauge.measure.setup
from fakes import FakeRun
from torchgauge.measure import device, instruments
from torchgauge.measure.budget import BUDGETS
from torchgauge.measure.device import inventory
from torchgauge.measure.schedule import RETRY_SHARE
from torchgauge.record import Run

pytest_plugins = ["pytester"]


@pytest.fixture
def fake_run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    assert torchgauge.measure.setup  # imported before pytester notes which modules there are
    return FakeRun(pytester, monkeypatch)


def bench(fake_run: FakeRun, *functions, name: str = "bench_a", head: str = "") -> None:
    """Write a bench file from functions defined in a test."""
    sources = [inspect.cleandoc("\n" + inspect.getsource(function)) for function in functions]
    text = "\n\n\n".join(["import pytest\nimport torch\n" + head, *sources])
    fake_run.pytester.path.joinpath(f"{name}.py").write_text(text, "utf-8")


def names(lines) -> list[str]:
    return sorted({line.case.name for line in lines})


def visited(fake_run: FakeRun) -> list[str]:
    return [visit.case_id for visit in fake_run.visits]


TWELVE = "@pytest.mark.parametrize('n', range(12))\ndef bench_each(gauge, n):\n    gauge(int)\n"


# Rounds and their order


def test_every_case_is_visited_once_a_round_and_each_visit_is_a_line(fake_run: FakeRun) -> None:
    bench(fake_run, head=TWELVE)
    assert fake_run(rounds=2).ret == 0
    run = fake_run.run
    assert len(run.measurements) == 24
    assert sorted((line.case.params["n"], line.round) for line in run.measurements) == [
        (n, round_) for n in range(12) for round_ in range(2)
    ]
    assert [line.round for line in run.measurements] == [0] * 12 + [1] * 12


def test_a_seed_gives_the_same_order_again_and_each_round_has_its_own(fake_run: FakeRun) -> None:
    bench(fake_run, head=TWELVE)
    fake_run("--gauge-seed=5", rounds=2)
    first = visited(fake_run)
    fake_run.visits.clear()
    fake_run("--gauge-seed=5", rounds=2)
    assert visited(fake_run) == first
    assert first[:12] != first[12:]
    fake_run.visits.clear()
    fake_run("--gauge-seed=6", rounds=2)
    assert visited(fake_run) != first


def test_a_seed_that_was_drawn_is_stored_and_gives_the_order_again(fake_run: FakeRun) -> None:
    bench(fake_run, head=TWELVE)
    fake_run()
    drawn = fake_run.run
    order = visited(fake_run)
    drawn.path.unlink()
    fake_run.visits.clear()
    fake_run(f"--gauge-seed={drawn.header.config.seed}")
    assert visited(fake_run) == order == [line.case.id for line in drawn.measurements]


def test_the_first_visit_to_a_case_is_told_apart(fake_run: FakeRun) -> None:
    bench(fake_run, head=TWELVE)
    fake_run(rounds=2)
    assert [visit.first for visit in fake_run.visits] == [True] * 12 + [False] * 12


def test_a_case_that_is_known_well_enough_after_three_rounds_is_left_alone(fake_run: FakeRun) -> None:
    bench(fake_run, head=TWELVE)
    fake_run(rounds=5)
    run = fake_run.run
    assert max(line.round for line in run.measurements) == 2  # the same samples in each round
    assert {line.conditions.get("stop") for line in run.measurements if line.round == 2} == {"interval"}


def test_pytest_hears_of_a_case_once_however_many_rounds_there_are(fake_run: FakeRun) -> None:
    bench(fake_run, head=TWELVE)
    fake_run(rounds=3).assert_outcomes(passed=12)


def test_fixtures_are_set_up_anew_for_each_visit(fake_run: FakeRun) -> None:
    head = "made = []\n\n@pytest.fixture\ndef state():\n    made.append(1)\n"
    head += "    yield len(made)\n    made.append(0)\n"

    def bench_fresh(gauge, state):
        assert gauge(lambda: state) == state == len(made)  # noqa: F821

    bench(fake_run, bench_fresh, head=head)
    fake_run(rounds=2).assert_outcomes(passed=1)
    assert len(fake_run.run.measurements) == 2


def test_the_stated_work_is_in_the_line(fake_run: FakeRun) -> None:
    def bench_stated(gauge):
        gauge.work(flop=8, bytes=16)
        gauge(int)

    bench(fake_run, bench_stated)
    fake_run()
    (line,) = fake_run.run.measurements
    assert (line.work.flop, line.work.bytes, line.work.items) == (8.0, 16.0, None)
    assert line.samples == list(fake_run.samples)
    assert line.summary.median == 2e-6


def test_what_visits_were_tried_again_for_is_taken_from_the_next_ones(fake_run: FakeRun) -> None:
    fake_run.conditions["retry_seconds"] = 2.0
    bench(fake_run, head=TWELVE)
    fake_run()
    left = [visit.retry_seconds for visit in fake_run.visits]
    first = RETRY_SHARE * BUDGETS["quick"].seconds
    assert left == pytest.approx([max(0.0, first - 2.0 * visit) for visit in range(12)])


# Failures: recorded with their stage, the others run on


def bench_sound(gauge):
    gauge(int)


def failing(fake_run: FakeRun, *functions, rounds: int = 2, head: str = "") -> Run:
    bench(fake_run, bench_sound, *functions, head=head)
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


def test_a_run_told_to_stop_at_the_first_failure_is_interrupted(fake_run: FakeRun) -> None:
    bench(fake_run, head=TWELVE.replace("gauge(int)", "gauge(lambda: 1 / 0)"))
    assert fake_run("-x").ret == 1
    assert len(fake_run.visits) == len(fake_run.run.failures) == 1
    assert fake_run.run.interrupted


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
    bench(fake_run, head=f"def bench_it(gauge):\n    gauge.work({work})\n    gauge(int)\n")
    fake_run()
    (failure,) = fake_run.run.failures
    assert (failure.stage, failure.error) == ("gauge", "GaugeUseError")
    assert "finite number" in failure.message


def test_an_expected_failure_that_passes_is_a_failure_where_it_is_strict(fake_run: FakeRun) -> None:
    bench(fake_run, head="@pytest.mark.xfail(strict=True)\ndef bench_it(gauge):\n    gauge(int)\n")
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
    bench(fake_run, head=head)
    fake_run(rounds=2)
    assert fake_run.run.failures == []
    assert len(fake_run.run.measurements) == 4


def test_an_error_that_can_not_be_printed_is_named_by_its_type(fake_run: FakeRun) -> None:
    head = (
        "class Mute(Exception):\n    def __str__(self):\n        raise ValueError\n\n"
        "def bench_it(gauge):\n    raise Mute\n"
    )
    bench(fake_run, head=head)
    fake_run()
    (failure,) = fake_run.run.failures
    assert (failure.error, failure.message) == ("Mute", "Mute")


def test_ordinary_tests_stop_at_the_first_failure_and_share_their_fixtures_as_ever(fake_run: FakeRun) -> None:
    fake_run.pytester.makepyfile(
        test_own="""
        import pytest

        @pytest.fixture(scope="session")
        def costly():
            print("set up once")

        def test_one(costly):
            pass

        def test_two(costly):
            assert False

        def test_three(costly):
            pass
        """
    )
    bench(fake_run, bench_sound)
    result = fake_run("-x", "-s")
    result.assert_outcomes(passed=1, failed=1)
    assert result.stdout.str().count("set up once") == 1
    assert fake_run.visits == []


def test_each_visit_has_its_device_as_the_current_one(
    fake_run: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "available", lambda: ["cpu", "cuda:0", "cuda:1"])
    bench(fake_run, head="def bench_it(gauge, device):\n    gauge(int)\n")
    fake_run("--gauge-seed=1", device="cuda:1,cpu")
    assert sorted(fake_run.current) == ["cpu", "cuda:1"]
    assert [visit.device for visit in fake_run.visits] == fake_run.current


# Passes that count


def test_a_pass_that_counts_takes_the_cases_in_the_same_order_whatever_the_seed(fake_run: FakeRun) -> None:
    bench(fake_run, head=TWELVE)
    fake_run("--gauge-instruments=memory", "--gauge-seed=5")
    first = visited(fake_run)
    fake_run.visits.clear()
    fake_run("--gauge-instruments=memory", "--gauge-seed=6")
    assert visited(fake_run) == first


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
    bench(fake_run, head=drawing)
    counted = fake_run("--gauge-instruments=memory", "-s")
    assert counted.stdout.str().count("different 1") == 3
    timed = fake_run("-s")
    timed.stdout.fnmatch_lines(["*different 3*"])


# Instruments that can't look


def test_an_instrument_leaves_out_the_devices_it_can_not_look_at_and_the_run_says_why(
    fake_run: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "available", lambda: ["cpu", "cuda:0", "cuda:1"])
    lacks = {"cpu": "no counter", "cuda:1": "no counter"}
    monkeypatch.setattr(instruments, "lacking", lambda name, devices: lacks)
    bench(fake_run, head="def bench_it(gauge, device):\n    gauge(int)\n")
    assert fake_run("--gauge-instruments=energy", device="all").ret == 0
    run = fake_run.run
    assert [line.case.device for line in run.measurements] == ["cuda:0"]
    assert run.header.config.left_out == {"energy": "cpu, cuda:1: no counter"}
    assert run.skips == run.failures == []


def test_an_instrument_that_can_look_at_nothing_is_refused_in_one_line_and_leaves_no_file(
    fake_run: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instruments, "lacking", lambda name, devices: dict.fromkeys(devices, "no counter"))
    bench(fake_run, bench_sound)
    result = fake_run("--gauge-instruments=energy")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*energy can't be measured here: cpu: no counter"])
    assert fake_run.files == []


# Skips


def test_what_torch_lacks_for_a_dtype_is_a_skip_with_torchs_reason(fake_run: FakeRun) -> None:
    def bench_bool_product(gauge):
        a = torch.ones(2, 2, dtype=torch.bool)
        gauge(torch.matmul, a, a)

    bench(fake_run, bench_bool_product, bench_sound)
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

    bench(fake_run, bench_checked)
    assert fake_run().ret == 1
    assert fake_run.run.failures[0].stage == "check"


@pytest.mark.parametrize("stage", ["mark", "function"])
def test_a_benchmarks_own_skip_is_recorded_with_its_reason(fake_run: FakeRun, stage: str) -> None:
    if stage == "mark":
        bench(fake_run, head="@pytest.mark.skip(reason='no data')\ndef bench_none(gauge):\n    gauge(int)\n")
    else:
        bench(fake_run, head="def bench_none(gauge):\n    pytest.skip('no data')\n")
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

    bench(fake_run, bench_large, bench_small)
    assert fake_run(device="cuda").ret == 0
    run = fake_run.run
    (skip,) = run.skips
    assert skip.reason == "out of memory: CUDA out of memory. Tried to allocate 80.00 GiB."
    assert skip.case.device == "cuda:0"
    assert names(run.measurements) == ["small"]
    assert [place for place in released if place != "cpu"] == ["cuda:0"]


# Resuming


def test_a_file_that_is_there_is_completed_and_nothing_in_it_is_measured_again(fake_run: FakeRun) -> None:
    bench(fake_run, head=TWELVE)
    fake_run("--gauge-seed=3", rounds=2)
    path = fake_run.run.path
    whole = path.read_bytes().splitlines(keepends=True)
    kept = b"".join(whole[:18])
    path.write_bytes(kept + whole[18][:40])
    held = {(line["case"], line["round"]) for line in map(_key, whole[1:18])}
    fake_run.visits.clear()
    assert fake_run("--gauge-seed=3", f"--gauge-file={path}", rounds=2).ret == 0
    assert path.read_bytes().startswith(kept)
    assert len(fake_run.visits) == 24 - 17
    run = fake_run.run
    seen = [(line.case.id, line.round) for line in run.measurements]
    assert len(seen) == len(set(seen)) == 24
    assert held < set(seen)
    assert not run.interrupted


def _key(line: bytes) -> dict:
    import json

    found = json.loads(line)
    return {"case": found["case"]["id"], "round": found["round"]}


@pytest.mark.parametrize("seed", range(4))
def test_what_is_held_from_several_files_is_left_out_and_the_rest_keeps_its_order(
    fake_run: FakeRun, seed: int
) -> None:
    for name in "abc":
        fixture = "\n\n@pytest.fixture(scope='module', autouse=True)\ndef of_the_file():\n    yield\n\n"
        bench(fake_run, head=fixture + TWELVE.replace("12", "4"), name=f"bench_{name}")
    words = [f"--gauge-seed={seed}"]
    assert fake_run(*words, rounds=2).ret == 0
    whole = visited(fake_run)
    path = fake_run.run.path
    text = path.read_bytes().splitlines(keepends=True)
    lost = [number for number in range(1, 25) if number % 3 == 0]
    path.write_bytes(b"".join(line for number, line in enumerate(text[:25]) if number not in lost))
    fake_run.visits.clear()
    assert fake_run(*words, f"--gauge-file={path}", rounds=2).ret == 0
    assert fake_run.run.failures == []
    assert len(fake_run.run.measurements) == 24
    assert visited(fake_run) == [whole[number - 1] for number in lost]


def test_a_case_that_failed_is_not_tried_again_on_resuming(fake_run: FakeRun) -> None:
    def bench_raises(gauge):
        gauge(lambda: 1 / 0)

    bench(fake_run, bench_raises, bench_sound)
    fake_run()
    path = fake_run.run.path
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    fake_run(f"--gauge-file={path}")
    assert len(fake_run.run.failures) == 1
