"""Visits that are watched: when one is made again, which is kept, and which cards are asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeNow, FakeTelemetry
from torchgauge.measure.device import DeviceFacts
from torchgauge.measure.reasons import Unknown
from torchgauge.measure.watch import MOST_TRIES, open_cards, watched


def watch(crowded: list[int], retry_seconds: float, took: float = 1.0) -> tuple[Any, FakeNow]:
    now = FakeNow()
    tries = iter(range(100))

    def take() -> int:
        now.advance(took)
        return next(tries)

    telemetry = FakeTelemetry(now, crowded=crowded)
    return watched(take, telemetry.snapshot, retry_seconds, lambda: now.seconds), now


def test_good_conditions_are_taken_at_once() -> None:
    seen, now = watch([], 100.0)
    assert (seen.taken, seen.warnings) == (0, [])
    assert now.seconds == 1.0


def test_the_try_that_is_kept_is_the_last_and_the_others_are_told_of() -> None:
    seen, _ = watch([0, 1], 100.0)
    assert (seen.taken, seen.warnings) == (2, [])
    assert (seen.conditions["tries"], seen.conditions["retry_seconds"]) == (3, pytest.approx(2.0))
    assert str(seen.conditions["retry_reasons"]).count("crowded") == 1


@given(
    crowded=st.lists(st.integers(0, 5)),
    retry_seconds=st.floats(0, 10),
    took=st.floats(1e-3, 10),
)
def test_tries_and_time_are_bounded_and_a_mark_is_there_exactly_where_the_last_was_poor(
    crowded: list[int], retry_seconds: float, took: float
) -> None:
    seen, now = watch(crowded, retry_seconds, took)
    tries = int(str(seen.conditions["tries"]))
    assert 1 <= tries <= MOST_TRIES
    assert seen.taken == tries - 1
    assert now.seconds - took <= retry_seconds + 1e-9
    assert bool(seen.warnings) == (tries - 1 in crowded)


def test_only_nvidia_cards_are_opened_and_one_that_can_not_be_says_why() -> None:
    def library() -> Any:
        raise Unknown("no driver")

    facts = DeviceFacts("x", "8d1c9a52", None, None, None)
    cards, lacks = open_cards(["cpu", "cuda:0", "mps:0"], lambda name: facts, library)
    assert cards == {}
    assert lacks == {"cuda:0": "no driver"}
