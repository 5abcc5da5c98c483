from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from torchgauge.estimate import Estimate, estimate, quantile, t_975

TIMES = st.floats(1e-9, 1e3)


@given(samples=st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=40), q=st.floats(0, 1))
def test_a_quantile_is_numpys(samples: list[float], q: float) -> None:
    scale = max(map(abs, samples))
    assert quantile(samples, q) == pytest.approx(np.percentile(samples, 100 * q), rel=1e-9, abs=1e-9 * scale)


@given(samples=st.lists(TIMES, min_size=1, max_size=40))
def test_the_half_quantile_is_the_median_and_the_ends_are_the_extremes(samples: list[float]) -> None:
    assert quantile(samples, 0.5) == pytest.approx(statistics.median(samples))
    assert (quantile(samples, 0), quantile(samples, 1)) == (min(samples), max(samples))


def test_a_quantile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        quantile([], 0.5)


@pytest.mark.parametrize("degrees", [*range(1, 61), 100, 1000, 10**6])
def test_students_t_is_scipys(degrees: int) -> None:
    assert t_975(degrees) == pytest.approx(scipy.stats.t.ppf(0.975, degrees), rel=5e-5)


def test_students_t_without_a_degree_of_freedom_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one degree"):
        t_975(0)


def test_the_value_is_the_geometric_mean_of_the_rounds_and_the_interval_is_students() -> None:
    rounds = [[2.0, 2.0], [8.0, 8.0]]
    found = estimate(rounds, 0.5)
    half = 12.7062 * math.log(2)  # the standard error of log 2 and log 8 is log 2
    assert found.value == pytest.approx(4.0)
    assert found.low == pytest.approx(4.0 * math.exp(-half))
    assert found.high == pytest.approx(4.0 * math.exp(half))
    assert found.clusters == 2


def test_one_round_has_no_interval_however_many_samples_it_holds() -> None:
    assert estimate([[1.0, 2.0, 3.0] * 100], 0.5) == Estimate(2.0, None, None, 1)
    assert estimate([[1.0]], 0.05).relative_half_width is None


def test_rounds_that_agree_have_an_interval_of_no_width() -> None:
    found = estimate([[3.0, 3.0], [3.0], [3.0]], 0.05)
    assert (found.value, found.low, found.high) == pytest.approx((3.0, 3.0, 3.0))
    assert found.relative_half_width == pytest.approx(0.0)


def test_a_value_that_can_be_zero_is_averaged_as_it_is() -> None:
    found = estimate([[0.0], [-2.0], [5.0]], 0.5)
    assert found.value == pytest.approx(1.0)
    assert found.low is not None
    assert found.low < -2


def test_an_estimate_from_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one cluster"):
        estimate([], 0.5)
    with pytest.raises(ValueError, match="at least one sample"):
        estimate([[1.0], []], 0.5)


@given(
    rounds=st.lists(st.lists(TIMES, min_size=1, max_size=8), min_size=2, max_size=8),
    scale=st.floats(1e-3, 1e3),
)
def test_the_interval_holds_the_value_and_scales_with_the_unit(
    rounds: list[list[float]], scale: float
) -> None:
    found = estimate(rounds, 0.05)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.value * (1 + 1e-12)
    assert found.value <= found.high * (1 + 1e-12)
    scaled = estimate([[value * scale for value in samples] for samples in rounds], 0.05)
    assert scaled.value == pytest.approx(scale * found.value)
    assert scaled.high == pytest.approx(scale * found.high, rel=1e-6)


@pytest.mark.parametrize("rounds", [3, 5, 8])
@pytest.mark.parametrize("q", [0.05, 0.5])
@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_the_interval_covers_the_truth_though_blocks_of_a_round_are_alike(
    rounds: int, q: float, correlation: float
) -> None:
    """Rounds differ by 10 %, blocks within one by an AR(1) process of 5 %."""
    random = np.random.default_rng(20260301)
    runs, blocks = 1500, 24
    covered = 0
    times = 1e-5 * np.exp(_log_noise(random, runs * rounds, blocks, correlation))
    truth = math.exp(np.log(np.quantile(_long(correlation), q, axis=1)).mean())
    for run in times.reshape(runs, rounds, blocks).tolist():
        found = estimate(run, q)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
    assert covered / runs >= 0.93


def test_an_interval_that_took_every_block_for_a_round_would_be_a_lie() -> None:
    """The reason for rounds: the same data, taken as independent samples, cover far less."""
    random = np.random.default_rng(20260301)
    times = 1e-5 * np.exp(_log_noise(random, 500 * 5, 24, 0.9)).reshape(500, 5 * 24)
    truth = 1e-5
    covered = 0
    for run in times.tolist():
        found = estimate([[value] for value in run], 0.5)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
    assert covered / 500 < 0.5


def _log_noise(random: np.random.Generator, rounds: int, blocks: int, correlation: float) -> np.ndarray:
    between = random.normal(0, 0.10, (rounds, 1))
    within = np.empty((rounds, blocks))
    within[:, 0] = random.normal(0, 0.05, rounds)
    step = 0.05 * math.sqrt(1 - correlation**2)
    for block in range(1, blocks):
        within[:, block] = correlation * within[:, block - 1] + random.normal(0, step, rounds)
    return between + within


def _long(correlation: float) -> np.ndarray:
    """Rounds enough to know what a round's quantile is on the average."""
    return 1e-5 * np.exp(_log_noise(np.random.default_rng(1), 40_000, 24, correlation))


def test_a_rate_turns_the_interval_round() -> None:
    found = Estimate(2.0, 1.0, 4.0, 5).rate(8.0)
    assert (found.low, found.value, found.high, found.clusters) == (2.0, 4.0, 8.0, 5)
    assert Estimate(2.0, None, None, 1).rate(8.0) == Estimate(4.0, None, None, 1)


def test_what_the_clusters_cannot_show_widens_an_interval_in_quadrature_on_the_log_scale():
    found = estimate([[1.0], [1.1], [0.9], [1.05]], 0.5)
    wider = found.widened(0.03)
    assert wider.value == found.value
    own, added = math.log(found.high / found.value), 1.959964 * 0.03
    assert math.log(wider.high / wider.value) == pytest.approx(math.hypot(own, added))
    assert math.log(wider.value / wider.low) == pytest.approx(math.hypot(own, added))
    assert found.widened(0.0).low == pytest.approx(found.low)


def test_no_interval_stays_none_however_much_is_added():
    assert estimate([[1.0, 2.0]], 0.5).widened(0.03) == estimate([[1.0, 2.0]], 0.5)
