from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchgauge.analysis.steps import FALSE_STEPS, LEAST, steps

NOISE: dict[str, Callable[[random.Random], float]] = {
    "normal": lambda chance: chance.gauss(0, 1),
    "spiked": lambda chance: chance.gauss(0, 1) * (4 if chance.random() < 0.1 else 1),
    "two-sided exponential": lambda chance: chance.expovariate(1) * chance.choice((-1, 1)),
    "one-sided exponential": lambda chance: chance.expovariate(1),
}
SPREAD = {"normal": 1.0, "spiked": 1.58, "two-sided exponential": 1.41, "one-sided exponential": 1.0}


def series(kind: str, count: int, seed: int) -> list[float]:
    chance = random.Random(f"{kind}-{seed}")
    return [NOISE[kind](chance) for _ in range(count)]


@pytest.mark.parametrize("count", [6, 10, 30, 60, 100])
@pytest.mark.parametrize("kind", NOISE)
def test_pure_noise_has_a_step_in_one_of_a_hundred_series_at_most(kind: str, count: int) -> None:
    assert sum(bool(steps(series(kind, count, seed))) for seed in range(300)) <= 300 * FALSE_STEPS


@pytest.mark.parametrize("kind", NOISE)
def test_a_step_of_twice_the_noise_is_found_near_its_place_in_nine_of_ten(kind: str) -> None:
    found = 0
    for seed in range(100):
        at = random.Random(seed).randrange(15, 85)
        noisy = series(kind, 100, seed)
        seen = steps([value + 2 * SPREAD[kind] * (place >= at) for place, value in enumerate(noisy)])
        found += len(seen) == 1 and abs(seen[0].at - at) <= 3
    assert found >= 90


def test_each_of_several_steps_is_found_with_its_levels() -> None:
    levels = [1.0] * 30 + [1.1] * 30 + [0.9] * 30
    chance = random.Random(1)
    found = steps([level + chance.gauss(0, 0.01) for level in levels])
    assert [step.at for step in found] == [30, 60]
    assert found[0].before == pytest.approx(1.0, abs=0.01)
    assert found[0].after == found[1].before == pytest.approx(1.1, abs=0.01)
    assert found[1].after == pytest.approx(0.9, abs=0.01)


def test_one_value_that_strays_is_no_step() -> None:
    noisy = series("normal", 60, 3)
    assert steps([*noisy[:30], 1000.0, *noisy[30:]]) == []


def test_a_step_without_any_noise_is_found() -> None:
    assert [step.at for step in steps([1.0] * 10 + [2.0] * 10)] == [10]
    assert steps([1.0] * 20) == []


@given(values=st.lists(st.floats(-1e9, 1e9), max_size=40))
def test_no_stretch_is_shorter_than_the_least(values: list[float]) -> None:
    edges = [0, *(step.at for step in steps(values)), len(values)]
    if len(edges) > 2:
        assert min(b - a for a, b in pairwise(edges)) >= LEAST
