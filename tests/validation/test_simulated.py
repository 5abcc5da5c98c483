"""The interval holds the truth as often as it says, where the truth is known."""

from __future__ import annotations

import pytest

from validation.simulated import WORLDS, coverage

NAMED = {world.name: world for world in WORLDS}


@pytest.mark.parametrize("name", ["quiet", "drift and AR(1) 0.5", "spikes", "two speeds, pace taken"])
def test_the_interval_covers_the_truth_in_nine_of_ten_at_the_least(name: str) -> None:
    assert coverage(NAMED[name], rounds=3, trials=200).covered >= 0.90


def test_an_interval_from_blocks_as_if_independent_does_not() -> None:
    found = coverage(NAMED["drift and AR(1) 0.5"], rounds=3, trials=200)
    assert found.naive < 0.5
