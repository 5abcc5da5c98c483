from __future__ import annotations

import dataclasses
import math

import msgspec
import pytest

import synthetic
from torchgauge.analysis import frame
from torchgauge.estimate import BETWEEN_PROCESSES, estimate
from torchgauge.record import Run


def one(at, seconds=1e-5, **options) -> Run:
    return synthetic.run(cases=[(at, seconds, options)], failures=[], skips=[])


def test_a_row_pools_the_rounds_of_one_case_and_metric():
    run = one(synthetic.case("matmul", "square", n=32), rounds=4)
    rows = frame.summaries([run])
    assert list(rows["metric"]) == ["time", "first_call"]
    time = rows.iloc[0]
    assert (time["rounds"], time["processes"], time["samples"]) == (4, 1, 48)
    clusters = [line.samples for line in run.measurements if line.metric == "time"]
    expected = estimate(clusters, 0.05).widened(BETWEEN_PROCESSES)
    assert (time["value"], time["low"], time["high"]) == (expected.value, expected.low, expected.high)
    assert time["min"] == min(min(samples) for samples in clusters)
    assert time["params"] == {"n": 32}


def test_the_columns_and_their_types_are_the_same_for_any_runs():
    empty = frame.summaries([])
    full = frame.summaries([synthetic.run(("cpu", "cuda:0"), rounds=2)])
    assert list(empty.columns) == list(full.columns) == list(frame.SUMMARY_COLUMNS)
    assert empty.dtypes.astype(str).to_dict() == full.dtypes.astype(str).to_dict()
    assert list(frame.samples([]).columns) == list(frame.SAMPLE_COLUMNS)


@pytest.mark.parametrize(
    ("device", "metric", "column"), [("cpu", "time", "p05"), ("cuda:0", "device_time", "median")]
)
def test_the_headline_is_the_low_end_on_a_cpu_and_the_median_elsewhere(device, metric, column):
    rows = frame.summaries([one(synthetic.case("g", "b", device))])
    row = rows[rows["metric"] == metric].iloc[0]
    assert row["value"] == row[column]
    assert row["low"] == row[f"{column}_low"] < row["value"] < row["high"] == row[f"{column}_high"]


def test_bytes_on_a_cpu_lead_with_the_median():
    assert frame.headline_quantile("cpu", "B") == 0.5


def test_several_processes_are_the_clusters():
    run = synthetic.run(cases=[(synthetic.case("g", "b"), 1e-5, {})], rounds=3, processes=2)
    time = frame.summaries([run]).iloc[0]
    pooled = [
        [v for line in run.measurements if line.metric == "time" and line.process == p for v in line.samples]
        for p in (0, 1)
    ]
    assert time["high"] == estimate(pooled, 0.05).high
    assert (time["processes"], time["rounds"]) == (2, 3)


def test_one_round_has_no_interval():
    run = synthetic.run(cases=[(synthetic.case("g", "b"), 1e-5, {})], rounds=1)
    row = frame.summaries([run]).iloc[0]
    assert math.isnan(row["low"])
    assert math.isnan(row["high"])


def test_a_rate_is_work_over_the_headline_and_only_where_there_is_work():
    rows = frame.summaries([one(synthetic.case("g", "b", "cuda:0"), flop=1e6, bytes=0.0)]).set_index("metric")
    assert rows.loc["device_time", "flop_per_second"] == 1e6 / rows.loc["device_time", "value"]
    assert math.isnan(rows.loc["device_time", "bytes_per_second"])
    assert math.isnan(rows.loc["submit_time", "flop_per_second"])
    assert math.isnan(rows.loc["first_call", "flop_per_second"])


def test_methods_are_never_pooled():
    run = one(synthetic.case("g", "b"))
    other = synthetic._line(
        run.measurements[0].case, "time", "other-clock", [1.0], 9, 0, run.measurements[0].work, []
    )
    run.measurements.append(other)
    rows = frame.summaries([run])
    assert sorted(rows[rows["metric"] == "time"]["method"]) == ["host-clock", "other-clock"]


def test_a_case_that_failed_has_a_row_without_a_metric():
    rows = frame.summaries([synthetic.run(cases=[])])
    assert list(rows["case"]) == ["mine/broken[cpu]"]
    assert rows["metric"].isna().all()
    assert rows["value"].isna().all()
    assert list(rows["failed"]) == [True]
    assert rows["warnings"][0] == ["failed in measure: ValueError: no such table: users"]


def test_a_case_that_failed_later_keeps_its_rounds_and_is_marked():
    at = synthetic.case("mine", "broken", "cpu", None)
    rows = frame.summaries([synthetic.run(cases=[(at, 1e-5, {})])])
    assert list(rows["failed"]) == [True, True]
    assert rows["value"].notna().all()


def test_a_run_without_anything_is_an_empty_frame():
    assert frame.summaries([synthetic.run(cases=[], failures=[], skips=[], finished=False)]).empty


def test_samples_have_one_row_a_block():
    run = one(synthetic.case("g", "b"))
    rows = frame.samples([run])
    assert len(rows) == sum(len(line.samples) for line in run.measurements)
    assert list(rows["value"]) == [value for line in run.measurements for value in line.samples]
    assert list(rows["block"][:3]) == [0, 1, 2]


def test_params_spread_over_columns_without_hiding_a_fixed_one():
    cases = [(synthetic.case("g", "a", n=1), 1e-5, {}), (synthetic.case("g", "b", method="x"), 1e-5, {})]
    spread = frame.with_params(frame.summaries([synthetic.run(cases=cases, failures=[])]))
    assert "params" not in spread
    assert list(spread[spread["metric"] == "time"]["n"]) == [1, None]
    assert list(spread[spread["metric"] == "time"]["param_method"]) == [None, "x"]
    assert "host-clock" in set(spread["method"])


def test_warnings_that_differ_in_numbers_alone_are_one():
    sentences = [
        "the loop is 12 % of float32",
        "the loop is 1,300 % of float32",
        "the loop is 1 % of float64",
    ]
    assert frame.distinct(sentences) == [sentences[0], sentences[2]]


def paced(*rounds: list[tuple[float, float]]) -> Run:
    """Make a run of one case: in each round blocks of (seconds a call, pace)."""
    run = one(synthetic.case("g", "b"), rounds=len(rounds))
    lines = [line for line in run.measurements if line.metric == "time"]
    changed = [
        msgspec.structs.replace(
            line, samples=[value for value, _ in blocks], paces=[pace for _, pace in blocks]
        )
        for line, blocks in zip(lines, rounds, strict=True)
    ]
    return dataclasses.replace(run, measurements=changed)


CALM = [(1.0, 16e-6)] * 10
SLOW = [(1.7, 27e-6)] * 10


def test_blocks_that_were_disturbed_do_not_count_and_stay_in_the_samples():
    run = paced(CALM + SLOW, SLOW + CALM, SLOW)
    row = frame.summaries([run]).iloc[0]
    half = math.exp(1.959964 * BETWEEN_PROCESSES)
    assert (row["value"], row["low"], row["high"]) == pytest.approx((1.0, 1 / half, half))
    assert (row["rounds"], row["calm_rounds"]) == (3, 2)
    assert (row["samples"], row["calm_samples"]) == (50, 20)
    assert row["warnings"] == []
    assert len(frame.samples([run])) == 50


def test_one_calm_round_alone_has_no_interval() -> None:
    row = frame.summaries([paced(CALM, SLOW, SLOW)]).iloc[0]
    assert row["value"] == 1.0
    assert math.isnan(row["low"])
    assert row["warnings"] == ["disturbed in all rounds but one: no interval"]


def test_one_calm_round_is_as_sure_as_the_pooled_spread_of_other_cases_says() -> None:
    others = [
        msgspec.structs.replace(line, case=synthetic.case("g", f"other{number}"))
        for number, rounds in enumerate([(1.0, 1.1), (1.0, 0.9)])
        for line in paced(*([(value, 16e-6)] * 10 for value in rounds)).measurements
    ]
    run = paced(CALM, SLOW, SLOW)
    row = frame.summaries([dataclasses.replace(run, measurements=run.measurements + others)]).iloc[0]
    pooled = math.sqrt((math.log(1.1) ** 2 / 2 + math.log(0.9) ** 2 / 2) / 2)
    expected = 1.959964 * math.hypot(pooled, BETWEEN_PROCESSES)
    assert math.log(row["high"]) == pytest.approx(expected)
    assert math.log(row["low"]) == pytest.approx(-expected)
    assert row["warnings"] == [
        "disturbed in all rounds but one: the interval is as wide as other cases have it"
    ]


def test_where_every_block_was_disturbed_all_count_and_a_warning_says_so():
    calm_elsewhere = paced(CALM * 3).measurements
    run = paced(SLOW, SLOW)
    other = [msgspec.structs.replace(line, case=synthetic.case("g", "other")) for line in calm_elsewhere]
    rows = frame.summaries([dataclasses.replace(run, measurements=run.measurements + other)])
    assert rows.iloc[0]["value"] == pytest.approx(1.7)
    assert rows.iloc[0]["low"] == pytest.approx(1.0 / math.exp(1.959964 * BETWEEN_PROCESSES), rel=0.01)
    assert rows.iloc[0]["high"] == pytest.approx(1.7 * math.exp(1.959964 * BETWEEN_PROCESSES))
    assert rows.iloc[0]["warnings"] == ["disturbed: the machine was slower around every block, by 69% or so"]


def test_each_process_has_an_undisturbed_pace_of_its_own():
    run = paced(CALM * 2, [(1.7, 27e-6)] * 20)
    first, second = run.measurements
    second = msgspec.structs.replace(second, process=1, round=0)
    row = frame.summaries([dataclasses.replace(run, measurements=[first, second])]).iloc[0]
    assert row["calm_samples"] == row["samples"] == 40
