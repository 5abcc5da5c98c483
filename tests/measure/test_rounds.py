"""The run loop: every case visited round by round, in which order, and what a run file holds already."""

from __future__ import annotations

import pytest

import torchgauge.measure.setup
from fakes import FakeRun
from torchgauge.measure import choice
from torchgauge.measure.budget import BUDGETS
from torchgauge.measure.device import inventory
from torchgauge.measure.schedule import RETRY_SHARE

pytest_plugins = ["pytester"]


@pytest.fixture
def fake_run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    assert torchgauge.measure.setup  # imported before pytester notes which modules there are
    return FakeRun(pytester, monkeypatch)


def visited(fake_run: FakeRun) -> list[str]:
    return [visit.case_id for visit in fake_run.visits]


TWELVE = "@pytest.mark.parametrize('n', range(12))\ndef bench_each(gauge, n):\n    gauge(int)\n"


def bench_sound(gauge):
    gauge(int)


# Rounds and their order


def test_every_case_is_visited_once_a_round_and_each_visit_is_a_line(fake_run: FakeRun) -> None:
    fake_run.bench(head=TWELVE)
    assert fake_run(rounds=2).ret == 0
    run = fake_run.run
    assert len(run.measurements) == 24
    assert sorted((line.case.params["n"], line.round) for line in run.measurements) == [
        (n, round_) for n in range(12) for round_ in range(2)
    ]
    assert [line.round for line in run.measurements] == [0] * 12 + [1] * 12


def test_a_seed_gives_the_same_order_again_and_each_round_has_its_own(fake_run: FakeRun) -> None:
    fake_run.bench(head=TWELVE)
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
    fake_run.bench(head=TWELVE)
    fake_run()
    drawn = fake_run.run
    order = visited(fake_run)
    drawn.path.unlink()
    fake_run.visits.clear()
    fake_run(f"--gauge-seed={drawn.header.config.seed}")
    assert visited(fake_run) == order == [line.case.id for line in drawn.measurements]


def test_what_visits_were_tried_again_for_is_taken_from_the_next_ones(fake_run: FakeRun) -> None:
    fake_run.conditions["retry_seconds"] = 2.0
    fake_run.bench(head=TWELVE)
    fake_run()
    left = [visit.retry_seconds for visit in fake_run.visits]
    first = RETRY_SHARE * BUDGETS["quick"].seconds
    assert left == pytest.approx([max(0.0, first - 2.0 * visit) for visit in range(12)])


def test_a_run_told_to_stop_at_the_first_failure_is_interrupted(fake_run: FakeRun) -> None:
    fake_run.bench(head=TWELVE.replace("gauge(int)", "gauge(lambda: 1 / 0)"))
    assert fake_run("-x").ret == 1
    assert len(fake_run.visits) == len(fake_run.run.failures) == 1
    assert fake_run.run.interrupted


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
    fake_run.bench(bench_sound)
    result = fake_run("-x", "-s")
    result.assert_outcomes(passed=1, failed=1)
    assert result.stdout.str().count("set up once") == 1
    assert fake_run.visits == []


# Passes that count


def test_a_pass_that_counts_takes_the_cases_in_the_same_order_whatever_the_seed(fake_run: FakeRun) -> None:
    fake_run.bench(head=TWELVE)
    fake_run("--gauge-instruments=memory", "--gauge-seed=5")
    first = visited(fake_run)
    fake_run.visits.clear()
    fake_run("--gauge-instruments=memory", "--gauge-seed=6")
    assert visited(fake_run) == first


# Instruments that can't look


def test_an_instrument_leaves_out_the_devices_it_can_not_look_at_and_the_run_says_why(
    fake_run: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "available", lambda: ["cpu", "cuda:0", "cuda:1"])
    lacks = {"cpu": "no counter", "cuda:1": "no counter"}
    monkeypatch.setattr(choice, "lacking", lambda name, devices: lacks)
    fake_run.bench(head="def bench_it(gauge, device):\n    gauge(int)\n")
    assert fake_run("--gauge-instruments=energy", device="all").ret == 0
    run = fake_run.run
    assert [line.case.device for line in run.measurements] == ["cuda:0"]
    assert run.header.config.left_out == {"energy": "cpu, cuda:1: no counter"}
    assert run.skips == run.failures == []


def test_an_instrument_that_can_look_at_nothing_is_refused_in_one_line_and_leaves_no_file(
    fake_run: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "lacking", lambda name, devices: dict.fromkeys(devices, "no counter"))
    fake_run.bench(bench_sound)
    result = fake_run("--gauge-instruments=energy")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*energy can't be measured here: cpu: no counter"])
    assert fake_run.files == []


# Resuming


def test_a_file_that_is_there_is_completed_and_nothing_in_it_is_measured_again(fake_run: FakeRun) -> None:
    fake_run.bench(head=TWELVE)
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
        fake_run.bench(head=fixture + TWELVE.replace("12", "4"), name=f"bench_{name}")
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

    fake_run.bench(bench_raises, bench_sound)
    fake_run()
    path = fake_run.run.path
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    fake_run(f"--gauge-file={path}")
    assert len(fake_run.run.failures) == 1
