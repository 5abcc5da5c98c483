"""Which clock a call gets: by where it runs, whether it waits, and whether the device has work to do."""

from __future__ import annotations

import pytest

from fakes import FakeCall, FakeClock, FakeNow, FakeQueue
from torchgauge.measure import clocks, device
from torchgauge.measure.clock import EventClock
from torchgauge.measure.subject import Subject


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> FakeQueue:
    """A CUDA device on fakes, whose events are 1.5 µs apart with nothing between them."""
    made = FakeQueue(FakeNow())
    record = made.event

    def event():
        found = record()
        passes = found.elapsed_time
        found.elapsed_time = lambda end: passes(end) + 1.5e-3
        return found

    monkeypatch.setattr(made, "event", event)
    made.event_overhead = 1.5e-6
    monkeypatch.setattr(device, "synchronizes", lambda place, call: False)
    monkeypatch.setattr(
        device,
        "clock",
        lambda place, *, events: EventClock(made, made.now) if events else FakeClock(made.now),
    )
    return made


def chosen(queue: FakeQueue, subject: Subject) -> clocks.Choice:
    return clocks.choose(subject, "cuda:0", FakeClock(queue.now))


def test_a_cpu_has_the_hosts_clock_and_the_call_is_not_made_to_find_out() -> None:
    now = FakeNow()
    call, host = FakeCall(now, 1e-6), FakeClock(now)
    choice = clocks.choose(Subject(call), "cpu", host)
    assert choice.clock is host
    assert (choice.synchronizes, choice.idle, call.calls) == (False, False, 0)


@pytest.mark.parametrize("host", [2e-6, 10e-6, 150e-6, 3e-3])
@pytest.mark.parametrize("seconds", [0.9e-6, 5e-6, 1e-3, 0.5])
def test_a_call_with_a_kernel_however_small_is_timed_by_events(
    queue: FakeQueue, host: float, seconds: float
) -> None:
    choice = chosen(queue, Subject(queue.kernel(host=host, device=seconds)))
    assert isinstance(choice.clock, EventClock)
    assert not choice.idle


@pytest.mark.parametrize("seconds", [50e-9, 4e-6, 150e-6, 5e-3])
def test_a_call_without_any_is_timed_by_the_host_however_long_it_takes(
    queue: FakeQueue, seconds: float
) -> None:
    choice = chosen(queue, Subject(FakeCall(queue.now, seconds)))
    assert isinstance(choice.clock, FakeClock)
    assert choice.idle


def test_a_long_call_is_made_once_to_find_out(queue: FakeQueue) -> None:
    call = queue.kernel(host=1e-3, device=0.5)
    chosen(queue, Subject(call))
    assert queue.log.count("call") == 1


def test_a_call_that_waits_is_timed_by_the_host(queue: FakeQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "synchronizes", lambda place, call: True)
    choice = chosen(queue, Subject(queue.kernel(host=4e-6, device=5e-6)))
    assert isinstance(choice.clock, FakeClock)
    assert choice.synchronizes
    assert not choice.idle
