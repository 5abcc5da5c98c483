"""The command's streams and errors: a full disk, a closed pipe, a module that is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import synthetic
from torchgauge.cli import reading


@pytest.mark.parametrize("words", [["show"], ["report", "--format", "markdown"]])
def test_a_full_disk_behind_the_output_is_one_line(project: Path, words: list[str]) -> None:
    path = synthetic.write(synthetic.run(rounds=1), project)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "torchgauge", *words, path],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 2
    assert done.stderr == "torchgauge: error: standard output: No space left on device\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(project: Path, closed: str) -> None:
    path = synthetic.write(synthetic.run(rounds=1), project)
    line = f"{sys.executable} -m torchgauge report {path} --format markdown {closed}"
    assert subprocess.run(["sh", "-c", line], capture_output=True, check=False, timeout=60).returncode == 0


def test_show_to_a_reader_that_has_seen_enough_is_no_error(project: Path) -> None:
    path = synthetic.write(synthetic.run(rounds=1), project)
    nobody, writing = os.pipe()
    os.close(nobody)
    command = [sys.executable, "-m", "torchgauge", "show", path]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_that_knows_no_greek_gets_question_marks_and_all_the_rest(project: Path) -> None:
    path = synthetic.write(synthetic.run(rounds=1), project)
    done = subprocess.run(
        [sys.executable, "-m", "torchgauge", "show", path],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "?s" in done.stdout
    assert "µ" not in done.stdout


def test_what_is_not_installed_is_named_with_its_cure(
    command, refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_options: object) -> int:
        raise ModuleNotFoundError("No module named 'pandas'", name="pandas")

    monkeypatch.setattr(reading, "show", missing)
    refused(command("show", "x"), "pandas is missing", "pip install", "[report]")


def test_a_reader_that_closes_the_pipe_is_no_error() -> None:
    environment = {**os.environ, "COLUMNS": "60"}
    check = "import sys, runpy; sys.argv = ['torchgauge', '--help']; "
    check += "runpy.run_module('torchgauge', run_name='__main__')"
    process = subprocess.Popen(
        [sys.executable, "-c", check], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    process.wait(60)
    assert b"Traceback" not in error
