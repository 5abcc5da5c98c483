"""`torchgauge show`, `report` and `export`: files that are no runs, and outputs that can't be written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import synthetic

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
