"""The gap: device time without the profiler's kernels, for cases that both instruments saw."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest
from pandas.testing import assert_frame_equal

import synthetic
from torchgauge.analysis.frame import SUMMARY_COLUMNS, summaries
from torchgauge.analysis.gap import METHOD, gaps
from torchgauge.record import Run


def seen(*lines: tuple[str, str, str, float]) -> Run:
    """A run with one line each: case's name, instrument, metric, seconds."""
    run = synthetic.run(cases=[(synthetic.case("matmul", "x"), 1e-6, {})], failures=[], skips=[])
    pattern = run.measurements[0]
    return dataclasses.replace(
        run,
        measurements=[
            msgspec.structs.replace(
                pattern,
                case=msgspec.structs.replace(pattern.case, id=name, name=name, device="cuda:0"),
                instrument=instrument,
                metric=metric,
                method="torch-profiler" if instrument == "profile" else "device-events",
                samples=[value],
                loops=1,
            )
            for name, instrument, metric, value in lines
        ],
    )


BOTH = [
    ("a", "time", "device_time", 50e-6),
    ("a", "time", "submit_time", 40e-6),
    ("a", "time", "graph_time", 9e-6),
    ("a", "profile", "self_device_time", 8e-6),
    ("a", "profile", "kernels", 3.0),
]


def test_the_gap_is_the_device_time_without_its_kernels_and_stated_as_derived() -> None:
    found = gaps(summaries([seen(*BOTH)]))
    values = dict(zip(found["metric"], found["value"], strict=True))
    assert values == pytest.approx(
        {"device_time": 50e-6, "submit_time": 40e-6, "self_device_time": 8e-6, "gap": 42e-6}
    )
    (row,) = found[found["metric"] == "gap"].to_dict("records")
    assert (row["method"], row["unit"]) == (METHOD, "s")
    assert row["low"] != row["low"]  # no interval is made up
    assert set(found["instrument"]) == {"gap"}
    assert list(found.columns) == list(SUMMARY_COLUMNS)


def test_a_profiler_that_slowed_the_kernels_gives_a_gap_below_zero_and_not_zero() -> None:
    run = seen(("a", "time", "device_time", 5e-6), ("a", "profile", "self_device_time", 6e-6))
    found = gaps(summaries([run]))
    assert found[found["metric"] == "gap"]["value"].tolist() == pytest.approx([-1e-6])


@pytest.mark.parametrize("missing", ["device_time", "self_device_time"])
def test_a_case_that_one_of_them_did_not_see_has_no_gap(missing: str) -> None:
    others = [("b", *line[1:]) for line in BOTH if line[2] != missing]
    found = gaps(summaries([seen(*BOTH, *others)]))
    assert set(found["case"]) == {"a"}
    assert gaps(summaries([seen(*others)])).empty


def test_the_frame_that_it_is_made_from_stays_as_it_is() -> None:
    frame = summaries([seen(*BOTH)])
    before = frame.copy(deep=True)
    gaps(frame)
    assert_frame_equal(frame, before)
