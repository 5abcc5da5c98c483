"""Sampling on a fake clock: calibration, warm-up, stopping. No real time passes."""

from __future__ import annotations

import gc
from itertools import chain, count, cycle, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeCall, FakeClock, FakeNow
from torchgauge.measure.pace import Pace
from torchgauge.measure.sampler import (
    BLOCK_SECONDS,
    LEAST_BLOCKS,
    MOST_BLOCKS,
    MOST_PREPARED,
    MOST_QUEUED,
    calibrate,
    empty_loop,
    sample,
)
from torchgauge.measure.subject import Subject

STEADY = 20e-6


def setting(*costs: float, **clock) -> tuple[Subject, FakeCall, FakeClock]:
    now = FakeNow()
    call = FakeCall(now, *costs)
    return Subject(call), call, FakeClock(now, **clock)


# Calibration


@pytest.mark.parametrize("cost", [50e-9, 1e-6, 20e-6, 300e-6])
def test_a_block_lasts_about_a_millisecond(cost: float) -> None:
    subject, _, clock = setting(cost)
    assert calibrate(subject, clock) * cost == pytest.approx(BLOCK_SECONDS, rel=0.3)


def test_a_block_lasts_at_least_a_thousand_steps_of_a_coarse_clock() -> None:
    subject, _, clock = setting(20e-6, resolution=15e-6)
    assert calibrate(subject, clock) * 20e-6 >= 0.75 * 1000 * 15e-6


@pytest.mark.parametrize("cost", [1.5e-3, 2.0, 3600.0])
def test_a_call_longer_than_a_block_is_a_block_by_itself_and_is_timed_once(cost: float) -> None:
    subject, call, clock = setting(cost)
    assert calibrate(subject, clock) == 1
    assert call.calls == 1


def test_a_clock_that_shows_no_time_at_all_ends_at_the_cap() -> None:
    subject, _, clock = setting(0.0)
    clock.time = lambda block: type("B", (), {"seconds": 0.0})()  # never run the ten million calls
    assert calibrate(subject, clock) == 10**7


def test_calibration_goes_on_from_the_last_visits_loops() -> None:
    subject, _, clock = setting(STEADY)
    loops = calibrate(subject, clock)
    blocks = len(clock.blocks)
    assert calibrate(subject, clock, loops) == loops
    assert len(clock.blocks) == blocks + 1


def test_calibration_comes_down_from_loops_that_have_become_too_many() -> None:
    subject, _, clock = setting(STEADY)
    assert calibrate(subject, clock, 100_000) * STEADY == pytest.approx(BLOCK_SECONDS, rel=0.3)
    assert len(clock.blocks) <= 2


def test_a_block_with_a_state_for_each_call_is_bounded() -> None:
    now = FakeNow()
    states = count()
    subject = Subject(FakeCall(now, 1e-6), prepare=lambda: (next(states),), each="call")
    assert calibrate(subject, FakeClock(now), 5000) == MOST_PREPARED


def test_a_block_with_a_state_for_the_whole_block_is_not() -> None:
    now = FakeNow()
    subject = Subject(FakeCall(now, 1e-6), prepare=lambda: (1,))
    assert calibrate(subject, FakeClock(now)) > 10 * MOST_PREPARED


def test_a_block_on_a_devices_queue_is_bounded() -> None:
    subject, _, clock = setting(1e-6, metric="device_time")
    assert calibrate(subject, clock, 10_000) == MOST_QUEUED


class Steady(FakeClock):
    """Times a block by its number of calls, without calling: hypothesis tries calls of 10 ns."""

    def __init__(self, cost: float, resolution: float, jitter) -> None:
        super().__init__(FakeNow(), resolution=resolution)
        self.cost = cost
        self.jitter = jitter

    def time(self, block):
        took = block.calls * self.cost * next(self.jitter)
        self.blocks.append(took)
        return type("B", (), {"seconds": took})()


class Counted:
    """A subject whose blocks say how many calls they are."""

    prepare = None
    each = "block"

    def block(self, loops: int):
        return type("Loop", (), {"calls": loops})()


@given(
    cost=st.floats(min_value=10e-9, max_value=10.0),
    resolution=st.sampled_from([1e-9, 50e-9, 1e-6]),
    begin=st.sampled_from([1, 7, 1000, 10**6]),
    jitter=st.lists(st.floats(min_value=0.9, max_value=1.1), min_size=1, max_size=8),
)
def test_calibration_ends_soon_with_a_block_near_its_target_for_any_cost(
    cost: float, resolution: float, begin: int, jitter: list[float]
) -> None:
    clock = Steady(cost, resolution, cycle(jitter))
    loops = calibrate(Counted(), clock, begin)
    target = max(1e-3, 1000 * resolution)
    assert loops in (1, 10**7) or 0.5 * target <= loops * cost <= 2.5 * target
    assert len(clock.blocks) <= 12


# Warm-up


def test_warm_up_ends_when_the_blocks_have_settled() -> None:
    subject, _, clock = setting(STEADY)
    samples = sample(subject, clock, 0.1)
    assert samples.warmup == "settled"
    assert samples.warmup_seconds < 0.25 * 0.1


def test_warm_up_is_bounded_where_blocks_never_settle() -> None:
    slower = (1.5**step for step in count())
    subject, _, clock = setting(STEADY, noise=chain(repeat(1.0, 2), slower))
    samples = sample(subject, clock, 0.1)
    assert samples.warmup == "time"
    assert samples.warmup_seconds <= 0.25 * 0.1 + 2 * BLOCK_SECONDS


def test_blocks_of_the_warm_up_are_not_among_the_samples() -> None:
    slow_first = chain(repeat(5e-3, 3), repeat(STEADY))
    now = FakeNow()

    def call() -> None:
        now.advance(next(slow_first))

    samples = sample(Subject(call), FakeClock(now), 0.2)
    assert max(samples.blocks) == pytest.approx(STEADY)


# Samples and stopping


def test_samples_are_seconds_per_call() -> None:
    subject, _, clock = setting(STEADY)
    samples = sample(subject, clock, 0.05)
    assert samples.loops > 1
    assert samples.blocks == pytest.approx([STEADY] * len(samples.blocks))


def test_submission_is_kept_per_call_beside_device_time() -> None:
    subject, _, clock = setting(STEADY, metric="device_time", starved=True)
    samples = sample(subject, clock, 0.05)
    assert samples.submits == pytest.approx([STEADY / 2] * len(samples.blocks))
    assert samples.starved == len(samples.blocks)


def test_it_stops_when_the_time_is_up() -> None:
    subject, _, clock = setting(STEADY)
    samples = sample(subject, clock, 0.1)
    assert samples.stop == "time"
    assert clock.now.seconds == pytest.approx(0.1, rel=0.1)


def test_it_stops_on_a_plateau() -> None:
    subject, _, clock = setting(STEADY)
    samples = sample(subject, clock, 10.0)
    assert samples.stop == "plateau"
    assert len(samples.blocks) == 200


def test_it_stops_after_the_most_blocks_where_times_keep_falling() -> None:
    falling = (0.999**step for step in count())
    subject, _, clock = setting(STEADY, noise=falling)
    samples = sample(subject, clock, 1e9)
    assert samples.stop == "blocks"
    assert len(samples.blocks) == MOST_BLOCKS


def test_a_call_that_fits_four_times_is_timed_three_times() -> None:
    subject, _, clock = setting(0.1)
    samples = sample(subject, clock, 0.1)
    assert len(samples.blocks) == LEAST_BLOCKS


def test_one_block_is_timed_however_slow_the_call_is() -> None:
    subject, _, clock = setting(1000.0)
    samples = sample(subject, clock, 0.01)
    assert samples.blocks == pytest.approx([1000.0])
    assert samples.stop == "time"


def test_every_call_gets_fresh_state_while_it_is_sampled() -> None:
    now = FakeNow()
    states, seen = count(), []

    def call(state: int) -> None:
        seen.append(state)
        now.advance(STEADY)

    samples = sample(Subject(call, prepare=lambda: (next(states),), each="call"), FakeClock(now), 0.05)
    assert len(seen) == len(set(seen))
    assert 1 < samples.loops <= MOST_PREPARED


def test_the_empty_loop_is_measured_per_call() -> None:
    now = FakeNow(tick=1e-6)  # each reading costs: two readings a block
    cost = empty_loop(Ticking(now, resolution=1e-9))
    assert 0 < cost < 1e-6


class Ticking(FakeClock):
    """Charges 30 ns a call to a block of calls that do nothing."""

    def time(self, block):
        loops = block.args[2].__length_hint__()
        block()
        self.now.advance(loops * 30e-9)
        return type("B", (), {"seconds": loops * 30e-9, "submit": None, "starved": False})()


# Garbage collection


@pytest.mark.parametrize("on", [True, False])
def test_garbage_collection_is_off_while_sampling_and_then_as_it_was(on: bool) -> None:
    seen = set()
    now = FakeNow()

    def call() -> None:
        seen.add(gc.isenabled())
        now.advance(STEADY)

    before = gc.isenabled()
    try:
        (gc.enable if on else gc.disable)()
        sample(Subject(call), FakeClock(now), 0.01)
        assert gc.isenabled() is on
    finally:
        (gc.enable if before else gc.disable)()
    assert seen == {False}


def test_garbage_collection_is_as_it_was_after_a_call_that_raises() -> None:
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        sample(Subject(lambda: 1 / 0), FakeClock(FakeNow()), 0.01)
    assert gc.isenabled()


# Disturbance

CALM, SLOW = 16e-6, 27e-6


def paced(*probes: float, seconds: float = 0.02):
    subject, _, clock = setting(1e-3)
    left = chain(probes, repeat(probes[-1]))
    return sample(subject, clock, seconds, pace=Pace(lambda: next(left), CALM), patience=3 * seconds)


def test_a_calm_visit_ends_with_its_share_and_knows_the_pace_around_each_block():
    seen = paced(CALM)
    assert seen.stop == "time"
    assert seen.paces == [CALM] * len(seen.blocks)
    assert len(seen.blocks) <= 20


def test_a_disturbed_visit_goes_on_for_three_times_its_share_and_says_so():
    seen = paced(SLOW)
    assert seen.stop == "disturbed"
    assert 50 <= len(seen.blocks) <= 60
    assert len(seen.paces) == len(seen.blocks)


def test_a_disturbed_visit_ends_as_soon_as_three_blocks_were_calm():
    seen = paced(*[SLOW] * 35, CALM)
    assert seen.stop == "time"
    assert seen.paces.count(CALM) == LEAST_BLOCKS
    assert seen.paces[-LEAST_BLOCKS:] == [CALM] * LEAST_BLOCKS


def test_a_block_is_as_disturbed_as_the_worse_of_the_probes_around_it():
    probes = iter([CALM, CALM, SLOW, CALM, CALM])
    pace = Pace(lambda: next(probes), CALM)
    assert [pace.after_block() for _ in range(4)] == [CALM, SLOW, SLOW, CALM]
    assert pace.calm([CALM, SLOW, SLOW, CALM]) == 2


def test_without_an_undisturbed_pace_to_hold_it_against_nothing_is_disturbed():
    subject, _, clock = setting(1e-3)
    assert sample(subject, clock, 0.02, pace=Pace(lambda: SLOW, None), patience=1.0).stop == "time"
