"""A process under valgrind's callgrind: how it is started, and what its dumps say.

torch brings the client requests that switch collecting on and off around a stretch of code. Importing
torch under full instrumentation takes minutes, so that a process begins without it and asks for it
when the first call is to be counted.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torchgauge.errors import TorchgaugeError

DUMPS = "TORCHGAUGE_CALLGRIND"
"""The environment variable that tells a process under callgrind where its dumps go."""

# What a benchmark's own code may need. All else is left out: the size of the environment shifts the
# stack, and with it a few counts.
_KEPT = re.compile(
    r"(PATH|HOME|USER|LANG|LC_\w+|TZ|TMPDIR|LD_LIBRARY_PATH|PYTHONPATH|PYTHONSAFEPATH|VIRTUAL_ENV|CONDA_PREFIX|"
    r"XDG_\w+|(ATEN|TORCH|DNNL|ONEDNN|TORCHGAUGE)_\w+|MKL_CBWR|PYTEST_\w+)"
)
_COSTS = tuple("0123456789+-*")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Dump:
    """The instructions of one stretch of code, as callgrind wrote them down.

    Raises:
        TorchgaugeError: the text is not whole.

    """

    text: str

    @property
    def total(self) -> int:
        """All of them. Near the end, so that not all is read under valgrind, where it takes long."""
        words = self.text[self.text.rfind("\ntotals:") :].split()
        if len(words) < 2 or words[0] != "totals:" or not words[1].isdigit():
            raise TorchgaugeError("callgrind left counts that are not whole; is the disk full?")
        return int(words[1])

    @property
    def functions(self) -> dict[str, int]:
        """Each function's own, without those of the functions that it calls."""
        return self._parsed[0]

    @property
    def callees(self) -> dict[str, int]:
        """Of each function that was called its own and those of all that it calls."""
        return self._parsed[1]

    @cached_property
    def _parsed(self) -> tuple[dict[str, int], dict[str, int]]:
        return parse(self.text.splitlines())


def missing() -> str | None:
    """Give the reason and the cure where a process can't be run under callgrind; needs no torch."""
    if sys.platform != "linux":
        return f"instructions are counted by valgrind on Linux, this is {sys.platform}"
    absent = [name for name in ("valgrind", "callgrind_control") if shutil.which(name) is None]
    return f"{absent[0]} is missing: install your system's package valgrind" if absent else None


def lacking(device: str) -> str | None:
    """Give the reason why the calls of a device can't be counted; None where they can."""
    if device != "cpu":
        return "instructions are counted on the CPU alone: say --device cpu"
    import torch  # only here: who starts the process has no use for it

    supported = getattr(torch._C, "_valgrind_supported_platform", None)
    if supported is None or not supported():
        return "this torch was built without callgrind's bindings: install one of PyTorch's own builds"
    return missing()


def command(folder: Path) -> list[str]:
    """Give the words that stand before a command to run it under callgrind, with its dumps in `folder`."""
    return [
        "valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", "--collect-atstart=no",
        "--dump-line=no", f"--callgrind-out-file={folder / 'dump'}", f"--log-file={folder / 'log'}",
    ]  # fmt: skip


def environment(variables: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Give a process under callgrind what makes its counts repeat: one thread, one hash seed."""
    kept = {name: value for name, value in variables.items() if _KEPT.fullmatch(name)}
    return kept | dict.fromkeys(_THREADS, "1") | {"PYTHONHASHSEED": "0", DUMPS: str(folder / "dump")}


class Callgrind:
    """This process, under callgrind.

    Raises:
        TorchgaugeError: it is not.

    """

    def __init__(self) -> None:
        if DUMPS not in os.environ:
            raise TorchgaugeError("instructions are counted in a process under valgrind: use torchgauge run")
        import torch
        import torch._dynamo  # an optimizer imports it at its first use: 20 s once instrumentation is on

        self._dumps = Path(os.environ[DUMPS])
        self._toggle: Callable[[], None] = torch._C._valgrind_toggle
        self._toggle_and_dump: Callable[[], None] = torch._C._valgrind_toggle_and_dump_stats
        self._dumped = 0
        self._instrumented = False

    def count(self, loops: Iterable[Callable[[], None]]) -> Dump:
        """Run the loops one after another and count their instructions, and none between them.

        Raises:
            TorchgaugeError: callgrind wrote no dump.

        """
        if not self._instrumented:
            self._instrument()
        for loop in loops:
            self._toggle()
            loop()
            self._toggle()
        self._toggle()
        self._toggle_and_dump()
        self._dumped += 1
        path = self._dumps.with_name(f"{self._dumps.name}.{self._dumped}")
        try:
            return Dump(path.read_text("utf-8", "replace"))
        except OSError as error:
            raise TorchgaugeError(f"callgrind left no counts: {path}: {error.strerror}") from None
        finally:
            path.unlink(missing_ok=True)

    def _instrument(self) -> None:
        """Switch instrumentation on. Valgrind looks for the request now and then while code runs; it needs
        no permission to trace a process, as it would to wake one that sleeps."""
        asking = subprocess.Popen(
            ["callgrind_control", "-i", "on", str(os.getpid())],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while asking.poll() is None:
            pass
        if asking.returncode:
            raise TorchgaugeError(f"callgrind_control failed (exit code {asking.returncode})")
        self._instrumented = True


def parse(lines: Iterable[str]) -> tuple[dict[str, int], dict[str, int]]:
    """Read a dump (the Callgrind profile format of valgrind's manual).

    Names are given once and numbered, `fn=(3) at::add`; a line of numbers is a cost of the function
    named last, except behind `calls=`, where it is what the callee cost, `cfn=`, with all below it.

    Returns:
        Each function's own cost, and the cost of all calls of a function, with what these call.

    """
    names: dict[str, str] = {}
    own: dict[str, int] = defaultdict(int)
    below: dict[str, int] = defaultdict(int)
    function = called = ""
    callee = False
    for line in lines:
        if line.startswith(_COSTS):
            if callee:
                callee = False
                below[called] += int(line.split()[1])
            else:
                own[function] += int(line.split()[1])
        elif line.startswith("calls="):
            callee = True
        elif line.startswith(("fn=", "cfn=")):
            key, _, name = line.partition("=")[2].strip().partition(" ")
            if name:
                names[key] = name
            if line.startswith("fn="):
                function = names.get(key, key)
            else:
                called = names.get(key, key)
    return dict(own), dict(below)
