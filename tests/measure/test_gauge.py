"""The `gauge` object: one measured line, its work, and what it says to misuse."""

from __future__ import annotations

import pytest

from fakes import FakeInstrument
from torchgauge.measure.gauge import Gauge, GaugeUseError
from torchgauge.measure.instruments import Visit
from torchgauge.record import Work

VISIT = Visit("a/b[cpu]", "cpu", first=True, seconds=0.01)


def test_without_an_instrument_the_measured_line_is_called_once() -> None:
    calls = []
    gauge = Gauge()
    assert gauge(lambda *a, **k: calls.append((a, k)) or "result", 1, dim=2) == "result"
    assert calls == [((1,), {"dim": 2})]
    assert gauge.observations == []


def test_with_an_instrument_the_result_is_the_first_calls_and_the_samples_are_kept() -> None:
    told = []
    gauge = Gauge(FakeInstrument(1.0, 2.0), VISIT, told.append)
    assert gauge(divmod, 7, 2) == (3, 1)
    assert gauge.observations[0].samples == [1.0, 2.0]
    assert told == [gauge.observations]


def test_the_measured_function_may_take_keywords_of_any_name() -> None:
    assert Gauge()(lambda **k: k, fn=1, self=2, bytes=3) == {"fn": 1, "self": 2, "bytes": 3}


def test_work_is_stated_in_flop_bytes_and_items_and_may_be_left_out() -> None:
    gauge = Gauge()
    assert gauge.stated == Work()
    gauge.work(flop=2 * 8**3, items=1)
    assert gauge.stated == Work(flop=1024.0, bytes=None, items=1.0)
    assert isinstance(gauge.stated.flop, float)


def test_a_second_measured_line_is_refused() -> None:
    gauge = Gauge()
    gauge(int)
    with pytest.raises(GaugeUseError, match="called twice"):
        gauge(int)


def test_a_second_line_after_one_that_raised_is_refused_too() -> None:
    gauge = Gauge()
    with pytest.raises(ZeroDivisionError):
        gauge(lambda: 1 / 0)
    with pytest.raises(GaugeUseError, match="called twice"):
        gauge(int)


def test_no_measured_line_is_refused_at_the_end() -> None:
    with pytest.raises(GaugeUseError, match="never called"):
        Gauge().finish()


def test_a_benchmark_that_measured_is_finished_quietly() -> None:
    gauge = Gauge()
    gauge(int)
    gauge.finish()


def test_prepared_arguments_reach_the_call() -> None:
    gauge = Gauge()
    gauge.prepare(lambda: (7, 2))
    assert gauge(divmod) == (3, 1)


def test_arguments_beside_prepared_ones_are_refused() -> None:
    gauge = Gauge()
    gauge.prepare(lambda: (7,))
    with pytest.raises(GaugeUseError, match="in one place"):
        gauge(divmod, 2)


def test_state_is_fresh_for_each_block_or_call_and_for_nothing_else() -> None:
    with pytest.raises(GaugeUseError, match="'block' or 'call'"):
        Gauge().prepare(tuple, each="round")


def test_the_stage_says_how_far_a_benchmark_came() -> None:
    stages = []
    gauge = Gauge()
    stages.append(gauge.stage)
    gauge(lambda: stages.append(gauge.stage))
    stages.append(gauge.stage)
    assert stages == ["setup", "measure", "check"]
