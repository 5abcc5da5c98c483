"""`torchgauge show`, `report` and `export`: files that are no runs, and outputs that can't be written."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
from pathlib import Path

import duckdb
import msgspec
import pandas as pd
import pytest

import synthetic
from torchgauge.cli.inputs import against

RUN = '{"kind":"run","schema":1,"id":"x","started":"2026-01-01T00:00:00+00:00"'


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, ["no such run file"]),
        (b"", ["is empty"]),
        (b"\x7fELF\x00\x01\n\xff\xfe\n", ["line 1", "not a run file"]),
        (b"hello\nworld\n", ["not a run file"]),
        (b'{"kind":"run","schema":99}\n', ["schema 99", "upgrade torchgauge"]),
        (RUN.encode()[:30], ["cut off in its first line"]),
        (RUN.encode() + b"}\n", ["line 1"]),
        (RUN.encode() + b',"environment":3,"config":{}}\n', ["line 1", "environment"]),
    ],
)
@pytest.mark.parametrize(
    "words", [["show"], ["report", "-o", "page.html"], ["export", "--format", "csv"], ["compare"]]
)
def test_a_file_that_is_no_run_is_one_line(
    command, refused, project: Path, content: bytes | None, told: list[str], words: list[str]
) -> None:
    if content is not None:
        (project / "run.jsonl").write_bytes(content)
    refused(command(*words, "run.jsonl"), "run.jsonl", *told)
    assert not (project / "page.html").exists()
    assert not (project / "run.csv").exists()


@pytest.mark.parametrize("target", [".", "/", "bench"])
@pytest.mark.parametrize(
    "words", [["report"], ["report", "--format", "markdown"], ["export", "--format", "csv"]]
)
def test_a_folder_as_the_output_is_one_line(
    command, refused, project: Path, words: list[str], target: str
) -> None:
    path = synthetic.write(synthetic.run(rounds=1), project)
    refused(command(*words, str(path), "-o", target), "can't be written", "-o")


def test_a_report_reads_no_run_before_it_knows_that_it_can_write(command, refused, project: Path) -> None:
    (project / "run.jsonl").write_bytes(b"nothing that could be read")
    refused(command("report", "run.jsonl", "-o", "missing/page.html"), "there is no folder missing", "-o")


@pytest.mark.parametrize(
    "words",
    [
        ["report", "h.json", "-o", "h.json"],
        ["report", "h.json", "--format", "markdown", "-o", "./h.json"],
        ["export", "h.json", "--format", "csv", "-o", "link"],
        ["export", "h.json", "--format", "pytest-benchmark"],
    ],
)
def test_a_run_is_never_written_over_by_what_is_made_of_it(
    command, refused, project: Path, words: list[str]
) -> None:
    path = synthetic.write(synthetic.run(rounds=1), project).rename(project / "h.json")
    (project / "link").symlink_to("h.json")
    before = path.read_bytes()
    refused(command(*words), "is the run itself", "-o")
    assert path.read_bytes() == before


def test_a_pipe_as_input_does_not_hang(command, refused, project: Path) -> None:
    os.mkfifo(project / "pipe")
    refused(command("show", "pipe"), "pipe: is no regular file")


def test_the_same_run_twice_is_refused(command, refused, project: Path) -> None:
    path = synthetic.write(synthetic.run(rounds=1), project)
    refused(command("show", str(path), str(path)), "name it once")


def test_a_file_whose_name_begins_with_a_dash_is_read_after_two_dashes(command, project: Path) -> None:
    synthetic.write(synthetic.run(rounds=1), project).rename(project / "-run.jsonl")
    assert command("show", "--", "-run.jsonl").code == 0


def test_the_history_of_a_folder_leaves_out_what_is_no_run_and_says_so(command, project: Path) -> None:
    folder = project / "kept"
    (folder / "deeper").mkdir(parents=True)
    synthetic.write(synthetic.run(rounds=1), folder / "deeper")
    (folder / "broken.jsonl").write_text("hello\n")
    (folder / "of.ab.jsonl").write_text("not looked at")
    done = command("history", "kept")
    assert done.code == 0
    assert "of 1 run under 1 fingerprint" in done.out
    assert done.error.count("left out") == 1
    assert "broken.jsonl" in done.error


def test_a_folder_stands_for_its_runs_and_what_is_none_is_left_out(command, project: Path) -> None:
    folder = project / "kept"
    (folder / "copies").mkdir(parents=True)
    for number in range(2):
        synthetic.write(synthetic.run(rounds=1, run_id=f"r{number}", host=f"box{number}"), folder)
    (folder / "copies" / "again.jsonl").write_bytes(next(folder.glob("*.jsonl")).read_bytes())
    (folder / "broken.jsonl").write_text("hello\n")
    for words in (["show"], ["compare"], ["report", "--format", "markdown"]):
        done = command(*words, "kept")
        assert done.code == 0, done.error
        assert ("box0" in done.out, "box1" in done.out) == (True, True)
        (line,) = done.error.splitlines()
        assert line.startswith("torchgauge: warning: left out: kept/broken.jsonl, line 1")


def test_a_folder_without_a_whole_run_is_one_line(command, refused, project: Path) -> None:
    (project / "kept").mkdir()
    refused(command("show", "kept"), "kept: holds no run file")
    (project / "kept" / "broken.jsonl").write_text("hello\n")
    done = command("show", "kept")
    assert (done.code, done.out) == (2, "")
    assert done.error.splitlines()[-1] == "torchgauge: error: kept: no run in it could be read"


def test_more_runs_than_a_table_has_columns_for_are_refused_before_any_is_read(
    command, refused, project: Path
) -> None:
    (project / "kept").mkdir()
    for number in range(101):
        (project / "kept" / f"{number}.jsonl").touch()
    refused(command("report", "kept"), "101 runs are more than", "torchgauge history DIR")


@pytest.mark.parametrize(("name", "told"), [("nowhere", "is no folder"), ("bench", "holds no run file")])
def test_a_history_of_nothing_is_one_line_with_the_cure(command, refused, name: str, told: str) -> None:
    refused(command("history", name), name, told)


def test_a_b_files_are_shown_as_comparisons_and_left_out_among_runs(command, project: Path) -> None:
    from compared import made
    from torchgauge.record import RunWriter

    compared = made()
    path = project / "20261120T100000Z_box_5eed00ab.ab.jsonl"
    writer = RunWriter(path, "ab")
    for line in (compared.header, *compared.pairs, *compared.comparisons, compared.end):
        writer.append(line)
    writer.close()
    alone = command("show", path.name)
    assert alone.code == 0
    assert "REGRESSED: of 7 cases" in alone.out
    run = synthetic.write(synthetic.run(rounds=1), project)
    both = command("show", run.name, path.name)
    assert both.code == 0
    assert "REGRESSED" not in both.out
    assert "1 A/B file left out" in both.error


def test_summaries_of_several_runs_are_written_as_csv_and_json(command, project: Path) -> None:
    files = [str(synthetic.write(synthetic.run(rounds=2, run_id=name), project)) for name in "ab"]
    rows = list(csv.DictReader(io.StringIO(command("report", *files, "--format", "csv").out)))
    assert {row["run"] for row in rows} == {"a", "b"}
    made = json.loads(command("report", *files, "--format", "json").out)
    assert len(made["summaries"]) == len(rows)
    assert made["summaries"][0]["params"] == {"n": 6}
    command("report", *files, "--format", "json", "-o", "out.json")
    assert json.loads((project / "out.json").read_text()) == made


def test_a_report_lays_runs_out_along_keys_where_it_is_asked_to(command, project: Path) -> None:
    file = str(synthetic.write(synthetic.run(rounds=2), project))
    keys = ("--rows", "name", "--columns", "dtype", "--where", "group=matmul", "--where", "n=512")
    done = command("report", file, "--format", "markdown", *keys)
    assert "## Side by side" in done.out
    assert "| square |" in done.out
    assert "Side by side" not in command("report", file, "--format", "markdown").out
    assert command("report", file, *keys).code == 0
    assert 'id="side-by-side"' in (project / "report.html").read_text()


def test_a_run_is_put_beside_those_of_a_folder(command, refused, project: Path) -> None:
    mine = str(synthetic.write(synthetic.run(rounds=2, run_id="aa"), project))
    (project / "results" / "reference").mkdir(parents=True)
    synthetic.write(synthetic.run(rounds=2, run_id="bb", host="yonder"), project / "results" / "reference")
    for what in ("reference", "results/reference"):
        done = command("report", mine, "--against", what, "--format", "markdown")
        assert "yonder" in done.out
    refused(command("report", mine, "--against", "nowhere"), "--against nowhere: no run file there")


def test_a_checkout_has_a_reference_of_its_own(command, project: Path) -> None:
    mine = str(synthetic.write(synthetic.run(rounds=2, run_id="aa"), project))
    done = command("compare", mine, *against("reference"), "--where", "group=matmul")
    assert done.code == 0


@pytest.fixture
def exported(command, project: Path) -> Path:
    """Export a folder of three runs of two machines, and a file that is none."""
    folder = project / "many"
    folder.mkdir()
    for name, key, started in (
        ("a", "k1", "2026-03-01"),
        ("b", "k1", "2026-04-01"),
        ("c", "../k/2", "20260501"),
    ):
        run = synthetic.run(rounds=2, run_id=name)
        environment = msgspec.structs.replace(run.header.environment, machine_key=key)
        header = msgspec.structs.replace(
            run.header, environment=environment, started=f"{started}T10:00:00.000+00:00"
        )
        synthetic.write(dataclasses.replace(run, header=header), folder)
    (folder / "broken.jsonl").write_text("nothing\n")
    done = command("export", "many", "--format", "parquet", "-o", "out")
    assert done.code == 0
    assert done.out.strip() == "out"
    assert "left out" in done.error
    return project / "out"


def test_a_folder_is_exported_in_partitions_that_pandas_reads_straight(exported: Path, project: Path) -> None:
    frame = pd.read_parquet(exported)
    assert set(frame["run"]) == {"a", "b", "c"}
    assert set(frame["machine_key"].astype(str)) == {"k1", "k2"}
    assert set(frame["month"].astype(str)) == {"2026-03", "2026-04", "2026-05"}
    some = pd.read_parquet(exported, filters=[("month", "==", "2026-04")], columns=["run", "value"])
    assert set(some["run"]) == {"b"}
    assert sorted(path.relative_to(project).parts[0] for path in project.rglob("*.parquet")) == ["out"] * 3


def test_a_folder_is_exported_in_partitions_that_duckdb_reads_straight(exported: Path) -> None:
    found = duckdb.sql(
        f"select machine_key, count(distinct run), count(*) from read_parquet('{exported}/**/*.parquet', "
        "hive_partitioning = true) where metric = 'time' group by 1 order by 1"
    ).fetchall()
    assert [row[:2] for row in found] == [("k1", 2), ("k2", 1)]
    assert found[0][2] == 2 * found[1][2]


def test_files_of_one_name_are_exported_apart_and_copies_of_one_run_once(command, project: Path) -> None:
    for folder, run_id in (("one", "aa"), ("two", "bb"), ("three", "bb")):
        (project / "many" / folder).mkdir(parents=True)
        path = synthetic.write(synthetic.run(rounds=2, run_id=run_id), project / "many" / folder)
        path.rename(path.with_name("run.jsonl"))
    whole = project / "many" / "two" / "run.jsonl"
    (project / "many" / "three" / "run.jsonl").write_text(
        "".join(whole.read_text().splitlines(keepends=True)[:3])
    )
    (project / "many" / "four").mkdir()
    (project / "many" / "four" / "run.jsonl").write_text(2 * whole.read_text())
    done = command("export", "many", "--format", "parquet", "-o", "out")
    assert done.code == 0
    assert "left out: many/four/run.jsonl, line" in done.error
    assert "many/three/run.jsonl: is of the same run as many/two/run.jsonl" in done.error
    frame = pd.read_parquet(project / "out")
    assert set(frame["run"]) == {"aa", "bb"}
    assert not frame.duplicated(["run", "case", "instrument", "metric", "round", "process", "block"]).any()


def test_reference_runs_in_a_folder_are_no_runs_of_it_but_may_stand_beside(
    command, refused, project: Path
) -> None:
    (project / "mine" / "reference").mkdir(parents=True)
    synthetic.write(synthetic.run(rounds=2, run_id="5eed0001"), project / "mine")
    synthetic.write(synthetic.run(rounds=2, run_id="5eed0002"), project / "mine" / "reference")

    def shown(*words: str) -> set[str]:
        done = command("report", "--format", "json", *words)
        assert done.code == 0, done.error
        return {row["run"] for row in json.loads(done.out)["summaries"]}

    assert shown("mine") == {"5eed0001"}
    assert "left out 1 in a folder reference" in command("report", "mine", "--format", "json").error
    (project / "empty" / "reference").mkdir(parents=True)
    synthetic.write(synthetic.run(rounds=2), project / "empty" / "reference")
    refused(command("history", "empty"), "but 1 in a folder reference: name that")
    assert shown("mine/reference") == {"5eed0002"}
    assert shown("mine", "--against", "mine/reference") == {"5eed0001", "5eed0002"}
    assert shown("mine", "--against", "mine") == {"5eed0001"}


def test_keys_lay_out_csv_and_json_too_and_a_baseline_alone_is_not_passed_over(
    command, refused, project: Path
) -> None:
    synthetic.write(synthetic.run(rounds=2), project)
    done = command("report", ".", "--format", "csv", "--where", "group=matmul", "--columns", "dtype")
    assert done.code == 0
    names = {row["case"].partition("/")[0] for row in csv.DictReader(io.StringIO(done.out))}
    assert names == {"matmul"}
    refused(command("report", ".", "--baseline", "Z", "-o", "page.html"), "no run Z")


def test_a_folder_is_exported_as_parquet_alone(command, refused, project: Path) -> None:
    refused(command("export", ".", "--format", "csv"), "as Parquet: --format parquet")


def test_a_history_is_json_too_and_k_chooses(command, project: Path) -> None:
    (project / "kept").mkdir()
    for number in range(12):
        slower = 2 if number >= 6 else 1
        cases = [
            (synthetic.case("g", "steps", n=1), 1e-5 * slower, {}),
            (synthetic.case("g", "calm", n=1), 1e-5, {}),
        ]
        run = synthetic.run(cases=cases, run_id=f"{number:08x}", rounds=3, seed=number, failures=[], skips=[])
        started = f"2026-03-{number + 1:02d}T10:00:00.000+00:00"
        header = msgspec.structs.replace(run.header, started=started)
        synthetic.write(dataclasses.replace(run, header=header), project / "kept")
    made = json.loads(command("history", "kept", "--format", "json").out)
    assert (made["schema"], made["series"], made["too_short"]) == (1, 2, 0)
    assert made["false_steps_at_most"] == 0.01
    (step,) = made["steps"]
    assert (step["case"], step["run"], step["unit"]) == ("g/steps[cpu,float32,n=1]", f"{6:08x}", "s")
    assert step["ratio"] == step["after"] / step["before"] == pytest.approx(2, rel=0.05)
    calm = json.loads(command("history", "kept", "-k", "calm", "--format", "json").out)
    assert (calm["series"], calm["steps"]) == (1, [])
