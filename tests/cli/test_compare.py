"""`torchgauge compare`: words that are wrong, and where the right ones lead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import synthetic


@pytest.fixture
def files(project: Path) -> list[str]:
    """Write two runs; give their names."""
    runs = [synthetic.run(rounds=2, run_id=name, speed=speed) for name, speed in (("a", 1.0), ("b", 2.0))]
    return [str(synthetic.write(run, project)) for run in runs]


def test_runs_stand_side_by_side_without_any_option(command, files) -> None:
    done = command("compare", *files)
    assert done.code == 0
    assert "0.50 ×" in done.out
    assert "the machine's drift" in " ".join(done.out.split())
    assert done.error == ""


def test_keys_conditions_and_the_baseline_are_passed_on(command, files) -> None:
    done = command(
        *("compare", files[0], "--rows", "name,n", "--columns", "dtype", "--where", "group=matmul"),
        *("--where", "n=32,128", "--where", "n=512", "--baseline", "float32", "--format", "json"),
    )
    made = json.loads(done.out)
    assert (made["rows"], made["columns"], made["baseline"]) == (["name", "n"], ["dtype"], ["float32"])
    assert sorted({tuple(cell["row"]) for cell in made["cells"]}) == [("square", n) for n in (32, 128, 512)]


def test_a_run_is_a_baseline_by_its_letter(command, files) -> None:
    done = command("compare", *files, "--baseline", "B", "--format", "json")
    assert json.loads(done.out)["baseline"] == ["b"]


@pytest.mark.parametrize("form", ["markdown", "csv"])
def test_each_form_goes_to_stdout(command, files, form: str) -> None:
    done = command("compare", *files, "--format", form)
    assert done.code == 0
    assert "matmul/square" in done.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--rows", "color"], "no key 'color'"),
        (["--rows", "case,,dtype"], "name keys such as case or dtype"),
        (["--where", "dtype"], "say KEY=VALUE"),
        (["--where", "=float32"], "say KEY=VALUE"),
        (["--where", "dtype=int3"], "leaves nothing"),
        (["--baseline", "C"], "no run C: there are A, B"),
        (["--baseline", "A,B"], "no column a,B of run"),
    ],
)
def test_wrong_words_are_one_line(command, refused, files, words: list[str], told: str) -> None:
    refused(command("compare", *files, *words), told)


def test_a_run_that_is_named_twice_is_refused(command, refused, files) -> None:
    refused(command("compare", files[0], files[0]), "name it once")
