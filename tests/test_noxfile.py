"""The sessions, run as real processes in a copy of the project, with a stand-in for pip and no network."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAMES = [
    "bench", "bench-cpu", "bench-gpu", "profile", "instructions", "regress", "aa", "report", "lint", "tests",
    "validate",
]  # fmt: skip
LEFT_OUT = ("PYTHONPATH", "VIRTUAL_ENV")


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("noxfile_under_test", ROOT / "noxfile.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


noxfile = load()
no_driver = pytest.mark.skipif(noxfile.nvidia_driver(), reason="this machine has NVIDIA's driver")


# A pip that notes what it is told and, for each module that the sessions want, leaves a module that prints.
PIP = """
import os, shutil, sys
from pathlib import Path
env = Path(sys.argv[2]).parents[1]
if "--version" in sys.argv:
    raise SystemExit(0)
with open("pip.log", "a") as log:
    print(*sys.argv[1:], "PYTHONPATH" in os.environ, os.environ.get("PIP_USER"), file=log)
if Path("pip-fails").exists():
    raise SystemExit(23)
site = next(env.glob("lib/python*/site-packages"))
shutil.copy(site / "shared.pth", "shared-while-pip-runs")
for name in {wanted!r}:
    if f" {name}==" not in " ".join(sys.argv):  # that one is there already
        (site / name).mkdir(exist_ok=True)
        (site / name / "__init__.py").touch()
        (site / name / "__main__.py").write_text("import sys; print('ran', __package__, *sys.argv[1:])")
"""
PIP_OF = PIP.replace("{wanted!r}", repr(sorted({*noxfile.LINT, *noxfile.TESTS, "torchgauge"})))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Copy what the sessions read."""
    for name in ("noxfile.py", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.fixture
def bare(project: Path) -> Path:
    """Make a Python that has nothing but a pip, and that a stand-in."""
    base = project / "base"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", base], check=True)
    pip = packages(base) / "pip"
    pip.mkdir()
    (pip / "__init__.py").touch()
    (pip / "__main__.py").write_text(PIP_OF)
    return base / "bin" / "python"


def packages(environment: Path) -> Path:
    return next(environment.glob("lib/python*/site-packages"))


def environ(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in LEFT_OUT} | more


def start(project: Path, *arguments: str, python: Path | str = sys.executable, **env: str) -> Any:
    command = [str(python), str(project / "noxfile.py"), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=project, env=environ(**env), timeout=60
    )


def told_pip(project: Path) -> list[str]:
    log = project / "pip.log"
    return log.read_text().splitlines() if log.exists() else []


def command_that(project: Path, code: str) -> None:
    """Put a torchgauge into the project's src/ that does `code` when it is run."""
    package = project / "src" / "torchgauge"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(f"import sys, time\nfrom pathlib import Path\n{code}\n")


# --- asking --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--list"], ["-l"], []])
def test_the_sessions_are_listed_and_nothing_is_made(project: Path, arguments: list[str]) -> None:
    done = start(project, *arguments)
    assert [line.split()[0] for line in done.stdout.splitlines()] == NAMES
    assert all(line.endswith(".") for line in done.stdout.splitlines())  # each says what it does
    assert (done.returncode, done.stderr) == (0, "")
    assert not (project / ".nox").exists()


def test_an_unknown_session_is_one_line_and_exit_code_2(project: Path) -> None:
    done = start(project, "-s", "lint", "benhc")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [f"no session 'benhc': there are {', '.join(NAMES)}"]
    assert not (project / ".nox").exists()  # lint is not begun either


def test_regress_without_a_base_is_one_line_with_the_cure_and_installs_nothing(project: Path) -> None:
    done = start(project, "-s", "regress", "--", "-k", "matmul")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "say what to compare with: -s regress -- --base main" in line
    assert not (project / ".nox").exists()


@no_driver
@pytest.mark.skipif(Path("/dev/kfd").exists(), reason="this machine has ROCm's driver")
def test_bench_gpu_without_a_gpu_is_one_line_with_the_cure_and_installs_nothing(project: Path) -> None:
    done = start(project, "-s", "bench-gpu")
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "no GPU driver" in line
    assert "-s bench-cpu" in line
    assert not (project / ".nox").exists()


def test_report_without_a_run_file_names_the_session_that_makes_one(project: Path) -> None:
    done = start(project, "-s", "report", "--no-venv")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "-s bench" in line


# --- --no-venv -----------------------------------------------------------------------------------------


def test_without_an_environment_what_is_missing_is_named_with_its_cure(project: Path, bare: Path) -> None:
    done = start(project, "-s", "bench", "--no-venv", python=bare)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"{bare} -m pip install torch numpy pytest pytest-benchmark msgspec rich" in line
    assert "--no-venv" in line
    assert told_pip(project) == []


def test_without_an_environment_the_checkout_is_run_by_the_python_at_hand(project: Path) -> None:
    command_that(project, "print(sys.executable, *sys.argv[1:])")
    done = start(project, "-s", "bench-cpu", "--no-venv", "--", "--budget", "quick", "--", "-x", "--no-venv")
    assert done.stdout.split() == [
        sys.executable, "run", "--report", "--device", "cpu", "--budget", "quick", "--", "-x", "--no-venv",
    ]  # fmt: skip
    assert done.returncode == 0
    assert not (project / ".nox").exists()


def test_without_an_environment_pythonpath_still_counts(project: Path, bare: Path) -> None:
    elsewhere = project / "elsewhere"
    for name in noxfile.MEASURE:
        (elsewhere / name).mkdir(parents=True)
        (elsewhere / name / "__init__.py").touch()
    command_that(project, "print('ran', sys.argv[1])")
    done = start(project, "-s", "bench", "--no-venv", python=bare, PYTHONPATH=str(elsewhere))
    assert (done.returncode, done.stdout) == (0, "ran run\n")


def test_no_venv_behind_the_dashes_belongs_to_the_command(project: Path, bare: Path) -> None:
    done = start(project, "-s", "lint", "--", "--no-venv", python=bare)
    assert done.returncode == 0
    assert (project / ".nox" / "env" / "stamp").exists()


def test_report_takes_all_runs_unless_it_is_told_which(project: Path) -> None:
    command_that(project, "print(*sys.argv[1:])")
    (project / "results").mkdir()
    for name in ("b.jsonl", "a.jsonl", "a.html"):
        (project / "results" / name).touch()
    assert start(project, "-s", "report", "--no-venv").stdout.split() == [
        "report", "results/a.jsonl", "results/b.jsonl", "-o", "results/report.html",
    ]  # fmt: skip
    told = start(project, "-s", "report", "--no-venv", "--", "x.jsonl", "--format", "markdown")
    assert told.stdout.split() == ["report", "x.jsonl", "--format", "markdown"]


# --- exit codes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("sys.exit(1)", 1),
        ("sys.exit(5)", 5),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137),
    ],
)
def test_the_exit_code_is_that_of_the_command(project: Path, end: str, code: int) -> None:
    command_that(project, end)
    done = start(project, "-s", "bench", "--no-venv")
    assert (done.returncode, done.stderr) == (code, "")


def test_a_failed_session_does_not_hide_the_next_one(project: Path, bare: Path) -> None:
    start(project, "-s", "lint", python=bare)
    ruff = packages(project / ".nox" / "env") / "ruff" / "__main__.py"
    ruff.write_text("raise SystemExit(7)")
    done = start(project, "-s", "lint", "tests", python=bare)
    assert done.returncode == 7
    assert done.stdout == "ran pytest -n 2 --dist worksteal\n"  # and mypy was not reached
    assert done.stderr == "failed: lint (exit code 7)\n"


WAITS = """
Path('begun').touch()
try:
    time.sleep(50)
except KeyboardInterrupt:
    Path('closed').touch()
    sys.exit({code})
"""


@pytest.mark.parametrize(
    "interrupt",
    [
        pytest.param(lambda process: os.killpg(process.pid, signal.SIGINT), id="by-the-terminal"),
        pytest.param(
            lambda process: (os.killpg(process.pid, signal.SIGINT), process.send_signal(signal.SIGTERM)),
            id="and-terminated-too",
        ),
    ],
)
def test_an_interrupted_command_closes_its_files_and_the_exit_code_is_130(
    project: Path, interrupt: Callable[[Any], None]
) -> None:
    command_that(project, WAITS.format(code=130))
    command = [sys.executable, "noxfile.py", "-s", "bench", "tests", "--no-venv"]
    with subprocess.Popen(
        command, cwd=project, env=environ(), start_new_session=True, stderr=subprocess.PIPE, text=True
    ) as process:
        while not (project / "begun").exists():
            assert process.poll() is None
        interrupt(process)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (project / "closed").exists()
    assert said == ""  # no traceback, and tests is not begun


def test_an_interrupt_that_only_the_session_gets_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Any] = [KeyboardInterrupt(), subprocess.TimeoutExpired("command", 10), 0]
    sent: list[str] = []

    def wait(_: float | None) -> int:
        event = events.pop(0)
        if isinstance(event, BaseException):
            raise event
        return event

    process = SimpleNamespace(wait=wait, terminate=lambda: sent.append("terminate"))
    monkeypatch.setattr(noxfile.subprocess, "Popen", lambda command: process)
    with pytest.raises(SystemExit) as end:
        noxfile.Session("bench", []).run("command")
    assert end.value.code == 130
    assert sent == ["terminate"]


# --- the environment -----------------------------------------------------------------------------------


def test_the_environment_is_made_once_and_serves_all_sessions(project: Path, bare: Path) -> None:
    first = start(project, "-s", "lint", python=bare)
    assert first.stdout.splitlines() == ["ran ruff format --check .", "ran ruff check .", "ran mypy"]
    assert len(told_pip(project)) == 1
    again = start(project, "-s", "tests", "lint", "--", "-k", "units", python=bare)
    assert again.stdout.splitlines()[0] == "ran pytest -n 2 --dist worksteal -k units"
    assert (again.returncode, again.stderr) == (0, "")
    assert len(told_pip(project)) == 1  # so it needs no network


@no_driver
def test_without_a_torch_and_a_driver_the_pinned_cpu_build_is_installed(project: Path, bare: Path) -> None:
    start(project, "-s", "lint", python=bare)
    (told,) = told_pip(project)
    assert f"--python {project / '.nox/env/bin/python'} install -c constraints.txt -e .[run,report] " in told
    assert " hypothesis>=" in told  # the groups
    assert " ruff>=" in told


def test_a_torch_that_is_there_is_shared_and_neither_it_nor_its_numpy_replaced(
    project: Path, bare: Path
) -> None:
    theirs = packages(project / "base")
    for name, version in {"torch": "2.8.0a0+5228986c39.nv25.05", "numpy": "1.26.4"}.items():
        info = theirs / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (project / "checkout" / name).mkdir(parents=True)
        (project / "checkout" / name / "__init__.py").touch()
    (theirs / "editable.pth").write_text(str(project / "checkout"))
    assert start(project, "-s", "lint", python=bare).returncode == 0
    (told,) = told_pip(project)
    assert " install torch==2.8.0a0+5228986c39.nv25.05 numpy==1.26.4 -e " in told
    (environment,) = (project / ".nox").glob("env*")
    code = "import torch; print(torch.__file__)"
    found = subprocess.run([environment / "bin" / "python", "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == str(project / "checkout" / "torch" / "__init__.py")
    assert found.stderr == ""
    # An isolated build of pip's leaves plain lines out; others would lend it the parent's setuptools.
    assert str(theirs) in (project / "shared-while-pip-runs").read_text().splitlines()


def test_a_python_with_a_torch_and_one_without_do_not_undo_each_others_environment(
    project: Path, bare: Path
) -> None:
    start(project, "-s", "lint", python=bare)
    info = packages(project / "base") / "torch-2.9.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.9.0\n")
    (packages(project / "base") / "torch").mkdir()
    assert start(project, "-s", "lint", python=bare).returncode == 0
    shutil.rmtree(info)
    assert start(project, "-s", "lint", python=bare).returncode == 0
    assert len(told_pip(project)) == 2


def test_an_interrupted_installation_is_begun_anew(project: Path, bare: Path) -> None:
    (project / "pip-fails").touch()
    failed = start(project, "-s", "lint", python=bare)
    assert failed.returncode == 23
    assert "Traceback" not in failed.stderr
    assert not (project / ".nox" / "env" / "stamp").exists()
    (project / "pip-fails").unlink()
    assert start(project, "-s", "lint", python=bare).returncode == 0
    assert len(told_pip(project)) == 2


def test_a_half_made_environment_is_not_taken_for_the_one_before_it(project: Path, bare: Path) -> None:
    start(project, "-s", "lint", python=bare)
    constraints = project / "constraints.txt"
    before = constraints.read_text()
    constraints.write_text("torch==2.13.1")
    (project / "pip-fails").touch()
    assert start(project, "-s", "lint", python=bare).returncode == 23
    constraints.write_text(before)
    assert start(project, "-s", "lint", python=bare).returncode == 23  # so pip was asked again
    assert not (project / ".nox" / "env" / "stamp").exists()


@pytest.mark.parametrize("damage", ["bin/python", "lib", "stamp"])
def test_a_broken_environment_is_repaired(project: Path, bare: Path, damage: str) -> None:
    start(project, "-s", "lint", python=bare)
    broken = project / ".nox" / "env" / damage
    shutil.rmtree(broken) if broken.is_dir() else broken.unlink()
    done = start(project, "-s", "lint", python=bare)
    assert done.stdout.splitlines()[-1] == "ran mypy"
    assert len(told_pip(project)) == 2


def test_a_package_that_pip_left_out_is_named_and_the_environment_not_trusted(
    project: Path, bare: Path
) -> None:
    pip = packages(project / "base") / "pip" / "__main__.py"
    pip.write_text(PIP_OF.replace("'pytest_benchmark', ", ""))
    done = start(project, "-s", "lint", python=bare)
    assert done.returncode == 2
    assert "pytest-benchmark" in done.stderr.splitlines()[-1]
    assert not (project / ".nox" / "env" / "stamp").exists()


def test_the_users_settings_lead_no_installation_astray(project: Path, bare: Path) -> None:
    done = start(
        project, "-s", "lint", python=bare, PYTHONPATH=str(project), VIRTUAL_ENV=str(project), PIP_USER="1"
    )
    assert done.returncode == 0
    (told,) = told_pip(project)
    assert told.endswith(" False 0")  # no PYTHONPATH, and PIP_USER off


def test_the_environment_may_run_the_sessions_itself(project: Path, bare: Path) -> None:
    start(project, "-s", "lint", python=bare)
    (project / "constraints.txt").write_text("torch==2.13.1")  # asks for another one, which has to wait
    done = start(project, "-s", "lint", python=project / ".nox" / "env" / "bin" / "python")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(told_pip(project)) == 1


PROJECT: dict[str, Any] = {
    "project": {"dependencies": ["rich>=13.7"]},
    "dependency-groups": {"lint": ["ruff>=0.8"]},
    "tool": {"ruff": {"line-length": 110}, "setuptools": {}},
}


@pytest.mark.parametrize(
    ("project_table", "constraints", "choice"),
    [
        ({**PROJECT, "project": {"dependencies": ["rich>=14"]}}, "torch==2.13.0", []),
        ({**PROJECT, "dependency-groups": {"lint": ["ruff>=0.9"]}}, "torch==2.13.0", []),
        ({**PROJECT, "build-system": {"requires": ["setuptools>=80"]}}, "torch==2.13.0", []),
        (PROJECT, "torch==2.13.1", []),
        (PROJECT, "torch==2.13.0", ["torch==2.9.0"]),
    ],
)
def test_the_stamp_changes_with_what_is_installed(
    project_table: dict[str, Any], constraints: str, choice: list[str]
) -> None:
    before = noxfile.stamp(PROJECT, "torch==2.13.0", [])
    assert noxfile.stamp(project_table, constraints, choice) != before


def test_the_stamp_stays_when_a_lint_rule_changes() -> None:
    changed = {**PROJECT, "tool": {"ruff": {"line-length": 88}, "setuptools": {}}}
    assert noxfile.stamp(changed, "", []) == noxfile.stamp(PROJECT, "", [])


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("2.6.0", True),
        ("2.6", True),
        ("2.6.0+cu124", True),
        ("2.6.0.post1", True),
        ("2.13.0+cpu", True),
        ("2.8.0a0+5228986c39.nv25.05", True),
        ("3.0.0.dev20270101", True),
        ("3", True),
        ("2.5.1", False),
        ("2.6.0a0+df5bbc09d1.nv24.12", False),
        ("2.6.0.dev20241101", False),
        ("1.13.1", False),
    ],
)
def test_the_torch_that_is_reused_is_2_6_or_later_with_the_pre_releases_after_it(
    version: str, enough: bool
) -> None:
    assert noxfile.new_enough(version) is enough


# --- nox -----------------------------------------------------------------------------------------------


def test_nox_gets_the_same_sessions_without_environments_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Any] = {}

    def session(function: Any, *, name: str, venv_backend: str) -> None:
        made[name] = (function.__doc__, venv_backend)

    nox = SimpleNamespace(session=session, options=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "nox", nox)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    load()
    assert list(made) == NAMES
    assert {backend for _, backend in made.values()} == {"none"}
    assert nox.options.sessions == []  # nox alone lists, and measures nothing
