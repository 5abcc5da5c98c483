"""The two sides of a Comparison: which interpreter and which sources each is measured with.

Both are prepared before anything is timed, in a temporary folder of which nothing is left afterwards. The
user's checkout and its repository are read and never written.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from torchgauge.errors import TorchgaugeError
from torchgauge.measure import checkout, interpreter, janitor
from torchgauge.measure.reasons import printable

Kind = Literal["git", "python", "here"]
_ALLOWED = "git:REF (a commit, branch or tag), python:PATH (an interpreter or a virtual environment) or here"


@dataclass(frozen=True)
class Spec:
    """What the user calls a side: `git:REF` (or REF alone), `python:PATH` or `here`."""

    kind: Kind
    argument: str = ""

    def __str__(self) -> str:
        return self.kind if self.kind == "here" else f"{self.kind}:{self.argument}"


@dataclass(frozen=True)
class Side:
    """One side, prepared."""

    spec: Spec
    python: Path
    """The interpreter, an absolute path."""
    path: tuple[Path, ...]
    """Folders that come first on PYTHONPATH: that of the side's own sources."""
    root: Path
    """Where its benches are looked for, and the working directory of its processes."""
    revision: str | None
    """The full hash of the commit that its sources are of; None where there is none."""
    dirty: bool
    """Whether its sources have changes that are in no commit."""
    where: str
    """What messages call it: `base (git:main)`."""
    gauge: Path
    """A folder with nothing in it but a link to this torchgauge."""
    warnings: tuple[str, ...] = ()
    """What the reader of its numbers must know, one line each."""

    def pythonpath(self, inherited: str | None = None) -> str:
        """Give the PYTHONPATH of the side's processes: this torchgauge, its sources, what was inherited.

        A process started with `-m` looks in its working directory before all that: start it with `-P`.

        Args:
            inherited: the PYTHONPATH that comes last; None for that of this process.

        """
        last = os.environ.get("PYTHONPATH", "") if inherited is None else inherited
        # relative to our working directory, which is not that of the side's processes
        kept = [str(Path(entry).absolute()) for entry in last.split(os.pathsep) if entry]
        return os.pathsep.join([str(self.gauge), *map(str, self.path), *kept])


def parse(text: str) -> Spec:
    """Read what the user calls a side. A word without a colon that is not `here` is a REF of git.

    Raises:
        TorchgaugeError: it is none of the three.

    """
    kind, colon, argument = text.partition(":")
    if not colon and text not in ("here", "git", "python"):
        kind, argument = "git", text
    if kind == "here" and not colon:
        return Spec("here")
    # git would take a leading dash for an option, and a message has one line
    if argument.strip() and not argument.startswith("-") and not set(argument) & set("\0\r\n"):
        if kind == "git":
            return Spec("git", argument)
        if kind == "python":
            return Spec("python", argument)
    raise TorchgaugeError(f"{text!r} is no side; say {_ALLOWED}")


@contextmanager
def prepared(
    base: Spec, head: Spec, *, repository: Path, source: str | None, bench_from: Literal["head", "each"]
) -> Iterator[tuple[Side, Side]]:
    """Prepare both sides; afterwards, and if this process is killed, nothing of them is left.

    Args:
        base: what head is compared with.
        head: what is judged.
        repository: the folder that bench paths are relative to; anywhere in a git repository if a side is
            of git. It has a counterpart in every copy.
        source: the folder of the sources, relative to `repository`; None for the nearest `src` from there
            upwards, else the top of the tree.
        bench_from: whose benches both sides run.

    Raises:
        TorchgaugeError: a side can't be had.

    """
    if not repository.is_dir():
        raise TorchgaugeError(f"{repository}: no such folder; run it from the folder of your benches")
    repository = repository.resolve()
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(janitor.folder())
            gauge = linked(folder)
            first = _side("base", base, repository, source, folder, gauge)
            second = _side("head", head, repository, source, folder, gauge)
        except OSError as error:
            raise TorchgaugeError(
                f"the sides can't be prepared in {tempfile.gettempdir()}: {error.strerror}; "
                "say with TMPDIR where there is room"
            ) from None
        if bench_from == "head":
            first = replace(first, root=second.root)
        for side in (second, first):  # a root that isn't there is head's, where both have one
            _check(side, repository)
        yield first, second


def linked(folder: Path) -> Path:
    """Make a folder in `folder` from which this torchgauge can be imported, and nothing else.

    First on PYTHONPATH, it has both sides measured by the same torchgauge, also where an environment has
    another or none, and where the sources of a side are those of torchgauge.
    """
    place = folder / "gauge"
    place.mkdir()
    package = Path(__file__).resolve().parents[1]
    (place / package.name).symlink_to(package, target_is_directory=True)
    return place


def _side(role: str, spec: Spec, repository: Path, source: str | None, folder: Path, gauge: Path) -> Side:
    where = f"{role} ({spec})"
    try:
        if spec.kind == "git":
            copy = folder / role
            copy.mkdir()
            tree = checkout.copied(repository, spec.argument, copy)
        else:
            tree = checkout.present(repository)
        python = Path(sys.executable).absolute()
        if spec.kind == "python":
            python = interpreter.find(spec.argument)
        sources = _sources(tree, source)
    except TorchgaugeError as error:
        raise TorchgaugeError(f"{where}: {error}") from None
    submodules = printable(", ".join(tree.submodules))
    warnings = [f"{where}: submodules are not copied: {submodules}"] if submodules else []
    return Side(
        spec=spec,
        python=python,
        path=(sources,),
        root=tree.folder,
        revision=tree.revision,
        dirty=tree.dirty,
        where=where,
        gauge=gauge,
        warnings=tuple(warnings),
    )


def _sources(tree: checkout.Tree, source: str | None) -> Path:
    """Find the folder of a tree's sources."""
    top = tree.top.resolve()
    if source is not None:
        found = (tree.folder / source).resolve()
        if Path(source).is_absolute() or not found.is_relative_to(top):
            raise TorchgaugeError(
                f"--source {source}: leads out of the tree; name a folder in it, such as src"
            )
        if not found.is_dir():
            raise TorchgaugeError(f"--source {source}: there is no such folder; both sides need it")
    else:
        above = [folder for folder in (tree.folder, *tree.folder.parents) if folder.is_relative_to(top)]
        found = next((folder / "src" for folder in above if (folder / "src").is_dir()), top)
    if os.pathsep in str(found):
        raise TorchgaugeError(f"{found}: a {os.pathsep} can't be in a folder of sources; rename it")
    return found


def _check(side: Side, repository: Path) -> None:
    try:
        if not side.root.is_dir():
            raise TorchgaugeError(f"the commit has no folder {repository.name}; run it from one that it has")
        if side.spec.kind == "python":
            interpreter.check(side.python, side.pythonpath(), side.root)
    except TorchgaugeError as error:
        raise TorchgaugeError(f"{side.where}: {error}") from None
