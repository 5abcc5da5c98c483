"""`torchgauge run`: what it selects, and every bad input is one line with exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest


def results(project: Path) -> list[Path]:
    return list(project.glob("results/*"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--device", "gpu"], ["unknown device 'gpu'", "this machine has cpu"]),
        (["--device", "cuda:97"], ["'cuda:97' is not there", "this machine has cpu"]),
        (["--dtype", "float31"], ["unknown dtype 'float31'", "bfloat16"]),
        (["--device", "cpu", "--dtype", "tf32"], ["'tf32' can't be measured", "CUDA"]),
        (["-k", "nothing_like_it"], ["-k 'nothing_like_it' matches none", "--collect-only"]),
        (["-k", "it and"], ["-k"]),
        (["nowhere"], ["nowhere: no such file or folder"]),
        (["bench/bench_b.py"], ["bench/bench_b.py: no such file or folder"]),
        (["bench/bench_a.py::bench_other"], ["bench_other"]),
        (["empty"], ["no benchmarks in empty", "bench_*"]),
        (["--rounds", "0"], ["'0' is no whole number"]),
        (["--processes", "many"], ["'many' is no whole number"]),
        (["--seed", "x"], ["--seed"]),
        (["--threads", "0"], ["'0' is no number of threads", "or all"]),
        (["--threads", "99999"], ["99999 threads on", "say all"]),
        (["--budget", "huge"], ["'huge'", "quick"]),
        (["--instruments", "time,astrology"], ["unknown instrument"]),
        (["--results", "file"], ["file: can't be written", "--results"]),
        (["--results", "file/below"], ["can't be written", "--results"]),
        (["--benchmark-json", "bench"], ["bench: can't be written: it is a folder", "--benchmark-json"]),
        (["--benchmark-json", "no/out.json"], ["there is no folder no", "--benchmark-json"]),
        (["--resume", "missing.jsonl"], ["missing.jsonl: no such run file"]),
        (["--resume", "file"], ["not a run file"]),
        (["--resume", "file", "--budget", "quick"], ["--resume goes on with the run's own settings"]),
        (["--", "--no-such-option"], ["--no-such-option"]),
        (["--unknown"], ["--unknown", "--help"]),
    ],
    ids=lambda value: " ".join(value).replace("/", "_") if isinstance(value, list) else "",
)
def test_bad_input_of_run_is_one_line_that_names_the_cause(
    command, refused, project: Path, words: list[str], told: list[str]
) -> None:
    (project / "empty").mkdir()
    (project / "file").write_text("a file\n")
    refused(command("run", *words), *told)
    assert results(project) == []
    assert (project / "file").read_text() == "a file\n"


@pytest.mark.parametrize("arguments", ["gauge", "gauge, dtype"])
def test_a_wrong_mark_is_refused_and_nothing_is_measured(
    command, refused, project: Path, arguments: str
) -> None:
    (project / "bench/bench_b.py").write_text(
        f"import pytest\n\n@pytest.mark.gauge(dtype=['int8'])\ndef bench_b({arguments}):\n    gauge(int)\n"
    )
    refused(command("run", "bench"), "bench_b", "not dtype")
    assert results(project) == []


def test_two_benchmarks_of_one_id_are_refused(command, refused, project: Path) -> None:
    other = project / "other"
    other.mkdir()
    (other / "__init__.py").touch()
    (other / "bench_a.py").write_text((project / "bench/bench_a.py").read_text())
    refused(command("run", "bench", "other"), "share the case id a/it[cpu,float32]", "rename one")


def test_collect_only_lists_the_ids_and_writes_nothing(command, project: Path) -> None:
    done = command("run", "--collect-only", "--device", "cpu", "--dtype", "float64,int8")
    assert done.code == 0
    assert done.out.splitlines() == ["a/it[cpu,float64]", "a/it[cpu,int8]"]
    assert results(project) == []


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["bench"], ["a/it[cpu]", "a/that[cpu]", "b/it[cpu]"]),
        (["bench", "-k", "it"], ["a/it[cpu]", "b/it[cpu]"]),
        (["bench", "-k", "not it"], ["a/that[cpu]"]),
        (["bench/bench_b.py"], ["b/it[cpu]"]),
        (["bench/bench_a.py::bench_that", "bench/bench_b.py"], ["a/that[cpu]", "b/it[cpu]"]),
        (["bench", "--", "--deselect", "bench/bench_b.py"], ["a/it[cpu]", "a/that[cpu]"]),
    ],
)
def test_paths_names_and_expressions_select_as_in_pytest(
    command, project: Path, words: list[str], found: list[str]
) -> None:
    it, that = "def bench_it(gauge):\n    gauge(int)\n", "def bench_that(gauge):\n    gauge(int)\n"
    (project / "bench/bench_a.py").write_text(it + that + "def test_other():\n    pass\n")
    (project / "bench/bench_b.py").write_text(it)
    ours = words.index("--") if "--" in words else len(words)
    done = command("run", *words[:ours], "--collect-only", *words[ours:])
    assert [line for line in done.out.splitlines() if "[" in line] == found


@pytest.mark.parametrize("option", ["--collect-only", "--help"])
def test_what_pytest_only_tells_is_no_failure(command, project: Path, option: str) -> None:
    done = command("run", "--", option)
    assert (done.code, "error" in done.error) == (0, False)
    assert list(project.glob("results/*")) == []
