"""The cold time and the time of a graph: what is asked of the device, and in which order."""

from __future__ import annotations

import pytest

from fakes import FakeNow, FakeQueue
from torchgauge.measure import device_times
from torchgauge.measure.reasons import Unknown
from torchgauge.measure.sampler import MOST_QUEUED
from torchgauge.measure.subject import Subject


@pytest.fixture
def now() -> FakeNow:
    return FakeNow()


@pytest.fixture
def queue(now: FakeNow) -> FakeQueue:
    return FakeQueue(now)


def test_the_cache_is_flushed_before_each_call_and_the_flush_is_not_timed(
    now: FakeNow, queue: FakeQueue
) -> None:
    queue.flush_seconds = 1e-3
    seen = device_times.cold(Subject(queue.kernel(host=5e-6, device=20e-6)), queue, now, 0.02)
    assert seen.samples == pytest.approx([20e-6] * len(seen.samples))
    assert queue.log.count("flush") == queue.log.count("call") == len(seen.samples) + device_times.WARM_UP
    between = " ".join(queue.log).replace("call", "", 1).split("call")
    assert all("flush" in part for part in between[:-1])
    assert (seen.metric, seen.loops, seen.warnings) == ("device_time_cold", 1, [])


def test_three_cold_calls_are_timed_however_little_time_there_is(now: FakeNow, queue: FakeQueue) -> None:
    seen = device_times.cold(Subject(queue.kernel(host=5e-6, device=0.5)), queue, now, 0.0)
    assert len(seen.samples) == device_times.LEAST_BLOCKS
    quick = device_times.cold(Subject(queue.kernel(host=5e-6, device=20e-6)), queue, now, 1e6)
    assert len(quick.samples) == device_times.MOST_BLOCKS


def test_a_cold_call_that_is_short_against_what_its_events_cost_is_flagged(
    now: FakeNow, queue: FakeQueue
) -> None:
    queue.event_overhead = 1.2e-6
    seen = device_times.cold(Subject(queue.kernel(host=5e-6, device=23e-6)), queue, now, 0.02)
    assert seen.warnings == [
        "two events with nothing between them are 1.2 µs apart: over 5 % of this time, and in it"
    ]
    seen = device_times.cold(Subject(queue.kernel(host=5e-6, device=25e-6)), queue, now, 0.02)
    assert seen.warnings == []


def test_a_cold_call_that_the_host_hands_over_too_slowly_is_called_launch_bound(
    now: FakeNow, queue: FakeQueue
) -> None:
    queue.flush_seconds = (
        50e-3  # a long flush before the sleep would hide it by accident, were it not looked at
    )
    seen = device_times.cold(Subject(queue.kernel(host=90e-3, device=20e-6)), queue, now, 0.02)
    assert seen.warnings[0].startswith("launch-bound")


def test_a_graph_holds_all_calls_of_a_block_and_is_replayed_as_one(now: FakeNow, queue: FakeQueue) -> None:
    seen = device_times.graph(Subject(queue.kernel(host=50e-6, device=2e-6)), queue, now, 0.02, 10)
    # once to warm up, once to capture, and none when it is replayed
    assert queue.log.count("call") == 20
    assert queue.log.count("capture") == 1
    assert queue.log.count("replay") == len(seen.samples) + device_times.WARM_UP
    assert seen.samples == pytest.approx([2e-6] * len(seen.samples))
    assert (seen.metric, seen.method, seen.loops) == ("graph_time", "cuda-graph-replay", 10)
    assert seen.warnings == []


def test_a_graph_is_no_longer_than_a_block_may_be(now: FakeNow, queue: FakeQueue) -> None:
    seen = device_times.graph(Subject(queue.kernel(host=1e-6, device=1e-6)), queue, now, 0.0, 10**6)
    assert seen.loops == MOST_QUEUED


def test_arguments_that_are_made_anew_are_not_captured(now: FakeNow, queue: FakeQueue) -> None:
    call = queue.kernel(host=1e-6, device=1e-6)
    subject = Subject(lambda _: call(), prepare=lambda: (1,))
    with pytest.raises(Unknown, match="made anew"):
        device_times.graph(subject, queue, now, 0.02, 10)
    assert queue.log == []


def test_after_a_capture_that_failed_the_queue_times_as_before(now: FakeNow, queue: FakeQueue) -> None:
    queue.uncapturable = "not permitted"
    subject = Subject(queue.kernel(host=5e-6, device=20e-6))
    with pytest.raises(Unknown, match="not permitted"):
        device_times.graph(subject, queue, now, 0.02, 10)
    seen = device_times.cold(subject, queue, now, 0.02)
    assert seen.samples == pytest.approx([20e-6] * len(seen.samples))
