from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys

import pandas as pd
import pytest

import synthetic
from torchgauge.analysis import export
from torchgauge.analysis.frame import summaries
from torchgauge.errors import TorchgaugeError
from torchgauge.record import Failure


@pytest.fixture(scope="module")
def run():
    cases = [entry for entry in synthetic.grid() if entry[0].group in ("matmul", "mine", "creation")]
    return synthetic.run(cases=cases, rounds=3)


def test_csv_holds_the_summaries(run, tmp_path):
    export.export(run, "csv", tmp_path / "run.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "run.csv").read_text("utf-8"))))
    expected = summaries([run])
    assert len(rows) == len(expected)
    assert list(rows[0]) == list(expected.columns)
    assert [row["value"] for row in rows[:5]] == [repr(value) for value in expected["value"][:5]]
    assert json.loads(rows[0]["params"]) == {"n": 6}
    assert rows[-1]["failed"] == "True"


@pytest.mark.parametrize("text", ["=cmd()", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_csv_has_no_cell_that_a_spreadsheet_would_run(text):
    at = synthetic.case(text, text, "cpu", text)
    failure = Failure(case=synthetic.case(text, "f"), stage="=x", error="=x", message="=x")
    hostile = synthetic.run(
        cases=[(at, 1e-5, {"warnings": [text]})], failures=[failure], host=text, run_id=text
    )
    for row in csv.reader(io.StringIO(export.csv(hostile).decode(), newline="")):
        for cell in row:
            assert (
                cell[:1] not in ("=", "+", "-", "@", "\t", "\r")
                or cell.lstrip("-").replace(".", "").isdigit()
            )


def test_parquet_holds_samples_with_their_summaries(run, tmp_path):
    export.export(run, "parquet", tmp_path / "run.parquet")
    frame = pd.read_parquet(tmp_path / "run.parquet")
    measured = frame[frame["value"].notna()]
    assert len(measured) == sum(len(line.samples) for line in run.measurements)
    first = run.measurements[0]
    same = measured[
        (measured["case"] == first.case.id) & (measured["metric"] == "time") & (measured["round"] == 0)
    ]
    assert list(same["value"]) == first.samples
    assert set(frame[frame["value"].isna()]["case"]) == {"mine/broken[cpu]"}
    kept = frame.drop_duplicates(export.KEY)["summary_value"].dropna()
    assert sorted(kept) == sorted(summaries([run])["value"].dropna())


def test_parquet_carries_the_header_of_the_run(run, tmp_path):
    from pyarrow import parquet

    export.export(run, "parquet", tmp_path / "run.parquet")
    metadata = parquet.read_schema(tmp_path / "run.parquet").metadata
    assert json.loads(metadata[b"torchgauge"])["id"] == run.id


def test_pytest_benchmark_gets_our_samples_to_the_last_bit(run):
    document = json.loads(export.pytest_benchmark(run))
    by_case = {entry["fullname"]: entry for entry in document["benchmarks"]}
    for line in run.measurements:
        if line.metric == "time":
            assert set(line.samples) <= set(by_case[line.case.id]["stats"]["data"])
    entry = by_case["matmul/square[cpu,float32,n=32]"]
    assert entry["group"] == "matmul"
    assert entry["name"] == "bench_square[cpu,float32,n=32]"
    assert entry["params"] == {"device": "cpu", "dtype": "float32", "n": 32}
    assert entry["stats"]["rounds"] == 36


def test_pytest_benchmark_gets_the_device_time_of_an_accelerator():
    at = synthetic.case("g", "b", "cuda:0")
    document = json.loads(export.pytest_benchmark(synthetic.run(cases=[(at, 1e-5, {})])))
    assert [entry["extra_info"]["metric"] for entry in document["benchmarks"]] == ["device_time"]


def test_pytest_benchmark_compares_what_we_export(run, tmp_path):
    files = [tmp_path / "0001_base.json", tmp_path / "0002_head.json"]
    export.export(run, "pytest-benchmark", files[0])
    export.export(synthetic.run(cases=[], failures=[]), "pytest-benchmark", tmp_path / "none.json")
    export.export(synthetic.run(cases=synthetic.grid(), speed=2.0, rounds=2), "pytest-benchmark", files[1])
    tool = [sys.executable, "-m", "pytest_benchmark", "--storage", str(tmp_path / "store")]
    done = subprocess.run(
        [*tool, "compare", *map(str, files), "--group-by", "fullname", "--columns=min,median,ops"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "200"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in ("0001_base", "0002_head"):
        assert re.search(rf"bench_square\[cpu,float32,n=1024\] \(\S*{name}\)", done.stdout)
    assert "Failed to load" not in done.stdout + done.stderr


@pytest.mark.parametrize("format", ["csv", "parquet", "pytest-benchmark"])
@pytest.mark.parametrize("failures", [None, []])
def test_a_run_without_measurements_exports(format, failures, tmp_path):
    export.export(synthetic.run(cases=[], failures=failures, finished=False), format, tmp_path / "out")
    assert (tmp_path / "out").stat().st_size > 0


def test_a_file_that_is_there_is_replaced_whole_and_nothing_else_is_left(run, tmp_path):
    (tmp_path / "run.csv").write_text("old")
    export.export(run, "csv", tmp_path / "run.csv")
    assert (tmp_path / "run.csv").read_text("utf-8").startswith("run,")
    assert [path.name for path in tmp_path.iterdir()] == ["run.csv"]


@pytest.mark.parametrize("out", ["missing/run.csv", "."])
def test_a_place_that_cannot_be_written_is_one_line(run, tmp_path, out):
    with pytest.raises(TorchgaugeError, match=r"can't be written: .*; choose another file with -o") as raised:
        export.export(run, "csv", tmp_path / out)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format_names_those_that_there_are(run, tmp_path):
    with pytest.raises(TorchgaugeError, match="choose from csv, parquet, pytest-benchmark"):
        export.export(run, "xls", tmp_path / "run.xls")
