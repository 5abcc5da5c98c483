"""How subcommands are declared: wrong usage points to the help, which is quick and has examples."""

from __future__ import annotations

import subprocess
import sys

import pytest

import torchgauge

HEAVY = ("torch", "pandas", "numpy", "matplotlib", "scipy", "pytest")


@pytest.mark.parametrize(
    "words",
    [[], ["nope"], ["show"], ["export", "x"], ["export", "x", "--format", "xml"], ["report", "--wrong"]],
)
def test_wrong_usage_is_one_line_that_points_to_the_help(command, refused, words: list[str]) -> None:
    refused(command(*words), "--help")


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
