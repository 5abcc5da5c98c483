from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from compared import SIDE, header, made, unchanged
from torchgauge.analysis.gate import Design, Wanted
from torchgauge.analysis.gate.noise import machine_noise
from torchgauge.errors import TorchgaugeError
from torchgauge.record.ab import Verdict
from torchgauge.report.gate import noise as words


def test_each_case_has_the_spread_of_its_pairs_and_its_floor() -> None:
    found = machine_noise([unchanged(seed) for seed in range(5)], Design())
    a, b = found.cases
    assert (a.case, a.pairs, b.pairs) == ("a", 100, 100)
    assert a.spread == pytest.approx(0.01, rel=0.25)
    assert b.spread == pytest.approx(0.02, rel=0.25)
    assert b.floor == Wanted(Design(), 300, 2).floor(found.log_ratios["b"], found.case_seconds) > a.floor


def test_the_canary_is_no_case_of_the_machine() -> None:
    run = unchanged(1)
    (a, _) = run.comparisons
    found = machine_noise([replace(run, comparisons=[a])], Design())
    assert [one.case for one in found.cases] == ["a"]


def test_no_alarm_in_few_runs_bounds_little_and_the_bound_is_exact() -> None:
    found = machine_noise([unchanged(seed) for seed in range(10)], Design())
    assert (found.runs, found.alarms, found.named) == (10, 0, ())
    assert found.alarms_at_most == pytest.approx(1 - 0.025 ** (1 / 10))


def test_a_run_alarms_once_however_many_cases_it_names() -> None:
    runs = [unchanged(1), unchanged(2, verdict=Verdict.REGRESSED)]
    found = machine_noise(runs, Design())
    assert found.alarms == 1
    assert found.named == (("a", Verdict.REGRESSED), ("b", Verdict.REGRESSED))
    assert "alarm: REGRESSED a" in words.text(found)


def test_an_invalid_run_is_no_alarm_and_is_told() -> None:
    run = unchanged(1, verdict=Verdict.REGRESSED)
    assert run.end is not None
    invalid = replace(run, end=msgspec.structs.replace(run.end, verdict=Verdict.INVALID))
    found = machine_noise([unchanged(2), invalid], Design())
    assert (found.alarms, found.invalid) == (0, 1)
    assert found.log_ratios == machine_noise([unchanged(2)], Design()).log_ratios
    assert found.p_values == machine_noise([unchanged(2)], Design()).p_values
    assert machine_noise([invalid], Design()).cases == ()
    assert "1 run INVALID" in words.text(found)


def test_p_values_of_unchanged_code_are_uniform_and_those_of_a_bias_are_not() -> None:
    assert machine_noise([unchanged(seed) for seed in range(20)], Design()).p_uniform > 0.05
    biased = machine_noise([unchanged(seed, bias=0.01) for seed in range(20)], Design())
    assert biased.p_uniform < 1e-6
    assert "too many small ones" in words.text(biased)


def test_what_is_no_a_a_run_is_refused() -> None:
    with pytest.raises(TorchgaugeError, match="is no A/A run: base is git:main, head here"):
        machine_noise([made()], Design())
    with pytest.raises(TorchgaugeError, match="was interrupted"):
        machine_noise([replace(unchanged(1), end=None)], Design())
    with pytest.raises(TorchgaugeError, match="no A/A run; measure some"):
        machine_noise([], Design())


def test_runs_of_two_machines_are_not_joined() -> None:
    environment = SIDE.environment
    assert environment is not None
    other = msgspec.structs.replace(
        SIDE, environment=msgspec.structs.replace(environment, machine_key="f" * 16)
    )
    with pytest.raises(TorchgaugeError, match="several machines"):
        machine_noise([unchanged(1), replace(unchanged(2), header=header(base=other, head=other))], Design())


def test_runs_in_turns_and_runs_one_after_the_other_are_not_joined() -> None:
    run = unchanged(2)
    config = msgspec.structs.replace(run.header.config, isolation="sequential")
    other = replace(run, header=msgspec.structs.replace(run.header, config=config))
    with pytest.raises(TorchgaugeError, match="some of these A/A runs are paired and others sequential"):
        machine_noise([unchanged(1), other], Design())
    assert machine_noise([other], Design()).isolation == "sequential"
