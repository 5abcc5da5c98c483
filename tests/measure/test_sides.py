"""Sides of real repositories in the shapes that users have: prepared, and gone again without a trace."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import torchgauge
from torchgauge.errors import TorchgaugeError
from torchgauge.measure import interpreter
from torchgauge.measure.sides import Side, Spec, parse, prepared

HERE = parse("here")
GIT = shutil.which("git")
pytestmark = pytest.mark.skipif(GIT is None, reason="git is not installed")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have temporary folders made where a test can see all of them, and nobody's own settings of git read."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    settings = tmp_path / "settings"
    settings.write_text("[user]\nname = n\nemail = e@example.org\n[init]\ndefaultBranch = main\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return place


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.removesuffix("\n")


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def commit(folder: Path, files: dict[str, str] | None = None) -> None:
    write(folder, files or {})
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "words of a message", "--allow-empty")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Make a repository of two commits, `first` and `second`, and a change in no commit."""
    folder = tmp_path / "a répo: of mine"
    folder.mkdir()
    git(folder, "init", "--quiet")
    commit(folder, {"src/pack": "first", "bench/bench_a": "first", "sub/inner": "inner"})
    git(folder, "tag", "first")
    commit(folder, {"src/pack": "second", "bench/bench_a": "second", "naïve ü": "text"})
    git(folder, "tag", "--annotate", "--message", "text", "second")
    write(folder, {"src/pack": "changed"})
    return folder


def plain(tmp_path: Path) -> Path:
    """Return a folder that may be on PYTHONPATH, unlike one with a colon."""
    return tmp_path / "plain"


def sides(repository: Path, base: str, head: str = "git:HEAD", source: str | None = None, bench_from="head"):
    return prepared(parse(base), parse(head), repository=repository, source=source, bench_from=bench_from)


def message(repository: Path, base: str, head: str = "git:HEAD", source: str | None = None) -> str:
    with pytest.raises(TorchgaugeError) as caught, sides(repository, base, head, source):
        pass
    text = str(caught.value)
    assert "\n" not in text
    assert not any(Path(tempfile.gettempdir()).iterdir())
    return text


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def contents(folder: Path) -> dict[str, str]:
    """Return all files of a folder and their hashes, with the times of the last change."""
    return {
        str(
            path.relative_to(folder)
        ): f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mtime_ns}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    } | {str(path.relative_to(folder)): "folder" for path in folder.rglob("*") if path.is_dir()}


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("here", Spec("here")),
        ("git:main", Spec("git", "main")),
        ("git:HEAD:x y", Spec("git", "HEAD:x y")),
        ("git::/words", Spec("git", ":/words")),
        ("python:/ü v/bin/python", Spec("python", "/ü v/bin/python")),
    ],
)
def test_a_side_is_named_in_one_of_three_ways(text: str, spec: Spec) -> None:
    assert parse(text) == spec
    assert str(spec) == text


def test_a_word_alone_is_a_reference_of_git() -> None:
    assert parse("main") == parse("git:main")


@pytest.mark.parametrize(
    "text",
    ["", "here:", "here:x", "git", "git:", "git: ", "git:--all", "git:a\nb", "python:", "GIT:main"],
)
def test_any_other_name_is_refused_with_those_that_are_allowed(text: str) -> None:
    with pytest.raises(TorchgaugeError) as caught:
        parse(text)
    told = str(caught.value)
    assert "\n" not in told
    assert all(word in told for word in ("git:REF", "python:PATH", "here"))


def test_a_git_side_is_a_copy_of_the_commit_and_here_is_the_checkout(
    repository: Path, temporary: Path
) -> None:
    first = git(repository, "rev-parse", "first")
    repository = repository.rename(repository.with_name("répo of mine"))
    with sides(repository, "git:first", "here", bench_from="each") as (base, head):
        assert base.root.is_relative_to(temporary)
        assert (base.root / "src/pack").read_text() == "first"
        assert not (base.root / "naïve ü").exists()
        assert base.path == (base.root / "src",)
        assert (base.revision, base.dirty, base.where) == (first, False, "base (git:first)")
        assert (base.spec, base.warnings) == (parse("git:first"), ())
        assert head.root == repository
        assert head.path == (repository / "src",)
        assert (head.revision, head.dirty) == (git(repository, "rev-parse", "HEAD"), True)
        assert head.where == "head (here)"
        assert base.python == head.python == Path(sys.executable)
    assert not any(temporary.iterdir())


def test_the_benches_of_both_sides_are_those_of_head(repository: Path) -> None:
    with sides(repository, "git:first", "git:second") as (base, head):
        assert base.root == head.root
        assert (base.root / "bench/bench_a").read_text() == "second"
        assert (base.path[0] / "pack").read_text() == "first"
    with sides(repository, "git:first", "git:second", bench_from="each") as (base, head):
        assert (base.root / "bench/bench_a").read_text() == "first"
        assert (head.root / "bench/bench_a").read_text() == "second"


def test_the_repository_stays_as_it_is_whatever_its_settings(repository: Path, tmp_path: Path) -> None:
    repository = repository.rename(repository.with_name("repo"))
    status = git(repository, "status", "--porcelain")
    assert status == " M src/pack"
    ran = tmp_path / "ran"
    git(repository, "config", "core.fsmonitor", str(script(tmp_path / "monitor", f"touch '{ran}'")))
    script(repository / ".git/hooks/post-index-change", f"touch '{ran}'")
    script(repository / ".git/hooks/post-checkout", f"touch '{ran}'")
    git(repository, "config", "core.splitIndex", "true")
    git(repository, "config", "core.untrackedCache", "true")
    os.utime(repository / "bench/bench_a")  # now a `git status` would like to write the index
    before = contents(repository)
    with sides(repository, "git:first", "here"):
        assert contents(repository) == before
    with pytest.raises(TorchgaugeError), sides(repository, "git:nothing", "here"):
        pass
    assert contents(repository) == before
    assert not ran.exists()
    assert git(repository, "-c", "core.fsmonitor=false", "status", "--porcelain") == status


def test_a_checkout_that_is_compared_with_itself_stays_as_it_is(repository: Path) -> None:
    repository = repository.rename(repository.with_name("repo"))
    os.utime(repository / "bench/bench_a")
    before = contents(repository)
    with sides(repository, "here", "here") as (base, head):
        assert base.path == head.path
    assert contents(repository) == before


@pytest.mark.parametrize(
    "ref", ["first", "second~1", "HEAD^", ":/words of", "refs/tags/first", "second^{commit}", "second"]
)
def test_a_commit_can_be_named_in_every_way_of_git(repository: Path, ref: str) -> None:
    expected = git(
        repository, "rev-parse", "HEAD" if ref in (":/words of", "second", "second^{commit}") else "HEAD~1"
    )
    with sides(repository, f"git:{ref}") as (base, _):
        assert base.revision == expected


def test_links_and_executable_bits_are_kept_and_attributes_are_the_commits_own(repository: Path) -> None:
    (repository / "run").write_text("#!/bin/sh\n")
    (repository / "run").chmod(0o755)
    (repository / "link").symlink_to("src/pack")
    (repository / "nowhere").symlink_to("/nowhere")
    (repository / "folder").symlink_to("src")
    commit(repository, {".gitattributes": "*.txt eol=crlf\n", "lines.txt": "a\nb\n"})
    git(repository, "tag", "third")
    commit(repository, {".gitattributes": "*.txt eol=lf\n"})
    with sides(repository, "git:third") as (base, _):
        top = base.path[0].parent
        assert os.access(top / "run", os.X_OK)
        assert not os.access(top / "src/pack", os.X_OK)
        assert [str((top / name).readlink()) for name in ("link", "nowhere", "folder")] == [
            "src/pack",
            "/nowhere",
            "src",
        ]
        assert (top / "lines.txt").read_bytes() == b"a\r\nb\r\n"


def test_a_subdirectory_has_its_counterpart_in_the_copy(repository: Path) -> None:
    with sides(repository / "sub", "git:first") as (base, head):
        assert base.root == head.root
        assert (head.root / "inner").read_text() == "inner"
        assert base.path == (base.path[0].parent / "src",)
        assert (base.path[0] / "pack").read_text() == "first"
    write(repository, {"new/file": "text"})
    told = message(repository / "new", "git:first")
    assert told.startswith("head (git:HEAD): ")
    assert "no folder new" in told


def test_the_nearest_sources_are_taken_and_those_that_are_named_before_them(repository: Path) -> None:
    commit(repository, {"sub/src/pack": "sub", "sub/lib/pack": "lib"})
    with sides(repository / "sub", "git:HEAD") as (base, _):
        assert (base.path[0] / "pack").read_text() == "sub"
    with sides(repository / "sub", "git:HEAD", source="lib") as (base, head):
        assert [(side.path[0] / "pack").read_text() for side in (base, head)] == ["lib", "lib"]
    with sides(repository / "sub", "git:HEAD", source="../src") as (base, _):
        assert (base.path[0] / "pack").read_text() == "changed"
    told = message(repository, "git:first", source="sub/lib")
    assert told.startswith("base (git:first): --source sub/lib: there is no such folder")
    for outside in ("..", "/", "../../.."):
        assert "leads out of the tree" in message(repository, "git:first", source=outside)


def test_without_a_src_the_sources_are_the_top_of_the_tree(repository: Path) -> None:
    git(repository, "rm", "-rq", "--force", "src")
    commit(repository)
    with sides(repository / "sub", "git:first", "git:HEAD") as (base, head):
        assert base.path[0].name == "src"
        assert head.path == (head.root.parent,)


def test_a_linked_worktree_has_a_head_of_its_own(repository: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked tree"
    git(repository, "worktree", "add", "--quiet", "--detach", str(linked), "first")
    before = contents(repository / ".git")
    with sides(linked, "git:HEAD", "git:second") as (base, head):
        assert (base.path[0] / "pack").read_text() == "first"
        assert (head.path[0] / "pack").read_text() == "second"
    with sides(linked, "here", "here") as (base, _):
        assert (base.root, base.dirty) == (linked, False)
    assert contents(repository / ".git") == before


def test_the_variables_of_a_hook_are_not_heeded(repository: Path, tmp_path: Path, monkeypatch) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "other")
    for name, value in {
        "GIT_DIR": tmp_path / "other",
        "GIT_INDEX_FILE": tmp_path / "no-index",
        "GIT_WORK_TREE": tmp_path,
        "GIT_OBJECT_DIRECTORY": tmp_path / "no-objects",
        "GIT_PREFIX": "sub/",
    }.items():
        monkeypatch.setenv(name, str(value))
    with sides(repository, "git:first") as (base, _):
        assert (base.path[0] / "pack").read_text() == "first"
    assert not (tmp_path / "no-index").exists()


def test_submodules_are_left_out_with_a_warning(repository: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    commit(other, {"file": "text"})
    git(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "mod ü")
    commit(repository)
    with sides(repository, "git:HEAD", "git:first") as (base, head):
        assert base.warnings == ("base (git:HEAD): submodules are not copied: mod ü",)
        assert head.warnings == ()
        assert list((base.path[0].parent / "mod ü").iterdir()) == []


def test_a_partial_clone_fetches_into_the_copy_alone(repository: Path, tmp_path: Path) -> None:
    git(repository, "config", "uploadpack.allowFilter", "true")
    git(repository, "config", "uploadpack.allowAnySHA1InWant", "true")
    git(tmp_path, "clone", "--quiet", "--filter=blob:none", repository.as_uri(), "partial")
    before = contents(tmp_path / "partial")
    with sides(tmp_path / "partial", "git:first") as (base, _):
        assert (base.path[0] / "pack").read_text() == "first"
    assert contents(tmp_path / "partial") == before


def test_a_sparse_checkout_is_copied_whole(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--sparse", repository.as_uri(), "sparse")
    assert not (tmp_path / "sparse/src").exists()
    before = contents(tmp_path / "sparse")
    with sides(tmp_path / "sparse", "git:HEAD", "here", bench_from="each") as (base, head):
        assert (base.path[0] / "pack").read_text() == "second"
        assert (head.path, head.dirty) == ((tmp_path / "sparse",), False)
    assert contents(tmp_path / "sparse") == before


@pytest.mark.parametrize(
    ("ref", "cure"),
    [
        ("first", "--depth 1 origin first:first"),
        ("origin/other", "--depth 1 origin +other:refs/remotes/origin/other"),
        ("HASH", "--depth 1 origin HASH"),
    ],
)
def test_a_shallow_clone_is_told_what_to_fetch(repository: Path, tmp_path: Path, ref: str, cure: str) -> None:
    git(repository, "branch", "other", "first")
    git(repository, "config", "uploadpack.allowAnySHA1InWant", "true")
    clone = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth", "1", "--no-tags", repository.as_uri(), str(clone))
    ref, cure = (text.replace("HASH", git(repository, "rev-parse", "first")) for text in (ref, cure))
    told = message(clone, f"git:{ref}")
    assert told == f"base (git:{ref}): this clone is shallow and lacks it; run: git fetch {cure}"
    git(clone, *told.rpartition("run: git ")[2].split())
    with sides(clone, f"git:{ref}") as (base, _):
        assert (base.path[0] / "pack").read_text() == "first"


def test_a_shallow_clone_must_be_whole_to_count_back(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--depth", "1", repository.as_uri(), "shallow")
    for ref in ("HEAD~1", git(repository, "rev-parse", "--short", "first")):
        assert message(tmp_path / "shallow", f"git:{ref}").endswith("run: git fetch --unshallow")


@pytest.mark.parametrize("ref", ["mian", "HEAD:src", "first..second", "^first", "0" * 40, "HEAD:src/pack"])
def test_what_is_no_commit_is_named(repository: Path, ref: str) -> None:
    told = message(repository, f"git:{ref}")
    assert told.startswith(f"base (git:{ref}): the repository has no such commit, branch or tag")


def test_a_branch_that_only_the_remote_has_is_suggested(repository: Path, tmp_path: Path) -> None:
    git(repository, "branch", "other", "first")
    git(tmp_path, "clone", "--quiet", repository.as_uri(), "clone")
    assert message(tmp_path / "clone", "git:other").endswith("say git:origin/other")


def test_a_repository_before_its_first_commit_has_no_revision(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "empty")
    with sides(tmp_path / "empty", "here", "here") as (base, _):
        assert (base.revision, base.dirty) == (None, False)
    assert "no such commit" in message(tmp_path / "empty", "git:HEAD")


def test_a_commit_whose_files_are_lost_is_refused(repository: Path) -> None:
    blob = git(repository, "rev-parse", "first:src/pack")
    lost = repository / ".git/objects" / blob[:2] / blob[2:]
    lost.chmod(0o644)
    lost.unlink()
    assert "can't be copied: " in message(repository, "git:first")


def test_outside_of_any_repository_only_a_git_side_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with sides(folder, "here", "here") as (base, _):
        assert (base.root, base.path, base.revision, base.dirty) == (folder, (folder,), None, False)
    assert "is in no git repository; run it from within one" in message(folder, "git:main")
    assert "no such folder" in message(tmp_path / "absent", "here", "here")


def test_without_git_only_a_git_side_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with sides(tmp_path, "here", "here") as (base, _):
        assert base.revision is None
    assert "git can't be run: No such file or directory; install it" in message(tmp_path, "git:main")


def test_a_failing_second_side_leaves_nothing_of_the_first(repository: Path) -> None:
    assert message(repository, "git:first", "git:mian").startswith("head (git:mian): ")


def test_a_folder_of_sources_that_pythonpath_cannot_hold_is_refused(repository: Path) -> None:
    assert "a : can't be in a folder of sources" in message(repository, "git:first", "here")


def test_without_room_for_the_copies_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with (
        pytest.raises(TorchgaugeError, match="No such file or directory; say with TMPDIR"),
        sides(tmp_path, "here", "here"),
    ):
        pass


def ask(side: Side, code: str, **variables: str) -> str:
    """Run code as a process of a side."""
    environment = {**os.environ, "PYTHONPATH": side.pythonpath(), **variables}
    done = subprocess.run(
        [side.python, "-P", "-c", code], cwd=side.root, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.removesuffix("\n")


def test_both_sides_import_this_torchgauge_and_sources_of_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "repo"
    git(tmp_path, "init", "--quiet", "repo")
    commit(folder, {"src/pack.py": "word = 1", "src/torchgauge/__init__.py": "", "src/only.py": "word = 7"})
    git(folder, "tag", "first")
    git(folder, "rm", "--quiet", "src/only.py")
    write(folder, {"src/pack.py": "word = 2", "src/torchgauge/__init__.py": "word = 3"})
    code = "import pack, torchgauge, os\nprint(pack.word, os.path.realpath(torchgauge.__file__))"
    with sides(folder, "git:first", "here") as (base, head):
        assert ask(base, code) == f"1 {torchgauge.__file__}"
        assert ask(head, code) == f"2 {torchgauge.__file__}"
        assert [path.name for path in base.gauge.iterdir()] == ["torchgauge"]


def test_an_inherited_pythonpath_stays_behind_and_means_what_it_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    write(folder, {"mine/extra.py": "", "src/pack.py": ""})
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", "mine::/absent")
    with sides(folder, "here", "here") as (base, _):
        assert base.pythonpath().split(":") == [str(base.gauge), f"{folder}/src", f"{folder}/mine", "/absent"]
        assert base.pythonpath("") == f"{base.gauge}:{folder}/src"
        assert ask(base, "import extra, pack; print(extra.__file__)") == f"{folder}/mine/extra.py"


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Make the folder of a virtual environment that has what is needed, or what passes for it."""
    folder = tmp_path / "an environment"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/python").symlink_to(os.path.realpath(sys.executable))
    (folder / "pyvenv.cfg").write_text(f"home = {Path(os.path.realpath(sys.executable)).parent}\n")
    packages = folder / f"lib/python3.{sys.version_info.minor}/site-packages"
    for name in interpreter.NEEDED:
        write(packages, {f"{name}/__init__.py": "raise SystemExit('was imported')"})
    return folder


def test_an_interpreter_is_a_file_or_the_folder_of_an_environment(
    environment: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = repository.rename(repository.with_name("repo"))
    monkeypatch.chdir(environment.parent)
    monkeypatch.setenv("PATH", f"{environment / 'bin'}:{os.environ['PATH']}")
    for text in (
        environment,
        f"{environment}/bin/python",
        environment.name,
        f"./{environment.name}/bin/python",
        "python",
    ):
        with sides(repository, f"python:{text}", "here") as (base, head):
            assert base.python == environment / "bin/python"
            assert (base.root, base.path, base.revision, base.dirty) == (
                head.root,
                head.path,
                head.revision,
                True,
            )
            assert ask(base, "import sys; print(sys.prefix)") == str(environment)


def test_an_interpreter_that_lacks_packages_is_told_which(environment: Path, tmp_path: Path) -> None:
    packages = environment / f"lib/python3.{sys.version_info.minor}/site-packages"
    shutil.rmtree(packages / "torch")
    (packages / "rich/__init__.py").unlink()  # a folder that was left over
    work = tmp_path / "work"
    write(work, {"torch/__init__.py": "", "src/pack.py": ""})
    python = environment / "bin/python"
    told = message(work, f"python:{environment}", "here")
    cure = f"run: '{python}' -m pip install torch rich"
    assert told == f"base (python:{environment}): {python} lacks torch, rich; {cure}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("echo hello; echo '[[3, 9, 2], []]'", "is Python 3.9.2, too old; choose one of 3.11 or later"),
        ("echo one >&2; echo two >&2; exit 1", "is no working Python (two); choose another one"),
        ("exit 4", "is no working Python (exit code 4, and no word); choose another one"),
        ("echo 12", "is no working Python (exit code 0, and no word); choose another one"),
        ("sleep 600", "did not answer within 0.2 s; choose another interpreter"),
    ],
)
def test_what_is_no_fitting_interpreter_is_told_so(tmp_path, monkeypatch, text: str, told: str) -> None:
    monkeypatch.setattr(interpreter, "_SECONDS", 0.2 if "sleep" in text else 60.0)
    path = script(tmp_path / "it", text)
    assert message(tmp_path, "here", f"python:{path}") == f"head (python:{path}): {path} {told}"


def test_an_interpreter_that_cannot_be_started_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    (tmp_path / "broken").write_bytes(b"\0\1\2")
    (tmp_path / "broken").chmod(0o755)
    for name, told in {
        "absent": "is not there; name an interpreter",
        "text": "can't be executed; name an interpreter",
        "broken": "can't be run: Exec format error; choose another interpreter",
        ".": "has no bin/python; name the folder of a virtual environment",
    }.items():
        assert told in message(tmp_path, "here", f"python:{tmp_path / name}")


def test_killed_in_the_midst_of_a_copy_nothing_is_left(
    repository: Path, tmp_path: Path, temporary: Path
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    mark = tmp_path / "mark"
    script(
        tools / "git",
        f"case \"$*\" in *checkout-index*) echo $$ > '{mark}.new'; mv '{mark}.new' '{mark}'; sleep 600;; "
        "esac\n"
        f'exec {GIT} "$@"',
    )
    code = f"""
from pathlib import Path
from torchgauge.measure.sides import parse, prepared
with prepared(parse("git:first"), parse("git:second"), repository=Path({str(repository)!r}), source=None,
              bench_from="head"):
    pass
"""
    variables = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    variables["PYTHONPATH"] = str(Path(torchgauge.__file__).parents[1])
    before = contents(repository)
    with subprocess.Popen([sys.executable, "-S", "-c", code], env=variables) as holder:
        until(mark.exists)
        assert any(temporary.iterdir())
        holder.send_signal(signal.SIGKILL)
    copying = int(mark.read_text())
    until(lambda: not any(temporary.iterdir()) and not running(copying))
    assert contents(repository) == before


def running(process: int) -> bool:
    """Tell whether a process runs; one that nobody has waited for does not."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True)
    return done.stdout.strip()[:1] not in ("", "Z")


def until(true, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
