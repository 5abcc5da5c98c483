"""What two snapshots say of the time between them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchgauge.measure.conditions import conditions, poor
from torchgauge.measure.telemetry import Snapshot

BEFORE = Snapshot(
    at=100.0,
    thread_seconds=5.0,
    waited_seconds=1.0,
    voluntary_switches=10,
    involuntary_switches=20,
    stolen_seconds=3.0,
    busy_seconds=50.0,
    throttled_periods=7,
    throttled_seconds=0.5,
    cpu_stalled_seconds=1.0,
    memory_stalled_seconds=2.0,
    load_1min=1.0,
    runnable_tasks=2,
    frequency_hertz=2e9,
    card={"throttle_reasons": "none", "other_processes": 0},
)
NOTHING = Snapshot(at=100.0, thread_seconds=5.0)


def later(seconds: float = 1.0, card: dict[str, Any] | None = None, **more: float) -> Snapshot:
    """`BEFORE` after a while in which the fields of `more` grew by that much."""
    grown = {name: getattr(BEFORE, name) + value for name, value in more.items()}
    return replace(BEFORE, at=BEFORE.at + seconds, **grown, card=card or BEFORE.card)


def test_conditions_are_what_has_changed_between_the_snapshots() -> None:
    after = later(
        2.0, thread_seconds=1.5, waited_seconds=0.25, involuntary_switches=6, stolen_seconds=0.25,
        busy_seconds=0.75, throttled_periods=1, throttled_seconds=0.125, cpu_stalled_seconds=0.5,
    )  # fmt: skip
    found = conditions(BEFORE, replace(after, runnable_tasks=4, frequency_hertz=3e9))
    assert found == {
        "watched_seconds": 2.0,
        "thread_running_share": 0.75,
        "thread_waiting_share": 0.125,
        "voluntary_switches": 0,
        "involuntary_switches": 6,
        "stolen_seconds": 0.25,
        "steal_share": 0.25,
        "throttled_periods": 1,
        "throttled_seconds": 0.125,
        "cpu_stalled_seconds": 0.5,
        "memory_stalled_seconds": 0.0,
        "load_1min": 1.0,
        "runnable_tasks": 4,
        "cpu_frequency_hertz": 3e9,
        "card_throttle_reasons": "none",
        "card_other_processes": 0,
    }


def test_what_is_not_known_is_none_and_never_0() -> None:
    found = conditions(NOTHING, replace(NOTHING, at=101.0, thread_seconds=6.0))
    assert {name for name, value in found.items() if value is not None} == {
        "watched_seconds",
        "thread_running_share",
    }


def test_of_a_time_in_which_no_core_had_work_the_stolen_share_is_not_known() -> None:
    assert conditions(BEFORE, later())["steal_share"] is None


QUIET = [
    {"involuntary_switches": 100_000},
    {"waited_seconds": 0.59},
    {"stolen_seconds": 0.04, "busy_seconds": 0.01},
    {"stolen_seconds": 0.09, "busy_seconds": 0.91},
    {"memory_stalled_seconds": 0.05},
    {"seconds": 0.01, "memory_stalled_seconds": 0.005},
    {"voluntary_switches": 100_000},
    {"cpu_stalled_seconds": 1.0},
    {"card": {"throttle_reasons": "idle, power cap, set clocks", "other_processes": None}},
    {"card": {"throttle_reasons": None, "other_processes": None}},
]


@pytest.mark.parametrize("change", QUIET)
def test_a_little_of_everything_is_not_poor(change: dict[str, Any]) -> None:
    assert poor(BEFORE, later(**change)) is None


POOR = [
    ({"throttled_periods": 1}, "throttled"),
    ({"stolen_seconds": 0.3, "busy_seconds": 0.7}, "stolen: the hypervisor took 30%"),
    ({"waited_seconds": 0.61}, "crowded: the thread waited for a core 61% of the time"),
    ({"memory_stalled_seconds": 0.2}, "short of memory"),
    ({"card": {"throttle_reasons": "power cap, heat (software)"}}, r"slowed down: heat \(software\)$"),
    ({"card": {"throttle_reasons": "power brake"}}, "power brake"),
    ({"card": {"throttle_reasons": "none", "other_processes": 2}}, r"shared: .*\(2\)"),
]


@pytest.mark.parametrize(("change", "said"), POOR)
def test_much_of_anything_is_poor_and_the_reason_names_it(change: dict[str, Any], said: str) -> None:
    assert poor(BEFORE, later()) is None
    reason = poor(BEFORE, later(**change))
    assert reason is not None
    assert re.search(said, reason)


def test_a_card_that_was_braked_as_the_visit_began_is_poor_too() -> None:
    hot = replace(BEFORE, card={"throttle_reasons": "heat (hardware)"})
    assert poor(hot, later()) == "the card was slowed down: heat (hardware)"


@given(st.floats(1e-3, 100), st.floats(0, 10), st.floats(0, 10), st.floats(0, 10), st.integers(0, 100))
def test_where_nothing_can_be_read_nothing_is_called_poor(
    seconds: float, waited: float, stolen: float, stalled: float, periods: int
) -> None:
    after = replace(
        BEFORE,
        at=100.0 + seconds,
        waited_seconds=waited,
        stolen_seconds=stolen,
        memory_stalled_seconds=stalled,
        throttled_periods=periods,
    )
    assert poor(NOTHING, after) is None
    assert poor(after, replace(NOTHING, at=200.0 + seconds)) is None


def test_in_turns_stolen_time_falls_on_both_sides_and_all_else_is_as_poor() -> None:
    stolen = later(stolen_seconds=0.5, busy_seconds=0.5)
    assert poor(BEFORE, stolen) is not None
    assert poor(BEFORE, stolen, in_turns=True) is None
    assert poor(BEFORE, later(throttled_periods=1), in_turns=True) is not None
