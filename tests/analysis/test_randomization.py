from __future__ import annotations

import itertools
import math
import random
import time

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from torchgauge.analysis.randomization import (
    bounds,
    centre,
    clopper_pearson,
    holm,
    interval,
    p_above,
    p_below,
    p_uniform,
    pairs_needed,
)

# Multiples of 1/64: sums and halves of them are exact, so that ties are ties.
GRID = st.integers(-640, 640).map(lambda steps: steps / 64)
VALUES = st.lists(GRID, min_size=1, max_size=30)
P_VALUES = st.lists(st.floats(1e-9, 1), min_size=1, max_size=20)


def averages_above(values: tuple[float, ...], threshold: float) -> int:
    return sum((a + b) / 2 > threshold for a, b in itertools.combinations_with_replacement(values, 2))


def p_by_enumeration(values: list[float], threshold: float) -> float:
    """Give the share of all ways to set signs that have as many averages above as was seen, or more."""
    deviations = [value - threshold for value in values]
    seen = averages_above(tuple(deviations), 0)
    flips = list(itertools.product((-1, 1), repeat=len(values)))
    extreme = sum(
        averages_above(tuple(sign * one for sign, one in zip(signs, deviations, strict=True)), 0) >= seen
        for signs in flips
    )
    return extreme / len(flips)


@given(
    values=st.lists(
        st.sampled_from([k / 64 for k in range(1, 200)]), min_size=1, max_size=7, unique=True
    ).flatmap(lambda some: st.tuples(*[st.sampled_from([one, -one]) for one in some]))
)
def test_p_is_the_share_of_all_signs_that_look_as_extreme(values: tuple[float, ...]) -> None:
    assert p_above(values) == pytest.approx(p_by_enumeration(list(values), 0.0))


@given(values=st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=7))
def test_ties_and_zeros_make_p_larger_and_never_smaller(values: list[float]) -> None:
    assert p_above(values) >= p_by_enumeration(values, 0.0) - 1e-12


@pytest.mark.parametrize("seed", range(5))
def test_p_is_wilcoxons(seed: int) -> None:
    chance = random.Random(seed)
    values = [chance.gauss(0.3, 1) for _ in range(6 + 4 * seed)]
    wanted = scipy.stats.wilcoxon(values, alternative="greater", method="exact").pvalue
    assert p_above(values) == pytest.approx(wanted)


@given(values=VALUES, threshold=GRID)
def test_p_is_a_probability_and_at_the_least_one_of_all_ways_to_set_signs(
    values: list[float], threshold: float
) -> None:
    assert 2.0 ** -len(values) <= p_above(values, threshold) <= 1


@given(values=VALUES, threshold=GRID, shift=st.integers(0, 640).map(lambda steps: steps / 64))
def test_p_falls_as_the_values_rise(values: list[float], threshold: float, shift: float) -> None:
    risen = [value + shift for value in values]
    assert p_above(risen, threshold) <= p_above(values, threshold)
    assert p_below(risen, threshold) >= p_below(values, threshold)


@given(values=VALUES, threshold=GRID)
def test_p_of_flipped_values_is_that_of_the_other_side(values: list[float], threshold: float) -> None:
    assert p_below(values, threshold) == p_above([-value for value in values], -threshold)


@given(values=VALUES, threshold=GRID, seed=st.integers(0, 99))
def test_the_order_of_pairs_does_not_matter(values: list[float], threshold: float, seed: int) -> None:
    mixed = random.Random(seed).sample(values, len(values))
    assert p_above(mixed, threshold) == p_above(values, threshold)
    assert centre(mixed) == centre(values)


def test_all_on_one_side_is_the_smallest_p_that_so_many_pairs_have() -> None:
    assert [p_above([0.01] * pairs) for pairs in range(1, 13)] == [2.0**-pairs for pairs in range(1, 13)]


def test_no_pair_and_pairs_without_a_difference_show_nothing() -> None:
    assert p_above([]) == p_above([0.0] * 12) == p_below([0.0] * 12) == 1.0


def test_twenty_pairs_take_no_time() -> None:
    begin = time.process_time()
    p_above([0.01 * k for k in range(-9, 11)])
    assert time.process_time() - begin < 0.1


def test_a_p_of_unchanged_code_is_small_as_seldom_as_it_says() -> None:
    chance = np.random.default_rng(4)
    found = [p_above(values.tolist()) for values in chance.standard_t(3, size=(4000, 12))]
    for alpha in (0.01, 0.05, 0.25):
        assert np.mean([p <= alpha for p in found]) <= alpha + 3 * math.sqrt(alpha / 4000)


@given(values=st.lists(GRID, min_size=1, max_size=20), alpha=st.sampled_from([0.01, 0.025, 0.1, 0.3]))
def test_bounds_are_the_ends_of_what_the_test_does_not_reject(values: list[float], alpha: float) -> None:
    ends = bounds(values, alpha)
    if ends is None:
        assert 2.0 ** -len(values) > alpha
        return
    low, high = ends
    step = 1e-6
    assert p_above(values, low - step) <= alpha < p_above(values, low)
    assert p_below(values, high + step) <= alpha < p_below(values, high)
    assert low <= centre(values) <= high


@pytest.mark.parametrize("pairs", [6, 7, 12, 21])
@pytest.mark.parametrize("tails", ["normal", "t3"])
def test_the_interval_covers_the_truth_at_few_pairs_too(pairs: int, tails: str) -> None:
    chance = np.random.default_rng(pairs)
    noise = chance.normal(size=(2000, pairs)) if tails == "normal" else chance.standard_t(3, (2000, pairs))
    covered = 0
    for values in noise.tolist():
        ends = interval(values)
        covered += ends is not None and ends[0] <= 0 <= ends[1]
    assert covered / 2000 >= 0.94


def test_fewer_than_six_pairs_have_no_interval() -> None:
    assert interval([0.01, 0.02, 0.03, 0.04, 0.05]) is None
    assert interval([0.01, 0.02, 0.03, 0.04, 0.05, 0.06]) == (0.01, 0.06)


def test_one_wild_pair_moves_the_centre_little() -> None:
    assert centre([0.010, 0.011, 0.012, 0.013, 0.014, 5.0]) < 0.015


def test_a_centre_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        centre([])


@given(alpha=st.floats(1e-9, 1))
def test_so_many_pairs_are_needed_and_no_more(alpha: float) -> None:
    needed = pairs_needed(alpha)
    assert 2.0**-needed <= alpha
    assert needed == 0 or 2.0 ** -(needed - 1) > alpha


@pytest.mark.parametrize("alpha", [0.0, -1.0, 1.5])
def test_an_alpha_that_is_no_probability_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        pairs_needed(alpha)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.01], family=5) == pytest.approx([0.05])
    assert holm([]) == []


@given(p_values=P_VALUES)
def test_holm_keeps_the_order_and_never_falls_below_the_raw_p(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(raw <= new <= 1 for raw, new in zip(p_values, adjusted, strict=True))
    pairs = sorted(zip(p_values, adjusted, strict=True))
    assert all(first[1] <= second[1] for first, second in itertools.pairwise(pairs))


@given(p_values=P_VALUES, unseen=st.integers(0, 5))
def test_those_not_tested_count_as_a_p_of_one(p_values: list[float], unseen: int) -> None:
    whole = holm([*p_values, *[1.0] * unseen])[: len(p_values)]
    assert holm(p_values, len(p_values) + unseen) == pytest.approx(whole)


def test_a_family_smaller_than_its_tests_is_refused() -> None:
    with pytest.raises(ValueError, match="family of 1"):
        holm([0.1, 0.2], family=1)


@pytest.mark.parametrize(
    ("hits", "trials"), [(0, 40), (40, 40), (1, 1), (3, 17), (1, 2000), (1000, 2000), (2000, 2000)]
)
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_the_interval_of_a_share_is_scipys(hits: int, trials: int, confidence: float) -> None:
    wanted = scipy.stats.binomtest(hits, trials).proportion_ci(confidence, method="exact")
    assert clopper_pearson(hits, trials, confidence) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(("hits", "trials"), [(0, 0), (3, 2), (-1, 5)])
def test_a_share_of_nothing_is_refused(hits: int, trials: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        clopper_pearson(hits, trials)


def test_uniform_p_values_are_not_suspected_and_small_ones_are() -> None:
    even = [(k + 0.5) / 100 for k in range(100)]
    assert p_uniform(even) > 0.9
    assert p_uniform([p**2 for p in even]) < 0.001
    assert p_uniform([1.0] * 50) == p_uniform([]) == 1.0
