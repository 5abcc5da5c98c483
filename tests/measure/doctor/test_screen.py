"""The text of a fixed examination, sign by sign, and its JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

import synthetic
from torchgauge.measure.doctor import as_json, render
from torchgauge.measure.doctor.examination import SCHEMA, Examination, verdict
from torchgauge.measure.doctor.findings import Finding, good, note, poor, unknown
from torchgauge.measure.doctor.probe import Precision
from torchgauge.measure.doctor.reach import Reach

GOLDEN = Path(__file__).parents[2] / "golden/doctor.txt"
CLEAN = [
    good("precision", "a comparison in turns tells 1.4 %"),
    good("load", "0.10 on 2 cores"),
    good("clock", "tsc, steps of 30.0 ns"),
]
FINDINGS = [
    *CLEAN,
    note("governor", "powersave: the clock follows the load", "sudo cpupower frequency-set -g performance"),
    note("cuda:0 mig", "on: clocks, power and what neighbours do are the whole card's"),
    poor("throttling", "the CPU quota was used up 9 times and stopped it for 50 % of the time", "raise it"),
    unknown("turbo", "the kernel does not tell of it"),
    unknown("CPU energy", "the kernel does not tell of it"),
    unknown("cuda:0 energy", "too old"),
]


def reach(name: str, device: str, dtype: str | None, unit: str, value: float, **other: Any) -> Reach:
    facts: dict[str, Any] = {
        "params": {},
        "low": 0.9 * value,
        "high": 1.1 * value,
        "reached": 1.1 * value,
        "peak": None,
        "peak_source": "a cost or a link: no peak is stated for it",
        "warnings": [],
    }
    return Reach(name=name, device=device, dtype=dtype, unit=unit, value=value, **(facts | other))


CEILINGS = [
    reach(
        "copy", "cuda:0", None, "B/s", 3.1e12, params={"size": 2**28}, peak=4.8e12, peak_source="published"
    ),
    reach("to_device", "cuda:0", None, "B/s", 5.5e10, params={"size": 2**26, "memory": "pinned"}),
    reach("matmul", "cuda:0", "bfloat16", "FLOP/s", 7.9e14, params={"n": 8192}, peak=9.89e14),
    reach("matmul", "cuda:0", "float64", "FLOP/s", 6e13, params={"n": 8192}, peak_source="none is published"),
    reach("operator", "cuda:0", None, "s", 9e-7, low=None, high=None, warnings=["crowded 80 % of the time"]),
    reach("launch", "cuda:0", None, "s", 2e-6, warnings=["crowded 91 % of the time"]),
]


def examination(findings: list[Finding] = FINDINGS, **other: Any) -> Examination:
    facts: dict[str, Any] = {
        "schema": SCHEMA,
        "torchgauge": "0.1.0",
        "taken": "2026-03-01T10:00:00+00:00",
        "verdict": verdict(findings),
        "devices": ["cuda:0"],
        "findings": findings,
        "paired_difference": 0.0137,
        "moment_spread": 0.152,
        "precision": [
            Precision(workload="python", paired_difference=0.008, moment_spread=0.152, rounds=64, moments=16),
            Precision(workload="matmul", paired_difference=0.0137, moment_spread=0.04, rounds=64, moments=16),
        ],
        "ceilings": CEILINGS,
        "environment": synthetic.header(["cpu", "cuda:0"]).environment,
    }
    return Examination(**(facts | other))


def test_the_screen_is_as_it_was() -> None:
    assert render(examination(), 80, colour=False) == GOLDEN.read_text("utf-8")


def test_a_quiet_machine_is_fit_to_judge() -> None:
    text = render(examination(CLEAN), 80, colour=False)
    assert text.endswith("\nFit to judge, nothing to mend.\n")
    assert "poor" not in text


@pytest.mark.parametrize("width", [1, 40, 80, 300])
def test_no_line_is_wider_than_the_terminal_or_than_100(width: int) -> None:
    lines = render(examination(), width, colour=False).splitlines()
    assert max(map(len, lines)) <= min(100, max(40, width))


def test_a_usual_screen_fits_80_columns_and_40_rows() -> None:
    assert len(render(examination(), 80, colour=False).splitlines()) <= 40


def test_colours_are_added_and_the_words_stay() -> None:
    coloured = render(examination(), 80, colour=True)
    assert "\x1b[" in coloured
    bare = [line.rstrip() for line in re.sub(r"\x1b\[[\d;]*m", "", coloured).splitlines()]
    assert bare == render(examination(), 80, colour=False).splitlines()


def test_signs_that_a_terminal_would_obey_are_not_printed() -> None:
    text = render(examination([note("other work", "1.00 cores (\x1b[2Jx)", "kill \x07")]), 80, colour=False)
    assert "\x1b" not in text
    assert "\x07" not in text


def test_without_figures_it_says_so_and_shows_no_zero() -> None:
    text = render(
        examination(paired_difference=None, moment_spread=None, precision=[], ceilings=[]), 80, colour=False
    )
    assert "not known: too few rounds" in text
    assert "0 %" not in text.replace("50 %", "")


def test_the_json_is_read_back_whole() -> None:
    found = examination()
    assert msgspec.json.decode(as_json(found), type=Examination) == found


def test_the_keys_of_the_json_stay() -> None:
    loaded = json.loads(as_json(examination()))
    assert list(loaded) == [
        "schema", "torchgauge", "taken", "verdict", "devices", "findings", "paired_difference",
        "moment_spread", "precision", "ceilings", "environment",
    ]  # fmt: skip
    assert (loaded["schema"], loaded["verdict"]) == (1, "poor")
    assert list(loaded["findings"][0]) == ["level", "what", "value", "cure"]
    assert list(loaded["precision"][0]) == [
        "workload", "paired_difference", "moment_spread", "rounds", "moments",
    ]  # fmt: skip
    assert list(loaded["ceilings"][0]) == [
        "name", "device", "dtype", "params", "unit", "value", "low", "high", "reached", "peak",
        "peak_source", "warnings",
    ]  # fmt: skip
