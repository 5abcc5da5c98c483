from __future__ import annotations

import dataclasses

import msgspec
import pytest

import synthetic
from torchgauge.analysis.frame import summaries
from torchgauge.report.tables import OTHERS, Notes, first_calls, tables, usually


def laid_out(cases, **options):
    run = synthetic.run(cases=cases, failures=options.pop("failures", []), **options)
    notes = Notes()
    return tables(summaries([run]), {run.id: "A"}, notes), notes.sentences()


def one(cases, **options):
    (table,), _ = laid_out(cases, **options)
    return table


def test_sizes_are_rows_and_dtypes_are_columns():
    table = one(
        [
            (synthetic.case("matmul", "square", dtype=dtype, n=n), 1e-5, {})
            for n in (1024, 32)
            for dtype in ("bfloat16", "float64", "float32")
        ]
    )
    assert table.columns == ("float64", "float32", "bfloat16")
    assert table.row_heads == ("n",)
    assert [labels for labels, _ in table.rows] == [("32",), ("1,024",)]
    assert table.constants == "cpu"
    assert table.measured == "time, 5th percentile, host-clock"


def test_forms_are_columns_and_what_is_no_form_is_named():
    cases = [(synthetic.case("g", "b", to=to, n=n), 1e-5, {}) for n in (1, 2) for to in ("int8", "float64")]
    assert one(cases).columns == ("to float64", "to int8")
    cases = [
        (synthetic.case("g", "b", form=form, n=n), 1e-5, {}) for n in (1, 2) for form in ("out", "functional")
    ]
    assert one(cases).columns == ("functional", "out")


def test_one_dimension_alone_is_rows():
    cases = [(synthetic.case("g", "b", dtype=dtype), 1e-5, {}) for dtype in ("float32", "float64")]
    table = one(cases)
    assert table.columns == ("time",)
    assert [labels for labels, _ in table.rows] == [("float64",), ("float32",)]


def test_more_than_six_columns_become_rows():
    dtypes = ("float64", "float32", "float16", "bfloat16", "int8", "int16", "int32")
    table = one([(synthetic.case("g", "b", dtype=d, n=n), 1e-5, {}) for d in dtypes for n in (1, 2)])
    assert table.columns == ("time",)
    assert table.row_heads == ("dtype", "n")
    assert len(table.rows) == 14


def test_a_cell_has_value_interval_and_rate():
    table = one([(synthetic.case("g", "b"), 1e-5, {"flop": 2e6, "bytes": 1e5})])
    cell = table.rows[0][1][0]
    assert cell.value.endswith("µs")
    assert cell.interval.startswith("±")
    assert cell.rate.endswith("GFLOP/s")


def test_bytes_lead_where_there_is_less_than_one_flop_a_byte():
    table = one([(synthetic.case("g", "b"), 1e-5, {"flop": 1e3, "bytes": 8e3})])
    assert table.rows[0][1][0].rate.endswith("MB/s")


def test_one_round_has_no_interval():
    assert one([(synthetic.case("g", "b"), 1e-5, {})], rounds=1).rows[0][1][0].interval == ""


def test_footnotes_that_differ_in_numbers_share_one():
    cases = [
        (
            synthetic.case("g", "b", n=n),
            1e-3,
            {"warnings": [f"the loop is {n} % of this time", "launch-bound"]},
        )
        for n in (7, 12)
    ]
    (table,), notes = laid_out(cases)
    assert notes == ["the loop is 7–12 % of this time", "launch-bound"]
    assert [cells[0].notes for _, cells in table.rows] == [(1, 2), (1, 2)]


def test_a_failed_case_stands_in_the_table_of_those_that_were_measured():
    from torchgauge.record import Failure

    failure = Failure(case=synthetic.case("g", "b", n=2), stage="measure", error="E", message="m")
    table = one([(synthetic.case("g", "b", n=1), 1e-5, {})], failures=[failure])
    assert [cells[0].value for _, cells in table.rows][1] == "failed"


def test_first_calls_and_the_times_beside_the_leading_one_have_tables_of_their_own():
    run = synthetic.run(cases=[(synthetic.case("g", "b", "cuda:0"), 1e-5, {})], failures=[])
    found = tables(summaries([run]), {run.id: "A"}, Notes())
    (table,) = found
    assert (table.columns, table.measured) == (("device time",), "device time, median, device-events")
    assert (table.beside.columns, table.beside.measured) == (("submission time",), OTHERS)
    assert [table.metric for table in first_calls(summaries([run]), {run.id: "A"}, Notes())] == ["first_call"]


def test_the_times_beside_the_leading_one_are_columns_of_one_table_and_none_hides_another():
    cases = [(synthetic.case("g", "b", "cuda:0", n=n, how=how), 1e-5, {}) for n in (1, 2) for how in "xy"]
    run = synthetic.run(cases=cases, failures=[])
    made = [
        msgspec.structs.replace(line, metric=metric, method=method)
        for line in run.measurements
        if line.metric == "device_time"
        for metric, method in (
            ("device_time_cold", "device-events-cache-flushed"), ("graph_time", "cuda-graph-replay"),
        )
        if metric == "graph_time" or line.case.params["how"] == "x"  # y has no cold time
    ]  # fmt: skip
    frame = summaries([dataclasses.replace(run, measurements=[*run.measurements, *made])])
    (leads,) = tables(frame, {run.id: "A"}, Notes())
    others = leads.beside
    assert leads.columns == ("x", "y")
    assert others.columns == ("device time with a cold cache", "time of a graph's replay", "submission time")
    assert len(others.rows) == 4
    assert sum(cell is not None for _, cells in others.rows for cell in cells) == 2 + 4 + 4


def test_several_devices_and_runs_stand_side_by_side():
    cases = [(synthetic.case("g", "b", d, n=n), 1e-5, {}) for d in ("cuda:0", "cpu") for n in (1, 2)]
    runs = [synthetic.run(cases=cases, run_id=name, failures=[]) for name in ("z", "a")]
    found = tables(summaries(runs), {"z": "A", "a": "B"}, Notes())
    assert found[0].columns == ("A cpu", "A cuda:0", "B cpu", "B cuda:0")
    assert found[0].measured == (
        "cpu: time, 5th percentile, host-clock; cuda:0: device time, median, device-events"
    )


def test_two_methods_on_one_device_are_told_apart_in_the_table():
    run = synthetic.run(
        ["cpu", "cuda:0"],
        cases=[(synthetic.case("t", "copy", "cuda:0", None, wait=w), 1e-5, {}) for w in ("no", "yes")],
        failures=[],
    )
    # as of a case that synchronizes by itself
    lines = [
        msgspec.structs.replace(line, metric="time", method="host-clock-synchronized")
        if line.case.params["wait"] == "yes" and line.metric == "device_time"
        else line
        for line in run.measurements
    ]
    frame = summaries([dataclasses.replace(run, measurements=lines)])
    table, *_ = tables(frame, {run.id: "A"}, Notes())
    heads = " ".join((*table.row_heads, *table.columns))
    cells = " ".join(text for labels, _ in table.rows for text in labels)
    assert "method" in heads or "host-clock-synchronized" in heads
    assert "host-clock-synchronized" in heads + cells
    assert "device-events" in heads + cells


def test_groups_stand_in_the_order_of_the_catalogue():
    cases = [(synthetic.case(group, "b"), 1e-5, {}) for group in ("zebra", "matmul", "apple", "creation")]
    found, _ = laid_out(cases)
    assert [table.group for table in found] == ["creation", "matmul", "apple", "zebra"]


def test_what_one_case_id_alone_tells_apart_is_not_lost():
    one_, two = synthetic.case("g", "b"), synthetic.case("g", "b")
    import msgspec

    two = msgspec.structs.replace(two, id="g/b[other]")
    table = one([(one_, 1e-5, {}), (two, 1e-3, {})])
    assert len(table.rows) == 2


@pytest.mark.parametrize("failures", [None, []])
def test_without_measurements_there_is_no_table(failures):
    assert laid_out([], failures=failures) == ([], [])
    assert usually([]) == ""
