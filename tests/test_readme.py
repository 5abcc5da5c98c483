"""What the README and the docs show is true: commands parse or run, benchmarks measure, examples read."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from torchgauge import cli, plugin
from torchgauge.measure.budget import BUDGETS
from torchgauge.record import Run, read

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "results/README.md", *ROOT.glob("docs/*.md")]


def blocks(page: Path, language: str) -> list[str]:
    """Give the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [line for line in lines if shlex.split(line, comments=True)]


COMMANDS = [pytest.param(line, id=f"{page.name}: {line}") for page in PAGES for line in commands(page)]


def command(where: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a Python module in a folder, with this checkout's torchgauge."""
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=where,
        env={**os.environ, "PYTHONPATH": path, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def measure(where: Path, folder: str) -> Run:
    done = command(where, "torchgauge", "run", folder, "--rounds", "1", "--budget", "quick")
    assert done.returncode == 0, done.stdout + done.stderr
    return read(where / done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Measure the README's benchmark, once, as the README says."""
    (source,) = blocks(ROOT / "README.md", "python")
    where = tmp_path_factory.mktemp("reader")
    (where / "mine").mkdir()
    (where / "mine" / "bench_softmax.py").write_text(source, "utf-8")
    return SimpleNamespace(where=where, source=source, run=measure(where, "mine"))


@pytest.fixture(scope="module")
def sessions() -> list[str]:
    done = subprocess.run(
        [sys.executable, "noxfile.py", "--list"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [line.split()[0] for line in done.stdout.splitlines() if line.strip()]


def test_the_readme_starts_with_one_sentence_and_the_two_commands() -> None:
    title, sentence, shown, *_ = README.split("\n\n")
    assert title == "# torchgauge"
    assert re.fullmatch(r"[^.\n]+\.", sentence)
    assert shown.splitlines()[1:3] == ["python3 noxfile.py -s bench", "python3 noxfile.py -s tests"]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_that_is_shown_is_one_that_exists(line: str, sessions: list[str]) -> None:
    first, *words = shlex.split(line, comments=True)
    if first == "torchgauge":
        own = words[: words.index("--")] if "--" in words else words
        options = cli.declared().parse(own)  # ends the test with its message if it refuses
        for path in getattr(options, "paths", []):
            assert path == "mine" or (ROOT / path.partition("::")[0]).exists(), path
    elif first == "python3":
        own = words[: words.index("--")] if "--" in words else words
        assert own[0] == "noxfile.py"
        named = own[own.index("-s") + 1 :] if "-s" in own else []
        assert {name for name in named if not name.startswith("-")} <= set(sessions)
    elif first == "pip":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        extras = re.fullmatch(r"\.\[(.*)\]", words[-1])
        assert extras is not None
        assert words[0] == "install"
        assert set(extras[1].split(",")) <= set(project["optional-dependencies"])
    elif first in ("git", "set"):  # a script around our commands
        assert line in ("set -eu", "git fetch --quiet origin main")
    else:
        assert first == "pytest", f"nothing checks {first!r}: teach this test"
        assert {word for word in words if word.startswith("--gauge-")} <= plugin_options()


def plugin_options() -> set[str]:
    """Give the options that the plugin adds to pytest."""
    names: set[str] = set()

    def addoption(name: str, **_: Any) -> None:
        names.add(name)

    parser: Any = SimpleNamespace(getgroup=lambda *_: SimpleNamespace(addoption=addoption))
    plugin.pytest_addoption(parser)
    return names


def test_every_subcommand_is_in_the_readme() -> None:
    choices = next(iter(cli.declared().parser._subparsers._group_actions)).choices  # type: ignore[union-attr]
    shown = [shlex.split(line, comments=True) for line in commands(ROOT / "README.md")]
    assert set(choices) == {words[1] for words in shown if words[0] == "torchgauge"}


def test_the_readmes_benchmark_has_at_most_ten_lines_and_measures(measured: SimpleNamespace) -> None:
    assert len(measured.source.splitlines()) <= 10
    run = measured.run
    assert not run.interrupted
    assert not run.failures
    assert {line.case.name for line in run.measurements} == {"softmax"}
    assert {line.case.params["n"] for line in run.measurements} == {64, 1024}
    assert all(line.work.bytes for line in run.measurements)


READING = [
    line for line in commands(ROOT / "README.md") if re.match(r"torchgauge (show|report|export) ", line)
]


@pytest.mark.parametrize("line", READING)
def test_a_command_that_reads_a_run_reads_the_readmes_own(line: str, measured: SimpleNamespace) -> None:
    file = str(measured.run.path.relative_to(measured.where))
    words = [file if word.endswith(".jsonl") else word for word in shlex.split(line, comments=True)]
    done = command(measured.where, *words)
    assert done.returncode == 0, done.stderr
    if words[1] == "show" or "markdown" in words:
        assert "softmax" in done.stdout
    else:
        assert (measured.where / done.stdout.splitlines()[-1]).stat().st_size > 100


def test_the_readmes_pytest_command_measures(measured: SimpleNamespace, tmp_path: Path) -> None:
    (line,) = (line for line in commands(ROOT / "README.md") if line.startswith("pytest"))
    (tmp_path / "bench_softmax.py").write_text(measured.source, "utf-8")
    loader = [] if entry_points(group="pytest11", name="torchgauge") else ["-p", "torchgauge.plugin"]
    words = [*shlex.split(line, comments=True), "--gauge-rounds", "1", *loader]
    done = command(tmp_path, *words, "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tmp_path.glob("results/*.jsonl")
    assert not read(path).interrupted


def test_the_benchmarks_of_the_docs_measure_or_are_skipped(tmp_path: Path) -> None:
    page = ROOT / "docs/adding-a-benchmark.md"
    sources = blocks(page, "python")
    for number, source in enumerate(sources):
        (tmp_path / f"bench_block_{number}.py").write_text(source, "utf-8")
    run = measure(tmp_path, ".")
    assert not run.failures
    seen = {line.case.group for line in run.measurements} | {line.case.group for line in run.skips}
    assert len(seen) == len(sources) > 0


def test_the_lines_of_the_run_files_page_are_a_run(tmp_path: Path) -> None:
    examples = [json.loads(block) for block in blocks(ROOT / "docs/run-file.md", "json")]
    path = tmp_path / "examples.jsonl"
    path.write_text("".join(json.dumps(example) + "\n" for example in examples), "utf-8")
    run = read(path)
    assert not run.interrupted
    lines = [run.header, *run.measurements, *run.failures, *run.skips, run.end]
    # no field of the schema is missing on the page, and none there is unknown to the schema
    assert [msgspec.to_builtins(line) for line in lines] == examples


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_that_exist(page: Path) -> None:
    targets = re.findall(r"\[[^\]]*\]\(([^)#]+)[^)]*\)", page.read_text("utf-8"))
    missing = [t for t in targets if not t.startswith("https://") and not (page.parent / t).exists()]
    assert not missing


def test_the_glossary_has_the_nouns_of_the_design() -> None:
    text = (ROOT / "docs/glossary.md").read_text("utf-8")
    nouns = re.findall(r"^\| ([A-Z]\w+) \|", text, re.MULTILINE)
    assert " ".join(nouns) == "Case Work Instrument Clock Block Measurement Environment Run Comparison"


def test_the_page_on_the_method_states_the_budgets_as_they_are() -> None:
    text = (ROOT / "docs/method.md").read_text("utf-8")
    stated = re.findall(
        r"^\| `(\w+)` \| (\S+).*? \| (\d+) \| ([\d.]+)(?:–([\d.]+))? \| ([\d.]+) %", text, re.MULTILINE
    )
    assert [row[0] for row in stated] == list(BUDGETS)
    for (_, seconds, rounds, least, most, width), budget in zip(stated, BUDGETS.values(), strict=True):
        assert budget.seconds == (None if seconds == "no" else float(seconds))
        assert budget.rounds == int(rounds)
        assert budget.half_width == float(width) / 100
        if budget.seconds is None:  # without an aim each visit gets the most
            assert budget.visit_most == float(least)
        else:
            assert (budget.visit_least, budget.visit_most) == (float(least), float(most))
