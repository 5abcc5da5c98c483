"""Trees of a git repository: the one that is checked out, and exact copies of others.

A copy is made with an index, a work tree and a store of objects of its own, all in the folder of the copy.
`git worktree add` would leave an entry in the repository, and a killed process would leave it for ever.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from torchgauge.errors import TorchgaugeError
from torchgauge.measure import janitor

# A hook's GIT_DIR, GIT_INDEX_FILE and the like point elsewhere; of git's own variables these say how
# a repository may be read and reached.
_KEPT = ("GIT_CONFIG_", "GIT_SSH", "GIT_SSL_", "GIT_ASKPASS", "GIT_PROXY", "GIT_EXEC_PATH")
# What these settings of a user switch on would write into the repository, or run the user's hooks.
_PLAIN = ("core.fsmonitor=false", "core.hooksPath=/dev/null", "maintenance.auto=false", "gc.auto=0")
_NAME = re.compile(r"[^\s~^:?*\[\\@{}]+")
_SHORT = re.compile(r"[0-9a-f]{4,}")
_HASH = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


class _GitError(TorchgaugeError):
    """A git command failed; what it said is in it."""


@dataclass(frozen=True)
class Tree:
    """A tree of files: that of a repository, or a copy of it."""

    top: Path
    """Its uppermost folder."""
    folder: Path
    """The folder in it that corresponds to the one from which it was asked for; a copy may lack it."""
    revision: str | None
    """The full hash of the commit; None outside of a repository, and before its first commit."""
    dirty: bool
    """Whether it has changes that are in no commit, new files included."""
    submodules: tuple[str, ...] = ()
    """Those that a copy lacks."""


def present(folder: Path) -> Tree:
    """Describe the tree that a folder lies in, as it is: without git or a repository, the folder itself."""
    with suppress(TorchgaugeError):
        top = Path(_git(folder, "rev-parse", "--show-toplevel"))
        # finding renames would read files, and a partial clone would fetch them
        lines = _git(folder, "status", "--porcelain=v2", "--branch", "--no-renames").splitlines()
        heads = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# "))
        commit = heads.get("branch.oid")
        dirty = any(not line.startswith("#") for line in lines)
        return Tree(top, folder, None if commit == "(initial)" else commit, dirty)
    return Tree(folder, folder, None, False)


def copied(folder: Path, ref: str, into: Path) -> Tree:
    """Copy the tree of a commit; nothing is written outside of the folder `into`.

    Args:
        folder: any folder of the repository.
        ref: what names the commit: whatever `git rev-parse` takes.
        into: a folder that is there and empty.

    Raises:
        TorchgaugeError: there is no git, no repository, no such commit, or the copy failed.

    """
    try:
        repository = _git(folder, "rev-parse", "--absolute-git-dir")
    except _GitError as error:
        if "safe.directory" in str(error):
            raise
        raise TorchgaugeError(
            f"{folder} is in no git repository; run it from within one, or say here or python:PATH"
        ) from None
    objects = Path(folder, _git(folder, "rev-parse", "--git-path", "objects"))
    prefix = _git(folder, "rev-parse", "--show-prefix")
    top, own = into / "tree", into / "objects"
    top.mkdir()
    own.mkdir()
    places = {
        "GIT_DIR": repository,
        # with the user's own work tree, the attributes of the files in it would rule the copy
        "GIT_WORK_TREE": str(top),
        "GIT_INDEX_FILE": str(into / "index"),
        # a partial clone fetches what it lacks: into the copy
        "GIT_OBJECT_DIRECTORY": str(own),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": _quoted(objects),
    }
    commit = _commit(top, ref, places)
    if commit is None:
        raise TorchgaugeError(_cure(top, ref, places))
    try:
        _git(top, "read-tree", commit, places=places)
        _git(top, "checkout-index", "--all", places=places)
        entries = _git(top, "ls-files", "--stage", "-z", places=places).split("\0")
    except _GitError as error:
        raise TorchgaugeError(f"the tree of {commit[:12]} can't be copied: {error}") from None
    submodules = tuple(entry.partition("\t")[2] for entry in entries if entry.startswith("160000 "))
    return Tree(top, top / prefix, commit, False, submodules)


def _commit(folder: Path, ref: str, places: Mapping[str, str]) -> str | None:
    """Find the commit; in two steps, since a `^{commit}` behind `:/words` would be one of the words."""
    find = ("rev-parse", "--verify", "--quiet")
    try:
        found = _git(folder, *find, ref, places=places)
        # a range's end is written with a ^ before it
        return _git(folder, *find, f"{found}^{{commit}}", places=places) if _HASH.fullmatch(found) else None
    except _GitError:
        return None


def _cure(folder: Path, ref: str, places: Mapping[str, str]) -> str:
    """Say why a commit is not to be found, and what to do."""

    def known(name: str) -> bool:
        return _commit(folder, name, places) is not None

    remotes = _git(folder, "remote", places=places).split("\n")
    remote = "origin" if "origin" in remotes else remotes[0]
    if not ref.startswith(f"{remote}/") and known(f"refs/remotes/{remote}/{ref}"):
        return f"there is no branch {ref} here, but one of {remote}: say git:{remote}/{ref}"
    if _git(folder, "rev-parse", "--is-shallow-repository", places=places) == "true":
        return f"this clone is shallow and lacks it; run: git fetch {_missing(ref, remote)}"
    return "the repository has no such commit, branch or tag; look for it with: git log --oneline --all"


def _missing(ref: str, remote: str) -> str:
    """Give the words behind `git fetch` that bring a commit into a shallow clone."""
    name = ref.removeprefix(f"{remote}/")
    if _HASH.fullmatch(ref):
        what = ref
    elif not _NAME.fullmatch(ref) or _SHORT.fullmatch(ref):  # main~3, or the beginning of a hash
        return "--unshallow"
    elif name != ref:
        what = f"+{name}:refs/remotes/{ref}"
    else:
        what = f"{ref}:{ref}"
    return f"--depth 1 {remote} {shlex.quote(what)}"


def _git(folder: Path, *words: str, places: Mapping[str, str] | None = None) -> str:
    """Run git and give what it prints, without the last end of line.

    Raises:
        TorchgaugeError: git is missing.
        _GitError: it failed.

    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith(_KEPT)
    }
    # without its optional locks `git status` leaves the index as it is
    quiet = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    settings = [word for setting in _PLAIN for word in ("-c", setting)]
    try:
        done = janitor.run(["git", *settings, *words], folder, {**kept, **quiet, **(places or {})})
    except OSError as error:
        raise TorchgaugeError(
            f"git can't be run: {error.strerror}; install it, or say here or python:PATH"
        ) from None
    if done.returncode:
        raise _GitError(_said(os.fsdecode(done.stderr)) or f"git {words[0]}: exit code {done.returncode}")
    return os.fsdecode(done.stdout).removesuffix("\n")


def _said(text: str) -> str:
    """Find the one line that matters in what git says when it fails."""
    lines = [line.strip() for line in text.splitlines()]
    told = [line.partition(": ")[2] for line in lines if line.startswith(("fatal: ", "error: "))]
    cure = [line for line in lines if line.startswith("git config ")]  # a repository of another user
    return "; run: ".join([*told[:1], *cure[:1]])


def _quoted(path: Path) -> str:
    """Quote a path, so that a colon does not end it."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
