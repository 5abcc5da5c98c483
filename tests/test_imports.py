"""The directions of import: measuring needs no pandas, reading needs no torch, and the command starts light.

Read from the source (imports inside functions count too) and tried in a fresh interpreter.
"""

from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import torchgauge

PACKAGE = Path(torchgauge.__file__).parent
READ_SIDE = ("pandas", "scipy", "matplotlib", "jinja2", "torchgauge.analysis", "torchgauge.report")
RUN_SIDE = ("torch", "torchgauge.measure")
NEITHER = ("torch", "numpy", *READ_SIDE, "torchgauge.measure")


def sources(*places: str) -> list[Path]:
    found = [
        path
        for place in places
        for path in ([PACKAGE / place] if place.endswith(".py") else sorted((PACKAGE / place).rglob("*.py")))
    ]
    assert found, f"nothing in {places}"
    return found


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def imports(text: str, module: str, *, is_package: bool) -> Iterator[str]:
    """Yield the full name of all that `text` imports anywhere; of `from a import b` both a and a.b."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [base])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def forbidden(path: Path, banned: tuple[str, ...]) -> list[str]:
    names = imports(path.read_text("utf-8"), module_name(path), is_package=path.stem == "__init__")
    return [name for name in names if any(f"{name}.".startswith(f"{root}.") for root in banned)]


@pytest.mark.parametrize("path", sources("measure", "plugin.py"), ids=module_name)
def test_what_measures_imports_nothing_of_what_reads(path: Path) -> None:
    assert forbidden(path, READ_SIDE) == []


@pytest.mark.parametrize("path", sources("analysis", "report"), ids=module_name)
def test_what_reads_imports_nothing_of_what_measures(path: Path) -> None:
    assert forbidden(path, RUN_SIDE) == []


@pytest.mark.parametrize("path", sources("record", "units.py", "estimate.py", "errors.py"), ids=module_name)
def test_what_both_sides_share_imports_neither(path: Path) -> None:
    assert forbidden(path, NEITHER) == []


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("import torch.nn as nn", ["torch.nn"]),
        ("def f():\n    from torch import cuda", ["torch", "torch.cuda"]),
        ("from torchgauge import measure", ["torchgauge", "torchgauge.measure"]),
        ("from .. import measure", ["torchgauge", "torchgauge.measure"]),
        (
            "from ..measure.device import list",
            ["torchgauge.measure.device", "torchgauge.measure.device.list"],
        ),
        ("from . import frame", ["torchgauge.analysis", "torchgauge.analysis.frame"]),
    ],
)
def test_the_reader_of_imports_sees_every_form(line: str, seen: list[str]) -> None:
    assert list(imports(line, "torchgauge.analysis.compare", is_package=False)) == seen


def backends(text: str) -> list[str]:
    """Return where `text` names torch.cuda, torch.mps or torch.xpu; torch.version.cuda is none of them."""
    names = list(imports(text, "", is_package=False))
    if not any(f"{name}.".startswith("torch.") for name in names):  # then `torch` is a name of its own
        return []
    found = [
        f"{node.lineno}: torch.{node.attr}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "torch"
        and node.attr in ("cuda", "mps", "xpu")
    ]
    return found + [name for name in names if name.startswith(("torch.cuda", "torch.mps", "torch.xpu"))]


def test_only_one_package_knows_the_backends_of_torch() -> None:
    knowing = {
        module_name(path): found
        for path in set(sources("")) - set(sources("measure/device"))
        if (found := backends(path.read_text("utf-8")))
    }
    assert knowing == {}


def test_the_finder_of_backends_finds_them() -> None:
    assert backends("import torch\ntorch.cuda.synchronize()") == ["2: torch.cuda"]
    assert backends("from torch import mps") == ["torch.mps"]
    assert backends("import torch\ntorch.version.cuda, torch.backends.cuda.matmul") == []
    assert backends("torch = run.environment.torch\ntorch.cuda") == []


def python(code: str) -> str:
    """Run `code` in a fresh interpreter that finds torchgauge where we did; return what it printed."""
    start = f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r})\n"
    done = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def modules(package: str) -> list[str]:
    """Return the package and all modules in it, found without importing any."""
    name = f"torchgauge.{package}"
    found = [name]
    for info in pkgutil.iter_modules([str(PACKAGE / package)], f"{name}."):
        found += modules(f"{package}.{info.name.rpartition('.')[2]}") if info.ispkg else [info.name]
    return found


def import_without(blocked: tuple[str, ...], wanted: list[str]) -> None:
    # None in sys.modules makes an import of it fail as if it were not installed.
    block = "".join(f"sys.modules[{name!r}] = None\n" for name in blocked)
    python(f"{block}import importlib\nfor name in {wanted!r}: importlib.import_module(name)")


def test_the_reading_side_imports_on_a_machine_without_torch() -> None:
    wanted = [*modules("analysis"), *modules("report"), *modules("cli")]
    assert len(wanted) > 5
    import_without(("torch", "pynvml", "pytest_benchmark"), wanted)


def test_the_measuring_side_imports_on_a_machine_without_pandas() -> None:
    wanted = [*modules("measure"), "torchgauge.plugin", *modules("cli")]
    assert len(wanted) > 5
    import_without(("pandas", "scipy", "matplotlib", "jinja2", "pyarrow"), wanted)


LIGHT = (
    "print(*sorted({'torch', 'numpy', 'pandas', 'scipy', 'matplotlib', 'jinja2', 'rich'} & set(sys.modules)))"
)


def test_the_plugin_is_light_in_every_pytest_run_of_its_users() -> None:
    assert python(f"import torchgauge.plugin\n{LIGHT}").split() == []


@pytest.mark.parametrize("command", ["", "run", "show", "report", "export", "doctor"])
def test_help_is_light(command: str) -> None:
    arguments = ["torchgauge", *command.split(), "--help"]
    printed = python(
        f"import runpy\nsys.argv = {arguments!r}\n"
        "try: runpy.run_module('torchgauge', run_name='__main__', alter_sys=True)\n"
        f"except SystemExit as end: assert not end.code, end.code\n{LIGHT}"
    )
    assert "usage: torchgauge" in printed
    assert printed.splitlines()[-1] == ""
