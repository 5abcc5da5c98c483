from __future__ import annotations

import io

import pytest
from rich.console import Console

import synthetic
from torchgauge.report import terminal


def shown(runs, width=100, **options) -> str:
    out = io.StringIO()
    terminal.show(runs, Console(file=out, width=width, highlight=False, **options))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def test_a_run_looks_as_agreed(golden):
    golden("terminal.txt", shown([synthetic.run(with_ceilings=True)]))


def test_two_runs_stand_side_by_side(small, golden):
    golden("terminal-two-runs.txt", shown(small, width=120))


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_line_is_wider_than_the_terminal(small, width):
    too_wide = [
        line
        for line in shown(small, width).splitlines()
        if len(line) > width and not line.startswith(("file", "next"))
    ]
    assert too_wide == []


def test_no_cell_is_cut_off_however_narrow(small):
    text = shown(small, width=80)
    assert "…" not in text
    assert text.count("GFLOP/s") == shown(small, width=200).count("GFLOP/s")


def test_without_colours_there_is_no_escape(small, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in shown(small, force_terminal=True)


def test_an_interrupted_run_says_so_and_how_to_go_on(small):
    text = shown(small[1:])
    assert "interrupted" in text.splitlines()[0]
    assert f"torchgauge run --resume {small[1].path}" in text


def test_nothing_in_a_run_file_is_obeyed(hostile):
    text = shown([hostile])
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold red]markup" in text  # shown as it is, not as markup
    assert "title" not in text.splitlines()[0]


@pytest.mark.parametrize("failures", [None, []])
def test_a_run_without_measurements_is_shown(failures):
    text = shown([synthetic.run(cases=[], failures=failures, finished=False)])
    assert "Nothing was measured." in text
    assert "interrupted" in text


def test_failures_and_skips_are_summed_up():
    text = shown([synthetic.run(cases=[])])
    assert "1 case failed\n  mine/broken[cpu]  measure: ValueError: no such table: users" in text
    assert "3 cases skipped\n     2  no kernel for int8 on cpu\n     1  measured on cuda only" in text


def test_a_path_with_blanks_is_quoted_in_the_command(tmp_path):
    from dataclasses import replace

    run = replace(synthetic.run(cases=[]), path=tmp_path / "my run.jsonl")
    assert f"torchgauge report '{tmp_path}/my run.jsonl' -o page.html" in shown([run], width=300)
