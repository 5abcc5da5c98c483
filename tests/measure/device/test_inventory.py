"""Devices: which are meant, and what they tell of themselves."""

from __future__ import annotations

import pytest

from torchgauge.errors import TorchgaugeError
from torchgauge.measure import device

CPU = ["cpu"]
ONE = ["cpu", "cuda:0"]
TWO = ["cpu", "cuda:0", "cuda:1"]


@pytest.mark.parametrize(
    ("spec", "present", "chosen"),
    [
        ("auto", CPU, ["cpu"]),
        ("auto", TWO, ["cuda:0"]),
        ("auto", ["cpu", "mps:0"], ["mps:0"]),
        ("all", CPU, ["cpu"]),
        ("all", TWO, TWO),
        ("cpu", TWO, ["cpu"]),
        ("cuda", TWO, ["cuda:0"]),
        ("cuda:1", TWO, ["cuda:1"]),
        ("cpu,cuda:1", TWO, ["cpu", "cuda:1"]),
        (" cuda:1 , cpu ", TWO, ["cuda:1", "cpu"]),
        ("cuda,cuda:0,auto,all", ONE, ["cuda:0", "cpu"]),
        ("xpu", ["cpu", "xpu:0"], ["xpu:0"]),
    ],
)
def test_a_device_option_names_devices_that_are_there(spec, present, chosen) -> None:
    assert device.resolve(spec, present) == chosen


@pytest.mark.parametrize("spec", ["gpu", "", "cpu,", "cuda:", "cuda:x", "CUDA", "cuda:0:1", "al"])
def test_an_unknown_device_is_refused_in_one_line_that_names_those_there(spec: str) -> None:
    with pytest.raises(TorchgaugeError, match=r"unknown device .*cpu, cuda:0") as raised:
        device.resolve(spec, ONE)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("spec", ["cuda:7", "xpu", "mps", "cpu,cuda:2", "cpu:1"])
def test_an_absent_device_is_refused_in_one_line_that_names_those_there(spec: str) -> None:
    with pytest.raises(TorchgaugeError, match=r"is not there: .*cpu, cuda:0, cuda:1") as raised:
        device.resolve(spec, TWO)
    assert "\n" not in str(raised.value)


def test_the_cpu_is_always_there_and_comes_first() -> None:
    assert device.available()[0] == "cpu"


@pytest.mark.parametrize("place", ["cpu", "mps:0"])
def test_a_device_that_tells_nothing_of_itself_gives_its_kind_and_no_zeros(place: str) -> None:
    facts = device.describe(place)
    assert facts.name == place.partition(":")[0]
    assert facts.memory_bytes is None
    assert facts.uuid is None
