"""The probe's two figures, from clocks whose noise is known."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from itertools import count
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fakes import FakeCall, FakeClock, FakeNow
from torchgauge.measure.doctor import probe
from torchgauge.measure.doctor.probe import Precision, Workload, smallest_difference
from torchgauge.measure.doctor.workloads import loop, workloads
from torchgauge.measure.subject import Subject

# Standard deviation of the least of four independent normals, of unit variance (Harter, Order Statistics
# and Their Use, 1970): a side has two turns of two Blocks.
LEAST_OF_FOUR = 0.7012


def workload(noise: Iterable[float], seconds: float = 1e-4, resolution: float = 50e-9) -> Workload:
    now = FakeNow()
    clock = FakeClock(now, noise=noise, resolution=resolution)
    return Workload("fake", Subject(FakeCall(now, seconds)), clock)


def look(*them: Workload, seconds: float = 1e9) -> list[Precision]:
    return probe.probe(them, seconds, them[0].clock.now)


def normal(spread: float, seed: int) -> Iterator[float]:
    chance = random.Random(seed)
    while True:
        yield math.exp(chance.gauss(0, spread))


@pytest.mark.parametrize("spread", [0.002, 0.02, 0.1])
def test_known_noise_gives_the_difference_that_the_formula_says(spread: float) -> None:
    found = [look(workload(normal(spread, seed)))[0].paired_difference for seed in range(6)]
    assert None not in found
    of_rounds = math.sqrt(2) * LEAST_OF_FOUR * spread  # of a difference of two such minima
    expected = smallest_difference(of_rounds, probe.SHOWN_ROUNDS)
    assert fmean(found) == pytest.approx(expected, rel=0.18)  # 6 × 64 rounds: 6 % of standard error


def test_a_few_disturbed_rounds_spoil_nothing() -> None:
    # every 40th turn is three times as slow, both Blocks of it and those of the next turn
    quiet = normal(0.01, 1)
    disturbed = (one * (3.0 if number % 160 < 4 else 1.0) for number, one in enumerate(normal(0.01, 1)))
    (clean,), (found,) = look(workload(quiet)), look(workload(disturbed))
    assert clean.paired_difference is not None
    assert found.paired_difference == pytest.approx(clean.paired_difference, rel=0.5)


def test_a_machine_without_noise_tells_any_difference() -> None:
    (found,) = look(workload(iter(lambda: 1.0, None)))
    assert (found.paired_difference, found.moment_spread) == (0.0, 0.0)
    assert (found.rounds, found.moments) == (probe.MOMENTS * probe.ROUNDS_A_MOMENT, probe.MOMENTS)


def test_slow_wandering_is_seen_between_moments_and_not_in_turns() -> None:
    blocks = 4 * probe.BLOCKS_A_TURN * probe.ROUNDS_A_MOMENT
    period = 8 * blocks
    noise = (math.exp(0.1 * math.sin(2 * math.pi * number / period)) for number in count())
    (found,) = look(workload(noise))
    assert found.moment_spread == pytest.approx(math.expm1(0.1 / math.sqrt(2)), rel=0.15)
    assert found.paired_difference is not None
    assert found.paired_difference < found.moment_spread / 5


def test_a_steady_drift_favours_neither_side() -> None:
    one = workload(math.exp(1e-3 * number) for number in count())
    look(one)
    assert sum(one.ratios) == pytest.approx(0.0, abs=1e-9)
    assert any(one.ratios)


def test_too_little_time_gives_none_and_not_zero() -> None:
    (found,) = look(workload(normal(0.01, 1)), seconds=0.0)
    assert (found.paired_difference, found.moment_spread) == (None, None)
    assert (found.rounds, found.moments) == (probe.ROUNDS_A_MOMENT, 1)


def test_time_ends_the_probe_after_whole_moments() -> None:
    one = workload(normal(0.01, 1))
    (found,) = look(one, seconds=0.5)
    assert probe.LEAST_MOMENTS <= found.moments < probe.MOMENTS
    assert found.rounds == found.moments * probe.ROUNDS_A_MOMENT


def test_a_clock_that_sees_no_time_pass_is_no_crash() -> None:
    one = workload(iter(lambda: 0.0, None), resolution=1e-6)
    one.subject = Subject(one.subject.fn, prepare=tuple, each="call")  # at most 64 calls a Block
    (found,) = look(one)
    assert found.paired_difference == 0.0


def test_the_worst_workload_leads_and_is_not_known_where_one_is_not() -> None:
    found = look(workload(normal(0.01, 1)), workload(normal(0.05, 2)))
    unknown = Precision(workload="x", paired_difference=None, moment_spread=None, rounds=4, moments=1)

    def pick(one: Precision) -> float | None:
        return one.paired_difference

    assert probe.worst(found, pick) == found[1].paired_difference
    assert probe.worst([*found, unknown], pick) is None
    assert probe.worst([], pick) is None


@given(st.integers(5, 200), st.floats(1e-4, 0.2))
def test_the_smallest_difference_is_found_with_a_power_of_80_percent(rounds: int, spread: float) -> None:
    difference = math.log1p(smallest_difference(spread, rounds))
    critical = stats.t.ppf(0.975, rounds - 1)
    of_median = math.sqrt(math.pi / 2 / rounds) * spread  # its standard error, where rounds are many
    power = stats.nct.sf(critical, rounds - 1, difference / of_median)
    assert power == pytest.approx(0.80, abs=0.03)


@given(st.floats(0, 0.2), st.integers(2, 100))
def test_more_rounds_and_less_noise_tell_finer_differences(spread: float, rounds: int) -> None:
    assert smallest_difference(spread, rounds + 1) <= smallest_difference(spread, rounds)
    assert smallest_difference(spread / 2, rounds) <= smallest_difference(spread, rounds)


def test_the_points_of_students_t_are_right() -> None:
    for degrees, point in enumerate(probe._T80, start=1):
        assert point == pytest.approx(stats.t.ppf(0.80, degrees), abs=6e-5)


def test_the_work_of_a_device_is_a_loop_a_product_and_a_copy_that_run() -> None:
    made = workloads(["cpu"])
    assert [one.name for one in made] == ["python", "matmul", "copy"]
    for one in made:
        one.subject.call()()
    assert loop() == 4950
