"""The Python of another environment: where it is, and whether benchmarks can be measured with it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

from torchgauge.errors import TorchgaugeError
from torchgauge.measure import janitor

NEEDED = ("torch", "numpy", "pytest", "msgspec", "rich")
"""What a process that measures imports beside torchgauge."""
_SECONDS = 60.0
_OLDEST = (3, 11)

# Any Python must be able to run it, so that an old one can say that it is. A folder of a package's name in
# the folder at hand, or one without files in it, is not the package.
_LOOK = """
import json, sys
absent = []
if sys.version_info >= (3, 11):
    from importlib.util import find_spec
    sys.path = [place for place in sys.path if place]
    specs = dict((name, find_spec(name)) for name in sys.argv[1:])
    absent = [name for name in specs if specs[name] is None or specs[name].origin is None]
print(json.dumps([list(sys.version_info[:3]), absent]))
"""


def find(text: str) -> Path:
    """Find an interpreter: a file, the folder of a virtual environment, or the name of a command.

    Its path is absolute, and links in it stay: they say which virtual environment it is of.

    Raises:
        TorchgaugeError: there is none.

    """
    given = Path(text).expanduser()
    if given.is_dir():
        python = given / "bin" / "python"
        if not python.exists():
            raise TorchgaugeError(f"{given} has no bin/python; name the folder of a virtual environment")
        return python.absolute()
    found = shutil.which(given.absolute() if "/" in text else text)
    if found is None:
        problem = "can't be executed" if given.exists() else "is not there"
        raise TorchgaugeError(f"{given} {problem}; name an interpreter or a virtual environment's folder")
    return Path(found).absolute()


def check(python: Path, pythonpath: str, cwd: Path) -> None:
    """Find out whether benchmarks can be measured with an interpreter; torch is looked for, not imported.

    Args:
        python: the interpreter.
        pythonpath: the PYTHONPATH of its processes.
        cwd: their working directory.

    Raises:
        TorchgaugeError: it doesn't start, is too old, or lacks a package.

    """
    variables = {**os.environ, "PYTHONPATH": pythonpath}
    try:
        done = janitor.run([python, "-c", _LOOK, *NEEDED], cwd, variables, _SECONDS)
    except subprocess.TimeoutExpired:
        raise TorchgaugeError(
            f"{python} did not answer within {_SECONDS:g} s; choose another interpreter"
        ) from None
    except OSError as error:
        raise TorchgaugeError(
            f"{python} can't be run: {error.strerror}; choose another interpreter"
        ) from None
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    try:
        version, absent = json.loads(lines[-1])  # a sitecustomize may have printed before
    except (LookupError, ValueError, TypeError):
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or [
            f"exit code {done.returncode}, and no word"
        ]
        raise TorchgaugeError(f"{python} is no working Python ({said[-1]}); choose another one") from None
    if tuple(version) < _OLDEST:
        raise TorchgaugeError(
            f"{python} is Python {'.'.join(map(str, version))}, too old; choose one of 3.11 or later"
        )
    if absent:
        install = f"{shlex.quote(str(python))} -m pip install {' '.join(absent)}"
        raise TorchgaugeError(f"{python} lacks {', '.join(absent)}; run: {install}")
