"""The instrument `energy`: joules a call above the idle power, or left out with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from fakes import FakeMeter, FakeNow, FakeTelemetry
from torchgauge.measure.choice import lacking
from torchgauge.measure.clock import HostClock
from torchgauge.measure.instruments import Observation, Visit, energy
from torchgauge.measure.reasons import Unknown
from torchgauge.measure.subject import Subject

VISIT = Visit("a/b[cpu]", "cpu", first=True, seconds=0.05)


def observe(
    *, joules: float, idle_watts: float = 50.0, seconds: float = 1e-3, telemetry: FakeTelemetry | None = None
) -> dict[str, Observation]:
    now = FakeNow(tick=50e-9)
    meter = FakeMeter(now, idle_watts=idle_watts)
    instrument = energy.Energy(
        lambda place: meter, HostClock(now=now), now.advance, telemetry or FakeTelemetry(now)
    )
    _, seen = instrument.observe(Subject(meter.call(seconds=seconds, joules=joules)), VISIT)
    assert len({one.metric for one in seen}) == len(seen)
    return {one.metric: one for one in seen}


@pytest.mark.parametrize("joules", [1e-2, 0.5, 30.0])
def test_the_energy_of_a_call_is_what_it_takes_above_idle(joules: float) -> None:
    seen = observe(joules=joules)
    assert list(seen) == ["energy", "power"]
    assert seen["energy"].unit == "J"
    assert seen["energy"].samples == pytest.approx([joules], rel=0.01)
    assert seen["energy"].method == "fake-counter"
    assert seen["power"].unit == "W"
    # calls take all of the window but its wait for the last step
    assert seen["power"].samples == pytest.approx([50.0 + joules / 1e-3], rel=0.05)


def test_the_window_is_long_against_the_steps_of_the_counter() -> None:
    conditions = observe(joules=1.0)["energy"].conditions
    assert conditions["idle_watts"] == pytest.approx(50.0, rel=1e-3)
    assert float(str(conditions["window_seconds"])) >= 3.0
    assert conditions["calls"] == observe(joules=1.0)["energy"].loops
    assert conditions["tries"] == 1


def test_calls_that_are_lost_in_the_idle_power_give_no_energy_and_say_so() -> None:
    seen = observe(joules=1e-3)
    assert list(seen) == ["power"]
    assert seen["power"].warnings == ["energy is left out: the calls add less than 5 % to the idle power"]


def test_a_poor_machine_is_marked_and_not_tried_again() -> None:
    now = FakeNow()
    telemetry = FakeTelemetry(now, crowded=[0])
    look = telemetry.snapshot

    def snapshot(place: str = "cpu") -> Any:
        now.advance(1.0)
        return look(place)

    telemetry.snapshot = snapshot  # type: ignore[method-assign]
    seen = observe(joules=1.0, telemetry=telemetry)
    assert telemetry.looks == ["cpu", "cpu"]
    assert seen["energy"].warnings[0].startswith("poor conditions: crowded")


def test_making_arguments_is_said_to_be_in_the_energy() -> None:
    now = FakeNow(tick=50e-9)
    meter = FakeMeter(now, idle_watts=50.0)
    run = meter.call(seconds=1e-3, joules=1.0)
    instrument = energy.Energy(lambda place: meter, HostClock(now=now), now.advance, FakeTelemetry(now))
    subject = Subject(lambda _: run(), prepare=lambda: (1,))
    _, seen = instrument.observe(subject, VISIT)
    assert "the energy of making its arguments is in it" in seen[0].warnings


def test_devices_without_a_counter_are_named_with_their_reasons() -> None:
    def meters(place: str) -> Any:
        if place != "cuda:0":
            raise Unknown(f"no counter on {place}")
        return object()

    assert energy.lacks(["cpu", "cuda:0", "mps:0"], meters) == {
        "cpu": "no counter on cpu",
        "mps:0": "no counter on mps:0",
    }
    assert lacking("time", ["cpu"]) == {}
