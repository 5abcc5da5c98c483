"""The command: every bad input is one line with cause and cure and exit code 2; its help is quick."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import synthetic
import torchgauge
import torchgauge.measure.setup
from torchgauge import cli
from torchgauge.measure import doctor, launch, worker
from torchgauge.measure.doctor.examination import verdict
from torchgauge.measure.doctor.findings import Finding

HEAVY = ("torch", "pandas", "numpy", "matplotlib", "scipy", "pytest")
RUN = '{"kind":"run","schema":1,"id":"x","started":"2026-01-01T00:00:00+00:00"'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with benchmarks, in which the command is run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench/bench_a.py").write_text("def bench_it(gauge, device, dtype):\n    gauge(int)\n")
    return tmp_path


@pytest.fixture
def command(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., SimpleNamespace]:
    """Run the command in this process, its workers too: a process of their own costs seconds."""
    assert torchgauge.measure.setup

    class Closing(worker.Worker):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)
            self.streams = [self.stdout, self.stderr]
            made.append(self)

    made: list[Closing] = []
    monkeypatch.setattr(worker, "Worker", Closing)

    class InProcess:
        def __init__(self, words: list[str], **_: object) -> None:
            self._words = words[words.index("torchgauge.measure.worker") + 1 :]

        def wait(self) -> int:
            path = list(sys.path)
            try:
                return worker.main(self._words)
            finally:
                sys.path[:] = path
                for name in [name for name in sys.modules if name.startswith(("bench_", "conftest"))]:
                    del sys.modules[name]
                for stream in made.pop().streams:
                    stream.close()

    monkeypatch.setattr(launch, "subprocess", SimpleNamespace(Popen=InProcess))

    def run(*words: str) -> SimpleNamespace:
        capfd.readouterr()
        try:
            code = cli.main(words)
        except SystemExit as stop:
            code = stop.code
        out, error = capfd.readouterr()
        return SimpleNamespace(code=code, out=out, error=error)

    return run


def refused(done: SimpleNamespace, *words: str) -> None:
    """Check for one line on stderr, nothing on stdout, exit code 2."""
    assert done.code == 2, done
    assert done.out == ""
    lines = [line for line in done.error.splitlines() if line.strip()]
    assert len(lines) == 1, done.error
    assert lines[0].startswith("torchgauge: error: ")
    for word in words:
        assert word in lines[0]


def results(project: Path) -> list[Path]:
    return list(project.glob("results/*"))


# Bad input of `run`


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
    command, project: Path, words: list[str], told: list[str]
) -> None:
    (project / "empty").mkdir()
    (project / "file").write_text("a file\n")
    refused(command("run", *words), *told)
    assert results(project) == []
    assert (project / "file").read_text() == "a file\n"


@pytest.mark.parametrize("arguments", ["gauge", "gauge, dtype"])
def test_a_wrong_mark_is_refused_and_nothing_is_measured(command, project: Path, arguments: str) -> None:
    (project / "bench/bench_b.py").write_text(
        f"import pytest\n\n@pytest.mark.gauge(dtype=['int8'])\ndef bench_b({arguments}):\n    gauge(int)\n"
    )
    refused(command("run", "bench"), "bench_b", "not dtype")
    assert results(project) == []


def test_two_benchmarks_of_one_id_are_refused(command, project: Path) -> None:
    other = project / "other"
    other.mkdir()
    (other / "__init__.py").touch()
    (other / "bench_a.py").write_text((project / "bench/bench_a.py").read_text())
    refused(command("run", "bench", "other"), "share the case id a/it[cpu,float32]", "rename one")


# What selects


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


# Bad input of the reading side


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
@pytest.mark.parametrize("words", [["show"], ["report", "-o", "page.html"], ["export", "--format", "csv"]])
def test_a_file_that_is_no_run_is_one_line(
    command, project: Path, content: bytes | None, told: list[str], words: list[str]
) -> None:
    if content is not None:
        (project / "run.jsonl").write_bytes(content)
    refused(command(*words, "run.jsonl"), "run.jsonl", *told)
    assert not (project / "page.html").exists()
    assert not (project / "run.csv").exists()


@pytest.mark.parametrize(
    "words",
    [[], ["nope"], ["show"], ["export", "x"], ["export", "x", "--format", "xml"], ["report", "--wrong"]],
)
def test_wrong_usage_is_one_line_that_points_to_the_help(command, words: list[str]) -> None:
    refused(command(*words), "--help")


@pytest.mark.parametrize("option", ["--collect-only", "--help"])
def test_what_pytest_only_tells_is_no_failure(command, project: Path, option: str) -> None:
    done = command("run", "--", option)
    assert (done.code, "error" in done.error) == (0, False)
    assert list(project.glob("results/*")) == []


@pytest.mark.parametrize("target", [".", "/", "bench"])
@pytest.mark.parametrize(
    "words", [["report"], ["report", "--format", "markdown"], ["export", "--format", "csv"]]
)
def test_a_folder_as_the_output_is_one_line(command, project: Path, words: list[str], target: str) -> None:
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
def test_a_run_is_never_written_over_by_what_is_made_of_it(command, project: Path, words: list[str]) -> None:
    path = synthetic.write(synthetic.run(rounds=1), project).rename(project / "h.json")
    (project / "link").symlink_to("h.json")
    before = path.read_bytes()
    refused(command(*words), "is the run itself", "-o")
    assert path.read_bytes() == before


def test_a_pipe_as_input_does_not_hang(command, project: Path) -> None:
    os.mkfifo(project / "pipe")
    refused(command("show", "pipe"), "pipe: is no regular file")


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
    line = f"set -o pipefail; {sys.executable} -m torchgauge show {path} | head -1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_same_run_twice_is_refused(command, project: Path) -> None:
    path = synthetic.write(synthetic.run(rounds=1), project)
    refused(command("show", str(path), str(path)), "name it once")


def test_a_file_whose_name_begins_with_a_dash_is_read_after_two_dashes(command, project: Path) -> None:
    synthetic.write(synthetic.run(rounds=1), project).rename(project / "-run.jsonl")
    assert command("show", "--", "-run.jsonl").code == 0


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


def test_what_is_not_installed_is_named_with_its_cure(command, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_options: object) -> int:
        raise ModuleNotFoundError("No module named 'pandas'", name="pandas")

    monkeypatch.setattr(cli, "show", missing)
    refused(command("show", "x"), "pandas is missing", "pip install", "[report]")


# The doctor


@pytest.mark.parametrize(("level", "code"), [("poor", 4), ("note", 0), ("unknown", 0)])
@pytest.mark.parametrize("form", ["text", "json"])
def test_the_doctor_ends_with_4_where_conditions_are_too_poor_and_else_with_0(
    command, monkeypatch: pytest.MonkeyPatch, level: str, code: int, form: str
) -> None:
    found = doctor.Examination(
        schema=1,
        torchgauge="0.1.0",
        taken="2026-03-01T10:00:00+00:00",
        verdict=verdict([Finding(level=level, what="load", value="9.00 on 2 cores")]),
        devices=["cpu"],
        findings=[Finding(level=level, what="load", value="9.00 on 2 cores")],
        paired_difference=0.01,
        moment_spread=0.1,
        precision=[],
        ceilings=[],
        environment=synthetic.header().environment,
    )
    monkeypatch.setattr(doctor, "examine", lambda *_: found)
    done = command("doctor", "--device", "cpu", "--format", form)
    assert done.code == code
    assert "9.00 on 2 cores" in done.out
    assert done.error.startswith("looking at the machine")
    if form == "json":
        assert json.loads(done.out)["findings"][0]["level"] == level


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--device", "gpu"], ["unknown device 'gpu'"]),
        (["--device", "cuda:97"], ["'cuda:97' is not there"]),
        (["--format", "xml"], ["'xml'", "json"]),
        (["bench"], ["bench", "--help"]),
    ],
)
def test_bad_input_of_the_doctor_is_one_line(command, words: list[str], told: list[str]) -> None:
    done = command("doctor", *words)
    assert (done.code, done.out) == (2, "")
    *_, last = done.error.splitlines()
    assert last.startswith("torchgauge: error: ")
    assert all(word in last for word in told)
    assert "Traceback" not in done.error


@pytest.mark.parametrize("missing", ["torch", "pynvml", "pandas"])
def test_the_doctor_names_a_missing_torch_and_needs_neither_nvml_nor_pandas(missing: str) -> None:
    code = f"import sys\nsys.modules[{missing!r}] = None\nfrom torchgauge.cli import main\n"
    code += "from torchgauge.measure import doctor\ndoctor.examine = lambda *_: sys.exit(77)\n" * (
        missing != "torch"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{code}sys.exit(main(['doctor']))"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if missing == "torch":
        assert (done.returncode, done.stdout) == (2, "")
        assert "torch is missing" in done.stderr
        assert "'run'" in done.stderr
        assert "Traceback" not in done.stderr
    else:
        assert done.returncode == 77, done.stderr


def test_the_doctor_looks_at_this_machine_without_valgrind(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "torchgauge", "doctor", "--device", "cpu", "--format", "json"],
        env={**os.environ, "PATH": str(project)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode in (0, 4), done.stderr
    found = json.loads(done.stdout)
    assert (found["verdict"] == "poor") == (done.returncode == 4)
    (valgrind,) = (one for one in found["findings"] if one["what"] == "instructions")
    assert (valgrind["level"], valgrind["value"]) == ("note", "valgrind is missing")
    assert {one["name"] for one in found["ceilings"]} >= {"copy", "matmul", "operator"}
    assert all(one["peak"] or one["peak_source"] for one in found["ceilings"])
    assert len(found["precision"]) == 3
    assert "Traceback" not in done.stderr


# Help


@pytest.mark.parametrize(
    "words", [["--help"], ["run", "--help"], ["show", "--help"], ["doctor", "--help"], ["--version"]]
)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    check = (
        "import sys\nfrom torchgauge.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as stop:\n    assert stop.code == 0\n"
        f"assert [name for name in {HEAVY!r} if name in sys.modules] == []\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", check, *words], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("name", ["run", "show", "report", "export", "doctor"])
def test_every_subcommands_help_has_an_example(command, name: str) -> None:
    done = command(name, "--help")
    assert done.code == 0
    assert f"example: torchgauge {name} " in " ".join(done.out.split())


def test_the_version_is_the_packages(command) -> None:
    assert command("--version").out.split() == ["torchgauge", torchgauge.__version__]


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
