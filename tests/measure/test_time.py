"""The instrument `time`: what it observes, in which metrics, with which conditions and warnings."""

from __future__ import annotations

import gc
from types import SimpleNamespace

import pytest

from fakes import AliveLosses, FakeCall, FakeClock, FakeNow, FakeQueue, FakeTelemetry
from torchgauge.measure import device
from torchgauge.measure.choice import by_name
from torchgauge.measure.clock import EventClock
from torchgauge.measure.instruments import Visit
from torchgauge.measure.instruments import time as instrument
from torchgauge.measure.schedule import INSTRUMENTS
from torchgauge.measure.subject import Subject
from torchgauge.measure.telemetry import Snapshot


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> FakeNow:
    monkeypatch.setattr(instrument, "empty_loop", lambda clock: 40e-9)
    monkeypatch.setattr(instrument, "Telemetry", FakeTelemetry)
    return FakeNow()


def visit(
    place: str = "cpu",
    *,
    first: bool = True,
    seconds: float = 0.05,
    case: str = "a/b[cpu]",
    retry_seconds: float = 0.0,
) -> Visit:
    return Visit(case, place, first=first, seconds=seconds, retry_seconds=retry_seconds)


def test_every_instrument_that_is_offered_can_be_made() -> None:
    assert [by_name(name).name for name in INSTRUMENTS] == list(INSTRUMENTS)
    with pytest.raises(KeyError):
        by_name("astrology")


def test_a_cpu_case_gives_its_time_and_its_first_call_apart(now: FakeNow) -> None:
    call = FakeCall(now, 0.5, 20e-6)
    result, seen = instrument.Time(FakeClock(now)).observe(Subject(call), visit())
    assert result == 1
    assert [(one.metric, one.unit) for one in seen] == [("time", "s"), ("first_call", "s")]
    assert seen[1].samples == pytest.approx([0.5])
    assert max(seen[0].samples) == pytest.approx(20e-6)


def test_the_first_call_is_told_in_the_first_visit_only(now: FakeNow) -> None:
    time = instrument.Time(FakeClock(now))
    subject = Subject(FakeCall(now, 20e-6))
    time.observe(subject, visit())
    _, seen = time.observe(subject, visit(first=False))
    assert [one.metric for one in seen] == ["time"]


def test_a_later_visit_begins_with_the_loops_of_the_one_before(now: FakeNow) -> None:
    clock = FakeClock(now)
    time = instrument.Time(clock)
    subject = Subject(FakeCall(now, 20e-6))
    _, first = time.observe(subject, visit())
    calibration = len(clock.blocks)
    _, second = time.observe(subject, visit(first=False))
    assert second[0].loops == first[0].loops > 1
    assert len(clock.blocks) - calibration < calibration


def test_every_number_has_its_stop_reason_warm_up_and_conditions(now: FakeNow) -> None:
    _, seen = instrument.Time(FakeClock(now)).observe(Subject(FakeCall(now, 20e-6)), visit())
    conditions = seen[0].conditions
    assert conditions["stop"] == "time"
    assert conditions["warmup"] == "settled"
    assert conditions["empty_loop_seconds"] == 40e-9
    assert conditions["clock_resolution_seconds"] == 50e-9
    assert conditions["synchronizes"] is False
    assert str(conditions["at"]).endswith("+00:00")
    assert seen[0].warnings == []


def test_a_case_in_which_the_empty_loop_shows_is_flagged(now: FakeNow) -> None:
    _, seen = instrument.Time(FakeClock(now)).observe(Subject(FakeCall(now, 300e-9)), visit())
    assert any("empty loop (40 ns a call)" in warning for warning in seen[0].warnings)


def test_blocks_too_short_for_their_clock_are_flagged(now: FakeNow) -> None:
    subject = Subject(FakeCall(now, 1e-6), prepare=lambda: (0,), each="call")
    _, seen = instrument.Time(FakeClock(now, resolution=1e-6)).observe(subject, visit())
    assert any("steps of the clock" in warning for warning in seen[0].warnings)


def test_a_case_that_never_settled_is_flagged(now: FakeNow) -> None:
    growing = (20e-6 * 1.01**step for step in range(10**6))
    subject = Subject(lambda: now.advance(next(growing)))
    _, seen = instrument.Time(FakeClock(now)).observe(subject, visit(seconds=1.0))
    assert any("still changing" in warning for warning in seen[0].warnings)


def test_the_machine_is_looked_at_before_the_blocks_and_after_them_and_never_between(now: FakeNow) -> None:
    looked: list[int] = []
    call = FakeCall(now, 20e-6)

    class Noting(FakeTelemetry):
        def snapshot(self, place: str = "cpu") -> Snapshot:
            looked.append(call.calls)
            return super().snapshot(place)

    telemetry = Noting(now)
    _, seen = instrument.Time(FakeClock(now), telemetry).observe(Subject(call), visit())
    assert looked == [1, call.calls]  # after the first call, and when all was done
    assert telemetry.looks == ["cpu", "cpu"]
    assert seen[0].conditions["watched_seconds"] == pytest.approx(0.05, rel=0.1)
    assert seen[0].conditions["tries"] == 1
    assert seen[0].conditions["retry_reasons"] is None


def test_a_visit_under_poor_conditions_is_made_again_with_fresh_samples(now: FakeNow) -> None:
    telemetry = FakeTelemetry(now, crowded=[0])
    _, seen = instrument.Time(FakeClock(now), telemetry).observe(
        Subject(FakeCall(now, *[90e-6] * 400, 20e-6)), visit(retry_seconds=1.0)
    )
    assert len(telemetry.looks) == 4
    assert max(seen[0].samples) == pytest.approx(20e-6)
    assert seen[0].conditions["tries"] == 2
    assert str(seen[0].conditions["retry_reasons"]).startswith("crowded: ")
    assert seen[0].conditions["retry_seconds"] >= 0.0
    assert seen[0].warnings == []


def test_a_machine_that_stays_poor_is_tried_three_times_then_kept_and_marked(now: FakeNow) -> None:
    telemetry = FakeTelemetry(now, crowded=range(9))
    _, seen = instrument.Time(FakeClock(now), telemetry).observe(
        Subject(FakeCall(now, 20e-6)), visit(retry_seconds=1.0)
    )
    assert len(telemetry.looks) == 6
    assert seen[0].samples
    assert seen[0].conditions["tries"] == 3
    (warning,) = seen[0].warnings
    assert warning.startswith("poor conditions in all of 3 tries: crowded: the thread waited for a core 90%")


def test_without_time_for_another_try_the_first_is_kept_and_marked(now: FakeNow) -> None:
    telemetry = FakeTelemetry(now, crowded=range(9))
    _, seen = instrument.Time(FakeClock(now), telemetry).observe(Subject(FakeCall(now, 20e-6)), visit())
    assert len(telemetry.looks) == 2
    assert seen[0].conditions["tries"] == 1
    assert seen[0].warnings[0].startswith("poor conditions: crowded: ")


@pytest.fixture
def cuda(now: FakeNow, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A CUDA device behind `measure.device`, on fakes."""
    queue = FakeQueue(now)
    made = SimpleNamespace(queue=queue, now=now, synchronizes=False, asked=[])

    def clock(place: str, *, events: bool):
        made.asked.append((place, events))
        return EventClock(queue, now) if events else FakeClock(now)

    def synchronizes(place: str, call) -> bool:
        call()
        return made.synchronizes

    monkeypatch.setattr(device, "clock", clock)
    monkeypatch.setattr(device, "queue", lambda place: queue)
    monkeypatch.setattr(device, "synchronizer", lambda place: queue.synchronize)
    monkeypatch.setattr(device, "synchronizes", synchronizes)
    return made


def test_a_cuda_case_gives_device_time_submission_and_the_first_call(cuda: SimpleNamespace) -> None:
    subject = Subject(cuda.queue.kernel(host=4e-6, device=10e-6))
    _, seen = instrument.Time(FakeClock(cuda.now)).observe(subject, visit("cuda:0", case="a/b[cuda:0]"))
    found = {one.metric: one for one in seen}
    assert list(found) == ["device_time", "submit_time", "device_time_cold", "graph_time", "first_call"]
    assert {one.unit for one in seen} == {"s"}
    assert seen[0].method == "device-events"
    for metric, seconds in (
        ("device_time", 10e-6), ("submit_time", 4e-6), ("device_time_cold", 10e-6), ("graph_time", 10e-6),
    ):  # fmt: skip
        assert found[metric].samples == pytest.approx([seconds] * len(found[metric].samples))
    assert found["first_call"].samples == pytest.approx([14e-6])  # the device was idle before and after
    assert seen[0].warnings == []


def test_a_case_that_can_not_be_captured_says_why_and_keeps_its_other_times(cuda: SimpleNamespace) -> None:
    cuda.queue.uncapturable = "operation not permitted when stream is capturing"
    time = instrument.Time(FakeClock(cuda.now))
    subject = Subject(cuda.queue.kernel(host=4e-6, device=10e-6))
    for first in (True, False):
        _, seen = time.observe(subject, visit("cuda:0", case="a/b[cuda:0]", first=first))
        metrics = [one.metric for one in seen]
        assert metrics[:3] == ["device_time", "submit_time", "device_time_cold"]
        assert "graph_time" not in metrics
        assert seen[0].warnings == [
            "graph_time is left out: operation not permitted when stream is capturing"
        ]
    assert cuda.queue.log.count("capture") == 1  # it is not tried again


def test_a_device_whose_cache_is_not_known_has_no_cold_time_and_says_so(cuda: SimpleNamespace) -> None:
    cuda.queue.flush_seconds = None
    subject = Subject(cuda.queue.kernel(host=4e-6, device=10e-6))
    _, seen = instrument.Time(FakeClock(cuda.now)).observe(subject, visit("cuda:0", case="a/b[cuda:0]"))
    assert "device_time_cold" not in [one.metric for one in seen]
    assert seen[0].warnings == ["device_time_cold is left out: the size of the cache is not known"]


def test_a_cuda_case_whose_host_is_too_slow_is_called_launch_bound(cuda: SimpleNamespace) -> None:
    subject = Subject(cuda.queue.kernel(host=30e-3, device=10e-6))
    _, seen = instrument.Time(FakeClock(cuda.now)).observe(
        subject, visit("cuda:0", case="a/b[cuda:0]", seconds=0.5)
    )
    assert any("launch-bound" in warning for warning in seen[0].warnings)


def test_a_cuda_case_that_synchronizes_by_itself_is_marked_and_timed_by_the_host(
    cuda: SimpleNamespace,
) -> None:
    cuda.synchronizes = True

    def call() -> None:
        cuda.queue.kernel(host=4e-6, device=10e-6)()
        cuda.queue.synchronize()

    _, seen = instrument.Time(FakeClock(cuda.now)).observe(Subject(call), visit("cuda:0", case="a/b[cuda:0]"))
    assert cuda.asked == [("cuda:0", False)]
    assert seen[0].metric == "time"
    assert seen[0].conditions["synchronizes"] is True
    assert cuda.queue.sleeps == []
    assert not {"flush", "capture"} & set(cuda.queue.log)


def test_a_cuda_case_that_gives_the_device_nothing_to_do_is_timed_by_the_host_and_says_so(
    cuda: SimpleNamespace,
) -> None:
    subject = Subject(FakeCall(cuda.now, 3e-6))
    _, seen = instrument.Time(FakeClock(cuda.now)).observe(subject, visit("cuda:0", case="a/b[cuda:0]"))
    assert [one.metric for one in seen] == ["time", "first_call"]
    assert seen[0].samples == pytest.approx([3e-6] * len(seen[0].samples))
    assert seen[0].conditions["synchronizes"] is False
    assert seen[0].warnings == ["the device has nothing to do for it: this is the host's time"]


def test_a_cuda_case_that_waits_for_the_device_unnoticed_is_found_out_and_marked(
    cuda: SimpleNamespace,
) -> None:
    def call() -> None:
        cuda.queue.kernel(host=4e-6, device=10e-6)()
        cuda.queue.synchronize()

    time = instrument.Time(FakeClock(cuda.now))
    _, seen = time.observe(Subject(call), visit("cuda:0", case="a/b[cuda:0]", seconds=0.2))
    assert seen[0].conditions["synchronizes"] is True
    assert any("waits for the device" in warning for warning in seen[0].warnings)
    assert not any("launch-bound" in warning for warning in seen[0].warnings)


def test_a_slow_case_does_not_make_the_queue_of_the_next_one_sleep_longer(cuda: SimpleNamespace) -> None:
    time = instrument.Time(FakeClock(cuda.now))
    slow = Subject(cuda.queue.kernel(host=8e-3, device=10e-6))
    quick = Subject(cuda.queue.kernel(host=4e-6, device=10e-6))
    time.observe(slow, visit("cuda:0", case="a/slow[cuda:0]"))
    assert max(cuda.queue.sleeps) > 10e-3
    cuda.queue.sleeps.clear()
    for first in (True, False):
        time.observe(quick, visit("cuda:0", case="a/quick[cuda:0]", first=first))
    assert max(cuda.queue.sleeps) < 3e-3
    assert cuda.asked == [("cuda:0", True)] * 2


def test_the_first_call_is_made_without_garbage_collection_as_its_conditions_say(now: FakeNow) -> None:
    result, seen = instrument.Time(FakeClock(now)).observe(
        Subject(lambda: (now.advance(20e-6), gc.isenabled())[1]), visit()
    )
    assert result is False
    assert seen[1].conditions["garbage_collection"] is False


def test_a_first_result_that_holds_a_graph_is_not_alive_while_calls_are_timed(now: FakeNow) -> None:
    alive = AliveLosses(lambda: now.advance(20e-6))
    instrument.Time(FakeClock(now), FakeTelemetry(now)).observe(Subject(alive.call), visit())
    assert set(alive.others_at_each_call) == {0}
