"""Clearing up with real processes and real kills: all is gone, however the process that made it went."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import torchgauge
from torchgauge.measure import janitor

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are read from /proc")

SLEEPS = "import time\ntime.sleep(600)"
# the leader of a group, one more in it, and one that ignores what can be ignored
FAMILY = f"""
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-S", "-c", {SLEEPS!r}])
print(child.pid, flush=True)
time.sleep(600)
"""
HOLDER = f"""
import os, subprocess, sys, time
from torchgauge.measure import janitor
with janitor.folder() as folder:
    (folder / "inside").mkdir()
    (folder / "inside/file").write_text("text")
    leader = subprocess.Popen(
        [sys.executable, "-S", "-c", {FAMILY!r}], stdout=subprocess.PIPE, start_new_session=True, cwd=folder
    )
    janitor.watch(leader.pid)
    print(folder, leader.pid, int(leader.stdout.readline()), flush=True)
    MORE
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have temporary folders made where a test can see all of them."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Collect what a test starts; it is killed afterwards."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def start(code: str, **options) -> subprocess.Popen[str]:
    variables = {**os.environ, "PYTHONPATH": str(Path(torchgauge.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, text=True, env=variables, **options
    )


def sleeper(**options) -> subprocess.Popen[str]:
    return start(SLEEPS, start_new_session=True, **options)


def state(process: int) -> str:
    """Return the letter of proc(5), "" for one that is gone; so is a zombie, which nobody may wait for."""
    try:
        letter = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[0].decode()
    except OSError:
        return ""
    return letter.replace("Z", "").replace("X", "")


def children(process: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_bytes().rpartition(b")")[2].split()[1])
            except OSError:
                continue
            if parent == process:
                found.append(int(entry.name))
    return found


def janitors(process: int) -> list[int]:
    return [
        child for child in children(process) if b"janitor.py" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def wait(what: str, until: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_of_a_process_that_is_killed(number: int, temporary: Path, started: list) -> None:
    holder = start(HOLDER.replace("MORE", ""), stderr=subprocess.DEVNULL)
    started.append(holder)
    folder, leader, member = holder.stdout.readline().rsplit(maxsplit=2)
    everyone = [int(leader), int(member), *janitors(holder.pid)]
    assert len(everyone) == 3
    assert Path(folder).is_dir()
    assert all(map(state, everyone))
    holder.send_signal(number)
    holder.wait(30)
    wait("the folder to go", lambda: not any(temporary.iterdir()))
    wait("all processes to end", lambda: not any(map(state, everyone)))


def test_a_fork_keeps_the_janitor_from_nothing_and_removes_nothing(temporary: Path, started: list) -> None:
    fork = "if os.fork() == 0: sys.exit()\n    os.wait()\n    if os.fork() == 0: time.sleep(600)"
    holder = start(HOLDER.replace("MORE", f"{fork}\n    print(folder.exists(), flush=True)"))
    started.append(holder)
    holder.stdout.readline()
    assert holder.stdout.readline() == "True\n"
    forks = [pid for pid in children(holder.pid) if SLEEPS not in Path(f"/proc/{pid}/cmdline").read_text()]
    forks = [pid for pid in forks if pid not in janitors(holder.pid) and os.getpgid(pid) == os.getpgid(0)]
    assert len(forks) == 1
    try:
        holder.kill()
        wait("the folder to go", lambda: not any(temporary.iterdir()))
        assert state(forks[0])
    finally:
        os.kill(forks[0], signal.SIGKILL)


def test_the_folder_is_private_and_gone_afterwards_with_all_that_is_watched() -> None:
    with janitor.folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        wait(
            "the janitor's name to be its own", lambda: janitors(os.getpid())
        )  # a busy machine shows it late
        (servant,) = janitors(os.getpid())
        left = sleeper()
        janitor.watch(left.pid)
    assert not folder.exists()
    assert not state(servant)
    assert left.wait(30) == -signal.SIGKILL
    left.stdout.close()


def test_an_exception_passes_through_and_leaves_nothing(temporary: Path) -> None:
    with pytest.raises(KeyboardInterrupt), janitor.folder():
        raise KeyboardInterrupt
    assert not any(temporary.iterdir())
    assert not janitors(os.getpid())


def test_the_folder_of_a_crowd_that_is_still_written_to_goes_too() -> None:
    writes = "import itertools\nfor n in itertools.count(): open(str(n), 'w').close()"
    with janitor.folder() as folder:
        writer = start(writes, start_new_session=True, cwd=folder)
        janitor.watch(writer.pid)
        wait("a file", lambda: any(folder.iterdir()))
    assert not folder.exists()
    writer.communicate()


def test_who_is_forgotten_is_spared(started: list) -> None:
    with janitor.folder():
        spared = sleeper()
        started.append(spared)
        janitor.watch(spared.pid)
        janitor.forget(spared.pid)
    assert state(spared.pid)


def test_a_group_that_got_the_number_of_another_is_spared(started: list) -> None:
    spared = sleeper()
    started.append(spared)
    duties = janitor.Duties()
    duties.take({"group": spared.pid, "started": 1})
    duties.do()
    assert state(spared.pid)
    duties.take({"group": spared.pid, "started": None})  # where there is no /proc nobody can tell
    duties.do()
    assert not state(spared.pid)


def test_where_there_is_no_proc_groups_are_killed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list
) -> None:
    monkeypatch.setattr(janitor, "_PROC", tmp_path)
    left = sleeper()
    started.append(left)
    with janitor.folder():
        janitor.watch(left.pid)
        janitor.forget(left.pid)
    duties = janitor.Duties()
    duties.take({"group": left.pid, "started": None})
    assert state(left.pid)
    duties.do(patience=0.1)
    wait("the group to end", lambda: not state(left.pid))
    left.wait()
    duties.do()  # and once more, when it is gone


def test_the_rest_of_a_group_is_killed_though_its_leader_is_gone() -> None:
    leader = start(FAMILY, start_new_session=True)
    member = int(leader.stdout.readline())
    with janitor.folder():
        janitor.watch(leader.pid)
        leader.kill()
        leader.wait()
        assert state(member)
    wait("the member to end", lambda: not state(member))
    leader.stdout.close()


def test_the_janitor_goes_last(temporary: Path) -> None:
    with janitor.folder() as folder:
        (servant,) = janitors(os.getpid())
        # only once it waits for its first word has it come to ignore them
        wait("the janitor to listen", lambda: folder_told(servant))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(servant, number)
        assert state(servant)
        assert os.getsid(servant) == servant
    assert not folder.exists()


def folder_told(servant: int) -> bool:
    ignored = next(
        line
        for line in Path(f"/proc/{servant}/status").read_text().splitlines()
        if line.startswith("SigIgn:")
    )
    return bool(int(ignored.split()[1], 16) & 1 << signal.SIGHUP - 1)


def test_where_the_janitor_was_killed_all_is_cleared_up_without_it() -> None:
    with janitor.folder() as folder:
        (servant,) = janitors(os.getpid())
        os.kill(servant, signal.SIGKILL)
        wait("the janitor to end", lambda: not state(servant))
        left = sleeper()
        janitor.watch(left.pid)
    assert not folder.exists()
    assert left.wait(30) == -signal.SIGKILL
    left.stdout.close()


def test_without_a_folder_nothing_is_watched(started: list) -> None:
    spared = sleeper()
    started.append(spared)
    janitor.watch(spared.pid)
    janitor.forget(spared.pid)
    assert state(spared.pid)


@pytest.mark.parametrize("group", [-5, 0, 1])
def test_a_number_that_would_kill_others_is_refused(group: int) -> None:
    with pytest.raises(ValueError, match="no process group of one's own"):
        janitor.watch(group)


def test_a_command_that_takes_too_long_is_killed_with_all_it_started(tmp_path: Path) -> None:
    noted = FAMILY.replace("print(child.pid, flush=True)", "open('pid', 'w').write(str(child.pid))")
    with pytest.raises(subprocess.TimeoutExpired):
        janitor.run([sys.executable, "-S", "-c", noted], tmp_path, os.environ, timeout=1.0)
    wait("the member to end", lambda: not state(int((tmp_path / "pid").read_text())))


def test_commands_run_at_the_same_time_and_each_gives_what_it_prints(tmp_path: Path) -> None:
    # each ends only once the other has begun
    code = (
        "import sys, time, pathlib; mine, other = map(pathlib.Path, sys.argv[1:]); mine.touch()\n"
        "while not other.exists(): time.sleep(0.01)\n"
        "print(mine)"
    )
    words = [[sys.executable, "-S", "-c", code, *names] for names in (("a", "b"), ("b", "a"))]
    done = janitor.run_together([(command, tmp_path, {}) for command in words])
    assert [(one.returncode, one.stdout) for one in done] == [(0, b"a\n"), (0, b"b\n")]


def test_what_runs_together_is_killed_together_where_one_can_not_be_started(tmp_path: Path) -> None:
    before = set(children(os.getpid()))
    with pytest.raises(OSError, match="nowhere"):
        janitor.run_together(
            [
                ([sys.executable, "-S", "-c", SLEEPS, tmp_path], tmp_path, {}),
                ([tmp_path / "nowhere"], tmp_path, {}),
            ]
        )
    assert set(children(os.getpid())) <= before


def test_a_command_gives_what_it_prints(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd()); print(os.environ['A'], file=sys.stderr); sys.exit(3)"
    done = janitor.run([sys.executable, "-S", "-c", code], tmp_path, {"A": "b"})
    assert (done.returncode, done.stdout, done.stderr) == (3, f"{tmp_path}\n".encode(), b"b\n")
