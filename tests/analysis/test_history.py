from __future__ import annotations

import dataclasses
import random

import msgspec
import pytest

import synthetic
from torchgauge.analysis.history import changes, changes_of, histories, points, too_short
from torchgauge.record import Run
from torchgauge.report import history as report

CASES = [synthetic.case("matmul", "square", n=n) for n in (32, 64)]


def dated(number: int, seconds: tuple[float, float], fingerprint: str = "f" * 16, **fields) -> Run:
    """Make the run of one day, whose two cases take so long."""
    cases = [(at, took, {"noise": 0.001}) for at, took in zip(CASES, seconds, strict=True)]
    run = synthetic.run(cases=cases, run_id=f"{number:08x}", failures=[], skips=[], rounds=2, seed=number)
    environment = msgspec.structs.replace(run.header.environment, fingerprint=fingerprint)
    started = f"2026-01-{number + 1:02d}T10:00:00.000+00:00"
    header = msgspec.structs.replace(run.header, started=started, environment=environment)
    return dataclasses.replace(run, header=header, **fields)


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    """A month of runs in a shuffled order; on the 16th the second case became slower by a fifth."""
    chance = random.Random(4)
    made = [
        dated(
            number,
            (
                1e-5 * (1 + chance.gauss(0, 0.01)),
                2e-5 * (1 + chance.gauss(0, 0.01)) * (1.2 if number >= 15 else 1.0),
            ),
        )
        for number in range(30)
    ]
    return chance.sample(made, len(made))


def test_a_change_of_level_is_found_with_its_run_its_case_and_its_ratio(runs) -> None:
    (found,) = changes(map(changes_of, histories(map(points, runs))))
    assert found.series.case == CASES[1].id
    assert found.since.started.startswith("2026-01-16")
    assert found.since.run == f"{15:08x}"
    assert found.ratio == pytest.approx(1.2, rel=0.01)


def test_points_stand_in_the_order_of_time_whatever_the_order_of_files(runs) -> None:
    for series in histories(map(points, runs)):
        assert [point.started for point in series.points] == sorted(point.started for point in series.points)
        assert len(series.points) == 30


def test_runs_of_another_fingerprint_are_another_series(runs) -> None:
    other = [dated(number, (3e-5, 3e-5), "e" * 16) for number in range(4)]
    series = histories(map(points, [*runs, *other]))
    assert [len(one.points) for one in series] == [4, 4, 30, 30]
    assert too_short(series) == 2
    assert len(changes(map(changes_of, series))) == 1


def test_a_case_that_failed_has_no_point() -> None:
    run = dated(0, (1e-5, 1e-5))
    failure = synthetic.Failure(case=CASES[0], stage="check", error="E", message="wrong")
    failed = dataclasses.replace(run, failures=[failure])
    assert [one.case for one in histories(map(points, [failed]))] == [CASES[1].id]


def test_the_table_names_the_change_and_says_what_it_is_worth(runs) -> None:
    series = histories(map(points, runs))
    shown = report.text(series, changes(map(changes_of, series)))
    lines = shown.splitlines()
    assert lines[0].split() == ["since", "commit", "run", "before", "after", "ratio", "case"]
    assert "2026-01-16 10:00:00" in lines[1]
    assert CASES[1].id in lines[1]
    assert "1 step in 2 series of 30 runs under 1 fingerprint" in shown
    assert "hold the machine's drift" in shown


def test_without_a_change_there_is_no_table(runs) -> None:
    series = histories(map(points, runs[:3]))
    shown = report.text(series, changes(map(changes_of, series)))
    assert shown.startswith(
        "0 steps in 2 series of 3 runs under 1 fingerprint; 2 of the series are too short"
    )
