"""`torchgauge ab` and `aa`: what is refused, and where what was found goes. Nothing is measured here."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from xml.etree import ElementTree as Xml

import msgspec
import pytest

import torchgauge.ab
from compared import SIDE, header, made, unchanged
from torchgauge.ab import Plan
from torchgauge.measure.ab.conductor import Request
from torchgauge.record.ab import AbRun, Verdict


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Request, Plan, Path]]:
    """Have every comparison give the same, and note what was asked for."""
    noted: list[tuple[Request, Plan, Path]] = []

    def compare(_base, _head, request, plan, results, _say) -> AbRun:
        noted.append((request, plan, results))
        return made()

    monkeypatch.setattr(torchgauge.ab, "compare", compare)
    return noted


def test_a_regression_ends_with_1_and_its_table_is_on_stdout(command, asked) -> None:
    done = command("ab", "--base", "here", "-k", "square", "--minutes", "7", "--seed", "3")
    assert done.code == 1
    assert "REGRESSED: of 7 cases" in done.out
    request, plan, results = asked[0]
    assert request.isolation == "paired"
    assert (request.paths, request.keyword, request.seed, request.threads) == (["bench"], "square", 3, 1)
    assert (plan.minutes, plan.metrics, results.name) == (7.0, ["time"], "results")


def test_every_form_is_written_where_it_is_asked_for(command, asked, project: Path) -> None:
    done = command(
        *("ab", "--base", "here", "--format", "json", "--json", "a.json", "--markdown", "a.md"),
        *("--junit", "a.xml", "--page", "a.html", "--annotations"),
    )
    assert done.code == 1
    assert json.loads(done.out) == json.loads((project / "a.json").read_text())
    assert (project / "a.md").read_text().startswith("### 🔴 REGRESSED")
    assert Xml.parse(project / "a.xml").getroot().tag == "testsuite"
    assert "<svg" in (project / "a.html").read_text()
    assert "::error file=bench/bench_inplace.py,line=12" in done.error
    assert "::error" not in done.out


@pytest.mark.parametrize(
    ("top", "file"),
    [
        ("..", "project/bench/bench_inplace.py"),
        (".", "bench/bench_inplace.py"),
        ("x", "bench/bench_inplace.py"),
    ],
)
def test_annotations_count_from_the_top_of_the_jobs_checkout(
    command, asked, monkeypatch, project: Path, top: str, file: str
) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project / top))
    file = file.replace("project", project.name)
    assert f"::error file={file},line=12" in command("ab", "--base", "here", "--annotations").error


def test_sides_are_measured_one_after_the_other_where_it_is_asked_for(command, asked) -> None:
    command("ab", "--base", "here", "--isolation", "sequential")
    assert asked[0][0].isolation == "sequential"


def test_metrics_are_a_list(command, asked) -> None:
    command("ab", "--base", "here", "--metric", "time, counts,time")
    assert asked[0][1].metrics == ["time", "counts"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], ["--base"]),
        (["--base", "git"], ["is no side", "git:REF"]),
        (["--base", "python:nowhere"], ["base (python:nowhere)"]),
        (["--base", "here", "--minutes", "0"], ["--minutes 0", "above 0"]),
        (["--base", "here", "--minutes", "nan"], ["--minutes nan"]),
        (["--base", "here", "--metric", "speed"], ["unknown metric 'speed'", "instructions"]),
        (["--base", "here", "--accept", "none.toml"], ["none.toml", "can't be read"]),
        (["--base", "here", "--json", "none/a.json"], ["no folder none", "--json"]),
        (["--base", "here", "--results", "bench/bench_a.py"], ["bench_a.py", "--results"]),
        (["--base", "main"], ["base (git:main)"]),
    ],
)
def test_what_has_no_meaning_is_one_line_before_anything_is_measured(
    command, asked, words: list[str], told: list[str]
) -> None:
    done = command("ab", *words)
    assert done.code == 2
    assert done.out == ""
    for word in told:
        assert word in done.error
    assert "Traceback" not in done.error
    assert asked == []


def test_aa_stores_what_it_saw_for_this_machine(command, monkeypatch, project: Path) -> None:
    seeds = []

    def compare(_base, _head, request, _plan, _results, _say) -> AbRun:
        seeds.append(request.seed)
        return unchanged(len(seeds))

    monkeypatch.setattr(torchgauge.ab, "compare", compare)
    done = command("aa", "--runs", "3", "--seed", "5", "--page", "aa.html")
    assert done.code == 0
    assert seeds == [5, 6, 7]
    assert "3 A/A runs of 2 cases, 60 pairs of processes in all: 0 alarms" in done.out
    (stored,) = (project / "results").glob("aa_*.json")
    assert len(json.loads(stored.read_text())["log_ratios"]["a"]) == 60
    assert "<svg" in (project / "aa.html").read_text()


def test_aa_names_its_alarms_and_is_no_failure_itself(command, monkeypatch, project: Path) -> None:
    alarmed = unchanged(1, verdict=Verdict.REGRESSED)
    monkeypatch.setattr(torchgauge.ab, "compare", lambda *_: alarmed)
    done = command("aa", "--runs", "1", "--format", "json")
    assert done.code == 0
    found = json.loads(done.out)
    assert (found["alarms"], found["named"]) == (1, [["a", "REGRESSED"], ["b", "REGRESSED"]])


@pytest.mark.parametrize(("invalid", "code"), [(True, 4), (False, 3)])
def test_aa_that_measured_nothing_that_counts_is_no_success_and_keeps_what_was_stored(
    command, monkeypatch, project: Path, *, invalid: bool, code: int
) -> None:
    monkeypatch.setattr(torchgauge.ab, "compare", lambda *_: unchanged(1))
    assert command("aa", "--runs", "1").code == 0
    (stored,) = (project / "results").glob("aa_*.json")
    before = stored.read_text()
    run = unchanged(2, verdict=Verdict.ERROR)
    if invalid:
        assert run.end is not None
        run = dataclasses.replace(run, end=msgspec.structs.replace(run.end, verdict=Verdict.INVALID))
    else:
        run = dataclasses.replace(run, pairs=[])
    monkeypatch.setattr(torchgauge.ab, "compare", lambda *_: run)
    done = command("aa", "--runs", "1", "--page", "aa.html")
    assert done.code == code
    assert "nothing is stored: no case was measured in a run that counts" in done.error
    assert stored.read_text() == before
    assert "</html>" in (project / "aa.html").read_text()


def test_aa_refuses_what_it_could_not_add_before_it_measures(command, monkeypatch, project: Path) -> None:
    measured = []
    monkeypatch.setattr(torchgauge.ab, "compare", lambda *_: measured.append(1))
    runs = iter([made(), unchanged(1), unchanged(1)])
    monkeypatch.setattr("torchgauge.record.read_ab", lambda _: next(runs))
    done = command("aa", "--add", "one.ab.jsonl")
    assert done.code == 2
    assert "is no A/A run" in done.error
    done = command("aa", "--add", "one.ab.jsonl", "two.ab.jsonl")
    assert done.code == 2
    assert "a run is named twice" in done.error
    assert measured == []


@pytest.mark.parametrize(
    ("verdict", "code"),
    [("EQUIVALENT", 0), ("INCONCLUSIVE", 0), ("IMPROVED", 0), ("ERROR", 3), ("MISSING", 3), ("INVALID", 4)],
)
def test_the_command_ends_with_the_code_of_its_verdict(command, monkeypatch, verdict: str, code: int) -> None:
    monkeypatch.setattr(torchgauge.ab, "compare", lambda *_: made(verdict=Verdict[verdict]))
    assert command("ab", "--base", "here").code == code


def test_every_option_reaches_what_measures(command, asked, project: Path) -> None:
    (project / "lib").mkdir()
    (project / "ok.toml").write_text('[[accept]]\ncase = "a"\nreason = "b"\nexpires = 2099-01-31\n')
    measuring = "--device cpu --dtype float32 --budget standard --timeout 7"
    others = "--accept ok.toml --results kept --bench-from each --source lib -- --deselect x"
    command("ab", "bench", "--base", "here", *measuring.split(), *others.split())
    request, plan, _ = asked[0]
    assert (request.device, request.dtype, request.budget, request.patience) == (
        *("cpu", "float32", "standard", 7.0),
    )
    assert request.pytest_args == ["--deselect", "x"]
    assert ([one.case for one in plan.accepted], plan.bench_from, plan.source) == (["a"], "each", "lib")
    assert (plan.accept, plan.folder) == ("ok.toml", "kept")


def test_aa_adds_runs_and_refuses_those_of_another_machine_or_isolation(
    command, monkeypatch, project: Path
) -> None:
    monkeypatch.setattr("torchgauge.record.read_ab", lambda _: unchanged(1))
    monkeypatch.setattr(torchgauge.ab, "compare", lambda *_: unchanged(2))
    assert "2 A/A runs of 2 cases, 40 pairs" in command("aa", "--runs", "1", "--add", "x").out
    (stored,) = (project / "results").glob("aa_*.json")
    before = stored.read_text()
    environment = msgspec.structs.replace(SIDE.environment, machine_key="f" * 16)
    side = msgspec.structs.replace(SIDE, environment=environment)
    other = dataclasses.replace(unchanged(2), header=header(base=side, head=side))
    monkeypatch.setattr(torchgauge.ab, "compare", lambda *_: other)
    done = command("aa", "--runs", "1", "--add", "x")
    assert done.code == 2
    assert "several machines" in done.error
    assert stored.read_text() == before
    assert "not sequential" in command("aa", "--isolation", "sequential", "--add", "x").error
