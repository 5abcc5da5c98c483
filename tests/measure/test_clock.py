"""The clocks: the order of what they ask of a device, and what they make of it."""

from __future__ import annotations

import pytest

from fakes import FakeNow, FakeQueue
from torchgauge.measure.clock import EventClock, HostClock, resolution


@pytest.fixture
def now() -> FakeNow:
    return FakeNow()


@pytest.fixture
def queue(now: FakeNow) -> FakeQueue:
    return FakeQueue(now)


def times(count: int, call) -> None:
    for _ in range(count):
        call()


def test_the_host_clock_times_the_block_and_nothing_else(now: FakeNow) -> None:
    clock = HostClock(now=FakeNow(tick=1e-9))
    clock.now = now
    now.advance(5.0)
    block = clock.time(lambda: now.advance(0.25))
    assert block.seconds == pytest.approx(0.25)
    assert block.submit is None
    assert clock.method == "host-clock"


def test_the_host_clock_on_a_device_waits_before_and_after_and_tells_submission_apart(
    now: FakeNow, queue: FakeQueue
) -> None:
    clock = HostClock(queue.synchronize, now=FakeNow(tick=1e-9))
    clock.now = now
    queue.submit(3.0)  # what an earlier case left behind must not be timed
    block = clock.time(queue.kernel(host=0.125, device=1.0))
    assert queue.log == ["synchronize", "call", "synchronize"]
    assert block.seconds == pytest.approx(1.125)
    assert block.submit == pytest.approx(0.125)
    assert clock.method == "host-clock-synchronized"


def test_a_clocks_resolution_is_its_smallest_step() -> None:
    readings = iter([0, 0, 0, 40, 40, 65, 100, 200])
    assert resolution(lambda: next(readings), tries=3) == pytest.approx(25e-9)


def test_the_event_clock_fills_the_queue_then_marks_calls_marks_looks_and_waits(
    now: FakeNow, queue: FakeQueue
) -> None:
    clock = EventClock(queue, now)
    clock.time(lambda: times(3, queue.kernel(host=5e-6, device=2e-6)))
    assert queue.log == [
        "synchronize", "sleep", "record", "call", "call", "call", "record", "query", "wait",
    ]  # fmt: skip


def test_a_cold_clock_flushes_the_cache_before_it_sleeps_and_before_the_first_mark(
    now: FakeNow, queue: FakeQueue
) -> None:
    clock = EventClock(queue, now, cold=True)
    block = clock.time(queue.kernel(host=5e-6, device=2e-6))
    assert queue.log == ["synchronize", "flush", "sleep", "record", "call", "record", "query", "wait"]
    assert block.seconds == pytest.approx(2e-6)
    assert (clock.metric, clock.method) == ("device_time_cold", "device-events-cache-flushed")


def test_the_event_clock_times_the_device_without_the_gaps_between_launches(
    now: FakeNow, queue: FakeQueue
) -> None:
    block = EventClock(queue, now).time(lambda: times(10, queue.kernel(host=5e-6, device=2e-6)))
    assert block.seconds == pytest.approx(20e-6)
    assert block.submit == pytest.approx(50e-6)
    assert not block.starved


def test_a_device_that_woke_too_early_is_marked_starved_and_sleeps_longer_next_time(
    now: FakeNow, queue: FakeQueue
) -> None:
    clock = EventClock(queue, now)

    def block() -> None:
        times(100, queue.kernel(host=10e-6, device=1e-6))

    first = clock.time(block)
    second = clock.time(block)
    assert first.starved
    assert not second.starved
    assert queue.sleeps[1] > queue.sleeps[0]
    assert first.seconds > 5 * second.seconds  # gaps between launches, then none
    assert second.seconds == pytest.approx(100e-6)


def test_the_sleep_is_bounded_however_long_the_host_takes(now: FakeNow, queue: FakeQueue) -> None:
    clock = EventClock(queue, now)
    for _ in range(20):
        assert clock.time(queue.kernel(host=1.0, device=1e-6)).starved
    assert max(queue.sleeps) == EventClock.longest_sleep


def test_the_sleep_stays_as_it_is_while_the_host_is_quick(now: FakeNow, queue: FakeQueue) -> None:
    clock = EventClock(queue, now)
    for _ in range(5):
        clock.time(queue.kernel(host=5e-6, device=1e-3))
    assert len(set(queue.sleeps)) == 1


def test_the_sleep_is_short_again_after_one_slow_block(now: FakeNow, queue: FakeQueue) -> None:
    clock = EventClock(queue, now)
    for host in (5e-6, 15e-3, 5e-6, 5e-6):
        clock.time(queue.kernel(host=host, device=1e-3))
    assert queue.sleeps[2] == EventClock.longest_sleep
    assert queue.sleeps[3] == queue.sleeps[0] == EventClock.shortest_sleep


@pytest.mark.parametrize("host", [5e-6, 300e-6, 6e-3, 12e-3, 30e-3])
def test_a_host_that_is_slow_is_not_taken_for_one_that_waits(
    now: FakeNow, queue: FakeQueue, host: float
) -> None:
    clock = EventClock(queue, now)
    for _ in range(20):
        clock.time(queue.kernel(host=host, device=1e-6))
    assert not clock.waits
    assert len(queue.sleeps) == 20


def test_a_call_that_waits_for_the_device_waits_out_the_sleep_and_no_more(
    now: FakeNow, queue: FakeQueue
) -> None:
    clock = EventClock(queue, now)

    def call() -> None:
        queue.submit(1e-6)
        queue.synchronize()

    for _ in range(10):
        block = clock.time(call)
        assert block.starved  # the device has run dry when the host comes back
        assert block.seconds == pytest.approx(1e-6)
    assert clock.waits
    assert len(queue.sleeps) == 4  # then it is known, and its submission is no longer the sleep's
    assert block.submit == pytest.approx(1e-6)
    assert now.seconds < 2 * EventClock.longest_sleep


def test_the_event_clock_is_told_apart_by_metric_and_method(now: FakeNow, queue: FakeQueue) -> None:
    clock = EventClock(queue, now)
    assert (clock.metric, clock.method, clock.resolution) == ("device_time", "device-events", 0.5e-6)
